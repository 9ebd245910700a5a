"""Addresses, routes and sysctls: what they bring, what is refused and with which words."""

from __future__ import annotations

from errno import EINVAL

import pytest

from simvlan.clock import SECOND
from simvlan.devices.device import Device
from simvlan.errors import RtnlError, Unsupported
from simvlan.network import Netns, Network
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add, address_del, address_replace
from simvlan.rtnl.neigh import neigh_add, neigh_change, neigh_del, neigh_replace
from simvlan.rtnl.route import route_add, route_append, route_change, route_del, route_replace
from simvlan.rtnl.sysctl import sysctl_get, sysctl_list, sysctl_set
from simvlan.stack import neigh
from simvlan.stack.fib import Route, Rule
from simvlan.stack.ipaddr import HOST, Ifaddr, ip_text, parse_ip
from simvlan.stack.sysctl import key_of


class Host:
    """A namespace h with an up eth0, its peer in w."""

    def __init__(self) -> None:
        self.net = Network()
        self.ns: Netns = self.net.add_netns("h")
        far = self.net.add_netns("w")
        self.dev: Device = link_add(self.net, self.ns, LinkSpec("veth", "eth0", peer=PeerSpec("w0", netns=far)))
        for dev in (self.ns.devices["lo"], self.dev, far.devices["w0"]):
            link_set(self.net, dev, up=True)

    def add(self, text: str) -> None:
        address_add(self.net, self.dev, text)

    def addresses(self) -> list[str]:
        return [f"{ifa}{' secondary' if ifa.secondary else ''}" for ifa in self.ns.stack.addresses(self.dev)]

    def routes(self) -> list[str]:
        return [f"{r.type} {ip_text(r.dst)}/{r.plen}" for r in self.ns.stack.fib.routes() if r.dev is self.dev]

    def route(self, text: str, **fields: object) -> Route:
        dst, _, plen = text.partition("/")
        return Route(parse_ip(dst), int(plen or 32), **{"dev": self.dev, "scope": 253, **fields})  # type: ignore[arg-type]

    def way(self, dst: str) -> str:
        found = self.ns.stack.route_get(parse_ip(dst))
        return f"{found.dev.name} from {ip_text(found.src)}" + (f" via {ip_text(found.via)}" if found.via else "")


@pytest.fixture
def h() -> Host:
    return Host()


def test_lo_has_its_address_while_up(h: Host) -> None:
    """inetdev_event gives an up loopback 127.0.0.1/8 scope host, once."""
    lo = h.ns.devices["lo"]
    assert [(str(a), a.scope) for a in h.ns.stack.addresses(lo)] == [("127.0.0.1/8", HOST)]
    link_set(h.net, lo, up=False)
    link_set(h.net, lo, up=True)
    assert len(h.ns.stack.addresses(lo)) == 1


def test_a_second_address_of_a_subnet_is_secondary_and_goes_with_the_first(h: Host) -> None:
    """__inet_del_ifa: without promote_secondaries the primary takes them along."""
    h.add("10.0.0.1/24")
    h.add("10.0.0.2/24")
    h.add("10.1.0.1/24")
    assert h.addresses() == ["10.0.0.1/24", "10.1.0.1/24", "10.0.0.2/24 secondary"]
    address_del(h.net, h.dev, parse_ip("10.0.0.1"), 24)
    assert h.addresses() == ["10.1.0.1/24"]


def test_promoted_secondaries_stay(h: Host) -> None:
    """promote_secondaries: the oldest secondary becomes primary, its subnet stays reachable from it."""
    sysctl_set(h.net, h.ns, "net.ipv4.conf.all.promote_secondaries", "1")
    h.add("10.0.0.1/24")
    h.add("10.0.0.2/24")
    address_del(h.net, h.dev, parse_ip("10.0.0.1"), 24)
    assert h.addresses() == ["10.0.0.2/24"]
    assert h.way("10.0.0.9") == "eth0 from 10.0.0.2"


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        ("10.0.0.1/24", ["unicast 10.0.0.0/24", "local 10.0.0.1/32", "broadcast 10.0.0.255/32"]),
        ("10.0.0.1/31", ["unicast 10.0.0.0/31", "local 10.0.0.1/32"]),
        ("10.0.0.1/32", ["local 10.0.0.1/32"]),
    ],
)
def test_routes_of_an_address_by_prefix_length(h: Host, text: str, routes: list[str]) -> None:
    """fib_add_ifaddr: no broadcast above /30, no subnet for a /32; down, only the local route is left."""
    h.add(text)
    assert h.routes() == routes
    link_set(h.net, h.dev, up=False)
    assert h.routes() == ["local 10.0.0.1/32"]
    link_set(h.net, h.dev, up=True)
    assert sorted(h.routes()) == sorted(routes)


def test_a_peer_is_what_is_routed(h: Host) -> None:
    """Point to point: the peer's prefix, from the local address."""
    address_add(h.net, h.dev, Ifaddr(parse_ip("10.0.0.1"), 32, peer=parse_ip("10.9.9.9")))
    assert h.way("10.9.9.9") == "eth0 from 10.0.0.1"


def test_the_same_address_twice_is_refused_another_prefix_is_not(h: Host) -> None:
    """find_matching_ifa: EEXIST for the same address and prefix only."""
    h.add("10.0.0.1/24")
    with pytest.raises(RtnlError) as refused:
        h.add("10.0.0.1/24")
    assert refused.value.code == "EEXIST"
    h.add("10.0.0.1/16")
    assert len(h.addresses()) == 2


def test_an_address_lives_as_long_as_given(h: Host) -> None:
    """valid_lft in seconds; replacing starts it anew."""
    address_add(h.net, h.dev, Ifaddr(parse_ip("10.0.0.1"), 24, valid_lft=10, preferred_lft=5))
    h.net.clock.advance(9 * SECOND)  # type: ignore[attr-defined]
    address_replace(h.net, h.dev, Ifaddr(parse_ip("10.0.0.1"), 24, valid_lft=10, preferred_lft=5))
    h.net.clock.advance(18 * SECOND)  # type: ignore[attr-defined]
    assert h.addresses() == ["10.0.0.1/24"]
    h.net.clock.advance(19 * SECOND)  # type: ignore[attr-defined]
    assert h.addresses() == []


def test_longest_prefix_then_metric(h: Host) -> None:
    """fib_table_lookup; the loser takes over when the winner goes."""
    h.add("10.0.0.1/24")
    route_add(h.net, h.ns, Route(0, 0, via=parse_ip("10.0.0.254"), metric=100))
    route_add(h.net, h.ns, Route(0, 0, via=parse_ip("10.0.0.253"), metric=10))
    route_add(h.net, h.ns, h.route("192.0.2.0/24"))
    assert h.way("8.8.8.8") == "eth0 from 10.0.0.1 via 10.0.0.253"
    assert h.way("192.0.2.1") == "eth0 from 10.0.0.1"
    route_del(h.net, h.ns, dst=0, plen=0, via=parse_ip("10.0.0.253"))
    assert h.way("8.8.8.8") == "eth0 from 10.0.0.1 via 10.0.0.254"


def test_add_append_replace_change(h: Host) -> None:
    """EEXIST for the same prefix and metric; append goes behind; replace takes the first; change wants one there."""
    h.add("10.0.0.1/24")
    first, second = parse_ip("10.0.0.253"), parse_ip("10.0.0.254")
    with pytest.raises(RtnlError) as missing:
        route_change(h.net, h.ns, Route(0, 0, via=first))
    assert missing.value.code == "ENOENT"
    route_add(h.net, h.ns, Route(0, 0, via=first))
    with pytest.raises(RtnlError) as there:
        route_add(h.net, h.ns, Route(0, 0, via=second))
    assert there.value.code == "EEXIST"
    route_append(h.net, h.ns, Route(0, 0, via=second))
    assert h.way("8.8.8.8").endswith("via 10.0.0.253")
    route_replace(h.net, h.ns, Route(0, 0, via=parse_ip("10.0.0.9")))
    assert h.way("8.8.8.8").endswith("via 10.0.0.9")


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"via": parse_ip("172.16.0.1"), "scope": 0}, "ENETUNREACH", "Nexthop has invalid gateway."),
        ({"via": parse_ip("10.0.0.9"), "scope": 254}, "EINVAL", None),
        ({"src": parse_ip("10.0.0.77")}, "EINVAL", "Invalid prefsrc address."),
        ({"type": "local", "scope": 0}, "EINVAL", None),
    ],
)
def test_what_a_route_may_not_be(h: Host, fields: dict[str, object], code: str, text: str | None) -> None:
    """fib_create_info and fib_check_nh; the same route without the fault is taken."""
    h.add("10.0.0.1/24")
    fields = {"dev": None if "via" in fields else h.dev, **fields}
    with pytest.raises(RtnlError) as refused:
        route_add(h.net, h.ns, h.route("192.0.2.0/24", **fields))
    assert refused.value.code == code
    assert text is None or refused.value.extack == text
    route_add(h.net, h.ns, h.route("192.0.2.0/24"))


def test_a_down_device_takes_no_routes(h: Host) -> None:
    """fib_check_nh_nongw: ENETDOWN."""
    link_set(h.net, h.dev, up=False)
    with pytest.raises(RtnlError, match="Device for nexthop is not up"):
        route_add(h.net, h.ns, h.route("192.0.2.0/24"))


def test_onlink_gateways_need_no_subnet(h: Host) -> None:
    """RTNH_F_ONLINK."""
    h.add("10.0.0.1/24")
    route_add(h.net, h.ns, h.route("0.0.0.0/0", via=parse_ip("172.16.0.1"), onlink=True, scope=0))
    assert h.way("8.8.8.8") == "eth0 from 10.0.0.1 via 172.16.0.1"


def test_a_rule_sends_a_source_to_another_table(h: Host) -> None:
    """fib_rules_lookup: rules by priority; a table without a match lets the next rule try."""
    h.add("10.0.0.1/24")
    h.add("10.0.1.1/24")
    route_add(h.net, h.ns, Route(0, 0, via=parse_ip("10.0.0.254")))
    route_add(h.net, h.ns, Route(0, 0, via=parse_ip("10.0.1.254"), table=100))
    h.ns.stack.fib.add_rule(Rule(100, table=100, src=(parse_ip("10.0.1.0"), 24)))
    by_source = h.ns.stack.route_get(parse_ip("8.8.8.8"), src=parse_ip("10.0.1.1"))
    assert ip_text(by_source.via or 0) == "10.0.1.254"
    assert h.way("8.8.8.8").endswith("via 10.0.0.254")


def test_neighbours_by_hand(h: Host) -> None:
    """neigh_add: EEXIST, ENOENT, and a permanent entry that ARP does not touch."""
    address = parse_ip("10.0.0.9")
    with pytest.raises(RtnlError) as missing:
        neigh_change(h.net, h.dev, address, 0x0A)
    assert missing.value.code == "ENOENT"
    neigh_add(h.net, h.dev, address, 0x0A)
    with pytest.raises(RtnlError) as there:
        neigh_add(h.net, h.dev, address, 0x0B)
    assert there.value.code == "EEXIST"
    h.ns.stack.neigh.heard(h.dev, address, 0x0C)
    assert h.ns.stack.neigh_lookup(h.dev, address) == 0x0A
    neigh_replace(h.net, h.dev, address, 0x0B, state=neigh.REACHABLE)
    assert h.ns.stack.neigh_lookup(h.dev, address) == 0x0B
    neigh_del(h.net, h.dev, address)
    assert h.ns.stack.neigh_lookup(h.dev, address) is None


def test_sysctls_have_the_kernels_defaults_and_refusals(h: Host) -> None:
    """proc_dointvec: ENOENT for an unknown key, EINVAL for text or a value out of range."""
    assert sysctl_get(h.net, h.ns, "net.ipv4.ip_forward") == "0"
    assert sysctl_get(h.net, h.ns, "net/ipv4/ip_default_ttl") == "64"
    assert sysctl_get(h.net, h.ns, "net.ipv4.neigh.eth0.base_reachable_time_ms") == "30000"
    for key, value, code in (
        ("net.ipv4.nosuch", "1", "ENOENT"),
        ("net.ipv4.conf.nosuch.rp_filter", "1", "ENOENT"),
        ("net.ipv4.ip_forward", "abc", "EINVAL"),
        ("net.ipv4.ip_default_ttl", "256", "EINVAL"),
    ):
        with pytest.raises(RtnlError) as refused:
            sysctl_set(h.net, h.ns, key, value)
        assert refused.value.code == code
    keys = [key for key, _ in sysctl_list(h.net, h.ns)]
    assert len(keys) == len(set(keys))
    assert "net.ipv4.conf.eth0.arp_ignore" in keys


def test_forwarding_spreads_and_stops_redirects_from_being_believed(h: Host) -> None:
    """inet_forward_change writes all, default and every device, and turns conf.all.accept_redirects around."""
    sysctl_set(h.net, h.ns, "net.ipv4.ip_forward", "1")
    assert [sysctl_get(h.net, h.ns, f"net.ipv4.conf.{p}.forwarding") for p in ("all", "default", "eth0")] == ["1"] * 3
    assert sysctl_get(h.net, h.ns, "net.ipv4.conf.all.accept_redirects") == "0"
    sysctl_set(h.net, h.ns, "net.ipv4.conf.all.forwarding", "0")
    assert sysctl_get(h.net, h.ns, "net.ipv4.ip_forward") == "0"


def test_devices_follow_default_until_they_have_an_address(h: Host) -> None:
    """devinet_copy_dflt_conf and ipv4_devconf_setall."""
    sysctl_set(h.net, h.ns, "net.ipv4.conf.default.rp_filter", "2")
    assert sysctl_get(h.net, h.ns, "net.ipv4.conf.eth0.rp_filter") == "2"
    h.add("10.0.0.1/24")
    sysctl_set(h.net, h.ns, "net.ipv4.conf.default.rp_filter", "1")
    assert sysctl_get(h.net, h.ns, "net.ipv4.conf.eth0.rp_filter") == "2"


def test_a_new_namespace_inherits_the_initial_ones_conf(h: Host) -> None:
    """net_inherit_devconf: conf.all and conf.default, not ip_forward's other halves."""
    sysctl_set(h.net, h.net.netns[""], "net.ipv4.conf.all.rp_filter", "1")
    assert sysctl_get(h.net, h.net.add_netns("new"), "net.ipv4.conf.all.rp_filter") == "1"
    assert sysctl_get(h.net, h.ns, "net.ipv4.conf.all.rp_filter") == "0"


def test_ipv6_stays_off_until_it_is_switched_on(h: Host) -> None:
    """What is so may be written, and makes nothing; `all` reaches every device and those to come."""
    key = "net.ipv6.conf.eth0.disable_ipv6"
    sysctl_set(h.net, h.ns, "net.ipv6.conf.all.disable_ipv6", "1")
    assert (h.ns.stack.ip6, sysctl_get(h.net, h.ns, key)) == (None, "1")
    sysctl_set(h.net, h.ns, "net.ipv6.conf.all.disable_ipv6", "0")
    assert h.ns.stack.ip6 is not None
    assert [sysctl_get(h.net, h.ns, k) for k in (key, "net.ipv6.conf.default.disable_ipv6")] == ["0", "0"]
    assert h.net.netns[""].stack.ip6 is None


@pytest.mark.parametrize(
    "key",
    [
        "conf.all.bc_forwarding",
        "conf.all.accept_source_route",
        "conf.all.medium_id",
        "conf.default.ignore_routes_with_linkdown",
        "conf.lo.drop_unicast_in_l2_multicast",
        "conf.lo.force_igmp_version",
        "icmp_errors_use_inbound_ifaddr",
        "ip_no_pmtu_disc",
        "ip_nonlocal_bind",
        "neigh.lo.unres_qlen_bytes",
    ],
)
def test_a_key_without_effect_here_keeps_its_value(key: str) -> None:
    """Another value is refused by name instead of being stored and ignored; the value it has may be written."""
    net = Network()
    ns = net.add_netns("a")
    name = f"net.ipv4.{key}"
    old = sysctl_get(net, ns, name)
    with pytest.raises(Unsupported, match=key.rsplit(".", 1)[-1]):
        sysctl_set(net, ns, name, "1")
    sysctl_set(net, ns, name, old)
    assert sysctl_get(net, ns, name) == old


def test_a_value_the_kernel_refuses_is_refused_as_it_does() -> None:
    """ip_no_pmtu_disc runs from 0 to 3 (proc_dou8vec_minmax): 4 is EINVAL, not a capability."""
    net = Network()
    with pytest.raises(RtnlError) as caught:
        sysctl_set(net, net.add_netns("a"), "net.ipv4.ip_no_pmtu_disc", "4")
    assert caught.value.errno == EINVAL


def test_parameters_of_ipv6_are_there_while_it_is_off(h: Host) -> None:
    """As on Linux 6.1 and 6.18 with disable_ipv6: of each device but those whose MTU is under 1280."""
    first = h.net.netns[""]
    keys = [key for key, _ in sysctl_list(h.net, h.ns) if key.startswith("net.ipv6.")]
    assert keys == sorted(keys, key=key_of)
    assert {"net.ipv6.neigh.eth0.gc_stale_time", "net.ipv6.conf.eth0.accept_ra", "net.ipv6.bindv6only"} < {*keys}
    assert not [key for key in keys if ".neigh.default." in key]
    assert "net.ipv6.neigh.default.gc_stale_time" in [key for key, _ in sysctl_list(h.net, first)]
    assert [sysctl_get(h.net, h.ns, f"net.ipv6.conf.{each}") for each in ("lo.accept_dad", "eth0.accept_dad")] == [
        "-1",
        "1",
    ]
    assert [sysctl_get(h.net, h.ns, f"net.ipv6.conf.{each}.mtu") for each in ("lo", "eth0")] == ["65536", "1500"]
    assert h.ns.stack.ip6 is None
    before = dict(sysctl_list(h.net, h.ns))
    sysctl_set(h.net, h.ns, "net.ipv6.neigh.eth0.gc_stale_time", "7")
    assert h.ns.stack.ip6 is not None
    assert dict(sysctl_list(h.net, h.ns)) == before | {"net.ipv6.neigh.eth0.gc_stale_time": "7"}


@pytest.mark.parametrize("on", [False, True])
def test_under_the_least_mtu_there_are_no_parameters_of_ipv6(h: Host, on: bool) -> None:
    """addrconf_notify: but lo keeps them."""
    if on:
        sysctl_set(h.net, h.ns, "net.ipv6.conf.all.disable_ipv6", "0")
    for device in (h.dev, h.ns.devices["lo"]):
        link_set(h.net, device, mtu=1279)
    places = {key.split(".")[3] for key, _ in sysctl_list(h.net, h.ns) if key.startswith("net.ipv6.neigh.")}
    assert places == {"lo"}
    with pytest.raises(RtnlError):
        sysctl_get(h.net, h.ns, "net.ipv6.conf.eth0.disable_ipv6")
