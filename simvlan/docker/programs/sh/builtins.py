"""Commands that are part of the shell: `builtin(shell, argv)` returns a status, or a generator of one."""

from __future__ import annotations

import posixpath
import signal
from collections.abc import Callable, Generator
from typing import Any

from simvlan.docker.programs.sh.leaving import Jump, Leave
from simvlan.docker.programs.sh.shell import Shell
from simvlan.docker.programs.text import echo_text, printf_text, test_words

Builtin = Callable[[Shell, list[str]], "int | Generator[Any, Any, int]"]


def _out(shell: Shell, text: str) -> None:
    shell.streams.stdout.write(text.encode(errors="surrogateescape"))


def _number(shell: Shell, argv: list[str], default: int) -> int:
    if len(argv) < 2:
        return default
    if not argv[1].lstrip("-").isdigit():
        shell.complain(f"{argv[0]}: Illegal number: {argv[1]}")
        raise Leave(2)
    return int(argv[1])


def colon(_shell: Shell, _argv: list[str]) -> int:
    """Do nothing."""
    return 0


def false(_shell: Shell, _argv: list[str]) -> int:
    """Fail."""
    return 1


def leave(shell: Shell, argv: list[str]) -> int:
    """exit."""
    raise Leave(_number(shell, argv, shell.status) & 255)


def jump(shell: Shell, argv: list[str]) -> int:
    """break and continue."""
    raise Jump(argv[0], max(1, _number(shell, argv, 1)))


def give_back(shell: Shell, argv: list[str]) -> int:
    """return."""
    raise Jump("return", _number(shell, argv, shell.status) & 255)


def cd(shell: Shell, argv: list[str]) -> int:
    """Go to a folder: HOME without an argument, back with `-`."""
    target = argv[1] if len(argv) > 1 else shell.variables.get("HOME", "/root")
    target = shell.variables.get("OLDPWD", shell.proc.cwd) if target == "-" else target
    path = posixpath.normpath(posixpath.join(shell.proc.cwd, target))
    if path not in shell.proc.container.directories:
        shell.complain(f"cd: can't cd to {target}: No such file or directory")
        return 2
    shell.variables["OLDPWD"], shell.variables["PWD"] = shell.proc.cwd, path
    shell.proc.cwd = path
    return 0


def pwd(shell: Shell, _argv: list[str]) -> int:
    """Say where the shell is."""
    _out(shell, shell.proc.cwd + "\n")
    return 0


def echo(shell: Shell, argv: list[str]) -> int:
    """Write words, with -n and -e as busybox reads them."""
    _out(shell, echo_text(argv[1:]))
    return 0


def printf(shell: Shell, argv: list[str]) -> int:
    """Write words by a format."""
    if len(argv) < 2:
        shell.streams.stderr.write(b"usage: printf FORMAT [ARG...]\n")
        return 2
    _out(shell, printf_text(argv[1], argv[2:]))
    return 0


def test(shell: Shell, argv: list[str]) -> int:
    """test and [."""
    words = argv[1:]
    if argv[0] == "[":
        if not words or words[-1] != "]":
            shell.complain("[: missing ]")
            return 2
        words.pop()
    container = shell.proc.container
    try:
        return int(not test_words(words, container.files(), container.directories, shell.proc.path))
    except ValueError as error:
        shell.complain(str(error))
        return 2


def evaluate(shell: Shell, argv: list[str]) -> Generator[Any, Any, int]:
    """eval."""
    return (yield from shell.run_text(" ".join(argv[1:])))


def execute(shell: Shell, argv: list[str]) -> Generator[Any, Any, int]:
    """exec."""
    if len(argv) > 1:
        return (yield from shell.become(argv[1:]))
    return 0


def source(shell: Shell, argv: list[str]) -> Generator[Any, Any, int]:
    """`.`: run a file here."""
    if len(argv) < 2:
        return 2
    text = shell.proc.container.read(shell.proc.path(argv[1])).decode(errors="replace")
    try:
        return (yield from shell.run_text(text))
    except Jump as jumped:
        if jumped.kind != "return":
            raise
        return jumped.count


def export(shell: Shell, argv: list[str]) -> int:
    """export and readonly."""
    for word in argv[1:]:
        name, equals, value = word.partition("=")
        if equals:
            shell.variables[name] = value
        shell.exported.add(name)
    if len(argv) == 1:
        _out(shell, "".join(f"export {n}='{shell.variables.get(n, '')}'\n" for n in sorted(shell.exported)))
    return 0


def unset(shell: Shell, argv: list[str]) -> int:
    """Forget variables and functions."""
    for name in argv[1:]:
        shell.variables.pop(name, None)
        shell.functions.pop(name, None)
        shell.exported.discard(name)
    return 0


def local(shell: Shell, argv: list[str]) -> int:
    """Make variables of the running function, which get their old values back when it returns."""
    for word in argv[1:]:
        name, equals, value = word.partition("=")
        if shell.locals:
            shell.locals[-1].setdefault(name, shell.variables.get(name))
        if equals:
            shell.variables[name] = value
    return 0


def options(shell: Shell, argv: list[str]) -> int:
    """set."""
    words = argv[1:]
    while words and words[0][:1] in "-+" and len(words[0]) > 1:
        word = words.pop(0)
        if word == "--":
            shell.args = words
            return 0
        for flag in word[1:]:
            if flag == "o" and words:
                flag = {"errexit": "e", "nounset": "u", "xtrace": "x", "noglob": "f"}.get(words.pop(0), "o")
            shell.options[flag] = word[0] == "-"
    if words:
        shell.args = words
    if len(argv) == 1:
        _out(shell, "".join(f"{n}='{v}'\n" for n, v in sorted(shell.variables.items())))
    return 0


def shift(shell: Shell, argv: list[str]) -> int:
    """Drop positional parameters; 1 when there are not as many."""
    count = _number(shell, argv, 1)
    if count > len(shell.args):
        return 1
    del shell.args[:count]
    return 0


def read(shell: Shell, argv: list[str]) -> Generator[Any, Any, int]:
    """Read a line into variables (REPLY without any), the last taking the rest; 1 at the end of input."""
    names = [word for word in argv[1:] if not word.startswith("-")] or ["REPLY"]
    raw = (yield from shell.streams.stdin.line()).decode(errors="replace")
    line = raw.rstrip("\n")
    line = line if "-r" in argv else line.replace("\\", "")
    pieces = line.split(None, len(names) - 1) if len(names) > 1 else [line.strip()]
    for position, name in enumerate(names):
        shell.variables[name] = pieces[position].rstrip() if position < len(pieces) else ""
    return int(not raw.endswith("\n"))


def trap(shell: Shell, argv: list[str]) -> int:
    """Set, reset or list what is done at signals and at EXIT."""
    if len(argv) < 2:
        _out(shell, "".join(f"trap -- '{text}' {name.removeprefix('SIG')}\n" for name, text in shell.traps.items()))
        return 0
    words = argv[2:] if argv[1] != "--" else argv[3:]
    text = argv[1] if argv[1] != "--" else argv[2]
    for word in words or [text]:
        name = signal_named(word)
        if not name:
            shell.complain(f"trap: {word}: invalid signal specification")
            return 1
        _set_trap(shell, name, "-" if not words else text)
    return 0


def _set_trap(shell: Shell, name: str, text: str) -> None:
    shell.traps.pop(name, None)
    shell.proc.shields.discard(name)
    if name != "EXIT" and not (name == "SIGINT" and shell.interactive):
        shell.proc.handles.discard(name)
    if text == "":
        shell.proc.shields.add(name)
    elif text != "-":
        shell.traps[name] = text
        shell.proc.handles.add(name)


def signal_named(word: str) -> str:
    """`SIGINT` for 2, INT or SIGINT; EXIT for 0; nothing for anything else."""
    if word in ("0", "EXIT"):
        return "EXIT"
    try:
        if word.isdigit():
            return signal.Signals(int(word)).name
        return signal.Signals[f"SIG{word.upper().removeprefix('SIG')}"].name
    except (ValueError, KeyError):
        return ""


def kill(shell: Shell, argv: list[str]) -> int:
    """Send a signal, TERM without one, to processes and jobs; `-0` asks whether they are there."""
    words, name = argv[1:], "SIGTERM"
    if words and words[0] == "-l":
        _out(shell, " ".join(each.name.removeprefix("SIG") for each in signal.Signals) + "\n")
        return 0
    if words and words[0].startswith("-") and len(words[0]) > 1:
        word = words.pop(0)[1:]
        word = words.pop(0) if word == "s" and words else word
        name = signal_named(word) if word != "0" else "0"
        if not name:
            shell.complain(f"kill: bad signal name '{word}'")
            return 1
    status = 0
    for word in words:
        status |= _kill_one(shell, word, name)
    return status


def _kill_one(shell: Shell, word: str, name: str) -> int:
    if word.startswith("%") and word[1:].isdigit():
        jobs = shell.jobs
        found = jobs[int(word[1:]) - 1] if 0 < int(word[1:]) <= len(jobs) else None
    elif word.isdigit():
        found = shell.proc.container.procs.get(int(word))
    else:
        shell.complain(f"kill: invalid number '{word}'")
        return 1
    if found is None:
        shell.complain(f"can't kill pid {word}: No such process")
        return 1
    if found is shell.proc and name in shell.traps:
        shell.caught.append(name)
    elif name not in ("0", "SIGKILL") or found.pid != 1:
        found.signal(name) if name != "0" else None
    return 0


def wait(shell: Shell, argv: list[str]) -> Generator[Any, Any, int]:
    """Wait for these jobs or for all; the status of the last that was named."""
    status = 0
    wanted = [job for job in shell.jobs if len(argv) < 2 or str(job.pid) in argv[1:]]
    for job in wanted:
        status = yield from shell.wait_for(job)
        if job in shell.jobs:
            shell.jobs.remove(job)
    return status if len(argv) > 1 else 0


def jobs(shell: Shell, _argv: list[str]) -> int:
    """List what runs in the background, and forget what is done."""
    for number, job in enumerate(shell.jobs, 1):
        state = "Running" if job.exit_code is None else "Done"
        _out(shell, f"[{number}]+  {state:<27}{' '.join(job.argv)}\n")
    shell.jobs = [job for job in shell.jobs if job.exit_code is None]
    return 0


def which(shell: Shell, argv: list[str]) -> int:
    """command -v and type."""
    found = 0
    for name in [word for word in argv[1:] if word not in ("-v", "-V")]:
        if name in BUILTINS:
            _out(shell, f"{name}\n" if argv[0] == "command" else f"{name} is a shell builtin\n")
        elif shell.proc.container.programs(name) is not None:
            _out(shell, f"/bin/{name}\n" if argv[0] == "command" else f"{name} is /bin/{name}\n")
        else:
            found = 127
            if argv[0] == "type":
                shell.streams.stderr.write(f"{name}: not found\n".encode())
    return found


def command(shell: Shell, argv: list[str]) -> int | Generator[Any, Any, int]:
    """command: without functions."""
    if argv[1:2] and argv[1] in ("-v", "-V"):
        return which(shell, argv)
    if len(argv) < 2:
        return 0
    if argv[1] in BUILTINS:
        return BUILTINS[argv[1]](shell, argv[1:])
    return shell.external(argv[1:], {})


SPECIAL = frozenset({".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set",
                     "shift", "trap", "unset"})  # fmt: skip
"""Builtins whose assignments stay, and which no function can hide."""

BUILTINS: dict[str, Builtin] = {
    ".": source, ":": colon, "[": test, "break": jump, "cd": cd, "command": command, "continue": jump, "echo": echo,
    "eval": evaluate, "exec": execute, "exit": leave, "export": export, "false": false, "jobs": jobs, "kill": kill,
    "local": local, "printf": printf, "pwd": pwd, "read": read, "readonly": export, "return": give_back, "set": options,
    "shift": shift, "source": source, "test": test, "trap": trap, "true": colon, "type": which, "umask": colon,
    "unset": unset, "wait": wait,
}  # fmt: skip
