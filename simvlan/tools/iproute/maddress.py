"""`ip maddress`: groups a device listens to. Mirrors ip/ipmaddr.c, which reads /proc/net/dev_mcast and igmp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.frame import mac_text
from simvlan.tools.iproute.args import Args, ip6_text, ip_text, look_up, matches, table
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import USAGE, Quit, duplicate_or_garbage, refuse
from simvlan.tools.iproute.link_show import by_index
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.inet6dev import Group
    from simvlan.tools.iproute.context import Context

_VERBS = table([("add|delete", "change"), ("list|show|lst", "show"), ("help", "help")])


def do_maddress(ctx: Context, args: Args) -> None:
    """Run one `ip maddress` command."""
    word = args.take() if args else "show"
    verb = look_up(_VERBS, word)
    if verb is None:
        raise Quit(USAGE, f'Command "{word}" is unknown, try "ip maddr help".\n')
    if verb == "help":
        raise usage("maddress")
    if verb == "change":
        raise refuse(f"ip maddress {word}")
    name: str | None = None
    while args:
        word = args.take()
        if word == "dev":
            word = args.value()
        elif matches(word, "help"):
            raise usage("maddress")
        if name is not None:
            raise duplicate_or_garbage("dev", word)
        name = word
    records = [_record(ctx, dev) for dev in by_index(ctx) if name in (None, dev.name)]
    ctx.show([record for record in records if record["maddr"]], _text)


def _record(ctx: Context, dev: Device) -> Record:
    groups: list[Record] = [{"link": mac_text(mac)} for mac in dev.mc] if ctx.opt.family in (None, "link") else []
    if ctx.opt.family in (None, "inet"):
        groups += [{"family": "inet", "address": ip_text(ip)} for ip in reversed(ctx.ns.stack.indev(dev).groups)]
    six = ctx.ns.stack.ip6.idev(dev) if ctx.ns.stack.ip6 is not None else None
    if six is not None and ctx.opt.family in (None, "inet6"):
        groups += [_six(group) for group in six.groups]
    return {"ifindex": dev.ifindex, "ifname": dev.name, "maddr": groups}


def _six(group: Group) -> Record:
    record: Record = {"family": "inet6", "address": ip6_text(group.address)}
    return record | ({"users": group.users} if group.users > 1 else {})


def _text(record: Record) -> str:
    lines = [f"{record['ifindex']}:\t{record['ifname']}\n"]
    for group in record["maddr"]:
        users = f" users {group['users']}" if "users" in group else ""
        family, address = ("link", group["link"]) if "link" in group else (group["family"], group["address"])
        lines.append(f"\t{family:<5} {address}{users}\n")
    return "".join(lines)
