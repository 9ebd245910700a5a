"""One process in a container, and the processes of a container together.

A program is a function of a `Proc`, as the tools of `simvlan.tools` are of their `Process`: it returns its status, or
is a generator that yields events. Nothing here touches the real machine: files are those Docker makes and those the
container's own programs have written, in memory.
"""

from __future__ import annotations

import io
import posixpath
import signal
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from simvlan.docker.disk import Disk
from simvlan.docker.programs.schedule import Env, Event, Task
from simvlan.docker.programs.streams import BrokenPipe, Sink, Source
from simvlan.docker.programs.terminal import Terminal
from simvlan.errors import Unsupported
from simvlan.tools.names import at_hand
from simvlan.tools.program import InputNeeded, Process

if TYPE_CHECKING:
    from collections.abc import Generator

    from simvlan.docker.runtime import Resolver

    Program = Callable[["Proc"], int | Generator[Any, Any, int]]

IGNORED = frozenset({"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"})
"""Signals whose default action is none."""
REFUSED_STATUS, INTERNAL_ERROR = 95, 70
INNER_DNS = 0x7F00_000B
"""127.0.0.11, Docker's name server in a container."""


class World:
    """What tools see as their lab: the network, and waiting that does not show in it."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.env = Env(network)


class Container:
    """The processes and files of one running container."""

    def __init__(self, world: World, name: str, disk: Disk, programs: Programs) -> None:
        self.world, self.name, self.disk, self.programs = world, name, disk, programs
        self.hostname = name
        self.resolver: Resolver | None = None
        self.privileged = False
        self.procs: dict[int, Proc] = {}
        self.next_pid = 1
        self.terminals: list[Terminal] = []

    # -- files -------------------------------------------------------------------------------------------------------

    @property
    def directories(self) -> set[str]:
        """Every folder there is."""
        return self.disk.directories

    def files(self) -> dict[str, bytes]:
        """Every file there is, by path."""
        return self.disk.files()

    def read(self, path: str) -> bytes:
        """A file's contents. Raises OSError."""
        return self.disk.read(path)

    def store(self, path: str, data: bytes) -> None:
        """Write a file. Raises OSError."""
        self.disk.store(path, data)

    def remove(self, path: str) -> None:
        """Unlink a file. Raises OSError."""
        self.disk.remove(path)

    # -- processes ---------------------------------------------------------------------------------------------------

    def admit(self, proc: Proc) -> int:
        """Give a process its pid."""
        pid, self.next_pid = self.next_pid, self.next_pid + 1
        self.procs[pid] = proc
        return pid

    def end_all(self) -> None:
        """The container's first process has ended: the kernel kills the rest."""
        for proc in list(self.procs.values()):
            proc.signal("SIGKILL")


Programs = Callable[[str], "Program | None"]
"""Finds the program behind a name in an image."""

SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Streams:
    """Where a process reads from and writes to, and its terminal if it has one."""

    def __init__(self, stdin: Source, stdout: Sink, stderr: Sink, tty: Terminal | None = None) -> None:
        self.stdin, self.stdout, self.stderr, self.tty = stdin, stdout, stderr, tty

    def but(self, stdin: Source | None = None, stdout: Sink | None = None, stderr: Sink | None = None) -> Streams:
        """The same with some of them replaced."""
        return Streams(stdin or self.stdin, stdout or self.stdout, stderr or self.stderr, self.tty)


class Proc(Process):
    """One process."""

    def __init__(
        self,
        container: Container,
        netns: str,
        argv: Sequence[str],
        streams: Streams,
        *,
        program: Program,
        parent: Proc | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
    ) -> None:
        super().__init__(argv, container.world, netns=netns, env=env, cwd=cwd, stdin=None)
        self.container, self.streams, self.parent = container, streams, parent
        self.stdout_isatty = streams.tty is not None and streams.stdout is streams.tty
        self.uid: int = parent.uid if parent is not None else 0
        self.pid = container.admit(self)
        if container.resolver is not None:
            self.inner_servers[INNER_DNS] = container.resolver.lookup
        self.handles: set[str] = set(HANDLES.get(self.name, ()))
        """Signals it has a handler for: they are thrown into it as `simpy.Interrupt`."""
        self.shields: set[str] = set()
        """Signals it ignores."""
        self.background: bool = parent is not None and parent.background
        """Whether the terminal's signals pass it by."""
        self.missing = False
        """An input could not be opened."""
        self.subshell = False
        """A shell's copy of itself, which keeps its parent's `$$`."""
        self.exit_code: int | None = None
        self.ended_by = ""
        """The signal that ended it."""
        self.done: Event = container.world.env.event()
        self.at_exit: Callable[[int], None] = lambda _status: None
        self._own: list[Sink | Source] = []
        self._task = Task(container.world.env, self._run(program), self._ended)

    @property
    def world(self) -> World:
        """The lab as it sees it."""
        return self.container.world

    # -- running -----------------------------------------------------------------------------------------------------

    def _run(self, program: Program) -> Generator[Any, Any, int]:
        return (yield from self.perform(program))

    def perform(self, program: Program) -> Generator[Any, Any, int]:
        """Run a program in this process; its status."""
        while True:
            try:
                outcome = program(self)
                return int((yield from outcome) if not isinstance(outcome, int) else outcome)
            except InputNeeded as needed:
                self.inputs[needed.path] = yield from self.streams.stdin.rest()

    def become(self, argv: Sequence[str], program: Program) -> Generator[Any, Any, int]:
        """Run another program in this process (exec); its status."""
        self.argv = list(argv)
        self.stdout_isatty = self.streams.tty is not None and self.streams.stdout is self.streams.tty
        self.handles = set(HANDLES.get(self.name, ()))
        return (yield from self.perform(program))

    def owns(self, *ends: Sink | Source) -> None:
        """Ends of pipes to close when it ends."""
        self._own.extend(ends)

    def _ended(self, outcome: int | BaseException) -> None:
        self._finish(outcome if isinstance(outcome, int) else self._status_of(outcome))

    def _status_of(self, error: BaseException) -> int:
        """The status of a program that let an exception out."""
        cause = getattr(error, "cause", None)
        if isinstance(error, BrokenPipe):
            return 128 + signal.SIGPIPE
        if isinstance(cause, str):
            self.ended_by = cause
            return 128 + int(signal.Signals[cause])
        try:
            if isinstance(error, Unsupported):
                self.write_err(f"simvlan: {self.name}: {error}\n")
                return REFUSED_STATUS
            text = "".join(traceback.format_exception(error))
            self.write_err(f"simvlan: {' '.join(self.argv)}: internal error, please report it\n{text}")
        except BrokenPipe:
            pass
        return INTERNAL_ERROR

    def _finish(self, status: int) -> None:
        if self.exit_code is not None:
            return
        self.exit_code = status & 255 if status >= 0 else 128 - status
        self.container.procs.pop(self.pid, None)
        for end in self._own:
            end.close()
        self.done.succeed(self.exit_code)
        self.at_exit(self.exit_code)

    def signal(self, name: str) -> None:
        """Send it a signal."""
        if self.exit_code is not None or name in self.shields:
            return
        if name == "SIGKILL":
            self._die(name)
        elif name in self.handles:
            self._task.interrupt(name)
        elif name in IGNORED or self.pid == 1:
            return  # the kernel keeps a namespace's init from signals it has no handler for
        elif name in ("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"):
            self.freeze(True)
        else:
            self._die(name)

    def _die(self, name: str) -> None:
        self.ended_by = name
        self._task.kill()
        self._finish(128 + int(signal.Signals[name]))

    def freeze(self, frozen: bool) -> None:
        """Hold it, or let it go on."""
        self._task.freeze(frozen)

    # -- surroundings, as tools know them ----------------------------------------------------------------------------

    def _send_out(self, data: bytes) -> None:
        self.streams.stdout.write(data)

    def _send_err(self, data: bytes) -> None:
        self.streams.stderr.write(data)

    def path(self, name: str) -> str:
        """A file name made absolute."""
        return posixpath.normpath(posixpath.join(self.cwd, name))

    def read_file(self, path: str) -> bytes:
        """A file of the container; `-` is standard input."""
        if path in {"-", "/dev/stdin"}:
            return self.read_stdin()
        return self.container.read(self.path(path))

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        path = self.path(name)
        return path in self.container.files() or path in self.container.directories

    def make_folder(self, name: str) -> None:
        """Make a folder of the container and those above it."""
        self.container.disk.make_directory(self.path(name))

    def open(self, name: str, mode: str = "wb") -> IO[Any]:
        """A file of the container for writing; it is there once closed."""
        path = self.path(name)
        if path == "/dev/null":
            return io.BytesIO()
        self.container.store(path, self.container.files().get(path, b"") if "a" in mode else b"")
        return _Written(self.container, path, "a" in mode)

    def execute(self, argv: Sequence[str], netns: str | None = None, env: Mapping[str, str] | None = None) -> int:
        """Running another command in one's place is not what our programs do."""
        raise Unsupported(f"`{' '.join(argv)}` in the place of {self.name}")

    def etc(self, name: str) -> str | None:
        """A file of the container's /etc."""
        return self.container.files().get(f"/etc/{name}", b"").decode(errors="replace")

    def inner_name(self, address: str) -> str | None:
        """What Docker's name server calls an address."""
        return None if self.container.resolver is None else self.container.resolver.reverse(address)

    def lookup(self, name: str) -> list[str] | None:
        """The addresses of a name, as far as they are known without a question on the network."""
        return self.names[name] if name in self.names else at_hand(self, name)


HANDLES = {
    "httpd-foreground": ("SIGINT", "SIGTERM", "SIGWINCH"),
    "whoami": ("SIGINT", "SIGTERM"),
    "arping": ("SIGINT",),
    "nginx": ("SIGINT", "SIGTERM", "SIGQUIT"),
    "ping": ("SIGINT",),
    "tcpdump": ("SIGINT", "SIGTERM"),
}
"""What programs have handlers for besides what they set themselves."""


class _Written(io.BytesIO):
    """A file being written."""

    def __init__(self, container: Container, path: str, append: bool) -> None:
        super().__init__()
        self._container, self._path = container, path
        if append:
            self.write(container.files().get(path, b""))

    def flush(self) -> None:
        """Let others see what has been written."""
        self._container.store(self._path, self.getvalue())

    def close(self) -> None:
        """Keep it."""
        if not self.closed:
            self.flush()
        super().close()
