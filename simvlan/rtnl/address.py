"""Addresses: add, replace, delete, flush. Mirrors inet_rtm_newaddr and inet_rtm_deladdr of net/ipv4/devinet.c."""

from __future__ import annotations

from errno import EADDRNOTAVAIL, EEXIST, EINVAL, ENOBUFS, ERANGE
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError
from simvlan.rtnl.names import IFNAMSIZ
from simvlan.stack.addresses import same_subnet
from simvlan.stack.ipaddr import HOST, UNIVERSE, Ifaddr, is_loopback, parse_ip

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Network


def address_add(net: Network, dev: Device, address: Ifaddr | str) -> None:
    """Give a device an address (`ip address add`), as a record or as "10.0.0.1/24"."""
    ifa = _read(address) if isinstance(address, str) else address
    _validate(dev, ifa)
    if _matching(dev, ifa) is not None:
        raise RtnlError(EEXIST, None, dev.path)
    _insert(net, dev, ifa)


def address_replace(net: Network, dev: Device, ifa: Ifaddr) -> None:
    """Give a device an address, or the one it has new lifetimes and flags (`ip address replace`)."""
    _validate(dev, ifa)
    found = _matching(dev, ifa)
    if found is None:
        _insert(net, dev, ifa)
        return
    found.valid_lft, found.preferred_lft = ifa.valid_lft, ifa.preferred_lft
    found.metric = ifa.metric or found.metric
    found.noprefixroute = ifa.noprefixroute
    dev.netns.stack.addresses_of.renew(dev, found)


def address_del(
    net: Network,
    dev: Device,
    local: int | None = None,
    prefixlen: int | None = None,
    peer: int | None = None,
    label: str | None = None,
) -> None:
    """Take the first address that fits (`ip address del`)."""
    stack = dev.netns.stack
    for ifa in stack.addresses(dev):
        if local is not None and ifa.local != local:
            continue
        if label is not None and ifa.label != label:
            continue
        outer = peer if peer is not None else local
        if prefixlen is not None and outer is not None and (ifa.prefixlen != prefixlen or not ifa.covers(outer)):
            continue
        stack.addresses_of.remove(dev, ifa)
        net.drain()
        return
    raise RtnlError(EADDRNOTAVAIL, None, dev.path)


def address_flush(net: Network, dev: Device) -> None:
    """Take every address away (`ip address flush dev`)."""
    for ifa in dev.netns.stack.addresses(dev):
        if ifa in dev.netns.stack.addresses(dev):
            dev.netns.stack.addresses_of.remove(dev, ifa)
    net.drain()


def _read(text: str) -> Ifaddr:
    """Read `ADDRESS[/LENGTH]`; loopback addresses have host scope, as iproute2 gives them."""
    local, _, plen = text.partition("/")
    value = parse_ip(local)
    return Ifaddr(value, int(plen or 32), scope=HOST if is_loopback(value) else UNIVERSE)


def _validate(dev: Device, ifa: Ifaddr) -> None:
    if not 0 <= ifa.prefixlen <= 32:
        raise RtnlError(EINVAL, "ipv4: Invalid prefix length.")
    if dev in dev.netns.stack.without_ip:
        raise RtnlError(ENOBUFS, None, dev.path)
    if len(ifa.label.encode()) >= IFNAMSIZ:
        raise RtnlError(ERANGE, "Attribute failed policy validation.")
    if ifa.valid_lft == 0 or (ifa.valid_lft or 1 << 40) < (ifa.preferred_lft or 0):
        raise RtnlError(EINVAL, "ipv4: Invalid address lifetimes.")


def _matching(dev: Device, ifa: Ifaddr) -> Ifaddr | None:
    """The same address with the same subnet (find_matching_ifa)."""
    for other in dev.netns.stack.addresses(dev):
        if same_subnet(other, ifa) and other.local == ifa.local:
            found: Ifaddr = other
            return found
    return None


def _insert(net: Network, dev: Device, ifa: Ifaddr) -> None:
    """Enter a valid address; one subnet has one scope (__inet_insert_ifa)."""
    if not ifa.local:
        return
    for other in dev.netns.stack.addresses(dev):
        if same_subnet(other, ifa) and other.scope != ifa.scope:
            raise RtnlError(EINVAL, None, dev.path)
    check = getattr(dev, "check_address", None)
    if check is not None:
        check(ifa.address)
    dev.netns.stack.addresses_of.add(dev, ifa)
    net.drain()
