"""What one side, a kernel or the simulator, showed of one script: the material of every comparison.

A capture point is `netns.device` (`root` for the initial namespace); its frames are in the order in which a packet
socket got them, tags in place. Listings are those of `ip -j` and `bridge -j` at the end, by namespace and subject.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Captured = tuple[int, str, bytes]
"""Time in ns, "in" or "out", octets with the 802.1Q tag in place."""
Captures = Mapping[str, Sequence[Captured]]
Answer = tuple[str, int, str]
"""A command as it was typed, its exit status, and what it said on both streams."""

LISTINGS: dict[str, tuple[str, ...]] = {
    "link": ("ip", "-d", "-s", "-j", "link", "show"),
    "addr": ("ip", "-d", "-j", "addr", "show"),
    "route": ("ip", "-d", "-j", "route", "show"),
    "neigh": ("ip", "-d", "-j", "neigh", "show"),
    "fdb": ("bridge", "-j", "fdb", "show"),
    "vlan": ("bridge", "-j", "vlan", "show"),
}
"""What is asked in every namespace when a script has ended; `link` holds the counters too."""


LISTINGS6: dict[str, tuple[str, ...]] = {"route6": ("ip", "-6", "-d", "-j", "route", "show")}
"""What is asked besides where IPv6 is on; `addr` and `neigh` tell of both families."""


def subjects(ipv6: bool) -> dict[str, tuple[str, ...]]:
    """What is asked in every namespace."""
    return {**LISTINGS, **LISTINGS6} if ipv6 else LISTINGS


@dataclass(frozen=True)
class Observation:
    """What one side showed. What was not looked at is None or empty, and is then not compared.

    Attributes:
        captures: frames by capture point; a device without any frame has an empty list.
        tail: what timers would still show after the end: the other side's clock may have gone so far.
        exit_code: the script's.
        stdout, stderr: what the script wrote.
        answers: single commands with their status and text, where they were run one by one.
        listings: (netns, subject of LISTINGS) -> the parsed JSON.
        later: the same listings as timers change them further on, where that was asked.
        asked: by namespace from when to when `link` was asked for, in ns of the captures; without: after all frames.
        release: `uname -r`; "" for the simulator, which is Linux 6.1.
        ended_ns: when the simulator had done the script; 0: not known.
    """

    captures: Captures = field(default_factory=dict)
    tail: Captures = field(default_factory=dict)
    exit_code: int | None = None
    stdout: str | None = None
    stderr: str | None = None
    answers: Sequence[Answer] = ()
    listings: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    later: Mapping[tuple[str, str], Sequence[Any]] = field(default_factory=dict)
    asked: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    release: str = ""
    ended_ns: int = 0
