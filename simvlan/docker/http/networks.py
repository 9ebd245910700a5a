"""Handlers of the network endpoints. Mirrors api/server/router/network."""

from __future__ import annotations

from simvlan.docker.http.exchange import Exchange


def listing(exchange: Exchange) -> None:
    """GET /networks."""
    request = exchange.request
    exchange.json(200, exchange.engine.network_list(request.filters(), api=request.api))


def create(exchange: Exchange) -> None:
    """POST /networks/create."""
    request = exchange.request
    exchange.json(201, exchange.engine.network_create(request.json(), api=request.api))


def inspect(exchange: Exchange) -> None:
    """GET /networks/{ref}."""
    request = exchange.request
    found = exchange.engine.network_inspect(
        request.args[0], verbose=request.flag("verbose"), scope=request.query.get("scope", ""), api=request.api
    )
    exchange.json(200, found)


def remove(exchange: Exchange) -> None:
    """DELETE /networks/{ref}."""
    exchange.engine.network_remove(exchange.request.args[0])
    exchange.empty(204)


def connect(exchange: Exchange) -> None:
    """POST /networks/{ref}/connect."""
    exchange.engine.network_connect(exchange.request.args[0], exchange.request.json())
    exchange.empty(200)


def disconnect(exchange: Exchange) -> None:
    """POST /networks/{ref}/disconnect."""
    exchange.engine.network_disconnect(exchange.request.args[0], exchange.request.json())
    exchange.empty(200)


def prune(exchange: Exchange) -> None:
    """POST /networks/prune."""
    exchange.json(200, exchange.engine.network_prune(exchange.request.filters()))
