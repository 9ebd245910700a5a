"""The system calls that Python 3.11 does not wrap: unshare, setns, mount, mount_setattr, prctl, reboot, inotify.

Numbers are those of include/uapi/linux/{sched,mount,prctl,reboot,inotify}.h.
"""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
IN_CREATE = 0x100
IN_DELETE = 0x200
_IN_NONBLOCK_CLOEXEC = 0o2000000 | 0o4000
_RB_POWER_OFF = 0x4321FEDC
_PR_SET_PDEATHSIG = 1
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY = 1

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


def mount(source: str, target: str, kind: str, flags: int = 0, options: str | None = None) -> None:
    """Mount as mount(2) does."""
    raw = [text.encode() for text in (source, target, kind)]
    data = None if options is None else options.encode()
    _checked(_libc.mount(raw[0], raw[1], raw[2], ctypes.c_ulong(flags), data), f"mount {target}")


def set_read_only(path: str, read_only: bool, *, recursive: bool = False) -> None:
    """Change a mount's flag (mount_setattr(2), Linux 5.12), or that of every mount below it too."""
    attributes = struct.pack("=QQQQ", read_only * _MOUNT_ATTR_RDONLY, (not read_only) * _MOUNT_ATTR_RDONLY, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    where = path.encode()
    result = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, where, flags, attributes, ctypes.c_size_t(len(attributes)))
    _checked(result, f"mount_setattr {path}")


def die_with_parent(signal_number: int) -> None:
    """Be sent a signal when the thread that started this process ends."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


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
