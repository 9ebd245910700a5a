"""A timer as the bridge code uses them: armed, re-armed, asked whether it is pending, shown with the time left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simvlan.clock import SECOND, Timer
from simvlan.devices.device import Kernel


class BridgeTimer:
    """A restartable kernel timer (struct timer_list). Times in ns."""

    __slots__ = ("_action", "_args", "_kernel", "_timer", "due")

    def __init__(self, kernel: Kernel, action: Callable[..., object], *args: Any) -> None:
        self._kernel = kernel
        self._action = action
        self._args = args
        self._timer: Timer | None = None
        self.due = 0
        """When it fires; meaningful while pending."""

    @property
    def pending(self) -> bool:
        """Whether it will fire (timer_pending)."""
        return self._timer is not None

    @property
    def left(self) -> int:
        """Return the ns until it fires, 0 when it is not armed (br_timer_value)."""
        return max(self.due - self._kernel.now, 0) if self._timer else 0

    def start(self, delay: int) -> None:
        """Fire after *delay* ns, whatever was planned before (mod_timer)."""
        self.start_at(self._kernel.now + delay)

    def start_at(self, due: int) -> None:
        """Fire at a time."""
        self.stop()
        self.due = due
        self._timer = self._arm(due)

    def _arm(self, due: int) -> Timer:
        return self._kernel.at(due, self._fire)

    def stop(self) -> None:
        """Disarm (del_timer)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._action(*self._args)


class TickTimer(BridgeTimer):
    """One of those of which the one armed last is the first when several end in one tick (enqueue_timer)."""

    __slots__ = ()

    def _arm(self, due: int) -> Timer:
        return self._kernel.timer(due, self._fire)


def round_second(due: int) -> int:
    """Round to a whole second, down only by less than a quarter (round_jiffies)."""
    over = due % SECOND
    return due - over if over < SECOND // 4 else due - over + SECOND
