"""What an engine must not lose: networks and containers, on disk before the request is answered.

A journal of JSON lines, one change a line, flushed to the disk (fsync) before `put` or `drop` returns; a line that a
crash cut short was never acknowledged and is dropped. When the journal has grown to several times what is alive, it is
written anew beside itself and renamed into place. One process at a time holds a folder (flock).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from typing import IO, Any, Protocol

JOURNAL = "journal.jsonl"
SLACK = 1000
"""Lines beyond twice the living before the journal is written anew."""


class Store(Protocol):
    """Where an engine keeps its objects: kinds of things, each by its id."""

    def load(self, kind: str) -> dict[str, dict[str, Any]]:
        """Everything of one kind, in order of first writing."""

    def put(self, kind: str, ident: str, value: Mapping[str, Any]) -> None:
        """Keep an object, or its new state; on return it is safe."""

    def drop(self, kind: str, ident: str) -> None:
        """Forget an object; on return that is safe."""


class MemoryStore:
    """Keeps nothing beyond the process: without `--state`."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, dict[str, Any]]] = {}

    def load(self, kind: str) -> dict[str, dict[str, Any]]:
        """Everything of one kind."""
        return dict(self._kinds.get(kind, {}))

    def put(self, kind: str, ident: str, value: Mapping[str, Any]) -> None:
        """Keep an object."""
        self._kinds.setdefault(kind, {})[ident] = dict(value)

    def drop(self, kind: str, ident: str) -> None:
        """Forget an object."""
        self._kinds.get(kind, {}).pop(ident, None)


class StateInUse(Exception):  # noqa: N818 - a refusal, worded for people
    """Another process holds this state folder."""


class FileStore:
    """A folder of one journal, private to its owner."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self._lock = self._hold()
        self._kinds: dict[str, dict[str, dict[str, Any]]] = {}
        self._lines = self._replay()
        self._file: IO[bytes] = open(self._path, "ab")  # noqa: SIM115 - held as long as the store
        self._rewrite_if_long()

    @property
    def _path(self) -> str:
        return os.path.join(self.folder, JOURNAL)

    def _hold(self) -> int:
        lock = os.open(os.path.join(self.folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StateInUse(f"{self.folder}: another engine uses this state folder; stop it or name another") from None
        return lock

    def _replay(self) -> int:
        """Read the journal; a torn last line is cut off so that the next one begins on its own."""
        if not os.path.exists(self._path):
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
            _sync_folder(self.folder)
            return 0
        with open(self._path, "rb") as file:
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            os.truncate(self._path, len(whole))
        lines = whole.splitlines()
        for number, line in enumerate(lines, 1):
            self._apply(line, number)
        return len(lines)

    def _apply(self, line: bytes, number: int) -> None:
        try:
            kind, ident, value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{self._path}, line {number}: {error}: the journal is damaged") from None
        things = self._kinds.setdefault(kind, {})
        if value is None:
            things.pop(ident, None)
        else:
            things[ident] = value

    def load(self, kind: str) -> dict[str, dict[str, Any]]:
        """Everything of one kind, in order of first writing."""
        return dict(self._kinds.get(kind, {}))

    def put(self, kind: str, ident: str, value: Mapping[str, Any]) -> None:
        """Keep an object, or its new state; on return it is on the disk."""
        text = json.dumps(value)
        if json.dumps(self._kinds.get(kind, {}).get(ident)) == text:
            return
        self._append(json.dumps([kind, ident, value]).encode())
        self._kinds.setdefault(kind, {})[ident] = json.loads(text)
        self._rewrite_if_long()

    def drop(self, kind: str, ident: str) -> None:
        """Forget an object; on return that is on the disk."""
        if ident in self._kinds.get(kind, {}):
            self._append(json.dumps([kind, ident, None]).encode())
            del self._kinds[kind][ident]

    def _append(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._lines += 1

    def _rewrite_if_long(self) -> None:
        alive = sum(len(things) for things in self._kinds.values())
        if self._lines <= 2 * alive + SLACK:
            return
        fresh = self._path + ".new"
        with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            for kind, things in self._kinds.items():
                for ident, value in things.items():
                    file.write(json.dumps([kind, ident, value]).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._path)
        _sync_folder(self.folder)
        self._file.close()
        self._file = open(self._path, "ab")  # noqa: SIM115 - held as long as the store
        self._lines = alive

    def close(self) -> None:
        """Let the folder go."""
        self._file.close()
        os.close(self._lock)


def _sync_folder(folder: str) -> None:
    """Make a new or renamed name in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
