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
    IP_OUT = "ip-out"
    """The frame's IPv4 packet to the IP output of the device's namespace, which must send it by this device."""


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
    QDISC_PURGED = (
        "the queue it waited in was emptied: the device went down, or another qdisc took its place",
        "change a qdisc (tc qdisc change) instead of replacing it",
    )
    LINK_LOSS = ("lost on the cable, as the link model says", "lower the loss of the link model")
    VLAN_TOO_SHORT = ("a tagged frame with fewer than 20 octets is freed before anyone sees it", "send a longer frame")

    DUMMY = ("a dummy device has no wire: what is sent there ends there", "use a veth as the lower device")

    # -- vlan -------------------------------------------------------------------------------------------------------
    VLAN_DEV_DOWN = ("the VLAN device that claims this tag is down", "ip link set the VLAN device up")
    VLAN_UNCLAIMED = (
        "tagged, and no VLAN device for this VID on the receiving device: its stack ignores the frame",
        "ip link add link DEV name DEV.VID type vlan id VID",
    )

    # -- ipvlan -----------------------------------------------------------------------------------------------------
    IPVLAN_PRIVATE = (
        "ipvlan private: slaves of one parent must not reach each other",
        "ip link set DEV type ipvlan bridge (for all slaves of the parent)",
    )
    IPVLAN_L3_GROUP = (
        "ipvlan l3 and l3s carry no link-layer broadcast or multicast",
        "ip link set DEV type ipvlan mode l2",
    )
    IPVLAN_L3_PROTO = ("ipvlan l3 and l3s send nothing but IP", "ip link set DEV type ipvlan mode l2")
    IPVLAN_NO_IPV6 = ("ipvlan l3: the host's namespace has no IPv6 to route with", "use IPv4 addresses")
    IPVLAN_PAUSE = ("ipvlan hands pause frames to nobody", "none: pause frames are for the wire alone")
    IPVLAN_QUEUE_FULL = ("more than 1000 broadcasts wait for ipvlan's work queue", "send fewer broadcasts at once")
    IPVLAN_NO_LISTENER = (
        "a broadcast or multicast frame that no ipvlan slave wants (the host had its copy)",
        "set a slave up, or join the group there",
    )

    # -- macvlan ----------------------------------------------------------------------------------------------------
    MACVLAN_DOWN = ("the macvlan that this frame belongs to is down", "ip link set the macvlan up")
    MACVLAN_NO_LISTENER = (
        "no other macvlan on this device is up, in a mode that gets this broadcast, and joined to its group",
        "join the group or set allmulticast on; private macvlans never hear their siblings",
    )
    MACVLAN_BACKLOG = (
        "the queue for broadcasts to the macvlans of this device is full",
        "ip link set the macvlan type macvlan bcqueuelen N",
    )
    MACVLAN_FRAGMENT = (
        "a multicast IPv4 fragment is held back until its packet is whole: macvlans get packets, not fragments",
        "send all fragments, within 30 s",
    )

    # -- bridge -----------------------------------------------------------------------------------------------------
    MAC_INVALID_SOURCE = ("the source MAC is zero or a group address", "send from a unicast address")
    MAC_IEEE_MAC_CONTROL = (
        "01:80:c2:00:00:01 is for the two ends of one cable (PAUSE): a bridge never passes it on",
        "send to another group address",
    )
    BRIDGE_INGRESS_STP_STATE = (
        "the bridge port it came in by is disabled, blocking or listening",
        "set the bridge and the port up, or wait for the spanning tree (twice forward_delay)",
    )
    BRIDGE_LEARNING = (
        "the bridge port it came in by only learns so far",
        "wait one more forward_delay, or bridge link set dev PORT state 3",
    )
    BRIDGE_EGRESS_STP_STATE = (
        "the bridge port it should leave by is not forwarding",
        "set the port up, or wait for the spanning tree (twice forward_delay)",
    )
    BRIDGE_NO_PVID = (
        "untagged, and the bridge port (or bridge) has no PVID",
        "bridge vlan add dev PORT vid VID pvid untagged",
    )
    BRIDGE_VLAN_INGRESS = (
        "the bridge port (or bridge) it came in by is not a member of its VLAN",
        "bridge vlan add dev PORT vid VID (dev BRIDGE ... self for the bridge)",
    )
    BRIDGE_VLAN_EGRESS = (
        "the bridge port it should leave by is not a member of its VLAN",
        "bridge vlan add dev PORT vid VID",
    )
    BRIDGE_VLAN_LOCAL = (
        "for this host, but the bridge itself is not a member of its VLAN",
        "bridge vlan add dev BRIDGE vid VID self",
    )
    BRIDGE_LOCKED = (
        "the port is locked and the source has no FDB entry there",
        "bridge fdb add MAC dev PORT master static, or bridge link set dev PORT locked off",
    )
    BRIDGE_ISOLATED = (
        "both ports are isolated from each other",
        "bridge link set dev PORT isolated off on one of them",
    )
    BRIDGE_SAME_PORT = (
        "the destination is on the port it came in by",
        "bridge link set dev PORT hairpin on, where that is meant",
    )
    BRIDGE_OWN_MAC = (
        "the bridge sends to its own address: it never comes back up",
        "look for a stale neighbour entry with the bridge's MAC",
    )
    BRIDGE_MCAST_INVALID = (
        "a multicast IP packet that multicast snooping finds malformed",
        "send a correct IP header and checksum, or set mcast_snooping 0",
    )
    NO_TX_TARGET = (
        "the bridge has no port to send it to",
        "add ports, or look at flood, mcast_flood and bcast_flood of the others",
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
