"""What sockets ask of IPv4 below them; `stack/ipv6/family6.py` answers the same for IPv6.

Mirrors what struct inet_connection_sock_af_ops and the twin functions of net/ipv4 and net/ipv6 (udp.c, raw.c, ping.c,
tcp_ipv4.c, tcp_ipv6.c) have of their own: routes, headers, pseudo headers, which addresses are ours.
"""

from __future__ import annotations

import errno
import os
from struct import pack
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from simvlan.segmentation import longest
from simvlan.stack import fib
from simvlan.stack.ipaddr import LOOPBACK_ADDRESS, ip_text, is_multicast
from simvlan.stack.output import RouteResult
from simvlan.stack.packet import DF, ICMP, MAX_PACKET, TCP, Packet, build, checksum, pseudo_sum
from simvlan.stack.tcp import segment as wire
from simvlan.stack.tcp.packets import Flow, is_syn_ack, packed, waits, with_checksum
from simvlan.stack.tcp.segment import Segment
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack

DONT, WANT, DO, PROBE_PMTU = 0, 1, 2, 3
"""IP_MTU_DISCOVER: never DF; DF where it fits; always DF; DF and ignore what is known of the path."""
MAPPED = 0xFFFF << 32
"""::ffff:0:0/96: how IPv6 sockets name IPv4 addresses."""
LEAST_ADVMSS, MOST_ADVMSS = 256, 65_495
ENDS4 = slice(12, 28)
"""Addresses, ports and sequence number of a packet without options."""

ICMP_ERRNO = {
    0: errno.ENETUNREACH, 1: errno.EHOSTUNREACH, 2: errno.ENOPROTOOPT, 3: errno.ECONNREFUSED, 4: errno.EMSGSIZE,
    5: errno.EOPNOTSUPP, 6: errno.ENETUNREACH, 7: errno.EHOSTDOWN, 8: errno.ENONET, 9: errno.ENETUNREACH,
    10: errno.EHOSTUNREACH, 11: errno.ENETUNREACH, 12: errno.EHOSTUNREACH, 13: errno.EHOSTUNREACH,
    14: errno.EHOSTUNREACH, 15: errno.EHOSTUNREACH,
}  # fmt: skip
"""icmp_err_convert: what an unreachable code becomes."""


class Family(Protocol):
    """One address family as its sockets see it. Routes and packets are the family's own (`Any` here)."""

    number: int
    """4 or 6."""
    header: int
    """Octets of a packet's header."""
    loopback: int
    icmp: int
    """The protocol number of its ICMP."""
    echo: int
    """The type of an echo request."""
    most_datagram: int
    flows: dict[Flow, Any]
    """TCP's connections."""

    def text(self, address: int) -> str:
        """Write an address."""

    def is_group(self, address: int) -> bool:
        """Whether an address is a group's."""

    def may_bind(self, address: int, dev: Device | None) -> int:
        """The errno of binding to an address, 0 where it is ours or a group."""

    def is_own(self, address: int, dev: Device | None) -> bool:
        """Whether an address is configured here."""

    def near(self, address: int) -> bool:
        """Whether an address means something on one link only."""

    def of(self, address: int) -> tuple[Family, int]:
        """The family that carries packets to an address, and what it calls it (IPv4-mapped ones)."""

    def join(self, group: int, dev: Device) -> None:
        """Hear a group on a device."""

    def leave(self, group: int, dev: Device) -> None:
        """And no longer."""

    def find(self, dst: int, src: int, dev: Device | None, tos: int = 0, mark: int = 0, proto: int = 0) -> Any:
        """A route, or the errno."""

    def mtu_locked(self, route: Any) -> bool:
        """Whether the path's MTU may not be discovered."""

    def wrap(self, sock: Any, route: Any, payload: bytes, options: bytes) -> bytes | int:
        """The packet of a datagram socket, or the errno."""

    def send(self, route: Any, octets: bytes, partial: int, loop: bool) -> int | Drop:
        """Send a packet of our own."""

    def pseudo(self, src: int, dst: int, proto: int, size: int) -> int:
        """The folded sum of the pseudo header."""

    def sealed(self, route: Any, octets: bytes) -> bytes:
        """Fill in the checksum of an ICMP message."""

    def raw_view(self, found: Any) -> bytes:
        """What a raw socket gets of a packet."""

    def raw_body(self, route: Any, proto: int, payload: bytes) -> bytes:
        """What a raw socket sends of a payload."""

    def devices(self, found: Any) -> tuple[Device | None, ...]:
        """The devices a packet may be said to have come by."""

    def grouped(self, found: Any) -> bool:
        """Whether a packet is for many."""

    def udp_size(self, given: int, came: int) -> int:
        """The length of a datagram that says *given* of itself."""

    def udp_right(self, found: Any, octets: bytes) -> bool:
        """Whether the checksum of a datagram is right."""

    def port_closed(self, found: Any) -> None:
        """Tell the sender of a datagram that nobody takes it."""

    def errno_of(self, kind: int, code: int) -> int:
        """What an ICMP error becomes."""

    def too_big(self, kind: int, code: int) -> bool:
        """Whether an ICMP error tells of a smaller MTU."""

    def takes_syn(self, found: Any) -> bool:
        """Whether a segment was sent to one of our own addresses."""

    def link_of(self, found: Any) -> Device | None:
        """The device an answer must leave by, as the sender's address means something on one link only."""

    def advmss(self, path_mtu: int) -> int:
        """The MSS announced on a path."""

    def packed(self, address: int) -> bytes:
        """An address as octets."""

    def transmit(self, sock: Any, route: Any, segments: list[Segment]) -> None:
        """Wrap a connection's segments in packets and send them."""

    def reset(self, answer: Segment, flow: Flow, found: Any, tos: int, about: Any = None) -> None:
        """Send a RST that no connection stands behind; *found*: the packet it answers."""


class Holder(NamedTuple):
    """The program that has a socket open: its name, its process's number, and the number the socket has there."""

    name: str
    pid: int
    fd: int

    def __str__(self) -> str:
        return f'users:(("{self.name}",pid={self.pid},fd={self.fd}))'


def refusal(number: int) -> OSError:
    """The error a system call returns."""
    return OSError(number, os.strerror(number))


class Ends:
    """A socket as far as its family goes: one of IPv6 becomes one of IPv4 where its ends are mapped addresses."""

    family: Family
    mapped = False
    holder: Holder | None = None

    def map(self, address: int) -> int:
        """Become a socket of the family that carries packets to an address; what that family calls it."""
        family, address = self.family.of(address)
        if family is not self.family:
            self.family, self.mapped = family, True
        return address

    def text(self, address: int) -> str:
        """Write an address of one of its ends."""
        return ("::ffff:" if self.mapped else "") + self.family.text(address)


class Family4:
    """IPv4."""

    number = 4
    header = 20
    loopback = LOOPBACK_ADDRESS
    icmp, echo = ICMP, 8
    most_datagram = 65_507

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.flows: dict[Flow, Any] = {}

    # -- addresses --------------------------------------------------------------------------------------------------

    def text(self, address: int) -> str:
        """Write an address."""
        return ip_text(address)

    def packed(self, address: int) -> bytes:
        """An address as octets."""
        return address.to_bytes(4, "big")

    def is_group(self, address: int) -> bool:
        """Whether an address is a group's."""
        return is_multicast(address)

    def may_bind(self, address: int, dev: Device | None) -> int:
        """The errno of binding to an address: EADDRNOTAVAIL unless it is ours, a broadcast or a group."""
        return errno.EADDRNOTAVAIL if self.stack.addr_type(address) == fib.UNICAST else 0

    def is_own(self, address: int, dev: Device | None) -> bool:
        """Whether an address is configured here."""
        return self.stack.addr_type(address) == fib.LOCAL

    def near(self, address: int) -> bool:
        """Every address means something everywhere."""
        return False

    def of(self, address: int) -> tuple[Family, int]:
        """IPv4 carries it."""
        return self, address

    def join(self, group: int, dev: Device) -> None:
        """Hear a group on a device."""
        self.stack.igmp.join(dev, group)

    def leave(self, group: int, dev: Device) -> None:
        """And no longer."""
        self.stack.igmp.leave(dev, group)

    # -- sending ----------------------------------------------------------------------------------------------------

    def find(self, dst: int, src: int, dev: Device | None, tos: int = 0, mark: int = 0, proto: int = 0) -> Any:
        """A route, or the errno."""
        return self.stack.output.find(dst, src, dev, tos & 0x1E, mark, proto)

    def mtu_locked(self, route: RouteResult) -> bool:
        """Whether the path's MTU may not be discovered."""
        return route.mtu_locked

    def wrap(self, sock: Any, route: RouteResult, payload: bytes, options: bytes) -> bytes | int:
        """A header as ip_make_skb makes it; EMSGSIZE where the packet is too long for it or for the path."""
        stack, tried = self.stack, sock.pmtudisc
        size = 20 + len(options) + len(payload)
        fits = size <= (min(route.dev.mtu, MAX_PACKET) if tried == PROBE_PMTU else route.path_mtu)
        if size > MAX_PACKET or (not fits and tried >= DO):
            return errno.EMSGSIZE
        frag = DF if tried >= DO or (tried == WANT and fits and not route.mtu_locked) else 0
        ident = 0 if tried >= DO else stack.next_id(route.src, route.dst, sock.proto)
        default = stack.settings["ip_default_ttl"]
        ttl = sock.mc_ttl if route.kind == fib.MULTICAST else sock.ttl or default
        return build(route.src, route.dst, sock.proto, payload, ttl, sock.tos, ident, frag, options)

    def send(self, route: RouteResult, octets: bytes, partial: int, loop: bool) -> int | Drop:
        """Send a packet of our own."""
        return self.stack.output.send(route, octets, partial, loop)

    def pseudo(self, src: int, dst: int, proto: int, size: int) -> int:
        """The folded sum of the pseudo header."""
        return pseudo_sum(src, dst, proto, size)

    def sealed(self, route: RouteResult, octets: bytes) -> bytes:
        """Fill in the checksum of an ICMP message."""
        return octets[:2] + checksum(octets).to_bytes(2, "big") + octets[4:]

    def raw_body(self, route: RouteResult, proto: int, payload: bytes) -> bytes:
        """A raw socket's payload goes as it is."""
        return payload

    # -- receiving --------------------------------------------------------------------------------------------------

    def raw_view(self, found: Packet) -> bytes:
        """A raw socket gets the header too."""
        return found.data

    def devices(self, found: Packet) -> tuple[Device | None, ...]:
        """The device a packet came by."""
        return (found.dev,)

    def grouped(self, found: Packet) -> bool:
        """Whether a packet is for many."""
        return found.broadcast

    def udp_size(self, given: int, came: int) -> int:
        """The length a datagram says it has."""
        return given

    def udp_right(self, found: Packet, octets: bytes) -> bool:
        """Whether the checksum of a datagram is right; it may be left out."""
        if octets[6:8] == b"\0\0" or found.partial:
            return True
        pseudo = pseudo_sum(found.src, found.dst, found.proto, len(octets))
        return checksum(pack("!H", pseudo) + octets) == 0

    def port_closed(self, found: Packet) -> None:
        """Port unreachable."""
        self.stack.icmp.error(found, 3, 3)

    def errno_of(self, kind: int, code: int) -> int:
        """What an ICMP error becomes."""
        return ICMP_ERRNO[code] if kind == 3 else errno.EPROTO if kind == 12 else errno.EHOSTUNREACH

    def too_big(self, kind: int, code: int) -> bool:
        """Fragmentation needed."""
        return (kind, code) == (3, 4)

    # -- TCP --------------------------------------------------------------------------------------------------------

    def takes_syn(self, found: Packet) -> bool:
        """Whether a segment was sent to one of our own addresses."""
        return self.stack.addr_type(found.dst) == fib.LOCAL

    def link_of(self, found: Packet) -> None:
        """Every address means something everywhere."""

    def advmss(self, path_mtu: int) -> int:
        """The MSS announced on a path (ipv4_default_advmss)."""
        return min(max(path_mtu - 40, LEAST_ADVMSS), MOST_ADVMSS)

    def transmit(self, sock: Any, route: RouteResult, segments: list[Segment]) -> None:
        """Wrap segments in packets as __ip_queue_xmit does: DF set, identification counted."""
        stack, flow = self.stack, sock.flow
        partial_sum = not {"tx", "tx-checksum-ip-generic"} & set(route.dev.features_off)
        ttl = sock.ttl or stack.settings["ip_default_ttl"]
        frag = 0 if route.mtu_locked else DF
        waiting = stack.neigh.waiting(route.dev, route.nexthop)
        for segment in segments:
            if waiting and waits(segment, pack("!IIHH", flow[0], flow[2], flow[1], flow[3]), waiting, ENDS4):
                continue
            ident = 0 if is_syn_ack(segment) else stack.next_id(flow[0], flow[2], TCP, segment.packets)
            left = segment.gso_size or int(partial_sum)
            data = build(flow[0], flow[2], TCP, packed(segment, flow, left), ttl, sock.tos, ident, frag)
            if frag and longest(data, left) > route.path_mtu:
                continue  # cut meanwhile, and queued again
            stack.output.send(route, data, left)

    def reset(self, answer: Segment, flow: Flow, found: Packet, tos: int, about: Packet | None = None) -> None:
        """Send a RST that no connection stands behind: identification 0, the TOS copied (tcp_v4_send_reset).

        *about*: the packet that a filter rejected, perhaps another host's.
        """
        stack, (src, sport, dst, dport) = self.stack, flow
        route = stack.output.find(dst, src=src, tos=tos & 0x1E, any_source=about is not None)
        if isinstance(route, int):
            return
        octets = with_checksum(wire.encode(answer, sport, dport), src, dst)
        data = build(src, dst, TCP, octets, stack.settings["ip_default_ttl"], tos, 0, DF)
        stack.output.send(route, data, about=about)
