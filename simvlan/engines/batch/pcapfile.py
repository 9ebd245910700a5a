"""Capture files of any size: mapped into memory, only the heads copied; and batches written as pcap and pcapng.

Formats as in the IETF drafts opsawg-pcap and opsawg-pcapng: both byte orders, microseconds and nanoseconds (pcapng: any
if_tsresol and if_tsoffset), frames cut by a snap length. What is no Ethernet frame or no capture file is refused with
the file's name and the offset of the fault.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from simvlan.capture import LINKTYPE_ETHERNET, PCAP_NS, PCAP_US, PCAPNG_BLOCK, PcapError, file_header
from simvlan.capture_ng import interface, section_header
from simvlan.clock import SECOND
from simvlan.engines.batch import octets, records
from simvlan.engines.batch.frames import FrameBatch
from simvlan.engines.batch.ngblocks import ng_windows
from simvlan.engines.batch.parse import I64, U8
from simvlan.frame import FrameError

WINDOW = 1 << 16
"""Frames in a window of a stream."""

FILE_HEADER, RECORD_HEADER, PACKET_HEADER = 24, 16, 28


def read(path: str | os.PathLike[str], *, devices: Sequence[str] = (), ingress: ArrayLike = 0) -> FrameBatch:
    """Read a whole pcap or pcapng file; what lies behind the heads stays in the file.

    Without `devices`, those of a pcapng are its interfaces' names, and those of a pcap none: place the batch with
    `sent_on`. The file must not change while the batch is used.

    Raises:
        PcapError: not such a file, another link type than Ethernet, or cut short; names the file and the offset.
    """
    batch = FrameBatch.concatenate(windows(path))
    return batch.sent_on(devices, ingress) if devices else batch


def windows(path: str | os.PathLike[str], frames: int = WINDOW) -> Iterator[FrameBatch]:
    """Stream a file larger than memory as batches of at most `frames` frames, in order.

    Raises:
        PcapError: as `read`, when the stream comes to the fault; frames of earlier windows are good.
    """
    name = os.fspath(path)
    data = _mapped(name)
    try:
        if len(data) >= 4 and struct.unpack_from("<I", data.data)[0] == PCAPNG_BLOCK:
            yield from ng_windows(data, frames)
        else:
            yield from _pcap_windows(data, frames)
    except (PcapError, FrameError) as error:
        raise PcapError(f"{name}: {error}") from None


def _mapped(name: str) -> U8:
    """Map a file; an empty one cannot be mapped."""
    if os.path.getsize(name):
        return np.asarray(np.memmap(name, np.uint8, "r"))
    return np.zeros(0, np.uint8)


# -- classic pcap ----------------------------------------------------------------------------------------------------


def _pcap_windows(data: U8, frames: int) -> Iterator[FrameBatch]:
    order, unit = _header(data)
    position = FILE_HEADER
    while position < len(data):
        found, position, complaint = records.chain(data, position, frames, records.classic(order))
        if len(found):
            yield _records(data, found, order, unit)
        if complaint:
            raise PcapError(complaint)


def _header(data: U8) -> tuple[str, int]:
    """Check the file header; return byte order and the ns in one fraction unit."""
    if len(data) < FILE_HEADER:
        raise PcapError(f"{len(data)} octets are too few for a pcap header ({FILE_HEADER})")
    for order in "<>":
        magic, _, _, _, _, _, network = struct.unpack_from(order + "IHHiIII", data.data)
        if magic in (PCAP_NS, PCAP_US):
            if network & 0xFFFF != LINKTYPE_ETHERNET:
                raise PcapError(f"link type {network & 0xFFFF} at offset 20 is not Ethernet ({LINKTYPE_ETHERNET})")
            return order, 1 if magic == PCAP_NS else 1000
    raise PcapError(f"not a pcap or pcapng file: it begins with {data[:4].tobytes().hex(' ')} at offset 0")


def _records(data: U8, found: I64, order: str, unit: int) -> FrameBatch:
    """Read the packet records that begin at these offsets."""
    sec, fraction, kept, size = records.fields(data, found, order, 4)
    where = found + RECORD_HEADER
    records.check(found, kept, size)
    return FrameBatch.from_buffer(data, where, kept, length=size, time=sec * SECOND + fraction * unit)


# -- writing ---------------------------------------------------------------------------------------------------------


def write_pcap(path: str | os.PathLike[str], batch: FrameBatch, *, append: bool = False) -> None:
    """Write (or append to) a classic pcap with nanosecond times; a truncated frame keeps both its sizes.

    Raises:
        PcapError: times before 1970 or after 2106, which the format cannot hold.
    """
    _check_times(path, batch, 1 << 32)
    with open(path, "ab" if append else "wb") as file:
        if not append:
            file.write(file_header())
        for part in batch.windows(WINDOW):
            file.write(_pcap_records(part).data)


def _pcap_records(part: FrameBatch) -> U8:
    marks = octets.ends(part.captured.astype(np.int64) + RECORD_HEADER)
    out = np.zeros(int(marks[-1]), np.uint8)
    sec, ns = np.divmod(part.time, SECOND)
    put_words(out, marks[:-1], (sec, ns, part.captured, part.length))
    octets.scatter(out, marks[:-1] + RECORD_HEADER, part.head, part.buffer, part.start, part.captured)
    return out


def put_words(out: U8, where: I64, words: Sequence[ArrayLike]) -> None:
    """Write little-endian 32-bit words, side by side, at each offset."""
    table = np.empty((len(where), len(words)), "<u4")
    for column, word in enumerate(words):
        table[:, column] = word
    if len(where):
        octets.rows(out, 4 * len(words))[where] = table.view(np.uint8)


def write_pcapng(path: str | os.PathLike[str], batch: FrameBatch) -> None:
    """Write a pcapng: one interface per device of the batch, nanosecond times, both sizes of truncated frames.

    Raises:
        PcapError: times before 1970, which the format cannot hold.
    """
    _check_times(path, batch, 1 << 62)
    with open(path, "wb") as file:
        file.write(section_header())
        for device in batch.devices or ("frames",):
            file.write(interface(device, "device"))
        for part in batch.windows(WINDOW):
            file.write(_packet_blocks(part).data)


def _packet_blocks(part: FrameBatch) -> U8:
    """Enhanced packet blocks: 28 octets, the frame, padding to 32 bits, the length again."""
    padded = (part.captured.astype(np.int64) + 3) & ~3
    total = padded + PACKET_HEADER + 4
    marks = octets.ends(total)
    out = np.zeros(int(marks[-1]), np.uint8)
    high, low = part.time >> 32, part.time & 0xFFFF_FFFF
    put_words(out, marks[:-1], (6, total, part.ingress, high, low, part.captured, part.length))
    octets.scatter(out, marks[:-1] + PACKET_HEADER, part.head, part.buffer, part.start, part.captured)
    put_words(out, marks[1:] - 4, (total,))
    return out


def _check_times(path: str | os.PathLike[str], batch: FrameBatch, seconds: int) -> None:
    bad = np.flatnonzero((batch.time < 0) | (batch.time // SECOND >= seconds))
    if len(bad):
        n = bad[0]
        raise PcapError(f"{os.fspath(path)}: frame {n} is sent at {batch.time[n]} ns: this format cannot say that")
