"""pcapng: one file for a whole run, an interface per device, and beside every frame what the rules said about it.

Blocks as in the IETF draft opsawg-pcapng: section header, interface description (if_name `netns.device`, if_tsresol
nanoseconds), enhanced packet (direction flags, opt_comment). A frame that ended before any packet socket could see it
is written too, with a comment that says so.
"""

from __future__ import annotations

import struct
from typing import IO

from simvlan.capture import LINKTYPE_ETHERNET, SNAPLEN, OutsideSnapshots, attach
from simvlan.devices.device import Device
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.trace import Step, happened, listen

SECTION, INTERFACE, PACKET = 0x0A0D_0D0A, 1, 6
COMMENT, IF_NAME, IF_DESCRIPTION, IF_TSRESOL, EPB_FLAGS = 1, 2, 3, 9, 2
INBOUND, OUTBOUND = 1, 2


def option(code: int, value: bytes) -> bytes:
    """Return one option, padded to 32 bits."""
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind: int, body: bytes, options: bytes = b"") -> bytes:
    """Return one block: type, length, body, options, length again."""
    if options:
        options += option(0, b"")
    size = struct.pack("<I", 12 + len(body) + len(options))
    return struct.pack("<I", kind) + size + body + options + size


def section_header() -> bytes:
    """Return the block every file begins with (version 1.0, length unknown)."""
    return block(SECTION, struct.pack("<IHHq", 0x1A2B_3C4D, 1, 0, -1), option(4, b"simvlan"))


def interface(name: str, description: str) -> bytes:
    """Return the description of one interface, nanosecond timestamps."""
    options = option(IF_NAME, name.encode()) + option(IF_DESCRIPTION, description.encode())
    return block(INTERFACE, struct.pack("<HHI", LINKTYPE_ETHERNET, 0, SNAPLEN), options + option(IF_TSRESOL, b"\x09"))


def packet(index: int, time_ns: int, octets: bytes, direction: int, comments: list[str]) -> bytes:
    """Return one frame seen on an interface."""
    head = struct.pack("<IIIII", index, time_ns >> 32, time_ns & 0xFFFF_FFFF, len(octets), len(octets))
    options = b"".join(option(COMMENT, text.encode()) for text in comments)
    return block(
        PACKET, head + octets + bytes(-len(octets) % 4), options + option(EPB_FLAGS, struct.pack("<I", direction))
    )


class _Seen:
    """A frame at a device, until its instant is over and no more can be said about it."""

    __slots__ = ("comments", "direction", "index", "octets", "time_ns")

    def __init__(self, index: int, time_ns: int, octets: bytes, direction: int) -> None:
        self.index, self.time_ns, self.octets, self.direction = index, time_ns, octets, direction
        self.comments: list[str] = []

    def to_bytes(self) -> bytes:
        return packet(self.index, self.time_ns, self.octets, self.direction, self.comments)


class PcapNg(OutsideSnapshots):
    """Writes the whole run to one file. Frames wait in memory until their instant is over."""

    epoch_ns = 0
    """What the network's time 0 is called in the file."""

    def __init__(self, network: Network, file: IO[bytes]) -> None:
        self.network = network
        self.file = file
        self._interfaces: dict[tuple[str, str], int] = {}
        self._pending: list[_Seen] = []
        self._latest: dict[tuple[int, str, str], _Seen] = {}
        self._now = -1
        file.write(section_header())
        attach(network, self)
        listen(network, self.hear)

    def watch(self, dev: Device, what: str) -> None:
        """Describe a new device."""
        if what == "add":
            self._interface(dev.netns.name, dev.name, dev.kind)
            if self.tap not in dev.taps:
                dev.taps.append(self.tap)

    def tap(self, now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
        """Remember a frame seen by packet sockets."""
        self._see(now, dev.netns.name, dev.name, frame, OUTBOUND if outgoing else INBOUND, self.network.tracing_frame)

    def hear(self, step: Step) -> None:
        """Write a rule's answer beside the frame it is about."""
        place = (step.netns, step.device)
        text = f"frame {step.fid}, {step.way}, {step.rule}: {happened(step)}"
        seen = self._find(step)
        if seen is None:
            if step.drop is None:
                return
            seen = self._see(step.t_ns, *place, step.frame, OUTBOUND if step.way == "tx" else INBOUND, step.fid)
            text += " (not seen by packet sockets on this device)"
        seen.comments.append(text)
        if step.drop is not None:
            seen.comments.append(f"DROP {step.drop.name}: {step.sentence}. Remedy: {step.drop.remedy}")

    def _find(self, step: Step) -> _Seen | None:
        """Return where this instant showed the frame, or the one it is a copy of, on the step's device."""
        if step.t_ns != self._now:
            return None
        here = (step.netns, step.device)
        return self._latest.get((step.fid, *here)) or self._latest.get((step.parent, *here))

    def flush(self) -> None:
        """Write everything seen so far."""
        self.file.write(b"".join(seen.to_bytes() for seen in self._pending))
        self._pending.clear()
        self._latest.clear()
        self.file.flush()

    def _see(self, now: int, netns: str, name: str, frame: Frame, direction: int, fid: int) -> _Seen:
        if now != self._now:
            self.flush()
            self._now = now
        seen = _Seen(self._interface(netns, name, ""), now + self.epoch_ns, bytes(frame), direction)
        self._pending.append(seen)
        self._latest[fid, netns, name] = seen
        return seen

    def _interface(self, netns: str, name: str, kind: str) -> int:
        index = self._interfaces.get((netns, name))
        if index is None:
            index = self._interfaces[netns, name] = len(self._interfaces)
            # A description must stand before the first packet that refers to it: packets wait, this does not.
            self.file.write(interface(f"{netns or 'root'}.{name}", kind or "device"))
        return index
