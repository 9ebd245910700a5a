"""`simvlan bench`: how fast this machine forwards, engine by engine, on one and the same network.

64 containers on a learning bridge, random unicast of 64-octet frames (10,240 MACs for the batch engine); CPU time.
Comparisons with other programs, in one interleaved run, are `make bench` in the source tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from time import process_time
from typing import Any

import numpy as np

from simvlan.engines import batch as core
from simvlan.engines.batch import FrameBatch
from simvlan.engines.batch.generate import Stations, announce, between_pairs
from simvlan.lab import Lab
from simvlan.links import Cable, CableOptions
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.table import Table

PORTS, MACS = 64, 10_240
ONE_BY_ONE, AT_ONCE = 5_000, 1 << 18
"""Frames for the engines that take one at a time, and for those that take many."""
GAP_NS = 1_000
LEAST_S = 0.3
"""CPU seconds for which each engine is measured at least."""


def table(seed: int = 0) -> Table:
    """Measure every engine there is; a row each."""
    return Table(
        {"engine": name, "frames/CPU s": round(rate), "ns/frame": round(1e9 / rate, 1)} for name, rate in _rates(seed)
    )


def _rates(seed: int) -> Iterator[tuple[str, float]]:
    devices, rng = [f"c{number}/eth0" for number in range(PORTS)], np.random.default_rng(seed)
    few = Stations.on(devices)  # teaching every bridge every MAC one by one would take longer than the rest
    yield "walk", _rate(_one_by_one(star(), few, rng), ONE_BY_ONE)
    yield "events, 1 µs cables", _rate(_one_by_one(star(cabled=True), few, rng), ONE_BY_ONE)
    stations = Stations.on(devices, MACS // PORTS)
    lessons, frames = announce(stations), _traffic(stations, AT_ONCE, rng)
    for engine in ("numpy", "numba") if find_spec("numba") else ("numpy",):
        yield f"batch, {engine}", _rate(_at_once(lessons, frames, engine), AT_ONCE)


def star(cabled: bool = False) -> Lab:
    """Containers c0, c1 ... on a learning bridge, with or without a cable of 1 µs each."""
    lab = Lab()
    net = lab.network
    bridge = link_add(net, net.netns[""], LinkSpec("bridge", "br0", info={"mcast_snooping": 0}))
    link_set(net, bridge, up=True)
    for number in range(PORTS):
        ns = net.add_netns(f"c{number}")
        end: Any = link_add(net, ns, LinkSpec("veth", "eth0", peer=PeerSpec(f"p{number}", net.netns[""])))
        if cabled:
            Cable(net, end, CableOptions(delay_ns=GAP_NS))
        link_set(net, end, up=True)
        link_set(net, end.peer, master=bridge, up=True)
    return lab


def _traffic(stations: Stations, n: int, rng: np.random.Generator) -> FrameBatch:
    """Random unicast between stations of different containers."""
    each = len(stations) // PORTS
    src = rng.integers(0, len(stations), n)
    dst = (src // each * each + each + rng.integers(0, len(stations) - each, n)) % len(stations)
    return between_pairs(stations, src, dst, rng)


def _one_by_one(lab: Lab, stations: Stations, rng: np.random.Generator) -> Callable[[], object]:
    """Send each frame, the next a microsecond later."""
    net, clock = lab.network, lab.clock
    devices = [net.device(path) for path in stations.devices]
    for dev, frame in zip(devices, announce(stations), strict=True):
        net.send(dev, frame)
    clock.advance(clock.now + 100 * GAP_NS)
    batch = _traffic(stations, ONE_BY_ONE, rng)
    work = [(devices[number], frame) for number, frame in zip(batch.ingress.tolist(), batch, strict=True)]

    def run() -> None:
        for number, (dev, frame) in enumerate(work):
            clock.post(clock.now + number * GAP_NS, partial(net.send, dev, frame))
        clock.advance(clock.now + (len(work) + 100) * GAP_NS)

    return run


def _at_once(lessons: FrameBatch, frames: FrameBatch, engine: str) -> Callable[[], object]:
    """Octets in, every delivery and every counter out."""
    pipeline = core.compile(star(), engine)
    pipeline.forward(lessons)

    def run() -> object:
        made = FrameBatch.from_octets(frames.head, devices=frames.devices, ingress=frames.ingress)
        outcome = pipeline.forward(made)
        return outcome.copies(), outcome.totals()

    return run


def _rate(work: Callable[[], object], frames: int) -> float:
    """Frames a CPU second; once beforehand for what is only done once."""
    work()
    used, done = 0.0, 0
    while used < LEAST_S:
        start = process_time()
        work()
        used += process_time() - start
        done += frames
    return done / used
