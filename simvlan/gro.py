"""Receive offload (GRO): segments of one flow that a device takes in together go up as one super-packet.

Mirrors dev_gro_receive, inet_gro_receive, ipv6_gro_receive, tcp_gro_receive, skb_gro_receive and tcp_gro_complete of
Linux 6.1 and 6.18. Of the modelled devices only a veth whose receive offload was switched on has it (veth_poll); all
others get their frames from the backlog, where nothing is merged. Flows that wait at the same time go up oldest first
(Linux: by a hash). Segments of a single octet stay apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from copy import copy
from typing import Any, NamedTuple

from simvlan.frame import Frame
from simvlan.segmentation import CSUM_OFFSET, CWR, FIN_PSH, TCP, folded, transport

MAX_SIZE = 65_536
"""Octets of a packet that nothing is added to any more (GRO_LEGACY_MAX_SIZE)."""
BATCH = 8
"""Segments after which what waits goes up the stack together (gro_normal_batch)."""
WEIGHT = 64
"""Frames of one poll (NAPI_POLL_WEIGHT); after each all flows are let go."""
ENDING = 0x2F
"""URG, PSH, RST, SYN, FIN: with any of these nothing more is waited for."""
DF = 0x4000

Item = tuple[Frame, Any]
"""A frame, and what its owner remembers with it."""


class Piece(NamedTuple):
    """A segment as the merging sees it."""

    flow: tuple[Any, ...]
    """What tells flows apart: addresses of both layers, tags, ports."""
    alike: tuple[Any, ...]
    """What may not change within a super-packet: TTL, TOS, DF, flags, acknowledgement, window, options."""
    ident: int
    """IPv4's identification; 0 in IPv6."""
    atomic: bool
    """It may not be fragmented, so that identifications need not count."""
    seq: int
    flags: int
    ip: int
    start: int
    body: int
    """Where IP's header, TCP's and the data begin in the payload."""


def read(frame: Frame) -> Piece | None:
    """Look at a frame; None: it goes up as it is (not TCP, IP options, a fragment, padded, a wrong checksum)."""
    found = transport(frame)
    data = frame.payload
    if found is None or found[2] != TCP or frame.gso_size:
        return None
    ip, start, _ = found
    body = start + (data[start + 12] >> 4) * 4
    if not start + 20 <= body <= len(data) or not _plain_ip(data, ip, start) or not _valid(frame, ip, start):
        return None
    six, tcp = data[ip] >> 4 == 6, data[start:body]
    ends = data[ip + 8 : ip + 40] if six else data[ip + 12 : ip + 20]
    label = bytes((data[ip + 1] & 15, *data[ip + 2 : ip + 4])) if six else b""
    flow = (frame.dst, frame.src, frame.accel, data[:ip], data[ip] >> 4, label, ends, tcp[:4])
    header = (data[ip : ip + 2], data[ip + 7]) if six else (data[ip + 1], data[ip + 6], data[ip + 8])
    alike = (header, tcp[8:13], tcp[13] & ~FIN_PSH & ~CWR, tcp[14:16], tcp[20:])
    ident = 0 if six else int.from_bytes(data[ip + 4 : ip + 6], "big")
    atomic = six or bool(data[ip + 6] & 0x40)
    return Piece(flow, alike, ident, atomic, int.from_bytes(tcp[4:8], "big"), tcp[13], ip, start, body)


def _plain_ip(data: bytes, ip: int, start: int) -> bool:
    """A whole packet without options whose length is that of the frame."""
    if data[ip] >> 4 == 6:
        return int.from_bytes(data[ip + 4 : ip + 6], "big") == len(data) - start
    fragment = int.from_bytes(data[ip + 6 : ip + 8], "big") & ~DF
    right = start - ip == 20 and int.from_bytes(data[ip:start], "big") % 0xFFFF == 0
    return right and not fragment and int.from_bytes(data[ip + 2 : ip + 4], "big") == len(data) - ip


def _pseudo(data: bytes, ip: int, size: int) -> int:
    """The folded sum of the pseudo header of *size* octets."""
    ends = data[ip + 8 : ip + 40] if data[ip] >> 4 == 6 else data[ip + 12 : ip + 20]
    return (int.from_bytes(ends, "big") + TCP + size - 1) % 0xFFFF + 1


def _valid(frame: Frame, ip: int, start: int) -> bool:
    """Whether the checksum is right, or left to a device (skb_gro_checksum_validate)."""
    if frame.csum:
        return True
    data = frame.payload
    size = len(data) - start
    return folded(_pseudo(data, ip, size).to_bytes(2, "big") + data[start:]) == 0xFFFF


class Held:
    """A segment that waits for the next, and those that it has got."""

    __slots__ = ("_atomic", "_count", "_each", "_first", "_flags", "_frame", "_parts", "_size", "tag")

    def __init__(self, frame: Frame, piece: Piece, tag: Any) -> None:
        self._frame, self._first, self.tag = frame, piece, tag
        self._parts = [frame.payload]
        self._size = len(frame.payload)
        self._each = self._size - piece.body
        self._count, self._flags = 1, piece.flags
        self._atomic = piece.atomic

    def fits(self, frame: Frame, piece: Piece) -> bool:
        """Whether a segment continues this one and differs in nothing that its header would have to tell."""
        first, size = self._first, len(frame.payload) - piece.body
        if piece.alike != first.alike or piece.flags & CWR or not 0 < size <= self._each or self._each == 1:
            return False
        end = first.seq + self._size - first.body & 0xFFFF_FFFF
        return piece.seq == end and self._numbered(piece) and self._size - first.ip + size < MAX_SIZE

    def _numbered(self, piece: Piece) -> bool:
        """Whether identifications count on, or with DF stay; the second segment shows which."""
        ahead = piece.ident - self._first.ident & 0xFFFF
        if not self._atomic:
            return ahead == self._count
        if self._count == 1 and ahead == 1:
            self._atomic = False
            return True
        return not ahead

    def add(self, frame: Frame, piece: Piece) -> bool:
        """Take a segment in; whether it is the last (tcp_gro_receive, out_check_final)."""
        self._parts.append(frame.payload[piece.body :])
        self._size += len(frame.payload) - piece.body
        self._count += 1
        self._flags |= piece.flags & FIN_PSH
        return self._size - self._first.body != self._count * self._each or bool(piece.flags & ENDING)

    def whole(self) -> Frame:
        """The super-packet, its checksum and its cutting left to a device again; a single segment as it came."""
        if self._count == 1:
            return self._frame
        data, ip, start = bytearray(b"".join(self._parts)), self._first.ip, self._first.start
        if data[ip] >> 4 == 6:
            data[ip + 4 : ip + 6] = (len(data) - start).to_bytes(2, "big")
        else:
            data[ip + 2 : ip + 4] = (len(data) - ip).to_bytes(2, "big")
            data[ip + 10 : ip + 12] = b"\0\0"
            data[ip + 10 : ip + 12] = folded(bytes(data[ip:start])).to_bytes(2, "big")
        data[start + 13] = self._flags
        at = start + CSUM_OFFSET[TCP]
        data[at : at + 2] = _pseudo(bytes(data), ip, len(data) - start).to_bytes(2, "big")
        made = copy(self._frame)
        made.payload, made.csum = bytes(data), self._each
        return made


class Gro:
    """What one device holds back during a poll."""

    __slots__ = ("_held", "ring")

    def __init__(self) -> None:
        self._held: dict[tuple[Any, ...], Held] = {}
        self.ring: deque[Any] = deque()
        """What the other end has sent and no poll has taken yet."""

    def take(self, frame: Frame, tag: Any) -> tuple[list[Item], Any]:
        """Take a frame in: what goes up now, and the tag of that which swallowed it, else None (dev_gro_receive)."""
        piece = read(frame)
        if piece is None:
            return [(frame, tag)], None
        held, ready = self._held.get(piece.flow), []
        if held is not None:
            if held.fits(frame, piece):
                return (self._let_go(piece) if held.add(frame, piece) else []), held.tag
            ready = self._let_go(piece)
        if len(frame.payload) == piece.body or piece.flags & ENDING:
            return [*ready, (frame, tag)], None
        self._held[piece.flow] = Held(frame, piece, tag)
        return ready, None

    def _let_go(self, piece: Piece) -> list[Item]:
        held = self._held.pop(piece.flow)
        return [(held.whole(), held.tag)]

    def flush(self) -> Iterator[Item]:
        """Let everything go (napi_gro_flush)."""
        waiting, self._held = self._held, {}
        for held in waiting.values():
            yield held.whole(), held.tag
