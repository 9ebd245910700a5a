"""Rows of devices: where the copies of one frame of a class end, for every limb the class may speak of.

A flood's devices depend on the limb it came from only, so a row is made once for each limb, by a pipeline, and copied
from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.classes import DEVICE, LIMB, OTHERS, Answer, Role

if TYPE_CHECKING:
    from simvlan.engines.batch.anatomy import Anatomy

I32 = NDArray[np.int32]

LARGEST = 1 << 20
"""Devices in a class's rows that are kept; larger ones are made for the limbs that occur."""


class Rows(NamedTuple):
    """The rows of one class: devices int32 (limbs of the breed by rank, width), by the limb in a variable."""

    variable: int
    devices: I32


class RowBook:
    """Widths and rows of a pipeline's classes.

    Attributes:
        width, fates: int64 (classes), in how many copies a frame ends, and in how many kinds of them.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.width: NDArray[np.int64] = np.zeros(0, np.int64)
        self.fates: NDArray[np.int64] = np.zeros(0, np.int64)
        self._rows: dict[int, Rows | None] = {}

    def take_in(self, answers: list[Answer]) -> None:
        """Take in answers that are new."""
        fresh = answers[len(self.width) :]
        if fresh:
            widths = [sum(width_of(self.anatomy, fate.role, answer) for fate in answer.fates) for answer in fresh]
            self.width = np.concatenate((self.width, np.array(widths, np.int64)))
            self.fates = np.concatenate((self.fates, np.array([len(answer.fates) for answer in fresh], np.int64)))

    def of(self, number: int, answer: Answer) -> Rows | None:
        """Return the rows of a class; None where they would be too many, or depend on several limbs."""
        if number not in self._rows:
            self._rows[number] = self._made(answer, int(self.width[number]))
        return self._rows[number]

    def _made(self, answer: Answer, width: int) -> Rows | None:
        variables = variables_of(answer)
        if len(variables) > 1:
            return None
        variable = variables.pop() if variables else 0
        breed = dict(answer.bound).get(variable)
        members: I32 = np.array(self.anatomy.breeds[breed] if breed is not None else [0], np.int32)
        if len(members) * width > LARGEST:
            return None
        return Rows(variable, row(self.anatomy, answer, lambda _: members, len(members), width))


def row(anatomy: Anatomy, answer: Answer, limb: Callable[[int], I32], count: int, width: int) -> I32:
    """Return the devices at which copies of so many frames of a class end, int32 (count, width).

    *limb* gives the limbs in a variable, int32 (count).
    """
    block: I32 = np.empty((count, width), np.int32)
    column = 0
    for fate in answer.fates:
        devices = devices_of(anatomy, fate.role, answer, limb, count)
        block[:, column : column + devices.shape[1]] = devices
        column += devices.shape[1]
    return block


def devices_of(anatomy: Anatomy, role: Role, answer: Answer, limb: Callable[[int], I32], count: int) -> I32:
    """Return the devices of a role for so many frames, int32 (count, devices); *limb* as in `row`."""
    if role.how == DEVICE:
        return np.full((count, 1), role.a, np.int32)
    if role.how == LIMB:
        found: I32 = anatomy.table[:, role.b].take(limb(role.a), mode="clip")
        return found[:, None]
    members = anatomy.table[anatomy.breeds[role.a], role.b]
    return all_but(members, [anatomy.rank_of[limb(v)] for v, breed in answer.bound if breed == role.a], count)


def width_of(anatomy: Anatomy, role: Role, answer: Answer) -> int:
    """Return at how many devices a role is."""
    if role.how != OTHERS:
        return 1
    return len(anatomy.breeds[role.a]) - sum(breed == role.a for _, breed in answer.bound)


def variables_of(answer: Answer) -> set[int]:
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
    for rank in ranks:
        places += places >= rank[:, None]
    return members[places]


def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Append arrays; one alone is returned as it is."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
