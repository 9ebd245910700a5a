"""The commands that are about time or about other commands: sleep, timeout, sudo, and simvlan inside a script.

They say what GNU coreutils' sleep(1) and timeout(1) say; time is virtual.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simvlan.clock import SECOND

if TYPE_CHECKING:
    from simvlan.shell.client import ClientProcess
    from simvlan.tools.program import Process

SUFFIXES = {"s": 1, "m": 60, "h": 3600, "d": 86400}
FOREVER = math.inf


def duration_ns(text: str) -> float:
    """A time as sleep(1) reads it, in nanoseconds (`inf` for infinity); ValueError when it is none."""
    unit = SUFFIXES.get(text[-1:], 0)
    number = text[:-1] if unit else text
    if number != number.strip() or "_" in number or number.lower().startswith(("nan", "-", "+nan")):
        raise ValueError(text)
    seconds = float.fromhex(number) if number.lower().startswith(("0x", "+0x")) else float(number)
    return FOREVER if seconds == FOREVER else round(seconds * (unit or 1) * SECOND)


def waiting(proc: Process, nanoseconds: float) -> Any:
    """An event that happens after a time; never, after an infinite one."""
    env = proc.lab.env
    return env.event() if nanoseconds == FOREVER else env.timeout(int(nanoseconds))


def sleep(proc: Process) -> Generator[Any, Any, int]:
    """sleep(1): the sum of its arguments, in virtual time."""
    words = [word for word in proc.argv[1:] if word != "--"]
    if words and words[0] in {"--help", "--version"}:
        proc.write("Usage: sleep NUMBER[SUFFIX]...\n")
        return 0
    if not words:
        proc.write_err("sleep: missing operand\nTry 'sleep --help' for more information.\n")
        return 1
    total, bad = 0.0, []
    for word in words:
        try:
            total += duration_ns(word)
        except ValueError:
            bad.append(word)
    if bad:
        complaints = "".join(f"sleep: invalid time interval '{word}'\n" for word in bad)
        proc.write_err(complaints + "Try 'sleep --help' for more information.\n")
        return 1
    yield waiting(proc, total)
    return 0


class Usage(Exception):  # noqa: N818
    """A command line that is refused."""


class TimeoutOptions:
    """What timeout(1) was told."""

    def __init__(self, words: list[str]) -> None:
        self.signal = int(signal.SIGTERM)
        self.kill_after = 0.0
        self.preserve = self.foreground = self.verbose = False
        rest = self._options(list(words))
        if len(rest) < 2:
            raise Usage("missing operand")
        self.duration = _interval(rest[0])
        self.command = rest[1:]

    def _options(self, words: list[str]) -> list[str]:
        while words and words[0].startswith("-") and words[0] != "-":
            word = words.pop(0)
            if word == "--":
                break
            name, glued, value = _option(word)
            if name in {"s", "k"}:
                if not glued and not words:
                    raise Usage(f"option requires an argument -- '{name}'")
                self._set(name, value if glued else words.pop(0))
            else:
                self._flag(name)
        return words

    def _set(self, name: str, value: str) -> None:
        if name == "s":
            self.signal = signal_number(value)
        else:
            self.kill_after = _interval(value)

    def _flag(self, name: str) -> None:
        flags = {"preserve-status": "preserve", "p": "preserve", "foreground": "foreground", "f": "foreground"}
        flags |= {"v": "verbose", "verbose": "verbose"}
        if name not in flags:
            raise Usage(f"unrecognized option '{name}'")
        setattr(self, flags[name], True)


def _option(word: str) -> tuple[str, bool, str]:
    """(name, whether a value is part of the word, that value)."""
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        return {"signal": "s", "kill-after": "k"}.get(name, name), bool(equals), value
    return word[1], len(word) > 2, word[2:]


def _interval(text: str) -> float:
    try:
        return duration_ns(text)
    except ValueError:
        raise Usage(f"invalid time interval '{text}'") from None


def signal_number(text: str) -> int:
    """A signal by number or name, with or without SIG."""
    if text.isdigit():
        return int(text)
    try:
        return int(signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"])
    except KeyError:
        raise Usage(f"'{text}': invalid signal") from None


def timeout(proc: ClientProcess) -> Generator[Any, Any, int]:
    """timeout(1): a command under a clock of virtual time."""
    if proc.argv[1:2] in (["--help"], ["--version"]):
        proc.write("Usage: timeout [OPTION] DURATION COMMAND [ARG]...\n")
        return 0
    try:
        options = TimeoutOptions(proc.argv[1:])
    except Usage as usage:
        proc.write_err(f"timeout: {usage}\nTry 'timeout --help' for more information.\n")
        return 125
    child = proc.spawn(options.command, "timeout-foreground" if options.foreground else "timeout")
    # A duration of 0 means no limit (timeout.c: settimeout).
    yield from _until(proc, child, options.duration or FOREVER)
    if child.triggered:
        return status_of(child.value)
    _send(proc, options, options.signal)
    if options.kill_after:
        yield from _until(proc, child, options.kill_after)
        if not child.triggered:
            _send(proc, options, signal.SIGKILL)
    yield from _until(proc, child, FOREVER)
    if options.preserve or child.value == -signal.SIGKILL:
        return status_of(child.value)
    return 124


def _until(proc: ClientProcess, child: Any, nanoseconds: float) -> Generator[Any, Any, None]:
    """Wait for the child or the time; signals that arrive go to the child."""
    import simpy

    limit = waiting(proc, nanoseconds)
    while not child.triggered and not limit.processed:
        try:
            yield _first(proc.lab.env, child, limit)
        except simpy.Interrupt as interrupt:
            if interrupt.cause == "SIGKILL":
                raise
            proc.signal_child(int(signal.Signals[str(interrupt.cause)]))


def _first(env: Any, *events: Any) -> Any:
    """An event that happens with the first of these, ahead of whatever else is due at that time.

    timeout(1) set its timer before it ran the command, so it is always the first to be woken.
    """
    from simpy.events import URGENT

    first = env.event()

    def happen(_: object) -> None:
        if not first.triggered:
            first._ok, first._value = True, None  # Event.succeed, but urgent
            env.schedule(first, URGENT)

    for event in events:
        event.callbacks.append(happen)
    return first


def _send(proc: ClientProcess, options: TimeoutOptions, number: int) -> None:
    if options.verbose:
        name = signal.Signals(number).name.removeprefix("SIG")
        proc.write_err(f"timeout: sending signal {name} to command '{options.command[0]}'\n")
    proc.signal_child(number)


def status_of(exit_code: int) -> int:
    """The status a shell would show for a child's end (negative: by that signal)."""
    return exit_code if exit_code >= 0 else 128 - exit_code


SUDO_WITH_VALUE = frozenset({"-u", "-g", "-p", "-C", "-h", "-r", "-t", "-T", "-U", "-D", "-R"})


def sudo(proc: Process) -> int:
    """sudo(8): a script is root in its own world already, so the command just runs."""
    words, env = proc.argv[1:], dict(proc.env)
    while words and (words[0].startswith("-") or "=" in words[0]):
        word = words.pop(0)
        if word == "--":
            break
        if "=" in word and not word.startswith("-"):
            key, _, value = word.partition("=")
            env[key] = value
        elif word in SUDO_WITH_VALUE and words:
            words.pop(0)
        elif word in {"-i", "-s", "--login", "--shell"} and not words:
            words = [env.get("SHELL", "/bin/sh")]
            break
    return proc.execute(words, env=env) if words else 0


def simvlan(proc: Process) -> int:
    """simvlan inside a script: `send`, `trace`, `matrix` and `underlay`."""
    from simvlan.shell.send import matrix, send, trace, underlay

    verb = proc.argv[1] if len(proc.argv) > 1 else ""
    verbs = {"send": send, "trace": trace, "matrix": matrix, "underlay": underlay}
    if verb in verbs:
        return verbs[verb](proc)
    said = f"`{verb}`" if verb else "without `send`"
    known = "`simvlan send`, `trace`, `matrix` and `underlay`"
    proc.write_err(f"simvlan: {said} cannot be used inside a script; only {known} can\n")
    return 2
