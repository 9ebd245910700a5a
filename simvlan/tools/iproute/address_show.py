"""Listings and flushes of addresses. Mirrors print_addrinfo, ipaddr_filter and ipaddr_flush of ip/ipaddress.c."""

from __future__ import annotations

from errno import EADDRNOTAVAIL
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeAlias

from simvlan.clock import SECOND
from simvlan.errors import RtnlError
from simvlan.stack.ipaddr import Ifaddr
from simvlan.tools.iproute.address6 import FLAGS, address6_record, short_link
from simvlan.tools.iproute.args import Args, ip_text
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import WRONG, Failed, missing
from simvlan.tools.iproute.link_show import Filter, by_index, parse_filter, text_of
from simvlan.tools.iproute.link_view import link_record, stats
from simvlan.tools.iproute.names import SCOPES, name_of
from simvlan.tools.iproute.stats_text import stats_text

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.inet6dev import Ifaddr6
    from simvlan.tools.iproute.context import Context

Address: TypeAlias = "Ifaddr | Ifaddr6"
FOREVER = 0xFFFF_FFFF


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


def _has(ifa: Address, flag: str) -> bool:
    if flag == "secondary" and not hasattr(ifa, "secondary"):
        return False
    if flag in ("dynamic", "permanent"):
        permanent = getattr(ifa, "permanent", ifa.valid_lft is None)
        return bool(permanent == (flag == "permanent"))
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
    flags = FLAGS if record["family"] == "inet6" else ("secondary", "dynamic", "noprefixroute")
    text += "".join(f"{key} " for key in flags if key in record)
    lifetimes = (_lifetime_text(record[key]) for key in ("valid_life_time", "preferred_life_time"))
    return text + str(record.get("label", "")) + line + "       valid_lft {} preferred_lft {}\n".format(*lifetimes)


def _lifetime_text(seconds: int) -> str:
    return "forever" if seconds == FOREVER else f"{seconds}sec"


def addresses_of(ctx: Context, found: Filter, dev: Device) -> list[Address]:
    """The addresses of a device, IPv4 first, of the families that are asked for."""
    stack = ctx.ns.stack
    four = stack.addresses(dev) if found.family in (None, "inet") else []
    six = stack.ip6.addresses(dev) if stack.ip6 is not None and found.family in (None, "inet6") else []
    return [*four, *six]


def any_record(ctx: Context, dev: Device, ifa: Address) -> Record:
    """Describe an address of either family."""
    return address_record(ctx, dev, ifa) if isinstance(ifa, Ifaddr) else address6_record(ctx, dev, ifa)


def selects(found: Filter, dev: Device, ifa: Address) -> bool:
    """Say whether a listing contains an address."""
    if not isinstance(ifa, Ifaddr):
        return _selects6(found, ifa)
    if found.scope is not None and ifa.scope != found.scope:
        return False
    if any(_has(ifa, flag) != wanted for flag, wanted in (found.flags or {}).items()):
        return False
    if found.label is not None and not fnmatchcase(ifa.label or dev.name, found.label):
        return False
    return found.to is None or found.to.length == 0 or found.to.covers(ifa.local)


def _selects6(found: Filter, ifa: Ifaddr6) -> bool:
    if found.scope is not None and ifa.scope != found.scope:
        return False
    if any(_has(ifa, flag) != wanted for flag, wanted in (found.flags or {}).items()):
        return False
    if found.label is not None:
        return False
    return found.to is None or found.to.length == 0 or found.to.covers(ifa.address)


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
    addresses = addresses_of(ctx, found, dev)
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
        if ctx.opt.family == "inet6" and found.dev is None:
            record = short_link(dev, record)
    if found.family != "link":
        show_them = not (found.up and not dev.up)
        addresses = addresses_of(ctx, found, dev) if show_them else ()
        record["addr_info"] = [any_record(ctx, dev, ifa) for ifa in addresses if selects(found, dev, ifa)]
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
                ctx.say(address_text(any_record(ctx, dev, ifa) | {"index": dev.ifindex, "dev": dev.name}, "\n"))
        _delete_all(ctx, doomed)
        if ctx.opt.stats:
            ctx.say(f"\n*** Round {rounds}, deleting {len(doomed)} addresses ***\n")
        if (found.flags or {}).get("secondary") is False:
            _flush_summary(ctx, rounds)
            return
    raise Failed(WRONG, "*** Flush remains incomplete after 10 rounds. ***\n")


def _doomed(ctx: Context, found: Filter) -> list[tuple[Device, Any]]:
    devices = [dev for dev in by_index(ctx) if found.dev in (None, dev)]
    return [(dev, ifa) for dev in devices for ifa in addresses_of(ctx, found, dev) if selects(found, dev, ifa)]


def _delete_all(ctx: Context, doomed: list[tuple[Device, Any]]) -> None:
    """Delete addresses; one that went with its primary already is no error."""
    from simvlan.rtnl.address import address_del
    from simvlan.rtnl.address6 import address6_del

    for dev, ifa in doomed:
        try:
            with ctx.kernel():
                if isinstance(ifa, Ifaddr):
                    address_del(ctx.net, dev, local=ifa.local, prefixlen=ifa.prefixlen, peer=ifa.address)
                else:
                    address6_del(ctx.net, dev, ifa.address, ifa.prefixlen)
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
