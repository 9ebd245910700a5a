"""Sockets of programs for IPv6: raw, ping and UDP sockets, and the errors they hear of.

Mirrors net/ipv6/raw.c, ping.c, udp.c and datagram.c as far as bytes on the wire and errnos go. They work as those of
`stack/sockets.py` do: nothing blocks, what arrived waits in `queue`, errors in `errors`.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from struct import pack, unpack_from
from typing import TYPE_CHECKING

from simvlan.stack.ipv6 import icmp6, packet
from simvlan.stack.ipv6.addr import is_link_local, is_multicast
from simvlan.stack.ipv6.output import RouteResult6
from simvlan.stack.packet import checksum
from simvlan.stack.sockets import DO, PROBE_PMTU, WANT, Received, SockError, refusal
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.input import Packet6

UNREACH_ERRNO = (
    errno.ENETUNREACH, errno.EACCES, errno.EHOSTUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.EACCES,
    errno.EACCES,
)  # fmt: skip
"""icmpv6_err_convert: what an unreachable code becomes."""
PORTS = range(32_768, 61_000)


class Socket6:
    """What all IPv6 sockets share. `bind_dev` is SO_BINDTODEVICE or the device an address was given with (`%dev`)."""

    proto = 0
    port = 0

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6
        self.queue: deque[Received] = deque()
        self.errors: deque[SockError] = deque()
        self.on_receive: Callable[[Socket6], None] | None = None
        self.bind_dev: Device | None = None
        self.src = 0
        self.hops = 0
        """0: the route's."""
        self.mc_hops = 1
        self.mc_dev: Device | None = None
        self.mc_loop = True
        self.tclass = 0
        self.flow_label: int | None = None
        """None: made of the flow."""
        self.pmtudisc = WANT
        self.closed = False

    def bind(self, address: int, port: int = 0) -> None:
        """Take a source address (EADDRNOTAVAIL unless it is ours or a group)."""
        if address and not is_multicast(address) and self.ip6.owner(address, self.bind_dev) is None:
            raise refusal(errno.EADDRNOTAVAIL)
        self.src = 0 if is_multicast(address) else address

    def route(self, dst: int, dev: Device | None = None) -> RouteResult6:
        """The route to a destination, or the error the program gets; *dev* is that of `dst%dev`."""
        oif = dev or self.bind_dev or (self.mc_dev if is_multicast(dst) else None)
        if oif is None and is_link_local(dst):
            raise refusal(errno.EINVAL)
        found = self.ip6.output.find(dst, self.src, oif, bound=oif is not None)
        if isinstance(found, int):
            raise refusal(found)
        return found

    def transmit(self, made: RouteResult6, payload: bytes, partial: bool = False) -> int:
        """Wrap a payload in a header, send it, and let it be received."""
        output = self.ip6.output
        size = packet.HEADER + len(payload)
        if len(payload) > 65_535:
            raise refusal(errno.EMSGSIZE)
        fits = size <= (self.ip6.mtu_of(made.dev) if self.pmtudisc == PROBE_PMTU else made.path_mtu)
        if not fits and self.pmtudisc >= DO:
            raise refusal(errno.EMSGSIZE)
        hops = (self.mc_hops if is_multicast(made.dst) else self.hops) or output.hop_limit(made)
        flow = output.flow_label(made.src, made.dst, self.proto, self.port)
        flow = flow if self.flow_label is None else self.flow_label
        data = packet.build(made.src, made.dst, self.proto, payload, hops, self.tclass, flow)
        answer = output.send(made, data, partial, self.mc_loop)
        self.ip6.stack.kernel.drain()
        if isinstance(answer, Drop) and answer is not Drop.DEV_DOWN and self.errors_reported:
            raise refusal(errno.ENOBUFS)
        return len(data)

    errors_reported = False
    """IPV6_RECVERR on: a refusal by the driver is told too."""

    def hears(self, found: Packet6) -> bool:
        """Whether a packet is for this socket: its device and its address fit."""
        if self.bind_dev is not None and found.dev is not self.bind_dev and found.input_if is not self.bind_dev:
            return False
        return not self.src or self.src == found.dst or is_multicast(found.dst)

    def got(self, found: Packet6, data: bytes, sport: int = 0) -> None:
        """Queue what arrived and wake the owner."""
        self.queue.append(
            Received(self.ip6.now, found.src, sport, found.dst, found.hops, found.tclass, found.input_if, data,
                     found.data)
        )  # fmt: skip
        if self.on_receive is not None:
            self.on_receive(self)

    def failed(self, problem: SockError) -> None:
        """Queue an error and wake the owner."""
        self.errors.append(problem)
        if self.on_receive is not None:
            self.on_receive(self)

    def close(self) -> None:
        """Hear nothing more."""
        if not self.closed:
            self.closed = True
            self.ip6.sockets.forget(self)


class RawSocket6(Socket6):
    """A raw socket for one protocol: sees what follows the headers; the kernel fills in ICMPv6 checksums."""

    def __init__(self, ip6: Ip6, proto: int) -> None:
        super().__init__(ip6)
        self.proto = proto

    def send(self, payload: bytes, dst: int, dev: Device | None = None) -> int:
        """Send a payload."""
        made = self.route(dst, dev)
        if self.proto == packet.ICMPV6 and len(payload) >= 4:
            payload = icmp6.seal(made.src, made.dst, payload[:2] + b"\0\0" + payload[4:])
        return self.transmit(made, payload)


class PingSocket6(Socket6):
    """An unprivileged ICMPv6 socket: the kernel owns identifier and checksum."""

    proto = packet.ICMPV6

    def bind(self, address: int, port: int = 0) -> None:
        """Take a source address and an identifier (0: any free one)."""
        super().bind(address, port)
        self.ip6.sockets.take_ident(self, port)

    def send(self, octets: bytes, dst: int, dev: Device | None = None) -> int:
        """Send an echo request given from its type on."""
        if len(octets) < 8 or octets[0] != icmp6.ECHO or octets[1]:
            raise refusal(errno.EINVAL)
        made = self.route(dst, dev)
        if not self.port:
            self.ip6.sockets.take_ident(self, 0)
        body = octets[:2] + b"\0\0" + pack("!H", self.port) + octets[6:]
        return self.transmit(made, icmp6.seal(made.src, made.dst, body))


class UdpSocket6(Socket6):
    """A UDP socket."""

    proto = packet.UDP

    def __init__(self, ip6: Ip6) -> None:
        super().__init__(ip6)
        self.reuse = False
        self.peer: tuple[int, int] | None = None

    def bind(self, address: int, port: int = 0) -> None:
        """Take an address and a port (0: any free one)."""
        super().bind(address, port)
        self.ip6.sockets.take_port(self, port)

    def connect(self, address: int, port: int, dev: Device | None = None) -> None:
        """Fix the other end."""
        made = self.route(address, dev)
        self.peer, self.src = (address, port), self.src or made.src
        self.bind_dev = self.bind_dev or dev
        if not self.port:
            self.ip6.sockets.take_port(self, 0)

    def send(self, data: bytes, dst: int = 0, port: int = 0, dev: Device | None = None) -> int:
        """Send a datagram."""
        if not dst:
            if self.peer is None:
                raise refusal(errno.EDESTADDRREQ)
            dst, port = self.peer
        if not port:
            raise refusal(errno.EINVAL)
        made = self.route(dst, dev)
        if not self.port:
            self.ip6.sockets.take_port(self, 0)
        size = 8 + len(data)
        partial = packet.HEADER + size <= made.path_mtu and "tx" not in made.dev.features_off
        pseudo = packet.pseudo_sum(made.src, made.dst, packet.UDP, size)
        head = pack("!HHH", self.port, port, size)
        value = pseudo if partial else checksum(pack("!H", pseudo) + head + b"\0\0" + data) or 0xFFFF
        return self.transmit(made, head + value.to_bytes(2, "big") + data, partial)

    def hears(self, found: Packet6) -> bool:
        """Also the other end must fit once connected."""
        if not super().hears(found):
            return False
        return self.peer is None or self.peer == (found.src, unpack_from("!H", found.payload)[0])


class Sockets6:
    """The IPv6 sockets of a namespace, by what reaches them."""

    __slots__ = ("_next", "ip6", "ping", "raw", "udp")

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6
        self.raw: dict[int, list[RawSocket6]] = {}
        self.ping: dict[int, PingSocket6] = {}
        self.udp: dict[int, list[UdpSocket6]] = {}
        self._next = {packet.ICMPV6: 1, packet.UDP: PORTS.start}

    def open_raw(self, proto: int) -> RawSocket6:
        """Open a raw socket."""
        socket = RawSocket6(self.ip6, proto)
        self.raw.setdefault(proto, []).append(socket)
        return socket

    def take_ident(self, socket: PingSocket6, wanted: int) -> None:
        """Give a ping socket its identifier."""
        if wanted in self.ping:
            raise refusal(errno.EADDRINUSE)
        socket.port = wanted or self._free(self.ping, packet.ICMPV6, range(1, 65_536))
        self.ping[socket.port] = socket

    def take_port(self, socket: UdpSocket6, wanted: int) -> None:
        """Give a UDP socket its port."""
        others = self.udp.get(wanted, ())
        if wanted and any(not (s.reuse and socket.reuse) and (not s.src or not socket.src or s.src == socket.src)
                          for s in others):  # fmt: skip
            raise refusal(errno.EADDRINUSE)
        socket.port = wanted or self._free(self.udp, packet.UDP, PORTS)
        self.udp.setdefault(socket.port, []).append(socket)

    def _free(self, taken: object, proto: int, span: range) -> int:
        for _ in span:
            port = self._next[proto]
            self._next[proto] = port + 1 if port + 1 in span else span.start
            if port not in taken:  # type: ignore[operator]
                return port
        raise refusal(errno.EAGAIN)

    def forget(self, socket: Socket6) -> None:
        """Take a socket out."""
        if isinstance(socket, RawSocket6):
            self.raw[socket.proto].remove(socket)
        elif isinstance(socket, PingSocket6):
            self.ping.pop(socket.port, None)
        elif isinstance(socket, UdpSocket6) and socket.port:
            self.udp[socket.port].remove(socket)
            if not self.udp[socket.port]:
                del self.udp[socket.port]

    # -- receiving --------------------------------------------------------------------------------------------------

    def to_raw(self, found: Packet6) -> bool:
        """Show a packet to raw sockets of its protocol (raw6_local_deliver); whether any took it."""
        heard = False
        for socket in tuple(self.raw.get(found.proto, ())):
            if socket.hears(found):
                heard = True
                socket.got(found, found.payload)
        return heard

    def echo_reply(self, found: Packet6) -> Drop | None:
        """Give an echo reply to the ping socket with its identifier."""
        socket = self.ping.get(unpack_from("!H", found.payload, 4)[0])
        if socket is not None and socket.hears(found):
            socket.got(found, found.payload)
        return None

    def datagram(self, found: Packet6) -> Drop | None:
        """Take a UDP datagram (__udp6_lib_rcv): one without a checksum is refused."""
        octets = found.payload
        if len(octets) < 8:
            return Drop.PKT_TOO_SMALL
        sport, port, size, given = unpack_from("!HHHH", octets)
        size = size or len(octets)
        if size < 8 or size > len(octets):
            return Drop.PKT_TOO_SMALL
        octets = octets[:size]
        right = given and (found.partial or not packet.transport_checksum(found.src, found.dst, packet.UDP, octets))
        if not right:
            return Drop.UDP_CSUM
        takers = [s for s in self.udp.get(port, ()) if s.hears(found)]
        if not is_multicast(found.dst):
            takers = sorted(takers, key=lambda s: -(2 * (s.peer is not None) + bool(s.src)))[:1]
        if not takers:
            if not is_multicast(found.dst):
                self.ip6.icmp.error(found, icmp6.UNREACH, icmp6.PORT)
            return Drop.NO_SOCKET
        for socket in takers:
            socket.got(found, octets[8:], sport)
        return None

    # -- errors -----------------------------------------------------------------------------------------------------

    def error(self, found: Packet6, message: icmp6.Message, inner: packet.Header, upper: packet.Upper) -> None:
        """Queue an ICMPv6 error with the sockets it is about (icmpv6_notify)."""
        number = _errno(message)
        problem = SockError(
            self.ip6.now, number, message.type, message.code, message.word, found.src, message.body, found.data
        )
        for socket in self._senders(inner, upper, message.body):
            socket.failed(problem)

    def _senders(self, inner: packet.Header, upper: packet.Upper, octets: bytes) -> list[Socket6]:
        """The sockets a quoted packet of ours may come from."""
        owners: list[Socket6] = [s for s in self.raw.get(upper.proto, ()) if not s.src or s.src == inner.src]
        if upper.proto == packet.UDP and len(octets) >= upper.at + 8:
            port = unpack_from("!H", octets, upper.at)[0]
            owners += [s for s in self.udp.get(port, ()) if not s.src or s.src == inner.src][:1]
        if upper.proto == packet.ICMPV6 and len(octets) >= upper.at + 8 and octets[upper.at] == icmp6.ECHO:
            socket = self.ping.get(unpack_from("!H", octets, upper.at + 4)[0])
            if socket is not None:
                owners.append(socket)
        return owners


def _errno(message: icmp6.Message) -> int:
    if message.type == icmp6.UNREACH:
        return UNREACH_ERRNO[message.code] if message.code < len(UNREACH_ERRNO) else errno.EPROTO
    return {icmp6.TOO_BIG: errno.EMSGSIZE, icmp6.TIME_EXCEEDED: errno.EHOSTUNREACH}.get(message.type, errno.EPROTO)
