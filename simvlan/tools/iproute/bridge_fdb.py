"""`bridge fdb`: which address is behind which port. Mirrors bridge/fdb.c."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simvlan.clock import SECOND
from simvlan.frame import mac_text
from simvlan.tools.iproute import keywords
from simvlan.tools.iproute.args import Args, atoi, look_up, matches, table, u32
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import USAGE, Failed, Quit, duplicate, duplicate_or_garbage, invalid, refuse
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.tools.iproute.context import Context

GET_REFUSED = 254
"""What `bridge fdb get` leaves with when the kernel knows no such entry."""

_VERBS = table(
    [
        ("add", "add"),
        ("append", "append"),
        ("replace", "replace"),
        ("delete", "delete"),
        ("get", "get"),
        ("show|lst|list", "show"),
        ("=flush", "flush"),
        ("help", "help"),
    ]
)


def do_fdb(ctx: Context, args: Args) -> None:
    """Run one `bridge fdb` command."""
    if not args:
        show(ctx, args)
        return
    verb = keywords.verb(args, _VERBS, "bridge fdb")
    if verb in ("show", "get"):
        (show if verb == "show" else get)(ctx, args)
    elif verb == "flush":
        flush(ctx, args)
    else:
        modify(ctx, args, verb)


# -- changing ----------------------------------------------------------------------------------------------------------


@dataclass
class FdbWords:
    """A request as typed. `states` holds permanent, static, dynamic as they were said."""

    mac: str | None = None
    dev: str | None = None
    vlan: int | None = None
    states: set[str] = field(default_factory=set)
    to_self: bool = False
    to_master: bool = False
    sticky: bool = False
    use: bool = False

    @property
    def state(self) -> str:
        """The state meant: permanent unless another was said."""
        if "permanent" in self.states or not self.states:
            return "permanent"
        return "dynamic" if "dynamic" in self.states else "static"


def _vlan(ctx: Context, into: FdbWords, args: Args) -> None:
    if into.vlan is not None:
        raise duplicate_or_garbage("vlan", args.words[args.at - 1])
    into.vlan = atoi(args.value())


def _state_word(state: str) -> keywords.Rule[FdbWords]:
    def rule(ctx: Context, into: FdbWords, args: Args) -> None:
        into.states.add(state)

    return rule


_RULES: list[tuple[str, keywords.Rule[FdbWords]]] = [
    ("=dev", keywords.text("dev")),
    ("=dst|=nhid|=port|=vni|=src_vni|=via", keywords.refused("bridge fdb")),
    ("=self", keywords.switch("to_self")),
    ("master", keywords.switch("to_master")),
    ("router", keywords.refused("bridge fdb")),
    ("local|permanent", _state_word("permanent")),
    ("temp|static", _state_word("static")),
    ("dynamic", _state_word("dynamic")),
    ("vlan", _vlan),
    ("use", keywords.switch("use")),
    ("extern_learn", keywords.refused("bridge fdb")),
    ("sticky", keywords.switch("sticky")),
]
_WORDS = table(_RULES)


def _to(ctx: Context, into: FdbWords, args: Args, word: str) -> None:
    if word == "to":
        word = args.value()
    if matches(word, "help"):
        raise usage("fdb")
    if into.mac is not None:
        raise duplicate_or_garbage("to", word)
    into.mac = word


def read_mac(text: str) -> int:
    """Read six hexadecimal octets; what follows them is not looked at (sscanf)."""
    found = re.match(r"([0-9a-fA-F]{1,2}):" * 5 + r"([0-9a-fA-F]{1,2})", text)
    if found is None:
        raise Failed(USAGE, f"Invalid mac address {text}\n")
    return int.from_bytes(bytes(int(octet, 16) for octet in found.groups()), "big")


def modify(ctx: Context, args: Args, verb: str) -> None:
    """Add, replace or delete an entry; `append` is refused by the kernel's own rules only."""
    from simvlan.rtnl.fdb import fdb_add, fdb_del

    words = keywords.read(ctx, args, _WORDS, FdbWords(), _to)
    if words.dev is None or words.mac is None:
        raise Failed(USAGE, "Device and address are required arguments.\n")
    mac = read_mac(words.mac)
    dev = ctx.need(words.dev)
    where = {"to_self": words.to_self or not words.to_master, "to_master": words.to_master}
    with ctx.kernel():
        if verb == "delete":
            fdb_del(ctx.net, dev, mac, words.vlan, **where)
        else:
            fdb_add(
                ctx.net,
                dev,
                mac,
                words.vlan,
                words.state,
                **where,
                sticky=words.sticky,
                use=words.use,
                exclusive=verb == "add",
                replace=verb == "replace",
            )
    ctx.net.drain()


# -- showing -----------------------------------------------------------------------------------------------------------

_STATES = table(
    [
        ("permanent", "permanent"),
        ("static|temp", "static"),
        ("stale", "stale"),
        ("reachable|dynamic", "dynamic"),
        ("=all", "all"),
    ]
)


@dataclass
class Filter:
    """What a listing is limited to."""

    dev: Device | None = None
    br: Device | None = None
    vlan: int = 0
    states: set[str] = field(default_factory=set)
    dynamic: bool = False

    def selects(self, row: Any) -> bool:
        """Say whether the listing contains an entry (print_fdb)."""
        if self.dev not in (None, row.dev):
            return False
        if self.states and "all" not in self.states and row.state not in self.states:
            return False
        if self.vlan and self.vlan != row.vlan:
            return False
        return not (self.dynamic and row.state == "permanent")


def _parse_filter(ctx: Context, args: Args) -> Filter:
    found = Filter()
    dev: str | None = None
    br: str | None = None
    while args:
        word = args.take()
        if word in ("brport", "dev"):
            dev = args.value()
        elif word == "br":
            br = args.value()
        elif word == "vlan":
            text = args.value()
            if found.vlan:
                raise duplicate("vlan", text)
            found.vlan = atoi(text)
        elif word == "state":
            found.states.add(_state(args.value()))
        elif word == "dynamic":
            found.dynamic = True
        elif matches(word, "help"):
            raise usage("fdb")
    if br is not None:
        found.br = bridge_device(ctx, br)
    if dev is not None:
        found.dev = ctx.need(dev)
    return found


def _state(text: str) -> str:
    state = look_up(_STATES, text)
    if state is None:
        if u32(text) is not None:
            raise refuse(f"bridge fdb show state {text}")
        raise invalid("invalid state", text)
    return state


def bridge_device(ctx: Context, name: str) -> Device:
    """Return the device that a command names as a bridge."""
    found = ctx.device(name)
    if found is None:
        raise Failed(USAGE, f'Cannot find bridge device "{name}"\n')
    return found


def fdb_record(ctx: Context, row: Any, hide_dev: bool) -> Record:
    """Describe an entry in iproute2's JSON shape."""
    record: Record = {"mac": mac_text(row.mac)}
    if not hide_dev:
        record["ifname"] = row.dev.name
    if row.vlan:
        record["vlan"] = row.vlan
    if ctx.opt.stats and "self" not in row.flags:
        record |= {"used": row.used_ns // SECOND, "updated": row.updated_ns // SECOND}
    record["flags"] = list(row.flags)
    if row.master is not None:
        record["master"] = row.master.name
    record["state"] = "" if row.state == "dynamic" else row.state
    return record


def fdb_text(record: Record) -> str:
    """Write an entry."""
    text = f"{record['mac']} "
    text += f"dev {record['ifname']} " if "ifname" in record else ""
    text += f"vlan {record['vlan']} " if "vlan" in record else ""
    text += f"used {record['used']}/{record['updated']} " if "used" in record else ""
    text += "".join(f"{flag} " for flag in record["flags"])
    text += f"master {record['master']} " if "master" in record else ""
    return f"{text}{record['state']}\n"


def show(ctx: Context, args: Args) -> None:
    """List entries."""
    from simvlan.devices.bridge import Bridge
    from simvlan.rtnl.fdb import fdb_dump

    found = _parse_filter(ctx, args)
    bridge = found.br if isinstance(found.br, Bridge) else None
    if found.br is not None and bridge is None:
        ctx.show([], fdb_text)
        return
    rows = [row for row in fdb_dump(ctx.ns, ctx.net.now, found.dev, bridge) if found.selects(row)]
    ctx.show([fdb_record(ctx, row, found.dev is not None) for row in rows], fdb_text)


def get(ctx: Context, args: Args) -> None:
    """Show one entry of a bridge."""
    from simvlan.rtnl.fdb import fdb_dump

    mac, dev, br, vlan = _parse_get(args)
    owner = ctx.need(dev) if dev is not None else None
    bridge = bridge_device(ctx, br) if br is not None else owner.master if owner is not None else None
    if bridge is None:
        raise refuse("bridge fdb get of a device that is no bridge port")
    for row in fdb_dump(ctx.ns, ctx.net.now):
        if row.master is bridge and row.mac == mac and (row.vlan or 0) == vlan:
            ctx.show([fdb_record(ctx, row, False)], fdb_text)
            return
    raise Quit(GET_REFUSED, "Error: Fdb entry not found.\n")


def _parse_get(args: Args) -> tuple[int, str | None, str | None, int]:
    mac: str | None = None
    named: dict[str, str] = {}
    while args:
        word = args.take()
        if word in ("brport", "dev", "br", "vlan"):
            named["dev" if word == "brport" else word] = args.value()
        elif word in ("vni", "self", "dynamic"):
            raise refuse(f"the option {word} of bridge fdb get")
        elif not matches(word, "master"):
            word = args.value() if word == "to" else word
            if matches(word, "help"):
                raise usage("fdb")
            if mac is not None:
                raise duplicate_or_garbage("to", word)
            mac = word
    if mac is None or not ("dev" in named or "br" in named):
        raise Failed(USAGE, "Device or master and address are required arguments.\n")
    return read_mac(mac), named.get("dev"), named.get("br"), atoi(named.get("vlan", "0"))


# -- flushing ----------------------------------------------------------------------------------------------------------

_STATE_WORDS = {
    "permanent": ("local", True), "nopermanent": ("local", False), "static": ("static_only", True),
    "nostatic": ("static", False), "dynamic": ("static", False), "nodynamic": ("static", True),
    "added_by_user": ("by_user", True), "noadded_by_user": ("by_user", False), "sticky": ("sticky", True),
    "nosticky": ("sticky", False),
}  # fmt: skip


def flush(ctx: Context, args: Args) -> None:
    """Delete every entry that fits, permanent ones too (br_fdb_delete_bulk)."""
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.errors import RtnlError

    named, wanted, flags = _parse_flush(args)
    if "dev" not in named:
        raise Failed(USAGE, "Device is a required argument.\n")
    dev = bridge_device(ctx, named["dev"])
    port: Device | None = None
    if "brport" in named:
        port = ctx.device(named["brport"])
        if port is None:
            raise Failed(USAGE, f'Cannot find bridge port device "{named["brport"]}"\n')
    vid = atoi(named["vlan"]) if "vlan" in named else None
    if vid is not None and vid >= 4096:
        raise Failed(USAGE, f'Invalid VLAN ID "{vid}"\n')
    with ctx.kernel():
        if "master" in flags and isinstance(dev.rx_handler, BridgePort):
            bridge: Any = dev.rx_handler.bridge
            port = port or dev
        elif isinstance(dev, Bridge) and "master" not in flags:
            bridge = dev
        else:
            raise RtnlError(95)
        for entry in list(bridge.fdb):
            if _fits(entry, bridge, port, vid, wanted):
                bridge.fdb.remove(entry)
    ctx.net.drain()


def _parse_flush(args: Args) -> tuple[dict[str, str], list[tuple[str, bool]], set[str]]:
    named: dict[str, str] = {}
    wanted: list[tuple[str, bool]] = []
    flags: set[str] = set()
    while args:
        word = args.take()
        if word in ("dev", "brport", "vlan"):
            named[word] = args.value()
        elif word in ("master", "self"):
            flags.add(word)
        elif word in _STATE_WORDS:
            wanted.append(_STATE_WORDS[word])
        elif word in ("extern_learn", "noextern_learn", "offloaded", "nooffloaded"):
            raise refuse(f"the option {word} of bridge fdb flush")
    return named, wanted, flags


def _fits(entry: Any, bridge: Any, port: Device | None, vid: int | None, wanted: list[tuple[str, bool]]) -> bool:
    owner = entry.port.dev if entry.port is not None else bridge
    if port is not None and owner is not port:
        return False
    if vid is not None and entry.vid != vid:
        return False
    facts = {
        "local": entry.local,
        "static": entry.static,
        "static_only": entry.static and not entry.local,
        "by_user": entry.by_user,
        "sticky": entry.sticky,
    }
    return all(facts[key] == value for key, value in wanted)
