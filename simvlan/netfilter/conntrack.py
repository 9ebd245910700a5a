"""Connection tracking: which connection a packet belongs to and in which state that is.

Mirrors nf_conntrack_in, resolve_normal_ct, nf_conntrack_inet_error and __nf_conntrack_confirm
(net/netfilter/nf_conntrack_core.c) with the protocols TCP, UDP, ICMP; others have the generic timeout.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from simvlan.clock import SECOND
from simvlan.netfilter import tcp_states
from simvlan.netfilter.tcp_states import TIMEOUT_S, State
from simvlan.netfilter.tuples import ICMP_ERRORS, ICMP_OPENS, Tuple, tuple_at, tuple_of
from simvlan.stack.packet import ICMP, TCP, UDP, Packet, checksum, pseudo_sum

UDP_S, UDP_STREAM_S, ICMP_S, GENERIC_S = 30, 120, 30, 600
STREAM_AFTER_NS = 2 * SECOND
"""An UDP exchange both ways that lasts longer is a stream."""
NEW, ESTABLISHED, RELATED, INVALID = "NEW", "ESTABLISHED", "RELATED", "INVALID"


class Conn:
    """One connection (struct nf_conn). `original` and `reply` are its tuples, `reply` after translation."""

    __slots__ = ("assured", "born_ns", "confirmed", "dst_done", "dst_nat", "due_ns", "masq_index", "original", "reply",
                 "seen_reply", "src_done", "src_nat", "state")  # fmt: skip

    def __init__(self, original: Tuple, now: int) -> None:
        self.original = original
        self.reply = original.inverted()
        self.state = State.NONE
        self.born_ns = now
        self.due_ns = now
        self.confirmed = self.seen_reply = self.assured = False
        self.src_nat = self.dst_nat = False
        """Whether its source or destination is translated (IPS_SRC_NAT, IPS_DST_NAT)."""
        self.src_done = self.dst_done = False
        """Whether the question was asked (IPS_SRC_NAT_DONE, IPS_DST_NAT_DONE)."""
        self.masq_index = 0
        """The device whose address it masquerades with."""


class Seen(NamedTuple):
    """What a packet is to tracking: its connection, whether it goes with the replies, and the state it matches."""

    conn: Conn | None
    reply: bool
    state: str


NOBODYS = Seen(None, False, INVALID)


class Conntrack:
    """The connections of a namespace."""

    def __init__(self) -> None:
        self.by_tuple: dict[Tuple, Conn] = {}

    def find(self, key: Tuple, now: int) -> Conn | None:
        """The connection that has a tuple; one that has expired is forgotten."""
        conn = self.by_tuple.get(key)
        if conn is not None and conn.due_ns <= now:
            self.forget(conn)
            return None
        return conn

    def forget(self, conn: Conn) -> None:
        """Take a connection out."""
        for key in (conn.original, conn.reply):
            if self.by_tuple.get(key) is conn:
                del self.by_tuple[key]

    def listing(self, now: int) -> Iterator[Conn]:
        """Every connection that lives, oldest first."""
        for key, conn in list(self.by_tuple.items()):
            if key == conn.original and self.find(key, now) is not None:
                yield conn

    def see(self, found: Packet, now: int) -> Seen:
        """Find or begin a packet's connection and move its state on."""
        key = tuple_of(found)
        if key is None or not _sound(found):
            return NOBODYS
        if found.proto == ICMP and found.data[found.header_len] in ICMP_ERRORS:
            return self._about(found, now)
        conn = self.find(key, now)
        reply = conn is not None and key != conn.original
        begun = conn is None
        if conn is None:
            conn = Conn(key, now)
        flags = found.data[found.header_len + 13] if found.proto == TCP else 0
        if not self._advance(conn, reply, begun, flags, key, now):
            return NOBODYS
        if reply:
            conn.seen_reply = True
            return Seen(conn, True, ESTABLISHED)
        return Seen(conn, False, ESTABLISHED if conn.seen_reply else NEW)

    def _about(self, found: Packet, now: int) -> Seen:
        """An ICMP error is related to the connection of the packet it quotes (nf_conntrack_inet_error)."""
        at = found.header_len + 8
        quoted = found.data[at:]
        if len(quoted) < 20 or (quoted[0] & 15) < 5:
            return NOBODYS
        inner = Packet(quoted)
        if inner.frag & 0x1FFF:
            return NOBODYS
        key = tuple_at(quoted, inner.header_len, inner.src, inner.dst, inner.proto)
        back = None if key is None else key.inverted()
        conn = None if back is None else self.find(back, now)
        if conn is None:
            return NOBODYS
        return Seen(conn, back != conn.original, RELATED)

    def _advance(self, conn: Conn, reply: bool, begun: bool, flags: int, key: Tuple, now: int) -> bool:
        """Let the protocol judge a packet (nf_conntrack_handle_packet); False: INVALID."""
        if key.proto == TCP:
            return self._tcp(conn, reply, begun, flags, now)
        if key.proto == ICMP:
            if begun and key.dport >> 8 not in ICMP_OPENS:
                return False
            seconds = ICMP_S
        elif key.proto == UDP:
            seconds = self._udp(conn, reply, now)
        else:
            seconds = GENERIC_S
        conn.due_ns = now + seconds * SECOND
        return True

    @staticmethod
    def _udp(conn: Conn, reply: bool, now: int) -> int:
        """A stream once packets went both ways for more than two seconds (nf_conntrack_udp_packet)."""
        if not conn.seen_reply:
            return UDP_S
        if now - conn.born_ns <= STREAM_AFTER_NS:
            return UDP_S
        conn.assured = True
        return UDP_STREAM_S

    def _tcp(self, conn: Conn, reply: bool, begun: bool, flags: int, now: int) -> bool:
        """Move a TCP connection on (nf_conntrack_tcp_packet)."""
        kind = tcp_states.kind_of(flags)
        old = State.NONE if begun else conn.state
        new = tcp_states.next_state(reply, kind, old)
        if new is State.SYN_SENT and old in (State.TIME_WAIT, State.CLOSE) and not begun:
            self.forget(conn)  # a reopened connection is a new one
            self._reopen(conn, now)
        if new is State.INVALID:
            return False
        if new is State.IGNORE:
            return True
        if kind == "rst" and not conn.seen_reply and not reply:
            self.forget(conn)
            conn.state = new
            return True
        if new is State.ESTABLISHED and old in (State.SYN_RECV, State.ESTABLISHED) and conn.seen_reply:
            conn.assured = True
        conn.state = new
        conn.due_ns = now + TIMEOUT_S[new] * SECOND
        return True

    @staticmethod
    def _reopen(conn: Conn, now: int) -> None:
        conn.confirmed = conn.seen_reply = conn.assured = False
        conn.src_nat = conn.dst_nat = conn.src_done = conn.dst_done = False
        conn.reply = conn.original.inverted()
        conn.born_ns = now

    def taken(self, reply: Tuple, conn: Conn, now: int) -> bool:
        """Whether another connection has this tuple (nf_conntrack_tuple_taken)."""
        other = self.find(reply, now)
        return other is not None and other is not conn

    def confirm(self, seen: Seen) -> None:
        """A packet leaves, or arrives: from now on its connection is known (nf_conntrack_confirm)."""
        conn = seen.conn
        if conn is not None and not conn.confirmed and seen.state is not RELATED:
            conn.confirmed = True
            self.by_tuple[conn.original] = self.by_tuple[conn.reply] = conn


def _sound(found: Packet) -> bool:
    """Whether checksum and lengths are right (tcp_error, udp_error, nf_conntrack_icmpv4_error)."""
    octets = found.payload
    if found.proto == ICMP:
        return len(octets) >= 8 and octets[0] <= 18 and checksum(octets) == 0
    if found.proto == UDP:
        size = octets[4] << 8 | octets[5] if len(octets) >= 8 else 0
        if not 8 <= size <= len(octets):
            return False
        return bool(found.partial) or octets[6:8] == b"\0\0" or _sums_up(found, octets[:size])
    if found.proto == TCP:
        if len(octets) < 20 or not 20 <= (octets[12] >> 4) * 4 <= len(octets):
            return False
        return bool(found.partial) or _sums_up(found, octets)
    return True


def _sums_up(found: Packet, octets: bytes) -> bool:
    pseudo = pseudo_sum(found.src, found.dst, found.proto, len(octets))
    return checksum(pseudo.to_bytes(2, "big") + octets) == 0
