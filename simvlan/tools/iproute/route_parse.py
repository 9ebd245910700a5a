"""What `ip route add|del|...` asks for, word by word. Mirrors iproute_modify of ip/iproute.c."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simvlan.tools.iproute.args import Args, Prefix, address, look_up, matches, need, prefix, refuse_ipv6, table, u32
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
    """inet once an address was read: from then on only such are expected."""
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


Rule = Callable[["Context", RouteWords, Args], None]


def parse_route(ctx: Context, args: Args) -> RouteWords:
    """Read a route; one without a destination is asked for help."""
    words = RouteWords(ctx.opt.family)
    while args:
        word = args.take()
        rule = look_up(_WORDS, word)
        if rule is not None:
            rule(ctx, words, args)
        else:
            _destination(ctx, words, args, word)
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
    words.dst = prefix(word, words.family)
    words.family = words.family or (None if words.dst.unset else "inet")


def _src(ctx: Context, words: RouteWords, args: Args) -> None:
    words.src = address(args.value(), words.family)
    words.family = "inet"


def via_address(args: Args, family: str | None) -> int:
    """Read the address after `via`, with or without the family."""
    text = args.value()
    if text in ("inet", "inet6"):
        named, text = text, args.value()
        if named == "inet6":
            refuse_ipv6(text)
        return address(text, "inet")
    return address(text, family)


def _via(ctx: Context, words: RouteWords, args: Args) -> None:
    if words.via is not None:
        raise invalid("use nexthop syntax to specify multiple via\n", "via")
    words.via = via_address(args, words.family)
    words.family = "inet"


def _dev(ctx: Context, words: RouteWords, args: Args) -> None:
    words.dev = args.value()


def _tos(ctx: Context, words: RouteWords, args: Args) -> None:
    text = args.value()
    value = int(text, 16) if text[:2] != "0x" and all(c in "0123456789abcdefABCDEF" for c in text) else u32(text)
    if value is None or value > 255:
        raise invalid('"tos" value is invalid\n', text)
    words.tos = value


def _metric(ctx: Context, words: RouteWords, args: Args) -> None:
    text = args.value()
    words.metric = need(u32, text, invalid('"metric" value is invalid\n', text))


def _scope(ctx: Context, words: RouteWords, args: Args) -> None:
    text = args.value()
    words.scope = value_of(SCOPES, text)
    if words.scope is None:
        raise invalid('invalid "scope" value\n', text)


def _proto(ctx: Context, words: RouteWords, args: Args) -> None:
    text = args.value()
    words.proto = value_of(PROTOCOLS, text)
    if words.proto is None:
        raise invalid('"protocol" value is invalid\n', text)


def table_number(text: str) -> int | None:
    """Read a routing table's name or number."""
    return value_of(TABLES, text, 0xFFFF_FFFF)


def _table(ctx: Context, words: RouteWords, args: Args) -> None:
    text = args.value()
    words.table = table_number(text)
    if words.table is None:
        raise invalid('"table" value is invalid\n', text)


def _onlink(ctx: Context, words: RouteWords, args: Args) -> None:
    words.onlink = True


def _rtax(name: str, problem: str = "") -> Rule:
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


def _refused(ctx: Context, words: RouteWords, args: Args) -> None:
    raise refuse(f"the option {args.words[args.at - 1]} of ip route")


_RULES: list[tuple[str, Rule]] = [
    ("=src", _src),
    ("=as", _refused),
    ("=via", _via),
    ("=from", _refused),
    ("=tos|dsfield", _tos),
    ("=expires", _refused),
    ("metric|priority|=preference", _metric),
    ("=scope", _scope),
    ("=mtu", _rtax("mtu")),
    ("=hoplimit", _rtax("hoplimit")),
    ("=advmss", _rtax("advmss", "mss")),
    ("reordering", _refused),
    ("=rtt|=rto_min", _refused),
    ("window", _rtax("window")),
    ("cwnd|initcwnd|initrwnd|features|quickack|congctl|rttvar|ssthresh|realms", _refused),
    ("=onlink", _onlink),
    ("=nexthop|=nhid", _refused),
    ("protocol", _proto),
    ("table", _table),
    ("vrf", _refused),
    ("=dev|=oif", _dev),
    ("pref", _refused),
    ("=encap|=ttl-propagate|fastopen_no_cookie", _refused),
]
_WORDS = table(_RULES)
