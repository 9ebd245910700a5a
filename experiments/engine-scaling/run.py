"""What our own engines cost: against ports, macvlans, FDB size, VLANs, hops, frames in flight, batch size, threads.

    python experiments/engine-scaling/run.py [--full]

The event engine sends frames one by one; the batch engine forwards them at once. CPU time of this process, the middle of
several rounds with their quartiles; for the event engine also the lines of Python run for a frame, which no other load changes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.engine import chain  # noqa: E402
from benchmarks.networks import MACS, PORTS, TwoNodes, crossing, star, star_stations, to_uppers, upper_macs, uppers  # noqa: E402
from experiments import common, cost  # noqa: E402
from experiments.common import Claim, Report  # noqa: E402
from experiments.networks import across, trunk  # noqa: E402
from simvlan.engines.batch import compile as tables  # noqa: E402
from simvlan.engines.batch.generate import announce  # noqa: E402
from simvlan.frame import Frame  # noqa: E402
from simvlan.links import CableOptions  # noqa: E402
from simvlan.plot import curves  # noqa: E402
from simvlan.sweep import Params  # noqa: E402

ONE_BY_ONE, GAP_NS, SMALL = 500, 500, 1 << 14
Work = tuple[Callable[[], object], int]


def in_flight(count: int) -> Work:
    """Frames across a two-port switch over cables so long that this many are on their way at any time."""
    lab = star(2, CableOptions(delay_ns=count * GAP_NS // 2))
    net, clock = lab.network, lab.clock
    a, b = (net.device(f"h{n}/eth0") for n in range(2))
    clock.run(2_000_000_000)
    for dev in (a, b):
        net.send(dev, Frame((1 << 48) - 1, dev.mac, 0x88B5, bytes(46)))
    clock.run(clock.now + 4 * count * GAP_NS + 1000)
    frame = Frame(b.mac, a.mac, 0x88B5, bytes(46))

    def run() -> None:
        for _ in range(ONE_BY_ONE):
            net.send(a, frame)
            clock.run(clock.now + GAP_NS)

    return run, ONE_BY_ONE


def learned(ports: int, stations: int) -> Work:
    """Unicast through a bridge that knows so many stations behind so many ports."""
    lab, known = star(ports), star_stations(ports, stations)
    net, macs = lab.network, known.mac.tolist()
    devices = [net.device(path) for path in known.devices]
    for n, mac in enumerate(macs):
        net.send(devices[int(known.ingress[n])], Frame(0x0200_FFFF_FFFF, mac, 0x88B5, bytes(46)))
    return one_by_one(net, devices[0], macs[0], macs[stations // ports :])


def stacked(macvlans: int) -> Work:
    """Unicast from the wire to so many macvlans."""
    net = uppers(macvlans).network
    return one_by_one(net, net.device("wire/h0"), 0x0200_0099_0001, upper_macs(macvlans).tolist())


def tagged(vlans: int) -> Work:
    """Unicast in the last of so many VLANs of a trunk."""
    lab, ends = trunk(vlans)
    a, b = ends[vlans - 1], ends[-1]
    for dev in ends:
        lab.network.send(dev, Frame((1 << 48) - 1, dev.mac, 0x88B5, bytes(46)))
    return one_by_one(lab.network, a, a.mac, [b.mac])


def one_by_one(net: Any, sender: Any, source: int, targets: list[int]) -> Work:
    """Send from one station to others, spread over all of them."""
    frames = [Frame(targets[n * 7919 % len(targets)], source, 0x88B5, bytes(46)) for n in range(ONE_BY_ONE)]

    def run() -> None:
        for frame in frames:
            net.send(sender, frame)

    return run, ONE_BY_ONE


EVENTS: dict[str, Callable[[int], Work]] = {
    "ports": lambda n: learned(n, n),
    "macvlans": stacked,
    "FDB entries": lambda n: learned(8, n),
    "VLANs": tagged,
    "hops": lambda n: (chain(n, 200), 200),
    "frames in flight": in_flight,
}


def forwarded(lab: Any, lessons: Any, batch: Any, engine: str, threads: int | None = None) -> tuple[Any, Work]:
    """A pipeline that knows everybody, and forwarding the batch by it."""
    pipeline = tables(lab, engine, threads)
    pipeline.forward(lessons)
    return pipeline, (lambda: pipeline.forward(batch), len(batch))


def batch_of(dimension: str, value: int, engine: str, frames: int, rng: np.random.Generator) -> tuple[Any, Work]:
    """The batch engine's work at one place of one dimension."""
    if dimension == "macvlans":
        batch = to_uppers(value, frames, rng)
        return forwarded(uppers(value), batch[:1], batch, engine)
    if dimension == "containers on two nodes":
        world = TwoNodes(value)
        return forwarded(world.lab, announce(world.stations), world.traffic(frames, rng), engine)
    if dimension == "VLANs":
        lab, ends = trunk(value)
        for dev in ends:  # every VLAN of the MAC that a node's sub-interfaces share, known before it is tabulated
            lab.network.send(dev, Frame((1 << 48) - 1, dev.mac, 0x88B5, bytes(46)))
        stations, batch = across(ends, frames, rng)
        return forwarded(lab, announce(stations), batch, engine)
    ports = value if dimension == "ports" else PORTS
    macs = value if dimension == "FDB entries" else max((MACS if frames > SMALL else 1024) // ports * ports, ports)
    frames = value if dimension == "frames at once" else frames
    stations = star_stations(ports, macs)
    threads = value if dimension == "threads" else None
    return forwarded(star(ports), announce(stations), crossing(stations, frames, rng), engine, threads)


def scenario(dimension: str, value: int, engine: str, frames: int, rounds: int, seed: int) -> dict[str, Any]:
    """Measure one place of one dimension."""
    if engine == "events":
        run, count = EVENTS[dimension](value)
        return {**cost.nanoseconds(run, count, rounds, 0.02 * rounds), "lines": cost.lines(run, count)}
    pipeline, (run, count) = batch_of(dimension, value, engine, frames, np.random.default_rng(seed))
    found = cost.nanoseconds(run, count, rounds, 0.02 * rounds)
    begin = time.perf_counter()
    run()
    wall = (time.perf_counter() - begin) / count * 1e9
    return {**found, "wall_ns": round(wall, 1), "questions": len(pipeline.answers)}


def grid(full: bool) -> list[Params]:
    """Every dimension, for the engines it means something to."""
    numba = find_spec("numba") is not None
    sizes = [8, 64, 512] if full else [8, 64]
    here = ("events", "numpy", "numba") if full else ("events", "numpy")
    axes: dict[str, tuple[list[int], tuple[str, ...]]] = {
        "ports": (sizes, here),
        "macvlans": ([8, 64, 512, 4096] if full else [8, 64], here),
        "FDB entries": ([64, 1024, 10_240, 65_536] if full else [64, 1024], here),
        "VLANs": ([1, 16, 256, 4094] if full else [1, 64], here),
        "hops": ([1, 5, 10, 20] if full else [1, 3, 5], ("events",)),
        "frames in flight": ([2, 20, 200, 2000] if full else [2, 20, 200], ("events",)),
        "containers on two nodes": ([10, 100, 1000, 4000] if full else [10, 100], here[1:]),
        "frames at once": ([64, 1024, 16_384, 262_144] if full else [64, 1024, 16_384], here[1:]),
        "threads": ([1, 2], ("numba",) if full else ()),
    }
    base = {"frames": 1 << 17 if full else 1 << 13, "rounds": 5 if full else 2}
    return [
        {"dimension": dimension, "value": value, "engine": engine, **base}
        for dimension, (values, engines) in axes.items() for engine in engines for value in values
        if engine != "numba" or numba
    ]  # fmt: skip


def claims(frame: Any) -> list[Claim]:
    """What the data say."""
    events, batch = frame[frame["engine"] == "events"], frame[frame["engine"] != "events"]
    flat = ("ports", "macvlans", "FDB entries", "VLANs")
    lines = {name: mine.set_index("value")["lines"] for name, mine in events.groupby("dimension")}
    hop = lines["hops"].diff().dropna() / np.diff(lines["hops"].index)
    grown = {
        (name, engine): mine.iloc[-1]["ns"] / mine.iloc[0]["ns"] for (name, engine), mine in frame.groupby(["dimension", "engine"])
    }
    largest = {name: int(frame[frame["dimension"] == name]["value"].max()) for name in flat}
    asked = batch[batch["dimension"].isin([*flat[:3], "containers on two nodes"])].groupby(["dimension", "engine"])["questions"]
    once = batch[(batch["dimension"] == "frames at once") & (batch["engine"] == "numpy")].set_index("value")["ns"]
    return [
        Claim(
            f"One by one, a frame's cost does not depend on how many ports, macvlans, FDB entries or VLANs there are: the same lines of"
            f" Python run with {largest['ports']} ports, {largest['macvlans']:,} macvlans, {largest['FDB entries']:,} entries and"
            f" {largest['VLANs']:,} VLANs as with the fewest, and"
            f" CPU time grows {max(grown[name, 'events'] for name in flat):.1f} times at most.",
            all(max(lines[name]) - min(lines[name]) <= 0.02 * min(lines[name]) for name in flat),
            max(grown[name, "events"] for name in flat) < 4,
        ),
        Claim(
            f"Every bridge on the way adds the same {hop.mean():.0f} lines.", bool((abs(hop / hop.mean() - 1) < 0.02).all())
        ),
        Claim(
            f"Frames in flight wait in a heap: {int(lines['frames in flight'].index[-1]):,} of them cost"
            f" {grown['frames in flight', 'events']:.1f} times what {int(lines['frames in flight'].index[0])} do.",
            True,
            grown["frames in flight", "events"] < 5,
        ),
        Claim(
            f"The batch engine asks the rules {int(asked.max().max())} questions at most, with the most ports, macvlans, stations and containers no"
            " more than with the fewest, but four for each VLAN;"
            f" its frames cost {max(grown[key] for key in grown if key[1] != 'events' and key[0] in flat):.1f} times as much at most.",
            bool((asked.last() <= asked.first()).all()) and asked.max().max() <= 16
            and bool((batch[batch["dimension"] == "VLANs"].eval("questions == 4 * value")).all()),
            all(grown[key] < 6 for key in grown if key[1] != "events" and key[0] in flat),
        ),
        Claim(
            f"It wants many frames at once: with NumPy {once.iloc[0]:.0f} ns a frame in batches of {once.index[0]}, {once.iloc[-1]:.0f} in"
            f" batches of {once.index[-1]:,}.",
            True,
            bool(once.iloc[0] > 2 * once.iloc[-1]),
        ),
    ]  # fmt: skip


def picture(frame: Any) -> Any:
    """A panel for each dimension."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 8.2), layout="constrained")
    axes = figure.subplots(3, 3, sharey=True).flatten()
    names = {"events": "event engine", "numpy": "batch engine, NumPy", "numba": "batch engine, Numba"}
    for axis, dimension in zip(axes, dict.fromkeys(frame["dimension"]), strict=False):
        mine = frame[frame["dimension"] == dimension]
        series = {
            label: [tuple(row) for row in mine[mine["engine"] == engine][["value", "ns", "ns_low", "ns_high"]].to_numpy().tolist()]
            for engine, label in names.items()
        }
        curves(series_of(series), x=dimension, y="", log="xy", axes=axis, legend=False)
        values = sorted(set(mine["value"]))
        axis.set_xticks(values, [short(value) for value in values])
        axis.minorticks_off()
        axis.set_ylim(3, 300_000)
    for axis in axes[frame["dimension"].nunique() :]:
        axis.set_axis_off()
    figure.supylabel("CPU time of a frame, ns", size=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def short(value: int) -> str:
    """1024 -> 1,024; from 10,000 on in thousands (K = 1,000)."""
    return f"{value:,}" if value < 10_000 else f"{value / 1000:.0f}K"


def series_of(series: dict[str, list[tuple[float, ...]]]) -> dict[str, list[tuple[float, ...]]]:
    """Keep every engine's place, so that it has one colour in all panels; what has no points is out of sight."""
    return {name: points or [(float("nan"), float("nan"))] for name, points in series.items()}


def main(words: list[str] | None = None) -> int:
    """Run it."""
    made = common.options("engine-scaling", __doc__, words)
    frame = common.table(made, scenario, grid(made.full), workers=made.workers or 1)
    report = Report(
        "How does the cost of a frame in our own engines grow with the size of the network and of the work?",
        claims(frame),
        {"engine-scaling.png": (picture(frame), "CPU time of a frame by engine, against nine dimensions")},
        [
            "CPU time of the process with all its threads, the middle of several rounds and their quartiles; `lines` counts the lines of Python"
            " run for a frame. More on VLANs: `results/vlan-scale`; speeds beside other simulators in `results/benchmarks`. One process computes"
            " at a time; the machine was shared."
        ],
    )  # fmt: skip
    return common.finish(made, report)


if __name__ == "__main__":
    sys.exit(main())
