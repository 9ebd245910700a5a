"""One port of a bridge: its options, its state, and the quick way through for what the bridge already knows.

Mirrors struct net_bridge_port and br_handle_frame's entry (net/bridge/br_input.c, 6.1). `rx` forwards a unicast frame
between known addresses at once; everything else is the bridge's `handle`, which decides the same in full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices.bridge_fdb import FdbEntry
from simvlan.devices.bridge_mcast_port import PortSnooping
from simvlan.devices.bridge_stp_port import PortStp, State
from simvlan.devices.bridge_vlan import VlanGroup
from simvlan.devices.device import Device, Event, Kernel
from simvlan.frame import GROUP, Frame
from simvlan.verdict import Drop, Verdict, Way, Why

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge

_TX = Way.TX


class BridgePort:
    """A device as a port of a bridge; the device's receive handler. Options are named as iproute2 names them."""

    __slots__ = (
        "bcast_flood",
        "bridge",
        "cost_by_user",
        "dev",
        "entries",
        "fastleave",
        "flood",
        "group_fwd_mask",
        "guard",
        "hairpin",
        "isolated",
        "learning",
        "locked",
        "mcast_flood",
        "mcast_to_unicast",
        "neigh_suppress",
        "number",
        "open",
        "promisc",
        "proxy_arp",
        "proxy_arp_wifi",
        "quick",
        "root_block",
        "snooping",
        "state",
        "stp",
        "vlans",
    )

    def __init__(self, bridge: Bridge, dev: Device, number: int) -> None:
        self.bridge = bridge
        self.dev = dev
        self.number = number
        self.state = State.DISABLED
        self.learning = self.flood = self.mcast_flood = self.bcast_flood = True
        self.hairpin = self.isolated = self.locked = self.neigh_suppress = False
        self.proxy_arp = self.proxy_arp_wifi = self.mcast_to_unicast = False
        self.guard = self.root_block = self.fastleave = False
        self.group_fwd_mask = 0
        self.cost_by_user = False
        """A path cost set by hand no longer follows the device (BR_ADMIN_COST)."""
        self.promisc = False
        """Whether the bridge made the device promiscuous (BR_PROMISC)."""
        self.vlans = VlanGroup()
        self.stp = PortStp(self)
        self.snooping = PortSnooping(self)
        self.entries: dict[int, FdbEntry] = bridge.fdb.entries
        self.quick = 0
        """Whether `rx` may forward by itself: 0 no, 1 with filtering off, 2 with filtering on."""
        self.open = False
        """Whether frames may leave here (state forwarding)."""

    def __repr__(self) -> str:
        return f"<port {self.number} {self.dev.path} {self.state.name.lower()}>"

    def set_state(self, state: State) -> None:
        """Enter a spanning tree state (br_set_state)."""
        self.state = state
        self.refresh()

    def refresh(self) -> None:
        """Work out again what the quick way may do, after any change of options or states."""
        self.open = self.state is State.FORWARDING
        bridge = self.bridge
        plain = self.open and self.learning and not self.locked and not bridge.promiscuity and not bridge.answers_arp
        plain = plain and not bridge.filtered
        self.quick = 0 if not plain else 2 if bridge.vlan_filtering else 1

    # -- rules ------------------------------------------------------------------------------------------------------

    def rx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Forward between known stations at once, or ask the bridge (br_handle_frame)."""
        quick = self.quick
        src = frame.src
        dst = frame.dst
        if not quick or why is not None or (src | dst) & GROUP:
            return self.bridge.handle(self, frame, now, why)
        if quick == 2:
            return self._rx_filtered(frame, src, dst, now)
        source = self.entries.get(src << 12)
        target = self.entries.get(dst << 12)
        if source is None or target is None or source.out is not self:
            return self.bridge.handle(self, frame, now, why)
        out = target.out
        if out is None or out is self or not out.open or (self.isolated and out.isolated):
            return self.bridge.handle(self, frame, now, why)
        dev = out.dev
        if (len(frame.payload) > dev.mtu + 4 and frame.csum <= 1) or not dev.up:
            return self.bridge.handle(self, frame, now, why)
        source.updated = target.used = now
        return ((_TX, dev, frame),)

    def _rx_filtered(self, frame: Frame, src: int, dst: int, now: int) -> Verdict:
        """Do the same where VLANs are filtered: both ports must be members of the frame's VLAN."""
        tpid = self.bridge.vlan_protocol << 16
        accel = frame.accel or tpid | self.vlans.pvid
        vid = accel - tpid & 0xFFFF_0FFF
        source = self.entries.get(src << 12 | vid)
        target = self.entries.get(dst << 12 | vid)
        if source is None or target is None or source.out is not self or vid not in self.vlans.vids:
            return self.bridge.handle(self, frame, now, None)
        out = target.out
        if out is None or out is self or not out.open or (self.isolated and out.isolated) or dst == self.bridge.mac:
            return self.bridge.handle(self, frame, now, None)
        dev = out.dev
        untagged = out.vlans.vids.get(vid)
        if untagged is None or (len(frame.payload) > dev.mtu + 4 and frame.csum <= 1) or not dev.up:
            return self.bridge.handle(self, frame, now, None)
        source.updated = target.used = now
        accel = 0 if untagged else accel
        return ((_TX, dev, frame if accel == frame.accel else frame.with_accel(accel)),)

    def deferred(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Refuse: a bridge port defers nothing."""
        return Drop.DEV_READY

    before_vlans = True

    def on_event(self, kernel: Kernel, dev: Device, event: Event) -> None:
        """Hear of a change of the port's device (br_device_event)."""
        self.bridge.on_port_event(self, event)
