"""When is everybody waiting? The processes of a script, watched through /proc.

The simulator may act only while no process of the script can run. Two looks that find the same processes, all asleep,
none having been on a CPU in between (what schedstat counts is the same), prove a moment between them at which that was
true; and what is asleep then is woken by the simulator only. The letter S alone does not say asleep: do_wait() shows it
while it still buries a child, and so does whoever was preempted on the way to sleep. The kernel names the function a
task sleeps in (get_wchan) only once it is off the run queue. Terminals are the exception: what is written to one is
passed on by the kernel's own workers (tty_flip_buffer_push), for which we wait between the two looks.
"""

from __future__ import annotations

import os
import select
import termios
import time
import tty
from collections.abc import Sequence

WAITING = frozenset("SZXITtK")
"""States of /proc/PID/stat that cannot act by themselves: asleep, dead, idle, stopped. R runs; D is about to."""

GONE = frozenset("ZX")
LETTER_S = 0.05
"""How long a letter alone must have been the same to be believed, in seconds."""

Look = dict[str, str]


class Tree:
    """Every process of one script.

    *proc* is an open /proc directory; *init* is None where it shows nothing but the script (a pid namespace of its
    own), else the ancestor whose descendants count.
    """

    def __init__(self, proc: int, init: int | None) -> None:
        self.proc = proc
        self.init = init
        self.ignored: set[int] = set()
        """Processes that never wait: time passes without them until they do."""
        self.busy: list[int] = []
        """Who was found running by the last look."""
        self._terminals = False
        """Whether the last look found somebody at a terminal."""
        self._unsure: dict[str, tuple[str, float]] = {}
        """Who seemed asleep on a run queue, with what schedstat counted, and since when."""
        self._workers: Workers | None = None

    def waiting(self) -> bool:
        """Whether nobody can run."""
        if any(self._state(str(pid)) == "R" for pid in self.busy):
            return False  # whoever ran a moment ago most likely still does: no need to look at the rest
        first = self._look()
        if first is not None and self._terminals:
            self._workers = self._workers or Workers()
            self._workers.wait()
        return first is not None and first == self._look()

    def ignore_busy(self) -> list[int]:
        """Stop waiting for those who were running; returns them."""
        self.ignored.update(self.busy)
        return list(self.busy)

    def pids(self) -> list[int]:
        """The script's processes, in ascending order."""
        listed = sorted(int(name) for name in os.listdir(self.proc) if name.isdigit())
        return listed if self.init is None else self._descendants(listed, self.init)

    def cpu_seconds(self) -> dict[int, float]:
        """CPU time of each process that is not asleep just now; of those it waits for, nothing."""
        return {pid: self._cpu_seconds(pid) for pid in self.busy}

    def _cpu_seconds(self, pid: int) -> float:
        text = self._read(f"{pid}/schedstat")
        return int(text.split()[0]) / 1e9 if text else 0.0

    def name(self, pid: int) -> str:
        """A process's command name."""
        return self._read(f"{pid}/comm").strip()

    def netns(self, pid: int, directory: os.PathLike[str]) -> str:
        """The network namespace a process is in, as it would find out itself: from its environment or its mounts."""
        for word in self._read(f"{pid}/environ", 1 << 20).split("\0"):
            if word.startswith("SIMVLAN_NETNS="):
                return word.partition("=")[2]
        return self._read(f"{pid}/root{os.fspath(directory)}/netns-self").strip()

    def _look(self) -> Look | None:
        """What each process is doing; None if one can run, or ended while we looked: it ran, and others may now."""
        seen: Look = {}
        self.busy, self._terminals = [], False
        ended = False
        for pid in self.pids():
            tasks = self._tasks(pid)
            ended |= not tasks
            for task in tasks:
                runs = self._runs(task)  # before the state: asleep after this many, and no more at the next look
                state = self._state(task)
                if state and (state not in WAITING or self._lingers(task, state, runs)):
                    self.busy.append(pid)
                elif state:
                    self.ignored.discard(pid)
                    seen[task] = state + runs
                else:
                    ended = True
        self.busy = [pid for pid in self.busy if pid not in self.ignored]
        return None if self.busy or ended else seen

    def _lingers(self, task: str, state: str, runs: str) -> bool:
        """Whether a task whose letter says that it cannot run is still on a CPU, or waits for one.

        A zombie is seen as one a moment before it tells its parent (exit_notify). Of whom we may not know where it
        sleeps, and where the kernel does not tell, the letter must be enough: after a while without a run.
        """
        if state in GONE:
            return self._read(f"{task}/syscall").startswith("running")
        if self._read(f"{task}/wchan") not in ("", "0"):
            self._unsure.pop(task, None)
            return False
        known, since = self._unsure.get(task, ("", 0.0))
        if known != runs:
            self._unsure[task] = runs, time.monotonic()
            return True
        return time.monotonic() < since + LETTER_S

    def _tasks(self, pid: int) -> Sequence[str]:
        """The process's threads; the link count of its task directory is cheaper to read than the directory."""
        try:
            if os.stat(f"{pid}/task", dir_fd=self.proc).st_nlink == 3:
                return (str(pid),)
            fd = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.proc)
        except OSError:
            return ()
        try:
            return [f"{pid}/task/{task}" for task in os.listdir(fd)]
        except OSError:
            return ()
        finally:
            os.close(fd)

    def _state(self, task: str) -> str:
        """The letter ps(1) shows; nothing if it is gone."""
        stat = self._read(f"{task}/stat")
        fields = stat[stat.rfind(")") + 2 :].split(None, 5)
        self._terminals |= len(fields) > 4 and fields[4] != "0"
        return fields[0] if fields else ""

    def _runs(self, task: str) -> str:
        """Its time on CPUs, its time in wait for one, and how often it was put on one so far."""
        text = self._read(f"{task}/schedstat")
        if text:
            return text.strip()
        return "".join(line for line in self._read(f"{task}/status").splitlines() if "ctxt" in line)

    def _read(self, path: str, most: int = 4096) -> str:
        """A small file of /proc, or nothing if its process is gone."""
        try:
            fd = os.open(path, os.O_RDONLY, dir_fd=self.proc)
        except OSError:
            return ""
        try:
            return os.read(fd, most).decode(errors="replace")
        except OSError:
            return ""
        finally:
            os.close(fd)

    def _descendants(self, listed: list[int], root: int) -> list[int]:
        """*root* and everything below it."""
        parents = {pid: self._parent(pid) for pid in listed}
        return [pid for pid in listed if _below(pid, root, parents)]

    def _parent(self, pid: int) -> int:
        stat = self._read(f"{pid}/stat")
        fields = stat[stat.rfind(")") + 2 :].split()
        return int(fields[1]) if len(fields) > 1 else 0


class Workers:
    """The kernel's workers that carry what is written to terminals: they begin in the order in which it was written."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        for fd in (self._master, self._slave):
            os.set_blocking(fd, False)

    def wait(self) -> None:
        """Until an octet of our own has come through twice: what was begun before the first has ended by the second."""
        for _ in range(2):
            os.write(self._master, b"x")
            if select.select([self._slave], [], [], _WORKERS_S)[0]:
                os.read(self._slave, 64)


_WORKERS_S = 5.0


def ancestry(pid: int, top: int) -> tuple[int, ...]:
    """The pids from below *top* down to a process, as our own /proc shows them.

    In this order processes are as their parents started them, whoever was quicker to start children of its own.
    """
    path: list[int] = []
    while pid > 1 and pid != top and len(path) < DEEP:
        path.append(pid)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            break
    return tuple(reversed(path))


DEEP = 200


def _below(pid: int, root: int, parents: dict[int, int]) -> bool:
    seen = 0
    while pid and pid != root and seen < len(parents):
        pid, seen = parents.get(pid, 0), seen + 1
    return pid == root
