"""What is lost or late on the way of one write, and in which order Linux then sends; ours in the lab's time.

The orders were recorded from the kernel (6.18.44) by `rack_peer.py`, and `tests/kernel/test_rack_agrees.py` holds them
against the host's; 50 ms each way, Reno. No times are compared, only the order of segments, repetitions among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.connection import Connection
from simvlan.stack.tcp.segment import Segment
from tests.tcp_wire import MS, SECOND, End, Pipe, Wire

ISS, ONE_WAY, GSO_MAX = 1000, 50 * MS, 65_215


@dataclass(frozen=True)
class Case:
    """So many segments in one write; of some so many copies are lost, the first copy of some takes so many ms more."""

    segments: int
    order: str
    """As `numbers` reads it."""
    lost: dict[int, int] = field(default_factory=dict)
    late: dict[int, int] = field(default_factory=dict)
    stamps: int = 0

    @property
    def mss(self) -> int:
        return 1460 - 12 * self.stamps


CASES = {
    "two at the end: the probe first": Case(8, "0-7 7 6", {6: 1, 7: 1}),
    "one at the end": Case(8, "0-7 7", {7: 1}),
    "the probe is lost too": Case(8, "0-7 7 6 7", {6: 1, 7: 2}),
    "the first of three": Case(3, "0-2 0", {0: 1}),
    "repetitions lost": Case(10, "0-9 0 1 0", {0: 2, 1: 1}),
    "three in the middle": Case(30, "0-17 3 4 8 18-29", {3: 1, 4: 1, 8: 1}),
    "one three times": Case(30, "0-17 3 18-22 3 23-27 3 28 29", {3: 3}),
    "a window, F-RTO says it is lost": Case(20, "0-10 0 11 12 1-10 13-19", dict.fromkeys(range(11), 1)),
    "a window and nothing new to send": Case(10, "0-9 9 0-9", {9: 2, **dict.fromkeys(range(9), 1)}),
    "a window, late: F-RTO says so": Case(20, "0-10 0 11-19 10", {}, dict.fromkeys(range(11), 485)),
    "a window, late: timestamps say so": Case(20, "0-10 0 11-19 10", {}, dict.fromkeys(range(11), 485), 1),
    "a window, too late": Case(20, "0-10 0 11 12 1-10 13-19", {}, dict.fromkeys(range(11), 700)),
    "some lost, some late": Case(
        20, "0-10 0 11-14 2 3 15 10 16-19", {2: 1, 3: 1}, dict.fromkeys(range(11), 485)
    ),
    "overtaken again and again": Case(
        48, "0-15 2 16-19 14 20-45 26 46 47 36", {}, {2: 30, 14: 20, 26: 20, 36: 45}
    ),
    "overtaken, and timestamps say so": Case(48, "0-15 2 16-47", {}, {2: 30, 14: 20, 26: 20, 36: 45}, 1),
    "overtaken, then lost": Case(60, "0-15 2 16-37 20 21 38-40 33 41-59", {20: 1, 21: 1}, {2: 30, 33: 20}),
}  # fmt: skip


def numbers(order: str) -> list[int]:
    """Segments named one by one or as a range."""
    found: list[int] = []
    for word in order.split():
        first, _, last = word.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


class Way(Pipe):
    """There: what a case loses or delays."""

    def __init__(self, case: Case) -> None:
        super().__init__(ONE_WAY)
        self.mss, self.lost, self.late = case.mss, dict(case.lost), dict(case.late)

    def arrival(self, segment: Segment, now: int) -> int | None:
        number = (segment.seq - ISS - 1) // self.mss
        takes = ONE_WAY + (self.late.pop(number, 0) * MS if segment.payload else 0)
        if segment.payload and self.lost.get(number):
            self.lost[number] -= 1
            return None
        return now + takes


class Cutting(End):
    """Sends super-packets, which the device cuts."""

    def run(self, now: int) -> None:
        super().run(now)
        whole, self.conn.out = self.conn.out, []
        for it in whole:
            for at in range(0, max(len(it.payload), 1), it.gso_size or len(it.payload) or 1):
                piece = it.payload[at : at + (it.gso_size or len(it.payload))]
                self.conn.out.append(Segment(it.seq + at, it.ack, it.flags, it.window, it.options, piece))


def ours(case: Case, frto: bool = True) -> tuple[list[int], Connection]:
    """What our end sends, by number, and the connection when all came."""
    config = Config(congestion="reno", timestamps=bool(case.stamps), frto=frto)
    wire, a, b = Wire(), Cutting(Connection(config, ISS, 111)), End(Connection(config, 9000, 222))
    wire.join(a, b, Way(case), Pipe(ONE_WAY))
    a.conn.connect(0)
    wire.flush(a, "a")
    a.conn.gso_max = GSO_MAX
    wire.run(SECOND)
    a.source = bytes(case.segments * case.mss)
    wire.at(SECOND, lambda: wire.flush(a, "a"))
    wire.run(20 * SECOND)
    assert b.count == case.segments * case.mss
    return [(s.seq - ISS - 1) // case.mss for _, who, s in wire.log if who == "a" and s.payload], a.conn
