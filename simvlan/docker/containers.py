"""Containers as definitions: create, find, rename, update, remove. Mirrors daemon/create.go, rename.go, delete.go.

What makes them run and end is in `lifecycle.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simvlan.docker.endpoints import check_endpoint, normal_mac, understood
from simvlan.docker.errors import DockerError, conflict, invalid, not_found
from simvlan.docker.hostconfig import (
    check_host_config,
    check_restart_policy,
    container_config,
    host_config,
    left_out,
)
from simvlan.docker.model import Container
from simvlan.docker.names import check_name, made_up

if TYPE_CHECKING:
    from simvlan.docker.core import Core
    from simvlan.docker.images import Images
    from simvlan.docker.networks import Networks

Json = dict[str, Any]
MAC_DEPRECATED = (
    "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
)


class Containers:
    """The containers of one engine."""

    def __init__(self, core: Core, networks: Networks, images: Images) -> None:
        self.core = core
        self.networks = networks
        self.images = images
        self.all: dict[str, Container] = {}

    def load(self) -> list[Container]:
        """Bring back what the store kept; returns those that ran when the engine was cut off."""
        ran = []
        for data in self.core.store.load("container").values():
            container = Container.from_json(data)
            self.all[container.id] = container
            if container.status in ("running", "paused", "restarting"):
                ran.append(container)
        return ran

    def keep(self, container: Container) -> None:
        """Write a container's state to the store."""
        self.core.store.put("container", container.id, container.to_json())

    # -- finding ----------------------------------------------------------------------------------------------------

    def named(self, name: str) -> Container | None:
        """The container of exactly this name."""
        return next((each for each in self.all.values() if each.name == name), None)

    def find(self, ref: str) -> Container:
        """Find by id, then name, then the beginning of an id.

        Raises:
            DockerError: 404 `No such container: x`, 400 when several ids begin so or nothing is named.
        """
        if not ref:
            raise invalid('invalid name or ID supplied: ""')
        found = self.all.get(ref) or self.named(ref.removeprefix("/"))
        if found is not None:
            return found
        begun = [each for each in self.all.values() if each.id.startswith(ref)]
        if len(begun) > 1:
            raise invalid(f"multiple IDs found with provided prefix: {ref}")
        if not begun:
            raise not_found(f"No such container: {ref}")
        return begun[0]

    # -- create -----------------------------------------------------------------------------------------------------

    def create(self, body: Json, name: str, api: tuple[int, int]) -> tuple[Container, list[str]]:
        """Define a container; returns it with the warnings."""
        if not any(body.get(key) for key in ("Image", "Cmd", "Entrypoint", "HostConfig")):
            raise invalid("config cannot be empty in order to create a container")
        host = host_config(body.get("HostConfig") or {})
        wishes, warnings = self._wishes(body, host["NetworkMode"], api)
        warnings += left_out(host)
        check_host_config(body, host)
        check_restart_policy(host["RestartPolicy"], host["AutoRemove"])
        for network_name, wish in wishes.items():
            self._check_wish(network_name, wish)
        image = self.images.find(body.get("Image") or "")
        ident = self.core.new_id()
        name = self._free_name(name)
        config = container_config(body, image.config, ident, self.core.hostname, host["NetworkMode"])
        if not (config["Entrypoint"] or config["Cmd"]):
            raise invalid("no command specified")
        container = Container(ident, name, str(body["Image"]), image.id, self.core.now(), config, host, networks=wishes)
        self.keep(container)
        self.all[ident] = container
        self.tell(container, "create")
        return container, warnings

    def _free_name(self, name: str) -> str:
        name = name.removeprefix("/")
        if not name:
            return made_up(self.core.rng, {each.name for each in self.all.values()})
        check_name(name)
        other = self.named(name)
        if other is not None:
            raise conflict(taken(name, other.id))
        return name

    def _wishes(self, body: Json, mode: str, api: tuple[int, int]) -> tuple[dict[str, Json], list[str]]:
        """What is asked for on each network, with the one of the network mode among them."""
        given = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
        dialect = self.core.dialect
        named = {("bridge" if key == "default" else key): understood(dialect, value) for key, value in given.items()}
        if api < (1, 44) and len(named) > 1:
            raise invalid(f"Container cannot be created with multiple network endpoints: {', '.join(sorted(named))}")
        if mode.startswith("container:"):
            return {}, []
        primary = self._canonical(mode, named)
        wishes = {primary: named.pop(primary, {}), **named}
        mac = body.get("MacAddress") or ""
        if not mac:
            return wishes, []
        wishes[primary].setdefault("MacAddress", "")
        wishes[primary]["MacAddress"] = wishes[primary]["MacAddress"] or normal_mac(mac)
        return wishes, [MAC_DEPRECATED] if api >= (1, 44) else []

    def _canonical(self, mode: str, named: Mapping[str, Json]) -> str:
        """The network mode names a network by name or id; endpoints go by its name."""
        if mode in named:
            return mode
        try:
            return self.networks.find(mode).name
        except DockerError:
            return mode  # it is looked for again at start

    def _check_wish(self, network_name: str, wish: Json) -> None:
        normal_mac(wish.get("MacAddress") or "")
        try:
            network = self.networks.find(network_name)
        except DockerError:
            return
        if self.core.dialect.validates:
            try:
                check_endpoint(network, wish)
            except DockerError as error:
                raise invalid(f"invalid config for network {network_name}: {error.message}") from None

    # -- changes ----------------------------------------------------------------------------------------------------

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name."""
        name = name.removeprefix("/")
        if not name:
            raise invalid("Neither old nor new names may be empty")
        if name == container.name:
            raise invalid("Renaming a container with the same name as its current name")
        check_name(name)
        other = self.named(name)
        if other is not None:
            raise conflict(f"Error when allocating new name: {taken(name, other.id)}")
        old, container.name = container.name, name
        self.keep(container)
        for network in self.networks.all.values():
            for endpoint in network.endpoints.values():
                if endpoint.container == container.id:
                    endpoint.name = name
                    endpoint.dns_names = [name if each == old else each for each in endpoint.dns_names]
        self.tell(container, "rename", oldName=f"/{old}")

    def update(self, container: Container, body: Json) -> Json:
        """Change the restart policy; resources are noted and have no effect here."""
        policy = body.get("RestartPolicy") or {}
        if policy.get("Name"):
            check_restart_policy(policy, False)
            if container.host_config["AutoRemove"] and policy["Name"] != "no":
                raise conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
            container.host_config["RestartPolicy"] = {
                "Name": policy["Name"], "MaximumRetryCount": policy.get("MaximumRetryCount") or 0,
            }  # fmt: skip
        for key in ("Memory", "NanoCpus", "CpuShares", "MemoryReservation", "MemorySwap", "CpuPeriod", "CpuQuota"):
            if body.get(key):
                container.host_config[key] = body[key]
        self.keep(container)
        self.tell(container, "update")
        return {"Warnings": None}

    def forget(self, container: Container) -> None:
        """Remove the definition of a container that does not run."""
        self.core.store.drop("container", container.id)
        del self.all[container.id]
        self.tell(container, "destroy")

    def tell(self, container: Container, action: str, **attributes: str) -> None:
        """Send an event about a container, with its labels."""
        known = {**container.labels, "image": container.image, "name": container.name}
        self.core.events.tell("container", action, container.id, known | attributes)


def taken(name: str, ident: str) -> str:
    """The text of a name in use."""
    return (
        f'Conflict. The container name "/{name}" is already in use by container "{ident}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
