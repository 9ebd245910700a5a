"""iperf3 -c: asks a server for a test, sends or receives, says how it went."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simvlan.clock import SECOND
from simvlan.stack.tcp.cubic import CONTROLS
from simvlan.tools.common import Refused
from simvlan.tools.hosts import Host, find_all
from simvlan.tools.iperf import json as written
from simvlan.tools.iperf.options import MOST_BUFFER, Options, bound_to
from simvlan.tools.iperf.text import RULE, Interval, summed
from simvlan.tools.iperf.trial import BLOCK, CREATE, DISPLAY, DONE, END, EXCHANGE, PARAM, RUNNING, Trial
from simvlan.tools.names import look_up
from simvlan.tools.program import Process
from simvlan.tools.talk import reason

_OTHERS = "bbr bic cdg dctcp highspeed htcp hybla illinois lp nv scalable vegas veno westwood yeah"
KNOWN_ELSEWHERE = frozenset(_OTHERS.split())
"""Linux's others."""


class Client(Trial):
    """One test."""

    def __init__(self, proc: Process, options: Options) -> None:
        super().__init__(proc, options)
        self.host = Host(4, 0)
        self.told: dict[str, Any] = {}
        """The server's results."""
        self.cookie = f"{'simvlan':x<36}".encode() + b"\0"

    def run(self) -> Generator[Any, Any, int]:
        """One test; its exit status."""
        yield from self._find()
        self.control = yield from self._connect(plain=True)
        self._introduce()
        self.control.send(self.cookie)
        yield from self.expect(PARAM)
        self._check()
        yield from self.put(self._parameters())
        yield from self.expect(CREATE)
        yield from self._open()
        yield from self.expect(RUNNING)
        yield from self._test()
        return 0

    def _introduce(self) -> None:
        """What is said before the test; with -V of the connection and the machine too (iperf_on_connect)."""
        o, mss = self.options, int(self.control.conn.mss)
        self.tell_more(f"{written.VERSION}\n{written.SYSTEM}\nControl connection MSS {mss}\n")
        if o.udp and not o.length:
            self.tell_more(f"Setting UDP block size to {mss}\n")
        o.length = o.length or (mss if o.udp else BLOCK)
        self.tell_more(f"Time: {written.date(self.talk.now)}\n")
        self.say(f"Connecting to host {o.host}, port {o.port}\n")
        if o.reverse:
            self.say(f"Reverse mode, remote host {o.host} is sending\n")
        self.tell_more(f"      Cookie: {self.cookie[:-1].decode()}\n")
        if not o.udp:
            self.tell_more(f"      TCP MSS: {o.mss}\n" if o.mss else f"      TCP MSS: {mss} (default)\n")
        if o.rate:
            self.tell_more(f"      Target Bitrate: {o.rate}\n")

    def _find(self) -> Generator[Any, Any, None]:
        o = self.options
        yield from look_up(self.proc, o.host, o.family)
        found = find_all(self.proc, o.host, o.family)
        if isinstance(found, str):
            raise Refused(f"iperf3: error - unable to connect to server: {found}\n")
        self.host = found[0]

    def _check(self) -> None:
        """What the kernel refuses of a stream's socket."""
        name = self.options.congestion
        if name in KNOWN_ELSEWHERE:
            raise Refused(f"simvlan: iperf3 -C {name}: only {' and '.join(sorted(CONTROLS))} are modelled\n")
        if name and name not in CONTROLS:
            raise Refused("iperf3: error - unable to set TCP_CONGESTION: Supplied congestion control algorithm not"
                          " supported on this host\n")  # fmt: skip
        if self.options.window > MOST_BUFFER:
            raise Refused("iperf3: error - socket buffer size not set correctly\n")

    def _connect(self, plain: bool = False) -> Generator[Any, Any, Any]:
        sock, o = self.talk.tcp(self.host.family), self.options
        if not plain:
            sock.congestion, sock.maxseg, sock.nodelay, sock.buffer = o.congestion, o.mss, o.nodelay, 2 * o.window
        try:
            if o.bind:
                sock.bind(bound_to(o.bind, self.host.family).address, 0)
        except OSError as error:
            raise Refused(f"iperf3: error - unable to connect to server: {error.strerror}\n") from None
        number = yield from self.talk.connect(sock, self.host, o.port)
        if number:
            raise Refused(f"iperf3: error - unable to connect to server: {reason(number)}\n")
        return sock

    def _parameters(self) -> dict[str, Any]:
        o = self.options
        made: dict[str, Any] = {"udp": True} if o.udp else {"tcp": True}
        made |= {"omit": o.omit, "time": 0 if o.size or o.blocks else o.seconds, "num": o.size, "blockcount": o.blocks}
        made |= {"parallel": o.parallel, "len": o.length, "bandwidth": o.rate, "pacing_timer": 1000}
        wishes = {"reverse": o.reverse, "bidirectional": o.bidir, "window": o.window, "MSS": o.mss,
                  "nodelay": o.nodelay, "congestion": o.congestion,
                  "get_server_output": int(o.server_output)}  # fmt: skip
        return made | {key: value for key, value in wishes.items() if value} | {"client_version": "3.12"}

    def _open(self) -> Generator[Any, Any, None]:
        """The streams: connections that begin with the cookie, or datagrams that are answered."""
        for at in range(len(self.directions())):
            sock = yield from (self._datagrams() if self.options.udp else self._connect())
            if not self.options.udp:
                sock.send(self.cookie)
            self.add(5 + 2 * at, sock)
        for each in self.streams:
            here = each.sock.text(each.sock.src)
            self.connected(here, each.sock.port, self.host.text, self.options.port, each.number)

    def _datagrams(self) -> Generator[Any, Any, Any]:
        sock = self.talk.udp(self.host.family)
        if self.options.bind:
            sock.bind(bound_to(self.options.bind, self.host.family).address, 0)
        sock.connect(self.host.address, self.options.port, self.host.device(self.talk.stack))
        sock.send(b"9876")
        yield from self.talk.until(lambda: sock.queue)
        sock.queue.clear()
        return sock

    # -- the test -----------------------------------------------------------------------------------------------------

    def _test(self) -> Generator[Any, Any, None]:
        o = self.options
        self.began = self.talk.now
        much = f"{o.size} bytes to send" if o.size else f"{o.blocks} blocks to send" if o.blocks else ""
        self.tell_more(
            f"Starting Test: protocol: {'UDP' if o.udp else 'TCP'}, {o.parallel} streams, {o.length} byte blocks, "
            f"omitting {o.omit} seconds, {much or f'{o.seconds:g} second test'}, tos 0\n"
        )
        self.head()
        self.omitting = bool(o.omit)
        limited = o.size or o.blocks
        seconds = o.omit + o.seconds
        yield from self.flow(None if limited else self.began + round(seconds * SECOND), self._enough)
        self.tell(END)
        yield from self.expect(EXCHANGE)
        yield from self.put(self.results())
        self.told = yield from self.get()
        yield from self.expect(DISPLAY)
        self._report()
        self.tell(DONE)

    def _enough(self) -> bool:
        """All that was to go has gone, or come."""
        wanted = self.options.size or self.options.blocks * self.options.length
        return bool(wanted) and not self.omitting and sum(each.size for each in self.streams) >= wanted

    def pairs(self) -> list[tuple[Interval, Interval]]:
        """For each stream what its sender and its receiver counted."""
        made = []
        for each, row in zip(self.streams, self.told["streams"], strict=True):
            theirs = Interval(
                0, row["end_time"], row["bytes"], max(0, row["retransmits"]), 0, row["packets"], row["errors"],
                row["jitter"] * 1000, sending=not each.sending, number=each.number, role=each.role,
            )  # fmt: skip
            made.append((each.whole(), theirs) if each.sending else (theirs, each.whole()))
        return made

    def _report(self) -> None:
        o = self.options
        self.say(RULE)
        self.tell_more("Test Complete. Summary Results:\n")
        self.head(total=True)
        pairs = self.pairs()
        for part in (pairs[: o.parallel], pairs[o.parallel :]):
            for pair in part + (
                [(summed([s for s, _ in part]), summed([r for _, r in part]))] if self.several and part else []
            ):
                self.say(pair[0].total(o.udp, "sender", o.unit) + pair[1].total(o.udp, "receiver", o.unit))
        self._more_at_the_end()
        if self.told.get("server_output_text"):
            self.say(f"\nServer output:\n{self.told['server_output_text']}\n")
        self.say("\niperf Done.\n")
        if o.json:
            self.write(written.of_client(self))

    def _more_at_the_end(self) -> None:
        """With -V: processors' shares, which take no time here, and congestion control."""
        if not self.options.reverse:
            self.tell_more("CPU Utilization: local/sender 0.0% (0.0%u/0.0%s), remote/receiver 0.0% (0.0%u/0.0%s)\n")
        if not self.options.udp:
            ours, theirs = self.congestion, str(self.told.get("congestion_used") or self.congestion)
            sender, receiver = (theirs, ours) if self.options.reverse else (ours, theirs)
            self.tell_more(f"snd_tcp_congestion {sender}\nrcv_tcp_congestion {receiver}\n")

    @property
    def there(self) -> str:
        """The server's address."""
        return self.host.text
