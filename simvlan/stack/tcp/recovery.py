"""Loss recovery: duplicate acknowledgements, fast retransmit, the way down to the new window, timeouts.

RFC 6675 with SACK and RFC 6582 (NewReno) without, in the states of Linux's tcp_fastretrans_alert; during recovery the
window follows RFC 6937 (proportional rate reduction), as there. RACK is in `rack.py`, tail loss probes in `probe.py`;
F-RTO and undoing of spurious recoveries are not modelled.
"""

from __future__ import annotations

from enum import Enum

from simvlan.stack.tcp.congestion import Reno
from simvlan.stack.tcp.rack import Rack
from simvlan.stack.tcp.rtt import RttEstimator
from simvlan.stack.tcp.sendqueue import Acked, SendQueue, Sent


class Phase(Enum):
    """Where a sender stands (enum tcp_ca_state)."""

    OPEN = "open"
    DISORDER = "disorder"
    RECOVERY = "recovery"
    LOSS = "loss"


class Recovery:
    """The sender's reaction to what acknowledgements and silence tell."""

    __slots__ = ("_prior_cwnd", "_prr_delivered", "_prr_out", "cc", "high_seq", "look_in_ns", "phase", "queue", "rack",
                 "probed_to", "recoveries", "rtt", "sack", "timeouts")  # fmt: skip

    def __init__(self, queue: SendQueue, cc: Reno, rtt: RttEstimator, rack: Rack | None = None) -> None:
        self.queue = queue
        self.cc = cc
        self.rtt = rtt
        self.rack = rack
        self.look_in_ns = 0
        """RACK wants to look again after so long; 0: it does not."""
        self.sack = False
        self.phase = Phase.OPEN
        self.high_seq = 0
        self.probed_to: int | None = None
        """What was sent when the last tail loss probe went out, until it is known what became of it."""
        self.recoveries = self.timeouts = 0
        self._prior_cwnd = self._prr_delivered = self._prr_out = 0

    @property
    def growing(self) -> bool:
        """Acknowledgements may raise the window."""
        return self.phase is not Phase.RECOVERY

    def acked(self, told: Acked, advanced: bool, duplicate: bool, now: int = 0) -> None:
        """Act on an acknowledgement (tcp_fastretrans_alert)."""
        self.look_in_ns = 0
        if self.rack is not None and self.sack:
            self.rack.advance(told.came, self.rtt, now)
        if not self.sack:
            self._count_duplicates(told, advanced, duplicate)
        if self.phase in (Phase.RECOVERY, Phase.LOSS) and self._over():
            self._finish()
        if self.phase is Phase.OPEN and not self.queue.sacked_out:
            return
        before = self.queue.losses
        again = self._judge(now) if self.sack else False
        if self.phase is Phase.RECOVERY:
            if not self.sack and advanced:
                self.queue.lose_oldest()
        elif self.phase is not Phase.LOSS or again:
            self._consider()
        if self.phase is Phase.RECOVERY:
            self._reduce(told.packets, advanced and self.queue.losses == before)

    def _judge(self, now: int) -> bool:
        """What is lost? By how much came after it, or by time; whether what was sent again is, by time."""
        if self.rack is None:
            if self.phase is not Phase.LOSS:
                self.queue.judge()
            return False
        before = self.queue.retrans_out
        if self.rack.advanced:
            self.look_in_ns = self._detect(self.rack, now)
        return self.queue.retrans_out < before

    def _detect(self, rack: Rack, now: int) -> int:
        wait = rack.patience(self.queue, self.rtt, self.phase in (Phase.RECOVERY, Phase.LOSS))
        return rack.detect(self.queue, wait, now)

    def look_again(self, now: int) -> bool:
        """The time of what was not overdue yet is over: begin a recovery if it is lost (tcp_rack_reo_timeout)."""
        before = self.queue.losses
        if self.rack is not None:
            self._detect(self.rack, now)
        if self.queue.losses == before:
            return False
        if self.phase is not Phase.RECOVERY:
            self._enter()
            self._reduce(1, False)
        return True

    def mended(self) -> None:
        """A probe mended a loss that nothing else told of: come down as after a recovery (tcp_process_tlp_ack)."""
        self._come_down()
        self.cc.cwnd = self.cc.ssthresh

    def _count_duplicates(self, told: Acked, advanced: bool, duplicate: bool) -> None:
        """Without SACK each duplicate says that one segment is through (tcp_add_reno_sack)."""
        queue = self.queue
        if advanced:
            queue.sacked_out = max(0, queue.sacked_out - max(0, told.in_order - 1))
        elif duplicate and queue.sacked_out + queue.lost_out < queue.packets_out:
            queue.sacked_out += 1
            told.packets += 1

    def _consider(self) -> None:
        """Enough disorder to believe in a loss?"""
        queue = self.queue
        if queue.lost_out or (not self.sack and queue.sacked_out >= queue.reordering):
            if not self.sack:
                queue.lose_oldest()
            self._enter()
        else:
            self.phase = Phase.DISORDER if queue.sacked_out else Phase.OPEN

    def _enter(self) -> None:
        """Fast retransmit (tcp_enter_recovery)."""
        self.phase = Phase.RECOVERY
        self.recoveries += 1
        self._come_down()

    def _come_down(self) -> None:
        """Begin to lower the window to a new threshold (tcp_init_cwnd_reduction)."""
        self.high_seq = self.queue.nxt
        self.probed_to = None
        self._prior_cwnd = self.cc.cwnd
        self._prr_delivered = self._prr_out = 0
        self.cc.ssthresh = self.cc.after_loss()
        self.cc.reduced()

    def _reduce(self, delivered: int, in_order: bool) -> None:
        """The window during recovery (tcp_cwnd_reduction): in proportion on the way down, then up to ssthresh."""
        if delivered <= 0:
            return
        flight, ssthresh = self.queue.in_flight, self.cc.ssthresh
        self._prr_delivered += delivered
        spare = ssthresh - flight
        if spare < 0:
            allowed = -(-ssthresh * self._prr_delivered // self._prior_cwnd) - self._prr_out
        else:
            allowed = min(spare, max(self._prr_delivered - self._prr_out, delivered) + in_order)
        self.cc.cwnd = flight + max(allowed, 0 if self._prr_out else 1)

    def repeated(self, sent: Sent) -> None:
        """A segment went out again."""
        if self.rack is not None:
            self.rack.again.append((sent.sent_ns, sent))

    def transmitted(self) -> None:
        """A segment went out, new or again."""
        if self.phase is Phase.RECOVERY:
            self._prr_out += 1

    def _over(self) -> bool:
        """What was under way when it began is through; without SACK something above it must be (RFC 6582)."""
        una = self.queue.una
        if self.sack or self.phase is Phase.LOSS or not self.queue.packets_out:
            return una >= self.high_seq
        return una > self.high_seq

    def _finish(self) -> None:
        if not self.sack:
            self.queue.reset_dup_acks()
        if self.phase is Phase.RECOVERY:
            self.cc.cwnd = self.cc.ssthresh
        self.phase = Phase.OPEN

    def too_long(self) -> None:
        """What is too long for the path was marked lost: send it again, but not more slowly (tcp_simple_retransmit)."""
        if self.phase is not Phase.LOSS:
            self.high_seq = self.queue.nxt
            self.cc.ssthresh = max(self.cc.ssthresh if self.cc.slow_start else self.cc.cwnd, 2)
            self.phase = Phase.LOSS

    def timed_out(self, again: bool, now: int = 0) -> None:
        """Retransmission timeout: everything is lost, one segment may go (tcp_enter_loss).

        *again*: nothing came since the last one, so the threshold has been lowered already.
        """
        queue = self.queue
        over = queue.una >= self.high_seq
        if over or self.phase in (Phase.OPEN, Phase.DISORDER) or (self.phase is Phase.LOSS and not again):
            self.cc.ssthresh = self.cc.after_loss()
        self.timeouts += 1
        self.cc.timed_out()
        if not self.sack:
            queue.reset_dup_acks()
        elif queue.packets_out and queue.oldest.sacked:
            queue.forget_sacks()
        queue.lose_all(None if self.rack is None or not self.sack else now - self.rack.rtt_ns)
        self.cc.cwnd = queue.in_flight + 1
        self.phase = Phase.LOSS
        self.high_seq = queue.nxt
