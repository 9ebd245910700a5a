"""A scenario done by the guest's own messages is the same when iproute2 does it: answers, listings, frames."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence

import pytest

from simvlan.oracle import compare
from simvlan.oracle.agreement import EXACT
from simvlan.oracle.fuzz import farm
from simvlan.oracle.fuzz.farm import Answer
from simvlan.oracle.fuzz.scenario import generate
from simvlan.oracle.fuzz.sketch import FOREIGN
from simvlan.oracle.fuzz.world import observed
from simvlan.oracle.kernels import Kernel
from tests.kernels import require

SEEDS = {"uml": range(700, 720), "host": range(700, 712)}
FRAMES = 20
SHIFTED = {0: 2, 1: 2}
"""Scenarios beside which other devices stand, by their place; those have to be gone after each."""
LIMIT_S = 300.0
TIMER = re.compile(r'"(\w+_timer|used|updated)":[0-9.]+')
"""What is not the same twice."""


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["uml", "host"])
def test_both_ways_of_doing_a_line_are_one(kernel: Kernel) -> None:
    require(kernel)
    scenarios = [generate(seed, kernel, FRAMES) for seed in SEEDS[kernel]]
    guest = farm.start(kernel, 8, FOREIGN)
    try:
        for number, scenario in enumerate(scenarios):
            guest.give(2 * number, scenario.lines)
            guest.give(2 * number + 1, scenario.lines, programs=True, shift=SHIFTED.get(number, 0))
        answers = collect(guest, 2 * len(scenarios))
    finally:
        guest.close()
    for number, scenario in enumerate(scenarios):
        own, programs = answers[2 * number], answers[2 * number + 1]
        told = f"{kernel} seed {scenario.seed}"
        assert not own.crash + programs.crash, told
        sides = (observed(scenario.lines, each.said, each.captures) for each in (own, programs))
        assert compare(*sides, EXACT) == [], told
        for line, mine, its in zip(scenario.lines, own.said, programs.said, strict=True):
            assert plain(mine) == plain(its), f"{told}: {line}"


def collect(guest: farm.Guest, count: int) -> dict[int, Answer]:
    """Whatever was given."""
    found: dict[int, Answer] = {}
    end = time.monotonic() + LIMIT_S
    while len(found) < count:
        assert guest.alive, guest.complaint()
        assert time.monotonic() < end, f"{len(found)} of {count}"
        found |= guest.take()
        time.sleep(0.02)
    return found


def plain(said: Sequence[object]) -> object:
    """An answer without times, hash order and neighbours' freshness; of statuses only whether all went well.

    JSON is compared with all its keys, also with those that a comparison with the simulator leaves out.
    """
    status, text = said
    if not str(text).startswith("["):
        return bool(status), text
    rows = json.loads(TIMER.sub(r'"\1":0', str(text)))
    for row in rows:
        if "lladdr" in row:
            row["state"] = ["KNOWN"]
    return bool(status), sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


@pytest.mark.kernel
def test_a_device_is_listed_by_the_name_it_has_now() -> None:
    """A living `ip -batch` remembers names (ll_map.c): it would go on with the old one."""
    require("uml")
    listing = "ip -n n1 -d -j neigh show nud all"  # a filter: this is left to iproute2
    lines = ["ip netns add n1", "ip -n n1 link add v0 type veth peer name w0"]
    lines += [f"ip -n n1 neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev {name}" for name in ("v0", "w0")]
    lines += [listing, "ip -n n1 link set v0 name r0", listing]
    guest = farm.start("uml", 1, FOREIGN)
    try:
        guest.give(0, lines)
        answer = collect(guest, 1)[0]
    finally:
        guest.close()
    assert not answer.crash
    before, after = (sorted(row["dev"] for row in json.loads(str(answer.said[at][1]))) for at in (-3, -1))
    assert (before, after) == (["v0", "w0"], ["r0", "w0"])
