"""Puts a script where it cannot touch the real machine: new user, mount, network and pid namespaces.

A program of its own (`python -I -S confine.py CONTROL-FD SPEC`), because unshare(2) of a user namespace needs a
process with one thread. It is also the script's init: it reaps orphans, passes signals on, and takes everything with
it when it ends. Mirrors what unshare(1) and ip-netns(8) do with mounts.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import sys
from typing import Any

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048 | (1 << 21)
"""nosuid, nodev, noexec, noatime, nodiratime, relatime: a remount in a user namespace must not clear them."""
MNT_DETACH = 2
PR_SET_CHILD_SUBREAPER = 36
HIDDEN_RUN = {"NetworkManager", "containerd", "crio", "dbus", "docker", "docker.sock", "firewalld", "incus", "libvirt"}
HIDDEN_RUN |= {"lxd", "lxd-user", "netns", "openvswitch", "podman", "systemd", "udev", "user"}
"""Entries of /run through which a script could reach daemons that manage the real machine."""

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):  # noqa: N818
    """The kernel does not allow a step of the confinement."""


def check(what: str, result: int) -> None:
    """Raise when a system call failed."""
    if result != 0:
        raise Refused(f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    words = [os.fsencode(word) if word is not None else None for word in (source, target, kind)]
    check(f"mount on {target}", libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data) if data else None))


def bind(source: str, target: str, *, readonly: bool = False, deep: bool = True) -> None:
    """Show *source* at *target* too."""
    mount(source, target, None, MS_BIND | (MS_REC if deep else 0))
    if readonly:
        mount(None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | (os.statvfs(target).f_flag & KEPT_FLAGS))


def id_maps() -> tuple[str, str]:
    """Maps for the new user namespace: everything as it is for root, else only oneself, as root."""
    if os.geteuid() == 0:
        return tuple(_mirror(f"/proc/self/{kind}_map") for kind in ("uid", "gid"))  # type: ignore[return-value]
    return f"0 {os.geteuid()} 1\n", f"0 {os.getegid()} 1\n"


def _mirror(path: str) -> str:
    with open(path, encoding="ascii") as file:
        ranges = [line.split() for line in file]
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in ranges)


def new_namespaces() -> None:
    """Enter new user, mount and network namespaces; a helper outside writes the maps, as root's may."""
    uids, gids = id_maps()
    go, done = os.pipe(), os.pipe()
    me, as_root = os.getpid(), os.geteuid() == 0
    helper = os.fork()
    if helper == 0:
        os.read(go[0], 1)
        os._exit(_write_maps(me, uids, gids, as_root))
    failed = libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) != 0
    error = ctypes.get_errno()
    os.write(go[1], b"x")
    _, status = os.waitpid(helper, 0)
    for fd in (*go, *done):
        os.close(fd)
    if failed:
        raise Refused(f"unshare: {os.strerror(error)}")
    if status:
        raise Refused(f"user namespace map: {os.strerror(os.waitstatus_to_exitcode(status))}")


def _write_maps(pid: int, uids: str, gids: str, as_root: bool) -> int:
    try:
        if not as_root:
            _write(f"/proc/{pid}/setgroups", "deny")
        _write(f"/proc/{pid}/uid_map", uids)
        _write(f"/proc/{pid}/gid_map", gids)
    except OSError as error:
        return error.errno or 1
    return 0


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def pid_namespace_works() -> bool:
    """Whether a /proc of its own can be had for a new pid namespace (masked /proc of containers: no)."""
    probe = os.fork()
    if probe:
        return os.waitpid(probe, 0)[1] == 0
    if libc.unshare(CLONE_NEWPID) != 0:
        os._exit(1)
    child = os.fork()
    if child:
        os._exit(0 if os.waitpid(child, 0)[1] == 0 else 1)
    os._exit(0 if libc.unshare(CLONE_NEWNS) == 0 and libc.mount(b"proc", b"/proc", b"proc", 0, None) == 0 else 1)


def build_view(spec: dict[str, Any], own_proc: bool) -> None:
    """Mount what the script is to see."""
    directory = spec["directory"]
    if own_proc:
        mount("proc", "/proc", "proc", 2 | 4 | 8)
    bind("/proc/sys", "/proc/sys", readonly=True)
    bind(f"{directory}/sysctl/@root", "/proc/sys/net", deep=False)
    with contextlib.suppress(Refused):  # a container may have no /sys, or a locked one
        bind("/sys", "/sys", readonly=True)
    if os.path.isdir("/sys/class/net"):
        bind(f"{directory}/sysnet/@root", "/sys/class/net", readonly=True, deep=False)
    rebuild_run(directory)
    own_etc(directory)
    for source, target in (*spec["kept"], *spec["covers"]):
        bind(source, target, deep=False)


def own_etc(directory: str) -> None:
    """An /etc whose changes go with the script, as on a kernel; where no overlay is to be had it is read-only."""
    layers, within = f"{directory}/etc", _mounts_in("/etc")
    mount("tmpfs", layers, "tmpfs", 2 | 4, "mode=755")
    for name in ("upper", "work"):
        os.mkdir(f"{layers}/{name}")
    os.chmod(f"{layers}/upper", os.stat("/etc").st_mode & 0o7777)
    hidden = {path: _contents(path) for path in within if os.path.isfile(path)}
    try:
        mount("overlay", "/etc", "overlay", 0, f"lowerdir=/etc,upperdir={layers}/upper,workdir={layers}/work")
    except Refused:
        for path in ("/etc", *within):
            bind(path, path, readonly=True)
    else:
        for path, octets in hidden.items():
            with contextlib.suppress(OSError), open(path, "wb") as file:
                file.write(octets)
    check("umount", libc.umount2(os.fsencode(layers), MNT_DETACH))


def _mounts_in(folder: str) -> list[str]:
    """What is mounted within a folder, such as a container's /etc/hosts."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split()[1] for line in file]
    return [point for point in points if point.startswith(f"{folder}/") and os.path.exists(point)]


def _contents(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def rebuild_run(directory: str) -> None:
    """A /run with the simulated namespaces in /run/netns, and without the sockets of the machine's managers."""
    fresh = f"{directory}/run"
    mount("tmpfs", fresh, "tmpfs", 2 | 4, "mode=755")
    if not os.path.isdir("/run"):
        return
    for entry in sorted(os.scandir("/run"), key=lambda entry: entry.name):
        if entry.name not in HIDDEN_RUN:
            with contextlib.suppress(OSError, Refused):
                _keep(entry, f"{fresh}/{entry.name}")
    os.mkdir(f"{fresh}/netns")
    bind(f"{directory}/netns", f"{fresh}/netns")
    bind(fresh, "/run")
    check("umount", libc.umount2(os.fsencode(fresh), MNT_DETACH))


def _keep(entry: os.DirEntry[str], target: str) -> None:
    if entry.is_symlink():
        os.symlink(os.readlink(entry.path), target)
        return
    if entry.is_dir():
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT, 0o600))
    bind(entry.path, target)


def start_script(spec: dict[str, Any], inherited: dict[int, Any]) -> int:
    """Start the shell in a process group of its own, with the terminal if there is one to give.

    A Ctrl-C passed on meanwhile waits (signals are blocked) until the shell can be ended by it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, inherited)
    pid = os.fork()
    if pid:
        if spec["own_group"]:
            with contextlib.suppress(OSError):  # the child was quicker
                os.setpgid(pid, pid)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return pid
    if spec["own_group"]:
        os.setpgid(0, 0)
    if spec["terminal"]:
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpgrp())
    for number, handler in inherited.items():
        signal.signal(number, signal.SIG_IGN if handler == signal.SIG_IGN else signal.SIG_DFL)
    for number in (signal.SIGTTOU, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execve(spec["argv"][0], spec["argv"], spec["env"])
    except OSError as error:
        os.write(2, f"simvlan: {spec['argv'][0]}: {error.strerror}\n".encode())
    os._exit(127)


class Init:
    """The script's init: one child that matters, orphans, and a control socket."""

    def __init__(self, control: socket.socket, script: int, own_pids: bool) -> None:
        self.control = control
        self.script = script
        self.own_pids = own_pids
        self.alive = True

    def run(self) -> None:
        """Reap and obey until nobody is left."""
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        waiting = selectors.DefaultSelector()
        waiting.register(woken, selectors.EVENT_READ)
        waiting.register(self.control, selectors.EVENT_READ)
        while self._reap():
            for key, _ in waiting.select():
                if key.fileobj is self.control:
                    self._obey(self.control.recv(64))
                else:
                    woken.recv(4096)

    def _reap(self) -> bool:
        """Collect the dead; False when no child is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
                if pid == 0:
                    return True
                if os.WIFSTOPPED(status):
                    if pid == self.script:
                        self._tell(stopped=True)
                elif pid == self.script:
                    self.alive = False
                    self._tell(exited=os.waitstatus_to_exitcode(status))
        except ChildProcessError:
            return False

    def _tell(self, **news: Any) -> None:
        with contextlib.suppress(OSError):
            self.control.send(json.dumps(news).encode())

    def _obey(self, order: bytes) -> None:
        if not order:  # the simulator is gone
            self._everyone(signal.SIGKILL)
            os._exit(137)
        word, _, number = order.decode().partition(" ")
        if word == "group":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.script, int(number))
        elif word == "front":
            self._to_front()
        elif word == "all":
            self._everyone(int(number))

    def _to_front(self) -> None:
        """Give the terminal to the script again, and let it go on."""
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, self.script)
        os.killpg(self.script, signal.SIGCONT)

    def _everyone(self, number: int) -> None:
        """Signal every process but this one; without a pid namespace the simulator does it."""
        if self.own_pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, number)


def confined(spec: dict[str, Any], control: socket.socket, inherited: dict[int, Any]) -> int:
    """Confine (unless told not to), start the script, be its init; returns an exit status."""
    own_pids = False
    if spec["confined"]:
        new_namespaces()
        mount(None, "/", None, MS_REC | MS_PRIVATE)
        own_pids = pid_namespace_works()
        check("unshare pid", libc.unshare(CLONE_NEWPID) if own_pids else 0)
    child = os.fork()
    if child:
        control.close()
        return 0 if os.waitpid(child, 0)[1] == 0 else 1
    _init(spec, control, inherited, own_pids)
    os._exit(0)


def _init(spec: dict[str, Any], control: socket.socket, inherited: dict[int, Any], own_pids: bool) -> None:
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        if spec["confined"]:
            build_view(spec, own_pids)
    except Refused as refusal:
        control.send(json.dumps({"refused": str(refusal)}).encode())
        os._exit(1)
    processes, etc = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in ("/proc", "/etc"))
    news = json.dumps({"ready": own_pids, "init": os.getpid()}).encode()
    socket.send_fds(control, [news], [processes, etc])
    for fd in (processes, etc):
        os.close(fd)
    control.recv(64)  # the simulator is ready too
    Init(control, start_script(spec, inherited), own_pids).run()


def main() -> int:
    """Run as a program."""
    control = socket.socket(fileno=int(sys.argv[1]))
    with open(sys.argv[2], encoding="utf-8") as file:
        spec = json.load(file)
    terminal = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
    inherited: dict[int, Any] = {number: signal.getsignal(number) for number in terminal}
    for number in (*inherited, signal.SIGTTOU, signal.SIGTTIN):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        return confined(spec, control, inherited)
    except Refused as refusal:
        control.send(json.dumps({"refused": str(refusal)}).encode())
        return 1


if __name__ == "__main__":
    sys.exit(main())
