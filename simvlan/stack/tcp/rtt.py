"""The round-trip time and the retransmission timeout.

RFC 6298 as tcp_rtt_estimator and __tcp_set_rto of net/ipv4/tcp_input.c have it: the deviation that counts is the
largest of the last round trip, falls slowly, and is never below the least timeout; so the timeout is at least
the smoothed RTT and 200 ms.
"""

from __future__ import annotations

from simvlan.stack.tcp.config import RTO_INIT_NS, RTO_MAX_NS


class RttEstimator:
    """Smoothed RTT, deviation and timeout of one connection, in ns."""

    __slots__ = ("_mdev", "_mdev_max", "_round_end", "min_ns", "rto_min_ns", "srtt_ns", "var_ns")

    def __init__(self, rto_min_ns: int) -> None:
        self.rto_min_ns = rto_min_ns
        self.srtt_ns = 0
        """0: nothing measured yet."""
        self.var_ns = 0
        """Four times the deviation, as it enters the timeout."""
        self.min_ns = 0
        self._mdev = 0
        self._mdev_max = 0
        self._round_end = 0

    def sample(self, rtt_ns: int, una: int, nxt: int, latest_ns: int = 0) -> None:
        """Take a measurement; *una* and *nxt* tell the rounds apart; *latest_ns*: the last of several."""
        rtt_ns = max(rtt_ns, 1000)
        latest_ns = max(latest_ns or rtt_ns, 1000)
        self.min_ns = min(self.min_ns, latest_ns) if self.min_ns else latest_ns
        if not self.srtt_ns:
            self.srtt_ns = rtt_ns
            self._mdev = 2 * rtt_ns
            self.var_ns = self._mdev_max = max(self._mdev, self.rto_min_ns)
            self._round_end = nxt
            return
        self._deviate(rtt_ns - self.srtt_ns)
        self.srtt_ns += (rtt_ns - self.srtt_ns) // 8
        if una > self._round_end:
            self._next_round(nxt)

    def _deviate(self, error: int) -> None:
        """A quarter of a larger error; of a smaller one in a falling RTT, a thirty-second (Eifel's remark)."""
        gap = abs(error) - self._mdev // 4
        if error < 0 < gap:
            gap //= 8
        self._mdev += gap
        self._mdev_max = max(self._mdev_max, self._mdev)
        self.var_ns = max(self.var_ns, self._mdev_max)

    def _next_round(self, nxt: int) -> None:
        if self._mdev_max < self.var_ns:
            self.var_ns -= (self.var_ns - self._mdev_max) // 4
        self._round_end = nxt
        self._mdev_max = self.rto_min_ns

    @property
    def rto_ns(self) -> int:
        """The timeout before any backing off."""
        return min(self.srtt_ns + self.var_ns, RTO_MAX_NS) if self.srtt_ns else RTO_INIT_NS
