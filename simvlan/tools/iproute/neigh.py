"""`ip neigh`: neighbours and proxies. Mirrors ip/ipneigh.c."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EINVAL
from typing import TYPE_CHECKING, Any

from simvlan.clock import SECOND
from simvlan.errors import RtnlError
from simvlan.frame import mac_text
from simvlan.tools.iproute import keywords
from simvlan.tools.iproute.args import (
    Args,
    Prefix,
    any_address,
    any_prefix,
    ip6_text,
    ip_text,
    lladdr,
    matches,
    number,
    table,
)
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import (
    REFUSED,
    USAGE,
    Failed,
    Quit,
    duplicate,
    duplicate_or_garbage,
    invalid,
    missing,
    refuse,
)
from simvlan.tools.iproute.link_show import by_index
from simvlan.tools.iproute.names import PROTOCOLS, name_of, value_of
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.tools.iproute.context import Context

STATES = {
    "incomplete": 0x01, "reachable": 0x02, "stale": 0x04, "delay": 0x08, "probe": 0x10, "failed": 0x20,
    "noarp": 0x40, "permanent": 0x80,
}  # fmt: skip
NOARP, PERMANENT, FAILED = 0x40, 0x80, 0x20
NONE_TOO = 0x100
"""Stands for `nud none` in a filter."""

_VERBS = table(
    [
        ("add", "add"),
        ("change|=chg", "change"),
        ("replace", "replace"),
        ("delete", "delete"),
        ("get", "get"),
        ("show|lst|list", "show"),
        ("flush", "flush"),
        ("help", "help"),
    ]
)


def do_neigh(ctx: Context, args: Args) -> None:
    """Run one `ip neigh` command."""
    if not args:
        show(ctx, args)
        return
    verb = keywords.verb(args, _VERBS, "ip neigh")
    if verb in ("show", "get", "flush"):
        {"show": show, "get": get, "flush": flush}[verb](ctx, args)
    else:
        modify(ctx, args, verb)


def nud_state(text: str) -> int | None:
    """Read a state: a name (three may be abbreviated) or one bit."""
    if text == "none":
        return 0
    for name, value in STATES.items():
        if text == name or (name in ("permanent", "reachable", "failed") and matches(text, name)):
            return value
    value = number(text, 0, 0xFF)  # type: ignore[assignment]
    return None if value is None or value & (value - 1) else value


# -- changing ----------------------------------------------------------------------------------------------------------


@dataclass
class NeighWords:
    """A request as typed."""

    dst: int | None = None
    family: str = "inet"
    dev: str | None = None
    lladdr: str | None = None
    state: int = PERMANENT
    proxy: bool = False
    router: bool = False
    use: bool = False
    extern_learn: bool = False
    protocol: int = 0


def _nud(ctx: Context, words: NeighWords, args: Args) -> None:
    text = args.value()
    state = nud_state(text)
    if state is None:
        raise invalid("nud state is bad", text)
    words.state = state


def _proxy(ctx: Context, words: NeighWords, args: Args) -> None:
    text = args.value()
    if words.dst is not None:
        raise duplicate("address", text)
    words.dst, words.family = any_address(text, ctx.opt.family)
    words.proxy = True


_RULES: list[tuple[str, keywords.Rule[NeighWords]]] = [
    ("lladdr", keywords.text("lladdr", once="lladdr")),
    ("=nud", _nud),
    ("proxy", _proxy),
    ("=router", keywords.switch("router")),
    ("=use", keywords.switch("use")),
    ("=managed", keywords.refused("ip neigh")),
    ("extern_learn", keywords.switch("extern_learn")),
    ("=dev", keywords.text("dev")),
    ("protocol", keywords.named("protocol", PROTOCOLS, '"protocol" value is invalid\n')),
]
_WORDS = table(_RULES)


def _parse(ctx: Context, args: Args) -> NeighWords:
    into = keywords.read(ctx, args, _WORDS, NeighWords(), _to)
    if into.dst is None or (into.dev is None and not into.proxy):
        raise Quit(USAGE, "Device and destination are required arguments.\n")
    return into


def _to(ctx: Context, into: NeighWords, args: Args, word: str) -> None:
    if word == "to" or matches(word, "help"):
        word = args.value()
    if into.dst is not None:
        raise duplicate_or_garbage("to", word)
    into.dst, into.family = any_address(word, ctx.opt.family)


def modify(ctx: Context, args: Args, verb: str) -> None:
    """Add, change or delete a neighbour or a proxy."""
    from simvlan.rtnl import neigh as rtnl

    words = _parse(ctx, args)
    mac, ip = _mac(words), words.dst
    assert ip is not None
    dev = ctx.need(words.dev) if words.dev is not None else None
    with ctx.kernel():
        if words.proxy:
            operation = rtnl.proxy_del if verb == "delete" else rtnl.proxy_add
            operation(ctx.net, ctx.ns, dev, ip, six=words.family == "inet6")
        elif dev is None:
            raise RtnlError(EINVAL, "Invalid values in header or missing device")
        elif verb == "delete":
            rtnl.neigh_del(ctx.net, dev, ip, six=words.family == "inet6")
        else:
            put = {"add": rtnl.neigh_add, "change": rtnl.neigh_change, "replace": rtnl.neigh_replace}[verb]
            put(ctx.net, dev, ip, mac, state=words.state, **_extras(words))
    ctx.net.drain()


def _mac(words: NeighWords) -> int | None:
    if words.lladdr is None or words.lladdr == "null":
        return None
    octets = lladdr(words.lladdr)
    if len(octets) < 6:
        raise Failed(REFUSED, "Error: Invalid link address.\n")
    return int.from_bytes(octets[:6], "big")


def _extras(words: NeighWords) -> dict[str, Any]:
    extras: dict[str, Any] = {key: getattr(words, key) for key in ("router", "use", "extern_learn", "protocol")}
    extras["six"] = words.family == "inet6"
    return {key: value for key, value in extras.items() if value}


# -- showing -----------------------------------------------------------------------------------------------------------


@dataclass
class Filter:
    """What a listing is limited to."""

    state: int
    dev: Device | None = None
    master: Device | None = None
    nomaster: bool = False
    proxy: bool = False
    unused: bool = False
    to: Prefix | None = None
    protocol: int = 0

    def selects(self, entry: Any, family: str = "inet") -> bool:
        """Say whether the listing contains a neighbour (print_neigh)."""
        if self.dev not in (None, entry.dev):
            return False
        if self.master is not None and entry.dev.master is not self.master:
            return False
        if self.nomaster and entry.dev.master is not None:
            return False
        if not self.state & entry.state and not entry.extern_learn and (entry.state or not self.state & NONE_TOO):
            return False
        if self.protocol and entry.protocol != self.protocol:
            return False
        return self.to is None or self.to.length == 0 or (self.to.family == family and self.to.covers(entry.ip))


def _parse_filter(ctx: Context, args: Args, flushing: bool) -> Filter:
    found = Filter(~(PERMANENT | NOARP) if flushing else 0xFF & ~NOARP)
    name: str | None = None
    state_given = False
    while args:
        word = args.take()
        if word == "dev":
            text = args.value()
            if name is not None:
                raise duplicate("dev", text)
            name = text
        elif word == "nud":
            found.state = _filter_state(found.state if state_given else 0, args.value(), flushing)
            state_given = True
        elif word in ("nomaster", "unused", "proxy"):
            setattr(found, word, True)
        elif word == "vrf":
            raise refuse("vrf")
        elif word == "master":
            text = args.value()
            found.master = ctx.device(text)
            if found.master is None:
                raise invalid("Device does not exist\n", text)
        else:
            _filter_rest(ctx, found, args, word)
    if name is not None:
        found.dev = ctx.need(name)
    return found


def _filter_rest(ctx: Context, found: Filter, args: Args, word: str) -> None:
    if matches(word, "protocol"):
        text = args.value()
        value = value_of(PROTOCOLS, text)
        if value is None and text != "all":
            raise invalid('invalid "protocol"\n', text)
        found.protocol = value or 0
        return
    if word == "to":
        word = args.value()
    if matches(word, "help"):
        raise usage("neigh")
    found.to = any_prefix(word, ctx.opt.family)


def _filter_state(state: int, text: str, flushing: bool) -> int:
    value = nud_state(text)
    if value is None:
        if text != "all":
            raise invalid("nud state is bad", text)
        value = ~NOARP if flushing else ~0
    return state | (value or NONE_TOO)


def neigh_record(ctx: Context, entry: Any, hide_dev: bool, family: str = "inet") -> Record:
    """Describe a neighbour in iproute2's JSON shape."""
    record: Record = {"dst": ip6_text(entry.ip) if family == "inet6" else ip_text(entry.ip)}
    if not hide_dev:
        record["dev"] = entry.dev.name
    if entry.valid:  # neigh_fill_info
        record["lladdr"] = mac_text(entry.mac)
    if ctx.opt.brief:
        return record
    record |= {key: None for key in ("router", "extern_learn") if getattr(entry, key)}
    if ctx.opt.stats:
        record |= _cacheinfo(ctx, entry)
    if entry.state:
        record["state"] = [name.upper() for name, value in STATES.items() if entry.state & value]
    if entry.protocol:
        record["protocol"] = name_of(PROTOCOLS, entry.protocol)
    return record


def _cacheinfo(ctx: Context, entry: Any) -> Record:
    now = ctx.net.now
    refs = 1 if entry.timer is not None else 0
    record: Record = {"refcnt": refs} if refs else {}
    for key, when in (("used", entry.used), ("confirmed", entry.confirmed), ("updated", entry.updated)):
        record[key] = (now - when) // SECOND
    return record | {"probes": entry.probes}


def neigh_text(record: Record) -> str:
    """Write a neighbour."""
    text = f"{record['dst']} "
    text += "".join(
        form.format(record[key]) for key, form in (("dev", "dev {} "), ("lladdr", "lladdr {} ")) if key in record
    )
    text += "".join(f"{key} " for key in ("router", "proxy", "extern_learn") if key in record)
    if "probes" in record:
        text += f" ref {record['refcnt']}" if "refcnt" in record else ""
        text += f" used {record['used']}/{record['confirmed']}/{record['updated']}probes {record['probes']} "
    text += "".join(f"{state} " for state in record.get("state", ()))
    return text + (f"proto {record['protocol']} " if "protocol" in record else "") + "\n"


def _brief_text(record: Record) -> str:
    dev = f"{record['dev']:<16} " if "dev" in record else ""
    return f"{record['dst']:<39} {dev}{record.get('lladdr', '')}\n"


def _tables(ctx: Context, to: Prefix | None) -> list[tuple[str, Any]]:
    """The tables a command is about, by family; the later are listed first."""
    wanted = ctx.opt.family or (to.family if to is not None else None)
    ip6 = ctx.ns.stack.ip6
    tables: list[tuple[str, Any]] = [("inet", ctx.ns.stack.neigh)] if wanted in (None, "inet") else []
    return tables + ([("inet6", ip6.neigh)] if ip6 is not None and wanted in (None, "inet6") else [])


def show(ctx: Context, args: Args) -> None:
    """List neighbours, or proxies."""
    found = _parse_filter(ctx, args, flushing=False)
    if found.proxy:
        records = _proxies(ctx, found)
    else:
        records = [
            neigh_record(ctx, entry, found.dev is not None, family)
            for family, neighbours in _tables(ctx, found.to)
            for entry in reversed([entry for entry in neighbours.of() if found.selects(entry, family)])
        ]
    ctx.show(records, _brief_text if ctx.opt.brief else neigh_text)


def _proxies(ctx: Context, found: Filter) -> list[Record]:
    records = []
    for family, neighbours in _tables(ctx, found.to):
        for dev, ip in neighbours.proxies:
            if found.dev in (None, dev) and (found.to is None or found.to.covers(ip)):
                place: Record = {"dev": dev.name if dev else "*"} if found.dev is None and dev is not None else {}
                text = ip6_text(ip) if family == "inet6" else ip_text(ip)
                records.append({"dst": text} | place | {"proxy": None})
    return records


def get(ctx: Context, args: Args) -> None:
    """Show one neighbour; always as text, as in iproute2."""
    dst: int | None = None
    family = "inet"
    dev: str | None = None
    while args:
        word = args.take()
        if word == "dev":
            dev = args.value()
        elif matches(word, "proxy"):
            raise refuse("ip neigh get proxy")
        else:
            word = args.value() if word == "to" else word
            if matches(word, "help"):
                raise usage("neigh")
            if dst is not None:
                raise duplicate_or_garbage("to", word)
            dst, family = any_address(word, ctx.opt.family)
    if dst is None or dev is None:
        raise missing("Device and address are required arguments.")
    neighbours = dict(_tables(ctx, None)).get(family)
    entry = neighbours.get(ctx.need(dev), dst) if neighbours is not None else None
    if entry is None:
        raise Failed(REFUSED, "Error: Neighbour entry not found.\n")
    ctx.say(neigh_text(neigh_record(ctx, entry, False, family)))


def flush(ctx: Context, args: Args) -> None:
    """Delete every neighbour that fits, in rounds."""
    from simvlan.rtnl.neigh import neigh_del

    if not args:
        raise missing("Flush requires arguments.")
    found = _parse_filter(ctx, args, flushing=True)
    rounds = 0
    while rounds < 10:
        doomed = [
            (family, entry)
            for family, neighbours in _tables(ctx, found.to)
            for dev in by_index(ctx)
            for entry in neighbours.of(dev)
            if found.selects(entry, family)
        ]
        if not doomed:
            break
        rounds += 1
        for family, entry in doomed:
            if ctx.opt.stats > 1:
                ctx.say(neigh_text(neigh_record(ctx, entry, found.dev is not None, family)))
            with ctx.kernel():
                neigh_del(ctx.net, entry.dev, entry.ip, six=family == "inet6")
        ctx.say(f"\n*** Round {rounds}, deleting {len(doomed)} entries ***\n" if ctx.opt.stats else "")
    done = f"*** Flush is complete after {rounds} round{'s' if rounds > 1 else ''} ***\n"
    if ctx.opt.stats:
        ctx.say(done if rounds else "Nothing to flush.\n")
    ctx.net.drain()
