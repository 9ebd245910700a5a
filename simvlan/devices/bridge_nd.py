"""Neighbour solicitations answered or kept away by the bridge: neigh_suppress for IPv6.

Mirrors br_do_suppress_nd, br_is_nd_neigh_msg and br_nd_send of net/bridge/br_arp_nd_proxy.c (6.1). Looks at octets
only: neither the checksum nor the hop limit is checked there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices.bridge_arp import device_of, tag
from simvlan.frame import HOST, IPV6, Frame
from simvlan.stack.ipv6 import icmp6, ndp, packet
from simvlan.verdict import Way

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_transit import Transit
    from simvlan.devices.device import Device
    from simvlan.stack.neigh import Neighbour

MESSAGE = packet.HEADER + 24
"""Octets of an IPv6 header and a solicitation or advertisement without options."""
SOLICITED = 0x40


def examine(bridge: Bridge, transit: Transit) -> None:
    """Answer a solicitation the bridge knows the answer to, or mark it as not for suppressing ports."""
    data = transit.frame.payload
    if len(data) < MESSAGE or data[6] != packet.ICMPV6 or data[41] or data[40] not in (icmp6.NS, icmp6.NA):
        return
    if transit.port is not None and transit.port.neigh_suppress:
        return
    unsolicited = data[40] == icmp6.NA and not data[44] & SOLICITED
    if unsolicited or (data[40] == icmp6.NS and (not any(data[8:24]) or data[8:24] == data[24:40])):
        transit.replied = True
    elif data[40] == icmp6.NS and (device := device_of(bridge, transit)) is not None:
        _asked(bridge, transit, device, int.from_bytes(data[48:64], "big"))


def _asked(bridge: Bridge, transit: Transit, device: Device, target: int) -> None:
    """A question for an address: our own is not for suppressing ports, nor one whose MAC is known."""
    ip6 = device.netns.stack.ip6
    if ip6 is None:
        return
    if ip6.owner(target, device) is not None or any(ip6.owner(target, upper) for upper in _uppers(device)):
        transit.replied = True
        return
    entry = ip6.neigh.get(device, target)
    known = bridge.fdb.find(entry.mac, transit.vid) if entry is not None and entry.valid else None
    if entry is None or known is None:
        return
    if known.port is not None and known.port.neigh_suppress:
        _reply(bridge, transit, entry)
    transit.replied = True


def _uppers(device: Device) -> list[Device]:
    """Everything stacked on a device."""
    return [each for upper in device.uppers for each in (upper, *_uppers(upper))]


def _reply(bridge: Bridge, transit: Transit, entry: Neighbour) -> None:
    """Advertise in the target's name, out of the port the question came in by; to ourselves if it is ours."""
    asked = transit.frame.payload
    options = _options(asked[MESSAGE:])
    if options is None:
        return
    asker = int.from_bytes(asked[8:24], "big")
    mac = int.from_bytes(options[:6], "big") if options else transit.frame.src
    said = ndp.Advertisement(
        entry.ip, router=entry.router, solicited=True, override=True, options=(ndp.link_layer(ndp.TLLA, entry.mac),)
    )
    data = packet.build(
        entry.ip, asker, packet.ICMPV6, ndp.build_na(entry.ip, asker, said), 255, (asked[0] & 15) << 4
    )  # fmt: skip
    frame = Frame(mac, entry.mac, IPV6, data)
    if transit.vid:
        frame = tag(bridge, transit.port, frame, transit.frame.accel)
    if transit.why:
        transit.why("answered by the bridge")
    if transit.port is None:
        transit.emits.append((Way.BACKLOG, bridge, frame.as_ptype(HOST)))
    else:
        transit.emits.append((Way.TX, transit.dev, frame))


def _options(octets: bytes) -> bytes | None:
    """The asker's link-layer address as its option gives it, else nothing; None where an option has no length."""
    at = 0
    while at < len(octets) - 1:
        if not octets[at + 1]:
            return None
        if octets[at] == ndp.SLLA:
            return octets[at + 2 : at + 8].ljust(6, b"\0")
        at += octets[at + 1] * 8
    return b""
