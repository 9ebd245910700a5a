"""The `linkinfo` of `ip -d -j link`: what each kind of device and each bridge port tells of itself.

Mirrors print_linktype of iproute2 6.1 and the print_opt of iplink_{vlan,macvlan,ipvlan,bridge,bridge_slave}.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from .links import Link, NotKnown, name_of
from .rtnetlink import Attributes, attributes, each_attribute

_KIND, _DATA, _SLAVE_KIND, _SLAVE_DATA = 1, 2, 4, 5
_PROTOCOLS = {0x8100: "802.1Q", 0x88A8: "802.1ad"}
_VLAN_FLAGS = ((1, "REORDER_HDR"), (2, "GVRP"), (4, "LOOSE_BINDING"), (8, "MVRP"), (16, "BRIDGE_BINDING"))
_MACVLAN_MODES = {1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}
_IPVLAN_MODES = ("l2", "l3", "l3s")
_PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")


def linkinfo(data: bytes, all_links: Iterable[Link]) -> dict[str, Any]:
    """IFLA_LINKINFO as iproute2 prints it."""
    it = attributes(data)
    info: dict[str, Any] = {}
    if _KIND in it:
        kind = it[_KIND].rstrip(b"\0").decode()
        info["info_kind"] = kind
        make = _KINDS[kind]
        if make and _DATA in it:
            info["info_data"] = make(it[_DATA])
    if _SLAVE_KIND in it:
        info["info_slave_kind"] = it[_SLAVE_KIND].rstrip(b"\0").decode()
        if info["info_slave_kind"] != "bridge":
            raise NotKnown
        info["info_slave_data"] = _port(attributes(it[_SLAVE_DATA]), all_links)
    return info


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _vlan(data: bytes) -> dict[str, Any]:
    it = attributes(data)
    row: dict[str, Any] = {"protocol": _PROTOCOLS[int.from_bytes(it[5], "big")], "id": _number(it[1])}
    if 2 in it:
        row["flags"] = [word for bit, word in _VLAN_FLAGS if _number(it[2][:4]) & bit]
    for kind, key in ((4, "ingress_qos"), (3, "egress_qos")):
        if kind in it:
            pairs = [struct.unpack("=II", pair) for _, pair in each_attribute(it[kind])]
            row[key] = [{"from": near, "to": far} for near, far in pairs]
    return row


def _macvlan(data: bytes) -> dict[str, Any]:
    it = attributes(data)
    row: dict[str, Any] = {"mode": _MACVLAN_MODES[_number(it[1])]}
    if _number(it.get(2, b"")) & 1:
        row["nopromisc"] = True
    row |= {key: _number(it[kind]) for kind, key in ((7, "bcqueuelen"), (8, "usedbcqueuelen")) if kind in it}
    if row["mode"] == "source" and 6 in it:
        row["macaddr_count"] = _number(it[6])
        if 5 in it:
            row["macaddr_data"] = [mac.hex(":") for kind, mac in each_attribute(it[5]) if kind == 4]
    return row


def _ipvlan(data: bytes) -> dict[str, Any]:
    it = attributes(data)
    row: dict[str, Any] = {"mode": _IPVLAN_MODES[_number(it[1])]}
    if 2 in it:
        bits = _number(it[2])
        row["private" if bits & 1 else "vepa" if bits & 2 else "bridge"] = True
    return row


# -- bridges: tables of (attribute, key, form) ------------------------------------------------------------------------


def _protocol(data: bytes) -> str:
    return _PROTOCOLS[int.from_bytes(data, "big")]


def _identifier(data: bytes) -> str:
    """struct ifla_bridge_id."""
    return f"{data[0]:02x}{data[1]:02x}." + ":".join(f"{octet:x}" for octet in data[2:8])


def _seconds(data: bytes) -> float:
    return _number(data) / 100


def _mask(data: bytes) -> str:
    return f"{_number(data):#x}" if _number(data) else "0"


def _bool(data: bytes) -> bool:
    return bool(data[0])


def _hexadecimal(data: bytes) -> str:
    return f"{_number(data):#x}"


def _mac(data: bytes) -> str:
    return data.hex(":")


Form = Callable[[bytes], Any]
_BRIDGE: tuple[tuple[int, str, Form], ...] = (
    (1, "forward_delay", _number), (2, "hello_time", _number), (3, "max_age", _number), (4, "ageing_time", _number),
    (5, "stp_state", _number), (6, "priority", _number), (7, "vlan_filtering", _number),
    (8, "vlan_protocol", _protocol), (11, "bridge_id", _identifier), (10, "root_id", _identifier),
    (12, "root_port", _number), (13, "root_path_cost", _number), (14, "topology_change", _number),
    (15, "topology_change_detected", _number), (16, "hello_timer", _seconds), (17, "tcn_timer", _seconds),
    (18, "topology_change_timer", _seconds), (19, "gc_timer", _seconds), (39, "vlan_default_pvid", _number),
    (41, "vlan_stats_enabled", _number), (45, "vlan_stats_per_port", _number), (9, "group_fwd_mask", _mask),
    (20, "group_addr", _mac), (23, "mcast_snooping", _number),
)  # fmt: skip
_BRIDGE_MORE: tuple[tuple[int, str, Form], ...] = (
    (22, "mcast_router", _number), (24, "mcast_query_use_ifaddr", _number), (25, "mcast_querier", _number),
    (26, "mcast_hash_elasticity", _number), (27, "mcast_hash_max", _number), (28, "mcast_last_member_cnt", _number),
    (29, "mcast_startup_query_cnt", _number), (30, "mcast_last_member_intvl", _number),
    (31, "mcast_membership_intvl", _number), (32, "mcast_querier_intvl", _number), (33, "mcast_query_intvl", _number),
    (34, "mcast_query_response_intvl", _number), (35, "mcast_startup_query_intvl", _number),
    (42, "mcast_stats_enabled", _number), (43, "mcast_igmp_version", _number), (44, "mcast_mld_version", _number),
    (36, "nf_call_iptables", _number), (37, "nf_call_ip6tables", _number), (38, "nf_call_arptables", _number),
)  # fmt: skip
_PORT: tuple[tuple[int, str, Form], ...] = (
    (1, "state", lambda data: _PORT_STATES[data[0]]), (2, "priority", _number), (3, "cost", _number),
    (4, "hairpin", _bool), (5, "guard", _bool), (6, "root_block", _bool), (7, "fastleave", _bool),
    (8, "learning", _bool), (9, "flood", _bool), (17, "id", _hexadecimal), (18, "no", _hexadecimal),
    (15, "designated_port", _number), (16, "designated_cost", _number), (14, "bridge_id", _identifier),
    (13, "root_id", _identifier), (23, "hold_timer", _seconds), (21, "message_age_timer", _seconds),
    (22, "forward_delay_timer", _seconds), (19, "topology_change_ack", _number), (20, "config_pending", _number),
    (10, "proxy_arp", _bool), (12, "proxy_arp_wifi", _bool), (25, "multicast_router", _number),
    (27, "mcast_flood", _bool), (30, "bcast_flood", _bool), (28, "mcast_to_unicast", _bool),
    (32, "neigh_suppress", _bool), (31, "group_fwd_mask", _mask), (31, "group_fwd_mask_str", _hexadecimal),
    (29, "vlan_tunnel", _bool), (33, "isolated", _bool), (39, "locked", _bool),
)  # fmt: skip
_BACKUP_PORT, _OPTIONS, _QUERIER_STATE = 34, 46, 47


def _rows(it: Attributes, table: tuple[tuple[int, str, Form], ...]) -> dict[str, Any]:
    return {key: form(it[kind]) for kind, key, form in table if kind in it}


def _bridge(data: bytes) -> dict[str, Any]:
    it = attributes(data)
    if it.get(_QUERIER_STATE):
        raise NotKnown
    row = _rows(it, _BRIDGE)
    if _OPTIONS in it:
        bits = _number(it[_OPTIONS][:4])
        row |= {"no_linklocal_learn": bits & 1, "mcast_vlan_snooping": bits >> 1 & 1}
    return row | _rows(it, _BRIDGE_MORE)


def _port(it: Attributes, all_links: Iterable[Link]) -> dict[str, Any]:
    row = _rows(it, _PORT)
    if _number(it[31]):
        raise NotKnown
    if _BACKUP_PORT in it:
        row["backup_port"] = name_of(_number(it[_BACKUP_PORT]), all_links)
    return row


_KINDS: dict[str, Callable[[bytes], dict[str, Any]] | None] = {
    "veth": None, "dummy": None, "vlan": _vlan, "macvlan": _macvlan, "ipvlan": _ipvlan, "bridge": _bridge,
}  # fmt: skip
