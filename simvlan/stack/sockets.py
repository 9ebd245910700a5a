"""Sockets of programs in a namespace: raw, ping and UDP sockets, and the errors they hear of.

Mirrors net/ipv4/raw.c, ping.c and udp.c as far as bytes on the wire and errnos go. Sockets
never block: what arrived waits in `queue`, errors in `errors`; `on_receive(socket)` is called for each of either, so
that an engine can wake a process. Refusals are `OSError` with the kernel's errno.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from struct import pack, unpack_from
from typing import TYPE_CHECKING, NamedTuple

from simvlan.stack import fib
from simvlan.stack.ipaddr import is_multicast
from simvlan.stack.output import RouteResult
from simvlan.stack.packet import DF, ICMP, MAX_PACKET, UDP, Packet, build, checksum, pseudo_sum, reheader
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack

DONT, WANT, DO, PROBE_PMTU = 0, 1, 2, 3
"""IP_MTU_DISCOVER: never DF; DF where it fits; always DF; DF and ignore what is known of the path."""

ICMP_ERRNO = {
    0: errno.ENETUNREACH, 1: errno.EHOSTUNREACH, 2: errno.ENOPROTOOPT, 3: errno.ECONNREFUSED, 4: errno.EMSGSIZE,
    5: errno.EOPNOTSUPP, 6: errno.ENETUNREACH, 7: errno.EHOSTDOWN, 8: errno.ENONET, 9: errno.ENETUNREACH,
    10: errno.EHOSTUNREACH, 11: errno.ENETUNREACH, 12: errno.EHOSTUNREACH, 13: errno.EHOSTUNREACH,
    14: errno.EHOSTUNREACH, 15: errno.EHOSTUNREACH,
}  # fmt: skip
"""icmp_err_convert: what an unreachable code becomes."""


def refusal(number: int) -> OSError:
    """The error a system call returns."""
    return OSError(number, os.strerror(number))


class Received(NamedTuple):
    """One datagram: when, from whom, by which device, and the octets (`packet`: with the IP header)."""

    time_ns: int
    src: int
    sport: int
    dst: int
    ttl: int
    tos: int
    dev: Device | None
    data: bytes
    packet: bytes


class SockError(NamedTuple):
    """One entry of an error queue: an ICMP error about something we sent (struct sock_extended_err)."""

    time_ns: int
    errno: int
    type: int
    code: int
    info: int
    offender: int
    about: bytes
    """The quoted packet, IP header included."""
    packet: bytes
    """The error itself, IP header included."""


class Socket:
    """What all IPv4 sockets share. `bind_dev` is SO_BINDTODEVICE."""

    proto = 0

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.queue: deque[Received] = deque()
        self.errors: deque[SockError] = deque()
        self.on_receive: Callable[[Socket], None] | None = None
        self.bind_dev: Device | None = None
        self.src = 0
        self.port = 0
        self.ttl = 0
        """0: the namespace's default."""
        self.mc_ttl = 1
        self.mc_dev: Device | None = None
        self.mc_loop = True
        self.tos = 0
        self.mark = 0
        self.pmtudisc = WANT
        self.broadcast = False
        self.closed = False
        self.groups: list[tuple[Device, int]] = []

    def bind(self, address: int, port: int = 0) -> None:
        """Take a source address (EADDRNOTAVAIL unless it is ours, a broadcast or a group)."""
        if address and self.stack.addr_type(address) == fib.UNICAST:
            raise refusal(errno.EADDRNOTAVAIL)
        self.src = 0 if is_multicast(address) else address

    def join(self, group: int, dev: Device) -> None:
        """Join a group on a device (IP_ADD_MEMBERSHIP)."""
        if not is_multicast(group):
            raise refusal(errno.EINVAL)
        if (dev, group) in self.groups:
            raise refusal(errno.EADDRINUSE)
        self.groups.append((dev, group))
        self.stack.igmp.join(dev, group)
        self.stack.kernel.drain()

    def leave(self, group: int, dev: Device) -> None:
        """Leave a group (IP_DROP_MEMBERSHIP)."""
        if (dev, group) not in self.groups:
            raise refusal(errno.EADDRNOTAVAIL)
        self.groups.remove((dev, group))
        self.stack.igmp.leave(dev, group)
        self.stack.kernel.drain()

    def close(self) -> None:
        """Leave every group and hear nothing more."""
        if not self.closed:
            self.closed = True
            for dev, group in self.groups:
                self.stack.igmp.leave(dev, group)
            self.groups.clear()
            self.stack.sockets.forget(self)

    def hears(self, found: Packet) -> bool:
        """Whether a packet's device and destination fit the socket's bindings."""
        if self.bind_dev is not None and found.dev is not self.bind_dev:
            return False
        return not self.src or self.src == found.dst

    def got(self, found: Packet, data: bytes, sport: int = 0) -> None:
        """Queue a datagram and wake the owner."""
        now = self.stack.kernel.now
        self.queue.append(Received(now, found.src, sport, found.dst, found.ttl, found.tos, found.dev, data, found.data))
        if self.on_receive is not None:
            self.on_receive(self)

    def failed(self, problem: SockError) -> None:
        """Queue an error and wake the owner."""
        self.errors.append(problem)
        if self.on_receive is not None:
            self.on_receive(self)

    # -- sending ----------------------------------------------------------------------------------------------------

    def route(self, dst: int) -> RouteResult:
        """The route to a destination, or the error the program gets."""
        dev = self.bind_dev or (self.mc_dev if is_multicast(dst) else None)
        found = self.stack.output.find(dst, self.src, dev, self.tos & 0x1E, self.mark, self.proto)
        if isinstance(found, int):
            raise refusal(found)
        if found.kind == fib.BROADCAST and not self.broadcast:
            raise refusal(errno.EACCES)
        return found

    def transmit(self, route: RouteResult, payload: bytes, partial: bool = False, options: bytes = b"") -> int:
        """Wrap a payload in a header as ip_make_skb does, send it, and let it be received."""
        stack = self.stack
        size = 20 + len(options) + len(payload)
        if size > MAX_PACKET:
            raise refusal(errno.EMSGSIZE)
        fits = size <= (min(route.dev.mtu, MAX_PACKET) if self.pmtudisc == PROBE_PMTU else route.path_mtu)
        if not fits and self.pmtudisc >= DO:
            raise refusal(errno.EMSGSIZE)
        frag = DF if self.pmtudisc >= DO or (self.pmtudisc == WANT and fits and not route.mtu_locked) else 0
        ident = 0 if self.pmtudisc >= DO else stack.next_id(route.src, route.dst, self.proto)
        default = stack.settings["ip_default_ttl"]
        ttl = self.mc_ttl if route.kind == fib.MULTICAST else self.ttl or default
        data = build(route.src, route.dst, self.proto, payload, ttl, self.tos, ident, frag, options)
        return self._push(route, data, partial)

    def _push(self, route: RouteResult, data: bytes, partial: bool) -> int:
        answer = self.stack.output.send(route, data, partial, self.mc_loop)
        self.stack.kernel.drain()
        if answer in (Drop.NETFILTER_DROP, Drop.NETFILTER_NO_ADDRESS):
            raise refusal(errno.EPERM)
        if isinstance(answer, Drop) and answer is not Drop.DEV_DOWN and self.errors_reported:
            raise refusal(errno.ENOBUFS)
        return len(data)

    errors_reported = False
    """IP_RECVERR on: a refusal by the driver is told too (net_xmit_errno)."""


class RawSocket(Socket):
    """A raw socket for one protocol: sees every packet of it, header included."""

    def __init__(self, stack: Stack, proto: int) -> None:
        super().__init__(stack)
        self.proto = proto
        self.hdrincl = proto == 255

    def send(self, payload: bytes, dst: int, options: bytes = b"") -> int:
        """Send a payload; with `hdrincl` a whole packet, its source, id, length and checksum filled in where zero."""
        route = self.route(dst)
        if self.hdrincl:
            return self._send_whole(route, payload)
        return self.transmit(route, payload, options=options)

    def _send_whole(self, route: RouteResult, data: bytes) -> int:
        if len(data) < 20 or (data[0] & 15) * 4 > len(data):
            raise refusal(errno.EINVAL)
        if len(data) > route.dev.mtu:
            raise refusal(errno.EMSGSIZE)
        if data[12:16] == b"\0\0\0\0":
            data = data[:12] + pack("!I", route.src) + data[16:]
        if data[4:6] == b"\0\0":
            data = data[:4] + pack("!H", self.stack.next_id(route.src, route.dst, data[9])) + data[6:]
        return self._push(route, reheader(data), False)


class PingSocket(Socket):
    """An unprivileged ICMP socket (SOCK_DGRAM, IPPROTO_ICMP): the kernel owns identifier and checksum."""

    proto = ICMP

    def bind(self, address: int, port: int = 0) -> None:
        """Take a source address and an identifier (0: any free one)."""
        super().bind(address, port)
        self.stack.sockets.take_port(self, port, ICMP)

    def send(self, octets: bytes, dst: int) -> int:
        """Send an echo request given from its type on."""
        if len(octets) < 8 or octets[0] != 8 or octets[1]:
            raise refusal(errno.EINVAL)
        route = self.route(dst)
        if not self.port:
            self.stack.sockets.take_port(self, 0, ICMP)
        body = octets[:2] + b"\0\0" + pack("!H", self.port) + octets[6:]
        return self.transmit(route, body[:2] + checksum(body).to_bytes(2, "big") + body[4:])


class UdpSocket(Socket):
    """A UDP socket."""

    proto = UDP
    checksums = True

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.reuse = False
        self.bound_group = 0
        self.peer: tuple[int, int] | None = None

    def bind(self, address: int, port: int = 0) -> None:
        """Take an address and a port (0: any free one)."""
        super().bind(address, port)
        self.bound_group = address if is_multicast(address) else 0
        self.stack.sockets.take_port(self, port, UDP)

    def connect(self, address: int, port: int) -> None:
        """Fix the other end."""
        route = self.route(address)
        self.peer, self.src = (address, port), self.src or route.src
        if not self.port:
            self.stack.sockets.take_port(self, 0, UDP)

    def send(self, data: bytes, dst: int = 0, port: int = 0) -> int:
        """Send a datagram."""
        if not dst:
            if self.peer is None:
                raise refusal(errno.EDESTADDRREQ)
            dst, port = self.peer
        if not port:
            raise refusal(errno.EINVAL)
        if len(data) > 65_507:
            raise refusal(errno.EMSGSIZE)
        route = self.route(dst)
        if not self.port:
            self.stack.sockets.take_port(self, 0, UDP)
        size = 8 + len(data)
        partial = self.checksums and 20 + size <= route.path_mtu and not _software_checksum(route.dev)
        return self.transmit(route, self._datagram(route, port, data, partial), partial)

    def _datagram(self, route: RouteResult, port: int, data: bytes, partial: bool) -> bytes:
        size = 8 + len(data)
        head = pack("!HHH", self.port, port, size)
        if not self.checksums:
            return head + b"\0\0" + data
        pseudo = pseudo_sum(route.src, route.dst, UDP, size)
        value = pseudo if partial else checksum(pack("!H", pseudo) + head + b"\0\0" + data) or 0xFFFF
        return head + value.to_bytes(2, "big") + data

    def hears(self, found: Packet) -> bool:
        """Also the other end must fit once connected, and the group once bound to one."""
        if self.bind_dev is not None and found.dev is not self.bind_dev:
            return False
        wanted = self.bound_group or self.src
        if wanted and wanted != found.dst:
            return False
        return self.peer is None or self.peer == (found.src, unpack_from("!H", found.data, found.header_len)[0])


def _software_checksum(dev: Device) -> bool:
    """Whether the device leaves checksums to the stack (ethtool -K DEV tx off)."""
    return "tx" in dev.features_off or "tx-checksum-ip-generic" in dev.features_off


class Sockets:
    """The sockets of a namespace, by what reaches them."""

    __slots__ = ("_next_port", "ping", "raw", "stack", "udp")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.raw: dict[int, list[RawSocket]] = {}
        self.ping: dict[int, PingSocket] = {}
        self.udp: dict[int, list[UdpSocket]] = {}
        self._next_port = {ICMP: 1, UDP: 32_768}

    def take_port(self, socket: Socket, port: int, proto: int) -> None:
        """Give a socket its port or identifier: the wanted one if free, else the next free one, in order."""
        if proto == ICMP:
            assert isinstance(socket, PingSocket)
            if port in self.ping:
                raise refusal(errno.EADDRINUSE)
            socket.port = port or self._free(self.ping, ICMP, 1, 65_536)
            self.ping[socket.port] = socket
        else:
            assert isinstance(socket, UdpSocket)
            if port and any(self._clashes(socket, other) for other in self.udp.get(port, ())):
                raise refusal(errno.EADDRINUSE)
            socket.port = port or self._free(self.udp, UDP, 32_768, 61_000)
            self.udp.setdefault(socket.port, []).append(socket)

    @staticmethod
    def _clashes(one: UdpSocket, other: UdpSocket) -> bool:
        if one.reuse and other.reuse:
            return False
        if one.bind_dev is not other.bind_dev and one.bind_dev is not None and other.bind_dev is not None:
            return False
        mine, theirs = one.bound_group or one.src, other.bound_group or other.src
        return not mine or not theirs or mine == theirs

    def _free(self, taken: dict[int, PingSocket] | dict[int, list[UdpSocket]], proto: int, low: int, high: int) -> int:
        for _ in range(high - low):
            port = self._next_port[proto]
            self._next_port[proto] = port + 1 if port + 1 < high else low
            if port not in taken:
                return port
        raise refusal(errno.EAGAIN)

    def forget(self, socket: Socket) -> None:
        """Take a socket out."""
        if isinstance(socket, RawSocket):
            self.raw[socket.proto].remove(socket)
        elif isinstance(socket, PingSocket):
            self.ping.pop(socket.port, None)
        elif socket.port and isinstance(socket, UdpSocket):
            self.udp[socket.port].remove(socket)
            if not self.udp[socket.port]:
                del self.udp[socket.port]

    # -- receiving --------------------------------------------------------------------------------------------------

    def to_raw(self, found: Packet) -> bool:
        """Show a packet to raw sockets of its protocol (raw_local_deliver); whether any took it."""
        heard = False
        for socket in tuple(self.raw.get(found.proto, ())):
            if socket.hears(found):
                heard = True
                socket.got(found, found.data)
        return heard

    def echo_reply(self, found: Packet) -> Drop | None:
        """Give an echo reply to the ping socket with its identifier (ping_rcv)."""
        socket = self.ping.get(unpack_from("!H", found.data, found.header_len + 4)[0])
        if socket is not None and socket.hears(found):
            socket.got(found, found.payload)
        return None

    def datagram(self, found: Packet) -> Drop | None:
        """Take a UDP datagram (__udp4_lib_rcv)."""
        octets = found.payload
        if len(octets) < 8:
            return Drop.PKT_TOO_SMALL
        sport, port, size, given = unpack_from("!HHHH", octets)
        if size < 8 or size > len(octets):
            return Drop.PKT_TOO_SMALL
        octets = octets[:size]
        bad = bool(given) and not found.partial and self._bad_checksum(found, octets)
        takers = [s for s in self.udp.get(port, ()) if s.hears(found)]
        if not found.broadcast:
            takers = sorted(takers, key=_specificity)[:1]
        elif is_multicast(found.dst):
            takers = [s for s in takers if not s.groups or (found.dev, found.dst) in s.groups]
        if bad:
            return Drop.UDP_CSUM
        if not takers:
            if not found.broadcast:
                self.stack.icmp.error(found, 3, 3)
            return Drop.NO_SOCKET
        for socket in takers:
            socket.got(found, octets[8:], sport)
        return None

    @staticmethod
    def _bad_checksum(found: Packet, octets: bytes) -> bool:
        pseudo = pseudo_sum(found.src, found.dst, UDP, len(octets))
        return checksum(pack("!H", pseudo) + octets) != 0

    # -- errors -----------------------------------------------------------------------------------------------------

    def sent(self, about: Packet) -> bool:
        """Whether a quoted packet is from a socket that is still there."""
        return bool(self._senders(about)) or self.stack.tcp.sender(about) is not None

    def error(self, found: Packet, about: Packet, kind: int, code: int, info: int) -> None:
        """Queue an ICMP error with the sockets it is about."""
        number = ICMP_ERRNO[code] if kind == 3 else errno.EPROTO if kind == 12 else errno.EHOSTUNREACH
        problem = SockError(
            self.stack.kernel.now, number, kind, code, info, found.src, about.data, found.data
        )  # fmt: skip
        for socket in self._senders(about):
            socket.failed(problem)
        self.stack.tcp.error(about, kind, code, info, number)

    def _senders(self, about: Packet) -> list[Socket]:
        """The sockets a quoted packet of ours may come from."""
        owners: list[Socket] = [
            s for s in self.raw.get(about.proto, ()) if not s.src or s.src == about.src
        ]  # fmt: skip
        at = about.header_len
        if about.proto == UDP and len(about.data) >= at + 8:
            port = unpack_from("!H", about.data, at)[0]
            owners += [s for s in self.udp.get(port, ()) if not s.src or s.src == about.src][:1]
        if about.proto == ICMP and len(about.data) >= at + 8 and about.data[at] == 8:
            socket = self.ping.get(unpack_from("!H", about.data, at + 4)[0])
            if socket is not None:
                owners.append(socket)
        return owners


def _specificity(socket: UdpSocket) -> int:
    """The best match first: connected, then bound to an address or device (compute_score)."""
    return -(4 * (socket.peer is not None) + 2 * bool(socket.src) + (socket.bind_dev is not None))
