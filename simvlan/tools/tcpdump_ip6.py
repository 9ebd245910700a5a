"""How tcpdump 4.99 writes IPv6: extension headers, ICMPv6 errors, neighbour discovery and listener discovery.

Mirrors print-ip6.c, print-ip6opts.c, print-frag6.c and print-icmp6.c in output, not in structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from simvlan.tools.tcpdump_ip import IGMP_RECORDS, PROTOCOLS, address, be, checksum

if TYPE_CHECKING:
    from simvlan.tools.tcpdump_ip import IpPrinter

HOPOPTS, TCP, UDP, FRAGMENT, ICMPV6, NONE, DSTOPTS = 0, 6, 17, 44, 58, 59, 60
_NAMES = {0: "Options", 43: "Routing", 44: "Fragment", 58: "ICMPv6"}

TYPES = {
    1: "destination unreachable", 2: "packet too big", 3: "time exceeded in-transit", 4: "parameter problem",
    128: "echo request", 129: "echo reply", 130: "multicast listener query", 131: "multicast listener report",
    132: "multicast listener done", 133: "router solicitation", 134: "router advertisement",
    135: "neighbor solicitation", 136: "neighbor advertisement", 137: "redirect",
    138: "router renumbering", 139: "node information query", 140: "node information reply",
    143: "multicast listener report v2",
}  # fmt: skip
_UNREACHABLE = {
    0: "unreachable route", 1: " unreachable prohibited", 2: "beyond scope", 3: "unreachable address",
    4: "unreachable port",
}  # fmt: skip
_PARAMETER = {0: "erroneous", 1: "next header", 2: "option", 3: "incomplete header chain"}
_OPTIONS = {
    1: "source link-address", 2: "destination link-address", 3: "prefix info", 4: "redirected header", 5: "mtu",
    24: "route info", 25: "rdnss", 31: "dnssl",
}  # fmt: skip
_PREFERENCE = ("medium", "high", "*reserved*", "low")
_RA_FLAGS = ((0x80, "managed"), (0x40, "other stateful"), (0x20, "home agent"))
_NA_FLAGS = ((0x80, "router"), (0x40, "solicited"), (0x20, "override"))
_PREFIX_FLAGS = ((0x80, "onlink"), (0x40, "auto"), (0x20, "router"))
_NEIGHBOUR = frozenset((133, 134, 135, 136, 137))


def _bits(value: int, names: tuple[tuple[int, str], ...]) -> str:
    return ", ".join(name for bit, name in names if value & bit) or "none"


def ipv6(to: IpPrinter, data: bytes) -> str:
    """Write a packet, the header first with -v."""
    prefix = "" if to.link else "IP6 "
    if len(data) < 40:
        return " [|ip6]"
    if data[0] >> 4 != 6:
        return f"{prefix}version error: {data[0] >> 4} != 6"
    size = be(data, 4)
    missing = f"truncated-ip6 - {size + 40 - len(data)} bytes missing!" if len(data) < size + 40 else ""
    return prefix + missing + (_header(data) if to.verbose else "") + _payload(to, data[: 40 + size])


def _header(data: bytes) -> str:
    first = be(data, 0, 4)
    text = f"class 0x{first >> 20 & 255:02x}, " if first >> 20 & 255 else ""
    text += f"flowlabel 0x{first & 0xFFFFF:05x}, " if first & 0xFFFFF else ""
    name = _NAMES.get(data[6]) or PROTOCOLS.get(data[6], "unknown")
    return f"({text}hlim {data[7]}, next-header {name} ({data[6]}) payload length: {be(data, 4)}) "


def _payload(to: IpPrinter, data: bytes) -> str:
    """Write what follows, header by header."""
    following, at, end, part = data[6], 40, 40 + be(data, 4), False
    text = "" if following in (TCP, UDP) else f"{address(data[8:24])} > {address(data[24:40])}: "
    while following in (HOPOPTS, DSTOPTS, FRAGMENT):
        if len(data) < at + 8:
            return f"{text}[|{'frag' if following == FRAGMENT else 'ip6'}]"
        if following == FRAGMENT:
            offset = be(data, at + 2) & 0xFFF8
            number = f"0x{be(data, at + 4, 4):08x}:" if to.verbose else ""
            text += f"frag ({number}{offset}|{end - at - 8})"
            if offset:
                return text
            text, part = text + " ", True
        else:
            text += _options(to, data[at : at + (data[at + 1] + 1) * 8], "HBH" if following == HOPOPTS else "DSTOPT")
        following, at = data[at], at + (8 if following == FRAGMENT else (data[at + 1] + 1) * 8)
    return text + _upper(to, data, following, at, end - at, part)


def _options(to: IpPrinter, octets: bytes, name: str) -> str:
    """Write a header of options; what they are with -v."""
    text, at = f"{name} ", 2
    while to.verbose and at < len(octets):
        kind = octets[at]
        size = 1 if kind == 0 or at + 1 >= len(octets) else octets[at + 1] + 2
        if kind == 0:
            text += "(pad1) "
        elif kind == 1:
            text += "(padn) "
        elif kind == 5:
            text += f"(rtalert: 0x{be(octets, at + 2):04x}) "
        else:
            text += f"(opt_type 0x{kind:02x}: len={octets[at + 1]}) "
        at += size
    return text


def _upper(to: IpPrinter, data: bytes, proto: int, at: int, size: int, part: bool) -> str:
    body = data[at:]
    if proto == UDP:
        return to.udp(data, body, size, part, bare=at > 40)
    if proto == TCP:
        return to.tcp_segment(data, body, size, bare=at > 40)
    if proto == ICMPV6:
        return _icmp6(to, data, body, size, part)
    if proto == NONE:
        return "no next header"
    return f" ip-proto-{proto} {size}"


# -- ICMPv6 -----------------------------------------------------------------------------------------------------------


def _icmp6(to: IpPrinter, data: bytes, body: bytes, size: int, part: bool) -> str:
    if len(body) < 8:
        return "[|icmp6]"
    text = _sum(data, body) if to.verbose and not part and len(body) == size else ""
    kind = body[0]
    text += f"ICMP6, {TYPES.get(kind, f'unknown icmp6 type ({kind})')}"
    if to.verbose and kind in _NEIGHBOUR:
        text += f", length {size}"
    printer = _PRINTERS.get(kind)
    if printer is None:
        return text + f", length {size}" + ("" if kind in TYPES or to.verbose > 1 else _unknown(body))
    return text + printer(to, body) + ("" if to.verbose else f", length {size}")


def _sum(data: bytes, body: bytes) -> str:
    pseudo = data[8:40] + len(body).to_bytes(4, "big") + ICMPV6.to_bytes(4, "big")
    if not checksum(pseudo + body):
        return "[icmp6 sum ok] "
    right = checksum(pseudo + body[:2] + b"\0\0" + body[4:])
    return f"[bad icmp6 cksum 0x{be(body, 2):04x} -> 0x{right:04x}!] "


def _unknown(body: bytes, gap: str = "\n\t") -> str:
    from simvlan.tools.tcpdump_print import hexdump

    return hexdump(body, False).replace("\n\t", gap)


def _unreachable(to: IpPrinter, body: bytes) -> str:
    code, src, dst = body[1], address(body[16:32]), address(body[32:48])
    text = f", {_UNREACHABLE.get(code, f'unknown unreach code ({code})')}"
    if code in (0, 1, 3):
        return f"{text} {dst}"
    if code == 2:
        return f"{text} {dst}, source address {src}"
    if code == 4:
        return text + _unreachable_port(to, body[8:], dst)
    return text + ("" if to.verbose > 1 else _unknown(body))


def _unreachable_port(to: IpPrinter, packet: bytes, dst: str) -> str:
    proto, at = packet[6], 40
    while proto in (HOPOPTS, DSTOPTS, FRAGMENT):
        proto, at = packet[at], at + (8 if proto == FRAGMENT else (packet[at + 1] + 1) * 8)
    port = be(packet, at + 2)
    name = {TCP: "tcp", UDP: "udp"}.get(proto)
    return f", {dst} {name} port {to.port(port, name)}" if name else f", {dst} protocol {proto} port {port} unreachable"


def _too_big(_to: IpPrinter, body: bytes) -> str:
    return f", mtu {be(body, 4, 4)}"


def _time_exceeded(_to: IpPrinter, body: bytes) -> str:
    return {0: f" for {address(body[32:48])}", 1: " (reassembly)"}.get(body[1], f", unknown code ({body[1]})")


def _parameter(_to: IpPrinter, body: bytes) -> str:
    name = _PARAMETER.get(body[1])
    return f", {name} - octet {be(body, 4, 4)}" if name else f", code-#{body[1]}"


def _echo(_to: IpPrinter, body: bytes) -> str:
    return f", id {be(body, 4)}, seq {be(body, 6)}"


# -- neighbours and routers -------------------------------------------------------------------------------------------


def _solicit_router(to: IpPrinter, body: bytes) -> str:
    return _nd_options(to, body[8:]) if to.verbose else ""


def _advertise_router(to: IpPrinter, body: bytes) -> str:
    if not to.verbose:
        return ""
    return (
        f"\n\thop limit {body[4]}, Flags [{_bits(body[5], _RA_FLAGS)}], pref {_PREFERENCE[body[5] >> 3 & 3]},"
        f" router lifetime {be(body, 6)}s, reachable time {be(body, 8, 4)}ms, retrans timer {be(body, 12, 4)}ms"
        + _nd_options(to, body[16:])
    )


def _solicit(to: IpPrinter, body: bytes) -> str:
    return f", who has {address(body[8:24])}" + (_nd_options(to, body[24:]) if to.verbose else "")


def _advertise(to: IpPrinter, body: bytes) -> str:
    text = f", tgt is {address(body[8:24])}"
    return text + (f", Flags [{_bits(body[4], _NA_FLAGS)}]{_nd_options(to, body[24:])}" if to.verbose else "")


def _redirect(to: IpPrinter, body: bytes) -> str:
    text = f", {address(body[24:40])} to {address(body[8:24])}"
    return text + (_nd_options(to, body[40:]) if to.verbose else "")


def _nd_options(to: IpPrinter, octets: bytes) -> str:
    """Write the options, one a line; of a redirected header tcpdump shows as much, but from the first option on."""
    text, at = "", 0
    while at + 2 <= len(octets):
        kind, units = octets[at], octets[at + 1]
        if not units or at + units * 8 > len(octets):
            return text
        option = octets[at : at + units * 8]
        text += f"\n\t  {_OPTIONS.get(kind, 'unknown')} option ({kind}), length {units * 8} ({units}):"
        known = _ND.get(kind)
        if known:
            text += known(option)
        elif kind == 4:
            text += " " + _unknown(octets[: units * 8], "\n\t    ")
        else:
            text += " " + (_unknown(option[2:], "\n\t  ") if to.verbose < 2 else "")
        text += _unknown(option[2:], "\n\t    ") if to.verbose > 1 else ""
        at += units * 8
    return text


def _seconds(value: int) -> str:
    return "infinity" if value == 0xFFFF_FFFF else f"{value}s"


def _prefix(it: bytes) -> str:
    flags = _bits(it[3], _PREFIX_FLAGS)
    valid, preferred = (_seconds(be(it, at, 4)) for at in (4, 8))
    return f" {address(it[16:32])}/{it[2]}, Flags [{flags}], valid time {valid}, pref. time {preferred}"


def _route(it: bytes) -> str:
    prefix = address((it[8:] + bytes(16))[:16])
    return f"  {prefix}/{it[2]}, pref={_PREFERENCE[it[3] >> 3 & 3]}, lifetime={_seconds(be(it, 4, 4))}"


def _rdnss(it: bytes) -> str:
    servers = "".join(f" addr: {address(it[at : at + 16])}" for at in range(8, len(it), 16))
    return f"  lifetime {be(it, 4, 4)}s,{servers}"


_ND: dict[int, Callable[[bytes], str]] = {
    1: lambda it: f" {it[2:8].hex(':')}",
    2: lambda it: f" {it[2:8].hex(':')}",
    3: _prefix,
    5: lambda it: f"  {be(it, 4, 4)}",
    24: _route,
    25: _rdnss,
}


# -- listeners --------------------------------------------------------------------------------------------------------


def _listener(_to: IpPrinter, body: bytes) -> str:
    return f"max resp delay: {be(body, 4)} addr: {address(body[8:24])}"


def _query(to: IpPrinter, body: bytes) -> str:
    if len(body) == 24:
        return _listener(to, body)
    if len(body) < 28:
        return f" [invalid length {len(body)}]"
    code, count = be(body, 4), be(body, 26)
    delay = code if code < 0x8000 else (code & 0xFFF | 0x1000) << ((code >> 12 & 7) + 3)
    text = " v2"
    timing = ""
    if to.verbose:
        interval = body[25] if body[25] < 128 else (body[25] & 15 | 16) << ((body[25] >> 4 & 7) + 3)
        sflag = " sflag" if body[24] & 8 else ""
        robustness = f" robustness={body[24] & 7}" if body[24] & 7 else ""
        text += f" [max resp delay={delay}]"
        timing = f"{sflag}{robustness} qqi={interval}"
    text += f" [gaddr {address(body[8:24])}{timing}"
    sources = "".join(f" {address(body[at : at + 16])}" for at in range(28, 28 + 16 * count, 16))
    return text + (f", {count} source(s)" if count and to.verbose < 2 else f" {{{sources} }}" if count else "") + "]"


def _report2(to: IpPrinter, body: bytes) -> str:
    text = f", {be(body, 6)} group record(s)"
    for record in _records(body) if to.verbose else ():
        sources = be(record, 2)
        kind = IGMP_RECORDS.get(record[0], f"[v2-report-#{record[0]}]")
        text += f" [gaddr {address(record[4:20])} {kind}"
        if to.verbose > 1:
            text += " {" + "".join(f" {address(record[20 + 16 * n : 36 + 16 * n])}" for n in range(sources)) + " }"
        else:
            text += f", {sources} source(s)"
        text += "]"
    return text


def _records(body: bytes) -> Iterator[bytes]:
    at = 8
    for _ in range(be(body, 6)):
        size = 20 + be(body, at + 2) * 16
        if len(body) < at + size:
            return
        yield body[at : at + size]
        at += size + body[at + 1] * 4


_PRINTERS: dict[int, Callable[[IpPrinter, bytes], str]] = {
    1: _unreachable,
    2: _too_big,
    3: _time_exceeded,
    4: _parameter,
    128: _echo,
    129: _echo,
    130: _query,
    131: _listener,
    132: _listener,
    133: _solicit_router,
    134: _advertise_router,
    135: _solicit,
    136: _advertise,
    137: _redirect,
    143: _report2,
}
