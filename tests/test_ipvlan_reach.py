"""Who reaches whom by ping over ipvlan: every mode and flag, with and without a hairpin on the switch's port.

c1, c2 are slaves of the host's p0; p0 and ext hang on one switch. As Linux 6.1 answers, ARP included.
"""

from __future__ import annotations

from contextlib import suppress
from errno import EEXIST

import pytest

from simvlan.devices.device import Device
from simvlan.engines.events import EventClock
from simvlan.errors import RtnlError
from simvlan.frame import IPV4, Frame
from simvlan.network import Network
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.route import route_add
from simvlan.stack.fib import Route
from simvlan.stack.ipaddr import LINK, Ifaddr, parse_ip
from simvlan.verdict import Drop

HOST, EXT = "10.0.0.254", "10.0.0.200"
PATHS = ("c1 c2", "c1 host", "host c1", "c1 ext", "ext c1")
ALL = "yes yes yes yes yes"
OUTSIDE = "no no no yes yes"


class Site:
    """host/p0 and ext/e0 on the switch sw; c1/eth0 and c2/eth0 on p0."""

    def __init__(self, mode: str, flag: str, hairpin: bool, kind: str = "ipvlan") -> None:
        self.net = Network(EventClock())
        for name in ("sw", "host", "ext", "c1", "c2"):
            ns = self.net.add_netns(name)
            link_set(self.net, ns.devices["lo"], up=True)
        switch = self.add("sw", LinkSpec("bridge", "br0", info={"mcast_snooping": 0}))
        p0 = self.cable("host", "p0", "s1", switch)
        self.cable("ext", "e0", "s2", switch)
        link_set(self.net, self.net.device("sw/s1"), slave_info={"hairpin": hairpin})
        self.addresses = {"host": HOST, "ext": EXT}
        self.give(p0, HOST)
        self.give(self.net.device("ext/e0"), EXT)
        routed = mode in ("l3", "l3s")
        subnet = "10.1.0" if routed else "10.0.0"
        info: dict[str, object] = {"mode": mode, flag: True} if flag else {"mode": mode}
        for number, name in ((1, "c1"), (2, "c2")):
            dev = self.add(name, LinkSpec(kind, "eth0", link=p0, info=info))
            self.addresses[name] = f"{subnet}.{number}"
            self.give(dev, self.addresses[name])
            if routed:
                route_add(self.net, self.net.netns[name], Route(0, 0, dev=dev, scope=LINK))
        if routed:
            route_add(self.net, self.net.netns["ext"], Route(parse_ip("10.1.0.0"), 24, via=parse_ip(HOST)))
        self.net.clock.advance(10**9)  # type: ignore[attr-defined]

    def add(self, ns: str, spec: LinkSpec) -> Device:
        dev = link_add(self.net, self.net.netns[ns], spec)
        link_set(self.net, dev, up=True)
        return dev

    def cable(self, ns: str, name: str, port: str, switch: Device) -> Device:
        dev = self.add(ns, LinkSpec("veth", name, peer=PeerSpec(port, self.net.netns["sw"])))
        link_set(self.net, self.net.device(f"sw/{port}"), up=True, master=switch)
        return dev

    def give(self, dev: Device, address: str) -> None:
        address_add(self.net, dev, Ifaddr(parse_ip(address), 24))

    def ping(self, source: str, target: str) -> str:
        """Whether an echo request is answered within five seconds."""
        socket = self.net.netns[source].stack.open_ping()
        with suppress(OSError):
            socket.send(b"\x08\0\0\0\0\0\0\1hello", parse_ip(self.addresses[target]))
        self.net.clock.advance(self.net.now + 5 * 10**9)  # type: ignore[attr-defined]
        return "yes" if socket.queue else "no"


@pytest.mark.parametrize(
    ("mode", "flag", "hairpin", "expected"),
    [
        ("l2", "bridge", False, "yes no no yes yes"),
        ("l2", "bridge", True, ALL),
        ("l2", "private", False, OUTSIDE),
        ("l2", "private", True, "no yes yes yes yes"),
        ("l2", "vepa", False, OUTSIDE),
        ("l2", "vepa", True, ALL),
        ("l3", "bridge", False, "yes no no yes yes"),
        ("l3", "bridge", True, "yes no no yes yes"),
        ("l3", "private", False, OUTSIDE),
        ("l3", "private", True, OUTSIDE),
        ("l3", "vepa", False, OUTSIDE),
        ("l3", "vepa", True, OUTSIDE),
        ("l3s", "bridge", False, "yes no no yes yes"),
        ("l3s", "bridge", True, "yes no no yes yes"),
        ("l3s", "private", False, OUTSIDE),
        ("l3s", "private", True, OUTSIDE),
        ("l3s", "vepa", False, OUTSIDE),
        ("l3s", "vepa", True, OUTSIDE),
    ],
)
def test_reachability(mode: str, flag: str, hairpin: bool, expected: str) -> None:
    site = Site(mode, flag, hairpin)
    assert " ".join(site.ping(*path.split()) for path in PATHS) == expected


def test_switching_to_l3_forgets_the_neighbours() -> None:
    """The slave becomes NOARP, and the neighbours learnt by ARP are flushed (neigh_changeaddr)."""
    site = Site("l2", "bridge", False)
    dev = site.net.device("c1/eth0")
    assert site.ping("c1", "ext") == "yes"
    stack = site.net.netns["c1"].stack
    learnt = site.net.device("ext/e0").mac
    assert stack.neigh_lookup(dev, parse_ip(EXT)) == learnt
    link_set(site.net, dev, info={"mode": "l3"})
    assert stack.neigh_lookup(dev, parse_ip(EXT)) != learnt


def test_an_address_another_slave_has_is_refused_whatever_its_namespace() -> None:
    """ipvlan_addr4_validator_event; for a point-to-point address it is the peer that must be free."""
    site = Site("l2", "bridge", False)
    one, two = site.net.device("c1/eth0"), site.net.device("c2/eth0")
    taken = "Address already assigned to an ipvlan device"
    for dev, ifa in (
        (two, Ifaddr(parse_ip("10.0.0.1"), 24)),
        (one, Ifaddr(parse_ip("10.0.0.1"), 16)),
        (two, Ifaddr(parse_ip("10.0.0.7"), 32, peer=parse_ip("10.0.0.1"))),
    ):
        with pytest.raises(RtnlError, match=taken):
            address_add(site.net, dev, ifa)
    with pytest.raises(RtnlError) as caught:
        address_add(site.net, one, Ifaddr(parse_ip("10.0.0.1"), 24))
    assert caught.value.errno == EEXIST
    address_add(site.net, two, Ifaddr(parse_ip("10.0.0.1"), 32, peer=parse_ip("10.0.0.9")))
    assert one.lower is not None
    address_add(site.net, one.lower, Ifaddr(parse_ip("10.0.0.1"), 24))


def test_l3s_reassembles_in_the_host_and_counts_one_packet() -> None:
    """ipvlan_nf_input runs after ip_defrag: the slave gets the whole packet, once; its packet sockets see nothing."""
    site = Site("l3s", "bridge", False)
    assert site.ping("ext", "c1") == "yes"
    dev = site.net.device("c1/eth0")
    seen: list[bool] = []
    dev.taps.append(lambda now, dev, frame, out: seen.append(out))
    before, octets = dev.rx_packets, dev.rx_bytes
    socket = site.net.netns["ext"].stack.open_ping()
    socket.pmtudisc = 0
    socket.send(b"\x08\0\0\0\0\0\0\1" + bytes(2000), parse_ip(site.addresses["c1"]))
    site.net.clock.advance(site.net.now + 10**9)  # type: ignore[attr-defined]
    assert len(socket.queue) == 1
    assert dev.rx_packets - before == 1
    assert dev.rx_bytes - octets == 20 + 2008 + 14
    assert set(seen) == {True}


def test_a_host_routes_nothing_too_short_to_be_a_packet() -> None:
    """A frame of 14 octets, or a header cut short, ends in a named drop, not in the host's stack."""
    site = Site("l3", "bridge", False)
    dev = site.net.device("c1/eth0")
    for payload in (b"", b"\x45", bytes(19), b"\x4f" + bytes(39)):
        assert site.net.send(dev, Frame(dev.mac, dev.mac, IPV4, payload)) is Drop.IPVLAN_BAD_IP
