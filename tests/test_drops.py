"""Every reason a frame can end for is provoked: a reason that nothing can raise, or that lost its rule, is found here.

Each scenario is the smallest network in which the reason arises; it answers with the reasons it met.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest
from bench_l2 import Bench, P, W
from router6 import FAR, HERE, LINK, NEAR, NEIGHBOUR, Router6, ip6
from test_stack_router import R0, W0, Router

from simvlan import transmission
from simvlan.engines.events import EventClock
from simvlan.frame import ARP, BROADCAST, DOT1Q, IPV4, IPV6, Frame
from simvlan.lab import Lab
from simvlan.network import Network, Told
from simvlan.qdisc.netem import CERTAIN, Netem, NetemOptions
from simvlan.qdisc.queue import install
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add, address_flush
from simvlan.rtnl.address6 import address6_add
from simvlan.rtnl.bridge_vlan import vlan_add, vlan_del
from simvlan.rtnl.fdb import fdb_add
from simvlan.rtnl.filters import bridges_load
from simvlan.rtnl.route import route_add
from simvlan.stack import arp
from simvlan.stack.fib import Route
from simvlan.stack.ipaddr import parse_ip
from simvlan.stack.ipv6 import icmp6, mld, ndp, packet
from simvlan.stack.ipv6.inet6dev import Ifaddr6
from simvlan.stack.packet import MF, build, checksum
from simvlan.stack.tcp.packets import packed
from simvlan.stack.tcp.segment import ACK, FIN, SYN, Segment
from simvlan.tools.iptables import main as iptables
from simvlan.tools.program import Process, call
from simvlan.underlay import VirtualBox, lay
from simvlan.underlay.words import put
from simvlan.verdict import Drop

Met: TypeAlias = list[Drop]
OTHER = 0x02_00_00_00_EE_01
GROUP = 0x01_00_5E_01_02_03
Q5 = DOT1Q << 16 | 5
SCENARIOS: dict[Drop, Callable[[], Met]] = {}


def provokes(*drops: Drop) -> Callable[[Callable[[Drop], Met]], Callable[[Drop], Met]]:
    """Enter a scenario for some reasons; it is told which is wanted."""

    def enter(scenario: Callable[[Drop], Met]) -> Callable[[Drop], Met]:
        for drop in drops:
            assert drop not in SCENARIOS, drop
            SCENARIOS[drop] = lambda drop=drop: scenario(drop)  # type: ignore[misc]
        return scenario

    return enter


@pytest.mark.parametrize("drop", list(Drop), ids=lambda drop: drop.name)
def test_every_reason_is_met_by_a_frame(drop: Drop) -> None:
    """A member of `Drop` without a scenario fails here too."""
    assert drop in SCENARIOS[drop]()


def test_a_plain_frame_meets_none() -> None:
    """The twin of them all: a router with a route to the neighbour asked for."""
    router = Router()
    router.send("10.0.1.1", "10.0.2.1")
    assert router.drops == [None]
    assert router.heard() == ["w1 10.0.1.1 > 10.0.2.1 ttl 63 28 octets"]


# -- devices --------------------------------------------------------------------------------------------------------


class L2(Bench):
    """The bench, remembering every reason."""

    def met(self, dev: Any, dst: int = P, **more: Any) -> Met:
        refused = self.send(dev, dst, **more)
        return [drop for _, drop in self.drops] + ([refused] if refused else [])


def clocked() -> tuple[Network, Any, Any, Met]:
    """a == b, two ends up, with a clock that can be turned."""
    net, met = Network(EventClock()), _Reasons()
    net.tracer = met
    a = link_add(net, net.netns[""], LinkSpec("veth", "a", mac=W, peer=PeerSpec("b", mac=P)))
    b = net.netns[""].devices["b"]
    for dev in (a, b):
        link_set(net, dev, up=True)
    return net, a, b, met


class _Reasons(list[Drop]):
    """A tracer that keeps only the reasons."""

    def step(self, told: Told) -> None:
        if told.drop is not None:
            self.append(told.drop)


@provokes(Drop.DEV_DOWN, Drop.NO_CARRIER, Drop.PKT_TOO_BIG, Drop.VLAN_TOO_SHORT, Drop.UNHANDLED_PROTO)
def on_a_cable(drop: Drop) -> Met:
    lab = L2()
    if drop is Drop.DEV_DOWN:
        lab.set(lab.w0, up=False)
    elif drop is Drop.NO_CARRIER:
        lab.set(lab.p0, up=False)
    elif drop is Drop.VLAN_TOO_SHORT:
        return lab.met(lab.w0, proto=DOT1Q, payload=b"\0\5\x88\xb5\0")
    return lab.met(lab.w0, size=1505 if drop is Drop.PKT_TOO_BIG else 1504)


@provokes(Drop.DEV_READY)
def into_a_device_going_down(drop: Drop) -> Met:
    """The peer goes down between the sender's carrier check and its driver."""
    lab = L2()
    lab.w0.taps.append(lambda *args: lab.set(lab.p0, up=False))
    return lab.met(lab.w0)


@provokes(Drop.RECURSION_LIMIT)
def transmits_inside_each_other(drop: Drop) -> Met:
    """An ipvlan's host has no other way for its packet than the ipvlan: Linux 6.1 sends it nine times."""
    lab, met = Lab(), _Reasons()
    for line in (
        "sysctl -qw net.ipv6.conf.all.disable_ipv6=0", "ip link add d0 up type dummy",
        "ip link add i0 link d0 up type ipvlan mode l3s", "ip addr add 2001:db8::1/64 dev i0 nodad", "sleep 4",
    ):  # fmt: skip
        assert call(lab, line.split()).status == 0
    slave = lab.network.device("i0")
    sent, lab.network.tracer = slave.tx_packets, met
    octets = packet.build(ip6("2001:db8::1"), ip6("2001:db8::9"), 59, b"")
    frames: list[bytes] = []
    slave.taps.append(lambda _now, _dev, frame, out: frames.append(frame.payload) if out else None)
    lab.network.send(slave, Frame(P, slave.mac, IPV6, octets))
    assert (len(frames), slave.tx_packets) == (9, sent)
    return met


@provokes(Drop.STORM)
def two_bridges_twice_joined(drop: Drop) -> Met:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transmission, "STORM_LIMIT", 500)
        lab = L2()
        one, two = (lab.add("bridge", name, mcast_snooping=0) for name in ("one", "two"))
        for n in range(2):
            end = link_add(lab.net, lab.root, LinkSpec("veth", f"x{n}", peer=PeerSpec(f"y{n}")))
            lab.set(end, up=True, master=one)
            lab.set(lab.root.devices[f"y{n}"], up=True, master=two)
        return lab.met(one, BROADCAST, src=OTHER)


@provokes(Drop.QDISC_DROP, Drop.LINK_LOSS, Drop.QDISC_PURGED)
def in_a_queue(drop: Drop) -> Met:
    net, a, _, met = clocked()
    options = {
        Drop.QDISC_DROP: NetemOptions(delay_ns=10**9, limit=1),
        Drop.LINK_LOSS: NetemOptions(loss=CERTAIN),
        Drop.QDISC_PURGED: NetemOptions(delay_ns=10**9),
    }[drop]
    install(a, Netem(options, Random(1)), 0)
    for _ in range(2):
        net.send(a, Frame(P, W, 0x88B5, bytes(46)))
    if drop is Drop.QDISC_PURGED:
        install(a, Netem(options, Random(1)), 0)
    net.clock.advance(2 * 10**9)  # type: ignore[attr-defined]
    return met


@provokes(Drop.DUMMY)
def sent_on_a_dummy(drop: Drop) -> Met:
    lab = L2()
    return lab.met(lab.add("dummy", "d0"))


@provokes(Drop.VLAN_DEV_DOWN, Drop.VLAN_UNCLAIMED)
def tagged(drop: Drop) -> Met:
    lab = L2()
    lab.add("vlan", "p0.5", lab.p0, id=5, up=False)
    return lab.met(lab.w0, accel=Q5 if drop is Drop.VLAN_DEV_DOWN else Q5 + 1)


IPVLAN_FRAMES: dict[Drop, tuple[str, str, dict[str, Any]]] = {
    Drop.IPVLAN_PRIVATE: ("l2", "private", {}),
    Drop.IPVLAN_L3_GROUP: ("l3", "bridge", {"dst": BROADCAST, "to": "10.0.0.99"}),
    Drop.IPVLAN_L3_PROTO: ("l3", "bridge", {"proto": 0x88B5}),
    Drop.IPVLAN_NO_IPV6: ("l3", "bridge", {"proto": IPV6, "payload": bytes(40)}),
    Drop.IPVLAN_BAD_IP: ("l3", "bridge", {"payload": b"\x45"}),
    Drop.IPVLAN_PAUSE: ("l2", "bridge", {"dst": BROADCAST, "proto": 0x8808}),
}


@provokes(*IPVLAN_FRAMES)
def sent_by_an_ipvlan(drop: Drop) -> Met:
    mode, flag, how = IPVLAN_FRAMES[drop]
    lab = L2()
    slaves = [lab.add("ipvlan", f"i{n}", lab.p0, mode=mode, **{flag: True}) for n in (1, 2)]
    for n, slave in enumerate(slaves, 1):
        address_add(lab.net, slave, f"10.0.0.{n}/24")
    packet = build(parse_ip("10.0.0.1"), parse_ip(how.get("to", "10.0.0.2")), 253, b"")
    return lab.met(slaves[0], how.get("dst", P), src=P, proto=how.get("proto", IPV4),
                   payload=how.get("payload", packet))  # fmt: skip


@provokes(Drop.IPVLAN_QUEUE_FULL, Drop.IPVLAN_NO_LISTENER)
def received_by_an_ipvlan(drop: Drop) -> Met:
    lab = L2()
    lab.add("ipvlan", "i1", lab.p0, mode="l2")
    if drop is Drop.IPVLAN_NO_LISTENER:
        return lab.met(lab.w0, GROUP)
    for _ in range(1001):
        lab.net.originate(lab.w0, Frame(BROADCAST, W, 0x88B5, bytes(46)))
    lab.net.drain()
    return [reason for _, reason in lab.drops]


@provokes(Drop.MACVLAN_DOWN, Drop.MACVLAN_NO_LISTENER, Drop.MACVLAN_BACKLOG, Drop.MACVLAN_FRAGMENT)
def received_by_a_macvlan(drop: Drop) -> Met:
    lab = L2()
    mode = "passthru" if drop is Drop.MACVLAN_DOWN else "bridge"
    queue: dict[str, Any] = {"bcqueuelen": 0} if drop is Drop.MACVLAN_BACKLOG else {}
    one = lab.add("macvlan", "m1", lab.p0, mode=mode, **queue)
    if drop is Drop.MACVLAN_DOWN:
        lab.set(one, up=False)
        return lab.met(lab.w0)
    if drop is Drop.MACVLAN_FRAGMENT:
        piece = build(parse_ip("10.0.0.9"), parse_ip("10.0.0.255"), 253, bytes(8), frag=0x2000)
        return lab.met(lab.w0, BROADCAST, proto=IPV4, payload=piece)
    src = one.mac if drop is Drop.MACVLAN_NO_LISTENER else W
    return lab.met(lab.w0, BROADCAST, src=src)


# -- bridges --------------------------------------------------------------------------------------------------------


class Switch(L2):
    """br0 with p0 (whose wire is w0), p1 and p2 as ports."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.br = self.add("bridge", "br0", mac=0x02_00_00_00_BB_00, **options)
        for n in (1, 2):
            end = link_add(self.net, self.root, LinkSpec("veth", f"p{n}", mac=0xC0 + n, peer=PeerSpec(f"w{n}")))
            self.set(end, up=True)
            self.set(self.root.devices[f"w{n}"], up=True)
        for n in range(3):
            self.set(self.port(n), master=self.br)

    def port(self, number: int) -> Any:
        return self.root.devices[f"p{number}"]

    def option(self, number: int, **options: Any) -> None:
        self.set(self.port(number), slave_info=options)

    def know(self, number: int) -> None:
        """Let the bridge learn OTHER behind a port."""
        self.send(self.root.devices[f"w{number}"], BROADCAST, OTHER)


@provokes(Drop.MAC_INVALID_SOURCE, Drop.MAC_IEEE_MAC_CONTROL, Drop.BRIDGE_MCAST_INVALID)
def a_frame_no_bridge_takes(drop: Drop) -> Met:
    switch = Switch()
    if drop is Drop.MAC_INVALID_SOURCE:
        return switch.met(switch.w0, OTHER, src=0)
    if drop is Drop.MAC_IEEE_MAC_CONTROL:
        return switch.met(switch.w0, 0x01_80_C2_00_00_01)
    return switch.met(switch.w0, GROUP, proto=IPV4, payload=b"\x55" + bytes(45))


@provokes(Drop.BRIDGE_INGRESS_STP_STATE, Drop.BRIDGE_LEARNING, Drop.BRIDGE_EGRESS_STP_STATE, Drop.BRIDGE_LOCKED,
          Drop.BRIDGE_ISOLATED, Drop.BRIDGE_SAME_PORT, Drop.NO_TX_TARGET, Drop.BRIDGE_OWN_MAC)  # fmt: skip
def a_port_in_the_way(drop: Drop) -> Met:
    switch = Switch()
    match drop:
        case Drop.BRIDGE_INGRESS_STP_STATE:
            switch.option(0, state=1)
        case Drop.BRIDGE_LEARNING:
            switch.option(0, state=2)
        case Drop.BRIDGE_EGRESS_STP_STATE:
            fdb_add(switch.net, switch.port(1), OTHER, state="static", to_master=True)
            switch.option(1, state=1)
        case Drop.BRIDGE_LOCKED:
            switch.option(0, locked=1)
        case Drop.BRIDGE_ISOLATED:
            switch.know(1)
            switch.option(0, isolated=1)
            switch.option(1, isolated=1)
        case Drop.BRIDGE_SAME_PORT:
            switch.know(0)
        case Drop.NO_TX_TARGET:
            for n in range(3):
                switch.option(n, flood=0)
        case _:
            return switch.met(switch.br, switch.br.mac)
    return switch.met(switch.w0, OTHER)


@provokes(Drop.BRIDGE_NO_PVID, Drop.BRIDGE_VLAN_INGRESS, Drop.BRIDGE_VLAN_EGRESS, Drop.BRIDGE_VLAN_LOCAL)
def a_vlan_in_the_way(drop: Drop) -> Met:
    switch = Switch(vlan_filtering=1)
    switch.know(1)
    match drop:
        case Drop.BRIDGE_NO_PVID:
            vlan_del(switch.net, switch.port(0), 1)
            return switch.met(switch.w0, OTHER)
        case Drop.BRIDGE_VLAN_EGRESS:
            vlan_add(switch.net, switch.port(2), 5)
            return switch.met(switch.root.devices["w2"], OTHER, accel=Q5)
        case Drop.BRIDGE_VLAN_LOCAL:
            vlan_add(switch.net, switch.port(0), 5)
            return switch.met(switch.w0, BROADCAST, accel=Q5)
    return switch.met(switch.w0, OTHER, accel=Q5)


# -- the IPv4 stack -------------------------------------------------------------------------------------------------


class Sink(Router):
    """The router, remembering every reason."""

    def __init__(self) -> None:
        super().__init__()
        self.met: Met = _Reasons()
        self.net.tracer = self.met
        self.far = self.net.netns["wires"].devices["w0"]

    def octets(self, octets: bytes, proto: int = IPV4, mac: int = R0) -> Met:
        self.net.send(self.far, Frame(mac, W0, proto, octets))
        return self.met

    def ip(self, payload: bytes = b"", proto: int = 253, dst: str = "10.0.1.254", mac: int = R0, **more: Any) -> Met:
        return self.octets(build(parse_ip("10.0.1.1"), parse_ip(dst), proto, payload, **more), mac=mac)

    def icmp(self, kind: int, code: int = 0, rest: bytes = bytes(8), **more: Any) -> Met:
        octets = bytes((kind, code, 0, 0)) + rest
        return self.ip(octets[:2] + checksum(octets).to_bytes(2, "big") + rest, 1, **more)

    def arp(self, tip: str = "10.0.1.254", sip: str = "10.0.1.1", op: int = 1, mac: int = R0, cut: int = 0) -> Met:
        octets = arp.body(op, W0, parse_ip(sip), 0, parse_ip(tip))
        return self.octets(octets[: len(octets) - cut], ARP, mac)


@provokes(Drop.IP_TRUNCATED, Drop.IP_INHDR, Drop.IP_CSUM, Drop.PKT_TOO_SMALL, Drop.OTHERHOST, Drop.IPV6DISABLED)
def no_packet_of_ours(drop: Drop) -> Met:
    router = Sink()
    whole = build(parse_ip("10.0.1.1"), parse_ip("10.0.1.254"), 253, bytes(20))
    match drop:
        case Drop.IP_TRUNCATED:
            return router.octets(whole[:19])
        case Drop.IP_INHDR:
            return router.octets(b"\x55" + whole[1:])
        case Drop.IP_CSUM:
            return router.octets(whole[:8] + b"\7" + whole[9:])
        case Drop.PKT_TOO_SMALL:
            return router.octets(whole[:-1])
        case Drop.OTHERHOST:
            return router.octets(whole, mac=OTHER)
    return router.octets(b"\x60" + bytes(39), IPV6)


@provokes(Drop.IP_OPTIONS, Drop.IP_SOURCE_ROUTE, Drop.IP_NOPROTO)
def options_and_protocols(drop: Drop) -> Met:
    options = {Drop.IP_OPTIONS: b"\x07\x01\0\0", Drop.IP_SOURCE_ROUTE: b"\x83\x03\4\0"}
    return Sink().ip(options=options.get(drop, b""))


SENT: dict[Drop, dict[str, Any]] = {
    Drop.IP_INVALID_SOURCE: {"src": "127.0.0.1", "dst": "10.0.1.254"},
    Drop.IP_INVALID_DEST: {"src": "10.0.1.1", "dst": "127.0.0.1"},
    Drop.IP_LOCAL_SOURCE: {"src": "10.0.2.254", "dst": "10.0.1.254"},
    Drop.IP_MC_NOT_JOINED: {"src": "10.0.1.1", "dst": "239.1.2.3"},
    Drop.IP_INNOROUTES: {"src": "10.0.1.1", "dst": "203.0.113.9"},
    Drop.IP_TTL_EXPIRED: {"src": "10.0.1.1", "dst": "10.0.2.1", "ttl": 1},
    Drop.FORWARD_NOT_HOST: {"src": "10.0.1.1", "dst": "10.0.2.1", "mac": BROADCAST},
    Drop.NO_SOCKET: {"src": "10.0.1.1", "dst": "10.0.1.254"},
}


@provokes(*SENT)
def a_datagram(drop: Drop) -> Met:
    router = Sink()
    router.send(**SENT[drop])
    return router.met


@provokes(Drop.IP_INADDRERRORS, Drop.BLACKHOLE, Drop.IP_RPFILTER, Drop.FRAG_NEEDED)
def configured_away(drop: Drop) -> Met:
    router = Sink()
    match drop:
        case Drop.IP_INADDRERRORS:
            router.sysctl("net.ipv4.ip_forward", 0)
        case Drop.BLACKHOLE:
            route_add(router.net, router.r, Route(parse_ip("10.0.2.1"), 32, type="blackhole"))
        case Drop.IP_RPFILTER:
            router.sysctl("net.ipv4.conf.all.rp_filter", 1)
            router.send("10.0.2.7", "10.0.2.1")
        case _:
            link_set(router.net, router.r.devices["eth1"], mtu=600)
    router.send("10.0.1.1", "10.0.2.1", size=800, frag=0x4000)
    return router.met


@provokes(Drop.IP_OUTNOROUTES)
def routed_for_an_ipvlan(drop: Drop) -> Met:
    """A broadcast address is no next hop: the host gives the packet up (ipvlan_process_v4_outbound)."""
    lab = L2()
    slave = lab.add("ipvlan", "i1", lab.p0, mode="l3")
    return lab.met(
        slave, P, src=P, proto=IPV4, payload=build(parse_ip("10.0.0.1"), parse_ip("255.255.255.255"), 253, b"")
    )


@provokes(Drop.UDP_CSUM, Drop.TCP_CSUM, Drop.ICMP_CSUM, Drop.IGMP_MALFORMED)
def wrong_sums(drop: Drop) -> Met:
    router = Sink()
    if drop is Drop.TCP_CSUM:
        return router.ip(bytes(12) + b"\x50\x02" + bytes(6), 6)
    if drop is Drop.UDP_CSUM:
        router.r.stack.open_udp().bind(0, 9)
        return router.ip(b"\x30\x39\0\x09\0\x08\0\1", 17)
    return router.ip(b"\x08\0\0\1\0\0\0\0", 1) if drop is Drop.ICMP_CSUM else router.ip(bytes(4), 2)


@provokes(Drop.TCP_LISTEN_OVERFLOW, Drop.TCP_LISTEN_UNFIT)
def to_a_listener(drop: Drop) -> Met:
    router = Sink()
    listener = router.r.stack.open_tcp()
    listener.bind(0, 80)
    listener.listen(0)
    if drop is Drop.TCP_LISTEN_UNFIT:
        return router.ip(tcp_segment(9, 1, 0, FIN), 6)
    for sport in (9, 10):
        router.ip(tcp_segment(sport, 1, 0, SYN), 6)
        conn = next((c for flow, c in router.r.stack.tcp.connections.items() if flow[3] == sport), None)
        if conn is not None and conn.conn is not None:
            router.ip(tcp_segment(sport, 2, conn.conn.queue.nxt, ACK), 6)
    return router.met


def tcp_segment(sport: int, seq: int, ack: int, flags: int) -> bytes:
    flow = (parse_ip("10.0.1.1"), sport, parse_ip("10.0.1.254"), 80)
    return packed(Segment(seq, ack, flags, 1000), flow, partial=False)


@provokes(Drop.ICMP_ECHO_IGNORED, Drop.ICMP_ECHO_BROADCAST, Drop.ICMP_BROADCAST, Drop.ICMP_UNHANDLED,
          Drop.ICMP_REDIRECT_IGNORED)  # fmt: skip
def messages(drop: Drop) -> Met:
    router = Sink()
    inner = build(parse_ip("10.0.1.254"), parse_ip("203.0.113.9"), 17, bytes(8))
    match drop:
        case Drop.ICMP_ECHO_IGNORED:
            router.sysctl("net.ipv4.icmp_echo_ignore_all", 1)
            return router.icmp(8)
        case Drop.ICMP_ECHO_BROADCAST:
            return router.icmp(8, dst="10.0.1.255", mac=BROADCAST)
        case Drop.ICMP_BROADCAST:
            return router.icmp(3, dst="10.0.1.255", mac=BROADCAST)
        case Drop.ICMP_UNHANDLED:
            return router.icmp(77)
    return router.icmp(5, 1, bytes((10, 0, 1, 9)) + inner)


@provokes(Drop.FRAG_INVALID, Drop.FRAG_OVERLAP, Drop.DUP_FRAG, Drop.FRAG_REASM_FULL)
def fragments(drop: Drop) -> Met:
    router = Sink()
    pieces = {
        Drop.FRAG_INVALID: [(0, 2, 0), (1, 0x2004, 8)],
        Drop.FRAG_OVERLAP: [(0, 0x2000, 16), (0, 0x2001, 16)],
        Drop.DUP_FRAG: [(0, 0x2000, 16), (0, 0x2000, 16)],
        Drop.FRAG_REASM_FULL: [(0, 0x2000, 16), (1, 0x2000, 16)],
    }[drop]
    if drop is Drop.FRAG_REASM_FULL:
        router.sysctl("net.ipv4.ipfrag_high_thresh", 8)
    for ident, place, size in pieces:
        router.ip(bytes(size), ident=ident, frag=place)
    return router.met


# -- a hypervisor's switch --------------------------------------------------------------------------------------------


@provokes(Drop.VSWITCH_NOT_PROMISCUOUS)
def virtual_switch(drop: Drop) -> Met:
    bench = Bench()
    lay(bench.net, bench.w0, VirtualBox(W))
    for target in (W, BROADCAST, OTHER):
        bench.net.send(bench.p0, Frame(target, P, IPV4, bytes(46)))
    assert [frame.dst for name, way, _, frame in bench.seen if (name, way) == ("w0", "in")] == [W, BROADCAST]
    return [found for name, found in bench.drops if name == "p0"]


FROM_OTHER, TO_OTHER = Frame(BROADCAST, OTHER, IPV4, bytes(46)), Frame(OTHER, P, IPV4, bytes(46))
UNDERLAYS = {
    Drop.VMWARE_NOT_PROMISCUOUS: ("vmware", TO_OTHER),
    Drop.VMWARE_FORGED_TRANSMIT: ("vmware", FROM_OTHER),
    Drop.VMWARE_MAC_CHANGED: ("vmware", TO_OTHER),
    Drop.WIFI_NOT_ASSOCIATED: ("wifi-sta", FROM_OTHER),
    Drop.WIFI_NO_STATION: ("wifi-sta", TO_OTHER),
    Drop.PORT_SECURITY: ("port-security:1", FROM_OTHER),
    Drop.PORT_ERR_DISABLED: ("port-security:1:shutdown", FROM_OTHER),
    Drop.CLOUD_SOURCE_MAC: ("cloud", FROM_OTHER),
    Drop.CLOUD_SOURCE_IP: ("cloud", Frame(BROADCAST, W, IPV4, bytes(12) + b"\x0a\0\0\1" + bytes(30))),
    Drop.CLOUD_UNKNOWN_MAC: ("cloud", TO_OTHER),
    Drop.FDB_FULL: ("finite-fdb:1", TO_OTHER),
    Drop.OFFLOAD_STRIPPED_VLAN: ("offload-strips-vlan", Frame(BROADCAST, W, IPV4, bytes(46), Q5)),
}


@provokes(*UNDERLAYS)
def underlays(drop: Drop) -> Met:
    """A NIC, and the other end of its cable; what is for OTHER comes from there, the rest goes there."""
    word, frame = UNDERLAYS[drop]
    net, nic, port, met = clocked()
    if drop is Drop.FDB_FULL:
        bridge = link_add(net, net.netns[""], LinkSpec("bridge", "br0"))
        link_set(net, port, master=bridge)
        link_set(net, bridge, up=True)
    put(net, f"root/{nic.name}", word)
    net.send(nic, Frame(BROADCAST, W, IPV4, bytes(46)))
    if drop is Drop.VMWARE_MAC_CHANGED:
        link_set(net, nic, mac=OTHER)
    for _ in range(2):
        net.send(port if frame is TO_OTHER else nic, frame)
    return met


# -- ARP and neighbours ---------------------------------------------------------------------------------------------


@provokes(Drop.ARP_NOARP, Drop.ARP_MALFORMED, Drop.ARP_OPCODE, Drop.ARP_NOT_UNICAST, Drop.ARP_GRATUITOUS,
          Drop.ARP_NOT_OURS, Drop.ARP_IGNORE, Drop.ARP_FILTER)  # fmt: skip
def arp_frames(drop: Drop) -> Met:
    router = Sink()
    match drop:
        case Drop.ARP_NOARP:
            link_set(router.net, router.r.devices["eth0"], arp=False)
            return router.arp()
        case Drop.ARP_MALFORMED:
            return router.arp(cut=1)
        case Drop.ARP_OPCODE:
            return router.arp(op=8)
        case Drop.ARP_NOT_UNICAST:
            return router.arp("224.0.0.1")
        case Drop.ARP_GRATUITOUS:
            router.sysctl("net.ipv4.conf.eth0.drop_gratuitous_arp", 1)
            return router.arp("10.0.1.1")
        case Drop.ARP_NOT_OURS:
            return router.arp("10.0.1.77", "10.0.1.78")
        case Drop.ARP_IGNORE:
            router.sysctl("net.ipv4.conf.eth0.arp_ignore", 8)
            return router.arp()
    router.sysctl("net.ipv4.conf.eth0.arp_filter", 1)
    return router.arp(sip="10.0.2.7")


@provokes(Drop.NEIGH_FAILED, Drop.NEIGH_QUEUEFULL, Drop.NEIGH_DEAD, Drop.NEIGH_CREATEFAIL)
def unresolved(drop: Drop) -> Met:
    router = Sink()
    match drop:
        case Drop.NEIGH_QUEUEFULL:
            router.sysctl("net.ipv4.neigh.eth1.unres_qlen", 1)
            router.send("10.0.1.1", "10.0.2.9")
        case Drop.NEIGH_CREATEFAIL:
            route_add(router.net, router.r, Route(parse_ip("10.8.0.0"), 16, dev=router.r.devices["eth1"], scope=253))
            for n in range(1030):
                router.send("10.0.1.1", f"10.8.{n // 250}.{n % 250 + 1}")
    router.send("10.0.1.1", "10.0.2.9")
    if drop is Drop.NEIGH_DEAD:
        link_set(router.net, router.r.devices["eth1"], up=False)
    if drop is Drop.NEIGH_FAILED:
        router.run(4)
    return router.met


# -- IPv6 -----------------------------------------------------------------------------------------------------------


def test_a_plain_packet_of_ipv6_meets_none() -> None:
    """The twin of those below: forwarded, and answered."""
    router = Router6()
    assert router.send(FAR) == [None]
    assert router.send() == [None]
    assert [(end, message.type) for end, _, message in router.messages()] == [("w1", 128), ("w0", 129)]


@provokes(Drop.IPV6_BAD_EXTHDR, Drop.IPV6_TOO_BIG, Drop.IPV6_NOT_FORWARDING, Drop.MLD_MALFORMED,
          Drop.FRAG_HEADERS_CUT)  # fmt: skip
def packets_of_ipv6(drop: Drop) -> Met:
    router = Router6(forwarding=0 if drop is Drop.IPV6_NOT_FORWARDING else 1)
    if drop is Drop.IPV6_BAD_EXTHDR:
        return router.send(proto=packet.DSTOPTS, body=packet.options(packet.NONE, b"\x80\4\0\0\0\0"))
    if drop is Drop.MLD_MALFORMED:
        query = mld.build_query(NEAR, ip6("ff02::1"), mld.Query())
        return router.octets(mld.envelope(NEAR, ip6("ff02::1"), query), 0x3333_0000_0001)
    if drop is Drop.FRAG_HEADERS_CUT:
        return router.send(HERE, proto=packet.FRAGMENT, body=packet.fragment(packet.UDP, 0, True, 3) + bytes(7))
    if drop is Drop.IPV6_TOO_BIG:
        link_set(router.net, router.eth1, mtu=1300)
    return router.send(FAR, body=icmp6.build_echo(NEAR, FAR, icmp6.ECHO, 7, 1, bytes(1290)))


@provokes(Drop.IPV6_NDISC_HOP_LIMIT, Drop.IPV6_NDISC_BAD_CODE, Drop.IPV6_NDISC_BAD_OPTIONS, Drop.IPV6_NDISC_INVALID,
          Drop.IPV6_NDISC_NS_OTHERHOST, Drop.IPV6_NDISC_FRAG, Drop.IPV6_TENTATIVE, Drop.IPV6_DAD_LOOPED)  # fmt: skip
def solicitations(drop: Drop) -> Met:
    router = Router6()
    right = ndp.build_ns(NEAR, HERE, HERE, (ndp.link_layer(ndp.SLLA, W0),))
    if drop is Drop.IPV6_NDISC_HOP_LIMIT:
        return router.send(body=right, hops=254)
    if drop is Drop.IPV6_NDISC_BAD_CODE:
        return router.send(body=icmp6.seal(NEAR, HERE, b"\x87\1\0\0" + right[4:]), hops=255)
    if drop is Drop.IPV6_NDISC_BAD_OPTIONS:
        return router.solicit(HERE, 0, (ndp.link_layer(ndp.SLLA, W0),))
    if drop is Drop.IPV6_NDISC_INVALID:
        return router.send(body=ndp.build_ns(NEAR, HERE, ip6("ff02::1")), hops=255)
    if drop is Drop.IPV6_NDISC_FRAG:
        whole = packet.build(NEAR, HERE, packet.FRAGMENT, b"", 255)
        one, two = (packet.fragment(58, at, at == 0, 9) + right[at : at + 16] for at in (0, 16))
        router.octets(packet.resize(whole + one))
        return router.octets(packet.resize(whole + two))
    if drop is Drop.IPV6_NDISC_NS_OTHERHOST:
        return router.send(body=ndp.build_ns(NEAR, HERE, FAR), hops=255)
    address6_add(router.net, router.eth0, Ifaddr6(ip6("2001:db8:1::99"), 64))
    own = router.ip6.idev(router.eth0).find(ip6("2001:db8:1::99"))
    if drop is Drop.IPV6_DAD_LOOPED:
        return router.solicit(own.address, 0, (ndp.nonce(own.nonce),))
    return router.solicit(own.address)


@provokes(Drop.IPV6_NDISC_OWN_ADDRESS, Drop.IPV6_NDISC_NO_ENTRY, Drop.IPV6_NDISC_UNSOLICITED, Drop.IPV6_NOT_ROUTER,
          Drop.IPV6_RA_IGNORED)  # fmt: skip
def advertisements(drop: Drop) -> Met:
    if drop is Drop.IPV6_NOT_ROUTER:
        router = Router6(forwarding=0)
        dst = ip6("ff02::1")
        return router.send(dst, NEIGHBOUR, body=ndp.build_rs(NEIGHBOUR, dst), hops=255)
    router = Router6("conf.eth0.drop_unsolicited_na=1")
    if drop is Drop.IPV6_RA_IGNORED:
        return router.announce()
    if drop is Drop.IPV6_NDISC_NO_ENTRY:
        return router.advertise(ip6("2001:db8:1::77"))
    return router.advertise(LINK, solicited=drop is not Drop.IPV6_NDISC_UNSOLICITED)


def filtering(router: Sink, *rules: str) -> Sink:
    """Let the router obey iptables."""
    for rule in rules:
        lab = SimpleNamespace(network=router.net)
        process = Process(["iptables", *rule.split()], lab, netns=router.r.name)
        assert iptables(process) == 0, process.err
    return router


@provokes(Drop.NETFILTER_DROP)
def filtered(drop: Drop) -> Met:
    router = filtering(Sink(), "-A FORWARD -p udp -j DROP")
    router.send("10.0.1.1", "10.0.2.1")
    return router.met


@provokes(Drop.NETFILTER_NO_ADDRESS)
def nothing_to_masquerade_with(drop: Drop) -> Met:
    router = filtering(Sink(), "-t nat -A POSTROUTING -j MASQUERADE")
    for name in ("eth0", "eth1"):
        address_flush(router.net, router.r.devices[name])
    route_add(router.net, router.r, Route(parse_ip("10.0.2.0"), 24, dev=router.r.devices["eth1"], scope=253))
    router.send("10.0.1.1", "10.0.2.1")
    return router.met


@provokes(Drop.NETFILTER_FRAGMENT)
def held_back(drop: Drop) -> Met:
    bench = Bench()
    bridge = bench.add("bridge", "br0")
    bench.set(bench.p0, master=bridge)
    bridges_load(bench.net)
    lab = SimpleNamespace(network=bench.net)
    rule = "iptables -A FORWARD -m conntrack --ctstate NEW -j ACCEPT"
    assert iptables(Process(rule.split(), lab)) == 0
    octets = build(parse_ip("10.0.0.1"), parse_ip("10.0.0.2"), 17, b"\0" * 16, frag=MF)
    bench.net.send(bench.w0, Frame(OTHER, W, IPV4, octets))
    return [each for _, each in bench.drops]
