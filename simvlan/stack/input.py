"""Receiving packets: is it a packet, is it plausible, is it ours, or does it go on.

Mirrors net/ipv4/ip_input.c and the input half of net/ipv4/route.c (ip_route_input_slow, __fib_validate_source).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from simvlan.frame import OTHERHOST, Frame
from simvlan.stack import fib, packet
from simvlan.stack.fib import Flow, Route
from simvlan.stack.ipaddr import (
    HOST as SCOPE_HOST,
)
from simvlan.stack.ipaddr import (
    LIMITED_BROADCAST,
    LINK,
    NOWHERE,
    ip_text,
    is_local_multicast,
    is_loopback,
    is_multicast,
    is_zeronet,
)
from simvlan.stack.packet import IGMP, MF, OFFSET, Packet
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.devices.ipvlan import Ipvlan
    from simvlan.stack.inetdev import InDevice
    from simvlan.stack.netstack import Stack

ERROR = "error"
"""A lookup that failed: `InRoute.errno` says how (dst.input = ip_error)."""


class InRoute(NamedTuple):
    """What routing says of a received packet: a fib type or ERROR, the route, and whether the source is on-link."""

    kind: str
    route: Route | None = None
    errno: int = 0
    onlink: bool = False


class Input:
    """The receiving half of a stack."""

    __slots__ = ("stack",)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def receive(self, dev: Device, frame: Frame, why: Why) -> Drop | None:
        """Take an IPv4 frame (ip_rcv)."""
        if frame.ptype is OTHERHOST:
            return Drop.OTHERHOST
        found = packet.parse(frame.payload, dev, frame.csum, frame.ptype)
        if isinstance(found, Drop):
            return found
        if self.stack.netfilter is not None:
            heard = self.stack.netfilter.prerouting(found, dev, why)
            if not isinstance(heard, Packet):
                return heard
            found = heard
        return self.take(found, why)

    def take(self, found: Packet, why: Why) -> Drop | None:
        """Route a packet and act on it (ip_rcv_finish)."""
        dev = found.dev
        assert dev is not None
        handler = dev.rx_handler
        if handler is not None:
            slave = self._l3s(handler, found)
            if slave is not None:
                return self._into_slave(slave, found, why)
        if not dev.kind:
            return self._from_loopback(found, why)
        answer = self.route(dev, found.dst, found.src, found.tos, found.proto)
        if isinstance(answer, Drop):
            return answer
        self.let_go(answer)
        if found.header_len > 20 and (refused := self._options(found)):
            return refused
        if answer.kind == fib.UNICAST:
            return self.stack.forward.forward(found, answer, why)
        if answer.kind == ERROR:
            return self._failed(found, answer, why)
        if why:
            why(f"{ip_text(found.dst)} is {answer.kind}")
        found.broadcast = answer.kind != fib.LOCAL
        return self.deliver(found, why)

    def _l3s(self, handler: object, found: Packet) -> Ipvlan | None:
        lookup = getattr(handler, "l3s_lookup", None)
        slave: Ipvlan | None = lookup(found.dst) if lookup is not None else None
        return slave

    def _into_slave(self, slave: Ipvlan, found: Packet, why: Why) -> Drop | None:
        """ipvlan L3S: routed as the slave's namespace routes, then moved there at local input (ipvlan_nf_input)."""
        stack: Stack = slave.netns.stack
        answer = stack.input.route(slave, found.dst, found.src, found.tos, found.proto)
        if isinstance(answer, Drop):
            return answer
        self.let_go(answer)
        if answer.kind != fib.LOCAL:
            return Drop.IP_INADDRERRORS
        if found.frag & (MF | OFFSET):
            whole = self.stack.reassembly.add(found)  # the host reassembles, before the packet moves
            if not isinstance(whole, Packet):
                return whole
            found = whole
        hooks = self.stack.netfilter
        if hooks is not None and found.dev is not None and (dropped := hooks.input(found, found.dev, why)):
            return dropped
        slave.l3s_received(len(found.data))
        found.dev = slave
        if why:
            why(f"{ip_text(found.dst)} belongs to {slave.path}")
        found.seen = None
        return stack.deliver(found, why)  # past the slave's own hooks

    def _from_loopback(self, found: Packet, why: Why) -> Drop | None:
        """What we sent ourselves comes with its route: no plausibility checks (skb_dst is kept over lo)."""
        kind = self.stack.addr_type(found.dst)
        if kind == fib.UNICAST:
            return Drop.IP_INADDRERRORS
        found.broadcast = kind in (fib.BROADCAST, fib.MULTICAST)
        return self.deliver(found, why)

    def _options(self, found: Packet) -> Drop | None:
        """Refuse what ip_rcv_options refuses: malformed options, and source routes unless accepted."""
        options, at = found.options, 0
        while at < len(options) and options[at] != 0:
            if options[at] == 1:
                at += 1
                continue
            size = options[at + 1] if at + 1 < len(options) else 0
            if size < 2 or at + size > len(options):
                return Drop.IP_OPTIONS
            if options[at] in (131, 137):
                return Drop.IP_SOURCE_ROUTE
            at += size
        return None

    def _failed(self, found: Packet, answer: InRoute, why: Why) -> Drop:
        """No way on: silent on a host; a router tells the sender, within its rate limit (ip_error)."""
        assert found.dev is not None
        if why:
            why(f"no route to {ip_text(found.dst)}")
        if not self.stack.indev(found.dev).conf.get("forwarding"):
            return Drop.IP_INADDRERRORS
        code = {errno.EHOSTUNREACH: 1, errno.ENETUNREACH: 0, errno.EACCES: 13}.get(answer.errno)
        if code is None:
            return Drop.BLACKHOLE
        if self.stack.icmp.limits.route_error(found.src):
            self.stack.icmp.error(found, 3, code)
        return Drop.IP_INNOROUTES

    # -- routing ----------------------------------------------------------------------------------------------------

    def route(self, dev: Device, dst: int, src: int, tos: int = 0, proto: int = 0) -> InRoute | Drop:
        """Decide what a received packet is to us (ip_route_input_rcu)."""
        stack = self.stack
        indev = stack.indevs.get(dev)
        if indev is None:
            return Drop.IP_INADDRERRORS
        if is_multicast(dst):
            return self._multicast(dev, indev, dst, src, proto)
        if is_multicast(src) or src == LIMITED_BROADCAST:
            return Drop.IP_INVALID_SOURCE
        if dst == LIMITED_BROADCAST or (src == 0 and dst == 0):
            return self._broadcast(dev, indev, src, tos, None)
        if is_zeronet(src):
            return Drop.IP_INVALID_SOURCE
        if is_zeronet(dst):
            return Drop.IP_INVALID_DEST
        if (is_loopback(dst) or is_loopback(src)) and not stack.either(indev, "route_localnet"):
            return Drop.IP_INVALID_DEST if is_loopback(dst) else Drop.IP_INVALID_SOURCE
        route = stack.fib.lookup(Flow(dst, src, tos, None, dev))
        return self._judge(dev, indev, dst, src, tos, route)

    def let_go(self, answer: InRoute) -> None:
        """Let go with its packet what no nexthop keeps (do_cache of ip_route_input_slow, ip_route_input_mc)."""
        if answer.route is None:
            self.stack.kernel.workers.let_go_of_route()

    def _judge(self, dev: Device, indev: InDevice, dst: int, src: int, tos: int, route: Route | None) -> InRoute | Drop:
        """Act on the type of the route found (the middle of ip_route_input_slow)."""
        forwarding = indev.conf.get("forwarding")
        if route is None or route.error:
            failure = errno.ENETUNREACH if route is None else route.error
            return InRoute(ERROR, None, failure if forwarding else errno.EHOSTUNREACH)
        if route.type == fib.BROADCAST:
            return self._broadcast(dev, indev, src, tos, route)
        if route.type == fib.LOCAL:
            valid = self.validate(dev, indev, src, dst, tos, None)
            return valid if isinstance(valid, Drop) else InRoute(fib.LOCAL, route)
        if not forwarding:
            return InRoute(ERROR, None, errno.EHOSTUNREACH)
        if route.type != fib.UNICAST:
            return Drop.IP_INVALID_DEST
        valid = self.validate(dev, indev, src, dst, tos, route.dev)
        return valid if isinstance(valid, Drop) else InRoute(fib.UNICAST, route, 0, valid)

    def _multicast(self, dev: Device, indev: InDevice, dst: int, src: int, proto: int) -> InRoute | Drop:
        """A group we joined here, from a plausible source (ip_route_input_mc, ip_mc_validate_source)."""
        if not self.stack.joined(dev, dst, proto):
            return Drop.IP_MC_NOT_JOINED
        if is_multicast(src) or src == LIMITED_BROADCAST:
            return Drop.IP_INVALID_SOURCE
        if is_loopback(src) and not self.stack.either(indev, "route_localnet"):
            return Drop.IP_INVALID_SOURCE
        if is_zeronet(src):
            if not is_local_multicast(dst) and proto != IGMP:
                return Drop.IP_INVALID_SOURCE
            return InRoute(fib.MULTICAST)
        valid = self.validate(dev, indev, src, 0, 0, None)
        return valid if isinstance(valid, Drop) else InRoute(fib.MULTICAST)

    def _broadcast(self, dev: Device, indev: InDevice, src: int, tos: int, route: Route | None) -> InRoute | Drop:
        if not is_zeronet(src):
            valid = self.validate(dev, indev, src, 0, tos, None)
            if isinstance(valid, Drop):
                return valid
        return InRoute(fib.BROADCAST, route)

    def validate(self, dev: Device, indev: InDevice, src: int, dst: int, tos: int, out: Device | None) -> bool | Drop:
        """Is the source plausible here (fib_validate_source)? True when it is a neighbour on this device."""
        stack = self.stack
        mode = max(stack.conf_all.get("rp_filter"), indev.conf.get("rp_filter"))
        if not mode and (dev is not out or not stack.either(indev, "send_redirects")):
            if stack.either(indev, "accept_local"):
                return False
            if not stack.custom_local and not stack.fib.custom:
                return False if stack.owner(src) is None else Drop.IP_LOCAL_SOURCE
        return self._validate_fully(dev, indev, src, dst, tos, mode, out)

    def _validate_fully(
        self, dev: Device, indev: InDevice, src: int, dst: int, tos: int, mode: int, out: Device | None
    ) -> bool | Drop:
        """Look the way back up (__fib_validate_source): strict wants this device, loose any.

        To rules, the packet back comes in by the device this one leaves by.
        """
        stack = self.stack
        back = stack.fib.lookup(Flow(src, dst, tos, None, out or stack.lo))
        if back is None or back.error:
            return Drop.IP_RPFILTER if mode else False
        if back.type != fib.UNICAST and not (back.type == fib.LOCAL and stack.either(indev, "accept_local")):
            return Drop.IP_LOCAL_SOURCE
        if back.dev is dev:
            return _nexthop_scope(back) >= SCOPE_HOST
        if not indev.addresses:
            return Drop.IP_RPFILTER if mode else False
        if mode == 1:
            return Drop.IP_RPFILTER
        here = stack.fib.lookup(Flow(src, dst, tos, dev, out or stack.lo))
        return here is not None and here.type == fib.UNICAST and _nexthop_scope(here) >= SCOPE_HOST

    # -- local delivery ---------------------------------------------------------------------------------------------

    def deliver(self, found: Packet, why: Why) -> Drop | None:
        """Give a packet to sockets and protocols, whole (ip_local_deliver)."""
        if found.frag & (MF | OFFSET):
            whole = self.stack.reassembly.add(found)
            if whole is None:
                if why:
                    why("a fragment: waiting for the rest")
                return None
            if isinstance(whole, Drop):
                return whole
            found = whole
        hooks = self.stack.netfilter
        if hooks is not None and found.dev is not None and (dropped := hooks.input(found, found.dev, why)):
            return dropped
        return self.stack.deliver(found, why)

    def deliver_looped(self, found: Packet) -> None:
        """Receive a copy of our own broadcast or multicast."""
        hooks = self.stack.netfilter
        if hooks is not None and found.dev is not None:
            heard = hooks.prerouting(found, found.dev, None)
            if not isinstance(heard, Packet):
                return
            found = heard
        found.broadcast = True
        self.deliver(found, None)


def _nexthop_scope(route: Route) -> int:
    """Scope of a route's nexthop: host when the destination is the neighbour itself (fib_check_nh)."""
    if route.via is not None:
        return LINK
    return NOWHERE if route.scope >= SCOPE_HOST else SCOPE_HOST
