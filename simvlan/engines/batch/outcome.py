"""What became of a batch: classes per frame, and everything else told from them when asked.

Counters cost one count per class and limb; copies are written out only for who asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.classes import DELIVERED, DEVICE, DROPS, LIMB, OTHERS, Answer, Role
from simvlan.engines.batch.copies import CHUNK, Copies
from simvlan.engines.batch.gains import Gains
from simvlan.engines.batch.probe import COUNTERS
from simvlan.engines.batch.rows import devices_of, width_of
from simvlan.frame import PType
from simvlan.table import Table
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.engines.batch.pipeline import Pipeline
    from simvlan.engines.batch.verdicts import Verdicts

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

TALLIED = 1 << 23
"""Frames that the compiled count can take at once: 24 bits of frames, 40 of octets."""


FEW = 16
"""Classes up to which each is looked for by itself."""


class Outcome:
    """The answer to one batch.

    Attributes:
        devices: the paths that device numbers stand for.
        classes: int32 (n), each frame's class: `pipeline.answers[class]` says what became of it.
        places: int32 (3 or 5, n), the limbs a class speaks of.
    """

    def __init__(self, pipeline: Pipeline, batch: FrameBatch, classes: I32, places: I32) -> None:
        self.pipeline = pipeline
        self.batch = batch
        self.classes = classes
        self.places = places
        self.anatomy = pipeline.anatomy
        self.devices = pipeline.paths

    @classmethod
    def empty(cls, pipeline: Pipeline, batch: FrameBatch) -> Outcome:
        """Return an answer to be filled."""
        variables = 3 if pipeline.addresses is None else 5
        limbs: I32 = np.empty((variables, len(batch)), np.int32)
        return cls(pipeline, batch, np.empty(len(batch), np.int32), limbs)

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def frames_of_class(self) -> I64:
        """How many frames each class has, int64 (classes)."""
        count = len(self.pipeline.answers)
        if self.pipeline.compiled is not None:
            counted: I64 = self.pipeline.compiled.kernels.count(self.classes, count)
            return counted
        frames: I64 = np.zeros(count, np.int64)
        for first in range(0, len(self), CHUNK):
            frames += np.bincount(self.classes[first : first + CHUNK], minlength=count)
        return frames

    def present(self) -> Iterator[tuple[int, Answer]]:
        """Yield (class, answer) of the classes that occur."""
        for number in np.flatnonzero(self.frames_of_class).tolist():
            yield number, self.pipeline.answers[number]

    # -- copies -----------------------------------------------------------------------------------------------------

    def copies(self) -> Copies:
        """Write out the end of every copy of every frame, in the order of frames."""
        return Copies(self)

    def verdicts(self) -> Verdicts:
        """Ask the stacks what they make of the copies that came up to them, each as if it had come alone.

        Takes a few microseconds a frame and a question for each packet that differs.

        Raises:
            Unsupported: processes of one's own are pending in the lab's clock.
        """
        from simvlan.engines.batch.verdicts import Verdicts

        return Verdicts(self)

    def by_class(self) -> Iterator[tuple[int, I32]]:
        """Yield (class, its frames)."""
        present = np.flatnonzero(self.frames_of_class)
        if len(present) == 1:
            yield int(present[0]), np.arange(len(self), dtype=np.int32)
            return
        if len(present) <= FEW:
            for number in present.tolist():
                yield number, np.flatnonzero(self.classes == number).astype(np.int32)
            return
        order = np.argsort(
            self.classes.astype(np.uint16) if len(self.frames_of_class) < 1 << 16 else self.classes, kind="stable"
        )
        ends = np.cumsum(self.frames_of_class[present]).tolist()
        for number, first, last in zip(present.tolist(), (0, *ends), ends, strict=False):
            yield number, order[first:last].astype(np.int32)

    def at(self, role: Role, answer: Answer, which: I32) -> tuple[I32, I32]:
        """Return (frames, devices) of one end of some frames of a class."""
        devices = self.devices_of(role, answer, which)
        if devices.shape[1] == 1:
            return which, devices[:, 0]
        return np.repeat(which, devices.shape[1]), np.ascontiguousarray(devices).reshape(-1)

    def devices_of(self, role: Role, answer: Answer, which: I32) -> I32:
        """Return the devices of a role for some frames of a class, int32 (frames, devices)."""
        everything = len(which) == len(self)
        limb = self.places.__getitem__ if everything else lambda variable: self.places[variable].take(which)
        return devices_of(self.anatomy, role, answer, limb, len(which))

    # -- counters ---------------------------------------------------------------------------------------------------

    def counters(self) -> Gains:
        """Return what every device's counters gained: path -> counter -> number, zeros left out."""
        return Gains(self.devices, self.totals())

    def totals(self) -> I64:
        """Return what every counter gained, int64 (devices, COUNTERS)."""
        totals: I64 = np.zeros((len(self.devices), len(COUNTERS)), np.int64)
        tallies: dict[int, tuple[I64, I64]] = {}
        for number, answer in self.present():
            for role, lines in answer.counts:
                for variable in _needed(role, answer):
                    if variable not in tallies:
                        tallies[variable] = self._tally(variable)
                self._count(totals, role, np.array(lines, np.int64), number, answer, tallies)
        return totals

    def _tally(self, variable: int) -> tuple[I64, I64]:
        """Count frames and octets by class and limb in a variable, int64 (classes, 1 + limbs); limb -1 comes first."""
        width = len(self.anatomy.limbs) + 1
        size = len(self.pipeline.answers) * width
        lengths = self.batch.length
        if self.pipeline.compiled is not None:
            return self._tallied(variable, width, size)
        one_length = bool((lengths == lengths[0]).all())
        frames, octets = np.zeros(size, np.int64), np.zeros(size, np.int64)
        step = max(CHUNK, 4 * size)
        for first in range(0, len(self), step):
            at = slice(first, first + step)
            cells = self.classes[at] * np.int64(width)
            cells += self.places[variable, at]
            cells += 1
            frames += np.bincount(cells, minlength=size)
            if not one_length:
                octets += np.bincount(cells, lengths[at], minlength=size).astype(np.int64)
        if one_length:
            octets = frames * int(lengths[0])
        return frames.reshape(-1, width), octets.reshape(-1, width)

    def _tallied(self, variable: int, width: int, size: int) -> tuple[I64, I64]:
        """Do the same in the compiled loop."""
        frames, octets = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for first in range(0, len(self), TALLIED):
            cells, at = np.zeros(size, np.int64), slice(first, first + TALLIED)
            self.pipeline.compiled.kernels.tally(
                self.classes[at], self.places[variable, at], self.batch.length[at], cells, width
            )
            frames += cells >> 40
            octets += cells & (1 << 40) - 1
        return frames.reshape(-1, width), octets.reshape(-1, width)

    def _count(
        self, totals: I64, role: Role, line: I64, number: int, answer: Answer, tallies: dict[int, tuple[I64, I64]]
    ) -> None:
        """Add one role's part of one class."""
        anatomy = self.anatomy
        if role.how == LIMB:
            frames, octets = (tally[number, 1:] for tally in tallies[role.a])
            used = np.flatnonzero(frames)
            totals[anatomy.table[used, role.b]] += _gain(frames[used], octets[used], line)
            return
        frames, octets = (tally[number].sum() for tally in tallies[0])
        if role.how == DEVICE:
            totals[role.a] += _gain(frames, octets, line)
            return
        members = anatomy.breeds[role.a]
        for variable, breed in answer.bound:
            if breed == role.a:
                mine = tallies[variable]
                frames, octets = frames - mine[0][number, 1:][members], octets - mine[1][number, 1:][members]
        totals[anatomy.table[members, role.b]] += _gain(frames, octets, line)

    def drops(self) -> dict[str, int]:
        """Return how many copies ended by each reason; `delivered` for those that arrived."""
        counted: dict[str, int] = {}
        for number, answer in self.present():
            for fate in answer.fates:
                name = "delivered" if fate.drop == DELIVERED else DROPS[fate.drop].name
                copies = int(self.frames_of_class[number]) * self.width_of(fate.role, answer)
                counted[name] = counted.get(name, 0) + copies
        return counted

    def width_of(self, role: Role, answer: Answer) -> int:
        """Return at how many devices a role is."""
        return width_of(self.anatomy, role, answer)

    # -- one frame --------------------------------------------------------------------------------------------------

    def octets(self, frame: int, form: int) -> bytes:
        """Return a frame as delivered in a form."""
        put_in, taken_out = self.pipeline.asker.forms[form]
        sent = self.batch.octets(frame)
        return sent[:12] + put_in + sent[12 + taken_out :]

    def ends(self, frame: int) -> list[tuple[str, Drop | None, bytes, PType]]:
        """Return where the copies of one frame ended: (device, drop or None, octets, packet type), by device."""
        answer = self.pipeline.answers[int(self.classes[frame])]
        found = []
        for fate in answer.fates:
            drop = None if fate.drop == DELIVERED else DROPS[fate.drop]
            for device in self.at(fate.role, answer, np.array([frame], np.int32))[1].tolist():
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


def _needed(role: Role, answer: Answer) -> tuple[int, ...]:
    """Return by which variables frames must be counted for a role."""
    if role.how == LIMB:
        return (role.a,)
    return (0, *(variable for variable, breed in answer.bound if role.how == OTHERS and breed == role.a))


def _gain(frames: Any, octets: Any, line: I64) -> Any:
    """Return what counters gain by so many frames with so many octets."""
    return np.asarray(frames)[..., None] * line[:, 0] + np.asarray(octets)[..., None] * line[:, 1]
