"""What a picture writes on a device: its name, kind and mode, VLAN, addresses and state."""

from __future__ import annotations

from typing import Any

from simvlan.devices.device import Device
from simvlan.diagnose import chain
from simvlan.frame import DOT1Q
from simvlan.stack.ipv6.addr import ip6_text, is_link_local

SHOWN_ADDRESSES, SHOWN_VLANS = 2, 4


def words(dev: Device) -> list[str]:
    """Return the lines on a device: the name first."""
    return [line for line in (dev.name, _kind(dev), _vlans(dev), *_addresses(dev), _state(dev)) if line]


def vlan(dev: Device) -> str:
    """Return the VLAN whose frames a device gets untagged: `100`, `10/50` for stacked tags; empty if not one."""
    below: list[Any] = chain(dev)
    tags = "/".join(str(each.vid) for each in below if each.kind == "vlan")
    if tags:
        return tags
    port = _port(below[-1]) or _port(getattr(below[-1], "peer", None))
    return str(port.vlans.pvid) if port is not None and port.vlans.pvid and len(port.vlans.vids) == 1 else ""


def _port(dev: Any) -> Any:
    """Return the port that a device is of a VLAN-filtering bridge."""
    filters = dev is not None and dev.master is not None and getattr(dev.master, "vlan_filtering", False)
    return dev.rx_handler if filters else None


def _kind(dev: Any) -> str:
    if dev.kind == "macvlan":
        return f"macvlan {dev.mode_name}"
    if dev.kind == "ipvlan":
        return f"ipvlan {dev.port.mode.value} {dev.port.flag.value}"
    if dev.kind == "vlan":
        return "vlan" if dev.proto == DOT1Q else "vlan 802.1ad"
    return "bridge, filters VLANs" if dev.kind == "bridge" and dev.vlan_filtering else str(dev.kind)


def _vlans(dev: Device) -> str:
    port = _port(dev)
    if port is None:
        return f"VLAN {vlan(dev)}" if vlan(dev) else ""
    tagged = [vid for vid, untagged in sorted(port.vlans.vids.items()) if not untagged]
    plain = [vid for vid, untagged in sorted(port.vlans.vids.items()) if untagged]
    said = [f"{word} {_ranges(vids)}" for word, vids in (("untagged", plain), ("tagged", tagged)) if vids]
    if port.vlans.pvid and plain != [port.vlans.pvid]:
        said.append(f"PVID {port.vlans.pvid}")
    return ", ".join(said) or "no VLAN"


def _ranges(vids: list[int]) -> str:
    """Write numbers in order as `1-3 7`; after a few, how many more."""
    runs: list[list[int]] = []
    for vid in vids:
        if runs and vid == runs[-1][1] + 1:
            runs[-1][1] = vid
        else:
            runs.append([vid, vid])
    text = " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs[:SHOWN_VLANS])
    return text + (f" and {len(runs) - SHOWN_VLANS} more" if len(runs) > SHOWN_VLANS else "")


def _addresses(dev: Any) -> list[str]:
    """Those of IPv4, then those of IPv6 but for link-local ones, which everybody has."""
    stack = dev.netns.stack
    found = [f"{_dotted(each.local)}/{each.prefixlen}" for each in stack.addresses(dev)]
    six = stack.ip6.addresses(dev) if stack.ip6 is not None else []
    found += [f"{ip6_text(each.address)}/{each.prefixlen}" for each in six if not is_link_local(each.address)]
    more = len(found) - SHOWN_ADDRESSES
    return found[:SHOWN_ADDRESSES] + ([f"and {more} more addresses"] if more > 0 else [])


def _dotted(address: int) -> str:
    return ".".join(map(str, address.to_bytes(4, "big")))


def _state(dev: Device) -> str:
    if not dev.up:
        return "is down"
    return "" if dev.carrier else "no carrier"
