"""macvlan: several addresses on one lower device. Mirrors drivers/net/macvlan.c (6.1), the transmit half and the state.

What is shared by all macvlans of a lower device, and everything received, is in `macvlan_port.py`.
"""

from __future__ import annotations

from simvlan.devices.device import Device, Kernel
from simvlan.devices.macvlan_port import BRIDGE, PASSTHRU, PRIVATE, SOURCE, VEPA, MacvlanPort
from simvlan.errors import RtnlError
from simvlan.frame import BROADCAST, GROUP, Frame
from simvlan.verdict import Drop, Emit, Verdict, Way, Why

MODES = {"private": PRIVATE, "vepa": VEPA, "bridge": BRIDGE, "passthru": PASSTHRU, "source": SOURCE}
MODE_NAMES = {number: name for name, number in MODES.items()}
DEFAULT_BC_QUEUE_LEN = 1000


class Macvlan(Device):
    """One macvlan; `mode` is a number of MODES."""

    kind = "macvlan"
    stacked = True
    unicast_filter = True
    __slots__ = ("alike", "allowed", "bc_queue_len", "filter", "mode", "nodst", "nopromisc", "port")

    lower: Device

    def __init__(self, name: str, netns: object, port: MacvlanPort, mode: int, mac: int, mtu: int) -> None:
        super().__init__(name, netns, mac, mtu)
        self.lower = port.dev
        self.port = port
        self.carrier = port.dev.carrier
        self.mode = mode
        self.nopromisc = self.nodst = False
        self.bc_queue_len = DEFAULT_BC_QUEUE_LEN
        self.filter: frozenset[int] = frozenset()
        """Groups that get in."""
        self.alike: tuple[tuple[int, int], ...] = ()
        """Pairs that a kernel's hash took for one (mc_hash): with the first joined, the second gets in too."""
        self.allowed: dict[int, None] = {}
        """Source MACs of source mode, oldest first."""

    @property
    def max_mtu(self) -> int:  # type: ignore[override]
        """The lower device's when this one was made (macvlan_common_newlink)."""
        return self.lower.max_mtu

    @property
    def mode_name(self) -> str:
        """The mode as iproute2 spells it."""
        return MODE_NAMES[self.mode]

    # -- transmit ---------------------------------------------------------------------------------------------------

    def tx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """To bridge-mode siblings directly, else to the world through the lower device (macvlan_queue_xmit)."""
        if self.mode == BRIDGE:
            if frame.dst & GROUP:
                return (*self._to_siblings(frame, why), (Way.TX, self.lower, frame))
            sibling = self.port.by_mac.get(frame.dst)
            if sibling is not None and sibling.mode == BRIDGE:
                if why:
                    why(f"address of {sibling.path}: by way of {self.lower.path}'s receive path")
                return (self._forward(self.lower, frame),)
        if why:
            why(f"{self.mode_name}: to the wire")
        return ((Way.TX, self.lower, frame),)

    @staticmethod
    def _forward(target: Device, frame: Frame) -> Emit:
        """Let another device receive the frame (dev_forward_skb)."""
        drop = target.forwardable(frame)
        if drop is not None:
            target.rx_dropped += 1
            return (drop, target, frame)
        return (Way.BACKLOG, target, frame.received_by(target.mac))

    def _to_siblings(self, frame: Frame, why: Why) -> list[Emit]:
        """Give every other bridge-mode macvlan that listens a copy (macvlan_broadcast, local)."""
        copies = []
        for sibling in self.port.listeners(frame, self, BRIDGE):
            copy = self._forward(sibling, frame)
            if isinstance(copy[0], Drop):
                sibling.rx_errors += 1
                sibling.rx_dropped += 1  # macvlan_dev_get_stats64 shows errors as drops too
            else:
                sibling.rx_packets += 1
                sibling.rx_bytes += 28 + len(frame.payload)  # the header is counted twice here
                sibling.multicast += 1
            copies.append(copy)
        if why:
            why(f"bridge-mode siblings that listen: {len(copies)}")
        return copies

    # -- filters ----------------------------------------------------------------------------------------------------

    def listens(self, group: int) -> bool:
        """Whether multicast to a group gets in (test_bit in mc_filter; here: exactly the groups in it)."""
        return group in self.filter or self.promiscuity > 0 or self.allmulti > 0

    def on_rx_flags(self, kernel: Kernel, promisc: int, allmulti: int) -> None:
        """Hold one reference on the lower device per flag (macvlan_change_rx_flags); passthru has its own."""
        if self.up:
            if allmulti:
                kernel.allmulti(self.lower, allmulti)
            if promisc and not self.port.passthru:
                kernel.promiscuity(self.lower, promisc)

    def take_filter(self) -> None:
        """Note the groups (macvlan_compute_filter); the one left last is still among them."""
        self.filter = frozenset(self.mc)
        if self.alike:
            self.filter |= {other for group, other in self.alike if group in self.filter or group == BROADCAST}

    def on_rx_mode(self) -> None:
        """Let the port see which groups its lower device listens to now (macvlan_set_mac_lists)."""
        self.port.refresh_filter()

    # -- up and down ------------------------------------------------------------------------------------------------

    def on_open(self, kernel: Kernel) -> None:
        """Become reachable, unless the address is taken (macvlan_open)."""
        if self.port.passthru:
            if not self.nopromisc:
                kernel.promiscuity(self.lower, 1)
        else:
            self.port.check_mac_free(self.mac, self.path)
            kernel.uc_add(self.lower, self.mac)
            self._pass_flags(kernel, 1)
        self.port.hash_add(self)

    def on_stop(self, kernel: Kernel) -> None:
        """Become unreachable and give everything back (macvlan_stop)."""
        if self.port.passthru:
            if not self.nopromisc:
                kernel.promiscuity(self.lower, -1)
        else:
            self._pass_flags(kernel, -1)
            kernel.uc_del(self.lower, self.mac)
        self.port.hash_del(self, self.mac)

    def _pass_flags(self, kernel: Kernel, delta: int) -> None:
        if self.allmulti:
            kernel.allmulti(self.lower, delta)
        if self.promiscuity:
            kernel.promiscuity(self.lower, delta)

    # -- addresses --------------------------------------------------------------------------------------------------

    def check_mac(self, kernel: Kernel, mac: int) -> None:
        """Refuse an address in use; a passthru macvlan asks its lower device (macvlan_set_mac_address)."""
        super().check_mac(kernel, mac)
        if mac == self.mac:
            return
        if self.mode == PASSTHRU:
            self.lower.check_mac(kernel, mac)
        else:
            self.port.check_mac_free(mac, self.path)

    def check_mtu(self, kernel: Kernel, mtu: int) -> None:
        """No more than the lower device carries (macvlan_change_mtu)."""
        if mtu > self.lower.mtu:
            raise RtnlError(22, None, self.path)

    @property
    def follows_lower_mac(self) -> bool:
        """A passthru macvlan has its lower device's address (macvlan_sync_address)."""
        return self.port.passthru

    def on_mac(self, kernel: Kernel, old: int) -> None:
        """Move to the new address in all tables; passthru moves the lower device with it (macvlan_sync_address)."""
        if self.up:
            self.port.hash_del(self, old)
            self.port.hash_add(self)
            if not self.port.passthru:
                kernel.uc_add(self.lower, self.mac)
                kernel.uc_del(self.lower, old)
        if self.port.passthru and self.lower.mac != self.mac:
            self.port.addr_change = True
            kernel.set_mac(self.lower, self.mac)

    def follow_mac(self, kernel: Kernel) -> None:
        """The lower device's address changed: a passthru macvlan shares it, and tells nobody (macvlan_sync_address)."""
        old, self.mac = self.mac, self.lower.mac
        if old != self.mac:
            self.on_mac(kernel, old)
        if not self.port.addr_change:
            self.port.perm_mac = self.lower.mac
        self.port.addr_change = False

    # -- source lists -----------------------------------------------------------------------------------------------

    def allow(self, mac: int) -> None:
        """Add a sender to the list (macvlan_hash_add_source)."""
        if mac not in self.allowed:
            self.allowed[mac] = None
            self.port.sources.setdefault(mac, []).insert(0, self)

    def disallow(self, mac: int) -> None:
        """Take a sender off the list; an absent one is no error (macvlan_hash_del_source)."""
        if mac in self.allowed:
            del self.allowed[mac]
            self.port.sources[mac].remove(self)
            if not self.port.sources[mac]:
                del self.port.sources[mac]

    def flush(self) -> None:
        """Empty the list (macvlan_flush_sources)."""
        for mac in tuple(self.allowed):
            self.disallow(mac)

    # -- the end ----------------------------------------------------------------------------------------------------

    def on_unregister(self, kernel: Kernel) -> None:
        """Leave the port; the last macvlan takes the port with it (macvlan_dellink, macvlan_uninit)."""
        port, lower = self.port, self.lower
        if self not in port.vlans:
            return
        self.flush()
        port.vlans.remove(self)
        port.update_queue_len()
        lower.uppers.remove(self)
        kernel.announce(lower)
        if not port.vlans:
            lower.rx_handler = None
            if port.passthru and lower.mac != port.perm_mac:
                kernel.set_mac(lower, port.perm_mac)


def port_of(lower: Device) -> MacvlanPort | None:
    """Return the macvlan port of a device, None if something else or nothing stands on it."""
    handler = lower.rx_handler
    return handler if isinstance(handler, MacvlanPort) else None


def attach(kernel: Kernel, vlan: Macvlan) -> None:
    """Enter the lists of the lower device once the macvlan is registered (macvlan_common_newlink)."""
    lower, port = vlan.lower, vlan.port
    lower.rx_handler = port
    lower.uppers.append(vlan)
    port.vlans.append(vlan)
    port.update_queue_len()
    kernel.announce(lower)
    kernel.fire(vlan)
