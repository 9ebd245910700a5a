"""The engines of a lab, one per node, made when first asked for; and the virtual machines that are its nodes.

There is one cluster per lab: commands in a script, a server and Python all find the same engines.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from simvlan.docker.engine import Engine
from simvlan.docker.store import FileStore
from simvlan.rtnl import link_set

if TYPE_CHECKING:
    from simvlan.docker.runtime import Runtime
    from simvlan.lab import Lab
    from simvlan.network import Netns

DIALECT_VARIABLE = "SIMVLAN_DOCKER_DIALECT"
"""The environment variable by which a script says which Docker it means: 28 (the default), 27, 29 or 1.12."""


@dataclass
class Nic:
    """One NIC of a machine.

    Attributes:
        name: the device in the node.
        port: path of the switch's end (`vbox/node-1-2`).
        network: what it is attached to: nat, hostonly ...
    """

    name: str
    port: str
    network: str
    mac: str


@dataclass
class Machine:
    """One virtual machine."""

    name: str
    nics: list[Nic] = field(default_factory=list)
    running: bool = True
    address: str = ""
    """Where its engine is spoken to: the host-only address."""


class Cluster:
    """The engines of one lab.

    Args:
        dialect: of engines made from now on.
        state: a folder; each node keeps its engine's state in a folder of its name in it.
        runtime: makes what runs processes, for a lab; default: the simulated programs.
        now: the time in ns since 1970; default: virtual time from 2026 on.
    """

    def __init__(
        self,
        lab: Lab,
        *,
        dialect: str = "28",
        state: str | os.PathLike[str] | None = None,
        runtime: Callable[[Lab], Runtime] | None = None,
        now: Callable[[], int] | None = None,
    ) -> None:
        self.lab = lab
        self.dialect, self.state, self.now = dialect, state, now
        self._runtime = runtime or simulated_programs
        self.engines: dict[str, Engine] = {}
        self.machines: dict[str, Machine] = {}
        clusters[lab] = self

    def engine(self, node: str = "", dialect: str | None = None) -> Engine:
        """The engine of a node, made when it is first asked for.

        Raises:
            KeyError: there is no such namespace.
            StateInUse: another process uses the node's state folder.
        """
        if node not in self.engines:
            if node not in self.lab.network.netns:
                raise KeyError(f'no network namespace "{node}"')
            self._loopback_up(self.lab.network.netns[node])
            store = FileStore(os.path.join(self.state, node or "root")) if self.state is not None else None
            self.engines[node] = Engine(
                self.lab,
                node,
                dialect=dialect or self.dialect,
                store=store,
                runtime=self._runtime(self.lab),
                now=self.now,
            )
        return self.engines[node]

    def _loopback_up(self, ns: Netns) -> None:
        """A machine on which an engine runs has long had its loopback up; a fresh namespace has not."""
        link_set(self.lab.network, ns.devices["lo"], up=True)

    def node_at(self, docker_host: str) -> str:
        """The node that a DOCKER_HOST such as `tcp://192.168.99.100:2376` means.

        Raises:
            KeyError: no machine has that address.
        """
        address = docker_host.rpartition("//")[2].rpartition(":")[0]
        for machine in self.machines.values():
            if machine.address == address:
                return machine.name
        raise KeyError(f"no machine has the address of {docker_host}")

    def forget(self, node: str) -> None:
        """A node is gone, and its engine with it."""
        engine = self.engines.pop(node, None)
        if engine is not None and isinstance(engine.core.store, FileStore):
            engine.core.store.close()


clusters: WeakKeyDictionary[Lab, Cluster] = WeakKeyDictionary()


def cluster_of(lab: Lab) -> Cluster:
    """The one cluster of a lab."""
    return clusters.get(lab) or Cluster(lab)


def simulated_programs(lab: Lab) -> Runtime:
    """What runs in containers unless somebody has something else."""
    from simvlan.docker.programs.runtime import Simulated

    return Simulated(lab.network)
