"""What stacks say of copies that came up to them, held against walks of single frames on twins of the lab."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Ether

from simvlan import Lab
from simvlan.engines.batch import FrameBatch
from simvlan.engines.batch.verdicts import Verdicts
from simvlan.frame import Frame
from tests.batch_verdicts import Alone, counted, told_ends, told_gains, total

ROUTER = """
sysctl -qw net.ipv4.ip_forward=1
for n in 1 2; do
    ip netns add c$n
    ip link add v$n address 02:00:00:00:01:0$n type veth peer name eth0 netns c$n
    ip address add 10.0.$n.1/24 dev v$n
    ip link set v$n up
    ip -n c$n link set eth0 address 02:00:00:00:00:0$n up
    ip -n c$n address add 10.0.$n.2/24 dev eth0
done
sysctl -qw net.ipv4.conf.v1.rp_filter=1
"""
L3S = """
ip netns add c; ip netns add s1; ip netns add s2
ip link add v address 02:00:00:00:01:01 type veth peer name eth0 netns c
ip link set v up; ip -n c link set eth0 up
for n in 1 2; do
    ip link add link v name i$n type ipvlan mode l3s
    ip link set i$n netns s$n
    ip -n s$n address add 10.0.0.$n/24 dev i$n
    ip -n s$n link set i$n up
done
"""
ME, YOU = "02:00:00:00:00:01", "02:00:00:00:01:01"


def eth(dst: str = YOU) -> Any:
    return Ether(dst=dst, src=ME)


def ip(dst: str, src: str = "10.0.1.2", **fields: Any) -> Any:
    return eth() / IP(src=src, dst=dst, **fields)


PACKETS = {
    "an echo request": ip("10.0.1.1") / ICMP(),
    "to nobody's port": ip("10.0.1.1") / UDP(sport=9, dport=9),
    "to nobody's TCP port": ip("10.0.1.1") / TCP(sport=9, dport=9),
    "an unknown protocol": ip("10.0.1.1", proto=200) / b"1234567890",
    "a wrong header checksum": ip("10.0.1.1", chksum=1) / UDP(),
    "a wrong UDP checksum": ip("10.0.1.1") / UDP(sport=9, dport=9, chksum=1),
    "cut short": eth() / IP(src="10.0.1.2", dst="10.0.1.1", len=200) / UDP(),
    "to be forwarded": ip("10.0.2.2") / UDP(sport=9, dport=9),
    "to be forwarded too late": ip("10.0.2.2", ttl=1) / UDP(),
    "to nowhere": ip("192.0.2.9") / UDP(),
    "from elsewhere": ip("10.0.1.1", src="10.0.2.2") / ICMP(),
    "from the host itself": ip("10.0.1.1", src="10.0.1.1") / ICMP(),
    "a fragment": ip("10.0.1.1", flags="MF") / ICMP(),
    "a group nobody joined": eth("01:00:5e:01:02:03") / IP(src="10.0.1.2", dst="239.1.2.3") / UDP(),
    "who has the host": eth("ff:ff:ff:ff:ff:ff") / ARP(psrc="10.0.1.2", pdst="10.0.1.1", hwsrc=ME),
    "who has another": eth("ff:ff:ff:ff:ff:ff") / ARP(psrc="10.0.1.2", pdst="10.0.1.9", hwsrc=ME),
    "a broken ARP": eth("ff:ff:ff:ff:ff:ff") / ARP(psrc="10.0.1.2", pdst="10.0.1.1", hwsrc=ME, hwlen=5),
    "an unknown ethertype": eth() / b"12345678901234567890",
    "for somebody else": Ether(dst="02:00:00:00:09:09", src=ME) / IP(src="10.0.1.2", dst="10.0.1.1") / ICMP(),
}


def hold(lab: Lab, path: str, frames: list[Frame], engine: str = "numpy") -> Verdicts:
    """Compare a batch, stacks included, with walks of its frames; returns the verdicts."""
    before = counted(lab.network)
    outcome = lab.compile(engine).forward(FrameBatch.from_frames(frames, devices=[path]))
    verdicts = outcome.verdicts()
    alone = [Alone(lab.network, path, frame) for frame in frames]
    assert told_ends(outcome, verdicts) == [each.ends for each in alone]
    assert told_gains(outcome, verdicts) == total([each.gains for each in alone])
    assert counted(lab.network) == before, "the lab itself changed"
    return verdicts


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_verdicts_are_those_of_walks(engine: str) -> None:
    """Every packet twice: a question asked before has the same answer, and leaves no trace for the next."""
    lab = Lab(script=ROUTER)
    frames = [Frame.parse(bytes(packet)) for packet in (*PACKETS.values(), *reversed(PACKETS.values()))]
    verdicts = hold(lab, "c1/eth0", frames, engine)
    names = set(verdicts.counts)
    assert {"taken", "IP_CSUM", "IP_RPFILTER", "NO_SOCKET", "ARP_NOT_OURS", "IP_TTL_EXPIRED"} <= names, names


def test_ipvlan_l3s_hands_packets_to_slaves_in_the_stack() -> None:
    lab = Lab(script=L3S)
    good, other = ip("10.0.0.1", src="10.0.0.9") / ICMP(), ip("10.0.0.7", src="10.0.0.9") / ICMP()
    bad = ip("10.0.0.2", src="10.0.0.9", chksum=1) / ICMP()
    verdicts = hold(lab, "c/eth0", [Frame.parse(bytes(packet)) for packet in (good, good, bad, other)])
    assert verdicts.counters()["s1/i1"] == {"rx_packets": 2, "rx_bytes": 2 * 42}
    assert "s2/i2" not in verdicts.counters()


SIX = """
ip netns add c; ip netns add s1; ip netns add s2; ip netns add s3
sysctl -qw net.ipv6.conf.all.disable_ipv6=0
for n in 1 2; do ip netns exec s$n sysctl -qw net.ipv6.conf.all.disable_ipv6=0; done
ip link add v address 02:00:00:00:01:01 type veth peer name eth0 netns c
ip link set v up; ip -n c link set eth0 up
for n in 1 2 3; do
    ip link add link v name m$n address 02:00:00:00:02:0$n netns s$n type macvlan mode bridge
    ip -n s$n link set m$n up
done
ip -n s1 address add 2001:db8::1/64 dev m1
sleep 5
"""


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_ipv6_packets_come_up_where_ipv6_is_on(engine: str) -> None:
    """Groups get in where they are listened to; s3 has no IPv6; no question leaves a trace for the next."""
    lab = Lab(script=SIX)
    one, group = "02:00:00:00:02:01", "33:33:ff:00:02:01"

    def to(mac: str, dst: str, **fields: Any) -> Any:
        return Ether(src=ME, dst=mac) / IPv6(src="fe80::ff:fe00:1", dst=dst, **fields)

    packets = [
        to(one, "fe80::ff:fe00:201") / ICMPv6EchoRequest(),
        to(one, "fe80::ff:fe00:202") / ICMPv6EchoRequest(),
        to("02:00:00:00:02:03", "fe80::ff:fe00:203") / ICMPv6EchoRequest(),
        to("33:33:00:00:00:01", "ff02::1") / ICMPv6EchoRequest(),
        to(group, "ff02::1:ff00:201", hlim=255) / ICMPv6ND_NS(tgt="fe80::ff:fe00:201"),
        to(one, "2001:db8::1", nh=59),
        to(one, "2001:db8::1") / IPv6ExtHdrFragment(m=1) / (b"x" * 16),
        to(one, "2001:db8::1", version=4) / ICMPv6EchoRequest(),
    ]
    frames = [Frame.parse(bytes(packet)) for packet in (*packets, *reversed(packets))]
    verdicts = hold(lab, "c/eth0", frames, engine)
    assert verdicts.counts["taken"] >= 6
    outcome = lab.compile(engine).forward(FrameBatch.from_frames(frames[2:5], devices=["c/eth0"]))
    told = [{path: drop.name if drop else None for path, drop, _, _ in outcome.ends(n)} for n in range(3)]
    assert told[0] == {"s3/m3": "IPV6DISABLED"}
    assert {path for path, drop in told[1].items() if drop is None} == {"root/v", "s1/m1", "s2/m2"}
    assert told[2] == {"root/v": None, "s1/m1": None}


def test_containers_with_ipv6_are_still_alike() -> None:
    """Each listens to a group of its own; the rules are asked for all of them at once."""
    lines = ["sysctl -qw net.ipv6.conf.all.disable_ipv6=0", "ip netns add c"]
    lines += ["ip link add v type veth peer name eth0 netns c", "ip link set v up", "ip -n c link set eth0 up"]
    for n in range(40):
        lines += [f"ip netns add s{n}", f"ip netns exec s{n} sysctl -qw net.ipv6.conf.all.disable_ipv6=0"]
        lines += [f"ip link add link v name i0 netns s{n} type macvlan mode bridge", f"ip -n s{n} link set i0 up"]
    lab = Lab(script="\n".join([*lines, "sleep 3"]))
    macs = [lab.network.device(f"s{n}/i0").mac for n in range(40)]
    frames = [Frame(mac, 0x0200_0000_0001, 0x86DD, bytes(60)) for mac in macs]
    frames += [Frame(0x3333_FF00_0000 | mac & 0xFF_FFFF, 0x0200_0000_0001, 0x86DD, bytes(60)) for mac in macs]
    pipeline = lab.compile("numpy")
    outcome = pipeline.forward(FrameBatch.from_frames(frames, devices=["c/eth0"]))
    assert {path for path, drop, _, _ in outcome.ends(57) if drop is None} == {"s17/i0", "root/v"}
    assert len(pipeline.answers) < 12


def test_iptables_is_asked_about_each_packet_as_if_it_came_alone() -> None:
    """The second packet of a connection is new again: no question leaves a connection for the next."""
    lab = Lab(script=ROUTER + "iptables -A INPUT -m conntrack --ctstate NEW -p icmp -j ACCEPT; iptables -P INPUT DROP")
    frames = [Frame.parse(bytes(ip("10.0.1.1") / ICMP(id=7) / (b"x" * n))) for n in (1, 2, 3)]
    frames.append(Frame.parse(bytes(ip("10.0.1.1") / UDP(sport=9, dport=9))))
    verdicts = hold(lab, "c1/eth0", frames)
    assert verdicts.counts == {"taken": 3, "NETFILTER_DROP": 1}


def test_a_lab_without_stacks_to_ask_has_no_verdicts() -> None:
    lab = Lab(script=ROUTER)
    frame = Frame.parse(bytes(PACKETS["an unknown ethertype"]))
    outcome = lab.compile().forward(FrameBatch.from_frames([frame], devices=["c1/eth0"]))
    assert len(outcome.verdicts()) == 0
    assert not outcome.verdicts().counters()
