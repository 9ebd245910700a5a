"""What a host learns of its paths: smaller MTUs and nearer gateways; and that a stack can be copied in mid-flight."""

from __future__ import annotations

import copy
from struct import pack

from simvlan.clock import SECOND
from simvlan.frame import IPV4, Frame
from simvlan.network import Network
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.neigh import neigh_add
from simvlan.rtnl.route import route_add
from simvlan.rtnl.sysctl import sysctl_set
from simvlan.stack.fib import Route
from simvlan.stack.icmp import message
from simvlan.stack.ipaddr import ip_text, parse_ip
from simvlan.stack.packet import build

H0, W0 = 0xA0, 0xB0
FAR = parse_ip("192.0.2.9")


class Host:
    """10.0.0.1/24 with gateway 10.0.0.254 on a wire."""

    def __init__(self) -> None:
        self.net = Network()
        self.ns = self.net.add_netns("h")
        wire = self.net.add_netns("w")
        self.dev = link_add(self.net, self.ns, LinkSpec("veth", "eth0", mac=H0, peer=PeerSpec("w0", wire, W0)))
        self.far = wire.devices["w0"]
        for dev in (self.ns.devices["lo"], self.dev, self.far):
            link_set(self.net, dev, up=True)
        address_add(self.net, self.dev, "10.0.0.1/24")
        for n in (253, 254):
            neigh_add(self.net, self.dev, parse_ip(f"10.0.0.{n}"), W0)
        route_add(self.net, self.ns, Route(0, 0, via=parse_ip("10.0.0.254")))
        self.sent: list[Frame] = []
        self.dev.taps.append(lambda now, dev, frame, out: self.sent.append(frame) if out else None)

    def hear(self, src: str, kind: int, code: int, rest: bytes, about: bytes) -> None:
        octets = build(parse_ip(src), parse_ip("10.0.0.1"), 1, message(kind, code, rest, about))
        self.net.send(self.far, Frame(H0, W0, IPV4, octets))

    def ping(self, size: int = 1000) -> list[int]:
        """Ping far away; the sizes of the packets sent."""
        self.sent.clear()
        self.ns.stack.open_ping().send(b"\x08\0\0\0\0\0\0\1" + bytes(size), FAR)
        return [len(f.payload) for f in self.sent]


def test_fragmentation_needed_lowers_the_path_mtu_for_ten_minutes() -> None:
    """__ip_rt_update_pmtu, ip_rt_mtu_expires 600 s; what does not fit is then cut, without DF."""
    h = Host()
    assert h.ping() == [1028]
    assert h.sent[0].payload[6] == 0x40
    h.hear("10.7.7.7", 3, 4, pack("!HH", 0, 600), h.sent[0].payload[:28])
    assert h.ping() == [596, 452]
    assert h.sent[0].payload[6] == 0x20
    h.net.clock.advance(601 * SECOND)  # type: ignore[attr-defined]
    assert h.ping() == [1028]


def test_path_mtu_never_goes_below_552() -> None:
    """ip_rt_min_pmtu."""
    h = Host()
    h.ping()
    h.hear("10.7.7.7", 3, 4, pack("!HH", 0, 100), h.sent[0].payload[:28])
    assert h.ping() == [548, 500]


def test_a_redirect_from_the_gateway_is_followed_others_are_not() -> None:
    """__ip_do_redirect: only from the gateway in use, and only while accept_redirects is on."""
    h = Host()
    h.ping()
    about, better = h.sent[0].payload[:28], pack("!I", parse_ip("10.0.0.253"))

    def gateway() -> str:
        return ip_text(h.ns.stack.route_get(FAR).via or 0)

    h.hear("10.0.0.77", 5, 1, better, about)
    assert gateway() == "10.0.0.254"
    for place in ("all", "eth0"):
        sysctl_set(h.net, h.ns, f"net.ipv4.conf.{place}.accept_redirects", "0")
    h.hear("10.0.0.254", 5, 1, better, about)
    assert gateway() == "10.0.0.254"
    sysctl_set(h.net, h.ns, "net.ipv4.conf.eth0.accept_redirects", "1")
    h.hear("10.0.0.254", 5, 1, better, about)
    assert gateway() == "10.0.0.253"
    h.net.clock.advance(301 * SECOND)  # type: ignore[attr-defined]
    assert gateway() == "10.0.0.254"


def test_a_copy_goes_on_alone() -> None:
    """Timers are bound methods: a deep copy resolves, fails and reports by itself."""
    h = Host()
    h.dev.taps.clear()
    sock = h.ns.stack.open_ping()
    sock.send(b"\x08\0\0\0\0\0\0\1", parse_ip("10.0.0.9"))
    net, copied = copy.deepcopy((h.net, sock))
    net.clock.advance(4 * SECOND)  # type: ignore[attr-defined]
    assert len(copied.errors) == 1
    assert not sock.errors
    h.net.clock.advance(4 * SECOND)  # type: ignore[attr-defined]
    assert len(sock.errors) == 1
