"""What is to be sent and what is under way: the buffer, the segments in flight, and what is known of each.

Mirrors the retransmit queue of net/ipv4/tcp_output.c and the scoreboard of tcp_input.c: in-flight segments are counted
as sent less selectively acknowledged less lost plus retransmitted (RFC 6675's pipe, in segments). A segment is lost
once three later ones were selectively acknowledged (RFC 6675, IsLost).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import attrgetter

from simvlan.stack.tcp.segment import FIN, PSH, SYN
from simvlan.stack.tcp.sent import Acked, Sent

_seq = attrgetter("seq")
MAX_REORDERING = 300
"""net.ipv4.tcp_max_reordering."""


class SendQueue:
    """Octets from `una` (the oldest not acknowledged) by `nxt` (the next to send) to `end` (the last one written)."""

    def __init__(self, iss: int, reordering: int) -> None:
        self.una = self.nxt = self.iss = iss
        self.reordering = reordering
        """How many later segments make one lost; more once segments were seen to overtake each other."""
        self.reordered = False
        """They were."""
        self.buffer = bytearray()
        """Written, not sent yet: from `nxt` on."""
        self.finishing = False
        """A FIN follows the buffer."""
        self.fin_sent = False
        self.pushes: list[int] = []
        """Where writes ended."""
        self._ends: list[int] = []
        """Where the buffers end that the octets were put into, once super-packets are made of them."""
        self._flight: list[Sent] = []
        self._head = 0
        self.sacked_out = self.lost_out = self.retrans_out = 0
        self.repeats = 0
        """Segments sent again so far."""
        self._order = 0
        self.delivered = 0
        """Segments that came through so far, those twice that did so twice."""
        self.losses = 0
        """How often a segment was held for lost so far."""
        self._top: list[int] = []
        """The highest selectively acknowledged segments, as many as make one below them lost."""
        self._judged = iss
        """Everything before this that could be lost has been looked at."""
        self._resend = 0
        self._blocks: dict[int, int] = {}

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Take octets from the application."""
        self.buffer += data
        self.pushes.append(self.end)

    def fill(self, data: bytes, goal: int) -> int:
        """Take as many octets as the last buffer has room for, one of *goal* octets; how many (tcp_sendmsg)."""
        start = self._ends[-2] if len(self._ends) > 1 else self.nxt
        if not self._ends or self.end - start >= goal:
            start = self.end
            self._ends.append(start)
        elif self.pushes and self.pushes[-1] == self.end:
            del self.pushes[-1]  # written on to before it went: no PSH there any more (tcp_sendmsg)
        taken = data[: goal - (self.end - start)]
        self.buffer += taken
        self._ends[-1] = self.end
        return len(taken)

    @property
    def head(self) -> int:
        """Octets in the first buffer that was not sent; 0 while none are kept apart."""
        return self._ends[0] - self.nxt if self._ends else 0

    @property
    def head_is_tail(self) -> bool:
        """It is the only one."""
        return len(self._ends) < 2

    @property
    def end(self) -> int:
        """Behind the last octet written."""
        return self.nxt + len(self.buffer)

    @property
    def queued(self) -> int:
        """Octets kept: written and not acknowledged."""
        return self.end - self.una

    def send(self, size: int, flags: int, now: int, whole: int | None = None) -> Sent:
        """Move the next octets (and SYN or FIN) under way; *whole*: where the super-packet began that has them."""
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        sent = Sent(self.nxt, data, flags, now, whole)
        self._number(sent)
        self.nxt = sent.end
        while self._ends and self._ends[0] <= self.nxt:
            del self._ends[0]
        self.fin_sent = self.fin_sent or bool(flags & FIN)
        self._flight.append(sent)
        return sent

    def _number(self, sent: Sent) -> None:
        """Say that it is the latest transmission."""
        self._order += 1
        sent.order, sent.delivered = self._order, self.delivered

    def pushed(self, seq: int, end: int) -> bool:
        """Whether a write ended in these octets."""
        while self.pushes and self.pushes[0] <= seq:
            del self.pushes[0]
        return bool(self.pushes) and self.pushes[0] <= end

    # -- counting ---------------------------------------------------------------------------------------------------

    @property
    def packets_out(self) -> int:
        """Segments sent and not acknowledged in order."""
        return len(self._flight) - self._head

    @property
    def in_flight(self) -> int:
        """Segments believed to be in the network (tcp_packets_in_flight)."""
        return self.packets_out - self.sacked_out - self.lost_out + self.retrans_out

    @property
    def oldest(self) -> Sent:
        """The first segment not acknowledged."""
        return self._flight[self._head]

    @property
    def newest(self) -> Sent:
        """The last segment sent."""
        return self._flight[-1]

    def flight(self) -> Iterator[Sent]:
        """Every segment under way, in order."""
        for at in range(self._head, len(self._flight)):
            yield self._flight[at]

    # -- acknowledgements -------------------------------------------------------------------------------------------

    def acknowledge(self, ack: int, told: Acked) -> None:
        """Take off what is acknowledged in order."""
        flight, at = self._flight, self._head
        while at < len(flight) and flight[at].end <= ack:
            self._through(flight[at], told)
            at += 1
        if at < len(flight) and flight[at].seq < ack:
            self._trim(flight[at], ack)
        self.una, self._head = ack, at
        if at > 256 and at * 2 > len(flight):
            del flight[:at]
            self._head, self._resend = 0, max(0, self._resend - at)
        if self._blocks:
            self._blocks = {left: right for left, right in self._blocks.items() if right > ack}

    def _through(self, sent: Sent, told: Acked) -> None:
        told.in_order += 1
        told.syn = told.syn or bool(sent.flags & SYN)
        told.repeated = told.repeated or sent.repeated
        if not sent.repeated and not sent.sacked:
            told.filled = sent.seq if told.filled is None else told.filled
            told.first_sent_ns = sent.sent_ns if told.first_sent_ns is None else told.first_sent_ns
            told.last_sent_ns = sent.sent_ns
        if sent.sacked:
            self.sacked_out -= 1
        else:
            told.through(sent)
            self._forget_loss(sent)

    def _forget_loss(self, sent: Sent) -> None:
        if sent.lost:
            self.lost_out -= 1
            sent.lost = False
        if sent.retransmitted:
            self.retrans_out -= 1
            sent.retransmitted = False

    @staticmethod
    def _trim(sent: Sent, ack: int) -> None:
        """Half a segment is through (tcp_trim_head)."""
        skip = ack - sent.seq
        if sent.flags & SYN:
            sent.flags &= ~SYN
            skip -= 1
        sent.data = sent.data[skip:]
        sent.seq = ack

    def sack(self, left: int, right: int, told: Acked) -> None:
        """Note a selectively acknowledged block; what was known of it before is passed over."""
        start = max(left, self.una, self._blocks.get(left, left))
        if right > self.nxt or right <= start:
            return
        self._blocks[left] = right
        flight = self._flight
        for at in range(bisect_left(flight, start, self._head, key=_seq), len(flight)):
            sent = flight[at]
            if sent.end > right:
                break
            if not sent.sacked:
                self._sacked(sent, told)

    @property
    def highest_sacked(self) -> int:
        """Where the highest selectively acknowledged segment begins; `una`: there is none (tcp_highest_sack_seq)."""
        return self._top[-1] if self.sacked_out and self._top else self.una

    def overtaken(self, low: int, mss: int) -> None:
        """What begins at *low* came after later segments and was not lost (tcp_check_sack_reordering)."""
        distance = self.highest_sacked - low
        if distance > 0:
            self.reordering = max(self.reordering, min(-(-distance // mss), MAX_REORDERING))
            self.reordered = True

    def has_repeated(self, left: int, right: int) -> bool:
        """Whether what is under way there was sent more than once."""
        start = bisect_left(self._flight, left, self._head, key=_seq)
        return any(sent.repeated for sent in self._flight[start:] if sent.end <= right)

    def _sacked(self, sent: Sent, told: Acked) -> None:
        self._forget_loss(sent)
        sent.sacked = True
        self.sacked_out += 1
        told.sacked += 1
        told.through(sent)
        if not sent.repeated:
            if sent.seq < self.highest_sacked:
                told.overtaken = min(sent.seq, sent.seq if told.overtaken is None else told.overtaken)
            told.sack_sent_ns = sent.sent_ns if told.sack_sent_ns is None else told.sack_sent_ns
            told.sack_last_ns = sent.sent_ns
        self._top.append(sent.seq)
        self._top.sort()
        del self._top[: -self.reordering]

    # -- losses -----------------------------------------------------------------------------------------------------

    def judge(self) -> bool:
        """Mark as lost what has enough selectively acknowledged segments above it; whether there was any."""
        if self.sacked_out < self.reordering or len(self._top) < self.reordering:
            return False
        limit, found = self._top[0], False
        start = max(self._judged, self.una)
        for at in range(bisect_left(self._flight, start, self._head, key=_seq), len(self._flight)):
            sent = self._flight[at]
            if sent.seq >= limit:
                break
            found = self.lose(sent, at) or found
        self._judged = max(self._judged, limit)
        return found

    def lose(self, sent: Sent, at: int) -> bool:
        """Hold a segment for lost unless it is known to be through or lost already."""
        if sent.sacked or sent.lost:
            return False
        sent.lost = True
        self.lost_out += 1
        self.losses += 1
        self._resend = min(self._resend, at)
        return True

    def unjudged(self) -> Iterator[tuple[int, Sent]]:
        """What may yet be held for lost and was never sent again, by place, in order of sending."""
        start = max(self._judged, self.una)
        for at in range(bisect_left(self._flight, start, self._head, key=_seq), len(self._flight)):
            sent = self._flight[at]
            if not sent.sacked and not sent.lost and not sent.repeated:
                yield at, sent

    def judged(self, sent: Sent) -> None:
        """Nothing up to this segment needs to be looked at again."""
        self._judged = max(self._judged, sent.end)

    def lose_again(self, sent: Sent) -> None:
        """What was sent again is lost again; as a probe, for the first time."""
        at = bisect_left(self._flight, sent.seq, self._head, key=_seq)
        if not sent.lost:
            self.lose(sent, at)
            return
        self.retrans_out -= 1
        self.losses += 1
        sent.retransmitted = False
        self._resend = min(self._resend, at)

    def find(self) -> None:
        """Nothing is lost after all (tcp_undo_cwnd_reduction)."""
        for sent in self.flight():
            sent.lost = False
        self.lost_out = 0

    def lose_oldest(self) -> bool:
        """Without SACK only the oldest can be named (NewReno)."""
        return self.packets_out > 0 and self.lose(self.oldest, self._head)

    def lose_all(self, sent_by: int | None = None) -> None:
        """A timeout: everything not selectively acknowledged is lost, retransmissions too (tcp_enter_loss).

        *sent_by*: of all but the oldest only what was sent by then (tcp_timeout_mark_lost with RACK).
        """
        for at in range(self._head, len(self._flight)):
            sent = self._flight[at]
            if sent_by is not None and at > self._head and sent.sent_ns > sent_by:
                continue
            if sent.retransmitted:
                sent.retransmitted = False
                self.retrans_out -= 1
            self.lose(sent, at)
        self._resend = self._head
        self._judged = self.nxt if sent_by is None else self._judged

    def forget_sacks(self) -> None:
        """Believe nothing told before: the receiver took it back (a SACK for the oldest at a timeout)."""
        for sent in self.flight():
            if sent.sacked:
                sent.sacked = False
                self.sacked_out -= 1
        self._top.clear()
        self._blocks.clear()

    def reset_dup_acks(self) -> None:
        """Without SACK `sacked_out` counts duplicate acknowledgements; start again."""
        self.sacked_out = 0

    def next_lost(self) -> Sent | None:
        """The first lost segment not sent again."""
        flight = self._flight
        at = max(self._resend, self._head)
        while at < len(flight):
            sent = flight[at]
            if sent.lost and not sent.retransmitted:
                self._resend = at
                return sent
            at += 1
        self._resend = at
        return None

    def lost_with(self, first: Sent, most: int) -> list[Sent]:
        """A lost segment, the one `next_lost` found, with those of its super-packet that are to go again behind it."""
        found, at = [first], self._resend + 1
        while len(found) < most and at < len(self._flight) and len(found[-1].data) == len(first.data):
            sent = self._flight[at]
            if sent.whole != first.whole or not sent.lost or sent.retransmitted or len(sent.data) > len(first.data):
                break
            found.append(sent)
            at += 1
        return found

    def resent(self, sent: Sent, now: int) -> None:
        """Note a retransmission."""
        if not sent.retransmitted and sent.lost:
            sent.retransmitted = True
            self.retrans_out += 1
        sent.repeated = True
        sent.sent_ns = now
        self._number(sent)
        self.repeats += 1

    def resize(self, mss: int) -> None:
        """Cut what is under way for a smaller MSS, and hold what was too long for lost (tcp_simple_retransmit).

        What was one super-packet is cut as one: only its last segment is short.
        """
        flight: list[Sent] = []
        for together in _wholes(self.flight()):
            if all(len(sent.data) <= mss for sent in together):
                flight += together
                continue
            pieces = _cut(together, mss)
            self._count_anew(together, pieces, lost=True)
            flight += pieces
        self._flight, self._head, self._resend = flight, 0, 0

    def shorten(self, sent: Sent, mss: int) -> Sent:
        """Cut a segment that is to go again and has become too long; the first piece (tcp_retransmit_skb)."""
        if len(sent.data) <= mss:
            return sent
        at = bisect_left(self._flight, sent.seq, self._head, key=_seq)
        pieces = _cut([sent], mss)
        self._count_anew([sent], pieces, lost=sent.lost)
        self._flight[at : at + 1] = pieces
        return pieces[0]

    def _count_anew(self, before: list[Sent], pieces: list[Sent], *, lost: bool) -> None:
        """Some segments became others: lost or not, but those selectively acknowledged are not."""
        self.lost_out -= sum(sent.lost for sent in before)
        self.retrans_out -= sum(sent.retransmitted for sent in before)
        self.sacked_out -= sum(sent.sacked for sent in before)
        for piece in pieces:
            piece.lost = lost and not piece.sacked
            self.lost_out += piece.lost
            self.sacked_out += piece.sacked


def _wholes(flight: Iterator[Sent]) -> list[list[Sent]]:
    """Segments by the super-packet that they were sent in; one in two states counts as two (tcp_match_skb_to_sack)."""
    found: list[list[Sent]] = []
    for sent in flight:
        last = found[-1][-1] if found else None
        if last is not None and (last.whole, last.sacked) == (sent.whole, sent.sacked):
            found[-1].append(sent)
        else:
            found.append([sent])
    return found


def _cut(together: list[Sent], mss: int) -> list[Sent]:
    """Cut segments that follow each other anew: the last piece says what the last segment said."""
    first, last = together[0], together[-1]
    data, flags = b"".join(sent.data for sent in together), last.flags
    pieces, starts = [], range(0, len(data), mss)
    for at in starts:
        told = flags if at == starts[-1] else flags & ~(FIN | PSH)
        piece = Sent(first.seq + at, data[at : at + mss], told, first.sent_ns, first.whole)
        piece.repeated, piece.sacked, piece.order = True, first.sacked, first.order
        pieces.append(piece)
    return pieces
