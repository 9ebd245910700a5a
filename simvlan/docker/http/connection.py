"""One client's connection: h11 between octets and requests. Knows no socket: octets in, octets out.

A connection can be taken over (attach, exec): from then on octets pass as they are, and the end of the client's side
means the end of input, not that the client has left.
"""

from __future__ import annotations

import email.utils
import re
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import h11

from simvlan.docker.errors import DockerError, invalid, not_found
from simvlan.docker.http.exchange import Exchange, Request, query_of, version

if TYPE_CHECKING:
    from simvlan.docker.engine import Engine

BODY_LIMIT = 8 << 20
HEAD_LIMIT = 64 << 10
BACKLOG = 1 << 20
"""Octets waiting for a client beyond which whoever writes them waits (as in moby's pkg/ioutils BytesPipe)."""
VERSIONED = re.compile(r"/v(\d+\.\d+)(/.*)")

Handler = Callable[[Exchange], None]


class Connection:
    """Octets from a client become calls of handlers, their answers become octets.

    Args:
        engine: whose API it is.
        route: finds the handler of a request, and the arguments in its path.
        wall: the time of day in seconds, for the Date header.
    """

    def __init__(
        self,
        engine: Engine,
        route: Callable[[str, str], tuple[Handler, tuple[str, ...]]],
        wall: Callable[[], float],
    ) -> None:
        self.engine, self._route, self._wall = engine, route, wall
        self.pid = 0
        """The client's process."""
        self.exchange: Exchange | None = None
        self.closing = False
        """Close once everything is sent."""
        self.broken = False
        """Close at once."""
        self.outgoing = bytearray()
        self.alone = 0
        """So many of the next octets are sent by themselves, and what follows a moment later.

        Clients read the head of an answer through a buffer and the stream after it without: Python's docker package
        loses what comes with the head.
        """
        self.unread: Callable[[], int] = lambda: 0
        """Octets that have come and that nobody has taken in."""
        self.on_room: Callable[[], None] | None = None
        """Told when a client that was too slow has read most of what waited for it."""
        self._short = False
        self.pending: list[Callable[[], None]] = []
        """Requests that have been read and wait to be begun."""
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        self._head: Any = None
        self._body = bytearray()
        self._raw = False
        self._ended = False
        self._early = bytearray()
        self._on_data: Callable[[bytes], None] | None = None
        self._on_end: Callable[[], None] | None = None

    @property
    def hijacked(self) -> bool:
        """Whether octets pass as they are."""
        return self._raw

    @property
    def waits(self) -> bool:
        """Whether the client waits for virtual time to pass."""
        return self.exchange is not None and self.exchange.waits()

    @property
    def has_room(self) -> bool:
        """Whether the client keeps up."""
        self._short = self._short or len(self.outgoing) > BACKLOG
        return not self._short

    @property
    def stuffed(self) -> bool:
        """Whether the client has sent more than it is read."""
        return self._raw and self.unread() > BACKLOG

    def sent(self) -> None:
        """Some of what waited has been sent."""
        if self._short and len(self.outgoing) <= BACKLOG // 2:
            self._short = False
            if self.on_room is not None:
                self.on_room()

    # -- from the client ---------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take octets; b"" is the end of the client's side."""
        if self._raw:
            self._input(data)
            return
        if self._ended and data:
            return
        self._ended = self._ended or not data
        if not data and (self.exchange is not None or not self.pending):
            self.lost()
            return
        try:
            self._http.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def _input(self, data: bytes) -> None:
        if self._on_data is None or self._on_end is None:
            self._early += data
            self._ended = self._ended or not data
        elif data:
            self._on_data(data)
        elif not self._ended:
            self._ended = True
            self._on_end()

    def _read(self) -> None:
        """Read the next request, if it is whole and nothing is being answered."""
        while self.exchange is None and not self.pending and not self.closing:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._head = event
                self._body.clear()
                if self._http.they_are_waiting_for_100_continue:
                    self._emit(h11.InformationalResponse(status_code=100, headers=[]))
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > BODY_LIMIT:
                    self._refuse(413)
            elif isinstance(event, h11.EndOfMessage):
                self.pending.append(self._begin)
                self.on_request()
            else:
                return

    log: Callable[[str], None] = staticmethod(lambda _line: None)
    """Told of each answer: `GET /v1.50/networks -> 200 OK`."""

    def _note(self, status: int) -> None:
        if self._head is not None:
            method, target = self._head.method.decode("latin-1"), self._head.target.decode("latin-1")
            self.log(f"{method} {target} -> {status} {REASONS.get(status, '')}")

    on_request: Callable[[], None] = staticmethod(lambda: None)
    """Told that a request waits to be begun."""

    def _refuse(self, status: int) -> None:
        """What is no HTTP."""
        self.closing = True
        text = {413: "Request Entity Too Large", 431: "Request Header Fields Too Large"}.get(status, "Bad Request")
        line = f"HTTP/1.1 {status} {text}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
        self.outgoing += line.encode() + f"{status} {text}".encode()

    def begin_pending(self) -> None:
        """Begin what has been read."""
        pending, self.pending = self.pending, []
        for action in pending:
            action()

    def _begin(self) -> None:
        head = self._head
        target = head.target.decode("latin-1")
        path, _, query = target.partition("?")
        found = VERSIONED.fullmatch(path)
        dialect = self.engine.core.dialect
        api = found[1] if found else dialect.api
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
        request = Request(
            head.method.decode("latin-1"), found[2] if found else path, {}, headers, bytes(self._body), api
        )
        exchange = self.exchange = Exchange(self, self.engine, request)
        try:
            if found:
                _check_version(api, dialect.min_api, dialect.api)
            request.query = _query(query)
            handler, args = self._route(request.method, request.path)
            request.args = tuple(unquote(arg, errors="replace") for arg in args)
            handler(exchange)
        except DockerError as error:
            exchange.fail(error)
        except Exception as error:
            print(f"simvlan: {request.method} {target}: internal error, please report it", file=sys.stderr)
            traceback.print_exception(error)
            exchange.fail(DockerError(500, f"simvlan: internal error: {type(error).__name__}"))

    # -- to the client -----------------------------------------------------------------------------------------------

    def respond(self, status: int, body: bytes, kind: str, headers: list[tuple[str, str]]) -> None:
        """Send a whole answer."""
        self._note(status)
        made = [*headers, ("Date", self._date())]
        if kind:
            made.insert(1, ("Content-Type", kind))
        head_only = self.exchange is not None and self.exchange.request.method == "HEAD"
        if status not in (204, 304):
            made.append(("Content-Length", str(0 if head_only else len(body))))
        self._emit(h11.Response(status_code=status, headers=sorted(made), reason=REASONS.get(status, "")))
        if body and not head_only and status not in (204, 304):
            self._emit(h11.Data(data=body))
        self._emit(h11.EndOfMessage())
        self._next()

    def begin(self, status: int, kind: str, headers: list[tuple[str, str]]) -> None:
        """Send the head of an answer in chunks."""
        self._note(status)
        made = [*headers, ("Content-Type", kind), ("Date", self._date()), ("Transfer-Encoding", "chunked")]
        self._emit(h11.Response(status_code=status, headers=sorted(made), reason=REASONS.get(status, "")))

    def write(self, data: bytes) -> None:
        """Send a piece of an answer, or of a stream."""
        if self._raw:
            self.outgoing += data
        else:
            self._emit(h11.Data(data=data))
        self.on_output()

    def finish(self) -> None:
        """End an answer in chunks, or a stream."""
        if self._raw:
            self.closing = True
            if self.exchange is not None:
                self.exchange.leave()
            self.on_output()
            return
        self._emit(h11.EndOfMessage())
        self._next()

    on_output: Callable[[], None] = staticmethod(lambda: None)
    """Told that there is something to send."""

    def hijack(self, kind: str, headers: list[tuple[str, str]], upgraded: bool) -> None:
        """Answer, and let octets pass as they are from here on."""
        status = "101 UPGRADED" if upgraded else "200 OK"
        self._note(101 if upgraded else 200)
        lines = [f"Content-Type: {kind}"]
        lines += ["Connection: Upgrade", "Upgrade: tcp"] if upgraded else []
        lines += [f"{name}: {value}" for name, value in headers]
        self.outgoing += (f"HTTP/1.1 {status}\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()
        self.alone = len(self.outgoing)
        trailing, _ = self._http.trailing_data
        self._raw = True
        self._early += trailing
        self.on_output()

    def on_input(self, on_data: Callable[[bytes], None], on_end: Callable[[], None], unread: Callable[[], int]) -> None:
        """Pass the client's octets on, what has come already first."""
        self._on_data, self._on_end, self.unread = on_data, on_end, unread
        early, self._early = bytes(self._early), bytearray()
        if early:
            on_data(early)
        if self._ended:
            on_end()

    def abort(self) -> None:
        """Break off an answer that has begun."""
        self.broken = True
        self.on_output()

    def lost(self) -> None:
        """The client has gone."""
        self.broken = True
        self.pending.clear()
        if self.exchange is not None:
            exchange, self.exchange = self.exchange, None
            exchange.leave()

    def wall_ns(self) -> int:
        """The time of day in ns."""
        return int(self._wall() * 1e9)

    def _date(self) -> str:
        return email.utils.formatdate(self._wall(), usegmt=True)

    def _emit(self, event: Any) -> None:
        self.outgoing += self._http.send(event) or b""
        self.on_output()

    def _next(self) -> None:
        """The answer is complete: on to the next request, or away."""
        self.on_room = None
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.leave()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._read()
        else:
            self.closing = True


REASONS = {
    101: "UPGRADED", 200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    409: "Conflict", 500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
}  # fmt: skip


def _query(text: str) -> dict[str, str]:
    try:
        return query_of(text)
    except ValueError:
        raise invalid("invalid URL query") from None


def _check_version(asked: str, least: str, most: str) -> None:
    if len(asked) > 12:
        raise not_found("page not found")
    if version(asked) < version(least):
        raise invalid(
            f"client version {asked} is too old. Minimum supported API version is {least}, please upgrade your client"
            " to a newer version"
        )
    if version(asked) > version(most):
        raise invalid(f"client version {asked} is too new. Maximum supported API version is {most}")
