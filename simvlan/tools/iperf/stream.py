"""One stream of an iperf3 test at one end: what it sends or counts, in all and since the last report."""

from __future__ import annotations

from typing import Any

from simvlan.clock import MILLISECOND, SECOND
from simvlan.tools.iperf.text import Interval


class Stream:
    """A socket that is written to or read from.

    Args:
        number: what stands in brackets; real iperf3 shows the file descriptor.
        sock: a connected TCP or UDP socket.
        sending: which way it goes.
    """

    def __init__(self, number: int, sock: Any, *, sending: bool, udp: bool, role: str = "") -> None:
        self.number, self.sock, self.sending, self.udp, self.role = number, sock, sending, udp, role
        self.size = self.packets = self.lost = 0
        self.jitter = 0.0
        self.intervals: list[Interval] = []
        self.names = ("", "", 0)
        """A server's stream: our address, the other side's and its port."""
        self.ended = 0.0
        """Seconds of the test when it was over."""
        self.most_cwnd = self.most_window = 0
        self.rtts: list[int] = []
        """Microseconds, at each report."""
        self._left = self._seen = self._number = 0
        self._uncounted = (0, 0)
        """Segments sent again, and the last datagram, of the time that does not count."""
        self.start = 0.0
        """Where the next interval begins."""
        self._transit: float | None = None
        self._before = (0, 0, 0, 0)

    @property
    def repeats(self) -> int:
        """Segments sent again."""
        return self._all_repeats - self._uncounted[0]

    @property
    def _all_repeats(self) -> int:
        return 0 if self.udp or not self.sending or self.sock.conn is None else int(self.sock.conn.queue.repeats)

    def restart(self) -> None:
        """From here on it counts (iperf_reset_stats)."""
        self._uncounted = (self._all_repeats, self._seen)
        self.size = self.packets = self.lost = 0
        self._before, self.start = (0, 0, 0, 0), 0.0

    # -- sending ----------------------------------------------------------------------------------------------------

    def due(self, began: int, rate: int) -> int:
        """When more may go at the wanted rate; looked at each millisecond for TCP, as the pacing timer does."""
        if not rate:
            return 0
        at = began + self.size * 8 * SECOND // rate
        return at if self.udp else -(-at // MILLISECOND) * MILLISECOND

    def push(self, block: bytes, now: int) -> bool:
        """Write one block, as much of it as there is room for; whether anything went."""
        if self.udp:
            self._datagram(block, now)
            return True
        if not self.sock.writable:
            return False
        taken = int(self.sock.send(block[self._left :]))
        self._left = (self._left + taken) % len(block)
        self.size += taken
        return taken > 0

    def _datagram(self, block: bytes, now: int) -> None:
        self.packets += 1
        self._number += 1
        head = (now // SECOND).to_bytes(4, "big") + (now % SECOND // 1000).to_bytes(4, "big")
        self.sock.send(head + self._number.to_bytes(4, "big") + block[12:])
        self.size += len(block)

    # -- counting -----------------------------------------------------------------------------------------------------

    def take(self) -> None:
        """Count what has come."""
        if self.sending:
            return
        if not self.udp:
            while self.sock.readable and (piece := self.sock.recv(1 << 20)):
                self.size += len(piece)
            return
        while self.sock.queue:
            self._count(self.sock.queue.popleft())

    def _count(self, got: Any) -> None:
        """Count a datagram, the ones missing before it, and how its delay varies (RFC 1889)."""
        seconds, micros, number = (int.from_bytes(got.data[at : at + 4], "big") for at in (0, 4, 8))
        self.size += len(got.data)
        self.lost += max(0, number - self._seen - 1) if number > self._seen else -1
        self._seen = max(self._seen, number)
        self.packets = self._seen - self._uncounted[1]
        transit = got.time_ns / MILLISECOND - (seconds * 1000 + micros / 1000)
        if self._transit is not None:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit

    # -- reports ----------------------------------------------------------------------------------------------------

    def report(self, now_s: float, omitted: bool = False) -> Interval | None:
        """What happened since the last report; None where no time has passed."""
        start = self.start
        if now_s <= start:
            return None
        size, packets, lost, repeats = self._before
        made = Interval(
            start, now_s, self.size - size, self.repeats - repeats, self._window(), self.packets - packets,
            self.lost - lost, self.jitter, rtt_us=self.rtts[-1] if self.rtts else 0,
            sending=self.sending, number=self.number, role=self.role, omitted=omitted,
        )  # fmt: skip
        self._before, self.start = (self.size, self.packets, self.lost, self.repeats), now_s
        self.intervals.append(made)
        return made

    def _window(self) -> int:
        """The congestion window in octets; notes it and the round trip for the totals."""
        conn = None if self.udp or not self.sending else self.sock.conn
        if conn is None:
            return 0
        cwnd = int(conn.cc.cwnd * conn.mss)
        self.most_cwnd = max(self.most_cwnd, cwnd)
        self.most_window = max(self.most_window, int(conn.peer_window))
        self.rtts.append(int(conn.rtt.srtt_ns) // 1000)
        return cwnd

    def whole(self) -> Interval:
        """The whole test, as this end saw it."""
        jitter = 0.0 if self.sending else self.jitter
        return Interval(
            0, self.ended, self.size, self.repeats, 0, self.packets, 0 if self.sending else self.lost, jitter,
            sending=self.sending, number=self.number, role=self.role,
        )  # fmt: skip
