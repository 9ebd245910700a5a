"""A scenario of a seed: lines, and what the simulator did with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

from simvlan.oracle.fuzz import ipv6_timed as six_timed
from simvlan.oracle.fuzz.building import build
from simvlan.oracle.fuzz.changes import change
from simvlan.oracle.fuzz.clocks import CLOCKS, CLOCKS6, LISTENERS, Clock, clock_of
from simvlan.oracle.fuzz.frames import shoot
from simvlan.oracle.fuzz.sketch import Sketch, Storm
from simvlan.oracle.fuzz.world import World
from simvlan.oracle.kernels import Kernel
from simvlan.oracle.observation import Observation, subjects

ROUNDS = 4
"""Bursts of frames, changes between them."""

CHANGES, CHANGES6 = (1, 4), (3, 7)
"""How many changes come between two; the second where IPv6 has a clock, and so few rounds."""

TIMED_ROUNDS = 2
"""So many where bursts wait for true."""

SNOOPING = 0.2
"""Of how many scenarios bridges snoop."""

_LISTED6 = ("route6",)
_LISTED = {"uml": ("link", "fdb", "vlan", "addr", "neigh"), "host": ("link", "fdb")}


@dataclass(frozen=True)
class Scenario:
    """One network of a seed."""

    seed: int
    lines: list[str]
    ours: Observation
    frames: int
    labels: dict[str, str]
    """Kind and mode of the device at each capture point."""
    routed: frozenset[str]
    """Capture points of ipvlans that sent by routes at some time."""
    doubtful: bool = False
    """Whether a macvlan's filter may decide by chance in it."""
    calm: tuple[tuple[int, int], ...] = ()
    """When it slept for true, in ns."""


def generate(seed: int, kernel: Kernel, frames: int, *, ipv6: bool = False, timed: bool = False) -> Scenario:
    """The scenario of a seed, with IPv6 or without; networks with a loop are passed over.

    `timed`: one for which the clock matters.
    """
    family = " ipv6" if ipv6 else ""
    clocks = CLOCKS6 if ipv6 else CLOCKS
    clock = clocks[seed % len(clocks)] if timed else None
    for attempt in range(1000):
        with suppress(Storm):
            return _draw(seed, Random(f"fuzz{family} {seed} {attempt}"), kernel, frames, ipv6, clock)
    raise RuntimeError(f"seed {seed}: every network has a loop")


def _draw(seed: int, rng: Random, kernel: Kernel, frames: int, ipv6: bool, clock: Clock | None) -> Scenario:
    snooping = kernel == "uml" and not (ipv6 or clock) and Random(f"snooping {seed}").random() < SNOOPING
    snooping |= clock is LISTENERS
    sketch = Sketch(rng, host=kernel == "host", snooping=snooping, ipv6=ipv6, clock=clock)
    build(sketch)
    for left in range(TIMED_ROUNDS if clock else ROUNDS, 0, -1):
        sketch.settle()
        if sketch.clock6:
            six_timed.rest(sketch)
        shoot(sketch, frames // left if left > 1 else frames)
        frames -= frames // left if left > 1 else frames
        if sketch.clock6:
            six_timed.rest(sketch)
        for _ in range(rng.randint(*(CHANGES6 if sketch.clock6 else CHANGES)) if left > 1 else 0):
            change(sketch)
    if sketch.clock6:
        six_timed.rest(sketch)
    _listings(sketch, kernel)
    return replace(_observed(seed, sketch.world, sketch.lines), doubtful=sketch.doubtful)


def _observed(seed: int, world: World, lines: list[str]) -> Scenario:
    sent = sum(line.startswith("simvlan send") for line in lines)
    shown = world.observation(lines)
    return Scenario(seed, lines, shown, sent, world.labels, frozenset(world.routed), calm=tuple(world.calm))


def _listings(sketch: Sketch, kernel: Kernel) -> None:
    """What a person would look at in the end; a newer kernel has more details than 6.1."""
    sketch.settle()
    for space in sketch.spaces:
        bridged = any(line.startswith(f"ip -n {space} ") and " type bridge " in line for line in sketch.lines)
        for subject in (*_LISTED[kernel], *(_LISTED6 if sketch.ipv6 else ())):
            if (subject in ("addr", "neigh") and not (sketch.addressed or sketch.ipv6)) or (
                subject in ("fdb", "vlan") and not bridged
            ):
                continue
            if subject == "vlan" and not sketch.filtering:
                continue
            tool, *words = subjects(ipv6=True)[subject]
            words = [word for word in words if kernel == "uml" or word != "-d"]
            sketch.do(f"{tool} -n {space} {' '.join(words)}{' dynamic' if subject == 'fdb' and sketch.host else ''}")
        if sketch.snooping and bridged:
            sketch.do(f"bridge -n {space} -j mdb show")


def follow(
    seed: int, lines: list[str], alike: Mapping[str, tuple[tuple[int, int], ...]] | None = None, *,
    several: bool = False,
) -> Scenario:  # fmt: skip
    """A scenario kept as lines, on the simulator as it is now; `alike` and `several`: as World has them."""
    world = World(alike=alike, rounds=any(map(switches_ipv6, lines)), several=several)
    for line in lines:
        world.do(line)
    return _observed(seed, world, lines)


def shortened(scenario: Scenario, lines: Iterable[str], kernel: Kernel) -> Scenario | None:
    """The scenario with these of its lines only; None when that makes a loop."""
    sketch = Sketch(
        Random(0),
        host=kernel == "host",
        ipv6=any(map(switches_ipv6, scenario.lines)),
        clock=clock_of(scenario.lines),
    )
    with suppress(Storm):
        sketch.replay(lines)
        return replace(_observed(scenario.seed, sketch.world, sketch.lines), doubtful=scenario.doubtful)
    return None


def switches_ipv6(line: str) -> bool:
    """Whether a line gives a namespace IPv6."""
    return line.endswith("net.ipv6.conf.default.disable_ipv6=0")
