"""Run the notebooks from top to bottom and keep what they show: `make notebooks` (extra `notebook`).

What is kept is the same on every machine: text and pictures, no times, no paths, no name of a kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
LIMIT_S = 300


def notebooks() -> list[Path]:
    """Return all, in order."""
    return sorted(HERE.glob("*.ipynb"))


def executed(path: Path) -> Any:
    """Run a notebook in this folder; an exception in a cell, such as an answer that does not hold, is raised."""
    book = nbformat.read(path, as_version=4)
    there = {"metadata": {"path": str(HERE)}}
    NotebookClient(book, timeout=LIMIT_S, startup_timeout=LIMIT_S, kernel_name="python3", resources=there).execute()
    return cleaned(book)


def cleaned(book: Any) -> Any:
    """Take out what differs from run to run: times of execution and the machine's Python."""
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    return book


def joined(outputs: Sequence[Any]) -> list[Any]:
    """Put pieces of one stream together: where they were cut depends on the moment."""
    made: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and made and made[-1].get("name") == output.name:
            made[-1].text += output.text
        else:
            made.append(output)
    return made


def main(words: Sequence[str]) -> int:
    """Execute those named, or all, in place."""
    for path in [Path(word).resolve() for word in words] or notebooks():
        print(path.name, flush=True)
        nbformat.write(executed(path), path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
