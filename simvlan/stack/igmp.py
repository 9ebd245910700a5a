"""Multicast groups of a host: what it hears and what it reports. Mirrors net/ipv4/igmp.c, IGMPv3 with older queriers.

Joining tells the device's filter at once and routers twice: after two ticks, and once more within the unsolicited
report interval. 224.0.0.1 is always joined and never reported.
"""

from __future__ import annotations

from functools import partial
from struct import pack, unpack_from
from typing import TYPE_CHECKING

from simvlan.clock import TICK
from simvlan.stack.ipaddr import ALL_HOSTS, multicast_mac
from simvlan.stack.packet import DF, IGMP, Packet, build, checksum
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack

ALL_IGMPV3 = 0xE000_0016
ROUTER_ALERT = b"\x94\x04\x00\x00"
TO_IN, TO_EX, IS_EX = 3, 4, 2
QUERY = 0x11


class Igmp:
    """The groups of a namespace's devices."""

    __slots__ = ("_answers", "_changes", "_loaded", "_timers", "stack")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._changes: dict[Device, list[list[int]]] = {}
        """Per device: [group, record type, reports left], oldest first."""
        self._loaded: set[tuple[Device, int]] = set()
        """Memberships that are in the device's filter (ip_mc_list.loaded)."""
        self._timers: dict[Device, Timer] = {}
        self._answers: dict[Device, Timer] = {}

    # -- membership -------------------------------------------------------------------------------------------------

    def up(self, dev: Device) -> None:
        """A device came up: hear 224.0.0.1, report what else is joined (ip_mc_up)."""
        indev = self.stack.indev(dev)
        indev.groups.setdefault(ALL_HOSTS, 1)
        for group in indev.groups:
            self._added(dev, group)

    def down(self, dev: Device) -> None:
        """A device goes down: filters are taken back, memberships stay but for that of all hosts (ip_mc_down)."""
        indev = self.stack.indev(dev)
        for group in indev.groups:
            self._unfilter(dev, group)
        indev.groups.pop(ALL_HOSTS, None)
        self._changes.pop(dev, None)
        for timers in (self._timers, self._answers):
            timer = timers.pop(dev, None)
            if timer is not None:
                timer.cancel()

    def destroy(self, dev: Device) -> None:
        """A device loses IPv4: what it heard it hears no more (ip_mc_destroy_dev)."""
        if dev.up:
            self.down(dev)
        self.stack.indev(dev).groups.clear()

    def join(self, dev: Device, group: int) -> None:
        """Add a membership (ip_mc_inc_group)."""
        groups = self.stack.indev(dev).groups
        groups[group] = groups.get(group, 0) + 1
        if groups[group] == 1 and dev.up:
            self._added(dev, group)

    def leave(self, dev: Device, group: int) -> None:
        """Take a membership away (ip_mc_dec_group)."""
        indev = self.stack.indevs.get(dev)
        if indev is None or group not in indev.groups:
            return
        indev.groups[group] -= 1
        if not indev.groups[group]:
            del indev.groups[group]
            self._unfilter(dev, group)
            if dev.up:
                self._changed(dev, group, TO_IN)

    def _added(self, dev: Device, group: int) -> None:
        self._filter(dev, group)
        self._changed(dev, group, TO_EX)

    def _filter(self, dev: Device, group: int) -> None:
        """Hear the group's MAC (ip_mc_filter_add); a loopback device has no such mapping (arp_mc_map)."""
        if dev.kind and (dev, group) not in self._loaded:
            self._loaded.add((dev, group))
            self.stack.kernel.mc_add(dev, multicast_mac(group))

    def _unfilter(self, dev: Device, group: int) -> None:
        if (dev, group) in self._loaded:
            self._loaded.remove((dev, group))
            self.stack.kernel.mc_del(dev, multicast_mac(group))

    # -- reports ----------------------------------------------------------------------------------------------------

    def _changed(self, dev: Device, group: int, record: int) -> None:
        """Report a change twice (igmp_ifc_event); groups nobody routes are not reported."""
        if not self._reported(group) or not dev.kind:
            return
        changes = self._changes.setdefault(dev, [])
        changes[:] = [c for c in changes if c[0] != group]
        changes.append([group, record, 2])
        self._start(dev, TICK * 2)

    def _reported(self, group: int) -> bool:
        """Whether routers are told of a group: all hosts' never, one of 224.0.0.0/24 unless that is turned off."""
        local = group >> 8 == ALL_HOSTS >> 8
        return group != ALL_HOSTS and bool(not local or self.stack.settings["igmp_link_local_mcast_reports"])

    def _start(self, dev: Device, delay: int) -> None:
        old = self._timers.get(dev)
        if old is not None:
            old.cancel()
        self._timers[dev] = self.stack.kernel.at(self.stack.kernel.now + delay, partial(self._report, dev))

    def _report(self, dev: Device) -> None:
        """Send the pending changes (igmpv3_send_cr), and once more later."""
        self._timers.pop(dev, None)
        changes = self._changes.get(dev, [])
        if not changes or not dev.up:
            return
        self._send(dev, [(c[1], c[0]) for c in changes])
        for change in changes:
            change[2] -= 1
        changes[:] = [c for c in changes if c[2]]
        if changes:
            indev = self.stack.indev(dev)
            interval = indev.conf.get("igmpv3_unsolicited_report_interval") * 1_000_000
            self._start(dev, 2 * TICK + (indev.rng.randrange(interval) if interval else 0))

    def _send(self, dev: Device, records: list[tuple[int, int]]) -> None:
        """One IGMPv3 report to 224.0.0.22: TTL 1, TOS 0xc0, router alert (igmpv3_newpack)."""
        stack = self.stack
        body = b"".join(pack("!BBHI", kind, 0, 0, group) for kind, group in records)
        head = pack("!BBHHH", 0x22, 0, 0, 0, len(records))
        octets = head[:2] + checksum(head + body).to_bytes(2, "big") + head[4:] + body
        route = stack.output.find(ALL_IGMPV3, oif=dev, proto=IGMP)
        if isinstance(route, int):
            return
        data = build(route.src, ALL_IGMPV3, IGMP, octets, 1, 0xC0, 0, DF, ROUTER_ALERT)
        stack.output.finish(route, data, False, None)

    # -- queries ----------------------------------------------------------------------------------------------------

    def receive(self, found: Packet) -> Drop | None:
        """Answer a query with what is joined, after a random part of its response time (igmp_heard_query)."""
        octets = found.payload
        dev = found.dev
        if len(octets) < 8 or checksum(octets):
            return Drop.IGMP_MALFORMED
        if octets[0] != QUERY or dev is None or dev not in self.stack.indevs:
            return None
        group = unpack_from("!I", octets, 4)[0]
        indev = self.stack.indev(dev)
        wanted = [g for g in indev.groups if self._reported(g) and group in (0, g)]
        if wanted and dev not in self._answers:
            tenths = octets[1] if octets[1] < 128 else (octets[1] & 15 | 16) << ((octets[1] >> 4 & 7) + 3)
            delay = indev.rng.randrange(max(tenths, 1) * 100_000_000)
            self._answers[dev] = self.stack.kernel.at(
                self.stack.kernel.now + delay, partial(self._answer, dev, group)
            )  # fmt: skip
        return None

    def _answer(self, dev: Device, group: int) -> None:
        self._answers.pop(dev, None)
        indev = self.stack.indevs.get(dev)
        if indev is None or not dev.up:
            return
        wanted = [g for g in indev.groups if self._reported(g) and group in (0, g)]
        if wanted:
            self._send(dev, [(IS_EX, g) for g in wanted])
