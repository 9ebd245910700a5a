"""RACK and tail loss probes (RFC 8985), F-RTO and undoing: what is sent again, and when, switched on and off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simvlan import Lab
from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.segment import Segment
from tests.tcp_cases import CASES, Case, numbers, ours
from tests.tcp_wire import MS, SECOND, End, Pipe, Wire, bernoulli, pair

BOTH = Config(rack=True, loss_probes=True, congestion="reno", timestamps=False)
NEITHER = replace(BOTH, rack=False, loss_probes=False)
ISS, MSS, ONE_WAY = 1000, 1460, 50 * MS
RTT = 2 * ONE_WAY


def sent_with(config: Config, segments: int, lost: dict[int, int]) -> tuple[Wire, End, End]:
    """Send so many segments at once; of each named one so many copies are lost."""
    left = dict(lost)

    def passes(segment: Segment, _now: int) -> bool:
        number = (segment.seq - ISS - 1) // MSS
        if not segment.payload or not left.get(number):
            return True
        left[number] -= 1
        return False

    wire, a, b = pair(Pipe(ONE_WAY, passes=passes), Pipe(ONE_WAY), config, (ISS, 9000))
    wire.run(SECOND)
    a.source = bytes(segments * MSS)
    wire.at(SECOND, lambda: wire.flush(a, "a"))
    wire.run(20 * SECOND)
    assert b.count == segments * MSS
    return wire, a, b


def again(wire: Wire) -> list[tuple[int, int]]:
    """What was sent more than once: ms after the first data, number of the segment."""
    seen, found = set(), []
    for at, who, segment in wire.log:
        number = (segment.seq - ISS - 1) // MSS
        if who == "a" and segment.payload:
            if number in seen:
                found.append(((at - SECOND) // MS, number))
            seen.add(number)
    return found


def test_two_lost_at_the_end_are_mended_without_a_timeout() -> None:
    """The probe, two round trips after the last acknowledgement, is the last segment; its SACK tells of the other."""
    wire, a, _ = sent_with(BOTH, 8, {6: 1, 7: 1})
    probe = (RTT + 2 * RTT) // MS + 2
    assert again(wire) == [(probe, 7), (probe + RTT // MS, 6)]
    assert a.conn.recovery.timeouts == 0
    wire, a, _ = sent_with(NEITHER, 8, {6: 1, 7: 1})
    assert a.conn.recovery.timeouts == 1


def test_one_left_waits_for_a_delayed_acknowledgement_too() -> None:
    """With one segment under way 200 ms more, but no longer than the timeout would be; the window stays as it was."""
    wire, a, _ = sent_with(BOTH, 8, {7: 1})
    assert again(wire) == [((RTT + RTT + 200 * MS) // MS, 7)]
    assert a.conn.recovery.timeouts == 0
    assert a.conn.cc.cwnd >= 10


def test_without_sack_there_is_no_probe() -> None:
    _, a, _ = sent_with(replace(BOTH, sack=False), 8, {7: 1})
    assert a.conn.recovery.timeouts == 1


def test_a_probe_is_new_data_where_there_is_some() -> None:
    """Nagle holds a short end back; two round trips later it goes as the probe, and nothing is repeated."""
    wire, a, _ = pair(Pipe(ONE_WAY, passes=lambda s, _: len(s.payload) != MSS), Pipe(ONE_WAY), BOTH, (ISS, 9000))
    wire.run(SECOND)
    a.source = bytes(2 * MSS + 5)
    a.conn.cc.cwnd = 2
    wire.at(SECOND, lambda: wire.flush(a, "a"))
    wire.run(SECOND + 2 * RTT + 3 * MS)
    assert [(at - SECOND, len(s.payload)) for at, who, s in wire.log if who == "a" and s.payload] == [
        (0, MSS), (0, MSS), (2 * RTT + 2 * MS, 5)]  # fmt: skip


def test_two_later_ones_suffice_once_a_quarter_of_the_round_trip_has_passed() -> None:
    """RACK goes by time where the old rule wants three later segments; it waits min_rtt / 4 for a late one."""
    wire, a, _ = sent_with(replace(BOTH, loss_probes=False), 3, {0: 1})
    assert again(wire) == [((RTT + RTT // 4) // MS + 2, 0)]
    assert a.conn.recovery.timeouts == 0
    wire, a, _ = sent_with(NEITHER, 3, {0: 1})
    assert a.conn.recovery.timeouts == 1


def test_three_later_ones_suffice_at_once() -> None:
    for config in (BOTH, NEITHER):
        wire, _, _ = sent_with(config, 4, {0: 1})
        assert again(wire) == [(RTT // MS, 0)]


def test_what_was_sent_again_may_be_lost_again() -> None:
    """A repetition that is overtaken by a later one is lost too; the old rule learns that by the timeout."""
    wire, a, _ = sent_with(BOTH, 10, {0: 2, 1: 1})
    assert [number for _, number in again(wire)] == [0, 1, 0]
    assert a.conn.recovery.timeouts == 0
    _, a, _ = sent_with(NEITHER, 10, {0: 2, 1: 1})
    assert a.conn.recovery.timeouts == 1


@pytest.mark.parametrize("seed", range(6))
def test_every_octet_arrives_whatever_is_lost(seed: int) -> None:
    wire, a, b = pair(Pipe(5 * MS, 10_000_000, passes=bernoulli(0.1, seed)), Pipe(5 * MS), BOTH)
    a.source, a.closes, b.closes = bytes(n % 251 for n in range(300_000)), True, True
    wire.run(600 * SECOND)
    assert bytes(b.received) == bytes(n % 251 for n in range(300_000))
    queue = a.conn.queue
    assert (queue.packets_out, queue.lost_out, queue.retrans_out, queue.sacked_out) == (0, 0, 0, 0)


@pytest.mark.parametrize("name", CASES)
def test_the_order_is_that_of_linux(name: str) -> None:
    sent, conn = ours(CASES[name])
    assert sent == numbers(CASES[name].order)
    queue = conn.queue
    assert (queue.packets_out, queue.lost_out, queue.retrans_out, queue.sacked_out) == (0, 0, 0, 0)


def test_a_timeout_that_was_not_called_for_leaves_the_window_as_it_was() -> None:
    """With its twin: what was lost costs the window."""
    for kind, halved in (("late: F-RTO says so", False), ("late: timestamps say so", False), ("too late", True)):
        _, conn = ours(CASES[f"a window, {kind}"])
        assert (conn.recovery.timeouts, conn.cc.ssthresh < 10 // 2 + 1) == (1, halved), kind


def test_without_f_rto_what_is_lost_goes_before_what_is_new() -> None:
    late = CASES["a window, late: F-RTO says so"]
    sent, conn = ours(Case(late.segments, "", {}, late.late), frto=False)
    assert sent[:15] == [*range(11), 0, 1, 2, 3]
    assert conn.cc.ssthresh == 5
    sent, conn = ours(Case(late.segments, "", {}, late.late, stamps=1), frto=False)
    assert sent[:15] == [*range(11), 0, 11, 12, 13]  # timestamps say of the first that came that it was only late
    assert conn.cc.ssthresh > 5


def test_the_switches_are_those_of_linux() -> None:
    """On as they are there; one by one off."""
    lab = Lab()
    tcp = lab.network.netns[""].stack

    def switched() -> tuple[bool, bool, bool]:
        config = tcp.tcp.config(tcp.family_of(4), 1500)
        return config.rack, config.loss_probes, config.frto

    names = [f"net.ipv4.tcp_{name}" for name in ("recovery", "early_retrans", "frto")]
    assert lab.sh("sysctl " + " ".join(names)).stdout.splitlines() == [
        f"{name} = {value}" for name, value in zip(names, (1, 3, 2), strict=True)
    ]
    assert switched() == (True, True, True)
    lab.sh("sysctl -qw net.ipv4.tcp_recovery=0 net.ipv4.tcp_early_retrans=2 net.ipv4.tcp_frto=0")
    assert switched() == (False, False, False)
