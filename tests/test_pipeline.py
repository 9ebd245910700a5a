"""Rules of how Linux carries frames that no other file proves; each names the section of docs/rules.md it holds."""

from __future__ import annotations

from typing import Any

import pytest
from bench_l2 import ETHERTYPE, Bench, P, W
from test_bridge import BR_MAC, BROADCAST, A, B, C, Switch, X, entry
from test_ipvlan import Lab as IpvlanLab
from test_ipvlan import arp, inward, ip4
from test_ipvlan_reach import EXT, Site

from simvlan.errors import RtnlError
from simvlan.frame import DOT1Q, IPV4, QINQ, Frame
from simvlan.rtnl import LinkSpec, link_add, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.bridge import port_info
from simvlan.rtnl.fdb import fdb_add, fdb_dump
from simvlan.stack.addresses import Ifaddr
from simvlan.stack.ipaddr import parse_ip
from simvlan.stack.packet import build
from simvlan.verdict import Drop

Q5 = DOT1Q << 16 | 5
KIND = {DOT1Q: "802.1Q", QINQ: "802.1ad"}
M1 = 0x02_00_00_00_0A_01


def tagged(vid: int, proto: int = ETHERTYPE, size: int = 46) -> bytes:
    """What follows a VLAN ethertype: the tag and what is behind it."""
    return vid.to_bytes(2, "big") + proto.to_bytes(2, "big") + bytes(size)


# -- 1, the way of a frame ------------------------------------------------------------------------------------------


def test_ethertype_9100_is_no_tag() -> None:
    """1.1/3 (eth_type_vlan): it stays in the octets and no VLAN device is asked; 0x8100 beside it is."""
    bench = Bench()
    bench.add("vlan", "p0.5", bench.p0, id=5)
    bench.send(bench.w0, P, proto=0x9100, payload=tagged(5))
    assert bench.receivers() == ["p0"]
    assert bench.seen[-1][3].accel == 0
    bench.send(bench.w0, P, proto=DOT1Q, payload=tagged(5))
    assert bench.receivers() == ["p0", "p0.5"]


def test_a_tag_behind_a_priority_tag_meets_the_receive_handler_first() -> None:
    """1.1/7: Q0/Q5 reaches a macvlan with both tags although p0.5 exists; without the macvlan p0.5 gets it."""
    bench = Bench()
    bench.add("vlan", "p0.5", bench.p0, id=5)
    bench.send(bench.w0, M1, accel=DOT1Q << 16, proto=DOT1Q, payload=tagged(5))
    assert bench.receivers() == ["p0", "p0.5"]
    bench.add("macvlan", "m1", bench.p0, mac=M1, mode="bridge")
    bench.send(bench.w0, M1, accel=DOT1Q << 16, proto=DOT1Q, payload=tagged(5))
    assert bench.receivers() == ["p0", "m1"]
    assert [(f.accel, f.proto) for name, _, _, f in bench.seen if name == "m1"] == [(DOT1Q << 16, DOT1Q)]


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize(
    ("how", "alone", "watched"),
    [
        ({}, 1, 0),
        ({"accel": Q5, "proto": DOT1Q, "payload": tagged(6)}, 1, 1),
        ({"dst": X, "proto": IPV4, "payload": build(1, 2, 17, bytes(8))}, 0, 0),
    ],
    ids=["unknown ethertype", "tag behind an unclaimed tag", "another host's packet"],
)
def test_what_nobody_takes_is_counted(captured: bool, how: dict[str, Any], alone: int, watched: int) -> None:
    """1.4 (__netif_receive_skb_core): a packet socket on a plain device counts as the taker, not behind a tag."""
    bench = Bench()
    if not captured:
        bench.p0.taps.clear()
    bench.send(bench.w0, **({"dst": P} | how))
    assert bench.p0.rx_dropped == (watched if captured else alone)


def test_a_receive_handler_that_passed_makes_it_count_although_captured() -> None:
    """1.4: the packet socket no longer stands for a taker."""
    bench = Bench()
    bench.add("macvlan", "m1", bench.p0, mac=M1, mode="bridge")
    bench.send(bench.w0, P)
    assert bench.p0.taps
    assert bench.p0.rx_dropped == 1


def test_drops_that_count_nothing() -> None:
    """1.4/3: the VLAN filter, a port's state, a lock, a reserved address, a VLAN device that is down."""
    sw = Switch(vlan_filtering=1)
    sw.send(0, BROADCAST, accel=DOT1Q << 16 | 77)
    sw.slave(0, state=1)
    sw.send(0, BROADCAST)
    sw.slave(0, state=3, locked=True)
    sw.send(0, BROADCAST)
    sw.send(0, 0x0180_C200_0001)
    down = link_add(sw.net, sw.net.netns[""], LinkSpec("vlan", "p0.5", link=sw.ports[0], info={"id": 5}))
    link_set(sw.net, down, up=False)
    sw.send(0, BROADCAST, accel=Q5)
    assert sw.ports[0].rx_packets == 5
    assert [(dev.rx_dropped, dev.tx_dropped) for dev in (*sw.ports, sw.br, *sw.hosts, down)] == [(0, 0)] * 8


@pytest.mark.parametrize(
    ("accel", "proto", "inner", "passes"),
    [(0, ETHERTYPE, 1504, 1), (0, ETHERTYPE, 1505, 0), (Q5, ETHERTYPE, 1504, 1), (Q5, ETHERTYPE, 1505, 0),
     (0, DOT1Q, 1500, 1), (0, DOT1Q, 1501, 0), (Q5, DOT1Q, 1500, 1), (Q5, DOT1Q, 1501, 0)],
)  # fmt: skip
def test_the_tag_beside_the_octets_has_no_length(accel: int, proto: int, inner: int, passes: int) -> None:
    """1.5/1 (is_skb_forwardable): mtu + 18 octets, in-band tags count, the tag beside them does not."""
    bench = Bench()
    bench.set(bench.w0, mtu=9000)
    bench.send(bench.w0, P, proto=proto, payload=tagged(7, size=inner) if proto == DOT1Q else bytes(inner), accel=accel)
    assert bench.p0.rx_packets == passes


def test_what_enters_a_peer_waits_for_the_call_to_end() -> None:
    """1.6 (netif_rx): a bridge floods to all ports inside the call; the far ends receive afterwards, in that order."""
    sw = Switch()
    order: list[tuple[str, str]] = []
    for dev in (*sw.ports, *sw.hosts, sw.br):
        dev.taps.append(lambda now, dev, frame, out: order.append((dev.name, "out" if out else "in")))
    sw.send(0, BROADCAST)
    assert order == [
        ("h0", "out"), ("p0", "in"), ("p2", "out"), ("p1", "out"), ("br0", "in"), ("h2", "in"), ("h1", "in"),
    ]  # fmt: skip


# -- 4, VLAN devices ------------------------------------------------------------------------------------------------


def test_vlans_stack_without_losing_mtu() -> None:
    """4.4/7: any order of ethertypes, the MTU not reduced for a tag; what is sent carries both."""
    for outer, inner in ((DOT1Q, QINQ), (QINQ, DOT1Q), (DOT1Q, DOT1Q)):
        bench = Bench()
        low = bench.add("vlan", "low", bench.p0, id=5, protocol=KIND[outer])
        high = bench.add("vlan", "high", low, id=6, protocol=KIND[inner])
        assert (low.mtu, high.mtu) == (1500, 1500)
        bench.send(high, W, high.mac)
        assert [f.tags for f in bench.sent("p0")] == [((outer, 5), (inner, 6))]


# -- 6, macvlan; 7, ipvlan ------------------------------------------------------------------------------------------


def test_a_macvlan_as_a_port_lets_little_in() -> None:
    """6.5/7: hosts behind the bridge get broadcast, but no unicast; the macvlan's own address comes in."""
    bench = Bench()
    m1 = bench.add("macvlan", "m1", bench.p0, mac=M1, mode="bridge")
    br = bench.add("bridge", "br0", mcast_snooping=0)
    bench.set(m1, master=br)
    inner = bench.add("dummy", "d0")
    bench.set(inner, master=br)
    bench.send(bench.w0, BROADCAST)
    assert bench.sent("d0")
    bench.send(bench.w0, X)
    assert not bench.sent("d0")
    bench.send(bench.w0, M1)
    assert bench.got("m1") == ["HOST"]


def test_an_ipvlan_is_found_by_the_peers_address() -> None:
    """7/3 (ipvlan_add_addr4 takes ifa_address): of a point-to-point address the peer's is matched."""
    site = Site("l2", "bridge", False)
    dev, wire = site.net.device("c1/eth0"), site.net.device("ext/e0")
    address_add(site.net, dev, Ifaddr(parse_ip("10.5.0.1"), 32, peer=parse_ip("10.5.0.2")))
    seen: list[str] = []
    dev.taps.append(lambda now, dev, frame, out: seen.append("in"))
    for address, count in (("10.5.0.1", 0), ("10.5.0.2", 1)):
        seen.clear()
        site.net.send(wire, Frame(dev.mac, wire.mac, IPV4, build(1, parse_ip(address), 253, bytes(8))))
        assert len(seen) == count, address


def test_an_address_on_parent_and_slave_is_the_slaves() -> None:
    """7/4: the parent's own addresses are not in the table; both are accepted, the slave gets what is received."""
    site = Site("l2", "bridge", False)
    slave, wire = site.net.device("c1/eth0"), site.net.device("ext/e0")
    parent = slave.lower
    assert parent is not None
    address_add(site.net, parent, Ifaddr(parse_ip("10.0.0.1"), 24))
    before = slave.rx_packets
    site.net.send(wire, Frame(slave.mac, wire.mac, IPV4, build(1, parse_ip("10.0.0.1"), 253, bytes(8))))
    assert slave.rx_packets == before + 1


def test_l3_costs_no_hop() -> None:
    """7.4/2: a TTL of 1 is enough in both directions, and forwarding is off."""
    site = Site("l3", "bridge", False)
    slave, wire = site.net.device("c1/eth0"), site.net.device("ext/e0")
    assert slave.lower is not None
    assert site.ping("c1", "ext") == "yes"
    seen: list[tuple[str, int]] = []
    for dev in (slave, wire):
        dev.taps.append(lambda now, dev, f, out: seen.append((dev.name, f.payload[8])) if f.proto == IPV4 else None)
    octets = build(parse_ip(EXT), parse_ip("10.1.0.1"), 253, bytes(8), ttl=1)
    site.net.send(wire, Frame(slave.mac, wire.mac, IPV4, octets))
    assert ("eth0", 1) in seen
    seen.clear()
    octets = build(parse_ip("10.1.0.1"), parse_ip(EXT), 253, bytes(8), ttl=1)
    site.net.send(slave, Frame(wire.mac, slave.mac, IPV4, octets))
    assert ("e0", 1) in seen


def test_l3_without_a_route_is_on_link() -> None:
    """7.4/5 (RTN_UNICAST with oif, no route: assumed on-link): the host asks ARP for the destination itself."""
    site = Site("l3", "bridge", False)
    slave, wire = site.net.device("c1/eth0"), site.net.device("ext/e0")
    asked: list[bytes] = []
    wire.taps.append(lambda now, dev, frame, out: asked.append(frame.payload[24:28]) if frame.proto == 0x806 else None)
    octets = build(parse_ip("10.1.0.1"), parse_ip("203.0.113.7"), 253, bytes(8))
    site.net.send(slave, Frame(wire.mac, slave.mac, IPV4, octets))
    assert parse_ip("203.0.113.7").to_bytes(4, "big") in asked


def test_l2_arp_for_a_slave_reaches_host_and_slaves() -> None:
    """7.3: a broadcast request from the wire is heard by the host and every slave; only the owner will answer."""
    seen = IpvlanLab().from_wire(arp("10.0.0.9", "10.0.0.2", smac=W))
    assert seen == inward("p0", "i1", "i2", "i3", ptype="BROADCAST")
    assert IpvlanLab().from_slave(1, ip4("10.0.0.1", "10.0.0.2")) == inward("i2")


# -- 9, the bridge --------------------------------------------------------------------------------------------------


def vlans(sw: Switch, mac: int) -> list[int]:
    """In which VLANs an address is known."""
    return sorted(row.vlan or 0 for row in fdb_dump(sw.net.netns[""], sw.net.now) if row.mac == mac)


def test_a_bridge_begins_as_linux_makes_it() -> None:
    """9.1: what `ip -d link` and `bridge -d link` show of a fresh bridge and port."""
    sw = Switch(mcast_snooping=1)
    shown = port_info(sw.ports[0])
    on = {"learning", "flood", "mcast_flood", "bcast_flood"}
    off = {"hairpin", "isolated", "locked", "neigh_suppress", "proxy_arp", "proxy_arp_wifi", "guard", "root_block",
           "fastleave"}  # fmt: skip
    assert {name for name in on | off if shown[name]} == on
    assert (shown["priority"], shown["cost"], shown["state"]) == (32, 2, "forwarding")
    assert (sw.br.vlan_filtering, sw.br.vlan_default_pvid, sw.br.group_fwd_mask) == (False, 1, 0)
    assert sw.br.ageing_time == 300 * 10**9


def test_port_numbers_are_used_again_lowest_first() -> None:
    """9.1/3 (find_portno)."""
    sw = Switch()
    numbers = [sw.port(n).number for n in range(3)]
    assert numbers == [1, 2, 3]
    link_set(sw.net, sw.ports[1], master=None)
    extra = link_add(sw.net, sw.net.netns[""], LinkSpec("dummy", "d0"))
    link_set(sw.net, extra, master=sw.br)
    assert extra.rx_handler.number == 2  # type: ignore[union-attr]


def test_a_source_of_our_own_is_not_learned() -> None:
    """9.2/4 (br_fdb_update: "received packet with own address"): the frame goes on, the local entry stays."""
    sw = Switch()
    assert sw.send(0, BROADCAST, src=sw.ports[1].mac) == ["br0", "h2", "h1"]
    assert entry(sw, sw.ports[1].mac) == ("p1", "permanent")


def test_switching_filtering_keeps_entries() -> None:
    """9.2/8: what was learned in VLAN 0 is not found in VLAN 1, but there again afterwards."""
    sw = Switch()
    sw.send(1, A, src=B)
    assert sw.send(0, B) == ["h1"]
    sw.set(vlan_filtering=1)
    assert sw.send(0, B) == ["h2", "h1"]
    assert vlans(sw, B) == [0]
    sw.set(vlan_filtering=0)
    assert sw.send(0, B) == ["h1"]


def test_an_entry_without_a_vlan_is_made_in_all_of_the_ports() -> None:
    """9.2/9 (br_fdb_add): VLAN 0 and each VLAN of the port."""
    sw = Switch(vlan_filtering=1)
    sw.vlan(sw.ports[0], 7)
    fdb_add(sw.net, sw.ports[0], X, state="static", to_master=True)
    assert vlans(sw, X) == [0, 1, 7]


def test_a_vlan_device_on_a_port_comes_before_the_bridge() -> None:
    """9.3/1."""
    sw = Switch()
    sub = link_add(sw.net, sw.net.netns[""], LinkSpec("vlan", "p0.5", link=sw.ports[0], info={"id": 5}))
    link_set(sw.net, sub, up=True)
    assert sw.send(0, BROADCAST, accel=Q5) == []
    assert sub.rx_packets == 1
    assert sw.send(0, BROADCAST, accel=DOT1Q << 16 | 6) == ["br0", "h2", "h1"]


def test_a_promiscuous_bridge_hears_other_vlans_with_their_tags() -> None:
    """9.5/1 (br_pass_frame_up): the membership of the bridge does not count then, and the tag stays."""
    sw = Switch(vlan_filtering=1)
    for port in sw.ports[:2]:
        sw.vlan(port, 7)
    assert sw.send(0, BROADCAST, accel=DOT1Q << 16 | 7) == ["h1"]
    link_set(sw.net, sw.br, promisc=True)
    assert sw.send(0, BROADCAST, accel=DOT1Q << 16 | 7) == ["br0", "h1"]
    assert [f.accel for name, f in sw.got if name == "br0"] == [DOT1Q << 16 | 7]


def test_a_macvlan_on_a_bridge_is_never_learned() -> None:
    """9.5/2: what a bridge sends teaches nothing, so frames to its macvlan flood and come up as well."""
    sw = Switch()
    m1 = link_add(sw.net, sw.net.netns[""], LinkSpec("macvlan", "m1", link=sw.br, mac=M1, info={"mode": "bridge"}))
    link_set(sw.net, m1, up=True)
    assert sw.br.promiscuity == 1
    sw.transmit(m1, Frame(BROADCAST, M1, ETHERTYPE, bytes(46)))
    assert sw.send(0, M1) == ["br0", "h2", "h1"]
    assert m1.rx_packets == 1
    assert sw.transmit(m1, Frame(BR_MAC, M1, ETHERTYPE, bytes(46))) == []


def test_a_proxy_arp_port_is_never_flooded() -> None:
    """9.6/3 (br_flood: BR_PROXYARP): unknown unicast, multicast and broadcast alike; a known address goes there."""
    sw = Switch()
    sw.slave(1, proxy_arp=True)
    for dst in (X, 0x0100_5E01_0203, BROADCAST):
        assert "h1" not in sw.send(0, dst)
        assert "h2" in [name for name, _ in sw.got]
    sw.send(1, A, src=B)
    assert sw.send(0, B) == ["h1"]


def test_what_a_bridge_sends_is_not_learned() -> None:
    """9.7: its frames leave no entry; while down sending fails."""
    sw = Switch()
    sw.transmit(sw.br, Frame(C, X, ETHERTYPE, bytes(46)))
    assert entry(sw, X) is None
    link_set(sw.net, sw.br, up=False)
    assert sw.net.send(sw.br, Frame(C, BR_MAC, ETHERTYPE, bytes(46))) is Drop.DEV_DOWN


def test_a_port_without_carrier_takes_no_state() -> None:
    """9.10/1 (br_set_port_state): forwarding by hand is ENETDOWN without carrier; with it, fine."""
    sw = Switch()
    link_set(sw.net, sw.hosts[0], up=False)
    with pytest.raises(RtnlError) as caught:
        sw.slave(0, state=3)
    assert caught.value.code == "ENETDOWN"
    link_set(sw.net, sw.hosts[0], up=True)
    sw.slave(0, state=3)


def test_frames_to_the_bridge_are_not_measured() -> None:
    """9.11/2: a frame for the bridge's own stack may be longer than the bridge's MTU."""
    sw = Switch()
    link_set(sw.net, sw.br, mtu=1000)
    assert sw.send(0, BR_MAC, size=1504) == ["br0"]


# -- 10, VLAN filtering ---------------------------------------------------------------------------------------------


def test_a_tag_behind_vid_0_hops_vlans() -> None:
    """10.2/2: Q0/Q5 is classified to the pvid; leaving untagged it is Q5."""
    sw = Switch(vlan_filtering=1)
    sw.got.clear()
    sw.net.send(sw.hosts[0], Frame(BROADCAST, A, DOT1Q, tagged(5), DOT1Q << 16))
    assert [(name, f.accel) for name, f in sw.got if name == "h1"] == [("h1", Q5)]


def test_a_tag_of_8100_is_payload_for_a_provider_bridge() -> None:
    """10.2/4: Q7 becomes AD1/Q7 on a tagged port, and Q7 again on an untagged one."""
    sw = Switch(vlan_filtering=1, vlan_protocol=QINQ)
    sw.vlan(sw.ports[1], 1, untagged=False)
    sw.got.clear()
    sw.net.send(sw.hosts[0], Frame(BROADCAST, A, ETHERTYPE, bytes(46), DOT1Q << 16 | 7))
    assert [f.tags for name, f in sw.got if name == "h1"] == [((QINQ, 1), (DOT1Q, 7))]
    assert [f.tags for name, f in sw.got if name == "h2"] == [((DOT1Q, 7),)]


def test_a_bridge_sends_in_its_own_vlans_only() -> None:
    """10.4 (br_allowed_ingress of the bridge itself): not a member, or no pvid: nowhere, but counted."""
    sw = Switch(vlan_filtering=1)
    for port in sw.ports:
        sw.vlan(port, 7)
    assert sw.own(BROADCAST, accel=DOT1Q << 16 | 7) == []
    assert sw.br.tx_packets == 1
    sw.vlan(sw.br, 7)
    assert sw.own(BROADCAST, accel=DOT1Q << 16 | 7) == ["h2", "h1", "h0"]
    assert sw.own(BROADCAST) == ["h2", "h1", "h0"]


# -- 14, noise ------------------------------------------------------------------------------------------------------


def test_an_address_makes_no_noise() -> None:
    """14/2: neither coming up nor an address sends anything; asking for a neighbour does."""
    bench = Bench()
    d = bench.add("vlan", "p0.5", bench.p0, id=5)
    bench.seen.clear()
    address_add(bench.net, d, "10.0.0.1/24")
    bench.set(d, up=False)
    bench.set(d, up=True)
    bench.net.clock.advance(10**10)  # type: ignore[attr-defined]
    assert bench.sent("p0") == []
    sock = bench.root.stack.open_udp()
    sock.send(b"x", parse_ip("10.0.0.2"), 9)
    assert [f.proto for f in bench.sent("p0.5")] == [0x806]


def test_what_waits_for_a_device_that_went_down_is_lost() -> None:
    """1.6/2 (enqueue_to_backlog, netif_running): queued for it and not yet received, dropped by name."""
    bench = Bench()
    bench.net.originate(bench.w0, Frame(P, W, ETHERTYPE, bytes(46)))
    bench.net.set_down(bench.p0)
    bench.net.drain()
    assert bench.got("p0") == []
    assert bench.dropped("p0") == [Drop.DEV_READY]
