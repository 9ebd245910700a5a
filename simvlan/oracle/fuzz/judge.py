"""A scenario held against what a kernel did with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from simvlan.oracle import Difference, compare, disagreements
from simvlan.oracle.agreement import EXACT
from simvlan.oracle.fuzz.farm import Answer
from simvlan.oracle.fuzz.scenario import Scenario
from simvlan.oracle.fuzz.world import observed

HUNG = "the kernel did not come back"


@dataclass
class Verdict:
    """What came of one scenario.

    Attributes:
        found: disagreements in words; `known` are those that a newer kernel's own rule explains.
        captured: frames the kernel showed.
        crash: why there is nothing to compare.
    """

    scenario: Scenario
    found: list[Difference] = field(default_factory=list)
    known: list[Difference] = field(default_factory=list)
    captured: int = 0
    crash: str = ""

    @property
    def agrees(self) -> bool:
        """Whether simulator and kernel did the same."""
        return not self.found and not self.crash

    def text(self) -> str:
        """The differences, shortened to what a terminal shows."""
        lines = "\n".join(map(str, self.found)).splitlines() or self.crash.splitlines()[-6:]
        return "\n".join(line[:160] for line in lines)


def judge(scenario: Scenario, answer: Answer, release: str) -> Verdict:
    """Compare everything both showed; frames in their exact order, since each was waited for."""
    if answer.crash:
        return Verdict(scenario, crash=answer.crash)
    theirs = observed(scenario.lines, answer.said, answer.captures, release)
    found = compare(scenario.ours, theirs, EXACT)
    real = disagreements(found)
    known = [each for each in found if each.known]
    return Verdict(scenario, real, known, sum(map(len, answer.captures.values())))
