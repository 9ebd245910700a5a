"""What a campaign has compared: totals, and cases by device and class of frame.

A case is one device (of a kind and mode) in one scenario, and one class of frame that either side saw there; it agrees
when no frame of that class is where the two first part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from simvlan.oracle.fuzz.judge import Verdict
from simvlan.oracle.masks6 import upper

CLASSES = (
    "unicast", "broadcast", "multicast", "reserved group", "802.1Q tag", "802.1ad tag", "nested tags", "ARP", "IPv4",
    "fragment", "IPv6", "discovery", "listeners", "echo", "ICMPv6 error", "other protocol", "short", "long",
)  # fmt: skip
"""Of IPv6: neighbours, routers and redirects; MLD's; pings and their answers."""
SHORT, LONG = 60, 1300
_FRAGMENT, _ICMPV6 = 44, 58
_MESSAGES = (
    ("ICMPv6 error", range(1, 5)), ("echo", (128, 129)), ("listeners", (130, 131, 132, 143)),
    ("discovery", range(133, 138)),
)  # fmt: skip
_QINQ = {b"\x81\x00": "802.1Q tag", b"\x88\xa8": "802.1ad tag"}


def classes(frame: bytes) -> Iterator[str]:
    """Every class a frame belongs to."""
    yield _addressee(frame)
    at = 12
    while (kind := _QINQ.get(frame[at : at + 2])) is not None:
        yield kind if at == 12 else "nested tags"
        at += 4
    proto = frame[at : at + 2]
    yield {b"\x08\x06": "ARP", b"\x08\x00": "IPv4", b"\x86\xdd": "IPv6"}.get(proto, "other protocol")
    if proto == b"\x86\xdd" and len(frame) >= at + 42:
        yield from _of_ipv6(frame, at + 2)
    if proto == b"\x08\x00" and int.from_bytes(frame[at + 8 : at + 10], "big") & 0x3FFF:
        yield "fragment"
    if len(frame) < SHORT:
        yield "short"
    if len(frame) > LONG:
        yield "long"


def _of_ipv6(frame: bytes, at: int) -> Iterator[str]:
    """What an IPv6 packet at this offset is about."""
    found = upper(frame, at)
    if found is None or frame[at + 6] == _FRAGMENT:
        yield "fragment"
    elif found[0] == _ICMPV6:
        kind = frame[found[1]]
        yield from (name for name, kinds in _MESSAGES if kind in kinds)


def _addressee(frame: bytes) -> str:
    if not frame[0] & 1:
        return "unicast"
    if frame[:6] == b"\xff" * 6:
        return "broadcast"
    return "reserved group" if frame[:5] == b"\x01\x80\xc2\x00\x00" else "multicast"


@dataclass
class Tally:
    """Sums over verdicts.

    Attributes:
        cells: "device|class" -> [cases, agreeing].
        known: differences that a newer kernel's own rule explains, by reason.
    """

    scenarios: int = 0
    agreeing: int = 0
    commands: int = 0
    refused: int = 0
    sent: int = 0
    captured: int = 0
    known: Counter[str] = field(default_factory=Counter)
    cells: dict[str, list[int]] = field(default_factory=dict)

    def add(self, verdict: Verdict) -> None:
        """Count one scenario."""
        scenario = verdict.scenario
        self.scenarios += 1
        self.agreeing += verdict.agrees
        self.sent += scenario.frames
        self.captured += verdict.captured
        commands = [each for each in scenario.ours.answers if not each[0].startswith(("simvlan", "sleep"))]
        self.commands += len(commands)
        self.refused += sum(1 for each in commands if each[1])
        self.known.update({each.known for each in verdict.known})
        if not verdict.crash:
            self._count_cells(verdict)

    def _count_cells(self, verdict: Verdict) -> None:
        bad: dict[str, set[str]] = {}
        for each in verdict.found:
            if each.what in ("frame", "order"):
                for side in (each.ours, each.theirs):
                    bad.setdefault(each.where, set()).update(classes(side[1]) if side else ())
        for point, frames in verdict.scenario.ours.captures.items():
            seen = {name for _, _, octets in frames for name in classes(octets)} | bad.get(point, set())
            device = verdict.scenario.labels.get(point, "")
            for name in seen if device else ():
                cell = self.cells.setdefault(f"{device}|{name}", [0, 0])
                cell[0] += 1
                cell[1] += name not in bad.get(point, ())

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "known": dict(sorted(self.known.items())), "cells": dict(sorted(self.cells.items()))}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Tally:
        """What `as_json` gave."""
        return cls(**{**data, "known": Counter(data["known"])})
