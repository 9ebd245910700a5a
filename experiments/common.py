"""What all experiments share: their options, claims that are checked, and the folder a run leaves.

A run is quick by default and leaves its folder in out/experiments/NAME; with --full it is the committed one and leaves
results/NAME. A claim is a sentence and whether the data bear it out: README.md is made of claims, a run that breaks one
ends with status 1, and the tests run every experiment quickly and look at every claim.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from simvlan.sweep import OtherSweep, Params, Results, Scenario, add_arguments, sweep

ROOT = Path(__file__).resolve().parent.parent


class Claim(NamedTuple):
    """One sentence of the answer, with the figures in it, and whether it holds."""

    text: str
    holds: bool


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


def options(name: str, doc: str | None, words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line of an experiment; `folder` is where its results go."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help=f"the committed run, to results/{name}")
    parser.add_argument("--results", type=Path, metavar="DIR", help="another folder for the results")
    add_arguments(parser)
    made = parser.parse_args(words)
    made.name = name
    made.folder = made.results or (ROOT / "results" if made.full else ROOT / "out" / "experiments") / name
    made.record = (made.results or ROOT / "out" / "experiments") / "points" / name / ("full" if made.full else "quick")
    return made


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
    found.manifest["command"] = command(made)
    found.write(made.folder, part)
    if found.failures:
        raise SystemExit(f"{made.name}: {len(found.failures)} points failed: the same command tries them again")
    return found


def command(made: argparse.Namespace) -> str:
    """Return the command that makes the same results."""
    return f"python experiments/{made.name}/run.py{' --full' if made.full else ''} --seed {made.seed}"


def finish(made: argparse.Namespace, report: Report) -> int:
    """Write README.md and the pictures; returns the exit status: 1 when a claim does not hold."""
    made.folder.mkdir(parents=True, exist_ok=True)
    for name, (figure, _) in report.pictures.items():
        figure.savefig(made.folder / name, dpi=110, metadata={"Software": None})
    (made.folder / "README.md").write_text(markdown(made, report))
    print(f"{report.question}\n")
    for claim in report.claims:
        print(f"{'' if claim.holds else 'NOT SO: '}{claim.text}")
    print(f"\n{made.name}: {made.folder / 'README.md'}", file=sys.stderr)
    return 0 if all(claim.holds for claim in report.claims) else 1


def markdown(made: argparse.Namespace, report: Report) -> str:
    """Return the page: question, pictures, answer."""
    lines = [f"# {made.name}", "", f"**Question.** {report.question}", ""]
    for name, (_, caption) in report.pictures.items():
        lines += [f"![{caption}]({name})", ""]
    answer = " ".join(claim.text for claim in report.claims if claim.holds)
    lines += [f"**Answer.** {answer}", ""]
    for claim in report.claims:
        lines += [] if claim.holds else [f"**Not so in this run:** {claim.text}", ""]
    for note in report.notes:
        lines += [note, ""]
    lines += [f"Made by `{command(made)}`; seed, versions and kernel: `manifest.json`; the numbers: `*.csv`.", ""]
    return "\n".join(lines)


# -- pictures -------------------------------------------------------------------------------------------------------

STYLES = (
    ("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "D", ":"),
    ("#56B4E9", "v", "-"), ("#E69F00", "P", "--"), ("#000000", "X", "-."), ("#999999", "*", ":"),
)  # fmt: skip
"""Colours of Okabe and Ito; each with a marker and a dash of its own, for who sees no colours."""


def lines(
    axes: Any,
    series: Mapping[str, Sequence[tuple[float, ...]]],
    *,
    x: str,
    y: str,
    log: str = "",
    legend: bool = True,
) -> None:
    """Draw lines (x, y) or (x, y, low, high) with their intervals."""
    for (name, values), (colour, marker, dash) in zip(series.items(), STYLES, strict=False):
        columns = list(zip(*values, strict=True))
        axes.plot(columns[0], columns[1], color=colour, marker=marker, ls=dash, ms=5, lw=1.6, label=name)
        if len(columns) == 4:
            axes.fill_between(columns[0], columns[2], columns[3], color=colour, alpha=0.18, lw=0)
    if "x" in log:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if "y" in log:
        axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    if legend:
        axes.legend(fontsize=8, frameon=False)
