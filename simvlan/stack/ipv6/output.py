"""Sending packets of IPv6: route, source, fragments, link-layer address.

Mirrors ip6_route_output_flags and ip6_pol_route of net/ipv6/route.c, ip6_dst_lookup_tail, ip6_finish_output and
ip6_fragment of net/ipv6/ip6_output.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING
from zlib import crc32

from simvlan.frame import IPV6, Frame
from simvlan.segmentation import longest
from simvlan.stack import fib
from simvlan.stack.ipv6 import addr, packet
from simvlan.stack.ipv6.addr import is_multicast
from simvlan.stack.ipv6.fib6 import Flow6, Route6, needs_device
from simvlan.stack.ipv6.frag import fragments
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.input import Packet6


class RouteResult6:
    """Where a packet goes (struct rt6_info): kind, device, next hop, source, path MTU."""

    __slots__ = ("dev", "dst", "expires_ns", "gateway", "kind", "mtu", "oif", "redirected", "route", "src")

    def __init__(self, kind: str, dst: int, src: int, dev: Device, route: Route6 | None) -> None:
        self.kind = kind
        self.dst = dst
        self.src = src
        self.dev = dev
        self.route = route
        self.gateway = route.via if route is not None and kind == fib.UNICAST else None
        self.mtu = 0 if route is None else route.metrics.get("mtu", 0)
        self.expires_ns: int | None = None
        self.redirected = False
        self.oif: Device | None = None

    @property
    def local(self) -> bool:
        """Delivered in this namespace."""
        return self.kind == fib.LOCAL

    @property
    def nexthop(self) -> int:
        """Whose MAC is needed."""
        return self.dst if self.gateway is None else self.gateway

    @property
    def path_mtu(self) -> int:
        """What the path carries (ip6_mtu)."""
        return min(self.mtu or self.dev.mtu, packet.MAX_MTU)


class Output6:
    """The sending half of a stack."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6

    # -- routes -----------------------------------------------------------------------------------------------------

    def find(self, dst: int, src: int = 0, oif: Device | None = None, bound: bool = False) -> RouteResult6 | int:
        """The route of a packet made here, its source chosen, or the errno (ip6_dst_lookup_tail)."""
        ip6 = self.ip6
        strict = bound or needs_device(dst) or (oif is not None and not src)
        route = ip6.fib.lookup(Flow6(dst, src, oif, strict, ip6.is_host), ip6.reach, ip6.now)
        if route is None:
            return errno.ENETUNREACH
        if route.error:
            return route.error
        assert route.dev is not None
        idev = ip6.idev(route.dev)
        if idev is None or idev.disabled:
            return errno.ENETUNREACH
        if not src:
            chosen = route.src or ip6.select.source(self._leaves_by(route), dst)
            if chosen is None:
                return errno.EADDRNOTAVAIL
            src = chosen
        made = self._made(route, dst, src, oif)
        return self._by_router(made, bound) if self._in_doubt(made) else made

    def _in_doubt(self, made: RouteResult6) -> bool:
        """Whether an optimistic source would have to ask for its next hop, which it may not (RFC 4429, 3.2)."""
        idev = self.ip6.idev(made.dev)
        own = idev.find(made.src) if idev is not None else None
        if own is None or not own.optimistic:
            return False
        entry = self.ip6.neigh.get(made.dev, made.nexthop)
        return entry is not None and not entry.valid

    def _by_router(self, made: RouteResult6, bound: bool) -> RouteResult6 | int:
        """The same by the default route instead."""
        ip6 = self.ip6
        route = ip6.fib.lookup(Flow6(0, made.src, made.oif, bound, ip6.is_host), ip6.reach, ip6.now)
        if route is None:
            return errno.ENETUNREACH
        return route.error or self._made(route, made.dst, made.src, made.oif)

    def redirected_by(self, gateway: int, dst: int, dev: Device) -> RouteResult6 | None:
        """The route by which a gateway may speak of a destination, if need be a shorter one (__ip6_route_redirect)."""
        for table in (fib.LOCAL_TABLE, fib.MAIN_TABLE):
            for route in self.ip6.fib.table(table).leading_to(dst):
                if route.expires_ns is not None and route.expires_ns <= self.ip6.now:
                    continue
                if route.error:
                    break
                if route.via is not None and route.dev is dev and dev.up:
                    made = self._made(route, dst, 0, dev)
                    if gateway in (route.via, made.gateway):
                        return made
        return None

    def _leaves_by(self, route: Route6) -> Device | None:
        return self.ip6.stack.lo if route.type == fib.LOCAL and route.dev is None else route.dev

    def _made(self, route: Route6, dst: int, src: int, oif: Device | None) -> RouteResult6:
        """Finish a route; what is for this host goes by lo."""
        assert route.dev is not None
        local = route.type in (fib.LOCAL, "anycast")
        made = RouteResult6(
            fib.LOCAL if local else route.type, dst, src, self.ip6.stack.lo if local else route.dev, route
        )
        made.oif = oif
        if made.kind == fib.UNICAST:
            self.ip6.finish_route(made)
        else:
            made.mtu = made.mtu or self.ip6.mtu_of(made.dev)
        return made

    def flow_label(self, src: int, dst: int, proto: int, extra: int = 0) -> int:
        """A label for a flow of ours (ip6_make_flowlabel); the kernel's is a keyed hash too, of another key."""
        if not self.ip6.settings["auto_flowlabels"]:
            return 0
        return crc32(b"%d/%d/%d/%d" % (src, dst, proto, extra)) & 0xFFFFF

    def hop_limit(self, made: RouteResult6) -> int:
        """The hop limit of packets by a route (ip6_dst_hoplimit)."""
        wanted = made.route.metrics.get("hoplimit", 0) if made.route is not None else 0
        idev = self.ip6.idev(made.dev)
        return wanted or (idev.conf.get("hop_limit") if idev is not None else self.ip6.conf_all.get("hop_limit"))

    # -- packets ----------------------------------------------------------------------------------------------------

    def send(self, made: RouteResult6, octets: bytes, partial: int = 0, loop: bool = True) -> int | Drop:
        """Send a finished packet of our own (ip6_output, ip6_finish_output); 0 or why it was refused."""
        return self.finish(made, octets, partial, None, loop)

    def finish(
        self, made: RouteResult6, octets: bytes, partial: int, source: Packet6 | None, loop: bool = False
    ) -> int | Drop:  # fmt: skip
        """Fragment what is our own and too long, then find the neighbour. *source*: a forwarded packet."""
        if source is not None or longest(octets, partial) <= made.path_mtu:
            return self._out(made, octets, partial, source, loop)
        if partial:
            octets = packet.finish_checksum(octets)
        for piece in fragments(octets, made.path_mtu, self.ip6.next_ident()):
            if answer := self._out(made, piece, False, source, loop):
                return answer
            self.ip6.stack.kernel.softirq()
        return 0

    def _out(
        self, made: RouteResult6, octets: bytes, partial: int, source: Packet6 | None, loop: bool
    ) -> int | Drop:  # fmt: skip
        """Find the link-layer address and transmit (ip6_finish_output2)."""
        dev, emit = made.dev, self.ip6.stack.emit
        if is_multicast(made.dst) and dev.kind:
            heard = loop and self.ip6.groups.hears(dev, made.dst)
            if heard:
                self.ip6.input.loop_back(dev, octets, partial)
            if addr.multicast_scope(made.dst) <= 1 or (heard and not octets[7]):
                return 0
            return emit(dev, Frame(addr.multicast_mac(made.dst), dev.mac, IPV6, octets, csum=partial), made.dst) or 0
        if dev.noarp or not dev.kind:
            return emit(dev, Frame(dev.mac, dev.mac, IPV6, octets, csum=partial), made.nexthop) or 0
        waiting = source if source is not None else self.ip6.own_packet(octets, dev)
        return self.ip6.neigh.send(dev, made.nexthop, octets, partial, waiting)
