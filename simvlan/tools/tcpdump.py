"""tcpdump 4.99: listen on a device (or on all) of the namespace, filter, print or write frames, until -c or a signal.

A packet socket and promiscuous mode on the simulated device, as libpcap opens them. Addresses are never resolved to
names; ports are, from the machine's services. Application protocols are not decoded.
"""

from __future__ import annotations

import getopt
import struct
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import simpy

from simvlan.capture import SNAPLEN, PcapError, file_header, parse_pcap, record
from simvlan.devices.device import Device
from simvlan.frame import Frame, PType
from simvlan.tools.common import Refused
from simvlan.tools.program import Process
from simvlan.tools.tcpdump_filter import FilterError, Test, compile_filter
from simvlan.tools.tcpdump_print import Style, dump, ethertype, hexdump, print_frame, print_protocol, stamp
from simvlan.tools.tcpdump_view import View

USAGE = """\
tcpdump version 4.99.3
libpcap version 1.10.3 (with TPACKET_V3)
Usage: tcpdump [-AbdDefhlLnNOpqStuUvxX] [-c COUNT] [-i DEVICE] [-Q in|out|inout] [-r FILE] [-s OCTETS] [-w FILE]
               [FILTER]
What each means: tcpdump(8).
"""
IGNORED = frozenset(("-l", "-U", "-K", "-N", "-O", "-f", "-Z", "-B", "-j", "--immediate-mode", "--print"))
LINKTYPE_SLL2 = 276
DIRECTIONS = {"in": (False,), "out": (True,), "inout": (False, True)}


class Options:
    """What the command line asked for."""

    def __init__(self, argv: list[str]) -> None:
        self.device = ""
        self.count = 0
        self.file: str | None = None
        self.snaplen = SNAPLEN
        self.promiscuous = True
        self.directions: tuple[bool, ...] = (False, True)
        self.listing = False
        self.version = False
        self.read: str | None = None
        self.also_print = False
        self.style = Style()
        flags, rest = self._parse(argv)
        for flag, value in flags:
            self._take(flag, value)
        self.style = replace(self.style)  # its printer of IP is made of the flags just read
        self.expression = " ".join(rest)
        self.test: Test | None = None

    @staticmethod
    def _parse(argv: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
        longs = [
            "interface=",
            "nano",
            "micro",
            "immediate-mode",
            "print",
            "version",
            "time-stamp-precision=",
            "list-interfaces",
        ]
        try:
            return getopt.getopt(argv, "eni:c:w:r:vls:qpQ:txXSUKNOfDZ:B:j:#", longs)
        except getopt.GetoptError as error:
            what = "option requires an argument" if "requires" in error.msg else "invalid option"
            raise Refused(f"tcpdump: {what} -- '{error.opt}'\n{USAGE}") from None

    def _take(self, flag: str, value: str) -> None:
        style = self.style
        if flag in ("-i", "--interface"):
            self.device = value
        elif flag == "-c":
            self.count = _count(value)
        elif flag == "-w":
            self.file = value
        elif flag == "-r":
            self.read = value
        elif flag == "-s":
            self.snaplen = int(value) if value.isdigit() and int(value) else SNAPLEN
        elif flag == "-p":
            self.promiscuous = False
        elif flag == "-Q":
            self.directions = _directions(value)
        elif flag == "-n":
            style.numeric = True
        elif flag == "-e":
            style.link = True
        elif flag == "-v":
            style.verbose += 1
        elif flag == "-q":
            style.quick = True
        elif flag == "-t":
            style.time += 1
        elif flag in ("-x", "-X"):
            style.hexdump = (style.hexdump + flag[1])[:2]
        elif flag == "--nano":
            style.nano = True
        elif flag in ("-D", "--list-interfaces"):
            self.listing = True
        elif flag == "--version":
            self.version = True
        elif flag == "--print":
            self.also_print = True
        elif flag == "--time-stamp-precision":
            style.nano = value.startswith("nano")
        elif flag not in IGNORED and flag != "--micro":
            raise Refused(f"simvlan: tcpdump {flag} is not built (docs/scripts.md says what is)\n")


def _count(value: str) -> int:
    if not value.isdigit() or not int(value):
        raise Refused(f"tcpdump: invalid packet count {value}\n")
    return int(value)


def _directions(value: str) -> tuple[bool, ...]:
    if value not in DIRECTIONS:
        raise Refused(f"tcpdump: unknown capture direction `{value}'\n")
    return DIRECTIONS[value]


class Listener:
    """The packet socket, and what becomes of its frames."""

    def __init__(self, proc: Process, options: Options, devices: list[Device]) -> None:
        self.proc, self.options, self.devices = proc, options, devices
        self.done: simpy.Event = proc.lab.env.event()
        self.captured = self.received = 0
        self.first = self.before = -1
        self.any = options.device == "any"
        self.writer = _open(proc, options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Listener:
        return self

    def start(self) -> None:
        """Bind, promiscuous unless -p (never on "any")."""
        for dev in self.devices:
            self._bind(dev)
        if self.any:
            self.proc.lab.network.watchers.append(self._watch)

    def stop(self) -> None:
        """Close the socket."""
        for dev in self.devices:
            if self.tap in dev.taps:
                dev.taps.remove(self.tap)
                if self._promiscuous:
                    self.proc.lab.network.promiscuity(dev, -1)
        if self.any and self._watch in self.proc.lab.network.watchers:
            self.proc.lab.network.watchers.remove(self._watch)
        if self.writer is not None:
            self.writer.close()

    @property
    def _promiscuous(self) -> bool:
        return self.options.promiscuous and not self.any

    def _bind(self, dev: Device) -> None:
        dev.taps.append(self.tap)
        if self._promiscuous:
            self.proc.lab.network.promiscuity(dev, 1)

    def _watch(self, dev: Device, what: str) -> None:
        """Follow devices that come to the namespace, if all are listened to."""
        if what == "add" and dev.netns.name == self.proc.netns and self.tap not in dev.taps:
            self.devices.append(dev)
            self._bind(dev)

    def tap(self, now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
        """Take one frame."""
        if self.done.triggered or outgoing not in self.options.directions:
            return
        if self.any and (dev.netns.name != self.proc.netns or (outgoing and not dev.kind)):
            return  # the loopback device's frames are shown once, as received
        if self.options.test is not None and not self.options.test(View(frame, outgoing)):
            return
        self.received += 1
        self.captured += 1
        self._keep(now, dev, frame, outgoing)
        if self.options.count and self.captured == self.options.count:
            self.done.succeed()

    def _keep(self, now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
        octets = _cooked(dev, frame, outgoing) if self.any else bytes(frame)
        if self.writer is not None:
            self.writer.write(_microseconds(now, octets, self.options))
        if self.writer is None or self.options.also_print:
            self._print(now, dev, frame, outgoing, octets)

    def _print(self, now: int, dev: Device, frame: Frame, outgoing: bool, octets: bytes) -> None:
        style = self.options.style
        self.first = now if self.first < 0 else self.first
        head = stamp(now, self.before if self.before >= 0 else now, self.first, style)
        self.before = now
        if self.any:
            line = _any_line(dev, frame, outgoing, style)
        else:
            line = print_frame(octets[: self.options.snaplen], style) + dump(octets[: self.options.snaplen], style)
        self.proc.write(f"{head}{line}\n")


class Writer:
    """-w: a pcap file, or standard output."""

    def __init__(self, proc: Process, path: str) -> None:
        self.proc = proc
        self.file = None if path == "-" else proc.open(path, "wb")

    def write(self, octets: bytes) -> None:
        """Append."""
        if self.file is None:
            self.proc.write(octets)
        else:
            self.file.write(octets)

    def close(self) -> None:
        """Finish."""
        if self.file is not None:
            self.file.close()


def _open(proc: Process, options: Options) -> Writer | None:
    """Open the file of -w, its header written; microseconds unless --nano asks otherwise, as tcpdump does."""
    if options.file is None:
        return None
    try:
        writer = Writer(proc, options.file)
    except OSError as error:
        raise Refused(f"tcpdump: {options.file}: {error.strerror}\n") from None
    header = file_header(options.snaplen)
    magic = header[:4] if options.style.nano else struct.pack("<I", 0xA1B2_C3D4)
    linktype = LINKTYPE_SLL2 if options.device == "any" else 1
    writer.write(magic + header[4:20] + struct.pack("<I", linktype))
    return writer


def _microseconds(now: int, octets: bytes, options: Options) -> bytes:
    kept = record(now, octets, options.snaplen)
    if options.style.nano:
        return kept
    seconds, fraction = struct.unpack_from("<II", kept)
    return struct.pack("<II", seconds, fraction // 1000) + kept[8:]


# -- the "any" device -----------------------------------------------------------------------------------------------

SLL = {PType.HOST: 0, PType.BROADCAST: 1, PType.MULTICAST: 2, PType.OTHERHOST: 3}
SLL_TEXT = ("In", "B", "M", "P", "Out")


def _sll_type(dev: Device, frame: Frame, outgoing: bool) -> int:
    return 4 if outgoing else SLL[frame.received_by(dev.mac).ptype]


def _cooked(dev: Device, frame: Frame, outgoing: bool) -> bytes:
    """Put the SLL2 header before the frame's payload (linktype 276)."""
    inband = frame.push_inband()
    hardware = 1 if dev.kind else 772
    head = struct.pack(">HHIHBB", inband.proto, 0, dev.ifindex, hardware, _sll_type(dev, frame, outgoing), 6)
    return head + frame.src.to_bytes(6, "big") + b"\0\0" + inband.payload


def _any_line(dev: Device, frame: Frame, outgoing: bool, style: Style) -> str:
    inband = frame.push_inband()
    head = f"{dev.name:<5} {SLL_TEXT[_sll_type(dev, frame, outgoing)]:<3} "
    if style.link:
        source = frame.src.to_bytes(6, "big").hex(":")
        size = 20 + len(inband.payload)
        head += f"ifindex {dev.ifindex} {source} {ethertype(inband.proto, style)}, length {size}: "
    return (
        head + _any_payload(inband, style) + (hexdump(inband.payload, style.hexdump[0] == "X") if style.hexdump else "")
    )


def _any_payload(inband: Frame, style: Style) -> str:
    proto, data, tags = inband.proto, inband.payload, ""
    while proto in (0x8100, 0x88A8) and len(data) >= 4:
        tci, proto, data = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big"), data[4:]
        if style.link:
            tags += f"vlan {tci & 0xFFF}, p {tci >> 13}{', DEI' if tci & 0x1000 else ''}, {ethertype(proto, style)}, "
    body = print_protocol(proto, data, style)
    if body is None:
        unknown = "" if style.link else f"{ethertype(proto, style)}, length {20 + len(inband.payload)}: "
        return tags + unknown + ("" if style.quick else hexdump(data, True))
    return tags + body


# -- the program ----------------------------------------------------------------------------------------------------


def _devices(proc: Process, options: Options) -> list[Device]:
    here = proc.lab.network.netns[proc.netns].devices
    if options.device == "any":
        return list(here.values())
    name = options.device or next((d.name for d in here.values() if d.up and d.kind), "lo")
    if name not in here:
        raise Refused(f"tcpdump: {name}: No such device exists\n(No such device exists)\n")
    if not here[name].up:
        raise Refused(f"tcpdump: {name}: That device is not up\n")
    options.device = name
    return [here[name]]


def _greeting(options: Options) -> str:
    link = "LINUX_SLL2 (Linux cooked v2)" if options.device == "any" else "EN10MB (Ethernet)"
    first = "tcpdump: data link type LINUX_SLL2\n" if options.device == "any" else ""
    prefix = "tcpdump: "
    if options.file is None and not options.style.verbose:
        first += "tcpdump: verbose output suppressed, use -v[v]... for full protocol decode\n"
        prefix = ""
    elif options.file is not None and options.also_print and not options.style.verbose:
        prefix = "tcpdump: "
    return f"{first}{prefix}listening on {options.device}, link-type {link}, snapshot length {options.snaplen} bytes\n"


def _plural(count: int) -> str:
    return f"{count} packet{'' if count == 1 else 's'}"


def main(proc: Process) -> Generator[Any, Any, int]:
    """Listen until the count is reached or a signal comes."""
    try:
        options = Options(proc.argv[1:])
        if options.version:
            proc.write(USAGE.partition("Usage")[0])
            return 0
        if options.listing:
            proc.write(_listing(proc))
            return 0
        if options.read is not None:
            return _read_back(proc, options, options.read)
        devices = _devices(proc, options)
        options.test = compile_filter(options.expression)
        listener = Listener(proc, options, devices)
    except Refused as refused:
        proc.write_err(str(refused))
        return 1
    except FilterError as error:
        proc.write_err(f"tcpdump: {error}\n")
        return 1
    listener.start()
    proc.write_err(_greeting(options))
    try:
        yield listener.done
    except simpy.Interrupt:
        if options.file is None:
            proc.write("\n")
    finally:
        listener.stop()
    _summary(proc, listener)
    return 0


def _read_back(proc: Process, options: Options, name: str) -> int:
    """-r: filter and print (or write) what a file holds."""
    try:
        data = proc.read_file(name)
    except OSError as error:
        raise Refused(f"tcpdump: {name}: {error.strerror}\n") from None
    try:
        frames = parse_pcap(data, name)
    except PcapError as error:
        raise Refused(f"tcpdump: {error}\n") from None
    snaplen = struct.unpack_from("<I" if data[0] in (0x4D, 0xD4) else ">I", data, 16)[0]
    proc.write_err(f"reading from file {name}, link-type EN10MB (Ethernet), snapshot length {snaplen}\n")
    options.test = compile_filter(options.expression)
    writer = _open(proc, options)
    chosen = [each for each in frames if options.test is None or options.test(View(Frame.parse(each[1]), False))]
    before = first = -1
    for now, octets in chosen[: options.count or None]:
        if writer is not None:
            writer.write(_microseconds(now, octets, options))
            continue
        first, before = (now, now) if first < 0 else (first, before)
        head = stamp(now, before, first, options.style)
        proc.write(f"{head}{print_frame(octets, options.style)}{dump(octets, options.style)}\n")
        before = now
    if writer is not None:
        writer.close()
    return 0


def _listing(proc: Process) -> str:
    here = proc.lab.network.netns[proc.netns].devices.values()
    lines = []
    for number, dev in enumerate(here, 1):
        state = (
            ", ".join(["Up"] * dev.up + ["Running"] * (dev.up and dev.carrier) + ["Loopback"] * (not dev.kind))
            or "none"
        )
        lines.append(f"{number}.{dev.name} [{state}]\n")
    return "".join(lines)


def _summary(proc: Process, listener: Listener) -> None:
    proc.write_err(
        f"{_plural(listener.captured)} captured\n{_plural(listener.received)} received by filter\n"
        "0 packets dropped by kernel\n"
    )
