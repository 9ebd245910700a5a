"""When frames were where: time to the right, a row for every device, a line for every frame and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simvlan.plot.style import BLACK, GREEN, LINES, SMALL, TEXT, TITLE, VERMILION, new_figure, widest
from simvlan.trace import Step

UNITS = ((1, "ns"), (1_000, "µs"), (1_000_000, "ms"), (1_000_000_000, "s"))
MOST_ROWS = 40

KINDS = {
    "delivered": {"marker": "o", "color": GREEN, "s": 42},
    "dropped": {"marker": "X", "color": VERMILION, "s": 52},
    "sent": {"marker": ">", "color": BLACK, "s": 22},
    "received": {"marker": "<", "color": BLACK, "s": 22},
}


def timeline(steps: Sequence[Step], title: str = "") -> Any:
    """Draw steps by time and device; a line joins those of one frame, its copies and the answers to it.

    Args:
        steps: of a Trace or Walk, in order.
        title: above the axes.
    """
    names = list(dict.fromkeys(step.path for step in steps))[:MOST_ROWS]
    shown = [step for step in steps if step.path in names]
    begin = min((step.t_ns for step in shown), default=0)
    last = max((step.t_ns for step in shown), default=0) - begin
    scale, unit = unit_of(last)
    left = 0.35 + widest(names, SMALL)
    wide, high = left + 6.6, 1.35 + 0.3 * max(1, len(names))
    figure = new_figure(wide, high)
    axes = figure.add_axes((left / wide, 0.85 / high, 6.3 / wide, (high - 1.25) / high))
    where = {name: row for row, name in enumerate(names)}
    spots = [((step.t_ns - begin) / scale, where[step.path]) for step in shown]
    _draw_ways(axes, shown, spots)
    _draw_marks(axes, shown, spots)
    axes.set_yticks(range(len(names)), names, fontsize=SMALL)
    axes.set_ylim(max(1, len(names)) - 0.5, -0.5)
    axes.set_xlabel(f"time since the first step ({unit})", size=TEXT)
    axes.set_title(title, size=TITLE, loc="left", weight="bold")
    axes.tick_params(labelsize=SMALL)
    axes.grid(True, axis="y", color="#E4E4E4", lw=0.8)
    axes.set_axisbelow(True)
    if shown:
        below = {"loc": "upper left", "bbox_to_anchor": (0, -0.55 / (high - 1.25)), "borderaxespad": 0}
        axes.legend(ncols=4, fontsize=SMALL, frameon=False, columnspacing=1.2, handletextpad=0.3, **below)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def unit_of(span_ns: int) -> tuple[int, str]:
    """Return the unit in which a span of time is best read: how many ns it has, and its name."""
    return next((pair for pair in reversed(UNITS) if span_ns >= 2 * pair[0]), UNITS[0])


def _kind(step: Step) -> str:
    if step.drop is not None:
        return "dropped"
    return {"up": "delivered", "tx": "sent"}.get(step.way, "received")


def _draw_ways(axes: Any, shown: Sequence[Step], spots: Sequence[tuple[float, int]]) -> None:
    """Join every step with the one before it of the same frame, or of the frame it is a copy of or answer to."""
    last: dict[int, int] = {}
    root: dict[int, int] = {}
    for at, step in enumerate(shown):
        root.setdefault(step.fid, root.get(step.parent, step.fid))
        before = last.get(step.fid, last.get(step.parent))
        if before is not None:
            number = list(dict.fromkeys(root.values())).index(root[step.fid])
            ends = zip(spots[before], spots[at], strict=True)
            axes.plot(*ends, color=LINES[number % len(LINES)], lw=1.2, alpha=0.8, zorder=2)
        last[step.fid] = at


def _draw_marks(axes: Any, shown: Sequence[Step], spots: Sequence[tuple[float, int]]) -> None:
    for kind, style in KINDS.items():
        mine = [spot for step, spot in zip(shown, spots, strict=True) if _kind(step) == kind]
        if mine:
            axes.scatter([x for x, _ in mine], [y for _, y in mine], label=kind, zorder=3, lw=0.6, ec="white", **style)
