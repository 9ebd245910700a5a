"""iperf3 -s: does the tests that clients ask for, one after the other; who comes meanwhile is told that it is busy."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from simvlan.stack.tcp.listen import SOMAXCONN
from simvlan.tools.common import Refused
from simvlan.tools.iperf import json as written
from simvlan.tools.iperf.options import bound_to
from simvlan.tools.iperf.text import RULE, summed
from simvlan.tools.iperf.trial import (
    BLOCK,
    COOKIE,
    CREATE,
    DENIED,
    DISPLAY,
    DONE,
    END,
    EXCHANGE,
    PARAM,
    RUNNING,
    START,
    Closed,
    Trial,
    names_of,
    plain,
)


class Server(Trial):
    """iperf3 -s."""

    letter = "S"

    def run(self) -> Generator[Any, Any, int]:
        """Test after test; with -1 only one."""
        self.own = bound_to(self.options.bind, self.options.family)
        self.listener = self._open_socket(self.talk.tcp)
        try:
            self.listener.bind(self.own.address, self.options.port)
        except OSError as error:
            raise Refused(f"iperf3: error - unable to start listener for connections: {error.strerror}\n") from None
        self.listener.listen(SOMAXCONN)
        own, number = self.options, 1
        while True:
            line = "-" * 59
            self.say(f"{line}\nServer listening on {own.port} (test #{number})\n{line}\n")
            self.options, self.streams, self.sums, self.log = replace(own), [], [], ""
            try:
                yield from self._test()
            except Closed:
                pass  # the client has gone before the test: nothing is said of it
            except Refused as refused:
                self.proc.write_err(str(refused))
            self._drop()
            self.options = own
            if own.once:
                return 0
            number += 1

    def _drop(self) -> None:
        """Let go of a test's sockets."""
        for sock in [*(each.sock for each in self.streams), self.control]:
            if sock is not None:
                self.talk.drop(sock)
        self.control, self.listener.maxseg, self.listener.buffer = None, 0, 0

    def _test(self) -> Generator[Any, Any, None]:
        self.control = yield from self.talk.accept(self.listener)
        self.say(f"Accepted connection from {plain(self.control, self.control.peer[0])}, port {self.control.peer[1]}\n")
        self.cookie = yield from self.receive(self.control, COOKIE)
        self.tell(PARAM)
        self._agree((yield from self.get()))
        first = self._bound() if self.options.udp else None
        self.tell(CREATE)
        yield from self._open(first)
        self.began = self.talk.now
        self.tell(START)
        self.tell(RUNNING)
        self.head()
        self.omitting = bool(self.options.omit)
        yield from self.flow(None, self._told_to_end)
        self.tell(EXCHANGE)
        yield from self.get()
        self._totals()
        results = self.results()
        if self.wants_output:
            results["server_output_text"] = self.log
        yield from self.put(results)
        self.tell(DISPLAY)
        if self.options.json:
            self.write(written.of_server(self))
        yield from self.expect(DONE)

    def _agree(self, wanted: dict[str, Any]) -> None:
        """Do as the client says."""
        o = self.options
        o.udp, o.length = bool(wanted.get("udp")), int(wanted.get("len", BLOCK))
        o.seconds, o.size, o.blocks = wanted.get("time", 0), wanted.get("num", 0), wanted.get("blockcount", 0)
        o.rate, o.parallel = int(wanted.get("bandwidth", 0)), int(wanted.get("parallel", 1))
        o.reverse, o.bidir = bool(wanted.get("reverse")), bool(wanted.get("bidirectional"))
        o.omit = int(wanted.get("omit", 0))
        o.nodelay, o.congestion = bool(wanted.get("nodelay")), str(wanted.get("congestion", ""))
        self.listener.maxseg, self.listener.buffer = int(wanted.get("MSS", 0)), 2 * int(wanted.get("window", 0))
        self.listener.nodelay, self.listener.congestion = o.nodelay, o.congestion
        self.wants_output = bool(wanted.get("get_server_output"))

    def _bound(self) -> Any:
        sock = self._open_socket(self.talk.udp)
        sock.bind(self.own.address, self.options.port)
        return sock

    def _open_socket(self, make: Callable[[int], Any]) -> Any:
        """A socket of both families, unless -4 or -6 was given or IPv6 is nowhere."""
        wanted = self.own.family if self.options.bind else self.options.family
        sock = make(wanted or (4 if self.talk.stack.ip6 is None else 6))
        sock.reuse, sock.v6only = True, wanted == 6
        return sock

    def _open(self, first: Any) -> Generator[Any, Any, None]:
        """The streams, numbered as the descriptors of a real server."""
        for at in range(len(self.directions())):
            if self.options.udp:
                first = yield from self._datagrams(first, at)
            else:
                yield from self._accepted(at)
        if first is not None:
            self.talk.drop(first)
        for each in self.streams:
            here, peer, port = each.names
            self.connected(here, self.options.port, peer, port, each.number)

    def _accepted(self, at: int) -> Generator[Any, Any, None]:
        while True:
            sock = yield from self._next()
            if (yield from self.receive(sock, COOKIE)) == self.cookie:
                break
            self._deny(sock)
        self.add(5 if not at else 6 + 2 * at, sock).names = names_of(sock)

    def _next(self) -> Generator[Any, Any, Any]:
        """The next connection, while the client is there."""
        yield from self.talk.until(lambda: self.listener.listener.waiting or self.control.eof)
        if not self.listener.listener.waiting:
            raise Closed("")
        return self.talk.own(self.listener.accept())

    def _datagrams(self, sock: Any, at: int) -> Generator[Any, Any, Any]:
        """The first datagram of a stream is answered by the socket that is then its own; another takes its place."""
        yield from self.talk.until(lambda: sock.queue or self.control.eof)
        if not sock.queue:
            raise Closed("")
        got = sock.queue.popleft()
        sock.connect(got.src, got.sport, got.dev if sock.family.near(got.src) else None)
        again = self._bound()
        sock.send(b"6789")
        self.add((5, 6)[at] if at < 2 else 5 + 2 * at, sock).names = names_of(sock)
        return again

    def _told_to_end(self) -> bool:
        """The client says that it is over."""
        while self.listener.listener.waiting:
            self._deny(self.talk.own(self.listener.accept()))
        if not self.control.readable:
            return False
        octet = self.control.recv(1)
        if not octet:
            raise Refused("iperf3: the client has unexpectedly closed the connection\n")
        return bool(octet[0] == END)

    def _deny(self, sock: Any) -> None:
        """Another client has to wait."""
        sock.send(bytes((DENIED,)))
        self.talk.drop(sock)

    def _totals(self) -> None:
        """What this end knows: its own side."""
        self.say(RULE)
        self.head(total=True)
        for part in self.by_direction():
            rows = [each.whole() for each in part]
            for row in [*rows, summed(rows)] if self.several else rows:
                self.say(row.total(self.options.udp, "sender" if row.sending else "receiver", self.options.unit))
