"""Run an unmodified bash script on a real kernel and bring back what happened, frame by frame.

Two kernels: `uml`, User Mode Linux (package user-mode-linux; no root, no KVM), and `host`, this machine's own in
private namespaces (root). Both run the same guest program (simvlan.oracle.guest), which knows no rule of the
simulator.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kernel = Literal["uml", "host"]
Direction = Literal["in", "out"]
Captured = tuple[int, Direction, bytes]  # timestamp in ns, way, octets with the 802.1Q tag in place

_UML = "linux.uml"
_UML_MODULES = Path("/usr/lib/uml/modules")
_BOOT_S = 60.0  # generous: booting takes 3 s on an idle machine
_MEMORY = "512M"
_TOOLS = ("bash", "ip", "bridge", "mkfifo")


class KernelUnavailable(RuntimeError):  # noqa: N818  (says what is the case, like Unsupported)
    """This machine cannot run that kernel, or the kernel did not come through."""


@dataclass(frozen=True)
class KernelRun:
    """What one script did."""

    exit_code: int
    stdout: str
    stderr: str
    captures: dict[str, list[Captured]]
    kernel_release: str
    timed_out: bool = False


@dataclass(frozen=True)
class Job:
    """A script and how to start it."""

    script: str
    args: Sequence[str] = ()
    cwd: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 60.0
    capture: bool = True


def available(kernel: Kernel) -> str | None:
    """Why `kernel` cannot be used here, or None when it can."""
    missing = [tool for tool in _TOOLS if not _which(tool)]
    if missing:
        return f"commands missing: {', '.join(missing)} (Debian: apt install iproute2)"
    return _uml_unavailable() if kernel == "uml" else _host_unavailable()


def _uml_unavailable() -> str | None:
    if not shutil.which(_UML) or not _UML_MODULES.is_dir():
        return "User Mode Linux is not installed (Debian: apt install user-mode-linux)"
    if not _which("modprobe"):
        return "modprobe is missing (Debian: apt install kmod)"
    return None


def _host_unavailable() -> str | None:
    if sys.platform != "linux":
        return "the host is not Linux"
    return None if os.geteuid() == 0 else "private namespaces on the host need root"


def _which(tool: str) -> str | None:
    return shutil.which(tool, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


def run_script(
    kernel: Kernel,
    script: str,
    *,
    timeout_s: float = 60.0,
    capture: bool = True,
    args: Sequence[str] = (),
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> KernelRun:
    """Run one bash script on `kernel`, in a network of its own."""
    job = Job(script, args, cwd or os.getcwd(), env or {}, timeout_s, capture)
    return run_jobs(kernel, [job])[0]


def run_many(
    kernel: Kernel, scripts: Sequence[str], *, timeout_s: float = 60.0, capture: bool = True
) -> list[KernelRun]:
    """Run many scripts, each in a fresh network, with one boot."""
    return run_jobs(kernel, [Job(script, timeout_s=timeout_s, capture=capture) for script in scripts])


def run_jobs(kernel: Kernel, jobs: Sequence[Job]) -> list[KernelRun]:
    """The general form: jobs in order, one boot."""
    if why := available(kernel):
        raise KernelUnavailable(why)
    if not jobs:
        return []
    with tempfile.TemporaryDirectory(prefix="simvlan-kernel-") as folder:
        _write_plan(Path(folder), kernel, jobs)
        _supervise(_command(Path(folder), kernel), Path(folder), jobs)
        release = _release(Path(folder))
        return [_read_result(Path(folder, str(number)), release) for number in range(len(jobs))]


def _write_plan(folder: Path, kernel: Kernel, jobs: Sequence[Job]) -> None:
    virtual = kernel == "uml"
    module_base = _link_modules(folder) if virtual else None
    plan = {
        "virtual_machine": virtual,
        "module_base": module_base,
        "jobs": [
            {
                "args": list(job.args),
                "cwd": job.cwd,
                "env": dict(job.env),
                "timeout_s": job.timeout_s,
                "capture": job.capture,
                "module_base": module_base,
                "python_path": [path for path in sys.path if path],
            }
            for job in jobs
        ],
    }
    (folder / "jobs.json").write_text(json.dumps(plan))
    for number, job in enumerate(jobs):
        (folder / str(number)).mkdir()
        (folder / str(number) / "script").write_text(job.script)


def _link_modules(folder: Path) -> str:
    """modprobe looks in BASE/lib/modules; Debian keeps the guest's modules elsewhere."""
    (folder / "lib").mkdir()
    (folder / "lib" / "modules").symlink_to(_UML_MODULES)
    return str(folder)


def _command(folder: Path, kernel: Kernel, program: str = "main") -> list[str]:
    """What starts a guest program; a virtual machine starts it through an init script, as options carry no spaces."""
    package = str(Path(__file__).parent)
    start = f"import sys; sys.path.insert(0, {package!r}); from guest.{program} import main; main({str(folder)!r})"
    if kernel == "host":
        return [sys.executable, "-IS", "-c", start]
    init = folder / "init"
    init.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS -c "{start}"\n')
    init.chmod(0o755)
    return [
        _UML, f"mem={_MEMORY}", "rootfstype=hostfs", "rootflags=/", "rw", f"init={init}",
        "con0=null,fd:1", "con=null", "ssl=null", f"uml_dir={folder}/", "quiet", "panic=-1",
    ]  # fmt: skip


def _supervise(command: list[str], folder: Path, jobs: Sequence[Job]) -> None:
    """Wait for the guest; kill its whole session when it stops making progress."""
    with open(folder / "console", "wb") as console:
        guest = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", "")},
        )
    try:
        _await_progress(guest, folder, jobs)
    finally:
        _end_session(guest)


def _await_progress(guest: subprocess.Popen[bytes], folder: Path, jobs: Sequence[Job]) -> None:
    done, deadline = 0, time.monotonic() + _BOOT_S + jobs[0].timeout_s
    while True:
        try:
            guest.wait(timeout=0.1)
            return
        except subprocess.TimeoutExpired:
            pass
        while done < len(jobs) and (folder / str(done) / "result").exists():
            done += 1
            deadline = time.monotonic() + _BOOT_S + (jobs[done].timeout_s if done < len(jobs) else 0)
        if time.monotonic() > deadline:
            return


def _end_session(guest: subprocess.Popen[bytes]) -> None:
    """User Mode Linux keeps several host processes in one process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(guest.pid, signal.SIGKILL)
    guest.wait()


def _release(folder: Path) -> str:
    path = folder / "release"
    if not path.exists():
        raise KernelUnavailable("the guest did not start:\n" + _tail(folder))
    return path.read_text()


def _tail(folder: Path) -> str:
    crash = folder / "crash"
    console = (folder / "console").read_text(errors="replace")[-2000:]
    return console + (crash.read_text() if crash.exists() else "")


def _read_result(out: Path, release: str) -> KernelRun:
    if not (out / "result").exists():
        raise KernelUnavailable(f"script {out.name} did not come through:\n" + _tail_of_job(out))
    result = json.loads((out / "result").read_text())
    captures = {
        device: [(stamp, way, bytes.fromhex(octets)) for stamp, way, octets in frames]
        for device, frames in result["captures"].items()
    }
    stdout, stderr = ((out / name).read_text(errors="replace") for name in ("stdout", "stderr"))
    return KernelRun(result["exit_code"], stdout, stderr, captures, release, result["timed_out"])


def _tail_of_job(out: Path) -> str:
    crash = out / "crash"
    return (crash.read_text() if crash.exists() else "") + _tail(out.parent)
