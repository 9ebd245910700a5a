"""The smallest script that still disagrees about the same: lines left out, half by half, then one by one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from simvlan.oracle.agreement import Difference
from simvlan.oracle.fuzz.crew import Crew, verdicts
from simvlan.oracle.fuzz.judge import Verdict
from simvlan.oracle.fuzz.scenario import Scenario, shortened
from simvlan.oracle.fuzz.sketch import SETTLE
from simvlan.oracle.fuzz.world import listing_of
from simvlan.oracle.kernels import Kernel

AT_ONCE = 12
"""Candidates tried side by side."""


def shrink(crew: Crew, kernel: Kernel, verdict: Verdict, limit_s: float) -> Verdict:
    """A smaller scenario that disagrees about the same; the given one when no line can go or time is up."""
    end, about = time.monotonic() + limit_s, kinds(verdict.found)
    if verdict.crash:
        return verdict
    best = _boldly(crew, kernel, verdict, about)
    size = max(1, len(_lines(best)) // 2)
    while size and time.monotonic() < end:
        smaller = _first(crew, kernel, best, about, size, end)
        if smaller is None:
            size //= 2
        else:
            best = smaller
            size = min(size, max(1, len(_lines(best)) // 2))
    return best


def _boldly(crew: Crew, kernel: Kernel, verdict: Verdict, about: set[str]) -> Verdict:
    """What most often suffices: no frames, few frames, one listing, nothing after the first sign of the difference."""
    lines = _lines(verdict)
    sends = [at for at, line in enumerate(lines) if line.startswith("simvlan send")]
    listings = [at for at, line in enumerate(lines) if listing_of(line)]
    places = {at for at in listings if _concerns(lines[at], verdict)} or set(listings[-1:])
    wrong = {each.where for each in verdict.found if each.what == "answer"}
    answers = [at for at, line in enumerate(lines) if line in wrong]
    drops: list[set[int]] = [set(sends), *({*sends[:k], *sends[k + 1 :]} for k in (-1, 0))]
    drops += [set(range(at + 1, len(lines))) for at in answers[:1]]
    few = [set(listings) - places]
    tries = [drop | extra for extra in (few[0], set()) for drop in (*drops, set())]
    shorter = (shortened(verdict.scenario, _without(lines, drop), kernel) for drop in tries if drop)
    return _try(crew, [each for each in shorter if each is not None], about) or verdict


def _without(lines: list[str], drop: set[int]) -> list[str]:
    return [line for at, line in enumerate(lines) if at not in drop]


def _concerns(line: str, verdict: Verdict) -> bool:
    space, subject = listing_of(line) or ("", "")
    return any(each.where.startswith(f"{space} {subject}:") for each in verdict.found)


def _lines(verdict: Verdict) -> list[str]:
    return [line for line in verdict.scenario.lines if line != SETTLE]


def _first(crew: Crew, kernel: Kernel, best: Verdict, about: set[str], size: int, end: float) -> Verdict | None:
    """The first candidate, `size` lines shorter, that still disagrees."""
    batch: list[Scenario] = []
    for candidate in _candidates(best, kernel, size):
        batch.append(candidate)
        if len(batch) == AT_ONCE:
            if (found := _try(crew, batch, about)) or time.monotonic() > end:
                return found
            batch = []
    return _try(crew, batch, about)


def _candidates(best: Verdict, kernel: Kernel, size: int) -> Iterator[Scenario]:
    lines = _lines(best)
    for start in reversed(range(0, len(lines), size)):  # what came late matters least
        shorter = shortened(best.scenario, lines[:start] + lines[start + size :], kernel)
        if shorter is not None:
            yield shorter


def _try(crew: Crew, batch: Sequence[Scenario], about: set[str]) -> Verdict | None:
    tried = [verdict for verdict in verdicts(crew, batch) if kinds(verdict.found) & about]
    return min(tried, key=lambda verdict: len(verdict.scenario.lines), default=None)


def kinds(found: Sequence[Difference]) -> set[str]:
    """What differences are about, without the names and numbers of one scenario."""
    return {_kind(each) for each in found}


def _kind(each: Difference) -> str:
    if each.what == "listing":
        return "listing " + re.sub(r"^\S+ |\[.*?\]", "", each.where)
    if each.what == "answer":
        return f"answer {_verb(each.where)}"
    return each.what


def _verb(command: str) -> str:
    """`link set mtu` of a command."""
    words = [word for word in command.split() if word.isalpha() and not word.startswith("n")]
    return " ".join(words[:5])
