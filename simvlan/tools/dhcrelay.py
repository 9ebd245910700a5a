"""dhcrelay: a DHCP relay agent as ISC's is called; option 82 is not modelled."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from ipaddress import IPv4Address
from typing import Any

import simpy

from simvlan.tools.dhcp_serving import RelayService
from simvlan.tools.program import Process

USAGE = "Usage: dhcrelay [-4] [-d] [-q] [-i DEV | -id DEV | -iu DEV]... SERVER...\n"


def main(proc: Process) -> Generator[Any, Any, int]:
    """Relay until a signal (-d), or go to the background."""
    words = list(proc.argv[1:])
    down: list[str] = []
    up: list[str] = []
    servers: list[str] = []
    flags: set[str] = set()
    while words:
        word = words.pop(0)
        if word in ("-i", "-id", "-iu") and words:
            (up if word == "-iu" else down).append(words.pop(0))
        elif word in ("-4", "-d", "-q"):
            flags.add(word)
        elif word.startswith("-"):
            proc.write_err(f"simvlan: dhcrelay: {word} is not modelled\n{USAGE}")
            return 95
        else:
            servers.append(word)
    ns = proc.lab.network.netns[proc.netns]
    unknown = [name for name in down + up if name not in ns.devices]
    if unknown or not servers:
        proc.write_err(f"dhcrelay: no interface {unknown[0]}\n" if unknown else f"No servers specified.\n{USAGE}")
        return 1
    try:
        service = RelayService(proc.lab.network, ns, [int(IPv4Address(each)) for each in servers], frozenset(), down)
        service.start()
    except (ValueError, OSError) as error:
        proc.write_err(f"dhcrelay: {getattr(error, 'strerror', None) or error}\n")
        return 1
    if "-d" not in flags:
        return 0
    with contextlib.suppress(simpy.Interrupt):
        yield proc.lab.env.event()
    service.stop()
    return 0
