"""What container drivers let through, and how late, modelled from stage costs measured on the kernel at hand.

    python experiments/throughput/run.py [--full] [--costs measure|stored]

Costs are measured first (root, User Mode Linux and iptables; half a minute); where that is not possible, or the machine
is too busy, those of the committed run are used, and the output says so. The walk tells which stages a packet passes; published points are
drawn beside the model.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments import common  # noqa: E402
from experiments.common import Report  # noqa: E402
from experiments.networks import Nodes  # noqa: E402
from experiments.throughput import answer, pictures  # noqa: E402
from experiments.throughput.costs import SMALL, Costs, measure, middle, quartiles, unsteady, why_not  # noqa: E402
from experiments.throughput.model import (  # noqa: E402
    DRIVERS,
    RECEIVERS,
    SERVERS,
    UDP_HEADERS,
    line_gbps,
    loaded,
    one_node_gbps,
    receiver_gbps,
    small_writes_gbps,
    stages,
    transactions,
)
from simvlan.sweep import grid  # noqa: E402

NAME = "throughput"
STORED = ROOT / "results" / NAME / "costs.json"
LOADED = ("macvlan bridge", "ipvlan l2", "ipvlan l3", "ipvlan l3s", "bridge", "bridge +NAT")
FRAMES = (64, 128, 256, 512, 1024, 1500, 4000, 9000)
TIMES = 3
"""How often costs are measured, where the machine is too busy, before stored ones are taken."""


def scenario(
    driver: str, mtu: int, cost_ns: float, spread: float, kpps: float, containers: int, cores: int, packets: int, seed: int
) -> dict[str, Any]:
    """Load the cores of a node with the packets of so many containers."""
    return loaded(cost_ns, spread, kpps, containers, cores, packets, seed)


def first_packet(driver: str, seed: int) -> dict[str, Any]:
    """Ping across two nodes with 50 us cables, twice: the first waits for ARP (events engine)."""
    world = Nodes(2, 1, driver, seed=seed % 2**32)
    lab = world.lab
    for eth1 in world.uplinks:
        lab.link(eth1.path, delay=50e-6)
    lab.run(until=5)
    with lab.capture("c0-0/eth0") as seen:
        lab.ping("c0-0", "10.0.0.2")
        lab.ping("c0-0", "10.0.0.2")
    requests = [float(p.time) for p in seen if p.haslayer("ARP") and p["ARP"].op == 1 and p["ARP"].psrc == "10.0.0.1"]
    sent = [float(p.time) for p in seen if p.haslayer("ICMP") and p["ICMP"].type == 8]
    back = [float(p.time) for p in seen if p.haslayer("ICMP") and p["ICMP"].type == 0]
    return {"first_us": round((back[0] - requests[0]) * 1e6, 3), "second_us": round((back[1] - sent[1]) * 1e6, 3)}


def ladder(costs: Costs) -> list[dict[str, Any]]:
    """For every path on one node: a small packet's way by stages, and TCP."""
    rows = []
    for driver in DRIVERS:
        low, mid, high = quartiles(costs.total(stages(driver), SMALL))
        less, transaction, more = quartiles(costs.tcp(DRIVERS[driver][2], "transaction"))
        rows.append({
            "driver": driver, "stages": " ".join(f"{n}x{name}" if n > 1 else name for name, n in stages(driver).items()),
            "one_way_ns": round(mid), "quarter_ns": round(low), "three_quarters_ns": round(high), "rtt_us": round(2 * mid / 1e3, 2),
            "tcp_rtt_us": round(transaction / 1e3, 2), "tcp_quarter_us": round(less / 1e3, 2), "tcp_three_quarters_us": round(more / 1e3, 2),
            "tcp_gbps": round(one_node_gbps(costs, driver), 2), "tcp_small_writes_gbps": round(small_writes_gbps(costs, driver), 3),
        })  # fmt: skip
    return rows


def servers(costs: Costs) -> list[dict[str, Any]]:
    """Small transactions of a server that is reached over a wire, against none in a container."""
    rows = []
    for how in SERVERS:
        low, mid, high = quartiles(transactions(costs, how))
        rows.append({"server": how, "transactions": round(mid, 3), "quarter": round(low, 3), "three_quarters": round(high, 3)})
    return rows


def bulk(costs: Costs) -> list[dict[str, Any]]:
    """TCP between nodes at 10 GbE by streams, a core each: with super-packets, and where a path breaks them up."""
    return [
        {"driver": driver, "super_packets": whole, "streams": streams,
         "gbps": round(min(line_gbps(1500), streams * receiver_gbps(costs, driver, whole)), 3)}
        for driver in RECEIVERS for whole in (True, False) for streams in (1, 2, 4, 8)
    ]  # fmt: skip


def sizes(costs: Costs) -> list[dict[str, Any]]:
    """UDP (a packet a frame) and TCP (super-packets) from one core by the MTU, on one node and over 10 GbE."""
    rows = []
    for driver in LOADED:
        tcp = one_node_gbps(costs, driver)
        for mtu in FRAMES:
            payload = max(mtu - UDP_HEADERS, SMALL)
            udp = payload * 8 / middle(costs.total(stages(driver), payload))
            rows.append({"driver": driver, "mtu": mtu, "udp_kpps": round(udp / payload / 8 * 1e6, 2), "udp_gbps": round(udp, 3),
                         "udp_line_gbps": round(min(udp, line_gbps(mtu, UDP_HEADERS)), 3), "tcp_gbps": round(tcp, 2),
                         "tcp_line_gbps": round(min(tcp, line_gbps(mtu)), 3)})  # fmt: skip
    return rows


def offered(costs: Costs, mtu: int) -> list[dict[str, Any]]:
    """What a packet of this size costs by every driver, for the queues: the middle and how far it varied."""
    payload = max(mtu - UDP_HEADERS, SMALL)
    rows = []
    for driver in LOADED:
        low, mid, high = quartiles(costs.total(stages(driver), payload))
        rows.append({"driver": driver, "mtu": mtu, "cost_ns": round(mid, 1), "spread": round((high - low) / mid / 1.35, 5)})
    return rows


def the_costs(made: Any) -> tuple[Costs, str]:
    """Measure, or take what an interrupted run measured, or what was committed; and say which."""
    if made.draw:
        return drawn_costs(made)
    kept = made.record / "costs.json"
    if kept.exists() and not made.fresh:
        return Costs(json.loads(kept.read_text())), "measured when this run began"
    why = "--costs stored" if made.costs == "stored" else why_not()
    measured, busy = (None, None) if why else steadily(15 if made.full else 3)
    if why or busy:
        if made.full or not STORED.exists():
            raise SystemExit(f"throughput: costs cannot be measured here: {why or busy}")
        print(f"throughput: costs are those of the committed run, not of this machine: {why or busy}", file=sys.stderr)
        return Costs(json.loads(STORED.read_text())), f"those of the committed run, not of this machine ({why or busy})"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(measured))
    return Costs(measured or {}), "measured in this run"


def drawn_costs(made: Any) -> tuple[Costs, str]:
    """The costs in the folder, and what its page says of them."""
    path, page = made.folder / "costs.json", made.folder / "README.md"
    if not (path.exists() and page.exists()):
        raise SystemExit(f"{NAME}: --draw draws what is there, and {path} and {page.name} are not: run it without --draw first")
    said = re.search(rf"{answer.FOLLOW} (.*?) \(host ", page.read_text())
    return Costs(json.loads(path.read_text())), said[1] if said else "measured in this run"


def steadily(rounds: int) -> tuple[dict[str, Any], str | None]:
    """Measure, and again if the machine was too busy; and what still varies too much, or None."""
    for time in range(1, TIMES + 1):
        print("throughput: measuring stage costs on both kernels", file=sys.stderr)
        measured = measure(rounds)
        if not (why := unsteady(measured)):
            return measured, None
        print(f"throughput: measured {time} of {TIMES} times: the machine is busy: {why}", file=sys.stderr)
    return measured, f"the machine is busy: {why}"


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """A table as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(words: list[str] | None = None) -> int:
    """Run it."""
    made = common.options(NAME, __doc__, words, lambda parser: parser.add_argument(
        "--costs", choices=("measure", "stored"), default="measure", help="stored: those of the committed run"))  # fmt: skip
    costs, source = the_costs(made)
    tables = {"stages": costs.table(), "ladder": ladder(costs), "servers": servers(costs), "bulk": bulk(costs), "sizes": sizes(costs)}
    if not made.draw:
        for name, rows in tables.items():
            write(made.folder, name, rows)
        (made.folder / "costs.json").write_text(json.dumps(costs.measured, indent=1) + "\n")
    swept = sweeps(made, costs)
    data = answer.Data(costs, *(answer.frame(tables[name]) for name in ("ladder", "servers", "bulk", "sizes")), *swept)
    report = Report(answer.QUESTION, answer.claims(data), pictures.all_of(data), answer.notes(data, source))
    status = common.finish(made, report)
    if not made.draw:
        (made.record / "costs.json").unlink(missing_ok=True)
    return status


def sweeps(made: Any, costs: Costs) -> list[Any]:
    """Offered load by driver and frame size; delays at the same share of what a core can carry; containers and cores; the first packet."""

    def queues(part: str, mtus: tuple[int, ...], **axes: Any) -> Any:
        points = []
        for told in (each for mtu in mtus for each in offered(costs, mtu)):
            for place in grid(**axes):
                share = place.pop("share", 0) * place["cores"]
                rate = {"kpps": round(share * 1e6 / told["cost_ns"], 1)} if share else {}
                points.append({**told, **place, **rate, "packets": 40_000 if made.full else 8_000})
        return common.table(made, scenario, points, part, repeats=5 if made.full else 3)

    every = (64, 512, 1500, 9000) if made.full else (64, 1500)
    steps = list(range(40, 521, 40 if made.full else 120))
    load = queues("load", every, kpps=steps, containers=[8], cores=[1])
    late = queues("delay", (1500,), share=[0.5, 0.8, 0.95, 1.2], containers=[8], cores=[1])
    counts = [1, 2, 4, 8, 16, 32, 64, 128] if made.full else [1, 8, 128]
    many = queues("containers", (1500,), share=[1.5], containers=counts, cores=[1, 4])
    first = common.table(made, first_packet, grid(driver=["bridge", "macvlan bridge", "ipvlan l2"]), "first")
    return [load, late, many, first]


if __name__ == "__main__":
    sys.exit(main())
