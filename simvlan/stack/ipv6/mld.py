"""Multicast listener discovery messages: octets <-> fields. RFC 2710 (MLDv1), RFC 3810 (MLDv2); include/net/mld.h.

Every MLD packet has hop limit 1 and a hop-by-hop header with router alert: `envelope` puts both around a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, unpack_from

from simvlan.stack.ipv6 import packet
from simvlan.stack.ipv6.icmp6 import MLD2_REPORT, MLD_DONE, MLD_QUERY, MLD_REPORT, seal

IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK = 1, 2, 3, 4, 5, 6
"""Record types of an MLDv2 report."""

_V1 = Struct("!BBHHH16s")
_RECORD = Struct("!BBH16s")


@dataclass(slots=True, frozen=True)
class Query:
    """A query: group 0 asks for all. `max_delay` in milliseconds; the rest is MLDv2's, `robustness` None for MLDv1."""

    group: int = 0
    max_delay: int = 10_000
    suppress: bool = False
    robustness: int | None = 2
    interval: int = 125
    sources: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Record:
    """One group's record in an MLDv2 report."""

    kind: int
    group: int
    sources: tuple[int, ...] = ()


def float16(code: int) -> int:
    """What a 16-bit maximum response code means in milliseconds (mldv2_mrc)."""
    return code if code < 0x8000 else (code & 0xFFF | 0x1000) << ((code >> 12 & 7) + 3)


def float8(code: int) -> int:
    """What an 8-bit querier's interval code means in seconds (RFC 3810 5.1.9)."""
    return code if code < 128 else (code & 15 | 16) << ((code >> 4 & 7) + 3)


def to_float16(value: int) -> int:
    """Code a maximum response delay, rounded down."""
    if value < 0x8000:
        return value
    exponent = min(value.bit_length() - 16, 7)
    return 0x8000 | exponent << 12 | min(value >> (exponent + 3), 0x1FFF) & 0xFFF


def to_float8(value: int) -> int:
    """Code a querier's interval, rounded down."""
    if value < 128:
        return value
    exponent = min(value.bit_length() - 8, 7)
    return 0x80 | exponent << 4 | min(value >> (exponent + 3), 31) & 15


def build_query(src: int, dst: int, query: Query) -> bytes:
    """Make a query: of version 1 if it has no robustness."""
    code = query.max_delay & 0xFFFF if query.robustness is None else to_float16(query.max_delay)
    head = _V1.pack(MLD_QUERY, 0, 0, code, 0, query.group.to_bytes(16, "big"))
    if query.robustness is None:
        return seal(src, dst, head)
    tail = bytes((query.suppress << 3 | query.robustness & 7, to_float8(query.interval)))
    sources = b"".join(s.to_bytes(16, "big") for s in query.sources)
    return seal(src, dst, head + tail + len(query.sources).to_bytes(2, "big") + sources)


def build_v1(src: int, dst: int, kind: int, group: int) -> bytes:
    """Make an MLDv1 report or done."""
    return seal(src, dst, _V1.pack(kind, 0, 0, 0, 0, group.to_bytes(16, "big")))


def build_report(src: int, dst: int, records: tuple[Record, ...]) -> bytes:
    """Make an MLDv2 report."""
    head = bytes((MLD2_REPORT, 0, 0, 0, 0, 0)) + len(records).to_bytes(2, "big")
    return seal(src, dst, head + b"".join(_record(r) for r in records))


def _record(record: Record) -> bytes:
    head = _RECORD.pack(record.kind, 0, len(record.sources), record.group.to_bytes(16, "big"))
    return head + b"".join(s.to_bytes(16, "big") for s in record.sources)


def envelope(src: int, dst: int, message: bytes) -> bytes:
    """Put a message into its packet: hop limit 1, router alert."""
    head = packet.options(packet.ICMPV6, packet.ROUTER_ALERT_MLD)
    return packet.build(src, dst, packet.HOPOPTS, head + message, hops=1)


def parse_query(octets: bytes) -> Query | None:
    """Read a query; None for a length that is neither version's, or sources cut off."""
    if len(octets) < 24 or 24 < len(octets) < 28:
        return None
    group = int.from_bytes(octets[8:24], "big")
    code = unpack_from("!H", octets, 4)[0]
    if len(octets) == 24:
        return Query(group, code, robustness=None)
    sources = _sources(octets, 28, unpack_from("!H", octets, 26)[0])
    if sources is None:
        return None
    flags = octets[24]
    return Query(group, float16(code), bool(flags & 8), flags & 7, float8(octets[25]), sources)


def parse_v1(octets: bytes) -> int | None:
    """Read an MLDv1 report or done: its group."""
    return int.from_bytes(octets[8:24], "big") if len(octets) >= 24 else None


def parse_report(octets: bytes) -> tuple[Record, ...] | None:
    """Read an MLDv2 report; None if a record is cut off."""
    if len(octets) < 8:
        return None
    records: list[Record] = []
    at = 8
    for _ in range(unpack_from("!H", octets, 6)[0]):
        if len(octets) < at + 20:
            return None
        kind, aux, count, group = _RECORD.unpack_from(octets, at)
        sources = _sources(octets, at + 20, count)
        if sources is None or len(octets) < at + 20 + count * 16 + aux * 4:
            return None
        records.append(Record(kind, int.from_bytes(group, "big"), sources))
        at += 20 + count * 16 + aux * 4
    return tuple(records)


def _sources(octets: bytes, at: int, count: int) -> tuple[int, ...] | None:
    if len(octets) < at + count * 16:
        return None
    return tuple(int.from_bytes(octets[i : i + 16], "big") for i in range(at, at + count * 16, 16))


__all__ = [
    "ALLOW", "BLOCK", "IS_EX", "IS_IN", "MLD2_REPORT", "MLD_DONE", "MLD_QUERY", "MLD_REPORT", "TO_EX", "TO_IN",
    "Query", "Record", "build_query", "build_report", "build_v1", "envelope", "parse_query", "parse_report", "parse_v1",
]  # fmt: skip
