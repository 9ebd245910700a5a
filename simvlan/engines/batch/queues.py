"""In which order rows enter cables: by cable, then by time; where both are the same, as the event engine would go.

Rows mostly come in nearly that order, as frames are in the order of sending: they are dealt out to their cables first
(counted, not compared), and what is then out of order is little.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

BLOCK = 1 << 15
"""Rows served together."""
WIDEST = 62
"""Bits that cable and time may take together to be compared as one number."""


def by_queue(queue: I32, entered: I64, kernels: Any) -> tuple[I64, I32, I64]:
    """Sort rows by queue and time, equal ones as they lie. *kernels*: compiled, or None.

    Returns:
        Their order, int64 (n), and queue and time in that order.
    """
    count = int(queue.max(initial=0)) + 1
    if kernels is not None:
        order, dealt, time = np.empty(len(queue), np.int64), np.empty_like(queue), np.empty(len(queue), np.int64)
        if kernels.deal_out(queue, entered, count, order, dealt, time):
            return order, dealt, time
    order = np.argsort(queue.astype(np.uint16) if not count >> 16 else queue, kind="stable")
    dealt, time = queue.take(order), entered.take(order)
    if not ((time[1:] < time[:-1]) & (dealt[1:] == dealt[:-1])).any():
        return order, dealt, time
    early = int(time.min())
    width = (int(time.max()) - early).bit_length()
    if width + count.bit_length() > WIDEST:
        again = np.lexsort((time, dealt))
    else:
        both = dealt.astype(np.int64) << width
        both += time
        both -= early
        again = np.argsort(both, kind="stable")
    return order.take(again), dealt, time.take(again)


def tied(queue: I32, entered: I64) -> I64:
    """Return where sorted rows are of the same queue and time as a neighbour."""
    same = (entered[1:] == entered[:-1]) & (queue[1:] == queue[:-1])
    if not same.any():
        return np.zeros(0, np.int64)
    either = np.zeros(len(queue), bool)
    either[1:] = same
    either[:-1] |= same
    return np.flatnonzero(either)


def blocks(queue: I32, first: int, last: int) -> list[slice]:
    """Cut sorted rows from first to last into parts of whole queues that stay in the cache."""
    starts = np.flatnonzero(queue[first + 1 : last] != queue[first : last - 1]) + 1 + first
    if not len(starts):
        return [slice(first, last)] if last > first else []
    nearest = np.searchsorted(starts, np.arange(first + BLOCK, last, BLOCK)).clip(0, len(starts) - 1)
    marks = [first, *np.unique(starts[nearest]).tolist(), last]
    return [slice(a, b) for a, b in pairwise(marks)]
