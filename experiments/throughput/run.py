"""What container drivers let through, and how late, modelled from stage costs measured on the kernel at hand.

    python experiments/throughput/run.py [--full] [--costs measure|stored]

Costs are measured first (root, User Mode Linux and iptables; half a minute); where that is not possible those of the
committed run are used, and the output says so. The walk tells which stages a packet passes; published points are
drawn beside the model.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments import common  # noqa: E402
from experiments.common import Report  # noqa: E402
from experiments.networks import Nodes  # noqa: E402
from experiments.throughput import answer, pictures  # noqa: E402
from experiments.throughput.costs import FULL, SMALL, SUPER, Costs, measure, middle, quartiles, why_not  # noqa: E402
from experiments.throughput.model import DRIVERS, line_gbps, loaded, stages, tcp_gbps  # noqa: E402
from simvlan.sweep import grid  # noqa: E402

NAME = "throughput"
STORED = ROOT / "results" / NAME / "costs.json"
LOADED = ("macvlan bridge", "ipvlan l2", "bridge", "bridge +NAT")
FRAMES = (64, 128, 256, 512, 1024, 1500, 4000, 9000)


def scenario(driver: str, cost_ns: float, spread: float, kpps: float, containers: int, packets: int, seed: int) -> dict[str, Any]:
    """Load one core with the packets of so many containers."""
    return loaded(cost_ns, spread, kpps, containers, 1, packets, seed)


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
    """For every path: round trip of a small packet, small transactions against none at all, TCP on one node."""
    rows = []
    bare = middle(costs.total(stages("host"), SMALL))
    for driver in DRIVERS:
        small, large = costs.total(stages(driver), SMALL), costs.total(stages(driver), SUPER)
        low, mid, high = quartiles(small)
        rows.append({
            "driver": driver, "stages": " ".join(f"{n}x{name}" if n > 1 else name for name, n in stages(driver).items()),
            "one_way_ns": round(mid), "quarter_ns": round(low), "three_quarters_ns": round(high), "rtt_us": round(2 * mid / 1e3, 2),
            "transactions": round(bare / mid, 3), "tcp_gbps": round(tcp_gbps(middle(large), mid), 2),
            "tcp_small_writes_gbps": round(tcp_gbps(middle(costs.total(stages(driver), FULL)), mid, 1024), 2),
        })  # fmt: skip
    return rows


def bulk(costs: Costs) -> list[dict[str, Any]]:
    """TCP between nodes at 10 GbE by streams, a core each: with super-packets, and where a path breaks them up."""
    rows = []
    for driver in ("host", "macvlan bridge", "ipvlan l2", "bridge", "bridge +NAT"):
        for whole in (True, False):
            payload, size = (SUPER, SUPER) if whole else (1448, FULL)
            node = middle(costs.total(halved(driver), size)), middle(costs.total(halved(driver), SMALL))
            for streams in (1, 2, 4, 8):
                rate = min(line_gbps(1500), streams * tcp_gbps(*node, payload))
                rows.append({"driver": driver, "super_packets": whole, "streams": streams, "gbps": round(rate, 3)})
    return rows


def halved(driver: str) -> dict[str, float]:
    """What one of the two nodes does of a path between nodes."""
    added = DRIVERS[driver][1]
    both = {name: count for name, count in stages(driver, across=driver != "host").items() if name not in added}
    return {**{name: count / 2 for name, count in both.items()}, **added}


def sizes(costs: Costs) -> list[dict[str, Any]]:
    """UDP (a packet a frame) and TCP (super-packets) from one core by the MTU, on one node and over 10 GbE."""
    rows = []
    for driver in ("macvlan bridge", "bridge"):
        tcp = tcp_gbps(middle(costs.total(stages(driver), SUPER)), middle(costs.total(stages(driver), SMALL)))
        for mtu in FRAMES:
            payload = max(mtu - 28, SMALL)
            udp = payload * 8 / middle(costs.total(stages(driver), payload))
            rows.append({"driver": driver, "mtu": mtu, "udp_gbps": round(udp, 3), "udp_line_gbps": round(min(udp, line_gbps(mtu, 28)), 3),
                         "tcp_gbps": round(tcp, 2), "tcp_line_gbps": round(min(tcp, line_gbps(mtu)), 3)})  # fmt: skip
    return rows


def the_costs(made: Any) -> tuple[Costs, str]:
    """Measure, or take what an interrupted run measured, or what was committed; and say which."""
    kept = made.record / "costs.json"
    if kept.exists() and not made.fresh:
        return Costs(json.loads(kept.read_text())), "measured when this run began"
    why = "--costs stored" if made.costs == "stored" else why_not()
    if why:
        if made.full or not STORED.exists():
            raise SystemExit(f"throughput: costs cannot be measured here: {why}")
        print(f"throughput: costs are those of the committed run, not of this machine: {why}", file=sys.stderr)
        return Costs(json.loads(STORED.read_text())), f"those of the committed run, not of this machine ({why})"
    print("throughput: measuring stage costs on both kernels", file=sys.stderr)
    measured = measure(15 if made.full else 3)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(measured))
    return Costs(measured), "measured in this run"


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
    tables = {"stages": costs.table(), "ladder": ladder(costs), "bulk": bulk(costs), "sizes": sizes(costs)}
    for name, rows in tables.items():
        write(made.folder, name, rows)
    (made.folder / "costs.json").write_text(json.dumps(costs.measured, indent=1) + "\n")

    def loads(kpps: list[int], containers: list[int], part: str) -> Any:
        points = []
        for driver in LOADED:
            low, mid, high = quartiles(costs.total(stages(driver), FULL))
            told = {"driver": driver, "cost_ns": round(mid, 1), "spread": round((high - low) / mid / 1.35, 5)}
            rates = kpps or [round(1.5e6 / mid)]
            points += grid(**told, kpps=rates, containers=containers, packets=40_000 if made.full else 8_000)
        return common.points(made, scenario, points, part, repeats=10 if made.full else 3).to_dataframe()

    load = loads(list(range(40, 521, 40 if made.full else 120)), [8], "load")
    many = loads([], [1, 2, 4, 8, 16, 32, 64, 128] if made.full else [1, 8, 128], "containers")
    first = common.points(made, first_packet, grid(driver=["bridge", "macvlan bridge", "ipvlan l2"]), "first").to_dataframe()
    data = answer.Data(costs, *(answer.frame(tables[name]) for name in ("ladder", "bulk", "sizes")), load, many, first)
    report = Report(answer.QUESTION, answer.claims(data), pictures.all_of(data), answer.notes(data, source))
    status = common.finish(made, report)
    (made.record / "costs.json").unlink(missing_ok=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
