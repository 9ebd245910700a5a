"""The crossings of a batch, worked off one kind of cable after the other.

Where the traffic is feed-forward (no cable's frames can come to wait for frames of a cable behind it) that is all there
is to it: sort what enters, serve the queue, and what leaves enters the next. Frames that enter at the same nanosecond
go in the order in which the event engine would have run them: the one whose way here was planned first, that is who
entered the cable before earlier, and so on back to the sending.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch import queues
from simvlan.engines.batch.classes import DEVICE, LIMB, OTHERS, Answer, Crossed, Fate, Role
from simvlan.engines.batch.lindley import check_exact, serve
from simvlan.engines.batch.rows import joined
from simvlan.errors import Unsupported

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.engines.batch.outcome import Outcome
    from simvlan.engines.batch.pipeline import Pipeline

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
AFTERWARDS = np.int64((1 << 62) - 1)
"""Instead of a time of entry before: frames are sent after everything else of that nanosecond."""
NOTHING: I64 = np.zeros(0, np.int64)
NOBODY: NDArray[np.bool_] = np.zeros(0, bool)

Kind = tuple[int, int, int]
"""Cables alike: (DEVICE, number, 0), or (LIMB, breed, place)."""


class Leg:
    """One crossing of the frames of some classes (with *others* one per limb): rows of equal meaning.

    Attributes:
        frame, device: int32 (rows), what crosses, and the device at the cable's near end.
        every: whether the rows are the frames, one each.
        instant: whether its cables take no time.
        row: for each row its row in *before*; None: the same.
        entered, left, arrived: int64 (rows), ns; left and arrived are -1 for what a full queue dropped.
        dead: bool (rows), what never came here; empty while nothing can have been dropped.
        lossy: whether a row of this or an earlier crossing was dropped.
    """

    def __init__(self, crossed: Crossed, before: Leg | None, frame: I32, device: I32, instant: bool) -> None:
        self.before = before
        self.others = crossed.role.how == OTHERS
        self.extra = crossed.extra
        self.frame, self.device, self.instant = frame, device, instant
        self.every = False
        self.row: I64 | None = None
        self.entered = self.left = self.arrived = NOTHING
        self.dead = NOBODY
        self.lossy = False

    def arrive(self, time: I64) -> None:
        """Say when the rows enter, and which never do; *time*: of sending, by frame."""
        if self.before is None:
            self.entered = time if self.every else time.take(self.frame)
            return
        entered = self.before.arrived
        self.entered = entered if self.row is None else entered.take(self.row)
        if self.before.lossy:
            self.lossy = True
            self.dead = self.entered < 0


class End(NamedTuple):
    """Ends of the frames of some classes: rows of equal meaning, after a crossing (None: none), *row* as in `Leg`.

    *fates*, and which of them each row has (None: the only one).
    """

    fates: tuple[Fate, ...]
    number: I32 | None
    frame: I32
    device: I32
    before: Leg | None
    row: I64 | None


class Plan:
    """All crossings of a batch, to be worked off kind by kind.

    Attributes:
        together: classes whose frames cross the same are one; kinds of cables that they cross are then one kind.
    """

    def __init__(self, pipeline: Pipeline, batch: FrameBatch, outcome: Outcome, together: bool = True) -> None:
        self.pipeline, self.batch, self.outcome = pipeline, batch, outcome
        self.together = together
        self.kernels = pipeline.compiled.kernels if pipeline.compiled is not None else None
        self.legs: dict[Kind, list[Leg]] = {}
        self.members: dict[Kind, set[int]] = {}
        """The devices of a kind."""
        self.edges: dict[Kind, set[Kind]] = {}
        self.ends: list[End] = []
        self.one_size = bool(len(batch)) and bool((batch.length == batch.length[0]).all())
        self._same: dict[Kind, Kind] = {}
        entered = [self._enter(classes, which) for classes, which in self._groups()]
        for legs, edges in entered:
            self._collect(legs, edges)

    def all_legs(self) -> list[Leg]:
        """Return every crossing."""
        return [leg for group in self.legs.values() for leg in group]

    # -- the plan ---------------------------------------------------------------------------------------------------

    def _groups(self) -> Iterator[tuple[list[int], I32]]:
        """Yield classes whose frames cross the same, with their frames in order."""
        outcome = self.outcome
        shapes: dict[Hashable, list[int]] = {}
        for number, answer in outcome.present():
            shapes.setdefault(self._shape(answer) if self.together else number, []).append(number)
        if len(shapes) == 1:
            yield next(iter(shapes.values())), np.arange(len(outcome), dtype=np.int32)
            return
        for classes in shapes.values():
            inside = np.zeros(len(self.pipeline.answers), bool)
            inside[classes] = True
            yield classes, np.flatnonzero(inside.take(outcome.classes)).astype(np.int32)

    def _shape(self, answer: Answer) -> Hashable:
        """Return what classes whose frames cross the same have in common; floods are each for itself."""
        ends = tuple((fate.role, fate.after) for fate in answer.fates)
        if any(role.how == OTHERS for role in (*(each.role for each in answer.crossed), *(role for role, _ in ends))):
            return answer
        return answer.crossed, ends, tuple(self._instant(self._kind(each.role, answer)) for each in answer.crossed)

    def _enter(self, classes: list[int], which: I32) -> tuple[list[tuple[Kind, Leg]], list[tuple[Kind, Kind]]]:
        """Take in the frames of classes that cross the same; returns their crossings, and what comes after what."""
        answers = [self.pipeline.answers[number] for number in classes]
        legs: list[tuple[Kind, Leg]] = []
        edges: list[tuple[Kind, Kind]] = []
        for crossed in answers[0].crossed:
            before = legs[crossed.after][1] if crossed.after >= 0 else None
            kind = self._one_kind([self._kind(crossed.role, answer) for answer in answers])
            legs.append((kind, self._leg(answers[0], crossed, before, which)))
            if before is not None:
                edges.append((legs[crossed.after][0], kind))
        for at, fate in enumerate(answers[0].fates):
            frame, device = self.outcome.at(fate.role, answers[0], which)
            before = legs[fate.after][1] if fate.after >= 0 else None
            spread = before is not None and fate.role.how == OTHERS and not before.others
            row = np.repeat(np.arange(len(which)), len(frame) // max(len(which), 1)) if spread else None
            fates = tuple(answer.fates[at] for answer in answers)
            number = self._numbers(classes, which) if len(set(fates)) > 1 else None
            self.ends.append(End(fates if number is not None else fates[:1], number, frame, device, before, row))
        return legs, edges

    def _numbers(self, classes: list[int], which: I32) -> I32:
        """Return which of some classes each frame has."""
        place: I32 = np.zeros(len(self.pipeline.answers), np.int32)
        place[classes] = np.arange(len(classes))
        found: I32 = place.take(self.outcome.classes[which])
        return found

    def _leg(self, answer: Answer, crossed: Crossed, before: Leg | None, which: I32) -> Leg:
        """Return one crossing; the same limb goes on in the same row."""
        frame, device = self.outcome.at(crossed.role, answer, which)
        leg = Leg(crossed, before, frame, device, self._instant(self._kind(crossed.role, answer)))
        leg.every = frame is which and len(which) == len(self.batch)
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

    def _one_kind(self, kinds: list[Kind]) -> Kind:
        """Make several kinds one; returns its name for now."""
        first = self._name(kinds[0])
        for kind in kinds:
            self._same[self._name(kind)] = first
        return first

    def _name(self, kind: Kind) -> Kind:
        """Return the name of a kind that may have become one with others."""
        while self._same.setdefault(kind, kind) != kind:
            kind = self._same[kind]
        return kind

    def _collect(self, legs: list[tuple[Kind, Leg]], edges: list[tuple[Kind, Kind]]) -> None:
        """Sort crossings by kind, once it is known which kinds are one."""
        for kind, leg in legs:
            self.legs.setdefault(self._name(kind), []).append(leg)
            self.edges.setdefault(self._name(kind), set())
        for kind, after in edges:
            self.edges[self._name(kind)].add(self._name(after))
        for kind in self._same:
            self.members.setdefault(self._name(kind), set()).update(self._devices(kind))

    def _devices(self, kind: Kind) -> list[int]:
        """Return the devices of a kind, before it became one with others."""
        how, number, place = kind
        if how == DEVICE:
            return [number]
        anatomy = self.pipeline.anatomy
        found: list[int] = anatomy.table[anatomy.breeds[number], place].tolist()
        return found

    def in_order(self) -> list[Kind] | None:
        """Return the kinds of cables, each after all that feed it; None where classes are better kept apart.

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
            if self.together:
                return None
            stuck = next(kind for kind in fed if kind not in done)
            device = min(self.members[stuck])
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
            leg.arrive(self.batch.time)
        device, entered = joined([leg.device for leg in legs]), joined([leg.entered for leg in legs])
        queue, groups = self._queues(kind, device)
        order, queue, time = self._sorted(legs, queue, entered)
        size = self._sizes(legs, order)
        gone = np.empty(len(order), np.int64)
        left, arrived = (np.full(len(device), -1, np.int64) for _ in range(2))
        lossy = any(leg.lossy for leg in legs)
        for wire, rows in groups(queue):
            lossy |= self._serve(wire, rows, queue, time, size, gone)
            left[order[rows]] = gone[rows]
            gone[rows] += wire.options.delay_ns
            arrived[order[rows]] = gone[rows]
        if lossy:
            arrived[left < 0] = -1
        first = 0
        for leg in legs:
            mine = slice(first, first + len(leg.frame))
            leg.left, leg.arrived, leg.lossy = left[mine], arrived[mine], lossy
            if lossy and not len(leg.dead):
                leg.dead = np.zeros(len(leg.frame), bool)
            first += len(leg.frame)

    def _queues(self, kind: Kind, device: I32) -> tuple[I32, Any]:
        """Number the queues so that cables alike stand together.

        Returns:
            Each row's queue; and what cuts sorted queues into (a cable, the rows of all like it).
        """
        devices = self.pipeline.anatomy.devices
        alike: dict[Any, list[int]] = {}
        for number in sorted(self.members[kind]):
            wire: Any = devices[number].wire
            alike.setdefault(wire.options, []).append(number)
        number_of: I32 = np.zeros(len(devices), np.int32)
        in_turn = [number for members in alike.values() for number in members]
        number_of[in_turn] = np.arange(len(in_turn))
        ends = np.cumsum([len(members) for members in alike.values()])

        def groups(queue: I32) -> list[tuple[Any, slice]]:
            marks = [0, *np.searchsorted(queue, ends).tolist()]
            return [
                (devices[m[0]].wire, slice(a, b)) for m, (a, b) in zip(alike.values(), pairwise(marks), strict=True)
            ]

        return number_of.take(device), groups

    def _sorted(self, legs: list[Leg], queue: I32, entered: I64) -> tuple[I64, I32, I64]:
        """Return the rows that come here in the order in which they do, with their queues and times."""
        rows = self._alive(legs)
        if len(legs) > 1:  # as frames were sent, which is nearly the order of coming here
            frame = joined([leg.frame for leg in legs])
            turn = np.argsort(frame if rows is None else frame.take(rows), kind="stable")
            rows = turn if rows is None else rows.take(turn)
        if rows is not None:
            queue, entered = queue.take(rows), entered.take(rows)
        order, queue, time = queues.by_queue(queue, entered, self.kernels)
        order = order if rows is None else rows.take(order)
        ties = queues.tied(queue, time)
        if len(ties):
            order[ties] = self._as_planned(legs, order[ties], queue[ties], time[ties])
        return order, queue, time

    @staticmethod
    def _alive(legs: list[Leg]) -> I64 | None:
        """Return the rows that come here; None: all."""
        if not any(leg.lossy for leg in legs):
            return None
        dead = [leg.dead if len(leg.dead) else np.zeros(len(leg.frame), bool) for leg in legs]
        return np.flatnonzero(~np.concatenate(dead))

    def _sizes(self, legs: list[Leg], order: I64) -> I64:
        """Return the octets of sorted rows with all tags, int64."""
        if self.one_size and len({leg.extra for leg in legs}) == 1:
            return np.full(len(order), int(self.batch.length[0]) + legs[0].extra, np.int64)
        sizes = [self.batch.length.take(leg.frame).astype(np.int64) + leg.extra for leg in legs]
        return joined(sizes).take(order)

    def _serve(self, wire: Any, rows: slice, queue: I32, entered: I64, size: I64, gone: I64) -> bool:
        """Serve cables that are alike; fills *gone* (-1: dropped). Returns whether anything was dropped."""
        start, options = self.pipeline.start_ns, wire.options
        if not options.rate_bps or rows.start == rows.stop:
            gone[rows] = entered[rows]
            return False
        if self.kernels is not None:
            work = (int(size[rows].sum()) + options.overhead * (rows.stop - rows.start)) * wire._num
            check_exact(int(entered[rows].max()) + start, wire._den, work)
            return bool(self.kernels.serve(
                queue[rows], entered[rows], size[rows], start, wire._num, wire._den, options.overhead, options.limit,
                gone[rows],
            ))  # fmt: skip
        lossy = False
        for part in queues.blocks(queue, rows.start, rows.stop):
            gone[part], dropped = serve(wire, queue[part], entered[part] + start, size[part])
            gone[part] -= start
            if dropped.any():
                lossy = True
                gone[part][dropped] = -1
        return lossy

    # -- ties -------------------------------------------------------------------------------------------------------

    def _as_planned(self, legs: list[Leg], rows: I64, queue: I32, entered: I64) -> I64:
        """Sort rows that are tied (*queue* and *entered* are theirs) as the event engine would let them enter."""
        frame, history = self._histories(legs, rows)
        keys: Any = [rows, frame, *reversed(history), entered, queue]
        return rows[np.lexsort(keys)]

    def _histories(self, legs: list[Leg], rows: I64) -> tuple[I32, list[I64]]:
        """Return the frame of some rows, and when they entered the cable before, the one before that, and so on."""
        marks = np.cumsum([0, *(len(leg.frame) for leg in legs)])
        frame: I32 = np.zeros(len(rows), np.int32)
        history: list[I64] = []
        for leg, first, last in zip(legs, marks.tolist(), marks[1:].tolist(), strict=False):
            mine = np.flatnonzero((rows >= first) & (rows < last))
            place = rows[mine] - first
            frame[mine] = leg.frame[place]
            for level, entered in enumerate(self._before(leg, place)):
                if level == len(history):
                    history.append(np.full(len(rows), AFTERWARDS))
                history[level][mine] = entered
        return frame, [*history, np.full(len(rows), AFTERWARDS)]

    def _before(self, leg: Leg, place: I64) -> list[I64]:
        """Return when some rows of a leg entered the cable before, and so on back; cables without a time aside."""
        found = []
        at: Leg = leg
        while at.before is not None:
            place = place if at.row is None else at.row[place]
            at = at.before
            if not at.instant:
                found.append(at.entered[place])
        return found

    def _instant(self, kind: Kind) -> bool:
        """Whether cables of a kind take no time: entering one is then no event of its own."""
        wire: Any = self.pipeline.anatomy.devices[self._devices(kind)[0]].wire
        options = wire.options
        return not options.rate_bps and not options.delay_ns
