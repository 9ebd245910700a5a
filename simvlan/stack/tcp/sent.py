"""One segment under way, and what one acknowledgement did to those that were.

Mirrors struct tcp_skb_cb and struct tcp_sacktag_state of net/ipv4 (6.1).
"""

from __future__ import annotations

from simvlan.stack.tcp.segment import FIN


class Sent:
    """One segment under way."""

    __slots__ = ("data", "delivered", "end", "flags", "lost", "order", "repeated", "retransmitted", "sacked", "sent_ns",
                 "seq", "whole")  # fmt: skip

    def __init__(self, seq: int, data: bytes, flags: int, sent_ns: int, whole: int | None = None) -> None:
        self.seq = seq
        self.end = seq + len(data) + (flags & FIN) + (flags >> 1 & 1)
        self.data = data
        self.flags = flags
        self.sent_ns = sent_ns
        self.sacked = False
        self.lost = False
        self.retransmitted = False
        """Sent again since it was last held for lost."""
        self.repeated = False
        """Sent more than once: its acknowledgement measures nothing (Karn)."""
        self.order = 0
        """Which of all transmissions its last one was."""
        self.delivered = 0
        """How many segments had come through by then."""
        self.whole = seq if whole is None else whole
        """Where the super-packet began that it was sent in."""


class Acked:
    """What one acknowledgement did."""

    __slots__ = ("before", "came", "delayed", "duplicate_told", "filled", "first_sent_ns", "in_order", "last_sent_ns",
                 "mss", "overtaken", "packets", "probe_twice", "repeated", "sack_last_ns", "sack_sent_ns", "sacked",
                 "syn")  # fmt: skip

    def __init__(self, before: int = 0, mss: int = 1) -> None:
        self.before, self.mss = before, mss
        """The oldest octet before it, and octets in a segment."""
        self.packets = 0
        """Segments that are through now and were not known to be before."""
        self.in_order = 0
        """Segments taken off the queue."""
        self.sacked = 0
        self.repeated = False
        self.first_sent_ns: int | None = None
        self.last_sent_ns: int | None = None
        """When the first and the last of them were sent, of those sent once and not told of before."""
        self.sack_sent_ns: int | None = None
        self.sack_last_ns: int | None = None
        """The same of what was selectively acknowledged."""
        self.syn = False
        self.came: list[Sent] = []
        """What came through, in the order in which it was told."""
        self.duplicate_told = False
        """A block names octets acknowledged before (D-SACK)."""
        self.probe_twice = False
        """Those of a tail loss probe."""
        self.overtaken: int | None = None
        """Where the lowest segment began that came after later ones, so a block says, and was never repeated."""
        self.filled: int | None = None
        """Where the lowest began of those acknowledged in order and never repeated."""
        self.delayed = False
        """What came was sent before anything was repeated, says its timestamp (tcp_packet_delayed)."""

    def through(self, sent: Sent) -> None:
        """One more segment came through."""
        self.packets += 1
        self.came.append(sent)
