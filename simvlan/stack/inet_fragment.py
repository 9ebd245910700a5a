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


class FragQueue:
    """The fragments of one packet so far (struct inet_frag_queue)."""

    __slots__ = ("held", "pieces", "timer", "total")

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        """Octets by where they belong."""
        self.total: int | None = None
        """How long the whole is, once the last fragment has come."""
        self.held = 0
        self.timer: Timer | None = None

    def place(self, start: int, body: bytes, more: bool) -> Drop | None:
        """Check a fragment against those we have and keep it (inet_frag_queue_insert, and what its callers check)."""
        end = start + len(body)
        if not more:
            furthest = max((at + len(piece) for at, piece in self.pieces.items()), default=0)
            if end < furthest or (self.total is not None and self.total != end):
                return Drop.FRAG_INVALID
            self.total = end
        elif self.total is not None and end > self.total:
            return Drop.FRAG_INVALID
        if not body:
            return Drop.FRAG_INVALID
        for at, piece in self.pieces.items():
            if start < at + len(piece) and at < end:
                inside = at <= start and end <= at + len(piece)
                return Drop.DUP_FRAG if inside else Drop.FRAG_OVERLAP
        self.pieces[start] = body
        self.held += len(body)
        return None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.total is not None and self.held >= self.total

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

    def keep(self, key: Key, queue: Queue, start: int, body: bytes, more: bool) -> Drop | None:
        """Put a fragment in its place; what contradicts those we have ends them all (inet_frag_kill)."""
        problem = queue.place(start, body, more)
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
