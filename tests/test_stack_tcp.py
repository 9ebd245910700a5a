"""TCP sockets of namespaces: names, errnos, ICMP, the path's MTU, what is on the wire."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
from test_stack_ping import Pair

from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import IPV4
from simvlan.rtnl import link_set
from simvlan.rtnl.sysctl import sysctl_set
from simvlan.stack.ipaddr import parse_ip
from simvlan.stack.packet import Packet
from simvlan.stack.tcp import segment as wire
from simvlan.stack.tcp.segment import ACK, RST, SYN, Segment
from simvlan.stack.tcp.socket import TcpSocket
from simvlan.stack.tcp.states import State

A, B = parse_ip("10.0.0.1"), parse_ip("10.0.0.2")


@pytest.fixture
def pair() -> Pair:
    return Pair()


def server(pair: Pair, port: int = 80, backlog: int = 5) -> TcpSocket:
    sock = pair.b.stack.open_tcp()
    sock.bind(0, port)
    sock.listen(backlog)
    return sock


def client(pair: Pair, port: int = 80) -> TcpSocket:
    sock = pair.a.stack.open_tcp()
    sock.connect(B, port)
    pair.run(0.1)
    return sock


def segments(pair: Pair) -> list[Segment]:
    """What was seen at a's end."""
    packets = [Packet(f.payload) for _, _, f in pair.seen if f.proto == IPV4]
    return [wire.decode(p.payload) for p in packets if p.proto == 6]


def refused(call: Callable[..., object], *args: object) -> int:
    with pytest.raises(OSError, match=r"\w") as error:
        call(*args)
    return error.value.errno or 0


def pump(pair: Pair, sock: TcpSocket, other: TcpSocket, data: bytes) -> bytes:
    """Send everything; what the other end reads."""
    got, left = bytearray(), data
    for _ in range(1000):
        while left and sock.writable:
            sent = sock.send(left[:50_000])
            left = left[sent:]
        pair.run(0.01)
        while other.readable and (piece := other.recv()):
            got += piece
        if len(got) == len(data):
            break
    return bytes(got)


def test_a_conversation(pair: Pair) -> None:
    listener, sock = server(pair), client(pair)
    assert sock.connected
    child = listener.accept()
    assert child is not None
    assert (child.peer, child.src, child.port) == ((A, sock.port), B, 80)
    data = bytes(range(256)) * 800
    assert pump(pair, sock, child, data) == data
    assert pump(pair, child, sock, data[::-1]) == data[::-1]
    sock.close()
    pair.run(0.1)
    assert (child.eof, child.recv()) == (True, b"")
    child.close()
    pair.run(0.1)
    assert (sock.conn.state, child.conn.state) == (State.TIME_WAIT, State.CLOSED)  # type: ignore[union-attr]
    assert not pair.b.stack.tcp.connections
    pair.run(61)
    assert not pair.a.stack.tcp.connections


def test_a_closed_port_refuses(pair: Pair) -> None:
    sock = client(pair, 81)
    assert (sock.error, sock.connected) == (errno.ECONNREFUSED, False)
    assert [s.flags for s in segments(pair)] == [SYN, RST | ACK]
    assert refused(sock.recv) == errno.ECONNREFUSED


def test_nobody_at_the_address_is_host_unreachable(pair: Pair) -> None:
    """Three ARP requests in vain, then an ICMP error from our own stack."""
    sock = pair.a.stack.open_tcp()
    sock.connect(parse_ip("10.0.0.77"), 80)
    pair.run(2)
    assert sock.error == 0
    pair.run(2)
    assert sock.error == errno.EHOSTUNREACH


def test_no_route_is_network_unreachable(pair: Pair) -> None:
    assert refused(pair.a.stack.open_tcp().connect, parse_ip("192.0.2.1"), 80) == errno.ENETUNREACH


def test_the_loopback_carries_its_own_mss(pair: Pair) -> None:
    """65495 and its window, as on Linux."""
    seen: list[Any] = []
    pair.a.devices["lo"].taps.append(lambda now, dev, frame, out: seen.append(frame))
    listener = pair.a.stack.open_tcp()
    listener.bind(parse_ip("127.0.0.1"), 5000)
    listener.listen()
    sock = pair.a.stack.open_tcp()
    sock.connect(parse_ip("127.0.0.1"), 5000)
    pair.run(0.1)
    assert sock.connected
    syn = wire.decode(Packet(seen[0].payload).payload)
    assert (syn.options.mss, syn.window) == (65_495, 65_495)
    child = listener.accept()
    assert child is not None
    assert pump(pair, sock, child, b"q" * 300_000) == b"q" * 300_000


def test_names_are_taken_once(pair: Pair) -> None:
    server(pair)
    again = pair.b.stack.open_tcp()
    assert refused(again.bind, 0, 80) == errno.EADDRINUSE
    assert refused(again.bind, A, 81) == errno.EADDRNOTAVAIL
    again.bind(B, 81)
    assert refused(again.bind, B, 82) == errno.EINVAL


def test_several_listen_where_all_agree(pair: Pair) -> None:
    """SO_REUSEPORT of both lets them share a port; each gets some of the connections, one always the same."""
    one, other, stranger = (pair.b.stack.open_tcp() for _ in range(3))
    one.reuseport = other.reuseport = stranger.reuse = True
    for sock in (one, other):
        sock.bind(0, 90)
        sock.listen(50)
    assert refused(stranger.bind, 0, 90) == errno.EADDRINUSE
    for _ in range(20):
        pair.a.stack.open_tcp().connect(B, 90)
    pair.run(0.1)
    counts = [len(sock.listener.waiting) for sock in (one, other) if sock.listener is not None]
    assert sum(counts) == 20
    assert min(counts) > 0


def test_time_wait_keeps_a_port_unless_reused(pair: Pair) -> None:
    listener = server(pair)
    sock = client(pair)
    child = listener.accept()
    assert child is not None
    child.close()
    pair.run(0.1)
    sock.close()
    listener.close()
    pair.run(0.1)
    again = pair.b.stack.open_tcp()
    assert refused(again.bind, 0, 80) == errno.EADDRINUSE
    again.reuse = True
    again.bind(0, 80)


def test_a_full_backlog_ignores_syns_until_one_is_accepted(pair: Pair) -> None:
    listener = server(pair, backlog=0)
    first, second = client(pair), client(pair)
    assert (first.connected, second.connected) == (True, False)
    assert listener.accept() is not None
    pair.run(1)
    assert second.connected


def test_a_listener_that_closes_resets_what_waited(pair: Pair) -> None:
    listener, sock = server(pair), client(pair)
    listener.close()
    pair.run(0.1)
    assert sock.error == errno.ECONNRESET
    assert client(pair).error == errno.ECONNREFUSED


def test_the_specific_listener_wins(pair: Pair) -> None:
    anyone = server(pair)
    anyone.reuse = True
    special = pair.b.stack.open_tcp()
    special.reuse = True
    pair.b.stack.tcp.bound[80].append(special)
    special.src, special.port = B, 80
    special.listen()
    client(pair)
    assert special.accept() is not None
    assert anyone.accept() is None


def test_checksums_are_partial_unless_the_device_makes_none(pair: Pair) -> None:
    server(pair)
    client(pair)
    syn = next(f for _, out, f in pair.seen if f.proto == IPV4 and out)
    assert syn.csum
    pair.dev_a.features_off = frozenset({"tx"})  # type: ignore[assignment]
    pair.seen.clear()
    assert client(pair).connected
    assert not next(f for _, out, f in pair.seen if f.proto == IPV4 and out).csum


def test_identification_and_df_are_linux_s(pair: Pair) -> None:
    server(pair)
    client(pair)
    packets = [Packet(f.payload) for _, _, f in pair.seen if f.proto == IPV4]
    assert [p.ident == 0 for p in packets] == [False, True, False]
    assert all(p.frag == 0x4000 for p in packets)


def test_a_device_with_a_smaller_mtu_bounds_the_mss(pair: Pair) -> None:
    for dev in (pair.dev_a, pair.dev_b):
        link_set(pair.net, dev, mtu=1000)
    listener, sock = server(pair), client(pair)
    child = listener.accept()
    assert child is not None
    pump(pair, sock, child, b"z" * 5000)
    assert segments(pair)[0].options.mss == 960
    assert max(len(s.payload) for s in segments(pair)) == 948


def test_a_mtu_that_falls_meanwhile_is_followed(pair: Pair) -> None:
    listener, sock = server(pair), client(pair)
    child = listener.accept()
    assert child is not None
    pump(pair, sock, child, b"z" * 5000)
    link_set(pair.net, pair.dev_a, mtu=700)
    pair.seen.clear()
    assert pump(pair, sock, child, b"y" * 5000) == b"y" * 5000
    assert max(len(s.payload) for s in segments(pair)) == 700 - 52


@pytest.mark.parametrize(
    ("key", "off", "field"),
    [("tcp_sack", 0, "sack_ok"), ("tcp_timestamps", 0, "stamp"), ("tcp_window_scaling", 0, "wscale")],
)
def test_sysctls_switch_options(pair: Pair, key: str, off: int, field: str) -> None:
    sysctl_set(pair.net, pair.a, f"net.ipv4.{key}", str(off))
    server(pair)
    assert client(pair).connected
    assert not getattr(segments(pair)[0].options, field)


def test_congestion_control_is_chosen_by_sysctl_and_others_are_refused_by_name(pair: Pair) -> None:
    sysctl_set(pair.net, pair.a, "net.ipv4.tcp_congestion_control", "reno")
    server(pair)
    sock = client(pair)
    assert sock.conn is not None
    assert sock.conn.cc.name == "reno"
    with pytest.raises(Unsupported, match="bbr"):
        sysctl_set(pair.net, pair.a, "net.ipv4.tcp_congestion_control", "bbr")
    with pytest.raises(RtnlError):
        sysctl_set(pair.net, pair.a, "net.ipv4.tcp_congestion_control", "nosuch")


def test_the_same_seed_counts_from_the_same_numbers() -> None:
    def first() -> int:
        pair = Pair()
        server(pair)
        client(pair)
        return segments(pair)[0].seq

    assert first() == first()


def test_connecting_twice_and_writing_before_are_refused(pair: Pair) -> None:
    server(pair)
    sock = pair.a.stack.open_tcp()
    assert refused(sock.send, b"x") == errno.ENOTCONN
    sock.connect(B, 80)
    pair.run(0.1)
    assert refused(sock.connect, B, 80) == errno.EISCONN
    sock.shutdown()
    assert refused(sock.send, b"x") == errno.EPIPE


def test_a_third_segment_lost_is_made_up_for_by_data(pair: Pair) -> None:
    """The server's end opens with whatever acknowledges its SYN."""
    listener = server(pair)
    sock = pair.a.stack.open_tcp()
    sock.connect(B, 80)
    pair.run(0.1)
    assert [s.flags for s in segments(pair)] == [SYN, SYN | ACK, ACK]
    child = listener.accept()
    assert child is not None
    assert pump(pair, sock, child, b"hello") == b"hello"
