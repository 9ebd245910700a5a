"""TCP against what is known of it: the capacity of a clean link, throughput against loss, fairness.

Two ends and a link of a few lines (`tcp_wire.py`), in the lab's time. Capacity is what the link's rate leaves for
payload beside 66 octets of headers per 1448.
"""

from __future__ import annotations

from math import sqrt

import pytest
from tcp_wire import MS, SECOND, End, Pipe, Wire, bernoulli, pair

from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.connection import Connection

MSS = 1448
SHARE = MSS / (MSS + 66)


@pytest.mark.parametrize("congestion", ["cubic", "reno"])
def test_a_clean_link_is_filled(congestion: str) -> None:
    """100 Mb/s for the time it takes (1 Gb/s is `experiments/tcp`), 10 ms each way, a queue of one such product."""
    wire, a, b = pair(Pipe(10 * MS, 100_000_000, 250_000), Pipe(10 * MS), Config(congestion=congestion))
    wire.logging = b.keeping = False
    a.endless = b"x" * 65_536
    wire.run(SECOND)
    before = b.count
    wire.run(3 * SECOND)
    goodput = (b.count - before) * 8 / 2
    assert 0.95 * SHARE * 100e6 <= goodput <= 1.001 * SHARE * 100e6


def mathis(rtt: float, loss: float) -> float:
    """Segments per second, acknowledgements counted by segment: sqrt(3/2) / (RTT sqrt(p)) (Mathis et al. 1997)."""
    return sqrt(1.5 / loss) / rtt


def padhye(rtt: float, loss: float, timeout: float) -> float:
    """The same with timeouts (Padhye et al. 1998, equation 30; b = 1 for counting segments)."""
    waits = timeout * min(1.0, 3 * sqrt(3 * loss / 8)) * loss * (1 + 32 * loss**2)
    return 1 / (rtt * sqrt(2 * loss / 3) + waits)


@pytest.mark.parametrize(("loss", "seconds"), [(0.001, 60), (0.003, 60), (0.01, 100), (0.03, 200)])
def test_reno_keeps_to_the_models(loss: float, seconds: int) -> None:
    """Every data segment is lost with the same chance, 50 ms each way; within 15 % of the model for that loss."""
    rates = []
    for seed in (1, 2):
        wire, a, b = pair(Pipe(50 * MS, passes=bernoulli(loss, seed)), Pipe(50 * MS), Config(congestion="reno"))
        wire.logging = b.keeping = False
        a.endless = b"x" * 65_536
        wire.run(20 * SECOND)
        before = b.count
        wire.run((20 + seconds) * SECOND)
        rates.append((b.count - before) / MSS / seconds)
    mean = sum(rates) / len(rates)
    assert mean == pytest.approx(padhye(0.1, loss, timeout=0.3), rel=0.15)
    if loss <= 0.01:  # beyond, timeouts count
        assert mean == pytest.approx(mathis(0.1, loss), rel=0.15)


def test_eight_flows_share_fairly() -> None:
    """Jain's index of eight equal flows through one queue, after they have found their places."""
    wire = Wire()
    wire.logging = False
    there, ends = Pipe(10 * MS, 20_000_000, 50_000), []
    for number in range(8):
        a, b = (End(Connection(Config(congestion="reno"), 1000 * number + side, side)) for side in (1, 2))
        wire.join(a, b, there, Pipe(10 * MS))
        a.endless, b.keeping = b"x" * 16_384, False
        a.conn.connect(0)
        wire.at(number * 7 * MS, lambda a=a: wire.flush(a, "a"))  # type: ignore[misc]
        ends.append(b)
    wire.run(5 * SECOND)
    before = [b.count for b in ends]
    wire.run(20 * SECOND)
    got = [b.count - old for b, old in zip(ends, before, strict=True)]
    assert sum(got) ** 2 / (8 * sum(x * x for x in got)) >= 0.95
    assert sum(got) * 8 / 15 >= 0.9 * SHARE * 20e6
