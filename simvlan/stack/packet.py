"""IPv4 packets: octets <-> fields, checksums. Mirrors include/uapi/linux/ip.h, lib/checksum.c; no rules but the checks
of ip_rcv_core, which decide whether octets are a packet at all."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from simvlan.frame import HOST, PType
from simvlan.stack.ipaddr import ip_text
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.netfilter.conntrack import Seen

ICMP, IGMP, TCP, UDP = 1, 2, 6, 17
DF, MF, OFFSET = 0x4000, 0x2000, 0x1FFF
MAX_PACKET = 65_535

_HEADER = Struct("!BBHHHBBHII")
_PSEUDO = Struct("!IIBBH")


def checksum(octets: bytes) -> int:
    """The internet checksum: the complement of the ones' complement sum."""
    if len(octets) & 1:
        octets += b"\0"
    rest = int.from_bytes(octets, "big") % 0xFFFF
    if rest == 0:
        return 0 if any(octets) else 0xFFFF
    return 0xFFFF - rest


def pseudo_sum(src: int, dst: int, proto: int, size: int) -> int:
    """The folded sum of the pseudo header: what a partial checksum holds (~csum_tcpudp_magic)."""
    return 0xFFFF - checksum(_PSEUDO.pack(src, dst, 0, proto, size))


class Packet:
    """One IPv4 packet on its way through a stack.

    `data` holds header and payload without link-layer padding; `partial` is what is left to a device (Frame.csum);
    `dev` is where it came in, None for one made here; `ptype` who its frame was for.
    """

    family = 4
    __slots__ = (
        "broadcast", "data", "dev", "dst", "frag", "frag_max", "header_len", "ident", "input_if", "looped",
        "partial", "proto", "ptype", "redirect", "seen", "src", "tos", "ttl",
    )  # fmt: skip

    def __init__(
        self, data: bytes, dev: Device | None = None, partial: int = 0, ptype: PType = HOST, looped: bool = False
    ) -> None:
        head = _HEADER.unpack_from(data)
        self.data = data
        self.dev = dev
        self.partial = partial
        self.ptype = ptype
        self.looped = looped
        self.header_len = (head[0] & 15) * 4
        self.tos, self.ident, self.frag, self.ttl, self.proto = head[1], head[3], head[4], head[5], head[6]
        self.src, self.dst = head[8], head[9]
        self.broadcast = False
        self.redirect = False
        self.input_if: Device | None = dev
        self.seen: Seen | None = None
        """What connection tracking made of it (skb->_nfct)."""
        self.frag_max = 0
        """The longest of the fragments it was put together from (IPCB->frag_max_size)."""

    @property
    def payload(self) -> bytes:
        """What follows the header."""
        return self.data[self.header_len :]

    @property
    def options(self) -> bytes:
        """The header's options."""
        return self.data[20 : self.header_len]

    def __str__(self) -> str:
        return f"{ip_text(self.src)} > {ip_text(self.dst)} proto {self.proto} ttl {self.ttl}"


def parse(
    octets: bytes, dev: Device | None, partial: int = 0, ptype: PType = HOST, looped: bool = False
) -> Packet | Drop:
    """Check octets as ip_rcv_core does and cut off the padding."""
    if len(octets) < 20:
        return Drop.IP_TRUNCATED
    header_len = (octets[0] & 15) * 4
    if octets[0] >> 4 != 4 or header_len < 20:
        return Drop.IP_INHDR
    if len(octets) < header_len:
        return Drop.IP_TRUNCATED
    if int.from_bytes(octets[:header_len], "big") % 0xFFFF:
        return Drop.IP_CSUM
    total = octets[2] << 8 | octets[3]
    if len(octets) < total:
        return Drop.PKT_TOO_SMALL
    if total < header_len:
        return Drop.IP_INHDR
    return Packet(octets if len(octets) == total else octets[:total], dev, partial, ptype, looped)


def build(
    src: int,
    dst: int,
    proto: int,
    payload: bytes,
    ttl: int = 64,
    tos: int = 0,
    ident: int = 0,
    frag: int = 0,
    options: bytes = b"",
) -> bytes:
    """Make a packet, header checksum included."""
    words = 5 + len(options) // 4
    head = _HEADER.pack(
        0x40 | words, tos, words * 4 + len(payload), ident, frag, ttl, proto, 0, src, dst
    ) + options  # fmt: skip
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + payload


def header_size(data: bytes) -> int:
    """How long a header says it is, 20 octets at least: what ipvlan l3 sends is not checked for that."""
    return max(20, (data[0] & 15) * 4)


def reheader(data: bytes) -> bytes:
    """Recompute total length and header checksum (ip_send_check)."""
    size = header_size(data)
    head = data[:2] + len(data).to_bytes(2, "big") + data[4:10] + b"\0\0" + data[12:size]
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + data[size:]


def with_ttl(data: bytes, ttl: int) -> bytes:
    """Change the TTL, the checksum updated the incremental way (ip_decrease_ttl)."""
    old = data[8] << 8 | data[9]
    new = ttl << 8 | data[9]
    total = (0xFFFF - (data[10] << 8 | data[11])) + (0xFFFF - old) + new
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return data[:8] + new.to_bytes(2, "big") + (0xFFFF - total).to_bytes(2, "big") + data[12:]


_CHECKSUM_AT = {UDP: 6, TCP: 16}


def finish_checksum(data: bytes) -> bytes:
    """Complete a partial transport checksum in software (skb_checksum_help)."""
    size = (data[0] & 15) * 4
    at = _CHECKSUM_AT.get(data[9])
    if at is None or len(data) < size + at + 2:
        return data
    value = checksum(data[size:]) or 0xFFFF
    return data[: size + at] + value.to_bytes(2, "big") + data[size + at + 2 :]
