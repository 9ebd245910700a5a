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
FACTORS = tuple(
    (np.uint64(first), np.uint64(second))
    for first, second in (
        (0xE37_79B9_7F4A_7C15, 0x2B2_AE3D_27D4_EB4F),
        (0xE78_9E6A_A1B9_65F5, 0x6C4_5D18_8009_454F),
        (0x88B_B8A8_724C_81ED, 0xB39_896A_51A8_749B),
        (0x3CB_9F0C_747E_A2EB, 0xC82_9ABE_1F45_32E1),
        (0x584_133A_C916_AB3D, 0xEE5_7890_41C9_8AC3),
        (0x3B8_488C_368C_B0A7, 0x57E_ECDD_3CB1_3D09),
    )
)
"""Odd multipliers, one per side. Addresses in a row may collide too often with some: then the next pair is tried."""
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
        factors: the multipliers of the two sides.
        table: uint64 (2, 2**bits).
        missing: what a look-up answers for a key that is not there.
    """

    def __init__(self) -> None:
        self.count = 0
        self.keys: U64 = np.zeros(1 << SMALLEST_BITS, np.uint64)
        self._clear(SMALLEST_BITS, 0)

    def __len__(self) -> int:
        return self.count

    def _clear(self, bits: int, attempt: int) -> None:
        self.bits, self.factors = bits, FACTORS[attempt]
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
        mixed = keys * self.factors[side]
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
            for attempt in range(len(FACTORS)):
                self._clear(bits, attempt)
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
            mixed = self.keys[pending] * self.factors[side] & MASK
            slots = (mixed >> self.slot_shift).view(np.int64)
            entries = (mixed & self.rest_mask) << self.id_bits | pending.view(np.uint64)
            before = table[slots]
            table[slots] = entries
            out = np.unique(before[before != EMPTY] & self.missing).view(np.int64)
            pending = np.concatenate((pending[table[slots] != entries], out))
        return False

    def constants(self) -> tuple[Any, ...]:
        """Return what compiled look-ups need: table, factors, slot shift, remainder mask, id bits, missing."""
        return self.table, self.factors, self.slot_shift, self.rest_mask, self.id_bits, self.missing
