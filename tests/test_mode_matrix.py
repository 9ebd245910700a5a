"""experiments/mode-matrix: the simulator's answers are Linux's, cell by cell; every sentence of the report holds."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.kernels import require
from tests.test_plot import legible, words

HERE = Path(__file__).resolve().parents[1]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mode_matrix", HERE / "experiments" / "mode-matrix" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mode_matrix"] = module
    spec.loader.exec_module(module)
    return module


mode_matrix = load()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quick run. It asks the simulator everything and compares with what Linux answered."""
    folder = tmp_path_factory.mktemp("results")
    assert mode_matrix.main(["--results", str(folder), "--workers", "1"]) == 0
    return folder / "mode-matrix"


def cells(folder: Path) -> list[dict[str, str]]:
    with (folder / "matrix.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def table(folder: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for cell in cells(folder):
        found.setdefault(cell["container"], {})[cell["question"]] = cell["answer"]
    return found


def test_every_cell_is_as_recorded_on_linux(made: Path) -> None:
    recorded = mode_matrix.read_kernel()
    assert set(recorded) == set(mode_matrix.ROWS)
    assert table(made) == recorded


def test_the_committed_results_are_those_of_the_run(made: Path) -> None:
    """But for seeds, which nothing depends on."""
    ours, committed = (cells(folder) for folder in (made, mode_matrix.RESULTS))
    assert [{**cell, "seed": ""} for cell in ours] == [{**cell, "seed": ""} for cell in committed]
    pages = [(folder / "README.md").read_text() for folder in (made, mode_matrix.RESULTS)]
    assert pages[1].endswith("numbers: `*.csv`.\n")
    assert "experiments/mode-matrix/run.py --full --seed 1`" in pages[1]
    assert pages[0].split("Made by")[0] == pages[1].split("Made by")[0]


def test_every_failing_cell_has_a_reason_a_sentence_and_a_remedy(made: Path) -> None:
    failing = [cell for cell in cells(made) if cell["answer"] != "yes"]
    assert len(failing) > 50
    assert all(cell[name] for cell in failing for name in ("reason", "device", "sentence", "remedy"))
    assert not any(cell["reason"] for cell in cells(made) if cell["answer"] == "yes")


def test_the_picture_has_every_cell_with_its_reason(made: Path) -> None:
    why: dict[str, dict[str, object]] = {row: {} for row in mode_matrix.ROWS}
    for cell in cells(made):
        if cell["reason"]:
            why[cell["container"]][cell["question"]] = mode_matrix.Why(*(cell[n] for n in mode_matrix.Why._fields))
    figure = mode_matrix.picture(table(made), why)
    legible(figure)
    said = words(figure)
    assert said.count("yes") == sum(cell["answer"] == "yes" for cell in cells(made))
    shown = [text.split("\n", 1)[1].replace("\n", "") for text in said if text.startswith("no (")]
    assert sorted(shown) == sorted(cell["reason"] for cell in cells(made) if cell["reason"])


@pytest.mark.parametrize("claim", mode_matrix.CLAIMS, ids=[text.split(",")[0][:40] for text, _ in mode_matrix.CLAIMS])
def test_each_sentence_of_the_report_holds(claim: tuple[str, object], made: Path) -> None:
    """And would not, if some single answer were another."""
    sentence, holds = claim
    assert callable(holds)
    assert sentence in (mode_matrix.RESULTS / "README.md").read_text()
    answers = table(made)
    assert holds(answers)
    other = {"yes": "no", "no": "yes", "refused": "no"}
    broken = 0
    for row, questions in answers.items():
        for question, answer in questions.items():
            changed = {**answers, row: {**questions, question: other[answer]}}
            broken += not holds(changed)
    assert broken


def test_a_cell_unlike_linux_is_told() -> None:
    recorded = mode_matrix.read_kernel()
    wrong = {**recorded, "macvlan bridge": {**recorded["macvlan bridge"], "host": "yes"}}
    assert mode_matrix.differences(recorded, recorded) == []
    assert mode_matrix.differences(wrong, recorded) == ["macvlan bridge, host: simulator yes, Linux no"]


@pytest.mark.kernel
def test_some_rows_are_asked_of_linux_now() -> None:
    """One boot; the rows where the most depends on mode, switch and route."""
    require("uml")
    rows = ["macvlan vepa", "ipvlan l3 bridge"]
    answers, release = mode_matrix.on_linux(rows, guests=1)
    assert release.startswith("6.1.")
    assert answers == {row: mode_matrix.read_kernel()[row] for row in rows}
