"""Sending packets: the route a packet of our own takes, then fragments, link-layer address, device.

Mirrors ip_route_output_key_hash_rcu and __mkroute_output of net/ipv4/route.c, and net/ipv4/ip_output.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from simvlan.frame import BCAST as BCAST_FRAME
from simvlan.frame import BROADCAST as BROADCAST_MAC
from simvlan.frame import CONTROL, IPV4, MCAST, Frame
from simvlan.segmentation import longest, segments
from simvlan.stack import fib, packet
from simvlan.stack.fib import Flow, Route
from simvlan.stack.frag import fragments
from simvlan.stack.ipaddr import (
    HOST,
    LIMITED_BROADCAST,
    LINK,
    LOOPBACK_ADDRESS,
    UNIVERSE,
    is_local_multicast,
    is_loopback,
    is_multicast,
    is_zeronet,
    multicast_mac,
)
from simvlan.stack.packet import IGMP, Packet
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack


CACHED_GROUPS = 4
"""Prefix length from which on a route to a group keeps what was made of it."""


class RouteResult:
    """Where a packet goes (struct rtable): type, device, next hop, source, path MTU."""

    __slots__ = ("dev", "dst", "expires_ns", "gateway", "kind", "local", "loop", "mtu", "mtu_locked", "oif",
                 "redirected", "route", "src")  # fmt: skip

    def __init__(self, kind: str, dst: int, src: int, dev: Device, route: Route | None) -> None:
        self.kind = kind
        self.dst = dst
        self.src = src
        self.dev = dev
        self.route = route
        self.gateway = route.via if route is not None and kind == fib.UNICAST else None
        self.local = kind == fib.LOCAL
        """Delivered in this namespace (RTCF_LOCAL)."""
        self.loop = False
        """A copy comes back to this host (RTCF_LOCAL on a broadcast or a joined group)."""
        self.mtu = 0 if route is None else route.metrics.get("mtu", 0)
        self.mtu_locked = route is not None and route.locked
        self.expires_ns: int | None = None
        self.redirected = False
        self.oif: Device | None = None

    @property
    def type(self) -> str:
        """The type of the route."""
        return self.kind

    @property
    def via(self) -> int | None:
        """The gateway, None when on-link."""
        return self.gateway

    @property
    def nexthop(self) -> int:
        """Whose MAC is needed."""
        return self.dst if self.gateway is None else self.gateway

    @property
    def own(self) -> bool:
        """Whether this one packet alone has it, as no nexthop keeps it (do_cache of __mkroute_output)."""
        if self.route is None or self.kind == fib.BROADCAST:
            return True
        if self.kind == fib.MULTICAST:
            return self.loop or self.route.plen < CACHED_GROUPS
        return self.local and self.oif is not None

    @property
    def path_mtu(self) -> int:
        """What the path carries (ip_dst_mtu_maybe_forward, ipv4_mtu)."""
        return min(self.mtu or self.dev.mtu, 65_535)


class Output:
    """The sending half of a stack."""

    __slots__ = ("stack",)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    # -- routes -----------------------------------------------------------------------------------------------------

    def find(
        self, dst: int, src: int = 0, oif: Device | None = None, tos: int = 0, mark: int = 0,
        proto: int = 0, any_source: bool = False, scope: int = UNIVERSE, iif: Device | None = None,
    ) -> RouteResult | int:  # fmt: skip
        """The route of a packet made here, or the errno (ip_route_output_key_hash_rcu)."""
        stack = self.stack
        grouped = is_multicast(dst) or dst == LIMITED_BROADCAST
        if src:
            if is_multicast(src) or src == LIMITED_BROADCAST:
                return errno.EINVAL
            owner = None if any_source and not grouped else stack.owner(src)
            if owner is None and not any_source:
                return errno.ENETUNREACH
            if oif is None and grouped and owner is not None:
                return self._grouped(dst, src, owner, None)
        if oif is not None:
            if not oif.up or oif not in stack.indevs:
                return errno.ENETUNREACH
            if is_local_multicast(dst) or dst == LIMITED_BROADCAST or proto == IGMP:
                return self._grouped(dst, src or stack.select_address(oif, 0, LINK), oif, None)
            if not src:
                if is_multicast(dst):
                    src = stack.select_address(oif, 0, scope)
                elif not dst:
                    src = stack.select_address(oif, 0, HOST)
        if not dst:
            dst = src or LOOPBACK_ADDRESS
            return self._local(dst, src or dst, None)
        route = stack.fib.lookup(Flow(dst, src, tos, oif, iif or stack.lo, mark, scope))
        return self._follow(dst, src, oif, route)

    def _follow(self, dst: int, src: int, oif: Device | None, route: Route | None) -> RouteResult | int:
        """Turn the outcome of a lookup into a route; with a forced device, what has no route is taken for on-link."""
        stack = self.stack
        if route is None or route.error:
            if oif is None:
                return errno.ENETUNREACH if route is None else route.error
            return self._made(fib.UNICAST, dst, src or stack.select_address(oif, 0, LINK), oif, None, oif)
        if route.type == fib.LOCAL:
            return self._local(dst, src or route.src or dst, route, oif)
        assert route.dev is not None
        if not src:
            src = route.src or stack.select_address(route.dev, route.via or 0, route.scope)
        if is_multicast(dst) or dst == LIMITED_BROADCAST:
            return self._grouped(dst, src, route.dev, route)
        return self._made(route.type, dst, src, route.dev, route, oif)

    def _local(self, dst: int, src: int, route: Route | None, oif: Device | None = None) -> RouteResult | int:
        lo = self.stack.lo
        if not lo.up and route is None:
            return errno.ENETUNREACH
        made = RouteResult(fib.LOCAL, dst, src, lo, route)
        made.oif = None if oif is lo else oif
        return made

    def _grouped(self, dst: int, src: int, dev: Device, route: Route | None) -> RouteResult | int:
        """A broadcast or multicast by a device: a copy comes back if we listen ourselves."""
        kind = fib.MULTICAST if is_multicast(dst) else fib.BROADCAST
        return self._made(kind, dst, src, dev, route, None)

    def _made(
        self, kind: str, dst: int, src: int, dev: Device, route: Route | None, oif: Device | None
    ) -> RouteResult | int:
        """Check and finish a route (__mkroute_output)."""
        stack = self.stack
        if is_loopback(src) and dev is not stack.lo and not stack.either(stack.indev(dev), "route_localnet"):
            return errno.EINVAL
        if dst == LIMITED_BROADCAST:
            kind = fib.BROADCAST
        elif is_zeronet(dst):
            return errno.EINVAL
        made = RouteResult(kind, dst, src, dev, route)
        made.oif = oif
        made.loop = kind == fib.BROADCAST or (kind == fib.MULTICAST and stack.joined(dev, dst))
        if kind == fib.UNICAST:
            stack.pmtu.apply(made)
        return made

    # -- packets ----------------------------------------------------------------------------------------------------

    def send(
        self, route: RouteResult, octets: bytes, partial: int = 0, mc_loop: bool = True,
        about: Packet | None = None,
    ) -> int | Drop:  # fmt: skip
        """Send a finished packet of our own (ip_local_out, ip_output, ip_mc_output); 0 or why it was refused.

        *about*: the packet it is an answer of the kernel's to.
        """
        if self.stack.netfilter is not None:
            made = Packet(octets, None, partial)
            if about is not None:
                made.seen = self.stack.netfilter.answering(about)
            return self._send_filtered(route, made, mc_loop)
        if route.loop and mc_loop and route.dev is not self.stack.lo:
            self._loop_back(route, octets, partial)
            if route.kind == fib.MULTICAST and octets[8] == 0:
                return 0
        return self.finish(route, octets, partial, None)

    def _send_filtered(self, route: RouteResult, made: Packet, mc_loop: bool) -> int | Drop:
        """The same through the hooks OUTPUT and POSTROUTING; a destination that changed is routed anew."""
        hooks, why = self.stack.netfilter, self.stack.kernel.why
        assert hooks is not None
        dst = made.dst
        dropped = hooks.output(made, route.dev, why)
        if dropped is None and made.dst != dst:
            again = self.find(made.dst, made.src, route.oif, made.tos & 0x1E, any_source=True)
            if isinstance(again, int):
                return Drop.NETFILTER_DROP
            route = again
        if dropped is None and route.loop and mc_loop and route.dev is not self.stack.lo:
            copy = Packet(made.data, None, made.partial)
            copy.seen = made.seen
            if hooks.postrouting(copy, route.dev, route.nexthop, None, why) is None:
                self._loop_back(route, copy.data, copy.partial)
            if route.kind == fib.MULTICAST and made.data[8] == 0:
                return 0
        dropped = dropped or hooks.postrouting(made, route.dev, route.nexthop, None, why)
        if dropped is not None:
            self.stack.kernel.lost(route.dev, Frame(0, route.dev.mac, IPV4, made.data), dropped)
            return dropped
        if route.dev is self.stack.lo:
            hooks.remember(made)
        return self.finish(route, made.data, made.partial, None)

    def _loop_back(self, route: RouteResult, octets: bytes, partial: int) -> None:
        """Hand a copy to our own receivers, unseen by packet sockets (ip_mc_finish_output, dev_loopback_xmit)."""
        ptype = MCAST if route.kind == fib.MULTICAST else BCAST_FRAME
        heard = packet.parse(octets, route.dev, partial, ptype, looped=True)
        if isinstance(heard, Packet):
            self.stack.input.deliver_looped(heard)

    def finish(self, route: RouteResult, octets: bytes, partial: int, source: Packet | None) -> int | Drop:
        """Fragment if need be, then find the neighbour (ip_finish_output). *source*: a forwarded packet, for errors."""
        limit = route.path_mtu if source is None else min(route.dev.mtu, 65_535)
        if longest(octets, partial) <= limit and (source is None or not 0 < source.frag_max < len(octets)):
            return self._out(route, octets, partial, source)
        if partial > 1:  # ip_finish_output_gso: each segment, as long as it is
            for each in segments(Frame(0, 0, IPV4, octets, csum=partial)):
                if answer := self.finish(route, each.payload, each.csum, source):
                    return answer
            return 0
        if partial:
            octets = packet.finish_checksum(octets)
        if source is not None and source.frag_max:
            limit = min(limit, source.frag_max)
        for piece in fragments(octets, limit):
            if answer := self._out(route, piece, False, source):
                return answer  # the others are not sent (ip_do_fragment)
            self.stack.kernel.softirq()
        return 0

    def _out(self, route: RouteResult, octets: bytes, partial: int, source: Packet | None) -> int | Drop:
        """Find the link-layer address and transmit (ip_finish_output2)."""
        dev = route.dev
        if route.own and (dev.noarp or not dev.kind or route.kind in (fib.BROADCAST, fib.MULTICAST)):
            self.stack.kernel.workers.let_go_of_route()
        if route.kind == fib.BROADCAST and dev.kind and not dev.noarp:
            return self._emit(dev, BROADCAST_MAC, octets, partial)
        if route.kind == fib.MULTICAST and dev.kind:
            return self._emit(dev, multicast_mac(route.dst), octets, partial)
        if dev.noarp or not dev.kind:
            return self._emit(dev, dev.mac, octets, partial)
        waiting = source if source is not None else Packet(octets)
        return self.stack.neigh.send(dev, route.nexthop, octets, partial, waiting, route.own)

    def _emit(self, dev: Device, mac: int, octets: bytes, partial: int) -> int | Drop:
        prio = CONTROL if octets[9] == IGMP else 0
        return self.stack.emit(dev, Frame(mac, dev.mac, IPV4, octets, prio=prio, csum=partial), octets[16:20]) or 0
