"""`make bench`: measure everything, print the table, leave it in results/benchmarks/.

`python -m benchmarks PART ...` measures some parts only and leaves the committed results alone, unless `--keep` says
that what was measured replaces what is there of these parts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks import batch, docker, engine, report
from benchmarks.measure import Figure

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "benchmarks"
"""Where the parts of a run lie until it is complete, by code and rounds."""

PARTS = {**batch.PARTS, "engine": engine.figures, "docker": docker.figures}


def main() -> int:
    """Return 0 when every bar is met."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("part", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; default: all")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--resume", action="store_true", help="go on where an interrupted run of this code stopped")
    made.add_argument("--keep", action="store_true", help="put the figures of these parts into results/benchmarks")
    options = made.parse_args()
    if unknown := set(options.part) - set(PARTS):
        made.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    figures = [figure for name in options.part or PARTS for figure in measured(name, options.rounds, options.resume)]
    print(report.text(figures))
    about = report.manifest(" ".join(["python -m benchmarks", *sys.argv[1:]]), batch.SEED, options.rounds)
    if not options.part:
        report.write(figures, about)
    elif options.keep:
        report.replace(figures, about)
    missed = [figure.name for figure in figures if not figure.met]
    if missed:
        print(f"\n{len(missed)} of the bars not met: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def measured(name: str, rounds: int, resume: bool) -> list[Figure]:
    """Measure one part, or take it from the run that was interrupted."""
    kept = KEPT / f"{code()}-{rounds}" / f"{name}.json"
    if not (resume and kept.exists()):
        begin = time.monotonic()
        figures = list(PARTS[name](rounds))
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps([asdict(figure) for figure in figures]))
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return [Figure(**row) for row in json.loads(kept.read_text())]


def code() -> str:
    """Name the code that is measured: figures of another are not mixed with its own."""
    names = sorted(path for name in ("simvlan", "benchmarks") for path in (ROOT / name).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in names)).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
