"""Congestion control: how the window grows, and what a loss does to it. Reno here, CUBIC beside it.

RFC 5681 as net/ipv4/tcp_cong.c counts it: in segments, one more per acknowledged segment in slow start, one more
per window of them afterwards. What happens during recovery is `recovery.py`'s business.
"""

from __future__ import annotations

INFINITE = 0x7FFF_FFFF


class Reno:
    """cwnd and ssthresh in segments."""

    name = "reno"

    def __init__(self, initcwnd: int) -> None:
        self.cwnd = initcwnd
        self.ssthresh = INFINITE
        self._count = 0

    @property
    def slow_start(self) -> bool:
        """Below the threshold."""
        return self.cwnd < self.ssthresh

    def acked(self, packets: int, now: int, una: int, nxt: int) -> None:
        """So many segments were acknowledged while the window was what held us back."""
        if self.slow_start:
            packets = self._rise(packets)
        if packets:
            self._creep(self.cwnd, packets)

    def _rise(self, packets: int) -> int:
        """Slow start; what is left over once the threshold is reached (tcp_slow_start)."""
        grown = min(self.cwnd + packets, self.ssthresh)
        packets -= grown - self.cwnd
        self.cwnd = grown
        return packets

    def _creep(self, per: int, packets: int) -> None:
        """One more for every *per* segments acknowledged (tcp_cong_avoid_ai)."""
        if self._count >= per:
            self._count = 0
            self.cwnd += 1
        self._count += packets
        if self._count >= per:
            more, self._count = divmod(self._count, per)
            self.cwnd += more

    def after_loss(self) -> int:
        """The threshold to come down to (RFC 5681, equation 4)."""
        return max(self.cwnd // 2, 2)

    def reduced(self) -> None:
        """A recovery begins: what was counted towards one more is forgotten (tcp_init_cwnd_reduction)."""
        self._count = 0

    def measured(self, rtt_ns: int, now: int, una: int, nxt: int) -> None:
        """Hear of a round-trip time."""

    def timed_out(self) -> None:
        """Forget what led here: a timeout starts again."""
        self._count = 0

    def idle(self, periods: int, initcwnd: int) -> None:
        """Halve the window for each timeout of silence, not below the first one (tcp_cwnd_restart)."""
        floor = min(self.cwnd, initcwnd)
        self.ssthresh = max(self.ssthresh, self.cwnd * 3 // 4) if self.ssthresh < INFINITE else INFINITE
        self.cwnd = max(self.cwnd >> min(periods, 30), floor)
