"""One shim on the line: its request, its streams, its signals, and the simulated command that serves it."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from simvlan.shell import wire
from simvlan.tools.program import Handover, Process

BACKLOG = 1 << 16
"""Octets waiting for a client beyond which its command is held back."""
CREDENTIALS = struct.Struct("3i")


class ClientProcess(Process):
    """A simulated command whose streams are those of a shim."""

    def __init__(self, client: Client, request: wire.Request, lab: Any, server: Any) -> None:
        super().__init__(
            request.argv, lab, netns=request.netns, env=request.env, cwd=request.cwd, pid=client.shown_pid, stdin=None
        )
        self.client = client
        self.server = server
        """Whoever serves the script (`server.Server`)."""
        self.stdout_isatty = request.stdout_isatty

    def path(self, name: str) -> str:
        """A file name as the client means it: relative to its directory, and in the script's own /etc."""
        full = os.path.normpath(super().path(name))
        own: int = self.server.sandbox.etc
        return f"/proc/self/fd/{own}/{full[5:]}" if full.startswith("/etc/") else super().path(name)

    def real(self, name: str) -> str:
        """Where the script's processes find the real program."""
        return str(self.server.sandbox.real.get(name, ""))

    def processes(self) -> dict[int, str]:
        """The script's processes, and where each is; a command may have been told to be elsewhere than its process."""
        sandbox = self.server.sandbox
        seen = {pid: sandbox.tree.netns(pid, sandbox.directory) for pid in sandbox.tree.pids()}
        commands = [client.process or client.left_behind for client in self.server.clients.values()]
        return seen | {each.pid: each.netns for each in commands if each is not None and each.pid in seen}

    def _send_out(self, data: bytes) -> None:
        self.client.send("1", data)

    def _send_err(self, data: bytes) -> None:
        self.client.send("2", data)

    runs_others = True

    def spawn(self, argv: Sequence[str], by: str, env: Mapping[str, str] | None = None) -> Any:
        """Run a command as a child of the client; an event with its exit code (negative: by that signal)."""
        self.client.child_ended = self.lab.env.event()
        self.client.send("P", wire.command(by, self.netns, argv, self.env if env is None else env))
        return self.client.child_ended

    def note_pid(self, pidfile: str) -> None:
        """Write the number of the client's process, as the script sees it."""
        super().note_pid(pidfile)
        self.client.send("F", os.fsencode(self.path(pidfile)))

    def signal_child(self, number: int) -> None:
        """Signal the child."""
        self.client.send("K", str(int(number)).encode())


class Client:
    """A connection; knows octets and messages, not when to act."""

    def __init__(self, sock: socket.socket, post: Callable[[Client, bytes], None]) -> None:
        self.sock = sock
        self.post = post
        """Takes messages, and has them delivered one client after the other."""
        self.posted = 0
        """Octets that are with the post."""
        self.sock.setblocking(False)
        self.pid = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[0]
        self.request: wire.Request | None = None
        self.process: ClientProcess | None = None
        self.running: Any = None
        """The SimPy process of a command that takes time."""
        self.left_behind: ClientProcess | None = None
        """The command that goes on in the background."""
        self.child_ended: Any = None
        self.drained: Any = None
        self.signals: socket.socket | None = None
        self.wants: str | None = None
        """The input that has been asked for."""
        self.inputs: dict[str, bytes] = {}
        self.gone = self.deaf = False
        self._arriving = bytearray()
        self._input = bytearray()
        self._leaving = bytearray()

    @property
    def shown_pid(self) -> int:
        """The number of its process as the script sees it, which may have numbers of its own (NSpid of proc(5))."""
        try:
            with open(f"/proc/{self.pid}/status") as file:
                found = next((line for line in file if line.startswith("NSpid:")), "")
        except OSError:
            found = ""
        numbers = found.split()[1:]
        return int(numbers[-1]) if numbers else int(self.pid)

    @property
    def backlog(self) -> int:
        """Octets that wait to be sent."""
        return self.posted + len(self._leaving)

    @property
    def blocked(self) -> bool:
        """Whether the client does not take what was delivered."""
        return bool(self._leaving)

    def receive(self) -> list[tuple[str, bytes]]:
        """What has arrived, as messages; sets `gone` at the end."""
        try:
            if self.signals is None:
                data, fds, _, _ = socket.recv_fds(self.sock, 1 << 16, 1)
                if fds:
                    self.signals = socket.socket(fileno=fds[0])
                    self.signals.setblocking(False)
            else:
                data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self.gone = self.gone or not data
        self._arriving += data
        return list(wire.messages(self._arriving))

    def caught(self) -> list[int]:
        """Numbers of the signals the client has caught; sets `deaf` when there will be no more."""
        if self.signals is None or self.signals.fileno() < 0:
            return []
        try:
            numbers = list(self.signals.recv(256))
        except BlockingIOError:
            return []
        except OSError:
            numbers = []
        self.deaf = not numbers
        return numbers

    def send(self, kind: str, payload: bytes = b"") -> None:
        """Post a message."""
        if not self.gone:
            data = wire.message(kind, payload)
            self.posted += len(data)
            self.post(self, data)

    def deliver(self, data: bytes) -> None:
        """Send what was posted, as far as the client takes it."""
        self.posted -= len(data)
        if not self.gone:
            self._leaving += data
            self.flush()

    def flush(self) -> None:
        """Send what the client takes."""
        try:
            while self._leaving:
                sent = self.sock.send(memoryview(self._leaving)[: 1 << 18])
                del self._leaving[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
            self._leaving.clear()
        if self.drained is not None and self.backlog < BACKLOG:
            event, self.drained = self.drained, None
            event.succeed()

    def ask(self, path: str) -> None:
        """Ask for all of an input."""
        self.wants = path
        self.send("N", os.fsencode(path))

    def take_input(self, data: bytes) -> bool:
        """Keep a piece of it; True when it is whole."""
        self._input += data
        if data or self.wants is None:
            return False
        self.inputs[self.wants] = bytes(self._input)
        self._input.clear()
        self.wants = None
        return True

    def finish(self, status: int) -> None:
        """Tell the client its exit status (negative: die by that signal), or to stay in the background."""
        process = self.process
        if process is not None and process.detached is not None and status == 0:
            self.left_behind = process
            self.request = self.process = self.running = None
            self.send("B", os.fsencode(process.detached.pidfile))
            return
        self.request = self.process = self.running = None
        self.send("E", str(status).encode())

    def become(self, by: str, handover: Handover) -> None:
        """Have the client become another, real command."""
        self.request = self.process = self.running = None
        self.send("X", wire.command(by, handover.netns, handover.argv, handover.env))

    def interrupt(self, name: str) -> None:
        """Pass a signal on to the command; one that has not begun, or waits for input, ends by it."""
        if self.left_behind is not None:
            self._end_behind(name)
            return
        if self.running is not None:
            if self.running.is_alive:
                self.running.interrupt(name)
        elif self.wants is not None or self.request is not None:
            self.finish(-signal.Signals[name])

    def _end_behind(self, name: str) -> None:
        """End what went on in the background; the script's own end leaves it in the network, as it does a real one."""
        behind = self.left_behind
        heard = behind.detached.heard.get(name) if behind is not None and behind.detached is not None else None
        if heard is not None:
            if not heard():
                self.left_behind = None
                self.finish(1)
            return
        if behind is None or name not in ("SIGTERM", "SIGINT", "SIGKILL"):
            return
        self.left_behind = None
        if behind.detached is not None and behind.server.status is None:
            behind.detached.stop()
        self.finish(0)

    def close(self) -> None:
        """Let go of both sockets."""
        self.sock.close()
        if self.signals is not None:
            self.signals.close()


def paced(client: Client, tool: Generator[Any, Any, int], env: Any) -> Generator[Any, Any, int]:
    """Run a tool as its own generator would, but hold it while its reader does not keep up."""
    import simpy

    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            event = tool.send(answer) if error is None else tool.throw(error)
        except StopIteration as stop:
            return int(stop.value or 0)
        answer = error = None
        try:
            answer = yield event
            while client.backlog >= BACKLOG and not client.gone:
                client.drained = env.event()
                yield client.drained
        except simpy.Interrupt as interrupt:
            error = interrupt
        except Exception as failed:  # an event the tool waits for may fail: that is the tool's to handle
            error = failed
