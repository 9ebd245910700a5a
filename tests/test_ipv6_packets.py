"""IPv6 octets: our packets are scapy's, octet for octet, and scapy's packets mean to us what they say."""

import socket

import pytest
from scapy.layers import inet6 as s
from scapy.layers.l2 import Ether

from simvlan.stack.ipv6 import icmp6, mld, ndp, packet
from simvlan.stack.ipv6.addr import (
    ALL_NODES,
    ALL_ROUTERS,
    eui64,
    ip6_text,
    is_link_local,
    is_multicast,
    is_v4_mapped,
    mask,
    multicast_mac,
    multicast_scope,
    parse_ip6,
    solicited_node,
)  # fmt: skip

A, B = "fe80::1", "2001:db8::2:3"
SRC, DST = parse_ip6(A), parse_ip6(B)
MAC = 0x02_00_00_00_0A_01
MAC_TEXT = "02:00:00:00:0a:01"


def sent(layer, dst=B, hops=255):
    """What scapy sends of an upper layer, checksums filled in, as read again."""
    return s.IPv6(bytes(s.IPv6(src=A, dst=dst, hlim=hops) / layer))


def upper(found):
    """The octets after the fixed header."""
    return bytes(found)[40:]


@pytest.mark.parametrize(
    "address",
    ["::", "::1", "fe80::1", "2001:db8::1:0:0:1", "::ffff:10.0.0.1", "::10.0.0.1", "::1:0", "1:0:0:2::", "::a"],
)
def test_addresses_are_written_as_the_c_library_does(address):
    octets = socket.inet_pton(socket.AF_INET6, address)
    assert ip6_text(int.from_bytes(octets, "big")) == socket.inet_ntop(socket.AF_INET6, octets)
    assert parse_ip6(address) == int.from_bytes(octets, "big")


@pytest.mark.parametrize("text", ["10.0.0.1", "fe80::1%eth0", ":::", "", "12345::"])
def test_what_is_no_address_is_named(text):
    with pytest.raises(ValueError, match="is not an IPv6 address"):
        parse_ip6(text)


def test_groups_and_identifiers():
    assert multicast_mac(ALL_ROUTERS) == 0x3333_0000_0002
    assert ip6_text(solicited_node(parse_ip6("2001:db8::12:3456"))) == "ff02::1:ff12:3456"
    assert ip6_text(parse_ip6("fe80::") | eui64(MAC)) == "fe80::ff:fe00:a01"
    assert (multicast_scope(ALL_NODES), multicast_scope(parse_ip6("ff0e::1"))) == (2, 14)
    assert is_link_local(parse_ip6("febf::1"))
    assert not is_link_local(parse_ip6("fec0::1"))
    assert is_multicast(ALL_NODES)
    assert not is_multicast(SRC)
    assert is_v4_mapped(parse_ip6("::ffff:1.2.3.4"))
    assert not is_v4_mapped(SRC)
    assert ip6_text(mask(65)) == "ffff:ffff:ffff:ffff:8000::"
    assert (mask(0), mask(128)) == (0, (1 << 128) - 1)


def test_the_header():
    theirs = bytes(s.IPv6(src=A, dst=B, nh=59, hlim=7, tc=0xB8, fl=0x12345) / b"abc")
    assert packet.build(SRC, DST, packet.NONE, b"abc", 7, 0xB8, 0x12345) == theirs
    assert packet.parse(theirs) == packet.Header(SRC, DST, packet.NONE, 7, 3, 0xB8, 0x12345)
    assert packet.with_hops(theirs, 6) == bytes(s.IPv6(src=A, dst=B, nh=59, hlim=6, tc=0xB8, fl=0x12345) / b"abc")
    assert packet.resize(theirs + b"de") == bytes(s.IPv6(src=A, dst=B, nh=59, hlim=7, tc=0xB8, fl=0x12345) / b"abcde")
    assert packet.parse(theirs[:39]) is None
    assert packet.parse(b"\x45" + theirs[1:]) is None


def test_extension_headers_are_skipped():
    whole = bytes(
        s.IPv6(src=A, dst=B)
        / s.IPv6ExtHdrHopByHop(options=[s.RouterAlert()])
        / s.IPv6ExtHdrDestOpt(options=[s.PadN(optdata=bytes(12))])
        / s.IPv6ExtHdrFragment(nh=58, offset=0, m=1, id=9)
        / s.ICMPv6EchoRequest()
    )
    assert packet.skip_extensions(whole, packet.HOPOPTS) == packet.Upper(packet.ICMPV6, 40 + 8 + 16 + 8, 1)
    assert packet.skip_extensions(whole[:41], packet.HOPOPTS) is None
    assert packet.skip_extensions(whole, packet.NONE) is None
    later = bytes(s.IPv6(src=A, dst=B) / s.IPv6ExtHdrFragment(nh=58, offset=2, m=0, id=9) / b"12345678")
    assert packet.skip_extensions(later, packet.FRAGMENT) == packet.Upper(packet.FRAGMENT, 40, 16)
    assert packet.skip_extensions(b"", packet.UDP, 40) == packet.Upper(packet.UDP, 40)


def test_fragment_headers():
    theirs = bytes(s.IPv6ExtHdrFragment(nh=17, offset=181, m=1, id=0xDEAD_BEEF))
    assert packet.fragment(packet.UDP, 1448, True, 0xDEAD_BEEF) == theirs
    assert packet.parse_fragment(theirs, 0) == packet.Fragment(packet.UDP, 1448, True, 0xDEAD_BEEF)
    assert packet.parse_fragment(theirs, 1) is None


def test_options_fill_a_header():
    assert packet.options(58, packet.ROUTER_ALERT_MLD) == bytes(
        s.IPv6ExtHdrHopByHop(nh=58, options=[s.RouterAlert(), s.PadN(optdata=b"")])
    )
    with pytest.raises(ValueError, match="8n - 2"):
        packet.options(58, b"12345")


def test_checksums_are_those_of_the_upper_layer():
    udp = upper(sent(s.UDP(sport=5, dport=6) / b"odd"))
    zeroed = udp[:6] + b"\0\0" + udp[8:]
    assert packet.transport_checksum(SRC, DST, packet.UDP, zeroed) == int.from_bytes(udp[6:8], "big")
    assert packet.transport_checksum(SRC, DST, packet.UDP, udp) == 0
    assert packet.transport_checksum(SRC, DST, packet.UDP, udp[:-1] + b"x") != 0
    rest = 0xFFFF - packet.checksum(zeroed)
    folded = packet.pseudo_sum(SRC, DST, packet.UDP, len(udp)) + rest
    assert 0xFFFF - folded % 0xFFFF == int.from_bytes(udp[6:8], "big")


def test_echo_and_errors():
    echo = upper(sent(s.ICMPv6EchoRequest(id=77, seq=3, data=b"ping!")))
    assert icmp6.build_echo(SRC, DST, icmp6.ECHO, 77, 3, b"ping!") == echo
    read = icmp6.parse(echo)
    assert read == icmp6.Message(icmp6.ECHO, 0, 77 << 16 | 3, b"ping!")
    assert (read.ident, read.sequence, read.is_error) == (77, 3, False)
    assert icmp6.is_right(SRC, DST, echo)
    assert not icmp6.is_right(SRC, DST + 1, echo)
    big = upper(sent(s.ICMPv6PacketTooBig(mtu=1280) / s.IPv6(src=B, dst=A)))
    assert icmp6.build(SRC, DST, icmp6.TOO_BIG, 0, 1280, big[8:]) == big
    assert icmp6.parse(big).is_error
    assert icmp6.parse(big[:7]) is None


def test_neighbour_messages():
    ours = ndp.build_ns(SRC, DST, DST, (ndp.link_layer(ndp.SLLA, MAC),))
    assert ours == upper(sent(s.ICMPv6ND_NS(tgt=B) / s.ICMPv6NDOptSrcLLAddr(lladdr=MAC_TEXT)))
    assert ndp.parse_ns(ours) == ndp.Solicitation(DST, (ndp.link_layer(ndp.SLLA, MAC),))
    said = ndp.Advertisement(SRC, router=True, override=True, options=(ndp.link_layer(ndp.TLLA, MAC),))
    na = s.ICMPv6ND_NA(tgt=A, R=1, S=0, O=1) / s.ICMPv6NDOptDstLLAddr(lladdr=MAC_TEXT)
    assert ndp.build_na(SRC, DST, said) == upper(sent(na))
    assert ndp.parse_na(upper(sent(na))) == said
    assert ndp.read_mac(said.options, ndp.TLLA) == MAC
    assert ndp.read_mac(said.options, ndp.SLLA) is None
    assert ndp.build_ns(SRC, DST, DST) == upper(sent(s.ICMPv6ND_NS(tgt=B)))
    assert ndp.parse_ns(ours[:23]) is None
    assert ndp.parse_na(ours[:23]) is None
    assert ndp.parse_ns(ours[:25] + b"\0" + ours[26:]) is None
    assert ndp.parse_ns(ours[:-1]) is None


def test_router_messages():
    assert ndp.build_rs(SRC, DST, (ndp.link_layer(ndp.SLLA, MAC),)) == upper(
        sent(s.ICMPv6ND_RS() / s.ICMPv6NDOptSrcLLAddr(lladdr=MAC_TEXT))
    )
    assert ndp.parse_rs(upper(sent(s.ICMPv6ND_RS()))) == ()
    assert ndp.parse_rs(b"\x85\0\0\0") is None
    info = ndp.Prefix(parse_ip6("2001:db8:1::"), 64, True, False, ndp.FOREVER, 600)
    dns = (parse_ip6("2001:db8::53"), parse_ip6("2001:db8::54"))
    said = ndp.RouterAdvertisement(
        32, True, False, 1, 900, 30_000, 1_000,
        (ndp.link_layer(ndp.SLLA, MAC), ndp.mtu(1400), ndp.prefix(info), ndp.rdnss(1200, dns)),
    )  # fmt: skip
    theirs = upper(
        sent(
            s.ICMPv6ND_RA(chlim=32, M=1, O=0, prf=1, routerlifetime=900, reachabletime=30_000, retranstimer=1_000)
            / s.ICMPv6NDOptSrcLLAddr(lladdr=MAC_TEXT)
            / s.ICMPv6NDOptMTU(mtu=1400)
            / s.ICMPv6NDOptPrefixInfo(
                prefix="2001:db8:1::", prefixlen=64, L=1, A=0, validlifetime=ndp.FOREVER, preferredlifetime=600
            )
            / s.ICMPv6NDOptRDNSS(lifetime=1200, dns=["2001:db8::53", "2001:db8::54"])
        )
    )
    assert ndp.build_ra(SRC, DST, said) == theirs
    assert ndp.parse_ra(theirs) == said
    assert ndp.read_mtu(said.options) == 1400
    assert ndp.read_prefix(said.options[2][1]) == info
    assert ndp.read_prefix(said.options[2][1][:-1]) is None
    assert ndp.read_mtu(()) is None
    assert ndp.parse_ra(theirs[:15]) is None


def test_redirects():
    lost = bytes(s.IPv6(src=A, dst=B) / s.UDP() / bytes(5))
    said = ndp.Redirect(SRC, DST, (ndp.link_layer(ndp.TLLA, MAC), ndp.redirected(lost)))
    theirs = (
        s.ICMPv6ND_Redirect(tgt=A, dst=B)
        / s.ICMPv6NDOptDstLLAddr(lladdr=MAC_TEXT)
        / s.ICMPv6NDOptRedirectedHdr(pkt=lost[: len(lost) & ~7])
    )
    assert ndp.build_redirect(SRC, DST, said) == upper(sent(theirs))
    assert ndp.parse_redirect(upper(sent(theirs))) == said
    assert ndp.parse_redirect(upper(sent(theirs))[:39]) is None


def test_listener_queries():
    group = parse_ip6("ff0e::5")
    v1 = upper(sent(s.ICMPv6MLQuery(mladdr="ff0e::5", mrd=1500)))
    assert mld.build_query(SRC, DST, mld.Query(group, 1500, robustness=None)) == v1
    assert mld.parse_query(v1) == mld.Query(group, 1500, robustness=None)
    query = mld.Query(group, 10_000, True, 3, 125, (DST,))
    v2 = upper(sent(s.ICMPv6MLQuery2(mladdr="ff0e::5", mrd=10_000, S=1, QRV=3, QQIC=125, sources=[B])))
    assert mld.build_query(SRC, DST, query) == v2
    assert mld.parse_query(v2) == query
    assert mld.parse_query(v2[:-1]) is None
    assert mld.parse_query(v2[:27]) is None
    assert mld.parse_query(v1[:23]) is None


def test_listener_reports():
    group = parse_ip6("ff0e::5")
    report = upper(sent(s.ICMPv6MLReport(mladdr="ff0e::5")))
    assert mld.build_v1(SRC, DST, mld.MLD_REPORT, group) == report
    assert mld.parse_v1(report) == group
    assert mld.build_v1(SRC, DST, mld.MLD_DONE, group) == upper(sent(s.ICMPv6MLDone(mladdr="ff0e::5")))
    assert mld.parse_v1(report[:23]) is None
    records = (mld.Record(mld.TO_EX, group), mld.Record(mld.ALLOW, ALL_NODES, (SRC, DST)))
    v2 = upper(
        sent(
            s.ICMPv6MLReport2(
                records=[
                    s.ICMPv6MLDMultAddrRec(rtype=4, dst="ff0e::5"),
                    s.ICMPv6MLDMultAddrRec(rtype=5, dst="ff02::1", sources=[A, B]),
                ]
            )
        )
    )
    assert mld.build_report(SRC, DST, records) == v2
    assert mld.parse_report(v2) == records
    assert mld.parse_report(v2[:-1]) is None
    assert mld.parse_report(v2[:7]) is None


def test_an_mld_packet_is_for_this_link_and_for_routers():
    group = ALL_ROUTERS
    theirs = (
        s.IPv6(src=A, dst="ff02::2", hlim=1)
        / s.IPv6ExtHdrHopByHop(options=[s.RouterAlert(), s.PadN(optdata=b"")])
        / s.ICMPv6MLReport(mladdr="ff02::2")
    )
    ours = mld.envelope(SRC, group, mld.build_v1(SRC, group, mld.MLD_REPORT, group))
    assert ours == bytes(theirs)
    assert Ether(bytes(Ether(type=0x86DD)) + ours)[s.ICMPv6MLReport].mladdr == "ff02::2"


@pytest.mark.parametrize(
    ("code", "value"), [(0x7FFF, 0x7FFF), (0x8000, 32_768), (0x9234, 0x1234 << 4), (0xFFFF, 8_387_584)]
)
def test_delays_beyond_what_fits(code, value):
    """RFC 3810 5.1.3: 1 exp(3) mant(12) means (mant | 0x1000) << (exp + 3)."""
    assert mld.float16(code) == value
    assert mld.to_float16(value) == code


@pytest.mark.parametrize(("code", "value"), [(127, 127), (128, 128), (0x9F, 31 << 4), (255, 31_744)])
def test_intervals_beyond_what_fits(code, value):
    assert mld.float8(code) == value
    assert mld.to_float8(value) == code
