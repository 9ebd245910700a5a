"""What programs that ask name servers said, without what differs between any two runs."""

from __future__ import annotations

import re
from pathlib import Path

from simvlan.capture import read_pcap
from simvlan.oracle.masks import ipv4_offset

CHANGES = ((r", id: \d+", ", id: N"), (r"time: \d+ msec", "time: N msec"), (r"WHEN: .*", "WHEN: NOW"))


def said(text: str) -> list[str]:
    """The lines, numbers, durations and dates replaced."""
    for pattern, plain in CHANGES:
        text = re.sub(pattern, plain, text)
    return text.splitlines()


def asked(folder: Path) -> list[str]:
    """Every DNS message at the client's device as hex; its number and cookie, which are drawn, as zeros."""
    found = []
    for _, octets in read_pcap(folder / "c1.eth0.pcap"):
        at = ipv4_offset(octets)
        if (
            at is not None
            and octets[at + 9] == 17
            and b"\0\x35" in (octets[at + 20 : at + 22], octets[at + 22 : at + 24])
        ):
            message = octets[at + 28 :]
            cookie = message.find(b"\0\x0a\0\x08")
            plain = message if cookie < 0 else message[: cookie + 4] + bytes(8) + message[cookie + 12 :]
            found.append((bytes(2) + plain[2:]).hex())
    return found
