"""How many MACs a switch must know, against containers per node; and what it floods when its table is full.

    python experiments/mac-table/run.py [--full]

Nodes hang on one switch; every container says something, then containers of different nodes talk at random. A full
table learns nothing more (as fdb_max_learned, and most switches, have it): those who spoke first are in it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from experiments import common  # noqa: E402
from experiments.common import Claim, Report  # noqa: E402
from experiments.networks import Nodes  # noqa: E402
from simvlan.engines.batch import compile as tables  # noqa: E402
from simvlan.engines.batch.generate import between_pairs  # noqa: E402
from simvlan.frame import Frame  # noqa: E402
from simvlan.plot import curves  # noqa: E402
from simvlan.sweep import Params, grid  # noqa: E402

DRIVERS = ("bridge", "macvlan bridge", "ipvlan l2")
FRAMES = {"bridge": 2_000, "macvlan bridge": 40_000, "ipvlan l2": 40_000}
"""Fewer where every frame is another case: each node's bridge learns from what is flooded."""
NOBODY = 0x0200_FFFF_FFFF
"""Where the first words of a container go: flooded, wanted by nobody."""


def scenario(driver: str, nodes: int, containers: int, table: int, frames: int, seed: int) -> dict[str, Any]:
    """Learn, then forward `frames` random unicasts between nodes; `table` is the switch's size, 0 for enough."""
    rng = np.random.default_rng(seed)
    world = Nodes(nodes, containers, driver, seed=seed % 2**32)
    learned = teach(world, rng, table)
    batch = between_pairs(world.stations, *pairs(world, nodes, frames, rng), rng)
    pipeline = tables(world.lab, engine="numpy")
    gained = pipeline.forward(batch).counters()
    sent = sum(gained.get(port.dev.path, {}).get("tx_packets", 0) for port in world.bridge.ports)
    arrived = sum(gained.get(dev.path, {}).get("rx_packets", 0) for dev in world.containers)
    return {
        "macs": len({dev.mac for dev in world.containers}),
        "learned": learned,
        "copies": sent / frames,
        "flooded": (sent / frames - 1) / (nodes - 2),
        "strangers": arrived / frames - 1,
    }


def teach(world: Nodes, rng: np.random.Generator, table: int) -> int:
    """Let every container speak once, in random order, until the table is full; returns how many entries it has."""
    net = world.lab.network
    known: set[int] = set()
    for n in rng.permutation(len(world.containers)).tolist():
        dev = world.containers[n]
        if table and len(known) >= table:
            break
        known.add(dev.mac)
        net.send(dev, Frame(NOBODY, dev.mac, 0x88B5, bytes(46)))
    rows = [row for row in world.lab.fdb("switch/br0") if row.get("state") != "permanent"]
    if table and len(known) >= table:
        for port in world.bridge.ports:
            world.lab.command("bridge", "link", "set", "dev", port.dev.name, "learning", "off", netns="switch")
    return len({row["mac"] for row in rows})


def pairs(world: Nodes, nodes: int, frames: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Random senders, each to a random container of another node."""
    each, total = world.each, len(world.containers)
    src = rng.integers(0, total, frames)
    dst = (src // each * each + each + rng.integers(0, total - each, frames)) % total
    return src, dst


def claims(sizes: Any, overflow: Any) -> list[Claim]:
    """What the data say (data frames of the two sweeps)."""
    nodes, table = int(sizes["nodes"].iloc[0]), int(overflow["table"].iloc[0])
    most = int(sizes["containers"].max())
    ipvlan, others = sizes[sizes["driver"] == "ipvlan l2"], sizes[sizes["driver"] != "ipvlan l2"]
    shared, own = overflow[overflow["driver"] == "ipvlan l2"], overflow[overflow["driver"] != "ipvlan l2"]
    full, fits = own[own["macs"] > table], own[own["macs"] <= table]
    expected = 1 - table / full["macs"]
    error = 4 * np.sqrt(expected * (1 - expected) / full["frames"]) + 1e-9
    last = overflow[overflow["containers"] == most].set_index("driver")
    bridge, macvlan = last.loc["bridge"], last.loc["macvlan bridge"]
    quiet = overflow[overflow["driver"] == "macvlan bridge"]
    return [
        Claim(
            f"Behind bridges and macvlans the switch learns one MAC a container: {nodes * most:,} entries for {nodes}"
            f" nodes of {most:,} containers.",
            bool((others["learned"] == others["nodes"] * others["containers"]).all()),
        ),
        Claim(
            f"Behind ipvlan it learns one MAC a node: {nodes} entries, however many containers.",
            bool((ipvlan["learned"] == nodes).all()),
        ),
        Claim(
            f"With a table of {table:,} entries and n MACs, the share 1 - {table:,}/n of all unicast frames is flooded:"
            f" with {int(macvlan['macs']):,} MACs {macvlan['flooded']:.0%} ({1 - table / macvlan['macs']:.0%} expected), so"
            f" that a frame leaves the switch {macvlan['copies']:.1f} times.",
            len(full) > 0 and bool((abs(full["flooded"] - expected) <= error).all()),
        ),
        Claim(
            "What fits floods nothing, and with ipvlan everything fits.",
            len(fits) > 0 and bool((fits["flooded"] == 0).all()) and bool((shared["flooded"] == 0).all()),
        ),
        Claim(
            "What is flooded to a macvlan node ends at its parent, no container takes it; a node's bridge floods it on:"
            f" there {bridge['strangers']:.1f} containers a frame see what is not theirs.",
            bool((quiet["strangers"] == 0).all()) and bridge["strangers"] > 0.2,
        ),
    ]


def picture(sizes: Any, overflow: Any) -> Any:
    """Entries, and flooded frames, against containers per node."""
    figure, (left, right) = common.panels(2)
    x, table, nodes = "containers per node", int(overflow["table"].iloc[0]), int(sizes["nodes"].iloc[0])
    learned, flooded = lines_of(sizes, "learned"), lines_of(overflow, "flooded", 100)
    titles = f"{nodes} nodes on one switch", f"A table of {table:,} entries"
    curves(learned, x=x, y="MACs in the switch's table", title=titles[0], log="xy", axes=left, legend="below", nested=True)
    curves(flooded, x=x, y="unicast frames flooded (%)", title=titles[1], log="x", axes=right, legend="below", nested=True)
    left.axhline(table, color="#888888", lw=1, ls=":")
    place = {"va": "bottom", "ha": "right", "fontsize": 8, "transform": left.get_yaxis_transform()}
    left.text(0.98, table, f"a table of {table:,}", **place)
    right.set_ylim(-4, 104)
    return figure


def lines_of(frame: Any, column: str, scale: float = 1) -> dict[str, list[tuple[float, float]]]:
    """One line a driver."""
    return {
        driver: [(x, y * scale) for x, y in zip(mine["containers"], mine[column], strict=True)]
        for driver, mine in frame.groupby("driver", sort=False)
    }


def main(words: list[str] | None = None) -> int:
    """Run it."""
    made = common.options("mac-table", __doc__, words)
    nodes, table = (8, 256) if made.full else (4, 64)
    counts = [1, 4, 16, 32, 64, 96] if made.full else [1, 4, 16, 32]
    frames = {driver: FRAMES[driver] // (1 if made.full else 4) for driver in DRIVERS}

    def points(size: int) -> list[Params]:
        return [
            point
            for driver in DRIVERS
            for point in grid(driver=driver, nodes=nodes, containers=counts, table=size, frames=frames[driver])
        ]

    sizes = common.table(made, scenario, points(0), "sizes")
    overflow = common.table(made, scenario, points(table), "overflow")
    report = Report(
        "How many MACs must the switch in front of the nodes know, and what happens when its table is too small?",
        claims(sizes, overflow),
        {"mac-table.png": (picture(sizes, overflow), "MACs in the switch's table, and flooded frames, by driver")},
        [
            "`learned` is counted in the switch's FDB after every container has spoken once; `copies` are frames that"
            " leave the switch for each that enters, `strangers` containers reached by a frame for another. A full table"
            " is made by switching its ports' learning off once it has as many entries as it may (what Linux does with"
            " `fdb_max_learned`); a switch that evicts old entries would flood other frames, not fewer. Nothing ages."
            " A Linux bridge takes 1,023 ports at most: more containers than that do not fit on one.",
        ],
    )  # fmt: skip
    return common.finish(made, report)


if __name__ == "__main__":
    sys.exit(main())
