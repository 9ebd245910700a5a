"""`FrameBatch`: many frames as equally long arrays, the batch engine's counterpart of `Frame`.

What is stored is what was on the wire: the first 64 octets of every frame in one array, the rest by reference into one
shared buffer (a memory-mapped file, say), with the time and the device of sending. Header fields are arrays parsed from
the heads when first asked for, so a pipeline pays only for the fields it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simvlan.engines.batch import octets, parse
from simvlan.engines.batch.given import each, integers, kinds, paths
from simvlan.engines.batch.parse import HEAD, I32, I64, U8, U16, U32, U64
from simvlan.errors import Unsupported
from simvlan.frame import ETH_HLEN, MAX_SIZE, Frame, FrameError, mac_text
from simvlan.table import Table

if TYPE_CHECKING:
    import os

COLUMNS = ("dst", "src", "ethertype", "tags", "ip_src", "ip_dst", "proto")
PER_FRAME = ("head", "length", "captured", "ingress", "time", "start")
DTYPES = {
    "head": np.uint8, "length": np.uint32, "captured": np.uint32,
    "ingress": np.int32, "time": np.int64, "start": np.int64, "buffer": np.uint8,
}  # fmt: skip
SHOWN = 5
"""Frames at either end that a notebook shows."""


@dataclass(eq=False, repr=False)
class FrameBatch:
    """n frames in the order in which they are sent. Arrays are C-contiguous; treat them as read-only.

    Stored, one entry per frame:
        head: uint8 (n, 64), the first 64 octets as on the wire, every tag in place, zeros after a shorter frame's end.
        length: uint32 (n), octets of the whole frame, without FCS.
        captured: uint32 (n), how many of them are known (less than `length` in a truncated capture).
        ingress: int32 (n), index into `devices`: where the frame is sent.
        time: int64 (n), ns, when it is sent.
        start: int64 (n), where the frame begins in `buffer`: octet k >= 64 is `buffer[start + k]`.
    Shared:
        buffer: uint8 (any), octets behind the heads; never copied per hop.
        devices: paths (`netns/device`) on which the frames are sent.
    Parsed from `head` when first read, each (n):
        dst, src: uint64, MACs as 48-bit integers.
        tags: uint32 (n, 2), the two outermost as `tpid << 16 | tci`, outermost first, 0: none. Deeper ones stay octets.
        ethertype: uint16, what follows those tags.
        ip_src, ip_dst: uint32, IPv4 addresses; for ARP the sender's and the target's; 0 for everything else.
        proto: uint8, the IPv4 protocol, 0 for everything else.

    `len(batch)` is n. `batch[i]` is a `Frame`; `batch[slice]`, `batch[mask]` and `batch[indices]` are batches that
    share the buffer. `a + b` appends.
    """

    head: U8
    length: U32
    captured: U32
    ingress: I32
    time: I64
    start: I64
    buffer: U8
    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, dtype in DTYPES.items():
            setattr(self, name, np.ascontiguousarray(integers(name, getattr(self, name), dtype)))
        if self.head.ndim != 2 or self.head.shape[1] != HEAD:
            raise ValueError(f"head has shape {self.head.shape}, expected (n, {HEAD}): see FrameBatch.from_octets")
        for name in PER_FRAME[1:]:
            if getattr(self, name).shape != (len(self.head),):
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected ({len(self.head)},)")

    # -- columns -----------------------------------------------------------------------------------------------------

    @cached_property
    def dst(self) -> U64:
        """Destination MACs, uint64 (n)."""
        return parse.dst(self.head)

    @cached_property
    def src(self) -> U64:
        """Source MACs, uint64 (n)."""
        return parse.src(self.head)

    @cached_property
    def tags(self) -> U32:
        """The two outermost tags, uint32 (n, 2), `tpid << 16 | tci`; 0: none."""
        return parse.tags(self.head, self.captured)

    @cached_property
    def ethertype(self) -> U16:
        """What follows the tags, uint16 (n)."""
        return parse.ethertype(self.head, self.tags)

    @cached_property
    def ip_src(self) -> U32:
        """IPv4 source (ARP: the sender's address), uint32 (n); 0: neither."""
        return parse.ip_src(self.head, self.tags, self.captured, self.ethertype)

    @cached_property
    def ip_dst(self) -> U32:
        """IPv4 destination (ARP: the target's address), uint32 (n); 0: neither."""
        return parse.ip_dst(self.head, self.tags, self.captured, self.ethertype)

    @cached_property
    def proto(self) -> U8:
        """IPv4 protocol, uint8 (n); 0: not IPv4."""
        return parse.ip_proto(self.head, self.tags, self.captured, self.ethertype)

    # -- making one --------------------------------------------------------------------------------------------------

    @classmethod
    def from_buffer(
        cls,
        buffer: Any,
        start: ArrayLike,
        captured: ArrayLike,
        *,
        length: ArrayLike | None = None,
        devices: Sequence[str] = (),
        ingress: ArrayLike = 0,
        time: ArrayLike = 0,
    ) -> FrameBatch:
        """Read frames that lie in a buffer: frame i is the `captured[i]` octets from `start[i]` on.

        `length` (default: `captured`), `ingress` and `time` (ns) are arrays of n or one value for all.

        Raises:
            FrameError: a frame of fewer than 14 octets or more than a device carries, or one outside the buffer.
            ValueError: an ingress without device, or numbers that are not whole or not one for each frame.
            TypeError: devices that are not paths.
        """
        data = as_octets(buffer)
        begin = np.atleast_1d(integers("start", start, np.int64))
        kept = each("captured", captured, len(begin), np.int64)
        full = kept if length is None else each("length", length, len(begin), np.int64)
        check_sizes(begin, kept, full, len(data))
        cap = kept.astype(np.uint32)
        head = octets.heads(data, begin, cap)
        n = len(head)
        when = each("time", time, n, np.int64)
        batch = cls(head, full.astype(np.uint32), cap, each("ingress", ingress, n, np.int32), when, begin, data)
        return batch._on(devices)

    @classmethod
    def from_octets(cls, frames: Any, sizes: ArrayLike | None = None, **where: Any) -> FrameBatch:
        """Read packed octets: uint8 (n, size), or octets laid end to end with their `sizes`, or a list of bytes.

        Other arguments as for `from_buffer`: devices, ingress, time, length.

        Raises:
            FrameError: as `from_buffer`; or `sizes` that do not add up to the octets given.
            TypeError, ValueError: as `from_buffer`; or octets without saying where each frame ends.
        """
        if isinstance(frames, np.ndarray) and frames.ndim == 2:
            return cls._of_rows(frames, sizes, **where)
        if sizes is None:
            pieces = _pieces(frames)
            return cls.from_octets(b"".join(pieces), [len(piece) for piece in pieces], **where)
        data = as_octets(frames)
        marks = octets.ends(np.atleast_1d(integers("sizes", sizes, np.int64)))
        if marks[-1] != len(data):
            raise FrameError(f"the sizes add up to {marks[-1]} octets, but {len(data)} were given")
        return cls.from_buffer(data, marks[:-1], np.diff(marks), **where)

    @classmethod
    def _of_rows(cls, frames: U8, sizes: object, **where: Any) -> FrameBatch:
        """Frames of one size, row by row."""
        if sizes is not None:
            raise ValueError("rows of octets are frames of one size: leave sizes out, or give octets laid end to end")
        data = as_octets(frames)
        n, size = frames.shape
        if size == HEAD and "length" not in where:
            return cls._of_heads(frames, **where)
        return cls.from_buffer(data, np.arange(n) * size, np.full(n, size), **where)

    @classmethod
    def _of_heads(
        cls, head: U8, *, devices: Sequence[str] = (), ingress: ArrayLike = 0, time: ArrayLike = 0
    ) -> FrameBatch:
        """Frames of 64 octets, row by row: the array is the heads, nothing is copied."""
        n = len(head)
        size, start = np.full(n, HEAD, np.uint32), np.arange(0, n * HEAD, HEAD, dtype=np.int64)
        where, when = each("ingress", ingress, n, np.int32), each("time", time, n, np.int64)
        return cls(head, size, size, where, when, start, as_octets(head), ())._on(devices)

    @classmethod
    def from_frames(cls, frames: Iterable[Frame], **where: Any) -> FrameBatch:
        """Take `Frame` objects, their accelerated tags in place. Arguments as for `from_octets`."""
        kept = kinds("frame", frames, (Frame,), "Frame objects are expected; octets go to FrameBatch.from_octets")
        return cls.from_octets(list(map(bytes, kept)), **where)

    @classmethod
    def from_scapy(cls, packets: Iterable[Any], **where: Any) -> FrameBatch:
        """Take scapy packets that begin with `Ether`; each packet's `time` (s) becomes ns unless `time` is given."""
        from scapy.layers.l2 import Dot3, Ether

        remedy = "packets that begin with Ether are expected; octets go to FrameBatch.from_octets"
        kept = kinds("packet", packets, (Ether, Dot3), remedy)
        where.setdefault("time", [round(packet.time * 1_000_000_000) for packet in kept])
        return cls.from_octets([bytes(packet) for packet in kept], **where)

    @classmethod
    def from_pcap(cls, path: str | os.PathLike[str], **where: Any) -> FrameBatch:
        """Map a pcap or pcapng file into memory; only heads are copied. See `pcapfile.read`."""
        from simvlan.engines.batch import pcapfile

        return pcapfile.read(path, **where)

    @classmethod
    def concatenate(cls, batches: Iterable[FrameBatch]) -> FrameBatch:
        """Append batches; devices are united, a buffer that several share is kept once."""
        parts = list(batches)
        if not parts:
            return cls.from_octets([])
        devices = tuple(dict.fromkeys(path for part in parts for path in part.devices))
        buffers = {id(part.buffer): part.buffer for part in parts}
        base = dict(zip(buffers, octets.ends(np.array([len(b) for b in buffers.values()])), strict=False))
        number = {path: index for index, path in enumerate(devices)}
        joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in PER_FRAME[:3]}
        return cls(
            **joined,
            ingress=np.concatenate([_renumbered(p, number) for p in parts]),
            time=np.concatenate([p.time for p in parts]),
            start=np.concatenate([p.start + base[id(p.buffer)] for p in parts]),
            buffer=next(iter(buffers.values())) if len(buffers) == 1 else np.concatenate(list(buffers.values())),
            devices=devices,
        )

    def sent_on(self, devices: Sequence[str] | str, ingress: ArrayLike = 0) -> FrameBatch:
        """Return the same frames, sent on other devices: one path, or several with an index per frame."""
        several = (devices,) if isinstance(devices, str) else devices
        return replace(self, ingress=each("ingress", ingress, len(self), np.int32), devices=())._on(several)

    def sent_at(self, time: ArrayLike) -> FrameBatch:
        """Return the same frames with other times (ns)."""
        return replace(self, time=each("time", time, len(self), np.int64))

    def _on(self, devices: Sequence[str]) -> FrameBatch:
        """Name the devices, every ingress being one of them (a batch without devices is not placed yet)."""
        self.devices = paths(devices)
        if len(self) and (self.ingress.min() < 0 or self.ingress.max() >= max(len(self.devices), 1)):
            bad = int(np.flatnonzero((self.ingress < 0) | (self.ingress >= max(len(self.devices), 1)))[0])
            raise ValueError(
                f"frame {bad} is sent on device {self.ingress[bad]} of {len(self.devices)}: "
                "ingress counts devices from 0"
            )
        return self

    # -- as a sequence -----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.head)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice | NDArray[Any] | Sequence[Any]) -> FrameBatch: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            return Frame.parse(self.octets(int(index)))
        key = index if isinstance(index, (slice, np.ndarray)) else np.asarray(index)
        if isinstance(key, np.ndarray) and not key.size:
            key = key.astype(np.intp)
        part = FrameBatch(
            **{name: getattr(self, name)[key] for name in PER_FRAME}, buffer=self.buffer, devices=self.devices
        )
        for name in COLUMNS:
            if name in self.__dict__:
                part.__dict__[name] = self.__dict__[name][key]
        return part

    def __iter__(self) -> Iterator[Frame]:
        return (self[n] for n in range(len(self)))

    def __add__(self, other: FrameBatch) -> FrameBatch:
        return FrameBatch.concatenate((self, other))

    def windows(self, size: int) -> Iterator[FrameBatch]:
        """Yield consecutive parts of at most `size` frames."""
        return (self[first : first + size] for first in range(0, len(self), size))

    # -- going out ---------------------------------------------------------------------------------------------------

    def octets(self, index: int) -> bytes:
        """Return the known octets of one frame."""
        n = range(len(self))[index]
        size, begin = int(self.captured[n]), int(self.start[n])
        rest = self.buffer[begin + HEAD : begin + size].tobytes() if size > HEAD else b""
        return self.head[n, :size].tobytes() + rest

    def packed(self) -> tuple[U8, U32]:
        """Lay the known octets end to end: uint8 (sum of sizes), and the sizes, uint32 (n)."""
        marks = octets.ends(self.captured)
        out = np.zeros(int(marks[-1]), np.uint8)
        octets.scatter(out, marks[:-1], self.head, self.buffer, self.start, self.captured)
        return out, self.captured.copy()

    def to_scapy(self) -> Any:
        """Return a scapy `PacketList` of `Ether` packets with their times (s)."""
        from scapy.layers.l2 import Ether
        from scapy.plist import PacketList
        from scapy.utils import EDecimal

        packets: list[Any] = []
        for n, time in enumerate(self.time.tolist()):
            packet = Ether(self.octets(n))
            packet.time = EDecimal(time) / 1_000_000_000
            packet.wirelen = int(self.length[n])
            packets.append(packet)
        return PacketList(packets, "FrameBatch")

    def to_pcap(self, path: str | os.PathLike[str]) -> None:
        """Write a classic pcap, nanoseconds; truncated frames keep both sizes. See `pcapfile.write_pcap`."""
        from simvlan.engines.batch import pcapfile

        pcapfile.write_pcap(path, self)

    def to_pcapng(self, path: str | os.PathLike[str]) -> None:
        """Write a pcapng with one interface per device, nanoseconds. See `pcapfile.write_pcapng`."""
        from simvlan.engines.batch import pcapfile

        pcapfile.write_pcapng(path, self)

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame, one row per frame: columns as integers, two for tags, device as category.

        Raises:
            Unsupported: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError:
            raise Unsupported("a DataFrame needs pandas: `pip install pandas`, or use the columns") from None
        data = {"time": self.time, "length": self.length, "captured": self.captured}
        data |= {name: getattr(self, name) for name in COLUMNS if name != "tags"}
        data |= {"tag_outer": self.tags[:, 0], "tag_inner": self.tags[:, 1]}
        frame = pandas.DataFrame(data)
        known = self.ingress if self.devices else np.full(len(self), -1)
        frame.insert(1, "device", pandas.Categorical.from_codes(known, categories=list(self.devices)))
        return frame

    # -- showing -----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<FrameBatch {self.summary()}>"

    def summary(self) -> str:
        """One line: how many frames and octets, when, and on which devices."""
        if not len(self):
            return "0 frames"
        span = f"{self.time.min() / 1e9:.9f} to {self.time.max() / 1e9:.9f} s"
        names = ", ".join(self.devices[:3]) + (f", ... ({len(self.devices)})" if len(self.devices) > 3 else "")
        size = int(self.length.sum(dtype=np.uint64))
        return f"{len(self):,} frames, {size:,} octets, {span}" + (f", on {names}" if names else "")

    def table(self, limit: int = 2 * SHOWN) -> Table:
        """Return the first and last frames as rows of text."""
        n = len(self)
        chosen = range(n) if n <= limit else [*range(limit // 2), *range(n - (limit - limit // 2), n)]
        return Table(self._row(index) for index in chosen)

    def _row(self, n: int) -> dict[str, Any]:
        frame = self[n : n + 1]
        return {
            "frame": n,
            "time_ns": int(frame.time[0]),
            "device": self.devices[int(frame.ingress[0])] if self.devices else "",
            "src": mac_text(int(frame.src[0])),
            "dst": mac_text(int(frame.dst[0])),
            "tags": [f"0x{tag >> 16:04x}:{tag & 0xFFF}" for tag in frame.tags[0].tolist() if tag],
            "ethertype": f"0x{frame.ethertype[0]:04x}",
            "ip_src": _ip_text(int(frame.ip_src[0])),
            "ip_dst": _ip_text(int(frame.ip_dst[0])),
            "length": int(frame.length[0]),
        }

    def _repr_html_(self) -> str:
        return f"<p>{self.summary()}</p>{self.table()._repr_html_()}"


def _ip_text(address: int) -> str:
    return ".".join(map(str, address.to_bytes(4, "big"))) if address else ""


def _renumbered(part: FrameBatch, number: dict[str, int]) -> I32:
    """Ingress of a batch as indices into the united devices."""
    if not part.devices:
        return part.ingress
    return np.array([number[path] for path in part.devices], np.int32)[part.ingress]


def as_octets(buffer: Any) -> U8:
    """Any bytes-like object or uint8 array as one run of octets, without a copy."""
    if isinstance(buffer, np.ndarray):
        if buffer.dtype != np.uint8:
            raise FrameError(f"octets are uint8, not {buffer.dtype}")
        # The same object, so that batches of one buffer know that they share it.
        return buffer if buffer.ndim == 1 else buffer.reshape(-1)
    try:
        return np.frombuffer(buffer, np.uint8)
    except TypeError:
        raise TypeError(f"octets are bytes or a uint8 array, not {buffer!r:.60}, a {type(buffer).__name__}") from None


def _pieces(frames: Any) -> list[bytes]:
    """Frames given one by one, each as bytes.

    Raises:
        ValueError: one run of octets, with nothing that says where frames end.
        TypeError: a frame that is no octets (a number or text becomes none).
    """
    if isinstance(frames, (bytes, bytearray, memoryview, np.ndarray)):
        shape = np.shape(frames) if isinstance(frames, np.ndarray) else (len(frames),)
        raise ValueError(
            f"frames has shape {shape}: an array (n, size), a list of bytes, or sizes=[...] beside octets laid end to "
            "end are expected; one frame is [frame]"
        )
    made = list(frames)
    for number, frame in enumerate(made):
        if isinstance(frame, (int, float, str, np.generic)):
            raise TypeError(f"frame {number} is {frame!r:.60}, a {type(frame).__name__}: octets (bytes) are expected")
    return [bytes(frame) for frame in made]


def check_sizes(start: I64, captured: I64, length: I64, available: int) -> None:
    """Refuse what cannot be a frame, naming the first such frame.

    Raises:
        FrameError: which frame, its size and what is allowed.
    """
    for bad, text in (
        (captured < ETH_HLEN, f"fewer than an Ethernet header ({ETH_HLEN})"),
        (length > MAX_SIZE, f"more than any device carries ({MAX_SIZE})"),
        (captured > length, "more octets are known than the frame has"),
        ((start < 0) | (start + captured > available), f"it ends outside the buffer of {available} octets"),
    ):
        if bad.any():
            n = int(np.flatnonzero(bad)[0])
            raise FrameError(f"frame {n} ({captured[n]} octets known of {length[n]}, at offset {start[n]}): {text}")
