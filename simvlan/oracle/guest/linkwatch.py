"""When the kernel's linkwatch has looked at everything that was to be looked at before (net/core/link_watch.c).

It looks at changes in the order in which they came, at those that are not urgent once a second, and nothing shows that
one is waiting. So we add one of our own behind them, a dummy that loses its carrier, and see when that was looked at:
its operational state follows. (That it gains the carrier before is urgent, as its queue is closed.) Where there are no
dummies, nothing is known (`available`).
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess

from . import syscalls

_RTMGRP_LINK, _RTM_SETLINK = 1, 19
_REQUEST_ACK = 0x5
_IFLA_OPERSTATE, _IFLA_CARRIER = 16, 33
_DOWN, _UP = 2, 6
_NAME = "dummy0"
_COMMANDS = f"link add {_NAME} type dummy\nlink set {_NAME} up carrier off\n"
_LIMIT_S = 60.0


class Linkwatch:
    """A dummy in a namespace of its own, whose carrier goes and comes."""

    def __init__(self, env: dict[str, str]) -> None:
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            done = subprocess.run(["ip", "-batch", "-"], input=_COMMANDS, text=True, env=env, capture_output=True)
            self.available = not done.returncode
            self._index = socket.if_nametoindex(_NAME) if self.available else 0
            self._asker = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            self._notices = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            self._notices.bind((0, _RTMGRP_LINK))
            self._notices.settimeout(_LIMIT_S)
        finally:
            syscalls.setns(home)
            os.close(home)

    def wait(self) -> None:
        """Return once linkwatch has looked at every change there has been.

        Raises:
            RuntimeError: it did not come.
        """
        for carrier, state in ((True, _UP), (False, _DOWN)):
            self._ask(_RTM_SETLINK, _REQUEST_ACK, struct.pack("=HHBxxx", 5, _IFLA_CARRIER, carrier))
            try:
                while _operstate(self._notices.recv(1 << 16)) != state:
                    pass
            except TimeoutError as error:
                raise RuntimeError("linkwatch does not look") from error

    def _ask(self, kind: int, flags: int, attributes: bytes = b"") -> bytes:
        """A request about our device; the answer."""
        head = struct.pack("=IHHII", 32 + len(attributes), kind, flags, 0, 0)
        self._asker.send(head + struct.pack("=BxHiII", 0, 0, self._index, 0, 0) + attributes)
        return self._asker.recv(1 << 16)


def _operstate(notice: bytes) -> int:
    """What a notice of a link says of its operational state."""
    at = 32
    while at + 4 <= len(notice):
        length, kind = struct.unpack_from("=HH", notice, at)
        if kind == _IFLA_OPERSTATE:
            return notice[at + 4]
        at += (length + 3) & ~3
    return 0
