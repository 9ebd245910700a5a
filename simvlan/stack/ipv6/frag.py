"""Fragments of IPv6: cutting packets of our own, and putting received ones together.

Mirrors ip6_fragment (net/ipv6/ip6_output.c) and net/ipv6/reassembly.c; RFC 8200 4.5, RFC 5722 (overlaps are given up),
RFC 6946 (a packet in one fragment stands alone).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.stack.ipv6 import icmp6, packet
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.input import Packet6

HIGHEST = 65_535


def fragments(octets: bytes, mtu: int, ident: int) -> Iterator[bytes]:
    """Cut a packet behind the headers that every piece needs; all but the last carry a multiple of eight octets."""
    at, spot = _unfragmentable(octets)
    head, body, following = octets[:at], octets[at:], octets[spot]
    head = head[:spot] + bytes((packet.FRAGMENT,)) + head[spot + 1 :]
    room = (mtu - at - 8) & ~7
    for start in range(0, len(body), room):
        part = body[start : start + room]
        more = start + len(part) < len(body)
        yield packet.resize(head + packet.fragment(following, start, more, ident) + part)


def _unfragmentable(octets: bytes) -> tuple[int, int]:
    """Where the fragmentable part begins, and where its number stands (ip6_find_1stfragopt)."""
    spot, at = 6, packet.HEADER
    while octets[spot] in (packet.HOPOPTS, packet.ROUTING):
        spot, at = at, at + (octets[at + 1] + 1) * 8
    return at, spot


class Queue6:
    """The fragments of one packet so far (struct frag_queue)."""

    __slots__ = ("first", "held", "pieces", "timer", "total")

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        self.first: tuple[Packet6, int, int] | None = None
        """The packet of the first fragment, where its fragment header is, and where the number before it stands."""
        self.total: int | None = None
        self.held = 0
        self.timer: Timer | None = None


Key = tuple[int, int, int]


class Reassembly6:
    """All unfinished packets of a namespace."""

    __slots__ = ("held", "ip6", "queues")

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6
        self.queues: dict[Key, Queue6] = {}
        self.held = 0

    def add(self, found: Packet6, at: int, spot: int) -> bytes | Drop | None:
        """Take a fragment (ipv6_frag_rcv): the whole packet's octets when it completes one, None while waiting."""
        piece = packet.parse_fragment(found.data, at)
        if found.fragmented or piece is None or found.data[4:6] == b"\0\0":  # no fragment of a fragment
            self.ip6.icmp.error(found, icmp6.PARAMETER, icmp6.HEADER_FIELD, at)
            return Drop.IP_INHDR
        if not piece.offset and not piece.more:
            return found.data  # it stands alone, its header stays
        if self.held > self.ip6.settings["ip6frag_high_thresh"]:
            return Drop.FRAG_REASM_FULL
        key = (found.src, found.dst, piece.ident)
        queue = self.queues.get(key)
        if queue is None:
            queue = self.queues[key] = Queue6()
            due = self.ip6.now + self.ip6.settings["ip6frag_time"] * SECOND
            queue.timer = self.ip6.at(due, partial(self._expire, key, queue))
        problem = self._place(queue, found, piece, at, spot)
        if problem is not None:
            if problem is not Drop.DUP_FRAG:
                self._forget(key, queue)
            return problem
        if queue.first is None or queue.total is None or queue.held < queue.total:
            return None
        self._forget(key, queue)
        return self._whole(queue)

    def _place(self, queue: Queue6, found: Packet6, piece: packet.Fragment, at: int, spot: int) -> Drop | None:
        """Check a fragment against those we have and keep it (ip6_frag_queue)."""
        body = found.data[at + 8 :]
        start, end = piece.offset, piece.offset + len(body)
        if end > HIGHEST:
            self.ip6.icmp.error(found, icmp6.PARAMETER, icmp6.HEADER_FIELD, at + 2)
            return Drop.FRAG_INVALID
        if piece.more and len(body) & 7:
            self.ip6.icmp.error(found, icmp6.PARAMETER, icmp6.HEADER_FIELD, 4)
            return Drop.FRAG_INVALID
        furthest = max((s + len(b) for s, b in queue.pieces.items()), default=0)
        if not piece.more:
            if end < furthest or (queue.total is not None and queue.total != end):
                return Drop.FRAG_INVALID
            queue.total = end
        elif queue.total is not None and end > queue.total:
            return Drop.FRAG_INVALID
        if not body:
            return Drop.FRAG_INVALID
        for other, octets in queue.pieces.items():
            if start < other + len(octets) and other < end:
                inside = other <= start and end <= other + len(octets)
                return Drop.DUP_FRAG if inside else Drop.FRAG_OVERLAP
        queue.pieces[start] = body
        queue.held += len(body)
        self.held += len(body)
        if not start:
            queue.first = found, at, spot
        return None

    def _whole(self, queue: Queue6) -> bytes | Drop:
        """Join the pieces under the first fragment's headers (ip6_frag_reasm)."""
        assert queue.first is not None
        first, at, spot = queue.first
        body = b"".join(queue.pieces[start] for start in sorted(queue.pieces))
        if at - packet.HEADER + len(body) > HIGHEST:
            return Drop.FRAG_INVALID
        return _unwrapped(first.data, at, spot, body)

    def _forget(self, key: Key, queue: Queue6) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
        self.held -= queue.held
        if self.queues.get(key) is queue:
            del self.queues[key]

    def _expire(self, key: Key, queue: Queue6) -> None:
        """Give up: tell the sender if the first fragment came (ip6frag_expire_frag_queue)."""
        self._forget(key, queue)
        if queue.first is not None:
            self.ip6.icmp.error(queue.first[0], icmp6.TIME_EXCEEDED, icmp6.REASSEMBLY)


def _unwrapped(octets: bytes, at: int, spot: int, body: bytes) -> bytes:
    """Take the fragment header out."""
    head = octets[:spot] + octets[at : at + 1] + octets[spot + 1 : at]
    return packet.resize(head + body)
