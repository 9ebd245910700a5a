"""What a port needs of a real device, and the watch on its state: one rtnetlink socket per endpoint."""

from __future__ import annotations

import socket
import struct
from typing import Protocol

from simvlan.frame import Frame
from simvlan.live.places import IFF_LOWER_UP, IFF_UP, flags_of, index_of
from simvlan.verdict import Drop

NETLINK_ROUTE, RTMGRP_LINK = 0, 1
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, IFLA_STATS64 = 16, 17, 18, 23


class Gone(Exception):  # noqa: N818 - an event
    """The real device does not exist any more."""


class Refused(Exception):  # noqa: N818 - an event
    """The real device does not take this frame, now or ever; `drop` says why."""

    def __init__(self, drop: Drop) -> None:
        self.drop = drop
        super().__init__(drop.name)


class Endpoint(Protocol):
    """A real device, from a port's side. Everything is non-blocking."""

    label: str
    """As on the command line: `tap:tap0`."""
    state: LinkState

    def fileno(self) -> int:
        """The descriptor that frames come from and go to."""

    def receive(self) -> Frame | None:
        """The next frame, None when there is none. Raises Gone."""

    def transmit(self, frame: Frame) -> bool:
        """Send a frame; False when the device does not take one now (wait). Raises Gone or Refused."""

    def lost(self) -> int:
        """How many frames the kernel gave up so far because nobody read them in time."""

    def set_carrier(self, carrier: bool) -> None:
        """Show the simulated device's state at the real one, where that can be."""

    def moved(self) -> bool:
        """Whether a device that left its namespace is in another one; `state` is then watched there."""

    def close(self) -> None:
        """Take away what was made."""


class LinkState:
    """Whether a real device is there and up, kept true by rtnetlink. Made in the device's own namespace."""

    def __init__(self, name: str) -> None:
        self.index = index_of(name)
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._sock.bind((0, RTMGRP_LINK))
        self._sock.setblocking(False)
        self.there = self.index != 0
        self.up = self.there and bool(flags_of(name) & IFF_UP)
        self.carrier = self.up
        self._asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._lost_before = self._tx_dropped()

    def lost(self) -> int:
        """Frames that the device gave up sending since we stand there (tx_dropped)."""
        return max(0, self._tx_dropped() - self._lost_before)

    def _ask(self) -> bytes:
        """The device as rtnetlink describes it now."""
        head = struct.pack("IHHII", 32, RTM_GETLINK, 1, 1, 0)  # 1: NLM_F_REQUEST
        self._asking.send(head + struct.pack("BBHiII", 0, 0, 0, self.index, 0, 0))
        return self._asking.recv(65_536)

    def _tx_dropped(self) -> int:
        if not self.there or self._asking.fileno() < 0:
            return 0
        data = self._ask()
        at = 32
        while at + 4 <= len(data):
            size, kind = struct.unpack_from("HH", data, at)
            if kind == IFLA_STATS64:
                return int(struct.unpack_from("8Q", data, at + 4)[7])
            at += max(size + 3 & ~3, 4)
        return 0

    def fileno(self) -> int:
        """The descriptor that news comes by."""
        return self._sock.fileno()

    def hear(self) -> None:
        """Take in the news that has come."""
        while True:
            try:
                self._read(self._sock.recv(65_536))
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: some was lost
                self._read(self._ask())

    def _read(self, data: bytes) -> None:
        at = 0
        while at + 32 <= len(data):
            size, kind = struct.unpack_from("IH", data, at)
            index, flags = struct.unpack_from("iI", data, at + 20)
            family = data[at + 16]
            if kind in (RTM_NEWLINK, RTM_DELLINK) and index == self.index and family == 0:
                self.there = self.there and kind == RTM_NEWLINK
                self.up = self.there and bool(flags & IFF_UP)
                self.carrier = self.up and bool(flags & IFF_LOWER_UP)
            at += max(size + 3 & ~3, 16)

    def close(self) -> None:
        """Stop watching."""
        self._sock.close()
        self._asking.close()
