"""The words a rule answers with: where a frame goes next (`Emit`), or why it goes nowhere (`Drop`).

Every drop has a name, one sentence and a remedy. Names follow the kernel's `enum skb_drop_reason`
(include/net/dropreason-core.h) where it has one, the same style where it has none. No rules live here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, unique
from typing import TYPE_CHECKING, TypeAlias

from simvlan.frame import Frame

if TYPE_CHECKING:
    from simvlan.devices.device import Device


class Way(Enum):
    """How a frame moves on from a rule; the order of the kernel's queues is kept by the network."""

    RX = "rx"
    """Into a device's receive path, within the same call ("another round")."""
    BACKLOG = "backlog"
    """Into a device's receive path through the CPU's backlog: after the current call, first in first out (netif_rx)."""
    WORK = "work"
    """To the device's `deferred` rule, from the kernel's work queue: after the backlog is empty."""
    TX = "tx"
    """Out through a device, within the same call (dev_queue_xmit)."""
    UP = "up"
    """To the protocols of the device's namespace (after every receive handler has passed)."""


@unique
class Drop(Enum):
    """Why a frame ended: (sentence, remedy)."""

    # -- any device -------------------------------------------------------------------------------------------------
    DEV_DOWN = ("the device is administratively down", "ip link set DEV up")
    NO_CARRIER = ("the device has no carrier: its lower device or peer is down", "set the peer or lower device up")
    DEV_READY = ("the receiving device is down", "ip link set DEV up")
    PKT_TOO_BIG = (
        "the frame is longer than the target's MTU allows (mtu + 18 octets)",
        "raise the target's MTU or send smaller packets",
    )
    RECURSION_LIMIT = ("too many devices transmit through each other", "unstack the devices")
    STORM = (
        "a forwarding loop: more frames in one instant than any loop-free network makes",
        "break the loop or turn STP on (ip link set BR type bridge stp_state 1)",
    )
    QDISC_DROP = ("the queue in front of the device is full", "raise the queue's limit or its rate")
    LINK_LOSS = ("lost on the cable, as the link model says", "lower the loss of the link model")
    VLAN_TOO_SHORT = ("a tagged frame with fewer than 20 octets is freed before anyone sees it", "send a longer frame")

    DUMMY = ("a dummy device has no wire: what is sent there ends there", "use a veth as the lower device")

    # -- vlan -------------------------------------------------------------------------------------------------------
    VLAN_DEV_DOWN = ("the VLAN device that claims this tag is down", "ip link set the VLAN device up")
    VLAN_UNCLAIMED = (
        "tagged, and no VLAN device for this VID on the receiving device: its stack ignores the frame",
        "ip link add link DEV name DEV.VID type vlan id VID",
    )

    # -- stack ------------------------------------------------------------------------------------------------------
    OTHERHOST = (
        "the destination MAC is another host's",
        "look for a stale neighbour entry at the sender, or a flooding bridge",
    )
    UNHANDLED_PROTO = ("no protocol handler for this ethertype", "nothing listens for this ethertype here")

    @property
    def sentence(self) -> str:
        """What happened, in one sentence."""
        return self.value[0]

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        return self.value[1]


Emit: TypeAlias = "tuple[Way | Drop, Device, Frame]"
"""One next hook: the way, the device, the frame; or the drop of one copy."""

Verdict: TypeAlias = "Drop | Sequence[Emit]"
"""What a rule answers: one named drop, or the next hooks in order. Never an empty sequence."""

Why: TypeAlias = "Callable[[str], None] | None"
"""Where a rule tells what it matched while somebody traces; None when nobody does."""
