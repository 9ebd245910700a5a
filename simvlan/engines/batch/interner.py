"""Exact interning of integers: 60-bit keys to dense ids, thousands at a time.

A two-choice (cuckoo) table, quotiented: a multiplication by an odd number modulo 2^60 is a bijection, so the slot and
the remainder together are the key, and an entry is `remainder << id_bits | id` in 8 octets. A look-up is two gathers
and a minimum, without a branch and without comparing keys.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

U64: TypeAlias = "NDArray[np.uint64]"

KEY_BITS = 60
MASK = np.uint64((1 << KEY_BITS) - 1)
FACTORS = (
    np.uint64(0x9E37_79B9_7F4A_7C15 & (1 << KEY_BITS) - 1),
    np.uint64(0xC2B2_AE3D_27D4_EB4F & (1 << KEY_BITS) - 1),
)
"""Odd multipliers, one per choice."""
EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
SMALLEST_BITS = 10
FULL = 0.8
"""Keys per slot of one side before the table grows (the two sides together are then 0.4 full)."""
PATIENCE = 100


class Interner:
    """Keys (integers of up to 60 bits) and their ids, which count from 0 in order of arrival.

    Attributes:
        keys: uint64 (capacity), the key of every id; the first `len(self)` are in use.
        bits: each side of the table has 2**bits slots.
        table: uint64 (2, 2**bits).
        missing: what a look-up answers for a key that is not there.
    """

    def __init__(self) -> None:
        self.count = 0
        self.keys: U64 = np.zeros(1 << SMALLEST_BITS, np.uint64)
        self._clear(SMALLEST_BITS)

    def __len__(self) -> int:
        return self.count

    def _clear(self, bits: int) -> None:
        self.bits = bits
        self.slot_shift = np.uint64(KEY_BITS - bits)
        self.id_bits = np.uint64(64 - KEY_BITS + bits)
        self.rest_mask = np.uint64((1 << KEY_BITS - bits) - 1)
        self.missing = np.uint64((1 << 64 - KEY_BITS + bits) - 1)
        self.table: U64 = np.full((2, 1 << bits), EMPTY)

    def find(self, keys: U64) -> U64:
        """Return the ids of keys, uint64 (n); `missing` for those not there."""
        best = self._candidate(0, keys)
        np.minimum(best, self._candidate(1, keys), out=best)
        return np.minimum(best, self.missing, out=best)

    def _candidate(self, side: int, keys: U64) -> U64:
        """Return what one side says: the id, or something larger than any."""
        mixed = keys * FACTORS[side]
        mixed &= MASK
        slots = (mixed >> self.slot_shift).view(np.int64)
        mixed &= self.rest_mask
        mixed <<= self.id_bits
        mixed ^= self.table[side].take(slots, mode="clip")
        return mixed

    def intern(self, keys: U64) -> U64:
        """Return the ids of keys, new ones in order of first appearance where need be."""
        ids = self.find(keys)
        absent = ids == self.missing
        if absent.any():
            fresh, first = np.unique(keys[absent], return_index=True)
            self.add(fresh[np.argsort(first)])
            ids = self.find(keys)
        return ids

    def add(self, keys: U64) -> None:
        """Give ids to keys that are distinct and not there yet."""
        first, self.count = self.count, self.count + len(keys)
        if self.count > len(self.keys):
            self.keys = np.concatenate((self.keys, np.zeros(max(self.count, len(self.keys)), np.uint64)))
        self.keys[first : self.count] = keys
        bits = self.bits
        while self.count > FULL * (1 << bits):
            bits += 1
        if bits == self.bits and self._place(np.arange(first, self.count)):
            return
        while True:
            self._clear(bits)
            if self._place(np.arange(self.count)):
                return
            bits += 1

    def _place(self, pending: NDArray[np.int64]) -> bool:
        """Put ids into the table, each round on the other side, pushing out who is there; False when it is too full."""
        for turn in range(PATIENCE):
            if not len(pending):
                return True
            side = turn & 1
            table = self.table[side]
            mixed = self.keys[pending] * FACTORS[side] & MASK
            slots = (mixed >> self.slot_shift).view(np.int64)
            entries = (mixed & self.rest_mask) << self.id_bits | pending.view(np.uint64)
            before = table[slots]
            table[slots] = entries
            out = np.unique(before[before != EMPTY] & self.missing).view(np.int64)
            pending = np.concatenate((pending[table[slots] != entries], out))
        return False

    def constants(self) -> tuple[Any, ...]:
        """Return what a compiled look-up needs: table, slot shift, remainder mask, id bits, missing."""
        return self.table, self.slot_shift, self.rest_mask, self.id_bits, self.missing
