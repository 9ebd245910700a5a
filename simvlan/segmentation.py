"""Super-packets: what a device is told by gso_size, and how one becomes the frames that lie on a wire.

A frame with `gso_size` stands for several segments of one TCP or UDP flow, which share its headers. Mirrors
skb_gso_segment (tcp_gso_segment, __udp_gso_segment, inet_gso_segment, ipv6_gso_segment), skb_gso_network_seglen,
qdisc_pkt_len_init and what netdev_fix_features asks for. Checksums stay partial.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, Protocol

from simvlan.frame import DOT1Q, ETH_HLEN, IPV4, IPV6, QINQ, Frame

TCP, UDP = 6, 17
CSUM_OFFSET = {TCP: 16, UDP: 6}
FIN_PSH, CWR = 0x09, 0x80
GSO_MAX_SIZE = 65_536 - 320 - 1
"""Octets that TCP puts into one: gso_max_size less MAX_TCP_HEADER and one (sk_setup_caps)."""
FEATURES = {(4, TCP): "tx-tcp-segmentation", (6, TCP): "tx-tcp6-segmentation"}
"""The feature of a device that takes them whole, by version of IP and protocol; others: tx-udp-segmentation."""
SOFTWARE = "generic-segmentation-offload"
SCATTER_GATHER, CHECKSUM = "tx-scatter-gather", "tx-checksum-ip-generic"
FOLLOWS = {
    "vlan": (CHECKSUM, "tx-checksum-sctp", SCATTER_GATHER, "tx-scatter-gather-fraglist"),
    "macvlan": (SOFTWARE, "generic-receive-offload"),
    "ipvlan": (SOFTWARE, "generic-receive-offload"),
}
"""What a device has only where the one below has it (vlan_dev_fix_features, macvlan_fix_features)."""


# -- what they are ----------------------------------------------------------------------------------------------------


def transport(frame: Frame) -> tuple[int, int, int] | None:
    """Where IP begins in the payload (behind in-band tags), where TCP or UDP, and which; None when there is neither."""
    data, at, proto = frame.payload, 0, frame.proto
    while proto in (DOT1Q, QINQ) and len(data) >= at + 4:
        proto, at = data[at + 2] << 8 | data[at + 3], at + 4
    if proto == IPV4 and len(data) >= at + 20:
        protocol, start = data[at + 9], at + (data[at] & 15) * 4
    elif proto == IPV6 and len(data) >= at + 40:
        protocol, start = data[at + 6], at + 40
    else:
        return None
    if protocol not in CSUM_OFFSET or len(data) < start + CSUM_OFFSET[protocol] + 2:
        return None
    return at, start, protocol


def _body(frame: Frame) -> int:
    """Where the octets begin that are divided; the payload's end when nothing can be."""
    found = transport(frame)
    return len(frame.payload) if found is None else _behind(frame.payload, found[1], found[2])


def _behind(data: bytes, start: int, protocol: int) -> int:
    """The end of a transport header."""
    return start + ((data[start + 12] >> 4) * 4 if protocol == TCP else 8)


def gso_segs(frame: Frame) -> int:
    """How many frames it stands for."""
    if not frame.gso_size:
        return 1
    return max(1, -(-(len(frame.payload) - _body(frame)) // frame.gso_size))


def wire_size(frame: Frame) -> int:
    """Octets on the wire, every segment's header counted: what a queue goes by (qdisc_pkt_len_init)."""
    size = len(frame)
    return size + (gso_segs(frame) - 1) * (ETH_HLEN + _body(frame)) if frame.gso_size else size


def longest(packet: bytes, offload: int) -> int:
    """Octets of the longest IP packet in one whose frame has csum *offload* (skb_gso_network_seglen)."""
    if offload <= 1:
        return len(packet)
    start, protocol = ((packet[0] & 15) * 4, packet[9]) if packet[0] >> 4 == 4 else (40, packet[6])
    return min(len(packet), _behind(packet, start, protocol) + offload)


# -- who takes them ---------------------------------------------------------------------------------------------------


class Features(Protocol):
    """A device as far as its features go."""

    kind: ClassVar[str]
    features_off: set[str]
    lower: Any


def has(dev: Features, feature: str) -> bool:
    """Whether one of the features named here is on: not switched off, and with what it needs (netdev_fix_features)."""
    if feature in dev.features_off or (feature in FOLLOWS.get(dev.kind, ()) and not has(dev.lower, feature)):
        return False
    if feature in (CHECKSUM, SCATTER_GATHER):
        return True
    return has(dev, SCATTER_GATHER) and (feature == SOFTWARE or has(dev, CHECKSUM))


TSO = ("tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation")


def makes_segments(dev: Features) -> bool:
    """Whether a device's driver cuts TCP of any kind itself (NETIF_F_ALL_TSO)."""
    return any(has(dev, feature) for feature in TSO)


def taken_whole(frame: Frame, dev: Features) -> bool:
    """Whether a device's driver takes this one as it is (netif_needs_gso)."""
    found = transport(frame)
    if found is None:
        return True
    version = frame.payload[found[0]] >> 4
    return has(dev, FEATURES.get((version, found[2]), "tx-udp-segmentation"))


# -- cutting ----------------------------------------------------------------------------------------------------------


def segments(frame: Frame) -> list[Frame]:
    """Cut one into the frames it stands for; others stay as they are."""
    found, size = transport(frame), frame.gso_size
    if found is None or not size:
        return [frame]
    ip, start, protocol = found
    data = frame.payload
    body = _behind(data, start, protocol)
    made = []
    for number, at in enumerate(range(body, len(data), size) or (body,)):
        piece = data[at : at + size]
        head = bytearray(data[:body])
        _transport(head, start, protocol, at - body, number == 0, at + size >= len(data))
        _lengths(head, ip, start, protocol, number, len(piece), len(data) - body)
        one = copy(frame)
        one.payload, one.csum = bytes(head) + piece, 1
        made.append(one)
    return made


def _transport(head: bytearray, start: int, protocol: int, offset: int, first: bool, last: bool) -> None:
    """TCP: sequence number; FIN and PSH on the last only, CWR on the first."""
    if protocol == TCP:
        seq = int.from_bytes(head[start + 4 : start + 8], "big") + offset
        head[start + 4 : start + 8] = (seq & 0xFFFF_FFFF).to_bytes(4, "big")
        head[start + 13] &= 0xFF & ~((0 if last else FIN_PSH) | (0 if first else CWR))


def _lengths(head: bytearray, ip: int, start: int, protocol: int, number: int, piece: int, whole: int) -> None:
    """The lengths in IP, UDP and the pseudo header that the partial checksum holds; IPv4's id and checksum."""
    inner = len(head) - start + piece
    if head[ip] >> 4 == 4:
        head[ip + 2 : ip + 4] = (start - ip + inner).to_bytes(2, "big")
        ident = int.from_bytes(head[ip + 4 : ip + 6], "big") + number
        head[ip + 4 : ip + 6] = (ident & 0xFFFF).to_bytes(2, "big")
        head[ip + 10 : ip + 12] = b"\0\0"
        head[ip + 10 : ip + 12] = folded(bytes(head[ip:start])).to_bytes(2, "big")
    else:
        head[ip + 4 : ip + 6] = (start - ip - 40 + inner).to_bytes(2, "big")
    if protocol == UDP:
        head[start + 4 : start + 6] = inner.to_bytes(2, "big")
    at = start + CSUM_OFFSET[protocol]
    pseudo = int.from_bytes(head[at : at + 2], "big") - whole + piece
    head[at : at + 2] = (pseudo % 0xFFFF).to_bytes(2, "big")


def folded(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of octets, never 0 where 0 would mean that there is none."""
    total = int.from_bytes(data + b"\0" * (len(data) % 2), "big")
    return 0xFFFF - (total % 0xFFFF or (0xFFFF if total else 0)) or 0xFFFF
