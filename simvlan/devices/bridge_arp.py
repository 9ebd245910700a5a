"""ARP answered or kept away by the bridge: proxy_arp, proxy_arp_wifi, neigh_suppress.

Mirrors br_do_proxy_suppress_arp of net/bridge/br_arp_nd_proxy.c (6.1); IPv6's neighbour discovery is in bridge_nd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from simvlan.devices.device import Device
from simvlan.frame import ARP, HOST, Frame
from simvlan.verdict import Way

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.devices.bridge_transit import Transit

REQUEST, REPLY = 1, 2
REVERSE = (3, 4)


class ArpPacket(NamedTuple):
    """An ARP packet for IPv4 over Ethernet."""

    op: int
    sha: int
    sip: int
    tip: int


def parse(data: bytes) -> ArpPacket | None:
    """Read an ARP packet; None when it is not IPv4 over Ethernet."""
    if len(data) < 28 or data[2:6] != b"\x08\x00\x06\x04":
        return None
    op, sha, sip, tip = (int.from_bytes(data[a:b], "big") for a, b in ((6, 8), (8, 14), (14, 18), (24, 28)))
    return ArpPacket(op, sha, sip, tip)


def examine(bridge: Bridge, transit: Transit) -> None:
    """Answer a request the bridge knows the answer to, or mark it as not for suppressing ports."""
    arp = parse(transit.frame.payload)
    if arp is None or bridge.noarp or arp.tip >> 24 == 127 or arp.tip >> 28 == 0xE:
        return
    if bridge.suppresses_arp:
        if transit.port is not None and transit.port.neigh_suppress:
            return
        if arp.op not in REVERSE and (arp.sip >> 24 == 0 or arp.sip == arp.tip):
            transit.replied = True
            return
    device = device_of(bridge, transit)
    if arp.op != REQUEST or device is None:
        return
    if bridge.suppresses_arp and _is_local(device, arp.tip):
        transit.replied = True
        return
    _answer(bridge, transit, arp, device)


def device_of(bridge: Bridge, transit: Transit) -> Device | None:
    """Return the device whose neighbours count: the bridge, or its VLAN device for a VLAN."""
    if not transit.vid:
        return bridge
    tag = bridge.vlan_protocol << 16 | transit.vid
    return bridge.vlans.get(tag) if bridge.vlans else None


def _is_local(device: Device, address: int) -> bool:
    """Whether the device or one stacked on it has an address (br_is_local_ip)."""
    stack = device.netns.stack
    if any(a.local == address for a in stack.addresses(device)):
        return True
    return any(_is_local(upper, address) for upper in device.uppers)


def _answer(bridge: Bridge, transit: Transit, arp: ArpPacket, device: Device) -> None:
    """Reply in the target's name where flags ask for it and both its MAC and its port are known."""
    mac = device.netns.stack.neigh_lookup(device, arp.tip)
    entry = bridge.fdb.find(mac, transit.vid) if mac is not None else None
    if mac is None or entry is None:
        return
    target = entry.port
    asked = transit.port is not None and transit.port.proxy_arp
    if asked or (target is not None and (target.proxy_arp_wifi or target.neigh_suppress)):
        _reply(bridge, transit, arp, mac)
        transit.replied = True
    elif bridge.suppresses_arp:
        transit.replied = True


def _reply(bridge: Bridge, transit: Transit, arp: ArpPacket, mac: int) -> None:
    """Send the answer out of the port the request came in by (br_arp_send)."""
    data = b"\x00\x01\x08\x00\x06\x04" + REPLY.to_bytes(2, "big") + mac.to_bytes(6, "big") + arp.tip.to_bytes(4, "big")
    data += arp.sha.to_bytes(6, "big") + arp.sip.to_bytes(4, "big")
    frame = Frame(arp.sha, mac, ARP, data)
    if transit.vid:
        frame = tag(bridge, transit.port, frame, transit.frame.accel)
    if transit.why:
        transit.why("answered by the bridge")
    if transit.vid and transit.port is None:
        transit.emits.append((Way.BACKLOG, bridge, frame.as_ptype(HOST)))
    else:
        transit.emits.append((Way.TX, transit.dev, frame))


def tag(bridge: Bridge, port: BridgePort | None, frame: Frame, accel: int) -> Frame:
    """Tag the answer like the request, except in the port's PVID."""
    group = port.vlans if port is not None else bridge.vlan_group
    return frame if group.pvid == accel & 0xFFF else frame.with_accel(accel)
