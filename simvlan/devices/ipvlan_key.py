"""Which address of a packet ipvlan looks up: the demultiplexing keys.

Mirrors ipvlan_get_L3_hdr and ipvlan_addr_lookup of drivers/net/ipvlan/ipvlan_core.c (6.1). A key is the address'
octets, 4 or 16 of them; None when the packet has none. An accelerated VLAN tag does not matter, an in-band one hides
the key. Where a packet socket sends, the kernel may look for the packet at the wrong octet: `Misplaced`.
"""

from __future__ import annotations

from simvlan.frame import ARP, ETH_HLEN, IPV4, IPV6, Frame

ARP_LEN = 28
"""Octets of an ARP packet between Ethernet stations (arp_hdr_len)."""

ROOM_OF_A_SOCKET = 40
"""What packet_snd wants behind the room for a header (sizeof(struct ipv6hdr)) before it looks there."""

ANY6 = bytes(16)
ICMPV6 = 58
NEIGHBOUR_SOLICITATION = 135


class Misplaced(Frame):
    """A frame whose packet the kernel looks for where it is not (skb->network_header)."""

    __slots__ = ("seen",)

    seen: bytes


def from_socket(frame: Frame, room: int) -> Frame:
    """Return a frame as a packet socket hands it to a device with *room* octets for a header (packet_snd).

    Where that is more than an Ethernet header (a VLAN device whose lower device takes no tag aside, and an ipvlan on
    it), the packet is looked for behind all of it, or at the first octet where the frame is short.
    """
    if room == ETH_HLEN:
        return frame
    octets = bytes(frame)
    made = Misplaced(frame.dst, frame.src, frame.proto, frame.payload, frame.accel, frame.ptype, frame.prio, frame.csum)
    made.seen = octets[room:] if len(octets) >= room + ROOM_OF_A_SOCKET else octets
    return made


def destination_key(frame: Frame, sending: bool = False) -> bytes | None:
    """Return the address a packet is for: IP destination, or the target of ARP and of a duplicate-address probe.

    While *sending*, the kernel's length checks still count the Ethernet header as part of the packet.
    """
    data = frame.seen if sending and isinstance(frame, Misplaced) else frame.payload
    if frame.proto == IPV4:
        return data[16:20] if _is_ipv4(data, len(frame) if sending else len(data)) else None
    if frame.proto == ARP:
        return data[24:28] if len(data) >= ARP_LEN else None
    return _ipv6_key(data, 24) if frame.proto == IPV6 else None


def source_key(frame: Frame) -> bytes | None:
    """Return the address a packet is from; for a duplicate-address probe the target, which is the sender's own."""
    data = frame.payload
    if frame.proto == IPV4:
        return data[12:16] if _is_ipv4(data, len(data)) else None
    if frame.proto == ARP:
        return data[14:18] if len(data) >= ARP_LEN else None
    return _ipv6_key(data, 8) if frame.proto == IPV6 else None


def _is_ipv4(data: bytes, size: int) -> bool:
    """Whether the header is plausible: version, header length, total length within what the kernel takes for it."""
    if len(data) < 20 or data[0] >> 4 != 4 or data[0] & 15 < 5:
        return False
    total = data[2] << 8 | data[3]
    return (data[0] & 15) * 4 <= total <= size


def _ipv6_key(data: bytes, at: int) -> bytes | None:
    """Return an IPv6 address, or the target where a probe from `::` hides it."""
    if len(data) < 40 or data[0] >> 4 != 6:
        return None
    if data[6] != ICMPV6 or data[8:24] != ANY6:
        return data[at : at + 16]
    if len(data) >= 64 and data[40] == NEIGHBOUR_SOLICITATION:
        return data[48:64]
    return None
