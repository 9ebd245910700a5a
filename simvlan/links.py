"""Cables: what lies between the two ends of a veth pair when it stands for a real wire.

A cable has a rate, a delay, a queue and flaws; each direction has a random generator of its own, seeded by the
network's seed and the direction's name, so that adding a cable does not disturb the others. Times are exact integer
nanoseconds: rounding never accumulates. The sender counts and shows a frame when it goes onto the cable, the receiver
when it arrives. Nothing here mirrors Linux; the queueing disciplines that do are in `qdisc/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from simvlan.clock import SECOND
from simvlan.devices.veth import Veth
from simvlan.frame import Frame
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.network import Network


Arrivals: TypeAlias = "Sequence[tuple[int | Drop, Frame]]"
"""When each copy of a frame reaches the other end, or why one never does."""


@dataclass(frozen=True)
class CableOptions:
    """One direction of a cable; the default is ideal.

    Attributes:
        rate_bps: bits per second; 0 is infinitely fast.
        overhead: octets that each frame takes on the wire beside its own (24 on Ethernet: FCS, preamble, gap).
        delay_ns: propagation delay.
        jitter_ns: the delay varies uniformly by at most this much; frames keep their order.
        limit: frames that may wait or be in transmission at the sender.
        loss: chance that a frame is lost after transmission.
        duplicate: chance that a frame arrives twice.
        reorder: chance that a frame arrives without delay, ahead of those still under way.
    """

    rate_bps: int = 0
    overhead: int = 0
    delay_ns: int = 0
    jitter_ns: int = 0
    limit: int = 1000
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate_bps", "overhead", "delay_ns", "jitter_ns"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name in ("loss", "duplicate", "reorder"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be a probability (0 to 1)")
        if self.jitter_ns > self.delay_ns:
            raise ValueError("the jitter must not exceed the delay: a frame cannot arrive before it is sent")
        if self.limit < 1:
            raise ValueError("the queue limit must be at least one frame")
        if self.reorder and not self.delay_ns:
            raise ValueError("reordering is not possible without a delay")


class Wire:
    """One direction of a cable."""

    outside = False
    """Whether the other end is a real device, not the peer."""

    def __init__(self, options: CableOptions, rng: Random) -> None:
        self.rng = rng
        self.child = None
        self.dropped = self.sent = 0
        self.plugged = True
        self._free = 0
        """When the sender is free, in units of 1/den ns: rounding never adds up."""
        self._num, self._den = 0, 1
        self._last_arrival = 0
        self._sending: list[int] = []
        self.change(options)

    def change(self, options: CableOptions) -> None:
        """Take other options; frames under way keep their times."""
        self.options = options
        self.ideal = options == CableOptions(limit=options.limit) and not self.sent
        """Nothing to wait for, nothing to lose: frames go as if there were no cable."""
        flawless = CableOptions(delay_ns=options.delay_ns, limit=options.limit)
        self.constant_ns = options.delay_ns if options == flawless and not self.sent else 0
        """The delay when that is all the cable ever did, else 0: such frames need no further thought."""
        per_octet = Fraction(8 * SECOND, options.rate_bps or 1)
        self._free = self._free * per_octet.denominator // self._den
        self._num, self._den = per_octet.numerator, per_octet.denominator

    def queued(self, now: int) -> int:
        """Return how many frames wait or are in transmission."""
        while self._sending and self._sending[0] <= now:
            heappop(self._sending)
        return len(self._sending)

    def admit(self, frame: Frame, now: int, why: Why = None) -> Drop | Arrivals:
        """Say when the frame reaches the other end, once per copy, or that it never does."""
        if not self.plugged:
            return Drop.NO_CARRIER
        gone = now
        if self.options.rate_bps:
            if self.queued(now) >= self.options.limit:
                return Drop.QDISC_DROP
            gone = self._transmitted(len(frame) + (4 if frame.accel else 0), now)
        if self.options.loss and self.rng.random() < self.options.loss:
            return Drop.LINK_LOSS
        self.sent += 1
        if self.options.duplicate and self.rng.random() < self.options.duplicate:
            return ((self._arrival(gone), frame), (self._arrival(gone), frame))
        return ((self._arrival(gone), frame),)

    def _transmitted(self, size: int, now: int) -> int:
        """Return when the last bit has left."""
        self._free = max(self._free, now * self._den) + (size + self.options.overhead) * self._num
        gone = -(-self._free // self._den)
        heappush(self._sending, gone)
        return gone

    def _arrival(self, gone: int) -> int:
        """Add the propagation delay; only a reordered frame overtakes."""
        options = self.options
        if options.reorder and self.rng.random() < options.reorder:
            return gone
        delay = options.delay_ns
        if options.jitter_ns:
            delay += self.rng.randint(-options.jitter_ns, options.jitter_ns)
        self._last_arrival = max(self._last_arrival, gone + delay)
        return self._last_arrival


class Cable:
    """Both directions between the ends of a veth pair, plugged in until pulled."""

    def __init__(self, network: Network, a: Veth, options: CableOptions = CableOptions()) -> None:
        if a.peer is None:
            raise ValueError(f"{a.path} has no peer: a cable lies between the ends of a veth pair")
        self.network = network
        self.ends = (a, a.peer)
        for end in self.ends:
            assert end.peer is not None
            end.wire = Wire(options, Random(f"{network.seed}/{end.path}>{end.peer.path}"))

    @property
    def wires(self) -> tuple[Wire, Wire]:
        """The directions: from the first end, from the second."""
        a, b = self.ends
        return a.wire, b.wire

    def change(self, **changes: float) -> None:
        """Change options of both directions."""
        for wire in self.wires:
            wire.change(replace(wire.options, **changes))  # type: ignore[arg-type]

    def pull(self) -> None:
        """Take the cable out: no carrier on either end, what is under way is lost."""
        for wire in self.wires:
            wire.plugged = False
        for end in self.ends:
            self.network.set_carrier(end, False)
        self.network.drain()

    def plug(self) -> None:
        """Put the cable back in: carrier returns where both ends are up."""
        for wire in self.wires:
            wire.plugged = True
        up = all(end.up for end in self.ends)
        for end in self.ends:
            self.network.set_carrier(end, up)
        self.network.drain()
