"""Changes of packet filters: rules and chains, refused as nf_tables refuses them through iptables (1.8.9).

Mirrors nft_rule_append, nft_chain_user_add, nft_chain_user_del ... of iptables/nft.c; each errno has one meaning there.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError, Unsupported
from simvlan.netfilter.calls import CALLS
from simvlan.netfilter.hooks import refresh
from simvlan.netfilter.rules import Rule, Target
from simvlan.netfilter.tables import BUILT_IN, Chain, Table
from simvlan.stack.packet import TCP

if TYPE_CHECKING:
    from simvlan.network import Netns, Network

NAT_ONLY = {
    "SNAT": ("INPUT", "POSTROUTING"), "MASQUERADE": ("POSTROUTING",), "DNAT": ("PREROUTING", "OUTPUT"),
    "REDIRECT": ("PREROUTING", "OUTPUT"),
}  # fmt: skip
"""Targets of the nat table, and the hooks they may be reached from."""
FILTER_ONLY = frozenset(("REJECT",))


def table_of(ns: Netns, name: str) -> Table:
    """A table of a namespace, made with its chains when first named."""
    return ns.stack.tables.table(name)


def chain_of(ns: Netns, table: str, name: str) -> Chain:
    """A chain.

    Raises:
        RtnlError: ENOENT: there is none of that name.
    """
    chain = table_of(ns, table).chains.get(name)
    if chain is None:
        raise RtnlError(errno.ENOENT, None, name)
    return chain


def rule_append(ns: Netns, table: str, chain: str, rule: Rule) -> None:
    """Put a rule last (-A)."""
    rules = chain_of(ns, table, chain).rules
    _check(ns, table, chain, rule)
    rules.append(rule)
    refresh(ns.stack)


def rule_insert(ns: Netns, table: str, chain: str, rule: Rule, number: int = 1) -> None:
    """Put a rule before the one with a number (-I).

    Raises:
        RtnlError: E2BIG: there are fewer rules.
    """
    rules = chain_of(ns, table, chain).rules
    if not 1 <= number <= len(rules) + 1:
        raise RtnlError(errno.E2BIG, None, chain)
    _check(ns, table, chain, rule)
    rules.insert(number - 1, rule)
    refresh(ns.stack)


def rule_replace(ns: Netns, table: str, chain: str, rule: Rule, number: int) -> None:
    """Put a rule in another's place (-R)."""
    rules = chain_of(ns, table, chain).rules
    if not 1 <= number <= len(rules):
        raise RtnlError(errno.E2BIG, None, chain)
    _check(ns, table, chain, rule)
    rules[number - 1] = rule
    refresh(ns.stack)


def rule_find(ns: Netns, table: str, chain: str, rule: Rule) -> int:
    """The number of the first rule that says the same (-C).

    Raises:
        RtnlError: ESRCH: none does.
    """
    for number, each in enumerate(chain_of(ns, table, chain).rules, 1):
        if each.same(rule):
            return number
    raise RtnlError(errno.ESRCH, None, chain)


def rule_delete(ns: Netns, table: str, chain: str, number: int) -> None:
    """Take a rule out by its number (-D)."""
    rules = chain_of(ns, table, chain).rules
    if not 1 <= number <= len(rules):
        raise RtnlError(errno.E2BIG, None, chain)
    del rules[number - 1]
    refresh(ns.stack)


def chain_add(ns: Netns, table: str, name: str) -> None:
    """Make a chain (-N)."""
    chains = table_of(ns, table).chains
    if name in chains:
        raise RtnlError(errno.EEXIST, None, name)
    chains[name] = Chain(name)


def chain_delete(ns: Netns, table: str, name: str) -> None:
    """Delete a chain that nothing jumps to (-X); its rules must have gone before."""
    found, chain = table_of(ns, table), chain_of(ns, table, name)
    if found.references(name) or chain.rules or name in BUILT_IN[table]:
        raise RtnlError(errno.EBUSY, None, name)
    del found.chains[name]


def chain_rename(ns: Netns, table: str, old: str, new: str) -> None:
    """Give a chain another name (-E); rules that jump there follow."""
    found = table_of(ns, table)
    chain = chain_of(ns, table, old)
    if new in found.chains:
        raise RtnlError(errno.EEXIST, None, new)
    if chain.policy:
        raise Unsupported(f"renaming {old}: only chains that somebody made can be renamed")
    for rule in (rule for each in found.chains.values() for rule in each.rules):
        if rule.target is not None and rule.target.name == old:
            rule.target = Target(new)
    found.chains = {(new if name == old else name): each for name, each in found.chains.items()}
    chain.name = new


def chain_flush(ns: Netns, table: str, name: str) -> None:
    """Take all rules out (-F)."""
    chain_of(ns, table, name).rules.clear()
    refresh(ns.stack)


def policy_set(ns: Netns, table: str, name: str, policy: str) -> None:
    """Say what happens to packets that no rule decides (-P).

    Raises:
        RtnlError: ENXIO: not a built-in chain.
    """
    if name not in BUILT_IN[table]:
        raise RtnlError(errno.ENXIO, None, name)
    chain_of(ns, table, name).policy = policy
    refresh(ns.stack)


def bridges_load(net: Network, wanted: bool = True) -> None:
    """Load br_netfilter, or take it out: every namespace gets its settings, or loses them (brnf_init, brnf_fini)."""
    for ns in net.netns.values():
        if wanted and ns.stack.bridge_nf is None:
            ns.stack.bridge_nf = dict(CALLS)
        elif not wanted:
            ns.stack.bridge_nf = None
        ns.stack.filter_bridges()


def _check(ns: Netns, table: str, chain: str, rule: Rule) -> None:
    """Targets have their tables and hooks; built-in chains and loops are no targets."""
    target = rule.target.name if rule.target is not None else ""
    if target in NAT_ONLY:
        reached = hooks_of(table_of(ns, table), chain)
        if table != "nat" or not reached <= set(NAT_ONLY[target]):
            raise RtnlError(errno.EINVAL, None, chain)
    resets = rule.target is not None and target == "REJECT" and rule.target.reject == "tcp-reset"
    if resets and (rule.proto != TCP or rule.proto_negated):
        raise RtnlError(errno.EINVAL, None, chain)  # reject_tg_check
    if target in FILTER_ONLY and table != "filter":
        raise RtnlError(errno.EINVAL, None, chain)
    if target in BUILT_IN[table]:
        raise RtnlError(errno.EOPNOTSUPP, None, chain)
    if target in table_of(ns, table).chains and chain in _below(table_of(ns, table), target):
        raise RtnlError(errno.EMLINK, None, chain)


def _below(table: Table, name: str) -> set[str]:
    """A chain and all that are reached from it."""
    found, waiting = set(), [name]
    while waiting:
        here = waiting.pop()
        if here in table.chains and here not in found:
            found.add(here)
            waiting += [rule.target.name for rule in table.chains[here].rules if rule.target is not None]
    return found


def hooks_of(table: Table, name: str) -> set[str]:
    """The built-in chains from which a chain is reached."""
    return {hook for hook in BUILT_IN[table.name] if name in _below(table, hook)}
