"""CUBIC: the window as a cubic function of the time since the last loss (RFC 9438).

Mirrors net/ipv4/tcp_cubic.c: C = 0.4, beta = 717/1024, fast convergence, friendliness to Reno, and its way out of slow
start (HyStart: the ACK train is as long as half the round trip, or the delay has risen). Integers throughout,
time in milliseconds where it is cubed.
"""

from __future__ import annotations

from simvlan.clock import MILLISECOND
from simvlan.stack.tcp.congestion import INFINITE, Reno

BETA, SCALE = 717, 1024
HYSTART_FROM = 16
HYSTART_SAMPLES = 8
HYSTART_GAP_NS = 2 * MILLISECOND


def cube_root(value: int) -> int:
    """The integer part of a cube root."""
    if value <= 0:
        return 0
    root = 1 << -(-value.bit_length() // 3)
    while True:
        better = (2 * root + value // (root * root)) // 3
        if better >= root:
            return root
        root = better


class Cubic(Reno):
    """CUBIC's memory: the window of the last loss, the epoch since, and the slow start's HyStart round."""

    name = "cubic"

    def __init__(self, initcwnd: int) -> None:
        super().__init__(initcwnd)
        self.last_max = 0
        self._epoch: int | None = None
        self._origin = 0
        self._k_ms = 0
        self._reno = 0
        self._reno_acks = 0
        self._delay_min = 0
        self._round_end = -1
        self._round_start = self._last_ack = 0
        self._round_min = 0
        self._samples = 0

    def acked(self, packets: int, now: int, una: int, nxt: int) -> None:
        """Slow start, then towards the cubic's value one round trip ahead (bictcp_cong_avoid)."""
        if self.slow_start:
            packets = self._rise(packets)
        if packets:
            self._creep(self._pace(packets, now), packets)

    # -- the cubic --------------------------------------------------------------------------------------------------

    def _pace(self, packets: int, now: int) -> int:
        """How many acknowledged segments make one more (bictcp_update)."""
        if self._epoch is None:
            self._begin(now)
        self._reno_acks += packets
        assert self._epoch is not None
        target = self.curve((now - self._epoch + self._delay_min) // MILLISECOND)
        cwnd = self.cwnd
        per = cwnd // (target - cwnd) if target > cwnd else 100 * cwnd
        if not self.last_max:
            per = min(per, 20)
        return max(self._friendly(per), 2)

    def _begin(self, now: int) -> None:
        """Start an epoch: the plateau is where the last loss was."""
        self._epoch, self._reno_acks, self._reno = now, 0, self.cwnd
        self._origin = max(self.last_max, self.cwnd)
        self._k_ms = cube_root((self._origin - self.cwnd) * 2_500_000_000)

    def curve(self, t_ms: int) -> int:
        """W(t) = C (t - K)^3 + W_max, in segments."""
        off = t_ms - self._k_ms
        cubed = abs(off) ** 3 * 2 // 5_000_000_000
        return self._origin + (cubed if off > 0 else -cubed)

    def _friendly(self, per: int) -> int:
        """Not slower than Reno with the same average would be (RFC 9438, 4.3)."""
        need = max(self.cwnd * 8 * (SCALE + BETA) // (3 * (SCALE - BETA)) // 8, 1)
        grown, self._reno_acks = divmod(self._reno_acks, need)
        self._reno += grown
        if self._reno > self.cwnd:
            return min(per, self.cwnd // (self._reno - self.cwnd))
        return per

    def after_loss(self) -> int:
        """Come down to 70 %; a window that shrinks leaves room for others (fast convergence)."""
        self._epoch = None
        shrinking = self.cwnd < self.last_max
        self.last_max = self.cwnd * (SCALE + BETA) // (2 * SCALE) if shrinking else self.cwnd
        return max(self.cwnd * BETA // SCALE, 2)

    def timed_out(self) -> None:
        """Start again (bictcp_reset)."""
        super().timed_out()
        self.last_max = self._delay_min = self._reno = 0
        self._epoch, self._round_end = None, -1

    # -- HyStart ----------------------------------------------------------------------------------------------------

    def measured(self, rtt_ns: int, now: int, una: int, nxt: int) -> None:
        """Learn the least delay, and leave slow start before it overflows a queue (cubictcp_acked)."""
        self._delay_min = min(self._delay_min, rtt_ns) if self._delay_min else rtt_ns
        if self.slow_start and self.cwnd >= HYSTART_FROM:
            if una > self._round_end:
                self._round_end, self._round_start, self._last_ack = nxt, now, now
                self._round_min, self._samples = 0, 0
            self._train(now)
            self._delays(rtt_ns)

    def _train(self, now: int) -> None:
        if now - self._last_ack <= HYSTART_GAP_NS:
            self._last_ack = now
            if now - self._round_start > self._delay_min // 2:
                self.ssthresh = self.cwnd

    def _delays(self, rtt_ns: int) -> None:
        self._round_min = min(self._round_min, rtt_ns) if self._round_min else rtt_ns
        if self._samples < HYSTART_SAMPLES:
            self._samples += 1
        elif self._round_min > self._delay_min + max(4 * MILLISECOND, min(self._delay_min // 8, 16 * MILLISECOND)):
            self.ssthresh = self.cwnd


CONTROLS: dict[str, type[Reno]] = {"reno": Reno, "cubic": Cubic}
"""By the names of net.ipv4.tcp_congestion_control."""

__all__ = ["CONTROLS", "INFINITE", "Cubic"]
