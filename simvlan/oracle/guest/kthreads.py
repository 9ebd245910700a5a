"""Whether the kernel's own threads are at work: those of unbound work queues and of postponed soft interrupts.

Since Linux 6.4 macvlan's broadcasts, and later linkwatch, go through a work queue of no certain CPU, where works run
side by side: that one is done says nothing of another that was queued before it. But while any is left to do, a worker
is running or about to.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_THREADS = Path("/proc/2/task/2/children")
_NAMES = ("kworker/u", "ksoftirqd/")
_BLIND_S = 0.002
_LIMIT_S = 0.1  # others use these queues too, perhaps without end


class Kthreads:
    """The threads that may hold frames or carrier changes back."""

    def __init__(self) -> None:
        self._known: dict[str, int | None] = {}
        """Each thread's number, and its `stat` file if it is one of those."""
        self._visible = _THREADS.exists()
        self._busy()
        self._visible = any(fd is not None for fd in self._known.values())

    def wait(self) -> None:
        """Return once none of them runs; where they cannot be seen (a container), after a moment."""
        if not self._visible:
            time.sleep(_BLIND_S)
            return
        end = time.monotonic() + _LIMIT_S
        while self._busy() and time.monotonic() < end:
            os.sched_yield()

    def _busy(self) -> bool:
        if not self._visible:
            return False
        numbers = _THREADS.read_text().split()
        for number in numbers:
            if number not in self._known:
                self._known[number] = _stat_of(number)
        return any(self._runs(number) for number in tuple(self._known))

    def _runs(self, number: str) -> bool:
        fd = self._known[number]
        if fd is None:
            return False
        try:
            return os.pread(fd, 128, 0).rpartition(b") ")[2][:1] == b"R"
        except ProcessLookupError:
            os.close(fd)
            del self._known[number]
            return False


def _stat_of(number: str) -> int | None:
    with contextlib.suppress(OSError):
        if Path("/proc", number, "comm").read_text().startswith(_NAMES):
            return os.open(f"/proc/{number}/stat", os.O_RDONLY | os.O_CLOEXEC)
    return None
