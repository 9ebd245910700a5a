"""Routing tables: which route a destination takes.

Mirrors net/ipv4/fib_trie.c (fib_table_lookup, fib_table_insert, fib_table_delete), fib_rules.c and the policy routing
core. Tables are kept by prefix length; among the routes of one prefix the order is TOS, then priority (metric), then
insertion, as the alias list of a trie leaf is kept.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from simvlan.stack.ipaddr import MASKS, UNIVERSE, ip_text

if TYPE_CHECKING:
    from simvlan.devices.device import Device

LOCAL_TABLE, MAIN_TABLE, DEFAULT_TABLE = 255, 254, 253
TABLE_NAMES = {LOCAL_TABLE: "local", MAIN_TABLE: "main", DEFAULT_TABLE: "default"}

UNICAST, LOCAL, BROADCAST, MULTICAST = "unicast", "local", "broadcast", "multicast"
BLACKHOLE, UNREACHABLE, PROHIBIT, THROW = "blackhole", "unreachable", "prohibit", "throw"

ERRORS = {
    BLACKHOLE: errno.EINVAL,
    UNREACHABLE: errno.EHOSTUNREACH,
    PROHIBIT: errno.EACCES,
    THROW: errno.EAGAIN,
}
"""fib_props[].error: what a lookup that ends in such a route answers."""

PROTO_REDIRECT, PROTO_KERNEL, PROTO_BOOT, PROTO_STATIC = 1, 2, 3, 4


class AnyRoute:
    """What routes of both families tell of themselves."""

    __slots__ = ()
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


class Table:
    """One routing table."""

    __slots__ = ("_lengths", "_prefixes", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self._prefixes: dict[int, dict[int, list[Route]]] = {}
        self._lengths: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[Route]:
        """Every route, by address, then shorter prefixes first, then order of use (the order of a dump)."""
        keys = sorted((net, plen) for plen, nets in self._prefixes.items() for net in nets)
        for net, plen in keys:
            yield from self._prefixes[plen][net]

    def __bool__(self) -> bool:
        return bool(self._prefixes)

    def aliases(self, dst: int, plen: int) -> list[Route]:
        """The routes of exactly one prefix, in order of use."""
        return self._prefixes.get(plen, {}).get(dst, [])

    def insert(self, route: Route, after_equals: bool = False) -> None:
        """Put a route in its place: higher TOS first, then lower metric; before its equals, or after them."""
        nets = self._prefixes.setdefault(route.plen, {})
        self._lengths = tuple(sorted(self._prefixes, reverse=True))
        routes = nets.setdefault(route.dst, [])
        key = (-route.tos, route.metric)
        at = 0
        while at < len(routes) and (
            (other := (-routes[at].tos, routes[at].metric)) < key or (after_equals and other == key)
        ):
            at += 1
        routes.insert(at, route)

    def remove(self, route: Route) -> None:
        """Take a route out."""
        nets = self._prefixes[route.plen]
        nets[route.dst].remove(route)
        if not nets[route.dst]:
            del nets[route.dst]
        if not nets:
            del self._prefixes[route.plen]
            self._lengths = tuple(sorted(self._prefixes, reverse=True))

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
    if route.tos and route.tos != flow.tos & 0x1C:
        return False
    if route.scope < flow.scope:
        return False
    if route.error:
        return True
    return flow.oif is None or route.dev is flow.oif


@dataclass(slots=True, eq=False)
class Rule:
    """One policy rule: selectors and what to do (struct fib4_rule)."""

    priority: int
    action: str = "lookup"
    table: int = MAIN_TABLE
    src: tuple[int, int] | None = None
    dst: tuple[int, int] | None = None
    iif: str | None = None
    oif: str | None = None
    fwmark: tuple[int, int] | None = None
    tos: int = 0
    invert: bool = False
    suppress_prefixlength: int = -1
    protocol: int = PROTO_KERNEL

    def matches(self, flow: Flow) -> bool:
        """Whether the rule's selectors fit (fib_rule_match, fib4_rule_match)."""
        return self._fits(flow) != self.invert

    def _fits(self, flow: Flow) -> bool:
        if self.iif is not None and (flow.iif is None or flow.iif.name != self.iif):
            return False
        if self.oif is not None and (flow.oif is None or flow.oif.name != self.oif):
            return False
        if self.fwmark is not None and (flow.mark ^ self.fwmark[0]) & self.fwmark[1]:
            return False
        if self.src is not None and (flow.src ^ self.src[0]) & MASKS[self.src[1]]:
            return False
        if self.dst is not None and (flow.dst ^ self.dst[0]) & MASKS[self.dst[1]]:
            return False
        return not self.tos or self.tos == flow.tos


class Fib:
    """All tables and rules of a namespace."""

    __slots__ = ("_simple", "generation", "rules", "tables")

    def __init__(self) -> None:
        self.tables: dict[int, Table] = {}
        self.rules = [
            Rule(0, table=LOCAL_TABLE),
            Rule(32766, table=MAIN_TABLE),
            Rule(32767, table=DEFAULT_TABLE),
        ]
        self._simple = True
        self.generation = 0
        """Grows with every change, so that whoever remembers a lookup knows it is old (rt_genid)."""

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
        self.generation += 1

    def remove(self, route: Route) -> None:
        """Take a route out of its table."""
        self.tables[route.table].remove(route)
        self.generation += 1

    def routes(self) -> Iterator[Route]:
        """Every route of every table, tables by number."""
        for number in sorted(self.tables):
            yield from self.tables[number]

    def lookup(self, flow: Flow) -> Route | None:
        """The route for a flow; one with an `error` ends the search; None: network unreachable (fib_lookup)."""
        for rule in self.rules:
            if not self._simple and not rule.matches(flow):
                continue
            if rule.action != "lookup":
                return Route(0, 0, type=rule.action)
            table = self.tables.get(rule.table)
            found = table.lookup(flow) if table is not None else None
            if found is None or found.type == THROW:
                continue
            if found.plen <= rule.suppress_prefixlength:
                continue
            return found
        return None

    def add_rule(self, rule: Rule) -> None:
        """Put a rule behind those of the same priority."""
        at = 0
        while at < len(self.rules) and self.rules[at].priority <= rule.priority:
            at += 1
        self.rules.insert(at, rule)
        self._simple = False
        self.generation += 1

    def del_rule(self, rule: Rule) -> None:
        """Take a rule away."""
        self.rules.remove(rule)
        self._simple = False
        self.generation += 1

    def replaced(self, route: Route, **changes: object) -> Route:
        """A copy of a route with some fields changed."""
        return replace(route, **changes)  # type: ignore[arg-type]
