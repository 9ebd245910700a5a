"""Addresses of devices and the routes that come and go with them.

Mirrors __inet_insert_ifa and __inet_del_ifa of net/ipv4/devinet.c, and fib_add_ifaddr, fib_del_ifaddr, fib_disable_ip
of net/ipv4/fib_frontend.c. No validation: `rtnl.address` refuses, this performs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.stack import fib
from simvlan.stack.fib import LOCAL_TABLE, MAIN_TABLE, PROTO_KERNEL, Route
from simvlan.stack.ipaddr import HOST, LIMITED_BROADCAST, LINK, LOOPBACK_ADDRESS, MASKS, Ifaddr

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack

LONGEST_NAME = 15
LEAST_MTU = 68
"""What IPv4 needs of a device (inetdev_valid_mtu)."""


class Addresses:
    """The address lists of a namespace's devices."""

    __slots__ = ("stack",)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    # -- adding and removing ----------------------------------------------------------------------------------------

    def add(self, dev: Device, ifa: Ifaddr) -> None:
        """Put an address in its place: primaries by scope, secondaries last."""
        indev = self.stack.indev(dev)
        indev.conf.freeze()
        indev.neigh.freeze()
        ifa.label = ifa.label or dev.name
        ifa.secondary = any(same_subnet(other, ifa) for other in indev.addresses)
        at = len(indev.addresses)
        if not ifa.secondary:
            wider = [i for i, a in enumerate(indev.addresses) if not a.secondary and ifa.scope <= a.scope]
            at = wider[-1] + 1 if wider else 0
        indev.addresses.insert(at, ifa)
        self.stack.own(ifa.local, dev, +1)
        self.renew(dev, ifa)
        self._tell(dev, "address_added", ifa)
        self._add_routes(dev, ifa)
        self.stack.pmtu.flush()

    def renew(self, dev: Device, ifa: Ifaddr) -> None:
        """Start an address' lifetime."""
        ifa.changed_ns = self.stack.kernel.now
        ifa.created_ns = ifa.created_ns or ifa.changed_ns
        if ifa.valid_lft is not None:
            due = ifa.changed_ns + ifa.valid_lft * SECOND
            self.stack.kernel.at(due, partial(self._expire, dev, ifa))

    def _expire(self, dev: Device, ifa: Ifaddr) -> None:
        if ifa.valid_lft is None or ifa not in self.stack.indev(dev).addresses:
            return
        if self.stack.kernel.now >= ifa.changed_ns + ifa.valid_lft * SECOND:
            self.remove(dev, ifa)

    def remove(self, dev: Device, ifa: Ifaddr) -> None:
        """Take an address away; with a primary go its secondaries, unless they are promoted."""
        indev = self.stack.indev(dev)
        children = [] if ifa.secondary else [a for a in indev.addresses if a.secondary and same_subnet(a, ifa)]
        promoted = children[0] if children and self.stack.either(indev, "promote_secondaries") else None
        if promoted is None:
            for child in children:
                self._drop(dev, child)
        self._drop(dev, ifa)
        if promoted is not None:
            self._promote(dev, promoted, children)

    def _promote(self, dev: Device, first: Ifaddr, children: list[Ifaddr]) -> None:
        """The oldest secondary becomes the primary of its subnet."""
        addresses = self.stack.indev(dev).addresses
        addresses.remove(first)
        first.secondary = False
        wider = [i for i, a in enumerate(addresses) if not a.secondary and first.scope <= a.scope]
        addresses.insert(wider[-1] + 1 if wider else 0, first)
        for child in children:
            self._del_local(dev, child)
            self._add_routes(dev, child)

    def _drop(self, dev: Device, ifa: Ifaddr) -> None:
        indev = self.stack.indev(dev)
        indev.addresses.remove(ifa)
        self.stack.own(ifa.local, dev, -1)
        self._tell(dev, "address_removed", ifa)
        self._del_routes(dev, ifa)
        if not indev.addresses:
            self.disable(dev, everything=True)
        self.stack.pmtu.flush()

    @staticmethod
    def _tell(dev: Device, hook: str, ifa: Ifaddr) -> None:
        """Let a device that looks at addresses (ipvlan) know; it matches the peer's."""
        told = getattr(dev, hook, None)
        if told is not None:
            told(ifa.address)

    # -- routes of an address ---------------------------------------------------------------------------------------

    def _magic(self, dev: Device, kind: str, dst: int, plen: int, ifa: Ifaddr, metric: int = 0) -> Route:
        """The route the kernel makes itself (fib_magic)."""
        table = MAIN_TABLE if kind == fib.UNICAST else LOCAL_TABLE
        scope = HOST if kind == fib.LOCAL else LINK
        return Route(dst, plen, kind, table, dev, None, scope, PROTO_KERNEL, self._primary(dev, ifa), metric)

    def _primary(self, dev: Device, ifa: Ifaddr) -> int:
        if ifa.secondary:
            for other in self.stack.indev(dev).addresses:
                if not other.secondary and same_subnet(other, ifa):
                    return other.local
        return ifa.local

    def _routes_of(self, dev: Device, ifa: Ifaddr) -> list[Route]:
        """The routes an address brings: itself always, broadcast and subnet while the device is up (fib_add_ifaddr)."""
        routes = [self._magic(dev, fib.LOCAL, ifa.local, 32, ifa)]
        if not dev.up:
            return routes
        net, plen = ifa.network, ifa.prefixlen
        if ifa.broadcast and ifa.broadcast != LIMITED_BROADCAST:
            routes.append(self._magic(dev, fib.BROADCAST, ifa.broadcast, 32, ifa))
        if net and not ifa.secondary and (net != ifa.local or plen < 32):
            if not ifa.noprefixroute:
                kind = fib.UNICAST if dev.kind else fib.LOCAL
                routes.append(self._magic(dev, kind, net, plen, ifa, ifa.metric))
            if plen < 31:
                top = net | ~MASKS[plen] & 0xFFFF_FFFF
                routes.append(self._magic(dev, fib.BROADCAST, top, 32, ifa))
        return routes

    def _add_routes(self, dev: Device, ifa: Ifaddr) -> None:
        for route in self._routes_of(dev, ifa):
            if not any(_same(route, other) for other in self._aliases(route)):
                self.stack.fib.insert(route, after_equals=True)

    def _aliases(self, route: Route) -> list[Route]:
        return self.stack.fib.table(route.table).of_prefix(route.dst, route.plen)

    def _del_routes(self, dev: Device, ifa: Ifaddr) -> None:
        """Take away what no other address of the device brings too (fib_del_ifaddr)."""
        kept = [r for other in self.stack.indev(dev).addresses for r in self._routes_of(dev, other)]
        for route in self._routes_of(dev, ifa):
            if any(_key(route) == _key(other) for other in kept):
                continue
            for other in list(self._aliases(route)):
                if _same(route, other):
                    self.stack.fib.remove(other)
        if self.stack.addr_type(ifa.local) != fib.LOCAL:
            self.stack.flush_routes([r for r in self.stack.fib.routes() if r.src == ifa.local and r.src])

    def _del_local(self, dev: Device, ifa: Ifaddr) -> None:
        """Forget the local route that still names the old primary."""
        for other in list(self.stack.fib.table(LOCAL_TABLE).of_prefix(ifa.local, 32)):
            if other.dev is dev and other.type == fib.LOCAL:
                self.stack.fib.remove(other)

    # -- devices ----------------------------------------------------------------------------------------------------

    def device_up(self, dev: Device) -> None:
        """A device came up: lo gets its address, subnets get their routes, groups are heard, addresses announced."""
        stack = self.stack
        if dev.mtu < LEAST_MTU:
            return
        indev = stack.indev(dev)
        if not dev.kind and not indev.addresses:
            self.add(dev, Ifaddr(LOOPBACK_ADDRESS, 8, scope=HOST, label="lo"))
        else:
            for ifa in indev.addresses:
                self._add_routes(dev, ifa)
        stack.igmp.up(dev)
        stack.pmtu.flush()
        self.announce(dev)

    def announce(self, dev: Device) -> None:
        """Send gratuitous ARP for each address where arp_notify asks for it (inetdev_send_gratuitous_arp)."""
        indev = self.stack.indev(dev)
        if dev.up and max(self.stack.conf_all.get("arp_notify"), indev.conf.get("arp_notify")):
            for ifa in indev.addresses:
                self.stack.arp.announce(dev, ifa.local)

    def device_down(self, dev: Device) -> None:
        """A device goes down: everything routed by it goes, its own addresses stay reachable."""
        self.disable(dev, everything=False)

    def disable(self, dev: Device, everything: bool) -> None:
        """Flush the routes by a device (fib_disable_ip); host-scope ones only when it loses IPv4."""
        doomed = [r for r in self.stack.fib.routes() if r.dev is dev and (everything or r.scope != HOST)]
        self.stack.flush_routes(doomed)
        if everything:
            self.stack.neigh.forget_device(dev)

    def renamed(self, dev: Device) -> None:
        """Labels follow the name: the first is the name, the others keep or get a suffix (inetdev_changename)."""
        for number, ifa in enumerate(self.stack.addresses(dev), 1):
            _, colon, suffix = ifa.label.partition(":")
            alias = "" if number == 1 else f":{suffix}" if colon else f":{number}"
            ifa.label = dev.name[: LONGEST_NAME - len(alias)] + alias

    def purge(self, dev: Device) -> None:
        """Take every address away (inetdev_destroy)."""
        for ifa in reversed(list(self.stack.indev(dev).addresses)):
            self._drop(dev, ifa)
        self.disable(dev, everything=True)


def same_subnet(a: Ifaddr, b: Ifaddr) -> bool:
    """Whether two addresses are of one subnet with one mask."""
    return a.prefixlen == b.prefixlen and a.covers(b.address)


def _key(route: Route) -> tuple[object, ...]:
    return (route.dst, route.plen, route.type, route.table, route.dev, route.metric)


def _same(a: Route, b: Route) -> bool:
    return _key(a) == _key(b) and a.src == b.src and b.proto == PROTO_KERNEL
