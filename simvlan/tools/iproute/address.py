"""`ip address`: add, change, delete, flush, show. Mirrors ipaddr_modify, print_addrinfo and ipaddr_flush."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from errno import EADDRNOTAVAIL, EOPNOTSUPP
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from simvlan.errors import RtnlError
from simvlan.tools.iproute.args import Args, Prefix, address, ip_text, look_up, matches, need, prefix, table, u32
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import (
    USAGE,
    WRONG,
    Failed,
    Quit,
    duplicate,
    duplicate_or_garbage,
    invalid,
    missing,
    refuse,
)
from simvlan.tools.iproute.link_show import Filter, by_index, parse_filter, text_of
from simvlan.tools.iproute.link_view import link_record, stats
from simvlan.tools.iproute.names import SCOPES, name_of, value_of
from simvlan.tools.iproute.stats_text import stats_text
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipaddr import Ifaddr
    from simvlan.tools.iproute.context import Context

FOREVER = 0xFFFF_FFFF
HOST_SCOPE = 254
SECOND = 1_000_000_000

_VERBS = table(
    [
        ("add", "add"),
        ("change|=chg", "change"),
        ("replace", "replace"),
        ("delete", "delete"),
        ("list|show|lst", "show"),
        ("flush", "flush"),
        ("save", "save"),
        ("showdump", "showdump"),
        ("restore", "restore"),
        ("help", "help"),
    ]
)


def do_address(ctx: Context, args: Args) -> None:
    """Run one `ip address` command."""
    if not args:
        show(ctx, args)
        return
    word = args.take()
    verb = look_up(_VERBS, word)
    if verb is None:
        raise Quit(USAGE, f'Command "{word}" is unknown, try "ip address help".\n')
    if verb == "help":
        raise usage("address")
    if verb in ("save", "showdump", "restore"):
        raise refuse(f"ip address {verb}")
    if verb == "show":
        show(ctx, args)
    elif verb == "flush":
        flush(ctx, args)
    else:
        modify(ctx, args, verb)


# -- changing ----------------------------------------------------------------------------------------------------------


@dataclass
class AddressWords:
    """A request as typed."""

    family: str | None = None
    """inet once an address was read: from then on only such are expected."""
    local: Prefix | None = None
    local_text: str = ""
    peer: Prefix | None = None
    broadcast: int | str | None = None
    label: str = ""
    scope: int | None = None
    dev: str | None = None
    metric: int = 0
    valid_lft: int | None = None
    preferred_lft: int | None = None
    noprefixroute: bool = False


Rule = Callable[["Context", AddressWords, Args], None]


def _peer(ctx: Context, words: AddressWords, args: Args) -> None:
    text = args.value()
    if words.peer is not None:
        raise duplicate("peer", text)
    words.peer = prefix(text, words.family)
    words.family = words.family or (None if words.peer.unset else "inet")


def _broadcast(ctx: Context, words: AddressWords, args: Args) -> None:
    text = args.value()
    if words.broadcast is not None:
        raise duplicate("broadcast", text)
    words.broadcast = text if text in ("+", "-") else address(text, words.family)
    if text not in ("+", "-"):
        words.family = "inet"


def _refused(ctx: Context, words: AddressWords, args: Args) -> None:
    raise refuse(f"the option {args.words[args.at - 1]} of ip address")


def _scope(ctx: Context, words: AddressWords, args: Args) -> None:
    text = args.value()
    words.scope = value_of(SCOPES, text)
    if words.scope is None:
        raise invalid("invalid scope value.", text)


def _dev(ctx: Context, words: AddressWords, args: Args) -> None:
    words.dev = args.value()


def _label(ctx: Context, words: AddressWords, args: Args) -> None:
    words.label = args.value()


def _metric(ctx: Context, words: AddressWords, args: Args) -> None:
    text = args.value()
    words.metric = need(u32, text, invalid('"metric" value is invalid\n', text))


def _lifetime(key: str) -> Rule:
    def rule(ctx: Context, words: AddressWords, args: Args) -> None:
        if getattr(words, key) is not None:
            raise duplicate(key, args.words[args.at - 1])
        text = args.value()
        seconds = FOREVER if text == "forever" else need(u32, text, invalid(f"{key} value", text))
        setattr(words, key, seconds)

    return rule


def _noprefixroute(ctx: Context, words: AddressWords, args: Args) -> None:
    words.noprefixroute = True


def _readonly(ctx: Context, words: AddressWords, args: Args) -> None:
    ctx.warn(f"Warning: {args.words[args.at - 1]} option is not mutable from userspace\n")


def _ipv6_only(ctx: Context, words: AddressWords, args: Args) -> None:
    ctx.warn(f"Warning: {args.words[args.at - 1]} option can be set only for IPv6 addresses\n")


_RULES: list[tuple[str, Rule]] = [
    ("=peer|=remote", _peer),
    ("broadcast|=brd", _broadcast),
    ("=anycast", _refused),
    ("=scope", _scope),
    ("=dev", _dev),
    ("=label", _label),
    ("metric|priority|preference", _metric),
    ("valid_lft", _lifetime("valid_lft")),
    ("preferred_lft", _lifetime("preferred_lft")),
    ("=secondary|=temporary|=dadfailed|=deprecated|=tentative|=permanent|=stable-privacy", _readonly),
    ("=nodad|=optimistic|=home|=mngtmpaddr", _ipv6_only),
    ("=noprefixroute", _noprefixroute),
    ("=autojoin", _refused),
]
_WORDS = table(_RULES)


def parse(ctx: Context, args: Args) -> AddressWords:
    """Read the words of a request."""
    words = AddressWords(ctx.opt.family)
    while args:
        word = args.take()
        rule = look_up(_WORDS, word)
        if rule is not None:
            rule(ctx, words, args)
            continue
        if word == "local":
            word = args.value()
        if matches(word, "help"):
            raise usage("address")
        if words.local is not None:
            raise duplicate_or_garbage("local", word)
        words.local, words.local_text = prefix(word, words.family), word
        words.family = words.family or (None if words.local.unset else "inet")
    return words


def modify(ctx: Context, args: Args, verb: str) -> None:
    """Add, change or delete an address."""
    words = parse(ctx, args)
    if words.dev is None:
        raise missing('Not enough information: "dev" argument is required.')
    wildcard = verb == "delete" and words.peer is None and words.local is not None and _no_length(words)
    if wildcard:
        ctx.warn(
            "Warning: Executing wildcard deletion to stay compatible with old scripts.\n"
            f"         Explicitly specify the prefix length ({words.local_text}/32) to avoid this warning.\n"
            "         This special behaviour is likely to disappear in further releases,\n"
            "         fix your scripts!\n"
        )
    dev = ctx.need(words.dev)
    _check_lifetimes(words)
    with ctx.kernel():
        if words.peer is None and (words.local is None or words.local.unset):
            raise RtnlError(EADDRNOTAVAIL if verb == "delete" else EOPNOTSUPP)
        if verb == "delete":
            _delete(ctx, dev, words, wildcard)
        else:
            _put(ctx, dev, words, verb)
    ctx.net.drain()


def _no_length(words: AddressWords) -> bool:
    return words.local is not None and not words.local.given


def _check_lifetimes(words: AddressWords) -> None:
    if words.valid_lft is None and words.preferred_lft is None:
        return
    valid = FOREVER if words.valid_lft is None else words.valid_lft
    if not valid:
        raise missing("valid_lft is zero")
    if valid < (FOREVER if words.preferred_lft is None else words.preferred_lft):
        raise missing("preferred_lft is greater than valid_lft")


def _delete(ctx: Context, dev: Device, words: AddressWords, wildcard: bool) -> None:
    from simvlan.rtnl.address import address_del

    local = words.local or words.peer
    assert local is not None
    outer = words.peer or local
    address_del(
        ctx.net,
        dev,
        local=local.address if words.local else None,
        prefixlen=None if wildcard else outer.length,
        peer=None if wildcard else outer.address,
        label=words.label or None,
    )


def _put(ctx: Context, dev: Device, words: AddressWords, verb: str) -> None:
    from simvlan.rtnl.address import address_add, address_replace

    ifaddr = _ifaddr(words)
    if verb == "add":
        address_add(ctx.net, dev, ifaddr)
    else:
        address_replace(ctx.net, dev, ifaddr)


def _ifaddr(words: AddressWords) -> Ifaddr:
    from simvlan.stack.ipaddr import Ifaddr

    outer = words.peer or words.local
    local = words.local or words.peer
    assert outer is not None
    assert local is not None
    scope = words.scope
    if scope is None:
        scope = HOST_SCOPE if local.address >> 24 == 127 else 0
    return Ifaddr(
        local=local.address,
        prefixlen=outer.length or local.length,
        peer=words.peer.address if words.peer else None,
        broadcast=_broadcast_of(words, outer),
        label=words.label,
        scope=scope,
        noprefixroute=words.noprefixroute,
        valid_lft=_finite(words.valid_lft),
        preferred_lft=_finite(words.preferred_lft),
        metric=words.metric,
    )


def _finite(seconds: int | None) -> int | None:
    return None if seconds in (None, FOREVER) else seconds


def _broadcast_of(words: AddressWords, outer: Prefix) -> int | None:
    """Work out `brd +` (all ones) and `brd -` (all zeros); prefixes above 30 bits get none."""
    if not isinstance(words.broadcast, str):
        return words.broadcast
    if outer.length > 30:
        return None
    host = 0xFFFF_FFFF >> outer.length
    return outer.address | host if words.broadcast == "+" else outer.address & ~host


# -- showing -----------------------------------------------------------------------------------------------------------


def address_record(ctx: Context, dev: Device, ifa: Ifaddr) -> Record:
    """Describe an address in iproute2's JSON shape."""
    opt = ctx.opt
    record: Record = {}
    if not opt.brief:
        if opt.oneline:
            record |= {"index": dev.ifindex, "dev": dev.name}
        record["family"] = "inet"
    record["local"] = ip_text(ifa.local)
    if ifa.address != ifa.local:
        record["address"] = ip_text(ifa.address)
    record["prefixlen"] = ifa.prefixlen
    if ifa.metric:
        record["metric"] = ifa.metric
    if opt.brief:
        return record
    if ifa.broadcast:
        record["broadcast"] = ip_text(ifa.broadcast)
    record["scope"] = name_of(SCOPES, ifa.scope)
    record |= {key: True for key in ("secondary", "dynamic", "noprefixroute") if _has(ifa, key)}
    if ifa.label or dev.name:
        record["label"] = ifa.label or dev.name
    record["valid_life_time"] = _left(ctx, ifa, ifa.valid_lft)
    record["preferred_life_time"] = _left(ctx, ifa, ifa.preferred_lft)
    return record


def _has(ifa: Ifaddr, flag: str) -> bool:
    if flag in ("dynamic", "permanent"):
        return (ifa.valid_lft is not None) == (flag == "dynamic")
    return bool(getattr(ifa, flag, False))


def _left(ctx: Context, ifa: Ifaddr, seconds: int | None) -> int:
    """Return the seconds a lifetime has left."""
    if seconds is None:
        return FOREVER
    return max(0, seconds - (ctx.net.now - ifa.changed_ns) // SECOND)


def address_text(record: Record, line: str) -> str:
    """Write an address as print_addrinfo does."""
    text = f"{record['index']}: {record['dev']}" if "index" in record else ""
    text += f"    {record['family']} {record['local']}"
    if "address" in record:
        text += f" peer {record['address']}"
    text += f"/{record['prefixlen']} "
    for key, form in (("metric", "metric {} "), ("broadcast", "brd {} "), ("scope", "scope {} ")):
        if key in record:
            text += form.format(record[key])
    text += "".join(f"{key} " for key in ("secondary", "dynamic", "noprefixroute") if key in record)
    lifetimes = (_lifetime_text(record[key]) for key in ("valid_life_time", "preferred_life_time"))
    return text + str(record.get("label", "")) + line + "       valid_lft {} preferred_lft {}\n".format(*lifetimes)


def _lifetime_text(seconds: int) -> str:
    return "forever" if seconds == FOREVER else f"{seconds}sec"


def selects(found: Filter, dev: Device, ifa: Ifaddr) -> bool:
    """Say whether a listing contains an address."""
    if found.scope is not None and ifa.scope != found.scope:
        return False
    if any(_has(ifa, flag) != wanted for flag, wanted in (found.flags or {}).items()):
        return False
    if found.label is not None and not fnmatchcase(ifa.label or dev.name, found.label):
        return False
    return found.to is None or found.to.length == 0 or found.to.covers(ifa.local)


def show(ctx: Context, args: Args) -> None:
    """List devices with their addresses."""
    found = parse_filter(ctx, args, family=ctx.opt.family, topic="address")
    records = []
    for dev in by_index(ctx):
        if found.selects_link(dev) and _keeps(ctx, found, dev):
            records.append(_record(ctx, found, dev))
    ctx.show(records, lambda record: _text(ctx, record))


def _keeps(ctx: Context, found: Filter, dev: Device) -> bool:
    """Say whether a device stays in the listing: with a fitting address, or without any when all families are asked."""
    if found.family == "link":
        return True
    addresses = ctx.ns.stack.addresses(dev)
    if any(selects(found, dev, ifa) for ifa in addresses):
        return True
    return not addresses and found.family is None


def _record(ctx: Context, found: Filter, dev: Device) -> Record:
    """Describe a device and its addresses; one that is filtered out is an empty object."""
    opt = ctx.opt
    if not found.prints_link(dev) and (opt.brief or not opt.oneline):
        return {}
    if opt.oneline and not opt.brief:
        record: Record = {}
    elif found.label is not None and not opt.brief:
        record = {}
    else:
        record = link_record(dev, opt, is_link=False, family=found.family)
    if found.family != "link":
        show_them = not (found.up and not dev.up)
        addresses = ctx.ns.stack.addresses(dev) if show_them else ()
        record["addr_info"] = [address_record(ctx, dev, ifa) for ifa in addresses if selects(found, dev, ifa)]
    if opt.stats and "ifindex" in record:
        record["stats64"] = stats(dev, opt)
    return record


def _text(ctx: Context, record: Record) -> str:
    if not record:
        return ""
    addresses: list[Record] = record.get("addr_info", [])
    if ctx.opt.brief:
        return (
            text_of(ctx, record)
            + "".join(_brief(entry) for entry in addresses)
            + ("\n" if "addr_info" in record else "")
        )
    link = {key: value for key, value in record.items() if key not in ("addr_info", "stats64")}
    text = text_of(ctx, link) + "".join(address_text(entry, ctx.opt.line) for entry in addresses)
    if "stats64" in record:
        text += stats_text(record["stats64"], ctx.opt) + ctx.opt.line
    return text


def _brief(record: Record) -> str:
    peer = f" peer {record['address']}" if "address" in record else ""
    metric = f"metric {record['metric']} " if "metric" in record else ""
    return f"{record['local']}{peer}/{record['prefixlen']} {metric}"


# -- flushing ----------------------------------------------------------------------------------------------------------


def flush(ctx: Context, args: Args) -> None:
    """Delete every address that fits, in rounds as ipaddr_flush does."""
    if not args:
        raise missing("Flush requires arguments.")
    if ctx.opt.family == "link":
        raise missing("Cannot flush link addresses.")
    found = parse_filter(ctx, args, family=ctx.opt.family, topic="address")
    rounds = 0
    while rounds < 10:
        doomed = _doomed(ctx, found)
        if not doomed:
            _flush_summary(ctx, rounds)
            return
        rounds += 1
        if ctx.opt.stats > 1:
            for dev, ifa in doomed:
                ctx.say(address_text(address_record(ctx, dev, ifa) | {"index": dev.ifindex, "dev": dev.name}, "\n"))
        _delete_all(ctx, doomed)
        if ctx.opt.stats:
            ctx.say(f"\n*** Round {rounds}, deleting {len(doomed)} addresses ***\n")
        if (found.flags or {}).get("secondary") is False:
            _flush_summary(ctx, rounds)
            return
    raise Failed(WRONG, "*** Flush remains incomplete after 10 rounds. ***\n")


def _doomed(ctx: Context, found: Filter) -> list[tuple[Device, Any]]:
    devices = [dev for dev in by_index(ctx) if found.dev in (None, dev)]
    return [(dev, ifa) for dev in devices for ifa in ctx.ns.stack.addresses(dev) if selects(found, dev, ifa)]


def _delete_all(ctx: Context, doomed: list[tuple[Device, Any]]) -> None:
    """Delete addresses; one that went with its primary already is no error."""
    from simvlan.rtnl.address import address_del

    for dev, ifa in doomed:
        try:
            with ctx.kernel():
                address_del(ctx.net, dev, local=ifa.local, prefixlen=ifa.prefixlen, peer=ifa.address)
        except Failed as failed:
            if not isinstance(failed.__cause__, RtnlError) or failed.__cause__.errno != EADDRNOTAVAIL:
                raise
    ctx.net.drain()


def _flush_summary(ctx: Context, rounds: int) -> None:
    if not ctx.opt.stats:
        return
    plural = "s" if rounds > 1 else ""
    done = f"*** Flush is complete after {rounds} round{plural} ***\n"
    ctx.say(done if rounds else "Nothing to flush.\n")
