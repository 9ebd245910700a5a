"""Forwarding: what a router does with somebody else's packet. Mirrors net/ipv4/ip_forward.c and __mkroute_input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.frame import HOST
from simvlan.segmentation import longest
from simvlan.stack import fib
from simvlan.stack.ipaddr import ip_text
from simvlan.stack.output import RouteResult
from simvlan.stack.packet import DF, Packet, with_ttl
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.stack.input import InRoute
    from simvlan.stack.netstack import Stack


class Forward:
    """The forwarding path of a stack."""

    __slots__ = ("stack",)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def forward(self, found: Packet, answer: InRoute, why: Why) -> Drop | None:
        """Send a packet on (ip_forward): TTL, MTU, redirect, output, in this order."""
        stack, route = self.stack, answer.route
        assert route is not None
        assert route.dev is not None
        if found.ptype is not HOST:
            return Drop.FORWARD_NOT_HOST
        made = RouteResult(fib.UNICAST, found.dst, found.src, route.dev, route)
        stack.pmtu.apply(made)
        made.mtu = route.metrics.get("mtu", 0) if route.locked or stack.settings["ip_forward_use_pmtu"] else 0
        if why:
            why(f"forwarded to {ip_text(made.nexthop)} by {route.dev.name}")
        if found.ttl <= 1:
            stack.icmp.time_exceeded(found, code=0)
            return Drop.IP_TTL_EXPIRED
        if found.frag & DF and max(longest(found.data, found.partial), found.frag_max) > made.path_mtu:
            stack.icmp.error(found, 3, 4, made.path_mtu)
            return Drop.FRAG_NEEDED
        found.data = with_ttl(found.data, found.ttl - 1)
        if self._wants_redirect(found, made, answer.onlink):
            stack.icmp.redirect(found, made.nexthop)
        hooks = stack.netfilter
        if hooks is not None and found.dev is not None:
            dropped = hooks.forward(found, found.dev, made.dev, why) or hooks.postrouting(
                found, made.dev, made.nexthop, found.dev, why
            )
            if dropped is not None:
                return dropped
        refused = stack.output.finish(made, found.data, found.partial, found)
        return refused if isinstance(refused, Drop) else None

    def _wants_redirect(self, found: Packet, made: RouteResult, onlink: bool) -> bool:
        """Whether the sender could have gone there directly (IPSKB_DOREDIRECT)."""
        if made.dev is not found.dev or not onlink:
            return False
        indev = self.stack.indev(made.dev)
        if not self.stack.either(indev, "send_redirects"):
            return False
        return bool(self.stack.either(indev, "shared_media")) or indev.onlink(found.src, made.gateway or 0)
