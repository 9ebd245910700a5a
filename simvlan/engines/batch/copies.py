"""Copies written out: at which device each ends, many at a time.

A flood's row of devices is copied from the pipeline's `RowBook`: a copy costs what copying four octets costs.
Everything else about a copy is worked out when asked for.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from simvlan.engines.batch.classes import DEVICE, OTHERS, Answer, Fate
from simvlan.engines.batch.rows import Rows, joined, row, variables_of

if TYPE_CHECKING:
    from simvlan.engines.batch.outcome import Outcome

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

CHUNK = 16_384
"""Frames taken at a time where temporaries should stay in the cache."""
BLOCK = 1 << 16
"""Copies written at a time."""
WIDE = 8
"""Copies of a frame from which on rows are made once and repeated."""


class Copies:
    """Where copies ended, one row each, by frame: those of frame n are rows first[n] to first[n + 1].

    Attributes:
        device: int32 (copies), index into `Outcome.devices`.
        fates: how a copy may end.
    """

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._book = book = outcome.pipeline.rows
        book.take_in(outcome.pipeline.answers)
        used = book.width[np.flatnonzero(outcome.frames_of_class)]
        self._every = int(used[0]) if len(used) and (used == used[0]).all() else -1
        """In how many copies every frame ends, if in equally many."""
        count = self._every * len(outcome) if self._every >= 0 else int(self.first[-1])
        self.device: I32 = np.empty(count, np.int32)
        if not self._each_one() and not self._all_alike():
            for number, which in outcome.by_class():
                self._write(number, outcome.pipeline.answers[number], which)

    def __len__(self) -> int:
        return len(self.device)

    # -- worked out when asked for ----------------------------------------------------------------------------------

    @cached_property
    def first(self) -> I64:
        """Where the copies of every frame begin, int64 (n + 1)."""
        n = len(self._outcome)
        if self._every >= 0:
            return np.arange(n + 1) * self._every
        first: I64 = np.zeros(n + 1, np.int64)
        np.cumsum(self._book.width.take(self._outcome.classes) if n else [], out=first[1:])
        return first

    @cached_property
    def frame(self) -> I32:
        """The frame of every copy, int32 (copies)."""
        return np.repeat(np.arange(len(self.first) - 1, dtype=np.int32), np.diff(self.first))

    @cached_property
    def fates(self) -> tuple[Fate, ...]:
        """How a copy may end."""
        return tuple(fate for answer in self._outcome.pipeline.answers for fate in answer.fates)

    @cached_property
    def fate(self) -> I32:
        """How every copy ended, int32 (copies): index into fates."""
        outcome = self._outcome
        begin = np.cumsum(self._book.fates) - self._book.fates
        fate: I32 = np.empty(len(self.device), np.int32)
        for number, which in outcome.by_class():
            answer = outcome.pipeline.answers[number]
            at = self.first[which]
            for each, kind in enumerate(answer.fates):
                for _ in range(outcome.width_of(kind.role, answer)):
                    fate[at] = begin[number] + each
                    at += 1
        return fate

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

    # -- writing ----------------------------------------------------------------------------------------------------

    def _each_one(self) -> bool:
        """Write the devices where every frame has exactly one end, which a gather finds; False where not."""
        outcome = self._outcome
        if self._every != 1:
            return False
        roles = np.zeros((len(self._book.width), 3), np.int64)
        for number, answer in outcome.present():
            if len(answer.fates) != 1 or answer.fates[0].role.how == OTHERS:
                return False
            roles[number] = answer.fates[0].role
        where(outcome, roles, self.device)
        return True

    def _all_alike(self) -> bool:
        """Write the devices where all rows are equally wide, and kept: with one gather; False where not."""
        outcome = self._outcome
        if self._every < WIDE:
            return False
        kept: dict[int, Rows] = {}
        for number, answer in outcome.present():
            rows = self._book.of(number, answer)
            if rows is None:
                return False
            kept[number] = rows
        variables = {rows.variable for rows in kept.values() if len(rows.devices) > 1}
        if len(variables) > 1:
            return False
        base: I64 = np.zeros(len(self._book.width), np.int64)
        base[list(kept)] = np.cumsum([0, *(len(rows.devices) for rows in kept.values())])[:-1]
        table = joined([rows.devices for rows in kept.values()])
        several = np.zeros(len(base), bool)
        several[[number for number, rows in kept.items() if len(rows.devices) > 1]] = True
        limbs = outcome.places[variables.pop() if variables else 0]
        for first in range(0, len(outcome), CHUNK):
            at = slice(first, first + CHUNK)
            places = base.take(outcome.classes[at])
            if several.any():
                ranks = outcome.anatomy.rank_of.take(limbs[at], mode="clip")
                places += ranks if several[list(kept)].all() else ranks * several.take(outcome.classes[at])
            out = self.device[first * self._every : (first + len(places)) * self._every]
            table.take(places, axis=0, out=out.reshape(len(places), self._every), mode="clip")
        return True

    def _write(self, number: int, answer: Answer, which: I32) -> None:
        """Write the devices of the frames of one class."""
        outcome, width = self._outcome, int(self._book.width[number])
        rows = self._book.of(number, answer) if width >= WIDE else None
        if rows is None and width >= WIDE:
            rows = self._for_now(answer, which, width)
        places = as_strided(self.device, (max(len(self.device) - width + 1, 0), width), (4, 4))
        step = max(BLOCK // max(width, 1), 1)
        for first in range(0, len(which) if width else 0, step):
            some = which[first : first + step]
            if rows is None:
                block = row(outcome.anatomy, answer, outcome.places[:, some].__getitem__, len(some), width)
            else:
                block = rows.devices.take(self._ranks(rows, some), axis=0, mode="clip")
            places[self.first[some]] = block

    def _ranks(self, rows: Rows, which: slice | I32) -> I32:
        """Return which of the rows is that of each of some frames, int32."""
        limbs = self._outcome.places[rows.variable, which]
        if len(rows.devices) == 1:
            return np.zeros(len(limbs), np.int32)
        found: I32 = self._outcome.anatomy.rank_of.take(limbs, mode="clip")
        return found

    def _for_now(self, answer: Answer, which: I32, width: int) -> Rows | None:
        """Return rows for the limbs that occur alone; None where they depend on several limbs."""
        outcome = self._outcome
        variables = variables_of(answer)
        if len(variables) != 1:
            return None
        variable = variables.pop()
        limbs = outcome.places[variable, which]
        known = np.flatnonzero(np.bincount(limbs)).astype(np.int32)
        ranks = outcome.anatomy.rank_of[known]
        devices: I32 = np.zeros((int(ranks.max()) + 1, width), np.int32)
        devices[ranks] = row(outcome.anatomy, answer, lambda _: known, len(known), width)
        return Rows(variable, devices)


def where(outcome: Outcome, roles: I64, device: I32) -> None:
    """Find the device of each frame, in the role its class has: *roles* (classes, 3), none of them OTHERS."""
    if outcome.pipeline.compiled is not None:
        outcome.pipeline.compiled.kernels.where(outcome.classes, outcome.places, roles, outcome.anatomy.table, device)
        return
    for first in range(0, len(device), CHUNK):
        _where(outcome, slice(first, first + CHUNK), roles, device)


def _where(outcome: Outcome, at: slice, roles: I64, device: I32) -> None:
    """Do it for some frames."""
    classes, places, table = outcome.classes[at], outcome.places[:, at], outcome.anatomy.table
    fixed = roles[:, 0] == DEVICE
    here = fixed[np.flatnonzero(outcome.frames_of_class)]  # the pipeline may have met more classes since
    if here.all():
        device[at] = roles[:, 1].take(classes)
        return
    variable = np.where(fixed, 0, roles[:, 1]).take(classes)
    variable *= len(classes)
    variable += np.arange(len(classes))
    cells = np.ascontiguousarray(places).reshape(-1).take(variable).astype(np.int64)
    cells *= table.shape[1]
    cells += np.where(fixed, 0, roles[:, 2]).take(classes)
    found = table.reshape(-1).take(cells, mode="clip")
    if here.any():
        found = np.where(fixed.take(classes), roles[:, 1].take(classes), found)
    device[at] = found
