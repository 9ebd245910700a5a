"""How frames leave: the transmit pipeline, queueing disciplines, and cables with a delay.

Mirrors __dev_queue_xmit, dev_hard_start_xmit and the queueing order of net/sched; the disciplines are in `qdisc.py`,
the cables in `links.py`. Here too is where a storm with delay ends: frames under way are counted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from simvlan.clock import Clock
from simvlan.devices.device import Device
from simvlan.frame import Frame
from simvlan.lifecycle import Lifecycle
from simvlan.verdict import Drop, Emit, Verdict, Way, Why

if TYPE_CHECKING:
    from simvlan.network import Tracer

RECURSION_LIMIT = 8
"""XMIT_RECURSION_LIMIT: how many transmits may be inside each other."""


IN_FLIGHT_LIMIT = 100_000
"""Frames that may be under way in queues and cables at once before more are declared a storm."""

CROSSING_LIMIT = 1_000
"""Cables and queues one frame may cross before it is taken for one that circles in a loop."""


class Transmission(Lifecycle):
    """The sending half of a network."""

    clock: Clock
    storms: Counter[str]
    _tracer: Tracer | None
    _why: Why
    _backlog: deque[tuple[Device, Frame, int]]
    _work: deque[tuple[Device, Frame, int]]
    _depth: int
    _draining: bool
    _fid: int
    _flying: int
    _hops: int
    _stormy: bool

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
        self._hops = 0
        if self._tracer is not None:
            self._fid = self._new_fid()
        drop = self.transmit(dev, frame)
        self.drain()
        return drop

    def originate(self, dev: Device, frame: Frame) -> Drop | None:
        """Send a frame that a protocol made while it handled another one (or a timer)."""
        crossed, self._hops = self._hops, 0
        outer = self._fid
        if self._tracer is not None:
            self._fid = self._new_fid(outer)
        drop = self.transmit(dev, frame)
        self._fid, self._hops = outer, crossed
        return drop

    def transmit(self, dev: Device, frame: Frame) -> Drop | None:
        """Send through a device (__dev_queue_xmit); the drop when the frame was refused, None when it went."""
        wire = dev.wire
        plain = not (dev.qdisc or frame.accel or dev.taps)
        if wire is not None and plain and not wire.ideal and dev.up and dev.carrier:
            return self._onto_cable(dev, frame)  # what the rest of this method comes to, sooner
        if not dev.up:
            self._dropped(dev, "tx", frame, Drop.DEV_DOWN)
            return None if self._depth else Drop.DEV_DOWN  # a device above is told nothing (noop_enqueue)
        if not dev.carrier:
            self._dropped(dev, "tx", frame, Drop.NO_CARRIER)
            return None  # the noop queue: the sender is told nothing; 6.1 counts nothing, later kernels one tx_dropped
        if self._depth >= RECURSION_LIMIT:
            return self._dropped(dev, "tx", frame, Drop.RECURSION_LIMIT)
        if frame.accel and not dev.vlan_offload:
            frame = frame.push_inband()
        if dev.qdisc is not None:
            return self._enqueue(dev, dev.qdisc, frame)
        return self._xmit(dev, frame)

    def _enqueue(self, dev: Device, link: Any, frame: Frame) -> Drop | None:
        """Let a queueing discipline say when the frame leaves, how often, or never; then its child, if it has one."""
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

    def _copied(self, dev: Device, frame: Frame, copies: int) -> int:
        """Return the frame's id; when it leaves more than once, tell the tracer that it ends here in copies."""
        if copies > 1 and self._tracer is not None:
            self._trace(dev, "tx", frame, None, [(Way.TX, dev, frame)] * copies)
        return self._fid

    def _dequeue(self, dev: Device, link: Any, epoch: int, frame: Frame) -> None:
        if not (dev.up and dev.carrier):
            self._dropped(dev, "tx", frame, Drop.DEV_DOWN if not dev.up else Drop.NO_CARRIER)
        elif link.epoch != epoch:
            self._dropped(dev, "tx", frame, Drop.QDISC_PURGED)
        elif link.child is not None:
            self._enqueue(dev, link.child, frame)
        else:
            self._xmit(dev, frame)

    def _fly(self, time_ns: int, landing: Callable[[], None], dev: Device, frame: Frame) -> None:
        """Let a frame be under way until a time, unless it is part of a storm."""
        if self._hops >= CROSSING_LIMIT or self._flying >= IN_FLIGHT_LIMIT:
            self._stormy = self._stormy or self._flying >= IN_FLIGHT_LIMIT
            self._give_up(dev, "tx", frame)
            return
        self._flying += 1
        self.clock.at(time_ns, partial(self._land, landing, dev, frame, self._fid, self._hops + 1))

    def _land(self, landing: Callable[[], None], dev: Device, frame: Frame, fid: int, hops: int) -> None:
        self._flying -= 1
        self._fid, self._hops = fid, hops
        if self._stormy:
            self._calm_down(dev, frame)
            return
        landing()
        self.drain()

    def _calm_down(self, dev: Device, frame: Frame) -> None:
        """Give up whatever is under way until nothing is: only then has the storm passed."""
        self._stormy = self._flying > 0
        self._give_up(dev, "rx", frame)

    def _give_up(self, dev: Device, way: str, frame: Frame) -> None:
        self.storms[dev.path] += 1
        self._dropped(dev, way, frame, Drop.STORM)

    def _onto_cable(self, dev: Device, frame: Frame) -> Drop | None:
        """Count the frame as sent; it arrives when the cable says, perhaps twice, perhaps never."""
        dev.tx_packets += 1
        dev.tx_bytes += 14 + len(frame.payload)
        delay_ns = dev.wire.constant_ns
        if delay_ns and self._tracer is None and self._flying < IN_FLIGHT_LIMIT and self._hops < CROSSING_LIMIT:
            self._flying += 1
            dev.wire.sent += 1
            self.clock.at(self.clock.now + delay_ns, partial(self._arrive_plain, dev, frame, self._hops + 1))
            return None
        answer = dev.wire.admit(frame, self.clock.now)
        if isinstance(answer, Drop):
            dev.wire.dropped += 1
            self._dropped(dev, "tx", frame, answer)
            return None
        mine = self._copied(dev, frame, len(answer))
        for arrival_ns, sent in answer:
            if self._tracer is not None and len(answer) > 1:
                self._fid = self._new_fid(mine)
            if arrival_ns > self.clock.now:
                self._fly(arrival_ns, partial(self._arrive, dev, sent), dev, sent)
            else:
                self._arrive(dev, sent)
        self._fid = mine
        return None

    def _arrive_plain(self, dev: Device, frame: Frame, hops: int) -> None:
        """Do what `_land` and `_arrive` do, for a frame on a cable that only delays: nothing else is queued then."""
        self._flying -= 1
        self._hops = hops
        if self._stormy:
            self._calm_down(dev, frame)
        elif not dev.carrier or self._tracer is not None or self._backlog or self._draining:
            self._arrive(dev, frame)
        else:
            verdict = dev.tx(frame, self.clock.now, None)
            if verdict.__class__ is not Drop:
                self._draining = True
                try:
                    for _, peer, sent in verdict:  # type: ignore[union-attr]
                        self.receive(peer, sent)
                finally:
                    self._draining = False
        if self._backlog or self._work:
            self.drain()

    def _arrive(self, dev: Device, frame: Frame) -> None:
        """Let a frame reach the far end of the cable, unless somebody pulled it."""
        if dev.carrier:
            self._carry(dev.tx(frame, self.clock.now, self._why), dev, frame, "tx")
        else:
            self._dropped(dev, "tx", frame, Drop.NO_CARRIER)

    def _xmit(self, dev: Device, frame: Frame) -> Drop | None:
        """Show the frame to packet sockets, let the driver decide, count (dev_hard_start_xmit)."""
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
