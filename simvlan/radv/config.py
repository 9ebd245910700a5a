"""radvd.conf of radvd 2.19: text -> interfaces. Mirrors gram.y and scanner.l; refused by name is what is not modelled.

An address is a 128-bit integer; lifetimes are in seconds, intervals too (they may be fractions).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from simvlan.stack.ipv6.addr import parse_ip6

INFINITY = 0xFFFF_FFFF
UNSET = -1.0


class ConfigError(ValueError):
    """A configuration that radvd refuses; the text is what it says."""


class NotModelledError(ConfigError):
    """A word that radvd knows and simvlan does not; the text names it, the file and the line."""


@dataclass(slots=True)
class Prefix:
    """`prefix ADDRESS/LENGTH { ... };` — `::/64` stands for the prefixes of the interface itself."""

    address: int
    length: int
    on_link: bool = True
    autonomous: bool = True
    router_address: bool = False
    valid: int = 86_400
    preferred: int = 14_400
    deprecate: bool = False
    decrement: bool = False
    of_interface: str = ""
    """Base6Interface."""


@dataclass(slots=True)
class Route:
    """`route ADDRESS/LENGTH { ... };`."""

    address: int
    length: int
    lifetime: int
    preference: int = 0
    remove: bool = True


@dataclass(slots=True)
class Dns:
    """`RDNSS ADDRESS ... { ... };` or `DNSSL DOMAIN ... { ... };`: one of both lists is empty."""

    lifetime: int
    servers: list[int] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    flush: bool = True


@dataclass(slots=True)
class Interface:
    """`interface NAME { ... };`. What is UNSET follows from the greatest interval (`settle`)."""

    name: str
    ignore_if_missing: bool = True
    send: bool = False
    max_interval: float = 600.0
    min_interval: float = UNSET
    min_delay: float = 3.0
    managed: bool = False
    other: bool = False
    link_mtu: int = 0
    ra_mtu: int = 1280
    reachable: int = 0
    retrans: int = 0
    hop_limit: int = 64
    lifetime: int = -1
    preference: int = 0
    source_mac: bool = True
    unicast_only: bool = False
    solicited_unicast: bool = True
    prefixes: list[Prefix] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    dns: list[Dns] = field(default_factory=list)
    clients: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)


TOKEN = re.compile(
    r"#[^\n]*|(?P<newline>\n)|[ \t]+|(?P<punct>[{};/])"
    r"|(?P<address>(?:[0-9a-fA-F]{1,4})?(?::[0-9a-fA-F]{0,4}){2,7})"
    r"|(?P<decimal>\d+\.\d+)|(?P<number>-?\d+)(?![\w.:-])"
    r'|(?P<word>"[^"\n]*"|[a-zA-Z0-9`~!@#$%^&*()_\-+=:\[\]<>,.?\\]+)|(?P<bad>.)'
)
"""What scanner.l tells apart."""


@dataclass(slots=True, frozen=True)
class Token:
    """A word of the file: what it is, its text, its line."""

    kind: str
    text: str
    line: int


def tokens(text: str) -> list[Token]:
    """Cut a file into words; the last says the end."""
    found: list[Token] = []
    line = 1
    for match in TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "newline":
            line += 1
        elif kind:
            found.append(Token(kind, match.group(), line))
    return [*found, Token("end", "", line)]


_NO = "Mobile IPv6 is not modelled"
REFUSED = {
    "lowpanco": "6LoWPAN is not modelled",
    "abro": "6LoWPAN is not modelled",
    "AdvIntervalOpt": _NO,
    "AdvHomeAgentFlag": _NO,
    "AdvHomeAgentInfo": _NO,
    "HomeAgentPreference": _NO,
    "HomeAgentLifetime": _NO,
    "AdvMobRtrSupportFlag": _NO,
    "Base6to4Interface": "6to4 is not modelled",
}
"""Words of radvd.conf(5) that would say more on the link than is modelled."""

Setter = tuple[str, str]
"""Attribute and kind of its value: switch, number, interval, lifetime, preference or name."""

OF_INTERFACE: dict[str, Setter] = {
    "IgnoreIfMissing": ("ignore_if_missing", "switch"),
    "AdvSendAdvert": ("send", "switch"),
    "MaxRtrAdvInterval": ("max_interval", "interval"),
    "MinRtrAdvInterval": ("min_interval", "interval"),
    "MinDelayBetweenRAs": ("min_delay", "interval"),
    "AdvManagedFlag": ("managed", "switch"),
    "AdvOtherConfigFlag": ("other", "switch"),
    "AdvLinkMTU": ("link_mtu", "number"),
    "AdvRAMTU": ("ra_mtu", "number"),
    "AdvReachableTime": ("reachable", "number"),
    "AdvRetransTimer": ("retrans", "number"),
    "AdvCurHopLimit": ("hop_limit", "number"),
    "AdvDefaultLifetime": ("lifetime", "number"),
    "AdvDefaultPreference": ("preference", "preference"),
    "AdvSourceLLAddress": ("source_mac", "switch"),
    "UnicastOnly": ("unicast_only", "switch"),
    "AdvRASolicitedUnicast": ("solicited_unicast", "switch"),
}
OF_PREFIX: dict[str, Setter] = {
    "AdvOnLink": ("on_link", "switch"),
    "AdvAutonomous": ("autonomous", "switch"),
    "AdvRouterAddr": ("router_address", "switch"),
    "AdvValidLifetime": ("valid", "lifetime"),
    "AdvPreferredLifetime": ("preferred", "lifetime"),
    "DeprecatePrefix": ("deprecate", "switch"),
    "DecrementLifetimes": ("decrement", "switch"),
    "Base6Interface": ("of_interface", "name"),
}
OF_ROUTE: dict[str, Setter] = {
    "AdvRouteLifetime": ("lifetime", "lifetime"),
    "AdvRoutePreference": ("preference", "preference"),
    "RemoveRoute": ("remove", "switch"),
}
OF_RDNSS: dict[str, Setter] = {"AdvRDNSSLifetime": ("lifetime", "lifetime"), "FlushRDNSS": ("flush", "switch")}
OF_DNSSL: dict[str, Setter] = {"AdvDNSSLLifetime": ("lifetime", "lifetime"), "FlushDNSSL": ("flush", "switch")}
DEPRECATED = {"AdvRDNSSPreference": ("number", "preference"), "AdvRDNSSOpen": ("switch", "open flag")}
PREFERENCES = {"low": -1, "medium": 0, "high": 1}
_STALE = "<= 2*MaxRtrAdvInterval would allow stale DNS {} to be deleted faster"


class Reader:
    """Reads one file; `said` are warnings, in their order."""

    def __init__(self, text: str, filename: str) -> None:
        self.filename = filename
        self.tokens = tokens(text)
        self.at = 0
        self.said: list[str] = []

    # -- words ------------------------------------------------------------------------------------------------------

    @property
    def next(self) -> Token:
        """The word that comes."""
        return self.tokens[self.at]

    def take(self) -> Token:
        """Read the next word."""
        token = self.next
        self.at += token.kind != "end"
        return token

    def wrong(self, token: Token | None = None) -> ConfigError:
        """Complain of a word that cannot stand there (yyerror); a known one that is not modelled is named."""
        token = token or self.next
        if token.text in REFUSED:
            return NotModelledError(f"{self.filename}:{token.line}: {token.text}: {REFUSED[token.text]}")
        return ConfigError(f"{self.filename}:{token.line} error: syntax error")

    def expect(self, *texts: str) -> None:
        """These words and no others."""
        for text in texts:
            if self.next.text != text or self.next.kind not in ("punct", "word"):
                raise self.wrong()
            self.take()

    # -- values -----------------------------------------------------------------------------------------------------

    def value(self, kind: str) -> bool | int | float | str:
        """A value of a kind."""
        token = self.next
        if kind == "switch" and token.text in ("on", "off"):
            return self.take().text == "on"
        if kind in ("number", "interval", "lifetime") and token.kind == "number" and token.text[0] != "-":
            return self._number()
        if kind == "interval" and token.kind == "decimal":
            return float(self.take().text)
        if kind == "lifetime" and token.text == "infinity":
            self.take()
            return INFINITY
        if kind == "preference" and token.text in PREFERENCES:
            return PREFERENCES[self.take().text]
        if kind == "preference" and token.kind == "number" and token.text[0] == "-":
            return int(self.take().text)
        if kind == "name" and token.kind == "word":
            return self.take().text
        raise self.wrong()

    def _number(self) -> int:
        number = int(self.next.text)
        if number > 0xFFFF_FFFF:
            raise self.wrong()
        self.take()
        return number

    def address(self) -> int:
        """An IPv6 address."""
        if self.next.kind != "address":
            raise self.wrong()
        try:
            address = parse_ip6(self.next.text)
        except ValueError:
            raise self.wrong() from None
        self.take()
        return address

    def _network(self, what: str) -> tuple[int, int]:
        address = self.address()
        self.expect("/")
        length, line = int(self.value("number")), self.tokens[self.at - 1].line
        if length > 128:
            raise ConfigError(f"invalid {what} length in {self.filename}, line {line}")
        return address, length

    # -- blocks -----------------------------------------------------------------------------------------------------

    def file(self) -> list[Interface]:
        """Every interface, the last first, as radvd goes through them."""
        found: list[Interface] = []
        while self.next.kind != "end" or not found:
            self.expect("interface")
            name = str(self.value("name"))
            if any(each.name == name for each in found):
                raise ConfigError(f"duplicate interface definition for {name}")
            found.insert(0, self._interface(name))
        return found

    def _interface(self, name: str) -> Interface:
        made = Interface(name)
        blocks: dict[str, Callable[[Interface], None]] = {
            "prefix": self._prefix, "route": self._route, "RDNSS": self._rdnss, "DNSSL": self._dnssl,
            "clients": self._clients, "AdvRASrcAddress": self._sources,
        }  # fmt: skip
        self.expect("{")
        while self.next.text != "}":
            block = blocks.get(self.next.text)
            if block is None:
                self._set(made, OF_INTERFACE)
            else:
                self.take()
                block(made)
        self.expect("}", ";")
        made.ra_mtu = min(max(made.ra_mtu, 1280), 131_072)
        return made

    def _set(self, target: object, words: dict[str, Setter]) -> None:
        """`WORD VALUE;`."""
        if self.next.text not in words:
            raise self.wrong()
        attribute, kind = words[self.take().text]
        setattr(target, attribute, self.value(kind))
        self.expect(";")

    def _body(self, target: object, words: dict[str, Setter]) -> None:
        self.expect("{")
        while self.next.text != "}":
            self._set(target, words)
        self.expect("}", ";")

    def _prefix(self, into: Interface) -> None:
        made = Prefix(*self._network("prefix"))
        if self.next.text == "{":
            self._body(made, OF_PREFIX)
        else:
            self.expect(";")
        line = self.tokens[self.at - 1].line
        if made.preferred > made.valid:
            raise ConfigError(
                f"AdvValidLifeTime must be greater than AdvPreferredLifetime in {self.filename}, line {line}"
            )
        if made.of_interface and made.length != 64:
            raise ConfigError(f"only /64 is allowed with Base6Interface.  {self.filename}:{line}")
        into.prefixes.append(made)

    def _route(self, into: Interface) -> None:
        made = Route(*self._network("route prefix"), lifetime=int(3 * into.max_interval))
        self._body(made, OF_ROUTE)
        into.routes.append(made)

    def _rdnss(self, into: Interface) -> None:
        made = Dns(int(into.max_interval))
        while self.next.kind == "address" or not made.servers:
            made.servers.append(self.address())
            if len(made.servers) > 3:
                raise ConfigError("too many addresses in RDNSS section")
        self.expect("{")
        while self.next.text != "}":
            if self.next.text in DEPRECATED:
                kind, word = DEPRECATED[self.take().text]
                self.value(kind)
                self.expect(";")
                self.said.append(f"ignoring deprecated RDNSS {word}")
            else:
                self._dns_lifetime(made, into, OF_RDNSS, "servers")
        self.expect("}", ";")
        into.dns.append(made)

    def _dnssl(self, into: Interface) -> None:
        made = Dns(int(into.max_interval))
        while self.next.kind == "word" or not made.domains:
            domain = str(self.value("name"))
            if re.search(r"[^A-Za-z0-9.-]", domain):
                raise ConfigError("invalid domain suffix specified")
            made.domains.append(domain)
        self.expect("{")
        while self.next.text != "}":
            self._dns_lifetime(made, into, OF_DNSSL, "suffixes")
        self.expect("}", ";")
        into.dns.append(made)

    def _dns_lifetime(self, made: Dns, into: Interface, words: dict[str, Setter], things: str) -> None:
        """A setting of a name server or domain, and what radvd says of its lifetime."""
        name, line = self.next.text, self.next.line
        self._set(made, words)
        if "Lifetime" not in name:
            return
        long = made.lifetime > 2 * into.max_interval
        if long:
            self.said.append(f"warning: {name} {_STALE.format(things)}")
        if made.lifetime and made.lifetime < into.max_interval:
            self.said.append(f"{name} must be at least MaxRtrAdvInterval")
            if made.domains:  # of servers the value stands although it was refused
                made.lifetime = int(into.max_interval)
        if long and made.servers:
            self.said.append(f"warning: ({self.filename}:{line}) {name} {_STALE.format(things)}")

    def _clients(self, into: Interface) -> None:
        into.clients += self._addresses()

    def _sources(self, into: Interface) -> None:
        into.sources += self._addresses()

    def _addresses(self) -> list[int]:
        """`{ ADDRESS; ... };`, the last first."""
        found: list[int] = []
        self.expect("{")
        while self.next.text != "}" or not found:
            found.insert(0, self.address())
            self.expect(";")
        self.expect("}", ";")
        return found


def settle(iface: Interface, mtu: int) -> list[str]:
    """Fill in what follows from the greatest interval, and say what radvd refuses of the rest (check_iface).

    Attributes are as the kernel's device has them: *mtu* in octets of IP.
    """
    mobile = any(each.router_address for each in iface.prefixes)
    said: list[str] = []
    name = iface.name
    if iface.min_interval < 0:
        iface.min_interval = 0.33 * iface.max_interval
    least, most = (0.03 if mobile else 3), 0.75 * iface.max_interval
    if not least <= iface.min_interval <= most:
        said.append(
            f"MinRtrAdvInterval for {name} ({iface.min_interval:.2f}) must be at least {least:.2f}"
            f" but no more than 3/4 of MaxRtrAdvInterval ({most:.2f})"
        )
    least = 0.07 if mobile else 4
    if not least <= iface.max_interval <= 1800:
        said.append(f"MaxRtrAdvInterval for {name} ({iface.max_interval:.2f}) must be between {least:.2f} and 1800")
    least = 0.03 if mobile else 3
    if iface.min_delay < least:
        said.append(f"MinDelayBetweenRAs for {name} ({iface.min_delay:.2f}) must be at least {least:.2f}")
    if iface.link_mtu and not 1280 <= iface.link_mtu <= mtu:
        said.append(f"AdvLinkMTU for {name} ({iface.link_mtu}) must be zero or between 1280 and {mtu}")
    if iface.reachable > 3_600_000:
        said.append(f"AdvReachableTime for {name} ({iface.reachable}) must not be greater than 3600000")
    if iface.lifetime < 0:
        iface.lifetime = max(1, int(3 * iface.max_interval))
    least = max(1, iface.max_interval)
    if iface.lifetime and not least <= iface.lifetime <= 9000:
        said.append(f"AdvDefaultLifetime for {name} ({iface.lifetime}) must be zero or between {int(least)} and 9000")
    return said
