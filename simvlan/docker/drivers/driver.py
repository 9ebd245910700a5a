"""What a network driver does. Mirrors libnetwork/driverapi; a driver's own data is in `Network.state`."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from simvlan.docker.addressing import block_of
from simvlan.docker.errors import DockerError, internal
from simvlan.docker.model import Endpoint, Network
from simvlan.errors import RtnlError

if TYPE_CHECKING:
    from simvlan.docker.core import Core
    from simvlan.network import Netns

VETH_PREFIX, VETH_DIGITS = "veth", 7


class Driver(Protocol):
    """One `-d NAME`."""

    name: str
    prefix: str
    """What devices are called in the container: `eth` and a number."""

    def read_options(self, network: Network) -> None:
        """Check the options of a request and note what follows from them in `network.state`."""

    def wants_gateway(self, network: Network) -> bool:
        """Whether an address is taken for a gateway that nobody named."""

    def create(self, network: Network) -> None:
        """Make what the network needs on the node. Raises DockerError, leaving what Docker leaves."""

    def delete(self, network: Network) -> None:
        """Take it away again."""

    def create_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """Choose the MAC address; refuse what the driver does not support."""

    def join(self, network: Network, endpoint: Endpoint, netns: Netns) -> None:
        """Make the endpoint's device (`endpoint.source`), on the node or in the container, and say its gateways."""

    def leave(self, network: Network, endpoint: Endpoint) -> None:
        """Take away what join made on the node."""

    def restore(self, network: Network) -> None:
        """After a restart of the engine: make again what the driver had made and is gone."""


def device_name(core: Core) -> str:
    """A free name on the node: veth and seven hex digits (netutils.GenerateIfaceName)."""
    while True:
        name = f"{VETH_PREFIX}{core.rng.getrandbits(4 * VETH_DIGITS):0{VETH_DIGITS}x}"
        if name not in core.host.devices:
            return name


def random_mac(core: Core) -> str:
    """Six random bytes, unicast and locally administered (GenerateRandomMAC)."""
    mac = core.rng.getrandbits(48) & ~(1 << 40) | 1 << 41
    return mac.to_bytes(6, "big").hex(":")


def mac_of_ip(address: str) -> str:
    """02:42 and the four bytes of the address (GenerateMACFromIP)."""
    return "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def choose_mac(core: Core, endpoint: Endpoint) -> None:
    """Give an endpoint without a wish of its own a MAC, as the dialect makes them."""
    if endpoint.mac:
        return
    if core.dialect.random_mac or not endpoint.ipv4:
        endpoint.mac = random_mac(core)
    else:
        endpoint.mac = mac_of_ip(endpoint.ipv4)


def gateway_of(network: Network, endpoint: Endpoint, version: int) -> str:
    """The gateway of the subnet that the endpoint's address is from; empty when it has none.

    Raises:
        DockerError: the address is from none of the network's subnets.
    """
    text, plen = (endpoint.ipv4, endpoint.plen4) if version == 4 else (endpoint.ipv6, endpoint.plen6)
    if not text:
        return ""
    block = block_of(network, version, text, plen)
    if block is None:
        raise internal(f"could not find a valid ipv{version} subnet for endpoint {endpoint.id}")
    return block.gateway


def go_errno(error: RtnlError) -> str:
    """The kernel's refusal as Go prints an errno: lower case."""
    text = _GO.get(error.errno) or os.strerror(error.errno)
    return text[0].lower() + text[1:]


_GO: Mapping[int, str] = {errno.EOPNOTSUPP: "operation not supported"}


def require_pools(core: Core, network: Network) -> None:
    """Refuse a network whose pool is everything or nothing (`ipv4 pool is empty`)."""
    for version, on, everything in ((4, network.enable_ipv4, "0.0.0.0/0"), (6, network.enable_ipv6, "::/0")):
        pools = network.of(version)
        if on and (not pools or pools[0].subnet == everything):
            raise DockerError(core.dialect.empty_pool_status, f"ipv{version} pool is empty")
