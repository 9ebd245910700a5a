"""Scenarios, each once a disagreement or a rule of a protocol: the simulator does what Linux was recorded to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import scenario

PATHS = sorted((Path(__file__).parent / "scenarios").glob("*.sh"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_simulator_follows_the_recording(path: Path) -> None:
    lines = scenario.lines_of(path)
    found = scenario.differences(lines, scenario.simulate(lines), scenario.recorded(path), scenario.tidy_of(path))
    assert not found, "\n".join(found)
