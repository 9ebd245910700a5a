"""netem and tbf against Linux: what leaves, in which order, and the counters; options without chance only."""

from __future__ import annotations

import json
from random import Random

import pytest

from simvlan.devices.veth import Veth
from simvlan.engines.events import EventClock
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.oracle import run_many
from simvlan.qdisc.netem import CERTAIN, Netem, NetemOptions
from simvlan.qdisc.queue import Queue
from simvlan.qdisc.tbf import Tbf, TbfOptions
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from tests.kernels import require

MS = 1_000_000
GAP_MS = 21  # what one injected frame takes in the guest
SETUP = """
ip netns add h; ip netns add w
ip link add p0 netns h type veth peer name w0 netns w
ip -n w link set w0 up; ip -n h link set p0 up; sleep 0.2
"""

CASES: dict[str, tuple[str, NetemOptions | TbfOptions, list[int]]] = {
    "delay": ("netem delay 200ms", NetemOptions(delay_ns=200 * MS), [100] * 4),
    "reorder": (
        "netem delay 400ms reorder 100% gap 3",
        NetemOptions(delay_ns=400 * MS, reorder=CERTAIN, gap=3),
        [100] * 8,
    ),
    "always": ("netem delay 400ms reorder 100%", NetemOptions(delay_ns=400 * MS, reorder=CERTAIN, gap=1), [100] * 3),
    "duplicate": (
        "netem duplicate 100% limit 3 delay 400ms",
        NetemOptions(delay_ns=400 * MS, duplicate=CERTAIN, limit=3),
        [100] * 3,
    ),
    "loss": ("netem loss 100%", NetemOptions(loss=CERTAIN), [100] * 3),
    "duplicate and loss": (
        "netem duplicate 100% loss 100%",
        NetemOptions(duplicate=CERTAIN, loss=CERTAIN),
        [100] * 3,
    ),
    "rate": ("netem rate 8kbit delay 50ms limit 2", NetemOptions(rate=1000, delay_ns=50 * MS, limit=2), [100] * 6),
    "tbf": ("tbf rate 8kbit burst 300 limit 250", TbfOptions(1000, 300, 250), [100] * 8),
    "tbf sizes": ("tbf rate 8kbit burst 300 limit 450", TbfOptions(1000, 300, 450), [200, 301, 300, 60, 100, 250, 60]),
    "tbf peak": (
        "tbf rate 8kbit burst 600 limit 1000 peakrate 16kbit minburst 200",
        TbfOptions(1000, 600, 1000, 2000, 200),
        [100, 100, 100, 200, 201, 100],
    ),
}


def frames(sizes: list[int]) -> list[bytes]:
    return [b"\x02" * 6 + b"\x04" * 6 + b"\x88\xb5" + bytes((n,)) + bytes(size - 15) for n, size in enumerate(sizes)]


def script(tc: str, sizes: list[int]) -> str:
    lines = [f"h p0 {octets.hex()}" for octets in frames(sizes)]
    show = "tc -n h -s -j qdisc show dev p0"
    return "\n".join([
        SETUP, f"tc -n h qdisc add dev p0 root {tc} || exit 9", "cat > /run/f <<'END'", *lines, "END",
        "simvlan send --batch /run/f", "sleep 1.2", show,
    ])  # fmt: skip


def simulate(options: NetemOptions | TbfOptions, sizes: list[int]) -> tuple[list[int], tuple[int, ...]]:
    """What arrives, by number, and the counters."""
    clock = EventClock()
    net = Network(clock)
    spaces = [net.add_netns(name) for name in "hw"]
    p0 = link_add(net, spaces[0], LinkSpec("veth", "p0", peer=PeerSpec("w0", spaces[1])))
    assert isinstance(p0, Veth)
    assert p0.peer is not None
    link_set(net, p0.peer, up=True)
    link_set(net, p0, up=True)
    arrived: list[int] = []
    p0.peer.taps.append(lambda now, dev, frame, out: arrived.append(frame.payload[0]))
    queue: Queue = Netem(options, Random(1)) if isinstance(options, NetemOptions) else Tbf(options, clock.now)
    p0.qdisc = queue
    for octets in frames(sizes):
        net.send(p0, Frame.parse(octets))
        clock.advance(clock.now + GAP_MS * MS)
    clock.advance(clock.now + 1200 * MS)
    return arrived, queue.stats(clock.now)[:5]


@pytest.mark.kernel
def test_queues_agree_with_linux() -> None:
    """Order of arrival, octets, frames, drops, overlimits and requeues of sch_netem and sch_tbf."""
    require("uml")
    runs = run_many("uml", [script(tc, sizes) for tc, _, sizes in CASES.values()], timeout_s=30)
    for (name, (_, options, sizes)), run in zip(CASES.items(), runs, strict=True):
        assert run.exit_code == 0, (name, run.stderr)
        shown = json.loads(run.stdout)[0]
        theirs = counted(tuple(shown[key] for key in ("bytes", "packets", "drops", "overlimits", "requeues")))
        arrived = [octets[14] for _, _, octets in run.captures["w.w0"]]
        order, ours = simulate(options, sizes)
        assert (name, order, counted(ours)) == (name, arrived, theirs)


def counted(stats: tuple[int, ...]) -> tuple[int, ...]:
    """Counters fit to compare: overlimits counts the watchdog's looks, which depend on the guest's wall clock."""
    return (*stats[:3], bool(stats[3]), stats[4])
