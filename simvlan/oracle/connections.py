"""TCP as two kernels can agree on it: numbers counted from where each connection began, without clocks.

A connection's first sequence numbers, its client's port and its timestamps are drawn or read from a clock. Sequence
numbers are therefore shown from the first one seen each way, ephemeral ports numbered in the order in which they
appear, timestamps zeroed, and so are dates that HTTP messages carry (RFC 9110, 5.6.7). What remains is compared:
flags, lengths, windows, options and their order.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Container

from simvlan.oracle.masks import ipv4_offset
from simvlan.oracle.masks6 import ipv6_offset

_EPHEMERAL = range(32_768, 61_000)
_TCP, _ICMP, _ICMPV6 = 6, 1, 58
_ERRORS: Container[int] = frozenset((3, 4, 5, 11, 12))
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
        found = _segment(octets, _quotation(octets))
        if found is None or len(octets) < found[2] + 20:
            return octets
        ends, size, at = found
        frame = bytearray(octets)
        if quoted := _quotation(octets):
            frame[quoted - 6 : quoted - 4] = bytes(2)  # the error's checksum covers the quotation
        self._numbers(frame, (octets[ends : ends + size], octets[ends + size : ends + 2 * size]), at)
        self._stamps(frame, at)
        return DATE.sub(lambda found: bytes(len(found[0])), bytes(frame))

    def _numbers(self, frame: bytearray, ends: tuple[bytes, bytes], at: int) -> None:
        src, dst = ends
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


def _segment(octets: bytes, quotation: int | None) -> tuple[int, int, int] | None:
    """Where a frame's addresses are, how long each is, and where its TCP header begins; None if it carries none."""
    ip = quotation or ipv4_offset(octets) or ipv6_offset(octets)
    if ip is None:
        return None
    if octets[ip] >> 4 == 6:
        return (ip + 8, 16, ip + 40) if octets[ip + 6] == _TCP else None
    whole = octets[ip + 9] == _TCP and not (octets[ip + 6] & 0x3F or octets[ip + 7])
    return (ip + 12, 4, ip + (octets[ip] & 15) * 4) if whole else None


def _quotation(octets: bytes) -> int | None:
    """Where an ICMP or ICMPv6 error quotes a packet."""
    ip, kinds = ipv4_offset(octets), _ERRORS
    if ip is not None:
        proto, at = octets[ip + 9] == _ICMP, ip + (octets[ip] & 15) * 4
    else:
        ip, kinds = ipv6_offset(octets), range(128)
        if ip is None:
            return None
        proto, at = octets[ip + 6] == _ICMPV6, ip + 40
    return at + 8 if proto and len(octets) > at + 48 and octets[at] in kinds else None


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
