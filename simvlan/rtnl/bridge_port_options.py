"""The options of a bridge port: `type bridge_slave ...` and `bridge link set`. Mirrors br_setport (6.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from errno import EBUSY, EINVAL, ENETDOWN, ERANGE
from typing import NamedTuple

from simvlan.devices import bridge_ports
from simvlan.devices.bridge_port import BridgePort
from simvlan.devices.bridge_stp_port import State
from simvlan.errors import RtnlError, Unsupported
from simvlan.rtnl.bridge_options import id_text, number, seconds

ALIASES = {
    "multicast_router": "mcast_router",
    "bpdu_guard": "guard",
    "path_cost": "cost",
    "fast_leave": "fastleave",
    "mcast_fast_leave": "fastleave",
}
FLAGS = (
    "hairpin", "guard", "fastleave", "root_block", "learning", "flood", "mcast_flood", "mcast_to_unicast",
    "bcast_flood", "proxy_arp", "proxy_arp_wifi", "neigh_suppress", "isolated", "locked",
)  # fmt: skip
AUTO_FLAGS = ("learning", "flood")
"""Flags that decide how many ports must hear everything (BR_AUTO_MASK)."""


class Option(NamedTuple):
    """One option: *check* turns a wish into a value or refuses, *apply* sets it."""

    check: Callable[[BridgePort, object], int]
    apply: Callable[[BridgePort, int], None]


def _flag(name: str) -> Option:
    def apply(port: BridgePort, value: int) -> None:
        setattr(port, name, bool(value))

    return Option(_any, apply)


def _any(port: BridgePort, value: object) -> int:
    return number(value)


def _check_cost(port: BridgePort, value: object) -> int:
    cost = number(value)
    if not 1 <= cost <= 65_535:
        raise RtnlError(ERANGE, None, port.dev.path)
    return cost


def _check_priority(port: BridgePort, value: object) -> int:
    priority = number(value)
    if not 0 <= priority <= 63:
        raise RtnlError(ERANGE, None, port.dev.path)
    return priority


def _check_state(port: BridgePort, value: object) -> int:
    """States are the protocol's while it runs; a dead port can only be disabled (br_set_port_state)."""
    names = {s.name.lower(): s.value for s in State}
    state = names[value] if isinstance(value, str) and value in names else number(value)
    if not 0 <= state <= State.BLOCKING:
        raise RtnlError(EINVAL, None, port.dev.path)
    if port.bridge.stp.enabled:
        raise RtnlError(EBUSY, None, port.dev.path)
    if not port.dev.up or (not port.dev.running and state != State.DISABLED):
        raise RtnlError(ENETDOWN, None, port.dev.path)
    return state


def _check_group_fwd_mask(port: BridgePort, value: object) -> int:
    """PAUSE frames are never forwarded (BR_GROUPFWD_MACPAUSE)."""
    mask = number(value)
    if mask & 0x2 or not 0 <= mask <= 0xFFFF:
        raise RtnlError(EINVAL, None, port.dev.path)
    return mask


def _check_router(port: BridgePort, value: object) -> int:
    router = number(value)
    if not 0 <= router <= 3:
        raise RtnlError(EINVAL, None, port.dev.path)
    return router


def _set_state(port: BridgePort, value: int) -> None:
    port.set_state(State(value))
    port.bridge.stp.port_state_selection()


def _set_cost(port: BridgePort, value: int) -> None:
    port.bridge.stp.set_cost(port, value)


def _set_priority(port: BridgePort, value: int) -> None:
    port.bridge.stp.set_port_priority(port, value)


def _set_flush(port: BridgePort, _: int) -> None:
    port.bridge.fdb.delete_by_port(port)


def _set_router(port: BridgePort, value: int) -> None:
    port.bridge.mcast.set_port_router(port, value)


def _set_group_fwd_mask(port: BridgePort, value: int) -> None:
    port.group_fwd_mask = value


OPTIONS: dict[str, Option] = {
    **{name: _flag(name) for name in FLAGS},
    "cost": Option(_check_cost, _set_cost),
    "priority": Option(_check_priority, _set_priority),
    "state": Option(_check_state, _set_state),
    "fdb_flush": Option(_any, _set_flush),
    "mcast_router": Option(_check_router, _set_router),
    "group_fwd_mask": Option(_check_group_fwd_mask, _set_group_fwd_mask),
}


def wishes(info: Mapping[str, object]) -> dict[str, object]:
    """Bring option names to one spelling; refuse by name what is not modelled."""
    found = {ALIASES.get(key, key): value for key, value in info.items()}
    for key, value in list(found.items()):
        if key == "vlan_tunnel" and not number(value):
            del found[key]
        elif key not in OPTIONS:
            raise Unsupported(f"bridge port option {key!r} is not modelled")
    return found


def change(port: BridgePort, info: Mapping[str, object]) -> None:
    """Set options in the kernel's order: flags, cost, priority, state, the rest (br_setport)."""
    asked = wishes(info)
    for key, option in OPTIONS.items():
        if key in asked:
            option.apply(port, option.check(port, asked[key]))
    bridge = port.bridge
    if any(flag in asked for flag in AUTO_FLAGS):
        bridge_ports.manage_promisc(bridge)
    bridge.refresh()
    bridge.flush()


def info(port: BridgePort) -> dict[str, object]:
    """Return what `ip -d -j link` shows under info_slave_data."""
    stp = port.stp
    return {
        "state": port.state.name.lower(),
        "priority": stp.priority,
        "cost": stp.cost,
        "hairpin": port.hairpin,
        "guard": port.guard,
        "root_block": port.root_block,
        "fastleave": port.fastleave,
        "learning": port.learning,
        "flood": port.flood,
        "id": f"{stp.own_id:#x}",
        "no": f"{port.number:#x}",
        "designated_port": stp.port_id,
        "designated_cost": stp.root_cost,
        "bridge_id": id_text(stp.bridge),
        "root_id": id_text(stp.root),
        "hold_timer": seconds(stp.hold_timer.left),
        "message_age_timer": seconds(stp.message_age_timer.left),
        "forward_delay_timer": seconds(stp.forward_delay_timer.left),
        "topology_change_ack": int(stp.ack),
        "config_pending": int(stp.pending),
        "proxy_arp": port.proxy_arp,
        "proxy_arp_wifi": port.proxy_arp_wifi,
        "multicast_router": port.snooping.router,
        "mcast_flood": port.mcast_flood,
        "bcast_flood": port.bcast_flood,
        "mcast_to_unicast": port.mcast_to_unicast,
        "neigh_suppress": port.neigh_suppress,
        "group_fwd_mask": f"{port.group_fwd_mask:#x}" if port.group_fwd_mask else "0",
        "group_fwd_mask_str": _mask_text(port.group_fwd_mask),
        "vlan_tunnel": False,
        "isolated": port.isolated,
        "locked": port.locked,
    }


def _mask_text(mask: int) -> str:
    """Write a group_fwd_mask with the names iproute2 knows."""
    names = {0x1: "stp", 0x4: "lacp", 0x4000: "lldp"}
    bits = [1 << place for place in range(16) if mask >> place & 1]
    return ",".join(names.get(bit, f"{bit:#x}") for bit in bits) or "0x0"
