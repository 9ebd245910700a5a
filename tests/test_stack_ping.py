"""Two hosts on a veth: ARP, echo, the errors and the timing of failing resolution."""

from __future__ import annotations

from struct import unpack_from
from typing import Any

import pytest

from simvlan.clock import SECOND
from simvlan.errors import RtnlError
from simvlan.frame import ARP, BROADCAST, IPV4, Frame, mac_text
from simvlan.network import Network
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add, address_del
from simvlan.rtnl.route import route_add, route_del
from simvlan.stack import fib, neigh
from simvlan.stack.arp import Message
from simvlan.stack.fib import Route
from simvlan.stack.ipaddr import Ifaddr, ip_text, parse_ip
from simvlan.stack.packet import Packet, checksum

A, B = 0x0200_0000_000A, 0x0200_0000_000B


class Pair:
    """Namespaces a and b, cabled; everything seen at a's end in `seen`."""

    def __init__(self) -> None:
        self.net = net = Network()
        self.a, self.b = net.add_netns("a"), net.add_netns("b")
        self.dev_a = link_add(net, self.a, LinkSpec("veth", "eth0", mac=A, peer=PeerSpec("eth0", netns=self.b, mac=B)))
        self.dev_b = self.b.devices["eth0"]
        self.seen: list[tuple[int, bool, Frame]] = []
        for ns in (self.a, self.b):
            link_set(net, ns.devices["lo"], up=True)
            link_set(net, ns.devices["eth0"], up=True)
        self.dev_a.taps.append(self._tap)
        address_add(net, self.dev_a, Ifaddr(parse_ip("10.0.0.1"), 24))
        address_add(net, self.dev_b, Ifaddr(parse_ip("10.0.0.2"), 24))

    def _tap(self, now: int, dev: Any, frame: Frame, out: bool) -> None:
        self.seen.append((now, out, frame))

    def run(self, seconds: float) -> None:
        self.net.clock.advance(self.net.now + int(seconds * SECOND))  # type: ignore[attr-defined]

    def texts(self) -> list[str]:
        return [f"{'>' if out else '<'} {describe(frame)}" for _, out, frame in self.seen]


def describe(frame: Frame) -> str:
    """One line in the manner of tcpdump."""
    if frame.proto == ARP:
        m = Message(frame.payload)
        cast = "bc" if frame.dst == BROADCAST else "uc"
        return f"{cast} arp {m.op} {ip_text(m.sip)} {mac_text(m.sha)[-2:]} for {ip_text(m.tip)}"
    assert frame.proto == IPV4
    p = Packet(frame.payload)
    kind = f"icmp {p.payload[0]}/{p.payload[1]}" if p.proto == 1 else f"proto {p.proto}"
    return f"{ip_text(p.src)} > {ip_text(p.dst)} ttl {p.ttl} {kind}"


def echo(seq: int = 1, size: int = 56) -> bytes:
    return b"\x08\0\0\0\0\0" + seq.to_bytes(2, "big") + bytes(size)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_first_ping_asks_for_the_mac_and_is_answered(pair: Pair) -> None:
    """arp_solicit broadcasts with the packet's source; the reply is unicast; then icmp_echo answers with TTL 64."""
    s = pair.a.stack.open_ping()
    s.send(echo(7), parse_ip("10.0.0.2"))
    assert pair.texts() == [
        "> bc arp 1 10.0.0.1 0a for 10.0.0.2",
        "< uc arp 2 10.0.0.2 0b for 10.0.0.1",
        "> 10.0.0.1 > 10.0.0.2 ttl 64 icmp 8/0",
        "< 10.0.0.2 > 10.0.0.1 ttl 64 icmp 0/0",
    ]
    (got,) = s.queue
    assert got.data[6:8] == b"\0\7"
    assert checksum(got.data) == 0
    request, reply = (Packet(f.payload) for _, _, f in pair.seen[2:])
    assert request.frag == 0x4000, "a socket asks for path MTU discovery"
    assert reply.frag == 0, "the kernel's own ICMP socket does not"


def test_the_asked_host_learns_the_asker_as_stale(pair: Pair) -> None:
    """neigh_event_ns on a request; the answer makes the asker's entry REACHABLE (arp_process)."""
    pair.a.stack.open_ping().send(echo(), parse_ip("10.0.0.2"))
    at_b = pair.b.stack.neigh.get(pair.dev_b, parse_ip("10.0.0.1"))
    at_a = pair.a.stack.neigh.get(pair.dev_a, parse_ip("10.0.0.2"))
    assert at_a is not None and at_a.state == neigh.REACHABLE  # noqa: PT018
    assert at_b is not None and at_b.state == neigh.DELAY, "stale, and used for the reply"  # noqa: PT018
    assert pair.a.stack.neigh_lookup(pair.dev_a, parse_ip("10.0.0.2")) == B


def test_after_five_seconds_the_used_stale_entry_is_probed_by_unicast(pair: Pair) -> None:
    """DELAY lasts delay_first_probe_time, then unicast requests (neigh_timer_handler, arp_solicit)."""
    pair.a.stack.open_ping().send(echo(), parse_ip("10.0.0.2"))
    pair.seen.clear()
    pair.run(5.5)
    assert pair.texts() == ["< uc arp 1 10.0.0.2 0b for 10.0.0.1", "> uc arp 2 10.0.0.1 0a for 10.0.0.2"]
    assert pair.seen[0][0] == 5 * SECOND


def test_nobody_answers_three_requests_a_second_apart_then_host_unreachable(pair: Pair) -> None:
    """mcast_solicit 3, retrans 1 s; then ipv4_link_failure tells the sender from its own address, over lo."""
    s = pair.a.stack.open_ping()
    s.send(echo(), parse_ip("10.0.0.9"))
    pair.run(2.99)
    assert [t for t, _, _ in pair.seen] == [0, SECOND, 2 * SECOND]
    assert not s.errors
    pair.run(0.02)
    (problem,) = s.errors
    assert (problem.type, problem.code, ip_text(problem.offender)) == (3, 1, "10.0.0.1")
    entry = pair.a.stack.neigh.get(pair.dev_a, parse_ip("10.0.0.9"))
    assert entry is not None and entry.state == neigh.FAILED  # noqa: PT018


def test_no_route_is_an_error_at_once(pair: Pair) -> None:
    """ENETUNREACH from the lookup; with a default route the packet goes to the gateway's MAC."""
    s = pair.a.stack.open_ping()
    with pytest.raises(OSError, match="Network is unreachable"):
        s.send(echo(), parse_ip("192.0.2.1"))
    assert not pair.seen
    route_add(pair.net, pair.a, Route(0, 0, via=parse_ip("10.0.0.2")))
    s.send(echo(), parse_ip("192.0.2.1"))
    assert pair.texts()[0] == "> bc arp 1 10.0.0.1 0a for 10.0.0.2"
    assert pair.texts()[-1] == "> 10.0.0.1 > 192.0.2.1 ttl 64 icmp 8/0"


def test_a_route_refuses_a_gateway_that_is_not_on_a_subnet(pair: Pair) -> None:
    """fib_check_nh_v4_gw."""
    with pytest.raises(RtnlError, match="Nexthop has invalid gateway") as refused:
        route_add(pair.net, pair.a, Route(0, 0, via=parse_ip("172.16.0.1")))
    assert refused.value.code == "ENETUNREACH"


def test_addresses_bring_and_take_their_routes(pair: Pair) -> None:
    """fib_add_ifaddr: local /32, broadcast, subnet; all gone with the address (fib_del_ifaddr)."""
    stack = pair.a.stack
    mine = [str(r) for r in stack.fib.routes() if r.dev is pair.dev_a]
    assert mine == [
        "unicast 10.0.0.0/24 dev eth0 table 254 metric 0",
        "local 10.0.0.1/32 dev eth0 table 255 metric 0",
        "broadcast 10.0.0.255/32 dev eth0 table 255 metric 0",
    ]
    address_del(pair.net, pair.dev_a, parse_ip("10.0.0.1"), 24)
    assert [r for r in stack.fib.routes() if r.dev is pair.dev_a] == []
    with pytest.raises(RtnlError, match="Cannot assign requested address"):
        address_del(pair.net, pair.dev_a, parse_ip("10.0.0.1"), 24)


def test_own_address_is_reached_over_lo_and_only_while_lo_is_up(pair: Pair) -> None:
    """Local routes lead to the loopback device."""
    s = pair.a.stack.open_ping()
    s.send(echo(), parse_ip("10.0.0.1"))
    assert len(s.queue) == 1
    assert not pair.seen
    link_set(pair.net, pair.a.devices["lo"], up=False)
    s.send(echo(), parse_ip("10.0.0.1"))
    assert len(s.queue) == 1


def test_deleting_a_missing_route_says_what_is_missing(pair: Pair) -> None:
    """fib_table_delete answers ESRCH, a namespace without the table says so."""
    with pytest.raises(RtnlError) as missing:
        route_del(pair.net, pair.a, dst=parse_ip("192.0.2.0"), plen=24)
    assert missing.value.code == "ESRCH"
    with pytest.raises(RtnlError, match="FIB table does not exist"):
        route_del(pair.net, pair.net.add_netns("empty"), dst=0, plen=0)


def test_udp_is_captured_with_a_partial_checksum_and_delivered(pair: Pair) -> None:
    """CHECKSUM_PARTIAL: the pseudo-header sum alone; with tx offload off the checksum is whole."""
    server, client = pair.b.stack.open_udp(), pair.a.stack.open_udp()
    server.bind(0, 4000)
    client.send(b"hello", parse_ip("10.0.0.2"), 4000)
    assert server.queue[0].data == b"hello"
    sent = pair.seen[-1][2]
    pseudo = 0xFFFF - checksum(sent.payload[12:20] + b"\0\x11" + (13).to_bytes(2, "big"))
    assert sent.csum
    assert unpack_from("!H", sent.payload, 26)[0] == pseudo
    pair.dev_a.features_off.add("tx-checksum-ip-generic")
    client.send(b"hello", parse_ip("10.0.0.2"), 4000)
    whole = pair.seen[-1][2]
    assert not whole.csum
    body = whole.payload[20:]
    assert checksum(whole.payload[12:20] + b"\0\x11" + len(body).to_bytes(2, "big") + body) == 0
    assert len(server.queue) == 2


def test_a_closed_port_is_answered_from_the_address_asked(pair: Pair) -> None:
    """3/3 with precedence 6, quoting the datagram (icmp_send)."""
    client = pair.a.stack.open_udp()
    client.send(b"x", parse_ip("10.0.0.2"), 9)
    assert pair.texts()[-1] == "< 10.0.0.2 > 10.0.0.1 ttl 64 icmp 3/3"
    answer = Packet(pair.seen[-1][2].payload)
    assert answer.tos == 0xC0
    assert client.errors[0].errno == 111, "ECONNREFUSED"


def test_big_pings_are_fragmented_and_reassembled(pair: Pair) -> None:
    """1500 octets: 1480 of data per full fragment; the answer is as big (ip_fragment, ip_defrag)."""
    s = pair.a.stack.open_ping()
    s.send(echo(size=3000), parse_ip("10.0.0.2"))
    sizes = [len(f.payload) for _, out, f in pair.seen if out and f.proto == IPV4]
    assert sizes == [1500, 1500, 68]
    assert len(s.queue[0].data) == 3008


def test_broadcast_needs_permission_and_is_heard_at_home(pair: Pair) -> None:
    """EACCES without SO_BROADCAST (sk_dst_check of a broadcast route); a copy comes back to the sender's host."""
    sender, other = pair.a.stack.open_udp(), pair.a.stack.open_udp()
    far = pair.b.stack.open_udp()
    for s in (other, far):
        s.bind(0, 5000)
    with pytest.raises(PermissionError):
        sender.send(b"all", parse_ip("10.0.0.255"), 5000)
    sender.broadcast = True
    sender.send(b"all", parse_ip("10.0.0.255"), 5000)
    assert [len(s.queue) for s in (other, far)] == [1, 1]
    assert pair.seen[-1][2].dst == BROADCAST


def test_route_get_answers_with_device_source_and_gateway(pair: Pair) -> None:
    found = pair.a.stack.route_get(parse_ip("10.0.0.7"))
    assert (found.dev, ip_text(found.src), found.via, found.kind) == (pair.dev_a, "10.0.0.1", None, fib.UNICAST)
    own = pair.a.stack.route_get(parse_ip("10.0.0.1"))
    assert (own.dev.name, own.kind) == ("lo", fib.LOCAL)
    with pytest.raises(RtnlError) as refused:
        pair.a.stack.route_get(parse_ip("192.0.2.1"))
    assert refused.value.code == "ENETUNREACH"
