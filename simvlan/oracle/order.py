"""In which order, and how often, two kernels must show the same frames at one capture point.

Linux repeats some frames on a clock of its own (ARP questions, BPDUs, IGMP reports), and brings received broadcasts to
macvlans and ipvlans from a work queue, where a later unicast may overtake them (macvlan_process_broadcast,
ipvlan_process_multicast). Everything else must come in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Shown = tuple[int, str, bytes]
"""Time in ns, "in" or "out", octets with the masked fields zeroed."""

OVERTAKE_NS = 50_000_000
"""How far apart two frames may be that overtook each other: the work queue's delay on a busy machine."""

_REPORTS = (bytes.fromhex("01005e000016"), bytes.fromhex("01005e00006a"))
_BPDU = bytes.fromhex("0180c2000000")


def once(seen: Sequence[Shown]) -> list[Shown]:
    """Without repetition that only a clock decides: see `asked_once`, `bpdus_once`, `without_reports`."""
    return list(bpdus_once(asked_once(without_reports(seen))))


def without_reports(seen: Iterable[Shown]) -> Iterator[Shown]:
    """Without IGMP reports: a host draws their times at random within a second (igmp_ifc_start_timer)."""
    return (frame for frame in seen if frame[2][:6] not in _REPORTS)


def asked_once(seen: Iterable[Shown]) -> Iterator[Shown]:
    """Each ARP question taken once per way: kernels repeat them on a coarse clock (neigh_timer_handler)."""
    asked: set[tuple[str, bytes]] = set()
    for when, way, octets in seen:
        question = octets[12:14] == b"\x08\x06" and octets[20:22] == b"\0\1"
        if not (question and (way, octets) in asked):
            yield when, way, octets
        if question:
            asked.add((way, octets))


def bpdus_once(seen: Iterable[Shown]) -> Iterator[Shown]:
    """Of the same BPDU again and again the first: how many hellos fit into a sleep is chance."""
    last: tuple[str, bytes] | None = None
    for when, way, octets in seen:
        spanning = octets[:6] == _BPDU
        if spanning and octets[20:21] == b"\0":  # the message age grows by one tick, whose length is the kernel's HZ
            octets = octets[:44] + bytes(2) + octets[46:]
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
    """Where the sequences part; None when they agree, group and unicast frames close in time having overtaken or not.

    `theirs` has the real times: two frames may have overtaken each other when one of them is addressed to a group, the
    other is not, and they lie within `overtake_ns` there. 0 asks for the same order.
    """
    first = _parting(ours, theirs)
    if first is None or not overtake_ns or len(ours) != len(theirs):
        return first
    places = _places(ours, theirs)
    if places is None:
        return _class_mismatch(ours, theirs) or first
    return _unlawful(ours, theirs, places, overtake_ns)


def _parting(ours: Sequence[Shown], theirs: Sequence[Shown]) -> Mismatch | None:
    """The first position with different frames."""
    both = min(len(ours), len(theirs))
    for at in range(both):
        if ours[at][1:] != theirs[at][1:]:
            return Mismatch(at, at)
    if len(ours) == len(theirs):
        return None
    return Mismatch(both if both < len(ours) else None, both if both < len(theirs) else None)


def _class(frame: Shown) -> tuple[str, bool]:
    """Frames of one class keep their order: those of one way that are, or are not, addressed to a group."""
    return frame[1], bool(frame[2][:1]) and bool(frame[2][0] & 1)


def _positions(seen: Sequence[Shown]) -> dict[tuple[str, bool], list[int]]:
    found: dict[tuple[str, bool], list[int]] = {}
    for at, frame in enumerate(seen):
        found.setdefault(_class(frame), []).append(at)
    return found


def _places(ours: Sequence[Shown], theirs: Sequence[Shown]) -> list[int] | None:
    """For each of our frames its position there, when every class has the same frames in the same order."""
    left, right = _positions(ours), _positions(theirs)
    if {kind: len(at) for kind, at in left.items()} != {kind: len(at) for kind, at in right.items()}:
        return None
    places = [0] * len(ours)
    for kind, mine in left.items():
        for here, there in zip(mine, right[kind], strict=True):
            if ours[here][1:] != theirs[there][1:]:
                return None
            places[here] = there
    return places


def _class_mismatch(ours: Sequence[Shown], theirs: Sequence[Shown]) -> Mismatch | None:
    """The earliest frame that its class does not have at the same place on the other side."""
    left, right, found = _positions(ours), _positions(theirs), []
    for kind in {*left, *right}:
        mine, its = left.get(kind, []), right.get(kind, [])
        differing = [n for n, (a, b) in enumerate(zip(mine, its, strict=False)) if ours[a][1:] != theirs[b][1:]]
        n = differing[0] if differing else min(len(mine), len(its))
        if differing or len(mine) != len(its):
            found.append(Mismatch(mine[n] if n < len(mine) else None, its[n] if n < len(its) else None))
    return min(found, key=lambda m: m.ours if m.ours is not None else m.theirs or 0, default=None)


def _unlawful(ours: Sequence[Shown], theirs: Sequence[Shown], places: list[int], overtake_ns: int) -> Mismatch | None:
    """The first pair in another order that may not be: places sorted by insertion, so each exchange is looked at."""
    order = list(range(len(places)))
    for end in range(1, len(order)):
        at = end
        while at and places[order[at - 1]] > places[order[at]]:
            earlier, later = order[at - 1], order[at]
            if not _may_overtake(theirs[places[earlier]], theirs[places[later]], overtake_ns):
                return Mismatch(earlier, places[later], order_only=True)
            order[at - 1], order[at] = later, earlier
            at -= 1
    return None


def _may_overtake(one: Shown, other: Shown, overtake_ns: int) -> bool:
    return _class(one)[1] != _class(other)[1] and abs(one[0] - other[0]) <= overtake_ns
