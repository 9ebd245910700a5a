"""IPv6 packets: octets <-> fields, extension headers, checksums. RFC 8200; include/uapi/linux/ipv6.h.

No rules but the checks of ip6_rcv_core that decide whether octets are a packet at all, and ipv6_skip_exthdr.
An address is a 128-bit integer everywhere.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from simvlan.stack.packet import checksum

HOPOPTS, TCP, UDP, ROUTING, FRAGMENT, ESP, AUTH, ICMPV6, NONE, DSTOPTS = 0, 6, 17, 43, 44, 50, 51, 58, 59, 60
EXTENSIONS = frozenset((HOPOPTS, ROUTING, FRAGMENT, NONE, DSTOPTS, AUTH))
"""What ipv6_ext_hdr takes for an extension header."""

HEADER = 40
MIN_MTU, MAX_MTU = 1280, 65_575
"""IPV6_MIN_MTU, IP6_MAX_MTU."""
MORE, FRAGMENT_OFFSET = 0x0001, 0xFFF8

ROUTER_ALERT_MLD = b"\x05\x02\x00\x00\x01\x00"
"""Hop-by-hop options of every MLD packet: router alert, value 0 (RFC 2711), and two octets of padding (PadN 0)."""

_HEADER = Struct("!IHBB16s16s")
_FRAGMENT = Struct("!BBHI")
_PSEUDO = Struct("!16s16sI3xB")


class Header(NamedTuple):
    """The fixed header. `size` is the payload length: what follows the 40 octets, extension headers included."""

    src: int
    dst: int
    next: int
    hops: int
    size: int
    tclass: int = 0
    flow: int = 0


class Upper(NamedTuple):
    """Where the extension headers end: the protocol found there, its place, and the fragment offset field, if any.

    `fragment` is the 16-bit field of the last fragment header that was passed (offset and flags), None without one.
    """

    proto: int
    at: int
    fragment: int | None = None


class Fragment(NamedTuple):
    """A fragment header's fields; the offset is in octets."""

    next: int
    offset: int
    more: bool
    ident: int


def parse(octets: bytes) -> Header | None:
    """Read the fixed header; None if octets are too few or of another version."""
    if len(octets) < HEADER or octets[0] >> 4 != 6:
        return None
    first, size, following, hops, src, dst = _HEADER.unpack_from(octets)
    return Header(
        int.from_bytes(src, "big"),
        int.from_bytes(dst, "big"),
        following,
        hops,
        size,
        first >> 20 & 255,
        first & 0xFFFFF,
    )


def build(
    src: int, dst: int, following: int, payload: bytes, hops: int = 64, tclass: int = 0, flow: int = 0
) -> bytes:  # fmt: skip
    """Make a packet; *payload* starts with whatever *following* names."""
    first = 6 << 28 | tclass << 20 | flow
    return _HEADER.pack(
        first, len(payload), following, hops, src.to_bytes(16, "big"), dst.to_bytes(16, "big")
    ) + payload  # fmt: skip


def resize(octets: bytes) -> bytes:
    """Write the payload length anew after something was put in or taken out."""
    return octets[:4] + (len(octets) - HEADER).to_bytes(2, "big") + octets[6:]


def with_hops(octets: bytes, hops: int) -> bytes:
    """Change the hop limit."""
    return octets[:7] + hops.to_bytes(1, "big") + octets[8:]


def options(following: int, body: bytes) -> bytes:
    """Make a hop-by-hop or destination options header; *body* is its options, padded to 8n - 2 octets."""
    if (len(body) + 2) % 8:
        raise ValueError(f"{len(body)} octets of options do not fill a header (8n - 2)")
    return bytes((following, (len(body) + 2) // 8 - 1)) + body


def fragment(following: int, offset: int, more: bool, ident: int) -> bytes:
    """Make a fragment header; *offset* in octets, a multiple of 8."""
    return _FRAGMENT.pack(following, 0, offset & FRAGMENT_OFFSET | more, ident)


def parse_fragment(octets: bytes, at: int) -> Fragment | None:
    """Read the fragment header that starts *at*; None if it is cut off."""
    if len(octets) < at + 8:
        return None
    following, _, field, ident = _FRAGMENT.unpack_from(octets, at)
    return Fragment(following, field & FRAGMENT_OFFSET, bool(field & MORE), ident)


def skip_extensions(octets: bytes, following: int, at: int = HEADER) -> Upper | None:
    """Go over extension headers (ipv6_skip_exthdr); None where they are cut off or nothing follows.

    A later fragment ends the walk at its fragment header: what follows is data.
    """
    field = None
    while following in EXTENSIONS:
        if following == NONE or len(octets) < at + 2:
            return None
        if following == FRAGMENT:
            if len(octets) < at + 4:
                return None
            field = octets[at + 2] << 8 | octets[at + 3]
            if field & FRAGMENT_OFFSET:
                return Upper(FRAGMENT, at, field)
            size = 8
        elif following == AUTH:
            size = (octets[at + 1] + 2) * 4
        else:
            size = (octets[at + 1] + 1) * 8
        following, at = octets[at], at + size
    return Upper(following, at, field)


def pseudo(src: int, dst: int, proto: int, size: int) -> bytes:
    """The pseudo header (RFC 8200 8.1)."""
    return _PSEUDO.pack(src.to_bytes(16, "big"), dst.to_bytes(16, "big"), size, proto)


def pseudo_sum(src: int, dst: int, proto: int, size: int) -> int:
    """The folded sum of the pseudo header: what a partial checksum holds (~csum_ipv6_magic)."""
    return 0xFFFF - checksum(pseudo(src, dst, proto, size))


def transport_checksum(src: int, dst: int, proto: int, octets: bytes) -> int:
    """The checksum of an upper protocol's octets (its own checksum field zero); of received octets 0 means right."""
    return checksum(pseudo(src, dst, proto, len(octets)) + octets)


_CHECKSUM_AT = {UDP: 6, TCP: 16}


def finish_checksum(octets: bytes) -> bytes:
    """Complete a partial transport checksum in software (skb_checksum_help)."""
    upper = skip_extensions(octets, octets[6])
    at = _CHECKSUM_AT.get(upper.proto) if upper is not None else None
    if upper is None or at is None or len(octets) < upper.at + at + 2:
        return octets
    value = checksum(octets[upper.at :]) or 0xFFFF
    return octets[: upper.at + at] + value.to_bytes(2, "big") + octets[upper.at + at + 2 :]
