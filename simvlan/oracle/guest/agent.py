"""Runs one script in namespaces of its own and watches: every device of every namespace it names.

The agent is PID 1 of the script's PID namespace, so that its end is the end of everything the script started.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import inject, shims
from .syscalls import IN_CREATE, IN_DELETE, read_directory_events, watch_directory
from .sysctls import make_plain
from .tap import Record, Tap

ROOT = "root"
_NETNS = Path("/run/netns")
_QUIET_S = 0.06  # work queues and softirqs are through when nothing came for this long
_LINGER_S = 1.0  # but periodic traffic never falls quiet


class Agent:
    """The poll loop: script, requests, namespaces, frames."""

    def __init__(self, capture: bool) -> None:
        self.captures: dict[str, list[Record]] = {}
        self._capture = capture
        self._taps: dict[str, Tap] = {}
        self._poll = select.poll()
        _NETNS.mkdir(exist_ok=True)
        self._directory = watch_directory(str(_NETNS))
        # opened for both ways, a FIFO neither blocks nor reports the last writer's leaving
        self._requests = os.open(shims.REQUESTS, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        for fd in (self._directory, self._requests):
            self._poll.register(fd, select.POLLIN)
        self._adopt(ROOT, self._home)

    def run(self, argv: list[str], timeout_s: float, **how: Any) -> int | None:
        """The script's exit status, None when its time was up."""
        script = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **how)
        ended = os.pidfd_open(script.pid)
        self._poll.register(ended, select.POLLIN)
        deadline = time.monotonic() + timeout_s
        while not self._turn(deadline - time.monotonic()) & {ended}:
            if time.monotonic() >= deadline:
                script.kill()
                return None
        self._poll.unregister(ended)
        status = script.wait()
        self._settle()
        return status if status >= 0 else 128 - status

    def _settle(self) -> None:
        """Wait for quiet."""
        end = time.monotonic() + _LINGER_S
        quiet = time.monotonic() + _QUIET_S
        while self._taps and time.monotonic() < min(quiet, end):
            if self._turn(quiet - time.monotonic()):
                quiet = time.monotonic() + _QUIET_S

    def _turn(self, wait_s: float) -> set[int]:
        """Sleep until something happens, deal with it, and say which descriptors it was."""
        ready = {fd for fd, _ in self._poll.poll(max(0.0, wait_s) * 1000)}
        for tap in self._taps.values():
            if ready & set(tap.filenos()):
                tap.pump()
        if self._directory in ready:
            self._follow_namespaces()
        if self._requests in ready:
            self._answer_requests()
        return ready

    def _pause(self, seconds: float) -> None:
        """Keep watching for a while, except for further requests."""
        end = time.monotonic() + seconds
        self._poll.unregister(self._requests)
        while (left := end - time.monotonic()) > 0:
            self._turn(left)
        self._poll.register(self._requests, select.POLLIN)

    # namespaces

    def _follow_namespaces(self) -> None:
        for mask, name in read_directory_events(self._directory):
            if mask & IN_DELETE:
                self._drop(name)
            elif mask & IN_CREATE and (fd := _open_when_mounted(_NETNS / name)) is not None:
                self._adopt(name, fd)
                os.close(fd)

    def _adopt(self, name: str, fd: int) -> None:
        make_plain(fd)
        if self._capture:
            self._drop(name)
            self._taps[name] = tap = Tap(fd, lambda device: self.captures.setdefault(f"{name}.{device}", []))
            for fileno in tap.filenos():
                self._poll.register(fileno, select.POLLIN)

    def _drop(self, name: str) -> None:
        if tap := self._taps.pop(name, None):
            for fileno in tap.filenos():
                self._poll.unregister(fileno)
            tap.close()

    def close(self) -> None:
        """Take the last frames and let all namespaces go."""
        for name in list(self._taps):
            self._drop(name)

    # requests

    def _answer_requests(self) -> None:
        for pid in os.read(self._requests, 65536).split():
            code, text = self._obey(int(pid))
            _reply(shims.RUN / f"reply.{int(pid)}", f"{code}\n{text}")

    def _obey(self, pid: int) -> tuple[int, str]:
        request = shims.RUN / f"request.{pid}"
        cwd, *args = request.read_text().split("\n")[:-1]
        request.unlink()
        try:
            shots, pause_s = inject.parse(args, cwd)
        except inject.UsageError as error:
            return 2, f"simvlan: {error}\n"
        except Exception as error:
            return 2, f"simvlan send: {type(error).__name__}: {error}\n"
        sender = inject.Sender(lambda name: self._open_ns(name, pid))
        complaints = sender.fire(shots, lambda: self._pause(pause_s))
        return (1 if complaints else 0), "".join(line + "\n" for line in complaints)

    def _open_ns(self, name: str | None, pid: int) -> int:
        if name == ROOT:
            return os.dup(self._home)
        return os.open(f"/proc/{pid}/ns/net" if name is None else _NETNS / name, os.O_RDONLY | os.O_CLOEXEC)


def _open_when_mounted(path: Path) -> int | None:
    """`ip netns add` makes the file first and mounts the namespace on it a moment later."""
    home = os.stat("/proc/self/ns/net").st_dev
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            if path.stat().st_dev == home:
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        os.sched_yield()
    return None


def _reply(fifo: Path, text: str) -> None:
    """Write once the asker reads; an asker that was killed meanwhile is forgotten."""
    for _ in range(200):
        try:
            fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                return
            time.sleep(0.005)
            continue
        with contextlib.suppress(BrokenPipeError):
            os.write(fd, text.encode())
        os.close(fd)
        break
    fifo.unlink(missing_ok=True)


def environment(extra: dict[str, str]) -> dict[str, str]:
    """What a script finds: the usual places, the C locale, nothing of the caller's."""
    return {
        "PATH": f"{shims.BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(shims.RUN),
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        **extra,
    }


def run_job(job: dict[str, Any], out: Path) -> dict[str, Any]:
    """Run the script of one job in the namespaces this process is in; its streams go to files in `out`."""
    sys.path += job["python_path"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    shims.install(job["module_base"])
    agent = Agent(job["capture"])
    with open(out / "stdout", "wb") as stdout, open(out / "stderr", "wb") as stderr:
        code = agent.run(
            ["bash", str(out / "script"), *job["args"]],
            job["timeout_s"],
            stdout=stdout,
            stderr=stderr,
            cwd=job["cwd"],
            env=environment(job["env"]),
        )
    agent.close()
    return {"exit_code": 124 if code is None else code, "timed_out": code is None, "captures": agent.captures}
