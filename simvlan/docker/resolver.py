"""The embedded DNS server at 127.0.0.11: containers by name, then the node's server. Mirrors libnetwork/resolver.go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simvlan.docker.model import Endpoint, Network

Upstream = Callable[[str], "list[str] | None"]


class EmbeddedResolver:
    """What one container hears when it asks for a name.

    Args:
        joined: the container's networks and endpoints, as they are now.
        upstream: the node's own server.
    """

    def __init__(self, joined: Callable[[], Sequence[tuple[Network, Endpoint]]], upstream: Upstream | None) -> None:
        self._joined = joined
        self._upstream = upstream

    def lookup(self, name: str) -> list[str] | None:
        """Addresses of a name, IPv4 before IPv6: [] when there is no such name, None when nobody can say (SERVFAIL)."""
        name = name.rstrip(".")
        for network, own in sorted(self._joined(), key=lambda entry: entry[0].name):
            found = self._on(network, linked(own, name))
            if found:
                return found
        return self._outside(name)

    @staticmethod
    def _on(network: Network, name: str) -> list[str]:
        bare = name.removesuffix(f".{network.name}")
        wanted = {each.lower() for each in (name, bare)}
        named = [e for e in network.endpoints.values() if wanted & {each.lower() for each in e.dns_names}]
        return [e.ipv4 for e in named if e.ipv4] + [e.ipv6 for e in named if e.ipv6]

    def _outside(self, name: str) -> list[str] | None:
        """Ask the node's server, if the container has any way out."""
        if not any(e.gateway4 or e.gateway6 or self._open(n, e) for n, e in self._joined()) or self._upstream is None:
            return None
        return self._upstream(name)

    @staticmethod
    def _open(network: Network, endpoint: Endpoint) -> bool:
        """A macvlan or ipvlan with a parent leads outside even without a default route."""
        return endpoint.onlink4 or endpoint.onlink6 or not network.state.get("inward", True)

    def reverse(self, address: str) -> str | None:
        """The name of an address on one of the container's networks, followed by the network's."""
        for network, _ in self._joined():
            for endpoint in network.endpoints.values():
                if address in (endpoint.ipv4, endpoint.ipv6) and endpoint.dns_names:
                    return f"{endpoint.dns_names[0]}.{network.name}"
        return None


def linked(own: Endpoint, name: str) -> str:
    """The container that `--link CONTAINER:ALIAS` calls by this name, else the name itself."""
    for link in own.wish.get("Links") or []:
        target, _, alias = link.partition(":")
        if alias == name:
            return str(target)
    return name
