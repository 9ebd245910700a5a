"""What an engine knows: networks, endpoints, containers. Plain records; the rules are elsewhere.

Networks and containers are kept in the store as these records say; endpoints live only while their container runs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simvlan.docker.ipam import Prefix

Json = dict[str, Any]


@dataclass
class PoolUse:
    """One block of addresses a network holds (IpamInfo)."""

    subnet: str
    sub: str = ""
    """The ip-range; empty when there is none."""
    gateway: str = ""
    aux: dict[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> Prefix:
        """The subnet."""
        return ip_network(self.subnet)

    @property
    def sub_prefix(self) -> Prefix | None:
        """The ip-range."""
        return ip_network(self.sub) if self.sub else None


@dataclass
class Endpoint:
    """One container's place on one network, while it runs."""

    id: str
    network: str
    container: str
    name: str
    """The container's name when it joined."""
    mac: str = ""
    ipv4: str = ""
    plen4: int = 0
    ipv6: str = ""
    plen6: int = 0
    gateway4: str = ""
    gateway6: str = ""
    onlink4: bool = False
    """A default route without gateway (ipvlan l3)."""
    onlink6: bool = False
    source: str = ""
    """The name its device was made with, on the node."""
    port: str = ""
    """The end of a veth pair that stays on the node."""
    ifname: str = ""
    """The name of the device in the container."""
    dns_names: list[str] = field(default_factory=list)
    wish: Json = field(default_factory=dict)
    """What was asked for: EndpointSettings of the request."""

    @property
    def priority(self) -> int:
        """`--gw-priority`."""
        return int(self.wish.get("GwPriority") or 0)


@dataclass
class Network:
    """One network."""

    id: str
    name: str
    driver: str
    created_ns: int
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    config_only: bool = False
    config_from: str = ""
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    ipam_driver: str = "default"
    ipam_options: dict[str, str] | None = None
    ipam_config: list[Json] | None = None
    """The blocks as the user gave them; None: none were."""
    pools: list[PoolUse] = field(default_factory=list)
    state: Json = field(default_factory=dict)
    """The driver's own: parent, mode, flag, whether it made the link, whether it is internal by itself."""
    endpoints: dict[str, Endpoint] = field(default_factory=dict)

    @property
    def user_defined(self) -> bool:
        """Neither bridge, host nor none."""
        return self.name not in PREDEFINED

    def of(self, version: int) -> list[PoolUse]:
        """The blocks of one family."""
        return [use for use in self.pools if use.prefix.version == version]

    def to_json(self) -> Json:
        """What the store keeps."""
        return {k: v for k, v in asdict(self).items() if k != "endpoints"}

    @classmethod
    def from_json(cls, data: Json) -> Network:
        """Read what the store kept."""
        return cls(**{**data, "pools": [PoolUse(**use) for use in data["pools"]]})


PREDEFINED = ("bridge", "host", "none")


@dataclass
class Container:
    """One container: what it is, and how it is."""

    id: str
    name: str
    image: str
    image_id: str
    created_ns: int
    config: Json
    host_config: Json
    networks: dict[str, Json]
    """Name of a network -> what was asked for there, in order of connection."""
    status: str = "created"
    exit_code: int = 0
    error: str = ""
    started_ns: int | None = None
    finished_ns: int | None = None
    restart_count: int = 0
    stopped_by_user: bool = False
    pid: int = 0
    network_ids: dict[str, str] = field(default_factory=dict)
    """Ids of the networks it was on when it last ran, by name."""

    @property
    def running(self) -> bool:
        """Its process lives (frozen or not)."""
        return self.status in ("running", "paused")

    @property
    def network_mode(self) -> str:
        """HostConfig.NetworkMode."""
        return str(self.host_config.get("NetworkMode") or "bridge")

    @property
    def hostname(self) -> str:
        """Config.Hostname."""
        return str(self.config.get("Hostname") or "")

    @property
    def labels(self) -> dict[str, str]:
        """Config.Labels."""
        return self.config.get("Labels") or {}

    @property
    def argv(self) -> list[str]:
        """Entrypoint and command."""
        return [*(self.config.get("Entrypoint") or []), *(self.config.get("Cmd") or [])]

    def to_json(self) -> Json:
        """What the store keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Container:
        """Read what the store kept."""
        return cls(**data)
