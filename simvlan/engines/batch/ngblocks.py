"""pcapng read as batches: sections of either byte order, interfaces with their clocks, enhanced packet blocks.

Mirrors the IETF draft opsawg-pcapng. Blocks that say nothing about frames are skipped; packet blocks without a time or
of the obsolete kind are refused by name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from simvlan.capture import LINKTYPE_ETHERNET, PcapError
from simvlan.capture_ng import IF_NAME, IF_TSRESOL, INTERFACE, PACKET, SECTION
from simvlan.engines.batch import records
from simvlan.engines.batch.frames import FrameBatch
from simvlan.engines.batch.parse import I32, I64, U8

OBSOLETE_PACKET, SIMPLE_PACKET, IF_TSOFFSET = 2, 3, 14
REFUSED = {OBSOLETE_PACKET: "an obsolete packet block", SIMPLE_PACKET: "a simple packet block, which has no time"}
PACKET_HEADER, TRAILER = 28, 4
NS_DIGITS = 9


@dataclass(frozen=True)
class Interface:
    """One interface of a section: its name, link type and clock."""

    device: int
    link_type: int
    resolution: int
    offset_s: int


@dataclass
class Section:
    """What holds until the next section header."""

    order: str = "<"
    interfaces: list[Interface] = field(default_factory=list)


def ng_windows(data: U8, frames: int) -> Iterator[FrameBatch]:
    """Stream the frames of a pcapng file as batches whose devices are the interfaces named so far."""
    names: dict[str, int] = {}
    section = Section()
    position = 0
    while position < len(data):
        if is_section(data, position):
            section = Section(_order(data, position))
        found, after, complaint = records.chain(data, position, frames, records.blocks(section.order))
        found, position, complaint = _until_section(data, found, after, complaint)
        kinds = records.fields(data, found, section.order, 1)[0]
        for n in np.flatnonzero(kinds != PACKET):
            _other_block(data, int(found[n]), int(kinds[n]), section, names)
        chosen = found[kinds == PACKET]
        if len(chosen):
            yield _packets(data, chosen, section, names)
        if complaint:
            raise PcapError(complaint)


def is_section(data: U8, position: int) -> bool:
    """Say whether a section header, the same in both byte orders, begins here."""
    return data[position : position + 4].tobytes() == SECTION.to_bytes(4, "big")


def _until_section(data: U8, found: I64, after: int, complaint: str) -> tuple[I64, int, str]:
    """Stop before a section header (other than the first block): lengths behind it may be in another byte order."""
    kinds = records.fields(data, found, "<", 1)[0]
    later = np.flatnonzero(kinds[1:] == SECTION) + 1
    if len(later):
        return found[: later[0]], int(found[later[0]]), ""
    if complaint and len(found) and is_section(data, after):
        return found, after, ""
    return found, after, complaint


def _order(data: U8, position: int) -> str:
    magic = data[position + 8 : position + 12].tobytes()
    for order in "<>":
        if magic == struct.pack(order + "I", 0x1A2B_3C4D):
            return order
    raise PcapError(f"section header at offset {position} has no byte-order magic ({magic.hex(' ')})")


def _other_block(data: U8, position: int, kind: int, section: Section, names: dict[str, int]) -> None:
    if kind == INTERFACE:
        section.interfaces.append(_interface(data, position, section, names))
    elif kind in REFUSED:
        raise PcapError(f"{REFUSED[kind]} at offset {position}; convert the file with `editcap IN OUT`")


def _interface(data: U8, position: int, section: Section, names: dict[str, int]) -> Interface:
    """Read an interface description block; interfaces of one name are one device."""
    order = section.order
    total = struct.unpack_from(order + "I", data.data, position + 4)[0]
    body = data[position + 8 : position + total - TRAILER].tobytes()
    if len(body) < 8:
        raise PcapError(f"interface block at offset {position} has only {total} octets")
    options = _options(body[8:], order, position)
    name = options.get(IF_NAME, b"").decode("utf-8", "replace") or f"interface-{len(section.interfaces)}"
    return Interface(
        names.setdefault(name, len(names)),
        struct.unpack_from(order + "H", body)[0],
        options.get(IF_TSRESOL, b"\x06")[0],
        struct.unpack(order + "q", options.get(IF_TSOFFSET, bytes(8)))[0],
    )


def _options(octets: bytes, order: str, position: int) -> dict[int, bytes]:
    """Read a list of options."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(octets):
        code, size = struct.unpack_from(order + "HH", octets, at)
        if code == 0:
            break
        if at + 4 + size > len(octets):
            raise PcapError(f"interface block at offset {position} has an option of {size} octets beyond its end")
        found.setdefault(code, octets[at + 4 : at + 4 + size])
        at += 4 + (size + 3 & ~3)
    return found


def _packets(data: U8, found: I64, section: Section, names: dict[str, int]) -> FrameBatch:
    """Read enhanced packet blocks."""
    words = records.fields(data, found, section.order, PACKET_HEADER // 4)
    _, total, index, high, low, kept, size = words
    bad = np.flatnonzero(kept > total - PACKET_HEADER - TRAILER)
    if len(bad):
        n = bad[0]
        raise PcapError(f"block at offset {found[n]} keeps {kept[n]} octets in {total[n]}: more than it holds")
    records.check(found, kept, size)
    time, ingress = _clocks(found, index, high << 32 | low, section.interfaces)
    where = found + PACKET_HEADER
    return FrameBatch.from_buffer(data, where, kept, length=size, time=time, ingress=ingress, devices=tuple(names))


def _clocks(found: I64, index: I64, ticks: I64, interfaces: list[Interface]) -> tuple[I64, I32]:
    """Times in ns and devices of packets, by their interfaces."""
    unknown = np.flatnonzero(index >= len(interfaces))
    if len(unknown):
        n = int(unknown[0])
        raise PcapError(f"block at offset {found[n]} is of interface {index[n]}; {len(interfaces)} are described")
    link_type = np.array([port.link_type for port in interfaces])
    strange = np.flatnonzero(link_type.take(index) != LINKTYPE_ETHERNET)
    if len(strange):
        n = int(strange[0])
        raise PcapError(f"block at offset {found[n]}: link type {link_type[index[n]]} is not Ethernet (1)")
    resolutions = np.array([port.resolution for port in interfaces])
    time = np.array([port.offset_s * 10**NS_DIGITS for port in interfaces], np.int64).take(index)
    for resolution in np.unique(resolutions).tolist():
        if (resolutions == resolution).all():
            time += to_ns(ticks, resolution)
        else:
            mine = resolutions.take(index) == resolution
            time[mine] += to_ns(ticks[mine], resolution)
    return time, np.array([port.device for port in interfaces], np.int32).take(index)


def to_ns(ticks: I64, resolution: int) -> I64:
    """Turn timestamps into ns: *resolution* is if_tsresol, a power of ten or (top bit) of two."""
    power = resolution & 0x7F
    if resolution & 0x80:
        part = ticks & ((1 << power) - 1)
        whole: I64 = (ticks >> power) * 10**NS_DIGITS
        return whole + np.array([int(value) * 10**NS_DIGITS >> power for value in part], np.int64)
    scaled = ticks * 10 ** (NS_DIGITS - power) if power <= NS_DIGITS else ticks // 10 ** (power - NS_DIGITS)
    return np.asarray(scaled, np.int64)
