"""The options of a bridge and of its ports: names, ranges, how each is set, how each is shown.

Mirrors br_changelink, br_setport, br_fill_info and br_port_fill_attrs of net/bridge/br_netlink.c (6.1). Keys are those
of `ip -d -j link`; the words of the command line (mcast_query_interval for mcast_query_intvl) are accepted too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from errno import EINVAL, EPROTONOSUPPORT, ERANGE
from typing import Any, NamedTuple

from simvlan.clock import TICK
from simvlan.devices import bridge_ports
from simvlan.devices.bridge import LINK_LOCAL, PROVIDER_FWD_MASK, Bridge
from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import DOT1Q, QINQ, mac_text, parse_mac

ALIASES = {
    "group_address": "group_addr",
    "mcast_last_member_count": "mcast_last_member_cnt",
    "mcast_startup_query_count": "mcast_startup_query_cnt",
    "mcast_last_member_interval": "mcast_last_member_intvl",
    "mcast_membership_interval": "mcast_membership_intvl",
    "mcast_querier_interval": "mcast_querier_intvl",
    "mcast_query_interval": "mcast_query_intvl",
    "mcast_query_response_interval": "mcast_query_response_intvl",
    "mcast_startup_query_interval": "mcast_startup_query_intvl",
}
PROTOCOLS = {"802.1Q": DOT1Q, "802.1q": DOT1Q, "802.1ad": QINQ, "802.1AD": QINQ}


class Option(NamedTuple):
    """One option: *check* turns a wish into a value or refuses, *apply* sets it."""

    check: Callable[[Bridge, Any], Any]
    apply: Callable[[Bridge, Any], None]


def number(value: object) -> int:
    """Read a number given as a number, a truth value or text (decimal or 0x)."""
    if isinstance(value, (bool, int)):
        return int(value)
    words = {"on": 1, "off": 0}
    text = str(value)
    return words[text] if text in words else int(text, 0)


def _any(bridge: Bridge, value: object) -> int:
    return number(value)


def _within(low: int, high: int) -> Callable[[Bridge, Any], int]:
    """Make a check for a range in ticks; ERANGE outside."""

    def check(bridge: Bridge, value: object) -> int:
        ticks = number(value)
        if not low <= ticks <= high:
            raise RtnlError(ERANGE, None, bridge.path)
        return ticks * TICK

    return check


def _ticks(bridge: Bridge, value: object) -> int:
    return number(value) * TICK


# -- checks ---------------------------------------------------------------------------------------------------------


def _check_forward_delay(bridge: Bridge, value: object) -> int:
    """2 to 30 s while STP runs, anything otherwise (br_set_forward_delay)."""
    ticks = number(value)
    if bridge.stp.enabled and not 200 <= ticks <= 3000:
        raise RtnlError(ERANGE, None, bridge.path)
    return ticks * TICK


def check_protocol(bridge: Bridge | None, value: object) -> int:
    """802.1Q or 802.1ad (br_validate)."""
    tpid = PROTOCOLS.get(str(value)) if isinstance(value, str) else number(value)
    if tpid not in (DOT1Q, QINQ):
        raise RtnlError(EPROTONOSUPPORT)
    return tpid


def check_default_pvid(bridge: Bridge | None, value: object) -> int:
    """0 to 4094 (br_validate)."""
    pvid = number(value)
    if not 0 <= pvid < 4095:
        raise RtnlError(EINVAL)
    return pvid


def _check_group_fwd_mask(bridge: Bridge, value: object) -> int:
    """STP, PAUSE and LACP are never forwarded by request (BR_GROUPFWD_RESTRICTED)."""
    mask = number(value)
    if mask & 0x7 or not 0 <= mask <= 0xFFFF:
        raise RtnlError(EINVAL, None, bridge.path)
    return mask


def _check_group_address(bridge: Bridge, value: object) -> int:
    """01:80:c2:00:00:0X with X none of 1, 2, 3."""
    mac = value if isinstance(value, int) else parse_mac(str(value))
    if mac & ~0xF != LINK_LOCAL or mac & 0xF in (1, 2, 3):
        raise RtnlError(EINVAL, None, bridge.path)
    return mac


def _check_router(bridge: Bridge, value: object) -> int:
    """0 never, 1 as heard, 2 always."""
    router = number(value)
    if router not in (0, 1, 2):
        raise RtnlError(EINVAL, None, bridge.path)
    return router


def _only(fixed: int, what: str) -> Callable[[Bridge, Any], int]:
    """Make a check that refuses, by name, everything but the kernel's default."""

    def check(bridge: Bridge, value: object) -> int:
        if number(value) != fixed:
            raise Unsupported(f"bridge option {what} {value} is not modelled (only {fixed})")
        return fixed

    return check


# -- applying -------------------------------------------------------------------------------------------------------


def _set_forward_delay(bridge: Bridge, delay: int) -> None:
    stp = bridge.stp
    stp.own_forward_delay = delay
    if stp.is_root:
        stp.forward_delay = delay


def _set_hello_time(bridge: Bridge, time_ns: int) -> None:
    stp = bridge.stp
    stp.own_hello_time = time_ns
    if stp.is_root:
        stp.hello_time = time_ns


def _set_max_age(bridge: Bridge, time_ns: int) -> None:
    stp = bridge.stp
    stp.own_max_age = time_ns
    if stp.is_root:
        stp.max_age = time_ns


def _set_ageing_time(bridge: Bridge, time_ns: int) -> None:
    """Change the ageing time and sweep at once (br_set_ageing_time)."""
    bridge.own_ageing_time = bridge.ageing_time = time_ns
    if bridge.up:
        bridge.fdb.start_sweeps(0)


def _set_stp(bridge: Bridge, enabled: int) -> None:
    bridge.stp.set_enabled(bool(enabled))


def _set_priority(bridge: Bridge, priority: int) -> None:
    bridge.stp.change_id((priority & 0xFFFF) << 48 | bridge.stp.own & 0xFFFF_FFFF_FFFF)


def _set_vlan_filtering(bridge: Bridge, enabled: int) -> None:
    """Filter or not; entries learned before stay (br_vlan_filter_toggle)."""
    if bridge.vlan_filtering == bool(enabled):
        return
    bridge.vlan_filtering = bool(enabled)
    bridge_ports.manage_promisc(bridge)
    _recalculate_group(bridge)
    bridge.refresh()


def _set_vlan_protocol(bridge: Bridge, tpid: int) -> None:
    """Choose the bridge's tag (__br_vlan_set_proto)."""
    bridge.vlan_protocol = tpid
    _recalculate_group(bridge)


def _recalculate_group(bridge: Bridge) -> None:
    """An 802.1ad bridge uses its own group address and forwards a customer's (recalculate_group_addr)."""
    provider = bridge.vlan_filtering and bridge.vlan_protocol == QINQ
    if not bridge.group_address_by_user:
        bridge.group_address = LINK_LOCAL | (8 if provider else 0)
    own_bit = 1 << (bridge.group_address & 0xF)
    bridge.group_fwd_mask_required = PROVIDER_FWD_MASK & ~own_bit if provider else 0


def _set_group_address(bridge: Bridge, mac: int) -> None:
    bridge.group_address = mac
    bridge.group_address_by_user = True
    _recalculate_group(bridge)


def _set_default_pvid(bridge: Bridge, pvid: int) -> None:
    """Replace the default PVID wherever it is as made (__br_vlan_set_default_pvid)."""
    old = bridge.vlan_default_pvid
    for port in (None, *bridge.ports):
        group = port.vlans if port else bridge.vlan_group
        if old and not group.is_default(old):
            continue
        if pvid and pvid in group.vids:
            continue
        if pvid:
            bridge_ports.add_vlan(bridge, port, pvid, pvid=True, untagged=True)
        if old:
            bridge_ports.delete_vlan(bridge, port, old)
    bridge.vlan_default_pvid = pvid


def _set_fdb_flush(bridge: Bridge, _: int) -> None:
    bridge.fdb.flush()


def _set_mcast(name: str) -> Callable[[Bridge, int], None]:
    """Make a setter of a plain snooping value."""

    def apply(bridge: Bridge, value: int) -> None:
        setattr(bridge.mcast, name, value)

    return apply


def _set_bridge(name: str) -> Callable[[Bridge, int], None]:
    """Make a setter of a plain value of the bridge."""

    def apply(bridge: Bridge, value: int) -> None:
        setattr(bridge, name, value)

    return apply


def _set_nf_call(name: str) -> Callable[[Bridge, int], None]:
    def apply(bridge: Bridge, value: int) -> None:
        bridge.nf_call[name] = value

    return apply


def _nothing(bridge: Bridge, value: int) -> None:
    """Apply nothing: the only accepted value is in force already."""


OPTIONS: dict[str, Option] = {
    "forward_delay": Option(_check_forward_delay, _set_forward_delay),
    "hello_time": Option(_within(100, 1000), _set_hello_time),
    "max_age": Option(_within(600, 4000), _set_max_age),
    "ageing_time": Option(_ticks, _set_ageing_time),
    "stp_state": Option(_any, _set_stp),
    "priority": Option(_any, _set_priority),
    "vlan_filtering": Option(_any, _set_vlan_filtering),
    "vlan_protocol": Option(check_protocol, _set_vlan_protocol),
    "group_fwd_mask": Option(_check_group_fwd_mask, _set_bridge("group_fwd_mask")),
    "group_addr": Option(_check_group_address, _set_group_address),
    "fdb_flush": Option(_any, _set_fdb_flush),
    "no_linklocal_learn": Option(_any, _set_bridge("no_linklocal_learn")),
    "mcast_vlan_snooping": Option(_only(0, "mcast_vlan_snooping"), _nothing),
    "mst_enabled": Option(_only(0, "mst_enabled"), _nothing),
    "mcast_router": Option(_check_router, lambda b, v: b.mcast.set_router(v)),
    "mcast_snooping": Option(_any, lambda b, v: b.mcast.set_enabled(bool(v))),
    "mcast_query_use_ifaddr": Option(_any, _set_mcast("use_ifaddr")),
    "mcast_querier": Option(_any, lambda b, v: b.mcast.set_querier(bool(v))),
    "mcast_hash_elasticity": Option(_any, _nothing),
    "mcast_hash_max": Option(_any, _set_mcast("hash_max")),
    "mcast_last_member_cnt": Option(_any, _set_mcast("last_member_count")),
    "mcast_startup_query_cnt": Option(_any, _set_mcast("startup_query_count")),
    "mcast_last_member_intvl": Option(_ticks, _set_mcast("last_member_interval")),
    "mcast_membership_intvl": Option(_ticks, _set_mcast("membership_interval")),
    "mcast_querier_intvl": Option(_ticks, _set_mcast("querier_interval")),
    "mcast_query_intvl": Option(_ticks, _set_mcast("query_interval")),
    "mcast_query_response_intvl": Option(_ticks, _set_mcast("query_response_interval")),
    "mcast_startup_query_intvl": Option(_ticks, _set_mcast("startup_query_interval")),
    "mcast_stats_enabled": Option(_any, _set_mcast("stats_enabled")),
    "mcast_igmp_version": Option(_only(2, "mcast_igmp_version"), _nothing),
    "mcast_mld_version": Option(_only(1, "mcast_mld_version"), _nothing),
    "vlan_default_pvid": Option(check_default_pvid, _set_default_pvid),
    "vlan_stats_enabled": Option(_any, _set_bridge("vlan_stats")),
    "vlan_stats_per_port": Option(_only(0, "vlan_stats_per_port"), _nothing),
    "nf_call_iptables": Option(_only(0, "nf_call_iptables"), _set_nf_call("nf_call_iptables")),
    "nf_call_ip6tables": Option(_only(0, "nf_call_ip6tables"), _set_nf_call("nf_call_ip6tables")),
    "nf_call_arptables": Option(_only(0, "nf_call_arptables"), _set_nf_call("nf_call_arptables")),
}


def wishes(info: Mapping[str, object]) -> dict[str, object]:
    """Bring option names to one spelling; refuse unknown ones by name."""
    found = {ALIASES.get(key, key): value for key, value in info.items()}
    for key in found:
        if key not in OPTIONS:
            raise Unsupported(f"bridge option {key!r} is not modelled")
    return found


def change(bridge: Bridge, info: Mapping[str, object]) -> None:
    """Set options in the kernel's order: vlan and pvid are validated first, then each is checked and applied."""
    asked = wishes(info)
    for key, check in (("vlan_protocol", check_protocol), ("vlan_default_pvid", check_default_pvid)):
        if key in asked:
            check(bridge, asked[key])
    for key, option in OPTIONS.items():
        if key in asked:
            option.apply(bridge, option.check(bridge, asked[key]))
    bridge.flush()


# -- showing --------------------------------------------------------------------------------------------------------


def id_text(bridge_id: int) -> str:
    """Write a bridge id as iproute2 does: priority, then octets without leading zeros."""
    octets = (bridge_id & 0xFFFF_FFFF_FFFF).to_bytes(6, "big")
    return f"{bridge_id >> 48:04x}." + ":".join(f"{o:x}" for o in octets)


def seconds(time_ns: int) -> float:
    """Return a timer's rest in seconds, to the hundredth."""
    return time_ns // TICK / 100


def _stp_info(bridge: Bridge) -> dict[str, object]:
    stp = bridge.stp
    return {
        "forward_delay": stp.forward_delay // TICK,
        "hello_time": stp.hello_time // TICK,
        "max_age": stp.max_age // TICK,
        "ageing_time": bridge.ageing_time // TICK,
        "stp_state": int(stp.enabled),
        "priority": stp.priority,
        "vlan_filtering": int(bridge.vlan_filtering),
        "vlan_protocol": "802.1ad" if bridge.vlan_protocol == QINQ else "802.1Q",
        "bridge_id": id_text(stp.own),
        "root_id": id_text(stp.root),
        "root_port": stp.root_port,
        "root_path_cost": stp.root_cost,
        "topology_change": int(stp.topology_change),
        "topology_change_detected": int(stp.topology_change_detected),
        "hello_timer": seconds(stp.hello_timer.left),
        "tcn_timer": seconds(stp.tcn_timer.left),
        "topology_change_timer": seconds(stp.topology_change_timer.left),
        "gc_timer": seconds(bridge.fdb.sweep_left),
    }


def _mcast_info(bridge: Bridge) -> dict[str, object]:
    mcast = bridge.mcast
    return {
        "mcast_snooping": int(mcast.enabled),
        "no_linklocal_learn": int(bridge.no_linklocal_learn),
        "mcast_vlan_snooping": 0,
        "mcast_router": mcast.router,
        "mcast_query_use_ifaddr": int(mcast.use_ifaddr),
        "mcast_querier": int(mcast.querier),
        "mcast_hash_elasticity": 16,
        "mcast_hash_max": mcast.hash_max,
        "mcast_last_member_cnt": mcast.last_member_count,
        "mcast_startup_query_cnt": mcast.startup_query_count,
        "mcast_last_member_intvl": mcast.last_member_interval // TICK,
        "mcast_membership_intvl": mcast.membership_interval // TICK,
        "mcast_querier_intvl": mcast.querier_interval // TICK,
        "mcast_query_intvl": mcast.query_interval // TICK,
        "mcast_query_response_intvl": mcast.query_response_interval // TICK,
        "mcast_startup_query_intvl": mcast.startup_query_interval // TICK,
        "mcast_stats_enabled": int(mcast.stats_enabled),
        "mcast_igmp_version": 2,
        "mcast_mld_version": 1,
    }


def info(bridge: Bridge) -> dict[str, object]:
    """Return what `ip -d -j link` shows under info_data."""
    return {
        **_stp_info(bridge),
        "vlan_default_pvid": bridge.vlan_default_pvid,
        "vlan_stats_enabled": int(bridge.vlan_stats),
        "vlan_stats_per_port": 0,
        "group_fwd_mask": f"{bridge.group_fwd_mask:#x}" if bridge.group_fwd_mask else "0",
        "group_addr": mac_text(bridge.group_address),
        **_mcast_info(bridge),
        **bridge.nf_call,
    }
