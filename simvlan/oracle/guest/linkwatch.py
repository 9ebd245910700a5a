"""When the kernel's linkwatch has looked at everything that was to be looked at before (net/core/link_watch.c).

It looks at changes in the order in which they came, at those that are not urgent once a second, and nothing shows that
one is waiting. So we add one of our own behind them, a dummy that loses its carrier, and see when that was looked at:
its operational state follows. (That it gains the carrier before is urgent, as its queue is closed.) Urgent changes it
looks at right away, but it needs rtnl for that, and others may snatch it: so it is with those, and a veth. Where there
are no dummies, nothing is known (`available`).
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
_DOWN, _LOWERLAYERDOWN, _UP = 2, 3, 6
_NAMES = ("d0", "a0", "b0")
_COMMANDS = """link add d0 type dummy
link set d0 up carrier off
link add a0 type veth peer name b0
link set a0 up
"""
_LIMIT_S = 60.0


class Linkwatch:
    """Devices in a namespace of their own whose carriers go and come."""

    def __init__(self, env: dict[str, str]) -> None:
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            done = subprocess.run(["ip", "-batch", "-"], input=_COMMANDS, text=True, env=env, capture_output=True)
            self.available = not done.returncode
            self._dummy, self._end, self._peer = map(socket.if_nametoindex, _NAMES) if self.available else (0, 0, 0)
            self._asker = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            self._notices = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            self._notices.bind((0, _RTMGRP_LINK))
            self._notices.settimeout(_LIMIT_S)
        finally:
            syscalls.setns(home)
            os.close(home)

        self._peer_up = False

    def hurry(self) -> None:
        """Return once linkwatch has looked at every urgent change: one end of a veth hears of the other."""
        self._peer_up = not self._peer_up
        self._ask(self._peer, up=self._peer_up)
        self._await(self._end, _UP if self._peer_up else _LOWERLAYERDOWN)

    def wait(self) -> None:
        """Return once linkwatch has looked at every change there has been."""
        for carrier, state in ((True, _UP), (False, _DOWN)):
            self._ask(self._dummy, struct.pack("=HHBxxx", 5, _IFLA_CARRIER, carrier))
            self._await(self._dummy, state)

    def _await(self, index: int, state: int) -> None:
        """Until a notice says that a device has this operational state.

        Raises:
            RuntimeError: none comes.
        """
        try:
            while not _tells(self._notices.recv(1 << 16), index, state):
                pass
        except TimeoutError as error:
            raise RuntimeError("linkwatch does not look") from error

    def _ask(self, index: int, attributes: bytes = b"", up: bool | None = None) -> None:
        """Change a device of ours; wait for the acknowledgement."""
        head = struct.pack("=IHHII", 32 + len(attributes), _RTM_SETLINK, _REQUEST_ACK, 0, 0)
        self._asker.send(head + struct.pack("=BxHiII", 0, 0, index, bool(up), up is not None) + attributes)
        self._asker.recv(1 << 16)


def _tells(notice: bytes, index: int, state: int) -> bool:
    """Whether a notice of a link says that it has an operational state."""
    if struct.unpack_from("=i", notice, 20) != (index,):
        return False
    at = 32
    while at + 4 <= len(notice):
        length, kind = struct.unpack_from("=HH", notice, at)
        if kind == _IFLA_OPERSTATE:
            return notice[at + 4] == state
        at += (length + 3) & ~3
    return False
