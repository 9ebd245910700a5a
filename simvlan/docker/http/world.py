"""Time in a served world: what is asked is done, timers run when their moment comes, on the wall's clock or as fast as
it goes while some client waits for it."""

from __future__ import annotations

import selectors
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from simvlan.docker.http.sockets import Sockets
from simvlan.engines.live import LiveEngine
from simvlan.tools.program import FOREVER, next_event

if TYPE_CHECKING:
    from simvlan.lab import Lab

T = TypeVar("T")

SLICE_S = 0.02
"""Wall time after which a long stretch of simulation looks at the sockets again."""
REAP_S = 0.5
LEISURE_S = 0.05
"""Time without an event that is enough for a step of what has no haste."""


class World:
    """A lab whose engines are served.

    Args:
        lab: the simulated world.
        fast: time passes as quickly as it can while a client waits for it, and stands still otherwise.
        speed: without *fast*: how many seconds pass in the lab in one of the wall's.
    """

    def __init__(self, lab: Lab, *, fast: bool = False, speed: float = 1.0) -> None:
        self.lab, self.fast, self.speed = lab, fast, speed
        self.engine = LiveEngine(lab.clock, speed=speed)
        self.selector = self.engine.selector
        self.sockets = Sockets(self.selector)
        self.stopped = False
        self.tasks: set[object] = set()
        """What else waits for time to pass: commands of the control socket."""
        self.closing: list[Callable[[], None]] = []
        """What else is to be closed with it."""
        self.leisure: Iterator[Callable[[], object]] = iter(())
        """What is done while nobody asks for anything, one step at a time."""
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self.selector.register(self._woken, selectors.EVENT_READ, lambda _mask: self._woken.recv(4096))
        self._calls: deque[Callable[[], None]] = deque()

    def stop(self) -> None:
        """End `run`, from wherever it is called."""
        self.stopped = True
        self._waker.send(b"x")

    def call(self, action: Callable[[], T]) -> T:
        """Have the serving thread do something between two events; for other threads. Raises what it raised."""
        answer: Future[T] = Future()

        def do() -> None:
            try:
                answer.set_result(action())
            except BaseException as error:
                answer.set_exception(error)

        self._calls.append(do)
        self._waker.send(b"x")
        return answer.result()

    def run(self) -> None:
        """Serve until stopped."""
        while not self.stopped:
            self._act()
            self.sockets.flush()
            pause, patience = self.sockets.pause(), self._patience()
            if patience > LEISURE_S and pause is None and (step := next(self.leisure, None)):
                step()
                patience = 0.0
            self.engine.wait(patience if pause is None else min(patience, pause), timed=not self.fast)
            self.sockets.reap()

    def close(self) -> None:
        """Let go of everything."""
        while self.closing:
            self.closing.pop()()
        self.sockets.close()
        self.engine.close()
        self._woken.close()
        self._waker.close()

    def _act(self) -> None:
        """Let the time that has passed pass, then begin what is asked."""
        while self._calls:
            self._calls.popleft()()
        self.catch_up()
        self.sockets.begin()
        self._advance(self.lab.now)
        if self.fast:
            self._race()

    def catch_up(self) -> None:
        """Everything due by the wall's clock, as far as a slice of its time reaches."""
        try:
            if not self.fast:
                self.engine.catch_up()
        except Exception:
            _report()

    def _advance(self, until_ns: int) -> None:
        """Everything due up to a moment, as far as a slice of wall time reaches."""
        end = time.monotonic() + SLICE_S
        while next_event(self.lab) <= until_ns:
            self._step()
            if time.monotonic() > end:
                return
        if until_ns > self.lab.now:
            self.lab.clock.advance(until_ns)

    def _race(self) -> None:
        """Instant after instant while a client waits for time to pass."""
        end = time.monotonic() + SLICE_S
        while time.monotonic() < end and not self.sockets.asked:
            moment = next_event(self.lab)
            if moment == FOREVER or not (self.sockets.waiting or self.tasks) or self.sockets.held_up:
                return
            while next_event(self.lab) <= moment:
                self._step()
            self.sockets.flush()

    def _step(self) -> None:
        try:
            self.lab.step()
        except Exception:
            _report()

    def _patience(self) -> float:
        """How long to wait for a client: until the next event is due."""
        if self.sockets.asked:
            return 0.0
        moment = next_event(self.lab)
        if self.fast:
            idle = moment == FOREVER or not (self.sockets.waiting or self.tasks) or self.sockets.held_up
            return REAP_S if idle else 0.0
        if moment == FOREVER:
            return REAP_S
        return min(REAP_S, max(0.0, (moment - self.engine.due()) / 1e9 / self.speed))


def _report() -> None:
    """An event's trouble must not end the others'."""
    print("simvlan: internal error, please report it", file=sys.stderr)
    traceback.print_exc()
