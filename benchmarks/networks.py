"""Networks and traffic of the batch benchmarks, each as our lab and as the peers' topology."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from simvlan import Lab
from simvlan.engines.batch import FrameBatch
from simvlan.engines.batch.generate import Sizes, Stations, Times, between_pairs
from simvlan.links import Cable, CableOptions
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set

PORTS, MACS = 64, 10_240
"""The work that all peers do: 64 ports, 160 stations behind each."""

DOT1Q = 0x8100


def star(ports: int, cable: CableOptions | None = None) -> Lab:
    """Hosts h0, h1 ... on a learning bridge in the namespace `switch`."""
    lab = Lab()
    net = lab.network
    switch = net.add_netns("switch")
    bridge = link_add(net, switch, LinkSpec("bridge", "br0", info={"mcast_snooping": 0}))
    link_set(net, bridge, up=True)
    for number in range(ports):
        spec = LinkSpec("veth", "eth0", peer=PeerSpec(f"p{number}", switch))
        host: Any = link_add(net, net.add_netns(f"h{number}"), spec)
        if cable:
            Cable(net, host, cable)
        link_set(net, host, up=True)
        link_set(net, host.peer, master=bridge, up=True)
    return lab


def star_stations(ports: int, macs: int) -> Stations:
    """The stations behind the hosts of a star, equally many each."""
    return Stations.on([f"h{number}/eth0" for number in range(ports)], macs // ports)


def uppers(kind_count: int) -> Lab:
    """So many macvlans (bridge mode), each in a namespace of its own, on host/p0; frames come from wire/h0."""
    lab = Lab()
    net = lab.network
    host, wire = net.add_netns("host"), net.add_netns("wire")
    sender: Any = link_add(net, wire, LinkSpec("veth", "h0", peer=PeerSpec("p0", host)))
    link_set(net, sender, up=True)
    link_set(net, sender.peer, up=True)
    for number, mac in enumerate(upper_macs(kind_count).tolist()):
        spec = LinkSpec("macvlan", "eth0", link=sender.peer, mac=mac, info={"mode": "bridge"})
        link_set(net, link_add(net, net.add_netns(f"c{number}"), spec), up=True)
    return lab


def upper_macs(count: int) -> Any:
    """MACs of the macvlans, uint64."""
    return np.uint64(0x0200_0001_0000) + np.arange(count, dtype=np.uint64)


def to_uppers(count: int, n: int, rng: Generator) -> FrameBatch:
    """Unicast frames from a station on the wire to random macvlans of `uppers`."""
    stations = Stations.on(["wire/h0"], count + 1, mac=np.append(upper_macs(count), np.uint64(0x0200_0099_0001)))
    return between_pairs(stations, np.full(n, count), rng.integers(0, count, n), rng)


class TwoNodes:
    """Docker's macvlan tutorial at scale: two nodes, a VLAN trunk, macvlan containers on eth1.100 and eth1.200.

    Attributes:
        lab: our network, 802.1Q sub-interfaces on both nodes and a VLAN-filtering switch between them.
        stations: the containers; station n is on node n % 2 and VLAN 100 + 100 * (n // 2 % 2).
        ns3: what ns-3 can express of it: for each VLAN a bridge a node and one between, no tags.
    """

    def __init__(self, containers: int = 1000) -> None:
        self.lab = Lab()
        self.containers = containers
        self._build()
        names = [f"c{n}/eth0" for n in range(containers)]
        macs = [self.lab.network.netns[f"c{n}"].devices["eth0"].mac for n in range(containers)]
        self.stations = Stations.on(names, mac=np.array(macs, np.uint64))
        self.group = np.arange(containers) // 2 % 2
        self.ns3 = [f"host {2 * (n // 2 % 2) + n % 2}" for n in range(containers)]
        self.ns3 += [f"link {2 * vlan + node} {4 + vlan}" for vlan in range(2) for node in range(2)]

    def _build(self) -> None:
        net = self.lab.network
        switch = net.add_netns("switch")
        bridge = link_add(net, switch, LinkSpec("bridge", "br0", info={"mcast_snooping": 0, "vlan_filtering": 1}))
        link_set(net, bridge, up=True)
        parents: list[Any] = []
        for node in range(2):
            ns = net.add_netns(f"node-{node}")
            eth1: Any = link_add(net, ns, LinkSpec("veth", "eth1", peer=PeerSpec(f"p{node}", switch)))
            link_set(net, eth1.peer, master=bridge, up=True)
            link_set(net, eth1, up=True)
            for vid in (100, 200):
                parent = link_add(net, ns, LinkSpec("vlan", f"eth1.{vid}", link=eth1, info={"id": vid}))
                link_set(net, parent, up=True)
                parents.append(parent)
        done = self.lab.sh(
            "for p in p0 p1; do for v in 100 200; do ip netns exec switch bridge vlan add dev $p vid $v; done; done"
        )
        assert not done.exit, done
        for number in range(self.containers):
            parent = parents[2 * (number % 2) + number // 2 % 2]
            spec = LinkSpec("macvlan", "eth0", link=parent, info={"mode": "bridge"})
            link_set(net, link_add(net, net.add_netns(f"c{number}"), spec), up=True)

    def traffic(self, n: int, rng: Generator) -> FrameBatch:
        """Random unicast between containers of one VLAN, same node or across."""
        src = rng.integers(0, self.containers, n)
        members = [np.flatnonzero(self.group == vlan) for vlan in range(2)]
        dst = np.empty(n, np.int64)
        for vlan, mine in enumerate(members):
            here = np.flatnonzero(self.group[src] == vlan)
            place = np.searchsorted(mine, src[here])
            other = rng.integers(0, len(mine) - 1, len(here))
            dst[here] = mine[other + (other >= place)]
        return between_pairs(self.stations, src, dst, rng)


def crossing(
    stations: Stations, n: int, rng: Generator, *, sizes: Sizes | None = None, times: Times | None = None
) -> FrameBatch:
    """Random unicast among known MACs of different devices: every frame is delivered once by everybody.

    (Within one port, Linux drops a frame and ns-3 floods it: not the same work.)
    """
    count = len(stations)
    each = count // len(stations.devices)
    src = rng.integers(0, count, n)
    dst = (src // each * each + each + rng.integers(0, count - each, n)) % count
    return between_pairs(stations, src, dst, rng, sizes, times)
