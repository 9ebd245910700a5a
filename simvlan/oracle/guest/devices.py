"""What a namespace knows of a device that is to send: SIOCGIFHWADDR, SIOCGIFADDR, /proc/net/arp."""

from __future__ import annotations

import fcntl
import socket
import struct
from dataclasses import dataclass

_SIOCGIFADDR, _SIOCGIFHWADDR = 0x8915, 0x8927
_ATF_COM = 2


@dataclass(frozen=True)
class Facts:
    """A device's MAC, its first IPv4 address (0: none), and the neighbours known on it."""

    mac: int
    address: int
    neighbours: dict[int, int]


def facts(device: str) -> Facts:
    """Of a device in the caller's namespace; OSError ENODEV if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("256s", device.encode()[:15])
        mac = fcntl.ioctl(sock.fileno(), _SIOCGIFHWADDR, request)[18:24]
        try:
            address = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, request)[20:24]
        except OSError:
            address = bytes(4)
    return Facts(int.from_bytes(mac, "big"), int.from_bytes(address, "big"), _neighbours(device))


def _neighbours(device: str) -> dict[int, int]:
    found = {}
    with open("/proc/thread-self/net/arp") as table:
        next(table)
        for line in table:
            ip, _, flags, mac, _, name = line.split()
            if name == device and int(flags, 16) & _ATF_COM:
                found[int.from_bytes(socket.inet_aton(ip), "big")] = int(mac.replace(":", ""), 16)
    return found
