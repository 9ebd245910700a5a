"""What reassembly is to IPv4 and IPv6 alike: pieces in their places, and how long they wait for each other.

Mirrors net/ipv4/inet_fragment.c: overlaps are forbidden since 4.20 (RFC 5722), a piece that came before is dropped
alone.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from simvlan.clock import SECOND
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.clock import Timer


NOT_ECT, CE = 1, 8
"""Of the ECN values seen among fragments, each kept as 1 << value: who sent it knows no ECN; it met congestion."""


class FragQueue:
    """The fragments of one packet so far (struct inet_frag_queue)."""

    __slots__ = ("ecn", "end", "held", "last_in", "pieces", "runs", "timer")

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        """Octets by where they belong."""
        self.runs: list[tuple[int, int]] = []
        """Contiguous stretches, as the kernel keeps them: only the last one grows."""
        self.end = 0
        """The furthest octet known of."""
        self.last_in = False
        self.ecn = 0
        self.held = 0
        self.timer: Timer | None = None

    def place(self, start: int, body: bytes, more: bool, ecn: int) -> Drop | None:
        """Keep a fragment, or say what is wrong with it: FRAG_INVALID and FRAG_OVERLAP end the packet (ip_frag_queue).

        *ecn*: the two bits of its header.
        """
        end = start + len(body)
        if not self._settles(end, more) or not body:
            return Drop.FRAG_INVALID
        problem = self._insert(start, end)
        if problem is None:
            self.pieces[start] = body
            self.held += len(body)
            self.ecn |= 1 << ecn
        return problem

    def _settles(self, end: int, more: bool) -> bool:
        """Check a fragment's end against what is known of the packet's; False: they contradict each other."""
        if not more:
            if end < self.end or (self.last_in and end != self.end):
                return False
            self.last_in, self.end = True, end
        elif end > self.end:
            if self.last_in:
                return False
            self.end = end
        return True

    def _insert(self, start: int, end: int) -> Drop | None:
        """Place a stretch: what lies in one run came before, other overlaps are forbidden (inet_frag_queue_insert)."""
        if not self.runs or self.runs[-1][1] < end:
            if self.runs and start < self.runs[-1][1]:
                return Drop.FRAG_OVERLAP
            if self.runs and start == self.runs[-1][1]:
                self.runs[-1] = (self.runs[-1][0], end)
            else:
                self.runs.append((start, end))
            return None
        for at, (first, last) in enumerate(self.runs):
            if end <= first:
                self.runs.insert(at, (start, end))
                return None
            if start < last:
                return Drop.DUP_FRAG if start >= first and end <= last else Drop.FRAG_OVERLAP
        return Drop.FRAG_OVERLAP

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.last_in and self.held == self.end

    def congestion(self) -> int | None:
        """The ECN bits the whole packet gets beside the first's; None: marks no sender mixes (ip_frag_ecn_table)."""
        if self.ecn & NOT_ECT and self.ecn != NOT_ECT:
            return None
        return 3 if self.ecn & CE else 0

    def joined(self) -> bytes:
        """All pieces in their order."""
        return b"".join(self.pieces[start] for start in sorted(self.pieces))


Key = TypeVar("Key")
Queue = TypeVar("Queue", bound=FragQueue)


class Unfinished(Generic[Key, Queue]):
    """All packets of a namespace that wait for fragments, by what their fragments have in common (struct fqdir)."""

    __slots__ = ("held", "queues")

    def __init__(self) -> None:
        self.queues: dict[Key, Queue] = {}
        self.held = 0
        """Octets that wait."""

    def begin(self, key: Key, queue: Queue, clock: Any, seconds: int) -> Queue:
        """Wait so long for the rest of a packet (inet_frag_create)."""
        self.queues[key] = queue
        queue.timer = clock.at(clock.now + seconds * SECOND, partial(self._due, key, queue))
        return queue

    def keep(self, key: Key, queue: Queue, start: int, body: bytes, more: bool, ecn: int) -> Drop | None:
        """Put a fragment in its place; what contradicts those we have ends them all (inet_frag_kill)."""
        problem = queue.place(start, body, more, ecn)
        if problem is None:
            self.held += len(body)
        elif problem is not Drop.DUP_FRAG:
            self.forget(key, queue)
        return problem

    def forget(self, key: Key, queue: Queue) -> None:
        """Wait no longer."""
        if queue.timer is not None:
            queue.timer.cancel()
        self.held -= queue.held
        if self.queues.get(key) is queue:
            del self.queues[key]

    def _due(self, key: Key, queue: Queue) -> None:
        self.forget(key, queue)
        self.expired(queue)

    @abstractmethod
    def expired(self, queue: Queue) -> None:
        """Give up on a packet: tell the sender where that is due."""
