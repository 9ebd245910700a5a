"""A guest that does one small scenario after the other: many a second, so no process is started per command.

Unlike `agent`, which runs any bash script, a scenario here is a list of plain lines (`ip ...`, `bridge ...`, `ip netns
exec NS sysctl ...`, `sleep ...`, `simvlan send ...`), and time passes by what is seen (settle.py), not by the clock.
Scenarios come as files `todo/N`, results go to `done/N`. Each worker is a process with namespaces of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
import traceback
from pathlib import Path
from typing import Any

from . import luck, syscalls
from .agent import environment
from .lines import Machine
from .linkwatch import Linkwatch, keep_rounds
from .main import boot
from .settle import Marker

_IDLE_S, _BUSY_S = 0.02, 1.0
"""How often to look for work: each look goes to the machine's file system, which costs a kernel in a process much."""
_FORSAKEN_S = 120.0
"""Who gave the work is gone when its pulse is so old: killed, perhaps."""


def main(folder: str) -> None:
    """Serve until nobody is there any more; in a virtual machine, then switch it off."""
    plan = json.loads(Path(folder, "plan.json").read_text())
    try:
        if plan["virtual_machine"]:
            boot(plan["module_base"])
            _keep_neighbours()
            if not luck.checked(plan["groups"], environment({})):
                Path(folder, "unlucky").touch()
                syscalls.power_off()
        if plan["rounds"]:
            keep_rounds(environment({}))
        Path(folder, "release").write_text(os.uname().release)
        _serve(Path(folder), plan["workers"], plan["virtual_machine"])
    except BaseException:
        Path(folder, "crash").write_text(traceback.format_exc())
    if plan["virtual_machine"]:
        syscalls.power_off()


def _keep_neighbours() -> None:
    """Let no neighbour be forgotten for those of other scenarios: all namespaces are counted together (gc_thresh1)."""
    for knob in ("gc_thresh3", "gc_thresh2", "gc_thresh1"):
        for family in ("ipv4", "ipv6"):
            with contextlib.suppress(OSError):
                Path(f"/proc/sys/net/{family}/neigh/default/{knob}").write_text("65536")


def _serve(folder: Path, count: int, plain: bool) -> None:
    """Hand each scenario to an idle worker."""
    workers = [Worker(folder, number, plain) for number in range(count)]
    idle = list(workers)
    poll = select.poll()
    by_fd = {worker.answers: worker for worker in workers}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    pulse = 0.0
    while time.time() - pulse < _FORSAKEN_S or time.time() - (pulse := _pulse(folder)) < _FORSAKEN_S:
        for name in sorted(os.listdir(folder / "todo"), key=int) if idle else ():
            if not idle:
                break
            (folder / "todo" / name).rename(folder / "taken" / name)
            idle.pop(0).ask(name)
        for fd, what in poll.poll((_IDLE_S if idle else _BUSY_S) * 1000):
            if not what & select.POLLIN:
                raise RuntimeError("a worker ended")
            os.read(fd, 1)
            idle.append(by_fd[fd])


def _pulse(folder: Path) -> float:
    """When somebody last showed that they are there."""
    return (folder / "pulse").stat().st_mtime


class Worker:
    """One process that does scenarios; `answers` becomes readable when it has done one."""

    def __init__(self, folder: Path, number: int, plain: bool) -> None:
        requests, self._requests = os.pipe()
        self.answers, answers = os.pipe()
        if os.fork() == 0:
            os.close(self._requests)
            try:
                _work(folder, number, plain, requests, answers)
            except BaseException:
                (folder / f"crash.{number}").write_text(traceback.format_exc())
            finally:
                os._exit(1)
        os.close(requests)
        os.close(answers)

    def ask(self, name: str) -> None:
        """Give it a scenario's number."""
        os.write(self._requests, f"{name}\n".encode())


def _work(folder: Path, number: int, plain: bool, requests: int, answers: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["PATH"] = environment({})["PATH"]
    _leave_home()
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[number % len(cpus)]})  # a frame's way and its marker's share a CPU's queues
    marker, linkwatch = Marker(environment({}), ordered=plain), Linkwatch(environment({}))
    with os.fdopen(requests) as lines:
        for line in lines:
            name = line.strip()
            job = json.loads((folder / "taken" / name).read_text())
            with luck.elsewhere(job["shift"], environment({})):
                result = _attempt(job, marker, linkwatch, plain)
            partial = folder / "taken" / f"{name}.part"
            partial.write_text(json.dumps(result))
            partial.rename(folder / "done" / name)
            os.write(answers, b"!")


def _leave_home() -> None:
    """Private mounts (names of namespaces) and a network of its own."""
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "none", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", "/run", "tmpfs")
    os.mkdir("/run/netns")
    syscalls.mount("sysfs", "/sys", "sysfs")


def _attempt(job: dict[str, Any], marker: Marker, linkwatch: Linkwatch, plain: bool) -> dict[str, Any]:
    began = time.monotonic()
    try:
        with contextlib.closing(Machine(job["lines"], marker, linkwatch, plain, programs=job["programs"])) as machine:
            machine.follow()
            result = machine.result()
    except (RuntimeError, OSError, subprocess.SubprocessError):
        result = {"crash": traceback.format_exc()}
    return {**result, "seconds": time.monotonic() - began}
