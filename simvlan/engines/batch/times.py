"""`Pipeline.simulate`: when every copy crosses every cable, without an event loop, to the nanosecond.

What was asked comes out here; `plan` works it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.classes import DEVICE, DROP_NUMBER, Fate, Role
from simvlan.engines.batch.plan import Leg, Plan
from simvlan.engines.batch.rows import joined
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.engines.batch.pipeline import Pipeline

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
FULL = Fate(Role(DEVICE, -1, 0), DROP_NUMBER[Drop.QDISC_DROP], 0, 0, -1)


@dataclass
class Times:
    """When and where every copy ended, one row each; times in ns from the start of the pipeline.

    Attributes:
        frame, device, fate: as in `Copies`; a copy that a full queue dropped ended at the cable's sender.
        time: int64 (copies), when.
        fates: how a copy may end.
    """

    frame: I32
    device: I32
    fate: I32
    time: I64
    fates: tuple[Fate, ...]
    _legs: list[Leg]

    @cached_property
    def crossings(self) -> Crossings:
        """Every cable crossed."""
        return _crossings(self._legs)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def drop(self) -> I32:
        """Why, int32 (copies): index into `classes.DROPS`, -1: delivered."""
        return np.array([fate.drop for fate in self.fates], np.int32).take(self.fate)


class Crossings(NamedTuple):
    """Cables crossed, one row each: frame, device at the near end, times of entry, of the last bit leaving, of arrival.

    Dropped copies have left = arrived = -1.
    """

    frame: I32
    device: I32
    entered: I64
    left: I64
    arrived: I64


def simulate(pipeline: Pipeline, batch: FrameBatch) -> Times:
    """Answer `Pipeline.simulate`."""
    outcome = pipeline.settled(batch)
    plan = Plan(pipeline, batch, outcome)
    order = plan.in_order()
    if order is None:
        plan = Plan(pipeline, batch, outcome, together=False)
        order = plan.in_order()
    for kind in order or ():
        plan.work_off(kind)
    return _told(pipeline, batch, plan)


def _told(pipeline: Pipeline, batch: FrameBatch, plan: Plan) -> Times:
    """Return the ends of all copies."""
    fates: list[Fate] = [FULL]
    parts: list[tuple[I32, I32, I32, I64]] = []
    for end in plan.ends:
        number = np.full(len(end.frame), len(fates), np.int32) if end.number is None else end.number + len(fates)
        time = end.before.arrived if end.before is not None else batch.time.take(end.frame)
        time = time if end.row is None else time.take(end.row)
        fates += end.fates
        if end.before is not None and end.before.lossy:
            alive = time >= 0
            parts.append((end.frame[alive], end.device[alive], number[alive], time[alive]))
        else:
            parts.append((end.frame, end.device, number, time))
    for leg in plan.all_legs():
        if leg.lossy:
            lost = (leg.left < 0) & ~leg.dead
            nobody = np.zeros(int(lost.sum()), np.int32)
            parts.append((leg.frame[lost], leg.device[lost], nobody, leg.entered[lost]))
    if not parts:
        parts = [(*(np.zeros(0, np.int32),) * 3, np.zeros(0, np.int64))]
    frame, device, number, time = (joined([part[n] for part in parts]) for n in range(4))
    last = max([int(time.max(initial=0)), *(int(leg.left.max(initial=0)) for leg in plan.all_legs())])
    pipeline.ageing.check_nothing_expires(last)
    return Times(frame, device, number, time, tuple(fates), plan.all_legs())


def _crossings(legs: list[Leg]) -> Crossings:
    """Write out every crossing that happened."""
    rows: list[list[Any]] = [[], [], [], [], []]
    for leg in legs:
        came = ~leg.dead if len(leg.dead) else slice(None)
        mine: tuple[Any, ...] = (leg.frame, leg.device, leg.entered, leg.left, leg.arrived)
        for column, values in zip(rows, mine, strict=True):
            column.append(values[came])
    types = (np.int32, np.int32, np.int64, np.int64, np.int64)
    joined: list[Any] = [np.concatenate([np.zeros(0, kind), *c]) for kind, c in zip(types, rows, strict=True)]
    return Crossings(*joined)
