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
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from . import inject, shims
from .linkwatch import Linkwatch
from .recorder import Recorder
from .relay import Relay
from .settle import Marker
from .state import listings
from .syscalls import IN_CREATE, IN_DELETE, read_directory_events, watch_directory
from .sysctls import make_plain
from .tap import Tap

ROOT = "root"
_NETNS = Path("/run/netns")
_QUIET_S = 0.06  # work queues and softirqs are through when nothing came for this long
_LINGER_S = 1.0  # but periodic traffic never falls quiet
_CARRIER_S = 1.5  # linkwatch acts at most once a second
_LOOKS = 3  # what it tells may be a change for another, but periodic traffic is never over


class Agent:
    """The poll loop: script, requests, namespaces, frames."""

    def __init__(
        self,
        recorder: Recorder | None,
        linkwatch: Linkwatch | None = None,
        marker: Marker | None = None,
        *,
        ipv6: bool = False,
    ) -> None:
        """`linkwatch`, for listings: who tells when a new device has its state; `marker`: when a frame is through.

        `ipv6`: namespaces start with it.
        """
        self._ipv6 = ipv6
        self._linkwatch, self._marker = linkwatch, marker
        self.lost: dict[str, int] = {}
        """By namespace, how many frames the kernel had no room for."""
        self._recorder = recorder
        self._taps: dict[str, Tap] = {}
        self._relays: dict[int, Relay] = {}
        self._poll = select.poll()
        _NETNS.mkdir(exist_ok=True)
        self._directory = watch_directory(str(_NETNS))
        # opened for both ways, a FIFO neither blocks nor reports the last writer's leaving
        self._requests = os.open(shims.REQUESTS, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        for fd in (self._directory, self._requests):
            self._poll.register(fd, select.POLLIN)
        self._adopt(ROOT, self._home)

    def relay(self, relay: Relay) -> int:
        """Pass on what comes out of a pipe from now on; the end to write to."""
        self._relays[relay.fileno()] = relay
        self._poll.register(relay.fileno(), select.POLLIN)
        return relay.writing_end

    def run(self, argv: list[str], timeout_s: float, **how: Any) -> tuple[int, str]:
        """The script's exit status, and which limit ended it: time, output, frames, or none ("")."""
        script = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **how)
        ended = os.pidfd_open(script.pid)
        self._poll.register(ended, select.POLLIN)
        deadline = time.monotonic() + timeout_s
        while not self._turn(deadline - time.monotonic()) & {ended}:
            if limit := self._passed(deadline):
                script.kill()
                return 124, limit
        self._poll.unregister(ended)
        status = script.wait()
        self._settle()
        return (status if status >= 0 else 128 - status), self._passed(float("inf"))

    def _passed(self, deadline: float) -> str:
        if any(relay.full for relay in self._relays.values()):
            return "output"
        if self._recorder and self._recorder.full:
            return "frames"
        return "time" if time.monotonic() >= deadline else ""

    def _settle(self) -> None:
        """Wait for quiet."""
        self._await_carriers()
        for _ in range(_LOOKS if self._linkwatch and self._linkwatch.available else 0):
            assert self._linkwatch
            self._linkwatch.wait()
            if not self._turn(0):
                break  # it told nothing, so nobody waits for more
        end = time.monotonic() + _LINGER_S
        quiet = time.monotonic() + _QUIET_S
        while time.monotonic() < min(quiet, end):
            if self._turn(quiet - time.monotonic()):
                quiet = time.monotonic() + _QUIET_S

    def _await_carriers(self) -> None:
        """Until linkwatch has seen every change of carrier: before, devices swallow what they are given."""
        end = time.monotonic() + _CARRIER_S
        for tap in self._taps.values():
            tap.pump()
        while any(tap.carrier_pending for tap in self._taps.values()) and time.monotonic() < end:
            self._pause(0.02)

    def _turn(self, wait_s: float) -> set[int]:
        """Sleep until something happens, deal with it, and say which descriptors it was."""
        ready = {fd for fd, _ in self._poll.poll(max(0.0, min(wait_s, 3600.0)) * 1000)}
        if self._directory in ready:
            self._follow_namespaces()
        for tap in self._taps.values():
            if ready & set(tap.filenos()):
                tap.pump()
        for fd in ready & set(self._relays):
            self._relays[fd].pump()
        if self._requests in ready:
            self._answer_requests()
        return ready

    def _pause(self, seconds: float, marker: Marker | None = None) -> None:
        """Keep watching for a while, and until all work is done that was queued before; further requests wait."""
        end = time.monotonic() + seconds
        with contextlib.suppress(KeyError):
            self._poll.unregister(self._requests)
        if marker:
            marker.settle(partial(self._frames, time.monotonic() + _LINGER_S))
        while (left := end - time.monotonic()) > 0:
            self._turn(left)
        self._poll.register(self._requests, select.POLLIN)

    def _frames(self, end: float) -> int:
        """Take what has come: from how many sockets; none counts once the time is over, for a flood has no end."""
        watching = {fd for tap in self._taps.values() for fd in tap.filenos()}
        return len(self._turn(0) & watching) if time.monotonic() < end else 0

    # -- namespaces --------------------------------------------------------------------------------------------------

    def _follow_namespaces(self) -> None:
        for mask, name in read_directory_events(self._directory):
            if mask & IN_DELETE:
                self._drop(name)
            elif mask & IN_CREATE and (fd := _open_when_mounted(_NETNS / name)) is not None:
                self._adopt(name, fd)
                os.close(fd)

    def _adopt(self, name: str, fd: int) -> None:
        make_plain(fd, ipv6=self._ipv6)
        self._drop(name)
        self._taps[name] = tap = Tap(fd, name, self._recorder)
        for fileno in tap.filenos():
            self._poll.register(fileno, select.POLLIN)

    def _drop(self, name: str) -> None:
        if tap := self._taps.pop(name, None):
            for fileno in tap.filenos():
                self._poll.unregister(fileno)
            tap.close()
            if tap.lost:
                self.lost[name] = self.lost.get(name, 0) + tap.lost

    def open_namespaces(self) -> Iterator[tuple[str, int]]:
        """(name, descriptor) of each namespace there is."""
        for name in list(self._taps):
            with contextlib.suppress(OSError):
                fd = self._open_ns(name, 0)
                try:
                    yield name, fd
                finally:
                    os.close(fd)

    def close(self) -> None:
        """Take the last frames and let all namespaces go."""
        for name in list(self._taps):
            self._drop(name)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _answer_requests(self) -> None:
        for pid in os.read(self._requests, 65536).split():
            code, text = self._obey(int(pid))
            _reply(shims.RUN / f"reply.{int(pid)}", f"{code}\n{text}")

    def _obey(self, pid: int) -> tuple[int, str]:
        request = shims.RUN / f"request.{pid}"
        cwd, *args = request.read_text().split("\n")[:-1]
        request.unlink()
        try:
            order = inject.parse(args, cwd)
        except inject.UsageError as error:
            return 2, f"simvlan {error}\n"
        except Exception as error:
            return 2, f"simvlan send: {type(error).__name__}: {error}\n"
        self._await_carriers()
        sender = inject.Sender(lambda name: self._open_ns(name, pid), lambda: self._name_of(pid))
        complaints = sender.fire(order, lambda: self._pause(order.pause_s, self._marker))
        return (1 if complaints else 0), "".join(line + "\n" for line in complaints)

    def _name_of(self, pid: int) -> str:
        """The name of the namespace that a process is in."""
        here = os.stat(f"/proc/{pid}/ns/net").st_ino
        for name, fd in self.open_namespaces():
            if os.fstat(fd).st_ino == here:
                return name
        return ROOT

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
        time.sleep(0.0003)  # yielding would not do: the agent goes before everybody else
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


def environment(env: dict[str, str]) -> dict[str, str]:
    """What a script finds: the caller's environment, and on its path our commands first and the system's after."""
    path = env.get("PATH", "")
    own = {"PATH": f"{shims.BIN}:{path + ':' if path else ''}{_SYSTEM_PATH}"}
    return {"HOME": str(shims.RUN), "LC_ALL": "C.UTF-8", "TERM": "dumb", **env, **own} if not path else {**env, **own}


_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_job(job: dict[str, Any], out: Path, marker: Marker | None, *, flush: bool) -> dict[str, Any]:
    """Run the script of one job in the namespaces this process is in; its streams and frames go to files in `out`.

    `marker`: who tells when a frame that was sent is through. `flush`: hand every piece of output on at once, where the
    folder lies behind another kernel's cache.
    """
    _go_first()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    shims.install(job["module_base"])
    recorder = Recorder(out / "frames", job["frames_limit"]) if job["capture"] else None
    watch = Linkwatch(environment(job["env"])) if job["listings"] else None
    agent = Agent(recorder, watch, marker, ipv6=job["ipv6"])
    relays = [Relay(out / name, job["output_limit"], flush=flush) for name in ("stdout", "stderr")]
    streams = [agent.relay(relay) for relay in relays]
    status, limit = agent.run(
        ["bash", *job["bash"]],
        job["timeout_s"],
        stdout=streams[0],
        stderr=streams[1],
        cwd=job["cwd"],
        env=environment(job["env"]),
    )
    state = listings(agent.open_namespaces(), job["listings"]) if not limit else []
    agent.close()
    for relay in relays:
        relay.close()
    if recorder:
        recorder.close()
    return {
        "exit_code": status,
        "limit": limit,
        "lost": agent.lost,
        "listings": state,
        "points": recorder.points if recorder else [],
        "appeared": recorder.appeared if recorder else [],
    }


def _go_first() -> None:
    """Before the script, so that a namespace is watched before anything happens in it; children are not affected."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
