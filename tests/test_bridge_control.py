"""The bridge's control protocols: spanning tree, multicast snooping, ARP suppression."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simvlan.devices.bridge import Bridge
from simvlan.devices.bridge_bpdu import Config, config_frame, parse
from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import ARP, IPV4, IPV6, Frame
from simvlan.network import Network
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.bridge import port_info
from simvlan.rtnl.mdb import mdb_add, mdb_del, mdb_dump, router_ports
from simvlan.rtnl.neigh import neigh_add
from simvlan.rtnl.sysctl import sysctl_set
from simvlan.stack.ipv6 import addr as addr6
from simvlan.stack.ipv6 import icmp6, mld, ndp, packet
from simvlan.stack.ipv6.addr import ALL_NODES, LINK_LOCAL, multicast_mac, solicited_node
from simvlan.stack.packet import checksum
from tests.networks import Ledger
from tests.test_bridge import BROADCAST, GROUP_MAC, RESERVED, SECOND, A, B, Switch, X

GROUP = 0xEF01_0203
FAR = 0xFF05 << 112 | 0x123


# -- spanning tree (br_stp.c) ---------------------------------------------------------------------------------------


def test_stp_port_waits_twice_the_forward_delay() -> None:
    """Listening, learning, forwarding: one forward_delay each."""
    sw = Switch(2, stp_state=1, forward_delay=200)
    assert port_info(sw.ports[0])["state"] == "listening"
    sw.wait(2.05)
    assert port_info(sw.ports[0])["state"] == "learning"
    assert sw.send(0, BROADCAST) == []
    sw.wait(2.05)
    assert port_info(sw.ports[0])["state"] == "forwarding"
    assert "h1" in sw.send(0, BROADCAST)


def test_bpdu_octets_and_interval() -> None:
    """802.1D: every hello time a configuration, from the port's MAC, 802.3 length 0x26, LLC 42 42 03."""
    sw = Switch(1, stp_state=1)
    sw.wait(7)
    bpdus = [f for _, f in sw.got if f.dst == RESERVED]
    assert 3 <= len(bpdus) <= 4
    octets = bytes(bpdus[-1])
    assert len(octets) == 52
    assert octets[6:12] == sw.ports[0].mac.to_bytes(6, "big")
    assert octets[12:21] == bytes.fromhex("0026424203 00000000")
    assert octets[22:30] == bytes.fromhex("8000") + sw.br.mac.to_bytes(6, "big")


def superior(root: int = 0x1000_0200_0000_0001, **changes: Any) -> Config:
    """What a better root would say."""
    said = Config(root, 4, root, 0x8001, 0, 20 * SECOND, 2 * SECOND, 15 * SECOND, False, False)
    return replace(said, **changes)


def test_superior_bpdu_makes_a_root_port() -> None:
    """br_received_config_bpdu: the port becomes root port; the cost adds up; silence for max_age undoes it."""
    sw = Switch(2, stp_state=1)
    assert isinstance(sw.br, Bridge)
    sw.transmit(sw.hosts[1], config_frame(RESERVED, B, superior()))
    assert (sw.br.stp.root_port, sw.br.stp.root_cost) == (2, 6)
    assert not sw.br.stp.is_root
    sw.wait(21)
    assert sw.br.stp.is_root


def test_a_better_own_priority_takes_the_root_back() -> None:
    """br_stp_set_bridge_priority recomputes: a root worse than the bridge itself is no root."""
    sw = Switch(2, stp_state=1)
    assert isinstance(sw.br, Bridge)
    sw.transmit(sw.hosts[1], config_frame(RESERVED, B, superior()))
    assert not sw.br.stp.is_root
    sw.set(priority=0)
    assert sw.br.stp.is_root
    assert sw.br.stp.root_port == 0


def test_inferior_bpdu_is_answered() -> None:
    """br_reply: a designated port tells the better configuration; a BPDU to another address means nothing."""
    sw = Switch(1, stp_state=1)
    sw.wait(5.5)
    worse = superior(root=0xF000_0200_0000_0001)
    assert sw.transmit(sw.hosts[0], config_frame(RESERVED + 3, A, worse)) == []
    assert sw.transmit(sw.hosts[0], config_frame(RESERVED, A, worse)) == ["h0"]


def test_bpdu_guard_disables_the_port() -> None:
    """BR_BPDU_GUARD."""
    sw = Switch(1, stp_state=1)
    sw.slave(0, guard=True)
    sw.transmit(sw.hosts[0], config_frame(RESERVED, A, superior()))
    assert port_info(sw.ports[0])["state"] == "disabled"


def test_root_block_keeps_the_root() -> None:
    """BR_ROOT_BLOCK: better news does not make it the root port."""
    sw = Switch(1, stp_state=1)
    sw.slave(0, root_block=True)
    sw.transmit(sw.hosts[0], config_frame(RESERVED, A, superior()))
    assert isinstance(sw.br, Bridge)
    assert sw.br.stp.is_root


def test_stp_refuses_states_by_hand_and_times_out_of_range() -> None:
    """EBUSY while the kernel runs STP; ERANGE for times."""
    sw = Switch(1, stp_state=1)
    with pytest.raises(RtnlError) as refused:
        sw.slave(0, state=3)
    assert refused.value.errno == 16
    for option in ({"hello_time": 50}, {"max_age": 500}, {"forward_delay": 100}):
        with pytest.raises(RtnlError) as refused:
            sw.set(**option)
        assert refused.value.errno == 34


def loop_of(count: int) -> list[Bridge]:
    """Bridges in a ring, STP on, everything up."""
    net = Network()
    ns = net.netns[""]
    ring: list[Bridge] = []
    for n in range(count):
        made = link_add(
            net, ns, LinkSpec("bridge", f"s{n}", mac=0x02_00_00_00_05_00 + n,
                              info={"stp_state": 1, "forward_delay": 200, "mcast_snooping": 0}),
        )  # fmt: skip
        assert isinstance(made, Bridge)
        ring.append(made)
    for n in range(count):
        end = link_add(net, ns, LinkSpec("veth", f"r{n}", peer=PeerSpec(f"l{n}")))
        link_set(net, end, master=ring[n], up=True)
        link_set(net, ns.devices[f"l{n}"], master=ring[(n + 1) % count], up=True)
    for br in ring:
        link_set(net, br, up=True)
    return ring


def test_a_ring_of_bridges_blocks_exactly_one_port() -> None:
    """The lowest id is everybody's root and one port of the ring is blocked; a broadcast is no storm."""
    ring = loop_of(4)
    net: Any = ring[0].kernel
    net.clock.advance(60 * SECOND)
    assert {br.stp.root for br in ring} == {ring[0].stp.own}
    states = [port.state.name for br in ring for port in br.ports]
    assert states.count("BLOCKING") == 1
    assert states.count("FORWARDING") == 7
    net.send(ring[0], Frame(BROADCAST, ring[0].mac, 0x88B5, bytes(46)))
    assert not net.storms


def test_every_bpdu_is_accounted_for() -> None:
    """BPDUs of timers are frames of their own: each ends exactly once."""
    ring = loop_of(3)
    net: Any = ring[0].kernel
    ledger = net.tracer = Ledger()
    net.clock.advance(net.now + 40 * SECOND)
    assert len(ledger.born) > 50
    assert not ledger.unbalanced()


def test_topology_change_shortens_ageing() -> None:
    """While the root announces a change, addresses live only forward_delay (hold_time)."""
    sw = Switch(2, stp_state=1, forward_delay=200)
    sw.wait(5)
    assert isinstance(sw.br, Bridge)
    assert sw.br.stp.topology_change
    assert sw.br.fdb.hold_time == 2 * SECOND
    sw.wait(30)
    assert not sw.br.stp.topology_change
    assert sw.br.fdb.hold_time == 300 * SECOND


def test_bpdu_survives_writing_and_reading() -> None:
    """parse(config_frame(c)) says c again (times to 1/256 s)."""
    config = superior(topology_change=True, ack=True)
    assert parse(config_frame(RESERVED, A, config)) == config
    assert parse(Frame(RESERVED, A, 0x88B5, bytes(46))) is None


# -- multicast snooping (br_multicast.c) ----------------------------------------------------------------------------


def igmp(kind: int, group: int, to: int, code: int = 0, source: int = 0x0A00_0001, src: int = A) -> Frame:
    """An IGMP message with right checksums."""
    body = bytes((kind, code, 0, 0)) + group.to_bytes(4, "big")
    body = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    return ip_packet(2, body, to, source, src)


def ip_packet(protocol: int, body: bytes, to: int, source: int = 0x0A00_0001, src: int = A) -> Frame:
    head = b"\x45\0" + (20 + len(body)).to_bytes(2, "big") + b"\0\0\0\0\1" + bytes((protocol,)) + b"\0\0"
    head += source.to_bytes(4, "big") + to.to_bytes(4, "big")
    head = head[:10] + checksum(head).to_bytes(2, "big") + head[12:]
    return Frame(0x0100_5E00_0000 | to & 0x7F_FFFF, src, IPV4, head + body)


def snooping() -> Switch:
    """Four ports: a querier behind p0 asked long enough ago, a member of GROUP behind p1."""
    sw = Switch(4)
    sw.set(mcast_snooping=1)
    sw.transmit(sw.hosts[0], igmp(0x11, 0, 0xE000_0001, code=100))
    sw.transmit(sw.hosts[1], igmp(0x16, GROUP, GROUP, src=B))
    return sw


def traffic(sw: Switch, host: int = 2, to: int = GROUP) -> list[str]:
    return sorted(sw.transmit(sw.hosts[host], ip_packet(17, bytes(16), to, src=A + host)))


def test_snooping_restricts_only_after_the_response_interval() -> None:
    """querier delay_time: 10 s of flooding, then members and router ports only."""
    sw = snooping()
    sw.wait(9)
    assert traffic(sw) == ["br0", "h0", "h1", "h3"]
    sw.wait(2)
    assert traffic(sw) == ["h0", "h1"]
    assert traffic(sw, to=GROUP + 1) == ["h0"]
    assert traffic(sw, to=0xE000_0005) == ["br0", "h0", "h1", "h3"]
    assert [p.dev.name for p in router_ports(sw.br)] == ["p0"]  # type: ignore[arg-type]


def test_without_a_querier_groups_flood() -> None:
    """br_multicast_querier_exists is false."""
    sw = Switch(3)
    sw.set(mcast_snooping=1)
    sw.transmit(sw.hosts[1], igmp(0x16, GROUP, GROUP, src=B))
    sw.wait(20)
    assert traffic(sw) == ["br0", "h0", "h1"]


def test_reports_go_to_routers_only_and_members_expire() -> None:
    """mrouters_only for version 2 reports; membership ends after 260 s of silence."""
    sw = snooping()
    sw.wait(11)
    assert sw.transmit(sw.hosts[2], igmp(0x16, GROUP, GROUP, src=A + 2)) == ["h0"]
    assert traffic(sw, host=3) == ["h0", "h1", "h2"]
    for _ in range(3):
        sw.wait(100)
        sw.transmit(sw.hosts[0], igmp(0x11, 0, 0xE000_0001, code=100))
    assert traffic(sw, host=3) == ["h0"]


@pytest.mark.parametrize(("kinds", "left"), [((3, 4), True), ((4, 3), False)])
def test_records_of_one_report_count_in_their_order(kinds: tuple[int, ...], left: bool) -> None:
    """br_ip4_multicast_igmp3_report goes through them one by one: 3 leaves (TO_INCLUDE nobody), 4 joins."""
    sw = Switch(3)
    sw.set(mcast_snooping=1, mcast_querier=1)
    sw.wait(11)
    records = b"".join(bytes((kind, 0, 0, 0)) + GROUP.to_bytes(4, "big") for kind in kinds)
    body = b"\x22\0\0\0\0\0\0" + bytes((len(kinds),)) + records
    body = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    sw.transmit(sw.hosts[1], ip_packet(2, body, 0xE000_0016, src=B))
    sw.wait(2.1)  # what is left lasts for two questions of a second
    assert traffic(sw) == (["h1"] if left else [])


def test_leave_as_querier_asks_then_drops() -> None:
    """br_multicast_leave_group: last member query, gone after count × interval."""
    sw = Switch(3)
    sw.set(mcast_snooping=1, mcast_querier=1)
    sw.wait(11)
    sw.transmit(sw.hosts[1], igmp(0x16, GROUP, GROUP, src=B))
    assert traffic(sw) == ["h1"]
    got = sw.transmit(sw.hosts[1], igmp(0x17, GROUP, 0xE000_0002, src=B))
    asked = [f for n, f in sw.got if n == "h1"]
    assert "h1" in got
    assert asked[0].payload[24] == 0x11
    assert asked[0].payload[28:32] == GROUP.to_bytes(4, "big")
    sw.wait(1.9)
    assert traffic(sw) == ["h1"]
    sw.wait(0.2)
    assert traffic(sw) == []


def test_fastleave_drops_at_once() -> None:
    """BR_MULTICAST_FAST_LEAVE; without it the membership stays while another host is querier."""
    sw = snooping()
    sw.wait(11)
    sw.transmit(sw.hosts[1], igmp(0x17, GROUP, 0xE000_0002, src=B))
    sw.wait(3)
    assert traffic(sw) == ["h0", "h1"]
    sw.slave(1, fastleave=True)
    sw.transmit(sw.hosts[1], igmp(0x17, GROUP, 0xE000_0002, src=B))
    assert traffic(sw) == ["h0"]


def test_querier_octets_and_interval() -> None:
    """A general query at once and after 31.25 s: version 2, TTL 1, router alert, from br0's MAC and 0.0.0.0."""
    sw = Switch(1)
    sw.got.clear()
    sw.set(mcast_snooping=1, mcast_querier=1)
    sw.wait(31)
    queries = [bytes(f) for n, f in sw.got if n == "h0" and f.dst == 0x0100_5E00_0001]
    assert len(queries) == 1
    assert queries[0].hex() == (
        "01005e000001" + f"{sw.br.mac:012x}" + "0800"
        "46c00020000040000102" "0417" "00000000e000000194040000" "1164ee9b00000000"
    )  # fmt: skip
    sw.wait(0.5)
    assert len([f for n, f in sw.got if n == "h0" and f.dst == 0x0100_5E00_0001]) == 2


def asks_mld(**changes: Any) -> tuple[Switch, list[bytes]]:
    """A switch whose br0 has fe80:: and begins to ask; what h0 hears of it by MLD."""
    sw = Switch(2, **changes)
    sysctl_set(sw.net, sw.net.netns[""], "net.ipv6.conf.br0.disable_ipv6", "0")
    sw.wait(4)
    sw.got.clear()
    sw.set(mcast_snooping=1, mcast_querier=1)
    sw.wait(0.1)
    return sw, [bytes(f) for n, f in sw.got if n == "h0" and f.dst == multicast_mac(ALL_NODES)]


def test_querier_asks_by_mld_from_its_own_address() -> None:
    """br_ip6_multicast_alloc_query: version 1, hop limit 1, router alert and Pad1 twice; 10 s to answer."""
    sw, queries = asks_mld()
    own = LINK_LOCAL | addr6.eui64(sw.br.mac)
    head = "6000000000200001" + f"{own:032x}{ALL_NODES:032x}" + "3a00050200000000"
    assert [query.hex()[:28] for query in queries] == ["333300000001" + f"{sw.br.mac:012x}" + "86dd"]
    assert queries[0].hex()[28:].startswith(head)
    assert queries[0][62:64] == b"\x82\0"
    assert queries[0][66:] == b"\x27\x10" + bytes(18)


def test_without_an_address_nobody_is_asked_by_mld_and_groups_flood() -> None:
    """BROPT_HAS_IPV6_ADDR; with an address the bridge is a querier, after the response interval."""
    for address in (False, True):
        sw, queries = asks_mld() if address else (Switch(2, mcast_snooping=1, mcast_querier=1), [])
        assert bool(queries) == address
        sw.wait(11)
        far = Frame(multicast_mac(FAR), A, IPV6, packet.build(1, FAR, 17, bytes(8)))
        assert ("h1" in sw.transmit(sw.hosts[0], far)) == (not address)


def test_a_querier_by_mld_is_believed_if_its_address_is_lower() -> None:
    """br_ip6_multicast_select_querier; nobody's address is ::, so there is always one to compare with."""
    for src, router in ((LINK_LOCAL | 1, ["p0"]), (LINK_LOCAL | 1 << 63, [])):
        sw, _ = asks_mld()
        query = mld.envelope(src, ALL_NODES, mld.build_query(src, ALL_NODES, mld.Query(0, 100)))
        sw.transmit(sw.hosts[0], Frame(multicast_mac(ALL_NODES), A, IPV6, query))
        assert isinstance(sw.br, Bridge)
        assert [p.dev.name for p in router_ports(sw.br)] == router


def test_a_multicast_router_says_so_behind_a_hop_by_hop_header() -> None:
    """br_ip6_multicast_mrd_rcv (RFC 4286): without the header it is a packet like others."""
    snoopers = 0xFF02 << 112 | 0x6A
    message = icmp6.seal(LINK_LOCAL | 1, snoopers, bytes((151, 20, 0, 0, 0, 125, 0, 2)))
    plain = packet.build(LINK_LOCAL | 1, snoopers, packet.ICMPV6, message, hops=1)
    for octets, router in ((plain, []), (mld.envelope(LINK_LOCAL | 1, snoopers, message), ["p0"])):
        sw = Switch(2, mcast_snooping=1)
        sw.transmit(sw.hosts[0], Frame(multicast_mac(snoopers), A, IPV6, octets))
        assert isinstance(sw.br, Bridge)
        assert [p.dev.name for p in router_ports(sw.br)] == router


def test_malformed_group_packets_are_freed_while_snooping() -> None:
    """ip_mc_check_igmp: a wrong header checksum is dropped; with snooping off it floods."""
    sw = Switch(2)
    frame = ip_packet(17, bytes(16), GROUP)
    bad = Frame(frame.dst, A, IPV4, frame.payload[:10] + b"\x12\x34" + frame.payload[12:])
    assert "h1" in sw.transmit(sw.hosts[0], bad)
    sw.set(mcast_snooping=1)
    assert sw.transmit(sw.hosts[0], bad) == []
    assert "h1" in sw.transmit(sw.hosts[0], frame)


def test_mdb_by_hand() -> None:
    """Permanent members need no report; refusals name themselves."""
    sw = snooping()
    sw.wait(11)
    assert isinstance(sw.br, Bridge)
    mdb_add(sw.net, sw.br, sw.ports[3], IPV4, GROUP, permanent=True)
    assert traffic(sw) == ["h0", "h1", "h3"]
    assert [(r.dev.name, r.state) for r in mdb_dump(sw.br)] == [("p3", "permanent"), ("p1", "temp")]
    with pytest.raises(RtnlError, match="already joined by port"):
        mdb_add(sw.net, sw.br, sw.ports[3], IPV4, GROUP, permanent=True)
    with pytest.raises(RtnlError, match="local multicast"):
        mdb_add(sw.net, sw.br, sw.ports[3], IPV4, 0xE000_0005)
    mdb_del(sw.net, sw.br, sw.ports[3], IPV4, GROUP)
    assert traffic(sw) == ["h0", "h1"]


def test_port_router_modes() -> None:
    """multicast_router 2: always; 0: never."""
    sw = snooping()
    sw.wait(11)
    sw.slave(3, mcast_router=2)
    assert traffic(sw) == ["h0", "h1", "h3"]
    sw.slave(0, mcast_router=0)
    assert traffic(sw) == ["h1", "h3"]


def test_unmodelled_options_are_refused_by_name() -> None:
    """Nothing is approximated in silence."""
    sw = Switch(1)
    for option in ({"mcast_vlan_snooping": 1}, {"mcast_igmp_version": 3}, {"nf_call_iptables": 1}, {"mst_enabled": 1}):
        with pytest.raises(Unsupported, match=next(iter(option))):
            sw.set(**option)
    for option in ({"vlan_tunnel": True}, {"backup_port": "p1"}):  # type: ignore[assignment]
        with pytest.raises(Unsupported, match=next(iter(option))):
            sw.slave(0, **option)


# -- ARP suppression (br_arp_nd_proxy.c) ----------------------------------------------------------------------------


def request(sip: int, tip: int, sha: int = A) -> Frame:
    data = b"\0\1\x08\0\6\4\0\1" + sha.to_bytes(6, "big") + sip.to_bytes(4, "big") + bytes(6) + tip.to_bytes(4, "big")
    return Frame(BROADCAST, sha, ARP, data)


def with_neighbour(sw: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    """br0 knows 10.0.0.2 at B, and B is behind p1."""
    stack: Any = sw.net.netns[""].stack
    monkeypatch.setattr(stack, "neigh_lookup", lambda dev, ip: B if ip == 0x0A00_0002 else None, raising=False)
    monkeypatch.setattr(stack, "addresses", lambda dev: [], raising=False)
    sw.send(1, BROADCAST)


def test_proxy_arp_answers_and_still_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy_arp port's request is answered for the target, and floods to other, non-proxy ports."""
    sw = Switch(3)
    with_neighbour(sw, monkeypatch)
    assert sorted(sw.transmit(sw.hosts[0], request(0x0A00_0001, 0x0A00_0002))) == ["br0", "h1", "h2"]
    sw.slave(0, proxy_arp=True)
    assert sorted(sw.transmit(sw.hosts[0], request(0x0A00_0001, 0x0A00_0002))) == ["br0", "h0", "h1", "h2"]
    reply = next(f for n, f in sw.got if n == "h0")
    assert (reply.src, reply.dst, reply.payload[7]) == (B, A, 2)
    assert sorted(sw.transmit(sw.hosts[1], request(0x0A00_0003, 0x0A00_0009, B))) == ["br0", "h2"]


def test_neigh_suppress_keeps_answered_requests_from_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Target behind a suppressing port: the bridge answers and does not bother it; unknown targets still flood."""
    sw = Switch(3)
    with_neighbour(sw, monkeypatch)
    sw.slave(1, neigh_suppress=True)
    assert sorted(sw.transmit(sw.hosts[0], request(0x0A00_0001, 0x0A00_0002))) == ["br0", "h0", "h2"]
    assert sorted(sw.transmit(sw.hosts[0], request(0x0A00_0001, 0x0A00_0009))) == ["br0", "h1", "h2"]
    assert sorted(sw.transmit(sw.hosts[0], request(0x0A00_0001, 0x0A00_0001))) == ["br0", "h2"]
    assert sorted(sw.transmit(sw.hosts[1], request(0x0A00_0002, 0x0A00_0009, B))) == ["br0", "h0", "h2"]


def asks6(target: int, asker: int = 0xFE80 << 112 | 0xA) -> Frame:
    group = solicited_node(target)
    message = ndp.build_ns(asker, group, target, (ndp.link_layer(ndp.SLLA, A),))
    return Frame(multicast_mac(group), A, IPV6, packet.build(asker, group, packet.ICMPV6, message, 255))


def test_neigh_suppress_of_ipv6_answers_for_neighbours_it_knows() -> None:
    """As for ARP: who is known behind a suppressing port is answered for; others' solicitations go there."""
    sw = Switch(3)
    sysctl_set(sw.net, sw.net.netns[""], "net.ipv6.conf.br0.disable_ipv6", "0")
    known, unknown = (0xFE80 << 112 | host for host in (0xB, 0x9))
    neigh_add(sw.net, sw.br, known, B, six=True)
    sw.send(1, BROADCAST)
    sw.slave(1, neigh_suppress=True)
    assert sorted(sw.transmit(sw.hosts[0], asks6(known))) == ["br0", "h0", "h2"]
    answer = next(frame for name, frame in sw.got if name == "h0")
    said = ndp.parse_na(answer.payload[40:])
    assert said is not None
    assert (answer.src, answer.dst, said.target, said.solicited) == (B, A, known, True)
    assert sorted(sw.transmit(sw.hosts[0], asks6(unknown))) == ["br0", "h1", "h2"]


def test_unicast_copies_for_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """mcast_to_unicast: each member station gets a copy addressed to it."""
    sw = snooping()
    sw.wait(11)
    sw.slave(1, mcast_to_unicast=True)
    assert traffic(sw) == ["h0", "h1"]
    assert next(f for n, f in sw.got if n == "h1").dst == B
    assert next(f for n, f in sw.got if n == "h0").dst == 0x0100_5E01_0203 == GROUP_MAC
    assert X not in [f.dst for _, f in sw.got]


@pytest.mark.parametrize("how", ["silence", "down"])
def test_a_temporary_router_is_none_afterwards(how: str) -> None:
    """br_multicast_rport_del_notify: mcast_router 3 becomes 1 once its time is over, or the port goes down."""
    sw = Switch(2, mcast_snooping=1, mcast_querier_interval=1000)
    sw.slave(0, mcast_router=3)
    assert port_info(sw.ports[0])["multicast_router"] == 3
    if how == "down":
        link_set(sw.net, sw.ports[0], up=False)
    else:
        sw.wait(9)
        assert port_info(sw.ports[0])["multicast_router"] == 3
        sw.wait(2)
    assert port_info(sw.ports[0])["multicast_router"] == 1
