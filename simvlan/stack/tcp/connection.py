"""One end of a connection: what is told to it comes in, segments and notices come out, time is an argument.

Events in: `arrive(segment)`, `on_timer`, and the application's calls. Out: `out` (segments to send, in order),
`notices`, and `deadline` (when to call `on_timer`). No clock, socket, or randomness in it: the initial sequence
number and the offset of the timestamps are given. RFC 9293; rules as in net/ipv4/tcp*.c of Linux 6.1.
"""

from __future__ import annotations

import errno

from simvlan.stack.tcp import arrival, timers, transmit
from simvlan.stack.tcp.config import MIN_MSS, RTO_INIT_NS, Config, initial_window, window_scale
from simvlan.stack.tcp.cubic import CONTROLS
from simvlan.stack.tcp.delack import AckPolicy
from simvlan.stack.tcp.options import ALIGNED_TIMESTAMP
from simvlan.stack.tcp.rack import Rack
from simvlan.stack.tcp.recovery import Recovery
from simvlan.stack.tcp.recvqueue import ReceiveQueue
from simvlan.stack.tcp.rtt import RttEstimator
from simvlan.stack.tcp.segment import Segment
from simvlan.stack.tcp.sendqueue import SendQueue
from simvlan.stack.tcp.states import MAY_RECEIVE, MAY_SEND, TRANSITIONS, Event, Notice, State
from simvlan.stack.tcp.window import ReceiveWindow


class Connection:
    """One end. Sequence numbers are plain integers inside (see `seq.py`)."""

    def __init__(self, config: Config, iss: int, stamp_offset: int = 0) -> None:
        self.config = config
        self.state = State.CLOSED
        self.out: list[Segment] = []
        self.notices: list[Notice] = []
        self.error = 0
        """The errno that ended it."""
        self.soft_error = 0
        """What ICMP said meanwhile; told if it ends in a timeout."""
        self.orphan = False
        """The application closed it: nobody reads."""
        self.eof = False
        """The other side finished."""
        self._begin_sending(config, iss)
        self._begin_receiving(config, stamp_offset)
        self._begin_timers()

    def _begin_sending(self, config: Config, iss: int) -> None:
        """The half that sends: what is under way, how much may be, how long to wait for it."""
        self.queue = SendQueue(iss, config.reordering)
        self.cc = CONTROLS[config.congestion](config.initcwnd)
        self.rtt = RttEstimator(config.rto_min_ns)
        self.recovery = Recovery(self.queue, self.cc, self.rtt, Rack() if config.rack else None, config.frto)
        self.rto_ns = RTO_INIT_NS
        self.path_mss = config.mss
        """What the path's MTU leaves for a segment without options."""
        self.gso_max = 0
        """Octets of a super-packet; 0: the device takes none."""
        self.peer_mss = config.mss
        self.peer_window = 0
        self.peer_scale = 0
        self.max_window = 0
        self.window_from = 0
        """Sequence of the segment that set the window (snd_wl1)."""
        self.small_end = iss
        """End of the last short segment sent (Minshall's Nagle)."""
        self.used_from = iss
        self.most_out = 0
        self.cwnd_limited = False
        """The congestion window was full when most was under way, lately."""
        self.cwnd_blocked = False
        """It stopped the sending just now."""
        self.sent_ns = 0
        self.pushed = iss
        """Where the application's octets were last pushed before it had written all (pushed_seq)."""

    def _begin_receiving(self, config: Config, stamp_offset: int) -> None:
        """The half that receives, and the options of both."""
        self.recv = ReceiveQueue(0)
        self.window = ReceiveWindow(config, config.mss, window_scale(config))
        self.acks = AckPolicy(config.mss, initial_window(config, config.mss), config.delayed_ack)
        self.stamping = config.timestamps
        self.stamp_offset = stamp_offset
        self.stamp_recent: int | None = None
        self.sack_ok = config.sack
        self.scaling = config.window_scaling
        self.told_out_of_window_ns: int | None = None

    def _begin_timers(self) -> None:
        """When to act unasked, and how often that was done."""
        self.rto_at: int | None = None
        """Retransmission, or a probe of a closed window when nothing is under way."""
        self.loss_at: int | None = None
        """A tail loss probe, or RACK's second look; `rto_at` does not run meanwhile."""
        self.loss_is_probe = False
        self.probe_repeats = False
        """The last probe was the last segment once more."""
        self.expires_at: int | None = None
        """End of TIME-WAIT, or of waiting for the other's FIN."""
        self.duplicates = 0
        """Segments that came twice, so D-SACKs say."""
        self.retransmits = 0
        self.repeats_from: int | None = None
        """When the oldest segment was first repeated."""
        self.probes = 0
        """Probes of a closed window not answered."""
        self.backoff = 0

    # -- the application --------------------------------------------------------------------------------------------

    def connect(self, now: int) -> None:
        """Open actively: send a SYN."""
        self.move(Event.OPEN)
        transmit.send_syn(self, now)

    def accept(self, syn: Segment, now: int) -> None:
        """Open passively: a listener got this SYN."""
        self.move(Event.SYN)
        arrival.take_syn(self, syn)
        self.window = ReceiveWindow(self.config, self.config.mss - self.stamp_room, self.window.scale)
        transmit.send_syn_ack(self, now)

    def write(self, data: bytes, now: int) -> int:
        """Take octets to send, as many as there is room for; 0 when there is none.

        Raises:
            OSError: EPIPE after the sending side was closed, or what ended the connection.
        """
        if self.error:
            raise OSError(self.error, "connection failed")
        if self.state not in MAY_SEND or self.queue.finishing:
            raise OSError(errno.EPIPE, "closed for sending")
        taken = data[: self.room]
        if taken:
            transmit.write(self, taken, now)
        return len(taken)

    @property
    def room(self) -> int:
        """Octets that `write` takes now: twice the congestion window, between tcp_wmem[1] and tcp_wmem[2]."""
        _, least, most = (0, self.config.sndbuf, self.config.sndbuf) if self.config.sndbuf else self.config.wmem
        return max(0, min(max(least, 2 * self.cc.cwnd * self.mss), most) - self.queue.queued)

    @property
    def writable(self) -> bool:
        """Room worth waking a writer for: half of what is queued (sk_stream_is_writeable)."""
        return self.room > 0 and self.room >= self.queue.queued >> 1

    @property
    def unread(self) -> int:
        """Octets that came in order and were not read yet."""
        return len(self.recv.data)

    def read(self, most: int, now: int) -> bytes:
        """Take octets that came; b"" when there are none (yet, or ever: see `eof`)."""
        data = self.recv.read(most)
        if data and self.state in MAY_RECEIVE:
            self.window.read(self.recv.nxt - len(self.recv.data), now)
            transmit.after_read(self, now)
        return data

    def shutdown(self, now: int) -> None:
        """Send a FIN behind what was written (shutdown(SHUT_WR))."""
        if (self.state, Event.CLOSE) not in TRANSITIONS or self.queue.finishing:
            return
        if self.state is State.SYN_SENT:
            self.finish(now)
            return
        self.queue.finishing = True
        if self.state is not State.SYN_RECEIVED:
            self.move(Event.CLOSE)
            transmit.push(self, now, last=True)

    def close(self, now: int) -> None:
        """Give it up: what was not read makes it a reset, else a FIN (tcp_close)."""
        if self.orphan or self.state is State.CLOSED:
            self.orphan = True
            return
        self.orphan = True
        if self.recv.data:
            self.recv.clear()
            self.abort(now)
            return
        self.shutdown(now)
        timers.orphaned(self, now)

    def abort(self, now: int, number: int = 0) -> None:
        """Send a RST and forget everything (tcp_send_active_reset)."""
        if self.state not in (State.CLOSED, State.SYN_SENT, State.TIME_WAIT, State.LISTEN):
            self.out.append(transmit.reset(self, now))
        self.finish(now, number)

    # -- events -----------------------------------------------------------------------------------------------------

    def arrive(self, segment: Segment, now: int) -> None:
        """Take a segment of this connection."""
        arrival.arrive(self, segment, now)

    @property
    def deadline(self) -> int | None:
        """When `on_timer` is to be called; None when nothing waits."""
        first = self.rto_at
        for other in (self.acks.due_ns, self.loss_at, self.expires_at):
            if other is not None and (first is None or other < first):
                first = other
        return first

    def on_timer(self, now: int) -> None:
        """Do what is due."""
        timers.expire(self, now)

    def unreachable(self, number: int, now: int, fatal: bool) -> None:
        """ICMP says the other end cannot be reached: the end of an attempt, a remark on a connection (tcp_v4_err)."""
        if fatal and self.state in (State.SYN_SENT, State.SYN_RECEIVED):
            self.finish(now, number)
        else:
            self.soft_error = number

    def follow(self, mtu: int) -> None:
        """The route has another MTU: what is cut from now on fits it (tcp_current_mss, tcp_sync_mss)."""
        self.path_mss = max(mtu - self.config.headers, MIN_MSS)

    def path_mtu(self, mtu: int, now: int) -> None:
        """A router wants shorter segments, and has dropped longer ones (tcp_v4_mtu_reduced)."""
        if mtu - self.config.headers < self.path_mss:
            self.follow(mtu)
            if self.state is not State.SYN_SENT:
                transmit.resend_shorter(self, now)

    # -- what the rules share ---------------------------------------------------------------------------------------

    def move(self, event: Event) -> None:
        """Change the state as the table says; a pair it does not have is a bug."""
        self.state = TRANSITIONS[self.state, event]

    def finish(self, now: int, number: int = 0) -> None:
        """Be closed, with an error or without."""
        self.move(Event.ABORT)
        self.rto_at = self.loss_at = self.expires_at = self.acks.due_ns = None
        self.error = self.error or number
        self.eof = True
        self.notices.append(Notice.FAILED if number else Notice.CLOSED)

    @property
    def mss(self) -> int:
        """Octets that a segment carries besides a timestamp (tcp_current_mss)."""
        mss = min(self.peer_mss, self.path_mss) - self.stamp_room
        cutoff = self.max_window >> 1 if self.max_window > 536 else self.max_window
        return max(min(mss, cutoff), 48) if cutoff else mss

    @property
    def stamp_room(self) -> int:
        """Octets that the timestamp takes in each segment."""
        return ALIGNED_TIMESTAMP if self.stamping else 0

    def stamp(self, now: int) -> int:
        """Our clock as timestamps show it: milliseconds."""
        return (now // 1_000_000 + self.stamp_offset) & 0xFFFF_FFFF
