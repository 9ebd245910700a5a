"""The lines of one scenario, each done in the kernel: by rtnetlink from here, by a living iproute2, by a system call.

Rtnetlink does what iproute.py and shown.py know; every other line of `ip` and `bridge` goes to iproute2 itself.
"""

from __future__ import annotations

import os
import select
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import iproute, shown, syscalls, trees
from .agent import ROOT, environment
from .batch import Batch
from .links import NotKnown
from .linkwatch import Linkwatch
from .recorder import Memory
from .rtnetlink import Rtnetlink
from .settle import Marker, Watched, wait_for_carrier, wait_for_linkwatch
from .sysctls import make_plain, write_sysctl
from .tap import Tap, within

_NETNS = Path("/run/netns")
_COMMAND_LIMIT_S = 20.0
_CLOCK_S, _TRUE_S = 1.0, 10.0
"""Sleeps are for linkwatch, but for shorter and longer ones."""
_TICKS_S = 0.05
"""What waits for a tick comes first, as a bridge's first query does: newer kernels look at a carrier once asked."""
Said = tuple[int, str]


class Space:
    """One network namespace: who watches it, who sends in it, and the iproute2 processes that live in it."""

    def __init__(self, name: str, fd: int, memory: Memory) -> None:
        self.name, self.fd = name, fd
        self.tap = Tap(fd, name, memory)
        self.sender, self.net = within(fd, lambda: (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0), Rtnetlink()))
        self.batches: dict[tuple[str, ...], Batch] = {}

    def batch(self, tool: str, flags: tuple[str, ...], env: dict[str, str]) -> Batch:
        """The process for these listing options; a command that lists nothing takes any of its tool."""
        living = [key for key, batch in self.batches.items() if batch.alive and key[0] == tool and "-6" not in key]
        key = (tool, *flags)
        if key not in living and not flags and living:
            key = living[0]
        if key not in living:
            self.batches[key] = within(self.fd, lambda: Batch(tool, key[1:], env))
        return self.batches[key]

    def forget_names(self) -> None:
        """End the processes, which go on calling a device by the name under which they met it (ll_map.c)."""
        for batch in self.batches.values():
            if batch.alive:
                batch.close()
        self.batches.clear()

    def close(self) -> None:
        """Let go of everything that keeps the namespace."""
        self.forget_names()
        self.tap.close()
        self.sender.close()
        self.net.close()
        os.close(self.fd)


class Machine:
    """One scenario in the kernel."""

    def __init__(
        self, lines: Sequence[str], marker: Marker, linkwatch: Linkwatch, plain: bool, *, programs: bool
    ) -> None:
        """`programs`: iproute2 does all its lines itself."""
        self._lines = [shlex.split(line) if "'" in line or '"' in line else line.split() for line in lines]
        self._texts = lines
        self._trees = any(" stp_state 1" in line for line in lines)
        self._marker, self._linkwatch = marker, linkwatch
        self._restless, self._moved = marker.restless, 0
        self._plain = plain
        self._programs = programs
        self._env = environment({})
        self._memory = Memory()
        self._said: list[Said] = []
        self._slowest_s = self._sending_since = 0.0
        self._flags = _listing_flags(self._lines)
        self._spaces: dict[str, Space] = {}
        self._names: dict[str, int] = {}
        """Descriptors of the namespaces that have names."""
        self._poll = select.poll()
        self._pumps: dict[int, Callable[[], int | None]] = {}
        self._news: set[int] = set()
        """Those of its descriptors that tell of links."""
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._new_space(ROOT)
        syscalls.setns(self._spaces[ROOT].fd)

    def follow(self) -> None:
        """Do all lines."""
        for text, words in zip(self._texts, self._lines, strict=True):
            self._said.append(self._do(text, words))

    def result(self) -> dict[str, Any]:
        """What was said and seen."""
        self._settle()
        self._note_stretch()
        lost = {name: frames for name, space in self._spaces.items() if (frames := space.tap.count_lost())}
        return {
            "said": self._said,
            "captures": self._memory.captures,
            "slowest": self._slowest_s,
            "lost": lost,
            "restless": self._marker.restless - self._restless + self._moved,
        }

    def close(self) -> None:
        """Go home and let all namespaces go."""
        syscalls.setns(self._home)
        os.close(self._home)
        for name, space in self._spaces.items():
            space.close()
            if name != ROOT:
                syscalls.unmount(str(_NETNS / name))
                (_NETNS / name).unlink()

    # -- time -------------------------------------------------------------------------------------------------------

    def _pump(self) -> int:
        return len(self._take())

    def _heard(self) -> int:
        """Take what has come; in how many namespaces there was news of links. Frames may come without end (BPDUs)."""
        return len(self._news.intersection(self._take()))

    def _take(self) -> list[int]:
        """Take what has come; from which descriptors."""
        ready = [fd for fd, _ in self._poll.poll(0)]
        for fd in ready:
            self._pumps[fd]()
        return ready

    def _settle(self) -> None:
        self._marker.settle(self._pump)

    # -- lines ------------------------------------------------------------------------------------------------------

    def _do(self, text: str, words: list[str]) -> Said:
        if words[:2] == ["simvlan", "send"]:
            return self._send(words[2:])
        if words[0] == "sleep":
            return self._sleep(float(words[1]))
        if words[:3] == ["ip", "netns", "add"] and len(words) == 4 and words[3] not in self._spaces:
            self._new_space(words[3])
            return 0, ""
        if words[:3] == ["ip", "netns", "exec"] and words[4:6] == ["sysctl", "-qw"] and len(words) == 7:
            return self._sysctl(words[3], words[6]) or self._start(text)
        space, flags, rest = _place(words)
        if words[0] in ("ip", "bridge") and space in self._spaces and rest and rest[0] != "netns":
            said = self._at_once(self._spaces[space], words[0], flags, rest) or self._living(
                space, words[0], flags, rest
            )
            if rest[:2] == ["link", "set"] and "name" in rest:
                self._spaces[space].forget_names()
            if self._linkwatch.available and rest[0] in ("link", "vlan") and "show" not in rest:
                wait_for_linkwatch(self._linkwatch.hurry, self._heard)
            self._settle()
            return said
        return self._start(text)

    def _at_once(self, space: Space, tool: str, flags: tuple[str, ...], words: list[str]) -> Said | None:
        """By rtnetlink from here, where the line is one that is known; None: iproute2 has to do it."""
        if self._programs:
            return None
        try:
            if words[1:2] == ["show"]:
                return 0, shown.show(tool, flags, words, space.net)
            return iproute.do(tool, words, space.net, self._names) if not flags else None
        except NotKnown:
            return None

    def _living(self, space: str, tool: str, flags: tuple[str, ...], words: list[str]) -> Said:
        """By a process of iproute2 that lives in the namespace."""
        listing = flags or self._flags.get((tool, space), ())
        status, out, err = self._spaces[space].batch(tool, listing, self._env).do(" ".join(words))
        return status, out + err

    def _start(self, text: str) -> Said:
        """A command of another kind: as a shell starts it."""
        done = subprocess.run(
            ["bash", "-c", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self._env,
            timeout=_COMMAND_LIMIT_S, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.decode()

    def _send(self, words: list[str]) -> Said:
        (_, name, device, _, octets) = words
        self._sending_since = self._sending_since or time.monotonic()
        frame = bytes.fromhex(octets)
        try:
            self._spaces[name].sender.sendto(frame, (device, int.from_bytes(frame[12:14], "big")))
        except OSError as error:
            return 1, f"simvlan send: {device}: {os.strerror(error.errno or 0)}\n"
        finally:
            self._settle()
        return 0, ""

    def _sleep(self, seconds: float) -> Said:
        """As long as it takes, where linkwatch is slept for; less than a second, or ten and more, by the clock."""
        if seconds < _CLOCK_S or seconds >= _TRUE_S:
            self._note_stretch()
        if seconds < _CLOCK_S:
            time.sleep(seconds)
        else:
            if seconds >= _TRUE_S and self._trees:
                self._moved += trees.rest(seconds, self._port_states)
            elif seconds >= _TRUE_S:
                time.sleep(seconds)
            self._await_linkwatch()
        self._settle()
        return 0, ""

    def _await_linkwatch(self) -> None:
        if self._linkwatch.available:
            wait_for_linkwatch(self._linkwatch.wait, self._heard)
        else:
            time.sleep(_TICKS_S)
            self._pump()
            wait_for_carrier(self._devices, self._pump)

    def _port_states(self) -> tuple[trees.States, ...]:
        return trees.states(space.net for space in self._spaces.values())

    def _note_stretch(self) -> None:
        """Frames are over for now."""
        if self._sending_since:
            self._slowest_s = max(self._slowest_s, time.monotonic() - self._sending_since)
        self._sending_since = 0.0

    def _sysctl(self, name: str, setting: str) -> Said | None:
        """None: there is no such setting, or it takes no such value; `sysctl` will say so."""
        knob, _, value = setting.partition("=")
        try:
            within(self._spaces[name].fd, lambda: write_sysctl(knob, value))
        except OSError:
            return None
        return 0, ""

    def _devices(self) -> list[Watched]:
        return [
            Watched(name, space.sender, space.net)
            for space in self._spaces.values()
            for name in space.tap.devices.values()
        ]

    # -- namespaces -------------------------------------------------------------------------------------------------

    def _new_space(self, name: str) -> None:
        """A fresh namespace, named as `ip netns add` names it."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            fd = os.open("/proc/self/ns/net", os.O_RDONLY)
            if name != ROOT:
                (_NETNS / name).touch()
                syscalls.mount("/proc/self/ns/net", str(_NETNS / name), "none", syscalls.MS_BIND)
        finally:
            syscalls.setns(home)
            os.close(home)
        make_plain(fd, brief=self._plain)
        space = self._spaces[name] = Space(name, fd, self._memory)
        if name != ROOT:
            self._names[name] = fd
        packets, links = space.tap.filenos()
        self._news.add(links)
        self._pumps |= {packets: space.tap.pump_frames, links: space.tap.pump_names}
        for each in (packets, links):
            self._poll.register(each, select.POLLIN)


def _listing_flags(lines: Sequence[list[str]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The options with which each tool lists a namespace, so that its commands go to the same process."""
    found = {}
    for words in lines:
        if words[0] in ("ip", "bridge"):
            space, flags, _ = _place(words)
            if flags and "-6" not in flags:
                found[words[0], space] = flags
    return found


def _place(words: list[str]) -> tuple[str, tuple[str, ...], list[str]]:
    """The namespace, the other options and the rest of an iproute2 command."""
    space, flags, at = ROOT, [], 1
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "-n":
            space, at = words[at + 1], at + 2
        else:
            flags.append(words[at])
            at += 1
    return space, tuple(flags), words[at:]
