"""Capture files as batches: what dpkt, tcpdump and tshark wrote is read right, what is written they read; faults."""

from __future__ import annotations

import itertools
import shutil
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import dpkt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simvlan.capture import PcapError
from simvlan.engines.batch import FrameBatch, pcapfile, records
from simvlan.engines.batch.generate import Stations, imix, poisson, uniform

TIMES = st.integers(0, (1 << 32) * 1_000_000_000 - 1)
FRAMES = st.lists(st.tuples(TIMES, st.binary(min_size=14, max_size=200)), max_size=40)
MAGIC = {"us": 0xA1B2C3D4, "ns": 0xA1B23C4D}


def classic(frames: list[tuple[int, bytes]], order: str, unit: str, snaplen: int = 65535) -> bytes:
    """A pcap, written here by the book."""
    out = bytearray(struct.pack(order + "IHHiIII", MAGIC[unit], 2, 4, 0, 0, snaplen, 1))
    for time, octets in frames:
        fraction = time % 1_000_000_000 // (1000 if unit == "us" else 1)
        kept = octets[:snaplen]
        out += struct.pack(order + "IIII", time // 1_000_000_000, fraction, len(kept), len(octets)) + kept
    return bytes(out)


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str, *interfaces: bytes) -> bytes:
    head = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    return head + b"".join(block(order, 1, body) for body in interfaces)


def interface(order: str, *options: bytes, link_type: int = 1) -> bytes:
    return struct.pack(order + "HHI", link_type, 0, 0) + b"".join(options)


def enhanced(order: str, number: int, ticks: int, octets: bytes, size: int | None = None) -> bytes:
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(octets), size or len(octets))
    return block(order, 6, head + octets)


def contents(batch: FrameBatch) -> list[tuple[int, bytes]]:
    return [(int(batch.time[n]), batch.octets(n)) for n in range(len(batch))]


@settings(max_examples=60, deadline=None)
@given(FRAMES, st.sampled_from("<>"), st.sampled_from(["us", "ns"]))
def test_every_kind_of_pcap_is_read(tmp_path_factory: Any, frames: Any, order: str, unit: str) -> None:
    path = tmp_path_factory.mktemp("in") / "a.pcap"
    path.write_bytes(classic(frames, order, unit))
    step = 1000 if unit == "us" else 1
    assert contents(FrameBatch.from_pcap(path)) == [(time // step * step, octets) for time, octets in frames]


@settings(max_examples=60, deadline=None)
@given(FRAMES)
def test_what_is_written_is_read_by_dpkt(tmp_path_factory: Any, frames: Any) -> None:
    folder = tmp_path_factory.mktemp("out")
    batch = FrameBatch.from_octets([octets for _, octets in frames], time=[time for time, _ in frames])
    batch.to_pcap(folder / "a.pcap")
    batch.sent_on("c1/eth0").to_pcapng(folder / "a.pcapng")
    for name, reader in (("a.pcap", dpkt.pcap.Reader), ("a.pcapng", dpkt.pcapng.Reader)):
        with open(folder / name, "rb") as file:
            assert [octets for _, octets in reader(file)] == [octets for _, octets in frames]
        assert contents(FrameBatch.from_pcap(folder / name)) == frames


def test_long_runs_and_single_sizes_are_found_alike(tmp_path: Path) -> None:
    """Runs of equal records are found at once, others one by one: the same frames either way."""
    rng = np.random.default_rng(3)
    sizes = [size for size in (60, 61, 14, 300, 64) for _ in range(int(rng.integers(1, 700)))]
    sizes += rng.integers(14, 90, 500).tolist()
    frames = [(n, bytes([n % 251]) * size) for n, size in enumerate(sizes)]
    (tmp_path / "a.pcap").write_bytes(classic(frames, "<", "ns"))
    assert contents(FrameBatch.from_pcap(tmp_path / "a.pcap")) == frames
    parts = list(pcapfile.windows(tmp_path / "a.pcap", frames=100))
    assert [len(part) for part in parts] == [100] * (len(frames) // 100) + [len(frames) % 100]
    assert list(itertools.chain.from_iterable(map(contents, parts))) == frames


@pytest.mark.parametrize("payload", ["zeros", "records", "noise"])
@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_long_mixed_files_are_followed(tmp_path: Path, payload: str, suffix: str) -> None:
    """As dpkt finds the frames, one by one; also where the payload looks like records."""
    rng = np.random.default_rng(5)
    fake = np.frombuffer(classic([(7, bytes(60))] * 20, "<", "ns")[24:], np.uint8)
    filling = {"zeros": np.zeros(1600, np.uint8), "records": fake, "noise": rng.integers(0, 256, 1600, np.uint8)}
    sizes = rng.choice([60, 61, 590, 1514], 20_000, p=[0.4, 0.2, 0.2, 0.2])
    octets = np.tile(filling[payload], 2)[:1600]
    batch = FrameBatch.from_buffer(octets, rng.integers(0, 80, len(sizes)), sizes, time=np.arange(len(sizes)))
    path = tmp_path / f"a.{suffix}"
    (batch.to_pcap if suffix == "pcap" else batch.to_pcapng)(path)
    with open(path, "rb") as file:
        expected = [frame for _, frame in (dpkt.pcap if suffix == "pcap" else dpkt.pcapng).Reader(file)]
    found = list(pcapfile.windows(path))
    assert [part.octets(n) for part in found for n in range(len(part))] == expected
    assert np.concatenate([part.time for part in found]).tolist() == list(range(len(sizes)))


def test_only_the_heads_are_copied(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(classic([(0, bytes(1500))] * 5000, "<", "ns"))
    batch = FrameBatch.concatenate(pcapfile.windows(tmp_path / "a.pcap", frames=1000))
    assert len(batch.buffer) == (tmp_path / "a.pcap").stat().st_size
    base: Any = batch.buffer
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_a_stream_needs_memory_for_its_window_only(tmp_path: Path) -> None:
    """30 MB of file, a window of 1,000 frames at a time: their heads and columns, and no more."""
    FrameBatch.from_octets(np.zeros((20_000, 1500), np.uint8)).to_pcap(tmp_path / "a.pcap")
    tracemalloc.start()
    count = sum(len(part.dst) for part in pcapfile.windows(tmp_path / "a.pcap", frames=1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 1_000_000


STREAM = """
import resource, sys
from simvlan import Lab
from simvlan.engines.batch import FrameBatch, pcapfile

path, engine = sys.argv[1:]
lab = Lab(script="ip link add br0 type bridge mcast_snooping 0; ip link set br0 up;"
          "for n in 1 2; do ip netns add c$n; ip link add v$n type veth peer name eth0 netns c$n;"
          "ip link set v$n master br0 up; ip -n c$n link set eth0 up; done")
pipeline = lab.compile(engine)
windows = pcapfile.windows(path)
pipeline.forward(next(windows).sent_on("c1/eth0")).totals()  # loads what is loaded once
used = [int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData")][0]
resource.setrlimit(resource.RLIMIT_DATA, (used + (36 << 20),) * 2)
print(sum(pipeline.forward(part.sent_on("c1/eth0")).totals()[:, 0].sum() for part in windows))
try:
    FrameBatch.from_pcap(path)
except MemoryError:
    print("too large")
"""


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_a_file_larger_than_memory_is_forwarded(tmp_path: Path, engine: str) -> None:
    """With 36 MB left, 600,000 frames pass window by window; all at once they do not fit."""
    count = 600_000
    heads = np.zeros((count, 64), np.uint8)
    heads[:, 5], heads[:, 11], heads[:, 12:14] = 2, 1, (0x88, 0xB5)
    heads[:, 0] = heads[:, 6] = 2
    FrameBatch.from_octets(heads, time=np.arange(count) * 1000).to_pcap(tmp_path / "a.pcap")
    done = subprocess.run(
        [sys.executable, "-c", STREAM, str(tmp_path / "a.pcap"), engine], capture_output=True, text=True, timeout=300
    )
    # every frame is received by v1 and, flooded, by c2
    assert done.stdout.split("\n") == [f"{2 * (count - pcapfile.WINDOW)}", "too large", ""], done.stderr


def test_a_truncated_capture_keeps_both_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(classic([(0, b"a" * 500), (1, b"b" * 40)], "<", "ns", snaplen=96))
    batch = FrameBatch.from_pcap(tmp_path / "a.pcap")
    assert batch.length.tolist() == [500, 40]
    assert batch.captured.tolist() == [96, 40]
    assert batch.octets(0) == b"a" * 96
    for name in ("b.pcap", "b.pcapng"):
        batch.to_pcap(tmp_path / name) if name == "b.pcap" else batch.to_pcapng(tmp_path / name)
        assert FrameBatch.from_pcap(tmp_path / name).length.tolist() == [500, 40]
        assert contents(FrameBatch.from_pcap(tmp_path / name)) == contents(batch)


def test_pcapng_interfaces_are_devices_with_clocks_of_their_own(tmp_path: Path) -> None:
    frame = bytes(range(60))
    data = section(
        ">",
        interface(">", option(">", 2, b"a/x")),  # microseconds by default
        interface(">", option(">", 2, b"b/x"), option(">", 9, b"\x09"), option(">", 14, struct.pack(">q", 5))),
        interface(">", option(">", 9, b"\x94")),  # 2 ** -20 s
    )
    data += enhanced(">", 0, 7, frame) + enhanced(">", 1, 7, frame) + enhanced(">", 2, 3 << 19, frame, 99)
    data += block(">", 5, bytes(12))  # interface statistics: nothing about frames
    data += section("<", interface("<", option("<", 2, b"b/x"))) + enhanced("<", 0, 1_000_000, frame)
    (tmp_path / "a.pcapng").write_bytes(data)
    batch = FrameBatch.from_pcap(tmp_path / "a.pcapng")
    assert [batch.devices[n] for n in batch.ingress] == ["a/x", "b/x", "interface-2", "b/x"]
    assert batch.time.tolist() == [7_000, 5_000_000_007, 1_500_000_000, 1_000_000_000]
    assert batch.length.tolist() == [60, 60, 99, 60]
    assert all(batch.octets(n) == frame for n in range(4))


def test_devices_survive_a_pcapng(tmp_path: Path) -> None:
    batch = FrameBatch.from_octets([bytes(60)] * 3, devices=["a/eth0.100", "b/x"], ingress=[1, 0, 1], time=[1, 2, 3])
    batch.to_pcapng(tmp_path / "a.pcapng")
    again = FrameBatch.from_pcap(tmp_path / "a.pcapng")
    assert (again.devices, again.ingress.tolist()) == (batch.devices, [1, 0, 1])
    assert FrameBatch.from_pcap(tmp_path / "a.pcapng", devices=["c/y"]).devices == ("c/y",)


def tool(name: str, *arguments: object) -> str:
    """Run one of Wireshark's or tcpdump's programs."""
    path = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (`make packages`)")
    return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=60).stdout


def traffic() -> FrameBatch:
    stations = Stations.on(["a/eth0", "b/eth0", "c/eth0"], tag=[0x8100_0064, 0, 0x8100_00C8])
    return uniform(stations, 300, np.random.default_rng(1), sizes=imix(), times=poisson(1e6))


@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_tshark_reads_what_is_written(tmp_path: Path, suffix: str) -> None:
    batch, path = traffic(), tmp_path / f"a.{suffix}"
    batch.to_pcap(path) if suffix == "pcap" else batch.to_pcapng(path)
    names = ("frame.time_epoch", "frame.len", "eth.src", "ip.dst", "udp.port", "ip.checksum.status", "_ws.malformed")
    checked = ("-o", "ip.check_checksum:TRUE")
    out = tool("tshark", "-r", path, *checked, "-T", "fields", *itertools.chain(*(("-e", name) for name in names)))
    rows = [line.split("\t") for line in out.splitlines()]
    seconds = [f"{t // 10**9}.{t % 10**9:09d}" for t in batch.time.tolist()]
    assert [row[0] for row in rows] == seconds
    assert [int(row[1]) for row in rows] == batch.length.tolist()
    assert [int(row[2].replace(":", ""), 16) for row in rows] == batch.src.tolist()
    assert [".".join(map(str, int(a).to_bytes(4, "big"))) for a in batch.ip_dst] == [row[3] for row in rows]
    assert {tuple(row[4:]) for row in rows} == {("9,9", "1", "")}  # checksum good, nothing malformed


@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_tcpdump_reads_what_is_written(tmp_path: Path, suffix: str) -> None:
    batch, path = traffic(), tmp_path / f"a.{suffix}"
    batch.to_pcap(path) if suffix == "pcap" else batch.to_pcapng(path)
    lines = tool("tcpdump", "-r", path, "-nn", "-e", "-tt", "--nano").splitlines()
    assert len(lines) == 300
    for n, line in enumerate(lines):
        assert line.startswith(f"{batch.time[n] // 10**9}.{batch.time[n] % 10**9:09d} ")
        assert f"length {batch.length[n]}: " in line
        assert ("vlan 100, p 0" in line, "vlan 200, p 0" in line) == (batch.ingress[n] == 0, batch.ingress[n] == 2)


@pytest.mark.parametrize("kind", ["pcap", "nsecpcap", "pcapng"])
def test_what_wireshark_writes_is_read(tmp_path: Path, kind: str) -> None:
    batch = traffic()
    batch.to_pcap(tmp_path / "a.pcap")
    tool("editcap", "-F", kind, "-s", 100, tmp_path / "a.pcap", tmp_path / "b")
    again = FrameBatch.from_pcap(tmp_path / "b")
    step = 1000 if kind == "pcap" else 1
    assert again.time.tolist() == (batch.time // step * step).tolist()
    assert again.length.tolist() == batch.length.tolist()
    assert [again.octets(n) for n in range(300)] == [batch.octets(n)[:100] for n in range(300)]


def test_what_tcpdump_writes_is_read(tmp_path: Path) -> None:
    batch = traffic()
    batch.to_pcap(tmp_path / "a.pcap")
    tool("tcpdump", "-r", tmp_path / "a.pcap", "-w", tmp_path / "b.pcap", "vlan", "100")
    again = FrameBatch.from_pcap(tmp_path / "b.pcap")
    assert contents(again) == [(t // 1000 * 1000, o) for t, o in contents(batch[batch.ingress == 0])]


GOOD = classic([(0, bytes(60)), (1, bytes(60))], "<", "ns")
NG = section("<", interface("<")) + enhanced("<", 0, 1, bytes(60))
FAULTS = {
    "empty": (b"", "0 octets are too few"),
    "text": (b"hello, this is not a capture", "not a pcap or pcapng file.* 68 65 6c 6c at offset 0"),
    "other link": (GOOD[:20] + b"\x65" + GOOD[21:], "link type 101 at offset 20 is not Ethernet"),
    "cut header": (GOOD[:-70], "cut short: 6 octets of a record header .* at offset 100"),
    "cut frame": (GOOD[:-10], "cut short: 66 octets of a record of 76 at offset 100"),
    "huge": (GOOD[:108] + b"\xff\xff\xff\x7f" + GOOD[112:], "record at offset 100 claims 2147483647 octets"),
    "short": (classic([(0, bytes(60)), (1, bytes(13))], "<", "ns"), "record at offset 100 keeps 13 octets of 13"),
    "more than there was": (GOOD[:112] + b"\x3b" + GOOD[113:], "record at offset 100 keeps 60 octets of 59: more than"),
    "ng magic": (NG[:8] + b"\0" + NG[9:], "section header at offset 0 has no byte-order magic"),
    "ng cut": (NG[:-4], "cut short: 88 octets of a block of 92 at offset 48"),
    "ng length": (NG[:52] + b"\x08" + NG[53:], "block at offset 48 claims 8 octets"),
    "ng no interface": (section("<") + enhanced("<", 0, 1, bytes(60)), "offset 28 is of interface 0; 0 are described"),
    "ng other link": (
        section("<", interface("<", link_type=113)) + enhanced("<", 0, 1, bytes(60)),
        "offset 48: link type 113 is not Ethernet",
    ),
    "ng simple": (section("<", interface("<")) + block("<", 3, bytes(64)), "simple packet block.*offset 48; .*editcap"),
    "ng too much": (NG[:68] + b"\x41" + NG[69:], "block at offset 48 keeps 65 octets in 92"),
    "ng option": (
        section("<", interface("<", struct.pack("<HH", 2, 40))), "interface block at offset 28 has an option of 40"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_the_file_and_the_offset(tmp_path: Path, fault: str) -> None:
    data, text = FAULTS[fault]
    (tmp_path / "bad.cap").write_bytes(data)
    with pytest.raises(PcapError, match=f"bad.cap: .*{text}"):
        FrameBatch.from_pcap(tmp_path / "bad.cap")


def test_the_files_the_faults_were_made_from_are_good(tmp_path: Path) -> None:
    for data, count in ((GOOD, 2), (NG, 1)):
        (tmp_path / "good.cap").write_bytes(data)
        assert len(FrameBatch.from_pcap(tmp_path / "good.cap")) == count
    with pytest.raises(FileNotFoundError):
        FrameBatch.from_pcap(tmp_path / "missing.pcap")


def test_frames_before_a_fault_are_streamed(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(GOOD[:-10])
    stream = pcapfile.windows(tmp_path / "a.pcap")
    assert len(next(stream)) == 1
    with pytest.raises(PcapError, match="cut short"):
        next(stream)


@pytest.mark.parametrize("time", [-1, 1 << 62])
def test_times_no_file_can_hold_are_refused(tmp_path: Path, time: int) -> None:
    with pytest.raises(PcapError, match=r"a.pcap: frame 1 is sent at"):
        FrameBatch.from_octets([bytes(14)] * 2, time=[0, time]).to_pcap(tmp_path / "a.pcap")


@pytest.mark.parametrize("large", [1 << 26, 0], ids=["numpy", "numba"])
@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=30), st.integers(1, 50))
def test_following_records_is_following_them_one_by_one(large: int, runs: list[tuple[int, int]], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "LARGE", large)
        follow(runs, limit)


def follow(runs: list[tuple[int, int]], limit: int) -> None:
    sizes = [size for size, count in runs for _ in range(count)]
    data = np.frombuffer(classic([(0, bytes(size)) for size in sizes], "<", "ns"), np.uint8)
    expected = [24 + sum(size + 16 for size in sizes[:n]) for n in range(len(sizes))]
    found: list[int] = []
    position = 24
    while position < len(data):
        part, position, complaint = records.chain(data, position, limit, records.classic("<"))
        assert not complaint
        found += part.tolist()
    assert found == expected
