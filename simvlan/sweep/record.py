"""The points done, in a file that only grows: whatever kills the sweep, at most the line being written is lost.

The first line says what sweep this is; every other line is one point. A line is written by one call and forced to
disk; a torn last line, or one whose end was lost, is cut off when the file is opened again.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

NAME = "points.jsonl"


class OtherSweep(ValueError):  # noqa: N818 - what is the case
    """The folder holds the points of a different sweep."""


class Busy(RuntimeError):  # noqa: N818 - what is the case
    """Another process is at work on the same sweep."""


class Record:
    """An open record.

    Attributes:
        done: the lines there are, by point; the last one of a point counts.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], fresh: bool = False) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(f"out={folder}: this is a file: give a folder") from None
        self.path = folder / NAME
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._lock()
            if fresh:
                os.ftruncate(self._file, 0)
            self.done = self._read(identity)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def add(self, line: dict[str, Any]) -> None:
        """Append one point, for good."""
        self._write(line)
        self.done[line["key"]] = line

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            remedy = "wait for it, or use another folder"
            raise Busy(f"{self.path}: another process works on this sweep: {remedy}") from None

    def _read(self, identity: dict[str, Any]) -> dict[str, dict[str, Any]]:
        octets = self.path.read_bytes()
        lines, good = whole_lines(octets)
        if b"\n" in octets and not (lines and "sweep" in lines[0]):
            remedy = "use another folder, or fresh=True (--fresh) to overwrite it"
            raise OtherSweep(f"{self.path} is no record of a sweep: {remedy}")
        os.ftruncate(self._file, good)
        if not lines:
            self._write({"sweep": identity})
            return {}
        if lines[0]["sweep"] != identity:
            raise OtherSweep(_difference(self.path, lines[0]["sweep"], identity))
        return {line["key"]: line for line in lines[1:]}

    def _write(self, line: dict[str, Any]) -> None:
        octets = json.dumps(line).encode() + b"\n"
        if os.write(self._file, octets) != len(octets):
            raise OSError(f"{self.path}: the disk is full: make room and give the same command again")
        os.fsync(self._file)


def whole_lines(octets: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the complete lines at the beginning, and how many octets they take."""
    lines: list[dict[str, Any]] = []
    good = 0
    for raw in octets.splitlines(keepends=True):
        try:
            line = json.loads(raw) if raw.endswith(b"\n") else None
        except ValueError:
            line = None
        if not isinstance(line, dict):
            break
        lines.append(line)
        good += len(raw)
    return lines, good


def _difference(path: Path, there: dict[str, Any], asked: dict[str, Any]) -> str:
    about = [name for name in asked if there.get(name) != asked[name]]
    words = {"source": "the scenario's file has changed since", "simvlan": "it was made by another version of simvlan"}
    told = "; ".join(words.get(name, f"its {name} is {there.get(name)!r}, not {asked[name]!r}") for name in about)
    return f"{path} holds another sweep: {told}. Use another folder, or fresh=True (--fresh) to begin anew"
