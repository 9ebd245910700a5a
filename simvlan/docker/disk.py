"""The files of one container: those Docker makes, the few of an image, and what was written there. All in memory.

They stay while the container is there, over its stops and starts, as the writable layer of a real one does.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Callable, Iterator

FILE_LIMIT = 16 << 20
"""Octets a container may keep in files."""
FOLDER_LIMIT = 10_000
DIRECTORIES = frozenset(
    [
        "/", "/bin", "/dev", "/etc", "/home", "/lib", "/mnt", "/opt", "/proc", "/proc/net", "/root", "/run", "/sbin",
        "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/local", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin",
        "/var", "/var/lib", "/var/log", "/var/run", "/var/tmp",
    ]
)  # fmt: skip
STANDARD_FILES: dict[str, bytes] = {
    "/etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "/etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}
FOREIGN = ("/proc/", "/sys/", "/dev/")
"""Not of the container's own layer."""


class Disk:
    """Files by their path.

    Args:
        made: the files Docker makes, as they are at this moment.
        readonly: nothing can be written (--read-only).
        mounts: where something is mounted; what is there is an empty folder.
    """

    def __init__(self, made: Callable[[], dict[str, str]] = dict, readonly: bool = False, mounts: tuple[str, ...] = ()):
        self._made = made
        self.readonly = readonly
        self._written: dict[str, bytes] = {}
        self._removed: set[str] = set()
        self._begun = {*DIRECTORIES, *(each for mount in mounts for each in _ancestry(mount))}
        self.directories = {*self._begun}

    def files(self) -> dict[str, bytes]:
        """Every file there is."""
        made = {path: text.encode() for path, text in self._made().items() if path not in self._removed}
        return STANDARD_FILES | made | self._written

    def read(self, path: str) -> bytes:
        """A file's contents. Raises OSError."""
        if path in self.directories:
            raise _failure(errno.EISDIR, path)
        files = self.files()
        if path not in files:
            raise _failure(errno.ENOENT, path)
        return files[path]

    def store(self, path: str, data: bytes) -> None:
        """Write a file. Raises OSError."""
        number = self._why_not(path, len(data))
        if number:
            raise _failure(number, path)
        self._written[path] = data

    def _why_not(self, path: str, size: int) -> int:
        if _too_long(path):
            return errno.ENAMETOOLONG
        if path in self.directories:
            return errno.EISDIR
        if posixpath.dirname(path) not in self.directories:
            return errno.ENOENT
        if self.readonly or path.startswith(("/proc/", "/sys/")):
            return errno.EROFS
        kept = sum(len(data) for name, data in self._written.items() if name != path)
        return errno.ENOSPC if kept + size > FILE_LIMIT else 0

    def make_directory(self, path: str) -> None:
        """Make a folder, and those above it. Raises OSError."""
        if self.readonly:
            raise _failure(errno.EROFS, path)
        if _too_long(path):
            raise _failure(errno.ENAMETOOLONG, path)
        files = self.files()
        if any(each in files for each in _ancestry(path)):
            raise _failure(errno.ENOTDIR, path)
        if len(self.directories) >= FOLDER_LIMIT:
            raise _failure(errno.ENOSPC, path)
        self.directories |= set(_ancestry(path))

    def remove(self, path: str) -> None:
        """Unlink a file. Raises OSError."""
        self.read(path)
        self._written.pop(path, None)
        self._removed.add(path)

    def state(self) -> tuple[dict[str, bytes], set[str], set[str]]:
        """What `restore` takes."""
        return {**self._written}, {*self._removed}, {*self.directories}

    def restore(self, state: tuple[dict[str, bytes], set[str], set[str]]) -> None:
        """Go back to an earlier state."""
        self._written, self._removed, self.directories = state

    @property
    def size(self) -> int:
        """Octets that were written."""
        return sum(map(len, self._written.values()))

    def changes(self) -> list[tuple[int, str]]:
        """What differs from the image: (0 changed, 1 added, 2 deleted; path), by path (pkg/archive's Changes)."""
        added = {path: 0 if path in STANDARD_FILES else 1 for path in self._written if not path.startswith(FOREIGN)}
        added |= dict.fromkeys(self.directories - self._begun, 1)
        for path in list(added):
            for folder in _ancestry(posixpath.dirname(path)):
                added.setdefault(folder, 0)
        gone = dict.fromkeys(self._removed & set(STANDARD_FILES), 2)
        return sorted(((kind, path) for path, kind in (added | gone).items() if path != "/"), key=lambda one: one[1])


def _ancestry(path: str) -> Iterator[str]:
    """A folder and those above it."""
    while path not in ("/", ""):
        yield path
        path = posixpath.dirname(path)


def _too_long(path: str) -> bool:
    """NAME_MAX and PATH_MAX."""
    octets = path.encode(errors="surrogateescape")
    return len(octets) >= 4096 or any(len(part) > 255 for part in octets.split(b"/"))


def _failure(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
