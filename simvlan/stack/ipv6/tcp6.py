"""TCP over IPv6 as far as it goes here: nobody listens, so what arrives is reset. Mirrors tcp_v6_send_reset."""

from __future__ import annotations

from struct import unpack_from
from typing import TYPE_CHECKING

from simvlan.frame import HOST
from simvlan.stack.ipv6 import packet
from simvlan.stack.tcp import segment as wire
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.input import Packet6


def reset(ip6: Ip6, found: Packet6) -> Drop:
    """Answer a segment with RST from what it says alone; no RST is answered."""
    octets = found.payload
    if found.ptype is not HOST:
        return Drop.NO_SOCKET
    if len(octets) < wire.HEADER or octets[12] >> 4 < 5 or len(octets) < (octets[12] >> 4) * 4:
        return Drop.PKT_TOO_SMALL
    if not found.partial and packet.transport_checksum(found.src, found.dst, packet.TCP, octets):
        return Drop.TCP_CSUM
    segment = wire.decode(octets)
    sport, dport = unpack_from("!HH", octets)
    if not segment.flags & wire.RST:
        _send(ip6, found, wire.encode(wire.reset_for(segment), dport, sport))
    return Drop.NO_SOCKET


def _send(ip6: Ip6, found: Packet6, octets: bytes) -> None:
    src, dst = found.dst, found.src
    made = ip6.output.find(dst, src=src, oif=found.input_if)
    if isinstance(made, int):
        return
    value = packet.transport_checksum(src, dst, packet.TCP, octets)
    octets = octets[:16] + value.to_bytes(2, "big") + octets[18:]
    flow = ip6.output.flow_label(src, dst, packet.TCP)
    ip6.output.send(
        made, packet.build(src, dst, packet.TCP, octets, ip6.output.hop_limit(made), found.tclass & 0xFC, flow)
    )
