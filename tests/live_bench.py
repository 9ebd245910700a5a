"""Real namespaces of our own, a `simvlan live` in one of them, and commands beside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 30


class Bench:
    """Namespaces named after this process, gone at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spaces: list[str] = []
        self.runs: list[Live] = []
        self.others: list[subprocess.Popen[bytes]] = []

    def netns(self, name: str = "a") -> str:
        """A new namespace; its name."""
        space = f"svl{os.getpid()}-{name}"
        subprocess.run(["ip", "netns", "add", space], check=True)
        self.spaces.append(space)
        quiet = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"
        self.sh(space, f"ip link set lo up; {quiet}")
        return space

    def sh(self, space: str, text: str, check: bool = True, timeout: float = PATIENCE_S) -> str:
        """Run a script in a namespace; what it printed."""
        command = ["ip", "netns", "exec", space, "bash", "-c", text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
        return done.stdout

    def spawn(self, space: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a program in a namespace; it is ended with the bench."""
        command = ["ip", "netns", "exec", space, *words]
        self.others.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return self.others[-1]

    def live(self, space: str, script: str, *words: str, name: str = "t", before: tuple[str, ...] = ()) -> Live:
        """Start `simvlan live` in a namespace and wait until it runs."""
        run = self.start(space, script, *words, name=name, before=before)
        run.hear("live; change it with")
        return run

    def start(self, space: str, script: str, *words: str, name: str = "t", before: tuple[str, ...] = ()) -> Live:
        """The same, without waiting."""
        self.runs.append(Live(self, space, script, words, name, before))
        return self.runs[-1]

    def link(self, space: str, name: str) -> dict[str, Any]:
        """A device as `ip -j link` shows it; {} when it is not there."""
        shown = self.sh(space, f"ip -j -s link show {name} 2>/dev/null", check=False)
        return json.loads(shown)[0] if shown.strip() else {}

    def close(self) -> None:
        for other in self.others:
            if other.poll() is None:
                other.kill()
                other.wait()
        for run in self.runs:
            run.kill()
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], check=False)


class Live:
    """One run of `simvlan live`, and what it said."""

    def __init__(
        self, bench: Bench, space: str, script: str, words: tuple[str, ...], name: str, before: tuple[str, ...]
    ) -> None:
        self.bench, self.name = bench, name
        path = bench.folder / f"{name}.sh"
        path.write_text(script)
        self.said = bench.folder / f"{name}.err"
        self.sockets = bench.folder / "s"
        command = ["ip", "netns", "exec", space, *before, sys.executable, "-m", "simvlan.cli", "live"]
        named = ["--sockets", str(self.sockets), "--name", name]
        self.shown = bench.folder / f"{name}.out"
        with self.said.open("w") as err, self.shown.open("w") as out:
            self.process = subprocess.Popen([*command, *named, *words, str(path)], stdout=out, stderr=err)

    def hear(self, text: str) -> None:
        """Wait until it has said something."""
        wait_for(lambda: text in self.said.read_text() or self.process.poll() is not None)
        assert text in self.said.read_text(), self.said.read_text()

    def exec(self, *argv: str, netns: str = "") -> str:
        command = [
            sys.executable,
            "-m",
            "simvlan.cli",
            "exec",
            "--sockets",
            str(self.sockets),
            "--netns",
            netns,
            self.name,
        ]
        done = subprocess.run([*command, *argv], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)


def wait_for(done: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Wait for a state, not for a time."""
    end = time.monotonic() + patience_s
    while not (found := done()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    made = Bench(folder)
    try:
        yield made
    finally:
        made.close()


def machine() -> str:
    """The machine's own network as a run must leave it: devices, addresses, routes."""
    links = [{key: link.get(key) for key in SAME} for link in asked("link")]
    addresses = [[link["ifname"], a["local"], a["prefixlen"]] for link in asked("addr") for a in link["addr_info"]]
    routes = [[route.get(key) for key in ("dst", "dev", "gateway")] for what in ("-4", "-6") for route in asked(what)]
    return json.dumps([links, addresses, routes])


SAME = ("ifindex", "ifname", "flags", "mtu", "operstate", "address", "master", "promiscuity")


def asked(what: str) -> Any:
    """What `ip -j` says in the machine's own namespace."""
    words = [what, "route"] if what.startswith("-") else ["-d", what]
    done = subprocess.run(["ip", "-j", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


def ask_tagged(device: str, vid: int, me: str, whom: str) -> list[tuple[int, str]]:
    """Ask for an address by ARP in a VLAN, and wait for an answer: (VID, text), the tag from the kernel's auxdata."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3) as sock:
        sock.bind((device, 3))
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(263, 8, 1)
        mine = sock.getsockname()[4]
        head = b"\xff" * 6 + mine + (0x8100 << 16 | vid).to_bytes(4, "big") + bytes.fromhex("0806")
        sock.send(head + bytes.fromhex("0001080006040001") + mine + address(me) + bytes(6) + address(whom))
        while True:
            data, told, _, sender = sock.recvmsg(2000, 64)
            if sender[2] != 4 and data[12:14] == b"\x08\x06" and data[20:22] == b"\0\2":
                tags = [int.from_bytes(d[16:18], "little") & 0xFFF for _, kind, d in told if kind == 8]
                return [(tag, f"{socket.inet_ntoa(data[28:32])} is at") for tag in tags]


def address(text: str) -> bytes:
    return socket.inet_aton(text)


def flood(device: str, frames: int) -> None:
    """Send frames of 60 octets to nobody, as fast as it goes, none given up on the way to the device."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, 0))
        frame = b"\2" + bytes(5) + sock.getsockname()[4] + b"\x88\xb5" + bytes(46)
        for _ in range(frames):
            sock.send(frame)
