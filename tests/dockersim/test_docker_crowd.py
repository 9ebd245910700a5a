"""A hundred clients at once: they attach, exec and ping for a minute of the lab, and every octet is counted.

On each of 25 containers, whose first process is `cat`: one client attaches and sends, one attaches and only reads, one
runs `cat` by exec, one pings a neighbour by exec. All of them are open at the same time; nobody stops before the minute
is over.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.dockersim.served import serving, two_nodes

CONTAINERS = 25
PINGS = 60
END = b"the end"
PATIENCE_S = 240
"""For the whole test; reached only if something hangs."""


async def ask(path: Path, method: str, target: str, body: Any = None) -> Any:
    """One request on a connection of its own; its JSON."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(request(method, target, body, "Connection: close\r\n"))
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 20"), (head, rest)
    return json.loads(rest) if rest else None


def request(method: str, target: str, body: Any, more: str) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    kind = "Content-Type: application/json\r\n" if data else ""
    return f"{method} {target} HTTP/1.1\r\nHost: d\r\n{more}{kind}Content-Length: {len(data)}\r\n\r\n".encode() + data


class Hijacked:
    """A connection that was taken over: frames in, octets out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def frame(self) -> bytes:
        """The next frame of standard output."""
        head = await self.reader.readexactly(8)
        assert head[:4] == b"\1\0\0\0", head
        return await self.reader.readexactly(int.from_bytes(head[4:], "big"))

    async def take(self, size: int) -> bytes:
        """So many octets of output, and not one more."""
        found = b""
        while len(found) < size:
            found += await self.frame()
        return found

    async def rest(self) -> bytes:
        """Everything until the stream ends."""
        data, found = await self.reader.read(-1), b""
        while data:
            size = int.from_bytes(data[4:8], "big")
            assert data[:4] == b"\1\0\0\0"
            assert len(data) >= 8 + size
            found, data = found + data[8 : 8 + size], data[8 + size :]
        return found


@asynccontextmanager
async def hijacked(path: Path, target: str, body: Any = None) -> AsyncIterator[Hijacked]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(request("POST", target, body, "Connection: Upgrade\r\nUpgrade: tcp\r\n"))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    try:
        yield Hijacked(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


class Crowd:
    """Four clients for each container."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.arrived = 0
        self.all_here = asyncio.Event()
        self.minute = asyncio.Event()
        """Every ping has ended: a minute of the lab has passed."""
        self.pinging = CONTAINERS
        self.sent: dict[int, bytes] = {}

    async def arrive(self) -> None:
        """Wait until all hundred are connected."""
        self.arrived += 1
        if self.arrived == 4 * CONTAINERS:
            self.all_here.set()
        await self.all_here.wait()

    async def talk(self, number: int) -> None:
        """Attach, send, and hear it again; until the minute is over, and sixty times at least."""
        target = f"/containers/c{number}/attach?stream=1&stdin=1&stdout=1"
        async with hijacked(self.path, target) as stream:
            await self.arrive()
            sent, turn = b"", 0
            while turn < 60 or not self.minute.is_set():
                piece = f"{number}/{turn}:".encode() * (100 + turn % 50)
                await stream.send(piece)
                assert await stream.take(len(piece)) == piece
                sent, turn = sent + piece, turn + 1
            self.sent[number] = sent + END
            await stream.send(END)
            assert await stream.take(len(END)) == END

    async def listen(self, number: int) -> None:
        """Attach without input: what somebody else says is heard whole."""
        async with hijacked(self.path, f"/containers/c{number}/attach?stream=1&stdout=1") as stream:
            await self.arrive()
            heard = b""
            while not heard.endswith(END):
                heard += await stream.frame()
            assert heard == self.sent[number]

    async def echo(self, number: int) -> None:
        """`cat` by exec: a large input comes back, and then the end."""
        text = f"{number}-".encode() * 30_000
        async with hijacked(self.path, *await self.command(number, ["cat"], AttachStdin=True)) as stream:
            await self.arrive()
            hearing = asyncio.ensure_future(stream.rest())
            for at in range(0, len(text), 10_000):
                await stream.send(text[at : at + 10_000])
            await self.minute.wait()
            stream.writer.write_eof()
            assert await hearing == text

    async def ping(self, number: int) -> None:
        """Ping the next container by name, once a second."""
        argv = ["ping", "-c", str(PINGS), f"c{(number + 1) % CONTAINERS}"]
        target, body = await self.command(number, argv)
        await self.arrive()
        async with hijacked(self.path, target, body) as stream:
            said = (await stream.rest()).decode()
        assert [f"seq={each} " in said for each in range(PINGS)] == [True] * PINGS, said
        assert f"{PINGS} packets transmitted, {PINGS} packets received" in said
        self.pinging -= 1
        if not self.pinging:
            self.minute.set()

    async def command(self, number: int, argv: list[str], **more: Any) -> tuple[str, Any]:
        """Prepare an exec; where it is started, and with what."""
        made = await ask(self.path, "POST", f"/containers/c{number}/exec", {"Cmd": argv, "AttachStdout": True, **more})
        return f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False}


async def crowd(path: Path) -> None:
    config = [{"Subnet": "10.44.0.0/16"}]
    body = {"Name": "many", "Driver": "macvlan", "Options": {"parent": "eth1.44"}, "IPAM": {"Config": config}}
    await ask(path, "POST", "/networks/create", body)
    for number in range(CONTAINERS):
        made = {"Image": "alpine", "Cmd": ["cat"], "OpenStdin": True, "HostConfig": {"NetworkMode": "many"}}
        await ask(path, "POST", f"/containers/create?name=c{number}", made)
        await ask(path, "POST", f"/containers/c{number}/start")
    made = Crowd(path)
    clients = [each(n) for n in range(CONTAINERS) for each in (made.talk, made.listen, made.echo, made.ping)]
    await asyncio.wait_for(asyncio.gather(*clients), PATIENCE_S)


def test_a_hundred_clients() -> None:
    with serving(two_nodes(), ["node-1"]) as served:
        served.do(lambda: served.engines["node-1"].image_create("alpine", "latest"))
        asyncio.run(crowd(served.socket()))
        assert served.lab.now >= 59e9
        for number in range(CONTAINERS):
            asyncio.run(ask(served.socket(), "DELETE", f"/containers/c{number}?force=1"))
        asyncio.run(ask(served.socket(), "DELETE", "/networks/many"))
        assert not served.world.sockets.waiting
