"""veth: what one end transmits, the other receives. Mirrors drivers/net/veth.c (6.1, 6.18).

A frame enters the peer through the backlog, with the peer's address deciding whom it is for; both ends' counters move
together. Carrier is up while both ends are.
"""

from __future__ import annotations

from simvlan.devices.device import Device, Kernel
from simvlan.frame import ETH_HLEN, Frame
from simvlan.gro import Gro
from simvlan.segmentation import makes_segments
from simvlan.verdict import Drop, Verdict, Way, Why

_BACKLOG, _NAPI = Way.BACKLOG, Way.NAPI


class Veth(Device):
    """One end of a pair; `peer` is the other, None only while the pair is taken apart."""

    kind = "veth"
    vlan_offload = True
    __slots__ = ("gro", "peer")

    def __init__(self, name: str, netns: object, mac: int = 0, mtu: int = 1500) -> None:
        super().__init__(name, netns, mac, mtu)
        self.peer: Veth | None = None
        self.gro: Gro | None = None
        """Receive offload, where it is on and the network has super-packets."""

    @property
    def link(self) -> Device | None:
        """The other end."""
        return self.peer

    @property
    def linked(self) -> bool:
        """An end without a peer names index 0."""
        return self.peer is None or self.peer.ifindex != self.ifindex

    def tx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Hand the frame to the peer (veth_xmit)."""
        peer = self.peer
        if peer is None:
            return Drop.NO_CARRIER
        size = 14 + len(frame.payload)
        if not peer.up or size > peer.mtu + 18:
            refused = peer.forwardable(frame)
            if refused is not None:
                peer.rx_dropped += 1
                return refused
        peer.rx_packets += 1
        if peer.gro is not None and not makes_segments(self):  # veth_skb_is_eligible_for_gro
            self.tx_bytes -= ETH_HLEN  # both ends count here without the header
            peer.rx_bytes += size - ETH_HLEN
            return ((_NAPI, peer, frame.received_by(peer.mac)),)
        peer.rx_bytes += size
        return ((_BACKLOG, peer, frame.received_by(peer.mac)),)

    def on_open(self, kernel: Kernel) -> None:
        """Both ends up: carrier on both (veth_open)."""
        if self._outside(kernel, True):
            return
        plugged = self.wire is None or self.wire.plugged
        if plugged and self.peer is not None and self.peer.up and not self.peer.leads_out:
            kernel.set_carrier(self, True)
            kernel.set_carrier(self.peer, True)

    def on_stop(self, kernel: Kernel) -> None:
        """One end down: no carrier on either (veth_close)."""
        kernel.set_carrier(self, False)
        if not self._outside(kernel, False) and self.peer is not None and not self.peer.leads_out:
            kernel.set_carrier(self.peer, False)

    def _outside(self, kernel: Kernel, up: bool) -> bool:
        """Whether the wire leads out of the simulation; the end there is told, and carrier depends on it alone."""
        if not self.leads_out:
            return False
        kernel.set_carrier(self, up and self.wire.plugged)
        self.wire.end_up(up)
        return True

    def on_unregister(self, kernel: Kernel) -> None:
        """Deleting one end deletes the other (veth_dellink)."""
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.peer = None
            kernel.unregister(peer)


def join(a: Veth, b: Veth) -> None:
    """Make two ends a pair."""
    a.peer, b.peer = b, a
