"""ipvlan: switching by address in every mode and flag, what the slaves of a parent share, and the refusals."""

from __future__ import annotations

from errno import EADDRINUSE, EBUSY, EINVAL, EOPNOTSUPP
from typing import Any

import pytest

from simvlan.devices.device import Device
from simvlan.devices.ipvlan import QUEUE_LIMIT, Flag, Ipvlan, Mode
from simvlan.devices.ipvlan_key import destination_key, source_key
from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import ARP, BCAST, DOT1Q, HOST, IPV4, IPV6, MCAST, OTHERHOST, Frame
from simvlan.network import Network, Told
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_del, link_set
from simvlan.rtnl.kinds import KINDS
from simvlan.stack.ipaddr import parse_ip
from simvlan.verdict import Drop, Way

P, W, X = 0x02_00_00_00_00_0A, 0x02_00_00_00_00_0B, 0x02_00_00_00_00_0F
BC, GROUP, ALL_HOSTS = 0xFFFF_FFFF_FFFF, 0x0100_5E01_0203, 0x0100_5E00_0001
Sight = tuple[str, str, str]


def ip(text: str) -> bytes:
    return parse_ip(text).to_bytes(4, "big")


def packet(src: str, dst: str, *, first: int = 0x45, total: int | None = None, size: int = 40) -> bytes:
    """An IPv4 packet whose header checksum is wrong: ipvlan does not look, every stack ignores it."""
    length = size if total is None else total
    head = bytes((first, 0)) + length.to_bytes(2, "big") + b"\0\1\0\0\x40\xfd\xde\xad"
    return (head + ip(src) + ip(dst)).ljust(size, b"\0")


def ip4(src: str, dst: str, dmac: int = P, smac: int = P, **how: Any) -> Frame:
    return Frame(dmac, smac, IPV4, packet(src, dst, **how))


def arp(sender: str, target: str, dmac: int = BC, smac: int = P, op: int = 9) -> Frame:
    mac = smac.to_bytes(6, "big")
    return Frame(dmac, smac, ARP, b"\0\1\x08\0\6\4\0" + bytes((op,)) + mac + ip(sender) + bytes(6) + ip(target))


class Lab:
    """host/p0 == wire/w0 and slaves i1..in, in namespaces s1..sn with 10.0.0.1..n, all up."""

    def __init__(self, mode: str = "l2", flag: str = "bridge", slaves: int = 3) -> None:
        self.net = Network()
        host, wire = self.net.add_netns("host"), self.net.add_netns("wire")
        self.p0 = link_add(self.net, host, LinkSpec("veth", "p0", mac=P, peer=PeerSpec("w0", wire, mac=W)))
        self.w0 = wire.devices["w0"]
        self.slaves = [self.slave(f"i{n + 1}", mode, flag) for n in range(slaves)]
        self.sights: list[Sight] = []
        self.frames: list[tuple[str, Frame]] = []
        self.drops: list[tuple[str, Drop]] = []
        for dev in (self.w0, self.p0, *self.slaves):
            dev.taps.append(self._tap)
            link_set(self.net, dev, up=True)
        for number, dev in enumerate(self.slaves):
            dev.address_added(parse_ip(f"10.0.0.{number + 1}"))
        self.net.tracer = self

    def slave(self, name: str, mode: str, flag: str) -> Ipvlan:
        ns = self.net.add_netns(name.replace("i", "s"))
        dev = link_add(self.net, ns, LinkSpec("ipvlan", name, link=self.p0, info={"mode": mode, flag: True}))
        assert isinstance(dev, Ipvlan)
        return dev

    def _tap(self, now: int, dev: Device, frame: Frame, out: bool) -> None:
        self.sights.append((dev.name, "out" if out else "in", "" if out else frame.ptype.name))
        self.frames.append((dev.name, frame))

    def step(self, told: Told) -> None:
        if told.way != "up" and told.drop is not None:
            self.drops.append((told.dev.name, told.drop))

    def send(self, dev: Device, frame: Frame) -> list[Sight]:
        """What the packet sockets saw, beginning with the sender's own copy; named drops in `drops`."""
        self.sights.clear()
        self.frames.clear()
        self.drops.clear()
        self.answer = self.net.send(dev, frame)
        return list(self.sights)

    def from_wire(self, frame: Frame) -> list[Sight]:
        """What was seen beyond the wire's sending end."""
        return self.send(self.w0, frame)[1:]

    def from_slave(self, number: int, frame: Frame) -> list[Sight]:
        """What was seen beyond the slave's sending end."""
        return self.send(self.slaves[number - 1], frame)[1:]


def inward(*names: str, ptype: str = "HOST") -> list[Sight]:
    return [(name, "in", ptype) for name in names]


# -- l2, received by the parent -------------------------------------------------------------------------------------


def test_l2_unicast_goes_to_the_slave_that_has_the_address() -> None:
    """ipvlan_handle_mode_l2: the IP destination decides; the slave sees the frame in the same call."""
    lab = Lab()
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", P, W)) == inward("p0", "i2")
    assert lab.slaves[1].rx_packets == 1
    assert lab.slaves[1].rx_bytes == 54
    assert lab.slaves[1].multicast == 0


def test_l2_a_foreign_mac_still_reaches_the_slave_as_otherhost() -> None:
    """The destination MAC is no part of the key; the packet type is the parent's judgement."""
    assert Lab().from_wire(ip4("10.0.0.9", "10.0.0.2", X, W)) == inward("p0", "i2", ptype="OTHERHOST")


def test_l2_unknown_address_is_the_hosts() -> None:
    """No key found: the host's stack alone."""
    lab = Lab()
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.77", P, W)) == inward("p0")
    assert lab.from_wire(Frame(P, W, 0x88B5, bytes(46))) == inward("p0")


def test_l2_a_slave_that_is_down_is_not_in_the_table() -> None:
    lab = Lab()
    link_set(lab.net, lab.slaves[1], up=False)
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", P, W)) == inward("p0")
    link_set(lab.net, lab.slaves[1], up=True)
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", P, W)) == inward("p0", "i2")


def test_l2_broadcast_reaches_the_host_first_then_all_slaves_in_order_of_creation() -> None:
    lab = Lab()
    seen = lab.from_wire(arp("10.0.0.9", "10.0.0.2", BC, W))
    assert seen == inward("p0", "i1", "i2", "i3", ptype="BROADCAST")
    assert [s.multicast for s in lab.slaves] == [1, 1, 1]


def test_l2_broadcast_mac_with_a_slaves_address_is_still_a_broadcast() -> None:
    assert len(Lab().from_wire(ip4("10.0.0.9", "10.0.0.2", BC, W))) == 4


def test_l2_multicast_passes_the_slaves_filters() -> None:
    """The filter: joined groups, promiscuous, allmulti; broadcast always."""
    lab = Lab()
    lab.net.mc_add(lab.slaves[0], GROUP)
    assert lab.from_wire(ip4("10.0.0.9", "224.1.2.3", GROUP, W)) == inward("p0", "i1", ptype="MULTICAST")
    link_set(lab.net, lab.slaves[1], promisc=True)
    link_set(lab.net, lab.slaves[2], allmulti=True)
    seen = lab.from_wire(ip4("10.0.0.9", "224.1.2.3", GROUP, W))
    assert seen == inward("p0", "i1", "i2", "i3", ptype="MULTICAST")
    link_set(lab.net, lab.slaves[0], up=False)
    seen = lab.from_wire(ip4("10.0.0.9", "224.1.2.3", GROUP, W))
    assert seen == inward("p0", "i2", "i3", ptype="MULTICAST")


def test_l2_multicast_nobody_wants_is_a_named_drop_beside_the_hosts_copy() -> None:
    lab = Lab()
    assert lab.from_wire(ip4("10.0.0.9", "224.1.2.3", GROUP, W)) == inward("p0", ptype="MULTICAST")
    assert ("p0", Drop.IPVLAN_NO_LISTENER) in lab.drops


@pytest.mark.parametrize("own", [arp("10.0.0.1", "10.0.0.9"), ip4("10.0.0.1", "10.0.0.255", BC)])
def test_l2_a_slaves_own_broadcast_come_back_is_given_to_the_host_only(own: Frame) -> None:
    """ipvlan_external_frame: source MAC the parent's, and the sender's address a slave's."""
    assert Lab().from_wire(own) == inward("p0", ptype="BROADCAST")


def test_l2_a_broadcast_with_the_parents_mac_from_no_slave_is_foreign() -> None:
    assert len(Lab().from_wire(arp("10.0.0.77", "10.0.0.9"))) == 4
    assert len(Lab().from_wire(arp("10.0.0.1", "10.0.0.9", smac=X))) == 4


def test_l2_pause_frames_reach_no_slave() -> None:
    """ipvlan_multicast_enqueue frees ETH_P_PAUSE; the host has its copy, a sender is told it went."""
    lab = Lab()
    assert lab.from_wire(Frame(BC, W, 0x8808, bytes(46))) == inward("p0", ptype="BROADCAST")
    assert ("p0", Drop.IPVLAN_PAUSE) in lab.drops
    assert lab.from_slave(1, Frame(BC, P, 0x8808, bytes(46))) == []
    assert lab.answer is None
    assert lab.slaves[0].tx_packets == 1


def test_l2_tagged_frames_are_judged_by_the_inner_packet_and_ignored_by_the_slaves_stack() -> None:
    """The accelerated tag does not hide the key; without a VLAN device the slave's stack sees OTHERHOST."""
    lab = Lab()
    inner = b"\0\5" + IPV4.to_bytes(2, "big") + packet("10.0.0.9", "10.0.0.2")
    assert lab.from_wire(Frame(P, W, DOT1Q, inner)) == inward("p0", "i2")
    assert lab.frames[-1][1].accel == 0x8100_0005


def test_l2_the_queue_holds_1000_broadcasts() -> None:
    """IPVLAN_QBACKLOG_LIMIT: beyond it the parent counts a drop and the slaves miss the frame."""
    lab = Lab(slaves=1)
    for _ in range(QUEUE_LIMIT + 1):
        lab.net.originate(lab.w0, arp("10.0.0.9", "10.0.0.1", BC, W))
    lab.net.drain()
    assert lab.slaves[0].rx_packets == QUEUE_LIMIT
    assert lab.p0.rx_dropped >= 1
    assert ("p0", Drop.IPVLAN_QUEUE_FULL) in lab.drops


def test_l2_the_queue_is_empty_before_time_moves() -> None:
    """Broadcasts given up in a storm do not fill the queue for ever."""
    port = Lab().p0.rx_handler
    frame = arp("10.0.0.9", "10.0.0.1", BC, W)
    ways = [port.enqueue(port.dev, frame, 5, None)[0][0] for _ in range(QUEUE_LIMIT + 1)]
    assert ways == [Way.WORK] * QUEUE_LIMIT + [Drop.IPVLAN_QUEUE_FULL]
    assert port.enqueue(port.dev, frame, 6, None)[0][0] is Way.WORK


# -- l2, sent by a slave --------------------------------------------------------------------------------------------


def test_l2_sibling_traffic_stays_inside() -> None:
    """ipvlan_xmit_mode_l2: own MAC to own MAC with a known address; neither the parent nor the wire sees it."""
    lab = Lab()
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2")) == inward("i2")
    assert lab.slaves[0].tx_bytes == 54
    assert lab.slaves[1].rx_bytes == 54 + 14, "dev_forward_skb'd frames count their header twice"
    assert lab.from_slave(1, arp("10.0.0.1", "10.0.0.3", P)) == inward("i3")


def test_l2_to_the_own_address_comes_back() -> None:
    assert Lab().from_slave(1, ip4("10.0.0.1", "10.0.0.1")) == inward("i1")


def test_l2_own_mac_and_unknown_address_is_the_hosts_not_the_wires() -> None:
    """dev_forward_skb to the parent; its receive handler then runs on the frame."""
    lab = Lab()
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.254")) == inward("p0")
    assert lab.from_slave(1, Frame(P, P, 0x88B5, bytes(46))) == inward("p0")
    assert lab.p0.rx_packets == 0, "forwarding into a veth moves none of its counters"


def test_l2_to_a_sibling_that_is_down_is_the_hosts() -> None:
    lab = Lab()
    link_set(lab.net, lab.slaves[1], up=False)
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2")) == inward("p0")


def test_l2_another_mac_goes_to_the_wire_even_for_a_siblings_address() -> None:
    lab = Lab()
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2", X)) == [("p0", "out", ""), ("w0", "in", "OTHERHOST")]
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2", P, X)) == [("p0", "out", ""), ("w0", "in", "OTHERHOST")]


def test_l2_spoofed_equal_macs_go_to_the_parent_as_otherhost() -> None:
    assert Lab().from_slave(1, ip4("10.0.0.1", "10.0.0.77", X, X)) == inward("p0", ptype="OTHERHOST")


def test_l2_broadcast_reaches_siblings_then_the_wire_but_neither_sender_nor_host() -> None:
    lab = Lab()
    seen = lab.from_slave(2, arp("10.0.0.2", "10.0.0.1"))
    copies = inward("i1", "i3", ptype="BROADCAST")
    assert sorted(seen) == sorted([*copies, ("p0", "out", ""), ("w0", "in", "BROADCAST")])
    assert [s for s in seen if s in copies] == copies
    assert lab.slaves[0].multicast == 1
    assert lab.slaves[0].rx_bytes == 42 + 14


def test_l2_what_the_host_sends_never_reaches_a_slave() -> None:
    lab = Lab()
    assert lab.send(lab.p0, ip4("10.0.0.254", "10.0.0.1")) == [("p0", "out", ""), ("w0", "in", "OTHERHOST")]
    assert lab.send(lab.p0, arp("10.0.0.254", "10.0.0.1")) == [("p0", "out", ""), ("w0", "in", "BROADCAST")]


def test_l2_private_refuses_unicast_between_slaves_and_to_oneself() -> None:
    """The sender gets ENOBUFS and tx_dropped; the rest is as in bridge."""
    lab = Lab(flag="private")
    for target in ("10.0.0.2", "10.0.0.1"):
        assert lab.from_slave(1, ip4("10.0.0.1", target)) == []
        assert lab.answer is Drop.IPVLAN_PRIVATE
    assert (lab.slaves[0].tx_packets, lab.slaves[0].tx_dropped) == (0, 2)
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.254")) == inward("p0")
    assert len(lab.from_slave(1, arp("10.0.0.1", "10.0.0.2"))) == 4, "broadcasts still flood to the siblings"


def test_l2_vepa_sends_all_unicast_to_the_wire() -> None:
    lab = Lab(flag="vepa")
    for target in ("10.0.0.2", "10.0.0.254"):
        assert lab.from_slave(1, ip4("10.0.0.1", target)) == [("p0", "out", ""), ("w0", "in", "OTHERHOST")]
    assert len(lab.from_slave(1, arp("10.0.0.1", "10.0.0.2"))) == 4


def test_l2_an_in_band_tag_hides_the_key_and_detours_through_the_parent() -> None:
    """A tagged frame sent on a slave has no key; the parent strips the tag, and there the key is found."""
    inner = b"\0\5" + IPV4.to_bytes(2, "big") + packet("10.0.0.1", "10.0.0.2")
    assert Lab().from_slave(1, Frame(P, P, DOT1Q, inner)) == inward("p0", "i2")


# -- length ---------------------------------------------------------------------------------------------------------


def test_forwarding_to_a_sibling_obeys_its_mtu() -> None:
    """is_skb_forwardable: mtu + 18 passes; beyond, the target counts one error and two drops, the sender a success."""
    lab = Lab()
    link_set(lab.net, lab.slaves[1], mtu=1000)
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2", size=1004)) == inward("i2")
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2", size=1005)) == []
    assert ("i2", Drop.PKT_TOO_BIG) in lab.drops
    assert lab.answer is None
    assert (lab.slaves[1].rx_errors, lab.slaves[1].rx_dropped, lab.slaves[0].tx_packets) == (1, 2, 2)
    seen = lab.from_slave(1, ip4("10.0.0.1", "10.0.0.255", BC, size=1005))
    assert ("i2", "in", "BROADCAST") not in seen
    assert ("i3", "in", "BROADCAST") in seen


def test_receiving_from_the_wire_does_not_check_the_slaves_mtu() -> None:
    lab = Lab()
    link_set(lab.net, lab.slaves[1], mtu=500)
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", P, W, size=1500)) == inward("p0", "i2")


def test_to_the_host_obeys_the_parents_mtu_and_state() -> None:
    lab = Lab()
    link_set(lab.net, lab.p0, mtu=600)
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.254", size=605)) == []
    assert (lab.p0.rx_dropped, lab.answer) == (1, None)


# -- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (packet("10.0.0.9", "10.0.0.2"), True),
        (packet("10.0.0.9", "10.0.0.2", first=0x65), False),
        (packet("10.0.0.9", "10.0.0.2", first=0x44), False),
        (packet("10.0.0.9", "10.0.0.2", first=0x46), True),
        (packet("10.0.0.9", "10.0.0.2", total=41), False),
        (packet("10.0.0.9", "10.0.0.2", total=19), False),
        (packet("10.0.0.9", "10.0.0.2", first=0x46, total=23), False),
        (packet("10.0.0.9", "10.0.0.2", size=20), True),
        (packet("10.0.0.9", "10.0.0.2", size=20)[:19], False),
    ],
)
def test_an_ipv4_header_must_be_plausible(payload: bytes, found: bool) -> None:
    """ipvlan_get_L3_hdr: version, header length, total length; the checksum does not matter."""
    assert Lab().from_wire(Frame(P, W, IPV4, payload)) == inward("p0", *(["i2"] if found else []))


def test_while_sending_the_ethernet_header_counts_as_part_of_the_packet() -> None:
    """skb->len still includes the header then: a total length 14 octets too long passes, 15 does not."""
    lab = Lab()
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2", total=54)) == inward("i2")
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2", total=55)) == inward("p0")


def test_arp_is_keyed_on_the_target_address_whatever_the_operation() -> None:
    for op in (1, 2, 9):
        assert Lab(slaves=2).from_wire(arp("10.0.0.9", "10.0.0.2", X, W, op)) == inward("p0", "i2", ptype="OTHERHOST")
    short = arp("10.0.0.9", "10.0.0.2", P, W)
    short.payload = short.payload[:27]
    assert Lab().from_wire(short) == inward("p0")


def solicitation(source: bytes, kind: int = 135) -> bytes:
    """ICMPv6 with fe80::2 as target, to ff02::1:ff00:2."""
    group = bytes.fromhex("ff0200000000000000000001ff000002")
    target = bytes.fromhex("fe800000000000000000000000000002")
    return b"\x60\0\0\0\0\x18\x3a\xff" + source + group + bytes((kind, 0, 0, 0, 0, 0, 0, 0)) + target


def test_ipv6_is_keyed_on_the_destination_but_an_address_probe_on_its_target() -> None:
    """IPVL_ICMPV6: only from `::`, and only neighbour solicitations have a key then."""
    target, group = solicitation(bytes(16))[48:64], solicitation(bytes(16))[24:40]
    somebody = bytes.fromhex("fe800000000000000000000000000009")
    for source, kind, key, own in (
        (bytes(16), 135, target, target),
        (bytes(16), 133, None, None),
        (somebody, 135, group, somebody),
        (somebody, 133, group, somebody),
    ):
        frame = Frame(0x3333_FF00_0002, W, IPV6, solicitation(source, kind))
        assert (destination_key(frame), source_key(frame)) == (key, own)
    assert destination_key(Frame(P, W, IPV6, b"\x50" + solicitation(somebody)[1:])) is None
    assert destination_key(Frame(P, W, IPV6, solicitation(bytes(16))[:63])) is None


@pytest.mark.parametrize("mode", ["l2", "l3"])
@pytest.mark.parametrize("lower", ["veth", "dummy"])
def test_above_a_vlan_that_writes_its_tags_what_a_packet_socket_sends_is_misread(lower: str, mode: str) -> None:
    """packet_snd sets the network header behind all the room; tests/kernel/ipv6/slaves.sh asks Linux."""
    net = Network()
    names = {name: net.add_netns(name) for name in ("a", "s1", "s2")}
    peer = PeerSpec("w0", names["a"]) if lower == "veth" else None
    link_add(net, names["a"], LinkSpec(lower, "d0", mac=P, peer=peer))
    parent = link_add(net, names["a"], LinkSpec("vlan", "q0", link=names["a"].devices["d0"], info={"id": 5}))
    slaves = [
        link_add(net, names[f"s{n}"], LinkSpec("ipvlan", f"i{n}", link=parent, info={"mode": mode})) for n in (1, 2)
    ]
    for dev in (*names["a"].devices.values(), *slaves):
        link_set(net, dev, up=True)
    for number, slave in enumerate(slaves):
        assert isinstance(slave, Ipvlan)
        slave.address_added(parse_ip(f"10.0.0.{number + 1}"))
    straight, shifted = packet("10.0.0.2", "10.0.0.1", size=44), packet("10.0.0.2", "10.0.0.1", size=44)
    shifted = bytes.fromhex("45000000") + shifted
    writes = lower == "dummy"
    for payload, found in ((straight, not writes), (shifted, writes)):
        before = slaves[0].rx_bytes
        net.send(slaves[1], Frame(P, P, IPV4, payload))
        sibling = slaves[0].rx_bytes - before == 14 + len(payload) + 14  # the host hands it over without the header
        assert sibling is found
    short = arp("10.0.0.2", "10.0.0.1", P)  # under 58 octets: read from the first one; there stands a MAC
    key = destination_key(slaves[1].from_socket(short), sending=True)
    assert key == (P.to_bytes(6, "big")[2:] if writes else ip("10.0.0.1"))


# -- l3 -------------------------------------------------------------------------------------------------------------


def test_l3_receives_by_address_whatever_the_mac_and_gives_the_rest_to_the_host_alone() -> None:
    lab = Lab("l3")
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", P, W)) == inward("p0", "i2")
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", BC, W)) == inward("p0", "i2", ptype="BROADCAST")
    assert lab.slaves[1].multicast == 0
    assert lab.from_wire(arp("10.0.0.9", "10.0.0.2", BC, W)) == inward("p0", "i2", ptype="BROADCAST")
    assert lab.from_wire(ip4("10.0.0.9", "255.255.255.255", BC, W)) == inward("p0", ptype="BROADCAST")
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.77", P, W)) == inward("p0")


def test_l3_siblings_meet_whatever_the_mac() -> None:
    """ipvlan_xmit_mode_l3: a foreign MAC arrives as OTHERHOST."""
    lab = Lab("l3")
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2")) == inward("i2")
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2", X)) == inward("i2", ptype="OTHERHOST")
    assert lab.from_slave(1, arp("10.0.0.1", "10.0.0.2")) == inward("i2", ptype="BROADCAST")


@pytest.mark.parametrize("mode", ["l3", "l3s"])
@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (arp("10.0.0.1", "10.0.0.77"), Drop.IPVLAN_L3_GROUP),
        (ip4("10.0.0.1", "10.0.0.77", BC), Drop.IPVLAN_L3_GROUP),
        (ip4("10.0.0.1", "224.1.2.3", GROUP), Drop.IPVLAN_L3_GROUP),
        (arp("10.0.0.1", "10.0.0.77", P), Drop.IPVLAN_L3_PROTO),
        (Frame(P, P, 0x88B5, bytes(46)), Drop.IPVLAN_L3_PROTO),
        (Frame(P, P, IPV6, bytes(40)), Drop.IPVLAN_NO_IPV6),
    ],
)
def test_l3_carries_nothing_but_unicast_ip(mode: str, frame: Frame, reason: Drop) -> None:
    """ipvlan_process_outbound: NET_XMIT_DROP, the sender sees ENOBUFS and tx_dropped."""
    lab = Lab(mode)
    assert lab.from_slave(1, frame) == []
    assert (lab.answer, lab.slaves[0].tx_dropped) == (reason, 1)


def test_l3_private_refuses_siblings_and_vepa_does_not_look_for_them() -> None:
    lab = Lab("l3", "private")
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2")) == []
    assert lab.answer is Drop.IPVLAN_PRIVATE
    lab = Lab("l3", "vepa")
    lab.from_slave(1, arp("10.0.0.1", "10.0.0.2", P))
    assert lab.answer is Drop.IPVLAN_L3_PROTO, "ARP would have found the sibling"


def test_l3s_leaves_received_frames_to_the_hosts_stack() -> None:
    """The receive handler passes everything; the stack asks for the slave at its local input."""
    lab = Lab("l3s")
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", P, W)) == inward("p0")
    port = lab.p0.rx_handler
    assert port.l3s_lookup(parse_ip("10.0.0.2")) is lab.slaves[1]
    assert port.l3s_lookup(parse_ip("10.0.0.77")) is None
    lab.slaves[1].l3s_received(84)
    assert (lab.slaves[1].rx_packets, lab.slaves[1].rx_bytes) == (1, 98)
    link_set(lab.net, lab.slaves[0], info={"mode": "l3"})
    assert port.l3s_lookup(parse_ip("10.0.0.2")) is None


# -- what the slaves of a parent share ------------------------------------------------------------------------------


def test_the_latest_creation_decides_for_every_slave() -> None:
    """Mode and flags are the port's: a new slave without options makes all of them l3; flags stay unless named."""
    lab = Lab("l2", "private", slaves=1)
    first = lab.slaves[0]
    assert not first.noarp
    link_add(lab.net, lab.net.netns["host"], LinkSpec("ipvlan", "j1", link=lab.p0))
    assert KINDS["ipvlan"].info(first) == {"mode": "l3", "private": True}
    assert first.noarp
    link_add(lab.net, lab.net.netns["host"], LinkSpec("ipvlan", "j2", link=lab.p0, info={"mode": "l2", "vepa": True}))
    assert KINDS["ipvlan"].info(first) == {"mode": "l2", "vepa": True}
    assert not first.noarp


def test_a_change_decides_for_every_slave_too() -> None:
    lab = Lab("l2")
    link_set(lab.net, lab.slaves[2], info={"private": True})
    assert KINDS["ipvlan"].info(lab.slaves[0]) == {"mode": "l2", "private": True}
    link_set(lab.net, lab.slaves[2], info={"mode": "l3s"})
    assert [s.noarp for s in lab.slaves] == [True, True, True]
    assert (lab.slaves[0].port.mode, lab.slaves[0].port.flag) == (Mode.L3S, Flag.PRIVATE)


def test_a_new_slave_becomes_noarp_when_it_comes_up() -> None:
    """ipvlan_open sets the flag; creation does not."""
    lab = Lab("l3", slaves=0)
    dev = lab.slave("i1", "l3", "bridge")
    assert not dev.noarp
    link_set(lab.net, dev, up=True)
    assert dev.noarp


def test_slaves_follow_the_parents_mac_and_mtu() -> None:
    lab = Lab()
    link_set(lab.net, lab.slaves[0], mtu=9000)
    link_set(lab.net, lab.p0, mtu=1400)
    link_set(lab.net, lab.p0, mac=X)
    assert [(s.mtu, s.mac) for s in lab.slaves] == [(1400, X)] * 3
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", X, W)) == inward("p0", "i2")


def test_an_address_asked_for_is_ignored_and_an_mtu_is_taken() -> None:
    lab = Lab(slaves=0)
    host = lab.net.netns["host"]
    dev = link_add(lab.net, host, LinkSpec("ipvlan", "j1", link=lab.p0, mac=X, mtu=9000))
    assert (dev.mac, dev.mtu) == (P, 9000)
    assert link_add(lab.net, host, LinkSpec("ipvlan", "j2", link=lab.p0)).mtu == 1500


def test_the_parent_going_down_leaves_the_slaves_up_and_sibling_traffic_running() -> None:
    """6.1 reacts to carrier changes only; what goes to the wire vanishes and counts as sent (noop_enqueue)."""
    lab = Lab()
    link_set(lab.net, lab.p0, up=False)
    assert lab.slaves[0].carrier
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.2")) == inward("i2")
    assert lab.from_slave(1, ip4("10.0.0.1", "10.0.0.9", W)) == []
    assert (lab.answer, lab.slaves[0].tx_packets, lab.slaves[0].tx_dropped) == (None, 2, 0)


def test_the_parent_losing_its_carrier_takes_the_slaves() -> None:
    lab = Lab()
    link_set(lab.net, lab.w0, up=False)
    lab.net.clock.advance(lab.net.now + 1_000_000_000)  # linkwatch
    assert not lab.slaves[0].carrier
    assert lab.slave("i9", "l2", "bridge").carrier is False
    link_set(lab.net, lab.w0, up=True)
    lab.net.clock.advance(lab.net.now + 1_000_000_000)
    assert all(s.carrier for s in lab.slaves)


def test_groups_and_allmulti_reach_the_parent_promiscuity_does_not() -> None:
    """dev_mc_sync while up; ipvlan_change_rx_flags passes allmulti only."""
    lab = Lab()
    before = lab.p0.mc.get(GROUP, 0)
    lab.net.mc_add(lab.slaves[0], GROUP)
    assert lab.p0.mc.get(GROUP, 0) == before + 1
    link_set(lab.net, lab.slaves[0], up=False)
    assert lab.p0.mc.get(GROUP, 0) == before
    link_set(lab.net, lab.slaves[1], promisc=True, allmulti=True)
    assert (lab.p0.promiscuity, lab.p0.allmulti) == (0, 1)
    link_set(lab.net, lab.slaves[1], allmulti=False)
    assert lab.p0.allmulti == 0


def test_ids_are_handed_out_once_round() -> None:
    lab = Lab(slaves=3)
    assert [s.dev_id for s in lab.slaves] == [1, 2, 3]
    link_del(lab.net, lab.slaves[1])
    assert lab.slave("i4", "l2", "bridge").dev_id == 4
    port = lab.slaves[0].port
    port.next_id = 0xFFFD
    assert lab.slave("i5", "l2", "bridge").dev_id == 0xFFFD
    assert lab.slave("i6", "l2", "bridge").dev_id == 2


def test_a_slave_of_a_slave_is_its_sibling() -> None:
    lab = Lab(slaves=1)
    dev = link_add(lab.net, lab.net.netns["s1"], LinkSpec("ipvlan", "j1", link=lab.slaves[0], info={"mode": "l2"}))
    assert dev.lower is lab.p0
    assert dev.mac == P


def test_the_last_slave_takes_the_port_with_it() -> None:
    lab = Lab(slaves=2)
    link_del(lab.net, lab.slaves[0])
    assert lab.p0.rx_handler is not None
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.1", P, W)) == inward("p0")
    link_del(lab.net, lab.slaves[1])
    assert lab.p0.rx_handler is None
    assert lab.p0.uppers == []
    again = lab.slave("i7", "l2", "bridge")
    assert (again.dev_id, again.port.owners) == (1, {})


def test_slaves_die_with_their_parent() -> None:
    lab = Lab()
    link_del(lab.net, lab.p0)
    assert [name for n in (1, 2, 3) for name in lab.net.netns[f"s{n}"].devices] == ["lo"] * 3


def test_moving_the_parent_leaves_the_slaves_where_they_are() -> None:
    lab = Lab()
    link_set(lab.net, lab.p0, netns=lab.net.add_netns("other"))
    link_set(lab.net, lab.p0, up=True)
    assert lab.slaves[1].netns.name == "s2"
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", P, W)) == inward("p0", "i2")


# -- addresses ------------------------------------------------------------------------------------------------------


def test_an_address_belongs_to_one_slave_of_a_parent_up_or_down() -> None:
    """ipvlan_addr4_validator_event."""
    lab = Lab()
    first = parse_ip("10.0.0.1")
    link_set(lab.net, lab.slaves[0], up=False)
    for slave in lab.slaves:
        with pytest.raises(RtnlError, match=r"Error: Address already assigned to an ipvlan device\.") as caught:
            slave.check_address(first)
        assert caught.value.errno == EADDRINUSE
    lab.slaves[0].address_removed(first)
    lab.slaves[1].check_address(first)
    lab.slaves[1].address_added(first)
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.1", P, W)) == inward("p0", "i2")


def test_a_removed_address_is_no_longer_matched() -> None:
    lab = Lab()
    lab.slaves[1].address_removed(parse_ip("10.0.0.2"))
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", P, W)) == inward("p0")
    lab.slaves[1].address_removed(parse_ip("10.0.0.2"))


# -- refusals -------------------------------------------------------------------------------------------------------


def refused(lab: Lab, kind: str, link: Device | None, **info: object) -> int:
    with pytest.raises(RtnlError) as caught:
        link_add(lab.net, lab.net.netns["host"], LinkSpec(kind, "bad", link=link, info=info))
    assert "bad" not in lab.net.netns["host"].devices
    return caught.value.errno


def test_what_cannot_be_a_parent() -> None:
    """No link, lo: EINVAL; a device with another receive handler: EBUSY; a parent with slaves is fine."""
    lab = Lab()
    host = lab.net.netns["host"]
    assert refused(lab, "ipvlan", None) == EINVAL
    assert refused(lab, "ipvlan", host.devices["lo"]) == EINVAL
    other = link_add(lab.net, host, LinkSpec("dummy", "d0"))
    link_add(lab.net, host, LinkSpec("macvlan", "m0", link=other))
    assert refused(lab, "ipvlan", other) == EBUSY
    assert refused(lab, "macvlan", lab.p0) == EBUSY
    assert link_add(lab.net, host, LinkSpec("ipvlan", "fine", link=lab.p0)).lower is lab.p0


def test_what_an_option_may_be() -> None:
    """ipvlan_nl_validate."""
    lab = Lab()
    assert refused(lab, "ipvlan", lab.p0, mode="l4") == EINVAL
    assert refused(lab, "ipvlan", lab.p0, private=True, vepa=True) == EINVAL
    with pytest.raises(Unsupported, match="colour"):
        link_set(lab.net, lab.slaves[0], info={"colour": 1})
    with pytest.raises(RtnlError):
        link_set(lab.net, lab.slaves[0], info={"mode": "l2e"})
    assert lab.slaves[0].port.mode is Mode.L2


def test_a_slaves_mac_and_mtu() -> None:
    """No ndo_set_mac_address: EOPNOTSUPP; MTU 68 to 65535, whatever the parent's."""
    lab = Lab()
    with pytest.raises(RtnlError) as caught:
        link_set(lab.net, lab.slaves[0], mac=X)
    assert caught.value.errno == EOPNOTSUPP
    for mtu, text in ((60, "less than device minimum"), (65_536, "greater than device maximum")):
        with pytest.raises(RtnlError, match=text):
            link_set(lab.net, lab.slaves[0], mtu=mtu)
        with pytest.raises(RtnlError, match=text):
            link_add(lab.net, lab.net.netns["host"], LinkSpec("ipvlan", "bad", link=lab.p0, mtu=mtu))
    link_set(lab.net, lab.slaves[0], mtu=65_535)


def test_packet_types_are_what_the_stack_sees() -> None:
    """Sibling unicast is HOST, flooded groups BROADCAST or MULTICAST, a foreign MAC OTHERHOST."""
    lab = Lab()
    lab.net.mc_add(lab.slaves[1], GROUP)
    for frame, ptype in (
        (ip4("10.0.0.1", "10.0.0.2"), HOST),
        (ip4("10.0.0.1", "224.1.2.3", GROUP), MCAST),
        (arp("10.0.0.1", "10.0.0.2"), BCAST),
    ):
        lab.from_slave(1, frame)
        assert [f.ptype for name, f in lab.frames if name == "i2"] == [ptype]
    lab.from_wire(ip4("10.0.0.9", "10.0.0.2", X, W))
    assert lab.frames[-1][1].ptype is OTHERHOST


def test_a_restored_parent_has_slaves_of_its_own() -> None:
    """Ports and tables are copied with the network, and keep apart afterwards."""
    from simvlan.engines.events import restore, snapshot

    lab = Lab()
    twin = restore(snapshot(lab.net))
    p0 = twin.device("host/p0")
    assert p0.rx_handler is not lab.p0.rx_handler
    assert [s.lower for s in p0.rx_handler.slaves] == [p0] * 3
    assert p0.rx_handler.table == {s.addresses[0]: s for s in p0.rx_handler.slaves}
    twin.device("s2/i2").address_removed(parse_ip("10.0.0.2"))  # type: ignore[attr-defined]
    assert lab.from_wire(ip4("10.0.0.9", "10.0.0.2", P, W)) == inward("p0", "i2")
    twin.send(twin.device("wire/w0"), ip4("10.0.0.9", "10.0.0.2", P, W))
    assert twin.device("s2/i2").rx_packets == 0
