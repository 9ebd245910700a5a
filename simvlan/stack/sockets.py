"""Sockets of programs in a namespace: raw, ping and UDP sockets of both families, and the errors they hear of.

Mirrors raw.c, ping.c and udp.c of net/ipv4 and net/ipv6 as far as bytes on the wire and errnos go; what the families
do otherwise is in `family.py` and `ipv6/family6.py`. Sockets never block: what arrived waits in `queue`, errors in
`errors`; `on_receive(socket)` is called for each of either, so that an engine can wake a process. Refusals are
`OSError` with the kernel's errno. A UDP socket of IPv6 takes IPv4 too, as ::ffff:a.b.c.d, unless it is `v6only`.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Any, NamedTuple

from simvlan.stack import fib
from simvlan.stack.family import MAPPED, WANT, Ends, Family, refusal
from simvlan.stack.packet import UDP, checksum, reheader
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack


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


class Socket(Ends):
    """What all sockets share. `bind_dev` is SO_BINDTODEVICE, or the device an address was given with (`%dev`)."""

    proto = 0
    port = 0

    def __init__(self, stack: Stack, family: Family) -> None:
        self.stack = stack
        self.family = family
        self.queue: deque[Received] = deque()
        self.errors: deque[SockError] = deque()
        self.on_receive: Callable[[Socket], None] | None = None
        self.bind_dev: Device | None = None
        self.src = 0
        self.ttl = 0
        """0: the namespace's default, or the route's hop limit."""
        self.mc_ttl = 1
        self.mc_dev: Device | None = None
        self.mc_loop = True
        self.tos = 0
        """The traffic class, for IPv6."""
        self.flow_label: int | None = None
        """None: made of the flow."""
        self.mark = 0
        self.pmtudisc = WANT
        self.broadcast = False
        self.closed = False
        self.groups: list[tuple[Device, int]] = []

    def bind(self, address: int, port: int = 0) -> None:
        """Take a source address (EADDRNOTAVAIL unless it is ours, a broadcast or a group)."""
        address = self.map(address)
        number = self.family.may_bind(address, self.bind_dev) if address else 0
        if number:
            raise refusal(number)
        self.src = 0 if self.family.is_group(address) else address

    def join(self, group: int, dev: Device) -> None:
        """Join a group on a device (IP_ADD_MEMBERSHIP)."""
        if not self.family.is_group(group):
            raise refusal(errno.EINVAL)
        if (dev, group) in self.groups:
            raise refusal(errno.EADDRINUSE)
        self.groups.append((dev, group))
        self.family.join(group, dev)
        self.stack.kernel.drain()

    def leave(self, group: int, dev: Device) -> None:
        """Leave a group (IP_DROP_MEMBERSHIP)."""
        if (dev, group) not in self.groups:
            raise refusal(errno.EADDRNOTAVAIL)
        self.groups.remove((dev, group))
        self.family.leave(group, dev)
        self.stack.kernel.drain()

    def close(self) -> None:
        """Leave every group and hear nothing more."""
        if not self.closed:
            self.closed = True
            for dev, group in self.groups:
                self.family.leave(group, dev)
            self.groups.clear()
            self.forget()

    def forget(self) -> None:
        """Be out of the tables."""

    def hears(self, found: Any) -> bool:
        """Whether a packet's device and destination fit the socket's bindings (a group's of IPv6 always)."""
        if self.bind_dev is not None and self.bind_dev not in self.family.devices(found):
            return False
        return not self.src or self.src == found.dst or (found.family == 6 and self.family.is_group(found.dst))

    def got(self, found: Any, data: bytes, sport: int = 0) -> None:
        """Queue a datagram and wake the owner."""
        now, shift = self.stack.kernel.now, MAPPED if found.family != self.family.number else 0
        dev = found.input_if if found.family == 6 else found.dev
        ends = found.src | shift, sport, found.dst | shift
        self.queue.append(Received(now, *ends, found.ttl, found.tos, dev, data, found.data))
        if self.on_receive is not None:
            self.on_receive(self)

    def failed(self, problem: SockError) -> None:
        """Queue an error and wake the owner."""
        self.errors.append(problem)
        if self.on_receive is not None:
            self.on_receive(self)

    # -- sending ----------------------------------------------------------------------------------------------------

    def route(self, dst: int, dev: Device | None = None) -> Any:
        """The route to a destination, or the error the program gets; *dev* is that of `dst%dev`."""
        family, dst = self.family.of(dst)
        by = dev or self.bind_dev or (self.mc_dev if family.is_group(dst) else None)
        found = family.find(dst, self.src, by, self.tos, self.mark, self.proto)
        if isinstance(found, int):
            raise refusal(found)
        if found.kind == fib.BROADCAST and not self.broadcast:
            raise refusal(errno.EACCES)
        return found

    def way(self, dst: int, dev: Device | None = None) -> Any:
        """The route of a connection: from a source just found, rules may have another, or none (ip_route_connect)."""
        found = self.route(dst, dev)
        if self.src or not self.stack.fib.custom:
            return found
        try:
            self.src = found.src
            return self.route(dst, dev)
        finally:
            self.src = 0

    def transmit(
        self, route: Any, payload: bytes, partial: int = 0, options: bytes = b"", family: Family | None = None
    ) -> int:
        """Wrap a payload in a header, send it, and let it be received; *family*: that of a mapped address."""
        family = family or self.family
        data = family.wrap(self, route, payload, options)
        if isinstance(data, int):
            raise refusal(data)
        return self._push(route, data, partial, family)

    def _push(self, route: Any, data: bytes, partial: int, family: Family) -> int:
        answer = family.send(route, data, partial, self.mc_loop)
        self.stack.kernel.drain()
        if answer in (Drop.NETFILTER_DROP, Drop.NETFILTER_NO_ADDRESS):
            raise refusal(errno.EPERM)
        if isinstance(answer, Drop) and answer is not Drop.DEV_DOWN and self.errors_reported:
            raise refusal(errno.ENOBUFS)
        return len(data)

    errors_reported = False
    """IP_RECVERR on: a refusal by the driver is told too (net_xmit_errno)."""


class RawSocket(Socket):
    """A raw socket for one protocol: sees every packet of it, of IPv4 with its header."""

    def __init__(self, stack: Stack, proto: int, family: Family) -> None:
        super().__init__(stack, family)
        self.proto = proto
        self.hdrincl = proto == 255

    def forget(self) -> None:
        """Be out of the tables."""
        self.stack.table(self.family).raw[self.proto].remove(self)

    def send(self, payload: bytes, dst: int, dev: Device | None = None, options: bytes = b"") -> int:
        """Send a payload; with `hdrincl` a whole packet, its source, id, length and checksum filled in where zero."""
        route = self.route(dst, dev)
        if self.hdrincl:
            return self._send_whole(route, payload)
        return self.transmit(route, self.family.raw_body(route, self.proto, payload), options=options)

    def _send_whole(self, route: Any, data: bytes) -> int:
        if len(data) < 20 or (data[0] & 15) * 4 > len(data):
            raise refusal(errno.EINVAL)
        if len(data) > route.dev.mtu:
            raise refusal(errno.EMSGSIZE)
        if data[12:16] == b"\0\0\0\0":
            data = data[:12] + pack("!I", route.src) + data[16:]
        if data[4:6] == b"\0\0":
            data = data[:4] + pack("!H", self.stack.next_id(route.src, route.dst, data[9])) + data[6:]
        return self._push(route, reheader(data), False, self.family)


class PingSocket(Socket):
    """An unprivileged ICMP socket (SOCK_DGRAM, IPPROTO_ICMP): the kernel owns identifier and checksum."""

    def __init__(self, stack: Stack, family: Family) -> None:
        super().__init__(stack, family)
        self.proto = family.icmp

    def forget(self) -> None:
        """Be out of the tables."""
        self.stack.table(self.family).ping.pop(self.port, None)

    def bind(self, address: int, port: int = 0) -> None:
        """Take a source address and an identifier (0: any free one)."""
        super().bind(address, port)
        self.stack.table(self.family).take_ident(self, port)

    def send(self, octets: bytes, dst: int, dev: Device | None = None) -> int:
        """Send an echo request given from its type on."""
        if len(octets) < 8 or octets[0] != self.family.echo or octets[1]:
            raise refusal(errno.EINVAL)
        route = self.route(dst, dev)
        if not self.port:
            self.stack.table(self.family).take_ident(self, 0)
        body = octets[:2] + b"\0\0" + pack("!H", self.port) + octets[6:]
        return self.transmit(route, self.family.sealed(route, body))


class UdpSocket(Socket):
    """A UDP socket."""

    proto = UDP
    checksums = True

    def __init__(self, stack: Stack, family: Family, v6only: bool = False) -> None:
        super().__init__(stack, family)
        self.reuse = self.reuseport = False
        self.v6only = v6only
        """IPV6_V6ONLY."""
        self.bound_group = 0
        self.peer: tuple[int, int] | None = None

    def forget(self) -> None:
        """Be out of the tables."""
        if self.port:
            self.stack.sockets.free_port(self)

    def bind(self, address: int, port: int = 0) -> None:
        """Take an address and a port (0: any free one)."""
        super().bind(address, port)
        self.bound_group = address if self.family.is_group(address) else 0
        self.stack.sockets.take_port(self, port)

    def connect(self, address: int, port: int, dev: Device | None = None) -> None:
        """Fix the other end."""
        address = self.map(address)
        route = self.way(address, dev)
        self.peer, self.src = (address, port), self.src or route.src
        self.bind_dev = self.bind_dev or dev
        if not self.port:
            self.stack.sockets.take_port(self, 0)

    def send(self, data: bytes, dst: int = 0, port: int = 0, dev: Device | None = None) -> int:
        """Send a datagram."""
        if not dst:
            if self.peer is None:
                raise refusal(errno.EDESTADDRREQ)
            dst, port = self.peer
        if not port:
            raise refusal(errno.EINVAL)
        family, dst = self.family.of(dst)
        if len(data) > family.most_datagram:
            raise refusal(errno.EMSGSIZE)
        route = self.route(dst | MAPPED if family is not self.family else dst, dev)
        if not self.port:
            self.stack.sockets.take_port(self, 0)
        size = 8 + len(data)
        partial = self.checksums and family.header + size <= route.path_mtu and not _software_checksum(route.dev)
        return self.transmit(route, self._datagram(route, port, data, partial, family), partial, family=family)

    def _datagram(self, route: Any, port: int, data: bytes, partial: int, family: Family) -> bytes:
        size = 8 + len(data)
        head = pack("!HHH", self.port, port, size)
        if not self.checksums:
            return head + b"\0\0" + data
        pseudo = family.pseudo(route.src, route.dst, UDP, size)
        value = pseudo if partial else checksum(pack("!H", pseudo) + head + b"\0\0" + data) or 0xFFFF
        return head + value.to_bytes(2, "big") + data

    def hears(self, found: Any) -> bool:
        """Also the family and the other end must fit once connected, and the group once bound to one."""
        if self.bind_dev is not None and self.bind_dev not in self.family.devices(found):
            return False
        wanted = self.bound_group or self.src
        if not self.speaks(found.family) or (wanted and wanted != found.dst):
            return False
        return self.peer is None or self.peer == (found.src, unpack_from("!H", found.data, found.header_len)[0])

    def speaks(self, number: int) -> bool:
        """Whether packets of a family may be for it or from it."""
        return self.family.number == number or (self.family.number == 6 and not (self.v6only or self.src))


def _software_checksum(dev: Device) -> bool:
    """Whether the device leaves checksums to the stack (ethtool -K DEV tx off)."""
    return "tx" in dev.features_off or "tx-checksum-ip-generic" in dev.features_off
