"""What `simvlan diff` says: the first difference as a person wants it, and all of them as JSON.

For a frame: the device, both frames decoded, and the steps of the simulator's trace that led there; for a frame that
only the kernel has, the steps at which the simulator ended the frame or its copies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from simvlan.oracle.agreement import Difference
from simvlan.oracle.diff import Comparison
from simvlan.oracle.masks import ALL_MASKS, as_seen, masked
from simvlan.oracle.simulated import Simulated
from simvlan.tools.tcpdump_print import Style, print_frame
from simvlan.trace import Step, Trace

MOST_STEPS = 24
MOST_OTHERS = 12
_VLAN_ETHERTYPES = (b"\x81\x00", b"\x88\xa8")


def text(script: str, made: Comparison) -> str:
    """The report for people."""
    return "\n".join(_lines(script, made))


def _lines(script: str, made: Comparison) -> Iterator[str]:
    kernel = f"Linux {made.release} ({made.kernel})"
    if made.obstacle:
        yield f"{script}: not compared with {kernel}: {made.obstacle}"
        return
    yield f"{script}: the simulator and {kernel} {'agree' if made.agree else 'DISAGREE'}{_summary(made)}"
    if made.found:
        yield ""
        yield from _first(made, made.found[0])
        yield from _others(made.found[1:])
    if made.unsteady:
        yield f"  no place in each of {made.tries} tries, so the script is not the same twice on the kernel; once at:"
        yield from (f"  {each}" for each in made.unsteady[:MOST_OTHERS])
    yield from _known(made)


def _summary(made: Comparison) -> str:
    if not made.agree or made.theirs is None:
        return ""
    captures = made.theirs.captures
    again = f"; at try {made.tries}" if made.tries > 1 else ""
    return (
        f": {sum(map(len, captures.values()))} frames at {len(captures)} capture points,"
        f" {len(made.theirs.listings)} listings{again}"
    )


def _others(found: Sequence[Difference]) -> Iterator[str]:
    if found:
        yield ""
        yield f"and {len(found)} more:"
        yield from (f"  {each.what} {each.where}" for each in found[:MOST_OTHERS])
        if len(found) > MOST_OTHERS:
            yield "  ... (--json shows all)"


def _known(made: Comparison) -> Iterator[str]:
    """Rules of newer kernels, once each."""
    for why in sorted({each.known for each in made.known}):
        places = sum(each.known == why for each in made.known)
        yield f"  not counted: {why} ({places} place{'s' if places > 1 else ''})"


def _first(made: Comparison, first: Difference) -> Iterator[str]:
    if first.what not in ("frame", "order"):
        yield f"first difference: {first.what} {first.where}"
        yield f"  simulator  {_value(first.ours)}"
        yield f"  Linux      {_value(first.theirs)}"
        return
    at = "" if first.time_ns is None else f", at {first.time_ns:,} ns here".replace(",", " ")
    kind = "in another order" if first.what == "order" else "frame"
    yield f"first difference: {first.where.replace('.', '/', 1)}, {kind} {first.index}{at}"
    yield f"  simulator  {_frame(first.ours)}"
    yield f"  Linux      {_frame(first.theirs)}"
    yield from _octets(first)
    steps = steps_to(made.ours, first)
    if steps:
        yield ""
        yield "how the simulator came there:"
        yield from (f"  {line}" for line in Trace(steps).to_text().splitlines())


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _frame(frame: Any) -> str:
    if frame is None:
        return "(no such frame)"
    way, octets = frame
    return f"{way:<3}  {print_frame(as_seen(octets), Style(link=True, numeric=True))}"


def _octets(first: Difference) -> Iterator[str]:
    """Both as they were seen, in hexadecimal, differing octets marked; not those that are masked."""
    if first.ours is None or first.theirs is None or first.ours[1] == first.theirs[1]:
        return
    mine, its = first.ours[1], first.theirs[1]
    for at in range(0, max(len(mine), len(its)), 32):
        left, right = mine[at : at + 32], its[at : at + 32]
        if left != right:
            pairs = [left[i : i + 1] != right[i : i + 1] for i in range(max(len(left), len(right)))]
            yield f"  octets {at:>4}  {as_seen(mine)[at : at + 32].hex(' ')}"
            yield f"               {as_seen(its)[at : at + 32].hex(' ')}"
            yield "               " + " ".join("^^" if unlike else "  " for unlike in pairs).rstrip()


# -- the trace ------------------------------------------------------------------------------------------------------


def steps_to(ours: Simulated, first: Difference) -> list[Step]:
    """The steps that brought our frame to its capture point; without one, those of the frame that the kernel has."""
    if first.ours is not None:
        fid = _captured_as(ours, first)
        steps = _up_to(ours.steps, fid, first.where)
    else:
        steps = _fate(ours.steps, first.theirs[1])
    return steps[-MOST_STEPS:]


def _captured_as(ours: Simulated, first: Difference) -> int:
    """The trace's id of our frame at the capture point of a difference."""
    way, octets = first.ours
    seen = ours.observation.captures.get(first.where, ())
    for (when, its_way, its_octets), fid in zip(seen, ours.fids.get(first.where, ()), strict=False):
        if when == first.time_ns and its_way == way and as_seen(octets) == its_octets:
            return fid
    return 0


def _up_to(steps: Sequence[Step], fid: int, where: str) -> list[Step]:
    """A frame and what it was copied from or answers to, until the capture point."""
    parents = {step.fid: step.parent for step in steps}
    family = set()
    while fid and fid not in family:
        family.add(fid)
        fid = parents.get(fid, 0)
    chain = [step for step in steps if step.fid in family]
    here = [n for n, step in enumerate(chain) if f"{step.netns or 'root'}.{step.device}" == where]
    return chain[: here[-1] + 1] if here else chain


def _fate(steps: Sequence[Step], octets: bytes) -> list[Step]:
    """The last frame with these octets, wherever it was, and everything that became of it."""
    wanted = _bare(octets)
    for step in reversed(steps):
        if _bare(bytes(step.frame)) == wanted:
            return list(Trace(list(steps)).of(_root(steps, step.fid)))
    return []


def _bare(octets: bytes) -> bytes:
    """A frame without tags and masked fields, so that one with another tag is the same frame."""
    octets = masked(octets, ALL_MASKS)
    while octets[12:14] in _VLAN_ETHERTYPES:
        octets = octets[:12] + octets[16:]
    return octets


def _root(steps: Sequence[Step], fid: int) -> int:
    parents = {step.fid: step.parent for step in steps}
    while parents.get(fid):
        fid = parents[fid]
    return fid


# -- JSON -----------------------------------------------------------------------------------------------------------


def as_dict(script: str, made: Comparison) -> dict[str, Any]:
    """The report for programs."""
    return {
        "script": script,
        "kernel": made.kernel,
        "release": made.release,
        "agree": made.agree,
        "tries": made.tries,
        "obstacle": made.obstacle or None,
        "frames": sum(map(len, made.theirs.captures.values())) if made.theirs else 0,
        "capture_points": len(made.theirs.captures) if made.theirs else 0,
        "differences": [_as_dict(each) for each in made.found],
        "unsteady": made.unsteady,
        "known": [_as_dict(each) for each in made.known],
        "trace": [step.as_dict() for step in steps_to(made.ours, made.found[0])] if _framed(made) else [],
    }


def _framed(made: Comparison) -> bool:
    return bool(made.found) and made.found[0].what in ("frame", "order")


def _as_dict(each: Difference) -> dict[str, Any]:
    return {
        "what": each.what,
        "where": each.where,
        "index": each.index,
        "t": each.time_ns,
        "ours": _json_value(each.ours),
        "theirs": _json_value(each.theirs),
        "known": each.known or None,
    }


def _json_value(value: Any) -> Any:
    if isinstance(value, tuple):
        way, octets = value[0], as_seen(value[1])
        return {"way": way, "octets": octets.hex(), "text": print_frame(octets, Style(link=True, numeric=True))}
    return value
