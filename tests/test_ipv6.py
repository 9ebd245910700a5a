"""IPv6 of a host and a router: addresses and their checks, neighbours, routers, paths. Times are lab time.

What is expected is what RFC 4861, 4862, 6724 and 8200 say and Linux 6.1 was seen to do (tests/kernel compares frames).
"""

from __future__ import annotations

import contextlib
import errno
import shlex
from typing import Any

import pytest
from router6 import FAR, HERE, LINK, NEAR, NEIGHBOUR, W0, Router6, ip6

from simvlan.errors import RtnlError
from simvlan.lab import Lab
from simvlan.rtnl import link_set
from simvlan.rtnl.address6 import address6_add, address6_del
from simvlan.rtnl.sysctl import sysctl_get, sysctl_set
from simvlan.stack.ipv6 import icmp6, mld, ndp, packet, select
from simvlan.stack.ipv6.frag import fragments
from simvlan.stack.ipv6.inet6dev import Ifaddr6
from simvlan.stack.neigh import FAILED, REACHABLE, STALE
from simvlan.tools.program import call
from simvlan.verdict import Drop

PAIR = (
    "ip netns add a; ip netns exec a sysctl -qw net.ipv6.conf.all.disable_ipv6=0; ip -n a link set lo up;"
    "ip netns add b; ip netns exec b sysctl -qw net.ipv6.conf.all.disable_ipv6=0; ip -n b link set lo up;"
    "ip link add va netns a address 02:00:00:00:00:0a type veth peer name vb netns b address 02:00:00:00:00:0b;"
    "ip -n a link set va up; ip -n b link set vb up; sleep 3"
)
A_LINK, B_LINK = ip6("fe80::ff:fe00:a"), ip6("fe80::ff:fe00:b")


class Pair:
    """Two hosts on a cable, their link-local addresses checked."""

    def __init__(self, **options: Any) -> None:
        self.lab = Lab(**options)
        self.sh(PAIR)
        self.a, self.b = (self.lab.network.netns[name].stack.ip6 for name in "ab")

    def sh(self, script: str) -> str:
        """Run commands, divided by semicolons, in this process."""
        said = ""
        for line in script.split(";"):
            done = call(self.lab, shlex.split(line))
            assert (done.status, done.err) == (0, ""), (line, done.err)
            said += done.out
        return said

    def dev(self, name: str) -> Any:
        return self.lab.network.netns[name].devices[f"v{name}"]

    def wait(self, seconds: float) -> None:
        self.sh(f"sleep {seconds}")

    def ping(self, dst: int, size: int = 8, dev: Any = None, **options: Any) -> Any:
        """One echo request from a; the socket, with what came back."""
        socket = self.a.sockets.open_raw(packet.ICMPV6)
        for key, value in options.items():
            setattr(socket, key, value)
        socket.send(bytes((icmp6.ECHO, 0, 0, 0, 0, 9, 0, 1)) + bytes(size), dst, dev or self.dev("a"))
        self.lab.network.drain()
        return socket

    @staticmethod
    def replies(socket: Any) -> int:
        return sum(got.data[0] == icmp6.ECHO_REPLY for got in socket.queue)


def of(idev: Any, address: int) -> Any:
    return idev.find(address)


# -- addresses --------------------------------------------------------------------------------------------------------


def test_a_link_local_address_is_made_of_the_mac_and_checked() -> None:
    pair = Pair()
    ifa = of(pair.a.idev(pair.dev("a")), A_LINK)
    assert (ifa.tentative, ifa.scope, ifa.permanent) == (False, 253, True)
    assert pair.replies(pair.ping(B_LINK)) == 1


def test_without_the_switch_there_is_nothing() -> None:
    lab = Lab(script="ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up; sleep 3")
    assert lab.network.netns[""].stack.ip6 is None
    assert lab.sh("ip -6 addr; ip -6 route; ip -6 neigh").stdout == ""


def test_with_ipv6_from_boot_nothing_need_be_switched() -> None:
    lab = Lab(ipv6=True, script="ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up; sleep 3")
    assert "fe80::" in lab.sh("ip -6 addr show dev v0").stdout


def test_an_address_is_tentative_until_detection_is_over_and_unused_meanwhile() -> None:
    pair = Pair()
    pair.sh("ip -n b addr add 2001:db8::b/64 dev vb")
    ifa = of(pair.b.idev(pair.dev("b")), ip6("2001:db8::b"))
    assert ifa.tentative
    assert pair.b.select.source(pair.dev("b"), ip6("2001:db8::a")) == B_LINK
    pair.wait(2.1)  # a second at most before the question, one after it
    assert not ifa.tentative
    assert pair.b.select.source(pair.dev("b"), ip6("2001:db8::a")) == ip6("2001:db8::b")


@pytest.mark.parametrize(("first", "failed"), [("a", True), ("", False)])
def test_a_duplicate_is_found_where_there_is_one(first: str, failed: bool) -> None:
    pair = Pair()
    if first:
        pair.sh("ip -n a addr add 2001:db8::1/64 dev va nodad")
    pair.sh("ip -n b addr add 2001:db8::1/64 dev vb; sleep 2.1")
    ifa = of(pair.b.idev(pair.dev("b")), ip6("2001:db8::1"))
    assert (ifa.dadfailed, ifa.tentative) == (failed, failed)
    assert pair.b.is_local(ifa.address) is not failed


def test_two_who_ask_at_once_both_lose() -> None:
    router = Router6()
    address6_add(router.net, router.eth0, Ifaddr6(ip6("2001:db8:1::99"), 64))
    own = of(router.ip6.idev(router.eth0), ip6("2001:db8:1::99"))
    assert router.solicit(own.address, 0, (ndp.nonce(b"\1\2\3\4\5\6"),)) == [None]
    router.wait(0)
    assert own.dadfailed


def test_our_own_question_that_comes_back_is_no_duplicate() -> None:
    router = Router6()
    address6_add(router.net, router.eth0, Ifaddr6(ip6("2001:db8:1::99"), 64))
    own = of(router.ip6.idev(router.eth0), ip6("2001:db8:1::99"))
    assert router.solicit(own.address, 0, (ndp.nonce(own.nonce),)) == [Drop.IPV6_DAD_LOOPED]
    router.wait(2.1)
    assert not own.tentative


def test_accept_dad_2_gives_ipv6_up_where_the_mac_is_double() -> None:
    pair = Pair()
    pair.sh("ip netns exec b sysctl -qw net.ipv6.conf.vb.accept_dad=2; ip -n b link set vb down;"
            "ip -n b link set vb address 02:00:00:00:00:0a; ip -n b link set vb up; sleep 3")  # fmt: skip
    assert pair.sh("ip netns exec b sysctl -n net.ipv6.conf.vb.disable_ipv6") == "1\n"
    assert pair.sh("ip -n b -6 addr show dev vb") == ""


def test_lifetimes_end_addresses_and_their_prefixes() -> None:
    pair = Pair()
    pair.sh("ip -n a addr add 2001:db8::a/64 dev va nodad valid_lft 10 preferred_lft 5")
    ifa = of(pair.a.idev(pair.dev("a")), ip6("2001:db8::a"))
    assert not ifa.deprecated
    pair.wait(5)
    assert ifa.deprecated
    pair.wait(5)
    assert of(pair.a.idev(pair.dev("a")), ip6("2001:db8::a")) is None
    assert pair.a.output.find(ip6("2001:db8::9")) == 101  # over, though it is shown until the collector comes
    pair.wait(30)
    assert "2001:db8::/64" not in pair.sh("ip -n a -6 route")


def test_the_prefix_stays_as_long_as_an_address_in_it() -> None:
    pair = Pair()
    pair.sh("ip -n a addr add 2001:db8::a/64 dev va nodad; ip -n a addr add 2001:db8::b/64 dev va nodad valid_lft 90"
            " preferred_lft 90; ip -n a addr del 2001:db8::a/64 dev va")  # fmt: skip
    assert "2001:db8::/64 dev va proto kernel metric 256 expires 90sec" in pair.sh("ip -n a -6 route")
    pair.sh("ip -n a addr add 2001:db8:1::a/64 dev va nodad; ip -n a addr del 2001:db8:1::a/64 dev va")
    assert "2001:db8:1::/64" not in pair.sh("ip -n a -6 route")


def test_an_mtu_under_1280_ends_ipv6_and_1280_brings_it_back() -> None:
    pair = Pair()
    pair.sh("ip -n a link set va mtu 1279")
    assert pair.sh("ip -n a -6 addr show dev va") == ""
    pair.sh("ip -n a link set va mtu 1280; ip -n a link set va down; ip -n a link set va up; sleep 3")
    assert "fe80::ff:fe00:a/64 scope link" in pair.sh("ip -n a -6 addr show dev va")


def reports(pair: Pair, seconds: float) -> int:
    """How many listener reports a sends meanwhile."""
    seen: list[bytes] = []

    def tap(_now: int, _dev: Any, frame: Any, out: bool) -> None:
        if out and frame.dst == 0x3333_0000_0016:
            seen.append(frame.payload)

    pair.dev("a").taps.append(tap)
    pair.wait(seconds)
    pair.dev("a").taps.remove(tap)
    return len(seen)


def test_an_address_that_is_refused_has_its_device_report_again() -> None:
    """inet6_rtm_newaddr asks for the device's side first (ipv6_find_idev), which reports; deleting does not."""
    pair = Pair()
    assert reports(pair, 3) == 0
    with pytest.raises(RtnlError) as refused:
        address6_add(pair.lab.network, pair.dev("a"), "fe80::ff:fe00:a/64")
    assert (refused.value.errno, reports(pair, 3)) == (errno.EEXIST, 2)
    with pytest.raises(RtnlError) as refused:
        address6_del(pair.lab.network, pair.dev("a"), A_LINK, 128)
    assert (refused.value.errno, reports(pair, 3)) == (errno.EADDRNOTAVAIL, 0)


def test_a_device_without_ipv6_has_no_address_to_delete() -> None:
    pair = Pair()
    pair.sh("ip -n a link set va mtu 1279")
    with pytest.raises(RtnlError) as refused:
        address6_del(pair.lab.network, pair.dev("a"), A_LINK, 64)
    assert refused.value.errno == errno.ENXIO


@pytest.mark.parametrize(("disabled", "told"), [(0, 2), (1, 0)])
def test_a_device_whose_ipv6_is_off_reports_no_groups(disabled: int, told: int) -> None:
    """A router hears more groups, but what goes out by such a device is dropped (ip6_output)."""
    pair = Pair()
    pair.sh(f"ip netns exec a sysctl -qw net.ipv6.conf.va.disable_ipv6={disabled}; sleep 3")
    pair.sh("ip netns exec a sysctl -qw net.ipv6.conf.all.forwarding=1")
    assert reports(pair, 3) == told


@pytest.mark.parametrize(("mtu", "told"), [(1280, 2), (1279, 0)])
def test_a_slave_that_keeps_ipv6_under_1280_reports_no_groups(mtu: int, told: int) -> None:
    """An ipvlan takes its parent's MTU without a word (ipvlan_adjust_mtu), so addresses stay; add_grec looks at it."""
    pair = Pair()
    pair.sh("ip netns add s; ip netns exec s sysctl -qw net.ipv6.conf.all.disable_ipv6=0")
    pair.sh("ip -n a link add link va name i0 netns s type ipvlan mode l2; ip -n s link set i0 up; sleep 5")
    pair.sh(f"ip -n a link set va mtu {mtu}; sleep 3")
    assert "fe80::" in pair.sh("ip -n s -6 addr show dev i0")
    pair.sh("ip netns exec s sysctl -qw net.ipv6.conf.all.forwarding=1")
    assert reports(pair, 3) == told


def test_keep_addr_on_down_keeps_what_was_given_by_hand() -> None:
    pair = Pair()
    pair.sh("ip -n a addr add 2001:db8::a/64 dev va nodad; ip -n a link set va down; ip -n a link set va up; sleep 3")
    assert "2001:db8" not in pair.sh("ip -n a -6 addr show dev va")
    pair.sh("ip netns exec a sysctl -qw net.ipv6.conf.va.keep_addr_on_down=1; ip -n a addr add 2001:db8::a/64 dev va"
            " nodad; ip -n a link set va down; ip -n a link set va up; sleep 3")  # fmt: skip
    assert "2001:db8::a/64" in pair.sh("ip -n a -6 addr show dev va")
    assert "2001:db8::/64 dev va" in pair.sh("ip -n a -6 route")


# -- neighbours -------------------------------------------------------------------------------------------------------


def test_a_neighbour_is_asked_for_three_times_and_then_unreachable() -> None:
    router = Router6()
    assert router.send(ip6("2001:db8:2::77")) == [None]
    router.wait(3.5)
    told = router.messages()
    asked = [(end, header.dst) for end, header, message in told if message.type == icmp6.NS]
    assert asked == [("w1", ip6("ff02::1:ff00:77"))] * 3
    errors = [(end, message.code) for end, _, message in told if message.type == icmp6.UNREACH]
    assert errors == [("w0", icmp6.ADDRESS)]
    assert router.ip6.neigh.get(router.eth1, ip6("2001:db8:2::77")).state == FAILED


@pytest.mark.parametrize(("dst", "flags"), [("group", (True, True)), ("unicast", (True, False))])
def test_a_solicitation_is_answered_with_the_mac_only_to_the_group(dst: str, flags: tuple[bool, bool]) -> None:
    router = Router6()
    if dst == "group":
        router.solicit(HERE)
    else:
        router.send(HERE, body=ndp.build_ns(NEAR, HERE, HERE, (ndp.link_layer(ndp.SLLA, W0),)), hops=255)
    ((_, header, message),) = router.messages()
    said = ndp.parse_na(bytes((136, 0, 0, 0)) + message.word.to_bytes(4, "big") + message.body)
    assert said is not None
    assert (header.dst, header.hops, said.target, said.router) == (NEAR, 255, HERE, True)
    assert (said.solicited, said.override) == flags
    assert bool(said.options) is flags[1]


@pytest.mark.parametrize(
    ("override", "mac", "state"),
    [(True, 0x02_00_00_00_00_CC, REACHABLE), (False, W0, STALE)],
)
def test_another_mac_overrides_only_where_it_says_so(override: bool, mac: int, state: int) -> None:
    """RFC 4861 7.2.5: without the flag a sure entry keeps its MAC and is only doubted."""
    router = Router6()
    target = ip6("2001:db8:1::33")
    entry = router.ip6.neigh.ensure(router.eth0, target)
    router.ip6.neigh.update(entry, W0, REACHABLE, override=True)
    said = ndp.Advertisement(target, solicited=True, override=override,
                             options=(ndp.link_layer(ndp.TLLA, 0x02_00_00_00_00_CC),))  # fmt: skip
    router.send(HERE, NEIGHBOUR, body=ndp.build_na(NEIGHBOUR, HERE, said), hops=255)
    assert (entry.mac, entry.state) == (mac, state)


# -- the choice of a source -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addresses", "dst", "chosen"),
    [
        (("2001:db8:1::1", "fe80::1"), "2001:db8:9::9", "2001:db8:1::1"),
        (("2001:db8:1::1", "fe80::1"), "fe80::9", "fe80::1"),
        (("2001:db8:1::1", "fe80::1"), "ff02::1", "fe80::1"),
        (("2001:db8:1::1", "fe80::1"), "ff0e::1", "2001:db8:1::1"),
        (("2001:db8:1::1", "fe80::1"), "::", "fe80::1"),  # of no scope (ipv6_addr_src_scope), so the least is near
        (("2001:db8:1::1", "2001:db8:3::1"), "2001:db8:3::9", "2001:db8:3::1"),
        (("2001:db8:1::1", "2001:db8:3::1"), "2001:db8:1::9", "2001:db8:1::1"),
        (("2002:c000:201::1", "2001:db8:1::1"), "2002:c000:202::2", "2002:c000:201::1"),
        (("2002:c000:201::1", "2001:db8:1::1"), "2001:db8:9::2", "2001:db8:1::1"),
        (("fd00::1", "2001:db8:1::1"), "fd00:9::2", "fd00::1"),
    ],
)
def test_the_source_is_chosen_as_rfc_6724_says(addresses: tuple[str, ...], dst: str, chosen: str) -> None:
    pair = Pair()
    idev = pair.a.idev(pair.dev("a"))
    idev.addresses.clear()
    for text in addresses:
        pair.a.addrconf.link(idev, Ifaddr6(ip6(text), 64, nodad=True))
    assert pair.a.select.source(pair.dev("a"), ip6(dst)) == ip6(chosen)


def test_labels_are_those_of_the_policy_table() -> None:
    """RFC 6724 2.1, and what Linux has besides."""
    rows = {"::1": 0, "2001:db8::1": 1, "2002::1": 2, "::9": 3, "::ffff:10.0.0.1": 4, "fd00::1": 5, "2001::1": 6,
            "2001:10::1": 7, "fec0::1": 11, "3ffe::1": 12}  # fmt: skip
    assert {text: select.label(ip6(text)) for text in rows} == rows


# -- routers ----------------------------------------------------------------------------------------------------------


def prefix(text: str, **more: Any) -> ndp.Option:
    return ndp.prefix(ndp.Prefix(ip6(text), 64, **more))


def test_a_host_follows_a_router_s_advertisement_and_lets_go() -> None:
    router = Router6(forwarding=0)
    assert router.announce(hops=50, lifetime=60, options=(ndp.mtu(1400), prefix("2001:db8:5::"))) == [None]
    router.wait(2.1)
    idev = router.ip6.idev(router.eth0)
    made = of(idev, ip6("2001:db8:5::ff:fe00:a0"))
    assert (made.valid_lft, made.preferred_lft, made.tentative, idev.mtu) == (86_400, 14_400, False, 1400)
    found = router.ip6.output.find(ip6("2600::1"))
    assert (found.gateway, found.dev, router.ip6.output.hop_limit(found)) == (NEIGHBOUR, router.eth0, 50)
    router.announce(lifetime=0)
    assert router.ip6.output.find(ip6("2600::1")) == 101  # ENETUNREACH


def test_a_default_route_ends_with_its_lifetime() -> None:
    router = Router6(forwarding=0)
    router.announce(lifetime=10)
    router.wait(9)
    assert not isinstance(router.ip6.output.find(ip6("2600::1")), int)
    router.wait(1)
    assert router.ip6.output.find(ip6("2600::1")) == 101


@pytest.mark.parametrize(
    ("setting", "believed"),
    [("conf.eth0.accept_ra=0", False), ("conf.eth0.accept_ra=1", True), ("conf.eth0.accept_ra_defrtr=0", False)],
)
def test_what_a_host_believes_of_routers(setting: str, believed: bool) -> None:
    router = Router6(setting, forwarding=0)
    router.announce(lifetime=60)
    assert isinstance(router.ip6.output.find(ip6("2600::1")), int) is not believed


def test_autoconf_0_routes_a_prefix_but_makes_no_address() -> None:
    router = Router6("conf.eth0.autoconf=0", forwarding=0)
    router.announce(options=(prefix("2001:db8:5::"),))
    assert of(router.ip6.idev(router.eth0), ip6("2001:db8:5::ff:fe00:a0")) is None
    assert router.ip6.fib.table(254).of_prefix(ip6("2001:db8:5::"), 64)


def test_a_router_asks_no_router_and_forgets_those_it_knew() -> None:
    router = Router6(forwarding=0)
    router.announce(lifetime=60)
    sysctl_set(router.net, router.r, "net.ipv6.conf.all.forwarding", "1")
    assert router.ip6.output.find(ip6("2600::1")) == 101
    assert router.announce(lifetime=60) == [Drop.IPV6_RA_IGNORED]
    sysctl_set(router.net, router.r, "net.ipv6.conf.eth0.accept_ra", "2")
    assert router.announce(lifetime=60) == [None]


def test_routers_are_solicited_until_one_answers() -> None:
    pair = Pair()
    count = [0]
    pair.dev("b").taps.append(
        lambda now, dev, frame, out: count.__setitem__(0, count[0] + (not out and frame.payload[40:41] == b"\x85"))
    )
    pair.wait(12)
    assert count[0] >= 2  # after about 4 and 8 s more
    said = ndp.build_ra(B_LINK, ip6("ff02::1"), ndp.RouterAdvertisement())
    pair.b.ndisc.send(pair.dev("b"), B_LINK, ip6("ff02::1"), said)
    pair.lab.network.drain()
    count[0] = 0
    pair.wait(60)
    assert count[0] == 0


# -- paths ------------------------------------------------------------------------------------------------------------


def test_a_router_counts_hops_down_and_tells_of_the_last() -> None:
    router = Router6()
    assert router.send(FAR, hops=2) == [None]
    ((end, header, _),) = router.messages()
    assert (end, header.hops) == ("w1", 1)
    assert router.send(FAR, hops=1) == [Drop.IP_TTL_EXPIRED]
    ((end, header, message),) = router.messages()
    assert (end, header.src, message.type, message.code) == ("w0", HERE, icmp6.TIME_EXCEEDED, icmp6.HOP_LIMIT)


def test_too_big_tells_the_mtu_and_the_host_cuts_its_packets() -> None:
    """RFC 8201: the sender fragments from then on, for ten minutes."""
    pair = Pair()
    pair.sh("ip -n a addr add 2001:db8::a/64 dev va nodad; ip -n b addr add 2001:db8::b/64 dev vb nodad")
    dst = ip6("2001:db8::b")
    assert pair.replies(pair.ping(dst, 1400)) == 1
    assert pair.a.output.find(dst).path_mtu == 1500
    about = packet.build(ip6("2001:db8::a"), dst, 58, bytes((128, 0, 0, 0, 0, 9, 0, 1)) + bytes(1400))
    error = icmp6.build(dst, ip6("2001:db8::a"), icmp6.TOO_BIG, 0, 1300, about[:1200])
    made = pair.b.output.find(ip6("2001:db8::a"))
    pair.b.output.send(made, packet.build(dst, ip6("2001:db8::a"), 58, error))
    pair.lab.network.drain()
    assert pair.a.output.find(dst).path_mtu == 1300
    assert pair.replies(pair.ping(dst, 1400)) == 1
    pair.wait(601)
    assert pair.a.output.find(dst).path_mtu == 1500


def test_fragments_make_the_packet_again_in_any_order() -> None:
    router = Router6()
    body = icmp6.build_echo(NEAR, HERE, icmp6.ECHO, 7, 1, bytes(range(256)) * 10)
    pieces = list(fragments(packet.build(NEAR, HERE, packet.ICMPV6, body), 1280, 5))
    assert [len(piece) % 8 for piece in pieces[:-1]] == [0] * (len(pieces) - 1)
    for piece in reversed(pieces):
        assert router.octets(piece) == [None]
    answers = [frame for _, frame in router.out if frame.payload[6] == packet.FRAGMENT]
    assert len(answers) == 2  # the answer is as long: cut for 1500


def test_an_overlap_gives_the_packet_up_and_a_lost_piece_is_told_of() -> None:
    router = Router6()
    whole = packet.build(NEAR, HERE, packet.FRAGMENT, b"", 64)

    def piece(ident: int, at: int, more: bool, size: int) -> list[Drop | None]:
        return router.octets(packet.resize(whole + packet.fragment(58, at, more, ident) + b"\x80" + bytes(size - 1)))  # type: ignore[no-any-return]

    assert [piece(1, 0, True, 24), piece(1, 16, False, 24)] == [[None], [Drop.FRAG_OVERLAP]]
    assert [piece(2, 0, True, 24), piece(2, 0, True, 24)] == [[None], [Drop.DUP_FRAG]]
    router.wait(61)
    told = [(message.type, message.code) for _, _, message in router.messages() if message.is_error]
    assert told == [(icmp6.TIME_EXCEEDED, icmp6.REASSEMBLY)]


def test_a_redirect_is_sent_and_followed() -> None:
    """RFC 4861 8: a host sends to the better router, or straight to the neighbour."""
    router = Router6()
    target = ip6("2001:db8:1::44")
    assert router.send(target) == [None]
    router.wait(0)
    told = [(header.src, header.dst, message.type) for _, header, message in router.messages()]
    assert (LINK, NEAR, icmp6.REDIRECT) in told
    host = Router6(forwarding=0)
    host.announce(lifetime=60)
    said = ndp.Redirect(ip6("fe80::77"), ip6("2600::1"), (ndp.link_layer(ndp.TLLA, W0),))
    assert host.send(LINK, NEIGHBOUR, body=ndp.build_redirect(NEIGHBOUR, LINK, said), hops=255) == [None]
    assert host.ip6.output.find(ip6("2600::1")).gateway == ip6("fe80::77")
    wrong = ndp.build_redirect(ip6("fe80::66"), LINK, ndp.Redirect(ip6("fe80::99"), ip6("2600::1")))
    assert host.send(LINK, ip6("fe80::66"), body=wrong, hops=255) == [Drop.ICMP_REDIRECT_IGNORED]
    assert host.ip6.output.find(ip6("2600::1")).gateway == ip6("fe80::77")


def test_a_redirect_may_come_from_the_gateway_of_a_shorter_prefix() -> None:
    """__ip6_route_redirect looks on from the prefix on the link; what is learnt is that route's, and not followed."""
    host = Router6(forwarding=0)
    host.announce(lifetime=60)
    near = ip6("fe80::88")
    said = ndp.Redirect(ip6("fe80::77"), near, (ndp.link_layer(ndp.TLLA, W0),))
    assert host.send(LINK, NEIGHBOUR, body=ndp.build_redirect(NEIGHBOUR, LINK, said), hops=255) == [None]
    assert [entry.router for entry in host.ip6.neigh.of() if entry.ip == ip6("fe80::77")] == [True]
    assert host.ip6.output.find(near, oif=host.eth0).gateway is None


def test_errors_to_one_sender_are_limited_and_flow_again() -> None:
    """A bucket of six; a route to a /64 fills it four times as fast as one to a host."""
    router = Router6()
    for _ in range(9):
        router.send(body=bytes(8), proto=253)
    assert len(router.messages()) == 6
    router.wait(0.25)
    router.send(body=bytes(8), proto=253)
    router.send(body=bytes(8), proto=253)
    assert len(router.messages()) == 1


def test_a_gateway_that_failed_gives_way_to_another() -> None:
    """RFC 4861 6.3.6: routers known to be unreachable are the last choice."""
    pair = Pair()
    pair.sh("ip -n a -6 route add default via fe80::1 dev va; ip -n a -6 route append default via fe80::2 dev va"
            " metric 2000; ip -n a addr add 2001:db8::a/64 dev va nodad")  # fmt: skip
    assert pair.a.output.find(ip6("2600::1")).gateway == ip6("fe80::1")
    pair.ping(ip6("2600::1"))
    pair.wait(4)
    assert pair.a.output.find(ip6("2600::1")).gateway == ip6("fe80::2")


def test_a_reset_and_port_unreachable_answer_where_nobody_listens() -> None:
    router = Router6()
    datagram = bytes.fromhex("3039 0009 0008 0000")
    value = packet.transport_checksum(NEAR, HERE, packet.UDP, datagram)
    router.send(proto=packet.UDP, body=datagram[:6] + value.to_bytes(2, "big"))
    ((_, _, message),) = router.messages()
    assert (message.type, message.code) == (icmp6.UNREACH, icmp6.PORT)
    assert router.send(proto=packet.UDP, body=datagram) == [Drop.UDP_CSUM]  # no checksum is no packet (RFC 8200 8.1)


def test_udp_between_programs() -> None:
    pair = Pair()
    server, client = pair.b.stack.open_udp(6), pair.a.stack.open_udp(6)
    server.bind(0, 5000)
    client.connect(B_LINK, 5000, pair.dev("a"))
    client.send(b"hello", dev=pair.dev("a"))
    pair.wait(0)
    (got,) = server.queue
    assert (got.data, got.src, got.sport) == (b"hello", A_LINK, client.port)


# -- switches ---------------------------------------------------------------------------------------------------------


def test_disable_ipv6_on_one_device_takes_it_out_and_puts_it_back() -> None:
    pair = Pair()
    pair.sh("ip netns exec a sysctl -qw net.ipv6.conf.va.disable_ipv6=1")
    assert pair.sh("ip -n a -6 addr show dev va") + pair.sh("ip -n a -6 route") == ""
    pair.sh("ip netns exec a sysctl -qw net.ipv6.conf.va.disable_ipv6=0; sleep 3")
    assert pair.replies(pair.ping(B_LINK)) == 1


def test_forwarding_of_all_reaches_every_device() -> None:
    router = Router6(forwarding=0)
    assert router.send(FAR) == [Drop.IPV6_NOT_FORWARDING]
    sysctl_set(router.net, router.r, "net.ipv6.conf.all.forwarding", "1")
    assert sysctl_get(router.net, router.r, "net.ipv6.conf.eth1.forwarding") == "1"
    assert router.send(FAR) == [None]
    assert router.ip6.groups.hears(router.eth0, ip6("ff02::2"))


def test_an_interface_without_link_local_mode_has_none() -> None:
    pair = Pair()
    pair.sh("ip netns exec a sysctl -qw net.ipv6.conf.va.addr_gen_mode=1; ip -n a link set va down;"
            "ip -n a link set va up; sleep 2")  # fmt: skip
    assert pair.sh("ip -n a -6 addr show dev va") == ""


def test_the_same_seed_gives_the_same_frames() -> None:
    def frames(seed: int) -> list[bytes]:
        lab, seen = Lab(seed=seed), []
        lab.network.watchers.append(lambda dev, what: dev.taps.append(
            lambda now, at, frame, out: seen.append(now.to_bytes(8, "big") + bytes(frame))))  # fmt: skip
        lab.sh(PAIR)
        return seen

    assert frames(1) == frames(1) != frames(2)


def test_a_device_that_is_down_has_no_route() -> None:
    router = Router6()
    link_set(router.net, router.eth1, up=False)
    assert router.send(FAR) == [Drop.IP_INNOROUTES]
    ((_, _, message),) = router.messages()
    assert (message.type, message.code) == (icmp6.UNREACH, icmp6.NO_ROUTE)


# -- groups -----------------------------------------------------------------------------------------------------------


def told(pair: Pair, script: str) -> list[tuple[int, int]]:
    """Kind and group of every record that a's device sends while a script is run."""
    with pair.lab.capture("a/va") as packets:
        pair.sh(script)
    reports = [bytes(each)[62:] for each in packets if each.src == "02:00:00:00:00:0a" and bytes(each)[54:55] == b":"]
    return [(each.kind, each.group) for octets in reports for each in mld.parse_report(octets) or ()]


@pytest.mark.parametrize("ready", [True, False])
def test_a_group_left_while_nothing_passes_is_told_nobody_later(ready: bool) -> None:
    """Its reports are over before there is a carrier; where there was one they stop with the device (ipv6_mc_down)."""
    pair = Pair()
    pair.sh(f"ip -n b link set vb {'up' if ready else 'down'}; ip -n a link set va down")
    pair.sh("ip -n a link set va up; sleep 2")
    pair.sh("ip -n a addr add 2001:db8::77/64 dev va; sleep 3; ip -n a link set va down; ip -n a link set va up")
    said = told(pair, "sleep 2; ip -n b link set vb up; sleep 4")
    assert (mld.TO_EX, ip6("ff02::1:ff00:a")) in said
    assert ((mld.TO_IN, ip6("ff02::1:ff00:77")) in said) == ready


@pytest.mark.parametrize(
    ("octets", "lost"), [("86dd" + "60" * 20, 1), ("86dd" + "60" + "00" * 39, 1), ("88b5" + "00" * 46, 0)]
)
def test_what_an_ipvlan_cannot_send_on_is_an_error_of_the_bridge_below(octets: str, lost: int) -> None:
    """A header cut short, and nowhere to go (ipvlan_process_v6_outbound); other protocols are nobody's error."""
    pair = Pair()
    pair.sh(
        "ip -n b link add br0 type bridge; ip -n b link set vb master br0; ip -n b link set br0 up;"
        "ip -n b link add link br0 name i0 type ipvlan mode l3; ip -n b link set i0 up; sleep 3;"
        "ip -n b -6 route flush dev br0"
    )
    lab, devices = pair.lab, pair.lab.network.netns["b"].devices
    bridge, slave = devices["br0"], devices["i0"]
    with contextlib.suppress(OSError):
        lab.send("b/i0", bytes.fromhex("020000000009" + f"{slave.mac:012x}" + octets))
    assert bridge.tx_errors == lost


def test_errors_without_a_limit_leave_nothing_for_redirects() -> None:
    """They share a bucket, which is cut to six times what an error costs; types outside the mask do not touch it."""
    pair = Pair()
    limits, made = pair.a.limits, pair.a.output.find(B_LINK, A_LINK, pair.dev("a"))
    assert not isinstance(made, int)
    pair.sh("ip netns exec a sysctl -qw net.ipv6.icmp.ratelimit=0; ip netns exec a sysctl -qw net.ipv6.icmp.ratemask=3")
    assert limits.allows(icmp6.PARAMETER, made)
    assert limits.redirect(B_LINK)
    assert limits.allows(icmp6.TIME_EXCEEDED, made)
    assert not limits.redirect(B_LINK)
    pair.wait(1.1)
    assert limits.redirect(B_LINK)
    assert pair.sh("ip netns exec b sysctl net.ipv6.icmp.ratemask") == "net.ipv6.icmp.ratemask = 0-1,3-127\n"


@pytest.mark.parametrize("given", [True, False])
def test_an_address_of_a_routers_prefix_is_dynamic_though_it_has_no_end(given: bool) -> None:
    pair = Pair()
    if given:
        pair.sh("ip -n a addr add 2001:db8:5::ff:fe00:a/64 dev va")
    else:
        info = ndp.Prefix(ip6("2001:db8:5::"), 64, True, True, ndp.FOREVER, ndp.FOREVER)
        said = ndp.build_ra(B_LINK, ip6("ff02::1"), ndp.RouterAdvertisement(64, options=(ndp.prefix(info),)))
        whole = packet.build(B_LINK, ip6("ff02::1"), packet.ICMPV6, said, 255)
        pair.lab.send("b/vb", bytes.fromhex("333300000001" + "02000000000b" + "86dd") + whole)
    pair.wait(3)
    (line,) = (line for line in pair.sh("ip -n a -6 addr show dev va").split("\n") if "2001:db8:5:" in line)
    assert ("dynamic" in line) != given
    assert "valid_lft forever" in pair.sh("ip -n a -6 addr show dev va").partition("2001:db8:5:")[2]


@pytest.mark.parametrize("carrier", [True, False])
def test_who_resolves_addresses_anew_detects_duplicates_only_with_a_carrier(carrier: bool) -> None:
    """A device that becomes one without ARP no more hears solicitations then (addrconf_notify, NETDEV_CHANGE)."""
    pair = Pair()
    pair.sh("ip -n a link set va arp off; ip -n a addr add 2001:db8::77/64 dev va; sleep 1")
    pair.sh(f"ip -n b link set vb {'up' if carrier else 'down'}; sleep 2; ip -n a link set va arp on; sleep 3")
    assert (0x3333_FF00_0077 in pair.dev("a").mc) == carrier


@pytest.mark.parametrize("headers", [1, 2])
def test_a_fragment_header_behind_another_is_a_problem_at_its_place(headers: int) -> None:
    pair = Pair()
    body = icmp6.build_echo(B_LINK, A_LINK, icmp6.ECHO, 7, 1, bytes(8))
    following = packet.ICMPV6
    for _ in range(headers):
        following, body = packet.FRAGMENT, packet.fragment(following, 0, False, 1) + body
    whole = packet.build(B_LINK, A_LINK, following, body)
    with pair.lab.capture("b/vb") as packets:
        pair.lab.send("b/vb", bytes.fromhex("02000000000a" + "02000000000b" + "86dd") + whole)
        pair.wait(1)
    said = [bytes(each)[54:] for each in packets if each.src == "02:00:00:00:00:0a"]
    kinds = {octets[0] for octets in said}
    assert (icmp6.ECHO_REPLY in kinds, icmp6.PARAMETER in kinds) == (headers == 1, headers == 2)
    assert all(octets[4:8] == (48).to_bytes(4, "big") for octets in said if octets[0] == icmp6.PARAMETER)
