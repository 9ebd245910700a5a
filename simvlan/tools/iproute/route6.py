"""`ip -6 route`: add, delete, list, get, flush. Mirrors ip/iproute.c for AF_INET6 and rt6_fill_node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from simvlan.clock import SECOND
from simvlan.errors import RtnlError
from simvlan.tools.iproute.args import Args, any_prefix, ip6_text
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import REFUSED, Failed, Quit, missing, refuse
from simvlan.tools.iproute.names import PROTOCOLS, SCOPES, TABLES, name_of
from simvlan.tools.iproute.route_parse import RouteWords, parse_route

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.fib6 import Route6
    from simvlan.tools.iproute.context import Context, Options
    from simvlan.tools.iproute.route import Selector

MAIN_TABLE, LOCAL_TABLE, BOOT = 254, 255, 3
_RTAX = ("mtu", "window", "rtt", "rttvar", "ssthresh", "cwnd", "advmss", "reordering", "hoplimit")


def modify6(ctx: Context, args: Args, verb: str) -> None:
    """Add, change or delete a route."""
    from simvlan.rtnl import route6 as rtnl

    ctx.opt.family = "inet6"
    words = parse_route(ctx, args)
    dev = ctx.need(words.dev) if words.dev is not None else None
    with ctx.kernel():
        if verb == "delete":
            rtnl.route6_del(ctx.net, ctx.ns, **_delete_keys(words, dev))
        else:
            operation = {
                "add": rtnl.route6_add, "change": rtnl.route6_change, "replace": rtnl.route6_replace,
                "append": rtnl.route6_append,
            }[verb]  # fmt: skip
            operation(ctx.net, ctx.ns, _route(ctx, words, dev))
    ctx.net.drain()


def _route(ctx: Context, words: RouteWords, dev: Device | None) -> Route6:
    from simvlan.stack.ipv6.fib6 import Route6

    assert words.dst is not None
    return Route6(
        dst=words.dst.address,
        plen=words.dst.length,
        type=words.type or "unicast",
        table=words.table_or_default,
        dev=dev,
        via=words.via,
        proto=BOOT if words.proto is None else words.proto,
        src=words.src,
        metric=words.metric or 0,
        onlink=words.onlink,
        metrics=words.metrics,
        locked="mtu" in words.locked,
        preference={"low": 3, "medium": 0, "high": 1}[words.pref or "medium"],
        expires_ns=None if words.expires is None else ctx.net.now + words.expires * SECOND,
    )


def _delete_keys(words: RouteWords, dev: Device | None) -> dict[str, object]:
    assert words.dst is not None
    return {
        "dst": words.dst.address, "plen": words.dst.length, "table": words.table_or_default, "type": words.type,
        "dev": dev, "via": words.via, "proto": words.proto, "src": words.src, "metric": words.metric,
    }  # fmt: skip


# -- showing -----------------------------------------------------------------------------------------------------------


def route6_record(route: Route6, opt: Options, now: int, hidden: Iterable[str] = ()) -> Record:
    """Describe a route of a table."""
    record: Record = {}
    if route.type != "unicast" or opt.details:
        record["type"] = route.type
    record["dst"] = _destination(route)
    if route.via is not None:
        record["gateway"] = ip6_text(route.via)
    if route.dev is not None:
        record["dev"] = route.dev.name
    if route.table != MAIN_TABLE or opt.details:
        record["table"] = name_of(TABLES, route.table)
    if route.proto != BOOT or opt.details:
        record["protocol"] = name_of(PROTOCOLS, route.proto)
    if opt.details:
        record["scope"] = name_of(SCOPES, 0)
    if route.src:
        record["prefsrc"] = ip6_text(route.src)
    record["metric"] = route.metric
    record["flags"] = _flags(route)
    if route.expires_ns is not None:
        record["expires"] = _whole(route.expires_ns - now)
    return _finish(record, route, route.metrics, hidden)


def _finish(record: Record, route: Route6 | None, metrics: dict[str, int], hidden: Iterable[str]) -> Record:
    from simvlan.stack.ipv6.fib6 import PREFERENCES

    if metrics:
        record["metrics"] = [{name: metrics[name] for name in _RTAX if name in metrics}]
    record["pref"] = PREFERENCES[route.preference if route is not None else 0]
    for key in hidden:
        record.pop(key, None)
    return record


def _whole(left: int) -> int:
    """Seconds that are left, as C divides; a route that is over waits for the collector."""
    return left // SECOND if left >= 0 else -(-left // SECOND)


def _destination(route: Route6) -> str:
    if not route.plen:
        return "default"
    return ip6_text(route.dst) + ("" if route.plen == 128 else f"/{route.plen}")


def _flags(route: Route6) -> list[str]:
    down = route.linkdown and route.type not in ("local", "anycast")
    return [name for name, on in (("onlink", route.onlink), ("linkdown", down)) if on]


_FIELDS = (
    ("type", "{} "), ("dst", "{} "), ("from", "from {} "), ("gateway", "via {} "), ("dev", "dev {} "),
    ("table", "table {} "), ("protocol", "proto {} "), ("scope", "scope {} "), ("prefsrc", "src {} "),
    ("metric", "metric {} "), ("flags", ""), ("expires", "expires {}sec "), ("error", "error {} "), ("metrics", ""),
    ("iif", "iif {} "), ("pref", "pref {}"),
)  # fmt: skip


def route6_text(record: Record, locked: bool = False) -> str:
    """Write a route."""
    return "".join(_field(record, key, form, locked) for key, form in _FIELDS if key in record) + "\n"


def _field(record: Record, key: str, form: str, locked: bool) -> str:
    value = record[key]
    if key == "flags":
        return "".join(f"{flag} " for flag in value)
    if key == "metrics":
        lock = "lock " if locked else ""
        return "".join(f"{name} {lock if name == 'mtu' else ''}{number} " for name, number in value[0].items())
    return form.format(value)


def selected6(ctx: Context, found: Selector, doing: str = "Dump") -> list[Route6]:
    """Return the routes of a listing, or of a flush."""
    ip6 = ctx.ns.stack.ip6
    if ip6 is None or found.cache:
        return []
    if found.everything:
        order = sorted(ip6.fib.tables, key=lambda number: number & 0xFF)
        routes = [route for number in order for route in ip6.fib.tables[number]]
    elif found.table not in ip6.fib.tables:
        raise Failed(REFUSED, f"Error: ipv6: FIB table does not exist.\n{doing} terminated\n")
    else:
        routes = list(ip6.fib.tables[found.table])
    return [route for route in routes if _selects(found, route)]


def _selects(found: Selector, route: Route6) -> bool:
    wanted = (
        (found.proto, route.proto), (found.type, route.type), (found.metric, route.metric),
        (found.dev, route.dev.name if route.dev else ""),
    )  # fmt: skip
    if any(want is not None and want != have for want, have in wanted):
        return False
    if found.scope not in (None, 0) or (found.via is not None and not found.via.covers(route.via or 0)):
        return False
    return (found.src is None or found.src.covers(route.src or 0)) and found.prefix_fits(route)


def show6(ctx: Context, found: Selector) -> None:
    """List routes."""
    if found.cache:
        ctx.show([_learnt(ctx, route, made, found.hidden()) for route, made in learnt6(ctx, found)], route6_text)
        return
    routes, hidden = selected6(ctx, found), found.hidden()
    records = [route6_record(route, ctx.opt, ctx.net.now, hidden) for route in routes]
    locks = {id(record): route.locked for record, route in zip(records, routes, strict=True)}
    ctx.show(records, lambda record: route6_text(record, locks[id(record)]))


def flush6(ctx: Context, found: Selector) -> None:
    """Delete every route that fits, in one round."""
    from simvlan.rtnl.route6 import route6_remove

    if found.cache:
        routes = [route for route, _ in learnt6(ctx, found)]
    else:
        routes = selected6(ctx, found, "Flush")
    if not routes:
        ctx.say("Nothing to flush.\n" if ctx.opt.stats else "")
        return
    for route in routes:
        if found.cache and route.dev is not None:
            ctx.ns.stack.with_ip6().pmtu.forget(route.dst, route.dev.ifindex)
        else:
            route6_remove(ctx.ns, route)
    if ctx.opt.stats:
        ctx.say(f"\n*** Round 1, deleting {len(routes)} entries ***\n*** Flush is complete after 1 round ***\n")
    ctx.net.drain()


def learnt6(ctx: Context, found: Selector) -> list[tuple[Route6, Any]]:
    """What destinations taught (RTM_F_CLONED): each as a route of its own, with the answer for it."""
    ip6 = ctx.ns.stack.ip6
    if ip6 is None:
        return []
    made: list[tuple[Route6, Any]] = []
    devices = {dev.ifindex: dev for dev in ctx.ns.devices.values()}
    for dst, index in ip6.pmtu.known():
        answer = ip6.output.find(dst, 0, devices.get(index), bound=True)
        if index not in devices or isinstance(answer, int) or answer.route is None:
            continue
        route = answer.route.copy(dst=dst, plen=128, via=answer.gateway)
        if _selects(found, route):
            made.append((route, answer))
    return made


def _learnt(ctx: Context, route: Route6, made: Any, hidden: Iterable[str]) -> Record:
    """Describe an exception, which has no table, protocol or scope."""
    shown = _got(ctx, {"dst": route.dst}, made)
    kept = ("type", "dst", "gateway", "dev", "metric", "flags", "expires", "metrics", "pref")
    return {key: value for key, value in shown.items() if key in kept and key not in hidden}


# -- one destination ---------------------------------------------------------------------------------------------------


def get6(ctx: Context, args: Args) -> None:
    """Look one destination up and print the route it takes (inet6_rtm_getroute)."""
    asked = _question(args)
    if "dst" not in asked:
        raise missing("need at least a destination address")
    ip6 = ctx.ns.stack.ip6
    oif = ctx.need(asked["oif"]) if "oif" in asked else None
    with ctx.kernel():
        if ip6 is None:
            raise RtnlError(101)
        found = ip6.output.find(asked["dst"], asked.get("src", 0), oif, bound=oif is not None)
        if isinstance(found, int):
            raise RtnlError(found)
    ctx.show([_got(ctx, asked, found)], route6_text)


def _question(args: Args) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    while args:
        word = args.take()
        if word in ("oif", "dev"):
            asked["oif"] = args.value()
        elif word == "from":
            asked["src"] = any_prefix(args.value(), "inet6").address
        elif word in ("iif", "mark", "tos", "fibmatch", "uid", "vrf"):
            raise refuse(f"the option {word} of ip -6 route get")
        else:
            word = args.value() if word == "to" else word
            found = any_prefix(word, "inet6")
            if found.length != 128:
                raise Quit(255, f"Warning: /{found.length} as prefix is invalid, only /128 (or none) is supported.\n")
            asked["dst"] = found.address
    return asked


def _got(ctx: Context, asked: dict[str, Any], found: Any) -> Record:
    """Describe the answer as the kernel's cached route."""
    route, opt = found.route, ctx.opt
    record: Record = {"type": route.type} if route.type != "unicast" or opt.details else {}
    record["dst"] = ip6_text(asked["dst"])
    record["from"] = ip6_text(asked.get("src", 0))
    if found.gateway is not None:
        record["gateway"] = ip6_text(found.gateway)
    record["dev"] = found.dev.name
    if route.table != MAIN_TABLE or opt.details:
        record["table"] = name_of(TABLES, route.table)
    learnt = found.redirected or found.expires_ns is not None  # RTM_F_CLONED
    if (route.proto != BOOT or opt.details) and not learnt:
        record["protocol"] = name_of(PROTOCOLS, route.proto)
    if opt.details and not learnt:
        record["scope"] = name_of(SCOPES, 0)
    ip6: Any = ctx.ns.stack.ip6
    chosen = route.src or ip6.select.source(found.dev, asked["dst"])
    if chosen:
        record["prefsrc"] = ip6_text(chosen)
    record["metric"] = route.metric
    record["flags"] = []
    expires = found.expires_ns if learnt else route.expires_ns
    if expires is not None:
        record["expires"] = _whole(expires - ctx.net.now)
    metrics = dict(route.metrics)
    if found.expires_ns is not None:
        metrics["mtu"] = found.mtu
    return _finish(record, route, metrics, ())
