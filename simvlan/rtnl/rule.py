"""Policy rules: add, delete, flush. Mirrors fib_nl_newrule, fib_nl_delrule, rule_exists, rule_find of fib_rules.c."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENOENT
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError
from simvlan.stack.fib_rules import BITS, LOOKUP, Rule, Rules

if TYPE_CHECKING:
    from simvlan.network import Netns


def rules_of(ns: Netns, family: int) -> Rules:
    """The rules of one family; those of IPv6 are there where it was never switched on, too."""
    rules: Rules = ns.stack.fib if family == 4 else ns.stack.with_ip6().fib
    return rules


def rule_add(ns: Netns, rule: Rule, given: bool, families: tuple[int, ...] = ()) -> None:
    """Add a rule.

    Args:
        given: with a priority of its own; else it takes one before all others.
        families: those of its prefixes (source, destination), where they may be another than the rule's.
    """
    rules = rules_of(ns, rule.family)
    _check(rule, families)
    if not given:
        rule.priority = rules.next_priority()
    if any(_same(rule, other) for other in rules.rules):
        raise RtnlError(EEXIST)
    rules.add_rule(rule)
    _flush(ns)


def rule_del(ns: Netns, rule: Rule, given: bool, families: tuple[int, ...] = ()) -> None:
    """Delete the first rule that has what *rule* names; a table of 0 and an action of "" are not named."""
    rules = rules_of(ns, rule.family)
    _check(rule, families)
    for other in rules.rules:
        if _fits(rule, other, given):
            rules.del_rule(other)
            _flush(ns)
            return
    raise RtnlError(ENOENT)


def rule_flush(ns: Netns, family: int, gone: list[Rule]) -> None:
    """Delete these rules (`ip rule flush`)."""
    rules = rules_of(ns, family)
    for rule in gone:
        rules.del_rule(rule)
    _flush(ns)


def _check(rule: Rule, families: tuple[int, ...]) -> None:
    """What a message must not say (validate_rulemsg): an address is as long as its family's are."""
    for prefix, end, family in zip(
        (rule.src, rule.dst), ("source", "dst"), families or (rule.family,) * 2, strict=True
    ):
        if prefix is not None and (family != rule.family or prefix[1] > BITS[family]):
            raise RtnlError(EINVAL, f"Invalid {end} address")
    if rule.tos & 3:
        raise RtnlError(EINVAL, "Invalid dsfield (tos): ECN bits must be 0")


def _same(rule: Rule, other: Rule) -> bool:
    """Whether a rule is in the way of another (rule_exists): prefixes that the new one does not have do not count."""
    own = (rule.action, rule.table, rule.priority, rule.iif, rule.oif, rule.fwmark, rule.suppress_prefixlength,
           rule.protocol)  # fmt: skip
    its = (other.action, other.table, other.priority, other.iif, other.oif, other.fwmark, other.suppress_prefixlength,
           other.protocol)  # fmt: skip
    return own == its and _covers(rule, other)


def _covers(rule: Rule, other: Rule) -> bool:
    """Compare prefixes and TOS as far as *rule* has them (fib4_rule_compare)."""
    rows = ((rule.src, other.src), (rule.dst, other.dst), (rule.tos or None, other.tos))
    return all(mine is None or mine == its for mine, its in rows)


def _fits(rule: Rule, other: Rule, given: bool) -> bool:
    """Whether a rule has what a deletion names (rule_find)."""
    rows = (
        (rule.action or None, other.action),
        (rule.table or None, other.table if other.action == LOOKUP else 0),
        (rule.priority if given else None, other.priority),
        (rule.iif, other.iif),
        (rule.oif, other.oif),
        (rule.fwmark, other.fwmark),
        (rule.suppress_prefixlength if rule.suppress_prefixlength >= 0 else None, other.suppress_prefixlength),
        (rule.protocol or None, other.protocol),
    )
    return all(mine is None or mine == its for mine, its in rows) and _covers(rule, other)


def _flush(ns: Netns) -> None:
    """What was learnt about routes is forgotten (rt_cache_flush)."""
    ns.stack.pmtu.flush()
