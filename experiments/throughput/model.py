"""From stages to paths: which stages a packet passes (told by the walk), what follows for rates, and what others measured.

Everything here is arithmetic on measured costs: results are modelled, not measured, and say so.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from experiments.networks import Nodes, ip_text
from experiments.throughput.costs import FULL, SMALL, SUPER, WRITE, Costs, middle
from simvlan.engines.batch.lindley import drop_tail
from simvlan.engines.walk import walk
from simvlan.frame import Frame

LINE_GBPS, LINE_OVERHEAD = 10.0, 38
"""10 Gigabit Ethernet; preamble, header, FCS and gap of each frame."""
TCP_HEADERS, UDP_HEADERS = 52, 28
"""IP and TCP with timestamps; IP and UDP."""
ACKS, MSS, SMALL_WRITE = 0.5, 1448, 1024
"""Acknowledgements for each packet; octets in a full one; what netperf -m 1024 writes at once."""
PERCENTILES = (0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)

DRIVERS: dict[str, tuple[str | None, dict[str, int], str]] = {
    "host": (None, {}, "socket"),
    "macvlan bridge": ("macvlan bridge", {}, "macvlan"),
    "ipvlan l2": ("ipvlan l2", {}, "ipvlan l2"),
    "ipvlan l3": ("ipvlan l3", {}, "ipvlan l3"),
    "ipvlan l3s": ("ipvlan l3s", {}, "ipvlan l3s"),
    "bridge": ("bridge", {}, "bridge"),
    "bridge +netfilter": ("bridge", {"netfilter": 1}, "netfilter"),
    "routed": (None, {"veth": 2, "routed": 1}, "routed"),
    "bridge +NAT": ("bridge", {"nat": 1}, "nat"),
}
"""Name -> (what the walk is asked about, stages that are measured in one piece and added, the path that was measured)."""
SERVERS = {"host": "veth", "bridge": "bridge", "bridge +netfilter": "netfilter", "published port": "published"}
"""How a server is reached over a wire (a veth) -> the path that was measured."""
RECEIVERS = {
    "host": {}, "macvlan bridge": {"macvlan": 1}, "ipvlan l2": {"ipvlan l2": 1}, "bridge": {"bridge": 1, "veth": 1},
    "routed": {"routed": 1, "veth": 1}, "published port": {"published": 1, "bridge": 1, "veth": 1},
}  # fmt: skip
"""What a node does with a packet that came off the wire, until it is at the container's socket."""

PUBLISHED: dict[str, dict[Any, float]] = {
    "hustcat 2014 (moby#7857)": {"host": 0.91, "bridge": 0.58, "published port": 0.29},
    "DaoCloud 2022": {"macvlan bridge": 22.2, "SR-IOV": 14.1, "routed": 10.3},
    "Spiderpool 2023, macvlan": {1: 9.36, 2: 9.37, 4: 9.38},
    "Spiderpool 2023, Calico": {1: 3.26, 2: 4.56, 4: 8.05},
}
"""Small transactions relative to no Docker; TCP on one node, Gbit/s (routed: Calico); TCP between nodes at 10 GbE,
Gbit/s by streams (Calico: veth, routes, iptables)."""


@cache
def stages(driver: str, across: bool = False) -> dict[str, int]:
    """Count the steps of a packet from a container to its sibling, or to one on another node (the wire left out)."""
    kind, added, _ = DRIVERS[driver]
    if kind is None:
        return {"socket": 1, **added}
    world = Nodes(2, 2, kind)
    a, b = world.containers[0], world.containers[2 if across else 1]
    net = world.lab.network
    for dev in world.containers:
        net.send(dev, Frame((1 << 48) - 1, dev.mac, 0x88B5, bytes(46)))
    steps = walk(net, a, Frame(b.mac, a.mac, 0x0800, _udp(1, 3 if across else 2)))
    counted = Counter(
        kind if step.rule == "ipvlan" else step.rule
        for step in steps if step.netns != "switch" and step.device != "eth1" and step.rule != "stack"
    )  # fmt: skip
    counted.update(step.rule for step in steps if step.device == "eth1" and step.rule not in ("veth", "ipvlan"))
    counted.update(kind for step in steps if step.device == "eth1" and step.rule == "ipvlan")
    return {"socket": 1, **counted, **added}


def _udp(source: int, destination: int) -> bytes:
    """A UDP packet from 10.0.0.source to 10.0.0.destination that ends at the receiver's checksum: nobody answers."""
    from scapy.layers.inet import IP, UDP

    return bytes(IP(src=ip_text(source), dst=ip_text(destination), chksum=1) / UDP(sport=9, dport=9) / bytes(18))


# -- rates ----------------------------------------------------------------------------------------------------------


def one_node_gbps(costs: Costs, driver: str) -> float:
    """One TCP stream between containers with a core each, in 64 KB writes: what the sender's core, or the taker's, lets through.

    The fastest round counts: a connection cuts super-packets in one of two ways, which differ by a tenth, whatever the path.
    """
    path = DRIVERS[driver][2]
    return WRITE * 8 / max(min(costs.tcp(path, f"{part} {WRITE}")) for part in ("send", "take"))


def small_writes_gbps(costs: Costs, driver: str) -> float:
    """The same if every write of 1,024 octets became a packet: the sender's core also hears the acknowledgements."""
    way = {name: count for name, count in stages(driver).items() if name != "socket"}
    return SMALL_WRITE * 8 / (1 + ACKS) / middle(costs.total({"send": 1, "deliver": 1, **way}, SMALL_WRITE))


def receiver_gbps(costs: Costs, driver: str, whole: bool) -> float:
    """One TCP stream off the wire: a core brings packets (super-packets if *whole*) to the socket and sends acknowledgements."""
    payload, size = (SUPER, SUPER) if whole else (MSS, FULL)
    packet = middle(costs.total({"deliver": 1, **RECEIVERS[driver]}, size))
    ack = middle(costs.total({"send": 1, **RECEIVERS[driver]}, SMALL))
    return payload * 8 / (packet + ACKS * ack)


def transactions(costs: Costs, how: str) -> list[float]:
    """Small transactions of a server on one core, without containers 1, one figure for each round.

    Client and server do the same work where nothing stands between them: half of it is the server's, and all that a way costs more.
    """
    bare, way = costs.tcp("veth", "transaction"), costs.tcp(SERVERS[how], "transaction")
    return [half / (half + more - 2 * half) for half, more in zip((each / 2 for each in bare), way, strict=True)]


def line_gbps(mtu: int, headers: int = TCP_HEADERS) -> float:
    """What 10 GbE carries of payload at an MTU."""
    return LINE_GBPS * (mtu - headers) / (mtu + LINE_OVERHEAD)


# -- load -----------------------------------------------------------------------------------------------------------


def loaded(
    cost_ns: float, spread: float, kpps: float, containers: int, cores: int, packets: int, seed: int, limit: int = 1000
) -> dict[str, float]:
    """Offer packets at random times from so many containers to the cores that carry them; count what comes through.

    A container's packets are all carried by one core (as a flow's are); a core takes them in order and queues up to
    *limit* (netdev_max_backlog). *cost_ns* varies from run to run as it did when it was measured (*spread*).
    """
    rng = np.random.default_rng(seed)
    arrival = np.cumsum(rng.exponential(1e6 / kpps, packets)).astype(np.int64)
    who = rng.integers(0, containers, packets)
    work = max(1, round(cost_ns * (1 + spread * rng.standard_normal())))
    gone, dropped = np.zeros(packets, np.int64), np.zeros(packets, bool)
    for core in range(cores):
        mine = np.flatnonzero(who % cores == core)
        left, lost = np.zeros(len(mine), np.int64), np.zeros(len(mine), bool)
        drop_tail(arrival[mine], np.full(len(mine), work, np.int64), 1, limit, left, lost)
        gone[mine], dropped[mine] = left, lost
    return _summary(arrival, gone, dropped, who, containers)


def _summary(arrival: Any, gone: Any, dropped: Any, who: Any, containers: int) -> dict[str, float]:
    """Rates and delays of the second half, when queues are as full as they get."""
    first, last = arrival[len(arrival) // 2], arrival[-1]
    late = arrival >= first
    through = late & ~dropped
    rate = ((gone > first) & (gone <= last) & ~dropped).sum() / (last - first) * 1e6
    waited = np.percentile((gone - arrival)[through] / 1e3, PERCENTILES)
    shares = np.bincount(who[through], minlength=containers)
    return {
        "delivered_kpps": float(rate),
        "loss_percent": float(100 * dropped[late].mean()),
        **{f"p{percent:g}_us": round(float(us), 3) for percent, us in zip(PERCENTILES, waited, strict=True)},
        "fairness": float(shares.sum() ** 2 / (containers * (shares.astype(float) ** 2).sum())),
    }
