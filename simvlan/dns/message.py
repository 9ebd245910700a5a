"""DNS messages: octets <-> one question and its answers (RFC 1035 section 4). No rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from struct import pack, unpack_from

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 255
TYPES = {"A": A, "NS": NS, "CNAME": CNAME, "SOA": SOA, "PTR": PTR, "MX": MX, "TXT": TXT, "AAAA": AAAA, "SRV": SRV,
         "NAPTR": 35, "DS": 43, "DNSKEY": 48, "SVCB": 64, "HTTPS": 65, "ANY": ANY, "CAA": 257}  # fmt: skip
TYPE_NAMES = {number: name for name, number in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
CODES = {NOERROR: "NOERROR", 1: "FORMERR", SERVFAIL: "SERVFAIL", NXDOMAIN: "NXDOMAIN", 4: "NOTIMP", REFUSED: "REFUSED"}
COOKIE, EXTENDED_ERROR = 10, 15
"""Options of EDNS (RFC 7873, RFC 8914)."""
PORT = 53


class MessageError(ValueError):
    """Octets that are no DNS message with one question."""


@dataclass(frozen=True)
class Edns:
    """An OPT record (RFC 6891): what size of datagram is taken, options by number."""

    size: int = 1232
    options: dict[int, bytes] = field(default_factory=dict)

    def pack(self) -> bytes:
        """The octets."""
        data = b"".join(pack("!HH", code, len(value)) + value for code, value in self.options.items())
        return b"\0" + pack("!HHIH", OPT, self.size, 0, len(data)) + data


@dataclass(frozen=True)
class Record:
    """A record of an answer: *value* as zone files have it."""

    name: str
    type: int
    ttl: int
    value: str


@dataclass(frozen=True)
class Message:
    """A question, or an answer to it: addresses as integers for A and AAAA, names for PTR.

    Attributes:
        answers: values of the type that was asked for.
        records: everything in the answer section, as it was received.
        ad: a question wants to hear whether the answer is authentic.
        size: octets that were received.
    """

    ident: int
    name: str
    type: int
    reply: bool = False
    code: int = NOERROR
    answers: tuple[int | str, ...] = ()
    ttl: int = 0
    authoritative: bool = False
    recursion: bool = True
    edns: Edns | None = None
    ad: bool = False
    records: tuple[Record, ...] = field(default=(), compare=False)
    size: int = field(default=0, compare=False)

    def pack(self) -> bytes:
        """The octets."""
        flags = 0x8080 | self.code | (0x0400 if self.authoritative else 0) if self.reply else 0
        flags |= (0x0100 if self.recursion else 0) | (0x0020 if self.ad else 0)
        head = pack("!HHHHHH", self.ident, flags, 1, len(self.answers), 0, int(self.edns is not None))
        body = encoded(self.name) + pack("!HH", self.type, 1)
        body += b"".join(self._record(each) for each in self.answers)
        return head + body + (self.edns.pack() if self.edns is not None else b"")

    @property
    def addresses(self) -> list[str]:
        """The addresses it tells, written."""
        made = IPv6Address if self.type == AAAA else IPv4Address
        return [str(made(each)) for each in self.answers if isinstance(each, int)]

    def _record(self, answer: int | str) -> bytes:
        width = 16 if self.type == AAAA else 4
        data = answer.to_bytes(width, "big") if isinstance(answer, int) else encoded(answer)
        return b"\xc0\x0c" + pack("!HHIH", self.type, 1, self.ttl, len(data)) + data


def encoded(name: str) -> bytes:
    """A name as labels."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    if any(len(label) > 63 for label in labels):
        raise MessageError(f"{name!r}: a label has at most 63 octets")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def parse(octets: bytes) -> Message:
    """Read a message.

    Raises:
        MessageError: too short, not one question, or a name that goes in circles.
    """
    try:
        return _parse(octets)
    except (IndexError, ValueError, OverflowError) as error:
        raise MessageError(f"no DNS message: {error}") from None
    except Exception as error:  # struct.error has no better base
        raise MessageError(f"no DNS message: {error}") from None


def _parse(octets: bytes) -> Message:
    ident, flags, questions, answers, authorities, more = unpack_from("!HHHHHH", octets)
    if questions != 1:
        raise MessageError(f"{questions} questions: one is expected")
    name, at = name_at(octets, 12)
    kind = unpack_from("!H", octets, at)[0]
    records, values, at = _records(octets, at + 4, answers, kind)
    _, _, at = _records(octets, at, authorities, kind)
    ttl = records[-1].ttl if records else 0
    return Message(
        ident, name, kind, bool(flags & 0x8000), flags & 15, values, ttl, bool(flags & 0x0400), bool(flags & 0x0100),
        _edns(octets, at, more), bool(flags & 0x0020), records, len(octets),
    )  # fmt: skip


def name_at(octets: bytes, at: int) -> tuple[str, int]:
    """A name and where it ends."""
    labels: list[str] = []
    after, jumps = 0, 0
    while octets[at]:
        if octets[at] >= 0xC0:
            after, jumps = after or at + 2, jumps + 1
            if jumps > 16:
                raise ValueError("a name goes in circles")
            at = (octets[at] & 63) << 8 | octets[at + 1]
            continue
        labels.append(octets[at + 1 : at + 1 + octets[at]].decode("ascii", "replace"))
        at += 1 + octets[at]
    return ".".join(labels), after or at + 1


def _records(octets: bytes, at: int, count: int, wanted: int) -> tuple[tuple[Record, ...], tuple[int | str, ...], int]:
    """Records, the values of those of a type, and where they end."""
    found: list[Record] = []
    values: list[int | str] = []
    for _ in range(count):
        name, at = name_at(octets, at)
        kind, _, ttl, size = unpack_from("!HHIH", octets, at)
        at += 10
        found.append(Record(name, kind, ttl, _text(octets, at, kind, size)))
        if kind == wanted and kind in (A, AAAA):
            values.append(int.from_bytes(octets[at : at + size], "big"))
        elif kind == wanted == PTR:
            values.append(name_at(octets, at)[0])
        at += size
    return tuple(found), tuple(values), at


def _text(octets: bytes, at: int, kind: int, size: int) -> str:
    """A record's value, as zone files have it; of types that are not known the octets (RFC 3597)."""
    data = octets[at : at + size]
    if kind == A and size == 4:
        return str(IPv4Address(data))
    if kind == AAAA and size == 16:
        return str(IPv6Address(data))
    if kind in (PTR, CNAME, NS):
        return f"{name_at(octets, at)[0]}."
    if kind == MX:
        return f"{int.from_bytes(data[:2], 'big')} {name_at(octets, at + 2)[0]}."
    return f"\\# {size} {data.hex().upper()}".rstrip()


def _edns(octets: bytes, at: int, count: int) -> Edns | None:
    """The OPT record among the additional ones."""
    for _ in range(count):
        _, at = name_at(octets, at)
        kind, size, _, length = unpack_from("!HHIH", octets, at)
        at += 10
        if kind == OPT:
            return Edns(size, dict(_options(octets[at : at + length])))
        at += length
    return None


def _options(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(octets):
        code, size = unpack_from("!HH", octets, at)
        yield code, octets[at + 4 : at + 4 + size]
        at += 4 + size


Address = IPv4Address | IPv6Address


def reverse_name(address: Address) -> str:
    """The name under which an address is looked up."""
    return address.reverse_pointer


def reverse_address(name: str) -> Address | None:
    """The address that a name under in-addr.arpa or ip6.arpa means."""
    name = name.lower()
    if name.endswith(".ip6.arpa"):
        digits = name.removesuffix(".ip6.arpa").split(".")
        fits = len(digits) == 32 and all(len(each) == 1 and each in "0123456789abcdef" for each in digits)
        return IPv6Address(int("".join(reversed(digits)), 16)) if fits else None
    parts = name.removesuffix(".in-addr.arpa").split(".")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        return None
    return IPv4Address(".".join(reversed(parts)))
