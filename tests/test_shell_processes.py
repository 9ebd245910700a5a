"""When nobody of a script can run: states as /proc shows them, those that deceive among them, and real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simvlan.shell import processes
from simvlan.shell.processes import Tree


class Proc:
    """A /proc of our own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY)

    def put(self, pid: int, state: str = "S", wchan: str = "do_wait", count: int = 1, syscall: str = "61 0x0") -> None:
        """A process with one thread."""
        folder = self.path / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
        (folder / "stat").write_text(f"{pid} (a) b) {state} 1 1 1 0 -1 0")
        (folder / "wchan").write_text(wchan)
        (folder / "schedstat").write_text(f"5 6 {count}\n")
        (folder / "syscall").write_text(syscall)


@pytest.fixture
def proc(tmp_path: Path) -> Iterator[Proc]:
    made = Proc(tmp_path)
    yield made
    os.close(made.fd)


def test_all_asleep_is_waiting(proc: Proc) -> None:
    proc.put(10)
    proc.put(11, "Z", "0", syscall="-1 0x0 0x0")
    proc.put(12, "T", "do_signal_stop")
    assert Tree(proc.fd, None).waiting()


@pytest.mark.parametrize("state", ["R", "D"])
def test_who_runs_or_is_about_to_is_waited_for(proc: Proc, state: str) -> None:
    proc.put(10)
    proc.put(11, state, "0")
    tree = Tree(proc.fd, None)
    assert not tree.waiting()
    assert tree.busy == [11]


def test_who_seems_asleep_on_a_run_queue_is_waited_for(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """do_wait() sets the state before it buries a child; where the kernel never tells, the state must do in the end."""
    proc.put(10, wchan="0")
    tree = Tree(proc.fd, None)
    assert not tree.waiting()
    assert not tree.waiting(), "and it goes on"
    monkeypatch.setattr(processes, "LETTER_S", 0.0)
    assert tree.waiting(), "nobody tells us more, and it did not run for a while"
    proc.put(10, wchan="0", count=2)
    assert not tree.waiting(), "it ran: the while begins again"
    proc.put(10, count=2)
    assert tree.waiting()


def test_a_zombie_that_has_yet_to_tell_its_parent_is_waited_for(proc: Proc) -> None:
    proc.put(10)
    proc.put(11, "Z", "0", syscall="running")
    assert not Tree(proc.fd, None).waiting()
    proc.put(11, "Z", "0", syscall="-1 0x0 0x0")
    assert Tree(proc.fd, None).waiting()


def test_a_process_that_ends_while_we_look_ran(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child was listed, then gone: its parent, looked at before, was asleep and is not any more."""
    proc.put(10)
    tree = Tree(proc.fd, None)
    listed = [[10], [10, 11], [10], [10]]
    monkeypatch.setattr(tree, "pids", lambda: listed.pop(0))
    assert not tree.waiting()
    assert tree.waiting(), "nobody ended in these two looks"


def test_who_ran_between_the_looks_is_waited_for(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its count is read before its state: after, it might be of a run that began while it was looked at."""
    proc.put(10)
    tree = Tree(proc.fd, None)
    state, count = tree._state, iter(range(2, 9))

    def runs_meanwhile(task: str) -> str:
        letter = state(task)
        proc.put(10, count=next(count))
        return letter

    monkeypatch.setattr(tree, "_state", runs_meanwhile)
    assert not tree.waiting()


def test_a_script_that_starts_programs_is_never_waiting() -> None:
    """Somebody runs at any moment, and everybody seems to be asleep at many."""
    script = "while :; do /bin/true; x=$(/bin/echo a | cat); done"
    shell = subprocess.Popen(["bash", "-c", script], stdout=subprocess.DEVNULL, start_new_session=True)
    fd = os.open("/proc", os.O_RDONLY)
    try:
        tree = Tree(fd, shell.pid)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            first = tree._look()
            assert first is None or first != tree._look()
        os.killpg(shell.pid, signal.SIGSTOP)
        while not tree.waiting():
            time.sleep(0.001)
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        os.close(fd)
