"""`make bench-live`: real packets through simulated wires, measured beside a kernel bridge; results/live/.

Needs root and a machine that does nothing else. All traffic stays in namespaces made here.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from math import sqrt
from pathlib import Path
from statistics import NormalDist, median
from typing import Any

from benchmarks.measure import Figure
from benchmarks.report import cells, text
from simvlan.manifest import manifest
from tests.live_bench import Bench, bench, machine, wait_for

RESULTS = Path(__file__).resolve().parent.parent / "results" / "live"
A, B = "10.82.0.1", "10.82.0.2"
BRIDGE = """
ip netns add sw
ip -n sw link add br0 type bridge mcast_snooping 0
ip -n sw link set br0 up
for n in 1 2; do
    ip -n sw link add p$n type veth peer name out$n
    ip -n sw link set p$n master br0 up
done
"""
FRAMES, RATE = 100_000, 4_000
DELAY_MS = 10
IMPAIRED = {
    "loss": "loss 2%",
    "duplication": "duplicate 3%",
    "reordering": f"delay {DELAY_MS}ms reorder 5%",
    "uniform jitter": f"delay {DELAY_MS}ms 3ms",
    "normal jitter": f"delay {DELAY_MS}ms 2ms distribution normal",
}
CHANCE = {"loss": 0.02, "duplication": 0.03, "reordering": 0.05}
KS_BAR = 0.05
"""How far the measured distribution may lie from the configured one, once the shortest way is taken off."""


class Pair:
    """Two real namespaces with one device each, and what joins them."""

    def __init__(self, rig: Bench, a: str, b: str) -> None:
        self.rig, self.a, self.b = rig, a, b
        self.lateness = ""
        for space, address in ((a, A), (b, B)):
            rig.sh(space, f"ip link set eth0 up; ip addr add {address}/24 dev eth0")
        rig.sh(a, f"ping -c 3 -i 0.1 -W 5 {B}")

    def rtts(self, count: int) -> list[float]:
        """Round trips in ms."""
        said = self.rig.sh(self.a, f"ping -c {count} -i 0.02 {B}", timeout=count * 0.1 + 20)
        return sorted(float(each) for each in re.findall(r"time=([\d.]+) ms", said))

    def mac(self) -> str:
        return str(self.rig.link(self.b, "eth0")["address"])

    def frames_per_second(self, seconds: float) -> float:
        """How many of a flood of 64-octet frames arrive."""
        command = peer(self.a, "flood", "eth0", self.mac(), str(seconds + 1.5))
        with subprocess.Popen(command) as flood:
            time.sleep(0.7)
            began, before = time.monotonic(), self._received()
            time.sleep(seconds)
            rate = (self._received() - before) / (time.monotonic() - began)
            flood.wait()
        return rate

    def _received(self) -> int:
        return int(self.rig.link(self.b, "eth0")["stats64"]["rx"]["packets"])

    def tcp_mbps(self, seconds: int) -> float:
        """What iperf3 gets across."""
        server = subprocess.Popen(inside(self.b, "iperf3", "-s", "-1"), stdout=subprocess.DEVNULL)
        wait_for(lambda: ":5201" in self.rig.sh(self.b, "ss -ltn"))
        said = json.loads(self.rig.sh(self.a, f"iperf3 -J -c {B} -t {seconds}", timeout=seconds + 30))
        server.wait(30)
        return float(said["end"]["sum_received"]["bits_per_second"] / 1e6)

    def latencies(self, frames: int) -> list[tuple[int, int]]:
        """Send numbered frames; (number, latency in ns) of what arrived, in order of arrival."""
        path = self.rig.folder / "received.json"
        receiver = subprocess.Popen(peer(self.b, "receive", "eth0", str(path)), stdout=subprocess.PIPE, text=True)
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "listening\n"
        subprocess.run(peer(self.a, "send", "eth0", self.mac(), str(frames), str(RATE)), check=True)
        receiver.wait(60)
        return [(number, late) for number, late in json.loads(path.read_text())]


def inside(space: str, *words: str) -> list[str]:
    return ["ip", "netns", "exec", space, *words]


def peer(space: str, *words: str) -> list[str]:
    return inside(space, sys.executable, "-m", "benchmarks.live_peers", *words)


@contextmanager
def simulated(*impairments: str, seed: int = 0, gso: bool = False) -> Iterator[Pair]:
    """Two namespaces joined by a simulated bridge and two TAPs; impairments of each port's sending side."""
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as rig:
        home, a, b = rig.netns("home"), rig.netns("a"), rig.netns("b")
        script = BRIDGE + "".join(
            f"tc -n sw qdisc add dev p{n} root netem {words}\n" for n, words in enumerate(impairments, 1) if words
        )
        attached = [word for n, space in ((1, a), (2, b)) for word in ("--attach", f"sw/p{n}=tap:{space}/eth0")]
        live = rig.live(home, script, "--seed", str(seed), *["--gso"][: int(gso)], *attached)
        pair = Pair(rig, a, b)
        yield pair
        live.stop()
        pair.lateness = live.said.read_text().rpartition("lateness: ")[2].strip()


@contextmanager
def kernel() -> Iterator[Pair]:
    """The same namespaces joined by a kernel bridge."""
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as rig:
        home, a, b = rig.netns("home"), rig.netns("a"), rig.netns("b")
        rig.sh(home, "ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up")
        for n, space in ((1, a), (2, b)):
            rig.sh(home, f"ip link add p{n} type veth peer name eth0 netns {space} && ip link set p{n} master br0 up")
        yield Pair(rig, a, b)


# -- what is measured -----------------------------------------------------------------------------------------------


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def round_trips(rounds: int, count: int, late: dict[str, str]) -> list[Figure]:
    """Delay as modelled, and none."""
    halves, most, least, plain, bare = [], [], [], [], []
    for _ in range(rounds):
        with simulated(f"delay {DELAY_MS}ms", f"delay {DELAY_MS}ms") as pair:
            rtts = pair.rtts(count)
        late["round trips with 10 ms each way"] = pair.lateness
        halves.append(median(rtts))
        most.append(percentile(rtts, 0.99))
        least.append(rtts[0])
        with simulated() as pair:
            plain.append(median(pair.rtts(count)))
        with kernel() as pair:
            bare.append(median(pair.rtts(count)))
    group, whole = "Round trips of ping", 2 * DELAY_MS
    return [
        Figure(group, f"{DELAY_MS} ms each way, median", tuple(halves), "ms", whole + 1, at_least=False),
        Figure(group, f"{DELAY_MS} ms each way, 99 %", tuple(most), "ms", whole + 3, at_least=False),
        Figure(group, f"{DELAY_MS} ms each way, shortest", tuple(least), "ms", whole, note="never before its time"),
        Figure(group, "no delay, median", tuple(plain), "ms", 0.4, at_least=False),
        Figure(group, "no delay, median, a kernel bridge instead", tuple(bare), "ms"),
    ]


def forwarding(rounds: int, seconds: int) -> list[Figure]:
    """Bare forwarding between two TAPs, beside a kernel bridge between veths."""
    mine: dict[str, list[float]] = {"frames": [], "tcp": [], "tcp gso": [], "kernel frames": [], "kernel tcp": []}
    for _ in range(rounds):
        with simulated() as pair:
            mine["tcp"].append(pair.tcp_mbps(seconds))
            mine["frames"].append(pair.frames_per_second(seconds))
        with simulated(gso=True) as pair:
            mine["tcp gso"].append(pair.tcp_mbps(seconds))
        with kernel() as pair:
            mine["kernel tcp"].append(pair.tcp_mbps(seconds))
            mine["kernel frames"].append(pair.frames_per_second(seconds))
    group = "Forwarding between two TAPs"
    return [
        Figure(group, "frames of 64 octets", tuple(mine["frames"]), "frames/s", 15_000, 50_000),
        Figure(group, "TCP", tuple(mine["tcp"]), "Mb/s", 200),
        Figure(group, "TCP with --gso", tuple(mine["tcp gso"]), "Mb/s", 200, 1000, note="super-packets carried whole"),
        Figure(group, "frames, a kernel bridge instead", tuple(mine["kernel frames"]), "frames/s"),
        Figure(group, "TCP, a kernel bridge instead", tuple(mine["kernel tcp"]), "Mb/s", note="super-packets, no copy"),
    ]


def impairments(frames: int, seed: int, late: dict[str, str]) -> list[Figure]:
    """Rates in standard errors, distributions as their distance (Kolmogorov-Smirnov)."""
    figures = []
    for name, words in IMPAIRED.items():
        with simulated("", f"{words} limit 10000", seed=seed) as pair:
            arrived = pair.latencies(frames)
        late[name] = pair.lateness
        if name in CHANCE:
            figures.append(_rate(name, words, arrived, frames))
        else:
            figures.append(_distribution(name, words, [ns / 1e6 for _, ns in arrived]))
    return figures


def _rate(name: str, words: str, arrived: list[tuple[int, int]], frames: int) -> Figure:
    seen = Counter(number for number, _ in arrived)
    happened = {
        "loss": frames - len(seen),
        "duplication": sum(count > 1 for count in seen.values()),
        "reordering": sum(late < DELAY_MS * 500_000 for _, late in arrived),
    }[name]
    chance = CHANCE[name]
    errors = abs(happened / frames - chance) / sqrt(chance * (1 - chance) / frames)
    note = f"netem {words}: {happened} of {frames}"
    return Figure("Impairments", f"{name}, from what is configured", (errors,), "standard errors", 3, None, False, note)


def _distribution(name: str, words: str, latencies: list[float]) -> Figure:
    """The distance between the measured and the configured distribution, the constant way taken off by the median."""
    shape = NormalDist(DELAY_MS, 2).cdf if "normal" in name else lambda x: min(1.0, max(0.0, (x - 7) / 6))
    shift = median(latencies) - DELAY_MS
    values = sorted(each - shift for each in latencies)
    count = len(values)
    distance = max(max(abs(shape(x) - n / count), abs(shape(x) - (n + 1) / count)) for n, x in enumerate(values))
    note = f"netem {words}: {count} frames, {shift:.2f} ms more than configured"
    return Figure("Impairments", f"{name}, distance", (distance,), "of 1", KS_BAR, None, False, note)


# -- the report -----------------------------------------------------------------------------------------------------


def write(figures: list[Figure], about: dict[str, Any]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(figure), "median": figure.median, "met": figure.met} for figure in figures]
    (RESULTS / "figures.json").write_text(json.dumps(rows, indent=1) + "\n")
    (RESULTS / "manifest.json").write_text(json.dumps(about, indent=2) + "\n")
    lines = ["# Live", "", "Real packets through simulated wires; `make bench-live` measures this again (root, an idle"]
    lines += ["machine). Simulated and kernel bridge take turns; min, median and max are of the rounds.", ""]
    lines += ["| figure | min | median | max | bar | aim | met |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for figure in figures:
        note = f" ({figure.note})" if figure.note else ""
        first, *rest = cells(figure)
        lines.append(f"| {figure.group}: {first}{note} | {' | '.join(rest)} |")
    (RESULTS / "README.md").write_text("\n".join(lines) + "\n")


def main() -> int:
    """0 when every bar is met."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--quick", action="store_true", help="a tenth of everything; the committed results stay")
    made.add_argument("--seed", type=int, default=0)
    options = made.parse_args()
    before, late = machine(), {}  # type: str, dict[str, str]
    rounds, pings, seconds, frames = (1, 50, 2, FRAMES // 10) if options.quick else (options.rounds, 500, 6, FRAMES)
    figures = round_trips(rounds, pings, late)
    figures += forwarding(rounds, seconds)
    figures += impairments(frames, options.seed, late)
    print(text(figures))
    untouched = machine() == before
    print(f"the machine's own network is {'as it was' if untouched else 'NOT AS IT WAS'}")
    if not options.quick:
        command = " ".join(["python -m benchmarks.live", *sys.argv[1:]])
        write(figures, manifest(command, options.seed, ("simpy",), rounds=rounds, lateness=late, untouched=untouched))
    return 0 if untouched and all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
