"""Random networks and frames: nothing crashes, every frame is accounted for, the same seed gives the same captures."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simvlan import transmission
from simvlan.clock import SECOND
from simvlan.devices.device import Device
from simvlan.engines.events import EventClock, restore, snapshot
from simvlan.frame import Frame
from simvlan.links import Cable, CableOptions
from simvlan.network import Network, Told
from simvlan.qdisc.netem import Netem, NetemOptions
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from tests.networks import Ledger, World

seeds = st.integers(0, 2**32)
relaxed = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True, scope="module")
def small_storms() -> Iterator[None]:
    """Random networks hold loops; a storm is called one sooner here, so that it does not fill the test's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transmission, "STORM_LIMIT", 2_000)
        yield


class Captures(list[tuple[int, str, bool, bytes]]):
    """What every device saw, in order."""

    def attach(self, net: Network) -> "Captures":
        net.watchers.append(self.watch)
        for dev in net.devices():
            dev.taps.append(self.tap)
        return self

    def watch(self, dev: Device, what: str) -> None:
        if what == "add" and self.tap not in dev.taps:
            dev.taps.append(self.tap)

    def tap(self, now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
        self.append((now, dev.path, outgoing, bytes(frame)))


def drive(world: World, frames: int, clock: Any) -> None:
    """Send random frames at random devices, changing the network now and then, and let time pass."""
    for _ in range(frames):
        if world.rng.random() < 0.1:
            world.disturb()
        devices = world.devices()
        if devices:
            world.net.send(world.rng.choice(devices), world.frame())
        clock.advance(clock.now + world.rng.choice((0, 0, 1_000, SECOND)))


@given(seeds)
@relaxed
def test_every_frame_is_accounted_for(seed: int) -> None:
    """Each frame and each copy ends exactly once: delivered, dropped by name, or split into copies that do."""
    clock = EventClock()
    world = World(seed, clock)
    ledger = world.net.tracer = Ledger()
    drive(world, 25, clock)
    clock.advance(clock.now + 120 * SECOND)  # reassembly and neighbour queues let go
    assert ledger.born
    assert not ledger.unbalanced()


@given(seeds)
@settings(relaxed, max_examples=100)
def test_the_same_seed_gives_the_same_captures(seed: int) -> None:
    """Nothing depends on hash order, addresses in memory, or the wall clock."""

    def captures() -> Captures:
        clock = EventClock()
        world = World(seed, clock)
        seen = Captures().attach(world.net)
        drive(world, 15, clock)
        return seen

    assert captures() == captures()


@given(seeds)
@settings(relaxed, max_examples=100)
def test_tracing_changes_nothing(seed: int) -> None:
    """A traced run forwards as an untraced one."""

    def captures(traced: bool) -> Captures:
        clock = EventClock()
        world = World(seed, clock)
        seen = Captures().attach(world.net)
        if traced:
            world.net.tracer = Ledger()
        drive(world, 15, clock)
        return seen

    assert captures(True) == captures(False)


@given(seeds)
@settings(relaxed, max_examples=100)
def test_a_restored_network_continues_identically(seed: int) -> None:
    """snapshot, go on, restore, go on again: the same frames at the same places and times."""
    clock = EventClock()
    world = World(seed, clock)
    drive(world, 8, clock)
    frames = [(world.rng.choice(world.devices()).path, world.frame()) for _ in range(8)] if world.devices() else []
    frozen = snapshot(world.net)

    def go_on(net: Network) -> Captures:
        seen = Captures().attach(net)
        own: Any = net.clock
        for path, frame in frames:
            net.send(net.device(path), frame)
            own.advance(own.now + SECOND)
        own.advance(own.now + 40 * SECOND)
        return seen

    assert go_on(restore(frozen)) == go_on(restore(frozen)) == go_on(world.net)


@pytest.mark.parametrize("where", ["cable", "netem"])
def test_duplicates_are_accounted_for(where: str) -> None:
    """A frame that a cable or netem doubles ends in two copies, each of which ends itself."""
    clock = EventClock()
    net = Network(clock)
    near: Any = link_add(net, net.netns[""], LinkSpec("veth", "a0", peer=PeerSpec("b0", net.add_netns("b"))))
    if where == "cable":
        Cable(net, near, CableOptions(delay_ns=5, duplicate=1.0))
    else:
        near.qdisc = Netem(NetemOptions(delay_ns=5, duplicate=2**32 - 1), Random(1))
    for dev in (near, near.peer):
        link_set(net, dev, up=True)
    ledger = net.tracer = Ledger()
    net.send(near, Frame(near.peer.mac, near.mac, 0x88B5, bytes(46)))
    clock.advance(SECOND)
    assert near.peer.rx_packets == 2
    assert not ledger.unbalanced()


def test_the_ledger_bites() -> None:
    """A frame that ends nowhere, or twice, is seen."""
    ledger = Ledger()
    dev: Any = None
    frame = Frame(0, 0, 0, b"")
    ledger.step(Told(0, 1, 0, dev, "rx", frame, [], None, [(None, dev, frame)]))
    assert ledger.unbalanced() == {1: 0}
    ledger.step(Told(0, 1, 0, dev, "up", frame, [], None))
    assert not ledger.unbalanced()
    ledger.step(Told(0, 1, 0, dev, "up", frame, [], None))
    assert ledger.unbalanced() == {1: 2}
