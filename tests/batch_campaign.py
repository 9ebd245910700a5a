"""`make parity`: thousands of random networks, the batch engine held against the walk and the event engine.

Every network is forwarded by the array engine or the compiled one, in turn; every tenth is a tree of switches whose
times are compared too. The totals go to results/parity/; what disagrees is printed with its seed and ends the run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from platform import python_version
from random import Random
from typing import Any

import numba  # type: ignore[import-not-found, import-untyped, unused-ignore]
import numpy

from simvlan.engines.events import EventClock
from tests.batch_networks import City
from tests.batch_parity import Tally, hold
from tests.batch_times import Tree, hold_times
from tests.networks import World

ENGINES = ("numpy", "numba")
SECOND = 1_000_000_000
RESULTS = Path(__file__).resolve().parent.parent / "results" / "parity"


def one(seed: int, frames: int) -> tuple[Tally, Counter[str], str]:
    """Compare one network; returns what was compared, how copies ended in exact time, and what disagreed."""
    tally, timed = Tally(), Counter[str]()
    engine = ENGINES[seed % 2]
    try:
        if seed % 10 == 9:
            tree = Tree(seed)
            timed = hold_times(tree, tree.traffic(frames), engine=engine)
        elif seed % 10 == 8:
            hold_anything(seed, frames, tally, engine)
        else:
            city = City(seed)
            hold(city.net, city.traffic(frames), Random(seed), tally, engine=engine)
    except Exception:
        return tally, timed, f"seed {seed}:\n{traceback.format_exc(limit=-2)}"
    return tally, timed, ""


def hold_anything(seed: int, frames: int, tally: Tally, engine: str) -> None:
    """Compare a stack of anything on anything."""
    clock = EventClock()
    world = World(seed, clock)
    clock.advance(60 * SECOND)
    devices = world.devices()
    sent = [(world.rng.choice(devices).path, world.frame(), 1_000 * n) for n in range(frames)] if devices else []
    hold(world.net, sent, Random(seed), tally, engine=engine)


def add(total: dict[str, Any], tally: Tally, timed: Counter[str]) -> None:
    """Add one network to the totals."""
    for name, value in asdict(tally).items():
        if isinstance(value, dict):
            for key, count in value.items():
                total.setdefault(name, {})[key] = total.get(name, {}).get(key, 0) + count
        else:
            total[name] = total.get(name, 0) + value
    if timed:
        total["timed_networks"] = total.get("timed_networks", 0) + 1
        total["timed_ends"] = total.get("timed_ends", 0) + timed.total()
        total["timed_queue_drops"] = total.get("timed_queue_drops", 0) + timed["QDISC_DROP"]


def main() -> int:
    """Compare until all seeds are done or one disagrees."""
    made = argparse.ArgumentParser(prog="make parity", description=__doc__)
    made.add_argument("--networks", type=int, default=5_000)
    made.add_argument("--frames", type=int, default=220)
    made.add_argument("--seed", type=int, default=100_000)
    made.add_argument("--jobs", type=int, default=2)
    options = made.parse_args()
    total: dict[str, Any] = {}
    begin, failed = time.monotonic(), 0
    seeds = range(options.seed, options.seed + options.networks)
    with ProcessPoolExecutor(options.jobs, max_tasks_per_child=500) as pool:
        for number, (tally, timed, wrong) in enumerate(
            pool.map(one, seeds, [options.frames] * len(seeds), chunksize=10)
        ):
            add(total, tally, timed)
            if wrong:
                failed += 1
                print(wrong, flush=True)
            if number % 100 == 99 and sys.stderr.isatty():
                print(f"{number + 1} of {len(seeds)} networks", end="\r", file=sys.stderr, flush=True)
            if number % 50 == 49:
                write(options, total, failed, number + 1, time.monotonic() - begin)
    write(options, total, failed, len(seeds), time.monotonic() - begin)
    print(f"{len(seeds)} networks, {total.get('frames', 0):,} frames, {failed} disagree")
    return 1 if failed else 0


def write(options: Any, total: dict[str, Any], failed: int, networks: int, seconds: float) -> None:
    """Leave the totals and what made them."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    told = {
        "command": " ".join(("python", "tests/batch_campaign.py", *sys.argv[1:])),
        "python": python_version(), "numpy": numpy.__version__, "numba": numba.__version__,
        "random_networks": networks, "disagree": failed, "seconds": round(seconds), "totals": total,
    }  # fmt: skip
    (RESULTS / "parity.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
