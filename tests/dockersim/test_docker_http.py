"""The API below the clients: who may open a socket, what HTTP is spoken, and that nothing a client sends does harm."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dockersim.served import Served, serving, two_nodes


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(two_nodes(), ["node-1"]) as made:
        made.do(lambda: made.engines["node-1"].image_create("alpine", "latest"))
        yield made


def connect(served: Served) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(120)
    sock.connect(str(served.socket()))
    return sock


def everything(sock: socket.socket) -> bytes:
    found = b""
    while piece := sock.recv(65536):
        found += piece
    return found


def talk(served: Served, octets: bytes) -> bytes:
    """Send octets and the end; all that comes back."""
    with connect(served) as sock:
        sock.sendall(octets)
        sock.shutdown(socket.SHUT_WR)
        return everything(sock)


def ask(served: Served, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
    """One request; the status, and the body read as JSON if it is some."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Length: {len(data)}\r\n"
    head += f"Content-Type: {kind}\r\n" if data else ""
    with connect(served) as sock:
        sock.sendall(head.encode("utf-8", "surrogateescape") + b"\r\n" + data)
        answer = everything(sock)
    top, _, rest = answer.partition(b"\r\n\r\n")
    if b"chunked" in top:
        rest = b"".join(rest.split(b"\r\n")[1::2])
    try:
        return int(top.split()[1]), json.loads(rest)
    except ValueError:
        return int(top.split()[1]), rest


def test_the_socket_is_its_owners(served: Served) -> None:
    assert stat.S_IMODE(os.stat(served.socket()).st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused(served: Served) -> None:
    """By the file's mode; and by the engine itself, where somebody has opened the way."""
    text = (
        "import os, socket, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.connect(sys.argv[1])\n"
        "sock.sendall(b'GET /_ping HTTP/1.1\\r\\nHost: d\\r\\n\\r\\n')\n"
        "sys.exit(0 if sock.recv(10) else 3)\n"
    )
    command = [sys.executable, "-c", text, str(served.socket())]
    os.chmod(served.folder, 0o755)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1  # PermissionError
    os.chmod(served.socket(), 0o666)
    try:
        assert subprocess.run(command, capture_output=True, check=False).returncode in (1, 3)  # shut at once
    finally:
        os.chmod(served.socket(), 0o600)


def test_ping_and_versions(served: Served) -> None:
    answer = talk(served, b"HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n").decode()
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    for line in ("Api-Version: 1.51", "Ostype: linux", "Docker-Experimental: false", "Content-Length: 0"):
        assert f"\r\n{line}\r\n" in answer
    too_new = "client version 1.99 is too new. Maximum supported API version is 1.51"
    assert ask(served, "GET", "/v1.99/info") == (400, {"message": too_new})
    assert ask(served, "GET", "/v1.12/info")[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nosuch", 404), ("POST", "/swarm/init", 501), ("POST", "/build", 501), ("GET", "/secrets", 501),
        ("POST", "/volumes/create", 501), ("GET", "/containers/x/attach/ws", 501), ("PUT", "/networks", 404),
        ("GET", "/v1.51/distribution/alpine/json", 501), ("OPTIONS", "/anything", 200),
    ],
)  # fmt: skip
def test_what_there_is_not(served: Served, method: str, path: str, status: int) -> None:
    got, body = ask(served, method, path)
    assert got == status
    assert status == 200 or body["message"]


def test_bodies_that_are_none(served: Served) -> None:
    create = "/networks/create"
    bad = "invalid JSON: invalid character 'b' looking for beginning of object key string"
    assert ask(served, "POST", create, b"{bad") == (400, {"message": bad})
    assert ask(served, "POST", create, b'{"Name":"x"}{"Name":"y"}') == (
        400,
        {"message": "unexpected content after JSON"},
    )
    kind = "unsupported Content-Type header (text/plain): must be 'application/json'"
    assert ask(served, "POST", create, b'{"Name":"x"}', "text/plain") == (400, {"message": kind})
    for text in ("bad", '{"name":{"a":"b"}}'):
        assert ask(served, "GET", f"/networks?filters={quote(text)}") == (400, {"message": "invalid filter"})


def test_requests_on_one_connection(served: Served) -> None:
    one = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
    with connect(served) as sock:
        sock.sendall(one * 3)
        found = b""
        while found.count(b"\r\n\r\nOK") < 3:
            found += sock.recv(65536)
    assert found.count(b"HTTP/1.1 200 OK") == 3


def test_what_is_no_http(served: Served) -> None:
    assert talk(served, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request")
    assert talk(served, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000).startswith(b"HTTP/1.1 431")
    assert ask(served, "GET", "/_ping")[0] == 200


def exec_of(served: Served, name: str, argv: list[str], **more: Any) -> str:
    status, made = ask(served, "POST", f"/containers/{name}/exec", {"Cmd": argv, "AttachStdout": True, **more})
    assert status == 201
    return str(made["Id"])


@pytest.fixture
def box(served: Served) -> Iterator[str]:
    body = {"Image": "alpine", "Cmd": ["sleep", "1000000"], "HostConfig": {"NetworkMode": "none"}}
    assert ask(served, "POST", "/containers/create?name=box", body)[0] == 201
    assert ask(served, "POST", "/containers/box/start")[0] == 204
    yield "box"
    assert ask(served, "DELETE", "/containers/box?force=1")[0] == 204


def hijack(served: Served, ident: str, upgrade: bool = True, tty: bool = False) -> socket.socket:
    body = json.dumps({"Detach": False, "Tty": tty}).encode()
    head = f"POST /v1.51/exec/{ident}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n" + ("Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else "")
    sock = connect(served)
    sock.sendall(head.encode() + b"\r\n" + body)
    return sock


def test_a_stream_taken_over(served: Served, box: str) -> None:
    """Input goes on after the client's end of it; what is said comes in frames; the stream ends with the command."""
    sock = hijack(served, exec_of(served, box, ["wc", "-c"], AttachStdin=True))
    sock.sendall(b"12345")
    time.sleep(0.05)
    sock.sendall(b"67890")
    sock.shutdown(socket.SHUT_WR)
    head, _, rest = everything(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
    assert b"application/vnd.docker.multiplexed-stream" in head
    assert rest == bytes([1, 0, 0, 0, 0, 0, 0, 3]) + b"10\n"
    sock.close()


def test_an_old_client_that_does_not_upgrade(served: Served, box: str) -> None:
    sock = hijack(served, exec_of(served, box, ["echo", "hi"]), upgrade=False)
    sock.shutdown(socket.SHUT_WR)
    answer = everything(sock)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"hi\n")
    sock.close()


def test_a_client_that_leaves_in_the_middle(served: Served, box: str) -> None:
    ident = exec_of(served, box, ["sh", "-c", "while true; do echo x; sleep 1; done"])
    sock = hijack(served, ident)
    sock.recv(300)
    sock.close()
    until = time.monotonic() + 60
    while served.world.sockets.waiting and time.monotonic() < until:
        time.sleep(0.05)
    assert not served.world.sockets.waiting
    assert ask(served, "GET", f"/exec/{ident}/json")[1]["Running"] is True


# -- fuzz -------------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["", "x", "bridge", "host", "none", "macvlan", "ipvlan", "eth1", "eth1.7", "10.7.0.0/24", "10.7.0.300", "fe80::/64",
     "a/b", "\u00e9", "..", "%2e%2e", "alpine", "container:box", "0", "-1", "sh", "02:42:0a:00:00:01", "/", "\0"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NETWORK = st.fixed_dictionaries(
    {"Name": WORDS | VALUES},
    optional={
        "Driver": st.sampled_from(["macvlan", "ipvlan", "bridge", "host", "null", ""]) | VALUES,
        "Internal": st.booleans() | VALUES, "EnableIPv4": st.booleans() | VALUES, "EnableIPv6": st.booleans() | VALUES,
        "Options": st.dictionaries(st.sampled_from(["parent", "macvlan_mode", "ipvlan_mode"]), WORDS) | VALUES,
        "IPAM": st.fixed_dictionaries({}, optional={
            "Driver": VALUES, "Options": VALUES,
            "Config": st.lists(st.fixed_dictionaries({}, optional={
                "Subnet": WORDS | VALUES, "IPRange": WORDS, "Gateway": WORDS | VALUES, "AuxiliaryAddresses": VALUES,
            }), max_size=2) | VALUES,
        }) | VALUES,
        "Labels": VALUES, "ConfigOnly": VALUES, "ConfigFrom": VALUES,
    },
)  # fmt: skip
ENDPOINT = st.fixed_dictionaries({}, optional={
    "IPAMConfig": st.fixed_dictionaries({}, optional={"IPv4Address": WORDS | VALUES}) | VALUES, "Aliases": VALUES,
    "MacAddress": WORDS | VALUES, "DriverOpts": VALUES, "GwPriority": VALUES,
})  # fmt: skip
CONTAINER = st.fixed_dictionaries(
    {"Image": st.just("alpine") | VALUES},
    optional={
        "Cmd": st.lists(WORDS, max_size=3) | VALUES, "Entrypoint": VALUES, "Env": VALUES, "Tty": VALUES,
        "Labels": VALUES, "Hostname": VALUES, "User": VALUES, "WorkingDir": VALUES, "OpenStdin": VALUES,
        "ExposedPorts": VALUES,
        "HostConfig": st.fixed_dictionaries({}, optional={
            "NetworkMode": WORDS | VALUES, "AutoRemove": VALUES, "RestartPolicy": VALUES, "PortBindings": VALUES,
            "Dns": VALUES, "ExtraHosts": VALUES, "Privileged": VALUES, "ConsoleSize": VALUES, "Init": VALUES,
        }) | VALUES,
        "NetworkingConfig": st.fixed_dictionaries({"EndpointsConfig": st.dictionaries(WORDS, ENDPOINT, max_size=2)})
        | VALUES,
    },
)  # fmt: skip
QUERY = st.dictionaries(
    st.sampled_from(
        ["all", "filters", "limit", "name", "t", "signal", "condition", "since", "until", "h", "w", "path"]
    ),
    WORDS | st.sampled_from(['{"label":["a"]}', '{"name":{"x":true}}', "[]", "1e9", "NaN"]), max_size=2,
)  # fmt: skip
PATHS = st.sampled_from(
    ["/networks", "/networks/{}", "/containers/json", "/containers/{}/json", "/containers/{}/top",
     "/containers/{}/start", "/containers/{}/stop", "/containers/{}/kill", "/containers/{}/pause",
     "/containers/{}/rename", "/containers/{}/stats", "/containers/{}/update", "/containers/{}/resize",
     "/containers/{}/exec", "/exec/{}/json", "/images/json", "/containers/{}/archive", "/containers/{}/export",
     "/images/{}/json", "/images/create", "/networks/prune", "/containers/prune", "/networks/{}/connect",
     "/networks/{}/disconnect", "/system/df", "/info"]
)  # fmt: skip
QUIETLY = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
KNOWN_500 = (
    "requested macvlan mode", "requested ipvlan mode", "loopback interface", "invalid subinterface vlan name",
    "required interface", "unable to parse a valid vlan id", "-o parent interface was not found", "vlan id must be",
    "is already using parent", "failed to allocate gateway", "failed to allocate secondary",
    "no available IPv4", "failed to create",
    "failed to enable", "is not connected", "failed to set up container networking", "could not find a valid",
    "is not paused",
    "cannot restart", "already paused", "failed to add interface",
)  # fmt: skip


def harmless(status: int, body: Any) -> None:
    """Never an error of our own: a 500 is one of Docker's."""
    if status >= 500:
        text = body["message"] if isinstance(body, dict) else repr(body)
        assert status == 501 or any(known in text for known in KNOWN_500), text


def quoted(words: dict[str, str]) -> str:
    from urllib.parse import urlencode

    return "?" + urlencode(words, errors="surrogatepass") if words else ""


@QUIETLY
@given(body=NETWORK | VALUES)
def test_any_network(served: Served, body: Any) -> None:
    status, made = ask(served, "POST", "/networks/create", body)
    harmless(status, made)
    if status == 201:
        harmless(*ask(served, "GET", f"/networks/{made['Id']}"))
        assert ask(served, "DELETE", f"/networks/{made['Id']}")[0] == 204


@QUIETLY
@given(body=CONTAINER | VALUES, query=QUERY)
def test_any_container(served: Served, body: Any, query: dict[str, str]) -> None:
    status, made = ask(served, "POST", f"/containers/create{quoted(query)}", body)
    harmless(status, made)
    if status == 201:
        for verb, path in (
            ("GET", "json"),
            ("POST", "start"),
            ("GET", "json"),
            ("GET", "top"),
            ("GET", "logs?stdout=1"),
        ):
            harmless(*ask(served, verb, f"/containers/{made['Id']}/{path}"))
        ask(served, "DELETE", f"/containers/{made['Id']}?force=1")
    harmless(*ask(served, "GET", "/containers/json?all=1"))


@QUIETLY
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD"]), path=PATHS, word=WORDS, query=QUERY, body=VALUES
)
def test_any_request(served: Served, method: str, path: str, word: str, query: dict[str, str], body: Any) -> None:
    target = path.format(quote(word, safe="")) + quoted({**query, "stream": "0"})  # statistics would never end
    harmless(*ask(served, method, target, body if method == "POST" else None))


def test_nothing_is_left_behind(served: Served) -> None:
    """After all of the above: only what Docker has by itself, no device, no namespace, no client."""
    for each in ask(served, "GET", "/containers/json?all=1")[1]:
        ask(served, "DELETE", f"/containers/{each['Id']}?force=1")
    ask(served, "POST", "/networks/prune")
    assert sorted(each["Name"] for each in ask(served, "GET", "/networks")[1]) == ["bridge", "host", "none"]
    network = served.lab.network
    assert set(network.netns) == {"", "switch", "node-1", "node-2"}
    assert set(network.netns["node-1"].devices) == {"lo", "eth0", "eth1", "docker0"}
    assert ask(served, "GET", "/_ping")[0] == 200
