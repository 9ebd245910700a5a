"""When the rest of the kernel hears of a carrier that came or went. Mirrors net/core/link_watch.c (6.1, 6.18).

A driver turns the carrier bit over at once; the operational state, the queue and everybody who stands on the device
follow when linkwatch looks: at once for an urgent change, else no more often than once a second for the whole kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from simvlan.clock import SECOND, Timer
from simvlan.devices.device import Device, Operstate

if TYPE_CHECKING:
    from simvlan.clock import Clock


class Watched(Protocol):
    """What linkwatch needs of the network."""

    clock: Clock

    def at(self, time_ns: int, action: Callable[[], object]) -> Timer:
        """Run an action at a time."""

    def unbound(self, action: Callable[[], object]) -> None:
        """Have a worker do something (queue_work on system_unbound_wq)."""

    def activate(self, dev: Device) -> None:
        """Let frames into a device's queue."""

    def deactivate(self, dev: Device) -> None:
        """Keep frames out of a device's queue."""

    def state_change(self, dev: Device) -> None:
        """Tell everybody who stands on a device that is up."""


class Linkwatch:
    """Changes of carrier that wait to be looked at, and when that will be. Times in ns."""

    def __init__(self, kernel: Watched) -> None:
        self.kernel = kernel
        self.waiting: dict[Device, None] = {}
        """Devices whose change was not looked at yet, oldest first (lweventlist)."""
        self.unhurried: dict[Device, None] = {}
        """Devices of whose changes some could wait: when they were looked at depends on what else the machine does."""
        self.due = False
        """Whether a worker is to look as soon as the operation at hand is over: it waits for the rtnl lock."""
        self._urgent = False
        self.next_round = 0
        """No round over everything before this time (linkwatch_nextevent)."""
        self._timer: Timer | None = None

    def fire(self, dev: Device) -> None:
        """Note a change of a device (linkwatch_fire_event)."""
        urgent = is_urgent(dev)
        if not urgent:
            self.unhurried[dev] = None
        if dev in self.waiting and not urgent:
            return
        self.waiting[dev] = None
        self._schedule(urgent)

    def forget(self, dev: Device) -> None:
        """Drop what waits for a device that is gone (linkwatch_forget_dev)."""
        self.waiting.pop(dev, None)
        self.unhurried.pop(dev, None)

    def run(self) -> None:
        """Look at what is urgent, or at everything once the second is over (__linkwatch_run_queue)."""
        now = self.kernel.clock.now
        self.due = self._urgent = False
        everything = self.next_round <= now
        if everything:
            self.next_round = now + SECOND
        waiting, self.waiting = self.waiting, {}
        for dev in waiting:
            urgent = is_urgent(dev)
            if not urgent:
                self.unhurried[dev] = None
            if everything or urgent:
                self._look(dev)
            else:
                self.waiting.setdefault(dev)
        if self.waiting:
            self._schedule(False)

    def _schedule(self, urgent: bool) -> None:
        """Plan the next look; an urgent change overrides a timer (linkwatch_schedule_work)."""
        if self._urgent:
            return
        self._urgent = urgent
        delay = self.next_round - self.kernel.clock.now
        if urgent or not 0 < delay <= SECOND:
            if self._timer is None or urgent:
                self._cancel()
                if not self.due:
                    self.due = True
                    self.kernel.unbound(self.run)
        elif self._timer is None and not self.due:
            self._timer = self.kernel.at(self.next_round, self._expired)

    def _expired(self) -> None:
        self._timer = None
        self.run()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, dev: Device) -> None:
        """Bring state and queue in line with the carrier and tell (linkwatch_do_dev)."""
        follow_carrier(dev)
        if dev.up:
            (self.kernel.activate if dev.carrier else self.kernel.deactivate)(dev)
            self.kernel.state_change(dev)


def is_urgent(dev: Device) -> bool:
    """Whether a change cannot wait: of a stacked device, or a carrier the queue waits for (linkwatch_urgent_event)."""
    return dev.up and (dev.linked or (dev.carrier and dev.opened and not dev.active))


def follow_carrier(dev: Device) -> None:
    """Work out the operational state (rfc2863_policy, default_operstate of 6.1)."""
    if dev.carrier:
        dev.operstate = Operstate.UP
    else:
        dev.operstate = Operstate.LOWERLAYERDOWN if dev.linked else Operstate.DOWN
