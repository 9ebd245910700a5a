"""What an engine needs of whatever runs processes: Docker's runc and containerd-shim, as far as they show.

The engine decides when a process starts and what it is told; the runtime decides what it does. Rules of the house:

- One thread: everything here is called from the thread that moves the lab's clock, and calls back from it.
- A process waits by `lab.clock.at` (see `later`), never by a SimPy event of its own that stays pending: a network with
  foreign events in its clock cannot be copied, and `trace` and `matrix` work on copies.
- `kill(9)` ends a process before it returns: its `on_exit` has then been called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from simvlan.docker.disk import Disk

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.network import Netns, Network


class Resolver(Protocol):
    """Docker's embedded DNS server at 127.0.0.11, as one container sees it (libnetwork's resolver)."""

    def lookup(self, name: str) -> list[str] | None:
        """IPv4 addresses of a name, lowest first rule of Docker kept; [] for NXDOMAIN, None for SERVFAIL."""

    def reverse(self, address: str) -> str | None:
        """The name of an address, such as `c1.macvlan100`; None where there is none."""


@dataclass
class ProcessSpec:
    """One process to start in a container."""

    container: str
    """The container's 64 hex digits."""
    name: str
    """The container's name, without the slash."""
    argv: Sequence[str]
    netns: Netns
    image: str = ""
    hostname: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    user: str = ""
    tty: bool = False
    stdin_open: bool = False
    init: bool = True
    """Whether this is the container's first process (pid 1 inside), not an exec."""
    privileged: bool = False
    """Whether it may change its network (--privileged, or CAP_NET_ADMIN)."""
    helper: bool = False
    """Whether docker-init is pid 1 (--init)."""
    disk: Disk = field(default_factory=Disk)
    """The container's files."""
    resolver: Resolver | None = None
    """None on the default bridge and the host network: there is no embedded DNS there."""
    rows: int = 24
    columns: int = 80


class NotRunnable(Exception):  # noqa: N818 - an answer, not a fault
    """The command cannot be run: `exec: "x": executable file not found in $PATH` (127), `permission denied` (126)."""

    def __init__(self, message: str, code: int, instead: str = "") -> None:
        self.message, self.code = message, code
        self.instead = instead
        """What there is, for the engine's log."""
        super().__init__(message)


class Handle(Protocol):
    """A process that was started."""

    pid: int
    exit_code: int | None
    """None while it runs; 128 + the signal when one ended it."""

    def kill(self, signal: int) -> None:
        """Send a signal; pid 1 ignores what it has no handler for, except SIGKILL and SIGSTOP."""

    def write(self, data: bytes) -> None:
        """Give it standard input (with a TTY: what was typed)."""

    def unread(self) -> int:
        """Octets of its input that it has not read."""

    def close_stdin(self) -> None:
        """Standard input has ended."""

    def resize(self, rows: int, columns: int) -> None:
        """The window has another size."""

    def pause(self, frozen: bool) -> None:
        """Freeze or thaw (the cgroup freezer)."""

    def hold(self, held: bool) -> None:
        """Stop it until its output has been read, or let it go on; apart from `pause`."""

    def processes(self) -> list[tuple[int, int, str]]:
        """(pid, parent pid, command line) of it and its children, for `docker top`."""


class Runtime(Protocol):
    """Whatever runs processes in the containers of one node."""

    def start(self, spec: ProcessSpec, output: Callable[[int, bytes], None], on_exit: Callable[[int], None]) -> Handle:
        """Start a process; nothing of it runs before this returns.

        *output* gets (1 or 2, data) for each piece it writes; *on_exit* its status, once, after the last output.

        Raises:
            NotRunnable: there is no such command, or it is a directory.
        """


class EngineAction:
    """A deferred action of an engine; in a copy of the network it does nothing, for the engine is not copied."""

    def __init__(self, action: Callable[[], object] | None) -> None:
        self.action = action

    def __call__(self) -> None:
        """Do it."""
        if self.action is not None:
            self.action()

    def __deepcopy__(self, memo: dict[int, Any]) -> EngineAction:
        return EngineAction(None)


def later(network: Network, delay_ns: int, action: Callable[[], object]) -> Timer:
    """Let an action of the engine or of a process happen after a time; copies of the network do not repeat it."""
    return network.at(network.now + delay_ns, EngineAction(action))
