"""What every discipline is to the transmit path, and the queue that the modelled ones keep.

Mirrors net/sched/sch_generic.c and sch_api.c (qdisc_graft, qdisc_reset, dev_deactivate; 6.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from simvlan.frame import Frame
from simvlan.segmentation import gso_segs
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device

Departures = Sequence[tuple[int, Frame]]


class Link(Protocol):
    """Anything that stands between the decision to send a frame and its leaving."""

    dropped: int
    child: Link | None
    epoch: int
    """Rises with every reset: what was admitted before is gone."""

    def admit(self, frame: Frame, now: int) -> Drop | Departures:
        """Say when the frame leaves, once per copy, or why it never does."""

    def cuts(self, frame: Frame) -> bool:
        """Whether a super-packet is cut before it is admitted."""

    def reset(self, now: int) -> None:
        """Give up what waits (qdisc_reset)."""


def purge(dev: Device, now: int) -> None:
    """Empty a device's queues: it has gone down or lost its carrier (dev_deactivate)."""
    link: Link | None = dev.qdisc
    while link is not None:
        link.reset(now)
        link = link.child


def install(dev: Device, root: Link | None, now: int) -> None:
    """Put another discipline in front of a device, None for none; what waits in the old one is lost (qdisc_graft)."""
    purge(dev, now)
    dev.qdisc = root


class Stats(NamedTuple):
    """What `tc -s qdisc` shows."""

    bytes: int
    packets: int
    drops: int
    overlimits: int
    requeues: int
    backlog: int
    qlen: int


class Queue:
    """The frames waiting, ordered by departure, and the counters of what left."""

    kind: ClassVar[str] = ""

    def __init__(self) -> None:
        self.epoch = 0
        self.child: Link | None = None
        """The discipline its departures go through next (`tc qdisc ... parent HANDLE:`)."""
        self.sent_bytes = self.sent_packets = 0
        self.dropped = self.overlimits = self.requeues = 0
        self.backlog = 0
        """Octets waiting."""
        self.waiting: list[tuple[int, int, int]] = []
        """A heap of (departure, size, packets)."""

    def cuts(self, frame: Frame) -> bool:
        """Whether a super-packet is cut before it is queued."""
        return False

    def settle(self, now: int) -> None:
        """Let go of what has left by now."""
        waiting = self.waiting
        while waiting and waiting[0][0] <= now:
            _, size, packets = heappop(waiting)
            self._left(size, packets, True)

    def reset(self, now: int) -> None:
        """Give up what waits; the counters of what left stay."""
        self.settle(now)
        self.waiting.clear()
        self.backlog = 0
        self.epoch += 1

    def _left(self, size: int, packets: int, waited: bool) -> None:
        self.sent_packets += packets
        self.sent_bytes += size
        if waited:
            self.backlog -= size

    def _leave_at(self, depart_ns: int, frame: Frame, size: int, now: int) -> None:
        """Enter a frame that leaves at a time; a super-packet counts as what it stands for (bstats_update)."""
        packets = 1 if frame.csum <= 1 else gso_segs(frame)
        if depart_ns <= now:
            self._left(size, packets, False)
            return
        self.backlog += size
        heappush(self.waiting, (depart_ns, size, packets))

    def stats(self, now: int) -> Stats:
        """Return the counters as of now."""
        self.settle(now)
        return Stats(
            self.sent_bytes,
            self.sent_packets,
            self.dropped,
            self.overlimits,
            self.requeues,
            self.backlog,
            len(self.waiting),
        )
