"""A running container's networks: its namespace made and joined, left and deleted; the files and names that follow.

Mirrors daemon/container_operations.go (initializeNetworking, allocateNetwork, releaseNetwork).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvlan.docker.containers import Containers
from simvlan.docker.drivers.driver import go_errno
from simvlan.docker.endpoints import Endpoints
from simvlan.docker.errors import DockerError, conflict, internal, not_found
from simvlan.docker.files import made_files
from simvlan.docker.model import Container, Endpoint, Network
from simvlan.docker.resolver import EmbeddedResolver
from simvlan.docker.runtime import NotRunnable
from simvlan.docker.sandbox import Sandbox
from simvlan.errors import RtnlError, Unsupported
from simvlan.rtnl.sysctl import sysctl_set

if TYPE_CHECKING:
    from simvlan.docker.core import Core
    from simvlan.docker.networks import Networks
    from simvlan.network import Netns

Json = dict[str, Any]


class Networking:
    """The namespaces of one engine's running containers."""

    def __init__(
        self,
        core: Core,
        containers: Containers,
        networks: Networks,
        nameservers: tuple[str, ...],
        upstream: Callable[[str], list[str] | None] | None,
    ) -> None:
        self.core, self.containers, self.networks = core, containers, networks
        self.endpoints = Endpoints(core, networks)
        self._nameservers, self._upstream = nameservers, upstream
        self._own: dict[str, Sandbox] = {}
        self._borrowed: dict[str, str] = {}
        """Namespaces that are another's: the node's, or another container's."""

    def sandbox(self, container: Container) -> Sandbox | None:
        """The namespace of its own that a running container has."""
        return self._own.get(container.id)

    def netns(self, container: Container) -> Netns:
        """The namespace a running container is in."""
        if container.id in self._borrowed:
            return self.core.net.netns[self._borrowed[container.id]]
        return self._own[container.id].netns

    def joined(self, container: Container) -> list[tuple[Network, Endpoint]]:
        """A running container's networks, in the order of connection."""
        sandbox = self.sandbox(container)
        return list(sandbox.joined) if sandbox is not None else []

    # -- making and deleting ----------------------------------------------------------------------------------------

    def set_up(self, container: Container) -> None:
        """Make the namespace and join the networks; a refusal leaves nothing."""
        mode = container.network_mode
        if mode.startswith("container:"):
            self._borrowed[container.id] = self._shared(container, mode.partition(":")[2])
            return
        if mode == "host":
            self._borrowed[container.id] = self.core.node
            container.network_ids["host"] = self._network("host").id
            return
        sandbox = self._own[container.id] = Sandbox(self.core, container.name, self.core.new_id())
        try:
            for name, wish in container.networks.items():
                self._join(container, sandbox, name, wish)
        except DockerError:
            self.tear_down(container)
            raise

    def tear_down(self, container: Container) -> None:
        """Leave the networks and delete the namespace."""
        self._borrowed.pop(container.id, None)
        sandbox = self._own.pop(container.id, None)
        if sandbox is None:
            return
        for network, endpoint in list(sandbox.joined):
            self.endpoints.leave(container, sandbox, network, endpoint)
        sandbox.destroy()

    def rename(self, container: Container) -> None:
        """Let the namespace follow a container's new name."""
        sandbox = self.sandbox(container)
        if sandbox is not None:
            sandbox.rename(container.name)
            for ident, borrowed in self._borrowed.items():
                if borrowed not in self.core.net.netns:
                    self._borrowed[ident] = sandbox.netns_name

    def _network(self, ref: str) -> Network:
        try:
            return self.networks.find(ref)
        except DockerError:
            raise not_found(f"network {ref} not found") from None

    def _join(self, container: Container, sandbox: Sandbox, name: str, wish: Json) -> None:
        known = container.network_ids.get(name)
        network = self.networks.all.get(known) if known else None
        if known and network is None:
            raise not_found(f"network {known} not found")
        network = network or self._network(name)
        self.endpoints.join(container, sandbox, network, wish)
        container.network_ids[name] = network.id

    def _shared(self, container: Container, ref: str) -> str:
        """The namespace of another container that runs (getNetworkedContainer)."""
        try:
            other = self.containers.find(ref)
        except DockerError as error:
            raise internal(f"joining network namespace of container: {error.message}") from None
        if other is container:
            raise internal("cannot join own network namespace")
        if other.status == "restarting":
            what = f"Container {ref} is restarting, wait until the container is running"
            raise conflict(f"cannot join network namespace of container: {what}")
        if not other.running:
            state = f"container {other.name} is {other.status}"
            raise conflict(f"cannot join network namespace of a non running container: {state}")
        return self.netns(other).name

    def apply_sysctls(self, container: Container) -> None:
        """Set `--sysctl net.*` in the namespace, as runc does before the process is run.

        Raises:
            NotRunnable: there is no such key, or no such value.
        """
        sandbox = self.sandbox(container)
        for key, value in (container.host_config.get("Sysctls") or {}).items():
            if sandbox is not None and key.startswith("net."):
                try:
                    sysctl_set(self.core.net, sandbox.netns, key, value)
                except (RtnlError, Unsupported) as error:
                    why = go_errno(error) if isinstance(error, RtnlError) else str(error)
                    raise NotRunnable(f"open /proc/sys/{key.replace('.', '/')}: {why}", 128) from None

    # -- files and names --------------------------------------------------------------------------------------------

    def files(self, container: Container) -> dict[str, str]:
        """The files Docker makes in a container, as they are now."""
        owner = self._network_owner(container)
        endpoints = [endpoint for _, endpoint in self.joined(owner)]
        return made_files(owner, endpoints, self._nameservers, self._embedded(owner))

    def _network_owner(self, container: Container) -> Container:
        """The container whose namespace it is: with `--network container:x` another one."""
        mode = container.network_mode
        return self.containers.find(mode.partition(":")[2]) if mode.startswith("container:") else container

    def _embedded(self, container: Container) -> bool:
        return any(network.user_defined for network, _ in self.joined(container))

    def resolver(self, container: Container) -> EmbeddedResolver | None:
        """The embedded DNS server; None where a container asks the node's servers itself."""
        owner = self._network_owner(container)
        if not self._embedded(owner):
            return None
        return EmbeddedResolver(lambda: self.joined(owner), self._upstream)
