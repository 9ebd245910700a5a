"""Break one rule at a time and see the fuzzer find it: `make fuzz-mutants`.

What Linux 6.1 did with the first scenarios is recorded (tests/golden/fuzz-uml.jsonl.gz, by --record; those with
spanning trees in fuzz-uml-trees.jsonl.gz, by --record-trees, with IPv6 and a clock in fuzz-uml-six.jsonl.gz, by
--record-six), so each mutant costs seconds: the recorded scenarios are
followed by a copy of the package with one line changed until one of them disagrees. A mutant that no scenario notices
is a rule the fuzzer does not reach.

    python tests/fuzz_mutants.py [--record N] [--record-trees N] [--record-six N] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from simvlan.oracle.fuzz import recording  # noqa: E402
from simvlan.oracle.fuzz.clocks import STP, clock_of  # noqa: E402
from simvlan.oracle.fuzz.crew import Crew  # noqa: E402
from simvlan.oracle.fuzz.recording import Record  # noqa: E402
from simvlan.oracle.fuzz.scenario import Scenario, generate  # noqa: E402
from tests.mutants import Mutant, mutants, mutate  # noqa: E402

TABLE = Path(__file__).with_suffix(".txt")
GOLDEN = ROOT / "tests" / "golden"
RECORDING, TREES = GOLDEN / "fuzz-uml.jsonl.gz", GOLDEN / "fuzz-uml-trees.jsonl.gz"
SIX = GOLDEN / "fuzz-uml-six.jsonl.gz"
ALL = (RECORDING, TREES, SIX)
RESULT = ROOT / "results" / "fuzz-mutants" / "mutants.json"
FRAMES, FIRST = 60, 1
TREE_FRAMES, FIRST_TREE = 40, 1001
SIX_FRAMES, FIRST_SIX = 30, 2000
TIME_LIMIT_S = 300

SEARCH = """
import sys
from itertools import chain
from simvlan.oracle.fuzz.recording import read
from pathlib import Path
files, wrong = sys.argv[1].split(","), sys.argv[2:]
for number, record in enumerate(chain.from_iterable(read(Path(file)) for file in files), 1):
    if str(record.seed) in wrong:
        continue
    try:
        found = record.verdict().text()
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    if found:
        print(number, record.seed, found.splitlines()[0], sep="\\t")
        break
"""


def record(path: Path, scenarios: Iterable[Scenario], *, ipv6: bool = False, timed: bool = False) -> None:
    """Ask User Mode Linux."""
    with Crew("uml", 2, ipv6=ipv6, timed=timed) as crew:
        kept = [
            Record(verdict.scenario.seed, crew.release, verdict.scenario.lines, verdict.answer)
            for verdict in crew.run(scenarios)
            if verdict.answer
        ]
    print(f"{recording.write(path, kept)} scenarios kept", flush=True)


def trees(count: int) -> Iterator[Scenario]:
    """Those with a spanning tree among timed scenarios."""
    made = (generate(seed, "uml", TREE_FRAMES, timed=True) for seed in range(FIRST_TREE, FIRST_TREE + count))
    return (scenario for scenario in made if clock_of(scenario.lines) is STP)


def six(count: int) -> Iterator[Scenario]:
    """Those with IPv6 and a clock."""
    return (generate(seed, "uml", SIX_FRAMES, ipv6=True, timed=True) for seed in range(FIRST_SIX, FIRST_SIX + count))


def search(mutant: Mutant, wrong: list[int]) -> list[str] | None:
    """(how many scenarios it took, seed, first difference) that tell a mutant; None when none does.

    `wrong`: seeds about which the unchanged simulator disagrees already; they tell nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "simvlan", Path(folder, "simvlan"))
        target = Path(folder, mutant.file)
        target.write_text(mutate(target.read_text(), mutant))
        done = subprocess.run(
            [sys.executable, "-c", SEARCH, ",".join(map(str, ALL)), *map(str, wrong)],
            cwd=folder, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, timeout=TIME_LIMIT_S,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{mutant}: {done.stderr[-2000:]}")
        return done.stdout.strip().split("\t") if done.stdout else None


def main() -> int:
    """Try all; 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=int, metavar="N", help="record N scenarios first (User Mode Linux)")
    parser.add_argument("--record-trees", type=int, metavar="N", help="the same of those with trees among N timed ones")
    parser.add_argument("--record-six", type=int, metavar="N", help="the same of N timed ones with IPv6")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if options.record:
        record(RECORDING, (generate(seed, "uml", FRAMES) for seed in range(FIRST, FIRST + options.record)))
    if options.record_trees:
        record(TREES, trees(options.record_trees), timed=True)
    if options.record_six:
        record(SIX, six(options.record_six), ipv6=True, timed=True)
    records = [each for path in ALL for each in recording.read(path)]
    wrong = [each.seed for each in records if not each.verdict().agrees]
    print(
        f"unchanged: {len(records) - len(wrong)} of {len(records)} recorded scenarios agree {wrong or ''}", flush=True
    )
    table = list(mutants(TABLE.read_text()))
    rows = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, found in zip(table, pool.map(partial(search, wrong=wrong), table), strict=True):
            print(f"{f'found by scenario {found[0]:>3}' if found else 'SURVIVED             '} {mutant}", flush=True)
            row = {"file": mutant.file, "old": mutant.old, "new": mutant.new, "found": bool(found)}
            rows.append({**row, **dict(zip(("scenarios", "seed", "difference"), found or (), strict=False))})
    survivors = [row for row in rows if not row["found"]]
    print(f"{len(rows) - len(survivors)} of {len(rows)} mutants found")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    summary = {
        "command": "python tests/fuzz_mutants.py",
        "kernel_release": records[0].release,
        "recorded_scenarios": len(records),
        "disagreeing_unchanged": wrong,
        "frames_each": {"fuzz-uml": FRAMES, "fuzz-uml-trees": TREE_FRAMES, "fuzz-uml-six": SIX_FRAMES},
        "mutants": len(rows),
        "found": len(rows) - len(survivors),
        "rows": rows,
    }
    options.out.write_text(json.dumps(summary, indent=1) + "\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
