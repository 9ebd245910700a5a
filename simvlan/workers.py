"""Who goes on once a sender or a command is done: workers and ksoftirqd, one after the other on the one processor.

Frames for groups wait for the work of their macvlan or ipvlan port, which takes all that wait for it at once. Macvlan's
works and linkwatch's are for a worker of no certain processor (system_unbound_wq), ipvlan's and those for IPv6
addresses for one of this (system_wq, addrconf_wq); a worker ends its turn when nothing is left for it. What one hands
out is received at once (netif_rx, local_bh_enable), except while ksoftirqd is awake: then that is its to do, and comes
after workers that were awakened before it. It is awakened where one task follows another and a packet's own route was
let go meanwhile (rcu_qs raises RCU_SOFTIRQ).

Mirrors kernel/workqueue.c, kernel/softirq.c (ksoftirqd_running) and kernel/rcu/tiny.c of Linux 6.1 on one processor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from simvlan.devices.ipvlan import Ipvlan, IpvlanPort

if TYPE_CHECKING:
    from simvlan.transmission import Queued

Work: TypeAlias = "deque[Queued] | Callable[[], object]"
"""Frames for a port, or something else to do."""

Works: TypeAlias = dict[object, Work]
"""What waits, by port or for itself, in the order in which it was queued; frames join those of their port."""

BOUND, KSOFTIRQD = "kworker/0", "ksoftirqd/0"
UNBOUND = ("kworker/u:0", "kworker/u:1")
"""There is one more than runs (may_start_working)."""


class Workers:
    """What waits for workers, and whose turn comes when."""

    __slots__ = ("_bound", "_idle", "_unbound", "ready", "released", "several")

    def __init__(self) -> None:
        self.several = False
        """Whether there are several processors: then no switch of tasks awakens ksoftirqd (kernel/rcu/tree.c)."""
        self.ready: deque[str] = deque()
        """Tasks that are awake, in the order in which they were awakened; the first has its turn."""
        self.released = False
        """Whether a packet's own route was let go since one task followed another."""
        self._bound: Works = {}
        self._unbound: Works = {}
        self._idle = list(UNBOUND)
        """Workers that have nothing to do, or were awakened and had no turn since; who was last at work is first."""

    def queue(self, item: Queued) -> None:
        """Let a frame wait for its port's work: a slave's port, or that on a lower device."""
        dev = item[0]
        port = dev.port if isinstance(dev, Ipvlan) else dev.rx_handler
        bound = isinstance(port, IpvlanPort)
        waiting = (self._bound if bound else self._unbound).get(port)
        if isinstance(waiting, deque):
            waiting.append(item)
        else:
            self._put(port, deque((item,)), bound)

    def queue_work(self, action: Callable[[], object], *, bound: bool) -> None:
        """Let an action wait for a worker, of this processor or of no certain one (queue_work)."""
        self._put(action, action, bound)

    def _put(self, key: object, work: Work, bound: bool) -> None:
        (self._bound if bound else self._unbound)[key] = work
        self._awaken(BOUND if bound else self._idle[0])

    def _awaken(self, task: str) -> None:
        if task not in self.ready:
            self.ready.append(task)

    def switch(self) -> str:
        """Whose turn it is."""
        if self.released and not self.several:
            self._awaken(KSOFTIRQD)
        self.released = False
        return self.ready[0]

    def work(self, worker: str) -> Work | None:
        """What the worker has to do next; None: nothing more, its turn is over.

        One of no certain processor leaves what else waits to another as well, whoever comes first (process_one_work).
        """
        works = self._bound if worker == BOUND else self._unbound if worker in UNBOUND else None
        if not works:
            self.ready.remove(worker)
            self._rest(worker)
            return None
        found = works.pop(next(iter(works)))
        if works is self._unbound:
            if worker in self._idle:
                self._idle.remove(worker)
            if works:
                self._awaken(self._idle[0])
        return found

    def _rest(self, worker: str) -> None:
        """Be the next to be awakened, if one of those who may (worker_enter_idle)."""
        if worker in UNBOUND:
            self._idle = [worker, *(other for other in self._idle if other != worker)]

    def let_go_of_route(self) -> None:
        """Note that a packet went and with it a route of its own: the next switch awakens ksoftirqd (dst_release)."""
        self.released = True

    def rested(self) -> None:
        """Forget what was let go: ksoftirqd has seen to it."""
        self.released = False

    @property
    def at_once(self) -> bool:
        """Whether soft interrupts run as soon as something is handed out."""
        return KSOFTIRQD not in self.ready
