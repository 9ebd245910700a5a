"""Made traffic: who sends to whom, of what size, when. Everything random comes from the generator that is passed in.

A generator of traffic takes the `Stations` that take part, how many frames, and a seeded `numpy.random.Generator`;
`sizes` and `times` say how large the frames are and when they leave. Frames are UDP in IPv4 with right checksums and
zero payload, so that scapy, tshark and a kernel take them for what they are.

    stations = Stations.on([f"h{n}/eth0" for n in range(64)], each=160)
    batch = zipf(stations, 1_000_000, np.random.default_rng(1), sizes=imix(), times=poisson(1e6))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from simvlan.clock import SECOND
from simvlan.engines.batch.frames import FrameBatch
from simvlan.engines.batch.given import MEANT, paths
from simvlan.engines.batch.given import each as per_frame
from simvlan.engines.batch.parse import HEAD, I32, I64, U8, U32, U64, at
from simvlan.frame import ARP, BROADCAST, ETH_HLEN, IPV4, VLAN_HLEN

WINDOW = 1 << 14
"""Frames made at a time: their headers stay in the second-level cache."""

FIRST_MAC, FIRST_IP = 0x0253_5600_0001, 0x0A00_0001  # locally administered; none that people type
UDP_PROTO, UDP_PORT = 17, 9
"""Port 9 is `discard`."""

SMALLEST = ETH_HLEN + 2 * VLAN_HLEN + 20 + 8
"""Room for two tags, IPv4 and UDP."""

IMIX = ((60, 7), (590, 4), (1514, 1))
"""Simple IMIX: IPv4 packets of 40 (padded to 46), 576 and 1,500 octets in the proportion 7 : 4 : 1, without FCS."""

Sizes = Callable[[int, Generator], U32]
"""How large n frames are: octets without FCS."""
Times = Callable[[int, Generator], I64]
"""When n frames leave: ns, ascending."""


@dataclass(frozen=True, eq=False)
class Stations:
    """Who takes part, one entry per station.

    Attributes:
        mac: uint64 (k), 48-bit integers.
        ip: uint32 (k), IPv4 addresses.
        ingress: int32 (k), index into `devices`: where the station's frames are sent.
        tag: uint32 (k), `tpid << 16 | tci` that its frames carry on that device, 0: none.
        devices: device paths.
    """

    mac: U64
    ip: U32
    ingress: I32
    tag: U32
    devices: tuple[str, ...]

    @classmethod
    def on(
        cls,
        devices: Sequence[str],
        each: int = 1,
        *,
        mac: int | ArrayLike = FIRST_MAC,
        ip: int | ArrayLike = FIRST_IP,
        tag: ArrayLike = 0,
    ) -> Stations:
        """Place `each` stations on every device: stations 0, 1, ... on the first, and so on.

        `mac` and `ip` are the first of consecutive addresses, or one for every station; `tag` is one or one for each.
        A MAC that another device of the lab has as well is claimed in two places: the rules are then asked once for
        every pair of places between which frames go, not once for all that are alike.

        Raises:
            TypeError, ValueError: devices that are not paths, or addresses that are no integers or not one for each.
        """
        named = paths(devices)
        count = len(named) * each
        return cls(
            _addresses("mac", mac, count, np.uint64),
            _addresses("ip", ip, count, np.uint32),
            np.repeat(np.arange(len(named), dtype=np.int32), each),
            per_frame("tag", tag, count, np.uint32),
            named,
        )

    def __len__(self) -> int:
        return len(self.mac)


def _addresses(name: str, given: int | ArrayLike, count: int, dtype: type) -> NDArray[np.unsignedinteger]:
    """Consecutive addresses from the first one on, or those that were given."""
    if isinstance(given, int):
        given = given + np.arange(count)
    made = per_frame(name, given, count, dtype)
    if len(made) and int(made.max()) >> (48 if name == "mac" else 32):
        raise ValueError(f"{name} has {int(made.max()):#x}: {MEANT[name]} are expected")
    return made


# -- how large -------------------------------------------------------------------------------------------------------


def fixed(size: int = 64) -> Sizes:
    """Every frame has `size` octets (without FCS, at least 50)."""
    return lambda n, rng: np.full(n, size, np.uint32)


def imix(mix: Sequence[tuple[int, float]] = IMIX) -> Sizes:
    """Draw each size from (octets, weight) pairs; by default Simple IMIX."""
    octets = np.array([size for size, _ in mix], np.uint32)
    weight = np.array([share for _, share in mix], float)
    return lambda n, rng: rng.choice(octets, n, p=weight / weight.sum())


def between(low: int, high: int) -> Sizes:
    """Draw each size uniformly from low to high, both included."""
    return lambda n, rng: rng.integers(low, high, n, np.uint32, endpoint=True)


# -- when ------------------------------------------------------------------------------------------------------------


def at_once(start_ns: int = 0) -> Times:
    """All frames at one instant."""
    return lambda n, rng: np.full(n, start_ns, np.int64)


def steady(rate: float, start_ns: int = 0) -> Times:
    """Evenly spaced at `rate` frames/s, each rounded to the ns by itself, so that no error adds up."""
    return lambda n, rng: start_ns + np.rint(np.arange(n) * (SECOND / _positive(rate))).astype(np.int64)


def poisson(rate: float, start_ns: int = 0) -> Times:
    """A Poisson process: gaps drawn from the exponential distribution with mean 1 / `rate` s."""
    return lambda n, rng: start_ns + np.rint(np.cumsum(rng.exponential(SECOND / _positive(rate), n))).astype(np.int64)


def on_off(rate: float, on_s: float, off_s: float, start_ns: int = 0) -> Times:
    """Bursts: steady at `rate` frames/s in periods of mean `on_s`, silent in periods of mean `off_s`, both exponential.

    Time spent sending counts on; every silence is a jump of the clock between two frames.
    """
    gap = SECOND / _positive(rate)

    def times(n: int, rng: Generator) -> I64:
        busy = np.arange(n) * gap
        silences = max(int(n * gap / (on_s * SECOND) * 1.5) + 64, 64)
        ends = np.cumsum(rng.exponential(on_s * SECOND, silences))
        while n and ends[-1] <= busy[-1]:
            ends = np.concatenate([ends, ends[-1] + np.cumsum(rng.exponential(on_s * SECOND, silences))])
        idle = np.concatenate([[0.0], np.cumsum(rng.exponential(off_s * SECOND, len(ends)))])
        return np.asarray(start_ns + np.rint(busy + idle[np.searchsorted(ends, busy, "right")]), np.int64)

    return times


def _positive(rate: float) -> float:
    if not rate > 0:
        raise ValueError(f"a rate of {rate} frames/s: it must be above 0")
    return rate


# -- who to whom -----------------------------------------------------------------------------------------------------


def uniform(
    stations: Stations, n: int, rng: Generator, *, sizes: Sizes | None = None, times: Times | None = None
) -> FrameBatch:
    """Each frame from a random station to a random other one, all pairs equally likely."""
    _at_least_two(stations)
    src = rng.integers(0, len(stations), n)
    return between_pairs(stations, src, _other(src, rng.integers(0, len(stations) - 1, n)), rng, sizes, times)


def zipf(
    stations: Stations,
    n: int,
    rng: Generator,
    exponent: float = 1.0,
    *,
    sizes: Sizes | None = None,
    times: Times | None = None,
) -> FrameBatch:
    """Random sources; the destination is the station of rank r with probability proportional to r ** -exponent.

    Rank 1 is station 0. A frame to its own sender is drawn again among the others, uniformly.
    """
    _at_least_two(stations)
    weight = np.cumsum(np.arange(1, len(stations) + 1) ** -float(exponent))
    src = rng.integers(0, len(stations), n)
    dst = np.searchsorted(weight, rng.random(n) * weight[-1], "right")
    again = _other(src, rng.integers(0, len(stations) - 1, n))
    return between_pairs(stations, src, np.where(dst == src, again, dst), rng, sizes, times)


def all_to_all(
    stations: Stations,
    rng: Generator,
    *,
    sizes: Sizes | None = None,
    times: Times | None = None,
) -> FrameBatch:
    """One frame from every station to every other, in rounds: in round r, station s sends to station s + r."""
    _at_least_two(stations)
    count = len(stations)
    src = np.tile(np.arange(count), count - 1)
    return between_pairs(stations, src, (src + np.repeat(np.arange(1, count), count)) % count, rng, sizes, times)


def arp_storm(stations: Stations, n: int, rng: Generator, *, size: int = 64, times: Times | None = None) -> FrameBatch:
    """Broadcast ARP requests, each from a random station for a random other one's address."""
    _at_least_two(stations)
    src = rng.integers(0, len(stations), n)
    dst = _other(src, rng.integers(0, len(stations) - 1, n))
    return _arp(stations, src, stations.ip[dst], np.full(n, max(size, 50), np.uint32), (times or at_once())(n, rng))


def announce(stations: Stations, *, time: ArrayLike = 0) -> FrameBatch:
    """Return one gratuitous ARP request from every station, in order: what teaches switches where everybody is."""
    everyone = np.arange(len(stations))
    when = per_frame("time", time, len(stations), np.int64)
    return _arp(stations, everyone, stations.ip, np.full(len(stations), HEAD, np.uint32), when)


def between_pairs(
    stations: Stations,
    src: ArrayLike,
    dst: ArrayLike,
    rng: Generator,
    sizes: Sizes | None = None,
    times: Times | None = None,
) -> FrameBatch:
    """Return UDP frames from station `src[i]` to station `dst[i]`; by default 64 octets each, all at time 0.

    Raises:
        ValueError: a frame too small for its headers.
    """
    a, b = np.asarray(src), np.asarray(dst)
    length = (sizes or fixed())(len(a), rng)
    if len(length) and length.min() < SMALLEST:
        raise ValueError(f"{length.min()} octets are too few for tags, IPv4 and UDP ({SMALLEST})")
    head = np.zeros((len(a), HEAD), np.uint8)
    for first in range(0, len(a), WINDOW):
        part = slice(first, first + WINDOW)
        _headers(head[part], stations, a[part], b[part], length[part])
    return _batch(head, length, stations, a, (times or at_once())(len(a), rng))


def _other(src: NDArray[np.integer], drawn: NDArray[np.integer]) -> NDArray[np.integer]:
    """Turn a draw among all but one station into that station's number."""
    return drawn + (drawn >= src)


def _at_least_two(stations: Stations) -> None:
    if len(stations) < 2:
        raise ValueError(f"{len(stations)} station(s): traffic needs at least two")


# -- the octets ------------------------------------------------------------------------------------------------------


def _ethernet(head: U8, stations: Stations, src: NDArray[np.integer], dst: ArrayLike, proto: int) -> NDArray[np.intp]:
    """Write MACs, tag and ethertype; return how far the tag moves what follows (0 or 4)."""
    at(head, 0, ">u8")[:] = np.asarray(dst, np.uint64) << np.uint64(16)
    mac, tag = stations.mac[src], stations.tag[src]
    at(head, 6, ">u2")[:] = mac >> np.uint64(32)
    at(head, 8, ">u4")[:] = mac & np.uint64(0xFFFF_FFFF)
    at(head, 12, ">u4")[:] = np.where(tag, tag, np.uint32(proto << 16))
    at(head, 16, ">u2")[:] = np.where(tag, proto, 0)
    return np.where(tag, VLAN_HLEN, 0)


def _headers(head: U8, stations: Stations, src: NDArray[np.integer], dst: NDArray[np.integer], length: U32) -> None:
    """Write Ethernet, IPv4 and UDP headers of some frames."""
    behind = _ethernet(head, stations, src, stations.mac[dst], IPV4)
    for shift in np.unique(behind).tolist():
        mine = np.flatnonzero(behind == shift)
        packets = head[mine]
        _udp(packets, stations.ip[src[mine]], stations.ip[dst[mine]], length[mine] - np.uint32(ETH_HLEN + shift), shift)
        head[mine] = packets


def _udp(head: U8, src: U32, dst: U32, total: NDArray[np.integer], shift: int) -> None:
    """Write IPv4 (RFC 791) and UDP (RFC 768, checksum unused) behind the Ethernet header."""
    ip, udp = ETH_HLEN + shift, ETH_HLEN + 20 + shift
    at(head, ip, ">u2")[:] = 0x4500
    at(head, ip + 2, ">u2")[:] = total
    at(head, ip + 8, ">u2")[:] = 64 << 8 | UDP_PROTO
    at(head, ip + 12, ">u4")[:] = src
    at(head, ip + 16, ">u4")[:] = dst
    at(head, ip + 10, ">u2")[:] = _ip_checksum(head, ip)
    at(head, udp, ">u4")[:] = UDP_PORT << 16 | UDP_PORT
    at(head, udp + 4, ">u2")[:] = total - 20


def _ip_checksum(head: U8, ip: int) -> NDArray[np.uint32]:
    """The Internet checksum (RFC 1071) of twenty octets."""
    total = sum(at(head, ip + octet, ">u2").astype(np.uint32) for octet in range(0, 20, 2))
    folded = (total & 0xFFFF) + (total >> 16)
    return np.asarray(~(folded + (folded >> 16)) & 0xFFFF, np.uint32)


def _arp(stations: Stations, src: NDArray[np.integer], target: U32, length: U32, time: I64) -> FrameBatch:
    """ARP requests (RFC 826) from stations for addresses."""
    head = np.zeros((len(src), HEAD), np.uint8)
    behind = _ethernet(head, stations, src, BROADCAST, ARP)
    for shift in np.unique(behind).tolist():
        chosen = np.flatnonzero(behind == shift)
        request = head[chosen]
        first = ETH_HLEN + shift
        mac = stations.mac[src[chosen]]
        at(request, first, ">u8")[:] = 0x0001_0800_0604_0001
        at(request, first + 8, ">u2")[:] = mac >> np.uint64(32)
        at(request, first + 10, ">u4")[:] = mac & np.uint64(0xFFFF_FFFF)
        at(request, first + 14, ">u4")[:] = stations.ip[src[chosen]]
        at(request, first + 24, ">u4")[:] = target[chosen]
        head[chosen] = request
    return _batch(head, length, stations, src, time)


def _batch(head: U8, length: U32, stations: Stations, src: NDArray[np.integer], time: I64) -> FrameBatch:
    """Put a batch together: the octets behind the heads are zeros, one run of them for all."""
    longest = int(length.max(initial=HEAD))
    start = np.zeros(len(head), np.int64)
    nothing = np.zeros(longest, np.uint8)
    return FrameBatch(head, length, length, stations.ingress[src], time, start, nothing, stations.devices)
