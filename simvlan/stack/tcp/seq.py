"""Sequence numbers: 32 bits on the wire, plain integers inside (RFC 9293, 3.4).

A connection counts from its initial sequence number on without ever wrapping, so that `<` means "earlier". Only what
is read from or written to a segment is reduced to 32 bits.
"""

from __future__ import annotations

MASK = 0xFFFF_FFFF
_HALF = 0x8000_0000


def unwrap(wire: int, near: int) -> int:
    """The integer that a 32-bit number means, being within 2**31 of *near*."""
    return near + ((wire - near + _HALF) & MASK) - _HALF
