"""Networks: create, list, remove, prune. Mirrors daemon/network.go and NewNetwork, in their order of checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from simvlan.docker.addressing import Addressing
from simvlan.docker.drivers.bridge import BridgeDriver, OnlyOneDriver
from simvlan.docker.drivers.driver import Driver
from simvlan.docker.drivers.ipvlan import IpvlanDriver
from simvlan.docker.drivers.macvlan import MacvlanDriver
from simvlan.docker.errors import DockerError, conflict, forbidden, internal, invalid, not_found
from simvlan.docker.filters import Filters, boolean, check_names, exact, fuzzy, labels_match
from simvlan.docker.firewall import Firewall
from simvlan.docker.model import PREDEFINED, Json, Network
from simvlan.docker.netconfig import validate_ipam
from simvlan.docker.times import parse_time, rfc3339

if TYPE_CHECKING:
    from simvlan.docker.core import Core

LIST_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
PRUNE_FILTERS = ("label", "label!", "until")
ADVERTISE = (
    ("com.docker.network.advertise_addr_nmsgs", 0, 3),
    ("com.docker.network.advertise_addr_ms", 100, 2000),
)
FAMILY_OPTION = "com.docker.network.enable_ipv"
_BRIDGE = "com.docker.network.bridge."
DEFAULT_BRIDGE = {
    f"{_BRIDGE}default_bridge": "true",
    f"{_BRIDGE}enable_icc": "true",
    f"{_BRIDGE}enable_ip_masquerade": "true",
    f"{_BRIDGE}host_binding_ipv4": "0.0.0.0",
    f"{_BRIDGE}name": "docker0",
    "com.docker.network.driver.mtu": "1500",
}
SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)


class Networks:
    """The networks of one engine."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.all: dict[str, Network] = {}
        self.book = Addressing(core)
        self.firewall = Firewall(core)
        drivers: list[Driver] = [
            BridgeDriver(core, self.all.values, self.firewall),
            MacvlanDriver(core, self.all.values),
            IpvlanDriver(core, self.all.values),
            OnlyOneDriver("host"),
            OnlyOneDriver("null"),
        ]
        self.drivers = {driver.name: driver for driver in drivers}

    # -- start-up ---------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Bring back what the store kept, and make the predefined networks where they are missing."""
        for data in self.core.store.load("network").values():
            network = Network.from_json(data)
            self.all[network.id] = network
        for network in self.all.values():
            self.book.restore(network)
        self.make_links()
        for name, driver in (("none", "null"), ("host", "host"), ("bridge", "bridge")):
            if self.named(name) is None:
                self._predefine(name, driver)

    def make_links(self) -> None:
        """Make what the networks need on the node, where it is gone."""
        for network in self.all.values():
            self._restore_links(network)

    def _restore_links(self, network: Network) -> None:
        """Make links again; one that cannot be made is noted, and its containers will say so when they start."""
        try:
            self.drivers[network.driver].restore(network)
        except DockerError as error:
            self.core.note(f"network {network.name}: {error.message}")

    def _predefine(self, name: str, driver: str) -> None:
        network = Network(self.core.new_id(), name, driver, self.core.now())
        if name == "bridge":
            network.options = dict(DEFAULT_BRIDGE)
            self.drivers["bridge"].read_options(network)
            self.book.allocate(network, [], True)
            self.drivers["bridge"].create(network)
        self._keep(network)

    def _keep(self, network: Network) -> None:
        self.core.store.put("network", network.id, network.to_json())
        self.all[network.id] = network

    # -- finding ----------------------------------------------------------------------------------------------------

    def named(self, name: str) -> Network | None:
        """The network of exactly this name."""
        return next((each for each in self.all.values() if each.name == name), None)

    def find(self, ref: str) -> Network:
        """Find by id, then name, then the beginning of an id.

        Raises:
            DockerError: 404 `network x not found`, 400 when several ids begin so.
        """
        found = self.all.get(ref) or self.named(ref)
        if found is not None:
            return found
        begun = [each for each in self.all.values() if ref and each.id.startswith(ref)]
        if len(begun) > 1:
            raise invalid(f"network {ref} is ambiguous ({len(begun)} matches found based on ID prefix)")
        if not begun:
            raise not_found(f"network {ref} not found")
        return begun[0]

    # -- create -----------------------------------------------------------------------------------------------------

    def create(self, body: Json, api: tuple[int, int]) -> Network:
        """Create a network as a request says."""
        name = body.get("Name") or ""
        if name in (*PREDEFINED, "default"):
            raise forbidden(self.core.dialect.predefined.format(name=name))
        if body.get("Driver") == "overlay":
            raise forbidden(SWARM)
        network = self._described(body, api)
        blocks = list((body.get("IPAM") or {}).get("Config") or [])
        if self.core.dialect.validates:
            validate_ipam(body.get("IPAM"), network.enable_ipv4, network.enable_ipv6)
        self._check_name(name)
        self._check_options(network)
        self._check_config_rules(network, body)
        if not network.config_only:
            blocks = self._check_scope_and_apply(network, body, blocks)
            self._build(network, blocks)
        self._keep(network)
        self._tell(network, "create")
        return network

    def _described(self, body: Json, api: tuple[int, int]) -> Network:
        ipam = body.get("IPAM") or {}
        blocks = [_shown(block) for block in ipam.get("Config") or []]
        config_only = bool(body.get("ConfigOnly"))
        return Network(
            id=self.core.new_id(),
            name=body.get("Name") or "",
            driver="null" if config_only else body.get("Driver") or "bridge",
            created_ns=self.core.now(),
            enable_ipv4=self._family(body, 4, self.core.dialect.optional_ipv4 and api >= (1, 48)),
            enable_ipv6=self._family(body, 6, True),
            internal=bool(body.get("Internal")),
            attachable=bool(body.get("Attachable")),
            config_only=config_only,
            config_from=(body.get("ConfigFrom") or {}).get("Network") or "",
            options={k: str(v) for k, v in (body.get("Options") or {}).items() if not k.startswith(FAMILY_OPTION)},
            labels=dict(body.get("Labels") or {}),
            ipam_driver=ipam.get("Driver") or "default",
            ipam_options=ipam.get("Options"),
            ipam_config=blocks or None,
        )

    @staticmethod
    def _family(body: Json, version: int, heard: bool) -> bool:
        """Whether a family is on: the field, else the driver option, else IPv4 is and IPv6 is not."""
        if not heard:
            return version == 4
        field = body.get(f"EnableIPv{version}")
        if field is not None:
            return bool(field)
        text = (body.get("Options") or {}).get(f"{FAMILY_OPTION}{version}")
        if text is None:
            return version == 4
        if text not in _TRUE | _FALSE:
            raise invalid(f'driver-opt "{FAMILY_OPTION}{version}" is not a valid bool')
        return text in _TRUE

    def _check_name(self, name: str) -> None:
        if not name.strip():
            raise invalid("invalid name: name is empty")
        if self.named(name) is not None:
            raise conflict(f"network with name {name} already exists")

    def _check_options(self, network: Network) -> None:
        """Ranges of the options every driver has."""
        if not self.core.dialect.announce:
            return
        for option, least, most in ADVERTISE:
            text = network.options.get(option)
            if text is not None and not (text.isdigit() and least <= int(text) <= most):
                raise internal(f"{option} must be in the range {least} to {most}")

    def _check_config_rules(self, network: Network, body: Json) -> None:
        """What `--config-only` and `--config-from` allow (Network.validateConfiguration)."""
        if network.config_only:
            if body.get("Ingress") or network.internal or network.attachable or body.get("Scope"):
                raise forbidden(
                    "configuration network can only contain network specific fields. "
                    "Network operator fields like [ ingress | internal | attachable | scope ] are not supported."
                )
            if network.config_from:
                raise forbidden("a configuration network cannot depend on another configuration network")
        elif network.config_from:
            if network.enable_ipv6 or network.labels or network.ipam_options or network.ipam_config:
                raise forbidden(
                    "user specified configurations are not supported if the network depends on a configuration network"
                )
            if network.options:
                raise forbidden(
                    "network driver options are not supported if the network depends on a configuration network"
                )

    def _check_scope_and_apply(self, network: Network, body: Json, blocks: list[Json]) -> list[Json]:
        """Find the driver, check what is for swarm only, and take over the configuration it depends on."""
        for kind, known in ((network.driver, self.drivers), (network.ipam_driver, ("default", "null"))):
            if kind not in known:
                raise not_found(f'plugin "{kind}" not found')
        if body.get("Ingress"):
            raise forbidden("Ingress network can only be global scope network")
        if body.get("Scope") == "swarm":
            raise forbidden("cannot create a swarm scoped network when swarm is not active")
        if not network.config_from:
            return blocks
        source = next((n for n in self.all.values() if n.config_only and n.name == network.config_from), None)
        if source is None:
            raise not_found(f'configuration network "{network.config_from}" does not exist')
        network.enable_ipv4, network.enable_ipv6 = source.enable_ipv4, source.enable_ipv6
        network.options, network.labels = dict(source.options), dict(source.labels)
        network.ipam_config, network.ipam_options = source.ipam_config, source.ipam_options
        return list(source.ipam_config or [])

    def _build(self, network: Network, blocks: list[Json]) -> None:
        """Reserve addresses, then let the driver make what it needs; a refusal gives the addresses back."""
        driver = self.drivers[network.driver]
        late = self.core.dialect.options_late and network.driver in ("macvlan", "ipvlan")
        if not late:
            driver.read_options(network)
        if network.driver not in ("host", "null") and network.ipam_driver != "null":
            self.book.allocate(network, blocks, driver.wants_gateway(network))
        try:
            if late:
                driver.read_options(network)
            driver.create(network)
        except DockerError:
            self.book.release(network)
            raise
        if network.enable_ipv6 and network.driver == "bridge":
            beyond = "no IPv6 packet is routed or translated beyond the bridge (no ip6tables)"
            self.core.note(f"network {network.name}: {beyond}; published ports have a proxy")

    # -- remove -----------------------------------------------------------------------------------------------------

    def remove(self, network: Network) -> None:
        """Remove a network nobody is on.

        Raises:
            DockerError: 403 when it is predefined, has endpoints, or others depend on it.
        """
        if not network.user_defined:
            raise forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if network.config_only and any(other.config_from == network.name for other in self.all.values()):
            raise forbidden(f'configuration network "{network.name}" is in use')
        if network.endpoints:
            raise forbidden(self._busy(network))
        self.core.store.drop("network", network.id)
        if not network.config_only:
            self.drivers[network.driver].delete(network)
            self.book.release(network)
        del self.all[network.id]
        self._tell(network, "destroy")

    def _busy(self, network: Network) -> str:
        there = ", ".join(f'name:"{e.name}" id:"{e.id[:12]}"' for e in network.endpoints.values())
        return self.core.dialect.busy.format(name=network.name, id=network.id, endpoints=there)

    def prune(self, filters: Filters) -> list[str]:
        """Remove every network without endpoints; returns their names."""
        check_names(filters, PRUNE_FILTERS)
        until = [parse_time(text, self.core.now()) for text in filters.get("until", ())]
        gone = []
        for network in list(self.all.values()):
            spared = network.endpoints or any(network.created_ns > moment for moment in until)
            used = network.config_only and any(other.config_from == network.name for other in self.all.values())
            if not network.user_defined or spared or used or not labels_match(filters, network.labels):
                continue
            if filters.get("label!") and labels_match(filters, network.labels, "label!"):
                continue
            self.remove(network)
            gone.append(network.name)
        self.core.events.tell("network", "prune", "", {"reclaimed": "0"})
        return gone

    def _tell(self, network: Network, action: str) -> None:
        self.core.events.tell("network", action, network.id, {"name": network.name, "type": network.driver})

    # -- showing ----------------------------------------------------------------------------------------------------

    def select(self, filters: Filters) -> Iterable[Network]:
        """The networks that pass a list request's filters."""
        check_names(filters, LIST_FILTERS)
        kinds = filters.get("type") or ()
        for kind in kinds:
            if kind not in ("custom", "builtin"):
                raise invalid(f"invalid filter: 'type'='{kind}'")
        dangling = boolean(filters, "dangling")
        return [n for n in self.all.values() if self._passes(n, filters, kinds, dangling)]

    @staticmethod
    def _passes(network: Network, filters: Filters, kinds: Iterable[str], dangling: bool | None) -> bool:
        if not (exact(filters, "driver", network.driver) and exact(filters, "scope", "local")):
            return False
        if not (fuzzy(filters, "name", network.name) and fuzzy(filters, "id", network.id)):
            return False
        kinds = set(kinds)
        if kinds and ("custom" if network.user_defined else "builtin") not in kinds:
            return False
        unused = network.user_defined and not network.endpoints
        if dangling is not None and unused != dangling:
            return False
        return labels_match(filters, network.labels)

    def describe(self, network: Network, api: tuple[int, int], containers: bool = True) -> Json:
        """Describe a network as `GET /networks/{ref}` does; a list shows no containers."""
        shown: Json = {
            "Name": network.name,
            "Id": network.id,
            "Created": rfc3339(network.created_ns),
            "Scope": "local",
            "Driver": network.driver,
            "EnableIPv4": network.enable_ipv4,
            "EnableIPv6": network.enable_ipv6,
            "IPAM": {
                "Driver": network.ipam_driver,
                "Options": network.ipam_options,
                "Config": self._blocks(network),
            },
            "Internal": network.internal,
            "Attachable": network.attachable,
            "Ingress": False,
            "ConfigFrom": {"Network": network.config_from},
            "ConfigOnly": network.config_only,
            "Containers": self._members(network) if containers else {},
            "Options": network.options,
            "Labels": network.labels,
        }
        if containers and api >= (1, 52) and self.core.dialect.ipam_status:
            shown["Status"] = {"IPAM": {"Subnets": self.book.status(network)}}
        return shown

    def _blocks(self, network: Network) -> list[Json] | None:
        """The blocks the user gave, else those that were found for the network."""
        if network.ipam_config is not None:
            return network.ipam_config
        if not network.pools:
            return None
        return [{"Subnet": use.subnet} | ({"Gateway": use.gateway} if use.gateway else {}) for use in network.pools]

    @staticmethod
    def _members(network: Network) -> Json:
        return {
            e.container: {
                "Name": e.name,
                "EndpointID": e.id,
                "MacAddress": e.mac,
                "IPv4Address": f"{e.ipv4}/{e.plen4}" if e.ipv4 else "",
                "IPv6Address": f"{e.ipv6}/{e.plen6}" if e.ipv6 else "",
            }
            for e in sorted(network.endpoints.values(), key=lambda each: each.container)
        }


def _shown(block: Json) -> Json:
    """A block as inspect shows it: what was given, in Docker's order, nothing empty."""
    keys = ("Subnet", "IPRange", "Gateway", "AuxiliaryAddresses")
    return {key: block[key] for key in keys if block.get(key)}


_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
"""What Go's strconv.ParseBool reads."""
