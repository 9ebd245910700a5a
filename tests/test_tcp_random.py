"""TCP under whatever a network does: what was written is what is read, and both ends come to rest."""

from random import Random

import pytest
from tcp_wire import MS, SECOND, Pipe, pair

from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.segment import Segment
from simvlan.stack.tcp.states import State

CONFIGS = [
    Config(sack=sack, timestamps=stamps, congestion=congestion, mss=mss, rmem=(4096, room, 6_291_456))
    for sack, stamps, congestion, mss, room in [
        (True, True, "cubic", 1460, 131_072),
        (True, False, "reno", 1460, 20_000),
        (False, True, "cubic", 536, 131_072),
        (False, False, "reno", 1460, 9000),
        (True, True, "reno", 9000, 131_072),
    ]
]


class Mess(Pipe):
    """Loses, repeats and delays at random."""

    def __init__(self, rng: Random, loss: float, jitter_ns: int) -> None:
        super().__init__(5 * MS, 10_000_000)
        self.rng, self.loss, self.jitter_ns = rng, loss, jitter_ns

    def arrival(self, segment: Segment, now: int) -> int | None:
        when = super().arrival(segment, now)
        if when is None or self.rng.random() < self.loss:
            return None
        return when + self.rng.randrange(self.jitter_ns + 1)


@pytest.mark.parametrize("seed", range(40))
def test_octets_survive_any_network(seed: int) -> None:
    rng = Random(seed)
    config = CONFIGS[seed % len(CONFIGS)]
    loss, jitter = rng.choice([0.0, 0.02, 0.1, 0.3]), rng.choice([0, 2 * MS, 20 * MS])
    wrap = rng.choice([1000, 2**32 - 3000])
    wire, a, b = pair(Mess(rng, loss, jitter), Mess(rng, loss, jitter), config, iss=(wrap, wrap + 77))
    data, answer = rng.randbytes(rng.randrange(60_000)), rng.randbytes(rng.randrange(20_000))
    a.source, b.source, a.closes, b.closes = data, answer, True, True
    resting = {State.CLOSED, State.TIME_WAIT}
    while wire.step() and not {a.conn.state, b.conn.state} <= resting:
        assert wire.now < 3000 * SECOND, (a.conn.state, b.conn.state)
    if a.conn.error or b.conn.error:  # so many losses that an end gave up: allowed only where losses are many
        assert loss >= 0.3
        return
    assert bytes(b.received) == data
    assert bytes(a.received) == answer
    check_counts(a.conn)
    check_counts(b.conn)


def check_counts(conn) -> None:  # type: ignore[no-untyped-def]
    queue = conn.queue
    flight = list(queue.flight())
    if conn.sack_ok:
        assert queue.sacked_out == sum(s.sacked for s in flight)
    assert queue.lost_out == sum(s.lost for s in flight)
    assert queue.retrans_out == sum(s.retransmitted for s in flight)
