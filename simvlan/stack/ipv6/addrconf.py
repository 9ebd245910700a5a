"""Addresses of IPv6: link-local ones, duplicate address detection, what an address brings and takes away.

Mirrors net/ipv6/addrconf.c (addrconf_notify, addrconf_dev_config, ipv6_add_addr, addrconf_dad_work, addrconf_ifdown)
and RFC 4862, RFC 7527. What the kernel leaves to a work queue runs here once the call that asked for it is over.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from simvlan.clock import MILLISECOND, SECOND
from simvlan.stack import fib
from simvlan.stack.ipaddr import HOST, LINK, SITE, UNIVERSE
from simvlan.stack.ipv6 import addr
from simvlan.stack.ipv6.fib6 import PROTO_RA, Route6
from simvlan.stack.ipv6.inet6dev import Ifaddr6, Inet6Dev, Soliciting, State
from simvlan.stack.ipv6.packet import MIN_MTU
from simvlan.stack.ipv6.settings import PRIORITY_KERNEL

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6

EUI64, NONE = 0, 1


def scope_of(address: int) -> int:
    """The scope of an address as rtnetlink names it (ipv6_addr_scope, rt_scope)."""
    if address == addr.LOOPBACK:
        return HOST
    if addr.is_link_local(address):
        return LINK
    return SITE if address >> 118 == 0xFEC0 >> 6 else UNIVERSE


class Addrconf:
    """The addresses of a namespace's devices."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6

    # -- devices ----------------------------------------------------------------------------------------------------

    def up(self, idev: Inet6Dev) -> None:
        """A device came up (NETDEV_UP): kept addresses get their routes back; with a carrier all else begins."""
        if idev.disabled:
            return
        for ifa in list(idev.addresses):
            if ifa.permanent:
                self._prefix_route(idev, ifa)
                if ifa.state is State.PREDAD:
                    self.detect(idev, ifa)
        if link_ready(idev.dev):
            self._begin(idev)

    def changed(self, idev: Inet6Dev) -> None:
        """A device that is up got or lost its carrier (NETDEV_CHANGE)."""
        if idev.disabled or not link_ready(idev.dev):
            return
        if idev.ready:
            self.ip6.groups.up(idev)
        else:
            self._begin(idev)

    def _begin(self, idev: Inet6Dev) -> None:
        """Make the device's own addresses and detect duplicates (addrconf_dev_config, addrconf_dad_run)."""
        idev.ready = True
        if not idev.dev.kind:
            self._loopback(idev)
        else:
            self.ip6.groups.up(idev)
            self._group_route(idev.dev)
            self._link_local(idev)
        for ifa in list(idev.addresses):
            if ifa.tentative and ifa.state is State.DAD:
                self._kick(idev, ifa)
        if idev.dev.mtu < MIN_MTU:
            self.down(idev, gone=bool(idev.dev.kind))
        else:
            idev.mtu = idev.dev.mtu

    def _loopback(self, idev: Inet6Dev) -> None:
        """::1 is always there and never doubted (init_loopback)."""
        if idev.find(addr.LOOPBACK) is None:
            ifa = Ifaddr6(addr.LOOPBACK, 128, scope=HOST)
            self.link(idev, ifa)
            ifa.tentative = False
            self.announce(idev, ifa)

    def _group_route(self, dev: Device) -> None:
        """ff00::/8 by the device (addrconf_add_mroute)."""
        self._add_once(
            Route6(0xFF << 120, 8, fib.MULTICAST, fib.LOCAL_TABLE, dev, None, fib.PROTO_KERNEL, metric=PRIORITY_KERNEL)
        )

    def _link_local(self, idev: Inet6Dev) -> None:
        """fe80:: and the identifier made of the MAC (addrconf_addr_gen)."""
        if idev.conf.get("addr_gen_mode") != EUI64:
            return
        address = addr.LINK_LOCAL | self.interface_id(idev.dev)
        if idev.find(address) is None:
            self.add(idev, Ifaddr6(address, 64, scope=LINK, optimistic=self.optimistic(idev)))

    @staticmethod
    def interface_id(dev: Device) -> int:
        """The lower half of a device's own addresses; a kind may have its own rule (ipvlan)."""
        own = getattr(dev, "interface_id", None)
        found: int = own() if own is not None else addr.eui64(dev.mac)
        return found

    def down(self, idev: Inet6Dev, gone: bool) -> None:
        """A device goes down, or loses IPv6 for good (addrconf_ifdown)."""
        ip6 = self.ip6
        ip6.flush_device(idev.dev)
        if gone:
            idev.dead = True
            ip6.devices.pop(idev.dev, None)
        keep = not gone and not idev.disabled and self._keeps(idev)
        was_ready, idev.ready = idev.ready, False
        idev.soliciting = Soliciting()
        for ifa in list(idev.addresses):
            self._forget_work(ifa)
            if keep and ifa.permanent and ifa.scope not in (HOST, LINK):
                ifa.state, ifa.tentative, ifa.route = State.PREDAD, not ifa.nodad, None
                ip6.groups.leave_solicited(idev, ifa.address)
            else:
                ifa.state = State.DEAD
                idev.addresses.remove(ifa)
                self._withdraw(idev, ifa)
        if gone:
            ip6.groups.destroy(idev)
            idev.timers.stop()
        elif was_ready:  # else reports go on, though nothing passes
            ip6.groups.down(idev)
        idev.ra_mtu = 0

    def _keeps(self, idev: Inet6Dev) -> bool:
        return (self.ip6.conf_all.get("keep_addr_on_down") or idev.conf.get("keep_addr_on_down")) > 0

    # -- addresses --------------------------------------------------------------------------------------------------

    def link(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Put an address in its place: wider scopes first, the newest of a scope first (ipv6_link_dev_addr)."""
        ifa.tentative = not ifa.nodad
        at = next((n for n, other in enumerate(idev.addresses) if rank(other) <= rank(ifa)), len(idev.addresses))
        idev.addresses.insert(at, ifa)
        ifa.created_ns = ifa.changed_ns = self.ip6.now
        told = getattr(idev.dev, "address_added", None)
        if told is not None:
            told(ifa.address, 6)
        self.ip6.stack.netns.tell(idev.dev, "address")

    def add(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Give a device an address: its prefix is routed at once, it itself after detection."""
        self.link(idev, ifa)
        self._prefix_route(idev, ifa)
        self.detect(idev, ifa)
        self.renew(idev, ifa)

    def ready_for_address(self, idev: Inet6Dev) -> None:
        """What adding an address does to its device first (addrconf_add_dev): groups are reported again."""
        if idev.dev.up:
            self.ip6.groups.up(idev)
        if idev.dev.kind:
            self._group_route(idev.dev)

    def remove(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Take an address away (ipv6_del_addr); what has an end leaves its prefix to its own end."""
        if ifa.state is State.DEAD:
            return
        ifa.state = State.DEAD
        idev.addresses.remove(ifa)
        self._forget_work(ifa)
        self._withdraw(idev, ifa)
        self.ip6.stack.netns.tell(idev.dev, "address")
        if ifa.permanent and not ifa.noprefixroute:
            self._drop_prefix(idev, ifa)
        for route in [r for r in self.ip6.fib.routes() if r.src == ifa.address and r.dev is idev.dev]:
            route.src = None

    def _withdraw(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Nobody is reached by the address any more (RTM_DELADDR)."""
        ip6 = self.ip6
        if idev.conf.get("forwarding"):
            self.leave_anycast(idev, ifa)
        ip6.groups.leave_solicited(idev, ifa.address)
        if ifa.route is not None:
            ip6.fib.remove(ifa.route)
            ifa.route = None
        told = getattr(idev.dev, "address_removed", None)
        if told is not None:
            told(ifa.address, 6)

    def _drop_prefix(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Take the prefix away, or give it the end of the last address in it (check_cleanup_prefix_route)."""
        others = [other for other in idev.addresses if _same_prefix(ifa, other)]
        if any(other.permanent or other.noprefixroute for other in others):
            return
        ends = [other.changed_ns + (other.valid_lft or 0) * SECOND for other in others]
        dst = ifa.address & addr.mask(ifa.prefixlen)
        for route in list(self.ip6.fib.table(fib.MAIN_TABLE).of_prefix(dst, ifa.prefixlen)):
            if route.dev is idev.dev and route.via is None and route.proto in (fib.PROTO_KERNEL, PROTO_RA):
                if ends:
                    self.ip6.expire_route(route, max(ends))
                else:
                    self.ip6.fib.remove(route)
                return

    def _prefix_route(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """The prefix is on-link (addrconf_prefix_route)."""
        if ifa.noprefixroute:
            return
        expires = None if ifa.valid_lft is None else self.ip6.now + ifa.valid_lft * SECOND
        dst = ifa.address & addr.mask(ifa.prefixlen)
        self._add_once(
            Route6(dst, ifa.prefixlen, dev=idev.dev, proto=fib.PROTO_KERNEL, metric=ifa.metric or PRIORITY_KERNEL,
                   expires_ns=expires, host_added=True)
        )  # fmt: skip

    def _add_once(self, route: Route6) -> None:
        """Add a route unless it is there or its device is down (fib6_nh_init)."""
        if route.dev is None or not route.dev.up:
            return
        node = self.ip6.fib.table(route.table).of_prefix(route.dst, route.plen)
        same = [r for r in node if (r.dev, r.via, r.metric) == (route.dev, route.via, route.metric)]
        if not same:
            self.ip6.fib.insert(route)
            self.ip6.expire_route(route, route.expires_ns)
        elif same[0].expires_ns is not None:
            self.ip6.expire_route(same[0], route.expires_ns)  # what has no end keeps none

    def announce(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """The address is ours from now on (RTM_NEWADDR): its local route."""
        self._local_route(idev, ifa)
        if idev.conf.get("forwarding"):
            self.join_anycast(idev, ifa)
        if ifa.peer:
            self._add_once(Route6(ifa.peer, 128, dev=idev.dev, proto=fib.PROTO_KERNEL, metric=PRIORITY_KERNEL))

    def _local_route(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        if ifa.route is None:
            ifa.route = Route6(
                ifa.address, 128, fib.LOCAL, fib.LOCAL_TABLE, idev.dev, None, fib.PROTO_KERNEL, host_added=True
            )  # fmt: skip
            self.ip6.fib.insert(ifa.route)

    # -- subnet-router anycast --------------------------------------------------------------------------------------

    def join_anycast(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """A router answers for the first address of a prefix (addrconf_join_anycast)."""
        first = ifa.address & addr.mask(ifa.prefixlen)
        if ifa.prefixlen < 127 and first:
            self.ip6.anycast.join(idev, first)

    def leave_anycast(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """And no longer."""
        if ifa.prefixlen < 127:
            self.ip6.anycast.leave(idev, ifa.address & addr.mask(ifa.prefixlen))

    # -- lifetimes --------------------------------------------------------------------------------------------------

    def renew(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Watch an address' lifetimes (addrconf_verify)."""
        ifa.changed_ns = now = self.ip6.now
        ifa.deprecated = ifa.preferred_lft == 0
        for lifetime in (ifa.preferred_lft, ifa.valid_lft):
            if lifetime:
                self.ip6.at(now + lifetime * SECOND, partial(self._verify, idev, ifa))

    def _verify(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        if ifa.state is State.DEAD or ifa not in idev.addresses:
            return
        age = self.ip6.now - ifa.changed_ns
        if ifa.valid_lft is not None and age >= ifa.valid_lft * SECOND:
            self.remove(idev, ifa)
        elif ifa.preferred_lft is not None and age >= ifa.preferred_lft * SECOND:
            ifa.deprecated = True

    # -- optimistic addresses (RFC 4429) ----------------------------------------------------------------------------

    def optimistic(self, idev: Inet6Dev) -> bool:
        """Whether addresses that a device makes itself are in use before detection ends: hosts alone have such."""
        return self.allows_optimistic(idev) and self.ip6.is_host

    def allows_optimistic(self, idev: Inet6Dev) -> bool:
        """Whether a device may have such addresses (ipv6_allow_optimistic_dad)."""
        return self.ip6.either(idev, "optimistic_dad")

    def uses_optimistic(self, idev: Inet6Dev) -> bool:
        """Whether they are as good a source as others (ipv6_use_optimistic_addr)."""
        return self.allows_optimistic(idev) and self.ip6.either(idev, "use_optimistic")

    # -- duplicate address detection --------------------------------------------------------------------------------

    def detect(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Begin as soon as the caller is done (addrconf_dad_start)."""
        if ifa.state is not State.DEAD:
            ifa.state = State.PREDAD
            self.ip6.soon(partial(self._work, idev, ifa))

    def _forget_work(self, ifa: Ifaddr6) -> None:
        if ifa.timer is not None:
            ifa.timer.cancel()
            ifa.timer = None

    def _work(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """One step (addrconf_dad_work)."""
        ifa.timer = None
        if ifa.state is State.PREDAD:
            ifa.state = State.DAD
            self._start(idev, ifa)
        elif ifa.state is State.ERRDAD:
            self._failed(idev, ifa)
        elif ifa.state is State.DAD and idev.ready and not idev.dead:
            if not ifa.probes:
                self._done(idev, ifa)
                return
            ifa.probes -= 1
            wait = max(idev.neigh.get("retrans_time_ms") * MILLISECOND, 10 * MILLISECOND)
            ifa.timer = self.ip6.at(self.ip6.now + wait, partial(self._work, idev, ifa))
            self.ip6.ndisc.send_ns(idev.dev, ifa.address, addr.solicited_node(ifa.address), 0, ifa.nonce)

    def _start(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Hear solicitations; unless there is nothing to detect, ask within a second (addrconf_dad_begin)."""
        self.ip6.groups.join_solicited(idev, ifa.address)
        wanted = self.ip6.conf_all.get("accept_dad") > 0 or idev.conf.get("accept_dad") > 0
        if idev.nbma or not wanted or not ifa.tentative or ifa.nodad:
            self._done(idev, ifa)
        elif not idev.ready:
            if not ifa.permanent:
                ifa.tentative = True
        else:
            if ifa.optimistic:
                self._local_route(idev, ifa)
            self._kick(idev, ifa)
            if ifa.optimistic and self.uses_optimistic(idev):
                self.announce(idev, ifa)

    def again(self, idev: Inet6Dev) -> None:
        """The device resolves addresses now, or does no more: detect duplicates anew (addrconf_dad_run, restart)."""
        for ifa in idev.addresses if idev.ready and not idev.disabled and link_ready(idev.dev) else ():
            ifa.state = State.PREDAD
            self._kick(idev, ifa)

    def _kick(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Wait a random part of router_solicitation_delay, or not at all where optimistic (addrconf_dad_kick)."""
        span = 0 if ifa.optimistic else idev.conf.get("router_solicitation_delay") * SECOND
        delay = idev.rng.randrange(span) if span > 0 else 0
        self._forget_work(ifa)
        enhanced = self.ip6.either(idev, "enhanced_dad")
        ifa.nonce = idev.rng.randrange(1, 1 << 48).to_bytes(6, "big") if enhanced else b""
        ifa.probes = idev.conf.get("dad_transmits")
        ifa.timer = self.ip6.at(self.ip6.now + delay, partial(self._work, idev, ifa))

    def _done(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """The address is ours: receive by it, tell routers of groups, look for routers (addrconf_dad_completed)."""
        told = ifa.tentative and not ifa.optimistic
        ifa.tentative = ifa.optimistic = ifa.dadfailed = False
        self._forget_work(ifa)
        self.announce(idev, ifa)
        first = ifa.scope == LINK and self._lonely(idev, ifa)
        if first:
            self.ip6.groups.address_found(idev)
        if told and self.ip6.either(idev, "ndisc_notify"):
            self.ip6.ndisc.send_na(idev.dev, addr.ALL_NODES, ifa.address, solicited=False, override=True, tell=True)
        if first and idev.accepts_ra and idev.conf.get("router_solicitations") and idev.dev.kind:
            self.ip6.ra.solicit(idev)

    @staticmethod
    def _lonely(idev: Inet6Dev, ifa: Ifaddr6) -> bool:
        """Whether no other link-local address is in use (ipv6_lonely_lladdr)."""
        return not any(
            other is not ifa and other.scope == LINK and other.permanent and not other.tentative
            for other in idev.addresses
        )

    def conflict(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Somebody else has the address (addrconf_dad_failure)."""
        if ifa.state in (State.DEAD, State.ERRDAD):
            return
        ifa.state = State.ERRDAD
        self._forget_work(ifa)
        self.ip6.soon(partial(self._work, idev, ifa))

    def _failed(self, idev: Inet6Dev, ifa: Ifaddr6) -> None:
        """Give the address up; accept_dad 2 gives IPv6 up where it is the MAC's own (addrconf_dad_stop)."""
        own = ifa.address == addr.LINK_LOCAL | self.interface_id(idev.dev)
        wanted = max(self.ip6.conf_all.get("accept_dad"), idev.conf.get("accept_dad"))
        if wanted > 1 and own and not idev.disabled:
            idev.conf.values["disable_ipv6"] = 1
        if ifa.permanent:
            ifa.dadfailed = ifa.tentative = True
            ifa.optimistic = False
        else:
            self.remove(idev, ifa)
        if idev.disabled:
            self.down(idev, gone=False)


def link_ready(dev: Device) -> bool:
    """Whether frames can pass (addrconf_link_ready): the operational state is up and the queue takes them."""
    return dev.running and (dev.active or not dev.kind)


def rank(ifa: Ifaddr6) -> int:
    """How wide an address' scope is in the order of a device's list (ipv6_addr_src_scope)."""
    return {HOST: 2, LINK: 2, SITE: 5}.get(ifa.scope, 14)


def _same_prefix(one: Ifaddr6, other: Ifaddr6) -> bool:
    return one.prefixlen == other.prefixlen and one.covers(other.address)
