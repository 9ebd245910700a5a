"""`make parity`: thousands of random networks, the batch engine held against the walk and the event engine.

Every network is forwarded by the array engine and by the compiled one; every tenth is a tree of switches whose times
are compared. What disagrees is printed with its seed, and the exit status is 1. An interrupted run goes on where it
stopped, as long as the code is the same. The totals go to results/parity/ once all networks are done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from simvlan.clock import SECOND
from simvlan.engines.events import EventClock
from simvlan.manifest import manifest
from tests.batch_networks import City
from tests.batch_parity import Tally, hold
from tests.batch_times import Tree, hold_times
from tests.networks import World

ENGINES = ("numpy", "numba")
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "parity"
KEPT = ROOT / "build" / "parity"
"""Where the record of a run lies."""
COMPARING = ("batch_networks", "batch_parity", "batch_times", "batch_verdicts", "networks")
TOGETHER = 25
"""Networks of one task, one line of the record."""

Totals = dict[str, Any]


def one(seed: int, frames: int) -> tuple[Totals, str]:
    """Compare one network; returns what was compared, and what disagreed."""
    tally, timed = Tally(), Counter[str]()
    total: Totals = {"seconds": -time.process_time()}
    wrong = ""
    try:
        if seed % 10 == 9:
            tree = Tree(seed)
            timed = hold_times(tree, tree.traffic(frames), *ENGINES)
            total |= {"timed_networks": 1, "timed_frames": frames}
        elif seed % 10 == 8:
            hold_anything(seed, frames, tally)
        else:
            city = City(seed)
            hold(city.net, city.traffic(frames), Random(seed), tally, *ENGINES)
    except Exception:
        wrong = f"seed {seed}:\n{traceback.format_exc(limit=-2)}"
    total["seconds"] += time.process_time()
    total |= {"timed_ends": timed.total(), "timed_queue_drops": timed["QDISC_DROP"], **asdict(tally)}
    return total, wrong


def hold_anything(seed: int, frames: int, tally: Tally) -> None:
    """Compare a stack of anything on anything."""
    clock = EventClock()
    world = World(seed, clock)
    clock.advance(60 * SECOND)
    devices = world.devices()
    sent = [(world.rng.choice(devices).path, world.frame(), 1_000 * n) for n in range(frames)] if devices else []
    hold(world.net, sent, Random(seed), tally, *ENGINES)


def some(task: tuple[int, int, int]) -> Totals:
    """Compare networks of consecutive seeds, (first, last, frames); one line of the record."""
    first, last, frames = task
    total: Totals = {}
    wrongs = []
    for seed in range(first, last):
        found, wrong = one(seed, frames)
        add(total, found)
        wrongs += [wrong] if wrong else []
    return {"first": first, "last": last, "totals": total, "disagree": wrongs}


def add(total: Totals, more: Totals) -> None:
    """Add numbers, and tables of numbers, to totals."""
    for name, value in more.items():
        if isinstance(value, dict):
            add(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value


def code() -> str:
    """Name the code that is compared: what an older one found does not count."""
    tests = [ROOT / "tests" / f"{name}.py" for name in COMPARING]
    names = sorted([*ROOT.glob("simvlan/**/*.py"), *tests])
    return hashlib.sha256(b"".join(path.read_bytes() for path in names)).hexdigest()[:16]


def record(path: Path) -> list[dict[str, Any]]:
    """Return the lines of an earlier run; one cut short does not count."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def compared(options: argparse.Namespace, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of the record: those that are there, then the others as they come."""
    done = record(path)
    yield from done
    there = {line["first"] for line in done}
    end = options.seed + options.networks
    firsts = [first for first in range(options.seed, end, TOGETHER) if first not in there]
    path.parent.mkdir(parents=True, exist_ok=True)
    tasks = [(first, min(first + TOGETHER, end), options.frames) for first in firsts]
    with get_context("spawn").Pool(options.jobs, maxtasksperchild=20) as pool, path.open("a") as file:
        for line in pool.imap(some, tasks):
            file.write(json.dumps(line) + "\n")
            file.flush()
            yield line


def main() -> int:
    """Compare until all seeds are done; 1 when one disagrees."""
    made = argparse.ArgumentParser(prog="make parity", description=__doc__)
    made.add_argument("--networks", type=int, default=5_000)
    made.add_argument("--frames", type=int, default=280)
    made.add_argument("--seed", type=int, default=100_000)
    made.add_argument("--jobs", type=int, default=2)
    options = made.parse_args()
    total: Totals = {}
    wrongs: list[str] = []
    networks = 0
    path = KEPT / f"{options.seed}-{options.networks}-{options.frames}-{code()}.jsonl"
    for line in compared(options, path):
        add(total, line["totals"])
        wrongs += line["disagree"]
        networks += line["last"] - line["first"]
        print(*line["disagree"], sep="\n", end="", flush=True)
        print(f"{networks} of {options.networks} networks, {len(wrongs)} disagree", file=sys.stderr, flush=True)
    write(options, total, len(wrongs))
    print(f"{networks} networks, {total['frames'] + total.get('timed_frames', 0):,} frames, {len(wrongs)} disagree")
    return 1 if wrongs else 0


def write(options: argparse.Namespace, total: Totals, disagree: int) -> None:
    """Leave the totals and what made them."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    command = " ".join(("python -m tests.batch_campaign", *sys.argv[1:]))
    about = manifest(command, options.seed, ("simpy", "numpy", "numba"), networks=options.networks, code=code())
    total["seconds"] = round(total["seconds"])
    told = {"random_networks": options.networks, "engines": ENGINES, "disagree": disagree, "totals": total}
    (RESULTS / "parity.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    (RESULTS / "manifest.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
