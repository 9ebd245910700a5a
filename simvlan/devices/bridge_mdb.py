"""The multicast database: which ports listen to which group. Mirrors struct net_bridge_mdb_entry (6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from simvlan.devices.bridge_timer import BridgeTimer

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_port import BridgePort


class GroupKey(NamedTuple):
    """A group in a VLAN: family IPV4 or IPV6 with an IP address, or 0 with a MAC."""

    family: int
    group: int
    vid: int


class Member:
    """One port listening to one group; `mac` tells stations apart where mcast_to_unicast is on."""

    __slots__ = ("by_user", "fast_leave", "mac", "permanent", "port", "timer")

    def __init__(self, mdb: Mdb, entry: MdbEntry, port: BridgePort, mac: int, permanent: bool) -> None:
        self.port = port
        self.mac = mac
        self.permanent = permanent
        self.fast_leave = False
        self.by_user = False
        """Made by `bridge mdb add` (RTPROT_STATIC), not by a report."""
        self.timer = BridgeTimer(mdb.bridge.kernel, mdb.member_expired, entry, self)


class MdbEntry:
    """One group: its members, and whether the host itself listens."""

    __slots__ = ("host_joined", "key", "members", "timer")

    def __init__(self, mdb: Mdb, key: GroupKey) -> None:
        self.key = key
        self.members: list[Member] = []
        self.host_joined = False
        self.timer = BridgeTimer(mdb.bridge.kernel, mdb.host_expired, self)

    def find(self, port: BridgePort, mac: int) -> Member | None:
        """Return the membership of a port, or of one station where copies go out by unicast (br_port_group_equal)."""
        per_station = port.mcast_to_unicast
        return next((m for m in self.members if m.port is port and (not per_station or m.mac == mac)), None)


class Mdb:
    """The table of one bridge, oldest group first."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.groups: dict[GroupKey, MdbEntry] = {}

    def get(self, key: GroupKey) -> MdbEntry:
        """Return the entry of a group, made if need be (br_multicast_new_group)."""
        entry = self.groups.get(key)
        if entry is None:
            entry = self.groups[key] = MdbEntry(self, key)
        return entry

    def join(self, entry: MdbEntry, port: BridgePort, mac: int, permanent: bool = False) -> Member:
        """Make a port a member, last added port first (br_multicast_new_port_group)."""
        member = entry.find(port, mac)
        if member is None:
            member = Member(self, entry, port, mac, permanent)
            entry.members.insert(0, member)
        return member

    def leave(self, entry: MdbEntry, member: Member) -> None:
        """End a membership (br_multicast_del_pg)."""
        member.timer.stop()
        entry.members.remove(member)
        self._tidy(entry)

    def host_leave(self, entry: MdbEntry) -> None:
        """The host no longer listens (br_multicast_host_leave)."""
        entry.timer.stop()
        entry.host_joined = False
        self._tidy(entry)

    def _tidy(self, entry: MdbEntry) -> None:
        if not entry.members and not entry.host_joined:
            self.groups.pop(entry.key, None)

    def forget_port(self, port: BridgePort, permanent: bool) -> None:
        """End a port's memberships, the permanent ones only when it leaves the bridge."""
        for entry in list(self.groups.values()):
            for member in [m for m in entry.members if m.port is port and (permanent or not m.permanent)]:
                self.leave(entry, member)

    def clear(self) -> None:
        """Stop every timer and forget everything (br_multicast_dev_del)."""
        for entry in list(self.groups.values()):
            for member in list(entry.members):
                self.leave(entry, member)
            if entry.host_joined:
                self.host_leave(entry)

    def member_expired(self, entry: MdbEntry, member: Member) -> None:
        """No report for too long (br_multicast_port_group_expired)."""
        if member in entry.members and not member.permanent:
            self.leave(entry, member)

    def host_expired(self, entry: MdbEntry) -> None:
        """The host has not reported for too long (br_multicast_group_expired)."""
        if entry.host_joined:
            self.host_leave(entry)
