"""One packet socket per network namespace, that sees every device of it from the device's first moment.

An ETH_P_ALL socket that is bound to no device gets what a bound one on each device would (net/core/dev.c: ptype_all),
in the namespace's true order, sets no promiscuity, and cannot miss the frames between a device's creation and a bind.
Names come from RTM_NEWLINK; the outer tag comes back from PACKET_AUXDATA.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from typing import TypeVar

from .syscalls import setns

Record = tuple[int, str, str]  # timestamp in ns, "in" or "out", octets in hexadecimal

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_RCVBUF = 32 << 20
_VLAN_VALID, _TPID_VALID = 0x10, 0x40
_PACKET_OUTGOING = 4
_RTMGRP_LINK, _RTM_NEWLINK, _RTM_GETLINK, _IFLA_IFNAME = 1, 16, 18, 3
_NLM_F_REQUEST_DUMP = 0x301
_ANCILLARY = socket.CMSG_SPACE(20) + socket.CMSG_SPACE(16)
_FRAME_MAX = 65536 + 256

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


def _link_names(data: bytes) -> list[tuple[int, str]]:
    """(index, name) of every RTM_NEWLINK in a netlink datagram; a bridge's port notices (AF_BRIDGE) are not links."""
    found = []
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if kind == _RTM_NEWLINK and data[16] == socket.AF_UNSPEC:
            (index,) = struct.unpack_from("=i", data, 20)
            found.append((index, _attribute(data[32:length], _IFLA_IFNAME).rstrip(b"\0").decode()))
        data = data[(length + 3) & ~3 :]
    return found


def _attribute(data: bytes, wanted: int) -> bytes:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if kind == wanted:
            return data[4:length]
        data = data[(length + 3) & ~3 :]
    return b""


def _retag(frame: bytes, auxdata: bytes) -> bytes:
    """Put the tag that the kernel keeps beside the octets back where the wire has it."""
    status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", auxdata[:20])
    if not status & _VLAN_VALID:
        return frame
    tpid = tpid if status & _TPID_VALID else 0x8100
    return frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]


class Tap:
    """Records every frame of one namespace, by device name."""

    def __init__(self, ns_fd: int, log: Callable[[str], list[Record]]) -> None:
        """`log(device)` gives the list that a device's frames belong in."""
        self._log = log
        self._names: dict[int, str] = {}
        self._packets, self._links = within(ns_fd, lambda: (_packet_socket(), _link_socket()))
        self._learn_names()

    def filenos(self) -> tuple[int, int]:
        """What to poll."""
        return self._packets.fileno(), self._links.fileno()

    def pump(self) -> int:
        """Take what has come; how many frames that was. Frames first: a later renaming does not concern them."""
        frames = 0
        while self._take_frame():
            frames += 1
        self._learn_names()
        return frames

    def close(self) -> None:
        """Let the namespace go: an open socket would keep it alive."""
        self.pump()
        self._packets.close()
        self._links.close()

    def _take_frame(self) -> bool:
        try:
            frame, ancillary, _, address = self._packets.recvmsg(_FRAME_MAX, _ANCILLARY)
        except BlockingIOError:
            return False
        except OSError:  # ENETDOWN is reported once when a device goes down; the socket lives on
            return True
        stamp = 0
        for level, kind, data in ancillary:
            if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
                frame = _retag(frame, data)
            elif level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("=qq", data)
                stamp = seconds * 1_000_000_000 + nanoseconds
        way = "out" if address[2] == _PACKET_OUTGOING else "in"
        self._log(self._name(socket.if_nametoindex, address[0])).append((stamp, way, frame.hex()))
        return True

    def _name(self, _unused: object, device: str) -> str:
        return device

    def _learn_names(self) -> None:
        while True:
            try:
                data = self._links.recv(1 << 20)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: notices lost; the frames still carry their device
                continue
            for index, name in _link_names(data):
                self._names[index] = name
                self._log(name)
