"""What the spanning tree keeps for each port. Mirrors the STP half of struct net_bridge_port (802.1D-1998, 8.5.5)."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from simvlan.devices.bridge_timer import BridgeTimer

if TYPE_CHECKING:
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.devices.device import Device

PORT_BITS = 10
DEFAULT_PRIORITY = 0x8000 >> PORT_BITS


class State(IntEnum):
    """A port's spanning tree state (BR_STATE_*)."""

    DISABLED = 0
    LISTENING = 1
    LEARNING = 2
    FORWARDING = 3
    BLOCKING = 4


class PortStp:
    """The best configuration a port knows, and its timers. Bridge ids are `priority << 48 | MAC`.

    Attributes:
        priority: 0..63; cost: path cost.
        root, root_cost, bridge, port_id: the configuration last accepted on this segment (designated_*).
        age: when that configuration left the root, in ns.
        ack: the next configuration acknowledges a topology change; pending: one waits for the hold timer.
    """

    __slots__ = (
        "ack",
        "age",
        "bridge",
        "cost",
        "forward_delay_timer",
        "hold_timer",
        "message_age_timer",
        "own_id",
        "pending",
        "port_id",
        "priority",
        "root",
        "root_cost",
    )

    def __init__(self, port: BridgePort) -> None:
        stp = port.bridge.stp
        self.priority = DEFAULT_PRIORITY
        self.cost = port_cost(port)
        self.own_id = port_id(self.priority, port.number)
        self.root = stp.root
        self.root_cost = stp.root_cost
        self.bridge = stp.own
        self.port_id = self.own_id
        self.age = 0
        self.ack = self.pending = False
        kernel = port.bridge.kernel
        self.message_age_timer = BridgeTimer(kernel, stp.message_age_expired, port)
        self.forward_delay_timer = BridgeTimer(kernel, stp.forward_delay_expired, port)
        self.hold_timer = BridgeTimer(kernel, stp.hold_expired, port)


def port_id(priority: int, number: int) -> int:
    """Join priority and number (br_make_port_id)."""
    return (priority & 0x3F) << PORT_BITS | (number & 0x3FF)


def port_cost(port: BridgePort) -> int:
    """Return the path cost of a device's speed: 2 for the 10 Gb/s a veth claims, 100 where none is told (port_cost)."""
    return 2 if _tells_speed(port.dev) else 100


def _tells_speed(dev: Device) -> bool:
    """A veth tells a speed, a stacked device its lower's, a bridge that of a running port (br_get_link_ksettings)."""
    while dev.lower is not None:
        dev = dev.lower
    ports = (port.dev for port in getattr(dev, "ports", ()))
    return dev.kind == "veth" or any(each.running and _tells_speed(each) for each in ports)
