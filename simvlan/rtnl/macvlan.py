"""`type macvlan`. Mirrors macvlan_validate, macvlan_common_newlink and macvlan_changelink (6.1).

Options of a request: mode, bcqueuelen, the flags nopromisc and nodst (naming one sets both: the kernel takes them as
one number), and macaddr: ("add" | "del" | "set" | "flush", list of MACs).
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EADDRNOTAVAIL, EBUSY, EINVAL
from typing import TYPE_CHECKING, Any

from simvlan.devices.device import Device
from simvlan.devices.macvlan import MODES, Macvlan, attach, port_of
from simvlan.devices.macvlan_port import PASSTHRU, SOURCE, MacvlanPort, bucket_of
from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import is_valid_ether_addr, mac_text
from simvlan.rtnl.basic import check_address
from simvlan.rtnl.spec import LinkSpec
from simvlan.rtnl.stacking import check_level

if TYPE_CHECKING:
    from simvlan.network import Netns, Network

OPTIONS = frozenset(("mode", "bcqueuelen", "nopromisc", "nodst", "macaddr"))


class MacvlanKind:
    """`type macvlan [mode MODE] [bcqueuelen N] [macaddr ...]`."""

    name = "macvlan"

    def create(self, net: Network, ns: Netns, spec: LinkSpec) -> Device:
        """Make a macvlan on a device, or beside a macvlan (macvlan_common_newlink)."""
        check_address(spec.mac)
        _validate(spec.info)
        if spec.link is None:
            raise RtnlError(EINVAL)
        lower = spec.link.lower if isinstance(spec.link, Macvlan) else spec.link
        if spec.mtu is not None and spec.mtu > lower.mtu:
            raise RtnlError(EINVAL)
        port = port_of(lower) or _new_port(lower)
        mode = MODES[str(spec.info.get("mode", "vepa"))]
        if port.passthru or (mode == PASSTHRU and port.vlans):
            raise RtnlError(EINVAL, None, lower.path)
        if "macaddr" in spec.info and mode != SOURCE:
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
        if "macaddr" in info and mode != SOURCE:
            _apply(dev, {key: value for key, value in info.items() if key != "macaddr"})
            raise RtnlError(EINVAL, None, dev.path)
        _apply(dev, info)
        dev.port.update_queue_len()

    def delete(self, net: Network, dev: Device) -> None:
        """Delete the device."""
        net.unregister(dev)

    def info(self, dev: Device) -> dict[str, object]:
        """Return the options as `ip -d -j link` shows them."""
        assert isinstance(dev, Macvlan)
        shown: dict[str, object] = {"mode": dev.mode_name}
        shown |= {flag: True for flag in ("nopromisc", "nodst") if getattr(dev, flag)}
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
    if lower.kind in ("", "ipvlan"):
        raise RtnlError(EINVAL, None, lower.path)
    if lower.rx_handler is not None:
        raise RtnlError(EBUSY, None, lower.path)
    return MacvlanPort(lower)


def _validate(info: Mapping[str, Any]) -> None:
    """Refuse what can be seen from the request alone (macvlan_validate)."""
    unknown = next((key for key in info if key not in OPTIONS), None)
    if unknown is not None:
        raise Unsupported(f"macvlan takes no option {unknown!r}")
    if "mode" in info and info["mode"] not in MODES:
        raise RtnlError(EINVAL)
    if "macaddr" in info:
        verb, macs = info["macaddr"]
        if verb in ("add", "del"):
            if not macs:
                raise RtnlError(EINVAL)
            if not is_valid_ether_addr(macs[0]):
                raise RtnlError(EADDRNOTAVAIL)
        elif verb not in ("set", "flush"):
            raise RtnlError(EINVAL)


def _change_promisc(net: Network, dev: Macvlan, info: Mapping[str, Any]) -> None:
    """Passthru with nopromisc switched: the lower device's promiscuity follows, even while down (6.1)."""
    if dev.port.passthru and ("nopromisc" in info or "nodst" in info):
        wanted = bool(info.get("nopromisc"))
        if wanted != dev.nopromisc:
            net.promiscuity(dev.lower, -1 if wanted else 1)


def _apply(dev: Macvlan, info: Mapping[str, Any]) -> None:
    """Set flags, queue length and source list."""
    if "nopromisc" in info or "nodst" in info:
        dev.nopromisc, dev.nodst = bool(info.get("nopromisc")), bool(info.get("nodst"))
    if "bcqueuelen" in info:
        dev.bc_queue_len = info["bcqueuelen"]
    if "macaddr" in info:
        _change_sources(dev, *info["macaddr"])


def _change_sources(dev: Macvlan, verb: str, macs: list[int]) -> None:
    """Edit the source list (macvlan_changelink_sources); `set` passes over addresses that cannot be a sender's."""
    if verb == "del":
        dev.disallow(macs[0])
        return
    if verb in ("set", "flush"):
        dev.flush()
    for mac in macs[:1] if verb == "add" else macs if verb == "set" else ():
        if is_valid_ether_addr(mac):
            dev.allow(mac)
