"""`sweep`: what is not in the record yet is computed and recorded, then everything is told in order."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from simvlan import expect
from simvlan.manifest import manifest
from simvlan.sweep import work
from simvlan.sweep.plan import Point, Scenario, identity, plan, refuse_other_names
from simvlan.sweep.progress import Progress
from simvlan.sweep.record import Record
from simvlan.sweep.results import Results


def sweep(
    scenario: Scenario,
    points: Iterable[Mapping[str, Any]],
    *,
    seed: int = 0,
    repeats: int = 1,
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    fresh: bool = False,
    quiet: bool = False,
) -> Results:
    """Call a scenario at every point (see `grid`) and return all results in the order of the points.

    Args:
        scenario: a function of the points' parameters and `seed`, by name; returns a row or a list of rows.
        points: dictionaries of parameters: numbers, texts, booleans, None.
        seed: from which, with its parameters, each point gets its own seed.
        repeats: how often each point is computed, with different seeds.
        out: folder of the record and the results (CSV, Parquet, manifest). The same call goes on with what is there;
            points that failed are tried again. Without it nothing is kept.
        workers: processes (default: all cores); 1 computes in this process. Not used with a scheduler.
        scheduler: address of a Dask scheduler, such as "tcp://10.0.0.1:8786"; its workers must be able to import the
            installed packages that the scenario's file imports; modules of the user's own are sent along.
        fresh: forget what is in the folder.
        quiet: no progress on standard error.

    Raises:
        TypeError, ValueError: points that cannot be, or that the scenario does not take; nothing has been computed.
        Busy: another process works in the folder.
        OtherSweep: the folder holds points of another scenario, seed or version.
        KeyboardInterrupt: Ctrl-C; what is done is recorded, and it is said how to go on.
    """
    expect.whole("repeats", repeats, 1)
    all_points = plan(points, expect.whole("seed", seed), repeats)
    refuse_other_names(scenario, all_points)
    named = identity(scenario, seed)
    told = None if quiet else sys.stderr
    with tempfile.TemporaryDirectory() as nowhere, Record(Path(out or nowhere), named, fresh) as record:
        left = [point for point in all_points if "rows" not in record.done.get(point.key, {})]
        progress = Progress(len(all_points), len(all_points) - len(left), told)
        try:
            with closing(_lines(scenario, left, workers, scheduler)) as lines:
                for line in lines:
                    record.add(line)
                    progress.step("error" in line)
        except KeyboardInterrupt:
            if told:
                print(_how_to_go_on(progress, out), file=told, flush=True)
            raise
        done = dict(record.done)
    found = Results(all_points, done, _manifest(named, all_points, repeats))
    if out:
        found.write(out)
    for failure in found.failures if told else ():
        print(f"sweep: failed: {failure}", file=told)
    return found


def _lines(
    scenario: Scenario, points: Sequence[Point], workers: int | None, scheduler: str | None
) -> Generator[dict[str, Any]]:
    """Choose who computes."""
    if workers is not None:
        expect.whole("workers", workers, 1)
    if scheduler is not None:
        return work.dask(scenario, points, expect.text("scheduler", scheduler, "tcp://10.0.0.1:8786"))
    several = min(workers or _cores(), len(points))
    return work.processes(scenario, points, several) if several > 1 else work.here(scenario, points)


def _cores() -> int:
    """Return on how many cores this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _how_to_go_on(progress: Progress, out: object) -> str:
    kept = f"the same command goes on from there ({out})" if out else "nothing was kept: give a folder (out=) to go on"
    return f"\nsweep: interrupted: {progress.done} of {progress.total} points are done; {kept}"


def _manifest(named: dict[str, Any], points: Sequence[Point], repeats: int) -> dict[str, Any]:
    """Return what the results were made with."""
    axes: dict[str, list[Any]] = {}
    for point in points:
        for name, value in point.params.items():
            if value not in axes.setdefault(name, []):
                axes[name].append(value)
    about = {"scenario": named["scenario"], "source": named["source"], "points": len(points), "repeats": repeats}
    return manifest(command(), named["seed"], **about, axes=axes)


def command() -> str:
    """Return the command line as one would type it, without where things lie on this machine."""
    words = [os.path.relpath(word) if os.path.isabs(word) else word for word in sys.argv]
    return shlex.join(["python", *words])
