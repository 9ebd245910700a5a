"""Every ratio measured in a run ends in results/engine/, with a manifest that says how to measure it again."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path(__file__).resolve().parent.parent / "results" / "engine"
PACKAGES = ("simpy", "scapy", "numpy", "ns.py", "pytest-benchmark")
FIGURES: list[dict[str, Any]] = []


@pytest.fixture
def report(benchmark: Any) -> Iterator[Any]:
    """Record a figure beside its bar and hold it to the bar."""

    def record(name: str, value: float, bar: float, *, aim: float | None = None, at_least: bool = True) -> None:
        figure = {"figure": name, "value": float(f"{value:.3g}"), "bar": f"{'>=' if at_least else '<='} {bar}"}
        FIGURES.append({**figure, "aim": aim, "met": value >= bar if at_least else value <= bar})
        benchmark.extra_info.update(figure)
        assert FIGURES[-1]["met"], figure

    return record


def manifest() -> dict[str, Any]:
    """What was measured with, and how."""
    return {
        "command": "make bench",
        "seed": 1,
        "python": sys.version.split()[0],
        "kernel": platform.release(),
        "machine": f"{platform.machine()}, shared and loaded: only ratios carry over",
        "versions": {name: version(name) for name in PACKAGES},
        "method": "contenders take turns; CPU time compared inside each round; median of the rounds",
    }


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the figures of a whole run; a run of some benchmarks only leaves the committed ones alone."""
    if len(FIGURES) < 10:
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "figures.json").write_text(json.dumps(FIGURES, indent=2) + "\n")
    (RESULTS / "manifest.json").write_text(json.dumps(manifest(), indent=2) + "\n")
    lines = [
        "# The event engine, measured",
        "",
        "`make bench` measures these again. Bars are the project's promises.",
        "",
    ]
    lines += ["| figure | measured | bar | aim |", "| --- | --- | --- | --- |"]
    lines += [f"| {f['figure']} | {f['value']} | {f['bar']} | {f['aim'] or ''} |" for f in FIGURES]
    (RESULTS / "README.md").write_text("\n".join(lines) + "\n")
