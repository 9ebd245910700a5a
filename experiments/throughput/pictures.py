"""The pictures; every axis of ours says "modelled" or "measured"."""

from __future__ import annotations

from typing import Any

from experiments.common import panels
from experiments.throughput.answer import CALICO, DAOCLOUD, HUSTCAT, MACVLAN, Data, interval
from experiments.throughput.costs import SMALL, middle
from experiments.throughput.model import (
    LINE_GBPS,
    LINE_OVERHEAD,
    PERCENTILES,
    PUBLISHED,
    UDP_HEADERS,
    line_gbps,
    stages,
)
from simvlan.plot import bars, curves, multiples

SHOWN = ("host", "macvlan bridge", "ipvlan l2", "bridge", "routed", "bridge +netfilter", "bridge +NAT")
SERVERS = ("host", "bridge", "bridge +netfilter", "published port")
SHARES = {0.5: "half load", 0.8: "80 % load", 0.95: "95 % load", 1.2: "120 % load"}


def all_of(data: Data) -> dict[str, tuple[Any, str]]:
    """File name -> (figure, what it shows)."""
    return {
        "load.png": (load(data), "Delivered rate, delay and loss against offered load by driver, modelled"),
        "delay.png": (delay(data), "Distribution of delays by driver at four loads, modelled"),
        "stages.png": (small(data), "Cost of a small packet by stage, and small transactions, modelled and published"),
        "bulk.png": (bulk(data), "TCP on one node and between nodes, modelled and published"),
        "containers.png": (containers(data), "Rate against containers on one core and on four, modelled"),
        "sizes.png": (sizes(data), "Rate against the MTU by driver, modelled"),
    }


def _by_driver(frame: Any, x: str, y: str) -> dict[str, list[tuple[float, ...]]]:
    """Lines with 95 % intervals over repeats, by driver."""
    return {
        driver: [(at, *interval(list(mine[y]))) for at, mine in rows.groupby(x)]
        for driver, rows in frame.groupby("driver", sort=False)
    }


def load(data: Data) -> Any:
    """A row for each quantity, a column for each driver: full frames."""
    full = data.load[data.load["mtu"] == 1500]
    told = {"delivered,\nthousand/s": "delivered_kpps", "delay, 99th\npercentile, µs": "p99_us", "lost, %": "loss_percent"}
    rows = {quantity: _by_driver(full, "kpps", column) for quantity, column in told.items()}
    x = "offered, thousand packets of 1,500 octets a second (8 containers, one core; modelled; grey: the other drivers)"
    return multiples(rows, x=x, logged=["delay, 99th\npercentile, µs"])


def delay(data: Data) -> Any:
    """Distributions: a row for each load."""
    late = data.delay.assign(share=(data.delay["kpps"] * data.delay["cost_ns"] / 1e6).round(2))
    columns = [f"p{percent:g}_us" for percent in PERCENTILES]
    rows = {}
    for share, said in SHARES.items():
        mine = late[late["share"] == share].groupby("driver", sort=False)[columns].mean()
        rows[f"share of packets\nat {said}, %"] = {driver: list(zip(row, PERCENTILES, strict=True)) for driver, row in zip(mine.index, mine.to_numpy(), strict=True)}
    x = "delay, µs (modelled; load as a share of what one core can carry; grey: the other drivers)"
    return multiples(rows, x=x, log="x")


def small(data: Data) -> Any:
    """Stacked stages, and relative transactions."""
    figure, (left, right) = panels(2)
    stacks = {
        driver: {name: count * middle(data.costs.stage(name, SMALL)) / 1e3 for name, count in stages(driver).items()} for driver in SHOWN
    }
    bars(stacks, y="one way, µs (modelled)", title="A small packet on one node", axes=left, legend="below")
    rates = data.servers.set_index("server")["transactions"]
    shown = {how: {"modelled": rates[how]} for how in SERVERS}
    there = {{"bridge": "bridge +netfilter"}.get(how, how): rate for how, rate in PUBLISHED[HUSTCAT].items()}  # in 2014 every bridge asked
    bars(shown, y="transactions, no Docker = 1 (modelled)", title="A server's small transactions", published={HUSTCAT: there}, axes=right,
         legend="below")  # fmt: skip
    return figure


def bulk(data: Data) -> Any:
    """One node, and streams between nodes."""
    figure, (left, right) = panels(2)
    at = data.ladder.set_index("driver")["tcp_gbps"]
    stacks = {name: {"64 KB writes, measured": at[name]} for name in ("macvlan bridge", "ipvlan l2", "bridge", "routed", "bridge +NAT")}
    stacks["SR-IOV"] = {"hairpin over 10 GbE, modelled": line_gbps(1500)}
    bars(stacks, y="TCP, Gbit/s", title="One stream on one node", published={DAOCLOUD: PUBLISHED[DAOCLOUD]}, axes=left, legend="below")
    series = {}
    for (driver, whole), name in {
        ("macvlan bridge", True): "macvlan, super-packets",
        ("routed", False): "routed, broken up",
        ("published port", False): "published port, broken up",
    }.items():
        mine = data.bulk[(data.bulk["driver"] == driver) & (data.bulk["super_packets"] == whole)]
        series[name] = list(zip(mine["streams"], mine["gbps"], strict=True))
    published = {name: list(PUBLISHED[name].items()) for name in (MACVLAN, CALICO)}
    curves(series, x="streams, a core each", y="TCP, Gbit/s (modelled)", title="Between nodes at 10 GbE", log="x", published=published, axes=right,
           legend="below", nested=True)  # fmt: skip
    return figure


def containers(data: Data) -> Any:
    """Containers on one core and on four."""
    rows = {
        f"{cores} core{'s' * (cores > 1)}: delivered,\nthousand/s": _by_driver(mine, "containers", "delivered_kpps")
        for cores, mine in data.containers.groupby("cores")
    }
    return multiples(rows, x="containers, which together offer 1.5 times what the cores can carry (1,500 octets; modelled; grey: the other drivers)", log="x")


def sizes(data: Data) -> Any:
    """Frame sizes, and what 10 GbE carries of them."""
    told = {"UDP on one core,\nGbit/s": "udp_gbps", "the same,\nthousand/s": "udp_kpps"}
    rows = {
        quantity: {driver: list(zip(mine["mtu"], mine[column], strict=True)) for driver, mine in data.sizes.groupby("driver", sort=False)}
        for quantity, column in told.items()
    }
    mtus = sorted(set(data.sizes["mtu"]))
    line = [[(mtu, line_gbps(mtu, UDP_HEADERS)) for mtu in mtus], [(mtu, LINE_GBPS * 1e6 / 8 / (mtu + LINE_OVERHEAD)) for mtu in mtus]]
    return multiples(rows, x="MTU, octets (modelled; dashed: what 10 GbE carries; grey: the other drivers)", log="x",
                     logged=list(told)[1:], bounds=dict(zip(told, line, strict=True)))  # fmt: skip
