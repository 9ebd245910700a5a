"""Queueing disciplines in front of a device: netem and tbf, as `tc qdisc` sets them.

Mirrors net/sched/sch_netem.c and net/sched/sch_tbf.c (6.1). A discipline says when a frame leaves, how often, or that
it never does: `admit` returns departures in ns (at or before now: at once) or a Drop. Sizes in octets with the Ethernet
header, without an accelerated tag (qdisc_pkt_len); rates in octets per second; probabilities are the kernel's 32-bit
fractions of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from simvlan.clock import SECOND
from simvlan.frame import Frame
from simvlan.segmentation import gso_segs, wire_size
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device

CERTAIN = 0xFFFF_FFFF
"""The 32-bit fraction that stands for probability one."""

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


def probability(fraction: float) -> int:
    """Turn a fraction of one into the kernel's 32-bit form (iproute2's get_percent)."""
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"{fraction} is not a probability (0 to 1)")
    return round(fraction * CERTAIN)


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


# -- netem ----------------------------------------------------------------------------------------------------------


class Correlated:
    """A 32-bit random number that leans towards the one before (get_crandom)."""

    def __init__(self, rng: Random, rho: int) -> None:
        self.rng = rng
        self.rho = rho
        self.last = rng.getrandbits(32) if rho else 0

    def draw(self) -> int:
        """Return the next number."""
        value = self.rng.getrandbits(32)
        if self.rho == 0:
            return value
        rho = self.rho + 1
        self.last = (value * ((1 << 32) - rho) + self.last * rho) >> 32
        return self.last

    def happens(self, chance: int) -> bool:
        """Say whether an event of this probability happens; one of probability 0 draws no number."""
        return chance != 0 and chance >= self.draw()


DIST_SCALE = 8192
DIST_SIZE = 4096


@cache
def distribution(name: str) -> tuple[int, ...]:
    """Return a distribution's table in units of sigma/8192 (iproute2's `normal.dist`); empty: uniform.

    Raises:
        ValueError: a distribution that is not modelled.
    """
    if name == "uniform":
        return ()
    if name == "normal":
        from statistics import NormalDist  # late: it is slow to import

        return tuple(round(DIST_SCALE * NormalDist().inv_cdf((i + 0.5) / DIST_SIZE)) for i in range(DIST_SIZE))
    raise ValueError(f'the delay distribution "{name}" is not modelled (known: uniform, normal)')


def _toward_zero(number: int, by: int) -> int:
    """Divide as C does."""
    return number // by if number >= 0 else -(-number // by)


def table_delay(mean: int, sigma: int, rnd: int, table: tuple[int, ...]) -> int:
    """Return one delay in ns (tabledist)."""
    if sigma == 0:
        return mean
    if not table:
        return rnd % (2 * sigma) + mean - sigma
    step = table[rnd % len(table)]
    part = sigma % DIST_SCALE * step
    part += DIST_SCALE // 2 if part >= 0 else -(DIST_SCALE // 2)
    return _toward_zero(part, DIST_SCALE) + sigma // DIST_SCALE * step + mean


@dataclass(frozen=True)
class NetemOptions:
    """`tc qdisc add ... netem`: times in ns, rate in octets/s, chances and correlations as 32-bit fractions.

    A gap of 0 means no reordering, whatever the chance (netem_enqueue).
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    delay_correlation: int = 0
    distribution: str = "uniform"
    loss: int = 0
    loss_correlation: int = 0
    duplicate: int = 0
    duplicate_correlation: int = 0
    reorder: int = 0
    reorder_correlation: int = 0
    gap: int = 0
    corrupt: int = 0
    corrupt_correlation: int = 0
    rate: int = 0
    packet_overhead: int = 0
    cell_size: int = 0
    cell_overhead: int = 0
    limit: int = 1000


class Netem(Queue):
    """Delay, loss, duplication, reordering, corruption and rate, in the kernel's order of questions."""

    kind = "netem"

    def __init__(self, options: NetemOptions, rng: Random) -> None:
        super().__init__()
        self.rng = rng
        self._last = 0
        self.change(options)

    def change(self, options: NetemOptions) -> None:
        """Take other options; frames already waiting keep their times (netem_change)."""
        self.options = options
        self.table = distribution(options.distribution)
        self._delay = Correlated(self.rng, options.delay_correlation)
        self._loss = Correlated(self.rng, options.loss_correlation)
        self._duplicate = Correlated(self.rng, options.duplicate_correlation)
        self._reorder = Correlated(self.rng, options.reorder_correlation)
        self._corrupt = Correlated(self.rng, options.corrupt_correlation)
        self._counter = 0
        self._gap = options.gap
        self._jumps = options.reorder or CERTAIN  # a gap alone means every gap-th frame, always

    def reset(self, now: int) -> None:
        """Give up what waits: the next frame has no reference point."""
        super().reset(now)
        self._last = 0

    def admit(self, frame: Frame, now: int) -> Drop | Departures:
        """Decide about a frame (netem_enqueue)."""
        self.settle(now)
        return self._enqueue(frame, now, self._duplicate.happens(self.options.duplicate))

    def cuts(self, frame: Frame) -> bool:
        """What may be damaged is cut first (netem_segment; the kernel cuts only what it will damage)."""
        return bool(self.options.corrupt)

    def _enqueue(self, frame: Frame, now: int, twice: bool) -> Drop | Departures:
        copies = 1 + twice - self._loss.happens(self.options.loss)
        if copies == 0:
            return Drop.LINK_LOSS
        sent = self._damaged(frame) if self._corrupt.happens(self.options.corrupt) else frame
        if len(self.waiting) >= self.options.limit:
            return Drop.QDISC_DROP
        if copies == 1:
            return (self._queue(sent, now),)
        twin = self._enqueue(frame, now, False)  # the copy takes its chances first, but is not duplicated again
        mine = self._queue(sent, now)
        if isinstance(twin, Drop):
            self.dropped += 1
            return (mine,)
        return (*twin, mine)

    def _queue(self, frame: Frame, now: int) -> tuple[int, Frame]:
        """Give a frame its time to send."""
        gap, size = self._gap, len(frame) if frame.csum <= 1 else wire_size(frame)
        if gap == 0 or self._counter < gap - 1 or self._jumps < self._reorder.draw():
            self._counter += 1
            depart = self._time_to_send(size, now)
        else:
            self._counter = 0
            self.requeues += 1
            depart = now
        self._leave_at(depart, frame, size, now)
        return depart, frame

    def _time_to_send(self, size: int, now: int) -> int:
        """Add the delay; with a rate, the last frame still waiting is the reference point."""
        options, start = self.options, now
        rnd = self._delay.draw() if options.jitter_ns else 0
        delay = table_delay(options.delay_ns, options.jitter_ns, rnd, self.table)
        if options.rate:
            if self._last > now:
                delay = max(0, delay - (self._last - now))
                start = self._last
            delay += self._wire_ns(size)
        depart = start + delay
        self._last = max(self._last, depart)
        return depart

    def _wire_ns(self, size: int) -> int:
        """Return how long a frame takes at the rate (packet_time_ns)."""
        options = self.options
        size += options.packet_overhead
        if options.cell_size:
            size = -(-size // options.cell_size) * (options.cell_size + options.cell_overhead)
        return size * SECOND // options.rate

    def _damaged(self, frame: Frame) -> Frame:
        """Flip one bit anywhere in the frame, after its checksum has been completed."""
        octets = bytearray(complete_checksum(frame).with_accel(0).__bytes__())
        octets[self.rng.getrandbits(32) % len(octets)] ^= 1 << self.rng.getrandbits(32) % 8
        hurt = Frame.parse(bytes(octets))
        hurt.accel, hurt.ptype, hurt.prio = frame.accel, frame.ptype, frame.prio
        return hurt


_CHECKSUM_AT = {6: 16, 17: 6}


def complete_checksum(frame: Frame) -> Frame:
    """Finish a partial transport checksum (skb_checksum_help): IPv4 with TCP or UDP."""
    data = frame.payload
    if not frame.csum or len(data) < 20 or data[9] not in _CHECKSUM_AT:
        return frame
    start = (data[0] & 15) * 4
    at = start + _CHECKSUM_AT[data[9]]
    total = int.from_bytes(data[2:4], "big")
    segment = data[start:total]
    words = sum(int.from_bytes(segment[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(segment), 2))
    while words >> 16:
        words = (words & 0xFFFF) + (words >> 16)
    value = ~words & 0xFFFF or 0xFFFF
    whole = data[:at] + value.to_bytes(2, "big") + data[at + 2 :]
    return Frame(frame.dst, frame.src, frame.proto, whole, frame.accel, frame.ptype, frame.prio)


# -- tbf ------------------------------------------------------------------------------------------------------------


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
