"""Sockets of IPv6 and those of both families: who hears whom, whose port is whose, errors, sizes."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from simvlan.lab import Lab
from simvlan.stack.ipv6.addr import parse_ip6

TWO = """
for n in a b; do
    ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0; ip -n $n link set lo up
done
ip link add va netns a type veth peer name vb netns b
for n in a b; do ip -n $n link set v$n up; done
ip -n a addr add 2001:db8::a/64 dev va nodad; ip -n b addr add 2001:db8::b/64 dev vb nodad
ip -n a addr add 10.0.0.1/24 dev va; ip -n b addr add 10.0.0.2/24 dev vb
sleep 3
"""
A, B = parse_ip6("2001:db8::a"), parse_ip6("2001:db8::b")
B4, MAPPED_B = 0x0A00_0002, parse_ip6("::ffff:10.0.0.2")
IN4, ALL6 = (4, 0), (6, 0)


@pytest.fixture(scope="module")
def built() -> tuple[Lab, Any]:
    lab = Lab(seed=1)
    lab.sh(TWO)
    return lab, lab.snapshot()


@pytest.fixture
def pair(built: tuple[Lab, Any]) -> tuple[Lab, Any, Any]:
    """Two hosts, fresh for each test."""
    lab = built[0].restore(built[1])
    return lab, *(lab.network.netns[name].stack for name in "ab")


def listening(stack: Any, family: int, address: int = 0, port: int = 80, v6only: bool = False) -> Any:
    sock = stack.open_tcp(family)
    sock.reuse, sock.v6only = True, v6only
    sock.bind(address, port)
    sock.listen(5)
    return sock


def connected(stack: Any, family: int, address: int, port: int = 80) -> Any:
    sock = stack.open_tcp(family)
    sock.connect(address, port)
    return sock


def test_a_socket_of_both_families_takes_ipv4_as_mapped_addresses(pair: tuple[Lab, Any, Any]) -> None:
    _, a, b = pair
    server = listening(b, 6)
    four, six, mapped = connected(a, 4, B4), connected(a, 6, B), connected(a, 6, MAPPED_B)
    assert (four.connected, six.connected, mapped.connected) == (True, True, True)
    names = [sock.text(sock.peer[0]) for sock in (server.accept(), server.accept(), server.accept())]
    assert names == ["::ffff:10.0.0.1", "2001:db8::a", "::ffff:10.0.0.1"]
    assert mapped.text(mapped.peer[0]) == "::ffff:10.0.0.2"


def test_one_of_ipv6_only_does_not(pair: tuple[Lab, Any, Any]) -> None:
    _, a, b = pair
    listening(b, 6, v6only=True)
    assert connected(a, 6, B).connected
    assert connected(a, 4, B4).error == errno.ECONNREFUSED


def test_bindv6only_makes_it_so_by_itself(pair: tuple[Lab, Any, Any]) -> None:
    lab, a, b = pair
    lab.sh("ip netns exec b sysctl -qw net.ipv6.bindv6only=1")
    sock = b.open_tcp(6)
    sock.bind(0, 80)
    sock.listen()
    assert connected(a, 4, B4).error == errno.ECONNREFUSED
    assert connected(a, 6, B).connected


def test_ipv4_s_own_socket_comes_before_one_of_both(pair: tuple[Lab, Any, Any]) -> None:
    _, a, b = pair
    both, own = b.open_udp(6), b.open_udp()
    for sock in (both, own):
        sock.reuse = True
        sock.bind(0, 53)
    a.open_udp().send(b"four", B4, 53)
    a.open_udp(6).send(b"six", B, 53)
    assert ([got.data for got in own.queue], [got.data for got in both.queue]) == ([b"four"], [b"six"])


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        (ALL6, IN4, True), (IN4, ALL6, True), (ALL6, (6, B), True), (ALL6, (4, B4), True), ((6, B), IN4, False),
        (ALL6, (6, 1), True),
    ],
)  # fmt: skip
def test_whose_port_is_taken(
    pair: tuple[Lab, Any, Any], first: tuple[int, int], second: tuple[int, int], clash: bool
) -> None:
    """As the 6.18 kernel answered bind and listen of these pairs, SO_REUSEADDR set."""
    b = pair[2]
    listening(b, *first)
    if not clash:
        listening(b, *second)
        return
    with pytest.raises(OSError, match="Address already in use"):
        listening(b, *second)


def test_v6only_leaves_the_port_to_ipv4(pair: tuple[Lab, Any, Any]) -> None:
    listening(pair[2], 6, v6only=True)
    listening(pair[2], 4)


def test_udp_there_and_back_through_one_socket(pair: tuple[Lab, Any, Any]) -> None:
    _, a, b = pair
    server = b.open_udp(6)
    server.bind(0, 53)
    clients = a.open_udp(6), a.open_udp()
    clients[0].send(b"six", B, 53)
    clients[1].send(b"four", B4, 53)
    for got in list(server.queue):
        server.send(b"re " + got.data, got.src, got.sport)
    assert [server.text(got.src) for got in server.queue] == ["2001:db8::a", "::ffff:10.0.0.1"]
    assert [client.queue[0].data for client in clients] == [b"re six", b"re four"]


def test_a_closed_port_is_told(pair: tuple[Lab, Any, Any]) -> None:
    a = pair[1]
    client = a.open_udp(6)
    client.connect(B, 9)
    client.send(b"?")
    assert [problem.errno for problem in client.errors] == [errno.ECONNREFUSED]
    assert connected(a, 6, B).error == errno.ECONNREFUSED


def test_segments_leave_room_for_the_longer_header(pair: tuple[Lab, Any, Any]) -> None:
    _, a, b = pair
    listening(b, 6)
    sock = connected(a, 6, B)
    assert (sock.conn.config.mss, sock.conn.mss) == (1440, 1428)
    assert connected(a, 4, B4).conn.config.mss == 1460
    listening(a, 6, 1, 81)
    assert connected(a, 6, 1, 81).conn.config.mss == 65_476  # as Linux announces it on lo


@pytest.mark.parametrize("address", ["2001:db8::77", "fe80::1"])
def test_what_cannot_be_bound_to(pair: tuple[Lab, Any, Any], address: str) -> None:
    wanted = errno.EINVAL if address.startswith("fe80") else errno.EADDRNOTAVAIL
    for sock in (pair[1].open_tcp(6), pair[1].open_udp(6)):
        with pytest.raises(OSError) as caught:
            sock.bind(parse_ip6(address), 80)
        assert caught.value.errno == wanted


@pytest.mark.parametrize(("family", "nobody"), [(4, 0x0A00_0063), (6, A + 0x55)])
def test_a_syn_that_has_not_left_is_not_repeated(pair: tuple[Lab, Any, Any], family: int, nobody: int) -> None:
    """Three are due before the neighbour is given up, one waits: one error, going and coming by lo, as on 6.18."""
    lab, a, _ = pair
    with lab.capture("a/lo") as packets:
        sock = connected(a, family, nobody)
        lab.run(until_ns=lab.now + 5_000_000_000)
    assert (sock.error, len(packets)) == (errno.EHOSTUNREACH, 2)


def test_a_router_s_smaller_mtu_shortens_segments() -> None:
    lab = Lab(seed=1)
    lab.sh("""
        for n in a r b; do ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0; done
        ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
        ip link add va netns a type veth peer name r0 netns r; ip link add vb netns b type veth peer name r1 netns r
        ip -n a link set va up; ip -n b link set vb up; ip -n r link set r0 up; ip -n r link set r1 up
        ip -n a addr add 2001:db8:1::a/64 dev va nodad; ip -n b addr add 2001:db8:2::b/64 dev vb nodad
        ip -n r addr add 2001:db8:1::fe/64 dev r0 nodad; ip -n r addr add 2001:db8:2::fe/64 dev r1 nodad
        ip -n a -6 route add default via 2001:db8:1::fe; ip -n b -6 route add default via 2001:db8:2::fe
        sleep 3; ip -n r link set r1 mtu 1280
    """)
    a, b = (lab.network.netns[name].stack for name in "ab")
    server, client = listening(b, 6), connected(a, 6, parse_ip6("2001:db8:2::b"))
    client.send(bytes(5000))
    lab.run(until_ns=lab.now + 2_000_000_000)
    assert client.conn.mss == 1280 - 60 - 12
    assert len(server.accept().recv()) == 5000
