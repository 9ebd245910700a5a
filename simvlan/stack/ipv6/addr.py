"""IPv6 addresses: text, classes, groups, interface identifiers. RFC 4291, RFC 5952; addrconf_core.c.

An address is a 128-bit integer everywhere.
"""

from __future__ import annotations

import ipaddress

ANY = 0
LOOPBACK = 1
ALL_NODES = 0xFF02 << 112 | 1
ALL_ROUTERS = 0xFF02 << 112 | 2
ALL_MLDV2 = 0xFF02 << 112 | 0x16
INTERFACE_LOCAL_NODES = 0xFF01 << 112 | 1
SOLICITED = 0xFF02 << 112 | 0x1_FF00_0000
LINK_LOCAL = 0xFE80 << 112
ALL = (1 << 128) - 1


def mask(prefixlen: int) -> int:
    """The netmask of a prefix."""
    return ALL ^ ALL >> prefixlen


def parse_ip6(text: str) -> int:
    """Read an address; a zone (%dev) is not part of it.

    Raises:
        ValueError: anything else, IPv4 included; the message names the text.
    """
    try:
        if "%" in text:
            raise ValueError
        return int(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError(f'"{text}" is not an IPv6 address') from None


def ip6_text(address: int) -> str:
    """Write an address as inet_ntop does: the longest run of zeros shortened, IPv4 endings of ::a.b.c.d dotted."""
    if address >> 32 == 0xFFFF or (address >> 32 == 0 and address >> 16):
        quad = ".".join(str(octet) for octet in (address & 0xFFFF_FFFF).to_bytes(4, "big"))
        return f"::ffff:{quad}" if address >> 32 else f"::{quad}"
    return str(ipaddress.IPv6Address(address))


def is_multicast(address: int) -> bool:
    """ff00::/8."""
    return address >> 120 == 0xFF


def is_link_local(address: int) -> bool:
    """fe80::/10."""
    return address >> 118 == 0xFE80 >> 6


def is_v4_mapped(address: int) -> bool:
    """::ffff:0:0/96."""
    return address >> 32 == 0xFFFF


def multicast_scope(group: int) -> int:
    """The scope of a group: 1 interface, 2 link, 5 site, 14 global."""
    return group >> 112 & 15


def multicast_mac(group: int) -> int:
    """Map a group to its link-layer address (ipv6_eth_mc_map)."""
    return 0x3333 << 32 | group & 0xFFFF_FFFF


def solicited_node(address: int) -> int:
    """The group that hears solicitations for an address (addrconf_addr_solict_mult)."""
    return SOLICITED | address & 0xFF_FFFF


def eui64(mac: int) -> int:
    """The interface identifier of an Ethernet address, universal bit inverted (addrconf_ifid_eui48)."""
    return (mac >> 24 ^ 0x02_0000) << 40 | 0xFFFE << 24 | mac & 0xFF_FFFF
