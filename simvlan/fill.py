"""What somebody wants sent becomes frames: what a scapy packet leaves open comes from the sending device.

Scapy by itself would take the addresses of the machine it runs on, and ask that machine's network for the MAC of a
destination. Here the namespace of the sending device plays that part: its addresses, its neighbour table.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, TypeAlias

from simvlan.capture import read_pcap
from simvlan.frame import BROADCAST, Frame, mac_text
from simvlan.stack.ipaddr import multicast_mac

if TYPE_CHECKING:
    from simvlan.devices.device import Device


FrameLike: TypeAlias = "Frame | bytes | str | os.PathLike[str] | Any"
"""A Frame, octets, a scapy packet, the name of a pcap file, or several of them."""


@dataclass(frozen=True)
class Sender:
    """What a packet may leave open: the device's MAC, its first IPv4 address (0: none), whom its namespace knows."""

    mac: int
    address: int
    neighbour: Callable[[int], int | None]
    """The MAC of an IPv4 address, if the neighbour table has it."""
    address6: Callable[[int], int] | None = None
    """The source for an IPv6 destination (0: none); without it a packet has to name its own."""
    neighbour6: Callable[[int], int | None] = lambda _address: None
    """The MAC of an IPv6 address, likewise."""


def to_frame(packet: Any, dev: Device) -> Frame:
    """Build a frame of a scapy packet that *dev* is to send."""
    stack = dev.netns.stack
    addresses = stack.indev(dev).addresses

    def neighbour(ip: int) -> int | None:
        entry = stack.neigh.get(dev, ip)
        return entry.mac if entry is not None and entry.valid else None

    def source6(ip: int) -> int:
        return (stack.ip6.select.source(dev, ip) or 0) if stack.ip6 is not None else 0

    def neighbour6(ip: int) -> int | None:
        entry = stack.ip6.neigh.get(dev, ip) if stack.ip6 is not None else None
        return entry.mac if entry is not None and entry.valid else None

    here = Sender(dev.mac, addresses[0].local if addresses else 0, neighbour, source6, neighbour6)
    return Frame.parse(to_octets(packet, here))


def to_octets(packet: Any, sender: Sender) -> bytes:
    """Build the octets of a scapy packet, what it leaves open being the sender's."""
    packet = packet.copy()
    for layer in _layers(packet):
        _fill(layer, sender)
    return bytes(packet)


def frames_of(what: FrameLike, dev: Device) -> list[Frame]:
    """Turn whatever describes frames into frames that *dev* sends.

    Raises:
        FileNotFoundError: no such pcap file.
        TypeError: it describes no frame.
    """
    if isinstance(what, Frame):
        return [what]
    if is_packet(what):
        return [to_frame(what, dev)]
    if isinstance(what, (bytes, bytearray, memoryview)):
        return [Frame.parse(bytes(what))]
    if isinstance(what, (str, os.PathLike)):
        if not os.path.exists(what):
            hint = "no such pcap file (a frame is given as octets or as a scapy packet, not as text)"
            raise FileNotFoundError(errno.ENOENT, hint, os.fspath(what))
        return [Frame.parse(octets) for _, octets in read_pcap(what)]
    if isinstance(what, Iterable):
        return [frame for each in what for frame in frames_of(each, dev)]
    raise TypeError(f"{what!r} is no frame: octets, a scapy packet, a Frame or the name of a pcap file is expected")


def is_packet(what: object) -> bool:
    """Say whether this is a scapy packet, without loading scapy to find out."""
    return any(kind.__module__ == "scapy.packet" and kind.__name__ == "Packet" for kind in type(what).__mro__)


def _layers(packet: Any) -> Iterator[Any]:
    from scapy.packet import NoPayload

    while packet is not None and not isinstance(packet, NoPayload):
        yield packet
        packet = packet.payload


def _fill(layer: Any, sender: Sender) -> None:
    from scapy.fields import ConditionalField, Emph, SourceIPField
    from scapy.layers.l2 import DestMACField, SourceMACField

    for field in layer.fields_desc:
        if layer.fields.get(field.name) is not None:
            continue
        field = field.fld if isinstance(field, (Emph, ConditionalField)) else field
        if _may_be(field, SourceMACField):
            layer.fields[field.name] = mac_text(sender.mac)
        elif _may_be(field, SourceIPField):
            layer.fields[field.name] = str(IPv4Address(sender.address))
        elif type(field).__name__ == "SourceIP6Field":
            layer.fields[field.name] = str(IPv6Address(_source6(layer, sender)))
        elif isinstance(field, DestMACField):
            layer.fields[field.name] = mac_text(_destination(layer, sender))


def _source6(layer: Any, sender: Sender) -> int:
    """The source for the IPv6 destination of a layer.

    Raises:
        ValueError: nobody here knows it: on a kernel a packet names its own.
    """
    if sender.address6 is None:
        raise ValueError("IPv6(src=...) is to be given where a kernel sends the frame")
    return sender.address6(int(IPv6Address(layer.dst)))


def _may_be(field: Any, kind: type) -> bool:
    """Say whether a field is of a kind; ARP's are of several, as its hardware and protocol types say."""
    choices = [choice[0] for choice in getattr(field, "flds", ())]
    return any(isinstance(each, kind) for each in [field, *choices])


def _destination(layer: Any, sender: Sender) -> int:
    """Return the MAC for the IP destination inside: mapped for groups, a neighbour's if known, else broadcast."""
    from scapy.layers.inet import IP

    inside = next((each for each in _layers(layer) if isinstance(each, IP) or type(each).__name__ == "IPv6"), None)
    if inside is not None and not isinstance(inside, IP):
        return _destination6(int(IPv6Address(inside.dst)), sender)
    try:
        ip = int(IPv4Address(inside.dst)) if inside is not None else 0
    except ValueError:
        return BROADCAST  # a range of addresses
    if IPv4Address(ip).is_multicast:
        return multicast_mac(ip)
    known = sender.neighbour(ip)
    return BROADCAST if known is None else known


def _destination6(ip: int, sender: Sender) -> int:
    """Return the MAC for an IPv6 destination, in the same way."""
    if ip >> 120 == 0xFF:
        return 0x3333 << 32 | ip & 0xFFFF_FFFF
    known = sender.neighbour6(ip)
    return BROADCAST if known is None else known
