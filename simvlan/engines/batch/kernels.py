"""The same answers compiled: one loop over frames, in order, learning as it goes. Needs Numba (`simvlan[fast]`).

The loop knows nothing of networks: it interns, gathers, compares and stores, as `run` and `settle` do with arrays.
Where it meets a MAC or a key that the tables do not have it stops, and Python asks. Kernels stand at module level and
take plain arrays, so that compiled code is kept in the cache between processes.
"""

from __future__ import annotations

from typing import Any

import numba  # type: ignore[import-not-found, import-untyped, unused-ignore]
import numpy as np

from simvlan.engines.batch.interner import KEY_BITS
from simvlan.engines.batch.stations import LIMB_SHIFT, STANDING
from simvlan.engines.batch.tables import CHANGING, CONTEXT_BITS

DONE, NEW_MAC, NEW_KEY, APART, OTHER_CONTENT, CHANGES = range(6)
"""Why a kernel stopped before a frame."""

BLOCK = 1024
"""Frames taken together while nothing changes: what is worked out for them stays in the cache."""

MOVES = 8
"""How far rows may be from their places, on average, to be sorted by moving them there."""

_MASK = (1 << KEY_BITS) - 1
_MAC48 = (1 << 48) - 1
_SHIFT, _STANDING = LIMB_SHIFT, STANDING
_GROUND_SHIFT, _GROUND = CONTEXT_BITS, (1 << CONTEXT_BITS) - 1
_CERTAIN, _NOWHERE = 16, 5
_CHANGING, _HEARD, _UNASKED = CHANGING, CHANGING - 1, -(1 << 31)
"""Bits of marks, and the sign of what is no class."""


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def _find(key: Any, left: Any, right: Any, factors: Any, slot_shift: Any, rest: Any, id_bits: Any) -> Any:
    """Return the id of a key, or something that is no id."""
    a = (key * factors[0]) & np.uint64(_MASK)
    b = (key * factors[1]) & np.uint64(_MASK)
    x = left[a >> slot_shift] ^ ((a & rest) << id_bits)
    y = right[b >> slot_shift] ^ ((b & rest) << id_bits)
    return min(x, y)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _key(ground: Any, by: Any, to: Any, same: Any, l0: Any, shifts: Any) -> Any:
    """Return the key of a frame without addresses inside, as `Run._keys` packs it."""
    of_context, of_source, of_destination = shifts
    l1, l2 = by >> _SHIFT, to >> _SHIFT
    key = (ground << of_context) | ((by & _STANDING) << of_source) | ((to & _STANDING) << of_destination)
    return key | np.int64(same) | (np.int64(l1 == l0) << 1) | (np.int64(l2 == l0) << 2) | (np.int64(l2 == l1) << 3)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _pattern_inside(l0: Any, l1: Any, l2: Any, l3: Any, l4: Any) -> Any:
    """Return the bits of a key that the limbs of addresses inside add."""
    bits = (np.int64(l3 == l0) << 4) | (np.int64(l3 == l1) << 5) | (np.int64(l3 == l2) << 6)
    bits |= (np.int64(l4 == l0) << 7) | (np.int64(l4 == l1) << 8) | (np.int64(l4 == l2) << 9)
    return bits | (np.int64(l4 == l3) << 10)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _class_of(key: Any, flat: Any, wide: Any) -> Any:
    """Return the class of a key, -1: told limb by limb, -2: not asked yet; as `ClassTables.find`."""
    if flat.size:
        return flat[key]
    numbers, factors, shift, rest, bits, missing, of_key = wide
    found = _find(np.uint64(key), numbers[0], numbers[1], factors, shift, rest, bits)
    return of_key[found] if found < missing else np.int32(-2)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _moved_to(variable: Any, limbs: Any, l0: Any, l1: Any, l2: Any) -> Any:
    """Return the limb that a variable holds, as `limb_in`; *limbs*: those of this frame, from the fourth on filled."""
    if variable >= _CERTAIN:
        return np.int64(variable - _CERTAIN)
    if variable == _NOWHERE:
        return np.int64(-1)
    if variable == 0:
        return l0
    if variable == 2:
        return l2
    return np.int64(limbs[variable]) if variable > 2 else l1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _in_order(
    first: int, last: int, words: Any, lengths: Any, ingress: Any, times: Any, epoch: int, content: Any, limb_of: Any,
    macs: Any, code: Any, flat: Any, wide: Any, shifts: Any, answers: Any, stamps: Any, may_change: bool, chosen: Any,
    places: Any,
) -> Any:  # fmt: skip
    """Forward frames one after the other; arguments and answer as `advance`."""
    uniform, length, context_of, context = content
    standing, variable, mark, starts, rows = answers
    table, factors, slot_shift, rest, id_bits, missing = macs
    for i in range(first, last):
        device = ingress[i]
        if uniform >= 0 and not _carries(words[i, 1], lengths[i], uniform, length):
            return i, OTHER_CONTENT
        ground = context_of[device] if uniform >= 0 else context[i]
        source = _find(_source(words[i, 0], words[i, 1]), table[0], table[1], factors, slot_shift, rest, id_bits)
        destination = _find(words[i, 0] & np.uint64(_MAC48), table[0], table[1], factors, slot_shift, rest, id_bits)
        if source >= missing or destination >= missing:
            return i, NEW_MAC
        l0, l1, l2 = np.int64(limb_of[device]), code[source] >> _SHIFT, code[destination] >> _SHIFT
        key = _key(ground, code[source], code[destination], source == destination, l0, shifts)
        if places.shape[0] == 5:
            key |= _pattern_inside(l0, l1, l2, np.int64(places[3, i]), np.int64(places[4, i]))
        number = _class_of(key, flat, wide)
        if number < 0:
            return i, APART if number == -1 else NEW_KEY
        if mark[number] & _CHANGING:
            if not may_change:
                return i, CHANGES
            limb = _moved_to(variable[number], places[:, i], l0, l1, l2)
            code[source] = (limb << _SHIFT) | np.int64(standing[number])
        chosen[i] = number
        places[0, i], places[1, i], places[2, i] = l0, l1, l2
        heard = mark[number] & _HEARD
        for at in range(starts[heard], starts[heard + 1]):
            stamps[rows[at], source] = times[i] + epoch
    return last, DONE


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def _source(first: Any, second: Any) -> Any:
    """Return the source MAC as it lies, from the first two words of a frame."""
    return (first >> np.uint64(48)) | ((second & np.uint64(0xFFFFFFFF)) << np.uint64(16))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _carries(second: Any, size: Any, uniform: int, length: int) -> Any:
    """Whether a frame has this ethertype (as it lies) and this length."""
    return np.int64((second >> np.uint64(32)) & np.uint64(0xFFFF)) == uniform and size == length


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _look_up(words: Any, lengths: Any, uniform: int, length: int, macs: Any, work: Any, ids: Any) -> bool:
    """Find the ids of a block's sources, then of its destinations; whether all are known and carry what they should.

    *work* is room for slots and remainders. The octets are read in a pass of their own: waiting for memory and looking
    up in the cache do not mix well.
    """
    n = len(words)
    kind, care = np.uint64(max(uniform, 0)), np.uint64(0xFFFF if uniform >= 0 else 0)
    strange = np.uint64(0)
    for i in range(n):
        first, second = words[i, 0], words[i, 1]
        strange |= (second >> np.uint64(32) & care) ^ kind
        ids[i] = _source(first, second)
        ids[n + i] = first & np.uint64(_MAC48)
    if uniform >= 0:
        for i in range(n):
            strange |= np.uint64(lengths[i]) ^ np.uint64(length)
    return bool(strange == 0) and _find_all(macs, work, ids)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _find_all(macs: Any, work: Any, ids: Any) -> bool:
    """Turn keys into their ids; whether all are known.

    Slots are worked out in vectors. The loads are a loop that may stop, which no compiler turns into vector gathers:
    those are slower here, and much slower once the table outgrows the cache.
    """
    table, factors, slot_shift, rest, id_bits, missing = macs
    left, right = table[0], table[1]
    first, second = factors
    for i in range(len(ids)):
        a, b = (ids[i] * first) & np.uint64(_MASK), (ids[i] * second) & np.uint64(_MASK)
        work[0, i], work[1, i] = a >> slot_shift, (a & rest) << id_bits
        work[2, i], work[3, i] = b >> slot_shift, (b & rest) << id_bits
    at, end = np.uint64(0), np.uint64(len(ids))
    while at < end:
        found = min(left[work[0, at]] ^ work[1, at], right[work[2, at]] ^ work[3, at])
        if found >= missing:
            return False
        ids[at] = found
        at += np.uint64(1)
    return True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _classify(
    source: Any, destination: Any, ingress: Any, ground_of: Any, context: Any, code: Any, flat: Any, shifts: Any,
    mark: Any, chosen: Any, l0: Any, l1: Any, l2: Any,
) -> Any:  # fmt: skip
    """Give a block its classes as the stations stand; *ground_of*: limb and context of devices in one.

    Returns the mark of all of them, -1 when marks differ, -2 when the classes do not hold for all of the block.
    """
    of_context, of_source, of_destination = np.uint64(shifts[0]), np.uint64(shifts[1]), np.uint64(shifts[2])
    by_device = len(context) == 0
    odd, differ = np.int32(0), np.int32(0)
    usual = np.int32(-1)
    for i in range(len(source)):
        ground = ground_of[np.uint64(ingress[i])]
        by, to = code[source[i]], code[destination[i]]
        a, b, c = np.int32(ground >> _GROUND_SHIFT), np.int32(by >> _SHIFT), np.int32(to >> _SHIFT)
        where = ground & _GROUND if by_device else context[i]
        key = np.uint64(where) << of_context
        key |= np.uint64(by & _STANDING) << of_source
        key |= np.uint64(to & _STANDING) << of_destination
        key |= np.uint64(source[i] == destination[i]) | (np.uint64(b == a) << np.uint64(1))
        key |= (np.uint64(c == a) << np.uint64(2)) | (np.uint64(c == b) << np.uint64(3))
        number = flat[key]
        mine = mark[np.uint64(max(number, np.int32(0)))]
        odd |= (number & np.int32(_UNASKED)) | (mine & np.int32(_CHANGING))
        usual = mine if i == 0 else usual
        differ |= mine ^ usual
        chosen[i], l0[i], l1[i], l2[i] = number, a, b, c
    if odd:
        return np.int32(-2)
    return np.int32(-1) if differ else usual


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _stamp(usual: Any, source: Any, chosen: Any, times: Any, epoch: int, answers: Any, stamps: Any) -> None:
    """Note when the sources of a block were heard; *usual*: what all their classes say of that, -1: each its own."""
    _, _, mark, starts, rows = answers
    if usual >= 0:
        for at in range(starts[usual], starts[usual + 1]):
            row = stamps[rows[at]]
            for i in range(len(source)):
                row[source[i]] = times[i] + epoch
        return
    some = np.empty(len(source) + 1, np.int64)  # who refreshes anything, found without a branch that is hard to guess
    count = np.uint64(0)
    for i in range(len(source)):
        number = mark[np.uint64(chosen[i])] & _HEARD
        some[count] = i << 32 | number
        count += np.uint64(starts[number + 1] > starts[number])
    for each in some[:count]:
        who, number = np.uint64(each) >> np.uint64(32), each & 0xFFFFFFFF
        for at in range(starts[number], starts[number + 1]):
            stamps[rows[at], source[who]] = times[who] + epoch


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def advance(
    first: int, last: int, words: Any, lengths: Any, ingress: Any, times: Any, epoch: int, content: Any, limb_of: Any,
    ground_of: Any, macs: Any, code: Any, flat: Any, wide: Any, shifts: Any, answers: Any, stamps: Any,
    may_change: bool, chosen: Any, places: Any,
) -> Any:  # fmt: skip
    """Forward frames first to last in order; returns (where it stopped, why).

    *content* is (ethertype as it lies, length, context by device, context by frame): the first two are what all frames
    must have for contexts by device to hold; an ethertype of -1: contexts are by frame. *ground_of* is limb and context
    by device. *answers* is (standing, variable, mark, starts, rows) by class, as in `ClassTables`. Limb variables
    beyond three are already in *places*. Blocks in which nothing changes are done in passes that a compiler can
    vectorise, others frame by frame.
    """
    ids, work = np.empty(2 * BLOCK, np.uint64), np.empty((4, 2 * BLOCK), np.uint64)
    plain = flat.size > 0 and places.shape[0] == 3
    uniform, length, _, context = content
    at = first
    while at < last:
        end = min(at + BLOCK, last)
        n = end - at
        own = context[at:end] if uniform < 0 else context
        if plain and _look_up(words[at:end], lengths[at:end], uniform, length, macs, work, ids[: 2 * n]):
            usual = _classify(
                ids[:n], ids[n : 2 * n], ingress[at:end], ground_of, own, code, flat, shifts, answers[2],
                chosen[at:end], places[0, at:end], places[1, at:end], places[2, at:end],
            )  # fmt: skip
            if usual >= -1:
                _stamp(usual, ids[:n], chosen[at:end], times[at:end], epoch, answers, stamps)
                at = end
                continue
        stopped, why = _in_order(
            at, end, words, lengths, ingress, times, epoch, content, limb_of, macs, code, flat, wide, shifts, answers,
            stamps, may_change, chosen, places,
        )  # fmt: skip
        if why != DONE:
            return stopped, why
        at = end
    return last, DONE


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def count(chosen: Any, classes: int) -> Any:
    """Count the frames of each class, four at a time: a counter need not wait for the one before."""
    counted = np.zeros((4, classes), np.int64)
    even = len(chosen) & ~3
    for i in range(0, even, 4):
        for lane in range(4):
            counted[lane, chosen[i + lane]] += 1
    for i in range(even, len(chosen)):
        counted[0, chosen[i]] += 1
    return counted.sum(axis=0)


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
def deal_out(queue: Any, entered: Any, queues: int, order: Any, dealt: Any, time: Any) -> bool:
    """Sort rows by queue and time, equal ones as they lie; False where they are too far from that order.

    They are dealt out to their queues, and in each of them moved ahead of later ones. Fills order, dealt (the queues)
    and time.
    """
    begin = np.zeros(queues + 1, np.int64)
    for i in range(len(queue)):
        begin[queue[i] + 1] += 1
    for number in range(queues):
        begin[number + 1] += begin[number]
        dealt[begin[number] : begin[number + 1]] = number
    end = begin[:-1].copy()
    budget = MOVES * len(queue)
    for i in range(len(queue)):
        first, at, now = begin[queue[i]], end[queue[i]], entered[i]
        end[queue[i]] = at + 1
        while at > first and time[at - 1] > now:
            time[at], order[at] = time[at - 1], order[at - 1]
            at -= 1
            budget -= 1
        if budget < 0:
            return False
        time[at], order[at] = now, i
    return True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def serve(
    device: Any, entered: Any, size: Any, start: int, num: int, den: int, overhead: int, limit: int, gone: Any
) -> bool:
    """Serve queues frame by frame, as `lindley.serve`; rows lie by queue and time. Fills gone, -1: dropped.

    Returns whether anything was dropped.
    """
    sending = np.empty(len(device), np.int64)
    queue, count, free, dropped = np.int64(-1), 0, np.int64(0), False
    for i in range(len(device)):
        if device[i] != queue:
            queue, count, free = np.int64(device[i]), 0, np.int64(0)
        now = entered[i] + start
        if count >= limit and sending[count - limit] > now:
            gone[i], dropped = -1, True
            continue
        free = max(free, now * den) + (size[i] + overhead) * num
        left = free if den == 1 else -(-free // den)
        sending[count] = left
        count += 1
        gone[i] = left - start
    return dropped


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def follow(
    data: Any, position: Any, big: bool, field: int, fixed: int, least: int, most: int, found: Any
) -> Any:  # fmt: skip
    """Follow the records of a file, as `records.chain`; fills *found*.

    Returns how many there are, where the next one begins, and what that says of its size when it is not a whole record.
    """
    count = 0
    while count < len(found) and position < len(data):
        if position + least > len(data):
            return count, position, np.int64(0)
        size = np.int64(0)
        for octet in range(4):
            size |= np.int64(data[position + field + octet]) << (24 - 8 * octet if big else 8 * octet)
        if size > most or size + fixed < least or position + size + fixed > len(data):
            return count, position, size
        found[count] = position
        count += 1
        position += size + fixed
    return count, position, np.int64(0)
