"""The receive window: what is offered, when it may grow, how large a buffer the connection deserves.

Mirrors __tcp_select_window, tcp_grow_window and tcp_rcv_space_adjust (dynamic right-sizing) of net/ipv4: the offer
grows by two segments for each full one received, up to half the buffer; the buffer grows to twice what the application
reads in a round trip, up to tcp_rmem[2].
"""

from __future__ import annotations

from simvlan.stack.tcp.config import MAX_WINDOW, Config, initial_window, window_of


class ReceiveWindow:
    """`offered` was told last, when everything up to `told_at` had arrived; `limit` is what may be offered at most."""

    __slots__ = ("_advmss", "_rcvbuf_max", "_round_ns", "_round_seq", "_rtt_at", "_rtt_ns", "_rtt_seq", "_space",
                 "clamp", "limit", "offered", "rcvbuf", "scale", "told_at")  # fmt: skip

    def __init__(self, config: Config, mss: int, scale: int) -> None:
        self._advmss = config.mss
        self.rcvbuf, self._rcvbuf_max = config.rcvbuf or config.rmem[1], config.rcvbuf or config.rmem[2]
        self.scale = scale
        self.offered = self.limit = initial_window(config, mss)
        self.told_at = 0
        self.clamp = window_of(self.rcvbuf)
        self._space = min(self.offered, config.initcwnd * config.mss)
        self._round_ns = self._round_seq = 0
        self._rtt_ns = self._rtt_at = self._rtt_seq = 0

    def begin(self, nxt: int, now: int) -> None:
        """The connection is established (tcp_init_buffer_space)."""
        self.told_at = self.told_at or nxt
        self._round_ns, self._round_seq = now, nxt
        self._rtt_at, self._rtt_seq = now, nxt + self.offered
        full = window_of(self.rcvbuf)
        if full > 2 * self._advmss:  # one segment is reserved
            self.clamp = max(2 * self._advmss, full - self._advmss)
        if not self.scale:
            self.clamp = min(self.clamp, MAX_WINDOW)
        self.limit = min(self.limit, self.clamp)

    def right(self, nxt: int) -> int:
        """How much of the offer is left (tcp_receive_window)."""
        return max(0, self.told_at + self.offered - nxt)

    def field(self, nxt: int, kept: int, rcv_mss: int) -> int:
        """Choose a window and write it for a header; what was offered is never taken back (tcp_select_window)."""
        left, chosen = self.right(nxt), self.choose(kept, rcv_mss)
        if chosen < left:
            chosen = -(-left >> self.scale) << self.scale
        most = MAX_WINDOW << self.scale
        self.offered, self.told_at = min(chosen, most), nxt
        return self.offered >> self.scale

    def choose(self, kept: int, rcv_mss: int) -> int:
        """The window that the free room allows (__tcp_select_window)."""
        free, full = window_of(self.rcvbuf - kept), min(self.clamp, window_of(self.rcvbuf))
        mss = min(rcv_mss, full)
        if free < full >> 1:
            free = free >> self.scale << self.scale
            if free < window_of(self.rcvbuf) >> 4 or free < mss:
                return 0
        free = min(free, self.limit)
        if self.scale:
            return -(-free >> self.scale) << self.scale
        return self._whole_segments(free, mss, full)

    def _whole_segments(self, free: int, mss: int, full: int) -> int:
        """Without scaling: a multiple of the MSS, moved only by a whole one."""
        window = self.offered
        if window <= free - mss or window > free:
            return free // mss * mss
        if mss == full and free > window + (full >> 1):
            return free
        return window

    def grow(self, size: int, kept: int) -> None:
        """A segment of so many octets came in order (tcp_grow_window)."""
        room = min(self.clamp, window_of(self.rcvbuf - kept)) - self.limit
        if room > 0 and size >= 128:
            self.limit += min(room, max(2 * self._advmss, 2 * size))

    def measured(self, rtt_ns: int) -> None:
        """A round trip as the receiver sees it, from timestamps echoed (tcp_rcv_rtt_measure_ts)."""
        old = self._rtt_ns
        self._rtt_ns = min(old, rtt_ns) if old and rtt_ns < old else old + (rtt_ns - old) // 8 if old else rtt_ns

    def measure_window(self, nxt: int, now: int) -> None:
        """Without timestamps: the time in which a whole window arrives (tcp_rcv_rtt_measure)."""
        if nxt >= self._rtt_seq:
            if self._rtt_at:
                took = max(now - self._rtt_at, 1)
                self._rtt_ns = min(self._rtt_ns, took) if self._rtt_ns else took
            self._rtt_at, self._rtt_seq = now, nxt + max(self.offered, 1)

    def read(self, copied_to: int, now: int) -> None:
        """The application has read so far: once in a round trip, make the buffer fit (tcp_rcv_space_adjust)."""
        if not self._rtt_ns or now - self._round_ns < self._rtt_ns:
            return
        copied = copied_to - self._round_seq
        if copied > self._space:
            wanted = 2 * copied + 16 * self._advmss
            wanted += 2 * wanted * (copied - self._space) // self._space
            buffer = min(2 * wanted, self._rcvbuf_max)
            if buffer > self.rcvbuf:
                self.rcvbuf, self.clamp = buffer, window_of(buffer)
            self._space = copied
        self._round_ns, self._round_seq = now, copied_to
