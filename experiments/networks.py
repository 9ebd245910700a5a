"""The networks that experiments are made of: nodes on one switch, containers on every node, by driver."""

from __future__ import annotations

from typing import Any

import numpy as np

from simvlan import Lab
from simvlan.engines.batch.generate import Stations
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
