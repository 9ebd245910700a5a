"""Virtual time for the synchronous engine: a heap of timers, first in first out among equals. Integer nanoseconds."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000
TICK = 10 * MILLISECOND
"""A clock_t (USER_HZ), in which the kernel takes and shows settings; a jiffy of a kernel with HZ=100."""


class Timer(Protocol):
    """A pending action."""

    def cancel(self) -> None:
        """Forget the action; harmless once it has run."""


class Clock(Protocol):
    """What a network needs of time."""

    @property
    def now(self) -> int:
        """The current time in ns."""

    def at(self, time_ns: int, action: Callable[[], object], first: bool = False) -> Timer:
        """Run *action* at a time, after everything already due then, or before it (`first`)."""

    def post(self, time_ns: int, action: Callable[[], object]) -> None:
        """Do the same for good: it cannot be cancelled, which costs less."""


class HeapTimer:
    """One entry of a HeapClock."""

    __slots__ = ("action", "seq", "time_ns")

    def __init__(self, time_ns: int, seq: int, action: Callable[[], object]) -> None:
        self.time_ns = time_ns
        self.seq = seq
        self.action: Callable[[], object] | None = action

    def __lt__(self, other: HeapTimer) -> bool:
        return (self.time_ns, self.seq) < (other.time_ns, other.seq)

    def cancel(self) -> None:
        """Forget the action."""
        self.action = None


class HeapClock:
    """Time that moves only when `advance` is called."""

    def __init__(self, now: int = 0) -> None:
        self.now = now
        self._heap: list[HeapTimer] = []
        self._seq = 0

    def at(self, time_ns: int, action: Callable[[], object], first: bool = False) -> HeapTimer:
        """Schedule an action."""
        self._seq += 1
        timer = HeapTimer(max(time_ns, self.now), -self._seq if first else self._seq, action)
        heappush(self._heap, timer)
        return timer

    def post(self, time_ns: int, action: Callable[[], object]) -> None:
        """Schedule an action for good."""
        self.at(time_ns, action)

    def advance(self, until_ns: int) -> int:
        """Run everything due up to *until_ns*, then stand there; returns how many actions ran."""
        ran = 0
        while self._heap and self._heap[0].time_ns <= until_ns:
            timer = heappop(self._heap)
            if timer.action is not None:
                self.now = timer.time_ns
                timer.action()
                ran += 1
        self.now = max(self.now, until_ns)
        return ran
