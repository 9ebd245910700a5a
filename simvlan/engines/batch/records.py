"""Where the records of a capture file begin, and their fields, many at a time.

A record says its own length, so each is found from the one before it. Runs of equal records, the common case, are found
by comparing all their length fields at once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from simvlan.capture import SNAPLEN, PcapError
from simvlan.engines.batch import octets
from simvlan.engines.batch.parse import I64, U8
from simvlan.frame import ETH_HLEN, MAX_SIZE

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
    parts: list[I64] = []
    total, complaint = 0, ""
    while total < limit and position < len(data) and not complaint:
        singles, position, complaint = _singly(data, position, limit - total, layout)
        parts.append(np.array(singles, np.int64))
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


def _singly(data: U8, position: int, limit: int, layout: Layout) -> tuple[list[int], int, str]:
    """Follow records one by one until several alike, the limit or something wrong; returns as `chain`."""
    read, view = struct.Struct(layout.order + "I").unpack_from, data.data
    field, fixed, most = layout.field, layout.fixed, layout.most
    found: list[int] = []
    before, alike, last = -1, 0, len(data) - layout.least
    while position <= last and len(found) < limit:
        (size,) = read(view, position + field)
        alike = alike + 1 if size == before else 0
        if alike == ALIKE:
            break
        if size > most or size + fixed < layout.least or position + size + fixed > len(data):
            return found, position, _complaint(layout, position, size, len(data))
        before = size
        found.append(position)
        position += size + fixed
    if len(found) < limit and last < position < len(data):
        return found, position, _complaint(layout, position, 0, len(data))
    return found, position, ""


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
