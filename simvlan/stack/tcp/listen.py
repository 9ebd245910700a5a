"""A listening end: what a segment to it means, and how many connections may wait to be accepted.

RFC 9293, 3.10.7.2; the backlog as sk_acceptq_is_full has it: one more than asked for waits, then SYNs and last
acknowledgements of handshakes are ignored. SYN cookies are not modelled: half-open ones are kept.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Generic, TypeVar

from simvlan.stack.tcp.segment import ACK, FIN, RST, SYN, Segment

SOMAXCONN = 4096

Waiting = TypeVar("Waiting")


class Meaning(Enum):
    """What a listener does about a segment of no known connection."""

    IGNORE = "ignore"
    RESET = "answer with RST"
    OPEN = "a new connection"
    OVERFLOW = "ignore: too many wait to be accepted"


class Listener(Generic[Waiting]):
    """The queue of one listening socket: established connections nobody accepted yet."""

    def __init__(self, backlog: int) -> None:
        self.backlog = min(max(backlog, 0), SOMAXCONN)
        self.waiting: deque[Waiting] = deque()

    @property
    def full(self) -> bool:
        """Nothing more can become established (sk_acceptq_is_full)."""
        return len(self.waiting) > self.backlog

    def meaning(self, segment: Segment) -> Meaning:
        """Judge a segment (tcp_rcv_state_process in LISTEN)."""
        if segment.flags & ACK and not segment.flags & RST:
            return Meaning.RESET
        if segment.flags & (RST | FIN) or not segment.flags & SYN:
            return Meaning.IGNORE
        return Meaning.OVERFLOW if self.full else Meaning.OPEN
