"""macvlan's port: what all macvlans of one lower device share. Mirrors the receive half of drivers/net/macvlan.c (6.1).

Tables: `by_mac` (macvlans that are up), hash buckets (the order in which broadcasts fan out), source lists, the port's
multicast filter. Group frames go to the host's stack at once and to the macvlans from a work queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices.device import Device, Event, Kernel
from simvlan.devices.macvlan_defrag import reassembly_of
from simvlan.errors import RtnlError
from simvlan.frame import BCAST, BROADCAST, GROUP, HOST, IPV4, MCAST, Frame
from simvlan.verdict import Drop, Emit, Verdict, Way, Why

if TYPE_CHECKING:
    from simvlan.devices.macvlan import Macvlan

PRIVATE, VEPA, BRIDGE, PASSTHRU, SOURCE = 1, 2, 4, 8, 16
"""enum macvlan_mode: bits, so that a fan-out can name several."""

ETH_P_PAUSE = 0x8808
GOLDEN_RATIO_64 = 0x61C8_8646_80B5_83EB
_RX, _UP = Way.RX, Way.UP


def bucket_of(mac: int) -> int:
    """Return the hash bucket of an address: 8 bits of hash_64 over the octets read little-endian (macvlan_eth_hash)."""
    little = int.from_bytes(mac.to_bytes(6, "big"), "little") << 16
    return (little * GOLDEN_RATIO_64 & 0xFFFF_FFFF_FFFF_FFFF) >> 56


class MacvlanPort:
    """The receive handler of a macvlan parent."""

    __slots__ = (
        "_batch",
        "_buckets",
        "_queued",
        "_queued_at",
        "addr_change",
        "bc_queue_len",
        "by_mac",
        "dev",
        "groups",
        "had_sg",
        "open_filter",
        "order",
        "passthru",
        "perm_mac",
        "sources",
        "vlans",
    )

    def __init__(self, dev: Device) -> None:
        self.dev = dev
        self.had_sg = dev.sg
        self.vlans: list[Macvlan] = []
        """Every macvlan, oldest first."""
        self.by_mac: dict[int, Macvlan] = {}
        self.order: list[Macvlan] = []
        """Macvlans that are up, by bucket, the last brought up first."""
        self._buckets: dict[int, list[Macvlan]] = {}
        self.passthru = False
        self.perm_mac = dev.mac
        """The lower device's own address, to put back when a passthru macvlan that changed it goes."""
        self.addr_change = False
        """A passthru macvlan is changing the lower device's address (macvlan_set_addr_change)."""
        self.sources: dict[int, list[Macvlan]] = {}
        """Source MAC -> source-mode macvlans that list it, the last added first."""
        self.groups: frozenset[int] = frozenset()
        self.open_filter = False
        self.bc_queue_len = 0
        self._queued = self._batch = 0
        self._queued_at = -1

    # -- receive ----------------------------------------------------------------------------------------------------

    def rx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Decide who gets a frame the lower device received (macvlan_handle_frame)."""
        dst = frame.dst
        if dst & GROUP:
            return self._rx_group(frame, now, why)
        if self.sources:
            copies, consumed = self._to_sources(frame)
            if copies or consumed:
                return _sequence(copies, Drop.MACVLAN_DOWN if consumed else self._rx_unicast(frame, why))
        return self._rx_unicast(frame, why)

    def _rx_unicast(self, frame: Frame, why: Why) -> Verdict:
        """One macvlan by destination address, or whoever owns a passthru device; else the host's stack."""
        vlan = self.vlans[0] if self.passthru else self.by_mac.get(frame.dst)
        if vlan is None or vlan.mode == SOURCE:
            if why:
                why("no macvlan that is up has this address" if vlan is None else f"{vlan.name} goes by source only")
            return ((_UP, self.dev, frame),)
        if not vlan.up:
            return Drop.MACVLAN_DOWN
        if why:
            why("passthru: all unicast" if self.passthru else f"address of {vlan.path}")
        vlan.rx_packets += 1
        vlan.rx_bytes += 14 + len(frame.payload)
        return ((_RX, vlan, frame.as_ptype(HOST)),)

    def _to_sources(self, frame: Frame) -> tuple[list[Emit], bool]:
        """Copy to source-mode macvlans that list the sender; whether one of them keeps it (macvlan_forward_source)."""
        copies: list[Emit] = []
        consumed = False
        for vlan in self.sources.get(frame.src, ()):
            consumed = consumed or vlan.nodst
            if vlan.up:
                vlan.rx_packets += 1
                vlan.rx_bytes += 14 + len(frame.payload)
                copies.append((Way.BACKLOG, vlan, frame.as_ptype(HOST) if frame.dst == vlan.mac else frame))
        return copies, consumed

    def _rx_group(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Broadcast and multicast: queued for the macvlans, then to the host's stack; private senders get it back."""
        if frame.proto == IPV4:
            whole = reassembly_of(self.dev.netns).check(frame, now)
            if whole is None:
                return Drop.MACVLAN_FRAGMENT
            frame = whole
        copies, consumed = self._to_sources(frame) if self.sources else ([], False)
        if consumed:
            return _sequence(copies, Drop.MACVLAN_DOWN)
        src = self.by_mac.get(frame.src)
        if src is not None and not src.mode & (VEPA | BRIDGE):
            if why:
                why(f"{src.path} ({src.mode_name}) sent it: back to it and to nobody else")
            src.rx_packets += 1
            return (*copies, (Way.BACKLOG, src, _as_group(frame)))
        if self._passes(frame.dst):
            copies.append(self._enqueue(frame, now))
        copies.append((_UP, self.dev, frame))
        return copies

    # -- the broadcast queue ----------------------------------------------------------------------------------------

    def _enqueue(self, frame: Frame, now: int) -> Emit:
        """Queue a copy for the work queue while there is room (macvlan_broadcast_enqueue)."""
        if now != self._queued_at:
            self._queued_at, self._queued, self._batch = now, 0, 0
        if self._queued >= self.bc_queue_len:
            self.dev.rx_dropped += 1
            return (Drop.MACVLAN_BACKLOG, self.dev, frame)
        self._queued += 1
        return (Way.WORK, self.dev, frame)

    def deferred(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Fan a queued frame out (macvlan_process_broadcast); a batch leaves the queue as one."""
        if self._batch == 0:
            self._batch, self._queued = self._queued, 0
        self._batch -= 1
        src = self.by_mac.get(frame.src)
        if src is None:
            modes = PRIVATE | VEPA | PASSTHRU | BRIDGE
        elif src.mode == VEPA:
            modes = VEPA | BRIDGE
        else:
            modes = VEPA  # bridge siblings had it on the way out
        if why is not None and src is not None:
            why(f"from the MAC of {src.path}: taken for its own, that a switch sent back")
        group = _as_group(frame)
        copies: list[Emit] = []
        for vlan in self.listeners(frame, src, modes):
            vlan.rx_packets += 1
            vlan.rx_bytes += 14 + len(frame.payload)
            vlan.multicast += 1
            copies.append((Way.BACKLOG, vlan, group))
        return copies or Drop.MACVLAN_NO_LISTENER

    def listeners(self, frame: Frame, sender: Macvlan | None, modes: int) -> list[Macvlan]:
        """Return who of these modes listens to a group, in the order of the hash (macvlan_broadcast)."""
        if frame.proto == ETH_P_PAUSE:
            return []
        dst = frame.dst
        if dst == BROADCAST:
            return [v for v in self.order if v.mode & modes and v is not sender]
        return [v for v in self.order if v.mode & modes and v is not sender and v.listens(dst)]

    def update_queue_len(self) -> None:
        """The longest queue any macvlan asked for (update_port_bc_queue_len)."""
        self.bc_queue_len = max((vlan.bc_queue_len for vlan in self.vlans), default=0)

    # -- tables -----------------------------------------------------------------------------------------------------

    def busy(self, mac: int) -> bool:
        """Whether the lower device or a macvlan that is up owns an address (macvlan_addr_busy)."""
        own = not self.passthru and not self.addr_change and self.dev.mac == mac
        return own or mac in self.by_mac

    def hash_add(self, vlan: Macvlan) -> None:
        """Make a macvlan reachable by its address."""
        self.by_mac[vlan.mac] = vlan
        self._buckets.setdefault(bucket_of(vlan.mac), []).insert(0, vlan)
        self._reorder()

    def hash_del(self, vlan: Macvlan, mac: int) -> None:
        """Forget the address of a macvlan."""
        if self.by_mac.get(mac) is vlan:
            del self.by_mac[mac]
            self._buckets[bucket_of(mac)].remove(vlan)
            self._reorder()

    def _reorder(self) -> None:
        self.order = [vlan for bucket in sorted(self._buckets) for vlan in self._buckets[bucket]]

    def refresh_filter(self) -> None:
        """Take over which groups the lower device listens to, as it stands now (macvlan_set_mac_lists)."""
        self.open_filter = self.dev.promiscuity > 0 or self.dev.allmulti > 0
        self.groups = frozenset(self.dev.mc)

    def _passes(self, dst: int) -> bool:
        """Whether the port's multicast filter lets a group through."""
        return dst == BROADCAST or self.open_filter or dst in self.groups

    # -- the lower device changes (macvlan_device_event) ------------------------------------------------------------

    before_vlans = False

    def on_event(self, kernel: Kernel, dev: Device, event: Event) -> None:
        """Let the macvlans follow their lower device, the oldest first; they all go down before one goes."""
        for vlan in tuple(self.vlans) if event is Event.UNREGISTER else ():
            kernel.set_down(vlan)
        for vlan in tuple(self.vlans):
            if event in (Event.UP, Event.DOWN, Event.CHANGE):
                kernel.set_carrier(vlan, dev.carrier)
            elif event is Event.FEATURES:
                vlan.tso_max_size = dev.tso_max_size
                if self.had_sg != dev.sg:
                    kernel.notify(vlan, Event.FEATURES)
            elif event is Event.MTU and vlan.mtu > dev.mtu:
                kernel.set_mtu(vlan, dev.mtu)
            elif event is Event.UNREGISTER:
                kernel.unregister(vlan)
            elif event is Event.MAC and self.passthru:
                vlan.follow_mac(kernel)
        self.had_sg = dev.sg

    def check_mac_free(self, mac: int, path: str) -> None:
        """Refuse an address in use (EADDRINUSE)."""
        if self.busy(mac):
            raise RtnlError(98, None, path)


def _as_group(frame: Frame) -> Frame:
    """Return the frame as broadcast or multicast, whatever the lower device thought (macvlan_broadcast_one)."""
    return frame.as_ptype(BCAST if frame.dst == BROADCAST else MCAST)


def _sequence(copies: list[Emit], rest: Verdict) -> Verdict:
    """Join copies and what becomes of the frame itself; a drop counts only when there is nothing else."""
    if isinstance(rest, Drop):
        return copies or rest
    return (*copies, *rest)
