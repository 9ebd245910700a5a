"""The shell's redirections: files in the container's memory, here-documents, `2>&1`."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simvlan.docker.programs.process import Proc, Streams
from simvlan.docker.programs.sh import expand, tree
from simvlan.docker.programs.sh.leaving import Fault
from simvlan.docker.programs.streams import Sink, Source, To

if TYPE_CHECKING:
    from simvlan.docker.programs.sh.shell import Shell


def redirected(shell: Shell, redirects: list[tree.Redirect]) -> Generator[Any, Any, Streams]:
    """A shell's streams with some of them replaced. Raises Fault, OSError."""
    made = shell.streams.but()
    for redirect in redirects:
        target = yield from expand.single(shell, redirect.target)
        if redirect.op == "<<":
            made.stdin = Given(target.encode())
        elif redirect.op == "<":
            made.stdin = Given(b"" if target == "/dev/null" else shell.proc.container.read(shell.proc.path(target)))
        elif redirect.op == ">&" and target in "012":
            _replace(made, redirect.fd, made.stderr if target == "2" else made.stdout)
        elif redirect.op in (">", ">>"):
            _replace(made, redirect.fd, _file(shell.proc, target, redirect.op == ">>", made))
        else:
            raise Fault(f"{target}: bad redirection")
    return made


def _file(proc: Proc, target: str, append: bool, streams: Streams) -> Sink:
    if target in ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"):
        known = {"/dev/null": Sink(), "/dev/stdout": streams.stdout, "/dev/stderr": streams.stderr}
        return known.get(target, streams.tty or streams.stdout)
    path = proc.path(target)
    try:
        kept = proc.container.files().get(path, b"") if append else b""
        proc.container.store(path, kept)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target, None, "create") from None
    data = bytearray(kept)

    def take(piece: bytes) -> None:
        data.extend(piece)
        proc.container.store(path, bytes(data))

    return To(take)


class Given(Source):
    """Input that is there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self) -> Generator[Any, Any, bytes]:
        """All of it, once."""
        yield from ()
        data, self._data = self._data, b""
        return data

    def line(self) -> Generator[Any, Any, bytes]:
        """One line."""
        yield from ()
        size = self._data.find(b"\n") + 1 or len(self._data)
        line, self._data = self._data[:size], self._data[size:]
        return line


def _replace(streams: Streams, fd: int, sink: Sink) -> None:
    if fd == 1:
        streams.stdout = sink
    elif fd == 2:
        streams.stderr = sink
