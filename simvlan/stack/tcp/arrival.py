"""A segment arrives: is it plausible, does it open, end or continue the connection, what data does it bring.

RFC 9293, 3.10.7, in the order and with the limits of tcp_rcv_state_process and tcp_validate_incoming of Linux 6.1:
RFC 5961's challenge acknowledgements, RFC 7323's protection against old segments (PAWS).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from simvlan.clock import MILLISECOND
from simvlan.stack.tcp import ackin, timewait, transmit
from simvlan.stack.tcp.config import DEFAULT_MSS
from simvlan.stack.tcp.recvqueue import ReceiveQueue
from simvlan.stack.tcp.segment import ACK, FIN, RST, SYN, Segment, reset_for
from simvlan.stack.tcp.seq import unwrap
from simvlan.stack.tcp.states import MAY_RECEIVE, Event, Notice, State

if TYPE_CHECKING:
    from simvlan.stack.tcp.connection import Connection


def arrive(conn: Connection, segment: Segment, now: int) -> None:
    """Take a segment (tcp_v4_do_rcv)."""
    if conn.state is State.CLOSED:
        return
    if conn.state is State.SYN_SENT:
        _syn_sent(conn, segment, now)
    elif conn.state is State.TIME_WAIT:
        timewait.arrive(conn, segment, now)
    else:
        _synchronised(conn, segment, now)


# -- opening ----------------------------------------------------------------------------------------------------------


def take_syn(conn: Connection, segment: Segment) -> None:
    """Learn from a SYN: where the other side counts from, and what both sides can do."""
    told, config = segment.options, conn.config
    conn.recv = ReceiveQueue(segment.seq + 1)
    conn.peer_mss = min(told.mss or DEFAULT_MSS, config.mss)
    conn.sack_ok = conn.recovery.sack = config.sack and told.sack_ok
    conn.stamping = config.timestamps and told.stamp is not None
    conn.scaling = config.window_scaling and told.wscale is not None
    conn.peer_scale = told.wscale or 0 if conn.scaling else 0
    conn.window.scale = conn.window.scale if conn.scaling else 0
    if conn.stamping and told.stamp is not None:
        conn.stamp_recent = told.stamp[0]
    conn.peer_window = conn.max_window = segment.window
    conn.window.told_at = conn.recv.nxt
    conn.window_from = segment.seq


def _syn_sent(conn: Connection, segment: Segment, now: int) -> None:
    """RFC 9293, 3.10.7.3."""
    acked = bool(segment.flags & ACK)
    ack = unwrap(segment.ack, conn.queue.una)
    if acked and not conn.queue.una < ack <= conn.queue.nxt:
        if not segment.flags & RST:
            conn.out.append(reset_for(segment))
        return
    if segment.flags & RST:
        if acked:
            conn.finish(now, errno.ECONNREFUSED)
        return
    if not segment.flags & SYN:
        return
    take_syn(conn, segment)
    if acked:
        ackin.syn_acked(conn, ack, segment, now)
        established(conn, now)
        transmit.send_ack(conn, now)
    else:
        conn.move(Event.SYN)
        transmit.send_syn_ack(conn, now)


def established(conn: Connection, now: int) -> None:
    """Both SYNs are through (tcp_finish_connect)."""
    conn.move(Event.SYN_ACKED)
    if conn.retransmits > 1:
        conn.cc.cwnd = 1
    conn.retransmits, conn.repeats_from = 0, None
    conn.window.begin(conn.recv.nxt, now)
    conn.notices.append(Notice.CONNECTED)
    if conn.queue.finishing:
        conn.move(Event.CLOSE)


# -- is it plausible --------------------------------------------------------------------------------------------------


def _synchronised(conn: Connection, segment: Segment, now: int) -> None:
    """RFC 9293, 3.10.7.4: sequence, RST, SYN, ACK, data, FIN; then what may be sent and acknowledged."""
    seq = unwrap(segment.seq, conn.recv.nxt)
    if not _plausible(conn, segment, seq, now) or not segment.flags & ACK:
        return
    if conn.state is State.SYN_RECEIVED and not _opened(conn, segment, now):
        return
    if not ackin.take(conn, segment, seq, now) or conn.state is State.CLOSED:
        return
    _replace_stamp(conn, segment, seq, now)
    if (segment.payload or segment.flags & FIN) and not _take_data(conn, segment, seq, now):
        return
    if conn.state not in (State.CLOSED, State.TIME_WAIT):
        transmit.recover(conn, now)
        transmit.push(conn, now)
        transmit.acknowledge(conn, now)


def _plausible(conn: Connection, segment: Segment, seq: int, now: int) -> bool:
    """tcp_validate_incoming: not old, in the window, neither RST nor SYN."""
    reset = segment.flags & RST
    if _old_stamp(conn, segment) and not reset:
        _repeat_ack(conn, segment, seq, now)
        return False
    if not _in_window(conn, segment, seq):
        if segment.flags & SYN and not reset:
            _syn_again(conn, seq, now)
        elif not reset:
            _repeat_ack(conn, segment, seq, now)
        return False
    if reset:
        _reset(conn, seq, now)
        return False
    if segment.flags & SYN:
        _syn_again(conn, seq, now)
        return False
    return True


def _old_stamp(conn: Connection, segment: Segment) -> bool:
    """PAWS: a timestamp from before the last one seen (RFC 7323, 5)."""
    stamp, recent = segment.options.stamp, conn.stamp_recent
    if not conn.stamping or stamp is None or recent is None:
        return False
    return unwrap(stamp[0], recent) < recent


def _in_window(conn: Connection, segment: Segment, seq: int) -> bool:
    """The kernel's test: it does not end before what was acknowledged, nor begin behind the window (tcp_sequence)."""
    return seq + segment.size >= conn.window.told_at and seq <= conn.recv.nxt + conn.window.right(conn.recv.nxt)


def _repeat_ack(conn: Connection, segment: Segment, seq: int, now: int) -> None:
    """Say where we are, and that this came twice; not too often where no data came (tcp_send_dupack)."""
    if segment.payload and not segment.flags & SYN:
        if seq < conn.recv.nxt:
            conn.acks.enter_quick(conn.window.offered, 16)
            if conn.sack_ok:
                conn.recv.duplicate = (seq, min(seq + segment.size, conn.recv.nxt))
        transmit.send_ack(conn, now)
    else:
        transmit.challenge(conn, now)


def _reset(conn: Connection, seq: int, now: int) -> None:
    """A RST counts only exactly where we are (RFC 5961, 3.2)."""
    if seq != conn.recv.nxt:
        transmit.challenge(conn, now)
    elif conn.state is State.CLOSE_WAIT:
        conn.finish(now, errno.EPIPE)
    else:
        conn.finish(now, errno.ECONNREFUSED if conn.state is State.SYN_RECEIVED else errno.ECONNRESET)


def _syn_again(conn: Connection, seq: int, now: int) -> None:
    """The first SYN once more: the same answer; any other SYN is a challenge (RFC 5961, 4.2)."""
    if conn.state is State.SYN_RECEIVED and seq == conn.recv.irs - 1:
        transmit.send_syn_ack(conn, now)
    else:
        transmit.challenge(conn, now)


def _opened(conn: Connection, segment: Segment, now: int) -> bool:
    """The acknowledgement of our SYN in SYN-RECEIVED; a wrong one is reset."""
    ack = unwrap(segment.ack, conn.queue.una)
    if not conn.queue.una < ack <= conn.queue.nxt:
        conn.out.append(reset_for(segment))
        return False
    ackin.syn_acked(conn, ack, segment, now)
    established(conn, now)
    return True


def _replace_stamp(conn: Connection, segment: Segment, seq: int, now: int) -> None:
    """Remember the timestamp to echo: that of the segment the last acknowledgement asked for (RFC 7323, 4.3)."""
    stamp = segment.options.stamp
    if stamp is None or not conn.stamping:
        return
    if seq <= conn.window.told_at:
        conn.stamp_recent = stamp[0]
    if len(segment.payload) >= conn.acks.rcv_mss and stamp[1]:
        took = (conn.stamp(now) - stamp[1]) & 0xFFFF_FFFF
        if took < 0x8000_0000:
            conn.window.measured(max(took, 1) * MILLISECOND)


# -- data -------------------------------------------------------------------------------------------------------------


def _take_data(conn: Connection, segment: Segment, seq: int, now: int) -> bool:
    """Take data and FIN (tcp_data_queue); False when the connection ended over it."""
    if conn.state not in MAY_RECEIVE:
        if seq + segment.size <= conn.recv.nxt:
            conn.acks.pending = True
            conn.acks.enter_quick(conn.window.offered, 16)
        return True
    if conn.orphan and seq + len(segment.payload) > conn.recv.nxt:
        conn.out.append(reset_for(segment))  # nobody is left to read it
        conn.finish(now, errno.ECONNRESET)
        return False
    conn.acks.pending, gap = True, conn.recv.out_of_order
    if segment.flags & FIN:
        conn.recv.fin_at = seq + len(segment.payload)
    if segment.payload:
        _queue(conn, segment, seq, now)
    conn.acks.filled = gap and not conn.recv.out_of_order
    if conn.recv.fin():
        _finished(conn, now)
    return True


def _queue(conn: Connection, segment: Segment, seq: int, now: int) -> None:
    """Keep data that has room, in order or not."""
    recv, window, data = conn.recv, conn.window, segment.payload
    if recv.kept > window.rcvbuf or (seq == recv.nxt and not window.right(recv.nxt)):
        conn.acks.enter_quick(window.offered, 16)
        recv.fin_at = None
        return
    came = recv.add(seq, data)
    if not conn.sack_ok:
        recv.duplicate = None
    if recv.duplicate is not None:
        conn.acks.enter_quick(window.offered, 16)
    if came:
        conn.acks.received(segment.gso_size or len(data), window.offered, conn.rto_ns, conn.config.mss, now)
        if not conn.stamping:
            window.measure_window(recv.nxt, now)
        window.grow(len(data), recv.kept)
        conn.notices.append(Notice.READABLE)


def _finished(conn: Connection, now: int) -> None:
    """The other side's FIN, everything before it being here (tcp_fin)."""
    conn.recv.finish()
    conn.eof = True
    conn.notices.append(Notice.READABLE)
    before = conn.state
    conn.move(Event.FIN)
    if before is State.ESTABLISHED:
        conn.acks.pingpong = max(conn.acks.pingpong, 3)
    elif before is State.FIN_WAIT_1:
        transmit.send_ack(conn, now)
    else:
        timewait.enter(conn, now)
        transmit.send_ack(conn, now)
