"""How much goes into one super-packet, and when one waits for more of the window.

Mirrors tcp_xmit_size_goal, tcp_tso_autosize, tcp_update_pacing_rate, tcp_cwnd_test, tcp_mss_split_point and
tcp_tso_should_defer of Linux 6.1. Left out: TCP small queues and pacing itself (fq, BBR), which never hold back what
crosses virtual devices without a queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import MICROSECOND, MILLISECOND, SECOND
from simvlan.stack.tcp.recovery import Phase

if TYPE_CHECKING:
    from simvlan.stack.tcp.connection import Connection

MIN_SEGMENTS = 2
"""net.ipv4.tcp_min_tso_segs."""
PACING_SHIFT = 10
"""A super-packet holds what leaves in a millisecond."""
RTT_LOG = 9
"""net.ipv4.tcp_tso_rtt_log: near neighbours get more, half as much for every 512 us of round trip."""
RATIO_SLOW_START, RATIO = 200, 120
"""net.ipv4.tcp_pacing_ss_ratio, tcp_pacing_ca_ratio, in percent."""
WIN_DIVISOR = 3
"""net.ipv4.tcp_tso_win_divisor."""


def goal(conn: Connection) -> int:
    """Octets that one buffer of the send queue takes: whole segments, half the largest window at most."""
    half = conn.max_window >> 1 if conn.max_window > 536 else conn.max_window
    most = min(conn.gso_max, max(half, 48)) if half else conn.gso_max
    return max(most // conn.mss, 1) * conn.mss


def most_segments(conn: Connection, mss: int) -> int:
    """Segments in one: what the pace of the connection sends in a millisecond, more for near neighbours."""
    octets = _pacing_rate(conn) >> PACING_SHIFT
    near = conn.rtt.min_ns // MICROSECOND >> RTT_LOG if conn.rtt.min_ns else 32
    if near < 32:
        octets += conn.gso_max >> near
    return max(min(octets, conn.gso_max) // mss, MIN_SEGMENTS)


def _pacing_rate(conn: Connection) -> int:
    """Octets a second: twice the window in a round trip while it doubles, else a fifth more than it."""
    ratio = RATIO_SLOW_START if conn.cc.cwnd < conn.cc.ssthresh // 2 else RATIO
    window = conn.mss * max(conn.cc.cwnd, conn.queue.packets_out)
    return window * ratio // 100 * SECOND // max(conn.rtt.srtt_ns, MICROSECOND)


def quota(conn: Connection) -> int:
    """Segments that the congestion window lets go now: never more than half of it at once."""
    cwnd = conn.cc.cwnd
    return min(max(cwnd >> 1, 1), cwnd - conn.queue.in_flight)


def size(conn: Connection, mss: int, segments: int, may_be_short: bool) -> int:
    """Octets of the next super-packet; an end that fills no segment waits unless it *may_be_short*."""
    queue = conn.queue
    head, window, most = queue.head, queue.una + conn.peer_window - queue.nxt, mss * segments
    if most <= window and not queue.head_is_tail:
        return min(most, head)
    needed = min(head, window)
    if most <= needed:
        return most
    rest = needed % mss
    return needed if may_be_short or not rest else needed - rest


def waits(conn: Connection, mss: int, most: int, now: int) -> bool:
    """Whether it is better to wait for the next acknowledgement than to send little now."""
    queue = conn.queue
    if conn.recovery.phase not in (Phase.OPEN, Phase.DISORDER) or not queue.packets_out:
        return False
    if now - conn.sent_ns > MILLISECOND:
        return False
    by_cwnd = (conn.cc.cwnd - queue.in_flight) * mss
    by_peer = queue.una + conn.peer_window - queue.nxt
    limit = min(by_peer, by_cwnd)
    if limit >= most * mss or (limit >= queue.head and not queue.head_is_tail):
        return False
    if limit >= min(conn.peer_window, conn.cc.cwnd * mss) // WIN_DIVISOR:
        return False
    if now - queue.oldest.sent_ns < conn.rtt.srtt_ns // 2:
        return False  # the acknowledgement is far away
    if by_cwnd < by_peer:
        conn.cwnd_blocked = conn.cwnd_blocked or by_cwnd <= queue.head
        return True
    return not queue.finishing
