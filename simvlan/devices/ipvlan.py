"""ipvlan: devices that share their parent's MAC and are told apart by IP address.

Mirrors drivers/net/ipvlan/ipvlan_core.c, ipvlan_main.c and ipvlan_l3s.c (6.1). One port per parent holds the mode, the
flags and the address table of all its slaves. The stack reports addresses of both families through `check_address`,
`address_added` and `address_removed`; in mode l3s it asks `IpvlanPort.l3s_lookup` at its local input.
"""

from __future__ import annotations

from enum import Enum
from errno import EADDRINUSE, EOPNOTSUPP
from itertools import chain

from simvlan.devices.device import Device, Event, Kernel
from simvlan.devices.ipvlan_key import destination_key, from_socket, source_key
from simvlan.errors import RtnlError
from simvlan.frame import BCAST, BROADCAST, ETH_HLEN, GROUP, IPV4, IPV6, MCAST, Frame
from simvlan.verdict import Drop, Emit, Verdict, Way, Why

ETH_P_PAUSE = 0x8808
QUEUE_LIMIT = 1000
"""IPVLAN_QBACKLOG_LIMIT: broadcasts that may wait for the work queue."""

LAST_ID = 0xFFFE
"""The parent's own device id; slaves have smaller ones."""


class Mode(Enum):
    """How frames are switched; one for all slaves of a parent."""

    L2 = "l2"
    L3 = "l3"
    L3S = "l3s"


class Flag(Enum):
    """What slaves of one parent may do with each other; one for all of them."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"


class Ipvlan(Device):
    """One slave. `dev_id` distinguishes it from the others that share its MAC."""

    kind = "ipvlan"
    stacked = True
    unicast_filter = True
    no_rx_handler = True
    __slots__ = ("addresses", "alike", "dev_id", "filter", "perm_addr", "port")

    lower: Device

    def __init__(self, name: str, netns: object, port: IpvlanPort) -> None:
        super().__init__(name, netns, port.dev.mac, port.dev.mtu)
        self.port = port
        self.lower = port.dev
        self.perm_addr = port.dev.mac
        """The parent's address when this slave was made (register_netdevice)."""
        self.carrier = port.dev.carrier
        self.dev_id = 0
        self.filter: frozenset[int] = frozenset()
        """Groups that get in."""
        self.alike: frozenset[tuple[int, int]] = frozenset()
        """Pairs that a kernel's hash took for one (ipvlan_mac_hash): with the first joined, the second gets in too."""
        self.addresses: list[bytes] = []
        """Addresses configured, in order; in the port's table only while the device is up."""

    # -- transmit ---------------------------------------------------------------------------------------------------

    def from_socket(self, frame: Frame) -> Frame:
        """Take a frame from a packet socket, which looks for the packet behind the room for a header (packet_snd)."""
        return from_socket(frame, self.hard_header_len)

    def tx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Send (ipvlan_queue_xmit)."""
        if self.port.mode is Mode.L2:
            return self._tx_l2(frame, now, why)
        return self._tx_l3(frame, why)

    def _tx_l2(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Switch by MAC first: own MAC to own MAC is local, groups go to all, the rest to the wire (mode l2)."""
        port, dst = self.port, frame.dst
        if dst == frame.src and port.flag is not Flag.VEPA:
            slave = port.slave_for(destination_key(frame, sending=True))
            if slave is not None:
                return self._to_sibling(slave, frame, why)
            if why:
                why("own MAC, but no slave has the address: to the host")
            return self._to_host(frame)
        if dst & GROUP:
            return port.enqueue(self, frame, now, why)
        if why:
            why("to the wire: another MAC")
        return ((Way.TX, self.lower, frame),)

    def _tx_l3(self, frame: Frame, why: Why) -> Verdict:
        """Switch by address only; what belongs to no slave is the host's to route (mode l3 and l3s)."""
        port = self.port
        if port.flag is not Flag.VEPA:
            slave = port.slave_for(destination_key(frame, sending=True))
            if slave is not None:
                return self._to_sibling(slave, frame, why)
        if frame.dst & GROUP:
            return Drop.IPVLAN_L3_GROUP
        if frame.proto in (IPV4, IPV6):
            if len(frame.payload) < _header(frame):
                self.lower.count_lost()
                return Drop.IPVLAN_BAD_IP
            if why:
                why(f"no slave's address: routed in {self.lower.netns.name or 'root'}, out of {self.lower.name}")
            return ((Way.IP_OUT, self.lower, frame),)
        return Drop.IPVLAN_L3_PROTO

    def _to_sibling(self, slave: Ipvlan, frame: Frame, why: Why) -> Verdict:
        """Give the packet to the slave that has the address (ipvlan_rcv_frame, local)."""
        if self.port.flag is Flag.PRIVATE:
            return Drop.IPVLAN_PRIVATE
        if why:
            why(f"address of {slave.path}")
        return (slave.forwarded(frame, False),)

    def _to_host(self, frame: Frame) -> Verdict:
        """Let the parent receive the frame; the sender is told it went, whatever becomes of it."""
        host = self.lower
        refused = host.forwardable(frame)
        if refused is not None:
            host.rx_dropped += 1
            return ((refused, host, frame),)
        return ((Way.BACKLOG, host, frame.received_by(host.mac)),)

    def deferred(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Finish a group frame this slave sent: the siblings, then the wire (ipvlan_process_multicast)."""
        return self.port.flood(frame, self)

    # -- receive ----------------------------------------------------------------------------------------------------

    def forwarded(self, frame: Frame, group: bool) -> Emit:
        """Receive a frame that a sibling sent (dev_forward_skb); the statistics count its header twice."""
        refused = self.forwardable(frame)
        if refused is not None:
            self.rx_errors += 1
            self.rx_dropped += 2  # once by the forwarding itself, once as an error
            return (refused, self, frame)
        self.count(len(frame) + ETH_HLEN, group)
        return (Way.BACKLOG, self, frame.received_by(self.mac))

    def count(self, size: int, group: bool) -> None:
        """Count one frame received (ipvlan_count_rx)."""
        self.rx_packets += 1
        self.rx_bytes += size
        self.multicast += group

    def l3s_received(self, packet_len: int) -> None:
        """Count a packet that the host's stack moved here at local input (ipvlan_nf_input)."""
        self.count(packet_len + ETH_HLEN, False)

    def wants(self, mac: int) -> bool:
        """Whether the multicast filter lets a group through; broadcast always passes."""
        return mac == BROADCAST or mac in self.filter or self.promiscuity > 0 or self.allmulti > 0

    def take_filter(self) -> None:
        """Note the groups (ipvlan_set_multicast_mac_filter); the one left last is still among them."""
        self.filter = frozenset(self.mc)
        if self.alike:
            self.filter |= {other for group, other in self.alike if group in self.filter or group == BROADCAST}

    # -- addresses --------------------------------------------------------------------------------------------------

    def check_address(self, ip: int, family: int = 4) -> None:
        """Refuse an address that any slave of the parent has, up or down (ipvlan_addr4_validator_event, ..6..).

        For a point-to-point address of IPv4 *ip* is the peer: that is what ipvlan matches; of IPv6 the address itself.
        """
        if _octets(ip, family) in self.port.owners:
            raise RtnlError(EADDRINUSE, "Address already assigned to an ipvlan device.", self.path)

    def address_added(self, ip: int, family: int = 4) -> None:
        """Learn of an address (NETDEV_UP of the address notifier); one that another slave has stays that one's."""
        octets = _octets(ip, family)
        if octets in self.port.owners:
            return
        self.port.owners[octets] = self
        self.addresses.append(octets)
        if self.up:
            self.port.table[octets] = self

    def address_removed(self, ip: int, family: int = 4) -> None:
        """Forget an address (NETDEV_DOWN of the address notifier)."""
        octets = _octets(ip, family)
        if octets in self.addresses:
            self.addresses.remove(octets)
            del self.port.owners[octets]
            self.port.table.pop(octets, None)

    def interface_id(self) -> int:
        """The lower half of the own IPv6 addresses: the number keeps slaves of one MAC apart (addrconf_ifid_eui48)."""
        return self.mac >> 24 << 40 | self.dev_id << 24 | self.mac & 0xFF_FFFF

    # -- configuration ----------------------------------------------------------------------------------------------

    def check_mac(self, kernel: Kernel, mac: int) -> None:
        """Refuse: the address is the parent's."""
        raise RtnlError(EOPNOTSUPP, None, self.path)

    def on_open(self, kernel: Kernel) -> None:
        """Enter the addresses into the table (ipvlan_open)."""
        self.noarp = self.port.mode is not Mode.L2
        for octets in self.addresses:
            self.port.table[octets] = self

    def on_stop(self, kernel: Kernel) -> None:
        """Take the addresses out of the table (ipvlan_stop)."""
        for octets in self.addresses:
            self.port.table.pop(octets, None)

    def on_rx_flags(self, kernel: Kernel, promisc: int, allmulti: int) -> None:
        """Pass allmulti down; promiscuity stays here (ipvlan_change_rx_flags)."""
        if allmulti:
            kernel.allmulti(self.lower, allmulti)

    def on_lower(self, kernel: Kernel, lower: Device, event: Event) -> None:
        """Follow the parent: its carrier, MTU and MAC, and its end; not its going down."""
        if event is Event.CHANGE or event is Event.UP:
            kernel.set_carrier(self, lower.carrier)
        elif event is Event.FEATURES:
            self.tso_max_size = lower.tso_max_size
        elif event is Event.MTU:
            self.mtu = lower.mtu
        elif event is Event.MAC:
            kernel.set_mac(self, lower.mac)
        elif event is Event.UNREGISTER:
            kernel.unregister(self)

    def on_unregister(self, kernel: Kernel) -> None:
        """Leave the port; the last slave takes the port with it (ipvlan_link_delete, ipvlan_uninit)."""
        for octets in self.addresses:
            del self.port.owners[octets]
        self.addresses.clear()
        self.port.leave(self)
        kernel.announce(self.port.dev)


class IpvlanPort:
    """What the slaves of one parent share; the parent's receive handler (struct ipvl_port)."""

    __slots__ = ("dev", "flag", "ids", "instant", "mode", "next_id", "owners", "slaves", "table", "waiting")

    def __init__(self, dev: Device) -> None:
        self.dev = dev
        self.mode = Mode.L3
        self.flag = Flag.BRIDGE
        self.slaves: list[Ipvlan] = []
        """In order of creation: the order in which group frames are handed out."""
        self.owners: dict[bytes, Ipvlan] = {}
        """Address -> slave, up or down: no two slaves may have the same (ipvlan_addr_busy)."""
        self.table: dict[bytes, Ipvlan] = {}
        """Address -> slave, of slaves that are up: where frames go."""
        self.waiting = 0
        """Group frames in the work queue."""
        self.instant = -1
        """When `waiting` was last counted: the work queue is empty before time moves."""
        self.ids: dict[int, Ipvlan] = {}
        self.next_id = 1

    # -- membership -------------------------------------------------------------------------------------------------

    def join(self, slave: Ipvlan) -> bool:
        """Take a slave in and give it an id; False when no id is left."""
        numbers = chain(range(self.next_id, LAST_ID), range(1, self.next_id))
        dev_id = next((n for n in numbers if n not in self.ids), 0)
        if not dev_id:
            return False
        slave.dev_id = dev_id
        self.ids[dev_id] = slave
        self.next_id = 1 if dev_id + 1 == LAST_ID else dev_id + 1
        self.dev.uppers.append(slave)
        self.dev.rx_handler = self
        return True

    def leave(self, slave: Ipvlan) -> None:
        """Let a slave go, and the parent with the last one."""
        if self.ids.pop(slave.dev_id, None) is None:
            return
        if slave in self.slaves:
            self.slaves.remove(slave)
        self.dev.uppers.remove(slave)
        if not self.ids:
            self.dev.rx_handler = None

    def slave_for(self, key: bytes | None) -> Ipvlan | None:
        """Return the slave that has an address, among those that are up."""
        return self.table.get(key) if key is not None else None

    def set_mode(self, kernel: Kernel, mode: Mode) -> None:
        """Switch every slave to a mode; in the layer-3 modes they do not resolve addresses (ipvlan_set_port_mode)."""
        if mode is self.mode:
            return
        self.mode = mode
        noarp = mode is not Mode.L2
        for slave in [s for s in self.slaves if s.noarp != noarp]:
            slave.noarp = noarp
            kernel.announce(slave)
            if slave.up:
                kernel.notify(slave, Event.FLAGS)
                kernel.notify(slave, Event.CHANGE)

    # -- rules ------------------------------------------------------------------------------------------------------

    def rx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Decide about a frame the parent received (ipvlan_handle_frame)."""
        if self.mode is Mode.L3S:
            return ((Way.UP, self.dev, frame),)
        if self.mode is Mode.L2 and frame.dst & GROUP:
            return self._rx_group(frame, now, why)
        slave = self.slave_for(destination_key(frame))
        if slave is None:
            if why:
                why("no slave has the address: the host's")
            return ((Way.UP, self.dev, frame),)
        if why:
            why(f"address of {slave.path}")
        slave.count(len(frame), False)
        return ((Way.RX, slave, frame),)

    def _rx_group(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Queue a group frame for the slaves, unless one of them sent it, and give it to the host at once."""
        if frame.src == self.dev.mac and self.slave_for(source_key(frame)) is not None:
            if why:
                why("a slave's own frame, come back")
            return ((Way.UP, self.dev, frame),)
        return (*self.enqueue(self.dev, frame, now, why), (Way.UP, self.dev, frame))

    def enqueue(self, dev: Device, frame: Frame, now: int, why: Why) -> tuple[Emit, ...]:
        """Queue a group frame for the slaves (ipvlan_multicast_enqueue); *dev* sent it, or is the parent."""
        if frame.proto == ETH_P_PAUSE:
            return ((Drop.IPVLAN_PAUSE, dev, frame),)
        if now != self.instant:
            self.instant, self.waiting = now, 0
        if self.waiting >= QUEUE_LIMIT:
            dev.rx_dropped += 1
            return ((Drop.IPVLAN_QUEUE_FULL, dev, frame),)
        self.waiting += 1
        if why:
            why("a group: to the slaves from the work queue")
        return ((Way.WORK, dev, frame),)

    def deferred(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Hand a received group frame to the slaves (ipvlan_process_multicast)."""
        return self.flood(frame, None)

    def flood(self, frame: Frame, sender: Ipvlan | None) -> Verdict:
        """Copy a group frame to every slave that wants it, in order; what a slave sent then goes to the wire."""
        self.waiting -= 1
        wanted = [s for s in self.slaves if s is not sender and s.up and s.wants(frame.dst)]
        if sender is not None:
            copies = [slave.forwarded(frame, True) for slave in wanted]
            return (*copies, (Way.TX, self.dev, frame))
        heard = frame.as_ptype(BCAST if frame.dst == BROADCAST else MCAST)
        for slave in wanted:
            slave.count(len(frame), True)
        return tuple((Way.BACKLOG, slave, heard) for slave in wanted) or Drop.IPVLAN_NO_LISTENER

    def l3s_lookup(self, dst: int, family: int = 4) -> Ipvlan | None:
        """Return the slave whose packet the host's stack is handling (ipvlan_skb_to_addr); only in mode l3s."""
        return self.table.get(_octets(dst, family)) if self.mode is Mode.L3S else None

    before_vlans = False

    def on_event(self, kernel: Kernel, dev: Device, event: Event) -> None:
        """Let the slaves follow their parent, the oldest first (ipvlan_device_event); all go down before one goes."""
        slaves = tuple(self.ids.values())
        for slave in slaves if event is Event.UNREGISTER else ():
            kernel.set_down(slave)
        for slave in slaves:
            slave.on_lower(kernel, dev, event)


def _header(frame: Frame) -> int:
    """How many octets of a header must be there to route by."""
    return 40 if frame.proto == IPV6 else max(20, (frame.payload[0] & 15) * 4 if frame.payload else 0)


def _octets(ip: int, family: int) -> bytes:
    """Return an address as the table keeps it."""
    return ip.to_bytes(4 if family == 4 else 16, "big")
