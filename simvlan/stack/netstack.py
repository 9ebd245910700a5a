"""One namespace's protocols: the place where frames that passed every receive handler arrive.

Mirrors the protocol delivery at the end of __netif_receive_skb_core.
"""

from __future__ import annotations

from typing import Any

from simvlan.devices.device import Device, Event
from simvlan.frame import Frame
from simvlan.verdict import Drop, Why


class Stack:
    """The protocols of one namespace. *kernel* performs: now, at(), originate(dev, frame), mc_add/mc_del, rng."""

    def __init__(self, netns: Any, kernel: Any) -> None:
        self.netns = netns
        self.kernel = kernel

    def receive(self, dev: Device, frame: Frame, why: Why) -> Drop | None:
        """Deliver a frame to the protocols; the drop when nobody took it, None when somebody did."""
        return Drop.UNHANDLED_PROTO

    def device_event(self, dev: Device, event: Event) -> None:
        """React to a device coming up, going down, changing or leaving."""
