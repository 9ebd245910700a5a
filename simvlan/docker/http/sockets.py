"""The sockets of a world's engines: one Unix socket a node, for its owner only."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simvlan.docker.http.connection import BACKLOG, Connection
from simvlan.docker.http.router import route
from simvlan.docker.private import CREDENTIALS, SocketTaken, clear, may_speak

if TYPE_CHECKING:
    from simvlan.docker.engine import Engine

PIECE = 1 << 18
PATH_LIMIT = 107
PAUSE_S = 0.002
FLOOD = 64 << 20
"""Octets waiting for a client beyond which it is given up."""


class Client:
    """A connection on its socket."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        self.sock, self.connection = sock, connection
        self.reading = True
        self.stuffed = False
        """It is not read from until what it has sent has been taken in."""
        self.resumes = 0.0
        """When sending goes on, by the wall's clock."""


class Sockets:
    """Every listening socket and client of a world. Whoever runs the world polls the selector."""

    def __init__(self, selector: selectors.BaseSelector, wall: Callable[[], float] = time.time) -> None:
        self._selector, self._wall = selector, wall
        self.order: Callable[[int], Any] | None = None
        """Sorts requests that are begun together, by the client's pid; None: as they came."""
        self.log: Callable[[str], None] | None = None
        """Told of each answer."""
        self._listeners: list[tuple[socket.socket, Path]] = []
        self._clients: dict[int, Client] = {}
        self._asking: list[Connection] = []
        self._dirty: dict[int, Client] = {}
        self._pausing: list[Client] = []

    # -- listening ---------------------------------------------------------------------------------------------------

    def listen(self, path: Path, engine: Engine) -> None:
        """Serve an engine on a socket that only its owner may open. Raises SocketTaken."""
        if len(os.fsencode(path)) > PATH_LIMIT:
            raise SocketTaken(f"{path}: too long for a socket's name ({PATH_LIMIT} octets at most)")
        clear(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        except OSError as error:
            sock.close()
            raise SocketTaken(f"{path}: {error.strerror}") from None
        finally:
            os.umask(before)
        sock.listen(1024)
        sock.setblocking(False)
        self._listeners.append((sock, path))
        self._selector.register(sock, selectors.EVENT_READ, lambda _mask: self._accept(sock, engine))

    def _accept(self, listener: socket.socket, engine: Engine) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = listener.accept()
                if may_speak(sock):
                    self._admit(sock, engine)
                else:
                    sock.close()

    def _admit(self, sock: socket.socket, engine: Engine) -> None:
        sock.setblocking(False)
        client = Client(sock, Connection(engine, route, self._wall))
        connection = client.connection
        connection.pid = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[0]
        if self.log is not None:
            connection.log = self.log
        connection.on_request = lambda: self._asking.append(connection)

        def has_output() -> None:
            self._dirty.setdefault(sock.fileno(), client)

        connection.on_output = has_output
        self._clients[sock.fileno()] = client
        self._selector.register(sock, selectors.EVENT_READ, lambda mask: self._ready(client, mask))

    # -- clients -----------------------------------------------------------------------------------------------------

    def _ready(self, client: Client, mask: int) -> None:
        try:
            if mask & selectors.EVENT_READ:
                self._receive(client)
        except Exception as error:  # one client's trouble must not end the others
            print("simvlan: internal error, please report it", file=sys.stderr)
            traceback.print_exception(error)
            client.connection.lost()
        self._settle(client)

    def _receive(self, client: Client) -> None:
        try:
            data = client.sock.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            client.connection.lost()
            return
        if not data:
            client.reading = False
            if client.connection.hijacked and _hung_up(client.sock):
                client.connection.lost()
                return
        client.connection.feed(data)

    def _settle(self, client: Client) -> None:
        """Send what can be sent, then watch for what remains."""
        connection, sock = client.connection, client.sock
        if sock.fileno() < 0:
            return
        self._dirty.pop(sock.fileno(), None)
        if not connection.broken:
            self._send(client)
            connection.sent()
        if len(connection.outgoing) > FLOOD:
            connection.lost()
        if connection.broken or (connection.closing and not connection.outgoing):
            if client in self._pausing:
                self._pausing.remove(client)
            self._close(client)
            return
        client.stuffed = client.connection.stuffed
        events = selectors.EVENT_READ if client.reading and not client.stuffed else 0
        events |= selectors.EVENT_WRITE if connection.outgoing and client not in self._pausing else 0
        self._watch(client, events)

    def _send(self, client: Client) -> None:
        connection, outgoing = client.connection, client.connection.outgoing
        try:
            while outgoing and client not in self._pausing:
                sent = client.sock.send(memoryview(outgoing)[: connection.alone or PIECE])
                del outgoing[:sent]
                if connection.alone:
                    connection.alone -= sent
                    client.resumes = time.monotonic() + PAUSE_S
                    self._pausing.append(client)
        except BlockingIOError:
            pass
        except OSError:
            client.connection.lost()

    def _watch(self, client: Client, events: int) -> None:
        key = self._selector.get_map().get(client.sock)
        if key is not None and key.events == events:
            return
        if key is not None and not events:
            self._selector.unregister(client.sock)
        elif key is not None:
            self._selector.modify(client.sock, events, key.data)
        elif events:
            self._selector.register(client.sock, events, lambda mask: self._ready(client, mask))

    def _close(self, client: Client) -> None:
        client.connection.lost()
        self._watch(client, 0)
        self._clients.pop(client.sock.fileno(), None)
        with contextlib.suppress(OSError):
            client.sock.shutdown(socket.SHUT_WR)
            while client.sock.recv(PIECE):  # unread input would turn our last words into a reset
                pass
        client.sock.close()

    # -- for whoever runs the world ----------------------------------------------------------------------------------

    @property
    def asked(self) -> bool:
        """Whether requests wait to be begun."""
        return bool(self._asking)

    @property
    def unsent(self) -> bool:
        """Whether there is output that has not been offered to its client."""
        return bool(self._dirty) or any(client.connection.outgoing for client in self._pausing)

    def pause(self) -> float | None:
        """How long until something goes on by itself, in seconds of the wall's clock; what may, goes on."""
        now = time.monotonic()
        for client in [client for client in self._pausing if client.resumes <= now]:
            self._pausing.remove(client)
            self._settle(client)
        return min((client.resumes - now for client in self._pausing), default=None)

    @property
    def held_up(self) -> bool:
        """Whether a client does not keep up with what it is sent; time that races waits for it."""
        return any(len(client.connection.outgoing) > BACKLOG for client in self._clients.values())

    @property
    def waiting(self) -> bool:
        """Whether some client waits for virtual time to pass."""
        return any(client.connection.waits for client in self._clients.values())

    def begin(self) -> None:
        """Begin the requests that have come, in the order in which they came."""
        asking, self._asking = self._asking, []
        order = self.order
        if order is not None:
            asking.sort(key=lambda connection: order(connection.pid))
        for connection in asking:
            connection.begin_pending()

    def flush(self) -> None:
        """Send what there is to send."""
        while self._dirty:
            _, client = self._dirty.popitem()
            self._settle(client)

    def flush_one(self) -> None:
        """Send one client what there is for it, the first that has anything; everybody has read what came before."""
        while self._pausing:
            client = self._pausing.pop(0)
            self._dirty.setdefault(client.sock.fileno(), client)
        for client in list(self._dirty.values())[:1]:
            self._settle(client)

    def reap(self) -> None:
        """Notice clients that closed a connection they had half-closed before, and those that may send again."""
        for client in list(self._clients.values()):
            if client.stuffed and _hung_up(client.sock):
                client.connection.lost()
            if client.stuffed and (client.connection.broken or not client.connection.stuffed):
                self._settle(client)
            if not client.reading and client.connection.hijacked and _hung_up(client.sock):
                client.connection.lost()
                self._settle(client)

    def close(self) -> None:
        """Close everything and take the sockets' files away."""
        for client in list(self._clients.values()):
            self._close(client)
        for sock, path in self._listeners:
            self._selector.unregister(sock)
            sock.close()
            with contextlib.suppress(OSError):
                path.unlink()
        self._listeners.clear()


def _hung_up(sock: socket.socket) -> bool:
    """Whether the other side has closed the connection, not only its own direction."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))
