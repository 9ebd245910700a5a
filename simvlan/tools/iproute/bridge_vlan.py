"""`bridge vlan`: the VLANs of ports. Mirrors bridge/vlan.c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simvlan.tools.iproute import keywords
from simvlan.tools.iproute.args import Args, atoi, matches, table
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import USAGE, Failed, duplicate, refuse
from simvlan.tools.iproute.link_show import by_index

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.tools.iproute.context import Context

WIDTH = 16
"""IFNAMSIZ: the width of the first column."""

_VERBS = table(
    [
        ("add", "add"),
        ("delete", "delete"),
        ("show|lst|list", "show"),
        ("tunnelshow", "tunnelshow"),
        ("set", "set"),
        ("=global", "global"),
        ("help", "help"),
    ]
)


def do_vlan(ctx: Context, args: Args) -> None:
    """Run one `bridge vlan` command."""
    if not args:
        show(ctx, args)
        return
    verb = keywords.verb(args, _VERBS, "bridge vlan")
    if verb in ("tunnelshow", "set", "global"):
        raise refuse(f"bridge vlan {verb}")
    if verb == "show":
        show(ctx, args)
    else:
        modify(ctx, args, verb)


@dataclass
class VlanWords:
    """A request as typed."""

    dev: str | None = None
    vid: int | None = None
    end: int | None = None
    to_self: bool = False
    to_master: bool = False
    pvid: bool = False
    untagged: bool = False


def _vid(ctx: Context, into: VlanWords, args: Args) -> None:
    first, dash, last = args.value().partition("-")
    into.vid = atoi(first)
    into.end = atoi(last) if dash else None


_RULES: list[tuple[str, keywords.Rule[VlanWords]]] = [
    ("=dev", keywords.text("dev")),
    ("=vid", _vid),
    ("=pvid", keywords.switch("pvid")),
    ("=untagged", keywords.switch("untagged")),
    ("=self", keywords.switch("to_self")),
    ("=master", keywords.switch("to_master")),
    ("=tunnel_info", keywords.refused("bridge vlan")),
]
_WORDS = table(_RULES)


def _other(ctx: Context, into: VlanWords, args: Args, word: str) -> None:
    """Pass over anything else: bridge does not look at it."""
    if matches(word, "help"):
        args.value()


def modify(ctx: Context, args: Args, verb: str) -> None:
    """Put a port into VLANs or take it out."""
    from simvlan.rtnl.bridge_vlan import vlan_add, vlan_del

    words = keywords.read(ctx, args, _WORDS, VlanWords(), _other)
    if words.dev is None or words.vid is None or words.vid == -1:
        raise Failed(USAGE, "Device and VLAN ID are required arguments.\n")
    dev = ctx.device(words.dev)
    if dev is None:
        raise Failed(USAGE, f'Cannot find bridge device "{words.dev}"\n')
    _check(words)
    to_self = words.to_self and not words.to_master
    with ctx.kernel():
        if verb == "add":
            vlan_add(ctx.net, dev, words.vid, words.end, words.pvid, words.untagged, to_self)
        else:
            vlan_del(ctx.net, dev, words.vid, words.end, to_self)
    ctx.net.drain()


def _check(words: VlanWords) -> None:
    assert words.vid is not None
    if words.vid >= 4096:
        raise Failed(USAGE, f'Invalid VLAN ID "{words.vid}"\n')
    if words.end is None:
        return
    if words.end >= 4096 or words.vid >= words.end:
        raise Failed(USAGE, f'Invalid VLAN range "{words.vid}-{words.end}"\n')
    if words.pvid:
        raise Failed(USAGE, "pvid cannot be configured for a vlan range\n")


def show(ctx: Context, args: Args) -> None:
    """List the VLANs of bridges and ports; with -details ranges and states."""
    name: str | None = None
    vid = 0
    while args:
        word = args.take()
        if word == "dev":
            text = args.value()
            if name is not None:
                raise duplicate("dev", text)
            name = text
        elif word == "vid":
            text = args.value()
            if vid:
                raise duplicate("vid", text)
            vid = atoi(text)
    only = ctx.need(name) if name is not None else None
    if ctx.opt.stats and not ctx.opt.details:
        _show_stats(ctx, only, vid)
        return
    records = [_record(ctx, dev, vid) for dev in ctx.ns.devices.values() if only in (None, dev)]
    records = [record for record in records if record["vlans"]]
    if not ctx.opt.json:
        ctx.say(f"{'port':<{WIDTH}}  {'vlan-id':<9}\n")
    ctx.show(records, _text)


def _record(ctx: Context, dev: Device, vid: int) -> Record:
    from simvlan.rtnl.bridge_vlan import vlan_list

    vlans = vlan_list(dev)
    spans = _spans(vlans) if ctx.opt.details or ctx.opt.compressvlans else [(v, v.vid) for v in vlans]
    if ctx.opt.details:
        chosen = [(v, last) for v, last in spans if not vid or v.vid <= vid <= last]
    else:
        chosen = _filtered(spans, vid)
    return {"ifname": dev.name, "vlans": [_vlan(ctx, first, last) for first, last in chosen]}


def _show_stats(ctx: Context, only: Device | None, vid: int) -> None:
    """List the counters of VLANs, bridges before ports: zero while the bridge counts none (vlan_stats_enabled 0)."""
    from simvlan.devices.bridge import Bridge
    from simvlan.rtnl.bridge_vlan import vlan_list

    if any(isinstance(dev, Bridge) and dev.vlan_stats for dev in ctx.ns.devices.values()):
        raise refuse("bridge -statistics vlan of a bridge with vlan_stats_enabled 1")
    devices = sorted(by_index(ctx), key=lambda dev: not isinstance(dev, Bridge))
    records: list[Record] = []
    for dev in devices:
        own: Record = (
            {"flags": []} if isinstance(dev, Bridge) else {}
        )  # a bridge's own entries always have some flag set
        vlans = [_counted(vlan, own) for vlan in vlan_list(dev) if vid in (0, vlan.vid)]
        if vlans and only in (None, dev):
            records.append({"ifname": dev.name, "vlans": vlans})
    if not ctx.opt.json:
        ctx.say(f"{'port':<{WIDTH}}  vlan-id\n")
    ctx.show(records, _stats_text)


def _counted(vlan: Any, own: Record) -> Record:
    record: Record = {"vid": vlan.vid} | own | _flags(vlan)
    return record | dict.fromkeys(("rx_bytes", "rx_packets", "tx_bytes", "tx_packets"), 0)


def _flags(vlan: Any) -> Record:
    flags = [name for name, on in (("PVID", vlan.pvid), ("Egress Untagged", vlan.untagged)) if on]
    return {"flags": flags} if flags else {}


def _stats_text(record: Record) -> str:
    lines = []
    for place, vlan in enumerate(record["vlans"]):
        head = "" if place else record["ifname"]
        lines.append(f"{head:<{WIDTH}}  {vlan['vid']}" + "".join(f" {flag}" for flag in vlan.get("flags", ())) + "\n")
        for way in ("rx", "tx"):
            counts = f"{way.upper()}: {vlan[f'{way}_bytes']} bytes {vlan[f'{way}_packets']} packets"
            lines.append(f"{'':<{WIDTH}}    {counts}\n")
    return "".join(lines)


def _filtered(spans: list[tuple[Any, int]], vid: int) -> list[tuple[Any, int]]:
    """Pick what the older dump prints for one VLAN: the entry itself, or the range that ends at or after it."""
    if not vid:
        return spans
    return [(v, last) for v, last in spans if last >= vid and (v.vid <= vid)]


def _spans(vlans: list[Any]) -> list[tuple[Any, int]]:
    """Join neighbours with the same flags; the PVID stands alone."""
    spans: list[tuple[Any, int]] = []
    for vlan in vlans:
        if spans:
            first, last = spans[-1]
            if vlan.vid == last + 1 and vlan.untagged == first.untagged and not (vlan.pvid or first.pvid):
                spans[-1] = (first, vlan.vid)
                continue
        spans.append((vlan, vlan.vid))
    return spans


def _vlan(ctx: Context, vlan: Any, last: int) -> Record:
    record: Record = {"vlan": vlan.vid}
    if last != vlan.vid:
        record["vlanEnd"] = last
    record |= _flags(vlan)
    if ctx.opt.details:
        record |= {"state": "forwarding", "mcast_router": 1}
    return record


def _text(record: Record) -> str:
    lines = []
    for place, vlan in enumerate(record["vlans"]):
        head = "" if place else record["ifname"]
        span = f"{vlan['vlan']}" + (f"-{vlan['vlanEnd']}" if "vlanEnd" in vlan else "")
        lines.append(f"{head:<{WIDTH}}  {span}" + "".join(f" {flag}" for flag in vlan.get("flags", ())) + "\n")
        if "state" in vlan:
            lines.append(f"{'':<{WIDTH}}    state {vlan['state']} mcast_router {vlan['mcast_router']} \n")
    return "".join(lines)
