"""docker-proxy: what reaches a published port without NAT (from the node's loopback, or from a container) is relayed.

Mirrors cmd/docker-proxy: a socket on the node for each published port, a connection to the container for each caller.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simvlan.network import Netns
    from simvlan.stack.tcp.socket import TcpSocket

CHUNK = 65_536
CALLERS = 1024
"""UDP callers remembered at once."""


class Pipe:
    """Two connections, each other's continuation."""

    def __init__(self, caller: TcpSocket, inner: TcpSocket) -> None:
        self.ends = (caller, inner)
        self.waiting = {id(caller): b"", id(inner): b""}
        """What is still to be written to each."""
        self.shut: set[int] = set()
        self.busy = False

    def told(self, _socket: object) -> None:
        """Something happened at one end."""
        if self.busy:
            return
        self.busy = True
        try:
            while self._step():
                pass
        except OSError:
            self._close()
        finally:
            self.busy = False

    def _step(self) -> bool:
        caller, inner = self.ends
        if inner.error or caller.error:
            self._close()
            return False
        if not inner.connected:
            return False
        moved = self._move(caller, inner) | self._move(inner, caller)
        if len(self.shut) == len(self.ends):
            self._close()
            return False
        return moved

    def _move(self, source: TcpSocket, sink: TcpSocket) -> bool:
        """Carry on what can be carried; whether anything was."""
        moved, key = False, id(sink)
        if not self.waiting[key] and source.readable and key not in self.shut:
            self.waiting[key] = source.recv(CHUNK)
            if not self.waiting[key] and source.eof:
                self.shut.add(key)
                sink.shutdown()
                return True
        if self.waiting[key] and sink.writable:
            taken = sink.send(self.waiting[key])
            self.waiting[key], moved = self.waiting[key][taken:], bool(taken)
        return moved

    def _close(self) -> None:
        for end in self.ends:
            end.close()


def bound(sock: Any, address: str, port: int) -> None:
    """Bind to an address, IPv6's alone where it is one of IPv6. Raises OSError."""
    if ":" in address:
        sock.v6only = True
    sock.bind(int(ip_address(address)), port)


class TcpProxy:
    """One published TCP port; the container is reached by IPv4 or IPv6, whatever the caller has."""

    def __init__(self, ns: Netns, address: str, port: int, inner: tuple[str, int]) -> None:
        self.inner = (int(ip_address(inner[0])), inner[1])
        self.version = ip_address(inner[0]).version
        self.listener = ns.stack.open_tcp(ip_address(address).version)
        self.listener.reuse = True
        bound(self.listener, address, port)
        self.listener.listen(4096)
        self.listener.on_receive = self.called

    def called(self, listener: TcpSocket) -> None:
        """Somebody connected: connect to the container."""
        while (caller := listener.accept()) is not None:
            inner = listener.stack.open_tcp(self.version)
            pipe = Pipe(caller, inner)
            caller.on_receive = inner.on_receive = pipe.told
            try:
                inner.connect(*self.inner)
            except OSError:
                caller.close()
                continue
            pipe.told(caller)

    def close(self) -> None:
        """Listen no more."""
        self.listener.close()


class UdpProxy:
    """One published UDP port."""

    def __init__(self, ns: Netns, address: str, port: int, inner: tuple[str, int]) -> None:
        self.ns, self.inner = ns, (int(ip_address(inner[0])), inner[1])
        self.version = ip_address(inner[0]).version
        self.socket = ns.stack.open_udp(ip_address(address).version)
        bound(self.socket, address, port)
        self.socket.on_receive = self.called
        self.callers: dict[tuple[int, int], Any] = {}

    def called(self, socket: Any) -> None:
        """A datagram from somebody: to the container, by a socket of the caller's own."""
        while socket.queue:
            heard = socket.queue.popleft()
            caller = heard.src, heard.sport
            inner = self.callers.get(caller) or self._new(caller)
            inner.send(heard.data, *self.inner)

    def _new(self, caller: tuple[int, int]) -> Any:
        while len(self.callers) >= CALLERS:
            self.callers.pop(next(iter(self.callers))).close()
        inner = self.callers[caller] = self.ns.stack.open_udp(self.version)
        inner.on_receive = Answer(self.socket, caller).told
        return inner

    def close(self) -> None:
        """Listen no more."""
        for inner in self.callers.values():
            inner.close()
        self.socket.close()


class Answer:
    """Carries a container's answers back to one caller."""

    def __init__(self, socket: Any, caller: tuple[int, int]) -> None:
        self.socket, self.caller = socket, caller

    def told(self, inner: Any) -> None:
        """Something came from the container."""
        while inner.queue:
            self.socket.send(inner.queue.popleft().data, *self.caller)
        inner.errors.clear()


def proxy(ns: Netns, proto: str, address: str, port: int, inner: tuple[str, int]) -> TcpProxy | UdpProxy:
    """Relay a port of the node. Raises OSError: the port is taken."""
    return (TcpProxy if proto == "tcp" else UdpProxy)(ns, address, port, inner)
