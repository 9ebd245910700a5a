"""Joining a running container to a network and leaving it. Mirrors daemon/container_operations.go and endpoint.go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simvlan.docker.errors import DockerError, forbidden, invalid
from simvlan.docker.model import Container, Endpoint, Network
from simvlan.docker.netconfig import joined, parse_address
from simvlan.docker.ports import Ports
from simvlan.frame import parse_mac

if TYPE_CHECKING:
    from simvlan.docker.core import Core
    from simvlan.docker.dialects import Dialect
    from simvlan.docker.networks import Networks
    from simvlan.docker.sandbox import Sandbox

Json = dict[str, Any]
PREFIX_OPTION = "com.docker.network.container_iface_prefix"


class Endpoints:
    """The endpoints of one engine."""

    def __init__(self, core: Core, networks: Networks) -> None:
        self.core = core
        self.networks = networks
        self.ports = Ports(core, networks.firewall)

    def join(self, container: Container, sandbox: Sandbox, network: Network, wish: Json) -> None:
        """Give a running container a place on a network; a refusal leaves neither address nor device."""
        if any(e.container == container.id for e in network.endpoints.values()):
            raise forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
        if network.config_only:
            raise forbidden("cannot create endpoint on configuration-only network")
        if network.driver in ("null", "host"):
            return  # nothing to make, and nobody is counted
        driver = self.networks.drivers[network.driver]
        endpoint = Endpoint(self.core.new_id(), network.id, container.id, container.name, wish=wish)
        endpoint.mac = normal_mac(wish.get("MacAddress") or "")
        self.networks.book.assign(network, endpoint, wanted_addresses(wish))
        try:
            driver.create_endpoint(network, endpoint)
            driver.join(network, endpoint, sandbox.netns)
            sandbox.add(network, endpoint, network.options.get(PREFIX_OPTION) or driver.prefix)
            self.ports.publish(container, network, endpoint)
        except DockerError:
            sandbox.remove(endpoint)
            driver.leave(network, endpoint)
            self.networks.book.withdraw(network, endpoint)
            raise
        endpoint.dns_names = dns_names(container, network, wish)
        network.endpoints[endpoint.id] = endpoint
        self._tell(network, container, "connect")

    def leave(self, container: Container, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """Take a container off a network."""
        sandbox.remove(endpoint)
        if self.ports.publishes(container, endpoint):
            self.ports.withdraw(container)
        self.networks.drivers[network.driver].leave(network, endpoint)
        self.networks.book.withdraw(network, endpoint)
        del network.endpoints[endpoint.id]
        self._tell(network, container, "disconnect")

    def _tell(self, network: Network, container: Container, action: str) -> None:
        attributes = {"container": container.id, "name": network.name, "type": network.driver}
        self.core.events.tell("network", action, network.id, attributes)


def understood(dialect: Dialect, wish: Json | None) -> Json:
    """What an engine reads of a client's EndpointSettings: fields that came later are not seen."""
    later = () if dialect.gw_priority else ("GwPriority",)
    return {key: value for key, value in (wish or {}).items() if key not in later}


def wanted_addresses(wish: Json) -> dict[int, str]:
    """The addresses asked for, by family."""
    config = wish.get("IPAMConfig") or {}
    pairs = ((4, config.get("IPv4Address")), (6, config.get("IPv6Address")))
    return {version: text for version, text in pairs if text}


def normal_mac(text: str) -> str:
    """A MAC as six octets; dashes and Cisco's dots are read too (net.ParseMAC)."""
    if not text:
        return ""
    if text.count(".") == 2:
        digits = text.replace(".", "")
        text = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
    try:
        return parse_mac(text).to_bytes(6, "big").hex(":")
    except ValueError:
        raise invalid(f"invalid MAC address {text}") from None


def dns_names(container: Container, network: Network, wish: Json) -> list[str]:
    """What other containers of a user-defined network may call this one: name, aliases, short id, hostname."""
    if not network.user_defined:
        return []
    short = container.id[:12]
    names = [container.name, *(wish.get("Aliases") or []), short, container.hostname]
    return list(dict.fromkeys(name for name in names if name))


def check_endpoint(network: Network, wish: Json) -> None:
    """Refuse what an endpoint cannot have on this network (validateEndpointSettings).

    Raises:
        DockerError: 400 `invalid endpoint settings:` and what is wrong.
    """
    errors = [*_family_errors(network, wish, 4), *_family_errors(network, wish, 6), *_link_local_errors(wish)]
    if errors:
        raise invalid("invalid endpoint settings:\n" + joined(errors))


def _family_errors(network: Network, wish: Json, version: int) -> list[str]:
    text = (wish.get("IPAMConfig") or {}).get(f"IPv{version}Address") or ""
    if not text:
        return []
    if not network.user_defined:
        return ["user specified IP address is supported on user defined networks only"]
    address = parse_address(text)
    if address is None or address.version != version:
        return [f"invalid IPv{version} address: {text}"]
    if not network.ipam_config:
        only = "only when connecting to networks with user configured subnets"
        return [f"user specified IP address is supported {only}"]
    if not any(address in use.prefix for use in network.of(version)):
        return [f"no configured subnet or ip-range contain the IP address {text}"]
    return []


def _link_local_errors(wish: Json) -> list[str]:
    texts = (wish.get("IPAMConfig") or {}).get("LinkLocalIPs") or []
    return [f"invalid link-local IP address: {text}" for text in texts if parse_address(text) is None]


def operational(wish: Json, network: Network | None, endpoint: Endpoint | None, known_id: str = "") -> Json:
    """EndpointSettings as inspect shows them: what was asked for, and while it runs, what came of it."""
    shown: Json = {
        "IPAMConfig": wish.get("IPAMConfig"),
        "Links": wish.get("Links"),
        "Aliases": wish.get("Aliases"),
        "MacAddress": normal_mac(wish.get("MacAddress") or ""),
        "DriverOpts": wish.get("DriverOpts"),
        "GwPriority": wish.get("GwPriority") or 0,
        "NetworkID": known_id,
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }
    if network is not None and endpoint is not None:
        shown |= {
            "MacAddress": endpoint.mac,
            "NetworkID": network.id,
            "EndpointID": endpoint.id,
            "Gateway": endpoint.gateway4,
            "IPAddress": endpoint.ipv4,
            "IPPrefixLen": endpoint.plen4,
            "IPv6Gateway": endpoint.gateway6,
            "GlobalIPv6Address": endpoint.ipv6,
            "GlobalIPv6PrefixLen": endpoint.plen6,
            "DNSNames": endpoint.dns_names or None,
        }
    return shown
