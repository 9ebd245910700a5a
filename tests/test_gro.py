"""Receive offload: which segments become one, which do not, when they go up, and who sees them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simvlan import Lab
from simvlan.frame import IPV4, IPV6, Frame
from simvlan.gro import Gro
from simvlan.segmentation import segments
from simvlan.stack.packet import checksum, pseudo_sum
from simvlan.stack.tcp.options import Options, encode
from simvlan.stack.tcp.segment import ACK, CWR, FIN, PSH
from tests.test_segmentation import do
from tests.test_tcp_super import MSS, NETWORK, data_at, sizes, transfer, whole

FIELDS: dict[str, int] = {"size": 100, "flags": ACK, "ident": 7, "df": 1, "ttl": 64, "dport": 81, "window": 500,
                          "ack": 1, "stamp": 5, "full_sum": 0, "six": 0}  # fmt: skip


def segment(seq: int, **changes: int) -> Frame:
    """A segment as it lies on a wire, its sum partial unless `full_sum`."""
    it = FIELDS | changes
    tcp = (80 << 16 | it["dport"]).to_bytes(4, "big") + seq.to_bytes(4, "big") + it["ack"].to_bytes(4, "big")
    tcp += bytes((0x80, it["flags"])) + it["window"].to_bytes(2, "big") + bytes(4)
    tcp += encode(Options(stamp=(it["stamp"], 1))) + bytes(n % 251 for n in range(it["size"]))
    if it["six"]:
        head6 = bytes.fromhex("60012345") + len(tcp).to_bytes(2, "big") + bytes((6, it["ttl"]))
        return Frame(1, 2, IPV6, head6 + bytes(15) + b"\1" + bytes(15) + b"\2" + tcp, csum=1)
    part = pseudo_sum(1, 2, 6, len(tcp))
    value = checksum(part.to_bytes(2, "big") + tcp) if it["full_sum"] else part
    tcp = tcp[:16] + value.to_bytes(2, "big") + tcp[18:]
    start = bytes((0x45, 0)) + (20 + len(tcp)).to_bytes(2, "big") + it["ident"].to_bytes(2, "big")
    head = bytearray(start + bytes((0x40 * it["df"], 0, it["ttl"], 6, 0, 0)) + (1 << 32 | 2).to_bytes(8, "big"))
    head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
    return Frame(1, 2, IPV4, bytes(head) + tcp, csum=0 if it["full_sum"] else 1)


def merged(frames: Sequence[Frame]) -> list[Frame]:
    """What goes up of one poll."""
    gro, up = Gro(), []
    for frame in frames:
        up += [each for each, _ in gro.take(frame, None)[0]]
    return up + [each for each, _ in gro.flush()]


# -- what becomes one -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full_sum", [0, 1])
def test_what_is_merged_is_what_a_device_would_cut_again(full_sum: int) -> None:
    """The lengths, numbers and sums of the super-packet are those whose cutting gives the segments back."""
    frames = [segment(1000 + 100 * n, ident=7 + n) for n in range(4)]
    frames.append(segment(1400, size=60, flags=ACK | PSH, ident=11))
    came = [segment(1000 + 100 * n, ident=7 + n, full_sum=full_sum) for n in range(4)]
    came.append(segment(1400, size=60, flags=ACK | PSH, ident=11, full_sum=full_sum))
    (one,) = merged(came)
    assert (one.gso_size, one.payload[33]) == (100, ACK | PSH)
    assert [piece.payload for piece in segments(one)] == [frame.payload for frame in frames]


def test_ipv6_too() -> None:
    (one,) = merged([segment(1000, six=1), segment(1100, six=1)])
    assert (one.gso_size, int.from_bytes(one.payload[4:6], "big"), len(one.payload)) == (100, 232, 272)
    assert len(merged([segment(1000, six=1), segment(1100, six=1, ttl=63)])) == 2


CHANGES = {
    "a gap": {"seq": 1101},
    "another port": {"dport": 82},
    "another TTL": {"ttl": 63},
    "no DF": {"df": 0},
    "another window": {"window": 501},
    "another acknowledgement": {"ack": 2},
    "another timestamp": {"stamp": 6},
    "ECN": {"flags": ACK | CWR},
    "longer": {"size": 101},
    "no data": {"size": 0},
    "an identification that does not count": {"ident": 9},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_its_header_could_not_tell_stays_apart(change: dict[str, int]) -> None:
    """tcp_gro_receive, inet_gro_receive: headers alike, data in order and no longer than the first."""
    first, then = {"seq": 1000, "ident": 7}, {"seq": 1100, "ident": 8}
    assert len(merged([segment(**first), segment(**then)])) == 1
    assert len(merged([segment(**first), segment(**then | change)])) == 2


def test_identifications_stay_or_count() -> None:
    """What the second segment does, the rest must do: stay (with DF only) or count."""
    for idents, packets in (((7, 7, 7), 1), ((7, 8, 9), 1), ((7, 8, 8), 2), ((7, 7, 8), 2)):
        assert len(merged([segment(1000 + 100 * n, ident=ident) for n, ident in enumerate(idents)])) == packets
    without = [segment(1000 + 100 * n, ident=7, df=0) for n in range(2)]
    assert len(merged(without)) == 2


def test_a_wrong_sum_is_left_to_tcp() -> None:
    wrong = segment(1100, full_sum=1)
    wrong.payload = wrong.payload[:-1] + b"\xff"
    assert len(merged([segment(1000, full_sum=1), wrong])) == 2


@pytest.mark.parametrize("ends", [ACK | PSH, ACK | FIN])
def test_nothing_is_waited_for_behind_an_end(ends: int) -> None:
    """PSH, FIN and a shorter segment end a super-packet: the next begins another."""
    three = [segment(1000), segment(1100, flags=ends), segment(1200)]
    assert [len(frame.payload) - 52 for frame in merged(three)] == [200, 100]
    short = [segment(1000), segment(1100, size=60), segment(1160)]
    assert [len(frame.payload) - 52 for frame in merged(short)] == [160, 100]


def test_a_super_packet_is_no_longer_than_a_packet_may_be() -> None:
    frames = [segment(1000 + 1400 * n, size=1400) for n in range(50)]
    assert [len(frame.payload) - 52 for frame in merged(frames)] == [46 * 1400, 4 * 1400]


def test_flows_wait_beside_each_other() -> None:
    frames = [segment(1000, dport=port) for port in (81, 82)] + [segment(1100, dport=port) for port in (81, 82)]
    assert [frame.gso_size for frame in merged(frames)] == [100, 100]


# -- which devices ----------------------------------------------------------------------------------------------------

CUT = "ip netns exec a ethtool -K eth0 tso off"
MERGE = "ip netns exec b ethtool -K eth0 gro on"


@pytest.mark.parametrize(
    ("lines", "at_b"),
    [((CUT, MERGE), 5 * MSS), ((CUT,), MSS), ((MERGE, CUT), 5 * MSS),
     ((CUT, MERGE, "ip netns exec b ethtool -K eth0 gro off"), MSS)],
)  # fmt: skip
def test_a_veth_merges_where_it_is_told_to(lines: tuple[str, ...], at_b: int) -> None:
    """And the other end does no TSO: only then its frames go by the polled queue (veth_skb_is_eligible_for_gro)."""
    lab = Lab(gso=True)
    do(lab, NETWORK + "\n".join(lines))
    sent, came = data_at(lab, "a/eth0"), data_at(lab, "b/eth0")
    assert len(transfer(lab, 14_480)) == 14_480
    assert sizes(sent) == [whole(MSS)] * 10
    assert sizes(came) == [whole(at_b)] * (14_480 // at_b)


def test_without_super_packets_nothing_is_merged() -> None:
    lab = Lab()
    do(lab, NETWORK + f"{CUT}\n{MERGE}")
    came = data_at(lab, "b/eth0")
    transfer(lab, 14_480)
    assert sizes(came) == [whole(MSS)] * 10


def test_counters_count_segments_without_their_ethernet_header() -> None:
    """What goes by the polled queue is counted by veth_poll, after eth_type_trans; what does not, with the header.

    Linux 6.1: 45 frames of 62,978 octets counted as 62,348.
    """
    lab = Lab(gso=True)
    do(lab, NETWORK + CUT)
    seen: list[int] = []
    one, other = lab.network.device("a/eth0"), lab.network.device("b/eth0")
    one.taps.append(lambda _now, _dev, frame, out: seen.append(len(frame)) if out else None)
    back, off = "ip netns exec a ethtool -K eth0 tso on", "ip netns exec b ethtool -K eth0 gro off"
    for line, header in ((MERGE, 14), (back, 0), (CUT, 14), (off, 0)):
        do(lab, line)
        before = one.tx_bytes, other.rx_bytes, one.tx_packets, other.rx_packets
        seen.clear()
        lab.ping("a", "10.0.0.2")
        counted = sum(seen) - header * len(seen)
        after = one.tx_bytes, other.rx_bytes, one.tx_packets, other.rx_packets
        assert [b - a for a, b in zip(before, after, strict=True)] == [counted, counted, len(seen), len(seen)]


def test_a_trace_says_what_became_of_each_segment() -> None:
    lab = Lab(gso=True)
    do(lab, NETWORK + f"{CUT}\n{MERGE}")
    with lab.record() as trace:
        transfer(lab, 14_480)
    notes = [note for step in trace for note in step.notes if "GRO" in note]
    assert len(notes) == 8  # of ten segments in two super-packets
    assert all(note.startswith("GRO adds it to frame ") for note in notes)


def test_other_receive_offloads_are_refused_by_name() -> None:
    lab = Lab(gso=True)
    lab.sh("ip link add v0 type veth peer name v1")
    run = lab.sh("for x in rx-gro-list gro; do ethtool -K v0 $x on; echo $?; done")
    assert run.stdout == "1\n0\n"
    assert "rx-gro-list on is not modelled" in run.stderr
