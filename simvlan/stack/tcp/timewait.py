"""TIME-WAIT, and FIN-WAIT-2 of a connection nobody holds any more.

Mirrors net/ipv4/tcp_minisocks.c (tcp_timewait_state_process): a minute in which late segments are answered, and in
which a new SYN that is plainly newer may take the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.stack.tcp import transmit
from simvlan.stack.tcp.config import TIME_WAIT_NS
from simvlan.stack.tcp.segment import ACK, RST, SYN, Segment
from simvlan.stack.tcp.seq import unwrap
from simvlan.stack.tcp.states import Notice

if TYPE_CHECKING:
    from simvlan.stack.tcp.connection import Connection


def enter(conn: Connection, now: int) -> None:
    """Begin to wait; the application is done with it."""
    conn.rto_at = conn.loss_at = conn.acks.due_ns = None
    conn.expires_at = now + TIME_WAIT_NS
    conn.notices.append(Notice.CLOSED)


def wait_for_fin(conn: Connection, now: int) -> None:
    """Nobody reads: wait for the other's FIN for tcp_fin_timeout only."""
    patience = max(conn.config.fin_timeout_ns, 4 * conn.rto_ns - conn.rto_ns // 2)
    conn.expires_at = now + patience


def arrive(conn: Connection, segment: Segment, now: int) -> None:
    """A late segment: a RST ends it, what is in the window or old is answered."""
    seq = unwrap(segment.seq, conn.recv.nxt)
    if seq == conn.recv.nxt and segment.flags & RST:
        conn.finish(now)
        return
    if segment.flags & RST:
        return
    if seq == conn.recv.nxt and not segment.size:
        conn.expires_at = now + TIME_WAIT_NS
        return
    if segment.flags & ACK:
        conn.expires_at = now + TIME_WAIT_NS
    transmit.challenge(conn, now)


def reusable(conn: Connection, segment: Segment) -> bool:
    """Whether a SYN may open the same connection anew: it counts from later on, or its clock has gone on."""
    if not segment.flags & SYN or segment.flags & (ACK | RST):
        return False
    stamp, recent = segment.options.stamp, conn.stamp_recent
    newer = stamp is not None and recent is not None and unwrap(stamp[0], recent) > recent
    return newer or unwrap(segment.seq, conn.recv.nxt) > conn.recv.nxt
