"""Tail loss probes: when nothing is heard for two round trips, send one segment more and see what comes of it.

RFC 8985, 7 as tcp_schedule_loss_probe, tcp_send_loss_probe and tcp_process_tlp_ack of net/ipv4 (6.1) have it,
`net.ipv4.tcp_early_retrans=3`. One timer serves for it, for RACK's reordering window and for retransmission in Linux;
here the first two share `loss_at`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.stack.tcp import transmit
from simvlan.stack.tcp.config import RTO_INIT_NS
from simvlan.stack.tcp.rack import TIMEOUT_MIN_NS
from simvlan.stack.tcp.recovery import Phase

if TYPE_CHECKING:
    from simvlan.stack.tcp.connection import Connection
    from simvlan.stack.tcp.sendqueue import Acked


def schedule(conn: Connection, now: int) -> None:
    """Plan a probe in two round trips, or when the retransmission is due if that is sooner."""
    queue, srtt = conn.queue, conn.rtt.srtt_ns
    conn.loss_at = None
    if not (conn.config.loss_probes and conn.sack_ok and queue.packets_out and conn.recovery.phase is Phase.OPEN):
        return
    if queue.oldest.flags & 2 or conn.rto_at is None:
        return
    wait = RTO_INIT_NS
    if srtt:
        wait = 2 * srtt + (conn.config.rto_min_ns if queue.packets_out == 1 else TIMEOUT_MIN_NS)
    conn.loss_at, conn.loss_is_probe = min(now + wait, conn.rto_at), True


def expired(conn: Connection, now: int) -> None:
    """The time is over: probe, or look again for what is overdue."""
    conn.loss_at = None
    if conn.loss_is_probe:
        _probe(conn, now)
    elif conn.recovery.look_again(now):
        transmit.push(conn, now)


def _probe(conn: Connection, now: int) -> None:
    """New data if there is any, else the last segment again; one at a time."""
    if conn.probed_to is None:
        again = not transmit.send_one(conn, now)
        if again:
            transmit.resend(conn, [conn.queue.shorten(conn.queue.newest, conn.mss)], now)
        conn.probed_to, conn.probe_repeats = conn.queue.nxt, again
    conn.rto_at = now + conn.rto_ns


def look_again(conn: Connection, now: int) -> None:
    """RACK is not sure yet: look again when it will be."""
    conn.loss_at, conn.loss_is_probe = now + conn.recovery.look_in_ns + TIMEOUT_MIN_NS, False


def acked(conn: Connection, told: Acked, advanced: bool, duplicate: bool) -> None:
    """What an acknowledgement says of the probe: that nothing was lost, or that its repetition mended a loss."""
    to, ack = conn.probed_to, conn.queue.una
    if to is None or ack < to:
        return
    if not conn.probe_repeats or told.duplicate_told:
        conn.probed_to = None
    elif ack > to:
        conn.probed_to = None
        conn.recovery.mended()
    elif duplicate and not advanced and not told.sacked:
        conn.probed_to = None
