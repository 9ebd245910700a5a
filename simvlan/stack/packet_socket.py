"""Packet sockets bound to an ethertype: what reaches a device's protocols. Mirrors net/packet/af_packet.c."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from simvlan.frame import Frame
from simvlan.stack.sockets import refusal

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.netstack import Stack


class PacketSocket:
    """A packet socket for one ethertype, on one device or all: frames as they reach the protocols."""

    def __init__(self, stack: Stack, dev: Device | None, proto: int) -> None:
        self.stack = stack
        self.dev = dev
        self.proto = proto
        self.queue: deque[tuple[int, Device, Frame]] = deque()
        self.on_receive: Callable[[PacketSocket], None] | None = None

    def send(self, frame: Frame, dev: Device | None = None) -> None:
        """Transmit a frame as it is: EMSGSIZE, ENETDOWN or ENOBUFS where the kernel says so."""
        out = dev or self.dev
        if out is None:
            raise refusal(errno.ENXIO)
        if not out.up:
            raise refusal(errno.ENETDOWN)
        if len(frame) > out.mtu + out.hard_header_len + (4 if frame.proto == 0x8100 else 0):
            raise refusal(errno.EMSGSIZE)
        if self.stack.kernel.send(out, frame) is not None:
            raise refusal(errno.ENOBUFS)

    def got(self, dev: Device, frame: Frame) -> None:
        """Queue a frame and wake the owner."""
        self.queue.append((self.stack.kernel.now, dev, frame))
        if self.on_receive is not None:
            self.on_receive(self)

    def close(self) -> None:
        """Hear nothing more."""
        self.stack.packet_closed(self)
