"""1 to 4,094 VLANs on one trunk: what a frame costs, and how much memory a VLAN takes.

    python experiments/vlan-scale/run.py [--full]

Two nodes, an 802.1Q sub-interface for each VLAN on both, each in a container; between them a VLAN-filtering switch
whose two ports carry all of them.
"""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from time import process_time
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from experiments import common, cost  # noqa: E402
from experiments.common import Claim, Report  # noqa: E402
from experiments.networks import across, trunk  # noqa: E402
from simvlan import Lab  # noqa: E402
from simvlan.engines.batch import compile as tables  # noqa: E402
from simvlan.engines.batch.generate import announce  # noqa: E402
from simvlan.engines.walk import walk  # noqa: E402
from simvlan.frame import Frame  # noqa: E402
from simvlan.plot import curves  # noqa: E402
from simvlan.sweep import grid  # noqa: E402

BROADCAST = (1 << 48) - 1
TRIED = 50
"""Frames sent one by one."""


def scenario(vlans: int, frames: int, rounds: int, seed: int) -> dict[str, Any]:
    """Build it, count its memory, send unicast in random VLANs by both engines, and one broadcast."""
    trunk(1)  # what is imported on first use is not the lab's
    tracemalloc.start()
    lab, ends = trunk(vlans, seed % 2**32)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    net, rng = lab.network, np.random.default_rng(seed)
    for dev in ends:
        net.send(dev, Frame(BROADCAST, dev.mac, 0x88B5, bytes(46)))
    a, b = ends[vlans - 1], ends[-1]
    before = sum(dev.rx_packets for dev in ends)
    steps = walk(net, a, Frame(BROADCAST, a.mac, 0x88B5, bytes(46)))
    heard = sum(dev.rx_packets for dev in ends) - before
    unicast = Frame(b.mac, a.mac, 0x88B5, bytes(46))

    def one_by_one() -> None:
        for _ in range(TRIED):
            net.send(a, unicast)

    one_by_one()
    found = {
        "memory_kb": round(memory / 1000, 1),
        "steps": len(steps),
        "heard": heard,
        "lines": cost.lines(one_by_one, TRIED),
        **{f"events_{name}": value for name, value in cost.nanoseconds(one_by_one, TRIED, rounds).items()},
    }
    return found | at_once(lab, ends, frames, rounds, rng)


def at_once(lab: Lab, ends: list[Any], frames: int, rounds: int, rng: np.random.Generator) -> dict[str, Any]:
    """Do the same by the batch engine: random unicast from node to node."""
    stations, batch = across(ends, frames, rng)
    begin = process_time()
    pipeline = tables(lab, engine="numpy")
    pipeline.forward(announce(stations))
    delivered = pipeline.forward(batch).drops() == {"delivered": frames}
    asked = process_time() - begin
    costs = cost.nanoseconds(lambda: pipeline.forward(batch), frames, rounds)
    return {
        "delivered": delivered,
        "questions": len(pipeline.answers),
        "tables_s": round(asked, 2),
        "batch_lines": round(cost.lines(lambda: pipeline.forward(batch), 1)),
        **{f"batch_{name}": value for name, value in costs.items()},
    }


def claims(frame: Any) -> list[Claim]:
    """What the data say."""
    at = frame.set_index("vlans").sort_index()
    least, most = at.iloc[0], at.iloc[-1]
    each = (most["memory_kb"] - least["memory_kb"]) / (at.index[-1] - at.index[0])
    events, batch = (most[name] / least[name] for name in ("events_ns", "batch_ns"))
    return [
        Claim(
            f"One by one, a frame takes the same {int(most['steps'])} steps and runs the same {most['lines']:.0f} lines of Python with"
            f" {at.index[-1]:,} VLANs as with one: {most['events_ns'] / 1e3:.1f} µs of CPU time, {events:.1f} times as much.",
            at["lines"].nunique() == 1 and at["steps"].nunique() == 1,
            bool(events < 4),
        ),
        Claim(
            "The batch engine takes no two VLANs for alike: it asks the rules up to four questions for each, once"
            f" ({most['tables_s']:.1f} s for {at.index[-1]:,}). From then on a frame costs {most['batch_ns']:.0f} ns"
            f" with {at.index[-1]:,} VLANs and {least['batch_ns']:.0f} ns with one, {batch:.1f} times as much: {max(at['batch_lines'])} lines"
            f" of Python for the whole batch and {min(at['batch_lines'])}.",
            bool((at["questions"] / at.index).between(3.9, 4).all()) and max(at["batch_lines"]) < 2 * min(at["batch_lines"]),
            bool(batch < 6),
        ),
        Claim(
            f"Memory grows evenly, by {each:.0f} kB a VLAN (two sub-interfaces and two namespaces with their stacks):"
            f" {most['memory_kb'] / 1000:.0f} MB in all.",
            bool((abs((at["memory_kb"].iloc[1:] - least["memory_kb"]) / (at.index[1:] - at.index[0]) / each - 1) < 0.15).all()),
        ),
        Claim(
            "A broadcast is heard by the one other member of its VLAN, and every unicast is delivered.",
            bool((at["heard"] == 1).all()) and bool(at["delivered"].all()),
        ),
    ]  # fmt: skip


def picture(frame: Any) -> Any:
    """Cost and memory."""
    figure, (left, right) = common.panels(2)
    at = frame.sort_values("vlans")

    def line(name: str, scale: float) -> list[tuple[float, ...]]:
        columns = [at[f"{name}_{part}"] / scale for part in ("ns", "ns_low", "ns_high")]
        return list(zip(at["vlans"], *columns, strict=True))

    series = {"event engine, one by one": line("events", 1000), "batch engine (NumPy)": line("batch", 1000)}
    memory = {"memory": list(zip(at["vlans"], at["memory_kb"] / 1000, strict=True))}
    curves(memory, x="VLANs on the trunk", y="the whole lab, MB", title="Memory", log="xy", axes=left, legend=False)
    curves(series, x="VLANs on the trunk", y="CPU time of a frame, µs", title="Cost of a frame", log="xy", axes=right, legend="below")
    return figure


def main(words: list[str] | None = None) -> int:
    """Run it."""
    made = common.options("vlan-scale", __doc__, words)
    counts = [1, 4, 16, 64, 256, 1024, 4094] if made.full else [1, 16, 128]
    points = grid(vlans=counts, frames=50_000 if made.full else 5_000, rounds=7 if made.full else 3)
    frame = common.table(made, scenario, points, workers=made.workers or 1)
    report = Report(
        "Does a trunk with all 4,094 VLANs cost more for each frame than one with a single VLAN, and how much memory is it?",
        claims(frame),
        {"vlan-scale.png": (picture(frame), "Memory of the lab and cost of a frame against VLANs on the trunk")},
        [
            "`lines` counts the lines of Python run for one unicast from sub-interface to sub-interface through the filtering"
            " switch; times are CPU time, the middle of several rounds and their quartiles, on a shared machine. Memory is what Python"
            " allocated for the lab (tracemalloc)."
        ],
    )  # fmt: skip
    return common.finish(made, report)


if __name__ == "__main__":
    sys.exit(main())
