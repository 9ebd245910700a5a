"""Tracking, matches, NAT and REJECT one by one, each with its twin.

`tests/kernel/netfilter/tracking.out` is what Linux 6.1 printed of the script beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror, UDPerror
from scapy.layers.l2 import Dot1Q, Ether
from test_netfilter import ROUTED, iptables

from simvlan import Lab
from simvlan.netfilter import nat, tcp_states
from simvlan.netfilter.tcp_states import State
from simvlan.netfilter.tuples import Tuple
from simvlan.stack.ipaddr import parse_ip

SCRIPTS = Path(__file__).parent / "kernel" / "netfilter"


@pytest.fixture(scope="module")
def fresh() -> tuple[Lab, Any]:
    made = Lab(seed=1)
    made.sh(ROUTED)
    return made, made.snapshot()


@pytest.fixture
def lab(fresh: tuple[Lab, Any]) -> Lab:
    """The network of two hosts and a router, as if nothing had been there before."""
    fresh[0].restore(fresh[1])
    return fresh[0]


def at_router(lab: Lab, end: str, packet: Any) -> Any:
    """A packet in a frame for the router, from one of its neighbours."""
    macs = (lab.network.device(path).mac.to_bytes(6, "big").hex(":") for path in (f"{end}/eth0", f"r/v{end}"))
    return Ether(src=next(macs), dst=next(macs)) / packet


def sent(lab: Lab, packet: Any, end: str = "a") -> list[Any]:
    """Send a packet to the router; what that end hears of it afterwards."""
    with lab.capture(f"{end}/eth0") as heard:
        lab.send(f"{end}/eth0", at_router(lab, end, packet))
        lab.run(until=lab.now / 1e9 + 1)
    mac = lab.network.device(f"{end}/eth0").mac.to_bytes(6, "big").hex(":")
    return [frame for frame in heard if frame.haslayer(IP) and frame.dst == mac]


def test_counters_are_those_of_linux() -> None:
    """States, matches, chains and octets: the script's counters as Linux printed them."""
    done = Lab(seed=1).sh((SCRIPTS / "tracking.sh").read_text())
    assert done.stdout == (SCRIPTS / "tracking.out").read_text()


@pytest.mark.parametrize(
    ("flags", "kind"),
    [(0x02, "syn"), (0x12, "syn-ack"), (0x10, "ack"), (0x11, "fin"), (0x14, "rst"), (0x06, "rst"), (0x08, "")],
)
def test_which_kind_of_segment_flags_make(flags: int, kind: str) -> None:
    """get_conntrack_index: RST before SYN before FIN before ACK."""
    assert tcp_states.kind_of(flags) == kind


def test_a_connection_met_in_the_middle_is_taken_up() -> None:
    """nf_conntrack_tcp_loose is 1."""
    assert tcp_states.next_state(False, "ack", State.NONE) is State.ESTABLISHED
    assert tcp_states.next_state(True, "ack", State.NONE) is State.INVALID


@pytest.mark.parametrize(("gap", "after", "through"), [(1, 29, True), (1, 100, False), (3, 100, True), (3, 121, False)])
def test_an_exchange_of_more_than_two_seconds_is_a_stream(lab: Lab, gap: int, after: int, through: bool) -> None:
    """nf_conntrack_udp_packet: 30 seconds, or 120 once packets went both ways for longer than two."""
    iptables(lab, "-A FORWARD -i vb -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A FORWARD -i vb -j DROP")
    lab.command("ip", "route", "add", "10.0.1.0/24", "via", "10.0.2.1", netns="b")
    server, client = (lab.network.netns[name].stack.open_udp() for name in "ba")
    server.bind(0, 53)
    client.send(b"?", parse_ip("10.0.2.2"), 53)
    heard = server.queue.popleft()
    server.send(b"!", heard.src, heard.sport)
    lab.run(until=gap)
    client.send(b"?", parse_ip("10.0.2.2"), 53)
    client.queue.clear()
    lab.run(until=gap + after)
    server.send(b"!", heard.src, heard.sport)
    lab.run(until=gap + after + 2)
    assert bool(client.queue) is through


def test_an_error_about_a_translated_packet_quotes_what_was_sent(lab: Lab) -> None:
    iptables(lab, "-t nat -A POSTROUTING -o vb -j MASQUERADE")
    (error,) = sent(lab, IP(src="10.0.1.2", dst="10.0.2.2") / UDP(sport=4006, dport=9) / b"?")
    assert (error[IP].src, error[IP].dst, error[ICMP].type) == ("10.0.2.2", "10.0.1.2", 3)
    assert (error[IPerror].src, error[IPerror].dst, error[UDPerror].sport) == ("10.0.1.2", "10.0.2.2", 4006)
    again = IP(bytes(error[IP]))
    del again[ICMP].chksum
    assert IP(bytes(again))[ICMP].chksum == error[ICMP].chksum


@pytest.mark.parametrize("translated", [True, False])
def test_a_redirect_about_a_translated_connection_is_not_let_through(lab: Lab, translated: bool) -> None:
    """nf_nat_icmp_reply_translation: the ends would talk past the translation."""
    rule = "-t nat -A POSTROUTING -o vb -j MASQUERADE" if translated else "-A FORWARD -m conntrack --ctstate NEW"
    iptables(lab, rule)
    lab.command("ip", "route", "add", "10.0.1.0/24", "via", "10.0.2.1", netns="b")
    sent(lab, IP(src="10.0.1.2", dst="10.0.2.2") / UDP(sport=4006, dport=9) / b"?")
    here = "10.0.2.1" if translated else "10.0.1.2"
    inner = IP(src=here, dst="10.0.2.2") / UDP(sport=4006, dport=9) / b"?"
    told = IP(src="10.0.2.2", dst=here) / ICMP(type=5, code=1, gw="10.0.2.9") / inner
    drops = {step.drop.name for step in lab.trace("b/eth0", at_router(lab, "b", told)).drops}
    assert ("NETFILTER_DROP" in drops) is translated


def test_a_sum_that_comes_out_as_nothing_is_written_as_ones() -> None:
    """UDP: 0 would say that there is none (RFC 768)."""
    source, target = "10.0.1.2", "10.0.2.1"
    bare = IP(bytes(IP(src=target, dst="10.0.2.2") / UDP(sport=4000, dport=9) / b"\0\0"))
    filled = bare[UDP].chksum.to_bytes(2, "big")  # the octets that make the sum come out as nothing
    wanted = bytes(IP(src=target, dst="10.0.2.2") / UDP(sport=4000, dport=9) / filled)
    assert IP(wanted)[UDP].chksum == 0xFFFF
    before = bytes(IP(src=source, dst="10.0.2.2") / UDP(sport=4000, dport=9) / filled)
    made = Tuple(parse_ip(target), 4000, parse_ip("10.0.2.2"), 9, 17)
    assert nat.rewritten(before, False, made, nat.SRC) == wanted


@pytest.mark.parametrize(("flags", "answers"), [("S", ["RA"]), ("A", ["R"]), ("R", []), ("RA", [])])
def test_a_reset_is_not_answered_by_one(lab: Lab, flags: str, answers: list[str]) -> None:
    """nf_send_reset: RFC 9293 3.10.7.1."""
    iptables(lab, "-A FORWARD -p tcp -j REJECT --reject-with tcp-reset")
    heard = sent(lab, IP(src="10.0.1.2", dst="10.0.2.2") / TCP(sport=4005, dport=80, flags=flags, seq=5, ack=9))
    assert [str(frame[TCP].flags) for frame in heard if frame.haslayer(TCP)] == answers
    assert not [frame for frame in heard if frame.haslayer(ICMPerror)]


def test_a_copy_that_leaves_with_a_tag_is_not_asked_about() -> None:
    """bridge-nf-filter-vlan-tagged is 0 (seen on 6.1: the tagged port's copy goes, the other is dropped)."""
    lab = Lab(seed=1)
    lab.sh("""
for n in r a b c; do ip netns add $n; done
ip -n r link add br0 type bridge mcast_snooping 0 vlan_filtering 1
for n in a b c; do
    ip link add eth0 netns $n type veth peer name p$n netns r
    ip -n r link set p$n master br0 up; ip -n $n link set eth0 up
done
ip -n r link set br0 up; bridge -n r vlan add dev pb vid 1; modprobe br_netfilter
ip netns exec r sysctl -qw net.bridge.bridge-nf-call-iptables=1
ip netns exec r iptables -A FORWARD -j DROP
""")
    seen = {}
    for end in "bc":
        with lab.capture(f"{end}/eth0") as frames:
            lab.send("a/eth0", Ether(dst="ff:ff:ff:ff:ff:ff") / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=9))
        seen[end] = [frame.haslayer(Dot1Q) for frame in frames if frame.haslayer(UDP)]
    assert seen == {"b": [True], "c": []}
