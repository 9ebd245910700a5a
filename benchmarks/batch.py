"""The vectorised core against its peers: raw octets in, deliveries and counters out, learning on."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.measure import Figure, Run, cpu, per_second, take_turns, timed, times_faster
from benchmarks.networks import MACS, PORTS, TwoNodes, crossing, star, star_stations
from benchmarks.peers import nspy
from benchmarks.peers.programs import Kernel, Missing, Ns3, Program, bridge_commands, macvlan_commands
from simvlan import Lab
from simvlan.engines import batch as core
from simvlan.engines.batch import FrameBatch, Pipeline, pcapfile
from simvlan.engines.batch.generate import announce, imix, steady
from simvlan.frame import mac_text
from simvlan.links import CableOptions

SEED = 1
OURS, NS3_FRAMES, NSPY_FRAMES, KERNEL_FRAMES = 1 << 20, 200_000, 40_000, 200_000
"""Frames a round forwards at least: peers get fewer, so that rounds stay short."""

TIMED = 1 << 17
"""Frames whose times are told at once; ns-3 is given 100,000."""

FLOODED = 16_384
"""Broadcasts forwarded at a time when every copy is written out: so the memory for them is used again."""

GIGABIT = CableOptions(delay_ns=1_000, rate_bps=1_000_000_000, limit=1000)


def rng() -> np.random.Generator:
    """The traffic's randomness, the same for everybody."""
    return np.random.default_rng(SEED)


def implementations() -> list[str]:
    """NumPy, and Numba when it is installed."""
    return ["NumPy", "Numba"] if find_spec("numba") else ["NumPy"]


def compiled(lab: Lab, implementation: str) -> Pipeline:
    """Compile a lab for one of the implementations."""
    return core.compile(lab, implementation.lower())


def whole(pipeline: Pipeline, batch: FrameBatch) -> Callable[[], object]:
    """Our side of the work: from raw octets to every delivery and every counter."""
    octets, ingress, devices = batch.head, batch.ingress, batch.devices

    def work() -> object:
        outcome = pipeline.forward(FrameBatch.from_octets(octets, devices=devices, ingress=ingress))
        return outcome.copies(), outcome.totals()

    return work


def taught(lab: Lab, lessons: FrameBatch, implementation: str) -> Pipeline:
    """A pipeline whose bridges know where everybody is."""
    pipeline = compiled(lab, implementation)
    pipeline.forward(lessons)
    return pipeline


def forwarders(build: Callable[[], Lab], lessons: FrameBatch, batch: FrameBatch) -> dict[str, Run]:
    """Our contenders for some work."""
    return {
        name: timed(whole(taught(build(), lessons, name), batch), len(batch)) for name in implementations()
    }


class Peers:
    """Peers of one group: those that are there, and why the others are not."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runs: dict[str, Run] = {}
        self.missing: list[str] = []
        self._programs: list[Program] = []

    def __enter__(self) -> Peers:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            program.close()
        self.folder.cleanup()

    def add(self, name: str, start: Callable[[Path], Program], go: Callable[[Any], Run]) -> None:
        """Start a peer in a folder of its own."""
        folder = Path(self.folder.name) / name.replace(" ", "-")
        folder.mkdir()
        try:
            program = start(folder)
        except Missing as why:
            print(f"not measured: {name}: {why}", file=sys.stderr)
            return
        self._programs.append(program)
        self.runs[name] = go(program)


def rates(group: str, cost: Mapping[str, list[float]], what: str = "frames") -> Iterator[Figure]:
    """Everybody's rate, for the reader."""
    for name, values in cost.items():
        yield Figure(group, name, per_second(values), f"M {what}/CPU s")


def ratios(
    group: str, cost: Mapping[str, list[float]], bars: Mapping[tuple[str, str], tuple[float | None, float | None]]
) -> Iterator[Figure]:
    """Our implementations as multiples of a peer, for every pair that was measured."""
    for (ours, peer), (bar, aim) in bars.items():
        if ours in cost and peer in cost:
            yield Figure(group, f"{ours} times {peer}", times_faster(cost, ours, peer), bar=bar, aim=aim)


def bridge(rounds: int) -> Iterator[Figure]:
    """64 ports, 10,240 MACs, 64-octet frames, random unicast among known MACs."""
    group = f"Bridge: {PORTS} ports, {MACS:,} MACs, 64-octet frames, raw octets to deliveries and counters"
    stations = star_stations(PORTS, MACS)
    lessons, batch = announce(stations), crossing(stations, OURS, rng())
    names = [f"h{n}" for n in range(PORTS)]
    home = dict(zip(stations.mac.tolist(), stations.ingress.tolist(), strict=True))

    def learned(program: Any, frames: int, *expected: int) -> Run:
        program.learn(lessons)
        return program.contender(batch[:frames], *expected)  # type: ignore[no-any-return]

    with Peers() as peers:
        peers.add("ns-3", lambda at: Ns3(["host 0"] * PORTS, at), lambda p: learned(p, NS3_FRAMES, NS3_FRAMES))
        peers.add(
            "kernel", lambda at: Kernel(bridge_commands(PORTS), names, names, at), lambda p: learned(p, KERNEL_FRAMES)
        )
        peers.runs["ns.py"] = nspy.contender(PORTS, home, batch[:NSPY_FRAMES], NSPY_FRAMES)
        cost = take_turns({**forwarders(lambda: star(PORTS), lessons, batch), **peers.runs}, rounds)
    yield from rates(group, cost)
    yield from ratios(group, cost, {
        ("NumPy", "ns-3"): (25, 60), ("Numba", "ns-3"): (80, 160),
        ("NumPy", "ns.py"): (None, None), ("Numba", "ns.py"): (None, None),
        ("NumPy", "kernel"): (None, None), ("Numba", "kernel"): (None, None),
    })  # fmt: skip


def macvlan(rounds: int) -> Iterator[Figure]:
    """64 macvlans on one device, frames from the wire."""
    group = "macvlan: 64 uppers (bridge mode), 64-octet frames from the wire"
    batch = networks.to_uppers(64, OURS, rng())
    macs = [mac_text(mac) for mac in networks.upper_macs(64).tolist()]
    names = [f"m{n}" for n in range(64)]
    with Peers() as peers:
        peers.add(
            "kernel",
            lambda at: Kernel(macvlan_commands(macs), ["h0"], names, at),
            lambda p: p.contender(batch[:KERNEL_FRAMES]),
        )
        cost = take_turns({**forwarders(lambda: networks.uppers(64), batch[:1], batch), **peers.runs}, rounds)
    yield from rates(group, cost)
    yield from ratios(group, cost, {("NumPy", "kernel"): (None, 100), ("Numba", "kernel"): (None, 300)})


def two_nodes(rounds: int) -> Iterator[Figure]:
    """Two nodes, a VLAN trunk, 1,000 macvlan containers: from a container to a container."""
    group = "Two nodes, VLAN trunk, 1,000 macvlan containers, end to end"
    world = TwoNodes(1000)
    lessons, batch = announce(world.stations), world.traffic(OURS, rng())
    plain = star_stations(PORTS, MACS)
    simple = crossing(plain, NS3_FRAMES, rng())
    frames = NS3_FRAMES // 2

    def learned(program: Any, first: FrameBatch, work: FrameBatch) -> Run:
        program.learn(first)
        return program.contender(work, len(work))  # type: ignore[no-any-return]

    with Peers() as peers:
        peers.add("ns-3", lambda at: Ns3(world.ns3, at), lambda p: learned(p, lessons, batch[:frames]))
        peers.add(
            "one ns-3 bridge", lambda at: Ns3(["host 0"] * PORTS, at), lambda p: learned(p, announce(plain), simple)
        )
        cost = take_turns({**forwarders(lambda: world.lab, lessons, batch), **peers.runs}, rounds)
    yield from rates(group, cost)
    yield from ratios(group, cost, {
        ("NumPy", "ns-3"): (15, None), ("Numba", "ns-3"): (50, None),
        ("NumPy", "one ns-3 bridge"): (15, None), ("Numba", "one ns-3 bridge"): (50, None),
    })  # fmt: skip


def exact_times(rounds: int) -> Iterator[Figure]:
    """`simulate`: departures and arrivals over 1 Gbit/s cables of 1 µs with queues, 64 ports, half the load."""
    group = f"Exact times: 64 ports, 1 Gbit/s, 1 µs, queues of 1,000 frames, 64-octet frames, {TIMED:,} at a time"
    stations = star_stations(PORTS, MACS)
    rate = 0.5 * PORTS * 1e9 / (64 * 8)
    lessons = announce(stations)
    batch = crossing(stations, TIMED, rng(), times=steady(rate, start_ns=1_000_000_000))
    ns3 = ["rate 1000000000", "delay 1000", "queue 1000", *["host 0"] * PORTS]
    gap = round(1e9 / rate)
    frames = NS3_FRAMES // 2

    def learned(program: Any) -> Run:
        program.load(lessons, 1_000_000)
        program.ask("run")
        return program.contender(batch[:frames], frames, gap)  # type: ignore[no-any-return]

    with Peers() as peers:
        peers.add("ns-3", lambda at: Ns3(ns3, at), learned)
        cost = take_turns({**simulators(lessons, batch), **peers.runs}, rounds)
    yield from rates(group, cost)
    yield from ratios(group, cost, {("NumPy", "ns-3"): (10, 30), ("Numba", "ns-3"): (10, 30)})


def simulators(lessons: FrameBatch, batch: FrameBatch) -> dict[str, Run]:
    """Our contenders for exact times; every run starts after the one before it."""
    out = {}
    for name in implementations():
        pipeline = taught(star(PORTS, GIGABIT), lessons, name)
        later = [0]

        def work(pipeline: Pipeline = pipeline, later: list[int] = later) -> object:
            octets, time = batch.head, batch.time + later[0]
            later[0] += int(batch.time[-1])
            made = FrameBatch.from_octets(octets, devices=batch.devices, ingress=batch.ingress, time=time)
            return pipeline.simulate(made)

        out[name] = timed(work, len(batch))
    return out


def growth(rounds: int) -> Iterator[Figure]:
    """How cost per frame grows with MACs, ports and macvlans."""
    group = "Growth of the cost of a frame"
    for name in implementations():
        yield _grown(group, f"{name}: 64 to 102,400 MACs", name, 1.6, rounds, [
            (lambda: star(PORTS), *_star_work(PORTS, count)) for count in (64, 102_400)
        ])  # fmt: skip
        yield _grown(group, f"{name}: 8 to 512 ports", name, 1.2, rounds, [
            (lambda ports=ports: star(ports), *_star_work(ports, MACS)) for ports in (8, 512)
        ])  # fmt: skip
        yield _grown(group, f"{name}: 8 to 512 macvlans", name, 1.2, rounds, [
            (lambda count=count: networks.uppers(count), batch[:1], batch)
            for count in (8, 512)
            for batch in [networks.to_uppers(count, OURS, rng())]
        ])  # fmt: skip


def _star_work(ports: int, macs: int) -> tuple[FrameBatch, FrameBatch]:
    stations = star_stations(ports, macs)
    return announce(stations), crossing(stations, OURS, rng())


def _grown(group: str, what: str, name: str, bar: float, rounds: int, sizes: list[Any]) -> Figure:
    """The cost of the second size over that of the first."""
    runs = {
        number: timed(whole(taught(build(), lessons, name), batch), len(batch))
        for number, (build, lessons, batch) in zip(("small", "large"), sizes, strict=True)
    }
    cost = take_turns(runs, rounds)
    return Figure(group, what, times_faster(cost, "small", "large"), bar=bar, at_least=False)


def flood(rounds: int) -> Iterator[Figure]:
    """Broadcasts: forwarded with every copy written out, ns per copy; and for the counters alone."""
    group = "Flooding: every frame a broadcast, forwarded and told"
    for ports in (PORTS, 512):
        stations = star_stations(ports, MACS)
        lessons = announce(stations)
        batch = FrameBatch.concatenate([lessons] * (6 if ports == PORTS else 2))
        for name in implementations():
            pipeline = taught(star(ports), lessons, name)
            copies = len(pipeline.forward(batch).copies().device)
            assert copies >= len(batch) * (ports - 1), "every other host, and the bridge itself"

            def written(pipeline: Pipeline = pipeline, batch: FrameBatch = batch) -> None:
                for window in batch.windows(FLOODED):
                    pipeline.forward(window).copies()

            def counted(pipeline: Pipeline = pipeline, batch: FrameBatch = batch) -> object:
                return pipeline.forward(batch).totals()

            cost = take_turns({"written": timed(written, copies), "counted": timed(counted, len(batch))}, rounds)
            ns = {key: tuple(value * 1e9 for value in values) for key, values in cost.items()}
            yield Figure(group, f"{name}, {ports} ports: every copy", ns["written"], "ns/copy", bar=1.0, at_least=False)
            yield Figure(group, f"{name}, {ports} ports: counters", ns["counted"], "ns/frame", at_least=False)


def memory(rounds: int) -> Iterator[Figure]:
    """What `forward` needs beside the batch it was given."""
    group = "Memory and start"
    stations = star_stations(PORTS, MACS)
    lessons, batch = announce(stations), crossing(stations, OURS, rng())
    for name in implementations():
        pipeline = taught(star(PORTS), lessons, name)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        outcome = pipeline.forward(batch)
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        assert len(outcome) == len(batch)
        name = f"{name}: extra memory of forward"
        yield Figure(group, name, (peak / len(batch),), "octets/frame", bar=200, at_least=False)


def starts(rounds: int) -> Iterator[Figure]:
    """Compiling 10,000 containers; the first call in a fresh process."""
    group = "Memory and start"
    lab = TwoNodes(10_000).lab
    seconds = tuple(cpu(lambda: core.compile(lab)) for _ in range(rounds))
    yield Figure(group, "compile 10,000 containers", seconds, "CPU s", bar=2.0, at_least=False)
    for name in implementations():
        first = tuple(_first_call(name) for _ in range(rounds + 1))[1:]  # the first fills the cache
        yield Figure(group, f"{name}: compile and first call, warm cache", first, "CPU s", bar=0.5, at_least=False)


FIRST_CALL = """
import json, sys, time
from benchmarks.batch import announce, compiled, star, star_stations
lab, lessons = star(64), announce(star_stations(64, 64))
start = time.process_time()
compiled(lab, sys.argv[1]).forward(lessons)
print(json.dumps(time.process_time() - start))
"""


def _first_call(name: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, name], capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout))


def parse_rates(rounds: int) -> Iterator[Figure]:
    """Frames from octets and from capture files: heads, fields; NumPy."""
    group = "FrameBatch"
    stations = star_stations(PORTS, MACS)
    batch = crossing(stations, OURS, rng(), sizes=imix(), times=steady(1e6))
    small = batch.head.copy()
    names = ("dst", "src", "tags", "ethertype", "ip_src", "ip_dst", "proto")

    def fields() -> None:
        for part in FrameBatch.from_octets(small).windows(1 << 14):
            for name in names:
                getattr(part, name)

    def stream(path: Path) -> None:
        assert sum(len(part.dst) for part in pcapfile.windows(path)) == len(batch)

    with tempfile.TemporaryDirectory() as folder:
        runs = {"octets to all fields": timed(fields, len(small))}
        for name, frames in (("64-octet frames", FrameBatch.from_octets(small, time=batch.time)), ("IMIX", batch)):
            for suffix in ("pcap", "pcapng"):
                path = Path(folder) / f"{name}.{suffix}"
                (frames.to_pcap if suffix == "pcap" else frames.to_pcapng)(path)
                runs[f"{suffix} of {name}, streamed"] = timed(lambda path=path: stream(path), len(batch))
        cost = take_turns(runs, rounds)
    yield from rates(group, cost)


PARTS = {
    "bridge": bridge, "macvlan": macvlan, "two-nodes": two_nodes, "times": exact_times, "growth": growth,
    "flood": flood, "memory": memory, "starts": starts, "parse": parse_rates,
}  # fmt: skip
