"""How far a sweep is, on one line of a terminal, or now and then a line in a log."""

from __future__ import annotations

import time
from typing import TextIO

TERMINAL_S, LOG_S = 0.2, 10.0


class Progress:
    """Told after every point; says something when it is time to."""

    def __init__(self, total: int, already: int, to: TextIO | None) -> None:
        self.total, self.done, self.failed = total, already, 0
        self._to = to
        self._already = already
        self._begin = self._said = time.monotonic()
        if to and already:
            print(f"sweep: {already} of {total} points are there already", file=to, flush=True)

    def step(self, failed: bool) -> None:
        """Count one point."""
        self.done += 1
        self.failed += failed
        if self._to is None:
            return
        now = time.monotonic()
        terminal = self._to.isatty()
        if now - self._said >= (TERMINAL_S if terminal else LOG_S) or (terminal and self.done == self.total):
            self._said = now
            end = "\n" if self.done == self.total or not terminal else ""
            print(f"{chr(13) if terminal else ''}{self}", end=end, file=self._to, flush=True)

    def __str__(self) -> str:
        spent = time.monotonic() - self._begin
        fresh = self.done - self._already
        left = spent / fresh * (self.total - self.done) if fresh else 0.0
        failed = f", {self.failed} failed" if self.failed else ""
        return f"sweep: {self.done} of {self.total} points{failed}, {spent:.0f} s, about {left:.0f} s left   "
