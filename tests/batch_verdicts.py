"""What stacks say of copies that came up to them, held against whole walks of single frames on twins of the network.

The twin has the real stacks, as they were; nothing is sent in answer. Only some frames of a batch are asked about: each
costs a copy of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from simvlan.devices.device import Device
from simvlan.engines.batch import Outcome
from simvlan.engines.batch.classes import DELIVERED, DROPS
from simvlan.engines.batch.probe import COUNTERS
from simvlan.engines.batch.verdicts import Verdicts
from simvlan.engines.events import Snapshot, restore
from simvlan.engines.walk import walk
from simvlan.frame import Frame
from simvlan.network import Network

Gains = dict[tuple[str, str], int]
"""(device, counter) -> number, zeros left out."""
WHOLE = 3
"""Frames up to which all of a batch are asked about, counters too."""
CHOSEN = 2
"""Frames of a larger batch that are asked about."""
EVERYONE = 0.2
"""How often all engines are asked about the same batch, and not one."""


class Alone:
    """One frame on a twin of a network, nothing sent in answer: where it ended, and what counters gained."""

    def __init__(self, net: Network, path: str, frame: Frame) -> None:
        twin = restore(Snapshot(net))
        twin.protocols = None
        twin.originate = _silent  # type: ignore[method-assign]
        before = counted(twin)
        steps = walk(twin, twin.device(path), frame)
        self.ends = sorted((s.path, s.drop.name if s.drop else "") for s in steps if s.drop or s.way == "up")
        self.gains = gained(before, counted(twin))


def _silent(dev: Device, frame: Frame) -> None:
    """Send nothing."""


def counted(net: Network) -> Gains:
    """Every counter of every device."""
    return {(dev.path, name): getattr(dev, name) for dev in net.devices() for name in COUNTERS}


def gained(before: Gains, now: Gains) -> Gains:
    return {key: now[key] - before[key] for key in now if now[key] != before[key]}


def total(many: Sequence[Gains]) -> Gains:
    """Add gains."""
    summed: Gains = {}
    for each in many:
        for key, value in each.items():
            summed[key] = summed.get(key, 0) + value
    return summed


def told_gains(outcome: Outcome, verdicts: Verdicts) -> Gains:
    """What counters gained, in the pipeline and in the stacks."""
    tables = (outcome.counters(), verdicts.counters())
    return total([{(dev, name): n for dev, row in table.items() for name, n in row.items()} for table in tables])


def told_ends(outcome: Outcome, verdicts: Verdicts) -> list[list[tuple[str, str]]]:
    """Where the copies of each frame ended, stacks included: sorted (device, drop or nothing)."""
    copies = outcome.copies()
    drop = copies.drop.copy()
    drop[verdicts.copy] = verdicts.drop
    names = ["" if number == DELIVERED else DROPS[number].name for number in drop.tolist()]
    ends = list(zip((outcome.devices[number] for number in copies.device.tolist()), names, strict=True))
    first = copies.first.tolist()
    return [sorted(ends[a:b]) for a, b in pairwise(first)]


class Questions:
    """Some frames of one batch, what the engines say of them, and what their walks said."""

    def __init__(self, outcomes: Sequence[Outcome], rng: Random) -> None:
        some = outcomes if rng.random() < EVERYONE else [rng.choice(outcomes)]
        asked = [(outcome, outcome.verdicts()) for outcome in some]
        size = len(outcomes[0])
        self.ends = [told_ends(*each) for each in asked]
        self.gains = [told_gains(*each) for each in asked]
        self.counts = asked[0][1].counts
        up = sorted(set(asked[0][0].copies().frame[asked[0][1].copy].tolist()))
        self.whole = size <= WHOLE
        self.frames = frozenset(range(size) if self.whole else rng.sample(up, min(CHOSEN, len(up))))
        self._walked: list[Gains] = []

    def walked(self, number: int, alone: Alone) -> None:
        """Compare one frame; and all counters after the last of a small batch."""
        for ends in self.ends:
            text = f"verdicts on frame {number}:\n  walk  {alone.ends}\n  batch {ends[number]}"
            assert ends[number] == alone.ends, text
        self._walked.append(alone.gains)
        if self.whole and len(self._walked) == len(self.frames):
            for gains in self.gains:
                assert gains == total(self._walked), f"verdicts' counters: walk {total(self._walked)}, batch {gains}"
