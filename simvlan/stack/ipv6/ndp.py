"""Neighbour discovery messages: octets <-> fields. RFC 4861, RFC 8106; include/net/ndisc.h. The rules are elsewhere.

`parse_*` take an ICMPv6 message from its type on and say None where the kernel finds it too short or an option is
broken (ndisc_parse_options); `build_*` return it whole, checksum included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

from simvlan.stack.ipv6.icmp6 import NA, NS, RA, REDIRECT, RS, seal

SLLA, TLLA, PREFIX, REDIRECTED, MTU, NONCE, ROUTE, RDNSS, DNSSL = 1, 2, 3, 4, 5, 14, 24, 25, 31
ROUTER_FLAG, SOLICITED_FLAG, OVERRIDE_FLAG = 0x8000_0000, 0x4000_0000, 0x2000_0000
MANAGED, OTHER = 0x80, 0x40
ON_LINK, AUTONOMOUS = 0x80, 0x40
FOREVER = 0xFFFF_FFFF

_TARGET = Struct("!BBHI16s")
_REDIRECT = Struct("!BBHI16s16s")
_RA = Struct("!BBHBBHII")
_PREFIX = Struct("!BBBBIII16s")

Option = tuple[int, bytes]
"""An option: its type, and its octets without type and length."""


@dataclass(slots=True, frozen=True)
class Prefix:
    """A prefix information option; lifetimes in seconds, `FOREVER` for no end."""

    prefix: int
    length: int
    on_link: bool = True
    autonomous: bool = True
    valid: int = 86_400
    preferred: int = 14_400


@dataclass(slots=True, frozen=True)
class Solicitation:
    """NS: whose address is wanted, and the options."""

    target: int
    options: tuple[Option, ...] = ()


@dataclass(slots=True, frozen=True)
class Advertisement:
    """NA: the target and what is said about it."""

    target: int
    router: bool = False
    solicited: bool = False
    override: bool = False
    options: tuple[Option, ...] = ()


@dataclass(slots=True, frozen=True)
class RouterAdvertisement:
    """RA: lifetime in seconds, reachable and retransmission times in milliseconds; 0 says nothing.

    `preference` is the router preference as on the wire: 0 medium, 1 high, 3 low (RFC 4191).
    """

    hops: int = 64
    managed: bool = False
    other: bool = False
    preference: int = 0
    lifetime: int = 1800
    reachable: int = 0
    retrans: int = 0
    options: tuple[Option, ...] = field(default=())


@dataclass(slots=True, frozen=True)
class Redirect:
    """A better first hop (*target*) for *dst*."""

    target: int
    dst: int
    options: tuple[Option, ...] = ()


# -- options ----------------------------------------------------------------------------------------------------------


def link_layer(kind: int, mac: int) -> Option:
    """SLLA or TLLA with an Ethernet address."""
    return kind, mac.to_bytes(6, "big")


def mtu(value: int) -> Option:
    """An MTU option."""
    return MTU, b"\0\0" + value.to_bytes(4, "big")


def nonce(octets: bytes) -> Option:
    """The nonce of a DAD solicitation (RFC 7527), six octets."""
    return NONCE, octets


def redirected(packet: bytes) -> Option:
    """The redirected packet's beginning, cut to whole units of 8 octets."""
    return REDIRECTED, bytes(6) + packet[: len(packet) & ~7]


def rdnss(lifetime: int, servers: tuple[int, ...]) -> Option:
    """Recursive DNS servers (RFC 8106)."""
    return RDNSS, b"\0\0" + lifetime.to_bytes(4, "big") + b"".join(s.to_bytes(16, "big") for s in servers)


def prefix(info: Prefix) -> Option:
    """A prefix information option."""
    flags = ON_LINK * info.on_link | AUTONOMOUS * info.autonomous
    octets = _PREFIX.pack(
        PREFIX, 4, info.length, flags, info.valid, info.preferred, 0, info.prefix.to_bytes(16, "big")
    )  # fmt: skip
    return PREFIX, octets[2:]


def read_prefix(octets: bytes) -> Prefix | None:
    """Read a prefix information option; None if it has not its 30 octets."""
    if len(octets) < 30:
        return None
    _, _, length, flags, valid, preferred, _, address = _PREFIX.unpack_from(b"\3\4" + octets)
    return Prefix(
        int.from_bytes(address, "big"), length, bool(flags & ON_LINK), bool(flags & AUTONOMOUS), valid, preferred
    )


def read_mac(options: tuple[Option, ...], kind: int) -> int | None:
    """The Ethernet address of the first SLLA or TLLA option; None without one of eight octets (ndisc_opt_addr_data)."""
    found = next((octets for what, octets in options if what == kind), None)
    return int.from_bytes(found, "big") if found is not None and len(found) == 6 else None


def read_mtu(options: tuple[Option, ...]) -> int | None:
    """The value of the first MTU option; None without one."""
    found = next((octets for what, octets in options if what == MTU), None)
    return int.from_bytes(found[2:6], "big") if found is not None and len(found) == 6 else None


def write_options(options: tuple[Option, ...]) -> bytes:
    """Lay options out, each filled with zeros to units of 8 octets (ndisc_fill_addr_option)."""
    return b"".join(_write(kind, octets) for kind, octets in options)


def _write(kind: int, octets: bytes) -> bytes:
    units = (len(octets) + 2 + 7) // 8
    return bytes((kind, units)) + octets + bytes(units * 8 - 2 - len(octets))


def read_options(octets: bytes) -> tuple[Option, ...] | None:
    """Take options apart; None where one has no length or runs over the end (ndisc_parse_options)."""
    found: list[Option] = []
    at = 0
    while at < len(octets):
        size = octets[at + 1] * 8 if at + 1 < len(octets) else 0
        if not size or at + size > len(octets):
            return None
        found.append((octets[at], octets[at + 2 : at + size]))
        at += size
    return tuple(found)


# -- messages ---------------------------------------------------------------------------------------------------------


def build_ns(src: int, dst: int, target: int, options: tuple[Option, ...] = ()) -> bytes:
    """Make a neighbour solicitation."""
    return seal(src, dst, _TARGET.pack(NS, 0, 0, 0, target.to_bytes(16, "big")) + write_options(options))


def build_na(src: int, dst: int, said: Advertisement) -> bytes:
    """Make a neighbour advertisement."""
    flags = ROUTER_FLAG * said.router | SOLICITED_FLAG * said.solicited | OVERRIDE_FLAG * said.override
    return seal(src, dst, _TARGET.pack(NA, 0, 0, flags, said.target.to_bytes(16, "big")) + write_options(said.options))


def build_rs(src: int, dst: int, options: tuple[Option, ...] = ()) -> bytes:
    """Make a router solicitation."""
    return seal(src, dst, bytes((RS,)) + bytes(7) + write_options(options))


def build_ra(src: int, dst: int, said: RouterAdvertisement) -> bytes:
    """Make a router advertisement."""
    flags = MANAGED * said.managed | OTHER * said.other | said.preference << 3
    head = _RA.pack(RA, 0, 0, said.hops, flags, said.lifetime, said.reachable, said.retrans)
    return seal(src, dst, head + write_options(said.options))


def build_redirect(src: int, dst: int, said: Redirect) -> bytes:
    """Make a redirect."""
    head = _REDIRECT.pack(REDIRECT, 0, 0, 0, said.target.to_bytes(16, "big"), said.dst.to_bytes(16, "big"))
    return seal(src, dst, head + write_options(said.options))


def parse_ns(octets: bytes) -> Solicitation | None:
    """Read a neighbour solicitation."""
    options = read_options(octets[24:])
    if len(octets) < 24 or options is None:
        return None
    return Solicitation(int.from_bytes(octets[8:24], "big"), options)


def parse_na(octets: bytes) -> Advertisement | None:
    """Read a neighbour advertisement."""
    options = read_options(octets[24:])
    if len(octets) < 24 or options is None:
        return None
    flags = int.from_bytes(octets[4:8], "big")
    return Advertisement(
        int.from_bytes(octets[8:24], "big"),
        bool(flags & ROUTER_FLAG),
        bool(flags & SOLICITED_FLAG),
        bool(flags & OVERRIDE_FLAG),
        options,
    )


def parse_rs(octets: bytes) -> tuple[Option, ...] | None:
    """Read a router solicitation: its options."""
    return read_options(octets[8:]) if len(octets) >= 8 else None


def parse_ra(octets: bytes) -> RouterAdvertisement | None:
    """Read a router advertisement."""
    options = read_options(octets[16:])
    if len(octets) < 16 or options is None:
        return None
    _, _, _, hops, flags, lifetime, reachable, retrans = _RA.unpack_from(octets)
    return RouterAdvertisement(
        hops, bool(flags & MANAGED), bool(flags & OTHER), flags >> 3 & 3, lifetime, reachable, retrans, options
    )


def parse_redirect(octets: bytes) -> Redirect | None:
    """Read a redirect."""
    options = read_options(octets[40:])
    if len(octets) < 40 or options is None:
        return None
    return Redirect(int.from_bytes(octets[8:24], "big"), int.from_bytes(octets[24:40], "big"), options)
