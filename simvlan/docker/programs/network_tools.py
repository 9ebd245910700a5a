"""nslookup and nc (UDP): programs that need Docker's DNS server or a socket."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from simvlan.clock import SECOND
from simvlan.docker.programs.busybox_ping import Refused, address_of, musl, seconds
from simvlan.docker.programs.process import Proc
from simvlan.tools.common import Waiter, permute
from simvlan.tools.common import resolve as numeric
from simvlan.tools.hosts import literal
from simvlan.tools.names import ask_all

Running = Generator[Any, Any, int]
SERVER = "127.0.0.11"


def nslookup(proc: Proc) -> Running:
    """nslookup: asks Docker's DNS server, or another one on the network."""
    names = [word for word in proc.argv[1:] if not word.startswith("-")]
    if not names:
        proc.write_err("BusyBox nslookup: usage: nslookup [-type=QUERY_TYPE] [-debug] HOST [DNS_SERVER]\n")
        return 1
    server = names[1] if len(names) > 1 else _server(proc)
    proc.write(f"Server:\t\t{server}\nAddress:\t{server}:53\n\n")
    resolver = proc.container.resolver if server == SERVER else None
    if resolver is not None and numeric(names[0]) is not None:
        return _reverse(proc, names[0], resolver.reverse(names[0]))
    if resolver is not None:
        found = resolver.lookup(names[0])
    else:
        answers = yield from ask_all(proc, [each for each in (literal(server),) if each is not None], names[0])
        if not answers:
            proc.write(";; connection timed out; no servers could be reached\n\n")
            return 1
        found = [text for answer in answers for text in answer.addresses]
    if found is None or not found:
        reason = "SERVFAIL" if found is None else "NXDOMAIN"
        proc.write(f"** server can't find {names[0]}: {reason}\n\n** server can't find {names[0]}: {reason}\n\n")
        return 1
    for family in ([text for text in found if ":" not in text], [text for text in found if ":" in text]):
        lines = "".join(f"Name:\t{names[0]}\nAddress: {each}\n" for each in family)
        proc.write(f"Non-authoritative answer:\n{lines}\n")
    return 0


def _server(proc: Proc) -> str:
    text = proc.container.files().get("/etc/resolv.conf", b"").decode(errors="replace")
    return next((line.split()[1] for line in text.splitlines() if line.startswith("nameserver ")), "127.0.0.1")


def _reverse(proc: Proc, address: str, name: str | None) -> int:
    arpa = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    if name is None:
        proc.write(f"** server can't find {arpa}: NXDOMAIN\n\n")
        return 1
    proc.write(f"Non-authoritative answer:\n{arpa}\tname = {name}\n\n")
    return 0


class Netcat:
    """nc -u: what is typed goes into datagrams, what arrives is printed."""

    def __init__(self, proc: Proc) -> None:
        self.proc = proc
        flags, rest, fault = permute(proc.argv[1:], "ulnvkp:w:s:q:i:")
        given = dict(flags)
        if fault:
            raise Refused(f"nc: {fault}\n")
        if "u" not in given:
            raise Refused("simvlan: nc speaks UDP only in a container: use -u, or wget\n", 95)
        self.listening = "l" in given
        self.idle_ns = seconds(given.get("w", "0"), "nc")
        self.stack: Any = proc.lab.network.netns[proc.netns].stack
        self.waiter = Waiter(proc)
        self.sock: Any = self.stack.open_udp()
        self.peer: tuple[int, int] | None = None
        self.ended = False
        try:
            self._open(given, rest)
        except OSError as error:
            raise Refused(f"nc: bind: {musl(error)}\n") from None

    def _open(self, given: dict[str, str], rest: list[str]) -> None:
        port = self._port(given.get("p") or (rest[-1] if self.listening and rest else "0"))
        self.sock.bind(numeric(given.get("s", "")) or 0, port)
        if not self.listening:
            if len(rest) != 2:
                raise Refused("BusyBox nc: usage: nc [-luw SEC] [-p PORT] HOST PORT\n")
            self.peer = (address_of(self.proc, rest[0], f"nc: bad address '{rest[0]}'\n"), self._port(rest[1]))
            try:
                self.sock.connect(*self.peer)
            except OSError as error:
                raise Refused(f"nc: connect: {musl(error)}\n") from None

    @staticmethod
    def _port(text: str) -> int:
        if not text.isdigit() or int(text) > 65_535:
            raise Refused(f"nc: bad port '{text}'\n")
        return int(text)

    def run(self) -> Running:
        """Copy both ways until the input has ended and nothing came for a while."""
        from simvlan.docker.programs.process import Proc as Child

        self.sock.on_receive = self.waiter.heard
        reader = Child(
            self.proc.container, self.proc.netns, self.proc.argv, self.proc.streams,
            program=lambda _proc: self._send(), parent=self.proc, env=self.proc.env,
        )  # fmt: skip
        env = self.proc.world.env
        quiet_since = env.now
        try:
            while True:
                if self.sock.queue or self.sock.errors:
                    quiet_since = env.now
                if self._print():
                    return 1
                limit = quiet_since + self.idle_ns if self.idle_ns else None
                if limit is not None and env.now >= limit:
                    return 0
                yield self.waiter.until(limit)
        finally:
            reader.signal("SIGKILL")

    def _print(self) -> bool:
        """Print what came; whether the other side refused."""
        while self.sock.queue:
            got = self.sock.queue.popleft()
            if self.peer is None:
                self.peer = (got.src, got.sport)
            self.proc.write(got.data)
        refused = any(problem.errno == 111 for problem in self.sock.errors)
        self.sock.errors.clear()
        return refused

    def _send(self) -> Running:
        while data := (yield from self.proc.streams.stdin.read()):
            if self.peer is not None:
                try:
                    self.sock.send(data, *self.peer)
                except OSError as error:
                    self.proc.write_err(f"nc: write: {musl(error)}\n")
        if not self.idle_ns and not self.listening:
            self.idle_ns = SECOND  # nobody will say anything more: leave soon
            self.waiter.heard(None)
        return 0


def nc(proc: Proc) -> Running:
    """`nc -u`: datagrams from and to a port; TCP is not built."""
    made: Netcat | None = None
    try:
        made = Netcat(proc)
        return (yield from made.run())
    except Refused as refused:
        proc.write_err(refused.text)
        return refused.status
    except simpy.Interrupt:
        return 130
    finally:
        if made is not None:
            made.sock.close()
