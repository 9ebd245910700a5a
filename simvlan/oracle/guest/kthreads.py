"""Whether the kernel's own threads are at work: those of work queues and of postponed soft interrupts.

Since Linux 6.4 macvlan's broadcasts, and later linkwatch, go through a work queue of no certain CPU, where works run
side by side: that one is done says nothing of another that was queued before it. But while any is left to do, a worker
is running or about to. So it is before 6.4 when a work is queued while it runs: it is kept for the worker that has it,
and others overtake it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_NEW = "kthreadd"
"""A thread's name until who had it made gives it another, which takes as long as that one waits for the processor."""
_LIST_MAX, _PAGE = 1 << 16, 4096
UNBOUND, BOUND = ("kworker/u", "ksoftirqd/"), ("kworker/0:", "ksoftirqd/")
_AT_WORK = (b"R", b"D")
"""It runs or is about to, or waits for a lock: linkwatch for rtnl."""
_BLIND_S = 0.002
_EAGER, _PAUSE_S = 5, 0.0005
_LIMIT_S = 1.0  # others use these queues too; where a machine is busy, a worker waits a tenth for its turn


class Kthreads:
    """The threads that may hold frames or carrier changes back."""

    def __init__(self, names: tuple[str, ...], proc: str = "/proc", *, yielding: bool = False) -> None:
        """`names`: how theirs begin; `proc`: where the kernel tells of them.

        `yielding`: to give the processor away is enough: they are on this one, and who asks goes before none of them.
        """
        self._names, self._proc, self._yielding = names, Path(proc), yielding
        self._known: dict[str, int | None] = {}
        """Each thread's number, and its `stat` file if it is one of those."""
        threads = self._proc / "2" / "task" / "2" / "children"
        self._list = os.open(threads, os.O_RDONLY | os.O_CLOEXEC) if threads.exists() else -1
        self._seen = b""
        """The list as it was when `_watched` was made: those of `_known` that matter."""
        self._watched: list[str] = []
        self._visible = self._list >= 0
        self._busy()
        self._visible = any(fd is not None for fd in self._known.values())

    def wait(self) -> bool:
        """Return once none of them runs; False if they never rested, or cannot be seen (a container)."""
        if not self._visible:
            time.sleep(_BLIND_S)
            return False
        end, looks = time.monotonic() + _LIMIT_S, 0
        while self._busy() and time.monotonic() < end:
            looks += 1
            if self._yielding or looks < _EAGER:
                os.sched_yield()
            else:
                time.sleep(_PAUSE_S)  # it waits for somebody else: leave them the processor
        return time.monotonic() < end

    def _busy(self) -> bool:
        if not self._visible:
            return False
        if (numbers := self._numbers()) != self._seen:
            self._seen = numbers
            self._look_at(numbers.decode().split())
        return not self._seen or any(self._runs(number) for number in self._watched)

    def _look_at(self, numbers: list[str]) -> None:
        """Know those that are new, and forget those that are gone: numbers are given again."""
        for number in self._known.keys() - numbers:
            if (fd := self._known.pop(number)) is not None:
                os.close(fd)
        for number in numbers:
            if number not in self._known:
                name = self._name(number)
                if name == _NEW:
                    self._seen = b""  # look again
                else:
                    self._known[number] = self._stat(number) if name.startswith(self._names) else None
        self._watched = [number for number, fd in self._known.items() if fd is not None]

    def _numbers(self) -> bytes:
        found = b""
        while more := os.pread(self._list, _LIST_MAX, len(found)):
            found += more
            if len(more) < _PAGE // 2:
                break  # the kernel gives such lists by the page
        return found

    def _runs(self, number: str) -> bool:
        fd = self._known.get(number)
        if fd is None:
            return False
        try:
            return os.pread(fd, 128, 0).rpartition(b") ")[2][:1] in _AT_WORK
        except ProcessLookupError:
            os.close(fd)
            del self._known[number]
            self._seen = b""
            return False

    def _name(self, number: str) -> str:
        """The name of a thread; "" if it is gone."""
        with contextlib.suppress(OSError):
            return (self._proc / number / "comm").read_text().rstrip()
        return ""

    def _stat(self, number: str) -> int | None:
        with contextlib.suppress(OSError):
            return os.open(self._proc / number / "stat", os.O_RDONLY | os.O_CLOEXEC)
        return None
