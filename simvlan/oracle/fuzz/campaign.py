"""A campaign: many scenarios of consecutive seeds against one kernel, kept in a folder so that it can go on later."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simvlan import __version__
from simvlan.oracle.fuzz import recording
from simvlan.oracle.fuzz.crew import Crew
from simvlan.oracle.fuzz.judge import Verdict, judge
from simvlan.oracle.fuzz.recording import Record
from simvlan.oracle.fuzz.scenario import Scenario, generate
from simvlan.oracle.fuzz.shrink import kinds, shrink
from simvlan.oracle.fuzz.tally import Tally
from simvlan.oracle.kernels import Kernel

SAVE_EVERY_S = 5.0


@dataclass(frozen=True)
class Plan:
    """What a campaign is: two of the same plan are one, continued."""

    kernel: Kernel
    scenarios: int
    frames: int
    seed: int
    ipv6: bool = False
    timed: bool = False
    """Whether its scenarios are those for which the clock matters (clocks.py)."""


@dataclass(frozen=True)
class Limits:
    """What a campaign may cost: guests at a time, seconds in all (None: any), seconds to shrink one disagreement."""

    jobs: int = 2
    seconds: float | None = None
    shrink_s: float = 60.0
    shrinks: int = 20
    reuse: Path | None = None
    """A recording of the same kernel: a scenario that is in it, line by line, is not run again."""


@dataclass
class Finding:
    """One disagreement."""

    seed: int
    kinds: list[str]
    text: str
    script: str
    shrunk: bool = False


@dataclass
class State:
    """How far a campaign is."""

    plan: Plan
    release: str = ""
    done: set[int] = field(default_factory=set)
    found: list[Finding] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return len(self.done) >= self.plan.scenarios

    @property
    def rate(self) -> float:
        """Scenarios a second, boots and shrinking apart."""
        return self.tally.scenarios / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "simvlan": __version__,
            "plan": asdict(self.plan),
            "kernel_release": self.release,
            "complete": self.complete,
            "seconds": round(self.seconds, 1),
            "scenarios_a_second": round(self.rate, 2),
            "found": [asdict(each) for each in self.found],
            "tally": self.tally.as_json(),
            "done": sorted(self.done),
        }


class Folder:
    """Where a campaign lives: `state.json`, the kernel's answers, and a script for each disagreement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def load(self, plan: Plan) -> State:
        """The state of this plan, fresh if there is none.

        Raises:
            ValueError: the folder holds another plan.
        """
        file = self.path / "state.json"
        if not file.exists():
            return State(plan)
        data = json.loads(file.read_text())
        if Plan(**data["plan"]) != plan:
            raise ValueError(f"{self.path} holds another campaign ({data['plan']}): give another --out")
        found = [Finding(**each) for each in data["found"]]
        tally = Tally.from_json(data["tally"])
        return State(plan, data["kernel_release"], set(data["done"]), found, tally, data["seconds"])

    def save(self, state: State) -> None:
        """Keep the state; an interrupted write leaves the old one."""
        partial = self.path / "state.part"
        partial.write_text(json.dumps(state.as_json(), indent=1) + "\n")
        os.replace(partial, self.path / "state.json")

    @property
    def recording(self) -> Path:
        """What the kernel did with each scenario."""
        return self.path / "recording.jsonl.gz"

    def script(self, verdict: Verdict, kernel: str, *, smaller: bool = False) -> str:
        """Write a disagreement as a script, once, and once more when it was shrunk; its name."""
        file = self.path / f"{kernel}-{verdict.scenario.seed}.sh"
        if smaller or not file.exists():
            file.write_text(script(verdict, kernel))
        return file.name

    def clear(self) -> None:
        """Forget everything of an earlier campaign."""
        for pattern in ("state.json", "recording.jsonl.gz", "uml-*.sh", "host-*.sh"):
            for file in self.path.glob(pattern):
                file.unlink()


def script(verdict: Verdict, kernel: str) -> str:
    """A scenario as a person runs it, with what differs said above."""
    about = "".join(f"# {line}\n" for line in verdict.text().splitlines())
    head = f"# seed {verdict.scenario.seed}; replay: simvlan diff THIS --kernel {kernel}\n"
    return f"{head}{about}" + "".join(f"{line}\n" for line in verdict.scenario.lines)


def run(state: State, folder: Folder, limits: Limits, watch: Callable[[State], None]) -> None:
    """Do what is left of a campaign; whatever ends it, its state is kept. `watch` is called often."""
    try:
        with Crew(state.plan.kernel, limits.jobs, ipv6=state.plan.ipv6, timed=state.plan.timed) as crew:
            state.release = crew.release
            verdicts = _compare(state, folder, limits, crew, watch)
            folder.save(state)
            _shrink(state, folder, limits, crew, verdicts)
    finally:
        folder.save(state)


def _compare(
    state: State, folder: Folder, limits: Limits, crew: Crew, watch: Callable[[State], None]
) -> dict[int, Verdict]:
    """Run the scenarios; those that disagree, by seed."""
    before, began = state.seconds, time.monotonic()
    saved, disagreeing = -math.inf, {}  # the first result is kept at once
    known = _recorded(limits.reuse, crew.release)
    ready: list[Verdict] = []

    def scenarios() -> Iterator[Scenario]:
        plan = state.plan
        for seed in range(plan.seed, plan.seed + plan.scenarios):
            if limits.seconds is not None and time.monotonic() - began > limits.seconds:
                return
            if seed in state.done:
                continue
            scenario = generate(seed, plan.kernel, plan.frames, ipv6=plan.ipv6, timed=plan.timed)
            if (record := known.get(seed)) and record.lines == scenario.lines:
                ready.append(judge(scenario, record.answer, record.release))
            else:
                yield scenario

    def done() -> Iterator[Verdict]:
        for verdict in crew.run(scenarios()):
            yield from _taken(ready)
            yield verdict
        yield from _taken(ready)

    for verdict in done():
        state.seconds = before + time.monotonic() - began
        if verdict.answer:
            seed, lines = verdict.scenario.seed, verdict.scenario.lines
            recording.append(folder.recording, Record(seed, crew.release, lines, verdict.answer))
        _record(state, folder, verdict)
        if not verdict.agrees:
            disagreeing[verdict.scenario.seed] = verdict
        if time.monotonic() - saved > SAVE_EVERY_S:
            folder.save(state)
            saved = time.monotonic()
        watch(state)
    return disagreeing


def _recorded(path: Path | None, release: str) -> dict[int, Record]:
    """What this kernel is known to do, by seed."""
    if path is None:
        return {}
    return {record.seed: record for record in recording.read(path) if record.release == release}


def _taken(ready: list[Verdict]) -> Iterator[Verdict]:
    while ready:
        yield ready.pop(0)


def replay(state: State, folder: Folder, watch: Callable[[State], None]) -> State:
    """Hold the simulator as it is now against what the kernel did in a campaign, without the kernel.

    Raises:
        FileNotFoundError: nothing was recorded there.
    """
    again = State(state.plan, state.release, seconds=state.seconds)
    for record in recording.read(folder.recording):
        if record.seed not in again.done:
            _record(again, folder, record.verdict())
            watch(again)
    for finding in again.found:
        finding.shrunk = any(
            old.shrunk and old.kinds == finding.kinds for old in state.found if old.seed == finding.seed
        )
    return again


def _record(state: State, folder: Folder, verdict: Verdict) -> None:
    state.done.add(verdict.scenario.seed)
    state.tally.add(verdict)
    if not verdict.agrees:
        about = sorted(kinds(verdict.found)) or ["crash"]
        name = folder.script(verdict, state.plan.kernel)
        state.found.append(Finding(verdict.scenario.seed, about, verdict.text(), name))


def _shrink(state: State, folder: Folder, limits: Limits, crew: Crew, verdicts: dict[int, Verdict]) -> None:
    """Make the disagreements small, one of each kind; those of an earlier session are run again first."""
    seen = {kind for each in state.found if each.shrunk for kind in each.kinds}
    for finding in sorted(state.found, key=lambda each: (len(each.kinds), each.seed)):
        if set(finding.kinds) <= seen or sum(each.shrunk for each in state.found) >= limits.shrinks:
            continue
        seen.update(finding.kinds)
        verdict = verdicts.get(finding.seed) or _again(state.plan, crew, finding.seed)
        small = shrink(crew, state.plan.kernel, verdict, limits.shrink_s)
        finding.text, finding.shrunk = small.text(), True
        finding.script = folder.script(small, state.plan.kernel, smaller=True)
        folder.save(state)


def _again(plan: Plan, crew: Crew, seed: int) -> Verdict:
    return next(crew.run([generate(seed, plan.kernel, plan.frames, ipv6=plan.ipv6, timed=plan.timed)]))
