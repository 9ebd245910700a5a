"""Record what Linux does with each scenario: NAME.sh -> NAME.json (status, text and frames; User Mode Linux).

python tests/scenarios/record.py [NAME ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1])]

from simvlan.oracle import run_many  # noqa: E402
from tests import scenario  # noqa: E402


def main(names: list[str]) -> None:
    """Run the scenarios with one boot."""
    paths = [HERE / f"{name}.sh" for name in names] or sorted(HERE.glob("*.sh"))
    chosen = [scenario.lines_of(path) for path in paths]
    runs = run_many("uml", [scenario.script(lines) for lines in chosen], timeout_s=120)
    for path, lines, run in zip(paths, chosen, runs, strict=True):
        outcome = scenario.kernel_outcome(lines, run)
        captures = {
            name: [[way, octets.hex()] for _, way, octets in seen] for name, seen in sorted(outcome.captures.items())
        }
        record = {"kernel": run.kernel_release.strip(), "said": outcome.said, "captures": captures}
        path.with_suffix(".json").write_text(json.dumps(record, indent=0) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
