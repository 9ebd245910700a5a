"""ICMPv6 messages: octets <-> fields. RFC 4443; include/uapi/linux/icmpv6.h. The rules are elsewhere."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from simvlan.stack.ipv6.packet import ICMPV6, transport_checksum

UNREACH, TOO_BIG, TIME_EXCEEDED, PARAMETER = 1, 2, 3, 4
ECHO, ECHO_REPLY = 128, 129
MLD_QUERY, MLD_REPORT, MLD_DONE, MLD2_REPORT = 130, 131, 132, 143
RS, RA, NS, NA, REDIRECT = 133, 134, 135, 136, 137
INFORMATIONAL = 0x80
"""This bit is set in the type of what is no error."""

NO_ROUTE, PROHIBITED, NOT_NEIGHBOUR, ADDRESS, PORT, POLICY, REJECT = range(7)
"""Codes of UNREACH."""
HOP_LIMIT, REASSEMBLY = 0, 1
"""Codes of TIME_EXCEEDED."""
HEADER_FIELD, UNKNOWN_NEXT_HEADER, UNKNOWN_OPTION, INCOMPLETE_HEADERS = range(4)
"""Codes of PARAMETER."""

_HEAD = Struct("!BBHI")


class Message(NamedTuple):
    """An ICMPv6 message: `word` is the 32 bits after the checksum, `body` what follows them.

    `word` is unused in UNREACH and TIME_EXCEEDED, an MTU in TOO_BIG, a pointer in PARAMETER, identifier and sequence
    number in echoes.
    """

    type: int
    code: int
    word: int
    body: bytes

    @property
    def is_error(self) -> bool:
        """Whether this reports an error."""
        return not self.type & INFORMATIONAL

    @property
    def ident(self) -> int:
        """An echo's identifier."""
        return self.word >> 16

    @property
    def sequence(self) -> int:
        """An echo's sequence number."""
        return self.word & 0xFFFF


def seal(src: int, dst: int, octets: bytes) -> bytes:
    """Fill in the checksum of an ICMPv6 message whose checksum field is zero."""
    return octets[:2] + transport_checksum(src, dst, ICMPV6, octets).to_bytes(2, "big") + octets[4:]


def build(src: int, dst: int, kind: int, code: int, word: int, body: bytes = b"") -> bytes:
    """Make a message, checksum included."""
    return seal(src, dst, _HEAD.pack(kind, code, 0, word) + body)


def build_echo(src: int, dst: int, kind: int, ident: int, sequence: int, data: bytes) -> bytes:
    """Make an echo request or reply."""
    return build(src, dst, kind, 0, ident << 16 | sequence, data)


def parse(octets: bytes) -> Message | None:
    """Read a message, the checksum unchecked; None if there are fewer than 8 octets."""
    if len(octets) < 8:
        return None
    kind, code, _, word = _HEAD.unpack_from(octets)
    return Message(kind, code, word, octets[8:])


def is_right(src: int, dst: int, octets: bytes) -> bool:
    """Whether the checksum adds up."""
    return transport_checksum(src, dst, ICMPV6, octets) == 0
