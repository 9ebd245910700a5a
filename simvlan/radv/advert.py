"""What radvd 2.19 says on a link, octet for octet. Mirrors send.c; RFC 4861, RFC 4191, RFC 8106."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import pack

from simvlan.radv.config import Dns, Interface, Prefix, Route
from simvlan.stack.ipv6 import ndp
from simvlan.stack.ipv6.addr import is_link_local, mask

Own = Callable[[str], list[tuple[int, int]]]
"""The addresses of a device, (address, prefix length), in the order the kernel lists them."""

RA_HEADER, IPV6_HEADER, ETHERNET = 16, 40, 14
ROUTER_ADDRESS = 0x20
"""The flag of RFC 6275: the prefix is the router's own address."""
LEAST_VALID = 7200
"""What a deprecated prefix stays valid for at most (RFC 4862, 5.5.3 e)."""


def header(iface: Interface, cease: bool, options: tuple[ndp.Option, ...]) -> ndp.RouterAdvertisement:
    """An advertisement with some of the options; the last one says that we are no router any more."""
    return ndp.RouterAdvertisement(
        iface.hop_limit & 0xFF, iface.managed, iface.other, iface.preference & 3, 0 if cease else iface.lifetime,
        iface.reachable, iface.retrans, options,
    )  # fmt: skip


def options(iface: Interface, mac: int, own: Own, cease: bool) -> Iterator[ndp.Option]:
    """Everything there is to say, in radvd's order (build_ra_options)."""
    for each in iface.prefixes:
        if not each.decrement or each.preferred > 0:
            yield from (prefix(one, cease) for one in stands_for(each, iface.name, own))
    yield from (route(each, cease) for each in iface.routes)
    yield from (servers(each, cease) for each in iface.dns if each.servers)
    yield from (domains(each, cease) for each in iface.dns if each.domains)
    if iface.link_mtu:
        yield ndp.mtu(iface.link_mtu)
    if iface.source_mac:
        yield ndp.link_layer(ndp.SLLA, mac)


def stands_for(each: Prefix, name: str, own: Own) -> Iterator[Prefix]:
    """A prefix, or those of an interface where it says `::` or names one (add_auto_prefixes)."""
    if each.of_interface:
        yield from _of_addresses(each, own(each.of_interface))
    if not each.address:
        yield from _of_addresses(each, own(name))
    elif not each.of_interface:
        yield each


def _of_addresses(each: Prefix, addresses: list[tuple[int, int]]) -> Iterator[Prefix]:
    for address, length in addresses:
        if not is_link_local(address):
            yield Prefix(
                address & mask(length), length, each.on_link, each.autonomous, each.router_address, each.valid,
                each.preferred, each.deprecate, each.decrement,
            )  # fmt: skip


def prefix(each: Prefix, cease: bool) -> ndp.Option:
    """A prefix information option; at the end one that is to be deprecated has two hours at most."""
    valid, preferred = each.valid, each.preferred
    if cease and each.deprecate:
        valid, preferred = min(valid, LEAST_VALID), 0
    flags = ndp.ON_LINK * each.on_link | ndp.AUTONOMOUS * each.autonomous | ROUTER_ADDRESS * each.router_address
    return ndp.PREFIX, pack("!BBIII", each.length, flags, valid, preferred, 0) + each.address.to_bytes(16, "big")


def route(each: Route, cease: bool) -> ndp.Option:
    """A route information option (RFC 4191), always with the whole prefix."""
    lifetime = 0 if cease and each.remove else each.lifetime
    flags = (each.preference & 3) << 3
    return ndp.ROUTE, pack("!BBI", each.length, flags, lifetime) + each.address.to_bytes(16, "big")


def servers(each: Dns, cease: bool) -> ndp.Option:
    """Recursive DNS servers (RFC 8106)."""
    return ndp.rdnss(0 if cease and each.flush else each.lifetime, tuple(each.servers))


def domains(each: Dns, cease: bool) -> ndp.Option:
    """A DNS search list (RFC 8106): names as DNS writes them, uncompressed."""
    names = b"".join(_labels(name) for name in each.domains)
    return ndp.DNSSL, pack("!HI", 0, 0 if cease and each.flush else each.lifetime) + names


def _labels(name: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in name.removesuffix(".").split(".")) + b"\0"


def room(iface: Interface, link_mtu: int, ip6_mtu: int) -> int:
    """How long an advertisement may be, as radvd reckons it (update_device_info)."""
    return min(iface.ra_mtu, max(link_mtu, 1280), max(ip6_mtu, 1280)) - ETHERNET - IPV6_HEADER - RA_HEADER


def parts(found: Iterator[ndp.Option], most: int) -> Iterator[tuple[ndp.Option, ...]]:
    """Options by advertisement, so that none is longer than *most*, if it has more than one (send_ra)."""
    part: list[ndp.Option] = []
    used = RA_HEADER
    for option in found:
        size = len(ndp.write_options((option,)))
        if part and used + size > most:
            yield tuple(part)
            part, used = [], RA_HEADER
        part.append(option)
        used += size
    yield tuple(part)


def age(iface: Interface, seconds: int, cease: bool) -> None:
    """Lifetimes that are to be counted down since the last advertisement (update_iface_times)."""
    for each in iface.prefixes:
        if each.decrement and each.preferred > 0 and not (cease and each.deprecate):
            each.valid = max(each.valid - seconds, 0)
            each.preferred = max(each.preferred - seconds, 0)
