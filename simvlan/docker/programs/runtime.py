"""The runtime of a node: starts simulated programs in containers, as runc and its shim do real ones."""

from __future__ import annotations

import posixpath
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from simvlan.docker.programs.images import commands, programs_of
from simvlan.docker.programs.process import SEARCHED, Container, Proc, Streams, World
from simvlan.docker.programs.streams import Pipe, Source, To
from simvlan.docker.programs.terminal import Terminal
from simvlan.docker.runtime import NotRunnable, ProcessSpec

FIRST_PID = 3000
"""What a node's first container process is numbered, as `docker inspect` and `docker top` show it."""


class Simulated:
    """Runs processes in the containers of one node."""

    def __init__(self, network: Any) -> None:
        self.world = World(network)
        self._containers: dict[str, Container] = {}
        self._next_pid = FIRST_PID
        self.jobs: dict[int, Job] = {}
        """What runs, by its number on the node."""

    def start(self, spec: ProcessSpec, output: Callable[[int, bytes], None], on_exit: Callable[[int], None]) -> Job:
        """Start a process (see `simvlan.docker.runtime.Runtime`)."""
        container = self._container(spec)
        try:
            program = find(container, spec.argv, dict(spec.env))
        except NotRunnable as refusal:
            if spec.init:
                del self._containers[spec.container]
            refusal.instead = f"; simulated are: {', '.join(sorted(commands(spec.image)))}"
            raise
        job = Job(self, spec, container, output, on_exit)
        job.begin(program)
        self.jobs[job.pid] = job
        return job

    def _container(self, spec: ProcessSpec) -> Container:
        if spec.init or spec.container not in self._containers:
            made = Container(self.world, spec.name, spec.disk, programs_of(spec.image))
            made.hostname = spec.hostname or spec.container[:12]
            made.resolver, made.privileged = spec.resolver, spec.privileged
            self._containers[spec.container] = made
        return self._containers[spec.container]

    def forget(self, spec: ProcessSpec, container: Container) -> None:
        """A container's first process has ended."""
        if self._containers.get(spec.container) is container:
            del self._containers[spec.container]
        container.end_all()

    def take_pid(self) -> int:
        """A number for a process as the node sees it."""
        self._next_pid += 7
        return self._next_pid


def find(container: Container, argv: Any, env: dict[str, str]) -> Any:
    """The program of a command. Raises NotRunnable in runc's words."""
    word = argv[0]
    if "/" in word:
        own = container.programs(posixpath.normpath(word))
        if own is not None:
            return own
        if posixpath.normpath(word) in container.directories:
            raise NotRunnable(f'exec: "{word}": is a directory: permission denied', 126)
        folder, name = posixpath.split(posixpath.normpath(word))
        program = container.programs(name) if folder in SEARCHED else None
        if program is None:
            raise NotRunnable(f'exec: "{word}": stat {word}: no such file or directory', 127)
        return program
    program = container.programs(word)
    if program is None or not set(env.get("PATH", "/bin").split(":")) & set(SEARCHED):
        raise NotRunnable(f'exec: "{word}": executable file not found in $PATH', 127)
    return program


def docker_init(program: Any, proc: Proc) -> Any:
    """tini, as pid 1: runs the command as its child, passes signals on, ends with its status."""
    import simpy

    proc.handles = {"SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"}
    argv = proc.argv[2:]
    child = Proc(
        proc.container, proc.netns, argv, proc.streams, program=program, parent=proc, env=proc.env, cwd=proc.cwd
    )
    while child.exit_code is None:
        try:
            yield child.done
        except simpy.Interrupt as interrupt:
            child.signal(str(interrupt.cause))
    return child.exit_code


class Job:
    """A process that the engine started, with all its children."""

    def __init__(
        self,
        node: Simulated,
        spec: ProcessSpec,
        container: Container,
        output: Callable[[int, bytes], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self.pid = node.take_pid()
        self.exit_code: int | None = None
        self._node, self._spec, self._container = node, spec, container
        self._output, self._on_exit = output, on_exit
        self._input: Pipe | None = None
        self._terminal: Terminal | None = None
        self._paused = self._held = False

    def begin(self, program: Any) -> None:
        """Create the process; it runs once the clock moves on."""
        spec, argv = self._spec, list(self._spec.argv)
        if spec.init and spec.helper:
            argv, program = ["/sbin/docker-init", "--", *argv], partial(docker_init, program)
        self._first = Proc(
            self._container, spec.netns.name, argv, self._streams(), program=program,
            env=self._environment(), cwd=spec.cwd or "/",
        )  # fmt: skip
        self._first.uid = int(spec.user.partition(":")[0]) if spec.user.partition(":")[0].isdigit() else 0
        if self._terminal is not None:
            self._terminal.interrupt = self._to_foreground
        self._first.at_exit = self._ended

    def _streams(self) -> Streams:
        if self._spec.tty:
            show: Callable[[bytes], None] = lambda data: self._output(1, data)  # noqa: E731
            terminal = self._terminal = Terminal(self._node.world.env, show, self._spec.rows, self._spec.columns)
            self._container.terminals.append(terminal)
            return Streams(terminal.input, terminal, terminal, terminal)
        if self._spec.stdin_open:
            self._input = Pipe(self._node.world.env)
        return Streams(self._input or Source(), To(lambda d: self._output(1, d)), To(lambda d: self._output(2, d)))

    def _environment(self) -> dict[str, str]:
        env = dict(self._spec.env)
        env.setdefault("HOME", "/root" if self._spec.user in ("", "0", "root") else "/")
        return env

    def _ended(self, status: int) -> None:
        if self._spec.init:
            self._node.forget(self._spec, self._container)
        self.exit_code = status
        self._node.jobs.pop(self.pid, None)
        self._on_exit(status)

    def _to_foreground(self, name: str) -> None:
        """Ctrl-C goes to the foreground processes of the terminal: the youngest of them that has no children."""
        family = [proc for proc in self._family() if not proc.background]
        leaves = [proc for proc in family if not any(other.parent is proc for other in family)]
        for proc in leaves:
            proc.signal(name)

    def _family(self) -> list[Proc]:
        """The first process and its descendants, oldest first."""
        found: list[Proc] = []
        for proc in self._container.procs.values():
            if proc is self._first or proc.parent in found:
                found.append(proc)
        return found

    @property
    def waits_for_input(self) -> bool:
        """Whether it does nothing until its client types something."""
        source = self._source
        return source is not None and source.waiting

    @property
    def _source(self) -> Pipe | None:
        return self._terminal.input if self._terminal is not None else self._input

    def unread(self) -> int:
        """Octets of its input that it has not read."""
        return self._source.size if self._source is not None else 0

    # -- what the engine may do --------------------------------------------------------------------------------------

    def kill(self, signal: int) -> None:
        """Send the first process a signal; SIGKILL also ends what it has started."""
        if self.exit_code is None:
            name = signal_name(signal)
            if name == "SIGKILL":
                for proc in reversed(self._family()[1:]):
                    proc.signal(name)
            if name:
                self._first.signal(name)

    def write(self, data: bytes) -> None:
        """Give it input."""
        if self._terminal is not None:
            self._terminal.typed(data)
        elif self._input is not None:
            self._give(data)

    def _give(self, data: bytes) -> None:
        from simvlan.docker.programs.streams import BrokenPipe

        try:
            if self._input is not None:
                self._input.write(data)
        except BrokenPipe:
            pass

    def close_stdin(self) -> None:
        """Its input has ended."""
        if self._terminal is None and self._input is not None:
            self._input.end()

    def resize(self, rows: int, columns: int) -> None:
        """The window has another size."""
        if self._terminal is not None:
            self._terminal.rows, self._terminal.columns = rows, columns

    def pause(self, frozen: bool) -> None:
        """Freeze or thaw it and what it has started."""
        self._paused = frozen
        self._freeze()

    def hold(self, held: bool) -> None:
        """Stop it until its output has been read, or let it go on."""
        self._held = held
        self._freeze()

    def _freeze(self) -> None:
        for proc in self._family():
            proc.freeze(self._paused or self._held)

    def processes(self) -> list[tuple[int, int, str]]:
        """(pid, parent, command line), as the node numbers them."""
        base = self.pid - self._first.pid
        family = self._family()
        return [
            (
                base + proc.pid,
                base + proc.parent.pid if proc.parent in family and proc.parent else 0,
                " ".join(proc.argv),
            )
            for proc in family
        ]


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; nothing for what is no signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
