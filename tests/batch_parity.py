"""Hold the batch engine against the walk, frame by frame: where every copy ended, why, as what; counters; FDBs.

The reference is the network itself: each frame is sent by `Network.send` at its time and walked to completion. Stacks
are kept from answering on either side, as the batch engine is defined without replies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from simvlan.devices.bridge import Bridge
from simvlan.devices.device import Device
from simvlan.engines.batch import FrameBatch, Outcome, Pipeline
from simvlan.engines.batch.classes import DROP_NUMBER
from simvlan.engines.batch.probe import COUNTERS
from simvlan.errors import Unsupported
from simvlan.frame import ARP, IPV4, IPV6, OTHERHOST, Frame, mac_text
from simvlan.network import Network, Told
from simvlan.verdict import Drop
from tests.batch_verdicts import Alone, Questions

Sent = tuple[str, Frame, int]
"""Device, frame, time in ns from the start."""

QUESTIONED = 2
"""Batches of a network whose verdicts may be compared."""


@dataclass
class Tally:
    """How much was compared."""

    networks: int = 0
    frames: int = 0
    copies: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)
    alike: int = 0
    classes: int = 0
    asked: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)


class Reference:
    """The walk of one network, written down as the batch engine tells it."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.start = net.now
        self.ends: list[Any] = []
        net.protocols = self._arrived
        net.originate = lambda dev, frame: None  # type: ignore[method-assign]
        net.tracer = self

    def step(self, told: Told) -> None:
        if told.drop is not None or told.way == "up":
            self.ends.append((told.dev.path, told.drop, bytes(told.frame), told.frame.ptype))

    @staticmethod
    def _arrived(dev: Device, frame: Frame, why: Any) -> Drop | None:
        stack = dev.netns.stack
        side = stack.ip6.idev(dev) if stack.ip6 is not None else None
        ours = frame.proto in (IPV4, ARP) or (frame.proto == IPV6 and side is not None and not side.disabled)
        if ours and frame.ptype is not OTHERHOST:
            return None
        return dev.netns.stack.receive(dev, frame, why)  # type: ignore[no-any-return]

    def wait(self, time: int) -> None:
        """Let time pass until so many ns from the start."""
        clock: Any = self.net.clock
        clock.advance(self.start + time)

    def send(self, path: str, frame: Frame) -> list[Any]:
        self.ends = []
        self.net.send(self.net.device(path), frame)
        return sorted(self.ends, key=lambda end: (end[0], str(end[1]), end[2]))


def counters(net: Network) -> dict[str, tuple[int, ...]]:
    return {dev.path: tuple(getattr(dev, name) for name in COUNTERS) for dev in net.devices()}


def databases(net: Network) -> set[tuple[Any, ...]]:
    found = set()
    for bridge in net.devices():
        for entry in bridge.fdb if isinstance(bridge, Bridge) else ():
            where = entry.port.dev.name if entry.port else bridge.name
            found.add((bridge.path, mac_text(entry.mac), entry.vid, where, entry.state, entry.updated))
    return found


def batch_of(sent: Sequence[Sent]) -> FrameBatch:
    devices = list(dict.fromkeys(path for path, _, _ in sent))
    return FrameBatch.from_frames(
        [frame for _, frame, _ in sent],
        devices=devices,
        ingress=[devices.index(path) for path, _, _ in sent],
        time=[time for _, _, time in sent],
    )


def hold(net: Network, sent: Sequence[Sent], rng: Random, tally: Tally, *engines: str) -> None:
    """Forward frames in batches of random size by each of the engines, then one by one, and compare everything."""
    before = counters(net), databases(net)
    try:
        pipelines = [Pipeline(net, engine) for engine in engines]
    except Unsupported as refusal:
        _refused(tally, refusal)
        return
    outcomes: list[tuple[Sequence[Sent], list[Outcome], Questions | None]] = []
    at = 0
    while at < len(sent):
        size = rng.choice((1, 3, 10, 50, len(sent)))
        part = sent[at : at + size]
        at += size
        answers = [_asked(pipeline, part) for pipeline in pipelines]
        told = [answer for answer in answers if not isinstance(answer, Unsupported)]
        if len(told) < len(answers):
            assert {str(answer) for answer in answers} == {str(answers[0])}, f"not all refuse: {answers}"
            _refused(tally, answers[0])
        else:
            some = len(outcomes) < QUESTIONED and rng.random() < 0.5
            outcomes.append((part, told, Questions(told, rng) if some and told else None))
    bases = [
        {tuple(row[k] for k in ("bridge", "mac", "vlan", "dev", "state", "updated")) for row in pipeline.fdb()}
        for pipeline in pipelines
    ]
    assert (counters(net), databases(net)) == before, "the lab itself changed"

    walk = Reference(net)
    for part, told, questions in outcomes:
        for number, (path, frame, time) in enumerate(part):
            walk.wait(time)
            if questions and number in questions.frames:
                questions.walked(number, Alone(net, path, frame))
            expected = walk.send(path, frame)
            for outcome in told:
                got = outcome.ends(number)
                assert got == expected, _differs(path, frame, time, expected, got)
            for _, drop, _, _ in expected:
                name = drop.name if drop else "delivered"
                tally.drops[name] = tally.drops.get(name, 0) + 1
            tally.copies += len(expected)
        for outcome in told:
            check_copies(outcome)
        tally.frames += len(part)
        if questions:
            tally.asked += len(questions.frames)
            for name, count in questions.counts.items():
                tally.verdicts[name] = tally.verdicts.get(name, 0) + count
    real = databases(net)
    for base in bases:
        assert base == real, f"only told: {sorted(base - real)}\nonly real: {sorted(real - base)}"
    for which in range(len(pipelines)):
        _hold_counters(net, before[0], [told[which] for _, told, _ in outcomes])
    tally.networks += 1
    tally.classes += len(pipelines[0].answers)


def _asked(pipeline: Pipeline, part: Sequence[Sent]) -> Outcome | Unsupported:
    """Return what a pipeline makes of some frames, or its refusal."""
    try:
        return pipeline.forward(batch_of(part))
    except Unsupported as refusal:
        return refusal


def _hold_counters(net: Network, before: dict[str, tuple[int, ...]], outcomes: Sequence[Outcome]) -> None:
    """Compare what every counter gained."""
    gained: dict[str, list[int]] = {}
    for outcome in outcomes:
        for number, row in enumerate(outcome.totals().tolist()):
            total = gained.setdefault(outcome.devices[number], [0] * len(COUNTERS))
            total[:] = [a + b for a, b in zip(total, row, strict=True)]
    for path, now in counters(net).items():
        old = before[path]
        assert [new - was for new, was in zip(now, old, strict=True)] == gained.get(path, [0] * len(COUNTERS)), path


def check_copies(outcome: Any) -> None:
    """The copies written out at once are those of the frames one by one."""
    copies = outcome.copies()
    assert (copies.frame[1:] >= copies.frame[:-1]).all()
    columns = (copies.frame, copies.device, copies.drop, copies.form, copies.ptype)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    found: dict[int, list[Any]] = {}
    for frame, device, drop, form, ptype in rows:
        found.setdefault(frame, []).append((device, drop, form, ptype))
    for frame in range(len(outcome)):
        told = sorted(
            (outcome.devices[d], str(drop), outcome.octets(frame, form), p) for d, drop, form, p in found.get(frame, [])
        )
        expected = sorted(
            (path, str(-1 if drop is None else DROP_NUMBER[drop]), octets, int(ptype))
            for path, drop, octets, ptype in outcome.ends(frame)
        )
        assert told == expected


def _refused(tally: Tally, refusal: Any) -> None:
    text = str(refusal).split(":", 1)[-1].strip()[:60]
    tally.refused[text] = tally.refused.get(text, 0) + 1


def _differs(path: str, frame: Frame, time: int, expected: Any, got: Any) -> str:
    lines = [f"{path} sends {frame.summary()} at {time}:"]
    lines += [f"  walk  {e[0]} {e[1].name if e[1] else 'delivered'} {e[3].name} {e[2][:40].hex()}" for e in expected]
    lines += [f"  batch {e[0]} {e[1].name if e[1] else 'delivered'} {e[3].name} {e[2][:40].hex()}" for e in got]
    return "\n".join(lines)
