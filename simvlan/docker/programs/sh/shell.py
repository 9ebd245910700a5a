"""The shell: runs what the grammar read. Words and semantics of busybox ash, of which dash differs little."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import simpy

from simvlan.docker.programs.process import Proc, Streams
from simvlan.docker.programs.sh import expand, syntax, tree
from simvlan.docker.programs.sh.arithmetic import ArithmeticFault
from simvlan.docker.programs.sh.leaving import Fault, Jump, Leave
from simvlan.docker.programs.sh.redirect import redirected
from simvlan.docker.programs.sh.words import SyntaxFault
from simvlan.docker.programs.streams import Into, Pipe, Sink, Source, To
from simvlan.docker.runtime import NotRunnable

if TYPE_CHECKING:
    Running = Generator[Any, Any, int]

STEP_NS = 1_000_000
"""What a turn of a loop takes: a loop that never waits must not stop the world."""
DEEPEST = 60
"""Nested calls and substitutions."""


class Shell:
    """One shell and its state."""

    def __init__(self, proc: Proc, args: Sequence[str] = (), *, name: str = "sh") -> None:
        self.proc = proc
        self.streams = proc.streams
        self.name = name
        self.args = list(args)
        self.variables: dict[str, str] = {"IFS": " \t\n", "PWD": proc.cwd, **proc.env}
        self.exported = {*proc.env, "PWD"}
        self.functions: dict[str, tree.Command] = {}
        self.options: defaultdict[str, bool] = defaultdict(bool)
        self.status = 0
        self.last_background = ""
        self.jobs: list[Proc] = []
        self.traps: dict[str, str] = {}
        self.interactive = False
        self.depth = 0
        self.caught: list[str] = []
        """Signals whose trap has not run yet."""
        self._tested = 0
        """How deep in conditions, where `set -e` does not hold."""

    def child(self, proc: Proc) -> Shell:
        """The same shell in another process (a subshell)."""
        made = Shell(proc, self.args, name=self.name)
        made.variables, made.exported = dict(self.variables), set(self.exported)
        made.functions, made.status, made.depth = dict(self.functions), self.status, self.depth + 1
        made.options.update(self.options)
        made.last_background = self.last_background
        return made

    def parameter(self, name: str) -> str | None:
        """The value of a variable or parameter; None when it is not set."""
        if name.isdigit():
            number = int(name)
            if not number:
                return self.name
            return self.args[number - 1] if number <= len(self.args) else None
        special = {
            "?": lambda: str(self.status), "$": lambda: str(self.main_pid), "!": lambda: self.last_background,
            "#": lambda: str(len(self.args)), "*": lambda: " ".join(self.args), "@": lambda: " ".join(self.args),
            "-": lambda: "".join(flag for flag, on in sorted(self.options.items()) if on),
        }.get(name)  # fmt: skip
        return special() if special is not None else self.variables.get(name)

    @property
    def main_pid(self) -> int:
        """`$$`: the pid of the outermost shell."""
        proc = self.proc
        while proc.subshell and proc.parent is not None:
            proc = proc.parent
        return proc.pid

    def complain(self, text: str) -> None:
        """Say something on standard error, with the shell's name."""
        self.streams.stderr.write(f"{self.name}: {text}\n".encode())

    # -- scripts -----------------------------------------------------------------------------------------------------

    def run_text(self, text: str) -> Running:
        """Run a text. Raises Leave, Jump."""
        try:
            script = syntax.parse(text)
        except (SyntaxFault, RecursionError) as fault:
            self.complain(f"syntax error: {fault or 'too deep'}")
            self.status = 2
            if not self.interactive:
                raise Leave(2) from None
            return 2
        return (yield from self.run(script))

    def run(self, script: tree.Script) -> Running:
        """Run commands in order."""
        for item in script:
            if item.background:
                self._start_background(item)
            else:
                yield from self._item(item)
            yield from self._run_traps()
        return self.status

    def _item(self, item: tree.Item) -> Running:
        for position, (op, pipeline) in enumerate(item.parts):
            if (op == "&&" and self.status) or (op == "||" and not self.status):
                continue
            last = position == len(item.parts) - 1
            self._tested += not last
            try:
                self.status = yield from self._pipeline(pipeline)
            finally:
                self._tested -= not last
            if last and self.status and self.options["e"] and not self._tested and not pipeline.negated:
                raise Leave(self.status)
        return self.status

    def _start_background(self, item: tree.Item) -> None:
        body = tree.Item(item.parts)
        proc = self._fork([body], self.streams.but(stdin=Source()))
        proc.background = True
        proc.shields |= {"SIGINT", "SIGQUIT"}
        self.jobs.append(proc)
        self.last_background = str(proc.pid)
        self.status = 0
        if self.interactive:
            self.streams.stderr.write(f"[{len(self.jobs)}] {proc.pid}\n".encode())

    def _fork(self, script: tree.Script, streams: Streams, *own: Sink | Source) -> Proc:
        """Run a script in a shell of its own."""
        if self.depth > DEEPEST:
            raise Fault("too many nested shells")

        def program(proc: Proc) -> Running:
            return guarded(self.child(proc), script)

        made = Proc(
            self.proc.container, self.proc.netns, self.proc.argv, streams,
            program=program, parent=self.proc, env=self.environment(), cwd=self.proc.cwd,
        )  # fmt: skip
        made.subshell = True
        made.owns(*own)
        return made

    def environment(self) -> dict[str, str]:
        """What a child process gets."""
        return {name: self.variables[name] for name in self.variables if name in self.exported}

    def _pipeline(self, pipeline: tree.Pipeline) -> Running:
        if len(pipeline.commands) == 1:
            self._tested += pipeline.negated
            try:
                status = yield from self.command(pipeline.commands[0])
            finally:
                self._tested -= pipeline.negated
        else:
            status = yield from self._piped(pipeline.commands)
        return int(not status) if pipeline.negated else status

    def _piped(self, commands: list[tree.Command]) -> Running:
        procs: list[Proc] = []
        source: Source | None = None
        for position, command in enumerate(commands):
            item = tree.Item([("", tree.Pipeline([command]))])
            own: list[Sink | Source] = [source] if source is not None else []
            streams = self.streams.but(stdin=source)
            if position < len(commands) - 1:
                source = Pipe(self.proc.world.env)
                streams = streams.but(stdout=Into(source))
                own.append(streams.stdout)
            procs.append(self._fork([item], streams, *own))
        for proc in procs:
            yield from self.wait_for(proc)
        return procs[-1].exit_code or 0

    def wait_for(self, proc: Proc) -> Running:
        """Wait for a child; signals that have a trap come after it."""
        while proc.exit_code is None:
            try:
                yield proc.done
            except simpy.Interrupt as interrupt:
                self._catch(str(interrupt.cause))
        return proc.exit_code

    def substitute(self, script: tree.Script) -> Generator[Any, Any, str]:
        """What a script writes, without the last newlines."""
        found = bytearray()
        proc = self._fork(script, self.streams.but(stdout=To(found.extend)))
        self.status = yield from self.wait_for(proc)
        return found.decode(errors="replace").rstrip("\n")

    # -- signals -----------------------------------------------------------------------------------------------------

    def _catch(self, name: str) -> None:
        if name in self.traps:
            self.caught.append(name)
        elif name != "SIGINT" or not self.interactive:
            raise simpy.Interrupt(name)

    def _run_traps(self) -> Running:
        while self.caught:
            before = self.status
            yield from self.run_text(self.traps.get(self.caught.pop(0), ""))
            self.status = before
        return self.status

    # -- commands ----------------------------------------------------------------------------------------------------

    def command(self, command: tree.Command) -> Running:
        """Run one command with its redirections."""
        outer = self.streams
        try:
            if command.redirects:
                self.streams = yield from redirected(self, command.redirects)
            return (yield from self._dispatch(command))
        except OSError as error:
            verb = "create" if isinstance(error.filename2, str) else "open"
            self.complain(f"can't {verb} {error.filename}: {_reason(error)}")
            return 1
        except (expand.Unset, ArithmeticFault, Fault, RecursionError) as fault:
            self.complain(str(fault) or "too deep")
            if not self.interactive:
                raise Leave(2) from None
            return 2
        finally:
            self.streams = outer

    def _dispatch(self, command: tree.Command) -> Running:
        if isinstance(command, tree.Simple):
            return (yield from self._simple(command))
        if isinstance(command, tree.Group):
            if command.subshell:
                return (yield from self.wait_for(self._fork(command.body, self.streams)))
            return (yield from self.run(command.body))
        if isinstance(command, tree.If):
            return (yield from self._if(command))
        if isinstance(command, tree.While):
            return (yield from self._while(command))
        if isinstance(command, tree.For):
            return (yield from self._for(command))
        if isinstance(command, tree.Case):
            return (yield from self._case(command))
        self.functions[command.name] = command.body
        return 0

    def _condition(self, script: tree.Script) -> Running:
        self._tested += 1
        try:
            return (yield from self.run(script))
        finally:
            self._tested -= 1

    def _if(self, command: tree.If) -> Running:
        for condition, body in command.branches:
            if condition is None or not (yield from self._condition(condition)):
                return (yield from self.run(body))
        return 0

    def _while(self, command: tree.While) -> Running:
        status = 0
        while bool((yield from self._condition(command.condition))) == command.until:
            yield self.proc.world.env.timeout(STEP_NS)
            try:
                status = yield from self.run(command.body)
            except Jump as jump:
                if self._leaves_loop(jump):
                    break
        return status

    def _for(self, command: tree.For) -> Running:
        chosen = self.args if command.words is None else (yield from expand.words(self, command.words))
        self.status = 0
        for word in list(chosen):
            self.variables[command.name] = word
            try:
                yield from self.run(command.body)
            except Jump as jump:
                if self._leaves_loop(jump):
                    break
        return self.status

    @staticmethod
    def _leaves_loop(jump: Jump) -> bool:
        """Whether this loop ends; a jump that goes further is raised on."""
        if jump.kind == "return":
            raise jump
        if jump.count > 1:
            raise Jump(jump.kind, jump.count - 1)
        return jump.kind == "break"

    def _case(self, command: tree.Case) -> Running:
        from fnmatch import fnmatchcase

        word = yield from expand.single(self, command.word)
        for patterns, body in command.branches:
            for each in patterns:
                if fnmatchcase(word, (yield from expand.pattern(self, each))):
                    return (yield from self.run(body)) if body else 0
        return 0

    def _simple(self, command: tree.Simple) -> Running:
        from simvlan.docker.programs.sh.builtins import BUILTINS, SPECIAL

        argv = yield from expand.words(self, command.words)
        assigned = {}
        for name, word in command.assigns:
            assigned[name] = yield from expand.single(self, word)
        if self.options["x"] and argv:
            self.streams.stderr.write(f"+ {' '.join(argv)}\n".encode())
        if not argv:
            self.variables.update(assigned)
            return self.status if any(p.kind == "run" for _, w in command.assigns for p in w) else 0
        if argv[0] in self.functions and argv[0] not in SPECIAL:
            return (yield from self._call(self.functions[argv[0]], argv[1:], assigned))
        if argv[0] in BUILTINS:
            if argv[0] in SPECIAL:
                self.variables.update(assigned)
            outcome = BUILTINS[argv[0]](self, argv)
            return outcome if isinstance(outcome, int) else (yield from outcome)
        return (yield from self.external(argv, assigned))

    def _call(self, body: tree.Command, args: list[str], assigned: dict[str, str]) -> Running:
        if self.depth > DEEPEST:
            raise Fault("too many nested calls")
        outer, self.args = self.args, args
        self.variables.update(assigned)
        self.depth += 1
        self.locals.append({})
        try:
            return (yield from self.command(body))
        except Jump as jump:
            if jump.kind != "return":
                raise
            return jump.count
        finally:
            self.args = outer
            self.depth -= 1
            for name, value in self.locals.pop().items():
                if value is None:
                    self.variables.pop(name, None)
                else:
                    self.variables[name] = value

    @property
    def locals(self) -> list[dict[str, str | None]]:
        """What `local` has to put back, a table for each call."""
        return self.__dict__.setdefault("_locals", [])  # type: ignore[no-any-return]

    def external(self, argv: list[str], assigned: dict[str, str]) -> Running:
        """Run a program as a child."""
        proc = self.spawn(argv, assigned)
        if proc is None:
            return 126 if self._is_directory(argv[0]) else 127
        status = yield from self.wait_for(proc)
        if proc.ended_by and self.interactive and self.streams.tty is not None:
            self.streams.stderr.write(
                b"\n" if proc.ended_by == "SIGINT" else f"{_signal_text(proc.ended_by)}\n".encode()
            )
        elif proc.ended_by == "SIGINT" and "SIGINT" not in self.traps:
            raise simpy.Interrupt("SIGINT")  # it was typed for the script too
        elif proc.ended_by in ("SIGKILL", "SIGTERM") and not self.proc.subshell:
            self.streams.stderr.write(f"{_signal_text(proc.ended_by)}\n".encode())
        return status

    def _is_directory(self, word: str) -> bool:
        return self.proc.path(word) in self.proc.container.directories and "/" in word

    def spawn(self, argv: list[str], assigned: dict[str, str]) -> Proc | None:
        """Start a program; None, and a complaint, when there is none of that name."""
        from simvlan.docker.programs.runtime import find

        env = self.environment() | assigned
        try:
            program = find(self.proc.container, argv, env)
        except NotRunnable:
            said = "Permission denied" if self._is_directory(argv[0]) else "not found"
            self.complain(f"{argv[0]}: {said}")
            return None
        return Proc(
            self.proc.container, self.proc.netns, argv, self.streams,
            program=program, parent=self.proc, env=env, cwd=self.proc.cwd,
        )  # fmt: skip

    def become(self, argv: list[str]) -> Running:
        """Run a program in this process (`exec`, and the only command of `sh -c`)."""
        from simvlan.docker.programs.runtime import find

        proc = self.proc
        try:
            program = find(proc.container, argv, self.environment())
        except NotRunnable:
            self.complain(f"{'exec: ' if self.interactive else ''}{argv[0]}: not found")
            raise Leave(127) from None
        proc.env, proc.streams = self.environment(), self.streams
        raise Leave((yield from proc.become(argv, program)))


def _reason(error: OSError) -> str:
    if isinstance(error.filename2, str) and error.errno == 2:
        return "nonexistent directory"
    return "no such file" if error.errno == 2 else os.strerror(error.errno or 0)


def _signal_text(name: str) -> str:
    return {"SIGKILL": "Killed", "SIGTERM": "Terminated", "SIGHUP": "Hangup"}.get(name, "")


def guarded(shell: Shell, script: tree.Script) -> Running:
    """Run a script to the end of its shell; the shell's status."""
    try:
        status = yield from shell.run(script)
    except Leave as leave:
        status = leave.status
    except Jump as jump:
        status = jump.count if jump.kind == "return" else shell.status
    return (yield from ending(shell, status))


def ending(shell: Shell, status: int) -> Running:
    """Run the EXIT trap."""
    text = shell.traps.pop("EXIT", "")
    if text:
        shell.status = status
        try:
            yield from shell.run_text(text)
        except Leave as leave:
            return leave.status
    return status
