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

PAUSE_S = 0.02  # lets the macvlan and ipvlan work queues run between frames

USAGE = (
    "usage: simvlan send [--netns NS] DEV (--hex OCTETS | 'SCAPY EXPRESSION') [--count N]\n"
    "       simvlan send --batch FILE          (lines: NS DEV OCTETS; '-' or root: the initial namespace)"
)


class UsageError(Exception):
    """The command line is not understood."""


@dataclass(frozen=True)
class Shot:
    """One frame to transmit; `netns` None means the caller's."""

    netns: str | None
    device: str
    octets: bytes


def parse(args: list[str], cwd: str) -> list[Shot]:
    """The frames that a `simvlan` command line asks for."""
    if not args or args[0] != "send":
        raise UsageError("only 'send' works inside a script on a real kernel\n" + USAGE)
    options, words = _split(args[1:])
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
        if name in ("--netns", "--hex", "--count", "--batch"):
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


def transmit(ns_fd: int, device: str, octets: bytes) -> None:
    """Send one frame on `device` of the namespace behind `ns_fd`."""
    ethertype = int.from_bytes(octets[12:14], "big")
    with within(ns_fd, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)) as sock:
        sock.sendto(octets, (device, ethertype))


def fire(shots: list[Shot], open_ns: Callable[[str | None], int], pause: Callable[[float], None]) -> list[str]:
    """Transmit in order with a pause after each; the complaints."""
    complaints = []
    for shot in shots:
        try:
            _fire_one(shot, open_ns)
        except OSError as error:
            complaints.append(f"simvlan send: {shot.device}: {os.strerror(error.errno or 0)}")
        pause(PAUSE_S)
    return complaints


def _fire_one(shot: Shot, open_ns: Callable[[str | None], int]) -> None:
    fd = open_ns(shot.netns)
    try:
        transmit(fd, shot.device, shot.octets)
    finally:
        os.close(fd)
