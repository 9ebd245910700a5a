"""vlan: 802.1Q and 802.1ad sub-interfaces. Mirrors net/8021q/vlan_core.c, vlan_dev.c and vlan.c (6.1).

Tables: `lower.vlans` (tag ethertype and VID -> device), the ingress map (PCP -> priority) and the egress map
(priority -> PCP). A tagged frame is claimed before the lower device's receive handler sees it.
"""

from __future__ import annotations

from contextlib import suppress

from simvlan.devices import vlan_binding
from simvlan.devices.device import Device, Event, Kernel
from simvlan.devices.registration import VlanTable
from simvlan.errors import RtnlError
from simvlan.frame import DOT1Q, HOST, MCAST, OTHERHOST, Frame, PType
from simvlan.verdict import Drop, Verdict, Way, Why


class HeaderTagged(Frame):
    """A frame with tags left in its Ethernet header although they are off for every rule (reorder_hdr off).

    Packet sockets see them, behind an accelerated tag if there is one; the protocol is what follows them.
    """

    __slots__ = ("header",)

    header: bytes

    @classmethod
    def of(cls, frame: Frame, header: bytes) -> HeaderTagged:
        """Return *frame* with these octets between its addresses and its ethertype."""
        made = cls(frame.dst, frame.src, frame.proto, frame.payload, frame.accel, frame.ptype, frame.prio, frame.csum)
        made.header = header
        return made

    def __bytes__(self) -> bytes:
        octets = super().__bytes__()
        at = 16 if self.accel else 12
        return octets[:at] + self.header + octets[at:]

    def as_ptype(self, ptype: PType) -> Frame:
        """Return the frame with another packet type, the header as it is."""
        return HeaderTagged.of(super().as_ptype(ptype), self.header)

    def with_accel(self, accel: int) -> Frame:
        """Return the frame with another accelerated tag, the header as it is."""
        return HeaderTagged.of(super().with_accel(accel), self.header)

    def pop_inband(self) -> Frame | None:
        """Take the next tag off, the header as it is."""
        popped = super().pop_inband()
        return None if popped is None else HeaderTagged.of(popped, self.header)


class Vlan(Device):
    """One VLAN device; `proto` and `vid` are fixed for life."""

    kind = "vlan"
    stacked = True
    unicast_filter = True
    min_mtu = 0
    __slots__ = (
        "bridge_binding",
        "egress",
        "gvrp",
        "had_features",
        "ingress",
        "loose_binding",
        "lower_mac",
        "mvrp",
        "proto",
        "reorder_hdr",
        "tag",
        "vid",
    )

    lower: Device

    def __init__(self, name: str, netns: object, lower: Device, proto: int, vid: int) -> None:
        super().__init__(name, netns, lower.mac, lower.mtu)
        self.lower = lower
        self.proto = proto
        self.vid = vid
        self.tag = proto << 16 | vid
        self.had_features = self.fcoe, self.sg
        """The features when last told of."""
        self.reorder_hdr = True
        self.gvrp = self.mvrp = self.loose_binding = self.bridge_binding = False
        self.ingress: dict[int, int] = {}
        """PCP -> priority, only what was set to other than 0."""
        self.egress: dict[int, int] = {}
        """Priority -> PCP; entries once made stay, even at 0."""
        self.lower_mac = lower.mac
        """The lower device's address when last looked at (real_dev_addr)."""
        self.carrier = lower.carrier
        self.broadcast, self.multicast_flag, self.noarp = lower.broadcast, lower.multicast_flag, lower.noarp

    @property
    def hard_header_len(self) -> int:
        """Room for a tag besides, where the lower device cannot carry it aside (vlan_dev_init)."""
        return self.lower.hard_header_len + (0 if self.lower.vlan_offload else 4)

    @property
    def fcoe(self) -> bool:
        """Taken from a bridge that has it; nobody else passes it to his VLANs (vlan_dev_fix_features)."""
        return self.lower.kind == "bridge" and self.lower.fcoe

    @property
    def sg(self) -> bool:
        """Not on a dummy, which gives its VLANs nothing (vlan_features); else as the lower device has it."""
        return self.lower.kind != "dummy" and self.lower.sg

    # -- rules ------------------------------------------------------------------------------------------------------

    def claim(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Take a frame with this device's tag off the lower device (vlan_do_receive)."""
        if why:
            why(f"tag {'802.1Q' if self.proto == DOT1Q else '802.1ad'} {self.vid} is {self.name}'s")
        if not self.up:
            return Drop.VLAN_DEV_DOWN
        ptype = frame.ptype
        if ptype is OTHERHOST and frame.dst == self.mac:
            ptype = HOST
        elif ptype is MCAST:
            self.multicast += 1
        payload = frame.payload
        self.rx_packets += 1
        self.rx_bytes += len(payload)
        prio = self.ingress.get(frame.accel >> 13 & 7, 0) if self.ingress else 0
        taken = Frame(frame.dst, frame.src, frame.proto, payload, 0, ptype, prio, frame.csum)
        if not self.reorder_hdr or frame.__class__ is HeaderTagged:
            taken = self._with_header(taken, frame)
        return ((Way.RX, self, taken),)

    def _with_header(self, taken: Frame, frame: Frame) -> Frame:
        """Keep tags that are in the header already, and leave this one there with reorder_hdr off."""
        header = frame.header if isinstance(frame, HeaderTagged) else b""
        if not self.reorder_hdr and not self._handled_by_frames():
            header += frame.accel.to_bytes(4, "big")
        return HeaderTagged.of(taken, header) if header else taken

    def _handled_by_frames(self) -> bool:
        """Whether a bridge or macvlan port stands on this device: they never see a header with the tag in it."""
        return self.master is not None or any(upper.kind == "macvlan" for upper in self.uppers)

    def tx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Tag the frame and send it through the lower device (vlan_dev_hard_start_xmit)."""
        lower = self.lower
        if not self.reorder_hdr and frame.proto == self.proto:
            return ((Way.TX, lower, frame),)  # already tagged, whatever the VID
        accel = self.tag
        if self.egress:
            accel |= self.egress.get(frame.prio, 0) << 13
        return ((Way.TX, lower, frame.with_accel(accel)),)

    def head(self, frame: Frame) -> Frame:
        """With reorder_hdr off the stack's packets carry the tag in their octets (vlan_dev_hard_header).

        Unless the lower device takes tags aside: then they are none of the header's (vlan_passthru_hard_header).
        """
        if not self.reorder_hdr and not self.lower.vlan_offload:
            frame = frame.with_accel(self.tag | self.egress.get(frame.prio, 0) << 13).push_inband()
        return self.lower.head(frame)

    def declare(self, protocol: str, here: bool) -> None:
        """Declare the VID by GVRP or MVRP, or withdraw it; 802.1ad has neither (vlan_gvrp_request_join, _leave)."""
        if self.proto == DOT1Q and self.lower.vlans is not None:
            applicant = getattr(self.lower.vlans, protocol)
            (applicant.join if here else applicant.leave)(self.vid)

    # -- refusals ---------------------------------------------------------------------------------------------------

    def check_mtu(self, kernel: Kernel, mtu: int) -> None:
        """No more than the lower device carries (vlan_dev_change_mtu)."""
        if mtu > self.lower.mtu:
            raise RtnlError(34, None, self.path)

    # -- state ------------------------------------------------------------------------------------------------------

    def on_open(self, kernel: Kernel) -> None:
        """Come up on a lower device that is up, or on any with loose_binding (vlan_dev_open)."""
        lower = self.lower
        if not lower.up and not self.loose_binding:
            raise RtnlError(100, None, self.path)
        if self.mac != lower.mac and not self._inherit_mac(kernel):
            kernel.uc_add(lower, self.mac)
        self.lower_mac = lower.mac
        for protocol in ("gvrp", "mvrp"):
            if getattr(self, protocol):
                self.declare(protocol, True)
        if lower.carrier and not self.bridge_binding:
            kernel.set_carrier(self, True)

    def on_stop(self, kernel: Kernel) -> None:
        """Give back what was asked of the lower device (vlan_dev_stop)."""
        lower = self.lower
        if self.mac != lower.mac:
            kernel.uc_del(lower, self.mac)
        if not self.bridge_binding:
            kernel.set_carrier(self, False)

    def on_rx_flags(self, kernel: Kernel, promisc: int, allmulti: int) -> None:
        """Hold one reference on the lower device per flag, down or up (vlan_dev_change_rx_flags)."""
        if allmulti:
            kernel.allmulti(self.lower, allmulti)
        if promisc:
            kernel.promiscuity(self.lower, promisc)

    def on_mac(self, kernel: Kernel, old: int) -> None:
        """Keep the lower device listening to an address that is not its own (vlan_dev_set_mac_address)."""
        if self.up:
            if self.mac != self.lower.mac:
                kernel.uc_add(self.lower, self.mac)
            if old != self.lower_mac:
                kernel.uc_del(self.lower, old)

    def on_unregister(self, kernel: Kernel) -> None:
        """Give the tag back to the lower device (unregister_vlan_dev)."""
        lower = self.lower
        if lower.vlans is None:
            return
        for protocol in ("mvrp", "gvrp"):
            if getattr(self, protocol):
                self.declare(protocol, False)
        lower.vlans.pop(self.tag, None)
        lower.uppers.remove(self)
        kernel.announce(lower)
        if self.bridge_binding and lower.kind == "bridge":
            vlan_binding.unlinked(lower)  # type: ignore[arg-type]
        if not lower.vlans:
            table, lower.vlans = lower.vlans, None
            table.close(kernel, lower)

    # -- the lower device changes (vlan_device_event) ---------------------------------------------------------------

    def on_lower(self, kernel: Kernel, lower: Device, event: Event) -> None:
        """Follow the lower device."""
        reaction = _REACTIONS.get(event)
        if reaction is not None:
            reaction(self, kernel)

    def _follow_carrier(self, kernel: Kernel) -> None:
        """Have a carrier with the lower device, unless bound to ports of a bridge (vlan_stacked_transfer_operstate)."""
        if not self.bridge_binding:
            kernel.set_carrier(self, self.lower.carrier)

    def _lower_up(self, kernel: Kernel) -> None:
        """Every VLAN comes up with its lower device, even one that was taken down by hand."""
        if self.up:
            return
        if not self.loose_binding:
            with suppress(RtnlError):
                kernel.set_up(self)
        self._follow_carrier(kernel)

    def _lower_down(self, kernel: Kernel) -> None:
        if self.up and not self.loose_binding:
            kernel.set_down(self)
            self._follow_carrier(kernel)

    def _lower_mtu(self, kernel: Kernel) -> None:
        if self.mtu > self.lower.mtu:
            kernel.set_mtu(self, self.lower.mtu)

    def _lower_mac(self, kernel: Kernel) -> None:
        """Follow the address unless a person chose another; while down, later (vlan_sync_address)."""
        new = self.lower.mac
        if not self.up or self.lower_mac == new:
            return
        if not self._inherit_mac(kernel):
            if self.mac == new:
                kernel.uc_del(self.lower, self.mac)
            elif self.mac == self.lower_mac:
                kernel.uc_add(self.lower, self.mac)
        self.lower_mac = new

    def _inherit_mac(self, kernel: Kernel) -> bool:
        """Take the lower device's address, if the present one was taken from it too (vlan_dev_inherit_address)."""
        if self.mac_assigned:
            return False
        kernel.set_mac(self, self.lower.mac)
        return True

    def _lower_features(self, kernel: Kernel) -> None:
        """Take over the largest segmentation size, and tell of other features of its own (vlan_transfer_features)."""
        self.tso_max_size = self.lower.tso_max_size
        if self.had_features != (self.fcoe, self.sg):
            self.had_features = self.fcoe, self.sg
            kernel.notify(self, Event.FEATURES)

    def _lower_gone(self, kernel: Kernel) -> None:
        kernel.unregister(self)


_REACTIONS = {
    Event.CHANGE: Vlan._follow_carrier,
    Event.UP: Vlan._lower_up,
    Event.DOWN: Vlan._lower_down,
    Event.MTU: Vlan._lower_mtu,
    Event.MAC: Vlan._lower_mac,
    Event.FEATURES: Vlan._lower_features,
    Event.UNREGISTER: Vlan._lower_gone,
}


def in_turn(lower: Device, event: Event) -> list[Vlan]:
    """The VLAN devices above a device by protocol, 802.1Q before 802.1ad, and number (vlan_group_for_each_dev).

    They go down the other way round: each is put before the others on the list of those to close.
    """
    return [vlan for _, vlan in sorted((lower.vlans or {}).items(), reverse=event is Event.DOWN)]


def attach(kernel: Kernel, vlan: Vlan) -> None:
    """Put a new device into its lower device's table (register_vlan_dev)."""
    lower = vlan.lower
    if lower.vlans is None:
        lower.vlans = VlanTable(kernel, lower)
    lower.vlans[vlan.tag] = vlan
    lower.uppers.append(vlan)
    kernel.announce(lower)
    if vlan.bridge_binding and lower.kind == "bridge":
        vlan_binding.linked(lower, vlan)  # type: ignore[arg-type]
    kernel.fire(vlan)
