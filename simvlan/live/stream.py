"""A pcapng that is read while it is written: a pipe, a FIFO, or a file, up to date after every turn of the engine.

Whoever reads too slowly does not hold up the network: beyond a bound frames are left out of the capture, and counted.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable

from simvlan.capture_ng import PcapNg
from simvlan.network import Network

BOUND = 16 << 20
"""Octets that may wait for a reader."""


class Pipe:
    """A non-blocking descriptor with a bounded buffer, written to as a file is."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._buffer = bytearray()
        self.broken = False
        os.set_blocking(fd, False)

    @property
    def full(self) -> bool:
        """Whether no more may be added."""
        return len(self._buffer) > BOUND

    def write(self, data: bytes) -> int:
        """Add octets."""
        if not self.broken:
            self._buffer += data
        return len(data)

    def flush(self) -> None:
        """Pass on as much as is taken."""
        try:
            while self._buffer:
                taken = os.write(self.fd, self._buffer)
                del self._buffer[:taken]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.broken = True
            self._buffer.clear()


class LiveCapture(PcapNg):
    """The capture of a live run; called after every turn."""

    def __init__(self, network: Network, path: str, say: Callable[[str], None]) -> None:
        self.pipe = Pipe(_open(path, say))
        self.left_out = 0
        self.epoch_ns = time.time_ns() - int(network.now)
        self._say, self._told = say, False
        super().__init__(network, self.pipe)  # type: ignore[arg-type]  # write and flush are all it needs

    def __call__(self) -> float:
        """Bring the reader up to date; seconds until that is worth while again."""
        self.flush()
        if self.pipe.broken and not self._told:
            self._told = True
            self._say("--pcapng: the reader has gone; the network goes on")
        return 1.0

    def flush(self) -> None:
        """Write everything seen so far, or leave it out when the reader is far behind."""
        if self.pipe.full:
            self.left_out += len(self._pending)
            self._pending.clear()
            self._latest.clear()
        super().flush()


def _open(path: str, say: Callable[[str], None]) -> int:
    if path == "-":
        return os.dup(1)
    if os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode):
        say(f"waiting for a reader of {path}")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
