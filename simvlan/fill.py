"""Scapy packets become frames: what a packet leaves open comes from the sending device, not from this machine.

Scapy by itself would take the addresses of the machine it runs on, and ask that machine's network for the MAC of a
destination. Here the namespace of the sending device plays that part: its addresses, its neighbour table.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

from simvlan.devices.device import Device
from simvlan.frame import BROADCAST, Frame, mac_text
from simvlan.stack.ipaddr import multicast_mac


def to_frame(packet: Any, dev: Device) -> Frame:
    """Build a frame of a scapy packet that *dev* is to send."""
    packet = packet.copy()
    for layer in _layers(packet):
        _fill(layer, dev)
    return Frame.parse(bytes(packet))


def is_packet(what: object) -> bool:
    """Say whether this is a scapy packet, without loading scapy to find out."""
    return any(kind.__module__ == "scapy.packet" and kind.__name__ == "Packet" for kind in type(what).__mro__)


def _layers(packet: Any) -> Iterator[Any]:
    from scapy.packet import NoPayload

    while packet is not None and not isinstance(packet, NoPayload):
        yield packet
        packet = packet.payload


def _fill(layer: Any, dev: Device) -> None:
    from scapy.fields import ConditionalField, Emph, SourceIPField
    from scapy.layers.l2 import DestMACField, SourceMACField

    for field in layer.fields_desc:
        if layer.fields.get(field.name) is not None:
            continue
        field = field.fld if isinstance(field, (Emph, ConditionalField)) else field
        if _may_be(field, SourceMACField):
            layer.fields[field.name] = mac_text(dev.mac)
        elif _may_be(field, SourceIPField):
            layer.fields[field.name] = _own_address(dev)
        elif isinstance(field, DestMACField):
            layer.fields[field.name] = mac_text(_destination(layer, dev))


def _may_be(field: Any, kind: type) -> bool:
    """Say whether a field is of a kind; ARP's are of several, as its hardware and protocol types say."""
    choices = [choice[0] for choice in getattr(field, "flds", ())]
    return any(isinstance(each, kind) for each in [field, *choices])


def _own_address(dev: Device) -> str:
    addresses = dev.netns.stack.indev(dev).addresses
    return str(IPv4Address(addresses[0].local if addresses else 0))


def _destination(layer: Any, dev: Device) -> int:
    """Return the MAC for the IPv4 destination inside: mapped for groups, a neighbour's if known, else broadcast."""
    from scapy.layers.inet import IP

    inside = next((each for each in _layers(layer) if isinstance(each, IP)), None)
    try:
        ip = int(IPv4Address(inside.dst)) if inside is not None else 0
    except ValueError:
        return BROADCAST  # a range of addresses
    if IPv4Address(ip).is_multicast:
        return multicast_mac(ip)
    entry = dev.netns.stack.neigh.get(dev, ip)
    return entry.mac if entry is not None and entry.valid else BROADCAST
