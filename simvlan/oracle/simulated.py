"""The simulator's side of a comparison: the same script on it, with everything recorded that a kernel's guest records.

What Linux draws at random, hardware addresses of devices, is not masked in the comparison but given: the simulator is
told the addresses that the kernel drew, so that everything which follows from them (which address a bridge takes, who
becomes its root) must come out the same.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from simvlan.capture import attach
from simvlan.devices.device import Device
from simvlan.frame import Frame, parse_mac
from simvlan.lab import Lab
from simvlan.oracle.filters import Alike
from simvlan.oracle.kinds import used_by
from simvlan.oracle.observation import LISTINGS, Captured, Observation, subjects
from simvlan.oracle.runs import Job
from simvlan.shell.run import Streams, run_script, run_text
from simvlan.tools.program import call
from simvlan.trace import Step, listen

TAIL_S = 10
"""How far a kernel's clock may be ahead of ours at the end: its commands take time."""
QUIET_NS, LINGER_NS, CARRIER_NS = 60_000_000, 1_000_000_000, 1_500_000_000
"""As a guest does: go on after the script until nothing has come for so long, but no longer than that."""


@dataclass
class Simulated:
    """What one script did on the simulator.

    Attributes:
        observation: what is compared.
        steps: every rule's answer, in order.
        fids: the trace's frame ids, by capture point in the order of its frames.
        storms: where frames were given up because they went in a circle.
        uses: which of kinds.KINDS its devices were.
        joined: the capture points that were ipvlans, and the groups each had joined.
        wanted: the capture point and its how-manieth device each drawn address went to.
    """

    observation: Observation
    steps: list[Step] = field(default_factory=list)
    fids: dict[str, list[int]] = field(default_factory=dict)
    storms: list[str] = field(default_factory=list)
    wanted: list[tuple[str, int] | None] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)
    joined: dict[str, set[int]] = field(default_factory=dict)


class _Recorder:
    """A capture at every device, with the trace's ids."""

    def __init__(self, lab: Lab, alike: Alike) -> None:
        self._network = lab.network
        self._alike = alike
        self.joined: dict[str, set[int]] = {}
        self.captures: dict[str, list[Captured]] = {}
        self.fids: dict[str, list[int]] = {}
        self.appeared: list[tuple[str, int]] = []
        self.uses: set[str] = set()
        attach(lab.network, self)

    def tap(self, now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
        point = _point(dev)
        self.captures.setdefault(point, []).append((now, "out" if outgoing else "in", bytes(frame)))
        self.fids.setdefault(point, []).append(self._network.tracing_frame)

    def watch(self, dev: Device, what: str) -> None:
        self.look(dev)
        if what == "add":
            self.captures.setdefault(_point(dev), [])
            self.appeared.append((_point(dev), dev.mac))
            if self.tap not in dev.taps:
                dev.taps.append(self.tap)

    def look(self, dev: Device) -> None:
        """Note what a device is and has."""
        self.uses.update(used_by(dev))
        if dev.kind == "ipvlan":
            it: Any = dev
            it.alike = self._alike
            self.joined.setdefault(_point(dev), set()).update(dev.mc)


def _point(dev: Device) -> str:
    return f"{dev.netns.name or 'root'}.{dev.name}"


class _Addresses:
    """Stands in for the network's random addresses: those given first, then drawn ones."""

    def __init__(self, lab: Lab, given: Sequence[int | None]) -> None:
        self._draw = lab.network.random_mac
        self._given = list(given)
        self.drawn: list[int] = []
        lab.network.random_mac = self.next  # type: ignore[method-assign]

    def next(self) -> int:
        mac = self._draw()
        number = len(self.drawn)
        if number < len(self._given) and (given := self._given[number]) is not None:
            mac = given
        self.drawn.append(mac)
        return mac


def simulate(
    job: Job,
    *,
    seed: int = 0,
    addresses: Sequence[int | None] = (),
    alike: Alike = frozenset(),
    confined: bool = True,
) -> Simulated:
    """Run a job on a new lab. `addresses` take the place of those it would draw, None leaves one to chance.

    `alike`: which groups a kernel's ipvlans take for one (filters.py).

    Raises what simvlan.shell.run.run_script does.
    """
    lab = _PatientLab(seed, ipv6=job.ipv6, gso=job.gso)
    drawing, recorder = _Addresses(lab, addresses), _Recorder(lab, alike)
    steps: list[Step] = []
    listen(lab.network, steps.append)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open("/dev/null", "rb") as none:
        streams = Streams(none.fileno(), out.fileno(), err.fileno())
        how: dict[str, Any] = {"confined": confined, "env": job.env or None, "streams": streams}
        if job.path is None:
            status = run_text(lab, job.script, job.args, **how)
        else:
            status = run_script(lab, job.path, job.args, **how)
        texts = [_text(file) for file in (out, err)]
    _settle(lab, recorder)
    for dev in lab.network.devices():
        recorder.look(dev)
    ended = lab.now
    state = listings(lab, subjects(job.ipv6))
    tail, later = _go_on(lab, recorder)
    return Simulated(
        Observation(
            captures=recorder.captures,
            tail=tail,
            later=later,
            exit_code=status,
            stdout=texts[0],
            stderr=texts[1],
            listings=state,
            ended_ns=ended,
        ),
        steps,
        recorder.fids,
        sorted(lab.network.storms),
        _wanted(drawing.drawn, recorder.appeared),
        recorder.uses,
        recorder.joined,
    )


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


class _PatientLab(Lab):
    """A lab in which `simvlan send` waits for linkwatch, as it does in a guest: before, devices swallow frames."""

    def send(self, path: str, what: Any) -> None:
        """Transmit once every change of carrier is through."""
        await_carriers(self)
        super().send(path, what)


def await_carriers(lab: Lab) -> None:
    """Let linkwatch look at everything; it does so once a second."""
    end = lab.now + CARRIER_NS
    while lab.network.linkwatch.waiting and lab.now < end:
        lab.clock.advance(lab.now + QUIET_NS)


def _settle(lab: Lab, recorder: _Recorder) -> None:
    await_carriers(lab)
    end = lab.now + LINGER_NS
    frames = -1
    while lab.now < end and frames != (frames := sum(map(len, recorder.captures.values()))):
        lab.clock.advance(min(end, lab.now + QUIET_NS))


def _go_on(lab: Lab, recorder: _Recorder) -> tuple[dict[str, list[Captured]], dict[tuple[str, str], list[Any]]]:
    """What would still come: frames of the next seconds, kept apart, and the neighbours after each of them."""
    seen, recorder.captures = recorder.captures, {}
    later: dict[tuple[str, str], list[Any]] = {}
    try:
        for _ in range(TAIL_S):
            lab.clock.advance(lab.now + 1_000_000_000)
            for key, value in listings(lab, ("neigh",)).items():
                later.setdefault(key, []).append(value)
        return recorder.captures, later
    finally:
        recorder.captures = seen


def listings(lab: Lab, wanted: Iterable[str] = LISTINGS) -> dict[tuple[str, str], Any]:
    """The state of every namespace, as observation.LISTINGS asks for it."""
    found, known = {}, subjects(ipv6=True)
    for name in lab.network.netns:
        for subject in wanted:
            done = call(lab, known[subject], netns=name)
            found[name or "root", subject] = json.loads(done.out or "[]") if done.status == 0 else done.err
    return found


def _wanted(drawn: Sequence[int], appeared: Sequence[tuple[str, int]]) -> list[tuple[str, int] | None]:
    """For each drawn address: the point of the device that got it, and how many devices had had that name before."""
    before: defaultdict[str, int] = defaultdict(int)
    found: dict[int, tuple[str, int]] = {}
    for point, mac in appeared:
        if mac in drawn:
            found.setdefault(mac, (point, before[point]))
        before[point] += 1
    return [found.get(mac) for mac in drawn]


def addresses_of(wanted: Sequence[tuple[str, int] | None], appeared: Sequence[tuple[str, str]]) -> list[int | None]:
    """What a kernel drew for the devices for which the simulator drew."""
    by_point: defaultdict[str, list[str]] = defaultdict(list)
    for point, mac in appeared:
        by_point[point].append(mac)
    found = []
    for want in wanted:
        macs = by_point.get(want[0], []) if want else []
        found.append(parse_mac(macs[want[1]]) if want and want[1] < len(macs) and macs[want[1]] else None)
    return found
