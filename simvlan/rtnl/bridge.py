"""`type bridge`, joining and leaving a bridge. Mirrors br_dev_newlink, br_changelink, br_add_if, br_del_if (6.1)."""

from __future__ import annotations

from collections.abc import Mapping
from errno import EBUSY, EINVAL, ELOOP, EXFULL
from typing import TYPE_CHECKING

from simvlan.devices import bridge_ports
from simvlan.devices.bridge import Bridge
from simvlan.devices.bridge_port import BridgePort
from simvlan.devices.device import Device
from simvlan.errors import RtnlError
from simvlan.frame import is_valid_ether_addr
from simvlan.rtnl import bridge_options, bridge_port_options
from simvlan.rtnl.basic import check_address, check_mtu_range
from simvlan.rtnl.spec import LinkSpec
from simvlan.rtnl.stacking import check_rx_handler, stands_on

if TYPE_CHECKING:
    from simvlan.network import Netns, Network


class BridgeKind:
    """`type bridge [...]`."""

    name = "bridge"

    def create(self, net: Network, ns: Netns, spec: LinkSpec) -> Device:
        """Make a bridge; options are set after it is registered, and refusing one deletes it again."""
        check_address(spec.mac)
        check_mtu_range(spec.mtu)
        asked = bridge_options.wishes(spec.info)
        if "vlan_protocol" in asked:
            bridge_options.check_protocol(None, asked["vlan_protocol"])
        if "vlan_default_pvid" in asked:
            bridge_options.check_default_pvid(None, asked["vlan_default_pvid"])
        mac = net.random_mac() if spec.mac is None else spec.mac
        dev = Bridge(str(spec.name), ns, net, mac, spec.mtu or 1500)
        net.register(dev, ns, spec.ifindex or 0)
        bridge_ports.add_vlan(dev, None, 1, pvid=True, untagged=True)
        if spec.mac is not None:
            dev.stp.change_id(dev.stp.priority << 48 | mac)
        try:
            bridge_options.change(dev, spec.info)
        except Exception:
            net.unregister(dev)
            raise
        return dev

    def change(self, net: Network, dev: Device, info: Mapping[str, object]) -> None:
        """Change options (br_changelink)."""
        assert isinstance(dev, Bridge)
        bridge_options.change(dev, info)

    def delete(self, net: Network, dev: Device) -> None:
        """Delete the bridge; its ports stay."""
        net.unregister(dev)

    def info(self, dev: Device) -> dict[str, object]:
        """Return the options as `ip -d -j link` shows them."""
        assert isinstance(dev, Bridge)
        return bridge_options.info(dev)


def port_of(dev: Device) -> BridgePort:
    """Return the port a device is; EINVAL when it is none."""
    handler = dev.rx_handler
    if not isinstance(handler, BridgePort):
        raise RtnlError(EINVAL, None, dev.path)
    return handler


def enslave(net: Network, master: Device, dev: Device) -> None:
    """Make a device a port (br_add_if): `ip link set DEV master BRIDGE`."""
    assert isinstance(master, Bridge)
    if not dev.kind or not is_valid_ether_addr(dev.mac):
        raise RtnlError(EINVAL, None, dev.path)
    if isinstance(dev, Bridge):
        raise RtnlError(ELOOP, "Can not enslave a bridge to a bridge.", dev.path)
    if dev.netns is not master.netns:
        raise RtnlError(EINVAL, None, dev.path)
    if dev.master is not None:
        raise RtnlError(EBUSY, None, dev.path)
    if bridge_ports.free_number(master) >= bridge_ports.MAX_PORTS:
        raise RtnlError(EXFULL, None, dev.path)
    try:
        check_rx_handler(dev)
        if stands_on(dev, master):
            raise RtnlError(EBUSY, None, dev.path)
    except RtnlError:
        net.allmulti(dev, 1)  # taken back at once, but a macvlan or ipvlan has made its filter anew by then
        net.allmulti(dev, -1)
        raise
    bridge_ports.add(master, dev)


def release(net: Network, dev: Device) -> None:
    """Take a device out of its bridge (br_del_if): `ip link set DEV nomaster`."""
    port = port_of(dev)
    bridge_ports.remove(port.bridge, port)


def set_port(net: Network, dev: Device, info: Mapping[str, object]) -> None:
    """Change a port's options as `bridge link set` does (br_setlink)."""
    bridge_port_options.change(port_of(dev), info)
    net.drain()


def change_port(net: Network, dev: Device, info: Mapping[str, object]) -> None:
    """Change a port's options as `ip link set ... type bridge_slave` does (br_port_slave_changelink)."""
    bridge_port_options.change(port_of(dev), info)


def port_info(dev: Device) -> dict[str, object]:
    """Return a port's options as `ip -d -j link` shows them under info_slave_data."""
    return bridge_port_options.info(port_of(dev))
