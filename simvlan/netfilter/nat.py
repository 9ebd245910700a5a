"""Network address translation: what a connection is mapped to, and rewriting its packets.

Mirrors nf_nat_setup_info, get_unique_tuple and nf_nat_l4proto_unique_tuple (net/netfilter/nf_nat_core.c) and
nf_nat_manip_pkt, nf_nat_icmp_reply_translation (nf_nat_proto.c).
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from simvlan.netfilter.conntrack import Conn, Conntrack
from simvlan.netfilter.tuples import ICMP_PAIRS, Tuple
from simvlan.stack.packet import ICMP, TCP, UDP, Packet, checksum

SRC, DST = "src", "dst"
"""Which end is rewritten (enum nf_nat_manip_type)."""
_CHECKSUM_AT = {TCP: 16, UDP: 6}


class Range(NamedTuple):
    """What an end may become: addresses and, unless both are 0, ports."""

    low: int
    high: int
    port_low: int = 0
    port_high: int = 0


# -- choosing ---------------------------------------------------------------------------------------------------------


def set_up(table: Conntrack, conn: Conn, manip: str, wanted: Range | None, now: int, rng: Random) -> None:
    """Decide once what one end of a connection is mapped to (nf_nat_setup_info); None: to itself."""
    current = conn.reply.inverted()
    chosen = _unique(table, conn, current, manip, wanted, now, rng)
    if chosen != current:
        conn.reply = chosen.inverted()
        if manip is SRC:
            conn.src_nat = True
        else:
            conn.dst_nat = True
    if manip is SRC:
        conn.src_done = True
    else:
        conn.dst_done = True


def _unique(
    table: Conntrack, conn: Conn, current: Tuple, manip: str, wanted: Range | None, now: int, rng: Random
) -> Tuple:
    """Keep the port if it is free and fits, else take another (get_unique_tuple)."""
    address = current.src if manip is SRC else current.dst
    bounds = wanted or Range(address, address)
    if not bounds.low <= address <= bounds.high:
        address = bounds.low
    made = current._replace(src=address) if manip is SRC else current._replace(dst=address)
    port = _port_of(made, manip)
    if bounds.port_low:
        fits = bounds.port_low <= port <= bounds.port_high
        if fits and (bounds.port_low == bounds.port_high or not table.taken(made.inverted(), conn, now)):
            return made
    elif not table.taken(made.inverted(), conn, now) or made.proto not in (TCP, UDP, ICMP) or manip is DST:
        return made
    low, high = (bounds.port_low, bounds.port_high) if bounds.port_low else _neighbourhood(made, port)
    return _first_free(table, conn, made, manip, (low, high), now, rng)


def _port_of(key: Tuple, manip: str) -> int:
    return key.sport if manip is SRC or key.proto == ICMP else key.dport


def _neighbourhood(key: Tuple, port: int) -> tuple[int, int]:
    """A well-known port stays one: below 512, below 1024, or above."""
    if key.proto == ICMP:
        return 0, 65_535
    return (1, 511) if port < 512 else (600, 1023) if port < 1024 else (1024, 65_535)


def _first_free(
    table: Conntrack, conn: Conn, made: Tuple, manip: str, bounds: tuple[int, int], now: int, rng: Random
) -> Tuple:
    """Try ports from a random one on."""
    low, high = bounds
    size = high - low + 1
    start = rng.randrange(size)
    for step in range(min(size, 128)):
        port = low + (start + step) % size
        if manip is SRC or made.proto == ICMP:
            tried = made._replace(sport=port)
        else:
            tried = made._replace(dport=port)
        if not table.taken(tried.inverted(), conn, now):
            return tried
    return tried


# -- rewriting --------------------------------------------------------------------------------------------------------


def translate(found: Packet, conn: Conn, reply: bool, manip: str) -> None:
    """Rewrite one end of a packet as its connection asks for (nf_nat_packet)."""
    if not _wanted(conn, reply, manip):
        return
    target = (conn.original if reply else conn.reply).inverted()
    rewrite(found, target, manip)


def _wanted(conn: Conn, reply: bool, manip: str) -> bool:
    """Replies are translated at the other end."""
    return conn.src_nat if (manip is SRC) is not reply else conn.dst_nat


def rewrite(found: Packet, target: Tuple, manip: str) -> None:
    """Write an address and a port into a packet; its checksums follow."""
    found.data = rewritten(found.data, found.partial, target, manip)
    if manip is SRC:
        found.src = target.src
    else:
        found.dst = target.dst


def rewritten(data: bytes, partial: int, target: Tuple, manip: str) -> bytes:
    """The same on octets: a header and as much of what follows as there is."""
    size = (data[0] & 15) * 4
    field = 12 if manip is SRC else 16
    old = data[field : field + 4]
    new = (target.src if manip is SRC else target.dst).to_bytes(4, "big")
    made = bytearray(data)
    made[field : field + 4] = new
    made[10:12] = _adjust(data[10:12], old, new)
    if not (data[6] & 0x1F or data[7]):
        _transport(made, size, partial, (old, new), target, manip)
    return bytes(made)


def _transport(
    made: bytearray, size: int, partial: int, addresses: tuple[bytes, bytes], target: Tuple, manip: str
) -> None:
    proto = made[9]
    if proto == ICMP:
        if len(made) >= size + 8 and made[size] in ICMP_PAIRS:
            _replace_word(made, size + 4, target.sport, size + 2)
        return
    if proto not in _CHECKSUM_AT or len(made) < size + 4:
        return
    at = size + (0 if manip is SRC else 2)
    port = (target.sport if manip is SRC else target.dport).to_bytes(2, "big")
    before = bytes(made[at : at + 2])
    made[at : at + 2] = port
    where = size + _CHECKSUM_AT[proto]
    field = bytes(made[where : where + 2])
    if len(field) < 2 or (proto == UDP and field == b"\0\0" and not partial):
        return
    if partial:  # holds the sum of the pseudo header, not its complement
        old, new = addresses
        field = _complement(_adjust(_complement(field), old, new))
    else:
        field = _adjust(_adjust(field, *addresses), before, port)
        if proto == UDP and field == b"\0\0":
            field = b"\xff\xff"
    made[where : where + 2] = field


def _replace_word(made: bytearray, at: int, value: int, checksum_at: int) -> None:
    old, new = bytes(made[at : at + 2]), value.to_bytes(2, "big")
    made[at : at + 2] = new
    made[checksum_at : checksum_at + 2] = _adjust(bytes(made[checksum_at : checksum_at + 2]), old, new)


def _complement(word: bytes) -> bytes:
    return bytes((word[0] ^ 0xFF, word[1] ^ 0xFF))


def _adjust(field: bytes, old: bytes, new: bytes) -> bytes:
    """Update a checksum for octets that changed (csum_replace, RFC 1624)."""
    total = 0xFFFF - (field[0] << 8 | field[1])
    for at in range(0, len(old), 2):
        total += 0xFFFF - (old[at] << 8 | old[at + 1]) + (new[at] << 8 | new[at + 1])
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (0xFFFF - total).to_bytes(2, "big")


def translate_error(found: Packet, conn: Conn, reply: bool, manip: str) -> None:
    """An ICMP error about a translated connection: its quotation first, then itself (nf_nat_icmp_reply_translation)."""
    if not _wanted(conn, reply, manip):
        return
    other = conn.original if reply else conn.reply
    at = found.header_len + 8
    inner = rewritten(found.data[at:], False, other, DST if manip is SRC else SRC)
    body = found.data[found.header_len : found.header_len + 2] + b"\0\0" + found.data[found.header_len + 4 : at] + inner
    body = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    found.data = found.data[: found.header_len] + body
    target = other.inverted()
    rewrite(found, target._replace(proto=ICMP), manip)
