"""Joining and leaving a bridge, and what a change of a port's device does to the bridge's MAC, MTU and filters.

Mirrors net/bridge/br_if.c and br_device_event of net/bridge/br.c (6.1). Refusals are in rtnl; this performs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices import vlan_binding
from simvlan.devices.bridge_port import BridgePort
from simvlan.devices.bridge_stp_port import State, port_cost
from simvlan.devices.device import Device, Event

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge

MAX_PORTS = 1 << 10
"""BR_MAX_PORTS: numbers 1 to 1023."""


def free_number(bridge: Bridge) -> int:
    """Return the lowest port number not in use, MAX_PORTS when all are (find_portno)."""
    taken = {p.number for p in bridge.ports}
    return next((n for n in range(1, MAX_PORTS) if n not in taken), MAX_PORTS)


def add(bridge: Bridge, dev: Device) -> BridgePort:
    """Make a device a port (br_add_if, after its refusals)."""
    kernel = bridge.kernel
    port = BridgePort(bridge, dev, free_number(bridge))
    kernel.allmulti(dev, 1)
    dev.rx_handler = port
    dev.master = bridge
    kernel.announce(dev)
    bridge.ports.insert(0, port)
    manage_promisc(bridge)
    if not port.promisc and dev.unicast_filter:
        sync_statics(bridge, port)
    update_features(bridge)
    bridge.fdb.add_local(port, dev.mac, 0)
    if bridge.vlan_default_pvid:
        add_vlan(bridge, port, bridge.vlan_default_pvid, pvid=True, untagged=True)
    recalculate_mac(bridge)
    if dev.running and bridge.up:
        bridge.stp.enable_port(port)
    adjust_mtu(bridge)
    limit_segments(bridge)
    bridge.refresh()
    bridge.flush()
    return port


def remove(bridge: Bridge, port: BridgePort) -> None:
    """Release a port (del_nbp, br_del_if)."""
    kernel, dev = bridge.kernel, port.dev
    kernel.allmulti(dev, -1)
    if port.promisc:
        kernel.promiscuity(dev, -1)
    else:
        unsync_statics(bridge, port)
    bridge.stp.disable_port(port)
    bridge.ports.remove(port)
    for vid in list(port.vlans.vids):
        port.vlans.remove(vid)
        vlan_binding.vlans_changed(bridge, vid)
    bridge.fdb.delete_by_port(port, everything=True)
    manage_promisc(bridge)
    dev.rx_handler = None
    dev.master = None
    kernel.announce(dev)
    bridge.mcast.remove_port(port)
    adjust_mtu(bridge)
    limit_segments(bridge)
    recalculate_mac(bridge)
    update_features(bridge)
    bridge.refresh()
    bridge.flush()


def add_vlan(bridge: Bridge, port: BridgePort | None, vid: int, pvid: bool, untagged: bool) -> None:
    """Put a port, or the bridge itself, into a VLAN (__vlan_add)."""
    group = port.vlans if port else bridge.vlan_group
    if vid not in group.vids:
        bridge.fdb.add_local(port, port.dev.mac if port else bridge.mac, vid)
    group.set(vid, pvid, untagged)
    if port:
        vlan_binding.vlans_changed(bridge, vid)


def delete_vlan(bridge: Bridge, port: BridgePort | None, vid: int) -> None:
    """Take a port, or the bridge itself, out of a VLAN (nbp_vlan_delete, br_vlan_delete)."""
    group = port.vlans if port else bridge.vlan_group
    if vid not in group.vids:
        return
    bridge.fdb.find_delete_local(port, port.dev.mac if port else bridge.mac, vid)
    bridge.fdb.delete_by_port(port, vid)
    group.remove(vid)
    if port:
        vlan_binding.vlans_changed(bridge, vid)


# -- promiscuity ----------------------------------------------------------------------------------------------------


def manage_promisc(bridge: Bridge) -> None:
    """Ports hear everything unless the FDB alone decides what they must hear (br_manage_promisc)."""
    hear_all = bridge.promiscuity > 0 or not bridge.vlan_filtering
    automatic = [p for p in bridge.ports if p.flood or p.learning]
    for port in bridge.ports:
        alone = not automatic or (len(automatic) == 1 and automatic[0] is port)
        (set_promisc if hear_all or not (port.dev.unicast_filter and alone) else clear_promisc)(bridge, port)


def set_promisc(bridge: Bridge, port: BridgePort) -> None:
    """Make a port's device promiscuous; its filter needs no addresses then (br_port_set_promisc)."""
    if not port.promisc:
        bridge.kernel.promiscuity(port.dev, 1)
        unsync_statics(bridge, port)
        port.promisc = True


def clear_promisc(bridge: Bridge, port: BridgePort) -> None:
    """Let a port's filter decide, the static addresses in it (br_port_clear_promisc)."""
    if port.promisc:
        sync_statics(bridge, port)
        bridge.kernel.promiscuity(port.dev, -1)
        port.promisc = False


def sync_statics(bridge: Bridge, port: BridgePort) -> None:
    """Let a port that is not promiscuous hear every static address (br_fdb_sync_static)."""
    for entry in [e for e in bridge.fdb if e.static]:
        bridge.kernel.uc_add(port.dev, entry.mac)


def unsync_statics(bridge: Bridge, port: BridgePort) -> None:
    """Take one reference of every static address back, given or not (br_fdb_unsync_static)."""
    for entry in [e for e in bridge.fdb if e.static]:
        bridge.kernel.uc_del(port.dev, entry.mac)


# -- MAC and MTU of the bridge --------------------------------------------------------------------------------------


def recalculate_mac(bridge: Bridge) -> None:
    """Take the lowest MAC of the ports, unless one was chosen by hand (br_stp_recalculate_bridge_id)."""
    if not bridge.mac_assigned:
        lowest = min((p.dev.mac for p in bridge.ports), default=0)
        bridge.kernel.set_mac(bridge, lowest)


def adjust_mtu(bridge: Bridge) -> None:
    """Take the smallest MTU of the ports, unless one was set by hand (br_mtu_auto_adjust)."""
    if not bridge.mtu_by_user:
        bridge.kernel.set_mtu(bridge, min((p.dev.mtu for p in bridge.ports), default=1500))
        bridge.mtu_by_user = False


def limit_segments(bridge: Bridge) -> None:
    """Take the smallest segmentation size of the ports (br_set_gso_limits)."""
    bridge.tso_max_size = min((p.dev.tso_max_size for p in bridge.ports), default=524_280)


def update_features(bridge: Bridge) -> None:
    """Offer tx-gso-robust and scatter-gather if a port does, tx-fcoe-segmentation if all do (br_features_recompute)."""
    devices = [port.dev for port in bridge.ports]
    robust = not devices or any(dev.kind == "macvlan" for dev in devices)
    features = robust, all(dev.fcoe for dev in devices), not devices or any(dev.sg for dev in devices)
    if features != bridge.features:
        bridge.features = features
        bridge.kernel.notify(bridge, Event.FEATURES)


# -- events of a port's device --------------------------------------------------------------------------------------


def on_port_event(bridge: Bridge, port: BridgePort, event: Event) -> None:
    """React to a change of a port's device (br_device_event)."""
    if event is Event.UNREGISTER or event is Event.MOVED:
        remove(bridge, port)
    elif event is Event.FEATURES:
        update_features(bridge)
    elif event is Event.MTU:
        adjust_mtu(bridge)
    elif event is Event.MAC:
        bridge.fdb.change_port_mac(port, port.dev.mac)
        recalculate_mac(bridge)
    elif event is Event.DOWN:
        if bridge.up:
            bridge.stp.disable_port(port)
    elif event is Event.UP:
        if bridge.up and port.dev.running:
            bridge.stp.enable_port(port)
    elif event is Event.CHANGE:
        check_carrier(bridge, port)
    if event in (Event.CHANGE, Event.DOWN, Event.UP):
        vlan_binding.port_changed(bridge, port)
    bridge.flush()


def check_carrier(bridge: Bridge, port: BridgePort) -> None:
    """Follow the carrier of a port's device (br_port_carrier_check)."""
    running = port.dev.running
    if running and not port.cost_by_user:
        port.stp.cost = port_cost(port)
    if not bridge.up:
        return
    if running and port.state is State.DISABLED:
        bridge.stp.enable_port(port)
    elif not running and port.state is not State.DISABLED:
        bridge.stp.disable_port(port)
