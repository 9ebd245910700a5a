"""Scapy expressions are read, never run; what a packet leaves open comes from the lab, never from this machine."""

import re
import socket

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Dot1Q, Ether

from simvlan import Lab
from simvlan.fill import to_frame
from simvlan.shell.expression import packet

MACS = {"dst": "02:00:00:00:00:02", "src": "02:00:00:00:00:01"}
HEAD = 'Ether(dst="02:00:00:00:00:02",src="02:00:00:00:00:01")'
SAME = {
    HEAD + '/Dot1Q(vlan=5)/IP(src="10.0.0.1",dst="10.0.0.2")/ICMP()': (
        Ether(**MACS) / Dot1Q(vlan=5) / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP()
    ),
    HEAD + '/Raw(b"ab"*(3+4))': Ether(**MACS) / (b"ab" * 7),
    'bytes.fromhex("ff"*14) + b"x"': b"\xff" * 14 + b"x",
}


@pytest.mark.parametrize("expression", SAME)
def test_an_expression_means_what_scapy_means(expression):
    assert bytes(packet(expression)) == bytes(SAME[expression])


REFUSED = {
    "Ether(": "never closed",
    "().__class__": "not allowed",
    "__import__('os').system('touch pwned')": "no layer known",
    "[Ether() for _ in (1,)]": "not allowed",
    "(lambda: Ether())()": "no layer known",
    "Ether()/__builtins__": "not allowed",
    "Ether().__class__": "not allowed",
    "Ether(**{'dst': 1})": "not allowed",
    "Ether(nosuch=1)": "no field 'nosuch' (it has dst, src, type)",
    "Ether(dst='zz')": "one address",
    "Ether()/IP(dst='example.com')": "one address",
    "Ether()/IP(dst='10.0.0.0/8')": "one address",
    "Ether()/ARP(pdst='example.com')": "one address",
    "Ether()/Raw(b'x' * 10**9)": "not allowed",
    "Ether()/Raw(b'x' * 1000000000)": "larger than any frame",
    "Ether()" + "/Dot1Q()" * 5000: "nested too deeply",
    "IP(dst='10.0.0.1')": "begin with a layer such as Ether",
    "42": "begin with a layer such as Ether",
}


@pytest.mark.parametrize("expression", REFUSED, ids=lambda text: text[:30])
def test_an_expression_cannot_run_anything(expression, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked a real name server"))
    with pytest.raises(ValueError, match=re.escape(REFUSED[expression])):
        packet(expression)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def lab(monkeypatch):
    """c1/eth0 with 10.0.0.1/24 and neighbour 10.0.0.2; scapy may not look at this machine."""
    from scapy.config import conf

    monkeypatch.setattr(conf.neighbor, "resolve", lambda *_: pytest.fail("asked the machine's own network"))
    monkeypatch.setattr(conf.route, "route", lambda *_, **__: pytest.fail("looked at the machine's own routes"))
    made = Lab()
    for words in (
        "netns add c1",
        "link add eth0 netns c1 address 02:00:00:00:00:01 type veth peer name v0",
        "-n c1 address add 10.0.0.1/24 dev eth0",
        "link set v0 up",
        "-n c1 link set eth0 up",
        "-n c1 neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0",
    ):
        assert made.command("ip", *words.split()).exit == 0
    return made


def built(lab, packet):
    return Ether(bytes(to_frame(packet, lab.network.device("c1/eth0"))))


def test_blanks_come_from_the_sending_device(lab):
    got = built(lab, Ether() / Dot1Q(vlan=7) / IP(dst="10.0.0.2") / ICMP())
    assert (got.src, got.dst, got[IP].src) == ("02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1")
    asked = built(lab, Ether() / ARP(pdst="10.0.0.9"))
    assert (asked.dst, asked.hwsrc, asked.psrc) == ("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01", "10.0.0.1")


def test_destinations_that_no_neighbour_has(lab):
    """A group has its own MAC (RFC 1112); for an unknown neighbour scapy takes broadcast."""
    assert built(lab, Ether() / IP(dst="224.1.2.3")).dst == "01:00:5e:01:02:03"
    assert built(lab, Ether() / IP(dst="10.0.0.77")).dst == "ff:ff:ff:ff:ff:ff"


def test_what_is_given_stays(lab):
    given = Ether(src="02:00:00:00:00:99", dst="02:00:00:00:00:98") / IP(src="9.9.9.9", dst="10.0.0.2")
    got = built(lab, given)
    assert (got.src, got.dst, got[IP].src) == ("02:00:00:00:00:99", "02:00:00:00:00:98", "9.9.9.9")
    assert given.copy() == given


def test_send_and_trace_fill_in_too(lab):
    with lab.capture("v0") as seen:
        lab.send("c1/eth0", [Ether() / IP(dst="10.0.0.2"), Ether() / IP(dst="10.0.0.2")])
    assert [frame.src for frame in seen] == ["02:00:00:00:00:01"] * 2
    assert lab.trace("c1/eth0", Ether() / IP(dst="10.0.0.2")).frame.src == 0x020000000001


def test_what_is_no_frame_is_named(lab):
    with pytest.raises(TypeError, match="42 is no frame"):
        lab.send("c1/eth0", 42)
