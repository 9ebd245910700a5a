"""Engines on sockets, served by a thread of the test; and the docker command as a user runs it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simvlan.docker.engine import Engine
from simvlan.docker.http.world import World
from simvlan.docker.programs.runtime import Simulated
from simvlan.lab import Lab


def _docker() -> str | None:
    """The docker command, if it is one whose texts are those that were recorded (28 or later)."""
    found = shutil.which("docker")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\d+)\.", said)
    return found if version is not None and int(version[1]) >= 28 else None


DOCKER = _docker()
TWO_NODES = """
ip netns add switch
ip -n switch link add br0 type bridge
ip -n switch link set br0 up
"""
NODE = """
ip netns add {0}
ip -n {0} link set lo up
ip link add eth0 netns {0} address 08:00:27:00:00:{1} type veth peer name {0}-e0 netns switch
ip link add eth1 netns {0} address 08:00:27:00:01:{1} type veth peer name {0}-e1 netns switch
ip -n switch link set {0}-e0 up
ip -n switch link set {0}-e1 master br0 up
ip -n {0} link set eth0 up
ip -n {0} link set eth1 up
ip -n {0} addr add 10.0.2.15/24 dev eth0
ip -n {0} route add default via 10.0.2.2
"""


def commands(lab: Lab, text: str) -> None:
    """Run plain `ip` commands."""
    for line in filter(None, text.splitlines()):
        done = lab.command(*line.split())
        assert not done.exit, f"{line}: {done.stderr}"


def two_nodes(seed: int = 0) -> Lab:
    """node-1 and node-2, their eth1 on one switch that knows no VLANs."""
    lab = Lab(seed)
    commands(lab, TWO_NODES + NODE.format("node-1", "11") + NODE.format("node-2", "21"))
    return lab


def until_so(found: Callable[[], object], otherwise: str, limit: float = 60.0) -> None:
    """Wait for a state, however slow the machine is."""
    until = time.monotonic() + limit
    while not found():
        assert time.monotonic() < until, otherwise
        time.sleep(0.02)


@dataclass
class Done:
    """What a command did."""

    exit: int
    out: str
    err: str


@dataclass
class Served:
    """A served lab."""

    lab: Lab
    world: World
    folder: Path
    engines: dict[str, Engine] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def socket(self, node: str = "node-1") -> Path:
        """A node's socket."""
        return self.folder / f"{node}.sock"

    def host(self, node: str = "node-1") -> str:
        """DOCKER_HOST for a node."""
        return f"unix://{self.socket(node)}"

    def environment(self, node: str = "node-1", **more: str) -> dict[str, str]:
        """What a client of a node needs."""
        (self.folder / "config").mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        config = str(self.folder / "config")
        return {**kept, "DOCKER_HOST": self.host(node), "DOCKER_CONFIG": config, "TZ": "UTC", **more}

    def docker(self, *argv: str, node: str = "node-1", stdin: str | None = "", limit: float = 120, **env: str) -> Done:
        """Run the docker command."""
        assert DOCKER is not None
        done = subprocess.run(
            [DOCKER, *argv], input=(stdin or "").encode(), capture_output=True, timeout=limit,
            env=self.environment(node, **env), check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def start(self, *argv: str, node: str = "node-1", **how: Any) -> subprocess.Popen[bytes]:
        """Start the docker command."""
        assert DOCKER is not None
        return subprocess.Popen(
            [DOCKER, *argv], env=self.environment(node), stdin=how.pop("stdin", subprocess.DEVNULL),
            stdout=how.pop("stdout", subprocess.PIPE), stderr=how.pop("stderr", subprocess.STDOUT), **how,
        )  # fmt: skip

    def terminal(self, *argv: str, node: str = "node-1", size: tuple[int, int] = (24, 80)) -> Terminal:
        """Start the docker command on a pseudo-terminal."""
        assert DOCKER is not None
        return Terminal([DOCKER, *argv], self.environment(node, TERM="xterm"), size)

    def resize(self, terminal: Terminal, rows: int, columns: int) -> None:
        """Give a terminal another size, again and again until the client hears of it: it listens a little late."""
        wanted, last = f"resize?h={rows}&w={columns} ", [0.0]

        def told() -> bool:
            if time.monotonic() - last[0] > 1.0:
                last[0] = time.monotonic()
                terminal.resize(rows, columns - 1)
                terminal.resize(rows, columns)
            return any(wanted in call for call in [call for call in list(self.calls) if "/resize?" in call][-1:])

        until_so(told, f"no call {wanted}")

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass though nobody waits for it."""
        until = self.lab.now + round(seconds * 1e9)
        self.do(lambda: self.lab.run(until_ns=until))

    def do(self, action: Callable[[], Any]) -> Any:
        """Do something in the thread that serves."""
        return self.world.call(action)

    def heard(self, *words: str) -> None:
        """Wait until a call with these words in it has been answered, or begun to be, since `calls` was emptied."""
        until_so(lambda: any(all(word in call for word in words) for call in list(self.calls)), f"no call of {words}")


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], size: tuple[int, int]) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], list(argv), env)
        self.resize(*size)
        self.seen = ""
        self._exit: int | None = None

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def taken(self) -> None:
        """Wait until the command reads each key by itself: what is typed sooner is echoed by the terminal."""
        until_so(lambda: not termios.tcgetattr(self.fd)[3] & termios.ECHO, "the terminal is not taken over")

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self.fd, text.encode())

    def read(self, limit: float = 0.05) -> bool:
        """Take what is there; False at the end."""
        ready, _, _ = select.select([self.fd], [], [], limit)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data.decode(errors="replace")
        return bool(data)

    def expect(self, text: str, limit: float = 60.0) -> None:
        """Wait until something has been printed after what was expected before; it is then forgotten."""
        until = time.monotonic() + limit
        while text not in self.seen:
            assert time.monotonic() < until, f"waited for {text!r}, saw {self.seen!r}"
            assert self.read() or text in self.seen, f"ended before {text!r}: {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def wait(self, limit: float = 60.0) -> int:
        """Read to the end; the exit status."""
        until = time.monotonic() + limit
        while self.read():
            assert time.monotonic() < until, f"does not end; saw {self.seen!r}"
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@contextmanager
def serving(lab: Lab, nodes: Sequence[str], *, speed: float = 0, dialect: str = "28", **how: Any) -> Iterator[Served]:
    """Serve a lab's engines while the block runs; without a speed, time passes only while a client waits."""
    with tempfile.TemporaryDirectory(prefix="sv") as folder:
        world = World(lab, fast=not speed, speed=speed or 1.0)
        served = Served(lab, world, Path(folder))
        world.sockets.log = served.calls.append
        began = time.time_ns() - lab.now
        for node in nodes:
            made = Engine(
                lab, node, dialect=dialect, now=lambda: began + lab.now, runtime=Simulated(lab.network), **how
            )
            served.engines[node] = made
            world.sockets.listen(served.socket(node), made)
        thread = threading.Thread(target=world.run, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            world.stop()
            thread.join(10)
            world.close()
