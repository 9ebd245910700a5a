"""Segments in packets: the checksum over the pseudo header."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

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


def waits(segment: Segment, ends: bytes, queue: Iterable[Sequence[Any]], part: slice) -> bool:
    """Whether a segment has not left the host yet, so that it is not sent again (skb_still_in_host_queue).

    What is not kept for repetition is always sent: acknowledgements alone, resets, and SYN-ACKs.

    Args:
        ends: addresses and ports, as in a packet.
        queue: packets that wait for a link-layer address, each the first of its tuple.
        part: where `ends` and the sequence number behind them are in a packet.
    """
    if not segment.size or is_syn_ack(segment):
        return False
    wanted = ends + segment.seq.to_bytes(4, "big")
    return any(packet[0][part] == wanted for packet in queue)
