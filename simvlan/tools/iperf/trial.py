"""One test at one end: the control connection, the streams, the reports. Client and server are built on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from typing import Any

from simvlan.clock import SECOND
from simvlan.tools.common import Refused
from simvlan.tools.iperf.options import Options
from simvlan.tools.iperf.stream import Stream
from simvlan.tools.iperf.text import RULE, Interval, heading, summed
from simvlan.tools.program import Process
from simvlan.tools.talk import Talk

PARAM, CREATE, START, RUNNING, END, EXCHANGE, DISPLAY, DONE, DENIED = 9, 10, 1, 2, 4, 13, 14, 16, 255
COOKIE, BLOCK = 37, 131_072
AT_ONCE = 1 << 25
"""Octets a stream in one instant, eight send buffers, after which a path is taken to need no time at all."""


TIMELESS = (
    "simvlan: iperf3: nothing on this path takes time, so a test of so many seconds never ends: give a device a rate"
    " (tc qdisc add dev DEV root netem rate 1gbit) or say how much (-n)\n"
)


class Closed(Refused):
    """The other side is gone."""


class Trial:
    """What client and server share.

    Args:
        options: the command line's; a server takes the test's own from its client.
    """

    letter = "C"
    """`C` of a client, `S` of a server, as roles are shown."""

    def __init__(self, proc: Process, options: Options) -> None:
        self.proc, self.talk, self.options = proc, Talk(proc, 3 if options.server else 4), options
        self.control: Any = None
        self.streams: list[Stream] = []
        self.sums: list[list[Interval]] = []
        """For each report, the sum of each direction."""
        self.began = 0
        self.log = ""
        """All that was said of this test."""
        self._sent_at = (0, 0)
        self.omitting = False
        """Whether the beginning that does not count (-O) lasts."""

    def say(self, text: str) -> None:
        """Print, unless all is to be JSON; -T stands before each line."""
        self.log += text
        if not self.options.json:
            title = f"{self.options.title}:  " if self.options.title else ""
            self.write("".join(title + line for line in text.splitlines(keepends=True)) if title else text)

    def tell_more(self, text: str) -> None:
        """Print what only -V asks for."""
        if self.options.verbose:
            self.say(text)

    def write(self, text: str) -> None:
        """Write to standard output, or behind what is in the file of --logfile."""
        if not self.options.logfile:
            self.proc.write(text)
            return
        with self.proc.open(self.options.logfile, "ab") as file:
            file.write(text.encode())

    @property
    def since(self) -> float:
        """Seconds since the test began."""
        return (self.talk.now - self.began) / SECOND

    @property
    def several(self) -> bool:
        """Whether sums are shown."""
        return self.options.parallel > 1

    # -- control ----------------------------------------------------------------------------------------------------

    def receive(self, sock: Any, size: int) -> Generator[Any, Any, bytes]:
        """Read exactly so many octets. Raises Closed."""
        data = b""
        while len(data) < size:
            yield from self.talk.until(lambda: sock.readable or sock.error)
            piece = sock.recv(size - len(data))
            if not piece and sock.eof:
                raise Closed("iperf3: error - control socket has closed unexpectedly\n")
            data += piece
        return data

    def expect(self, wanted: int) -> Generator[Any, Any, None]:
        """Wait for a state."""
        while True:
            octets = yield from self.receive(self.control, 1)
            if octets[0] == wanted:
                return
            if octets[0] == DENIED:
                raise Refused("iperf3: error - the server is busy running a test. try again later\n")

    def tell(self, state: int) -> None:
        """Say our state."""
        self.control.send(bytes((state,)))

    def put(self, what: dict[str, Any]) -> Generator[Any, Any, None]:
        """Send JSON behind its length."""
        text = json.dumps(what).encode()
        yield from self.talk.send(self.control, len(text).to_bytes(4, "big") + text)

    def get(self) -> Generator[Any, Any, dict[str, Any]]:
        """Receive JSON behind its length."""
        size = yield from self.receive(self.control, 4)
        text = yield from self.receive(self.control, int.from_bytes(size, "big"))
        found: dict[str, Any] = json.loads(text)
        return found

    # -- streams ----------------------------------------------------------------------------------------------------

    def directions(self) -> list[bool]:
        """For each stream, in order, whether this end sends on it."""
        first = (self.letter == "C") is not self.options.reverse
        ways = [first] * self.options.parallel
        return ways + [not first] * self.options.parallel if self.options.bidir else ways

    def add(self, number: int, sock: Any) -> Stream:
        """Take a connection as the next stream."""
        sending = self.directions()[len(self.streams)]
        role = f"{'TX' if sending else 'RX'}-{self.letter}" if self.options.bidir else ""
        made = Stream(number, sock, sending=sending, udp=self.options.udp, role=role)
        self.streams.append(made)
        return made

    def connected(self, here: str, port: int, there: str, peer: int, number: int) -> None:
        """The line of a new stream."""
        self.say(f"[{number:3}] local {here} port {port} connected to {there} port {peer}\n")

    def flow(self, end_ns: int | None, over: Callable[[], bool]) -> Generator[Any, Any, None]:
        """Send and count until it is over, reporting as time passes."""
        block, every = bytes(self.options.length or BLOCK), round(self.options.every * SECOND)
        report = self.began + every if every else None
        omitting = self.began + self.options.omit * SECOND if self.options.omit else None
        while True:
            for each in self.streams:
                each.take()
            if report is not None and self.talk.now >= report:
                self.report()
                report += every
            if omitting is not None and self.talk.now >= omitting:
                omitting, report = None, self.talk.now + every if every else None
                self._restart()
            if over() or (end_ns is not None and self.talk.now >= end_ns):
                break
            moved, due = self._push(block, over)
            if not moved:
                moments = [moment for moment in (report, end_ns, due, omitting) if moment is not None]
                yield self.talk.waiter.until(min(moments, default=None))
        for each in self.streams:
            each.ended = self.since
        if any(each.start < self.since for each in self.streams):
            self.report()

    def _restart(self) -> None:
        """What was until now is left out; from here on it counts (iperf_omit_timer_proc)."""
        if any(each.start < self.since for each in self.streams):
            self.report()
        self.began, self.omitting = self.talk.now, False
        for each in self.streams:
            each.restart()

    def _push(self, block: bytes, over: Callable[[], bool]) -> tuple[bool, int | None]:
        """A block on each stream that may send; whether one went, and when the next may."""
        moved, soonest = False, None
        for each in self.streams:
            if not each.sending:
                continue
            due = each.due(self.began, self.options.rate)
            if due > self.talk.now:
                soonest = due if soonest is None else min(soonest, due)
            elif not over():
                moved = self._pushed(each, block) or moved
        return moved, soonest

    def _pushed(self, each: Stream, block: bytes) -> bool:
        if each.sock.error if not self.options.udp else False:
            raise OSError(each.sock.error, "")
        before, (at, count) = each.size, self._sent_at
        moved = each.push(block, self.talk.now)
        self._sent_at = (self.talk.now, (count if at == self.talk.now else 0) + each.size - before)
        if self._sent_at[1] > AT_ONCE * len(self.streams):
            raise Refused(TIMELESS)
        return moved

    # -- reports ----------------------------------------------------------------------------------------------------

    def head(self, total: bool = False) -> None:
        """The line above the reports."""
        o = self.options
        sending = total if self.letter == "C" else self.directions()[0]
        sending = sending or self.directions()[0]
        self.say(heading(o.udp, sending=sending, bidir=o.bidir, total=total))

    def report(self) -> None:
        """A line for each stream, and their sums."""
        if self.several and self.sums:
            self.say(RULE)
        sums = []
        for part in self.by_direction():
            made = [found for each in part if (found := each.report(self.since, self.omitting)) is not None]
            if made:
                sums.append(summed(made))
                self._lines(made, sums[-1])
        self.sums.append(sums)

    def _lines(self, made: list[Interval], total: Interval) -> None:
        for each in [*made, total] if self.several else made:
            self.say(each.line(self.options.udp, self.options.unit))

    def by_direction(self) -> Iterable[list[Stream]]:
        """The streams of the first direction, then of the other."""
        count = self.options.parallel
        return [part for part in (self.streams[:count], self.streams[count:]) if part]

    def results(self) -> dict[str, Any]:
        """What both sides tell each other at the end."""
        rows = [
            {"id": at + 1, "bytes": s.size, "retransmits": s.repeats if s.sending and not s.udp else -1,
             "jitter": s.jitter / 1000, "errors": s.lost, "packets": s.packets, "start_time": 0, "end_time": s.ended}
            for at, s in enumerate(self.streams)
        ]  # fmt: skip
        has = int(not self.options.udp) if any(s.sending for s in self.streams) else -1
        return {"cpu_util_total": 0, "cpu_util_user": 0, "cpu_util_system": 0, "sender_has_retransmits": has,
                "congestion_used": self.congestion, "streams": rows}  # fmt: skip

    @property
    def congestion(self) -> str:
        """The congestion control of the streams."""
        conn = None if self.options.udp or not self.streams else self.streams[0].sock.conn
        return "" if conn is None else str(conn.cc.name)


def plain(sock: Any, address: int) -> str:
    """An address of a socket's, without ::ffff: (mapped_v4_to_regular_v4)."""
    return str(sock.family.text(address))


def names_of(sock: Any) -> tuple[str, str, int]:
    """Both ends of a stream: our address, theirs, their port."""
    address, port = sock.peer
    return plain(sock, sock.src), plain(sock, address), port
