"""From roles to devices, for many frames at once: the devices of limbs, and floods to every limb but some.

The row of a flood that leaves one limb out is one row of a table made once; so a copy costs what copying four octets
costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from simvlan.engines.batch.anatomy import Anatomy

I32 = NDArray[np.int32]

TABULATED = 1024
"""Limbs of a breed for which the table of floods is made: it has their square's size."""


class Spread:
    """A network's limbs and breeds as arrays, each made when first needed."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self._of_limb: dict[int, I32] = {}
        self._ranks: dict[int, I32] = {}
        self._members: dict[tuple[int, int], I32] = {}
        self._all_but_one: dict[tuple[int, int], I32] = {}

    def of_limb(self, place: int) -> I32:
        """Return the device at a place of each limb, int32 (limbs + 1), -1 where there is none."""
        if place not in self._of_limb:
            limbs = self.anatomy.limbs
            devices = [limb.devices[place] if place < len(limb.devices) else -1 for limb in limbs]
            self._of_limb[place] = np.array([*devices, -1], np.int32)
        return self._of_limb[place]

    def members(self, breed: int, place: int) -> I32:
        """Return the device at a place of every limb of a breed."""
        if (breed, place) not in self._members:
            self._members[breed, place] = self.of_limb(place)[np.array(self.anatomy.breeds[breed], np.intp)]
        return self._members[breed, place]

    def ranks(self, breed: int) -> I32:
        """Return each limb's rank within a breed, int32 (limbs + 1); the breed's size for limbs that are not in it."""
        if breed not in self._ranks:
            members = self.anatomy.breeds[breed]
            rank = np.full(len(self.anatomy.limbs) + 1, len(members), np.int32)
            rank[members] = np.arange(len(members), dtype=np.int32)
            self._ranks[breed] = rank
        return self._ranks[breed]

    def all_but(self, breed: int, place: int, limbs: I32) -> I32:
        """Return the devices of a breed's limbs without some: limbs (k, n) of the breed -> int32 (n, size - k)."""
        members = self.members(breed, place)
        if not len(limbs):
            return np.broadcast_to(members, (limbs.shape[1], len(members)))
        ranks = self.ranks(breed)[limbs]
        if len(limbs) == 1 and len(members) <= TABULATED:
            return np.asarray(self._table(breed, place)[ranks[0]])
        ranks.sort(axis=0)
        at = np.arange(len(members) - len(limbs), dtype=np.int32)[None, :]
        for row in ranks:
            at = at + (at >= row[:, None])
        return members[at]

    def _table(self, breed: int, place: int) -> I32:
        """Return for every rank the members without it, int32 (size, size - 1)."""
        if (breed, place) not in self._all_but_one:
            members = self.members(breed, place)
            size = len(members)
            table = np.tile(members, (size, 1))[~np.eye(size, dtype=bool)]
            self._all_but_one[breed, place] = table.reshape(size, size - 1)
        return self._all_but_one[breed, place]
