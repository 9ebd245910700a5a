"""The control socket of a served lab: simvlan's own commands in its namespaces, for `simvlan exec`.

One request a connection: a line of JSON, `{"argv": [...], "netns": "node-1"}`; then lines `{"signal": "SIGINT"}`.
Answers are lines too: `{"out": TEXT}`, `{"err": TEXT}`, and at the end `{"exit": STATUS}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import sys
from collections.abc import Generator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from simvlan.docker.private import clear, may_speak
from simvlan.docker.programs.schedule import Env, Task
from simvlan.errors import Unsupported
from simvlan.tools import REFUSED, TOOLS, load
from simvlan.tools.program import REFUSED_STATUS, Process, refusal

if TYPE_CHECKING:
    from simvlan.lab import Lab


class World(Protocol):
    """What the socket needs of whoever runs the lab."""

    lab: Lab
    tasks: set[object]

    @property
    def selector(self) -> selectors.BaseSelector:
        """Where descriptors are watched."""

    def catch_up(self) -> None:
        """Bring the lab's time up to the wall's, if it follows that."""


LINE_LIMIT = 1 << 20
NOT_HERE = frozenset({"sudo", "timeout", "docker", "docker-compose"})
"""Commands that run others, which needs a shell."""


class Seen:
    """The lab as a command sees it: whoever waits, waits by the network's own timers."""

    def __init__(self, lab: Any) -> None:
        self._lab, self.network, self.env = lab, lab.network, Env(lab.network)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lab, name)


class Command(Process):
    """A command whose streams are a connection's; it has no files and no input."""

    def __init__(self, line: Line, argv: list[str], lab: Any, netns: str) -> None:
        super().__init__(argv, lab, netns=netns)
        self._line = line

    def _send_out(self, data: bytes) -> None:
        self._line.say(out=data.decode(errors="replace"))

    def _send_err(self, data: bytes) -> None:
        self._line.say(err=data.decode(errors="replace"))

    def read_file(self, path: str) -> bytes:
        """There are no files here."""
        raise Unsupported(f"{path}: a command of `simvlan exec` reads no files")

    def open(self, name: str, mode: str = "wb") -> IO[Any]:
        """There are no files here."""
        raise Unsupported(f"{name}: a command of `simvlan exec` writes no files; use `simvlan run --pcap`")


class Control:
    """The listening socket."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path = world, path
        clear(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._sock.bind(str(path))
        finally:
            os.umask(before)
        self._sock.listen(64)
        self._sock.setblocking(False)
        world.selector.register(self._sock, selectors.EVENT_READ, self._accept)

    def _accept(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            sock, _ = self._sock.accept()
            if may_speak(sock):
                Line(self.world, sock)
            else:
                sock.close()

    def close(self) -> None:
        """Take it away."""
        self.world.selector.unregister(self._sock)
        self._sock.close()
        self.path.unlink(missing_ok=True)


class Line:
    """One connection and its command."""

    def __init__(self, world: World, sock: socket.socket) -> None:
        self.world, self.sock = world, sock
        self._read, self._task = bytearray(), None  # type: bytearray, Task | None
        sock.settimeout(5)  # a client that does not read is given up
        world.selector.register(sock, selectors.EVENT_READ, self._hear)

    def say(self, **what: Any) -> None:
        """Send one line."""
        try:
            self.sock.sendall(json.dumps(what, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        except OSError:
            self._leave()

    def _hear(self, _mask: int) -> None:
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        self._read += data
        if not data or len(self._read) > LINE_LIMIT:
            self._leave()
        while b"\n" in self._read:
            line, _, rest = bytes(self._read).partition(b"\n")
            self._read = bytearray(rest)
            self._obey(line)

    def _obey(self, line: bytes) -> None:
        try:
            asked = json.loads(line)
            if self._task is not None:
                self._task.interrupt(str(asked["signal"]))
            else:
                self._begin([str(word) for word in asked["argv"]], str(asked.get("netns", "")))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.say(err="simvlan: exec: that is no request\n", exit=2)
            self._leave()

    def _begin(self, argv: list[str], netns: str) -> None:
        if netns not in self.world.lab.network.netns:
            self._end(2, f'simvlan: exec: no network namespace "{netns}"\n')
        elif not argv or argv[0] in NOT_HERE or argv[0] not in {*TOOLS, *REFUSED}:
            self._end(127, f"simvlan: exec: {argv[0] if argv else 'nothing'}: not a simulated command\n")
        elif argv[0] in REFUSED:
            self._end(REFUSED_STATUS, refusal(argv[0]))
        else:
            load(argv[0])  # what that takes must not be taken for the network's
            self.world.catch_up()
            seen = Seen(self.world.lab)
            self._task = Task(seen.env, self._run(Command(self, argv, seen, netns)), self._ended)
            self.world.tasks.add(self)

    def _run(self, command: Command) -> Generator[Any, Any, int]:
        """Run a command, then what it hands over to (`ip netns exec NS COMMAND`)."""
        while True:
            outcome = load(command.name)(command)
            status = int((yield from outcome) if not isinstance(outcome, int) else outcome)
            if command.handover is None:
                return status
            argv = command.handover.argv
            if argv[0] not in TOOLS or argv[0] in NOT_HERE:
                command.write_err(f"simvlan: exec: {argv[0]}: not a simulated command\n")
                return 127
            command = Command(self, argv, command.lab, command.handover.netns)

    def _ended(self, outcome: int | BaseException) -> None:
        if isinstance(outcome, int):
            self._end(outcome, "")
        elif isinstance(outcome, Unsupported):
            self._end(REFUSED_STATUS, f"simvlan: {outcome}\n")
        elif getattr(outcome, "cause", None) == "SIGINT":
            self._end(130, "")
        else:
            self._end(70, f"simvlan: internal error, please report it: {outcome!r}\n")

    def _end(self, status: int, text: str) -> None:
        if text:
            self.say(err=text)
        self.say(exit=status)
        self._leave()

    def _leave(self) -> None:
        """The client has gone, or has been answered."""
        self.world.tasks.discard(self)
        if self.sock.fileno() >= 0:
            self.world.selector.unregister(self.sock)
            self.sock.close()
        task, self._task = self._task, None
        if task is not None:
            task.kill()


def execute(path: Path, netns: str, argv: list[str]) -> int:
    """The client: run a command in a served lab; its exit status. Raises OSError when nobody serves."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(str(path))
        sock.sendall(json.dumps({"argv": argv, "netns": netns}).encode() + b"\n")
        lines = sock.makefile("rb")
        while True:
            try:
                line = lines.readline()
            except KeyboardInterrupt:
                sock.sendall(b'{"signal": "SIGINT"}\n')
                continue
            if not line:
                return 125
            said = json.loads(line)
            sys.stdout.write(said.get("out", ""))
            sys.stdout.flush()
            sys.stderr.write(said.get("err", ""))
            if "exit" in said:
                return int(said["exit"])
