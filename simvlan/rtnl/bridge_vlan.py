"""VLANs of bridge ports: `bridge vlan add/del/show`. Mirrors br_afspec and br_process_vlan_info (6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EINVAL, EOPNOTSUPP
from typing import TYPE_CHECKING

from simvlan.devices import bridge_ports
from simvlan.devices.bridge import Bridge
from simvlan.devices.bridge_port import BridgePort
from simvlan.devices.device import Device
from simvlan.errors import RtnlError

if TYPE_CHECKING:
    from simvlan.network import Network


@dataclass(frozen=True)
class PortVlan:
    """One VLAN of a port as `bridge vlan show` lists it."""

    vid: int
    pvid: bool
    untagged: bool


def vlan_add(
    net: Network,
    dev: Device,
    vid: int,
    vid_end: int | None = None,
    pvid: bool = False,
    untagged: bool = False,
    to_self: bool = False,
) -> None:
    """Put a port (or, with *to_self*, a bridge) into one VLAN or a range, with exactly these flags."""
    bridge, port = _target(dev, to_self)
    for number in _range(vid, vid_end, pvid):
        bridge_ports.add_vlan(bridge, port, number, pvid, untagged)


def vlan_del(net: Network, dev: Device, vid: int, vid_end: int | None = None, to_self: bool = False) -> None:
    """Take a port (or a bridge) out of VLANs; an absent one is no error."""
    bridge, port = _target(dev, to_self)
    for number in _range(vid, vid_end, False):
        bridge_ports.delete_vlan(bridge, port, number)


def _range(vid: int, vid_end: int | None, pvid: bool) -> range:
    last = vid if vid_end is None else vid_end
    if not 0 < vid < 4095 or not 0 < last < 4095:
        raise RtnlError(EINVAL, "bridge: Vlan id is invalid.")
    if last < vid:
        raise RtnlError(EINVAL, "bridge: End vlan id is less than or equal to start vlan id.")
    if pvid and last != vid:
        raise RtnlError(EINVAL, "bridge: Range of VLANs can't be PVID.")
    return range(vid, last + 1)


def _target(dev: Device, to_self: bool) -> tuple[Bridge, BridgePort | None]:
    """Find whose VLANs are meant: a port's through its master, a bridge's own with `self` only."""
    if isinstance(dev, Bridge):
        if not to_self:
            raise RtnlError(EOPNOTSUPP, None, dev.path)
        return dev, None
    if not isinstance(dev.rx_handler, BridgePort) or to_self:
        raise RtnlError(EOPNOTSUPP, None, dev.path)
    return dev.rx_handler.bridge, dev.rx_handler


def vlan_list(dev: Device) -> list[PortVlan]:
    """Return the VLANs of a port or a bridge, ascending; empty for any other device."""
    if isinstance(dev, Bridge):
        group = dev.vlan_group
    elif isinstance(dev.rx_handler, BridgePort):
        group = dev.rx_handler.vlans
    else:
        return []
    return [PortVlan(vid, vid == group.pvid, group.vids[vid]) for vid in sorted(group.vids)]
