"""TCP of one namespace: which connection a segment belongs to, and what becomes of one that belongs to none.

Mirrors tcp_v4_rcv, __inet_lookup, tcp_v4_send_reset and tcp_v4_err of net/ipv4/tcp_ipv4.c (6.1). The rules of a
connection are in the rest of this package; here they meet addresses, routes, checksums and the clock.
"""

from __future__ import annotations

import errno
from hashlib import blake2b
from struct import pack, unpack_from
from typing import TYPE_CHECKING

from simvlan.frame import HOST
from simvlan.stack import fib
from simvlan.stack.packet import DF, TCP, Packet, build, checksum, pseudo_sum
from simvlan.stack.tcp import segment as wire
from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.listen import Meaning
from simvlan.stack.tcp.packets import Flow, with_checksum
from simvlan.stack.tcp.segment import HEADER, RST, Segment, reset_for
from simvlan.stack.tcp.seq import unwrap
from simvlan.stack.tcp.socket import TcpSocket, refusal
from simvlan.stack.tcp.states import State
from simvlan.stack.tcp.timewait import reusable
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.stack.netstack import Stack

LEAST_ADVMSS, MOST_ADVMSS = 256, 65_495
PORTS = range(32_768, 61_000)


class Tcp:
    """The TCP half of a stack."""

    __slots__ = ("_next_port", "bound", "connections", "stack")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.connections: dict[Flow, TcpSocket] = {}
        self.bound: dict[int, list[TcpSocket]] = {}
        """Bound and listening sockets by port."""
        self._next_port = PORTS.start

    def open(self) -> TcpSocket:
        """Open a socket."""
        return TcpSocket(self.stack, self)

    # -- receiving --------------------------------------------------------------------------------------------------

    def receive(self, found: Packet) -> Drop | None:
        """Take a segment for this host; the drop when nobody wanted it."""
        octets = found.payload
        if found.ptype is not HOST:
            return Drop.NO_SOCKET
        if len(octets) < HEADER or octets[12] >> 4 < 5 or len(octets) < (octets[12] >> 4) * 4:
            return Drop.PKT_TOO_SMALL
        if not found.partial and not _sums_up(found, octets):
            return Drop.TCP_CSUM
        sport, dport = unpack_from("!HH", octets)
        segment = wire.decode(octets)
        socket = self.connections.get((found.dst, dport, found.src, sport))
        if socket is not None and not self._gives_way(socket, segment):
            return socket.arrive(segment)
        listener = self._listener(found, dport)
        if listener is not None:
            return self._to_listener(listener, found, (found.dst, dport, found.src, sport), segment)
        return self._unwanted(found, segment, sport, dport)

    def _gives_way(self, socket: TcpSocket, segment: Segment) -> bool:
        """A connection in TIME-WAIT makes room for a plainly newer SYN where somebody listens (TCP_TW_SYN)."""
        conn = socket.conn
        if conn is None or conn.state is not State.TIME_WAIT or not reusable(conn, segment):
            return False
        if not any(other.listener is not None for other in self.bound.get(socket.port, ())):
            return False
        conn.finish(self.stack.kernel.now)
        socket.settle()
        return True

    def _listener(self, found: Packet, port: int) -> TcpSocket | None:
        """Find the listening socket that fits best: bound to the address or device before any (compute_score)."""
        takers = [s for s in self.bound.get(port, ()) if s.listener is not None and s.hears(found)]
        return max(takers, key=lambda s: (bool(s.src), s.bind_dev is not None), default=None)

    def _to_listener(self, listener: TcpSocket, found: Packet, flow: Flow, segment: Segment) -> Drop | None:
        assert listener.listener is not None
        meaning = listener.listener.meaning(segment)
        if meaning is Meaning.OPEN and self.stack.addr_type(found.dst) == fib.LOCAL:
            listener.opened(flow, segment, found)
            return None
        if meaning is Meaning.RESET:
            return self._unwanted(found, segment, flow[3], flow[1])
        return Drop.TCP_LISTEN_OVERFLOW if meaning is Meaning.OVERFLOW else Drop.TCP_LISTEN_UNFIT

    def _unwanted(self, found: Packet, segment: Segment, sport: int, dport: int) -> Drop:
        """Answer with a reset from what the segment says alone; no reset is answered (tcp_v4_send_reset)."""
        if not segment.flags & RST and self.stack.addr_type(found.dst) == fib.LOCAL:
            self.refuse(found.dst, dport, found.src, sport, reset_for(segment), found.tos)
        return Drop.NO_SOCKET

    def refuse(
        self, src: int, sport: int, dst: int, dport: int, answer: Segment, tos: int, about: Packet | None = None
    ) -> None:
        """Send a RST that no connection stands behind: identification 0, the TOS copied.

        *about*: the packet that a filter rejected, perhaps another host's.
        """
        stack = self.stack
        route = stack.output.find(dst, src=src, tos=tos & 0x1E, any_source=about is not None)
        if isinstance(route, int):
            return
        octets = with_checksum(wire.encode(answer, sport, dport), src, dst)
        data = build(src, dst, TCP, octets, stack.settings["ip_default_ttl"], tos, 0, DF)
        stack.output.send(route, data, about=about)

    # -- errors -----------------------------------------------------------------------------------------------------

    def sender(self, about: Packet) -> TcpSocket | None:
        """The connection that a quoted packet came from, if what it quotes is under way."""
        at = about.header_len
        if about.proto != TCP or len(about.data) < at + 8:
            return None
        sport, dport, seq = unpack_from("!HHI", about.data, at)
        socket = self.connections.get((about.src, sport, about.dst, dport))
        if socket is None or socket.conn is None:
            return None
        queue = socket.conn.queue
        return socket if queue.una <= unwrap(seq, queue.una) <= queue.nxt else None

    def error(self, about: Packet, kind: int, code: int, info: int, number: int) -> None:
        """An ICMP error about a segment of ours (tcp_v4_err)."""
        socket = self.sender(about)
        if socket is None or kind == 4:
            return
        if kind == 3 and code == 4:
            socket.path_changed()
        else:
            socket.unreachable(number)

    # -- names and numbers --------------------------------------------------------------------------------------------

    def take_port(self, socket: TcpSocket, port: int) -> None:
        """Give a socket its port: the wanted one if free, else the next free one, in order (inet_csk_get_port)."""
        if port:
            if any(_clash(socket, other) for other in self.bound.get(port, ())):
                raise refusal(errno.EADDRINUSE)
            if not socket.reuse and any(flow[1] == port for flow in self.connections):
                raise refusal(errno.EADDRINUSE)
        socket.port = port or self._free_port()
        self.bound.setdefault(socket.port, []).append(socket)

    def _free_port(self) -> int:
        taken = {flow[1] for flow in self.connections}
        for _ in PORTS:
            port, self._next_port = self._next_port, self._next_port + 1
            if self._next_port not in PORTS:
                self._next_port = PORTS.start
            if port not in self.bound and port not in taken:
                return port
        raise refusal(errno.EADDRNOTAVAIL)

    def unbind(self, socket: TcpSocket) -> None:
        """Take a socket's name away."""
        sockets = self.bound.get(socket.port, [])
        if socket in sockets:
            sockets.remove(socket)
            if not sockets:
                del self.bound[socket.port]

    def numbers(self, flow: Flow) -> tuple[int, int]:
        """The first sequence number (RFC 6528: by connection, rising with time) and the offset of timestamps."""
        stack = self.stack
        salt = f"{stack.kernel.seed}/tcp/{stack.netns.name}".encode()
        key = pack("!IHIH", *flow)
        first = int.from_bytes(blake2b(key, key=salt[:64], digest_size=4).digest(), "big")
        hosts = int.from_bytes(blake2b(key[:4] + key[6:10], key=salt[:64], digest_size=4).digest(), "big")
        return (first + (stack.kernel.now >> 6)) & 0xFFFF_FFFF, hosts

    def config(self, path_mtu: int, nodelay: bool = False, congestion: str = "") -> Config:
        """What a new connection is told: the namespace's settings, the MSS of the route."""
        settings = self.stack.settings
        return Config(
            mss=min(max(path_mtu - 40, LEAST_ADVMSS), MOST_ADVMSS),
            congestion=congestion or self.stack.tcp_congestion,
            sack=bool(settings["tcp_sack"]),
            timestamps=bool(settings["tcp_timestamps"]),
            window_scaling=bool(settings["tcp_window_scaling"]),
            nodelay=nodelay,
            rmem=self.stack.tcp_rmem,
            wmem=self.stack.tcp_wmem,
            syn_retries=settings["tcp_syn_retries"],
            synack_retries=settings["tcp_synack_retries"],
            retries2=settings["tcp_retries2"],
            orphan_retries=settings["tcp_orphan_retries"] or 8,
            fin_timeout_ns=settings["tcp_fin_timeout"] * 1_000_000_000,
        )


def _clash(one: TcpSocket, other: TcpSocket) -> bool:
    """Whether two sockets cannot have one port: same address, one of them listening or unwilling to share."""
    if one.bind_dev is not other.bind_dev and one.bind_dev is not None and other.bind_dev is not None:
        return False
    if one.src and other.src and one.src != other.src:
        return False
    return not (one.reuse and other.reuse and other.listener is None)


def _sums_up(found: Packet, octets: bytes) -> bool:
    pseudo = pseudo_sum(found.src, found.dst, TCP, len(octets))
    return checksum(pseudo.to_bytes(2, "big") + octets) == 0
