"""Clients that do not keep up: what is made for them is bounded, nothing is lost, nobody else waits."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from simvlan.docker.http.connection import BACKLOG
from tests.dockersim.served import Served, serving, two_nodes, until_so

SPARE = 3 * BACKLOG
"""What a client that reads nothing may cost: the backlog, one program's last piece, the kernel's own buffers."""
LINE = "x" * 8000
TALK = f"i=0; while [ $i -lt 1500 ]; do i=$((i+1)); echo $i {LINE}; done"
"""12 MB."""
WANTED = b"".join(f"{number} {LINE}\n".encode() for number in range(1, 1501))


@pytest.fixture(params=[0, 50], ids=["fast", "wall"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving(two_nodes(), ["node-1"], speed=request.param) as made:
        engine = made.engines["node-1"]
        made.do(lambda: engine.image_create("alpine", "latest"))
        yield made


def container(served: Served, name: str, *argv: str, **config: Any) -> None:
    body = {"Image": "alpine", "Cmd": list(argv), **config}
    served.do(lambda: served.engines["node-1"].container_create(body, name))


def request(served: Served, method: str, target: str, body: Any = None, more: str = "") -> socket.socket:
    """A request of which nothing is read yet."""
    data = b"" if body is None else json.dumps(body).encode()
    kind = "Content-Type: application/json\r\n" if data else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: d\r\n{more}{kind}Content-Length: {len(data)}\r\n\r\n"
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(120)
    sock.connect(str(served.socket()))
    sock.sendall(head.encode() + data)
    return sock


UPGRADE = "Connection: Upgrade\r\nUpgrade: tcp\r\n"


def waiting(served: Served) -> int:
    """Octets that wait for clients."""
    clients = served.world.sockets._clients
    return int(served.do(lambda: max((len(each.connection.outgoing) for each in clients.values()), default=0)))


def stdout(sock: socket.socket, size: int) -> bytes:
    """So many octets of output, out of their frames (and, for logs, out of HTTP's chunks)."""
    file = sock.makefile("rb")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += file.readline()
    chunked = b"chunked" in head
    raw, found = b"", bytearray()
    while len(found) < size:
        if chunked:
            raw += file.read(int(file.readline(), 16))
            file.readline()
        else:
            raw += file.read1(1 << 16)
        while len(raw) >= 8 and len(raw) >= 8 + int.from_bytes(raw[4:8], "big"):
            end = 8 + int.from_bytes(raw[4:8], "big")
            found += raw[8:end]
            raw = raw[end:]
    return bytes(found)


def test_an_attached_client_that_reads_nothing(served: Served) -> None:
    """The process waits for it, and others do not; then everything comes."""
    container(served, "talk", "sh", "-c", TALK)
    container(served, "other", "sh", "-c", "sleep 30; echo done")
    engine = served.engines["node-1"]
    with closing(request(served, "POST", "/containers/talk/attach?stream=1&stdout=1", None, UPGRADE)) as slow:
        served.heard("/attach")
        served.do(lambda: engine.container_start("talk"))
        until_so(lambda: waiting(served) > BACKLOG // 2, "nothing waits")
        most = max(waiting(served) for _ in range(50))
        assert most < SPARE
        assert served.do(lambda: engine.container_inspect("talk"))["State"]["Running"]
        if not served.world.fast:
            served.do(lambda: engine.container_start("other"))
            until_so(lambda: not served.do(lambda: engine.container_inspect("other"))["State"]["Running"], "it waits")
        assert stdout(slow, len(WANTED)) == WANTED
    until_so(lambda: not served.do(lambda: engine.container_inspect("talk"))["State"]["Running"], "it does not end")


def test_an_attached_client_that_leaves_without_reading(served: Served) -> None:
    """The process goes on."""
    container(served, "talk", "sh", "-c", TALK)
    engine = served.engines["node-1"]
    with closing(request(served, "POST", "/containers/talk/attach?stream=1&stdout=1", None, UPGRADE)):
        served.heard("/attach")
        served.do(lambda: engine.container_start("talk"))
        until_so(lambda: waiting(served) > BACKLOG // 2, "nothing waits")
    with closing(request(served, "POST", "/containers/talk/wait")) as told:
        until_so(lambda: not served.do(lambda: engine.container_inspect("talk"))["State"]["Running"], "it does not end")
        assert b"200" in told.recv(100)


@pytest.mark.parametrize("follow", [0, 1])
def test_a_log_is_read_at_the_reader_s_own_pace(served: Served, follow: int) -> None:
    """The process does not wait for it: what it wrote is kept, and only once."""
    container(served, "talk", "sh", "-c", TALK)
    engine = served.engines["node-1"]
    served.do(lambda: engine.container_start("talk"))
    if not follow:
        served.do(lambda: engine.finish(engine.container_wait("talk")))
    with closing(request(served, "GET", f"/containers/talk/logs?stdout=1&follow={follow}")) as slow:
        until_so(lambda: waiting(served) > BACKLOG // 2, "nothing waits")
        assert max(waiting(served) for _ in range(50)) < SPARE
        assert stdout(slow, len(WANTED)) == WANTED


def test_a_command_that_reads_nothing(served: Served) -> None:
    """What its client sends waits with the client."""
    container(served, "box", "top")
    engine = served.engines["node-1"]
    served.do(lambda: engine.container_start("box"))
    made = served.do(lambda: engine.exec_create("box", {"Cmd": ["top"], "AttachStdin": True}))
    with closing(request(served, "POST", f"/exec/{made['Id']}/start", {"Tty": False}, UPGRADE)) as sock:
        assert b"101" in sock.recv(100)
        sock.setblocking(False)

        def is_full() -> bool:
            try:
                sock.send(b"y" * 65536)
            except BlockingIOError:
                return any(client.stuffed for client in list(served.world.sockets._clients.values()))
            return False

        until_so(is_full, "it takes everything")
        job = next(iter(served.do(lambda: list(engine.runtime.jobs.values())[-1:])))
        assert BACKLOG < served.do(job.unread) < SPARE
