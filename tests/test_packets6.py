"""Scapy expressions with IPv6: what they leave open comes from the lab; names are no addresses."""

from __future__ import annotations

import pytest

from simvlan import Lab
from simvlan.frame import mac_text
from simvlan.shell.expression import packet

NETWORK = """
for n in a b; do ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.default.disable_ipv6=0; done
ip link add eth0 netns a address 02:00:00:00:00:01 type veth peer name eth0 netns b address 02:00:00:00:00:02
ip -n a link set eth0 up; ip -n b link set eth0 up
ip -n a address add 2001:db8::1/64 dev eth0 nodad; ip -n b address add 2001:db8::2/64 dev eth0 nodad
sleep 3; ip netns exec a ping -6 -c 1 2001:db8::2 > /dev/null
"""


@pytest.fixture(scope="module")
def lab() -> Lab:
    made = Lab(seed=1)
    assert not made.sh(NETWORK).exit
    return made


@pytest.mark.parametrize(
    ("dst", "src", "mac"),
    [("2001:db8::2", "2001:db8::1", "02:00:00:00:00:02"), ("2001:db8::9", "2001:db8::1", "ff:ff:ff:ff:ff:ff"),
     ("ff02::1:ff00:2", "fe80::ff:fe00:1", "33:33:ff:00:00:02")],
)  # fmt: skip
def test_source_and_mac_are_the_sender_s(lab: Lab, dst: str, src: str, mac: str) -> None:
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether

    with lab.capture("a/eth0") as packets:
        lab.send("a/eth0", packet(f'Ether()/IPv6(dst="{dst}")/ICMPv6EchoRequest(id=1)'))
    sent = packets[0]
    assert (sent[Ether].src, sent[Ether].dst, sent[IPv6].src) == ("02:00:00:00:00:01", mac, src)
    assert mac_text(lab.network.device("a/eth0").mac) == "02:00:00:00:00:01"


def test_a_trace_follows_it_to_its_answer(lab: Lab) -> None:
    told = lab.trace("a/eth0", packet('Ether()/IPv6(dst="2001:db8::2")/ICMPv6EchoRequest(id=1)'))
    assert "Verdict: delivered to b/eth0" in str(told)


@pytest.mark.parametrize("value", ['"example.com"', '"10.0.0.1"', '"2001:db8::/120"', '["2001:db8::1"]', "7"])
def test_what_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="one address of IPv6 is expected"):
        packet(f"Ether()/IPv6(dst={value})")


def test_on_a_kernel_a_packet_names_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    from simvlan import fill
    from simvlan.oracle.guest import inject

    here = fill.Sender(1, 0, lambda _ip: None)
    monkeypatch.setattr(inject.Sender, "_socket", lambda *_: None)
    monkeypatch.setattr(inject.Sender, "_filled", lambda _self, shot: fill.to_octets(shot.frame, here))
    shot = inject.Shot("a", "eth0", packet('Ether()/IPv6(dst="2001:db8::2")'))
    complaints = inject.Sender(lambda _name: 0, lambda: "a").fire(inject.Order([shot], 0, False), lambda: None)
    assert complaints == ["simvlan send: eth0: IPv6(src=...) is to be given where a kernel sends the frame"]
    named = packet('Ether()/IPv6(src="2001:db8::1",dst="2001:db8::2")')
    assert fill.to_octets(named, here)[:14].hex() == "ffffffffffff00000000000186dd"
