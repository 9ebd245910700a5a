"""dummy and lo: devices without a wire. Mirrors drivers/net/dummy.c and drivers/net/loopback.c."""

from __future__ import annotations

from simvlan.devices.device import Device, Kernel
from simvlan.frame import Frame
from simvlan.verdict import Drop, Verdict, Way, Why


class Dummy(Device):
    """Counts what it is given and forgets it (dummy_xmit)."""

    kind = "dummy"
    min_mtu = 0
    max_mtu = 0
    __slots__ = ()

    def __init__(self, name: str, netns: object, mac: int = 0, mtu: int = 1500) -> None:
        super().__init__(name, netns, mac, mtu)
        self.noarp = True
        self.multicast_flag = False

    def tx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Swallow the frame; sending to a dummy succeeds."""
        return ((Drop.DUMMY, self, frame),)

    def on_open(self, kernel: Kernel) -> None:
        """Tell a wire that leads out of the simulation, if somebody gave it one."""
        if self.leads_out:
            self.wire.end_up(True)

    def on_stop(self, kernel: Kernel) -> None:
        """Tell it so too."""
        if self.leads_out:
            self.wire.end_up(False)


class Loopback(Device):
    """What it sends it receives (loopback_xmit)."""

    kind = ""
    netns_local = True
    min_mtu = 0
    max_mtu = 0xFFFF_FFFF
    __slots__ = ()

    def __init__(self, name: str, netns: object, mac: int = 0, mtu: int = 65_536) -> None:
        super().__init__(name, netns, mac, mtu)
        self.broadcast = False
        self.multicast_flag = False

    def tx(self, frame: Frame, now: int, why: Why) -> Verdict:
        """Receive the frame on the same device; both directions are counted once its header is off."""
        self.rx_packets += 1
        self.rx_bytes += len(frame.payload)
        self.tx_bytes -= 14  # who called us counts the header too
        return ((Way.BACKLOG, self, frame.received_by(self.mac)),)
