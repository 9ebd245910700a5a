"""VLAN devices with bridge_binding: their carrier is that of a bridge's ports in their VLAN.

Mirrors br_vlan_upper_change, br_vlan_bridge_event and br_vlan_port_event of net/bridge/br_vlan.c (6.1). A bridge looks
after such devices once one was made directly upon it, and then after all that stand above it, however high.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.devices.device import Device

Bound = Any
"""A Vlan: that module needs this one."""


def above(dev: Device) -> Iterator[Bound]:
    """Every bound VLAN above a device, each followed by those above it; a master comes before what is stacked."""
    for upper in (*([] if dev.master is None else [dev.master]), *dev.uppers):
        if getattr(upper, "bridge_binding", False):
            yield upper
        yield from above(upper)


def linked(bridge: Bridge, vlan: Bound) -> None:
    """A bound VLAN was made upon a bridge: from now on the bridge looks after all above it."""
    _follow(bridge, vlan)
    bridge.binding = True


def unlinked(bridge: Bridge) -> None:
    """A bound VLAN upon a bridge is gone: it goes on as long as any is above it."""
    bridge.binding = any(True for _ in above(bridge))


def bridge_changed(bridge: Bridge) -> None:
    """The bridge came up or its carrier changed."""
    for vlan in above(bridge) if bridge.binding else ():
        _follow(bridge, vlan)


def port_changed(bridge: Bridge, port: BridgePort) -> None:
    """A port's device changed: for each VLAN of the port, the first bound device is looked at."""
    for vid in tuple(port.vlans.vids):
        vlans_changed(bridge, vid, port)


def vlans_changed(bridge: Bridge, vid: int, port: BridgePort | None = None) -> None:
    """A port joined or left a VLAN; or a port of it changed, and if that one runs it is enough."""
    vlan = next((each for each in above(bridge) if each.vid == vid), None) if bridge.binding else None
    if vlan is None:
        return
    if port is None or not port.dev.running:
        _follow(bridge, vlan)
    elif bridge.carrier:
        bridge.kernel.set_carrier(vlan, True)


def _follow(bridge: Bridge, vlan: Bound) -> None:
    """Have a carrier while the bridge and a port in this VLAN have one (br_vlan_set_vlan_dev_state)."""
    live = any(vlan.vid in port.vlans.vids and port.dev.running for port in bridge.ports)
    bridge.kernel.set_carrier(vlan, bridge.carrier and live)
