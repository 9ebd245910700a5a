"""Classes told limb by limb: what `ClassTables` answers ALONE for, where a MAC is claimed in two places, say.

Frames of one such class have the same key and are sent on the same device, and each of their variables holds the same
limb. The tuple of all these is numbered by interning pairs, one after the other, so thousands are found at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.interner import U64, Interner
from simvlan.engines.batch.tables import UNKNOWN

HALF = np.uint64(30)
"""Bits of either part of a pair: numbers interned so far, and device or limb."""


class Apart:
    """Classes by key, device and limbs.

    Attributes:
        classes: int32, by number of such a tuple: its class, or UNKNOWN.
    """

    def __init__(self, limbs: int) -> None:
        self._keys = Interner()
        self._pairs = [Interner() for _ in range(limbs + 1)]
        self.classes: NDArray[np.int32] = np.zeros(0, np.int32)

    def numbers(self, keys: U64, parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Number tuples, new ones in order of first appearance; *parts*: numbers from -1 on."""
        found = self._keys.intern(keys)
        for pairs, part in zip(self._pairs, parts, strict=True):
            found = pairs.intern(found << HALF | (part + 1).astype(np.uint64))
        more = len(self._pairs[-1]) - len(self.classes)
        if more:
            self.classes = np.concatenate((self.classes, np.full(more, UNKNOWN, np.int32)))
        return found.view(np.int64)
