"""What must not be lost: the journal, an engine killed in the middle of its work, restarts without leak or double."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from simvlan.docker.errors import DockerError
from simvlan.docker.store import JOURNAL, FileStore, MemoryStore, StateInUse
from tests.dockersim.world import Node


def test_a_journal_says_after_a_restart_what_was_put(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("network", "a", {"n": 1})
    store.put("network", "b", {"n": 2})
    store.put("network", "a", {"n": 3})
    store.drop("network", "b")
    store.put("container", "c", {"x": [1, {"y": None}]})
    store.close()
    again = FileStore(tmp_path)
    assert again.load("network") == {"a": {"n": 3}}
    assert again.load("container") == {"c": {"x": [1, {"y": None}]}}
    assert again.load("nothing") == {}


def test_a_torn_last_line_was_never_acknowledged(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("network", "a", {"n": 1})
    store.close()
    whole = (tmp_path / JOURNAL).read_bytes()
    torn = json.dumps(["network", "b", {"n": 2}]).encode()
    for length in range(1, len(torn) + 1):
        (tmp_path / JOURNAL).write_bytes(whole + torn[:length])
        again = FileStore(tmp_path)
        assert again.load("network") == {"a": {"n": 1}}
        again.put("network", "c", {"n": 3})
        again.close()
        once_more = FileStore(tmp_path)
        assert once_more.load("network").keys() == {"a", "c"}
        once_more.close()
        (tmp_path / JOURNAL).write_bytes(whole)


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text('["network", "a", {}]\nnot json\n')
    with pytest.raises(ValueError, match=r"journal.jsonl, line 2: .*damaged"):
        FileStore(tmp_path)


def test_a_long_journal_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simvlan.docker.store.SLACK", 10)
    store = FileStore(tmp_path)
    for number in range(500):
        store.put("network", str(number % 3), {"n": number})
    store.close()
    assert len((tmp_path / JOURNAL).read_bytes().splitlines()) < 30
    assert FileStore(tmp_path).load("network") == {str(n % 3): {"n": n} for n in (498, 499, 497)}


def test_one_engine_holds_a_folder(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    with pytest.raises(StateInUse, match="another engine uses this state folder"):
        FileStore(tmp_path)
    store.close()
    FileStore(tmp_path).close()


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    FileStore(folder).put("network", "a", {})
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / JOURNAL).stat().st_mode & 0o777 == 0o600


def test_memory_forgets_with_the_process() -> None:
    store = MemoryStore()
    store.put("network", "a", {})
    store.drop("network", "a")
    store.drop("network", "a")
    assert store.load("network") == {}


# -- an engine that is killed ------------------------------------------------------------------------------------------


def addresses(node: Node) -> list[str]:
    """The addresses of running containers, subnet by subnet."""
    return [
        f"{network['Id'][:12]} {each['IPv4Address']}"
        for shown in node.engine.network_list()
        for network in [node.engine.network_inspect(shown["Id"])]
        for each in network["Containers"].values()
    ]


def check_books(node: Node) -> None:
    """No address is given twice, and what is taken is exactly what somebody has."""
    shown = addresses(node)
    assert len(shown) == len(set(shown))
    for space in (node.engine.networks.book.ipam.v4, node.engine.networks.book.ipam.v6):
        for subnet, pool in space.pools.items():
            held = {0, subnet.num_addresses - 1} if subnet.prefixlen < 31 else set()
            for network in node.engine.networks.all.values():
                for use in network.pools:
                    if use.prefix == subnet:
                        held |= {offset(subnet, text) for text in (use.gateway, *use.aux.values()) if text}
                for endpoint in network.endpoints.values():
                    if endpoint.ipv4 and any(use.prefix == subnet for use in network.of(4)):
                        held.add(offset(subnet, endpoint.ipv4))
            assert pool.taken == held
    spaces = set(node.lab.network.netns) - {"", "lan", node.name}
    running = {c["Names"][0][1:] for c in node.engine.container_list() if c["State"] in ("running", "paused")}
    assert spaces == running


def offset(subnet: Any, text: str) -> int:
    from ipaddress import ip_address

    return int(ip_address(text)) - int(subnet.network_address)


def work(node: Node, rng: random.Random, count: int, say: Any) -> None:
    """Random operations; each is told to *say* once it is acknowledged, never before."""
    for number in range(count):
        networks = [n["Name"] for n in node.engine.network_list() if n["Name"][0] == "n" and n["Name"] != "none"]
        containers = [c["Names"][0][1:] for c in node.engine.container_list(all=True)]
        what = rng.choice(["network", "run", "run", "run", "stop", "rm", "rmnet", "start"])
        try:
            if what == "network" or not networks:
                name, sub = f"n{number}", rng.randrange(250)
                node.network(name, rng.choice(["macvlan", "bridge"]), f"10.{sub}.0.0/28")
                say(f"network+ {name}")
            elif what == "run":
                name = f"c{number}"
                node.create(name, rng.choice(networks))
                say(f"container+ {name}")
                node.engine.container_start(name)
            elif what == "rmnet":
                name = rng.choice(networks)
                node.engine.network_remove(name)
                say(f"network- {name}")
            elif containers:
                name = rng.choice(containers)
                if what == "rm":
                    node.engine.container_remove(name, force=True)
                    say(f"container- {name}")
                elif what == "stop":
                    node.engine.container_kill(name)
                else:
                    node.engine.container_start(name)
        except DockerError as error:
            say(f"refused {error.status}")


CHILD = """
import random, sys
from simvlan.docker.errors import DockerError
from simvlan.docker.store import FileStore
from tests.dockersim.world import Node
from tests.test_docker_store import work
node = Node(store=FileStore(sys.argv[1]))
print("ready", flush=True)
work(node, random.Random(int(sys.argv[2])), 200, lambda text: print(text, flush=True))
print("done", flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_killed_in_the_middle_of_200_operations(tmp_path: Path, seed: int) -> None:
    """Every acknowledged definition is there after `kill -9`; addresses are neither leaked nor given twice."""
    root = Path(__file__).parent.parent
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), str(seed)], stdout=subprocess.PIPE, text=True, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    told = []
    stop_after = 20 + 45 * seed
    for line in child.stdout:
        told.append(line.strip())
        if len(told) == stop_after:
            break
    time.sleep(0.002 * seed)
    child.send_signal(signal.SIGKILL)
    told += [line.strip() for line in child.stdout.read().split("\n") if line]  # acknowledged before it died
    child.wait()
    assert "done" not in told
    check_after(tmp_path, told)


def check_after(folder: Path, told: list[str]) -> None:
    node = Node(store=FileStore(folder))
    there = {"network": {n["Name"] for n in node.engine.network_list()} - {"bridge", "host", "none"},
             "container": {c["Names"][0][1:] for c in node.engine.container_list(all=True)}}  # fmt: skip
    for kind in there:
        known: dict[str, bool] = {}
        for line in told:
            word, _, name = line.partition(" ")
            if word[:-1] == kind:
                known[name] = word[-1] == "+"
        there_should = {name for name, kept in known.items() if kept}
        # One operation may have been done and not yet told when the blow fell.
        assert len(there_should ^ there[kind]) <= 1, there_should ^ there[kind]
    check_books(node)
    for name in sorted(there["container"])[:12]:
        with suppress(DockerError):  # its network may be full or gone
            node.engine.container_start(name)
    check_books(node)
    work(node, random.Random(99), 40, lambda text: None)
    check_books(node)


def test_restart_policies_after_a_restart(tmp_path: Path) -> None:
    """`always` starts again, `unless-stopped` unless it was, `on-failure` after a crash; --rm is gone."""
    store = FileStore(tmp_path)
    node = Node(store=store)
    node.network("m", "macvlan", "10.1.0.0/24", parent="eth1.1")
    for name, policy in (("ca", "always"), ("cu", "unless-stopped"), ("cs", "unless-stopped"), ("cf", "on-failure"),
                         ("cn", "no")):  # fmt: skip
        node.run(name, "m", host={"RestartPolicy": {"Name": policy}})
    node.run("cr", "m", host={"AutoRemove": True})
    node.engine.container_kill("cs")
    node.engine.container_kill("ca")
    store.close()
    again = Node(store=FileStore(tmp_path))
    states = {c["Names"][0][1:]: c["State"] for c in again.engine.container_list(all=True)}
    assert states == {"ca": "running", "cu": "running", "cs": "exited", "cf": "running", "cn": "exited"}
    assert again.engine.container_inspect("cn")["State"]["ExitCode"] == 255
    check_books(again)
    ids = [c["Id"] for c in again.engine.container_list(all=True)]
    assert again.create("new") not in ids  # ids do not repeat themselves after a restart


def test_images_are_kept(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    node = Node(store=store)
    node.engine.image_create("nginx", "1.27")
    node.engine.image_tag("alpine", "mine")
    before = node.engine.image_list()
    store.close()
    again = Node(store=FileStore(tmp_path))
    assert again.engine.image_list() == before
    again.engine.image_remove("nginx:1.27")
    again.engine.image_remove("mine")
    assert [tag for each in again.engine.image_list() for tag in each["RepoTags"]] == ["alpine:latest"]


def test_networks_keep_everything_over_a_restart(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    node = Node(store=store)
    node.network("a", "macvlan", {"Subnet": "10.1.0.0/16", "IPRange": "10.1.5.0/24", "Gateway": "10.1.0.9",
                                  "AuxiliaryAddresses": {"cr": "10.1.5.0"}}, parent="eth1.7", macvlan_mode="vepa",
                 labels={"k": "v"})  # fmt: skip
    node.network("b", "ipvlan", "10.2.0.0/24", parent="eth1", ipvlan_mode="l3")
    node.network("c", "bridge", ipv6=True)
    before = [node.engine.network_inspect(each) for each in "abc"]
    store.close()
    again = Node(store=FileStore(tmp_path))
    assert [again.engine.network_inspect(each) for each in "abc"] == before
    assert {"eth1.7", f"br-{before[2]['Id'][:12]}"} <= set(again.links())
    again.run("cx", "a")
    assert again.endpoint("cx", "a")["IPAddress"] == "10.1.5.1"
    assert again.endpoint("cx", "a")["Gateway"] == "10.1.0.9"
    again.engine.container_remove("cx", force=True)
    again.engine.network_remove("a")
    assert "eth1.7" not in again.links()
