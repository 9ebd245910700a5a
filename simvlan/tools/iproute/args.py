"""The words of a command line, and the numbers and addresses in them. Mirrors lib/utils.c and lib/ll_addr.c."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from simvlan.tools.iproute.errors import Failed, Quit, incomplete, refuse

T = TypeVar("T")


def matches(word: str, keyword: str) -> bool:
    """Say whether *word* abbreviates *keyword*."""
    return bool(word) and keyword.startswith(word)


class Args:
    """A cursor over the words of a command."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = list(words)
        self.at = 0
        self.keyword = ""
        """The keyword that was read last, as typed and, where that was short, in full."""

    def __bool__(self) -> bool:
        return self.at < len(self.words)

    def __len__(self) -> int:
        return len(self.words) - self.at

    @property
    def first(self) -> str:
        """The word at the cursor."""
        return self.words[self.at]

    def take(self) -> str:
        """Return the word at the cursor and go on."""
        self.at += 1
        return self.words[self.at - 1]

    def value(self) -> str:
        """Take the argument that the last keyword needs."""
        if not self:
            raise incomplete()
        return self.take()

    def rest(self) -> list[str]:
        """Take all that is left."""
        left, self.at = self.words[self.at :], len(self.words)
        return left


@dataclass(frozen=True)
class Word:
    """A keyword; `exact` ones cannot be abbreviated."""

    text: str
    exact: bool = False

    def fits(self, word: str) -> bool:
        """Say whether a word means this keyword."""
        return word == self.text if self.exact else matches(word, self.text)


def table(rows: Sequence[tuple[str, T]]) -> list[tuple[Word, T]]:
    """Read a table of keywords, in iproute2's order of trial: `=name` is exact; `a|b` are names for one meaning."""
    found: list[tuple[Word, T]] = []
    for names, meaning in rows:
        for name in names.split("|"):
            found.append((Word(name.removeprefix("="), name.startswith("=")), meaning))
    return found


def look_up(rows: Sequence[tuple[Word, T]], word: str) -> T | None:
    """Return the first meaning whose keyword fits."""
    return next((meaning for keyword, meaning in rows if keyword.fits(word)), None)


def meant(rows: Sequence[tuple[Word, T]], word: str) -> str:
    """A word, and the keyword it is short for."""
    full = next((keyword.text for keyword, _ in rows if keyword.fits(word)), word)
    return word if full == word else f"{word} ({full})"


# -- numbers -----------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\Z")


def number(text: str, low: int, high: int) -> int | None:
    """Read a number as strtol(text, 0) does: decimal, 0x hexadecimal, leading-0 octal; None when it is not in range."""
    found = _NUMBER.match(text)
    if found is None:
        return None
    digits = found[2]
    value = int(digits, 16) if digits[:2] in ("0x", "0X") else int(digits, 8 if digits[0] == "0" else 10)
    value = -value if found[1] == "-" else value
    return value if low <= value <= high else None


def u8(text: str) -> int | None:
    """Read an 8-bit number."""
    return number(text, 0, 0xFF)


def u16(text: str) -> int | None:
    """Read a 16-bit number."""
    return number(text, 0, 0xFFFF)


def u32(text: str) -> int | None:
    """Read a 32-bit number."""
    return number(text, 0, 0xFFFF_FFFF)


def u64(text: str) -> int | None:
    """Read a 64-bit number."""
    return number(text, 0, 0xFFFF_FFFF_FFFF_FFFF)


def integer(text: str) -> int | None:
    """Read a signed 32-bit number."""
    return number(text, -0x8000_0000, 0x7FFF_FFFF)


def atoi(text: str) -> int:
    """Read the digits a text begins with; 0 without any."""
    found = re.match(r"\s*[+-]?\d+", text)
    return int(found[0]) if found else 0


def need(read: Callable[[str], int | None], text: str, problem: Exception) -> int:
    """Read a number or raise *problem*."""
    value = read(text)
    if value is None:
        raise problem
    return value


# -- switches ----------------------------------------------------------------------------------------------------------


def on_off(name: str, text: str) -> bool:
    """Read the exact words `on` and `off`."""
    if text not in ("on", "off"):
        raise Failed(1, f'Error: argument of "{name}" must be "on" or "off", not "{text}"\n')
    return text == "on"


def parse_on_off(text: str) -> bool | None:
    """Read an abbreviation of `off` or `on` (`o` is off); None for anything else."""
    for word, value in (("off", False), ("on", True)):
        if matches(text, word):
            return value
    return None


def on_off_text(name: str, text: str) -> str:
    """Say that a switch is neither on nor off."""
    return f'Error: argument of "{name}" must be one of "off", "on", not "{text}"\n'


# -- addresses ---------------------------------------------------------------------------------------------------------


def lladdr(text: str) -> bytes:
    """Read a link-layer address of any length (ll_addr_a2n).

    Raises:
        Failed: `"X" is invalid lladdr.`
    """
    if "." in text:
        try:
            return socket.inet_pton(socket.AF_INET, text)
        except OSError:
            raise Failed(1, f'"{text}" is invalid lladdr.\n') from None
    octets = []
    for part in text.split(":")[:32]:
        found = re.match(r"\s*(0[xX])?([0-9a-fA-F]+)", part)
        if found is None or int(found[2], 16) > 255:
            raise Failed(1, f'"{part}" is invalid lladdr.\n')  # what is left of the text there
        octets.append(int(found[2], 16))
    return bytes(octets)


@dataclass(frozen=True)
class Prefix:
    """A prefix as typed."""

    address: int
    length: int
    given: bool
    """Whether a length was typed (or implied by `default`)."""
    unset: bool = False
    """`default`, `all`, `any`: no address bytes at all."""
    family: str = "inet"

    @property
    def text(self) -> str:
        """The address."""
        return ip6_text(self.address) if self.family == "inet6" else ip_text(self.address)

    @property
    def whole(self) -> bool:
        """Whether it is one address."""
        return self.length == (128 if self.family == "inet6" else 32)

    def covers(self, address: int) -> bool:
        """Say whether an address lies inside."""
        shift = (128 if self.family == "inet6" else 32) - self.length
        return address >> shift == self.address >> shift


def ip_text(address: int) -> str:
    """Write an IPv4 address."""
    return socket.inet_ntoa(address.to_bytes(4, "big"))


def _family_word(family: str | None) -> str:
    return family or "any valid"


def _ipv4(text: str) -> int | None:
    """Read one to four decimal parts; missing ones are zero (get_addr_ipv4)."""
    parts = text.split(".")
    if len(parts) > 4 or not all(re.fullmatch(r"\d+", p) and int(p) < 256 for p in parts):
        return None
    return int.from_bytes(bytes(int(p) for p in parts).ljust(4, b"\0"), "big")


def _ipv6(text: str) -> int | None:
    """Read an IPv6 address (get_addr_ipv6)."""
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except OSError:
        return None


def ip6_text(address: int) -> str:
    """Write an IPv6 address."""
    return socket.inet_ntop(socket.AF_INET6, address.to_bytes(16, "big"))


def refuse_ipv6(text: str) -> None:
    """Refuse an IPv6 address by name; a malformed one is the caller's to report."""
    if ":" in text and _ipv6(text) is not None:
        raise refuse(f"IPv6 ({text})")


def address(text: str, family: str | None = None) -> int:
    """Read one IPv4 address (get_addr)."""
    if family in (None, "inet6"):
        refuse_ipv6(text)
    if text in ("default", "all", "any"):
        return 0
    value = _ipv4(text) if family in (None, "inet") else None
    if value is None:
        raise Quit(1, f'Error: {_family_word(family)} address is expected rather than "{text}".\n')
    return value


def any_address(text: str, family: str | None = None) -> tuple[int, str]:
    """Read an address of either family, as far as *family* allows; with its family (get_addr)."""
    value = _ipv6(text) if family in (None, "inet6") else None
    if value is not None:
        return value, "inet6"
    if family == "inet6":
        if text in ("default", "all", "any"):
            return 0, "inet6"
        raise Quit(1, f'Error: inet6 address is expected rather than "{text}".\n')
    return address(text, family), "inet"


def any_prefix(text: str, family: str | None = None) -> Prefix:
    """Read a prefix of either family, as far as *family* allows (get_prefix)."""
    body, slash, length = text.partition("/")
    if family == "inet6" and body in ("default", "all", "any") and not slash:
        return Prefix(0, 0, body == "default", unset=body != "default", family="inet6")
    value = _ipv6(body) if family in (None, "inet6") else None
    if value is None and family != "inet6":
        return prefix(text, family)
    bits = u32(length) if slash else 128
    if value is None or bits is None or bits > 128:
        raise Quit(1, f'Error: {_family_word(family)} prefix is expected rather than "{text}".\n')
    return Prefix(value, bits, bool(slash), family="inet6")


def is_six(family: str | None, words: Iterable[str]) -> bool:
    """Whether a command is about IPv6: its family says so, or the first address in it does."""
    if family is not None:
        return family == "inet6"
    for word in words:
        body = word.partition("/")[0]
        if ":" in word and _ipv6(body) is not None:
            return True
        if body.count(".") == 3 and body.replace(".", "").isdigit():
            return False
    return False


def prefix(text: str, family: str | None = None) -> Prefix:
    """Read an IPv4 prefix (get_prefix)."""
    if family == "link":
        raise Quit(1, f'Error: "{text}" may be inet prefix, but it is not allowed in this context.\n')
    found = _prefix(text, family)
    if found is None:
        raise Quit(1, f'Error: {_family_word(family)} prefix is expected rather than "{text}".\n')
    return found


def _prefix(text: str, family: str | None) -> Prefix | None:
    body, slash, length = text.partition("/")
    if family in (None, "inet6"):
        refuse_ipv6(body)
    if body in ("default", "all", "any"):
        return None if slash else Prefix(0, 0, body == "default", unset=body != "default" or family is None)
    value = _ipv4(body) if family in (None, "inet") else None
    if value is None:
        return None
    if not slash:
        return Prefix(value, 32, False)
    bits = _netmask(length)
    return None if bits is None or bits > 32 else Prefix(value, bits, True)


def _netmask(text: str) -> int | None:
    """Read a prefix length or a dotted mask."""
    bits = u32(text)
    if bits is not None:
        return bits
    mask = _ipv4(text)
    if mask is None:
        return None
    host = ~mask & 0xFFFF_FFFF
    return None if host & (host + 1) else 32 - host.bit_length()


# -- names -------------------------------------------------------------------------------------------------------------


def is_ifname(text: str) -> bool:
    """Say whether the kernel could take a name (check_ifname)."""
    return len(text.encode()) < 16 and is_altname(text)


def is_altname(text: str) -> bool:
    """Say whether a text could be an alternative name (check_altifname)."""
    return bool(text) and "/" not in text and not any(c.isspace() for c in text)
