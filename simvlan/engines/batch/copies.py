"""Copies written out: at which device each ends, many at a time.

A flood's row of devices depends on the limb it came from only, so each limb's row is made once and repeated: a copy
costs what copying four octets costs. Everything else about a copy is worked out when asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from simvlan.engines.batch.classes import DEVICE, LIMB, OTHERS, Answer, Fate

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
        first: int64 (n + 1).
        device: int32 (copies), index into `Outcome.devices`.
        fates: how a copy may end.
    """

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        answers = outcome.pipeline.answers
        self._width: I64 = np.array([outcome.width(answer) for answer in answers], np.int64)
        self._begin = np.cumsum([0, *(len(answer.fates) for answer in answers)])
        self.fates: tuple[Fate, ...] = tuple(fate for answer in answers for fate in answer.fates)
        self.first: I64 = _starts(self._width, outcome.classes)
        self.device: I32 = np.empty(int(self.first[-1]), np.int32)
        if not self._each_one():
            for number, which in outcome.by_class():
                self._write(number, answers[number], which)

    def __len__(self) -> int:
        return len(self.device)

    # -- worked out when asked for ----------------------------------------------------------------------------------

    @cached_property
    def frame(self) -> I32:
        """The frame of every copy, int32 (copies)."""
        return np.repeat(np.arange(len(self.first) - 1, dtype=np.int32), np.diff(self.first))

    @cached_property
    def fate(self) -> I32:
        """How every copy ended, int32 (copies): index into fates."""
        outcome = self._outcome
        fate: I32 = np.empty(len(self.device), np.int32)
        for number, which in outcome.by_class():
            answer = outcome.pipeline.answers[number]
            row = self.first[which]
            for at, each in enumerate(answer.fates):
                for _ in range(outcome.width_of(each.role, answer)):
                    fate[row] = self._begin[number] + at
                    row += 1
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
        roles = np.zeros((len(self._width), 3), np.int64)
        for number, answer in outcome.present():
            if len(answer.fates) != 1 or answer.fates[0].role.how == OTHERS:
                return False
            roles[number] = answer.fates[0].role
        where(outcome, roles, self.device)
        return True

    def _write(self, number: int, answer: Answer, which: I32) -> None:
        """Write the devices of the frames of one class."""
        width = int(self._width[number])
        rows = self._rows(answer, which, width)
        everything = len(which) == len(self.first) - 1
        places = as_strided(self.device, (max(len(self.device) - width + 1, 0), width), (4, 4))
        step = max(BLOCK // max(width, 1), 1)
        for first in range(0, len(which) if width else 0, step):
            some = which[first : first + step]
            if everything:
                self.device[first * width : (first + len(some)) * width] = rows(some).reshape(-1)
            else:
                places[self.first[some]] = rows(some)

    def _rows(self, answer: Answer, which: I32, width: int) -> Callable[[I32], I32]:
        """Return what gives the rows of some frames of a class."""
        outcome = self._outcome
        variables = _variables(answer)
        if width < WIDE or len(variables) != 1:
            return lambda some: self._row(answer, some, width)
        limbs = outcome.places[variables.pop()]
        example = np.full(len(outcome.anatomy.limbs) + 1, -1, np.int32)
        example[limbs[which]] = which
        known = np.flatnonzero(example >= 0)
        table = self._row(answer, example[known], width)
        row = np.zeros(len(example), np.intp)
        row[known] = np.arange(len(known))
        return lambda some: table.take(row[limbs[some]], axis=0)

    def _row(self, answer: Answer, which: I32, width: int) -> I32:
        """Return the devices of some frames of a class, int32 (frames, width)."""
        block: I32 = np.empty((len(which), width), np.int32)
        column = 0
        for fate in answer.fates:
            devices = self._outcome.devices_of(fate.role, answer, which)
            block[:, column : column + devices.shape[1]] = devices
            column += devices.shape[1]
        return block


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
    if fixed[outcome.frames_of_class > 0].all():
        device[at] = roles[:, 1].take(classes)
        return
    variable = np.where(fixed, 0, roles[:, 1]).take(classes)
    variable *= len(classes)
    variable += np.arange(len(classes))
    cells = np.ascontiguousarray(places).reshape(-1).take(variable).astype(np.int64)
    cells *= table.shape[1]
    cells += np.where(fixed, 0, roles[:, 2]).take(classes)
    found = table.reshape(-1).take(cells, mode="clip")
    if fixed[outcome.frames_of_class > 0].any():
        found = np.where(fixed.take(classes), roles[:, 1].take(classes), found)
    device[at] = found


def _starts(width: I64, classes: I32) -> I64:
    """Return where each frame's copies begin, and where the last end."""
    first: I64 = np.empty(len(classes) + 1, np.int64)
    first[0] = 0
    used = width[np.flatnonzero(np.bincount(classes, minlength=len(width)))] if len(classes) else width
    if len(classes) and (used == used[0]).all():
        first[:] = np.arange(len(classes) + 1) * used[0]
    else:
        np.cumsum(width.take(classes) if len(classes) else [], out=first[1:])
    return first


def _variables(answer: Answer) -> set[int]:
    """Return the variables on which the devices of a class depend."""
    found = {fate.role.a for fate in answer.fates if fate.role.how == LIMB}
    breeds = {fate.role.a for fate in answer.fates if fate.role.how == OTHERS}
    return found | {variable for variable, breed in answer.bound if breed in breeds}


def all_but(members: I32, skipped: list[NDArray[Any]], count: int) -> I32:
    """Return every member for each of so many frames, but for those at the ranks each skips, int32 (count, left)."""
    left = len(members) - len(skipped)
    if not skipped:
        return np.broadcast_to(members, (count, left))
    ranks = np.sort(np.stack(skipped), axis=0)
    places = np.broadcast_to(np.arange(left, dtype=np.int32), (count, left)).copy()
    for row in ranks:
        places += places >= row[:, None]
    return members[places]
