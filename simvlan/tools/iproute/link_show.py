"""Listings of links, with or without their addresses. Mirrors ipaddr_list_flush_or_save of ip/ipaddress.c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simvlan.rtnl import KINDS
from simvlan.tools.iproute.args import Args, Prefix, any_prefix, matches
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import WRONG, Failed, duplicate_or_garbage, invalid, refuse
from simvlan.tools.iproute.link_parse import group_of
from simvlan.tools.iproute.link_text import link_text
from simvlan.tools.iproute.link_view import link_record
from simvlan.tools.iproute.names import SCOPES, value_of
from simvlan.tools.iproute.netnsid import name_of_id
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.tools.iproute.context import Context

ADDRESS_FLAGS = {
    "secondary": "secondary",
    "temporary": "secondary",
    "noprefixroute": "noprefixroute",
    "permanent": "permanent",
}
"""Words that pick addresses by flag; the flags only IPv6 has match no IPv4 address."""
_IPV6_FLAGS = (
    "nodad", "optimistic", "dadfailed", "home", "deprecated", "tentative", "mngtmpaddr", "autojoin", "stable-privacy",
)  # fmt: skip


@dataclass
class Filter:
    """What a listing is limited to; the address part is used by `ip address` only."""

    family: str | None = None
    dev: Device | None = None
    up: bool = False
    group: int | None = None
    master: Device | None = None
    nomaster: bool = False
    kind: str | None = None
    slave_kind: str | None = None
    scope: int | None = None
    label: str | None = None
    to: Prefix | None = None
    flags: dict[str, bool] | None = None

    def selects_link(self, dev: Device) -> bool:
        """Say whether the kernel's dump contains a link (link_master_filtered, link_kind_filtered)."""
        if self.dev is not None:
            return dev is self.dev
        if self.master is not None and dev.master is not self.master:
            return False
        if self.nomaster and dev.master is not None:
            return False
        return self.kind is None or self.kind not in KINDS or dev.kind == self.kind

    def prints_link(self, dev: Device) -> bool:
        """Say whether iproute2 prints a link that the dump contained."""
        if self.up and not dev.up:
            return False
        if self.group is not None and dev.group != self.group:
            return False
        if self.master is not None and dev.master is not self.master:
            return False
        if self.kind is not None and dev.kind != self.kind:
            return False
        return self.slave_kind is None or self._slave_kind_fits(dev)

    def _slave_kind_fits(self, dev: Device) -> bool:
        return dev.master is not None and dev.master.kind == self.slave_kind


def parse_filter(ctx: Context, args: Args, *, family: str | None, topic: str) -> Filter:
    """Read the words of a listing."""
    found = Filter(family=family, flags={})
    name: str | None = None
    while args:
        word = args.take()
        if word in ("to", "scope", "label", "group", "master", "type", "vrf"):
            _valued(ctx, found, word, args.value())
        elif word == "up":
            found.up = True
        elif word == "nomaster":
            found.nomaster = True
        elif _flag(found, word):
            continue
        else:
            if word == "dev":
                word = args.value()
            elif matches(word, "help"):
                raise usage(topic)
            if name is not None:
                raise duplicate_or_garbage("dev", word)
            name = word
    if name is not None:
        found.dev = ctx.device(name)
        if found.dev is None:
            raise Failed(WRONG, f'Device "{name}" does not exist.\n')
    return found


def _valued(ctx: Context, found: Filter, word: str, text: str) -> None:
    if word == "to":
        found.to = any_prefix(text, found.family)
        found.family = found.family or found.to.family
    elif word == "scope":
        found.scope = value_of(SCOPES, text)
        if found.scope is None and text != "all":
            raise invalid('invalid "scope"\n', text)
    elif word == "label":
        found.label = text
    elif word == "group":
        found.group = group_of(text)
        if found.group is None:
            raise invalid('Invalid "group" value\n', text)
    elif word == "master":
        found.master = ctx.device(text)
        if found.master is None:
            raise invalid("Device does not exist\n", text)
    elif word == "vrf":
        raise refuse("vrf")
    elif text.endswith("_slave"):
        found.slave_kind = text.removesuffix("_slave")
    else:
        found.kind = text


def _flag(found: Filter, word: str) -> bool:
    """Take a word that picks addresses by flag, `-` before it for their absence."""
    wanted, name = not word.startswith("-"), word.removeprefix("-")
    if name in ("dynamic", "primary"):
        wanted, name = not wanted, {"dynamic": "permanent", "primary": "secondary"}[name]
    if name not in ADDRESS_FLAGS and name not in _IPV6_FLAGS:
        return False
    assert found.flags is not None
    found.flags[ADDRESS_FLAGS.get(name, name)] = wanted
    return True


def show_links(ctx: Context, args: Args) -> None:
    """List links (`ip link show`)."""
    found = parse_filter(ctx, args, family="link", topic="link")
    records = [
        link_record(dev, ctx.opt, is_link=True, family="link") if found.prints_link(dev) else {}
        for dev in by_index(ctx)
        if found.selects_link(dev)
    ]
    ctx.show(records, lambda record: text_of(ctx, record))


def by_index(ctx: Context) -> list[Device]:
    """Return the namespace's devices in the order of the kernel's dump: by index."""
    return sorted(ctx.ns.devices.values(), key=lambda dev: dev.ifindex)


def text_of(ctx: Context, record: Record) -> str:
    """Write one link."""
    return link_text(record, ctx.opt, lambda ident: name_of_id(ctx.ns, ident))
