"""`simvlan live`: a script's network on the wall's time, with wires to real devices."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simvlan.docker.control import Control
from simvlan.docker.private import CONTROL, SocketTaken, socket_folder
from simvlan.live.attach import Attachment, parse_all
from simvlan.live.overload import Overload
from simvlan.live.places import Unattachable, become_own_root, can_manage
from simvlan.live.stream import LiveCapture
from simvlan.live.watch import Watch
from simvlan.live.world import LiveWorld, enter_command

FAILED, USAGE = 1, 2
PARENTS_KEPT = 1 << 16
"""Frames whose origin is remembered while somebody traces: a live run has no end."""


def run(options: argparse.Namespace, build: Callable[[], tuple[Any, int]]) -> int:
    """Build the network (*build* gives a lab and a status), attach, run; the exit status."""
    try:
        wanted = parse_all(options.attach)
        options.sockets = str(socket_folder(options.sockets))  # before this user may become another
        own = _own_place(wanted)
        lab, status = build()
        return status or _live(options, lab, wanted, own)
    except (Unattachable, SocketTaken) as error:
        return _complain(str(error))
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _complain(text: str, status: int = USAGE) -> int:
    print(f"simvlan: live: {text}", file=sys.stderr)
    return status


def say(text: str) -> None:
    """One line for the user."""
    print(f"simvlan: {text}", file=sys.stderr, flush=True)


def _own_place(wanted: list[Attachment]) -> bool:
    """Without the right to make devices, go where one has it; whether that was done."""
    if can_manage() or not any(each.kind == "tap" and not each.netns for each in wanted):
        return False
    if why := become_own_root():
        say(f"no CAP_NET_ADMIN, and no namespaces of one's own either ({why}): only TAPs made for you can be attached")
        return False
    return True


def _live(options: argparse.Namespace, lab: Any, wanted: list[Attachment], own: bool) -> int:
    world = LiveWorld(lab, say)
    network = lab.network
    try:
        world.rounds.append(Overload(world, time.monotonic_ns))
        if options.pcapng:
            world.rounds.append(LiveCapture(network, options.pcapng, say))
        if options.watch:
            world.rounds.append(Watch(world, sys.stdout, time.monotonic_ns))
        network.parents_kept = PARENTS_KEPT
        world.attach(wanted)
        folder = socket_folder(options.sockets) / options.name
        folder.mkdir(mode=0o700, exist_ok=True)
        world.closing.append(Control(world, folder / CONTROL).close)
        _announce(options, world, own)
        until = None if options.duration is None else time.monotonic_ns() + int(options.duration * 1e9)
        with world.stopping():
            world.run(until)
        _report(world, options.json)
        return FAILED if world.ports and all(port.gone for port in world.ports) else 0
    finally:
        world.close()
        _remove(socket_folder(options.sockets) / options.name)


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def _announce(options: argparse.Namespace, world: LiveWorld, own: bool) -> None:
    if own:
        say(f"no CAP_NET_ADMIN: namespaces of its own were made; enter them: {enter_command()}")
    for port in world.ports:
        dev = port.dev
        state = "" if dev.up else f" (down: simvlan exec {options.name} ip -n {dev.netns.name} link set {dev.name} up)"
        say(f"{dev.path} = {port.endpoint.label}{state}")
    say(f"live; change it with: simvlan exec {options.name} ip ...   (Ctrl-C ends it)")


def _report(world: LiveWorld, as_json: bool) -> None:
    """The numbers of the run, as lines on standard error or as one object on standard output."""
    if as_json:
        print(json.dumps(_numbers(world)), flush=True)
        return
    for port in world.ports:
        lost = f", {port.lost()} lost before they were read" if port.lost() else ""
        refused = "".join(f", {count} not taken: {drop.name}" for drop, count in port.refused.items())
        say(f"{port.dev.path} = {port.endpoint.label}: {port.received} frames in{lost}, {port.sent} out{refused}")
    for each in world.rounds:
        if isinstance(each, LiveCapture) and each.left_out:
            say(f"--pcapng: {each.left_out} frames left out: the reader was too slow")
    say(f"lateness: {world.engine.lateness}")


def _numbers(world: LiveWorld) -> dict[str, Any]:
    """Ports with their frames and octets, lateness in ns."""
    late = world.engine.lateness
    ports = [
        {
            "device": port.dev.path,
            "real": port.endpoint.label,
            "in": port.received,
            "in_octets": port.received_octets,
            "lost": port.lost(),
            "out": port.sent,
            "out_octets": port.sent_octets,
            "not_taken": {drop.name: count for drop, count in port.refused.items()},
            "gone": port.gone,
        }
        for port in world.ports
    ]
    shares = {f"p{round(share * 100)}": late.percentile(share) for share in (0.5, 0.9, 0.99)}
    told = {"events": late.count, **shares, "worst": late.worst_ns, "stalls": late.stalls, "stalled": late.stalled_ns}
    return {"ports": ports, "lateness_ns": told}
