"""What became of a batch: classes per frame, and everything else told from them when asked.

Counters cost one count per class and limb; copies are written out only for who asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.classes import DELIVERED, DEVICE, DROPS, LIMB, Fate, Role
from simvlan.engines.batch.probe import COUNTERS
from simvlan.frame import PType
from simvlan.table import Table
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.engines.batch.pipeline import Pipeline, Run

I32 = NDArray[np.int32]


class Copies(NamedTuple):
    """Where copies ended, one row each, by frame: int32 arrays of equal length.

    frame: index into the batch; device: index into `Outcome.devices`; drop: index into `DROPS`, -1 for a copy handed to
    the device's namespace; form: how its octets differ from those sent (`Outcome.octets`); ptype: a `PType`.
    """

    frame: I32
    device: I32
    drop: I32
    form: I32
    ptype: I32


class Outcome:
    """The answer to one batch.

    Attributes:
        devices: the paths that device numbers stand for.
        classes: int32 (n), each frame's class; `answers[class]` says what became of it.
        limbs: int32 (n, 3 or 5), the limbs a class speaks of.
    """

    def __init__(self, pipeline: Pipeline, batch: FrameBatch, classes: I32, limbs: NDArray[np.int32]) -> None:
        self.pipeline = pipeline
        self.batch = batch
        self.classes = classes
        self.places = limbs
        self.anatomy = pipeline.anatomy
        self.devices = tuple(dev.path for dev in pipeline.anatomy.devices)

    @classmethod
    def empty(cls, pipeline: Pipeline, batch: FrameBatch, ground: I32) -> Outcome:
        """Return an answer to be filled; *ground*: the limb on which each frame is sent."""
        variables = 5 if pipeline.addresses is not None else 3
        limbs: NDArray[np.int32] = np.empty((variables, len(batch)), np.int32)
        limbs[0] = ground
        return cls(pipeline, batch, np.empty(len(batch), np.int32), limbs)

    @property
    def limbs(self) -> I32:
        """The limb on which each frame was sent."""
        ground: I32 = self.places[0]
        return ground

    def fill(self, at: int, chosen: I32, run: Run) -> None:
        """Take in one chunk."""
        end = at + len(chosen)
        self.classes[at:end] = chosen
        self.places[:, at:end] = run.limbs

    def __len__(self) -> int:
        return len(self.classes)

    # -- copies -----------------------------------------------------------------------------------------------------

    def copies(self) -> Copies:
        """Write out the end of every copy of every frame, in the order of frames."""
        parts: list[tuple[Any, Any, Fate]] = []
        for number, which in self._by_class():
            for fate in self.pipeline.answers[number].fates:
                parts.append((*self._at(fate.role, which), fate))
        frame = np.concatenate([p[0] for p in parts] or [np.zeros(0, np.int32)]).astype(np.int32, copy=False)
        device = np.concatenate([p[1] for p in parts] or [np.zeros(0, np.int32)]).astype(np.int32, copy=False)
        sizes = [len(p[0]) for p in parts]
        columns = [
            np.repeat(np.array([getattr(p[2], n) for p in parts], np.int32), sizes) for n in ("drop", "form", "ptype")
        ]
        order = np.argsort(frame, kind="stable")
        return Copies(frame[order], device[order], *(c[order] for c in columns))

    def _by_class(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield (class, its frames)."""
        if not len(self.classes):
            return
        order = np.argsort(self.classes, kind="stable")
        ordered = self.classes[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        for first, last in zip(starts, (*starts[1:], len(ordered)), strict=True):
            yield int(ordered[first]), order[first:last]

    def _at(self, role: Role, which: NDArray[np.int64]) -> tuple[Any, Any]:
        """Return (frames, devices) of one end of some frames of a class."""
        anatomy = self.anatomy
        if role.how == DEVICE:
            return which, np.full(len(which), role.a, np.int32)
        if role.how == LIMB:
            return which, self._of_limb(self.places[role.a, which], role.b)
        members = np.array([anatomy.limbs[limb].devices[role.b] for limb in anatomy.breeds[role.a]], np.int32)
        ranks = self._ranks(role.a, which)
        return _all_but(which, members, ranks)

    def _of_limb(self, limbs: I32, place: int) -> I32:
        """Return the device at a place of each limb."""
        table: I32 = np.array(
            [x.devices[place] if place < len(x.devices) else -1 for x in self.anatomy.limbs], np.int32
        )
        return table[limbs]

    def _ranks(self, breed: int, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the ranks within a breed of the limbs that frames name, (k, n) sorted; len(breed) where none."""
        anatomy = self.anatomy
        members = anatomy.breeds[breed]
        rank = np.full(len(anatomy.limbs) + 1, len(members))
        rank[members] = np.arange(len(members))
        found = rank[self.places[:, which]]
        found.sort(axis=0)
        found[1:][found[1:] == found[:-1]] = len(members)  # a limb in two variables counts once
        found.sort(axis=0)
        return found

    # -- counters ---------------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what every device's counters gained: path -> counter -> number, zeros left out."""
        totals = self.totals()
        return {
            self.devices[number]: {name: int(v) for name, v in zip(COUNTERS, totals[number], strict=True) if v}
            for number in np.flatnonzero(totals.any(axis=1))
        }

    def totals(self) -> NDArray[np.int64]:
        """Return what every counter gained, int64 (devices, COUNTERS)."""
        totals = np.zeros((len(self.devices), len(COUNTERS)), np.int64)
        lengths = self.batch.length.astype(np.float64)
        for number, which in self._by_class():
            size = lengths[which]
            for role, lines in self.pipeline.answers[number].counts:
                line = np.array(lines, np.int64)
                self._count(totals, role, line, which, size)
        return totals

    def _count(self, totals: Any, role: Role, line: Any, which: Any, size: Any) -> None:
        """Add one role's part of one class."""
        if role.how == DEVICE:
            totals[role.a] += line[:, 0] * len(which) + line[:, 1] * int(size.sum())
            return
        anatomy = self.anatomy
        if role.how == LIMB:
            limbs = self.places[role.a, which]
            at = np.arange(len(anatomy.limbs))
            frames = np.bincount(limbs, minlength=len(at))
            octets = np.bincount(limbs, size, minlength=len(at)).astype(np.int64)
            used = np.flatnonzero(frames)
            devices = self._of_limb(used.astype(np.int32), role.b)
            totals[devices] += frames[used, None] * line[:, 0] + octets[used, None] * line[:, 1]
            return
        members = anatomy.breeds[role.a]
        ranks = self._ranks(role.a, which)
        frames, octets = np.full(len(members) + 1, len(which)), np.full(len(members) + 1, int(size.sum()))
        for row in ranks:
            frames -= np.bincount(row, minlength=len(members) + 1)
            octets -= np.bincount(row, size, minlength=len(members) + 1).astype(np.int64)
        devices = np.array([anatomy.limbs[limb].devices[role.b] for limb in members])
        totals[devices] += frames[:-1, None] * line[:, 0] + octets[:-1, None] * line[:, 1]

    def drops(self) -> dict[str, int]:
        """Return how many copies ended by each reason; `delivered` for those that arrived."""
        counted: dict[str, int] = {}
        for number, which in self._by_class():
            for fate in self.pipeline.answers[number].fates:
                name = "delivered" if fate.drop == DELIVERED else DROPS[fate.drop].name
                copies = len(self._at(fate.role, which)[0])
                counted[name] = counted.get(name, 0) + copies
        return counted

    # -- one frame --------------------------------------------------------------------------------------------------

    def octets(self, frame: int, form: int) -> bytes:
        """Return a frame as delivered in a form."""
        put_in, taken_out = self.pipeline.asker.forms[form]
        sent = self.batch.octets(frame)
        return sent[:12] + put_in + sent[12 + taken_out :]

    def ends(self, frame: int) -> list[tuple[str, Drop | None, bytes, PType]]:
        """Return where the copies of one frame ended: (device, drop or None, octets, packet type), by device."""
        which = np.array([frame])
        found = []
        for fate in self.pipeline.answers[int(self.classes[frame])].fates:
            drop = None if fate.drop == DELIVERED else DROPS[fate.drop]
            for device in self._at(fate.role, which)[1].tolist():
                found.append((self.devices[device], drop, self.octets(frame, fate.form), PType(fate.ptype)))
        return sorted(found, key=lambda end: (end[0], str(end[1]), end[2]))

    def table(self, limit: int = 20) -> Table:
        """Return the first frames and their ends as rows of text."""
        return Table(
            {"frame": n, "device": device, "end": "delivered" if drop is None else drop.name}
            for n in range(min(limit, len(self)))
            for device, drop, _, _ in self.ends(n)
        )

    def __repr__(self) -> str:
        told = ", ".join(f"{count:,} {name}" for name, count in sorted(self.drops().items(), key=lambda item: -item[1]))
        return f"<Outcome of {len(self):,} frames: {told or 'nothing'}>"


def _all_but(which: NDArray[np.int64], members: I32, skipped: NDArray[np.int64]) -> tuple[Any, Any]:
    """Return (frames, devices): every member for every frame, but for the members at its skipped ranks (k, n)."""
    bound = (skipped < len(members)).sum(axis=0)
    if not len(which):
        return which, members[:0]
    if (bound != bound[0]).any():
        parts = [_all_but(which[bound == k], members, skipped[:, bound == k]) for k in np.unique(bound)]
        return np.concatenate([frames for frames, _ in parts]), np.concatenate([devices for _, devices in parts])
    k = int(bound[0])
    at = np.broadcast_to(np.arange(len(members) - k, dtype=np.int32), (len(which), len(members) - k)).copy()
    for row in range(k):
        at += at >= skipped[row].astype(np.int32)[:, None]
    return np.repeat(which, len(members) - k), members[at.reshape(-1)]
