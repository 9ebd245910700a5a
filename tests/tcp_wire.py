"""Two TCP ends and a wire between them, without a network: delay, rate, queue, loss and whatever else a test wants."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.connection import Connection
from simvlan.stack.tcp.segment import Segment
from simvlan.stack.tcp.states import State

DEFAULT = Config()
MS = 1_000_000
SECOND = 1_000_000_000

Filter = Callable[[Segment, int], bool]
"""(segment, time) -> let it pass."""


def keep(_segment: Segment, _now: int) -> bool:
    return True


def bernoulli(chance: float, seed: int) -> Filter:
    """Lose each segment that carries data with a chance of its own."""
    draw = Random(seed).random
    return lambda segment, now: not segment.payload or draw() >= chance


class Pipe:
    """One direction: a FIFO of `rate_bps` (0: no limit) with room for `queue` octets, then `delay_ns`, a filter."""

    def __init__(self, delay_ns: int, rate_bps: int = 0, queue: int = 0, passes: Filter = keep) -> None:
        self.delay_ns, self.rate_bps, self.queue, self.passes = delay_ns, rate_bps, queue, passes
        self.free_at = 0
        self.dropped = 0

    def arrival(self, segment: Segment, now: int) -> int | None:
        start = max(self.free_at, now)
        if self.rate_bps:
            size = len(segment.payload) + 66
            if self.queue and (start - now) * self.rate_bps > self.queue * 8 * SECOND:
                self.dropped += 1
                return None
            self.free_at = start = start + size * 8 * SECOND // self.rate_bps
        return start + self.delay_ns if self.passes(segment, now) else None


class End:
    """A connection with an application that reads everything (unless told not to) and sends `source` octets."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.received = bytearray()
        self.count = 0
        self.keeping = True
        self.reading = True
        self.source = b""
        self.endless = b""
        self.closes = False
        """Close once everything is written; and when the other side has finished."""
        self.timer: int | None = None
        self.pipe: Pipe
        self.other: End

    def run(self, now: int) -> None:
        """What the application does when it is woken."""
        conn = self.conn
        while self.reading and conn.recv.data:
            data = conn.read(1 << 20, now)
            self.count += len(data)
            if self.keeping:
                self.received += data
        if conn.state not in (State.ESTABLISHED, State.CLOSE_WAIT) or conn.queue.finishing:
            return
        if self.endless:
            while conn.writable:
                conn.write(self.endless, now)
            return
        while self.source and (taken := conn.write(self.source[:65_536], now)):
            self.source = self.source[taken:]
        if self.closes and not self.source:
            conn.close(now) if conn.eof else conn.shutdown(now)


class Wire:
    """Two ends (or more pairs) on pipes; `log` holds every segment sent: (time, who, segment)."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self.log: list[tuple[int, str, Segment]] = []
        self.logging = True

    def at(self, when: int, action: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._heap, (when, self._count, action))

    def join(self, a: End, b: End, there: Pipe, back: Pipe) -> None:
        a.other, b.other, a.pipe, b.pipe = b, a, there, back

    def flush(self, end: End, name: str) -> None:
        """Let the application run, put on the wire what the end wants to send, and see to its timer."""
        end.run(self.now)
        end.conn.notices.clear()
        out, end.conn.out = end.conn.out, []
        for segment in out:
            if self.logging:
                self.log.append((self.now, name, segment))
            when = end.pipe.arrival(segment, self.now)
            if when is not None:
                self.at(when, lambda s=segment: self._deliver(end.other, "b" if name == "a" else "a", s))
        due = end.conn.deadline
        if due is not None and (end.timer is None or due < end.timer):
            end.timer = due
            self.at(due, lambda: self._fire(end, name, due))

    def _deliver(self, end: End, name: str, segment: Segment) -> None:
        if end.conn.state is State.CLOSED and end.conn.recv.irs == 0 and not end.conn.queue.packets_out:
            end.conn.accept(segment, self.now)
        else:
            end.conn.arrive(segment, self.now)
        self.flush(end, name)

    def _fire(self, end: End, name: str, due: int) -> None:
        if end.timer != due:
            return
        end.timer = None
        if end.conn.deadline is not None and end.conn.deadline <= self.now:
            end.conn.on_timer(self.now)
        self.flush(end, name)

    def run(self, until: int) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heappop(self._heap)
            action()
        self.now = max(self.now, until)

    def step(self) -> bool:
        if not self._heap:
            return False
        self.now, _, action = heappop(self._heap)
        action()
        return True


def pair(
    there: Pipe, back: Pipe, config: Config = DEFAULT, iss: tuple[int, int] = (1000, 9000)
) -> tuple[Wire, End, End]:
    """A client end `a` that has sent its SYN, a listening end `b`."""
    wire = Wire()
    a, b = End(Connection(config, iss[0], 111)), End(Connection(config, iss[1], 222))
    wire.join(a, b, there, back)
    a.conn.connect(0)
    wire.flush(a, "a")
    return wire, a, b
