"""The pictures; every axis of ours says "modelled"."""

from __future__ import annotations

from typing import Any

from experiments.common import panels
from experiments.throughput.answer import CALICO, DAOCLOUD, HUSTCAT, MACVLAN, Data, interval
from experiments.throughput.costs import SMALL, middle
from experiments.throughput.model import PUBLISHED, line_gbps, stages
from simvlan.plot import bars, curves

SHOWN = ("host", "macvlan bridge", "ipvlan l2", "bridge", "bridge +netfilter", "bridge +NAT")


def all_of(data: Data) -> dict[str, tuple[Any, str]]:
    """File name -> (figure, what it shows)."""
    return {
        "load.png": (load(data), "Delivered rate, delay and loss against offered load, modelled"),
        "stages.png": (small(data), "Cost of a small packet by stage, and small transactions, modelled and published"),
        "bulk.png": (bulk(data), "TCP on one node and between nodes, modelled and published"),
        "scaling.png": (scaling(data), "Rate against containers and against the MTU, modelled"),
    }


def _spread(frame: Any, x: str, y: str) -> dict[str, list[tuple[float, ...]]]:
    """Lines with 95 % intervals over repeats, by driver."""
    return {
        driver: [(at, *interval(list(mine[y]))) for at, mine in rows.groupby(x)]
        for driver, rows in frame.groupby("driver", sort=False)
    }


def load(data: Data) -> Any:
    """Three panels."""
    figure, axes = panels(3, 3.8)
    x = "offered, thousand packets/s (8 containers)"
    told = (("delivered_kpps", "delivered, thousand packets/s (modelled)"), ("p99_us", "delay, 99th percentile, µs (modelled)"),
            ("loss_percent", "lost, % (modelled)"))  # fmt: skip
    for axis, (column, y) in zip(axes, told, strict=True):
        series = _spread(data.load, "kpps", column)
        curves(series, x=x, y=y, axes=axis, legend=axis is axes[-1], log="y" if column == "p99_us" else "")
    return figure


def small(data: Data) -> Any:
    """Stacked stages, and relative transactions."""
    figure, (left, right) = panels(2)
    stacks = {
        driver: {name: count * middle(data.costs.stage(name, SMALL)) / 1e3 for name, count in stages(driver).items()} for driver in SHOWN
    }
    bars(stacks, y="one way, µs (modelled)", title="A small packet on one node", axes=left)
    rates = data.ladder.set_index("driver")["transactions"]
    shown = {driver: {"modelled": rates[driver]} for driver in ("host", "bridge", "bridge +NAT")}
    bars(shown, y="small transactions, no Docker = 1 (modelled)", title="Small transactions", published={HUSTCAT: PUBLISHED[HUSTCAT]}, axes=right)
    return figure


def bulk(data: Data) -> Any:
    """One node, and streams between nodes."""
    figure, (left, right) = panels(2)
    at = data.ladder.set_index("driver")
    stacks = {d: {"1,024-octet writes": at["tcp_small_writes_gbps"][d], "more with 64 KB super-packets": at["tcp_gbps"][d] - at["tcp_small_writes_gbps"][d]}
              for d in ("macvlan bridge", "ipvlan l2", "bridge", "bridge +NAT")}  # fmt: skip
    stacks["hairpin"] = {"1,024-octet writes": min(line_gbps(1500), at["tcp_small_writes_gbps"]["macvlan bridge"])}
    stacks["hairpin"]["more with 64 KB super-packets"] = line_gbps(1500) - stacks["hairpin"]["1,024-octet writes"]
    bars(stacks, y="TCP, Gbit/s (modelled)", title="One stream on one node", published={DAOCLOUD: PUBLISHED[DAOCLOUD]}, axes=left)
    names = {("macvlan bridge", True): "macvlan", ("bridge +NAT", True): "bridge +NAT, super-packets whole",
             ("bridge +NAT", False): "bridge +NAT, broken up"}  # fmt: skip
    series = {}
    for (driver, whole), name in names.items():
        mine = data.bulk[(data.bulk["driver"] == driver) & (data.bulk["super_packets"] == whole)]
        series[name] = list(zip(mine["streams"], mine["gbps"], strict=True))
    published = {name: list(PUBLISHED[name].items()) for name in (MACVLAN, CALICO)}
    curves(series, x="streams, a core each", y="TCP, Gbit/s (modelled)", title="Between nodes at 10 GbE", log="x", published=published, axes=right)
    return figure


def scaling(data: Data) -> Any:
    """Containers, and frame sizes."""
    figure, (left, right) = panels(2)
    series = _spread(data.containers, "containers", "delivered_kpps")
    curves(series, x="containers", y="delivered together, thousand packets/s (modelled)", title="Overload on one core", log="x", axes=left)
    lines = {}
    for driver, name in (("macvlan bridge", "macvlan"), ("bridge", "bridge")):
        mine = data.sizes[data.sizes["driver"] == driver]
        lines[f"{name}, UDP"] = list(zip(mine["mtu"], mine["udp_line_gbps"], strict=True))
        usual = mine[mine["mtu"] >= 1500]
        lines[f"{name}, TCP"] = list(zip(usual["mtu"], usual["tcp_line_gbps"], strict=True))
    curves(lines, x="MTU, octets", y="Gbit/s over 10 GbE (modelled)", title="One core, by MTU", log="x", axes=right)
    return figure
