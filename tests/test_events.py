"""The event clock keeps integer time and order, and a network can be frozen and continued exactly."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from simvlan.clock import Clock, HeapClock
from simvlan.devices.veth import Veth, join
from simvlan.engines.events import EventClock, restore, snapshot
from simvlan.engines.walk import walk
from simvlan.errors import Unsupported
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.verdict import Drop

A, B = 0x02_00_00_00_00_0A, 0x02_00_00_00_00_0B


def frame(payload: bytes = b"x" * 46, dst: int = B, src: int = A) -> Frame:
    return Frame(dst, src, 0x88B5, payload)


def pair(clock: Clock) -> Network:
    """Two namespaces joined by a veth pair, both ends up."""
    net = Network(clock)
    ends = []
    for name, mac in (("left", A), ("right", B)):
        ns = net.add_netns(name)
        end = Veth("eth0", ns, mac)
        net.register(end, ns)
        ends.append(end)
    join(*ends)
    for end in ends:
        net.set_up(end)
    return net


class Log:
    """An observer: the octets seen, with their times."""

    def __init__(self, net: Network, path: str) -> None:
        self.seen: list[tuple[int, bytes]] = []
        net.device(path).taps.append(self.tap)

    def tap(self, now: int, dev: object, frame: Frame, out: bool) -> None:
        self.seen.append((now, bytes(frame)))


class Ticker:
    """A kernel-like periodic action that draws a random delay each time."""

    def __init__(self, net: Network, path: str) -> None:
        self.net, self.path, self.ticks = net, path, 0
        net.at(net.now + 10, self.tick)

    def tick(self) -> None:
        self.ticks += 1
        self.net.originate(self.net.device(self.path), frame(self.ticks.to_bytes(4, "big")))
        self.net.at(self.net.now + self.net.rng.randrange(1, 50), self.tick)


def test_equal_times_run_first_in_first_out() -> None:
    """Timers due in the same nanosecond fire in the order in which they were set."""
    clock, order = EventClock(), []
    for number, due in enumerate((5, 3, 5, 3, 5)):
        clock.at(due, partial(order.append, number))
    assert clock.advance(5) == 5
    assert order == [1, 3, 0, 2, 4]


def test_a_time_that_has_passed_means_now_and_after_what_is_due() -> None:
    clock, order = EventClock(100), []
    clock.at(100, partial(order.append, "first"))
    clock.at(7, partial(order.append, "late"))
    clock.advance(100)
    assert (order, clock.now) == (["first", "late"], 100)


def test_advance_includes_its_end_and_stands_there() -> None:
    clock, order = EventClock(), []
    clock.at(10, partial(order.append, 10))
    clock.at(11, partial(order.append, 11))
    clock.advance(10)
    assert (order, clock.now, clock.peek()) == ([10], 10, 11)


def test_a_cancelled_timer_neither_runs_nor_moves_time() -> None:
    clock, order = EventClock(), []
    doomed = clock.at(50, partial(order.append, "no"))
    clock.at(20, partial(order.append, "yes"))
    doomed.cancel()
    assert clock.run() == 1
    assert (order, clock.now) == (["yes"], 20)


def test_step_and_peek_take_one_thing_at_a_time() -> None:
    clock, order = EventClock(), []
    clock.at(3, partial(order.append, 3))
    assert clock.peek() == 3
    assert clock.step()
    assert order == [3]
    assert not clock.step()
    assert clock.peek() is None


def test_times_stay_integers_beyond_what_a_float_can_hold() -> None:
    clock, far = EventClock(), 2**60 + 1
    times: list[int] = []
    clock.at(far, lambda: times.append(clock.now))
    clock.advance(far + 1)
    assert times == [far]
    assert isinstance(times[0], int)
    assert clock.now == far + 1


def test_a_process_of_ones_own_shares_the_environment() -> None:
    clock, seen = EventClock(), []

    def own() -> object:
        yield clock.env.timeout(5)
        seen.append(clock.now)
        clock.at(9, partial(seen.append, "action"))
        yield clock.env.timeout(4)
        seen.append(clock.now)

    clock.env.process(own())
    clock.run()
    assert seen == [5, "action", 9]


def test_both_clocks_agree_on_random_schedules() -> None:
    """The heap clock is the definition; the event clock must order any schedule the same, cancellations included."""
    for seed in range(50):
        logs = []
        for clock in (HeapClock(), EventClock()):
            rng, log, timers = Random(seed), [], []

            def act(number: int, rng=rng, log=log, timers=timers, clock=clock) -> None:  # type: ignore[no-untyped-def]
                log.append((clock.now, number))
                if number < 200:
                    timers.append(clock.at(clock.now + rng.randrange(5), partial(act, number + rng.randrange(1, 9))))
                if rng.random() < 0.2:
                    rng.choice(timers).cancel()

            for number in range(20):
                timers.append(clock.at(rng.randrange(10), partial(act, number)))
            clock.advance(500)
            logs.append(log)
        assert logs[0] == logs[1]


def test_walk_and_events_see_the_same_steps() -> None:
    """With ideal cables the event engine takes a frame along the very steps of the synchronous walk."""
    steps = []
    for clock in (HeapClock(), EventClock()):
        net = pair(clock)
        steps.append(walk(net, net.device("left/eth0"), frame()))
        assert net.tracer is None
    assert steps[0] == steps[1]
    assert [(step.path, step.way, step.drop) for step in steps[0]] == [
        ("left/eth0", "tx", None),
        ("right/eth0", "up", Drop.UNHANDLED_PROTO),
    ]


@pytest.mark.parametrize("into_old", [False, True])
def test_a_restored_network_continues_identically(into_old: bool) -> None:
    """Same timers, same random choices, same frames: what ran on after the snapshot runs again after the restore."""
    net = pair(EventClock())
    log = Log(net, "right/eth0")
    ticker = Ticker(net, "left/eth0")
    net.clock.advance(1_000)  # type: ignore[attr-defined]
    frozen = snapshot(net)
    log.seen.clear()
    net.clock.advance(5_000)  # type: ignore[attr-defined]
    first, state = list(log.seen), net.rng.getstate()
    assert len(first) > 50
    for _ in range(2):
        log.seen.clear()
        again = restore(frozen, into=net if into_old else None)
        assert (again is net) == into_old
        assert again.now == 1_000
        again.clock.advance(5_000)  # type: ignore[attr-defined]
        assert log.seen == first
        assert again.rng.getstate() == state
        assert again.device("right/eth0").rx_packets == net.device("right/eth0").rx_packets
    assert ticker.net is net


def test_a_snapshot_does_not_follow_the_living() -> None:
    net = pair(EventClock())
    frozen = snapshot(net)
    net.send(net.device("left/eth0"), frame())
    net.set_mtu(net.device("left/eth0"), 900)
    old = restore(frozen)
    assert (old.device("right/eth0").rx_packets, old.device("left/eth0").mtu) == (0, 1500)
    assert net.device("right/eth0").rx_packets == 1
    assert old.device("left/eth0").peer is old.device("right/eth0")  # type: ignore[attr-defined]
    assert old.device("left/eth0").netns is old.netns["left"]


def test_a_cancelled_timer_stays_cancelled_and_a_live_one_can_still_be_cancelled() -> None:
    """A timer that a table refers to is, after the restore, the one that is scheduled."""
    net = pair(EventClock())
    ns = net.netns["left"]
    ns.ticker = Ticker(net, "left/eth0")  # type: ignore[attr-defined]
    ns.timer = net.at(500, ns.ticker.tick)  # type: ignore[attr-defined]
    other = restore(snapshot(net))
    twin = other.netns["left"]
    assert twin.ticker.net is other  # type: ignore[attr-defined]
    before = len(list(other.clock.pending()))  # type: ignore[attr-defined]
    twin.timer.cancel()  # type: ignore[attr-defined]
    assert len(list(other.clock.pending())) == before - 1  # type: ignore[attr-defined]
    assert len(list(net.clock.pending())) == before  # type: ignore[attr-defined]


def test_a_large_network_copies_without_deep_recursion() -> None:
    net = Network(EventClock())
    last = None
    for number in range(1500):
        ns = net.add_netns(f"n{number}")
        one, two = Veth("in", ns), Veth("out", ns)
        net.register(one, ns)
        net.register(two, ns)
        if last is not None:
            join(last, one)
        last = two
    copied = restore(snapshot(net))
    assert copied.device("n700/out").peer is copied.device("n701/in")  # type: ignore[attr-defined]


def test_foreign_processes_are_refused_by_name() -> None:
    net = pair(EventClock())
    net.clock.env.timeout(5).callbacks.append(print)  # type: ignore[attr-defined]
    with pytest.raises(Unsupported, match="cannot be copied"):
        snapshot(net)
    net.clock.advance(6)  # type: ignore[attr-defined]
    snapshot(net)


def test_the_heap_clock_can_be_snapshotted_too() -> None:
    net = pair(HeapClock())
    log = Log(net, "right/eth0")
    Ticker(net, "left/eth0")
    frozen = snapshot(net)
    net.clock.advance(300)  # type: ignore[attr-defined]
    first = list(log.seen)
    log.seen.clear()
    restore(frozen).clock.advance(300)  # type: ignore[attr-defined]
    assert log.seen == first
    assert first
