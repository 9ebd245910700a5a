"""A script's own surroundings: namespaces, and file systems on which nothing of it stays.

The machine's files are read-only to it, except for the directory it was started from. /run, /tmp, /var/tmp and /etc are
its own: it finds the machine's there and may write, but what it writes goes with it (an overlay in memory).
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import syscalls

SCRATCH = ("/tmp", "/var/tmp", "/etc")
_LAYERS = Path("/run/.scratch")


def unshare() -> None:
    """Leave the caller's namespaces; the next child is PID 1 of the new PID namespace."""
    syscalls.unshare(
        syscalls.CLONE_NEWNET
        | syscalls.CLONE_NEWNS
        | syscalls.CLONE_NEWPID
        | syscalls.CLONE_NEWUTS
        | syscalls.CLONE_NEWIPC
    )
    syscalls.mount("none", "/", "none", syscalls.MS_REC | syscalls.MS_PRIVATE)


@dataclass(frozen=True)
class _Kept:
    """A folder that stays what it is, whatever is mounted over the place where it lies."""

    path: str
    fd: int
    writable: bool


def arrange(out: Path, job: dict[str, Any], *, virtual_machine: bool) -> None:
    """Mount everything; afterwards only `out` and the job's directory reach the machine."""
    kept = [_keep(path, writable) for path, writable in _folders(out, job)]
    syscalls.set_read_only("/", True, recursive=True)
    for kind, target in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")):
        syscalls.mount(kind, target, kind)
    if not virtual_machine:
        _guard_sysctls()
    for number, folder in enumerate(SCRATCH):
        _lay_over(folder, _LAYERS / str(number))
    for each in kept:
        _bind(each)
    os.chdir(job["cwd"])


def _folders(out: Path, job: dict[str, Any]) -> list[tuple[str, bool]]:
    """Outer folders first, so that none hides an inner one."""
    wanted = {job["script_folder"]: False} if job["script_folder"] else {}
    wanted |= {job["cwd"]: True, str(out): True}
    return sorted((path, writable) for path, writable in wanted.items() if path != "/")


def _keep(path: str, writable: bool) -> _Kept:
    return _Kept(path, os.open(path, os.O_PATH | os.O_DIRECTORY), writable)


def _bind(kept: _Kept) -> None:
    os.makedirs(kept.path, exist_ok=True)
    syscalls.mount(f"/proc/self/fd/{kept.fd}", kept.path, "none", syscalls.MS_BIND)
    syscalls.set_read_only(kept.path, not kept.writable)
    os.close(kept.fd)


def _lay_over(folder: str, layers: Path) -> None:
    """Writes to `folder` go into memory. Where overlays are not to be had, it stays read-only."""
    upper, work = layers / "upper", layers / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    upper.chmod(os.stat(folder).st_mode & 0o7777)
    beneath = [(path, os.open(path, os.O_PATH)) for path in _mounts_in(folder)]
    options = f"lowerdir={folder},upperdir={upper},workdir={work}"
    with contextlib.suppress(OSError):
        syscalls.mount("overlay", folder, "overlay", 0, options)
        for path, fd in beneath:
            syscalls.mount(f"/proc/self/fd/{fd}", path, "none", syscalls.MS_BIND)
    for _, fd in beneath:
        os.close(fd)


def _mounts_in(folder: str) -> list[str]:
    """What is mounted within a folder and an overlay would hide: a container's /etc/hosts."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{folder}/") and os.path.exists(point)]


def _guard_sysctls() -> None:
    """On the machine's own kernel, only the settings of the script's network namespaces may be written."""
    for folder in ("/proc/sys", "/proc/sys/net"):
        syscalls.mount(folder, folder, "none", syscalls.MS_BIND)
    syscalls.set_read_only("/proc/sys", True)
