"""`ip address` for IPv6: what is done to addresses, and how one is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.tools.iproute.args import ip6_text
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.names import SCOPES, name_of

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.inet6dev import Ifaddr6
    from simvlan.tools.iproute.address import AddressWords
    from simvlan.tools.iproute.context import Context

FOREVER = 0xFFFF_FFFF
FLAGS = (
    "nodad", "optimistic", "dadfailed", "home", "deprecated", "tentative", "dynamic", "mngtmpaddr", "noprefixroute",
)  # fmt: skip
"""In the order in which iproute2 6.1 names them."""


def modify6(ctx: Context, dev: Device, words: AddressWords, verb: str) -> None:
    """Add, change or delete an address."""
    from simvlan.rtnl import address6 as rtnl

    local = words.local or words.peer
    assert local is not None
    outer = words.peer or local
    if verb == "delete":
        rtnl.address6_del(ctx.net, dev, local.address, outer.length)
    elif verb == "add":
        rtnl.address6_add(ctx.net, dev, _ifaddr(words))
    else:
        rtnl.address6_replace(ctx.net, dev, _ifaddr(words))


def _ifaddr(words: AddressWords) -> Ifaddr6:
    from simvlan.stack.ipv6.inet6dev import Ifaddr6

    local = words.local or words.peer
    assert local is not None
    outer = words.peer or local
    return Ifaddr6(
        local.address,
        outer.length,
        peer=outer.address if words.peer and words.local and outer.address != local.address else 0,
        valid_lft=_finite(words.valid_lft),
        preferred_lft=_finite(words.preferred_lft),
        metric=words.metric,
        nodad=words.nodad,
        optimistic=words.optimistic,
        noprefixroute=words.noprefixroute,
        mngtmpaddr=words.mngtmpaddr,
        home=words.home,
    )


def _finite(seconds: int | None) -> int | None:
    return None if seconds in (None, FOREVER) else seconds


def has(ifa: Ifaddr6, flag: str) -> bool:
    """Whether an address has a flag as `ip` names it."""
    if flag in ("dynamic", "permanent"):
        return ifa.permanent == (flag == "permanent")
    return bool(getattr(ifa, flag, False))


def address6_record(ctx: Context, dev: Device, ifa: Ifaddr6) -> Record:
    """Describe an address in iproute2's JSON shape."""
    opt = ctx.opt
    record: Record = {}
    if not opt.brief:
        if opt.oneline:
            record |= {"index": dev.ifindex, "dev": dev.name}
        record["family"] = "inet6"
    record["local"] = ip6_text(ifa.address)
    if ifa.peer:
        record["address"] = ip6_text(ifa.peer)
    record["prefixlen"] = ifa.prefixlen
    if ifa.metric:
        record["metric"] = ifa.metric
    if opt.brief:
        return record
    record["scope"] = name_of(SCOPES, ifa.scope)
    record |= {key: True for key in FLAGS if has(ifa, key)}
    record["valid_life_time"] = _left(ctx, ifa, ifa.valid_lft)
    record["preferred_life_time"] = _left(ctx, ifa, ifa.preferred_lft)
    return record


def _left(ctx: Context, ifa: Ifaddr6, seconds: int | None) -> int:
    if seconds is None:
        return FOREVER
    return max(0, seconds - (ctx.net.now - ifa.changed_ns) // SECOND)


def short_link(dev: Device, full: Record) -> Record:
    """What a dump of IPv6 alone says of a device (inet6_fill_ifinfo)."""
    keys = ("ifindex", "link", "link_index", "ifname", "flags", "mtu", "operstate", "txqlen")
    short = {key: full[key] for key in keys if key in full}
    if dev.link is not None and not dev.linked:
        short.pop("link", None)
        short.pop("link_index", None)
    if "link_index" in short:  # without its namespace's number iproute2 takes the index for one of its own
        index = short["link_index"]
        names = [each.name for each in dev.netns.devices.values() if each.ifindex == index]
        link = names[0] if names else f"if{index}"
        short = {"link" if key == "link_index" else key: link if key == "link_index" else short[key] for key in short}
    return short
