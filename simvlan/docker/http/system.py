"""Handlers of what an engine says about itself. Mirrors api/server/router/system and volume."""

from __future__ import annotations

import json
from typing import Any

from simvlan.clock import SECOND
from simvlan.docker.errors import invalid, not_found
from simvlan.docker.http.exchange import Exchange
from simvlan.docker.runtime import later


def ping(exchange: Exchange) -> None:
    """HEAD and GET /_ping."""
    exchange.ping()


def options(exchange: Exchange) -> None:
    """OPTIONS of anything."""
    exchange.empty(200)


def version(exchange: Exchange) -> None:
    """GET /version."""
    exchange.json(200, exchange.engine.version())


def info(exchange: Exchange) -> None:
    """GET /info."""
    exchange.json(200, exchange.engine.info())


def df(exchange: Exchange) -> None:
    """GET /system/df."""
    exchange.json(200, exchange.engine.df())


def build_prune(exchange: Exchange) -> None:
    """POST /build/prune: nothing is ever built."""
    exchange.json(200, {"CachesDeleted": None, "SpaceReclaimed": 0})


def auth(exchange: Exchange) -> None:
    """POST /auth: there is no registry to log in to."""
    raise invalid("no registry is simulated: every image name is accepted without logging in")


def volumes(exchange: Exchange) -> None:
    """GET /volumes."""
    exchange.json(200, exchange.engine.volume_list(exchange.request.filters()))


def volumes_prune(exchange: Exchange) -> None:
    """POST /volumes/prune."""
    exchange.json(200, {"VolumesDeleted": [], "SpaceReclaimed": 0})


def no_volume(exchange: Exchange) -> None:
    """GET /volumes/{name}."""
    raise not_found(f"get {exchange.request.args[0]}: no such volume")


def plugins(exchange: Exchange) -> None:
    """GET /plugins."""
    exchange.json(200, [])


def no_plugin(exchange: Exchange) -> None:
    """GET /plugins/{name}/json."""
    raise not_found(f'plugin "{exchange.request.args[0]}" not found')


def events(exchange: Exchange) -> None:
    """GET /events: what has been since, then what happens until."""
    request, engine = exchange.request, exchange.engine
    filters, now = request.filters(), engine.core.now()
    since, until = (moment(request.query.get(name, ""), exchange.ahead_ns) for name in ("since", "until"))
    if since is not None and until is not None and since > until:
        raise invalid(
            f"`since` time ({request.query['since']}) cannot be after `until` time ({request.query['until']})"
        )
    past = engine.past_events(filters, since, until) if since is not None else []

    def tell(event: dict[str, Any]) -> None:
        exchange.write(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")

    if until is not None and until <= now:
        exchange.begin("application/json")
        for event in past:
            tell(event)
        exchange.finish()
        return
    stop = engine.events(tell, filters)
    exchange.on_gone.append(stop)
    exchange.begin("application/json")
    for event in past:
        tell(event)
    if until is not None:
        exchange.waits = lambda: True
        timer = later(engine.core.net, until - now, exchange.finish)
        exchange.on_gone.append(timer.cancel)


def moment(text: str, ahead_ns: int = 0) -> int | None:
    """A time of the query (seconds, with a fraction) in ns of the engine; None when there is none."""
    if not text:
        return None
    seconds, _, fraction = text.partition(".")
    if not seconds.lstrip("-").isdigit() or (fraction and not fraction.isdigit()) or len(text) > 40:
        raise invalid(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(seconds) * SECOND + int(fraction[:9].ljust(9, "0") or 0) - ahead_ns
