"""Which of a server's configured options a client gets (option_filter and do_options of dnsmasq 2.90)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from simvlan.dhcp import message as m
from simvlan.dhcp.tags import has

DEFAULTED = frozenset((m.MASK, m.BROADCAST, m.ROUTER, m.DNS, m.DOMAIN, m.HOSTNAME))
"""Options with a value of their own: configured without one they are not sent."""


@dataclass(frozen=True)
class Option:
    """One --dhcp-option.

    Attributes:
        wanted: the tags a client must have.
        forced: sent to who has not asked for it too.
        addresses: the value is addresses: 0.0.0.0 is the server's own.
    """

    code: int
    value: bytes = b""
    wanted: tuple[str, ...] = ()
    forced: bool = False
    addresses: bool = False

    def told(self, own: int) -> bytes:
        """The value, from a server with an address of its own."""
        if not self.addresses:
            return self.value
        parts = (self.value[at : at + 4] for at in range(0, len(self.value), 4))
        return b"".join(own.to_bytes(4, "big") if part == bytes(4) else part for part in parts)


def chosen(options: Sequence[Option], client: Collection[str], everything: Collection[str]) -> list[Option]:
    """The options for a client, the newest first: one of each code.

    Tags of its own count for more than those of its range, options without tags for least.

    Args:
        client: the client's own tags.
        everything: those and its range's.
    """
    newest = list(reversed(options))
    found = [each for each in newest if has(each.wanted, client) and has(each.wanted, everything)]
    own = {each.code for each in found}
    ranged = [each for each in newest if each.code not in own and has(each.wanted, everything)]
    taken = own | {each.code for each in ranged}
    plain = [each for each in newest if not each.wanted and each.code not in taken]
    valid = [*found, *ranged, *plain]
    first: dict[int, Option] = {}
    for each in newest:
        if each in valid:
            first.setdefault(each.code, each)
    return list(first.values())
