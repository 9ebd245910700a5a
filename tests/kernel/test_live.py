"""`simvlan live` and real devices in namespaces of our own: ping through a TAP, carrier both ways, faults, the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels import require_host_tun
from tests.live_bench import Bench, bench, machine, wait_for

pytestmark = pytest.mark.kernel

MACVLAN = (Path(__file__).parents[2] / "examples" / "live" / "macvlan.sh").read_text()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Bench]:
    require_host_tun()
    before = machine()
    with bench(tmp_path) as made:
        yield made
    assert machine() == before  # the machine's own network is as it was


def ping(rig: Bench, space: str, address: str, count: int = 3) -> None:
    """A real ping that must be answered; the first may wait for ARP."""
    rig.sh(space, f"ping -c {count} -i 0.05 -W 5 {address}")


def test_a_real_ping_reaches_a_simulated_macvlan(rig: Bench) -> None:
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")
    rig.sh(space, "ip addr add 10.80.0.1/24 dev tap0")
    ping(rig, space, "10.80.0.2")
    assert "64 bytes from 10.80.0.1" in live.exec("ping", "-c", "1", "10.80.0.1", netns="c1")
    assert rig.sh(space, "ping -c 1 -W 1 10.80.0.9", check=False).count("100% packet loss") == 1
    assert live.stop() == 0
    assert "node/eth0 = tap:tap0: " in live.said.read_text()
    assert rig.link(space, "tap0") == {}


def test_carrier_goes_both_ways(rig: Bench) -> None:
    """A simulated device that is down is a pulled cable at the TAP, and the other way round; up again, frames flow."""
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")
    rig.sh(space, "ip addr add 10.80.0.1/24 dev tap0")
    live.exec("ip", "-n", "node", "link", "set", "eth0", "down")
    wait_for(lambda: "NO-CARRIER" in rig.link(space, "tap0")["flags"])
    live.exec("ip", "-n", "node", "link", "set", "eth0", "up")
    wait_for(lambda: "NO-CARRIER" not in rig.link(space, "tap0")["flags"])
    ping(rig, space, "10.80.0.2")
    rig.sh(space, "ip link set tap0 down")
    live.hear("tap:tap0 is down: node/eth0 has no carrier")
    wait_for(lambda: "NO-CARRIER" in live.exec("ip", "-n", "node", "link", "show", "eth0"))
    rig.sh(space, "ip link set tap0 up")
    live.hear("tap:tap0 is up: node/eth0 has a carrier")
    ping(rig, space, "10.80.0.2")


def test_a_tap_deleted_under_it_is_told_and_ends_it(rig: Bench) -> None:
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")
    rig.sh(space, "ip link del tap0")
    assert live.process.wait(30) == 1
    assert "tap:tap0 was deleted" in live.said.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(rig: Bench, number: signal.Signals) -> None:
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")
    assert rig.link(space, "tap0")
    live.stop(number)
    wait_for(lambda: not rig.link(space, "tap0"))
    again = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")  # the dead one's socket is no obstacle
    assert again.stop() == 0


@pytest.mark.parametrize(
    ("attachment", "answer"),
    [
        ("node/eth9=tap:t0", 'no device "eth9" in namespace "node"'),
        ("c1/eth0=tap:t0", "c1/eth0 is a macvlan, which has no wire: attach node/eth0, on which it stands"),
        ("node/eth0=tap:lo", "there is a device of that name that is no TAP"),
        ("node/eth0=tap:nowhere/t0", "network namespace nowhere: No such file or directory: ip netns add nowhere"),
    ],
)
def test_what_cannot_be_attached_is_said(rig: Bench, attachment: str, answer: str, tmp_path: Path) -> None:
    space = rig.netns()
    (tmp_path / "m.sh").write_text(MACVLAN)
    words = [sys.executable, "-m", "simvlan.cli", "live", "--sockets", str(tmp_path / "s"), "--attach", attachment]
    command = ["ip", "netns", "exec", space, *words, str(tmp_path / "m.sh")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, answer in done.stderr) == (2, True), done.stderr
    assert rig.sh(space, "ip -br link | wc -l") == "1\n"
