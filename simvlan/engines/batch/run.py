"""One chunk of frames on its way: ids and contexts fixed, standings as they stand now."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.classes import CERTAIN, KEEP, NOWHERE, Situation, limb_in
from simvlan.engines.batch.stations import LIMB_SHIFT, STANDING
from simvlan.engines.batch.tables import ALONE, CHANGING, UNKNOWN
from simvlan.frame import Frame

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.engines.batch.pipeline import Pipeline

I64 = NDArray[np.int64]


class Run:
    """What the settling of order needs to know of a chunk.

    Attributes:
        context, source, destination: int64 (n): what a frame is beside its MACs, and the ids of those.
        limbs: int32 (variables, n): as in `Situation`; 1 and 2 are as of the moment a frame was settled.
        chosen: int32 (n), the classes, filled by whoever settles.
        refreshed: which entries all frames refresh, as in `ClassTables.heard`; -1: not known to be the same.
    """

    def __init__(
        self, pipeline: Pipeline, part: FrameBatch, context: I64, source: I64, destination: I64,
        limbs: NDArray[np.int32], chosen: NDArray[np.int32],
    ) -> None:  # fmt: skip
        self.pipeline = pipeline
        self.stations = pipeline.stations
        self.tables = pipeline.tables
        self.part = part
        self.context, self.source, self.destination = context, source, destination
        self.limbs = limbs
        self.chosen = chosen
        self.refreshed = -1

    def classes(self, at: I64 | None) -> NDArray[np.int32]:
        """Return the classes of some frames (None: of all) as the stations stand now, asking where need be."""
        found = self.tables.find(self._keys(at))
        while len(found) and found.min() == UNKNOWN:
            unknown = np.flatnonzero(found == UNKNOWN)
            frames = unknown if at is None else at[unknown]
            keys, first = np.unique(self._keys(at)[unknown], return_index=True)
            order = np.argsort(first)
            self.pipeline.ask(self, keys[order], frames[first[order]])
            found = self.tables.find(self._keys(at))
        apart = np.flatnonzero(found == ALONE)
        if len(apart):
            found[apart] = self._apart(apart if at is None else at[apart])
        return found

    def _apart(self, at: I64) -> NDArray[np.int32]:
        """Return the classes of frames that are told limb by limb, asking where need be."""
        pipeline, apart = self.pipeline, self.pipeline.apart
        keys = self.tables.widened(self._keys(at))
        device = pipeline.entry.take(self.part.ingress[at])
        numbers = apart.numbers(keys, [device, *self.limbs[1:, at].astype(np.int64)])
        unknown = np.flatnonzero(apart.classes[numbers] == UNKNOWN)
        fresh, first = np.unique(numbers[unknown], return_index=True)
        for number, example in sorted(zip(fresh.tolist(), unknown[first].tolist(), strict=True), key=itemgetter(1)):
            apart.classes[number] = pipeline.ask_apart(self, int(at[example]))
        return apart.classes.take(numbers)

    def steady(self) -> bool:
        """Whether nothing that was chosen changes where a station is; notes what all of it refreshes, if the same."""
        marks = self.tables.mark.take(self.chosen)
        if (marks == marks[0]).all():
            self.refreshed = int(marks[0])
            return not self.refreshed & CHANGING
        return not (marks & CHANGING).any()

    def _keys(self, at: I64 | None) -> I64:
        """Return the keys of some frames, and note their limbs."""
        chosen = slice(None) if at is None else at
        source, destination = self.source[chosen], self.destination[chosen]
        of_context, of_source, of_destination = self.tables.shifts()
        keys = self.context[chosen] << of_context
        for variable, ids, shift in ((1, source, of_source), (2, destination, of_destination)):
            if at is None and not ids.strides[0]:
                ids = ids[:1]  # the same for all
            code = self.stations.code.take(ids)
            self.limbs[variable, chosen] = code >> LIMB_SHIFT
            standing = (code & STANDING).astype(np.int64)
            standing <<= shift
            keys |= standing
        keys |= self._pattern(source == destination, self.limbs if at is None else self.limbs[:, at])
        return keys

    @staticmethod
    def _pattern(same: NDArray[np.bool_], limbs: NDArray[np.int32]) -> NDArray[Any]:
        """Return which of the things a class tells apart are the same, one bit each."""
        narrow: Any = np.uint8 if len(limbs) == 3 else np.uint16
        pattern: NDArray[Any] = same.astype(narrow)
        bit = 1
        for a in range(len(limbs)):
            for b in range(a):
                pattern |= (limbs[a] == limbs[b]).astype(narrow) << narrow(bit)
                bit += 1
        return pattern

    def apply(self, at: I64, chosen: NDArray[np.int32]) -> None:
        """Give the sources of frames (each another) their new standing."""
        variable, source = self.tables.variable[chosen], self.source[at]
        limb = self.limbs[np.clip(variable, 0, len(self.limbs) - 1), at].astype(np.int64)
        limb = np.where(variable >= CERTAIN, variable - CERTAIN, np.where(variable == NOWHERE, -1, limb))
        limb = np.where(variable == KEEP, self.stations.code[source] >> LIMB_SHIFT, limb)
        self.stations.code[source] = limb << LIMB_SHIFT | self.tables.standing[chosen]

    def alone(self, at: int) -> int:
        """Settle one frame by itself, whatever it is; returns its class."""
        one = np.array([at])
        chosen = int(self.classes(one)[0])
        answer = self.pipeline.answers[chosen]
        if answer.changes:
            source = int(self.source[at])
            limb = self.stations.get(source)[1]
            if answer.variable != KEEP:
                limb = limb_in(answer.variable, tuple(self.limbs[:, at].tolist()))
            self.stations.set(source, answer.standing, limb)
        return chosen

    def situation(self, at: int) -> Situation:
        """Return one frame in the flesh, as the stations stand now."""
        pipeline = self.pipeline
        octets = self.part.octets(at)
        length = int(self.part.length[at])
        octets += bytes(length - len(octets))
        kind = pipeline.kind_of_context(int(self.context[at]))
        stretch = 0 if pipeline.contents.exact[kind] else pipeline.contents.stretch(length)
        standings = (
            self.stations.get(int(self.source[at]))[0],
            self.stations.get(int(self.destination[at]))[0],
        )
        ingress = int(pipeline.entry[self.part.ingress[at]])
        return Situation(ingress, Frame.parse(octets), tuple(self.limbs[:, at].tolist()), standings, stretch)
