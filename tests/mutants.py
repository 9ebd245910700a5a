"""Break one rule at a time and see a test fail: `make mutants`.

Each mutant is one line of the package changed in a copy of the tree, and the tests that must notice. A mutant that
survives means a rule without a test. The table is `tests/mutants.txt`: blocks of file, old line, new line, tests.

    python tests/mutants.py [PART ...]     only mutants of files with PART in their path: engines/batch, underlay, ...

First the tests run where nothing is broken, and how long each file takes is the measure: a mutant whose tests use ten
times as much CPU never ends, which is noticed too; one that is not done in a multiple of that time by the clock proves
nothing either way and is told apart. An interrupted run goes on where it stopped, as long as the tree is the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_suffix(".txt")
KEPT = ROOT / "build" / "mutants"
"""Where the records of runs lie."""
NEEDED = ("simvlan", "tests", "examples", "docs", "results", "README.md", "pyproject.toml")
CPU_TIMES, CLOCK_TIMES, LEAST_S = 10, 40, 20
"""How many times as long as without a mutant tests may take, in CPU time and by the clock; what any may take."""
CAUGHT, ENDLESS, SURVIVED, UNDECIDED = "caught", "never ends", "SURVIVED", "UNDECIDED"


@dataclass(frozen=True)
class Mutant:
    """One edit and who must notice it."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: {self.old.strip()}  ->  {self.new.strip()}"


def mutants(text: str) -> Iterator[Mutant]:
    """Read the table: blocks of four lines (`file:`, `-`, `+`, `tests:`), separated by blank lines."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
        if not lines:
            continue
        file, old, new, tests = lines
        if not (file.startswith("file: ") and old[0] == "-" and new[0] == "+" and tests.startswith("tests: ")):
            raise SystemExit(f"not a mutant:\n{block}")
        yield Mutant(file[6:].strip(), old[1:].strip(), new[1:].strip(), tuple(tests[7:].split()))


def mutate(source: str, mutant: Mutant) -> str:
    """Apply the edit; the old text must be there exactly once, so that a stale mutant is noticed."""
    if source.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.file}: found {source.count(mutant.old)} times, wanted once: {mutant.old!r}")
    return source.replace(mutant.old, mutant.new)


def plant(tree: Path) -> None:
    """Copy what the tests need into a tree of its own."""
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)


def start(tree: Path, tests: Iterable[str], *options: str) -> subprocess.Popen[bytes]:
    """Run tests on the package as it is in a tree, in a process group of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *options, *tests]
    env = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.Popen(
        command, cwd=tree, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


class Pace:
    """How long the tests take where nothing is broken: what fails anyway proves nothing."""

    def __init__(self, table: list[Mutant]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            tree, report = Path(folder), Path(folder) / "report.xml"
            plant(tree)
            tests = sorted({test for mutant in table for test in mutant.tests})
            begin = time.monotonic()
            run = start(tree, tests, f"--junitxml={report}", "-o", "junit_family=xunit1")
            output = run.communicate()[0]
            whole = time.monotonic() - begin
            if run.returncode:
                raise SystemExit(f"the tests fail without any mutant:\n{output.decode()[-2000:]}")
            self.seconds: Counter[str] = Counter()
            for case in ElementTree.parse(report).iter("testcase"):
                self.seconds[case.get("file", "")] += float(case.get("time", 0))  # type: ignore[assignment]
        self.beside = whole - sum(self.seconds.values())
        """Seconds beside the tests themselves: importing, collecting."""

    def of(self, mutant: Mutant) -> float:
        """Return what the tests of a mutant take, in seconds, its compiled loops made anew included."""
        files = {test.partition("::")[0] for test in mutant.tests}
        return LEAST_S + self.beside + sum(self.seconds[file] for file in files)


def verdict(mutant: Mutant, pace: float) -> str:
    """Run the mutant's tests against a copy of the package with the edit in it."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        plant(tree)
        target = tree / mutant.file
        target.write_text(mutate(target.read_text(), mutant))
        run = start(tree, mutant.tests)
        limit = int(CPU_TIMES * pace)
        resource.prlimit(run.pid, resource.RLIMIT_CPU, (limit, limit + 5))
        try:
            output = run.communicate(timeout=CLOCK_TIMES * pace)[0]
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
            return UNDECIDED
        if run.returncode == -signal.SIGXCPU:
            return ENDLESS
        if run.returncode not in (0, 1):
            raise SystemExit(f"{mutant}: pytest ended with {run.returncode}\n{output.decode()[-2000:]}")
        return CAUGHT if run.returncode else SURVIVED


def tree_id() -> str:
    """Name the tree that is broken and tested: what an older one showed does not count."""
    names = sorted(path for name in ("simvlan", "tests") for path in (ROOT / name).rglob("*") if path.is_file())
    kept = [path for path in names if "__pycache__" not in path.parts and path != TABLE]
    return hashlib.sha256(b"".join(path.read_bytes() for path in kept)).hexdigest()[:16]


class Record:
    """The verdicts of a run, and of the one before it that was interrupted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.known: dict[str, str] = dict(json.loads(line) for line in lines if line.endswith("]"))

    def note(self, mutant: Mutant, found: str) -> None:
        """Keep a verdict, unless it is none."""
        if found == UNDECIDED:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps([key(mutant), found]) + "\n")


def key(mutant: Mutant) -> str:
    """Name a mutant and its tests."""
    return "\n".join((mutant.file, mutant.old, mutant.new, *mutant.tests))


def verdicts(table: list[Mutant], record: Record, jobs: int) -> Iterator[tuple[Mutant, str]]:
    """Yield every mutant with its verdict: those that are known, then the others as they come."""
    todo = [mutant for mutant in table if key(mutant) not in record.known]
    yield from ((mutant, record.known[key(mutant)]) for mutant in table if key(mutant) in record.known)
    if not todo:
        return
    pace = Pace(todo)
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(verdict, mutant, pace.of(mutant)): mutant for mutant in todo}
        for done in as_completed(waiting):
            record.note(waiting[done], done.result())
            yield waiting[done], done.result()


def main() -> int:
    """Try all; list what survived and what could not be decided."""
    made = argparse.ArgumentParser(prog="python tests/mutants.py", description=__doc__)
    made.add_argument("part", nargs="*", help="only mutants of files with this in their path")
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = made.parse_args()
    every = mutants(TABLE.read_text())
    table = [mutant for mutant in every if not options.part or any(part in mutant.file for part in options.part)]
    if not table:
        made.error(f"no mutant is of a file with {' or '.join(options.part)} in its path")
    counts: Counter[str] = Counter()
    for mutant, found in verdicts(table, Record(KEPT / f"{tree_id()}.jsonl"), options.jobs):
        counts[found] += 1
        print(f"{found:10} {mutant}", flush=True)
    print(f"{counts[CAUGHT] + counts[ENDLESS]} of {len(table)} mutants caught ({counts[ENDLESS]} of them never end), "
          f"{counts[SURVIVED]} survived, {counts[UNDECIDED]} undecided: their tests did not end in time, "
          "which a busy machine may explain; run it again")  # fmt: skip
    return 1 if counts[SURVIVED] or counts[UNDECIDED] else 0


if __name__ == "__main__":
    sys.exit(main())
