"""Optimistic addresses: in use while duplicates are looked for, carefully (RFC 4429; CONFIG_IPV6_OPTIMISTIC_DAD).

What is expected is what the RFC says, and what Linux 6.18 was seen to do (tests/kernel/ipv6/optimistic.sh).
"""

from __future__ import annotations

import errno
from typing import Any

import pytest
from router6 import HERE, NEIGHBOUR, W0, Router6, ip6
from test_ipv6 import Pair, of, prefix

from simvlan.errors import RtnlError
from simvlan.rtnl.address6 import address6_add, address6_replace
from simvlan.stack.ipv6 import icmp6, ndp, packet
from simvlan.stack.ipv6.inet6dev import Ifaddr6
from simvlan.verdict import Drop

HOPES = "conf.eth0.optimistic_dad=1"
OWN, ELSEWHERE = ip6("2001:db8:1::99"), ip6("2001:db8:3::99")


def host(*settings: str) -> tuple[Router6, Ifaddr6]:
    """A host that is still looking for duplicates of an address given as optimistic, with those settings."""
    made = Router6(*settings, forwarding=0)
    address6_add(made.net, made.eth0, Ifaddr6(OWN, 64, optimistic=True))
    made.messages()
    return made, of(made.ip6.idev(made.eth0), OWN)


def asked(made: Router6) -> list[tuple[int, int]]:
    """Who was asked for, from which address; detection asks from none."""
    return [(int.from_bytes(message.body[:16], "big"), header.src)
            for _, header, message in made.messages() if message.type == icmp6.NS and header.src]  # fmt: skip


@pytest.mark.parametrize(("settings", "answers"), [((HOPES,), 1), ((), 0)])
def test_an_optimistic_address_answers_at_once(settings: tuple[str, ...], answers: int) -> None:
    made, own = host(*settings)
    assert (own.tentative, own.optimistic, own.usable) == (True, bool(answers), bool(answers))
    made.send(OWN)
    assert sum(message.type == icmp6.ECHO_REPLY for _, _, message in made.messages()) == answers
    made.wait(2.1)
    assert (own.tentative, own.optimistic, own.usable) == (False, False, True)


@pytest.mark.parametrize("setting", ["conf.eth0.optimistic_dad=1", "conf.all.optimistic_dad=1"])
def test_it_is_asked_for_without_a_delay(setting: str) -> None:
    """addrconf_dad_kick; another address waits up to a second first."""
    made, own = host(setting)
    made.wait(0)
    assert own.probes == 0  # the one question is out
    made.wait(1.001)
    assert not own.tentative


def test_who_asks_for_it_learns_the_mac_but_overrides_nothing() -> None:
    """RFC 4429 3.3: override is clear, so that caches of a rival's are not spoilt; after detection it is set."""
    made, own = host(HOPES)
    flags = []
    for _ in range(2):
        made.solicit(OWN)
        flags += [message.word for _, _, message in made.messages() if message.type == icmp6.NA]
        made.wait(2.1)
    assert flags == [ndp.SOLICITED_FLAG, ndp.SOLICITED_FLAG | ndp.OVERRIDE_FLAG]
    assert not own.tentative


def test_who_looks_for_a_duplicate_too_takes_it_away() -> None:
    made, own = host(HOPES)
    assert made.solicit(OWN, 0, (ndp.nonce(b"\1\2\3\4\5\6"),)) == [None]
    made.wait(0)
    assert (own.dadfailed, own.tentative, own.optimistic, own.usable) == (True, True, False, False)


def test_a_tentative_address_gives_no_answer() -> None:
    """The twin of the first: without the setting the flag counts for nothing."""
    made, _ = host()
    assert made.solicit(OWN) == [Drop.IPV6_TENTATIVE]


@pytest.mark.parametrize(("more", "chosen"), [((), HERE), (("conf.eth0.use_optimistic=1",), ELSEWHERE)])
def test_as_a_source_it_gives_way_unless_use_optimistic_says_otherwise(more: tuple[str, ...], chosen: int) -> None:
    """Rule 3 avoids it, or rule 8, the longest prefix, decides."""
    made = Router6(HOPES, *more, forwarding=0)
    address6_add(made.net, made.eth0, Ifaddr6(ELSEWHERE, 64, optimistic=True))
    assert made.ip6.select.source(made.eth0, ELSEWHERE + 1) == chosen


def test_even_then_another_that_fits_as_well_comes_first() -> None:
    made, own = host(HOPES, "conf.eth0.use_optimistic=1")
    twin = Ifaddr6(ip6("2001:db8:1::9a"), 64, nodad=True)
    address6_add(made.net, made.eth0, twin)
    far = ip6("2001:db8:9::1")  # both have as much in common with it
    made.ip6.idev(made.eth0).addresses[:] = [own, twin]
    assert made.ip6.select.source(made.eth0, far) == twin.address


def test_neighbours_are_not_asked_for_from_it() -> None:
    """RFC 4429 3.2: a link-local address that is sure asks, even where the packet comes from the optimistic one."""
    made, _ = host(HOPES)
    target = ip6("2001:db8:1::77")
    made.ip6.output.send(made.ip6.output.find(target, OWN), _echo(OWN, target))
    made.wait(0)
    assert asked(made) == [(target, ip6("fe80::ff:fe00:a0"))]


@pytest.mark.parametrize(("router", "gateway"), [(True, NEIGHBOUR), (False, None)])
def test_what_would_have_to_wait_for_a_neighbour_goes_by_the_router(router: bool, gateway: int | None) -> None:
    """ip6_dst_lookup_tail: the next packet takes the default route, and without one there is none."""
    made = Router6(HOPES, forwarding=0)
    if router:
        made.announce(lifetime=1800, options=(ndp.link_layer(ndp.SLLA, W0),))
    address6_add(made.net, made.eth0, Ifaddr6(OWN, 64, optimistic=True))
    target = ip6("2001:db8:1::77")
    first = made.ip6.output.find(target, OWN)
    assert first.gateway is None
    made.ip6.output.send(first, _echo(OWN, target))
    found = made.ip6.output.find(target, OWN)
    assert found == errno.ENETUNREACH if gateway is None else found.gateway == gateway
    assert made.ip6.output.find(target, HERE).gateway is None


def _echo(src: int, dst: int) -> bytes:
    return packet.build(src, dst, packet.ICMPV6, icmp6.build_echo(src, dst, icmp6.ECHO, 7, 1, b""))


@pytest.mark.parametrize(("options", "optimistic"), [((ndp.link_layer(ndp.SLLA, W0),), True), ((), False)])
def test_an_address_of_a_router_s_prefix_is_optimistic_if_its_mac_is_known(options: Any, optimistic: bool) -> None:
    """RFC 4429 3.1: else the host could not reach anybody."""
    made = Router6(HOPES, forwarding=0)
    made.announce(lifetime=60, options=(*options, prefix("2001:db8:5::")))
    own = of(made.ip6.idev(made.eth0), ip6("2001:db8:5::ff:fe00:a0"))
    assert (own.optimistic, own.tentative) == (optimistic, True)


@pytest.mark.parametrize(("forwarding", "optimistic"), [(0, True), (1, False)])
def test_a_link_local_address_is_optimistic_on_a_host(forwarding: int, optimistic: bool) -> None:
    """addrconf_add_linklocal; routers take no such risk."""
    pair = Pair()
    pair.sh(f"ip netns exec a sysctl -qw net.ipv6.conf.all.forwarding={forwarding};"
            "ip netns exec a sysctl -qw net.ipv6.conf.va.optimistic_dad=1;"
            "ip netns exec a sysctl -qw net.ipv6.conf.va.dad_transmits=5;"
            "ip -n a link set va down; ip -n a link set va up; sleep 2")  # fmt: skip
    shown = pair.sh("ip -n a -6 addr show dev va")
    assert ("link optimistic tentative" in shown, "link tentative" in shown) == (optimistic, not optimistic)
    pair.wait(7)
    assert "scope link \n" in pair.sh("ip -n a -6 addr show dev va")


def test_no_detection_and_optimism_exclude_each_other() -> None:
    made = Router6(HOPES, forwarding=0)
    with pytest.raises(RtnlError) as refused:
        address6_add(made.net, made.eth0, Ifaddr6(OWN, 64, optimistic=True, nodad=True))
    assert (refused.value.errno, refused.value.extack) == (
        errno.EINVAL, "IFA_F_NODAD and IFA_F_OPTIMISTIC are mutually exclusive"
    )  # fmt: skip


def test_only_what_is_still_tentative_becomes_optimistic() -> None:
    """inet6_addr_modify."""
    made = Router6(HOPES, forwarding=0)
    idev = made.ip6.idev(made.eth0)
    address6_add(made.net, made.eth0, Ifaddr6(OWN, 64))
    address6_replace(made.net, made.eth0, Ifaddr6(OWN, 64, optimistic=True))
    address6_replace(made.net, made.eth0, Ifaddr6(HERE, 64, optimistic=True))
    assert (of(idev, OWN).optimistic, of(idev, HERE).optimistic) == (True, False)
