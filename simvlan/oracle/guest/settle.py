"""When a kernel has done what it was given: seen, not slept for.

Frames: what a send starts is done inside the call or in the CPU's backlog, except for broadcasts under macvlan and
ipvlan, which pass through the system's work queue. Work is done in the order it was queued, so a broadcast of our own
that goes the same way (veth, macvlan, work queue) comes out after all that was queued before it (where works run side
by side, see kthreads.py).
Carrier: linkwatch acts up to a second late (linkwatch.py). Where that cannot be seen (no dummy): until it has, a device
that is up shows IFF_LOWER_UP (the carrier) and IFF_RUNNING (what linkwatch made of it) disagreeing. A macvlan follows
its lower device's carrier while it is down, which nothing shows; there linkwatch looks at once as rtnetlink is asked.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from . import syscalls
from .kthreads import BOUND, UNBOUND, Kthreads
from .rtnetlink import Rtnetlink

_ETHERTYPE = 0x88B6
_FRAME = b"\xff" * 6 + b"\2\0\0\0\0\x51" + _ETHERTYPE.to_bytes(2, "big") + bytes(46)
_ROUNDS = 200
_SO_RCVTIMEO = 20
_SIOCGIFFLAGS, _SIOCETHTOOL, _ETHTOOL_GDRVINFO, _ETHTOOL_GLINK = 0x8913, 0x8946, 0x03, 0x0A
_DRVINFO_WORDS, _DRIVER = 49, slice(4, 36)
_IFF_UP, _IFF_RUNNING = 1, 0x40
_CARRIER_LIMIT_S = 3.0  # a device whose lower device is elsewhere may stay so for good
_CARRIER_POLL_S = 0.02
_COMMANDS = (
    "link add a0 type veth peer name b0",
    "link add link b0 name m0 type macvlan mode bridge",
    "link set a0 up",
    "link set b0 up",
    "link set m0 up",
)


class Marker:
    """A frame of our own through the backlog and the work queue, in a namespace of its own."""

    def __init__(self, env: dict[str, str], ordered: bool, *, first: bool = False) -> None:
        """`ordered`: this kernel does its work on one CPU in the order it was queued (User Mode Linux 6.1).

        `first`: who waits goes before everybody else, and may do so in another PID namespace.
        """
        self._ordered = ordered
        proc = f"/proc/self/fd/{os.open('/proc', os.O_PATH | os.O_CLOEXEC)}" if first else "/proc"
        self._threads = Kthreads(BOUND if ordered else UNBOUND, proc, yielding=ordered and not first)
        self.restless = 0
        """How often the kernel's threads were given up: what was queued may not have come."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            for knob in ("all", "default"):
                _write(f"/proc/sys/net/ipv6/conf/{knob}/disable_ipv6", "1")
            subprocess.run(["ip", "-batch", "-"], input="\n".join(_COMMANDS), text=True, check=True, env=env)
            self._send = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._send.bind(("a0", 0))  # given a name with every frame, Python asks for its index every time
            self._seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._seen.bind(("m0", _ETHERTYPE))
        finally:
            syscalls.setns(home)
            os.close(home)
        self._link = array.array("I", (_ETHTOOL_GLINK, 0))
        self._ask = _request("a0", self._link)
        self._limit(0.1)
        for _ in range(50):  # until linkwatch has seen the new carriers
            with contextlib.suppress(BlockingIOError):
                self.wait()
                break
        self._limit(60.0)

    def _limit(self, seconds: float) -> None:
        """How long `wait` may take before it raises BlockingIOError; one system call fewer than Python's timeouts."""
        self._seen.setsockopt(socket.SOL_SOCKET, _SO_RCVTIMEO, struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6)))

    def wait(self) -> None:
        """Return once all work queued before is done."""
        self._send.send(_FRAME)
        self._seen.recv(256)

    def settle(self, pump: Callable[[], int]) -> None:
        """Until nothing more comes, be it frames or notices of links: what work does may queue more of it.

        Linkwatch is such work for all but a bridge that loses its carrier; it needs rtnl, so where it cannot be seen we
        queue for that too.
        """
        pump()
        for _ in range(_ROUNDS):
            self.wait()
            if not self._ordered:
                with contextlib.suppress(OSError):
                    fcntl.ioctl(self._send, _SIOCETHTOOL, self._ask)
            self.restless += not self._threads.wait()
            if not pump():
                return


@dataclass(frozen=True)
class Watched:
    """A device, a socket to ask about it by ioctl, and one for rtnetlink, both of its namespace."""

    name: str
    asker: socket.socket
    net: Rtnetlink


def carrier_pending(dev: Watched) -> bool:
    """Whether linkwatch has something to do for a device.

    Asking all by rtnetlink would have side effects (that gives ids to other namespaces). Newer kernels do what is
    pending when they are asked for the carrier (__linkwatch_sync_dev); 6.1 makes us wait.
    """
    try:
        carrier = _ethtool(dev, _ETHTOOL_GLINK, 2)
        answer = fcntl.ioctl(dev.asker, _SIOCGIFFLAGS, dev.name.encode().ljust(40, b"\0"))
        flags = struct.unpack_from("=H", answer, 16)[0]
        if not flags & _IFF_UP:
            _look_while_down(dev)
            return False
    except OSError:
        return False  # gone meanwhile, or of a kind whose carrier nobody asks for
    return bool(flags & _IFF_RUNNING) != any(carrier[4:])


def _look_while_down(dev: Watched) -> None:
    """Have linkwatch look at a macvlan that is down: ethtool would not ask it for its carrier (ethtool_get_link).

    It has told of the other namespace when it came to its own (dev_change_net_namespace), so no id is given for that.
    """
    if _ethtool(dev, _ETHTOOL_GDRVINFO, _DRVINFO_WORDS)[_DRIVER].rstrip(b"\0") == b"macvlan":
        dev.net.index(dev.name)


def wait_for_linkwatch(looked: Callable[[], None], heard: Callable[[], int]) -> None:
    """Until linkwatch has `looked` everywhere (Linkwatch.wait or .hurry): stacks hear of a carrier floor by floor.

    `heard`: whether there was news of links since the last call.
    """
    heard()
    looked()
    while heard():
        looked()


def wait_for_carrier(devices: Callable[[], list[Watched]], pump: Callable[[], int]) -> float:
    """Until linkwatch is through, twice in a row, as far as devices show it; the seconds it took."""
    began, calm = time.monotonic(), 0
    while calm < 2 and time.monotonic() - began < _CARRIER_LIMIT_S:
        waiting = [each for each in devices() if carrier_pending(each)]
        calm = 0 if waiting else calm + 1
        while waiting and time.monotonic() - began < _CARRIER_LIMIT_S:
            waiting = [each for each in waiting if carrier_pending(each)]
            time.sleep(_CARRIER_POLL_S if waiting else 0)
        pump()
    return time.monotonic() - began


def _ethtool(dev: Watched, command: int, words: int) -> bytes:
    """What a device's driver answers: so many words of 32 bits, the command first."""
    answer = array.array("I", (command, *[0] * (words - 1)))
    fcntl.ioctl(dev.asker, _SIOCETHTOOL, _request(dev.name, answer))
    return answer.tobytes()


def _request(device: str, value: array.array[int]) -> bytes:
    """A struct ifreq whose pointer leads to an array."""
    return device.encode().ljust(16, b"\0") + struct.pack("@P", value.buffer_info()[0]) + bytes(16)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
