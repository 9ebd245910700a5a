"""What dnsmasq makes of a DHCP option's value: addresses, numbers, hex, names, text (parse_dhcp_opt, src/option.c)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from simvlan.dhcp import message as m
from simvlan.dhcp.options import Option
from simvlan.dhcp.tags import Pattern, Source
from simvlan.dns.message import MessageError, encoded
from simvlan.tools.common import Refused

BAD = "bad command line options: "
SAID = {"dhcp-range": "bad dhcp-range", "dhcp-option": "bad dhcp-option", "port": "try --help",
        "address": "Bad address in --address", "server": "Cannot resolve server name", "MAC": "bad hex constant",
        "host-record": "Bad host-record"}  # fmt: skip
"""What dnsmasq says of a bad value."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

_ADDRESSES = {
    "router": 3, "dns-server": 6, "log-server": 7, "lpr-server": 9, "swap-server": 16, "policy-filter": 21,
    "broadcast": 28, "router-solicitation": 32, "static-route": 33, "nis-server": 41, "ntp-server": 42,
    "netbios-ns": 44, "netbios-dd": 45, "x-windows-fs": 48, "x-windows-dm": 49, "nis+-server": 65,
    "mobile-ip-home": 68, "smtp-server": 69, "pop3-server": 70, "nntp-server": 71, "irc-server": 74,
    "tftp-server-address": 150, "netmask": 1,
}  # fmt: skip
_TEXTS = {
    "domain-name": 15, "root-path": 17, "extension-path": 18, "nis-domain": 40, "nis+-domain": 64, "tftp-server": 66,
    "bootfile-name": 67, "posix-timezone": 100, "tzdb-timezone": 101, "captive-portal": 114, "hostname": 12,
}  # fmt: skip
_NUMBERS = {
    "time-offset": (2, 4), "boot-file-size": (13, 2), "ip-forward-enable": (19, 1), "non-local-source-routing": (20, 1),
    "max-datagram-reassembly": (22, 2), "default-ttl": (23, 1), "mtu": (26, 2), "all-subnets-local": (27, 1),
    "router-discovery": (31, 1), "trailer-encapsulation": (34, 1), "arp-timeout": (35, 4), "ethernet-encap": (36, 1),
    "tcp-ttl": (37, 1), "tcp-keepalive": (38, 4), "netbios-nodetype": (46, 1), "client-arch": (93, 2),
    "ipv6-only": (108, 4),
}  # fmt: skip
_OTHERS = {"T1": 58, "T2": 59, "netbios-scope": 47, "vendor-class": 60, "user-class": 77, "domain-search": 119,
           "classless-static-route": 121, "sip-server": 120, "client-machine-id": 97}  # fmt: skip
CODES = _ADDRESSES | _TEXTS | {name: code for name, (code, _) in _NUMBERS.items()} | _OTHERS
"""Options by dnsmasq's names."""
ADDRESSES, TEXTS, SIZES = set(_ADDRESSES.values()), set(_TEXTS.values()), dict(_NUMBERS.values())
SEARCH, ROUTES, SIP = 119, 121, 120


def bad(where: str, what: str) -> Refused:
    """A bad value, as dnsmasq says it."""
    return Refused(f"\ndnsmasq: {BAD}{SAID.get(where, f'bad {where}: {what}')}\n")


def address_of(text: str, where: str) -> IPv4Address:
    """An address; *where* names the option that it is for."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise bad(where, text) from None


def dhcp_option(value: str, forced: bool = False) -> Option:
    """`[tag:X,]option:router,10.0.0.254`, `6,10.0.0.2,10.0.0.3`, `26,1400`; without a value none is sent."""
    words, wanted = value.split(","), []
    while len(words) > 1 and not words[0].isdigit() and not words[0].startswith("option:"):
        word = words.pop(0)
        if word.startswith(("vendor:", "encap:", "vi-encap:", "option6:")):
            raise Refused(f"\nsimvlan: dnsmasq: --dhcp-option={value}: {word} is not modelled\n", 95)
        wanted.append(word[4:] if word.startswith(("tag:", "net:", "set:")) else word)
    code = _code(words[0], value)
    rest = ",".join(words[1:])
    made, addresses = encode(code, rest) if rest else (b"", False)
    return Option(code, made, tuple(wanted), forced, addresses)


def _code(word: str, value: str) -> int:
    code = int(word) if word.isdigit() else CODES.get(word.removeprefix("option:"), 0)
    if not 0 < code < 255:
        known = ", ".join(CODES)
        raise Refused(f"\nsimvlan: dnsmasq: --dhcp-option={value}: there are numbers and {known}\n", 95)
    return code


def encode(code: int, text: str) -> tuple[bytes, bool]:
    """The octets of a value, and whether they are addresses."""
    parts = text.split(",")
    if code in ADDRESSES:
        return b"".join(address_of(word, "dhcp-option").packed for word in parts), True
    if code in TEXTS:
        return text.encode(), False
    if code in (m.T1, m.T2):
        return _seconds(text).to_bytes(4, "big"), False
    if re.fullmatch(r"[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2})+", text):
        return bytes(int(part, 16) for part in text.split(":")), False
    number = re.fullmatch(r"(-?\d+)([bsi]?)", text)
    if number and code not in (SEARCH, SIP):
        return _number(code, int(number[1]), number[2]), False
    if re.fullmatch(r"[\d./, ]+", text) and "." in text and not text.startswith("/"):
        made = b"".join(_prefix(word) for word in parts)
        return (b"\x01" + made, False) if code == SIP else (made, "/" not in text)
    return (_search(parts), False) if code == SEARCH else (text.encode(), False)


def _seconds(text: str) -> int:
    number, unit = (text[:-1], UNITS[text[-1].lower()]) if text[-1:].lower() in UNITS else (text, 1)
    if not number.isdigit():
        raise bad("dhcp-option", text)
    return int(number) * unit


def _number(code: int, number: int, letter: str) -> bytes:
    """As wide as the option is, as the letter says, or as the number needs."""
    usual = 4 if number & 0xFFFF_0000 else 2 if number & 0xFF00 else 1
    size = {"b": 1, "s": 2, "i": 4}.get(letter) or SIZES.get(code) or usual
    return (number & ((1 << 8 * size) - 1)).to_bytes(size, "big")


def _prefix(word: str) -> bytes:
    """An address, or a network as classless routes have it: its length, then its octets."""
    text, slash, length = word.partition("/")
    octets = address_of(text, "dhcp-option").packed
    if not slash:
        return octets
    return bytes((int(length),)) + octets[: (int(length) + 7) // 8]


def _search(domains: list[str]) -> bytes:
    """Names one behind the other, ends that have been there pointed to (RFC 3397)."""
    made, known = b"", dict[bytes, int]()
    for domain in domains:
        try:
            name = encoded(domain)
        except MessageError:
            raise Refused(f"\ndnsmasq: {BAD}bad domain in dhcp-option\n") from None
        while name != b"\0" and name not in known:
            known[name] = len(made)
            made, name = made + name[: 1 + name[0]], name[1 + name[0] :]
        made += b"\0" if name == b"\0" else (0xC000 | known[name]).to_bytes(2, "big")
    return made


def match_option(tag: str, rest: str) -> Source:
    """The end of `--dhcp-match=set:TAG,OPTION[,VALUE]`."""
    word, comma, text = rest.partition(",")
    if word.startswith(("option6:", "vi-encap:")):
        raise Refused(f"\nsimvlan: dnsmasq: --dhcp-match: {word} is not modelled\n", 95)
    code = _code(word, rest)
    if not comma:
        return Source(tag, "option", code=code)
    if re.fullmatch(r"([0-9A-Fa-f]{1,2}|\*)(:([0-9A-Fa-f]{1,2}|\*))+", text):
        pattern: Pattern = tuple(None if part == "*" else int(part, 16) for part in text.split(":"))
        return Source(tag, "option", code=code, pattern=pattern)
    value, _ = encode(code, text)
    return Source(tag, "option", value, code, text=value == text.encode())
