"""The smallest script that still disagrees about the same: lines left out, stretch by stretch, then one by one."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from simvlan.oracle.agreement import Difference
from simvlan.oracle.fuzz.crew import Crew, verdicts
from simvlan.oracle.fuzz.judge import Verdict
from simvlan.oracle.fuzz.scenario import Scenario, shortened
from simvlan.oracle.fuzz.sketch import is_wait
from simvlan.oracle.fuzz.world import listing_of
from simvlan.oracle.kernels import Kernel


def shrink(crew: Crew, kernel: Kernel, verdict: Verdict, limit_s: float) -> Verdict:
    """A smaller scenario that disagrees about the same; the given one when no line can go or time is up."""
    if verdict.crash:
        return verdict
    end, about = time.monotonic() + limit_s, kinds(verdict.found)
    best = _boldly(crew, kernel, verdict, about)
    size = max(1, len(_lines(best)) // 4)
    while time.monotonic() < end:
        smaller = _pass(crew, kernel, best, about, size)
        if smaller is None and size == 1:
            break
        best, size = smaller or best, size if smaller and size == 1 else max(1, size // 2)
    return best


def _pass(crew: Crew, kernel: Kernel, best: Verdict, about: set[str], size: int) -> Verdict | None:
    """Leave out each stretch of so many lines; then all those together without which it still disagrees, or some."""
    lines = _lines(best)
    stretches = [set(range(start, min(start + size, len(lines)))) for start in range(0, len(lines), size)]
    shorter = [shortened(best.scenario, _without(lines, stretch), kernel) for stretch in stretches]
    there = [each for each in shorter if each is not None]
    kept = {id(verdict.scenario): verdict for verdict in verdicts(crew, there) if kinds(verdict.found) & about}
    idle = [stretch for stretch, each in zip(stretches, shorter, strict=True) if id(each) in kept]
    half = len(idle) // 2
    for together in (idle, idle[half:], idle[:half]) if half else ():
        candidate = shortened(best.scenario, _without(lines, set().union(*together)), kernel)
        if candidate is not None and (found := _try(crew, [candidate], about)):
            return found
    return min(kept.values(), key=lambda each: len(each.scenario.lines), default=None)


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
    return [line for line in verdict.scenario.lines if not is_wait(line)]


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
