"""The error catalogue: each trigger, the exact text, the HTTP status, as in moby's source and as recorded on 28.5.2."""

from __future__ import annotations

import re
from collections.abc import Callable
from errno import EBUSY, EOPNOTSUPP
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest

from simvlan.docker.errors import DockerError
from simvlan.errors import RtnlError
from tests.dockersim.world import Node

PREFIX = "failed to set up container networking: "


@pytest.fixture
def node() -> Node:
    return Node()


# -- network create ---------------------------------------------------------------------------------------------------

FORMAT = "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received"
NETWORK_CREATE: list[tuple[str, dict[str, str], int, str]] = [
    ("macvlan", {"macvlan_mode": "l2"}, 500,
     "requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default"),
    ("macvlan", {"macvlan_mode": "BRIDGE"}, 500,
     "requested macvlan mode 'BRIDGE' is not valid, 'bridge' mode is the macvlan driver default"),
    ("macvlan", {"macvlan_mode": "source"}, 500,
     "requested macvlan mode 'source' is not valid, 'bridge' mode is the macvlan driver default"),
    ("ipvlan", {"ipvlan_mode": "L3"}, 500,
     "requested ipvlan mode 'L3' is not valid, 'l2' mode is the ipvlan driver default"),
    ("ipvlan", {"ipvlan_flag": "nosuch"}, 500,
     "requested ipvlan flag 'nosuch' is not valid, 'bridge' is the ipvlan driver default"),
    ("macvlan", {"parent": "lo"}, 500, "loopback interface is not a valid macvlan parent link"),
    ("ipvlan", {"parent": "lo"}, 500, "loopback interface is not a valid ipvlan parent link"),
    ("macvlan", {"parent": "ethX"}, 500, "invalid subinterface vlan name ethX, example formatting is eth0.10"),
    ("macvlan", {"parent": "eth1.100.200"}, 500, f"{FORMAT} eth1.100.200"),
    ("ipvlan", {"parent": "eth1.abc"}, 500, "unable to parse a valid vlan id from: abc (ex. eth0.10 for vlan 10)"),
    ("macvlan", {"parent": "ethX.10"}, 500, "-o parent interface was not found on the host: ethX"),
    ("macvlan", {"parent": "eth1.0"}, 500, "vlan id must be between 1-4094, received: 0"),
    ("macvlan", {"parent": "eth1.4095"}, 500, "vlan id must be between 1-4094, received: 4095"),
    ("ipvlan", {"parent": "eth1.-1"}, 500, "vlan id must be between 1-4094, received: -1"),
    ("macvlan", {"parent": "ethX.4095"}, 500, "-o parent interface was not found on the host: ethX"),
    ("nosuch", {}, 404, 'plugin "nosuch" not found'),
    ("macvlan", {"com.docker.network.advertise_addr_nmsgs": "4"}, 500,
     "com.docker.network.advertise_addr_nmsgs must be in the range 0 to 3"),
    ("macvlan", {"com.docker.network.advertise_addr_ms": "99"}, 500,
     "com.docker.network.advertise_addr_ms must be in the range 100 to 2000"),
    ("macvlan", {"com.docker.network.enable_ipv4": "maybe"}, 400,
     'driver-opt "com.docker.network.enable_ipv4" is not a valid bool'),
    ("macvlan", {"com.docker.network.enable_ipv6": "maybe"}, 400,
     'driver-opt "com.docker.network.enable_ipv6" is not a valid bool'),
    ("host", {}, 403, 'only one instance of "host" network is allowed'),
    ("null", {}, 403, 'only one instance of "null" network is allowed'),
    ("overlay", {}, 403, 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect '
     "this node to swarm and try again."),
]  # fmt: skip


@pytest.mark.parametrize(("driver", "options", "status", "text"), NETWORK_CREATE)
def test_network_create(node: Node, driver: str, options: dict[str, str], status: int, text: str) -> None:
    before, networks = node.links(), len(node.engine.network_list())
    blocks = [] if driver in ("host", "null") else ["10.60.0.0/24"]
    node.refuses(status, text, node.network, "t", driver, *blocks, **options)
    assert node.links() == before
    assert len(node.engine.network_list()) == networks
    node.network("t", "bridge", "10.60.0.0/24")  # nothing was left reserved


@pytest.mark.parametrize("name", ["bridge", "host", "none", "default"])
def test_predefined_names(node: Node, name: str) -> None:
    node.refuses(403, f"operation is not permitted on predefined {name} network ", node.network, name)


def test_names_of_networks(node: Node) -> None:
    node.refuses(400, "invalid name: name is empty", node.network, "")
    node.refuses(400, "invalid name: name is empty", node.network, "  ")
    node.refuses(400, "invalid name: name is empty", node.engine.network_create, {})
    node.network("dup", "macvlan", "10.60.0.0/24")
    node.refuses(409, "network with name dup already exists", node.network, "dup", "bridge")
    for odd in ("bad name!", "-x", "a/b", "é", "x" * 200):
        node.network(odd, "bridge", f"10.{61 + len(node.engine.network_list())}.0.0/24")


def test_unknown_address_manager(node: Node) -> None:
    body = {"Name": "x", "Driver": "macvlan", "IPAM": {"Driver": "nosuch"}}
    node.refuses(404, 'plugin "nosuch" not found', node.engine.network_create, body)


def test_scopes(node: Node) -> None:
    body = {"Name": "x", "Driver": "macvlan"}
    node.refuses(403, "cannot create a swarm scoped network when swarm is not active", node.engine.network_create,
                 body | {"Scope": "swarm"})  # fmt: skip
    node.refuses(403, "Ingress network can only be global scope network", node.engine.network_create,
                 body | {"Ingress": True})  # fmt: skip
    node.engine.network_create(body | {"Scope": "local"})


def test_empty_pool(node: Node) -> None:
    """The null address manager has no addresses: a family that is on has then an empty pool."""
    body = {"Name": "x", "IPAM": {"Driver": "null"}}
    for driver in ("macvlan", "ipvlan"):
        node.refuses(400, "ipv4 pool is empty", node.engine.network_create, body | {"Driver": driver})
        only6 = {"Driver": driver, "EnableIPv4": False, "EnableIPv6": True}
        node.refuses(400, "ipv6 pool is empty", node.engine.network_create, body | only6)
    node.engine.network_create(body | {"Driver": "macvlan", "EnableIPv4": False})
    node.run("c1", "x")
    assert "inet " not in node.ip("c1", "addr", "show", "eth0")


def test_old_kernel(node: Node) -> None:
    node.engine.core.kernel = "4.1.15"
    text = "kernel version failed to meet the minimum ipvlan kernel requirement of 4.2, found 4.1.15"
    node.refuses(500, text, node.network, "x", "ipvlan", "10.9.0.0/24")
    node.network("y", "macvlan", "10.9.0.0/24")


def test_parents_the_kernel_refuses(node: Node) -> None:
    text = "failed to create eth1.1000000000 vlan link: numerical result out of range"
    with pytest.raises(DockerError, match="vlan id must be between"):
        node.network("x", "macvlan", parent="eth1.1000000000")
    node.host("ip link add verylongname0 type dummy")
    text = "failed to create verylongname0.100 vlan link: numerical result out of range"
    node.refuses(500, text, node.network, "x", "macvlan", parent="verylongname0.100")
    node.host("ip link add link eth1 name hundred type vlan id 100")
    text = "failed to create eth1.100 vlan link: file exists"
    node.refuses(500, text, node.network, "x", "macvlan", parent="eth1.100")
    node.host("ip link set eth1 down")
    for driver in ("macvlan", "ipvlan"):
        name = {"macvlan": "eth1.66", "ipvlan": "eth1.67"}[driver]
        text = f"failed to enable {name} the {driver} parent link network is down"
        node.refuses(500, text, node.network, "x", driver, parent=name)
        assert name in node.links()  # the half-made link stays, as recorded


def test_the_order_of_the_checks(node: Node) -> None:
    """28 reads the mode before the addresses and makes the parent after them; 29 reads the mode after them too."""
    overlap = "invalid pool request: Pool overlaps with other one on this address space"
    bad_mode = "requested macvlan mode 'x' is not valid, 'bridge' mode is the macvlan driver default"
    node.network("first", "macvlan", "10.60.0.0/24")
    node.refuses(500, bad_mode, node.network, "t", "macvlan", "10.60.0.0/24", macvlan_mode="x")
    node.refuses(403, overlap, node.network, "t", "macvlan", "10.60.0.0/24", parent="ethX.10")
    newer = Node(dialect="29")
    newer.network("first", "macvlan", "10.60.0.0/24")
    newer.refuses(403, overlap, newer.network, "t", "macvlan", "10.60.0.0/24", macvlan_mode="x")


def test_config_only(node: Node) -> None:
    create = node.engine.network_create
    only = {"Name": "cfg", "ConfigOnly": True, "IPAM": {"Config": [{"Subnet": "10.60.0.0/24"}]},
            "Options": {"parent": "eth1.60"}}  # fmt: skip
    text = (
        "configuration network can only contain network specific fields. "
        "Network operator fields like [ ingress | internal | attachable | scope ] are not supported."
    )
    node.refuses(403, text, create, only | {"Internal": True})
    create(only)
    assert node.engine.network_inspect("cfg")["Driver"] == "null"
    assert "eth1.60" not in node.links()
    using = {"Name": "t", "Driver": "macvlan", "ConfigFrom": {"Network": "cfg"}}
    node.refuses(404, 'configuration network "nosuch" does not exist', create,
                 using | {"ConfigFrom": {"Network": "nosuch"}})  # fmt: skip
    text = "user specified configurations are not supported if the network depends on a configuration network"
    node.refuses(403, text, create, using | {"EnableIPv6": True})
    text = "network driver options are not supported if the network depends on a configuration network"
    node.refuses(403, text, create, using | {"Options": {"parent": "eth0"}})
    node.refuses(403, "a configuration network cannot depend on another configuration network", create,
                 {"Name": "c2", "ConfigOnly": True, "ConfigFrom": {"Network": "cfg"}})  # fmt: skip
    create(using)
    shown = node.engine.network_inspect("t")
    assert shown["Options"] == {"parent": "eth1.60"}
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.60.0.0/24"}]
    assert shown["ConfigFrom"] == {"Network": "cfg"}
    assert "eth1.60" in node.links()
    node.refuses(403, 'configuration network "cfg" is in use', node.engine.network_remove, "cfg")
    node.engine.network_remove("t")
    node.engine.network_remove("cfg")


# -- the shape of addresses -------------------------------------------------------------------------------------------

SHAPES: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([{"Subnet": "bad"}], ["invalid subnet bad: invalid CIDR block notation"]),
    ([{"Subnet": "10.0.0.0/33"}], ["invalid subnet 10.0.0.0/33: invalid CIDR block notation"]),
    ([{"Subnet": "192.168.0.5/16"}], ["invalid subnet 192.168.0.5/16: it should be 192.168.0.0/16"]),
    ([{"Subnet": "192.168.0.0/16", "IPRange": "bad"}], ["invalid ip-range bad: invalid CIDR block notation"]),
    ([{"Subnet": "192.168.0.0/16", "IPRange": "2001:db8::/96"}],
     ["invalid ip-range 2001:db8::/96: parent subnet is an IPv4 block"]),
    ([{"Subnet": "192.168.0.0/24", "IPRange": "192.168.0.0/16"}],
     ["invalid ip-range 192.168.0.0/16: CIDR block is bigger than its parent subnet 192.168.0.0/24"]),
    ([{"Subnet": "192.168.0.0/16", "IPRange": "192.168.11.5/24"}],
     ["invalid ip-range 192.168.11.5/24: it should be 192.168.11.0/24"]),
    ([{"Subnet": "192.168.0.0/16", "IPRange": "10.0.0.0/24"}],
     ["invalid ip-range 10.0.0.0/24: parent subnet 192.168.0.0/16 doesn't contain ip-range"]),
    ([{"Subnet": "192.168.0.0/16", "Gateway": "bad"}], ["invalid gateway bad: invalid address"]),
    ([{"Subnet": "192.168.0.0/16", "Gateway": "10.0.0.1"}],
     ["invalid gateway 10.0.0.1: parent subnet 192.168.0.0/16 doesn't contain this address"]),
    ([{"Subnet": "192.168.0.0/16", "Gateway": "2001:db8::1"}],
     ["invalid gateway 2001:db8::1: parent subnet is an IPv4 block"]),
    ([{"Subnet": "192.168.0.0/16", "AuxiliaryAddresses": {"r": "bad"}}],
     ["invalid auxiliary address r: invalid address"]),
    ([{"Subnet": "192.168.0.0/16", "AuxiliaryAddresses": {"r": "10.0.0.1"}}],
     ["invalid auxiliary address r: parent subnet 192.168.0.0/16 doesn't contain this address"]),
    ([{"Subnet": "192.168.0.0/16", "AuxiliaryAddresses": {"r": "2001:db8::1"}}],
     ["invalid auxiliary address r: parent subnet is an IPv4 block"]),
    ([{"Subnet": "192.168.0.5/16", "Gateway": "10.0.0.1"}, {"Subnet": "x"}],
     ["invalid subnet 192.168.0.5/16: it should be 192.168.0.0/16",
      "invalid gateway 10.0.0.1: parent subnet 192.168.0.0/16 doesn't contain this address",
      "invalid subnet x: invalid CIDR block notation"]),
]  # fmt: skip


@pytest.mark.parametrize(("blocks", "errors"), SHAPES)
def test_shapes_of_addresses(node: Node, blocks: list[dict[str, Any]], errors: list[str]) -> None:
    listed = errors[0] if len(errors) == 1 else "\n".join(f"* {each}" for each in errors)
    node.refuses(400, f"invalid network config:\n{listed}", node.network, "t", "macvlan", *blocks)


def test_ipv6_blocks_are_not_looked_at_when_ipv6_is_off(node: Node) -> None:
    node.network("t", "macvlan", "10.60.0.0/24", {"Subnet": "2001:db8::5/64"})
    shown = node.engine.network_inspect("t")["IPAM"]["Config"]
    assert shown == [{"Subnet": "10.60.0.0/24"}, {"Subnet": "2001:db8::5/64"}]


def test_addresses_in_use(node: Node) -> None:
    first = {"Subnet": "10.9.0.0/16", "IPRange": "10.9.1.0/24", "Gateway": "10.9.0.1"}
    node.network("n1", "macvlan", first)
    again = {"Subnet": "10.9.0.0/16", "IPRange": "10.9.2.0/24", "Gateway": "10.9.0.1"}
    taken = "Address already in use"
    node.refuses(500, f"failed to allocate gateway (10.9.0.1): {taken}", node.network, "n2", "macvlan", again)
    for edge in ("10.8.0.0", "10.8.255.255"):
        block = {"Subnet": "10.8.0.0/16", "Gateway": edge}
        node.refuses(500, f"failed to allocate gateway ({edge}): {taken}", node.network, "n2", "macvlan", block)
    aux = {"Subnet": "10.8.0.0/16", "Gateway": "10.8.0.1", "AuxiliaryAddresses": {"r": "10.8.0.1"}}
    text = f"failed to allocate secondary ip address (r:10.8.0.1): {taken}"
    node.refuses(500, text, node.network, "n2", "macvlan", aux)
    node.network("n2", "macvlan", {"Subnet": "10.8.0.0/16", "Gateway": "10.8.0.1"})


def test_pools_overlap(node: Node) -> None:
    overlap = "invalid pool request: Pool overlaps with other one on this address space"
    for subnet in ("172.17.0.0/16", "172.17.5.0/24", "172.16.0.0/12"):
        node.refuses(403, overlap, node.network, "t", "macvlan", subnet)
    node.network("host's own", "macvlan", "10.0.2.0/24")  # a subnet of the host's eth0 is not looked at


def test_predefined_pools_run_out(node: Node) -> None:
    for number in range(30):
        node.network(f"n{number}", "bridge")
    text = "all predefined address pools have been fully subnetted"
    node.refuses(400, text, node.network, "one too many", "bridge")


# -- start and connect ------------------------------------------------------------------------------------------------


def start(node: Node, *args: Any, **kwargs: Any) -> Callable[[], Any]:
    made = node.create(*args, **kwargs)
    return lambda: node.engine.container_start(made)


def test_parent_vanished(node: Node) -> None:
    node.network("t", "macvlan", "10.60.0.0/24", parent="eth1.67")
    node.host("ip link del eth1.67")
    text = f"{PREFIX}the requested parent interface eth1.67 was not found on the Docker host"
    node.refuses(500, text, start(node, "c1", "t"))
    state = node.engine.container_inspect("c1")["State"]
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", 128, text)
    assert node.engine.network_inspect("t")["Containers"] == {}
    assert "c1" not in node.lab.network.netns


@pytest.mark.parametrize(("one", "two"), [("macvlan", "ipvlan"), ("ipvlan", "macvlan")])
def test_two_families_on_one_parent(node: Node, one: str, two: str) -> None:
    node.network("a", one, "10.60.0.0/24", parent="eth1.60")
    node.network("b", two, "10.61.0.0/24", parent="eth1.60")
    node.run("c1", "a")
    node.refuses(500, f"{PREFIX}failed to create the {two} port: device or resource busy", start(node, "c2", "b"))
    node.engine.container_remove("c1", force=True)
    node.engine.container_start("c2")


def test_second_container_on_passthru(node: Node) -> None:
    node.network("a", "macvlan", "10.60.0.0/24", parent="eth1.60", macvlan_mode="passthru")
    node.run("c1", "a")
    node.refuses(500, f"{PREFIX}failed to create the macvlan port: invalid argument", start(node, "c2", "a"))


def test_ipvlan_has_no_mac_of_its_own(node: Node) -> None:
    node.network("a", "ipvlan", "10.60.0.0/24", parent="eth1.60")
    text = f"{PREFIX}ipvlan interfaces do not support custom mac address assignment"
    node.refuses(500, text, start(node, "c1", "a", MacAddress="02:00:00:00:00:01"))
    node.run("c2", "a")
    assert node.endpoint("c2", "a")["IPAddress"] == "10.60.0.2"  # the refused one left no address taken


@pytest.mark.parametrize("address", ["10.60.0.0", "10.60.0.1", "10.60.0.2", "10.60.0.7", "10.60.0.255"])
def test_addresses_somebody_has(node: Node, address: str) -> None:
    """Network, gateway, a container's, an auxiliary and broadcast address."""
    block = {"Subnet": "10.60.0.0/24", "AuxiliaryAddresses": {"router": "10.60.0.7"}}
    node.network("a", "macvlan", block, parent="eth1.60")
    node.run("c1", "a")
    node.refuses(403, f"{PREFIX}Address already in use", start(node, "c2", "a", ip=address))
    node.run("c3", "a", ip="10.60.0.8")


def test_exhausted(node: Node) -> None:
    ident = node.network("t", "macvlan", {"Subnet": "10.60.0.0/24", "IPRange": "10.60.0.8/30"}, parent="eth1.60")
    for number in range(3):
        node.run(f"c{number}", "t")
    text = f"{PREFIX}no available IPv4 addresses on this network's address pools: t ({ident})"
    node.refuses(500, text, start(node, "more", "t"))
    node.run("outside", "t", ip="10.60.0.99")


def test_a_refused_family_gives_the_other_back(node: Node) -> None:
    node.network("t", "macvlan", "10.60.0.0/24", "2001:db8::/64", parent="eth1.60", ipv6=True)
    node.run("c1", "t", ip6="2001:db8::77")
    node.refuses(403, f"{PREFIX}Address already in use", start(node, "c2", "t", ip6="2001:db8::77"))
    node.run("c3", "t")
    assert node.endpoint("c3", "t")["IPAddress"] == "10.60.0.3"


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan", "bridge"])
def test_an_address_of_no_subnet(node: Node, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cannot happen through the API; the driver checks all the same, and leaves no device behind."""
    node.network("t", driver, "10.60.0.0/24", **({"parent": "eth1.60"} if driver != "bridge" else {}))
    monkeypatch.setattr("simvlan.docker.drivers.driver.block_of", lambda *_: None)
    before = node.links()
    with pytest.raises(DockerError, match=f"^{PREFIX}could not find a valid ipv4 subnet for endpoint [0-9a-f]{{64}}$"):
        start(node, "c1", "t")()
    assert node.links() == before


def test_network_that_is_not_there(node: Node) -> None:
    node.refuses(404, f"{PREFIX}network nosuch not found", start(node, "c1", "nosuch"))
    ident = node.network("t", "macvlan", "10.60.0.0/24")
    node.run("c2", "t", "true")
    node.lab.run(until_ns=node.lab.now + 1)
    node.engine.network_remove("t")
    node.refuses(404, f"{PREFIX}network {ident} not found", lambda: node.engine.container_start("c2"))


def test_two_networks_of_one_subnet_in_one_container(node: Node) -> None:
    node.network("a", "macvlan", {"Subnet": "10.60.0.0/16", "IPRange": "10.60.1.0/24"}, parent="eth1.60")
    node.network("b", "macvlan", {"Subnet": "10.60.0.0/16", "IPRange": "10.60.2.0/24"}, parent="eth1.61")
    node.run("c1", "a")
    with pytest.raises(DockerError) as caught:
        node.engine.network_connect("b", {"Container": "c1"})
    assert caught.value.status == 500
    text = caught.value.message
    assert text.startswith("failed to add interface veth")
    assert '" IP to 10.60.2.1/16: cannot program address 10.60.2.1/16 in sandbox interface' in text
    assert "because it conflicts with existing route {Ifindex: " in text
    assert "Dst: 10.60.0.0/16 Src: 10.60.1.1 Gw: <nil> Flags: [] Table: 254 Realm: 0}" in text
    assert node.engine.network_inspect("b")["Containers"] == {}
    assert not [name for name in node.links() if name.startswith("veth")]


@pytest.mark.parametrize(
    ("mac", "errno"),
    [("02:00:00:00:00:01", "address already in use"), ("01:00:00:00:00:01", "cannot assign requested address"),
     ("00:00:00:00:00:00", "cannot assign requested address")],
)  # fmt: skip
def test_macs_the_kernel_refuses(node: Node, mac: str, errno: str) -> None:
    node.network("a", "macvlan", "10.60.0.0/24", parent="eth1.60")
    node.run("c1", "a", MacAddress="02:00:00:00:00:01")
    with pytest.raises(DockerError) as caught:
        start(node, "c2", "a", MacAddress=mac)()
    text = caught.value.message
    assert text.startswith(f"{PREFIX}failed to add interface veth")
    assert text.endswith(f'" MAC to "{mac}": {errno}')
    assert caught.value.status == 500


@pytest.mark.parametrize("mac", ["02-42-00-00-00-05", "0242.0000.0005", "02:42:00:00:00:05"])
def test_ways_to_write_a_mac(node: Node, mac: str) -> None:
    node.network("a", "macvlan", "10.60.0.0/24", parent="eth1.60")
    node.run("c1", "a", MacAddress=mac)
    assert node.endpoint("c1", "a")["MacAddress"] == "02:42:00:00:00:05"
    node.refuses(400, "invalid MAC address bad", node.create, "c2", "a", MacAddress="bad")


def test_missing_command(node: Node) -> None:
    head = (
        "failed to create task for container: failed to create shim task: OCI runtime create failed: "
        "runc create failed: unable to start container process: error during container init: "
    )
    text = f'{head}exec: "nosuchcmd": executable file not found in $PATH'
    node.refuses(400, text, start(node, "c1", "bridge", "nosuchcmd"))
    assert node.engine.container_inspect("c1")["State"]["ExitCode"] == 127
    node.refuses(400, f'{head}exec: "/etc": is a directory: permission denied', start(node, "c2", "bridge", "/etc"))
    assert node.engine.container_inspect("c2")["State"]["ExitCode"] == 126
    assert node.engine.network_inspect("bridge")["Containers"] == {}


def test_a_failed_start_with_rm_removes_and_answers_the_wait(node: Node) -> None:
    made = node.create("c1", "nosuch", host={"AutoRemove": True})
    waiting = node.engine.container_wait(made, "removed")
    with pytest.raises(DockerError):
        node.engine.container_start(made)
    assert waiting.value == {"StatusCode": 128}
    node.refuses(404, "No such container: c1", node.engine.container_inspect, "c1")


def test_the_network_of_another_container(node: Node) -> None:
    node.run("c1")
    node.run("guest", "container:c1")
    text = "joining network namespace of container: No such container: nosuch"
    node.refuses(500, PREFIX + text, start(node, "c2", "container:nosuch"))
    node.refuses(500, f"{PREFIX}cannot join own network namespace", start(node, "c3", "container:c3"))
    node.create("idle")
    text = "cannot join network namespace of a non running container: container idle is created"
    node.refuses(409, PREFIX + text, start(node, "c4", "container:idle"))
    text = "conflicting options: hostname and the network mode"
    node.refuses(400, text, node.create, "c5", "container:c1", Hostname="x")


# -- container create -------------------------------------------------------------------------------------------------

INVALID = "invalid config for network {}: invalid endpoint settings:\n"


@pytest.mark.parametrize(
    ("network", "wish", "text"),
    [
        ("t", {"ip": "10.99.0.9"}, "no configured subnet or ip-range contain the IP address 10.99.0.9"),
        ("auto", {"ip": "172.18.0.9"}, "user specified IP address is supported only when connecting to networks with "
         "user configured subnets"),
        ("bridge", {"ip": "172.17.0.9"}, "user specified IP address is supported on user defined networks only"),
        ("t", {"ip": "bad"}, "invalid IPv4 address: bad"),
        ("t", {"ip6": "bad"}, "invalid IPv6 address: bad"),
        ("t", {"ip": "10.99.0.9", "ip6": "bad"}, "* no configured subnet or ip-range contain the IP address 10.99.0.9\n"
         "* invalid IPv6 address: bad"),
    ],
)  # fmt: skip
def test_endpoint_settings(node: Node, network: str, wish: dict[str, str], text: str) -> None:
    node.network("t", "macvlan", {"Subnet": "10.61.0.0/16", "IPRange": "10.61.1.0/24"})
    node.network("auto", "macvlan")
    node.refuses(400, INVALID.format(network) + text, node.create, "c1", network, **wish)
    node.create("c2", "t", ip="10.61.200.1")  # outside the range, inside the subnet


def test_link_local_addresses(node: Node) -> None:
    node.network("t", "macvlan", "10.61.0.0/16")
    body = {"Image": "alpine", "HostConfig": {"NetworkMode": "t"},
            "NetworkingConfig": {"EndpointsConfig": {"t": {"IPAMConfig": {"LinkLocalIPs": ["x"]}}}}}  # fmt: skip
    node.refuses(400, INVALID.format("t") + "invalid link-local IP address: x", node.engine.container_create, body)


def test_names_and_images_of_containers(node: Node) -> None:
    made = node.create("c1")
    text = (
        f'Conflict. The container name "/c1" is already in use by container "{made}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    node.refuses(409, text, node.create, "c1")
    for bad in ("bad name", "x", "-x", "é"):
        text = f"Invalid container name ({bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        node.refuses(400, text, node.create, bad)
    node.refuses(404, "No such image: nosuch:latest", node.engine.container_create, {"Image": "nosuch"})
    text = "config cannot be empty in order to create a container"
    node.refuses(400, text, node.engine.container_create, {})
    node.refuses(400, "invalid MAC address zz", node.engine.container_create, {"Image": "alpine", "MacAddress": "zz"})


def test_restart_policies_that_make_no_sense(node: Node) -> None:
    text = (
        "invalid restart policy: unknown policy 'sometimes'; "
        "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )
    node.refuses(400, text, node.create, "c1", host={"RestartPolicy": {"Name": "sometimes"}})
    text = "invalid restart policy: maximum retry count can only be used with 'on-failure'"
    node.refuses(400, text, node.create, "c1", host={"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}})
    text = "can't create 'AutoRemove' container with restart policy"
    node.refuses(400, text, node.create, "c1", host={"RestartPolicy": {"Name": "always"}, "AutoRemove": True})


# -- connect, disconnect, remove --------------------------------------------------------------------------------------


def test_active_endpoints(node: Node) -> None:
    node.network("macvlan100", "macvlan", "10.60.0.0/24", parent="eth1.100")
    node.run("c1", "macvlan100")
    first = node.endpoint("c1", "macvlan100")["EndpointID"][:12]
    text = f'error while removing network: network macvlan100 has active endpoints (name:"c1" id:"{first}"'
    node.refuses(403, text + ")", node.engine.network_remove, "macvlan100")
    node.run("c2", "macvlan100")
    second = node.endpoint("c2", "macvlan100")["EndpointID"][:12]
    node.refuses(403, text + f', name:"c2" id:"{second}")', node.engine.network_remove, "macvlan100")


def test_things_that_are_not_there(node: Node) -> None:
    engine = node.engine
    node.refuses(404, "network x not found", engine.network_remove, "x")
    node.refuses(404, "network x not found", engine.network_inspect, "x")
    for action in (engine.container_start, engine.container_stop, engine.container_inspect, engine.container_remove,
                   engine.container_wait, engine.container_top, engine.container_attach):  # fmt: skip
        node.refuses(404, "No such container: x", action, "x")
    node.refuses(404, "No such exec instance: x", engine.exec_start, "x", {})
    node.refuses(404, "No such container: x", engine.exec_create, "x", {"Cmd": ["x"]})
    node.refuses(404, "No such container: x", engine.network_connect, "bridge", {"Container": "x"})
    node.refuses(400, 'invalid name or ID supplied: ""', engine.network_connect, "bridge", {})
    for name in ("bridge", "host", "none"):
        text = f"{name} is a pre-defined network and cannot be removed"
        node.refuses(403, text, engine.network_remove, name)


def test_ambiguous_prefixes(node: Node) -> None:
    ids = sorted(node.network(f"n{number}", "macvlan", f"10.{number}.0.0/24") for number in range(40))
    prefix = next(a[0] for a, b in pairwise(ids) if a[0] == b[0])
    count = sum(each["Id"].startswith(prefix) for each in node.engine.network_list())
    text = f"network {prefix} is ambiguous ({count} matches found based on ID prefix)"
    node.refuses(400, text, node.engine.network_inspect, prefix)
    assert node.engine.network_inspect(ids[0][:20])["Id"] == ids[0]


def test_connect_and_disconnect(node: Node) -> None:
    connect, disconnect = node.engine.network_connect, node.engine.network_disconnect
    node.network("m1", "macvlan", "10.60.0.0/24", parent="eth1.60")
    ident = node.run("ca")
    node.refuses(500, f"container {ident} is not connected to network m1", disconnect, "m1", {"Container": "ca"})
    connect("m1", {"Container": "ca"})
    node.refuses(403, "endpoint with name ca already exists in network m1", connect, "m1", {"Container": "ca"})
    text = "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.99.0.1"
    wish = {"Container": "ca", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.99.0.1"}}}
    node.refuses(400, text, connect, "m1", wish)
    node.refuses(404, "network nosuch not found", connect, "nosuch", {"Container": "ca"})
    stopped = node.create("cb")
    text = f"container {stopped} is not connected to the network m1"
    node.refuses(500, text, disconnect, "m1", {"Container": "cb"})
    # A wish that cannot be met on a running container is no wish afterwards (the engine recorded kept it: a bug).
    wish = {"Container": "cc", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.60.0.2"}}}
    node.run("cc")
    node.refuses(403, "Address already in use", connect, "m1", wish)
    assert "m1" not in node.engine.container_inspect("cc")["NetworkSettings"]["Networks"]


def test_network_modes_that_allow_no_more(node: Node) -> None:
    connect = node.engine.network_connect
    node.network("m1", "macvlan", "10.60.0.0/24")
    node.run("plain")
    text = "cannot connect container to host network - container must be created in host network mode"
    node.refuses(400, text, connect, "host", {"Container": "plain"})
    node.run("alone", "none")
    text = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    node.refuses(400, text, connect, "m1", {"Container": "alone"})
    node.refuses(400, text, connect, "none", {"Container": "plain"})
    node.run("hosted", "host")
    node.run("guest", "container:plain")
    text = "container sharing network namespace with another container or host cannot be connected to any other network"
    for name in ("hosted", "guest"):
        node.refuses(400, text, connect, "m1", {"Container": name})
    text = "cannot disconnect container from host network - container was created in host network mode"
    node.refuses(400, text, node.engine.network_disconnect, "host", {"Container": "hosted"})
    assert node.ip("plain", "addr") == node.ip(node.engine.networking.netns(node.engine.containers.find("guest")).name,
                                               "addr")  # fmt: skip


def test_states_that_forbid(node: Node) -> None:
    engine = node.engine
    ident = node.run("c1")
    text = 'cannot remove container "c1": container is running: stop the container before removing or force remove'
    node.refuses(409, text, engine.container_remove, "c1")
    node.refuses(500, f"Container {ident} is not paused", engine.container_unpause, "c1")
    engine.container_pause("c1")
    text = "Container c1 is paused, unpause the container before exec"
    node.refuses(409, text, engine.exec_create, "c1", {"Cmd": ["true"]})
    node.refuses(409, "container c1 is paused, unpause the container before attach", engine.container_attach, "c1")
    engine.container_unpause("c1")
    node.refuses(400, "cannot kill container: c1: invalid signal: NOSUCH", engine.container_kill, "c1", "NOSUCH")
    engine.container_kill("c1")
    text = f"cannot kill container: c1: container {ident} is not running"
    node.refuses(409, text, engine.container_kill, "c1")
    text = f"container {ident} is not running"
    for action, args in ((engine.exec_create, ({"Cmd": ["true"]},)), (engine.container_top, ()),
                         (engine.container_pause, ())):  # fmt: skip
        node.refuses(409, text, action, "c1", *args)
    node.refuses(400, "Renaming a container with the same name as its current name", engine.container_rename, "c1",
                 "c1")  # fmt: skip
    other = node.create("other")
    text = (
        f'Error when allocating new name: Conflict. The container name "/other" is already in use by container '
        f'"{other}". You have to remove (or rename) that container to be able to reuse that name.'
    )
    node.refuses(409, text, engine.container_rename, "c1", "other")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda e: e.network_list({"nosuch": ["1"]}), "invalid filter 'nosuch'"),
        (lambda e: e.container_list(filters={"nosuch": ["1"]}), "invalid filter 'nosuch'"),
        (lambda e: e.network_prune({"driver": ["x"]}), "invalid filter 'driver'"),
        (lambda e: e.network_list({"type": ["x"]}), "invalid filter: 'type'='x'"),
        (lambda e: e.container_wait("c1", "soon"), 'invalid condition: "soon"'),
    ],
)  # fmt: skip
def test_filters_and_conditions(node: Node, call: Callable[[Any], Any], text: str) -> None:
    node.create("c1")
    node.refuses(400, text, call, node.engine)


# -- the older dialects -----------------------------------------------------------------------------------------------


def test_1_12_shares_an_identical_pool_and_has_no_prefixes() -> None:
    """The tutorial as written in 2016."""
    node = Node(dialect="1.12")
    block = {"Subnet": "192.168.0.0/16", "IPRange": "192.168.11.0/24"}
    node.network("macvlan100", "macvlan", block, parent="eth1.100")
    node.network("macvlan200", "macvlan", block, parent="eth1.200")
    node.run("c1-100", "macvlan100")
    node.run("c1-200", "macvlan200")
    shown = {name: node.endpoint(name, f"macvlan{name[-3:]}")["IPAddress"] for name in ("c1-100", "c1-200")}
    assert shown == {"c1-100": "192.168.11.2", "c1-200": "192.168.11.3"}  # two gateways came first
    text = "Pool overlaps with other one on this address space"
    node.refuses(403, text, node.network, "t", "macvlan", "192.168.0.0/17")
    first = node.engine.network_inspect("macvlan100")["Id"]
    text = f"network dm-{first[:12]} is already using parent interface eth1.100"
    node.refuses(500, text, node.network, "t", "macvlan", "10.9.0.0/24", parent="eth1.100")
    node.refuses(403, "network macvlan100 has active endpoints", node.engine.network_remove, "macvlan100")
    node.refuses(403, "host is a pre-defined network and cannot be created", node.network, "host")
    text = "-o parent interface does was not found on the host: ethX"
    node.refuses(500, text, node.network, "t", "macvlan", "10.9.0.0/24", parent="ethX.10")
    node.refuses(404, "network nosuch not found", start(node, "c9", "nosuch"))
    node.engine.container_remove("c1-100", force=True)
    node.engine.network_remove("macvlan100")
    node.run("c2-200", "macvlan200")
    assert node.endpoint("c2-200", "macvlan200")["IPAddress"] == "192.168.11.0"  # the first network's gateway is free


def test_1_12_checks_addresses_late() -> None:
    """No validation of the shape: the address manager refuses, clamps or takes host bits away."""
    node = Node(dialect="1.12")
    node.refuses(400, "Invalid Address Pool", node.network, "t", "macvlan", "bad")
    block = {"Subnet": "10.1.0.0/16", "IPRange": "10.2.0.0/24"}
    node.refuses(400, "Invalid Address SubPool", node.network, "t", "macvlan", block)
    aux = {"Subnet": "10.1.0.0/16", "AuxiliaryAddresses": {"r": "10.2.0.1"}}
    text = "auxilairy address: (r:10.2.0.1) must belong to the master pool: 10.1.0.0/16"
    node.refuses(403, text, node.network, "t", "macvlan", aux)
    block = {"Subnet": "10.1.0.0/16", "Gateway": "bad"}
    node.refuses(400, "invalid gateway address bad in Ipam configuration", node.network, "t", "macvlan", block)
    text = "failed to allocate gateway (): No available addresses on this pool"
    node.refuses(500, text, node.network, "t", "macvlan", "10.1.0.0/31")
    block = {"Subnet": "10.1.0.0/16", "Gateway": "10.2.0.1"}
    text = "failed to allocate gateway (10.2.0.1): Requested address is out of range"
    node.refuses(500, text, node.network, "t", "macvlan", block)
    node.network("t", "macvlan", {"Subnet": "10.1.0.5/16", "IPRange": "10.0.0.0/8"})
    made = node.create("c1", "t", ip="10.9.0.9")
    text = "Invalid address 10.9.0.9: It does not belong to any of this network's subnets"
    node.refuses(400, text, node.engine.container_start, made)
    node.run("c2", "t")
    assert node.endpoint("c2", "t")["IPAddress"] == "10.1.0.2"


def test_an_address_wished_for_before_the_network_was_there(node: Node) -> None:
    made = node.create("c1", "t", ip="10.9.0.9")
    node.network("t", "macvlan", "10.1.0.0/16")
    text = f"{PREFIX}invalid address 10.9.0.9: It does not belong to any of this network's subnets"
    node.refuses(400, text, node.engine.container_start, made)


def test_bodies_of_other_types(node: Node) -> None:
    head = "invalid JSON: json: cannot unmarshal"
    for body, text in (
        ({"Name": 5}, "number into Go struct field CreateRequest.Name of type string"),
        ({"Labels": ["a"]}, "array into Go struct field CreateRequest.Labels of type map[string]string"),
        ({"IPAM": {"Config": "x"}}, "string into Go struct field CreateRequest.IPAM.Config of type []struct"),
        ({"Internal": "yes"}, "string into Go struct field CreateRequest.Internal of type bool"),
    ):
        node.refuses(400, f"{head} {text}", node.engine.network_create, {"Name": "x"} | body)
    body = {"Image": "alpine", "StopTimeout": 1.5}
    text = "number 1.5 into Go struct field CreateRequest.StopTimeout of type int64"
    node.refuses(400, f"{head} {text}", node.engine.container_create, body)
    node.engine.network_create({"name": "lower", "DRIVER": "macvlan", "Unknown": 5, "Labels": None})
    assert node.engine.network_inspect("lower")["Driver"] == "macvlan"  # names match whatever their case
    node.engine.container_create({"Image": "alpine", "Cmd": "one"}, "words")
    assert node.engine.container_inspect("words")["Config"]["Cmd"] == ["one"]


def test_sysctls(node: Node) -> None:
    node.run("c1", host={"Sysctls": {"net.ipv4.ip_forward": "1"}})
    assert node.lab.command("sysctl", "-n", "net.ipv4.ip_forward", netns="c1").stdout == "1\n"
    with pytest.raises(DockerError, match=r"open /proc/sys/net/ipv4/nosuch: no such file or directory$"):
        node.run("c2", host={"Sysctls": {"net.ipv4.nosuch": "1"}})
    assert "c2" not in node.lab.network.netns
    options = {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.arp_ignore=2"}
    node.run("c3", DriverOpts=options)
    assert node.lab.command("sysctl", "-n", "net.ipv4.conf.eth0.arp_ignore", netns="c3").stdout == "2\n"
    bad = {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.nosuch=2"}
    with pytest.raises(DockerError, match=r"failed to add interface veth\w+ to sandbox: failed to set sysctl net.ipv4"):
        node.run("c4", DriverOpts=bad)
    assert len(node.engine.network_inspect("bridge")["Containers"]) == 2


def test_links_are_names(node: Node) -> None:
    node.network("m", "macvlan", "10.60.0.0/24")
    node.run("db", "m")
    made = node.engine.container_create(
        {
            "Image": "alpine",
            "Cmd": ["sleep", "9"],
            "HostConfig": {"NetworkMode": "m"},
            "NetworkingConfig": {"EndpointsConfig": {"m": {"Links": ["db:store"]}}},
        },
        "web",
    )
    node.engine.container_start(made["Id"])
    resolver = node.runtime.started[-1].spec.resolver
    assert resolver is not None
    assert resolver.lookup("store") == ["10.60.0.1"]  # no parent: no gateway was taken


@pytest.mark.parametrize("ports", [{"ExposedPorts": {"http": {}}}, {"ExposedPorts": {"70000/tcp": {}}},
                                   {"host": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}}])  # fmt: skip
def test_what_is_no_port(node: Node, ports: dict[str, Any]) -> None:
    with pytest.raises(DockerError, match=r"^invalid port specification: ") as caught:
        node.create("c1", **ports)
    assert caught.value.status == 400


def test_27_reserves_hidden_gateways() -> None:
    node = Node(dialect="27")
    node.network("a", "macvlan", "10.60.0.0/24", internal=True)
    node.run("c1", "a")
    assert node.endpoint("c1", "a")["IPAddress"] == "10.60.0.2"
    assert node.ip("c1", "route", "show", "default") == ""
    node.refuses(404, "network nosuch not found", start(node, "c9", "nosuch"))
    ident = node.engine.network_inspect("a")["Id"]
    text = f"error while removing network: network a id {ident} has active endpoints"
    node.refuses(403, text, node.engine.network_remove, "a")
    empty = {"Name": "x", "Driver": "macvlan", "IPAM": {"Driver": "null"}}
    node.refuses(500, "ipv4 pool is empty", node.engine.network_create, empty)


# -- published ports ---------------------------------------------------------------------------------------------------


def published(port: str, inner: str = "80/tcp", **more: str) -> dict[str, Any]:
    return {"PortBindings": {inner: [{"HostIp": "", "HostPort": port} | more]}}


def test_published_ports_of_a_bridge(node: Node) -> None:
    """A list and its clashes; nothing is forwarded."""
    node.run("c1", host=published("8080"), ExposedPorts={"80/tcp": {}, "53/udp": {}})
    both = [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]
    assert node.engine.container_inspect("c1")["NetworkSettings"]["Ports"] == {"53/udp": None, "80/tcp": both}
    assert node.engine.container_list()[0]["Ports"] == [
        {"PrivatePort": 53, "Type": "udp"},
        {"IP": "0.0.0.0", "PublicPort": 8080, "PrivatePort": 80, "Type": "tcp"},
        {"IP": "::", "PublicPort": 8080, "PrivatePort": 80, "Type": "tcp"},
    ]
    made = node.create("c2", host=published("8080"))
    with pytest.raises(DockerError) as caught:
        node.engine.container_start(made)
    text = caught.value.message
    assert text.startswith(f"{PREFIX}driver failed programming external connectivity on endpoint c2 (")
    assert text.endswith("): Bind for 0.0.0.0:8080 failed: port is already allocated")
    assert caught.value.status == 500
    assert len(node.engine.network_inspect("bridge")["Containers"]) == 1
    assert [name for name in node.links() if name.startswith("veth")] == [node.links()[-1]]
    node.engine.container_kill("c1")
    node.engine.container_start(made)
    assert node.engine.container_inspect("c1")["NetworkSettings"]["Ports"] == {}


def test_ports_nobody_chose_and_ranges(node: Node) -> None:
    for name, text in (("c1", ""), ("c2", ""), ("c3", "9000-9001"), ("c4", "9000-9001")):
        node.run(name, host=published(text))
    got = [
        node.engine.container_inspect(f"c{n}")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
        for n in (1, 2, 3, 4)
    ]
    assert got == ["32768", "32769", "9000", "9001"]
    with pytest.raises(DockerError, match="all ports are allocated"):
        node.run("c5", host=published("9000-9001"))
    node.run("c6", host=published("9000", "80/udp"))  # another protocol
    node.run("c7", host=published("7000", HostIp="10.0.2.15"))
    node.run("c8", host=published("7000", HostIp="127.0.0.1"))
    node.run("c9", host={"PublishAllPorts": True}, ExposedPorts={"443/tcp": {}})
    assert node.engine.container_inspect("c9")["NetworkSettings"]["Ports"]["443/tcp"][0]["HostPort"] == "32770"


def test_macvlan_publishes_nothing_until_the_container_joins_a_bridge(node: Node) -> None:
    """As recorded: two such containers with one host port do not clash, until both join a bridge."""
    node.network("m", "macvlan", "10.60.0.0/24", parent="eth1.60")
    for name in ("cv", "cw"):
        node.run(name, "m", host=published("8080"))
        assert node.engine.container_inspect(name)["NetworkSettings"]["Ports"] == {}
    node.engine.network_connect("bridge", {"Container": "cv"})
    assert node.engine.container_inspect("cv")["NetworkSettings"]["Ports"]["80/tcp"]
    with pytest.raises(DockerError, match=r"endpoint cw \([0-9a-f]{64}\): Bind for 0.0.0.0:8080 failed"):
        node.engine.network_connect("bridge", {"Container": "cw"})
    node.engine.network_disconnect("bridge", {"Container": "cv"})
    assert node.engine.container_inspect("cv")["NetworkSettings"]["Ports"] == {}
    node.engine.network_connect("bridge", {"Container": "cw"})


# -- refusals that this kernel does not make ---------------------------------------------------------------------------


def refusing(monkeypatch: pytest.MonkeyPatch, where: str, number: int, when: Callable[..., bool]) -> None:
    """Let an rtnl operation be refused, as an older or smaller kernel would."""
    module, _, name = where.rpartition(".")
    real = getattr(import_module(module), name)

    def operation(*args: Any, **kwargs: Any) -> Any:
        if when(*args, **kwargs):
            raise RtnlError(number)
        return real(*args, **kwargs)

    monkeypatch.setattr(where, operation)


def test_a_duplicate_mac_on_an_older_kernel(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was found out when the link came up (libnetwork#2273), not when the MAC was set."""
    node.network("t", "macvlan", "10.60.0.0/24", parent="eth1.60")
    refusing(monkeypatch, "simvlan.docker.sandbox.link_set", EBUSY,
             lambda net, dev, **changes: changes.get("up") and dev.name == "eth0")  # fmt: skip
    with pytest.raises(DockerError) as caught:
        node.run("c1", "t")
    text = r"failed to add interface veth[0-9a-f]{7} to sandbox: failed to set link up: device or resource busy"
    assert re.fullmatch(PREFIX + text, caught.value.message)
    assert node.engine.network_inspect("t")["Containers"] == {}


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_kernel_without_the_driver(node: Node, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    node.network("t", driver, "10.60.0.0/24", parent="eth1.60")
    refusing(monkeypatch, "simvlan.docker.drivers.macvlan.link_add", EOPNOTSUPP,
             lambda net, ns, spec: spec.kind == driver)  # fmt: skip
    text = f"{PREFIX}failed to create the {driver} port: operation not supported"
    node.refuses(500, text, start(node, "c1", "t"))
