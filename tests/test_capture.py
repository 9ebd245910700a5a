"""Captures against scapy and tshark-like readers: what is written is what packet sockets on the device saw."""

from __future__ import annotations

import copy
import struct
from pathlib import Path

import pytest
from scapy.utils import PcapNgReader, rdpcap

from simvlan.capture import PcapDir, PcapError, PcapFile, attach, detach, read_pcap
from simvlan.capture_ng import PcapNg
from simvlan.devices.veth import Veth, join
from simvlan.frame import Frame
from simvlan.network import Network

OCTETS = bytes.fromhex("02000000000202000000000188b5") + bytes(46)
TAGGED = bytes.fromhex("020000000002020000000001810020640800") + bytes(46)


def pair(net: Network) -> tuple[Veth, Veth]:
    """Two namespaces a and b joined by a veth, both ends up."""
    ends = []
    for name, mac in (("a", 0x020000000001), ("b", 0x020000000002)):
        ns = net.add_netns(name)
        dev = Veth("eth0", ns, mac)
        ends.append(dev)
    join(*ends)
    for index, dev in enumerate(ends, 2):
        net.register(dev, dev.netns, index)
        net.set_carrier(dev, False)
    for dev in ends:
        net.set_up(dev)
    net.drain()
    return ends[0], ends[1]


def test_one_file_per_device_frames_in_order_tags_in_place(tmp_path: Path) -> None:
    net = Network()
    captures = PcapDir(net, tmp_path)
    a, b = pair(net)
    net.send(a, Frame.parse(OCTETS))
    net.clock.advance(5_000_000_123)  # type: ignore[attr-defined]
    net.send(b, Frame.parse(TAGGED).pop_inband())  # type: ignore[arg-type]
    captures.flush()
    names = ["a.eth0.pcap", "a.lo.pcap", "b.eth0.pcap", "b.lo.pcap", "root.lo.pcap"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    seen = [(0, OCTETS), (5_000_000_123, TAGGED)]
    assert read_pcap(tmp_path / "a.eth0.pcap") == seen
    assert read_pcap(tmp_path / "b.eth0.pcap") == seen
    assert read_pcap(tmp_path / "a.lo.pcap") == []
    assert [(int(p.time * 10**9), bytes(p)) for p in rdpcap(str(tmp_path / "a.eth0.pcap"))] == seen


def test_moved_device_gets_a_file_per_place_and_a_name_used_again_appends(tmp_path: Path) -> None:
    net = Network()
    captures = PcapDir(net, tmp_path)
    a, b = pair(net)
    net.send(a, Frame.parse(OCTETS))
    net.move(a, net.netns["b"], "moved")
    net.set_up(a)
    net.send(a, Frame.parse(TAGGED))
    net.unregister(b)
    again = Veth("eth0", net.netns["a"], 0x020000000001)
    other = Veth("x", net.netns["b"], 0x020000000003)
    join(again, other)
    for dev in (again, other):
        net.register(dev, dev.netns)
        net.set_up(dev)
    net.send(again, Frame.parse(TAGGED))
    captures.flush()
    assert [octets for _, octets in read_pcap(tmp_path / "a.eth0.pcap")] == [OCTETS, TAGGED]
    assert [octets for _, octets in read_pcap(tmp_path / "b.moved.pcap")] == [TAGGED]


def test_a_new_run_replaces_an_old_file(tmp_path: Path) -> None:
    for octets in (OCTETS, TAGGED):
        file = PcapFile(str(tmp_path / "x.pcap"))
        file.add(1, octets)
        file.flush()
    assert read_pcap(tmp_path / "x.pcap") == [(1, TAGGED)]


def test_a_copied_network_writes_to_the_same_capture(tmp_path: Path) -> None:
    """A snapshot must not double the real files."""
    net = Network()
    captures = PcapDir(net, tmp_path)
    pair(net)
    later = copy.deepcopy(net)
    later.send(later.device("a/eth0"), Frame.parse(OCTETS))
    captures.flush()
    assert len(read_pcap(tmp_path / "a.eth0.pcap")) == 1


def test_detached_capture_sees_nothing_more(tmp_path: Path) -> None:
    net = Network()
    captures = PcapDir(net, tmp_path)
    a, _ = pair(net)
    detach(net, captures)
    net.send(a, Frame.parse(OCTETS))
    attach(net, captures)
    net.send(a, Frame.parse(TAGGED))
    captures.flush()
    assert [octets for _, octets in read_pcap(tmp_path / "a.eth0.pcap")] == [TAGGED]


def pcap(magic: str = "<I", data: bytes = b"", link: int = 1, value: int = 0xA1B2C3D4) -> bytes:
    return struct.pack(magic, value) + struct.pack(magic[0] + "HHiIII", 2, 4, 0, 0, 65535, link) + data


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("value", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_reads_both_orders_and_resolutions(tmp_path: Path, order: str, value: int, unit: int) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap(order + "I", struct.pack(order + "IIII", 7, 5, 60, 60) + OCTETS, value=value))
    assert read_pcap(path) == [(7_000_000_000 + 5 * unit, OCTETS)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 octets are too few for a pcap header (24)"),
        (bytes(24), "not a pcap file (it begins with 00 00 00 00)"),
        (pcap(link=101), "link type 101 is not Ethernet (1)"),
        (pcap(data=b"\1\2\3"), "cut short: 3 octets of a record header (16) at offset 24"),
        (pcap(data=struct.pack("<IIII", 0, 0, 60, 60) + bytes(59)), "59 octets of a frame of 60 at offset 40"),
        (pcap(data=struct.pack("<IIII", 0, 0, 61, 60) + bytes(61)), "record at offset 24 claims 61 octets of 60"),
        (pcap(data=struct.pack("<IIII", 0, 0, 1 << 31, 1 << 31)), "not a packet record"),
        (bytes.fromhex("0a0d0d0a") + bytes(40), "this is pcapng"),
    ],
)
def test_bad_files_are_refused_with_the_file_and_the_fault(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad.pcap"
    path.write_bytes(data)
    with pytest.raises(PcapError) as refused:
        read_pcap(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


def test_pcapng_has_an_interface_per_device_and_the_reason_beside_the_frame(tmp_path: Path) -> None:
    net = Network()
    path = tmp_path / "run.pcapng"
    with path.open("wb") as file:
        writer = PcapNg(net, file)
        a, b = pair(net)
        net.send(a, Frame.parse(OCTETS))
        net.clock.advance(1_000_000_007)  # type: ignore[attr-defined]
        net.set_down(b)
        net.drain()
        net.send(a, Frame.parse(TAGGED))
        writer.flush()
    packets = list(PcapNgReader(str(path)))
    assert [(p.sniffed_on, p.direction, int(p.time * 10**9), bytes(p)) for p in packets] == [
        ("a.eth0", 2, 0, OCTETS),
        ("b.eth0", 1, 0, OCTETS),
        ("a.eth0", 2, 1_000_000_007, TAGGED),
    ]
    comments = [[c.decode() for c in p.comments] for p in packets]
    assert comments[0] == ["frame 1, tx, veth: -> b/eth0 RX"]
    assert any(c.startswith("DROP UNHANDLED_PROTO: no protocol handler for this ethertype. ") for c in comments[1])
    assert "(not seen by packet sockets on this device)" in comments[2][0]
    assert comments[2][1].startswith("DROP NO_CARRIER: ")
