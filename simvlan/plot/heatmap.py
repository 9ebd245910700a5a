"""The heat map of a reachability matrix: in every failing cell the reason's number and name, below it the sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simvlan.plot.grid import Mark, grid

if TYPE_CHECKING:
    from simvlan.matrix import Cell, Matrix

NAMED = 16
"""Up to so many rows and columns a failing cell has the reason's name; in larger ones its number only."""


def heat_map(matrix: Matrix) -> Any:
    """Draw who reaches whom: light blue and `yes`, or orange, the number and name of the reason; sentences below."""
    small = max(len(matrix.sources), len(matrix.targets)) <= NAMED
    numbers = {why: number for number, why in enumerate(matrix.reasons(), 1)}
    cells = {
        (row, column): _mark(matrix.cells.get((source, *target)), numbers, small)
        for row, source in enumerate(matrix.sources)
        for column, target in enumerate(matrix.targets)
    }
    columns = [f"{name or 'root'}\n{address}" for name, address in matrix.targets]
    rows = [name or "root" for name in matrix.sources]
    notes = [f"({number}) {_note(matrix, why)}" for why, number in numbers.items()]
    if not small:
        named = ", ".join(f"{at} {name or 'root'} {address}" for at, (name, address) in enumerate(matrix.targets, 1))
        notes.insert(0, f"Columns: {named}")
        columns = [str(at) for at in range(1, len(columns) + 1)]
    return grid(rows, columns, cells, sides=("from", "to"), notes=notes)


def _mark(cell: Cell | None, numbers: dict[tuple[str, str], int], small: bool) -> Mark:
    if cell is None:
        return Mark("none")
    if cell.reached:
        return Mark("yes", "yes")
    number = numbers[cell.reason, cell.sentence]
    return Mark("no", f"no ({number})\n" + _broken(cell.reason) if small else str(number))


def _broken(name: str) -> str:
    """Break a long name of a drop at an underscore near its middle."""
    if len(name) <= 11 or "_" not in name:
        return name
    at = min((i for i, letter in enumerate(name) if letter == "_"), key=lambda i: abs(i - len(name) / 2))
    return f"{name[: at + 1]}\n{name[at + 1 :]}"


def _note(matrix: Matrix, why: tuple[str, str]) -> str:
    cells = [cell for cell in matrix.failures if (cell.reason, cell.sentence) == why]
    places = list(dict.fromkeys(cell.device for cell in cells))
    where = ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
    return f"{why[0]}, at {where}: {why[1]}. Remedy: {cells[0].remedy}."
