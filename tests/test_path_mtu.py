"""TCP when the MTU of its path falls: what a router dropped is cut and sent again, a device's own MTU costs nothing."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from simvlan import Lab
from simvlan.oracle.observation import Captured
from simvlan.stack.ipaddr import parse_ip
from simvlan.stack.ipv6.addr import parse_ip6
from tests.kernel.tcp_seen import sent
from tests.test_segmentation import do

OCTETS = 300_000
WRITE = 16_384
DELAY_NS, SECOND = 400_000_000, 1_000_000_000
HOSTS = """
ip netns add a
ip netns add r
ip netns add b
ip link add eth0 netns a type veth peer name ra netns r
ip link add eth0 netns b type veth peer name rb netns r
ip netns exec a ethtool -K eth0 tso off gso off tx off
ip netns exec b ethtool -K eth0 tso off gso off tx off
ip netns exec r ethtool -K ra tso off gso off tx off
ip netns exec r ethtool -K rb tso off gso off tx off
ip -n a addr add 10.1.0.1/24 dev eth0
ip -n r addr add 10.1.0.254/24 dev ra
ip -n b addr add 10.2.0.1/24 dev eth0
ip -n r addr add 10.2.0.254/24 dev rb
ip -n a addr add fd01::1/64 dev eth0 nodad
ip -n r addr add fd01::fe/64 dev ra nodad
ip -n b addr add fd02::1/64 dev eth0 nodad
ip -n r addr add fd02::fe/64 dev rb nodad
ip -n a link set eth0 up
ip -n r link set ra up
ip -n r link set rb up
ip -n b link set eth0 up
ip -n a route add default via 10.1.0.254
ip -n b route add default via 10.2.0.254
ip -n a -6 route add default via fd01::fe
ip -n b -6 route add default via fd02::fe
ip netns exec r sysctl -qw net.ipv4.ip_forward=1
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
sleep 1
ip netns exec a ping -c 1 10.2.0.1
ip netns exec a ping -c 1 fd02::1
tc -n a qdisc add dev eth0 root netem delay 400ms
"""


class Case(NamedTuple):
    """Where the MTU falls, for whom, what brings it back; the longest segment then, what `ip route get` says."""

    address: str
    fall: str
    back: str
    longest: int
    route: str


BACK = "ip -n r link set rb mtu 1500\nip -n a route flush cache"
CASES = {
    8001: Case("10.2.0.1", "ip -n r link set rb mtu 1000", BACK, 948,
               "10.2.0.1 via 10.1.0.254 dev eth0 src 10.1.0.1 uid 0 \n    cache expires SOON mtu 1000 \n"),
    8002: Case("10.2.0.1", "ip -n a link set eth0 mtu 1300", "ip -n a link set eth0 mtu 1500", 1248,
               "10.2.0.1 via 10.1.0.254 dev eth0 src 10.1.0.1 uid 0 \n    cache \n"),
    8003: Case("fd02::1", "ip -n r link set rb mtu 1300", "ip -n r link set rb mtu 1500", 1228,
               "fd02::1 from :: via fd01::fe dev eth0 src fd01::1 metric 1024 expires SOON mtu 1300 pref medium\n"),
}  # fmt: skip


class Played(NamedTuple):
    """What was sent, what the other end has, the ICMP errors on the way."""

    data: list[tuple[int, int, str]]
    came: bytes
    errors: int


def too_big(octets: bytes) -> bool:
    """Fragmentation needed, or Packet Too Big."""
    return octets[23:24] + octets[34:36] == b"\x01\x03\x04" or octets[20:21] + octets[54:55] == b"\x3a\x02"


def play(case: Case, window: int, *, gso: bool = True) -> Played:
    """Send; let the MTU fall while this window of data is on its way to the router."""
    lab = Lab(gso=gso, ipv6=True)
    do(lab, "\n".join(line for line in HOSTS.splitlines() if not line.startswith("sleep")))
    lab.run(until_ns=lab.now + 2 * SECOND)
    family = 6 if ":" in case.address else 4
    one, two = lab.network.netns["a"].stack, lab.network.netns["b"].stack
    one.tcp_wmem = (4096, 1_000_000, 4_194_304)
    seen: list[Captured] = []
    lab.network.device("a/eth0").taps.append(
        lambda now, _dev, frame, out: seen.append((now, "out" if out else "in", bytes(frame)))
    )
    listener = two.open_tcp(family)
    listener.bind(0, 5000)
    listener.listen(5)
    came = bytearray()

    def accepted(_sock: object) -> None:
        other = listener.accept()
        if other is not None:
            other.on_receive = lambda it: came.extend(it.recv(1 << 20)) if it.readable else None

    listener.on_receive = accepted
    client = one.open_tcp(family)
    client.connect(parse_ip6(case.address) if family == 6 else parse_ip(case.address), 5000)
    start = lab.now
    lab.run(until_ns=start + DELAY_NS + 10_000_000)
    for at in range(0, OCTETS, WRITE):
        client.send(bytes(min(WRITE, OCTETS - at)))
    client.shutdown()
    lab.run(until_ns=start + (1 + window) * DELAY_NS + DELAY_NS // 2)
    do(lab, case.fall)
    lab.run(until_ns=lab.now + 60 * SECOND)
    captures = {"a.eth0": seen}
    errors = sum(way == "in" and too_big(octets) for _, way, octets in seen)
    return Played(sent(captures, "a.eth0", 5000), bytes(came), errors)


@pytest.mark.parametrize("port", [8001, 8003])
def test_what_a_router_dropped_is_cut_as_one_and_sent_again(port: int) -> None:
    """tcp_simple_retransmit: each super-packet of two long segments leaves as two of two, the last one short."""
    case = CASES[port]
    played = play(case, 2)
    assert played.came == bytes(OCTETS)
    long = played.data[0][1]
    lost = [before for before, size, _ in played.data if size == long][30:]
    again = [piece for piece in played.data if piece[1] < long]
    rest = 2 * (long - case.longest)
    sizes = [case.longest] * 2 + [case.longest] * (rest > case.longest) + [rest % case.longest]
    assert played.errors == len(lost) == 40
    assert again[0][0] == lost[0]
    assert [size for _, size, _ in again[: len(sizes)]] == sizes
    assert [flags for _, _, flags in again[:2]] == ["", "P"]
    if len(sizes) == 3:  # the rest is one segment: it says PSH only where the program pushed, not as super-packets do
        assert {flags for _, size, flags in again if size == sizes[2]} == {"", "P"}


def test_a_device_s_own_mtu_is_followed_without_any_loss() -> None:
    """tcp_sync_mss: what is cut from then on is shorter; what was sent is not sent again."""
    played = play(CASES[8002], 1)
    sizes = [size for _, size, _ in played.data]
    assert played.came == bytes(OCTETS)
    assert sum(sizes) == OCTETS
    assert set(sizes[:30]) == {1448}
    assert max(sizes[30:]) == 1248


def test_without_super_packets_each_segment_is_cut_by_itself() -> None:
    played = play(CASES[8001], 2, gso=False)
    assert played.came == bytes(OCTETS)
    again = [size for _, size, _ in played.data if size < 1448]
    assert again[:4] == [948, 500, 948, 500]
