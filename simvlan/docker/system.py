"""What an engine says about itself: ping, version, info, disk use. Mirrors the system router of the API."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from simvlan.docker.images import summary
from simvlan.docker.times import rfc3339

if TYPE_CHECKING:
    from simvlan.docker.containers import Containers
    from simvlan.docker.core import Core
    from simvlan.docker.images import Images

Json = dict[str, Any]
BUILT = "2026-01-01T00:00:00.000000000+00:00"
DRIVERS = ["bridge", "host", "ipvlan", "macvlan", "null"]
MEMORY = 4 << 30
FIXED_INFO: Json = {
    "Driver": "vfs",
    "DriverStatus": None,
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsPeriod": True,
    "CpuCfsQuota": True,
    "CPUShares": True,
    "CPUSet": True,
    "PidsLimit": True,
    "Debug": False,
    "NFd": 0,
    "OomKillDisable": False,
    "NGoroutines": 0,
    "LoggingDriver": "json-file",
    "CgroupDriver": "cgroupfs",
    "CgroupVersion": "2",
    "OperatingSystem": "simvlan",
    "OSVersion": "",
    "OSType": "linux",
    "Architecture": "x86_64",
    "IndexServerAddress": "https://index.docker.io/v1/",
    "RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": [], "Mirrors": None},
    "NCPU": 1,
    "MemTotal": MEMORY,
    "GenericResources": None,
    "DockerRootDir": "/var/lib/docker",
    "HttpProxy": "",
    "HttpsProxy": "",
    "NoProxy": "",
    "Labels": [],
    "ExperimentalBuild": False,
    "Runtimes": {"runc": {"path": "runc"}},
    "DefaultRuntime": "runc",
    "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False,
              "Error": "", "RemoteManagers": None},
    "LiveRestoreEnabled": False,
    "Isolation": "",
    "InitBinary": "docker-init",
    "ContainerdCommit": {"ID": ""},
    "RuncCommit": {"ID": ""},
    "InitCommit": {"ID": ""},
    "SecurityOptions": None,
    "CDISpecDirs": None,
    "Warnings": None,
}  # fmt: skip
"""What `GET /info` says of every simulated engine."""


class System:
    """The system endpoints of one engine."""

    def __init__(self, core: Core, containers: Containers, images: Images) -> None:
        self.core, self.containers, self.images = core, containers, images

    def ping(self) -> dict[str, str]:
        """The headers of a ping, in the engine's order."""
        dialect = self.core.dialect
        return {
            "Api-Version": dialect.api,
            "Builder-Version": "2",
            "Docker-Experimental": "false",
            "Ostype": "linux",
            "Server": f"Docker/{dialect.version} (linux)",
            "Swarm": "inactive",
        }

    def version(self) -> Json:
        """`GET /version`."""
        dialect = self.core.dialect
        common = {
            "ApiVersion": dialect.api,
            "MinAPIVersion": dialect.min_api,
            "GitCommit": "simvlan",
            "GoVersion": "none",
            "Os": "linux",
            "Arch": "amd64",
            "KernelVersion": self.core.kernel,
            "BuildTime": BUILT,
        }
        details = dict(sorted((common | {"Experimental": "false"}).items()))
        engine = {"Name": "Engine", "Version": dialect.version, "Details": details}
        return {"Platform": {"Name": ""}, "Components": [engine], "Version": dialect.version, **common}

    def info(self) -> Json:
        """`GET /info`: what is true of a simulated engine."""
        states = [each.status for each in self.containers.all.values()]
        paused, running = states.count("paused"), states.count("running") + states.count("restarting")
        forwards = self.core.host.stack.conf_all.get("forwarding")
        return FIXED_INFO | {
            "ID": f"simvlan-{self.core.hostname}",
            "Containers": len(states),
            "ContainersRunning": running,
            "ContainersPaused": paused,
            "ContainersStopped": len(states) - running - paused,
            "Images": len(self.images.all),
            "Plugins": {"Volume": ["local"], "Network": DRIVERS, "Authorization": None, "Log": ["json-file"]},
            "IPv4Forwarding": bool(forwards),
            "SystemTime": rfc3339(self.core.now()),
            "NEventsListener": self.core.events.listeners,
            "KernelVersion": self.core.kernel,
            "Name": self.core.hostname,
            "ServerVersion": self.core.dialect.version,
        }

    def df(self, containers: list[Json]) -> Json:
        """`GET /system/df`, given the containers as they are listed with their sizes."""
        used = Counter(each["ImageID"] for each in containers)
        shown = [summary(image) for image in self.images.all.values()]
        images = [image | {"Containers": used[image["Id"]], "SharedSize": 0} for image in shown]
        return {
            "LayersSize": sum(image["Size"] for image in images),
            "Images": images,
            "Containers": containers,
            "Volumes": [],
            "BuildCache": None,
            "BuilderSize": 0,
        }
