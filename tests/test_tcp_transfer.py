"""How data moves: timers, losses, windows, delayed acknowledgements, Nagle, path MTU; against the RFCs' numbers."""

from __future__ import annotations

import errno
from itertools import pairwise

import pytest
from tcp_wire import DEFAULT, MS, SECOND, End, Pipe, Wire, pair
from test_tcp_states import OURS, PLAIN, THEIRS, made, seg

from simvlan.stack.tcp.config import Config, window_scale
from simvlan.stack.tcp.connection import Connection
from simvlan.stack.tcp.cubic import Cubic, cube_root
from simvlan.stack.tcp.options import Options, decode, encode
from simvlan.stack.tcp.rtt import RttEstimator
from simvlan.stack.tcp.segment import ACK, FIN, PSH, SYN, Segment, reset_for
from simvlan.stack.tcp.seq import unwrap
from simvlan.stack.tcp.states import State
from simvlan.stack.tcp.timers import patience

S = State


def quick(config: Config = DEFAULT, **pipes: object) -> tuple[Wire, End, End]:
    return pair(Pipe(MS, **pipes), Pipe(MS), config)  # type: ignore[arg-type]


# -- octets -----------------------------------------------------------------------------------------------------------


def test_syn_options_are_laid_out_as_linux_does() -> None:
    """MSS, SACK permitted, timestamps, NOP, window scale: as tcpdump shows them on any Linux host."""
    syn = encode(Options(1460, 7, True, (0x01020304, 0)))
    assert syn.hex() == "020405b40402080a010203040000000001030307"
    assert decode(syn, syn=True) == Options(1460, 7, True, (0x01020304, 0))
    assert decode(syn) == Options(stamp=(0x01020304, 0))  # only a SYN may say the rest


def test_sack_options() -> None:
    told = Options(stamp=(1, 2), sack=((10, 20), (30, 40), (50, 60)))
    assert len(encode(told)) == 40
    assert decode(encode(told)) == told


@pytest.mark.parametrize("octets", ["0204", "02ff05b4", "0200", "0103", "080a0000"])
def test_malformed_options_say_nothing(octets: str) -> None:
    assert decode(bytes.fromhex(octets), syn=True) == Options()


def test_sequence_numbers_unwrap_to_the_nearest() -> None:
    assert unwrap(5, 2**32 - 5) == 2**32 + 5
    assert unwrap(2**32 - 5, 2**32 + 5) == 2**32 - 5
    assert unwrap(7, 7) == 7


# -- the retransmission timeout ---------------------------------------------------------------------------------------


def test_rto_is_rfc_6298_with_the_kernels_floor() -> None:
    rtt = RttEstimator(200 * MS)
    assert rtt.rto_ns == SECOND
    rtt.sample(100 * MS, 0, 10)
    assert (rtt.srtt_ns, rtt.rto_ns) == (100 * MS, 300 * MS)  # R + max(4 R/2, 200 ms)
    rtt.sample(900 * MS, 5, 10)
    assert rtt.srtt_ns == 200 * MS  # 7/8 and 1/8
    assert rtt.rto_ns == 200 * MS + 950 * MS  # deviation: 4 * (3/4 * 50 + 1/4 * 800)


def test_rto_settles_at_rtt_and_200_ms() -> None:
    rtt = RttEstimator(200 * MS)
    for round_number in range(200):
        rtt.sample(80 * MS, 10 * round_number + 1, 10 * round_number + 11)
    assert rtt.rto_ns == 280 * MS


@pytest.mark.parametrize(("linear", "seconds"), [(0, [1, 3, 7, 15, 31, 63]), (4, [1, 2, 3, 4, 5, 7, 11, 19, 35, 67])])
def test_syn_is_repeated_and_given_up(linear: int, seconds: list[int]) -> None:
    """6.1 doubles from the first; from 6.5 on four repetitions come a second apart."""
    wire, a, _ = quick(Config(syn_linear_timeouts=linear), passes=lambda s, now: False)
    wire.run(600 * SECOND)
    assert [at // SECOND for at, _, _ in wire.log[1:]] == seconds
    assert (a.conn.state, a.conn.error) == (S.CLOSED, errno.ETIMEDOUT)


def test_syn_ack_is_repeated_five_times() -> None:
    wire, _, b = pair(Pipe(MS), Pipe(MS, passes=lambda s, now: False), Config(syn_retries=0))
    wire.run(200 * SECOND)
    assert [at // SECOND for at, who, _ in wire.log if who == "b"] == [0, 1, 3, 7, 15, 31]
    assert b.conn.state is S.CLOSED


def test_timeouts_back_off_to_two_minutes_and_end_as_tcp_retries2_says() -> None:
    """924.6 s after the first repetition: Documentation/networking/ip-sysctl.rst."""
    assert patience(15, 200 * MS) == 924_600 * MS
    for probes in (0, 1):  # a tail loss probe first, which starts the timeout anew and is no repetition of it
        wire, a, _ = quick(Config(loss_probes=bool(probes)), passes=lambda s, now: not s.payload)
        a.source = b"x"
        wire.run(2000 * SECOND)
        sent = [at for at, _, s in wire.log if s.payload]
        gaps = [later - earlier for earlier, later in pairwise(sent)]
        assert all(b == min(2 * a, 120 * SECOND) for a, b in pairwise(gaps[probes:]))
        assert gaps[0] == gaps[probes] == 202 * MS
        assert (len(sent), a.conn.error) == (16 + probes, errno.ETIMEDOUT)


def test_a_timed_out_attempt_tells_what_icmp_said() -> None:
    conn = made(S.ESTABLISHED)
    conn.write(b"x", 0)
    conn.unreachable(errno.EHOSTUNREACH, MS, fatal=True)
    assert conn.state is S.ESTABLISHED
    while conn.deadline is not None:
        conn.on_timer(conn.deadline)
    assert (conn.state, conn.error) == (S.CLOSED, errno.EHOSTUNREACH)
    trying = made(S.SYN_SENT)
    trying.unreachable(errno.EHOSTUNREACH, MS, fatal=True)
    assert (trying.state, trying.error) == (S.CLOSED, errno.EHOSTUNREACH)


# -- losses -----------------------------------------------------------------------------------------------------------


def lose(*numbers: int):  # type: ignore[no-untyped-def]
    """Lose the first transmission of these data segments, counted from 0."""
    seen: dict[int, int] = {}

    def passes(segment: Segment, _now: int) -> bool:
        if not segment.payload:
            return True
        again = segment.seq in seen
        number = seen.setdefault(segment.seq, len(seen))
        return again or number not in numbers

    return passes


@pytest.mark.parametrize("sack", [True, False])
def test_three_duplicates_bring_a_fast_retransmit(sack: bool) -> None:
    wire, a, b = quick(Config(sack=sack, congestion="reno", wmem=(1, 200_000, 200_000)), passes=lose(3))
    a.source = b"x" * 1448 * 10
    wire.run(SECOND)
    repeated = [(at, s) for at, who, s in wire.log if who == "a" and s.payload]
    assert len(repeated) == 11
    assert (repeated[-1][1].seq - 1001) // 1448 == 3
    assert repeated[-1][0] == 4 * MS  # one round trip after the first flight, no timeout
    assert (a.conn.recovery.recoveries, a.conn.recovery.timeouts) == (1, 0)
    assert a.conn.cc.ssthresh == (10 + 3) // 2  # three were acknowledged in slow start before the duplicates
    assert b.count == 14_480


def test_sack_repairs_many_losses_in_one_round_trip_and_newreno_one_each() -> None:
    """RFC 6675 against RFC 6582."""
    took = {}
    for sack in (True, False):
        wire, a, b = quick(Config(sack=sack, initcwnd=40, wmem=(1, 200_000, 200_000)), passes=lose(2, 4, 6, 8, 10))
        a.source = b"x" * 1448 * 40
        while b.count < 1448 * 40 and wire.step():
            pass
        took[sack] = wire.now // MS
        assert (a.conn.recovery.recoveries, a.conn.recovery.timeouts) == (1, 0)
        assert len({s.seq for _, who, s in wire.log if who == "a" and s.payload}) == 40
        assert len([s for _, who, s in wire.log if who == "a" and s.payload]) == 45
    assert took == {True: 5, False: 13}


def in_recovery() -> Connection:
    """Twenty full segments under way, the first lost, three after it through."""
    conn = made(S.ESTABLISHED, Config(timestamps=False, congestion="reno", wmem=(1, 100_000, 100_000)))
    conn.sack_ok = conn.recovery.sack = True
    conn.cc.cwnd = conn.cc.ssthresh = 20
    conn.peer_window = conn.max_window = 1_000_000
    conn.write(b"x" * 1460 * 20, MS)
    conn.write(b"x" * 1460 * 20, MS)
    conn.out.clear()
    for count in (1, 2, 3):
        sacked(conn, count)
    return conn


def sacked(conn: Connection, count: int) -> None:
    """Say that so many segments behind the first are through."""
    first = OURS + 1 + 1460
    told = Options(sack=((first, first + 1460 * count),))
    conn.arrive(Segment(THEIRS + 1, OURS + 1, ACK, 50_000, told), 20 * MS)


def test_recovery_sends_one_for_every_two_that_came() -> None:
    """RFC 6937: twenty come down to ten, in proportion; the first two duplicates let new segments go (RFC 3042)."""
    conn = in_recovery()
    assert conn.cc.ssthresh == 10
    assert [s.seq for s in conn.out] == [OURS + 1 + 1460 * 20, OURS + 1 + 1460 * 21, OURS + 1]
    conn.out.clear()
    for count in range(4, 12):
        sacked(conn, count)
    assert len(conn.out) == 4
    for count in range(12, 20):
        sacked(conn, count)
    assert conn.queue.in_flight == 10


def test_after_recovery_the_window_is_the_threshold() -> None:
    conn = in_recovery()
    conn.arrive(seg(ACK, THEIRS + 1, conn.queue.nxt), 40 * MS)
    assert (conn.cc.cwnd, conn.recovery.phase.value) == (11, "open")  # ten, and one for the window just acknowledged


def test_a_repeated_segment_measures_nothing() -> None:
    """Karn: the acknowledgement may be of the first transmission."""
    conn = made(S.ESTABLISHED)
    before = conn.rtt.srtt_ns
    conn.write(b"x", MS)
    conn.on_timer(conn.deadline or 0)
    backed = conn.rto_ns
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 2), 5 * SECOND)
    assert (conn.rtt.srtt_ns, conn.rto_ns) == (before, backed)


def test_the_timestamp_echoed_is_of_the_segment_waited_for() -> None:
    """RFC 7323, 4.3: one beyond a hole does not count, so that the hole's time is measured."""
    conn = Connection(Config(), OURS)
    conn.connect(0)
    told = Options(1460, 7, True, (500, 0))
    conn.arrive(Segment(THEIRS, OURS + 1, SYN | ACK, 1000, told), 0)
    for at, stamp in ((5, 700), (1, 600)):
        conn.arrive(Segment(THEIRS + at, OURS + 1, ACK, 1000, Options(stamp=(stamp, 0)), b"data"), MS)
        assert (conn.out[-1].options.stamp or (0, 0))[1] == (500 if at == 5 else 600)


@pytest.mark.parametrize(
    ("flags", "data", "size"), [(SYN, b"", 1), (FIN, b"abc", 4), (PSH, b"abc", 3), (SYN | FIN, b"", 2)]
)
def test_a_reset_acknowledges_what_it_refuses(flags: int, data: bytes, size: int) -> None:
    answer = reset_for(seg(flags, 100, data=data))
    assert (answer.seq, answer.ack) == (0, 100 + size)


def test_a_lost_tail_waits_for_the_timeout_without_probes() -> None:
    wire, a, b = quick(Config(congestion="reno", loss_probes=False), passes=lose(9))
    a.source = b"x" * 1448 * 10
    wire.run(SECOND)
    assert (a.conn.recovery.recoveries, a.conn.recovery.timeouts) == (0, 1)
    assert (a.conn.cc.ssthresh, b.count) == ((10 + 9) // 2, 14_480)


def test_duplicates_are_told_of() -> None:
    """RFC 2883: the first block names what came twice."""
    conn = made(S.ESTABLISHED, Config(timestamps=False))
    conn.sack_ok = True
    for _ in range(2):
        conn.arrive(seg(ACK, THEIRS + 1, OURS + 1, b"data"), MS)
    assert conn.out[-1].options.sack == ((THEIRS + 1, THEIRS + 5),)


def test_sack_blocks_name_the_latest_first() -> None:
    """RFC 2018, section 4."""
    conn = made(S.ESTABLISHED)
    conn.sack_ok = True
    for at in (100, 300, 200, 400):
        conn.arrive(seg(ACK, THEIRS + 1 + at, OURS + 1, b"y" * 50), MS)
    lefts = [left - THEIRS - 1 for left, _ in conn.out[-1].options.sack]
    assert lefts == [400, 200, 300, 100]
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 1, b"y" * 100), MS)
    assert conn.out[-1].ack == THEIRS + 1 + 150
    assert (THEIRS + 101, THEIRS + 151) not in conn.out[-1].options.sack


@pytest.mark.parametrize("data", [b"y" * 50, b""])
def test_a_fin_out_of_order_is_told_of(data: bytes) -> None:
    """It takes a number, and so it does in a block, alone too; once all is here there is none (as Linux 6.1)."""
    conn = made(S.ESTABLISHED)
    conn.sack_ok = True
    conn.arrive(seg(ACK | FIN, THEIRS + 101, OURS + 1, data), MS)
    assert conn.out[-1].ack == THEIRS + 1
    assert conn.out[-1].options.sack == ((THEIRS + 101, THEIRS + 102 + len(data)),)
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 1, b"y" * 100), MS)
    assert (conn.out[-1].ack, conn.out[-1].options.sack) == (THEIRS + 102 + len(data), ())


# -- windows ----------------------------------------------------------------------------------------------------------


def test_the_window_closes_is_probed_and_opens() -> None:
    wire, a, b = quick(Config(rmem=(4096, 20_000, 20_000)))
    b.reading = False
    a.source = b"x" * 60_000
    wire.run(5 * SECOND)
    assert b.conn.window.right(b.conn.recv.nxt) == 0
    first = next(at for at, who, s in wire.log if who == "b" and s.window == 0)
    probes = [(at, s) for at, who, s in wire.log if who == "a" and at > first + 10 * MS]
    assert len(probes) >= 4
    assert all(not s.payload and s.seq == (a.conn.queue.una - 1) & 0xFFFF_FFFF for _, s in probes)
    gaps = [y[0] - x[0] for x, y in pairwise(probes)]
    assert all(y == 2 * x for x, y in pairwise(gaps))
    b.reading = True
    wire.flush(b, "b")
    wire.run(200 * SECOND)
    assert (b.count, a.conn.error) == (60_000, 0)


def test_a_closed_window_answered_is_waited_for_and_unanswered_is_given_up() -> None:
    wire, a, b = quick(Config(rmem=(4096, 20_000, 20_000)))
    b.reading = False
    a.source = b"x" * 60_000
    wire.run(3600 * SECOND)
    assert (a.conn.state, a.conn.error) == (S.ESTABLISHED, 0)
    a.pipe.passes = lambda segment, now: False
    wire.run(3 * 3600 * SECOND)
    assert (a.conn.state, a.conn.error) == (S.CLOSED, errno.ETIMEDOUT)


@pytest.mark.parametrize(("most", "scale"), [(6_291_456, 7), (33_554_432, 10), (131_072, 2)])
def test_window_scale_follows_the_largest_buffer(most: int, scale: int) -> None:
    assert window_scale(Config(rmem=(4096, 131_072, most))) == scale


def test_the_first_windows_are_linux_s() -> None:
    """64240 in a SYN, 65160 in a SYN-ACK with timestamps, 502 (of 128) in the third segment."""
    wire, _, _ = quick()
    wire.run(3 * MS)
    assert [s.window for _, _, s in wire.log] == [64_240, 65_160, 502]


def test_without_scaling_the_window_stays_in_16_bits() -> None:
    wire, a, b = quick(Config(window_scaling=False))
    a.endless = b"x" * 20_000
    wire.run(200 * MS)
    assert a.conn.max_window <= 65_535
    assert {s.options.wscale for _, _, s in wire.log} == {None}
    assert b.count > 1_000_000


def test_the_receive_buffer_grows_with_the_path() -> None:
    """Dynamic right-sizing: 2 x 8 Mb/s x 500 ms does not fit the first 64 kB."""
    wire, a, b = pair(Pipe(250 * MS, 8_000_000), Pipe(250 * MS))
    wire.logging = False
    a.endless = b"x" * 65_536
    wire.run(8 * SECOND)
    assert b.conn.window.offered > 500_000
    assert b.conn.window.rcvbuf <= 6_291_456


@pytest.mark.parametrize("congestion", ["reno", "cubic"])
def test_a_window_that_is_not_used_does_not_grow(congestion: str) -> None:
    """RFC 7661's point: what holds this sender back is the receiver's 20 kB, not the congestion window."""
    wire, a, b = quick(Config(congestion=congestion, rmem=(4096, 20_000, 20_000), window_scaling=False))
    a.endless = b"x" * 10_000
    wire.run(500 * MS)
    assert a.conn.cc.cwnd <= 2 * 20_000 // 1448 + 1
    assert b.count > 400_000


# -- acknowledgements and Nagle ---------------------------------------------------------------------------------------


def test_every_second_full_segment_is_acknowledged() -> None:
    wire, a, _ = quick(Config(), rate_bps=10_000_000)
    a.source = b"x" * 1448 * 100
    wire.run(SECOND)
    acks = [s for _, who, s in wire.log if who == "b"]
    assert 50 <= len(acks) <= 80  # quick at first


def test_a_lone_short_segment_waits_40_ms_until_read() -> None:
    conn = made(S.ESTABLISHED)
    conn.acks.quick, conn.acks.ato_ns, conn.acks._last_ns = 0, 40 * MS, 0
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 1, b"y" * 100), 15 * MS)
    assert conn.out == []
    assert conn.deadline == 55 * MS
    conn.on_timer(55 * MS)
    assert [s.ack for s in conn.out] == [THEIRS + 101]


def test_reading_a_short_segment_acknowledges_it() -> None:
    conn = made(S.ESTABLISHED)
    conn.acks.quick, conn.acks.ato_ns = 0, 40 * MS
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 1, b"y" * 100), 15 * MS)
    conn.read(1000, 16 * MS)
    assert [s.ack for s in conn.out] == [THEIRS + 101]


@pytest.mark.parametrize("nodelay", [False, True])
def test_nagle_holds_a_second_short_segment(nodelay: bool) -> None:
    conn = made(S.ESTABLISHED, Config(sack=False, timestamps=False, window_scaling=False, nodelay=nodelay))
    for at in range(4):
        conn.write(b"z" * 10, at * MS)
    assert [len(s.payload) for s in conn.out] == ([10] * 4 if nodelay else [10])
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 11), 5 * MS)
    assert [len(s.payload) for s in conn.out] == ([10] * 4 if nodelay else [10, 30])


def test_push_marks_the_end_of_a_write() -> None:
    conn = made(S.ESTABLISHED)
    conn.write(b"z" * 3000, 0)
    assert [(len(s.payload), bool(s.flags & PSH)) for s in conn.out] == [(1460, False), (1460, False), (80, True)]


def test_data_and_fin_share_a_segment_that_waited() -> None:
    conn = made(S.ESTABLISHED)
    conn.write(b"z" * 10, 0)
    conn.write(b"z" * 10, 0)
    conn.shutdown(0)
    assert [(len(s.payload), bool(s.flags & FIN)) for s in conn.out] == [(10, False), (10, True)]


# -- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("told", "size"), [(500, 500), (9000, 1460), (None, 536)])
def test_mss_is_the_smaller_of_both_and_536_untold(told: int | None, size: int) -> None:
    conn = made(S.SYN_SENT)
    conn.arrive(Segment(THEIRS, OURS + 1, SYN | ACK, 60_000, Options(mss=told)), 0)
    conn.write(b"z" * 2000, 0)
    assert max(len(s.payload) for s in conn.out) == size


def test_a_smaller_path_mtu_cuts_what_is_under_way() -> None:
    """RFC 1191: the same octets again at once, no less congestion window."""
    conn = made(S.ESTABLISHED)
    conn.write(b"z" * 14_600, 0)
    conn.out.clear()
    before = conn.cc.cwnd
    conn.path_mtu(1000, MS)
    assert conn.out
    assert all(len(s.payload) <= 960 for s in conn.out)
    assert conn.out[0].seq == OURS + 1
    assert conn.cc.cwnd == before
    total = OURS + 1
    for _ in range(40):
        for segment in conn.out:
            total = max(total, segment.seq + len(segment.payload))
        conn.out.clear()
        conn.arrive(seg(ACK, THEIRS + 1, total), 2 * MS)
    assert total == OURS + 1 + 14_600
    assert (conn.queue.lost_out, conn.queue.retrans_out, conn.queue.packets_out) == (0, 0, 0)


# -- CUBIC ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1, 7, 8, 26, 27, 10**9, 10**18 - 1, 10**18])
def test_cube_root(value: int) -> None:
    root = cube_root(value)
    assert root**3 <= value < (root + 1) ** 3


def test_cubic_is_at_its_plateau_after_k_and_fell_to_70_percent() -> None:
    """RFC 9438: W(0) = beta W_max, W(K) = W_max, K = cbrt(W_max (1 - beta) / C)."""
    cubic = Cubic(10)
    cubic.cwnd = 1000
    cubic.cwnd = cubic.ssthresh = cubic.after_loss()
    assert cubic.cwnd == 700
    cubic._begin(0)
    assert cubic._k_ms == pytest.approx(1000 * (300 / 0.4) ** (1 / 3), rel=0.01)
    assert cubic.curve(0) == pytest.approx(700, abs=2)
    assert cubic.curve(cubic._k_ms) == 1000
    assert cubic.curve(2 * cubic._k_ms) == pytest.approx(1300, abs=2)


def test_fast_convergence_gives_way() -> None:
    cubic = Cubic(10)
    cubic.cwnd, cubic.last_max = 800, 1000
    cubic.after_loss()
    assert cubic.last_max == pytest.approx(800 * 1.7 / 2, abs=2)


def test_reno_adds_one_a_round_trip_and_halves() -> None:
    conn = Connection(PLAIN, OURS)
    assert conn.config.congestion == "cubic"
    reno = Connection(Config(congestion="reno"), OURS).cc
    reno.cwnd = reno.ssthresh = 20
    reno.acked(20, 0, 0, 0)
    assert reno.cwnd == 21
    assert reno.after_loss() == 10
