"""How tcpdump 4.99 writes IPv4, ICMP, IGMP, and UDP and TCP over both families; IPv6 is in `tcpdump_ip6.py`.

Mirrors print-ip.c, print-icmp.c, print-udp.c, print-tcp.c and print-igmp.c in output, not in structure.
"""

from __future__ import annotations

import socket

PROTOCOLS = {
    0: "Options", 1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE", 50: "ESP", 51: "AH",
    58: "ICMPv6", 89: "OSPF", 103: "PIM", 112: "VRRP", 132: "SCTP",
}  # fmt: skip
TCP_FLAGS = "FSRP.UEW"
UNREACHABLE = {
    0: "net {dst} unreachable",
    1: "host {dst} unreachable",
    5: "{dst} unreachable - source route failed",
    6: "net {dst} unreachable - unknown",
    7: "host {dst} unreachable - unknown",
    8: "{dst} unreachable - source host isolated",
    9: "net {dst} unreachable - admin prohibited",
    10: "host {dst} unreachable - admin prohibited",
    11: "net {dst} unreachable - tos prohibited",
    12: "host {dst} unreachable - tos prohibited",
    13: "host {dst} unreachable - admin prohibited filter",
    14: "host {dst} unreachable - host precedence violation",
    15: "host {dst} unreachable - precedence cutoff",
}
REDIRECT = {0: "redirect {dst} to net", 1: "redirect {dst} to host", 2: "redirect-tos {dst} to net",
            3: "redirect-tos {dst} to host"}  # fmt: skip
ICMP_ERRORS = frozenset((3, 4, 5, 11, 12))
ICMP_NAMES = {4: "source quench", 10: "router solicitation", 17: "address mask request"}
IP_OPTIONS = {0: "EOL", 1: "NOP", 7: "RR", 68: "timestamp", 131: "LSRR", 137: "SSRR", 148: "RA"}
IGMP_RECORDS = {1: "is_in", 2: "is_ex", 3: "to_in", 4: "to_ex", 5: "allow", 6: "block"}


def be(data: bytes, at: int, size: int = 2) -> int:
    """Read a big-endian number."""
    return int.from_bytes(data[at : at + size], "big")


def address(octets: bytes) -> str:
    """Write an address, of 4 or 16 octets."""
    return socket.inet_ntop(socket.AF_INET6, octets) if len(octets) == 16 else ".".join(map(str, octets))


def ends(ip: bytes) -> tuple[bytes, bytes]:
    """Return source and destination of a packet of either family."""
    return (ip[8:24], ip[24:40]) if ip[0] >> 4 == 6 else (ip[12:16], ip[16:20])


def checksum(data: bytes) -> int:
    """Sum as the Internet does (RFC 1071); 0 over data that carries its own correct sum."""
    if len(data) % 2:
        data += b"\0"
    total = sum(data[i] << 8 | data[i + 1] for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _should_be(data: bytes, at: int) -> int:
    """Return the checksum that belongs at an offset."""
    return checksum(data[:at] + b"\0\0" + data[at + 2 :])


class IpPrinter:
    """Writes packets one after the other; remembers TCP conversations to give relative numbers."""

    def __init__(self, numeric: bool, verbose: int, quick: bool, link: bool) -> None:
        self.numeric, self.verbose, self.quick, self.link = numeric, verbose, quick, link
        self._tcp: dict[tuple[bytes, bytes, int, int], tuple[int, int]] = {}

    def ipv4(self, data: bytes) -> str:
        """Write a packet, the header first with -v."""
        prefix = "" if self.link else "IP "
        if len(data) and data[0] >> 4 != 4:
            return f"IP{data[0] >> 4}, wrong link-layer encapsulation (invalid)"
        if len(data) < 20:
            return f"{prefix} [|ip]"
        hlen, size = (data[0] & 15) * 4, be(data, 2)
        if hlen < 20:
            return f"{prefix}bad-hlen {hlen}"
        missing = f"truncated-ip - {size - len(data)} bytes missing! " if len(data) < size else ""
        if size < hlen:
            return f"{prefix}{missing}bad-len {size}"
        head = self._header(data, hlen, size) if self.verbose else ""
        return f"{prefix}{missing}{head}{self._payload(data, hlen, size)}"

    def _header(self, data: bytes, hlen: int, size: int) -> str:
        tos, fragment, proto = data[1], be(data, 6), data[9]
        ecn = ("", ",ECT(1)", ",ECT(0)", ",CE")[tos & 3]
        flags = ", ".join(n for bit, n in ((0x2000, "+"), (0x4000, "DF"), (0x8000, "rsvd")) if fragment & bit) or "none"
        ttl = f", ttl {data[8]}" if data[8] else ""
        text = f"(tos 0x{tos:x}{ecn}{ttl}, id {be(data, 4)}, offset {(fragment & 0x1FFF) * 8}, flags [{flags}]"
        text += f", proto {PROTOCOLS.get(proto, 'unknown')} ({proto}), length {size}"
        if hlen > 20:
            text += f", options ({','.join(_options(data[20:hlen]))})"
        if len(data) >= hlen and checksum(data[:hlen]):
            text += f", bad cksum {be(data, 10):x} (->{_should_be(data[:hlen], 10):x})!"
        return text + ")\n    "

    def _payload(self, data: bytes, hlen: int, size: int) -> str:
        proto, fragment = data[9], be(data, 6)
        hosts = f"{address(data[12:16])} > {address(data[16:20])}:"
        if fragment & 0x1FFF:
            name = None if self.numeric else _protocol_name(proto)
            return f"{hosts} {name or f'ip-proto-{proto}'}"
        body, rest = data[hlen:size], size - hlen
        if proto == 17:
            return self.udp(data, body, rest, bool(fragment & 0x2000))
        if proto == 6:
            return self.tcp_segment(data, body, rest)
        if proto == 1:
            return f"{hosts} {self._icmp(body, rest, bool(fragment & 0x2000))}"
        if proto == 2:
            return f"{hosts} {self._igmp(body, rest)}"
        name = None if self.numeric else _protocol_name(proto)
        return f"{hosts}  {name or f'ip-proto-{proto}'} {rest}"

    # -- ICMP -------------------------------------------------------------------------------------------------------

    def _icmp(self, body: bytes, size: int, fragmented: bool) -> str:
        if len(body) < 4:
            return "ICMP [|icmp]"
        kind = body[0]
        text = f"ICMP {self._icmp_text(body)}, length {size}"
        if self.verbose and not fragmented and len(body) == size and checksum(body):
            text += f" (wrong icmp cksum {be(body, 2):x} (->{_should_be(body, 2):x})!)"
        if self.verbose and kind in ICMP_ERRORS and len(body) > 8:
            text += "\n\t" + self.ipv4(body[8:])
        return text

    def _icmp_text(self, body: bytes) -> str:
        kind, code, dst = body[0], body[1], address(body[24:28])
        if kind in (0, 8):
            return f"echo {'request' if kind else 'reply'}, id {be(body, 4)}, seq {be(body, 6)}"
        if kind == 3:
            return self._unreachable(body, code, dst)
        if kind == 5:
            return f"{REDIRECT.get(code, f'redirect-#{code} {{dst}} to net').format(dst=dst)} {address(body[4:8])}"
        if kind == 11:
            return {0: "time exceeded in-transit", 1: "ip reassembly time exceeded"}.get(code, f"time exceeded-#{code}")
        if kind == 12:
            return f"parameter problem - octet {body[4]}" if code == 0 else f"parameter problem - code {code}"
        if kind == 13:
            return f"time stamp query id {be(body, 4)} seq {be(body, 6)}"
        return ICMP_NAMES.get(kind, f"type-#{kind}")

    def _unreachable(self, body: bytes, code: int, dst: str) -> str:
        if code == 2:
            return f"{dst} protocol {body[17]} unreachable"
        if code == 3:
            proto, port = body[17], be(body, 8 + (body[8] & 15) * 4 + 2)
            name = {6: "tcp", 17: "udp"}.get(proto, f"protocol {proto}")
            return f"{dst} {name} port {self.port(port, name)} unreachable"
        if code == 4:
            mtu = be(body, 6)
            return f"{dst} unreachable - need to frag" + (f" (mtu {mtu})" if mtu else "")
        return UNREACHABLE.get(code, f"{{dst}} unreachable - #{code}").format(dst=dst)

    # -- UDP, TCP ---------------------------------------------------------------------------------------------------

    def port(self, port: int, proto: str) -> str:
        """Write a port, by name unless -n."""
        if self.numeric:
            return str(port)
        try:
            return socket.getservbyport(port, proto)
        except OSError:
            return str(port)

    def _ends(self, ip: bytes, body: bytes, proto: str, bare: bool) -> str:
        ports = self.port(be(body, 0), proto), self.port(be(body, 2), proto)
        if bare:
            return f"{ports[0]} > {ports[1]}:"
        source, target = map(address, ends(ip))
        return f"{source}.{ports[0]} > {target}.{ports[1]}:"

    def udp(self, ip: bytes, body: bytes, size: int, fragmented: bool, bare: bool = False) -> str:
        """Write a datagram; *bare*: behind an extension header, where the addresses have been written."""
        if len(body) < 8:
            return f"{' > '.join(map(address, ends(ip)))}: [|udp]"
        where, claimed = self._ends(ip, body, "udp", bare), be(body, 4)
        if claimed < 8:
            return f"{where} truncated-udplength {claimed}"
        if claimed > size and not fragmented:
            return f"{where} {self._udp_sum(ip, body, size, False)}UDP, bad length {claimed - 8} > {size - 8}"
        return f"{where} {self._udp_sum(ip, body, claimed, fragmented)}UDP, length {claimed - 8}"

    def _udp_sum(self, ip: bytes, body: bytes, size: int, fragmented: bool) -> str:
        if self.verbose < (1 if ip[0] >> 4 == 6 else 2) or fragmented or len(body) < size:
            return ""
        if be(body, 6) == 0:
            return "[no cksum] "
        right = _transport_sum(ip, body[:size], 6) or 0xFFFF
        if be(body, 6) == right:
            return "[udp sum ok] "
        return f"[bad udp cksum 0x{be(body, 6):04x} -> 0x{right:04x}!] "

    def tcp_segment(self, ip: bytes, body: bytes, size: int, bare: bool = False) -> str:
        """Write a segment; *bare* as in `udp`."""
        if len(body) < 20:
            return f"{' > '.join(map(address, ends(ip)))}: [|tcp]"
        where, hlen = self._ends(ip, body, "tcp", bare), (body[12] >> 4) * 4
        length = size - hlen
        if hlen < 20:
            return f"{where} [bad hdr length {hlen} - too short, < 20]"
        if hlen > size:
            return f"{where} [bad hdr length {hlen} - too long, > {size}]"
        if self.quick:
            return f"{where} tcp {length}"
        return f"{where} {self._tcp_text(ip, body, hlen, length)}"

    def _tcp_text(self, ip: bytes, body: bytes, hlen: int, length: int) -> str:
        bits = body[13]
        flags = "".join(mark for i, mark in enumerate(TCP_FLAGS) if bits >> i & 1) or "none"
        seq, ack = self._relative(ip, body, bits)
        text = f"Flags [{flags}]" + (self._tcp_sum(ip, body) if self.verbose else "")
        if self.verbose > 1 or length > 0 or bits & 7:
            text += f", seq {seq}" + (f":{(seq + length) & 0xFFFF_FFFF}" if length > 0 else "")
        if bits & 16:
            text += f", ack {ack}"
        text += f", win {be(body, 14)}" + (f", urg {be(body, 18)}" if bits & 32 else "")
        if hlen > 20:
            text += f", options [{','.join(_tcp_options(body[20:hlen]))}]"
        return f"{text}, length {length}"

    def _tcp_sum(self, ip: bytes, body: bytes) -> str:
        right, found = _transport_sum(ip, body, 16), be(body, 16)
        return f", cksum 0x{found:04x} " + ("(correct)" if found == right else f"(incorrect -> 0x{right:04x})")

    def _relative(self, ip: bytes, body: bytes, bits: int) -> tuple[int, int]:
        """Return sequence and acknowledgement as tcpdump counts them: from the first segment with ACK it saw."""
        seq, ack = be(body, 4, 4), be(body, 8, 4)
        if not bits & 16:
            return seq, ack
        source, target = ends(ip)
        turned = source > target
        ports = be(body, 0), be(body, 2)
        key = (target, source, *ports[::-1]) if turned else (source, target, *ports)
        if key not in self._tcp or bits & 2:
            self._tcp[key] = (ack - 1, seq) if turned else (seq, ack - 1)
            return seq, ack
        mine, theirs = reversed(self._tcp[key]) if turned else self._tcp[key]
        return (seq - mine) & 0xFFFF_FFFF, (ack - theirs) & 0xFFFF_FFFF

    # -- IGMP -------------------------------------------------------------------------------------------------------

    def _igmp(self, body: bytes, size: int) -> str:
        if self.quick:
            return "igmp"
        if len(body) < 8:
            return "[|igmp]"
        text = f"igmp {self._igmp_text(body, size)}"
        if self.verbose and len(body) == size and checksum(body):
            text += f" bad igmp cksum {be(body, 2):x}!"
        return text

    def _igmp_text(self, body: bytes, size: int) -> str:
        kind, group = body[0], address(body[4:8])
        if kind == 0x11:
            return _igmp_query(body, size)
        if kind == 0x22:
            return self._igmp3_report(body)
        names = {0x12: "v1 report", 0x16: "v2 report", 0x17: "leave"}
        return f"{names[kind]} {group}" if kind in names else f"-{kind}"

    def _igmp3_report(self, body: bytes) -> str:
        count, at = be(body, 6), 8
        text = f"v3 report, {count} group record(s)"
        for _ in range(count if self.verbose else 0):
            sources = be(body, at + 2)
            shown = f", {sources} source(s)"
            if self.verbose > 1:
                listed = (address(body[at + 8 + 4 * i : at + 12 + 4 * i]) for i in range(sources))
                shown = " { " + "".join(f"{source} " for source in listed) + "}"
            kind = IGMP_RECORDS.get(body[at], f"[v3-report-#{body[at]}]")
            text += f" [gaddr {address(body[at + 4 : at + 8])} {kind}{shown}]"
            at += 8 + 4 * sources + 4 * body[at + 1]
        return text

    # -- IPv6 -------------------------------------------------------------------------------------------------------

    def ipv6(self, data: bytes) -> str:
        """Write a packet."""
        from simvlan.tools.tcpdump_ip6 import ipv6

        return ipv6(self, data)


def _igmp_query(body: bytes, size: int) -> str:
    code, group = body[1], address(body[4:8])
    if size >= 12:
        tenths = code if code < 128 else ((code & 15) | 16) << ((code >> 4 & 7) + 3)
        wait = "" if code == 100 else f" [max resp time {tenths * 0.1:.1f}s]"
        sources = be(body, 10)
        if sources:
            return f"query v3{wait} [gaddr {group}, {sources} source(s)]"
        return f"query v3{wait}" + (f" [gaddr {group}]" if any(body[4:8]) else "")
    if code == 0:
        return "query v1" + (f" [gaddr {group}]" if any(body[4:8]) else "")
    wait = "" if code == 100 else f" [max resp time {code}]"
    return f"query v2{wait}" + (f" [gaddr {group}]" if any(body[4:8]) else "")


def _transport_sum(ip: bytes, body: bytes, at: int) -> int:
    """Return the checksum a UDP or TCP body should carry, pseudo-header included."""
    source, target = ends(ip)
    proto = ip[9] if len(source) == 4 else 17 if at == 6 else 6
    pseudo = source + target + bytes((0, proto)) + len(body).to_bytes(2, "big")
    return checksum(pseudo + body[:at] + b"\0\0" + body[at + 2 :])


def _options(data: bytes) -> list[str]:
    """Name the IP options."""
    names: list[str] = []
    at = 0
    while at < len(data):
        kind = data[at]
        size = 1 if kind < 2 else data[at + 1] if at + 1 < len(data) else 0
        if kind > 1 and (size < 2 or at + size > len(data)):
            return [*names, f"[|ip op-len {size}]"]
        names.append(_option_text(kind, data[at : at + size]))
        if kind == 0:
            break
        at += size
    return names


def _option_text(kind: int, option: bytes) -> str:
    if kind in (7, 131, 137):
        return " ".join((IP_OPTIONS[kind], *_route(option)))
    return IP_OPTIONS.get(kind, f"unknown {kind}")


def _route(option: bytes) -> list[str]:
    """Write the addresses of a record-route option; a comma follows the one before the pointer."""
    pointer, found = option[2] - 1, []
    for at in range(3, len(option) - 3, 4):
        found.append(address(option[at : at + 4]) + ("," if at + 4 == pointer else ""))
    return found


def _tcp_options(data: bytes) -> list[str]:
    """Write the TCP options."""
    texts, at = [], 0
    while at < len(data):
        kind = data[at]
        if kind < 2:
            texts.append("eol" if kind == 0 else "nop")
            if kind == 0:
                break
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 0
        if size < 2 or at + size > len(data):
            return [*texts, "[bad opt]"]
        texts.append(_tcp_option(kind, data[at + 2 : at + size]))
        at += size
    return texts


def _tcp_option(kind: int, value: bytes) -> str:
    if kind == 2:
        return f"mss {be(value, 0)}"
    if kind == 3 and value:
        return f"wscale {value[0]}"
    if kind == 4:
        return "sackOK"
    if kind == 8:
        return f"TS val {be(value, 0, 4)} ecr {be(value, 4, 4)}"
    return f"unknown-{kind} 0x{value.hex()}"


def _protocol_name(proto: int) -> str | None:
    """Name a protocol the way /etc/protocols does."""
    return {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 51: "ah", 89: "ospf"}.get(proto)
