"""One namespace's protocols: the place where frames that passed every receive handler arrive.

Mirrors the protocol delivery at the end of __netif_receive_skb_core, and ip_local_deliver_finish. The parts of the
stack hang on `Stack` and find each other through it.
"""

from __future__ import annotations

from errno import EINVAL, EXDEV
from typing import TYPE_CHECKING, Any

from simvlan.devices.device import Device, Event
from simvlan.errors import RtnlError
from simvlan.frame import ARP, IPV4, IPV6, OTHERHOST, Frame
from simvlan.netfilter.calls import CALLS, IPTABLES
from simvlan.netfilter.conntrack import Conntrack
from simvlan.netfilter.tables import Tables
from simvlan.segmentation import longest
from simvlan.stack import devinet, fib
from simvlan.stack.addresses import Addresses
from simvlan.stack.arp import Arp
from simvlan.stack.family import Family, Family4
from simvlan.stack.fib import Fib, Flow
from simvlan.stack.forward import Forward
from simvlan.stack.frag import Reassembly
from simvlan.stack.icmp import Icmp
from simvlan.stack.igmp import Igmp
from simvlan.stack.inetdev import CONF_DEFAULT_ONLY, CONF_DEFAULTS, NEIGH_DEFAULTS, Conf, InDevice
from simvlan.stack.input import Input
from simvlan.stack.ipaddr import ALL_HOSTS, LIMITED_BROADCAST, LINK, Ifaddr, first_address, is_multicast
from simvlan.stack.ipv6.host import Ip6
from simvlan.stack.neigh import NeighbourTable
from simvlan.stack.output import Output, RouteResult
from simvlan.stack.packet import DF, ICMP, IGMP, TCP, UDP, Packet, reheader
from simvlan.stack.packet_socket import PacketSocket
from simvlan.stack.pmtu import Exceptions
from simvlan.stack.settings import SETTINGS
from simvlan.stack.socket_table import Ports, Sockets
from simvlan.stack.sockets import PingSocket, RawSocket, UdpSocket
from simvlan.stack.tcp.host import Tcp
from simvlan.stack.tcp.socket import TcpSocket
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.netfilter.hooks import Netfilter
    from simvlan.stack.fib import Route


class Stack:
    """The protocols of one namespace. *kernel* performs: now, at(), originate(dev, frame), mc_add/mc_del, rng."""

    def __init__(self, netns: Any, kernel: Any) -> None:
        self.netns = netns
        self.kernel = kernel
        self.indevs: dict[Device, InDevice] = {}
        self.without_ip: set[Device] = set()
        """Devices whose MTU became too small for IPv4."""
        self.conf_all = Conf(CONF_DEFAULTS)
        self.conf_default = Conf({**CONF_DEFAULTS, **CONF_DEFAULT_ONLY})
        self.neigh_default = Conf(NEIGH_DEFAULTS)
        self.settings = dict(SETTINGS)
        self.ping_group_range = (1, 0)
        self.tcp_rmem = (4096, 131_072, 6_291_456)
        self.tcp_wmem = (4096, 16_384, 4_194_304)
        self.tcp_congestion = "cubic"
        self.bridge_nf: dict[str, int] | None = None
        """net.bridge.*: there once br_netfilter is loaded."""
        self._inherit()
        self.fib = Fib()
        self.addresses_of = Addresses(self)
        self.neigh = NeighbourTable(self)
        self.arp = Arp(self)
        self.pmtu = Exceptions(self)
        self.output = Output(self)
        self.input = Input(self)
        self.forward = Forward(self)
        self.reassembly = Reassembly(self)
        self.icmp = Icmp(self)
        self.igmp = Igmp(self)
        self.family = Family4(self)
        self.sockets = Sockets(self, self.family, Ports())
        self.tcp = Tcp(self)
        self.ip6: Ip6 | None = None
        """IPv6, once somebody has switched it on; until then no device has any (ipv6.disable_ipv6=1)."""
        self.tables = Tables()
        self.conntrack = Conntrack()
        self.netfilter: Netfilter | None = None
        """The hooks, while there is a rule that could matter."""
        self.custom_local = False
        """Somebody added a local route by hand: sources are then always looked up (fib_has_custom_local_routes)."""
        self.kept_headers: dict[tuple[Device, int, object], int] = {}
        """The source that a neighbour's (ethertype, address) kept header has, where it may not be what is written."""
        self._owners: dict[int, list[Device]] = {}
        self._packet_sockets: dict[int, list[PacketSocket]] = {}
        self._ids: dict[tuple[int, int, int], int] = {}
        if getattr(kernel, "ipv6", False):
            self.ip6 = Ip6(self, disabled=False)

    def _inherit(self) -> None:
        """A new namespace takes conf.all and conf.default of the initial one (net_inherit_devconf)."""
        first = getattr(self.kernel, "netns", {}).get("")
        if first is not None:
            self.bridge_nf = None if first.stack.bridge_nf is None else dict(CALLS)
            self.conf_all.values.update(first.stack.conf_all.values)
            self.conf_default.values.update(first.stack.conf_default.values)

    # -- frames -----------------------------------------------------------------------------------------------------

    def emit(self, dev: Device, frame: Frame, hop: object = None, connected: bool = True) -> Drop | None:
        """Transmit a packet of our own under the header that the device writes (dev_hard_header, dev_queue_xmit).

        `hop`: the neighbour; none for ARP. Groups are neighbours too. `connected`: it is known for sure.
        """
        drop: Drop | None = self.kernel.originate(dev, self._headed(dev, frame, hop, connected))
        return drop

    def _headed(self, dev: Device, frame: Frame, hop: object, connected: bool) -> Frame:
        """Under the header a neighbour keeps from its first packet on (neigh_hh_init, neigh_output).

        A VLAN's tag is not in that, nor a MAC that changed since and nobody was told of.
        """
        headed = dev.head(frame)
        if hop is None or not dev.keeps_headers or (headed is frame and not dev.follows_lower_mac):
            return headed
        neighbour = dev, frame.proto, hop
        kept = self.kept_headers.get(neighbour)
        if kept is None:
            self.kept_headers[neighbour] = frame.src
        elif connected:
            return frame if kept == frame.src else frame.with_macs(frame.dst, kept)
        return headed

    def receive(self, dev: Device, frame: Frame, why: Why) -> Drop | None:
        """Deliver a frame to the protocols; the drop when nobody took it, None when somebody did."""
        proto = frame.proto
        heard = self._packet_sockets and self._show(dev, frame)
        if proto == IPV4:
            return self.input.receive(dev, frame, why)
        if proto == ARP:
            return self.arp.receive(dev, frame, why)
        if proto == IPV6 and self.ip6 is not None:
            return self.ip6.receive(dev, frame, why)
        if heard or (dev.vlans is not None and frame.ptype is not OTHERHOST and dev.vlans.hear(frame)):
            return None
        if proto == IPV6:
            return Drop.IPV6DISABLED
        if proto >= 0x600 and (dev.rx_handler is not None or not dev.taps):
            dev.rx_dropped += 1
        return Drop.UNHANDLED_PROTO

    def _show(self, dev: Device, frame: Frame) -> bool:
        """Give a frame to the packet sockets for its ethertype."""
        heard = False
        for socket in tuple(self._packet_sockets.get(frame.proto, ())):
            if socket.dev is None or socket.dev is dev:
                heard = True
                socket.got(dev, frame)
        return heard

    def deliver(self, found: Packet, why: Why) -> Drop | None:
        """Give a packet for this host to raw sockets and its protocol (ip_local_deliver_finish)."""
        heard = self.sockets.to_raw(found)
        if found.proto == ICMP:
            return self.icmp.receive(found, why)
        if found.proto == UDP:
            return self.sockets.datagram(found)
        if found.proto == IGMP:
            return self.igmp.receive(found)
        if found.proto == TCP:
            return self.tcp.receive(found)
        if heard:
            return None
        self.icmp.error(found, 3, 2)
        return Drop.IP_NOPROTO

    def with_ip6(self) -> Ip6:
        """IPv6, made if need be; on no device switched on yet."""
        if self.ip6 is None:
            self.ip6 = Ip6(self, disabled=True)
        return self.ip6

    # -- devices ----------------------------------------------------------------------------------------------------

    @property
    def lo(self) -> Device:
        """The loopback device."""
        device: Device = self.netns.devices["lo"]
        return device

    def device_added(self, dev: Device) -> None:
        """A device appears in the namespace (inetdev_init)."""
        self.without_ip.discard(dev)
        if dev.kind == "bridge":
            self.filter_bridges()
        if dev not in self.indevs:
            self.indevs[dev] = self._fresh(dev)
        if self.ip6 is not None:
            self.ip6.device_added(dev)

    def filter_bridges(self) -> None:
        """Let each bridge know whether its packets are for iptables to see."""
        wanted = bool(self.bridge_nf and self.bridge_nf[IPTABLES])
        for dev in self.netns.devices.values():
            if dev.kind == "bridge" and dev.filtered is not wanted:
                dev.filtered = wanted
                dev.refresh()

    def _fresh(self, dev: Device) -> InDevice:
        seed = f"{self.kernel.seed}/stack/{self.netns.name}/{dev.name}"
        return InDevice(dev, self.conf_default, self.neigh_default, seed)

    def indev(self, dev: Device) -> InDevice:
        """The IPv4 side of a device; an empty one, kept nowhere, for a device without."""
        found = self.indevs.get(dev)
        if found is None:
            if dev in self.without_ip:
                return self._fresh(dev)
            self.device_added(dev)
            found = self.indevs[dev]
        return found

    def device_event(self, dev: Device, event: Event) -> None:
        """React to a change of a device."""
        devinet.device_event(self, dev, event)
        if self.ip6 is not None:
            self.ip6.device_event(dev, event)

    # -- questions --------------------------------------------------------------------------------------------------

    def either(self, indev: InDevice, key: str) -> bool:
        """A switch that is on for the device or for all (IN_DEV_ORCONF)."""
        return bool(indev.conf.get(key) or self.conf_all.get(key))

    def takes_redirects(self, indev: InDevice) -> bool:
        """Whether redirects are believed: a router needs both switches, a host one (IN_DEV_RX_REDIRECTS)."""
        both = indev.conf.get("accept_redirects"), self.conf_all.get("accept_redirects")
        return all(both) if indev.conf.get("forwarding") else any(both)

    def addresses(self, dev: Device) -> list[Ifaddr]:
        """The addresses of a device, in the order they are shown."""
        return list(self.indev(dev).addresses)

    def owner(self, address: int) -> Device | None:
        """The device an address is configured on, or whose local route covers it (__ip_dev_find)."""
        devices = self._owners.get(address)
        if devices:
            return devices[0]
        table = self.fib.tables.get(fib.LOCAL_TABLE)
        route = table.lookup(Flow(address)) if table is not None else None
        return route.dev if route is not None and route.type == fib.LOCAL else None

    def own(self, address: int, dev: Device, delta: int) -> None:
        """Note an address configured or removed."""
        if delta > 0:
            self._owners.setdefault(address, []).append(dev)
        else:
            self._owners[address].remove(dev)
            if not self._owners[address]:
                del self._owners[address]

    def addr_type(self, address: int) -> str:
        """Local, broadcast, multicast or unicast, by the local table (inet_addr_type).

        Before a namespace has its first address there is no such table, and everything else is a broadcast.
        """
        if address in (0, LIMITED_BROADCAST):
            return fib.BROADCAST
        if is_multicast(address):
            return fib.MULTICAST
        table = self.fib.tables.get(fib.LOCAL_TABLE)
        if table is None:
            return fib.BROADCAST
        route = table.lookup(Flow(address))
        return fib.UNICAST if route is None else route.type

    def select_address(self, dev: Device, dst: int, scope: int) -> int:
        """A source address for a device, from another device if it has none (inet_select_addr); 0: none anywhere."""
        found = first_address(self.indev(dev).addresses, dst, scope)
        if found:
            return found
        for other in self.netns.devices.values():
            for ifa in self.indev(other).addresses:
                if not ifa.secondary and ifa.scope != LINK and ifa.scope <= scope:
                    return ifa.local
        return 0

    def joined(self, dev: Device, group: int, proto: int = 0) -> bool:
        """Whether a group is heard on a device (ip_check_mc_rcu)."""
        indev = self.indevs.get(dev)
        return indev is not None and (group in indev.groups or (proto == IGMP and group >> 8 == 0xE0_0000)
                                      or group == ALL_HOSTS)  # fmt: skip

    def neigh_lookup(self, dev: Device, ip: int) -> int | None:
        """The MAC of a neighbour if it is known."""
        entry = self.neigh.get(dev, ip)
        return entry.mac if entry is not None and entry.valid else None

    def route_kind(self, dev: Device, dst: int, src: int) -> str:
        """What ARP wants to know of a target: "local", "forward", or "" for neither."""
        answer = self.input.route(dev, dst, src)
        if isinstance(answer, Drop):
            return ""
        self.input.let_go(answer)
        return {fib.LOCAL: "local", fib.UNICAST: "forward"}.get(answer.kind, "")

    def routed_dev(self, dev: Device, dst: int, src: int) -> Device | None:
        """The device by which a packet from here would leave."""
        answer = self.input.route(dev, dst, src)
        return None if isinstance(answer, Drop) or answer.route is None else answer.route.dev

    def route_get(
        self,
        dst: int,
        src: int | None = None,
        oif: Device | None = None,
        mark: int = 0,
        tos: int = 0,
        iif: Device | None = None,
    ) -> RouteResult:
        """The route of a packet made here (`ip route get`).

        Raises:
            RtnlError: with the errno of the failed lookup.
        """
        if iif is not None:
            return self._route_from(dst, src or 0, iif, tos)
        found = self.output.find(dst, src or 0, oif, tos, mark)
        if isinstance(found, int):
            raise RtnlError(found)
        return found

    def _route_from(self, dst: int, src: int, iif: Device, tos: int) -> RouteResult:
        """The route of a packet received on a device (`ip route get ... iif`)."""
        answer = self.input.route(iif, dst, src, tos)
        if isinstance(answer, Drop):
            raise RtnlError(EXDEV if answer is Drop.IP_RPFILTER else EINVAL)
        if answer.errno:
            raise RtnlError(answer.errno)
        forwarded = answer.kind == fib.UNICAST and answer.route is not None
        out = answer.route.dev if forwarded and answer.route is not None else self.lo
        return RouteResult(answer.kind, dst, src, out or self.lo, answer.route)

    def next_id(self, src: int, dst: int, proto: int, packets: int = 1) -> int:
        """The next identification for a flow: counted from 1, never 0; a super-packet takes one for each segment."""
        key = (src, dst, proto)
        value = self._ids.get(key, 0) % 0xFFFF + 1
        self._ids[key] = value + packets - 1
        return value

    # -- what others call -------------------------------------------------------------------------------------------

    def route_out(self, frame: Frame, dev: Device) -> Drop | None:
        """Send a frame's packet by a device as if routed here (ipvlan_process_v4_outbound); no route: on-link.

        The header is made anew (ip_local_out): octets behind the packet become part of it.
        """
        if frame.proto == IPV6:
            return Drop.IPVLAN_NO_IPV6 if self.ip6 is None else self.ip6.route_out(frame.payload, dev, frame.csum)
        packet, partial = Packet(reheader(frame.payload)), frame.csum
        route = self.output.find(packet.dst, packet.src, dev, packet.tos & 0x1E, any_source=True)
        if isinstance(route, int) or route.kind not in (fib.UNICAST, fib.LOCAL):
            dev.count_lost()
            return Drop.IP_OUTNOROUTES
        if packet.frag & DF and longest(packet.data, partial) > route.path_mtu:
            dev.count_lost()
            self.icmp.error(packet, 3, 4, route.path_mtu)
            return Drop.FRAG_NEEDED
        refused = self.output.send(route, packet.data, partial)
        if not isinstance(refused, Drop):
            return None
        dev.count_lost()
        return refused

    def family_of(self, number: int) -> Family:
        """The family 4 or 6; without a device that has IPv6 nothing of it can be reached."""
        return self.family if number == 4 else self.with_ip6().family

    def table(self, family: Family) -> Sockets:
        """The sockets of a family."""
        return self.sockets if family is self.family else self.with_ip6().sockets

    def open_raw(self, proto: int, family: int = 4) -> RawSocket:
        """Open a raw socket."""
        return self.table(self.family_of(family)).open_raw(proto)

    def open_udp(self, family: int = 4) -> UdpSocket:
        """Open a UDP socket; one of IPv6 hears IPv4 too unless bindv6only says otherwise."""
        return UdpSocket(self, self.family_of(family), family == 6 and self._v6only)

    def open_tcp(self, family: int = 4) -> TcpSocket:
        """Open a TCP socket, in the same way."""
        return self.tcp.open(self.family_of(family), family == 6 and self._v6only)

    @property
    def _v6only(self) -> bool:
        return bool(self.with_ip6().settings["bindv6only"])

    def open_ping(self, family: int = 4) -> PingSocket:
        """Open an ICMP datagram socket."""
        return PingSocket(self, self.family_of(family))

    def open_packet(self, dev: Device | None, proto: int) -> PacketSocket:
        """Open a packet socket for an ethertype, on one device or all."""
        socket = PacketSocket(self, dev, proto)
        self._packet_sockets.setdefault(proto, []).append(socket)
        return socket

    def packet_closed(self, socket: PacketSocket) -> None:
        """Forget a packet socket."""
        sockets = self._packet_sockets.get(socket.proto, [])
        if socket in sockets:
            sockets.remove(socket)
            if not sockets:
                del self._packet_sockets[socket.proto]

    def flush_routes(self, routes: list[Route]) -> None:
        """Take several routes out."""
        for route in routes:
            self.fib.remove(route)
        if routes:
            self.pmtu.flush()
