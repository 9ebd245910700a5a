"""The sockets of a namespace by what reaches them: whom a packet is for, and whom an ICMP error is about.

Mirrors raw_local_deliver, ping_rcv, __udp4_lib_rcv and __udp6_lib_rcv with their lookups, and the error handlers beside
them. One table per family; the ports of UDP are shared, for a socket of IPv6 may hear IPv4 too.
"""

from __future__ import annotations

import errno
from struct import unpack_from
from typing import TYPE_CHECKING, Any

from simvlan.stack.family import refusal
from simvlan.stack.packet import UDP
from simvlan.stack.sockets import PingSocket, RawSocket, SockError, Socket, UdpSocket
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.stack.family import Family
    from simvlan.stack.netstack import Stack

IDENTS, PORTS = range(1, 65_536), range(32_768, 61_000)


class Ports:
    """The UDP ports of a namespace, of both families."""

    __slots__ = ("next", "udp")

    def __init__(self) -> None:
        self.udp: dict[int, list[UdpSocket]] = {}
        self.next = PORTS.start


class Sockets:
    """The sockets of a namespace and a family, by what reaches them."""

    __slots__ = ("_next_ident", "family", "ping", "ports", "raw", "stack")

    def __init__(self, stack: Stack, family: Family, ports: Ports) -> None:
        self.stack = stack
        self.family = family
        self.raw: dict[int, list[RawSocket]] = {}
        self.ping: dict[int, PingSocket] = {}
        self.ports = ports
        self._next_ident = IDENTS.start

    @property
    def udp(self) -> dict[int, list[UdpSocket]]:
        """UDP sockets by port, of both families."""
        return self.ports.udp

    # -- names ------------------------------------------------------------------------------------------------------

    def open_raw(self, proto: int) -> RawSocket:
        """Open a raw socket."""
        socket = RawSocket(self.stack, proto, self.family)
        self.raw.setdefault(proto, []).append(socket)
        return socket

    def take_ident(self, socket: PingSocket, wanted: int) -> None:
        """Give a ping socket its identifier: the wanted one if free, else the next free one, in order."""
        if wanted in self.ping:
            raise refusal(errno.EADDRINUSE)
        socket.port = wanted
        for _ in IDENTS if not wanted else ():
            ident, self._next_ident = self._next_ident, self._next_ident % 65_535 + 1
            if ident not in self.ping:
                socket.port = ident
                break
        if not socket.port:
            raise refusal(errno.EAGAIN)
        self.ping[socket.port] = socket

    def take_port(self, socket: UdpSocket, wanted: int) -> None:
        """Give a UDP socket its port, in the same way."""
        if wanted and any(_clash(socket, other) for other in self.udp.get(wanted, ())):
            raise refusal(errno.EADDRINUSE)
        socket.port = wanted or self._free_port()
        self.udp.setdefault(socket.port, []).append(socket)

    def _free_port(self) -> int:
        ports = self.ports
        for _ in PORTS:
            port, ports.next = ports.next, ports.next + 1 if ports.next + 1 in PORTS else PORTS.start
            if port not in ports.udp:
                return port
        raise refusal(errno.EAGAIN)

    def free_port(self, socket: UdpSocket) -> None:
        """Take a UDP socket out."""
        self.udp[socket.port].remove(socket)
        if not self.udp[socket.port]:
            del self.udp[socket.port]

    # -- receiving --------------------------------------------------------------------------------------------------

    def to_raw(self, found: Any) -> bool:
        """Show a packet to raw sockets of its protocol (raw_local_deliver); whether any took it."""
        heard = False
        for socket in tuple(self.raw.get(found.proto, ())):
            if socket.hears(found):
                heard = True
                socket.got(found, self.family.raw_view(found))
        return heard

    def echo_reply(self, found: Any) -> Drop | None:
        """Give an echo reply to the ping socket with its identifier (ping_rcv)."""
        socket = self.ping.get(unpack_from("!H", found.data, found.header_len + 4)[0])
        if socket is not None and socket.hears(found):
            socket.got(found, found.payload)
        return None

    def datagram(self, found: Any) -> Drop | None:
        """Take a UDP datagram (__udp4_lib_rcv, __udp6_lib_rcv)."""
        octets = found.payload
        if len(octets) < 8:
            return Drop.PKT_TOO_SMALL
        sport, port, size = unpack_from("!HHH", octets)
        size = self.family.udp_size(size, len(octets))
        if size < 8 or size > len(octets):
            return Drop.PKT_TOO_SMALL
        octets = octets[:size]
        if not self.family.udp_right(found, octets):
            return Drop.UDP_CSUM
        takers = self._takers(found, port)
        if not takers:
            if not self.family.grouped(found):
                self.family.port_closed(found)
            return Drop.NO_SOCKET
        for socket in takers:
            socket.got(found, octets[8:], sport)
        return None

    def _takers(self, found: Any, port: int) -> list[UdpSocket]:
        """The best socket for a packet to one, all members for one to many."""
        takers = [s for s in self.udp.get(port, ()) if s.hears(found)]
        if not self.family.grouped(found):
            return sorted(takers, key=_specificity)[:1]
        if self.family.is_group(found.dst):
            return [s for s in takers if not s.groups or (found.dev, found.dst) in s.groups]
        return takers

    # -- errors -----------------------------------------------------------------------------------------------------

    def sent(self, about: Any) -> bool:
        """Whether a quoted packet is from a socket that is still there."""
        return bool(self._senders(about)) or self.stack.tcp.sender(about) is not None

    def error(self, found: Any, about: Any, kind: int, code: int, info: int) -> None:
        """Queue an ICMP error with the sockets it is about."""
        number = self.family.errno_of(kind, code)
        problem = SockError(
            self.stack.kernel.now, number, kind, code, info, found.src, about.data, found.data
        )  # fmt: skip
        for socket in self._senders(about):
            socket.failed(problem)
        self.stack.tcp.error(about, kind, code, number)

    def _senders(self, about: Any) -> list[Socket]:
        """The sockets a quoted packet of ours may come from."""
        at, octets = about.header_len, about.data
        owners: list[Socket] = [s for s in self.raw.get(about.proto, ()) if not s.src or s.src == about.src]
        if len(octets) >= at + 8 and about.proto == UDP:
            port = unpack_from("!H", octets, at)[0]
            likely = [s for s in self.udp.get(port, ()) if s.speaks(about.family)]
            owners += [s for s in likely if not s.src or s.src == about.src][:1]
        if len(octets) >= at + 8 and about.proto == self.family.icmp and octets[at] == self.family.echo:
            socket = self.ping.get(unpack_from("!H", octets, at + 4)[0])
            owners += [] if socket is None else [socket]
        return owners


def same_place(one: Any, other: Any) -> bool:
    """Whether two sockets of one port would hear the same (ipv6_rcv_saddr_equal): :: hears IPv4 unless v6only."""
    mine, theirs = one.bound_group or one.src, other.bound_group or other.src
    if one.family is other.family:
        return not mine or not theirs or bool(mine == theirs)
    v6 = one if one.family.number == 6 else other
    return not v6.v6only and not (v6.bound_group or v6.src)


def _clash(one: UdpSocket, other: UdpSocket) -> bool:
    if one.reuse and other.reuse:
        return False
    if one.bind_dev is not other.bind_dev and one.bind_dev is not None and other.bind_dev is not None:
        return False
    return same_place(one, other)


def _specificity(socket: UdpSocket) -> int:
    """The best match first: connected, then bound to an address or device, IPv4's own for IPv4 (compute_score)."""
    bound = 8 * (socket.peer is not None) + 4 * bool(socket.src) + 2 * (socket.bind_dev is not None)
    return -(bound + (socket.family.number == 4))
