"""A table of coloured cells with words in them: what reachability, modes and conformance are shown as.

Everything is measured before it is drawn, so that no word leaves its cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from simvlan.plot.style import (
    FAILED,
    GREY,
    REACHED,
    SELF,
    SMALL,
    TEXT,
    TITLE,
    box,
    sheet,
    widest,
    wrap,
    write,
)

LINE, PAD, MARGIN, NOTE = 0.165, 0.09, 0.15, 6.5
"""Inches: the height of a line of text, the room around it, the edge of the sheet, and the longest line of a note."""

COLOURS = {"yes": REACHED, "no": FAILED, "partly": "#F9DFA5", "none": SELF}


class Mark(NamedTuple):
    """A cell: `yes`, `no`, `partly` or `none`, and the words in it, one line each."""

    state: str
    text: str = ""


class _Plan(NamedTuple):
    """Where everything of a grid goes, in inches."""

    wide: float
    high: float
    left: float
    top: float
    columns: list[float]
    rows: list[float]


def grid(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[int, int], Mark],
    *,
    title: str = "",
    sides: tuple[str, str] = ("", ""),
    notes: Sequence[str] = (),
    key: Mapping[str, str] | None = None,
) -> Any:
    """Draw marks by (row, column); a cell without one stays white.

    Args:
        rows: names of rows, from the top; a line feed breaks a name.
        columns: names of columns.
        cells: what stands where.
        title: above all.
        sides: what the rows and what the columns are.
        notes: sentences below, wrapped.
        key: what a state means, shown below with its colour.
    """
    plan = _plan(rows, columns, cells, title, sides, notes, key or {})
    figure, axes = sheet(plan.wide, plan.high)
    write(axes, MARGIN, MARGIN + 0.09, title, TITLE, weight="bold")
    _heads(axes, plan, rows, columns, sides)
    for (row, column), mark in sorted(cells.items()):
        x, y = plan.left + sum(plan.columns[:column]), plan.top + sum(plan.rows[:row])
        wide, high = plan.columns[column], plan.rows[row]
        box(axes, x, y, wide, high, facecolor=COLOURS[mark.state], edgecolor="white", lw=2.0, zorder=1)
        write(axes, x + wide / 2, y + high / 2, mark.text, SMALL, ha="center", linespacing=1.15)
    bottom = plan.top + sum(plan.rows) + PAD
    bottom = _key(axes, plan.left, bottom, key or {})
    for number, text in enumerate(_wrapped(notes, plan.wide - 2 * MARGIN)):
        write(axes, MARGIN, bottom + LINE * (number + 0.7), text, SMALL)
    return figure


def _plan(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[int, int], Mark],
    title: str,
    sides: tuple[str, str],
    notes: Sequence[str],
    key: Mapping[str, str],
) -> _Plan:
    left = MARGIN + widest(rows, TEXT) + PAD + (0.3 if sides[0] else 0.0)
    wide = [max([0.34, widest([name], SMALL), *_widths(cells, at)]) + 2 * PAD for at, name in enumerate(columns)]
    high = [max([name.count("\n"), *_lines(cells, at)]) * LINE + LINE + 1.1 * PAD for at, name in enumerate(rows)]
    head = max((name.count("\n") + 1 for name in columns), default=1) * LINE + PAD
    top = MARGIN + (0.28 if title else 0.0) + (0.2 if sides[1] else 0.0) + head
    across = max(left + sum(wide) + MARGIN, widest([title], TITLE, True) + 2 * MARGIN, 4.0)
    across = max(across, left + _key_width(key) + MARGIN)
    below = len(_wrapped(notes, across - 2 * MARGIN)) * LINE + (0.3 if key else 0.0) + PAD + MARGIN
    return _Plan(across, top + sum(high) + below, left, top, wide, high)


def _widths(cells: Mapping[tuple[int, int], Mark], column: int) -> list[float]:
    return [widest([mark.text], SMALL) for (_, at), mark in cells.items() if at == column]


def _lines(cells: Mapping[tuple[int, int], Mark], row: int) -> list[int]:
    return [mark.text.count("\n") for (at, _), mark in cells.items() if at == row]


def _heads(axes: Any, plan: _Plan, rows: Sequence[str], columns: Sequence[str], sides: tuple[str, str]) -> None:
    x = plan.left
    for name, wide in zip(columns, plan.columns, strict=True):
        write(axes, x + wide / 2, plan.top - PAD / 2, name, SMALL, ha="center", va="bottom", linespacing=1.15)
        x += wide
    y = plan.top
    for name, high in zip(rows, plan.rows, strict=True):
        write(axes, plan.left - PAD, y + high / 2, name, TEXT, ha="right", linespacing=1.15)
        y += high
    middle = plan.top + sum(plan.rows) / 2
    write(axes, MARGIN + 0.08, middle, sides[0], TEXT, ha="center", rotation=90, color=GREY)
    most = max((name.count("\n") + 1 for name in columns), default=1)
    above = plan.top - PAD - most * LINE - 0.06
    write(axes, plan.left + sum(plan.columns) / 2, above, sides[1], TEXT, ha="center", color=GREY)


def _key_width(key: Mapping[str, str]) -> float:
    return sum(0.5 + widest([text], SMALL) for text in key.values())


def _key(axes: Any, x: float, y: float, key: Mapping[str, str]) -> float:
    """Draw what the colours mean; return where the next thing may go."""
    for state, text in key.items():
        box(axes, x, y + 0.06, 0.22, 0.14, facecolor=COLOURS[state], edgecolor=GREY, lw=0.6)
        write(axes, x + 0.28, y + 0.13, text, SMALL)
        x += 0.5 + widest([text], SMALL)
    return y + (0.3 if key else 0.0)


def _wrapped(notes: Sequence[str], room: float) -> list[str]:
    """Break notes into lines; what follows the first is set in."""
    lines: list[str] = []
    for note in notes:
        first, *more = wrap(note, min(room - 0.2, NOTE), SMALL)
        lines += [first, *(f"      {each}" for each in more)]
    return lines
