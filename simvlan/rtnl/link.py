"""Links: add, change, delete, with what all kinds share. Mirrors rtnl_newlink, do_setlink and rtnl_dellink (6.1).

Changes are applied in the kernel's order; a refusal half-way leaves the earlier ones in place, as in Linux.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from errno import EBUSY, EEXIST, EINVAL, EOPNOTSUPP
from typing import TYPE_CHECKING, Any, Final

from simvlan.devices.device import Device, Event
from simvlan.errors import RtnlError
from simvlan.rtnl.basic import check_address
from simvlan.rtnl.kinds import KINDS
from simvlan.rtnl.names import free_name, valid_name
from simvlan.rtnl.spec import LinkSpec

if TYPE_CHECKING:
    from simvlan.network import Netns, Network


CHECKS_ADDRESS_FIRST = frozenset({"veth", "dummy", "bridge", "macvlan"})
"""Kinds whose request is validated, address included, before the name is looked up (rtnl_link_ops.validate)."""


class _Unset:
    """The absence of a change, where None means something."""


UNSET: Final = _Unset()


@dataclass
class LinkChange:
    """What `ip link set` asks for; what is None stays (master: UNSET stays, None releases)."""

    netns: Netns | None = None
    mac: int | None = None
    mtu: int | None = None
    group: int | None = None
    name: str | None = None
    alias: str | None = None
    master: Device | _Unset | None = UNSET
    up: bool | None = None
    promisc: bool | None = None
    allmulti: bool | None = None
    arp: bool | None = None
    multicast: bool | None = None
    txqlen: int | None = None
    info: Mapping[str, object] | None = None
    slave_info: Mapping[str, object] | None = None


def link_add(net: Network, ns: Netns, spec: LinkSpec, source: Netns | None = None) -> Device:
    """Create a device in *ns* (rtnl_newlink), asked for from the namespace *source* (default: the same).

    The kernel looks for a device of that name in both: an `eth0` in the asker's namespace refuses an `eth0` elsewhere.

    Raises:
        RtnlError: what the kernel refuses: EEXIST, EINVAL, the kind's own refusals.
    """
    if spec.name is not None:
        valid_name(spec.name)
        if spec.kind in CHECKS_ADDRESS_FIRST:
            check_address(spec.mac)
        if spec.name in ns.devices or (source is not None and spec.name in source.devices):
            raise RtnlError(EEXIST)
    if spec.kind not in KINDS:
        raise RtnlError(EOPNOTSUPP, "Unknown device type.")
    if spec.ifindex is not None and ns.by_index(spec.ifindex) is not None:
        raise RtnlError(EEXIST)  # a request with an index names the device that has it
    spec.name = spec.name or free_name(ns, spec.kind)
    dev = KINDS[spec.kind].create(net, ns, spec)
    dev.mac_assigned = spec.mac is not None
    if spec.txqlen is not None:
        dev.txqlen = spec.txqlen
    dev.group = spec.group or 0
    dev.alias = spec.alias or ""
    net.announce(dev)
    net.drain()
    return dev


def link_set(net: Network, dev: Device, change: LinkChange | None = None, **changes: Any) -> None:
    """Change a device, in the order of do_setlink; keywords are LinkChange's fields.

    Raises:
        RtnlError: the first thing refused; what came before it stays changed.
    """
    change = change or LinkChange(**changes)
    try:
        if change.info is not None:
            KINDS[dev.kind].change(net, dev, change.info)
        if change.slave_info is not None:
            _change_port(net, dev, change.slave_info)
        told = change.info is not None or change.slave_info is not None
        _apply(net, dev, change, told)
    finally:
        net.drain()


def _apply(net: Network, dev: Device, change: LinkChange, told: bool) -> None:
    """Change what all devices share; at the end, refused or not, tell what has no event of its own (do_setlink)."""
    try:
        _apply_identity(net, dev, change)
        told = told or change.group is not None
        if change.name is not None and change.name != dev.name:
            _rename(net, dev, change.name)
        if change.alias is not None:
            dev.alias = change.alias
            told = True
        _set_flags(net, dev, change)
        if not isinstance(change.master, _Unset):
            _set_master(net, dev, change.master)
        if change.txqlen is not None:
            dev.txqlen = change.txqlen
            net.announce(dev)
    finally:
        if told:
            net.state_change(dev)


def _apply_identity(net: Network, dev: Device, change: LinkChange) -> None:
    """Namespace, address, MTU and group come first."""
    if change.netns is not None:
        _move(net, dev, change.netns, change.name)
    if change.mac is not None:
        _set_mac(net, dev, change.mac)
    if change.mtu is not None:
        set_mtu_checked(net, dev, change.mtu)
    if change.group is not None:
        dev.group = change.group


def link_del(net: Network, dev: Device) -> None:
    """Delete a device (rtnl_dellink); the loopback device cannot be."""
    if dev.kind not in KINDS:
        raise RtnlError(EOPNOTSUPP, None, dev.path)
    KINDS[dev.kind].delete(net, dev)
    net.drain()


def _move(net: Network, dev: Device, ns: Netns, name: str | None) -> None:
    """Move to another namespace (dev_change_net_namespace); *name* is taken only if the present one is in use there."""
    if dev.netns_local:
        raise RtnlError(EINVAL, None, dev.path)
    if ns is dev.netns:
        return
    taken = dev.name in ns.devices
    if taken and (name is None or name in ns.devices):
        raise RtnlError(EEXIST, None, dev.path)
    net.move(dev, ns, name if taken else None)


def _set_mac(net: Network, dev: Device, mac: int) -> None:
    dev.check_mac(net, mac)
    dev.mac_assigned = True
    if dev.mac == mac:
        net.notify(dev, Event.MAC)  # told even when nothing changes (dev_set_mac_address)
    net.set_mac(dev, mac)


def set_mtu_checked(net: Network, dev: Device, mtu: int) -> None:
    """Change the MTU if the device can take it (dev_set_mtu_ext)."""
    if mtu == dev.mtu:
        return
    if mtu < dev.min_mtu:
        raise RtnlError(EINVAL, "mtu less than device minimum.", dev.path)
    if dev.max_mtu and mtu > dev.max_mtu:
        raise RtnlError(EINVAL, "mtu greater than device maximum.", dev.path)
    dev.check_mtu(net, mtu)
    net.set_mtu(dev, mtu)


def _rename(net: Network, dev: Device, name: str) -> None:
    """Rename (dev_change_name): not while up, not to a name in use."""
    valid_name(name)
    if dev.up:
        raise RtnlError(EBUSY, None, dev.path)
    if name in dev.netns.devices:
        raise RtnlError(EEXIST, None, dev.path)
    net.rename(dev, name)


def _set_master(net: Network, dev: Device, master: Device | None) -> None:
    """Release from the old master, then enslave to the new (do_set_master)."""
    from simvlan.rtnl import bridge

    if dev.master is not None:
        if dev.master is master:
            return
        bridge.release(net, dev)
    if master is None:
        return
    if master.kind != "bridge":
        raise RtnlError(EOPNOTSUPP, None, master.path)
    bridge.enslave(net, master, dev)


def _change_port(net: Network, dev: Device, info: Mapping[str, object]) -> None:
    """Change a bridge port's options (slave_changelink)."""
    from simvlan.rtnl import bridge

    if dev.master is None:
        raise RtnlError(EINVAL, None, dev.path)
    bridge.change_port(net, dev, info)


def _set_flags(net: Network, dev: Device, change: LinkChange) -> None:
    """Change interface flags, up and down first (__dev_change_flags)."""
    arp = change.arp is not None and change.arp == dev.noarp
    if arp:
        dev.noarp = not dev.noarp
    multicast = change.multicast is not None and change.multicast != dev.multicast_flag
    if multicast:
        dev.multicast_flag = not dev.multicast_flag
    if any(flag is not None for flag in (change.up, change.arp, change.multicast, change.promisc, change.allmulti)):
        net.set_rx_mode(dev)
    if change.up is True:
        net.set_up(dev)
    elif change.up is False:
        net.set_down(dev)
    if change.promisc is not None and change.promisc != dev.user_promisc:
        dev.user_promisc = change.promisc
        net.promiscuity(dev, 1 if change.promisc else -1)
    if change.allmulti is not None and change.allmulti != dev.user_allmulti:
        dev.user_allmulti = change.allmulti
        net.allmulti(dev, 1 if change.allmulti else -1)
    net.announce(dev)
    if arp and dev.up:
        net.notify(dev, Event.FLAGS)
    if (arp or multicast) and dev.up:
        net.notify(dev, Event.CHANGE)
