"""A router between two wires: forwarding, its errors and their limits, redirects, reverse path filter, proxy ARP."""

from __future__ import annotations

from typing import Any

import pytest

from simvlan.clock import SECOND
from simvlan.frame import ARP, BROADCAST, IPV4, Frame
from simvlan.network import Network, Told
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.neigh import neigh_add
from simvlan.rtnl.route import route_add
from simvlan.rtnl.sysctl import sysctl_set
from simvlan.stack import arp, neigh
from simvlan.stack.fib import Route
from simvlan.stack.ipaddr import ip_text, parse_ip
from simvlan.stack.packet import Packet, build
from simvlan.verdict import Drop

R0, R1, W0, W1 = 0xA0, 0xA1, 0xB0, 0xB1


class Router:
    """r has eth0 10.0.1.254/24 and eth1 10.0.2.254/24; the far ends are wires whose frames are kept."""

    def __init__(self) -> None:
        self.net = net = Network()
        self.r = net.add_netns("r")
        wires = net.add_netns("wires")
        self.got: list[tuple[str, Frame]] = []
        self.drops: list[Drop | None] = []
        for n, (mine, far) in enumerate(((R0, W0), (R1, W1))):
            peer = PeerSpec(f"w{n}", netns=wires, mac=far)
            dev = link_add(net, self.r, LinkSpec("veth", f"eth{n}", mac=mine, peer=peer))
            link_set(net, dev, up=True)
            link_set(net, wires.devices[f"w{n}"], up=True)
            wires.devices[f"w{n}"].taps.append(self._tap)
            address_add(net, dev, f"10.0.{n + 1}.254/24")
            neigh_add(net, dev, parse_ip(f"10.0.{n + 1}.1"), far)
        link_set(net, self.r.devices["lo"], up=True)
        self.sysctl("net.ipv4.ip_forward", 1)
        net.tracer = self  # type: ignore[assignment]

    def step(self, told: Told) -> None:
        if told.dev.netns is self.r and told.way == "up":
            self.drops.append(told.drop)

    def _tap(self, now: int, dev: Any, frame: Frame, out: bool) -> None:
        if not out:
            self.got.append((dev.name, frame))

    def sysctl(self, key: str, value: object) -> None:
        sysctl_set(self.net, self.r, key, str(value))

    def send(self, src: str, dst: str, mac: int = R0, ttl: int = 64, size: int = 8, frag: int = 0, wire: int = 0,
             proto: int = 17) -> None:  # fmt: skip
        datagram = b"\x30\x39\0\x09" + size.to_bytes(2, "big") + bytes(size - 6)
        octets = build(parse_ip(src), parse_ip(dst), proto, datagram, ttl, 0, 7, frag)
        far = self.net.netns["wires"].devices[f"w{wire}"]
        self.net.send(far, Frame(mac, far.mac, IPV4, octets))

    def ask(self, tip: str, sip: str = "10.0.1.1", op: int = arp.REQUEST, mac: int = BROADCAST) -> None:
        far = self.net.netns["wires"].devices["w0"]
        octets = arp.body(op, W0, parse_ip(sip), 0, parse_ip(tip))
        self.net.send(far, Frame(mac, W0, ARP, octets))

    def run(self, seconds: float) -> None:
        self.net.clock.advance(self.net.now + int(seconds * SECOND))  # type: ignore[attr-defined]

    def heard(self) -> list[str]:
        """What the wires carried since the last look."""
        lines = []
        for wire, frame in self.got:
            if frame.proto == ARP:
                lines.append(f"{wire} arp {frame.payload[7]}")
                continue
            p = Packet(frame.payload)
            what = f"icmp {p.payload[0]}/{p.payload[1]}" if p.proto == 1 else f"{len(p.data)} octets"
            lines.append(f"{wire} {ip_text(p.src)} > {ip_text(p.dst)} ttl {p.ttl} {what}")
        self.got.clear()
        return lines


@pytest.fixture
def r() -> Router:
    return Router()


def test_forwards_with_one_hop_less(r: Router) -> None:
    """ip_forward; a host with ip_forward 0 drops the same packet in silence."""
    r.send("10.0.1.1", "10.0.2.1")
    assert r.heard() == ["w1 10.0.1.1 > 10.0.2.1 ttl 63 28 octets"]
    r.sysctl("net.ipv4.ip_forward", 0)
    r.send("10.0.1.1", "10.0.2.1")
    assert r.heard() == []
    assert r.drops[-1] is Drop.IP_INADDRERRORS


@pytest.mark.parametrize(
    ("kind", "error"), [("unreachable", "3/1"), ("prohibit", "3/13"), ("blackhole", None), (None, "3/0")]
)
def test_no_way_on_is_told_by_kind_of_route(r: Router, kind: str | None, error: str | None) -> None:
    """ip_error: host unreachable, filtered, silence; network unreachable without any route."""
    if kind:
        route_add(r.net, r.r, Route(parse_ip("203.0.113.0"), 24, type=kind))
    r.send("10.0.1.1", "203.0.113.9")
    assert r.heard() == ([f"w0 10.0.1.254 > 10.0.1.1 ttl 64 icmp {error}"] if error else [])
    assert r.drops[-1] is (Drop.IP_INNOROUTES if error else Drop.BLACKHOLE)


def test_unreachables_pay_twice_out_of_one_bucket(r: Router) -> None:
    """ip_error and icmpv4_xrlim_allow each take a token of the sender's inet_peer: two of six, then five TTLs."""
    for _ in range(6):
        r.send("10.0.1.1", "203.0.113.9")
    assert r.heard() == ["w0 10.0.1.254 > 10.0.1.1 ttl 64 icmp 3/0"] * 2
    r.run(5)
    for _ in range(6):
        r.send("10.0.1.1", "10.0.2.1", ttl=1)
    assert r.heard() == ["w0 10.0.1.254 > 10.0.1.1 ttl 64 icmp 11/0"] * 5
    assert r.drops[-1] is Drop.IP_TTL_EXPIRED


def test_a_fresh_sender_gets_six_expired_ttls_and_one_more_each_second(r: Router) -> None:
    """XRLIM_BURST_FACTOR 6 with icmp_ratelimit 1000; without a limit all are sent."""
    for _ in range(8):
        r.send("10.0.1.1", "10.0.2.1", ttl=1)
    assert len(r.heard()) == 6
    r.run(1)
    for _ in range(3):
        r.send("10.0.1.1", "10.0.2.1", ttl=1)
    assert len(r.heard()) == 1
    r.sysctl("net.ipv4.icmp_ratelimit", 0)
    for _ in range(8):
        r.send("10.0.1.1", "10.0.2.1", ttl=1)
    assert len(r.heard()) == 8


def test_too_long_with_df_is_answered_with_the_mtu_without_df_cut(r: Router) -> None:
    """FRAG_NEEDED quoting at most 576 octets in all; fragments a multiple of eight (MTU 1000: 996 and the rest)."""
    link_set(r.net, r.r.devices["eth1"], mtu=1000)
    r.send("10.0.1.1", "10.0.2.1", size=1380, frag=0x4000)
    answer = r.got[0][1].payload
    assert len(answer) == 576
    assert answer[26:28] == (1000).to_bytes(2, "big")
    assert r.heard() == ["w0 10.0.1.254 > 10.0.1.1 ttl 64 icmp 3/4"]
    assert r.drops[-1] is Drop.FRAG_NEEDED
    r.send("10.0.1.1", "10.0.2.1", size=1380)
    assert r.heard() == [f"w1 10.0.1.1 > 10.0.2.1 ttl 63 {n} octets" for n in (996, 424)]


def test_back_out_by_the_same_device_brings_a_redirect(r: Router) -> None:
    """IPSKB_DOREDIRECT: forwarded, and 5/1 naming the better gateway; none with send_redirects off."""
    neigh_add(r.net, r.r.devices["eth0"], parse_ip("10.0.1.3"), 0xC3)
    route_add(r.net, r.r, Route(parse_ip("10.7.0.0"), 16, via=parse_ip("10.0.1.3")))
    r.send("10.0.1.1", "10.7.0.1")
    assert r.got[0][1].payload[24:28] == bytes((10, 0, 1, 3))
    assert r.heard() == ["w0 10.0.1.254 > 10.0.1.1 ttl 64 icmp 5/1", "w0 10.0.1.1 > 10.7.0.1 ttl 63 28 octets"]
    r.run(30)
    for place in ("all", "eth0"):
        r.sysctl(f"net.ipv4.conf.{place}.send_redirects", 0)
    r.send("10.0.1.1", "10.7.0.1")
    assert r.heard() == ["w0 10.0.1.1 > 10.7.0.1 ttl 63 28 octets"]


@pytest.mark.parametrize(("mode", "passes"), [(0, True), (1, False), (2, True)])
def test_reverse_path_filter(r: Router, mode: int, passes: bool) -> None:
    """Strict wants the way back by the same device, loose any way back (__fib_validate_source)."""
    r.sysctl("net.ipv4.conf.all.rp_filter", mode)
    r.send("10.0.2.77", "10.0.2.1")
    assert bool(r.heard()) is passes
    assert (r.drops[-1] is Drop.IP_RPFILTER) is not passes


def test_broadcast_frames_are_not_forwarded_but_delivered(r: Router) -> None:
    """ip_forward takes PACKET_HOST only; a local destination in a broadcast frame is accepted."""
    r.send("10.0.1.1", "10.0.2.1", mac=BROADCAST)
    assert r.drops[-1] is Drop.FORWARD_NOT_HOST
    server = r.r.stack.open_raw(253)
    r.send("10.0.1.1", "10.0.1.254", mac=BROADCAST, proto=253)
    assert len(server.queue) == 1
    assert r.heard() == []


@pytest.mark.parametrize(
    ("src", "dst", "drop"),
    [
        ("127.0.0.1", "10.0.1.254", Drop.IP_INVALID_SOURCE),
        ("224.0.0.9", "10.0.1.254", Drop.IP_INVALID_SOURCE),
        ("255.255.255.255", "10.0.1.254", Drop.IP_INVALID_SOURCE),
        ("0.0.0.0", "10.0.1.254", Drop.IP_INVALID_SOURCE),
        ("10.0.2.254", "10.0.1.254", Drop.IP_LOCAL_SOURCE),
        ("10.0.1.1", "127.0.0.1", Drop.IP_INVALID_DEST),
        ("10.0.1.1", "0.0.0.0", Drop.IP_INVALID_DEST),
        ("10.0.1.1", "239.1.2.3", Drop.IP_MC_NOT_JOINED),
    ],
)
def test_martians_are_dropped_by_name(r: Router, src: str, dst: str, drop: Drop) -> None:
    """ip_route_input_slow; the twin with plausible addresses is answered."""
    r.send(src, dst)
    assert r.drops[-1] is drop
    assert r.heard() == []
    r.send("10.0.1.1", "10.0.1.254")
    assert r.heard() == ["w0 10.0.1.254 > 10.0.1.1 ttl 64 icmp 3/3"]


def test_unresolved_next_hop_is_told_to_every_sender_after_three_seconds(r: Router) -> None:
    """neigh_invalidate reports each queued packet: five packets, five host unreachables at once."""
    for _ in range(5):
        r.send("10.0.1.1", "10.0.2.9")
    r.run(2.9)
    assert r.heard() == ["w1 arp 1"] * 3
    r.run(0.2)
    assert r.heard() == ["w0 10.0.1.254 > 10.0.1.1 ttl 64 icmp 3/1"] * 5


def test_the_queue_keeps_the_newest_101(r: Router) -> None:
    """unres_qlen: the oldest packet goes first."""
    r.run(1)
    for n in range(103):
        r.send("10.0.1.1", "10.0.2.9", size=8 + n)
    r.ask("10.0.1.254")
    r.got.clear()
    far = r.net.netns["wires"].devices["w1"]
    answer = arp.body(arp.REPLY, W1, parse_ip("10.0.2.9"), R1, parse_ip("10.0.2.254"))
    r.net.send(far, Frame(R1, W1, ARP, answer))
    assert [len(f.payload) for _, f in r.got] == [28 + n for n in range(2, 103)]


@pytest.mark.parametrize(
    ("knob", "place", "value", "tip"),
    [
        ("arp_ignore", "eth0", 1, "10.0.2.254"),
        ("arp_ignore", "eth0", 8, "10.0.1.254"),
        ("arp_filter", "all", 1, None),
    ],
)
def test_arp_knobs_silence_the_answer(r: Router, knob: str, place: str, value: int, tip: str | None) -> None:
    """A weak host answers for any address on any device, until told otherwise."""
    sip = "10.0.2.7" if tip is None else "10.0.1.1"
    r.ask(tip or "10.0.2.254", sip)
    assert r.heard() == ["w0 arp 2"]
    r.sysctl(f"net.ipv4.conf.{place}.{knob}", value)
    r.ask(tip or "10.0.2.254", sip)
    assert r.heard() == []
    assert r.drops[-1] in (Drop.ARP_IGNORE, Drop.ARP_FILTER)


def test_a_host_neither_answers_nor_defends_its_own_address(r: Router) -> None:
    """The source check refuses a sender that claims our address; nothing is learned."""
    r.ask("10.0.1.254", sip="10.0.1.254")
    r.ask("10.0.2.254", sip="10.0.1.254")
    assert r.heard() == []
    assert r.drops == [Drop.ARP_NOT_OURS] * 2


def test_a_probe_is_answered_without_learning(r: Router) -> None:
    """Sender 0.0.0.0 (RFC 5227): the reply's target address is 0.0.0.0 too."""
    r.ask("10.0.1.254", sip="0.0.0.0")
    assert r.got[0][1].payload[24:28] == bytes(4)
    assert r.r.stack.neigh.get(r.r.devices["eth0"], 0) is None


def test_proxy_arp_answers_for_what_is_routed_elsewhere_after_a_delay(r: Router) -> None:
    """arp_fwd_proxy: broadcasts wait up to proxy_delay (0.8 s), unicasts do not; never for the same device."""
    r.ask("10.0.2.1")
    assert r.heard() == []
    r.sysctl("net.ipv4.conf.eth0.proxy_arp", 1)
    r.ask("10.0.2.1", mac=R0)
    assert r.heard() == ["w0 arp 2"]
    r.ask("10.0.2.1")
    assert r.heard() == []
    r.run(0.8)
    assert r.heard() == ["w0 arp 2"]
    r.ask("10.0.1.77", mac=R0)
    assert r.heard() == []


def test_unasked_arp_makes_no_entry_unless_accepted(r: Router) -> None:
    """arp_accept 0; an entry that exists is updated at once by a gratuitous request, to STALE."""
    eth0, table = r.r.devices["eth0"], r.r.stack.neigh
    address = parse_ip("10.0.1.9")
    r.ask("10.0.1.9", sip="10.0.1.9")
    assert table.get(eth0, address) is None
    r.sysctl("net.ipv4.conf.eth0.arp_accept", 1)
    r.ask("10.0.1.9", sip="10.0.1.9")
    entry = table.get(eth0, address)
    assert entry is not None
    assert (entry.state, entry.mac) == (neigh.STALE, W0)


def test_locktime_keeps_a_fresh_entry_from_changing(r: Router) -> None:
    """A reply with another MAC within a second of the last change is ignored, later taken (arp_process)."""
    eth0, table = r.r.devices["eth0"], r.r.stack.neigh
    r.ask("10.0.1.254", sip="10.0.1.9")
    entry = table.get(eth0, parse_ip("10.0.1.9"))
    assert entry is not None
    far = r.net.netns["wires"].devices["w0"]
    reply = Frame(R0, W0, ARP, arp.body(arp.REPLY, 0xDD, parse_ip("10.0.1.9"), R0, parse_ip("10.0.1.254")))
    r.net.send(far, reply)
    assert entry.mac == W0
    r.run(1.1)
    r.net.send(far, reply)
    assert (entry.mac, entry.state) == (0xDD, neigh.REACHABLE)


def test_reachable_becomes_stale_after_half_to_one_and_a_half_base_times(r: Router) -> None:
    """neigh_rand_reach_time of 30 s."""
    far = r.net.netns["wires"].devices["w0"]
    r.ask("10.0.1.254", sip="10.0.1.9")
    r.net.send(far, Frame(R0, W0, ARP, arp.body(2, W0, parse_ip("10.0.1.9"), R0, parse_ip("10.0.1.254"))))
    entry = r.r.stack.neigh.get(r.r.devices["eth0"], parse_ip("10.0.1.9"))
    assert entry is not None
    r.run(14.9)
    assert entry.state == neigh.REACHABLE
    r.run(30.2)
    assert entry.state == neigh.STALE


def test_incomplete_packets_time_out_after_thirty_seconds(r: Router) -> None:
    """ip_expire: 11/1 when the first fragment had come, silence otherwise."""
    r.send("10.0.1.1", "10.0.1.254", size=16, frag=0x2000)
    r.send("10.0.1.1", "10.0.2.254", size=16, frag=0x2002)
    r.run(29.9)
    assert r.heard() == []
    r.run(0.2)
    assert r.heard() == ["w0 10.0.1.254 > 10.0.1.1 ttl 64 icmp 11/1"]


def test_joining_a_group_is_reported_twice_and_lets_it_in(r: Router) -> None:
    """IGMPv3: TTL 1, TOS 0xc0, router alert, 54 octets; then the group is delivered."""
    sock = r.r.stack.open_udp()
    sock.bind(0, 9)
    r.send("10.0.1.1", "239.1.2.3", mac=0x01005E010203)
    assert not sock.queue
    sock.join(parse_ip("239.1.2.3"), r.r.devices["eth0"])
    assert r.r.devices["eth0"].mc[0x01005E010203] == 1
    r.run(1.2)
    first = r.got[0][1]
    assert (len(first), first.dst, first.payload[1], first.payload[8]) == (54, 0x01005E000016, 0xC0, 1)
    assert r.heard() == ["w0 10.0.1.254 > 224.0.0.22 ttl 1 40 octets"] * 2
    octets = build(parse_ip("10.0.1.1"), parse_ip("239.1.2.3"), 17, b"\x30\x39\0\x09\0\x08\0\0")
    far = r.net.netns["wires"].devices["w0"]
    r.net.send(far, Frame(0x01005E010203, W0, IPV4, octets))
    assert len(sock.queue) == 1


@pytest.mark.parametrize(("told", "reports"), [(1, 2), (0, 0)])
def test_local_groups_are_reported_unless_that_is_turned_off(r: Router, told: int, reports: int) -> None:
    """igmp_link_local_mcast_reports is about 224.0.0.0/24 alone; what is joined is heard either way."""
    r.sysctl("net.ipv4.igmp_link_local_mcast_reports", told)
    sock, eth0 = r.r.stack.open_udp(), r.r.devices["eth0"]
    sock.bind(0, 9)
    sock.join(parse_ip("224.0.0.106"), eth0)
    r.run(1.2)
    assert len(r.heard()) == reports
    assert eth0.mc[0x01005E00006A] == 1
    sock.join(parse_ip("224.0.1.1"), eth0)
    r.run(1.2)
    assert r.heard() == ["w0 10.0.1.254 > 224.0.0.22 ttl 1 40 octets"] * 2


def test_arp_notify_announces_when_the_device_comes_up(r: Router) -> None:
    """inetdev_send_gratuitous_arp; nothing by default."""
    eth0 = r.r.devices["eth0"]
    link_set(r.net, eth0, up=False)
    link_set(r.net, eth0, up=True)
    assert r.heard() == []
    r.sysctl("net.ipv4.conf.eth0.arp_notify", 1)
    link_set(r.net, eth0, up=False)
    link_set(r.net, eth0, up=True)
    assert r.heard() == ["w0 arp 1"]


def test_link_layer_padding_is_not_carried_on(r: Router) -> None:
    """ip_rcv_core trims to the total length: 46 octets in, 28 out."""
    octets = build(parse_ip("10.0.1.1"), parse_ip("10.0.2.1"), 253, bytes(8))
    far = r.net.netns["wires"].devices["w0"]
    r.net.send(far, Frame(R0, W0, IPV4, octets + bytes(18)))
    assert [len(frame.payload) for _, frame in r.got] == [28]


def test_no_error_answers_a_broadcast_frame(r: Router) -> None:
    """icmp_send is silent unless the frame was for this host alone; the same packet by unicast is answered."""
    r.send("10.0.1.1", "10.0.1.254", mac=BROADCAST)
    r.send("10.0.1.1", "10.0.1.255", mac=BROADCAST)
    assert r.heard() == []
    r.send("10.0.1.1", "10.0.1.254")
    assert r.heard() == ["w0 10.0.1.254 > 10.0.1.1 ttl 64 icmp 3/3"]


def test_a_piece_that_is_not_the_last_counts_in_units_of_eight(r: Router) -> None:
    """ip_frag_queue cuts 12 octets with more to follow down to 8: the last piece fits behind them."""
    server = r.r.stack.open_raw(253)
    for place, size in ((0x2000, 12), (1, 8)):
        octets = build(parse_ip("10.0.1.1"), parse_ip("10.0.1.254"), 253, bytes(size), ident=5, frag=place)
        r.net.send(r.net.netns["wires"].devices["w0"], Frame(R0, W0, IPV4, octets))
    assert len(server.queue) == 1
    assert r.drops == [None, None]


@pytest.mark.parametrize(("mac", "state"), [(R0, neigh.REACHABLE), (BROADCAST, neigh.STALE)])
def test_only_a_reply_to_this_host_alone_proves_the_neighbour(r: Router, mac: int, state: int) -> None:
    """arp_process: a broadcast reply refreshes the entry without confirming it."""
    r.ask("10.0.1.254", sip="10.0.1.9")
    entry = r.r.stack.neigh.get(r.r.devices["eth0"], parse_ip("10.0.1.9"))
    assert entry is not None
    r.ask("10.0.1.254", sip="10.0.1.9", op=arp.REPLY, mac=mac)
    assert entry.state == state


def test_a_neighbour_in_doubt_is_asked_three_times_by_unicast_and_given_up(r: Router) -> None:
    """DELAY 5 s, then PROBE: ucast_solicit 3, mcast_resolicit 0; the packet itself went at once."""
    r.ask("10.0.2.254", sip="10.0.1.9")
    entry = r.r.stack.neigh.get(r.r.devices["eth0"], parse_ip("10.0.1.9"))
    assert entry is not None
    assert entry.state == neigh.STALE
    r.got.clear()
    r.send("10.0.2.1", "10.0.1.9", mac=R1, wire=1)
    assert r.heard() == ["w0 10.0.2.1 > 10.0.1.9 ttl 63 28 octets"]
    r.run(4.9)
    assert r.heard() == []
    r.run(2.2)
    assert [(w, f.dst) for w, f in r.got] == [("w0", W0)] * 3
    r.got.clear()
    r.run(3)
    assert r.heard() == []
    assert entry.state == neigh.FAILED
