"""The same answers compiled: one loop over frames, in order, learning as it goes. Needs Numba (`simvlan[fast]`).

The loop knows nothing of networks: it interns, gathers, compares and stores, as `run` and `settle` do with arrays.
Where it meets a MAC or a key that the tables do not have it stops, and Python asks. Kernels stand at module level and
take plain arrays, so that compiled code is kept in the cache between processes.
"""

from __future__ import annotations

from typing import Any

import numba  # type: ignore[import-not-found, import-untyped, unused-ignore]
import numpy as np

from simvlan.engines.batch.interner import FACTORS, KEY_BITS
from simvlan.engines.batch.stations import LIMB_SHIFT, STANDING

DONE, NEW_MAC, NEW_KEY, BY_ITSELF, OTHER_CONTENT, CHANGES = range(6)
"""Why a kernel stopped before a frame."""

BLOCK = 1024
"""Frames taken together while nothing changes: their ids stay in the first-level cache."""

_F0, _F1 = int(FACTORS[0]), int(FACTORS[1])
_MASK = (1 << KEY_BITS) - 1
_MAC48 = (1 << 48) - 1
_SHIFT, _STANDING = LIMB_SHIFT, STANDING
_CERTAIN, _NOWHERE, _KEEP = 16, 5, -1


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def _find(key: Any, left: Any, right: Any, slot_shift: Any, rest: Any, id_bits: Any) -> Any:
    """Return the id of a key, or something that is no id."""
    a = (key * np.uint64(_F0)) & np.uint64(_MASK)
    b = (key * np.uint64(_F1)) & np.uint64(_MASK)
    x = left[a >> slot_shift] ^ ((a & rest) << id_bits)
    y = right[b >> slot_shift] ^ ((b & rest) << id_bits)
    return min(x, y)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _in_order(
    first: int, last: int, words: Any, lengths: Any, ingress: Any, times: Any, epoch: int, uniform: int, length: int,
    context_of: Any, context: Any, limb_of: Any, macs: Any, code: Any, flat: Any, wide: Any, shifts: Any,
    standing: Any, variable: Any, changes: Any, heard: Any, starts: Any, rows: Any, stamps: Any, may_change: bool,
    chosen: Any, places: Any,
) -> Any:  # fmt: skip
    """Forward frames one after the other; arguments and answer as `advance`."""
    table, slot_shift, rest, id_bits, missing = macs
    left, right = table[0], table[1]
    numbers, key_shift, key_rest, key_bits, key_missing, of_key = wide
    left_keys, right_keys = numbers[0], numbers[1]
    of_context, of_source, of_destination = shifts
    deep = places.shape[0] == 5
    for i in range(first, last):
        w0, w1 = words[i, 0], words[i, 1]
        device = ingress[i]
        if uniform >= 0:
            if np.int64((w1 >> np.uint64(32)) & np.uint64(0xFFFF)) != uniform or lengths[i] != length:
                return i, OTHER_CONTENT
            ground = context_of[device]
        else:
            ground = context[i]
        source = _find((w0 >> np.uint64(48)) | ((w1 & np.uint64(0xFFFFFFFF)) << np.uint64(16)), left, right,
                       slot_shift, rest, id_bits)  # fmt: skip
        destination = _find(w0 & np.uint64(_MAC48), left, right, slot_shift, rest, id_bits)
        if source >= missing or destination >= missing:
            return i, NEW_MAC
        by, to = code[source], code[destination]
        l0, l1, l2 = np.int64(limb_of[device]), by >> _SHIFT, to >> _SHIFT
        key = (ground << of_context) | ((by & _STANDING) << of_source) | ((to & _STANDING) << of_destination)
        key |= np.int64(source == destination) | (np.int64(l1 == l0) << 1) | (np.int64(l2 == l0) << 2)
        key |= np.int64(l2 == l1) << 3
        if deep:
            l3, l4 = np.int64(places[3, i]), np.int64(places[4, i])
            key |= (np.int64(l3 == l0) << 4) | (np.int64(l3 == l1) << 5) | (np.int64(l3 == l2) << 6)
            key |= (np.int64(l4 == l0) << 7) | (np.int64(l4 == l1) << 8) | (np.int64(l4 == l2) << 9)
            key |= np.int64(l4 == l3) << 10
        if flat.size:
            number = flat[key]
        else:
            found = _find(np.uint64(key), left_keys, right_keys, key_shift, key_rest, key_bits)
            number = of_key[found] if found < key_missing else np.int32(-2)
        if number < 0:
            return i, BY_ITSELF if number == -1 else NEW_KEY
        if changes[number]:
            if not may_change:
                return i, CHANGES
            v = variable[number]
            limb = l1
            if v >= _CERTAIN:
                limb = np.int64(v - _CERTAIN)
            elif v == _NOWHERE:
                limb = np.int64(-1)
            elif v == 0:
                limb = l0
            elif v == 2:
                limb = l2
            elif v > 2:
                limb = np.int64(places[v, i])
            code[source] = (limb << _SHIFT) | np.int64(standing[number])
        chosen[i] = number
        places[0, i], places[1, i], places[2, i] = l0, l1, l2
        for at in range(starts[heard[number]], starts[heard[number] + 1]):
            stamps[rows[at], source] = times[i] + epoch
    return last, DONE


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _look_up(
    words: Any, lengths: Any, uniform: int, length: int, macs: Any, source: Any, destination: Any
) -> bool:  # fmt: skip
    """Find the ids of a block's MACs; whether all are known and the content is what it should be."""
    table, slot_shift, rest, id_bits, missing = macs
    left, right = table[0], table[1]
    strange = np.uint64(0)
    kind = np.uint64(max(uniform, 0))
    for i in range(len(words)):
        w0, w1 = words[i, 0], words[i, 1]
        a = _find(
            (w0 >> np.uint64(48)) | ((w1 & np.uint64(0xFFFFFFFF)) << np.uint64(16)),
            left,
            right,
            slot_shift,
            rest,
            id_bits,
        )
        b = _find(w0 & np.uint64(_MAC48), left, right, slot_shift, rest, id_bits)
        strange |= np.uint64(a >= missing) | np.uint64(b >= missing)
        source[i], destination[i] = a, b
    if strange:
        return False
    if uniform >= 0:
        for i in range(len(words)):
            strange |= (words[i, 1] >> np.uint64(32) & np.uint64(0xFFFF)) ^ kind
            strange |= np.uint64(lengths[i]) ^ np.uint64(length)
    return bool(strange == 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _classify(
    source: Any, destination: Any, ingress: Any, limb_of: Any, context_of: Any, context: Any, code: Any, flat: Any,
    shifts: Any, changes: Any, chosen: Any, l0: Any, l1: Any, l2: Any,
) -> bool:  # fmt: skip
    """Give a block its classes as the stations stand; whether that holds for all of it."""
    of_context, of_source, of_destination = np.uint64(shifts[0]), np.uint64(shifts[1]), np.uint64(shifts[2])
    by_device = len(context) == 0
    odd = False
    for i in range(len(source)):
        device = ingress[i]
        ground = context_of[device] if by_device else context[i]
        by, to = code[source[i]], code[destination[i]]
        a, b, c = limb_of[device], np.int32(by >> _SHIFT), np.int32(to >> _SHIFT)
        key = np.uint64(ground) << of_context
        key |= np.uint64(by & _STANDING) << of_source
        key |= np.uint64(to & _STANDING) << of_destination
        key |= np.uint64(source[i] == destination[i]) | (np.uint64(b == a) << np.uint64(1))
        key |= (np.uint64(c == a) << np.uint64(2)) | (np.uint64(c == b) << np.uint64(3))
        number = flat[key]
        odd |= number < 0 or changes[max(number, np.int32(0))]
        chosen[i], l0[i], l1[i], l2[i] = number, a, b, c
    return not odd


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _stamp(
    source: Any, chosen: Any, times: Any, epoch: int, heard: Any, starts: Any, rows: Any, stamps: Any
) -> None:  # fmt: skip
    """Note when the sources of a block were heard."""
    usual = heard[chosen[0]]
    same = True
    for i in range(len(source)):
        same &= heard[chosen[i]] == usual
    if same:
        for at in range(starts[usual], starts[usual + 1]):
            row = stamps[rows[at]]
            for i in range(len(source)):
                row[source[i]] = times[i] + epoch
        return
    for i in range(len(source)):
        number = heard[chosen[i]]
        for at in range(starts[number], starts[number + 1]):
            stamps[rows[at], source[i]] = times[i] + epoch


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def advance(
    first: int, last: int, words: Any, lengths: Any, ingress: Any, times: Any, epoch: int, uniform: int, length: int,
    context_of: Any, context: Any, limb_of: Any, macs: Any, code: Any, flat: Any, wide: Any, shifts: Any,
    standing: Any, variable: Any, changes: Any, heard: Any, starts: Any, rows: Any, stamps: Any, may_change: bool,
    chosen: Any, places: Any,
) -> Any:  # fmt: skip
    """Forward frames first to last in order; returns (where it stopped, why).

    *uniform*: the ethertype octets (as they lie) that all frames must have for `context_of` (by device) to hold, with
    this *length*; -1: `context` says it for every frame. Limb variables beyond three are already in *places*.
    Blocks in which nothing changes are done in passes that a compiler can vectorise, others frame by frame.
    """
    source, destination = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    plain = flat.size > 0 and places.shape[0] == 3
    at = first
    while at < last:
        end = min(at + BLOCK, last)
        n = end - at
        own = context[at:end] if uniform < 0 else context
        if (
            plain
            and _look_up(words[at:end], lengths[at:end], uniform, length, macs, source[:n], destination[:n])
            and _classify(source[:n], destination[:n], ingress[at:end], limb_of, context_of, own, code, flat, shifts,
                          changes, chosen[at:end], places[0, at:end], places[1, at:end], places[2, at:end])
        ):  # fmt: skip
            _stamp(source[:n], chosen[at:end], times[at:end], epoch, heard, starts, rows, stamps)
            at = end
            continue
        stopped, why = _in_order(
            at, end, words, lengths, ingress, times, epoch, uniform, length, context_of, context, limb_of, macs, code,
            flat, wide, shifts, standing, variable, changes, heard, starts, rows, stamps, may_change, chosen, places,
        )  # fmt: skip
        if why != DONE:
            return stopped, why
        at = end
    return last, DONE


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def tally(chosen: Any, limbs: Any, lengths: Any, cells: Any, width: int) -> None:
    """Count frames (upper 24 bits) and octets (lower 40) by class and limb into cells."""
    for i in range(len(chosen)):
        cell = np.uint64(chosen[i]) * np.uint64(width) + np.uint64(limbs[i] + 1)
        cells[cell] += np.int64(1 << 40) + np.int64(lengths[i])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def where(chosen: Any, places: Any, roles: Any, table: Any, device: Any) -> None:
    """Find the device of each frame: *roles* (classes, 3) says how, as `classes.Role`; 0 is a number, 1 a limb's."""
    for i in range(len(chosen)):
        number = np.uint64(chosen[i])
        how, a, b = roles[number, 0], roles[number, 1], roles[number, 2]
        device[i] = a if how == 0 else table[np.uint64(places[np.uint64(a), i]), np.uint64(b)]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def in_order(times: Any) -> bool:
    """Whether times never run back."""
    back = False
    for i in range(1, len(times)):
        back |= times[i] < times[i - 1]
    return not back


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def serve(
    order: Any, device: Any, entered: Any, size: Any, start: int, num: int, den: int, overhead: int, limit: int,
    delay: int, left: Any, arrived: Any,
) -> None:  # fmt: skip
    """Serve queues frame by frame, as `lindley.serve`; rows in *order* lie by device and time. Fills left, arrived."""
    sending = np.empty(len(order), np.int64)
    queue, count, free = np.int64(-1), 0, np.int64(0)
    for at in order:
        if device[at] != queue:
            queue, count, free = np.int64(device[at]), 0, np.int64(0)
        now = entered[at] + start
        if count >= limit and sending[count - limit] > now:
            continue
        free = max(free, now * den) + (np.int64(size[at]) + overhead) * num
        gone = -(-free // den)
        sending[count] = gone
        count += 1
        left[at], arrived[at] = gone - start, gone - start + delay
