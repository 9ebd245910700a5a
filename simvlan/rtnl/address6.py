"""IPv6 addresses: add, replace, delete. Mirrors inet6_rtm_newaddr and inet6_rtm_deladdr of net/ipv6/addrconf.c."""

from __future__ import annotations

from errno import EACCES, EADDRNOTAVAIL, EEXIST, EINVAL, ENXIO
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError
from simvlan.stack.ipv6 import addr
from simvlan.stack.ipv6.addrconf import scope_of
from simvlan.stack.ipv6.inet6dev import Ifaddr6, Inet6Dev

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Network


def address6_add(net: Network, dev: Device, address: Ifaddr6 | str) -> None:
    """Give a device an address (`ip -6 address add`), as a record or as "2001:db8::1/64"."""
    ifa = _read(address) if isinstance(address, str) else address
    idev = _checked(dev, ifa)
    if idev.find(ifa.address) is not None:
        raise RtnlError(EEXIST, None, dev.path)
    _insert(idev, ifa)
    net.drain()


def address6_replace(net: Network, dev: Device, ifa: Ifaddr6) -> None:
    """Give a device an address, or the one it has new lifetimes and flags (inet6_addr_modify)."""
    idev = _checked(dev, ifa)
    found = idev.find(ifa.address)
    if found is None:
        _insert(idev, ifa)
    else:
        found.valid_lft, found.preferred_lft = ifa.valid_lft, ifa.preferred_lft
        found.autoconf = False
        found.nodad, found.home, found.mngtmpaddr = ifa.nodad, ifa.home, ifa.mngtmpaddr
        found.noprefixroute, found.metric = ifa.noprefixroute, ifa.metric or found.metric
        found.optimistic |= ifa.optimistic and found.tentative and not found.dadfailed
        dev.netns.stack.ip6.addrconf.renew(idev, found)
    net.drain()


def address6_del(net: Network, dev: Device, address: int, prefixlen: int) -> None:
    """Take an address away (`ip -6 address del`)."""
    stack = dev.netns.stack
    idev = stack.ip6.idev(dev) if stack.ip6 is not None else None
    if stack.ip6 is not None and idev is None:
        raise RtnlError(ENXIO, None, dev.path)
    ifa = idev.find(address) if idev is not None else None
    if idev is None or ifa is None or ifa.prefixlen != prefixlen:
        raise RtnlError(EADDRNOTAVAIL, None, dev.path)
    stack.ip6.addrconf.remove(idev, ifa)
    net.drain()


def _read(text: str) -> Ifaddr6:
    """Read `ADDRESS[/LENGTH]`."""
    local, _, plen = text.partition("/")
    return Ifaddr6(addr.parse_ip6(local), int(plen or 128))


def _checked(dev: Device, ifa: Ifaddr6) -> Inet6Dev:
    """Refuse what the kernel refuses; the device's IPv6 side, whose groups are told again in any case."""
    stack = dev.netns.stack
    idev: Inet6Dev | None = stack.ip6.idev(dev) if stack.ip6 is not None else None
    if idev is not None and dev.up:
        stack.ip6.groups.up(idev)  # ipv6_find_idev
    ifa.optimistic = ifa.optimistic and idev is not None and stack.ip6.addrconf.allows_optimistic(idev)
    if ifa.optimistic and ifa.nodad:
        raise RtnlError(EINVAL, "IFA_F_NODAD and IFA_F_OPTIMISTIC are mutually exclusive", dev.path)
    lasting = ifa.valid_lft != 0 and (ifa.valid_lft or 1 << 40) >= (ifa.preferred_lft or 0)
    if not 0 <= ifa.prefixlen <= 128 or (ifa.mngtmpaddr and ifa.prefixlen != 64) or not lasting:
        raise RtnlError(EINVAL, None, dev.path)
    if stack.ip6 is None:
        raise RtnlError(EACCES, None, dev.path)
    if idev is None or idev.disabled:
        raise RtnlError(EINVAL if idev is None else EACCES, None, dev.path)
    grouped = addr.is_multicast(ifa.address)
    if not ifa.address or grouped or (dev.kind and ifa.address == addr.LOOPBACK):
        raise RtnlError(EADDRNOTAVAIL, None, dev.path)
    return idev


def _insert(idev: Inet6Dev, ifa: Ifaddr6) -> None:
    """Enter a valid address (inet6_addr_add)."""
    dev = idev.dev
    check = getattr(dev, "check_address", None)
    if check is not None:
        check(ifa.address, 6)
    ifa.scope = scope_of(ifa.address)
    ip6 = dev.netns.stack.ip6
    ip6.addrconf.ready_for_address(idev)
    ip6.addrconf.add(idev, ifa)
