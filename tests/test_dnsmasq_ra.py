"""Router advertisements of dnsmasq: as the real one sent them (tests/dhcp/ra.json), and the rules one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simvlan import Lab
from simvlan.radv.config import INFINITY
from simvlan.radv.ranges import Own, Param, Range, advertisement, first_s, next_s
from simvlan.stack.ipv6 import ndp
from simvlan.stack.ipv6.addr import parse_ip6
from simvlan.tools.dnsmasq_options import read
from tests.dhcp.exchange import said
from tests.radvd.exchange import heard
from tests.shell_stage import needs_namespaces

HERE = Path(__file__).parent / "dhcp"
LOCAL = Own(parse_ip6("fe80::1"), 64)
GLOBAL = Own(parse_ip6("2001:db8::1"), 64, 5000, 4000)


@needs_namespaces
def test_it_advertises_what_the_real_one_did(tmp_path: Path) -> None:
    """Octet for octet; when it does so by itself is drawn, and so how often."""
    command = [str(Path(sys.executable).parent / "simvlan"), "run", "--pcap", str(tmp_path), str(HERE / "ra.sh")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    theirs = json.loads((HERE / "ra.json").read_text())
    assert set(said(run.stdout + run.stderr)) == set(theirs["said"])
    assert {name: set(frames) for name, frames in heard(tmp_path).items()} == {
        name: set(frames) for name, frames in theirs["frames"].items()
    }


def prefixes(line: str, *own: Own) -> list[tuple[int, int]]:
    """(valid, preferred) of each network that is told."""
    asked = read(line.split())
    made = advertisement(asked.ra, Param(), "eth0", list(own), 1, 1500, True)
    found = () if made is None else made.options
    return [(int.from_bytes(data[2:6], "big"), int.from_bytes(data[6:10], "big")) for code, data in found
            if code == ndp.PREFIX]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "lifetimes"),
    [
        ("-F 2001:db8::,ra-only", [(INFINITY, INFINITY)]),
        ("-F 2001:db8::,slaac,1h", [(3600, 3600)]),
        ("-F 2001:db8::,slaac,2m", [(1800, 1800)]),  # three intervals at least
        ("-F 2001:db8::,ra-only,deprecated", [(INFINITY, 0)]),
        ("-F ::,constructor:eth0,ra-only", [(5000, 4000)]),  # no more than the address has
        ("-F ::,constructor:eth0,ra-only,1h", [(3600, 3600)]),
        ("-F ::,constructor:eth1,ra-only", []),
        ("-F 2001:db8:1::,ra-only", []),
        ("--enable-ra", []),
    ],
)
def test_lifetimes_of_a_network(line: str, lifetimes: list[tuple[int, int]]) -> None:
    assert prefixes(line, LOCAL, GLOBAL) == lifetimes


def test_without_a_link_local_address_nothing_is_said() -> None:
    assert prefixes("-F 2001:db8::,ra-only", GLOBAL) == []


def test_what_else_is_told() -> None:
    asked = read(["-F", "2001:db8::,ra-only", "--ra-param=eth0,mtu:off,low,120,30"])
    made = advertisement(asked.ra, asked.ra_params["eth0"], "eth0", [LOCAL, GLOBAL], 1, 1500, False)
    assert made is not None
    assert (made.lifetime, made.preference) == (120, 3)  # no shorter than the interval
    assert [code for code, _ in made.options] == [ndp.PREFIX, ndp.SLLA]
    full = advertisement(asked.ra, Param(), "eth0", [LOCAL, GLOBAL], 1, 1500, True)
    assert full is not None
    assert (full.lifetime, [code for code, _ in full.options]) == (1800, [ndp.PREFIX, ndp.MTU, ndp.SLLA, ndp.RDNSS])


def test_when_it_is_told() -> None:
    for share, first, soon, late in ((0.0, 0, 5, 450), (0.9999, 5, 19, 599)):
        draw = lambda below, share=share: int(below * share)  # noqa: E731
        assert (first_s(draw), next_s(59, Param(), draw), next_s(60, Param(), draw)) == (first, soon, late)
    assert Range(0).fits("eth0", Own(1, 64))
    assert not Range(0).fits("eth0", Own(1, 65))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-F 2001:db8::10,2001:db8::20,64,1h", "2001:db8::20: DHCPv6 is not modelled; there are ra-only and slaac"),
        ("-F 2001:db8::,ra-stateless", "ra-stateless: DHCPv6 is not modelled"),
        ("-F 2001:db8::,64", "a range without ra-only or slaac: DHCPv6 is not modelled"),
        ("-F 2001:db8::,ra-only,48", "prefix length must be at least 64"),
        ("-F 2001:db8::,ra-only,80", "prefix length must be exactly 64 for RA subnets"),
        ("-F 2001:db8::,constructor:eth0,ra-only", 'prefix must be zero with "constructor:" argument'),
        ("--ra-param=eth0,high", "bad RA-params"),
        ("--ra-param=eth0,mtu:100,60", "bad RA-params"),
    ],
)
def test_what_is_refused(words: str, said: str) -> None:
    done = Lab().command("dnsmasq", "-d", *words.split())
    assert said in done.stderr
    assert done.exit


def test_a_container_makes_an_address_of_it_and_a_new_network_is_told() -> None:
    script = """
ip netns add r; ip netns add h
ip link add eth0 netns r type veth peer name eth0 netns h address 02:00:00:00:00:02
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
ip -n r link set eth0 up; ip -n h link set eth0 up; ip -n r addr add 2001:db8:a::1/64 dev eth0; sleep 3
ip netns exec r dnsmasq -p 0 -F ::,constructor:eth0,slaac
sleep 8; ip -n h -6 -o addr show scope global | grep -o '2001[^ ]*'
ip -n r addr add 2001:db8:b::1/64 dev eth0
sleep 30; ip -n h -6 -o addr show scope global | grep -o '2001[^ ]*' | sort
"""
    first, again = "2001:db8:a::ff:fe00:2/64", "2001:db8:b::ff:fe00:2/64"
    assert Lab(ipv6=True, seed=1).sh(script).stdout.split() == [first, first, again]
