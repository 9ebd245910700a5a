"""FrameBatch: octets in, octets out; columns against scapy and `Frame`; as a sequence; errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from simvlan.engines.batch import FrameBatch
from simvlan.engines.batch.generate import Stations
from simvlan.frame import Frame, FrameError

MACS = st.binary(min_size=6, max_size=6)
TAG = st.tuples(st.sampled_from([b"\x81\x00", b"\x88\xa8"]), st.binary(min_size=2, max_size=2)).map(b"".join)
TYPES = st.sampled_from([b"\x08\x00", b"\x08\x06", b"\x86\xdd", b"\x88\xb5", b"\x81\x00", b"\x88\xa8"])
FRAMES = st.tuples(MACS, MACS, st.lists(TAG, max_size=3).map(b"".join), TYPES, st.binary(max_size=120)).map(b"".join)
"""Frames of every kind, often with less behind the header than it promises."""


@settings(max_examples=150, deadline=None)
@given(st.lists(FRAMES, max_size=20))
def test_octets_go_in_and_come_out(frames: list[bytes]) -> None:
    batch = FrameBatch.from_octets(frames)
    assert [batch.octets(n) for n in range(len(batch))] == frames
    packed, sizes = batch.packed()
    assert packed.tobytes() == b"".join(frames)
    assert sizes.tolist() == list(map(len, frames))
    again = FrameBatch.from_octets(packed, sizes)
    assert (again.head == batch.head).all()


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAMES, min_size=1, max_size=12))
def test_columns_are_what_frame_and_its_tags_say(frames: list[bytes]) -> None:
    """`Frame` reads one frame at a time; scapy, another program, reads the addresses (below)."""
    batch = FrameBatch.from_octets(frames)
    for n, frame in enumerate(map(Frame.parse, frames)):
        tags = [tpid << 16 | tci for tpid, tci in frame.tags][:2]
        rest = frames[n][12 + 4 * len(tags) :]
        assert (batch.dst[n], batch.src[n]) == (frame.dst, frame.src)
        assert batch.tags[n].tolist() == [*tags, 0, 0][:2]
        assert batch.ethertype[n] == int.from_bytes(rest[:2], "big")
        ipv4 = batch.ethertype[n] == 0x0800 and len(rest) >= 22
        arp = batch.ethertype[n] == 0x0806 and len(rest) >= 30
        assert batch.proto[n] == (rest[11] if ipv4 else 0)
        assert batch.ip_src[n] == int.from_bytes(rest[14:18] if ipv4 else rest[16:20] if arp else b"", "big")
        assert batch.ip_dst[n] == int.from_bytes(rest[18:22] if ipv4 else rest[26:30] if arp else b"", "big")


def packets() -> list[Any]:
    """One of each kind that scapy builds."""
    ether = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
    made = [
        ether / IP(src="10.0.0.1", dst="10.0.0.2") / UDP() / Raw(b"x" * 100),
        ether / Dot1Q(vlan=7, prio=3) / ARP(psrc="10.0.0.1", pdst="10.0.0.9"),
        ether / Dot1AD(vlan=8) / Dot1Q(vlan=9) / IP(src="10.0.0.1", dst="10.0.0.3", proto=89),
        ether / Dot1AD(vlan=8) / Dot1Q(vlan=9) / Dot1Q(vlan=10) / IP(src="10.0.0.1"),
        Ether(src="02:00:00:00:00:0a", dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / Raw(b""),
    ]
    for n, packet in enumerate(made):
        packet.time = n / 8
    return made


def test_scapy_goes_in_and_comes_out() -> None:
    made = packets()
    batch = FrameBatch.from_scapy(made, devices=["c1/eth0"])
    back = batch.to_scapy()
    assert [bytes(p) for p in back] == [bytes(p) for p in made]
    assert [float(p.time) for p in back] == [0, 0.125, 0.25, 0.375, 0.5]
    assert batch.time.tolist() == [0, 125_000_000, 250_000_000, 375_000_000, 500_000_000]


def test_columns_are_what_scapy_reads() -> None:
    batch = FrameBatch.from_scapy(packets())
    assert batch.dst[0] == 0x0200_0000_000B
    assert batch.src[0] == 0x0200_0000_000A
    assert batch.tags.tolist() == [
        [0, 0], [0x8100_6007, 0], [0x88A8_0008, 0x8100_0009], [0x88A8_0008, 0x8100_0009], [0, 0],
    ]  # fmt: skip
    assert batch.ethertype.tolist() == [0x0800, 0x0806, 0x0800, 0x8100, 0x88B5]
    assert batch.proto.tolist() == [17, 0, 89, 0, 0]
    assert batch.ip_src.tolist() == [0x0A00_0001, 0x0A00_0001, 0x0A00_0001, 0, 0]
    assert batch.ip_dst.tolist() == [0x0A00_0002, 0x0A00_0009, 0x0A00_0003, 0, 0]
    assert batch.length.tolist() == [len(bytes(p)) for p in packets()]


def test_dtypes_and_shapes_are_as_documented() -> None:
    batch = FrameBatch.from_scapy(packets())
    found = {name: (str(getattr(batch, name).dtype), getattr(batch, name).shape) for name in (
        "head", "length", "captured", "ingress", "time", "start", "dst", "src", "tags", "ethertype", "ip_src", "ip_dst",
        "proto",
    )}  # fmt: skip
    assert found == {
        "head": ("uint8", (5, 64)), "length": ("uint32", (5,)), "captured": ("uint32", (5,)),
        "ingress": ("int32", (5,)), "time": ("int64", (5,)), "start": ("int64", (5,)),
        "dst": ("uint64", (5,)), "src": ("uint64", (5,)), "tags": ("uint32", (5, 2)), "ethertype": ("uint16", (5,)),
        "ip_src": ("uint32", (5,)), "ip_dst": ("uint32", (5,)), "proto": ("uint8", (5,)),
    }  # fmt: skip


@given(st.lists(FRAMES, min_size=1, max_size=10), st.data())
@settings(max_examples=60, deadline=None)
def test_it_is_a_sequence(frames: list[bytes], data: Any) -> None:
    batch = FrameBatch.from_octets(frames, time=np.arange(len(frames)))
    if data.draw(st.booleans()):
        assert batch.dst is batch.dst  # read before it is cut: the columns are cut with it
        assert batch.tags is batch.tags
    key = data.draw(st.slices(len(frames)))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(frames), max_size=len(frames))))
    assert [bytes(f) for f in batch[key]] == frames[key]
    assert [bytes(f) for f in batch[mask]] == [f for f, m in zip(frames, mask, strict=True) if m]
    assert batch[key].dst.tolist() == [int.from_bytes(f[:6], "big") for f in frames[key]]
    assert batch[key].tags.tolist() == FrameBatch.from_octets(frames[key]).tags.tolist()
    assert bytes(batch[-1]) == frames[-1]
    assert [bytes(f) for f in batch + batch[key]] == frames + frames[key]
    with pytest.raises(IndexError):
        batch[len(frames)]


def test_windows_share_everything() -> None:
    batch = FrameBatch.from_octets(np.zeros((10, 100), np.uint8))
    parts = list(batch.windows(4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert all(part.buffer is batch.buffer and np.shares_memory(part.head, batch.head) for part in parts)
    assert FrameBatch.concatenate(parts).buffer is batch.buffer


def test_appending_unites_the_devices() -> None:
    one = FrameBatch.from_octets([bytes(14)] * 2, devices=["a/x", "b/x"], ingress=[0, 1])
    two = FrameBatch.from_octets([bytes(14)] * 2, devices=["b/x", "c/x"], ingress=[0, 1])
    both = one + two
    assert both.devices == ("a/x", "b/x", "c/x")
    assert both.ingress.tolist() == [0, 1, 1, 2]


def test_sent_elsewhere_and_at_another_time() -> None:
    batch = FrameBatch.from_octets([bytes(14)] * 3).sent_on(["a/x", "b/x"], [0, 1, 0]).sent_at([5, 6, 7])
    assert (batch.devices, batch.ingress.tolist(), batch.time.tolist()) == (("a/x", "b/x"), [0, 1, 0], [5, 6, 7])
    assert batch.sent_on("c/y").devices == ("c/y",)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: FrameBatch.from_octets([bytes(60), bytes(13)]), "frame 1 .*fewer than an Ethernet header"),
        (lambda: FrameBatch.from_octets([bytes(70_000)]), "frame 0 .*more than any device carries"),
        (lambda: FrameBatch.from_octets(bytes(60), [20, 30]), "add up to 50 octets, but 60"),
        (lambda: FrameBatch.from_buffer(bytes(60), [0, 40], [20, 21]), "frame 1 .*outside the buffer of 60"),
        (lambda: FrameBatch.from_buffer(bytes(60), [0], [20], length=[19]), "more octets are known"),
        (lambda: FrameBatch.from_octets(np.zeros((2, 64))), "octets are uint8, not float64"),
        (lambda: FrameBatch.from_octets([bytes(20)] * 2, devices=["a/x"], ingress=[0, 1]), "frame 1 .*device 1 of 1"),
        (lambda: FrameBatch.from_octets([bytes(20)] * 2, time=[1, 2, 3]), r"time has shape \(3,\)"),
        (lambda: two(time=[0.5, 1.0]), r"time is float64, integers .*np.rint\(seconds \* 1e9\)"),
        (lambda: two(time=1.0), "time is float64, integers"),
        (lambda: two(time=[1, 1 << 64]), "time is object, integers"),
        (lambda: two(time=np.array([1, 1 << 63], np.uint64)), r"time\[1\] is 9223372036854775808: it must lie between"),
        (lambda: two(time=[True, False]), "time is bool, integers"),
        (lambda: two(time=["1", "2"]), "time is <U1, integers"),
        (lambda: two(devices=["a/x"], ingress=[0.0, 0.0]), "ingress is float64, .*an index into devices"),
        (lambda: two(devices=["a/x"], ingress=[0, 1 << 40]), r"ingress\[1\] is 1099511627776"),
        (lambda: two(devices=["a/x"], ingress=[[0, 0]]), r"ingress has shape \(1, 2\), expected \(2,\)"),
        (lambda: two().sent_at([0.25, 1]), "time is float64"),
        (lambda: two().sent_on("a/x", [0.0, 0.0]), "ingress is float64"),
        (lambda: two(devices="c1/eth0"), r"devices is 'c1/eth0', one path .*write devices=\['c1/eth0'\]"),
        (lambda: two(devices=["c1/eth0", 7]), r"devices\[1\] is 7, a int: paths as text"),
        (lambda: FrameBatch.from_octets(np.zeros(64, np.uint8)), r"frames has shape \(64,\): an array \(n, size\)"),
        (lambda: FrameBatch.from_octets(bytes(64)), r"frames has shape \(64,\): .*one frame is \[frame\]"),
        (lambda: FrameBatch.from_octets(np.zeros((2, 2, 64), np.uint8)), r"frames has shape \(2, 2, 64\)"),
        (lambda: FrameBatch.from_octets([60, 60]), r"frame 0 is 60, a int: octets \(bytes\) are expected"),
        (lambda: FrameBatch.from_octets(["aa" * 30]), r"frame 0 is 'aaaa.*, a str: octets \(bytes\)"),
        (lambda: FrameBatch.from_octets([bytes(60)], sizes=[60]), r"octets are bytes or a uint8 array, not \["),
        (lambda: FrameBatch.from_octets(bytes(60), [30.0, 30.0]), "sizes is float64"),
        (lambda: FrameBatch.from_octets(np.zeros((2, 60), np.uint8), [60, 60]), "leave sizes out"),
        (lambda: FrameBatch.from_buffer(bytes(60), [0.0], [20]), "start is float64"),
        (lambda: FrameBatch.from_buffer(bytes(60), [0, 20], [20]), r"captured has shape \(1,\), expected \(2,\)"),
        (lambda: FrameBatch.from_frames([bytes(60)]), "frame 0 is .*, a bytes: Frame objects .*from_octets"),
        (lambda: FrameBatch.from_scapy([Ether() / IP(), IP()]), "packet 1 is .*, a IP: .*begin with Ether"),
        (lambda: Stations.on("c1/eth0"), "devices is 'c1/eth0', one path"),
        (lambda: Stations.on(["c1/eth0"], mac=[2.0]), "mac is float64, integers .*parse_mac"),
        (lambda: Stations.on(["c1/eth0"], ip="10.0.0.1"), "ip is <U8, integers .*ip_address"),
        (lambda: Stations.on(["c1/eth0"], each=2, mac=[1]), r"mac has shape \(1,\), expected \(2,\)"),
        (lambda: Stations.on(["c1/eth0"], mac=1 << 48), "mac has 0x1000000000000: 48-bit"),
    ],
)
def test_errors_name_the_input_and_the_remedy(make: Any, text: str) -> None:
    with pytest.raises((FrameError, ValueError, TypeError), match=text):
        make()


def test_whole_numbers_of_any_width_are_taken_as_they_are() -> None:
    """The twins of the refusals above: one number for all, narrow and unsigned ones, nothing at all."""
    assert two(time=np.array([3, 250], np.uint8)).time.tolist() == [3, 250]
    assert two(time=np.uint64(7)).time.tolist() == [7, 7]
    assert two(time=-5).time.tolist() == [-5, -5]
    assert two(devices=("a/x", "b/x"), ingress=np.array([1, 0], np.int64)).ingress.tolist() == [1, 0]
    assert len(FrameBatch.from_octets([], time=[], ingress=[])) == 0
    assert Stations.on(["a/x", "b/x"], mac=[5, 6]).mac.tolist() == [5, 6]
    assert FrameBatch.from_octets(b"".join([bytes(20), bytes(30)]), [20, 30]).length.tolist() == [20, 30]


def two(**where: Any) -> FrameBatch:
    """Two frames, placed as said."""
    return FrameBatch.from_octets([bytes(20)] * 2, **where)


def test_it_shows_itself() -> None:
    batch = FrameBatch.from_scapy(packets(), devices=["c1/eth0"])
    assert repr(batch) == "<FrameBatch 5 frames, 290 octets, 0.000000000 to 0.500000000 s, on c1/eth0>"
    html = batch._repr_html_()
    assert "02:00:00:00:00:0b" in html
    assert "0x88a8:8 0x8100:9" in html
    assert "<td>10.0.0.9</td>" in html
    assert repr(FrameBatch.from_octets([])) == "<FrameBatch 0 frames>"
    assert len(FrameBatch.concatenate([batch] * 100).table()) == 10


def test_a_dataframe() -> None:
    batch = FrameBatch.from_scapy(packets(), devices=["c1/eth0"])
    pandas = pytest.importorskip("pandas", reason="pandas is in the dev extra")
    frame = batch.to_dataframe()
    assert list(frame["device"]) == ["c1/eth0"] * 5
    assert list(frame["tag_inner"]) == batch.tags[:, 1].tolist()
    assert frame["dst"].dtype == pandas.Series(batch.dst).dtype
    assert len(frame) == 5


def test_without_pandas_the_remedy_is_said(monkeypatch: Any) -> None:
    import sys

    from simvlan.errors import Unsupported

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(Unsupported, match="pip install pandas"):
        FrameBatch.from_octets([bytes(14)]).to_dataframe()
