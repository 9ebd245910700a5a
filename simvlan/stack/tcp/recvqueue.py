"""What has arrived: octets in order for the application, segments out of order, and the SACK blocks about them.

RFC 9293, 3.10.7.4; RFC 2018 (the block of the latest segment comes first), RFC 2883 (duplicates are told of).
Mirrors tcp_data_queue, tcp_ofo_queue and tcp_sack_new_ofo_skb of net/ipv4/tcp_input.c.
"""

from __future__ import annotations

from bisect import insort
from collections import deque

MAX_BLOCKS = 4
OVERHEAD = 1280
"""What the kernel charges for a segment beside its octets: struct sk_buff and the room for headers (seen on 6.1)."""


class ReceiveQueue:
    """Octets before `nxt` have been taken; `data` waits to be read."""

    def __init__(self, irs: int) -> None:
        self.irs = irs
        self.nxt = irs
        self.data = bytearray()
        self._sizes: deque[int] = deque()
        """Octets left of each segment in `data`."""
        self._parts: list[tuple[int, int, bytes]] = []
        """Out of order: (start, end, octets), sorted, possibly overlapping."""
        self.fin_at: int | None = None
        self._blocks: list[tuple[int, int]] = []
        """Latest first."""
        self.duplicate: tuple[int, int] | None = None
        """To be told once, before the blocks (D-SACK)."""
        self.waiting = 0
        """Octets out of order."""

    @property
    def out_of_order(self) -> bool:
        """Something waits for a hole to be filled, if only a FIN."""
        return bool(self._parts) or (self.fin_at is not None and self.fin_at > self.nxt)

    @property
    def blocks(self) -> int:
        """How many blocks are out of order."""
        return len(self._blocks)

    @property
    def kept(self) -> int:
        """Memory that takes room: octets, and what each segment's buffer costs beside them (sk_rmem_alloc)."""
        return len(self.data) + self.waiting + OVERHEAD * (len(self._sizes) + len(self._parts))

    def add(self, seq: int, data: bytes) -> int:
        """Take the octets of a segment; how many became readable."""
        end = seq + len(data)
        if end <= self.nxt:
            self.duplicate = (seq, end)
            return 0
        if seq > self.nxt:
            self._keep(seq, end, data)
            return 0
        if seq < self.nxt:
            self.duplicate = (seq, self.nxt)
        before = self.nxt
        self._take(data[self.nxt - seq :] if seq < self.nxt else data, end)
        if self._parts:
            self._fill()
        return self.nxt - before

    def fin(self) -> bool:
        """Whether the FIN is next; one that came too early is a block of its own, or the end of one."""
        if self.fin_at is not None and self.fin_at > self.nxt:
            self._merge(self.fin_at, self.fin_at + 1)
        return self.fin_at == self.nxt

    def finish(self) -> None:
        """Take the FIN: nothing is out of order any more."""
        self.nxt += 1
        self._blocks.clear()

    def _take(self, data: bytes, end: int) -> None:
        self.data += data
        self._sizes.append(len(data))
        self.nxt = end

    def _fill(self) -> None:
        """Take over what has become in order."""
        while self._parts and self._parts[0][0] <= self.nxt:
            start, end, data = self._parts.pop(0)
            self.waiting -= end - start
            if end > self.nxt:
                self._take(data[self.nxt - start :], end)
        self._blocks = [block for block in self._blocks if block[1] > self.nxt]

    def _keep(self, seq: int, end: int, data: bytes) -> None:
        if any(left <= seq and end <= right for left, right in self._blocks):
            self.duplicate = (seq, end)
        else:
            insort(self._parts, (seq, end, data))
            self.waiting += end - seq
        self._merge(seq, end)

    def _merge(self, left: int, right: int) -> None:
        """Grow or make a block, and put it first."""
        rest = []
        for block in self._blocks:
            if block[0] <= right and left <= block[1]:
                left, right = min(left, block[0]), max(right, block[1])
            else:
                rest.append(block)
        self._blocks = [(left, right), *rest]

    def sack_blocks(self, room: int) -> tuple[tuple[int, int], ...]:
        """What an acknowledgement tells: a duplicate once, then the blocks, as many as fit."""
        blocks = list(self._blocks)
        if self.duplicate is not None:
            blocks.insert(0, self.duplicate)
            self.duplicate = None
        return tuple(blocks[: min(room, MAX_BLOCKS)])

    def read(self, most: int) -> bytes:
        """Hand octets to the application."""
        taken = bytes(self.data[:most])
        del self.data[:most]
        left, sizes = len(taken), self._sizes
        while left:
            if sizes[0] > left:
                sizes[0] -= left
                break
            left -= sizes.popleft()
        return taken

    def clear(self) -> None:
        """Throw away what nobody will read."""
        self.data.clear()
        self._sizes.clear()
