"""Handlers of the image endpoints. Mirrors api/server/router/image."""

from __future__ import annotations

import json
from typing import Any

from simvlan.docker.errors import DockerError
from simvlan.docker.http.exchange import Exchange


def listing(exchange: Exchange) -> None:
    """GET /images/json."""
    _aged(exchange, exchange.engine.image_list(exchange.request.filters()))


def _aged(exchange: Exchange, found: list[dict[str, Any]]) -> None:
    """Answer with images that are as old by the client's clock as they are by the engine's."""
    for each in found:
        each["Created"] += exchange.ahead_ns // 1_000_000_000
    exchange.json(200, found)


def create(exchange: Exchange) -> None:
    """POST /images/create: a pull. What an import carries would never be looked at, so it is refused."""
    query = exchange.request.query
    if query.get("fromSrc"):
        raise DockerError(501, "an image's contents are not simulated: name it in `docker run`, any name will do")
    lines = exchange.engine.image_create(query.get("fromImage", ""), query.get("tag", ""))
    exchange.begin("application/json")
    for line in lines:
        exchange.write(json.dumps(line, separators=(",", ":")).encode() + b"\r\n")
    exchange.finish()


def inspect(exchange: Exchange) -> None:
    """GET /images/{ref}/json."""
    exchange.json(200, exchange.engine.image_inspect(exchange.request.args[0]))


def history(exchange: Exchange) -> None:
    """GET /images/{ref}/history."""
    _aged(exchange, exchange.engine.image_history(exchange.request.args[0]))


def tag(exchange: Exchange) -> None:
    """POST /images/{ref}/tag."""
    query = exchange.request.query
    exchange.engine.image_tag(exchange.request.args[0], query.get("repo", ""), query.get("tag", ""))
    exchange.empty(201)


def remove(exchange: Exchange) -> None:
    """DELETE /images/{ref}."""
    found = exchange.engine.image_remove(exchange.request.args[0], force=exchange.request.flag("force"))
    exchange.json(200, found)


def prune(exchange: Exchange) -> None:
    """POST /images/prune."""
    exchange.json(200, exchange.engine.image_prune(exchange.request.filters()))
