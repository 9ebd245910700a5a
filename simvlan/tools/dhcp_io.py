"""How DHCP programs hear and speak: a UDP datagram without an address through a packet socket, and lines for people.

Mirrors networking/udhcp/packet.c of busybox. What these hold is copied with the network, so a server answers in a copy
too (`simvlan trace`, `simvlan matrix`); a copy says nothing to anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvlan.dhcp.message import CLIENT_PORT, SERVER_PORT, Message, MessageError, parse
from simvlan.frame import BROADCAST, IPV4, Frame
from simvlan.stack import packet
from simvlan.stack.ipaddr import LIMITED_BROADCAST
from simvlan.stack.packet import UDP, Packet, checksum, pseudo_sum
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.device import Device


class Voice:
    """Says lines and that the program ends; the voice of a copy is mute."""

    def __init__(
        self,
        say: Callable[[str], None] | None = None,
        end: Callable[[int], None] | None = None,
        write: Callable[[str, str], None] | None = None,
    ) -> None:
        self._say, self._end, self._write = say, end, write

    def __deepcopy__(self, memo: dict[int, Any]) -> Voice:
        return Voice()

    def say(self, text: str) -> None:
        """Write a line."""
        if self._say is not None:
            self._say(text + "\n")

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        if self._write is not None:
            self._write(name, text)

    def end(self, status: int) -> None:
        """End the program that waits, once."""
        ending, self._end = self._end, None
        if ending is not None:
            ending(status)


def datagram(src: int, dst: int, sport: int, dport: int, data: bytes, tos: int = 0, ttl: int = 64) -> bytes:
    """An IPv4 packet with a UDP datagram, identification 0, as udhcpc builds it."""
    size = 8 + len(data)
    head = b"".join(each.to_bytes(2, "big") for each in (sport, dport, size))
    whole = pseudo_sum(src, dst, UDP, size).to_bytes(2, "big") + head + b"\0\0" + data
    value = checksum(whole) or 0xFFFF
    return packet.build(src, dst, UDP, head + value.to_bytes(2, "big") + data, ttl, tos)


def broadcast(dev: Device, msg: Message, src: int, tos: int = 0, ttl: int = 64) -> Frame:
    """A client's message to everybody."""
    data = datagram(src, LIMITED_BROADCAST, CLIENT_PORT, SERVER_PORT, msg.pack(), tos, ttl)
    return Frame(BROADCAST, dev.mac, IPV4, data)


def heard(frame: Frame) -> Message | None:
    """The DHCP message to a client in a frame, if there is one and its checksums are right."""
    found = packet.parse(frame.payload, None, frame.csum)
    if isinstance(found, Drop) or found.proto != UDP or found.frag & 0x3FFF or not _to_client(found):
        return None
    try:
        return parse(found.payload[8:])
    except MessageError:
        return None


def _to_client(found: Packet) -> bool:
    data = found.payload
    if len(data) < 8 or int.from_bytes(data[2:4], "big") != CLIENT_PORT:
        return False
    pseudo = pseudo_sum(found.src, found.dst, UDP, len(data)).to_bytes(2, "big")
    return bool(found.partial) or data[6:8] == b"\0\0" or checksum(pseudo + data) == 0
