"""Scenarios in which the kernel's clock matters: bridges with a spanning tree, and entries that age.

Such a scenario sleeps for true after its changes, until every timer has run out on both sides; between two sleeps
nothing may take so long that one does (`Sketch.do`, crew.py). What the clock sends by itself, BPDUs, is not compared,
nor are counters, which count it; what a tree comes to is seen by which frames get where.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simvlan.oracle.observation import Captured, Observation

TRUE_S = 10.0
"""A sleep of so many seconds is one (guest/lines.py); shorter ones wait for linkwatch."""


@dataclass(frozen=True)
class Clock:
    """What a bridge is made with, and how long until all is calm after a change.

    Attributes:
        sure_s: how long frames between two sleeps may take on a kernel for its answer to be no chance.
        limit_s: how long they may take here; 0: any time.
    """

    options: str
    pause: str
    sure_s: float
    limit_s: float = 0.0
    mark: str = ""
    """What a line of such a scenario has in it, if not the options."""
    longer: str = ""
    """The pause after frames, where it is another."""
    ipv6: bool = False


STP = Clock(" stp_state 1 hello_time 100 forward_delay 200 max_age 600", "sleep 25", 4.0)
"""Hellos come every second and last 6 s; a port takes 4 s to forward; a topology change lasts 8 s, an entry in it 2."""
AGEING = Clock(" ageing_time 2000", "sleep 41", 12.0, 12.0)
"""Entries last 20 s; those that are found expired go at the latest after another 20."""
CLOCKS = (STP, AGEING)

CALM6 = " ageing_time 100000"
NEIGHBOURS = Clock(CALM6, "sleep 15", 3.0, 1.8, "router_solicitation_interval=1", "sleep 50", ipv6=True)
"""Duplicates are looked for, routers asked, neighbours probed (ipv6_timed.py). Timers run from 4 s on, so that none
ends among lines that follow each other, and are over after 15 s; those of neighbours and routes after 50."""
LISTENERS = Clock(CALM6, "sleep 12", 8.0, 5.0, "router_solicitation_interval=2", "sleep 12", ipv6=True)
"""Bridges listen to MLD (mld_timed.py): who listens is told within a tenth of a second, and forgotten after 9 s."""
CLOCKS6 = (NEIGHBOURS, LISTENERS)


def clock_of(lines: Iterable[str]) -> Clock | None:
    """The clock of a scenario kept as lines."""
    text = "\n".join(lines)
    return next((clock for clock in (*CLOCKS6, *CLOCKS) if (clock.mark or clock.options) in text), None)


def is_pause(line: str) -> bool:
    """Whether a line sleeps for true."""
    return line.startswith("sleep ") and float(line[6:]) >= TRUE_S


def comparable(side: Observation) -> Observation:
    """One side of a scenario with a spanning tree, without what its timers' moments decide.

    That is BPDUs, counters, whether a BPDU waits for its second, and addresses learnt from nothing but BPDUs: whether a
    port learnt in the second when one came.
    """
    frames = [octets for seen in side.captures.values() for _, _, octets in seen]
    senders = {_source(octets) for octets in frames if _is_bpdu(octets)}
    senders -= {_source(octets) for octets in frames if not _is_bpdu(octets)}
    captures = {point: _without_bpdus(seen) for point, seen in side.captures.items()}
    listings = {key: _listing(key[1], rows, senders) for key, rows in side.listings.items()}
    return replace(side, captures=captures, listings=listings)


def uncounted(side: Observation) -> Observation:
    """One side of a scenario in which how often something is said is chance, without counters."""
    listings = {
        key: [{**row, "stats64": {}} for row in rows] if key[1] == "link" and isinstance(rows, list) else rows
        for key, rows in side.listings.items()
    }
    return replace(side, listings=listings)


def _listing(subject: str, rows: Any, senders: set[str]) -> Any:
    """`senders`: who is known for BPDUs alone."""
    if not isinstance(rows, list):
        return rows
    if subject == "fdb":
        return [row for row in rows if row.get("state") or row.get("mac") not in senders]
    return [_calm(row) for row in rows] if subject == "link" else rows


def _source(octets: bytes) -> str:
    return octets[6:12].hex(":")


def _calm(row: dict[str, Any]) -> dict[str, Any]:
    """A link without what the clock changes."""
    info = row.get("linkinfo", {})
    port = {key: value for key, value in info.get("info_slave_data", {}).items() if key != "config_pending"}
    return {**row, "stats64": {}, "linkinfo": {**info, "info_slave_data": port}}


def _without_bpdus(frames: Sequence[Captured]) -> list[Captured]:
    return [frame for frame in frames if not _is_bpdu(frame[2])]


def _is_bpdu(octets: bytes) -> bool:
    """For a group of bridges, by LLC: behind any tags a length and 42 42 03."""
    if octets[:5] != b"\1\x80\xc2\0\0":
        return False
    at = 12
    while octets[at : at + 2] in (b"\x81\0", b"\x88\xa8"):
        at += 4
    return octets[at : at + 2] <= b"\5\xdc" and octets[at + 2 : at + 5] == b"\x42\x42\3"
