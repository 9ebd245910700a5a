"""`docker network connect` and `disconnect`. Mirrors daemon/container_operations.go (ConnectToNetwork)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simvlan.docker.endpoints import check_endpoint, understood
from simvlan.docker.errors import forbidden, internal, invalid
from simvlan.docker.model import Container, Network

if TYPE_CHECKING:
    from simvlan.docker.containers import Containers
    from simvlan.docker.core import Core
    from simvlan.docker.networking import Networking
    from simvlan.docker.networks import Networks

Json = dict[str, Any]


class Membership:
    """Who is to be on which network."""

    def __init__(self, core: Core, containers: Containers, networks: Networks, networking: Networking) -> None:
        self.core, self.containers, self.networks, self.networking = core, containers, networks, networking

    def connect(self, ref: str, body: Json) -> None:
        """Put a container on one more network: at once when it runs, else at its next start."""
        container = self.containers.find(body.get("Container") or "")  # first, as Docker looks them up
        network = self.networks.find(ref)
        wish = understood(self.core.dialect, body.get("EndpointConfig"))
        if self.core.dialect.validates:
            check_endpoint(network, wish)
        self._check_mode(container, network)
        if container.running:
            self._connect_now(container, network, wish)
        elif network.name in container.networks:
            raise forbidden(f"container {container.id} is already connected to network {network.name}")
        container.networks[network.name] = wish
        container.network_ids[network.name] = network.id
        self.containers.keep(container)

    def _connect_now(self, container: Container, network: Network, wish: Json) -> None:
        sandbox = self.networking.sandbox(container)
        if sandbox is None:
            raise invalid(
                "container sharing network namespace with another container or host "
                "cannot be connected to any other network"
            )
        self.networking.endpoints.join(container, sandbox, network, wish)

    @staticmethod
    def _check_mode(container: Container, network: Network) -> None:
        """Modes that allow no further network (validateNetworkMode, verifyNetworkingConfig)."""
        mode = container.network_mode
        if mode == "host" or mode.startswith("container:"):
            raise invalid(
                "container sharing network namespace with another container or host "
                "cannot be connected to any other network"
            )
        if network.name == "host":
            raise invalid("cannot connect container to host network - container must be created in host network mode")
        if "none" in container.networks or (network.name == "none" and container.networks):
            raise invalid(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode"
            )

    def disconnect(self, ref: str, body: Json) -> None:
        """Take a container off a network."""
        network = self.networks.find(ref)
        container = self.containers.find(body.get("Container") or "")
        if network.name == "host":
            raise invalid("cannot disconnect container from host network - container was created in host network mode")
        if container.running:
            self._disconnect_now(container, network)
        elif network.name not in container.networks:
            raise internal(f"container {container.id} is not connected to the network {network.name}")
        container.networks.pop(network.name, None)
        container.network_ids.pop(network.name, None)
        self.containers.keep(container)

    def _disconnect_now(self, container: Container, network: Network) -> None:
        sandbox = self.networking.sandbox(container)
        found = next((e for e in network.endpoints.values() if e.container == container.id), None)
        if sandbox is None or found is None:
            raise internal(f"container {container.id} is not connected to network {network.name}")
        self.networking.endpoints.leave(container, sandbox, network, found)
        for other, endpoint in sandbox.joined:
            self.networking.endpoints.ports.publish(container, other, endpoint)
