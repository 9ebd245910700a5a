"""TCP's super-packets: how large they are, when they wait, what the other end makes of them."""

from __future__ import annotations

import pytest

from simvlan import Lab
from simvlan.frame import IPV4
from simvlan.stack.tcp.segment import FIN, PSH
from tests.test_segmentation import do

MSS = 1448
NETWORK = """
ip netns add a
ip netns add b
ip link add eth0 netns a type veth peer name eth0 netns b
ip -n a addr add 10.0.0.1/24 dev eth0
ip -n b addr add 10.0.0.2/24 dev eth0
ip -n a link set eth0 up
ip -n b link set eth0 up
ip netns exec a sysctl -q -w net.ipv4.tcp_wmem="4096 1000000 4194304"
"""
Sent = tuple[int, int]
"""Octets of data, octets in each segment (0: one segment)."""


def pair(*lines: str, gso: bool = True) -> Lab:
    """Two hosts and a veth, and what these lines change."""
    lab = Lab(gso=gso)
    do(lab, NETWORK + "\n".join(lines))
    return lab


def data_at(lab: Lab, path: str) -> list[tuple[int, int, int]]:
    """From now on: size, gso_size and flags of what carries data at a device."""
    seen: list[tuple[int, int, int]] = []

    def tap(_now: int, _dev: object, frame: object, _out: bool) -> None:
        octets, csum = frame.payload, frame.gso_size  # type: ignore[attr-defined]
        at = 0 if octets[0] >> 4 == 4 else 20
        if octets[9 - at // 20 * 3] == 6:
            start = 40 if at else (octets[0] & 15) * 4
            size = len(octets) - start - (octets[start + 12] >> 4) * 4
            if size > 0:
                seen.append((size, csum, octets[start + 13]))

    lab.network.device(path).taps.append(tap)
    return seen


def transfer(lab: Lab, size: int, chunk: int = 0, reader: bool = True, family: int = 4) -> bytes:
    """Send octets from a to b, written at once or in chunks; what came."""
    one, two = lab.network.netns["a"].stack, lab.network.netns["b"].stack
    listener = two.open_tcp(family)
    listener.bind(0, 5000)
    listener.listen(5)
    came = bytearray()
    ends = []

    def accepted(sock: object) -> None:
        other = listener.accept()
        if other is not None:
            ends.append(other)
            other.on_receive = lambda it: came.extend(it.recv(1 << 20)) if reader and it.readable else None

    listener.on_receive = accepted
    client = one.open_tcp(family)
    client.connect(0x0A000002 if family == 4 else 0xFD00 << 112 | 2, 5000)
    lab.run(until_ns=lab.now + 1_000_000_000)
    data = bytes(n % 251 for n in range(size))
    for at in range(0, size, chunk or size):
        assert client.send(data[at : at + (chunk or size)]) == len(data[at : at + (chunk or size)])
    lab.run(until_ns=lab.now + 20_000_000_000)
    assert bytes(came) == data[: len(came)]
    return bytes(came)


def sizes(seen: list[tuple[int, int, int]]) -> list[Sent]:
    return [(size, each) for size, each, _ in seen]


def whole(octets: int) -> Sent:
    return octets, MSS if octets > MSS else 0


def test_without_the_option_every_segment_is_a_frame() -> None:
    lab = pair(gso=False)
    seen = data_at(lab, "b/eth0")
    assert len(transfer(lab, 20_000)) == 20_000
    assert {each for _, each, _ in seen} == {0}
    assert max(size for size, _, _ in seen) == MSS


def test_never_more_than_half_the_congestion_window_at_once() -> None:
    """tcp_cwnd_test: of ten segments five and five, as Linux sends them between near hosts."""
    lab = pair()
    seen = data_at(lab, "b/eth0")
    assert len(transfer(lab, 14_480)) == 14_480
    assert sizes(seen) == [whole(5 * MSS)] * 2


@pytest.mark.parametrize(("delay", "segments"), [("40ms", [2] * 5), ("2500us", [3, 3, 3, 1]), ("2ms", [5, 5])])
def test_far_hosts_get_what_leaves_in_a_millisecond_two_segments_at_least(delay: str, segments: list[int]) -> None:
    """tcp_tso_autosize: twice the window of ten in a round trip, by 1,024, and 65,215 octets halved for each 512 us.

    The round trip known by then is that of the SYN, which waited for ARP: twice the delay.
    """
    lab = pair(f"tc -n a qdisc add dev eth0 root netem delay {delay}")
    seen = data_at(lab, "b/eth0")
    assert len(transfer(lab, 14_480)) == 14_480
    assert sizes(seen) == [whole(number * MSS) for number in segments]


@pytest.mark.parametrize(("rcvbuf", "most"), [("131072", 10), ("40000", 6)])
def test_a_buffer_holds_half_the_largest_window_in_whole_segments(rcvbuf: str, most: int) -> None:
    """tcp_xmit_size_goal: of a window of 18,980 octets 6 segments of 1,448; else the congestion window limits."""
    lab = pair(f'ip netns exec b sysctl -q -w net.ipv4.tcp_rmem="4096 {rcvbuf} {rcvbuf}"')
    seen = data_at(lab, "b/eth0")
    assert len(transfer(lab, 60_000)) == 60_000
    assert max(size for size, _, _ in seen) == most * MSS


def test_a_super_packet_says_push_and_the_end_is_in_the_last() -> None:
    """__tcp_transmit_skb: PSH on all that stand for several segments; a single one only where a write ended."""
    lab = pair()
    seen = data_at(lab, "b/eth0")
    transfer(lab, 14_480)
    transfer_end = [flags & (PSH | FIN) for _, _, flags in seen]
    assert transfer_end == [PSH, PSH]
    plain = pair(gso=False)
    seen = data_at(plain, "b/eth0")
    transfer(plain, 14_480)
    assert [flags & PSH for _, _, flags in seen] == [0] * 9 + [PSH]


def test_a_short_end_rides_along_unless_another_is_under_way() -> None:
    """tcp_mss_split_point: the rest of a write goes with the last super-packet; Nagle holds back the next one's."""
    lab = pair("tc -n a qdisc add dev eth0 root netem delay 40ms")
    seen = data_at(lab, "b/eth0")
    assert len(transfer(lab, 6000, chunk=3000)) == 6000
    assert sizes(seen) == [whole(2 * MSS), (104, 0), whole(2 * MSS), (104, 0)]


@pytest.mark.parametrize(
    ("switched", "at_a", "at_b"),
    [
        ("tso on", 5 * MSS, 5 * MSS),
        ("tso off", MSS, MSS),
        ("tso off gso off", MSS, MSS),
    ],
)
def test_a_device_without_tso_gets_segments(switched: str, at_a: int, at_b: int) -> None:
    lab = pair(f"ip netns exec a ethtool -K eth0 {switched}")
    seen = {path: data_at(lab, path) for path in ("a/eth0", "b/eth0")}
    assert len(transfer(lab, 14_480)) == 14_480
    assert max(size for size, _, _ in seen["a/eth0"]) == at_a
    assert max(size for size, _, _ in seen["b/eth0"]) == at_b


def test_the_receiver_measures_segments_not_super_packets() -> None:
    """tcp_measure_rcv_mss goes by gso_size: a full segment stays one of 1,448 octets."""
    lab = pair()
    transfer(lab, 14_480)
    conns = [sock.conn for sock in lab.network.netns["b"].stack.family_of(4).flows.values()]
    assert [conn.acks.rcv_mss for conn in conns] == [MSS]


def test_identifications_are_counted_by_segments() -> None:
    """__ip_select_ident takes gso_segs: what is cut later never repeats a number."""
    lab = pair("ip netns exec a ethtool -K eth0 tso off")
    idents: list[int] = []
    lab.network.device("b/eth0").taps.append(
        lambda _now, _dev, frame, out: (
            idents.append(int.from_bytes(frame.payload[4:6], "big")) if frame.proto == IPV4 and not out else None
        )
    )
    transfer(lab, 14_480)
    assert len(idents) == len(set(idents))
    assert idents[-10:] == list(range(idents[-10], idents[-10] + 10))


def test_what_is_lost_is_lost_whole_and_sent_again() -> None:
    """netem drops the super-packet; its segments are repeated one by one."""
    lab = pair("tc -n a qdisc add dev eth0 root netem delay 5ms loss 3%")
    seen = data_at(lab, "b/eth0")
    assert len(transfer(lab, 300_000)) == 300_000
    assert any(each for _, each, _ in seen)


def test_a_full_window_is_never_overrun() -> None:
    """A reader that reads nothing: what is sent ends where the last offered window does, inside the buffer."""
    lab = pair()
    transfer(lab, 200_000, reader=False)
    (end,) = lab.network.netns["b"].stack.family_of(4).flows.values()
    assert 65_160 < len(end.conn.recv.data) < end.conn.recv.kept <= end.conn.window.rcvbuf
    assert end.conn.window.right(end.conn.recv.nxt) == 0


def test_a_router_passes_them_and_masquerades_them() -> None:
    """Forwarding and translation keep what is left to devices: the octets arrive, super-packets on both sides."""
    lab = Lab(gso=True)
    do(
        lab,
        """
ip netns add a
ip netns add r
ip netns add b
ip link add eth0 netns a type veth peer name eth0 netns r
ip link add eth1 netns r type veth peer name eth0 netns b
ip -n a addr add 10.1.0.1/24 dev eth0
ip -n r addr add 10.1.0.254/24 dev eth0
ip -n r addr add 10.0.0.254/24 dev eth1
ip -n b addr add 10.0.0.2/24 dev eth0
ip netns exec r sysctl -q -w net.ipv4.ip_forward=1
ip -n a link set eth0 up
ip -n r link set eth0 up
ip -n r link set eth1 up
ip -n b link set eth0 up
ip -n a route add default via 10.1.0.254
ip netns exec r iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE
ip netns exec a sysctl -q -w net.ipv4.tcp_wmem="4096 1000000 4194304"
""",
    )
    seen = data_at(lab, "b/eth0")
    assert len(transfer(lab, 14_480)) == 14_480
    assert sizes(seen) == [whole(5 * MSS)] * 2
    assert {flow[2] for flow in lab.network.netns["b"].stack.family_of(4).flows} == {0x0A0000FE}


def test_ipv6_has_them_too() -> None:
    """An MSS of 1,428: the header is 20 octets longer."""
    lab = pair(
        "ip netns exec a sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=0",
        "ip netns exec b sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=0",
        "ip -n a addr add fd00::1/64 dev eth0 nodad",
        "ip -n b addr add fd00::2/64 dev eth0 nodad",
        "sleep 3",
    )
    seen = data_at(lab, "b/eth0")
    assert len(transfer(lab, 14_280, family=6)) == 14_280
    assert sizes(seen) == [(5 * 1428, 1428)] * 2


@pytest.mark.parametrize("kind", ["ipvlan mode l2", "ipvlan mode l3", "ipvlan mode l3s", "macvlan mode bridge"])
def test_children_of_one_device_hand_them_to_each_other(kind: str) -> None:
    lab = Lab(gso=True)
    do(lab, "ip netns add a\nip netns add b\nip link add d0 type dummy\nip link set d0 up\n")
    for number, name in enumerate("ab", 1):
        do(
            lab,
            f"""
ip link add up{number} link d0 type {kind}
ip link set up{number} netns {name} name eth0
ip -n {name} addr add 10.0.0.{number}/24 dev eth0
ip -n {name} link set eth0 up
ip netns exec {name} sysctl -q -w net.ipv4.tcp_wmem="4096 1000000 4194304"
""",
        )
    seen = data_at(lab, "a/eth0")
    assert len(transfer(lab, 14_480)) == 14_480
    assert sizes(seen) == [whole(5 * MSS)] * 2
