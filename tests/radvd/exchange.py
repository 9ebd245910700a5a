"""What routers and hosts said of each other, without what differs between any two runs."""

from __future__ import annotations

from pathlib import Path

from simvlan.capture import read_pcap
from simvlan.oracle.agreement import tidy_text
from simvlan.oracle.masks6 import ALL_MASKS, ipv6_offset, masked, upper

RS, RA = 133, 134


def said(text: str) -> list[str]:
    """The lines of a script, without durations."""
    return tidy_text(text).splitlines()


def is_routers(octets: bytes) -> bool:
    """Whether a frame looks for routers or is from one."""
    at = ipv6_offset(octets)
    found = upper(octets, at) if at is not None else None
    return found is not None and found[0] == 58 and octets[found[1]] in (RS, RA)


def heard(folder: Path) -> dict[str, list[str]]:
    """Solicitations and advertisements of every capture as hex, flow labels masked; devices without are left out."""
    found = {
        path.stem: [masked(octets, ALL_MASKS).hex() for _, octets in read_pcap(path) if is_routers(octets)]
        for path in sorted(folder.glob("*.pcap"))
    }
    return {name: frames for name, frames in found.items() if frames}
