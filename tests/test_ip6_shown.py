"""`ip -6`: what destinations taught, listed and flushed; short listings. As iproute2 6.1 showed it on Linux 6.18."""

from __future__ import annotations

import re

import pytest

from simvlan import Lab

NETWORK = """
for n in a r b; do
    ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
done
ip link add eth0 netns a index 2 type veth peer name ra netns r index 2
ip link add eth0 netns b index 2 type veth peer name rb netns r index 3
ip link add eth9 netns a index 9 type veth peer name rc netns r index 40
ip -n r link set rb mtu 1300; ip -n b link set eth0 mtu 1300
for each in a:eth0 a:eth9 b:eth0 r:ra r:rb r:rc; do ip -n ${each%:*} link set ${each#*:} up; done
for each in a:2001:db8:a::2/64:eth0 r:2001:db8:a::1/64:ra r:2001:db8:b::1/64:rb b:2001:db8:b::2/64:eth0; do
    address=${each#*:}; ip -n ${each%%:*} address add ${address%:*} dev ${each##*:} nodad
done
ip -n a route add default via 2001:db8:a::1; ip -n b route add default via 2001:db8:b::1
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
sleep 3
ip netns exec a ping -6 -c 2 -s 1400 -W 1 2001:db8:b::2
"""
TAUGHT = "2001:db8:b::2 via 2001:db8:a::1 dev eth0 metric 1024 expires Nsec mtu 1300 pref medium\n"


@pytest.fixture(scope="module")
def built() -> object:
    lab = Lab(seed=1)
    done = lab.sh(NETWORK)
    assert "Packet too big: mtu=1300" in done.stdout, done
    return lab.snapshot()


@pytest.fixture
def lab(built: object) -> Lab:
    return Lab().restore(built)  # type: ignore[arg-type]


def ip(lab: Lab, ns: str, *words: str) -> str:
    return re.sub(r"\d+sec", "Nsec", lab.command("ip", *words, netns=ns).stdout)


@pytest.mark.parametrize(
    ("words", "shown"),
    [(["cache"], TAUGHT), (["cached"], TAUGHT), (["cache", "2001:db8:b::2"], TAUGHT), (["cache", "dev", "lo"], ""),
     (["cache", "dev", "eth0"], TAUGHT.replace(" dev eth0", "")), (["cache", "2001:db8:b::3"], ""),
     (["cache", "via", "2001:db8:a::1"], TAUGHT.replace(" via 2001:db8:a::1", ""))],
)  # fmt: skip
def test_what_a_destination_taught_is_listed(lab: Lab, words: list[str], shown: str) -> None:
    assert ip(lab, "a", "-6", "route", "show", *words) == shown


def test_it_is_forgotten_by_a_flush_of_ipv6_s_cache_alone(lab: Lab) -> None:
    ip(lab, "a", "route", "flush", "cache")
    assert "mtu 1300" in ip(lab, "a", "-6", "route", "get", "2001:db8:b::2")
    assert "deleting 1 entries" in ip(lab, "a", "-s", "-6", "route", "flush", "cache")
    assert "mtu 1300" not in ip(lab, "a", "-6", "route", "get", "2001:db8:b::2")
    assert ip(lab, "a", "-6", "route", "show", "cache") == ""
    assert "default via 2001:db8:a::1" in ip(lab, "a", "-6", "route")


def test_a_listing_of_ipv6_takes_the_index_of_a_link_for_one_of_its_own_namespace(lab: Lab) -> None:
    names = [line.split()[0] for line in ip(lab, "r", "-6", "-br", "address").splitlines()]
    assert names == ["ra", "rb@ra", "rc@if9"]
    assert '"ifname":"rc","flags"' in ip(lab, "r", "-6", "-j", "address")
    assert '"link":"if9"' in ip(lab, "r", "-6", "-j", "address")
    assert "rb@if2 " in ip(lab, "r", "-br", "address")


def test_a_flush_of_no_table_is_a_flush(lab: Lab) -> None:
    done = lab.command("ip", "-6", "route", "flush", "table", "77", netns="a")
    assert (done.stderr, done.exit) == ("Error: ipv6: FIB table does not exist.\nFlush terminated\n", 2)
    done = lab.command("ip", "-6", "route", "show", "table", "77", netns="a")
    assert done.stderr == "Error: ipv6: FIB table does not exist.\nDump terminated\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [("10.9.0.0/24 via 2001:db8:a::1", 'Error: inet address is expected rather than "2001:db8:a::1".\n'),
     ("10.9.0.0/24 dev eth0 src 2001:db8:a::2", 'Error: inet address is expected rather than "2001:db8:a::2".\n'),
     ("10.9.0.0/24 via inet6 2001:db8:a::1",
      "simvlan: an IPv4 route via an IPv6 gateway (2001:db8:a::1) is not modelled\n"),
     ("2001:db8:9::/64 via 2001:db8:a::1", "")],
)  # fmt: skip
def test_the_destination_says_of_which_family_a_route_is(lab: Lab, words: str, said: str) -> None:
    assert lab.command("ip", "route", "add", *words.split(), netns="a").stderr == said
