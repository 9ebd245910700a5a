"""The neighbour table: states, timers, the queue of packets that wait for an address.

Mirrors net/core/neighbour.c (neigh_timer_handler, __neigh_event_send, __neigh_update, neigh_forced_gc) with the
parameters of net/ipv4/arp.c. Exact where the kernel's jiffies are coarse: one second is one second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from simvlan.clock import MILLISECOND, SECOND
from simvlan.frame import BROADCAST, IPV4, Frame
from simvlan.stack.ipaddr import is_multicast, multicast_mac
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.devices.device import Device
    from simvlan.stack.inetdev import Side
    from simvlan.stack.netstack import Stack

NONE, INCOMPLETE, REACHABLE, STALE, DELAY = 0x00, 0x01, 0x02, 0x04, 0x08
PROBE, FAILED, NOARP, PERMANENT = 0x10, 0x20, 0x40, 0x80
CONNECTED = PERMANENT | NOARP | REACHABLE
VALID = CONNECTED | PROBE | STALE | DELAY
IN_TIMER = INCOMPLETE | REACHABLE | DELAY | PROBE

GC_THRESH1, GC_THRESH2, GC_THRESH3 = 128, 512, 1024


Waiting = tuple[bytes, int, Any, bool]
"""A packet that waits: octets, what is left to the device (Frame.csum), what it is for error reports (or None), and
whether its route is nobody else's."""


class Neighbour:
    """One entry: the MAC of an address on a device, and how sure we are of it."""

    __slots__ = ("confirmed", "dev", "extern_learn", "ip", "mac", "probes", "protocol", "queue", "router", "state",
                 "timer", "updated", "used")  # fmt: skip

    def __init__(self, dev: Device, ip: int, now: int, confirmed: int) -> None:
        self.dev = dev
        self.ip = ip
        self.mac = 0
        self.state = NONE
        self.probes = 0
        self.updated = self.used = now
        self.confirmed = confirmed
        self.timer: Timer | None = None
        self.queue: deque[Waiting] = deque()
        self.protocol = 0
        self.router = False
        self.extern_learn = False

    @property
    def valid(self) -> bool:
        """Whether packets may be sent to the MAC we have."""
        return bool(self.state & VALID)


class NeighbourTable:
    """All neighbours of a namespace (arp_tbl restricted to it), by device and address.

    What only IPv4 knows is in `_construct`, `_ask` and `_report`; IPv6 has its own (`ipv6/neigh6.py`).
    """

    __slots__ = ("entries", "proxies", "stack")

    ethertype = IPV4

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.entries: dict[tuple[Device, int], Neighbour] = {}
        self.proxies: dict[tuple[Device | None, int], int] = {}
        """`ip neigh add proxy`: (device or any, address) -> protocol."""

    # -- finding ----------------------------------------------------------------------------------------------------

    def get(self, dev: Device, ip: int) -> Neighbour | None:
        """The entry for an address, if there is one."""
        return self.entries.get((dev, ip))

    def waiting(self, dev: Device, ip: int) -> Sequence[Waiting]:
        """The packets that wait for an address."""
        entry = self.entries.get((dev, ip))
        return entry.queue if entry is not None else ()

    def ensure(self, dev: Device, ip: int) -> Neighbour | None:
        """The entry for an address, made if need be; None when the table is full (___neigh_create)."""
        entry = self.entries.get((dev, ip))
        if entry is None:
            if len(self.entries) >= GC_THRESH1 and not self._make_room():
                return None
            now = self.stack.kernel.now
            base = self._indev(dev).neigh.get("base_reachable_time_ms") * MILLISECOND
            entry = self.entries[dev, ip] = Neighbour(dev, ip, now, now - 2 * base)
            self._construct(entry)
        return entry

    def _construct(self, entry: Neighbour) -> None:
        """Give addresses that need no ARP their MAC at once (arp_constructor)."""
        dev, ip = entry.dev, entry.ip
        if is_multicast(ip):
            entry.state, entry.mac = NOARP, multicast_mac(ip)
        elif dev.noarp or not dev.kind:
            entry.state, entry.mac = NOARP, dev.mac
        elif self.stack.addr_type(ip) == "broadcast":
            entry.state, entry.mac = NOARP, BROADCAST

    def _make_room(self) -> bool:
        """Collect what is old above 128 entries, force it above 1024 (neigh_periodic_work, neigh_forced_gc)."""
        now = self.stack.kernel.now
        full = len(self.entries) >= GC_THRESH3
        for key, entry in list(self.entries.items()):
            if entry.state & (PERMANENT | IN_TIMER) or entry.extern_learn:
                continue
            stale_ns = self._indev(entry.dev).neigh.get("gc_stale_time") * SECOND
            if full or entry.state == FAILED or now - max(entry.used, entry.confirmed) > stale_ns:
                del self.entries[key]
        return len(self.entries) < GC_THRESH3

    def _indev(self, dev: Device) -> Side:
        return self.stack.indev(dev)

    def of(self, dev: Device | None = None) -> list[Neighbour]:
        """The entries of a device, or all, oldest first."""
        return [e for e in self.entries.values() if dev is None or e.dev is dev]

    def proxied(self, dev: Device, ip: int) -> bool:
        """Whether an address was given to be answered by proxy here."""
        return (dev, ip) in self.proxies or (None, ip) in self.proxies

    def drop_proxy(self, dev: Device | None, ip: int) -> None:
        """Answer for an address no more."""
        del self.proxies[dev, ip]

    # -- sending ----------------------------------------------------------------------------------------------------

    def send(
        self, dev: Device, ip: int, octets: bytes, partial_csum: int, packet: Any, own_route: bool = False
    ) -> int | Drop:
        """Send a packet to a neighbour, or queue it until we know one (neigh_output); 0 or why it was refused.

        *own_route*: its route is nobody else's, and let go with it.
        """
        entry = self.entries.get((dev, ip)) or self.ensure(dev, ip)
        if entry is None:
            return Drop.NEIGH_CREATEFAIL
        if entry.state & CONNECTED or not self.event_send(entry, (octets, partial_csum, packet, own_route)):
            return self._emit(entry, octets, partial_csum, own_route)
        return 0

    def _emit(self, entry: Neighbour, octets: bytes, partial_csum: int, own_route: bool) -> int | Drop:
        dev = entry.dev
        if own_route:
            self.stack.kernel.workers.let_go_of_route()
        frame = Frame(entry.mac, dev.mac, self.ethertype, octets, csum=partial_csum)
        return self.stack.emit(dev, frame, entry.ip, bool(entry.state & CONNECTED)) or 0

    def event_send(self, entry: Neighbour, waiting: Waiting | None) -> bool:
        """Note a use; True when the packet had to wait (__neigh_event_send)."""
        now = self.stack.kernel.now
        entry.used = now
        if entry.state & (CONNECTED | DELAY | PROBE):
            return False
        if entry.state == STALE:
            entry.state, entry.updated = DELAY, now
            self._timer_at(entry, now + self._indev(entry.dev).neigh.get("delay_first_probe_time") * SECOND)
            return False
        fresh = entry.state != INCOMPLETE
        if waiting is not None:
            self._enqueue(entry, waiting)
        if fresh:
            self._start(entry, now)
        return True

    def _enqueue(self, entry: Neighbour, waiting: Waiting) -> None:
        """Queue a packet; a full queue loses its oldest."""
        limit = self._indev(entry.dev).neigh.get("unres_qlen")
        if limit <= 0:
            return self._lose(entry, waiting, Drop.NEIGH_QUEUEFULL)
        while len(entry.queue) >= limit:
            self._lose(entry, entry.queue.popleft(), Drop.NEIGH_QUEUEFULL)
        entry.queue.append(waiting)
        return None

    def _start(self, entry: Neighbour, now: int) -> None:
        """Ask for the first time; without tries allowed the entry fails at once."""
        neigh = self._indev(entry.dev).neigh
        entry.updated = now
        if not neigh.get("mcast_solicit") + neigh.get("app_solicit"):
            entry.state = FAILED
            self._invalidate(entry)
            return
        entry.probes = neigh.get("ucast_solicit")
        entry.state = INCOMPLETE
        self._timer_at(entry, now + self._retrans_ns(entry))
        self._solicit(entry)

    def _lose(self, entry: Neighbour, waiting: Waiting, reason: Drop) -> None:
        """Let a waiting packet go, by name."""
        if waiting[3]:
            self.stack.kernel.workers.let_go_of_route()
        frame = Frame(0, entry.dev.mac, self.ethertype, waiting[0], csum=waiting[1])
        self.stack.kernel.carry(reason, entry.dev, frame)

    # -- timers -----------------------------------------------------------------------------------------------------

    def _retrans_ns(self, entry: Neighbour) -> int:
        return max(self._indev(entry.dev).neigh.get("retrans_time_ms") * MILLISECOND, 10 * MILLISECOND)

    def _timer_at(self, entry: Neighbour, when: int) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
        entry.timer = self.stack.kernel.timer(when, partial(self._timer, entry))

    def _timer_stop(self, entry: Neighbour) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None

    def _timer(self, entry: Neighbour) -> None:
        """Move on in time (neigh_timer_handler)."""
        entry.timer = None
        if not entry.state & IN_TIMER:
            return
        now, neigh = self.stack.kernel.now, self._indev(entry.dev).neigh
        delay_ns = neigh.get("delay_first_probe_time") * SECOND
        reachable_ns = self._indev(entry.dev).reachable_ns(now)
        when = now + self._retrans_ns(entry)
        if entry.state == REACHABLE:
            if now <= entry.confirmed + reachable_ns and entry.confirmed + reachable_ns > now:
                when = entry.confirmed + reachable_ns
            elif now <= entry.used + delay_ns:
                entry.state, entry.updated, when = DELAY, now, now + delay_ns
            else:
                entry.state, entry.updated = STALE, now
        elif entry.state == DELAY:
            if now < entry.confirmed + delay_ns:
                entry.state, entry.updated, when = REACHABLE, now, entry.confirmed + reachable_ns
            else:
                entry.state, entry.updated, entry.probes = PROBE, now, 0
        if entry.state & (INCOMPLETE | PROBE) and entry.probes >= self._max_probes(entry):
            entry.state = FAILED
            self._invalidate(entry)
            return
        if entry.state & IN_TIMER:
            self._timer_at(entry, when)
        if entry.state & (INCOMPLETE | PROBE):
            self._solicit(entry)

    def _max_probes(self, entry: Neighbour) -> int:
        neigh = self._indev(entry.dev).neigh
        last = "mcast_resolicit" if entry.state == PROBE else "mcast_solicit"
        return neigh.get("ucast_solicit") + neigh.get("app_solicit") + neigh.get(last)

    def _solicit(self, entry: Neighbour) -> None:
        """Ask once (neigh_probe): unicast for the first ucast_solicit tries of a probe, then broadcast."""
        unicast = entry.probes < self._indev(entry.dev).neigh.get("ucast_solicit")
        entry.probes += 1
        self._ask(entry, entry.queue[-1][0] if entry.queue else b"", entry.mac if unicast else None)

    def _ask(self, entry: Neighbour, waiting: bytes, mac: int | None) -> None:
        """Send one request (arp_solicit); *waiting* is a packet that waits for the answer, if any."""
        self.stack.arp.solicit(entry, int.from_bytes(waiting[12:16], "big"), mac)

    def _invalidate(self, entry: Neighbour) -> None:
        """Report every waiting packet as unreachable (neigh_invalidate, arp_error_report)."""
        entry.updated = self.stack.kernel.now
        self._timer_stop(entry)
        while entry.state == FAILED and entry.queue:
            waiting = entry.queue.popleft()
            self._lose(entry, waiting, Drop.NEIGH_FAILED)
            if waiting[2] is not None:
                self._report(waiting[2])

    def _report(self, packet: Any) -> None:
        """Tell a sender that a packet waited in vain."""
        self.stack.icmp.link_failure(packet)

    # -- learning ---------------------------------------------------------------------------------------------------

    def heard(self, dev: Device, ip: int, mac: int) -> None:
        """A neighbour asked us something: note its MAC (neigh_event_ns)."""
        entry = self.ensure(dev, ip)
        if entry is not None:
            self.update(entry, mac, STALE, override=True)

    def update(
        self, entry: Neighbour, mac: int | None, new: int, override: bool = False, admin: bool = False,
        weak: bool = False, router: bool | None = None,
    ) -> bool:  # fmt: skip
        """Take in news about a neighbour (__neigh_update); False when it may not be changed.

        *weak*: another MAC that may not override makes a sure entry stale. *router*: what it says of itself.
        """
        old, now = entry.state, self.stack.kernel.now
        if not admin and old & (NOARP | PERMANENT):
            return False
        if not new & VALID:
            self._unset(entry, old, new)
            return True
        if mac is None:
            if not old & VALID:
                return False
            mac = entry.mac
        if new & CONNECTED:
            entry.confirmed = now
        if old & VALID:
            if mac != entry.mac and not override:
                if not (weak and old & CONNECTED):
                    return True
                mac, new, router = entry.mac, STALE, None
            elif mac == entry.mac and new == STALE and not admin:
                new = old
        self._adopt(entry, mac, old, new, now)
        if not old & VALID:
            self._flush(entry)
        if router is not None:
            entry.router = router
        return True

    def _unset(self, entry: Neighbour, old: int, new: int) -> None:
        """An entry is made invalid from outside."""
        self._timer_stop(entry)
        entry.state = new
        if old & (INCOMPLETE | PROBE) and new == FAILED:
            self._invalidate(entry)

    def _adopt(self, entry: Neighbour, mac: int, old: int, new: int, now: int) -> None:
        """Change state and MAC, with their times and timer."""
        if new != old or mac != entry.mac:
            entry.updated = now
        if new != old:
            self._timer_stop(entry)
            if new & PROBE:
                entry.probes = 0
            entry.state = new
            if new & IN_TIMER:
                wait = self._indev(entry.dev).reachable_ns(now) if new & REACHABLE else 0
                self._timer_at(entry, now + wait)
        if mac != entry.mac:
            entry.mac = mac
            if not new & CONNECTED:
                entry.confirmed = now - 2 * self._indev(entry.dev).neigh.get("base_reachable_time_ms") * MILLISECOND

    def _flush(self, entry: Neighbour) -> None:
        """Send what waited, in order."""
        while entry.queue and entry.valid:
            octets, partial_csum, _, own_route = entry.queue.popleft()
            self.event_send(entry, None)
            self._emit(entry, octets, partial_csum, own_route)

    # -- forgetting -------------------------------------------------------------------------------------------------

    def forget(self, entry: Neighbour, reason: Drop = Drop.NEIGH_DEAD) -> None:
        """Remove an entry and what waits for it (neigh_flush_dev, neigh_destroy)."""
        self._timer_stop(entry)
        entry.state = NONE
        self.entries.pop((entry.dev, entry.ip), None)
        while entry.queue:
            self._lose(entry, entry.queue.popleft(), reason)

    def forget_device(self, dev: Device, keep_permanent: bool = False) -> None:
        """Remove a device's entries (neigh_ifdown, neigh_carrier_down)."""
        kept = self.stack.kept_headers
        for each in [each for each in kept if each[:2] == (dev, self.ethertype)]:
            del kept[each]
        for entry in self.of(dev):
            if not (keep_permanent and entry.state == PERMANENT):
                self.forget(entry)
