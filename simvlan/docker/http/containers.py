"""Handlers of the container and exec endpoints. Mirrors api/server/router/container."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvlan.docker.errors import DockerError, invalid
from simvlan.docker.http import system
from simvlan.docker.http.exchange import Exchange, version
from simvlan.docker.http.frames import framed
from simvlan.docker.pending import Pending, Stream
from simvlan.docker.runtime import later

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.docker.archive import Archive

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
PATH_STAT = "X-Docker-Container-Path-Stat"


def listing(exchange: Exchange) -> None:
    """GET /containers/json."""
    request = exchange.request
    found = exchange.engine.container_list(
        all=request.flag("all"), limit=request.number("limit"), size=request.flag("size"), filters=request.filters()
    )
    for each in found:
        each["Created"] += exchange.ahead_ns // 1_000_000_000
    exchange.json(200, found)


def create(exchange: Exchange) -> None:
    """POST /containers/create."""
    request = exchange.request
    if not request.body.strip():
        raise invalid("config cannot be empty in order to create a container")
    made = exchange.engine.container_create(
        request.json(),
        request.query.get("name", ""),
        platform=request.query.get("platform", ""),
        api=request.api,
    )
    exchange.json(201, made)


def inspect(exchange: Exchange) -> None:
    """GET /containers/{ref}/json."""
    request = exchange.request
    exchange.json(200, exchange.engine.container_inspect(request.args[0], size=request.flag("size"), api=request.api))


def prune(exchange: Exchange) -> None:
    """POST /containers/prune."""
    exchange.json(200, exchange.engine.container_prune(exchange.request.filters()))


def top(exchange: Exchange) -> None:
    """GET /containers/{ref}/top."""
    request = exchange.request
    exchange.json(200, exchange.engine.container_top(request.args[0], request.query.get("ps_args", "")))


def stats(exchange: Exchange) -> None:
    """GET /containers/{ref}/stats: one sample, or one a second for as long as the container is there."""
    engine, ref = exchange.engine, exchange.request.args[0]
    if not exchange.request.flag("stream", default=True):
        exchange.json(200, engine.container_stats(ref))
        return
    ident = engine.container_inspect(ref)["Id"]
    pending: list[Timer] = []

    def sample() -> None:
        try:
            told = engine.container_stats(ident)
        except DockerError:
            exchange.finish()
            return
        exchange.write(json.dumps(told, separators=(",", ":")).encode() + b"\n")
        pending[:] = [later(engine.core.net, 1_000_000_000, sample)]

    def stop() -> None:
        for timer in pending:
            timer.cancel()

    exchange.on_gone.append(stop)
    exchange.begin("application/json")
    sample()


def changes(exchange: Exchange) -> None:
    """GET /containers/{ref}/changes."""
    exchange.json(200, exchange.engine.container_changes(exchange.request.args[0]))


def _copied(exchange: Exchange) -> tuple[Archive, str]:
    archive, path = exchange.engine.container_archive(exchange.request.args[0]), exchange.request.query.get("path", "")
    if not path:
        raise invalid("bad parameter: path: cannot be empty")
    return archive, path


def archive_stat(exchange: Exchange) -> None:
    """HEAD /containers/{ref}/archive."""
    archive, path = _copied(exchange)
    exchange.octets(b"", "", [(PATH_STAT, archive.stat(path))])


def archive_get(exchange: Exchange) -> None:
    """GET /containers/{ref}/archive: a file or folder as a tar archive."""
    archive, path = _copied(exchange)
    exchange.octets(archive.pack(path), "application/x-tar", [(PATH_STAT, archive.stat(path))])


def archive_put(exchange: Exchange) -> None:
    """PUT /containers/{ref}/archive: extract a tar archive in a folder."""
    archive, path = _copied(exchange)
    archive.unpack(path, exchange.request.body)
    exchange.empty(200)


def export(exchange: Exchange) -> None:
    """GET /containers/{ref}/export: all files as a tar archive."""
    archive = exchange.engine.container_archive(exchange.request.args[0])
    exchange.octets(archive.export(), "application/octet-stream", [])


def start(exchange: Exchange) -> None:
    """POST /containers/{ref}/start."""
    exchange.empty(204 if exchange.engine.container_start(exchange.request.args[0]) else 304)


def stop(exchange: Exchange) -> None:
    """POST /containers/{ref}/stop."""
    request = exchange.request
    seconds = request.number("t") if request.query.get("t") else None
    _later(exchange, exchange.engine.container_stop(request.args[0], seconds, request.query.get("signal") or None))


def restart(exchange: Exchange) -> None:
    """POST /containers/{ref}/restart."""
    request = exchange.request
    seconds = request.number("t") if request.query.get("t") else None
    _later(exchange, exchange.engine.container_restart(request.args[0], seconds, request.query.get("signal") or None))


def _later(exchange: Exchange, pending: Pending[Any]) -> None:
    """Answer 204 (304 for False) when it is done."""

    def answer(done: Pending[Any]) -> None:
        try:
            exchange.empty(304 if done.value is False else 204)
        except DockerError as error:
            exchange.fail(error)

    exchange.waits = lambda: True
    exchange.on_gone.append(lambda: pending.forget(answer))
    pending.then(answer)


def kill(exchange: Exchange) -> None:
    """POST /containers/{ref}/kill."""
    exchange.engine.container_kill(exchange.request.args[0], exchange.request.query.get("signal", ""))
    exchange.empty(204)


def pause(exchange: Exchange) -> None:
    """POST /containers/{ref}/pause."""
    exchange.engine.container_pause(exchange.request.args[0])
    exchange.empty(204)


def unpause(exchange: Exchange) -> None:
    """POST /containers/{ref}/unpause."""
    exchange.engine.container_unpause(exchange.request.args[0])
    exchange.empty(204)


def rename(exchange: Exchange) -> None:
    """POST /containers/{ref}/rename."""
    exchange.engine.container_rename(exchange.request.args[0], exchange.request.query.get("name", ""))
    exchange.empty(204)


def update(exchange: Exchange) -> None:
    """POST /containers/{ref}/update."""
    body = exchange.request.json()
    exchange.json(200, exchange.engine.container_update(exchange.request.args[0], body))


def resize(exchange: Exchange) -> None:
    """POST /containers/{ref}/resize."""
    request = exchange.request
    exchange.engine.container_resize(request.args[0], request.number("h"), request.number("w"))
    exchange.empty(200)


def remove(exchange: Exchange) -> None:
    """DELETE /containers/{ref}."""
    request = exchange.request
    exchange.engine.container_remove(
        request.args[0], force=request.flag("force"), v=request.flag("v"), link=request.flag("link")
    )
    exchange.empty(204)


def wait(exchange: Exchange) -> None:
    """POST /containers/{ref}/wait: the head at once (clients start the container only then), the status later."""
    request, engine = exchange.request, exchange.engine
    pending = engine.container_wait(request.args[0], request.query.get("condition", ""))
    if not request.query.get("condition"):  # with a condition, whoever waits has attached as well
        exchange.waits = _container(exchange)
    exchange.begin("application/json")

    def answer(done: Pending[Any]) -> None:
        try:
            value = done.value
        except DockerError as error:
            value = {"StatusCode": -1, "Error": {"Message": error.message}}
        exchange.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        exchange.finish()

    exchange.on_gone.append(lambda: pending.forget(answer))
    pending.then(answer)


def _running(exchange: Exchange, pid: Callable[[], int]) -> Callable[[], bool]:
    """Tells whether letting time pass helps a process on: it runs, and does not wait to be typed at."""
    found: Any = None

    def busy() -> bool:
        nonlocal found
        if found is None or found.exit_code is not None:
            number = pid()
            found = getattr(exchange.engine.runtime, "jobs", {}).get(number)
        return found is not None and found.exit_code is None and not found.waits_for_input

    return busy


def _container(exchange: Exchange) -> Callable[[], bool]:
    """The same for the first process of the container in the path."""
    ident = exchange.engine.container_inspect(exchange.request.args[0])["Id"]

    def pid() -> int:
        try:
            return int(exchange.engine.container_inspect(ident)["State"]["Pid"])
        except DockerError:
            return 0

    return _running(exchange, pid)


# -- streams ---------------------------------------------------------------------------------------------------------


def logs(exchange: Exchange) -> None:
    """GET /containers/{ref}/logs."""
    request = exchange.request
    if not (request.flag("stdout") or request.flag("stderr")):
        raise invalid("Bad parameters: you must choose at least one stream")
    stream = exchange.engine.container_logs(
        request.args[0], stdout=request.flag("stdout"), stderr=request.flag("stderr"), follow=request.flag("follow"),
        timestamps=request.flag("timestamps"), since=_engine_time(exchange, "since"),
        until=_engine_time(exchange, "until"), tail=request.query.get("tail", "") or "all",
    )  # fmt: skip
    exchange.waits = _container(exchange)
    exchange.begin(_kind(exchange, stream))
    _copy(exchange, stream)


def _engine_time(exchange: Exchange, name: str) -> str:
    """A moment of the query in the engine's time."""
    text = exchange.request.query.get(name, "")
    if not exchange.ahead_ns or text in ("", "0"):
        return text
    moment = max(0, (system.moment(text) or 0) - exchange.ahead_ns)
    return f"{moment // 1_000_000_000}.{moment % 1_000_000_000:09}"


def _kind(exchange: Exchange, stream: Stream) -> str:
    return RAW if stream.tty or version(exchange.request.api) < (1, 42) else MULTIPLEXED


def _copy(exchange: Exchange, stream: Stream) -> None:
    """Pass a stream on until one of its ends has had enough."""

    def data(number: int, piece: bytes) -> None:
        exchange.write(piece if stream.tty else framed(number, piece))

    exchange.on_gone.append(stream.detach)
    exchange.when_room(stream.resume)
    stream.room = lambda: exchange.has_room
    stream.listen(data, exchange.finish)


def attach(exchange: Exchange) -> None:
    """POST /containers/{ref}/attach."""
    request = exchange.request
    try:
        stream = exchange.engine.container_attach(
            request.args[0], stream=request.flag("stream"), stdin=request.flag("stdin"), stdout=request.flag("stdout"),
            stderr=request.flag("stderr"), logs=request.flag("logs"),
        )  # fmt: skip
    except DockerError as error:
        if request.upgrades:
            raise
        exchange.text(error.status, error.message + "\r\n")
        return
    exchange.waits = _container(exchange)
    exchange.hijack(_kind(exchange, stream), more=False)
    _both_ways(exchange, stream, request.flag("stdin"))


def _both_ways(exchange: Exchange, stream: Stream, stdin: bool) -> None:
    _copy(exchange, stream)
    if stdin:
        exchange.take_input(stream.write, stream.close_stdin, lambda: stream.unread())
    else:
        exchange.take_input(lambda _data: None, lambda: None)


def exec_create(exchange: Exchange) -> None:
    """POST /containers/{ref}/exec."""
    body = exchange.request.json()
    exchange.json(201, exchange.engine.exec_create(exchange.request.args[0], body))


def exec_start(exchange: Exchange) -> None:
    """POST /exec/{id}/start."""
    request, engine = exchange.request, exchange.engine
    ident, body = request.args[0], request.json()
    details = engine.exec_inspect(ident)
    stream = engine.exec_start(ident, body)
    if stream is None:
        exchange.empty(200)
        return
    exchange.waits = _running(exchange, lambda: int(engine.exec_inspect(ident)["Pid"]))
    exchange.hijack(_kind(exchange, stream), more=True)
    _both_ways(exchange, stream, bool(details.get("OpenStdin")))


def exec_resize(exchange: Exchange) -> None:
    """POST /exec/{id}/resize."""
    request = exchange.request
    exchange.engine.exec_resize(request.args[0], request.number("h"), request.number("w"))
    exchange.empty(200)


def exec_inspect(exchange: Exchange) -> None:
    """GET /exec/{id}/json."""
    exchange.json(200, exchange.engine.exec_inspect(exchange.request.args[0]))
