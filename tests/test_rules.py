"""docs/rules.md cannot rot: what it names exists, and every drop, device and mutant belongs to something it names."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from simvlan.verdict import Drop
from tests.mutants import TABLE, mutants, mutate

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"


class Rule(NamedTuple):
    """One line of the table."""

    number: str
    text: str
    file: str
    proofs: tuple[str, ...]


def rules() -> Iterator[Rule]:
    for line in (ROOT / "docs/rules.md").read_text().splitlines():
        cells = [cell.strip().replace("\\_", "_") for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] not in ("rule", "---"):
            assert len(cells) == 4, line
            yield Rule(cells[0], cells[1], cells[2], tuple(cells[3].split(", ")))


RULES = list(rules())


@cache
def functions(file: str) -> frozenset[str]:
    """The tests that a file of tests defines."""
    path = TESTS / f"{Path(file).parent}/test_{Path(file).name}.py"
    names = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    return frozenset(name.removeprefix("test_") for name in names if name.startswith("test_"))


def exists(proof: str) -> bool:
    """Whether what a proof names is there."""
    kind, _, name = proof.partition(" ")
    if kind == "drop":
        return name in Drop.__members__  # test_drops.py meets every one
    if kind == "scenario":
        return all((TESTS / "scenarios" / f"{name}{end}").exists() for end in (".sh", ".json"))
    if kind == "example":
        return (ROOT / f"examples/{name}.out").exists()
    if kind == "golden":
        lines = (TESTS / "golden/iproute2" / f"{name.partition('/')[0]}.jsonl").read_text().splitlines()
        return any(json.loads(line)["script_id"] == name for line in lines)
    file, _, test = proof.partition("::")
    return test in functions(file)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.number)
def test_a_rule_names_what_is_there(rule: Rule) -> None:
    assert (ROOT / "simvlan" / rule.file).exists(), rule.file
    assert [proof for proof in rule.proofs if not exists(proof)] == []
    assert rule.text
    assert rule.proofs


def test_rules_are_numbered_once() -> None:
    numbers = [rule.number for rule in RULES]
    assert sorted(set(numbers)) == sorted(numbers)
    assert len(numbers) > 180


def test_the_names_of_what_is_not_there_are_noticed() -> None:
    """The check bites."""
    for wrong in ("network::no_such_test", "drop NO_SUCH", "scenario nosuch", "golden link/nosuch", "example nosuch"):
        assert not exists(wrong), wrong


def test_every_device_file_holds_a_rule() -> None:
    held = {rule.file for rule in RULES}
    helpers = {"__init__", "device", "dummy", "bridge_transit", "bridge_timer", "bridge_stp_port", "bridge_mdb",
               "bridge_mcast_port"}  # fmt: skip
    devices = {path.stem for path in (ROOT / "simvlan/devices").glob("*.py")} - helpers
    assert {stem for stem in devices if f"devices/{stem}.py" not in held} == set()


@pytest.mark.parametrize("path", [TABLE, TABLE.with_name("fuzz_mutants.txt")], ids=lambda path: path.stem)
def test_every_mutant_still_applies(path: Path) -> None:
    """`make mutants` and `make fuzz-mutants` would notice too, but take long: each old line is there exactly once."""
    table = list(mutants(path.read_text()))
    for mutant in table:
        assert mutate((ROOT / mutant.file).read_text(), mutant)
        assert all((ROOT / test.partition("::")[0]).exists() for test in mutant.tests if test != "-"), mutant
    assert len({(m.file, m.old, m.new) for m in table}) == len(table)
    assert re.match(r"# One-line edits", path.read_text())
