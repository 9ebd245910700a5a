"""The five hooks of a namespace's IPv4: in order, defragmentation, raw, tracking, translation, filter.

Mirrors enum nf_ip_hook_priorities, nf_nat_inet_fn, nf_nat_ipv4_local_fn (net/netfilter/nf_nat_proto.c) and
nf_nat_masquerade_ipv4. The stack calls a hook with a packet, which may come back changed, and takes a Drop for no.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING

from simvlan.netfilter.conntrack import NEW, NOBODYS, RELATED, Conn, Conntrack, Seen
from simvlan.netfilter.nat import DST, SRC, Range, set_up, translate, translate_error
from simvlan.netfilter.reject import reject
from simvlan.netfilter.tables import Outcome, Tables
from simvlan.netfilter.view import View
from simvlan.stack.frag import Reassembly
from simvlan.stack.packet import ICMP, MF, OFFSET, Packet
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack

LOOPBACK_NET = 0x7F00_0001
_REMEMBERED = 64
REDIRECT = 5
"""ICMP: a better way."""


class Netfilter:
    """The hooks of one namespace, while it has rules."""

    def __init__(self, stack: Stack, tables: Tables, conntrack: Conntrack) -> None:
        self.stack = stack
        self.tables = tables
        self.conntrack = conntrack
        self.tracks = tables.tracks
        self.reassembly = Reassembly(stack, for_hosts=False)
        self._known: deque[tuple[bytes, Seen | None]] = deque(maxlen=_REMEMBERED)
        """Packets that have been through PREROUTING: looped back (skb->_nfct is kept), or by br_netfilter."""

    @property
    def rng(self) -> Random:
        """Where ports that are not given come from."""
        rng: Random = self.stack.kernel.rng
        return rng

    # -- the hooks ----------------------------------------------------------------------------------------------------

    def prerouting(self, found: Packet, dev: Device, why: Why, bridged: bool = False) -> Packet | Drop | None:
        """A packet came in; None: a fragment that waits for the rest."""
        if self._met_before(found):
            return found
        if self.tracks and found.frag & (MF | OFFSET):
            whole = self.reassembly.add(found)
            if not isinstance(whole, Packet):
                if why and whole is None:
                    why("a fragment: connection tracking waits for the rest")
                return whole
            found = whole
        if dropped := self._filter("raw", "PREROUTING", found, dev.name, "", why, bridged):
            return dropped
        self._track(found)
        dropped = self._nat("PREROUTING", found, DST, dev, None, why, bridged)
        return dropped or found

    def input(self, found: Packet, dev: Device, why: Why) -> Drop | None:
        """A packet is for this host."""
        dropped = self._filter("filter", "INPUT", found, dev.name, "", why)
        dropped = dropped or self._nat("INPUT", found, SRC, dev, None, why)
        if dropped is None:
            self._confirm(found)
        return dropped

    def forward(self, found: Packet, came: Device, to: Device, why: Why, bridged: bool = False) -> Drop | None:
        """A packet goes on."""
        return self._filter("filter", "FORWARD", found, came.name, to.name, why, bridged)

    def output(self, found: Packet, to: Device, why: Why) -> Drop | None:
        """A packet of our own; it may have another destination afterwards."""
        if dropped := self._filter("raw", "OUTPUT", found, "", to.name, why):
            return dropped
        if found.seen is None:
            self._track(found)
        dropped = self._nat("OUTPUT", found, DST, None, to, why)
        return dropped or self._filter("filter", "OUTPUT", found, "", to.name, why)

    def postrouting(
        self, found: Packet, to: Device, nexthop: int, came: Device | None, why: Why, bridged: bool = False
    ) -> Drop | None:
        """A packet leaves by a device."""
        dropped = self._nat("POSTROUTING", found, SRC, came, to, why, bridged, nexthop)
        if dropped is None:
            self._confirm(found)
        return dropped

    # -- memory of packets --------------------------------------------------------------------------------------------

    def remember(self, found: Packet) -> None:
        """Its octets come back to this namespace, and are not to be asked about again."""
        self._known.append((found.data, found.seen))

    def _met_before(self, found: Packet) -> bool:
        for octets, seen in self._known:
            if octets is found.data:
                found.seen = seen
                self._known.remove((octets, seen))
                return True
        return False

    # -- tracking -----------------------------------------------------------------------------------------------------

    @staticmethod
    def answering(about: Packet) -> Seen | None:
        """What tracking makes of an answer to a packet: related, the other way (nf_conntrack_attach)."""
        seen = about.seen
        return None if seen is None or seen.conn is None else Seen(seen.conn, not seen.reply, RELATED)

    def _track(self, found: Packet) -> None:
        if self.tracks:
            found.seen = self.conntrack.see(found, self.stack.kernel.now)

    def _confirm(self, found: Packet) -> None:
        if found.seen is not None:
            self.conntrack.confirm(found.seen)

    def device_down(self, dev: Device) -> None:
        """Connections that masquerade with a device's address end with it (masq_device_event)."""
        for conn in list(self.conntrack.listing(self.stack.kernel.now)):
            if conn.masq_index == dev.ifindex:
                self.conntrack.forget(conn)

    # -- filter -------------------------------------------------------------------------------------------------------

    def _filter(
        self, name: str, hook: str, found: Packet, came: str, to: str, why: Why, bridged: bool = False
    ) -> Drop | None:
        table = self.tables.tables.get(name)
        if table is None or not table.matters:
            return None
        outcome = table.walk(hook, View(found, came, to, self._seen(found), self.kind_of, bridged))
        target = outcome.target.name
        if target == "ACCEPT":
            return None
        if target == "REJECT":
            reject(self.stack, found, outcome.target)
        if why:
            why(f"{'rejected' if target == 'REJECT' else 'dropped'} by {outcome.told(name)}")
        return Drop.NETFILTER_DROP

    def _seen(self, found: Packet) -> Seen | None:
        return found.seen if self.tracks else NOBODYS

    def kind_of(self, address: int) -> str:
        """What an address is to this host (inet_addr_type)."""
        return self.stack.addr_type(address)

    # -- translation --------------------------------------------------------------------------------------------------

    def _nat(
        self, hook: str, found: Packet, manip: str, came: Device | None, to: Device | None, why: Why,
        bridged: bool = False, nexthop: int = 0,
    ) -> Drop | None:  # fmt: skip
        """Ask the table for a connection's first packet, then rewrite (nf_nat_inet_fn)."""
        seen = found.seen
        if seen is None or seen.conn is None:
            return None
        conn, before = seen.conn, (found.src, found.dst)
        if seen.state is RELATED and found.proto == ICMP:
            if found.data[found.header_len] == REDIRECT and not _untranslated(conn):
                return Drop.NETFILTER_DROP
            translate_error(found, conn, seen.reply, manip)
            return None
        if seen.state in (NEW, RELATED) and not (conn.src_done if manip is SRC else conn.dst_done):
            dropped = self._set_up(hook, found, conn, manip, came, to, why, bridged, nexthop)
            if dropped is not None:
                return dropped
        elif hook == "POSTROUTING" and to is not None and conn.masq_index not in (0, to.ifindex) and not seen.reply:
            self.conntrack.forget(conn)  # the way out has changed (nf_nat_oif_changed)
            return Drop.NETFILTER_DROP
        translate(found, conn, seen.reply, manip)
        if why and before != (found.src, found.dst):
            why(f"{'source' if manip is SRC else 'destination'} translated: {found}")
        return None

    def _set_up(
        self, hook: str, found: Packet, conn: Conn, manip: str, came: Device | None, to: Device | None, why: Why,
        bridged: bool, nexthop: int,
    ) -> Drop | None:  # fmt: skip
        table = self.tables.tables.get("nat")
        wanted: Range | None = None
        if table is not None and table.matters:
            names = (came.name if came is not None and hook != "POSTROUTING" else "", to.name if to is not None else "")
            outcome = table.walk(hook, View(found, *names, found.seen, self.kind_of, bridged))
            answer = self._range(outcome, came, to, nexthop)
            if isinstance(answer, Drop):
                return answer
            wanted = answer
            if why and outcome.number and wanted is not None:
                why(f"{outcome.target.name} by {outcome.told('nat')}")
            if outcome.target.name == "MASQUERADE" and to is not None:
                conn.masq_index = to.ifindex
        set_up(self.conntrack, conn, manip, wanted, self.stack.kernel.now, self.rng)
        return None

    def _range(self, outcome: Outcome, came: Device | None, to: Device | None, nexthop: int) -> Range | Drop | None:
        """What a target maps to; None: nothing, Drop: there is no address to map to."""
        target = outcome.target
        if target.name in ("SNAT", "DNAT"):
            return target.range
        ports = (target.range.port_low, target.range.port_high) if target.range is not None else (0, 0)
        if target.name == "MASQUERADE" and to is not None:
            address = self.stack.select_address(to, nexthop, 0)
            return Range(address, address, *ports) if address else Drop.NETFILTER_NO_ADDRESS
        if target.name == "REDIRECT":
            addresses = self.stack.addresses(came) if came is not None else []
            address = LOOPBACK_NET if came is None else next((a.local for a in addresses), 0)
            return Range(address, address, *ports) if address else Drop.NETFILTER_NO_ADDRESS
        return None


def _untranslated(conn: Conn) -> bool:
    """A redirect would have the ends talk without their translation: none is let through, or before it is known."""
    return conn.src_done and conn.dst_done and not (conn.src_nat or conn.dst_nat)


def refresh(stack: Stack) -> None:
    """After any change of rules: hooks are there while a rule could matter, and at no other time."""
    tables: Tables = stack.tables
    if not tables.matters:
        stack.netfilter = None
    elif stack.netfilter is None:
        stack.netfilter = Netfilter(stack, tables, stack.conntrack)
    else:
        stack.netfilter.tracks = tables.tracks
