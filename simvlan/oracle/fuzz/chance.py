"""What a macvlan's hash makes of groups: given to the simulator where a kernel shows that it took two for one.

The filter is a hash of 256 bits that mixes in the address of a kernel structure (mc_hash of drivers/net/macvlan.c), so
which groups pass for a joined one is drawn when the device is made, and drawn alike again and again where memory is. So
where a macvlan hears a group that it has not joined, each group that it has joined is tried as the one that lets it
in, for as long as that is joined; the simulator, told so, must then agree in everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from simvlan.frame import BROADCAST
from simvlan.oracle.agreement import Difference
from simvlan.oracle.fuzz.farm import Answer
from simvlan.oracle.fuzz.ipv6 import ALL_NODES_MAC, GROUPS6
from simvlan.oracle.fuzz.judge import Verdict, beside, judge
from simvlan.oracle.fuzz.scenario import Scenario, follow, switches_ipv6

JOINED = (BROADCAST, ALL_NODES_MAC, *GROUPS6, 0x0100_5E00_0001)
"""What a macvlan may have joined in such a network."""

WHY = "takes two groups for one in a macvlan's filter (mc_hash)"
Alike = Mapping[str, tuple[tuple[int, int], ...]]
"""By capture point: (joined group, group let in with it)."""


def explained(verdict: Verdict, answer: Answer, release: str) -> Verdict:
    """The verdict, or one that agrees and says which groups the kernel took for one."""
    scenario = verdict.scenario
    if verdict.agrees or verdict.crash or not any(map(switches_ipv6, scenario.lines)):
        return verdict
    alike: dict[str, tuple[tuple[int, int], ...]] = {}
    best = verdict
    for point, group in _uninvited(scenario, answer):
        for joined in JOINED:
            tried = {**alike, point: (*alike.get(point, ()), (joined, group))}
            told = judge(_told(scenario, tried, release), answer, release)
            if len(told.found) < len(best.found):
                best, alike = told, tried
                break
        if best.agrees:
            given = [Difference("listing", at, 0, None, None, known=f"The kernel {WHY}") for at in alike]
            return replace(best, scenario=scenario, known=[*best.known, *given])
    return verdict


def _told(scenario: Scenario, alike: Alike, release: str) -> Scenario:
    again = follow(scenario.seed, scenario.lines, alike, several=beside(release))
    return replace(again, doubtful=scenario.doubtful)


def _uninvited(scenario: Scenario, answer: Answer) -> Iterator[tuple[str, int]]:
    """Macvlans and groups that the kernel let in more often than we did."""
    for point, label in sorted(scenario.labels.items()):
        if label.startswith("macvlan"):
            mine, its = (_groups(seen.get(point, ())) for seen in (scenario.ours.captures, answer.captures))
            yield from ((point, group) for group in sorted(its) if its[group] > mine[group])


def _groups(seen: object) -> Counter[int]:
    assert isinstance(seen, (list, tuple))
    return Counter(int.from_bytes(octets[:6], "big") for _, way, octets in seen if way == "in" and octets[0] & 1)
