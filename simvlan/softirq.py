"""What runs when: the backlog, devices that are polled, then workers.

Mirrors net_rx_action, process_backlog and __napi_poll of net/core/dev.c and the workers behind them. Who is to be
polled stands in one list; the backlog is polled like a device. A polled device (`Way.NAPI`) takes in all that waits
and merges segments; what it hands up together is seen by every packet socket before the protocols get any of it
(netif_receive_skb_list). Frames that a queue lets go at one moment are polled together.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import TypeAlias

from simvlan.devices.device import Device
from simvlan.devices.veth import Veth
from simvlan.frame import Frame
from simvlan.gro import BATCH, WEIGHT, Gro, Item
from simvlan.segmentation import gso_segs
from simvlan.transmission import NOBODY, Journey, Queued, Transmission
from simvlan.verdict import Drop, Why
from simvlan.workers import KSOFTIRQD

Together: TypeAlias = tuple[Device, Frame, int, Journey]
"""A frame that goes up once all that came with it have been seen."""


class Softirq(Transmission):
    """The half of a network that takes in what waits."""

    _together: list[Together] | None
    """What goes up later, while frames are received together."""

    @abstractmethod
    def up(self, dev: Device, frame: Frame) -> None:
        """Finish the tag and hand the frame to the protocols of the namespace."""

    @property
    @abstractmethod
    def why(self) -> Why:
        """Where rules tell what they matched, while somebody traces."""

    @abstractmethod
    def _carry_work(self, dev: Device, frame: Frame) -> None: ...

    def softirq(self) -> None:
        """Run the backlog, as soft interrupts do at once when a process has sent a frame; within one, that waits."""
        if not self._draining:
            sender = self._fid, self._journey
            self._drain(work=False)
            self._fid, self._journey = sender

    def drain(self) -> None:
        """Run the backlog, then the workers, until nothing is left (process_backlog, kworker)."""
        if not self._draining:
            self._drain(work=True)
            self.workers.rested()  # ksoftirqd sees to it while all else rests

    def _drain(self, *, work: bool) -> None:
        self._draining = True
        try:
            self._run_backlog()
            while work and self.workers.ready:
                self._run_task()
        finally:
            self._draining = False
            self._fid, self._journey = self._cause, NOBODY  # of what comes next

    def _run_backlog(self) -> None:
        """Take in what waits for this processor, device by device (net_rx_action)."""
        while True:
            first = self._polls.popleft() if self._polls else None
            if first is not None:
                self._poll(first)
            else:
                self._process_backlog()
                if not self._polls:
                    return

    def _process_backlog(self) -> None:
        """Take in what no device polls for (process_backlog)."""
        backlog = self._backlog
        while backlog:
            dev, frame, self._fid, journey = backlog.popleft()
            self._journey = journey
            if self._too_far(journey):
                self._give_up(dev, "rx", frame)
            elif dev.up:
                self.receive(dev, frame)
            else:
                self._dropped(dev, "rx", frame, Drop.DEV_READY)

    def _run_task(self) -> None:
        """Let the next task have its turn (workers.py)."""
        task = self.workers.switch()
        if task == KSOFTIRQD:
            self._run_backlog()
            self.workers.rested()  # of what it let go itself, it knows (rcu_softirq_qs)
        while work := self.workers.work(task):
            if isinstance(work, deque):
                self._take_on(work)
            else:
                self._fid, self._journey = 0, NOBODY
                work()
                if self.workers.at_once:
                    self._run_backlog()

    def _take_on(self, frames: deque[Queued]) -> None:
        """Take on what waited for a port."""
        for dev, frame, self._fid, self._journey in frames:
            if self._too_far(self._journey):
                self._give_up(dev, "rx", frame)
            else:
                self._carry_work(dev, frame)

    # -- polled devices ---------------------------------------------------------------------------------------------

    def _to_poll(self, dev: Device, frame: Frame) -> None:
        """Put a frame into a device's own queue and have it polled (veth_xdp_rx, napi_schedule)."""
        assert isinstance(dev, Veth)
        assert dev.gro is not None
        if not dev.gro.ring and dev not in self._polls:
            if self._backlog and not self._draining and None not in self._polls:
                self._polls.append(None)
            self._polls.append(dev)
        dev.gro.ring.append((frame, self._fid, self._journey))

    def _poll(self, dev: Veth) -> None:
        """Take in what waits in a device's queue, segments of one flow merged (veth_poll)."""
        gro, ready, segments = dev.gro, list[Item](), 0
        if gro is None:  # switched off meanwhile
            return
        for _ in range(min(WEIGHT, len(gro.ring))):
            for item in self._taken(dev, gro):
                ready.append(item)
                segments += gso_segs(item[0])
            if segments >= BATCH:
                self._receive_together(dev, ready)
                ready, segments = [], 0
        self._receive_together(dev, [*ready, *gro.flush()])
        if gro.ring:
            self._polls.append(dev)

    def _taken(self, dev: Veth, gro: Gro) -> list[Item]:
        """Take in the next frame; what goes up because of it."""
        frame, self._fid, self._journey = gro.ring.popleft()
        if self._too_far(self._journey):
            self._give_up(dev, "rx", frame)
        elif not dev.up:
            self._dropped(dev, "rx", frame, Drop.DEV_READY)
        else:
            ready, into = gro.take(frame, (self._fid, self._journey))
            if into is not None and self.why is not None:
                self.why(f"GRO adds it to frame {into[0]}")
                self._trace(dev, "rx", frame, None)
            return ready
        return []

    def _receive_together(self, dev: Device, items: list[Item]) -> None:
        """Receive several: all are seen on their way before the protocols get any (__netif_receive_skb_list_core)."""
        self._together = []
        for frame, (self._fid, self._journey) in items:
            self.receive(dev, frame)
        self._let_up()

    def _up_together(self, dev: Device, frame: Frame) -> None:
        """Keep a frame until the others have come so far; another protocol ends the list (deliver_list)."""
        assert self._together is not None
        if self._together and self._together[-1][1].proto != frame.proto:
            self._let_up()
            self._together = []
        self._together.append((dev, frame, self._fid, self._journey))

    def _let_up(self) -> None:
        """Hand what was kept to the protocols."""
        kept, self._together = self._together or [], None
        for dev, frame, self._fid, self._journey in kept:
            self.up(dev, frame)
