"""What stands behind the options of iptables 1.8.9: addresses, ports, and the matches and targets made of them.

Mirrors the option parsers of the extensions (libxt_*.c, libipt_*.c) and xtables_ipparse_any of libxtables/xtables.c.
"""

from __future__ import annotations

import ipaddress

from simvlan.netfilter.nat import Range
from simvlan.netfilter.rules import (
    CT_ORDER,
    ICMP_NAMES,
    PROTOCOLS,
    REJECTS,
    AddrType,
    Bridged,
    Comment,
    CtState,
    IcmpType,
    Match,
    Net,
    Ports,
    Target,
)
from simvlan.stack.ipaddr import MASKS

ADDRESS_TYPES = frozenset(("LOCAL", "UNICAST", "BROADCAST", "MULTICAST"))
SERVICES = {
    "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68, "http": 80, "pop3": 110,
    "ntp": 123, "imap2": 143, "snmp": 161, "https": 443, "syslog": 514, "mysql": 3306, "postgresql": 5432,
    "http-alt": 8080,
}  # fmt: skip
"""The few of /etc/services that rules name."""


class Mistake(Exception):  # noqa: N818 - what is the case
    """The command line is wrong: what iptables says behind its name and version; *bare*: without them."""

    def __init__(self, text: str, bare: bool = False) -> None:
        self.bare = bare
        super().__init__(text)


class NotBuilt(Exception):  # noqa: N818 - what is the case
    """iptables has it, we do not."""


def net(text: str, negated: bool) -> Net | None:
    """ADDRESS[/MASK]; several at once are not built."""
    if "," in text:
        raise NotBuilt("several addresses in one rule")
    host, slash, mask = text.partition("/")
    if host == "0" and slash:
        host = "0.0.0.0"
    try:
        address = int(ipaddress.IPv4Address(host))
    except ValueError:
        raise Mistake(f"host/network `{host}' not found") from None
    plen = 32
    if slash:
        plen = _plen(mask)
    if not plen and not negated:
        return None
    return Net(address & MASKS[plen], plen, negated)


def _plen(mask: str) -> int:
    if mask.isdigit() and int(mask) <= 32:
        return int(mask)
    try:
        return MASKS.index(int(ipaddress.IPv4Address(mask)))
    except ValueError:
        raise Mistake(f"invalid mask `{mask}' specified") from None


def protocol(text: str) -> int:
    """A name or a number."""
    if text.lower() in PROTOCOLS:
        return PROTOCOLS[text.lower()]
    if text.isdigit() and int(text) < 256:
        return int(text)
    raise Mistake(f'unknown protocol "{text}" specified')


def match(name: str, given: dict[str, tuple[str, bool]], proto: int) -> Match | None:
    """A match from its options; None for -m tcp without any."""
    if name in ("tcp", "udp"):
        if proto != PROTOCOLS[name]:
            raise Mistake(f"{name.upper()} match requires '-p {name}'")
        sport, dport = (_ports(given.get(key)) for key in ("sport", "dport"))
        return Ports(PROTOCOLS[name], sport, dport)
    if name == "icmp":
        text, negated = given.get("icmp-type", ("any", False))
        return IcmpType(*_icmp_type(text), negated)
    if name in ("conntrack", "state"):
        text, negated = given.get("ctstate" if name == "conntrack" else "state", ("", False))
        if not text:
            option = "--ctstate" if name == "conntrack" else "--state"
            raise Mistake(f"{name}: You must specify `{option}'" if name == "state" else "conntrack: At least one "
                          "option is required")  # fmt: skip
        return CtState(_states(text, name), negated, name)
    if name == "addrtype":
        return AddrType(_kinds(given.get("src-type")), _kinds(given.get("dst-type")))
    if name == "comment":
        return Comment(given.get("comment", ("", False))[0])
    return Bridged(given.get("physdev-is-bridged", ("", False))[1])


def _kinds(given: tuple[str, bool] | None) -> tuple[str, bool] | None:
    if given is None:
        return None
    for name in given[0].split(","):
        if name.upper() not in ADDRESS_TYPES:
            raise NotBuilt(f"iptables -m addrtype {name}")
    return given[0].upper(), given[1]


def _states(text: str, module: str) -> frozenset[str]:
    names = text.upper().split(",")
    for name in names:
        if name not in CT_ORDER or (module == "state" and name in ("SNAT", "DNAT")):
            raise Mistake(f'Bad {"ctstate" if module == "conntrack" else "state"} "{name}"')
    return frozenset(names)


def _ports(given: tuple[str, bool] | None) -> tuple[int, int, bool] | None:
    if given is None:
        return None
    low, colon, high = given[0].partition(":")
    first = _port(low or "0")
    last = _port(high or "65535") if colon else first
    if first > last:
        raise Mistake("invalid portrange (min > max)")
    return first, last, given[1]


def _port(text: str) -> int:
    if text.isdigit() and int(text) <= 65_535:
        return int(text)
    if text in SERVICES:
        return SERVICES[text]
    raise Mistake(f"invalid port/service `{text}' specified")


def _icmp_type(text: str) -> tuple[int, int]:
    name = {"ping": "echo-request", "pong": "echo-reply"}.get(text, text)
    if name in ICMP_NAMES:
        return ICMP_NAMES[name]
    kind, slash, code = name.partition("/")
    if kind.isdigit() and (not slash or code.isdigit()):
        return int(kind), int(code) if slash else -1
    raise Mistake(f"Unknown ICMP type `{text}'")


def target(name: str, given: dict[str, str], proto: int) -> Target:
    """A target from its options."""
    if name == "REJECT":
        how = given.get("reject-with", "icmp-port-unreachable")
        how = {"tcp-rst": "tcp-reset", "port-unreach": "icmp-port-unreachable"}.get(how, how)
        if how not in REJECTS:
            raise Mistake(f'unknown reject type "{how}"')
        return Target(name, how)
    if name == "DNAT":
        return Target(name, range=_range(name, given, "to-destination", proto))
    if name == "SNAT":
        return Target(name, range=_range(name, given, "to-source", proto))
    if name in ("MASQUERADE", "REDIRECT") and "to-ports" in given:
        return Target(name, range=Range(0, 0, *_port_range(given["to-ports"], proto)))
    return Target(name)


def _range(name: str, given: dict[str, str], option: str, proto: int) -> Range:
    text = given.get(option)
    if text is None:
        raise Mistake(f'{name}: option "--{option}" must be specified\n')
    hosts, colon, ports = text.partition(":")
    low, dash, high = hosts.partition("-")
    try:
        first = int(ipaddress.IPv4Address(low)) if low else 0
        last = int(ipaddress.IPv4Address(high)) if dash else first
    except ValueError:
        raise Mistake(f'Bad IP address "{low}"\n') from None
    if not first:
        raise NotBuilt(f"iptables -j {name} without an address (use -j REDIRECT)")
    return Range(first, last, *(_port_range(ports, proto) if colon else (0, 0)))


def _port_range(text: str, proto: int) -> tuple[int, int]:
    if proto not in (6, 17):
        raise Mistake("Need TCP, UDP, SCTP or DCCP with port specification")
    low, dash, high = text.partition("-")
    if not low.isdigit() or (dash and not high.isdigit()) or not 0 < int(low) <= int(high or low) <= 65_535:
        raise Mistake(f"Port `{text}' not valid\n")
    return int(low), int(high or low)
