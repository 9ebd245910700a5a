"""Scenarios, each once a disagreement or a rule of a protocol: the simulator does what Linux was recorded to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from simvlan.oracle import run_many
from tests import scenario
from tests.kernels import require

PATHS = sorted((Path(__file__).parent / "scenarios").glob("*.sh"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_simulator_follows_the_recording(path: Path) -> None:
    lines = scenario.lines_of(path)
    found = scenario.differences(lines, scenario.simulate(lines), scenario.recorded(path), scenario.tidy_of(path))
    assert not found, "\n".join(found)


TRIES = 3
"""On a busy machine a guest's softirqs and timers come late: what is no accident shows every time."""


def disagreements(paths: list[Path]) -> dict[Path, list[str]]:
    """What a fresh kernel does otherwise than was recorded, by scenario."""
    scripts = [scenario.lines_of(path) for path in paths]
    runs = run_many("uml", [scenario.script(lines) for lines in scripts], timeout_s=120)
    found = {}
    for path, lines, run in zip(paths, scripts, runs, strict=True):
        theirs = scenario.kernel_outcome(lines, run)
        found[path] = scenario.differences(lines, scenario.recorded(path), theirs, scenario.tidy_of(path))
    return {path: texts for path, texts in found.items() if texts}


@pytest.mark.kernel
def test_linux_does_it_again() -> None:
    """The recordings are no accident: a fresh kernel does the same."""
    require("uml")
    left = disagreements(PATHS)
    for _ in range(TRIES - 1):
        left = disagreements(list(left)) if left else left
    assert not left, "\n".join(f"{path.stem}: {text}" for path, texts in left.items() for text in texts)
