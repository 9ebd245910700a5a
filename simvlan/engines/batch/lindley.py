"""First in, first out, in integers: when frames leave the senders of cables, and which find the queue full.

The array counterpart of `links.Wire.admit` for a cable with a rate, a delay and a limited queue. The sender is free at
max(free before, arrival) + size; without drops that is a running maximum (Lindley's recursion). Sizes are in units of
1/den ns, so nothing is rounded but the last step, as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simvlan.errors import Unsupported
from simvlan.links import Wire

I64 = NDArray[np.int64]
LARGEST = (1 << 62) - 1


def serve(wire: Wire, queue: NDArray[Any], arrival: I64, size: I64) -> tuple[I64, NDArray[np.bool_]]:
    """Return when the last bit of each frame has left (ns), and which frames were dropped.

    Frames are grouped by *queue* and within it in order of *arrival* (ns); every cable is like *wire*.

    Raises:
        Unsupported: times or rates whose exact arithmetic needs more than 63 bits.
    """
    options = wire.options
    none: NDArray[np.bool_] = np.zeros(len(arrival), bool)
    if not options.rate_bps or not len(arrival):
        return arrival.copy(), none
    num, den = wire._num, wire._den
    work = (size + options.overhead) * num
    check_exact(int(arrival.max()), den, int(work.sum(dtype=np.float64)))
    starts = np.flatnonzero(np.concatenate(([True], queue[1:] != queue[:-1])))
    gone = _departures(starts, arrival * den if den > 1 else arrival, work, den)
    if int((gone - arrival).max()) * den < options.limit * int(work.min()):
        return gone, none  # nobody waits for so many
    full = _overflows(starts, queue, arrival, gone, options.limit)
    if not full.any():
        return gone, none
    ends = np.concatenate((starts[1:], [len(arrival)]))
    for first, last in zip(starts[full].tolist(), ends[full].tolist(), strict=True):
        part = slice(first, last)
        drop_tail(arrival[part], work[part], den, options.limit, gone[part], none[part])
    return gone, none


def check_exact(last: int, den: int, work: int) -> None:
    """Refuse what 63 bits cannot hold: the last arrival (ns) and all sizes, in 1/den ns."""
    if last * den + work > LARGEST:
        raise Unsupported("a cable's rate is too odd for exact times: use the event engine, or a rounder rate")


def _departures(starts: I64, arrival: I64, work: I64, den: int) -> I64:
    """Return when frames leave if none is dropped, ns. *arrival* and *work* in 1/den ns."""
    done = np.cumsum(work)
    free = arrival - done
    free += work
    _run_up(free, starts)
    free += done
    if den == 1:
        return free
    gone: I64 = -(-free // den)
    return gone


def _run_up(values: I64, starts: I64) -> None:
    """Turn values into their running maximum within groups that begin at these places."""
    low, high = int(values.min()), int(values.max())
    if (high - low + 1) * len(starts) >= LARGEST:
        for part in np.split(values, starts[1:]):
            np.maximum.accumulate(part, out=part)
        return
    sizes = np.diff(np.concatenate((starts, [len(values)])))
    lift = np.repeat(np.arange(len(starts)) * (high - low + 1) - low, sizes)
    values += lift
    np.maximum.accumulate(values, out=values)
    values -= lift


def _overflows(starts: I64, queue: NDArray[Any], arrival: I64, gone: I64, limit: int) -> NDArray[np.bool_]:
    """Return for each queue whether it is ever full: a frame comes before the one *limit* ahead of it has left."""
    if len(gone) <= limit:
        return np.zeros(len(starts), bool)
    full = np.zeros(len(gone), bool)
    full[limit:] = (gone[:-limit] > arrival[limit:]) & (queue[:-limit] == queue[limit:])
    return np.logical_or.reduceat(full, starts)


def drop_tail(arrival: I64, work: I64, den: int, limit: int, gone: I64, dropped: NDArray[np.bool_]) -> None:
    """Serve one queue frame by frame, dropping what finds it full; fills *gone* and *dropped*."""
    free = 0
    sending: list[int] = []
    head = 0
    for at, (now, cost) in enumerate(zip(arrival.tolist(), work.tolist(), strict=True)):
        while head < len(sending) and sending[head] <= now:
            head += 1
        if len(sending) - head >= limit:
            dropped[at], gone[at] = True, now
            continue
        free = max(free, now * den) + cost
        gone[at] = -(-free // den)
        sending.append(int(gone[at]))
