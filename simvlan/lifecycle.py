"""The life of devices: registration, up and down, carrier, MTU and MAC changes, promiscuity, groups, moves, deletion.

Mirrors the control half of net/core/dev.c and dev_addr_lists.c, and the notifier chains by which a change reaches the
devices stacked above, the receive handler, and the protocols. No validation here: `rtnl` refuses, this performs.
A carrier that comes or goes is told when linkwatch looks (`linkwatch.py`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from simvlan.devices.device import Device, Event
from simvlan.devices.vlan import in_turn
from simvlan.frame import is_valid_ether_addr
from simvlan.linkwatch import Linkwatch, follow_carrier
from simvlan.qdisc.queue import purge

if TYPE_CHECKING:
    from simvlan.clock import Clock
    from simvlan.network import Netns


ANNOUNCED = frozenset({Event.MTU, Event.MAC, Event.FEATURES})
"""Changes that rtnetlink tells by itself (rtnetlink_event)."""

LARGEST = 0xFFFF_FFFF


class Lifecycle:
    """The control half of a network."""

    netns: dict[str, Netns]
    rng: Random
    watchers: list[Callable[[Device, str], None]]
    clock: Clock
    population: int
    """How many devices there are."""
    linkwatch: Linkwatch

    @abstractmethod
    def _recount(self) -> None:
        """Let what depends on the number of devices follow it."""

    # -- being there ------------------------------------------------------------------------------------------------

    def register(self, dev: Device, ns: Netns, ifindex: int = 0) -> None:
        """Make a device known in a namespace (register_netdevice); a wanted index is the caller's to check."""
        self._enter(dev, ns, ifindex)
        if not dev.carrier:
            follow_carrier(dev)  # linkwatch_init_dev

    def _enter(self, dev: Device, ns: Netns, ifindex: int) -> None:
        dev.netns = ns
        dev.ifindex = ifindex or ns.free_ifindex()
        dev.tso_max_size = dev.tso_max_size or _tso_max_size(dev)
        ns.devices[dev.name] = ns.indexes[dev.ifindex] = dev
        self.population += 1
        self._recount()
        ns.stack.device_added(dev)
        for watcher in self.watchers:
            watcher(dev, "add")

    def unregister(self, dev: Device) -> None:
        """Delete a device: down, uppers deleted with it, master and lower let go (unregister_netdevice_many)."""
        if dev.netns.devices.get(dev.name) is not dev:
            return
        self.set_down(dev)
        self.notify(dev, Event.UNREGISTER)
        self.announce(dev)  # as deleted
        self._forget(dev)
        self.linkwatch.forget(dev)
        dev.on_unregister(self)

    def _forget(self, dev: Device) -> None:
        del dev.netns.devices[dev.name], dev.netns.indexes[dev.ifindex]
        self.population -= 1
        self._recount()
        for watcher in self.watchers:
            watcher(dev, "del")

    def move(self, dev: Device, ns: Netns, name: str | None = None) -> None:
        """Move a device to another namespace (dev_change_net_namespace): down, bare; index kept if free."""
        self.set_down(dev)
        self.notify(dev, Event.MOVED)
        dev.netns.id_of(ns)
        self.announce(dev)  # as deleted
        self._forget(dev)
        dev.name = name or dev.name
        dev.opened = False
        for table in (dev.uc, dev.mc):
            table.flush()  # uppers do not ask again
        wanted = dev.ifindex if ns.by_index(dev.ifindex) is None else 0
        self._enter(dev, ns, wanted)
        self.announce(dev)

    def rename(self, dev: Device, name: str) -> None:
        """Give a device another name; its place in the namespace stays."""
        ns = dev.netns
        ns.devices = {(name if d is dev else n): d for n, d in ns.devices.items()}
        dev.name = name
        ns.stack.addresses_of.renamed(dev)
        self.announce(dev)

    def notify(self, dev: Device, event: Event) -> None:
        """Tell the protocols and who stands on a device (call_netdevice_notifiers).

        The protocols come first: they are in the chain before any driver is. Drivers follow as they were loaded; here
        bridge, 8021q, macvlan, ipvlan, as in the guests that judge (oracle/guest/main.py).
        """
        if event in ANNOUNCED:
            self.announce(dev)
        dev.netns.stack.device_event(dev, event)
        dev.on_event(self, event)  # type: ignore[arg-type]
        self._tell_handler(dev, event, before_vlans=True)
        for vlan in in_turn(dev, event):
            vlan.on_lower(self, dev, event)  # type: ignore[arg-type]
        self._tell_handler(dev, event, before_vlans=False)

    def _tell_handler(self, dev: Device, event: Event, before_vlans: bool) -> None:
        handler = dev.rx_handler
        if handler is not None and handler.before_vlans is before_vlans:
            handler.on_event(self, dev, event)

    def announce(self, dev: Device) -> None:
        """Describe a device to rtnetlink's listeners, with the id of the namespace of its link (rtmsg_ifinfo)."""
        link = dev.link
        if link is not None and link.netns is not dev.netns:
            dev.netns.id_of(link.netns)
        dev.netns.tell(dev, "link")

    def state_change(self, dev: Device) -> None:
        """Tell of a change of a device that is up (netdev_state_change)."""
        if dev.up:
            self.notify(dev, Event.CHANGE)
            self.announce(dev)

    # -- up, down, carrier ------------------------------------------------------------------------------------------

    def set_up(self, dev: Device) -> None:
        """Bring a device up (dev_open). Raises RtnlError when the kind refuses."""
        if dev.up:
            return
        dev.up = True
        try:
            dev.on_open(self)  # type: ignore[arg-type]
        except Exception:
            dev.up = False
            raise
        dev.opened = True
        self.set_rx_mode(dev)
        if dev.carrier:
            self.activate(dev)
        self.announce(dev)
        self.notify(dev, Event.UP)

    def set_down(self, dev: Device) -> None:
        """Take a device down (dev_close)."""
        if not dev.up:
            return
        self.notify(dev, Event.GOING_DOWN)
        self._take_back(dev)
        dev.up = False
        self.deactivate(dev)
        dev.on_stop(self)  # type: ignore[arg-type]
        self.announce(dev)
        self.notify(dev, Event.DOWN)

    def activate(self, dev: Device) -> None:
        """Let frames into the queue of a device with a carrier (dev_activate)."""
        dev.active = True

    def deactivate(self, dev: Device) -> None:
        """Keep frames out of a device's queue and forget those in it (dev_deactivate)."""
        dev.active = False
        purge(dev, self.clock.now)

    def set_carrier(self, dev: Device, carrier: bool) -> None:
        """Turn the carrier on or off; linkwatch tells everybody above (netif_carrier_on, netif_carrier_off)."""
        if dev.carrier != carrier:
            dev.carrier = carrier
            dev.carrier_changes += 1
            self.linkwatch.fire(dev)

    def fire(self, dev: Device) -> None:
        """Have linkwatch look at a device although its carrier did not change (linkwatch_fire_event)."""
        self.linkwatch.fire(dev)

    # -- addresses and sizes ----------------------------------------------------------------------------------------

    def set_mtu(self, dev: Device, mtu: int) -> None:
        """Change the MTU, unless it is out of the device's bounds (dev_set_mtu)."""
        if dev.mtu != mtu and dev.takes_mtu(mtu):
            dev.mtu = mtu
            dev.on_mtu(self)  # type: ignore[arg-type]
            self.notify(dev, Event.MTU)

    def set_mac(self, dev: Device, mac: int) -> None:
        """Change the address (dev_set_mac_address)."""
        if dev.mac != mac:
            old, dev.mac = dev.mac, mac
            dev.on_mac(self, old)  # type: ignore[arg-type]
            self.notify(dev, Event.MAC)

    def random_mac(self) -> int:
        """Make a locally administered unicast address (eth_random_addr)."""
        mac = self.rng.getrandbits(48) & ~(1 << 40) | (1 << 41)
        assert is_valid_ether_addr(mac)
        return mac

    # -- filters ----------------------------------------------------------------------------------------------------

    def promiscuity(self, dev: Device, delta: int) -> None:
        """Add to the promiscuity count and tell rtnetlink (dev_set_promiscuity)."""
        if self._promiscuity(dev, delta):
            self.set_rx_mode(dev)
        self.announce(dev)

    def _promiscuity(self, dev: Device, delta: int) -> bool:
        """Add to the promiscuity count; the driver hears of the first and the last (__dev_set_promiscuity)."""
        before = dev.promiscuity > 0
        dev.promiscuity = counted(dev.promiscuity, delta)
        if changed := (dev.promiscuity > 0) != before:
            dev.on_rx_flags(self, -1 if before else 1, 0)  # type: ignore[arg-type]
        return changed

    def allmulti(self, dev: Device, delta: int) -> None:
        """Add to the allmulti count (dev_set_allmulti)."""
        before = dev.allmulti > 0
        dev.allmulti = counted(dev.allmulti, delta)
        if (dev.allmulti > 0) != before:
            dev.on_rx_flags(self, 0, -1 if before else 1)  # type: ignore[arg-type]
            self.set_rx_mode(dev)

    def uc_add(self, dev: Device, mac: int) -> None:
        """Add a secondary unicast address (dev_uc_add)."""
        dev.uc.add(mac)
        self.set_rx_mode(dev)

    def uc_del(self, dev: Device, mac: int) -> None:
        """Drop one reference of a secondary unicast address (dev_uc_del)."""
        if dev.uc.remove(mac):
            self.set_rx_mode(dev)

    def mc_add(self, dev: Device, mac: int) -> None:
        """Join a link-layer group (dev_mc_add)."""
        dev.mc.add(mac)
        self.set_rx_mode(dev)

    def mc_del(self, dev: Device, mac: int) -> None:
        """Leave a link-layer group (dev_mc_del)."""
        if dev.mc.remove(mac):
            self.set_rx_mode(dev)

    def set_rx_mode(self, dev: Device) -> None:
        """Have a device that is up listen to what its lists hold (__dev_set_rx_mode).

        A device that stands on another has that one listen (vlan_dev_set_rx_mode, macvlan_set_mac_lists,
        ipvlan_set_multicast_mac_filter). Without a unicast filter, any secondary address makes it promiscuous.
        """
        if not dev.up:
            return
        wanted = bool(dev.uc) and not dev.unicast_filter
        if wanted != dev.uc_promisc:
            dev.uc_promisc = wanted
            self._promiscuity(dev, 1 if wanted else -1)
        dev.take_filter()
        if (lower := dev.lower) is not None:
            dev.uc.sync(lower.uc)
            dev.mc.sync(lower.mc)
            self.set_rx_mode(lower)
        dev.on_rx_mode()

    def _take_back(self, dev: Device) -> None:
        """Have the lower device listen no longer (dev_uc_unsync, dev_mc_unsync)."""
        if (lower := dev.lower) is not None:
            dev.uc.unsync(lower.uc)
            dev.mc.unsync(lower.mc)
            self.set_rx_mode(lower)


def counted(count: int, delta: int) -> int:
    """A count after one more or less: under zero it goes round to the largest number, from where it does not rise."""
    after = count + delta & LARGEST
    return after or (count if delta > 0 else 0)


def _tso_max_size(dev: Device) -> int:
    """Inherit the largest segmentation size when made (netif_inherit_tso_max); bridges and dummies start at 64 KiB."""
    if dev.lower is not None:
        return dev.lower.tso_max_size
    return 65_536 if dev.kind in ("bridge", "dummy") else 524_280
