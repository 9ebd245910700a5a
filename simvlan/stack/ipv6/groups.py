"""Groups of IPv6 that a host hears, and what it reports of them. Mirrors net/ipv6/mcast.c; RFC 3810, RFC 2710.

A change is told after two ticks and once more within mldv2_unsolicited_report_interval; once the link-local address is
found to be free all groups are told again from it, twice too. ff02::1 and groups of the host itself are never told.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from simvlan.clock import MILLISECOND, SECOND, TICK
from simvlan.frame import BCAST, CONTROL, IPV6, MCAST, Frame
from simvlan.stack.ipv6 import addr, icmp6, mld
from simvlan.stack.ipv6.inet6dev import Group, Inet6Dev
from simvlan.stack.ipv6.packet import MIN_MTU
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.input import Packet6

OLD_DELAY = 32_767
"""The longest delay, in ms, that a newer query is taken to mean where an older one was heard (MLDV1_MRD_MAX_COMPAT)."""
ROUTERS = (addr.ALL_ROUTERS, 0xFF01 << 112 | 2, 0xFF05 << 112 | 2)
"""What a router hears besides."""


def reported(group: int) -> bool:
    """Whether routers are told of a group (MAF_NOREPORT)."""
    return group != addr.ALL_NODES and addr.multicast_scope(group) >= 2


class Groups:
    """The groups of a namespace's devices."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6

    # -- membership -------------------------------------------------------------------------------------------------

    def begin(self, idev: Inet6Dev) -> None:
        """What every device hears from the beginning (ipv6_add_dev)."""
        self.join(idev, addr.INTERFACE_LOCAL_NODES)
        self.join(idev, addr.ALL_NODES)
        if idev.conf.get("forwarding") and idev.dev.multicast_flag:
            self.join(idev, addr.ALL_ROUTERS)

    def join(self, idev: Inet6Dev, address: int, opening: bool = False) -> None:
        """Hear a group (__ipv6_dev_mc_inc); *opening*: the device is coming up (ndo_open) and will tell of it then."""
        group = idev.group(address)
        if group is not None:
            group.users += 1
            return
        group = Group(address)
        idev.groups.insert(0, group)
        self._added(idev, group, opening)

    def leave(self, idev: Inet6Dev, address: int) -> None:
        """Hear it no more (__ipv6_dev_mc_dec)."""
        group = idev.group(address)
        if group is None:
            return
        group.users -= 1
        if not group.users:
            idev.groups.remove(group)
            self._dropped(idev, group)

    def join_solicited(self, idev: Inet6Dev, address: int) -> None:
        """Hear solicitations for an address (addrconf_join_solict)."""
        if not idev.nbma:
            self.join(idev, addr.solicited_node(address))

    def leave_solicited(self, idev: Inet6Dev, address: int) -> None:
        """And no longer."""
        if not idev.nbma:
            self.leave(idev, addr.solicited_node(address))

    def up(self, idev: Inet6Dev) -> None:
        """Hear and report everything (again), as if no querier had spoken (ipv6_mc_up)."""
        idev.reporting.forget_queriers()
        for group in idev.groups:
            self._added(idev, group)

    def down(self, idev: Inet6Dev) -> None:
        """A device goes down: filters are taken back, nothing more is told (ipv6_mc_down)."""
        for group in idev.groups:
            self._dropped(idev, group)
        idev.timers.stop()

    def destroy(self, idev: Inet6Dev) -> None:
        """A device loses IPv6 (ipv6_mc_destroy_dev)."""
        for group in list(idev.groups):
            self._unfilter(idev, group)
        idev.groups.clear()
        idev.reporting.gone.clear()

    def router(self, idev: Inet6Dev, on: bool) -> None:
        """Forwarding was switched: routers' groups are heard or not (dev_forward_change)."""
        for address in ROUTERS if idev.dev.multicast_flag else ():
            (self.join if on else self.leave)(idev, address)

    def hears(self, dev: Device, group: int) -> bool:
        """Whether a group is heard on a device (ipv6_chk_mcast_addr)."""
        idev = self.ip6.idev(dev)
        return idev is not None and idev.group(group) is not None

    def _added(self, idev: Inet6Dev, group: Group, opening: bool = False) -> None:
        """Set the filter and tell (igmp6_group_added)."""
        state = idev.reporting
        state.gone[:] = [g for g in state.gone if g.address != group.address]
        if addr.multicast_scope(group.address) < 2:
            return
        if not group.loaded and idev.dev.kind:
            group.loaded = True
            self.ip6.stack.kernel.mc_add(idev.dev, addr.multicast_mac(group.address))
        if opening or not idev.dev.up or not reported(group.address):
            return
        if self._old_querier(idev):
            self._join_v1(idev, group)
            return
        group.reports = state.robustness
        self._changed(idev)

    def _dropped(self, idev: Inet6Dev, group: Group) -> None:
        """Take the filter back and tell (igmp6_group_dropped, igmp6_leave_group)."""
        self._unfilter(idev, group)
        self._answer_no_more(group)
        if idev.dead or not reported(group.address):
            return
        if self._old_querier(idev):
            if group.last:
                self._send_v1(idev, mld.MLD_DONE, group.address)
            return
        idev.reporting.gone.insert(0, Group(group.address, reports=idev.reporting.robustness))
        self._changed(idev)

    def _unfilter(self, idev: Inet6Dev, group: Group) -> None:
        if group.loaded:
            group.loaded = False
            self.ip6.stack.kernel.mc_del(idev.dev, addr.multicast_mac(group.address))

    # -- reports ----------------------------------------------------------------------------------------------------

    def _interval(self, idev: Inet6Dev) -> int:
        return idev.conf.get("mldv2_unsolicited_report_interval") * MILLISECOND

    def _draw(self, idev: Inet6Dev, span: int) -> int:
        return self.ip6.now + 2 * TICK + (idev.rng.randrange(span) if span > 0 else 0)

    def _changed(self, idev: Inet6Dev) -> None:
        """Tell of changes after two ticks (mld_ifc_event)."""
        idev.reporting.changes = idev.reporting.robustness
        self._plan(idev, 0)

    def _plan(self, idev: Inet6Dev, span: int) -> None:
        if idev.timers.change is not None:
            idev.timers.change.cancel()
        idev.timers.change = self.ip6.at(self._draw(idev, span), partial(self._tell, idev))

    def _tell(self, idev: Inet6Dev) -> None:
        """Report what has changed, and once more later (mld_ifc_work, mld_send_cr)."""
        idev.timers.change = None
        records: list[mld.Record] = []
        for group in idev.reporting.gone:
            records.append(mld.Record(mld.TO_IN, group.address))
            group.reports -= 1
        for group in idev.groups:
            if group.reports:
                records.append(mld.Record(mld.TO_EX, group.address))
                group.reports -= 1
        idev.reporting.gone[:] = [group for group in idev.reporting.gone if group.reports]
        self._send(idev, records)
        if idev.reporting.changes:
            idev.reporting.changes -= 1
            if idev.reporting.changes:
                self._plan(idev, self._interval(idev))

    def address_found(self, idev: Inet6Dev) -> None:
        """There is an address to report from now: tell everything again (ipv6_mc_dad_complete)."""
        idev.reporting.dad = idev.reporting.robustness
        self._tell_all(idev)

    def _tell_all(self, idev: Inet6Dev) -> None:
        """Report every group (mld_send_initial_cr), and once more later (mld_dad_work)."""
        if idev.timers.dad is not None:
            idev.timers.dad.cancel()
            idev.timers.dad = None
        if not self._old_querier(idev):
            self._send(idev, [mld.Record(mld.TO_EX, g.address) for g in idev.groups if reported(g.address)])
        if idev.reporting.dad:
            idev.reporting.dad -= 1
            if idev.reporting.dad:
                when = self._draw(idev, self._interval(idev))
                idev.timers.dad = self.ip6.at(when, partial(self._tell_all, idev))

    def _send(self, idev: Inet6Dev, records: list[mld.Record]) -> None:
        """Send records to ff02::16, as many packets as the MTU asks for (mld_newpack, mld_sendpack).

        A device whose MTU is below IPv6's least adds none to a packet (add_grec), though an ipvlan keeps its addresses.
        """
        if idev.dev.mtu < MIN_MTU:
            return
        fit = max((idev.dev.mtu - 40 - 8 - 8) // 20, 1)
        src = idev.link_local() or addr.ANY
        for at in range(0, len(records), fit):
            body = mld.build_report(src, addr.ALL_MLDV2, tuple(records[at : at + fit]))
            self._emit(idev, addr.ALL_MLDV2, mld.envelope(src, addr.ALL_MLDV2, body), CONTROL)

    def _send_v1(self, idev: Inet6Dev, kind: int, group: int) -> None:
        """Report or leave one group the old way (igmp6_send)."""
        src = idev.link_local() or addr.ANY
        dst = addr.ALL_ROUTERS if kind == mld.MLD_DONE else group
        self._emit(idev, dst, mld.envelope(src, dst, mld.build_v1(src, dst, kind, group)))

    def _emit(self, idev: Inet6Dev, dst: int, octets: bytes, prio: int = 0) -> None:
        """Send a message, unless IPv6 is off (ip6_output)."""
        dev = idev.dev
        if not idev.disabled:
            self.ip6.stack.kernel.workers.let_go_of_route()  # by its route (icmp6_dst_alloc)
            self.ip6.stack.emit(dev, Frame(addr.multicast_mac(dst), dev.mac, IPV6, octets, prio=prio), dst)

    def _forced(self, idev: Inet6Dev) -> int:
        return self.ip6.conf_all.get("force_mld_version") or idev.conf.get("force_mld_version")

    # -- queries ----------------------------------------------------------------------------------------------------

    def _old_querier(self, idev: Inet6Dev) -> bool:
        """Whether a querier of version 1 was heard lately, or version 1 is forced (mld_in_v1_mode)."""
        forced = self._forced(idev)
        return forced == 1 or (forced != 2 and self.ip6.now < idev.reporting.v1_until_ns)

    def receive(self, found: Packet6, octets: bytes) -> Drop | None:
        """Take a listener message (igmp6_event_query, igmp6_event_report)."""
        idev = self.ip6.idev(found.dev) if found.dev is not None else None
        if idev is not None and octets[0] == icmp6.MLD_REPORT:
            self._reported(idev, found, octets)
        if idev is None or octets[0] != icmp6.MLD_QUERY:
            return None
        query = mld.parse_query(octets)
        if query is None or not addr.is_link_local(found.src) or found.hops != 1 or not found.router_alert:
            return Drop.MLD_MALFORMED
        if query.group and not addr.is_multicast(query.group):
            return None
        if query.robustness is None or self._old_querier(idev):
            self._queried_v1(idev, query)
        else:
            self._queried(idev, query)
        return None

    def _queried_v1(self, idev: Inet6Dev, query: mld.Query) -> None:
        """A querier of version 1: from now on answer as it does (mld_process_v1); a newer one is answered so, too."""
        if self._forced(idev) == 2:
            return
        state, delay = idev.reporting, query.max_delay
        if query.robustness is None:
            until = state.robustness * state.interval_ns + state.response_ns
            state.v1_until_ns = self.ip6.now + until
        else:
            delay = min(delay, OLD_DELAY)
        idev.timers.stop_answers()
        state.gone.clear()
        state.changes = 0
        for group in idev.groups:
            if query.group in (0, group.address):
                self._ask(idev, group, delay)

    def _ask(self, idev: Inet6Dev, group: Group, max_delay: int) -> None:
        """Let a group answer within so many milliseconds, unless it will anyway (igmp6_group_queried)."""
        if not reported(group.address):
            return
        now, most = self.ip6.now, max(max_delay * MILLISECOND, 1)
        if group.timer is not None and group.due_ns - now < most:
            return
        self._answer_at(idev, group, now + idev.rng.randrange(most))

    def _answer_at(self, idev: Inet6Dev, group: Group, when: int) -> None:
        self._answer_no_more(group)
        group.due_ns = when
        group.timer = self.ip6.at(when, partial(self._answer, idev, group))

    @staticmethod
    def _answer_no_more(group: Group) -> None:
        if group.timer is not None:
            group.timer.cancel()
            group.timer = None

    def _join_v1(self, idev: Inet6Dev, group: Group) -> None:
        """Report a group the old way, now and once more (igmp6_join_group)."""
        self._send_v1(idev, mld.MLD_REPORT, group.address)
        span = max(idev.conf.get("mldv1_unsolicited_report_interval") * MILLISECOND, 1)
        if group.timer is None:
            self._answer_at(idev, group, self.ip6.now + idev.rng.randrange(span))
        group.last = True

    def _reported(self, idev: Inet6Dev, found: Packet6, octets: bytes) -> None:
        """Somebody has reported a group the old way: no need to do so, too (__mld_report_work)."""
        group = idev.group(mld.parse_v1(octets) or 0)
        local = not found.src or addr.is_link_local(found.src)
        if group is not None and local and found.ptype in (MCAST, BCAST) and not found.looped:
            self._answer_no_more(group)
            group.last = False

    def _queried(self, idev: Inet6Dev, query: mld.Query) -> None:
        """Answer after a random part of the response time (mld_process_v2)."""
        state = idev.reporting
        state.robustness = max(query.robustness or state.robustness, 2)
        state.interval_ns, state.response_ns = query.interval * SECOND, query.max_delay * MILLISECOND
        if not query.group and not query.sources:
            idev.timers.stop_answer()
            delay = idev.rng.randrange(max(query.max_delay * MILLISECOND, 1))
            idev.timers.answer = self.ip6.at(self.ip6.now + delay + 2 * TICK, partial(self._answer_all, idev))
        group = idev.group(query.group) if query.group else None
        if group is not None:
            self._ask(idev, group, query.max_delay)

    def _answer_all(self, idev: Inet6Dev) -> None:
        """Tell the present state of every group (mld_send_report)."""
        idev.timers.answer = None
        self._send(idev, [mld.Record(mld.IS_EX, g.address) for g in idev.groups if reported(g.address)])

    def _answer(self, idev: Inet6Dev, group: Group) -> None:
        """Tell of one group (mld_mca_work)."""
        group.timer = None
        if group not in idev.groups:
            return
        if self._old_querier(idev):
            self._send_v1(idev, mld.MLD_REPORT, group.address)
        else:
            self._send(idev, [mld.Record(mld.IS_EX, group.address)])
        group.last = True
