"""Ratios on a noisy machine: contenders take turns, CPU time is compared inside each round, the median is reported."""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from time import process_time


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of one call, the cyclic collector out of the way."""
    gc.collect()
    gc.disable()
    start = process_time()
    try:
        run()
    finally:
        gc.enable()
    return process_time() - start


def ratio(
    ours: Callable[[], Callable[[], object]], theirs: Callable[[], Callable[[], object]], rounds: int = 5
) -> float:
    """How many times faster ours is than theirs; both make a fresh run for every round."""
    return median(cpu(theirs()) / cpu(ours()) for _ in range(rounds))
