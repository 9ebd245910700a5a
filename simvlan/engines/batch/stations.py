"""What the network knows of every MAC: whose it is, and where each bridge has it.

A frame's way depends on its two addresses only through this: the *standing* of a MAC. Stations of like standing are
told apart by the limb they are on, so ten thousand stations behind 64 ports have a handful of standings. `Stations`
keeps the standing and the limb of every MAC seen, as two arrays; learning is one store, ageing one comparison
per bridge.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simvlan.devices.bridge import LINK_LOCAL
from simvlan.engines.batch.interner import U64, Interner
from simvlan.engines.batch.known import Place, Places
from simvlan.frame import BROADCAST, GROUP, mac_text
from simvlan.table import Table

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.engines.batch.anatomy import Anatomy
    from simvlan.engines.batch.probe import Prober

FREE, ANY_GROUP = ("free",), ("group",)
LIMB_SHIFT = 15
STANDING = (1 << LIMB_SHIFT) - 1
FEW = 64
"""MACs up to which it does not matter whether they are all the same."""
MAPS_KEPT = 64
"""Standings whose places by bridge and VLAN are kept."""
ON_LIMB = -2
"""A place's port on the station's own limb is written ON_LIMB minus its place there."""


class Standing(NamedTuple):
    """Whose a MAC is (*role*), and its FDB entries. *breed*: of the one limb in it, -1 without, -2 with several.

    With several limbs nothing is abstracted: *limb* is then the role's own, and ports are device numbers.
    """

    role: Hashable
    breed: int
    limb: int
    places: tuple[Place, ...]


class Stations:
    """MACs by id. Keys are the six octets read little-endian, as they lie in a frame.

    Attributes:
        code: int32 (capacity), by MAC id: standing, and limb << LIMB_SHIFT (-1 where the standing names none); int64
            with more limbs than that has room for.
        standings: every standing met so far, by number.
        slots: (bridge, vid) -> row of stamps; stamps: int64 (slots, capacity), when each MAC was last heard there, ns.
    """

    def __init__(self, anatomy: Anatomy, prober: Prober) -> None:
        self.anatomy = anatomy
        self.macs = Interner()
        self.standings: list[Standing] = []
        self._numbers: dict[Standing, int] = {}
        self.slots: dict[tuple[int, int], int] = {}
        self._stamps: NDArray[np.int64] = np.zeros((0, 0), np.int64)
        self._maps: dict[tuple[int, int], Places] = {}
        self.code: NDArray[Any] = np.zeros(0, np.int32 if len(anatomy.limbs) < 1 << 16 else np.int64)
        known: dict[int, list[Place]] = {}
        heard: list[tuple[int, int, int, int]] = []
        for number, bridge in prober.bridges.items():
            for entry in bridge.fdb.entries.values():
                known.setdefault(entry.mac, []).append(prober.place(number, entry))
                heard.append((number, entry.vid, entry.mac, entry.updated))
        self._enter(known)
        for number, vid, mac, updated in heard:
            self.stamps_of(number, vid)[self.id_of(mac)] = updated

    def _enter(self, known: dict[int, list[Place]]) -> None:
        """Give ids to every MAC that is special in any way."""
        groups = {mac for dev in self.anatomy.devices for mac in _filtered(dev)}
        groups.update(LINK_LOCAL + last for last in range(16))
        groups.update(key.group for dev in self.anatomy.devices for key in _link_groups(dev))
        macs = list(dict.fromkeys((0, BROADCAST, *sorted(groups), *self.anatomy.own, *self.anatomy.taken, *known)))
        special = {0, BROADCAST, *groups, *self.anatomy.taken}
        ids = self.ids(np.array([wire_order(mac) for mac in macs], np.uint64))
        for mac, number in zip(macs, ids.tolist(), strict=True):
            role, limb = self._role(mac, special)
            self.code[number] = packed(*self.abstract(role, limb, known.get(mac, ())))

    def _role(self, mac: int, special: set[int]) -> tuple[Hashable, int]:
        """Say whose a MAC is, and its limb."""
        if mac in self.anatomy.own:
            limb, which = self.anatomy.own[mac]
            return ("own", which), limb
        if mac in special:
            return ("mac", mac), -1
        return (ANY_GROUP if mac & GROUP else FREE), -1

    # -- ids --------------------------------------------------------------------------------------------------------

    def ids(self, keys: U64) -> NDArray[np.int64]:
        """Return the ids of MACs (in wire order), new ones included."""
        if len(keys) > FEW and keys[0] == keys[-1] and (keys == keys[0]).all():
            return np.broadcast_to(self.ids(keys[:1]), len(keys))  # broadcasts, or all from one station
        before = len(self.macs)
        found = self.macs.intern(keys)
        if len(self.macs) > before:
            self._more(before)
        return found.view(np.int64)

    def id_of(self, mac: int) -> int:
        """Return the id of one MAC."""
        return int(self.ids(np.array([wire_order(mac)], np.uint64))[0])

    def _more(self, first: int) -> None:
        """New MACs are nobody's, and known nowhere."""
        size = len(self.macs.keys)
        if size > len(self.code):
            self.code = np.concatenate((self.code, np.zeros(size - len(self.code), self.code.dtype)))
            rows, before = self._stamps.shape
            self._stamps = np.concatenate((self._stamps, np.zeros((rows, size - before), np.int64)), axis=1)
        self.forget_from(first)

    def forget_from(self, first: int) -> None:
        """MACs from this id on, which are nobody's, are known nowhere."""
        fresh = slice(first, len(self.macs))
        group = (self.macs.keys[fresh] & np.uint64(1)).astype(bool)
        free, any_group = (packed(*self.abstract(role, -1, ())) for role in (FREE, ANY_GROUP))
        self.code[fresh] = np.where(group, any_group, free)

    def get(self, number: int) -> tuple[int, int]:
        """Return the standing and the limb of a MAC id."""
        code = int(self.code[number])
        return code & STANDING, code >> LIMB_SHIFT

    def set(self, number: int, standing: int, limb: int) -> None:
        """Give a MAC id another standing."""
        self.code[number] = packed(standing, limb)

    def slot(self, bridge: int, vid: int) -> int:
        """Return the row of stamps for one VLAN of one bridge."""
        if (bridge, vid) not in self.slots:
            rows = self.slots[bridge, vid] = len(self.slots)
            if rows == len(self._stamps):  # twice as many, so that a VLAN more seldom moves all of them
                self._stamps = np.concatenate((self._stamps, np.zeros((max(rows, 1), len(self.code)), np.int64)))
        return self.slots[bridge, vid]

    @property
    def stamps(self) -> NDArray[np.int64]:
        """When each MAC was last heard in each slot."""
        return self._stamps[: len(self.slots)]

    def stamps_of(self, bridge: int, vid: int) -> NDArray[np.int64]:
        """Return when each MAC was last heard in one VLAN of one bridge."""
        row = self.slot(bridge, vid)
        stamps: NDArray[np.int64] = self._stamps[row]
        return stamps

    def table(self) -> Table:
        """Return every entry of every bridge."""
        rows = []
        for number in range(len(self.macs)):
            for place in self.places(*self.get(number)):
                mac = wire_order(int(self.macs.keys[number]))
                rows.append((place.bridge, mac, place.vid, place, int(self.stamps_of(place.bridge, place.vid)[number])))
        return Table(_row(self.anatomy, *row) for row in sorted(rows, key=lambda row: row[:3]))

    # -- standings --------------------------------------------------------------------------------------------------

    def abstract(self, role: Hashable, limb: int, places: Iterable[Place]) -> tuple[int, int]:
        """Return (number of the standing, limb) for a role and entries with device numbers."""
        of, place_of = self.anatomy.limb_of, self.anatomy.place_of
        limbs = {int(of[p.port]) for p in places if p.port >= 0} | {limb}
        limbs.discard(-1)
        if len(limbs) > 1:
            return self._number(Standing(role, -2, limb, tuple(sorted(places)))), -1
        if not limbs:
            return self._number(Standing(role, -1, -1, tuple(sorted(places)))), -1
        (only,) = limbs
        moved = (
            p._replace(port=ON_LIMB - int(place_of[p.port])) if p.port >= 0 and of[p.port] == only else p
            for p in places
        )
        return self._number(Standing(role, int(self.anatomy.breed_of[only]), -1, tuple(sorted(moved)))), only

    def _number(self, standing: Standing) -> int:
        number = self._numbers.get(standing)
        if number is None:
            number = self._numbers[standing] = len(self.standings)
            self.standings.append(standing)
        return number

    def places(self, number: int, limb: int) -> list[Place]:
        """Return the entries of a standing with device numbers."""
        standing = self.standings[number]
        devices = self.anatomy.limbs[limb].devices if limb >= 0 else ()
        return [p._replace(port=devices[ON_LIMB - p.port]) if p.port <= ON_LIMB else p for p in standing.places]

    def by_vlan(self, number: int, limb: int) -> Places:
        """Return the entries of a standing with device numbers, by bridge and VLAN."""
        if (number, limb) not in self._maps:
            if len(self._maps) >= MAPS_KEPT:
                self._maps.clear()
            found: dict[int, dict[int, Place]] = {}
            for place in self.places(number, limb):
                found.setdefault(place.bridge, {})[place.vid] = place
            self._maps[number, limb] = found
        return self._maps[number, limb]

    def role(self, number: int, limb: int) -> tuple[Hashable, int]:
        """Return the role in a standing and the limb it belongs to."""
        standing = self.standings[number]
        if standing.breed == -2:
            return standing.role, standing.limb
        return standing.role, limb if isinstance(standing.role, tuple) and standing.role[0] == "own" else -1


def _row(anatomy: Anatomy, bridge: int, mac: int, vid: int, place: Place, updated: int) -> dict[str, Any]:
    state = "permanent" if place.local else "static" if place.static else "dynamic"
    port = anatomy.devices[place.port].name if place.port >= 0 else anatomy.devices[bridge].name
    return {
        "bridge": anatomy.path(bridge), "mac": mac_text(mac), "vlan": vid, "dev": port, "state": state,
        "updated": updated,
    }  # fmt: skip


def wire_order(mac: int) -> int:
    """Return a MAC's octets read little-endian, as they lie in a frame (its own inverse)."""
    return int.from_bytes(mac.to_bytes(6, "big"), "little")


def _filtered(dev: Device) -> frozenset[int]:
    """Return the groups that a device's filter, or that of the macvlans on it, names."""
    named: frozenset[int] = getattr(dev, "filter", frozenset())
    return named | getattr(dev.rx_handler, "groups", frozenset())


def _link_groups(dev: object) -> list[Any]:
    """Return the link-layer groups of a bridge's multicast database."""
    mcast = getattr(dev, "mcast", None)
    return [key for key in mcast.mdb.groups if not key.family] if mcast is not None else []


def packed(standing: int, limb: int) -> int:
    """Return a standing and a limb as one code."""
    return limb << LIMB_SHIFT | standing
