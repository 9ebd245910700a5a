"""TCP segments of a capture, numbered from where their connection began; both families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from simvlan.oracle.observation import Captured

FLAGS = "FSRP"


class Seen(NamedTuple):
    """A segment: when and which way it was seen, octets of data before it, octets in it, flags."""

    time_ns: int
    way: str
    before: int
    size: int
    flags: str


def _inside(octets: bytes) -> tuple[bytes, int, int] | None:
    """Both addresses, where TCP begins, where the packet ends; None when it is none."""
    if octets[12:14] == b"\x08\x00" and octets[23] == 6:
        return octets[26:34], 14 + (octets[14] & 15) * 4, 14 + int.from_bytes(octets[16:18], "big")
    if octets[12:14] == b"\x86\xdd" and octets[20] == 6:
        return octets[22:54], 54, 54 + int.from_bytes(octets[18:20], "big")
    return None


def segments(captures: Mapping[str, Sequence[Captured]], place: str, port: int) -> list[Seen]:
    """What a capture point saw of the connections with a port of the server's."""
    found: list[Seen] = []
    first: dict[bytes, int] = {}
    for time_ns, way, octets in captures[place]:
        inside = _inside(octets)
        if inside is None:
            continue
        ends, tcp, end = inside
        if port.to_bytes(2, "big") not in (octets[tcp : tcp + 2], octets[tcp + 2 : tcp + 4]):
            continue
        seq, bits = int.from_bytes(octets[tcp + 4 : tcp + 8], "big"), octets[tcp + 13]
        key = ends + octets[tcp : tcp + 4]
        if bits & 2:
            first[key] = seq + 1
        before = (seq - first.get(key, seq)) & 0xFFFF_FFFF
        flags = "".join(name for number, name in enumerate(FLAGS) if bits >> number & 1)
        found.append(Seen(time_ns, way, before, end - tcp - (octets[tcp + 12] >> 4) * 4, flags))
    return found


def sent(captures: Mapping[str, Sequence[Captured]], place: str, port: int) -> list[tuple[int, int, str]]:
    """Data in the order in which it left a place: octets before it, octets in it, flags."""
    return [(it.before, it.size, it.flags) for it in segments(captures, place, port) if it.way == "out" and it.size]
