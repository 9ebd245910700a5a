"""iproute2 kept alive: one `ip -batch -` or `bridge -batch -` per namespace, a line in, what it said out.

Starting a program costs User Mode Linux tens of milliseconds, a line through a pipe less than one; parsing, messages
and error texts stay iproute2's own. After each line comes one that names no object: its complaint marks the end.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence

_MARK = "@@"
_END = f'Object "{_MARK}" is unknown, try "{{}} help".\nCommand failed -:'
_FAILED = "Command failed -:"
_LIMIT_S = 60.0


class BatchHungError(RuntimeError):
    """The program neither answered nor ended in time."""


class Batch:
    """One such process, in the network namespace that the caller is in while making it."""

    def __init__(self, tool: str, flags: Sequence[str], env: dict[str, str]) -> None:
        self._end = _END.format(tool).encode()
        ours, theirs = zip(*(os.pipe()[::way] for way in (-1, 1, 1)), strict=True)
        moves = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(theirs)]
        argv = [tool, *flags, "-force", "-batch", "-"]
        self._pid: int = os.posix_spawnp(tool, argv, env, file_actions=moves)
        for fd in theirs:
            os.close(fd)
        self._in, self._out, self._err = ours
        for fd in (self._out, self._err):
            os.set_blocking(fd, False)
        self._poll = select.poll()
        self._poll.register(self._err, select.POLLIN)
        self.alive = True

    def do(self, line: str) -> tuple[int, str, str]:
        """Run one line; its status (1 for any refusal, the exit code where the program ended), output and errors."""
        os.write(self._in, f"{line}\n{_MARK}\n".encode())
        lists = " show" in line
        if lists:
            self._poll.register(self._out, select.POLLIN)
        said, errors = [], b""
        while not (errors.endswith(b"\n") and self._end in errors):
            ready = self._poll.poll(_LIMIT_S * 1000)
            if not ready:
                raise BatchHungError(line)
            for fd, what in ready:
                if fd == self._out:
                    said.append(_read(fd))
                elif what & select.POLLIN:
                    errors += os.read(fd, 1 << 16)
                else:
                    return self._ended(b"".join(said), errors)
        if lists:
            said.append(_read(self._out))
            self._poll.unregister(self._out)
        body, failed, _ = errors[: errors.index(self._end)].decode().partition(_FAILED)
        return (1 if failed else 0), b"".join(said).decode(), body

    def _ended(self, said: bytes, errors: bytes) -> tuple[int, str, str]:
        """iproute2 leaves at once where it cannot make sense of a word."""
        self.alive = False
        said += _read(self._out)
        _, status = os.waitpid(self._pid, 0)
        self._close_pipes()
        return os.waitstatus_to_exitcode(status), said.decode(), errors.decode()

    def close(self) -> None:
        """End the process."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._close_pipes()

    def _close_pipes(self) -> None:
        for fd in (self._in, self._out, self._err):
            os.close(fd)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 20)
    except BlockingIOError:
        return b""
