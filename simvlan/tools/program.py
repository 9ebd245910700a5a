"""What a simulated command is given: arguments, surroundings, streams, and the lab.

A tool is a function of a `Process` that returns its exit status. One that takes virtual time is a generator
function: it yields SimPy events, is interrupted by `simpy.Interrupt("SIGINT" | "SIGTERM" | "SIGKILL")` when its
client is signalled (or gone), and returns its exit status. `call` runs one to its end without any shell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from simvlan.stack.family import Holder

COMM = {"http.server": "python3", "netcat": "nc"}
"""What the process of a program is called, where not by its command's name."""


class InputNeeded(Exception):  # noqa: N818 - a request, not an error
    """A tool asked for input that is not here yet; it is started again once it is."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


@dataclass
class Detached:
    """What a command leaves running in the background when it ends with status 0, like daemon(3).

    Attributes:
        pidfile: the file that is to hold the number of the process left behind; "" for none.
        stop: ends it, when it is signalled.
        heard: what other signals do; False where that ends it.
    """

    pidfile: str
    stop: Callable[[], None]
    heard: Mapping[str, Callable[[], bool]] = field(default_factory=dict)


@dataclass
class Handover:
    """What is to run in this process's place, like exec(2)."""

    argv: list[str]
    netns: str
    env: dict[str, str]


class Process:
    """One run of a simulated command. Streams are kept in `out` and `err`; the shell's own subclass sends them on."""

    stdout_isatty = False
    runs_others = False
    """Whether `spawn` works: there is a client whose child another command can be."""

    def __init__(
        self,
        argv: Sequence[str],
        lab: Any,
        *,
        netns: str = "",
        env: Mapping[str, str] | None = None,
        cwd: str = ".",
        pid: int = 1,
        stdin: bytes | None = b"",
    ) -> None:
        self.argv = list(argv)
        self.lab = lab
        self.netns = netns
        """The network namespace it runs in; "" is the initial one."""
        self.env = dict(env or {})
        self.cwd = cwd
        self.pid = pid
        self.out: list[str] = []
        self.err: list[str] = []
        self.handover: Handover | None = None
        self.wrote = False
        self.detached: Detached | None = None
        self.names: dict[str, list[str]] = {}
        """What `names.look_up` found out."""
        self.bare_names: set[str] = set()
        """Names that are there without an address of the family asked for (EAI_NODATA)."""
        self.full_names: dict[str, str] = {}
        """What each name is called in full (ai_canonname)."""
        self.inner_servers: dict[int, Callable[[str], list[str] | None]] = {}
        """Name servers inside the machine, by address: they answer addresses, [] (no such name) or None (SERVFAIL)."""
        self.inputs: dict[str, bytes] = {} if stdin is None else {"-": stdin}
        self.alone = stdin is not None
        """Whether there is no client that could be asked for input."""

    @property
    def name(self) -> str:
        """The command's own name, without its directory."""
        return self.argv[0].rpartition("/")[2]

    def processes(self) -> dict[int, str]:
        """Every process there is to be seen, and the network namespace it is in."""
        return {self.pid: self.netns}

    def hold(self, sock: Any, fd: int) -> None:
        """Say on a socket that this process has it open."""
        sock.holder = Holder(COMM.get(self.name, self.name), self.pid, fd)

    def write(self, text: str | bytes) -> None:
        """Write to standard output."""
        self.wrote = True
        self._send_out(text.encode() if isinstance(text, str) else text)

    def write_err(self, text: str | bytes) -> None:
        """Write to standard error."""
        self.wrote = True
        self._send_err(text.encode() if isinstance(text, str) else text)

    def _send_out(self, data: bytes) -> None:
        self.out.append(data.decode(errors="replace"))

    def _send_err(self, data: bytes) -> None:
        self.err.append(data.decode(errors="replace"))

    def read_stdin(self) -> bytes:
        """All of standard input. Call it before any effect: the tool may be started again once the input is here."""
        return self._input("-")

    def read_file(self, path: str) -> bytes:
        """The contents of a file as the client sees it (a pipe or `<(...)` too). Call it before any effect."""
        if path in {"-", "/dev/stdin"}:
            return self.read_stdin()
        full = self.path(path)
        # Pipes must be read by the client: only its descriptors know /dev/fd/63, and only it may wait.
        if os.path.isfile(full) and not full.startswith(("/dev/", "/proc/")):
            with open(full, "rb") as file:
                return file.read()
        return self._input(full)

    def _input(self, path: str) -> bytes:
        if path not in self.inputs and self.alone:
            with open(path, "rb") as file:
                return file.read()
        if path not in self.inputs:
            if self.wrote:
                raise RuntimeError(f"{self.name} asked for {path} after it had begun to write")
            raise InputNeeded(path)
        data = self.inputs[path]
        if data.startswith(INPUT_ERROR):
            code = int(data[len(INPUT_ERROR) :])
            raise OSError(code, os.strerror(code), path)
        return data

    def lookup(self, name: str) -> list[str] | None:
        """The addresses of a name: [] where there is none, None where nobody can be asked; `names.look_up` asks."""
        return self.names.get(name)

    def inner_name(self, address: str) -> str | None:
        """The name that a name server inside the machine has for an address."""
        return None

    def etc(self, name: str) -> str | None:
        """A file of a machine of its own, such as `hosts` of /etc; None where there is none but the namespace's."""
        return None

    def spawn(self, argv: Sequence[str], by: str, env: Mapping[str, str] | None = None) -> Any:
        """Run any command as a child; an event with its exit code (negative: by that signal)."""
        raise NotImplementedError(f"{self.name} has nobody to run {argv[0]}")

    def real(self, name: str) -> str:
        """Where the real program is that a simulated command stands for; "" where there is none to run."""
        return ""

    def detach(
        self, stop: Callable[[], None], pidfile: str = "", heard: Mapping[str, Callable[[], bool]] | None = None
    ) -> None:
        """Go on in the background once the tool returns 0: *stop* is called when SIGTERM or SIGINT comes.

        Args:
            heard: what other signals do (`SIGHUP`); False where that ends it.

        Raises:
            OSError: the file for its process number cannot be written.
        """
        if pidfile:
            self.open(pidfile).close()

        def end() -> None:
            stop()
            self.forget_pid(pidfile)

        self.detached = Detached(self.path(pidfile) if pidfile else "", end, heard or {})

    def note_pid(self, pidfile: str) -> None:
        """Write the number of the process that stands for this command; where there is none, an empty file.

        Raises:
            OSError: it cannot be written.
        """
        self.open(pidfile).close()

    def forget_pid(self, pidfile: str) -> None:
        """Remove that file. Never what is no plain file: `-x /dev/null` is often said."""
        if pidfile and os.path.isfile(self.path(pidfile)):
            os.unlink(self.path(pidfile))

    def path(self, name: str) -> str:
        """A file name as the client means it: relative to the client's directory."""
        return os.path.join(self.cwd, name)

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name, relative to the client's directory."""
        return os.path.lexists(self.path(name))

    def make_folder(self, name: str) -> None:
        """Make a folder and those above it, where they are not there."""
        os.makedirs(self.path(name), exist_ok=True)

    def open(self, name: str, mode: str = "wb") -> IO[Any]:
        """Open a file for writing, relative to the client's directory; `/dev/stdout` is not a file here."""
        return open(self.path(name), mode)

    def execute(self, argv: Sequence[str], netns: str | None = None, env: Mapping[str, str] | None = None) -> int:
        """Run another command in this one's place once the tool returns (exec(2)); its status is then the status.

        It may be a simulated command or any other.
        """
        self.handover = Handover(
            list(argv), self.netns if netns is None else netns, dict(self.env if env is None else env)
        )
        return 0


INPUT_ERROR = b"\0simvlan-errno\0"
"""Stands before the errno of an input that could not be read."""


@dataclass
class Result:
    """What a command did."""

    status: int
    out: str
    err: str


def call(lab: Any, argv: Sequence[str], *, netns: str = "", stdin: bytes = b"", cwd: str = ".") -> Result:
    """Run one simulated command to its end, moving virtual time as far as it takes."""
    from simvlan.tools import REFUSED, TOOLS, load

    process = Process(argv, lab, netns=netns, stdin=stdin, cwd=cwd)
    if process.name in REFUSED:
        return Result(REFUSED_STATUS, "", refusal(process.name))
    if process.name not in TOOLS:
        return Result(127, "", f"{process.name}: command not found\n")
    status = _finish(lab, load(process.name)(process))
    if process.handover is None:
        return Result(status, "".join(process.out), "".join(process.err))
    after = call(lab, process.handover.argv, netns=process.handover.netns, stdin=stdin, cwd=cwd)
    return Result(after.status, "".join(process.out) + after.out, "".join(process.err) + after.err)


def _finish(lab: Any, outcome: int | Generator[Any, Any, int]) -> int:
    if isinstance(outcome, int):
        return outcome
    running = lab.env.process(outcome)
    while not running.processed and next_event(lab) != FOREVER:
        lab.step()
    if not running.processed:
        raise RuntimeError("the command waits for something that can never happen")
    return int(running.value or 0)


def next_event(lab: Any) -> float:
    """When the next thing happens in a lab; FOREVER when nothing will. Cancelled timers do not count."""
    clock = getattr(lab, "clock", None)
    moment = lab.env.peek() if clock is None else clock.peek()
    return FOREVER if moment is None else moment


FOREVER = float("inf")

REFUSED_STATUS = 95
"""EOPNOTSUPP: the exit status of a network tool that is not modelled."""


def refusal(name: str) -> str:
    """What a refused tool says."""
    from simvlan.tools import REFUSED

    return f"simvlan: {name} is not simulated, and the real one would change the real machine: {REFUSED[name]}\n"
