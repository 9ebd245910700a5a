"""ICMPv6: answers to echo, errors and their limits, what received errors do. Mirrors net/ipv6/icmp.c; RFC 4443.

Errors to one destination share a bucket of six; one more each icmp.ratelimit, sooner on the way to wide prefixes
(icmpv6_xrlim_allow). Packet too big is not limited (ratemask 0-1,3-127).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import MILLISECOND, SECOND
from simvlan.frame import HOST
from simvlan.stack import fib
from simvlan.stack.icmp import Peer
from simvlan.stack.ipv6 import icmp6, ndp, packet
from simvlan.stack.ipv6.addr import is_link_local, is_multicast
from simvlan.stack.ipv6.input import Packet6
from simvlan.stack.neigh import STALE
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.inet6dev import Inet6Dev
    from simvlan.stack.ipv6.output import RouteResult6

ND = frozenset((icmp6.RS, icmp6.RA, icmp6.NS, icmp6.NA, icmp6.REDIRECT))
MLD = frozenset((icmp6.MLD_QUERY, icmp6.MLD_REPORT, icmp6.MLD_DONE, icmp6.MLD2_REPORT))
QUOTED = packet.MIN_MTU - packet.HEADER - 8
"""An error never makes a packet longer than the least MTU."""


class Limits6:
    """Rate limits of errors per destination (inet_peer_xrlim_allow)."""

    __slots__ = ("_peers", "ip6")

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6
        self._peers: dict[int, Peer] = {}

    def spend(self, address: int, cost: int) -> bool:
        """Take a token from a destination's bucket; six fit in."""
        now = self.ip6.now
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = Peer(now)
        peer.tokens = min(peer.tokens + now - peer.last, 6 * cost)
        peer.last = now
        if peer.tokens < cost:
            return False
        peer.tokens -= cost
        return True

    def redirect(self, address: int) -> bool:
        """One redirect per second and destination, six at once."""
        return self.spend(address, SECOND)

    def allows(self, kind: int, made: RouteResult6) -> bool:
        """Whether an error may go (icmpv6_mask_allow, icmpv6_global_allow, icmpv6_xrlim_allow)."""
        limited = self.ip6.settings["icmp/ratemask"]
        if kind == icmp6.TOO_BIG or 0 <= limited != kind or not made.dev.kind:
            return True
        if not self.ip6.stack.icmp.limits.globally():
            return False
        wait = self.ip6.settings["icmp/ratelimit"] * MILLISECOND
        if made.route is not None and made.route.plen < 128:
            wait >>= (128 - made.route.plen) >> 5
        return self.spend(made.dst, wait)  # without a wait it leaves nothing for redirects


class Icmp6:
    """The ICMPv6 half of a stack."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6

    # -- receiving --------------------------------------------------------------------------------------------------

    def receive(self, found: Packet6, why: Why) -> Drop | None:
        """Take a message (icmpv6_rcv)."""
        octets = found.payload
        if not found.partial and not icmp6.is_right(found.src, found.dst, octets):
            return Drop.ICMP_CSUM
        message = icmp6.parse(octets)
        if message is None:
            return Drop.PKT_TOO_SMALL
        if message.type == icmp6.ECHO:
            return self._echo(found, octets, why)
        if message.type == icmp6.ECHO_REPLY:
            return self.ip6.sockets.echo_reply(found)
        if message.type in ND:
            return self.ip6.ndisc.receive(found, octets, why)
        if message.type in MLD:
            return self.ip6.groups.receive(found, octets)
        return None if not message.is_error else self._error_received(found, message)

    def _echo(self, found: Packet6, octets: bytes, why: Why) -> Drop | None:
        """Answer a ping (icmpv6_echo_reply): by the device it came by, from the address it was sent to."""
        ip6 = self.ip6
        grouped = is_multicast(found.dst)
        if ip6.settings["icmp/echo_ignore_all"] or (grouped and ip6.settings["icmp/echo_ignore_multicast"]):
            return Drop.ICMP_ECHO_IGNORED
        if why:
            why("echo request: answered")
        shared = found.dev is not None and ip6.anycast.shared(found.dev, found.dst)
        src = 0 if grouped or shared else found.dst
        made = ip6.output.find(found.src, src=src, oif=found.input_if)
        if not isinstance(made, int):
            reply = bytes((icmp6.ECHO_REPLY, 0, 0, 0)) + octets[4:]
            self._push(made, reply, found.tclass)
        return None

    def _push(self, made: RouteResult6, octets: bytes, tclass: int = 0) -> None:
        """Send a message as the kernel's own socket does (icmpv6_push_pending_frames)."""
        output = self.ip6.output
        data = packet.build(
            made.src, made.dst, packet.ICMPV6, icmp6.seal(made.src, made.dst, octets), output.hop_limit(made), tclass,
            output.flow_label(made.src, made.dst, packet.ICMPV6),
        )  # fmt: skip
        output.send(made, data, loop=False)

    # -- errors we send ---------------------------------------------------------------------------------------------

    def error(self, about: Packet6, kind: int, code: int, word: int = 0) -> None:
        """Tell the sender of a packet what became of it (icmp6_send), unless RFC 4443 2.4 (e) forbids it."""
        ip6, dev = self.ip6, about.dev
        if dev is None or not about.src or is_multicast(about.src) or self._ineligible(about):
            return
        src = about.dst if self._ours(dev, about.dst) else 0
        if is_multicast(about.dst) or about.ptype is not HOST:
            told = (kind, code) == (icmp6.PARAMETER, icmp6.UNKNOWN_OPTION) and about.data[word] >> 6 == 2
            if kind != icmp6.TOO_BIG and not told:
                return
            src = 0
        near = is_link_local(about.src)
        made = ip6.output.find(about.src, src=src or self._meaningful(about), oif=about.input_if if near else None)
        if isinstance(made, int) or not ip6.limits.allows(kind, made):
            return
        octets = bytes((kind, code, 0, 0)) + word.to_bytes(4, "big") + about.data[:QUOTED]
        self._push(made, octets)

    def _ours(self, dev: Device, address: int) -> bool:
        """Whether an address is ours as seen from a device (ipv6_chk_addr, not strict)."""
        idev = self.ip6.idev(dev)
        if self.ip6.anycast.shared(dev, address):
            return True
        own = idev.find(address) if idev is not None else None
        if own is not None or is_link_local(address):
            return own is not None and own.usable
        return self.ip6.owner(address) is not None

    def _meaningful(self, about: Packet6) -> int:
        """An address of the device the packet came by, when the route has none of its own."""
        if about.input_if is None:
            return 0
        return self.ip6.select.source(about.input_if, about.src) or 0

    @staticmethod
    def _ineligible(about: Packet6) -> bool:
        """Whether a packet is itself an error, or none of ICMPv6 though said to be (is_ineligible)."""
        upper = packet.skip_extensions(about.data, about.data[6])
        if upper is None or upper.proto != packet.ICMPV6:
            return False
        if len(about.data) <= upper.at:
            return not upper.fragment  # the first fragment may end before the type (RFC 8200 4.5)
        return not about.data[upper.at] & icmp6.INFORMATIONAL

    # -- errors we receive ------------------------------------------------------------------------------------------

    def _error_received(self, found: Packet6, message: icmp6.Message) -> Drop | None:
        """Find out whose packet an error is about (icmpv6_notify)."""
        inner = packet.parse(message.body)
        upper = packet.skip_extensions(message.body, message.body[6]) if inner is not None else None
        if inner is None or upper is None:
            return Drop.PKT_TOO_SMALL
        about = Packet6(message.body, found.dev)
        about.proto, about.at = upper.proto, upper.at
        if message.type == icmp6.TOO_BIG and (about.proto == packet.ICMPV6 or self.ip6.sockets.sent(about)):
            self._learn_mtu(found, inner, message.word)
        self.ip6.sockets.error(found, about, message.type, message.code, message.word)
        return None

    def _learn_mtu(self, found: Packet6, inner: packet.Header, mtu: int) -> None:
        """Lower the path MTU (ip6_update_pmtu)."""
        oif = found.dev if is_link_local(inner.dst) else None
        made = self.ip6.output.find(inner.dst, src=inner.src, oif=oif)
        if not isinstance(made, int) and made.kind == fib.UNICAST:
            self.ip6.pmtu.learn_mtu(made, mtu)

    def redirected(self, idev: Inet6Dev, found: Packet6, octets: bytes) -> Drop | None:
        """Follow a redirect from the gateway in use (ndisc_redirect_rcv, rt6_do_redirect)."""
        said = ndp.parse_redirect(octets)
        if said is None:
            return Drop.PKT_TOO_SMALL
        both = self.ip6.conf_all.get("accept_redirects"), idev.conf.get("accept_redirects")
        if not is_link_local(found.src) or idev.conf.get("forwarding") or not both[1]:
            return Drop.ICMP_REDIRECT_IGNORED
        if is_multicast(said.dst) or (said.target != said.dst and not is_link_local(said.target)):
            return Drop.ICMP_REDIRECT_IGNORED
        mac = ndp.read_mac(said.options, ndp.TLLA)
        if mac is None and any(kind == ndp.TLLA for kind, _ in said.options):
            return Drop.ICMP_REDIRECT_IGNORED
        made = self.ip6.output.redirected_by(found.src, said.dst, idev.dev)
        if made is None:
            return Drop.ICMP_REDIRECT_IGNORED
        entry = self.ip6.neigh.ensure(idev.dev, said.target)
        if entry is not None:
            router = None if said.target == said.dst else True
            self.ip6.neigh.update(entry, mac, STALE, override=True, weak=True, router=router)
        self.ip6.pmtu.learn_gateway(made, said.target)
        return None
