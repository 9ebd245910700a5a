"""`simvlan diff`: one script on the simulator and on a kernel, and whether they agree in everything.

A kernel is not the same twice: on a busy machine processes of a script that run at the same time take other turns. So
what disagrees is run again, and only what disagrees each time is a disagreement. What one boot of a kernel draws for
all its life, the secret of ipvlan's filters, would be the same each time: it is asked for and given (filters.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from simvlan.frame import mac_text
from simvlan.oracle.agreement import Difference, compare, disagreements
from simvlan.oracle.availability import KernelUnavailable
from simvlan.oracle.filters import WHY, ask, uninvited
from simvlan.oracle.guests import Guest
from simvlan.oracle.kinds import kinds_of
from simvlan.oracle.runs import Job, KernelRun
from simvlan.oracle.simulated import Simulated, addresses_of, simulate

TRIES = 3


@dataclass
class Comparison:
    """What came out.

    Attributes:
        kernel, release: which kernel, `uml 6.1.176`.
        ours: the simulator's last run, with its trace.
        theirs: the kernel's.
        found: the disagreements, the first in time first; those of the last try that were there in every try.
        known: differences that a newer kernel's own rule explains.
        tries: how often the kernel ran the script.
        unsteady: places that disagreed in some tries and not in others, when nothing disagreed in all.
        obstacle: why there is nothing to compare: a storm, a script that a limit ended, lost frames; "" if there is.
    """

    kernel: str
    release: str
    ours: Simulated
    theirs: KernelRun | None
    found: list[Difference] = field(default_factory=list)
    known: list[Difference] = field(default_factory=list)
    tries: int = 0
    unsteady: list[str] = field(default_factory=list)
    obstacle: str = ""

    @property
    def agree(self) -> bool:
        """Whether the two showed the same."""
        return not (self.found or self.unsteady or self.obstacle)


def diff(guest: Guest, job: Job, *, seed: int = 0, tries: int = TRIES, confined: bool = True) -> Comparison:
    """Compare one script (its job needs `capture` and `listings`) with the guest's kernel.

    Raises:
        KernelUnavailable: the guest's; the kernel disagrees, and lacks a kind of device that the script makes.
        Interrupted: the guest's; and what running the script on the simulator raises.
    """
    ours = simulate(job, seed=seed, confined=confined)
    guest.stop.heed()
    made = Comparison(guest.kernel, guest.release, ours, None)
    if ours.storms:
        made.obstacle = f"frames go in a circle on {', '.join(ours.storms)}: a kernel would flood (enable STP there)"
        return made
    history: list[list[Difference]] = []
    while made.tries < tries:
        guest.stop.heed()
        made.theirs = theirs = guest.run(job)
        made.tries += 1
        if obstacle := _obstacle(theirs):
            made.obstacle = obstacle
            return made
        again = partial(
            simulate, job, seed=seed, addresses=addresses_of(ours.wanted, theirs.appeared), confined=confined
        )
        made.ours = again() if any(ours.wanted) else ours
        everything = _differences(guest, made, theirs, again)
        made.known = [each for each in everything if each.known]
        history.append(disagreements(everything))
        if not history[-1]:
            return made
        if len(history) == 1:
            _see_that_it_has(guest, made.ours.uses)
    _judge(made, history)
    return made


def _differences(
    guest: Guest, made: Comparison, theirs: KernelRun, again: Callable[..., Simulated]
) -> list[Difference]:
    """All; where an ipvlan of the kernel heard strange groups, with those given that its filter takes for one."""
    found = compare(made.ours.observation, theirs.observation())
    joined = made.ours.joined
    others = uninvited(joined, made.ours.observation.captures, theirs.captures)
    if not others or not disagreements(found):
        return found
    if not (alike := ask(guest, set().union(*joined.values()), others)):
        return found
    made.ours = again(alike=alike)
    given = [Difference("listing", _pair(*pair), 0, None, None, known=WHY) for pair in sorted(alike)]
    return [*compare(made.ours.observation, theirs.observation()), *given]


def _pair(joined: int, group: int) -> str:
    return f"filter of ipvlan: {mac_text(group)} with {mac_text(joined)}"


def _see_that_it_has(guest: Guest, uses: set[str]) -> None:
    """Where a kernel was built without what the script makes, it is no judge of it."""
    there = kinds_of(lambda script: guest.run(Job(script, capture=False)))
    if lacking := sorted(kind for kind in uses if not there.get(kind, True)):
        other = "; --kernel uml has it" if guest.kernel == "host" else ""
        raise KernelUnavailable(
            f"{guest.kernel}: Linux {guest.release} lacks what the script makes: {', '.join(lacking)}{other}"
        )


def _obstacle(theirs: KernelRun) -> str:
    from simvlan.oracle.runs import LIMITS

    if theirs.limit == "time" or theirs.limit == "hung":
        return "the script was ended on the kernel: its time was up (--timeout)"
    if theirs.limit:
        return f"the script was ended on the kernel: {LIMITS[theirs.limit]}"
    if theirs.lost:
        return "the kernel dropped frames of the captures: " + ", ".join(
            f"{frames} in {netns}" for netns, frames in sorted(theirs.lost.items())
        )
    return ""


def _judge(made: Comparison, history: list[list[Difference]]) -> None:
    """Keep what was there each time, the first in time first."""
    always = set.intersection(*({_place(each) for each in found} for found in history))
    made.found = sorted((each for each in history[-1] if _place(each) in always), key=_order)
    if not made.found:
        made.unsteady = sorted({f"{each.what} {each.where}" for found in history for each in found})


def _place(each: Difference) -> tuple[str, str]:
    return each.what if each.what != "order" else "frame", each.where


_KINDS = ("frame", "order", "exit", "answer", "listing", "output")


def _order(each: Difference) -> tuple[int, int]:
    """Frames first, by time: what comes later mostly follows from them."""
    kind = 0 if each.what == "order" else _KINDS.index(each.what)
    return kind, each.their_ns
