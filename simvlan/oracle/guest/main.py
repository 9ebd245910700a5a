"""The first program in a guest (PID 1 of User Mode Linux, or an ordinary process on the host): one job after another.

Each job runs in new network, mount and PID namespaces; ending the agent, their PID 1, ends all of it. Jobs come as
folders FOLDER/0, FOLDER/1 ..., begun once they hold `job.json`; a job that is over leaves `ended`, and `result` if all
went well.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import isolate, shims, syscalls
from .agent import environment, run_job
from .settle import Marker
from .sysctls import set_sysctl

_MODULES = ("ipv6", "veth", "dummy", "bridge", "8021q", "macvlan", "ipvlan", "sch_netem", "sch_tbf", "overlay")
_LOOK_S = 0.01


def main(folder: str) -> None:
    """Do the jobs of `folder`; its plan.json says where a virtual machine finds its modules (null on the host)."""
    home = Path(folder)
    plan = json.loads((home / "plan.json").read_text())
    module_base = plan["module_base"]
    sys.path += plan["python_path"]
    try:
        if module_base:
            boot(module_base)
        (home / "release").write_text(os.uname().release)
        marker = None
        for number in itertools.count():
            out = home / str(number)
            while not (out / "job.json").exists():
                time.sleep(_LOOK_S)
            job = json.loads((out / "job.json").read_text())
            if job["scapy"]:
                _load_scapy()
            if job["sends"] and not marker:
                marker = Marker(environment({}), ordered=bool(module_base), first=True)
            _run_isolated(out, job, marker, virtual_machine=bool(module_base))
            with contextlib.suppress(FileNotFoundError):  # made, seen and removed before the guest has opened it
                (out / "ended").touch()
    except BaseException:
        (home / "crash").write_text(traceback.format_exc())
    finally:
        if module_base:
            syscalls.power_off()


def boot(module_base: str) -> None:
    """What an init does, as far as scripts need it."""
    for kind, target in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")):
        syscalls.mount(kind, target, kind)
    if not os.path.exists("/dev/null"):  # a kernel built with DEVTMPFS_MOUNT has done it
        syscalls.mount("devtmpfs", "/dev", "devtmpfs")
    os.mkdir("/run/modprobe")
    loader = Path("/run/modprobe/modprobe")
    loader.write_text(shims.modprobe_text(module_base))
    loader.chmod(0o755)
    Path("/proc/sys/kernel/modprobe").write_text(str(loader))
    os.spawnv(os.P_WAIT, str(loader), ["modprobe", "-a", *_MODULES])
    for interface in ("all", "default"):
        set_sysctl(f"ipv6/conf/{interface}/disable_ipv6", "1")
    set_sysctl("core/devconf_inherit_init_net", "1")


def _load_scapy() -> None:
    """Once for all jobs to come, which are forked from here: it takes seconds in a virtual machine."""
    with contextlib.suppress(ImportError):
        from simvlan.shell.expression import layers

        layers()


def _run_isolated(out: Path, job: dict[str, Any], marker: Marker | None, *, virtual_machine: bool) -> None:
    """Fork twice: the first child leaves the namespaces, its child is PID 1 of the new ones."""

    def as_init() -> None:
        isolate.arrange(out, job, virtual_machine=virtual_machine)
        _hand_in(out, run_job(job, out, marker, flush=virtual_machine))

    def enter() -> None:
        isolate.unshare()
        _in_child(as_init, out)

    _in_child(enter, out)


def _in_child(action: Callable[[], None], out: Path) -> None:
    """Do something in a forked child and wait for it; an error there goes to a file."""
    if child := os.fork():
        os.waitpid(child, 0)
        return
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        action()
    except BaseException:
        (out / "crash").write_text(traceback.format_exc())
    finally:
        os._exit(0)  # without unwinding the parent's stack


def _hand_in(out: Path, result: dict[str, Any]) -> None:
    """Whole or not at all."""
    partial = out / "result.part"
    with open(partial, "w") as file:
        json.dump(result, file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(out / "result")
