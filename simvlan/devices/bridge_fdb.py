"""The bridge's forwarding database: who was last seen where. Mirrors net/bridge/br_fdb.c (6.1).

Entries are keyed by (MAC, VLAN); VLAN 0 stands for "filtering off". The dict keeps insertion order; the kernel lists
the newest first. `place` keeps `out`, the port a frame may simply be sent to, in step with `port` and `local`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simvlan.clock import MILLISECOND, SECOND, Timer
from simvlan.frame import is_valid_ether_addr, mac_text

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_port import BridgePort

FIRST_SWEEP = SECOND // 10
"""The garbage collector's first run after the bridge comes up (br_stp_enable_bridge: HZ / 10)."""
MIN_SWEEP = 10 * MILLISECOND
"""Two sweeps are at least this far apart (br_fdb_cleanup)."""


class FdbEntry:
    """One address. Times in ns of virtual time.

    Attributes:
        port: where it is, None for the bridge itself.
        local: belongs to this host: frames to it go up (BR_FDB_LOCAL, shown as permanent).
        static: never ages (BR_FDB_STATIC).
        sticky: never moves (BR_FDB_STICKY).
        by_user: added by hand (BR_FDB_ADDED_BY_USER).
        updated: last seen as a source; used: last a destination.
        out: the port frames to it are sent to, None when it is local.
    """

    __slots__ = ("by_user", "local", "mac", "out", "port", "static", "sticky", "updated", "used", "vid")

    def __init__(self, mac: int, vid: int, port: BridgePort | None, now: int, local: bool = False) -> None:
        self.mac = mac
        self.vid = vid
        self.static = local
        self.sticky = False
        self.by_user = False
        self.updated = self.used = now
        self.place(port, local)

    def place(self, port: BridgePort | None, local: bool) -> None:
        """Say where the address is."""
        self.port = port
        self.local = local
        self.out = None if local else port

    @property
    def state(self) -> str:
        """`permanent`, `static` or `dynamic` (fdb_to_nud)."""
        if self.local:
            return "permanent"
        return "static" if self.static else "dynamic"


class Fdb:
    """The table of one bridge."""

    __slots__ = ("bridge", "entries", "limit", "sweep_at", "timer")

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.entries: dict[int, FdbEntry] = {}
        """(MAC << 12 | VLAN) to entry."""
        self.timer: Timer | None = None
        self.sweep_at = 0
        self.limit = 0
        """How many addresses are learnt; 0: any number (fdb_max_learned, since 6.8)."""

    def __iter__(self) -> Iterator[FdbEntry]:
        """Iterate as the kernel lists: newest first."""
        return reversed(self.entries.values())

    def find(self, mac: int, vid: int) -> FdbEntry | None:
        """Return the entry for an address in a VLAN (br_fdb_find)."""
        return self.entries.get(mac << 12 | vid)

    def insert(self, entry: FdbEntry) -> FdbEntry:
        """Put a new entry in (fdb_create)."""
        self.entries[entry.mac << 12 | entry.vid] = entry
        if entry.static:
            self._sync(entry.mac, add=True)
        return entry

    def remove(self, entry: FdbEntry) -> None:
        """Take an entry out (fdb_delete)."""
        if entry.static:
            self._sync(entry.mac, add=False)
        self.entries.pop(entry.mac << 12 | entry.vid, None)

    def set_static(self, entry: FdbEntry, static: bool) -> None:
        """Make an entry ageless or ageing, and tell the ports' filters."""
        if entry.static != static:
            entry.static = static
            self._sync(entry.mac, add=static)

    def _sync(self, mac: int, add: bool) -> None:
        """Ports that are not promiscuous must let static addresses in (fdb_add_hw_addr)."""
        kernel = self.bridge.kernel
        for port in self.bridge.ports:
            if not port.promisc:
                (kernel.uc_add if add else kernel.uc_del)(port.dev, mac)

    @property
    def sweep_left(self) -> int:
        """Return the ns until the garbage collector runs, 0 when it does not."""
        return max(self.sweep_at - self.bridge.kernel.now, 0) if self.timer is not None else 0

    @property
    def full(self) -> bool:
        """Whether nothing more is learnt (the counter fdb_n_learned: dynamic entries that nobody added by hand)."""
        if not self.limit:
            return False
        return sum(not (e.static or e.local or e.by_user) for e in self.entries.values()) >= self.limit

    def where(self, mac: int) -> bool:
        """Whether an address is known, in any VLAN."""
        return any(entry.mac == mac for entry in self.entries.values())

    # -- learning ---------------------------------------------------------------------------------------------------

    @property
    def hold_time(self) -> int:
        """How long a dynamic entry lives in ns: forward_delay while the topology changes (hold_time)."""
        stp = self.bridge.stp
        return stp.forward_delay if stp.topology_change else self.bridge.ageing_time

    def learn(self, port: BridgePort, mac: int, vid: int, now: int, by_user: bool = False) -> str:
        """Note where a source is; returns what happened, in words (br_fdb_update)."""
        entry = self.entries.get(mac << 12 | vid)
        if entry is not None and entry.out is port:
            entry.updated = now
            entry.by_user |= by_user
            return "known"
        if not self.hold_time:
            return "not learned: ageing time 0"
        if entry is None and self.full and not by_user:
            return f"not learned: the table is full ({self.limit})"
        if entry is None:
            self.insert(FdbEntry(mac, vid, port, now)).by_user = by_user
            return "learned"
        if entry.local:
            return "own address as source"
        entry.updated = now
        entry.by_user |= by_user
        if entry.sticky:
            return "sticky elsewhere"
        entry.place(port, False)
        return "moved"

    # -- local addresses --------------------------------------------------------------------------------------------

    def add_local(self, port: BridgePort | None, mac: int, vid: int) -> None:
        """Add an address of this host; the first of two equal ones stays (br_fdb_add_local)."""
        if not is_valid_ether_addr(mac):
            return
        entry = self.find(mac, vid)
        if entry is not None:
            if entry.local:
                return
            self.remove(entry)
        self.insert(FdbEntry(mac, vid, port, self.bridge.kernel.now, local=True))

    def delete_local(self, port: BridgePort | None, entry: FdbEntry) -> None:
        """Remove a local entry, or leave it to another port or the bridge with that address (fdb_delete_local)."""
        mac, vid = entry.mac, entry.vid
        for other in self.bridge.ports:
            if other is not port and other.dev.mac == mac and (not vid or vid in other.vlans.vids):
                entry.place(other, True)
                entry.by_user = False
                return
        if port is not None and self.bridge.mac == mac and (not vid or vid in self.bridge.vlan_group.vids):
            entry.place(None, True)
            entry.by_user = False
            return
        self.remove(entry)

    def find_delete_local(self, port: BridgePort | None, mac: int, vid: int) -> None:
        """Remove a device's own address from one VLAN (br_fdb_find_delete_local)."""
        entry = self.find(mac, vid)
        if entry is not None and entry.local and not entry.by_user and entry.port is port:
            self.delete_local(port, entry)

    def change_port_mac(self, port: BridgePort, mac: int) -> None:
        """Replace a port's own addresses (br_fdb_changeaddr)."""
        for entry in list(self):
            if entry.port is port and entry.local and not entry.by_user:
                self.delete_local(port, entry)
        self._add_own(port, mac, port.vlans.vids)

    def change_bridge_mac(self, old: int, mac: int) -> None:
        """Replace the bridge's own addresses (br_fdb_change_mac_address)."""
        vids = self.bridge.vlan_group.vids
        for vid in (0, *sorted(vids)):
            self.find_delete_local(None, old, vid)
        self._add_own(None, mac, vids)

    def _add_own(self, port: BridgePort | None, mac: int, vids: dict[int, bool]) -> None:
        self.add_local(port, mac, 0)
        for vid in sorted(vids):
            self.add_local(port, mac, vid)

    # -- forgetting -------------------------------------------------------------------------------------------------

    def delete_by_port(self, port: BridgePort | None, vid: int = 0, everything: bool = False) -> None:
        """Forget what a port taught, or everything about it (br_fdb_delete_by_port)."""
        for entry in list(self):
            if entry.port is not port or (not everything and (entry.static or (vid and entry.vid != vid))):
                continue
            if entry.local:
                self.delete_local(port, entry)
            else:
                self.remove(entry)

    def flush(self, port: BridgePort | None = None) -> None:
        """Forget every entry that ages, of one port or of all (br_fdb_flush)."""
        for entry in list(self):
            if not entry.static and (port is None or entry.port is port):
                self.remove(entry)

    # -- ageing -----------------------------------------------------------------------------------------------------

    def start_sweeps(self, delay: int = FIRST_SWEEP) -> None:
        """Run the garbage collector after a delay (mod_delayed_work on gc_work)."""
        self.stop_sweeps()
        self.sweep_at = self.bridge.kernel.now + delay
        self.timer = self.bridge.kernel.at(self.sweep_at, self.sweep)

    def stop_sweeps(self) -> None:
        """Stop the garbage collector."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def sweep(self) -> None:
        """Remove expired entries; come back when the next one expires (br_fdb_cleanup)."""
        self.timer = None
        now, hold = self.bridge.kernel.now, self.hold_time
        wait = hold
        for entry in list(self):
            if entry.static:
                continue
            left = entry.updated + hold - now
            if left > 0:
                wait = min(wait, left)
            else:
                self.remove(entry)
        self.start_sweeps(max(wait, MIN_SWEEP))


def fdb_text(entry: FdbEntry, bridge_name: str) -> str:
    """Write an entry the way rules explain themselves: `02:..:01 on eth0 vlan 10`."""
    where = entry.port.dev.name if entry.port else bridge_name
    return f"{mac_text(entry.mac)} on {where}" + (f" vlan {entry.vid}" if entry.vid else "")
