"""A run's temporary directory: private, short-named, and removed by the next run if its owner could not.

The owner holds a lock on a file in it for as long as it lives: whoever can take that lock knows that the owner is dead,
however it died and in whatever container it ran.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "simvlan-"
LOCK = "owner"
LONGEST = 60
"""Octets of a parent directory's name: a socket's address must fit behind it."""


class Scratch:
    """One directory, ours from the first moment others can see its lock."""

    def __init__(self) -> None:
        place = _place()
        remove_stale(place)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        fresh = self.path / f"{LOCK}.new"
        self._lock = fresh.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        fresh.rename(self.path / LOCK)  # no moment at which the lock is there and free

    def remove(self) -> None:
        """Leave nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def remove_stale(place: str) -> None:
    """Remove directories of runs of this user whose simulator is dead (killed, or out of memory)."""
    for path in _ours(place):
        with contextlib.suppress(OSError):
            lock = os.open(f"{path}/{LOCK}", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _ours(place: str) -> Iterator[str]:
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                        yield entry.path


def _place() -> str:
    """Where private directories may be made whose programs can be run, with a name short enough."""
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        with contextlib.suppress(OSError):
            writable = os.access(place, os.W_OK | os.X_OK)
            if writable and len(place) < LONGEST and not os.statvfs(place).f_flag & os.ST_NOEXEC:
                return place
    raise OSError("no temporary directory in which programs may be run; set TMPDIR")
