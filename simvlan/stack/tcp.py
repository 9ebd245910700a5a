"""TCP as far as a host without sockets has it: every port is closed, and a segment is answered with a reset.

Mirrors tcp_v4_rcv without a socket and tcp_v4_send_reset of net/ipv4/tcp_ipv4.c (6.1). Connections come later.
"""

from __future__ import annotations

from struct import pack, unpack_from
from typing import TYPE_CHECKING

from simvlan.frame import HOST
from simvlan.stack import fib
from simvlan.stack.packet import DF, TCP, Packet, build, checksum, pseudo_sum
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.stack.netstack import Stack

FIN, SYN, RST, ACK = 1, 2, 4, 16


def receive(stack: Stack, found: Packet) -> Drop:
    """Refuse a segment for this host; always the drop, for nobody listens."""
    segment = found.payload
    if found.ptype is not HOST:
        return Drop.NO_SOCKET
    if len(segment) < 20 or segment[12] >> 4 < 5 or len(segment) < (segment[12] >> 4) * 4:
        return Drop.PKT_TOO_SMALL
    if not found.partial and not _sums_up(found, segment):
        return Drop.TCP_CSUM
    if not segment[13] & RST and stack.addr_type(found.dst) == fib.LOCAL:
        _reset(stack, found, segment)
    return Drop.NO_SOCKET


def _sums_up(found: Packet, segment: bytes) -> bool:
    pseudo = pseudo_sum(found.src, found.dst, TCP, len(segment))
    return checksum(pseudo.to_bytes(2, "big") + segment) == 0


def _reset(stack: Stack, found: Packet, segment: bytes) -> None:
    """Answer from what the segment says alone: where it expects us to be, or what it may take as acknowledged."""
    route = stack.output.find(found.src, src=found.dst, tos=found.tos & 0x1E)
    if isinstance(route, int):
        return
    sport, dport, seq, ack, offset, flags = unpack_from("!HHIIBB", segment)
    if flags & ACK:
        head = pack("!HHIIBBHHH", dport, sport, ack, 0, 0x50, RST, 0, 0, 0)
    else:
        length = len(segment) - (offset >> 4) * 4 + bool(flags & SYN) + bool(flags & FIN)
        head = pack("!HHIIBBHHH", dport, sport, 0, (seq + length) & 0xFFFF_FFFF, 0x50, RST | ACK, 0, 0, 0)
    pseudo = pseudo_sum(found.dst, found.src, TCP, len(head))
    head = head[:16] + checksum(pseudo.to_bytes(2, "big") + head).to_bytes(2, "big") + head[18:]
    stack.output.send(route, build(found.dst, found.src, TCP, head, stack.settings["ip_default_ttl"], found.tos, 0, DF))
