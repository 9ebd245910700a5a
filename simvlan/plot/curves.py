"""Measured or modelled curves: throughput, latency and the like against a parameter, with intervals.

Published points are drawn hollow, with their source in the legend; what a curve is, colour, dash and marker all say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simvlan.plot.style import BLACK, MARKERS, SMALL, TEXT, TITLE, line, new_figure, part_of_bar, widest

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
    legend: bool | str = True,
    nested: bool = False,
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
        legend: whether names are told (in panels of one figure, once is enough); `below`: below the axes given.
        nested: each curve is narrower than the one before, so that all can be seen where some coincide.

    Returns:
        The figure.
    """
    published = published or {}
    if axes is None:
        axes = _own_axes([*series, *published] if legend else [], note)
    for number, (name, points) in enumerate(series.items()):
        size = 3.5 + 1.3 * (len(series) - 1 - number) if nested else 5.0
        _curve(axes, name, sorted(map(tuple, points)), line(number) | {"lw": size / 2 if nested else 1.6}, size)
    for number, (name, points) in enumerate(published.items()):
        _hollow(axes, name, sorted(map(tuple, points)), number)
    _axes(axes, x, y, title)
    if "x" in log:
        _powers(axes)
    _scale(axes, "y" in log)
    if legend:
        _legend(axes, legend)
    return axes.figure


def multiples(
    rows: Mapping[str, Mapping[str, Iterable[Point]]],
    *,
    x: str,
    log: str = "",
    logged: Iterable[str] = (),
    bounds: Mapping[str, Iterable[Point]] | None = None,
    title: str = "",
) -> Any:
    """Draw small multiples: a row for each quantity, a column for each name; in grey behind each curve, all others.

    Args:
        rows: quantity with its unit -> name -> points; every quantity has the same names.
        x: what the shared axis is, with its unit.
        log: `x` if that is logarithmic.
        logged: quantities that are drawn logarithmically.
        bounds: quantity -> points of a bound that is drawn dashed in all its panels.
        title: above all.

    Returns:
        The figure.
    """
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    wide, above = max(4.0, 1.05 + 1.38 * len(names)), 0.55 if title else 0.3
    high = 0.65 + above + 1.6 * len(rows)
    figure = new_figure(wide, high)
    figure.subplots_adjust(0.9 / wide, 0.6 / high, 1 - 0.15 / wide, 1 - above / high, wspace=0.1, hspace=0.1)
    at = {"x": 0.05 / wide, "y": 1 - 0.05 / high, "ha": "left", "va": "top"}
    figure.suptitle(title, size=TITLE, weight="bold", parse_math=False, **at)
    every = figure.subplots(len(rows), len(names), sharex=True, sharey="row", squeeze=False)
    for number, (quantity, row) in enumerate(rows.items()):
        for column, name in enumerate(names):
            axes = every[number][column]
            _behind(axes, [points for other, points in row.items() if other != name], (bounds or {}).get(quantity, ()))
            _curve(axes, name, sorted(map(tuple, row[name])), line(column) | {"ls": "-"}, 3.5)
            _axes(axes, "", "" if column else quantity, "")
            axes.set_title("" if number else name, size=TEXT, weight="bold", parse_math=False)
        _scale(every[number][0], quantity in set(logged))
    if "x" in log:
        _powers(every[0][0], 4, plain=True)
    figure.supxlabel(x, size=TEXT, y=0.06 / high, va="bottom")
    figure.align_ylabels(every[:, 0])
    return figure


def _behind(axes: Any, others: Iterable[Iterable[Point]], bound: Iterable[Point]) -> None:
    """Draw in grey what the other panels show, and a bound, dashed."""
    for points, look in [*((each, "-") for each in others), (bound, "--")]:
        drawn = sorted(map(tuple, points))
        style = {"color": "#BBBBBB" if look == "-" else BLACK, "lw": 0.9, "ls": look, "zorder": 1}
        axes.plot([p[0] for p in drawn], [p[1] for p in drawn], **style)


def _scale(axes: Any, log: bool) -> None:
    """Make the y axis logarithmic, or begin it at nothing."""
    if log:
        from matplotlib.ticker import LogFormatter

        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))  # plain, and only within a decade
    elif axes.get_ylim()[0] > 0:
        axes.set_ylim(bottom=0)


def bars(
    stacks: Mapping[str, Mapping[str, float]],
    *,
    y: str,
    title: str = "",
    published: Mapping[str, Mapping[str, float]] | None = None,
    note: str = "",
    axes: Any = None,
    legend: bool | str = True,
) -> Any:
    """Draw a stacked bar for each name, its parts in colours and hatches; published totals as hollow markers.

    Args:
        stacks: name -> part -> height; parts have the same look in every bar.
        y: what the axis is, with its unit.
        title: above the axes.
        published: source -> name of a bar -> height.
        note: a sentence below.
        axes: matplotlib's axes to draw into; without them a figure is made.
        legend: whether parts are told; `below`: below the axes given.

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
        there = [place for place, height in enumerate(heights) if height]
        tall, low_end = ([values[place] for place in there] for values in (heights, floor))
        axes.bar(there, tall, bottom=low_end, label=part, width=0.62, **part_of_bar(number))
        floor = [low + height for low, height in zip(floor, heights, strict=True)]
    for number, (source, heights_there) in enumerate(published.items()):
        _hollow(axes, source, [(names.index(name), high) for name, high in heights_there.items()], number)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    _axes(axes, "", y, title)
    axes.grid(False, axis="x")
    if legend:
        _legend(axes, legend)
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


def _legend(axes: Any, where: bool | str) -> None:
    if where == "below":
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 2}
    else:
        place = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.0)}
    axes.legend(fontsize=SMALL, frameon=False, borderaxespad=0, **place)


def _curve(axes: Any, name: str, points: list[tuple[float, ...]], style: dict[str, Any], size: float = 5) -> None:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    axes.plot(xs, ys, label=name, ms=size, **{"lw": 1.6, **style})
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


def _powers(axes: Any, most: int = 12, plain: bool = False) -> None:
    """Make the x axis logarithmic; a tick at so many values if all are powers of two, else of ten (*plain*: 10K)."""
    values = sorted({float(v) for drawn in axes.get_lines() for v in drawn.get_xdata()})
    two = all(v >= 1 and v == int(v) and int(v) & (int(v) - 1) == 0 for v in values)
    axes.set_xscale("log", base=2 if two else 10)
    if two and values:
        last, parts = len(values) - 1, min(len(values), most) - 1 or 1
        shown = sorted({values[round(part * last / parts)] for part in range(parts + 1)})
        axes.set_xticks(shown, [f"{int(v)}" for v in shown])
        axes.minorticks_off()
    elif plain:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value < 10_000 else f"{value / 1000:g}K")
