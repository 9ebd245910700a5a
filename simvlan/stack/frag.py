"""Fragments: cutting packets for a smaller MTU, and putting them together again.

Mirrors ip_do_fragment (net/ipv4/ip_output.c) and net/ipv4/ip_fragment.c: 30 seconds to complete a packet, a
time-exceeded error when the first fragment was there. Keeping the pieces is in `inet_fragment`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simvlan.frame import HOST
from simvlan.stack.fib import LOCAL
from simvlan.stack.inet_fragment import FragQueue, Unfinished
from simvlan.stack.packet import MF, OFFSET, Packet, header_size, reheader
from simvlan.verdict import Drop

if TYPE_CHECKING:
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


class Queue(FragQueue):
    """The fragments of one packet so far (struct ipq)."""

    __slots__ = ("first", "largest")

    def __init__(self) -> None:
        super().__init__()
        self.first: Packet | None = None
        self.largest = 0


class Reassembly(Unfinished[tuple[int, int, int, int], Queue]):
    """All unfinished packets of a namespace, by addresses, identification and protocol."""

    __slots__ = ("for_hosts", "stack")

    def __init__(self, stack: Stack, for_hosts: bool = True) -> None:
        super().__init__()
        self.stack = stack
        self.for_hosts = for_hosts
        """Packets for this host alone (IP_DEFRAG_LOCAL_DELIVER), else whoever's (IP_DEFRAG_CONNTRACK_IN)."""

    def add(self, packet: Packet) -> Packet | Drop | None:
        """Take a fragment (ip_defrag): the whole packet when it completes one, None while waiting."""
        if self.held > self.stack.settings["ipfrag_high_thresh"]:
            return Drop.FRAG_REASM_FULL
        key = (packet.src, packet.dst, packet.ident, packet.proto)
        queue = self.queues.get(key)
        if queue is None:
            queue = self.begin(key, Queue(), self.stack.kernel, self.stack.settings["ipfrag_time"])
        start, more, body = (packet.frag & OFFSET) * 8, bool(packet.frag & MF), packet.payload
        if more:
            body = body[: len(body) & ~7]
        problem = self.keep(key, queue, start, body, more, packet.tos & 3)
        if problem is not None:
            return problem
        queue.largest = max(queue.largest, len(packet.data))
        if start == 0:
            queue.first = packet
        if not queue.complete:
            return None
        self.forget(key, queue)
        return self._whole(queue)

    def _whole(self, queue: Queue) -> Packet | Drop:
        """Join the pieces under the first fragment's header (ip_frag_reasm)."""
        first, body, ecn = queue.first, queue.joined(), queue.congestion()
        assert first is not None
        if first.header_len + len(body) > 65_535 or ecn is None:
            return Drop.FRAG_INVALID
        head = bytearray(first.data[: first.header_len])
        head[1] |= ecn
        head[6:8] = b"\0\0"
        whole = Packet(reheader(bytes(head) + body), first.dev, False, first.ptype)
        whole.broadcast, whole.input_if = first.broadcast, first.input_if
        whole.frag_max = queue.largest
        return whole

    def expired(self, queue: Queue) -> None:
        """Give up: tell the sender if the first fragment came and was for us alone (ip_expire)."""
        first = queue.first
        if first is None or not first.dev:
            return
        if first.ptype is HOST and (self.for_hosts or self.stack.addr_type(first.dst) == LOCAL):
            self.stack.icmp.time_exceeded(first, code=1)
