"""A guest's long sleep lasts until no spanning tree has moved for a while, on a clock that the test moves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from simvlan.oracle.guest import lines, trees


class Clock:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("changes", "moved", "ends"),
    [((), 0, 25.0), ((3.0, 14.0), 0, 25.0), ((18.0,), 1, 28.0), ((18.0, 27.0), 2, 37.0), ((18.0, 29.0), 1, 28.0)],
)
def test_a_sleep_lasts_until_nothing_has_moved_in_its_last_part(
    changes: tuple[float, ...], moved: int, ends: float
) -> None:
    clock = Clock()
    assert trees.rest(25, lambda: sum(clock.now - 1000 >= at for at in changes), clock, clock.sleep) == moved
    assert clock.now - 1000 == ends


def test_a_tree_without_rest_is_given_up() -> None:
    clock = Clock()
    assert trees.rest(25, clock, clock, clock.sleep) > 100
    assert 60 < clock.now - 1000 <= 100


@pytest.mark.parametrize(("available", "slept"), [(False, ["a tick", "asked"]), (True, ["seen"])])
def test_what_waits_for_a_tick_comes_before_carriers_are_asked_for(
    monkeypatch, available: bool, slept: list[str]
) -> None:
    """Where there is no dummy carriers are asked for, and a newer kernel then looks at them (linkwatch_sync_dev)."""
    done: list[str] = []
    monkeypatch.setattr(lines.time, "sleep", lambda seconds: done.append("a tick" if seconds >= 0.02 else "less"))
    monkeypatch.setattr(lines, "wait_for_carrier", lambda *_: done.append("asked"))
    monkeypatch.setattr(lines, "wait_for_linkwatch", lambda *_: done.append("seen"))
    machine = lines.Machine.__new__(lines.Machine)
    machine._linkwatch = SimpleNamespace(available=available, wait=None)
    machine._poll = SimpleNamespace(poll=lambda _: ())
    machine._await_linkwatch()
    assert done == slept
