"""What a container wrote, and who is listening. Mirrors daemon/logger (json-file) and container/stream.

Output is kept line by line, each with its time and stream; attached clients get it as it comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from simvlan.docker.pending import STDOUT, Stream
from simvlan.docker.times import log_stamp

KEPT_LINES = 100_000
"""Lines kept per container; older ones are forgotten."""


@dataclass
class Line:
    """One line of output, its line feed included unless the process ended without one."""

    time_ns: int
    stream: int
    data: bytes


@dataclass
class LogQuery:
    """What a client wants of a log."""

    stdout: bool = True
    stderr: bool = True
    timestamps: bool = False
    since_ns: int = 0
    until_ns: int | None = None
    tail: int | None = None
    """Only the last so many lines."""

    def wants(self, line: Line) -> bool:
        """Whether a line is among those asked for, the tail apart."""
        if not (self.stdout if line.stream == STDOUT else self.stderr):
            return False
        return line.time_ns >= self.since_ns and (self.until_ns is None or line.time_ns <= self.until_ns)

    def text(self, line: Line) -> bytes:
        """The line as it is sent."""
        return (log_stamp(line.time_ns) + " ").encode() + line.data if self.timestamps else line.data


class Output:
    """The output of one container over all its runs."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._partial: dict[int, tuple[int, bytes]] = {}
        self._attached: list[tuple[Stream, frozenset[int]]] = []
        self._followers: list[tuple[Stream, LogQuery]] = []

    def write(self, number: int, data: bytes) -> None:
        """Take a piece of output: to the attached clients at once, to the log when a line is whole."""
        for stream, wanted in tuple(self._attached):
            if number in wanted:
                stream.push(number, data)
        begun, rest = self._partial.pop(number, (self._now(), b""))
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            self._keep(Line(begun, number, line + b"\n"))
            begun = self._now()
        if rest:
            self._partial[number] = (begun, rest)

    def _keep(self, line: Line) -> None:
        self._lines.append(line)
        for stream, query in tuple(self._followers):
            if query.wants(line):
                stream.push(line.stream, query.text(line))

    def end(self) -> None:
        """The process has ended: the rest is a line, whoever was attached or followed is done."""
        for number, (begun, rest) in sorted(self._partial.items()):
            self._keep(Line(begun, number, rest))
        self._partial.clear()
        streams = [stream for stream, _ in (*self._attached, *self._followers)]
        self._attached.clear()
        self._followers.clear()
        for stream in streams:
            stream.end()

    def attach(self, stream: Stream, wanted: Iterable[int]) -> None:
        """Send what comes from now on to a client."""
        self._attached.append((stream, frozenset(wanted)))

    def detach(self, stream: Stream) -> None:
        """Forget a client."""
        self._attached = [entry for entry in self._attached if entry[0] is not stream]
        self._followers = [entry for entry in self._followers if entry[0] is not stream]

    def replay(self, stream: Stream, query: LogQuery) -> None:
        """Send what was kept."""
        lines = [line for line in self._lines if query.wants(line)]
        if query.tail is not None:
            lines = lines[-query.tail :] if query.tail else []
        for line in lines:
            stream.push(line.stream, query.text(line))

    def follow(self, stream: Stream, query: LogQuery) -> None:
        """Send every further line."""
        self._followers.append((stream, query))
