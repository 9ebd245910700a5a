"""What all devices share: identity, state, counters, and the hooks a kind overrides.

Mirrors `struct net_device` and the parts of net/core/dev.c that belong to one device. A device decides, the network
performs: `tx`, `claim`, `rx` and `deferred` rules return verdicts; the `on_*` methods react to configuration through
the operations that `Kernel` (implemented by the network) offers.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from errno import EADDRNOTAVAIL
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from simvlan.clock import Timer
from simvlan.devices.addresses import AddressList
from simvlan.errors import RtnlError
from simvlan.frame import Frame, is_valid_ether_addr
from simvlan.verdict import Drop, Verdict, Why

if TYPE_CHECKING:
    from random import Random

    from simvlan.devices.registration import VlanTable


class Event(Enum):
    """What a notifier chain tells (enum netdev_cmd): only those somebody reacts to."""

    UP = "up"
    GOING_DOWN = "going-down"
    DOWN = "down"
    CHANGE = "change"
    """Carrier changed."""
    FLAGS = "flags"
    """Address resolution (NOARP) was switched on or off."""
    MTU = "mtu"
    MAC = "mac"
    FEATURES = "features"
    UNREGISTER = "unregister"
    MOVED = "moved"


class Operstate(Enum):
    """The RFC 2863 states a device may have (IF_OPER_*)."""

    UNKNOWN = "UNKNOWN"
    DOWN = "DOWN"
    LOWERLAYERDOWN = "LOWERLAYERDOWN"
    UP = "UP"


class Namespace(Protocol):
    """What a device knows of its namespace."""

    name: str


class RxHandler(Protocol):
    """A device's single receive handler (netdev_rx_handler_register): bridge port, macvlan port or ipvlan port."""

    def rx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Decide about a frame received on the device; passing it on is `((Way.UP, dev, frame),)`."""

    def deferred(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Decide about a frame this handler queued with `Way.WORK`."""

    before_vlans: ClassVar[bool]
    """Whether this driver hears of the device before its VLAN devices do: in the order in which they were loaded."""

    def on_event(self, kernel: Kernel, dev: Device, event: Event) -> None:
        """React to a change of the device the handler sits on."""


class Kernel(Protocol):
    """The operations of the network that device kinds call when configuration changes. Time in ns."""

    @property
    def now(self) -> int:
        """The current time."""

    @property
    def rng(self) -> Random:
        """Randomness of the kernel as a whole (generated MACs, jitter)."""

    def at(self, time_ns: int, action: Callable[[], object]) -> Timer:
        """Run *action* (a bound method or a partial of one) at a time."""

    def timer(self, time_ns: int, action: Callable[[], object]) -> Timer:
        """Do the same, before everything that was to be done then."""

    def transmit(self, dev: Device, frame: Frame) -> Drop | None:
        """Send through a device (dev_queue_xmit); the drop when the driver refused."""

    def originate(self, dev: Device, frame: Frame) -> Drop | None:
        """Send a frame that a protocol made by itself."""

    def carry(self, verdict: Verdict, dev: Device, frame: Frame) -> Drop | None:
        """Perform a verdict that arose outside a rule (timers)."""

    def set_up(self, dev: Device) -> None:
        """Bring a device up (dev_open); raises RtnlError when the kind refuses."""

    def set_down(self, dev: Device) -> None:
        """Take a device down (dev_close)."""

    def set_carrier(self, dev: Device, carrier: bool) -> None:
        """Turn the carrier on or off; linkwatch tells everybody who stands on the device."""

    def fire(self, dev: Device) -> None:
        """Have linkwatch look at a device although its carrier did not change."""

    def announce(self, dev: Device) -> None:
        """Describe a device to rtnetlink's listeners: the namespace its link is in gets an id."""

    def set_mtu(self, dev: Device, mtu: int) -> None:
        """Change an MTU already found valid, and tell the uppers."""

    def set_mac(self, dev: Device, mac: int) -> None:
        """Change an address already found valid, and tell the uppers."""

    def notify(self, dev: Device, event: Event) -> None:
        """Tell everybody who stands on a device, and its namespace's protocols."""

    def promiscuity(self, dev: Device, delta: int) -> None:
        """Add to a device's promiscuity count (dev_set_promiscuity)."""

    def allmulti(self, dev: Device, delta: int) -> None:
        """Add to a device's allmulti count (dev_set_allmulti)."""

    def uc_add(self, dev: Device, mac: int) -> None:
        """Add a secondary unicast address (dev_uc_add)."""

    def uc_del(self, dev: Device, mac: int) -> None:
        """Take one reference of a secondary unicast address away."""

    def mc_add(self, dev: Device, mac: int) -> None:
        """Join a link-layer group (dev_mc_add)."""

    def mc_del(self, dev: Device, mac: int) -> None:
        """Leave a link-layer group."""

    def unregister(self, dev: Device) -> None:
        """Delete a device and everything that stands on it."""


class Device:
    """One network device. Sizes and MTU in octets, times in ns."""

    kind: ClassVar[str] = ""
    """`info_kind` as `ip -d link` prints it; empty for the loopback device."""
    vlan_offload: ClassVar[bool] = False
    """Takes an accelerated VLAN tag on transmit (NETIF_F_HW_VLAN_CTAG_TX and STAG)."""
    netns_local: ClassVar[bool] = False
    """Cannot leave its namespace (NETIF_F_NETNS_LOCAL)."""
    stacked: ClassVar[bool] = False
    """Transmit statistics follow the lower device's answer (vlan, macvlan, ipvlan)."""
    unicast_filter: ClassVar[bool] = False
    """Has a unicast filter (IFF_UNICAST_FLT): secondary addresses do not make it promiscuous."""
    no_rx_handler: ClassVar[bool] = False
    """Nothing may take its frames first (IFF_NO_RX_HANDLER): no bridge port, no macvlan on it."""
    min_mtu: ClassVar[int] = 68
    max_mtu: ClassVar[int] = 65_535

    __slots__ = (
        "active",
        "alias",
        "allmulti",
        "broadcast",
        "carrier",
        "carrier_changes",
        "features_off",
        "group",
        "ifindex",
        "lower",
        "mac",
        "mac_assigned",
        "master",
        "mc",
        "mtu",
        "multicast",
        "multicast_flag",
        "name",
        "netns",
        "noarp",
        "opened",
        "operstate",
        "promiscuity",
        "qdisc",
        "rx_bytes",
        "rx_dropped",
        "rx_errors",
        "rx_handler",
        "rx_packets",
        "taps",
        "tso_max_size",
        "tx_bytes",
        "tx_dropped",
        "tx_errors",
        "tx_packets",
        "txqlen",
        "uc",
        "uc_promisc",
        "up",
        "uppers",
        "user_allmulti",
        "user_promisc",
        "vlans",
        "wire",
    )

    def __init__(self, name: str, netns: Any, mac: int = 0, mtu: int = 1500) -> None:
        self.name = name
        self.netns = netns
        self.ifindex = 0
        self.mac = mac
        self.mac_assigned = False
        """True once a person chose the address (NET_ADDR_SET)."""
        self.mtu = mtu
        self.up = False
        self.carrier = True
        self.operstate = Operstate.UNKNOWN
        """What linkwatch last made of the carrier."""
        self.active = False
        """Whether frames get into the queue: only with a carrier that linkwatch has seen (dev_activate)."""
        self.carrier_changes = 0
        """How often the carrier went on or off (IFLA_CARRIER_CHANGES)."""
        self.opened = False
        """Whether it was up since it came into its namespace: until then its qdisc is noop."""
        self.broadcast = True
        self.noarp = False
        self.multicast_flag = True
        self.promiscuity = 0
        self.allmulti = 0
        self.user_promisc = False
        self.user_allmulti = False
        self.uc = AddressList()
        """Secondary unicast addresses: MAC -> references."""
        self.uc_promisc = False
        self.mc = AddressList()
        """Joined groups: MAC -> references."""
        self.alias = ""
        self.group = 0
        self.txqlen = 1000
        self.features_off: set[str] = set()
        """Offloads turned off by ethtool -K."""
        self.lower: Device | None = None
        """The lower device (vlan, macvlan, ipvlan)."""
        self.uppers: list[Device] = []
        """Devices stacked on this one, oldest first."""
        self.master: Device | None = None
        """The bridge this device is a port of."""
        self.rx_handler: Any = None
        """None or an RxHandler."""
        self.vlans: VlanTable | None = None
        """VLAN devices on this one by `tpid << 16 | vid`; None when there is none."""
        self.taps: list[Callable[[int, Device, Frame, bool], None]] = []
        """Packet-socket views: tap(now_ns, device, frame, outgoing)."""
        self.qdisc: Any = None
        """None (no queue) or a queueing discipline (qdisc.Link)."""
        self.wire: Any = None
        """None (an ideal cable) or a links.Wire."""
        self.tso_max_size = 0
        """The largest segmentation size; 0 until registered."""
        self.rx_packets = self.rx_bytes = self.rx_dropped = self.rx_errors = self.multicast = 0
        self.tx_packets = self.tx_bytes = self.tx_dropped = self.tx_errors = 0

    def __repr__(self) -> str:
        return f"<{self.kind or 'loopback'} {self.path}>"

    @property
    def link(self) -> Device | None:
        """The device that `link` names (dev_get_iflink): the lower one; a veth's peer; None for itself."""
        return self.lower

    @property
    def linked(self) -> bool:
        """Whether the link's index is not the device's own: one of the same index elsewhere passes for itself."""
        return self.link is not None and self.link.ifindex != self.ifindex

    @property
    def leads_out(self) -> bool:
        """Whether a real device stands at the other end of its wire (live/port.py)."""
        return self.wire is not None and self.wire.outside

    @property
    def sg(self) -> bool:
        """Whether scatter-gather, and the segmentation that needs it, is among its features."""
        return True

    @property
    def fcoe(self) -> bool:
        """Whether tx-fcoe-segmentation is among its features."""
        return False

    @property
    def running(self) -> bool:
        """Whether the device is up and its operational state lets it run (netif_running, netif_oper_up)."""
        return self.up and (self.operstate is Operstate.UP or self.operstate is Operstate.UNKNOWN)

    @property
    def hard_header_len(self) -> int:
        """How many octets of header a frame has beyond the MTU (dev->hard_header_len): the lower device's."""
        return self.lower.hard_header_len if self.lower is not None else 14

    @property
    def path(self) -> str:
        """`netns/device`, the way devices print; the initial namespace is `root`."""
        return f"{self.netns.name or 'root'}/{self.name}"

    @property
    def promisc(self) -> bool:
        """Whether anything made the device promiscuous."""
        return self.promiscuity > 0

    def count_lost(self) -> None:
        """Count an error of sending in dev->stats; of the drivers here only a bridge shows those (br_get_stats64)."""
        if self.kind == "bridge":
            self.tx_errors += 1

    def forwardable(self, frame: Frame) -> Drop | None:
        """Judge a frame moving to this device inside the host (is_skb_forwardable): of super-packets no length."""
        if not self.up:
            return Drop.DEV_READY
        size = 0 if frame.csum > 1 else 14 + len(frame.payload)
        if size > self.mtu + self.hard_header_len + 4:
            return Drop.PKT_TOO_BIG
        return None

    def head(self, frame: Frame) -> Frame:
        """Write the header of a packet of the stack (dev_hard_header); who stands on another leaves it to that."""
        return self.lower.head(frame) if self.lower is not None else frame

    def from_socket(self, frame: Frame) -> Frame:
        """Take a frame from a packet socket (packet_snd): whether the packet is looked for where it is."""
        return frame

    @property
    def keeps_headers(self) -> bool:
        """Whether neighbours keep a header of its (header_ops->cache); VLANs that write tags have none to keep."""
        return self.kind != "vlan"

    @property
    def follows_lower_mac(self) -> bool:
        """Whether its address changes with the lower device's, and nobody is told."""
        return False

    # -- rules (decide only) ----------------------------------------------------------------------------------------

    def tx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Decide what the driver does with a frame to send (ndo_start_xmit)."""
        raise NotImplementedError(self.kind)

    def deferred(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Decide about a frame that was queued with `Way.WORK` on this device."""
        verdict: Verdict = self.rx_handler.deferred(frame, now, why) if self.rx_handler else Drop.DEV_READY
        return verdict

    # -- refusals ---------------------------------------------------------------------------------------------------

    def check_mac(self, kernel: Kernel, mac: int) -> None:
        """Refuse a new address by raising RtnlError (ndo_set_mac_address)."""
        if not is_valid_ether_addr(mac):
            raise RtnlError(EADDRNOTAVAIL, None, self.path)

    def takes_mtu(self, mtu: int) -> bool:
        """Whether an MTU lies within the device's bounds (dev_validate_mtu); a largest one of 0 is none."""
        return self.min_mtu <= mtu and (not self.max_mtu or mtu <= self.max_mtu)

    def check_mtu(self, kernel: Kernel, mtu: int) -> None:
        """Refuse a new MTU that lies within min_mtu..max_mtu, by raising RtnlError (ndo_change_mtu)."""

    # -- reactions to configuration ---------------------------------------------------------------------------------

    def on_open(self, kernel: Kernel) -> None:
        """Prepare to come up (ndo_open); raise RtnlError to refuse."""

    def on_stop(self, kernel: Kernel) -> None:
        """Finish going down (ndo_stop)."""

    def on_rx_flags(self, kernel: Kernel, promisc: int, allmulti: int) -> None:
        """React to this device's promiscuity (±1) or allmulti (±1) switching between zero and non-zero."""

    def take_filter(self) -> None:
        """Note which groups get in, before the lists are handed down: what is given up then is still in them."""

    def on_rx_mode(self) -> None:
        """React to a new look at what this device listens to, while up (ndo_set_rx_mode)."""

    def on_mac(self, kernel: Kernel, old: int) -> None:
        """React to this device's own address having changed from *old*, before anybody else hears of it."""

    def on_mtu(self, kernel: Kernel) -> None:
        """React to this device's own MTU having changed, before anybody else hears of it (ndo_change_mtu)."""

    def on_event(self, kernel: Kernel, event: Event) -> None:
        """React to what the others are told of this device (its own driver in the notifier chain)."""

    def on_unregister(self, kernel: Kernel) -> None:
        """Let go of peers, ports and tables; the network removes the device itself afterwards."""
