"""Where the records of a capture file begin, and their fields, many at a time.

A record says its own length, so each is found from the one before it. Runs of equal records, the common case, are found
by comparing all their length fields at once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from simvlan.capture import SNAPLEN, PcapError
from simvlan.engines.batch import octets
from simvlan.engines.batch.parse import I64, U8
from simvlan.frame import ETH_HLEN, MAX_SIZE

LARGE = 1 << 26
"""Octets of a file from which on compiled loops (Numba, if installed) are worth loading."""
STRETCH = 512
"""Records followed before anybody looks whether they are right."""
ALIKE = 16
"""So many equal records in a row are taken for a run."""


@dataclass(frozen=True)
class Layout:
    """How a kind of record says its length.

    Attributes:
        order: byte order, "<" or ">".
        field: offset of the 32-bit length field.
        fixed: octets of the record that the field does not count.
        least: fewest octets of a record; also how many must be there to read the field.
        most: largest value of the field that is believed.
        name: what a record is called in a complaint.
    """

    order: str
    field: int
    fixed: int
    least: int
    most: int
    name: str


def classic(order: str) -> Layout:
    """Return the layout of pcap's packet records."""
    return Layout(order, field=8, fixed=16, least=16, most=SNAPLEN, name="record")


def blocks(order: str) -> Layout:
    """Return the layout of pcapng's blocks."""
    return Layout(order, field=4, fixed=0, least=12, most=1 << 28, name="block")


def chain(data: U8, position: int, limit: int, layout: Layout) -> tuple[I64, int, str]:
    """Follow records from `position` on, at most `limit` of them.

    Returns:
        Their offsets; where the next one begins; and what is wrong there, "" if nothing is.
    """
    kernels = _loops(len(data) >= LARGE)
    if kernels is not None:
        return _followed(kernels, data, position, limit, layout)
    parts: list[I64] = []
    total, complaint = 0, ""
    while total < limit and position < len(data) and not complaint:
        singles, position, complaint = _singly(data, position, limit - total, layout)
        parts.append(singles)
        total += len(singles)
        if total < limit and position < len(data) and not complaint:
            size = int(np.ndarray((), layout.order + "u4", data.data, position + layout.field))
            complaint = _complaint(layout, position, size, len(data))
            if not complaint:
                stride = size + layout.fixed
                count = _run(data, position, size, stride, limit - total, layout)
                parts.append(position + stride * np.arange(count))
                position, total = position + stride * count, total + count
    return np.concatenate([np.zeros(0, np.int64), *parts]), position, complaint


@lru_cache(2)
def _loops(large: bool) -> Any:
    """Return the compiled loops where there are any and they are worth loading."""
    if not large:
        return None
    try:
        from simvlan.engines.batch import kernels
    except ImportError:
        return None
    return kernels


def _followed(kernels: Any, data: U8, position: int, limit: int, layout: Layout) -> tuple[I64, int, str]:
    """Follow records in a compiled loop; returns as `chain`."""
    found: I64 = np.empty(limit, np.int64)
    count, position, size = kernels.follow(
        data, position, layout.order == ">", layout.field, layout.fixed, layout.least, layout.most, found
    )
    complaint = ""
    if count < limit and position < len(data):
        complaint = _complaint(layout, int(position), int(size), len(data))
    return found[:count], int(position), complaint


def _singly(data: U8, position: int, limit: int, layout: Layout) -> tuple[I64, int, str]:
    """Follow records one by one until several alike, the limit or something wrong; returns as `chain`."""
    parts: list[I64] = []
    total, complaint = 0, ""
    while total < limit and position < len(data) and not complaint:
        found, size, position = _stretch(data, position, min(STRETCH, limit - total), layout)
        whole = size + layout.fixed
        bad = np.flatnonzero((size > layout.most) | (whole < layout.least) | (found + whole > len(data)))
        if len(bad):
            first = int(bad[0])
            position = int(found[first])
            complaint = _complaint(layout, position, int(size[first]), len(data))
            found = found[:first]
        parts.append(found)
        total += len(found)
        if not complaint and len(data) - layout.least < position < len(data):
            complaint = _complaint(layout, position, 0, len(data))
        if len(size) > ALIKE and (size[-ALIKE:] == size[-1]).all():
            break
    return np.concatenate([np.zeros(0, np.int64), *parts]), position, complaint


def _stretch(data: U8, position: int, count: int, layout: Layout) -> tuple[I64, I64, int]:
    """Follow at most so many records without a look at what they say; returns offsets, sizes and where it ended.

    The loop is as short as can be, as it runs once a record: what is wrong with one is found afterwards.
    """
    read, view = struct.Struct(layout.order + "I").unpack_from, data.data
    field, fixed, last = layout.field, layout.fixed, len(data) - layout.least
    found: list[int] = []
    append = found.append
    for _ in range(count):
        if position > last:
            break
        append(position)
        position += read(view, position + field)[0] + fixed
    offsets = np.array(found, np.int64)
    return offsets, np.diff(offsets, append=position) - fixed, position


def _run(data: U8, position: int, size: int, stride: int, limit: int, layout: Layout) -> int:
    """How many records in a row have the same length (at least one)."""
    count = min(limit, (len(data) - position) // stride)
    step = 64
    done = 1
    while done < count:
        step = min(step * 4, count - done)
        where = position + done * stride + layout.field
        same = np.ndarray((step,), layout.order + "u4", data.data, where, (stride,)) == size
        if not same.all():
            return done + int(same.argmin())
        done += step
    return count


def _complaint(layout: Layout, position: int, size: int, end: int) -> str:
    """Say why there is no whole record at this place."""
    name, left = layout.name, end - position
    if left < layout.least:
        return f"cut short: {left} octets of a {name} header ({layout.least}) at offset {position}"
    if size > layout.most or size + layout.fixed < layout.least:
        return f"{name} at offset {position} claims {size} octets: not a packet {name}"
    if size + layout.fixed > left:
        return f"cut short: {left} octets of a {name} of {size + layout.fixed} at offset {position}"
    return ""


def fields(data: U8, where: I64, order: str, count: int) -> Any:
    """Return `count` consecutive 32-bit words at each offset, as int64 arrays, one per word."""
    words = octets.rows(data, 4 * count)[where].view(order + "u4")
    return words.T.astype(np.int64)


def check(where: I64, kept: I64, size: I64) -> None:
    """Refuse records that cannot hold an Ethernet frame.

    Raises:
        PcapError: the first one, with its offset.
    """
    for bad, why in (
        (kept < ETH_HLEN, f"fewer than an Ethernet header ({ETH_HLEN})"),
        (kept > size, "more than the frame had"),
        (size > MAX_SIZE, f"more than any device carries ({MAX_SIZE})"),
    ):
        if bad.any():
            n = int(np.flatnonzero(bad)[0])
            raise PcapError(f"record at offset {where[n]} keeps {kept[n]} octets of {size[n]}: {why}")
