"""What sockets ask of IPv6 below them: the answers of `stack/family.py` for the other family.

Mirrors struct ipv6_specific and what udp.c, raw.c, ping.c and tcp_ipv6.c of net/ipv6 have of their own.
"""

from __future__ import annotations

import errno
from struct import pack
from typing import TYPE_CHECKING, Any

from simvlan.segmentation import longest
from simvlan.stack import fib
from simvlan.stack.family import DO, MAPPED, PROBE_PMTU, Family
from simvlan.stack.ipv6 import icmp6, packet
from simvlan.stack.ipv6.addr import LOOPBACK, ip6_text, is_link_local, is_multicast, is_v4_mapped, multicast_scope
from simvlan.stack.ipv6.output import RouteResult6
from simvlan.stack.tcp import segment as wire
from simvlan.stack.tcp.packets import Flow, packed, waits, with_checksum
from simvlan.stack.tcp.segment import Segment
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
ENDS6 = slice(8, 48)
"""Addresses, ports and sequence number of a packet without extension headers."""
LEAST_ADVMSS, MOST_ADVMSS = packet.MIN_MTU - 60, 65_515
"""net.ipv6.route.min_adv_mss; IPV6_MAXPLEN without a TCP header."""


class Family6:
    """IPv6."""

    number = 6
    header = packet.HEADER
    loopback = LOOPBACK
    icmp, echo = packet.ICMPV6, icmp6.ECHO
    most_datagram = 65_527

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6
        self.flows: dict[Flow, Any] = {}

    # -- addresses --------------------------------------------------------------------------------------------------

    def text(self, address: int) -> str:
        """Write an address."""
        return ip6_text(address)

    def packed(self, address: int) -> bytes:
        """An address as octets."""
        return address.to_bytes(16, "big")

    def is_group(self, address: int) -> bool:
        """Whether an address is a group's."""
        return is_multicast(address)

    def may_bind(self, address: int, dev: Device | None) -> int:
        """The errno of binding to an address (__inet6_bind): one of a link needs its device."""
        if self.near(address) and dev is None:
            return errno.EINVAL
        return 0 if is_multicast(address) or self.is_own(address, dev) else errno.EADDRNOTAVAIL

    def is_own(self, address: int, dev: Device | None) -> bool:
        """Whether an address is configured and usable here."""
        return self.ip6.owner(address, dev if is_link_local(address) else None) is not None

    def near(self, address: int) -> bool:
        """Whether an address means something on one link only."""
        return is_link_local(address) or (is_multicast(address) and multicast_scope(address) <= 2)

    def of(self, address: int) -> tuple[Family, int]:
        """IPv4 carries what is mapped."""
        if is_v4_mapped(address):
            return self.ip6.stack.family, address ^ MAPPED
        return self, address

    def join(self, group: int, dev: Device) -> None:
        """Hear a group on a device."""
        self.ip6.groups.join(self.ip6.side(dev), group)

    def leave(self, group: int, dev: Device) -> None:
        """And no longer."""
        self.ip6.groups.leave(self.ip6.side(dev), group)

    # -- sending ----------------------------------------------------------------------------------------------------

    def find(self, dst: int, src: int, dev: Device | None, tos: int = 0, mark: int = 0, proto: int = 0) -> Any:
        """A route, or the errno; an address of one link needs its device."""
        if dev is None and is_link_local(dst):
            return errno.EINVAL
        return self.ip6.output.find(dst or LOOPBACK, src, dev, bound=dev is not None)

    def mtu_locked(self, route: RouteResult6) -> bool:
        """Routers of IPv6 never fragment."""
        return False

    def wrap(self, sock: Any, made: RouteResult6, payload: bytes, options: bytes) -> bytes | int:
        """A header; EMSGSIZE where the packet is too long for it or for the path (ip6_append_data).

        Who probes the path is not cut to what is known of it (ip6_skb_dst_mtu).
        """
        output, tried = self.ip6.output, sock.pmtudisc
        if tried == PROBE_PMTU:
            made.mtu = self.ip6.mtu_of(made.dev)
        fits = packet.HEADER + len(payload) <= made.path_mtu
        if len(payload) > 65_535 or (not fits and tried >= DO):
            return errno.EMSGSIZE
        hops = (sock.mc_ttl if is_multicast(made.dst) else sock.ttl) or output.hop_limit(made)
        flow = sock.flow_label
        flow = output.flow_label(made.src, made.dst, sock.proto, sock.port) if flow is None else flow
        return packet.build(made.src, made.dst, sock.proto, payload, hops, sock.tos, flow)

    def send(self, made: RouteResult6, octets: bytes, partial: int, loop: bool) -> int | Drop:
        """Send a packet of our own."""
        return self.ip6.output.send(made, octets, partial, loop)

    def pseudo(self, src: int, dst: int, proto: int, size: int) -> int:
        """The folded sum of the pseudo header."""
        return packet.pseudo_sum(src, dst, proto, size)

    def sealed(self, made: RouteResult6, octets: bytes) -> bytes:
        """Fill in the checksum of an ICMPv6 message."""
        return icmp6.seal(made.src, made.dst, octets)

    def raw_body(self, made: RouteResult6, proto: int, payload: bytes) -> bytes:
        """The kernel fills in ICMPv6's checksum (rawv6_push_pending_frames)."""
        if proto != packet.ICMPV6 or len(payload) < 4:
            return payload
        return self.sealed(made, payload[:2] + b"\0\0" + payload[4:])

    # -- receiving --------------------------------------------------------------------------------------------------

    def raw_view(self, found: Packet6) -> bytes:
        """A raw socket gets what follows the headers."""
        return found.payload

    def devices(self, found: Packet6) -> tuple[Device | None, ...]:
        """The device a packet came by, and by lo the one it was sent to."""
        return found.dev, found.input_if

    def grouped(self, found: Packet6) -> bool:
        """Whether a packet is for many."""
        return is_multicast(found.dst)

    def udp_size(self, given: int, came: int) -> int:
        """The length a datagram says it has; 0: all (a jumbogram)."""
        return given or came

    def udp_right(self, found: Packet6, octets: bytes) -> bool:
        """Whether the checksum of a datagram is right; there must be one (RFC 8200, 8.1)."""
        if octets[6:8] == b"\0\0":
            return False
        return bool(found.partial) or not packet.transport_checksum(found.src, found.dst, packet.UDP, octets)

    def port_closed(self, found: Packet6) -> None:
        """Port unreachable."""
        self.ip6.icmp.error(found, icmp6.UNREACH, icmp6.PORT)

    def errno_of(self, kind: int, code: int) -> int:
        """What an ICMPv6 error becomes (icmpv6_err_convert)."""
        if kind == icmp6.UNREACH:
            return UNREACH_ERRNO[code] if code < len(UNREACH_ERRNO) else errno.EPROTO
        return {icmp6.TOO_BIG: errno.EMSGSIZE, icmp6.TIME_EXCEEDED: errno.EHOSTUNREACH}.get(kind, errno.EPROTO)

    def too_big(self, kind: int, code: int) -> bool:
        """Packet too big."""
        return kind == icmp6.TOO_BIG

    # -- TCP --------------------------------------------------------------------------------------------------------

    def takes_syn(self, found: Packet6) -> bool:
        """Whether a segment was sent to one of our own addresses, not an anycast one (ipv6_unicast_destination)."""
        if found.dev is None or is_v4_mapped(found.src):
            return False
        route = self.ip6.input.route(found.dev, found.dst, found.src)
        return route is not None and route.type == fib.LOCAL

    def link_of(self, found: Packet6) -> Device | None:
        """The link of a neighbour that is known by its link-local address."""
        return found.input_if if is_link_local(found.src) else None

    def advmss(self, path_mtu: int) -> int:
        """The MSS announced on a path (ip6_default_advmss)."""
        return min(max(path_mtu - 60, LEAST_ADVMSS), MOST_ADVMSS)

    def transmit(self, sock: Any, made: RouteResult6, segments: list[Segment]) -> None:
        """Wrap segments in packets as inet6_csk_xmit does."""
        output, flow = self.ip6.output, sock.flow
        partial_sum = not {"tx", "tx-checksum-ip-generic"} & set(made.dev.features_off)
        hops = sock.ttl or output.hop_limit(made)
        label = output.flow_label(flow[0], flow[2], packet.TCP, flow[1])
        waiting = self.ip6.neigh.waiting(made.dev, made.nexthop)
        ends = self.packed(flow[0]) + self.packed(flow[2]) + pack("!HH", flow[1], flow[3])
        for segment in segments:
            if waiting and waits(segment, ends, waiting, ENDS6):
                continue
            left = segment.gso_size or int(partial_sum)
            octets = packed(segment, flow, left, packet.pseudo_sum)
            data = packet.build(flow[0], flow[2], packet.TCP, octets, hops, sock.tos, label)
            if longest(data, left) > made.path_mtu:
                continue  # cut meanwhile, and queued again
            output.send(made, data, left)

    def reset(self, answer: Segment, flow: Flow, found: Packet6, tos: int, about: Any = None) -> None:
        """Send a RST that no connection stands behind, by the device its cause came by (tcp_v6_send_response)."""
        output, (src, sport, dst, dport) = self.ip6.output, flow
        made = output.find(dst, src=src, oif=found.input_if)
        if isinstance(made, int):
            return
        octets = with_checksum(wire.encode(answer, sport, dport), src, dst, summed=packet.pseudo_sum)
        label = output.flow_label(src, dst, packet.TCP)
        output.send(made, packet.build(src, dst, packet.TCP, octets, output.hop_limit(made), tos & 0xFC, label))
