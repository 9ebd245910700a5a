"""The table that `make bench` prints, and what it leaves in results/benchmarks/."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure
from simvlan import manifest as provenance

RESULTS = Path(__file__).resolve().parent.parent / "results" / "benchmarks"
PACKAGES = ("simpy", "scapy", "numpy", "numba", "ns.py", "pandas")
COLUMNS = ("figure", "min", "median", "max", "bar", "aim", "met")


def digits(value: float) -> str:
    """Three significant digits, no exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{float(f'{value:.3g}'):g}"


def cells(figure: Figure) -> list[str]:
    """Return one row of the table."""
    sign = ">=" if figure.at_least else "<="
    bar = "" if figure.bar is None else f"{sign} {figure.bar:g}"
    aim = "" if figure.aim is None else f"{sign} {figure.aim:g}"
    spread = [digits(value) for value in (min(figure.values), figure.median, max(figure.values))]
    met = "" if figure.bar is None else "yes" if figure.met else "NO"
    return [f"{figure.name}, {figure.unit}", *spread, bar, aim, met]


def text(figures: Sequence[Figure]) -> str:
    """The table for a terminal."""
    rows = [list(COLUMNS), *(cells(figure) for figure in figures)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    shown, group = lines[:1], ""
    for figure, line in zip(figures, lines[1:], strict=True):
        if figure.group != group:
            group = figure.group
            shown += ["", f"{group}:"]
        shown.append(line)
    return "\n".join(shown)


def markdown(figures: Sequence[Figure]) -> str:
    """The table for results/benchmarks/README.md."""
    out = ["# Measured", "", "`make bench` measures these again; the manifest says with what. Ratios are taken inside"]
    out += ["each of several rounds in which the contenders take turns; bars are the project's promises."]
    group = ""
    for figure in figures:
        if figure.group != group:
            group = figure.group
            out += ["", f"## {group}", "", f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
        out.append("| " + " | ".join(cells(figure)) + " |")
        if figure.note:
            out[-1] = out[-1].replace(f"| {figure.name},", f"| {figure.name} ({figure.note}),", 1)
    return "\n".join(out) + "\n"


def manifest(command: str, seed: int, rounds: int) -> dict[str, Any]:
    """What was measured with, and how."""
    method = "contenders take turns; own CPU time of all threads; ratios inside each round"
    made = provenance.manifest(command, seed, PACKAGES, rounds=rounds, method=method)
    made["machine"]["remark"] = "shared and loaded: only ratios carry over"
    made["versions"]["ns-3"] = ns3_version()
    return made


def ns3_version() -> str:
    """Debian's package version of ns-3, or that it is missing."""
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "libns3-dev"], capture_output=True, text=True, check=False
    )
    return asked.stdout or "not installed"


def replace(figures: Sequence[Figure], about: dict[str, Any]) -> None:
    """Replace the committed figures of some groups; the manifest tells of each such run."""
    groups = {figure.group for figure in figures}
    kept = [row for row in _committed("figures.json") if row["group"] not in groups]
    (RESULTS / "figures.json").write_text(_json([*kept, *_rows(figures)]))
    manifest = _committed("manifest.json")
    apart = {name: run for name, run in manifest.get("measured apart", {}).items() if name not in groups}
    manifest["measured apart"] = apart | dict.fromkeys(sorted(groups), about)
    (RESULTS / "manifest.json").write_text(_json(manifest, 2))
    head, *sections = (RESULTS / "README.md").read_text().split("\n## ")
    others = [each for each in sections if each.partition("\n")[0] not in groups]
    made = markdown(figures).split("\n## ")[1:]
    (RESULTS / "README.md").write_text("\n## ".join([head, *(f"{each.rstrip()}\n" for each in [*others, *made])]))


def _committed(name: str) -> Any:
    return json.loads((RESULTS / name).read_text())


def _json(value: Any, indent: int = 1) -> str:
    return json.dumps(value, indent=indent) + "\n"


def _rows(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    rows = [{**asdict(figure), "median": figure.median, "met": figure.met} for figure in figures]
    for row in rows:
        row["values"] = [float(f"{value:.4g}") for value in row["values"]]
        row["median"] = float(f"{row['median']:.4g}")
    return rows


def write(figures: Iterable[Figure], about: dict[str, Any]) -> None:
    """Replace the committed figures."""
    shown = list(figures)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "figures.json").write_text(_json(_rows(shown)))
    (RESULTS / "manifest.json").write_text(_json(about, 2))
    (RESULTS / "README.md").write_text(markdown(shown))
