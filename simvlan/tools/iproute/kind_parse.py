"""The options after `type KIND`, read into the dict that rtnl takes. Mirrors the parse_opt of ip/iplink_*.c.

Keys and values are spelled as `ip -d -j link` shows them, where it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvlan.frame import mac_text
from simvlan.tools.iproute.args import (
    Args,
    lladdr,
    look_up,
    matches,
    need,
    on_off,
    on_off_text,
    parse_on_off,
    table,
    u8,
    u16,
    u32,
    u64,
)
from simvlan.tools.iproute.errors import WRONG, Failed, Quit, invalid, refuse
from simvlan.tools.iproute.usage import kind_usage

if TYPE_CHECKING:
    from simvlan.tools.iproute.context import Context

Info = dict[str, Any]
Rule = Callable[["Context", Info, Args], None]

_NOT_HERE = (
    "amt bareudp bond bond_slave can dsa erspan geneve gre gretap gtp hsr ifb ip6erspan ip6gre ip6gretap ip6tnl ipip"
    " ipoib ipvtap macsec macvtap netdevsim nlmon rmnet sit team team_slave tun vcan virt_wifi vrf vti vti6 vxcan"
    " vxlan wireguard wwan xfrm"
)
UNMODELLED = frozenset(_NOT_HERE.split())
"""Kinds of Linux that the simulator does not have."""


def parse_kind(ctx: Context, kind: str, args: Args) -> Info:
    """Read the options of a kind; of a bridge port when *kind* is `bridge_slave`."""
    info: Info = {}
    rows = _KINDS[kind]
    while args:
        word = args.take()
        rule = look_up(rows, word)
        if rule is not None:
            rule(ctx, info, args)
        else:
            raise Failed(WRONG, _unknown(kind, word) + kind_usage(kind))
    if kind in _CHECKS:
        _CHECKS[kind](info)
    return info


def _unknown(kind: str, word: str) -> str:
    if matches(word, "help"):
        return ""
    return f'{kind}: unknown {"command" if kind in ("bridge", "vlan") else "option"} "{word}"?\n'


def has_options(kind: str) -> bool:
    """Say whether a kind takes options at all."""
    return kind in _KINDS


# -- rules shared by kinds ---------------------------------------------------------------------------------------------


def _num(key: str, read: Callable[[str], int | None], problem: str = "invalid {}", word: str = "") -> Rule:
    def rule(ctx: Context, info: Info, args: Args) -> None:
        text = args.value()
        info[key] = need(read, text, invalid(problem.format(word or key), text))

    return rule


def _strict_switch(key: str) -> Rule:
    def rule(ctx: Context, info: Info, args: Args) -> None:
        info[key] = on_off(key, args.value())

    return rule


def _port_switch(key: str, word: str = "") -> Rule:
    """A switch of a bridge port: `on` and `off` may be abbreviated; iproute2 leaves at once on anything else."""

    def rule(ctx: Context, info: Info, args: Args) -> None:
        text = args.value()
        value = parse_on_off(text)
        if value is None:
            raise Quit(WRONG, on_off_text(word or key, text))
        info[key] = value

    return rule


def _flag(key: str, value: object = True) -> Rule:
    def rule(ctx: Context, info: Info, args: Args) -> None:
        info[key] = value

    return rule


def _proto(key: str, problem: str) -> Rule:
    def rule(ctx: Context, info: Info, args: Args) -> None:
        text = args.value()
        found = vlan_protocol(text)
        if found is None:
            raise invalid(problem, text)
        info[key] = found

    return rule


PROTOCOLS = {"802.1q": "802.1Q", "802.1ad": "802.1ad"}
_ETHERTYPES = {0x8100: "802.1Q", 0x88A8: "802.1ad"}
_OTHERS = {"ip": 0x0800, "ipv4": 0x0800, "arp": 0x0806, "ipv6": 0x86DD, "lldp": 0x88CC, "all": 3, "rarp": 0x8035}


def vlan_protocol(text: str) -> str | None:
    """Read an ethertype by name or number; others than the VLAN ones come back as digits, for the kernel to refuse."""
    if text.lower() in PROTOCOLS:
        return PROTOCOLS[text.lower()]
    value = _OTHERS.get(text.lower(), u16(text))
    return None if value is None else _ETHERTYPES.get(value, f"[{value}]")


# -- bridge ------------------------------------------------------------------------------------------------------------


def _group_address(ctx: Context, info: Info, args: Args) -> None:
    octets = lladdr(args.value())
    info["group_addr"] = mac_text(int.from_bytes(octets, "big")) if len(octets) == 6 else octets.hex(":")


def _mcast(word: str, key: str, read: Callable[[str], int | None]) -> tuple[str, Rule]:
    return word, _num(key, read, word=word)


_BRIDGE: list[tuple[str, Rule]] = [
    *((word, _num(word, u32)) for word in ("forward_delay", "hello_time", "max_age", "ageing_time", "stp_state")),
    ("priority", _num("priority", u16)),
    ("vlan_filtering", _num("vlan_filtering", u8)),
    ("vlan_protocol", _proto("vlan_protocol", "invalid vlan_protocol")),
    ("group_fwd_mask", _num("group_fwd_mask", u16)),
    ("group_address", _group_address),
    ("=no_linklocal_learn", _num("no_linklocal_learn", u8)),
    ("fdb_flush", _flag("fdb_flush")),
    ("vlan_default_pvid", _num("vlan_default_pvid", u16)),
    *((w, _num(w, u8)) for w in ("vlan_stats_enabled", "vlan_stats_per_port", "mcast_router", "mcast_snooping")),
    ("=mcast_vlan_snooping", _num("mcast_vlan_snooping", u8)),
    *((w, _num(w, u8)) for w in ("mcast_query_use_ifaddr", "mcast_querier")),
    *((w, _num(w, u32)) for w in ("mcast_hash_elasticity", "mcast_hash_max")),
    _mcast("mcast_last_member_count", "mcast_last_member_cnt", u32),
    _mcast("mcast_startup_query_count", "mcast_startup_query_cnt", u32),
    _mcast("mcast_last_member_interval", "mcast_last_member_intvl", u64),
    _mcast("mcast_membership_interval", "mcast_membership_intvl", u64),
    _mcast("mcast_querier_interval", "mcast_querier_intvl", u64),
    _mcast("mcast_query_interval", "mcast_query_intvl", u64),
    _mcast("mcast_query_response_interval", "mcast_query_response_intvl", u64),
    _mcast("mcast_startup_query_interval", "mcast_startup_query_intvl", u64),
    *((w, _num(w, u8)) for w in ("mcast_stats_enabled", "mcast_igmp_version", "mcast_mld_version")),
    *((w, _num(w, u8)) for w in ("nf_call_iptables", "nf_call_ip6tables", "nf_call_arptables")),
]

# -- bridge port -------------------------------------------------------------------------------------------------------


def _backup(ctx: Context, info: Info, args: Args) -> None:
    text = args.value()
    if ctx.device(text) is None:
        raise invalid("Device does not exist\n", text)
    info["backup_port"] = text


_PORT: list[tuple[str, Rule]] = [
    ("fdb_flush", _flag("fdb_flush")),
    ("state", _num("state", u8, "{} is invalid")),
    ("priority", _num("priority", u16, "{} is invalid")),
    ("cost", _num("cost", u32, "{} is invalid")),
    *((w, _port_switch(w)) for w in ("hairpin", "guard", "root_block", "fastleave", "learning", "flood")),
    *((w, _port_switch(w)) for w in ("mcast_flood", "bcast_flood", "mcast_to_unicast", "proxy_arp", "proxy_arp_wifi")),
    ("mcast_router", _num("multicast_router", u8, "invalid mcast_router")),
    ("mcast_fast_leave", _port_switch("fastleave", "mcast_fast_leave")),
    ("neigh_suppress", _port_switch("neigh_suppress")),
    ("group_fwd_mask", _num("group_fwd_mask", u16)),
    *((w, _port_switch(w)) for w in ("vlan_tunnel", "isolated", "locked")),
    ("backup_port", _backup),
    ("nobackup_port", _flag("backup_port", None)),
]

# -- vlan --------------------------------------------------------------------------------------------------------------


def _qos(key: str, word: str) -> Rule:
    def rule(ctx: Context, info: Info, args: Args) -> None:
        pairs = info.setdefault(key, [])
        while args and ":" in args.first:
            left, _, right = args.take().partition(":")
            source, target = u32(left), u32(right)
            if source is None or target is None:
                raise invalid(f"invalid {word}", left)
            pairs.append({"from": source, "to": target})

    return rule


_VLAN: list[tuple[str, Rule]] = [
    ("protocol", _proto("protocol", "protocol is invalid")),
    ("id", _num("id", u16, "{} is invalid")),
    *((w, _strict_switch(w)) for w in ("reorder_hdr", "gvrp", "mvrp", "loose_binding", "bridge_binding")),
    ("ingress-qos-map", _qos("ingress_qos", "ingress-qos-map")),
    ("egress-qos-map", _qos("egress_qos", "egress-qos-map")),
]

# -- macvlan -----------------------------------------------------------------------------------------------------------

_MACVLAN_MODES = ("private", "vepa", "bridge", "passthru", "source")


def _macvlan_mode(ctx: Context, info: Info, args: Args) -> None:
    text = args.value()
    if text not in _MACVLAN_MODES:
        raise Failed(
            WRONG,
            f'Error: argument of "mode" must be "private", "vepa", "bridge", "passthru" or "source", not "{text}"\n',
        )
    info["mode"] = text


def _macvlan_flag(ctx: Context, info: Info, args: Args) -> None:
    text = args.value()
    if text not in ("nopromisc", "nodst", "null"):
        raise Failed(WRONG, f'Error: argument of "flag" must be "nopromisc", "nodst" or "null", not "{text}"\n')
    info.setdefault("flags", []).extend([text] if text != "null" else [])


def _macvlan_flag_word(word: str) -> Rule:
    def rule(ctx: Context, info: Info, args: Args) -> None:
        info.setdefault("flags", []).append(word)

    return rule


def _macaddr(ctx: Context, info: Info, args: Args) -> None:
    """Read one change of the source list; `set` takes as many addresses as follow."""
    text = args.value()
    if text not in ("add", "del", "set", "flush"):
        raise Failed(WRONG, kind_usage("macvlan"))
    info["macaddr_mode"] = text
    if text in ("add", "del"):
        info["macaddr"] = _six(args.value())
    elif text == "set":
        info["macaddr_data"] = found = []
        while args and _looks_like_mac(args.first):
            found.append(_six(args.take()))
        if args:
            _six_or_complaint(ctx, args.first)


def _looks_like_mac(text: str) -> bool:
    try:
        return len(lladdr(text)) == 6
    except Failed:
        return False


def _six_or_complaint(ctx: Context, text: str) -> None:
    """Repeat what iproute2 says about the word that ends the list, before it reads it as an option."""
    try:
        lladdr(text)
    except Failed as failed:
        ctx.warn(failed.text)


def _six(text: str) -> str:
    octets = lladdr(text)
    if len(octets) != 6:
        raise Failed(WRONG)
    return octets.hex(":")


def _bcqueuelen(ctx: Context, info: Info, args: Args) -> None:
    text = args.value()
    value = u32(text)
    if value is None:
        raise Failed(
            WRONG,
            f'Error: argument of "bcqueuelen" must be a positive integer [0-4294967295], not "{text}"\n',
        )
    info["bcqueuelen"] = value


_MACVLAN: list[tuple[str, Rule]] = [
    ("mode", _macvlan_mode),
    ("flag", _macvlan_flag),
    ("macaddr", _macaddr),
    ("nopromisc", _macvlan_flag_word("nopromisc")),
    ("nodst", _macvlan_flag_word("nodst")),
    ("bcqueuelen", _bcqueuelen),
]


def _check_macvlan(info: Info) -> None:
    if "nopromisc" in info.get("flags", ()) and info.get("mode") != "passthru":
        raise Failed(WRONG, "macvlan: nopromisc flag only valid in passthru mode\n" + kind_usage("macvlan"))


# -- ipvlan ------------------------------------------------------------------------------------------------------------


def _ipvlan_mode(ctx: Context, info: Info, args: Args) -> None:
    text = args.value()
    if text not in ("l2", "l3", "l3s"):
        raise Failed(WRONG, 'Error: argument of "mode" must be either "l2", "l3" or "l3s"\n')
    info["mode"] = text


def _ipvlan_flag(word: str) -> Rule:
    def rule(ctx: Context, info: Info, args: Args) -> None:
        if any(flag in info for flag in ("private", "vepa", "bridge")):
            raise Failed(WRONG, f'ipvlan: unknown option "{args.words[args.at - 1]}"?\n' + kind_usage("ipvlan"))
        info[word] = True

    return rule


def _check_ipvlan(info: Info) -> None:
    """Send the flags always, as iproute2 does: none means bridge."""
    if not any(flag in info for flag in ("private", "vepa", "bridge")):
        info["bridge"] = True


_IPVLAN: list[tuple[str, Rule]] = [
    ("mode", _ipvlan_mode),
    *((word, _ipvlan_flag(word)) for word in ("private", "vepa", "bridge")),
]

_KINDS = {
    "bridge": table(_BRIDGE),
    "bridge_slave": table(_PORT),
    "ipvlan": table(_IPVLAN),
    "macvlan": table(_MACVLAN),
    "vlan": table(_VLAN),
}
_CHECKS: dict[str, Callable[[Info], None]] = {"macvlan": _check_macvlan, "ipvlan": _check_ipvlan}


def refuse_kind(kind: str) -> None:
    """Refuse by name a kind that Linux has and the simulator does not."""
    if kind in UNMODELLED:
        raise refuse(f"the link type {kind}")
