"""Routers as a host sees them: solicitations, advertisements, default routes, addresses made of prefixes.

Mirrors ndisc_router_discovery of net/ipv6/ndisc.c, addrconf_rs_timer and addrconf_prefix_rcv of addrconf.c; RFC 4861,
RFC 4862, RFC 4191.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.stack import fib
from simvlan.stack.ipv6 import ndp
from simvlan.stack.ipv6.addr import ip6_text, is_link_local, is_multicast, mask
from simvlan.stack.ipv6.addrconf import scope_of
from simvlan.stack.ipv6.fib6 import MEDIUM, PROTO_RA, Route6
from simvlan.stack.ipv6.inet6dev import Ifaddr6, Inet6Dev
from simvlan.stack.ipv6.packet import MIN_MTU
from simvlan.stack.ipv6.settings import PRIORITY_KERNEL
from simvlan.stack.neigh import STALE
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.input import Packet6

TWO_HOURS = 7200


class Routers:
    """The search for routers, and what they say."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6

    # -- looking for them -------------------------------------------------------------------------------------------

    def solicit(self, idev: Inet6Dev) -> None:
        """Ask at once, and again about router_solicitation_interval later (addrconf_dad_completed)."""
        source = idev.link_local()
        if source is None:
            return
        self.ip6.ndisc.send_rs(idev.dev, source)
        search = idev.soliciting
        search.sent, search.probes = True, 1
        base = idev.conf.get("router_solicitation_interval") * SECOND
        search.interval_ns = (900_000 + idev.rng.randrange(200_001)) * base // 1_000_000
        self._again(idev, search.interval_ns)

    def _again(self, idev: Inet6Dev, wait: int) -> None:
        if idev.timers.solicit is not None:
            idev.timers.solicit.cancel()
        idev.timers.solicit = self.ip6.at(self.ip6.now + wait, partial(self._ask, idev))

    def _ask(self, idev: Inet6Dev) -> None:
        """Ask once more unless somebody has answered, ever more rarely (addrconf_rs_timer)."""
        idev.timers.solicit = None
        search = idev.soliciting
        if idev.dead or not idev.ready or not idev.accepts_ra or search.answered:
            return
        most = idev.conf.get("router_solicitations")
        allowed = search.probes < most or most < 0
        search.probes += 1
        source = idev.link_local()
        if not allowed or source is None:
            return
        self.ip6.ndisc.send_rs(idev.dev, source)
        search.interval_ns = self._backed_off(idev, search.interval_ns)
        last = search.probes == most
        self._again(idev, idev.conf.get("router_solicitation_delay") * SECOND if last else search.interval_ns)

    @staticmethod
    def _backed_off(idev: Inet6Dev, interval: int) -> int:
        """Twice as long, give or take a twentieth, up to a limit (rfc3315_s14_backoff_update)."""
        most = idev.conf.get("router_solicitation_max_interval") * SECOND
        longer = (1_900_000 + idev.rng.randrange(200_001)) * interval // 1_000_000
        if longer > most:
            longer = (900_000 + idev.rng.randrange(200_001)) * most // 1_000_000
        return longer

    # -- what they say ----------------------------------------------------------------------------------------------

    def receive(self, idev: Inet6Dev, found: Packet6, octets: bytes, why: Why) -> Drop | None:
        """Take an advertisement (ndisc_router_discovery)."""
        if not is_link_local(found.src):
            return Drop.IPV6_NDISC_INVALID
        if len(octets) < 16:
            return Drop.PKT_TOO_SMALL
        said = ndp.parse_ra(octets)
        if said is None:
            return Drop.IPV6_NDISC_BAD_OPTIONS
        route: Route6 | None = None
        if idev.accepts_ra:
            idev.soliciting.answered = idev.soliciting.answered or idev.soliciting.sent
            if self._in_the_way(idev, found.src, said):
                if why:
                    why(f"the default route by {ip6_text(found.src)} was made by hand: nothing of this counts")
                return None
            route = self._default(idev, found.src, said)
            self._times(idev, said)
        if not self._router(idev, found.src, said):
            return Drop.IPV6_NDISC_BAD_OPTIONS
        if not idev.accepts_ra:
            return Drop.IPV6_RA_IGNORED
        if why:
            why(f"router {ip6_text(found.src)}: lifetime {said.lifetime} s")
        if idev.conf.get("accept_ra_pinfo"):
            for kind, body in said.options:
                prefix = ndp.read_prefix(body) if kind == ndp.PREFIX else None
                if prefix is not None:
                    self._prefix(idev, prefix, known=ndp.read_mac(said.options, ndp.SLLA) is not None)
        self._mtu(idev, said, route)
        return None

    def _default(self, idev: Inet6Dev, router: int, said: ndp.RouterAdvertisement) -> Route6 | None:
        """The default route by a router, for as long as it says."""
        if not self._defaults_by(idev, router):
            return None
        route = self._default_by(idev.dev, router)
        metric = idev.conf.get("ra_defrtr_metric")
        if route is not None and (not said.lifetime or route.metric != metric):
            self.ip6.fib.remove(route)
            route = None
        preference = said.preference if said.preference != 2 and idev.conf.get("accept_ra_rtr_pref") else MEDIUM
        if route is None and said.lifetime:
            route = Route6(
                0, 0, dev=idev.dev, via=router, proto=PROTO_RA, metric=metric, preference=preference,
                host_added=True, default_router=True,
            )  # fmt: skip
            self.ip6.fib.insert(route)
            if entry := self.ip6.neigh.ensure(idev.dev, router):
                entry.router = True  # though its MAC may not be known: an advertisement may say otherwise
        if route is not None:
            route.preference = preference
            self.ip6.expire_route(route, self.ip6.now + said.lifetime * SECOND)
        if said.hops >= idev.conf.get("accept_ra_min_hop_limit") and said.hops:
            idev.conf.values["hop_limit"] = said.hops
            if route is not None:
                route.metrics["hoplimit"] = said.hops
        return route

    def _in_the_way(self, idev: Inet6Dev, router: int, said: ndp.RouterAdvertisement) -> bool:
        """Whether its default route cannot be added, as one that nobody advertised is there (fib6_add_rt2node)."""
        if not said.lifetime or not self._defaults_by(idev, router) or self._default_by(idev.dev, router):
            return False
        same = (idev.dev, router, idev.conf.get("ra_defrtr_metric"))
        node = self.ip6.fib.table(fib.MAIN_TABLE).of_prefix(0, 0)
        return any((route.dev, route.via, route.metric) == same for route in node)

    def _defaults_by(self, idev: Inet6Dev, router: int) -> bool:
        """Whether a router may give a default route here: not if it is ourselves."""
        local = not idev.conf.get("accept_ra_from_local") and idev.find(router) is not None
        return bool(idev.conf.get("accept_ra_defrtr")) and not local

    def _default_by(self, dev: Device, router: int) -> Route6 | None:
        """The default route learnt from a router (rt6_get_dflt_router)."""
        node = self.ip6.fib.table(fib.MAIN_TABLE).of_prefix(0, 0)
        return next((r for r in node if r.default_router and r.dev is dev and r.via == router), None)

    def no_router(self, router: int) -> None:
        """A router says it is none: no route by it is left (rt6_clean_tohost)."""
        for route in list(self.ip6.fib.routes()):
            if route.default_router and route.via == router:
                self.ip6.fib.remove(route)

    def forget(self) -> None:
        """Take away what advertisements made of defaults (rt6_purge_dflt_routers)."""
        for route in list(self.ip6.fib.routes()):
            if not route.default_router:
                continue
            owner = self.ip6.idev(route.dev) if route.dev is not None else None
            if owner is None or owner.conf.get("accept_ra") != 2:
                self.ip6.fib.remove(route)

    def _times(self, idev: Inet6Dev, said: ndp.RouterAdvertisement) -> None:
        """Neighbours are asked as often as routers say."""
        if said.retrans:
            idev.neigh.values["retrans_time_ms"] = max(said.retrans, 10)
        reachable = max(said.reachable, 100)
        if said.reachable and reachable != idev.neigh.get("base_reachable_time_ms"):
            idev.neigh.values["base_reachable_time_ms"] = reachable
            idev.neigh.values["gc_stale_time"] = 3 * reachable // 1000
            idev.redraw(self.ip6.now)

    def _router(self, idev: Inet6Dev, router: int, said: ndp.RouterAdvertisement) -> bool:
        """The router is a neighbour, and one that is a router."""
        mac = ndp.read_mac(said.options, ndp.SLLA)
        if mac is None and any(kind == ndp.SLLA for kind, _ in said.options):
            return False
        entry = self.ip6.neigh.ensure(idev.dev, router)
        if entry is not None:
            self.ip6.neigh.update(entry, mac, STALE, override=True, weak=True, router=True)
        return True

    def _mtu(self, idev: Inet6Dev, said: ndp.RouterAdvertisement, route: Route6 | None) -> None:
        """A smaller MTU for the link."""
        wanted = ndp.read_mtu(said.options)
        if wanted is None or not idev.conf.get("accept_ra_mtu"):
            return
        idev.ra_mtu = wanted
        if MIN_MTU <= wanted <= idev.dev.mtu and idev.mtu != wanted:
            idev.mtu = wanted
            if route is not None:
                route.metrics["mtu"] = wanted

    # -- prefixes ---------------------------------------------------------------------------------------------------

    def _prefix(self, idev: Inet6Dev, info: ndp.Prefix, *, known: bool) -> None:
        """A prefix: a route, an address (addrconf_prefix_rcv). *known*: the router has told its MAC."""
        if is_multicast(info.prefix) or is_link_local(info.prefix) or info.preferred > info.valid:
            return
        if info.on_link:
            self._on_link(idev, info)
        if info.autonomous and idev.conf.get("autoconf") and info.length == 64:
            address = info.prefix & mask(64) | self.ip6.addrconf.interface_id(idev.dev)
            self._address(idev, address, info, known and self.ip6.addrconf.optimistic(idev))

    def _on_link(self, idev: Inet6Dev, info: ndp.Prefix) -> None:
        dst = info.prefix & mask(info.length)
        node = self.ip6.fib.table(fib.MAIN_TABLE).of_prefix(dst, info.length)
        route = next((r for r in node if r.dev is idev.dev and r.via is None and r.host_added), None)
        expires = None if info.valid == ndp.FOREVER else self.ip6.now + info.valid * SECOND
        if route is not None and not info.valid:
            self.ip6.fib.remove(route)
        elif route is not None:
            self.ip6.expire_route(route, expires)
        elif info.valid:
            route = Route6(
                dst, info.length, dev=idev.dev, proto=fib.PROTO_KERNEL, metric=PRIORITY_KERNEL, host_added=True
            )
            self.ip6.fib.insert(route)
            self.ip6.expire_route(route, expires)

    def _address(self, idev: Inet6Dev, address: int, info: ndp.Prefix, optimistic: bool) -> None:
        """Make or renew the address of a prefix (addrconf_prefix_rcv_add_addr)."""
        valid = None if info.valid == ndp.FOREVER else info.valid
        preferred = None if info.preferred == ndp.FOREVER else info.preferred
        ifa = idev.find(address)
        if ifa is None:
            most = idev.conf.get("max_addresses")
            if info.valid and (not most or len(idev.addresses) < most):
                ifa = Ifaddr6(
                    address, info.length, scope=scope_of(address), valid_lft=valid, preferred_lft=preferred,
                    mngtmpaddr=True, autoconf=True, optimistic=optimistic,
                )  # fmt: skip
                self.ip6.addrconf.link(idev, ifa)
                self.ip6.addrconf.renew(idev, ifa)
                self.ip6.addrconf.detect(idev, ifa)
            return
        left = None if ifa.valid_lft is None else max(ifa.valid_lft - (self.ip6.now - ifa.changed_ns) // SECOND, 0)
        if left is None or left:
            least = TWO_HOURS if left is None else min(left, TWO_HOURS)
            ifa.valid_lft = None if valid is None else max(valid, least)
            ifa.preferred_lft = preferred
            self.ip6.addrconf.renew(idev, ifa)
