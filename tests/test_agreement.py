"""What counts as equal: each rule of the comparison has a case that it lets through and a near one that it does not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from simvlan.oracle import DEFAULT, Difference, Observation, compare, disagreements, listings
from simvlan.oracle.agreement import BESIDE, EXACT, plain, tidy_text
from simvlan.oracle.order import OVERTAKE_NS
from simvlan.stack.ipv6 import ndp, packet
from simvlan.stack.ipv6.addr import parse_ip6

A, B = "020000000001", "020000000002"
UNI = bytes.fromhex(B + A + "88b50001")
UNI2 = bytes.fromhex(B + A + "88b50002")
GROUP = bytes.fromhex("ffffffffffff" + A + "88b50003")
QUESTION = bytes.fromhex("ffffffffffff" + A + "0806" + "0001080006040001" + A + "0a000001" + "0" * 12 + "0a000002")
ANSWER = bytes.fromhex(A + B + "0806" + "0001080006040002" + B + "0a000002" + A + "0a000001")
REPORT = bytes.fromhex("01005e000016" + A + "0800" + "46c00028")

Seen = list[tuple[int, str, bytes]]


def seen(*frames: bytes, gap_ns: int = 1000, way: str = "in") -> Seen:
    return [(number * gap_ns, way, frame) for number, frame in enumerate(frames)]


def differ(ours: Seen, theirs: Seen, **more: Any) -> list[str]:
    found = compare(Observation(captures={"n.d": ours}), Observation(captures={"n.d": theirs}, **more))
    return [each.what for each in found]


def test_equal_frames_agree_whatever_their_times() -> None:
    assert differ(seen(UNI, GROUP), seen(UNI, GROUP, gap_ns=77)) == []


@pytest.mark.parametrize("theirs", [seen(UNI), seen(UNI, UNI2, UNI2), seen(UNI, GROUP), seen(UNI, UNI2, way="out"), []])
def test_a_missing_additional_other_or_turned_frame_is_found(theirs: Seen) -> None:
    assert differ(seen(UNI, UNI2), theirs) == ["frame"]


def test_a_capture_point_that_one_side_lacks_is_found_once_it_has_frames() -> None:
    other = Observation(captures={})
    assert [d.where for d in compare(Observation(captures={"n.d": seen(UNI)}), other)] == ["n.d"]
    assert compare(Observation(captures={"n.d": []}), other) == []


def test_group_and_unicast_frames_may_overtake_each_other() -> None:
    assert differ(seen(GROUP, UNI), seen(UNI, GROUP)) == []


def test_but_not_when_they_are_far_apart_on_the_kernel() -> None:
    assert differ(seen(GROUP, UNI), seen(UNI, GROUP, gap_ns=OVERTAKE_NS + 1)) == ["order"]


def test_nor_frames_of_one_kind() -> None:
    assert differ(seen(UNI, UNI2), seen(UNI2, UNI)) == ["frame"]


def test_nor_where_the_rules_ask_for_order() -> None:
    sides = [Observation(captures={"n.d": frames}) for frames in (seen(GROUP, UNI), seen(UNI, GROUP))]
    assert len(compare(*sides, replace(DEFAULT, overtake_ns=0))) == 1


def test_a_question_repeated_is_one_question() -> None:
    assert differ(seen(QUESTION, QUESTION, UNI), seen(QUESTION, UNI)) == []
    assert differ(seen(QUESTION, UNI), seen(UNI)) == ["frame"]


def test_an_answer_repeated_is_two() -> None:
    assert differ(seen(ANSWER, ANSWER), seen(ANSWER)) == ["frame"]


def test_group_reports_are_left_out() -> None:
    assert differ(seen(UNI, REPORT), seen(UNI)) == []


def link(**more: Any) -> dict[tuple[str, str], Any]:
    return {("n", "link"): [{"ifname": "d", "mtu": 1500, **more}]}


def listed(ours: Any, theirs: Any, release: str = "6.1.0") -> list[tuple[str, bool]]:
    found = compare(Observation(listings=ours), Observation(listings=theirs, release=release))
    return [(each.where, bool(each.known)) for each in found]


def test_listings_are_compared_by_name_and_value() -> None:
    assert listed(link(), link()) == []
    assert listed(link(), link(mtu=1400)) == [("n link: [d].mtu", False)]
    assert listed(link(), {}) == []  # a side that listed nothing did not look
    assert listed({**link(), ("m", "link"): []}, link()) == [("m link: ", False)]


def test_timers_are_not_compared() -> None:
    assert listed(link(hello_timer=1), link(hello_timer=2)) == []


def test_hash_order_and_freshness_mean_nothing_but_known_and_unknown_do() -> None:
    def table(*states: str) -> dict[tuple[str, str], Any]:
        return {("n", "neigh"): [{"dst": f"10.0.0.{n}", "state": [s]} for n, s in enumerate(states)]}

    forwards, backwards = table("REACHABLE", "FAILED"), table("STALE", "INCOMPLETE")
    backwards[("n", "neigh")].reverse()
    assert listed(forwards, backwards) == []
    assert listed(table("REACHABLE"), table("FAILED")) == [("n neigh: [0].state[0]", False)]
    assert listed(table("PERMANENT"), table("REACHABLE")) == [("n neigh: [0].state[0]", False)]


def test_the_order_of_routes_means_something() -> None:
    one, other = {"dst": "10.0.0.0/24"}, {"dst": "default"}
    assert listed({("n", "route"): [one, other]}, {("n", "route"): [other, one]})


def test_counters_are_compared_where_both_sides_saw_as_many_frames() -> None:
    def side(packets: int, *frames: bytes) -> Observation:
        return Observation(captures={"n.d": seen(*frames)}, listings=link(stats64={"rx": {"packets": packets}}))

    assert compare(side(2, QUESTION, QUESTION), side(1, QUESTION)) == []
    assert [d.where for d in compare(side(2, QUESTION), side(1, QUESTION))] == ["n link: [d].stats64.rx.packets"]


def test_frames_that_came_after_a_kernel_was_asked_are_not_in_its_counters() -> None:
    """A probe that both sides have may come here before the listing and there behind it."""

    def compared(packets: int, **asked: tuple[int, int]) -> list[Difference]:
        ours = Observation(captures={"n.d": seen(*[QUESTION] * 2)}, listings=link(stats64={"rx": {"packets": 2}}))
        counted = link(stats64={"rx": {"packets": packets}})
        return compare(ours, Observation(captures={"n.d": seen(*[QUESTION] * 2)}, listings=counted, asked=asked))

    before, between, within, after, elsewhere = (-2, -1), (500, 600), (900, 1100), (1500, 1600), (500, 600)
    assert compared(1, n=between) == compared(0, n=before) == compared(1, n=within) == []
    assert len(compared(1, n=after)) == len(compared(1, m=elsewhere)) == len(compared(1)) == 1
    assert compared(2, n=after) == compared(2) == []


def test_a_newer_kernels_own_rule_is_named_not_hidden() -> None:
    ours, theirs = link(stats64={"tx": {"dropped": 0}}), link(stats64={"tx": {"dropped": 3}})
    assert listed(ours, theirs, "6.18.44") == [("n link: [d].stats64.tx.dropped", True)]
    assert listed(ours, theirs, "6.1.176") == [("n link: [d].stats64.tx.dropped", False)]
    assert listed(theirs, ours, "6.18.44") == [("n link: [d].stats64.tx.dropped", False)]
    assert listed(link(), link(allmulti=0), "6.18.44") == [("n link: [d].allmulti", True)]
    assert listed(link(allmulti=0), link(), "6.18.44") == [("n link: [d].allmulti", False)]
    another = {("n", "link"): [{"ifname": "d", "mtu": 1500}, {"ifname": "e", "mtu": 1500}]}
    assert listed(link(), another, "6.18.44") == [("n link: [e]", False)]  # a device is no attribute
    assert listed(link(), {**link(), ("m", "link"): []}, "6.18.44") == [("m link: ", False)]
    assert disagreements(compare(Observation(listings=ours), Observation(listings=theirs, release="6.18.44"))) == []


def test_what_a_newer_kernel_says_of_a_refused_address_hides_nothing_behind_it() -> None:
    ours = "RTNETLINK answers: Cannot assign requested address\n"
    theirs = "Error: ipv6: address not found.\n"
    line, other = "ip -n n1 addr del fe80::1/64 dev d", "ip -n n1 link set d up"

    def known(release: str, *more: tuple[str, int, str], theirs: str = theirs) -> list[tuple[str, bool]]:
        mine = Observation(answers=[(line, 1, ours), (other, 0, "")])
        its = Observation(answers=[(line, 1, theirs), *(more or [(other, 0, "")])], release=release)
        return [(each.where, bool(each.known)) for each in compare(mine, its)]

    assert known("6.18.44") == [(line, True)]
    assert known("6.1.176") == [(line, False)]
    assert known("6.18.44", theirs="Error: ipv6: address already assigned.\n") == [(line, False)]
    assert known("6.18.44", (other, 1, "RTNETLINK answers: File exists\n")) == [(line, True), (other, False)]


@pytest.mark.parametrize(
    ("release", "kind", "known"),
    [("6.18.44", "(*, G) group", True), ("6.1.176", "(*, G) group", False), ("6.18.44", "(S, G) group", False)],
)
def test_what_a_newer_kernel_calls_a_group_that_a_port_has(release: str, kind: str, known: bool) -> None:
    line, said = (
        "bridge -n n mdb add dev br0 port v5 grp ff02::1:2 temp",
        "Error: bridge: {} is already joined by port.\n",
    )
    ours = Observation(answers=[(line, 1, said.format("Group"))])
    theirs = Observation(answers=[(line, 1, said.format(kind))], release=release)
    assert [(each.where, bool(each.known)) for each in compare(ours, theirs)] == [(line, known)]


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        (1795, 1770, 0), (1795, 1700, 1), (1795, None, 1), (1795, 4_294_967_295, 1),
        (14_400, 14_358, 0), (14_400, 14_200, 1), (2_592_000, 2_590_000, 1),
    ],
)  # fmt: skip
def test_what_is_left_of_a_lifetime_may_differ_by_a_script_s_time(ours: int, theirs: int | None, found: int) -> None:
    def side(expires: int | None) -> dict[tuple[str, str], Any]:
        row = {"dst": "default", "dev": "d", "protocol": "ra", "metric": 1024}
        return {("n", "route6"): [row if expires is None else row | {"expires": expires}]}

    assert len(listed(side(ours), side(theirs), "6.1")) == found


FROM_B = bytes.fromhex(A + B + "88b50004")


def test_stations_that_speak_at_one_moment_may_speak_in_any_order_where_works_run_beside() -> None:
    def apart(ours: Seen, theirs: Seen) -> list[str]:
        sides = [Observation(captures={"n.d": each}) for each in (ours, theirs)]
        return [each.what for each in compare(*sides, BESIDE)]

    assert apart(seen(UNI, FROM_B, gap_ns=0), seen(FROM_B, UNI)) == []
    assert apart(seen(UNI, GROUP, gap_ns=0), seen(GROUP, UNI)) == []
    assert apart(seen(UNI, FROM_B), seen(FROM_B, UNI)) == ["frame"]  # two moments of ours
    assert apart(seen(UNI, UNI2, gap_ns=0), seen(UNI2, UNI)) == ["frame"]  # one station
    assert apart(seen(UNI, FROM_B, gap_ns=0), seen(UNI, UNI)) == ["frame"]
    assert apart(seen(UNI, FROM_B, gap_ns=0), seen(FROM_B)) == ["frame"]
    assert apart(seen(UNI, FROM_B, gap_ns=0), seen(FROM_B, UNI, way="out")) == ["frame"]


def test_what_timers_do_in_a_sleep_has_no_order_but_a_number() -> None:
    def apart(ours: Seen, theirs: Seen, *calm: tuple[int, int]) -> list[str]:
        sides = [Observation(captures={"n.d": each}) for each in (ours, theirs)]
        return [each.what for each in compare(*sides, replace(EXACT, calm=calm))]

    three = seen(UNI, UNI2, GROUP)
    begin, end = three[0][0] - 1, three[2][0]
    assert apart(three, seen(GROUP, UNI, UNI2), (begin, end)) == []
    assert apart(three, seen(GROUP, UNI, UNI2), (end, end + 1)) == ["frame"]  # they came before it slept
    assert apart(three, seen(GROUP, UNI, UNI2), (begin, begin + 1), (begin + 1, end)) == ["frame"]  # two sleeps
    assert apart(seen(UNI, UNI, GROUP), seen(GROUP, UNI, GROUP), (begin, end)) == ["frame"]


def test_exit_statuses_and_output() -> None:
    ours = Observation(exit_code=0, stdout="a\nrtt min/avg/max/mdev = 0.1/0.2/0.3/0.1 ms\n", stderr="")
    theirs = Observation(exit_code=0, stdout="a\nrtt min/avg/max/mdev = 9.1/9.2/9.3/0.0 ms\n", stderr="")
    assert compare(ours, theirs) == []
    assert [d.what for d in compare(ours, replace(theirs, exit_code=1, stdout="b\n"))] == ["exit", "output"]
    assert compare(ours, Observation()) == []


def test_answers_of_single_commands() -> None:
    one, refused = (
        ("ip link add x type dummy", 0, ""),
        ("ip link add x type dummy", 2, "RTNETLINK answers: File exists\n"),
    )
    ours, theirs = Observation(answers=[one]), Observation(answers=[refused])
    assert compare(ours, ours) == []
    assert [d.what for d in compare(ours, theirs)] == ["answer"]
    assert [d.what for d in compare(ours, Observation(answers=[one, one]))] == ["answer"]


def test_only_durations_and_numbers_drawn_leave_a_text() -> None:
    assert tidy_text("64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.045 ms") == (
        "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=T ms"
    )
    assert tidy_text("12:00:01.123456 IP 10.0.0.1 > 10.0.0.2: ICMP") == "T IP 10.0.0.1 > 10.0.0.2: ICMP"


def test_an_ipvlan_in_l3_is_compared_without_the_headers_that_linux_rewrites() -> None:
    frame = bytes.fromhex("0200000000ff" + A + "0800" + "4500001c000000004001" + "0000" + "0a0000010a000002" + "08" * 8)
    other = bytes(6) + frame[6:]
    info = {"linkinfo": {"info_kind": "ipvlan", "info_data": {"mode": "l3"}}}

    def side(octets: bytes, way: str, **more: Any) -> Observation:
        return Observation(captures={"n.d": [(0, way, octets)]}, listings=link(**more))

    assert compare(side(frame, "out", **info), side(other, "out", **info)) == []
    assert len(compare(side(frame, "in", **info), side(other, "in", **info))) == 1
    assert len(compare(side(frame, "out"), side(other, "out"))) == 1


def test_tables_that_a_script_prints_are_compared_as_tables():
    """`ip neigh` and `bridge fdb` print hash tables, and how fresh a neighbour is depends on the clock."""
    known, fdb = "10.0.0.1 dev a lladdr 02:00:00:00:00:01", "02:00:00:00:00:01 dev p master b \n"
    ours = f"before\n{known} STALE \n10.0.0.2 dev a FAILED \n{fdb}"
    theirs = f"before\n10.0.0.2 dev a INCOMPLETE \n{known} REACHABLE \n{fdb}"
    assert compare(Observation(stdout=ours), Observation(stdout=theirs)) == []
    for other in ("lladdr 02:00:00:00:00:02 STALE", "lladdr 02:00:00:00:00:01 PERMANENT", "FAILED"):
        changed = ours.replace("lladdr 02:00:00:00:00:01 STALE", other)
        assert [each.where for each in compare(Observation(stdout=changed), Observation(stdout=theirs))], other
    moved = "10.0.0.2 dev a FAILED \n" + ours.replace("10.0.0.2 dev a FAILED \n", "")
    assert compare(Observation(stdout=moved), Observation(stdout=theirs))


# -- IPv6 -----------------------------------------------------------------------------------------------------------

GROUP_1, GROUP_2 = "ff02::1:ff00:1", "ff02::1:ff00:2"


def ipv6(
    layer: Any, src: str = "fe80::1", dst: str = "fe80::2", mac: str = "02:00:00:00:00:02", **header: Any
) -> bytes:
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether

    return bytes(Ether(dst=mac, src="02:00:00:00:00:01") / IPv6(src=src, dst=dst, **header) / layer)


def detection(nonce: bytes, target: str = "fe80::1") -> bytes:
    from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptUnknown

    asked = ICMPv6ND_NS(tgt=target) / ICMPv6NDOptUnknown(type=14, len=1, data=nonce)
    return ipv6(asked, "::", GROUP_1, "33:33:ff:00:00:01", hlim=255)


def report(*groups: str, src: str = "::", rtype: int = 4) -> bytes:
    from scapy.layers.inet6 import ICMPv6MLDMultAddrRec, ICMPv6MLReport2, IPv6ExtHdrHopByHop, RouterAlert

    records = [ICMPv6MLDMultAddrRec(rtype=rtype, dst=group) for group in groups]
    inner = IPv6ExtHdrHopByHop(options=[RouterAlert()]) / ICMPv6MLReport2(records=records)
    return ipv6(inner, src, "ff02::16", "33:33:00:00:00:16", hlim=1)


def echo(ident: int = 1, flow: int = 0, data: bytes = bytes(16) + b"rest") -> bytes:
    from scapy.layers.inet6 import ICMPv6EchoRequest

    return ipv6(ICMPv6EchoRequest(id=ident, data=data), fl=flow)


def test_what_ipv6_draws_is_masked_and_nothing_beside_it() -> None:
    assert differ(seen(echo(1, 0x12345)), seen(echo(2, 0x54321, b"x" * 16 + b"rest"))) == []
    assert differ(seen(echo(1, 0x12345)), seen(echo(1))) == ["frame"]
    assert differ(seen(echo()), seen(echo(data=bytes(16) + b"best"))) == ["frame"]
    assert differ(seen(detection(b"nonce1")), seen(detection(b"nonce2"))) == []
    assert differ(seen(detection(b"nonce1")), seen(detection(b"nonce1", "fe80::9"))) == ["frame"]


def test_a_quoted_ipv6_packet_is_masked_as_the_packet() -> None:
    from scapy.layers.inet6 import ICMPv6TimeExceeded

    def error(ident: int, flow: int, code: int = 0) -> bytes:
        return ipv6(ICMPv6TimeExceeded(code=code) / echo(ident, flow)[14:])

    assert differ(seen(error(1, 1)), seen(error(2, 77))) == []
    assert differ(seen(error(1, 1)), seen(error(1, 0))) == ["frame"]
    assert differ(seen(error(1, 1)), seen(error(1, 1, 1))) == ["frame"]


def test_parts_of_ipv6_packets_have_a_drawn_number() -> None:
    from scapy.layers.inet6 import IPv6ExtHdrFragment

    def part(number: int, offset: int) -> bytes:
        return ipv6(IPv6ExtHdrFragment(nh=17, id=number, offset=offset) / b"12345678")

    assert differ(seen(part(1, 4)), seen(part(2, 4))) == []
    assert differ(seen(part(1, 4)), seen(part(1, 5))) == ["frame"]


def test_ambient_frames_are_compared_apart() -> None:
    ambient = detection(b"nonce1")
    assert differ(seen(UNI, ambient, echo()), seen(ambient, UNI, echo(), ambient)) == []
    assert differ(seen(UNI, ambient), seen(UNI)) == ["frame"]
    assert differ(seen(UNI), seen(UNI, ambient)) == ["frame"]
    assert differ(seen(UNI, ambient), seen(UNI, ambient, way="out")) == ["frame"]


def test_reports_of_listeners_count_by_group() -> None:
    both = report(GROUP_1, GROUP_2)
    assert differ(seen(report(GROUP_1), report(GROUP_2)), seen(both, report(GROUP_1, src="fe80::1"))) == []
    assert differ(seen(report(GROUP_1)), seen(both)) == ["frame"]
    assert differ(seen(both), seen(report(GROUP_1))) == ["frame"]


def test_who_joins_a_group_again_at_once_may_have_told_that_it_left_it() -> None:
    """mld_ifc_work comes before or after the works that join the groups of addresses (addrconf_dad_work)."""
    left, joined = report(GROUP_1, rtype=3), report(GROUP_1)
    assert differ(seen(joined), seen(left, joined)) == differ(seen(left, joined), seen(joined)) == []
    assert differ(seen(joined), seen(joined, left)) == differ(seen(joined, left), seen(joined)) == ["frame"]
    assert differ(seen(report(GROUP_2)), seen(left, report(GROUP_2))) == ["frame"]
    later = [*seen(left), (4_000_000_000, "in", joined)]
    assert differ(seen(joined), later) == differ(later, seen(joined)) == ["frame"]
    told = [Observation(captures={"n.d": each}) for each in (seen(joined), seen(left, joined))]
    assert [each.what for each in compare(*told, EXACT)] == ["frame"]  # where works are waited for it says so or not


def test_what_came_shortly_before_the_end_or_would_come_after_it_may_be_on_one_side() -> None:
    second = 1_000_000_000
    ambient, late = detection(b"nonce1"), Observation(captures={"n.d": []}, ended_ns=9 * second)
    ours = replace(late, captures={"n.d": [(8 * second, "in", ambient)]})
    early = replace(late, captures={"n.d": [(2 * second, "in", ambient)]})
    after = replace(late, tail={"n.d": [(10 * second, "in", ambient)]})
    theirs, none = Observation(captures={"n.d": [(5, "in", ambient)]}), Observation(captures={"n.d": []})
    assert compare(ours, none) == []
    assert [d.what for d in compare(early, none)] == ["frame"]
    assert compare(after, theirs) == []
    assert [d.what for d in compare(late, theirs)] == ["frame"]


def test_groups_of_ipv6_in_a_forwarding_table_count_where_ipv6_is_on() -> None:
    rows = [{"ifname": "d", "mac": "33:33:00:00:00:01"}]
    ours, theirs = ({("n", "fdb"): value} for value in ([], rows))
    assert compare(Observation(listings=ours), Observation(listings=theirs)) == []
    more = {("n", "route6"): []}
    found = compare(Observation(listings={**ours, **more}), Observation(listings={**theirs, **more}))
    assert [d.what for d in found] == ["listing"]


def test_the_order_of_devices_routes_to_link_local_addresses_is_chance() -> None:
    """As listings and as a script prints them; no other order is, and which devices have one counts."""
    rows = [route6("2001:db8::/64", "eth1"), route6("fe80::/64", "eth0"), route6("fe80::/64", "eth1")]
    moved = [rows[0], rows[2], rows[1]]
    others = {
        "order of others": [rows[1], rows[0], rows[2]],
        "another device": [*rows[:2], route6("fe80::/64", "eth2")],
        "twice": [*rows[:2], rows[1]],
        "metric": [rows[0], rows[2], {**rows[1], "metric": 100}],
        "whose": [rows[0], rows[2], {**rows[1], "protocol": "static"}],
    }
    assert unlike_routes(rows, moved) == []
    for what, changed in others.items():
        assert set(unlike_routes(rows, changed)) == {"listing", "output"}, what


def route6(dst: str, dev: str) -> dict[str, object]:
    return {"type": "unicast", "dst": dst, "dev": dev, "protocol": "kernel", "metric": 256, "pref": "medium"}


def unlike_routes(ours: list[dict[str, object]], theirs: list[dict[str, object]]) -> list[str]:
    """What differs, listed and printed."""
    sides = (
        Observation(
            listings={("n", "route6"): rows},
            stdout="".join("{dst} dev {dev} proto {protocol} metric {metric} pref {pref}\n".format(**r) for r in rows),
        )
        for rows in (ours, theirs)
    )
    return [each.what for each in compare(*sides)]


# -- what a redirect quotes -------------------------------------------------------------------------------------------


def redirect(label: int, data: bytes = bytes(8), target: str = "fe80::1") -> bytes:
    """A redirect about a packet with this flow label, behind an option with a MAC."""
    src, dst = parse_ip6("fe80::2"), parse_ip6("fe80::3")
    about = packet.build(dst, src, packet.UDP, data, flow=label)
    options = (ndp.link_layer(ndp.TLLA, 0x02_00_00_00_00_01), ndp.redirected(about))
    said = ndp.build_redirect(src, dst, ndp.Redirect(parse_ip6(target), src, options))
    return bytes(12) + b"\x86\xdd" + packet.build(src, dst, packet.ICMPV6, said, 255)


def test_the_label_of_what_a_redirect_quotes_is_drawn_and_nothing_else():
    assert plain(redirect(0x12345)) == plain(redirect(0x54321))
    for other in (redirect(0), redirect(0x12345, b"\1" + bytes(7)), redirect(0x12345, target="fe80::9")):
        assert plain(redirect(0x12345)) != plain(other)


def test_a_neighbour_that_timers_bring_may_be_there_already() -> None:
    """A DHCP server probes its clients five seconds after it has answered; each then knows the server."""
    known = {"dst": "10.0.0.1", "dev": "eth0", "lladdr": "02:00:00:00:00:01", "state": ["STALE"]}
    other = {**known, "lladdr": "02:00:00:00:00:09"}
    later = [[], [known]]
    assert listings.at_some_time([], later, [known]) == [known]
    assert listings.at_some_time([], later, []) == []
    assert listings.at_some_time([], later, [other]) == []
    assert listings.at_some_time([], [[], []], [known]) == []


def test_the_root_that_iproute2_prints_for_a_bridge_counts_where_it_is_the_root_itself() -> None:
    """Elsewhere iproute2 6.1 prints the bridge's own id; what its ports say of the root counts."""

    def unlike(root_port: int, kind: str = "info_data") -> list[str]:
        infos = ({"info_kind": "bridge", kind: {"root_id": root, "root_port": root_port}} for root in ("8000.1", "2"))
        sides = (Observation(listings=link(linkinfo=info)) for info in infos)
        return [each.what for each in compare(*sides)]

    assert unlike(1) == []
    assert unlike(0) == ["listing"]
    assert unlike(1, "info_slave_data") == ["listing"]
    ours, theirs = (Observation(stdout=f"bridge_id 8000.2 designated_root {root} root_port 1\n") for root in "12")
    assert compare(ours, theirs) == []


# What conntrack -L of the same script said, ours and conntrack-tools 1.4.7 on Linux 6.18; a line is cut in two here.
OUR_TABLE = """
icmp     1 27 src=10.0.1.2 dst=10.0.2.2 type=8 code=0 id=1 \
src=10.0.2.2 dst=10.0.2.1 type=0 code=0 id=1 mark=0 use=1
icmp     1 27 src=10.0.1.2 dst=10.0.2.2 type=8 code=0 id=2 \
src=10.0.2.2 dst=10.0.2.1 type=0 code=0 id=2 mark=0 use=1
tcp      6 118 TIME_WAIT src=10.0.1.2 dst=10.0.2.2 sport=32768 dport=5000 \
src=10.0.2.2 dst=10.0.2.1 sport=5000 dport=32768 [ASSURED] mark=0 use=1
udp      17 28 src=10.0.1.2 dst=10.0.2.2 sport=32768 dport=5001 [UNREPLIED] \
src=10.0.2.2 dst=10.0.2.1 sport=5001 dport=32768 mark=0 use=1
udp      17 29 src=10.0.1.2 dst=10.0.2.2 sport=6000 dport=5009 [UNREPLIED] \
src=10.0.2.2 dst=10.0.2.1 sport=5009 dport=6000 mark=0 use=1
tcp      6 119 SYN_SENT src=10.0.1.2 dst=10.0.2.99 sport=32769 dport=81 [UNREPLIED] \
src=10.0.2.99 dst=10.0.2.1 sport=81 dport=32769 mark=0 use=1
"""
THEIR_TABLE = """
udp      17 28 src=10.0.1.2 dst=10.0.2.2 sport=6000 dport=5009 [UNREPLIED] \
src=10.0.2.2 dst=10.0.2.1 sport=5009 dport=6000 mark=0 use=1
tcp      6 117 TIME_WAIT src=10.0.1.2 dst=10.0.2.2 sport=49290 dport=5000 \
src=10.0.2.2 dst=10.0.2.1 sport=5000 dport=49290 [ASSURED] mark=0 use=1
tcp      6 118 SYN_SENT src=10.0.1.2 dst=10.0.2.99 sport=40274 dport=81 [UNREPLIED] \
src=10.0.2.99 dst=10.0.2.1 sport=81 dport=40274 mark=0 use=2
icmp     1 27 src=10.0.1.2 dst=10.0.2.2 type=8 code=0 id=23 \
src=10.0.2.2 dst=10.0.2.1 type=0 code=0 id=23 mark=0 use=1
udp      17 27 src=10.0.1.2 dst=10.0.2.2 sport=40131 dport=5001 [UNREPLIED] \
src=10.0.2.2 dst=10.0.2.1 sport=5001 dport=40131 mark=0 use=1
icmp     1 27 src=10.0.1.2 dst=10.0.2.2 type=8 code=0 id=24 \
src=10.0.2.2 dst=10.0.2.1 type=0 code=0 id=24 mark=0 use=1
"""


def table_agrees(ours: str, theirs: str) -> bool:
    return not compare(Observation(stdout=ours), Observation(stdout=theirs))


@pytest.mark.parametrize("extended", [False, True])
def test_tracked_connections_agree_but_for_what_chance_and_clocks_decide(extended: bool) -> None:
    """Order, ephemeral ports, pings' identifiers, use, seconds that commands took."""
    ours, theirs = (re.sub("(?m)^(?=.)", "ipv4     2 " * extended, text) for text in (OUR_TABLE, THEIR_TABLE))
    assert table_agrees(ours, theirs)
    assert table_agrees(f"before\n{ours}after\n", f"before\n{theirs}after\n")


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        ("TIME_WAIT", "ESTABLISHED"), ("mark=0", "mark=1"), (r"\[UNREPLIED\] ", ""), (r"\[ASSURED\] ", ""),
        ("sport=6000", "sport=6001"), ("dport=81 ", "dport=82 "),
        (r"dst=10\.0\.2\.1 sport=81", "dst=10.0.1.2 sport=81"),
        ("dport=32768 .ASSURED", "dport=32770 [ASSURED"),  # NAT took another port
        ("type=0 code=0 id=1", "type=0 code=0 id=2"),
        ("udp      17 29", "udp      17 120"), ("tcp      6 118", "tcp      6 431999"), ("icmp.*\n", ""),
        ("udp  ", "sctp "),
    ],
)  # fmt: skip
def test_what_else_differs_between_tracked_connections_is_found(pattern: str, instead: str) -> None:
    changed = re.sub(pattern, instead, OUR_TABLE, count=1)
    assert changed != OUR_TABLE
    assert not table_agrees(changed, THEIR_TABLE)


def test_the_same_connection_twice_is_not_one() -> None:
    line = OUR_TABLE.splitlines()[-1] + "\n"
    assert not table_agrees(OUR_TABLE + line, THEIR_TABLE)
    assert table_agrees(OUR_TABLE + line, THEIR_TABLE + line.replace("=32769", "=40001"))
