"""When the kernel's linkwatch has looked at everything that was to be looked at before (net/core/link_watch.c).

It looks at changes in the order in which they came, at those that are not urgent once a second, and nothing shows that
one is waiting. So we add one of our own behind them, a dummy that loses its carrier, and see when that was looked at:
its operational state follows. (That it gains the carrier before is urgent, as its queue is closed.) Urgent changes it
looks at right away, but it needs rtnl for that, and others may snatch it: so it is with those, and a veth. Where there
are no dummies, nothing is known (`available`).

Once its second is over, linkwatch looks at everything as soon as anything is urgent. So that a command always has one
effect, `keep_rounds` gives it something to look at each second: within the second only what is urgent is looked at.
That is for networks with IPv6, where order shows it; all else would wait for it in vain.
"""

from __future__ import annotations

import os
import signal
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
_INDEX = 1000
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
            self._asker, self._notices = _asker(), _notices()
        finally:
            syscalls.setns(home)
            os.close(home)

        self._peer_up = False

    def hurry(self) -> None:
        """Return once linkwatch has looked at every urgent change: one end of a veth hears of the other."""
        self._peer_up = not self._peer_up
        _ask(self._asker, self._peer, up=self._peer_up)
        _await(self._notices, self._end, _UP if self._peer_up else _LOWERLAYERDOWN)

    def wait(self) -> None:
        """Return once linkwatch has looked at every change there has been."""
        for carrier, state in ((True, _UP), (False, _DOWN)):
            _ask(self._asker, self._dummy, struct.pack("=HHBxxx", 5, _IFLA_CARRIER, carrier))
            _await(self._notices, self._dummy, state)


def keep_rounds(env: dict[str, str]) -> None:
    """Start a process that has linkwatch look at everything once a second, until the caller ends.

    Two veth ends of the same index, in two namespaces: that such an end loses its carrier is not urgent.
    """
    if os.fork():
        return
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        syscalls.unshare(syscalls.CLONE_NEWNET)
        far = os.open("/proc/self/ns/net", os.O_RDONLY)
        peer = _asker()
        syscalls.unshare(syscalls.CLONE_NEWNET)
        there = f"/proc/{os.getpid()}/fd/{far}"
        pair = f"link add e0 index {_INDEX} type veth peer name f0 index {_INDEX} netns {there}\nlink set e0 up\n"
        subprocess.run(["ip", "-batch", "-"], input=pair, text=True, env=env, check=True)
        notices = _notices()
        while True:
            for up, state in ((True, _UP), (False, _DOWN)):
                _ask(peer, _INDEX, up=up)
                _await(notices, _INDEX, state)
    finally:
        os._exit(1)


def _asker() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)


def _notices() -> socket.socket:
    """What tells of links of the namespace we are in."""
    found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    found.bind((0, _RTMGRP_LINK))
    found.settimeout(_LIMIT_S)
    return found


def _ask(asker: socket.socket, index: int, attributes: bytes = b"", up: bool | None = None) -> None:
    """Change a device of ours; wait for the acknowledgement."""
    head = struct.pack("=IHHII", 32 + len(attributes), _RTM_SETLINK, _REQUEST_ACK, 0, 0)
    asker.send(head + struct.pack("=BxHiII", 0, 0, index, bool(up), up is not None) + attributes)
    asker.recv(1 << 16)


def _await(notices: socket.socket, index: int, state: int) -> None:
    """Until a notice says that a device has this operational state.

    Raises:
        RuntimeError: none comes.
    """
    try:
        while not _tells(notices.recv(1 << 16), index, state):
            pass
    except TimeoutError as error:
        raise RuntimeError("linkwatch does not look") from error


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
