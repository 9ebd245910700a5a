"""One stream of a script, from a pipe into a file that the waiting side reads along."""

from __future__ import annotations

import os
from pathlib import Path

_PIECE = 1 << 16


class Relay:
    """Copies what comes; `full` when the limit is passed, after which nothing is kept."""

    def __init__(self, path: Path, limit: int, *, flush: bool) -> None:
        self._reading, self.writing_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reading, False)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._left = limit
        self._flush = flush

    @property
    def full(self) -> bool:
        """Whether more was written than is kept."""
        return self._left < 0

    def fileno(self) -> int:
        """What to poll."""
        return self._reading

    def pump(self) -> bool:
        """Copy one piece; False when nothing is waiting."""
        try:
            data = os.read(self._reading, _PIECE)
        except BlockingIOError:
            return False
        self._left -= len(data)
        if self._left >= 0:
            _write_all(self._file, data)
            if self._flush:
                os.fdatasync(self._file)
        return bool(data)

    def close(self) -> None:
        """Copy what is still in the pipe."""
        while not self.full and self.pump():
            pass
        os.close(self._file)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
