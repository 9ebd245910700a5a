"""The networks that experiments are made of: nodes on one switch, containers on every node, by driver."""

from __future__ import annotations

from typing import Any

import numpy as np

from simvlan import Lab
from simvlan.engines.batch.generate import Stations, between_pairs
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add

FIRST_IP = 10 << 24


def ip_text(number: int) -> str:
    """10.0.0.0 plus a number."""
    return ".".join(str(FIRST_IP + number >> shift & 255) for shift in (24, 16, 8, 0))


def switch(lab: Lab, **info: int) -> Any:
    """A learning bridge in the namespace `switch`."""
    spec = LinkSpec("bridge", "br0", info=info | {"mcast_snooping": 0})
    bridge = link_add(lab.network, lab.network.add_netns("switch"), spec)
    link_set(lab.network, bridge, up=True)
    return bridge


def node(lab: Lab, bridge: Any, name: str) -> Any:
    """A node whose eth1 hangs on a port of the switch named after it; returns eth1."""
    net = lab.network
    eth1: Any = link_add(net, net.add_netns(name), LinkSpec("veth", "eth1", peer=PeerSpec(f"to-{name}", bridge.netns)))
    link_set(net, eth1.peer, master=bridge, up=True)
    link_set(net, eth1, up=True)
    return eth1


def uplink(lab: Lab, eth1: Any, driver: str) -> Any:
    """What containers are put on: eth1 itself, or for the driver `bridge` a bridge that has eth1 as a port."""
    if driver != "bridge":
        return eth1
    bridge = link_add(lab.network, eth1.netns, LinkSpec("bridge", "docker0", info={"mcast_snooping": 0}))
    link_set(lab.network, eth1, master=bridge)
    link_set(lab.network, bridge, up=True)
    return bridge


def container(lab: Lab, parent: Any, name: str, driver: str, number: int) -> Any:
    """A container with the address 10.0.0.0 + number/8; driver: `bridge`, `vlan`, `macvlan MODE`, `ipvlan MODE`."""
    net = lab.network
    kind, _, mode = driver.partition(" ")
    space = net.add_netns(name)
    if kind == "bridge":
        spec = LinkSpec("veth", "eth0", peer=PeerSpec(f"v{number}", parent.netns))
    else:
        spec = LinkSpec(kind, "eth0", link=parent, info={"id": number} if kind == "vlan" else {"mode": mode})
    dev: Any = link_add(net, space, spec)
    if kind == "bridge":
        link_set(net, dev.peer, master=parent, up=True)
    address_add(net, dev, f"{ip_text(number)}/8")
    link_set(net, dev, up=True)
    return dev


def trunk(vlans: int, seed: int = 0) -> tuple[Lab, list[Any]]:
    """Two nodes on a VLAN-filtering switch, on both a container in each VLAN; the lab and their eth0, first node's first."""
    lab = Lab(seed=seed)
    bridge = switch(lab, vlan_filtering=1)
    ends = []
    for name in ("a", "b"):
        eth1 = node(lab, bridge, name)
        done = lab.command("bridge", "vlan", "add", "dev", f"to-{name}", "vid", f"1-{vlans}" if vlans > 1 else "1", netns="switch")
        assert not done.exit, done
        ends += [container(lab, eth1, f"{name}{vid}", "vlan", vid) for vid in range(1, vlans + 1)]
    lab.command("bridge", "vlan", "del", "dev", "br0", "vid", "1", "self", netns="switch")  # the switch itself is in none
    return lab, ends


def across(ends: list[Any], frames: int, rng: np.random.Generator) -> tuple[Stations, Any]:
    """The stations of a trunk, and unicast from node to node in random VLANs."""
    vlans = len(ends) // 2
    stations = Stations.on([dev.path for dev in ends], mac=np.array([dev.mac for dev in ends], np.uint64))
    src = rng.integers(0, 2 * vlans, frames)
    return stations, between_pairs(stations, src, (src + vlans) % (2 * vlans), rng)


class Nodes:
    """So many nodes on one switch, so many containers on each.

    Attributes:
        lab: the network.
        containers: their eth0, those of the first node first.
        stations: the same for traffic.
    """

    def __init__(self, nodes: int, containers: int, driver: str, seed: int = 0) -> None:
        self.lab = Lab(seed=seed)
        self.each = containers
        self.bridge = switch(self.lab)
        self.uplinks = [node(self.lab, self.bridge, f"node{n}") for n in range(nodes)]
        parents = [uplink(self.lab, eth1, driver) for eth1 in self.uplinks]
        self.containers = [
            container(self.lab, parents[n], f"c{n}-{c}", driver, n * containers + c + 1)
            for n in range(nodes) for c in range(containers)
        ]  # fmt: skip
        macs = np.array([dev.mac for dev in self.containers], np.uint64)
        addresses = np.arange(len(macs), dtype=np.uint32) + np.uint32(FIRST_IP + 1)
        self.stations = Stations.on([dev.path for dev in self.containers], mac=macs, ip=addresses)
