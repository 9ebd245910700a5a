"""Ratios on a noisy machine: contenders take turns, CPU time is compared inside each round, all rounds are kept."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time

Run = Callable[[], tuple[float, int]]
"""Do some work once: CPU seconds, and how many items (frames, copies, calls) that was."""


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        group: what was measured together, in one run.
        name: what the figure is.
        values: one per round.
        unit: "x" for ratios.
        bar: what the project promises; None: only shown.
        aim: what it would like.
        at_least: whether more is better.
        note: what else the reader should know.
    """

    group: str
    name: str
    values: tuple[float, ...]
    unit: str = "x"
    bar: float | None = None
    aim: float | None = None
    at_least: bool = True
    note: str = ""

    @property
    def median(self) -> float:
        """The figure: the median of its rounds."""
        return median(self.values)

    @property
    def met(self) -> bool:
        """Say whether the bar is met (true without a bar)."""
        if self.bar is None:
            return True
        return self.median >= self.bar if self.at_least else self.median <= self.bar


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of one call, all threads, the cyclic collector out of the way."""
    return timed(run, 1, at_least_s=0.0, warm=False)()[0]


def timed(work: Callable[[], object], items: int, at_least_s: float = 0.2, warm: bool = True) -> Run:
    """Turn work in this process into a contender: done once beforehand, repeated until it has taken so much CPU."""
    if warm:
        work()

    def run() -> tuple[float, int]:
        used, count = 0.0, 0
        gc.collect()
        gc.disable()
        try:
            while count == 0 or used < at_least_s:
                start = process_time()
                work()
                used += process_time() - start
                count += items
        finally:
            gc.enable()
        return used, count

    return run


def take_turns(contenders: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """Let everybody run once per round, in alternating order; returns seconds per item, one value per round."""
    cost: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: 1 if number % 2 == 0 else -1]:
            used, items = contenders[name]()
            cost[name].append(used / items)
    return cost


def times_faster(cost: Mapping[str, Sequence[float]], ours: str, theirs: str) -> tuple[float, ...]:
    """How many times their cost per item is ours, one value per round."""
    return tuple(b / a for a, b in zip(cost[ours], cost[theirs], strict=True))


def per_second(costs: Sequence[float], scale: float = 1e-6) -> tuple[float, ...]:
    """Items a CPU second, in millions by default, one value per round."""
    return tuple(scale / cost for cost in costs)
