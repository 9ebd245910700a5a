"""Where captured frames go: one growing binary file per script, so that a flood costs disk within a limit, not memory.

A record is its time in ns (8 octets), the number of its capture point (4), 1 if it was sent (1), its length (4), and
its octets; `points` names the numbers. The reader is simvlan.oracle.runs.
"""

from __future__ import annotations

import struct
from pathlib import Path

HEAD = struct.Struct("<QIBI")


class Recorder:
    """Appends frames; `full` when the limit is passed, after which nothing is kept."""

    def __init__(self, path: Path, limit: int) -> None:
        self._file = open(path, "wb", buffering=1 << 20)  # noqa: SIM115 - closed by close()
        self._left = limit
        self._numbers: dict[str, int] = {}
        self.appeared: list[tuple[str, str]] = []
        """(capture point, hardware address) of each device when it first came under that name."""

    @property
    def full(self) -> bool:
        """Whether more was shown than is kept."""
        return self._left < 0

    @property
    def points(self) -> list[str]:
        """Names of the capture points, by number."""
        return list(self._numbers)

    def appear(self, point: str, mac: str) -> None:
        """Take note of a device, so that one without any frame is known too."""
        self._numbers.setdefault(point, len(self._numbers))
        self.appeared.append((point, mac))

    def add(self, point: str, time_ns: int, outgoing: bool, octets: bytes) -> None:
        """Append one frame."""
        number = self._numbers.setdefault(point, len(self._numbers))
        self._left -= HEAD.size + len(octets)
        if self._left >= 0:
            self._file.write(HEAD.pack(time_ns, number, outgoing, len(octets)) + octets)

    def close(self) -> None:
        """Write what is still in memory."""
        self._file.close()


class Memory:
    """Keeps frames as JSON will have them, for scenarios that are known to be small."""

    def __init__(self) -> None:
        self.captures: dict[str, list[tuple[int, str, str]]] = {}
        """By capture point: time in ns, "in" or "out", octets in hexadecimal."""

    def appear(self, point: str, mac: str) -> None:
        """Take note of a device, so that one without any frame is known too."""
        self.captures.setdefault(point, [])

    def add(self, point: str, time_ns: int, outgoing: bool, octets: bytes) -> None:
        """Append one frame."""
        self.captures.setdefault(point, []).append((time_ns, "out" if outgoing else "in", octets.hex()))
