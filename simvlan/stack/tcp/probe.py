"""Tail loss probes: when nothing is heard for two round trips, send one segment more and see what comes of it.

RFC 8985, 7 as tcp_schedule_loss_probe, tcp_send_loss_probe and tcp_process_tlp_ack of net/ipv4 (6.1) have it,
`net.ipv4.tcp_early_retrans=3`. One timer serves for it, for RACK's reordering window and for retransmission: while
`loss_at` waits, `rto_at` does not, and what comes after it is counted from when the oldest segment was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import MILLISECOND
from simvlan.stack.tcp import transmit
from simvlan.stack.tcp.config import RTO_INIT_NS
from simvlan.stack.tcp.rack import TIMEOUT_MIN_NS
from simvlan.stack.tcp.recovery import Phase

if TYPE_CHECKING:
    from simvlan.stack.tcp.connection import Connection
    from simvlan.stack.tcp.sent import Acked


def schedule(conn: Connection, now: int, advancing: bool = False) -> bool:
    """Plan a probe in two round trips, or when the retransmission is due if that is sooner; False: there is none.

    *advancing*: the retransmission's time starts now, else when the oldest segment was sent.
    """
    queue, srtt = conn.queue, conn.rtt.srtt_ns
    if not (conn.config.loss_probes and conn.sack_ok and queue.packets_out and conn.recovery.phase is Phase.OPEN):
        return False
    wait = RTO_INIT_NS
    if srtt:
        wait = 2 * srtt + (conn.config.rto_min_ns if queue.packets_out == 1 else TIMEOUT_MIN_NS)
    left = conn.rto_ns if advancing else queue.oldest.sent_ns + conn.rto_ns - now
    if left > 0:
        wait = min(wait, left)
    conn.rto_at, conn.loss_at, conn.loss_is_probe = None, now + wait, True
    return True


def rearm(conn: Connection, now: int) -> None:
    """Wait for the retransmission: anew, or on where something else waited instead of it (tcp_rearm_rto)."""
    wait = conn.rto_ns
    if conn.loss_at is not None:
        wait = max(conn.queue.oldest.sent_ns + wait - now, MILLISECOND)
    conn.rto_at, conn.loss_at = now + wait, None


def set_timer(conn: Connection, now: int) -> None:
    """Something came through: a probe is next if there can be one, else the retransmission (tcp_set_xmit_timer)."""
    if not schedule(conn, now, advancing=True):
        rearm(conn, now)


def expired(conn: Connection, now: int) -> None:
    """The time is over: probe, or look again for what is overdue."""
    if conn.loss_is_probe:
        _probe(conn, now)
        return
    if conn.recovery.look_again(now):
        transmit.resend_lost(conn, now)
    rearm(conn, now)


def _probe(conn: Connection, now: int) -> None:
    """New data if there is any, else the last segment again; one at a time."""
    if conn.recovery.probed_to is None:
        conn.probe_repeats = not transmit.send_one(conn, now)
        if conn.probe_repeats:
            transmit.resend(conn, [conn.queue.shorten(conn.queue.newest, conn.mss)], now)
        conn.recovery.probed_to = conn.queue.nxt
        conn.loss_at = None
    rearm(conn, now)


def look_again(conn: Connection, now: int) -> None:
    """RACK is not sure yet: look again when it will be, no later than a retransmission would be."""
    wait = min(conn.recovery.look_in_ns + TIMEOUT_MIN_NS, conn.rto_ns)
    conn.rto_at, conn.loss_at, conn.loss_is_probe = None, now + wait, False


def acked(conn: Connection, told: Acked, advanced: bool, duplicate: bool) -> None:
    """What an acknowledgement says of the probe: that nothing was lost, or that its repetition mended a loss."""
    to, ack = conn.recovery.probed_to, conn.queue.una
    if to is None or ack < to:
        return
    if not conn.probe_repeats or told.probe_twice:
        conn.recovery.probed_to = None
    elif ack > to:
        conn.recovery.mended()
    elif duplicate and not advanced and not told.sacked:
        conn.recovery.probed_to = None
