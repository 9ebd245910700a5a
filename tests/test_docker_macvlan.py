"""moby's acceptance cases for macvlan (integration/network/macvlan), M1 to M18, on the simulated kernel.

IPv6 addresses are given out and shown; no IPv6 packet is simulated, so the cases' ping6 is not repeated here.
"""

from __future__ import annotations

from typing import Any

import pytest

from simvlan.docker.errors import DockerError
from simvlan.docker.store import FileStore
from tests.dockersim.world import Node, commands

DIALECTS = ["28", "29"]


@pytest.fixture
def node() -> Node:
    return Node().dummy("dm-dummy0")


@pytest.fixture(params=DIALECTS)
def either(request: pytest.FixtureRequest) -> Node:
    """A node with a dummy, in the dialects that differ here."""
    return Node(dialect=request.param).dummy("dm-dummy0")


def names(node: Node) -> list[str]:
    return [each["Name"] for each in node.engine.network_list()]


def test_m1_persistence(tmp_path: Any) -> None:
    store = FileStore(tmp_path)
    node = Node(store=store).dummy("dm-dummy0")
    ident = node.network("dm-persist", "macvlan", parent="dm-dummy0.60")
    assert "dm-persist" in names(node)
    node.host("ip link del dm-dummy0.60")
    store.close()
    again = Node(lab=node.lab, store=FileStore(tmp_path))
    assert "dm-persist" in names(again)
    assert again.engine.network_inspect("dm-persist")["Id"] == ident
    assert "dm-dummy0.60" in again.links()  # the driver had made it, so the driver makes it again


def test_m2_a_sub_interface_made_by_hand_is_kept(node: Node) -> None:
    node.host("ip link add link dm-dummy0 name dm-dummy0.20 type vlan id 20")
    node.network("dm-subinterface", parent="dm-dummy0.20")
    node.engine.network_remove("dm-subinterface")
    assert "dm-subinterface" not in names(node)
    assert "dm-dummy0.20" in node.links()


@pytest.mark.parametrize("first", [1, 2])
def test_m3_m6_a_shared_parent_goes_with_its_last_network(node: Node, first: int) -> None:
    node.network("dm-parent-net-1", parent="dm-dummy0.40")
    node.network("dm-parent-net-2", parent="dm-dummy0.40")
    assert "dm-dummy0.40" in node.links()
    node.engine.network_remove(f"dm-parent-net-{first}")
    assert "dm-dummy0.40" in node.links()
    node.engine.network_remove(f"dm-parent-net-{3 - first}")
    assert "dm-dummy0.40" not in node.links()
    assert "dm-dummy0" in node.links()


@pytest.mark.parametrize(("one", "two"), [("passthru", "bridge"), ("bridge", "passthru")])
def test_m4_m5_passthru_shares_with_nobody(node: Node, one: str, two: str) -> None:
    taken = node.network("dm-parent-net-1", parent="dm-dummy0.40", macvlan_mode=one)
    used = f"macvlan network {taken} is already using parent interface dm-dummy0.40"
    text = f"{used} in mode passthru" if one == "passthru" else f"cannot use mode passthru, {used}"
    node.refuses(500, text, node.network, "dm-parent-net-2", parent="dm-dummy0.40", macvlan_mode=two)
    node.engine.network_remove("dm-parent-net-1")
    assert "dm-dummy0" in node.links()


def test_m7_an_existing_parent_of_two_networks_is_kept(node: Node) -> None:
    node.network("dm-parent-net-1", parent="dm-dummy0")
    node.network("dm-parent-net-2", parent="dm-dummy0")
    for name in ("dm-parent-net-1", "dm-parent-net-2"):
        node.engine.network_remove(name)
    assert "dm-dummy0" in node.links()


def test_m8_without_parent_containers_reach_each_other_by_id(node: Node) -> None:
    network = node.network("dm-nil-parent")
    first = node.run("c1", "dm-nil-parent")
    node.run("c2", "dm-nil-parent")
    assert f"dm-{network[:12]}" in node.links()
    assert node.ping("c2", resolve(node, "c2", first[:12]))


def test_m9_internal_without_parent(node: Node) -> None:
    node.network("dm-internal", internal=True)
    first = node.run("c1", "dm-internal")
    node.run("c2", "dm-internal")
    assert "Network is unreachable" in node.lab.ping("c2", "8.8.8.8").text
    assert node.ping("c2", resolve(node, "c2", first[:12]))


MULTI: list[dict[str, Any]] = [
    {"Subnet": "172.28.100.0/24"},
    {"Subnet": "172.28.102.0/24", "Gateway": "172.28.102.254"},
    {"Subnet": "2001:db8:abc2::/64"},
    {"Subnet": "2001:db8:abc4::/64", "Gateway": "2001:db8:abc4::254"},
]


def multi(node: Node, parent: str | None) -> None:
    node.network("dualstackbridge", "macvlan", *MULTI, parent=parent, ipv6=True)
    for number, (net, six, host) in enumerate([(100, 2, 20), (100, 2, 21), (102, 4, 20), (102, 4, 21)], 1):
        node.run(f"c{number}", "dualstackbridge", ip=f"172.28.{net}.{host}", ip6=f"2001:db8:abc{six}::{host}")
    assert node.ping("c2", "172.28.100.20")
    assert node.ping("c4", "172.28.102.20")
    assert not node.ping("c4", "172.28.100.20")  # two subnets need a router


def gateways(node: Node, name: str, network: str = "dualstackbridge") -> tuple[str, str]:
    shown = node.endpoint(name, network)
    return shown["Gateway"], shown["IPv6Gateway"]


def test_m10_several_subnets_with_parent(either: Node) -> None:
    multi(either, "dm-dummy0")
    guessed = ("172.28.100.1", "2001:db8:abc2::1") if either.engine.core.dialect.name == "28" else ("", "")
    assert gateways(either, "c1") == guessed
    assert gateways(either, "c3") == ("172.28.102.254", "2001:db8:abc4::254")
    assert either.endpoint("c1", "dualstackbridge")["GlobalIPv6Address"] == "2001:db8:abc2::20"


def test_m11_several_subnets_without_parent(either: Node) -> None:
    multi(either, None)
    assert {gateways(either, f"c{n}") for n in (1, 2, 3, 4)} == {("", "")}


def test_m12_addressing(either: Node) -> None:
    blocks = [{"Subnet": "172.28.130.0/24"}, {"Subnet": "2001:db8:abca::/64", "Gateway": "2001:db8:abca::254"}]
    either.network("dualstackbridge", "macvlan", *blocks, parent="dm-dummy0", ipv6=True, macvlan_mode="bridge")
    either.run("c1", "dualstackbridge")
    default = "default via 172.28.130.1 dev eth0" in either.ip("c1", "route")
    assert default == (either.engine.core.dialect.name == "28")
    assert "default via" in either.ip("c1", "route") or not default
    assert either.endpoint("c1", "dualstackbridge")["IPv6Gateway"] == "2001:db8:abca::254"


@pytest.mark.parametrize(
    ("v4", "v6", "api"),
    [(True, True, "1.48"), (True, False, "1.48"), (False, True, "1.48"), (False, False, "1.48"), (False, True, "1.46")],
)
def test_m13_families_on_and_off(either: Node, v4: bool, v6: bool, api: str) -> None:
    """Since API 1.48 IPv4 can be off; before, the field is not heard."""
    either.network("ipam-net", "macvlan", ipv4=v4, ipv6=v6, api=api, macvlan_mode="bridge")
    either.run("c1", "ipam-net")
    has4 = v4 or api == "1.46"
    shown = either.endpoint("c1", "ipam-net")
    assert bool(shown["IPAddress"]) == has4
    assert bool(shown["GlobalIPv6Address"]) == v6
    assert ("inet " in either.ip("c1", "-4", "addr", "show", "dev", "eth0")) == has4
    assert "127.0.0.1/8" in either.ip("c1", "addr", "show", "dev", "lo")
    assert either.engine.network_inspect("ipam-net")["EnableIPv4"] is has4


def test_m13_status_of_addresses() -> None:
    node = Node(dialect="29")
    v4 = {"Subnet": "10.66.77.0/24", "IPRange": "10.66.77.64/30", "Gateway": "10.66.77.1",
          "AuxiliaryAddresses": {"a": "10.66.77.65", "b": "10.66.77.128"}}  # fmt: skip
    v6 = {"Subnet": "2001:db8:abcd::/64", "IPRange": "2001:db8:abcd::/120"}
    node.network("ipam-net", "macvlan", v4, v6, ipv6=True)
    node.run("c1", "ipam-net")
    assert node.endpoint("c1", "ipam-net")["IPAddress"] == "10.66.77.64"
    status = node.engine.network_inspect("ipam-net")["Status"]["IPAM"]["Subnets"]
    assert status["10.66.77.0/24"] == {"IPsInUse": 6, "DynamicIPsAvailable": 2}
    assert status["2001:db8:abcd::/64"] == {"IPsInUse": 2, "DynamicIPsAvailable": 254}
    assert "Status" not in node.engine.network_inspect("ipam-net", api="1.51")


def overlap_status(node: Node) -> list[tuple[int, int]]:
    """Three networks on one subnet with other ip-ranges (M14, I14); (in use, available) of each, v4 then v6."""
    return [
        (each["IPsInUse"], each["DynamicIPsAvailable"])
        for name in ("n1", "n2", "n3")
        for each in node.engine.network_inspect(name)["Status"]["IPAM"]["Subnets"].values()
    ]


def overlapping(node: Node, driver: str, **options: str) -> None:
    v4 = [{"IPRange": "192.168.0.0/25", "Gateway": "192.168.0.1", "AuxiliaryAddresses": {"r": "192.168.0.100"}},
          {"IPRange": "192.168.0.0/24"}, {"IPRange": "192.168.0.128/25"}]  # fmt: skip
    v6 = ["2001:db8:abcd::/124", "2001:db8:abcd::/120", "2001:db8:abcd::80/124"]
    for number, (four, six) in enumerate(zip(v4, v6, strict=True), 1):
        blocks = [{"Subnet": "192.168.0.0/24", **four}, {"Subnet": "2001:db8:abcd::/64", "IPRange": six}]
        node.network(f"n{number}", driver, *blocks, ipv6=True, **options)


def check_overlap(driver: str, **options: str) -> None:
    node = Node(dialect="29")
    overlapping(node, driver, **options)
    assert overlap_status(node) == [(4, 125), (1, 15), (4, 252), (1, 255), (4, 127), (1, 16)]
    node.run("c1", "n1")
    assert overlap_status(node) == [(5, 124), (2, 14), (5, 251), (2, 254), (5, 127), (2, 16)]


def test_m14_overlapping_ranges() -> None:
    check_overlap("macvlan")


def resolve(node: Node, container: str, name: str) -> str:
    """What the embedded DNS server answers first."""
    resolver = node.engine.networking.resolver(node.engine.containers.find(container))
    assert resolver is not None
    found = resolver.lookup(name)
    assert found, f"{name}: {found}"
    return found[0]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("parent", "internal", "answered"), [("dm-dummy0", False, True), (None, False, False), ("dm-dummy0", True, False)]
)
def test_m15_dns(dialect: str, parent: str | None, internal: bool, answered: bool) -> None:
    check_dns(dialect, "macvlan", parent, internal, answered)


def check_dns(dialect: str, driver: str, parent: str | None, internal: bool, answered: bool, **options: str) -> None:
    node = Node(dialect=dialect, upstream={"test.example": ["192.0.2.7"]}.get).dummy("dm-dummy0")
    node.network("dns-net", driver, parent=parent, internal=internal, **options)
    node.run("c1", "dns-net")
    resolver = node.engine.networking.resolver(node.engine.containers.find("c1"))
    assert resolver is not None
    assert resolver.lookup("test.example") == (["192.0.2.7"] if answered else None)  # None is SERVFAIL
    assert resolver.lookup("c1") == [node.endpoint("c1", "dns-net")["IPAddress"]]


def test_m16_point_to_point(either: Node) -> None:
    check_point_to_point(either, "macvlan")


def check_point_to_point(node: Node, driver: str, **options: str) -> None:
    node.network("p2p", driver, "192.168.135.0/31", **options)
    node.run("ctr1", "p2p")
    node.run("ctr2", "p2p")
    assert [node.endpoint(name, "p2p")["IPAddress"] for name in ("ctr1", "ctr2")] == ["192.168.135.0", "192.168.135.1"]
    assert "1 packets transmitted, 1 received" in node.lab.ping("ctr2", resolve(node, "ctr2", "ctr1")).text
    with pytest.raises(DockerError, match="no available IPv4 addresses"):
        node.run("ctr3", "p2p")


def test_m17_custom_interface_name(node: Node) -> None:
    node.network("dm-ifname", parent="dm-dummy0.60")
    node.run("c1", "dm-ifname", DriverOpts={"com.docker.network.endpoint.ifname": "foobar"})
    assert ": foobar@if" in node.ip("c1", "-o", "link", "show", "foobar")


def test_m18_a_parent_that_is_down(node: Node) -> None:
    node.host("ip link add tap0 type dummy")  # any link that is down
    node.network("down", parent="tap0", ipv6=True)
    node.run("c1", "down")
    assert node.engine.container_inspect("c1")["State"]["Running"]


def test_the_headline_network(either: Node) -> None:
    """The first line of the reference's worked examples, with its route."""
    block = {"Subnet": "192.168.0.0/16", "IPRange": "192.168.11.0/24"}
    either.network("macvlan100", "macvlan", block, parent="eth1.100", macvlan_mode="bridge")
    either.run("c1", "macvlan100")
    either.run("c2", "macvlan100")
    found = [either.endpoint(c, "macvlan100")["IPAddress"] for c in ("c1", "c2")]
    newer = either.engine.core.dialect.name == "29"
    assert found == (["192.168.11.0", "192.168.11.1"] if newer else ["192.168.11.1", "192.168.11.2"])
    assert ("default via 192.168.11.0 dev eth0" in either.ip("c1", "route")) != newer
    assert either.ping("c1", found[1])
    assert f"inet {found[0]}/16 brd 192.168.255.255 scope global eth0" in either.ip("c1", "addr")


def test_across_nodes_and_vlans() -> None:
    """The tutorial's point: one VLAN is one network over both nodes, two VLANs are two."""
    one = Node()
    two = Node(lab=one.lab, name="node-2")
    for node, ranges in ((one, (11, 21)), (two, (10, 20))):
        for vlan, third in zip((100, 200), ranges, strict=True):
            block = {"Subnet": "192.168.0.0/16", "IPRange": f"192.168.{third}.0/24"}
            node.network(f"macvlan{vlan}", "macvlan", block, parent=f"eth1.{vlan}", macvlan_mode="bridge")
    for node, name, vlan in ((one, "c1-100", 100), (one, "c2-100", 100), (two, "c3-100", 100), (one, "c1-200", 200)):
        node.run(name, f"macvlan{vlan}")
    assert one.ping("c1-100", "192.168.11.2")
    assert one.ping("c1-100", "192.168.10.1")
    assert not one.ping("c1-100", "192.168.21.1")
    commands(one.lab, "ip -n node-1 addr add 192.168.0.1/16 dev eth1.100")
    assert not one.lab.ping("node-1", "192.168.11.1", 1, "-W", "1")  # the host and its own macvlans
    assert one.lab.ping("node-1", "192.168.10.1", 1, "-W", "1")
