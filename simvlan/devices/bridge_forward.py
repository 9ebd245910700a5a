"""Leaving a bridge by its ports: to one, to the members of a group, to all that take flooded frames.

Mirrors net/bridge/br_forward.c (6.1, 6.18). What goes where, and the last reason why a copy did not, is noted in the
`Transit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices.bridge_vlan import untag
from simvlan.frame import BROADCAST, GROUP
from simvlan.netfilter import bridge as nf_bridge
from simvlan.verdict import Drop, Way

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.devices.bridge_transit import Transit


def flood(bridge: Bridge, transit: Transit) -> None:
    """Send to every port that takes flooded frames of this sort, last added first (br_flood)."""
    dst = transit.frame.dst
    own = transit.port is None
    for port in bridge.ports:
        if not dst & GROUP:
            takes = port.flood
        elif dst == BROADCAST:
            takes = port.bcast_flood or own
        else:
            takes = port.mcast_flood or own
        if not takes or port.proxy_arp:
            continue
        if transit.replied and (port.neigh_suppress or port.proxy_arp_wifi):
            continue
        forward(bridge, port, transit)


def to_members(bridge: Bridge, members: list[BridgePort], transit: Transit) -> None:
    """Send to the members of a group, to single stations where a port asks for that (br_multicast_flood)."""
    group = transit.frame
    for port in members:
        for mac in bridge.mcast.stations(transit, port) or (group.dst,):
            if mac == group.dst:
                forward(bridge, port, transit)
            elif not (port is transit.port and mac == group.src):
                transit.frame = group.with_macs(mac, group.src)
                forward(bridge, port, transit)
                transit.frame = group


def forward(bridge: Bridge, port: BridgePort, transit: Transit) -> None:
    """Send a copy out of a port, or note why not (br_forward, __br_forward)."""
    refused = refusal(bridge, port, transit)
    if refused is not None:
        transit.refused = refused
        return
    frame = untag(port.vlans, transit.vid, transit.frame) if bridge.vlan_filtering else transit.frame
    if transit.packet is not None:
        frames = nf_bridge.leaving(bridge, transit, frame, port.dev.mtu)
        if isinstance(frames, Drop):
            transit.emits.append((frames, port.dev, frame))
            return
    else:
        frames = [frame]
    for each in frames:
        drop = port.dev.forwardable(each)
        transit.emits.append((drop or Way.TX, port.dev, each))


def refusal(bridge: Bridge, port: BridgePort, transit: Transit) -> Drop | None:
    """Say why a frame may not leave by a port (should_deliver)."""
    came = transit.port
    if port is came and not port.hairpin:
        return Drop.BRIDGE_SAME_PORT
    if not port.open:
        return Drop.BRIDGE_EGRESS_STP_STATE
    if bridge.vlan_filtering and transit.vid not in port.vlans.vids:
        return Drop.BRIDGE_VLAN_EGRESS
    if came is not None and came.isolated and port.isolated:
        return Drop.BRIDGE_ISOLATED
    return None
