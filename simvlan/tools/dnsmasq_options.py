"""The command line of dnsmasq 2.90 as people use it: what of it is understood, what is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from simvlan.dhcp.leases import Config, Reservation
from simvlan.dns.message import PORT
from simvlan.radv.ranges import Param, Range
from simvlan.tools import dnsmasq_dhcp
from simvlan.tools.common import Refused
from simvlan.tools.dnsmasq_ra import is_six, ra_param, ra_range
from simvlan.tools.dnsmasq_values import BAD, address_of, bad
from simvlan.tools.hosts import literal

_NO_BEARING = """
user group no-poll log-dhcp log-queries cache-size strict-order no-negcache
no-daemon keep-in-foreground bind-dynamic
local-ttl clear-on-reload all-servers leasefile-ro
"""
NO_BEARING = frozenset(_NO_BEARING.split())
"""Options that change no frame here; logs of queries are not kept."""
SHORT = {"d": "no-daemon", "k": "keep-in-foreground", "i": "interface", "I": "except-interface", "z": "bind-interfaces",
         "F": "dhcp-range", "G": "dhcp-host", "O": "dhcp-option", "K": "dhcp-authoritative", "l": "dhcp-leasefile",
         "p": "port", "C": "conf-file", "7": "conf-dir", "u": "user", "g": "group", "x": "pid-file", "R": "no-resolv",
         "n": "no-poll", "q": "log-queries", "8": "log-facility", "c": "cache-size", "5": "no-ping", "A": "address",
         "H": "addn-hosts", "h": "no-hosts", "S": "server", "s": "domain", "a": "listen-address",
         "D": "domain-needed", "b": "bogus-priv", "N": "no-negcache", "X": "dhcp-lease-max", "U": "dhcp-vendorclass",
         "j": "dhcp-userclass", "4": "dhcp-mac", "J": "dhcp-ignore", "6": "dhcp-script", "M": "dhcp-boot",
         "m": "mx-host", "L": "localmx", "e": "selfmx", "E": "expand-hosts", "f": "filterwin2k", "o": "strict-order",
         "P": "edns-packet-max", "Q": "query-port", "r": "resolv-file", "t": "mx-target", "T": "local-ttl",
         "V": "alias", "W": "srv-host", "Y": "txt-record", "y": "localise-queries", "Z": "read-ethers",
         "1": "enable-dbus", "3": "bootp-dynamic", "B": "bogus-nxdomain", "w": "help", "v": "version",
         "0": "dns-forward-max", "2": "no-dhcp-interface"}  # fmt: skip
_FLAGS = """
no-daemon keep-in-foreground bind-interfaces bind-dynamic dhcp-authoritative no-resolv no-poll log-queries log-dhcp
no-ping no-hosts strict-order no-negcache domain-needed bogus-priv quiet-dhcp leasefile-ro clear-on-reload
all-servers localmx selfmx expand-hosts filterwin2k localise-queries read-ethers help version
dhcp-ignore-clid dhcp-sequential-ip enable-ra quiet-ra
"""
FLAGS = frozenset(_FLAGS.split())


KNOWN = (
    NO_BEARING
    | FLAGS
    | set(SHORT.values())
    | dnsmasq_dhcp.NAMES
    | {"dhcp-relay", "leasefile", "host-record", "ra-param"}
)
"""Every option that is understood."""
_OTHERS = """
add-cpe-id add-mac add-subnet auth-peer auth-sec-servers auth-server auth-soa auth-ttl auth-zone bridge-interface
caa-record cache-rr cname conf-script connmark-allowlist connmark-allowlist-enable conntrack dhcp-alternate-port
dhcp-client-update dhcp-duid dhcp-fqdn dhcp-generate-names dhcp-hostsdir dhcp-hostsfile dhcp-luascript
dhcp-no-override dhcp-optsdir dhcp-optsfile dhcp-proxy dhcp-pxe-vendor dhcp-rapid-commit dhcp-reply-delay
dhcp-scriptuser dhcp-ttl dns-loop-detect dns-rr dnssec dnssec-check-unsigned dnssec-debug dnssec-limits
dnssec-no-timecheck dnssec-timestamp dumpfile dumpmask dynamic-host enable-tftp enable-ubus fast-dns-retry filter-A
filter-AAAA filter-rr hostsdir ignore-address interface-name ipset local-service log-async log-debug max-cache-ttl
max-port max-tcp-connections max-ttl min-cache-ttl min-port naptr-record neg-ttl nftset no-dhcpv4-interface
no-dhcpv6-interface no-ident no-round-robin port-limit proxy-dnssec ptr-record pxe-prompt pxe-service quiet-dhcp6
quiet-tftp rebind-domain-ok rebind-localhost-ok rev-server script-arp script-on-renewal servers-file shared-network
stop-dns-rebind strip-mac strip-subnet synth-domain test tftp-lowercase tftp-max tftp-mtu tftp-no-blocksize
tftp-no-fail tftp-port-range tftp-root tftp-secure tftp-single-port tftp-unique-root trust-anchor umbrella
use-stale-cache
"""
OTHERS = frozenset(_OTHERS.split())
"""What the real one has besides (dnsmasq --help of 2.90)."""


@dataclass
class Asked:
    """What the command line asked for.

    Attributes:
        addresses: (domain, address) pairs of --address: the domain and all below it.
        records: (names, addresses) of --host-record.
    """

    dhcp: Config = field(default_factory=Config)
    reserved: list[Reservation] = field(default_factory=list)
    """Reservations as they are written, without addresses that follow from names."""
    interfaces: list[str] = field(default_factory=list)
    excepted: list[str] = field(default_factory=list)
    listen: list[str] = field(default_factory=list)
    foreground: bool = False
    debug: bool = False
    """-d: no file for the process number."""
    aloud: bool = False
    """-d, or -k with --log-facility=-: what it does is said on standard error; else the system's log has it."""
    to_stderr: bool = False
    ra: list[Range] = field(default_factory=list)
    """Networks that are advertised."""
    ra_params: dict[str, Param] = field(default_factory=dict)
    quiet_ra: bool = False
    quiet: bool = False
    """--quiet-dhcp: of DHCP only what goes wrong is said."""
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
    bogus: bool = False
    """--bogus-priv: nobody else is asked about private addresses."""
    full: bool = False
    """--domain-needed: nor about names without a domain."""
    domain: str = ""
    expand: bool = False
    """--expand-hosts: simple names of hosts files have the domain too."""


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
    asked.reserved = list(asked.dhcp.reservations)
    asked.dhcp.dns = b"yes" if asked.port == PORT else b""
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
                raise unmodelled(name, "bad option")
            if name == "conf-file":
                _read_file(asked, value, contents)
            elif bool(equals) is (name in FLAGS):
                raise bad(name, line)
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
        case "dhcp-range" if is_six(value):
            asked.ra.append(ra_range(value))
        case _ if name in dnsmasq_dhcp.NAMES:
            dnsmasq_dhcp.set_option(asked.dhcp, name, value)
        case "interface":
            asked.interfaces += value.split(",")
        case "except-interface":
            asked.excepted += value.split(",")
        case "listen-address":
            asked.listen += value.split(",")
        case "dhcp-relay":
            local, _, server = value.partition(",")
            asked.relays.append((int(address_of(local, name)), int(address_of(server, name))))
        case "quiet-dhcp":
            asked.quiet = True
        case "quiet-ra":
            asked.quiet_ra = True
        case "enable-ra":
            pass  # it makes ranges with addresses of DHCPv6 advertised, which are not here
        case "ra-param":
            asked.ra_params.update([ra_param(value)])
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
        case "bogus-priv":
            asked.bogus = True
        case "domain-needed":
            asked.full = True
        case "no-resolv":
            asked.resolv_conf = False
        case "expand-hosts":
            asked.expand = True
        case _ if name not in NO_BEARING:
            raise unmodelled(name, "try --help")


def unmodelled(name: str, unknown: str) -> Refused:
    """The refusal of an option that dnsmasq has and simvlan has not, or of one that neither has."""
    known = name in KNOWN or name in OTHERS
    return Refused(f"\ndnsmasq: {BAD}{f'simvlan does not model --{name}' if known else unknown}\n")


def _domain(value: str) -> tuple[str, str]:
    """`/example.com/10.0.0.1`; `/#/...` is every name."""
    parts = value.split("/")
    if len(parts) != 3 or parts[0]:
        raise bad("address", value)
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
        raise bad("host-record", value)
    numbers = [word for word in words if (word[:1].isdigit() and word.count(".") == 3) or ":" in word]
    for word in numbers:
        _either(word, "host-record")
    return [word.lower() for word in words if word not in numbers and not word.isdigit()], numbers


def _either(text: str, where: str) -> str:
    """An address of either family."""
    if literal(text) is None:
        raise bad(where, text)
    return text


def _number(text: str, where: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise bad(where, text)
    return int(text)
