"""RACK: a segment is lost when one sent later came through, and long enough passed for it to have been overtaken.

RFC 8985 as net/ipv4/tcp_recovery.c (6.1) has it, `net.ipv4.tcp_recovery=1`. How long: a quarter of the least round
trip until a recovery begins or three later ones came, then not at all; once segments were seen to overtake each other,
always, and longer after what was repeated needlessly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simvlan.stack.tcp.rtt import RttEstimator
    from simvlan.stack.tcp.sendqueue import SendQueue
    from simvlan.stack.tcp.sent import Sent

TIMEOUT_MIN_NS = 2_000_000
"""Added to what a timer waits for (TCP_TIMEOUT_MIN, two ticks)."""
PERSIST = 16
"""Recoveries for which a longer wait is kept (TCP_RACK_RECOVERY_THRESH)."""


class Rack:
    """The segment sent last of those that came through, and its round trip."""

    __slots__ = ("_last_delivered", "_persist", "advanced", "again", "duplicate", "newest", "rtt_ns", "steps")

    def __init__(self) -> None:
        self.newest = 0
        """Its place among all transmissions: time alone does not tell, much is sent at one (tcp_rack_sent_after)."""
        self.rtt_ns = 0
        """Of what came through last."""
        self.steps = 1
        """Quarters of the least round trip to wait for what was overtaken."""
        self.duplicate = False
        """What was repeated came twice, though nothing but overtaking had made it look lost."""
        self._persist = self._last_delivered = 0
        self.advanced = False
        """Something came through since it was last looked at what is overdue."""
        self.again: deque[tuple[int, Sent]] = deque()
        """What was sent again, in order, and which transmission that was."""

    def advance(self, came: Iterable[Sent], rtt: RttEstimator, now: int) -> None:
        """Take note of what came through (tcp_rack_advance); a repeated one too quickly is taken for the first."""
        for sent in came:
            took = now - sent.sent_ns
            if not sent.repeated or took >= rtt.min_ns:
                self.advanced, self.rtt_ns = True, took
                self.newest = max(self.newest, sent.order)

    def adapt(self, came: Iterable[Sent], delivered: int) -> None:
        """Wait longer, by a step a round trip, while repetitions are needless (tcp_rack_update_reo_wnd)."""
        latest = max(came, key=lambda sent: sent.order, default=None)
        if latest is None or not latest.delivered:
            return
        if latest.delivered < self._last_delivered:
            self.duplicate = False
        if self.duplicate:
            self.steps = min(self.steps + 1, 255)
            self.duplicate = False
            self._last_delivered, self._persist = delivered, PERSIST
        elif not self._persist:
            self.steps = 1

    def recovered(self, needless: bool = False) -> None:
        """A recovery is over; after sixteen that were called for the wait is short again."""
        self._persist = min(PERSIST, self._persist + 1) if needless else max(self._persist - 1, 0)

    def patience(self, queue: SendQueue, rtt: RttEstimator, recovering: bool) -> int:
        """How much later than others a segment may come (tcp_rack_reo_wnd)."""
        if not queue.reordered and (recovering or queue.sacked_out >= queue.reordering):
            return 0
        return min((rtt.min_ns >> 2) * self.steps, rtt.srtt_ns)

    def overdue(self, sent: Sent, wait: int, now: int) -> int:
        """How long a segment still has; 0 or less: it is lost."""
        return sent.sent_ns + self.rtt_ns + wait - now

    def detect(self, queue: SendQueue, wait: int, now: int) -> int:
        """Hold for lost what is overdue; how long to wait for the others, 0: for none (tcp_rack_detect_loss)."""
        longest, self.advanced = 0, False
        for at, sent in queue.unjudged():
            if sent.order >= self.newest:
                break
            left = self.overdue(sent, wait, now)
            if left > 0:
                longest = max(longest, left)
                continue
            queue.lose(sent, at)
            if not longest:
                queue.judged(sent)
        return max(longest, self._again(queue, wait, now))

    def _again(self, queue: SendQueue, wait: int, now: int) -> int:
        """The same for what was sent again, as a probe too: it may be lost again."""
        longest, kept = 0, deque[tuple[int, "Sent"]]()
        while self.again:
            order, sent = self.again.popleft()
            gone = order != sent.order or sent.sacked or sent.end <= queue.una
            if gone or (sent.lost and not sent.retransmitted):
                continue
            if sent.order >= self.newest:
                self.again.appendleft((order, sent))
                break
            left = self.overdue(sent, wait, now)
            if left <= 0:
                queue.lose_again(sent)
            else:
                longest = max(longest, left)
                kept.append((order, sent))
        self.again.extendleft(reversed(kept))
        return longest
