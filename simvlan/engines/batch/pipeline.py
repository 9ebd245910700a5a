"""`compile(lab)` and `Pipeline.forward`: where every frame of a batch goes, exactly as `walk` would say one at a time.

A frame's class is found by array operations; what becomes of a class was asked of the scalar rules once (`classes`).
Frames are taken in order where order matters: a frame whose source is new or moved changes the answer for later frames
from or to that address, and only for those (`settle`). Between frames time passes: a bridge's garbage collector
runs when due (`ageing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.ageing import Ageing
from simvlan.engines.batch.anatomy import Anatomy
from simvlan.engines.batch.classes import CERTAIN, KEEP, NOWHERE, Answer, Classes, NotAlike, Situation, limb_in
from simvlan.engines.batch.contents import Contents
from simvlan.engines.batch.inside import Addresses
from simvlan.engines.batch.interner import U64, Interner
from simvlan.engines.batch.limits import check
from simvlan.engines.batch.outcome import Outcome
from simvlan.engines.batch.probe import Prober
from simvlan.engines.batch.settle import settle
from simvlan.engines.batch.spread import Spread
from simvlan.engines.batch.stations import Stations
from simvlan.errors import Unsupported
from simvlan.frame import Frame
from simvlan.table import Table

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.network import Network

CHUNK = 16_384
"""Frames taken at a time: temporaries then stay in the second-level cache."""
MAC48 = np.uint64((1 << 48) - 1)
CONTEXT_BITS, STANDING_BITS, PATTERN_BITS = 19, 15, 11


class Pipeline:
    """A network as tables. It keeps its own forwarding databases; the lab it came from does not change.

    Attributes:
        start_ns: the lab's time when it was compiled; a batch's times count from here.
        now: until when frames have been forwarded, ns from the start.
    """

    def __init__(self, network: Network) -> None:
        check(network)
        self.network = network
        self.start_ns = network.now
        self.now = 0
        self.anatomy = Anatomy(network)
        self.prober = Prober(network, self.anatomy)
        self.stations = Stations(self.anatomy, self.prober)
        self.contents = Contents(self.anatomy)
        self.addresses = Addresses(self.anatomy) if self.contents.deep else None
        self.ageing = Ageing(self)
        self.asker = Classes(self.anatomy, self.prober, self.stations)
        self.spread = Spread(self.anatomy)
        self.answers: list[Answer] = []
        self.tables = ClassTables()
        self._contexts, self._keys = Interner(), Interner()
        self._class_of_key: list[int] = []
        self._one_by_one: dict[tuple[int, ...], int] = {}
        self._senders: dict[tuple[int, int, int], int] = {}
        self._fingerprint = self._picture()

    def __repr__(self) -> str:
        return (
            f"<Pipeline: {len(self.anatomy.devices)} devices, {len(self.anatomy.limbs)} limbs of "
            f"{len(self.anatomy.breeds)} breeds, {len(self.stations.macs)} MACs, {len(self.answers)} classes>"
        )

    # -- forwarding -------------------------------------------------------------------------------------------------

    def forward(self, batch: FrameBatch) -> Outcome:
        """Forward frames in order, each to completion before the next, learning and ageing included.

        Times count from the moment of compilation and must not run back, from one call to the next neither.

        Raises:
            Unsupported: a rule cannot be tabulated for some frame; says which and why. Nothing has changed then.
            ValueError: times that run back, or a device the network does not have.
        """
        self._check_times(batch)
        senders, limbs = self._ingress(batch)
        kept = self._remember()
        outcome = Outcome.empty(self, batch, limbs)
        try:
            for first, last in self._chunks(batch):
                self._forward(batch[first:last], senders, outcome, first)
        except BaseException:
            self._recall(kept)
            raise
        if len(batch):
            self.now = int(batch.time[-1])
        return outcome

    def _chunks(self, batch: FrameBatch) -> Any:
        """Yield (first, last), cut where a garbage collector runs."""
        first = 0
        while first < len(batch):
            due = self.ageing.run_until(int(batch.time[first]))
            last = min(first + CHUNK, len(batch))
            if due <= int(batch.time[last - 1]):
                last = first + int(np.searchsorted(batch.time[first:last], due, "left"))
            yield first, last
            first = last

    def _forward(self, part: FrameBatch, senders: NDArray[np.int64], outcome: Outcome, at: int) -> None:
        """Forward one chunk."""
        words = part.head.view(np.uint64)
        to = words[:, 0] & MAC48
        group = (words[:, 0] & np.uint64(1)).astype(bool)
        by = words[:, 0] >> np.uint64(48) | words[:, 1] << np.uint64(32) >> np.uint64(16)
        destination, source = self.stations.ids(to), self.stations.ids(by)
        kinds = self.contents.of(part, group)
        context = senders[part.ingress].astype(np.uint64) << np.uint64(44) | kinds.astype(np.uint64) << np.uint64(24)
        inside = None
        if self.addresses is not None:
            roles, inside = self.addresses.of(part)
            context |= roles
        context = self._contexts.intern(context)
        if len(self._contexts) >> CONTEXT_BITS:
            raise Unsupported("more than half a million kinds of frames: use the event engine")
        ground = outcome.limbs[at : at + len(part)]
        run = Run(self, part, context, source, destination, ground, inside, at)
        chosen = settle(run)
        self._stamp(part, source, chosen)
        outcome.fill(at, chosen, run)

    def _stamp(self, part: FrameBatch, source: NDArray[np.int64], chosen: NDArray[np.int32]) -> None:
        """Note when sources were last heard, bridge by bridge (the last frame wins)."""
        numbers = self.tables.heard[chosen]
        present = np.flatnonzero(np.bincount(numbers)).tolist()
        sets = self.tables.heard_sets
        time = part.time + self.start_ns
        for slot in {slot for number in present for slot in sets[number]}:
            stamps = self.stations.stamps_of(*slot)
            if all(slot in sets[number] for number in present):
                stamps[source] = time
            else:
                which = np.array([slot in each for each in sets])[numbers]
                stamps[source[which]] = time[which]

    # -- classes ----------------------------------------------------------------------------------------------------

    def class_of(self, run: Run, keys: U64, at: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the class of every frame (numbers within the run) by its key, asking the rules where need be."""
        ids = self._keys.find(keys)
        absent = np.flatnonzero(ids == self._keys.missing)
        if len(absent):
            fresh, first = np.unique(keys[absent], return_index=True)
            order = np.argsort(first)
            self._ask(run, fresh[order], at[absent[first[order]]])
            ids = self._keys.find(keys)
        return self.tables.of_key[ids.view(np.int64)]

    def _ask(self, run: Run, keys: U64, examples: NDArray[np.int64]) -> None:
        """Ask the rules about new keys, each with one frame as example."""
        if self._picture() != self._fingerprint:
            raise Unsupported("the network changed after compile(): compile it again")
        made = []
        with self.prober.session():
            for frame in examples.tolist():
                made.append(self._answer(run.situation(frame), alike=True))
        self._keys.add(keys)
        self.tables.bind(made, self.answers)

    def _answer(self, situation: Situation, alike: bool) -> int:
        """Return the class for a situation; -1 when it must be told limb by limb."""
        if alike and any(self.stations.standings[s].breed == -2 for s in situation.standings):
            return -1
        try:
            answer = self.asker.answer(situation, alike)
        except NotAlike:
            return -1
        self.answers.append(answer)
        return len(self.answers) - 1

    def one_by_one(self, run: Run, at: int, key: int) -> int:
        """Return the class of a frame whose limbs are not like others."""
        situation = run.situation(at)
        full = (key, situation.ingress, *situation.limbs)
        if full not in self._one_by_one:
            with self.prober.session():
                self._one_by_one[full] = self._answer(situation, alike=False)
            self.tables.bind([], self.answers)
        return self._one_by_one[full]

    # -- where frames come from -------------------------------------------------------------------------------------

    def _ingress(self, batch: FrameBatch) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the sender's role for every device of the batch, and the limb of every frame's."""
        numbers = [self._number(path) for path in batch.devices]
        roles = np.array([self._sender(n) for n in numbers], np.int64)
        limbs = np.array([self.anatomy.limb_of[n] for n in numbers], np.int32)
        self.entry = np.array(numbers, np.int64)
        return roles, limbs[batch.ingress] if len(batch) else np.zeros(0, np.int32)

    def _number(self, path: str) -> int:
        try:
            return self.anatomy.number[self.network.device(path)]
        except KeyError as error:
            raise ValueError(f"the batch is sent on {path}: {error.args[0]}") from None

    def _sender(self, number: int) -> int:
        limb = int(self.anatomy.limb_of[number])
        role = (
            (1, int(self.anatomy.breed_of[limb]), int(self.anatomy.place_of[number])) if limb >= 0 else (0, number, 0)
        )
        return self._senders.setdefault(role, len(self._senders))

    # -- state ------------------------------------------------------------------------------------------------------

    def fdb(self) -> Table:
        """Return every bridge's forwarding database as it is now, by bridge, MAC and VLAN; `updated` in ns."""
        return self.stations.table(self.prober)

    def _check_times(self, batch: FrameBatch) -> None:
        if not len(batch):
            return
        back = np.flatnonzero(np.diff(batch.time) < 0)
        if len(back):
            raise ValueError(f"frame {back[0] + 1} is sent before frame {back[0]}: sort the batch by time")
        if batch.time[0] < self.now:
            raise ValueError(f"frame 0 is sent at {batch.time[0]} ns, but frames until {self.now} ns were forwarded")
        short = np.flatnonzero((batch.captured < batch.length) & (batch.captured < 64))
        if len(short):
            raise ValueError(f"frame {short[0]}: only {batch.captured[short[0]]} octets were captured, 64 are needed")
        self.ageing.check_horizon(int(batch.time[-1]))

    def _remember(self) -> Any:
        """Return what `_recall` puts back."""
        stations, count = self.stations, len(self.stations.macs)
        stamps = {slot: times[:count].copy() for slot, times in stations.stamps.items()}
        return stations.standing[:count].copy(), stations.limb[:count].copy(), stamps, self.ageing.remember()

    def _recall(self, kept: Any) -> None:
        """Go back to a moment: MACs met since then are known nowhere."""
        stations = self.stations
        standing, limb, stamps, ageing = kept
        stations.forget_from(len(standing))
        stations.standing[: len(standing)], stations.limb[: len(standing)] = standing, limb
        for slot, times in stations.stamps.items():
            times[: len(standing)] = stamps.get(slot, 0)
        self.ageing.recall(ageing)

    def _picture(self) -> int:
        """Return a number that differs when the configuration the rules read does."""
        network = self.network
        devices = [
            (id(d), d.up, d.active, d.mac, d.mtu, id(d.rx_handler), id(d.master), d.promiscuity, d.allmulti, len(d.mc))
            for d in network.devices()
        ]
        ports = [
            (
                p.state,
                p.quick,
                p.flood,
                p.hairpin,
                p.isolated,
                p.learning,
                p.locked,
                tuple(p.vlans.vids.items()),
                p.vlans.pvid,
            )
            for b in self.prober.bridges.values()
            for p in b.ports
        ]
        return hash((tuple(devices), tuple(ports)))


class ClassTables:
    """Answers as arrays, indexed by class number.

    Attributes:
        of_key: int32, class by key number; -1: one by one.
        standing, variable, changes, heard: as in `Answer`, heard as an index into heard_sets.
    """

    def __init__(self) -> None:
        self.of_key: NDArray[np.int32] = np.zeros(0, np.int32)
        self.standing: NDArray[np.int32] = np.zeros(0, np.int32)
        self.variable: NDArray[np.int32] = np.zeros(0, np.int32)
        self.changes: NDArray[np.bool_] = np.zeros(0, bool)
        self.heard: NDArray[np.int32] = np.zeros(0, np.int32)
        self.heard_sets: list[tuple[tuple[int, int], ...]] = []

    def bind(self, made: list[int], answers: list[Answer]) -> None:
        """Take in new keys' classes and new answers."""
        self.of_key = np.concatenate((self.of_key, np.array(made, np.int32)))
        fresh = answers[len(self.standing) :]
        for each in fresh:
            if each.heard not in self.heard_sets:
                self.heard_sets.append(each.heard)
        self.standing = np.concatenate((self.standing, np.array([a.standing for a in fresh], np.int32)))
        self.variable = np.concatenate((self.variable, np.array([a.variable for a in fresh], np.int32)))
        self.changes = np.concatenate((self.changes, np.array([a.changes for a in fresh], bool)))
        heard = [self.heard_sets.index(a.heard) for a in fresh]
        self.heard = np.concatenate((self.heard, np.array(heard, np.int32)))


class Run:
    """One chunk on its way: what the settling of order needs to know of it.

    Attributes:
        context, source, destination: per frame: what it is beside its MACs, and their ids.
        limbs: int32 (variables, n): as in `Situation`; 1 and 2 are as of the moment a frame was settled.
    """

    def __init__(
        self, pipeline: Pipeline, part: FrameBatch, context: U64, source: NDArray[np.int64],
        destination: NDArray[np.int64], ground: NDArray[np.int32], inside: NDArray[np.int32] | None, at: int,
    ) -> None:  # fmt: skip
        self.pipeline = pipeline
        self.stations = pipeline.stations
        self.part = part
        self.at = at
        self.context = context << np.uint64(2 * STANDING_BITS + PATTERN_BITS)
        self.source, self.destination = source, destination
        self.limbs: NDArray[np.int32] = np.empty((5 if inside is not None else 3, len(part)), np.int32)
        self.limbs[0] = ground
        if inside is not None:
            self.limbs[3:] = inside

    def keys(self, at: NDArray[np.int64]) -> U64:
        """Return the class keys of frames as the stations stand now, and note their limbs."""
        stations, (source, destination) = self.stations, (self.source[at], self.destination[at])
        limbs = self.limbs
        limbs[1, at], limbs[2, at] = stations.limb[source], stations.limb[destination]
        key = self.context[at]
        key |= stations.standing[source].astype(np.uint64) << np.uint64(STANDING_BITS + PATTERN_BITS)
        key |= stations.standing[destination].astype(np.uint64) << np.uint64(PATTERN_BITS)
        key |= (source == destination).astype(np.uint64)
        here = limbs[:, at]
        bit = 1
        for a in range(len(limbs)):
            for b in range(a):
                key |= (here[a] == here[b]).astype(np.uint64) << np.uint64(bit)
                bit += 1
        return key

    def classes(self, at: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the class of each frame as the stations stand now."""
        if len(self.stations.standings) >> STANDING_BITS:
            raise Unsupported("more than 32,768 standings of MACs: use the event engine")
        return self.pipeline.class_of(self, self.keys(at), at)

    def apply(self, at: NDArray[np.int64], chosen: NDArray[np.int32]) -> None:
        """Give the sources of frames (each another) their new standing."""
        tables, stations = self.pipeline.tables, self.stations
        variable = tables.variable[chosen]
        limb = self.limbs[np.clip(variable, 0, len(self.limbs) - 1), at]
        limb = np.where(variable >= CERTAIN, variable - CERTAIN, np.where(variable == NOWHERE, -1, limb))
        keep = variable == KEEP
        source = self.source[at]
        stations.limb[source] = np.where(keep, stations.limb[source], limb)
        stations.standing[source] = tables.standing[chosen]

    def alone(self, at: int) -> int:
        """Settle one frame by itself, whatever it is; returns its class."""
        one = np.array([at])
        key = self.keys(one)
        chosen = int(self.pipeline.class_of(self, key, one)[0])
        if chosen < 0:
            chosen = self.pipeline.one_by_one(self, at, int(key[0]))
        answer = self.pipeline.answers[chosen]
        if answer.changes:
            source = int(self.source[at])
            limbs = tuple(self.limbs[:, at].tolist())
            if answer.variable != KEEP:
                self.stations.limb[source] = limb_in(answer.variable, limbs)
            self.stations.standing[source] = answer.standing
        return chosen

    def situation(self, at: int) -> Situation:
        """Return one frame in the flesh."""
        pipeline, stations = self.pipeline, self.stations
        octets = self.part.octets(at)
        length = int(self.part.length[at])
        octets += bytes(length - len(octets))
        kind = int(pipeline._contexts.keys[int(self.context[at]) >> 2 * STANDING_BITS + PATTERN_BITS]) >> 24 & 0xFFFFF
        stretch = 0 if pipeline.contents.exact[kind] else pipeline.contents.stretch(length)
        standings = (int(stations.standing[self.source[at]]), int(stations.standing[self.destination[at]]))
        ingress = int(pipeline.entry[self.part.ingress[at]])
        return Situation(ingress, Frame.parse(octets), tuple(self.limbs[:, at].tolist()), standings, stretch)
