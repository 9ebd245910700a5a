"""A frame as a filter of pcap-filter(7) sees it: what is loaded from which octets.

Mirrors the loads that libpcap 1.10 generates (gencode.c). As in the kernel, a tag that travels beside the frame is
invisible except to `vlan`; a load past the last octet rejects the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simvlan.frame import VLAN_ETHERTYPES, Frame

ETHERTYPE = {"ip": 0x0800, "arp": 0x0806, "rarp": 0x8035, "ip6": 0x86DD}
IP_PROTO = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "sctp": 132,
    "esp": 50,
    "ah": 51,
    "pim": 103,
    "vrrp": 112,
    "icmp6": 58,
}
FRAGMENT = 44


class BeyondTheFrame(Exception):  # noqa: N818
    """A load past the last octet: the kernel's filter machine then rejects the frame, whatever stands around it."""


@dataclass
class View:
    """A frame as a filter sees it."""

    frame: Frame
    outgoing: bool

    def at_depth(self, depth: int) -> tuple[int, bytes]:
        """Return ethertype and payload past *depth* tags, the one beside the frame first."""
        proto, data = self.frame.proto, self.frame.payload
        for _ in range(depth - (1 if depth and self.frame.accel else 0)):
            proto, data = int.from_bytes(data[2:4], "big"), data[4:]
        return proto, data


def tagged(view: View, depth: int, wanted: int | None) -> bool:
    """Whether there is a tag behind *depth* others; with *wanted*, whether its VID is that."""
    if depth == 0 and view.frame.accel:
        tci = view.frame.accel
    else:
        proto, data = view.at_depth(depth)
        if proto not in VLAN_ETHERTYPES and proto != 0x9100:
            return False
        tci = int.from_bytes(data[:2], "big")
    return wanted is None or tci & 0xFFF == wanted


def ipv4(view: View, depth: int) -> bytes | None:
    """The IPv4 packet behind *depth* tags, if it is one with a whole header."""
    proto, data = view.at_depth(depth)
    return data if proto == 0x0800 and len(data) >= 20 else None


def ip_proto(view: View, depth: int) -> int | None:
    """The protocol that an IP header names, behind a fragment header too; None: no IP."""
    proto, data = view.at_depth(depth)
    if proto not in (0x0800, 0x86DD):
        return None
    if proto == 0x86DD and _load(data, 6, 1) == FRAGMENT:
        return _load(data, 40, 1)
    return _load(data, 9 if proto == 0x0800 else 6, 1)


def hosts6(view: View, depth: int) -> tuple[int, int] | None:
    """Source and destination of an IPv6 packet."""
    proto, data = view.at_depth(depth)
    if proto != 0x86DD or len(data) < 40:
        return None
    return int.from_bytes(data[8:24], "big"), int.from_bytes(data[24:40], "big")


def hosts(view: View, depth: int, kinds: tuple[str, ...]) -> tuple[int, int] | None:
    """Source and destination of IPv4, or sender and target of ARP and RARP, of the kinds asked about."""
    proto, data = view.at_depth(depth)
    if proto == 0x0800 and "ip" in kinds:
        return _pair(data, 12, 16, 4)
    if (proto == 0x0806 and "arp" in kinds) or (proto == 0x8035 and "rarp" in kinds):
        return _pair(data, 14, 24, 4)
    return None


def ports(view: View, depth: int, protos: tuple[int, ...]) -> tuple[int, int] | None:
    """Source and destination port of these protocols; later fragments of IPv4 have none."""
    if ip_proto(view, depth) not in protos:
        return None
    proto, data = view.at_depth(depth)
    if proto == 0x86DD:
        return _pair(data, 40, 42, 2)
    if int.from_bytes(data[6:8], "big") & 0x1FFF:
        return None
    head = (data[0] & 15) * 4
    return _pair(data, head, head + 2, 2)


def _pair(data: bytes, first: int, second: int, size: int) -> tuple[int, int]:
    return _load(data, first, size), _load(data, second, size)


def _load(data: bytes, at: int, size: int) -> int:
    if len(data) < at + size:
        raise BeyondTheFrame
    return int.from_bytes(data[at : at + size], "big")


def base_of(view: View, proto: str, depth: int) -> bytes | None:
    """Return the octets that `proto[...]` counts from."""
    if proto == "ether":
        return bytes(view.frame.with_accel(0))
    if proto in ETHERTYPE:
        found, data = view.at_depth(depth)
        return data if found == ETHERTYPE[proto] else None
    packet = ipv4(view, depth)
    if packet is None or packet[9] != IP_PROTO.get(proto) or int.from_bytes(packet[6:8], "big") & 0x1FFF:
        return None
    return packet[(packet[0] & 15) * 4 :]


def compares(
    data: bytes | None, offset: int, size: int, mask: int, compare: Callable[[int, int], bool], value: int
) -> bool:
    """Whether `proto[offset:size] & mask` stands in a relation to a value."""
    return data is not None and compare(_load(data, offset, size) & mask, value)
