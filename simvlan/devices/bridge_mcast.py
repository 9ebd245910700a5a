"""Multicast snooping: IGMP and MLD overheard, queriers, router ports. Mirrors net/bridge/br_multicast.c (6.1).

The bridge learns who listens to what from the reports that pass, but restricts traffic only while a querier is known
and has been for the query response interval. Version 3 source lists are not kept: as with the kernel's default
mcast_igmp_version 2, a version 3 report joins or leaves whole groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.devices import bridge_igmp as igmp
from simvlan.devices.bridge_mcast_port import FAMILIES, ROUTER_ALWAYS, ROUTER_AUTO, ROUTER_NEVER, ROUTER_TEMPORARY
from simvlan.devices.bridge_mdb import GroupKey, Mdb, MdbEntry
from simvlan.devices.bridge_stp_port import State
from simvlan.devices.bridge_timer import BridgeTimer, TickTimer
from simvlan.frame import IPV4
from simvlan.verdict import Drop, Way

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.devices.bridge_transit import Transit

ALL_SNOOPERS, ALL_SNOOPERS6 = 0xE000_006A, 0xFF02 << 112 | 0x6A
"""224.0.0.106 and ff02::6a, which a snooping bridge joins."""
ALL_PIM_ROUTERS = 0xE000_000D
PIM = 103
MRD_ADVERTISEMENT = 0x30


class Querier:
    """Who asks, for one protocol: another host while `other` runs, or this bridge."""

    __slots__ = ("address", "delay_until", "other", "own", "port", "router", "startup_sent")

    def __init__(self, mcast: Snooping, family: int) -> None:
        kernel = mcast.bridge.kernel
        self.address = 0
        self.port: BridgePort | None = None
        self.delay_until = -1
        """Until when traffic still floods although a querier is known."""
        self.startup_sent = 0
        self.other = BridgeTimer(kernel, mcast.other_querier_expired, family)
        self.own = TickTimer(kernel, mcast.own_query_expired, family)
        self.router = BridgeTimer(kernel, mcast.router_expired, None)
        """While it runs the bridge's own host counts as a multicast router."""


class Snooping:
    """Snooping of one bridge. Times in ns; options are named after iproute2's mcast_*."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.enabled = True
        self.querier = False
        self.router = ROUTER_AUTO
        self.use_ifaddr = False
        self.has_address6 = True
        """Whether the last MLD query had an address to come from (BROPT_HAS_IPV6_ADDR)."""
        self.stats_enabled = False
        self.hash_max = 4096
        self.last_member_count = self.startup_query_count = 2
        self.last_member_interval = SECOND
        self.query_interval = 125 * SECOND
        self.query_response_interval = 10 * SECOND
        self.startup_query_interval = 31_250_000_000
        self.membership_interval = 260 * SECOND
        self.querier_interval = 255 * SECOND
        self.mdb = Mdb(bridge)
        self.queriers = {family: Querier(self, family) for family in FAMILIES}

    # -- listening to a frame ---------------------------------------------------------------------------------------

    def examine(self, transit: Transit) -> Drop | None:
        """Learn from a group's frame; the drop when the kernel frees it as malformed (br_multicast_rcv)."""
        family = igmp.family_of(transit.frame)
        if not self.enabled or not family:
            return None
        message = igmp.read(transit.frame)
        if message == igmp.BAD:
            return Drop.BRIDGE_MCAST_INVALID
        if isinstance(message, igmp.Query):
            transit.igmp = True
            self._query(transit, family, message)
        elif isinstance(message, igmp.Report):
            transit.igmp = True
            transit.mrouters_only = message.to_routers
            self._report(transit, family, message)
        else:
            group = igmp.destination(transit.frame)
            transit.mrouters_only = not igmp.is_link_local_group(family, group)
            if family == IPV4:
                self._hear_routers(transit, group)
            elif message == igmp.ROUTER and group == ALL_SNOOPERS6:
                self.mark_router(transit.port, family)
        return None

    def _hear_routers(self, transit: Transit, group: int) -> None:
        """PIM hellos and router advertisements tell of multicast routers."""
        data = transit.frame.payload
        body = data[(data[0] & 0xF) * 4 :]
        hello = group == ALL_PIM_ROUTERS and data[9] == PIM and body[:1] == b"\x20"
        if hello or (group == ALL_SNOOPERS and data[9] == igmp.IGMP and body[:1] == bytes((MRD_ADVERTISEMENT,))):
            self.mark_router(transit.port, IPV4)

    def _report(self, transit: Transit, family: int, report: igmp.Report) -> None:
        """Note joins and leaves of a station."""
        for group, joins in report.changes:
            if not igmp.is_link_local_group(family, group):
                change = self._join if joins else self._leave
                change(GroupKey(family, group, transit.vid), transit.port, transit.frame.src)

    def _join(self, key: GroupKey, port: BridgePort | None, src: int) -> None:
        """Note a member until it has been silent for the membership interval (br_multicast_add_group)."""
        if key not in self.mdb.groups and len(self.mdb.groups) >= self.hash_max:
            self.enabled = False
            return
        entry = self.mdb.get(key)
        if port is None:
            entry.host_joined = True
            entry.timer.start(self.membership_interval)
            return
        member = self.mdb.join(entry, port, src)
        if not member.permanent:
            member.timer.start(self.membership_interval)

    def _leave(self, key: GroupKey, port: BridgePort | None, src: int) -> None:
        """End a membership at once, after asking, or leave that to the querier (br_multicast_leave_group)."""
        entry = self.mdb.groups.get(key)
        if entry is None:
            return
        member = entry.find(port, src) if port is not None else None
        if port is not None and port.fastleave:
            if member is not None and not member.permanent:
                self.mdb.leave(entry, member)
            return
        if self.queriers[key.family].other.pending:
            return
        wait = self.last_member_count * self.last_member_interval
        if self.querier:
            self._send_query(port, key.family, key.group)
            self._restart_own(port, key.family, wait)
        timer = entry.timer if port is None else member.timer if member is not None else None
        _shorten(timer, self.bridge.kernel.now + wait)

    def _restart_own(self, port: BridgePort | None, family: int, wait: int) -> None:
        timer = self.queriers[family].own if port is None else port.snooping.queries[family].timer
        timer.start(wait)

    def _query(self, transit: Transit, family: int, query: igmp.Query) -> None:
        """Take note of a querier, or of a question about one group (br_ip4_multicast_query)."""
        if not query.counts:
            return
        if not query.group:
            self._querier_heard(transit.port, family, query)
            return
        entry = self.mdb.groups.get(GroupKey(family, query.group, transit.vid))
        if entry is None:
            return
        until = self.bridge.kernel.now + query.max_delay * self.last_member_count
        _shorten(entry.timer if entry.host_joined else None, until)
        for member in entry.members:
            _shorten(member.timer, until)

    # -- queriers and routers ---------------------------------------------------------------------------------------

    def _querier_heard(self, port: BridgePort | None, family: int, query: igmp.Query) -> None:
        """Accept a querier with an address no higher than the known one's (br_ip4_multicast_query_received)."""
        known = self.queriers[family]
        anyone = not known.own.pending and not known.other.pending
        nobody = family == IPV4 and not known.address
        if not anyone and not nobody and query.source > known.address:
            return
        known.address, known.port = query.source, port
        if not known.other.pending:
            known.delay_until = self.bridge.kernel.now + query.max_delay
        known.other.start(self.querier_interval)
        self.mark_router(port, family)

    def mark_router(self, port: BridgePort | None, family: int) -> None:
        """A multicast router is behind a port, for the querier interval (br_ip4_multicast_mark_router)."""
        if port is None:
            if self.router == ROUTER_AUTO:
                self.queriers[family].router.start(self.querier_interval)
        elif port.snooping.router in (ROUTER_AUTO, ROUTER_TEMPORARY):
            port.snooping.router_timers[family].start(self.querier_interval)

    def querier_exists(self, family: int) -> bool:
        """Whether somebody asks, and has for long enough (__br_multicast_querier_exists)."""
        known = self.queriers[family]
        own = self.querier and (family == IPV4 or self.has_address6)
        return self.bridge.kernel.now > known.delay_until and (own or known.other.pending)

    def router_expired(self, port: BridgePort | None) -> None:
        """A router has been silent for too long; who was one for a time is none (br_multicast_router_expired)."""
        if port is not None:
            port.snooping.forget_temporary()

    # -- where a group's frame goes ---------------------------------------------------------------------------------

    def members(self, transit: Transit) -> list[BridgePort] | None:
        """Return the ports that want a frame, None to flood it (br_mdb_get, br_multicast_querier_exists)."""
        if not self.enabled:
            return None
        entry = self._entry(transit)
        family = igmp.family_of(transit.frame)
        if entry is None and not transit.mrouters_only:
            return None
        if family and not self.querier_exists(family):
            return None
        members = {m.port.number for m in entry.members} if entry is not None else set()
        return [p for p in self.bridge.ports if p.number in members or (family and p.snooping.is_router(family))]

    def _entry(self, transit: Transit) -> MdbEntry | None:
        """Return the group of a frame; IGMP and MLD themselves belong to none."""
        if transit.igmp:
            return None
        family = igmp.family_of(transit.frame)
        group = igmp.destination(transit.frame) if family else transit.frame.dst
        return self.mdb.groups.get(GroupKey(family, group, transit.vid))

    def stations(self, transit: Transit, port: BridgePort) -> list[int]:
        """Return the stations that get unicast copies by a port (mcast_to_unicast)."""
        entry = self._entry(transit)
        if entry is None or not port.mcast_to_unicast:
            return []
        return [transit.frame.dst if m.permanent else m.mac for m in entry.members if m.port is port]

    def wanted_here(self, transit: Transit) -> bool:
        """Whether the bridge's own host gets a restricted frame: it listens, or routes."""
        entry = self._entry(transit)
        if entry is not None and entry.host_joined:
            return True
        family = igmp.family_of(transit.frame)
        if self.router != ROUTER_AUTO or not family:
            return self.router == ROUTER_ALWAYS
        return self.queriers[family].router.pending

    # -- asking -----------------------------------------------------------------------------------------------------

    def _send_query(self, port: BridgePort | None, family: int, group: int) -> None:
        """Ask out of a port, or the own host (__br_multicast_send_query), never with a tag. MLD needs an address."""
        delay = self.last_member_interval if group else self.query_response_interval
        source = self._own_address() if family == IPV4 else self._own_address6()
        if source is None:
            return
        make = igmp.igmp_query if family == IPV4 else igmp.mld_query
        frame = make(self.bridge.mac, source, group, delay)
        if port is None:
            self.queriers[family].address = source
            self.bridge.outbox.append((Way.BACKLOG, self.bridge, frame.received_by(self.bridge.mac)))
        else:
            self.bridge.outbox.append((Way.TX, port.dev, frame))

    def _own_address(self) -> int:
        """Return the source address of own queries: 0.0.0.0 unless mcast_query_use_ifaddr says otherwise."""
        if not self.use_ifaddr:
            return 0
        addresses = self.bridge.netns.stack.addresses(self.bridge)
        return int(addresses[0].local) if addresses else 0

    def _own_address6(self) -> int | None:
        """Return the bridge's own address for queries, if it has one (br_ip6_multicast_alloc_query)."""
        ip6 = self.bridge.netns.stack.ip6
        found = ip6.select.source(self.bridge, igmp.ALL_NODES) if ip6 is not None else None
        self.has_address6 = found is not None
        return found

    def own_query_expired(self, family: int) -> None:
        """It is time to ask the own host (br_multicast_query_expired)."""
        known = self.queriers[family]
        known.startup_sent = min(known.startup_sent + 1, self.startup_query_count)
        self._ask(None, family)

    def port_query_expired(self, port: BridgePort, family: int) -> None:
        """It is time to ask out of a port (br_multicast_port_query_expired)."""
        if port.state in (State.DISABLED, State.BLOCKING):
            return
        query = port.snooping.queries[family]
        query.startup_sent = min(query.startup_sent + 1, self.startup_query_count)
        self._ask(port, family)

    def _ask(self, port: BridgePort | None, family: int) -> None:
        """Send a general query unless another host asks, and plan the next (br_multicast_send_query)."""
        known = self.queriers[family]
        if not self.enabled or not self.querier or known.other.pending:
            return
        if port is None and known.port is not None:
            known.address, known.port = 0, None
        self._send_query(port, family, 0)
        sent = known.startup_sent if port is None else port.snooping.queries[family].startup_sent
        startup = sent < self.startup_query_count
        self._restart_own(port, family, self.startup_query_interval if startup else self.query_interval)
        self.bridge.flush()

    def other_querier_expired(self, family: int) -> None:
        """The other querier has gone silent: ask again (br_multicast_querier_expired)."""
        if self.bridge.up and self.enabled:
            self._start_querier(family)

    def _start_querier(self, family: int) -> None:
        """Begin asking, the own host and every live port (br_multicast_start_querier)."""
        self._open_query(family)
        for port in self.bridge.ports:
            if port.state not in (State.DISABLED, State.BLOCKING):
                self._enable_query(port, family)

    def _open_query(self, family: int) -> None:
        known = self.queriers[family]
        known.startup_sent = 0
        if self.enabled:
            known.own.start(0)

    def _enable_query(self, port: BridgePort, family: int) -> None:
        """Ask at once (br_multicast_enable)."""
        query = port.snooping.queries[family]
        query.startup_sent = 0
        query.timer.start(0)

    # -- ports and the bridge coming and going ----------------------------------------------------------------------

    def remove_port(self, port: BridgePort) -> None:
        """A port leaves the bridge (br_multicast_del_port)."""
        port.snooping.stop()
        self.mdb.forget_port(port, permanent=True)

    def enable_port(self, port: BridgePort) -> None:
        """A port is live (br_multicast_enable_port)."""
        if self.enabled and self.bridge.up:
            for family in FAMILIES:
                self._enable_query(port, family)

    def disable_port(self, port: BridgePort) -> None:
        """A port went down (br_multicast_disable_port)."""
        port.snooping.stop()
        self.mdb.forget_port(port, permanent=False)

    def open(self) -> None:
        """The bridge comes up (br_multicast_open, br_multicast_join_snoopers)."""
        for family in FAMILIES:
            self._open_query(family)
        if self.enabled:
            self._snoopers(join=True, opening=True)

    def stop(self) -> None:
        """The bridge goes down (br_multicast_stop)."""
        for known in self.queriers.values():
            for timer in (known.other, known.own, known.router):
                timer.stop()
        if self.enabled:
            self._snoopers(join=False)

    def _snoopers(self, join: bool, opening: bool = False) -> None:
        """Let the own host join or leave the groups where routers announce themselves (br_multicast_join_snoopers)."""
        stack = self.bridge.netns.stack
        (stack.igmp.join if join else stack.igmp.leave)(self.bridge, ALL_SNOOPERS)
        idev = stack.ip6.idev(self.bridge) if stack.ip6 is not None else None
        if stack.ip6 is None or idev is None:
            return
        if join:
            stack.ip6.groups.join(idev, ALL_SNOOPERS6, opening)
        else:
            stack.ip6.groups.leave(idev, ALL_SNOOPERS6)

    # -- configuration ----------------------------------------------------------------------------------------------

    def set_enabled(self, enabled: bool) -> None:
        """Turn snooping on or off (br_multicast_toggle)."""
        if self.enabled == enabled:
            return
        self.enabled = enabled
        if not self.bridge.up:
            return
        if enabled:
            for family in FAMILIES:
                self._open_query(family)
            for port in self.bridge.ports:
                self.enable_port(port)
        self._snoopers(join=enabled)

    def set_querier(self, querier: bool) -> None:
        """Ask, or stop asking (br_multicast_set_querier)."""
        if self.querier == querier:
            return
        self.querier = querier
        if not querier:
            return
        for family in FAMILIES:
            known = self.queriers[family]
            if not known.other.pending:
                known.delay_until = self.bridge.kernel.now + self.query_response_interval
            self._start_querier(family)

    def set_router(self, router: int) -> None:
        """Say whether the own host is a multicast router (br_multicast_set_router)."""
        if router != self.router:
            self.router = router
            for known in self.queriers.values():
                known.router.stop()

    def set_port_router(self, port: BridgePort, router: int) -> None:
        """Say whether one is behind a port (br_multicast_set_port_router)."""
        port.snooping.router = router
        if router == ROUTER_TEMPORARY:
            for family in FAMILIES:
                self.mark_router(port, family)
        elif router in (ROUTER_NEVER, ROUTER_AUTO, ROUTER_ALWAYS):
            for timer in port.snooping.router_timers.values():
                timer.stop()


def _shorten(timer: BridgeTimer | None, until: int) -> None:
    """Let a running timer end no later than a time."""
    if timer is not None and timer.pending and timer.due > until:
        timer.start_at(until)
