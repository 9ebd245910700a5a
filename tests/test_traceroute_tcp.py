"""traceroute -T: SYNs as traceroute 2.1.2 sends them (captured on Linux 6.18), who answers, what becomes of them."""

from __future__ import annotations

import pytest

from simvlan.lab import Lab

NETWORK = """
for n in a r b; do
    ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0; ip -n $n link set lo up
done
ip link add eth0 netns a type veth peer name va netns r; ip link add eth0 netns b type veth peer name vb netns r
for d in r/va r/vb a/eth0 b/eth0; do ip -n ${d%/*} link set ${d#*/} up; done
for at in r/va/1.1 r/vb/2.1 a/eth0/1.2 b/eth0/2.2; do
    IFS=/ read -r n dev end <<<$at
    ip -n $n addr add 10.0.$end/24 dev $dev; ip -n $n addr add 2001:db8:${end%.*}::${end#*.}/64 dev $dev nodad
done
ip -n a route add default via 10.0.1.1; ip -n b route add default via 10.0.2.1
ip -n a -6 route add default via 2001:db8:1::1; ip -n b -6 route add default via 2001:db8:2::1
ip netns exec r sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
sleep 2
"""
FOUR, SIX = "10.0.2.2", "2001:db8:2::2"


@pytest.fixture(scope="module")
def lab() -> Lab:
    made = Lab(seed=1)
    assert not made.sh(NETWORK).exit
    return made


@pytest.mark.parametrize(("target", "size", "router"), [(FOUR, 60, "10.0.1.1"), (SIX, 80, "2001:db8:1::1")])
def test_a_closed_port_answers(lab: Lab, target: str, size: int, router: str) -> None:
    """Debian's printed the same lines, with other times."""
    words = ("traceroute", "-6" if ":" in target else "-4", "-T", "-n", "-q1", "-N1")
    lines = f"traceroute to {target} ({target}), 30 hops max, {size} byte packets\n 1  {router}  0.000 ms\n"
    assert lab.command(*words, target, netns="a").stdout == f"{lines} 2  {target}  0.000 ms\n"
    lab.run(until=lab.now / 1e9 + 10)


def octets(lab: Lab, *words: str) -> list[bytes]:
    """The packets of a's TCP, from the IP header on, outgoing first hop's SYN first."""
    with lab.capture("a/eth0") as seen:
        lab.command("traceroute", "-T", "-n", "-q1", "-N1", *words, netns="a")
    packets = [bytes(each)[14:] for each in seen]
    return [each for each in packets if (each[9] if each[0] >> 4 == 4 else each[6]) == 6]


def test_a_syn_has_the_real_one_s_options_and_window(lab: Lab) -> None:
    """Linux 6.18: win 5840 and mss 1460, of IPv6 5760 and 1440, then sackOK, TS, nop, wscale 2; no DF unless -F."""
    for words, at, head in (((FOUR,), 20, "0000 0106"), (("-F", FOUR), 20, "4000 0106"), (("-6", SIX), 40, "")):
        syn = octets(lab, *words)[0]
        four = at == 20
        if four:
            assert syn[6:10] == bytes.fromhex(head)
        assert syn[at + 2 : at + 4] == b"\0\x50"
        assert syn[at + 12 : at + 16] == (b"\xa0\x02" + (5840 if four else 5760).to_bytes(2, "big"))
        assert syn[at + 20 : at + 24] == b"\x02\x04" + (1460 if four else 1440).to_bytes(2, "big")
        assert syn[at + 24 : at + 28] == b"\x04\x02\x08\x0a"
        assert syn[at + 32 :] == b"\0\0\0\0\x01\x03\x03\x02"
        lab.run(until=lab.now / 1e9 + 10)


def test_a_connection_that_was_begun_is_reset(lab: Lab) -> None:
    server = lab.network.netns["b"].stack.open_tcp()
    server.bind(0, 80)
    server.listen(1)
    sent = octets(lab, FOUR)
    flags = [packet[33] for packet in sent]
    assert flags == [0x02, 0x02, 0x12, 0x04]  # two SYNs by TTL, SYN and ACK of the target, RST
    server.close()
    lab.run(until=lab.now / 1e9 + 10)


def test_nobody_there_is_told_by_the_router(lab: Lab) -> None:
    done = lab.command("traceroute", "-T", "-n", "-q1", "-m3", "10.0.2.99", netns="a")
    assert done.stdout.endswith(" 2  10.0.1.1  3000.000 ms !H\n")
