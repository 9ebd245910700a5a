"""Containers as the API shows them: inspect, list, top, stats. Mirrors daemon/inspect.go and list.go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvlan.docker.endpoints import operational
from simvlan.docker.errors import DockerError, conflict, invalid
from simvlan.docker.filters import Filters, check_names, exact, fuzzy, labels_match
from simvlan.docker.images import Image
from simvlan.docker.model import Container
from simvlan.docker.times import ago, rfc3339

if TYPE_CHECKING:
    from simvlan.docker.containers import Containers
    from simvlan.docker.core import Core
    from simvlan.docker.lifecycle import Lifecycle
    from simvlan.docker.networks import Networks

Json = dict[str, Any]
LIST_FILTERS = (
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network",
    "publish", "since", "status", "volume",
)  # fmt: skip
STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_HOME = "/var/lib/docker/containers"


class Shapes:
    """Descriptions of one engine's containers."""

    def __init__(
        self,
        core: Core,
        containers: Containers,
        lifecycle: Lifecycle,
        networks: Networks,
        execs: Callable[[Container], list[str] | None],
    ) -> None:
        self.core, self.containers, self.lifecycle, self.networks = core, containers, lifecycle, networks
        self._execs = execs

    # -- inspect ----------------------------------------------------------------------------------------------------

    def inspect(self, container: Container, api: tuple[int, int]) -> Json:
        """Describe a container as `GET /containers/{ref}/json` does."""
        argv = container.argv
        home = f"{_HOME}/{container.id}" if container.started_ns is not None else ""
        return {
            "Id": container.id,
            "Created": rfc3339(container.created_ns),
            "Path": argv[0],
            "Args": argv[1:],
            "State": self._state(container),
            "Image": container.image_id,
            "ResolvConfPath": home and f"{home}/resolv.conf",
            "HostnamePath": home and f"{home}/hostname",
            "HostsPath": home and f"{home}/hosts",
            "LogPath": home and f"{home}/{container.id}-json.log",
            "Name": f"/{container.name}",
            "RestartCount": container.restart_count,
            "Driver": "vfs",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": self._execs(container),
            "HostConfig": container.host_config,
            "GraphDriver": {"Data": {"ID": container.id}, "Name": "vfs"},
            "Mounts": [],
            "Config": container.config,
            "NetworkSettings": self._network_settings(container, api),
        }

    @staticmethod
    def _state(container: Container) -> Json:
        return {
            "Status": container.status,
            "Running": container.running or container.status == "restarting",
            "Paused": container.status == "paused",
            "Restarting": container.status == "restarting",
            "OOMKilled": False,
            "Dead": False,
            "Pid": container.pid,
            "ExitCode": container.exit_code,
            "Error": container.error,
            "StartedAt": rfc3339(container.started_ns),
            "FinishedAt": rfc3339(container.finished_ns),
        }

    def _network_settings(self, container: Container, api: tuple[int, int]) -> Json:
        sandbox = self.lifecycle.networking.sandbox(container)
        shown: Json = {
            "Bridge": "",
            "SandboxID": sandbox.id if sandbox else "",
            "SandboxKey": f"/run/docker/netns/{sandbox.id[:12]}" if sandbox else "",
            "Ports": self._ports(container),
            "HairpinMode": False,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "SecondaryIPAddresses": None,
            "SecondaryIPv6Addresses": None,
        }
        networks = self._networks(container)
        if api >= (1, 52):
            shown = {key: shown[key] for key in ("SandboxID", "SandboxKey", "Ports")}
        else:
            shown |= self._legacy(networks.get("bridge", {}))
        return shown | {"Networks": networks}

    @staticmethod
    def _legacy(bridge: Json) -> Json:
        """The flat fields of old: they describe the default bridge only."""
        empty = {"GlobalIPv6PrefixLen": 0, "IPPrefixLen": 0}
        keys = (
            "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen",
            "IPv6Gateway", "MacAddress",
        )  # fmt: skip
        return {key: bridge.get(key, empty.get(key, "")) for key in keys}

    def _ports(self, container: Container) -> Json:
        """What a bridge publishes or exposes; macvlan and ipvlan do neither."""
        return self.lifecycle.networking.endpoints.ports.shown(container)

    def _networks(self, container: Container) -> Json:
        here = {network.name: (network, endpoint) for network, endpoint in self.lifecycle.networking.joined(container)}
        shown = {}
        for name, wish in sorted(container.networks.items()):
            network, endpoint = here.get(name, (None, None))
            known = container.network_ids.get(name, "")
            shown[name] = operational(wish, network, endpoint, known)
            if known and endpoint is None and self._named(name):
                shown[name]["DNSNames"] = self._stale_names(container, wish)
        return shown

    @staticmethod
    def _named(name: str) -> bool:
        return name not in ("bridge", "host", "none")

    @staticmethod
    def _stale_names(container: Container, wish: Json) -> list[str]:
        """The DNS names a container had stay in its description when it has ended."""
        names = [container.name, *(wish.get("Aliases") or []), container.id[:12], container.hostname]
        return list(dict.fromkeys(name for name in names if name))

    # -- list -------------------------------------------------------------------------------------------------------

    def listing(self, everything: bool, limit: int, size: bool, filters: Filters) -> list[Json]:
        """Describe containers as `GET /containers/json` does, the newest first."""
        check_names(filters, LIST_FILTERS)
        for status in filters.get("status", ()):
            if status not in STATUSES:
                raise invalid(
                    f"invalid value for status filter ({status}): must be one of "
                    "created, running, paused, restarting, removing, exited, or dead"
                )
        newest = sorted(self.containers.all.values(), key=lambda each: each.created_ns)[::-1]
        stopped_too = everything or limit > 0 or bool(filters.get("status") or filters.get("exited"))
        chosen = [
            each
            for each in newest
            if (stopped_too or each.running or each.status == "restarting") and self._passes(each, filters)
        ]
        between = self._between(chosen, filters)
        return [self._line(each, size) for each in (between[:limit] if limit > 0 else between)]

    def _passes(self, container: Container, filters: Filters) -> bool:
        names = filters.get("name")
        if names and not (fuzzy(filters, "name", container.name) or fuzzy(filters, "name", f"/{container.name}")):
            return False
        if filters.get("id") and not any(container.id.startswith(each) for each in filters["id"]):
            return False
        if not exact(filters, "status", container.status) or not labels_match(filters, container.labels):
            return False
        if filters.get("exited") and not (
            container.status == "exited" and str(container.exit_code) in filters["exited"]
        ):
            return False
        if filters.get("health") and "none" not in filters["health"]:
            return False
        if filters.get("ancestor") and not self._from_image(container, filters["ancestor"]):
            return False
        if filters.get("volume") or filters.get("publish") or filters.get("expose"):
            return False
        return not filters.get("network") or self._on(container, filters["network"])

    @staticmethod
    def _from_image(container: Container, wanted: Any) -> bool:
        bare = container.image.partition(":")[0]
        short = container.image_id.removeprefix("sha256:")
        return any(each in (container.image, bare, f"{bare}:latest") or short.startswith(each) for each in wanted)

    def _on(self, container: Container, wanted: Any) -> bool:
        ids = [container.network_ids.get(name, "") for name in container.networks]
        return any(
            each in container.networks or any(ident and ident.startswith(each) for ident in ids) for each in wanted
        )

    def _between(self, chosen: list[Container], filters: Filters) -> list[Container]:
        for name, older in (("before", True), ("since", False)):
            for ref in filters.get(name, ()):
                pivot = self.containers.find(ref)
                chosen = [
                    each for each in chosen if each is not pivot and (each.created_ns < pivot.created_ns) == older
                ]
        return chosen

    def _line(self, container: Container, size: bool) -> Json:
        shown: Json = {
            "Id": container.id,
            "Names": [f"/{container.name}"],
            "Image": container.image,
            "ImageID": container.image_id,
            "Command": command_text(container.argv),
            "Created": container.created_ns // 1_000_000_000,
            "Ports": self._port_list(container),
            "Labels": container.labels,
            "State": container.status,
            "Status": self.status_text(container),
            "HostConfig": {"NetworkMode": container.network_mode},
            "NetworkSettings": {"Networks": self._networks(container)},
            "Mounts": [],
        }
        if size:
            shown |= self.sizes(container)
        return shown

    def _port_list(self, container: Container) -> list[Json]:
        ports: list[Json] = []
        for port, bindings in self._ports(container).items():
            number, _, proto = port.partition("/")
            inner = {"PrivatePort": int(number), "Type": proto or "tcp"}
            for each in bindings or [{}]:
                outer = {"IP": each["HostIp"], "PublicPort": int(each["HostPort"])} if each else {}
                ports.append(outer | inner)
        return ports

    def status_text(self, container: Container) -> str:
        """The STATUS column: `Up 5 seconds`, `Exited (0) 3 minutes ago`, `Created`."""
        now = self.core.now()
        if container.status == "created":
            return "Created"
        since_end = ago(now - (container.finished_ns or now))
        if container.status == "restarting":
            return f"Restarting ({container.exit_code}) {since_end} ago"
        if container.running:
            up = ago(now - (container.started_ns or now))
            return f"Up {up} (Paused)" if container.status == "paused" else f"Up {up}"
        return f"Exited ({container.exit_code}) {since_end} ago"

    def sizes(self, container: Container) -> Json:
        """What a container has written, and that with its image; nothing written is left out, as Go does."""
        written = self.lifecycle.live(container).disk.size
        return ({"SizeRw": written} if written else {}) | {"SizeRootFs": Image.size + written}

    # -- top --------------------------------------------------------------------------------------------------------

    def top(self, container: Container, ps_args: str) -> Json:
        """`GET /containers/{ref}/top`: ps -ef of the container, with what was started in it by exec."""
        handle = self.lifecycle.live_handle(container)
        if not container.running or handle is None:
            raise conflict(f"container {container.id} is not running")
        started = rfc3339(container.started_ns)[11:16]
        rows = [
            dict(zip(PS_COLUMNS, ["root", str(pid), str(parent), "0", started, "?", "00:00:00", command], strict=True))
            for each in (handle, *self.lifecycle.live(container).execs)
            for pid, parent, command in each.processes()
        ]
        titles = ps_columns(ps_args)
        return {"Titles": titles, "Processes": [[row[PS_SAME.get(title, title)] for title in titles] for row in rows]}

    def stats(self, container: Container) -> Json:
        """`GET /containers/{ref}/stats`: traffic is counted, CPU and memory are not simulated."""
        networks = {}
        if container.running:
            for _, endpoint in self.lifecycle.networking.joined(container):
                dev = self.lifecycle.networking.netns(container).devices[endpoint.ifname]
                networks[endpoint.ifname] = {
                    "rx_bytes": dev.rx_bytes, "rx_packets": dev.rx_packets, "rx_errors": 0,
                    "rx_dropped": dev.rx_dropped, "tx_bytes": dev.tx_bytes, "tx_packets": dev.tx_packets,
                    "tx_errors": 0, "tx_dropped": dev.tx_dropped,
                }  # fmt: skip
        read = rfc3339(self.core.now() if container.running else None)
        return {
            "name": f"/{container.name}", "id": container.id, "read": read, "preread": rfc3339(None),
            "pids_stats": {}, "blkio_stats": {}, "num_procs": 0, "storage_stats": {}, "cpu_stats": {},
            "precpu_stats": {}, "memory_stats": {}, "networks": networks,
        }  # fmt: skip


PS_COLUMNS = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
PS_SAME = {"USER": "UID", "COMMAND": "CMD", "TT": "TTY"}
"""What ps calls the same by another name."""
PS_WORDS = {"uid": "UID", "user": "USER", "pid": "PID", "ppid": "PPID", "c": "C", "stime": "STIME", "tty": "TT",
            "time": "TIME", "cmd": "CMD", "args": "COMMAND"}  # fmt: skip


def ps_columns(words: str) -> list[str]:
    """The titles that ps(1) prints: `-ef` (the default), or `-o` and a list. Raises DockerError."""
    if words in ("", "-ef", "-e -f"):
        return list(PS_COLUMNS)
    given = words.removeprefix("-e").strip()
    names = given.removeprefix("-o").replace(",", " ").split() if given.startswith("-o") else []
    titles = [PS_WORDS.get(name, "") for name in names]
    if not all([*titles, titles]) or "PID" not in titles:
        raise DockerError(501, f"ps {words}: not simulated: -ef, and -o with pid and any of {', '.join(PS_WORDS)}")
    return titles


def command_text(argv: list[str]) -> str:
    """A command line as ps shows it: arguments with blanks in single quotes."""
    return " ".join(f"'{each}'" if " " in each else each for each in argv)
