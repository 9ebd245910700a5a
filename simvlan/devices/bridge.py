"""The bridge device: what happens to a frame that came in by a port, and to one its own stack sends.

Mirrors net/bridge/br_input.c and br_device.c (6.1, 6.18). The order of the tests is the kernel's; each refusal is a
named Drop. Leaving by a port is in `bridge_forward`, ports and their quick way in `bridge_port`, addresses in
`bridge_fdb`, VLANs in `bridge_vlan`, the spanning tree in `bridge_stp`, snooping in `bridge_mcast`, suppression in
`bridge_arp` and `bridge_nd`, joining and leaving the bridge in `bridge_ports`.
"""

from __future__ import annotations

from collections.abc import Iterable

from simvlan.clock import SECOND
from simvlan.devices import bridge_arp, bridge_bpdu, bridge_nd, bridge_ports, vlan_binding
from simvlan.devices import bridge_forward as forwarding
from simvlan.devices.bridge_fdb import Fdb, FdbEntry, fdb_text
from simvlan.devices.bridge_mcast import Snooping
from simvlan.devices.bridge_port import BridgePort
from simvlan.devices.bridge_stp import Stp
from simvlan.devices.bridge_stp_port import State
from simvlan.devices.bridge_transit import Transit
from simvlan.devices.bridge_vlan import VlanGroup, classify, learning_vid, untag
from simvlan.devices.device import Device, Event, Kernel
from simvlan.frame import ARP, BROADCAST, DOT1Q, GROUP, HOST, IPV4, IPV6, Frame
from simvlan.netfilter import bridge as nf_bridge
from simvlan.stack.packet import Packet
from simvlan.verdict import Drop, Emit, Verdict, Way, Why

LINK_LOCAL = 0x0180_C200_0000
"""01:80:c2:00:00:00, the first of sixteen reserved group addresses (is_link_local_ether_addr)."""
STP_ADDRESS, PAUSE_ADDRESS = 0x0, 0x1
RARP = 0x8035

PROVIDER_FWD_MASK = 0xB801
"""Reserved addresses an 802.1ad bridge forwards: a customer bridge's, not its own (BR_GROUPFWD_8021AD)."""

HEARING = frozenset((State.LEARNING, State.FORWARDING))


class Bridge(Device):
    """A Linux bridge. Times in ns; options are named as iproute2 names them."""

    kind = "bridge"
    vlan_offload = True
    netns_local = True
    __slots__ = (
        "ageing_time",
        "answers_arp",
        "binding",
        "fdb",
        "features",
        "filtered",
        "group_address",
        "group_address_by_user",
        "group_fwd_mask",
        "group_fwd_mask_required",
        "kernel",
        "mcast",
        "mtu_by_user",
        "nf_call",
        "no_linklocal_learn",
        "outbox",
        "own_ageing_time",
        "ports",
        "stp",
        "suppresses_arp",
        "vlan_default_pvid",
        "vlan_filtering",
        "vlan_group",
        "vlan_protocol",
        "vlan_stats",
    )

    def __init__(self, name: str, netns: object, kernel: Kernel, mac: int, mtu: int = 1500) -> None:
        super().__init__(name, netns, mac, mtu)
        self.kernel = kernel
        self.features = (True, True, True)
        """Whether tx-gso-robust, tx-fcoe-segmentation and scatter-gather are its features: ports take them away."""
        self.filtered = False
        """Whether br_netfilter shows bridged packets to iptables here (net.bridge.bridge-nf-call-iptables)."""
        self.binding = False
        """Whether it looks after the carriers of bound VLANs above it (BROPT_VLAN_BRIDGE_BINDING)."""
        self.mtu_by_user = False
        """An MTU set by hand no longer follows the ports (BROPT_MTU_SET_BY_USER)."""
        self.ports: list[BridgePort] = []
        """The ports, last added first: the order of flooding."""
        self.outbox: list[Emit] = []
        """Frames the bridge itself wants to send (BPDUs, queries), until `flush` or a rule takes them."""
        self.ageing_time = self.own_ageing_time = 300 * SECOND
        """In force, and as set: a topology change shortens the former."""
        self.vlan_filtering = False
        self.vlan_protocol = DOT1Q
        self.vlan_default_pvid = 1
        self.vlan_stats = False
        self.vlan_group = VlanGroup()
        self.group_address = LINK_LOCAL
        self.group_address_by_user = False
        self.group_fwd_mask = 0
        self.group_fwd_mask_required = 0
        self.no_linklocal_learn = False
        self.nf_call = {"nf_call_iptables": 0, "nf_call_ip6tables": 0, "nf_call_arptables": 0}
        self.answers_arp = False
        """Whether any port has proxy_arp, proxy_arp_wifi or neigh_suppress."""
        self.suppresses_arp = False
        """Whether any port has neigh_suppress (BROPT_NEIGH_SUPPRESS_ENABLED)."""
        self.fdb = Fdb(self)
        self.stp = Stp(self)
        self.mcast = Snooping(self)
        self.fdb.add_local(None, mac, 0)

    @property
    def fcoe(self) -> bool:
        """Whether its features hold tx-fcoe-segmentation."""
        return self.features[1]

    @property
    def sg(self) -> bool:
        """Whether its features hold scatter-gather."""
        return self.features[2]

    # -- received by a port (br_handle_frame) -----------------------------------------------------------------------

    def handle(self, port: BridgePort, frame: Frame, now: int, why: Why) -> Verdict:
        """Decide about a frame received on a port."""
        if not frame.src or frame.src & GROUP:
            return Drop.MAC_INVALID_SOURCE
        if frame.dst & ~0xF == LINK_LOCAL:
            reserved = self._reserved(port, frame, now, why)
            if reserved is not None:
                return reserved
        if port.state not in HEARING:
            return Drop.BRIDGE_INGRESS_STP_STATE
        if frame.dst == self.mac:
            frame = frame.as_ptype(HOST)
        if self.filtered and frame.proto == IPV4 and not frame.accel:
            return nf_bridge.received(self, port, frame, now, why)
        return self.accept(port, frame, now, why)

    def _reserved(self, port: BridgePort, frame: Frame, now: int, why: Why) -> Verdict | None:
        """Decide about 01:80:c2:00:00:0X; None: forward it like any multicast frame."""
        last = frame.dst & 0xF
        mask = self.group_fwd_mask_required | port.group_fwd_mask
        if last == PAUSE_ADDRESS:
            return Drop.MAC_IEEE_MAC_CONTROL
        if last == STP_ADDRESS:
            if not self.stp.enabled or mask & 1:
                return None
        elif (mask | self.group_fwd_mask) >> last & 1:
            return None
        self._learn_reserved(port, frame, now)
        if why:
            why("reserved address: to the port's own stack, not forwarded")
        up = (Way.UP, port.dev, frame)
        return (up, *self._bpdu(port, frame)) if frame.dst == self.group_address else (up,)

    def _learn_reserved(self, port: BridgePort, frame: Frame, now: int) -> None:
        """Learn the source of a frame that stays here (__br_handle_local_finish)."""
        if not port.learning or port.state not in HEARING or self.no_linklocal_learn:
            return
        vid = learning_vid(port.vlans, self.vlan_protocol, frame) if self.vlan_filtering else 0
        if vid is not None:
            self.fdb.learn(port, frame.src, vid, now)

    def _bpdu(self, port: BridgePort, frame: Frame) -> Iterable[Emit]:
        """Give the spanning tree a BPDU; returns what it wants sent (br_stp_rcv)."""
        news = bridge_bpdu.parse(frame)
        if news is None or not self.stp.enabled or not self.up or port.state is State.DISABLED:
            return ()
        if port.guard:
            self.stp.disable_port(port)
        elif isinstance(news, bridge_bpdu.Config):
            self.stp.receive_config(port, news)
        else:
            self.stp.receive_tcn(port)
        return self.take_outbox()

    def accept(self, port: BridgePort, frame: Frame, now: int, why: Why, found: Packet | None = None) -> Verdict:
        """Classify, learn, forward (br_handle_frame_finish). *found*: its packet, where filters look at it."""
        vid = 0
        if self.vlan_filtering:
            classified = classify(port.vlans, self.vlan_protocol, frame)
            if isinstance(classified, Drop):
                return classified
            vid, frame = classified
        if port.locked and not self._authorised(port, frame.src, vid):
            return Drop.BRIDGE_LOCKED
        learned = self.fdb.learn(port, frame.src, vid, now) if port.learning else "learning off"
        if why:
            why(f"source {learned}" + (f", vid {vid}" if vid else ""))
        return self._forward(Transit(port, port.dev, frame, vid, now, why, found))

    def _authorised(self, port: BridgePort, src: int, vid: int) -> bool:
        """A locked port admits only stations already known there."""
        entry = self.fdb.find(src, vid)
        return entry is not None and entry.out is port

    def _suppress(self, transit: Transit, proto: int) -> None:
        """Answer questions for neighbours, or keep them from ports that are not to hear them."""
        if proto in (ARP, RARP):
            bridge_arp.examine(self, transit)
        elif proto == IPV6 and self.suppresses_arp:
            bridge_nd.examine(self, transit)

    def _forward(self, transit: Transit) -> Verdict:
        """Choose where an accepted frame goes."""
        frame, port = transit.frame, transit.port
        group = frame.dst & GROUP and frame.dst != BROADCAST
        if group:
            refused = self.mcast.examine(transit)
            if refused is not None:
                return (*self.take_outbox(), (refused, transit.dev, frame)) if self.outbox else refused
        if port is not None and port.state is State.LEARNING:
            return Drop.BRIDGE_LEARNING
        if self.answers_arp:
            self._suppress(transit, frame.proto)
        if frame.dst == BROADCAST:
            forwarding.flood(self, transit)
            self._pass_up(transit)
        elif group:
            self._multicast(transit)
        else:
            self._unicast(transit)
        transit.emits += self.take_outbox()
        return transit.verdict()

    def _unicast(self, transit: Transit) -> None:
        """Send to where the address is, up to this host, or everywhere."""
        entry = self.fdb.find(transit.frame.dst, transit.vid)
        if entry is None:
            if transit.why:
                transit.why("unknown destination")
            forwarding.flood(self, transit)
        else:
            if transit.why:
                transit.why(f"{entry.state} {fdb_text(entry, self.name)}")
            if entry.local:
                self._pass_up(transit)
                return
            self._send_to(entry, transit)
        if self.promiscuity:
            self._pass_up(transit)

    def _send_to(self, entry: FdbEntry, transit: Transit) -> None:
        entry.used = transit.now
        if entry.port is not None:
            forwarding.forward(self, entry.port, transit)

    def _multicast(self, transit: Transit) -> None:
        """Send a group's frame to its members where snooping knows them, else everywhere."""
        members = self.mcast.members(transit)
        if members is None:
            forwarding.flood(self, transit)
            up = True
        else:
            forwarding.to_members(self, members, transit)
            up = self.mcast.wanted_here(transit)
        if up:
            self.multicast += 1
        if up or self.promiscuity:
            self._pass_up(transit)

    def _pass_up(self, transit: Transit) -> None:
        """Receive a copy on the bridge device itself (br_pass_frame_up)."""
        frame = transit.frame
        self.rx_packets += 1
        self.rx_bytes += len(frame.payload)
        if self.vlan_filtering:
            if transit.vid in self.vlan_group.vids:
                frame = untag(self.vlan_group, transit.vid, frame)
            elif not self.promiscuity:
                transit.refused = Drop.BRIDGE_VLAN_LOCAL
                return
        if transit.packet is not None:
            nf_bridge.keep_for_host(self, transit)
        transit.emits.append((Way.RX, self, frame))

    # -- sent by the bridge's own stack (br_dev_xmit) ---------------------------------------------------------------

    def tx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Send as one more station on the bridge; sending always succeeds."""
        verdict = self._own(frame, now, why)
        return ((verdict, self, frame),) if isinstance(verdict, Drop) else verdict

    def _own(self, frame: Frame, now: int, why: Why) -> Verdict:
        vid = 0
        if self.vlan_filtering:
            classified = classify(self.vlan_group, self.vlan_protocol, frame)
            if isinstance(classified, Drop):
                return classified
            vid, frame = classified
        transit = Transit(None, self, frame, vid, now, why)
        if self.suppresses_arp:
            self._suppress(transit, frame.proto)
        if frame.dst == BROADCAST:
            forwarding.flood(self, transit)
        elif frame.dst & GROUP:
            refused = self.mcast.examine(transit)
            if refused is not None:
                return refused
            self._own_multicast(transit)
        else:
            self._own_unicast(transit)
        transit.emits += self.take_outbox()
        return transit.verdict()

    def _own_multicast(self, transit: Transit) -> None:
        members = self.mcast.members(transit)
        if members is None:
            forwarding.flood(self, transit)
        else:
            forwarding.to_members(self, members, transit)

    def _own_unicast(self, transit: Transit) -> None:
        """Send out of the port the address is on; a port's own address leaves by that port."""
        entry = self.fdb.find(transit.frame.dst, transit.vid)
        if entry is None:
            forwarding.flood(self, transit)
        elif entry.port is not None:
            forwarding.forward(self, entry.port, transit)
        else:
            transit.refused = Drop.BRIDGE_OWN_MAC

    # -- what the bridge itself sends -------------------------------------------------------------------------------

    def take_outbox(self) -> list[Emit]:
        """Take what waits to be sent."""
        waiting, self.outbox = self.outbox, []
        return waiting

    def flush(self) -> None:
        """Send what waits, outside any rule (timers, configuration)."""
        for emit in self.take_outbox():
            if emit[0] is Way.TX:
                self.kernel.originate(emit[1], emit[2])
            else:
                self.kernel.carry((emit,), emit[1], emit[2])

    # -- reactions --------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Let every port work out its quick way again."""
        ports = self.ports
        self.suppresses_arp = any(p.neigh_suppress for p in ports)
        self.answers_arp = self.suppresses_arp or any(p.proxy_arp or p.proxy_arp_wifi for p in ports)
        for port in ports:
            port.refresh()

    def on_port_event(self, port: BridgePort, event: Event) -> None:
        """Hear of a change of a port's device (br_device_event)."""
        bridge_ports.on_port_event(self, port, event)

    def on_open(self, kernel: Kernel) -> None:
        """Come up (br_dev_open)."""
        self.stp.enable_bridge()
        self.fdb.start_sweeps()
        self.mcast.open()
        self.flush()

    def on_stop(self, kernel: Kernel) -> None:
        """Go down (br_dev_stop)."""
        self.stp.disable_bridge()
        self.fdb.stop_sweeps()
        self.mcast.stop()
        self.flush()

    def on_event(self, kernel: Kernel, event: Event) -> None:
        """Tell the VLANs that are bound to the ports (br_vlan_bridge_event)."""
        if event in (Event.UP, Event.CHANGE):
            vlan_binding.bridge_changed(self)

    def on_rx_flags(self, kernel: Kernel, promisc: int, allmulti: int) -> None:
        """Promiscuity decides what comes up and what the ports must hear (br_dev_change_rx_flags)."""
        if promisc:
            bridge_ports.manage_promisc(self)
            self.refresh()

    def on_mac(self, kernel: Kernel, old: int) -> None:
        """Take another address into the FDB and the bridge id (br_stp_change_bridge_id)."""
        self.fdb.change_bridge_mac(old, self.mac)
        self.stp.change_id(self.stp.priority << 48 | self.mac)
        self.flush()

    def on_mtu(self, kernel: Kernel) -> None:
        """An MTU set by hand stays (br_change_mtu); following the ports clears this again."""
        self.mtu_by_user = True

    def on_unregister(self, kernel: Kernel) -> None:
        """Let the ports go (br_dev_delete)."""
        for port in list(self.ports):
            bridge_ports.remove(self, port)
        self.fdb.stop_sweeps()
