"""Forwarding of IPv6: what a router does with somebody else's packet. Mirrors ip6_forward of net/ipv6/ip6_output.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.frame import HOST
from simvlan.segmentation import longest
from simvlan.stack import fib
from simvlan.stack.ipv6 import icmp6, packet
from simvlan.stack.ipv6.addr import ip6_text, is_link_local, is_multicast
from simvlan.stack.ipv6.output import RouteResult6
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.stack.ipv6.fib6 import Route6
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.input import Packet6


class Forward6:
    """The forwarding path of a stack."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6

    def forward(self, found: Packet6, route: Route6, why: Why) -> Drop | None:
        """Send a packet on: hop limit, redirect or source, MTU, output, in this order."""
        ip6 = self.ip6
        if ip6.is_host:
            return Drop.IPV6_NOT_FORWARDING
        if found.ptype is not HOST:
            return Drop.FORWARD_NOT_HOST
        assert route.dev is not None
        made = RouteResult6(fib.UNICAST, found.dst, found.src, route.dev, route)
        ip6.finish_route(made)
        if why:
            why(f"forwarded to {ip6_text(made.nexthop)} by {route.dev.name}")
        if found.hops <= 1:
            ip6.icmp.error(found, icmp6.TIME_EXCEEDED, icmp6.HOP_LIMIT)
            return Drop.IP_TTL_EXPIRED
        refused = self._source(found, made)
        if refused is not None:
            return refused
        limit = max(made.path_mtu if route.locked else ip6.mtu_of(route.dev), packet.MIN_MTU)
        size = longest(found.data, found.partial)
        if size <= limit:
            found.data = packet.with_hops(found.data, found.hops - 1)
            limit = made.path_mtu  # what is known of the route counts on the way out (ip6_fragment)
        if size > limit:
            ip6.icmp.error(found, icmp6.TOO_BIG, 0, limit)
            return Drop.IPV6_TOO_BIG
        sent = ip6.output.finish(made, found.data, found.partial, found)
        return sent if isinstance(sent, Drop) else None

    def _source(self, found: Packet6, made: RouteResult6) -> Drop | None:
        """Out where it came in: tell the sender of the better way. Else refuse sources that stay on their link."""
        ip6 = self.ip6
        if made.dev is found.dev:
            if ip6.limits.spend(found.dst, SECOND):
                ip6.ndisc.send_redirect(found, made.nexthop)
            return None
        if not found.src or is_multicast(found.src) or found.src == 1:
            return Drop.IP_INVALID_SOURCE
        if is_link_local(found.src):
            ip6.icmp.error(found, icmp6.UNREACH, icmp6.NOT_NEIGHBOUR)
            return Drop.IP_INVALID_SOURCE
        return None
