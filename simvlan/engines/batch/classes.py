"""Classes of frames: the rules' answer for each, asked once and written with the names taken out.

A class is what the answer depends on: where the frame is sent, the standing of both MACs, the kind of content, and
which of the limbs involved are the same one. The answer names devices by *roles*: this one device, the n-th device of
the limb in variable v (0: where it is sent, 1: its source's, 2: its destination's, 3 and 4: its IP destination's and
source's), or the n-th device of every other limb of a breed. Where likeness does not hold, the class is answered limb
by limb.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from simvlan.engines.batch.known import Place
from simvlan.engines.batch.probe import Recording
from simvlan.frame import mac_text
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.engines.batch.anatomy import Anatomy
    from simvlan.engines.batch.probe import Prober
    from simvlan.engines.batch.stations import Stations
    from simvlan.frame import Frame

DEVICE, LIMB, OTHERS = 0, 1, 2
"""How a role names devices: by number, as (variable, place), as (breed, place)."""
DROPS = tuple(Drop)
DROP_NUMBER = {drop: number for number, drop in enumerate(DROPS)}
DELIVERED = -1
KEEP, NOWHERE, CERTAIN = -1, 5, 16
"""Instead of a variable: the source's limb stays what it was; it is on none; it is limb number variable - CERTAIN."""


class Role(NamedTuple):
    """Which device: see DEVICE, LIMB, OTHERS."""

    how: int
    a: int
    b: int


class Fate(NamedTuple):
    """How a copy ends: at whom, why (a number of DROPS, or DELIVERED), in which form, of which packet type."""

    role: Role
    drop: int
    form: int
    ptype: int
    after: int


class Crossed(NamedTuple):
    """A cable crossed: from the device at its near end, with *extra* octets beyond those sent, after which crossing.

    In every other limb of a breed it is one crossing; what follows it there is in the same limb.
    """

    role: Role
    extra: int
    after: int


class Answer(NamedTuple):
    """What becomes of the frames of one class.

    counts: per role, for each counter, (per frame, per octet of length).
    standing, variable: the source's standing afterwards, and the variable that holds its limb (KEEP: unchanged).
    changes: whether the source's standing or limb is another than before.
    heard: the (bridge, vid) whose entry of the source was refreshed.
    bound: the variables that hold a limb, each limb once, with its breed.
    """

    fates: tuple[Fate, ...]
    counts: tuple[tuple[Role, tuple[tuple[int, int], ...]], ...]
    standing: int
    variable: int
    changes: bool
    heard: tuple[tuple[int, int], ...]
    crossed: tuple[Crossed, ...]
    bound: tuple[tuple[int, int], ...]


class Situation(NamedTuple):
    """One frame of a class, in the flesh. *limbs*: the variables; *standings*: of source and destination."""

    ingress: int
    frame: Frame
    limbs: tuple[int, ...]
    standings: tuple[int, int]
    stretch: int
    """How many octets longer or shorter a second probe may be; 0: this length only."""


class NotAlike(Exception):  # noqa: N818
    """The answer cannot be told without naming limbs: the class must be answered limb by limb."""


class Classes:
    """Asks, and keeps the forms in which frames are delivered."""

    def __init__(self, anatomy: Anatomy, prober: Prober, stations: Stations) -> None:
        self.anatomy = anatomy
        self.prober = prober
        self.stations = stations
        self.forms: list[tuple[bytes, int]] = []
        """(octets put in after the addresses, octets taken out there)."""
        self._form_numbers: dict[tuple[bytes, int], int] = {}

    def answer(self, situation: Situation, alike: bool) -> Answer:
        """Probe a situation; with *alike* write limbs as variables.

        Raises:
            NotAlike: that cannot be done.
            Unsupported: a rule refused to be asked.
        """
        limbs = situation.limbs if alike else ()
        record = self._probe(situation, situation.frame)
        slope = None
        if situation.stretch:
            slope = self._probe(situation, _stretched(situation.frame, situation.stretch))
        source, variable = self._source(situation, record, limbs)
        kept = variable == KEEP or limb_in(variable, situation.limbs) == situation.limbs[1]
        crossed, order = self._crossed(situation, record, limbs)
        return Answer(
            self._fates(situation, record, limbs, order),
            self._counts(situation, record, slope, limbs),
            source,
            variable,
            source != situation.standings[0] or not kept,
            tuple(record.heard),
            crossed,
            self._bound(limbs),
        )

    def _probe(self, situation: Situation, frame: Frame) -> Recording:
        places = {}
        for mac, standing, limb in (
            (frame.dst, situation.standings[1], situation.limbs[2]),
            (frame.src, situation.standings[0], situation.limbs[1]),
        ):
            places[mac] = self.stations.by_vlan(standing, limb)
        return self.prober.ask(situation.ingress, frame, places)

    # -- taking the names out ---------------------------------------------------------------------------------------

    def _role(self, device: int, limbs: tuple[int, ...]) -> Role:
        limb = int(self.anatomy.limb_of[device])
        if limb < 0 or not limbs:
            return Role(DEVICE, device, 0)
        place = int(self.anatomy.place_of[device])
        if limb in limbs:
            return Role(LIMB, _variable(limbs, limb), place)
        return Role(OTHERS, int(self.anatomy.breed_of[limb]), place)

    def _bound(self, limbs: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Return the variables that hold a limb, and its breed; one variable for each limb."""
        distinct = {limb: _variable(limbs, limb) for limb in limbs if limb >= 0}
        return tuple((variable, int(self.anatomy.breed_of[limb])) for limb, variable in distinct.items())

    def _others(self, breed: int, limbs: tuple[int, ...]) -> int:
        """How many limbs of a breed are in no variable."""
        bound = {limb for limb in limbs if limb >= 0 and self.anatomy.breed_of[limb] == breed}
        return len(self.anatomy.breeds[breed]) - len(bound)

    def _crossed(
        self, situation: Situation, record: Recording, limbs: tuple[int, ...]
    ) -> tuple[tuple[Crossed, ...], dict[int, int]]:
        """Return the cables crossed, and which of them each recorded crossing is."""
        kept: dict[Crossed, int] = {}
        order = {-1: -1}
        seen: dict[Crossed, int] = {}
        for number, crossing in enumerate(record.crossings):
            role = self._role(crossing.device, limbs)
            each = Crossed(role, crossing.size - len(situation.frame), order[crossing.after])
            order[number] = kept.setdefault(each, len(kept))
            seen[each] = seen.get(each, 0) + 1
        for each, times in seen.items():
            if times != (self._others(each.role.a, limbs) if each.role.how == OTHERS else 1):
                raise NotAlike
        return tuple(kept), order

    def _fates(
        self, situation: Situation, record: Recording, limbs: tuple[int, ...], order: dict[int, int]
    ) -> tuple[Fate, ...]:
        """Return the ends of all copies; equal ones at the other limbs of a breed are one."""
        fates: list[Fate] = []
        others: dict[Fate, set[int]] = {}
        for end in record.ends:
            role = self._role(end.device, limbs)
            drop = DELIVERED if end.drop is None else DROP_NUMBER[end.drop]
            form = self._form(bytes(situation.frame), end.octets)
            fate = Fate(role, drop, form, end.ptype, order[end.after])
            if role.how != OTHERS:
                fates.append(fate)
                continue
            there = others.setdefault(fate, set())
            if end.device in there:
                raise NotAlike
            there.add(end.device)
        for fate, there in others.items():
            if len(there) != self._others(fate.role.a, limbs):
                raise NotAlike
            fates.append(fate)
        return tuple(fates)

    def _counts(
        self, situation: Situation, record: Recording, slope: Recording | None, limbs: tuple[int, ...]
    ) -> tuple[tuple[Role, tuple[tuple[int, int], ...]], ...]:
        """Return what every counter gains, as (per frame, per octet)."""
        counts: dict[Role, tuple[tuple[int, int], ...]] = {}
        seen: dict[Role, int] = {}
        for device, delta in record.deltas.items():
            role = self._role(device, limbs)
            other = slope.deltas.get(device) if slope is not None else None
            if slope is not None and other is None:
                raise AssertionError("a length changed the way although it is of the same kind")
            line = _lines(delta, other, len(situation.frame), situation.stretch)
            if counts.setdefault(role, line) != line:
                raise NotAlike
            seen[role] = seen.get(role, 0) + 1
        for role, number in seen.items():
            if number != (self._others(role.a, limbs) if role.how == OTHERS else 1):
                raise NotAlike
        return tuple(counts.items())

    def _source(self, situation: Situation, record: Recording, limbs: tuple[int, ...]) -> tuple[int, int]:
        """Return the source's standing afterwards and the variable of its limb."""
        standing, limb = situation.standings[0], situation.limbs[1]
        if record.moved:
            standing, limb = self._moved(standing, limb, record)
        if limb < 0:
            if limbs and self.stations.standings[standing].breed == -2:
                raise NotAlike
            return standing, KEEP if situation.limbs[1] < 0 else NOWHERE
        if limb == situation.limbs[1]:
            return standing, KEEP
        if not limbs:
            return standing, CERTAIN + limb
        if limb not in limbs:
            raise NotAlike
        return standing, _variable(limbs, limb)

    def _moved(self, standing: int, limb: int, record: Recording) -> tuple[int, int]:
        """Return the standing and limb of a source after it was learned elsewhere."""
        places: dict[tuple[int, int], Place | None] = {
            (place.bridge, place.vid): place for place in self.stations.places(standing, limb)
        }
        places |= record.moved
        return self.stations.abstract(
            *self.stations.role(standing, limb), [place for place in places.values() if place is not None]
        )

    def _form(self, sent: bytes, got: bytes) -> int:
        """Number how the octets changed on the way."""
        best = None
        for out in range(0, min(len(sent) - 12, 64) + 1, 2):
            rest = sent[12 + out :]
            if got.endswith(rest) and len(got) - len(rest) >= 12:
                best = (got[12 : len(got) - len(rest)], out)
                break
        if best is None or got[:12] != sent[:12]:
            raise AssertionError(f"a frame to {mac_text(int.from_bytes(sent[:6], 'big'))} was rewritten on its way")
        if best not in self._form_numbers:
            self._form_numbers[best] = len(self.forms)
            self.forms.append(best)
        return self._form_numbers[best]


def limb_in(variable: int, limbs: tuple[int, ...]) -> int:
    """Return the limb a variable stands for."""
    if variable >= CERTAIN:
        return variable - CERTAIN
    return -1 if variable == NOWHERE else limbs[variable]


def _variable(limbs: tuple[int, ...], limb: int) -> int:
    """Return the variable of a limb: where the frame is sent or goes to before where its source lives."""
    return next(v for v in (0, 2, 1, 3, 4) if v < len(limbs) and limbs[v] == limb)


def _stretched(frame: Frame, by: int) -> Frame:
    """Return the frame with some octets more or fewer at its end."""
    payload = frame.payload + bytes(by) if by > 0 else frame.payload[:by]
    return type(frame)(frame.dst, frame.src, frame.proto, payload, frame.accel, frame.ptype, frame.prio, frame.csum)


@lru_cache(4096)
def _lines(
    delta: tuple[int, ...], other: tuple[int, ...] | None, length: int, stretch: int
) -> tuple[tuple[int, int], ...]:
    """Return each counter's gain as (per frame, per octet) from one probe or two."""
    if other is None:
        return tuple((value, 0) for value in delta)
    lines = []
    for value, longer in zip(delta, other, strict=True):
        per_octet, rest = divmod(longer - value, stretch)
        if rest:
            raise AssertionError("a counter does not grow evenly with the length")
        lines.append((value - per_octet * length, per_octet))
    return tuple(lines)
