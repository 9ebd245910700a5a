"""The ipvlan driver. Mirrors libnetwork/drivers/ipvlan (v28.5.2, and what v27, v29 and v1.12 do otherwise)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simvlan.docker.drivers.driver import require_pools
from simvlan.docker.drivers.macvlan import ParentDriver
from simvlan.docker.drivers.parent import ensure_parent
from simvlan.docker.errors import internal
from simvlan.docker.model import Endpoint, Network

if TYPE_CHECKING:
    from simvlan.network import Netns

MODES, FLAGS = ("l2", "l3", "l3s"), ("bridge", "private", "vepa")
KERNEL_NEEDED = (4, 2)


class IpvlanDriver(ParentDriver):
    """`-d ipvlan`."""

    name = "ipvlan"
    dummy_prefix = "di"

    def read_options(self, network: Network) -> None:
        """Check `ipvlan_mode`, `ipvlan_flag` and `parent`; other options are ignored."""
        mode = network.options.get("ipvlan_mode") or "l2"
        flag = network.options.get("ipvlan_flag") or "bridge"
        newer = self.core.dialect.ipvlan_flag
        if mode not in (MODES if newer else MODES[:2]):
            raise internal(f"requested ipvlan mode '{mode}' is not valid, 'l2' mode is the ipvlan driver default")
        if newer and flag not in FLAGS:
            raise internal(f"requested ipvlan flag '{flag}' is not valid, 'bridge' is the ipvlan driver default")
        network.state.update(mode=mode, flag=flag if newer else "bridge")
        self.note_parent(network)

    def wants_gateway(self, network: Network) -> bool:
        """As macvlan in l2; l3 has no gateway (until 28 an address is taken all the same)."""
        dialect = self.core.dialect
        return dialect.guessed_gateway and (
            dialect.hidden_gateway or (network.state["mode"] == "l2" and not network.state["inward"])
        )

    def create(self, network: Network) -> None:
        """Refuse a parent another ipvlan network has, then make it if need be."""
        self._check_kernel()
        require_pools(self.core, network)
        for other in self.peers(network):
            parent = network.state["parent"]
            raise internal(f"network {self.dummy(other)} is already using parent interface {parent}")
        network.state["made"] = ensure_parent(self.core, network, self.dummy(network), self.name)

    def _check_kernel(self) -> None:
        release = self.core.kernel
        found = tuple(int(part) for part in release.split(".")[:2])
        if found < KERNEL_NEEDED:
            needed = "kernel version failed to meet the minimum ipvlan kernel requirement of 4.2"
            raise internal(f"{needed}, found {release}")

    def create_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """An ipvlan has its parent's MAC and no other."""
        if endpoint.mac:
            raise internal("ipvlan interfaces do not support custom mac address assignment")

    def join(self, network: Network, endpoint: Endpoint, netns: Netns) -> None:
        """Make the ipvlan; in l3 and l3s everything is routed to the device itself."""
        mode, flag = network.state["mode"], network.state["flag"]
        info: dict[str, Any] = {"mode": mode, flag: True}
        self.make_child(network, endpoint, info)
        if mode == "l2":
            self.set_gateways(network, endpoint)
        elif not network.state["inward"]:
            endpoint.onlink4, endpoint.onlink6 = bool(endpoint.ipv4), bool(endpoint.ipv6)
