"""In order, exactly, without a loop over frames: who must wait for whom within a chunk.

A frame's class depends on the standing of its source and destination, and a frame changes at most the standing of its
source. So a frame is settled when no earlier frame from either of its addresses changes it, or may still do so. All
frames are tried at once; those that prove to have been tried too early are tried again after the others took effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from simvlan.engines.batch.run import Run

ROUNDS = 12
"""Rounds of trying all at once before the rest is taken one by one."""
SPARSE = 16
"""MACs per frame beyond which those of a chunk are numbered anew."""
LATER = np.int64(1 << 62)


def settle(run: Run) -> None:
    """Give every frame of a run its class; the stations then stand as after the last one."""
    tried = run.classes(None)
    run.chosen[:] = tried
    if run.steady():
        return
    todo: NDArray[np.int64] = np.arange(len(run.source))
    for _ in range(ROUNDS):
        changing = run.tables.changes.take(tried)
        if not changing.any():
            return
        early = too_early(run.source[todo], run.destination[todo], changing)
        effective = changing & ~early
        run.apply(todo[effective], tried[effective])
        todo = todo[early]
        if not len(todo):
            return
        tried = run.classes(todo)
        run.chosen[todo] = tried
    for at in todo.tolist():
        run.chosen[at] = run.alone(at)


def too_early(
    source: NDArray[np.int64], destination: NDArray[np.int64], changing: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which frames cannot be settled yet, bool (n).

    A frame is early when an earlier one from its source or destination changes that address or is early itself; or
    when it changes its source and an earlier one that still needs the old standing is early.
    """
    n = len(source)
    order = np.arange(n)
    size = int(max(source.max(), destination.max())) + 1
    if size > SPARSE * n:
        _, both = np.unique(np.concatenate((source, destination)), return_inverse=True)
        source, destination, size = both[:n], both[n:], int(both.max()) + 1
    early = np.zeros(n, bool)
    while True:
        first = _first(source, changing | early, order, size)
        needed = _first(destination, early, order, size)
        now = (first[source] < order) | (first[destination] < order) | (changing & (needed[source] < order))
        now |= early
        if (now == early).all():
            return now
        early = now


def _first(keys: NDArray[np.int64], which: NDArray[np.bool_], order: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return the first of the chosen frames for every key."""
    first = np.full(size, LATER)
    chosen = np.flatnonzero(which)[::-1]
    first[keys[chosen]] = order[chosen]
    return first
