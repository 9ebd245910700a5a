"""Policy rules: which routing table a packet is looked up in. Mirrors fib_rules.c of core, IPv4, IPv6.

Rules are asked in the order of their priorities until one of them decides. There are no marks on packets here, so
rules with `fwmark` fit questions (`ip route get ... mark N`) only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simvlan.devices.device import Device

LOOKUP = "lookup"
PROTO_KERNEL = 2
BITS = {4: 32, 6: 128}
ALL_MARK = 0xFFFF_FFFF


@dataclass(slots=True, eq=False)
class Rule:
    """One policy rule: selectors and what to do (struct fib_rule). `src`, `dst`: address and prefix length."""

    priority: int
    action: str = LOOKUP
    table: int = 0
    src: tuple[int, int] | None = None
    dst: tuple[int, int] | None = None
    iif: str | None = None
    oif: str | None = None
    fwmark: tuple[int, int] | None = None
    tos: int = 0
    invert: bool = False
    suppress_prefixlength: int = -1
    protocol: int = PROTO_KERNEL
    family: int = 4

    def matches(self, src: int, dst: int, iif: str, oif: Device | None, mark: int, tos: int) -> bool:
        """Whether the rule's selectors fit (fib_rule_match). *iif* is `lo` for packets made here."""
        return self._fits(src, dst, iif, oif, mark, tos) != self.invert

    def _fits(self, src: int, dst: int, iif: str, oif: Device | None, mark: int, tos: int) -> bool:
        if self.iif is not None and iif != self.iif:
            return False
        if self.oif is not None and (oif is None or oif.name != self.oif):
            return False
        if self.fwmark is not None and (mark ^ self.fwmark[0]) & self.fwmark[1]:
            return False
        if self.tos and self.tos != tos:
            return False
        return self.inside(src, self.src) and self.inside(dst, self.dst)

    def inside(self, address: int, prefix: tuple[int, int] | None) -> bool:
        """Whether an address lies in a prefix; bits behind its length do not count."""
        return prefix is None or not (address ^ prefix[0]) >> BITS[self.family] - prefix[1]


class Rules:
    """The rules of one family, in order."""

    __slots__ = ("custom", "rules")

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        self.custom = False
        """Somebody has added or deleted one (fib_has_custom_rules); it is never false again."""

    def add_rule(self, rule: Rule) -> None:
        """Put a rule behind those of the same priority."""
        at = 0
        while at < len(self.rules) and self.rules[at].priority <= rule.priority:
            at += 1
        self.rules.insert(at, rule)
        self.custom = True

    def del_rule(self, rule: Rule) -> None:
        """Take a rule away."""
        self.rules.remove(rule)
        self.custom = True

    def next_priority(self) -> int:
        """The priority of a rule that is given none: before the second of all (fib_default_rule_pref)."""
        return max(self.rules[1].priority - 1, 0) if len(self.rules) > 1 else 0
