"""Sending: what goes out, when, and what its header says.

Mirrors net/ipv4/tcp_output.c: tcp_write_xmit (windows, Nagle as Minshall changed it), tcp_retransmit_skb,
tcp_send_ack, tcp_write_wakeup (probes of a closed window).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.stack.tcp import autosize, probe
from simvlan.stack.tcp.config import INVALID_LIMIT_NS
from simvlan.stack.tcp.options import Options
from simvlan.stack.tcp.recovery import Again
from simvlan.stack.tcp.segment import ACK, FIN, PSH, RST, SYN, Segment
from simvlan.stack.tcp.sent import Sent
from simvlan.stack.tcp.states import MAY_TRANSMIT, State

if TYPE_CHECKING:
    from simvlan.stack.tcp.connection import Connection

SACK_ROOM, SACK_ROOM_STAMPED = 4, 3
"""Blocks that fit beside nothing, beside a timestamp."""


# -- headers ----------------------------------------------------------------------------------------------------------


def _stamp(conn: Connection, now: int) -> tuple[int, int] | None:
    """Our timestamp and the one to echo, where they are in use."""
    return (conn.stamp(now), conn.stamp_recent or 0) if conn.stamping else None


def _options(conn: Connection, now: int) -> Options:
    """A timestamp and SACK blocks, where they are in use (tcp_established_options)."""
    blocks: tuple[tuple[int, int], ...] = ()
    if conn.sack_ok and (conn.recv.out_of_order or conn.recv.duplicate is not None):
        blocks = conn.recv.sack_blocks(SACK_ROOM_STAMPED if conn.stamping else SACK_ROOM)
        blocks = tuple((left & 0xFFFF_FFFF, right & 0xFFFF_FFFF) for left, right in blocks)
    return Options(stamp=_stamp(conn, now), sack=blocks)


def _window(conn: Connection) -> int:
    return conn.window.field(conn.recv.nxt, conn.recv.kept, conn.acks.rcv_mss)


def _emit(conn: Connection, seq: int, flags: int, now: int, data: bytes = b"", gso_size: int = 0) -> None:
    """Send a segment that acknowledges as well, as all do but the first SYN."""
    segment = Segment(seq, conn.recv.nxt, flags | ACK, _window(conn), _options(conn, now), data, gso_size)
    conn.acks.sent()
    conn.out.append(segment)


def _syn_options(conn: Connection, now: int) -> Options:
    scale = conn.window.scale if conn.scaling else None
    return Options(conn.config.mss, scale, conn.sack_ok, _stamp(conn, now))


def _emit_syn(conn: Connection, now: int) -> None:
    """A SYN or SYN-ACK: its window is never scaled."""
    known = conn.state is not State.SYN_SENT
    flags, ack = (SYN | ACK, conn.recv.nxt) if known else (SYN, 0)
    if known:
        conn.window.told_at = ack
    window = min(conn.window.offered, 0xFFFF)
    conn.out.append(Segment(conn.queue.iss, ack, flags, window, _syn_options(conn, now)))


def send_syn(conn: Connection, now: int) -> None:
    """The first segment of an active open."""
    conn.queue.send(0, SYN, now)
    conn.rto_at = now + conn.rto_ns
    _emit_syn(conn, now)


def send_syn_ack(conn: Connection, now: int) -> None:
    """The answer to a SYN; the SYN of ours may be under way already (simultaneous open)."""
    if not conn.queue.packets_out:
        conn.queue.send(0, SYN, now)
        conn.rto_at = now + conn.rto_ns
    _emit_syn(conn, now)


def send_ack(conn: Connection, now: int) -> None:
    """A segment that only acknowledges."""
    _emit(conn, conn.queue.nxt, ACK, now)


def reset(conn: Connection, now: int) -> Segment:
    """A RST of our own accord, with a timestamp where they are in use."""
    return Segment(conn.queue.nxt, conn.recv.nxt, RST | ACK, _window(conn), Options(stamp=_stamp(conn, now)))


# -- data -------------------------------------------------------------------------------------------------------------


def write(conn: Connection, data: bytes, now: int) -> None:
    """Queue what the application wrote, and send what may go (tcp_sendmsg)."""
    at, queue = 0, conn.queue
    while conn.gso_max and at < len(data):
        at += queue.fill(data[at:], autosize.goal(conn))
        if at < len(data) and conn.state in MAY_TRANSMIT:  # a buffer is full
            _push_full(conn, now)
    queue.write(data[at:])
    push(conn, now)


def _push_full(conn: Connection, now: int) -> None:
    """Let a full buffer go while others are filled: all, where half a window waits; else the only one."""
    queue = conn.queue
    if queue.end - conn.pushed > conn.max_window >> 1:
        conn.pushed = queue.end
        queue.pushes.append(queue.end)
        push(conn, now, last=True)
    elif queue.head_is_tail and not queue.lost_out:
        _send_next(conn, now, last=True, only=True)


def push(conn: Connection, now: int, last: bool = False) -> None:
    """Send all that is new and may go (tcp_write_xmit).

    *last*: the application wrote its end, so a short segment does not wait for more.
    """
    if conn.state not in MAY_TRANSMIT:
        return
    queue, sent = conn.queue, False
    if not queue.buffer and not unsent_fin(conn):
        return
    if not queue.packets_out:
        _after_idle(conn, now)
    conn.cwnd_blocked = False
    while _send_next(conn, now, last):
        sent = True
    limited = conn.cwnd_blocked or queue.in_flight >= conn.cc.cwnd
    if sent or limited:
        _validate(conn, limited)
    if sent:
        probe.schedule(conn, now)
    if not queue.packets_out and conn.rto_at is None:
        conn.rto_at = now + conn.rto_ns


def unsent_fin(conn: Connection) -> bool:
    """A FIN is due and has not gone out."""
    return conn.queue.finishing and not conn.queue.fin_sent


def _send_next(conn: Connection, now: int, last: bool, only: bool = False) -> bool:
    """Send one more; *only*: what follows is still being written."""
    queue = conn.queue
    waiting = len(queue.buffer)
    if not waiting and not unsent_fin(conn):
        return False
    mss = conn.mss - _sack_size(conn)
    if conn.gso_max and queue.head > mss:
        return _send_super(conn, mss, now, last, only)
    size = min(waiting, mss, queue.head or mss)
    fin = waiting == size and unsent_fin(conn)
    if queue.in_flight >= conn.cc.cwnd and not fin:
        conn.cwnd_blocked = True
        return False
    if queue.nxt + size + fin > queue.una + conn.peer_window:
        return False
    if size < mss and not fin and not last and _nagle(conn):
        return False
    _send(conn, size, fin, now)
    if size < mss:
        conn.small_end = queue.nxt
    return True


def _send_super(conn: Connection, mss: int, now: int, last: bool, only: bool) -> bool:
    """Send as much of the first buffer as one super-packet takes (tcp_write_xmit)."""
    queue, segments, most = conn.queue, autosize.quota(conn), autosize.most_segments(conn, mss)
    if segments <= 0:
        conn.cwnd_blocked = True
        return False
    if mss > queue.una + conn.peer_window - queue.nxt or (not only and autosize.waits(conn, mss, most, now)):
        return False
    size = autosize.size(conn, mss, min(segments, most), last or not _nagle(conn))
    _send(conn, size, size == len(queue.buffer) and unsent_fin(conn), now, mss)
    if size % mss:
        conn.small_end = queue.nxt
    return True


def _sack_size(conn: Connection) -> int:
    """Octets that SACK blocks would take from a data segment."""
    if not conn.sack_ok or not conn.recv.out_of_order:
        return 0
    return 4 + 8 * min(conn.recv.blocks, SACK_ROOM_STAMPED if conn.stamping else SACK_ROOM)


def _nagle(conn: Connection) -> bool:
    """Hold a short segment back while another short one is not acknowledged (tcp_nagle_check)."""
    queue = conn.queue
    return not conn.config.nodelay and queue.packets_out > 0 and conn.small_end > queue.una


def _send(conn: Connection, size: int, fin: bool, now: int, mss: int = 0) -> None:
    """Move octets under way: one segment, or one super-packet of *mss* octets each, which says PSH always."""
    queue, seq = conn.queue, conn.queue.nxt
    flags = (FIN if fin else 0) | (PSH if size and queue.pushed(seq, seq + size) else 0)
    first, data = not queue.packets_out, bytes(queue.buffer[:size])
    cuts = range(0, size, mss) if mss else (0,)
    for at in cuts:
        queue.send(min(size - at, mss or size), flags if at == cuts[-1] else 0, now, seq)
        conn.recovery.transmitted()
    if first or (conn.loss_at is not None and conn.loss_is_probe):
        probe.rearm(conn, now)
    conn.sent_ns = now
    if size:
        conn.acks.sent_data(now)
    if len(cuts) > 1:
        flags |= PSH  # so that GRO hands it on at once; a repetition knows nothing of it
    _emit(conn, seq, flags, now, data, mss if len(cuts) > 1 else 0)


def _after_idle(conn: Connection, now: int) -> None:
    """After a silence longer than the timeout the old window means little (tcp_slow_start_after_idle)."""
    gap = now - conn.sent_ns
    if conn.sent_ns and gap > conn.rto_ns:
        conn.cc.idle(gap // conn.rto_ns, conn.config.initcwnd)


def _validate(conn: Connection, limited: bool) -> None:
    """Note how much of the congestion window is in use: it grows only when it is full (tcp_cwnd_validate)."""
    queue, out = conn.queue, conn.queue.packets_out
    if queue.una >= conn.used_from or limited or (not conn.cwnd_limited and out > conn.most_out):
        conn.cwnd_limited, conn.most_out, conn.used_from = limited, out, queue.nxt


def limited_by_cwnd(conn: Connection) -> bool:
    """Whether the congestion window is what holds us back (tcp_is_cwnd_limited)."""
    if conn.cwnd_limited:
        return True
    return conn.cc.slow_start and conn.cc.cwnd < 2 * conn.most_out


# -- again ------------------------------------------------------------------------------------------------------------


def recover(conn: Connection, now: int) -> None:
    """Send what an acknowledgement lets go again; after a timeout new data before it (tcp_xmit_recovery)."""
    recovery = conn.recovery
    if recovery.again is Again.NEW:
        recovery.again = Again.LOST
        push(conn, now, last=True)
        if conn.queue.nxt > recovery.high_seq:
            return
        recovery.watching = False
    if recovery.again is Again.LOST and conn.state in MAY_TRANSMIT:
        resend_lost(conn, now)


def resend_lost(conn: Connection, now: int) -> None:
    """Send lost segments again as far as the window goes (tcp_xmit_retransmit_queue)."""
    queue = conn.queue
    while queue.lost_out > queue.retrans_out and queue.in_flight < conn.cc.cwnd:
        sent = queue.next_lost()
        if sent is None or (sent is not queue.oldest and sent.end > queue.una + conn.peer_window):
            return
        sent = queue.shorten(sent, conn.mss)
        if sent is queue.oldest and (conn.loss_at is None or conn.loss_is_probe):
            conn.rto_at, conn.loss_at = now + conn.rto_ns, None
        most = min(autosize.most_segments(conn, conn.mss), conn.cc.cwnd - queue.in_flight) if conn.gso_max else 1
        resend(conn, queue.lost_with(sent, most), now)


def resend(conn: Connection, together: list[Sent], now: int) -> None:
    """Send a segment again, or several in one super-packet, with today's acknowledgement, window and timestamp."""
    first, last = together[0], together[-1]
    for sent in together:
        conn.queue.resent(sent, now)
        conn.recovery.repeated(sent)
        conn.recovery.transmitted()
    if conn.repeats_from is None and first.lost:  # not by a probe (__tcp_retransmit_skb)
        conn.repeats_from = now
    if first.flags & SYN:
        _emit_syn(conn, now)
        return
    several = len(together) > 1
    data = b"".join(sent.data for sent in together)
    _emit(conn, first.seq, last.flags | PSH * several, now, data, len(first.data) if several else 0)


def send_one(conn: Connection, now: int) -> bool:
    """Send one new segment whatever the congestion window says, if there is one and the other side has room."""
    queue, mss = conn.queue, conn.mss - _sack_size(conn)
    size = min(len(queue.buffer), mss, queue.head or mss)
    fin = size == len(queue.buffer) and unsent_fin(conn)
    if not (size or fin) or queue.nxt + size + fin > queue.una + conn.peer_window:
        return False
    _send(conn, size, fin, now)
    return True


def resend_shorter(conn: Connection, now: int) -> None:
    """The path carries less: cut what is under way and send it again."""
    conn.queue.resize(conn.mss)
    if conn.queue.lost_out:
        conn.recovery.too_long()
        resend_lost(conn, now)


def probe_window(conn: Connection, now: int) -> None:
    """Ask whether the window is still closed: with what fits of the next segment, else with an old octet's number."""
    queue = conn.queue
    fits = min(queue.una + conn.peer_window - queue.nxt, len(queue.buffer), conn.mss)
    if fits > 0:
        _send(conn, fits, False, now)
    else:
        _emit(conn, queue.una - 1, ACK, now)


# -- acknowledgements -------------------------------------------------------------------------------------------------


def acknowledge(conn: Connection, now: int) -> None:
    """Acknowledge what came, now or a little later (tcp_ack_snd_check)."""
    if not conn.acks.pending:
        return
    window = conn.window
    unacknowledged = conn.recv.nxt - window.told_at
    grew = window.choose(conn.recv.kept, conn.acks.rcv_mss) >= window.offered
    if conn.acks.wants_now(unacknowledged, grew, conn.recv.out_of_order) or conn.acks.delay(conn.rtt.srtt_ns, now):
        send_ack(conn, now)


def challenge(conn: Connection, now: int) -> None:
    """An acknowledgement that makes an honest sender correct itself (RFC 5961), twice a second at most."""
    told = conn.told_out_of_window_ns
    if told is None or now - told >= INVALID_LIMIT_NS:
        conn.told_out_of_window_ns = now
        send_ack(conn, now)


def after_read(conn: Connection, now: int) -> None:
    """The application made room: acknowledge, or tell of a window twice as large (tcp_cleanup_rbuf)."""
    window = conn.window
    if conn.acks.wants_after_read(conn.recv.nxt - window.told_at, not conn.recv.data):
        send_ack(conn, now)
        return
    left = window.right(conn.recv.nxt)
    if 2 * left <= window.clamp:
        chosen = window.choose(conn.recv.kept, conn.acks.rcv_mss)
        if chosen and chosen >= 2 * left:
            send_ack(conn, now)
