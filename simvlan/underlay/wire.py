"""Where an underlay lies: on the two directions of a veth pair, one end of which is the NIC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.frame import Frame
from simvlan.links import Arrivals, Cable, CableOptions, Wire
from simvlan.underlay.rules import Altered, Underlay, described
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.veth import Veth
    from simvlan.network import Network


class UnderlayWire(Wire):
    """One direction of a cable that an underlay's rule is asked about, frame by frame."""

    def __init__(self, wire: Wire, rule: Underlay, inward: bool) -> None:
        self.rule, self.inward = rule, inward
        super().__init__(wire.options, wire.rng)
        self.plugged = wire.plugged

    def change(self, options: CableOptions) -> None:
        """Take other options; every frame is still asked about."""
        super().change(options)
        self.ideal, self.constant_ns = False, 0

    def admit(self, frame: Frame, now: int, why: Why = None) -> Drop | Arrivals:
        """Let a frame onto the cable, changed or not, or not at all."""
        if not self.plugged:
            return Drop.NO_CARRIER
        answer = self.rule.inbound(frame, now) if self.inward else self.rule.outbound(frame, now)
        if isinstance(answer, Drop):
            return answer
        if why is not None:
            why(described(self.rule))
        arrivals = super().admit(answer.frame if isinstance(answer, Altered) else frame, now)
        if isinstance(arrivals, Drop) or not isinstance(answer, Altered):
            return arrivals
        return ((answer.lost, frame), *arrivals)


def lay(network: Network, nic: Veth, rule: Underlay) -> None:
    """Put an underlay under a NIC, in place of any other; a cable that lies there keeps its options."""
    if nic.peer is None:
        raise ValueError(f"{nic.path} has no peer: an underlay lies between the ends of a veth pair")
    if nic.wire is None or nic.peer.wire is None:
        Cable(network, nic)
    nic.wire = UnderlayWire(nic.wire, rule, inward=False)
    nic.peer.wire = UnderlayWire(nic.peer.wire, rule, inward=True)


def underlay_of(dev: Veth) -> Underlay | None:
    """The underlay at either end of a veth pair, if there is one."""
    return dev.wire.rule if isinstance(dev.wire, UnderlayWire) else None
