"""What hangs on what: the devices of a lab as trees of namespaces, for the picture of its topology.

In the middle of a network stands the namespace from which every other is fewest steps away; what is tied to one of its
devices hangs on that device, and so on. Ties that would close a circle are said in words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simvlan.devices.device import Device

CABLE, STANDS, PORT = "cable (veth pair)", "stands on", "port of"
MANY = 8
"""Children drawn beside each other; of leaves, which are stacked, three times as many."""


@dataclass
class Plate:
    """A device in its place: what is under it in its own namespace, and which namespaces hang on it."""

    dev: Device
    tie: str = ""
    """How it is tied to what it hangs on."""
    inner: list[Plate] = field(default_factory=list)
    outer: list[Space] = field(default_factory=list)
    left_out: int = 0
    """Children that would be too many."""
    said: list[str] = field(default_factory=list)
    """Ties that are said in words, because a line would cross others."""


@dataclass
class Space:
    """A namespace: its devices as trees; the first root is the one it hangs by, *tie* says how."""

    name: str
    tie: str = ""
    roots: list[Plate] = field(default_factory=list)

    @property
    def leaf(self) -> bool:
        """Whether it has one device, and nothing hangs on that."""
        return len(self.roots) == 1 and not self.roots[0].inner and not self.roots[0].outer


Tie = tuple[Device, Device, str]


SAID = {CABLE: ("cable to", "cable to"), STANDS: ("stands on", "below"), PORT: ("port of", "has port")}
"""How a tie is said at its two ends."""


def ties(devices: Iterable[Device]) -> list[Tie]:
    """Return every tie once: upper and lower, port and bridge, the ends of a cable."""
    found: list[Tie] = []
    order = {dev: at for at, dev in enumerate(devices)}
    for dev in order:
        peer: Any = getattr(dev, "peer", None)
        if dev.lower in order:
            found.append((dev, dev.lower, STANDS))
        if dev.master in order:
            found.append((dev, dev.master, PORT))
        if peer in order and order[peer] > order[dev]:
            found.append((dev, peer, CABLE))
    return found


class Planter:
    """Makes the forest of a lab's devices."""

    def __init__(self, devices: Iterable[Device]) -> None:
        self.devices = [dev for dev in devices if dev.kind]
        self.left = ties(self.devices)
        self.home: dict[str, list[Device]] = {}
        for dev in self.devices:
            self.home.setdefault(dev.netns.name, []).append(dev)

    def plant(self) -> list[Space]:
        """Grow a tree for every connected part, the largest first."""
        parts = sorted(self._parts(), key=len, reverse=True)
        spaces = [thin(self._grow(self._middle(part))) for part in parts]
        plates = {plate.dev: plate for space in spaces for plate in drawn(space)}
        for a, b, tie in self.left:
            for near, far, said in ((a, b, SAID[tie][0]), (b, a, SAID[tie][1])):
                if near in plates:
                    place = far.name if far.netns is near.netns else far.path
                    plates[near].said.append(f"{said} {place}")
        return spaces

    def _beside(self, name: str) -> list[str]:
        """Return the namespaces tied to one, in order."""
        pairs = [(a.netns.name, b.netns.name) for a, b, _ in self.left if a.netns is not b.netns]
        near = {b if a == name else a for a, b in pairs if name in (a, b)}
        return [other for other in self.home if other in near]

    def _distances(self, name: str) -> dict[str, int]:
        far, queue = {name: 0}, deque([name])
        while queue:
            here = queue.popleft()
            for other in self._near[here]:
                if other not in far:
                    far[other] = far[here] + 1
                    queue.append(other)
        return far

    def _parts(self) -> list[list[str]]:
        self._near = {name: self._beside(name) for name in self.home}
        seen: set[str] = set()
        parts = []
        for name in self.home:
            if name not in seen:
                part = list(self._distances(name))
                seen.update(part)
                parts.append(part)
        return parts

    def _middle(self, part: list[str]) -> str:
        """Return the namespace from which the farthest is nearest; of several, a switch, or the best connected."""
        if len(part) > 200:  # a star of containers: its centre needs no search
            return max(part, key=lambda name: len(self._near[name]))
        switches = {tie[1].netns.name for tie in self.left if tie[2] == PORT}

        def order(name: str) -> tuple[int, bool, int]:
            return max(self._distances(name).values()), name not in switches, -len(self._near[name])

        return min(part, key=order)

    def _grow(self, name: str) -> Space:
        """Grow the tree from a namespace outwards, nearest first."""
        top = Space(name)
        queue: deque[tuple[Space, Device | None]] = deque([(top, None)])
        planted = {name}
        while queue:
            space, entry = queue.popleft()
            plates = {plate.dev: plate for plate in self._inside(space, entry)}
            for tie in sorted(self.left, key=_strength):
                near, far = (tie[0], tie[1]) if tie[0] in plates else (tie[1], tie[0])
                if near in plates and far.netns.name not in planted:
                    planted.add(far.netns.name)
                    self.left.remove(tie)
                    plates[near].outer.append(Space(far.netns.name, tie[2]))
                    queue.append((plates[near].outer[-1], far))
        return top

    def _inside(self, space: Space, entry: Device | None) -> list[Plate]:
        """Arrange a namespace's own devices as trees; return them all."""
        waiting = sorted(self.home[space.name], key=lambda dev: (dev is not entry, _rank(dev)))
        everyone: list[Plate] = []
        while waiting:
            root = Plate(waiting.pop(0))
            space.roots.append(root)
            queue = deque([root])
            while queue:
                plate = queue.popleft()
                everyone.append(plate)
                for tie in [tie for tie in self.left if plate.dev in tie[:2]]:
                    far = tie[1] if tie[0] is plate.dev else tie[0]
                    if far in waiting and tie[2] != CABLE:
                        waiting.remove(far)
                        self.left.remove(tie)
                        plate.inner.append(Plate(far, tie[2]))
                        queue.append(plate.inner[-1])
        return everyone


def _strength(tie: Tie) -> int:
    """Of two ties between the same namespaces, the one at a bridge's port says more."""
    return 0 if tie[0].master is not None or tie[1].master is not None else 1


def _rank(dev: Device) -> int:
    """Bridges first, then what stands on nothing here, then the rest."""
    if dev.kind == "bridge":
        return 0
    return 1 if dev.lower is None and dev.master is None else 2


def thin(space: Space) -> Space:
    """Leave out what is too much to be seen, and count it."""
    for plate in space.roots:
        _thin(plate)
    return space


def _thin(plate: Plate) -> None:
    leaves = [each for each in plate.outer if each.leaf]
    limit = 3 * MANY if len(leaves) == len(plate.outer) else MANY
    plate.left_out = max(0, len(plate.outer) - limit) + max(0, len(plate.inner) - MANY)
    del plate.outer[limit:], plate.inner[MANY:]
    for each in plate.inner:
        _thin(each)
    for below in plate.outer:
        thin(below)


def drawn(space: Space) -> list[Plate]:
    """Return every device in a tree of namespaces."""
    found, queue = [], list(space.roots)
    while queue:
        plate = queue.pop(0)
        found.append(plate)
        queue += plate.inner + [root for below in plate.outer for root in below.roots]
    return found
