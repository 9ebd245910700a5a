"""Random networks and frames: the event engine with ideal cables shows exactly what the synchronous walk shows."""

from __future__ import annotations

from typing import Any

import pytest

from simvlan.clock import SECOND, HeapClock
from simvlan.devices.veth import Veth
from simvlan.engines.events import EventClock
from simvlan.engines.walk import walk
from simvlan.links import Cable
from simvlan.trace import Step
from tests.networks import World


def told(step: Step) -> tuple[Any, ...]:
    """A step, its octets included."""
    return step.t_ns, step.path, step.way, step.rule, step.notes, step.outcome, step.drop, bytes(step.frame)


def history(seed: int, clock: Any, cables: bool) -> list[tuple[Any, ...]]:
    """Every step of random frames through a random network that changes meanwhile."""
    world = World(seed, clock)
    for dev in world.devices():
        if cables and isinstance(dev, Veth) and dev.wire is None:
            Cable(world.net, dev)
    steps: list[tuple[Any, ...]] = []
    for _ in range(25):
        if world.rng.random() < 0.1:
            world.disturb()
        devices = world.devices()
        if devices:
            steps += map(told, walk(world.net, world.rng.choice(devices), world.frame()))
        clock.advance(clock.now + world.rng.choice((0, 0, 1_000, SECOND)))
    steps += [
        (dev.path, dev.rx_packets, dev.rx_bytes, dev.rx_dropped, dev.tx_packets, dev.tx_bytes)
        for dev in world.devices()
    ]
    return steps


@pytest.mark.parametrize("seed", range(40))
def test_events_at_zero_delay_are_the_walk(seed: int) -> None:
    """Heap clock without cables, SimPy clock with ideal ones: the same steps in the same order, the same counters."""
    synchronous = history(seed, HeapClock(), cables=False)
    assert len(synchronous) > 25
    assert history(seed, EventClock(), cables=True) == synchronous
