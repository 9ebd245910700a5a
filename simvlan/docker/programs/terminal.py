"""A container's terminal: the line discipline between what a client types and what a program reads.

Mirrors drivers/tty/n_tty.c in canonical mode with echo: CR becomes NL, NL is written as CR NL, Ctrl-C, Ctrl-D, Ctrl-U,
Ctrl-W and backspace do what they do.
"""

from __future__ import annotations

from collections.abc import Callable

from simvlan.docker.programs.schedule import Env
from simvlan.docker.programs.streams import Sink, TerminalInput

INTR, QUIT, EOF, KILL, WERASE, SUSP = 0x03, 0x1C, 0x04, 0x15, 0x17, 0x1A
ERASE = (0x7F, 0x08)
CR, NL, TAB, ESC = 0x0D, 0x0A, 0x09, 0x1B


class Terminal(Sink):
    """One pseudo-terminal: `typed` takes the client's octets, programs read `input` and print by `write`."""

    def __init__(self, env: Env, show: Callable[[bytes], None], rows: int, columns: int) -> None:
        self.input = TerminalInput(env)
        self.rows, self.columns = rows, columns
        self.echo = True
        self.interrupt: Callable[[str], None] = lambda _signal: None
        """Signals the foreground processes."""
        self._show = show
        self._line = bytearray()

    def write(self, data: bytes) -> None:
        """Print, with newlines as a terminal needs them (OPOST, ONLCR)."""
        self._show(data.replace(b"\n", b"\r\n"))

    def typed(self, data: bytes) -> None:
        """Take what was typed."""
        for octet in data:
            self._key(octet)

    def _key(self, octet: int) -> None:
        if octet in (INTR, QUIT):
            self._flush(octet)
            self.interrupt("SIGINT" if octet == INTR else "SIGQUIT")
        elif octet in (CR, NL):
            self._say(b"\r\n")
            self._commit(b"\n")
        elif octet == EOF:
            self._commit(b"") if self._line else self.input.eof()
        elif octet in ERASE:
            self._erase(1)
        elif octet == KILL:
            self._erase(len(self._line))
        elif octet == WERASE:
            self._erase(len(self._line) - len(bytes(self._line).rstrip().rpartition(b" ")[0]))
        elif octet != SUSP:
            self._line.append(octet)
            self._say(_shown(octet))

    def _say(self, data: bytes) -> None:
        if self.echo:
            self._show(data)

    def _flush(self, octet: int) -> None:
        self._say(_shown(octet))
        self._line.clear()
        self.input.drop()

    def _commit(self, end: bytes) -> None:
        line, self._line = bytes(self._line) + end, bytearray()
        self.input.write(line)

    def _erase(self, count: int) -> None:
        for _ in range(min(count, len(self._line))):
            octet = self._line.pop()
            while self._line and octet & 0xC0 == 0x80:  # the rest of one UTF-8 character
                octet = self._line.pop()
            self._say(b"\b \b" * (2 if octet < 32 and octet != TAB else 1))


def _shown(octet: int) -> bytes:
    """How a key is echoed (ECHOCTL)."""
    return b"^" + bytes([octet ^ 0x40]) if octet < 32 and octet != TAB else bytes([octet])
