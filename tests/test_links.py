"""Cables and queueing disciplines: exact times, the kernel's order of questions, and honest chances."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from random import Random

import pytest

from simvlan.engines.events import EventClock, restore, snapshot
from simvlan.frame import Frame
from simvlan.links import Cable, CableOptions, Wire
from simvlan.network import Network
from simvlan.qdisc.netem import CERTAIN, Netem, NetemOptions, probability, table_delay
from simvlan.qdisc.queue import install
from simvlan.qdisc.tbf import Rate, Tbf, TbfOptions, limit_for_latency
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.verdict import Drop

MS = 1_000_000
A, B = 0x02_00_00_00_00_0A, 0x02_00_00_00_00_0B
TRIES = 20_000


def frame(size: int = 100, mark: int = 0) -> Frame:
    return Frame(B, A, 0x88B5, mark.to_bytes(4, "big") + bytes(size - 18))


def netem(**options: object) -> Netem:
    return Netem(NetemOptions(**options), Random("netem"))  # type: ignore[arg-type]


def within(hits: int, tries: int, chance: float) -> bool:
    """Say whether a count is within three standard errors of what a chance promises."""
    return abs(hits - tries * chance) <= 3 * sqrt(tries * chance * (1 - chance))


class World:
    """left/eth0 == right/eth0, with what each end saw: (time, octets, outgoing)."""

    def __init__(self) -> None:
        self.net = Network(EventClock(), seed=1)
        left, right = self.net.add_netns("left"), self.net.add_netns("right")
        peer = PeerSpec("eth0", right, mac=B, ifindex=9)  # another index: linkwatch looks at once
        link_add(self.net, left, LinkSpec("veth", "eth0", mac=A, peer=peer))
        self.left, self.right = (self.net.device(f"{n}/eth0") for n in ("left", "right"))
        link_set(self.net, self.left, up=True)
        link_set(self.net, self.right, up=True)
        self.sent: list[tuple[int, int]] = []
        self.got: list[tuple[int, int]] = []
        self.left.taps.append(self.on_left)
        self.right.taps.append(self.on_right)

    def on_left(self, now: int, dev: object, frame: Frame, out: bool) -> None:
        self.sent.append((now, frame.payload[3]))

    def on_right(self, now: int, dev: object, frame: Frame, out: bool) -> None:
        if not out:
            self.got.append((now, frame.payload[3]))

    def run(self, until: int = 10**12) -> None:
        self.net.clock.advance(until)  # type: ignore[attr-defined]


# -- cables ---------------------------------------------------------------------------------------------------------


def test_a_cable_delivers_after_transmission_and_delay() -> None:
    """100 octets at 8 Mbit/s take 100 us, then 1 ms of delay; the second waits for the first."""
    world = World()
    Cable(world.net, world.left, CableOptions(rate_bps=8_000_000, delay_ns=MS))
    world.net.send(world.left, frame(mark=1))
    world.net.send(world.left, frame(mark=2))
    world.run()
    assert world.sent == [(0, 1), (0, 2)]
    assert world.got == [(1_100_000, 1), (1_200_000, 2)]
    assert (world.left.tx_packets, world.right.rx_packets) == (2, 2)


def test_an_ideal_cable_delivers_at_once() -> None:
    world = World()
    Cable(world.net, world.left)
    world.net.send(world.left, frame(mark=1))
    assert world.got == [(0, 1)]


def test_rounding_never_adds_up() -> None:
    """At 10 Gbit/s 64 octets take 51.2 ns: after 10 frames exactly 512 ns have passed, each arrival rounded up."""
    wire = Wire(CableOptions(rate_bps=10_000_000_000), Random(1))
    arrivals = [wire.admit(frame(64), 0)[0][0] for _ in range(10)]  # type: ignore[index]
    assert arrivals == [52, 103, 154, 205, 256, 308, 359, 410, 461, 512]


def test_a_tag_beside_the_octets_takes_time_on_the_wire_too() -> None:
    wire = Wire(CableOptions(rate_bps=8_000_000_000), Random(1))
    assert wire.admit(frame(100).with_accel(0x8100_0005), 0)[0][0] == 104  # type: ignore[index]


def test_a_full_queue_drops_and_an_emptied_one_takes_again() -> None:
    wire = Wire(CableOptions(rate_bps=8_000_000_000, limit=2), Random(1))
    assert [isinstance(wire.admit(frame(), 0), Drop) for _ in range(3)] == [False, False, True]
    assert wire.admit(frame(), 0) is Drop.QDISC_DROP
    assert not isinstance(wire.admit(frame(), 100), Drop)


def test_jitter_stays_within_bounds_and_keeps_the_order() -> None:
    wire = Wire(CableOptions(delay_ns=1000, jitter_ns=300), Random(1))
    arrivals = [wire.admit(frame(), now)[0][0] - now for now in range(0, 10_000_000, 1000)]  # type: ignore[index]
    assert min(arrivals) >= 700
    assert max(arrivals) <= 1300
    assert abs(sum(arrivals) / len(arrivals) - 1000) < 3 * 300 / sqrt(3 * len(arrivals))
    burst = [wire.admit(frame(), 10**8)[0][0] for _ in range(100)]  # type: ignore[index]
    assert burst == sorted(burst)


def test_reordered_frames_overtake_others_do_not() -> None:
    world = World()
    Cable(world.net, world.left, CableOptions(delay_ns=MS, reorder=0.3))
    for mark in range(200):
        world.net.clock.advance(mark * 1000)  # type: ignore[attr-defined]
        world.net.send(world.left, frame(mark=mark))
    world.run()
    early = [m for t, m in world.got if t == m * 1000]
    late = [m for t, m in world.got if t == m * 1000 + MS]
    assert sorted(early + late) == list(range(200))
    assert within(len(early), 200, 0.3)
    assert late == sorted(late)


@pytest.mark.parametrize(("what", "copies"), [("loss", 0), ("duplicate", 2)])
def test_chances_of_a_cable(what: str, copies: int) -> None:
    wire = Wire(CableOptions(**{what: 0.1}), Random(what))  # type: ignore[arg-type]
    hits = 0
    for now in range(TRIES):
        answer = wire.admit(frame(), now)
        hits += (0 if answer is Drop.LINK_LOSS else len(answer)) == copies  # type: ignore[arg-type]
    assert within(hits, TRIES, 0.1)


def test_a_pulled_cable_takes_the_carrier_and_what_is_under_way() -> None:
    world = World()
    cable = Cable(world.net, world.left, CableOptions(delay_ns=MS))
    world.net.send(world.left, frame(mark=1))
    cable.pull()
    assert not world.left.carrier
    assert not world.right.carrier
    world.net.send(world.left, frame(mark=2))
    world.net.set_down(world.right)
    world.net.set_up(world.right)
    assert not world.right.carrier, "bringing an end up does not plug the cable in"
    world.run()
    assert world.got == []
    cable.plug()
    assert world.left.carrier
    world.net.send(world.left, frame(mark=3))
    world.run(2 * 10**12)
    assert [m for _, m in world.got] == [3]


def test_each_direction_has_randomness_of_its_own() -> None:
    """Traffic in one direction, or on another cable, does not change the losses of this one."""
    outcomes = []
    for noise in (False, True):
        world = World()
        Cable(world.net, world.left, CableOptions(loss=0.5))
        for mark in range(200):
            world.net.send(world.left, frame(mark=mark))
            if noise:
                world.net.send(world.right, frame(mark=mark))
        outcomes.append([m for _, m in world.got])
    assert outcomes[0] == outcomes[1]
    assert 60 < len(outcomes[0]) < 140


def test_a_snapshot_keeps_the_frames_under_way_and_the_dice() -> None:
    world = World()
    Cable(world.net, world.left, CableOptions(rate_bps=1_000_000, delay_ns=MS, jitter_ns=MS // 2, loss=0.3))
    for mark in range(50):
        world.net.send(world.left, frame(mark=mark))
    frozen = snapshot(world.net)
    results = []
    for net in (world.net, restore(frozen), restore(frozen)):
        world.got.clear()
        for mark in range(50, 100):
            net.send(net.device("left/eth0"), frame(mark=mark))
        net.clock.advance(10**12)  # type: ignore[attr-defined]
        results.append(list(world.got))
    assert results[0] == results[1] == results[2]
    assert len(results[0]) > 40


@pytest.mark.parametrize(
    "wrong",
    [{"loss": 1.5}, {"duplicate": -0.1}, {"rate_bps": -1}, {"jitter_ns": 5}, {"limit": 0}, {"reorder": 0.1}],
)
def test_impossible_cables_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        CableOptions(**wrong)  # type: ignore[arg-type]


# -- netem ----------------------------------------------------------------------------------------------------------


def departures(queue: Netem | Tbf, sends: list[tuple[int, int]]) -> list[int | Drop]:
    """Admit frames of (time, size) and list when each leaves."""
    found: list[int | Drop] = []
    for now, size in sends:
        answer = queue.admit(frame(size), now)
        found.extend([answer] if isinstance(answer, Drop) else [t for t, _ in answer])
    return found


def test_netem_delays_by_a_constant() -> None:
    assert departures(netem(delay_ns=5 * MS), [(0, 100), (7, 100)]) == [5 * MS, 5 * MS + 7]


def test_netem_delay_counts_the_sender_and_shows_the_frame_at_departure() -> None:
    """A packet socket sees a frame when the discipline lets it go (dev_hard_start_xmit), not when it was sent."""
    world = World()
    world.left.qdisc = netem(delay_ns=5 * MS)
    world.net.send(world.left, frame(mark=1))
    assert world.sent == []
    world.run()
    assert world.sent == world.got == [(5 * MS, 1)]


def test_netem_rate_queues_behind_the_last_frame_waiting() -> None:
    """With a rate the time bonus already waited counts against the delay (netem_enqueue's reference point)."""
    queue = netem(rate=1_000_000, delay_ns=50_000)  # 100 octets take 100 us
    assert departures(queue, [(0, 100), (0, 100), (1_000_000, 100)]) == [150_000, 250_000, 1_150_000]


def test_netem_rate_counts_cells_and_overhead() -> None:
    """ATM: 100 octets are 3 cells of 48, 53 octets each on the wire; overhead is added before (packet_time_ns)."""
    assert departures(netem(rate=1_000_000_000, cell_size=48, cell_overhead=5), [(0, 100)]) == [159]
    assert departures(netem(rate=1_000_000_000, packet_overhead=45, cell_size=48, cell_overhead=5), [(0, 100)]) == [212]


def test_netem_limit_counts_frames_waiting() -> None:
    queue = netem(delay_ns=100, limit=2)
    assert departures(queue, [(0, 64), (0, 64), (0, 64), (100, 64)]) == [100, 100, Drop.QDISC_DROP, 200]


def test_netem_gap_sends_every_nth_at_once() -> None:
    """A gap of 5 without a reorder chance: every fifth frame jumps the queue, always."""
    out = departures(netem(delay_ns=1000, gap=5), [(0, 64)] * 10)
    assert [t == 0 for t in out] == [False] * 4 + [True] + [False] * 4 + [True]


def test_netem_reorder_with_a_gap_of_one_asks_for_every_frame() -> None:
    """What tc makes of a chance without a gap; to the kernel itself no gap is no reordering (netem_enqueue)."""
    out = departures(netem(delay_ns=1000, reorder=probability(0.25), gap=1, limit=TRIES), [(0, 64)] * TRIES)
    assert within(out.count(0), TRIES, 0.25)
    out = departures(netem(delay_ns=1000, reorder=probability(0.25), limit=TRIES), [(0, 64)] * TRIES)
    assert out == [1000] * TRIES


def test_netem_jitter_reorders_by_departure() -> None:
    world = World()
    world.left.qdisc = netem(delay_ns=1000, jitter_ns=900)
    for mark in range(50):
        world.net.send(world.left, frame(mark=mark))
    world.run()
    assert sorted(m for _, m in world.got) == list(range(50))
    assert [m for _, m in world.got] != list(range(50))


def test_uniform_and_normal_jitter_have_the_right_spread() -> None:
    """Uniform over mean ± sigma has a deviation of sigma/sqrt(3); the normal table one of sigma."""
    for name, deviation in (("uniform", 1000 / sqrt(3)), ("normal", 1000.0)):
        queue = netem(delay_ns=10_000, jitter_ns=1000, distribution=name, limit=TRIES)
        delays = [int(t) for t in departures(queue, [(0, 64)] * TRIES)]
        mean = sum(delays) / TRIES
        spread = sqrt(sum((d - mean) ** 2 for d in delays) / TRIES)
        assert abs(mean - 10_000) < 3 * deviation / sqrt(TRIES)
        assert abs(spread - deviation) < 3 * deviation / sqrt(TRIES)


def test_table_delay_rounds_as_c_does() -> None:
    """tabledist: the remainder is scaled with rounding away from zero, then divided toward zero."""
    assert table_delay(100, 10, 0, (8192,)) == 110
    assert table_delay(100, 10, 0, (-8192,)) == 90
    assert table_delay(0, 3, 0, (-4096,)) == -2
    assert table_delay(0, 20_000, 0, (8192,)) == 20_000


def test_an_unknown_distribution_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="pareto"):
        netem(delay_ns=1, jitter_ns=1, distribution="pareto")


@pytest.mark.parametrize(("option", "copies"), [("loss", 0), ("duplicate", 2)])
def test_netem_chances(option: str, copies: int) -> None:
    queue = netem(**{option: probability(0.2)})
    answers = [queue.admit(frame(), 0) for _ in range(TRIES)]
    hits = sum((0 if a is Drop.LINK_LOSS else len(a)) == copies for a in answers)  # type: ignore[arg-type]
    assert within(hits, TRIES, 0.2)


def test_netem_certainties() -> None:
    assert netem(loss=CERTAIN).admit(frame(), 0) is Drop.LINK_LOSS
    assert len(netem(duplicate=CERTAIN).admit(frame(), 0)) == 2  # type: ignore[arg-type]
    assert len(netem().admit(frame(), 0)) == 1  # type: ignore[arg-type]


def test_netem_duplicates_are_not_duplicated_again_and_take_their_own_chances() -> None:
    """Dup and loss both certain: the original survives as the one copy left (netem_enqueue's count)."""
    queue = netem(duplicate=CERTAIN, loss=CERTAIN)
    assert len(queue.admit(frame(), 0)) == 1  # type: ignore[arg-type]


def test_netem_loss_goes_unnoticed_by_the_sender_but_a_full_queue_does_not() -> None:
    """A lost frame is NET_XMIT_SUCCESS for the sender, an overrun NET_XMIT_DROP."""
    world = World()
    world.left.qdisc = netem(loss=CERTAIN)
    assert world.net.send(world.left, frame()) is None
    world.left.qdisc = netem(limit=0)
    assert world.net.send(world.left, frame()) is Drop.QDISC_DROP
    assert world.left.qdisc.stats(0).drops == 1


def test_netem_correlation_leans_on_the_last_number() -> None:
    """Losses of one half with correlation 0.9 come in runs; without correlation two in a row are a quarter."""

    def pairs(correlation: float) -> float:
        queue = netem(loss=probability(0.5), loss_correlation=probability(correlation))
        lost = [queue.admit(frame(), 0) is Drop.LINK_LOSS for _ in range(TRIES)]
        return sum(a and b for a, b in pairwise(lost)) / TRIES

    assert abs(pairs(0.0) - 0.25) < 0.012
    assert pairs(0.9) > 0.4


def test_netem_corrupts_exactly_one_bit() -> None:
    queue = netem(corrupt=CERTAIN)
    for _ in range(50):
        sent = frame().with_accel(0x8100_0007)
        ((_, hurt),) = queue.admit(sent, 0)  # type: ignore[misc]
        before, after = (int.from_bytes(bytes(f), "big") for f in (sent, hurt))
        assert (before ^ after).bit_count() == 1
        assert hurt.accel == sent.accel


def test_netem_counts_like_tc() -> None:
    queue = netem(delay_ns=100)
    departures(queue, [(0, 64), (10, 100)])
    assert queue.stats(50)[:3] == (0, 0, 0)
    assert (queue.stats(50).backlog, queue.stats(50).qlen) == (164, 2)
    assert queue.stats(100)[:2] == (64, 1)
    assert queue.stats(110)[:2] == (164, 2)


# -- tbf ------------------------------------------------------------------------------------------------------------


def test_the_kernels_rate_conversion() -> None:
    """psched_ratecfg_precompute: a 32-bit multiplier as large as it may be; at 1 GB/s an octet is exactly 1 ns."""
    assert (Rate(10**9).mult, Rate(10**9).shift) == (1 << 31, 31)
    assert Rate(125_000).ns(1500) == 12_000_000
    assert Rate(3).mult >> 31 == 1
    assert abs(Rate(3).ns(9) - 3_000_000_000) <= 2


def test_tbf_spends_the_burst_then_keeps_the_rate() -> None:
    """1000 octets of burst at 1 MB/s: ten frames of 100 at once, then one each 100 us."""
    queue = Tbf(TbfOptions(1_000_000, 1000, 100_000), 0)
    assert departures(queue, [(0, 100)] * 13) == [0] * 10 + [100_000, 200_000, 300_000]


def test_tbf_refills_while_idle_but_never_above_the_burst() -> None:
    queue = Tbf(TbfOptions(1_000_000, 300, 100_000), 0)
    assert departures(queue, [(0, 100)] * 4) == [0, 0, 0, 100_000]
    later = 10**9
    assert departures(queue, [(later, 100)] * 4) == [later, later, later, later + 100_000]


def test_tbf_limit_is_octets_waiting_and_no_frame_may_exceed_the_burst() -> None:
    queue = Tbf(TbfOptions(1_000_000, 200, 250), 0)
    assert departures(queue, [(0, 201)]) == [Drop.QDISC_DROP]
    assert departures(queue, [(0, 200), (0, 200), (0, 60)]) == [0, 200_000, Drop.QDISC_DROP]
    assert departures(queue, [(200_000, 60)]) == [260_000]


def test_tbf_peak_rate_spaces_the_burst() -> None:
    """The second bucket holds `mtu` octets at the peak rate: frames of a burst leave no closer than that."""
    queue = Tbf(TbfOptions(1_000_000, 1000, 100_000, peakrate=2_000_000, mtu=100), 0)
    assert departures(queue, [(0, 100)] * 3) == [0, 50_000, 100_000]


def test_tbf_counts_overlimits() -> None:
    """Each look at a head without tokens is an overlimit: on arrival, even one refused, and after a departure.

    The numbers are those of Linux 6.1: rate 8kbit burst 300 limit 250, eight frames of 100 octets 21 ms apart.
    """
    queue = Tbf(TbfOptions(1000, 300, 250), 0)
    found = departures(queue, [(n * 21 * MS, 100) for n in range(8)])
    assert found == [0, 21 * MS, 42 * MS, 100 * MS, 200 * MS, 300 * MS, Drop.QDISC_DROP, Drop.QDISC_DROP]
    assert queue.stats(10**9).overlimits == 7
    assert queue.stats(10**9)[:2] == (600, 6)


def test_netem_counts_what_linux_counted() -> None:
    """Linux 6.1: duplicate 100% limit 3 sends four and drops one; reorder 100% gap 3 requeues every third."""
    queue = netem(delay_ns=400 * MS, duplicate=CERTAIN, limit=3)
    assert departures(queue, [(n * 21 * MS, 100) for n in range(3)])[4:] == [Drop.QDISC_DROP]
    assert queue.stats(10**10)[:2] == (400, 4)
    queue = netem(delay_ns=300 * MS, reorder=CERTAIN, gap=3)
    found = departures(queue, [(n * 21 * MS, 100) for n in range(8)])
    assert [n for n, t in enumerate(found) if t == n * 21 * MS] == [2, 5]
    assert queue.stats(10**10).requeues == 2


def test_limit_from_latency_and_probability() -> None:
    assert limit_for_latency(125_000, 1540, 50 * MS) == 6250 + 1540
    assert probability(1.0) == CERTAIN
    with pytest.raises(ValueError):
        probability(1.1)


def test_a_child_discipline_gets_what_its_parent_lets_go() -> None:
    """netem delay with a tbf below it: the bucket is asked at the moment of departure."""
    world = World()
    world.left.qdisc = netem(delay_ns=MS)
    world.left.qdisc.child = Tbf(TbfOptions(1_000_000, 100, 10_000), 0)
    world.net.send(world.left, frame(mark=1))
    world.net.send(world.left, frame(mark=2))
    world.run()
    assert world.got == [(MS, 1), (MS + 100_000, 2)]


@pytest.mark.parametrize("what", ["down", "carrier", "replaced", "removed"])
def test_a_purged_queue_loses_what_waited_and_works_again(what: str) -> None:
    """dev_deactivate and qdisc_graft empty the queue; what is sent afterwards leaves as usual."""
    world = World()
    world.left.qdisc = netem(delay_ns=MS)
    world.net.send(world.left, frame(mark=1))
    if what == "down":
        world.net.set_down(world.left)
        world.net.set_up(world.left)
    elif what == "carrier":
        link_set(world.net, world.right, up=False)
        link_set(world.net, world.right, up=True)
    else:
        install(world.left, netem(delay_ns=MS) if what == "replaced" else None, 0)
    world.net.send(world.left, frame(mark=2))
    world.run()
    assert [mark for _, mark in world.got] == [2]


def test_a_reset_fills_the_bucket_and_forgets_the_backlog() -> None:
    """tbf_reset."""
    queue = Tbf(TbfOptions(1_000_000, 100, 1000), 0)
    departures(queue, [(0, 100)] * 3)
    queue.reset(0)
    assert queue.stats(0)[:2] == (100, 1)
    assert (queue.stats(0).backlog, queue.stats(0).qlen) == (0, 0)
    assert departures(queue, [(0, 100)] * 2) == [0, 100_000]
