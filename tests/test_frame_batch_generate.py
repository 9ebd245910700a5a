"""Made traffic: the pairs, sizes and times that were asked for (statistically), seeded, in octets others understand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether

from simvlan.engines.batch import FrameBatch
from simvlan.engines.batch import generate as g

N = 100_000
STATIONS = g.Stations.on(["a/x", "b/x", "c/x", "d/x"], each=5)
"""Four devices, five stations on each."""


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def stations_of(macs: Any) -> Any:
    return (macs - np.uint64(g.FIRST_MAC)).astype(int)


def chi_square(observed: Any, expected: Any) -> float:
    """Pearson's statistic over its degrees of freedom: near 1 when the draw is fair (deviation sqrt(2 / k))."""
    return float((((observed - expected) ** 2) / expected).sum() / (len(observed) - 1))


def test_uniform_pairs_are_all_equally_likely() -> None:
    batch = g.uniform(STATIONS, N, rng())
    src, dst = stations_of(batch.src), stations_of(batch.dst)
    assert (src != dst).all()
    pairs = np.bincount(src * 20 + dst, minlength=400)[[a * 20 + b for a in range(20) for b in range(20) if a != b]]
    assert 0.75 < chi_square(pairs, N / 380) < 1.25
    assert (batch.ingress == src // 5).all()


@pytest.mark.parametrize("exponent", [0.8, 1.0, 2.0])
def test_zipf_destinations_follow_their_rank(exponent: float) -> None:
    batch = g.zipf(STATIONS, N, rng(), exponent)
    src, dst = stations_of(batch.src), stations_of(batch.dst)
    assert (src != dst).all()
    share = np.arange(1, 21) ** -exponent / (np.arange(1, 21) ** -exponent).sum()
    # A frame to oneself (one source in twenty) goes to one of the other nineteen instead.
    expected = N * (share * 19 / 20 + (1 - share) / 20 / 19)
    assert 0.3 < chi_square(np.bincount(dst, minlength=20), expected) < 2.2
    assert 0.3 < chi_square(np.bincount(src, minlength=20), np.full(20, N / 20)) < 2.2


def test_all_to_all_has_every_pair_once() -> None:
    batch = g.all_to_all(STATIONS, rng())
    pairs = list(zip(stations_of(batch.src).tolist(), stations_of(batch.dst).tolist(), strict=True))
    assert sorted(pairs) == [(a, b) for a in range(20) for b in range(20) if a != b]
    assert sorted(pairs[:20]) == [(a, (a + 1) % 20) for a in range(20)]


def test_an_arp_storm_is_broadcast_requests() -> None:
    batch = g.arp_storm(STATIONS, 1000, rng(), times=g.steady(1e6))
    assert (batch.dst == (1 << 48) - 1).all()
    assert (batch.ethertype == 0x0806).all()
    assert (batch.ip_src == STATIONS.ip[stations_of(batch.src)]).all()
    assert (batch.ip_dst != batch.ip_src).all()
    packet = Ether(batch.octets(7))[ARP]
    assert (packet.op, packet.hwlen, packet.plen, packet.hwsrc) == (1, 6, 4, Ether(batch.octets(7)).src)


def test_everybody_announces_once() -> None:
    batch = g.announce(STATIONS)
    assert batch.src.tolist() == STATIONS.mac.tolist()
    assert batch.ip_src.tolist() == batch.ip_dst.tolist() == STATIONS.ip.tolist()


def test_imix_mixes_seven_four_one() -> None:
    sizes = g.imix()(N, rng())
    assert sorted(set(sizes.tolist())) == [60, 590, 1514]
    assert chi_square(np.bincount(sizes)[[60, 590, 1514]], N * np.array([7, 4, 1]) / 12) < 4
    own = g.imix([(100, 1), (200, 3)])(N, rng())
    assert abs((own == 200).mean() - 0.75) < 0.01


def test_sizes_between_and_fixed() -> None:
    sizes = g.between(64, 127)(N, rng())
    assert 0.5 < chi_square(np.bincount(sizes, minlength=128)[64:], np.full(64, N / 64)) < 1.6
    assert g.fixed(99)(3, rng()).tolist() == [99, 99, 99]


def test_steady_times_add_up_no_error() -> None:
    times = g.steady(3e6, start_ns=10)(3_000_001, rng())
    assert (times[0], times[-1]) == (10, 1_000_000_010)
    assert set(np.diff(times).tolist()) == {333, 334}


def test_poisson_gaps_are_exponential() -> None:
    times = g.poisson(1e6)(N, rng())
    gaps = np.diff(times)
    assert abs(gaps.mean() - 1000) < 4 * 1000 / N**0.5
    assert abs(gaps.std() - 1000) < 15
    assert abs((gaps > 2000).mean() - np.exp(-2)) < 0.005
    counts = np.bincount(times // 100_000)[:900]
    assert abs(counts.var() / counts.mean() - 1) < 0.2


def test_bursts_have_the_rate_within_and_the_share_over_all() -> None:
    times = g.on_off(1e6, on_s=0.001, off_s=0.003)(N, rng())
    gaps = np.diff(times)
    assert (gaps >= 999).all()
    silences = gaps[gaps > 1001] - 1000
    assert set(gaps[gaps <= 1001].tolist()) == {1000} or gaps[gaps <= 1001].std() < 1
    assert abs(len(silences) - N / 1000) < 5 * (N / 1000) ** 0.5  # a burst has 1,000 frames on average
    assert abs(silences.mean() - 3e6) < 5 * 3e6 / len(silences) ** 0.5
    assert (np.diff(times) >= 0).all()


def test_very_short_bursts_do_not_run_out() -> None:
    times = g.on_off(1e3, on_s=1e-6, off_s=1e-6)(5000, rng())
    assert len(times) == 5000
    assert (np.diff(times) >= 1_000_000 - 1).all()


@pytest.mark.parametrize("make", [g.steady, g.poisson, lambda rate: g.on_off(rate, 1, 1)])
def test_a_rate_must_be_positive(make: Any) -> None:
    with pytest.raises(ValueError, match="rate of 0 frames/s"):
        make(0)(10, rng())


def test_same_seed_same_octets_other_seed_others() -> None:
    def once(seed: int) -> FrameBatch:
        return g.uniform(STATIONS, 1000, rng(seed), sizes=g.imix(), times=g.poisson(1e6))

    assert (once(5).head == once(5).head).all()
    assert (once(5).time == once(5).time).all()
    assert (once(5).head != once(6).head).any()


def test_scapy_reads_the_frames() -> None:
    """Lengths and checksums are what scapy computes by itself; VLAN and plain stations mixed."""
    tagged = g.Stations.on(["a/x", "b/x"], tag=[0x8100_6064, 0])
    batch = g.uniform(tagged, 50, rng(), sizes=g.between(60, 600))
    for n in range(50):
        packet = Ether(batch.octets(n))
        assert packet.haslayer(Dot1Q) == (batch.ingress[n] == 0)
        assert not packet.haslayer(Dot1Q) or (packet[Dot1Q].vlan, packet[Dot1Q].prio) == (100, 3)
        assert (packet[UDP].dport, packet[IP].ttl) == (9, 64)
        found = (packet[IP].len, packet[IP].chksum, packet[UDP].len)
        packet[IP].len = packet[IP].chksum = packet[UDP].len = None
        again = Ether(bytes(packet))
        assert found == (again[IP].len, again[IP].chksum, again[UDP].len)
        assert len(packet) == batch.length[n]


def test_traffic_needs_two_and_room_for_its_headers() -> None:
    with pytest.raises(ValueError, match=r"1 station\(s\)"):
        g.uniform(g.Stations.on(["a/x"]), 5, rng())
    with pytest.raises(ValueError, match="49 octets are too few"):
        g.uniform(STATIONS, 5, rng(), sizes=g.fixed(49))
    assert len(g.uniform(STATIONS, 5, rng(), sizes=g.fixed(50))) == 5


def test_stations_may_bring_their_addresses() -> None:
    own = g.Stations.on(["a/x"], each=2, mac=np.array([7, 9], np.uint64), ip=[1, 2])
    assert g.announce(own).src.tolist() == [7, 9]
    assert g.announce(own).ip_src.tolist() == [1, 2]
