"""What became of a batch: classes per frame, and everything else told from them when asked.

Counters cost one count per class and limb; copies are written out only for who asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from simvlan.engines.batch.classes import DELIVERED, DEVICE, DROPS, LIMB, OTHERS, Fate, Role
from simvlan.engines.batch.probe import COUNTERS
from simvlan.frame import PType
from simvlan.table import Table
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.engines.batch.pipeline import Pipeline

I32 = NDArray[np.int32]

COPIES = 1 << 16
"""Copies written at a time: they stay in the second-level cache."""
WIDE = 8
"""Copies of a frame from which on rows of copies are made once and repeated."""
FEW = 8
"""Classes up to which each is looked for by itself; more are sorted."""


class Copies:
    """Where copies ended, one row each, by frame; row r of a frame's copies is `first[frame] + r`.

    Attributes:
        first: int64 (n + 1), where each frame's copies begin, and where the last end.
        device: int32 (copies), index into `Outcome.devices`.
    Worked out when asked for, int32 (copies):
        frame: index into the batch.
        drop: index into `DROPS`, -1 for a copy handed to the device's namespace.
        form: how its octets differ from those sent (`Outcome.octets`).
        ptype: a `PType`.
    """

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        answers = outcome.pipeline.answers
        self._width = np.zeros(len(answers), np.int64)
        for part in outcome.parts():
            self._width[part.number] = outcome.width(part)
        self.first: NDArray[np.int64] = np.zeros(len(outcome) + 1, np.int64)
        np.cumsum(self._width[outcome.classes], out=self.first[1:])
        self.device: I32 = np.empty(int(self.first[-1]), np.int32)
        for part in outcome.parts():
            self._write(part)

    def __len__(self) -> int:
        return len(self.device)

    def __iter__(self) -> Iterator[I32]:
        return iter((self.frame, self.device, self.drop, self.form, self.ptype))

    def _write(self, part: Part) -> None:
        """Write the devices of the frames of one class, many copies at a time."""
        width = int(self._width[part.number])
        rows = self._rows(part, width)
        step = max(COPIES // max(width, 1), 1)
        for first in range(0, part.count if width else 0, step):
            which = part.some(first, first + step)
            block = rows(which)
            if part.all:
                self.device[first * width : first * width + block.size] = block.reshape(-1)
            elif width == 1:
                self.device[self.first[which]] = block[:, 0]
            else:
                places = as_strided(self.device, (len(self.device) - width + 1, width), (4, 4))
                places[self.first[which]] = block

    def _rows(self, part: Part, width: int) -> Callable[[Any], I32]:
        """Return what gives the rows of some frames of a class.

        Floods depend on one limb only: then each limb's row is made once.
        """
        outcome = self._outcome
        variables = outcome.variables(part)
        if width < WIDE or len(variables) != 1:
            return lambda which: outcome.ends_of(part, which, width)
        limbs = outcome.places[variables[0]]
        example = np.full(len(outcome.anatomy.limbs) + 1, -1)
        example[limbs[part.which]] = part.which
        known = np.flatnonzero(example >= 0)
        table = outcome.ends_of(part, example[known], width)
        row = np.zeros(len(example), np.intp)
        row[known] = np.arange(len(known))
        return lambda which: table.take(row[limbs[which]], axis=0)

    @cached_property
    def frame(self) -> I32:
        """Return the frame of every copy."""
        return np.repeat(np.arange(len(self._outcome), dtype=np.int32), np.diff(self.first))

    @property
    def drop(self) -> I32:
        """Return the reason of every copy's end."""
        return self._column("drop")

    @property
    def form(self) -> I32:
        """Return the form of every copy."""
        return self._column("form")

    @property
    def ptype(self) -> I32:
        """Return the packet type of every copy."""
        return self._column("ptype")

    def _column(self, name: str) -> I32:
        """Return what a class says of its copies, copy by copy."""
        out: I32 = np.empty(len(self.device), np.int32)
        for part in self._outcome.parts():
            value = [getattr(fate, name) for fate, width in self._outcome.fates(part) for _ in range(width)]
            for row, each in enumerate(value):
                out[self.first[part.which] + row] = each
        return out


@dataclass(frozen=True)
class Part:
    """The frames of one class: their numbers; all: whether these are all frames of the batch."""

    number: int
    which: NDArray[np.int64]
    all: bool

    @property
    def count(self) -> int:
        """Return how many frames there are."""
        return len(self.which)

    def some(self, first: int, last: int) -> Any:
        """Return some of the frames, to index columns with."""
        return slice(first, min(last, len(self.which))) if self.all else self.which[first:last]


class Outcome:
    """The answer to one batch.

    Attributes:
        devices: the paths that device numbers stand for.
        classes: int32 (n), each frame's class; `answers[class]` says what became of it.
        places: int32 (3 or 5, n), the limbs a class speaks of.
    """

    def __init__(self, pipeline: Pipeline, batch: FrameBatch, classes: I32, limbs: NDArray[np.int32]) -> None:
        self.pipeline = pipeline
        self.batch = batch
        self.classes = classes
        self.places = limbs
        self.anatomy = pipeline.anatomy
        self._parts: list[Part] | None = None

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Return the paths that device numbers stand for."""
        return tuple(dev.path for dev in self.anatomy.devices)

    @classmethod
    def empty(cls, pipeline: Pipeline, batch: FrameBatch) -> Outcome:
        """Return an answer to be filled."""
        variables = 3 if pipeline.addresses is None else 5
        limbs: NDArray[np.int32] = np.empty((variables, len(batch)), np.int32)
        return cls(pipeline, batch, np.empty(len(batch), np.int32), limbs)

    def __len__(self) -> int:
        return len(self.classes)

    # -- copies -----------------------------------------------------------------------------------------------------

    def copies(self) -> Copies:
        """Write out the end of every copy of every frame, in the order of frames."""
        return Copies(self)

    def parts(self) -> list[Part]:
        """Return the frames of each class."""
        if self._parts is None:
            self._parts = _parts(self.classes)
        return self._parts

    def fates(self, part: Part) -> list[tuple[Fate, int]]:
        """Return the ends of a class's copies, and at how many devices each is met."""
        return [(fate, self._width(fate.role, part)) for fate in self.pipeline.answers[part.number].fates]

    def variables(self, part: Part) -> list[int]:
        """Return the variables on which the devices of a class depend."""
        found: set[int] = set()
        for fate in self.pipeline.answers[part.number].fates:
            if fate.role.how == LIMB:
                found.add(fate.role.a)
            elif fate.role.how == OTHERS:
                found.update(self._bound(fate.role.a, part))
        return sorted(found)

    def width(self, part: Part) -> int:
        """Return how many copies a frame of a class ends in."""
        return sum(width for _, width in self.fates(part))

    def _width(self, role: Role, part: Part) -> int:
        """Return how many devices a role names."""
        return len(self.anatomy.breeds[role.a]) - len(self._bound(role.a, part)) if role.how == OTHERS else 1

    def _bound(self, breed: int, part: Part) -> list[int]:
        """Return the variables that name different limbs of a breed; they are the same for all frames of a class."""
        limbs = self.places[:, part.which[0]].tolist()
        rank = self.pipeline.spread.ranks(breed)
        mine = [v for v, limb in enumerate(limbs) if rank[limb] < len(self.anatomy.breeds[breed])]
        return [v for v in mine if limbs.index(limbs[v]) == v]

    def ends_of(self, part: Part, which: Any, width: int) -> I32:
        """Return the devices at which copies of some frames of a class end, int32 (frames, width)."""
        fates = self.fates(part)
        if len(fates) == 1 and fates[0][0].role.how != DEVICE:
            return self._at(fates[0][0].role, part, which)
        count = which.stop - which.start if isinstance(which, slice) else len(which)
        block: I32 = np.empty((count, width), np.int32)
        column = 0
        for fate, wide in fates:
            block[:, column : column + wide] = self._at(fate.role, part, which)
            column += wide
        return block

    def _at(self, role: Role, part: Part, which: Any) -> I32:
        """Return the devices of a role for some frames, int32 (frames or 1, devices)."""
        spread = self.pipeline.spread
        if role.how == DEVICE:
            return np.full((1, 1), role.a, np.int32)
        if role.how == LIMB:
            devices: I32 = spread.of_limb(role.b).take(self.places[role.a, which])
            return devices[:, None]
        return spread.all_but(role.a, role.b, self.places[self._bound(role.a, part)][:, which])

    # -- counters ---------------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what every device's counters gained: path -> counter -> number, zeros left out."""
        totals = self.totals()
        return {
            self.devices[number]: {name: int(v) for name, v in zip(COUNTERS, totals[number], strict=True) if v}
            for number in np.flatnonzero(totals.any(axis=1))
        }

    def totals(self) -> NDArray[np.int64]:
        """Return what every counter gained, int64 (devices, COUNTERS)."""
        totals = np.zeros((len(self.anatomy.devices), len(COUNTERS)), np.int64)
        gained = Gained(self)
        for part in self.parts():
            for role, lines in self.pipeline.answers[part.number].counts:
                devices, frames, octets = gained.at(role, part)
                line = np.array(lines, np.int64)
                totals[devices] += frames[:, None] * line[:, 0] + octets[:, None] * line[:, 1]
        return totals

    def drops(self) -> dict[str, int]:
        """Return how many copies ended by each reason; `delivered` for those that arrived."""
        counted: dict[str, int] = {}
        for part in self.parts():
            for fate, width in self.fates(part):
                name = "delivered" if fate.drop == DELIVERED else DROPS[fate.drop].name
                counted[name] = counted.get(name, 0) + part.count * width
        return counted

    # -- one frame --------------------------------------------------------------------------------------------------

    def octets(self, frame: int, form: int) -> bytes:
        """Return a frame as delivered in a form."""
        put_in, taken_out = self.pipeline.asker.forms[form]
        sent = self.batch.octets(frame)
        return sent[:12] + put_in + sent[12 + taken_out :]

    def ends(self, frame: int) -> list[tuple[str, Drop | None, bytes, PType]]:
        """Return where the copies of one frame ended: (device, drop or None, octets, packet type), by device."""
        part = Part(int(self.classes[frame]), np.array([frame]), False)
        found = []
        for fate, _ in self.fates(part):
            drop = None if fate.drop == DELIVERED else DROPS[fate.drop]
            for device in self._at(fate.role, part, part.which)[0].tolist():
                found.append((self.devices[device], drop, self.octets(frame, fate.form), PType(fate.ptype)))
        return sorted(found, key=lambda end: (end[0], str(end[1]), end[2]))

    def table(self, limit: int = 20) -> Table:
        """Return the first frames and their ends as rows of text."""
        return Table(
            {"frame": n, "device": device, "end": "delivered" if drop is None else drop.name}
            for n in range(min(limit, len(self)))
            for device, drop, _, _ in self.ends(n)
        )

    def __repr__(self) -> str:
        told = ", ".join(f"{count:,} {name}" for name, count in sorted(self.drops().items(), key=lambda item: -item[1]))
        return f"<Outcome of {len(self):,} frames: {told or 'nothing'}>"


class Gained:
    """How many frames and octets named each limb, by class and variable: one count for all classes together."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.spread = outcome.pipeline.spread
        self.row = {part.number: row for row, part in enumerate(outcome.parts())}
        self._counted: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._lengths = outcome.batch.length
        self._length = _same(self._lengths)
        """The length of all frames, 0 when they differ."""

    def at(self, role: Role, part: Part) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
        """Return (devices, frames, octets) of a role in a class."""
        if role.how == DEVICE:
            return np.array([role.a]), np.array([part.count]), np.array([self._octets(part)])
        if role.how == LIMB:
            frames, octets = self._of(role.a, part)
            used = np.flatnonzero(frames)
            return self.spread.of_limb(role.b)[used], frames[used], octets[used]
        members = np.array(self.outcome.anatomy.breeds[role.a], np.intp)
        frames, octets = np.full(len(members), part.count), np.full(len(members), self._octets(part))
        for variable in self.outcome._bound(role.a, part):
            mine, sizes = self._of(variable, part)
            frames -= mine[members]
            octets -= sizes[members]
        return self.spread.members(role.a, role.b), frames, octets

    def _octets(self, part: Part) -> int:
        if self._length:
            return self._length * part.count
        return int(self._lengths[part.which].sum(dtype=np.int64))

    def _of(self, variable: int, part: Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return frames and octets of every limb in a variable, for one class."""
        if variable not in self._counted:
            self._counted[variable] = self._count(variable)
        frames, octets = self._counted[variable]
        row = self.row[part.number]
        return frames[row], octets[row]

    def _count(self, variable: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count one variable for all classes, int64 (classes, limbs + 1); the last for no limb."""
        limbs = len(self.outcome.anatomy.limbs) + 1
        rows = len(self.row)
        keys = self.outcome.places[variable].astype(np.int64)
        keys[keys < 0] = limbs - 1
        if rows > 1:
            start = np.zeros(len(self.outcome.pipeline.answers), np.int64)
            start[list(self.row)] = limbs * np.arange(rows)
            keys += start[self.outcome.classes]
        frames = np.bincount(keys, minlength=rows * limbs).reshape(rows, limbs)
        if self._length:
            return frames, frames * self._length
        octets = np.bincount(keys, self._lengths, minlength=rows * limbs).astype(np.int64)
        return frames, octets.reshape(rows, limbs)


def _same(values: NDArray[Any]) -> int:
    """Return the value of all, 0 when they differ or there are none."""
    return int(values[0]) if len(values) and values.min() == values.max() else 0


def _parts(classes: I32) -> list[Part]:
    """Return the frames of each class, in order."""
    if not len(classes):
        return []
    used = np.flatnonzero(np.bincount(classes)).tolist()
    if len(used) == 1:
        return [Part(used[0], np.arange(len(classes)), True)]
    if len(used) <= FEW:
        return [Part(number, np.flatnonzero(classes == number), False) for number in used]
    narrow = classes.astype(np.uint16) if used[-1] < 1 << 16 else classes  # sixteen bits are sorted by radix
    order = np.argsort(narrow, kind="stable")
    starts = np.searchsorted(classes[order], [*used, used[-1] + 1])
    return [Part(number, order[a:b], False) for number, a, b in zip(used, starts, starts[1:], strict=False)]
