"""When an acknowledgement goes at once and when it waits.

Mirrors tcp_event_data_recv, __tcp_ack_snd_check, tcp_send_delayed_ack and tcp_cleanup_rbuf of Linux 6.1: quick for the
first segments of a connection and after disorder, for every second full segment, and for a short one once it has
been read; otherwise within 40 to 200 ms, following the pace of what arrives.
"""

from __future__ import annotations

from simvlan.clock import MILLISECOND
from simvlan.stack.tcp.config import DEFAULT_MSS, DELACK_MAX_NS, DELACK_MIN_NS, MIN_MSS

QUICK_MOST = 16
_PINGPONG = 3
_HALF_SECOND = 500 * MILLISECOND
TICK_NS = 4 * MILLISECOND
"""The kernel's timer tick (HZ 250): the least that anything is put off."""


class AckPolicy:
    """Delayed acknowledgement of one connection."""

    __slots__ = ("_last_ns", "ato_ns", "delayed", "due_ns", "filled", "pending", "pingpong", "pushed", "quick",
                 "rcv_mss")  # fmt: skip

    def __init__(self, mss: int, window: int, delayed: bool = True) -> None:
        self.delayed = delayed
        self.rcv_mss = max(min(mss, window // 2, DEFAULT_MSS), MIN_MSS)
        """The largest segment seen lately: what counts as full."""
        self.quick = 0
        """Acknowledgements still to be sent at once."""
        self.pingpong = 0
        self.ato_ns = 0
        self.due_ns: int | None = None
        self.pending = False
        self.filled = False
        """A gap was filled: that is told at once (RFC 5681, 4.2; ICSK_ACK_NOW)."""
        self.pushed = 0
        """Short segments since the last acknowledgement: 2 or more count like a full one when read."""
        self._last_ns = 0

    @property
    def interactive(self) -> bool:
        """Each side answers the other: acknowledgements wait for data to ride on."""
        return self.pingpong >= _PINGPONG

    def quicken(self, window: int, most: int = QUICK_MOST) -> None:
        """Send the next ones at once (tcp_incr_quickack)."""
        self.quick = max(self.quick, min(window // (2 * self.rcv_mss) or 2, most))

    def enter_quick(self, window: int, most: int) -> None:
        """Disorder or a duplicate: be quick, forget the pace (tcp_enter_quickack_mode)."""
        self.quicken(window, most)
        self.pingpong = 0
        self.ato_ns = DELACK_MIN_NS

    def received(self, size: int, window: int, rto_ns: int, mss: int, now: int) -> None:
        """Data came in order: learn its size and pace (tcp_event_data_recv)."""
        self.pending = True
        self._measure(size, mss)
        gap = now - self._last_ns
        if not self.ato_ns:
            self.quicken(window)
            self.ato_ns = DELACK_MIN_NS
        elif gap <= DELACK_MIN_NS // 2:
            self.ato_ns = self.ato_ns // 2 + DELACK_MIN_NS // 2
        elif gap < self.ato_ns:
            self.ato_ns = min(self.ato_ns // 2 + gap, rto_ns)
        elif gap > rto_ns:
            self.quicken(window)
        self._last_ns = now

    def _measure(self, size: int, mss: int) -> None:
        if size >= self.rcv_mss:
            self.rcv_mss = min(size, mss)
        else:
            self.pushed += 1

    def sent_data(self, now: int) -> None:
        """Data of ours went out soon after theirs came: an interactive session (tcp_event_data_sent)."""
        if now - self._last_ns < self.ato_ns:
            self.pingpong += 1

    def sent(self) -> None:
        """An acknowledgement went out, by itself or on data (tcp_event_ack_sent)."""
        self.quick = max(0, self.quick - 1)
        self.pending = self.filled = False
        self.pushed = 0
        self.due_ns = None

    def wants_now(self, unacknowledged: int, window_grew: bool, disorder: bool) -> bool:
        """Whether what came is to be acknowledged at once (__tcp_ack_snd_check)."""
        if not self.delayed or disorder or self.filled or (self.quick and not self.interactive):
            return True
        return unacknowledged > self.rcv_mss and window_grew

    def wants_after_read(self, unacknowledged: int, empty: bool) -> bool:
        """Whether reading calls for the acknowledgement that waits (tcp_cleanup_rbuf)."""
        if not self.pending:
            return False
        if unacknowledged > self.rcv_mss:
            return True
        return empty and (self.pushed > 1 or (self.pushed == 1 and not self.interactive))

    def delay(self, srtt_ns: int, now: int) -> bool:
        """Let it wait; True when the one that waits is so near that it should go now (tcp_send_delayed_ack)."""
        ato = self.ato_ns
        if ato > DELACK_MIN_NS:
            most = DELACK_MAX_NS if self.interactive or self.pushed else _HALF_SECOND
            if srtt_ns:
                most = min(most, max(srtt_ns, DELACK_MIN_NS))
            ato = min(ato, most)
        ato = max(min(ato, DELACK_MAX_NS), TICK_NS)
        due = now + ato
        if self.due_ns is not None:
            if self.due_ns <= now + ato // 4:
                return True
            due = min(due, self.due_ns)
        self.due_ns = due
        return False

    def expired(self, rto_ns: int) -> None:
        """The delay was in vain: nobody answers that quickly (tcp_delack_timer_handler)."""
        self.due_ns = None
        if self.interactive:
            self.pingpong = 0
            self.ato_ns = DELACK_MIN_NS
        else:
            self.ato_ns = min(self.ato_ns * 2, rto_ns)
