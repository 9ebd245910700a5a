"""Bridges that listen to MLD in random networks: who asks, who listens, where groups go, and when that is forgotten.

Hosts answer within a tenth of a second, which is waited for (`HEARD`). Where some query may be of version 1, whoever
hears another's report says nothing itself, and who is first is chance: so no group but those that count for nothing is
heard by two there. One bridge alone listens then, no namespace is a router, and all addresses end in ways of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.oracle.fuzz import ipv6 as six
from simvlan.stack.ipv6 import icmp6, mld, packet
from simvlan.stack.ipv6.addr import LINK_LOCAL, ip6_text, is_link_local, multicast_mac, parse_ip6, solicited_node

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.oracle.fuzz.sketch import Sketch

HEARD = "sleep 0.3"
ON = (
    *(setting for setting in six.ON if "mldv2" not in setting), "conf.default.mldv2_unsolicited_report_interval=1",
    "conf.default.mldv1_unsolicited_report_interval=1", "conf.default.router_solicitation_interval=2",
)  # fmt: skip
BRIEF = " mcast_membership_interval 900 mcast_querier_interval 1000"
ASKS = " mcast_query_response_interval 10 mcast_startup_query_interval 100000 mcast_last_member_interval 10"
WANTED = tuple(parse_ip6(text) for text in ("ff05::1:1", "ff05::1:2", "ff02::1:2", "ff0e::1:1"))
QUERIERS = ("fe80::9", "fe80::a", "::", "2001:db8::9")
LOUD = ("query", "done", "leave")
"""What is answered, or ends in a moment."""


def switch_on(sketch: Sketch, space: str) -> None:
    """A namespace whose devices have IPv6 and tell of groups at once."""
    for setting in ON:
        sketch.do(f"ip netns exec {space} sysctl -qw net.ipv6.{setting}")


def options(sketch: Sketch) -> str:
    """How a bridge listens, and whether it asks; one in a network alone may do so."""
    old = not any(dev.kind == "bridge" for dev in sketch.devices)
    listens = old and sketch.chance(0.9)
    asks = " mcast_querier 1" if listens and sketch.chance(0.5) else ""
    brief = BRIEF if sketch.chance(0.5) else ""
    return f"mcast_snooping {int(listens)}{ASKS}{asks}{brief}"


def speak(sketch: Sketch, dev: Device) -> None:
    """Send what a listener, a querier or a source of data would."""
    rng = sketch.rng
    kind = rng.choice(tuple(_KINDS))
    src = LINK_LOCAL | rng.randint(0x21, 0x24) if sketch.chance(0.9) else parse_ip6(rng.choice(QUERIERS))
    dst, octets = _KINDS[kind](sketch, src, _group(sketch))
    if sketch.chance(0.04):
        octets = octets[:-1] + bytes((octets[-1] ^ 1,))
    if sketch.chance(0.04):
        octets = octets[: rng.choice((40, 48, 56, 71))]
    mac = rng.choice((dev.mac, 0x02_DE_AD_00_00_01 + rng.randint(0, 2)))
    head = multicast_mac(dst).to_bytes(6, "big") + mac.to_bytes(6, "big") + rng.choice((b"", b"", b"\x81\0\0\5"))
    sketch.send(dev, head + b"\x86\xdd" + octets)
    if kind in LOUD:
        sketch.do(HEARD)


def _group(sketch: Sketch) -> int:
    known = [solicited_node(parse_ip6(text)) for text in six.owned(sketch)]
    return sketch.rng.choice((*WANTED, *WANTED, *known[:3]))


Made = tuple[int, bytes]
ALL_NODES, ALL_ROUTERS, MLD2, SNOOPERS = (parse_ip6(f"ff02::{last}") for last in ("1", "2", "16", "6a"))


def _query(sketch: Sketch, _src: int, group: int) -> Made:
    rng = sketch.rng
    src = parse_ip6(rng.choice(QUERIERS)) if sketch.chance(0.9) else LINK_LOCAL | rng.randint(1, 255)
    about = rng.choice((0, 0, 0, group))
    robustness = rng.choice((None, 2, 2, 3))
    sources = (parse_ip6("2001:db8::1"),) if about and robustness and sketch.chance(0.2) else ()
    dst = ALL_NODES if not about or sketch.chance(0.5) else about
    said = mld.Query(about, rng.choice((100, 100, 40)), robustness=robustness, sources=sources)
    return dst, mld.envelope(src, dst, mld.build_query(src, dst, said))


def _report(_sketch: Sketch, src: int, group: int) -> Made:
    return group, mld.envelope(src, group, mld.build_v1(src, group, mld.MLD_REPORT, group))


def _done(_sketch: Sketch, src: int, group: int) -> Made:
    return ALL_ROUTERS, mld.envelope(src, ALL_ROUTERS, mld.build_v1(src, ALL_ROUTERS, mld.MLD_DONE, group))


def _records(sketch: Sketch, src: int, group: int, kinds: tuple[int, ...]) -> Made:
    rng = sketch.rng
    sources = (parse_ip6("2001:db8::1"),) if sketch.chance(0.2) else ()
    records = [mld.Record(rng.choice(kinds), group, sources)]
    if sketch.chance(0.3):
        records.append(mld.Record(rng.choice(kinds), rng.choice(WANTED)))
    return MLD2, mld.envelope(src, MLD2, mld.build_report(src, MLD2, tuple(records)))


def _newer(sketch: Sketch, src: int, group: int) -> Made:
    return _records(sketch, src, group, (mld.IS_EX, mld.TO_EX, mld.TO_EX, mld.IS_IN, mld.ALLOW, mld.BLOCK))


def _leave(sketch: Sketch, src: int, group: int) -> Made:
    return _records(sketch, src, group, (mld.TO_IN, mld.TO_IN, mld.BLOCK))


def _router(sketch: Sketch, src: int, _group: int) -> Made:
    message = icmp6.seal(src, SNOOPERS, bytes((151, 20, 0, 0, 0, 125, 0, 2)))
    plain = packet.build(src, SNOOPERS, packet.ICMPV6, message, hops=1)
    return SNOOPERS, mld.envelope(src, SNOOPERS, message) if sketch.chance(0.7) else plain


def _short(sketch: Sketch, src: int, group: int) -> Made:
    """A message of a listener or querier that ends before its group does."""
    kind = sketch.rng.choice((mld.MLD_QUERY, mld.MLD_REPORT, mld.MLD_DONE, mld.MLD2_REPORT))
    message = bytes((kind, 0, 0, 0, 0, 100, 0, 0)) + group.to_bytes(16, "big")
    cut = icmp6.seal(src, group, message[: sketch.rng.choice((8, 12, 23))])
    return group, mld.envelope(src, group, cut)


def _data(sketch: Sketch, _src: int, group: int) -> Made:
    src = parse_ip6("2001:db8::77")
    head = (4000).to_bytes(2, "big") + (9).to_bytes(2, "big") + (12).to_bytes(2, "big")
    total = packet.transport_checksum(src, group, packet.UDP, head + b"\0\0data") or 0xFFFF
    hops = sketch.rng.choice((64, 1))
    return group, packet.build(src, group, packet.UDP, head + total.to_bytes(2, "big") + b"data", hops)


_KINDS = {
    "query": _query, "report": _report, "report more": _report, "done": _done, "newer": _newer, "newer more": _newer,
    "leave": _leave, "router": _router, "short": _short, "data": _data, "data more": _data, "data again": _data,
    "data still": _data,
}  # fmt: skip


# -- changes ----------------------------------------------------------------------------------------------------------

_BRIDGE = ("mcast_snooping 0", "mcast_snooping 1", "mcast_querier 1", "mcast_querier 0", "mcast_router 0",
           "mcast_router 2", "mcast_router 1", "mcast_query_use_ifaddr 1")  # fmt: skip
_PORT = ("mcast_router 0", "mcast_router 1", "mcast_router 2", "mcast_router 3", "mcast_fast_leave on",
         "mcast_fast_leave off", "mcast_flood off", "mcast_to_unicast on", "isolated on", "hairpin on")  # fmt: skip


def _listening(sketch: Sketch) -> Device | None:
    return next((dev for dev in sketch.devices if dev.kind == "bridge"), None)


def bridge(sketch: Sketch) -> None:
    """The bridge that listens begins or ends something."""
    if dev := _listening(sketch):
        sketch.set(dev, f"type bridge {sketch.rng.choice(_BRIDGE)}")
        sketch.do(HEARD)


def port(sketch: Sketch) -> None:
    """A port's own settings."""
    if sketch.ports:
        sketch.set(sketch.rng.choice(sketch.ports), f"type bridge_slave {sketch.rng.choice(_PORT)}")


def entry(sketch: Sketch) -> None:
    """A port is given a group, or loses it."""
    if sketch.ports:
        dev = sketch.rng.choice(sketch.ports)
        verb, kind = sketch.rng.choice((("add", " permanent"), ("add", " temp"), ("add", ""), ("del", "")))
        group = sketch.rng.choice(("ff05::1:1", "ff0e::1:1", "ff02::1:2", "ff02::1"))
        master = dev.master.name if dev.master else ""
        sketch.do(f"bridge -n {dev.netns.name} mdb {verb} dev {master} port {dev.name} grp {group}{kind}")


def address(sketch: Sketch) -> None:
    """An address comes, so that a group is heard, or goes."""
    if dev := sketch.pick():
        own = [ip for ip in six.addresses_of(dev) if not is_link_local(ip)]
        if own and sketch.chance(0.5):
            sketch.do(f"ip -n {dev.netns.name} addr del {ip6_text(own[0])}/64 dev {dev.name}")
        else:
            text = six.address(sketch, sketch.rng.randint(100, 900))
            sketch.do(f"ip -n {dev.netns.name} addr add {text}/64 dev {dev.name}")


CHANGES = (bridge, bridge, bridge, port, port, entry, address, address)
