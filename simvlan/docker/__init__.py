"""Docker's engine over the simulated kernel: networks, address management, drivers and containers, one engine per node.

Docker's words (*parent*, *network*, *container*) live here and nowhere below. The engine speaks Docker's API shapes as
plain dictionaries; `http/` puts them on a socket, `programs/` are what runs in a container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simvlan.docker.engine import Engine as Engine
    from simvlan.docker.errors import DockerError as DockerError

__all__ = ["DockerError", "Engine"]


def __getattr__(name: str) -> Any:
    """Load the engine only for those who ask for it."""
    if name == "Engine":
        from simvlan.docker.engine import Engine

        return Engine
    if name == "DockerError":
        from simvlan.docker.errors import DockerError

        return DockerError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
