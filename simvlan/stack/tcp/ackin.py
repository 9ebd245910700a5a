"""What an acknowledgement does: octets are through, the window moves, the round trip is measured, losses show.

Mirrors tcp_ack, tcp_clean_rtx_queue, tcp_ack_update_window and tcp_ack_probe of net/ipv4/tcp_input.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import MILLISECOND
from simvlan.stack.tcp import probe, timewait, transmit
from simvlan.stack.tcp.recovery import REORDERING, Phase
from simvlan.stack.tcp.segment import FIN, SYN, Segment
from simvlan.stack.tcp.sent import Acked
from simvlan.stack.tcp.seq import unwrap
from simvlan.stack.tcp.states import Event, Notice, State

if TYPE_CHECKING:
    from simvlan.stack.tcp.connection import Connection


def syn_acked(conn: Connection, ack: int, segment: Segment, now: int) -> None:
    """Our SYN is through: a first measurement, and the window to start with."""
    told = Acked()
    conn.queue.acknowledge(min(ack, conn.queue.iss + 1), told)
    _measure(conn, told, segment, now)
    conn.rto_at = None
    scale = 0 if segment.flags & SYN else conn.peer_scale
    conn.peer_window = segment.window << scale
    conn.max_window = max(conn.max_window, conn.peer_window)
    conn.window_from = unwrap(segment.seq, conn.recv.nxt)


def take(conn: Connection, segment: Segment, seq: int, now: int) -> bool:
    """Act on the acknowledgement of a plausible segment; False: the segment goes no further."""
    queue = conn.queue
    ack = unwrap(segment.ack, queue.una)
    if ack > queue.nxt:  # the kernel is silent about it in ESTABLISHED, where RFC 9293 wants an acknowledgement
        if conn.state is not State.ESTABLISHED:
            transmit.challenge(conn, now)
        return False
    if ack < queue.una - conn.max_window:
        transmit.challenge(conn, now)
        return False
    conn.probes = 0
    _acknowledged(conn, segment, seq, ack, now)
    if queue.fin_sent and queue.una == queue.nxt:
        _fin_acked(conn, now)
    return True


def _acknowledged(conn: Connection, segment: Segment, seq: int, ack: int, now: int) -> None:
    queue, told = conn.queue, Acked(conn.queue.una, conn.mss)
    before, under_way, highest = queue.una, queue.packets_out, queue.highest_sacked
    moved = ack >= before and _update_window(conn, segment, seq, ack)
    if conn.sack_ok:
        blocks = [(unwrap(left, before), unwrap(right, before)) for left, right in segment.options.sack]
        _blocks(conn, told, blocks, ack)
    advanced = ack > before
    if advanced:
        conn.retransmits = 0
        queue.acknowledge(ack, told)
        if conn.sack_ok and told.filled is not None and told.filled < highest:
            queue.overtaken(told.filled, conn.mss)
        conn.notices.append(Notice.WRITABLE)
    if advanced or told.sacked:
        _measure(conn, told, segment, now)
    _date(conn, told, segment)
    if under_way:
        plain = not segment.payload and not segment.flags & (SYN | FIN)
        _control(conn, told, advanced, not advanced and ack == before and plain and not moved, now)
    _set_timer(conn, advanced, told, now)


def _blocks(conn: Connection, told: Acked, blocks: list[tuple[int, int]], ack: int) -> None:
    """Take the blocks of a selective acknowledgement, in order of the octets (tcp_sacktag_write_queue)."""
    if blocks:
        _duplicate(conn, told, blocks, ack)
    for left, right in sorted(blocks):
        conn.queue.sack(left, right, told)
    if told.overtaken is not None and (conn.recovery.phase is not Phase.LOSS or conn.recovery.undo.marker is not None):
        conn.queue.overtaken(told.overtaken, conn.mss)


def _duplicate(conn: Connection, told: Acked, blocks: list[tuple[int, int]], ack: int) -> None:
    """A first block about what is through already, or in the next one, tells of a duplicate (tcp_check_dsack)."""
    (left, right), recovery, queue = blocks[0], conn.recovery, conn.queue
    if left >= ack and not (len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1]):
        return
    segments = max(-((left - right) // conn.mss), 1)
    conn.duplicates += segments
    if conn.duplicates > queue.repeats:  # not of our making
        return
    told.duplicate_told, told.probe_twice = True, right == recovery.probed_to
    told.packets += segments
    if recovery.rack is not None and queue.reordered and not told.probe_twice:
        recovery.rack.duplicate = True
    if right <= queue.una or queue.has_repeated(left, right):
        recovery.undo.duplicate(right, segments)


def _date(conn: Connection, told: Acked, segment: Segment) -> None:
    """By its timestamp: what came is a first transmission, whatever was repeated since (tcp_tsopt_ecr_before)."""
    echo = segment.options.stamp[1] if conn.stamping and segment.options.stamp else 0
    if not echo:
        return
    told.came = [sent for sent in told.came if not (sent.repeated and _earlier(echo, conn.stamp(sent.sent_ns)))]
    told.delayed = conn.repeats_from is not None and _earlier(echo, conn.stamp(conn.repeats_from))


def _earlier(one: int, other: int) -> bool:
    return (one - other) & 0xFFFF_FFFF > 0x7FFF_FFFF


def _control(conn: Connection, told: Acked, advanced: bool, duplicate: bool, now: int) -> None:
    """Congestion control and loss recovery."""
    recovery, queue = conn.recovery, conn.queue
    limited = transmit.limited_by_cwnd(conn)
    queue.delivered += told.packets
    probe.acked(conn, told, advanced, duplicate)
    recovery.acked(told, advanced, duplicate, now)
    progress = advanced or (queue.reordering > REORDERING and told.packets > 0)
    if progress and recovery.growing and limited:
        conn.cc.acked(told.packets, now, queue.una, queue.nxt)
    if not queue.retrans_out and recovery.phase in (Phase.OPEN, Phase.DISORDER):
        conn.repeats_from = None


def _update_window(conn: Connection, segment: Segment, seq: int, ack: int) -> bool:
    """Take the window from the latest segment (tcp_may_update_window); whether it changed."""
    window = segment.window << conn.peer_scale
    newer = ack > conn.queue.una or seq > conn.window_from
    if not newer and not (seq == conn.window_from and (window > conn.peer_window or not window)):
        return False
    changed = window != conn.peer_window
    conn.window_from = seq
    conn.peer_window = window
    conn.max_window = max(conn.max_window, window)
    return changed


def _measure(conn: Connection, told: Acked, segment: Segment, now: int) -> None:
    """A round trip: from a segment sent once, else from its timestamp coming back (tcp_ack_update_rtt)."""
    rtt: int | None = None
    last: int | None = None
    stamp = segment.options.stamp
    if told.first_sent_ns is not None and not told.repeated:
        rtt, last = now - told.first_sent_ns, told.last_sent_ns
    elif told.sack_sent_ns is not None:
        rtt, last = now - told.sack_sent_ns, told.sack_last_ns
    elif conn.stamping and stamp is not None and stamp[1] and told.in_order:
        rtt = max(((conn.stamp(now) - stamp[1]) & 0xFFFF_FFFF) * MILLISECOND, MILLISECOND)
    if rtt is None:
        return
    latest = rtt if last is None else now - last
    conn.rtt.sample(rtt, conn.queue.una, conn.queue.nxt, latest)
    conn.rto_ns, conn.backoff = conn.rtt.rto_ns, 0
    conn.cc.measured(latest, now, conn.queue.una, conn.queue.nxt)


def _set_timer(conn: Connection, advanced: bool, told: Acked, now: int) -> None:
    """Retransmission starts anew with each advance; a closed window is probed instead (tcp_ack_probe)."""
    queue, sacked = conn.queue, told.sack_sent_ns
    if queue.packets_out:
        if conn.recovery.look_in_ns:
            probe.look_again(conn, now)
        elif advanced or (sacked is not None and queue.oldest.sent_ns > sacked):
            probe.set_timer(conn, now)
        return
    conn.loss_at = None
    if not (queue.buffer or transmit.unsent_fin(conn)):
        conn.rto_at = None
    elif queue.nxt + min(len(queue.buffer), conn.mss) <= queue.una + conn.peer_window:
        conn.rto_at, conn.backoff = None, 0
    elif advanced:
        conn.rto_at = now + conn.rto_ns


def _fin_acked(conn: Connection, now: int) -> None:
    """All we had to say is through."""
    if conn.state is State.LAST_ACK:
        conn.finish(now)
        return
    closing = conn.state is State.CLOSING
    if closing or conn.state is State.FIN_WAIT_1:
        conn.move(Event.FIN_ACKED)
        if closing:
            timewait.enter(conn, now)
        elif conn.orphan:
            timewait.wait_for_fin(conn, now)
