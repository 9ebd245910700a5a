"""The picture of a lab: namespaces as boxes, devices as plates in them, what is tied to a device below it.

A device is as wide as everything that hangs on it, so that every line is straight and none crosses another; the plates'
colours are VLANs, which the plates name as well. The layout is computed in inches from the measured words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from simvlan.devices.device import Device
from simvlan.plot.forest import CABLE, MANY, PORT, STANDS, Planter, Plate, Space
from simvlan.plot.plates import vlan, words
from simvlan.plot.style import BLACK, GREY, PURPLE, SMALL, TEXT, VERMILION, box, fill, sheet, widest, width, write

if TYPE_CHECKING:
    from simvlan.lab import Lab

LINE, PAD, GAP, STEP, NAME, MARGIN = 0.16, 0.1, 0.16, 0.2, 0.24, 0.15
"""Inches: a line of text, around it, between neighbours, between a device and what is under it, a namespace's name."""
DROP, INDENT, WIDEST = 0.34, 0.22, 14.0
"""From a box to the boxes below it; of stacked boxes from the line they hang on; what is wider starts a new row."""

TIES = {
    CABLE: {"color": BLACK, "lw": 1.8, "ls": "-"},
    STANDS: {"color": VERMILION, "lw": 1.4, "ls": (0, (4, 2))},
    PORT: {"color": PURPLE, "lw": 1.8, "ls": (0, (1, 1))},
}


@dataclass
class Spot:
    """A plate's words and place: left, top, width, height."""

    plate: Plate
    words: list[str]
    width: float = 0.0
    columns: list[Spot | list[Room]] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    height: float = 0.0


@dataclass
class Room:
    """A namespace's roots and place."""

    space: Space
    spots: list[Spot]
    width: float = 0.0
    x: float = 0.0
    y: float = 0.0
    height: float = 0.0

    @property
    def entry(self) -> float:
        """Where the line comes in from above: past the name."""
        first = self.spots[0]
        return max(first.x + first.width / 2, self.x + 2 * PAD + width(_name(self), TEXT, True) + 0.06)


def topology(lab: Lab) -> Any:
    """Draw a lab's namespaces, its devices with mode, VLAN and addresses, and what connects them."""
    rooms = [_room(space) for space in Planter(lab.network.devices()).plant()]
    colours = _colours(spot.plate.dev for room in rooms for spot in _spots(room))
    wide, high = _place(rooms)
    notes = _legend(rooms, colours)
    wide = max(wide, 3.0, *(2 * MARGIN + size for _, size in notes)) if notes else max(wide, 3.0)
    lines = _flow(notes, wide - 2 * MARGIN)
    figure, axes = sheet(wide, high + 0.22 * len(lines) + MARGIN)
    for room in rooms:
        _draw_room(axes, room, colours)
    _draw_legend(axes, lines, high)
    return figure


def _name(room: Room) -> str:
    return room.space.name or "root"


# -- sizes ----------------------------------------------------------------------------------------------------------


def _room(space: Space) -> Room:
    room = Room(space, [_spot(root) for root in space.roots])
    named = 2 * PAD + width(_name(room), TEXT, True)
    own = sum(spot.width for spot in room.spots) + GAP * (len(room.spots) - 1) + 2 * PAD
    room.width = max(named + 0.25, own)
    if room.width > own:
        room.spots[-1].width += room.width - own
    return room


def _spot(plate: Plate) -> Spot:
    """Measure a plate and what hangs on it, column by column; leaves are stacked, eight to a column."""
    more = [f"and {plate.left_out} more below"] if plate.left_out else []
    spot = Spot(plate, words(plate.dev) + plate.said + more)
    spot.columns = [_spot(each) for each in plate.inner]
    leaves = [space for space in plate.outer if space.leaf]
    if len(leaves) > 1:
        for at in range(0, len(leaves), MANY):
            spot.columns.append([_room(space) for space in leaves[at : at + MANY]])
        leaves = []
    spot.columns += [[_room(space)] for space in plate.outer if not space.leaf or space in leaves]
    under = sum(map(_column, spot.columns)) + GAP * (len(spot.columns) - 1)
    spot.width = max(widest(spot.words[:1], TEXT, True), widest(spot.words[1:], SMALL)) + 2 * PAD
    if spot.columns and under >= spot.width:
        spot.width = under
    return spot


def _column(column: Spot | list[Room]) -> float:
    if isinstance(column, Spot):
        return column.width
    return max(room.width for room in column) + (INDENT if len(column) > 1 else 0.0)


def _spots(room: Room) -> Iterable[Spot]:
    """Every plate of a room and below."""
    for spot in room.spots:
        yield from _under(spot)


def _under(spot: Spot) -> Iterable[Spot]:
    yield spot
    for column in spot.columns:
        if isinstance(column, Spot):
            yield from _under(column)
        else:
            for room in column:
                yield from _spots(room)


# -- places ---------------------------------------------------------------------------------------------------------


def _place(rooms: list[Room]) -> tuple[float, float]:
    """Put the trees beside each other, in rows; return the size of all."""
    x, y, wide, low = MARGIN, MARGIN, 0.0, 0.0
    for room in rooms:
        if x > MARGIN and x + room.width > WIDEST:
            x, y = MARGIN, low + 2 * GAP
        low = max(low, _place_room(room, x, y))
        x += room.width + 2 * GAP
        wide = max(wide, x - 2 * GAP + MARGIN)
    return wide, low + GAP


def _place_room(room: Room, x: float, y: float) -> float:
    """Put a namespace there; return how far down its tree reaches."""
    room.x, room.y = x, y
    levels = _levels(room.spots)
    highs = [max(_height(spot) for spot in level) for level in levels]
    room.height = NAME + sum(highs) + STEP * (len(highs) - 1) + PAD
    at = x + PAD
    bottom = room.y + room.height
    for spot in room.spots:
        bottom = max(bottom, _place_spot(spot, at, y + NAME, highs, room.y + room.height))
        at += spot.width + GAP
    return bottom


def _levels(spots: list[Spot]) -> list[list[Spot]]:
    inner = [_levels([c for c in spot.columns if isinstance(c, Spot)]) for spot in spots]
    below = zip_longest(*inner, fillvalue=[])
    return [spots, *([spot for part in parts for spot in part] for parts in below)] if spots else []


def _height(spot: Spot) -> float:
    return LINE * len(spot.words) + PAD


def _place_spot(spot: Spot, x: float, y: float, highs: list[float], floor: float) -> float:
    spot.x, spot.y, spot.height = x, y, highs[0]
    bottom, under = floor, sum(map(_column, spot.columns)) + GAP * (len(spot.columns) - 1)
    at = x + max(0.0, (spot.width - under) / 2)
    for column in spot.columns:
        if isinstance(column, Spot):
            bottom = max(bottom, _place_spot(column, at, y + highs[0] + STEP, highs[1:], floor))
        else:
            bottom = max(bottom, _place_stack(column, at, floor + DROP))
        at += _column(column) + GAP
    return bottom


def _place_stack(column: list[Room], x: float, y: float) -> float:
    for room in column:
        y = _place_room(room, x + (INDENT if len(column) > 1 else 0.0), y) + GAP
    return y - GAP


# -- drawing --------------------------------------------------------------------------------------------------------


def _draw_room(axes: Any, room: Room, colours: dict[str, int]) -> None:
    box(axes, room.x, room.y, room.width, room.height, facecolor="#FAFAFA", edgecolor=GREY, lw=1.2, zorder=1)
    write(axes, room.x + PAD, room.y + NAME / 2 + 0.01, _name(room), TEXT, weight="bold")
    for spot in room.spots:
        _draw_spot(axes, spot, room, colours)


def _draw_spot(axes: Any, spot: Spot, room: Room, colours: dict[str, int]) -> None:
    dev = spot.plate.dev
    look = fill(colours[vlan(dev)]) if vlan(dev) else {"facecolor": "white"}
    dash = "-" if dev.up and dev.carrier else (0, (3, 2))
    box(axes, spot.x, spot.y, spot.width, spot.height, ls=dash, zorder=4, **look)
    top = spot.y + (spot.height - LINE * len(spot.words)) / 2
    for number, text in enumerate(spot.words):
        style: dict[str, Any] = {"weight": "bold"} if number == 0 else {}
        size = TEXT if number == 0 else SMALL
        write(axes, spot.x + spot.width / 2, top + LINE * (number + 0.5), text, size, ha="center", **style)
    for column in spot.columns:
        if isinstance(column, Spot):
            _draw_spot(axes, column, room, colours)
            middle = column.x + column.width / 2
            axes.plot([middle] * 2, [spot.y + spot.height, column.y], zorder=3, **TIES[column.plate.tie])
        else:
            _draw_column(axes, spot, column, colours)


def _draw_column(axes: Any, spot: Spot, column: list[Room], colours: dict[str, int]) -> None:
    """Draw namespaces that hang on a device: one straight below it, or several on one line down their left."""
    tie = TIES[column[0].space.tie]
    start = spot.y + spot.height
    for room in column:
        _draw_room(axes, room, colours)
        first = room.spots[0]
        if len(column) == 1:
            axes.plot([room.entry] * 2, [start, first.y], zorder=3, solid_capstyle="butt", **tie)
        else:
            bus, middle = room.x - INDENT / 2, first.y + first.height / 2
            axes.plot([bus, bus, first.x], [start, middle, middle], zorder=3, **TIES[room.space.tie])


# -- legend ---------------------------------------------------------------------------------------------------------


def _colours(devices: Iterable[Device]) -> dict[str, int]:
    found = {vlan(dev) for dev in devices} - {""}
    return {name: at for at, name in enumerate(sorted(found, key=lambda text: [int(n) for n in text.split("/")]))}


Note = tuple[tuple[str, dict[str, Any]], float]
"""What a legend says and how it looks, and its width in inches."""


def _legend(rooms: list[Room], colours: dict[str, int]) -> list[Note]:
    """Return what needs explaining: the ties there are, VLANs, devices that are off."""
    plates = [spot.plate for room in rooms for spot in _spots(room)]
    used = {plate.tie for plate in plates} | {below.tie for plate in plates for below in plate.outer}
    said: list[tuple[str, dict[str, Any]]] = [(tie, style) for tie, style in TIES.items() if tie in used]
    said += [(f"VLAN {name}", fill(number)) for name, number in colours.items()]
    if any(not (plate.dev.up and plate.dev.carrier) for plate in plates):
        said.append(("down or without carrier", {"facecolor": "white", "ls": (0, (3, 2))}))
    return [(each, 0.6 + width(each[0], SMALL)) for each in said]


def _flow(notes: list[Note], room: float) -> list[list[Note]]:
    lines: list[list[Note]] = []
    for note in notes:
        if lines and sum(size for _, size in lines[-1]) + note[1] <= room:
            lines[-1].append(note)
        else:
            lines.append([note])
    return lines


def _draw_legend(axes: Any, lines: list[list[Note]], top: float) -> None:
    for number, notes in enumerate(lines):
        x, y = MARGIN, top + 0.22 * number + 0.11
        for (text, style), size in notes:
            if "lw" in style:
                axes.plot([x, x + 0.3], [y, y], **style)
            else:
                box(axes, x, y - 0.07, 0.3, 0.14, **style)
            write(axes, x + 0.37, y, text, SMALL)
            x += size
