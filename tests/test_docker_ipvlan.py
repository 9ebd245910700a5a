"""moby's acceptance cases for ipvlan (integration/network/ipvlan), I1 to I17, on the simulated kernel."""

from __future__ import annotations

from typing import Any

import pytest

from simvlan.docker.store import FileStore
from tests.dockersim.world import Node
from tests.test_docker_macvlan import (
    DIALECTS,
    check_dns,
    check_overlap,
    check_point_to_point,
    gateways,
    names,
    resolve,
)


@pytest.fixture
def node() -> Node:
    return Node().dummy("di-dummy0")


@pytest.fixture(params=DIALECTS)
def either(request: pytest.FixtureRequest) -> Node:
    """A node with a dummy, in the dialects that differ here."""
    return Node(dialect=request.param).dummy("di-dummy0")


def test_i1_persistence(tmp_path: Any) -> None:
    store = FileStore(tmp_path)
    node = Node(store=store).dummy("di-dummy0")
    node.network("di-persist", "ipvlan", parent="di-dummy0.70")
    assert "di-persist" in names(node)
    store.close()
    assert "di-persist" in names(Node(lab=node.lab, store=FileStore(tmp_path)))


def test_i2_sub_interface(node: Node) -> None:
    node.network("di-subinterface", "ipvlan", parent="di-dummy0.60")
    assert "di-dummy0.60" in node.links()
    node.engine.network_remove("di-subinterface")
    assert "di-subinterface" not in names(node)
    assert "di-dummy0.60" not in node.links()
    assert "di-dummy0" in node.links()


def test_i3_a_parent_has_one_network(node: Node) -> None:
    node.host("ip link add link di-dummy0 name di-dummy0.30 type vlan id 30")
    first = node.network("di-subinterface", "ipvlan", parent="di-dummy0.30")
    taken = "network with name di-subinterface already exists"
    node.refuses(409, taken, node.network, "di-subinterface", "ipvlan", parent="di-dummy0.30")
    used = f"network di-{first[:12]} is already using parent interface di-dummy0.30"
    node.refuses(500, used, node.network, "di-other", "ipvlan", parent="di-dummy0.30")


@pytest.mark.parametrize("internal", [False, True])
def test_i4_i5_l2_without_parent(node: Node, internal: bool) -> None:
    network = node.network("di-nil-parent", "ipvlan", internal=internal)
    first = node.run("c1", "di-nil-parent")
    node.run("c2", "di-nil-parent")
    assert f"di-{network[:12]}" in node.links()
    assert "Network is unreachable" in node.lab.ping("c2", "8.8.8.8").text
    assert node.ping("c2", resolve(node, "c2", first[:12]))


@pytest.mark.parametrize("internal", [False, True])
def test_i6_i7_l3_without_parent(node: Node, internal: bool) -> None:
    """moby's test asks only that the ping is run, not that it is answered: without a way out there is no route."""
    node.network("di-l3", "ipvlan", "172.28.230.0/24", "172.28.220.0/24", ipvlan_mode="l3", internal=internal)
    first = node.run("c1", "di-l3", ip="172.28.220.10")
    node.run("c2", "di-l3", ip="172.28.230.10")
    node.run("c3", "di-l3", ip="172.28.230.11")
    assert resolve(node, "c2", first[:12]) == "172.28.220.10"
    assert "Network is unreachable" in node.lab.ping("c2", "8.8.8.8").text
    assert "Network is unreachable" in node.lab.ping("c2", "172.28.220.10").text
    assert node.ping("c2", "172.28.230.11")


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_l3_with_a_parent_reaches_across_subnets(node: Node, mode: str) -> None:
    node.network("di-l3", "ipvlan", "172.28.230.0/24", "172.28.220.0/24", ipvlan_mode=mode, parent="di-dummy0")
    node.run("c1", "di-l3", ip="172.28.220.10")
    node.run("c2", "di-l3", ip="172.28.230.10")
    assert node.ping("c2", "172.28.220.10")
    assert node.ip("c2", "neigh") == ""


MULTI: list[dict[str, Any]] = [
    {"Subnet": "172.28.200.0/24"},
    {"Subnet": "172.28.202.0/24", "Gateway": "172.28.202.254"},
    {"Subnet": "2001:db8:abc8::/64"},
    {"Subnet": "2001:db8:abc6::/64", "Gateway": "2001:db8:abc6::254"},
]


def multi(node: Node, parent: str | None, **options: str) -> None:
    node.network("dualstackl2", "ipvlan", *MULTI, parent=parent, ipv6=True, **options)
    for number, (net, six, host) in enumerate([(200, 8, 20), (200, 8, 21), (202, 6, 20), (202, 6, 21)], 1):
        node.run(f"c{number}", "dualstackl2", ip=f"172.28.{net}.{host}", ip6=f"2001:db8:abc{six}::{host}")
    assert node.ping("c2", "172.28.200.20")
    assert node.ping("c4", "172.28.202.20")


def test_i8_l2_several_subnets_with_parent(either: Node) -> None:
    multi(either, "di-dummy0")
    guessed = ("172.28.200.1", "2001:db8:abc8::1") if either.engine.core.dialect.name == "28" else ("", "")
    assert gateways(either, "c1", "dualstackl2") == guessed
    assert gateways(either, "c3", "dualstackl2") == ("172.28.202.254", "2001:db8:abc6::254")


def test_i9_l2_several_subnets_without_parent(either: Node) -> None:
    multi(either, None)
    assert {gateways(either, f"c{n}", "dualstackl2") for n in (1, 2, 3, 4)} == {("", "")}


def test_i10_l3_has_no_gateways(either: Node) -> None:
    multi(either, None, ipvlan_mode="l3")
    assert {gateways(either, f"c{n}", "dualstackl2") for n in (1, 2, 3, 4)} == {("", "")}


def test_i11_l2_addressing(either: Node) -> None:
    blocks = [{"Subnet": "172.28.140.0/24", "Gateway": "172.28.140.254"}, {"Subnet": "2001:db8:abcb::/64"}]
    either.network("dualstackl2", "ipvlan", *blocks, parent="di-dummy0", ipv6=True, ipvlan_mode="l2")
    either.run("c1", "dualstackl2")
    assert "default via 172.28.140.254 dev eth0" in either.ip("c1", "route")
    guessed = "2001:db8:abcb::1" if either.engine.core.dialect.name == "28" else ""
    assert either.endpoint("c1", "dualstackl2")["IPv6Gateway"] == guessed


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_i12_l3_addressing(either: Node, mode: str) -> None:
    blocks = [
        {"Subnet": "172.28.160.0/24", "Gateway": "172.28.160.254"},
        {"Subnet": "2001:db8:abcd::/64", "Gateway": "2001:db8:abcd::254"},
    ]
    either.network("dualstackl3", "ipvlan", *blocks, parent="di-dummy0", ipv6=True, ipvlan_mode=mode)
    either.run("c1", "dualstackl3")
    assert "default dev eth0" in either.ip("c1", "route")
    assert gateways(either, "c1", "dualstackl3") == ("", "")


@pytest.mark.parametrize(
    ("v4", "v6", "api"),
    [(True, True, "1.48"), (True, False, "1.48"), (False, True, "1.48"), (False, False, "1.48"), (False, True, "1.46")],
)
def test_i13_families_on_and_off(either: Node, v4: bool, v6: bool, api: str) -> None:
    either.network("ipam-net", "ipvlan", ipv4=v4, ipv6=v6, api=api, ipvlan_mode="l3")
    either.run("c1", "ipam-net")
    shown, has4 = either.endpoint("c1", "ipam-net"), v4 or api == "1.46"
    assert (bool(shown["IPAddress"]), bool(shown["GlobalIPv6Address"])) == (has4, v6)
    assert ("inet " in either.ip("c1", "-4", "addr", "show", "dev", "eth0")) == has4


def test_i13_status_of_addresses() -> None:
    node = Node(dialect="29")
    v6 = {"Subnet": "2001:db8:abcd::/64", "IPRange": "2001:db8:abcd::100/120"}
    node.network("ipam-net", "ipvlan", "10.42.42.0/24", v6, ipv6=True, ipvlan_mode="l3")
    node.run("c1", "ipam-net")
    status = node.engine.network_inspect("ipam-net")["Status"]["IPAM"]["Subnets"]
    assert status["10.42.42.0/24"] == {"IPsInUse": 3, "DynamicIPsAvailable": 253}
    assert status["2001:db8:abcd::/64"] == {"IPsInUse": 2, "DynamicIPsAvailable": 255}


def test_i14_overlapping_ranges() -> None:
    check_overlap("ipvlan", ipvlan_mode="l3")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("mode", ["l2", "l3"])
@pytest.mark.parametrize(
    ("parent", "internal", "answered"), [("dm-dummy0", False, True), (None, False, False), ("dm-dummy0", True, False)]
)
def test_i15_dns(dialect: str, mode: str, parent: str | None, internal: bool, answered: bool) -> None:
    check_dns(dialect, "ipvlan", parent, internal, answered, ipvlan_mode=mode)


@pytest.mark.parametrize(("mode", "parent"), [("l2", ""), ("l3", "di-dummy0"), ("l3s", "di-dummy0")])
def test_i16_point_to_point(either: Node, mode: str, parent: str) -> None:
    check_point_to_point(either, "ipvlan", ipvlan_mode=mode, parent=parent)


def test_i17_custom_interface_name(node: Node) -> None:
    node.network("di-ifname", "ipvlan", parent="di-dummy0.70")
    node.run("c1", "di-ifname", DriverOpts={"com.docker.network.endpoint.ifname": "foobar"})
    assert ": foobar@if" in node.ip("c1", "-o", "link", "show", "foobar")


def test_an_ipvlan_has_its_parents_mac_and_none_in_the_api(node: Node) -> None:
    node.network("di", "ipvlan", "10.1.0.0/24", parent="eth1")
    node.run("c1", "di")
    assert node.endpoint("c1", "di")["MacAddress"] == ""
    assert node.lab.network.device("c1/eth0").mac == node.lab.network.device("node-1/eth1").mac
