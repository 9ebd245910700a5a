"""One interface's advertisements as radvd 2.19 times them, without clock or socket (struct state_info; radvd.c).

Times are nanoseconds since any moment, intervals seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from simvlan.clock import SECOND
from simvlan.radv.config import Interface

INITIAL, INITIAL_INTERVAL = 3, 16.0
SETUP_DELAY = 1.0
"""How long after a change an interface is looked at."""
DELAY_S = 0.5
"""MAX_RA_DELAY_SECONDS."""

Chance = Callable[[], float]
"""A number from 0 up to 1."""


@dataclass(frozen=True)
class Answer:
    """What a solicitation comes to: an advertisement at once (to *dst*, None for all), or one in so many seconds.

    With both, the next one after it is that far off.
    """

    now: bool
    dst: int | None = None
    next_s: float | None = None


@dataclass(eq=False)
class Link:
    """An interface and where its advertisements stand.

    Attributes:
        changed: it is to be looked at again before anything is sent.
        ready: it can send.
        sent: advertisements so far, as far as the first few count.
        known: the addresses it was seen with.
    """

    conf: Interface
    changed: bool = True
    ready: bool = False
    sent: int = 0
    last_ns: int = 0
    last_multicast_ns: int = 0
    source: int = 0
    mac: int = 0
    room: int = 0
    known: list[int] = field(default_factory=list)

    def touch(self) -> float:
        """It has changed: when it is looked at (touch_iface)."""
        self.changed, self.ready, self.sent = True, False, 0
        return self.wait(0)

    def wait(self, seconds: float) -> float:
        """When the next one comes: the first few soon, none for long where nothing can be sent (reschedule_iface)."""
        if not self.changed and not self.ready:
            return 10 * self.conf.max_interval
        if not seconds:
            return SETUP_DELAY
        return self.first_wait if self.sent < INITIAL else seconds

    @property
    def first_wait(self) -> float:
        """The interval between the first few."""
        return min(INITIAL_INTERVAL, self.conf.max_interval)

    def after(self, chance: Chance) -> float:
        """When the next one comes after one that was sent by itself."""
        least = max(self.conf.min_interval, 0.0)
        return self.wait(least + (self.conf.max_interval - least) * chance())

    def count(self) -> None:
        """One is sent."""
        self.sent = min(self.sent + 1, INITIAL)

    def solicited(self, src: int, now_ns: int, chance: Chance) -> Answer:
        """Who asks is answered at once and alone, or all are, but they no more often than said (process_rs)."""
        delay = DELAY_S * chance()
        since = (now_ns - self.last_multicast_ns) / SECOND
        if self.conf.unicast_only or (self.conf.solicited_unicast and src):
            return Answer(True, src)
        if since < self.conf.min_delay:
            return Answer(False, next_s=self.wait(self.conf.min_delay - since + delay))
        return Answer(True, None, 0.0)
