"""Loss recovery: duplicate acknowledgements, fast retransmit, the way down to the new window, timeouts.

RFC 6675 with SACK and RFC 6582 (NewReno) without, in the states of Linux's tcp_fastretrans_alert; during recovery the
window follows RFC 6937 (proportional rate reduction), as there. After a timeout new data goes first, to see whether
it was spurious (F-RTO, RFC 5682). RACK is in `rack.py`, tail loss probes in `probe.py`, undoing in `undo.py`.
"""

from __future__ import annotations

from enum import Enum

from simvlan.stack.tcp.congestion import Reno
from simvlan.stack.tcp.rack import Rack
from simvlan.stack.tcp.rtt import RttEstimator
from simvlan.stack.tcp.sendqueue import SendQueue
from simvlan.stack.tcp.sent import Acked, Sent
from simvlan.stack.tcp.undo import Undo, current_ssthresh

REORDERING = 3
"""net.ipv4.tcp_reordering."""


class Phase(Enum):
    """Where a sender stands (enum tcp_ca_state)."""

    OPEN = "open"
    DISORDER = "disorder"
    RECOVERY = "recovery"
    LOSS = "loss"


class Again(Enum):
    """What may go after an acknowledgement (REXMIT_NONE, REXMIT_LOST, REXMIT_NEW)."""

    NOTHING = "nothing"
    LOST = "what is lost"
    NEW = "new data first"


class Recovery:
    """The sender's reaction to what acknowledgements and silence tell."""

    __slots__ = ("_prior_cwnd", "_prr_delivered", "_prr_out", "again", "cc", "frto", "high_seq", "look_in_ns", "phase",
                 "probed_to", "queue", "rack", "recoveries", "rtt", "sack", "timeouts", "undo", "watching")  # fmt: skip

    def __init__(
        self, queue: SendQueue, cc: Reno, rtt: RttEstimator, rack: Rack | None = None, frto: bool = False
    ) -> None:
        self.queue = queue
        self.cc = cc
        self.rtt = rtt
        self.rack = rack
        self.frto = frto
        """Look whether a timeout was spurious (net.ipv4.tcp_frto)."""
        self.watching = False
        """Looking now: it is not clear yet."""
        self.undo = Undo()
        self.again = Again.LOST
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
        """Act on an acknowledgement (tcp_fastretrans_alert, tcp_cong_control)."""
        self.look_in_ns, self.again = 0, Again.LOST
        before = self.queue.losses
        if self.rack is not None and self.sack:
            self.rack.advance(told.came, self.rtt, now)
            self.rack.adapt(told.came, self.queue.delivered)
        if not self.sack:
            self._count_duplicates(told, advanced, duplicate)
        self._alert(told, advanced, duplicate, now)
        if self.phase is Phase.RECOVERY:
            self._reduce(told.packets, advanced and self.queue.losses == before)

    def _alert(self, told: Acked, advanced: bool, duplicate: bool, now: int) -> None:
        """Tell disorder from loss, and when it is over."""
        if self.phase is Phase.RECOVERY and self._over():
            self._finish(told)
        if self.phase is Phase.OPEN and not self.queue.sacked_out and not told.duplicate_told:
            return
        if self.phase is Phase.RECOVERY and advanced and self._undo_partly(told):
            return
        if self.phase is Phase.LOSS:
            self._after_timeout(told, advanced, duplicate)
            if self._still_lost(now):
                return
        elif self.undo.due(delayed=False):
            if self.rack is not None:
                self.rack.recovered(needless=True)
            self._take_back(unmark=False)
            self._keep_open()
        if self.phase is not Phase.LOSS:
            self._judge(now)
        if self.phase is not Phase.RECOVERY:
            self._consider()
        elif not self.sack and advanced:
            self.queue.lose_oldest()

    def _still_lost(self, now: int) -> bool:
        """After a timeout: neither is it over, nor is a repetition lost in its turn."""
        again = self._judge(now)
        return self.phase is Phase.LOSS and not again

    # -- what was not called for ------------------------------------------------------------------------------------

    def _after_timeout(self, told: Acked, advanced: bool, duplicate: bool) -> None:
        """Was it spurious? What comes through and was never repeated says so (tcp_process_loss)."""
        over = self._over()
        if advanced and self.undo.due(told.delayed):
            self._spurious(known=False)
            return
        if self.watching:
            if any(not sent.repeated and sent.end <= self.high_seq for sent in told.came):
                self._spurious(known=True)
                return
            if self.queue.nxt > self.high_seq:
                self.watching = not (told.sacked or duplicate)
            elif advanced and not over:
                self.high_seq = self.queue.nxt
                self.again = Again.NEW
                return
        if over:
            self._finish(told)

    def _spurious(self, known: bool) -> None:
        """Nothing is lost (tcp_try_undo_loss); without SACK the state stays unless F-RTO *knows*."""
        self._take_back(unmark=True)
        self.again = Again.NOTHING
        if known or self.sack:
            self.phase = Phase.OPEN

    def _undo_partly(self, told: Acked) -> bool:
        """A hole was filled by what had only been late; True: send nothing again (tcp_try_undo_partial)."""
        if self.undo.marker is None or not told.delayed:
            return False
        self.queue.overtaken(told.before, told.mss)
        if self.queue.retrans_out:
            self.again = Again.NOTHING
            return True
        self._take_back(unmark=True)
        self._keep_open()
        return False

    def _take_back(self, unmark: bool) -> None:
        if unmark:
            self.queue.find()
        self.undo.take_back(self.cc)
        if self.rack is not None:
            self.rack.advanced = True

    def _keep_open(self) -> None:
        """Nothing more is wrong, or is it (tcp_try_keep_open)?"""
        queue = self.queue
        self.phase = Phase.DISORDER if queue.sacked_out or queue.lost_out or queue.retrans_out else Phase.OPEN

    # -- what is lost -----------------------------------------------------------------------------------------------

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
        self._land()

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
            self._keep_open()

    def _enter(self) -> None:
        """Fast retransmit (tcp_enter_recovery)."""
        self.undo.remember(self.queue.una, self.queue.retrans_out)
        self.undo.ssthresh = current_ssthresh(self.cc, self.phase is Phase.RECOVERY)
        self.phase = Phase.RECOVERY
        self.recoveries += 1
        self._come_down()

    def _come_down(self) -> None:
        """Begin to lower the window to a new threshold (tcp_init_cwnd_reduction)."""
        self.high_seq = self.queue.nxt
        self.probed_to = None
        self._prior_cwnd = self.undo.cwnd = self.cc.cwnd
        self._prr_delivered = self._prr_out = 0
        self.cc.ssthresh = self.cc.after_loss()
        self.cc.reduced()

    def _land(self) -> None:
        """The way down is over (tcp_end_cwnd_reduction)."""
        self.cc.cwnd = self.cc.ssthresh

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
        if sent.lost:
            self.undo.repeated()
        if self.rack is not None:
            self.rack.again.append((sent.order, sent))

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

    def _finish(self, told: Acked) -> None:
        """It is over (tcp_try_undo_recovery, tcp_end_cwnd_reduction)."""
        if not self.sack:
            self.queue.reset_dup_acks()
        if self.undo.due(told.delayed):
            self._take_back(unmark=False)
        else:
            if self.rack is not None:
                self.rack.recovered()
            if self.phase is Phase.RECOVERY and self.undo.marker is not None:
                self._land()
        self.phase = Phase.OPEN

    def too_long(self) -> None:
        """What is too long for the path was marked lost: send it again, but not more slowly (tcp_simple_retransmit)."""
        if self.phase is not Phase.LOSS:
            self.high_seq = self.queue.nxt
            self.cc.ssthresh = current_ssthresh(self.cc, self.phase is Phase.RECOVERY)
            self.cc.timed_out()
            self.undo.marker, self.undo.ssthresh = None, 0
            self.phase = Phase.LOSS

    def timed_out(self, again: bool, now: int = 0) -> None:
        """Retransmission timeout: everything is lost, one segment may go (tcp_enter_loss).

        *again*: nothing came since the last one, so the threshold has been lowered already.
        """
        queue, fresh = self.queue, self.phase in (Phase.OPEN, Phase.DISORDER)
        over = queue.una >= self.high_seq
        self._lose_all(now)
        if fresh and queue.sacked_out >= REORDERING:
            queue.reordering = min(queue.reordering, REORDERING)
        if over or fresh or (self.phase is Phase.LOSS and not again):
            self.undo.ssthresh = current_ssthresh(self.cc, self.phase is Phase.RECOVERY)
            self.undo.cwnd = self.cc.cwnd
            self.cc.ssthresh = self.cc.after_loss()
            self.undo.remember(queue.una, queue.retrans_out)
        self.timeouts += 1
        self.cc.timed_out()
        self.cc.cwnd = queue.in_flight + 1
        self.phase = Phase.LOSS
        self.high_seq = queue.nxt
        self.watching = self.frto and (fresh or again)

    def _lose_all(self, now: int) -> None:
        """tcp_timeout_mark_lost."""
        queue = self.queue
        if not self.sack:
            queue.reset_dup_acks()
        elif queue.packets_out and queue.oldest.sacked:
            queue.forget_sacks()
        queue.lose_all(None if self.rack is None or not self.sack else now - self.rack.rtt_ns)
