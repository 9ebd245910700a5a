"""What DHCP programs said and sent, without what differs between any two runs."""

from __future__ import annotations

import re
from pathlib import Path

from simvlan.capture import read_pcap
from simvlan.oracle.masks import ALL_MASKS, ipv4_offset, masked

NOT_OURS = ("compile time options", "default.script", "Read-only", "bound exclusively")
"""Lines about how the real programs were built, and where they ran."""


def said(text: str) -> list[str]:
    """The lines of clients and servers, in any order: they come through several pipes."""
    text = re.sub(r"(pid|_expiry|_renewal_time|_rebinding_time)=\d+", r"\1=N", text)
    lines = (line.rstrip() for line in text.splitlines() if not any(word in line for word in NOT_OURS))
    return sorted(line for line in lines if re.match(r"udhcpc: |own: |dnsmasq-dhcp: |eth0@|default |10\.", line))


def is_dhcp(octets: bytes) -> bool:
    """Whether a frame is between DHCP's ports."""
    at = ipv4_offset(octets)
    return at is not None and octets[at + 9] == 17 and {octets[at + 21], octets[at + 23]} <= {67, 68}


def without_renewal_times(octets: bytes) -> bytes:
    """A frame with T1 and T2 zeroed: dnsmasq draws a little off them in renewals, and udhcpc ignores them."""
    at = octets.find(b"\x3a\x04", 282)
    return octets[: at + 2] + bytes(4) + octets[at + 6 : at + 8] + bytes(4) + octets[at + 12 :] if at > 0 else octets


def heard(folder: Path) -> dict[str, list[str]]:
    """The DHCP frames of every capture, masked, as hex; devices that saw none are left out."""
    found = {
        path.stem: [
            without_renewal_times(masked(octets, ALL_MASKS)).hex() for _, octets in read_pcap(path) if is_dhcp(octets)
        ]
        for path in sorted(folder.glob("*.pcap"))
    }
    return {name: frames for name, frames in found.items() if frames}
