"""A router with IPv6 between two cables whose far ends have none: what goes in, what comes out, and why not.

r/eth0 (fe80::a0:1, 2001:db8:1::fe/64) == w0, r/eth1 (2001:db8:2::fe/64) == w1; neighbours 2001:db8:1::1 and
2001:db8:2::1 are at the far ends.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from simvlan.engines.events import EventClock
from simvlan.frame import IPV6, Frame
from simvlan.network import Network, Told
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address6 import address6_add
from simvlan.rtnl.neigh import neigh_add
from simvlan.rtnl.sysctl import sysctl_set
from simvlan.stack.ipv6 import icmp6, ndp, packet
from simvlan.stack.ipv6.addr import multicast_mac, solicited_node
from simvlan.stack.ipv6.inet6dev import Ifaddr6
from simvlan.verdict import Drop

R0, R1, W0, W1 = 0x02_00_00_00_00_A0, 0x02_00_00_00_00_A1, 0x02_00_00_00_00_B0, 0x02_00_00_00_00_B1
SECOND = 1_000_000_000


def ip6(text: str) -> int:
    return int(ipaddress.IPv6Address(text))


HERE, NEAR, FAR = ip6("2001:db8:1::fe"), ip6("2001:db8:1::1"), ip6("2001:db8:2::1")
LINK = ip6("fe80::ff:fe00:a0")
NEIGHBOUR = ip6("fe80::b0")


class Router6:
    """The network, quiet: what its devices say of themselves is over before a test begins."""

    def __init__(self, *settings: str, forwarding: int = 1) -> None:
        self.net = Network(EventClock())
        self.drops: list[Drop | None] = []
        self.out: list[tuple[str, Frame]] = []
        self.r, self.far = self.net.add_netns("r"), self.net.add_netns("far")
        sysctl_set(self.net, self.r, "net.ipv6.conf.all.disable_ipv6", "0")
        sysctl_set(self.net, self.r, "net.ipv6.conf.all.forwarding", str(forwarding))
        self.eth0, self.w0 = self._cable("eth0", R0, "w0", W0)
        self.eth1, self.w1 = self._cable("eth1", R1, "w1", W1)
        link_set(self.net, self.r.devices["lo"], up=True)
        address6_add(self.net, self.eth0, Ifaddr6(HERE, 64, nodad=True))
        address6_add(self.net, self.eth1, Ifaddr6(ip6("2001:db8:2::fe"), 64, nodad=True))
        for dev, ip, mac in ((self.eth0, NEAR, W0), (self.eth0, NEIGHBOUR, W0), (self.eth1, FAR, W1)):
            neigh_add(self.net, dev, ip, mac, six=True)
        for setting in settings:
            key, _, value = setting.partition("=")
            sysctl_set(self.net, self.r, f"net.ipv6.{key}", value)
        self.wait(20)
        self.out.clear()
        self.net.tracer = self

    def _cable(self, name: str, mac: int, end: str, far_mac: int) -> tuple[Any, Any]:
        dev = link_add(self.net, self.r, LinkSpec("veth", name, mac=mac, peer=PeerSpec(end, self.far, far_mac)))
        other = self.far.devices[end]
        for each in (dev, other):
            link_set(self.net, each, up=True)
        other.taps.append(lambda now, at, frame, outgoing: None if outgoing else self.out.append((end, frame)))
        return dev, other

    @property
    def ip6(self) -> Any:
        return self.r.stack.ip6

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.net.clock.advance(self.net.now + int(seconds * SECOND))  # type: ignore[attr-defined]

    def step(self, told: Told) -> None:
        """The network's tracer: what the router's protocols answered."""
        if told.dev.netns is self.r and told.way == "up":
            self.drops.append(told.drop)

    def octets(self, octets: bytes, mac: int = R0, dev: Any = None) -> Any:
        """Send a packet in at w0; the reasons it met."""
        self.drops.clear()
        dev = dev or self.w0
        self.net.send(dev, Frame(mac, dev.mac, IPV6, octets))
        return list(self.drops)

    def send(
        self, dst: int = HERE, src: int = NEAR, proto: int = packet.ICMPV6, body: bytes | None = None, hops: int = 64,
        mac: int | None = None,
    ) -> Any:  # fmt: skip
        """Send a packet, a ping unless told otherwise."""
        body = icmp6.build_echo(src, dst, icmp6.ECHO, 7, 1, bytes(8)) if body is None else body
        mac = mac if mac is not None else multicast_mac(dst) if dst >> 120 == 0xFF else R0
        return self.octets(packet.build(src, dst, proto, body, hops), mac)

    def solicit(self, target: int, src: int = NEAR, options: tuple[ndp.Option, ...] | None = None) -> Any:
        """Ask for a neighbour."""
        dst = solicited_node(target)
        options = ((ndp.link_layer(ndp.SLLA, W0),) if src else ()) if options is None else options
        return self.send(dst, src, body=ndp.build_ns(src, dst, target, options), hops=255)

    def advertise(self, target: int, dst: int = HERE, solicited: bool = True, **more: bool) -> Any:
        """Say who has an address."""
        said = ndp.Advertisement(target, solicited=solicited, options=(ndp.link_layer(ndp.TLLA, W0),), **more)
        return self.send(dst, NEIGHBOUR, body=ndp.build_na(NEIGHBOUR, dst, said), hops=255)

    def announce(self, **said: Any) -> Any:
        """Be a router that advertises."""
        dst = ip6("ff02::1")
        return self.send(
            dst, NEIGHBOUR, body=ndp.build_ra(NEIGHBOUR, dst, ndp.RouterAdvertisement(**said)), hops=255
        )  # fmt: skip

    def messages(self) -> list[tuple[str, packet.Header, icmp6.Message]]:
        """The ICMPv6 messages that came out, and where; what came before is forgotten."""
        found = []
        for end, frame in self.out:
            header = packet.parse(frame.payload)
            upper = packet.skip_extensions(frame.payload, frame.payload[6])
            if header is not None and upper is not None and upper.proto == packet.ICMPV6:
                message = icmp6.parse(frame.payload[upper.at :])
                assert message is not None
                assert icmp6.is_right(header.src, header.dst, frame.payload[upper.at :])
                found.append((end, header, message))
        self.out.clear()
        return found
