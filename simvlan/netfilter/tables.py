"""Tables, chains and the walk through them. Mirrors ipt_do_table (net/ipv4/netfilter/ip_tables.c) and what
iptables-nft allows to change (1.8.9): built-in chains come with their table, chains in use are not deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from simvlan.netfilter.rules import Rule, Target
from simvlan.netfilter.view import View

BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}
"""Chains of each table, in the order of a listing."""
ACCEPT, DROP = Target("ACCEPT"), Target("DROP")
LISTED = ("raw", "filter", "nat")
"""The order of iptables-save."""


@dataclass(eq=False)
class Chain:
    """Rules in order. *policy* is empty for a chain that somebody made."""

    name: str
    policy: str = ""
    rules: list[Rule] = field(default_factory=list)


class Outcome(NamedTuple):
    """How a walk ended: the target, and the chain and rule that had it; number 0: the policy."""

    target: Target
    chain: Chain
    number: int

    def told(self, table: str) -> str:
        """Name the chain and the rule, for people."""
        if not self.number:
            return f"policy {self.target.name} of chain {self.chain.name} (table {table})"
        rule = self.chain.rules[self.number - 1]
        return f"rule {self.number} of chain {self.chain.name} (table {table}): -A {self.chain.name} {rule.spec()}"


class Table:
    """A table with its chains by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.chains = {chain: Chain(chain, "ACCEPT") for chain in BUILT_IN[name]}

    @property
    def matters(self) -> bool:
        """Whether it can do anything at all."""
        return any(chain.rules or chain.policy == "DROP" for chain in self.chains.values())

    def references(self, name: str) -> int:
        """How many rules jump to a chain."""
        rules = (rule for chain in self.chains.values() for rule in chain.rules)
        return sum(rule.target is not None and rule.target.name == name for rule in rules)

    def walk(self, hook: str, view: View) -> Outcome:
        """Go through a built-in chain's rules, and those they jump to, until one decides."""
        chain, at = self.chains[hook], 0
        calls: list[tuple[Chain, int]] = []
        while True:
            rule = None
            while at < len(chain.rules):
                rule = chain.rules[at]
                at += 1
                if rule.holds(view):
                    break
                rule = None
            if rule is None or (rule.target is not None and rule.target.name == "RETURN"):
                if rule is not None:
                    _count(rule, view)
                if not calls:
                    return Outcome(Target(self.chains[hook].policy), self.chains[hook], 0)
                chain, at = calls.pop()
                continue
            _count(rule, view)
            if rule.target is None:
                continue
            if rule.target.name in self.chains:
                calls.append((chain, at))
                chain, at = self.chains[rule.target.name], 0
                continue
            return Outcome(rule.target, chain, at)


def _count(rule: Rule, view: View) -> None:
    rule.packets += 1
    rule.octets += view.size


class Tables:
    """The tables of a namespace, each there once somebody has named it."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """A table, made when first asked for."""
        found = self.tables.get(name)
        if found is None:
            found = self.tables[name] = Table(name)
        return found

    @property
    def matters(self) -> bool:
        """Whether any packet could meet a rule or a policy that drops."""
        return any(table.matters for table in self.tables.values())

    @property
    def tracks(self) -> bool:
        """Whether some rule needs connection tracking."""
        return any(rule.tracks for t in self.tables.values() for chain in t.chains.values() for rule in chain.rules)
