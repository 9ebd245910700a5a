"""What bridges know during a probe: forwarding-database entries that come to be when a rule asks for them.

A MAC may be known in every VLAN of a trunk (sub-interfaces have their parent's), and a frame's way asks about one of
them. So a probe must not make all entries, nor look through all of them afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple, TypeAlias

from simvlan.devices.bridge_fdb import FdbEntry

NEVER = -1
"""An entry's `updated` before a probe: whatever is different afterwards was heard."""
VID_BITS = 12


class Place(NamedTuple):
    """One FDB entry as a value: what the rules read of it. *port* is a device number, -1 for the bridge itself."""

    bridge: int
    vid: int
    port: int
    local: bool
    static: bool
    sticky: bool
    by_user: bool


Places: TypeAlias = "Mapping[int, Mapping[int, Place]]"
"""Where a MAC is known: bridge -> VLAN -> place."""
NOWHERE: Mapping[int, Place] = {}


class Known(MutableMapping[int, FdbEntry]):
    """The entries of one bridge, keyed as `Fdb.entries`; made of places, each when first asked for.

    Attributes:
        asked: the keys that were looked up or set; no other entry can have changed.
    """

    def __init__(self, port_of: Callable[[int], Any]) -> None:
        self._port_of = port_of
        self._places: Mapping[int, Mapping[int, Place]] = {}
        self._entries: dict[int, FdbEntry] = {}
        self.asked: dict[int, None] = {}

    def know(self, places: Mapping[int, Mapping[int, Place]]) -> None:
        """Know these MACs (MAC -> VLAN -> place) and no other."""
        self._places, self._entries, self.asked = places, {}, {}

    def before(self, mac: int, vid: int) -> Place | None:
        """Return where a MAC was before the probe."""
        return self._places.get(mac, NOWHERE).get(vid)

    def _ask(self, key: int) -> None:
        """Make an entry, unless that was done."""
        if key in self.asked:
            return
        self.asked[key] = None
        mac, vid = key >> VID_BITS, key & (1 << VID_BITS) - 1
        place = self.before(mac, vid)
        if place is not None:
            port = self._port_of(place.port) if place.port >= 0 else None
            entry = self._entries[key] = FdbEntry(mac, vid, port, NEVER, place.local)
            entry.static, entry.sticky, entry.by_user = place.static, place.sticky, place.by_user

    def _ask_all(self) -> dict[int, FdbEntry]:
        for mac, places in self._places.items():
            for vid in places:
                self._ask(mac << VID_BITS | vid)
        return self._entries

    def get(self, key: int, default: Any = None) -> Any:
        """Return an entry (rules ask for each frame: no exception where there is none)."""
        self._ask(key)
        return self._entries.get(key, default)

    def __getitem__(self, key: int) -> FdbEntry:
        """Return an entry."""
        self._ask(key)
        return self._entries[key]

    def __setitem__(self, key: int, entry: FdbEntry) -> None:
        """Put an entry in."""
        self._ask(key)
        self._entries[key] = entry

    def __delitem__(self, key: int) -> None:
        """Take an entry out."""
        self._ask(key)
        del self._entries[key]

    def __iter__(self) -> Iterator[int]:
        """Iterate over all keys."""
        return iter(self._ask_all())

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._ask_all())
