"""iptables 1.8.9 (nf_tables), iptables-save and iptables-restore on a namespace's tables filter, nat and raw.

What it has beyond `iptables_parse` is refused by name. Exit statuses are those of the real one: 2 for a bad command
line, 4 for what the kernel refuses, 3 for a table that does not exist, 1 for the rest.
"""

from __future__ import annotations

import errno
import os
import shlex
import time
from copy import deepcopy
from typing import Any

from simvlan.errors import RtnlError, Unsupported
from simvlan.netfilter.hooks import refresh
from simvlan.netfilter.tables import BUILT_IN, LISTED, Table
from simvlan.rtnl import filters
from simvlan.tools.iptables_parse import VERSION, Order, orders
from simvlan.tools.iptables_text import chains_of, listed, rules_text, saved
from simvlan.tools.iptables_values import Mistake, NotBuilt
from simvlan.tools.program import REFUSED_STATUS, Process

VARIANT = " (nf_tables)"
EPOCH = 1_767_225_600
"""2026-01-01: where a lab's time begins."""
TEXTS = {
    errno.ENOENT: "No chain/target/match by that name.",
    errno.EEXIST: "Chain already exists.",
    errno.ENXIO: "Bad built-in chain name.",
    errno.ESRCH: "Bad rule (does a matching rule exist in that chain?).",
}
"""nft_strerror: what an errno means in iptables."""
HELP = "Try `iptables -h' or 'iptables --help' for more information.\n"
EMPTY = ("mangle", "security")
"""Tables that are listed as empty; rules in them are not built."""


class Refusal(Exception):  # noqa: N818 - what is the case
    """A command gives up: text and status."""

    def __init__(self, text: str, status: int) -> None:
        self.status = status
        super().__init__(text)


class Iptables:
    """One command."""

    def __init__(self, proc: Process, order: Order, name: str = "iptables") -> None:
        self.proc, self.order, self.name = proc, order, name
        self.ns: Any = proc.lab.network.netns[proc.netns]

    def run(self) -> None:
        """Do it. Raises Refusal, NotBuilt."""
        order = self.order
        self._check_table()
        if order.rule.target is not None:
            self._check_target()
        if order.command in "LS":
            self._show()
            return
        try:
            self._change()
        except RtnlError as error:
            raise self._refused(error) from None

    def _check_table(self) -> None:
        table = self.order.table
        if table in EMPTY and self.order.command not in "LSFXZ":
            raise NotBuilt(f"iptables -t {table}")
        if table not in BUILT_IN and table not in EMPTY:
            text = f"table '{table}' does not exist\nPerhaps iptables or your kernel needs to be upgraded.\n"
            raise Refusal(self.titled(text), 3)

    def _check_target(self) -> None:
        target = self.order.rule.target
        assert target is not None
        known = {"ACCEPT", "DROP", "RETURN", "REJECT", "MASQUERADE", "SNAT", "DNAT", "REDIRECT"}
        if target.name not in known and target.name not in filters.table_of(self.ns, self.order.table).chains:
            raise Refusal(self.titled(f"Chain '{target.name}' does not exist\n{HELP}"), 2)
        if target.name == "DROP" and self.order.table == "nat":
            raise Refusal(self._no_drop(), 2)

    def _no_drop(self) -> str:
        text = '\nThe "nat" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n\n'
        return self.titled(text + HELP)

    def titled(self, text: str) -> str:
        """A complaint behind name, version and variant."""
        return f"{self.name} v{VERSION}{VARIANT}: {text}"

    def _refused(self, error: RtnlError) -> Refusal:
        order, code = self.order, error.errno
        if code == errno.E2BIG:
            what = {"I": "insertion", "R": "replacement"}.get(order.command, "deletion")
            return Refusal(f"{self.name}: Index of {what} too big.\n", 1)
        if order.command == "E" and code == errno.EEXIST:
            return Refusal(f"{self.name}: File exists.\n", 1)
        if code in TEXTS:
            return Refusal(f"{self.name}: {TEXTS[code]}\n", 1)
        what = {"A": "RULE_APPEND", "I": "RULE_INSERT", "R": "RULE_REPLACE", "X": "CHAIN_DEL"}.get(order.command, "")
        about = f"chain {order.chain}" if order.command == "X" else f"rule in chain {order.chain}"
        return Refusal(self.titled(f" {what} failed ({os.strerror(code)}): {about}\n"), 4)

    # -- showing ------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        order = self.order
        if order.table in EMPTY:
            table = Table("nat") if order.table == "mangle" else Table("filter")
            if order.table == "mangle":
                table.chains = {name: deepcopy(chain) for name, chain in _mangle().items()}
        else:
            table = filters.table_of(self.ns, order.table)
        if order.chain and order.chain not in table.chains:
            text = f"chain `{order.chain}' in table `{order.table}' is incompatible, use 'nft' tool.\n"
            raise Refusal(self.titled(text), 1)
        chains = [table.chains[order.chain]] if order.chain else chains_of(table)
        if order.command == "L":
            self.proc.write(listed(table, chains, order.flags, order.number))
        else:
            self.proc.write(rules_text(chains, "v" in order.flags))

    # -- changing -----------------------------------------------------------------------------------------------------

    def _change(self) -> None:
        ns, order = self.ns, self.order
        table, chain, rule = order.table, order.chain, order.rule
        if order.command == "A":
            filters.rule_append(ns, table, chain, rule)
        elif order.command == "I":
            filters.rule_insert(ns, table, chain, rule, order.number)
        elif order.command == "R":
            filters.rule_replace(ns, table, chain, rule, order.number)
        elif order.command == "C":
            filters.rule_find(ns, table, chain, rule)
        elif order.command == "D":
            filters.rule_delete(ns, table, chain, order.number or filters.rule_find(ns, table, chain, rule))
        elif order.command == "P":
            self._policy()
        elif order.command == "N":
            filters.chain_add(ns, table, chain)
        elif order.command == "E":
            filters.chain_rename(ns, table, chain, order.new_name)
        else:
            self._all_or_one()

    def _policy(self) -> None:
        order = self.order
        if order.policy not in ("ACCEPT", "DROP"):
            raise Refusal(f"{self.name}: Bad policy name. Run `dmesg' for more information.\n", 1)
        if order.table == "nat" and order.policy == "DROP":
            raise Refusal(self._no_drop(), 2)
        filters.policy_set(self.ns, order.table, order.chain, order.policy)

    def _all_or_one(self) -> None:
        """-F, -X and -Z without a chain are for all of them."""
        ns, order = self.ns, self.order
        if order.table in EMPTY:
            return
        table = filters.table_of(ns, order.table)
        names = [order.chain] if order.chain else list(table.chains)
        for name in names:
            if order.command == "F":
                filters.chain_flush(ns, order.table, name)
            elif order.command == "Z":
                for rule in filters.chain_of(ns, order.table, name).rules:
                    rule.packets = rule.octets = 0
            elif order.chain or not table.chains[name].policy:
                filters.chain_delete(ns, order.table, name)


def _mangle() -> dict[str, Any]:
    from simvlan.netfilter.tables import Chain

    names = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
    return {name: Chain(name, "ACCEPT") for name in names}


def main(proc: Process) -> int:
    """Change or show packet filters."""
    try:
        made = orders(proc.argv[1:])
        order = made[0]
        if "V" in order.flags:
            proc.write(f"iptables v{VERSION}{VARIANT}\n")
            return 0
        if "h" in order.flags:
            proc.write(f"iptables v{VERSION}\n\nWhat is simulated of iptables(8): docs/netfilter.md\n")
            return 0
        for order in made:
            Iptables(proc, order).run()
    except Mistake as mistake:
        title = "" if mistake.bare else f"iptables v{VERSION}{VARIANT}: "
        proc.write_err(f"{title}{mistake}\n{HELP}")
        return 2
    except NotBuilt as missing:
        proc.write_err(f"simvlan: {missing} is not simulated (docs/netfilter.md says what is)\n")
        return REFUSED_STATUS
    except Unsupported as missing:
        proc.write_err(f"simvlan: {missing}\n")
        return REFUSED_STATUS
    except Refusal as refusal:
        proc.write_err(str(refusal))
        return refusal.status
    return 0


# -- iptables-save ----------------------------------------------------------------------------------------------------


def save(proc: Process) -> int:
    """Write tables down: -c with counters, -t one of them."""
    words, counters, only = proc.argv[1:], False, ""
    while words:
        word = words.pop(0)
        if word in ("-c", "--counters"):
            counters = True
        elif word in ("-t", "--table") and words:
            only = words.pop(0)
        elif word.startswith("--table="):
            only = word.partition("=")[2]
        elif word in ("-V", "--version"):
            proc.write(f"iptables-save v{VERSION}{VARIANT}\n")
            return 0
        else:
            proc.write_err(f"simvlan: iptables-save {word} is not simulated (docs/netfilter.md says what is)\n")
            return REFUSED_STATUS
    tables = proc.lab.network.netns[proc.netns].stack.tables.tables
    moment = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(EPOCH + proc.lab.network.now // 1_000_000_000))
    for name in LISTED:
        if name in tables and only in ("", name):
            proc.write(saved(tables[name], counters, moment, VARIANT))
    return 0


# -- iptables-restore -------------------------------------------------------------------------------------------------


class Restore:
    """One run: each table is changed as a whole at its COMMIT, or not at all."""

    def __init__(self, proc: Process, flags: set[str], only: str) -> None:
        self.proc, self.flags, self.only = proc, flags, only
        self.stack: Any = proc.lab.network.netns[proc.netns].stack
        self.table = ""
        self.before: Table | None = None

    def run(self, text: str) -> int:
        """Obey the lines; the exit status."""
        for number, line in enumerate(text.splitlines(), 1):
            try:
                self._line(line.strip())
            except (Mistake, NotBuilt, Refusal, RtnlError) as problem:
                self._undo()
                self._complain(problem, number)
                return REFUSED_STATUS if isinstance(problem, NotBuilt) else getattr(problem, "status", 2)
        if self.table:
            self._undo()
            self.proc.write_err(f"iptables-restore: COMMIT expected at line {len(text.splitlines()) + 1}\n")
            return 1
        return 0

    def _undo(self) -> None:
        if self.table and self.before is not None:
            self.stack.tables.tables[self.table] = self.before
            refresh(self.stack)

    def _complain(self, problem: Exception, number: int) -> None:
        if isinstance(problem, NotBuilt):
            self.proc.write_err(f"simvlan: line {number}: {problem} is not simulated\n")
        elif isinstance(problem, Refusal):
            self.proc.write_err(f"{problem}")
        else:
            hint = "Try `iptables-restore -h' or 'iptables-restore --help' for more information.\n"
            title = f"iptables-restore v{VERSION}{VARIANT}"
            self.proc.write_err(f"{title}: {problem}\nError occurred at line: {number}\n{hint}")

    def _line(self, line: str) -> None:
        if not line or line.startswith("#"):
            return
        if line.startswith("*"):
            self._begin(line[1:])
        elif line == "COMMIT" and self.table:
            self.table, self.before = "", None
        elif not self.table:
            raise Refusal(f"iptables-restore: unable to initialize table '{line}'\n", 1)
        elif line.startswith(":"):
            self._chain(line[1:].split())
        else:
            self._rule(line)

    def _begin(self, name: str) -> None:
        if name in EMPTY:
            raise NotBuilt(f"table {name}")
        if name not in BUILT_IN:
            raise Refusal(f"iptables-restore: unable to initialize table '{name}'\n", 1)
        self.table, self.before = name, deepcopy(self.stack.tables.table(name))
        if "n" not in self.flags:
            self.stack.tables.tables[name] = Table(name)
            refresh(self.stack)

    def _chain(self, words: list[str]) -> None:
        name, policy = words[0], words[1] if len(words) > 1 else "-"
        chains = self.stack.tables.table(self.table).chains
        if policy != "-":
            filters.policy_set(self.proc.lab.network.netns[self.proc.netns], self.table, name, policy)
        elif name in chains:
            chains[name].rules.clear()
        else:
            filters.chain_add(self.proc.lab.network.netns[self.proc.netns], self.table, name)

    def _rule(self, line: str) -> None:
        counts = (0, 0)
        if line.startswith("["):
            inside, _, line = line[1:].partition("]")
            packets, _, octets = inside.partition(":")
            counts = (int(packets), int(octets))
        for order in orders([*shlex.split(line), "-t", self.table]):
            if "c" in self.flags:
                order.rule.packets, order.rule.octets = counts
            Iptables(self.proc, order, "iptables-restore").run()


def restore(proc: Process) -> int:
    """Read tables: -n keeps what is there, -c takes counters too."""
    flags, files = set(), []
    for word in proc.argv[1:]:
        letter = {"--noflush": "n", "--counters": "c", "--wait": "w", "--verbose": "v"}.get(word, word.lstrip("-"))
        if word.startswith("-") and len(letter) == 1 and letter in "ncwv":
            flags.add(letter)
        elif word.startswith("-"):
            proc.write_err(f"simvlan: iptables-restore {word} is not simulated (docs/netfilter.md says what is)\n")
            return REFUSED_STATUS
        else:
            files.append(word)
    text = (proc.read_file(files[0]) if files else proc.read_stdin()).decode()
    return Restore(proc, flags, "").run(text)
