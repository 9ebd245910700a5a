"""`make bench`: measure everything, print the table, leave it in results/benchmarks/.

`python -m benchmarks PART ...` measures some parts only and leaves the committed results alone.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import batch, engine, report
from benchmarks.measure import Figure

PARTS = {**batch.PARTS, "engine": engine.figures}


def main() -> int:
    """Return 0 when every bar is met."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("part", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; default: all")
    made.add_argument("--rounds", type=int, default=5)
    options = made.parse_args()
    if unknown := set(options.part) - set(PARTS):
        made.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    figures: list[Figure] = []
    for name in options.part or PARTS:
        begin = time.monotonic()
        figures += PARTS[name](options.rounds)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    print(report.text(figures))
    if not options.part:
        report.write(figures, report.manifest("make bench", batch.SEED, options.rounds))
    missed = [figure.name for figure in figures if not figure.met]
    if missed:
        print(f"\n{len(missed)} of the bars not met: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
