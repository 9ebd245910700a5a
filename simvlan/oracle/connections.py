"""TCP as two kernels can agree on it: numbers counted from where each connection began, without clocks.

A connection's first sequence numbers, its client's port and its timestamps are drawn or read from a clock. Sequence
numbers are therefore shown from the first one seen each way, ephemeral ports numbered in the order in which they
appear, timestamps zeroed, and so are dates that HTTP messages carry (RFC 9110, 5.6.7). What remains is compared:
flags, lengths, windows, options and their order.
"""

from __future__ import annotations

import re
import struct

from simvlan.oracle.masks import ipv4_offset

_EPHEMERAL = range(32_768, 61_000)
_TCP = 6
_SYN, _RST, _ACK = 2, 4, 16
DATE = re.compile(rb"(?<=: )[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d(?= GMT\r\n)")
"""A date in a header line."""

Way = tuple[bytes, bytes, int, int]
"""Source, destination, their ports."""


class Connections:
    """The connections of one capture point, as far as it has been read."""

    def __init__(self) -> None:
        self._first: dict[Way, int] = {}
        self._ports: dict[tuple[bytes, int], int] = {}

    def plain(self, octets: bytes) -> bytes:
        """Rewrite one frame; what is not a whole TCP segment stays as it is."""
        ip = ipv4_offset(octets)
        if ip is None or octets[ip + 9] != _TCP or octets[ip + 6] & 0x3F or octets[ip + 7]:
            return octets
        at = ip + (octets[ip] & 15) * 4
        if len(octets) < at + 20:
            return octets
        frame = bytearray(octets)
        self._numbers(frame, ip, at)
        self._stamps(frame, at)
        return DATE.sub(lambda found: bytes(len(found[0])), bytes(frame))

    def _numbers(self, frame: bytearray, ip: int, at: int) -> None:
        src, dst = bytes(frame[ip + 12 : ip + 16]), bytes(frame[ip + 16 : ip + 20])
        sport, dport, seq, ack = struct.unpack_from("!HHII", frame, at)
        way, back = (src, dst, sport, dport), (dst, src, dport, sport)
        flags = frame[at + 13]
        if flags & _SYN:
            self._first[way] = seq
        sends = self._first.get(way)
        heard = self._first.get(back)
        seq = 0 if sends is None else seq - sends
        ack = ack - heard if flags & _ACK and heard is not None else 0
        ports = self._port(src, sport), self._port(dst, dport)
        struct.pack_into("!HHII", frame, at, *ports, seq & 0xFFFF_FFFF, ack & 0xFFFF_FFFF)
        frame[at + 16 : at + 18] = b"\0\0"
        self._blocks(frame, at, heard)

    def _port(self, host: bytes, port: int) -> int:
        if port not in _EPHEMERAL:
            return port
        return self._ports.setdefault((host, port), _EPHEMERAL.start + len(self._ports))

    @staticmethod
    def _blocks(frame: bytearray, at: int, heard: int | None) -> None:
        for kind, start, size in _options(frame, at):
            for place in range(start, start + size, 4) if kind == 5 and heard is not None else ():
                (edge,) = struct.unpack_from("!I", frame, place)
                struct.pack_into("!I", frame, place, (edge - heard) & 0xFFFF_FFFF)

    @staticmethod
    def _stamps(frame: bytearray, at: int) -> None:
        for kind, start, size in _options(frame, at):
            if kind == 8:
                frame[start : start + size] = bytes(size)


def _options(frame: bytearray, at: int) -> list[tuple[int, int, int]]:
    """Kind, place and length of each option's value."""
    found, place = [], at + 20
    end = min(at + (frame[at + 12] >> 4) * 4, len(frame))
    while place < end and frame[place]:
        if frame[place] == 1:
            place += 1
            continue
        if place + 1 >= end or frame[place + 1] < 2 or place + frame[place + 1] > end:
            break
        found.append((frame[place], place + 2, frame[place + 1] - 2))
        place += frame[place + 1]
    return found
