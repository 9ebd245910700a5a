"""`ip maddress`: groups a device listens to. Mirrors ip/ipmaddr.c, which reads /proc/net/dev_mcast and igmp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.frame import mac_text
from simvlan.tools.iproute.args import Args, ip_text, look_up, matches, table
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import USAGE, Quit, duplicate_or_garbage, refuse
from simvlan.tools.iproute.link_show import by_index
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
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
    return {"ifindex": dev.ifindex, "ifname": dev.name, "maddr": groups}


def _text(record: Record) -> str:
    lines = [f"{record['ifindex']}:\t{record['ifname']}\n"]
    for group in record["maddr"]:
        lines.append(f"\tlink  {group['link']}\n" if "link" in group else f"\tinet  {group['address']}\n")
    return "".join(lines)
