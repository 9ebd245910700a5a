"""nc as OpenBSD's netcat (Debian 1.219): connect, listen (-l, -k), scan (-z), over TCP and UDP (-u), in virtual time.

Standard input is read to its end before anything happens (-d: not at all): what is typed later would come too late.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from typing import Any

from simvlan.clock import SECOND
from simvlan.tools.common import Refused, permute
from simvlan.tools.hosts import Host, find_all, literal
from simvlan.tools.names import look_up
from simvlan.tools.program import Process
from simvlan.tools.running import run
from simvlan.tools.talk import Talk, reason

SPEC = "46CDdFhI:i:klM:m:NnO:P:p:q:rSs:T:tUuvV:W:w:X:x:Zz"
BUILT = frozenset("46CdklNnp:q:s:uvw:z".replace(":", ""))
USAGE = """usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]
\t  [-m minttl] [-O length] [-P proxy_username] [-p source_port]
\t  [-q seconds] [-s sourceaddr] [-T keyword] [-V rtable] [-W recvlimit]
\t  [-w timeout] [-X proxy_protocol] [-x proxy_address[:port]]
\t  [destination] [port]
"""
SERVICES = {
    20: "ftp-data", 21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 80: "http", 110: "pop3", 123: "ntp", 143: "imap2",
    443: "https", 853: "domain-s", 3306: "mysql", 5432: "postgresql", 8080: "http-alt",
}  # fmt: skip
"""The few of /etc/services that people scan for."""

Running = Generator[Any, Any, int]


class Nc:
    """One run."""

    def __init__(self, proc: Process) -> None:
        self.proc, self.talk = proc, Talk(proc)
        flags, rest, fault = permute(proc.argv[1:], SPEC)
        self.given = dict(flags)
        if fault:
            raise Refused(f"nc: {fault}\n{USAGE}")
        for flag in self.given:
            if flag not in BUILT:
                raise Refused(f"simvlan: nc -{flag} is not built (docs/hosts.md says what is)\n", 95)
        self.listening, self.verbose = "l" in self.given, "v" in self.given
        self.udp, self.scan = "u" in self.given, "z" in self.given
        self.family = next((int(flag) for flag, _ in reversed(flags) if flag in "46"), 0)
        self.wait_ns = self._seconds("w")
        self.quit_ns = self._seconds("q")
        self._operands(rest)
        # What a listener or a client sends is here before it opens anything.
        self.input = b"" if self.scan or "d" in self.given else self._crlf(proc.read_stdin())

    def _seconds(self, flag: str) -> int | None:
        text = self.given.get(flag)
        if text is None:
            return None
        if not text.lstrip("-").isdigit():
            raise Refused(f"nc: {'timeout' if flag == 'w' else 'quit timer'} invalid: {text}\n")
        return None if int(text) < 0 else int(text) * SECOND

    def _crlf(self, data: bytes) -> bytes:
        return data.replace(b"\n", b"\r\n") if "C" in self.given else data

    def _operands(self, rest: list[str]) -> None:
        """Destination and ports; when listening, both may be an option or missing."""
        words, everywhere = list(rest), "::" if self.family == 6 else "0.0.0.0"
        if self.listening and len(words) == 1 and "p" not in self.given:
            words.insert(0, everywhere)
        elif self.listening and "p" in self.given:
            words = [*(words or [self.given.get("s", everywhere)]), self.given["p"]]
        if not words and not self.listening:
            raise Refused(USAGE)
        if len(words) < 2:
            raise Refused("nc: missing port number\n")
        self.host, self.ports = words[0], _ports(words[1])

    def run(self) -> Running:
        """Listen, or try each port in turn."""
        if self.listening:
            return (yield from self._listen())
        yield from look_up(self.proc, self.host)
        hosts = find_all(self.proc, self.host, self.family)
        if isinstance(hosts, str):
            raise Refused(f'nc: getaddrinfo for host "{self.host}" port {self.ports[0]}: {hosts}\n')
        status = 1
        for port in self.ports:
            for host in hosts:
                failed = yield from self._visit(host, port)
                status &= failed
                if not failed:
                    break
        return status

    # -- calling ----------------------------------------------------------------------------------------------------

    def _visit(self, host: Host, port: int) -> Running:
        """One port at one address: 0 when something was there."""
        sock: Any = self.talk.udp(host.family) if self.udp else self.talk.tcp(host.family)
        try:
            if "s" in self.given or "p" in self.given:
                own = literal(self.given.get("s", "")) or Host(host.family, 0)
                sock.reuse, sock.bind_dev = True, own.device(self.talk.stack)
                sock.bind(own.address, int(self.given.get("p", "0")))
        except OSError as error:
            raise Refused(f"nc: bind failed: {reason(error.errno or 0)}\n") from None
        number = yield from self._connect(sock, host, port)
        shown = "" if self.host.partition("%")[0] == host.text else f" ({host.text})"
        if number:
            self._failed(f"{self.host}{shown}", port, number)
            self.talk.drop(sock)
            return 1
        if self.verbose:
            named = "*" if "n" in self.given else SERVICES.get(port, "*")
            kind = "udp" if self.udp else "tcp"
            self.proc.write_err(f"Connection to {self.host}{shown} {port} port [{kind}/{named}] succeeded!\n")
        if not self.scan:
            yield from (self._datagrams(sock) if self.udp else self._converse(sock))
        self.talk.drop(sock)
        return 0

    def _connect(self, sock: Any, host: Host, port: int) -> Generator[Any, Any, int]:
        if not self.udp:
            by = None if self.wait_ns is None else self.talk.now + self.wait_ns
            return (yield from self.talk.connect(sock, host, port, by))
        try:
            sock.connect(host.address, port, host.device(self.talk.stack))
        except OSError as error:
            return error.errno or errno.EIO
        return (yield from self._udp_answers(sock)) if self.scan and self.verbose else 0

    def _udp_answers(self, sock: Any) -> Generator[Any, Any, int]:
        """Four datagrams a second apart: a port is taken to be open unless an error comes back."""
        for _ in range(4):
            sock.send(b"X")
            if (yield from self.talk.until(lambda: sock.errors, self.talk.now + SECOND)):
                return int(sock.errors[0].errno)
        return 0

    def _failed(self, shown: str, port: int, number: int) -> None:
        if not self.verbose:
            return
        text = f"failed: {reason(number)}"
        if number == errno.EINPROGRESS:
            text = "timed out: Operation now in progress"
        if not (self.udp and self.scan):
            self.proc.write_err(f"nc: connect to {shown} port {port} ({'udp' if self.udp else 'tcp'}) {text}\n")

    # -- conversation -----------------------------------------------------------------------------------------------

    def _converse(self, sock: Any) -> Generator[Any, Any, None]:
        """Both ways at once, until both are at their end (readwrite of netcat.c)."""
        left, finished_ns, heard_ns = self.input, None, self.talk.now
        while True:
            try:
                while sock.readable and (data := sock.recv()):
                    self.proc.write(data)
                    heard_ns = self.talk.now
                while left and sock.writable:
                    left = left[sock.send(left[:16_384]) :]
                if not left and finished_ns is None:
                    yield self.proc.lab.env.timeout(0)  # who was woken by the data runs before the end is found
                    finished_ns = self.talk.now
                    if "N" in self.given and sock.connected:
                        sock.shutdown()
                    continue
            except OSError:
                return
            if sock.eof and (not left or not sock.connected):
                return
            by = self._deadline(heard_ns, finished_ns)
            if by is not None and self.talk.now >= by:
                return
            yield self.talk.waiter.until(by)

    def _deadline(self, heard_ns: int, finished_ns: int | None) -> int | None:
        """-w: silence; -q: so long after the end of the input."""
        ends = [] if self.wait_ns is None else [max(heard_ns, finished_ns or 0) + self.wait_ns]
        if self.quit_ns is not None and finished_ns is not None:
            ends.append(finished_ns + self.quit_ns)
        return min(ends, default=None)

    def _datagrams(self, sock: Any) -> Generator[Any, Any, None]:
        """The input in one datagram, then what comes back."""
        began = self.talk.now
        try:
            for at in range(0, len(self.input), 16_384):
                sock.send(self.input[at : at + 16_384])
            while not sock.errors:
                while sock.queue:
                    self.proc.write(sock.queue.popleft().data)
                    began = self.talk.now
                by = self._deadline(began, began)
                if by is not None and self.talk.now >= by:
                    return
                yield self.talk.waiter.until(by)
        except OSError:
            return

    # -- listening --------------------------------------------------------------------------------------------------

    def _listen(self) -> Running:
        found, port = find_all(self.proc, self.host, self.family), self.ports[0]
        if isinstance(found, str):
            raise Refused(f"nc: getaddrinfo: {found}\n")
        host = found[0]
        sock: Any = self.talk.udp(host.family) if self.udp else self.talk.tcp(host.family)
        sock.reuse, sock.bind_dev = True, host.device(self.talk.stack)
        sock.reuseport = True  # so that several may listen
        try:
            sock.bind(host.address, port)
        except OSError as error:
            raise Refused(f"nc: {reason(error.errno or 0)}\n") from None
        if self.verbose:
            self.proc.write_err(f"{'Bound' if self.udp else 'Listening'} on {self.host} {port}\n")
        if self.udp:
            return (yield from self._hear(sock))
        sock.listen(1)
        while True:
            child = yield from self.talk.accept(sock)
            if self.verbose:
                self.proc.write_err(f"Connection received on {child.text(child.peer[0])} {child.peer[1]}\n")
            yield from self._converse(child)
            self.talk.drop(child)
            if "k" not in self.given:
                return 0

    def _hear(self, sock: Any) -> Running:
        """UDP: the first sender is the one to talk to."""
        yield from self.talk.until(lambda: sock.queue)
        first = sock.queue[0]
        if self.verbose:
            self.proc.write_err(f"Connection received on {sock.text(first.src)} {first.sport}\n")
        if "k" not in self.given:
            sock.connect(first.src, first.sport, first.dev if sock.family.near(first.src) else None)
        yield from self._datagrams(sock)
        return 0


def _ports(text: str) -> list[int]:
    """A port, or a range lo-hi."""
    low, dash, high = text.partition("-")
    numbers = []
    for word in (low, high) if dash else (low,):
        if not word.isdigit():
            named = next((port for port, name in SERVICES.items() if name == word), None)
            if named is None:
                raise Refused(f'nc: service "{word}" unknown\n')
            word = str(named)
        if not 1 <= int(word) <= 65_535:
            raise Refused(f"nc: port number too {'small' if int(word) < 1 else 'large'}: {word}\n")
        numbers.append(int(word))
    return list(range(min(numbers), max(numbers) + 1))


def main(proc: Process) -> Generator[Any, Any, int]:
    """Run nc."""
    return (yield from run(proc, Nc))
