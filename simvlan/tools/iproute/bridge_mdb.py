"""`bridge mdb`: which ports want which groups. Mirrors bridge/mdb.c."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simvlan.clock import TICK
from simvlan.frame import IPV4, IPV6, mac_text
from simvlan.tools.iproute import keywords
from simvlan.tools.iproute.args import Args, atoi, ip_text, lladdr, matches, table
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import USAGE, Failed, duplicate, refuse
from simvlan.tools.iproute.jsonout import dump
from simvlan.tools.iproute.link_show import by_index
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.tools.iproute.context import Context

_VERBS = table([("add", "add"), ("delete", "delete"), ("show|lst|list", "show"), ("help", "help")])


def do_mdb(ctx: Context, args: Args) -> None:
    """Run one `bridge mdb` command."""
    if not args:
        show(ctx, args)
        return
    verb = keywords.verb(args, _VERBS, "bridge mdb")
    if verb == "show":
        show(ctx, args)
    else:
        modify(ctx, args, verb)


@dataclass
class MdbWords:
    """A request as typed."""

    dev: str | None = None
    grp: str | None = None
    port: str | None = None
    vid: str = "0"
    permanent: bool = False


_RULES: list[tuple[str, keywords.Rule[MdbWords]]] = [
    *((f"={key}", keywords.text(key)) for key in ("dev", "grp", "port", "vid")),
    ("=src", keywords.refused("bridge mdb")),
    ("=permanent", keywords.switch("permanent")),
]
_WORDS = table(_RULES)


def _other(ctx: Context, into: MdbWords, args: Args, word: str) -> None:
    """Pass over anything else: bridge does not look at it."""
    if word != "temp" and matches(word, "help"):
        raise usage("mdb")


def modify(ctx: Context, args: Args, verb: str) -> None:
    """Add or delete a membership."""
    from simvlan.devices.bridge import Bridge
    from simvlan.errors import RtnlError
    from simvlan.rtnl.mdb import mdb_add, mdb_del

    words = keywords.read(ctx, args, _WORDS, MdbWords(), _other)
    if words.dev is None or words.grp is None or words.port is None:
        raise Failed(USAGE, "Device, group address and port name are required arguments.\n")
    bridge, port = ctx.need(words.dev), ctx.need(words.port)
    family, group = _group(words.grp)
    vid = atoi(words.vid)
    with ctx.kernel():
        if not isinstance(bridge, Bridge):
            raise RtnlError(95, "Device is not a bridge")
        if verb == "add":
            mdb_add(ctx.net, bridge, port, family, group, vid, words.permanent)
        else:
            mdb_del(ctx.net, bridge, port, family, group, vid)
    ctx.net.drain()


def _group(text: str) -> tuple[int, int]:
    for family, proto in ((socket.AF_INET, IPV4), (socket.AF_INET6, IPV6)):
        try:
            return proto, int.from_bytes(socket.inet_pton(family, text), "big")
        except OSError:
            continue
    octets = lladdr(text)
    if len(octets) != 6:
        raise Failed(USAGE, f'Invalid address "{text}"\n')
    return 0, int.from_bytes(octets, "big")


def show(ctx: Context, args: Args) -> None:
    """List memberships and, with -details, the router ports."""
    from simvlan.devices.bridge import Bridge
    from simvlan.rtnl.mdb import mdb_dump

    name: str | None = None
    vid = 0
    while args:
        word = args.take()
        if word in ("dev", "vid"):
            text = args.value()
            if (name is not None) if word == "dev" else vid:
                raise duplicate(word, text)
            name, vid = (text, vid) if word == "dev" else (name, atoi(text))
    only = ctx.need(name) if name is not None else None
    bridges = [dev for dev in by_index(ctx) if isinstance(dev, Bridge) and only in (None, dev)]
    rows = [row for bridge in bridges for row in mdb_dump(bridge) if not vid or row.vid == vid]
    records = [_record(ctx, row) for row in rows]
    routers = {bridge.name: _routers(ctx, bridge) for bridge in bridges} if ctx.opt.details else {}
    routers = {key: ports for key, ports in routers.items() if ports}
    if ctx.opt.json:
        ctx.say(dump([{"mdb": records, "router": routers}], bool(ctx.opt.pretty)))
    else:
        ctx.say("".join(map(_text, records)) + "".join(_router_text(*pair) for pair in routers.items()))


def _record(ctx: Context, row: Any) -> Record:
    record: Record = {"index": row.bridge.ifindex, "dev": row.bridge.name, "port": row.dev.name}
    record["grp"] = _group_text(row.family, row.group)
    record["state"] = row.state
    if ctx.opt.details and row.protocol:
        record["protocol"] = row.protocol
    record["flags"] = ["fast_leave"] if row.fast_leave else []
    if row.vid:
        record["vid"] = row.vid
    if ctx.opt.stats:
        record["timer"] = _timer(row.timer_ns)
    return record


def _timer(left_ns: int) -> str:
    ticks = left_ns // TICK
    return f"{ticks // 100:4}.{ticks % 100:02}"


def _group_text(family: int, group: int) -> str:
    if family == IPV4:
        return ip_text(group)
    if family == IPV6:
        return socket.inet_ntop(socket.AF_INET6, group.to_bytes(16, "big"))
    return mac_text(group)


def _text(record: Record) -> str:
    text = f"dev {record['dev']} port {record['port']} grp {record['grp']} {record['state']}"
    text += f" proto {record['protocol']} " if "protocol" in record else ""
    text += "".join(f" {flag}" for flag in record["flags"])
    text += f" vid {record['vid']}" if "vid" in record else ""
    text += f" {record['timer']}" if "timer" in record else ""
    return text + "\n"


def _routers(ctx: Context, bridge: Any) -> list[Record]:
    from simvlan.rtnl.mdb import router_ports

    if ctx.opt.stats and router_ports(bridge):
        raise refuse("bridge -details -statistics mdb with router ports")
    return [{"port": port.dev.name} for port in router_ports(bridge)]


def _router_text(name: str, ports: list[Record]) -> str:
    return f"router ports on {name}: " + "".join(f"{port['port']} " for port in ports) + "\n"
