"""Taking back a reduction of the window that was not called for: what was there before, and what tells of it.

RFC 3522 (Eifel, by timestamps), RFC 3708 (by duplicate SACKs), as tcp_init_undo, tcp_may_undo, tcp_undo_cwnd_reduction
of net/ipv4/tcp_input.c (6.1) have it; F-RTO, which tells by what else was acknowledged, is in `recovery.py`.
"""

from __future__ import annotations

from simvlan.stack.tcp.congestion import Reno


class Undo:
    """The window and threshold before a reduction, and which repetitions have turned out needless."""

    __slots__ = ("cwnd", "marker", "repeats", "ssthresh")

    def __init__(self) -> None:
        self.marker: int | None = None
        """The oldest octet not acknowledged when the window came down; None: nothing to take back."""
        self.repeats = -1
        """Repetitions since then that may have been needed; below 0: none was sent."""
        self.cwnd = self.ssthresh = 0
        """Before it came down; a threshold of 0: it stays down."""

    def remember(self, una: int, under_way_again: int) -> None:
        """A reduction begins (tcp_init_undo)."""
        self.marker = una
        self.repeats = under_way_again or -1

    def repeated(self) -> None:
        """A segment was sent again."""
        self.repeats = max(self.repeats, 0) + 1

    def duplicate(self, end: int, segments: int) -> None:
        """So many segments up to *end*, which were repeated, came twice (tcp_check_dsack, tcp_sacktag_one)."""
        if self.marker is not None and self.repeats > 0 and self.marker < end:
            self.repeats = max(self.repeats - segments, 0)

    def due(self, delayed: bool) -> bool:
        """Whether it was needless: every repetition came twice, or the first transmission was only *delayed*."""
        return self.marker is not None and (not self.repeats or delayed)

    def take_back(self, cc: Reno) -> None:
        """Have the window and threshold that were there before, if they were larger."""
        if self.ssthresh:
            cc.cwnd = max(cc.cwnd, self.cwnd)
            cc.ssthresh = max(cc.ssthresh, self.ssthresh)
        self.marker = None


def current_ssthresh(cc: Reno, reducing: bool) -> int:
    """The threshold as it would be without a loss (tcp_current_ssthresh)."""
    return cc.ssthresh if reducing else max(cc.ssthresh, (cc.cwnd >> 1) + (cc.cwnd >> 2))
