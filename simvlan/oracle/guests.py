"""A booted kernel that runs scripts one after the other: starting it, waiting for it, ending it with nothing left.

Everything passes through one folder of its own: jobs go in, streams, frames and results come out while the guest runs.
Signals are only taken note of (`Stop`), so that no moment exists in which one could leave something behind.
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
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from simvlan.oracle.availability import UML, UML_MODULES, Kernel, KernelUnavailable, available
from simvlan.oracle.runs import Job, KernelRun, read_result, write_job

BOOT_S = 60.0
"""Generous: booting takes 3 s on an idle machine."""
GRACE_S = 15.0
"""What a guest gets beyond a script's own time before it counts as hung."""
_MEMORY = "512M"
_LOOK_S = 0.01
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Sink = Callable[[bytes], object]


class Interrupted(Exception):  # noqa: N818 - what the user wanted
    """A signal asked for the end; the guest is gone. `number` says which."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


class Stop:
    """A wish to end, noted by a signal handler or another thread."""

    def __init__(self) -> None:
        self.number = 0

    def heed(self) -> None:
        """Raise Interrupted if there is one."""
        if self.number:
            raise Interrupted(self.number)


@contextlib.contextmanager
def noting_signals() -> Iterator[Stop]:
    """While this lasts, Ctrl-C and its like are noted in the Stop and do nothing else (in the main thread)."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, _frame: object) -> None:
        stop.number = number

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Guest:
    """One kernel, booted. Use it as a context manager: leaving it ends every process and removes the folder.

    Raises:
        KernelUnavailable: this machine cannot run it, or it did not start.
    """

    def __init__(self, kernel: Kernel, stop: Stop | None = None) -> None:
        if why := available(kernel):
            raise KernelUnavailable(f"{kernel}: {why}")
        self.kernel = kernel
        self.stop = stop or Stop()
        self.jobs = 0
        self.folder = Path(tempfile.mkdtemp(prefix="simvlan-kernel-"))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            _write_plan(self.folder, kernel)
            self._process = start(command(self.folder, kernel, "main"), self.folder)
            self.release = self._await_boot()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise KernelUnavailable(f"{kernel}: {error}") from error
            raise

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether it can take another script."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End it at once. Nothing in it is worth saving."""
        if self._process:
            end_session(self._process)
        self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, job: Job, stdout: Sink | None = None, stderr: Sink | None = None) -> KernelRun:
        """Run one script in a network of its own; what it writes goes to the sinks as it comes.

        Raises:
            KernelUnavailable: the guest ended, or could not write its results; the text says why.
            Interrupted: the Stop was set; the guest has been ended.
        """
        out = self.folder / str(self.jobs)
        self.jobs += 1
        write_job(out, job, str(self.folder) if self.kernel == "uml" else None)
        streams = [_Follower(out / "stdout", stdout), _Follower(out / "stderr", stderr)]
        hung = self._await_end(out, streams, time.monotonic() + job.timeout_s + GRACE_S)
        for stream in streams:
            stream.forward()
        if hung:
            return _hung(out, self.release)
        if not (out / "result").exists():
            raise KernelUnavailable(f"{self.kernel}: {self._what_happened(out)}")
        try:
            return read_result(out, self.release)
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def _await_boot(self) -> str:
        deadline = time.monotonic() + BOOT_S
        while not (text := _read(self.folder / "release")):
            self.stop.heed()
            if not self.alive or time.monotonic() > deadline:
                raise KernelUnavailable(f"{self.kernel}: the guest did not start\n{self._tail()}".rstrip())
            time.sleep(_LOOK_S)
        return text

    def _await_end(self, out: Path, streams: list[_Follower], deadline: float) -> bool:
        """Until the job is over, or the guest; True when it had to be ended."""
        while not (out / "ended").exists():
            if self.stop.number or time.monotonic() > deadline:
                self._kill()
                self.stop.heed()
                return True
            if not self.alive:
                break
            for stream in streams:
                stream.forward()
            time.sleep(_LOOK_S)
        return False

    def _kill(self) -> None:
        if self._process:
            end_session(self._process)

    def _what_happened(self, out: Path) -> str:
        """Why there is no result, in words for the user."""
        free = shutil.disk_usage(self.folder).free
        crash = _read(out / "crash")
        if free < 1 << 16 or "No space left" in crash:
            return f"the work folder {self.folder.parent} is full ({free} octets free): set TMPDIR to a larger one"
        if not self.alive:
            return f"the guest ended before the script did\n{crash}{self._tail()}".rstrip()
        return f"the script did not come through\n{crash}{self._tail()}".rstrip()

    def _tail(self) -> str:
        return _read(self.folder / "console")[-2000:] + _read(self.folder / "crash")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _hung(out: Path, release: str) -> KernelRun:
    """What is left of a script whose guest no longer answered."""
    return KernelRun(124, _read(out / "stdout"), _read(out / "stderr"), {}, release, limit="hung")


class _Follower:
    """Hands on what is appended to a file."""

    def __init__(self, path: Path, sink: Sink | None) -> None:
        self._path = path
        self._sink = sink
        self._at = 0

    def forward(self) -> None:
        """Everything new."""
        if self._sink is None:
            return
        try:
            with open(self._path, "rb") as file:
                file.seek(self._at)
                while data := file.read(1 << 16):
                    self._at += len(data)
                    self._sink(data)
        except FileNotFoundError:
            pass


# -- processes ------------------------------------------------------------------------------------------------------


def _write_plan(folder: Path, kernel: Kernel) -> None:
    plan = {
        "module_base": link_modules(folder) if kernel == "uml" else None,
        "python_path": [str(Path(__file__).parents[2]), *filter(None, sys.path)],
    }
    (folder / "plan.json").write_text(json.dumps(plan))


def command(folder: Path, kernel: Kernel, program: str) -> list[str]:
    """What starts a guest program; a virtual machine starts it through an init script: options carry no spaces."""
    package = str(Path(__file__).parent)
    start = f"import sys; sys.path.insert(0, {package!r}); from guest.{program} import main; main({str(folder)!r})"
    if kernel == "host":
        return [sys.executable, "-IS", "-c", start]
    init = folder / "init"
    init.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS -c "{start}"\n')
    init.chmod(0o755)
    return [
        UML, f"mem={_MEMORY}", "rootfstype=hostfs", "rootflags=/", "rw", f"init={init}", "ipv6.disable_ipv6=1",
        "con0=null,fd:1", "con=null", "ssl=null", f"uml_dir={folder}/", "quiet", "panic=-1",
    ]  # fmt: skip


def link_modules(folder: Path) -> str:
    """modprobe looks in BASE/lib/modules; Debian keeps the guest's modules elsewhere."""
    (folder / "lib").mkdir()
    (folder / "lib" / "modules").symlink_to(UML_MODULES)
    return str(folder)


_LEASH = """
import os, select, sys
above, guest = int(sys.argv[1]), os.getpid()
watched = [os.pidfd_open(above), os.pidfd_open(guest)]
if os.getppid() != above:
    sys.exit()
if child := os.fork():
    os.waitpid(child, 0)
    os.execvp(sys.argv[2], sys.argv[2:])
if os.fork():
    os._exit(0)
poll = select.poll()
for fd in watched:
    poll.register(fd, select.POLLIN)
poll.poll()
os.killpg(0, 9)
"""
"""Leave a process in the group that kills all of it once the guest ends, or who started it, however that is; then
become the guest. User Mode Linux keeps host processes that would stay, and none may be its child that it does not know.
"""


def start(argv: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a guest in a session of its own, so that it can be ended as one; its console goes to a file."""
    with open(folder / "console", "wb") as console:
        return subprocess.Popen(
            [sys.executable, "-IS", "-c", _LEASH, str(os.getpid()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", "")},  # no TMPDIR: a virtual machine would put its memory there
        )


def end_session(guest: subprocess.Popen[bytes]) -> None:
    """End a guest and wait until it is gone: User Mode Linux keeps several host processes in one process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(guest.pid, signal.SIGKILL)
    guest.wait()
    _await_none_of(guest.pid)


def _await_none_of(group: int, limit_s: float = 5.0) -> None:
    """Until the last process of a killed group is gone: some are not our children."""
    end = time.monotonic() + limit_s
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.002)
