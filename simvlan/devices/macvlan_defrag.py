"""Reassembly of IPv4 multicast on a macvlan parent. Mirrors ip_check_defrag, ip_frag_queue and ip_frag_reasm
(net/ipv4/ip_fragment.c, 6.1) for the user IP_DEFRAG_MACVLAN. Keeping the pieces is in `stack/inet_fragment.py`.

All macvlan parents of a namespace share one table. Incomplete packets are forgotten after 30 s, without ICMP: nobody
is told about a lost multicast packet.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from simvlan.frame import Frame
from simvlan.stack.inet_fragment import FragQueue
from simvlan.stack.packet import checksum
from simvlan.verdict import Drop

TIMEOUT_NS = 30_000_000_000
MEMORY_LIMIT = 4 * 1024 * 1024
"""ipfrag_high_thresh: no new packet is begun beyond."""

IP_DF, IP_MF, IP_OFFSET = 0x4000, 0x2000, 0x1FFF

Key: TypeAlias = "tuple[bytes, bytes, int]"
"""Addresses, identification, protocol."""


class Pending(FragQueue):
    """One packet of which fragments are missing (struct ipq)."""

    __slots__ = ("expires_ns", "head", "max_df_size", "max_size")

    def __init__(self, now: int) -> None:
        super().__init__()
        self.expires_ns = now + TIMEOUT_NS
        self.head: Frame | None = None
        self.max_size = self.max_df_size = 0


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
            if sum(p.held for p in self.pending.values()) > MEMORY_LIMIT:
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
        problem = pending.place(start, data[header : header + end - start], more, data[1] & 3)
        if problem is not None:
            return problem is Drop.DUP_FRAG
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
    ecn = pending.congestion()
    if header + pending.end > 65_535 or ecn is None:
        return None
    head = bytearray(first.payload[:header])
    head[2:4] = (header + pending.end).to_bytes(2, "big")
    head[1] |= ecn
    head[6:8] = (IP_DF if pending.max_df_size == pending.max_size else 0).to_bytes(2, "big")
    head[10:12] = b"\0\0"
    head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
    whole = bytes(head) + pending.joined()
    return Frame(first.dst, first.src, first.proto, whole, first.accel, first.ptype, first.prio, first.csum)


def reassembly_of(netns: Any) -> Reassembly:
    """Return the table of a namespace."""
    table: Reassembly = netns.__dict__.setdefault("macvlan_reassembly", Reassembly())
    return table
