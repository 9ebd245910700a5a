"""Which handler answers which request. Mirrors the route tables of moby's api/server/router."""

from __future__ import annotations

import re

from simvlan.docker.errors import DockerError, not_found
from simvlan.docker.http import containers, images, networks, system
from simvlan.docker.http.connection import Handler

ROUTES: list[tuple[str, str, Handler]] = [
    ("HEAD", "/_ping", system.ping),
    ("GET", "/_ping", system.ping),
    ("GET", "/version", system.version),
    ("GET", "/info", system.info),
    ("GET", "/events", system.events),
    ("GET", "/system/df", system.df),
    ("POST", "/build/prune", system.build_prune),
    ("POST", "/auth", system.auth),
    ("GET", "/volumes", system.volumes),
    ("POST", "/volumes/prune", system.volumes_prune),
    ("GET", "/volumes/{}", system.no_volume),
    ("GET", "/plugins", system.plugins),
    ("GET", "/plugins/{}/json", system.no_plugin),
    ("GET", "/networks", networks.listing),
    ("GET", "/networks/", networks.listing),
    ("POST", "/networks/create", networks.create),
    ("POST", "/networks/prune", networks.prune),
    ("GET", "/networks/{...}", networks.inspect),
    ("DELETE", "/networks/{...}", networks.remove),
    ("POST", "/networks/{...}/connect", networks.connect),
    ("POST", "/networks/{...}/disconnect", networks.disconnect),
    ("GET", "/containers/json", containers.listing),
    ("POST", "/containers/create", containers.create),
    ("POST", "/containers/prune", containers.prune),
    ("GET", "/containers/{}/json", containers.inspect),
    ("GET", "/containers/{}/top", containers.top),
    ("GET", "/containers/{}/stats", containers.stats),
    ("GET", "/containers/{}/changes", containers.changes),
    ("GET", "/containers/{}/logs", containers.logs),
    ("GET", "/containers/{}/archive", containers.archive_get),
    ("HEAD", "/containers/{}/archive", containers.archive_stat),
    ("PUT", "/containers/{}/archive", containers.archive_put),
    ("GET", "/containers/{}/export", containers.export),
    ("POST", "/containers/{}/start", containers.start),
    ("POST", "/containers/{}/stop", containers.stop),
    ("POST", "/containers/{}/restart", containers.restart),
    ("POST", "/containers/{}/kill", containers.kill),
    ("POST", "/containers/{}/pause", containers.pause),
    ("POST", "/containers/{}/unpause", containers.unpause),
    ("POST", "/containers/{}/rename", containers.rename),
    ("POST", "/containers/{}/update", containers.update),
    ("POST", "/containers/{}/resize", containers.resize),
    ("POST", "/containers/{}/wait", containers.wait),
    ("POST", "/containers/{}/attach", containers.attach),
    ("POST", "/containers/{}/exec", containers.exec_create),
    ("DELETE", "/containers/{}", containers.remove),
    ("POST", "/exec/{}/start", containers.exec_start),
    ("POST", "/exec/{}/resize", containers.exec_resize),
    ("GET", "/exec/{}/json", containers.exec_inspect),
    ("GET", "/images/json", images.listing),
    ("POST", "/images/create", images.create),
    ("POST", "/images/prune", images.prune),
    ("GET", "/images/{...}/json", images.inspect),
    ("GET", "/images/{...}/history", images.history),
    ("POST", "/images/{...}/tag", images.tag),
    ("DELETE", "/images/{...}", images.remove),
]
"""Method, path and handler; `{}` stands for one piece of a path, `{...}` for several."""

UNBUILT = (
    "/build", "/checkpoints", "/commit", "/configs", "/containers/{}/attach/ws",
    "/containers/{}/checkpoints", "/distribution", "/grpc", "/images/get", "/images/load",
    "/images/search", "/images/{}/get", "/images/{}/push", "/nodes", "/plugins", "/secrets", "/services", "/session",
    "/swarm", "/tasks", "/volumes",
)  # fmt: skip
"""What a Docker engine can do and this one cannot: 501, not 404."""


def _compiled(path: str, rest: bool = False) -> re.Pattern[str]:
    pieces = re.split(r"(\{\}|\{\.\.\.\})", path)
    holes = {"{}": "([^/]+)", "{...}": "(.+)"}
    return re.compile("".join(holes.get(piece, re.escape(piece)) for piece in pieces) + ("(?:/.*)?" if rest else ""))


_TABLE = [(method, _compiled(path), handler) for method, path, handler in ROUTES]
_UNBUILT = [_compiled(path, rest=True) for path in UNBUILT]


def route(method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
    """Find the handler of a request and the variable pieces of its path. Raises DockerError: 404, 501."""
    if method == "OPTIONS":
        return system.options, ()
    for wanted, pattern, handler in _TABLE:
        found = pattern.fullmatch(path) if wanted == method else None
        if found is not None:
            return handler, found.groups()
    if any(pattern.fullmatch(path) for pattern in _UNBUILT):
        raise DockerError(501, f"{method} {path}: not simulated: this engine has networks and containers only")
    raise not_found("page not found")
