"""What the stacks of namespaces say of the copies that came up to them: taken, or dropped and why.

The pipeline ends where a stack begins. Here the stacks themselves are asked, `Stack.receive` on a twin of the lab: once
for every device and packet that differ, as if each had come alone (IPv6, and what iptables sees: each on a twin of its
own). Nothing is answered, and neighbours and fragments are not kept from one question to the next: the stacks are those
of the moment of asking, which for a lab left alone is that of compiling. (What a listening TCP socket keeps of a SYN it
does keep, until all have been asked.)
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch.anatomy import six
from simvlan.engines.batch.classes import DELIVERED, DROP_NUMBER, DROPS, Fate
from simvlan.engines.batch.gains import Gains
from simvlan.engines.batch.probe import COUNTERS
from simvlan.engines.events import Snapshot, restore
from simvlan.frame import IPV6, Frame, PType
from simvlan.stack.neigh import Neighbour, NeighbourTable
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.engines.batch.outcome import Outcome
    from simvlan.network import Network
    from simvlan.stack.packet import Packet

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class Verdicts:
    """The stacks' answers to one outcome, one row for every copy that came up to a stack.

    Attributes:
        copy: int64 (rows), which of `Outcome.copies()`.
        drop: int32 (rows), index into `classes.DROPS`; -1: taken (answered, given to a socket, forwarded).
    """

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        copies = outcome.copies()
        fate = copies.fate
        up = np.array([each.drop == DELIVERED for each in copies.fates], bool).take(fate)
        self.copy: I64 = np.flatnonzero(up)
        contents, frames = _contents(outcome, copies.frame[self.copy])
        keys = contents * len(copies.fates) + fate[self.copy]
        keys = keys * len(outcome.devices) + copies.device[self.copy]
        _, first, self._question = np.unique(keys, return_index=True, return_inverse=True)
        stacks = _Stacks(outcome.pipeline.network)
        numbers = outcome.pipeline.anatomy
        answers: list[int] = []
        self._gains: list[dict[int, tuple[int, ...]]] = []
        for row in first.tolist():
            at = int(self.copy[row])
            end = copies.fates[int(fate[at])]
            device = numbers.devices[int(copies.device[at])].path
            drop, gains = stacks.ask(device, _delivered(outcome, int(frames[contents[row]]), end))
            answers.append(DELIVERED if drop is None else DROP_NUMBER[drop])
            self._gains.append({numbers.number[outcome.pipeline.network.device(path)]: g for path, g in gains.items()})
        told: I32 = np.array(answers, np.int32)
        self.drop: I32 = told[self._question]

    def __len__(self) -> int:
        return len(self.copy)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many copies were taken, and how many dropped by each reason."""
        found, counts = np.unique(self.drop, return_counts=True)
        names = ["taken" if number == DELIVERED else DROPS[number].name for number in found.tolist()]
        return dict(zip(names, counts.tolist(), strict=True))

    def counters(self) -> Gains:
        """Return what devices' counters gained in the stacks, beyond `Outcome.counters` (ipvlan l3s: the slaves')."""
        totals: I64 = np.zeros((len(self._outcome.devices), len(COUNTERS)), np.int64)
        asked = np.bincount(self._question, minlength=len(self._gains))
        for gains, count in zip(self._gains, asked.tolist(), strict=True):
            for number, gain in gains.items():
                totals[number] += np.array(gain) * count
        return Gains(self._outcome.devices, totals)

    def __repr__(self) -> str:
        told = ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
        return f"<Verdicts on {len(self):,} copies: {told or 'nothing'}>"


def _contents(outcome: Outcome, frames: I32) -> tuple[I64, I64]:
    """Number what some frames carry: for each its number, and for each number a frame."""
    numbers: dict[tuple[bytes, int], int] = {}
    of_frame: I64 = np.zeros(len(outcome), np.int64)
    examples: list[int] = []
    lengths = outcome.batch.length
    for frame in np.unique(frames).tolist():
        number = numbers.setdefault((outcome.batch.octets(frame), int(lengths[frame])), len(numbers))
        if number == len(examples):
            examples.append(frame)
        of_frame[frame] = number
    return of_frame.take(frames), np.array(examples, np.int64)


def _delivered(outcome: Outcome, frame: int, end: Fate) -> Frame:
    """Return a frame as it came up; octets that a capture did not keep read as zeros."""
    octets = outcome.octets(frame, end.form)
    octets += bytes(int(outcome.batch.length[frame]) - int(outcome.batch.captured[frame]))
    return Frame.parse(octets).as_ptype(PType(end.ptype))


class _Stacks:
    """The stacks of a twin of a network, which forget every question."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.twin = _mute(network)
        for ns in self.twin.netns.values():
            stack: Any = ns.stack
            stack.neigh = _Still(stack)
            stack.reassembly = _Waiting()

    def ask(self, path: str, frame: Frame) -> tuple[Drop | None, dict[str, tuple[int, ...]]]:
        """Return what the stack at a device makes of a frame, and what counters gained."""
        dev = self.twin.device(path)
        if (frame.proto == IPV6 and six(dev) == 2) or dev.netns.stack.netfilter is not None:
            dev = _mute(self.network).device(path)  # neighbours, routers, connections leave traces in many places
        near = [dev, *dev.uppers]
        before = [_counters(each) for each in near]
        drop: Drop | None = dev.netns.stack.receive(dev, frame, None)
        gains = {}
        for each, old in zip(near, before, strict=True):
            gain = tuple(new - was for new, was in zip(_counters(each), old, strict=True))
            if any(gain):
                gains[each.path] = gain
        return drop, gains


def _mute(network: Network) -> Network:
    """Return a copy of a network that sends nothing and tells nobody."""
    twin = restore(Snapshot(network))
    twin.tracer = None
    twin.originate = _silent  # type: ignore[method-assign]
    return twin


def _counters(dev: Device) -> tuple[int, ...]:
    return tuple(getattr(dev, name) for name in COUNTERS)


def _silent(dev: Device, frame: Frame) -> None:
    """Send nothing."""


class _Still(NeighbourTable):
    """A neighbour table that says what it knows and learns nothing."""

    def __init__(self, stack: Any) -> None:
        super().__init__(stack)
        self.entries, self.proxies = stack.neigh.entries, stack.neigh.proxies

    def ensure(self, dev: Device, ip: int) -> Neighbour | None:
        """Return an entry that nobody keeps."""
        return self.get(dev, ip) or Neighbour(dev, ip, self.stack.kernel.now, 0)

    def send(
        self, dev: Device, ip: int, octets: bytes, partial_csum: int, packet: Packet | None, own_route: bool = False
    ) -> int | Drop:
        """Send nothing, and ask nobody where the next hop is."""
        return 0

    def heard(self, dev: Device, ip: int, mac: int) -> None:
        """Learn nothing."""

    def update(
        self, entry: Neighbour, mac: int | None, new: int, override: bool = False, admin: bool = False,
        weak: bool = False, router: bool | None = None,
    ) -> bool:  # fmt: skip
        """Learn nothing."""
        return False


class _Waiting:
    """A reassembly in which every fragment waits for the others."""

    def add(self, found: Packet) -> None:
        """Keep nothing."""
