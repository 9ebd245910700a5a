"""One request and what is answered to it. Handlers know this and nothing of sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from simvlan.docker.errors import DockerError, invalid
from simvlan.docker.filters import Filters, parse_filters

if TYPE_CHECKING:
    from simvlan.docker.engine import Engine
    from simvlan.docker.http.connection import Connection

TOLERATED_NS = 2_000_000_000


@dataclass
class Request:
    """What a client asked."""

    method: str
    path: str
    """Without the version."""
    query: dict[str, str]
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes
    api: str
    """The version in the path; the engine's own when there was none."""
    args: tuple[str, ...] = field(default=())
    """What stood where the route has `{...}`."""

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean of the query (httputils.BoolValue)."""
        value = self.query.get(name)
        return default if value is None else value.strip().lower() not in ("", "0", "no", "false", "none")

    def number(self, name: str, default: int = 0) -> int:
        """A whole number of the query. Raises DockerError."""
        value = self.query.get(name, "")
        if not value:
            return default
        try:
            return int(value)
        except ValueError:
            raise invalid(f'strconv.Atoi: parsing "{value}": invalid syntax') from None

    def filters(self) -> Filters:
        """The filters of the query, in either form. Raises DockerError."""
        return parse_filters(self.query.get("filters"))

    def json(self) -> dict[str, Any]:
        """The body as an object; an empty one is {}. Raises DockerError."""
        if not self.body.strip():
            return {}
        kind = self.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise invalid(f"unsupported Content-Type header ({kind}): must be 'application/json'")
        return decoded(self.body)

    @property
    def upgrades(self) -> bool:
        """Whether the client asks for the raw connection."""
        return "upgrade" in self.headers.get("connection", "").lower() and bool(self.headers.get("upgrade"))


def decoded(body: bytes) -> dict[str, Any]:
    """A JSON object, with Go's complaints about what is none. Raises DockerError."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode(errors="replace")
    try:
        value, end = json.JSONDecoder(parse_constant=_no_constant).raw_decode(text.lstrip())
    except RecursionError:
        raise invalid("invalid JSON: exceeded max depth") from None
    except ValueError as error:
        raise invalid(f"invalid JSON: {_go(text.lstrip(), error)}") from None
    if text.lstrip()[end:].strip():
        raise invalid("unexpected content after JSON")
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = {list: "array", str: "string", bool: "bool"}.get(type(value), "number")
        raise invalid(f"invalid JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
    return value


def _no_constant(_text: str) -> Any:
    raise ValueError


def _go(text: str, error: ValueError) -> str:
    """What encoding/json says."""
    at = getattr(error, "pos", 0)
    if at >= len(text):
        return "unexpected EOF"
    where = "looking for beginning of value"
    message = getattr(error, "msg", "")
    if "property name" in message:
        where = "looking for beginning of object key string"
    elif "',' delimiter" in message:
        where = "after object key:value pair"
    elif "':' delimiter" in message:
        where = "after object key"
    shown = text[at]
    return f"invalid character {repr(shown) if shown != chr(39) else chr(39) + chr(92) + chr(39) * 2} {where}"


def query_of(text: str) -> dict[str, str]:
    """The first value of each name, as Go's Form.Get has it."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=200):
        found.setdefault(name, value)
    return found


class Exchange:
    """A request being answered: `json`, `empty` or `fail` once; or `begin` ... `finish`; or `hijack`."""

    def __init__(self, connection: Connection, engine: Engine, request: Request) -> None:
        self.engine, self.request = engine, request
        self.answered = False
        self.gone = False
        self.on_gone: list[Callable[[], None]] = []
        self.waits: Callable[[], bool] = lambda: False
        """Whether the client waits for virtual time to pass."""
        self._connection = connection

    @property
    def ahead_ns(self) -> int:
        """How far the client's clock is ahead of the engine's, which may run on virtual time.

        Clients compute ages, and times such as `--since 10s`, by their own clock.
        """
        ahead = self._connection.wall_ns() - self.engine.core.now()
        return ahead if abs(ahead) > TOLERATED_NS else 0

    def json(self, status: int, value: Any) -> None:
        """Answer with JSON."""
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"
        self._send(status, text.encode(errors="surrogateescape"), "application/json")

    def empty(self, status: int) -> None:
        """Answer without a body."""
        self._send(status, b"", "")

    def text(self, status: int, text: str) -> None:
        """Answer with plain text."""
        self._send(status, text.encode(), "text/plain; charset=utf-8")

    def octets(self, body: bytes, kind: str, headers: list[tuple[str, str]]) -> None:
        """Answer with a body of another kind."""
        if not self.gone and not self.answered:
            self.answered = True
            self._connection.respond(200, body, kind, [*self.headers(), *headers])

    def ping(self) -> None:
        """Answer a ping: everything a client wants to know first is in the headers."""
        self.answered = True
        headers = list(self.engine.ping().items())
        headers += [("Cache-Control", "no-cache, no-store, must-revalidate"), ("Pragma", "no-cache")]
        self._connection.respond(200, b"OK", "text/plain; charset=utf-8", headers)

    def fail(self, error: DockerError) -> None:
        """Answer with an error; once the answer has begun there is no other way than to break off."""
        if self.gone:
            return
        if self.answered:
            self._connection.abort()
        elif version(self.request.api) < (1, 24):
            self.text(error.status, error.message + "\n")
        else:
            self.json(error.status, {"message": error.message})

    def _send(self, status: int, body: bytes, kind: str) -> None:
        if self.gone or self.answered:
            return
        self.answered = True
        self._connection.respond(status, body, kind, self.headers())

    def headers(self) -> list[tuple[str, str]]:
        """What every answer carries."""
        dialect = self.engine.core.dialect
        return [
            ("Api-Version", dialect.api),
            ("Docker-Experimental", "false"),
            ("Ostype", "linux"),
            ("Server", f"Docker/{dialect.version} (linux)"),
        ]

    def begin(self, kind: str) -> None:
        """Send the head of an answer of unknown length."""
        if not self.gone:
            self.answered = True
            self._connection.begin(200, kind, self.headers())

    @property
    def has_room(self) -> bool:
        """Whether the client keeps up with what is written."""
        return self._connection.has_room

    def when_room(self, action: Callable[[], None]) -> None:
        """Be told when a client that did not keep up does again."""
        self._connection.on_room = action

    def write(self, data: bytes) -> None:
        """Send a piece of it."""
        if not self.gone and data:
            self._connection.write(data)

    def finish(self) -> None:
        """That was all."""
        if not self.gone:
            self._connection.finish()

    def hijack(self, kind: str, more: bool) -> None:
        """Take the connection over; *more*: with the headers every answer has. Then `write` and `finish` are raw."""
        if not self.gone:
            self.answered = True
            self._connection.hijack(kind, self.headers() if more else [], self.request.upgrades)

    def take_input(
        self, on_data: Callable[[bytes], None], on_end: Callable[[], None], unread: Callable[[], int] = lambda: 0
    ) -> None:
        """What the client sends on a connection taken over; *unread* says how much of it nobody has taken in."""
        self._connection.on_input(on_data, on_end, unread)

    def leave(self) -> None:
        """The client has gone, or has been answered."""
        self.gone = True
        callbacks, self.on_gone = self.on_gone, []
        for callback in callbacks:
            callback()


def version(text: str) -> tuple[int, int]:
    """`1.41` as numbers."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)
