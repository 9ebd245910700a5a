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


@pytest.mark.kernel
def test_linux_does_it_again() -> None:
    """The recordings are no accident: a fresh kernel does the same."""
    require("uml")
    scripts = [scenario.lines_of(path) for path in PATHS]
    runs = run_many("uml", [scenario.script(lines) for lines in scripts], timeout_s=120)
    report = []
    for path, lines, run in zip(PATHS, scripts, runs, strict=True):
        theirs = scenario.kernel_outcome(lines, run)
        report += [
            f"{path.stem}: {text}"
            for text in scenario.differences(lines, scenario.recorded(path), theirs, scenario.tidy_of(path))
        ]
    assert not report, "\n".join(report)
