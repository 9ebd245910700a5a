"""Scripts begun before their tests' turn: most of what a kernel does with one is waiting."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from simvlan.oracle.diff import Comparison, diff
from simvlan.oracle.guests import Guest, Stop
from simvlan.oracle.kernels import Kernel, Pool
from simvlan.oracle.runs import Job, KernelRun

GUESTS = 3
"""Booted at a time."""
PATIENT = Path(__file__).with_name("patient.sh")


class Ahead:
    """Guests of a kernel that are one to who asks: a script that was ordered is begun when a guest is free."""

    def __init__(self, kernel: Kernel, guests: int = GUESTS) -> None:
        self.kernel = kernel
        self.stop = Stop()
        self._pool = Pool(kernel, guests, self.stop)
        self._threads = ThreadPoolExecutor(guests)
        self._orders: set[tuple[str, ...]] = set()
        self._begun: dict[tuple[str, ...], Future[KernelRun]] = {}
        self.release = self.say("true").kernel_release

    def order(self, jobs: Sequence[Job]) -> None:
        """Begin with scripts, each once."""
        for job in jobs:
            if (key := _key(job)) not in self._orders:
                self._orders.add(key)
                self._begun[key] = self._threads.submit(self._pool.run, job)

    def run(self, job: Job) -> KernelRun:
        """What a script did that was ordered; what another does now."""
        begun = self._begun.pop(_key(job), None)
        return begun.result() if begun else self._pool.run(job)

    def say(self, text: str) -> KernelRun:
        """What a few commands do."""
        return self._pool.run(Job(text, capture=False))

    def diff(self, job: Job) -> Comparison:
        """Compare a script with the simulator; where they disagree it is tried again, always on the same guest."""
        with ExitStack() as stack:
            return diff(_Turn(self, stack), job)  # type: ignore[arg-type]

    def hold(self, stack: ExitStack) -> Guest:
        """A guest for oneself, while the stack lasts."""
        return stack.enter_context(self._pool.guest())

    def close(self) -> None:
        """End all guests, and what they are at."""
        self.stop.number = signal.SIGTERM
        self._threads.shutdown(cancel_futures=True)
        self._pool.close()


class _Turn:
    """A guest as `diff` asks it: the first answer may be there already, all others are of one boot."""

    def __init__(self, ahead: Ahead, stack: ExitStack) -> None:
        self.kernel, self.release, self.stop = ahead.kernel, ahead.release, ahead.stop
        self._ahead, self._stack = ahead, stack
        self._first = True
        self._guest: Guest | None = None

    def run(self, job: Job) -> KernelRun:
        if self._first:
            self._first = False
            return self._ahead.run(job)
        self._guest = self._guest or self._ahead.hold(self._stack)
        return self._guest.run(job)


def _key(job: Job) -> tuple[str, ...]:
    return (str(job.path), *job.args)


def job_of(script: Path, *args: str, timeout_s: float = 100) -> Job:
    """A script where it lies, with all that is compared."""
    return Job(
        path=str(script), args=args, cwd=str(script.parent), env=dict(os.environ), timeout_s=timeout_s, listings=True
    )


def patient(script: Path, timeout_s: float = 100) -> Job:
    """The same, in namespaces whose neighbours outlast a slow guest."""
    return replace(job_of(script, timeout_s=timeout_s), path=str(PATIENT), args=[str(script)])


def coming(item: pytest.Item, count: int) -> list[pytest.Item]:
    """A test and those chosen to run after it, of its file."""
    items = item.session.items
    at = items.index(item)
    return [each for each in items[at : at + count] if each.path == item.path]
