"""`simvlan send` inside a kernel: frames through an AF_PACKET socket, the ethertype in the socket address.

A socket bound with ETH_P_ALL would leave skb->protocol unset on macvlan and ipvlan before Linux 6.12, so none is bound.
Command line, frame notations and complaints are those of the simulator's `simvlan send` (simvlan.shell.send, which
knows no rule either); `--batch FILE` and `--pause MS` are for programs that send much.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import devices
from .tap import within

PAUSE_MS = 20.0  # lets the macvlan and ipvlan work queues run between frames

USAGE = (
    "usage: simvlan send [--netns NS] DEV (--hex OCTETS | 'SCAPY EXPRESSION') [--count N]\n"
    "       simvlan send --batch FILE          (lines: NS DEV OCTETS; '-' or root: the initial namespace)\n"
    "       --pause MS: how long to let the kernel work after each frame (default 20)"
)


class UsageError(Exception):
    """The command line is not understood."""


@dataclass(frozen=True)
class Shot:
    """One frame to transmit: octets, or a scapy packet; `netns` None means the caller's."""

    netns: str | None
    device: str
    frame: Any


@dataclass(frozen=True)
class Order:
    """What one command line asks for."""

    shots: list[Shot] = field(default_factory=list)
    pause_s: float = PAUSE_MS / 1000
    batch: bool = False
    """Go on after a frame that was refused, and name devices without their namespace."""


def parse(args: list[str], cwd: str) -> Order:
    """What a `simvlan` command line asks for."""
    if not args or args[0] != "send":
        raise UsageError("only `send` works inside a script on a real kernel")
    words, pause_s = _without_pause(args[1:])
    if words[:1] == ["--batch"] and len(words) == 2:
        return Order(_batch(Path(cwd, words[1])), pause_s, batch=True)
    return Order(_shots(words), pause_s)


def _without_pause(words: list[str]) -> tuple[list[str], float]:
    if "--pause" not in words:
        return words, PAUSE_MS / 1000
    at = words.index("--pause")
    try:
        return words[:at] + words[at + 2 :], float(words[at + 1]) / 1000
    except (IndexError, ValueError):
        raise UsageError("send: --pause needs milliseconds\n" + USAGE) from None


def _shots(words: list[str]) -> list[Shot]:
    from simvlan.shell.send import UsageError as SendUsageError
    from simvlan.shell.send import parse_line

    try:
        options, frame = parse_line(words)
    except (SendUsageError, ValueError) as error:
        raise UsageError(f"send: {error}") from error
    return [Shot(options.netns, options.device, frame)] * options.count


def _batch(path: Path) -> list[Shot]:
    shots = []
    for line in path.read_text().splitlines():
        if words := line.split("#")[0].split():
            netns, device, octets = words
            shots.append(Shot("root" if netns == "-" else netns, device, bytes.fromhex(octets)))
    return shots


class Sender:
    """Packet sockets by namespace, kept for one command: closing one costs the kernel an RCU grace period."""

    def __init__(self, open_ns: Callable[[str | None], int], name_of: Callable[[], str]) -> None:
        """`name_of()` names the caller's namespace."""
        self._open_ns = open_ns
        self._name_of = name_of
        self._sockets: dict[str | None, socket.socket] = {}

    def fire(self, order: Order, pause: Callable[[], None]) -> list[str]:
        """Transmit in order with a pause after each; the complaints."""
        complaints = []
        for shot in order.shots:
            try:
                self._transmit(shot)
            except (OSError, ValueError) as error:
                complaints.append(self._complaint(shot, error, order.batch))
            pause()
            if complaints and not order.batch:
                break
        for sock in self._sockets.values():
            sock.close()
        return complaints

    def _complaint(self, shot: Shot, error: OSError | ValueError, batch: bool) -> str:
        if isinstance(error, ValueError):  # what the frame leaves open
            return f"simvlan send: {shot.device}: {error}"
        why = os.strerror(error.errno or 0)
        if batch:
            return f"simvlan send: {shot.device}: {why}"
        netns = shot.netns or self._name_of()
        if isinstance(error, FileNotFoundError):
            why = f'no network namespace "{netns}"'
        elif error.errno == errno.ENODEV:
            why = f'no device "{shot.device}" in namespace "{netns}"'
        return f"simvlan send: {netns}/{shot.device}: {why}"

    def _transmit(self, shot: Shot) -> None:
        sock = self._socket(shot.netns)
        octets = shot.frame if isinstance(shot.frame, bytes) else self._filled(shot)
        sock.sendto(octets, (shot.device, int.from_bytes(octets[12:14], "big")))

    def _filled(self, shot: Shot) -> bytes:
        from simvlan import fill

        fd = self._open_ns(shot.netns)
        try:
            facts = within(fd, lambda: devices.facts(shot.device))
        finally:
            os.close(fd)
        return fill.to_octets(shot.frame, fill.Sender(facts.mac, facts.address, facts.neighbours.get))

    def _socket(self, netns: str | None) -> socket.socket:
        if netns not in self._sockets:
            fd = self._open_ns(netns)
            try:
                self._sockets[netns] = within(fd, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            finally:
                os.close(fd)
        return self._sockets[netns]
