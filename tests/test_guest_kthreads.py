"""Which threads of the kernel hold frames back, read from a /proc of ours."""

from __future__ import annotations

from pathlib import Path

from simvlan.oracle.guest.kthreads import BOUND, Kthreads


class Proc:
    """As much of /proc as tells of kernel threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "2" / "task" / "2").mkdir(parents=True)
        self.thread(9, "kworker/0:0-events", "I")
        self.children(9)

    def children(self, *numbers: int) -> None:
        (self.root / "2" / "task" / "2" / "children").write_text("".join(f"{number} " for number in numbers))

    def thread(self, number: int, name: str, state: str) -> None:
        folder = self.root / str(number)
        folder.mkdir(exist_ok=True)
        (folder / "comm").write_text(f"{name}\n")
        (folder / "stat").write_text(f"{number} ({name}) {state} 2 0 0")


def test_who_runs_or_waits_for_a_lock_is_at_work(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    threads = Kthreads(BOUND, str(tmp_path))
    assert not threads._busy()
    for state, busy in (("R", True), ("I", False), ("D", True), ("S", False)):
        proc.thread(9, "kworker/0:0-events", state)
        assert threads._busy() is busy, state
    assert threads.wait()


def test_a_thread_that_has_no_name_yet_is_looked_at_again(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    threads = Kthreads(BOUND, str(tmp_path))
    proc.thread(12, "kthreadd", "S")
    proc.children(9, 12)
    assert threads._busy()
    proc.thread(12, "kworker/0:1-events", "R")
    assert threads._busy()
    proc.thread(12, "kworker/0:1-events", "I")
    assert not threads._busy()
    proc.thread(12, "kworker/0:1-events", "R")
    assert threads._busy()


def test_a_number_that_is_given_again_is_another_thread(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    threads = Kthreads(BOUND, str(tmp_path))
    proc.thread(12, "other", "R")
    proc.children(9, 12)
    assert not threads._busy()
    proc.children(9)
    assert not threads._busy()
    proc.thread(12, "kworker/0:2", "R")
    proc.children(9, 12)
    assert threads._busy()


def test_where_no_thread_is_seen_nothing_is_promised(tmp_path: Path) -> None:
    assert not Kthreads(BOUND, str(tmp_path)).wait()
