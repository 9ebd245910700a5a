"""moby's related acceptance cases, R1 to R7: gateways among several networks, names, hosts, MAC addresses."""

from __future__ import annotations

from typing import Any

import pytest

from simvlan.docker.store import FileStore
from tests.dockersim.world import Node


@pytest.fixture
def node() -> Node:
    return Node().dummy("di-dummy0")


def connect(node: Node, network: str, container: str, **endpoint: Any) -> None:
    node.engine.network_connect(network, {"Container": container, "EndpointConfig": endpoint})


def disconnect(node: Node, network: str, container: str) -> None:
    node.engine.network_disconnect(network, {"Container": container, "Force": False})


def default(node: Node, container: str) -> str:
    return node.ip(container, "route", "show", "default").strip()


def test_r1_bridge_and_ipvlan_l3(node: Node) -> None:
    """Was an error until 27 (moby#48576); since 28 the way out moves between a gateway and a device."""
    node.network("br0", "bridge", "192.168.123.0/24")
    node.network("ipv", "ipvlan", "192.168.124.0/24", parent="di-dummy0", ipvlan_mode="l3")
    node.run("ctr", "br0", GwPriority=1)
    connect(node, "ipv", "ctr")
    assert default(node, "ctr") == "default via 192.168.123.1 dev eth0"
    disconnect(node, "br0", "ctr")
    assert default(node, "ctr") == "default dev eth1 scope link"
    disconnect(node, "ipv", "ctr")
    assert default(node, "ctr") == ""
    connect(node, "br0", "ctr", GwPriority=1)
    assert default(node, "ctr") == "default via 192.168.123.1 dev eth0"  # the lowest free number


def test_r2_priorities(node: Node) -> None:
    for name, third in (("n1", 1), ("n2", 2), ("n3", 3)):
        node.network(name, "bridge", f"10.100.{third}.0/24")
    node.run("ctr", "n2")
    assert "via 10.100.2.1" in default(node, "ctr")
    connect(node, "n3", "ctr")  # equal: the network's name decides
    assert "via 10.100.2.1" in default(node, "ctr")
    connect(node, "n1", "ctr", GwPriority=-1)  # a negative one never takes over
    assert "via 10.100.2.1" in default(node, "ctr")
    disconnect(node, "n3", "ctr")
    connect(node, "n3", "ctr", GwPriority=100)
    assert "via 10.100.3.1" in default(node, "ctr")
    assert node.endpoint("ctr", "n3")["GwPriority"] == 100


def test_r2_interfaces_are_numbered_in_order_of_connection(node: Node) -> None:
    for name, third in (("zzz", 1), ("aaa", 2)):
        node.network(name, "macvlan", f"10.101.{third}.0/24", parent=f"eth1.{third}")
    node.run("ctr", "zzz")
    connect(node, "aaa", "ctr")
    assert "10.101.1." in node.ip("ctr", "addr", "show", "eth0")
    assert "10.101.2." in node.ip("ctr", "addr", "show", "eth1")
    assert "via 10.101.2.1 dev eth1" in default(node, "ctr")  # the name decides about the route all the same


def test_r3_names_are_unique(node: Node) -> None:
    node.network("one", "bridge")
    node.refuses(409, "network with name one already exists", node.network, "one", "macvlan", "10.9.0.0/24")


def test_r4_an_address_outside_the_range_and_the_old_mac_field(node: Node) -> None:
    """Watchtower: the range holds one address, `--ip` another; before API 1.44 the MAC is the container's."""
    block = {"Subnet": "192.168.77.0/29", "IPRange": "192.168.77.4/32"}
    node.network("wt", "macvlan", block, parent="di-dummy0")
    body = {
        "Image": "alpine", "Cmd": ["sleep", "100"], "MacAddress": "02:42:c0:a8:4d:02",
        "HostConfig": {"NetworkMode": "wt"},
        "NetworkingConfig": {"EndpointsConfig": {"wt": {"IPAMConfig": {"IPv4Address": "192.168.77.2"}}}},
    }  # fmt: skip
    made = node.engine.container_create(body, "watched", api="1.25")
    assert made["Warnings"] == []
    node.engine.container_start("watched")
    shown = node.endpoint("watched", "wt")
    assert (shown["IPAddress"], shown["MacAddress"]) == ("192.168.77.2", "02:42:c0:a8:4d:02")
    newer = node.engine.container_create(body, "watched2", api="1.44")
    assert "MacAddress field is now deprecated" in newer["Warnings"][0]


def test_r5_hosts_file(node: Node) -> None:
    node.network("n1", "bridge", "10.1.0.0/24", "2001:db8:1::/64", ipv6=True)
    node.network("n2", "macvlan", "10.2.0.0/24", parent="eth1.2")
    ident = node.run("ctr", "n1")
    disk = node.runtime.started[-1].spec.disk

    def lines() -> list[str]:
        return disk.read("/etc/hosts").decode().splitlines()[6:]

    assert lines() == [f"10.1.0.2\t{ident[:12]}", f"2001:db8:1::2\t{ident[:12]}"]
    connect(node, "n2", "ctr")
    assert lines()[2:] == [f"10.2.0.2\t{ident[:12]}"]
    disconnect(node, "n1", "ctr")
    assert lines() == [f"10.2.0.2\t{ident[:12]}"]
    assert disk.read("/etc/hostname").decode() == f"{ident[:12]}\n"


def test_r5_resolv_conf(node: Node) -> None:
    """As recorded on an engine 28.5.2; the default bridge has no embedded server."""
    node.network("n1", "macvlan", "10.2.0.0/24", parent="eth1.2")
    node.run("ctr", "n1")
    text = node.runtime.started[-1].spec.disk.read("/etc/resolv.conf").decode()
    assert text == (
        "# Generated by Docker Engine.\n"
        "# This file can be edited; Docker Engine will not make further changes once it\n"
        "# has been modified.\n\n"
        "nameserver 127.0.0.11\noptions ndots:0\n\n"
        "# Based on host file: '/etc/resolv.conf' (internal resolver)\n"
        "# ExtServers: [host(10.0.2.3)]\n# Overrides: []\n# Option ndots from: internal\n"
    )
    node.run("plain", "bridge")
    assert "nameserver 10.0.2.3\n" in node.runtime.started[-1].spec.disk.read("/etc/resolv.conf").decode()
    assert node.runtime.started[-1].spec.resolver is None


def test_r6_mac_addresses(node: Node, tmp_path: Any) -> None:
    store = FileStore(tmp_path)
    first = Node(store=store)
    first.network("m", "macvlan", "10.3.0.0/24", parent="eth1.3")
    first.run("free", "m", host={"RestartPolicy": {"Name": "always"}})
    wanted = "02:11:22:33:44:55"
    first.run("fixed", "m", MacAddress=wanted, host={"RestartPolicy": {"Name": "always"}})
    before = first.endpoint("free", "m")["MacAddress"]
    for name in ("free", "fixed"):
        first.engine.finish(first.engine.container_restart(name, 0))
    after = first.endpoint("free", "m")["MacAddress"]
    assert before != after  # a generated one is new at every start
    assert int(after[:2], 16) & 3 == 2  # locally administered, unicast
    assert first.endpoint("fixed", "m")["MacAddress"] == wanted
    assert first.lab.network.device("fixed/eth0").mac == 0x021122334455
    assert "MacAddress" not in first.engine.container_inspect("free")["Config"]
    store.close()
    again = Node(store=FileStore(tmp_path), lab=Node(name="node-1").lab)
    assert again.endpoint("fixed", "m")["MacAddress"] == wanted
    assert again.endpoint("free", "m")["MacAddress"] not in (before, after)


@pytest.mark.parametrize("dialect", ["27", "1.12"])
def test_r6_before_28_the_mac_is_made_of_the_address(dialect: str) -> None:
    node = Node(dialect=dialect)
    node.network("m", "macvlan", {"Subnet": "192.168.0.0/16", "IPRange": "192.168.11.0/24"}, parent="eth1.100")
    node.run("c1", "m")
    assert node.endpoint("c1", "m")["MacAddress"] == "02:42:c0:a8:0b:01"


def test_r7_gateway_selection(node: Node) -> None:
    """The way out moves with connect and disconnect; a network of one family does not take the other's."""
    node.network("four", "bridge", "10.4.0.0/24")
    node.network("six", "ipvlan", "2001:db8:6::/64", parent="di-dummy0", ipv4=False, ipv6=True)
    node.network("zboth", "bridge", "10.5.0.0/24", "2001:db8:5::/64", ipv6=True)
    node.run("ctr", "six")
    assert default(node, "ctr") == ""
    connect(node, "four", "ctr")
    assert "via 10.4.0.1" in default(node, "ctr")
    connect(node, "zboth", "ctr")  # both families before one
    assert "via 10.5.0.1" in default(node, "ctr")
    disconnect(node, "zboth", "ctr")
    assert "via 10.4.0.1" in default(node, "ctr")
    disconnect(node, "four", "ctr")
    assert default(node, "ctr") == ""
