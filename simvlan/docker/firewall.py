"""Docker's rules on a node: chains, one set for each bridge network, for each endpoint, for each published port.

Mirrors libnetwork/drivers/bridge (28.5: setup_ip_tables_linux.go, port_mapping_linux.go) as `iptables-save` shows it:
what is put first and what last is Docker's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.docker.model import Endpoint, Network
from simvlan.errors import RtnlError
from simvlan.netfilter.rules import Rule
from simvlan.rtnl import filters
from simvlan.tools.iptables_parse import Parser

if TYPE_CHECKING:
    from simvlan.docker.core import Core

CHAINS = (
    ("nat", "DOCKER"), ("filter", "DOCKER"), ("filter", "DOCKER-BRIDGE"), ("filter", "DOCKER-CT"),
    ("filter", "DOCKER-FORWARD"), ("filter", "DOCKER-ISOLATION-STAGE-1"), ("filter", "DOCKER-ISOLATION-STAGE-2"),
    ("filter", "DOCKER-USER"),
)  # fmt: skip
JUMPS = (
    "nat PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "nat OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    "filter FORWARD -j DOCKER-USER",
    "filter FORWARD -j DOCKER-FORWARD",
    "filter DOCKER-FORWARD -j DOCKER-CT",
    "filter DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1",
    "filter DOCKER-FORWARD -j DOCKER-BRIDGE",
)
"""TABLE CHAIN RULE."""
ANYWHERE = ("", "0.0.0.0")
FALSE = ("false", "0", "f")


class Firewall:
    """The rules one engine made; each owner's go with it."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._of: dict[str, list[str]] = {}
        """Owner (network, endpoint) -> its rules."""

    # -- the node -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the chains and the ways into them, where they are missing."""
        for table, chain in CHAINS:
            if chain not in filters.table_of(self.core.host, table).chains:
                filters.chain_add(self.core.host, table, chain)
        for rule in JUMPS:
            self._put(rule, last=True)

    def drop_forwarded(self) -> None:
        """The engine switched forwarding on: what no rule allows is not forwarded."""
        filters.policy_set(self.core.host, "filter", "FORWARD", "DROP")

    # -- networks -----------------------------------------------------------------------------------------------------

    def add_network(self, network: Network) -> None:
        """Keep a network apart from others and let it out."""
        self.start()
        bridge, subnets = network.state["bridge"], [use.subnet for use in network.of(4)]
        if network.internal:
            self._internal(network, bridge, subnets)
            return
        routed, owner = network.state["routed"], network.id
        if truth(network, "enable_ip_masquerade") and not routed:
            for subnet in subnets:
                self._own(owner, f"nat POSTROUTING -s {subnet} ! -o {bridge} -j MASQUERADE", last=False)
        if not routed:
            self._own(owner, f"nat DOCKER -i {bridge} -j RETURN", last=False)
        if not truth(network, "enable_icc"):
            self._own(owner, f"filter DOCKER-FORWARD -i {bridge} -o {bridge} -j DROP")
            self._own(owner, f"filter DOCKER-FORWARD -i {bridge} ! -o {bridge} -j ACCEPT")
        else:
            self._own(owner, f"filter DOCKER-FORWARD -i {bridge} -j ACCEPT")
        if routed:
            self._own(owner, f"filter DOCKER -o {bridge} -p icmp -j ACCEPT")
        self._own(owner, f"filter DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2")
        self._own(owner, f"filter DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP", last=False)
        action = "ACCEPT" if network.state["unprotected"] else "DROP"
        self._own(owner, f"filter DOCKER ! -i {bridge} -o {bridge} -j {action}")
        self._own(owner, f"filter DOCKER-CT -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
        self._own(owner, f"filter DOCKER-BRIDGE -o {bridge} -j DOCKER")

    def _internal(self, network: Network, bridge: str, subnets: list[str]) -> None:
        for subnet in subnets:
            self._own(network.id, f"filter DOCKER-ISOLATION-STAGE-1 ! -d {subnet} -i {bridge} -j DROP", last=False)
            self._own(network.id, f"filter DOCKER-ISOLATION-STAGE-1 ! -s {subnet} -o {bridge} -j DROP", last=False)
        verdict = "ACCEPT" if truth(network, "enable_icc") else "DROP"
        self._own(network.id, f"filter DOCKER-FORWARD -i {bridge} -o {bridge} -j {verdict}")

    # -- endpoints and ports ------------------------------------------------------------------------------------------

    def add_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """Nobody but the node and the bridge's own containers may address a container directly."""
        if network.internal or network.state["routed"] or network.state["unprotected"] or not endpoint.ipv4:
            return
        bridge = network.state["bridge"]
        self._own(endpoint.id, f"raw PREROUTING -d {endpoint.ipv4}/32 ! -i {bridge} -j DROP")

    def publish(self, network: Network, endpoint: Endpoint, port: str, address: str, number: str) -> None:
        """Lead a port of the node to a container's (IPv4)."""
        inner, _, proto = port.partition("/")
        bridge, proto = network.state["bridge"], proto or "tcp"
        here = "" if address in ANYWHERE else f"-d {address}/32 "
        what = f"-p {proto} -m {proto} --dport"
        if address.startswith("127."):
            self._own(endpoint.id, f"raw PREROUTING {here}! -i lo {what} {number} -j DROP")
        if not network.state["routed"]:
            target = f"-j DNAT --to-destination {endpoint.ipv4}:{inner}"
            self._own(endpoint.id, f"nat DOCKER {here}! -i {bridge} {what} {number} {target}")
        if not network.state["unprotected"]:
            allowed = f"-d {endpoint.ipv4}/32 ! -i {bridge} -o {bridge} {what} {inner} -j ACCEPT"
            self._own(endpoint.id, f"filter DOCKER {allowed}", last=False)

    # -- rules --------------------------------------------------------------------------------------------------------

    def forget(self, owner: str) -> None:
        """Take away what was put there for a network or an endpoint."""
        for text in self._of.pop(owner, ()):
            table, chain, rule = parsed(text)
            try:
                filters.rule_delete(self.core.host, table, chain, filters.rule_find(self.core.host, table, chain, rule))
            except RtnlError:
                continue  # somebody took it away already
        self.core.net.drain()

    def _own(self, owner: str, text: str, last: bool = True) -> None:
        if text not in self._of.setdefault(owner, []):
            self._of[owner].append(text)
        self._put(text, last)

    def _put(self, text: str, last: bool) -> None:
        """Put a rule where it is missing."""
        table, chain, rule = parsed(text)
        try:
            filters.rule_find(self.core.host, table, chain, rule)
        except RtnlError:
            add = filters.rule_append if last else filters.rule_insert
            add(self.core.host, table, chain, rule)


def parsed(text: str) -> tuple[str, str, Rule]:
    """Read `TABLE CHAIN RULE`."""
    table, chain, *words = text.split()
    return table, chain, Parser(["-t", table, "-A", chain, *words]).read().rule


def truth(network: Network, option: str) -> bool:
    """An option of the bridge driver that is true unless it is said otherwise."""
    return network.options.get(f"com.docker.network.bridge.{option}", "true").lower() not in FALSE
