"""ICMP: answers to echo, errors and their limits, what received errors do.

Mirrors net/ipv4/icmp.c, ip_error and ip_rt_send_redirect of route.c.

The limits share one token bucket per destination (struct inet_peer): an unreachable destination costs a token in
ip_error and another in icmpv4_xrlim_allow, so a burst yields two such errors but six expired TTLs.
"""

from __future__ import annotations

from struct import pack, unpack_from
from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.frame import HOST
from simvlan.stack import fib
from simvlan.stack.ipaddr import is_multicast
from simvlan.stack.packet import ICMP, OFFSET, Packet, build, checksum
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack

ECHO_REPLY, UNREACH, REDIRECT, ECHO, TIME_EXCEEDED, PARAMETER, TIMESTAMP, TIMESTAMP_REPLY = 0, 3, 5, 8, 11, 12, 13, 14
ERROR_TYPES = frozenset((3, 4, 5, 11, 12))
QUOTED = 576
"""An error never makes a packet longer than this."""
INTERNETCONTROL = 0xC0

_ROUTE_BURST = 5 * SECOND
_REDIRECT_LOAD = SECOND // 50
_REDIRECT_NUMBER = 9
_REDIRECT_SILENCE = _REDIRECT_LOAD << (_REDIRECT_NUMBER + 1)


class Peer:
    """What is remembered of one destination (struct inet_peer): tokens in ns, and the redirects sent."""

    __slots__ = ("last", "redirects", "tokens")

    def __init__(self, now: int) -> None:
        self.tokens = 0
        self.last = now - 60 * SECOND
        self.redirects = 0


class Limits:
    """Rate limits of errors: per destination and for the whole namespace."""

    __slots__ = ("_credit", "_peers", "_stamp", "stack")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._peers: dict[int, Peer] = {}
        self._credit = 0
        self._stamp = -SECOND

    def peer(self, address: int) -> Peer:
        """The record of a destination, made when first needed (inet_getpeer)."""
        found = self._peers.get(address)
        if found is None:
            found = self._peers[address] = Peer(self.stack.kernel.now)
        return found

    def _spend(self, peer: Peer, burst: int, cost: int) -> bool:
        now = self.stack.kernel.now
        peer.tokens = min(peer.tokens + now - peer.last, burst)
        peer.last = now
        if peer.tokens < cost:
            return False
        peer.tokens -= cost
        return True

    def route_error(self, address: int) -> bool:
        """The limit of ip_error itself: five at once, one per second."""
        return self._spend(self.peer(address), _ROUTE_BURST, SECOND)

    def allows(self, kind: int, code: int, address: int, dev: Device) -> bool:
        """Whether an ICMP message may go (icmpv4_global_allow, icmpv4_xrlim_allow)."""
        settings = self.stack.settings
        if not settings["icmp_ratemask"] >> kind & 1 or (kind == UNREACH and code == 4):
            return True
        if not self.globally():
            return False
        if not dev.kind:
            return True
        rate = settings["icmp_ratelimit"] * 1_000_000
        return not rate or self._spend(self.peer(address), 6 * rate, rate)

    def globally(self) -> bool:
        """icmp_msgs_per_sec messages, icmp_msgs_burst of them at once (icmp_global_allow)."""
        now, settings = self.stack.kernel.now, self.stack.settings
        delta = min(now - self._stamp, SECOND)
        if delta >= SECOND // 50:
            gained = settings["icmp_msgs_per_sec"] * delta // SECOND
            if gained:
                self._stamp = now
                self._credit = min(self._credit + gained, settings["icmp_msgs_burst"])
        if self._credit <= 0:
            return False
        self._credit -= 1
        return True

    def redirect(self, address: int) -> bool:
        """Redirects: back off exponentially, stop after nine until 20.48 s of silence (ip_rt_send_redirect)."""
        peer, now = self.peer(address), self.stack.kernel.now
        if now > peer.last + _REDIRECT_SILENCE:
            peer.tokens = peer.redirects = 0
        if peer.redirects >= _REDIRECT_NUMBER:
            peer.last = now
            return False
        return not peer.redirects or now > peer.last + (_REDIRECT_LOAD << peer.redirects)

    def redirected(self, address: int) -> None:
        """Note a redirect sent."""
        peer = self.peer(address)
        peer.last = self.stack.kernel.now
        peer.redirects += 1


def message(kind: int, code: int, rest: bytes, body: bytes) -> bytes:
    """Write an ICMP message, checksum included; *rest* is the second word."""
    octets = bytes((kind, code, 0, 0)) + rest + body
    return octets[:2] + checksum(octets).to_bytes(2, "big") + octets[4:]


class Icmp:
    """The ICMP half of a stack."""

    __slots__ = ("limits", "stack")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.limits = Limits(stack)

    # -- receiving --------------------------------------------------------------------------------------------------

    def receive(self, found: Packet, why: Why) -> Drop | None:
        """Take a message (icmp_rcv)."""
        octets = found.payload
        if len(octets) < 8:
            return Drop.PKT_TOO_SMALL
        if checksum(octets):
            return Drop.ICMP_CSUM
        kind = octets[0]
        settings = self.stack.settings
        if found.broadcast:
            if kind in (ECHO, TIMESTAMP) and settings["icmp_echo_ignore_broadcasts"]:
                return Drop.ICMP_ECHO_BROADCAST
            if kind not in (ECHO, TIMESTAMP, 17, 18):
                return Drop.ICMP_BROADCAST
        if kind == ECHO:
            return self._echo(found, octets, why)
        if kind == ECHO_REPLY:
            return self.stack.sockets.echo_reply(found)
        if kind in (UNREACH, TIME_EXCEEDED, PARAMETER, 4):
            return self._error_received(found, octets)
        if kind == REDIRECT:
            return self._redirect_received(found, octets)
        if kind == TIMESTAMP:
            return self._timestamp(found, octets)
        return Drop.ICMP_UNHANDLED if kind > 18 else None

    def _echo(self, found: Packet, octets: bytes, why: Why) -> Drop | None:
        """Answer a ping (icmp_echo)."""
        if self.stack.settings["icmp_echo_ignore_all"]:
            return Drop.ICMP_ECHO_IGNORED
        if why:
            why("echo request: answered")
        self._reply(found, message(ECHO_REPLY, 0, octets[4:8], octets[8:]))
        return None

    def _timestamp(self, found: Packet, octets: bytes) -> Drop | None:
        """Answer with the time of day in milliseconds (icmp_timestamp)."""
        if len(octets) < 12:
            return Drop.PKT_TOO_SMALL
        stamp = pack("!I", self.stack.kernel.now // 1_000_000 % 86_400_000)
        self._reply(found, message(TIMESTAMP_REPLY, 0, octets[4:8], octets[8:12] + stamp + stamp))
        return None

    def _reply(self, found: Packet, octets: bytes) -> None:
        """Send back to where a request came from (icmp_reply): its own destination is the source, TOS copied."""
        stack = self.stack
        src = found.dst if not found.broadcast else self._specific(found)
        if not self.limits.allows(octets[0], octets[1], found.src, stack.lo):
            return
        route = stack.output.find(found.src, src=src, tos=found.tos & 0x1E)
        if not isinstance(route, int):
            self._push(route, octets, found.tos)

    def _specific(self, found: Packet) -> int:
        """A unicast source for the answer to a broadcast (fib_compute_spec_dst)."""
        assert found.dev is not None
        route = self.stack.fib.lookup(fib.Flow(found.src, 0, found.tos, None, self.stack.lo))
        if route is not None and route.src and route.dev is found.dev:
            return route.src
        return self.stack.select_address(found.dev, found.src, 253)

    def _push(self, route: object, octets: bytes, tos: int, about: Packet | None = None) -> None:
        """Send as the kernel's own ICMP socket does: default TTL, DF clear (icmp_push_reply).

        An error goes with the connection of the packet it is *about* (nf_ct_attach).
        """
        stack = self.stack
        made = route
        data = build(
            made.src, made.dst, ICMP, octets, stack.settings["ip_default_ttl"], tos,  # type: ignore[attr-defined]
            stack.next_id(made.src, made.dst, ICMP),  # type: ignore[attr-defined]
        )  # fmt: skip
        stack.output.send(made, data, about=about)  # type: ignore[arg-type]

    # -- errors we send ---------------------------------------------------------------------------------------------

    def error(self, about: Packet, kind: int, code: int, info: int = 0) -> None:
        """Tell the sender of a packet what became of it (icmp_send), unless the rules of RFC 1122 forbid it."""
        stack = self.stack
        if about.ptype is not HOST or about.broadcast or about.frag & OFFSET or is_multicast(about.dst):
            return
        if about.proto == ICMP and self._about_error(about):
            return
        src = about.dst if stack.addr_type(about.dst) == fib.LOCAL else 0
        tos = about.tos & 0x1E | INTERNETCONTROL
        route = stack.output.find(about.src, src=src, tos=tos & 0x1E)
        if isinstance(route, int):
            return
        if not self.limits.allows(kind, code, about.src, route.dev):
            return
        room = min(route.path_mtu, QUOTED) - 28
        rest = pack("!I", info)
        self._push(route, message(kind, code, rest, about.data[:room]), tos, about)

    def _about_error(self, about: Packet) -> bool:
        """Whether a packet is itself an ICMP error: nothing is said about errors."""
        if about.frag & OFFSET or len(about.data) <= about.header_len:
            return True
        kind = about.data[about.header_len]
        return kind > 18 or kind in ERROR_TYPES

    def time_exceeded(self, about: Packet, code: int) -> None:
        """11/0 in transit, 11/1 in reassembly."""
        self.error(about, TIME_EXCEEDED, code)

    def redirect(self, about: Packet, gateway: int) -> None:
        """Tell a host of a better first hop (ip_rt_send_redirect)."""
        if self.limits.redirect(about.src):
            self.error(about, REDIRECT, 1, gateway)
            self.limits.redirected(about.src)

    def link_failure(self, waiting: Packet) -> None:
        """A packet waited for a neighbour in vain: host unreachable to its source (ipv4_link_failure)."""
        self.error(waiting, UNREACH, 1)

    # -- errors we receive ------------------------------------------------------------------------------------------

    def _error_received(self, found: Packet, octets: bytes) -> Drop | None:
        """Find out whose packet an error is about (icmp_unreach, icmp_socket_deliver)."""
        inner = octets[8:]
        if len(inner) < 20 or (inner[0] & 15) < 5 or len(inner) < (inner[0] & 15) * 4:
            return Drop.PKT_TOO_SMALL
        about = Packet(inner, found.dev)
        info = 0
        if octets[0] == UNREACH:
            if octets[1] > 15:
                return Drop.ICMP_UNHANDLED
            if octets[1] == 4:
                info = unpack_from("!H", octets, 6)[0]
                self._learn_mtu(about, info)
            if self.stack.addr_type(about.dst) == fib.BROADCAST:
                return Drop.ICMP_BROADCAST
        elif octets[0] == PARAMETER:
            info = octets[4]
        if len(inner) < about.header_len + 8:
            return Drop.PKT_TOO_SMALL
        self.stack.sockets.error(found, about, octets[0], octets[1], info)
        return None

    def _learn_mtu(self, about: Packet, mtu: int) -> None:
        """Lower the path MTU (ipv4_update_pmtu); for UDP only when a socket of ours sent it."""
        stack = self.stack
        if not mtu or (about.proto != ICMP and not stack.sockets.sent(about)):
            return
        route = stack.output.find(about.dst, src=about.src, tos=about.tos & 0x1E)
        if not isinstance(route, int):
            stack.pmtu.learn_mtu(route, mtu)

    def _redirect_received(self, found: Packet, octets: bytes) -> Drop | None:
        """Follow a redirect that comes from the gateway in use, to a neighbour (icmp_redirect, __ip_do_redirect)."""
        inner = octets[8:]
        if len(inner) < 28 or (inner[0] & 15) < 5:
            return Drop.PKT_TOO_SMALL
        gateway = unpack_from("!I", octets, 4)[0]
        if not self._follow(found, Packet(inner, found.dev), gateway):
            return Drop.ICMP_REDIRECT_IGNORED
        return None

    def _follow(self, found: Packet, about: Packet, gateway: int) -> bool:
        stack = self.stack
        route = stack.output.find(about.dst, src=about.src, tos=about.tos & 0x1E)
        if isinstance(route, int) or route.nexthop != found.src or route.dev is not found.dev or gateway == found.src:
            return False
        indev = stack.indev(route.dev)
        if not stack.takes_redirects(indev) or stack.addr_type(gateway) != fib.UNICAST:
            return False
        if not stack.either(indev, "shared_media") and not indev.onlink(gateway, found.src):
            return False
        entry = stack.neigh.ensure(route.dev, gateway)
        if entry is None:
            return False
        if not entry.valid:
            stack.neigh.event_send(entry, None)
            return True
        stack.pmtu.learn_gateway(route, gateway)
        return True
