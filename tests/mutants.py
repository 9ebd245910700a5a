"""Break one rule at a time and see a test fail: `make mutants`.

Each mutant is one line of the package changed in a copy of the tree, and the tests that must notice. A mutant that
survives means a rule without a test. The table is `tests/mutants.txt`: blocks of file, old line, new line, tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_suffix(".txt")
TIME_LIMIT_S = 180


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
    for name in ("simvlan", "tests", "examples", "docs", "results", "README.md", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)


def run(tree: Path, tests: Iterable[str], limit_s: float | None) -> subprocess.CompletedProcess[bytes]:
    """Run tests on the package as it is in a tree."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, timeout=limit_s
    )


def sound(table: list[Mutant]) -> None:
    """See every test pass where nothing is broken: what fails anyway proves nothing."""
    with tempfile.TemporaryDirectory() as folder:
        plant(Path(folder))
        done = run(Path(folder), sorted({test for mutant in table for test in mutant.tests}), None)
    if done.returncode:
        raise SystemExit(f"the tests fail without any mutant:\n{done.stdout.decode()[-2000:]}")


def caught(mutant: Mutant) -> bool:
    """Run the mutant's tests against a copy of the package with the edit in it."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        plant(tree)
        target = tree / mutant.file
        target.write_text(mutate(target.read_text(), mutant))
        try:
            done = run(tree, mutant.tests, TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            return True  # a rule that no longer ends is noticed too
        if done.returncode not in (0, 1):
            raise SystemExit(f"{mutant}: pytest ended with {done.returncode}\n{done.stdout.decode()[-2000:]}")
        return done.returncode == 1


def main() -> int:
    """Try all; list the survivors."""
    table = list(mutants(TABLE.read_text()))
    sound(table)
    survivors = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, dead in zip(table, pool.map(caught, table), strict=True):
            print(f"{'caught  ' if dead else 'SURVIVED'} {mutant}", flush=True)
            survivors += not dead
    print(f"{len(table) - survivors} of {len(table)} mutants caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
