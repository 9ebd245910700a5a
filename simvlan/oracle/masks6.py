"""Fields of an IPv6 packet that are drawn at random, read from a clock or left to hardware; each mask zeroes one.

Flow labels are hashes with a secret of the boot (skb_get_hash_flowi6): that there is one is kept, not which. Fragments'
identifications are drawn (ipv6_select_ident), so are the nonces of duplicate address detection (ndisc_send_ns). An
ICMPv6 error's quotation, and a redirect's, is treated as the packet it quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from simvlan.oracle.masks import header_offset

Mask = Callable[[bytearray, int], None]
"""(frame, offset of its IPv6 header) -> changes the frame."""

_IPV6 = 0x86DD
_TCP, _UDP, _FRAGMENT, _ICMPV6 = 6, 17, 44, 58
_OPTIONS = (0, 43, 60)
_CHECKSUM_AT = {_TCP: 16, _UDP: 6}
_SOLICITATION, _NONCE = 135, 14
_REDIRECT, _REDIRECTED = 137, 4
_PROBE_PORTS = range(33434, 33534)


def ipv6_offset(frame: bytes) -> int | None:
    """Where the IPv6 header of a frame begins, behind any number of tags; None if it carries none."""
    return header_offset(frame, _IPV6, 40)


def upper(frame: bytes | bytearray, ip: int) -> tuple[int, int] | None:
    """The protocol behind the extension headers and its offset; None in later fragments and cut off ones."""
    proto, at = frame[ip + 6], ip + 40
    while proto in (*_OPTIONS, _FRAGMENT) and len(frame) >= at + 8:
        if proto == _FRAGMENT and (frame[at + 2] or frame[at + 3] & 0xF8):
            return None
        proto, at = frame[at], at + (8 if proto == _FRAGMENT else (frame[at + 1] + 1) * 8)
    return (proto, at) if len(frame) > at else None


def mask_labels(frame: bytearray, ip: int) -> None:
    """Flow labels: any becomes 1."""
    if frame[ip + 1] & 15 or frame[ip + 2] or frame[ip + 3]:
        frame[ip + 1 : ip + 4] = frame[ip + 1] & 0xF0, 0, 1


def mask_identification(frame: bytearray, ip: int) -> None:
    """What parts of one packet have in common, directly behind the header."""
    if frame[ip + 6] == _FRAGMENT and len(frame) >= ip + 48:
        frame[ip + 44 : ip + 48] = bytes(4)


def mask_nonce(frame: bytearray, ip: int) -> None:
    """The nonce of a solicitation, and the checksum over it."""
    found = upper(frame, ip)
    if found and found[0] == _ICMPV6 and frame[found[1]] == _SOLICITATION and len(frame) >= found[1] + 32:
        at = found[1]
        if frame[at + 24] == _NONCE:
            frame[at + 2 : at + 4] = bytes(2)
            frame[at + 26 : at + 32] = bytes(6)


def mask_l4_checksum(frame: bytearray, ip: int) -> None:
    """UDP and TCP checksums: a virtual device never completes those of its own stack."""
    found = upper(frame, ip)
    if found and (at := found[1] + _CHECKSUM_AT.get(found[0], 1 << 17)) + 2 <= len(frame):
        frame[at : at + 2] = bytes(2)


def mask_echo(frame: bytearray, ip: int) -> None:
    """What ping draws or reads from the clock: identifier, checksum and the 16 octets of its time stamp."""
    found = upper(frame, ip)
    if found and found[0] == _ICMPV6 and frame[found[1]] in (128, 129) and len(frame) >= found[1] + 8:
        at = found[1]
        frame[at + 2 : at + 6] = bytes(4)
        stamp = slice(at + 8, min(at + 24, len(frame)))
        frame[stamp] = bytes(len(frame[stamp]))


def mask_probe(frame: bytearray, ip: int) -> None:
    """The ephemeral source port of a traceroute's probe."""
    found = upper(frame, ip)
    if found and found[0] == _UDP and len(frame) >= found[1] + 4:
        at = found[1]
        if int.from_bytes(frame[at + 2 : at + 4], "big") in _PROBE_PORTS:
            frame[at : at + 2] = bytes(2)


def quoting(*masks: Mask) -> Mask:
    """What these masks take out, taken out of the packet that an ICMPv6 error quotes; its checksum covers that."""

    def mask(frame: bytearray, ip: int) -> None:
        found = upper(frame, ip)
        quoted = _quotation(frame, found[1]) if found and found[0] == _ICMPV6 else None
        if found and quoted:
            frame[found[1] + 2 : found[1] + 4] = bytes(2)
            for each in masks:
                each(frame, quoted)

    return mask


def _quotation(frame: bytearray, at: int) -> int | None:
    """Where the packet begins that an ICMPv6 error at this offset quotes, or a redirect in its option for that."""
    if 0 < frame[at] < 128:
        return at + 8 if len(frame) >= at + 48 else None
    option = at + 40
    while frame[at] == _REDIRECT and len(frame) >= option + 48 and frame[option + 1]:
        if frame[option] == _REDIRECTED:
            return option + 8
        option += frame[option + 1] * 8
    return None


DRAWN: tuple[Mask, ...] = (mask_labels, mask_identification, mask_nonce)
EXACT_MASKS: tuple[Mask, ...] = (*DRAWN, quoting(*DRAWN))
_MORE: tuple[Mask, ...] = (*DRAWN, mask_l4_checksum, mask_echo, mask_probe)
ALL_MASKS: tuple[Mask, ...] = (*_MORE, quoting(*_MORE))


def masked(octets: bytes, masks: Iterable[Mask]) -> bytes:
    """A frame with the masked fields zeroed."""
    ip = ipv6_offset(octets)
    if ip is None:
        return octets
    frame = bytearray(octets)
    for mask in masks:
        mask(frame, ip)
    return bytes(frame)
