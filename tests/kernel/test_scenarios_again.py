"""The recordings of tests/scenarios are no accident: a fresh kernel does the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simvlan.oracle import run_many
from tests import scenario
from tests.kernels import require
from tests.test_scenarios import PATHS

TRIES = 3
"""On a busy machine a guest's softirqs and timers come late: what is no accident shows every time."""
GUESTS = 4
"""Scenarios sleep most of the time."""


def asleep_s(path: Path) -> float:
    """How long a scenario sleeps."""
    return sum(map(float, re.findall(r"^sleep (\S+)", path.read_text(), re.MULTILINE)))


def disagreements(paths: list[Path]) -> dict[Path, list[str]]:
    """What a fresh kernel does otherwise than was recorded, by scenario. Who sleeps longest begins."""
    paths = sorted(paths, key=asleep_s, reverse=True)
    scripts = [scenario.lines_of(path) for path in paths]
    runs = run_many("uml", [scenario.script(lines) for lines in scripts], timeout_s=120, guests=GUESTS)
    found = {}
    for path, lines, run in zip(paths, scripts, runs, strict=True):
        theirs = scenario.kernel_outcome(lines, run)
        found[path] = scenario.differences(lines, scenario.recorded(path), theirs, scenario.tidy_of(path))
    return {path: texts for path, texts in found.items() if texts}


@pytest.mark.kernel
def test_linux_does_it_again() -> None:
    require("uml")
    left = disagreements(PATHS)
    for _ in range(TRIES - 1):
        left = disagreements(list(left)) if left else left
    assert not left, "\n".join(f"{path.stem}: {text}" for path, texts in left.items() for text in texts)
