"""`bridge link`: ports and their options. Mirrors bridge/link.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simvlan.tools.iproute.args import Args, atoi, look_up, number, on_off_text, parse_on_off, table
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import USAGE, Failed, Quit, duplicate, refuse
from simvlan.tools.iproute.link_view import name_record
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.tools.iproute.context import Context

EINVAL_STATUS = 234
"""exit(-EINVAL): what parse_on_off leaves with."""

_SWITCHES = (
    "guard", "hairpin", "fastleave", "root_block", "learning", "learning_sync", "flood", "mcast_flood", "bcast_flood",
    "mcast_to_unicast", "neigh_suppress", "vlan_tunnel", "isolated", "locked",
)  # fmt: skip
_NUMBERS = {"mcast_router": "multicast_router", "cost": "cost", "priority": "priority"}
_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")
_DETAILS = (
    "hairpin", "guard", "root_block", "fastleave", "learning", "flood", "mcast_flood", "bcast_flood", "mcast_router",
    "mcast_to_unicast", "neigh_suppress", "vlan_tunnel", "isolated", "locked",
)  # fmt: skip

_VERBS = table([("set|change", "set"), ("show|lst|list", "show"), ("help", "help")])


def do_link(ctx: Context, args: Args) -> None:
    """Run one `bridge link` command."""
    if not args:
        show(ctx, args)
        return
    word = args.take()
    verb = look_up(_VERBS, word)
    if verb == "set":
        modify(ctx, args)
    elif verb == "show":
        show(ctx, args)
    elif verb == "help":
        raise usage("bridge link")
    else:
        raise Quit(USAGE, f'Command "{word}" is unknown, try "bridge link help".\n')


def modify(ctx: Context, args: Args) -> None:
    """Change a port's options."""
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.errors import RtnlError
    from simvlan.rtnl.bridge import set_port

    name, info, to_self = _parse(args)
    if name is None:
        raise Failed(USAGE, "Device is a required argument.\n")
    dev = ctx.device(name)
    if dev is None:
        raise Failed(USAGE, f'Cannot find bridge device "{name}"\n')
    with ctx.kernel():
        if to_self or not isinstance(dev.rx_handler, BridgePort):
            raise RtnlError(95)
        set_port(ctx.net, dev, info)


def _parse(args: Args) -> tuple[str | None, dict[str, Any], bool]:
    name: str | None = None
    info: dict[str, Any] = {}
    to_self = False
    while args:
        word = args.take()
        if word == "dev":
            name = args.value()
        elif word in ("self", "master"):
            to_self = to_self or word == "self"
        elif word == "nobackup_port":
            continue
        else:
            _option(info, word, args)
    return name, info, to_self


def _option(info: dict[str, Any], word: str, args: Args) -> None:
    if word in _SWITCHES:
        info[word] = _switch(word, args.value())
    elif word in _NUMBERS:
        value = atoi(args.value())
        if value or word != "cost":
            info[_NUMBERS[word]] = value
    elif word == "state":
        info["state"] = _state(args.value())
    elif word in ("hwmode", "backup_port"):
        raise refuse(f"the option {word} of bridge link")
    else:
        raise usage("bridge link")
    if word == "learning_sync":
        raise refuse("the option learning_sync of bridge link")


def _switch(word: str, text: str) -> bool:
    value = parse_on_off(text)
    if value is None:
        raise Failed(EINVAL_STATUS, on_off_text(word, text))
    return value


def _state(text: str) -> int:
    value = number(text, 0, 127) if text.isdigit() else None
    if value is None and text not in _STATES:
        raise Failed(USAGE, "Error: invalid STP port state\n")
    return _STATES.index(text) if value is None else value


def show(ctx: Context, args: Args) -> None:
    """List ports."""
    name: str | None = None
    while args:
        if args.take() == "dev":
            text = args.value()
            if name is not None:
                raise duplicate("dev", text)
            name = text
    only = ctx.need(name) if name is not None else None
    ports = [dev for dev in ctx.ns.devices.values() if dev.master is not None and only in (None, dev)]
    ctx.show([port_record(ctx, dev) for dev in ports], lambda record: _text(ctx, record))


def port_record(ctx: Context, dev: Device) -> Record:
    """Describe a port as `bridge link` does."""
    from simvlan.rtnl.bridge import port_info

    assert dev.master is not None
    info = port_info(dev)
    record: Record = {"ifindex": dev.ifindex} | name_record(dev) | {"mtu": dev.mtu, "master": dev.master.name}
    if "link_index" in record:
        record = _link_here(ctx, dev, record)
    record |= {key: info[key] for key in ("state", "priority", "cost")}
    if ctx.opt.details:
        record |= {key: info["multicast_router" if key == "mcast_router" else key] for key in _DETAILS}
    return record


def _link_here(ctx: Context, dev: Device, record: Record) -> Record:
    """Name the other end by its index as if it were in this namespace: br_fill_ifinfo does not say that it is not."""
    index = int(record["link_index"])
    local = ctx.ns.by_index(index)
    link = {} if index == dev.ifindex else {"link": local.name if local is not None else f"if{index}"}
    rest = {key: value for key, value in record.items() if key not in ("ifindex", "link_index")}
    return {"ifindex": record["ifindex"]} | link | rest


def _text(ctx: Context, record: Record) -> str:
    from simvlan.tools.iproute.kind_text import field
    from simvlan.tools.iproute.link_text import flags_text, full_name

    text = f"{record['ifindex']}: {full_name(record)}: {flags_text(record)} mtu {record['mtu']} "
    text += "".join(f"{key} {record[key]} " for key in ("master", "state", "priority", "cost"))
    if "hairpin" in record:
        text += f"{ctx.opt.line}    " + "".join(field(key, record[key]) for key in _DETAILS)
    return text + "\n"
