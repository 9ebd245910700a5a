"""`sh`: its command line, and the interactive loop."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from simvlan.docker.programs.process import Proc
from simvlan.docker.programs.sh import syntax, tree
from simvlan.docker.programs.sh.leaving import Jump, Leave
from simvlan.docker.programs.sh.shell import Shell, ending
from simvlan.docker.programs.sh.words import SyntaxFault, Unfinished

Running = Generator[Any, Any, int]


def main(proc: Proc) -> Running:
    """Run `sh`."""
    words, flags = proc.argv[1:], ""
    while words and words[0][:1] in "-+" and len(words[0]) > 1 and "c" not in flags:
        flags += words.pop(0)[1:]
    if "c" in flags:
        return (yield from _command(proc, words, flags))
    if words:
        return (yield from _file(proc, words, flags))
    shell = Shell(proc, name=proc.argv[0])
    _set(shell, flags)
    if "i" in flags or (proc.streams.tty is not None and proc.streams.stdin is proc.streams.tty.input):
        return (yield from _interact(shell))
    return (yield from _to_its_end(shell, _from_input(shell)))


def _set(shell: Shell, flags: str) -> None:
    for flag in flags:
        shell.options[flag] = flag in "eux"


def _command(proc: Proc, words: list[str], flags: str) -> Running:
    """`sh -c TEXT [NAME [ARG ...]]`."""
    if not words:
        proc.write_err(f"{proc.argv[0]}: -c requires an argument\n")
        return 2
    shell = Shell(proc, words[2:], name=words[1] if len(words) > 1 else proc.argv[0])
    proc.handles |= {"SIGINT"}
    _set(shell, flags)
    return (yield from _to_its_end(shell, _only(shell, words[0])))


def _only(shell: Shell, text: str) -> Running:
    """Run a text; a plain command that is all there is takes the shell's place, as ash has it (EV_EXIT)."""
    from simvlan.docker.programs.sh.builtins import BUILTINS

    try:
        script = syntax.parse(text)
    except SyntaxFault:
        script = []
    only = script[0].parts[0][1].commands if len(script) == 1 and len(script[0].parts) == 1 else []
    plain = only[0] if len(only) == 1 and isinstance(only[0], tree.Simple) and not script[0].background else None
    name = plain.words[0][0] if plain is not None and plain.words and len(plain.words[0]) == 1 else None
    if plain is None or name is None or name.kind != "text" or name.text in BUILTINS or plain.assigns:
        return (yield from shell.run_text(text))
    if script[0].parts[0][1].negated or plain.redirects or shell.proc.container.programs(name.text) is None:
        return (yield from shell.run_text(text))
    from simvlan.docker.programs.sh import expand

    return (yield from shell.become((yield from expand.words(shell, plain.words))))


def _file(proc: Proc, words: list[str], flags: str) -> Running:
    shell = Shell(proc, words[1:], name=words[0])
    proc.handles |= {"SIGINT"}
    _set(shell, flags)
    try:
        text = proc.container.read(proc.path(words[0])).decode(errors="replace")
    except OSError:
        proc.write_err(f"{proc.argv[0]}: can't open '{words[0]}': No such file or directory\n")
        return 2
    return (yield from _to_its_end(shell, shell.run_text(text)))


def _from_input(shell: Shell) -> Running:
    """Commands from standard input, run as soon as each is whole."""
    text = ""
    while line := (yield from shell.streams.stdin.line()):
        text += line.decode(errors="replace")
        if not _unfinished(text):
            yield from shell.run_text(text)
            text = ""
    if text:
        yield from shell.run_text(text)
    return shell.status


def _unfinished(text: str) -> bool:
    try:
        syntax.parse(text)
    except Unfinished:
        return True
    except (SyntaxFault, RecursionError):
        pass
    return text.endswith("\\\n")


def _to_its_end(shell: Shell, running: Running) -> Running:
    try:
        status = yield from running
    except Leave as leave:
        status = leave.status
    except Jump:
        status = shell.status
    return (yield from ending(shell, status))


def _interact(shell: Shell) -> Running:
    """Prompt, read, run; Ctrl-C gives a new prompt, Ctrl-D ends."""
    proc = shell.proc
    shell.interactive = True
    proc.handles |= {"SIGINT"}
    proc.shields |= {"SIGTERM", "SIGQUIT"}
    shell.variables.setdefault("PS1", "\\w \\$ ")
    text = ""
    while True:
        try:
            proc.write(_prompt(shell) if not text else "> ")
            line = yield from shell.streams.stdin.line()
            text += line.decode(errors="replace")
            if not line:
                proc.write("\n")
                return (yield from ending(shell, shell.status))
            if not _unfinished(text):
                whole, text = text, ""
                yield from shell.run_text(whole)
        except simpy.Interrupt as interrupt:
            if interrupt.cause != "SIGINT":
                raise
            text, shell.status = "", 130
            proc.write("\n")
        except Leave as leave:
            return (yield from ending(shell, leave.status))
        except Jump:
            continue


def _prompt(shell: Shell) -> str:
    """PS1 as ash expands it."""
    proc = shell.proc
    home = shell.variables.get("HOME", "/root")
    here = "~" + proc.cwd.removeprefix(home) if proc.cwd == home or proc.cwd.startswith(home + "/") else proc.cwd
    text = shell.variables.get("PS1", "\\$ ")
    for mark, value in (
        ("\\w", here),
        ("\\h", proc.container.hostname),
        ("\\u", "root"),
        ("\\$", "#" if not proc.uid else "$"),
    ):
        text = text.replace(mark, value)
    return text
