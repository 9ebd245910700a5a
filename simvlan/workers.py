"""Who takes a frame on once its sender is done: two workers and ksoftirqd, one after the other on the one processor.

Frames for groups wait for the work of their macvlan or ipvlan port, which takes all that wait for it at once. Macvlan's
works are for a worker of no certain processor (system_unbound_wq), ipvlan's for one of this (system_wq); a worker ends
its turn when nothing is left for it. What a worker hands out is received at once (netif_rx, local_bh_enable), except
while ksoftirqd is awake: then that is its to do, and comes after workers that were awakened before it. It is awakened
where one task follows another and a packet's own route was let go meanwhile (rcu_qs raises RCU_SOFTIRQ).

Mirrors kernel/workqueue.c, kernel/softirq.c (ksoftirqd_running) and kernel/rcu/tiny.c of Linux 6.1 on one processor.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from simvlan.devices.ipvlan import Ipvlan, IpvlanPort

if TYPE_CHECKING:
    from simvlan.transmission import Queued

BOUND, UNBOUND, KSOFTIRQD = "kworker/0", "kworker/u", "ksoftirqd/0"


class Workers:
    """What waits for workers, and whose turn comes when."""

    __slots__ = ("_works", "ready", "released", "several")

    def __init__(self) -> None:
        self.several = False
        """Whether there are several processors: then no switch of tasks awakens ksoftirqd (kernel/rcu/tree.c)."""
        self.ready: deque[str] = deque()
        """Tasks that are awake, in the order in which they were awakened."""
        self.released = False
        """Whether a packet's own route was let go since one task followed another."""
        self._works: dict[str, dict[object, deque[Queued]]] = {BOUND: {}, UNBOUND: {}}
        """Each worker's works by port, in the order in which they were queued."""

    def queue(self, item: Queued) -> None:
        """Let a frame wait for its port's work: a slave's port, or that on a lower device."""
        dev = item[0]
        port = dev.port if isinstance(dev, Ipvlan) else dev.rx_handler
        worker = BOUND if isinstance(port, IpvlanPort) else UNBOUND
        self._works[worker].setdefault(port, deque()).append(item)
        if worker not in self.ready:
            self.ready.append(worker)

    def switch(self) -> str:
        """Whose turn it is."""
        if self.released and not self.several and KSOFTIRQD not in self.ready:
            self.ready.append(KSOFTIRQD)
        self.released = False
        return self.ready[0]

    def work(self, worker: str) -> deque[Queued] | None:
        """What waited for the worker's next port; None: nothing more, its turn is over."""
        works = self._works.get(worker)
        if not works:
            self.ready.remove(worker)
            return None
        return works.pop(next(iter(works)))

    @property
    def at_once(self) -> bool:
        """Whether soft interrupts run as soon as something is handed out."""
        return KSOFTIRQD not in self.ready
