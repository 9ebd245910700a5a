"""Reassembly of IPv4 multicast on a macvlan parent. Mirrors ip_check_defrag, ip_frag_queue and ip_frag_reasm
(net/ipv4/ip_fragment.c, inet_fragment.c, 6.1) for the user IP_DEFRAG_MACVLAN.

All macvlan parents of a namespace share one table. Incomplete packets are forgotten after 30 s, without ICMP: nobody
is told about a lost multicast packet.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from simvlan.frame import Frame

TIMEOUT_NS = 30_000_000_000
MEMORY_LIMIT = 4 * 1024 * 1024
"""ipfrag_high_thresh: no new packet is begun beyond."""

IP_DF, IP_MF, IP_OFFSET = 0x4000, 0x2000, 0x1FFF

Key: TypeAlias = "tuple[bytes, bytes, int]"
"""Addresses, identification, protocol."""

NOT_ECT, ECT_1, ECT_0, CE = 1, 2, 4, 8
"""Bits of ECN values seen among fragments: 1 << value."""


class Pending:
    """One packet of which fragments are missing (struct ipq)."""

    def __init__(self, now: int) -> None:
        self.expires_ns = now + TIMEOUT_NS
        self.pieces: dict[int, bytes] = {}
        self.runs: list[tuple[int, int]] = []
        """Contiguous stretches, as the kernel keeps them: only the last one grows."""
        self.end = 0
        self.last_in = False
        self.head: Frame | None = None
        self.ecn = 0
        self.max_size = self.max_df_size = 0

    @property
    def size(self) -> int:
        """Octets held."""
        return sum(map(len, self.pieces.values()))

    def insert(self, start: int, end: int) -> str:
        """Place a stretch: "new", "dup" (all there already) or "overlap" (inet_frag_queue_insert)."""
        if not self.runs or self.runs[-1][1] < end:
            if self.runs and start < self.runs[-1][1]:
                return "overlap"
            if self.runs and start == self.runs[-1][1]:
                self.runs[-1] = (self.runs[-1][0], end)
            else:
                self.runs.append((start, end))
            return "new"
        for at, (first, last) in enumerate(self.runs):
            if end <= first:
                self.runs.insert(at, (start, end))
                return "new"
            if start < last:
                return "dup" if start >= first and end <= last else "overlap"
        return "overlap"

    def settle_end(self, end: int, more: bool) -> bool:
        """Check a fragment's end against what is known of the packet's; False: they contradict each other."""
        if not more:
            if end < self.end or (self.last_in and end != self.end):
                return False
            self.last_in, self.end = True, end
        elif end > self.end:
            if self.last_in:
                return False
            self.end = end
        return True

    @property
    def complete(self) -> bool:
        """Whether first, last and everything between are there."""
        return self.head is not None and self.last_in and self.size == self.end


class Reassembly:
    """The packets of one namespace that wait for fragments."""

    def __init__(self) -> None:
        self.pending: dict[Key, Pending] = {}

    def check(self, frame: Frame, now: int) -> Frame | None:
        """Return a frame to go on with: this one if it is whole, the packet it completed, else None (ip_check_defrag).

        A malformed packet is not looked at: it goes on as it is.
        """
        data = frame.payload
        if len(data) < 20 or data[0] >> 4 != 4 or data[0] & 15 < 5:
            return frame
        length, header = data[2] << 8 | data[3], (data[0] & 15) * 4
        if len(data) < length or length < header:
            return frame
        flags = data[6] << 8 | data[7]
        if not flags & (IP_MF | IP_OFFSET):
            return frame
        return self._take(frame, data[:length], header, flags, now)

    def _take(self, frame: Frame, data: bytes, header: int, flags: int, now: int) -> Frame | None:
        """Add one fragment; the whole packet when it was the missing one (ip_defrag)."""
        key = (data[12:20], data[4:6], data[9])
        pending = self._find(key, now)
        if pending is None:
            return None
        if not self._queue(pending, frame, data, header, flags):
            del self.pending[key]
        elif pending.complete:
            del self.pending[key]
            return _whole(pending)
        return None

    def _find(self, key: Key, now: int) -> Pending | None:
        """Return the packet a fragment belongs to, begun if need be; None when memory is spent."""
        for old in [k for k, p in self.pending.items() if p.expires_ns <= now]:
            del self.pending[old]
        if key not in self.pending:
            if sum(p.size for p in self.pending.values()) > MEMORY_LIMIT:
                return None
            self.pending[key] = Pending(now)
        return self.pending[key]

    @staticmethod
    def _queue(pending: Pending, frame: Frame, data: bytes, header: int, flags: int) -> bool:
        """Add a fragment to its packet; False: the packet is corrupt and all of it is dropped (ip_frag_queue)."""
        start, more = (flags & IP_OFFSET) * 8, bool(flags & IP_MF)
        end = start + len(data) - header
        if more:
            end &= ~7
        if not pending.settle_end(end, more) or end == start:
            return False
        placed = pending.insert(start, end)
        if placed != "new":
            return placed == "dup"
        pending.pieces[start] = data[header : header + end - start]
        pending.ecn |= 1 << (data[1] & 3)
        size = header + end - start
        pending.max_size = max(pending.max_size, size)
        if flags & IP_DF:
            pending.max_df_size = max(pending.max_df_size, size)
        if start == 0:
            pending.head = frame
        return True


def _whole(pending: Pending) -> Frame | None:
    """Build the packet from its first fragment's headers (ip_frag_reasm)."""
    first = pending.head
    assert first is not None
    header = (first.payload[0] & 15) * 4
    if header + pending.end > 65_535 or (pending.ecn & NOT_ECT and pending.ecn != NOT_ECT):
        return None
    head = bytearray(first.payload[:header])
    head[2:4] = (header + pending.end).to_bytes(2, "big")
    if pending.ecn & CE:
        head[1] |= 3
    head[6:8] = (IP_DF if pending.max_df_size == pending.max_size else 0).to_bytes(2, "big")
    head[10:12] = b"\0\0"
    head[10:12] = _checksum(head).to_bytes(2, "big")
    data = b"".join(pending.pieces[start] for start in sorted(pending.pieces))
    return Frame(
        first.dst, first.src, first.proto, bytes(head) + data, first.accel, first.ptype, first.prio, first.csum
    )


def _checksum(header: bytearray) -> int:
    """Return the Internet checksum of an IPv4 header."""
    total = sum(int.from_bytes(header[i : i + 2], "big") for i in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def reassembly_of(netns: Any) -> Reassembly:
    """Return the table of a namespace."""
    table: Reassembly = netns.__dict__.setdefault("macvlan_reassembly", Reassembly())
    return table
