"""What counts as equal: the simulator and a kernel, or two kernels, compared in everything that they showed.

The one place that decides it. Frames at every capture point (masks.py: fields, order.py: order and repetition),
listings and counters at the end (listings.py), exit statuses, answers of single commands, the script's output. A
difference that a newer kernel makes by a rule of its own is still returned, with its reason in `known`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from simvlan.oracle import ambient, known, listings, masks6, order
from simvlan.oracle.connections import Connections
from simvlan.oracle.masks import ALL_MASKS, STACK_MASKS, Mask, Masked, mask_ip_id, masked, without_headers
from simvlan.oracle.observation import LISTINGS6, Answer, Captures, Observation

What = Literal["exit", "frame", "order", "answer", "output", "listing"]
Frame = tuple[str, bytes]


@dataclass(frozen=True)
class Difference:
    """One thing that only one side showed, or showed otherwise.

    Attributes:
        what: exit (status), frame, order (of frames), answer (of a command), output (of the script), listing.
        where: the capture point, the command, the stream, or `netns subject: path in the JSON`.
        index: number of the frame, line or answer, from 0.
        ours, theirs: (way, octets) of a frame, else text, number or parsed JSON; None where a side has nothing.
            The octets are those compared; masks.as_seen gives those seen.
        time_ns: when our frame was seen.
        their_ns: when their frame was seen, else the last one before it there (0: none): sorts differences in time.
        known: why a newer kernel differs here by its own rule; "" for a disagreement.
    """

    what: What
    where: str
    index: int
    ours: Any
    theirs: Any
    time_ns: int | None = None
    known: str = ""
    their_ns: int = 0

    def __str__(self) -> str:
        name = f"{self.where} frame {self.index}" if self.what in ("frame", "order") else f"{self.what} {self.where}"
        return f"{name}:\n  ours   {_show(self.ours)}\n  theirs {_show(self.theirs)}"


def _show(value: Any) -> str:
    if value is None:
        return "(none)"
    return f"{value[0]:3} {value[1].hex()}" if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class Rules:
    """How strictly frames are compared.

    Attributes:
        masks, masks6: fields that are taken out of every IPv4 and IPv6 frame.
        once: take repetitions that a clock decides once (order.once).
        connections: count TCP's numbers from where each connection began (connections.py).
        ambient: compare what IPv6 sends at random moments apart (ambient.py): everything, "reports" of listeners, "".
        overtake_ns: how close group and unicast frames must be to have overtaken each other; 0: never.
        beside: what several stations say at one moment of our time may come in any order (order.beside).
        calm: when our side slept, in ns: timers that end then have no order (order.by_moments).
    """

    masks: tuple[Mask, ...] = ALL_MASKS
    masks6: tuple[Mask, ...] = masks6.ALL_MASKS
    once: bool = True
    connections: bool = True
    ambient: Literal["everything", "reports", ""] = "everything"
    overtake_ns: int = order.OVERTAKE_NS
    beside: bool = False
    calm: tuple[tuple[int, int], ...] = ()


DEFAULT = Rules()
EXACT = Rules(
    masks=(mask_ip_id,), masks6=masks6.EXACT_MASKS, once=False, connections=False, ambient="reports", overtake_ns=0
)


def plain(octets: bytes, rules: Rules = EXACT) -> bytes:
    """A frame without what is drawn at random."""
    return masks6.masked(masked(octets, rules.masks), rules.masks6)


BESIDE = replace(EXACT, beside=True)
STACK = replace(EXACT, masks=STACK_MASKS, masks6=masks6.ALL_MASKS)


def compare(ours: Observation, theirs: Observation, rules: Rules = DEFAULT) -> list[Difference]:
    """Every difference, the first of each capture point, in the order: exit, answers, frames, listings, output.

    What one side did not look at (None, empty) is not compared. An empty list, or one whose every entry is `known`,
    means agreement.
    """
    found = [
        *_exits(ours, theirs),
        *_answers(ours, theirs),
        *_frames(ours, theirs, rules),
        *_listings(ours, theirs),
        *_outputs(ours, theirs),
    ]
    return [replace(each, known=known.reason(theirs, each.where, each.ours, each.theirs)) for each in found]


def disagreements(found: Iterable[Difference]) -> list[Difference]:
    """Those that no newer kernel's rule explains."""
    return [each for each in found if not each.known]


def _exits(ours: Observation, theirs: Observation) -> Iterator[Difference]:
    if None not in (ours.exit_code, theirs.exit_code) and ours.exit_code != theirs.exit_code:
        yield Difference("exit", "status", 0, ours.exit_code, theirs.exit_code)


# -- frames ---------------------------------------------------------------------------------------------------------


def _frames(ours: Observation, theirs: Observation, rules: Rules) -> list[Difference]:
    rewritten = ipvlan_l3(ours) | ipvlan_l3(theirs)
    return compare_captures(ours.captures, theirs.captures, rules, rewritten, ours.tail, ours.ended_ns)


def compare_captures(
    ours: Captures,
    theirs: Captures,
    rules: Rules = EXACT,
    rewritten: frozenset[str] = frozenset(),
    tail: Captures | None = None,
    ended_ns: int = 0,
) -> list[Difference]:
    """The first difference of every capture point that has one; a point missing on one side counts as empty.

    `rewritten`: points whose outgoing headers Linux rewrites under the capture (ipvlan in mode l3 or l3s).
    `tail`: what ours would show further on, after `ended_ns`; theirs may have gone any part of that way.
    """
    found, later = [], tail or {}
    for point in sorted({*ours, *theirs}):
        mine, its = ours.get(point, ()), theirs.get(point, ())
        if not _same(mine, its) and (
            parted := _parted(point, (mine, later.get(point, ())), its, rules, point in rewritten, ended_ns)
        ):
            found.append(parted)
    return found


def _same(mine: Sequence[Any], its: Sequence[Any]) -> bool:
    """The quick answer for most."""
    return len(mine) == len(its) and all(a[1:] == b[1:] for a, b in zip(mine, its, strict=True))


def _parted(
    point: str,
    mine: tuple[Sequence[Any], Sequence[Any]],
    its: Sequence[Any],
    rules: Rules,
    rewritten: bool,
    ended_ns: int,
) -> Difference | None:
    left, right = (_shown(seen, rules, rewritten) for seen in (mine[0], its))
    longer = _shown([*mine[0], *mine[1]], rules, rewritten) if mine[1] else left
    if rules.ambient:
        only = rules.ambient == "reports"
        (left, here), (right, there), (longer, later) = (ambient.split(each, only) for each in (left, right, longer))
        if unmatched := _unmatched(point, ambient.missing(here, later, there, ended_ns, waited_for=not rules.once)):
            return unmatched
    if mine[1] and len(right) > len(left):
        left = longer[: len(right)]
    if rules.calm:
        at = order.by_moments(left, right, rules.calm, rules.beside)
    else:
        at = order.beside(left, right) if rules.beside else order.first_mismatch(left, right, rules.overtake_ns)
    if at is None:
        return None
    one, other = _at(left, at.ours), _at(right, at.theirs)
    index = at.ours if at.ours is not None else at.theirs or 0
    time_ns = left[at.ours][0] if at.ours is not None else None
    before = right[: index if at.theirs is None else at.theirs + 1]
    their_ns = before[-1][0] if before else 0
    return Difference("order" if at.order_only else "frame", point, index, one, other, time_ns, their_ns=their_ns)


def _unmatched(point: str, missing: tuple[list[order.Shown], list[order.Shown]]) -> Difference | None:
    """The first ambient frame that only one side showed."""
    ours, theirs = missing
    if ours:
        return Difference("frame", point, 0, ours[0][1:], None, ours[0][0], their_ns=0)
    return Difference("frame", point, 0, None, theirs[0][1:], their_ns=theirs[0][0]) if theirs else None


def _at(shown: Sequence[order.Shown], at: int | None) -> Frame | None:
    return None if at is None else shown[at][1:]


def _shown(seen: Sequence[Any], rules: Rules, rewritten: bool) -> list[order.Shown]:
    plain = Connections().plain if rules.connections else bytes
    shown = [(when, way, masks6.masked(masked(plain(octets), rules.masks), rules.masks6)) for when, way, octets in seen]
    if rewritten:
        shown = [(when, way, without_headers(f) if way == "out" else f) for when, way, f in shown]
    shown = [(*shape[:2], Masked.of(shape[2], octets)) for shape, (_, _, octets) in zip(shown, seen, strict=True)]
    return order.once(shown) if rules.once else shown


def ipvlan_l3(side: Observation) -> frozenset[str]:
    """Capture points of ipvlans in mode l3 or l3s, as the listings of the end know them."""
    found = set()
    for (netns, subject), rows in side.listings.items():
        for row in rows if subject == "link" and isinstance(rows, list) else ():
            info = row.get("linkinfo", {})
            if info.get("info_kind") == "ipvlan" and info.get("info_data", {}).get("mode") in ("l3", "l3s"):
                found.add(f"{netns}.{row['ifname']}")
    return frozenset(found)


# -- answers and output -----------------------------------------------------------------------------------------------

PROBE_MASKS = (
    (re.compile(r"time=[0-9.]+ ms"), "time=T ms"),
    (re.compile(r"time [0-9]+ms"), "time Tms"),
    (re.compile(r"= [0-9.]+/[0-9.]+/[0-9.]+/[0-9.]+ ms"), "= T/T/T/T ms"),
    (re.compile(r", ipg/ewma [0-9.]+/[0-9.]+ ms"), ""),
    (re.compile(r" {2}[0-9]+\.[0-9]{3} ?ms"), "  T ms"),
    (re.compile(r"\bident=[0-9]+"), "ident=N"),
)
"""Durations and identifiers in what ping, arping and traceroute print."""
TEXT_MASKS = (
    *PROBE_MASKS,
    (re.compile(r", pipe \d+"), ""),
    (re.compile(r"\bid [0-9]+, "), "id N, "),
    (re.compile(r"^\d\d:\d\d:\d\d\.\d{6} ", re.MULTILINE), "T "),
    (re.compile(r"\bexpires \d+sec"), "expires N"),
    (re.compile(r"\b(valid_lft|preferred_lft) \d+sec"), r"\1 N"),
    (re.compile(r"(\bbridge_id \S+ designated_root) \S+"), r"\1 R"),
    (re.compile(r'("?\w*(?:_timer|_interval)"?:?) *[\d.]+'), r"\1 N"),
)
"""What else differs between any two runs of one kernel."""


def tidy_text(text: str, masks: Iterable[tuple[re.Pattern[str], str]] = TEXT_MASKS) -> str:
    """Output without what differs between any two runs of one kernel."""
    for pattern, instead in masks:
        text = pattern.sub(instead, text)
    return text


def _answers(ours: Observation, theirs: Observation) -> Iterator[Difference]:
    """Every command answered otherwise up to the first that no newer kernel's rule explains.

    Two streams have no common order, so lines may be in any.
    """
    mine, its = ours.answers, theirs.answers
    for index, (one, other) in enumerate(zip(mine, its, strict=False) if mine and its else ()):
        if not _alike(one, other):
            found = Difference("answer", one[0], index, f"{one[1]} {one[2]}", f"{other[1]} {other[2]}")
            yield found
            if not known.reason(theirs, found.where, found.ours, found.theirs):
                return
    if mine and its and len(mine) != len(its):
        yield Difference("answer", "number of answers", min(len(mine), len(its)), len(mine), len(its))


def _alike(one: Answer, other: Answer) -> bool:
    return one[:2] == other[:2] and sorted(tidy_text(one[2]).splitlines()) == sorted(tidy_text(other[2]).splitlines())


def _outputs(ours: Observation, theirs: Observation) -> Iterator[Difference]:
    for stream in ("stdout", "stderr"):
        mine, its = getattr(ours, stream), getattr(theirs, stream)
        if mine is not None and its is not None and (first := _first_line(stream, mine, its)):
            yield first


def _first_line(stream: str, ours: str, theirs: str) -> Difference | None:
    left, right = (listings.printed(tidy_text(text).splitlines()) for text in (ours, theirs))
    for index in range(max(len(left), len(right))):
        pair = (left[index] if index < len(left) else None, right[index] if index < len(right) else None)
        if not listings.same_line(*pair):
            return Difference("output", f"{stream} line {index + 1}", index, *pair)
    return None


# -- listings ---------------------------------------------------------------------------------------------------------


def _listings(ours: Observation, theirs: Observation) -> Iterator[Difference]:
    """Every differing value; counters only where a namespace showed both sides as many frames each way."""
    if not ours.listings or not theirs.listings:
        return
    unfiltered = known.lacks_filtering(theirs)
    ipv6 = any(subject in LISTINGS6 for _, subject in theirs.listings)
    for key in sorted({*ours.listings, *theirs.listings}):
        netns, subject = key
        mine, its = ours.listings.get(key), theirs.listings.get(key)
        if unfiltered and subject == "fdb" and mine != (plain := known.without_vlans(mine)):
            yield Difference("listing", f"{netns} fdb: vlan", 0, mine, None)
            mine = plain
        if later := ours.later.get(key):
            mine = listings.at_some_time(mine, later, its)
        for index, each in enumerate(listings.differences(subject, mine, its, ipv6=ipv6)):
            if listings.COUNTERS not in each.path or _as_many(ours, theirs, netns):
                yield Difference("listing", f"{netns} {subject}: {each.path}", index, each.ours, each.theirs)


def _as_many(ours: Observation, theirs: Observation, netns: str) -> bool:
    """Whether both sides saw as many frames each way at every device of a namespace, before they were asked for counts.

    Repeated questions (order.once) are counted too, and by a bridge that is down although it shows no frame. What came
    while a side was asked was counted or not.
    """
    if not ours.captures or not theirs.captures:
        return True
    (mine, sure), (its, surely) = _counted(ours, netns), _counted(theirs, netns)
    return sure and surely and mine == its


def _counted(side: Observation, netns: str) -> tuple[dict[str, Counter[str]], bool]:
    """How many frames came each way at each device before its namespace was asked, and whether none came meanwhile."""
    begun, done = side.asked.get(netns, (math.inf, math.inf))
    counts: dict[str, Counter[str]] = {}
    sure = True
    for point, seen in side.captures.items():
        if point.partition(".")[0] == netns:
            if ways := Counter(way for when, way, _ in seen if when < begun):
                counts[point] = ways
            sure &= not any(begun <= when <= done for when, _, _ in seen)
    return counts, sure
