"""`ip route`: commands over the namespace's tables. Mirrors do_iproute of ip/iproute.c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simvlan.tools.iproute.args import Args, Prefix, any_prefix, is_six, look_up, matches, need, table, u32
from simvlan.tools.iproute.errors import REFUSED, USAGE, Failed, Quit, invalid, missing, refuse
from simvlan.tools.iproute.names import PROTOCOLS, SCOPES, route_type, value_of
from simvlan.tools.iproute.route_parse import MAIN_TABLE, RouteWords, parse_route, table_number
from simvlan.tools.iproute.route_view import route_record, route_text
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.fib import Route
    from simvlan.stack.ipv6.fib6 import Route6
    from simvlan.tools.iproute.context import Context

_VERBS = table(
    [
        ("add", "add"),
        ("change|=chg", "change"),
        ("replace", "replace"),
        ("prepend", "prepend"),
        ("append", "append"),
        ("test", "test"),
        ("delete", "delete"),
        ("list|show|lst", "show"),
        ("get", "get"),
        ("flush", "flush"),
        ("save", "save"),
        ("restore", "restore"),
        ("showdump", "showdump"),
        ("help", "help"),
    ]
)


def do_route(ctx: Context, args: Args) -> None:
    """Run one `ip route` command."""
    if not args:
        show(ctx, args)
        return
    word = args.take()
    verb = look_up(_VERBS, word)
    if verb is None:
        raise Quit(USAGE, f'Command "{word}" is unknown, try "ip route help".\n')
    if verb == "help":
        raise usage("route")
    if verb in ("prepend", "test", "save", "restore", "showdump"):
        raise refuse(f"ip route {verb}")
    six = is_six(ctx.opt.family, args.words[args.at :])
    if six and verb in ("add", "change", "replace", "append", "delete"):
        from simvlan.tools.iproute.route6 import modify6

        modify6(ctx, args, verb)
    elif six and verb == "get":
        from simvlan.tools.iproute.route6 import get6

        get6(ctx, args)
    elif verb == "show":
        show(ctx, args)
    elif verb == "flush":
        flush(ctx, args)
    elif verb == "get":
        from simvlan.tools.iproute.route_get import get

        get(ctx, args)
    else:
        modify(ctx, args, verb)


# -- changing ----------------------------------------------------------------------------------------------------------


def modify(ctx: Context, args: Args, verb: str) -> None:
    """Add, change or delete a route."""
    from simvlan.rtnl import route as rtnl

    words = parse_route(ctx, args)
    dev = ctx.need(words.dev) if words.dev is not None else None
    with ctx.kernel():
        if verb == "delete":
            rtnl.route_del(ctx.net, ctx.ns, **_delete_keys(words, dev))
        else:
            operation = {
                "add": rtnl.route_add,
                "change": rtnl.route_change,
                "replace": rtnl.route_replace,
                "append": rtnl.route_append,
            }[verb]
            operation(ctx.net, ctx.ns, _route(words, dev))
    ctx.net.drain()


def _route(words: RouteWords, dev: Device | None) -> Route:
    from simvlan.stack.fib import Route

    assert words.dst is not None
    return Route(
        dst=words.dst.address,
        plen=words.dst.length,
        type=words.type or "unicast",
        table=words.table_or_default,
        dev=dev,
        via=words.via,
        scope=words.scope_for(deleting=False),
        proto=3 if words.proto is None else words.proto,
        src=words.src,
        metric=words.metric or 0,
        tos=words.tos,
        onlink=words.onlink,
        metrics=words.metrics,
        locked="mtu" in words.locked,
    )


def _delete_keys(words: RouteWords, dev: Device | None) -> dict[str, object]:
    assert words.dst is not None
    return {
        "dst": words.dst.address,
        "plen": words.dst.length,
        "table": words.table_or_default,
        "type": words.type,
        "dev": dev,
        "via": words.via,
        "scope": words.scope_for(deleting=True),
        "proto": words.proto,
        "src": words.src,
        "metric": words.metric,
        "tos": words.tos,
    }


# -- showing -----------------------------------------------------------------------------------------------------------


@dataclass
class Selector:
    """What a listing is limited to; `everything` is `table all`."""

    table: int = MAIN_TABLE
    everything: bool = False
    cache: bool = False
    tos: int | None = None
    proto: int | None = None
    scope: int | None = None
    type: str | None = None
    dev: str | None = None
    metric: int | None = None
    via: Prefix | None = None
    src: Prefix | None = None
    root: Prefix | None = None
    match: Prefix | None = None

    def selects(self, route: Route) -> bool:
        """Say whether the listing contains a route (filter_nlmsg)."""
        wanted = (
            (self.tos, route.tos),
            (self.proto, route.proto),
            (self.scope, route.scope),
            (self.type, route.type),
            (self.metric, route.metric),
            (self.dev, route.dev.name if route.dev else ""),
        )
        if any(want is not None and want != have for want, have in wanted):
            return False
        if self.via is not None and not self.via.covers(route.via or 0):
            return False
        if self.src is not None and not self.src.covers(route.src or 0):
            return False
        return self.prefix_fits(route)

    def prefix_fits(self, route: Route | Route6) -> bool:
        """Whether a route's prefix is one that is asked for."""
        if self.root is not None and (self.root.length > route.plen or not self.root.covers(route.dst)):
            return False
        if self.match is None:
            return True
        whole = Prefix(route.dst, route.plen, True, family=self.match.family)
        return self.match.length >= route.plen and whole.covers(self.match.address)

    def hidden(self) -> list[str]:
        """Name what need not be repeated in each line."""
        rows = (
            ("table", not self.everything),
            ("tos", self.tos is not None),
            ("protocol", self.proto is not None),
            ("scope", self.scope is not None),
            ("dev", self.dev is not None),
            ("metric", self.metric is not None),
            ("gateway", self.via is not None and self.via.whole),
            ("prefsrc", self.src is not None and self.src.whole),
        )
        return [key for key, on in rows if on]


def parse_selector(ctx: Context, args: Args) -> Selector:
    """Read the words of a listing."""
    found = Selector()
    while args:
        word = args.take()
        rule = look_up(_SELECTORS, word)
        if rule is None:
            _select_prefix(ctx, found, args, word)
        elif rule == "cache":
            found.cache = True
        elif rule == "refused":
            raise refuse(f"the selector {word} of ip route show")
        else:
            _select(ctx, found, rule, args.value(), args)
    if found.dev is not None:
        ctx.need(found.dev)
    return found


_SELECTORS = table(
    [
        ("table", "table"),
        ("vrf", "refused"),
        ("cached|cloned", "cache"),
        ("=tos|dsfield", "tos"),
        ("protocol", "proto"),
        ("scope", "scope"),
        ("type", "type"),
        ("=dev|=oif", "dev"),
        ("=iif|=mark", "refused"),
        ("metric|priority|=preference", "metric"),
        ("=via", "via"),
        ("=src", "src"),
        ("realms|from", "refused"),
    ]
)


def _select(ctx: Context, found: Selector, key: str, text: str, args: Args) -> None:
    if key == "table":
        _select_table(found, text)
    elif key == "dev":
        found.dev = text
    elif key in ("via", "src"):
        text = args.value() if text == "inet" else text
        setattr(found, key, any_prefix(text, ctx.opt.family))
    elif key == "type":
        found.type = route_type(text)
        if found.type is None:
            raise invalid("node type value is invalid\n", text)
    elif key == "metric":
        found.metric = need(u32, text, invalid('"metric" value is invalid\n', text))
    elif key == "tos":
        found.tos = need(u32, text, invalid("TOS value is invalid\n", text))
    else:
        names = PROTOCOLS if key == "proto" else SCOPES
        value = value_of(names, text)
        if value is None and text != "all":
            raise invalid(f'invalid "{"protocol" if key == "proto" else key}"\n', text)
        setattr(found, key, value)


def _select_table(found: Selector, text: str) -> None:
    number = table_number(text)
    if number is not None:
        found.table = number
        found.everything = number == 0
    elif text == "all":
        found.everything = True
    elif text == "cache":
        found.cache = True
    elif text == "help":
        raise usage("route")
    else:
        raise invalid("table id value is invalid\n", text)


def _select_prefix(ctx: Context, found: Selector, args: Args, word: str) -> None:
    if matches(word, "to"):
        word = args.value()
    if matches(word, "root"):
        found.root = any_prefix(args.value(), ctx.opt.family)
    elif matches(word, "match"):
        found.match = any_prefix(args.value(), ctx.opt.family)
    else:
        if matches(word, "exact"):
            word = args.value()
        found.match = found.root = any_prefix(word, ctx.opt.family)


def selected(ctx: Context, found: Selector) -> list[Route]:
    """Return the routes of a listing; a table that does not exist is refused by the kernel."""
    fib = ctx.ns.stack.fib
    if found.cache:
        return []
    if found.everything:
        order = sorted(fib.tables, key=_dump_place)
        routes = [route for number in order for route in fib.tables[number]]
    elif found.table not in fib.tables and found.table != MAIN_TABLE:
        raise Failed(REFUSED, "Error: ipv4: FIB table does not exist.\nDump terminated\n")
    else:
        routes = list(fib.table(found.table))
    return [route for route in routes if found.selects(route)]


def _dump_place(number: int) -> int:
    """Place a table as the kernel's hash of 256 buckets does: by the number's low octet, main before local."""
    return number & 0xFF


def show(ctx: Context, args: Args) -> None:
    """List routes."""
    if is_six(ctx.opt.family, args.words[args.at :]):
        from simvlan.tools.iproute.route6 import show6

        ctx.opt.family = "inet6"
        show6(ctx, parse_selector(ctx, args))
        return
    found = parse_selector(ctx, args)
    try:
        routes = selected(ctx, found)
    except Failed:
        ctx.say("[" if ctx.opt.json else "")
        raise
    hidden = found.hidden()
    pairs = [(route_record(route, ctx.opt, hidden), route.locked) for route in routes]
    if ctx.opt.json:
        ctx.show([record for record, _ in pairs], str)
    else:
        ctx.say("".join(route_text(record, ctx.opt, locked) for record, locked in pairs))


def flush(ctx: Context, args: Args) -> None:
    """Delete every route that fits, in rounds."""
    from simvlan.rtnl.route import route_remove

    if not args:
        raise missing('"ip route flush" requires arguments.')
    if is_six(ctx.opt.family, args.words[args.at :]):
        from simvlan.tools.iproute.route6 import flush6

        ctx.opt.family = "inet6"
        flush6(ctx, parse_selector(ctx, args))
        return
    found = parse_selector(ctx, args)
    if found.cache:
        ctx.ns.stack.pmtu.flush()
        ctx.say("*** IPv4 routing cache is flushed.\n" if ctx.opt.stats else "")
        return
    try:
        routes = selected(ctx, found)
    except Failed as failed:
        raise Failed(REFUSED, failed.text.replace("Dump", "Flush")) from failed
    if not routes:
        ctx.say("Nothing to flush.\n" if ctx.opt.stats else "")
        return
    for route in routes:
        if ctx.opt.stats > 1:
            ctx.say(route_text(route_record(route, ctx.opt, found.hidden()), ctx.opt))
        route_remove(ctx.net, ctx.ns, route)
    if ctx.opt.stats:
        ctx.say(f"\n*** Round 1, deleting {len(routes)} entries ***\n*** Flush is complete after 1 round ***\n")
    ctx.net.drain()
