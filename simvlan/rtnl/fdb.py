"""FDB entries by hand: `bridge fdb`. Mirrors rtnl_fdb_add, br_fdb_add, br_fdb_delete, br_fdb_dump (6.1).

An entry can be the bridge's (`master`) or the device's own address filter (`self`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from errno import EEXIST, EINVAL, ENOENT, EOPNOTSUPP, EPERM
from typing import TYPE_CHECKING

from simvlan.devices.bridge import HEARING, LINK_LOCAL, Bridge
from simvlan.devices.bridge_fdb import FdbEntry
from simvlan.devices.bridge_port import BridgePort
from simvlan.devices.device import Device
from simvlan.devices.macvlan import Macvlan
from simvlan.errors import RtnlError
from simvlan.frame import GROUP

if TYPE_CHECKING:
    from simvlan.network import Netns, Network

STATES = ("permanent", "static", "dynamic")


@dataclass(frozen=True)
class FdbRow:
    """One entry as `bridge fdb show` lists it. Ages in ns.

    Attributes:
        dev: the port, the bridge itself, or the device whose filter it is.
        vlan: VLAN id, None when the entry has none.
        state: permanent, static, dynamic, or stale (expired, not yet swept away).
        flags: "self", "sticky" and the like.
        master: the bridge, None for `self` entries.
    """

    mac: int
    dev: Device
    vlan: int | None
    state: str
    flags: tuple[str, ...]
    master: Device | None
    used_ns: int = 0
    updated_ns: int = 0


def fdb_add(
    net: Network,
    dev: Device,
    mac: int,
    vlan: int | None = None,
    state: str = "permanent",
    *,
    to_self: bool = False,
    to_master: bool = False,
    sticky: bool = False,
    use: bool = False,
    create: bool = True,
    exclusive: bool = True,
    replace: bool = False,
) -> None:
    """Add or (not exclusive) change an entry; without master or self it goes to the device's own filter.

    `replace`: say that an entry that is there may be replaced (NLM_F_REPLACE), which only a macvlan minds.
    """
    if vlan is not None and not 0 < vlan < 4095:
        raise RtnlError(EINVAL, "invalid vlan id")
    wish = _Wish(mac, state, sticky, use, create, exclusive, replace)
    if to_master and isinstance(dev.rx_handler, BridgePort):
        _bridge_add(net, dev.rx_handler.bridge, dev.rx_handler, wish, vlan or 0)
        if not to_self:
            return
    elif not to_self and to_master:
        raise RtnlError(EOPNOTSUPP, None, dev.path)
    if isinstance(dev, Bridge):
        _bridge_add(net, dev, None, wish, vlan or 0)
    elif isinstance(dev, Macvlan):
        _macvlan_add(net, dev, wish)
    else:
        _filter_add(net, dev, wish, vlan)


@dataclass(frozen=True)
class _Wish:
    mac: int
    state: str
    sticky: bool
    use: bool
    create: bool
    exclusive: bool
    replace: bool


def _bridge_add(net: Network, bridge: Bridge, port: BridgePort | None, wish: _Wish, vid: int) -> None:
    """Add to one VLAN, or to VLAN 0 and every VLAN of the port (br_fdb_add)."""
    if not wish.mac or wish.state not in STATES:
        raise RtnlError(EINVAL)
    group = port.vlans if port else bridge.vlan_group
    if vid and vid not in group.vids:
        raise RtnlError(EINVAL)
    for number in (vid,) if vid else (0, *sorted(group.vids)):
        _add_entry(net, bridge, port, wish, number)


def _add_entry(net: Network, bridge: Bridge, port: BridgePort | None, wish: _Wish, vid: int) -> None:
    """Add or change one entry (fdb_add_entry)."""
    if wish.use:
        if port is None:
            raise RtnlError(EINVAL)
        if port.state in HEARING:
            bridge.fdb.learn(port, wish.mac, vid, net.now, by_user=True)
        return
    if port is not None and wish.state == "dynamic" and port.state not in HEARING:
        raise RtnlError(EPERM)
    if (port is None and wish.state != "permanent") or (wish.sticky and wish.state == "permanent"):
        raise RtnlError(EINVAL)
    entry = bridge.fdb.find(wish.mac, vid)
    if entry is None:
        if not wish.create:
            raise RtnlError(ENOENT)
        entry = bridge.fdb.insert(FdbEntry(wish.mac, vid, port, net.now))
    elif wish.exclusive:
        raise RtnlError(EEXIST)
    changed = (entry.port, entry.state, entry.sticky) != (port, wish.state, wish.sticky)
    entry.place(port, wish.state == "permanent")
    bridge.fdb.set_static(entry, wish.state != "dynamic")
    entry.sticky, entry.by_user, entry.used = wish.sticky, True, net.now
    if changed:
        entry.updated = net.now


def _filter_add(net: Network, dev: Device, wish: _Wish, vlan: int | None) -> None:
    """Add to a device's own filter (ndo_dflt_fdb_add)."""
    if vlan is not None or wish.state != "permanent":
        raise RtnlError(EINVAL, None, dev.path)
    group = _is_group(wish.mac)
    if wish.mac in (dev.mc if group else dev.uc):
        if wish.exclusive:
            raise RtnlError(EEXIST, None, dev.path)
        return
    (net.mc_add if group else net.uc_add)(dev, wish.mac)


def _is_group(mac: int) -> bool:
    """Whether an address goes to the list of groups; those of 802.1D go to the other (is_link_local_ether_addr)."""
    return bool(mac & GROUP) and mac & ~0xF != LINK_LOCAL


def _macvlan_add(net: Network, dev: Macvlan, wish: _Wish) -> None:
    """Add to a macvlan's filter, whatever the state and the VLAN (macvlan_fdb_add)."""
    if wish.replace or not _filters(dev, wish.mac):
        raise RtnlError(EOPNOTSUPP, None, dev.path)
    group = wish.mac & GROUP
    if wish.mac in (dev.mc if group else dev.uc):
        raise RtnlError(EEXIST, None, dev.path)
    (net.mc_add if group else net.uc_add)(dev, wish.mac)


def _filters(dev: Macvlan, mac: int) -> bool:
    """Whether a macvlan has a filter for an address: for groups, as a passthru one for all."""
    return bool(mac & GROUP) or dev.port.passthru


def fdb_del(
    net: Network,
    dev: Device,
    mac: int,
    vlan: int | None = None,
    *,
    to_self: bool = False,
    to_master: bool = False,
) -> None:
    """Delete an entry."""
    if vlan is not None and not 0 < vlan < 4095:
        raise RtnlError(EINVAL, "invalid vlan id")
    if to_master and isinstance(dev.rx_handler, BridgePort):
        _bridge_del(dev.rx_handler.bridge, dev.rx_handler, mac, vlan or 0)
        if not to_self:
            return
    elif not to_self and to_master:
        raise RtnlError(EOPNOTSUPP, None, dev.path)
    if isinstance(dev, Bridge):
        _bridge_del(dev, None, mac, vlan or 0)
    else:
        _filter_del(net, dev, mac)


def _bridge_del(bridge: Bridge, port: BridgePort | None, mac: int, vid: int) -> None:
    """Delete from one VLAN, or from VLAN 0 and every VLAN of the port (br_fdb_delete)."""
    group = port.vlans if port else bridge.vlan_group
    if vid and vid not in group.vids and (port or not any(vid in each.vlans.vids for each in bridge.ports)):
        raise RtnlError(EINVAL)  # the bridge's group has what any port is in (br_vlan_find)
    found = False
    for number in (vid,) if vid else (0, *sorted(group.vids)):
        entry = bridge.fdb.find(mac, number)
        if entry is not None and entry.port is port:
            bridge.fdb.remove(entry)
            found = True
    if not found:
        raise RtnlError(ENOENT)


def _filter_del(net: Network, dev: Device, mac: int) -> None:
    """Delete from a device's own filter (ndo_dflt_fdb_del, macvlan_fdb_del)."""
    if isinstance(dev, Macvlan):
        if not _filters(dev, mac):
            raise RtnlError(EOPNOTSUPP, None, dev.path)
        group = bool(mac & GROUP)
    else:
        group = _is_group(mac)
    if mac not in (dev.mc if group else dev.uc):
        raise RtnlError(ENOENT, None, dev.path)
    (net.mc_del if group else net.uc_del)(dev, mac)


def fdb_dump(ns: Netns, now: int, dev: Device | None = None, bridge: Bridge | None = None) -> Iterator[FdbRow]:
    """List entries in the kernel's order: by device index; a bridge's own filter, its entries newest first, filters."""
    for owner in sorted(ns.devices.values(), key=lambda d: d.ifindex):
        if dev is not None and owner is not dev:
            continue
        handler = owner.rx_handler
        if isinstance(owner, Bridge):
            if bridge is None or bridge is owner:
                yield from _filter_rows(owner)
                yield from _bridge_rows(owner, None, now)
            continue
        if isinstance(handler, BridgePort) and bridge in (None, handler.bridge):
            yield from _bridge_rows(handler.bridge, handler, now)
        if bridge is None or owner.master is bridge:
            yield from _filter_rows(owner)


def _bridge_rows(bridge: Bridge, port: BridgePort | None, now: int) -> Iterator[FdbRow]:
    for entry in bridge.fdb:
        if entry.port is port:
            dev = port.dev if port else bridge
            expired = not entry.static and entry.updated + bridge.fdb.hold_time <= now
            yield FdbRow(
                entry.mac,
                dev,
                entry.vid or None,
                "stale" if expired else entry.state,
                ("sticky",) if entry.sticky else (),
                bridge,
                now - entry.used,
                now - entry.updated,
            )


def _filter_rows(dev: Device) -> Iterator[FdbRow]:
    """List a device's own filter (ndo_dflt_fdb_dump)."""
    for mac in (*dev.uc, *dev.mc):
        yield FdbRow(mac, dev, None, "permanent", ("self",), None)


def fdb_flush(net: Network, dev: Device) -> None:
    """Forget what ages, on one port or on all of a bridge."""
    if isinstance(dev, Bridge):
        dev.fdb.flush()
    elif isinstance(dev.rx_handler, BridgePort):
        dev.rx_handler.bridge.fdb.flush(dev.rx_handler)
    else:
        raise RtnlError(EOPNOTSUPP, None, dev.path)
