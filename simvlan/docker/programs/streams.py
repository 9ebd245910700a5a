"""Pipes between the processes of a container, and the ends they read and write."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from simvlan.docker.programs.schedule import Env, Event


class BrokenPipe(Exception):  # noqa: N818 - EPIPE, as a program meets it
    """Nobody will ever read what was written."""


class Source:
    """Something to read from. This one is empty (/dev/null)."""

    def read(self) -> Generator[Any, Any, bytes]:
        """Octets as soon as there are any; b"" at the end."""
        yield from ()
        return b""

    def line(self) -> Generator[Any, Any, bytes]:
        """One line with its newline; less at the end."""
        yield from ()
        return b""

    def rest(self) -> Generator[Any, Any, bytes]:
        """Everything up to the end."""
        found = b""
        while piece := (yield from self.read()):
            found += piece
        return found

    def close(self) -> None:
        """Nobody reads it any more."""


class Pipe(Source):
    """A pipe: written by one side, read by the other."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._held = bytearray()
        self._ended = False
        self._unread = False
        self._news: Event | None = None
        self.wanted: Callable[[], None] | None = None
        """Told when a reader begins to wait."""

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for input that is not there."""
        return self._news is not None and not self._news.triggered

    @property
    def size(self) -> int:
        """How many octets are in it."""
        return len(self._held)

    def write(self, data: bytes) -> None:
        """Put octets in. Raises BrokenPipe when nobody will read them."""
        if self._unread:
            raise BrokenPipe
        self._held += data
        self._wake()

    def end(self) -> None:
        """Nothing more will be written."""
        self._ended = True
        self._wake()

    def close(self) -> None:
        """Nothing more will be read."""
        self._unread = True
        self._held.clear()

    def drop(self) -> None:
        """Forget what has not been read (a terminal's flush)."""
        self._held.clear()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.succeed()

    def _wait(self) -> Generator[Any, Any, None]:
        self._news = self._env.event()
        if self.wanted is not None:
            self.wanted()
        try:
            yield self._news
        finally:
            self._news = None

    def read(self) -> Generator[Any, Any, bytes]:
        """Octets as soon as there are any; b"" at the end."""
        while not self._held and not self._ended:
            yield from self._wait()
        data = bytes(self._held)
        self._held.clear()
        return data

    def line(self) -> Generator[Any, Any, bytes]:
        """One line with its newline; less at the end."""
        while b"\n" not in self._held and not self._ended:
            yield from self._wait()
        size = self._held.find(b"\n") + 1 or len(self._held)
        data = bytes(self._held[:size])
        del self._held[:size]
        return data


class TerminalInput(Pipe):
    """What a terminal's line discipline lets through: an end (Ctrl-D) is read once, then reading goes on."""

    def eof(self) -> None:
        """Ctrl-D was typed on an empty line."""
        self._ended = True
        self._wake()

    def read(self) -> Generator[Any, Any, bytes]:
        """Octets as soon as there are any; b"" for each Ctrl-D."""
        data = yield from super().read()
        if not data and not self.gone:
            self._ended = False
        return data

    def line(self) -> Generator[Any, Any, bytes]:
        """One line; b"" for each Ctrl-D."""
        data = yield from super().line()
        if not data and not self.gone:
            self._ended = False
        return data

    gone = False
    """The terminal itself has hung up."""


class Sink:
    """Something to write to. This one takes everything (/dev/null)."""

    def write(self, data: bytes) -> None:
        """Take octets."""

    def close(self) -> None:
        """Nothing more will be written."""


class To(Sink):
    """Gives what is written to a function."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take

    def write(self, data: bytes) -> None:
        """Pass it on."""
        self._take(data)


class Into(Sink):
    """The writing end of a pipe."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> None:
        """Put it in."""
        self._pipe.write(data)

    def close(self) -> None:
        """Let the reader see the end."""
        self._pipe.end()
