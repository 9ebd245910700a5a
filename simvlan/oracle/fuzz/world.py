"""A scenario on the simulator: its lines followed one by one on a lab, and what came of it.

A line is a command without shell syntax (`ip ...`, `bridge ...`, `sleep ...`, `simvlan send ...`), so that bash runs
the same text. Nothing here knows a forwarding rule.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from simvlan.clock import MILLISECOND, SECOND
from simvlan.devices.device import Device
from simvlan.frame import QINQ, Frame
from simvlan.lab import Lab
from simvlan.oracle.fuzz.clocks import is_pause
from simvlan.oracle.observation import LISTINGS, Answer, Captured, Captures, Observation
from simvlan.tools.program import call

COMMAND_NS, FRAME_NS = 10 * MILLISECOND, 20 * MILLISECOND
"""How long a command takes, and how long a kernel is left alone after a frame."""

_SUBJECTS = {(argv[0], argv[-2]): subject for subject, argv in LISTINGS.items()} | {("bridge", "mdb"): "mdb"}


class World:
    """Follows lines on a lab of its own."""

    def __init__(
        self, seed: int = 0, alike: Mapping[str, tuple[tuple[int, int], ...]] | None = None, *, rounds: bool = False,
        several: bool = False,
    ) -> None:  # fmt: skip
        """`alike`: what a kernel's filters took for one, by capture point (chance.py).

        `rounds`: linkwatch has had a round within the last second, always (guest/linkwatch.py, keep_rounds).
        `several`: the kernel has several processors (workers.py).
        """
        self._rounds = rounds
        self.lab = Lab(seed)
        self._alike = alike or {}
        self.net = self.lab.network
        self.net.workers.several = several
        self.answers: list[tuple[int, str]] = []
        self.captures: dict[str, list[Captured]] = {}
        self.labels: dict[str, str] = {}
        """Kind and mode of each device that saw a frame."""
        self.copies = 0
        """How often frames were seen since the last line began."""
        self.calm: list[tuple[int, int]] = []
        """When lines slept for true, in ns: what timers do then has no order."""
        self.routed: set[str] = set()
        """Points at which an ipvlan sent by routes: Linux rewrites such frames while a capture's clone waits."""
        for dev in self.net.devices():
            self._watch(dev, "add")
        self.net.watchers.append(self._watch)

    def _watch(self, dev: Device, what: str) -> None:
        if what == "add":
            self.captures.setdefault(_point(dev), [])
            if self._tap not in dev.taps:
                dev.taps.append(self._tap)
        if hasattr(dev, "alike"):  # a macvlan
            dev.alike = self._alike.get(_point(dev), ())

    def _tap(self, now: int, dev: Device, frame: Frame, out: bool) -> None:
        self.copies += 1
        point = _point(dev)
        if point not in self.labels:
            self.labels[point] = label(dev)
        if dev.kind == "ipvlan" and out and label(dev).startswith("ipvlan l3"):
            self.routed.add(point)
        self.captures.setdefault(point, []).append((now, "out" if out else "in", bytes(frame)))

    def do(self, line: str) -> bool:
        """Run one line; whether it succeeded."""
        argv, self.copies = words(line), 0
        began = self.lab.now
        answer = self._send(argv) if argv[:2] == ["simvlan", "send"] else self._command(argv)
        if is_pause(line):
            self.calm.append((began, self.lab.now))
        self.answers.append(answer)
        return answer[0] == 0

    def _command(self, argv: list[str]) -> tuple[int, str]:
        self.lab.clock.advance(self.lab.now + COMMAND_NS)
        if self._rounds:
            self.net.linkwatch.next_round = self.lab.now + SECOND
        done = call(self.lab, argv)
        return done.status, done.out + done.err

    def _send(self, argv: list[str]) -> tuple[int, str]:
        _, _, _, space, device, _, octets = argv
        why = ""
        try:
            self.lab.send(f"{space}/{device}", bytes.fromhex(octets))
        except OSError as error:
            why = error.strerror or os.strerror(error.errno or 0)
        except KeyError:
            why = "No such device" if space in self.net.netns else "No such file or directory"
        self.lab.clock.advance(self.lab.now + FRAME_NS)
        return (1, f"simvlan send: {device}: {why}\n") if why else (0, "")

    def observation(self, lines: Sequence[str]) -> Observation:
        """What the lines done so far showed."""
        return observed(lines, self.answers, self.captures)


def observed(
    lines: Sequence[str],
    answers: Sequence[tuple[int, str]],
    captures: Captures,
    release: str = "",
) -> Observation:
    """The material of a comparison: the last listings apart from what other commands answered.

    Statuses are 0 or 1: a living iproute2 does not tell in which way a line failed (its text does).
    """
    answered: list[Answer] = []
    listings: dict[tuple[str, str], Any] = {}
    for line, (status, text) in zip(lines, answers, strict=False):
        where = listing_of(line)
        if where is None or status:
            answered.append((line, int(bool(status)), text))
        else:
            listings[where] = json.loads(text or "[]")
    return Observation(captures=captures, answers=answered, listings=listings, release=release)


def listing_of(line: str) -> tuple[str, str] | None:
    """(netns, subject of LISTINGS) of a line that lists one in JSON."""
    argv = words(line)
    if argv[0] not in ("ip", "bridge") or "-j" not in argv or "show" not in argv:
        return None
    subject = _SUBJECTS.get((argv[0], argv[argv.index("show") - 1]))
    subject = f"{subject}6" if subject == "route" and "-6" in argv else subject
    space = argv[argv.index("-n") + 1] if "-n" in argv else "root"
    return (space, subject) if subject else None


def words(line: str) -> list[str]:
    """A line's words; nearly all have no quotes."""
    return shlex.split(line) if "'" in line or '"' in line else line.split()


def label(dev: Device) -> str:
    """A device's kind and mode, as one says it."""
    it: Any = dev
    if dev.kind == "vlan":
        return f"vlan {'802.1ad' if it.proto == QINQ else '802.1Q'}"
    if dev.kind == "macvlan":
        return f"macvlan {it.mode_name}"
    if dev.kind == "ipvlan":
        return f"ipvlan {it.port.mode.value} {it.port.flag.value}"
    return dev.kind


def _point(dev: Device) -> str:
    return f"{dev.netns.name or 'root'}.{dev.name}"
