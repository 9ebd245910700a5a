"""What an engine says about itself: ping, version, info. Mirrors the system router of the API."""

from __future__ import annotations

from typing import Any

from simvlan.docker.core import Core

KERNEL = "6.1.176"
BUILT = "2026-01-01T00:00:00.000000000+00:00"


class System:
    """The system endpoints of one engine."""

    def __init__(self, core: Core) -> None:
        self.core = core

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

    def version(self) -> dict[str, Any]:
        """`GET /version`."""
        dialect = self.core.dialect
        common = {"ApiVersion": dialect.api, "GitCommit": "simvlan", "GoVersion": "none", "KernelVersion": KERNEL,
                  "MinAPIVersion": dialect.min_api, "Os": "linux", "Arch": "amd64", "BuildTime": BUILT}  # fmt: skip
        details = {key: str(common[key]) for key in sorted(common)} | {"Experimental": "false"}
        engine = {"Name": "Engine", "Version": dialect.version, "Details": dict(sorted(details.items()))}
        return {"Platform": {"Name": ""}, "Components": [engine], "Version": dialect.version, **common}
