"""Neighbours: add, replace, change, delete, flush, proxies. Mirrors neigh_add and neigh_delete."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENOBUFS, ENOENT
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError
from simvlan.stack.neigh import FAILED, PERMANENT, VALID

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Netns, Network
    from simvlan.stack.neigh import Neighbour, NeighbourTable


def neigh_add(net: Network, dev: Device, ip: int, mac: int | None, state: int = PERMANENT, **extras: object) -> None:
    """Make an entry that is not there yet (`ip neigh add`); *six* among the extras: of IPv6."""
    if _table(dev, extras).get(dev, ip) is not None:
        raise RtnlError(EEXIST, None, dev.path)
    _put(net, dev, ip, mac, state, extras)


def neigh_replace(
    net: Network, dev: Device, ip: int, mac: int | None, state: int = PERMANENT, **extras: object
) -> None:
    """Make or change an entry (`ip neigh replace`)."""
    _put(net, dev, ip, mac, state, extras)


def neigh_change(net: Network, dev: Device, ip: int, mac: int | None, state: int = PERMANENT, **extras: object) -> None:
    """Change an entry that is there (`ip neigh change`)."""
    if _table(dev, extras).get(dev, ip) is None:
        raise RtnlError(ENOENT, None, dev.path)
    _put(net, dev, ip, mac, state, extras)


def neigh_del(net: Network, dev: Device, ip: int, six: bool = False) -> None:
    """Delete an entry (`ip neigh del`)."""
    table = _table(dev, {"six": six})
    entry = table.get(dev, ip)
    if entry is None:
        raise RtnlError(ENOENT, None, dev.path)
    table.update(entry, None, FAILED, override=True, admin=True)
    table.forget(entry)
    net.drain()


def proxy_add(net: Network, ns: Netns, dev: Device | None, ip: int, six: bool = False) -> None:
    """Answer for an address on a device, or on all (`ip neigh add proxy`); IPv6 hears its solicitations."""
    if not six:
        ns.stack.neigh.proxies.setdefault((dev, ip), 0)
    elif (dev, ip) not in ns.stack.with_ip6().neigh.proxies:
        ns.stack.with_ip6().neigh.add_proxy(dev, ip)
    net.drain()


def proxy_del(net: Network, ns: Netns, dev: Device | None, ip: int, six: bool = False) -> None:
    """Stop answering (`ip neigh del proxy`)."""
    table: NeighbourTable = ns.stack.with_ip6().neigh if six else ns.stack.neigh
    if (dev, ip) not in table.proxies:
        raise RtnlError(ENOENT)
    table.drop_proxy(dev, ip)
    net.drain()


def _table(dev: Device, extras: dict[str, object]) -> NeighbourTable:
    """The table a request is about."""
    table: NeighbourTable = dev.netns.stack.with_ip6().neigh if extras.get("six") else dev.netns.stack.neigh
    return table


def _put(net: Network, dev: Device, ip: int, mac: int | None, state: int, extras: dict[str, object]) -> None:
    table = _table(dev, extras)
    entry: Neighbour | None = table.get(dev, ip)
    if mac is None and state & VALID and not (entry is not None and entry.valid) and not extras.get("use"):
        raise RtnlError(EINVAL, "No link layer address given.", dev.path)
    if extras.get("six") and (dev not in dev.netns.stack.with_ip6().devices or dev.netns.stack.ip6.idev(dev).disabled):
        raise RtnlError(EINVAL, "IPv6 is disabled on this device.", dev.path)
    if not extras.get("six") and dev in dev.netns.stack.without_ip:
        raise RtnlError(EINVAL, None, dev.path)
    entry = table.ensure(dev, ip)
    if entry is None:
        raise RtnlError(ENOBUFS, None, dev.path)
    if extras.get("use"):
        table.event_send(entry, None)
    else:
        table.update(entry, mac, state, override=True, admin=True)
    entry.router = bool(extras.get("router"))
    entry.extern_learn = bool(extras.get("extern_learn"))
    entry.protocol = int(extras.get("protocol") or 0)  # type: ignore[call-overload]
    net.drain()
