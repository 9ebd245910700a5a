"""What the small tools share: addresses, waiting for a socket or a moment, command lines read as getopt reads them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from simvlan.tools.program import Process


class Refused(Exception):  # noqa: N818 - what is the case
    """A program gives up: text for standard error, and its exit status."""

    def __init__(self, text: str, status: int = 1) -> None:
        self.status = status
        super().__init__(text)


def dotted(address: int) -> str:
    """Write an IPv4 address."""
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def resolve(name: str) -> int | None:
    """Read an IPv4 address; the only name there is without a resolver is localhost."""
    if name == "localhost":
        return 0x7F00_0001
    try:
        return int(ipaddress.IPv4Address(name))
    except ValueError:
        return None


def find(proc: Process, name: str) -> int | str:
    """The IPv4 address of a name, asking the process's resolver where it has one; else what getaddrinfo complains of.

    `hosts.find_all` knows both families.
    """
    number = resolve(name)
    if number is not None:
        return number
    found = proc.lookup(name)
    ours = [text for text in found or () if ":" not in text]
    if ours:
        return int(ipaddress.IPv4Address(ours[0]))
    return "Temporary failure in name resolution" if found is None else "Name or service not known"


class Waiter:
    """Wakes a tool when a socket has something, or when a moment comes, whichever is first."""

    def __init__(self, proc: Process) -> None:
        self.env = proc.lab.env
        self._event: Any = None

    def heard(self, _socket: object) -> None:
        """Be told of something received (a socket's `on_receive`)."""
        if self._event is not None and not self._event.triggered:
            self._event.succeed()

    def until(self, moment_ns: int | None) -> Any:
        """Return the event to yield."""
        self._event = self.env.event()
        if moment_ns is None:
            return self._event
        return self._event | self.env.timeout(max(0, moment_ns - self.env.now))


def permute(argv: Iterable[str], spec: str) -> tuple[list[tuple[str, str]], list[str], str | None]:
    """Read options anywhere among the operands, as getopt(3) does; the third answer is the option at fault."""
    words = list(argv)
    options: list[tuple[str, str]] = []
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            return options, rest + words, None
        if len(word) < 2 or word[0] != "-":
            rest.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            at = spec.find(letter) if letter != ":" else -1
            if at < 0:
                return options, rest, f"invalid option -- '{letter}'"
            if spec[at + 1 : at + 2] != ":":
                options.append((letter, ""))
            elif letters:
                options.append((letter, letters))
                break
            elif words:
                options.append((letter, words.pop(0)))
            else:
                return options, rest, f"option requires an argument -- '{letter}'"
    return options, rest, None
