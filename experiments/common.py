"""What all experiments share: their options, claims that are checked, and the folder a run leaves.

A run is quick by default and leaves its folder in out/experiments/NAME; with --full it is the committed one and leaves
results/NAME. A claim is a sentence and whether the data bear it out: README.md is made of claims, a run that breaks one
ends with status 1, and the tests run every experiment quickly and look at every claim. What rests on measured times is
asked of full runs only: a quick one has few and short ones, and whatever else the machine does is in them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from simvlan.plot import save
from simvlan.sweep import Busy, OtherSweep, Params, Results, Scenario, add_arguments, sweep

ROOT = Path(__file__).resolve().parent.parent


class Claim(NamedTuple):
    """One sentence of the answer, with the figures in it, and whether it holds.

    Attributes:
        text: the sentence.
        holds: what is exact bears it out.
        timed: so do measured times; a full run must have them do so.
    """

    text: str
    holds: bool
    timed: bool = True


@dataclass
class Report:
    """What an experiment says.

    Attributes:
        question: what somebody wants to know.
        claims: the answer, sentence by sentence.
        pictures: file name -> (figure, what it shows).
        notes: how it was done, what is not in it.
    """

    question: str
    claims: Sequence[Claim]
    pictures: Mapping[str, tuple[Any, str]]
    notes: Sequence[str] = field(default_factory=tuple)


def options(
    name: str, doc: str | None, words: Sequence[str] | None = None, add: Callable[[Any], object] | None = None
) -> argparse.Namespace:
    """Read the command line of an experiment (*add* gives it more); `folder` is where its results go."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help=f"the committed run, to results/{name}")
    parser.add_argument("--results", type=Path, metavar="DIR", help="a folder for NAME and its record")
    parser.add_argument("--draw", action="store_true", help="page and pictures again from the tables in the folder; nothing is computed")
    add_arguments(parser)
    if add:
        add(parser)
    made = parser.parse_args(words)
    made.name, made.parts = name, {}
    out = made.results or ROOT / "out" / "experiments"
    made.folder = (made.results or ROOT / "results" if made.full else out) / name
    made.record = out / "points" / name / ("full" if made.full else "quick")
    return made


def table(made: argparse.Namespace, scenario: Scenario, grid: Iterable[Params], part: str = "results", **more: Any) -> Any:
    """Return what a sweep finds as a data frame; with --draw what is in the folder already."""
    return read(made, part) if made.draw else points(made, scenario, grid, part, **more).to_dataframe()


def read(made: argparse.Namespace, part: str) -> Any:
    """Return a table of the folder, every figure as it was written."""
    import pandas

    path = made.folder / f"{part}.csv"
    if not path.exists():
        raise SystemExit(f"{made.name}: --draw draws what is there, and {path} is not: run it without --draw first")
    return pandas.read_csv(path)


def points(
    made: argparse.Namespace, scenario: Scenario, grid: Iterable[Params], part: str = "results", **more: Any
) -> Results:
    """Sweep a scenario with the options given; the record lies in out/, the tables in the results."""
    chosen = {"workers": made.workers, "scheduler": made.scheduler, "seed": made.seed, "out": made.record / part, **more}
    grid = list(grid)
    try:
        found = sweep(scenario, grid, fresh=made.fresh, **chosen)
    except OtherSweep as why:
        print(f"{made.name}: begun anew: {why}", file=sys.stderr)
        found = sweep(scenario, grid, fresh=True, **chosen)
    except Busy as why:
        raise SystemExit(f"{made.name}: {why}") from None
    found.manifest["command"] = command(made)
    found.write(made.folder, part)
    made.parts[part] = found.manifest
    if found.failures:
        raise SystemExit(f"{made.name}: {len(found.failures)} points failed: the same command tries them again")
    return found


def command(made: argparse.Namespace) -> str:
    """Return the command that makes the same results."""
    return f"python experiments/{made.name}/run.py{' --full' if made.full else ''} --seed {made.seed}"


def finish(made: argparse.Namespace, report: Report) -> int:
    """Write README.md and the pictures; returns the exit status: 1 when a claim does not hold."""
    made.folder.mkdir(parents=True, exist_ok=True)
    if not made.draw:
        (made.folder / "manifest.json").write_text(json.dumps(one_manifest(made.parts), indent=1) + "\n")
    for name, (figure, _) in report.pictures.items():
        save(figure, made.folder / name)
    (made.folder / "README.md").write_text(markdown(made, report))
    print(f"{report.question}\n")
    for claim in report.claims:
        print(f"{'' if claim.holds and claim.timed else 'NOT SO: '}{claim.text}")
    print(f"\n{made.name}: {made.folder / 'README.md'}", file=sys.stderr)
    return 0 if all(borne_out(made, claim) for claim in report.claims) else 1


def borne_out(made: argparse.Namespace, claim: Claim) -> bool:
    """Return whether a run's data bear a claim out as far as the run can tell."""
    return claim.holds and (claim.timed or not made.full)


def one_manifest(parts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what all sweeps of a run have in common, and each one's points."""
    own = ("scenario", "points", "repeats", "axes")
    last = list(parts.values())[-1]
    shared = {name: value for name, value in last.items() if name not in own}
    return shared | {"sweeps": {part: {name: each[name] for name in own} for part, each in parts.items()}}


def markdown(made: argparse.Namespace, report: Report) -> str:
    """Return the page: question, pictures, answer."""
    lines = [f"# {made.name}", "", f"**Question.** {report.question}", ""]
    for name, (_, caption) in report.pictures.items():
        lines += [f"![{caption}]({name})", ""]
    lines += ["**Answer.**", "", *(f"- {claim.text}" for claim in report.claims if claim.holds and claim.timed), ""]
    for claim in report.claims:
        if not borne_out(made, claim):
            lines += [f"**Not so in this run:** {claim.text}", ""]
        elif not claim.timed:
            lines += [f"**Not so by the few times of this quick run, which prove nothing:** {claim.text}", ""]
    for note in report.notes:
        lines += [note, ""]
    lines += [f"Made by `{command(made)}`; seed, versions and kernel: `manifest.json`; the numbers: `*.csv`.", ""]
    return "\n".join(lines)


def panels(count: int, high: float = 4.4) -> tuple[Any, Any]:
    """Return a figure and its axes, side by side, with room for legends below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * count, high), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)
    return figure, figure.subplots(1, count)
