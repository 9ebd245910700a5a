"""1 to 4,094 VLANs on one trunk: what a frame costs, and how much memory a VLAN takes.

    python experiments/vlan-scale/run.py [--full]

Two nodes, an 802.1Q sub-interface for each VLAN on both, each in a container; between them a VLAN-filtering switch
whose two ports carry all of them.
"""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from experiments import common, cost  # noqa: E402
from experiments.common import Claim, Report  # noqa: E402
from experiments.networks import container, node, switch  # noqa: E402
from simvlan import Lab  # noqa: E402
from simvlan.engines.batch import compile as tables  # noqa: E402
from simvlan.engines.batch.generate import Stations, announce, between_pairs  # noqa: E402
from simvlan.engines.walk import walk  # noqa: E402
from simvlan.frame import Frame  # noqa: E402
from simvlan.plot import curves  # noqa: E402
from simvlan.sweep import grid  # noqa: E402

BROADCAST = (1 << 48) - 1
TRIED, BATCHED = 50, 1024
"""Frames sent one by one; VLANs up to which the batch engine is asked (more take minutes to tabulate)."""


def network(vlans: int, seed: int = 0) -> tuple[Lab, list[Any]]:
    """Return the lab and the sub-interfaces, those of the first node first."""
    lab = Lab(seed=seed)
    bridge = switch(lab, vlan_filtering=1)
    ends = []
    for name in ("a", "b"):
        eth1 = node(lab, bridge, name)
        done = lab.command("bridge", "vlan", "add", "dev", f"to-{name}", "vid", f"1-{vlans}" if vlans > 1 else "1", netns="switch")
        assert not done.exit, done
        ends += [container(lab, eth1, f"{name}{vid}", "vlan", vid) for vid in range(1, vlans + 1)]
    lab.command("bridge", "vlan", "del", "dev", "br0", "vid", "1", "self", netns="switch")  # the switch itself is in none
    return lab, ends


def scenario(vlans: int, frames: int, rounds: int, seed: int) -> dict[str, Any]:
    """Build it, count its memory, send unicast in random VLANs by both engines, and one broadcast."""
    network(1)  # what is imported on first use is not the lab's
    tracemalloc.start()
    lab, ends = network(vlans, seed % 2**32)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    net, rng = lab.network, np.random.default_rng(seed)
    for dev in ends:
        net.send(dev, Frame(BROADCAST, dev.mac, 0x88B5, bytes(46)))
    a, b = ends[vlans - 1], ends[-1]
    before = sum(dev.rx_packets for dev in ends)
    steps = walk(net, a, Frame(BROADCAST, a.mac, 0x88B5, bytes(46)))
    heard = sum(dev.rx_packets for dev in ends) - before
    unicast = Frame(b.mac, a.mac, 0x88B5, bytes(46))

    def one_by_one() -> None:
        for _ in range(TRIED):
            net.send(a, unicast)

    one_by_one()
    found = {
        "memory_kb": round(memory / 1000, 1),
        "steps": len(steps),
        "heard": heard,
        "lines": cost.lines(one_by_one, TRIED),
        **{f"events_{name}": value for name, value in cost.nanoseconds(one_by_one, TRIED, rounds).items()},
    }
    return found | (at_once(lab, ends, frames, rounds, rng) if vlans <= BATCHED else {})


def at_once(lab: Lab, ends: list[Any], frames: int, rounds: int, rng: np.random.Generator) -> dict[str, Any]:
    """Do the same by the batch engine: random unicast from node to node."""
    vlans = len(ends) // 2
    stations = Stations.on([dev.path for dev in ends], mac=np.array([dev.mac for dev in ends], np.uint64))
    src = rng.integers(0, 2 * vlans, frames)
    batch = between_pairs(stations, src, (src + vlans) % (2 * vlans), rng)
    pipeline = tables(lab, engine="numpy")
    pipeline.forward(announce(stations))
    delivered = pipeline.forward(batch).drops() == {"delivered": frames}
    costs = cost.nanoseconds(lambda: pipeline.forward(batch), frames, rounds)
    return {"delivered": delivered, "questions": len(pipeline.answers), **{f"batch_{name}": v for name, v in costs.items()}}


def claims(frame: Any) -> list[Claim]:
    """What the data say."""
    at = frame.set_index("vlans").sort_index()
    least, most = at.iloc[0], at.iloc[-1]
    batch = at[at["questions"].notna()]
    each = (most["memory_kb"] - least["memory_kb"]) / (at.index[-1] - at.index[0])
    events, last = most["events_ns"] / least["events_ns"], batch.iloc[-1]
    return [
        Claim(
            f"One by one, a frame takes the same {int(most['steps'])} steps and runs the same {most['lines']:.0f} lines of Python with"
            f" {at.index[-1]:,} VLANs as with one: {most['events_ns'] / 1e3:.1f} µs of CPU time, {events:.1f} times as much.",
            at["lines"].nunique() == 1 and at["steps"].nunique() == 1 and events < 4,
        ),
        Claim(
            "The batch engine takes no two VLANs for alike: it asks the rules four questions for each, and a frame's cost grows with them,"
            f" from {least['batch_ns']:.0f} ns with one VLAN to {last['batch_ns']:,.0f} ns with {batch.index[-1]:,}.",
            bool((batch["questions"] == 4 * batch.index).all()) and last["batch_ns"] > 2 * least["batch_ns"],
        ),
        Claim(
            f"Memory grows evenly, by {each:.0f} kB a VLAN (two sub-interfaces and two namespaces with their stacks):"
            f" {most['memory_kb'] / 1000:.0f} MB in all.",
            bool((abs((at["memory_kb"].iloc[1:] - least["memory_kb"]) / (at.index[1:] - at.index[0]) / each - 1) < 0.15).all()),
        ),
        Claim(
            "A broadcast is heard by the one other member of its VLAN, and every unicast is delivered.",
            bool((at["heard"] == 1).all()) and bool(batch["delivered"].all()),
        ),
    ]  # fmt: skip


def picture(frame: Any) -> Any:
    """Cost and memory."""
    figure, (left, right) = common.panels(2)
    at = frame.sort_values("vlans")

    def line(name: str, scale: float, at: Any = at) -> list[tuple[float, ...]]:
        columns = [at[f"{name}_{part}"] / scale for part in ("ns", "ns_low", "ns_high")]
        return list(zip(at["vlans"], *columns, strict=True))

    series = {"event engine, one by one": line("events", 1000), "batch engine (NumPy)": line("batch", 1000, at[at["questions"].notna()])}
    memory = {"memory": list(zip(at["vlans"], at["memory_kb"] / 1000, strict=True))}
    curves(memory, x="VLANs on the trunk", y="the whole lab, MB", title="Memory", log="xy", axes=left, legend=False)
    curves(series, x="VLANs on the trunk", y="CPU time of a frame, µs", title="Cost of a frame", log="xy", axes=right)
    return figure


def main(words: list[str] | None = None) -> int:
    """Run it."""
    made = common.options("vlan-scale", __doc__, words)
    counts = [1, 4, 16, 64, 256, 1024, 4094] if made.full else [1, 16, 128]
    points = grid(vlans=counts, frames=50_000 if made.full else 5_000, rounds=7 if made.full else 3)
    frame = common.points(made, scenario, points, workers=made.workers or 1).to_dataframe()
    report = Report(
        "Does a trunk with all 4,094 VLANs cost more for each frame than one with a single VLAN, and how much memory is it?",
        claims(frame),
        {"vlan-scale.png": (picture(frame), "Memory of the lab and cost of a frame against VLANs on the trunk")},
        [
            "`lines` counts the lines of Python run for one unicast from sub-interface to sub-interface through the filtering"
            " switch; times are CPU time, the middle of several rounds and their quartiles, on a shared machine. Memory is what Python"
            " allocated for the lab (tracemalloc)."
        ],
    )  # fmt: skip
    return common.finish(made, report)


if __name__ == "__main__":
    sys.exit(main())
