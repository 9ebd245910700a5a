"""Octets and frames: what rides through every device.

A `Frame` is one Ethernet frame as Linux holds it in an skb: header fields as integers, at most one *accelerated* VLAN
tag beside the octets (`skb->vlan_proto`/`vlan_tci`), and everything after the first in-band ethertype as `payload`.
Frames are immutable by convention: a rule that changes one makes a new one, so copies share their payload.
Mirrors include/linux/if_vlan.h, net/ethernet/eth.c. Scapy enters and leaves only through `from_scapy`/`to_scapy`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

BROADCAST = 0xFFFF_FFFF_FFFF
GROUP = 0x0100_0000_0000
"""The group bit: set in multicast and broadcast addresses."""

ETH_HLEN = 14
VLAN_HLEN = 4
MAX_SIZE = 65_535 + ETH_HLEN + 8 * VLAN_HLEN

IPV4, ARP, IPV6, QINQ, DOT1Q = 0x0800, 0x0806, 0x86DD, 0x88A8, 0x8100
VLAN_ETHERTYPES = frozenset((DOT1Q, QINQ))

CONTROL = 7
"""The priority of reports about multicast groups, IGMPv3 and MLDv2 (TC_PRIO_CONTROL)."""


class FrameError(ValueError):
    """Octets that cannot be an Ethernet frame; the text says which rule they break."""


class PType(IntEnum):
    """`skb->pkt_type`: who a frame is for, judged by the device that received it (eth_type_trans)."""

    HOST = 0
    BROADCAST = 1
    MULTICAST = 2
    OTHERHOST = 3
    OUTGOING = 4


HOST, BCAST, MCAST, OTHERHOST = PType.HOST, PType.BROADCAST, PType.MULTICAST, PType.OTHERHOST


class Frame:
    """One Ethernet frame. Sizes in octets; `len(frame)` counts header and in-band tags, not the accelerated tag.

    Attributes:
        dst: destination MAC, 48-bit integer.
        src: source MAC, 48-bit integer.
        accel: accelerated tag as `tpid << 16 | tci`, 0 when there is none.
        proto: the first in-band ethertype (`skb->protocol`).
        payload: octets after that ethertype, inner tags included.
        ptype: who the frame is for, as the receiving device saw it.
        prio: `skb->priority`, never on the wire by itself.
        csum: what of a transport's work is left to a device: 0 nothing; 1 its checksum (CHECKSUM_PARTIAL), valid
            although it does not add up; more: the cutting into segments of so many octets as well (see `gso_size`).
    """

    __slots__ = ("accel", "csum", "dst", "payload", "prio", "proto", "ptype", "src")

    def __init__(
        self,
        dst: int,
        src: int,
        proto: int,
        payload: bytes,
        accel: int = 0,
        ptype: PType = HOST,
        prio: int = 0,
        csum: int = 0,
    ) -> None:
        self.dst = dst
        self.src = src
        self.proto = proto
        self.payload = payload
        self.accel = accel
        self.ptype = ptype
        self.prio = prio
        self.csum = csum

    @classmethod
    def parse(cls, octets: bytes) -> Frame:
        """Read octets as they lie on the wire, every tag in-band.

        Raises:
            FrameError: fewer than 14 octets, or more than any device could carry.
        """
        if len(octets) < ETH_HLEN:
            raise FrameError(f"{len(octets)} octets are too few for an Ethernet header (14)")
        if len(octets) > MAX_SIZE:
            raise FrameError(f"{len(octets)} octets are more than any device carries ({MAX_SIZE})")
        return cls(
            int.from_bytes(octets[0:6], "big"),
            int.from_bytes(octets[6:12], "big"),
            octets[12] << 8 | octets[13],
            bytes(octets[14:]),
        )

    def __len__(self) -> int:
        return ETH_HLEN + len(self.payload)

    def __bytes__(self) -> bytes:
        """Return the octets as on the wire, the accelerated tag put back in place."""
        head = self.dst.to_bytes(6, "big") + self.src.to_bytes(6, "big")
        if self.accel:
            head += self.accel.to_bytes(4, "big")
        return head + self.proto.to_bytes(2, "big") + self.payload

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))

    def __repr__(self) -> str:
        return f"<Frame {self.summary()}>"

    @property
    def gso_size(self) -> int:
        """Octets of payload in each segment of a super-packet (skb_shinfo(skb)->gso_size); 0: it is none."""
        return self.csum if self.csum > 1 else 0

    @property
    def vid(self) -> int:
        """The accelerated tag's VLAN id (0 also when untagged)."""
        return self.accel & 0xFFF

    @property
    def tags(self) -> tuple[tuple[int, int], ...]:
        """Every tag, outermost first, as (ethertype, tci)."""
        found = [(self.accel >> 16, self.accel & 0xFFFF)] if self.accel else []
        proto, at = self.proto, 0
        while proto in VLAN_ETHERTYPES and len(self.payload) >= at + 4:
            found.append((proto, int.from_bytes(self.payload[at : at + 2], "big")))
            proto, at = int.from_bytes(self.payload[at + 2 : at + 4], "big"), at + 4
        return tuple(found)

    def summary(self) -> str:
        """One short line: addresses, tags, ethertype, size."""
        tags = "".join(f" {'Q' if t == DOT1Q else 'AD'}{tci & 0xFFF}" for t, tci in self.tags)
        inner = self.proto
        at = 0
        while inner in VLAN_ETHERTYPES and len(self.payload) >= at + 4:
            inner, at = int.from_bytes(self.payload[at + 2 : at + 4], "big"), at + 4
        size = len(self) + (VLAN_HLEN if self.accel else 0)
        return f"{mac_text(self.src)} > {mac_text(self.dst)}{tags} 0x{inner:04x} {size} octets"

    # -- copies with one thing changed ------------------------------------------------------------------------------

    def as_ptype(self, ptype: PType) -> Frame:
        """Return the frame with another packet type."""
        if self.ptype is ptype:
            return self
        return Frame(self.dst, self.src, self.proto, self.payload, self.accel, ptype, self.prio, self.csum)

    def received_by(self, mac: int) -> Frame:
        """Return the frame as a device with address *mac* receives it from another (__dev_forward_skb).

        The packet type is judged anew, the priority starts at 0 again.
        """
        dst = self.dst
        if dst == mac:
            ptype = HOST
        elif not dst & GROUP:
            ptype = OTHERHOST
        else:
            ptype = BCAST if dst == BROADCAST else MCAST
        if self.ptype is ptype and not self.prio:
            return self
        return Frame(dst, self.src, self.proto, self.payload, self.accel, ptype, 0, self.csum)

    def with_accel(self, accel: int) -> Frame:
        """Return the frame with another accelerated tag (0: none)."""
        return Frame(self.dst, self.src, self.proto, self.payload, accel, self.ptype, self.prio, self.csum)

    def pop_inband(self) -> Frame | None:
        """Move the outer in-band tag to the accelerated place (skb_vlan_untag); None if the frame is too short.

        Linux needs the tag and two more octets: a shorter frame is freed before any tap sees it.
        """
        data = self.payload
        if len(data) < 6:
            return None
        accel = self.proto << 16 | data[0] << 8 | data[1]
        return Frame(self.dst, self.src, data[2] << 8 | data[3], data[4:], accel, self.ptype, self.prio, self.csum)

    def push_inband(self) -> Frame:
        """Put the accelerated tag into the octets (__vlan_hwaccel_push_inside)."""
        if not self.accel:
            return self
        data = (self.accel & 0xFFFF).to_bytes(2, "big") + self.proto.to_bytes(2, "big") + self.payload
        return Frame(self.dst, self.src, self.accel >> 16, data, 0, self.ptype, self.prio, self.csum)

    def with_macs(self, dst: int, src: int) -> Frame:
        """Return the frame with other addresses."""
        return Frame(dst, src, self.proto, self.payload, self.accel, self.ptype, self.prio, self.csum)


def mac_text(mac: int) -> str:
    """Write a MAC as six colon-separated octets, lower case."""
    return mac.to_bytes(6, "big").hex(":")


def parse_mac(text: str) -> int:
    """Read six colon- or dash-separated hexadecimal octets.

    Raises:
        ValueError: anything else; the message names the text.
    """
    parts = text.replace("-", ":").split(":")
    if len(parts) != 6 or not all(1 <= len(p) <= 2 for p in parts):
        raise ValueError(f'"{text}" is not a MAC address (expected six octets such as 02:00:00:00:00:01)')
    try:
        return int.from_bytes(bytes(int(p, 16) for p in parts), "big")
    except ValueError as error:
        raise ValueError(f'"{text}" is not a MAC address') from error


def is_valid_ether_addr(mac: int) -> bool:
    """Say whether a station may own this address: neither zero nor a group address."""
    return mac != 0 and not mac & GROUP


def from_scapy(packet: Any) -> Frame:
    """Turn a scapy packet (starting with Ether) or octets into a Frame."""
    return Frame.parse(bytes(packet))


def to_scapy(frame: Frame) -> Any:
    """Return the frame as a scapy `Ether` packet, tags in place."""
    from scapy.layers.l2 import Ether

    return Ether(bytes(frame))
