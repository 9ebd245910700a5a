"""Segments in packets: the checksum over the pseudo header."""

from __future__ import annotations

from collections.abc import Callable

from simvlan.stack.packet import TCP, pseudo_sum
from simvlan.stack.packet import checksum as internet_checksum
from simvlan.stack.tcp import segment as wire
from simvlan.stack.tcp.segment import ACK, SYN, Segment

Flow = tuple[int, int, int, int]
"""Our address and port, theirs."""
Pseudo = Callable[[int, int, int, int], int]
"""The folded sum of a pseudo header: that of IPv4, or of IPv6."""


def with_checksum(octets: bytes, src: int, dst: int, partial: int = 0, summed: Pseudo = pseudo_sum) -> bytes:
    """Fill in the checksum; a partial one is the pseudo header's sum, for the device to finish."""
    pseudo = summed(src, dst, TCP, len(octets))
    value = pseudo if partial else internet_checksum(pseudo.to_bytes(2, "big") + octets)
    return octets[:16] + value.to_bytes(2, "big") + octets[18:]


def packed(segment: Segment, flow: Flow, partial: int, summed: Pseudo = pseudo_sum) -> bytes:
    """Write a segment of a connection, checksum included."""
    return with_checksum(wire.encode(segment, flow[1], flow[3]), flow[0], flow[2], partial, summed)


def is_syn_ack(segment: Segment) -> bool:
    """The answer to a SYN: its packet has identification 0 (ip_build_and_send_pkt)."""
    return segment.flags & (SYN | ACK) == SYN | ACK
