"""`simvlan send` inside a kernel: frames through an AF_PACKET socket, the ethertype in the socket address.

A socket bound with ETH_P_ALL would leave skb->protocol unset on macvlan and ipvlan before Linux 6.12, so none is bound.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
    """One frame to transmit; `netns` None means the caller's."""

    netns: str | None
    device: str
    octets: bytes


def parse(args: list[str], cwd: str) -> tuple[list[Shot], float]:
    """The frames that a `simvlan` command line asks for, and the pause in seconds after each."""
    if not args or args[0] != "send":
        raise UsageError("only 'send' works inside a script on a real kernel\n" + USAGE)
    options, words = _split(args[1:])
    return _shots(options, words, cwd), float(options.get("--pause", PAUSE_MS)) / 1000


def _shots(options: dict[str, str], words: list[str], cwd: str) -> list[Shot]:
    if "--batch" in options:
        return _batch(Path(cwd, options["--batch"]))
    if "--hex" not in options and len(words) == 2:
        octets = _scapy(words.pop())
    else:
        octets = _octets(options.get("--hex", ""))
    if len(words) != 1:
        raise UsageError(USAGE)
    return [Shot(options.get("--netns"), words[0], octets)] * int(options.get("--count", "1"))


def _split(args: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    words: list[str] = []
    rest = iter(args)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in ("--netns", "--hex", "--count", "--batch", "--pause"):
            options[name] = value if equals else next(rest, "")
        elif word.startswith("--"):
            raise UsageError(f"unknown option {word}\n" + USAGE)
        else:
            words.append(word)
    return options, words


def _octets(text: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", ""))
    except ValueError as error:
        raise UsageError(f"--hex: {error}") from error


def _scapy(expression: str) -> bytes:
    scope: dict[str, object] = {}
    exec("from scapy.all import *", scope)
    return bytes(eval(expression, scope))


def _batch(path: Path) -> list[Shot]:
    shots = []
    for line in path.read_text().splitlines():
        if words := line.split("#")[0].split():
            netns, device, octets = words
            shots.append(Shot("root" if netns == "-" else netns, device, _octets(octets)))
    return shots


class Sender:
    """Packet sockets by namespace, kept for one command: closing one costs the kernel an RCU grace period."""

    def __init__(self, open_ns: Callable[[str | None], int]) -> None:
        self._open_ns = open_ns
        self._sockets: dict[str | None, socket.socket] = {}

    def fire(self, shots: list[Shot], pause: Callable[[], None]) -> list[str]:
        """Transmit in order with a pause after each; the complaints."""
        complaints = []
        for shot in shots:
            try:
                self._transmit(shot)
            except OSError as error:
                complaints.append(f"simvlan send: {shot.device}: {os.strerror(error.errno or 0)}")
            pause()
        for sock in self._sockets.values():
            sock.close()
        return complaints

    def _transmit(self, shot: Shot) -> None:
        ethertype = int.from_bytes(shot.octets[12:14], "big")
        self._socket(shot.netns).sendto(shot.octets, (shot.device, ethertype))

    def _socket(self, netns: str | None) -> socket.socket:
        if netns not in self._sockets:
            fd = self._open_ns(netns)
            try:
                self._sockets[netns] = within(fd, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            finally:
                os.close(fd)
        return self._sockets[netns]
