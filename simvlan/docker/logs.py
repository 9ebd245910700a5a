"""What a container wrote, and who is listening. Mirrors daemon/logger (json-file) and container/stream.

Output is kept line by line, each with its time and stream. Attached clients get it as it comes, and the process waits
for the slowest of them; whoever reads the log reads at his own pace.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from simvlan.docker.pending import STDOUT, Stream
from simvlan.docker.times import log_stamp

KEPT_LINES, KEPT_OCTETS = 100_000, 32 << 20
"""What is kept per container; older lines are forgotten."""
LONGEST = 16 << 10
"""Octets after which a line without an end is kept in pieces, as Docker does."""


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
        self._lines: deque[Line] = deque()
        self._size = 0
        self._forgotten = 0
        self._partial: dict[int, tuple[int, bytes]] = {}
        self._attached: list[tuple[Stream, frozenset[int]]] = []
        self._readers: list[Reader] = []
        self.brake = Brake()

    def write(self, number: int, data: bytes) -> None:
        """Take a piece of output: to the attached clients at once, to the log when a line is whole."""
        for stream, wanted in tuple(self._attached):
            if number in wanted:
                stream.push(number, data)
                self.brake.check(stream)
        begun, rest = self._partial.pop(number, (self._now(), b""))
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            self._keep(Line(begun, number, line + b"\n"))
            begun = self._now()
        while len(rest) > LONGEST:
            self._keep(Line(begun, number, rest[:LONGEST]))
            rest = rest[LONGEST:]
        if rest:
            self._partial[number] = (begun, rest)

    def _keep(self, line: Line) -> None:
        self._lines.append(line)
        self._size += len(line.data)
        while len(self._lines) > KEPT_LINES or self._size > KEPT_OCTETS:
            self._size -= len(self._lines.popleft().data)
            self._forgotten += 1
        for reader in tuple(self._readers):
            reader.go_on()

    def end(self) -> None:
        """The process has ended: the rest is a line, whoever was attached or followed is done."""
        for number, (begun, rest) in sorted(self._partial.items()):
            self._keep(Line(begun, number, rest))
        self._partial.clear()
        attached, self._attached = self._attached, []
        readers, self._readers = self._readers, []
        for stream, _ in attached:
            stream.end()
        for reader in readers:
            reader.no_more()

    def attach(self, stream: Stream, wanted: Iterable[int]) -> None:
        """Send what comes from now on to a client."""
        self._attached.append((stream, frozenset(wanted)))

    def detach(self, stream: Stream) -> None:
        """Forget a client."""
        self._attached = [entry for entry in self._attached if entry[0] is not stream]
        self._readers = [reader for reader in self._readers if reader.stream is not stream]

    @property
    def end_number(self) -> int:
        """The number that the next line will have; the first line ever written has 0."""
        return self._forgotten + len(self._lines)

    def line(self, number: int) -> tuple[int, Line | None]:
        """A line by its number, or the first that is kept after it: its number, and None where there is none yet."""
        number = max(number, self._forgotten)
        at = number - self._forgotten
        return number, self._lines[at] if at < len(self._lines) else None

    def replay(self, stream: Stream, query: LogQuery) -> None:
        """Send what was kept, all of it at once."""
        for line in self._lines:
            if query.wants(line):
                stream.push(line.stream, query.text(line))

    def read(self, stream: Stream, query: LogQuery, follow: bool) -> None:
        """Send what was kept, and with *follow* what is still to come, as fast as the client takes it."""
        reader = Reader(self, stream, query, self._first(query))
        stream.on_room = reader.go_on
        if follow:
            self._readers.append(reader)
        else:
            reader.no_more()

    def _first(self, query: LogQuery) -> int:
        """The number of the first line that the tail asked for leaves."""
        if query.tail is None:
            return 0
        number, left = self.end_number, query.tail
        while left and number > self._forgotten:
            number -= 1
            left -= query.wants(self._lines[number - self._forgotten])
        return number


class Reader:
    """One client on its way through a log."""

    def __init__(self, output: Output, stream: Stream, query: LogQuery, first: int) -> None:
        self.stream = stream
        self._output, self._query, self._next = output, query, first
        self._end: int | None = None
        """The number after the last line there will be."""

    def go_on(self) -> None:
        """Send lines while the client has room for them."""
        while self.stream.room() and not self.stream.ended and (self._end is None or self._next < self._end):
            number, line = self._output.line(self._next)
            if line is None:
                return
            self._next = number + 1
            if self._query.wants(line):
                self.stream.push(line.stream, self._query.text(line))
        if self._end is not None and self._next >= self._end:
            self.stream.end()

    def no_more(self) -> None:
        """What is kept by now is all."""
        self._end = self._output.end_number
        self.go_on()


class Brake:
    """Holds a process while a client of its output does not keep up, as a full pipe does."""

    def __init__(self) -> None:
        self.hold: Callable[[bool], None] = lambda _held: None
        """Holds the process, or lets it go on."""
        self._slow: list[Stream] = []

    def check(self, stream: Stream) -> None:
        """Hold the process if this client has no room for more."""
        if stream.ended or stream.room():
            return
        if stream not in self._slow:
            self._slow.append(stream)
            stream.on_room = lambda: self._release(stream)
        self.hold(True)

    def _release(self, stream: Stream) -> None:
        if stream in self._slow:
            self._slow.remove(stream)
            if not self._slow:
                self.hold(False)
