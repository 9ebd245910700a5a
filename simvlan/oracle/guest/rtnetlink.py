"""Rtnetlink without a program in between: messages built, sent and taken apart (rtnetlink(7), include/uapi/linux).

What comes back of a request is what iproute2 would say of it: nothing, the kernel's own words (NLMSGERR_ATTR_MSG) after
"Error: " or "Warning: ", or "RTNETLINK answers: " and the meaning of the error number.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

REQUEST, ACK, DUMP = 1, 4, 0x300
REPLACE, EXCL, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800
NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, GETADDR, NEWNEIGH, DELNEIGH, GETNEIGH = 20, 22, 28, 29, 30
IFLA_IFNAME, IFLA_EXT_MASK = 3, 29
FILTER_VF, FILTER_BRVLAN, FILTER_SKIP_STATS = 1, 2, 8

_MESSAGES_MAX = 1 << 16  # the kernel fills 32 KiB at most
_ERROR, _DONE = 2, 3
_CAPPED, _WITH_ATTRIBUTES = 0x100, 0x200
_SOL_NETLINK, _EXT_ACK = 270, 11
_ERROR_TEXT = 1
_NESTED = 0x8000
_HEAD = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")

Attributes = dict[int, bytes]


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four octets."""
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + bytes(-len(data) & 3)


def text(kind: int, value: str) -> bytes:
    """An attribute that holds a string."""
    return attribute(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    """An attribute that holds a number of 32 bits."""
    return attribute(kind, struct.pack("=I", value))


def u16(kind: int, value: int) -> bytes:
    """An attribute that holds a number of 16 bits."""
    return attribute(kind, struct.pack("=H", value))


def u8(kind: int, value: int) -> bytes:
    """An attribute that holds an octet."""
    return attribute(kind, bytes((value,)))


def each_attribute(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, content) of every attribute, in order."""
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind & ~_NESTED, data[at + 4 : at + length]
        at += max(4, (length + 3) & ~3)


def attributes(data: bytes) -> Attributes:
    """Attributes by kind; of several of a kind the last."""
    return dict(each_attribute(data))


def link_head(family: int = 0, index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """A struct ifinfomsg."""
    return struct.pack("=BxHiII", family, 0, index, flags, change)


class Rtnetlink:
    """A socket in the network namespace that the caller is in while making it."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._sock.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._sock.bind((0, 0))
        self._number = 0

    def close(self) -> None:
        """Let the namespace go."""
        self._sock.close()

    def request(self, kind: int, flags: int, payload: bytes) -> tuple[int, str]:
        """Have something done: 0 or an error number, and what iproute2 would write about it."""
        self._send(kind, REQUEST | ACK | flags, payload)
        for reply, bits, body in self._messages():
            if reply == _ERROR:
                return _said(bits, body)
        raise AssertionError("unreachable: messages come until there is an answer")

    def dump(self, kind: int, payload: bytes) -> list[bytes]:
        """The body of every message of a listing."""
        self._send(kind, REQUEST | DUMP, payload)
        found = []
        for reply, _, body in self._messages():
            if reply in (_DONE, _ERROR):
                break
            found.append(body)
        return found

    def index(self, name: str) -> int:
        """The index of a device, asked for as iproute2 asks (which numbers other namespaces, too); 0: there is none."""
        mask = u32(IFLA_EXT_MASK, FILTER_VF | FILTER_SKIP_STATS)
        self._send(GETLINK, REQUEST, link_head() + mask + text(IFLA_IFNAME, name))
        for reply, _, body in self._messages():
            return 0 if reply == _ERROR else int(struct.unpack_from("=i", body, 4)[0])
        raise AssertionError("unreachable")

    def _send(self, kind: int, flags: int, payload: bytes) -> None:
        self._number += 1
        self._sock.send(_HEAD.pack(16 + len(payload), kind, flags, self._number, 0) + payload)

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        """(type, flags, body) of everything that answers the last message sent."""
        while True:
            data = self._sock.recv(_MESSAGES_MAX)
            while data:
                length, kind, flags, number, _ = _HEAD.unpack_from(data)
                if number == self._number:
                    yield kind, flags, data[16:length]
                data = data[(length + 3) & ~3 :]


def _said(flags: int, body: bytes) -> tuple[int, str]:
    """struct nlmsgerr: the error, the request (or its head only), and attributes."""
    (negative, length) = struct.unpack_from("=iI", body)
    code = -negative
    words = ""
    if flags & _WITH_ATTRIBUTES:
        at = 20 if flags & _CAPPED or not code else 4 + ((length + 3) & ~3)
        words = attributes(body[at:]).get(_ERROR_TEXT, b"").rstrip(b"\0").decode()
    if words:
        return code, f"{'Error' if code else 'Warning'}: {words}{'' if words.endswith('.') else '.'}\n"
    return code, f"RTNETLINK answers: {os.strerror(code)}\n" if code else ""
