"""What something costs our engines: CPU time with its spread, and, without any noise, lines of Python executed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from statistics import quantiles
from time import process_time
from typing import Any

from benchmarks.measure import timed


def nanoseconds(work: Callable[[], object], frames: int, rounds: int, at_least_s: float = 0.1) -> dict[str, float]:
    """Return CPU ns a frame, all threads: the middle of several rounds, and their quartiles."""
    run = timed(work, frames, at_least_s)
    values = [used / items * 1e9 for used, items in (run() for _ in range(rounds))]
    low, middle, high = quantiles(values, n=4, method="inclusive") if rounds > 1 else values * 3
    return {"ns": round(middle, 1), "ns_low": round(low, 1), "ns_high": round(high, 1)}


def lines(work: Callable[[], object], frames: int) -> float:
    """Return how many lines of Python run for each frame: a cost that no other load on the machine changes."""
    count = 0

    def trace(_frame: Any, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()  # what others want to know of each collection would be counted
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return round(count / frames, 2)


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    begin = process_time()
    work()
    return process_time() - begin
