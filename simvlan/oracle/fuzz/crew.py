"""Several guests at work on a stream of scenarios: each kept busy, replaced when it hangs or dies."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence

from simvlan.oracle.agreement import plain
from simvlan.oracle.ambient import tokens
from simvlan.oracle.fuzz import farm
from simvlan.oracle.fuzz.chance import explained
from simvlan.oracle.fuzz.clocks import clock_of
from simvlan.oracle.fuzz.farm import Answer, Guest
from simvlan.oracle.fuzz.ipv6 import GROUPS6
from simvlan.oracle.fuzz.judge import HUNG, Verdict, judge
from simvlan.oracle.fuzz.scenario import Scenario, switches_ipv6
from simvlan.oracle.fuzz.sketch import FOREIGN, WANTED
from simvlan.oracle.kernels import Kernel
from simvlan.oracle.order import without_reports

WORKERS = {"uml": 16, "host": 4}
"""Scenarios a guest has under way: User Mode Linux mostly waits for linkwatch."""

LISTENERS = 12
"""The same at least with IPv6: nearly all of a scenario's time it waits for reports, or for linkwatch."""

SLEEPERS = 24
"""The same where scenarios sleep for true."""

SLEEP_FACTOR = 4
"""How much longer such a one may take."""

PROGRAMS_EVERY = 25
"""Of so many seeds one is done by iproute2 itself, so that it is judged too: its programs cost ten times as much."""

TRIES = 6
"""How often a kernel is asked at most about a scenario in doubt."""

CROWDED_TRIES = 1
"""How often again among others, where it sleeps for true with IPv6: minutes each, and others decide much."""

PEACEFUL_TRIES = 4
"""How often where nothing else is at work in it."""

COMPANY = 2
"""So many that sleep for true are asked together then: the neighbours of more are beyond gc_thresh1."""

SHIFT, ALIKE = 2, 3
"""Each time it is asked again its devices lie elsewhere in memory, which a macvlan's filter hashes; what came by such a
hash would come so often by chance once in some 50,000 scenarios."""

_LEFT = re.compile(r'("(?:expires|\w+_life_time)": ?|\bexpires )\d+')

LIMIT_S = 180.0
"""How long one may take before its guest is given up."""


class Crew:
    """Guests, and the scenarios they have in hand; a context manager that leaves nothing running."""

    def __init__(
        self, kernel: Kernel, jobs: int, limit_s: float = LIMIT_S, *, ipv6: bool = False, timed: bool = False
    ) -> None:
        """`timed`: it will do scenarios for which the clock matters."""
        self._groups = (*FOREIGN, *WANTED, *(GROUPS6 if ipv6 else ()))
        self._kernel, self._limit_s = kernel, limit_s * (SLEEP_FACTOR if timed else 1)
        self._workers = SLEEPERS if timed else max(WORKERS[kernel], LISTENERS if ipv6 else 0)
        self._ipv6, self._timed = ipv6, timed
        self._guests: list[Guest] = []
        self._numbers = 0
        self._given: dict[int, Scenario] = {}
        self._suspects: list[Scenario] = []
        self._lonely: list[Scenario] = []
        """Those that disagree where others had turns between theirs."""
        self._answers: dict[int, list[Answer]] = {}
        """What a kernel did with doubtful scenarios that disagree, until it has done something twice."""
        try:
            for _ in range(jobs):
                self._guests.append(self._started())
        except BaseException:
            self.close()
            raise

    @property
    def release(self) -> str:
        """The kernel's release."""
        return self._guests[0].release

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_how: object) -> None:
        self.close()

    def close(self) -> None:
        """End all guests."""
        for guest in self._guests:
            guest.close()
        self._guests.clear()

    def run(self, scenarios: Iterable[Scenario]) -> Iterator[Verdict]:
        """A verdict for each scenario, in the order in which they are done."""
        source = iter(scenarios)
        more = True
        while more or self._given or self._suspects or self._lonely:
            more = more and self._fill(source)
            done = list(self._collect())
            yield from done
            if not done:
                time.sleep(0.005)
            if not more and not self._given:
                yield from self._alone()

    def _fill(self, source: Iterator[Scenario]) -> bool:
        """Give the emptiest guest the next scenario while one has room; False when there are no more."""
        while True:
            guest = min(self._guests, key=lambda each: len(each.pending))
            if len(guest.pending) >= self._workers + 2:
                return True
            scenario = next(source, None)
            if scenario is None:
                return False
            self._give(guest, scenario)

    def _give(self, guest: Guest, scenario: Scenario) -> None:
        self._numbers += 1
        self._given[self._numbers] = scenario
        again = len(self._answers.get(id(scenario), ()))
        guest.give(self._numbers, scenario.lines, programs=by_programs(scenario), shift=again * SHIFT)

    def _collect(self) -> Iterator[Verdict]:
        for place, guest in enumerate(self._guests):
            for number, answer in guest.take().items():
                scenario = self._given.pop(number)
                verdict = judge(scenario, answer, guest.release)
                if verdict.agrees or not _in_doubt(scenario, answer) or self._for_sure(scenario, answer):
                    found = explained(verdict, answer, guest.release)
                    if found.agrees or not _takes_turns(found):
                        yield found
                    else:
                        self._lonely.append(scenario)
                else:
                    self._give(guest, scenario)
            if self._hangs(guest):
                self._suspects += [self._given.pop(number) for number in guest.pending]
                self._guests[place] = self._replaced(guest)

    def _for_sure(self, scenario: Scenario, answer: Answer) -> bool:
        """Whether the kernel has answered like this often enough, or never will the same."""
        before = self._answers.setdefault(id(scenario), [])
        alike = 1 + sum(same(answer, other) for other in before)
        before.append(answer)
        return alike >= (ALIKE if scenario.doubtful else 2) or len(before) > self._tries

    @property
    def _tries(self) -> int:
        return CROWDED_TRIES if self._timed and self._ipv6 else TRIES

    def _hangs(self, guest: Guest) -> bool:
        oldest = min(guest.pending.values(), default=time.monotonic())
        return not guest.alive or time.monotonic() - oldest > self._limit_s

    def _replaced(self, guest: Guest) -> Guest:
        guest.close()
        return self._started()

    def _started(self) -> Guest:
        return farm.start(self._kernel, self._workers, self._groups, rounds=self._ipv6)

    def _alone(self) -> Iterator[Verdict]:
        """Those that were under way when a guest hung, one by one: only the culprit hangs again."""
        while self._suspects:
            scenario = self._suspects.pop()
            (answer,) = self._together([scenario])
            yield explained(judge(scenario, answer, self.release), answer, self.release)
        while self._lonely:
            count = COMPANY if self._timed else 1
            few, self._lonely = self._lonely[:count], self._lonely[count:]
            yield from self._in_peace(few)

    def _in_peace(self, scenarios: list[Scenario]) -> Iterator[Verdict]:
        """Scenarios asked again with no others beside, until they agree or the kernel has done the same twice."""
        left: list[tuple[Scenario, list[Answer]]] = [(scenario, []) for scenario in scenarios]
        for turn in range(1, PEACEFUL_TRIES + 1):
            asked, left = left, []
            for (scenario, before), answer in zip(asked, self._together([one for one, _ in asked]), strict=True):
                verdict = explained(judge(scenario, answer, self.release), answer, self.release)
                again = any(same(answer, other) for other in before)
                if verdict.agrees or again or answer.crash or turn == PEACEFUL_TRIES:
                    yield verdict
                else:
                    left.append((scenario, [*before, answer]))

    def _together(self, scenarios: list[Scenario]) -> list[Answer]:
        """What a guest does with these and no others."""
        guest, found = self._guests[0], dict[int, Answer]()
        for number, scenario in enumerate(scenarios):
            guest.give(number, scenario.lines, programs=by_programs(scenario))
        while len(found) < len(scenarios) and not self._hangs(guest):
            found |= guest.take()
            time.sleep(0.005)
        if len(found) < len(scenarios):
            hung = Answer([], {}, 0.0, f"{HUNG}\n{guest.complaint()}")
            self._guests[0] = self._replaced(guest)
            found |= {number: hung for number in range(len(scenarios)) if number not in found}
        return [found[number] for number in range(len(scenarios))]


def _takes_turns(verdict: Verdict) -> bool:
    """Whether the order of what a kernel did may hang on other scenarios at work in it.

    With IPv6 two workers and ksoftirqd follow each other (simvlan/workers.py); where two are awake, who goes first
    hangs on how long each has run lately, for anybody.
    """
    return not verdict.crash and any(map(switches_ipv6, verdict.scenario.lines))


def by_programs(scenario: Scenario) -> bool:
    """Whether iproute2 itself does a scenario's lines."""
    return scenario.seed % PROGRAMS_EVERY == 0


def _in_doubt(scenario: Scenario, answer: Answer) -> bool:
    """Whether what a kernel did counts only once it has done it twice.

    With IPv6 one frame may have many answers: a tick that falls among them leaves the rest of them to ksoftirqd
    (__do_softirq, need_resched), after works that otherwise come later.
    """
    clock = clock_of(scenario.lines)
    by_chance = clock is not None and clock.sure_s < answer.slowest_s
    ipv6 = any(map(switches_ipv6, scenario.lines))
    return scenario.doubtful or answer.restless > 0 or by_chance or ipv6


def same(one: Answer, other: Answer) -> bool:
    """Whether a kernel did the same twice, times apart."""
    return _said(one) == _said(other) and _frames(one) == _frames(other)


def _said(answer: Answer) -> list[tuple[int, str]]:
    """What was answered, but for what is left of lifetimes."""
    return [(status, _LEFT.sub(r"\1N", text)) for status, text in answer.said]


def _frames(answer: Answer) -> dict[str, list[tuple[str, bytes]]]:
    """What was seen, but for reports of groups: their times are drawn at random."""
    return {
        point: [(way, plain(octets)) for _, way, octets in without_reports(frames) if not tokens(way, octets, True)]
        for point, frames in answer.captures.items()
    }


def verdicts(crew: Crew, scenarios: Sequence[Scenario]) -> list[Verdict]:
    """All verdicts, in the order of the scenarios."""
    done = {id(verdict.scenario): verdict for verdict in crew.run(scenarios)}
    return [done[id(scenario)] for scenario in scenarios]
