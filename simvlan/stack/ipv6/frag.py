"""Fragments of IPv6: cutting packets of our own, and putting received ones together.

Mirrors ip6_fragment (net/ipv6/ip6_output.c) and net/ipv6/reassembly.c; RFC 8200 4.5, RFC 6946 (a packet in
one fragment stands alone). Keeping the pieces is in `inet_fragment`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simvlan.stack.inet_fragment import FragQueue, Unfinished
from simvlan.stack.ipv6 import icmp6, packet
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.input import Packet6

HIGHEST = 65_535

UPPER_SIZES = {packet.TCP: 20, packet.UDP: 8, packet.ICMPV6: 8}
"""Octets of the headers that a first fragment must hold whole (ipv6frag_thdr_truncated); of others it needs one."""


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


class Queue6(FragQueue):
    """The fragments of one packet so far (struct frag_queue)."""

    __slots__ = ("first",)

    def __init__(self) -> None:
        super().__init__()
        self.first: tuple[Packet6, int, int] | None = None
        """The packet of the first fragment, where its fragment header is, and where the number before it stands."""


class Reassembly6(Unfinished[tuple[int, int, int], Queue6]):
    """All unfinished packets of a namespace, by addresses and identification."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        super().__init__()
        self.ip6 = ip6

    def add(self, found: Packet6, at: int, spot: int) -> bytes | Drop | None:
        """Take a fragment (ipv6_frag_rcv): the whole packet's octets when it completes one, None while waiting."""
        piece = packet.parse_fragment(found.data, at)
        if found.fragmented or piece is None or found.data[4:6] == b"\0\0":  # no fragment of a fragment
            self.ip6.icmp.error(found, icmp6.PARAMETER, icmp6.HEADER_FIELD, at)
            return Drop.IP_INHDR
        if not piece.offset and not piece.more:
            return found.data  # it stands alone, its header stays
        if headers_cut(found.data, at):
            self.ip6.icmp.error(found, icmp6.PARAMETER, icmp6.INCOMPLETE_HEADERS)
            return Drop.FRAG_HEADERS_CUT
        if self.held > self.ip6.settings["ip6frag_high_thresh"]:
            return Drop.FRAG_REASM_FULL
        key = (found.src, found.dst, piece.ident)
        queue = self.queues.get(key)
        if queue is None:
            queue = self.begin(key, Queue6(), self.ip6, self.ip6.settings["ip6frag_time"])
        problem = self._place(key, queue, found, piece, at)
        if problem is not None:
            return problem
        if not piece.offset:
            queue.first = found, at, spot
        if not queue.complete:
            return None
        self.forget(key, queue)
        return self._whole(queue)

    def _place(
        self, key: tuple[int, int, int], queue: Queue6, found: Packet6, piece: packet.Fragment, at: int
    ) -> Drop | None:
        """Keep a fragment that may be one; what cannot be ends the packet, and its sender is told (ip6_frag_queue)."""
        body = found.data[at + 8 :]
        if piece.offset + len(body) > HIGHEST:
            wrong = at + 2
        elif piece.more and len(body) & 7:
            wrong = 4
        else:
            return self.keep(key, queue, piece.offset, body, piece.more, found.data[1] >> 4 & 3)
        self.ip6.icmp.error(found, icmp6.PARAMETER, icmp6.HEADER_FIELD, wrong)
        self.forget(key, queue)
        return Drop.FRAG_INVALID

    def _whole(self, queue: Queue6) -> bytes | Drop:
        """Join the pieces under the first fragment's headers (ip6_frag_reasm)."""
        assert queue.first is not None
        first, at, spot = queue.first
        body, ecn = queue.joined(), queue.congestion()
        if at - packet.HEADER + len(body) > HIGHEST or ecn is None:
            return Drop.FRAG_INVALID
        octets = bytearray(_unwrapped(first.data, at, spot, body))
        octets[1] |= ecn << 4
        return bytes(octets)

    def expired(self, queue: Queue6) -> None:
        """Give up: tell the sender if the first fragment came (ip6frag_expire_frag_queue)."""
        if queue.first is not None:
            self.ip6.icmp.error(queue.first[0], icmp6.TIME_EXCEEDED, icmp6.REASSEMBLY)


def headers_cut(octets: bytes, at: int) -> bool:
    """Whether a first fragment, whose fragment header is *at*, ends within its headers (ipv6frag_thdr_truncated)."""
    last = packet.skip_extensions(octets, packet.FRAGMENT, at)
    if last is None or last.proto == packet.FRAGMENT:  # a later one
        return False
    return last.at + UPPER_SIZES.get(last.proto, 1) > len(octets)


def _unwrapped(octets: bytes, at: int, spot: int, body: bytes) -> bytes:
    """Take the fragment header out."""
    head = octets[:spot] + octets[at : at + 1] + octets[spot + 1 : at]
    return packet.resize(head + body)
