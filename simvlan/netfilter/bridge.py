"""br_netfilter: bridged IPv4 packets go through the hooks of IPv4. Mirrors net/bridge/br_netfilter_hooks.c (6.1, 6.18).

Rules see the bridge where a routed packet has its device: `-i br0` and `-o br0`. With a tag nothing is asked
(bridge-nf-filter-vlan-tagged 0). What goes up to the bridge's own stack has PREROUTING behind it (ip_sabotage_in).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.frame import HOST, IPV4, OTHERHOST, Frame
from simvlan.netfilter.hooks import Netfilter
from simvlan.stack import fib, packet
from simvlan.stack.frag import fragments
from simvlan.stack.packet import Packet
from simvlan.verdict import Drop, Verdict, Why

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.devices.bridge_transit import Transit


def received(bridge: Bridge, port: BridgePort, frame: Frame, now: int, why: Why) -> Verdict:
    """Check and filter an IPv4 frame before the bridge decides (br_nf_pre_routing)."""
    found = packet.parse(frame.payload, bridge, frame.csum, HOST if frame.ptype is OTHERHOST else frame.ptype)
    if isinstance(found, Drop):
        return found
    hooks: Netfilter | None = bridge.netns.stack.netfilter
    if hooks is None:
        return bridge.accept(port, with_payload(frame, found.data, found.partial), now, why, None)
    dst = found.dst
    heard = hooks.prerouting(found, bridge, why)
    if not isinstance(heard, Packet):
        return heard or Drop.NETFILTER_FRAGMENT
    frame = with_payload(frame, heard.data, heard.partial)
    if heard.dst != dst:
        turned = _turned(bridge, frame, heard)
        if isinstance(turned, Drop):
            return turned
        frame = turned
    return bridge.accept(port, frame, now, why, heard)


def with_payload(frame: Frame, payload: bytes, partial: int) -> Frame:
    """The same frame with other octets in it."""
    return Frame(frame.dst, frame.src, IPV4, payload, frame.accel, frame.ptype, frame.prio, partial)


def _turned(bridge: Bridge, frame: Frame, found: Packet) -> Frame | Drop:
    """A destination was translated: on over the bridge if it is there, else up (br_nf_pre_routing_finish)."""
    stack = bridge.netns.stack
    answer = stack.input.route(bridge, found.dst, found.src, found.tos, found.proto)
    if isinstance(answer, Drop):
        return answer
    if answer.kind not in (fib.UNICAST, fib.LOCAL):
        return Drop.IP_INADDRERRORS
    if answer.route is not None and answer.route.dev is bridge:
        mac = stack.neigh_lookup(bridge, answer.route.via or found.dst)
        if mac is not None:
            return frame.with_macs(mac, frame.src)
    return frame.with_macs(bridge.mac, frame.src).as_ptype(HOST)


def leaving(bridge: Bridge, transit: Transit, frame: Frame, mtu: int) -> list[Frame] | Drop:
    """Filter one copy that leaves by a port; more frames than one when it is cut again (br_nf_forward_ip)."""
    found = transit.packet
    hooks: Netfilter | None = bridge.netns.stack.netfilter
    if found is None or hooks is None or frame.accel:
        return [frame]
    copy = Packet(found.data, bridge, found.partial, found.ptype)
    copy.seen, copy.frag_max = found.seen, found.frag_max
    dropped = hooks.forward(copy, bridge, bridge, transit.why, bridged=True) or hooks.postrouting(
        copy, bridge, copy.dst, bridge, transit.why, bridged=True
    )
    if dropped is not None:
        return dropped
    if not copy.frag_max:
        return [frame if copy.data is found.data else with_payload(frame, copy.data, copy.partial)]
    whole = packet.finish_checksum(copy.data) if copy.partial else copy.data
    return [with_payload(frame, each, False) for each in fragments(whole, min(copy.frag_max, mtu))]


def keep_for_host(bridge: Bridge, transit: Transit) -> None:
    """A copy goes up: PREROUTING is behind it."""
    hooks: Netfilter | None = bridge.netns.stack.netfilter
    if hooks is not None and transit.packet is not None:
        hooks.remember(transit.packet)
