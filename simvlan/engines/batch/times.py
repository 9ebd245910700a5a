"""`Pipeline.simulate`: when every copy crosses every cable, without an event loop, to the nanosecond.

Where the traffic is feed-forward (no cable's frames can come to wait for frames of a cable behind it) the cables can be
worked off one kind after the other: sort what enters, serve the queue, and what leaves enters the next. Frames that
enter at the same nanosecond go in the order in which the event engine would have run them: the one whose way here was
planned first, that is who entered the cable before earlier, and so on back to the sending.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.classes import DEVICE, DROP_NUMBER, LIMB, OTHERS, Answer, Fate, Role
from simvlan.engines.batch.lindley import check_exact, serve
from simvlan.errors import Unsupported
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.engines.batch.outcome import Outcome
    from simvlan.engines.batch.pipeline import Pipeline

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
AFTERWARDS = np.int64((1 << 62) - 1)
"""Instead of a time of entry before: frames are sent after everything else of that nanosecond."""
BLOCK = 1 << 15
"""Rows served together."""
FULL = Fate(Role(DEVICE, -1, 0), DROP_NUMBER[Drop.QDISC_DROP], 0, 0, -1)

Kind = tuple[int, int, int]
"""Cables alike: (DEVICE, number, 0), or (LIMB, breed, place)."""


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
    _legs: list[_Leg]

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


class _Leg:
    """One crossing of the frames of one class (with *others* one per limb): rows of equal meaning."""

    def __init__(self, answer: Answer, number: int, before: _Leg | None, frame: I32, device: I32) -> None:
        crossed = answer.crossed[number]
        self.number, self.before = number, before
        self.others = crossed.role.how == OTHERS
        self.extra = crossed.extra
        self.frame, self.device = frame, device
        self.row: I64 | None = None
        """For each row its row in *before*; None: the same."""
        nothing = np.zeros(0, np.int64)
        self.entered = self.left = self.arrived = nothing
        self.dead: NDArray[np.bool_] = np.zeros(0, bool)


def simulate(pipeline: Pipeline, batch: FrameBatch) -> Times:
    """Answer `Pipeline.simulate`."""
    outcome = pipeline.settled(batch)
    plan = _Plan(pipeline, batch, outcome)
    for kind in plan.in_order():
        plan.work_off(kind)
    return plan.told()


class _Plan:
    """All crossings of a batch, to be worked off kind by kind."""

    def __init__(self, pipeline: Pipeline, batch: FrameBatch, outcome: Outcome) -> None:
        self.pipeline, self.batch, self.outcome = pipeline, batch, outcome
        self.legs: dict[Kind, list[_Leg]] = {}
        self.edges: dict[Kind, set[Kind]] = {}
        self.ends: list[tuple[Fate, I32, I32, _Leg | None, I64 | None]] = []
        for number, which in outcome.by_class():
            self._enter(pipeline.answers[number], which)

    # -- the plan ---------------------------------------------------------------------------------------------------

    def _enter(self, answer: Answer, which: I32) -> None:
        """Take in the frames of one class."""
        legs: list[_Leg] = []
        kinds: list[Kind] = []
        for number, crossed in enumerate(answer.crossed):
            before = legs[crossed.after] if crossed.after >= 0 else None
            leg = self._leg(answer, number, before, which)
            kind = self._kind(crossed.role, answer)
            legs.append(leg)
            kinds.append(kind)
            self.legs.setdefault(kind, []).append(leg)
            self.edges.setdefault(kind, set())
            if before is not None:
                self.edges[kinds[crossed.after]].add(kind)
        for fate in answer.fates:
            frame, device = self.outcome.at(fate.role, answer, which)
            before = legs[fate.after] if fate.after >= 0 else None
            spread = before is not None and fate.role.how == OTHERS and not before.others
            row = np.repeat(np.arange(len(which)), len(frame) // max(len(which), 1)) if spread else None
            self.ends.append((fate, frame, device, before, row))

    def _leg(self, answer: Answer, number: int, before: _Leg | None, which: I32) -> _Leg:
        """Return one crossing; the same limb goes on in the same row."""
        role = answer.crossed[number].role
        frame, device = self.outcome.at(role, answer, which)
        leg = _Leg(answer, number, before, frame, device)
        if before is not None and len(before.frame) != len(frame):
            if before.others:
                raise Unsupported("copies of a flood meet again behind a cable: use the event engine")
            leg.row = np.repeat(np.arange(len(which)), len(frame) // max(len(which), 1))
        return leg

    def _kind(self, role: Role, answer: Answer) -> Kind:
        if role.how == DEVICE:
            limb = int(self.pipeline.anatomy.limb_of[role.a])
            if limb < 0:
                return (DEVICE, role.a, 0)
            return (LIMB, int(self.pipeline.anatomy.breed_of[limb]), int(self.pipeline.anatomy.place_of[role.a]))
        breed = role.a if role.how == OTHERS else dict(answer.bound)[role.a]
        return (LIMB, breed, role.b)

    def in_order(self) -> list[Kind]:
        """Return the kinds of cables, each after all that feed it.

        Raises:
            Unsupported: the traffic is not feed-forward.
        """
        fed = {kind: sum(kind in after for after in self.edges.values()) for kind in self.edges}
        ready = [kind for kind, count in fed.items() if not count]
        done: list[Kind] = []
        while ready:
            kind = ready.pop()
            done.append(kind)
            for after in self.edges[kind]:
                fed[after] -= 1
                if not fed[after]:
                    ready.append(after)
        if len(done) < len(fed):
            stuck = next(kind for kind in fed if kind not in done)
            device = int(self.legs[stuck][0].device[0])
            raise Unsupported(
                f"{self.pipeline.paths[device]}: frames behind its cable come to wait for frames before it (not "
                "feed-forward): use the event engine"
            )
        return done

    # -- working off ------------------------------------------------------------------------------------------------

    def work_off(self, kind: Kind) -> None:
        """Serve the cables of one kind."""
        legs = self.legs[kind]
        for leg in legs:
            self._arrive(leg)
        frame = np.concatenate([leg.frame for leg in legs])
        device = np.concatenate([leg.device for leg in legs])
        entered = np.concatenate([leg.entered for leg in legs])
        dead = np.concatenate([leg.dead for leg in legs])
        size = self.batch.length[frame]
        first = 0
        for leg in legs:
            size[first : first + len(leg.frame)] += np.uint32(leg.extra)
            first += len(leg.frame)
        order = self._queue_order(legs, frame, device, entered)
        if dead.any():
            order = order[~dead[order]]
        left, arrived = np.full(len(frame), -1, np.int64), np.full(len(frame), -1, np.int64)
        for part in _blocks(device, order):
            for wire, those in self._by_wire(device[part], part):
                self._serve(wire, those, device, entered, size, left, arrived)
        first = 0
        for leg in legs:
            rows = slice(first, first + len(leg.frame))
            leg.left, leg.arrived = left[rows], arrived[rows]
            first += len(leg.frame)

    def _serve(
        self, wire: Any, those: I64, device: I32, entered: I64, size: NDArray[np.uint32], left: I64, arrived: I64
    ) -> None:
        """Serve the cables of some rows, which are alike; fills *left* and *arrived*."""
        start, options = self.pipeline.start_ns, wire.options
        if self.pipeline.compiled is not None and options.rate_bps:
            check_exact(entered[those] + start, wire._den, (size[those] + np.float64(options.overhead)) * wire._num)
            self.pipeline.compiled.kernels.serve(
                those, device, entered, size, start, wire._num, wire._den, options.overhead, options.limit,
                options.delay_ns, left, arrived,
            )  # fmt: skip
            return
        gone, dropped = serve(wire, device[those], entered[those] + start, size[those].astype(np.int64))
        gone -= start
        left[those] = np.where(dropped, -1, gone)
        arrived[those] = np.where(dropped, -1, gone + options.delay_ns)

    def _arrive(self, leg: _Leg) -> None:
        """Say when the frames of a leg enter it, and which never do."""
        if leg.before is None:
            leg.entered, leg.dead = self.batch.time[leg.frame], np.zeros(len(leg.frame), bool)
            return
        entered = leg.before.arrived
        leg.entered = entered if leg.row is None else entered[leg.row]
        leg.dead = leg.entered < 0

    def _by_wire(self, device: I32, order: I64) -> list[tuple[Any, I64]]:
        """Group rows by cables that are alike."""
        groups: dict[Any, list[int]] = {}
        numbers = np.flatnonzero(np.bincount(device)) if len(device) else np.zeros(0, np.int64)
        for number in numbers.tolist():
            wire = self.pipeline.anatomy.devices[number].wire
            groups.setdefault(wire.options, []).append(number)
        if len(groups) == 1:
            return [(self.pipeline.anatomy.devices[int(numbers[0])].wire, order)]
        result = []
        for members in groups.values():
            inside = np.zeros(int(numbers[-1]) + 1, bool)
            inside[members] = True
            result.append((self.pipeline.anatomy.devices[members[0]].wire, order[inside[device]]))
        return result

    def _queue_order(self, legs: list[_Leg], frame: I32, device: I32, entered: I64) -> I64:
        """Sort rows by cable, then as the event engine would let them enter."""
        if len(legs) == 1 and legs[0].before is None:  # all are sent on this very cable, in the order of frames
            return np.argsort(device.astype(np.uint16) if device.max(initial=0) >> 16 == 0 else device, kind="stable")
        order = by_time(device, entered)
        device, entered = device[order], entered[order]
        tied = (device[1:] == device[:-1]) & (entered[1:] == entered[:-1])
        if not tied.any():
            return order
        at = np.flatnonzero(np.concatenate(([False], tied)) | np.concatenate((tied, [False])))
        rows = order[at]
        history = [column[rows] for column in reversed(self._histories(legs))]
        keys: Any = [rows, frame[rows], *history, entered[at], device[at]]
        order[at] = rows[np.lexsort(keys)]
        return order

    def _histories(self, legs: list[_Leg]) -> list[I64]:
        """Return for every row when it entered the cable before, the one before that, and so on."""
        columns: list[list[I64]] = []
        for leg in legs:
            mine: list[I64] = []
            rows: I64 | None = None
            at: _Leg | None = leg
            while at is not None and at.before is not None:
                rows = at.row if rows is None else rows if at.row is None else at.row[rows]
                at = at.before
                if not self._instant(at):
                    mine.append(at.entered if rows is None else at.entered[rows])
            columns.append(mine)
        depth = max(len(mine) for mine in columns) + 1
        filled = [
            mine + [np.full(len(leg.frame), AFTERWARDS)] * (depth - len(mine))
            for leg, mine in zip(legs, columns, strict=True)
        ]
        return [np.concatenate([mine[level] for mine in filled]) for level in range(depth)]

    def _instant(self, leg: _Leg) -> bool:
        """Whether a cable takes no time: entering it is then no event of its own."""
        if not len(leg.device):
            return False
        options = self.pipeline.anatomy.devices[int(leg.device[0])].wire.options
        return not options.rate_bps and not options.delay_ns

    # -- telling ----------------------------------------------------------------------------------------------------

    def told(self) -> Times:
        """Return the ends of all copies, and all crossings."""
        fates: list[Fate] = [FULL]
        parts: list[tuple[I32, I32, I32, I64]] = []
        for fate, frame, device, before, row in self.ends:
            time = self.batch.time[frame] if before is None else before.arrived if row is None else before.arrived[row]
            number = np.full(len(frame), len(fates), np.int32)
            alive = time >= 0
            fates.append(fate)
            parts.append((frame[alive], device[alive], number[alive], time[alive]))
        legs = [leg for group in self.legs.values() for leg in group]
        for leg in legs:
            lost = (leg.left < 0) & ~leg.dead
            parts.append((leg.frame[lost], leg.device[lost], np.zeros(int(lost.sum()), np.int32), leg.entered[lost]))
        columns: list[list[Any]] = [list(column) for column in zip(*parts, strict=True)] or [[], [], [], []]
        types = (np.int32, np.int32, np.int32, np.int64)
        frame, device, number, time = (
            np.concatenate([np.zeros(0, kind), *column]) for kind, column in zip(types, columns, strict=True)
        )
        last = max([int(time.max(initial=0)), *(int(leg.left.max(initial=0)) for leg in legs)])
        self.pipeline.ageing.check_nothing_expires(last)
        return Times(frame, device, number, time, tuple(fates), legs)


def _crossings(legs: list[_Leg]) -> Crossings:
    """Write out every crossing that happened."""
    rows: list[list[Any]] = [[], [], [], [], []]
    for leg in legs:
        came = ~leg.dead
        mine: tuple[Any, ...] = (leg.frame, leg.device, leg.entered, leg.left, leg.arrived)
        for column, values in zip(rows, mine, strict=True):
            column.append(values[came])
    types = (np.int32, np.int32, np.int64, np.int64, np.int64)
    joined: list[Any] = [np.concatenate([np.zeros(0, kind), *c]) for kind, c in zip(types, rows, strict=True)]
    return Crossings(*joined)


def _blocks(device: I32, order: I64) -> list[I64]:
    """Cut sorted rows into parts of whole queues that stay in the cache."""
    if not len(order):
        return []
    sorted_by = device[order]
    starts = np.flatnonzero(sorted_by[1:] != sorted_by[:-1]) + 1
    if not len(starts):
        return [order]
    nearest = np.searchsorted(starts, np.arange(BLOCK, len(order), BLOCK)).clip(0, len(starts) - 1)
    return np.split(order, np.unique(starts[nearest]))


def by_time(device: I32, entered: I64) -> I64:
    """Return the order by device and time, equal ones as they lie: radix passes of 16 bits where that is quicker."""
    if not len(device):
        return np.zeros(0, np.int64)
    low = int(entered.min())
    width = (int(entered.max()) - low).bit_length()
    if width > 48 or int(device.max()) >> 16:
        return np.lexsort((entered, device))
    since = entered - low
    digits = [(since >> shift).astype(np.uint16) for shift in range(0, max(width, 1), 16)]
    order = np.argsort(digits[0], kind="stable")
    for digit in (*digits[1:], device.astype(np.uint16)):
        order = order[np.argsort(digit[order], kind="stable")]
    return order
