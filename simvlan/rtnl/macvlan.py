"""`type macvlan`. Mirrors macvlan_validate, macvlan_common_newlink and macvlan_changelink (6.1).

Options of a request: mode, bcqueuelen, flags (a list of "nopromisc" and "nodst"; given, it replaces both), and
macaddr_mode ("add", "del", "set", "flush") with macaddr (one MAC) or macaddr_data (a list of them).
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EADDRNOTAVAIL, EINVAL, EOVERFLOW
from typing import TYPE_CHECKING, Any

from simvlan.devices.device import Device
from simvlan.devices.macvlan import MODES, Macvlan, attach, port_of
from simvlan.devices.macvlan_port import PASSTHRU, SOURCE, MacvlanPort, bucket_of
from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import is_valid_ether_addr, mac_text, parse_mac
from simvlan.lifecycle import LARGEST
from simvlan.rtnl.basic import check_address, check_mtu_range
from simvlan.rtnl.spec import LinkSpec
from simvlan.rtnl.stacking import check_level, check_rx_handler

if TYPE_CHECKING:
    from simvlan.network import Netns, Network

FLAGS = ("nopromisc", "nodst")
OPTIONS = frozenset(("mode", "bcqueuelen", "flags", "macaddr_mode", "macaddr", "macaddr_data"))


class MacvlanKind:
    """`type macvlan [mode MODE] [bcqueuelen N] [macaddr ...]`."""

    name = "macvlan"

    def create(self, net: Network, ns: Netns, spec: LinkSpec) -> Device:
        """Make a macvlan on a device, or beside a macvlan (macvlan_common_newlink)."""
        check_address(spec.mac)
        _validate(spec.info)
        check_mtu_range(spec.mtu)
        if spec.link is None:
            raise RtnlError(EINVAL)
        lower = spec.link.lower if isinstance(spec.link, Macvlan) else spec.link
        if spec.mtu is not None and spec.mtu > lower.mtu:
            raise RtnlError(EINVAL)
        port = port_of(lower) or _new_port(lower)
        mode = MODES[str(spec.info.get("mode", "vepa"))]
        if port.passthru or (mode == PASSTHRU and port.vlans):
            raise RtnlError(EINVAL, None, lower.path)
        if "macaddr_mode" in spec.info and mode != SOURCE:
            raise RtnlError(EINVAL)
        check_level(lower)
        mac = net.random_mac() if spec.mac is None else spec.mac
        dev = Macvlan(str(spec.name), ns, port, mode, mac, lower.mtu if spec.mtu is None else spec.mtu)
        if mode == PASSTHRU:
            port.passthru = True
            dev.mac = lower.mac
        _apply(dev, spec.info)
        net.register(dev, ns, spec.ifindex or 0)
        attach(net, dev)
        return dev

    def change(self, net: Network, dev: Device, info: Mapping[str, object]) -> None:
        """Change mode, flags, queue length and source list, in this order (macvlan_changelink)."""
        assert isinstance(dev, Macvlan)
        _validate(info)
        mode = MODES[str(info["mode"])] if "mode" in info else dev.mode
        if (mode == PASSTHRU) != (dev.mode == PASSTHRU):
            raise RtnlError(EINVAL, None, dev.path)
        if dev.mode == SOURCE and mode != SOURCE:
            dev.flush()
        _change_promisc(net, dev, info)
        dev.mode = mode
        _apply(dev, info)

    def delete(self, net: Network, dev: Device) -> None:
        """Delete the device."""
        net.unregister(dev)

    def info(self, dev: Device) -> dict[str, object]:
        """Return the options as `ip -d -j link` shows them."""
        assert isinstance(dev, Macvlan)
        shown: dict[str, object] = {"mode": dev.mode_name}
        shown |= {flag: True for flag in FLAGS if getattr(dev, flag)}
        shown["bcqueuelen"] = dev.bc_queue_len
        shown["usedbcqueuelen"] = dev.port.bc_queue_len
        if dev.mode == SOURCE:
            shown["macaddr_count"] = len(dev.allowed)
            if dev.allowed:
                shown["macaddr_data"] = [mac_text(mac) for mac in _listed(dev)]
        return shown


def _listed(dev: Macvlan) -> list[int]:
    """By hash bucket, the last added first in each (macvlan_fill_info_macaddr)."""
    newest_first = list(reversed(dev.allowed))
    return sorted(newest_first, key=bucket_of)


def _new_port(lower: Device) -> MacvlanPort:
    """Make a port, if the device can carry one (macvlan_port_create, netdev_rx_handler_register)."""
    if not lower.kind:
        raise RtnlError(EINVAL, None, lower.path)
    check_rx_handler(lower)
    return MacvlanPort(lower)


def _validate(info: Mapping[str, Any]) -> None:
    """Refuse what can be seen from the request alone (macvlan_validate)."""
    unknown = next((key for key in info if key not in OPTIONS), None)
    if unknown is not None:
        raise Unsupported(f"macvlan takes no option {unknown!r}")
    if "mode" in info and info["mode"] not in MODES:
        raise RtnlError(EINVAL)
    if any(flag not in FLAGS for flag in info.get("flags", ())):
        raise RtnlError(EINVAL)
    if info.get("macaddr_mode", "flush") not in ("add", "del", "set", "flush"):
        raise RtnlError(EINVAL)
    if "macaddr" in info and not is_valid_ether_addr(parse_mac(info["macaddr"])):
        raise RtnlError(EADDRNOTAVAIL)


def _change_promisc(net: Network, dev: Macvlan, info: Mapping[str, Any]) -> None:
    """Passthru with nopromisc switched: the lower device's promiscuity follows, even while down (6.1)."""
    if dev.port.passthru and "flags" in info:
        wanted = "nopromisc" in info["flags"]
        if wanted != dev.nopromisc:
            if not wanted and dev.lower.promiscuity == LARGEST:
                raise RtnlError(EOVERFLOW)
            net.promiscuity(dev.lower, -1 if wanted else 1)


def _apply(dev: Macvlan, info: Mapping[str, Any]) -> None:
    """Set flags, queue length and source list; a source list is for source mode only, refused last."""
    if "flags" in info:
        dev.nopromisc, dev.nodst = (flag in info["flags"] for flag in FLAGS)
    if "bcqueuelen" in info:
        dev.bc_queue_len = info["bcqueuelen"]
        dev.port.update_queue_len()
    if "macaddr_mode" in info:
        if dev.mode != SOURCE:
            raise RtnlError(EINVAL, None, dev.path)
        one = [parse_mac(info["macaddr"])] if "macaddr" in info else []
        _change_sources(dev, info["macaddr_mode"], one, [parse_mac(mac) for mac in info.get("macaddr_data", ())])


def _change_sources(dev: Macvlan, verb: str, one: list[int], many: list[int]) -> None:
    """Edit the source list (macvlan_changelink_sources); `set` passes over addresses that cannot be a sender's."""
    if verb in ("add", "del") and not one:
        raise RtnlError(EINVAL, None, dev.path)
    if verb == "del":
        dev.disallow(one[0])
        return
    if verb in ("set", "flush"):
        dev.flush()
    for mac in one if verb == "add" else one + many if verb == "set" else ():
        if is_valid_ether_addr(mac):
            dev.allow(mac)
