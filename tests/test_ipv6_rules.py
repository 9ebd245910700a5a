"""Rules of IPv6 one by one, each with its twin: what is answered, forwarded, believed, and what is not.

What is expected is what the RFC named says and Linux does.
"""

from __future__ import annotations

import pytest
from router6 import FAR, HERE, LINK, NEAR, NEIGHBOUR, W0, Router6, ip6
from test_ipv6 import Pair, of, prefix

from simvlan.stack.ipv6 import addr, groups, icmp6, mld, ndp, packet
from simvlan.stack.ipv6.fib6 import Route6, Table6
from simvlan.stack.ipv6.inet6dev import Ifaddr6
from simvlan.verdict import Drop
from tests.scenario import simulate

ALL = ip6("ff02::1")


@pytest.mark.parametrize(("lifetime", "left"), [("", False), (" valid_lft 100 preferred_lft 100", True)])
def test_an_address_that_has_an_end_leaves_its_prefix_to_its_own_end(lifetime: str, left: bool) -> None:
    """ipv6_del_addr: only a permanent address cleans its prefix up."""
    pair = Pair()
    pair.sh(f"ip -n a addr add 2001:db8:2::a/64 dev va nodad{lifetime}; ip -n a addr del 2001:db8:2::a/64 dev va")
    assert ("2001:db8:2::/64 dev va" in pair.sh("ip -n a -6 route")) is left


def test_among_equal_metrics_the_first_route_counts() -> None:
    """fib6_add_rt2node puts a route behind those of its metric."""
    table = Table6(254)
    routes = [Route6(0, 0, metric=metric, via=via) for via, metric in enumerate((1024, 512, 1024, 512))]
    for route in routes:
        table.insert(route)
    assert [route.via for route in table.of_prefix(0, 0)] == [1, 3, 0, 2]


@pytest.mark.parametrize(("deprecated", "chosen"), [(False, "2001:db8:1::1"), (True, "2001:db8:3::1")])
def test_a_deprecated_source_gives_way_to_one_that_is_not(deprecated: bool, chosen: str) -> None:
    """RFC 6724 rule 3 comes before the longest prefix, rule 8."""
    pair = Pair()
    idev = pair.a.idev(pair.dev("a"))
    idev.addresses.clear()
    for text in ("2001:db8:1::1", "2001:db8:3::1"):
        pair.a.addrconf.link(idev, Ifaddr6(ip6(text), 64, nodad=True))
    of(idev, ip6("2001:db8:1::1")).deprecated = deprecated
    assert pair.a.select.source(pair.dev("a"), ip6("2001:db8:1::9")) == ip6(chosen)


# -- forwarding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mac", "drop"), [(None, None), ((1 << 48) - 1, Drop.FORWARD_NOT_HOST)])
def test_what_came_to_everybody_is_not_forwarded(mac: int | None, drop: Drop | None) -> None:
    router = Router6()
    assert router.send(FAR, mac=mac) == [drop]
    assert [end for end, _, _ in router.messages()] == ([] if drop else ["w1"])


def test_a_link_local_sender_is_not_forwarded_and_is_told_so() -> None:
    """RFC 4443 3.1, code 2: beyond the scope of the source address."""
    router = Router6()
    assert router.send(FAR, src=NEIGHBOUR) == [Drop.IP_INVALID_SOURCE]
    ((end, header, message),) = router.messages()
    assert (end, header.dst, message.type, message.code) == ("w0", NEIGHBOUR, icmp6.UNREACH, 2)


@pytest.mark.parametrize(("kind", "told"), [(icmp6.ECHO, True), (icmp6.ECHO_REPLY, True), (icmp6.UNREACH, False)])
def test_an_error_is_no_answer_to_an_error(kind: int, told: bool) -> None:
    """RFC 4443 2.4 (e.1)."""
    router = Router6()
    body = icmp6.build(NEAR, FAR, kind, 0, 0, packet.build(FAR, NEAR, 17, bytes(8)))
    assert router.send(FAR, body=body, hops=1) == [Drop.IP_TTL_EXPIRED]
    assert [message.type for _, _, message in router.messages()] == ([icmp6.TIME_EXCEEDED] if told else [])


@pytest.mark.parametrize(("size", "drop"), [(16, None), (20, Drop.FRAG_INVALID), (24, None)])
def test_a_piece_that_is_not_the_last_has_a_multiple_of_eight_octets(size: int, drop: Drop | None) -> None:
    """RFC 8200 4.5: else a parameter problem that points at the payload length."""
    router = Router6()
    whole = packet.build(NEAR, HERE, packet.FRAGMENT, b"", 64)
    piece = packet.resize(whole + packet.fragment(58, 0, True, 3) + b"\x80" + bytes(size - 1))
    assert router.octets(piece) == [drop]
    told = [(message.type, message.code, message.word) for _, _, message in router.messages()]
    assert told == ([(icmp6.PARAMETER, icmp6.HEADER_FIELD, 4)] if drop else [])


@pytest.mark.parametrize(("proto", "size", "drop"), [
    (packet.TCP, 16, Drop.FRAG_HEADERS_CUT), (packet.TCP, 24, None),
    (packet.UDP, 0, Drop.FRAG_HEADERS_CUT), (packet.UDP, 8, None),
    (packet.ICMPV6, 4, Drop.FRAG_HEADERS_CUT), (packet.ICMPV6, 8, None),
    (47, 0, Drop.FRAG_HEADERS_CUT), (47, 8, None), (packet.NONE, 8, None),
])  # fmt: skip
@pytest.mark.parametrize("behind", [False, True])
def test_a_first_fragment_holds_all_headers(proto: int, size: int, drop: Drop | None, behind: bool) -> None:
    """RFC 8200 4.5: else parameter problem 3; ipv6frag_thdr_truncated. *behind* destination options."""
    router = Router6()
    body = packet.fragment(proto, 0, True, 3) + (b"\x80" + bytes(size))[:size]
    if behind:
        body = packet.options(packet.FRAGMENT, b"\1\4\0\0\0\0") + body
    assert router.send(HERE, proto=packet.DSTOPTS if behind else packet.FRAGMENT, body=body) == [drop]
    told = [(message.type, message.code, message.word) for _, _, message in router.messages()]
    assert told == ([(icmp6.PARAMETER, icmp6.INCOMPLETE_HEADERS, 0)] if drop else [])


@pytest.mark.parametrize(("more", "told"), [(True, True), (False, False)])
def test_only_a_fragment_may_lack_the_type_that_tells_errors_apart(more: bool, told: bool) -> None:
    """is_ineligible: no error about what may be one."""
    router = Router6()
    assert router.send(FAR, proto=packet.FRAGMENT, body=packet.fragment(packet.ICMPV6, 0, more, 3), hops=1) == [
        Drop.IP_TTL_EXPIRED
    ]
    assert [message.type for _, _, message in router.messages()] == ([icmp6.TIME_EXCEEDED] if told else [])


def test_a_later_fragment_needs_none() -> None:
    router = Router6()
    body = packet.fragment(packet.UDP, 8, False, 3) + bytes(7)
    assert router.send(HERE, proto=packet.FRAGMENT, body=body) == [None]


@pytest.mark.parametrize(("mtu", "path"), [(1279, 1500), (1280, 1280)])
def test_no_path_has_an_mtu_under_1280(mtu: int, path: int) -> None:
    """RFC 8201 4: such a message is discarded."""
    pair = Pair()
    pair.sh("ip -n a addr add 2001:db8::a/64 dev va nodad; ip -n b addr add 2001:db8::b/64 dev vb nodad")
    here, there = ip6("2001:db8::a"), ip6("2001:db8::b")
    about = packet.build(here, there, 58, bytes((128, 0, 0, 0, 0, 9, 0, 1)) + bytes(1400))
    error = icmp6.build(there, here, icmp6.TOO_BIG, 0, mtu, about[:1200])
    pair.b.output.send(pair.b.output.find(here), packet.build(there, here, 58, error))
    pair.lab.network.drain()
    assert pair.a.output.find(there).path_mtu == path


@pytest.mark.parametrize(
    ("change", "path"),
    [("sleep 1", 1500), ("ip -n a link set va mtu 1400", 1500), ("ip -n a link set i mtu 1300", 1300)],
)
def test_an_ipvlan_whose_mtu_follows_its_lower_device_s_sends_what_it_did(change: str, path: int) -> None:
    """ipvlan_adjust_mtu tells nobody, so IPv6 keeps its own (cnf.mtu6); a change of the ipvlan itself is told."""
    pair = Pair()
    pair.sh("ip -n a link add i link va type ipvlan; ip -n a link set i up; sleep 3")
    pair.sh(f"ip -n a addr add 2001:db8::a/64 dev i nodad; {change}")
    assert pair.a.output.find(ip6("2001:db8::b")).path_mtu == path
    assert pair.lab.network.device("a/i").mtu == (1400 if "1400" in change else path)


# -- neighbours and routers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hops", "drop"), [(255, None), (254, Drop.IPV6_NDISC_HOP_LIMIT)])
def test_a_solicitation_that_was_forwarded_is_none(hops: int, drop: Drop | None) -> None:
    """RFC 4861 7.1.1."""
    router = Router6()
    dst = addr.solicited_node(HERE)
    assert router.send(dst, body=ndp.build_ns(NEAR, dst, HERE), hops=hops) == [drop]
    assert [message.type for _, _, message in router.messages()] == ([] if drop else [icmp6.NA])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("router", [True, False])
def test_a_router_that_says_it_is_none_is_no_default_router(router: bool, known: bool) -> None:
    """RFC 4861 7.2.5; *known*: its advertisement told its MAC, else it is a router all the same."""
    host = Router6(forwarding=0)
    source, slla = ip6("fe80::66"), ndp.link_layer(ndp.SLLA, W0)  # whose entry is no permanent one
    options = (slla,) if known else ()
    said = ndp.build_ra(source, ALL, ndp.RouterAdvertisement(lifetime=60, options=options))
    assert host.send(ALL, source, body=said, hops=255) == [None]
    assert host.ip6.output.find(ip6("2600::1")).gateway == source
    tlla = ndp.link_layer(ndp.TLLA, W0)
    answer = ndp.Advertisement(source, router, solicited=True, override=True, options=(tlla,))
    assert host.send(LINK, source, body=ndp.build_na(source, LINK, answer), hops=255) == [None]
    assert isinstance(host.ip6.output.find(ip6("2600::1")), int) is not router


@pytest.mark.parametrize(("metric", "counts"), [(1024, False), (512, True)])
def test_a_router_whose_default_route_is_there_by_hand_is_not_listened_to(metric: int, counts: bool) -> None:
    """fib6_add_rt2node refuses its route (EEXIST), and ndisc_router_discovery ends there; seen on 6.18."""
    host = Router6(forwarding=0)
    source = ip6("fe80::66")
    host.ip6.fib.insert(Route6(0, 0, dev=host.eth0, via=source, metric=metric))
    network = ndp.prefix(ndp.Prefix(ip6("2001:db8:7::"), 64, True, True, 600, 600))
    said = ndp.build_ra(source, ALL, ndp.RouterAdvertisement(lifetime=60, options=(network,)))
    assert host.send(ALL, source, body=said, hops=255) == [None]
    routes = [route for route in host.ip6.fib.routes() if route.via == source]
    assert len(routes) == (2 if counts else 1)
    assert any(ifa.address >> 64 == ip6("2001:db8:7::") >> 64 for ifa in host.ip6.addresses(host.eth0)) is counts


@pytest.mark.parametrize(("valid", "left"), [(10_000, 10_000), (60, 7200), (0, 7200)])
def test_no_router_shortens_a_lifetime_below_two_hours(valid: int, left: int) -> None:
    """RFC 4862 5.5.3 (e)."""
    host = Router6(forwarding=0)
    host.announce(options=(prefix("2001:db8:5::"),))
    host.announce(options=(prefix("2001:db8:5::", valid=valid, preferred=valid),))
    assert of(host.ip6.idev(host.eth0), ip6("2001:db8:5::ff:fe00:a0")).valid_lft == left


@pytest.mark.parametrize(("length", "made"), [(64, True), (48, False)])
def test_an_address_is_made_of_a_prefix_of_64_bits_only(length: int, made: bool) -> None:
    """RFC 4862 5.5.3 (d): prefix and identifier make 128; the route is there either way."""
    host = Router6(forwarding=0)
    host.announce(options=(ndp.prefix(ndp.Prefix(ip6("2001:db8:5::"), length)),))
    assert (of(host.ip6.idev(host.eth0), ip6("2001:db8:5::ff:fe00:a0")) is not None) is made
    assert host.ip6.fib.table(254).of_prefix(ip6("2001:db8:5::"), length)


@pytest.mark.parametrize(("source", "drop"), [(NEIGHBOUR, None), (NEAR, Drop.IPV6_NDISC_INVALID)])
def test_only_a_link_local_address_is_a_router_s(source: int, drop: Drop | None) -> None:
    """RFC 4861 6.1.2."""
    host = Router6(forwarding=0)
    said = ndp.build_ra(source, ALL, ndp.RouterAdvertisement(lifetime=60))
    assert host.send(ALL, source, body=said, hops=255) == [drop]
    assert isinstance(host.ip6.output.find(ip6("2600::1")), int) is bool(drop)


# -- groups -----------------------------------------------------------------------------------------------------------


def test_all_nodes_and_groups_of_the_host_itself_are_never_reported() -> None:
    """RFC 3810 6."""
    told = {"ff02::1": False, "ff01::1": False, "ff01::fb": False, "ff02::2": True, "ff02::fb": True, "ff05::2": True}
    assert {text: groups.reported(ip6(text)) for text in told} == told


@pytest.mark.parametrize(("old", "kind"), [(False, icmp6.MLD2_REPORT), (True, icmp6.MLD_REPORT)])
def test_after_an_old_querier_groups_are_reported_the_old_way(old: bool, kind: int) -> None:
    """RFC 3810 8.2.1."""
    router = Router6()
    if old:
        query = mld.envelope(NEIGHBOUR, ALL, mld.build_v1(NEIGHBOUR, ALL, mld.MLD_QUERY, 0))
        assert router.octets(query, mac=addr.multicast_mac(ALL)) == [None]
        router.wait(1)
        router.messages()
    router.ip6.groups.join(router.ip6.idev(router.eth0), ip6("ff02::fb"))
    router.net.drain()
    router.wait(0.1)
    assert {message.type for end, _, message in router.messages() if end == "w0"} == {kind}
    router.ip6.groups.leave(router.ip6.idev(router.eth0), ip6("ff02::fb"))
    router.net.drain()
    router.wait(0.1)
    left = {message.type for end, _, message in router.messages() if end == "w0"}
    assert left == {icmp6.MLD_DONE if old else icmp6.MLD2_REPORT}
    router.wait(300 if old else 10)  # an old querier is remembered for the robustness times its interval
    router.messages()
    router.ip6.groups.join(router.ip6.idev(router.eth0), ip6("ff02::fc"))
    router.wait(0.1)
    assert {message.type for end, _, message in router.messages() if end == "w0"} == {icmp6.MLD2_REPORT}


def test_an_old_report_of_another_makes_ours_needless_and_its_leaving_silent() -> None:
    """__mld_report_work, igmp6_leave_group: who was not the last to report says nothing when it leaves."""
    group = ip6("ff02::fb")
    for heard in (False, True):
        router = Router6()
        query = mld.envelope(NEIGHBOUR, ALL, mld.build_query(NEIGHBOUR, ALL, mld.Query(0, 60_000, robustness=None)))
        router.octets(query, mac=addr.multicast_mac(ALL))
        idev = router.ip6.idev(router.eth0)
        router.ip6.groups.join(idev, group)
        router.net.drain()
        router.wait(0.1)
        if heard:
            report = mld.envelope(NEIGHBOUR, group, mld.build_v1(NEIGHBOUR, group, mld.MLD_REPORT, group))
            router.octets(report, mac=addr.multicast_mac(group))
        router.messages()
        router.wait(11)  # the own second report comes within mldv1_unsolicited_report_interval
        router.ip6.groups.leave(idev, group)
        router.net.drain()
        router.wait(0.1)
        said = [message.type for end, _, message in router.messages() if end == "w0"]
        assert (icmp6.MLD_DONE in said) is not heard


def test_a_device_that_comes_up_anew_has_heard_no_querier() -> None:
    """ipv6_mc_reset."""
    router = Router6()
    query = mld.envelope(NEIGHBOUR, ALL, mld.build_v1(NEIGHBOUR, ALL, mld.MLD_QUERY, 0))
    router.octets(query, mac=addr.multicast_mac(ALL))
    router.ip6.groups.up(router.ip6.idev(router.eth0))
    router.net.drain()
    router.wait(0.1)
    assert icmp6.MLD_REPORT not in {message.type for _, _, message in router.messages()}


# -- soft interrupts --------------------------------------------------------------------------------------------------

_TWO_MACVLANS = """
ip netns add n1
ip netns add n2
ip netns exec n2 sysctl -qw net.ipv6.conf.default.disable_ipv6=0
ip netns exec n2 sysctl -qw net.ipv6.conf.default.accept_dad=0
ip -n n1 link add w1 address 02:00:00:00:00:03 type veth peer name v1 address 02:00:00:00:00:02 netns n2
ip -n n2 link add link v1 name m1 address 02:00:01:00:00:02 type macvlan mode bridge
ip -n n2 link add link v1 name m2 address 02:00:02:00:00:04 type macvlan mode bridge
ip -n n2 link set m2 allmulticast on
ip -n n1 link set w1 up
ip -n n2 link set v1 up
ip -n n2 link set m1 up
ip -n n2 link set m2 up
sleep 9
"""


@pytest.mark.parametrize(("off", "order"), [(1, ["asked by m1", "echo"]), (0, ["echo", "asked by m1"])])
def test_a_solicitation_sent_before_a_worker_s_turn_awakens_ksoftirqd(off: int, order: list[str]) -> None:
    """m1 answers an echo to its group and asks for the sender; m2 hears both. v1 has asked before, if IPv6 is on there.

    On 6.1 a route made for one message (icmp6_dst_alloc) is freed by RCU, which ksoftirqd is awakened for.
    """
    lines = [line for line in _TWO_MACVLANS.splitlines() if line]
    lines.append(f"ip netns exec n2 sysctl -qw net.ipv6.conf.v1.disable_ipv6={off}")
    host, group = ip6("fe80::ff:fe00:3"), ip6("ff02::1:ff00:2")
    echo = packet.build(host, group, packet.ICMPV6, icmp6.build(host, group, icmp6.ECHO, 0, 7, b""))
    lines += ["sleep 9", f"simvlan send --netns n1 w1 --hex 3333ff00000202000000000386dd{echo.hex()}"]
    names = {icmp6.ECHO: "echo", icmp6.NS: "asked by m1"}
    heard = simulate(lines).captures["n2.m2"]
    assert [names[frame[54]] for _, _, frame in heard if frame[54] in names] == order
