"""How a command line ends early: iproute2's words on stderr and its exit statuses.

`Quit` leaves the program (exit(3) in iproute2), `Failed` only the command: a batch goes on after it with -force.
"""

from __future__ import annotations

import os

from simvlan.errors import RtnlError

USAGE = 255
"""exit(-1): a word that cannot be understood."""
WRONG = 1
"""The command cannot be carried out as asked."""
REFUSED = 2
"""The kernel refused, or the simulator does not model it."""


class Ended(Exception):  # noqa: N818 - a way to end, not always an error
    """The end of a command, with what it says on stderr."""

    def __init__(self, status: int, text: str = "") -> None:
        self.status = status
        self.text = text
        super().__init__(text)


class Quit(Ended):
    """The program ends here."""


class Failed(Ended):
    """The command ends here."""


def invalid(text: str, word: str) -> Quit:
    """Say that an argument is wrong."""
    return Quit(USAGE, f'Error: argument "{word}" is wrong: {text}\n')


def duplicate(key: str, word: str) -> Quit:
    """Say that an argument came twice."""
    return Quit(USAGE, f'Error: duplicate "{key}": "{word}" is the second value.\n')


def duplicate_or_garbage(key: str, word: str) -> Quit:
    """Say that a bare word is one too many."""
    return Quit(USAGE, f'Error: either "{key}" is duplicate, or "{word}" is a garbage.\n')


def incomplete() -> Quit:
    """Say that the command line stops too early."""
    return Quit(USAGE, 'Command line is not complete. Try option "help"\n')


def missing(text: str) -> Failed:
    """Say that a needed argument is absent."""
    return Failed(WRONG, f"{text}\n")


def no_device(name: str) -> Failed:
    """Say that a device does not exist."""
    return Failed(WRONG, f'Cannot find device "{name}"\n')


def refuse(what: str) -> Quit:
    """Refuse by name what the simulator does not model."""
    return Quit(REFUSED, f"simvlan: {what} is not modelled\n")


def refused(error: RtnlError) -> Failed:
    """Say what the kernel answered."""
    return Failed(REFUSED, kernel_text(error))


def kernel_text(error: RtnlError) -> str:
    """Write a refusal as libnetlink prints it."""
    if not error.extack:
        return f"RTNETLINK answers: {os.strerror(error.errno)}\n"
    return f"Error: {error.extack}{'' if error.extack.endswith('.') else '.'}\n"
