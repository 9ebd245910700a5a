"""A long comparison of random mixed networks with a real kernel; see `make campaign`.

    python tests/kernel/campaign.py [--kernel uml|host] [--seed N] [--networks N] [--frames N] [--jobs N] [--out DIR]

Writes a manifest (command, seed, versions, counts) and each disagreement, shrunk with --shrink, to DIR. A network that
disagrees is run once more: a kernel draws some hashes at random (multicast filters of macvlan and ipvlan), and only
what disagrees twice is a disagreement; what agrees the second time is counted apart.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import mixed  # noqa: E402
from mixed import Mixed  # noqa: E402

from simvlan.oracle import KernelRun, run_many  # noqa: E402
from simvlan.oracle.kernels import Kernel  # noqa: E402
from tests import scenario  # noqa: E402

BOOT = 6
"""Networks per boot: what a guest that hangs takes with it."""


@dataclass
class Tally:
    """What a campaign found."""

    networks: int = 0
    frames: int = 0
    captured: int = 0
    agreed: int = 0
    agreed_second: int = 0
    release: str = ""
    found: list[dict[str, Any]] = field(default_factory=list)

    def line(self, kernel: str) -> str:
        """The summary."""
        second = f" ({self.agreed_second} of them at the second try)" if self.agreed_second else ""
        return (
            f"{kernel} {self.release}: {self.networks} networks, {self.frames} frames sent, {self.captured} captured;"
            f" {self.agreed} agree{second}, {len(self.found)} disagree"
        )


def compare(kernel: Kernel, cases: Sequence[Mixed]) -> list[tuple[KernelRun, list[str]]]:
    """Run networks with one boot; each run and its differences."""
    runs = run_many(kernel, [scenario.script(case.lines) for case in cases], timeout_s=120)
    return [(run, mixed.differences(case, run)) for case, run in zip(cases, runs, strict=True)]


def shrink(kernel: Kernel, lines: list[str], about: set[str], rounds: int = 12) -> list[str]:
    """Leave out lines as long as both sides still disagree about the same thing."""
    size = max(1, len(lines) // 4)
    while size and rounds:
        rounds -= 1
        parts = [lines[:at] + lines[at + size :] for at in range(0, len(lines), size)]
        for part in _still_disagreeing(kernel, parts, about):
            lines = part
            break
        else:
            size //= 2
    return lines


def subjects(found: list[str]) -> set[str]:
    """What the differences are about: the keys of listings, refusals, frames."""
    text = "\n".join(found)
    return {*re.findall(r"(\w+)?: ours", text), *re.findall(r"(refused:)", text)} or {"frames"}


def _still_disagreeing(kernel: Kernel, candidates: list[list[str]], about: set[str]) -> list[list[str]]:
    runs = run_many(kernel, [scenario.script(lines) for lines in candidates], timeout_s=60)
    found = []
    for lines, run in zip(candidates, runs, strict=True):
        theirs = scenario.kernel_outcome(lines, run)
        differing = scenario.differences(lines, scenario.simulate(lines), theirs, mixed.tidy(lines))
        if differing and subjects(differing) & about:
            found.append(lines)
    return sorted(found, key=len)


def campaign(kernel: Kernel, seed: int, count: int, frames: int, jobs: int) -> Tally:
    """Compare *count* networks, *jobs* guests at a time."""
    cases = mixed.networks(seed, count, host=kernel == "host", frames=frames)
    groups = [cases[at : at + BOOT] for at in range(0, len(cases), BOOT)]
    tally = Tally()
    with ThreadPoolExecutor(jobs) as pool:
        for group, results in zip(groups, pool.map(lambda group: compare(kernel, group), groups), strict=True):
            for case, (run, found) in zip(group, results, strict=True):
                _count(tally, kernel, case, run, found)
    return tally


def _count(tally: Tally, kernel: Kernel, case: Mixed, run: KernelRun, found: list[str]) -> None:
    tally.networks += 1
    tally.frames += case.frames
    tally.captured += sum(map(len, run.captures.values()))
    tally.release = run.kernel_release
    if found and not (found := compare(kernel, [case])[0][1]):
        tally.agreed_second += 1
    if not found:
        tally.agreed += 1
        return
    print(f"seed {case.seed}:\n" + "\n".join(found), flush=True)
    tally.found.append({"seed": case.seed, "differences": found, "lines": case.lines})


def manifest(tally: Tally, kernel: str, seed: int, seconds: float) -> dict[str, Any]:
    """What one needs to run it again."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "command": " ".join(["python", "tests/kernel/campaign.py", *sys.argv[1:]]),
        "first_seed": seed,
        "kernel": kernel,
        "kernel_release": tally.release.strip(),
        "python": platform.python_version(),
        "iproute2": _version(["ip", "-V"]),
        "commit": commit.stdout.strip(),
        "seconds": round(seconds),
        "cases_run": tally.networks,
        "cases_agreeing": tally.agreed,
        "of_these_at_the_second_try": tally.agreed_second,
        "cases_disagreeing": [each["seed"] for each in tally.found],
        "frames_sent": tally.frames,
        "frames_captured": tally.captured,
    }


def _version(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def main() -> int:
    """The command line; 1 when something disagrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", choices=("uml", "host"), default="uml")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--frames", type=int, default=16, help="frames per round; a network has four rounds")
    parser.add_argument("--jobs", type=int, default=2, help="guests at a time")
    parser.add_argument("--shrink", action="store_true", help="make each disagreement small")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "campaign")
    options = parser.parse_args()
    began = time.monotonic()
    tally = campaign(options.kernel, options.seed, options.networks, options.frames, options.jobs)
    options.out.mkdir(parents=True, exist_ok=True)
    report = manifest(tally, options.kernel, options.seed, time.monotonic() - began)
    (options.out / f"{options.kernel}.json").write_text(json.dumps(report, indent=1) + "\n")
    for each in tally.found:
        lines = (
            shrink(options.kernel, each["lines"], subjects(each["differences"])) if options.shrink else each["lines"]
        )
        (options.out / f"{options.kernel}-{each['seed']}.sh").write_text("\n".join([*lines, ""]))
    print(tally.line(options.kernel))
    return 1 if tally.found else 0


if __name__ == "__main__":
    sys.exit(main())
