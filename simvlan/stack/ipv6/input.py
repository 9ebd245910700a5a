"""Receiving packets of IPv6: checks, extension headers, whose they are, delivery.

Mirrors net/ipv6/ip6_input.c (ip6_rcv_core, ip6_input_finish, ip6_mc_input), exthdrs.c and ip6_route_input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.frame import HOST, MCAST, OTHERHOST, Frame, PType
from simvlan.stack import fib
from simvlan.stack.ipv6 import icmp6, packet
from simvlan.stack.ipv6.addr import ip6_text, is_multicast, multicast_scope
from simvlan.stack.ipv6.anycast import ANYCAST
from simvlan.stack.ipv6.fib6 import Flow6, Route6, needs_device
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.devices.ipvlan import Ipvlan
    from simvlan.stack.ipv6.host import Ip6

PAD1, ROUTER_ALERT = 0, 5
SWITCHED_OFF = (2, 3, 4)
"""Routing headers of mobility, RPL and segment routing: dropped silently, for nothing here uses them."""


class Packet6:
    """A packet on its way through the stack (sk_buff, inet6_skb_parm)."""

    family = 6
    __slots__ = ("at", "data", "dev", "dst", "fragmented", "hops", "input_if", "looped", "partial", "proto", "ptype",
                 "router_alert", "spot", "src", "tclass", "waited")  # fmt: skip

    def __init__(
        self, octets: bytes, dev: Device | None, partial: int = 0, ptype: PType = HOST, looped: bool = False
    ) -> None:
        self.take(octets)
        self.dev = self.input_if = dev
        self.partial = partial
        self.ptype = ptype
        self.looped = looped
        self.src = int.from_bytes(octets[8:24], "big")
        self.dst = int.from_bytes(octets[24:40], "big")
        self.proto = octets[6]
        self.at = packet.HEADER
        """Where what `proto` names begins."""
        self.spot = 6
        """Where the number of `proto` stands."""
        self.fragmented = False
        self.router_alert = False
        self.waited = False

    def take(self, octets: bytes) -> None:
        """Be these octets, from the same sender to the same receiver: hop limit and class are their header's."""
        self.data = octets
        self.hops = octets[7]
        self.tclass = (octets[0] << 8 | octets[1]) >> 4 & 255

    @property
    def ttl(self) -> int:
        """The hop limit, as sockets of either family name it."""
        return self.hops

    @property
    def tos(self) -> int:
        """The traffic class, the same."""
        return self.tclass

    @property
    def payload(self) -> bytes:
        """What follows the headers that were passed."""
        return self.data[self.at :]

    @property
    def header_len(self) -> int:
        """How many octets of headers were passed."""
        return self.at

    def past(self, size: int) -> None:
        """Go on behind an extension header of *size* octets."""
        self.spot, self.proto = self.at, self.data[self.at]
        self.at += size

    def __str__(self) -> str:
        return f"{ip6_text(self.src)} > {ip6_text(self.dst)} proto {self.proto} hops {self.hops}"


class Input6:
    """The receiving half of a stack."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6

    # -- the packet itself ------------------------------------------------------------------------------------------

    def receive(self, dev: Device, frame: Frame, why: Why) -> Drop | None:
        """Take a frame (ipv6_rcv)."""
        idev = self.ip6.idev(dev)
        if frame.ptype is OTHERHOST:
            return Drop.OTHERHOST
        if idev is None or idev.disabled:
            return Drop.IPV6DISABLED
        checked = self._checked(dev, frame)
        if isinstance(checked, Drop):
            return checked
        if checked.proto == packet.HOPOPTS:
            problem = self._options(checked)
            if problem is not None:
                return problem
        slave = self._l3s(dev, checked)
        return self._route(checked, why) if slave is None else self._into_slave(slave, checked, why)

    # -- ipvlan in mode l3s -----------------------------------------------------------------------------------------

    @staticmethod
    def _l3s(dev: Device, found: Packet6) -> Ipvlan | None:
        """The slave that has the address; what ICMPv6 sends from `::` is the host's (ipvlan_skb_to_addr)."""
        lookup = getattr(dev.rx_handler, "l3s_lookup", None)
        if lookup is None or (not found.src and found.data[6] == packet.ICMPV6):
            return None
        slave: Ipvlan | None = lookup(found.dst, 6)
        return slave

    @staticmethod
    def _into_slave(slave: Ipvlan, found: Packet6, why: Why) -> Drop | None:
        """Routed as the slave's namespace routes, then moved there at local input (ipvlan_l3_rcv, ipvlan_nf_input)."""
        ip6 = slave.netns.stack.ip6
        route = ip6.input.route(slave, found.dst, found.src) if ip6 is not None else None
        if route is None or route.type != fib.LOCAL:
            return Drop.IP_INNOROUTES
        slave.l3s_received(len(found.data))
        found.dev = found.input_if = slave
        if why:
            why(f"{ip6_text(found.dst)} belongs to {slave.path}")
        drop: Drop | None = ip6.input.deliver(found, why)
        return drop

    @staticmethod
    def _checked(dev: Device, frame: Frame) -> Packet6 | Drop:
        """Whether octets are a packet that may be here (ip6_rcv_core), cut to its length."""
        octets = frame.payload
        if len(octets) < packet.HEADER:
            return Drop.PKT_TOO_SMALL
        if octets[0] >> 4 != 6:
            return Drop.IP_INHDR
        found = Packet6(octets, dev, frame.csum, frame.ptype)
        on_wire = bool(dev.kind)
        if is_multicast(found.src) or (on_wire and 1 in (found.src, found.dst)):
            return Drop.IP_INVALID_SOURCE if found.dst != 1 else Drop.IP_INVALID_DEST
        nowhere = (0, 1) if on_wire else (0,)
        if is_multicast(found.dst) and multicast_scope(found.dst) in nowhere:
            return Drop.IP_INVALID_DEST
        size = octets[4] << 8 | octets[5]
        if size or octets[6] != packet.HOPOPTS:
            if size + packet.HEADER > len(octets):
                return Drop.PKT_TOO_SMALL
            found.data = octets[: size + packet.HEADER]
        return found

    def loop_back(self, dev: Device, octets: bytes, partial: int) -> None:
        """Hand a copy of our own multicast to our own receivers (ip6_finish_output2, dev_loopback_xmit)."""
        found = Packet6(octets, dev, partial, MCAST, looped=True)
        if found.proto != packet.HOPOPTS or self._options(found) is None:
            self.deliver(found, None)

    # -- where it goes ----------------------------------------------------------------------------------------------

    def route(self, dev: Device, dst: int, src: int = 0) -> Route6 | None:
        """The route of a received packet (ip6_route_input); what comes back by lo kept the route it left with."""
        ip6 = self.ip6
        oif = dev if dev.kind else None
        flow = Flow6(dst, src, oif, needs_device(dst), ip6.is_host, dev)
        return ip6.fib.lookup(flow, ip6.reach, ip6.now)

    def _route(self, found: Packet6, why: Why) -> Drop | None:
        assert found.dev is not None
        route = self.route(found.dev, found.dst, found.src)
        if route is None:
            self.ip6.icmp.error(found, icmp6.UNREACH, icmp6.NO_ROUTE)
            return Drop.IP_INNOROUTES
        if route.error:
            return self._refused(found, route)
        if route.type == fib.MULTICAST:
            if not self.ip6.groups.hears(found.dev, found.dst):
                return Drop.IP_MC_NOT_JOINED
            return self.deliver(found, why)
        if route.type in (fib.LOCAL, ANYCAST):
            if not found.dev.kind:
                found.input_if = route.dev
            return self.deliver(found, why)
        return self.ip6.forward.forward(found, route, why)

    def _refused(self, found: Packet6, route: Route6) -> Drop:
        """A route that leads nowhere (ip6_pkt_discard, ip6_pkt_prohibit)."""
        if route.type == fib.BLACKHOLE:
            return Drop.BLACKHOLE
        code = icmp6.PROHIBITED if route.type == fib.PROHIBIT else icmp6.NO_ROUTE
        self.ip6.icmp.error(found, icmp6.UNREACH, code)
        return Drop.IP_INNOROUTES

    # -- extension headers ------------------------------------------------------------------------------------------

    def _options(self, found: Packet6) -> Drop | None:
        """Go over hop-by-hop or destination options (ip6_parse_tlv)."""
        octets, at = found.data, found.at
        size = (octets[at + 1] + 1) * 8 if len(octets) > at + 1 else 0
        if not size or at + size > len(octets):
            return Drop.IP_INHDR
        end = at + size
        spot = at + 2
        while spot < end:
            kind = octets[spot]
            if kind == PAD1:
                spot += 1
                continue
            if spot + 2 > end or spot + 2 + octets[spot + 1] > end:
                return Drop.IP_INHDR
            if kind == ROUTER_ALERT and found.proto == packet.HOPOPTS:
                found.router_alert = True
            elif kind > 1 and kind >> 6:
                return self._unknown_option(found, kind, spot)
            spot += 2 + octets[spot + 1]
        found.past(size)
        return None

    def _unknown_option(self, found: Packet6, kind: int, spot: int) -> Drop:
        """An option that must be known: some are told of, 11 only to unicast (ip6_tlvopt_unknown)."""
        if kind >> 6 == 2 or (kind >> 6 == 3 and not is_multicast(found.dst)):
            self.ip6.icmp.error(found, icmp6.PARAMETER, icmp6.UNKNOWN_OPTION, spot)
        return Drop.IPV6_BAD_EXTHDR

    def _routing(self, found: Packet6) -> Drop | None:
        """A routing header at its end says nothing; one that is not is refused (ipv6_rthdr_rcv)."""
        octets, at = found.data, found.at
        if len(octets) < at + 8 or len(octets) < at + (octets[at + 1] + 1) * 8:
            return Drop.PKT_TOO_SMALL
        if is_multicast(found.dst) or found.ptype is not HOST:
            return Drop.IP_INVALID_DEST
        if octets[at + 2] in SWITCHED_OFF:
            return Drop.IP_SOURCE_ROUTE
        if octets[at + 3]:
            self.ip6.icmp.error(found, icmp6.PARAMETER, icmp6.HEADER_FIELD, at + 2)
            return Drop.IP_SOURCE_ROUTE
        found.past((octets[at + 1] + 1) * 8)
        return None

    # -- local delivery ---------------------------------------------------------------------------------------------

    def deliver(self, found: Packet6, why: Why) -> Drop | None:
        """Take a packet for this host apart until its protocol is reached (ip6_protocol_deliver_rcu)."""
        while True:
            if found.proto == packet.NONE:
                return None
            if found.proto == packet.DSTOPTS:
                problem = self._options(found)
            elif found.proto == packet.ROUTING:
                problem = self._routing(found)
            elif found.proto == packet.FRAGMENT:
                whole = self.ip6.reassembly.add(found, found.at, found.spot)
                if whole is None:
                    if why:
                        why("a fragment: waiting for the rest")
                    return None
                problem = whole if isinstance(whole, Drop) else self._rebuilt(found, whole)
            else:
                return self.ip6.deliver(found, why)
            if problem is not None:
                return problem

    @staticmethod
    def _rebuilt(found: Packet6, whole: bytes) -> None:
        """Go on with the whole packet, where the fragment header was; behind it in a packet that stands alone."""
        found.fragmented = True
        if whole is found.data:
            found.past(8)
        else:
            found.take(whole)
            found.proto = whole[found.spot]
