"""Measured or modelled curves: throughput, latency and the like against a parameter, with intervals.

Published points are drawn hollow, with their source in the legend; what a curve is, colour, dash and marker all say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simvlan.plot.style import MARKERS, SMALL, TEXT, TITLE, line, new_figure, part_of_bar, widest

Point = Sequence[float]
"""(x, y), or (x, y, low, high): the interval's ends."""


def curves(
    series: Mapping[str, Iterable[Point]],
    *,
    x: str,
    y: str,
    title: str = "",
    log: str = "",
    published: Mapping[str, Iterable[Point]] | None = None,
    note: str = "",
    axes: Any = None,
    legend: bool = True,
) -> Any:
    """Draw named series of points, and published points beside them.

    Args:
        series: name -> points (x, y) or (x, y, low, high); the interval is drawn as a band and bars.
        x: what the axis is, with its unit.
        y: the same.
        title: above the axes.
        log: `x`, `y` or `xy`: logarithmic axes; powers of two are labelled as such.
        published: source -> points.
        note: a sentence below.
        axes: matplotlib's axes to draw into; without them a figure is made.
        legend: whether names are told (in panels of one figure, once is enough).

    Returns:
        The figure.
    """
    published = published or {}
    if axes is None:
        axes = _own_axes([*series, *published] if legend else [], note)
    for number, (name, points) in enumerate(series.items()):
        _curve(axes, name, sorted(map(tuple, points)), line(number))
    for number, (name, points) in enumerate(published.items()):
        _hollow(axes, name, sorted(map(tuple, points)), number)
    _axes(axes, x, y, title)
    if "x" in log:
        _powers(axes)
    if "y" in log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    elif axes.get_ylim()[0] > 0:
        axes.set_ylim(bottom=0)
    if legend:
        _legend(axes)
    return axes.figure


def bars(
    stacks: Mapping[str, Mapping[str, float]],
    *,
    y: str,
    title: str = "",
    published: Mapping[str, Mapping[str, float]] | None = None,
    note: str = "",
    axes: Any = None,
) -> Any:
    """Draw a stacked bar for each name, its parts in colours and hatches; published totals as hollow markers.

    Args:
        stacks: name -> part -> height; parts have the same look in every bar.
        y: what the axis is, with its unit.
        title: above the axes.
        published: source -> name of a bar -> height.
        note: a sentence below.
        axes: matplotlib's axes to draw into; without them a figure is made.

    Returns:
        The figure.
    """
    published = published or {}
    parts = list(dict.fromkeys(part for stack in stacks.values() for part in stack))
    if axes is None:
        axes = _own_axes([*parts, *published], note)
    names = list(stacks)
    floor = [0.0] * len(names)
    for number, part in enumerate(parts):
        heights = [stacks[name].get(part, 0.0) for name in names]
        axes.bar(range(len(names)), heights, bottom=floor, label=part, width=0.62, **part_of_bar(number))
        floor = [low + height for low, height in zip(floor, heights, strict=True)]
    for number, (source, heights_there) in enumerate(published.items()):
        _hollow(axes, source, [(names.index(name), high) for name, high in heights_there.items()], number)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    _axes(axes, "", y, title)
    axes.grid(False, axis="x")
    _legend(axes)
    return axes.figure


def _own_axes(names: Sequence[str], note: str) -> Any:
    """Return axes in a figure of their own, with room for a legend of these names on the right."""
    side = 0.75 + widest(names, SMALL) if names else 0.2
    wide, high = 5.2 + side, max(3.6, 0.9 + 0.22 * len(names))
    figure = new_figure(wide, high)
    if note:
        figure.text(0.1 / wide, 0.1 / high, note, size=SMALL, ha="left", va="bottom", parse_math=False)
    low = 0.75 if note else 0.6
    return figure.add_axes((0.8 / wide, low / high, 4.3 / wide, (high - low - 0.4) / high))


def _legend(axes: Any) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=SMALL, frameon=False, borderaxespad=0)


def _curve(axes: Any, name: str, points: list[tuple[float, ...]], style: dict[str, Any]) -> None:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    axes.plot(xs, ys, label=name, ms=5, lw=1.6, **style)
    sure = [p for p in points if len(p) == 4]
    if sure:
        at, middle, low, high = zip(*sure, strict=True)
        ends = [[max(0.0, m - e) for m, e in zip(middle, low, strict=True)]]
        ends += [[max(0.0, e - m) for m, e in zip(middle, high, strict=True)]]
        axes.fill_between(at, low, high, color=style["color"], alpha=0.15, lw=0)
        axes.errorbar(at, middle, ends, fmt="none", ecolor=style["color"], capsize=2.5, lw=1)


def _hollow(axes: Any, name: str, points: list[tuple[float, ...]], number: int) -> None:
    marker = MARKERS[number % len(MARKERS)]
    style = {"mfc": "none", "mec": line(number)["color"], "mew": 1.6, "ms": 8}
    axes.plot([p[0] for p in points], [p[1] for p in points], ls="none", marker=marker, label=name, **style)


def _axes(axes: Any, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x, size=TEXT)
    axes.set_ylabel(y, size=TEXT)
    axes.set_title(title, size=TITLE, loc="left", weight="bold")
    axes.tick_params(labelsize=SMALL)
    axes.grid(True, color="#DDDDDD", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _powers(axes: Any) -> None:
    """Make the x axis logarithmic, with a tick at every value when all are powers of two."""
    values = sorted({float(v) for drawn in axes.get_lines() for v in drawn.get_xdata()})
    two = all(v >= 1 and v == int(v) and int(v) & (int(v) - 1) == 0 for v in values)
    axes.set_xscale("log", base=2 if two else 10)
    if two and values:
        shown = values[:: 1 + len(values) // 12]
        axes.set_xticks(shown, [f"{int(v)}" for v in shown])
        axes.minorticks_off()
