"""DNS messages: octets <-> one question and its answers (RFC 1035 section 4). No rules."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import pack, unpack_from

A, PTR, AAAA = 1, 12, 28
TYPES = {"A": A, "PTR": PTR, "AAAA": AAAA}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
CODES = {NOERROR: "NOERROR", SERVFAIL: "SERVFAIL", NXDOMAIN: "NXDOMAIN", REFUSED: "REFUSED"}
PORT = 53


class MessageError(ValueError):
    """Octets that are no DNS message with one question."""


@dataclass(frozen=True)
class Message:
    """A question, or an answer to it: addresses as integers for A and AAAA, names for PTR."""

    ident: int
    name: str
    type: int
    reply: bool = False
    code: int = NOERROR
    answers: tuple[int | str, ...] = ()
    ttl: int = 0
    authoritative: bool = False

    def pack(self) -> bytes:
        """The octets."""
        flags = 0x0100 | (0x8080 | self.code | (0x0400 if self.authoritative else 0) if self.reply else 0)
        head = pack("!HHHHHH", self.ident, flags, 1, len(self.answers), 0, 0)
        body = encoded(self.name) + pack("!HH", self.type, 1)
        return head + body + b"".join(self._record(each) for each in self.answers)

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
        ident, flags, questions, answers = unpack_from("!HHHH", octets)
        if questions != 1:
            raise MessageError(f"{questions} questions: one is expected")
        name, at = _name(octets, 12)
        kind = unpack_from("!H", octets, at)[0]
        found, ttl = _answers(octets, at + 4, answers, kind)
    except (IndexError, ValueError, OverflowError) as error:
        raise MessageError(f"no DNS message: {error}") from None
    except Exception as error:  # struct.error has no better base
        raise MessageError(f"no DNS message: {error}") from None
    return Message(ident, name, kind, bool(flags & 0x8000), flags & 15, tuple(found), ttl, bool(flags & 0x0400))


def _name(octets: bytes, at: int) -> tuple[str, int]:
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


def _answers(octets: bytes, at: int, count: int, kind: int) -> tuple[list[int | str], int]:
    found: list[int | str] = []
    ttl = 0
    for _ in range(count):
        _, at = _name(octets, at)
        each, _, ttl, size = unpack_from("!HHIH", octets, at)
        at += 10
        if each == kind and kind in (A, AAAA):
            found.append(int.from_bytes(octets[at : at + (4 if kind == A else 16)], "big"))
        elif each == kind == PTR:
            found.append(_name(octets, at)[0])
        at += size
    return found, ttl


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
