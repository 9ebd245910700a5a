"""Filters, tracking and NAT on the simulator alone: what costs nothing, what is told, what expires, what clashes."""

from __future__ import annotations

import pytest

from simvlan import Lab
from simvlan.netfilter import tcp_states
from simvlan.netfilter.tcp_states import State
from simvlan.stack.ipaddr import parse_ip

ROUTED = """
for n in a r b; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns a type veth peer name va netns r
ip link add eth0 netns b type veth peer name vb netns r
ip -n r addr add 10.0.1.1/24 dev va; ip -n r addr add 10.0.2.1/24 dev vb
ip -n a addr add 10.0.1.2/24 dev eth0; ip -n a addr add 10.0.1.3/24 dev eth0; ip -n b addr add 10.0.2.2/24 dev eth0
for d in r/va r/vb a/eth0 b/eth0; do ip -n ${d%/*} link set ${d#*/} up; done
ip -n a route add default via 10.0.1.1
ip netns exec r sysctl -qw net.ipv4.ip_forward=1
"""


@pytest.fixture
def lab() -> Lab:
    made = Lab(seed=1)
    made.sh(ROUTED)
    return made


def iptables(lab: Lab, *lines: str) -> None:
    for line in lines:
        done = lab.command("iptables", *line.split(), netns="r")
        assert not done.exit, (line, done)


def test_hooks_are_there_only_while_a_rule_could_matter(lab: Lab) -> None:
    stack = lab.network.netns["r"].stack
    assert stack.netfilter is None
    iptables(lab, "-L", "-N EMPTY", "-P FORWARD ACCEPT")
    assert stack.netfilter is None
    iptables(lab, "-A FORWARD -j EMPTY")
    assert stack.netfilter is not None
    iptables(lab, "-F")
    assert stack.netfilter is None
    iptables(lab, "-P INPUT DROP")
    assert stack.netfilter is not None


def test_the_matrix_names_chain_and_rule(lab: Lab) -> None:
    iptables(lab, "-t nat -A POSTROUTING -o vb -j MASQUERADE", "-A FORWARD -i vb -j ACCEPT", "-A FORWARD -i va -j DROP")
    cell = next(c for c in lab.matrix().cells.values() if (c.source, c.address) == ("a", "10.0.2.2"))
    assert (cell.reason, cell.device) == ("NETFILTER_DROP", "r/va")
    assert cell.sentence == "dropped by rule 2 of chain FORWARD (table filter): -A FORWARD -i va -j DROP"
    iptables(lab, "-F FORWARD", "-P FORWARD DROP")
    cell = next(c for c in lab.matrix().cells.values() if (c.source, c.address) == ("a", "10.0.2.2"))
    assert cell.sentence == "dropped by policy DROP of chain FORWARD (table filter)"
    iptables(lab, "-P FORWARD ACCEPT")
    assert next(c for c in lab.matrix().cells.values() if (c.source, c.address) == ("a", "10.0.2.2")).reached


def test_a_source_port_is_kept_where_it_is_free_and_drawn_where_it_is_not(lab: Lab) -> None:
    iptables(lab, "-t nat -A POSTROUTING -o vb -j MASQUERADE")
    server = lab.network.netns["b"].stack.open_udp()
    server.bind(0, 53)
    for address in ("10.0.1.2", "10.0.1.3"):
        client = lab.network.netns["a"].stack.open_udp()
        client.bind(parse_ip(address), 4000)
        client.send(b"?", parse_ip("10.0.2.2"), 53)
        heard = server.queue.popleft()
        assert heard.src == parse_ip("10.0.2.1")
        assert (heard.sport == 4000) == (address == "10.0.1.2")
        assert heard.sport >= 1024
        server.send(b"!", heard.src, heard.sport)
        assert client.queue.popleft().data == b"!"


@pytest.mark.parametrize(("seconds", "through"), [(29, True), (31, False)])
def test_a_connection_expires(lab: Lab, seconds: int, through: bool) -> None:
    """UDP: 30 seconds without a packet; then an answer is nobody's."""
    iptables(lab, "-A FORWARD -i vb -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A FORWARD -i vb -j DROP")
    lab.command("ip", "route", "add", "10.0.1.0/24", "via", "10.0.2.1", netns="b")
    server, client = (lab.network.netns[name].stack.open_udp() for name in "ba")
    server.bind(0, 53)
    client.send(b"?", parse_ip("10.0.2.2"), 53)
    heard = server.queue.popleft()
    lab.run(until=seconds)
    server.send(b"!", heard.src, heard.sport)
    lab.run(until=seconds + 2)
    assert bool(client.queue) is through


def test_fragments_are_put_together_and_cut_again(lab: Lab) -> None:
    """As long as the longest was; without tracking they pass one by one."""
    sizes: list[list[int]] = []
    lab.command("ip", "link", "set", "eth0", "mtu", "1000", netns="a")
    for rule in ("-A FORWARD -p tcp -j DROP", "-A FORWARD -m conntrack --ctstate INVALID -j DROP"):
        iptables(lab, "-F", rule)
        with lab.capture("r/vb") as packets:
            assert lab.command("ping", "-c", "1", "-W", "1", "-s", "3000", "10.0.2.2", netns="a").exit
        sizes.append([len(p) for p in packets if p.haslayer("IP") and p["IP"].dst == "10.0.2.2"])
    assert sizes[0] == sizes[1] == [1010, 1010, 1010, 114]


def test_a_masqueraded_connection_ends_with_its_device(lab: Lab) -> None:
    iptables(lab, "-t nat -A POSTROUTING -o vb -j MASQUERADE")
    assert lab.ping("a", "10.0.2.2", count=1).received
    conntrack = lab.network.netns["r"].stack.conntrack
    assert len(list(conntrack.listing(lab.now))) == 1
    lab.command("ip", "link", "set", "vb", "down", netns="r")
    assert not list(conntrack.listing(lab.now))


def test_a_connection_as_tracking_sees_it() -> None:
    state = State.NONE
    seen = []
    for word in (">syn", "<syn-ack", ">ack", ">fin", "<ack", "<fin", ">ack"):
        reply, kind = word[0] == "<", word[1:]
        state = tcp_states.next_state(reply, kind, state)
        seen.append(state.name)
    assert seen == ["SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT"]
    assert tcp_states.next_state(False, "syn-ack", State.NONE) is State.INVALID


def test_what_is_not_built_is_refused_by_name_and_changes_nothing(lab: Lab) -> None:
    for line, what in (("-A INPUT -m limit -j DROP", "-m limit"), ("-A INPUT -j LOG", "-j LOG"),
                       ("-t mangle -A INPUT -j DROP", "-t mangle"), ("-A INPUT -g X", "-g")):  # fmt: skip
        done = lab.command("iptables", *line.split(), netns="r")
        assert done.exit == 95
        assert f"iptables {what}" in done.stderr
    assert lab.network.netns["r"].stack.netfilter is None


def test_restore_is_all_or_nothing(lab: Lab) -> None:
    iptables(lab, "-A FORWARD -s 1.2.3.4 -j DROP")
    before = lab.command("iptables-save", "-t", "filter", netns="r").stdout
    wrong = "printf '*filter\\n:FORWARD DROP\\n-A FORWARD -j NOPE\\nCOMMIT\\n'"
    lab.sh(f"{wrong} | ip netns exec r iptables-restore || true")
    assert lab.command("iptables-save", "-t", "filter", netns="r").stdout == before
    lab.sh("printf '*filter\\n:FORWARD DROP\\n:X -\\n-A FORWARD -j X\\nCOMMIT\\n' | ip netns exec r iptables-restore")
    after = lab.command("iptables", "-S", netns="r").stdout
    assert after == "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N X\n-A FORWARD -j X\n"


@pytest.mark.parametrize(("mode", "where"), [("l2", "s"), ("l3", "s"), ("l3s", "h")])
def test_where_ipvlan_meets_the_filters_of_what_comes_in(mode: str, where: str) -> None:
    """As seen on Linux 6.1: an l3s slave's packets pass the host's PREROUTING and INPUT, and none of its own."""
    lab = Lab(seed=1)
    lab.sh(f"""
for n in w h s; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns w type veth peer name p0 netns h
ip -n w link set eth0 up; ip -n h link set p0 up
ip -n w addr add 10.0.0.9/24 dev eth0; ip -n h addr add 10.0.0.1/24 dev p0
ip -n h link add link p0 name i0 type ipvlan mode {mode}
ip -n h link set i0 netns s
ip -n s addr add 10.0.0.2/24 dev i0; ip -n s link set i0 up; ip -n s route add default dev i0
ip -n w neigh replace 10.0.0.2 lladdr $(ip -n h -j link show p0 | grep -o '"address":"[^"]*' | cut -d'"' -f4) dev eth0
for n in h s; do
    ip netns exec $n iptables -A INPUT -p icmp -j ACCEPT
    ip netns exec $n iptables -t raw -A PREROUTING -p icmp -j ACCEPT
done
""")
    assert lab.ping("w", "10.0.0.2", count=1).received
    for name in "hs":
        tables = lab.network.netns[name].stack.tables.tables
        counts = [tables[t].chains[c].rules[0].packets for t, c in (("raw", "PREROUTING"), ("filter", "INPUT"))]
        assert counts == ([1, 1] if name == where else [0, 0]), name
