"""What time does: retransmission, probes, delayed acknowledgements, the end of waiting.

Mirrors net/ipv4/tcp_timer.c: RFC 6298's backing off up to 120 s, tcp_syn_retries, tcp_retries2 (counted as the
time that so many doublings from 200 ms would take), tcp_orphan_retries.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from simvlan.stack.tcp import probe, timewait, transmit
from simvlan.stack.tcp.config import RTO_MAX_NS
from simvlan.stack.tcp.states import Event, Notice, State

if TYPE_CHECKING:
    from simvlan.stack.tcp.connection import Connection


def expire(conn: Connection, now: int) -> None:
    """Do everything due."""
    if conn.acks.due_ns is not None and conn.acks.due_ns <= now:
        conn.acks.expired(conn.rto_ns)
        transmit.send_ack(conn, now)
    if conn.loss_at is not None and conn.loss_at <= now:
        probe.expired(conn, now)
    if conn.rto_at is not None and conn.rto_at <= now:
        conn.rto_at = None
        _retransmit(conn, now) if conn.queue.packets_out else _probe(conn, now)
    if conn.expires_at is not None and conn.expires_at <= now:
        _expired(conn, now)


def _retransmit(conn: Connection, now: int) -> None:
    """The oldest segment was not acknowledged in time (tcp_retransmit_timer)."""
    if _given_up(conn, now):
        conn.finish(now, conn.soft_error or errno.ETIMEDOUT)
        return
    conn.loss_at = conn.recovery.probed_to = None
    if conn.state not in (State.SYN_SENT, State.SYN_RECEIVED):
        conn.recovery.timed_out(conn.retransmits > 0, now)
    conn.retransmits += 1
    linear = conn.state is State.SYN_SENT and conn.retransmits <= conn.config.syn_linear_timeouts
    if not linear:
        conn.rto_ns = min(conn.rto_ns * 2, RTO_MAX_NS)
    transmit.resend(conn, [conn.queue.shorten(conn.queue.oldest, conn.mss)], now)
    conn.rto_at = now + conn.rto_ns


def _given_up(conn: Connection, now: int) -> bool:
    config = conn.config
    if conn.state is State.SYN_SENT:
        return conn.retransmits >= config.syn_retries + config.syn_linear_timeouts
    if conn.state is State.SYN_RECEIVED:
        return conn.retransmits >= config.synack_retries
    retries = config.orphan_retries if conn.orphan else config.retries2
    if not conn.retransmits or conn.repeats_from is None:
        return False
    return now - conn.repeats_from >= patience(retries, config.rto_min_ns)


def patience(retries: int, least_ns: int) -> int:
    """How long so many retransmissions take, the first after *least_ns* (tcp_model_timeout)."""
    doublings = (RTO_MAX_NS // least_ns).bit_length() - 1
    if retries <= doublings:
        return ((2 << retries) - 1) * least_ns
    return ((2 << doublings) - 1) * least_ns + (retries - doublings) * RTO_MAX_NS


def _probe(conn: Connection, now: int) -> None:
    """The window is closed: ask (tcp_probe_timer)."""
    if not conn.queue.buffer and not transmit.unsent_fin(conn):
        return
    if conn.probes >= (conn.config.orphan_retries if conn.orphan else conn.config.retries2):
        conn.finish(now, conn.soft_error or errno.ETIMEDOUT)
        return
    conn.probes += 1
    transmit.probe_window(conn, now)
    conn.backoff += 1
    conn.rto_at = now + min(conn.rto_ns << conn.backoff, RTO_MAX_NS)


def orphaned(conn: Connection, now: int) -> None:
    """The application let go: what waits for the other's FIN does not wait for ever."""
    if conn.state is State.FIN_WAIT_2:
        timewait.wait_for_fin(conn, now)


def _expired(conn: Connection, now: int) -> None:
    """The waiting is over."""
    conn.expires_at = None
    if conn.state is State.TIME_WAIT:
        conn.move(Event.EXPIRED)
        conn.notices.append(Notice.CLOSED)
    elif conn.state is State.FIN_WAIT_2:
        conn.finish(now)
