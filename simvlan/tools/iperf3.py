"""iperf3 3.12: how much a path carries, over TCP or UDP (-u), in virtual time; its protocol, its text, its JSON (-J).

A control connection carries one octet per state and the parameters and results as JSON; the data have a connection of
their own. One stream, from client to server: -P, -R and --bidir are refused.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import simpy

from simvlan.tools.common import SECOND, Refused, dotted, find, permute
from simvlan.tools.iperf_text import RULE, Interval, heading
from simvlan.tools.program import Process
from simvlan.tools.talk import Talk, reason

SPEC = "46sc:p:t:i:ub:l:JD1C:n:P:Rw:M:NVfB:k:h"
BUILT = frozenset("4scptiublJ1C")
PARAM, CREATE, START, RUNNING, END, EXCHANGE, DISPLAY, DONE = 9, 10, 1, 2, 4, 13, 14, 16
COOKIE = 37
BLOCK = 131_072
MS = 1_000_000

Running = Generator[Any, Any, int]


def quantity(text: str) -> int:
    """`10M` -> 10 000 000."""
    factor = {"K": 10**3, "M": 10**6, "G": 10**9}.get(text[-1:].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    try:
        return round(float(digits) * factor)
    except ValueError:
        raise Refused(f"iperf3: parameter error - invalid number: {text}\n") from None


class Iperf:
    """What client and server share: options, the control connection, what is counted."""

    def __init__(self, proc: Process, given: dict[str, str]) -> None:
        self.proc, self.talk, self.given = proc, Talk(proc), given
        self.port = int(given.get("p", "5201"))
        self.json = "J" in given
        self.udp = "u" in given
        self.control: Any = None
        self.began = 0
        self.lasted = 0.0
        """Seconds from the first octet to the end of sending."""
        self.intervals: list[Interval] = []

    def say(self, text: str) -> None:
        """Print, unless all is to be JSON."""
        if not self.json:
            self.proc.write(text)

    def receive(self, sock: Any, size: int) -> Generator[Any, Any, bytes]:
        """Read exactly so many octets.

        Raises:
            Refused: the other side is gone.
        """
        data = b""
        while len(data) < size:
            yield from self.talk.until(lambda: sock.readable or sock.error)
            piece = sock.recv(size - len(data))
            if not piece and sock.eof:
                raise Refused("iperf3: error - control socket has closed unexpectedly\n")
            data += piece
        return data

    def state(self) -> Generator[Any, Any, int]:
        """The other side's next state."""
        octets = yield from self.receive(self.control, 1)
        return octets[0]

    def expect(self, wanted: int) -> Generator[Any, Any, None]:
        """Wait for a state."""
        while (yield from self.state()) != wanted:
            pass

    def tell(self, state: int) -> None:
        """Say our state."""
        self.control.send(bytes((state,)))

    def put(self, what: dict[str, Any]) -> None:
        """Send JSON behind its length."""
        text = json.dumps(what).encode()
        self.control.send(len(text).to_bytes(4, "big") + text)

    def get(self) -> Generator[Any, Any, dict[str, Any]]:
        """Receive JSON behind its length."""
        size = yield from self.receive(self.control, 4)
        text = yield from self.receive(self.control, int.from_bytes(size, "big"))
        found: dict[str, Any] = json.loads(text)
        return found

    @property
    def since(self) -> float:
        """Seconds since the test began."""
        return (self.talk.now - self.began) / SECOND

    def results(self, size: int, packets: int, lost: int, jitter: float, repeats: int) -> dict[str, Any]:
        """What both sides tell each other at the end."""
        stream = {"id": 1, "bytes": size, "retransmits": repeats, "jitter": jitter, "errors": lost, "packets": packets,
                  "start_time": 0, "end_time": self.lasted}  # fmt: skip
        return {"cpu_util_total": 0, "cpu_util_user": 0, "cpu_util_system": 0, "sender_has_retransmits": -1,
                "streams": [stream]}  # fmt: skip


class Client(Iperf):
    """iperf3 -c."""

    def __init__(self, proc: Process, given: dict[str, str]) -> None:
        super().__init__(proc, given)
        self.seconds = float(given.get("t", "10"))
        self.every = float(given.get("i", "1")) or self.seconds
        self.rate = quantity(given["b"]) if "b" in given else 1_000_000 if self.udp else 0
        address = find(proc, given["c"])
        if isinstance(address, str):
            raise Refused(f"iperf3: error - unable to connect to server: {address}\n")
        self.address = address
        self.data: Any = None
        self.size = self.packets = 0
        self._before = (0, 0, 0)

    def run(self) -> Running:
        """One test."""
        self.say(f"Connecting to host {self.given['c']}, port {self.port}\n")
        cookie = f"{'simvlan':x<36}".encode() + b"\0"
        self.control = yield from self._connect()
        self.control.send(cookie)
        yield from self.expect(PARAM)
        self.length = quantity(self.given["l"]) if "l" in self.given else self._default_length()
        self.put(self._parameters())
        yield from self.expect(CREATE)
        yield from self._open(cookie)
        yield from self.expect(RUNNING)
        here, there = dotted(self.data.src), dotted(self.address)
        self.say(f"[  5] local {here} port {self.data.port} connected to {there} port {self.port}\n")
        self.began = self.talk.now
        self.say(heading(self.udp, sender=True))
        yield from self._load()
        self.lasted = self.since
        self.tell(END)
        yield from self.expect(EXCHANGE)
        sent = Interval(0, self.lasted, self.size, self._repeats(), 0, self.packets)
        self.put(self.results(self.size, self.packets, 0, 0, sent.repeats))
        told = yield from self.get()
        yield from self.expect(DISPLAY)
        self._report(sent, told["streams"][0])
        self.tell(DONE)
        return 0

    def _connect(self) -> Generator[Any, Any, Any]:
        sock = self.talk.tcp()
        sock.congestion = self.given.get("C", "")
        number = yield from self.talk.connect(sock, self.address, self.port)
        if number:
            raise Refused(f"iperf3: error - unable to connect to server: {reason(number)}\n")
        return sock

    def _default_length(self) -> int:
        return self.control.conn.mss if self.udp else BLOCK

    def _parameters(self) -> dict[str, Any]:
        kind = {"udp": True} if self.udp else {"tcp": True}
        return kind | {"omit": 0, "time": self.seconds, "parallel": 1, "len": self.length, "bandwidth": self.rate,
                       "pacing_timer": 1000, "client_version": "3.12"}  # fmt: skip

    def _open(self, cookie: bytes) -> Generator[Any, Any, None]:
        """The stream: a connection that begins with the cookie, or a datagram that is answered."""
        if not self.udp:
            self.data = yield from self._connect()
            self.data.send(cookie)
            return
        self.data = self.talk.udp()
        self.data.connect(self.address, self.port)
        self.data.send(b"9876")
        yield from self.talk.until(lambda: self.data.queue)
        self.data.queue.clear()

    def _load(self) -> Generator[Any, Any, None]:
        """Send until the time is over, reporting as it passes."""
        end = self.began + round(self.seconds * SECOND)
        report = self.began + round(self.every * SECOND)
        block, left = bytes(self.length), 0
        while self.talk.now < end:
            due = self._allowed()
            if due > self.talk.now:
                yield self.talk.proc.lab.env.timeout(min(due, report, end) - self.talk.now)
            elif self.udp:
                self._datagram(block)
            elif self.data.writable:
                taken = self.data.send(block[left:])
                left = (left + taken) % self.length
                self.size += taken
            else:
                yield self.talk.waiter.until(min(report, end))
            if not self.udp and self.data.error:
                raise Refused(f"iperf3: error - unable to write to stream socket: {reason(self.data.error)}\n")
            if self.talk.now >= report:
                self._interval()
                report += round(self.every * SECOND)
        if not self.intervals or self.intervals[-1].end < self.since:
            self._interval()

    def _allowed(self) -> int:
        """When more may go at the wanted rate; looked at each millisecond for TCP, as the pacing timer does."""
        if not self.rate:
            return 0
        due = self.began + self.size * 8 * SECOND // self.rate
        return due if self.udp else -(-due // MS) * MS

    def _datagram(self, block: bytes) -> None:
        self.packets += 1
        now = self.talk.now
        head = (now // SECOND).to_bytes(4, "big") + (now % SECOND // 1000).to_bytes(4, "big")
        self.data.send(head + self.packets.to_bytes(4, "big") + block[12:])
        self.size += len(block)

    def _repeats(self) -> int:
        return 0 if self.udp or self.data.conn is None else int(self.data.conn.queue.repeats)

    def _interval(self) -> None:
        size, packets, repeats = self._before
        cwnd = 0 if self.udp else self.data.conn.cc.cwnd * self.data.conn.mss
        self.intervals.append(Interval(
            self.intervals[-1].end if self.intervals else 0.0, self.since, self.size - size, self._repeats() - repeats,
            cwnd, self.packets - packets,
        ))  # fmt: skip
        self._before = (self.size, self.packets, self._repeats())
        self.say(self.intervals[-1].sending(5, self.udp))

    def _report(self, sent: Interval, theirs: dict[str, Any]) -> None:
        got = Interval(0, theirs["end_time"], theirs["bytes"], 0, 0, theirs["packets"], theirs["errors"],
                       theirs["jitter"] * 1000)  # fmt: skip
        self.say(RULE + heading(self.udp, sender=True, total=True))
        self.say(sent.total(5, self.udp, "sender") + got.total(5, self.udp, "receiver") + "\niperf Done.\n")
        if self.json:
            self.proc.write(json.dumps(self._json(sent, got), indent="\t") + "\n")

    def _json(self, sent: Interval, got: Interval) -> dict[str, Any]:
        connected = {"socket": 5, "remote_host": dotted(self.address), "remote_port": self.port}
        test = {"protocol": "UDP" if self.udp else "TCP", "num_streams": 1, "blksize": self.length, "omit": 0,
                "duration": self.seconds, "reverse": 0, "target_bitrate": self.rate}  # fmt: skip
        rows = [i.as_json(self.udp, True) for i in self.intervals]
        end: dict[str, Any] = {"streams": [{"sender": sent.as_json(self.udp, True),
                                            "receiver": got.as_json(self.udp, False)}]}  # fmt: skip
        end |= {"sum_sent": sent.as_json(self.udp, True), "sum_received": got.as_json(self.udp, False)}
        if self.udp:
            end["sum"] = got.as_json(True, False)
        else:
            end["sender_tcp_congestion"] = self.data.conn.cc.name
        return {
            "start": {"connected": [connected], "version": "iperf 3.12", "test_start": test},
            "intervals": [{"streams": [row], "sum": row} for row in rows],
            "end": end,
        }


class Server(Iperf):
    """iperf3 -s."""

    _transit: float | None
    """How long the last datagram took, as the two clocks tell it."""

    def run(self) -> Running:
        """Test after test; with -1 only one."""
        listener = self.talk.tcp()
        listener.reuse = True
        try:
            listener.bind(0, self.port)
        except OSError as error:
            raise Refused(f"iperf3: error - unable to start listener for connections: {error.strerror}\n") from None
        listener.listen(5)
        number = 1
        while True:
            line = "-" * 59
            self.say(f"{line}\nServer listening on {self.port} (test #{number})\n{line}\n")
            try:
                yield from self._test(listener)
            except Refused as refused:
                self.proc.write_err(str(refused))
            if "1" in self.given:
                return 0
            number += 1

    def _test(self, listener: Any) -> Generator[Any, Any, None]:
        self.control = yield from self.talk.accept(listener)
        peer, port = self.control.peer
        self.say(f"Accepted connection from {dotted(peer)}, port {port}\n")
        yield from self.receive(self.control, COOKIE)
        self.tell(PARAM)
        wanted = yield from self.get()
        self.udp = bool(wanted.get("udp"))
        self.intervals = []
        self.size = self.packets = self.lost = 0
        self.jitter, self._transit, self._seen = 0.0, None, 0
        udp = self._bound() if self.udp else None
        self.tell(CREATE)
        data = yield from (self._datagram_stream(udp) if self.udp else self._stream(listener))
        self.began = self.talk.now
        self.tell(START)
        self.tell(RUNNING)
        self.say(heading(self.udp, sender=False))
        yield from self._count(data)
        self.lasted = self.since
        self._interval()
        self.tell(EXCHANGE)
        yield from self.get()
        self.put(self.results(self.size, self.packets, self.lost, self.jitter / 1000, -1))
        self.tell(DISPLAY)
        self._totals()
        yield from self.expect(DONE)
        self.talk.drop(data)
        self.talk.drop(self.control)

    def _bound(self) -> Any:
        sock = self.talk.udp()
        sock.bind(0, self.port)
        return sock

    def _stream(self, listener: Any) -> Generator[Any, Any, Any]:
        data = yield from self.talk.accept(listener)
        yield from self.receive(data, COOKIE)
        self._connected(data.src, *data.peer)
        return data

    def _datagram_stream(self, sock: Any) -> Generator[Any, Any, Any]:
        yield from self.talk.until(lambda: sock.queue)
        first = sock.queue.popleft()
        sock.connect(first.src, first.sport)
        sock.send(b"6789")
        self._connected(first.dst, first.src, first.sport)
        return sock

    def _connected(self, mine: int, peer: int, port: int) -> None:
        self.say(f"[  5] local {dotted(mine)} port {self.port} connected to {dotted(peer)} port {port}\n")

    def _count(self, data: Any) -> Generator[Any, Any, None]:
        """Count what comes until the client says that it is over."""
        report, self._before = self.began + SECOND, (0, 0, 0)
        while True:
            self._take(data)
            if self.control.readable:
                octet = self.control.recv(1)
                if octet == bytes((END,)):
                    return
                if not octet:
                    raise Refused("iperf3: the client has unexpectedly closed the connection\n")
            if self.talk.now >= report:
                self._interval()
                report += SECOND
                continue
            yield self.talk.waiter.until(report)

    def _take(self, data: Any) -> None:
        if not self.udp:
            while data.readable and (piece := data.recv(1 << 20)):
                self.size += len(piece)
            return
        while data.queue:
            self._datagram(data.queue.popleft())

    def _datagram(self, got: Any) -> None:
        """Count a datagram, the ones missing before it, and how its delay varies (RFC 1889)."""
        seconds, micros, number = (int.from_bytes(got.data[at : at + 4], "big") for at in (0, 4, 8))
        self.size += len(got.data)
        self.lost += max(0, number - self._seen - 1) if number > self._seen else -1
        self._seen = max(self._seen, number)
        self.packets = self._seen
        transit = got.time_ns / MS - (seconds * 1000 + micros / 1000)
        if self._transit is not None:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit

    def _interval(self) -> None:
        size, packets, lost = self._before
        start = self.intervals[-1].end if self.intervals else 0.0
        if self.since > start:
            self.intervals.append(Interval(
                start, self.since, self.size - size, 0, 0, self.packets - packets, self.lost - lost, self.jitter
            ))  # fmt: skip
            self.say(self.intervals[-1].receiving(5, self.udp))
        self._before = (self.size, self.packets, self.lost)

    def _totals(self) -> None:
        whole = Interval(0, self.lasted, self.size, 0, 0, self.packets, self.lost, self.jitter)
        self.say(RULE + heading(self.udp, sender=False) + whole.total(5, self.udp, "receiver"))


def _options(proc: Process) -> dict[str, str]:
    words = [{"--json": "-J", "--udp": "-u", "--server": "-s", "--one-off": "-1"}.get(w, w) for w in proc.argv[1:]]
    flags, _, fault = permute(words, SPEC)
    given = dict(flags)
    if fault or ("s" in given) == ("c" in given):
        raise Refused(f"iperf3: parameter error - {fault or 'must either be a client (-c) or server (-s)'}\n")
    for flag in given:
        if flag not in BUILT or (flag == "J" and "s" in given):
            raise Refused(f"simvlan: iperf3 -{flag} is not built\n")
    for flag in "pti":
        if flag in given and not given[flag].replace(".", "", 1).isdigit():
            raise Refused(f"iperf3: parameter error - invalid number: {given[flag]}\n")
    return given


def main(proc: Process) -> Generator[Any, Any, int]:
    """Run iperf3."""
    iperf: Iperf | None = None
    try:
        given = _options(proc)
        iperf = Server(proc, given) if "s" in given else Client(proc, given)
        return (yield from iperf.run())
    except Refused as refused:
        proc.write_err(str(refused))
        return 1
    except OSError as error:
        proc.write_err(f"iperf3: error - {error.strerror}\n")
        return 1
    except simpy.Interrupt as signal:
        return {"SIGINT": 1, "SIGTERM": 1}.get(str(signal.cause), 137)
    finally:
        if iperf is not None:
            iperf.talk.close()
