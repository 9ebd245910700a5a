"""IPv6 routing tables: which route a destination takes.

Mirrors net/ipv6/ip6_fib.c (fib6_add_rt2node, fib6_node_lookup, fib6_walk) and rt6_select, find_match and
fib6_table_lookup of net/ipv6/route.c. Among the routes of one prefix the lower metric comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from simvlan.stack.fib import LOCAL, LOCAL_TABLE, MAIN_TABLE, NO_TABLE, PROTO_BOOT, THROW, UNICAST, AnyRoute, AnyTable
from simvlan.stack.fib_rules import LOOKUP, Rule, Rules
from simvlan.stack.ipv6.addr import ip6_text, is_link_local, is_multicast, mask

if TYPE_CHECKING:
    from simvlan.devices.device import Device

MASKS = tuple(mask(n) for n in range(129))
PROTO_RA = 9
LOW, MEDIUM, HIGH = 3, 0, 1
PREFERENCES = {LOW: "low", MEDIUM: "medium", HIGH: "high"}


@dataclass(slots=True, eq=False)
class Route6(AnyRoute):
    """One route (fib6_info). `via`: the gateway, None when on-link; `src`: the preferred source."""

    dst: int
    plen: int
    type: str = UNICAST
    table: int = MAIN_TABLE
    dev: Device | None = None
    via: int | None = None
    proto: int = PROTO_BOOT
    src: int | None = None
    metric: int = 0
    onlink: bool = False
    metrics: dict[str, int] = field(default_factory=dict)
    locked: bool = False
    expires_ns: int | None = None
    preference: int = MEDIUM
    """Router preference (RFC 4191)."""
    host_added: bool = False
    """Made for a prefix or an address by the kernel (RTF_ADDRCONF, RTF_PREFIX_RT)."""
    default_router: bool = False
    """Learnt from a router advertisement (RTF_ADDRCONF | RTF_DEFAULT)."""

    def copy(self, **changes: object) -> Route6:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def __str__(self) -> str:
        via = f" via {ip6_text(self.via)}" if self.via is not None else ""
        dev = f" dev {self.dev.name}" if self.dev is not None else ""
        return f"{self.type} {ip6_text(self.dst)}/{self.plen}{via}{dev} table {self.table} metric {self.metric}"


@dataclass(slots=True)
class Flow6:
    """The key of a lookup. *strict*: only routes by *oif* (RT6_LOOKUP_F_IFACE)."""

    dst: int
    src: int = 0
    oif: Device | None = None
    strict: bool = False
    reachable: bool = True
    """Prefer gateways that are not known to have failed (RT6_LOOKUP_F_REACHABLE)."""
    iif: Device | None = None
    """The device it was received by, which *oif* is then too; None: made here."""
    mark: int = 0
    tos: int = 0


Reach = Callable[[Route6], bool]
"""Whether a route's gateway may be there (rt6_check_neigh)."""


def needs_device(address: int) -> bool:
    """Whether an address says nothing without a device (rt6_need_strict)."""
    return is_multicast(address) or is_link_local(address) or address == 1


class Table6(AnyTable[Route6]):
    """One routing table."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Route6]:
        """Every route in the order of a dump: a prefix after those inside it, then by bits, then by metric."""
        keys = [(net, plen) for plen, nets in self._prefixes.items() for net in nets]
        for net, plen in sorted(keys, key=_walk_key):
            yield from self._prefixes[plen][net]

    def insert(self, route: Route6) -> None:
        """Put a route behind those of a lower or the same metric."""
        routes = self._prefix(route)
        at = sum(other.metric <= route.metric for other in routes)
        routes.insert(at, route)

    def leading_to(self, dst: int) -> Iterator[Route6]:
        """Every route whose prefix holds an address, the longest first (fib6_node_lookup, fib6_backtrack)."""
        for plen in self._lengths:
            yield from self._prefixes[plen].get(dst & MASKS[plen], ())

    def lookup(self, flow: Flow6, reach: Reach, now: int) -> Route6 | None:
        """The longest prefix with a usable route; gateways that failed only when nothing else is there."""
        for reachable in (True, False) if flow.reachable else (False,):
            for plen in self._lengths:
                routes = self._prefixes[plen].get(flow.dst & MASKS[plen])
                found = _select(routes, flow, reach if reachable else None, now) if routes else None
                if found is not None:
                    return found
        return None


def _walk_key(key: tuple[int, int]) -> str:
    net, plen = key
    return f"{net >> 128 - plen:0{plen}b}2" if plen else "2"


def _select(routes: list[Route6], flow: Flow6, reach: Reach | None, now: int) -> Route6 | None:
    """The best of one prefix (rt6_select): of the lowest metric that has a usable one, the highest score."""
    best: Route6 | None = None
    most = -1
    for route in routes:
        if best is not None and route.metric != best.metric:
            break
        score = _score(route, flow, reach, now)
        if score > most:
            best, most = route, score
    return best


def _score(route: Route6, flow: Flow6, reach: Reach | None, now: int) -> int:
    """How well a route fits (rt6_score_route); under 0: not at all."""
    if route.expires_ns is not None and route.expires_ns <= now:
        return -1
    if route.error:
        return 2
    if route.dev is not None and not route.dev.up and route.type != LOCAL:
        return -1
    fits = flow.oif is None or route.dev is flow.oif
    if not fits and flow.strict:
        return -1
    if reach is not None and route.via is not None and not reach(route):
        return -2
    return (2 if fits else 0) | {HIGH: 3, MEDIUM: 2, LOW: 1}[route.preference] << 2


class Fib6(Rules):
    """All tables and rules of a namespace."""

    __slots__ = ("tables",)

    def __init__(self) -> None:
        super().__init__([Rule(0, table=LOCAL_TABLE, family=6), Rule(32766, table=MAIN_TABLE, family=6)])
        self.tables: dict[int, Table6] = {LOCAL_TABLE: Table6(LOCAL_TABLE), MAIN_TABLE: Table6(MAIN_TABLE)}

    def table(self, number: int) -> Table6:
        """A table, made when it is first named."""
        return self.tables.setdefault(number, Table6(number))

    def insert(self, route: Route6) -> None:
        """Add a route to its table."""
        self.table(route.table).insert(route)

    def remove(self, route: Route6) -> None:
        """Take a route out of its table, if it is there."""
        if route in self.tables[route.table].of_prefix(route.dst, route.plen):
            self.tables[route.table].remove(route)

    def routes(self) -> Iterator[Route6]:
        """Every route of every table, tables by number."""
        for number in sorted(self.tables):
            yield from self.tables[number]

    def lookup(self, flow: Flow6, reach: Reach, now: int) -> Route6 | None:
        """The route for a flow, by the first rule that knows one (fib6_rule_lookup); None: network unreachable."""
        iif, oif = (flow.iif.name, None) if flow.iif is not None else ("lo", flow.oif)
        for rule in self.rules:
            if self.custom and not rule.matches(flow.src, flow.dst, iif, oif, flow.mark, flow.tos):
                continue
            if rule.action != LOOKUP:
                return Route6(0, 0, type=NO_TABLE[rule.action])
            table = self.tables.get(rule.table)
            found = table.lookup(flow, reach, now) if table is not None else None
            if found is None or found.type == THROW or found.plen <= rule.suppress_prefixlength:
                continue
            return found
        return None
