"""A scenario held against what a kernel did with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from simvlan.oracle import Difference, Observation, compare, compare_captures, disagreements
from simvlan.oracle.agreement import BESIDE, EXACT, Rules
from simvlan.oracle.fuzz.clocks import STP, clock_of, comparable, uncounted
from simvlan.oracle.fuzz.farm import Answer
from simvlan.oracle.fuzz.scenario import Scenario, switches_ipv6
from simvlan.oracle.fuzz.world import observed
from simvlan.oracle.known import release as numbers

WORKS_BESIDE = (6, 4)
"""Since when macvlan's works run on any processor (system_unbound_wq)."""

HUNG = "the kernel did not come back"


@dataclass
class Verdict:
    """What came of one scenario.

    Attributes:
        found: disagreements in words; `known` are those that a newer kernel's own rule explains.
        captured: frames the kernel showed.
        crash: why there is nothing to compare.
        answer: what the kernel did.
    """

    scenario: Scenario
    found: list[Difference] = field(default_factory=list)
    known: list[Difference] = field(default_factory=list)
    captured: int = 0
    crash: str = ""
    answer: Answer | None = None

    @property
    def agrees(self) -> bool:
        """Whether simulator and kernel did the same."""
        return not self.found and not self.crash

    def text(self) -> str:
        """The differences, shortened to what a terminal shows."""
        lines = "\n".join(map(str, self.found)).splitlines() or self.crash.splitlines()[-6:]
        return "\n".join(line[:160] for line in lines)


def judge(scenario: Scenario, answer: Answer, release: str) -> Verdict:
    """Compare everything both showed; frames in their exact order, since each was waited for.

    Where stacks answer what works bring them, and works run beside each other, the order of one station's is exact.
    """
    if answer.crash:
        return Verdict(scenario, crash=answer.crash)
    theirs = observed(scenario.lines, answer.said, answer.captures, release)
    ours = scenario.ours
    if (clock := clock_of(scenario.lines)) is STP:
        ours, theirs = comparable(ours), comparable(theirs)
    elif clock and clock.ipv6:
        ours, theirs = uncounted(ours), uncounted(theirs)
    rules = _rules(scenario, release)
    found = [each for each in compare(ours, theirs, rules) if not _rewritten(each, scenario, theirs, rules)]
    real = disagreements(found)
    known = [each for each in found if each.known]
    return Verdict(scenario, real, known, sum(map(len, answer.captures.values())), answer=answer)


def beside(release: str) -> bool:
    """Whether a kernel's works run beside each other: such a one has several processors."""
    return numbers(release) >= WORKS_BESIDE


def _rules(scenario: Scenario, release: str) -> Rules:
    rules = BESIDE if beside(release) and any(map(switches_ipv6, scenario.lines)) else EXACT
    clock = clock_of(scenario.lines)
    return replace(rules, ambient="everything", calm=scenario.calm) if clock and clock.ipv6 else rules


def _rewritten(each: Difference, scenario: Scenario, theirs: Observation, rules: Rules) -> bool:
    """Whether a difference is in headers that an ipvlan rewrote that is gone, or of another mode, in the listings."""
    if each.what != "frame" or each.where not in scenario.routed:
        return False
    ours, its = ({each.where: side.captures.get(each.where, ())} for side in (scenario.ours, theirs))
    return not compare_captures(ours, its, rules, frozenset({each.where}))
