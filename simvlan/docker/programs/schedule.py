"""Who waits for what in a container: events, timeouts and the tasks that yield them, on the network's own clock.

The commands of `simvlan.tools` are generators that yield SimPy events. Here they yield these instead, which are made of
the network's timers only: a network can then be copied (`trace`, `matrix`) while programs run in its containers, and
the copies hear nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

from simvlan.docker.runtime import later


class Event:
    """Something that may happen once; whoever waits is told as a deferred action of its own."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.triggered = self.processed = False
        self.value: Any = None
        self.callbacks: list[Callable[[Event], None]] = []

    def succeed(self, value: Any = None) -> Event:
        """Let it happen now."""
        if not self.triggered:
            self.triggered, self.value = True, value
            self.env.soon(self._tell)
        return self

    def _tell(self) -> None:
        self.processed = True
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback(self)

    def then(self, callback: Callable[[Event], None]) -> None:
        """Be called when it has happened."""
        if self.processed:
            self.env.soon(lambda: callback(self))
        else:
            self.callbacks.append(callback)

    def leave(self, callback: Callable[[Event], None]) -> None:
        """Wait no longer."""
        if callback in self.callbacks:
            self.callbacks.remove(callback)

    def __or__(self, other: Event) -> Event:
        return Either(self.env, (self, other))

    def __deepcopy__(self, memo: dict[int, Any]) -> Event:
        return Nobody()


class Nobody(Event):
    """What an event is in a copy of the network: it happens without anybody hearing of it."""

    def __init__(self) -> None:
        self.triggered = self.processed = True
        self.value = None
        self.callbacks = []


class Timeout(Event):
    """Happens after a time."""

    def __init__(self, env: Env, delay_ns: int) -> None:
        super().__init__(env)
        self._timer = later(env.network, max(0, int(delay_ns)), self._due)

    def _due(self) -> None:
        self.triggered = True
        self._tell()

    def leave(self, callback: Callable[[Event], None]) -> None:
        """Wait no longer; nobody waiting, the timer is of no use."""
        super().leave(callback)
        if not self.callbacks:
            self._timer.cancel()


class Either(Event):
    """Happens with the first of several."""

    def __init__(self, env: Env, parts: tuple[Event, ...]) -> None:
        super().__init__(env)
        self._parts = parts
        for part in parts:
            part.then(self._first)

    def _first(self, _part: Event) -> None:
        if not self.triggered:
            self.triggered = True
            self._drop()
            self._tell()

    def _drop(self) -> None:
        for part in self._parts:
            part.leave(self._first)

    def leave(self, callback: Callable[[Event], None]) -> None:
        """Wait for none of them any longer."""
        super().leave(callback)
        if not self.callbacks:
            self._drop()


class Env:
    """The part of a SimPy environment that tools use."""

    def __init__(self, network: Any) -> None:
        self.network = network

    @property
    def now(self) -> int:
        """The current time in ns."""
        return int(self.network.now)

    def event(self) -> Event:
        """Something that somebody will let happen."""
        return Event(self)

    def timeout(self, delay_ns: float) -> Event:
        """Happens after a time; never, after an infinite one."""
        return Event(self) if delay_ns == float("inf") else Timeout(self, int(delay_ns))

    def soon(self, action: Callable[[], object]) -> None:
        """Do it now, after what is being done."""
        later(self.network, 0, action)

    def __deepcopy__(self, memo: dict[int, Any]) -> Env:
        return Env(None)


class Task:
    """A generator that is run: it yields events and is resumed when they happen, or interrupted."""

    def __init__(
        self, env: Env, program: Generator[Any, Any, int], ended: Callable[[int | BaseException], None]
    ) -> None:
        self.env = env
        self.alive = True
        self.frozen = False
        self._running = False
        self._program = program
        self._ended = ended
        self._awaited: Event | None = None
        self._held: list[Callable[[], None]] = []
        env.soon(lambda: self._run(lambda: program.send(None)))

    def interrupt(self, cause: str) -> None:
        """Throw `simpy.Interrupt(cause)` into it, at once if it waits; when it does, if it runs just now."""
        if self._running:
            self.env.soon(lambda: self.interrupt(cause))
            return
        self._run(lambda: self._throw(cause))

    def _throw(self, cause: str) -> Any:
        if self._awaited is not None:
            self._awaited.leave(self._resume)
            self._awaited = None
        return self._program.throw(simpy.Interrupt(cause))

    def freeze(self, frozen: bool) -> None:
        """Hold it, or let it go on with what it has missed."""
        self.frozen = frozen
        while self._held and not self.frozen:
            self._run(self._held.pop(0))

    def kill(self) -> None:
        """End it without a word."""
        if self.alive:
            self.alive = False
            if self._awaited is not None:
                self._awaited.leave(self._resume)
            try:
                self._program.close()
            except ValueError:
                pass  # it is running: it has killed itself and ends at its next wait
            except RuntimeError:
                pass  # it went on after it was told to end

    def _resume(self, event: Event) -> None:
        if event is self._awaited:
            self._run(lambda: self._program.send(self._take(event)))

    def _take(self, event: Event) -> Any:
        self._awaited = None
        return event.value

    def _run(self, step: Callable[[], Any]) -> None:
        if not self.alive:
            return
        if self.frozen:
            self._held.append(step)
            return
        self._running = True
        try:
            event = step()
        except StopIteration as stop:
            self._end(int(stop.value or 0))
        except BaseException as error:
            self._end(error)
        else:
            if self.alive:
                self._awaited = event
                event.then(self._resume)
        finally:
            self._running = False

    def _end(self, outcome: int | BaseException) -> None:
        if self.alive:
            self.alive = False
            self._ended(outcome)
