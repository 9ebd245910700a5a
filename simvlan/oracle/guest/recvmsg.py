"""recvmmsg(2) on a packet socket, with the interface *index* of the sender address.

Python's own recvmsg turns the index into a name by asking the kernel afterwards, which fails once the device is gone.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import socket
import struct
from dataclasses import dataclass

_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_SO_TIMESTAMPNS = 35
_VLAN_VALID, _TPID_VALID = 0x10, 0x40
_PACKET_OUTGOING = 4
_FRAME_MAX = 65536 + 256
_CONTROL_MAX = 256
_NAME_MAX = 32
AT_ONCE = 8
"""Frames a call may take."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Mmsghdr(ctypes.Structure):
    _fields_ = [("header", _Msghdr), ("length", ctypes.c_uint)]


@dataclass(frozen=True)
class Received:
    """One captured frame: the octets as the wire has them."""

    timestamp_ns: int
    ifindex: int
    outgoing: bool
    octets: bytes


class _Slot:
    """Room for one frame, its sender's address and its control messages."""

    def __init__(self) -> None:
        self.frame = ctypes.create_string_buffer(_FRAME_MAX)
        self.name = ctypes.create_string_buffer(_NAME_MAX)
        self.control = ctypes.create_string_buffer(_CONTROL_MAX)
        self.iovec = _Iovec(ctypes.addressof(self.frame), _FRAME_MAX)

    def header(self) -> _Msghdr:
        return _Msghdr(
            ctypes.addressof(self.name), _NAME_MAX, ctypes.addressof(self.iovec), 1,
            ctypes.addressof(self.control), _CONTROL_MAX, 0,
        )  # fmt: skip

    def received(self, size: int, control_length: int) -> Received:
        _, _, ifindex, _, kind = struct.unpack_from("=HHiHB", self.name)
        octets, stamp = ctypes.string_at(self.frame, size), 0
        for level, option, data in _control_messages(ctypes.string_at(self.control, control_length)):
            if (level, option) == (_SOL_PACKET, _PACKET_AUXDATA):
                octets = retag(octets, data)
            elif (level, option) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack_from("=qq", data)
                stamp = seconds * 1_000_000_000 + nanoseconds
        return Received(stamp, ifindex, kind == _PACKET_OUTGOING, octets)


class Receiver:
    """Reusable buffers for one thread's calls."""

    def __init__(self) -> None:
        self._slots = [_Slot() for _ in range(AT_ONCE)]
        self._vector = (_Mmsghdr * AT_ONCE)(*(_Mmsghdr(slot.header(), 0) for slot in self._slots))

    def receive(self, fd: int) -> list[Received]:
        """The next frames waiting, at most AT_ONCE: fewer when there are no more.

        ENETDOWN is reported once per device that goes down and means nothing.
        """
        while (count := _libc.recvmmsg(fd, self._vector, AT_ONCE, socket.MSG_DONTWAIT, None)) < 0:
            if (code := ctypes.get_errno()) == errno.EAGAIN:
                return []
            if code not in (errno.ENETDOWN, errno.EINTR):
                raise OSError(code, os.strerror(code))
        return [self._taken(number) for number in range(count)]

    def _taken(self, number: int) -> Received:
        """What came into one slot, which is made ready for the next: the kernel has written lengths into its header."""
        entry = self._vector[number]
        found = self._slots[number].received(entry.length, entry.header.control_length)
        entry.header.name_length, entry.header.control_length = _NAME_MAX, _CONTROL_MAX
        return found


@functools.cache
def receiver() -> Receiver:
    """That of this process: its buffers are large, and a kernel in a process pays for every fresh page."""
    return Receiver()


def _control_messages(control: bytes) -> list[tuple[int, int, bytes]]:
    found = []
    while len(control) >= 16:
        length, level, option = struct.unpack_from("@Nii", control)
        found.append((level, option, control[16:length]))
        control = control[(length + 7) & ~7 :]
    return found


def retag(frame: bytes, auxdata: bytes) -> bytes:
    """Put the tag that the kernel keeps beside the octets back where the wire has it (struct tpacket_auxdata)."""
    status, _, _, _, _, tci, tpid = struct.unpack_from("=IIIHHHH", auxdata)
    if not status & _VLAN_VALID:
        return frame
    tpid = tpid if status & _TPID_VALID else 0x8100
    return frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
