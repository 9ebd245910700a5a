"""`compile(lab)` and `Pipeline.forward`: where every frame of a batch goes, exactly as `walk` would say one at a time.

A frame's class is found by array operations; what becomes of a class was asked of the scalar rules once (`classes`).
Frames are taken in order where order matters: a frame whose source is new or moved changes the answer for later frames
from or to that address, and only for those (`settle`). Between frames time passes: a bridge's garbage collector
runs when due (`ageing`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.ageing import Ageing
from simvlan.engines.batch.anatomy import Anatomy, six
from simvlan.engines.batch.apart import Apart
from simvlan.engines.batch.classes import Answer, Classes, NotAlike, Situation
from simvlan.engines.batch.contents import Contents
from simvlan.engines.batch.frames import FrameBatch
from simvlan.engines.batch.given import unknown
from simvlan.engines.batch.inside import Addresses
from simvlan.engines.batch.interner import Interner
from simvlan.engines.batch.limits import check, check_cables, check_sender
from simvlan.engines.batch.outcome import Outcome
from simvlan.engines.batch.probe import Prober
from simvlan.engines.batch.rows import RowBook
from simvlan.engines.batch.run import Run
from simvlan.engines.batch.settle import settle
from simvlan.engines.batch.stations import Stations
from simvlan.engines.batch.tables import ALONE, CHANGING, ClassTables
from simvlan.engines.batch.times import Times, simulate
from simvlan.errors import Unsupported
from simvlan.table import Table

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Network

CHUNK = 32_768
"""Frames taken at a time: temporaries then stay in the second-level cache."""
MAC48 = np.uint64((1 << 48) - 1)
WORD32 = np.uint64(0xFFFF_FFFF)
SENDER_SHIFT, KIND_SHIFT = np.uint64(44), np.uint64(24)


def _compiled(engine: str) -> Any:
    """Return the module of compiled loops, or None for array operations.

    Raises:
        Unsupported: Numba was asked for and is not installed.
        ValueError: no such engine.
    """
    if engine not in ("auto", "numpy", "numba"):
        raise ValueError(f"engine={engine!r}: auto, numpy or numba is expected")
    if engine == "numpy":
        return None
    try:
        from simvlan.engines.batch import compiled
    except ImportError:
        if engine == "numba":
            raise Unsupported("compiled loops need Numba: pip install 'simvlan[fast]', or engine='numpy'") from None
        return None
    return compiled


def _heard(dev: Device) -> tuple[int, ...]:
    """What a device listens to, and whether its namespace takes IPv6 there."""
    return len(dev.mc), hash(getattr(dev, "filter", None)), six(dev)


def _in_order(times: NDArray[np.int64]) -> bool:
    """Whether times never run back."""
    return not (times[1:] < times[:-1]).any()


class Pipeline:
    """A network as tables. It keeps its own forwarding databases; the lab it came from does not change.

    Attributes:
        start_ns: the lab's time when it was compiled; a batch's times count from here.
        now: until when frames have been forwarded, ns from the start.
    """

    def __init__(self, network: Network, engine: str = "auto", threads: int | None = None) -> None:
        check(network)
        self.compiled = _compiled(engine)
        self.threads = threads or os.cpu_count() or 1
        self.network = network
        self.start_ns = network.now
        self.now = 0
        self.anatomy = Anatomy(network)
        self.paths = tuple(dev.path for dev in self.anatomy.devices)
        self.prober = Prober(network, self.anatomy)
        self.stations = Stations(self.anatomy, self.prober)
        self.contents = Contents(self.anatomy)
        self.addresses = Addresses(self.anatomy) if self.contents.deep else None
        self.ageing = Ageing(self)
        self.asker = Classes(self.anatomy, self.prober, self.stations)
        self.answers: list[Answer] = []
        self.rows = RowBook(self.anatomy)
        self.tables = ClassTables(4 if self.addresses is None else 11)
        self.apart = Apart(2 if self.addresses is None else 4)
        self.entry: NDArray[np.int64] = np.zeros(0, np.int64)
        """The device numbers of the devices of the batch being forwarded."""
        self._devices: tuple[str, ...] = ()
        self._roles: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._borrowed: ExitStack | None = None
        self._contexts = Interner()
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
        self._check(batch)
        roles, limbs = self._senders_of(batch)
        kept = self._remember()
        outcome = Outcome.empty(self, batch)
        try:
            with ExitStack() as self._borrowed:
                if self.compiled is None:
                    for first, last in self._chunks(batch):
                        self.take(batch[first:last], roles, limbs, outcome, slice(first, last))
                else:
                    self.compiled.forward(self, batch, roles, limbs, outcome)
        except BaseException:
            self._recall(kept)
            raise
        if len(batch):
            self.now = int(batch.time[-1])
        return outcome

    def simulate(self, batch: FrameBatch) -> Times:
        """Say when every copy of every frame crosses which cable and arrives, exactly as the event engine would.

        Stations must be known already: frames that would teach a bridge something have no fixed way while others are
        under way. Nothing is learned here, and no time passes for `forward`. A frame sent at the nanosecond at which
        another arrives somewhere is sent after that.

        Raises:
            Unsupported: a cable loses, delays or reorders at random; traffic that is not feed-forward; a source that is
                new or moves; says which.
        """
        return simulate(self, batch)

    def settled(self, batch: FrameBatch) -> Outcome:
        """Return the classes of a batch that changes nothing; for `simulate`."""
        check_cables(self)
        kept, now = self._remember(), self.now
        try:
            outcome = self.forward(batch)
        finally:
            self._recall(kept)
            self.now = now
        changes = self.tables.changes[outcome.classes]
        if changes.any():
            at = int(np.argmax(changes))
            raise Unsupported(
                f"frame {at}: a bridge learns from it where its source is, so the ways of others depend on when it "
                "gets there: forward() what makes the stations known first, or use the event engine"
            )
        return outcome

    def _chunks(self, batch: FrameBatch) -> Iterator[tuple[int, int]]:
        """Yield (first, last), cut where a garbage collector runs."""
        first = 0
        while first < len(batch):
            due = self.ageing.run_until(int(batch.time[first]))
            last = min(first + CHUNK, len(batch))
            if due <= int(batch.time[last - 1]):
                last = first + int(np.searchsorted(batch.time[first:last], due, "left"))
            yield first, last
            first = last

    def take(
        self, part: FrameBatch, roles: NDArray[np.uint64], limbs: NDArray[np.int32], outcome: Outcome, at: slice
    ) -> None:
        """Forward one chunk: *roles* and *limbs* are those of the devices it is sent on."""
        words = part.head.view(np.uint64)
        first, second = words[:, 0].copy(), words[:, 1].copy()
        source = first >> np.uint64(48)
        source |= (second & WORD32) << np.uint64(16)
        first &= MAC48
        by, to = self.stations.ids(source), self.stations.ids(first)
        places, ingress = outcome.places[:, at], part.ingress.astype(np.intp)
        limbs.take(ingress, out=places[0], mode="clip")
        kind = self.contents.uniform(part, second)
        if kind is None:
            context = self.context(part, roles, places)
        else:
            context = self.contexts_of(kind, roles).take(ingress)
        self.make_room()
        run = Run(self, part, context, by, to, places, outcome.classes[at])
        settle(run)
        self.stamp(part, by, run)

    def context(self, part: FrameBatch, roles: NDArray[np.uint64], places: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return a number for where and what each frame is, its MACs aside."""
        group = (part.head[:, 0] & 1).astype(bool)
        keys = roles.take(part.ingress, mode="clip")
        keys |= self.contents.of(part, group).astype(np.uint64) << KIND_SHIFT
        if self.addresses is not None:
            inside, places[3:] = self.addresses.of(part)
            keys |= inside
        return self._contexts.intern(keys).view(np.int64)

    def contexts_of(self, kind: int, roles: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the context of frames of one kind, by device."""
        return self._contexts.intern(roles | np.uint64(kind) << KIND_SHIFT).view(np.int64)

    def kind_of_context(self, context: int) -> int:
        """Return the kind of content in a context."""
        return int(self._contexts.keys[context]) >> int(KIND_SHIFT) & 0xFFFFF

    def stamp(self, part: FrameBatch, source: NDArray[np.int64], run: Run) -> None:
        """Note when sources were last heard, bridge by bridge (the last frame wins)."""
        time, starts, rows = part.time + self.start_ns, self.tables.starts, self.tables.rows
        if run.refreshed >= 0 and not run.refreshed & CHANGING:
            for row in rows[starts[run.refreshed] : starts[run.refreshed + 1]].tolist():
                self.stations.stamps[row][source] = time
            return
        numbers = self.tables.heard.take(run.chosen)
        first, width = starts.take(numbers), np.diff(starts).take(numbers)
        which = np.repeat(np.arange(len(numbers)), width)  # frame by frame all its rows: later ones win
        turn = np.arange(len(which)) - np.repeat(np.cumsum(width) - width, width)
        self.stations.stamps[rows[first[which] + turn], source[which]] = time[which]

    # -- classes ----------------------------------------------------------------------------------------------------

    def ask(self, run: Run, keys: NDArray[np.int64], examples: NDArray[np.int64]) -> None:
        """Ask the rules about new keys, each with one frame as example."""
        self._borrow()
        self.tables.add(keys, [self._answer(run.situation(frame), alike=True) for frame in examples.tolist()])
        self._take_in()

    def ask_apart(self, run: Run, at: int) -> int:
        """Return the class of a frame whose limbs are not like others, made for its own."""
        self._borrow()
        number = self._answer(run.situation(at), alike=False)
        self._take_in()
        return number

    def _answer(self, situation: Situation, alike: bool) -> int:
        """Return the class for a situation; ALONE when it must be told limb by limb."""
        if alike and any(self.stations.standings[s].breed == -2 for s in situation.standings):
            return ALONE
        try:
            answer = self.asker.answer(situation, alike)
        except NotAlike:
            return ALONE
        self.answers.append(answer)
        return len(self.answers) - 1

    def make_room(self) -> None:
        """Let the tables have an entry for everything met so far."""
        self.tables.make_room(len(self._contexts), len(self.stations.standings))

    def _take_in(self) -> None:
        """Let the tables know of new answers."""
        fresh = self.answers[len(self.tables.standing) :]
        self.tables.take_in(fresh, [tuple(self.stations.slot(*slot) for slot in answer.heard) for answer in fresh])
        self.make_room()

    def _borrow(self) -> None:
        """Borrow the network for the rest of this batch, if it is still the one compiled."""
        assert self._borrowed is not None
        if not self.prober.lent:
            if self._picture() != self._fingerprint:
                raise Unsupported("the network changed after compile(): compile it again")
            self._borrowed.enter_context(self.prober.session())

    # -- where frames come from -------------------------------------------------------------------------------------

    def _senders_of(self, batch: FrameBatch) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """Return the role and the limb of every device the batch is sent on."""
        if batch.devices != self._devices:
            self.entry = np.array([self._number(path) for path in batch.devices], np.int64)
            self._roles = np.array([self._sender(n) for n in self.entry.tolist()], np.uint64) << SENDER_SHIFT
            self._devices = batch.devices
        return self._roles, self.anatomy.limb_of[self.entry]

    def _number(self, path: str) -> int:
        try:
            dev = self.network.device(path)
        except KeyError as error:
            near = unknown("device", path, self.paths)
            raise ValueError(f"the batch is sent on {path}: {error.args[0]} ({near})") from None
        check_sender(dev)
        return self.anatomy.number[dev]

    def _sender(self, number: int) -> int:
        limb = int(self.anatomy.limb_of[number])
        role = (
            (1, int(self.anatomy.breed_of[limb]), int(self.anatomy.place_of[number])) if limb >= 0 else (0, number, 0)
        )
        return self._senders.setdefault(role, len(self._senders))

    # -- state ------------------------------------------------------------------------------------------------------

    def fdb(self) -> Table:
        """Return every bridge's forwarding database as it is now, by bridge, MAC and VLAN; `updated` in ns."""
        return self.stations.table()

    def _check(self, batch: FrameBatch) -> None:
        """Refuse what is no batch, times that run back and frames of which too little is known."""
        if not isinstance(batch, FrameBatch):
            raise TypeError(f"a {type(batch).__name__} is no FrameBatch: make one with FrameBatch.from_octets")
        if not len(batch):
            return
        if not batch.devices:
            raise ValueError("the batch says no device to send on: use batch.sent_on(...)")
        if not (self.compiled.kernels.in_order(batch.time) if self.compiled else _in_order(batch.time)):
            at = int(np.argmax(batch.time[1:] < batch.time[:-1]))
            raise ValueError(f"frame {at + 1} is sent before frame {at}: sort the batch by time")
        if batch.time[0] < self.now:
            raise ValueError(f"frame 0 is sent at {batch.time[0]} ns, but frames until {self.now} ns were forwarded")
        short = (
            batch.captured < np.minimum(batch.length, 64) if batch.captured is not batch.length else np.zeros(0, bool)
        )
        if short.any():
            at = int(np.argmax(short))
            raise ValueError(f"frame {at}: only {batch.captured[at]} octets were captured, 64 are needed")
        self.ageing.check_horizon(int(batch.time[-1]))

    def _remember(self) -> Any:
        """Return what `_recall` puts back."""
        stations, count = self.stations, len(self.stations.macs)
        return stations.code[:count].copy(), stations.stamps[:, :count].copy(), self.ageing.remember()

    def _recall(self, kept: Any) -> None:
        """Go back to a moment: MACs met since then are known nowhere."""
        stations = self.stations
        code, stamps, ageing = kept
        stations.forget_from(len(code))
        stations.code[: len(code)] = code
        stations.stamps[: len(stamps), : len(code)] = stamps
        self.ageing.recall(ageing)

    def _picture(self) -> int:
        """Return a number that differs when the configuration the rules read does."""
        network = self.network
        devices = [
            (id(d), d.up, d.active, d.mac, d.mtu, id(d.rx_handler), id(d.master), d.promiscuity, d.allmulti, *_heard(d))
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
