"""tbf: a token bucket.

Mirrors net/sched/sch_tbf.c (6.1) and the fixed-point rates of include/net/sch_generic.h (psched_ratecfg).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simvlan.clock import SECOND
from simvlan.frame import Frame
from simvlan.qdisc.queue import Departures, Queue
from simvlan.segmentation import wire_size
from simvlan.verdict import Drop


@dataclass(frozen=True)
class Rate:
    """Octets per second, with the kernel's fixed-point conversion of a length to ns (psched_ratecfg)."""

    bytes_ps: int
    mult: int = field(init=False, default=1)
    shift: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Find the most precise multiplier (psched_ratecfg_precompute__)."""
        if self.bytes_ps <= 0:
            raise ValueError("a rate must be above zero")
        factor, shift = SECOND, 0
        while not (factor // self.bytes_ps & 1 << 31 or factor & 1 << 63):
            factor, shift = factor << 1, shift + 1
        object.__setattr__(self, "mult", factor // self.bytes_ps & 0xFFFF_FFFF)
        object.__setattr__(self, "shift", shift)

    def ns(self, size: int) -> int:
        """Return how long *size* octets take (psched_l2t_ns)."""
        return size * self.mult >> self.shift


@dataclass(frozen=True)
class TbfOptions:
    """`tc qdisc add ... tbf`: rate and peakrate in octets/s, burst, mtu (`minburst`) and limit in octets."""

    rate: int
    burst: int
    limit: int
    peakrate: int = 0
    mtu: int = 0


def limit_for_latency(rate: int, burst: int, latency_ns: int) -> int:
    """Return the limit that makes a frame wait at most so long (iproute2's tbf_parse_opt)."""
    return rate * latency_ns // SECOND + burst


class Tbf(Queue):
    """A token bucket: a frame leaves once its octets are paid for, first in first out."""

    kind = "tbf"

    def __init__(self, options: TbfOptions, now: int) -> None:
        super().__init__()
        self.change(options, now)

    def change(self, options: TbfOptions, now: int) -> None:
        """Take other options with a full bucket (tbf_change); what waits keeps its time."""
        if options.peakrate and options.mtu <= 0:
            raise ValueError("a peakrate needs an mtu (minburst)")
        self.options = options
        self.rate = Rate(options.rate)
        self.peak = Rate(options.peakrate) if options.peakrate else None
        self.buffer = self.rate.ns(options.burst)
        self.mtu_ns = self.peak.ns(options.mtu) if self.peak else 0
        self.max_size = min(options.burst, options.mtu) if self.peak else options.burst
        self._fill(now)

    def reset(self, now: int) -> None:
        """Give up what waits, and fill the bucket (tbf_reset)."""
        super().reset(now)
        self._fill(now)

    def _fill(self, now: int) -> None:
        self._tokens, self._peak_tokens = self.buffer, self.mtu_ns
        self._checked = self._free_at = now

    def admit(self, frame: Frame, now: int) -> Drop | Departures:
        """Decide about a frame (tbf_enqueue, and tbf_dequeue foreseen)."""
        self.settle(now)
        size = len(frame) if frame.csum <= 1 else wire_size(frame)
        if size > self.max_size or self.backlog + size > self.options.limit:
            self.overlimits += bool(self.waiting)
            return Drop.QDISC_DROP
        depart = self._pay(size, max(now, self._free_at))
        self.overlimits += depart > now
        self._leave_at(depart, frame, size, now)
        return ((depart, frame),)

    def cuts(self, frame: Frame) -> bool:
        """A super-packet longer than the bucket is cut (tbf_segment)."""
        return wire_size(frame) > self.max_size

    def _left(self, size: int, packets: int, waited: bool) -> None:
        """Count a departure; a frame left behind finds no tokens."""
        super()._left(size, packets, waited)
        if waited and self.waiting:
            self.overlimits += 1

    def _pay(self, size: int, now: int) -> int:
        """Return when the tokens for a frame at the head of the queue at *now* suffice, and take them."""
        wait = 0
        if self.peak is not None:
            wait = max(wait, -self._left_over(self._peak_tokens, self.mtu_ns, self.peak.ns(size), now))
        wait = max(wait, -self._left_over(self._tokens, self.buffer, self.rate.ns(size), now))
        depart = now + wait
        if self.peak is not None:
            self._peak_tokens = self._left_over(self._peak_tokens, self.mtu_ns, self.peak.ns(size), depart)
        self._tokens = self._left_over(self._tokens, self.buffer, self.rate.ns(size), depart)
        self._checked = self._free_at = depart
        return depart

    def _left_over(self, tokens: int, most: int, price: int, now: int) -> int:
        """Return the tokens after paying at *now*; negative: the time still to wait."""
        return min(min(now - self._checked, self.buffer) + tokens, most) - price
