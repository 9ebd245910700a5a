"""The macvlan driver. Mirrors libnetwork/drivers/macvlan (v28.5.2, and what v27, v29 and v1.12 do otherwise)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from simvlan.docker.drivers.driver import choose_mac, device_name, gateway_of, go_errno, require_pools
from simvlan.docker.drivers.parent import dummy_name, ensure_parent, remove_parent
from simvlan.docker.errors import internal
from simvlan.docker.model import Endpoint, Network
from simvlan.errors import RtnlError
from simvlan.rtnl import LinkSpec, link_add, link_del

if TYPE_CHECKING:
    from simvlan.docker.core import Core
    from simvlan.network import Netns

MODES = ("bridge", "private", "vepa", "passthru")


class ParentDriver:
    """What macvlan and ipvlan have in common."""

    name = ""
    prefix = "eth"
    dummy_prefix = ""

    def __init__(self, core: Core, networks: Callable[[], Iterable[Network]]) -> None:
        self.core = core
        self._networks = networks

    def peers(self, network: Network) -> list[Network]:
        """Other networks of this driver on the same parent."""
        return [
            other
            for other in self._networks()
            if other.driver == self.name
            and other.id != network.id
            and not other.config_only
            and other.state["parent"] == network.state["parent"]
        ]

    def dummy(self, network: Network) -> str:
        """The name of a parent of the network's own."""
        return dummy_name(self.dummy_prefix, network)

    def note_parent(self, network: Network) -> None:
        """Note parent and inwardness: without a parent a network is internal (since 26.1)."""
        parent = network.options.get("parent", "")
        if parent == "lo":
            raise internal(f"loopback interface is not a valid {self.name} parent link")
        inward = network.internal or (not parent and self.core.dialect.nil_parent_internal)
        network.state.update(parent=parent or self.dummy(network), inward=inward, made=False)

    def delete(self, network: Network) -> None:
        """Delete the parent if the driver made it and nobody else uses it."""
        if network.state["made"] and not self.peers(network):
            remove_parent(self.core, network.state["parent"], self.dummy(network))

    def restore(self, network: Network) -> None:
        """Make the parent again if the driver had made it and it is gone."""
        if network.state["made"]:
            ensure_parent(self.core, network, self.dummy(network), self.name)

    def make_child(self, network: Network, endpoint: Endpoint, info: dict[str, Any]) -> None:
        """Make the endpoint's device on the parent."""
        parent, host = network.state["parent"], self.core.host
        if parent not in host.devices:
            raise internal(f"the requested parent interface {parent} was not found on the Docker host")
        name = device_name(self.core)
        try:
            link_add(self.core.net, host, LinkSpec(self.name, name, link=host.devices[parent], txqlen=0, info=info))
        except RtnlError as error:
            raise internal(f"failed to create the {self.name} port: {go_errno(error)}") from None
        endpoint.source = name

    def leave(self, network: Network, endpoint: Endpoint) -> None:
        """Delete the device if it is still on the node."""
        dev = self.core.host.devices.get(endpoint.source)
        if dev is not None:
            link_del(self.core.net, dev)

    def set_gateways(self, network: Network, endpoint: Endpoint) -> None:
        """Route by the subnet's gateway, unless the network is internal."""
        if not network.state["inward"]:
            endpoint.gateway4 = gateway_of(network, endpoint, 4)
            endpoint.gateway6 = gateway_of(network, endpoint, 6)


class MacvlanDriver(ParentDriver):
    """`-d macvlan`."""

    name = "macvlan"
    dummy_prefix = "dm"

    def read_options(self, network: Network) -> None:
        """Check `macvlan_mode` and `parent`; other options are ignored."""
        mode = network.options.get("macvlan_mode") or "bridge"
        if mode not in MODES:
            raise internal(f"requested macvlan mode '{mode}' is not valid, 'bridge' mode is the macvlan driver default")
        network.state["mode"] = mode
        self.note_parent(network)

    def wants_gateway(self, network: Network) -> bool:
        """Until 29: yes, if there is a way out; until 28 even without one."""
        dialect = self.core.dialect
        return dialect.guessed_gateway and (dialect.hidden_gateway or not network.state["inward"])

    def create(self, network: Network) -> None:
        """Check who else uses the parent, then make it if need be."""
        require_pools(self.core, network)
        self._check_sharing(network)
        if ensure_parent(self.core, network, self.dummy(network), self.name):
            network.state["made"] = True
        else:
            network.state["made"] = any(other.state["made"] for other in self.peers(network))

    def _check_sharing(self, network: Network) -> None:
        parent = network.state["parent"]
        for other in self.peers(network):
            if not self.core.dialect.shared_parent:
                raise internal(f"network {self.dummy(other)} is already using parent interface {parent}")
            if network.state["mode"] == "passthru":
                taken = f"macvlan network {other.id} is already using parent interface {parent}"
                raise internal(f"cannot use mode passthru, {taken}")
            if other.state["mode"] == "passthru":
                raise internal(
                    f"macvlan network {other.id} is already using parent interface {parent} in mode passthru"
                )

    def create_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """Choose the MAC address."""
        choose_mac(self.core, endpoint)

    def join(self, network: Network, endpoint: Endpoint, netns: Netns) -> None:
        """Make the macvlan."""
        self.make_child(network, endpoint, {"mode": network.state["mode"]})
        self.set_gateways(network, endpoint)
