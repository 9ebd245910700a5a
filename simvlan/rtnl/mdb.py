"""Multicast groups by hand: `bridge mdb`. Mirrors br_mdb_add, br_mdb_del, br_mdb_dump (net/bridge/br_mdb.c, 6.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from errno import EEXIST, EINVAL, ENODEV, ENOENT
from typing import TYPE_CHECKING

from simvlan.devices.bridge import Bridge
from simvlan.devices.bridge_igmp import ALL_NODES, LOCAL_CONTROL
from simvlan.devices.bridge_mcast_port import FAMILIES
from simvlan.devices.bridge_mdb import GroupKey
from simvlan.devices.bridge_port import BridgePort
from simvlan.devices.bridge_stp_port import State
from simvlan.devices.device import Device
from simvlan.errors import RtnlError
from simvlan.frame import BROADCAST, GROUP, IPV4, IPV6

if TYPE_CHECKING:
    from simvlan.network import Network


@dataclass(frozen=True)
class MdbRow:
    """One membership as `bridge mdb show` lists it: dev is a port, or the bridge where the host listens."""

    bridge: Bridge
    dev: Device
    family: int
    group: int
    vid: int
    state: str
    timer_ns: int
    fast_leave: bool = False
    protocol: str = ""


def check_group(family: int, group: int) -> None:
    """Refuse what cannot be a group entry (is_valid_mdb_entry)."""
    if family == IPV4:
        if group >> 28 != 0xE:
            raise RtnlError(EINVAL, "bridge: IPv4 entry group address is not multicast")
        if group >> 8 == LOCAL_CONTROL:
            raise RtnlError(EINVAL, "bridge: IPv4 entry group address is local multicast")
    elif family == IPV6:
        if group == ALL_NODES:
            raise RtnlError(EINVAL, "bridge: IPv6 entry group address is link-local all nodes")
    elif not group & GROUP:
        raise RtnlError(EINVAL, "bridge: L2 entry group is not multicast")


def mdb_add(
    net: Network, bridge: Bridge, dev: Device, family: int, group: int, vid: int = 0, permanent: bool = False
) -> None:
    """Make a port (or the bridge's own host) a member; without a VLAN, in every VLAN of the port."""
    check_group(family, group)
    port = _member(bridge, dev)
    if not bridge.up:
        raise RtnlError(EINVAL, "bridge: Bridge device is not running")
    if not bridge.mcast.enabled:
        raise RtnlError(EINVAL, "bridge: Bridge's multicast processing is disabled")
    if port is not None and (port.state is State.DISABLED and not permanent):
        raise RtnlError(EINVAL, "bridge: Port is in disabled state and entry is not permanent")
    for number in _vids(bridge, port, vid):
        _join(bridge, port, GroupKey(family, group, number), permanent)


def _join(bridge: Bridge, port: BridgePort | None, key: GroupKey, permanent: bool) -> None:
    """Add one membership (br_mdb_add_group)."""
    mcast = bridge.mcast
    entry = mcast.mdb.get(key)
    if port is None:
        if permanent:
            raise RtnlError(EINVAL, "bridge: Flags are not allowed for host groups")
        if entry.host_joined:
            raise RtnlError(EEXIST, "bridge: Group is already joined by host")
        entry.host_joined = True
        if key.family:
            entry.timer.start(mcast.membership_interval)
        return
    if any(m.port is port for m in entry.members):
        raise RtnlError(EEXIST, "bridge: Group is already joined by port")
    member = mcast.mdb.join(entry, port, BROADCAST, permanent)
    member.by_user = True
    if not permanent:
        member.timer.start(mcast.membership_interval)


def mdb_del(net: Network, bridge: Bridge, dev: Device, family: int, group: int, vid: int = 0) -> None:
    """End memberships; EINVAL where there is none, of several VLANs in the last."""
    check_group(family, group)
    port = _member(bridge, dev)
    done = True
    for number in _vids(bridge, port, vid):
        done = _part(bridge, port, GroupKey(family, group, number))
    if not done:
        raise RtnlError(EINVAL)


def _part(bridge: Bridge, port: BridgePort | None, key: GroupKey) -> bool:
    """End one membership (__br_mdb_del); whether there was one, on a bridge that snoops."""
    mdb = bridge.mcast.mdb
    entry = mdb.groups.get(key)
    if entry is None or not bridge.up or not bridge.mcast.enabled:
        return False
    if port is None:
        if entry.host_joined:
            mdb.host_leave(entry)
            return True
        return False
    members = [each for each in entry.members if each.port is port]
    for member in members:
        mdb.leave(entry, member)
    return bool(members)


def _member(bridge: Bridge, dev: Device) -> BridgePort | None:
    if dev is bridge:
        return None
    if not isinstance(dev.rx_handler, BridgePort):
        raise RtnlError(ENOENT if dev.master else ENODEV, "bridge: Net device is not a bridge port")
    if dev.rx_handler.bridge is not bridge:
        raise RtnlError(EINVAL, "bridge: Port belongs to a different bridge device")
    return dev.rx_handler


def _vids(bridge: Bridge, port: BridgePort | None, vid: int) -> tuple[int, ...]:
    """Return the VLANs meant: the one given, or while VLANs are filtered all of the port's (the host: all in use).

    There may be none of these, and then nothing is done.
    """
    groups = [port.vlans] if port else [bridge.vlan_group, *(p.vlans for p in bridge.ports)]
    vids = sorted({number for group in groups for number in group.vids})
    if bridge.vlan_filtering and not vid:
        return tuple(vids)
    return (vid,)


def mdb_dump(bridge: Bridge) -> Iterator[MdbRow]:
    """List memberships, newest group first; the host's own before the ports'; none while nobody listens."""
    for entry in reversed(bridge.mcast.mdb.groups.values()) if bridge.mcast.enabled else ():
        key = entry.key
        if entry.host_joined:
            yield MdbRow(bridge, bridge, key.family, key.group, key.vid, "temp", entry.timer.left)
        for member in entry.members:
            state = "permanent" if member.permanent else "temp"
            protocol = "static" if member.by_user else "kernel"
            yield MdbRow(
                bridge, member.port.dev, key.family, key.group, key.vid, state, member.timer.left, False, protocol
            )


def router_ports(bridge: Bridge) -> list[BridgePort]:
    """Return the ports behind which a multicast router is, as `bridge -d mdb show` lists them."""
    return [p for p in bridge.ports if any(p.snooping.is_router(f) for f in FAMILIES)]
