"""In which order, and how often, two kernels must show the same frames at one capture point.

Linux repeats some frames on a clock of its own (ARP questions, BPDUs, IGMP reports), asks a neighbour in use whether it
is still there some seconds later (neigh_timer_handler), and brings received broadcasts to macvlans and ipvlans from a
work queue, where a later unicast may overtake them (macvlan_process_broadcast, ipvlan_process_multicast). Everything
else must come in the same order.

Since Linux 6.4 these works, and so the answers of the stacks that hear by them, run on another processor beside the
rest: what a station says to one and what it says to all keep their order, what several say at once does not (`beside`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from simvlan.oracle.masks import Masked

Shown = tuple[int, str, bytes]
"""Time in ns, "in" or "out", octets with the masked fields zeroed."""

OVERTAKE_NS = 50_000_000
"""How far apart two frames may be that overtook each other: the work queue's delay on a busy machine."""

PROBE_NS = 10_000_000_000
"""How far a neighbour's probe, and its answer, may be from where the other side has them: commands take time there."""

_REPORTS = (bytes.fromhex("01005e000016"), bytes.fromhex("01005e00006a"))
_BPDU = bytes.fromhex("0180c2000000")


def once(seen: Sequence[Shown]) -> list[Shown]:
    """Without repetition that only a clock decides: see `asked_once`, `bpdus_once`, `without_reports`."""
    return list(bpdus_once(asked_once(without_reports(seen))))


def without_reports(seen: Iterable[Shown]) -> Iterator[Shown]:
    """Without IGMP reports: a host draws their times at random within a second (igmp_ifc_start_timer)."""
    return (frame for frame in seen if frame[2][:6] not in _REPORTS)


@dataclass(frozen=True)
class _Arp:
    """An ARP packet for IPv4, wherever it begins, or a neighbour's solicitation or advertisement."""

    question: bool
    probe: bool
    """A question to one station: whether a neighbour in use is still there."""
    about: bytes
    """Who asks and who is asked, the same for a question and its answer."""


def _arp(octets: bytes) -> _Arp | None:
    at = 12
    while octets[at : at + 2] in (b"\x81\0", b"\x88\xa8"):
        at += 4
    if octets[at : at + 2] == b"\x86\xdd":
        return _neighbour(octets, at + 2)
    if octets[at : at + 2] != b"\x08\x06" or len(octets) < at + 30:
        return None
    question = octets[at + 8 : at + 10] == b"\0\1"
    sender, target = octets[at + 16 : at + 20], octets[at + 26 : at + 30]
    return _Arp(question, question and not octets[0] & 1, sender + target if question else target + sender)


def _neighbour(octets: bytes, ip: int) -> _Arp | None:
    """A solicitation or advertisement for one station or its group; duplicate address detection is ambient."""
    icmp = ip + 40
    if octets[ip + 6 : ip + 7] != b"\x3a" or len(octets) < icmp + 24 or octets[icmp] not in (135, 136):
        return None
    question = octets[icmp] == 135
    other = octets[ip + 8 : ip + 24] if question else octets[ip + 24 : ip + 40]
    return _Arp(question, question and not octets[0] & 1, other + octets[icmp + 8 : icmp + 24])


def asked_once(seen: Iterable[Shown]) -> Iterator[Shown]:
    """Each question for a neighbour taken once per way, and its answer: kernels repeat them on a coarse clock."""
    known: set[tuple[str, bytes]] = set()
    repeated: Counter[bytes] = Counter()
    for when, way, octets in seen:
        if arp := _arp(octets):
            if (way, octets) in known and (arp.question or repeated[arp.about]):
                repeated[arp.about] += 1 if arp.question else -1
                continue
            known.add((way, octets))
        yield when, way, octets


def bpdus_once(seen: Iterable[Shown]) -> Iterator[Shown]:
    """Of the same BPDU again and again the first: how many hellos fit into a sleep is chance."""
    last: tuple[str, bytes] | None = None
    for when, way, octets in seen:
        spanning = octets[:6] == _BPDU
        if spanning and octets[20:21] == b"\0":  # the message age grows by one tick, whose length is the kernel's HZ
            octets = Masked.of(octets[:44] + bytes(2) + octets[46:], octets)
        if not (spanning and last == (way, octets)):
            yield when, way, octets
        last = (way, octets) if spanning else last


@dataclass(frozen=True)
class Mismatch:
    """The first place where two sequences part: positions in either, None where a side has no such frame."""

    ours: int | None
    theirs: int | None
    order_only: bool = False


def first_mismatch(ours: Sequence[Shown], theirs: Sequence[Shown], overtake_ns: int = OVERTAKE_NS) -> Mismatch | None:
    """Where the sequences part; None when they agree but for frames that may have overtaken each other.

    `theirs` has the real times. There, a group frame and another may be `overtake_ns` apart, a neighbour's probe and
    another PROBE_NS. 0 asks for the same order.
    """
    first = _parting(ours, theirs)
    if first is None or not overtake_ns or len(ours) != len(theirs):
        return first
    left, right = _classes(ours), _classes(theirs)
    places = _places(ours, theirs, left, right)
    if places is None:
        return _class_mismatch(ours, theirs, left, right) or first
    return _unlawful(theirs, right, places, overtake_ns)


def beside(ours: Sequence[Shown], theirs: Sequence[Shown]) -> Mismatch | None:
    """Where the sequences part but for the order in which several stations speak at one moment of our time.

    One command or frame is one moment there, and the kernel was left alone after each: what it brought about is at the
    same places on both sides.
    """
    return by_moments(ours, theirs, (), True)


def by_moments(
    ours: Sequence[Shown], theirs: Sequence[Shown], calm: Sequence[tuple[int, int]], several: bool
) -> Mismatch | None:
    """Where the sequences part, one moment of our time after the other.

    A sleep (`calm`: from, to) is one moment: what timers do in it comes in any order, for two that began within some
    ticks end in either. In others each station's order counts where `several` speak at once, else all order.
    """
    first = _parting(ours, theirs)
    if first is None or len(ours) != len(theirs):
        return first
    moments = [_moment(when, calm) for when, _, _ in ours]
    begin = 0
    for end in range(1, len(ours) + 1):
        if end == len(ours) or moments[end] != moments[begin]:
            mine, its = ours[begin:end], theirs[begin:end]
            sleeping = moments[begin][0] < 0
            if not _alike(mine, its, sleeping, several):
                return _parting(ours[:end], theirs[:end])
            begin = end
    return None


def _moment(when: int, calm: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """A time, or the sleep that it is in (-1, its number)."""
    return next(((-1, at) for at, (begin, end) in enumerate(calm) if begin < when <= end), (0, when))


def _alike(mine: Sequence[Shown], its: Sequence[Shown], sleeping: bool, several: bool) -> bool:
    if sleeping:
        return Counter((way, octets) for _, way, octets in mine) == Counter((way, octets) for _, way, octets in its)
    if several:
        return _by_station(mine) == _by_station(its)
    return [shown[1:] for shown in mine] == [shown[1:] for shown in its]


def _by_station(moment: Sequence[Shown]) -> dict[tuple[str, int, bytes], list[bytes]]:
    """What each station said to a group and to one, in order: way, whether for a group, source."""
    said: dict[tuple[str, int, bytes], list[bytes]] = {}
    for _, way, octets in moment:
        said.setdefault((way, octets[0] & 1, octets[6:12]), []).append(octets)
    return said


def _parting(ours: Sequence[Shown], theirs: Sequence[Shown]) -> Mismatch | None:
    """The first position with different frames."""
    both = min(len(ours), len(theirs))
    for at in range(both):
        if ours[at][1:] != theirs[at][1:]:
            return Mismatch(at, at)
    if len(ours) == len(theirs):
        return None
    return Mismatch(both if both < len(ours) else None, both if both < len(theirs) else None)


Kind = tuple[str, str, bytes]
"""Frames of one kind keep their order: "in" or "out"; unicast, group or probe; which neighbour's probe."""


def _classes(seen: Sequence[Shown]) -> list[Kind]:
    """The kind of each frame: an ARP question sent to one station is a probe, and so is the answer to it."""
    kinds: list[Kind] = []
    probed: dict[bytes, bool] = {}
    for _, way, octets in seen:
        kind = "group" if octets[:1] and octets[0] & 1 else "unicast"
        arp = _arp(octets)
        if arp and arp.question:
            probed[arp.about] = arp.probe
        if arp and probed.get(arp.about):
            kinds.append((way, "probe", arp.about))
        else:
            kinds.append((way, kind, b""))
    return kinds


def _positions(kinds: Sequence[Kind]) -> dict[Kind, list[int]]:
    found: dict[Kind, list[int]] = {}
    for at, kind in enumerate(kinds):
        found.setdefault(kind, []).append(at)
    return found


def _places(
    ours: Sequence[Shown], theirs: Sequence[Shown], left: Sequence[Kind], right: Sequence[Kind]
) -> list[int] | None:
    """For each of our frames its position there, when every kind has the same frames in the same order."""
    mine, its = _positions(left), _positions(right)
    if {kind: len(at) for kind, at in mine.items()} != {kind: len(at) for kind, at in its.items()}:
        return None
    places = [0] * len(ours)
    for kind, at in mine.items():
        for here, there in zip(at, its[kind], strict=True):
            if ours[here][1:] != theirs[there][1:]:
                return None
            places[here] = there
    return places


def _class_mismatch(
    ours: Sequence[Shown], theirs: Sequence[Shown], left: Sequence[Kind], right: Sequence[Kind]
) -> Mismatch | None:
    """The earliest frame that its kind does not have at the same place on the other side."""
    mine, its = _positions(left), _positions(right)
    found = [_part(ours, theirs, mine.get(kind, []), its.get(kind, [])) for kind in {*mine, *its}]
    return min(filter(None, found), key=lambda m: m.ours if m.ours is not None else m.theirs or 0, default=None)


def _part(ours: Sequence[Shown], theirs: Sequence[Shown], mine: list[int], its: list[int]) -> Mismatch | None:
    """The first place where the frames at these positions differ."""
    for here, there in zip(mine, its, strict=False):
        if ours[here][1:] != theirs[there][1:]:
            return Mismatch(here, there)
    both = min(len(mine), len(its))
    if len(mine) == len(its):
        return None
    return Mismatch(mine[both] if both < len(mine) else None, its[both] if both < len(its) else None)


def _unlawful(theirs: Sequence[Shown], kinds: Sequence[Kind], places: list[int], overtake_ns: int) -> Mismatch | None:
    """The first pair in another order that may not be: places sorted by insertion, so each exchange is looked at."""
    order = list(range(len(places)))
    for end in range(1, len(order)):
        at = end
        while at and places[order[at - 1]] > places[order[at]]:
            earlier, later = order[at - 1], order[at]
            there = places[earlier], places[later]
            apart = abs(theirs[there[0]][0] - theirs[there[1]][0])
            if apart > _allowed(kinds[there[0]], kinds[there[1]], overtake_ns):
                return Mismatch(earlier, places[later], order_only=True)
            order[at - 1], order[at] = later, earlier
            at -= 1
    return None


def _allowed(one: Kind, other: Kind, overtake_ns: int) -> int:
    """How far apart in time two frames of these kinds may have overtaken each other; -1: not at all."""
    if one[1:] == other[1:]:
        return -1
    return PROBE_NS if "probe" in (one[1], other[1]) else overtake_ns
