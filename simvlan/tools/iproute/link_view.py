"""A device as `ip -j link` shows it: the dict from which text and JSON are written. Mirrors rtnl_fill_ifinfo.

Values that only hardware has (queues, segmentation sizes) are those of a kernel with one CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simvlan.frame import mac_text
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.names import GROUPS, name_of

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.tools.iproute.context import Options


def operstate(dev: Device) -> str:
    """Name the RFC 2863 state as rtnetlink reports it (rtnl_fill_ifinfo)."""
    return dev.operstate.value if dev.up else "DOWN"


def flags(dev: Device) -> list[str]:
    """List the interface flags in iproute2's order; NO-CARRIER stands for up but not running (dev_get_flags)."""
    loopback = not dev.kind
    rows = (
        ("NO-CARRIER", dev.up and not dev.running),
        ("LOOPBACK", loopback),
        ("BROADCAST", dev.broadcast and not loopback),
        ("MULTICAST", dev.multicast_flag),
        ("NOARP", dev.noarp),
        ("ALLMULTI", dev.user_allmulti),
        ("PROMISC", dev.user_promisc),
        ("UP", dev.up),
        ("LOWER_UP", dev.up and dev.carrier),
        ("M-DOWN", _link_is_down(dev)),
    )
    return [name for name, on in rows if on]


def _link_is_down(dev: Device) -> bool:
    return dev.link is not None and dev.link.netns is dev.netns and not dev.link.up


def qdisc(dev: Device) -> str:
    """Name the queueing discipline; noop until the device was up once."""
    if dev.qdisc is not None:
        return str(getattr(dev.qdisc, "kind", "netem"))
    return "noqueue" if dev.opened else "noop"


def link_record(dev: Device, opt: Options, *, is_link: bool, family: str | None) -> Record:
    """Describe a device; *is_link* says `ip link` (not `ip address`), *family* what the listing is filtered by."""
    if opt.brief:
        return _brief(dev, family)
    record: Record = {"ifindex": dev.ifindex} | name_record(dev) | {"mtu": dev.mtu, "qdisc": qdisc(dev)}
    if dev.master is not None:
        record["master"] = dev.master.name
    record["operstate"] = operstate(dev)
    if is_link:
        record["linkmode"] = "DEFAULT"
    record["group"] = name_of(GROUPS, dev.group)
    if dev.txqlen:
        record["txqlen"] = dev.txqlen
    if family in (None, "link") or opt.details:
        record |= _addresses(dev)
    if dev.link is not None and dev.link.netns is not dev.netns:
        record["link_netnsid"] = dev.netns.id_of(dev.link.netns)
    if opt.details:
        record |= _details(dev, is_link)
    if dev.alias and (is_link or opt.details):
        record["ifalias"] = dev.alias
    if opt.stats and is_link:
        record["stats64"] = stats(dev, opt)
    return record


def _brief(dev: Device, family: str | None) -> Record:
    named = name_record(dev)
    record: Record = {key: named[key] for key in ("link_index", "link", "ifname") if key in named}
    record["operstate"] = operstate(dev)
    if family == "link":
        record |= {"address": mac_text(dev.mac), "flags": named["flags"]}
    return record


def name_record(dev: Device) -> Record:
    """Say what a device is called, what it is linked to, and its flags."""
    other = dev.link
    if other is None:
        link: Record = {}
    elif other.netns is dev.netns:
        link = {"link": other.name}
    else:
        link = {"link_index": other.ifindex}
    return link | {"ifname": dev.name, "flags": flags(dev)}


def _addresses(dev: Device) -> Record:
    loopback = not dev.kind
    permanent = getattr(dev, "perm_addr", dev.mac)
    return {
        "link_type": "loopback" if loopback else "ether",
        "address": mac_text(dev.mac),
        "broadcast": mac_text(0 if loopback else 0xFFFF_FFFF_FFFF),
    } | ({"permaddr": mac_text(permanent)} if permanent != dev.mac else {})


def _details(dev: Device, is_link: bool) -> Record:
    unlimited = dev.max_mtu >= 0x7FFF_FFFF
    record: Record = {
        "promiscuity": dev.promiscuity,
        "allmulti": dev.allmulti,
        "min_mtu": dev.min_mtu,
        "max_mtu": 0 if unlimited else dev.max_mtu,
    }
    if dev.kind:
        record["linkinfo"] = linkinfo(dev)
    if is_link:
        record["inet6_addr_gen_mode"] = "eui64"
    return record | {
        "num_tx_queues": 1,
        "gso_max_size": 65_536,
        "gso_max_segs": 65_535,
        "tso_max_size": dev.tso_max_size,
        "tso_max_segs": 65_535,
        "gro_max_size": 65_536,
    }


def linkinfo(dev: Device) -> Record:
    """Describe the kind with its options and, for a bridge port, the port's."""
    from simvlan.rtnl import KINDS

    record: Record = {"info_kind": dev.kind}
    if dev.kind not in ("veth", "dummy"):
        data = record["info_data"] = KINDS[dev.kind].info(dev)
        if not data.get("flags", True):
            del data["flags"]  # the kernel sends no flags that are all off
    if dev.master is not None:
        from simvlan.rtnl.bridge import port_info

        record |= {"info_slave_kind": "bridge", "info_slave_data": port_info(dev)}
    return record


def stats(dev: Device, opt: Options) -> Record:
    """Count what the device counted, with the error details for -s -s."""
    rx: dict[str, Any] = {
        "bytes": dev.rx_bytes,
        "packets": dev.rx_packets,
        "errors": dev.rx_errors,
        "dropped": dev.rx_dropped,
        "over_errors": 0,
        "multicast": dev.multicast,
    }
    tx: dict[str, Any] = {
        "bytes": dev.tx_bytes,
        "packets": dev.tx_packets,
        "errors": dev.tx_errors,
        "dropped": dev.tx_dropped,
        "carrier_errors": 0,
        "collisions": 0,
    }
    if opt.stats > 1:
        rx |= dict.fromkeys(("length_errors", "crc_errors", "frame_errors", "fifo_errors", "missed_errors"), 0)
        tx |= dict.fromkeys(("aborted_errors", "fifo_errors", "window_errors", "heartbeat_errors"), 0)
        tx["carrier_changes"] = dev.carrier_changes
    return {"rx": rx, "tx": tx}
