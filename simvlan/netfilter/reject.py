"""REJECT: what the sender is told. Mirrors nf_send_unreach and nf_send_reset (net/ipv4/netfilter/nf_reject_ipv4.c)."""

from __future__ import annotations

from struct import unpack_from
from typing import TYPE_CHECKING

from simvlan.netfilter.rules import REJECTS, Target
from simvlan.stack.packet import OFFSET, TCP, Packet
from simvlan.stack.tcp import segment as wire
from simvlan.stack.tcp.segment import HEADER, RST, reset_for

if TYPE_CHECKING:
    from simvlan.stack.netstack import Stack


def reject(stack: Stack, found: Packet, target: Target) -> None:
    """Answer a rejected packet; nothing is said to fragments."""
    code = REJECTS[target.reject]
    if found.frag & OFFSET:
        return
    if code >= 0:
        stack.icmp.error(found, 3, code)
    elif found.proto == TCP and len(found.payload) >= HEADER:
        _reset(stack, found)


def _reset(stack: Stack, found: Packet) -> None:
    octets = found.payload
    segment = wire.decode(octets)
    if segment.flags & RST:
        return
    sport, dport = unpack_from("!HH", octets)
    stack.tcp.refuse((found.dst, dport, found.src, sport), reset_for(segment), found)
