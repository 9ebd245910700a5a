"""macvlan parents reassemble IPv4 multicast: rules of net/ipv4/ip_fragment.c and inet_fragment.c (Linux 6.1)."""

from __future__ import annotations

import pytest
from bench_l2 import Bench, W

from simvlan.devices.macvlan_defrag import TIMEOUT_NS, Reassembly
from simvlan.frame import BROADCAST, IPV4, Frame
from simvlan.verdict import Drop

DATA = bytes(range(200)) + bytes(200)
MF, DF = 0x2000, 0x4000


def checksum(header: bytes) -> int:
    total = sum(header[i] << 8 | header[i + 1] for i in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def packet(start: int, end: int | None, *, ident: int = 7, flags: int = 0, tos: int = 0, pad: bytes = b"") -> bytes:
    """Build a fragment of DATA from *start* to *end* (None: to its end, the last one)."""
    more = MF if end is not None else 0
    data = DATA[start:end]
    head = bytes((0x45, tos)) + (20 + len(data)).to_bytes(2, "big") + ident.to_bytes(2, "big")
    head += (flags | more | start // 8).to_bytes(2, "big") + b"\x40\x11\0\0" + b"\x0a\0\0\1" + b"\xe0\1\2\3"
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + data + pad


def frame(payload: bytes, dst: int = BROADCAST, accel: int = 0) -> Frame:
    return Frame(dst, W, IPV4, payload, accel)


def feed(*packets: bytes, table: Reassembly | None = None, now: int = 0) -> list[bytes | None]:
    """Give fragments to a table; what comes out for each."""
    table = table or Reassembly()
    results = [table.check(frame(p), now) for p in packets]
    return [None if out is None else out.payload for out in results]


WHOLE = packet(0, None)


# -- on a parent ----------------------------------------------------------------------------------------------------


def test_macvlans_and_the_host_get_one_whole_packet() -> None:
    """The parent's socket sees the fragments; a macvlan sees the packet, longer than its MTU if need be."""
    bench = Bench()
    bench.add("macvlan", "m", bench.p0, mode="bridge", mtu=100)
    bench.send(bench.w0, proto=IPV4, payload=packet(0, 200))
    assert (bench.receivers(), bench.dropped("p0")) == (["p0"], [Drop.MACVLAN_FRAGMENT])
    bench.send(bench.w0, proto=IPV4, payload=packet(200, None))
    assert bench.receivers() == ["p0", "m"]
    assert [len(f.payload) for d, w, _, f in bench.seen if (d, w) == ("p0", "in")] == [220]
    assert [f.payload for d, w, _, f in bench.seen if d == "m"] == [WHOLE]


def test_unicast_fragments_pass_one_by_one() -> None:
    bench = Bench()
    m = bench.add("macvlan", "m", bench.p0, mode="bridge")
    bench.send(bench.w0, m.mac, proto=IPV4, payload=packet(0, 200))
    assert bench.got("m") == ["HOST"]


def test_parents_of_one_namespace_share_the_table() -> None:
    """Fragments received on two parents make one packet, with the first fragment's addresses."""
    bench = Bench()
    other = bench.add("vlan", "p5", bench.p0, id=5)
    bench.add("macvlan", "m", bench.p0, mode="bridge")
    bench.add("macvlan", "n", other, mode="bridge")
    bench.send(bench.w0, proto=IPV4, payload=packet(0, 200))
    bench.send(bench.w0, proto=IPV4, payload=packet(200, None), accel=0x8100_0005)
    assert bench.receivers() == ["p0", "p5", "n"]


# -- the queue (ip_frag_queue) --------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_any_order_makes_the_packet(order: tuple[int, ...]) -> None:
    pieces = [packet(0, 80), packet(80, 160), packet(160, None)]
    assert feed(*(pieces[n] for n in order)) == [None, None, WHOLE]


def test_whole_and_malformed_packets_pass() -> None:
    """Not fragments, or not worth looking at: wrong version, header or length (ip_check_defrag)."""
    for payload in (WHOLE, WHOLE[:19], b"\x55" + packet(0, 80)[1:], b"\x44" + packet(0, 80)[1:], packet(0, 80)[:-1]):
        assert feed(payload) == [payload]


def test_other_packets_do_not_mix() -> None:
    assert feed(packet(0, 80), packet(80, None, ident=8)) == [None, None]


def test_padding_is_cut_off() -> None:
    for size in (6, 16):
        assert feed(packet(0, 80, pad=bytes(size)), packet(80, None, pad=bytes(size))) == [None, WHOLE]


def test_a_duplicate_is_ignored_even_with_other_content() -> None:
    altered = packet(0, 80)[:20] + b"x" * 80
    assert feed(packet(0, 80), altered, packet(80, None)) == [None, None, WHOLE]


def test_an_overlap_kills_the_packet() -> None:
    """RFC 5722, for IPv4 too: partly there already means all is dropped."""
    table = Reassembly()
    assert feed(packet(0, 80), packet(72, 160), packet(160, None), table=table) == [None, None, None]
    assert feed(packet(0, 160), table=table) == [WHOLE]  # what came after the kill had begun a new packet


def test_contradicting_ends_kill_the_packet() -> None:
    table = Reassembly()
    late = bytearray(packet(160, 240))
    late[6:8] = (160 // 8).to_bytes(2, "big")  # a second "last" fragment that ends elsewhere
    assert feed(packet(0, 80), packet(160, None), bytes(late), table=table) == [None, None, None]
    assert table.pending == {}


def test_nothing_lies_behind_the_last_fragment() -> None:
    table = Reassembly()
    short = bytearray(packet(80, 160))
    short[6:8] = (80 // 8).to_bytes(2, "big")
    assert feed(bytes(short), packet(160, 240), table=table) == [None, None]
    assert table.pending == {}


def test_a_middle_fragment_counts_in_eights() -> None:
    """The odd octets of a fragment that is not the last are cut off."""
    assert feed(packet(0, 85), packet(80, None)) == [None, WHOLE]


def test_after_thirty_seconds_it_is_forgotten() -> None:
    table = Reassembly()
    feed(packet(0, 80), table=table, now=0)
    assert feed(packet(80, None), table=table, now=TIMEOUT_NS) == [None]
    assert feed(packet(0, 80), table=table, now=TIMEOUT_NS) == [WHOLE]


def test_dont_fragment_stays_if_the_largest_fragment_had_it() -> None:
    [_, whole] = feed(packet(0, 240, flags=DF), packet(240, None))
    assert whole is not None
    assert whole[6:8] == b"\x40\0"
    [_, whole] = feed(packet(0, 240), packet(240, None, flags=DF))
    assert whole is not None
    assert whole[6:8] == b"\0\0"


@pytest.mark.parametrize(
    ("first", "second", "result"), [(2, 3, 3), (1, 3, 3), (2, 1, 2), (0, 2, None), (0, 3, None), (3, 3, 3), (0, 0, 0)]
)
def test_congestion_marks(first: int, second: int, result: int | None) -> None:
    """RFC 3168: one mark marks all; not-ECT mixed with any other is dropped (ip_frag_ecn_table)."""
    [_, whole] = feed(packet(0, 80, tos=first), packet(80, None, tos=second))
    assert (None if whole is None else whole[1] & 3) == result


def test_more_than_an_ip_packet_is_dropped() -> None:

    def at(start: int, more: bool) -> bytes:
        piece = bytearray(packet(0, None))
        piece[6:8] = (MF * more | start // 8).to_bytes(2, "big")
        return bytes(piece)

    for count, fits in ((163, True), (164, False)):
        results = feed(*(at(400 * n, n < count - 1) for n in range(count)))
        assert (results[-1] is not None) == fits
