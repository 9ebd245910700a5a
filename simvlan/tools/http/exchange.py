"""A client's connection: requests and responses on a socket, as h11 reads and writes them (RFC 9112).

What goes wrong is one `Failure`, which each program words in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import h11

from simvlan.tools.talk import Talk

Headers = Sequence[tuple[str, str]]
EMPTY, RESET, GARBAGE, SHORT, LATE = "empty", "reset", "garbage", "short", "late"


class Failure(Exception):  # noqa: N818 - what happened
    """An exchange that came to nothing.

    Args:
        kind: EMPTY (closed before any octet), RESET, GARBAGE (no HTTP), SHORT (closed in a body) or LATE.
        missing: octets of the body that did not come.
    """

    def __init__(self, kind: str, missing: int = 0) -> None:
        self.kind, self.missing = kind, missing
        super().__init__(kind)


@dataclass
class Head:
    """A response without its body."""

    status: int
    reason: str
    version: str
    headers: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str, usual: str = "") -> str:
        """The value of a header, whatever its letters' case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), usual)

    @property
    def length(self) -> int | None:
        """The body's length, as it is told."""
        text = self.get("content-length")
        return int(text) if text.isdigit() else None

    @property
    def lines(self) -> list[str]:
        """Status line and headers, as they came."""
        first = f"HTTP/{self.version} {self.status} {self.reason}".rstrip(" ")
        return [first, *(f"{key}: {value}".rstrip(" ") for key, value in self.headers)]


class Connection:
    """One connection to a server."""

    def __init__(self, talk: Talk, sock: Any) -> None:
        self.talk, self.sock = talk, sock
        self.http = h11.Connection(h11.CLIENT)
        self.arrived = 0
        """Octets that came since the last request."""
        self.last = 0
        """Octets of the last piece that came and are not yet read by the codec's user."""
        self._length: int | None = None
        self._taken = 0

    def request(self, method: str, target: str, headers: Headers, body: bytes = b"", version: str = "1.1") -> bytes:
        """What a request looks like on the wire; `send` sends it."""
        head = self.http.send(h11.Request(method=method, target=target, headers=list(headers))) or b""
        self.http.send(h11.Data(data=body))
        self.http.send(h11.EndOfMessage())
        self.arrived = 0
        return head.replace(b" HTTP/1.1\r\n", f" HTTP/{version}\r\n".encode(), 1)

    def send(self, data: bytes) -> Generator[Any, Any, None]:
        """Send octets. Raises Failure."""
        try:
            yield from self.talk.send(self.sock, data)
        except OSError:
            if not self.sock.readable:
                raise Failure(RESET) from None

    def head(self, by_ns: int | None = None) -> Generator[Any, Any, Head]:
        """Wait for a response. Raises Failure."""
        while True:
            found = yield from self._event(by_ns)
            if isinstance(found, h11.Response):
                break
        headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in found.headers.raw_items()]
        head = Head(found.status_code, found.reason.decode("latin-1"), found.http_version.decode(), headers)
        self._length, self._taken = head.length, 0
        return head

    def body(self, take: Callable[[bytes], None], by_ns: int | None = None) -> Generator[Any, Any, None]:
        """Hand over a response's body piece by piece. Raises Failure."""
        while True:
            found = yield from self._event(by_ns)
            if isinstance(found, h11.Data):
                data = bytes(found.data)
                self._taken += len(data)
                take(data)
            elif isinstance(found, h11.EndOfMessage | h11.ConnectionClosed):
                return

    @property
    def pending(self) -> int:
        """Octets that have come and were not read."""
        return len(self.http.trailing_data[0])

    @property
    def lasts(self) -> bool:
        """Whether another request may follow."""
        return self.http.our_state is h11.DONE and self.http.their_state is h11.DONE

    def again(self) -> None:
        """Make ready for another request."""
        self.http.start_next_cycle()

    def _event(self, by_ns: int | None) -> Generator[Any, Any, Any]:
        while True:
            try:
                found = self.http.next_event()
            except h11.RemoteProtocolError:
                raise self._broken() from None
            if found is not h11.NEED_DATA:
                return found
            yield from self._more(by_ns)

    def _broken(self) -> Failure:
        """What a protocol error comes down to."""
        if self.http.their_state is not h11.ERROR or self._length is None:
            return Failure(GARBAGE)
        return Failure(SHORT, self._length - self._taken)

    def _more(self, by_ns: int | None) -> Generator[Any, Any, None]:
        sock = self.sock
        if not (yield from self.talk.until(lambda: sock.readable or sock.error, by_ns)):
            raise Failure(LATE)
        try:
            data = sock.recv()
        except OSError:
            raise Failure(RESET) from None
        self.arrived += len(data)
        if not self.arrived:
            raise Failure(EMPTY)
        self.http.receive_data(data)
