"""What became of a batch: classes per frame, and everything else told from them when asked.

Counters cost one count per class and limb; copies are written out only for who asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.classes import DELIVERED, DEVICE, DROPS, LIMB, OTHERS, Answer, Fate, Role
from simvlan.engines.batch.probe import COUNTERS
from simvlan.frame import PType
from simvlan.table import Table
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.engines.batch.pipeline import Pipeline

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

CHUNK = 16_384
"""Frames taken at a time where temporaries should stay in the cache."""
TALLIED = 1 << 23
"""Frames that the compiled count can take at once: 24 bits of frames, 40 of octets."""
ROWS_LIMIT = 1 << 22
"""Entries of a table of "all members but one"."""


@dataclass(frozen=True)
class Copies:
    """Where copies ended, one row each.

    Attributes:
        frame: int32 (copies), index into the batch.
        device: int32 (copies), index into `Outcome.devices`.
        fate: int32 (copies), index into fates.
        fates: how a copy may end.
    """

    frame: I32
    device: I32
    fate: I32
    fates: tuple[Fate, ...]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def drop(self) -> I32:
        """Why, int32 (copies): index into `classes.DROPS`, -1 for a copy handed to the device's namespace."""
        return self._told("drop")

    @property
    def form(self) -> I32:
        """How the octets differ from those sent, int32 (copies): see `Outcome.octets`."""
        return self._told("form")

    @property
    def ptype(self) -> I32:
        """Whom the frame was for, int32 (copies): a `PType`."""
        return self._told("ptype")

    def _told(self, what: str) -> I32:
        return np.array([getattr(fate, what) for fate in self.fates], np.int32).take(self.fate)

    def in_order(self) -> Copies:
        """Return the same in the order of frames."""
        order = np.argsort(self.frame, kind="stable")
        return Copies(self.frame[order], self.device[order], self.fate[order], self.fates)


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
    def _frames(self) -> I64:
        """How many frames each class has, int64 (classes)."""
        return np.bincount(self.classes, minlength=len(self.pipeline.answers))

    def _present(self) -> Iterator[tuple[int, Answer]]:
        """Yield (class, answer) of the classes that occur."""
        for number in np.flatnonzero(self._frames).tolist():
            yield number, self.pipeline.answers[number]

    # -- copies -----------------------------------------------------------------------------------------------------

    def copies(self) -> Copies:
        """Write out the end of every copy of every frame; in no particular order (`Copies.in_order`)."""
        one = self._one_end_each()
        return one if one is not None else self._all_copies()

    def _one_end_each(self) -> Copies | None:
        """Write out the ends where every frame has exactly one, at a device that a gather finds."""
        roles = np.zeros((len(self.pipeline.answers), 3), np.int64)
        fates: list[Fate] = []
        index = np.zeros(len(roles), np.int32)
        for number, answer in self._present():
            if len(answer.fates) != 1 or answer.fates[0].role.how == OTHERS:
                return None
            roles[number] = answer.fates[0].role
            index[number] = len(fates)
            fates.append(answer.fates[0])
        device: I32 = np.empty(len(self), np.int32)
        if self.pipeline.compiled is not None:
            self.pipeline.compiled.kernels.where(self.classes, self.places, roles, self.anatomy.table, device)
        else:
            for first in range(0, len(self), CHUNK):
                self._where(slice(first, first + CHUNK), roles, device)
        return Copies(np.arange(len(self), dtype=np.int32), device, index.take(self.classes), tuple(fates))

    def _where(self, at: slice, roles: I64, device: I32) -> None:
        """Find the devices of some frames: those in the roles their classes have."""
        classes, places, table = self.classes[at], self.places[:, at], self.anatomy.table
        fixed = roles[:, 0] == DEVICE
        if fixed[self._frames > 0].all():
            device[at] = roles[:, 1].take(classes)
            return
        variable = np.where(fixed, 0, roles[:, 1]).take(classes)
        limb = places[variable, np.arange(len(classes))]
        cells = limb * np.int64(table.shape[1])
        cells += np.where(fixed, 0, roles[:, 2]).take(classes)
        found = table.reshape(-1).take(cells, mode="clip")
        device[at] = np.where(fixed.take(classes), roles[:, 1].take(classes), found)

    def _all_copies(self) -> Copies:
        frames: list[I32] = []
        devices: list[I32] = []
        numbers: list[I32] = []
        fates: list[Fate] = []
        for number, which in self.by_class():
            for end in self.pipeline.answers[number].fates:
                whose, where = self.at(end.role, self.pipeline.answers[number], which)
                frames.append(whose)
                devices.append(where)
                numbers.append(np.full(len(whose), len(fates), np.int32))
                fates.append(end)
        nothing = np.zeros(0, np.int32)
        frame, device, fate = (np.concatenate(parts or [nothing]) for parts in (frames, devices, numbers))
        return Copies(frame, device, fate, tuple(fates))

    def by_class(self) -> Iterator[tuple[int, I32]]:
        """Yield (class, its frames)."""
        present = np.flatnonzero(self._frames)
        if len(present) == 1:
            yield int(present[0]), np.arange(len(self), dtype=np.int32)
            return
        order = np.argsort(
            self.classes.astype(np.uint16) if len(self._frames) < 1 << 16 else self.classes, kind="stable"
        )
        ends = np.cumsum(self._frames[present]).tolist()
        for number, first, last in zip(present.tolist(), (0, *ends), ends, strict=False):
            yield number, order[first:last].astype(np.int32)

    def at(self, role: Role, answer: Answer, which: I32) -> tuple[I32, I32]:
        """Return (frames, devices) of one end of some frames of a class."""
        anatomy = self.anatomy
        if role.how == DEVICE:
            return which, np.full(len(which), role.a, np.int32)
        if role.how == LIMB:
            return which, anatomy.table[self.places[role.a, which], role.b]
        members = anatomy.table[anatomy.breeds[role.a], role.b]
        skipped = [anatomy.rank_of[self.places[v, which]] for v, breed in answer.bound if breed == role.a]
        return _all_but(which, members, skipped)

    # -- counters ---------------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what every device's counters gained: path -> counter -> number, zeros left out."""
        totals = self.totals()
        return {
            self.devices[number]: {name: int(v) for name, v in zip(COUNTERS, totals[number], strict=True) if v}
            for number in np.flatnonzero(totals.any(axis=1)).tolist()
        }

    def totals(self) -> I64:
        """Return what every counter gained, int64 (devices, COUNTERS)."""
        totals: I64 = np.zeros((len(self.devices), len(COUNTERS)), np.int64)
        tallies: dict[int, tuple[I64, I64]] = {}
        for number, answer in self._present():
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
        cells = self.classes * np.int64(width)
        cells += self.places[variable]
        cells += 1
        frames = np.bincount(cells, minlength=size).reshape(-1, width)
        if (lengths == lengths[0]).all():
            return frames, frames * int(lengths[0])
        return frames, np.bincount(cells, lengths, minlength=size).astype(np.int64).reshape(-1, width)

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
        for number, answer in self._present():
            for fate in answer.fates:
                name = "delivered" if fate.drop == DELIVERED else DROPS[fate.drop].name
                copies = int(self._frames[number]) * self._width(fate.role, answer)
                counted[name] = counted.get(name, 0) + copies
        return counted

    def _width(self, role: Role, answer: Answer) -> int:
        """Return at how many devices a role is."""
        if role.how != OTHERS:
            return 1
        return len(self.anatomy.breeds[role.a]) - sum(breed == role.a for _, breed in answer.bound)

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


def _all_but(which: I32, members: I32, skipped: list[NDArray[Any]]) -> tuple[I32, I32]:
    """Return (frames, devices): every member for every frame, but for the members at the ranks each frame skips."""
    left = len(members) - len(skipped)
    frames = np.repeat(which, left)
    if not skipped:
        return frames, np.tile(members, len(which))
    at = np.arange(left, dtype=np.int32)
    if len(skipped) == 1 and len(members) * left <= ROWS_LIMIT:
        rows = members[at + (at >= np.arange(len(members))[:, None])]
        return frames, rows.take(skipped[0], axis=0).reshape(-1)
    ranks = np.sort(np.stack(skipped), axis=0)
    places = np.broadcast_to(at, (len(which), left)).copy()
    for row in ranks:
        places += places >= row[:, None]
    return frames, members[places.reshape(-1)]
