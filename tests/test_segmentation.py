"""Super-packets: which devices carry them whole, which cut them, and what comes of one that is cut."""

from __future__ import annotations

import shlex

import pytest

from simvlan import Lab
from simvlan.devices.device import Device
from simvlan.frame import DOT1Q, IPV4, IPV6, Frame
from simvlan.segmentation import gso_segs, longest, segments, taken_whole, wire_size
from simvlan.stack.packet import checksum, pseudo_sum
from simvlan.verdict import Drop

SIZE, EACH = 2500, 1000


def tcp4(size: int = SIZE, flags: int = 0x99, dst: int = 1, src: int = 2, each: int = EACH) -> Frame:
    """A super-packet as TSO gives it: ids from 7, sequence numbers from 1000, the sum partial."""
    ours, theirs, inner = 0x0A000001, 0x0A000002, 20 + size
    addresses = ours.to_bytes(4, "big") + theirs.to_bytes(4, "big")
    head = bytearray(bytes.fromhex("45000000000740004006") + bytes(2) + addresses)
    head[2:4] = (20 + inner).to_bytes(2, "big")
    head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
    tcp = bytearray(bytes.fromhex("00500051") + (1000).to_bytes(4, "big") + bytes(4) + bytes((0x50, flags)) + bytes(6))
    tcp[16:18] = pseudo_sum(ours, theirs, 6, inner).to_bytes(2, "big")
    return Frame(dst, src, IPV4, bytes(head) + bytes(tcp) + bytes(n % 251 for n in range(size)), csum=each)


# -- cutting ----------------------------------------------------------------------------------------------------------


def test_a_super_packet_becomes_the_segments_that_it_stands_for() -> None:
    """Lengths, ids, checksums, numbers; CWR on the first only, PSH and FIN on the last only (RFC 793, RFC 3168)."""
    whole = tcp4()
    pieces = segments(whole)
    seen = []
    for piece in pieces:
        data = piece.payload
        assert checksum(data[:20]) == 0
        assert int.from_bytes(data[2:4], "big") == len(data)
        assert int.from_bytes(data[36:38], "big") == pseudo_sum(0x0A000001, 0x0A000002, 6, len(data) - 20)
        seen.append((int.from_bytes(data[4:6], "big"), int.from_bytes(data[24:28], "big"), data[33], len(data) - 40))
    assert seen == [(7, 1000, 0x90, 1000), (8, 2000, 0x10, 1000), (9, 3000, 0x19, 500)]
    assert b"".join(piece.payload[40:] for piece in pieces) == whole.payload[40:]
    assert [(piece.csum, piece.gso_size) for piece in pieces] == [(1, 0)] * 3


def test_a_super_datagram_becomes_datagrams() -> None:
    head = bytearray(bytes.fromhex("6000000000001140") + bytes(15) + b"\1" + bytes(15) + b"\2")
    head[4:6] = (8 + 250).to_bytes(2, "big")
    udp = bytes.fromhex("00350036") + (258).to_bytes(2, "big") + bytes(2 + 250)
    lengths = []
    for piece in segments(Frame(1, 2, IPV6, bytes(head) + udp, csum=100)):
        data = piece.payload
        lengths.append((int.from_bytes(data[4:6], "big"), int.from_bytes(data[44:46], "big"), len(data) - 40))
    assert lengths == [(108, 108, 108), (108, 108, 108), (58, 58, 58)]


def test_only_what_is_marked_is_cut() -> None:
    assert len(segments(tcp4())) == 3
    assert len(segments(tcp4(each=1))) == 1


def test_sizes_are_those_of_the_wire() -> None:
    """qdisc_pkt_len_init: 54 octets of header for each segment; the longest IP packet: 40 and the payload."""
    whole, plain = tcp4(), tcp4(each=1)
    assert (gso_segs(whole), wire_size(whole), longest(whole.payload, whole.csum)) == (3, 2500 + 3 * 54, 1040)
    assert (gso_segs(plain), wire_size(plain), longest(plain.payload, plain.csum)) == (1, 2500 + 54, 2540)


# -- devices ----------------------------------------------------------------------------------------------------------

TWO = """
ip netns add a
ip netns add b
ip link add eth0 address 02:00:00:00:00:0a netns a type veth peer name eth0 address 02:00:00:00:00:0b netns b
ip -n a link set eth0 up
ip -n b link set eth0 up
"""
A, B = 0x0200_0000_000A, 0x0200_0000_000B


def world(script: str) -> Lab:
    """A lab after these commands, run without a shell."""
    lab = Lab()
    do(lab, script)
    return lab


def do(lab: Lab, script: str) -> None:
    """Run commands, one a line; `ip netns exec NS` is taken off."""
    for words in map(shlex.split, script.strip().splitlines()):
        if words[:3] == ["ip", "netns", "exec"]:
            lab.command(*words[4:], netns=words[3])
        elif words:
            lab.command(*words)


def seen_at(lab: Lab, *paths: str) -> dict[str, list[int]]:
    """From now on: the payload of each frame at these devices."""
    found: dict[str, list[int]] = {path: [] for path in paths}
    for path in paths:
        dev = lab.network.device(path)
        dev.taps.append(lambda _now, _dev, frame, _out, path=path: found[path].append(len(frame.payload) - 40))
    return found


@pytest.mark.parametrize(
    ("switched", "answer"),
    [("tso on", True), ("tso off", False), ("gso off", True), ("tx off", False), ("sg off", False)],
)
@pytest.mark.parametrize("upper", ["", "up0"])
def test_a_driver_takes_them_where_it_has_what_it_needs(switched: str, answer: bool, upper: str) -> None:
    """netif_needs_gso: TSO needs scatter-gather and checksums. A VLAN takes those from below."""
    lab = world(TWO + "ip -n a link add up0 link eth0 type vlan id 5")
    do(lab, f"ip netns exec a ethtool -K eth0 {switched}")
    if upper and switched.startswith("tso"):  # its own switch: only what it takes over comes from below
        lab.sh(f"ip netns exec a ethtool -K up0 {switched}")
    assert taken_whole(tcp4(), lab.network.device(f"a/{upper or 'eth0'}")) is answer


def sent(lab: Lab, path: str, frame: Frame) -> Drop | None:
    return lab.network.send(lab.network.device(path), frame)


@pytest.mark.parametrize(
    ("ethtool", "at_b"),
    [
        ("", [2500]),
        ("ethtool -K eth0 gso off", [2500]),
        ("ethtool -K eth0 tso off", [1000, 1000, 500]),
        ("ethtool -K eth0 tx off", [1000, 1000, 500]),
    ],
)
def test_a_veth_takes_them_whole_unless_it_is_told_otherwise(ethtool: str, at_b: list[int]) -> None:
    """veth_xmit passes the MTU by (is_skb_forwardable); without tx-tcp-segmentation they are cut before any tap."""
    lab = world(TWO + (f"ip netns exec a {ethtool}\n" if ethtool else ""))
    seen = seen_at(lab, "a/eth0", "b/eth0")
    sent(lab, "a/eth0", tcp4(dst=B, src=A))
    assert seen == {"a/eth0": at_b, "b/eth0": at_b}


def test_a_plain_frame_of_that_length_does_not_pass() -> None:
    lab = world(TWO)
    seen = seen_at(lab, "b/eth0")
    assert sent(lab, "a/eth0", tcp4(dst=B, src=A, each=1)) is Drop.PKT_TOO_BIG
    assert seen == {"b/eth0": []}


UPPER = {
    "vlan": (
        "ip -n {n} link add up0 link eth0 type vlan id 5\nip -n {n} link set up0 up",
        "a/up0",
        "b/up0",
    ),
    "macvlan": (
        "ip -n {n} link add up0 link eth0 address 02:00:00:00:01:0{n} type macvlan mode bridge"
        "\nip -n {n} link set up0 up",
        "a/up0",
        "b/up0",
    ),
    "bridge": (
        "ip -n {n} link add br0 address 02:00:00:00:01:0{n} type bridge mcast_snooping 0"
        "\nip -n {n} link set br0 up\nip -n {n} link set eth0 master br0",
        "a/br0",
        "b/br0",
    ),
}


@pytest.mark.parametrize("kind", UPPER)
@pytest.mark.parametrize("tso", ["on", "off"])
def test_what_stands_on_a_device_carries_them_and_the_lower_one_cuts(kind: str, tso: str) -> None:
    """VLANs, macvlans and bridges pass them on; a lower device without TSO cuts them, tags and all."""
    make, above, below = UPPER[kind]
    script = TWO + "\n".join(make.format(n=n) for n in "ab") + "\nsleep 31\n"
    lab = world(script + f"ip netns exec a ethtool -K eth0 tso {tso}\n")
    seen = seen_at(lab, above, "a/eth0", below)
    sender: Device = lab.network.device(above)
    target = lab.network.device(below).mac
    sent(lab, above, tcp4(dst=target, src=sender.mac))
    whole, cut = [2500], [1000, 1000, 500]
    assert seen == {above: whole, "a/eth0": whole if tso == "on" else cut, below: whole if tso == "on" else cut}


def test_between_two_macvlans_of_one_device_nothing_is_cut() -> None:
    """dev_forward_skb looks at no length of theirs, and at a plain frame's."""
    script = TWO + "".join(
        f"ip -n a link add mv{n} link eth0 address 02:00:00:00:02:0{n} mtu 600 type macvlan mode bridge\n"
        f"ip -n a link set mv{n} up\n"
        for n in (1, 2)
    )
    lab = world(script)
    seen = seen_at(lab, "a/mv2")
    sent(lab, "a/mv1", tcp4(dst=0x0200_0000_0202, src=0x0200_0000_0201))
    sent(lab, "a/mv1", tcp4(dst=0x0200_0000_0202, src=0x0200_0000_0201, each=1))
    assert seen == {"a/mv2": [2500]}


def test_a_tag_lies_on_each_piece() -> None:
    lab = world(TWO + "ip netns exec a ethtool -K eth0 tso off txvlan off\n")
    tags: list[tuple[tuple[int, int], ...]] = []
    lab.network.device("b/eth0").taps.append(lambda _now, _dev, frame, _out: tags.append(frame.tags))
    sent(lab, "a/eth0", tcp4(dst=B, src=A).with_accel(DOT1Q << 16 | 5))
    assert tags == [((DOT1Q, 5),)] * 3


# -- queues and cables ------------------------------------------------------------------------------------------------


def test_a_queue_counts_what_they_stand_for() -> None:
    """bstats_update: three packets, three headers (qdisc_pkt_len_init)."""
    lab = world(TWO + "tc -n a qdisc add dev eth0 root netem delay 1ms\n")
    seen = seen_at(lab, "b/eth0")
    before = lab.network.device("a/eth0").qdisc.stats(lab.now)
    sent(lab, "a/eth0", tcp4(dst=B, src=A))
    lab.run(until_ns=lab.now + 10_000_000)
    after = lab.network.device("a/eth0").qdisc.stats(lab.now)
    assert (after.packets - before.packets, after.bytes - before.bytes) == (3, 2500 + 3 * 54)
    assert seen == {"b/eth0": [2500]}


@pytest.mark.parametrize(("burst", "at_b"), [(1600, [1000, 1000, 500]), (5000, [2500])])
def test_a_bucket_cuts_what_is_longer_than_it(burst: int, at_b: list[int]) -> None:
    """tbf_segment."""
    lab = world(TWO + f"tc -n a qdisc add dev eth0 root tbf rate 10mbit burst {burst} limit 30000\n")
    seen = seen_at(lab, "b/eth0")
    sent(lab, "a/eth0", tcp4(dst=B, src=A))
    lab.run(until_ns=lab.now + 1_000_000_000)
    assert seen == {"b/eth0": at_b}


def test_what_may_be_damaged_is_cut_first() -> None:
    lab = world(TWO + "tc -n a qdisc add dev eth0 root netem corrupt 0.001%\n")
    seen = seen_at(lab, "b/eth0")
    sent(lab, "a/eth0", tcp4(dst=B, src=A))
    assert seen == {"b/eth0": [1000, 1000, 500]}


def test_a_modelled_cable_carries_frames() -> None:
    """A packet socket at the sender sees the whole, as with TSO in hardware; the other end what was on the wire."""
    lab = world(TWO)
    lab.link("a/eth0", delay_ns=1_000_000)
    seen = seen_at(lab, "a/eth0", "b/eth0")
    sent(lab, "a/eth0", tcp4(dst=B, src=A))
    lab.run(until_ns=lab.now + 10_000_000)
    assert seen == {"a/eth0": [2500], "b/eth0": [1000, 1000, 500]}


# -- routers ----------------------------------------------------------------------------------------------------------

ROUTER = """
ip netns add a
ip netns add r
ip netns add b
ip link add eth0 address 02:00:00:00:00:0a netns a type veth peer name eth0 address 02:00:00:00:00:01 netns r
ip link add eth1 address 02:00:00:00:00:02 netns r type veth peer name eth0 address 02:00:00:00:00:0b netns b
ip -n r addr add 10.0.0.254/24 dev eth0
ip -n r addr add 10.0.1.254/24 dev eth1
ip netns exec r sysctl -qw net.ipv4.ip_forward=1
ip -n a link set eth0 up
ip -n r link set eth0 up
ip -n b link set eth0 up
ip -n r link set eth1 up mtu {mtu}
ip -n r neigh add 10.0.1.2 lladdr 02:00:00:00:00:0b dev eth1
ip -n r neigh add 10.0.0.1 lladdr 02:00:00:00:00:0a dev eth0
"""


@pytest.mark.parametrize(("mtu", "at_b"), [(1040, [2500]), (1039, [])])
def test_a_router_looks_at_the_longest_segment(mtu: int, at_b: list[int]) -> None:
    """ip_exceeds_mtu with skb_gso_validate_network_len: 1,000 octets of payload make packets of 1,040."""
    lab = world(ROUTER.format(mtu=mtu))
    frame = tcp4(dst=0x0200_0000_0001, src=A)
    head = bytearray(frame.payload[:20])
    head[16:20] = bytes((10, 0, 1, 2))
    head[10:12] = b"\0\0"
    head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
    frame.payload = bytes(head) + frame.payload[20:]
    seen = seen_at(lab, "b/eth0", "a/eth0")
    lab.network.arrive(lab.network.device("r/eth0"), frame)
    assert seen["b/eth0"] == at_b
    assert bool(seen["a/eth0"]) is not bool(at_b)  # fragmentation needed: ICMP says so
