"""TCP options: octets <-> fields, in the order in which Linux writes them.

Mirrors tcp_options_write and tcp_parse_options of net/ipv4; RFC 9293 (MSS), RFC 7323 (window scale, timestamps),
RFC 2018 (SACK).
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

EOL, NOP, MSS, WSCALE, SACK_OK, SACK, TIMESTAMP = 0, 1, 2, 3, 4, 5, 8
MAX_WSCALE = 14
ALIGNED_TIMESTAMP = 12
"""Octets that a timestamp takes in every segment."""

_STAMPED = Struct("!IIII")
_STAMP = Struct("!II")
_HEAD = 0x0101_080A
"""NOP, NOP, timestamp, length 10: how the options of nearly every segment begin."""


class Options(NamedTuple):
    """What a segment's options say; None and () where it says nothing."""

    mss: int | None = None
    wscale: int | None = None
    sack_ok: bool = False
    stamp: tuple[int, int] | None = None
    """TSval, TSecr."""
    sack: tuple[tuple[int, int], ...] = ()
    """Blocks as on the wire: left edge, right edge."""


NONE = Options()


def encode(options: Options) -> bytes:
    """Write options as Linux lays them out: MSS, SACK permitted with timestamps, window scale, SACK blocks."""
    parts = b"" if options.mss is None else b"\x02\x04" + options.mss.to_bytes(2, "big")
    if options.stamp is not None:
        parts += (b"\x04\x02\x08\x0a" if options.sack_ok else b"\x01\x01\x08\x0a") + _STAMP.pack(*options.stamp)
    elif options.sack_ok:
        parts += b"\x01\x01\x04\x02"
    if options.wscale is not None:
        parts += bytes((NOP, WSCALE, 3, options.wscale))
    if options.sack:
        parts += bytes((NOP, NOP, SACK, 2 + 8 * len(options.sack)))
        parts += b"".join(_STAMP.pack(left, right) for left, right in options.sack)
    return parts


def decode(octets: bytes, syn: bool = False) -> Options:
    """Read options; what only a SYN may say is ignored elsewhere, and so is what is malformed."""
    if len(octets) == ALIGNED_TIMESTAMP:
        head = _STAMPED.unpack_from(octets[:12] + b"\0\0\0\0")
        if head[0] == _HEAD:
            return Options(stamp=(head[1], head[2]))
    found: dict[str, object] = {}
    for kind, body in _split(octets):
        _read(found, kind, body, syn)
    return Options(**found) if found else NONE  # type: ignore[arg-type]


def _split(octets: bytes) -> list[tuple[int, bytes]]:
    """The options one by one; a length that cannot be ends the list, as in the kernel."""
    found, at = [], 0
    while at < len(octets) and octets[at] != EOL:
        if octets[at] == NOP:
            at += 1
            continue
        size = octets[at + 1] if at + 1 < len(octets) else 0
        if size < 2 or at + size > len(octets):
            break
        found.append((octets[at], octets[at + 2 : at + size]))
        at += size
    return found


def _read(found: dict[str, object], kind: int, body: bytes, syn: bool) -> None:
    if kind == TIMESTAMP and len(body) == 8:
        found["stamp"] = _STAMP.unpack(body)
    elif kind == SACK and body and len(body) % 8 == 0:
        found["sack"] = tuple(_STAMP.unpack_from(body, at) for at in range(0, len(body), 8))
    elif syn and kind == MSS and len(body) == 2 and any(body):
        found["mss"] = int.from_bytes(body, "big")
    elif syn and kind == WSCALE and len(body) == 1:
        found["wscale"] = min(body[0], MAX_WSCALE)
    elif syn and kind == SACK_OK and not body:
        found["sack_ok"] = True
