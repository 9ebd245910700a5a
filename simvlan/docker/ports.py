"""Published ports of containers on bridge networks: who has which port of the node. Mirrors libnetwork/portallocator.

IPv4 ports are led to the container by the node's NAT (`firewall`), those of IPv6 by a proxy. macvlan and ipvlan publish
nothing, as in Docker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simvlan.docker.errors import internal, invalid
from simvlan.docker.firewall import Firewall
from simvlan.docker.model import Container, Endpoint, Network
from simvlan.docker.proxy import TcpProxy, UdpProxy, proxy

if TYPE_CHECKING:
    from simvlan.docker.core import Core

Bindings = dict[str, "list[dict[str, str]] | None"]
FIRST, LAST = 32_768, 60_999
"""net.ipv4.ip_local_port_range: where ports nobody chose come from."""
EVERYWHERE = ("0.0.0.0", "::")


class Ports:
    """The ports of one node."""

    def __init__(self, core: Core, firewall: Firewall) -> None:
        self.core, self.firewall = core, firewall
        self._taken: dict[tuple[str, int, str], str] = {}
        """(address, port, protocol) -> container."""
        self._of: dict[str, tuple[str, Bindings]] = {}
        """Container -> the endpoint that publishes, and what."""
        self._next = FIRST
        self._proxies: dict[str, list[TcpProxy | UdpProxy]] = {}
        """Container -> what relays its ports."""

    def shown(self, container: Container) -> Bindings:
        """NetworkSettings.Ports: what is published; nothing unless the container is on a bridge."""
        return dict(self._of.get(container.id, ("", {}))[1])

    def publishes(self, container: Container, endpoint: Endpoint) -> bool:
        """Whether this endpoint has the container's ports."""
        return self._of.get(container.id, ("", {}))[0] == endpoint.id

    def publish(self, container: Container, network: Network, endpoint: Endpoint) -> None:
        """Take the container's ports for an endpoint on a bridge, unless another endpoint has them.

        Raises:
            DockerError: 500 `... port is already allocated`, `failed to bind host port ...`; none is then taken.
        """
        if network.driver != "bridge":
            if container.host_config.get("PortBindings"):
                self.core.note(f"container {container.name}: {network.driver} driver does not support port mappings")
            return
        if network.internal or container.id in self._of:
            return
        made: Bindings = {}
        self._of[container.id] = (endpoint.id, made)
        try:
            for port, wishes in sorted(wanted(container).items()):
                made[port] = [each for wish in wishes for each in self._bind(container, port, wish)] or None
            self._lead_in(network, endpoint, made)
        except PortTaken as taken:
            self.firewall.forget(endpoint.id)
            self.withdraw(container)
            failed = f"driver failed programming external connectivity on endpoint {container.name} ({endpoint.id})"
            raise internal(f"{failed}: {taken}") from None

    def _lead_in(self, network: Network, endpoint: Endpoint, made: Bindings) -> None:
        """Rules for what NAT sees, a proxy for what it does not (a routed network has neither port nor proxy)."""
        for port, bindings in made.items():
            for binding in bindings or ():
                address, number = binding["HostIp"], binding["HostPort"]
                if ":" not in address and endpoint.ipv4:
                    self.firewall.publish(network, endpoint, port, address, number)
                if not network.state["routed"]:
                    inner, _, proto = port.partition("/")
                    self._relay(endpoint, proto or "tcp", address, int(number), int(inner))

    def _relay(self, endpoint: Endpoint, proto: str, address: str, number: int, inner: int) -> None:
        """A proxy to the container's address of the port's family, else to the other; IPv6 where the node has it."""
        six = ":" in address
        within = (endpoint.ipv6 or endpoint.ipv4) if six else endpoint.ipv4
        if not within or (six and self.core.host.stack.ip6 is None):
            return
        try:
            made = proxy(self.core.host, proto, address, number, (within, inner))
        except OSError as error:  # a program of the node's has the port, or the node has no such address
            what = f"{written(address)}:{number}:{written(within)}:{inner}/{proto}"
            raise PortTaken(f"failed to bind host port for {what}: {(error.strerror or '').lower()}") from None
        self._proxies.setdefault(endpoint.container, []).append(made)

    def _bind(self, container: Container, port: str, wish: dict[str, str]) -> list[dict[str, str]]:
        proto = port.partition("/")[2] or "tcp"
        addresses = EVERYWHERE if not wish.get("HostIp") else (wish["HostIp"],)
        number = self._free(addresses, wish.get("HostPort") or "", proto)
        for address in addresses:
            self._taken[address, number, proto] = container.id
        return [{"HostIp": address, "HostPort": str(number)} for address in addresses]

    def _free(self, addresses: tuple[str, ...], text: str, proto: str) -> int:
        """The port that is asked for, the first free of a range, or the next of the node's own range."""
        if not text or text == "0":
            return self._ephemeral(addresses, proto)
        first, dash, last = text.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise invalid(f"invalid port specification: {text!r}")
        for number in range(int(first), int(last or first) + 1):
            if not self._clash(addresses, number, proto):
                return number
        if dash:
            raise PortTaken("all ports are allocated")
        raise PortTaken(f"Bind for {addresses[0]}:{first} failed: port is already allocated")

    def _ephemeral(self, addresses: tuple[str, ...], proto: str) -> int:
        for _ in range(FIRST, LAST + 1):
            number, self._next = self._next, self._next + 1 if self._next < LAST else FIRST
            if not self._clash(addresses, number, proto):
                return number
        raise PortTaken("all ports are allocated")

    def _clash(self, addresses: tuple[str, ...], number: int, proto: str) -> bool:
        """A port is taken for an address, or for all addresses of its family."""
        for address, taken, other in self._taken:
            if (taken, other) == (number, proto) and any(_same(address, each) for each in addresses):
                return True
        return False

    def withdraw(self, container: Container) -> None:
        """Give a container's ports back."""
        for each in self._proxies.pop(container.id, ()):
            each.close()
        self._of.pop(container.id, None)
        self._taken = {key: owner for key, owner in self._taken.items() if owner != container.id}


class PortTaken(Exception):  # noqa: N818 - an answer, worded as Docker words it
    """No port to be had."""


def written(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if ":" in address else address


def _same(one: str, two: str) -> bool:
    """Two addresses to bind to clash: equal, or one of them stands for all of its family."""
    return one == two or ((":" in one) == (":" in two) and (one in EVERYWHERE or two in EVERYWHERE))


def wanted(container: Container) -> dict[str, list[dict[str, str]]]:
    """Every exposed or published port, with the bindings asked for."""
    host, exposed = container.host_config, container.config.get("ExposedPorts") or {}
    made: dict[str, list[Any]] = {port: [] for port in exposed}
    for port, wishes in (host.get("PortBindings") or {}).items():
        made[port] = list(wishes or [{}])
    if host.get("PublishAllPorts"):
        made = {port: wishes or [{}] for port, wishes in made.items()}
    return made
