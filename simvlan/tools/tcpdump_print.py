"""How tcpdump 4.99 writes a frame: link header, ARP, LLC and spanning tree, hex dumps, times. IP is in `tcpdump_ip.py`.

Mirrors print-ether.c, print-arp.c, print-llc.c, print-stp.c and print-ascii.c in output, not in structure. Application
protocols are not decoded: their payload is given by length.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simvlan.tools.tcpdump_ip import IpPrinter, address

ETHERTYPES = {
    0x0800: "IPv4",
    0x86DD: "IPv6",
    0x0806: "ARP",
    0x8035: "Reverse ARP",
    0x8100: "802.1Q",
    0x88A8: "802.1Q-QinQ",
    0x9100: "802.1Q-9100",
    0x8808: "MPCP",
    0x8809: "Slow Protocols",
    0x88CC: "LLDP",
    0x8847: "MPLS unicast",
    0x8848: "MPLS multicast",
    0x8863: "PPPoE D",
    0x8864: "PPPoE S",
    0x888E: "EAPOL",
    0x88E5: "MACsec",
    0x9000: "Loopback",
}
TAGS = frozenset((0x8100, 0x88A8, 0x9100))
LLC_NAMES = {0x00: "Null", 0x42: "STP", 0xAA: "SNAP", 0xE0: "IPX", 0xF0: "NetBeui", 0xFE: "ISO CLNS", 0x04: "SNA"}
STP_FLAGS = ((0x01, "Topology change"), (0x80, "Topology change ACK"))
ARP_OPS = {1: "Request", 2: "Reply", 3: "Reverse Request", 4: "Reverse Reply", 8: "Inverse Request", 9: "Inverse Reply"}


@dataclass
class Style:
    """The options that shape a line."""

    numeric: bool = False
    link: bool = False
    verbose: int = 0
    quick: bool = False
    time: int = 0
    """How often -t was given."""
    nano: bool = False
    hexdump: str = ""
    """x, xx, X, XX or nothing."""
    ip: IpPrinter = field(init=False)

    def __post_init__(self) -> None:
        self.ip = IpPrinter(self.numeric, self.verbose, self.quick, self.link)


def mac(octets: bytes, style: Style) -> str:
    """Write an address; without -n the way tcpdump guesses at its maker."""
    text = octets.hex(":")
    if style.numeric:
        return text
    if octets == b"\xff" * 6:
        return "Broadcast"
    return f"{text} (oui {'Ethernet' if octets[:3] == bytes(3) else 'Unknown'})"


def ethertype(proto: int, style: Style) -> str:
    """Write an ethertype as the link header does."""
    name = ETHERTYPES.get(proto)
    if style.quick:
        return name or f"Unknown Ethertype (0x{proto:04x})"
    return f"ethertype {name or 'Unknown'} (0x{proto:04x})"


def print_frame(octets: bytes, style: Style) -> str:
    """Write one Ethernet frame, without time."""
    if len(octets) < 14:
        return " [|ether]"
    proto = int.from_bytes(octets[12:14], "big")
    head = f"{mac(octets[6:12], style)} > {mac(octets[0:6], style)}"
    if proto < 0x0600:
        return _print_802_3(octets, proto, head, style)
    text = f"{head}, {ethertype(proto, style)}, length {len(octets)}: "
    if proto in TAGS:
        return _print_tagged(octets, proto, head, style)
    body = print_protocol(proto, octets[14:], style)
    if body is None:
        return text + _default(octets[14:], style)
    return (text if style.link else "") + body


def _print_tagged(octets: bytes, proto: int, head: str, style: Style) -> str:
    """Write a tagged frame: the tags only with -e, the payload always."""
    text, at = f"{head}, {ethertype(proto, style)}, length {len(octets)}: ", 14
    while proto in TAGS:
        if len(octets) < at + 4:
            return f"{head},  [|vlan]" if style.link else " [|vlan]"
        tci, proto = int.from_bytes(octets[at : at + 2], "big"), int.from_bytes(octets[at + 2 : at + 4], "big")
        at += 4
        dei = ", DEI" if tci & 0x1000 else ""
        text += f"vlan {tci & 0xFFF}, p {tci >> 13}{dei}, "
        if proto >= 0x0600:
            text += f"{ethertype(proto, style)}, "
    if proto < 0x0600:
        return (text if style.link else "") + _llc(octets[at:], proto, head, style)
    body = print_protocol(proto, octets[at:], style)
    if body is None:
        untagged = f"{head}, {ethertype(proto, style)}, length {len(octets)}: "
        return (text if style.link else untagged) + _default(octets[at:], style)
    return (text if style.link else "") + body


def print_protocol(proto: int, data: bytes, style: Style) -> str | None:
    """Write what is inside; None when the ethertype has no printer."""
    if proto == 0x0800:
        return style.ip.ipv4(data)
    if proto in (0x0806, 0x8035):
        return _arp(data, style)
    if proto == 0x86DD:
        return style.ip.ipv6(data)
    return None


def _arp(data: bytes, style: Style) -> str:
    prefix = "" if style.link else "ARP, "
    if len(data) < 8:
        return " [|arp]"
    hard, net, hlen, plen, op = (
        int.from_bytes(data[0:2], "big"),
        int.from_bytes(data[2:4], "big"),
        data[4],
        data[5],
        int.from_bytes(data[6:8], "big"),
    )
    if len(data) < 8 + 2 * (hlen + plen):
        return " [|arp]"
    if (hard, net, hlen, plen) != (1, 0x0800, 6, 4):
        what = f"Unknown Hardware ({hard}) (len {hlen}), Unknown Protocol (0x{net:04x}) (len {plen})"
        return f"{prefix}{what}, length {len(data)}"
    if style.verbose:
        prefix += "Ethernet (len 6), IPv4 (len 4), "
    return f"{prefix}{_arp_text(data, op, style)}, length {len(data)}"


def _arp_text(data: bytes, op: int, style: Style) -> str:
    sha, spa, tha, tpa = data[8:14], address(data[14:18]), data[18:24], address(data[24:28])
    name = ARP_OPS.get(op, f"Unknown ({op})")
    if op == 1:
        known = "" if tha == bytes(6) else f" ({mac(tha, style)})"
        return f"{name} who-has {tpa}{known} tell {spa}"
    if op == 2:
        return f"{name} {spa} is-at {mac(sha, style)}"
    if op == 3:
        return f"{name} who-is {mac(tha, style)} tell {mac(sha, style)}"
    if op == 4:
        return f"{name} {mac(tha, style)} at {tpa}"
    if op == 8:
        return f"{name} who-is {mac(tha, style)} tell {mac(sha, style)}"
    if op == 9:
        return f"{name} {mac(sha, style)} at {spa}"
    return name


# -- 802.3, LLC, spanning tree --------------------------------------------------------------------------------------


def _print_802_3(octets: bytes, length: int, head: str, style: Style) -> str:
    text = f"{head}, 802.3, length {length}: " if style.link else ""
    return text + _llc(octets[14:], length, head, style)


def _llc(data: bytes, length: int, head: str, style: Style) -> str:
    data = data[:length]
    if len(data) < 3:
        return " [|llc]"
    dsap, ssap, control = data[0], data[1], data[2]
    ends = f"{_sap('dsap', dsap, 'Individual', 'Group')}, {_sap('ssap', ssap, 'Command', 'Response')}"
    text = f"LLC, {ends}, ctrl 0x{control:02x}: "
    if (dsap & 0xFE, ssap & 0xFE, control) == (0x42, 0x42, 3):
        return (text if style.link else "") + _stp(data[3:], style)
    kind = "Unnumbered, ui" if control == 3 else f"Unknown, control 0x{control:02x}"
    shown = f"{kind}, Flags [{'Response' if ssap & 1 else 'Command'}], length {length}"
    return (text if style.link else f"{head} {_sap_name(dsap)} ") + shown + _default(data, style)


def _sap_name(sap: int) -> str:
    return LLC_NAMES.get(sap & 0xFE, "Unknown")


def _sap(what: str, sap: int, even: str, odd: str) -> str:
    return f"{what} {_sap_name(sap)} (0x{sap & 0xFE:02x}) {odd if sap & 1 else even}"


def _stp(data: bytes, style: Style) -> str:
    if len(data) < 4:
        return " [|stp]"
    version = {0: "802.1d", 2: "802.1w", 3: "802.1s"}.get(data[2], f"Unknown STP protocol (0x{data[2]:02x})")
    if data[3] == 0x80:
        return f"STP {version}, Topology Change"
    if len(data) < 35:
        return " [|stp]"
    flags = ", ".join(name for bit, name in STP_FLAGS if data[4] & bit) or "none"
    sender = f"{_bridge_id(data[17:25])}.{data[25:27].hex()}"
    text = f"STP {version}, Config, Flags [{flags}], bridge-id {sender}, length {len(data)}"
    return text + (_stp_details(data) if style.verbose else "")


def _bridge_id(octets: bytes) -> str:
    return f"{octets[:2].hex()}.{octets[2:8].hex(':')}"


def _stp_details(data: bytes) -> str:
    times = (int.from_bytes(data[at : at + 2], "big") / 256 for at in (27, 29, 31, 33))
    names = ("message-age", "max-age", "hello-time", "forwarding-delay")
    spelt = ", ".join(f"{name} {value:.2f}s" for name, value in zip(names, times, strict=True))
    return f"\n\t{spelt}\n\troot-id {_bridge_id(data[5:13])}, root-pathcost {int.from_bytes(data[13:17], 'big')}"


# -- hex ------------------------------------------------------------------------------------------------------------


def hexdump(octets: bytes, ascii_too: bool) -> str:
    """Write octets sixteen to a line, in groups of two."""
    lines = []
    for at in range(0, len(octets), 16):
        row = octets[at : at + 16]
        groups = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
        text = f"  {_printable(row)}" if ascii_too else ""
        lines.append(f"\n\t0x{at:04x}:  {groups:<39}{text}" if ascii_too else f"\n\t0x{at:04x}:  {groups}")
    return "".join(lines)


def _printable(row: bytes) -> str:
    return "".join(chr(b) if 0x21 <= b <= 0x7E else "." for b in row)


def _default(data: bytes, style: Style) -> str:
    """What tcpdump prints of a payload it knows nothing about."""
    return "" if style.quick or style.hexdump else hexdump(data, True)


def _header_size(octets: bytes) -> int:
    """Count the link header, tags and an LLC header included."""
    at = 14
    while int.from_bytes(octets[at - 2 : at], "big") in TAGS and len(octets) >= at + 4:
        at += 4
    return at + 3 if int.from_bytes(octets[at - 2 : at], "big") < 0x0600 else at


def dump(octets: bytes, style: Style) -> str:
    """Write the octets as -x, -xx, -X or -XX ask."""
    if not style.hexdump:
        return ""
    shown = octets if len(style.hexdump) == 2 else octets[_header_size(octets) :]
    return hexdump(shown, style.hexdump[0] == "X")


def stamp(now: int, before: int, first: int, style: Style) -> str:
    """Write the time in front of a line: virtual time, counted from the start of 1970."""
    if style.time == 1:
        return ""
    if style.time in (3, 5):
        return f" {_clock(now - (before if style.time == 3 else first), style)} "
    if style.time == 2:
        return f"{now // 10**9}.{_fraction(now, style)} "
    day = f"{_date(now // (86_400 * 10**9))} " if style.time == 4 else ""
    return f"{day}{_clock(now, style)} "


def _clock(now: int, style: Style) -> str:
    seconds = now // 10**9 % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{_fraction(now, style)}"


def _fraction(now: int, style: Style) -> str:
    return f"{now % 10**9:09}" if style.nano else f"{now % 10**9 // 1000:06}"


def _date(days: int) -> str:
    from datetime import date

    return date.fromordinal(719_163 + days).isoformat()
