"""The notebooks run from top to bottom, show what they were committed with, and say nothing of the machine."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

HERE = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))


@cache
def execute() -> ModuleType:
    spec = importlib.util.spec_from_file_location("execute", HERE / "execute.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(book: Any) -> Iterator[tuple[str, str]]:
    """What each output says: kind and text; a picture counts as a picture."""
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            yield output.output_type, output.get("text") or data.get("text/plain", "")
            if "image/png" in data:
                yield "picture", ""


def pictures(book: Any) -> list[bytes]:
    found = [output.get("data", {}).get("image/png") for cell in book.cells for output in cell.get("outputs", ())]
    return [base64.b64decode(each) for each in found if each]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_again_what_it_was_committed_with(path: Path) -> None:
    """Its assertions hold its answers; its text comes out letter for letter."""
    committed = nbformat.read(path, as_version=4)
    again = execute().executed(path)
    assert list(outputs(again)) == list(outputs(committed))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_question_picture_and_answer(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert prose.startswith("# ")
    assert "**Question.**" in prose
    assert "**Answer.**" in prose
    assert "assert " in book.cells[-1].source
    assert [cell.execution_count for cell in book.cells if cell.cell_type == "code"] == list(
        range(1, 1 + sum(cell.cell_type == "code" for cell in book.cells))
    )
    shown = pictures(book)
    assert len(shown) >= 2
    assert all(picture.startswith(b"\x89PNG") and len(picture) < 100_000 for picture in shown)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_neither_path_nor_time_nor_widget(path: Path) -> None:
    text = path.read_text()
    book = json.loads(text)
    assert set(book["metadata"]) == {"kernelspec", "language_info"}
    assert all(cell["metadata"] == {} for cell in book["cells"])
    prose = re.sub(r'"image/png": "[^"]*"', "", text)
    assert not re.search(r"/(home|root|work|tmp|usr|opt|Users)/|site-packages|[A-Z]:\\\\", prose)
    without_macs = re.sub(r"(?:[0-9a-f]{2}:){5}\S*", "", prose)
    assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", without_macs)
    assert "widget" not in prose
    assert "\\u001b[" not in prose  # no colours of a terminal
    assert path.stat().st_size < 300_000


def test_a_wrong_answer_is_an_error(tmp_path: Path) -> None:
    """The negative twin: a cell whose assertion fails ends the run."""
    from nbclient.exceptions import CellExecutionError

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 + 1 == 3")])
    nbformat.write(book, tmp_path / "wrong.ipynb")
    with pytest.raises(CellExecutionError):
        execute().executed(tmp_path / "wrong.ipynb")


def test_every_notebook_is_in_the_table() -> None:
    assert len(NOTEBOOKS) >= 5
    table = (HERE / "README.md").read_text()
    assert all(f"({path.name})" in table for path in NOTEBOOKS)
