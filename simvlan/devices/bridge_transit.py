"""One frame on its way through a bridge: what the rules pass along (struct br_input_skb_cb)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices.device import Device
from simvlan.frame import Frame
from simvlan.verdict import Drop, Emit, Verdict, Why

if TYPE_CHECKING:
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.stack.packet import Packet


class Transit:
    """A frame accepted from a port, or from the bridge's own stack (port None).

    Attributes:
        dev: the device it came in by.
        vid: its VLAN, 0 while filtering is off.
        packet: the IPv4 packet in it, where br_netfilter shows it to filters.
        replied: the bridge answered it or keeps it from suppressing ports (proxyarp_replied).
        igmp: it is IGMP or MLD; mrouters_only: only members and routers need it.
        emits: where it goes so far; refused: the last reason why a copy did not go.
    """

    __slots__ = (
        "dev", "emits", "frame", "igmp", "mrouters_only", "now", "packet", "port", "refused", "replied", "vid", "why"
    )  # fmt: skip

    def __init__(
        self, port: BridgePort | None, dev: Device, frame: Frame, vid: int, now: int, why: Why,
        packet: Packet | None = None,
    ) -> None:  # fmt: skip
        self.port = port
        self.dev = dev
        self.frame = frame
        self.vid = vid
        self.now = now
        self.why = why
        self.packet = packet
        self.replied = self.igmp = self.mrouters_only = False
        self.emits: list[Emit] = []
        self.refused = Drop.NO_TX_TARGET

    def verdict(self) -> Verdict:
        """Return where it goes, or why nowhere."""
        return self.emits or self.refused
