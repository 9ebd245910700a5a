"""One packet socket per network namespace, that sees every device of it from the device's first moment.

An ETH_P_ALL socket that is bound to no device gets what a bound one on each device would (net/core/dev.c: ptype_all),
in the namespace's true order, sets no promiscuity, and cannot miss the frames between a device's creation and a bind.
Names come from RTM_NEWLINK.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from typing import TypeVar

from .recvmsg import Received, Receiver
from .syscalls import setns

Record = tuple[int, str, str]  # timestamp in ns, "in" or "out", octets in hexadecimal

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_RCVBUF = 32 << 20
_RTMGRP_LINK, _RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK, _IFLA_IFNAME = 1, 16, 17, 18, 3
_NLM_F_REQUEST_DUMP = 0x301

T = TypeVar("T")


def within(ns_fd: int, action: Callable[[], T]) -> T:
    """Do `action` inside another network namespace; sockets made there stay there."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        setns(ns_fd)
        return action()
    finally:
        setns(home)
        os.close(home)


def _packet_socket() -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ALL))
    sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RCVBUF)
    return sock


def _link_socket() -> socket.socket:
    """Asks for the links there are and subscribes to those to come."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RCVBUF)
    sock.bind((0, _RTMGRP_LINK))
    sock.send(struct.pack("=IHHII BxHiII", 32, _RTM_GETLINK, _NLM_F_REQUEST_DUMP, 1, 0, 0, 0, 0, 0, 0))
    return sock


def _link_names(data: bytes) -> list[tuple[int, str, bool]]:
    """(index, name, there) of every RTM_NEWLINK and RTM_DELLINK in a netlink datagram.

    A bridge's port notices (AF_BRIDGE) are not links.
    """
    found = []
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if kind in (_RTM_NEWLINK, _RTM_DELLINK) and data[16] == socket.AF_UNSPEC:
            (index,) = struct.unpack_from("=i", data, 20)
            name = _attribute(data[32:length], _IFLA_IFNAME).rstrip(b"\0").decode()
            found.append((index, name, kind == _RTM_NEWLINK))
        data = data[(length + 3) & ~3 :]
    return found


def _attribute(data: bytes, wanted: int) -> bytes:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if kind == wanted:
            return data[4:length]
        data = data[(length + 3) & ~3 :]
    return b""


class Tap:
    """Records every frame of one namespace, by device name."""

    def __init__(self, ns_fd: int, log: Callable[[str], list[Record]]) -> None:
        """`log(device)` gives the list that a device's frames belong in."""
        self._log = log
        self._names: dict[int, str] = {}
        self.devices: dict[int, str] = {}
        """The devices there are now, by index; `_names` also knows those that were."""
        self._receiver = Receiver()
        self._packets, self._links = within(ns_fd, lambda: (_packet_socket(), _link_socket()))
        self.pump_names()

    def filenos(self) -> tuple[int, int]:
        """What to poll."""
        return self._packets.fileno(), self._links.fileno()

    def pump(self) -> int:
        """Take what has come; how many frames that was. Frames first: a later renaming does not concern them."""
        frames = self.pump_frames()
        self.pump_names()
        return frames

    def pump_frames(self) -> int:
        """Take the frames that have come; how many that was."""
        frames = 0
        while frame := self._receiver.receive(self._packets.fileno()):
            self._record(frame)
            frames += 1
        return frames

    def close(self) -> None:
        """Let the namespace go: an open socket would keep it alive."""
        self.pump()
        self._packets.close()
        self._links.close()

    def _record(self, frame: Received) -> None:
        if frame.ifindex not in self._names:
            self.pump_names()
        device = self._names.get(frame.ifindex, f"if{frame.ifindex}")
        way = "out" if frame.outgoing else "in"
        self._log(device).append((frame.timestamp_ns, way, frame.octets.hex()))

    def pump_names(self) -> None:
        """Take the notices of new and renamed links."""
        while data := self._next_notice():
            for index, name, there in _link_names(data):
                if not there:
                    self.devices.pop(index, None)
                    continue
                self._names[index] = self.devices[index] = name
                self._log(name)

    def _next_notice(self) -> bytes:
        try:
            return self._links.recv(1 << 20)
        except OSError:  # EAGAIN: none waiting
            return b""
