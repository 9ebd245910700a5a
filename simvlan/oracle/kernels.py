"""Run an unmodified bash script on a real kernel and bring back what happened, frame by frame.

Two kernels: `uml`, User Mode Linux (package user-mode-linux; no root, no KVM), and `host`, this machine's own in
private namespaces (root). Both run the same guest program (simvlan.oracle.guest), which knows no rule of the
simulator.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

from simvlan.oracle.availability import Kernel, KernelUnavailable, available
from simvlan.oracle.guests import Guest, Interrupted, Stop, noting_signals
from simvlan.oracle.runs import Job, KernelRun

__all__ = ["Job", "Kernel", "KernelRun", "KernelUnavailable", "Pool", "available", "run_jobs", "run_many", "run_script"]


class Pool:
    """Guests that share the work: two use both cores of a small machine. Each boots when it is first needed."""

    def __init__(self, kernel: Kernel, guests: int = 2, stop: Stop | None = None) -> None:
        if why := available(kernel):
            raise KernelUnavailable(f"{kernel}: {why}")
        self.kernel = kernel
        self.stop = stop or Stop()
        self._free: SimpleQueue[Guest | None] = SimpleQueue()
        self._guests: list[Guest] = []
        self._size = guests
        for _ in range(guests):
            self._free.put(None)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of them."""
        for guest in self._guests:
            guest.close()

    def run(self, job: Job) -> KernelRun:
        """Run one script on a guest that is free; a guest that was lost is replaced for the next script."""
        with self.guest() as guest:
            return guest.run(job)

    def map(self, jobs: Sequence[Job]) -> list[KernelRun]:
        """Run all; results in the order of the jobs."""
        with ThreadPoolExecutor(self._size) as threads:
            return list(threads.map(self.run, jobs))

    @contextmanager
    def guest(self) -> Iterator[Guest]:
        """One that is free, for as long as this lasts; one that was lost is replaced."""
        guest = self._free.get()
        try:
            if guest is None or not guest.alive:
                guest = Guest(self.kernel, self.stop)
                self._guests.append(guest)
            yield guest
        finally:
            self._free.put(guest)


def run_script(
    kernel: Kernel,
    script: str,
    *,
    timeout_s: float = 60.0,
    capture: bool = True,
    args: Sequence[str] = (),
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> KernelRun:
    """Run one bash script on `kernel`, in a network of its own."""
    job = Job(script, args, cwd or os.getcwd(), env or {}, timeout_s, capture)
    return run_jobs(kernel, [job])[0]


def run_many(
    kernel: Kernel, scripts: Sequence[str], *, timeout_s: float = 60.0, capture: bool = True, guests: int = 1
) -> list[KernelRun]:
    """Run many scripts, each in a fresh network, with one boot per guest."""
    jobs = [Job(script, cwd=os.getcwd(), timeout_s=timeout_s, capture=capture) for script in scripts]
    return run_jobs(kernel, jobs, guests=guests)


def run_jobs(kernel: Kernel, jobs: Sequence[Job], *, guests: int = 1) -> list[KernelRun]:
    """The general form: jobs in order, one boot per guest. Ctrl-C ends the guests, then is what it always is."""
    if not jobs:
        if why := available(kernel):
            raise KernelUnavailable(f"{kernel}: {why}")
        return []
    try:
        with noting_signals() as stop, Pool(kernel, min(guests, len(jobs)), stop) as pool:
            return [pool.run(job) for job in jobs] if guests == 1 else pool.map(jobs)
    except Interrupted as interrupted:
        signal.raise_signal(interrupted.number)
        raise
