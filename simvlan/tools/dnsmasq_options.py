"""The command line of dnsmasq 2.90 as people use it: what of it is understood, what is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from simvlan.dhcp import message as m
from simvlan.dhcp.leases import FOREVER, Config, Range, Reservation
from simvlan.tools.common import Refused
from simvlan.tools.hosts import literal

_NO_BEARING = """
user group no-poll log-dhcp log-queries cache-size strict-order no-negcache
domain-needed bogus-priv no-daemon keep-in-foreground quiet-dhcp dhcp-lease-max read-ethers bind-dynamic
local-ttl clear-on-reload all-servers leasefile-ro
"""
NO_BEARING = frozenset(_NO_BEARING.split())
"""Options that change no frame here; logs of queries are not kept."""
SHORT = {"d": "no-daemon", "k": "keep-in-foreground", "i": "interface", "I": "except-interface", "z": "bind-interfaces",
         "F": "dhcp-range", "G": "dhcp-host", "O": "dhcp-option", "K": "dhcp-authoritative", "l": "dhcp-leasefile",
         "p": "port", "C": "conf-file", "7": "conf-dir", "u": "user", "g": "group", "x": "pid-file", "R": "no-resolv",
         "n": "no-poll", "q": "log-queries", "8": "log-facility", "c": "cache-size", "5": "no-ping", "A": "address",
         "H": "addn-hosts", "h": "no-hosts", "S": "server", "s": "domain", "a": "listen-address",
         "D": "domain-needed", "b": "bogus-priv", "N": "no-negcache", "X": "dhcp-lease-max"}  # fmt: skip
_FLAGS = """
no-daemon keep-in-foreground bind-interfaces bind-dynamic dhcp-authoritative no-resolv no-poll log-queries log-dhcp
no-ping no-hosts strict-order no-negcache domain-needed bogus-priv quiet-dhcp leasefile-ro read-ethers clear-on-reload
all-servers
"""
FLAGS = frozenset(_FLAGS.split())
OPTION_NAMES = {"netmask": 1, "router": 3, "dns-server": 6, "domain-name": 15, "mtu": 26, "broadcast": 28,
                "ntp-server": 42, "T1": 58, "T2": 59, "log-server": 7}  # fmt: skip
TEXT_OPTIONS = frozenset((12, 15, 17, 66, 67))
BAD = "bad command line options: "
SAID = {"dhcp-range": "bad dhcp-range", "port": "try --help", "address": "Bad address in --address",
        "server": "Cannot resolve server name", "MAC": "bad hex constant",
        "host-record": "Bad host-record"}  # fmt: skip
"""What dnsmasq says of a bad value."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


KNOWN = NO_BEARING | FLAGS | set(SHORT.values()) | {
    "dhcp-option-force", "dhcp-relay", "leasefile", "host-record"}  # fmt: skip
"""Every option that is understood."""


@dataclass
class Asked:
    """What the command line asked for.

    Attributes:
        addresses: (domain, address) pairs of --address: the domain and all below it.
        records: (names, addresses) of --host-record.
    """

    dhcp: Config = field(default_factory=Config)
    interfaces: list[str] = field(default_factory=list)
    excepted: list[str] = field(default_factory=list)
    listen: list[str] = field(default_factory=list)
    foreground: bool = False
    debug: bool = False
    """-d: no file for the process number."""
    aloud: bool = False
    """-d, or -k with --log-facility=-: what it does is said on standard error; else the system's log has it."""
    to_stderr: bool = False
    pidfile: str = ""
    bound: bool = False
    """--bind-interfaces: an interface has to be there."""
    relays: list[tuple[int, int]] = field(default_factory=list)
    """(local address, server) of --dhcp-relay."""
    port: int = 53
    leasefile: str = ""
    hosts: list[str] = field(default_factory=list)
    no_hosts: bool = False
    addresses: list[tuple[str, str]] = field(default_factory=list)
    records: list[tuple[list[str], list[str]]] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)
    forward: list[tuple[str, str]] = field(default_factory=list)
    """(domain, server or "") of --server=/DOMAIN/SERVER and --local=/DOMAIN/."""
    resolv_conf: bool = True
    domain: str = ""


def read(words: list[str], contents: Callable[[str], str] | None = None) -> Asked:
    """Read a command line.

    Args:
        contents: what is in a file, for --conf-file; without it no file is read.

    Raises:
        Refused: a bad or unknown option; the text names it, and the line of a file that it stands on.
    """
    asked = Asked()
    for name, value in _options(list(words)):
        if name == "conf-file":
            _read_file(asked, value, contents)
        else:
            _set(asked, name, value)
    asked.dhcp.dns = b"yes" if asked.port else b""
    asked.aloud = asked.debug or (asked.foreground and asked.to_stderr)
    return asked


def _read_file(asked: Asked, path: str, contents: Callable[[str], str] | None) -> None:
    """A configuration file: options without their dashes, one a line (one_file)."""
    try:
        text = contents(path) if contents is not None and path not in ("", "/dev/null") else ""
    except OSError as error:
        raise Refused(f"\ndnsmasq: cannot read {path}: {error.strerror}\n", 3) from None
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = (part.strip() for part in re.sub(r"(^|\s)#.*", "", line).partition("="))
        name = {"local": "server"}.get(name, name)
        if not name:
            continue
        try:
            if name not in KNOWN:
                raise Refused("\ndnsmasq: bad command line options: bad option\n")
            if name == "conf-file":
                _read_file(asked, value, contents)
            elif bool(equals) is (name in FLAGS):
                raise _bad(name, line)
            else:
                _set(asked, name, value.strip('"'))
        except Refused as refused:
            raise Refused(str(refused).replace(BAD, "").rstrip("\n") + f" at line {number} of {path}\n",
                          refused.status) from None  # fmt: skip


def _options(words: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            raise Refused("\ndnsmasq: junk found in command line\n")
        name, equals, value = word[2:].partition("=") if word.startswith("--") else ("", "", "")
        name = {"local": "server"}.get(name, name)
        if not word.startswith("--"):
            name, value = SHORT.get(word[1], ""), word[2:].removeprefix("=")
            if not name:
                raise Refused(f"\ndnsmasq: {BAD}simvlan knows no -{word[1]}\n")
        if name not in FLAGS and not equals and not value and words and not words[0].startswith("-"):
            value = words.pop(0)
        found.append((name, value))
    return found


def _set(asked: Asked, name: str, value: str) -> None:
    match name:
        case "interface":
            asked.interfaces += value.split(",")
        case "except-interface":
            asked.excepted += value.split(",")
        case "listen-address":
            asked.listen += value.split(",")
        case "dhcp-range":
            asked.dhcp.ranges.append(dhcp_range(value))
        case "dhcp-host":
            asked.dhcp.reservations.append(dhcp_host(value))
        case "dhcp-option":
            asked.dhcp.options |= dhcp_option(value)
        case "dhcp-option-force":
            asked.dhcp.forced |= dhcp_option(value)
        case "dhcp-relay":
            local, _, server = value.partition(",")
            asked.relays.append((int(_address(local, name)), int(_address(server, name))))
        case "dhcp-authoritative":
            asked.dhcp.authoritative = True
        case "no-ping":
            asked.dhcp.ping = False
        case "pid-file":
            asked.pidfile = value
        case "bind-interfaces":
            asked.bound = True
        case "dhcp-leasefile" | "leasefile":
            asked.leasefile = value
        case "port":
            asked.port = _number(value, "port")
        case _:
            _set_dns(asked, name, value)
    asked.foreground |= name in ("no-daemon", "keep-in-foreground")
    asked.debug |= name == "no-daemon"


def _set_dns(asked: Asked, name: str, value: str) -> None:
    match name:
        case "address":
            asked.addresses.append(_domain(value))
        case "host-record":
            asked.records.append(_record(value))
        case "log-facility" if value != "-":
            raise Refused(f"\nsimvlan: dnsmasq: --log-facility={value}: logs go to standard error (-d)\n", 95)
        case "log-facility":
            asked.to_stderr = True
        case "server" if value.startswith("/"):
            asked.forward += _forward(value)
        case "addn-hosts":
            asked.hosts.append(value)
        case "no-hosts":
            asked.no_hosts = True
        case "server":
            asked.servers.append(_either(value, "server"))
        case "domain":
            asked.domain = value.split(",")[0]
            asked.dhcp.domain = asked.domain.encode()
        case "no-resolv":
            asked.resolv_conf = False
        case _ if name not in NO_BEARING:
            raise Refused(f"\ndnsmasq: {BAD}simvlan does not model --{name}\n")


def _domain(value: str) -> tuple[str, str]:
    """`/example.com/10.0.0.1`; `/#/...` is every name."""
    parts = value.split("/")
    if len(parts) != 3 or parts[0]:
        raise _bad("address", value)
    if parts[2]:
        _either(parts[2], "address")
    return parts[1].lower().rstrip("."), parts[2]


def _forward(value: str) -> list[tuple[str, str]]:
    """`/DOMAIN/[DOMAIN/...]SERVER`: who is asked about them; without a server nobody is."""
    _, *domains, server = value.split("/")
    if server and server != "#":
        _either(server, "server")
    return [(domain.lower().rstrip("."), server) for domain in domains if domain]


def _record(value: str) -> tuple[list[str], list[str]]:
    words = value.split(",")
    if len(words) < 2:
        raise _bad("host-record", value)
    numbers = [word for word in words if (word[:1].isdigit() and word.count(".") == 3) or ":" in word]
    for word in numbers:
        _either(word, "host-record")
    return [word.lower() for word in words if word not in numbers and not word.isdigit()], numbers


def dhcp_range(value: str) -> Range:
    """`10.0.0.100,10.0.0.150[,255.255.255.0[,BROADCAST]][,1h]`; `10.0.0.0,static[,...]`."""
    words = value.split(",")
    if any(":" in word and not word.startswith(("set:", "tag:")) for word in words):
        raise Refused(f"\nsimvlan: dnsmasq: --dhcp-range={value}: interfaces, tags and IPv6 are not modelled\n", 95)
    if len(words) < 2 or any(word.startswith(("set:", "tag:")) for word in words):
        raise _bad("dhcp-range", value)
    first = _address(words[0], "dhcp-range")
    static = words[1] == "static"
    last = first if static else _address(words[1], "dhcp-range")
    mask, lease = 0, 3600
    for word in words[2:]:
        if word.count(".") == 3:
            mask = mask or int(_address(word, "dhcp-range"))
        else:
            lease = lease_time(word, "dhcp-range")
    if last < first:
        first, last = last, first
    if mask and (int(first) ^ int(last)) & mask:
        raise Refused(f"\ndnsmasq: {BAD}inconsistent DHCP range\n")
    return Range(int(first), int(last), lease, mask, static)


def lease_time(word: str, where: str) -> int:
    """`45m`, `1h`, `3600`, `infinite`; two minutes at least."""
    if word == "infinite":
        return FOREVER
    number, unit = (word[:-1], UNITS[word[-1]]) if word[-1:] in UNITS else (word, 1)
    if not number.isdigit():
        raise _bad(where, word)
    return max(120, int(number) * unit)


def dhcp_host(value: str) -> Reservation:
    """`MAC|id:CLIENT|NAME|IP|LEASE|ignore`, in any order."""
    made = Reservation()
    for word in value.split(","):
        if word.startswith("id:"):
            made = replace(made, client=client_id(word[3:]))
        elif word == "ignore":
            made = replace(made, ignore=True)
        elif word.startswith(("set:", "tag:", "net:", "[")):
            raise Refused(f"\nsimvlan: dnsmasq: --dhcp-host={value}: tags and IPv6 are not modelled\n", 95)
        elif word.count(":") == 5:
            made = replace(made, macs=made.macs | {_mac(word)})
        elif word.count(".") == 3 and word.replace(".", "").isdigit():
            made = replace(made, address=int(_address(word, "dhcp-host")))
        elif word == "infinite" or word[:-1].isdigit():
            made = replace(made, lease_s=lease_time(word, "dhcp-host"))
        else:
            made = replace(made, name=word)
    return made


def client_id(text: str) -> bytes:
    """Hex octets with colons, or the text itself."""
    parts = text.split(":")
    try:
        return bytes(int(part, 16) for part in parts) if len(parts) > 1 else text.encode()
    except ValueError:
        return text.encode()


def dhcp_option(value: str) -> dict[int, bytes]:
    """`option:router,10.0.0.254`, `6,10.0.0.2,10.0.0.3`, `26,1400`, `15,example.com`; no value: send none."""
    name, _, rest = value.partition(",")
    name = name.removeprefix("option:")
    code = int(name) if name.isdigit() else OPTION_NAMES.get(name, 0)
    if not 0 < code < 255:
        known = ", ".join(OPTION_NAMES)
        raise Refused(f"\nsimvlan: dnsmasq: --dhcp-option={value}: there are numbers and {known}\n", 95)
    if code in TEXT_OPTIONS or not rest:
        return {code: rest.encode()}
    if code == m.MTU:
        return {code: _number(rest, "dhcp-option").to_bytes(2, "big")}
    if code in (m.T1, m.T2):
        return {code: lease_time(rest, "dhcp-option").to_bytes(4, "big")}
    return {code: b"".join(_address(word, "dhcp-option").packed for word in rest.split(","))}


def _mac(word: str) -> bytes:
    try:
        return bytes(int(part, 16) for part in word.split(":"))
    except ValueError:
        raise _bad("MAC", word) from None


def _address(text: str, where: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise _bad(where, text) from None


def _either(text: str, where: str) -> str:
    """An address of either family."""
    if literal(text) is None:
        raise _bad(where, text)
    return text


def _number(text: str, where: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise _bad(where, text)
    return int(text)


def _bad(where: str, what: str) -> Refused:
    said = SAID.get(where, f"bad {where}: {what}")
    return Refused(f"\ndnsmasq: {BAD}{said}\n")
