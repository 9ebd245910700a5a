"""The first program in a guest (PID 1 of User Mode Linux, or an ordinary process on the host): one job after another.

Each job runs in new network, mount and PID namespaces; ending the agent, their PID 1, ends all of it.
"""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any

from . import shims, syscalls
from .agent import run_job
from .sysctls import set_sysctl

_MODULES = ("ipv6", "veth", "dummy", "bridge", "8021q", "macvlan", "ipvlan", "sch_netem", "sch_tbf")


def main(folder: str) -> None:
    """Do the jobs of `folder`/jobs.json; in a virtual machine, then switch it off."""
    plan = json.loads(Path(folder, "jobs.json").read_text())
    try:
        if plan["virtual_machine"]:
            boot(plan["module_base"])
        Path(folder, "release").write_text(os.uname().release)
        for number, job in enumerate(plan["jobs"]):
            _run_isolated(Path(folder, str(number)), job)
    except BaseException:
        Path(folder, "crash").write_text(traceback.format_exc())
    if plan["virtual_machine"]:
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


def _run_isolated(out: Path, job: dict[str, Any]) -> None:
    """Fork twice: the first child leaves the namespaces, its child is PID 1 of the new ones."""
    if (child := os.fork()) == 0:
        _exit_after(lambda: _enter_and_run(out, job), out)
    os.waitpid(child, 0)


def _enter_and_run(out: Path, job: dict[str, Any]) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
    syscalls.mount("none", "/", "none", syscalls.MS_REC | syscalls.MS_PRIVATE)
    if (child := os.fork()) == 0:
        _exit_after(lambda: _as_init(out, job), out)
    os.waitpid(child, 0)


def _as_init(out: Path, job: dict[str, Any]) -> None:
    for kind, target in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")):
        syscalls.mount(kind, target, kind)
    result = run_job(job, out)
    partial = out / "result.part"
    partial.write_text(json.dumps(result))
    partial.rename(out / "result")


def _exit_after(action: Any, out: Path) -> None:
    """End a forked child without unwinding the parent's stack; an error goes to a file."""
    try:
        action()
    except BaseException:
        (out / "crash").write_text(traceback.format_exc())
    finally:
        os._exit(0)
