"""Routing tables: which route a destination takes.

Mirrors net/ipv4/fib_trie.c (fib_table_lookup, fib_table_insert, fib_table_delete), fib_rules.c and the policy routing
core. Tables are kept by prefix length; among the routes of one prefix the order is TOS, then priority (metric), then
insertion, as the alias list of a trie leaf is kept.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from simvlan.stack.fib_rules import LOOKUP, Rule, Rules
from simvlan.stack.fib_rules import PROTO_KERNEL as PROTO_KERNEL
from simvlan.stack.ipaddr import MASKS, UNIVERSE, ip_text

if TYPE_CHECKING:
    from simvlan.devices.device import Device

LOCAL_TABLE, MAIN_TABLE, DEFAULT_TABLE = 255, 254, 253

UNICAST, LOCAL, BROADCAST, MULTICAST = "unicast", "local", "broadcast", "multicast"
BLACKHOLE, UNREACHABLE, PROHIBIT, THROW = "blackhole", "unreachable", "prohibit", "throw"

NO_TABLE = {"unreachable": "no network", "blackhole": BLACKHOLE, "prohibit": PROHIBIT}
"""The type of route that a rule without a table stands for (fib4_rule_action); an unreachable route is another."""
RT_TOS = 0x1C
"""The bits of the TOS field that routes and rules may ask for (IPTOS_RT_MASK)."""

ERRORS = {
    "no network": errno.ENETUNREACH,
    BLACKHOLE: errno.EINVAL,
    UNREACHABLE: errno.EHOSTUNREACH,
    PROHIBIT: errno.EACCES,
    THROW: errno.EAGAIN,
}
"""fib_props[].error: what a lookup that ends in such a route answers."""

PROTO_REDIRECT, PROTO_BOOT, PROTO_STATIC = 1, 3, 4


class AnyRoute:
    """What routes of both families tell of themselves."""

    __slots__ = ()
    dst: int
    plen: int
    type: str
    dev: Device | None

    @property
    def error(self) -> int:
        """The errno a lookup answers when it ends here; 0 for a route that leads somewhere."""
        return ERRORS.get(self.type, 0)

    @property
    def linkdown(self) -> bool:
        """Whether `ip route` shows the route as linkdown (RTNH_F_LINKDOWN): its device has no carrier."""
        return self.dev is not None and not self.dev.carrier


@dataclass(slots=True, eq=False)
class Route(AnyRoute):
    """One route (fib_alias with its fib_info). `via`: the gateway, None when on-link; `src`: the preferred source."""

    dst: int
    plen: int
    type: str = UNICAST
    table: int = MAIN_TABLE
    dev: Device | None = None
    via: int | None = None
    scope: int = UNIVERSE
    proto: int = PROTO_BOOT
    src: int | None = None
    metric: int = 0
    tos: int = 0
    onlink: bool = False
    metrics: dict[str, int] = field(default_factory=dict)
    """RTAX_*: mtu, window, advmss, hoplimit ... as given."""
    locked: bool = False
    """`mtu lock`."""

    def __str__(self) -> str:
        via = f" via {ip_text(self.via)}" if self.via is not None else ""
        dev = f" dev {self.dev.name}" if self.dev is not None else ""
        return f"{self.type} {ip_text(self.dst)}/{self.plen}{via}{dev} table {self.table} metric {self.metric}"


R = TypeVar("R", bound=AnyRoute)


class AnyTable(Generic[R]):
    """The routes of one table of either family, by length of prefix and address."""

    __slots__ = ("_lengths", "_prefixes", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self._prefixes: dict[int, dict[int, list[R]]] = {}
        self._lengths: tuple[int, ...] = ()
        """Lengths of prefix that there are, the longest first."""

    def of_prefix(self, dst: int, plen: int) -> list[R]:
        """The routes of exactly one prefix, in order of use."""
        return self._prefixes.get(plen, {}).get(dst, [])

    def _prefix(self, route: R) -> list[R]:
        """The list that a route belongs into."""
        nets = self._prefixes.setdefault(route.plen, {})
        self._lengths = tuple(sorted(self._prefixes, reverse=True))
        return nets.setdefault(route.dst, [])

    def remove(self, route: R) -> None:
        """Take a route out."""
        nets = self._prefixes[route.plen]
        nets[route.dst].remove(route)
        if not nets[route.dst]:
            del nets[route.dst]
        if not nets:
            del self._prefixes[route.plen]
            self._lengths = tuple(sorted(self._prefixes, reverse=True))


class Table(AnyTable[Route]):
    """One routing table."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Route]:
        """Every route, by address, then shorter prefixes first, then order of use (the order of a dump)."""
        keys = sorted((net, plen) for plen, nets in self._prefixes.items() for net in nets)
        for net, plen in keys:
            yield from self._prefixes[plen][net]

    def __bool__(self) -> bool:
        return bool(self._prefixes)

    def insert(self, route: Route, after_equals: bool = False) -> None:
        """Put a route in its place: higher TOS first, then lower metric; before its equals, or after them."""
        routes = self._prefix(route)
        key = (-route.tos, route.metric)
        at = 0
        while at < len(routes) and (
            (other := (-routes[at].tos, routes[at].metric)) < key or (after_equals and other == key)
        ):
            at += 1
        routes.insert(at, route)

    def lookup(self, flow: Flow) -> Route | None:
        """The longest prefix with a usable route (fib_table_lookup)."""
        dst = flow.dst
        for plen in self._lengths:
            routes = self._prefixes[plen].get(dst & MASKS[plen])
            if routes is not None:
                for route in routes:
                    if usable(route, flow):
                        return route
        return None


@dataclass(slots=True)
class Flow:
    """The key of a lookup (struct flowi4). `oif` restricts the device a route may use; `iif` is for rules."""

    dst: int
    src: int = 0
    tos: int = 0
    oif: Device | None = None
    iif: Device | None = None
    mark: int = 0
    scope: int = UNIVERSE


def usable(route: Route, flow: Flow) -> bool:
    """Whether a lookup may take a route: TOS, scope, output device (fib_table_lookup, fib_lookup_good_nhc)."""
    if route.tos and route.tos != flow.tos & RT_TOS:
        return False
    if route.scope < flow.scope:
        return False
    if route.error:
        return True
    return flow.oif is None or route.dev is flow.oif


class Fib(Rules):
    """All tables and rules of a namespace."""

    __slots__ = ("tables",)

    def __init__(self) -> None:
        super().__init__([Rule(0, table=LOCAL_TABLE), Rule(32766, table=MAIN_TABLE), Rule(32767, table=DEFAULT_TABLE)])
        self.tables: dict[int, Table] = {}

    def table(self, number: int) -> Table:
        """A table, made when it is first named; the local one is made together with main (fib_new_table)."""
        if number not in self.tables:
            if number == LOCAL_TABLE:
                self.table(MAIN_TABLE)
            self.tables[number] = Table(number)
        return self.tables[number]

    def insert(self, route: Route, after_equals: bool = False) -> None:
        """Add a route to its table."""
        self.table(route.table).insert(route, after_equals)

    def remove(self, route: Route) -> None:
        """Take a route out of its table."""
        self.tables[route.table].remove(route)

    def routes(self) -> Iterator[Route]:
        """Every route of every table, tables by number."""
        for number in sorted(self.tables):
            yield from self.tables[number]

    def lookup(self, flow: Flow) -> Route | None:
        """The route for a flow; one with an `error` ends the search; None: network unreachable (fib_lookup)."""
        if not self.custom:
            return self._merged(flow) or self._in(DEFAULT_TABLE, flow)
        iif = flow.iif.name if flow.iif is not None else ""
        for rule in self.rules:
            if not rule.matches(flow.src, flow.dst, iif, flow.oif, flow.mark, flow.tos & RT_TOS):
                continue
            if rule.action != LOOKUP:
                return Route(0, 0, type=NO_TABLE[rule.action])
            found = self._in(rule.table, flow)
            if found is not None and found.plen > rule.suppress_prefixlength:
                return found
        return None

    def _merged(self, flow: Flow) -> Route | None:
        """Until somebody changes the rules, local and main are one table: the longest prefix of both (fib_unmerge)."""
        local, main = self.tables.get(LOCAL_TABLE), self.tables.get(MAIN_TABLE)
        here = local.lookup(flow) if local is not None else None
        if here is not None and here.plen == 32:
            return here
        there = main.lookup(flow) if main is not None else None
        found = there if here is None or (there is not None and there.plen > here.plen) else here
        return None if found is None or found.type == THROW else found

    def _in(self, number: int, flow: Flow) -> Route | None:
        """What a table knows; a route that throws back is none."""
        table = self.tables.get(number)
        found = table.lookup(flow) if table is not None else None
        return None if found is None or found.type == THROW else found
