"""netem: delay, loss, duplication, reordering, corruption and rate.

Mirrors net/sched/sch_netem.c (6.1). A super-packet is one frame to it, except that what may be damaged is cut first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from simvlan.clock import SECOND
from simvlan.frame import IPV4, IPV6, Frame
from simvlan.qdisc.queue import Departures, Queue
from simvlan.segmentation import wire_size
from simvlan.stack import packet
from simvlan.stack.ipv6 import packet as packet6
from simvlan.verdict import Drop

CERTAIN = 0xFFFF_FFFF
"""The 32-bit fraction that stands for probability one."""


def probability(fraction: float) -> int:
    """Turn a fraction of one into the kernel's 32-bit form (iproute2's get_percent)."""
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"{fraction} is not a probability (0 to 1)")
    return round(fraction * CERTAIN)


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


def complete_checksum(frame: Frame) -> Frame:
    """Finish a partial transport checksum (skb_checksum_help)."""
    finish = {IPV4: packet.finish_checksum, IPV6: packet6.finish_checksum}.get(frame.proto)
    if not frame.csum or finish is None:
        return frame
    return Frame(frame.dst, frame.src, frame.proto, finish(frame.payload), frame.accel, frame.ptype, frame.prio)
