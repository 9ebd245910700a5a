"""Python's docker package against a served engine."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.dockersim.served import serving, two_nodes


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    with serving(two_nodes(), ["node-1"]) as served:
        made = docker.DockerClient(base_url=served.host(), timeout=120)
        yield made
        made.close()


def test_versions(client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == "1.51"
    assert client.info()["Swarm"]["LocalNodeState"] == "inactive"


def test_networks_and_containers(client: docker.DockerClient) -> None:
    pool = docker.types.IPAMPool(subnet="10.5.0.0/24", gateway="10.5.0.254")
    network = client.networks.create(
        "sdk", driver="macvlan", options={"parent": "eth1.5"}, ipam=docker.types.IPAMConfig(pool_configs=[pool])
    )
    first = client.containers.run("alpine", "sleep 1000", name="first", network="sdk", detach=True)
    first.reload()
    assert first.attrs["NetworkSettings"]["Networks"]["sdk"]["IPAddress"] == "10.5.0.1"
    said = client.containers.run("alpine", "ping -c 2 first", network="sdk", remove=True)
    assert b"2 packets transmitted, 2 packets received" in said
    code, (out, err) = first.exec_run(["sh", "-c", "echo out; echo err >&2; exit 3"], demux=True)
    assert (code, out, err) == (3, b"out\n", b"err\n")
    with pytest.raises(docker.errors.ContainerError) as raised:
        client.containers.run("alpine", ["sh", "-c", "exit 4"], network="sdk", remove=True)
    assert raised.value.exit_status == 4
    with pytest.raises(docker.errors.APIError, match="has active endpoints"):
        network.remove()
    first.remove(force=True)
    network.remove()
    with pytest.raises(docker.errors.NotFound):
        client.networks.get("sdk")


def test_logs_wait_and_events(client: docker.DockerClient) -> None:
    made = client.containers.create("alpine", ["sh", "-c", "echo one; sleep 5; echo two"], name="slow")
    made.start()
    assert made.wait() == {"StatusCode": 0}
    assert made.logs() == b"one\ntwo\n"
    assert (
        list(made.logs(stream=True, follow=True)) == [b"one\ntwo\n"]
        or b"".join(made.logs(stream=True)) == b"one\ntwo\n"
    )
    made.remove()


def test_attached_socket(client: docker.DockerClient) -> None:
    made = client.containers.create("alpine", "cat", stdin_open=True, name="echo")
    sock = client.api.attach_socket(made.id, params={"stdin": 1, "stdout": 1, "stream": 1})
    made.start()
    raw = sock._sock
    raw.sendall(b"hello\n")
    head = raw.recv(8)
    assert head == bytes([1, 0, 0, 0, 0, 0, 0, 6])
    assert raw.recv(6) == b"hello\n"
    sock.close()
    made.remove(force=True)
