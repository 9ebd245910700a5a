"""The options of a kind as `ip -d link` writes them, from their JSON form. Mirrors the print_opt of ip/iplink_*.c."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvlan.tools.iproute.context import Record

if TYPE_CHECKING:
    from simvlan.tools.iproute.context import Options

_RENAMED = {
    "root_id": "designated_root",
    "group_addr": "group_address",
    "mcast_last_member_cnt": "mcast_last_member_count",
    "mcast_startup_query_cnt": "mcast_startup_query_count",
    "mcast_last_member_intvl": "mcast_last_member_interval",
    "mcast_membership_intvl": "mcast_membership_interval",
    "mcast_querier_intvl": "mcast_querier_interval",
    "mcast_query_intvl": "mcast_query_interval",
    "mcast_query_response_intvl": "mcast_query_response_interval",
    "mcast_startup_query_intvl": "mcast_startup_query_interval",
}
"""JSON keys of a bridge's options whose word in the text differs."""

_PORT_RENAMED = {
    "id": "port_id",
    "no": "port_no",
    "bridge_id": "designated_bridge",
    "root_id": "designated_root",
    "multicast_router": "mcast_router",
}


def bridge_text(data: Record, opt: Options) -> str:
    """Write a bridge's options."""
    return "".join(field(_RENAMED.get(key, key), value) for key, value in data.items())


def port_text(data: Record) -> str:
    """Write a bridge port's options; fast leave appears twice, the second time before the flood flags."""
    parts = []
    for key, value in data.items():
        parts.append(field(_PORT_RENAMED.get(key, key), value))
        if key == "multicast_router":
            parts.append(field("mcast_fast_leave", data["fastleave"]))
    return "".join(parts)


def field(word: str, value: Any) -> str:
    """Write one option: switches as words, timers aligned."""
    if word.endswith("_timer"):
        return f"{word} {value:7.2f} "
    return f"{word} {('on' if value else 'off') if isinstance(value, bool) else value} "


def vlan_text(data: Record, opt: Options) -> str:
    """Write a VLAN device's options."""
    text = f"protocol {data['protocol']} id {data['id']} "
    text += f"<{','.join(data['flags'])}> " if "flags" in data else ""
    for key, word in (("ingress_qos", "ingress-qos-map"), ("egress_qos", "egress-qos-map")):
        if key in data:
            pairs = "".join(f"{pair['from']}:{pair['to']} " for pair in data[key])
            text += f"{opt.line}      {word} {{ {pairs}}} "
    return text


def macvlan_text(data: Record, opt: Options) -> str:
    """Write a macvlan's options."""
    text = f"mode {data['mode']} " + "".join(f"{flag} " for flag in ("nopromisc", "nodst") if data.get(flag))
    text += "".join(f"{key} {data[key]} " for key in ("bcqueuelen", "usedbcqueuelen") if key in data)
    if "macaddr_count" in data:
        text += f"remotes ({data['macaddr_count']}) " + "".join(f"{mac} " for mac in data.get("macaddr_data", ()))
    return text


def ipvlan_text(data: Record, opt: Options) -> str:
    """Write an ipvlan's options; the mode has a space of its own before it."""
    return f" mode {data['mode']} " + "".join(f"{flag} " for flag in ("private", "vepa", "bridge") if data.get(flag))


KIND_TEXT: dict[str, Callable[[Record, Options], str]] = {
    "bridge": bridge_text,
    "ipvlan": ipvlan_text,
    "macvlan": macvlan_text,
    "vlan": vlan_text,
}
