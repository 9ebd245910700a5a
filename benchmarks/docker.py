"""What the served engines cost: each command's share of the server, the server's start, two hundred containers.

The server is `simvlan serve` as users start it, a process of its own whose CPU clock is read from outside; commands are
the real docker client's where there is one, and else the same API calls.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure

GROUP = "Docker's words: a server of one node"
SIMVLAN = Path(sys.executable).parent / "simvlan"
CONTAINERS = 200
LAN = {
    "Name": "lan",
    "Driver": "macvlan",
    "Options": {"parent": "eth1.100"},
    "IPAM": {"Config": [{"Subnet": "192.168.0.0/16", "IPRange": "192.168.11.0/24"}]},
}
ON_LAN = {"Image": "alpine", "Cmd": ["sleep", "1000000"], "HostConfig": {"NetworkMode": "lan"}}


class Server:
    """`simvlan serve`, and a client of it."""

    def __init__(self, folder: Path, *words: str) -> None:
        command = [str(SIMVLAN), "serve", "--sockets", str(folder / "s"), "--state", str(folder / "state"), *words]
        self.sock = folder / "s" / "node-1.sock"
        begin = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self._answers():
            time.sleep(0.002)
        self.start_s = time.perf_counter() - begin
        self.start_cpu_s = self.cpu_s()

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with status {self.process.returncode}")
        with contextlib.suppress(OSError):
            return self.ask("GET", "/_ping") == b"OK"
        return False

    def cpu_s(self) -> float:
        """CPU seconds the server has used (the clock of another process, as clock_getcpuclockid(3) numbers it)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def settle(self) -> None:
        """Wait until the server does nothing any more: it loads in its first leisure what it may need."""
        before = -1.0
        while self.cpu_s() - before > 0.001:
            before = self.cpu_s()
            time.sleep(0.3)

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """One API call; refusals are errors."""
        link = http.client.HTTPConnection("docker")
        link.sock = socket.socket(socket.AF_UNIX)
        link.sock.connect(str(self.sock))
        with contextlib.closing(link):
            data = None if body is None else json.dumps(body)
            link.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            answer = link.getresponse()
            said = answer.read()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {said!r}")
            return said

    def docker(self, *words: str) -> None:
        """The real client."""
        env = {**os.environ, "DOCKER_HOST": f"unix://{self.sock}"}
        subprocess.run(["docker", *words], env=env, check=True, capture_output=True)

    def share(self, action: Callable[[], object]) -> float:
        """CPU seconds of the server in an action."""
        before = self.cpu_s()
        action()
        return self.cpu_s() - before


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            server.ask("POST", "/images/create?fromImage=alpine&tag=latest")
            server.settle()
            yield server
        finally:
            server.process.terminate()
            server.process.wait()


def commands() -> dict[str, list[str]]:
    """What a user types first, by name."""
    create = "network create -d macvlan --subnet=192.168.0.0/16 --ip-range=192.168.11.0/24 -o parent=eth1.100 lan"
    return {
        "network create": create.split(),
        "run -d": ["run", "-d", "--net=lan", "--name", "c1", "alpine", "sleep", "1000000"],
        "run -d, the next": ["run", "-d", "--net=lan", "--name", "c2", "alpine", "sleep", "1000000"],
        "exec c1 ping -c 1 c2": ["exec", "c1", "ping", "-c", "1", "c2"],
        "ps": ["ps"],
        "rm -f": ["rm", "-f", "c1"],
    }


def figures(rounds: int) -> Iterator[Figure]:
    """Measure everything here."""
    rows: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, value in one_round().items():
            rows.setdefault(name, []).append(value)
    for name, values in rows.items():
        yield Figure(GROUP, name, tuple(values), *BARS.get(name, ("CPU s", 0.03)), at_least=False)


START, STARTED = "server start, until it answers", "server start, its CPU time"
MANY = f"{CONTAINERS} containers on one network, created and started"
BARS: dict[str, tuple[str, float]] = {START: ("s", 1.0), STARTED: ("CPU s", 1.0), MANY: ("CPU s", 10.0)}
"""Unit and bar; every other figure is a command's share: CPU seconds, 30 ms."""


def one_round() -> dict[str, float]:
    """Start a server; run each command, the first time that server sees it; on another one two hundred containers."""
    found = {}
    with serving() as server:
        found[START], found[STARTED] = server.start_s, server.start_cpu_s
        for name, words in commands().items() if shutil.which("docker") else ():
            found[f"docker {name}, share of the server"] = server.share(lambda words=words: server.docker(*words))
    with serving() as server:
        server.ask("POST", "/networks/create", LAN)
        found[MANY] = server.share(lambda: many(server))
    return found


def many(server: Server) -> None:
    """Create and start them."""
    for number in range(CONTAINERS):
        server.ask("POST", f"/containers/create?name=c{number}", ON_LAN)
        server.ask("POST", f"/containers/c{number}/start")
