"""What destinations taught us: path MTUs, redirects. Mirrors the exceptions of net/ipv6/route.c (RTF_CACHE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.stack.ipv6.packet import MIN_MTU

if TYPE_CHECKING:
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.output import RouteResult6

Key = tuple[int, int]
"""Destination and the index of the device."""

Learnt = tuple[int, int, int]
"""The same, and the length of the prefix of the route that taught it (each has exceptions of its own)."""


class Exceptions6:
    """Per destination and device: a smaller MTU until when, another gateway."""

    __slots__ = ("gateways", "ip6", "mtus")

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6
        self.mtus: dict[Key, tuple[int, int]] = {}
        self.gateways: dict[Learnt, int] = {}

    def apply(self, made: RouteResult6) -> None:
        """Let a fresh route follow what is known of its destination (rt6_find_cached_rt)."""
        key = made.dst, made.dev.ifindex
        known = self.mtus.get(key)
        if known is not None:
            if known[1] > self.ip6.now:
                made.mtu, made.expires_ns = known
            else:
                del self.mtus[key]
        gateway = self.gateways.get(_learnt(made))
        if gateway is not None:
            made.gateway = None if gateway == made.dst else gateway
            made.redirected = True

    def learn_mtu(self, made: RouteResult6, mtu: int) -> None:
        """A router says its next link carries only *mtu* (rt6_do_update_pmtu)."""
        if mtu < MIN_MTU or mtu >= made.path_mtu or (made.route is not None and made.route.locked):
            return
        expires = self.ip6.now + self.ip6.settings["route/mtu_expires"] * SECOND
        self.mtus[made.dst, made.dev.ifindex] = mtu, expires

    def learn_gateway(self, made: RouteResult6, gateway: int) -> None:
        """A router says another one is nearer, or that the destination is a neighbour (rt6_do_redirect)."""
        self.gateways[_learnt(made)] = gateway

    def known(self) -> list[Key]:
        """Destinations that taught something which still holds."""
        lasting = [key for key, (_, expires) in self.mtus.items() if expires > self.ip6.now]
        return list(dict.fromkeys([*lasting, *((dst, index) for dst, index, _ in self.gateways)]))

    def forget(self, dst: int, ifindex: int) -> None:
        """Forget what a destination taught (ip6_del_cached_rt)."""
        self.mtus.pop((dst, ifindex), None)
        self.gateways = {key: value for key, value in self.gateways.items() if key[:2] != (dst, ifindex)}

    def forget_device(self, ifindex: int) -> None:
        """A device goes: what was learnt for it goes too."""
        self.mtus = {key: value for key, value in self.mtus.items() if key[1] != ifindex}
        self.gateways = {key: value for key, value in self.gateways.items() if key[1] != ifindex}


def _learnt(made: RouteResult6) -> Learnt:
    return made.dst, made.dev.ifindex, 128 if made.route is None else made.route.plen
