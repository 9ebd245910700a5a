"""Fields of a frame that are drawn at random, read from a clock or left to hardware; each mask zeroes one.

Only IPv4 has such fields here: identification (ip_select_ident), partial UDP and TCP checksums (CHECKSUM_PARTIAL),
ping's identifier and time stamp, the source port of a traceroute's probe, a DHCP transaction's number. An
ICMP error's quotation is treated as the packet it quotes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

Mask = Callable[[bytearray, int], None]
"""(frame, offset of its IPv4 header) -> changes the frame."""

_VLAN_ETHERTYPES = (0x8100, 0x88A8)
_IPV4 = 0x0800
_CHECKSUM_AT = {6: 16, 17: 6}  # IP protocol -> where its checksum is
_PROBE_PORTS = range(33434, 33534)


def ipv4_offset(frame: bytes) -> int | None:
    """Where the IPv4 header of a frame begins, behind any number of tags; None if it carries none."""
    return header_offset(frame, _IPV4, 20)


def header_offset(frame: bytes, wanted: int, least: int) -> int | None:
    """Where what this ethertype announces begins, behind any number of tags; None if it is not there, or too short."""
    at = 12
    while len(frame) >= at + 2:
        (ethertype,) = struct.unpack_from("!H", frame, at)
        if ethertype not in _VLAN_ETHERTYPES:
            return at + 2 if ethertype == wanted and len(frame) >= at + 2 + least else None
        at += 4
    return None


def mask_ip_id(frame: bytearray, ip: int) -> None:
    """The identification field and the header checksum that covers it; inside ICMP errors' quotations too."""
    frame[ip + 4 : ip + 6] = frame[ip + 10 : ip + 12] = b"\0\0"
    quoted = ip + (frame[ip] & 15) * 4
    if frame[ip + 9] == 1 and len(frame) >= quoted + 28 and frame[quoted] in (3, 4, 5, 11, 12):
        frame[quoted + 2 : quoted + 4] = b"\0\0"  # the error's checksum covers the quotation
        mask_ip_id(frame, quoted + 8)


def mask_l4_checksum(frame: bytearray, ip: int) -> None:
    """UDP and TCP checksums: a virtual device never completes those of its own stack."""
    at = ip + (frame[ip] & 15) * 4 + _CHECKSUM_AT.get(frame[ip + 9], 1 << 16)
    first_fragment = not (frame[ip + 6] & 0x1F or frame[ip + 7])
    if first_fragment and at + 2 <= len(frame):
        frame[at : at + 2] = b"\0\0"


def mask_icmp_echo(frame: bytearray, ip: int) -> None:
    """What ping draws or reads from the clock: identifier, checksum and the 16 octets of its time stamp."""
    icmp = ip + (frame[ip] & 15) * 4
    if frame[ip + 9] == 1 and len(frame) >= icmp + 8 and frame[icmp] in (0, 8) and not frame[ip + 7]:
        frame[icmp + 2 : icmp + 6] = b"\0\0\0\0"
        stamp = slice(icmp + 8, min(icmp + 24, len(frame)))
        frame[stamp] = bytes(len(frame[stamp]))


def mask_probe(frame: bytearray, ip: int) -> None:
    """The ephemeral source port of a traceroute's probe, and of one quoted in an error."""
    at = ip + (frame[ip] & 15) * 4
    if frame[ip + 9] == 17 and len(frame) >= at + 4 and int.from_bytes(frame[at + 2 : at + 4], "big") in _PROBE_PORTS:
        frame[at : at + 2] = b"\0\0"
    elif frame[ip + 9] == 1 and len(frame) >= at + 32 and frame[at] in (3, 5, 11):
        mask_quotation(frame, at + 8)


def mask_quotation(frame: bytearray, ip: int) -> None:
    """What the other masks take out of a packet, in the packet that an ICMP error quotes."""
    for mask in (mask_probe, mask_icmp_echo, mask_l4_checksum):
        mask(frame, ip)


def mask_dhcp(frame: bytearray, ip: int) -> None:
    """A DHCP transaction's number, which clients draw, and the seconds they say they have waited."""
    at = ip + (frame[ip] & 15) * 4
    ports = {int.from_bytes(frame[at + i : at + i + 2], "big") for i in (0, 2)}
    if frame[ip + 9] == 17 and ports <= {67, 68} and len(frame) >= at + 18:
        frame[at + 12 : at + 18] = bytes(6)


STACK_MASKS: tuple[Mask, ...] = (mask_ip_id, mask_l4_checksum, mask_icmp_echo)
ALL_MASKS: tuple[Mask, ...] = (*STACK_MASKS, mask_probe, mask_dhcp)


def masked(octets: bytes, masks: Iterable[Mask]) -> bytes:
    """A frame with the masked fields zeroed."""
    ip = ipv4_offset(octets)
    if ip is None:
        return octets
    frame = bytearray(octets)
    for mask in masks:
        mask(frame, ip)
    return bytes(frame)


class Masked(bytes):
    """Octets as they are compared; `seen` are those that the capture shows."""

    seen: bytes

    @classmethod
    def of(cls, octets: bytes, seen: bytes) -> Masked:
        """Remember what was seen."""
        made = cls(octets)
        made.seen = as_seen(seen)
        return made


def as_seen(octets: bytes) -> bytes:
    """A frame as the capture shows it."""
    return octets.seen if isinstance(octets, Masked) else octets


def without_headers(octets: bytes) -> bytes:
    """What an ipvlan in mode l3 or l3s sends, without what Linux rewrites while the capture's clone still waits.

    That is both MAC addresses, and the IP header's total length and checksum, or the payload length of IPv6.
    """
    if octets[12:14] == b"\x86\xdd":
        return bytes(12) + octets[12:18] + bytes(2) + octets[20:]
    return bytes(12) + octets[12:16] + bytes(2) + octets[18:24] + bytes(2) + octets[26:]
