"""What a host answers, keeps silent about and keeps as it was: rules 11.1, 11.3 and 11.4 of docs/rules.md."""

from __future__ import annotations

import pytest
from test_stack_router import R0, W0, Router

from simvlan.frame import ARP, BROADCAST, IPV4, Frame
from simvlan.rtnl import link_set
from simvlan.rtnl.address import address_add
from simvlan.stack import arp
from simvlan.stack.ipaddr import parse_ip
from simvlan.stack.packet import Packet, build, checksum
from simvlan.verdict import Drop

ME, ASKER = "10.0.1.254", "10.0.1.1"


@pytest.fixture
def r() -> Router:
    return Router()


def ip(r: Router, octets: bytes, mac: int = R0) -> list[str]:
    """Send a packet from the first wire; what the wires then carried."""
    far = r.net.netns["wires"].devices["w0"]
    r.net.send(far, Frame(mac, W0, IPV4, octets))
    return r.heard()


def echo(kind: int = 8, code: int = 0, rest: bytes = b"\0\7\0\1hello") -> bytes:
    head = bytes((kind, code, 0, 0)) + rest
    head += bytes(len(head) % 2)
    return head[:2] + checksum(head).to_bytes(2, "big") + head[4:]


# -- 11.1 ARP -------------------------------------------------------------------------------------------------------


def test_an_arp_answer_goes_to_the_address_inside(r: Router) -> None:
    """11.1/1 (arp_process): to the sender hardware address of the request, not to its Ethernet source."""
    far, other = r.net.netns["wires"].devices["w0"], 0x02_00_00_00_00_77
    for target in (ME, "10.0.2.254"):
        r.got.clear()
        octets = arp.body(arp.REQUEST, other, parse_ip(ASKER), 0, parse_ip(target))
        r.net.send(far, Frame(BROADCAST, W0, ARP, octets))
        (_, answer) = r.got[0]
        assert (answer.dst, answer.src, answer.payload[7]) == (other, R0, arp.REPLY)
        assert answer.payload[8:18] == R0.to_bytes(6, "big") + parse_ip(target).to_bytes(4, "big")
        assert len(answer) == 42


@pytest.mark.parametrize("target", ["127.0.0.1", "10.0.1.255", "224.0.0.1", "10.0.1.77"])
def test_arp_that_is_never_answered(r: Router, target: str) -> None:
    """11.1/4: loopback, broadcast, group and foreign targets."""
    r.ask(target)
    assert r.heard() == []
    r.ask(ME)
    assert r.heard() == ["w0 arp 2"]


def test_other_operations_and_noarp_devices_are_silent(r: Router) -> None:
    """11.1/4: operation 3 (RARP) is ignored; so is everything on a device that is NOARP."""
    r.ask(ME, op=3)
    assert (r.heard(), r.drops[-1]) == ([], Drop.ARP_OPCODE)
    r.r.devices["eth0"].noarp = True
    r.ask(ME)
    assert (r.heard(), r.drops[-1]) == ([], Drop.ARP_NOARP)
    r.r.devices["eth0"].noarp = False
    r.ask(ME)
    assert r.heard() == ["w0 arp 2"]


# -- 11.3 receiving -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "octet", "why"),
    [(0, 0x46, Drop.IP_CSUM), (0, 0x65, Drop.IP_INHDR), (0, 0x44, Drop.IP_INHDR), (10, 0xFF, Drop.IP_CSUM),
     (3, 200, Drop.IP_CSUM)],
)  # fmt: skip
def test_a_bad_header_is_dropped_in_silence(r: Router, at: int, octet: int, why: Drop) -> None:
    """11.3/1 (ip_rcv_core): version, header length, checksum; the same packet unharmed is answered."""
    good = bytearray(build(parse_ip(ASKER), parse_ip(ME), 1, echo()))
    assert ip(r, bytes(good)) == [f"w0 {ME} > {ASKER} ttl 64 icmp 0/0"]
    good[at] = octet
    assert ip(r, bytes(good)) == []
    assert r.drops[-1] is why


def test_a_length_beyond_the_frame_is_dropped_in_silence(r: Router) -> None:
    """11.3/1: the total length says more than there is."""
    octets = build(parse_ip(ASKER), parse_ip(ME), 1, echo())
    assert ip(r, octets[:-4]) == []
    assert r.drops[-1] in (Drop.PKT_TOO_SMALL, Drop.IP_TRUNCATED)


def test_a_weak_host_takes_packets_for_any_of_its_addresses(r: Router) -> None:
    """11.3/2: by another device, even if the one that has the address is down; by a broadcast frame too."""
    request = build(parse_ip(ASKER), parse_ip("10.0.2.254"), 1, echo())
    answer = [f"w0 10.0.2.254 > {ASKER} ttl 64 icmp 0/0"]
    assert ip(r, request) == answer
    assert ip(r, request, BROADCAST) == answer
    link_set(r.net, r.r.devices["eth1"], up=False)
    r.heard()
    assert ip(r, request) == answer


def test_an_echo_reply_keeps_what_linux_keeps(r: Router) -> None:
    """11.3/5 (icmp_echo): TOS, id, sequence and data as asked, TTL 64, no DF although the request had it."""
    request = build(parse_ip(ASKER), parse_ip(ME), 1, echo(), 17, 0x10, 99, 0x4000)
    far = r.net.netns["wires"].devices["w0"]
    r.net.send(far, Frame(R0, W0, IPV4, request))
    answer = Packet(r.got[0][1].payload)
    assert (answer.ttl, answer.tos, r.got[0][1].payload[6:8]) == (64, 0x10, b"\0\0")
    assert answer.payload[4:] == echo()[4:]


def test_an_unknown_protocol_is_told(r: Router) -> None:
    """11.3/6 (ip_protocol_deliver_rcu): 3/2; a protocol that is known is not."""
    octets = build(parse_ip(ASKER), parse_ip(ME), 253, bytes(8))
    assert ip(r, octets) == [f"w0 {ME} > {ASKER} ttl 64 icmp 3/2"]
    assert r.drops[-1] is Drop.IP_NOPROTO


def test_an_error_says_precedence_6_and_quotes_the_packet(r: Router) -> None:
    """11.3/7 (icmp_send): TOS of the original's low bits with precedence 6; the quotation begins with its header."""
    for tos, told in ((0, 0xC0), (0x10, 0xD0)):
        r.got.clear()
        octets = build(parse_ip(ASKER), parse_ip(ME), 253, bytes(8), 64, tos)
        r.net.send(r.net.netns["wires"].devices["w0"], Frame(R0, W0, IPV4, octets))
        told_by = Packet(r.got[0][1].payload)
        assert (told_by.tos, told_by.ttl) == (told, 64)
        assert told_by.payload[8:] == octets


def test_no_error_answers_a_later_fragment_or_an_error(r: Router) -> None:
    """11.3/8: a later fragment, an ICMP error, a source that is no single host; the first fragment is answered."""
    dead = parse_ip("203.0.113.9")
    first, later = (build(parse_ip(ASKER), dead, 17, bytes(16), 64, 0, 7, frag) for frag in (0x2000, 0x2002))
    assert ip(r, later) == []
    assert ip(r, first) == [f"w0 {ME} > {ASKER} ttl 64 icmp 3/0"]
    error = echo(3, 1, bytes(4) + build(parse_ip(ME), dead, 17, bytes(8)))
    assert ip(r, build(parse_ip(ASKER), dead, 1, error)) == []


# -- 11.4 forwarding ------------------------------------------------------------------------------------------------


def test_fragments_are_cut_again_one_by_one(r: Router) -> None:
    """11.4/4 (ip_fragment without connection tracking): each piece by itself, offsets continued, never reassembled."""
    link_set(r.net, r.r.devices["eth1"], mtu=600)
    for frag, size in ((0x2000, 1000), (125, 500)):
        octets = build(parse_ip(ASKER), parse_ip("10.0.2.1"), 17, bytes(size), 64, 0, 7, frag)
        r.net.send(r.net.netns["wires"].devices["w0"], Frame(R0, W0, IPV4, octets))
    pieces = [int.from_bytes(frame.payload[6:8], "big") for wire, frame in r.got if wire == "w1"]
    assert pieces == [0x2000, 0x2000 | 72, 125]


def test_routes_of_a_device_without_carrier_and_down(r: Router) -> None:
    """11.4/6: without carrier the route stays and the packet is lost in silence; down, its routes are gone: 3/0."""
    link_set(r.net, r.net.netns["wires"].devices["w1"], up=False)
    r.heard()
    r.send(ASKER, "10.0.2.1")
    assert r.heard() == []
    link_set(r.net, r.r.devices["eth1"], up=False)
    r.send(ASKER, "10.0.2.1")
    assert r.heard() == [f"w0 {ME} > {ASKER} ttl 64 icmp 3/0"]


def test_a_second_address_is_as_local_as_the_first(r: Router) -> None:
    """11.3/2: every address of every device."""
    address_add(r.net, r.r.devices["eth1"], "192.0.2.9/32")
    request = build(parse_ip(ASKER), parse_ip("192.0.2.9"), 1, echo())
    assert ip(r, request) == [f"w0 192.0.2.9 > {ASKER} ttl 64 icmp 0/0"]
