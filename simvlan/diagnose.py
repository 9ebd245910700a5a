"""Why nobody answers: what the stacking of two devices alone says about an unanswered ARP request or ping.

A walk shows where frames died; these rules name the design behind it: a host and its own macvlan, two VLANs, siblings
that may not talk. Facts of drivers/net/macvlan.c, drivers/net/ipvlan and net/8021q.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from simvlan.devices.device import Device

if TYPE_CHECKING:
    from simvlan.frame import Frame
    from simvlan.network import Netns, Network


@dataclass(frozen=True)
class Diagnosis:
    """A cause by name, where it lies, one sentence, and what to do."""

    reason: str
    device: str
    sentence: str
    remedy: str


def diagnose(network: Network, source: str, target: str, address: int) -> Diagnosis | None:
    """Say why *source* cannot reach *address* in *target*, if the devices' stacking alone tells."""
    sender = _sender(network.netns[source], address)
    owner = _owner(network.netns[target], address)
    if sender is None or owner is None:
        return None
    return _own_child(sender, owner) or _own_child(owner, sender) or _siblings(sender, owner) or _vlans(sender, owner)


def unheard(network: Network, sender: Device, frame: Frame, heard: Collection[str]) -> list[Diagnosis]:
    """Say why the namespaces that have the address a frame asks for never got it; *heard* are those that did.

    The device of a diagnosis is the one that has the address.
    """
    address, found = _asked(frame), []
    source = sender.netns.name
    for name, ns in network.netns.items():
        owner = _owner(ns, address) if address is not None and name != source and name not in heard else None
        if owner is None or address is None or _sender(sender.netns, address) is not sender:
            continue
        why = diagnose(network, source, name, address)
        if why is not None:
            found.append(replace(why, device=owner.path))
    return found


def _asked(frame: Frame) -> int | None:
    """The IPv4 address that an ARP request or a packet is for; None for anything else."""
    proto, payload = frame.proto, frame.payload
    if proto == 0x0806 and len(payload) >= 28:
        return int.from_bytes(payload[24:28], "big")
    if proto == 0x0800 and len(payload) >= 20:
        return int.from_bytes(payload[16:20], "big")
    return None


def _sender(ns: Netns, address: int) -> Device | None:
    """The device by which a namespace sends to an address."""
    from simvlan.errors import RtnlError

    stack: Any = ns.stack
    try:
        dev: Device | None = stack.route_get(address).dev
    except RtnlError:
        return None
    return dev


def _owner(ns: Netns, address: int) -> Device | None:
    """The device that has an address."""
    stack: Any = ns.stack
    return next((dev for dev in ns.devices.values() if any(a.local == address for a in stack.addresses(dev))), None)


def chain(dev: Device) -> list[Device]:
    """A device and its lower devices, downwards."""
    devices = [dev]
    while devices[-1].lower is not None:
        devices.append(devices[-1].lower)
    return devices


def _own_child(parent: Device, child: Device) -> Diagnosis | None:
    """A macvlan or ipvlan parent and its own child: what either sends to the other goes to the wire."""
    if child.kind not in ("macvlan", "ipvlan") or parent is child or parent not in chain(child):
        return None
    mode = "bridge" if child.kind == "macvlan" else "l2"
    made = f"ip link add link {parent.name} name host0 type {child.kind} mode {mode}"
    remedy = f"give the host a child of its own ({made})"
    if _would_hear_a_reflection(child) and not _reflected(parent):
        remedy += ", or let the switch reflect (hairpin)"
    them = f"{'a' if child.kind == 'macvlan' else 'an'} {child.kind} and its own lower device {parent.name}"
    sentence = f"what {them} send each other goes to the wire only"
    return Diagnosis("OWN_CHILD", parent.path, sentence, remedy)


def _would_hear_a_reflection(child: Any) -> bool:
    """Whether what a switch sends back reaches parent and child alike (macvlan_handle_frame, ipvlan_rcv_frame).

    A private child's own broadcasts come back to it alone; an l3 child asks no ARP and hears none.
    """
    return str(child.mode_name) in ("bridge", "vepa") if child.kind == "macvlan" else child.port.mode.value == "l2"


def _reflected(parent: Device) -> bool:
    """Whether the switch that a parent hangs on sends frames back."""
    peer: Any = getattr(chain(parent)[-1], "peer", None)
    bridge = peer.master if peer is not None else None
    if bridge is None or bridge.kind != "bridge":
        return False
    return any(port.hairpin for port in bridge.ports if port.dev is peer)


def _siblings(one: Device, other: Device) -> Diagnosis | None:
    """Two children of one parent whose mode keeps them apart."""
    if one.lower is None or one.lower is not other.lower or one.kind != other.kind:
        return None
    modes = [_mode(dev) for dev in (one, other)]
    if "private" in modes:
        return Diagnosis("PRIVATE_SIBLINGS", one.path, "private children never hear their siblings", "use mode bridge")
    for mode in ("vepa", "source"):
        if mode in modes:
            sentence = f"{mode} children talk through the switch only, and it does not reflect"
            remedy = "bridge link set dev PORT hairpin on, at the switch"
            return Diagnosis(f"{mode.upper()}_NO_HAIRPIN", one.path, sentence, remedy)
    return None


def _mode(dev: Any) -> str:
    """What keeps a child from its siblings: a macvlan's mode, an ipvlan port's flag."""
    return str(dev.mode_name if dev.kind == "macvlan" else dev.port.flag.value)


def _tags(dev: Device) -> str:
    """The VLAN ids that a device's frames get on their way down, such as `100` or `10/50`; empty without any.

    What is on a bridge that has a VLAN device for a port is in that VLAN.
    """
    stacked: list[Any] = chain(dev)
    own = "/".join(str(each.vid) for each in stacked if each.kind == "vlan")
    bridge = _bridge(stacked[-1])
    if own or bridge is None:
        return own
    uplinks = {_tags(port.dev) for port in bridge.ports if port.dev.kind == "vlan"}
    return uplinks.pop() if len(uplinks) == 1 else ""


def _bridge(dev: Any) -> Any:
    """The bridge that a device is, or that is at the other end of its cable, if that does not filter VLANs."""
    peer = getattr(dev, "peer", None)
    bridge = dev if dev.kind == "bridge" else peer.master if peer is not None else None
    return bridge if bridge is not None and bridge.kind == "bridge" and not bridge.vlan_filtering else None


def _vlans(one: Device, other: Device) -> Diagnosis | None:
    """VLAN devices with different tags: separate broadcast domains (an untagged end may be anywhere: no verdict)."""
    here, there = _tags(one), _tags(other)
    if not here or not there or here == there:
        return None
    sentence = f"VLAN {here} here, VLAN {there} there: separate broadcast domains"
    return Diagnosis("OTHER_VLAN", one.path, sentence, "put both into one VLAN, or route between the VLANs")
