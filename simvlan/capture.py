"""Captures: what an AF_PACKET ETH_P_ALL socket bound to a device would see, written as pcap; and pcap read back.

One classic pcap file (nanosecond magic) per device and namespace, `DIR/<netns>.<device>.pcap`, from the device's
creation to its end, tags in place, as dev_queue_xmit_nit and the tap step of __netif_receive_skb_core show frames. The
one-file pcapng with comments is in `capture_ng.py`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from simvlan.devices.device import Device
from simvlan.frame import Frame

if TYPE_CHECKING:
    from simvlan.network import Network

PCAP_NS, PCAP_US = 0xA1B2_3C4D, 0xA1B2_C3D4
PCAPNG_BLOCK = 0x0A0D_0D0A
LINKTYPE_ETHERNET = 1
SNAPLEN = 262_144
FLUSH_AT = 1 << 16
"""Octets kept in memory per file: with thousands of devices no file may stay open."""


class PcapError(ValueError):
    """A file that is not an Ethernet pcap; the text names the file and the rule it breaks."""


def file_header(snaplen: int = SNAPLEN) -> bytes:
    """Return the 24 octets in front of every classic pcap file, nanosecond resolution."""
    return struct.pack("<IHHiIII", PCAP_NS, 2, 4, 0, 0, snaplen, LINKTYPE_ETHERNET)


def record(time_ns: int, octets: bytes, snaplen: int = SNAPLEN) -> bytes:
    """Return one packet record."""
    kept = octets[:snaplen]
    return struct.pack("<IIII", *divmod(time_ns, 1_000_000_000), len(kept), len(octets)) + kept


class PcapFile:
    """One growing pcap file; what was written by an earlier run is replaced."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._buffer = bytearray(file_header())
        self._mode = "wb"

    def add(self, time_ns: int, octets: bytes) -> None:
        """Append a frame."""
        self._buffer += record(time_ns, octets)
        if len(self._buffer) > FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        """Write what is still in memory."""
        with open(self.path, self._mode) as file:
            file.write(self._buffer)
        self._buffer.clear()
        self._mode = "ab"


class Attached(Protocol):
    """A capture as `attach` places it on devices."""

    def tap(self, now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
        """Take note of a frame at a device."""

    def watch(self, dev: Device, what: str) -> None:
        """Take note of a device that came ("add") or went ("del")."""


def attach(network: Network, capture: Attached) -> None:
    """Show a capture every device there is and will be, and every frame on them."""
    for dev in network.devices():
        dev.taps.append(capture.tap)
        capture.watch(dev, "add")
    network.watchers.append(capture.watch)


def detach(network: Network, capture: Attached) -> None:
    """Take a capture off every device."""
    if capture.watch in network.watchers:
        network.watchers.remove(capture.watch)
    for dev in network.devices():
        if capture.tap in dev.taps:
            dev.taps.remove(capture.tap)


class OutsideSnapshots:
    """Something that belongs to the real world: a copy of the network keeps pointing at the same one."""

    def __deepcopy__(self, memo: dict[int, Any]) -> OutsideSnapshots:
        return self


class PcapDir(OutsideSnapshots):
    """A folder of one pcap per device. A name used again appends to the same file."""

    def __init__(self, network: Network, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        os.makedirs(self.folder, exist_ok=True)
        self._files: dict[tuple[str, str], PcapFile] = {}
        attach(network, self)

    def watch(self, dev: Device, what: str) -> None:
        """Begin with a device's creation, so that one without any frame has a file too."""
        if what == "add":
            self._file(dev)
            if self.tap not in dev.taps:
                dev.taps.append(self.tap)

    def tap(self, now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
        """Append a frame to the file of the device's present name and namespace."""
        self._file(dev).add(now, bytes(frame))

    def flush(self) -> None:
        """Bring all files up to date."""
        for file in self._files.values():
            file.flush()

    def _file(self, dev: Device) -> PcapFile:
        key = (dev.netns.name, dev.name)
        found = self._files.get(key)
        if found is None:
            found = self._files[key] = PcapFile(os.path.join(self.folder, f"{key[0] or 'root'}.{key[1]}.pcap"))
        return found


def read_pcap(path: str | os.PathLike[str]) -> list[tuple[int, bytes]]:
    """Read an Ethernet pcap as (time in ns, octets), both byte orders and both resolutions.

    Raises:
        PcapError: not a pcap, another link type, or cut short; frames before the fault are not returned.
    """
    with open(path, "rb") as file:
        return parse_pcap(file.read(), os.fspath(path))


def parse_pcap(data: bytes, name: str) -> list[tuple[int, bytes]]:
    """Read a pcap that is in memory; *name* is for the complaint."""
    try:
        return list(_records(data))
    except PcapError as error:
        raise PcapError(f"{name}: {error}") from None


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    order, unit = _header(data)
    at = 24
    while at < len(data):
        if len(data) - at < 16:
            raise PcapError(f"cut short: {len(data) - at} octets of a record header (16) at offset {at}")
        sec, fraction, kept, size = struct.unpack_from(order + "IIII", data, at)
        at += 16
        if kept > SNAPLEN or kept > size:
            raise PcapError(f"record at offset {at - 16} claims {kept} octets of {size}: not a packet record")
        if len(data) - at < kept:
            raise PcapError(f"cut short: {len(data) - at} octets of a frame of {kept} at offset {at}")
        yield sec * 1_000_000_000 + fraction * unit, data[at : at + kept]
        at += kept


def _header(data: bytes) -> tuple[str, int]:
    """Check the file header; return byte order and the ns in one fraction unit."""
    if len(data) < 24:
        raise PcapError(f"{len(data)} octets are too few for a pcap header (24)")
    for order in "<>":
        magic, _, _, _, _, _, network = struct.unpack_from(order + "IHHiIII", data)
        if magic in (PCAP_NS, PCAP_US):
            if network & 0xFFFF != LINKTYPE_ETHERNET:
                raise PcapError(f"link type {network & 0xFFFF} is not Ethernet (1)")
            return order, 1 if magic == PCAP_NS else 1000
    if struct.unpack_from("<I", data)[0] == PCAPNG_BLOCK:
        raise PcapError("this is pcapng; convert it with `editcap -F pcap IN OUT`")
    raise PcapError(f"not a pcap file (it begins with {data[:4].hex(' ')})")
