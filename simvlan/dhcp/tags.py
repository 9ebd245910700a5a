"""Tags of a DHCP server: where clients get them from, and what asks for them (dnsmasq 2.90, src/dhcp-common.c).

A client is given tags by its MAC, its options, its name, what a relay says of it, what is kept for it and the range its
address is from. Ranges, reservations, options and refusals may want some, or want others not to be there (`!red`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from simvlan.dhcp import message as m
from simvlan.dhcp.message import Message

Pattern = tuple[int | None, ...]
"""Octets, None where any will do."""
SUBOPTIONS = {"circuit": m.CIRCUIT, "remote": m.REMOTE, "subscriber": m.SUBSCRIBER}


def fits(pattern: Pattern, octets: bytes) -> bool:
    """Whether octets are as a pattern says, all of them."""
    return len(pattern) == len(octets) and begins(pattern, octets)


def begins(pattern: Pattern, octets: bytes) -> bool:
    """Whether octets begin as a pattern says."""
    return len(pattern) <= len(octets) and all(
        want in (None, have) for want, have in zip(pattern, octets, strict=False)
    )


def has(wanted: Sequence[str], tags: Collection[str], plain: bool = False) -> bool:
    """Whether every tag that is wanted is there (match_netid); where none is, *plain* is the answer."""
    return all(_there(each, tags) for each in wanted) if wanted else plain


def _there(wanted: str, tags: Collection[str]) -> bool:
    return wanted[1:] not in tags if wanted[:1] in ("!", "#") else wanted in tags


@dataclass(frozen=True)
class TagIf:
    """More tags for who has some (--tag-if); a trailing `*` stands for any end."""

    sets: tuple[str, ...]
    wanted: tuple[str, ...]

    def holds(self, tags: Collection[str]) -> bool:
        """Whether it takes effect."""
        return all(self._there(each, tags) for each in self.wanted)

    @staticmethod
    def _there(wanted: str, tags: Collection[str]) -> bool:
        no, name = (wanted[:1] in ("!", "#")), wanted.lstrip("!#")
        found = any(tag.startswith(name[:-1]) for tag in tags) if name.endswith("*") else name in tags
        return found is not no


@dataclass(frozen=True)
class Source:
    """What gives a client a tag.

    Attributes:
        kind: `mac`, `vendor`, `user`, `circuit`, `remote`, `subscriber`, `option` or `name`.
        pattern: of a MAC, or of an option's first octets.
        text: the value of an option may stand anywhere in it, not only at a multiple of its length.
        wild: a name may go on.
    """

    tag: str
    kind: str
    value: bytes = b""
    code: int = 0
    pattern: Pattern = ()
    text: bool = False
    wild: bool = False

    def meets(self, msg: Message, name: str) -> bool:
        """Whether a client has it."""
        if self.kind == "mac":
            return fits(self.pattern, msg.chaddr)
        if self.kind in SUBOPTIONS:
            return msg.agent.get(SUBOPTIONS[self.kind]) == self.value
        if self.kind == "name":
            wanted = self.value.decode().lower()
            return name.lower() == wanted or (self.wild and name.lower().startswith(wanted))
        return self._in_option(msg)

    def _in_option(self, msg: Message) -> bool:
        code = {"vendor": m.VENDOR, "user": m.USER_CLASS}.get(self.kind, self.code)
        told = msg.options.get(code, b"")
        if not told:
            return False
        if self.kind in ("vendor", "user"):
            return self.value in (_uncounted(told) if self.kind == "user" else told)
        return begins(self.pattern, told) if self.pattern else self._element(told)

    def _element(self, told: bytes) -> bool:
        """Whether a value is one of those in an option (match_bytes); any will do where none is given."""
        size = len(self.value)
        step = 1 if self.text else size
        return not size or any(told[at : at + size] == self.value for at in range(0, len(told) - size + 1, step))


def _uncounted(told: bytes) -> bytes:
    """A user class as RFC 3004 has it, without its counts; another one as it is."""
    made, at = bytearray(told), 0
    while at < len(told):
        made[at], at = 0, at + told[at] + 1
    return bytes(made) if at == len(told) else told
