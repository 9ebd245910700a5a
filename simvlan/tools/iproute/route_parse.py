"""What `ip route add|del|...` asks for, word by word. Mirrors iproute_modify of ip/iproute.c."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simvlan.tools.iproute import keywords
from simvlan.tools.iproute.args import Args, Prefix, any_address, any_prefix, matches, need, table, u32
from simvlan.tools.iproute.errors import duplicate_or_garbage, invalid, refuse
from simvlan.tools.iproute.names import PROTOCOLS, SCOPES, TABLES, route_type, value_of
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.tools.iproute.context import Context

NOWHERE, HOST, LINK, UNIVERSE = 255, 254, 253, 0
LOCAL_TABLE, MAIN_TABLE = 255, 254
BOOT = 3


@dataclass
class RouteWords:
    """A request as typed; None is what was not said."""

    family: str | None = None
    """inet or inet6 once an address was read: from then on only such are expected."""
    dst: Prefix | None = None
    type: str | None = None
    via: int | None = None
    dev: str | None = None
    src: int | None = None
    tos: int = 0
    metric: int | None = None
    scope: int | None = None
    proto: int | None = None
    table: int | None = None
    onlink: bool = False
    metrics: dict[str, int] = field(default_factory=dict)
    locked: list[str] = field(default_factory=list)
    pref: str | None = None
    """IPv6: the router preference."""
    expires: int | None = None
    """IPv6: seconds until it goes."""

    def scope_for(self, deleting: bool) -> int:
        """Return the scope: as typed, or the widest that makes sense for the type."""
        if self.scope is not None:
            return self.scope
        if self.type in ("local", "nat"):
            return HOST
        if self.type in ("broadcast", "multicast", "anycast"):
            return LINK
        if self.type in (None, "unicast", "none"):
            if deleting:
                return NOWHERE
            return LINK if self.via is None else UNIVERSE
        return NOWHERE if deleting else UNIVERSE

    @property
    def table_or_default(self) -> int:
        """Return the table: as typed, `local` for local types, else `main`."""
        if self.table is not None:
            return self.table
        return LOCAL_TABLE if self.type in ("local", "broadcast", "nat", "anycast") else MAIN_TABLE


def parse_route(ctx: Context, args: Args) -> RouteWords:
    """Read a route; one without a destination is asked for help."""
    words = keywords.read(ctx, args, _WORDS, RouteWords(ctx.opt.family), _destination)
    if words.dst is None:
        raise usage("route")
    return words


def _destination(ctx: Context, words: RouteWords, args: Args, word: str) -> None:
    """Take a type, if the word is one, and the destination."""
    if word == "to":
        word = args.value()
    if not word[:1].isdigit():
        found = route_type(word)
        if found is not None:
            words.type = found
            word = args.value()
    if matches(word, "help"):
        raise usage("route")
    if words.dst is not None:
        raise duplicate_or_garbage("to", word)
    words.dst = any_prefix(word, words.family)
    words.family = words.family or (None if words.dst.unset else words.dst.family)


def _src(ctx: Context, words: RouteWords, args: Args) -> None:
    words.src, words.family = any_address(args.value(), words.family)


def via_address(args: Args, family: str | None) -> tuple[int, str]:
    """Read the address after `via`, with or without the family; with its family."""
    text = args.value()
    if text in ("inet", "inet6"):
        named, text = text, args.value()
        if named == "inet6" and family != "inet6":
            raise refuse(f"an IPv4 route via an IPv6 gateway ({text})")
        return any_address(text, named)
    return any_address(text, family)


def _via(ctx: Context, words: RouteWords, args: Args) -> None:
    if words.via is not None:
        raise invalid("use nexthop syntax to specify multiple via\n", "via")
    words.via, words.family = via_address(args, words.family)


def _tos(ctx: Context, words: RouteWords, args: Args) -> None:
    text = args.value()
    value = int(text, 16) if text[:2] != "0x" and all(c in "0123456789abcdefABCDEF" for c in text) else u32(text)
    if value is None or value > 255:
        raise invalid('"tos" value is invalid\n', text)
    words.tos = value


def table_number(text: str) -> int | None:
    """Read a routing table's name or number."""
    return value_of(TABLES, text, 0xFFFF_FFFF)


def _table(ctx: Context, words: RouteWords, args: Args) -> None:
    text = args.value()
    words.table = table_number(text)
    if words.table is None:
        raise invalid('"table" value is invalid\n', text)


def _rtax(name: str, problem: str = "") -> keywords.Rule[RouteWords]:
    """A metric of the route's packets; `lock` before the number makes it final."""

    def rule(ctx: Context, words: RouteWords, args: Args) -> None:
        text = args.value()
        if text == "lock":
            words.locked.append(name)
            text = args.value()
        value = need(u32, text, invalid(f'"{problem or name}" value is invalid\n', text))
        if name == "hoplimit" and value > 255:
            raise invalid('"hoplimit" value is invalid\n', text)
        words.metrics[name] = value

    return rule


def _pref(ctx: Context, words: RouteWords, args: Args) -> None:
    """The router preference; routes of IPv4 have none."""
    text = args.value()
    if words.family != "inet6":
        raise refuse("the option pref of ip route for IPv4")
    if text not in ("low", "medium", "high"):
        raise invalid('"pref" value is invalid\n', text)
    words.pref = text


def _expires(ctx: Context, words: RouteWords, args: Args) -> None:
    """The seconds a route lives; those of IPv4 live for ever."""
    text = args.value()
    if words.family != "inet6":
        raise refuse("the option expires of ip route for IPv4")
    words.expires = need(u32, text, invalid('"expires" value is invalid\n', text))


_RULES: list[tuple[str, keywords.Rule[RouteWords]]] = [
    ("=src", _src),
    ("=as", keywords.refused("ip route")),
    ("=via", _via),
    ("=from", keywords.refused("ip route")),
    ("=tos|dsfield", _tos),
    ("=expires", _expires),
    ("metric|priority|=preference", keywords.number("metric", '"metric" value is invalid\n')),
    ("=scope", keywords.named("scope", SCOPES, 'invalid "scope" value\n')),
    ("=mtu", _rtax("mtu")),
    ("=hoplimit", _rtax("hoplimit")),
    ("=advmss", _rtax("advmss", "mss")),
    ("reordering", keywords.refused("ip route")),
    ("=rtt|=rto_min", keywords.refused("ip route")),
    ("window", _rtax("window")),
    ("cwnd|initcwnd|initrwnd|features|quickack|congctl|rttvar|ssthresh|realms", keywords.refused("ip route")),
    ("=onlink", keywords.switch("onlink")),
    ("=nexthop|=nhid", keywords.refused("ip route")),
    ("protocol", keywords.named("proto", PROTOCOLS, '"protocol" value is invalid\n')),
    ("table", _table),
    ("vrf", keywords.refused("ip route")),
    ("=dev|=oif", keywords.text("dev")),
    ("pref", _pref),
    ("=encap|=ttl-propagate|fastopen_no_cookie", keywords.refused("ip route")),
]
_WORDS = table(_RULES)
