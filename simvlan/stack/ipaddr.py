"""IPv4 addresses: text, classes of addresses, and the addresses of a device.

Mirrors include/linux/in.h (ipv4_is_*), struct in_ifaddr, and inet_select_addr/inet_ifa_match of net/ipv4/devinet.c.
An address is a 32-bit integer in host order everywhere in the stack.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

UNIVERSE, SITE, LINK, HOST, NOWHERE = 0, 200, 253, 254, 255
"""Scopes (enum rt_scope_t): the larger, the narrower."""

LIMITED_BROADCAST = 0xFFFF_FFFF
LOOPBACK_ADDRESS = 0x7F00_0001
ALL_HOSTS = 0xE000_0001
MASKS = tuple((0xFFFF_FFFF << (32 - n)) & 0xFFFF_FFFF for n in range(33))
"""Netmask by prefix length."""


def parse_ip(text: str) -> int:
    """Read a dotted quad.

    Raises:
        ValueError: anything else, IPv6 included; the message names the text.
    """
    parts = text.split(".")
    if len(parts) != 4 or not all(p.isascii() and p.isdigit() and len(p) <= 3 and int(p) < 256 for p in parts):
        raise ValueError(f'"{text}" is not an IPv4 address')
    return int(parts[0]) << 24 | int(parts[1]) << 16 | int(parts[2]) << 8 | int(parts[3])


def ip_text(address: int) -> str:
    """Write a dotted quad."""
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def is_multicast(address: int) -> bool:
    """224.0.0.0/4."""
    return address >> 28 == 0xE


def is_loopback(address: int) -> bool:
    """127.0.0.0/8."""
    return address >> 24 == 127


def is_zeronet(address: int) -> bool:
    """0.0.0.0/8 as the kernel has counted it since 5.3: 0.0.0.0 alone."""
    return address == 0


def is_local_multicast(address: int) -> bool:
    """224.0.0.0/24: never leaves the link."""
    return address >> 8 == 0xE0_0000


def multicast_mac(group: int) -> int:
    """Map a group to its link-layer address (ip_eth_mc_map)."""
    return 0x0100_5E00_0000 | group & 0x7F_FFFF


@dataclass(slots=True, eq=False)
class Ifaddr:
    """One address of a device (struct in_ifaddr). *peer* is the local address itself when there is no peer."""

    local: int
    prefixlen: int = 32
    peer: int | None = None
    broadcast: int | None = None
    label: str = ""
    scope: int = UNIVERSE
    noprefixroute: bool = False
    secondary: bool = False
    valid_lft: int | None = None
    """Seconds from `changed_ns`; None: for ever."""
    preferred_lft: int | None = None
    metric: int = 0
    protocol: int = 0
    changed_ns: int = 0
    created_ns: int = 0

    @property
    def address(self) -> int:
        """What the prefix is taken from: the peer of a point-to-point address, else the address itself."""
        return self.local if self.peer is None else self.peer

    @property
    def mask(self) -> int:
        """The netmask."""
        return MASKS[self.prefixlen]

    @property
    def network(self) -> int:
        """The subnet's first address."""
        return self.address & MASKS[self.prefixlen]

    def covers(self, address: int) -> bool:
        """Whether an address lies in this address' subnet (inet_ifa_match)."""
        return not (address ^ self.address) & MASKS[self.prefixlen]

    def __str__(self) -> str:
        peer = f" peer {ip_text(self.peer)}" if self.peer is not None and self.peer != self.local else ""
        return f"{ip_text(self.local)}{peer}/{self.prefixlen}"


def first_address(addresses: Iterable[Ifaddr], dst: int, scope: int) -> int:
    """Pick a source among a device's addresses: in the destination's subnet if any, else the first (inet_select_addr).

    Zero when no primary address is wide enough for *scope*.
    """
    found = 0
    for ifa in addresses:
        if ifa.secondary or min(ifa.scope, LINK) > scope:
            continue
        if not dst or ifa.covers(dst):
            return ifa.local
        found = found or ifa.local
    return found
