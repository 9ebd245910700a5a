"""Docker's bridge networks: who reaches whom, published ports, and the rules that a real engine made (28.5.2)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from simvlan.stack.ipaddr import parse_ip
from tests.dockersim.world import Node

RECORDED = Path(__file__).parent / "golden/netfilter/docker-28.5.2.txt"
BRIDGE = "com.docker.network.bridge."


@pytest.fixture
def node() -> Node:
    made = Node()
    made.host("ip addr add 192.168.99.1/24 dev eth1")
    return made


def neighbour(node: Node) -> Node:
    """Another machine on eth1."""
    other = Node(lab=node.lab, name="node-2")
    other.host("ip addr add 192.168.99.2/24 dev eth1")
    return other


def published(port: str, inner: str = "80/tcp", address: str = "") -> dict[str, Any]:
    return {"PortBindings": {inner: [{"HostIp": address, "HostPort": port}]}}


def listen(node: Node, name: str, port: int = 80) -> Any:
    sock = node.lab.network.netns[name].stack.open_tcp()
    sock.bind(0, port)
    sock.listen()
    return sock


def answers(node: Node, netns: str, address: str, port: int) -> bytes | None:
    """Connect, say hello, and return what was echoed; None where nobody answers."""
    sock = node.lab.network.netns[netns].stack.open_tcp()
    sock.connect(parse_ip(address), port)
    node.lab.run(until=node.lab.now / 1e9 + 0.5)
    if not sock.connected:
        sock.abort()
        return None
    sock.send(b"hello")
    node.lab.run(until=node.lab.now / 1e9 + 0.5)
    heard: bytes = sock.recv()
    sock.abort()
    return heard


def echo(listener: Any) -> None:
    """Send back whatever comes to a listening socket."""

    def accepted(_: Any) -> None:
        while (caller := listener.accept()) is not None:
            caller.on_receive = back
            back(caller)

    def back(caller: Any) -> None:
        if caller.readable and not caller.error and (data := caller.recv()):
            caller.send(data)

    listener.on_receive = accepted


def saved(text: str) -> dict[str, list[str]]:
    """Tables of an iptables-save: bridges by the order they are named in, no counters, no dates."""
    names: dict[str, str] = {}
    for name in re.findall(r"-A DOCKER-BRIDGE -o (br-\w+)", text):
        names.setdefault(name, f"bridge{len(names)}")
    for name, short in names.items():
        text = text.replace(name, short)
    tables: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            lines = tables.setdefault(line[1:], [])
        elif line.startswith((":", "-A")):
            lines.append(re.sub(r" \[.*\]", "", line))
    return tables


def test_the_rules_are_those_of_a_real_engine(node: Node) -> None:
    """Two networks and docker0, in the order in which the recorded engine made them."""
    node.network("x", "bridge", "172.18.0.0/16")
    node.network("y", "bridge", "172.19.0.0/16")
    assert saved(node.lab.command("iptables-save", netns=node.engine.core.node).stdout) == saved(RECORDED.read_text())


def test_rules_go_with_what_they_are_for(node: Node) -> None:
    before = node.lab.command("iptables-save", netns=node.engine.core.node).stdout
    node.network("x", "bridge", "10.81.0.0/24")
    node.run("c1", "x", host=published("8080"))
    assert "--to-destination 10.81.0.2:80" in node.lab.command("iptables-save", netns=node.engine.core.node).stdout
    node.engine.container_remove("c1", force=True)
    node.engine.network_remove("x")
    after = node.lab.command("iptables-save", "-t", "filter", netns=node.engine.core.node).stdout
    assert saved(after)["filter"] == saved(before)["filter"]


def test_bridge_networks_are_apart_and_are_let_out(node: Node) -> None:
    node.network("b1", "bridge", "10.81.0.0/24")
    node.network("b2", "bridge", "10.82.0.0/24")
    node.network("r1", "bridge", "10.83.0.0/24", **{f"{BRIDGE}gateway_mode_ipv4": "routed"})
    node.network("bare", "bridge", "10.84.0.0/24", **{f"{BRIDGE}enable_ip_masquerade": "false"})
    for name, network in (("c1", "b1"), ("c2", "b1"), ("c3", "b2"), ("c4", "r1"), ("c5", "bare")):
        node.run(name, network)
    other = neighbour(node)
    assert node.ping("c1", "10.81.0.3")
    assert node.ping("c1", "10.81.0.1")  # the node
    assert node.ping("c1", "10.0.2.15")  # by any of its addresses
    assert not node.ping("c1", "10.82.0.2")
    assert not node.ping("c3", "10.81.0.2")
    assert node.ping("c1", "192.168.99.2")  # masqueraded: no route back is needed
    assert not node.ping("c5", "192.168.99.2")  # with its own address, to which there is no way back
    assert not node.ping("c4", "192.168.99.2")
    for subnet in ("10.81", "10.83", "10.84"):
        other.host(f"ip route add {subnet}.0.0/24 via 192.168.99.1")
    assert node.ping("c4", "192.168.99.2")
    assert not node.ping("c5", "192.168.99.2")  # nobody may address it directly, answers included (since 28.2)
    assert node.lab.ping(other.engine.core.node, "10.83.0.2", count=1).received  # routed: pings are let in
    assert not node.lab.ping(other.engine.core.node, "10.81.0.2", count=1).received  # NAT: not directly
    assert node.engine.info()["IPv4Forwarding"]


def test_internal_and_icc(node: Node) -> None:
    node.network("i", "bridge", "10.85.0.0/24", internal=True)
    node.network("n", "bridge", "10.86.0.0/24", **{f"{BRIDGE}enable_icc": "false"})
    for name, network in (("i1", "i"), ("i2", "i"), ("n1", "n"), ("n2", "n")):
        node.run(name, network)
    neighbour(node)
    assert node.ping("i1", "10.85.0.3")
    assert not node.ping("i1", "192.168.99.2")
    assert not node.ping("n1", "10.86.0.3")
    assert node.ping("n1", "192.168.99.2")


def test_a_published_port_is_reached_from_everywhere(node: Node) -> None:
    """From another machine by NAT; from the node's loopback, a sibling and another network by the proxy."""
    node.network("b1", "bridge", "10.81.0.0/24")
    node.network("b2", "bridge", "10.82.0.0/24")
    node.run("web", "b1", host=published("8080"))
    node.run("sibling", "b1")
    node.run("stranger", "b2")
    host, other = node.engine.core.node, neighbour(node).engine.core.node
    echo(listen(node, "web"))
    for netns, address in ((other, "192.168.99.1"), (host, "192.168.99.1"), (host, "127.0.0.1"),
                           ("sibling", "10.81.0.1"), ("stranger", "192.168.99.1")):  # fmt: skip
        assert answers(node, netns, address, 8080) == b"hello", (netns, address)
    assert answers(node, other, "192.168.99.1", 80) is None
    assert answers(node, "stranger", "10.81.0.2", 80) is None
    node.engine.container_remove("web", force=True)
    assert answers(node, other, "192.168.99.1", 8080) is None


def test_a_port_published_on_loopback_is_the_nodes_own(node: Node) -> None:
    node.run("web", host=published("8080", address="127.0.0.1"))
    echo(listen(node, "web"))
    other = neighbour(node).engine.core.node
    assert answers(node, node.engine.core.node, "127.0.0.1", 8080) == b"hello"
    assert answers(node, other, "192.168.99.1", 8080) is None


def test_datagrams_to_a_published_port(node: Node) -> None:
    node.run("dns", host=published("5300", "53/udp"))
    inner = node.lab.network.netns["dns"].stack.open_udp()
    inner.bind(0, 53)
    other = neighbour(node).engine.core.node
    for netns, address in ((other, "192.168.99.1"), (node.engine.core.node, "127.0.0.1")):
        sock = node.lab.network.netns[netns].stack.open_udp()
        sock.send(b"ask", parse_ip(address), 5300)
        asked = inner.queue.popleft()
        inner.send(b"answer", asked.src, asked.sport)
        assert [each.data for each in sock.queue] == [b"answer"]
        assert sock.queue[0].src == parse_ip(address)
