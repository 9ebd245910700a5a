"""The ladder of a walk: a line down the page for every device, an arrow for every step, and beside it what happened.

Steps are in the order in which they were done; the tag that a frame carries is written on its arrow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from simvlan.frame import IPV6, Frame
from simvlan.plot.style import BLACK, BLUE, GREEN, GREY, SMALL, TEXT, VERMILION, box, sheet, widest, width, wrap, write
from simvlan.plot.timeline import unit_of
from simvlan.tools.tcpdump_print import Style, print_protocol
from simvlan.trace import Step

LINE, MARGIN, WORDS, GAP, CLOCK = 0.165, 0.15, 4.2, 0.22, 0.85
"""Inches: a line of text, the edge, the column of words, between the names of
two devices, the column of times (there is none if all happens at once)."""
MOST_LINES, MOST_STEPS = 16, 60
"""Devices and steps beyond these are counted, not drawn."""


OWN_WAYS = {"UP": "up to the stack", "WORK": "to the work queue", "OUT": "to the stack's output"}
"""Where a frame goes that stays on its device."""


class Row(NamedTuple):
    """A step: where it was done, where the frame went, and the words beside it (the first is bold if *fresh*)."""

    step: Step
    targets: list[tuple[str, str]]
    """(device, tag on the way there)."""
    words: list[str]
    fresh: bool

    @property
    def height(self) -> float:
        """Inches."""
        return LINE * max(len(self.words), 1) + 0.1


def ladder(steps: Sequence[Step], title: str = "") -> Any:
    """Draw the steps of a trace or walk, one row each.

    Args:
        steps: in order; a Trace, a Walk or a part of one.
        title: above the names of the devices.
    """
    shown = list(steps)[:MOST_STEPS]
    rows = [_row(shown, at) for at in range(len(shown))]
    names = _names(rows)
    begin, end = (shown[0].t_ns, shown[-1].t_ns) if shown else (0, 0)
    place, right = _places(names, CLOCK if end > begin else 0.0)
    left = len(steps) - len(shown)
    top = MARGIN + (0.25 if title else 0.0) + 2 * LINE + 0.12
    bottom = top + sum(row.height for row in rows) + 0.1
    figure, axes = sheet(right + WORDS + 2 * MARGIN, bottom + LINE * (3 if left else 2) + MARGIN)
    write(axes, MARGIN, MARGIN + 0.08, title, TEXT, weight="bold")
    for name in names:
        space, _, dev = name.rpartition("/")
        write(axes, place[name], top - 0.08, f"{space}\n{dev}", SMALL, ha="center", va="bottom", weight="bold")
        axes.plot([place[name]] * 2, [top, bottom], color="#BBBBBB", lw=1.2, zorder=1)
    _draw_rows(axes, rows, place, top, right)
    if left:
        write(axes, MARGIN, bottom + 0.1, f"... and {left} more steps", SMALL, color=GREY)
    _key(axes, bottom + LINE * (2 if left else 1) + 0.05, rows)
    return figure


# -- what is said ---------------------------------------------------------------------------------------------------


def _row(steps: Sequence[Step], at: int) -> Row:
    step = steps[at]
    targets = [(path, _tag_there(steps, at, path)) for path in _targets(step)]
    about = _about(step.frame)
    parent = next((each for each in steps[:at] if each.fid == step.parent), None)
    seen = any(each.fid == step.fid for each in steps[:at])
    fresh = not seen and (parent is None or _about(parent.frame) != about)
    words = wrap(about, WORDS, SMALL, bold=True)[:2] if fresh else []
    said = ", ".join(step.notes)
    if step.drop is not None:
        said = f"{said + ': ' if said else ''}DROP {step.drop.name}: {step.drop.sentence}"
    elif step.way == "up":
        said = f"{said + ': ' if said else ''}delivered"
    elif not targets and not said:
        said = ", ".join(OWN_WAYS.get(way, way) for way in _ways(step))
    return Row(step, targets, words + (wrap(said, WORDS, SMALL) if said else []), fresh)


def _ways(step: Step) -> list[str]:
    return [part.rsplit(" ", 1)[-1] for part in step.outcome.removeprefix("-> ").split(", ")]


def _targets(step: Step) -> list[str]:
    """Return the devices a frame went to, itself left out."""
    if not step.outcome.startswith("-> "):
        return []
    paths = [part.rsplit(" ", 1)[0] for part in step.outcome[3:].split(", ")]
    return [path for path in dict.fromkeys(paths) if path != step.path]


def _tag_there(steps: Sequence[Step], at: int, path: str) -> str:
    """Return the tags of a frame, as it arrives where it went."""
    family = {steps[at].fid}
    for step in steps[at:]:
        if step.parent in family:
            family.add(step.fid)
        if step.path == path and step.fid in family and step is not steps[at]:
            return tags(step.frame)
    return tags(steps[at].frame)


def tags(frame: Frame) -> str:
    """Return the VLANs of a frame's tags, `VLAN 100` or `VLAN 10/50`; empty if it has none."""
    return "VLAN " + "/".join(str(tci & 0xFFF) for _, tci in frame.tags) if frame.tags else ""


def _about(frame: Frame) -> str:
    """Return what a frame is in a few words: ICMPv6 in tcpdump's, else in scapy's, without layers that say nothing."""
    six = print_protocol(IPV6, frame.payload, Style(numeric=True)) if frame.proto == IPV6 else None
    if six is not None and ": ICMP6, " in six:
        return re.sub(r", length \d+$", "", six.removeprefix("IP6 "))
    from scapy.layers.inet import IP  # noqa: F401 - scapy reads IP only once this is loaded
    from scapy.layers.l2 import Ether

    said = str(Ether(bytes(frame)).summary())
    said = re.sub(r"^Ether / (802\.1[qQ][^/]*/ |Dot1\w+[^/]*/ )*", "", said)
    return re.sub(r" / (Raw|Padding)\b.*$", "", said)


# -- where it stands ------------------------------------------------------------------------------------------------


def _names(rows: Sequence[Row]) -> list[str]:
    """Return the devices in the order in which frames met them; those of one namespace side by side."""
    met = list(dict.fromkeys(path for row in rows for path in (row.step.path, *(name for name, _ in row.targets))))
    spaces = list(dict.fromkeys(name.rpartition("/")[0] for name in met))
    ordered = sorted(met, key=lambda name: (spaces.index(name.rpartition("/")[0]), met.index(name)))
    return ordered[:MOST_LINES]


def _places(names: Sequence[str], clock: float) -> tuple[dict[str, float], float]:
    """Return where each line stands, and where the words begin: names and tags never touch."""
    x, place = MARGIN + 0.1 + clock, {}
    for name in names:
        size = max(widest(name.rpartition("/")[::2], SMALL, True), width("VLAN 4094", SMALL) - 0.1)
        place[name] = x + size / 2
        x += size + GAP
    return place, x


def _draw_rows(axes: Any, rows: Sequence[Row], place: dict[str, float], y: float, right: float) -> None:
    begin, end = (rows[0].step.t_ns, rows[-1].step.t_ns) if rows else (0, 0)
    moment: int | None = None
    for number, row in enumerate(rows):
        middle = y + row.height / 2
        if number % 2:
            shade = {"facecolor": "#F5F5F5", "edgecolor": "none", "zorder": 0}
            box(axes, MARGIN, y, right + WORDS, row.height, **shade)
        if row.step.t_ns != moment and end > begin:
            scale, unit = unit_of(end - begin)
            write(axes, MARGIN + CLOCK, middle, f"{(row.step.t_ns - begin) / scale:.4g} {unit}", SMALL, ha="right")
        moment = row.step.t_ns
        _draw_step(axes, row, place, middle)
        _draw_words(axes, row, right, middle)
        y += row.height


def _draw_words(axes: Any, row: Row, x: float, y: float) -> None:
    for number, text in enumerate(row.words):
        bold = row.fresh and number == 0
        lost = row.step.drop is not None and not bold
        style = {"weight": "bold"} if bold else {"color": VERMILION if lost else BLACK}
        write(axes, x, y + LINE * (number - (len(row.words) - 1) / 2), text, SMALL, **style)


def _draw_step(axes: Any, row: Row, place: dict[str, float], y: float) -> None:
    start = place.get(row.step.path)
    if start is None:
        return
    if row.step.drop is not None:
        axes.plot(start, y, "X", color=VERMILION, ms=9, mec="white", mew=0.8, zorder=5)
    elif row.step.way == "up":
        axes.plot(start, y, "o", color=GREEN, ms=8, mec="white", mew=0.8, zorder=5)
    else:
        axes.plot(start, y, "o", color=BLACK, ms=3, zorder=5)
    for name, tag in row.targets:
        if name in place:
            _arrow(axes, start, place[name], y, tag)


def _arrow(axes: Any, start: float, end: float, y: float, tag: str) -> None:
    from matplotlib.patches import FancyArrowPatch

    colour = BLUE if tag else BLACK
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch((start, y), (end, y), color=colour, lw=2.0 if tag else 1.2, zorder=4, **style))
    if tag:
        pad = {"fc": "white", "ec": "none", "pad": 0.6}
        write(axes, end + (0.42 if start > end else -0.42), y, tag, SMALL - 1.5, ha="center", color=BLUE, bbox=pad)


def _key(axes: Any, y: float, rows: Sequence[Row]) -> None:
    """Say what the marks mean, those there are."""
    x = MARGIN + 0.1
    for mark, colour, text, used in (
        ("o", GREEN, "delivered", any(row.step.drop is None and row.step.way == "up" for row in rows)),
        ("X", VERMILION, "dropped", any(row.step.drop is not None for row in rows)),
        ("_", BLUE, "with a VLAN tag", any(tag for row in rows for _, tag in row.targets)),
    ):
        if used:
            axes.plot(x, y, mark, color=colour, ms=9, mew=2.0 if mark == "_" else 0.8)
            write(axes, x + 0.14, y, text, SMALL)
            x += 0.4 + width(text, SMALL)
