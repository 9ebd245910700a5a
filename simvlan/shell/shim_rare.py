"""The shim's less common duties: run another command in a namespace, run a child under a clock, hand over input.

Executed inside `shim.py` when the simulator asks for one of them.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NoReturn

from simvlan.shell.shim import CAUGHT, DIRECTORY, encode, send

if TYPE_CHECKING:
    from _socket import socket

CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_BIND = 0x1, 0x20, 0x1000
KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048
"""Those of a mount that a user namespace may not take away: nosuid, nodev, noexec, noatime, nodiratime."""
FAILED = {
    "ip": ('exec of "{}" failed: {}', 255, 255),
    "timeout": ("timeout: failed to run command '{}': {}", 126, 127),
    "nsenter": ("nsenter: failed to execute {}: {}", 126, 127),
    "sudo": ("sudo: {}: {}", 1, 1),
    "udhcpc": ("", 1, 1),
    "dhclient": ("execve ({}, ...): {}", 0, 0),
}
"""By the command that runs another: its message, its status when the file cannot be run, and when there is none."""


def handle(kind: bytes, payload: bytes, sock: socket) -> None:
    """Obey one message."""
    if kind == b"X":
        execute(*unpack(payload))
    elif kind == b"P":
        spawn(*unpack(payload))
    elif kind == b"K":
        signal_child(int(payload))
    elif kind == b"W":
        report_child(sock)
    elif kind == b"B":
        stay_behind(os.fsdecode(payload))
    elif kind == b"F":
        write_number(os.fsdecode(payload), os.getpid())
    elif kind == b"N":
        hand_over(os.fsdecode(payload), sock)


def unpack(payload: bytes) -> tuple[str, bytes, list[bytes], dict[bytes, bytes]]:
    """(by whom, netns, argv, environment) of a command to run."""
    by, netns, argc, *rest = payload.split(b"\0")
    count = int(argc)
    return by.decode(), netns, rest[:count], dict(pair.partition(b"=")[::2] for pair in rest[count:])


def execute(by: str, netns: bytes, argv: list[bytes], environment: dict[bytes, bytes]) -> NoReturn:
    """Become another command, in a network namespace."""
    if os.environb.get(b"SIMVLAN_NETNS", b"") != netns:
        enter(os.fsdecode(netns))
    for number in CAUGHT:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, {**environment, b"SIMVLAN_NETNS": netns})
    except OSError as error:
        message, cannot, missing = FAILED.get(by, FAILED["timeout"])
        text = message.format(os.fsdecode(argv[0]), error.strerror) + "\n"
        os.write(2, encode(text if message else ""))
        os._exit(missing if isinstance(error, FileNotFoundError) else cannot)


def enter(netns: str) -> None:
    """Show the namespace's own /proc/sys/net and /sys/class/net, and its name to commands with an empty environment.

    Where mounts are not allowed (an unconfined run) only the environment tells.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not os.path.exists(DIRECTORY + "/confined") or libc.unshare(CLONE_NEWNS) != 0:
        return
    name = netns or "@root"
    for source, target in ((f"names/{name}", DIRECTORY + "/netns-self"), (f"sysctl/{name}", "/proc/sys/net")):
        libc.mount(os.fsencode(f"{DIRECTORY}/{source}"), os.fsencode(target), None, MS_BIND, None)
    links = os.fsencode("/sys/class/net")
    if os.path.isdir(f"{DIRECTORY}/sysnet/{name}") and os.path.isdir(links):
        libc.mount(os.fsencode(f"{DIRECTORY}/sysnet/{name}"), links, None, MS_BIND, None)
        kept = os.statvfs(links).f_flag & KEPT_FLAGS
        libc.mount(None, links, None, MS_BIND | MS_REMOUNT | MS_RDONLY | kept, None)
    if netns:
        show_files(f"/etc/netns/{netns}", libc)


def show_files(folder: str, libc: object) -> None:
    """Show a namespace's own files in /etc (bind_etc of iproute2's lib/namespace.c)."""
    import ctypes

    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        source, target = f"{folder}/{name}", f"/etc/{name}"
        if libc.mount(os.fsencode(source), os.fsencode(target), b"none", MS_BIND, None) != 0:  # type: ignore[attr-defined]
            os.write(2, encode(f"Bind {source} -> {target} failed: {os.strerror(ctypes.get_errno())}\n"))


CHILD: list[int] = []
"""The pid of the child that runs under `timeout`."""


def spawn(by: str, netns: bytes, argv: list[bytes], environment: dict[bytes, bytes]) -> None:
    """Start a child; its end is reported when SIGCHLD says so."""
    if by == "timeout" and not os.isatty(0):
        os.setpgid(0, 0)
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        execute(by, netns, argv, environment)
    CHILD.append(pid)


def signal_child(number: int) -> None:
    """Send a signal to the child, as timeout(1) does: also to its whole group, and wake it if stopped."""
    for pid in CHILD:
        try:
            os.kill(pid, number)
            if number not in (signal.SIGKILL, signal.SIGCONT):
                os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
    if os.getpgrp() == os.getpid() and number != signal.SIGKILL:
        signal.signal(number, signal.SIG_IGN)
        os.killpg(0, number)


def report_child(sock: socket) -> None:
    """Tell how the child ended, if it did."""
    for pid in list(CHILD):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            CHILD.remove(pid)
            send(sock, b"C", str(os.waitstatus_to_exitcode(status)).encode())


def stay_behind(pidfile: str) -> None:
    """Leave a process in the background that hears signals, its number in a file; the command itself has ended."""
    pid = os.fork()
    if pid:
        if pidfile:
            write_number(pidfile, pid)
        os._exit(0)
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)


def write_number(path: str, pid: int) -> None:
    """A file with a process number, as the script's `kill $(cat FILE)` wants it."""
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{pid}\n")


def hand_over(path: str, sock: socket) -> None:
    """Send all of a file, or of standard input."""
    try:
        descriptor = 0 if path == "-" else os.open(path, os.O_RDONLY)
        while True:
            data = os.read(descriptor, 1 << 16)
            if not data:
                break
            send(sock, b"I", data)
    except OSError as error:
        send(sock, b"I", b"\0simvlan-errno\0" + str(error.errno).encode())
    send(sock, b"I", b"")
