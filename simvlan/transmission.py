"""How frames leave: the transmit pipeline, queueing disciplines, and cables with a delay.

Mirrors __dev_queue_xmit, dev_hard_start_xmit and the queueing order of net/sched; the disciplines are in `qdisc/`,
the cables in `links.py`. Here too is where a storm with delay ends: frames under way are counted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from simvlan import segmentation
from simvlan.clock import Clock
from simvlan.devices.device import Device
from simvlan.devices.veth import Veth
from simvlan.frame import Frame
from simvlan.lifecycle import Lifecycle
from simvlan.verdict import Drop, Emit, Verdict, Way, Why
from simvlan.workers import Workers

if TYPE_CHECKING:
    from simvlan.network import Tracer

RECURSION_LIMIT = 8
"""XMIT_RECURSION_LIMIT: how many transmits may be around one."""


FRAME_STEPS, DEVICE_STEPS = 1_000, 16
"""Steps that a frame and its copies may take: so many, and so many for each device there is.

A step is one time through the backlog, the work queue, a queueing discipline or a cable. Without a loop a copy is at
every device once, or once in each of a few VLANs, so that this is far from what any loop-free network needs.
"""

ANSWERS, ANSWERS_PER_PAIR, STORM_LIMIT = 8, 4, 200_000
"""The same for a frame with everything it brings about, answers and their answers: as many steps as so many frames may
take, and so many for each pair of devices (everybody may answer a broadcast, and ask for everybody's address), at most
STORM_LIMIT."""


class Journey:
    """One sent frame with all its copies: how many more steps may be done for it before it is called a storm."""

    __slots__ = ("family", "left")

    def __init__(self, left: int, family: list[int]) -> None:
        self.left = left
        self.family = family
        """Steps left to everything that was sent because of the first frame, in one shared item; empty: nobody's."""


NOBODY = Journey(0, [])
"""Between two events no frame is carried."""


Queued: TypeAlias = tuple[Device, Frame, int, Journey]
"""A frame in the backlog or the work queue: for whom, its id for the tracer, the journey it is part of."""


class Transmission(Lifecycle):
    """The sending half of a network."""

    clock: Clock
    storms: Counter[str]
    _tracer: Tracer | None
    _why: Why
    _backlog: deque[Queued]
    workers: Workers
    _polls: deque[Veth | None]
    """Devices to be polled, in order; None stands for the backlog where it comes before one of them."""
    _depth: int
    _draining: bool
    _fid: int
    _cause: int
    _journey: Journey
    allowance: int
    """Steps that one journey may take in a network of this size."""
    family_allowance: int
    """The same with everything it brings about."""

    @abstractmethod
    def receive(self, dev: Device, frame: Frame) -> None:
        """Take a frame through one round of a device's receive path."""

    @abstractmethod
    def drain(self) -> None:
        """Run the backlog and the work queue."""

    @abstractmethod
    def _carry(self, verdict: Verdict, dev: Device, frame: Frame, way: str) -> Drop | None: ...

    @abstractmethod
    def _new_fid(self, parent: int = 0) -> int: ...

    @abstractmethod
    def _dropped(self, dev: Device, way: str, frame: Frame, drop: Drop) -> Drop: ...

    @abstractmethod
    def _trace(self, dev: Device, way: str, frame: Frame, drop: Drop | None, emits: Sequence[Emit] = ()) -> None: ...

    def send(self, dev: Device, frame: Frame) -> Drop | None:
        """Send as a program would: transmit, then let the softirq run what it caused."""
        self._journey = Journey(self.allowance, [self.family_allowance])
        if self._tracer is not None:
            self._fid = self._new_fid()
        drop = self.transmit(dev, dev.from_socket(frame) if dev.stacked else frame)
        if self._backlog or self.workers.ready or self._polls:
            self.drain()
        else:
            self._journey = NOBODY
        return drop

    def originate(self, dev: Device, frame: Frame) -> Drop | None:
        """Send a frame that a protocol made while it handled another one (or a timer)."""
        mine = self._journey
        self._journey = Journey(self.allowance, mine.family or [self.family_allowance])
        outer = self._fid
        if self._tracer is not None:
            self._fid = self._new_fid(outer)
        drop = self.transmit(dev, frame)
        self._fid, self._journey = outer, mine
        return drop

    def transmit(self, dev: Device, frame: Frame) -> Drop | None:
        """Send through a device (__dev_queue_xmit); the drop when the frame was refused, None when it went."""
        wire = dev.wire
        if (
            wire is not None
            and dev.up
            and dev.active
            and not (frame.accel or dev.qdisc or dev.taps or wire.ideal or frame.csum > 1)
        ):
            # What the rest of this method comes to, sooner; below, what that comes to for a cable that only delays.
            if not wire.constant_ns or self._tracer is not None:
                return self._onto_cable(dev, frame)
            dev.tx_packets += 1
            dev.tx_bytes += 14 + len(frame.payload)
            wire.sent += 1
            clock = self.clock
            clock.post(clock.now + wire.constant_ns, partial(self._arrive_plain, dev, frame, self._journey))
            return None
        if not dev.up:
            self._dropped(dev, "tx", frame, Drop.DEV_DOWN)
            return None if self._depth else Drop.DEV_DOWN  # a device above is told nothing (noop_enqueue)
        if not dev.active:
            self._dropped(dev, "tx", frame, Drop.NO_CARRIER)
            return None  # the noop queue: the sender is told nothing; 6.1 counts nothing, later kernels one tx_dropped
        if self._depth > RECURSION_LIMIT:
            dev.tx_dropped += 1
            return self._dropped(dev, "tx", frame, Drop.RECURSION_LIMIT)
        if frame.accel and (not dev.vlan_offload or "tx-vlan-offload" in dev.features_off):
            frame = frame.push_inband()
        if dev.qdisc is not None:
            return self._enqueue(dev, dev.qdisc, frame)
        return self._xmit(dev, frame)

    def _enqueue(self, dev: Device, link: Any, frame: Frame) -> Drop | None:
        """Let a queueing discipline say when the frame leaves, how often, or never; then its child, if it has one."""
        if frame.csum > 1 and link.cuts(frame):
            self._each(segmentation.segments(frame), lambda one: self._enqueue(dev, link, one))
            return None
        answer = link.admit(frame, self.clock.now)
        if isinstance(answer, Drop):
            link.dropped += 1
            self._dropped(dev, "tx", frame, answer)
            return None if answer is Drop.LINK_LOSS else answer  # the sender does not learn of a loss
        mine = self._copied(dev, frame, len(answer))
        for depart_ns, sent in answer:
            if self._tracer is not None and len(answer) > 1:
                self._fid = self._new_fid(mine)
            if depart_ns > self.clock.now:
                self._fly(depart_ns, partial(self._dequeue, dev, link, link.epoch, sent), dev, sent)
            elif link.child is not None:
                self._enqueue(dev, link.child, sent)
            else:
                self._xmit(dev, sent)
        self._fid = mine
        return None

    def _each(self, frames: list[Frame], send: Callable[[Frame], object]) -> None:
        """Send what one frame was cut into; each is a frame of its own for the tracer."""
        mine = self._fid
        for frame in frames:
            if self._tracer is not None:
                self._fid = self._new_fid(mine)
            send(frame)
        self._fid = mine

    def _copied(self, dev: Device, frame: Frame, copies: int) -> int:
        """Return the frame's id; when it leaves more than once, tell the tracer that it ends here in copies."""
        if copies > 1 and self._tracer is not None:
            self._trace(dev, "tx", frame, None, [(Way.TX, dev, frame)] * copies)
        return self._fid

    def _dequeue(self, dev: Device, link: Any, epoch: int, frame: Frame) -> None:
        if not dev.active:
            self._dropped(dev, "tx", frame, Drop.DEV_DOWN if not dev.up else Drop.NO_CARRIER)
        elif link.epoch != epoch:
            self._dropped(dev, "tx", frame, Drop.QDISC_PURGED)
        elif link.child is not None:
            self._enqueue(dev, link.child, frame)
        else:
            self._xmit(dev, frame)

    def _fly(self, time_ns: int, landing: Callable[[], None], dev: Device, frame: Frame) -> None:
        """Let a frame be under way until a time."""
        self.clock.post(time_ns, partial(self._land, landing, dev, frame, self._fid, self._journey))

    def _land(self, landing: Callable[[], None], dev: Device, frame: Frame, fid: int, journey: Journey) -> None:
        self._fid, self._journey = fid, journey
        if self._too_far(journey):
            self._give_up(dev, "tx", frame)
            return
        landing()
        if self._polls and not self._backlog:  # what else is due now is polled with it (net_tx_action comes first)
            self.clock.post(self.clock.now, self.drain)
        else:
            self.drain()

    def _depart(self) -> Journey:
        """Begin the journey of a frame that nothing in this network brought about."""
        return Journey(self.allowance, [self.family_allowance])

    def _recount(self) -> None:
        self.allowance = FRAME_STEPS + DEVICE_STEPS * self.population
        self.family_allowance = min(STORM_LIMIT, ANSWERS * self.allowance + ANSWERS_PER_PAIR * self.population**2)

    def _too_far(self, journey: Journey) -> bool:
        """Count a step; whether the frame has become a storm."""
        journey.left -= 1
        journey.family[0] -= 1
        return journey.left < 0 or journey.family[0] < 0

    def _give_up(self, dev: Device, way: str, frame: Frame) -> None:
        self.storms[dev.path] += 1
        self._dropped(dev, way, frame, Drop.STORM)

    def _onto_cable(self, dev: Device, frame: Frame) -> Drop | None:
        """Count the frame as sent; it arrives when the cable says, perhaps twice, perhaps never.

        A modelled cable carries no super-packet: the device cuts it, as one with tx-tcp-segmentation does.
        """
        if frame.csum > 1 and not dev.wire.outside:
            self._each(segmentation.segments(frame), lambda one: self._onto_cable(dev, one))
            return None
        dev.tx_packets += 1
        dev.tx_bytes += 14 + len(frame.payload)
        answer = dev.wire.admit(frame, self.clock.now, self._why)
        if isinstance(answer, Drop):
            dev.wire.dropped += 1
            self._dropped(dev, "tx", frame, answer)
            return None
        mine = self._copied(dev, frame, len(answer))
        for arrival_ns, sent in answer:
            if self._tracer is not None and len(answer) > 1:
                self._fid = self._new_fid(mine)
            if isinstance(arrival_ns, Drop):
                self._dropped(dev, "tx", sent, arrival_ns)
            elif arrival_ns > self.clock.now:
                self._fly(arrival_ns, partial(self._arrive, dev, sent), dev, sent)
            else:
                self._arrive(dev, sent)
        self._fid = mine
        return None

    def _arrive_plain(self, dev: Device, frame: Frame, journey: Journey) -> None:
        """Do what `_land` and `_arrive` do, for a frame on a cable that only delays: nothing else is queued then."""
        self._journey = journey
        family = journey.family
        journey.left -= 1
        family[0] -= 1
        if journey.left < 0 or family[0] < 0:  # _too_far
            self._give_up(dev, "tx", frame)
        elif not dev.carrier or self._tracer is not None or self._backlog or self._draining:
            self._arrive(dev, frame)
        else:
            verdict = dev.tx(frame, self.clock.now, None)
            if verdict.__class__ is not Drop:
                self._draining = True
                try:
                    ((_, peer, sent),) = verdict  # type: ignore[misc]  # a veth hands over one frame
                    self.receive(peer, sent)
                finally:
                    self._draining = False
        if self._backlog or self.workers.ready or self._polls:
            self.drain()
        self._journey = NOBODY

    def _arrive(self, dev: Device, frame: Frame) -> None:
        """Let a frame reach the far end of the cable, unless somebody pulled it."""
        if dev.carrier:
            self._carry(dev.tx(frame, self.clock.now, self._why), dev, frame, "tx")
        else:
            self._dropped(dev, "tx", frame, Drop.NO_CARRIER)

    def _xmit(self, dev: Device, frame: Frame) -> Drop | None:
        """Show the frame to packet sockets, let the driver decide, count (dev_hard_start_xmit).

        Before that a super-packet is cut for a driver that takes none (validate_xmit_skb).
        """
        if frame.csum > 1 and not segmentation.taken_whole(frame, dev):
            self._each(segmentation.segments(frame), lambda one: self._xmit(dev, one))
            return None
        if dev.taps:
            for tap in dev.taps:
                tap(self.clock.now, dev, frame, True)
        if dev.wire is not None and not dev.wire.ideal:
            return self._onto_cable(dev, frame)
        self._depth += 1
        verdict = dev.tx(frame, self.clock.now, self._why)
        drop = self._carry(verdict, dev, frame, "tx")
        self._depth -= 1
        if drop is None or not (dev.stacked or verdict.__class__ is Drop):
            dev.tx_packets += 1
            dev.tx_bytes += 14 + len(frame.payload)
            return None
        dev.tx_dropped += 1
        return drop
