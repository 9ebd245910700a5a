"""TCP of one namespace: which connection a segment belongs to, and what becomes of one that belongs to none.

Mirrors tcp_v4_rcv, __inet_lookup and tcp_v4_err of net/ipv4/tcp_ipv4.c and their twins of net/ipv6/tcp_ipv6.c (6.1).
The rules of a connection are in the rest of this package; here they meet addresses, routes, checksums and the clock.
"""

from __future__ import annotations

import errno
from hashlib import blake2b
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Any
from zlib import crc32

from simvlan.frame import HOST
from simvlan.stack.family import refusal
from simvlan.stack.packet import TCP, Packet, checksum
from simvlan.stack.socket_table import same_place
from simvlan.stack.tcp import segment as wire
from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.listen import Meaning
from simvlan.stack.tcp.packets import Flow
from simvlan.stack.tcp.segment import HEADER, RST, Segment, reset_for
from simvlan.stack.tcp.seq import unwrap
from simvlan.stack.tcp.socket import TcpSocket
from simvlan.stack.tcp.states import State
from simvlan.stack.tcp.timewait import reusable
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.stack.family import Family
    from simvlan.stack.netstack import Stack

SOURCE_QUENCH = 4
PORTS = range(32_768, 61_000)


class Tcp:
    """The TCP half of a stack."""

    __slots__ = ("_next_port", "bound", "stack")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.bound: dict[int, list[TcpSocket]] = {}
        """Bound and listening sockets by port, of both families."""
        self._next_port = PORTS.start

    @property
    def connections(self) -> dict[Flow, TcpSocket]:
        """The connections of IPv4; those of IPv6 are its family's `flows`."""
        return self.stack.family.flows

    def _taken(self) -> set[int]:
        """The ports of connections of either family."""
        ip6 = self.stack.ip6
        return {flow[1] for flow in (*self.connections, *(ip6.family.flows if ip6 is not None else ()))}

    def open(self, family: Family, v6only: bool = False) -> TcpSocket:
        """Open a socket."""
        return TcpSocket(self.stack, self, family, v6only)

    # -- receiving --------------------------------------------------------------------------------------------------

    def receive(self, found: Any) -> Drop | None:
        """Take a segment for this host, of either family; the drop when nobody wanted it."""
        octets, family = found.payload, self.stack.family_of(found.family)
        if found.ptype is not HOST:
            return Drop.NO_SOCKET
        if len(octets) < HEADER or octets[12] >> 4 < 5 or len(octets) < (octets[12] >> 4) * 4:
            return Drop.PKT_TOO_SMALL
        if not found.partial and not _sums_up(family, found, octets):
            return Drop.TCP_CSUM
        sport, dport = unpack_from("!HH", octets)
        segment = wire.decode(octets)
        segment.gso_size = found.partial if found.partial > 1 else 0
        socket: TcpSocket | None = family.flows.get((found.dst, dport, found.src, sport))
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

    def _listener(self, found: Any, port: int) -> TcpSocket | None:
        """Find the listening socket that fits best: bound to the address or device before any (compute_score).

        Of several that share a port the connection's numbers choose (reuseport_select_sock; Linux: with a secret).
        """
        takers = [s for s in self.bound.get(port, ()) if s.listener is not None and s.hears(found)]
        best = max((_score(s, found.family) for s in takers), default=None)
        equals = [s for s in takers if _score(s, found.family) == best]
        return equals[crc32(found.payload[:4] + str(found.src).encode()) % len(equals)] if equals else None

    def _to_listener(self, listener: TcpSocket, found: Any, flow: Flow, segment: Segment) -> Drop | None:
        assert listener.listener is not None
        meaning = listener.listener.meaning(segment)
        if meaning is Meaning.OPEN and self.stack.family_of(found.family).takes_syn(found):
            listener.opened(flow, segment, found)
            return None
        if meaning is Meaning.RESET:
            return self._unwanted(found, segment, flow[3], flow[1])
        return Drop.TCP_LISTEN_OVERFLOW if meaning is Meaning.OVERFLOW else Drop.TCP_LISTEN_UNFIT

    def _unwanted(self, found: Any, segment: Segment, sport: int, dport: int) -> Drop:
        """Answer with a reset from what the segment says alone; no reset is answered (tcp_v4_send_reset)."""
        family = self.stack.family_of(found.family)
        if not segment.flags & RST and family.takes_syn(found):
            family.reset(reset_for(segment), (found.dst, dport, found.src, sport), found, found.tos)
        return Drop.NO_SOCKET

    def refuse(self, flow: Flow, answer: Segment, about: Packet) -> None:
        """Send a RST for a packet that a filter rejected, perhaps another host's."""
        self.stack.family.reset(answer, flow, about, 0, about)

    # -- errors -----------------------------------------------------------------------------------------------------

    def sender(self, about: Any) -> TcpSocket | None:
        """The connection that a quoted packet came from, if what it quotes is under way."""
        at = about.header_len
        if about.proto != TCP or len(about.data) < at + 8:
            return None
        sport, dport, seq = unpack_from("!HHI", about.data, at)
        flows: dict[Flow, TcpSocket] = self.stack.family_of(about.family).flows
        socket = flows.get((about.src, sport, about.dst, dport))
        if socket is None or socket.conn is None:
            return None
        queue = socket.conn.queue
        return socket if queue.una <= unwrap(seq, queue.una) <= queue.nxt else None

    def error(self, about: Any, kind: int, code: int, number: int) -> None:
        """An ICMP error about a segment of ours (tcp_v4_err, tcp_v6_err)."""
        socket = self.sender(about)
        if socket is None or (kind == SOURCE_QUENCH and about.family == 4):
            return
        if self.stack.family_of(about.family).too_big(kind, code):
            socket.path_changed()
        else:
            socket.unreachable(number)

    # -- names and numbers --------------------------------------------------------------------------------------------

    def take_port(self, socket: TcpSocket, port: int) -> None:
        """Give a socket its port: the wanted one if free, else the next free one, in order (inet_csk_get_port)."""
        if port:
            if any(_clash(socket, other) for other in self.bound.get(port, ())):
                raise refusal(errno.EADDRINUSE)
            if not socket.reuse and port in self._taken():
                raise refusal(errno.EADDRINUSE)
        socket.port = port or self._free_port()
        self.bound.setdefault(socket.port, []).append(socket)

    def _free_port(self) -> int:
        taken = self._taken()
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

    def numbers(self, family: Family, flow: Flow) -> tuple[int, int]:
        """The first sequence number (RFC 6528: by connection, rising with time) and the offset of timestamps."""
        stack = self.stack
        salt = f"{stack.kernel.seed}/tcp/{stack.netns.name}".encode()
        ours, theirs = family.packed(flow[0]), family.packed(flow[2])
        key = ours + pack("!H", flow[1]) + theirs + pack("!H", flow[3])
        first = int.from_bytes(blake2b(key, key=salt[:64], digest_size=4).digest(), "big")
        hosts = int.from_bytes(blake2b(ours + theirs, key=salt[:64], digest_size=4).digest(), "big")
        return (first + (stack.kernel.now >> 6)) & 0xFFFF_FFFF, hosts

    def config(self, family: Family, path_mtu: int, nodelay: bool = False, congestion: str = "") -> Config:
        """What a new connection is told: the namespace's settings, the MSS of the route."""
        settings = self.stack.settings
        return Config(
            mss=family.advmss(path_mtu),
            headers=family.header + HEADER,
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
            rack=bool(settings["tcp_recovery"] & 1),
            frto=bool(settings["tcp_frto"]),
            loss_probes=settings["tcp_early_retrans"] in (3, 4),
        )


def _score(socket: TcpSocket, family: int) -> tuple[bool, bool, bool]:
    return bool(socket.src), socket.bind_dev is not None, socket.family.number == family


def _clash(one: TcpSocket, other: TcpSocket) -> bool:
    """Whether two sockets cannot have one port: same address, one of them listening or unwilling to share."""
    if one.bind_dev is not other.bind_dev and one.bind_dev is not None and other.bind_dev is not None:
        return False
    if not same_place(one, other) or (one.reuseport and other.reuseport):
        return False
    return not (one.reuse and other.reuse and other.listener is None)


def _sums_up(family: Family, found: Any, octets: bytes) -> bool:
    pseudo = family.pseudo(found.src, found.dst, TCP, len(octets))
    return checksum(pseudo.to_bytes(2, "big") + octets) == 0
