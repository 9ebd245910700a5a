"""Says, while it runs, that frames are lost or events late because this process cannot keep up: in numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.live.world import LiveWorld

PERIOD_NS = 5_000_000_000
LATE_NS = 50_000_000
"""Lateness that is worth a word."""


class Overload:
    """Looks every five seconds; silent while all is well.

    Args:
        world: what is looked at.
        wall: monotonic time in ns.
    """

    def __init__(self, world: LiveWorld, wall: Callable[[], int]) -> None:
        self.world, self.wall = world, wall
        self._looked = wall()
        self._before: dict[str, int] = {}

    def __call__(self) -> float:
        """Look if it is time; seconds until the next time."""
        now = self.wall()
        if now - self._looked >= PERIOD_NS:
            self._look((now - self._looked) / 1e9)
            self._looked = now
        return max(0.0, (self._looked + PERIOD_NS - now) / 1e9)

    def _look(self, seconds: float) -> None:
        for port in self.world.ports:
            given_up = port.lost() + port.refused[Drop.QDISC_DROP]
            more = given_up - self._before.get(port.endpoint.label, 0)
            self._before[port.endpoint.label] = given_up
            if more > 0:
                self.world.say(
                    f"overload: {port.dev.path} = {port.endpoint.label} lost {more} frames in {seconds:.0f} s:"
                    " they came faster than they are forwarded"
                )
        late, self.world.engine.lateness.recent_ns = self.world.engine.lateness.recent_ns, 0
        if late > LATE_NS:
            self.world.say(f"overload: events were up to {late / 1e6:.0f} ms late in the last {seconds:.0f} s")
