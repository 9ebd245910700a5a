"""The event engine: a network's clock on a SimPy environment, and snapshots of a network with everything pending.

Time is an int of nanoseconds. A deferred action lies in SimPy's queue as it is, beside SimPy's own events, and is
called when its time comes: no event object or process per frame. What is due at the same time runs in the order in
which it was scheduled. Stands for the kernel's hrtimers and timers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from simpy import Environment
from simpy.events import NORMAL, Event

from simvlan.errors import Unsupported

if TYPE_CHECKING:
    from simvlan.network import Network


class EventTimer:
    """One pending action that can be cancelled."""

    __slots__ = ("action", "time_ns")

    def __init__(self, time_ns: int, action: Callable[[], object]) -> None:
        self.time_ns = time_ns
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        """Forget the action; harmless once it has run."""
        self.action = None

    def __call__(self) -> None:
        """Run the action, once."""
        action, self.action = self.action, None
        if action is not None:
            action()


class _Environment(Environment):
    """SimPy's environment, telling its clock the time whoever runs it."""

    def __init__(self, now: int, clock: EventClock) -> None:
        super().__init__(now)
        self._clock = clock

    def step(self) -> None:
        queue = self._queue
        if queue:
            self._clock.now = int(queue[0][0])
            action: Any = queue[0][3]
            if not isinstance(action, Event):
                self._now = heappop(queue)[0]
                action()
                return
        super().step()


class EventClock:
    """Virtual time kept by SimPy; `env` is open for processes of one's own (which a snapshot then refuses)."""

    def __init__(self, now: int = 0) -> None:
        self.now = now
        """The current time in ns; kept beside SimPy's own because every frame asks for it."""
        self.env: Environment = _Environment(now, self)
        self._env: Any = self.env  # the same, seen without SimPy's `int | float` times
        self._queue: list[Any] = self._env._queue
        self._next_id: Callable[[], int] = self._env._eid.__next__

    def at(self, time_ns: int, action: Callable[[], object], first: bool = False) -> EventTimer:
        """Run *action* at a time (at once if it has passed), after everything already due then, or before (`first`)."""
        timer = EventTimer(max(time_ns, self.now), action)
        number = self._next_id()
        heappush(self._queue, (timer.time_ns, NORMAL, -number if first else number, timer))
        return timer

    def post(self, time_ns: int, action: Callable[[], object]) -> None:
        """Do the same for good: it cannot be cancelled, which costs less."""
        heappush(self._queue, (time_ns if time_ns > self.now else self.now, NORMAL, self._next_id(), action))

    def peek(self) -> int | None:
        """Return when the next thing happens, None when nothing is pending."""
        queue = self._queue
        while queue:
            head = queue[0]
            if head[3].__class__ is not EventTimer or head[3].action is not None:
                return head[0]  # type: ignore[no-any-return]
            heappop(queue)  # cancelled: it must not move time
        return None

    def step(self) -> bool:
        """Do the next thing; False when nothing is pending."""
        if self.peek() is None:
            return False
        self.env.step()
        return True

    def advance(self, until_ns: int) -> int:
        """Do everything due up to *until_ns*, then stand there; returns how many things were done.

        This is Environment.run with its step inlined for everything that is not SimPy's own, which is nearly all.
        """
        done, env = 0, self._env
        queue = env._queue
        while queue:
            due, _, _, action = queue[0]
            if due > until_ns:
                break
            if action.__class__ is not partial:
                if isinstance(action, Event):
                    env.step()
                    done += 1
                    continue
                if action.__class__ is EventTimer and action.action is None:
                    heappop(queue)  # cancelled: it must not move time
                    continue
            heappop(queue)
            env._now = self.now = due
            action()
            done += 1
        env._now = self.now = max(self.now, until_ns)  # Environment.run(until) would leave its stop event behind
        return done

    def run(self, until_ns: int | None = None) -> int:
        """Advance to a time, or without one until nothing is pending (periodic timers never let that happen)."""
        if until_ns is not None:
            return self.advance(until_ns)
        done = 0
        while self.step():
            done += 1
        return done

    def pending(self) -> Iterator[tuple[int, Callable[[], object]]]:
        """Yield what is scheduled and not cancelled as (time in ns, action), in the order in which it will run.

        Raises:
            Unsupported: somebody put events of their own into the environment.
        """
        for time_ns, _, _, action in sorted(self._env._queue, key=lambda entry: entry[:3]):
            if isinstance(action, Event):
                if action.callbacks:  # else an interrupted process left it behind
                    raise Unsupported(f"a SimPy process of your own is pending ({action!r}): it cannot be copied")
            elif action.__class__ is not EventTimer or action.action is not None:
                yield time_ns, action

    def __deepcopy__(self, memo: dict[int, Any]) -> EventClock:
        """Copy the clock into a fresh environment, pending actions in the same order."""
        twin = memo[id(self)] = EventClock(self.now)
        for time_ns, action in self.pending():
            twin.post(time_ns, copy.deepcopy(action, memo))
        return twin


# -- snapshots ------------------------------------------------------------------------------------------------------


class Snapshot:
    """A frozen world: configuration, tables, counters, queued frames, timers and random generators.

    `snapshot` makes one. Around a living network it lasts as long as that is left alone: good for a copy at once.
    """

    def __init__(self, network: Network) -> None:
        self._frozen = network

    def __repr__(self) -> str:
        return f"<Snapshot: {len(self._frozen.netns) - 1} namespaces, t = {self._frozen.now / 1e9:g} s>"


def snapshot(network: Network) -> Snapshot:
    """Copy everything a network is; observers (captures, tracer, watchers) are shared, not copied.

    Raises:
        Unsupported: SimPy processes of one's own are pending in its clock.
    """
    return Snapshot(_duplicate(network, None))


def restore(frozen: Snapshot, into: Network | None = None) -> Network:
    """Return the world as it was: a new network, or *into* overwritten (its old devices are then strangers).

    A snapshot can be restored any number of times.
    """
    return _duplicate(frozen._frozen, into)


def _duplicate(network: Network, into: Network | None) -> Network:
    """Deep-copy a network, object by object: nested copying would recurse once per device."""
    memo: dict[int, Any] = {}
    _share_observers(network, memo)
    twin = into if into is not None else network.__class__.__new__(network.__class__)
    memo[id(network)] = twin
    fresh = [(thing, _shell(thing, memo)) for thing in _landmarks(network)]
    state = {name: copy.deepcopy(value, memo) for name, value in vars(network).items()}
    for thing, shell in fresh:
        _fill(shell, copy.deepcopy(thing.__reduce_ex__(4)[2], memo))
    twin.__dict__.clear()
    twin.__dict__.update(state)
    return twin


def _share_observers(network: Network, memo: dict[int, Any]) -> None:
    """Make the copy keep the same tracer, watchers and packet sockets, in lists of its own."""
    memo[id(network.watchers)] = list(network.watchers)
    if network.tracer is not None:
        memo[id(network.tracer)] = network.tracer
    for dev in network.devices():
        memo[id(dev.taps)] = list(dev.taps)


def _landmarks(network: Network) -> Iterator[Any]:
    """Yield the objects that everything else refers to."""
    for ns in network.netns.values():
        yield ns
        yield ns.stack
        yield from ns.devices.values()
    seen: set[int] = set()
    for dev in network.devices():
        if dev.rx_handler is not None and id(dev.rx_handler) not in seen and dev.rx_handler is not dev:
            seen.add(id(dev.rx_handler))
            yield dev.rx_handler


def _shell(thing: Any, memo: dict[int, Any]) -> Any:
    """Make an empty object of the same class, to be filled later."""
    shell = memo[id(thing)] = thing.__class__.__new__(thing.__class__)
    return shell


def _fill(shell: Any, state: Any) -> None:
    """Give an empty object its attributes: a dictionary, and those kept in slots."""
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    for name, value in {**(attributes or {}), **(slots or {})}.items():
        setattr(shell, name, value)
