"""Answers as arrays: which class a frame is of, and what that does to its source.

The class of a key is looked up in a flat array while that is small, else in an interning table. A key is, from the top:
context (where sent, and what is carried), standing of the source, standing of the destination, pattern (whether the
source is the destination, and which limbs are the same).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.classes import Answer
from simvlan.engines.batch.interner import U64, Interner
from simvlan.errors import Unsupported

CONTEXT_BITS, STANDING_BITS, PATTERN_BITS = 19, 15, 11
"""How a key is packed; keys are numbered by an `Interner`, which takes 60 bits together."""
ALONE, UNKNOWN = -1, -2
"""Instead of a class: told limb by limb (`apart`); not asked yet."""
CHANGING = 1 << 30
"""In a mark: the class changes where its source is. The rest says which entries it refreshes."""
FLAT_LIMIT = 1 << 22
"""Entries of the flat array."""


class ClassTables:
    """Classes by key, and answers by class.

    Attributes:
        pattern_bits: bits of the pattern in use: 4 for three limbs, 11 for five.
        flat: int32, class by key packed as tightly as may be; empty once that takes too much.
        standing_bits: bits of a standing in a flat key.
        standing, variable, changes: by class, as in `Answer`.
        heard: by class, the number of the set of rows of `Stations.stamps` it refreshes.
        starts, rows: int64, the sets end to end: number n is `rows[starts[n] : starts[n + 1]]`.
        mark: int32, by class, heard and changes in one.
        numbers, of_key: the same as flat, by interned key.
    """

    def __init__(self, pattern_bits: int) -> None:
        self.pattern_bits = pattern_bits
        self.standing_bits = 3
        self.numbers = Interner()
        self.flat: NDArray[np.int32] = np.full(1, UNKNOWN, np.int32)
        self.of_key: NDArray[np.int32] = np.zeros(0, np.int32)
        self.standing: NDArray[np.int32] = np.zeros(0, np.int32)
        self.variable: NDArray[np.int32] = np.zeros(0, np.int32)
        self.changes: NDArray[np.bool_] = np.zeros(0, bool)
        self.heard: NDArray[np.int32] = np.zeros(0, np.int32)
        self.mark: NDArray[np.int32] = np.zeros(0, np.int32)
        self.starts: NDArray[np.int64] = np.zeros(1, np.int64)
        self.rows: NDArray[np.int64] = np.zeros(0, np.int64)
        self._sets: dict[tuple[int, ...], int] = {}

    def make_room(self, contexts: int, standings: int) -> None:
        """Let the flat array have an entry for so many contexts and standings, while that is small.

        Raises:
            Unsupported: more than keys can tell apart.
        """
        if contexts >> CONTEXT_BITS or standings >> STANDING_BITS:
            raise Unsupported(
                f"{contexts} kinds of frames and {standings} standings of MACs are more than tables can hold: "
                "use the event engine"
            )
        if not len(self.flat):
            return
        bits = max(self.standing_bits, int(standings - 1).bit_length())
        need = contexts << 2 * bits + self.pattern_bits
        if need > FLAT_LIMIT:
            self.flat = np.zeros(0, np.int32)
        elif bits > self.standing_bits or need > len(self.flat):
            self.standing_bits = bits
            self.flat = np.full(min(max(need, 2 * len(self.flat)), FLAT_LIMIT), UNKNOWN, np.int32)
            self._fill(self.numbers.keys[: len(self.numbers)], self.of_key)

    def shifts(self) -> tuple[int, int, int]:
        """Return by how much context, source's and destination's standing are shifted in a key."""
        bits, pattern = (self.standing_bits, self.pattern_bits) if len(self.flat) else (STANDING_BITS, PATTERN_BITS)
        return 2 * bits + pattern, bits + pattern, pattern

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the class of each key, ALONE or UNKNOWN."""
        if len(self.flat):
            found: NDArray[np.int32] = self.flat.take(keys)
            return found
        ids = self.numbers.find(keys.view(np.uint64))
        known = np.concatenate((self.of_key, np.array([UNKNOWN], np.int32)))
        return known.take(np.minimum(ids, np.uint64(len(self.of_key))).view(np.int64))

    def add(self, keys: NDArray[np.int64], classes: list[int]) -> None:
        """Note the classes of new keys, packed as `shifts` says."""
        made = np.array(classes, np.int32)
        wide = self.widened(keys)
        self.numbers.add(wide)
        self.of_key = np.concatenate((self.of_key, made))
        if len(self.flat):
            self.flat[keys] = made

    def widened(self, keys: NDArray[np.int64]) -> U64:
        """Return keys as the interning table has them."""
        context, source, destination = self.shifts()
        mask = (1 << self.standing_bits) - 1 if len(self.flat) else (1 << STANDING_BITS) - 1
        wide = keys >> context << 2 * STANDING_BITS + PATTERN_BITS | keys & ((1 << destination) - 1)
        wide |= (keys >> source & mask) << STANDING_BITS + PATTERN_BITS | (keys >> destination & mask) << PATTERN_BITS
        return wide.view(np.uint64)

    def _fill(self, wide: U64, classes: NDArray[np.int32]) -> None:
        """Enter interned keys into the flat array."""
        keys = wide.view(np.int64)
        context, source, destination = self.shifts()
        mask = (1 << STANDING_BITS) - 1
        flat = keys >> 2 * STANDING_BITS + PATTERN_BITS << context | keys & ((1 << PATTERN_BITS) - 1)
        flat |= (keys >> STANDING_BITS + PATTERN_BITS & mask) << source | (keys >> PATTERN_BITS & mask) << destination
        self.flat[flat] = classes

    def take_in(self, answers: list[Answer], heard: list[tuple[int, ...]]) -> None:
        """Take in new answers; *heard*: the rows of stamps each of them refreshes."""
        fresh = [rows for rows in dict.fromkeys(heard) if rows not in self._sets]
        for rows in fresh:
            self._sets[rows] = len(self._sets)
        ends = self.starts[-1] + np.cumsum([len(rows) for rows in fresh], dtype=np.int64)
        self.starts = np.concatenate((self.starts, ends))
        self.rows = np.concatenate((self.rows, np.array([row for rows in fresh for row in rows], np.int64)))
        self.standing = np.concatenate((self.standing, np.array([a.standing for a in answers], np.int32)))
        self.variable = np.concatenate((self.variable, np.array([a.variable for a in answers], np.int32)))
        self.changes = np.concatenate((self.changes, np.array([a.changes for a in answers], bool)))
        numbers = [self._sets[rows] for rows in heard]
        self.heard = np.concatenate((self.heard, np.array(numbers, np.int32)))
        self.mark = self.heard | np.where(self.changes, np.int32(CHANGING), np.int32(0))
