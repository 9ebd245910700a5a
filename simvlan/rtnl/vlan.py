"""`type vlan`: 802.1Q and 802.1ad devices. Mirrors net/8021q/vlan_netlink.c and the checks of vlan.c (6.1).

Options of a request: protocol ("802.1Q", "802.1ad"), id, the flags reorder_hdr, gvrp, mvrp, loose_binding and
bridge_binding (bool), ingress_qos and egress_qos (lists of {"from", "to"}).
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EADDRNOTAVAIL, EEXIST, EINVAL, EOPNOTSUPP, EPROTONOSUPPORT, ERANGE
from typing import TYPE_CHECKING, Any

from simvlan.devices.device import Device
from simvlan.devices.vlan import Vlan, attach
from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import DOT1Q, QINQ, is_valid_ether_addr
from simvlan.rtnl.basic import check_mtu_range
from simvlan.rtnl.spec import LinkSpec
from simvlan.rtnl.stacking import check_level

if TYPE_CHECKING:
    from simvlan.network import Netns, Network

FLAGS = ("reorder_hdr", "gvrp", "mvrp", "loose_binding", "bridge_binding")
"""In the order iproute2 prints them; its JSON has them upper case."""

PROTOCOLS = {"802.1Q": DOT1Q, "802.1ad": QINQ}
OPTIONS = frozenset((*FLAGS, "protocol", "id", "ingress_qos", "egress_qos"))
VLAN_CHALLENGED = frozenset(("", "ipvlan"))
"""Kinds no VLAN can stand on (NETIF_F_VLAN_CHALLENGED): the loopback device and ipvlan."""


class VlanKind:
    """`type vlan id N [protocol P] [flags] [qos maps]`."""

    name = "vlan"

    def create(self, net: Network, ns: Netns, spec: LinkSpec) -> Device:
        """Make a device for one VID of its lower device (vlan_newlink)."""
        info = spec.info
        _validate(spec.mac, info)
        check_mtu_range(spec.mtu, Vlan.min_mtu)
        if "id" not in info:
            raise RtnlError(EINVAL, "8021q: VLAN id not specified")
        if spec.link is None:
            raise RtnlError(EINVAL, "8021q: link not specified")
        proto, vid = PROTOCOLS[str(info.get("protocol", "802.1Q"))], _number(info["id"])
        _check_lower(spec.link, proto, vid)
        if spec.mtu is not None and spec.mtu > spec.link.mtu:
            raise RtnlError(EINVAL)
        check_level(spec.link)
        dev = Vlan(str(spec.name), ns, spec.link, proto, vid)
        dev.mac = dev.mac if spec.mac is None else spec.mac
        dev.mtu = dev.mtu if spec.mtu is None else spec.mtu
        _apply(dev, info)
        dev.carrier = dev.carrier and not dev.bridge_binding
        net.register(dev, ns, spec.ifindex or 0)
        attach(net, dev)
        return dev

    def change(self, net: Network, dev: Device, info: Mapping[str, object]) -> None:
        """Change flags and maps; ID and protocol are for life and ignored (vlan_changelink)."""
        assert isinstance(dev, Vlan)
        _validate(None, info)
        _apply(dev, info)

    def delete(self, net: Network, dev: Device) -> None:
        """Delete the device."""
        net.unregister(dev)

    def info(self, dev: Device) -> dict[str, object]:
        """Return the options as `ip -d -j link` shows them."""
        assert isinstance(dev, Vlan)
        shown: dict[str, object] = {
            "protocol": "802.1Q" if dev.proto == DOT1Q else "802.1ad",
            "id": dev.vid,
            "flags": [flag.upper() for flag in FLAGS if getattr(dev, flag)],
        }
        if any(dev.ingress.values()):
            shown["ingress_qos"] = [{"from": pcp, "to": dev.ingress[pcp]} for pcp in sorted(dev.ingress)]
        if any(dev.egress.values()):
            shown["egress_qos"] = [{"from": prio, "to": dev.egress[prio]} for prio in _egress_order(dev)]
        return shown


def _egress_order(dev: Vlan) -> list[int]:
    """Sixteen buckets by priority, the newest first in each; mappings to 0 are not shown (vlan_fill_info)."""
    newest_first = [prio for prio in reversed(dev.egress) if dev.egress[prio]]
    return sorted(newest_first, key=lambda prio: prio & 0xF)


def _number(value: object) -> int:
    """Read a number from a request."""
    if not isinstance(value, int):
        raise Unsupported(f"{value!r} is not a number")
    return value


def _validate(mac: int | None, info: Mapping[str, object]) -> None:
    """Refuse what can be seen from the request alone (vlan_validate)."""
    unknown = next((key for key in info if key not in OPTIONS), None)
    if unknown is not None:
        raise Unsupported(f"vlan takes no option {unknown!r}")
    if mac is not None and not is_valid_ether_addr(mac):
        raise RtnlError(EADDRNOTAVAIL, "8021q: Invalid link address")
    if not info:
        raise RtnlError(EINVAL, "8021q: VLAN properties not specified")
    if str(info.get("protocol", "802.1Q")) not in PROTOCOLS:
        raise RtnlError(EPROTONOSUPPORT, "8021q: Invalid VLAN protocol")
    if "id" in info and _number(info["id"]) >= 0xFFF:
        raise RtnlError(ERANGE, "8021q: Invalid VLAN id")


def _check_lower(lower: Device, proto: int, vid: int) -> None:
    """Refuse a lower device that takes no VLANs, or has this one already (vlan_check_real_dev)."""
    if lower.kind in VLAN_CHALLENGED:
        raise RtnlError(EOPNOTSUPP, "8021q: VLANs not supported on device", lower.path)
    if lower.vlans and proto << 16 | vid in lower.vlans:
        raise RtnlError(EEXIST, "8021q: VLAN device already exists", lower.path)


def _apply(dev: Vlan, info: Mapping[str, Any]) -> None:
    """Set flags and maps (vlan_dev_change_flags, vlan_dev_set_{ingress,egress}_priority)."""
    for flag in FLAGS:
        if flag in info:
            changed = getattr(dev, flag) != bool(info[flag])
            setattr(dev, flag, bool(info[flag]))
            if changed and dev.up and flag in ("gvrp", "mvrp"):
                dev.declare(flag, bool(info[flag]))
    for pair in info.get("ingress_qos", ()):
        _set_ingress(dev, pair["from"] & 7, pair["to"])
    for pair in info.get("egress_qos", ()):
        dev.egress[pair["from"]] = pair["to"] & 7


def _set_ingress(dev: Vlan, pcp: int, prio: int) -> None:
    if prio:
        dev.ingress[pcp] = prio
    else:
        dev.ingress.pop(pcp, None)
