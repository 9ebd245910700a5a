"""The system calls that Python 3.11 does not wrap: unshare, setns, mount, reboot, inotify.

Numbers are those of include/uapi/linux/{sched,mount,reboot,inotify}.h.
"""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
IN_CREATE = 0x100
IN_DELETE = 0x200
_IN_NONBLOCK_CLOEXEC = 0o2000000 | 0o4000
_RB_POWER_OFF = 0x4321FEDC

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`; a new PID namespace starts with the next child."""
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int) -> None:
    """Enter the network namespace behind `fd`."""
    _checked(_libc.setns(fd, CLONE_NEWNET), "setns")


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    """Mount as mount(2) does, without options."""
    raw = [text.encode() for text in (source, target, kind)]
    _checked(_libc.mount(raw[0], raw[1], raw[2], ctypes.c_ulong(flags), None), f"mount {target}")


def unmount(target: str) -> None:
    """Unmount at once, in use or not (MNT_DETACH)."""
    _checked(_libc.umount2(target.encode(), 2), f"umount {target}")


def power_off() -> None:
    """End a virtual machine at once."""
    os.sync()
    _checked(_libc.reboot(_RB_POWER_OFF), "reboot")


def watch_directory(path: str) -> int:
    """An inotify descriptor that reports names created in and deleted from `path`."""
    fd = _checked(_libc.inotify_init1(_IN_NONBLOCK_CLOEXEC), "inotify_init1")
    _checked(_libc.inotify_add_watch(fd, path.encode(), IN_CREATE | IN_DELETE), "inotify_add_watch")
    return fd


def read_directory_events(fd: int) -> list[tuple[int, str]]:
    """(mask, name) of every event waiting on an inotify descriptor."""
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return []
    events = []
    while data:
        _, mask, _, length = struct.unpack_from("iIII", data)
        events.append((mask, data[16 : 16 + length].rstrip(b"\0").decode()))
        data = data[16 + length :]
    return events
