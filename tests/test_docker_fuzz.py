"""Random requests at an engine: it answers or refuses, and never raises anything else, leaks or gives twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simvlan.docker import bodies
from simvlan.docker.bodies import MapOf
from simvlan.docker.errors import DockerError
from tests.dockersim.world import Node
from tests.test_docker_store import check_books

TEXTS = [
    "", "n1", "n2", "c1", "c2", "bridge", "host", "none", "default", "macvlan", "ipvlan", "null", "overlay", "alpine",
    "container:c1", "container:", "10.1.0.0/24", "10.1.0.0/16", "10.2.0.0/30", "10.1.0.128/25", "10.1.0.1", "10.1.0.9",
    "2001:db8::/64", "2001:db8::1", "0.0.0.0/0", "::/0", "eth1", "eth1.100", "eth1.4095", "lo", "l2", "l3", "passthru",
    "true", "false", "02:42:00:00:00:01", "0242.0000.0001", "ff:ff:ff:ff:ff:ff", "sleep", "nosuch", "-1", "80/tcp",
    "8080", "99999999999999999999", "a/b", "é", "\x00", "../../etc", "x" * 300, "always", "on-failure", "SIGKILL", "0",
    "net.ipv4.ip_forward", "net.ipv4.nosuch", "IFNAME", "1767225600", "10m",
]  # fmt: skip
KEYS = [
    "parent", "macvlan_mode", "ipvlan_mode", "ipvlan_flag", "com.docker.network.endpoint.ifname",
    "com.docker.network.endpoint.sysctls", "com.docker.network.advertise_addr_ms",
    "com.docker.network.advertise_addr_nmsgs", "com.docker.network.driver.mtu", "com.docker.network.enable_ipv6",
    "com.docker.network.bridge.name", "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.inhibit_ipv4", "com.docker.network.container_iface_prefix", "80/tcp",
]  # fmt: skip
JUNK = [None, True, False, 0, -1, 3.5, 1 << 70, "x", [], ["a"], {}, {"a": "b"}]


class Maker:
    """Random values of a schema, now and then one of another type."""

    def __init__(self, seed: int, wild: float) -> None:
        self.rng, self.wild = random.Random(seed), wild

    def text(self) -> str:
        if self.rng.random() < self.wild:
            return "".join(
                chr(self.rng.choice([self.rng.randrange(1, 128), 0x20AC])) for _ in range(self.rng.randrange(6))
            )
        return self.rng.choice(TEXTS)

    def of(self, schema: Any) -> Any:
        if self.rng.random() < self.wild:
            return self.rng.choice(JUNK)
        if isinstance(schema, list):
            return [self.of(schema[0]) for _ in range(self.rng.randrange(3))]
        if isinstance(schema, MapOf):
            return {self.rng.choice([*KEYS, self.text()]): self.of(schema.value) for _ in range(self.rng.randrange(3))}
        if isinstance(schema, dict):
            chosen = [name for name in schema if self.rng.random() < 6 / (len(schema) + 6)]
            return {name: self.of(schema[name]) for name in chosen}
        if schema == "pair":
            return [self.rng.randrange(-1, 99) for _ in range(self.rng.randrange(4))]
        if schema == "words":
            return [self.text() for _ in range(self.rng.randrange(3))]
        makers: dict[str, Callable[[], Any]] = {
            "string": self.text,
            "bool": lambda: self.rng.random() < 0.3,
            "int64": lambda: self.rng.randrange(-1, 9),
            "any": lambda: self.rng.choice(JUNK),
        }
        return makers[schema]()

    def body(self, schema: Any) -> dict[str, Any]:
        made = self.of(schema)
        return made if isinstance(made, dict) else {}


class Tally:
    """Does things, and counts what was done and what was refused in Docker's way."""

    def __init__(self) -> None:
        self.done = self.refused = 0

    def __call__(self, action: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            result = action(*args, **kwargs)
        except DockerError as error:
            self.refused += 1
            return check_refusal(error)
        self.done += 1
        return result


def check_refusal(error: DockerError) -> None:
    assert 300 < error.status < 600
    assert error.message


attempt = Tally()


@pytest.mark.parametrize("dialect", ["28", "29", "27", "1.12"])
@pytest.mark.parametrize("wild", [0.0, 0.02, 0.15])
def test_any_body_is_answered(dialect: str, wild: float) -> None:
    before = attempt.done, attempt.refused
    for seed in range(12):
        one_life(dialect, Maker(seed, wild))
    done, refused = attempt.done - before[0], attempt.refused - before[1]
    assert done > 120  # not everything is refused,
    assert refused > 50  # nor everything taken


def one_life(dialect: str, make: Maker) -> None:
    node = Node(dialect=dialect)
    engine = node.engine
    attempt(node.network, "n1", "macvlan", "10.1.0.0/24", parent="eth1.100")
    node.run("c1")
    for _ in range(8):
        body = make.body(bodies.NETWORK) | {"Name": make.text()}
        attempt(engine.network_create, body, api=make.rng.choice(["1.24", "1.47", "1.52"]))
    made = []
    for _ in range(6):
        done = attempt(engine.container_create, make.body(bodies.CONTAINER) | {"Image": "alpine"}, make.text())
        made += [done["Id"]] if done else []
    for ident in [*made, "c1"]:
        attempt(engine.container_start, ident)
        attempt(engine.network_connect, make.text(), make.body(bodies.CONNECT) | {"Container": ident})
        attempt(engine.container_update, ident, make.body(bodies.UPDATE))
        run = attempt(engine.exec_create, ident, make.body(bodies.EXEC))
        if run:
            attempt(engine.exec_start, run["Id"], make.body(bodies.EXEC_START))
        attempt(engine.container_inspect, ident)
        attempt(engine.network_disconnect, make.text(), make.body(bodies.DISCONNECT) | {"Container": ident})
    engine.container_list(all=True, size=True)
    engine.network_list()
    node.lab.run(until_ns=node.lab.now + 3_000_000_000)
    clear(node)


def clear(node: Node) -> None:
    """Remove everything; nothing may be left of it on the node."""
    for shown in node.engine.container_list(all=True):
        attempt(node.engine.container_remove, shown["Id"], force=True)
    for network in node.engine.network_list():
        attempt(node.engine.network_remove, network["Id"])
    for network in node.engine.network_list():  # those that others depended on
        attempt(node.engine.network_remove, network["Id"])
    assert node.engine.container_list(all=True) == []
    assert {each["Name"] for each in node.engine.network_list()} == {"bridge", "host", "none"}
    assert set(node.lab.network.netns) == {"", "lan", "node-1"}
    left = set(node.links()) - {"lo", "eth0", "eth1", "docker0"}
    assert not {name for name in left if not name.startswith("eth1.")}  # a refused create may leave its VLAN link
    assert [str(subnet) for subnet in node.engine.networks.book.ipam.v4.pools] == ["172.17.0.0/16"]
    assert node.engine.networks.book.ipam.v6.pools == {}


class Life(RuleBasedStateMachine):
    """Sensible requests in any order; the books agree after each."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node()

    name = st.sampled_from(["c1", "c2", "c3", "c4"])
    network = st.sampled_from(["n1", "n2", "n3", "bridge"])

    @rule(
        name=network,
        driver=st.sampled_from(["macvlan", "ipvlan", "bridge"]),
        number=st.integers(1, 3),
        plen=st.integers(28, 31),
        parent=st.sampled_from([None, "eth1", "eth1.5"]),
        internal=st.booleans(),
    )
    def create_network(self, name: str, driver: str, number: int, plen: int, parent: Any, internal: bool) -> None:
        options = {} if driver == "bridge" else {"parent": parent}
        attempt(self.node.network, name, driver, f"10.{number}.0.0/{plen}", internal=internal, **options)

    @rule(name=network)
    def remove_network(self, name: str) -> None:
        attempt(self.node.engine.network_remove, name)

    @rule(
        name=name,
        network=network,
        port=st.sampled_from([None, "80"]),
        always=st.booleans(),
        argv=st.sampled_from([("sleep", "100"), ("exit", "1"), ("nosuch",)]),
    )
    def run(self, name: str, network: str, port: Any, always: bool, argv: Any) -> None:
        host: dict[str, Any] = {"PortBindings": {"80/tcp": [{"HostPort": port}]}} if port else {}
        if always:
            host["RestartPolicy"] = {"Name": "always"}
        attempt(self.node.run, name, network, *argv, host=host)

    @rule(name=name, network=network)
    def connect(self, name: str, network: str) -> None:
        attempt(self.node.engine.network_connect, network, {"Container": name})

    @rule(name=name, network=network)
    def disconnect(self, name: str, network: str) -> None:
        attempt(self.node.engine.network_disconnect, network, {"Container": name})

    @rule(name=name, what=st.sampled_from(["start", "kill", "stop", "restart", "remove", "pause", "unpause", "rename"]))
    def change(self, name: str, what: str) -> None:
        more: dict[str, Any] = {"remove": {"force": True}, "rename": {"name": f"{name[0]}{ord(name[1]) % 4 + 1}"}}
        attempt(getattr(self.node.engine, f"container_{what}"), name, **more.get(what, {}))

    @rule(seconds=st.sampled_from([0, 0.2, 5, 60]))
    def wait(self, seconds: float) -> None:
        self.node.lab.run(until_ns=self.node.lab.now + round(seconds * 1e9))

    @rule(parent=st.sampled_from(["eth1.5", "docker0"]))
    def break_a_link(self, parent: str) -> None:
        self.node.lab.command("ip", "link", "del", parent, netns="node-1")

    @invariant()
    def books(self) -> None:
        check_books(self.node)
        for shown in self.node.engine.container_list(all=True):
            state = self.node.engine.container_inspect(shown["Id"])["State"]
            assert state["Running"] == (state["Status"] in ("running", "paused", "restarting"))

    def teardown(self) -> None:
        clear(self.node)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
