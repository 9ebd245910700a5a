"""What a connection is known by: addresses, ports or ICMP identifier, protocol. Mirrors struct nf_conntrack_tuple,
nf_ct_get_tuple and nf_ct_invert_tuple (net/netfilter/nf_conntrack_core.c, nf_conntrack_proto_icmp.c)."""

from __future__ import annotations

from struct import unpack_from
from typing import NamedTuple

from simvlan.stack.ipaddr import ip_text
from simvlan.stack.packet import ICMP, OFFSET, TCP, UDP, Packet

ICMP_PAIRS = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
"""ICMP queries and their answers."""
ICMP_OPENS = frozenset((8, 13, 15, 17))
"""What may begin a connection."""
ICMP_ERRORS = frozenset((3, 4, 5, 11, 12))


class Tuple(NamedTuple):
    """One direction. For ICMP, sport is the identifier and dport is type << 8 | code."""

    src: int
    sport: int
    dst: int
    dport: int
    proto: int

    def inverted(self) -> Tuple:
        """The answer's tuple; of an ICMP type without an answer, one that nothing has."""
        if self.proto == ICMP:
            answer = ICMP_PAIRS.get(self.dport >> 8, 255) << 8 | self.dport & 0xFF
            return Tuple(self.dst, self.sport, self.src, answer, ICMP)
        return Tuple(self.dst, self.dport, self.src, self.sport, self.proto)

    def __str__(self) -> str:
        ends = f"src={ip_text(self.src)} dst={ip_text(self.dst)}"
        if self.proto == ICMP:
            return f"{ends} type={self.dport >> 8} code={self.dport & 0xFF} id={self.sport}"
        return f"{ends} sport={self.sport} dport={self.dport}" if self.proto in (TCP, UDP) else ends


def tuple_of(found: Packet) -> Tuple | None:
    """The tuple of a packet; None for one too short to have one, and for later fragments."""
    if found.frag & OFFSET:
        return None
    return tuple_at(found.data, found.header_len, found.src, found.dst, found.proto)


def tuple_at(data: bytes, at: int, src: int, dst: int, proto: int) -> Tuple | None:
    """The same from octets, the transport header beginning at *at*."""
    if proto in (TCP, UDP):
        if len(data) < at + 4:
            return None
        sport, dport = unpack_from("!HH", data, at)
        return Tuple(src, sport, dst, dport, proto)
    if proto == ICMP:
        if len(data) < at + 8:
            return None
        return Tuple(src, unpack_from("!H", data, at + 4)[0], dst, data[at] << 8 | data[at + 1], ICMP)
    return Tuple(src, 0, dst, 0, proto)
