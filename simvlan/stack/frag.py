"""Fragments: cutting packets for a smaller MTU, and putting them together again.

Mirrors ip_do_fragment (net/ipv4/ip_output.c) and net/ipv4/ip_fragment.c, inet_fragment.c: 30 seconds to complete a
packet, overlaps forbidden since 4.20, a time-exceeded error when the first fragment was there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.frame import HOST
from simvlan.stack.fib import LOCAL
from simvlan.stack.packet import MF, OFFSET, Packet, header_size, reheader
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.stack.netstack import Stack

_COPIED = 0x80


def fragments(octets: bytes, mtu: int) -> Iterator[bytes]:
    """Cut a packet, all pieces but the last a multiple of eight octets; an MF bit and offset it has are kept."""
    size = header_size(octets)
    frag = octets[6] << 8 | octets[7]
    offset, more = frag & OFFSET, frag & MF
    body = octets[size:]
    head, at = octets[:size], 0
    while at < len(body):
        room = mtu - len(head)
        part = body[at : at + room]
        last = at + len(part) >= len(body)
        if not last:
            part = body[at : at + (room & ~7)]
        bits = (frag & 0xC000) | (offset + at // 8) | (more if last else MF)
        yield reheader(head[:6] + bits.to_bytes(2, "big") + head[8:] + part)
        if at == 0:
            head = _later_header(head)
        at += len(part)


def _later_header(head: bytes) -> bytes:
    """The header of later fragments: options that are not to be copied become no-ops (ip_options_fragment)."""
    options, at = bytearray(head[20:]), 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            break
        if not options[at] & _COPIED:
            options[at : at + size] = b"\1" * size
        at += size
    return head[:20] + bytes(options)


class Queue:
    """The fragments of one packet so far (struct ipq)."""

    __slots__ = ("first", "held", "largest", "pieces", "timer", "total")

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        self.first: Packet | None = None
        self.total: int | None = None
        self.held = self.largest = 0
        self.timer: Timer | None = None


class Reassembly:
    """All unfinished packets of a namespace."""

    __slots__ = ("for_hosts", "held", "queues", "stack")

    def __init__(self, stack: Stack, for_hosts: bool = True) -> None:
        self.stack = stack
        self.for_hosts = for_hosts
        """Packets for this host alone (IP_DEFRAG_LOCAL_DELIVER), else whoever's (IP_DEFRAG_CONNTRACK_IN)."""
        self.queues: dict[tuple[int, int, int, int], Queue] = {}
        self.held = 0

    def add(self, packet: Packet) -> Packet | Drop | None:
        """Take a fragment (ip_defrag): the whole packet when it completes one, None while waiting."""
        if self.held > self.stack.settings["ipfrag_high_thresh"]:
            return Drop.FRAG_REASM_FULL
        key = (packet.src, packet.dst, packet.ident, packet.proto)
        queue = self.queues.get(key)
        if queue is None:
            queue = self.queues[key] = Queue()
            now = self.stack.kernel.now
            due = now + self.stack.settings["ipfrag_time"] * SECOND
            queue.timer = self.stack.kernel.at(due, partial(self._expire, key, queue))
        problem = self._place(queue, packet)
        if problem is not None:
            if problem is not Drop.DUP_FRAG:
                self._forget(key, queue)
            return problem
        if queue.first is None or queue.total is None or queue.held < queue.total:
            return None
        self._forget(key, queue)
        return self._whole(queue)

    def _place(self, queue: Queue, packet: Packet) -> Drop | None:
        """Check a fragment against those we have and keep it (ip_frag_queue)."""
        start = (packet.frag & OFFSET) * 8
        body = packet.payload
        end = start + len(body)
        if packet.frag & MF:
            body = body[: len(body) & ~7]
            end = start + len(body)
            if queue.total is not None and end > queue.total:
                return Drop.FRAG_INVALID
        else:
            if (queue.total is not None and queue.total != end) or any(
                s + len(b) > end for s, b in queue.pieces.items()
            ):
                return Drop.FRAG_INVALID
            queue.total = end
        if end == start:
            return Drop.FRAG_INVALID
        for other, octets in queue.pieces.items():
            if start < other + len(octets) and other < end:
                inside = other <= start and end <= other + len(octets)
                return Drop.DUP_FRAG if inside else Drop.FRAG_OVERLAP
        queue.pieces[start] = body
        queue.held += len(body)
        queue.largest = max(queue.largest, len(packet.data))
        self.held += len(body)
        if start == 0:
            queue.first = packet
        return None

    def _whole(self, queue: Queue) -> Packet | Drop:
        """Join the pieces under the first fragment's header (ip_frag_reasm)."""
        first = queue.first
        assert first is not None
        body = b"".join(queue.pieces[at] for at in sorted(queue.pieces))
        if first.header_len + len(body) > 65_535:
            return Drop.FRAG_INVALID
        head = first.data[: first.header_len]
        whole = Packet(reheader(head[:6] + b"\0\0" + head[8:] + body), first.dev, False, first.ptype)
        whole.broadcast, whole.input_if = first.broadcast, first.input_if
        whole.frag_max = queue.largest
        return whole

    def _forget(self, key: tuple[int, int, int, int], queue: Queue) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
        self.held -= queue.held
        if self.queues.get(key) is queue:
            del self.queues[key]

    def _expire(self, key: tuple[int, int, int, int], queue: Queue) -> None:
        """Give up: tell the sender if the first fragment came and was for us alone (ip_expire)."""
        self._forget(key, queue)
        first = queue.first
        if first is None or not first.dev:
            return
        if first.ptype is HOST and (self.for_hosts or self.stack.addr_type(first.dst) == LOCAL):
            self.stack.icmp.time_exceeded(first, code=1)
