"""Packet sockets bound to an ethertype: what reaches a device's protocols. Mirrors net/packet/af_packet.c."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvlan.frame import DOT1Q, Frame
from simvlan.stack.family import refusal
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack


def transmit(kernel: Any, dev: Device, frame: Frame) -> None:
    """Send a frame as it is (packet_snd).

    Raises:
        OSError: ENETDOWN; EMSGSIZE beyond the MTU (a tag may be on top); ENETUNREACH for IPv6 on an ipvlan without it;
            ENOBUFS where the driver or the queue says that it is lost: a bridge and a dummy never do.
    """
    if not dev.up:
        raise refusal(errno.ENETDOWN)
    if len(frame) > dev.mtu + dev.hard_header_len + (4 if frame.proto == DOT1Q else 0):
        raise refusal(errno.EMSGSIZE)
    drop = kernel.send(dev, frame)
    if drop is Drop.IPVLAN_NO_IPV6:
        raise refusal(errno.ENETUNREACH)
    if drop is not None and (dev.stacked or dev.kind == "veth" or drop is Drop.QDISC_DROP):
        raise refusal(errno.ENOBUFS)


class PacketSocket:
    """A packet socket for one ethertype, on one device or all: frames as they reach the protocols."""

    def __init__(self, stack: Stack, dev: Device | None, proto: int) -> None:
        self.stack = stack
        self.dev = dev
        self.proto = proto
        self.queue: deque[tuple[int, Device, Frame]] = deque()
        self.on_receive: Callable[[PacketSocket], None] | None = None

    def send(self, frame: Frame, dev: Device | None = None) -> None:
        """Transmit a frame as it is: an OSError where the kernel says so (see `transmit`)."""
        out = dev or self.dev
        if out is None:
            raise refusal(errno.ENXIO)
        transmit(self.stack.kernel, out, frame)

    def got(self, dev: Device, frame: Frame) -> None:
        """Queue a frame and wake the owner."""
        self.queue.append((self.stack.kernel.now, dev, frame))
        if self.on_receive is not None:
            self.on_receive(self)

    def close(self) -> None:
        """Hear nothing more."""
        self.stack.packet_closed(self)
