"""The live engine: the event engine on the wall's clock, with one step that waits for descriptors and the next event.

The lab's time follows CLOCK_MONOTONIC, so that a stepped wall clock moves nothing. An event runs when its time has
come, never before; how late it ran is recorded. Waiting is epoll(7) with a timerfd(2) in it, because epoll's own
timeout counts milliseconds. Stands for the kernel's hrtimers and NAPI.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simvlan.engines.events import EventClock

CLOCK_MONOTONIC, TFD_NONBLOCK, TFD_CLOEXEC = 1, 0o4000, 0o2000000
SLICE_NS = 20_000_000
"""Wall time after which a long stretch of simulation looks at the descriptors again."""
BUCKETS = 40
"""Powers of two of nanoseconds: the last begins at nine minutes."""
STALL_NS = 1_000_000_000
"""A pause of the process as long as this is reported as such."""


class Alarm:
    """A timerfd that becomes readable at a monotonic time in ns."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self.fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), "timerfd_create")
        self._value = ctypes.create_string_buffer(32)
        self._set_to = -1

    def set(self, time_ns: int) -> None:
        """Ring at a time, in place of any other."""
        if time_ns != self._set_to:
            self._set_to = time_ns
            struct.pack_into("4q", self._value, 0, 0, 0, *divmod(max(time_ns, 1), 1_000_000_000))
            self._libc.timerfd_settime(self.fd, 1, self._value, None)  # 1: TFD_TIMER_ABSTIME

    def heard(self, _mask: int = 0) -> None:
        """Take note that it rang."""
        self._set_to = -1
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.fd)


class Lateness:
    """How late events ran: a histogram of powers of two of nanoseconds."""

    def __init__(self) -> None:
        self.buckets = [0] * BUCKETS
        self.count = self.worst_ns = 0
        self.recent_ns = 0
        """The worst since somebody set it to 0."""
        self.stalls = self.stalled_ns = 0
        """Pauses of the whole process, such as SIGSTOP, and their time."""

    def note(self, late_ns: int, events: int = 1) -> None:
        """Count events that ran so late."""
        self.count += events
        if late_ns > self.recent_ns:
            self.recent_ns = late_ns
            self.worst_ns = max(self.worst_ns, late_ns)
        self.buckets[min(late_ns.bit_length(), BUCKETS - 1)] += events

    def percentile(self, share: float) -> int:
        """The lateness in ns that this share (0 to 1) of the events did not exceed, rounded up to a power of two."""
        left = share * self.count
        for exponent, events in enumerate(self.buckets):
            left -= events
            if left <= 0:
                return min(1 << exponent, self.worst_ns)
        return self.worst_ns

    def __str__(self) -> str:
        stalls = f"; {self.stalls} pauses of the process, {self.stalled_ns / 1e9:.3g} s" if self.stalls else ""
        if not self.count:
            return f"no event yet{stalls}"
        figures = (self.percentile(0.5), self.percentile(0.99), self.worst_ns)
        half, most, worst = (f"{each / 1e6:.3g} ms" for each in figures)
        return f"{self.count} events late by at most {half} (half), {most} (99 %), {worst} (all){stalls}"


class LiveEngine:
    """A clock's events at their time, and descriptors as they become ready.

    Args:
        clock: the clock of the network; its time is taken as now.
        wall: monotonic time in ns.
        speed: seconds of the lab in one of the wall's.

    Attributes:
        selector: descriptors with `data(mask)` to be called when one is ready.
        lateness: how late events ran.
    """

    def __init__(self, clock: EventClock, *, wall: Callable[[], int] = time.monotonic_ns, speed: float = 1.0) -> None:
        self.clock, self.wall, self.speed = clock, wall, speed
        self.lateness = Lateness()
        self.selector: selectors.BaseSelector = selectors.DefaultSelector()
        self._alarm = Alarm()
        self.selector.register(self._alarm.fd, selectors.EVENT_READ, self._alarm.heard)
        self._start, self._born = wall(), clock.now

    def due(self) -> int:
        """The lab's time that belongs to the wall's now, in ns."""
        passed = self.wall() - self._start
        return self._born + (passed if self.speed == 1.0 else int(passed * self.speed))

    def catch_up(self) -> bool:
        """Do what is due and stand at the present; False when a slice of wall time was not enough."""
        clock, now = self.clock, self.due()
        end = now + SLICE_NS
        while (moment := clock.peek()) is not None and moment <= now:
            self.lateness.note(max(0, now - moment), clock.advance(moment))
            now = self.due()
            if now > end:
                return False
        clock.advance(now)
        return True

    def wait(self, patience_s: float, *, timed: bool = True) -> int:
        """Wait for a descriptor, the next event (if *timed*) or so long; call whoever is ready and count them."""
        moment = self.clock.peek() if timed else None
        if moment is not None and patience_s > 0:
            left = moment - self.due()
            if left <= 0:
                patience_s = 0.0
            elif left < patience_s * 1e9:
                self._alarm.set(self.wall() + int(left / self.speed))
        before = self.wall()
        ready = self.selector.select(patience_s)
        self._mind_the_gap(before, patience_s)
        for key, mask in ready:
            key.data(mask)
        return len(ready)

    def step(self, patience_s: float) -> None:
        """The one overridden step: everything due, then whatever comes first."""
        self.wait(patience_s if self.catch_up() else 0.0)

    def _mind_the_gap(self, before: int, patience_s: float) -> None:
        """Notice that the process stood still: nothing waits that long for a descriptor."""
        gap = self.wall() - before - int(patience_s * 1e9)
        if gap > STALL_NS:
            self.lateness.stalls += 1
            self.lateness.stalled_ns += gap

    def close(self) -> None:
        """Let go of the descriptors that are its own."""
        self.selector.close()
        self._alarm.close()
