"""One packet socket per network namespace, that sees every device of it from the device's first moment.

An ETH_P_ALL socket that is bound to no device gets what a bound one on each device would (net/core/dev.c: ptype_all),
in the namespace's true order, sets no promiscuity, and cannot miss the frames between a device's creation and a bind.
Names come from RTM_NEWLINK.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from .recorder import Memory, Recorder
from .recvmsg import AT_ONCE, Received, receiver
from .syscalls import setns

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_RCVBUF = 32 << 20
_RTMGRP_LINK, _RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 1, 16, 17, 18
_IFLA_ADDRESS, _IFLA_IFNAME = 1, 3
_IFF_UP, _IFF_RUNNING, _IFF_LOWER_UP = 1, 0x40, 0x10000
_NLM_F_REQUEST_DUMP = 0x301
_FLOOD = 10_000  # so many frames in a row must not keep the agent from everything else
_NOTICE_MAX = 1 << 16
_LAST_LOOKS = 3  # a device that goes down meanwhile ends a call early (ENETDOWN); a flood has no end

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
    _ask_for_links(sock)
    return sock


def _ask_for_links(sock: socket.socket) -> None:
    sock.send(struct.pack("=IHHII BxHiII", 32, _RTM_GETLINK, _NLM_F_REQUEST_DUMP, 1, 0, 0, 0, 0, 0, 0))


@dataclass(frozen=True)
class _Link:
    """One RTM_NEWLINK or RTM_DELLINK."""

    gone: bool
    index: int
    flags: int
    name: str
    mac: str

    @property
    def carrier_pending(self) -> bool:
        """Whether linkwatch has still to make of the carrier what the device shows."""
        return bool(self.flags & _IFF_UP) and (not self.flags & _IFF_RUNNING) != (not self.flags & _IFF_LOWER_UP)


def _links(data: bytes) -> Iterator[_Link]:
    """The links that a netlink datagram tells of; a bridge's port notices (AF_BRIDGE) are not links."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if kind in (_RTM_NEWLINK, _RTM_DELLINK) and data[16] == socket.AF_UNSPEC:
            index, flags = struct.unpack_from("=iI", data, 20)
            found = _attributes(data[32:length])
            name = found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode()
            yield _Link(kind == _RTM_DELLINK, index, flags, name, found.get(_IFLA_ADDRESS, b"").hex(":"))
        data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind] = data[4:length]
        data = data[max(4, (length + 3) & ~3) :]
    return found


class Tap:
    """Records every frame of one namespace, by device name; without a recorder it follows the links only."""

    def __init__(self, ns_fd: int, netns: str, recorder: Recorder | Memory | None) -> None:
        self._netns = netns
        self._recorder = recorder
        self._names: dict[int, str] = {}
        self.devices: dict[int, str] = {}
        """The devices there are now, by index; `_names` also knows those that were."""
        self._pending: set[int] = set()
        self._links = within(ns_fd, _link_socket)
        self._packets = within(ns_fd, _packet_socket) if recorder else None
        self.lost = 0
        """Frames that the kernel dropped for want of room in the socket."""
        self.pump_names()

    def filenos(self) -> list[int]:
        """What to poll."""
        return [sock.fileno() for sock in (self._packets, self._links) if sock]

    @property
    def carrier_pending(self) -> bool:
        """Whether some device's carrier has changed and linkwatch has not acted yet (up to a second late)."""
        return bool(self._pending)

    def pump(self) -> int:
        """Take what has come; how many frames that was. Frames first: a later renaming does not concern them."""
        frames = self.pump_frames()
        self.pump_names()
        return frames

    def pump_frames(self) -> int:
        """Take the frames that have come; how many that was."""
        frames = 0
        while self._packets and frames < _FLOOD:
            found = receiver().receive(self._packets.fileno())
            for frame in found:
                self._record(frame)
            frames += len(found)
            if len(found) < AT_ONCE:
                break
        return frames

    def close(self) -> None:
        """Let the namespace go: an open socket would keep it alive."""
        for _ in range(_LAST_LOOKS):
            if not self.pump():
                break
        self._links.close()
        self.count_lost()
        if self._packets:
            self._packets.close()
            self._packets = None

    def count_lost(self) -> int:
        """How many frames the kernel had no room for in the socket so far."""
        if self._packets:  # asking sets the kernel's own count back
            self.lost += struct.unpack("=II", self._packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        return self.lost

    def _record(self, frame: Received) -> None:
        if frame.ifindex not in self._names:
            self.pump_names()
        device = self._names.get(frame.ifindex, f"if{frame.ifindex}")
        assert self._recorder
        self._recorder.add(f"{self._netns}.{device}", frame.timestamp_ns, frame.outgoing, frame.octets)

    def pump_names(self) -> None:
        """Take the notices of new, renamed and removed links."""
        while data := self._next_notice():
            for link in _links(data):
                self._learn(link)

    def _learn(self, link: _Link) -> None:
        if link.carrier_pending and not link.gone:
            self._pending.add(link.index)
        else:
            self._pending.discard(link.index)
        if link.gone:
            self.devices.pop(link.index, None)
            return
        self.devices[link.index] = link.name
        if self._names.get(link.index) != link.name:
            self._names[link.index] = link.name
            if self._recorder:
                self._recorder.appear(f"{self._netns}.{link.name}", link.mac)

    def _next_notice(self) -> bytes:
        try:
            return self._links.recv(_NOTICE_MAX)
        except OSError as error:
            if error.errno == errno.ENOBUFS:  # notices were lost: ask again
                _ask_for_links(self._links)
                return self._next_notice()
            return b""  # EAGAIN: none waiting
