"""Compare what two kernels (or the simulator and one) showed at every capture point; imports no rule.

Masks take out what a kernel draws at random or leaves to hardware: IP identification, partial UDP/TCP checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Captured = tuple[int, str, bytes]
Captures = Mapping[str, Sequence[Captured]]
Mask = Callable[[bytearray, int], None]  # (frame, offset of its IPv4 header) -> changes the frame

_VLAN_ETHERTYPES = (0x8100, 0x88A8)
_IPV4 = 0x0800
_CHECKSUM_AT = {6: 16, 17: 6}  # IP protocol -> where its checksum is


@dataclass(frozen=True)
class Difference:
    """The first frame at one capture point that only one side has, or has otherwise."""

    device: str
    index: int
    ours: tuple[str, bytes] | None
    theirs: tuple[str, bytes] | None

    def __str__(self) -> str:
        return f"{self.device} frame {self.index}:\n  ours   {_show(self.ours)}\n  theirs {_show(self.theirs)}"


def _show(frame: tuple[str, bytes] | None) -> str:
    return f"{frame[0]:3} {frame[1].hex()}" if frame else "(none)"


def ipv4_offset(frame: bytes) -> int | None:
    """Where the IPv4 header of a frame begins, behind any number of tags; None if it carries none."""
    at = 12
    while len(frame) >= at + 2:
        (ethertype,) = struct.unpack_from("!H", frame, at)
        if ethertype not in _VLAN_ETHERTYPES:
            return at + 2 if ethertype == _IPV4 and len(frame) >= at + 22 else None
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


STACK_MASKS: tuple[Mask, ...] = (mask_ip_id, mask_l4_checksum, mask_icmp_echo)


def masked(octets: bytes, masks: Iterable[Mask]) -> bytes:
    """A frame with the masked fields zeroed."""
    ip = ipv4_offset(octets)
    if ip is None:
        return octets
    frame = bytearray(octets)
    for mask in masks:
        mask(frame, ip)
    return bytes(frame)


def compare(ours: Captures, theirs: Captures, mask: Iterable[Mask] = (mask_ip_id,)) -> list[Difference]:
    """The first difference of every capture point that has one; a point missing on one side counts as empty."""
    masks = tuple(mask)
    found = []
    for device in sorted({*ours, *theirs}):
        left, right = (
            [(way, masked(octets, masks)) for _, way, octets in side.get(device, ())] for side in (ours, theirs)
        )
        for index in range(max(len(left), len(right))):
            pair = (left[index] if index < len(left) else None, right[index] if index < len(right) else None)
            if pair[0] != pair[1]:
                found.append(Difference(device, index, *pair))
                break
    return found
