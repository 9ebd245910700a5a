"""How many random scenarios a second go through simulator and kernel: results/conformance/rate.json.

    python experiments/conformance/rate.py [--kernel uml host] [--rounds R] [--scenarios N] [--frames M] [--seed S]

Guests are booted once (told apart) and do a scenario each to warm up; then each round is N fresh scenarios, from the
first that is made to the last verdict. Beside the rate of every round: processor seconds a scenario costs in the guests
and in the simulator (making it, following it, comparing), and how loaded the machine was by others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from simvlan.oracle import available  # noqa: E402
from simvlan.oracle.fuzz.crew import Crew  # noqa: E402
from simvlan.oracle.fuzz.scenario import generate  # noqa: E402
from simvlan.oracle.kernels import Kernel  # noqa: E402

RESULT = ROOT / "results" / "conformance" / "rate.json"
TICKS = os.sysconf("SC_CLK_TCK")


def measured(kernel: Kernel, options: argparse.Namespace) -> dict[str, Any]:
    """Boot, warm up, and do all rounds."""
    began = time.monotonic()
    with Crew(kernel, options.jobs) as crew:
        boot = time.monotonic() - began
        list(crew.run(generate(seed, kernel, options.frames) for seed in range(options.jobs)))
        rounds = []
        for number in range(options.rounds):
            rounds.append(one_round(crew, kernel, options, options.seed + number * options.scenarios))
            print(f"{kernel}: {json.dumps(rounds[-1])}", flush=True)
        release = crew.release
    return {"kernel": kernel, "release": release, "boot_s": round(boot, 1), **summed(rounds), "rounds": rounds}


def one_round(crew: Crew, kernel: Kernel, options: argparse.Namespace, seed: int) -> dict[str, float]:
    """One stretch of scenarios."""
    own, theirs, began = own_seconds(), guests_seconds(), time.monotonic()
    verdicts = list(crew.run(generate(each, kernel, options.frames) for each in range(seed, seed + options.scenarios)))
    wall, count = time.monotonic() - began, len(verdicts)
    return {
        "scenarios": count,
        "agreeing": sum(verdict.agrees for verdict in verdicts),
        "seconds": round(wall, 2),
        "a_second": round(count / wall, 2),
        "cpu_s_guests": round((guests_seconds() - theirs) / count, 4),
        "cpu_s_simulator": round((own_seconds() - own) / count, 4),
        "load": round(os.getloadavg()[0], 1),
    }


def summed(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Median and spread."""
    rates = sorted(each["a_second"] for each in rounds)
    spent = {
        key: round(statistics.median(each[key] for each in rounds), 4) for key in ("cpu_s_guests", "cpu_s_simulator")
    }
    return {"a_second": statistics.median(rates), "slowest": rates[0], "fastest": rates[-1], **spent}


def own_seconds() -> float:
    """Processor time of this process."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def guests_seconds() -> float:
    """Processor time of all our descendants, living and gone; guests are sessions of their own."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        pid = int(path.parent.name)
        parents[pid] = int(words[1])
        spent[pid] = sum(map(int, words[11:15])) / TICKS
    return sum(seconds for pid, seconds in spent.items() if pid != os.getpid() and _descends(pid, parents))


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = parents.get(pid, 0)
    return False


def main() -> int:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", nargs="+", choices=("uml", "host"), default=("uml", "host"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scenarios", type=int, default=100)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    for kernel in options.kernel:
        if why := available(kernel):
            print(f"{kernel}: left out: {why}", file=sys.stderr)
    found = [measured(kernel, options) for kernel in options.kernel if not available(kernel)]
    words = {name: getattr(options, name) for name in ("rounds", "scenarios", "frames", "seed", "jobs")}
    result = {"command": "python experiments/conformance/rate.py", **words, "cores": os.cpu_count(),
              "python": platform.python_version(), "kernels": found}  # fmt: skip
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
