"""The filter language of pcap-filter(7), the part people type: compiled into a predicate over frames.

Mirrors libpcap 1.10 (grammar.y, gencode.c): `and` and `or` bind alike and to the left, `not` binds tight, qualifiers
carry over (`host A or B`), `vlan` shifts everything written after it past one tag. What a test looks at is in
`tcpdump_view`.
"""

from __future__ import annotations

import ipaddress
import operator
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

from simvlan.frame import BROADCAST, GROUP, parse_mac
from simvlan.tools.tcpdump_view import (
    ETHERTYPE,
    IP_PROTO,
    BeyondTheFrame,
    View,
    base_of,
    compares,
    hosts,
    hosts6,
    ip_proto,
    ipv4,
    ports,
    tagged,
)

Test = Callable[[View], bool]


class FilterError(Exception):
    """An expression libpcap refuses; the text is libpcap's."""


SYNTAX = "can't parse filter expression: syntax error"


@dataclass(frozen=True)
class Qualifiers:
    """What stands before an id: protocol, direction, type."""

    proto: str = ""
    direction: str = "or"
    kind: str = "host"


NAMES = {"icmptype": 0, "icmpcode": 1, "tcpflags": 13, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-redirect": 5,
         "icmp-echo": 8, "icmp-timxceed": 11, "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16,
         "tcp-urg": 32}  # fmt: skip
RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le,
    ">=": operator.ge,
}  # fmt: skip
_WORDS = (
    "and or not host net port portrange proto src dst broadcast multicast vlan less greater inbound outbound ether len"
)
KEYWORDS = frozenset(_WORDS.split()) | set(ETHERTYPE) | set(IP_PROTO)
TOKEN = re.compile(r"\s*(&&|\|\||[!<>=]=|[()\[\]:!<>=&]|[^\s()\[\]!<>=&|]+)")


def compile_filter(text: str) -> Test | None:
    """Return the predicate of an expression, None for the empty one.

    Raises:
        FilterError: libpcap would refuse the expression, or it is beyond what is built here.
    """
    if not text.strip():
        return None
    parser = _Parser(_tokens(text))
    test = parser.expression()
    if parser.tokens[parser.at :]:
        raise FilterError(SYNTAX)
    return lambda view: _accepts(test, view)


def _accepts(test: Test, view: View) -> bool:
    try:
        return test(view)
    except BeyondTheFrame:
        return False


def _tokens(text: str) -> list[str]:
    """Split; a colon separates only inside brackets, elsewhere it belongs to an address."""
    tokens: list[str] = []
    inside, at = False, 0
    while at < len(text.rstrip()):
        found = TOKEN.match(text, at)
        if found is None:
            raise FilterError(SYNTAX)
        token = found.group(1)
        inside = token == "[" or (inside and token != "]")
        tokens += [part for part in re.split("(:)", token) if part] if inside else [token]
        at = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.last: Qualifiers | None = None

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise FilterError(SYNTAX)
        self.at += 1
        return token

    def accept(self, *wanted: str) -> str:
        """Take the next token if it is one of these."""
        return self.take() if self.peek() in wanted else ""

    def expression(self) -> Test:
        left = self.term()
        while word := self.accept("and", "&&", "or", "||"):
            right = self.term()
            left = _both(left, right) if word in ("and", "&&") else _either(left, right)
        return left

    def term(self) -> Test:
        if self.accept("not", "!"):
            return _negate(self.term())
        if self.accept("("):
            inside = self.expression()
            if not self.accept(")"):
                raise FilterError(SYNTAX)
            return inside
        return self.primitive()

    def primitive(self) -> Test:
        word = self.peek()
        if word not in KEYWORDS and self.last is not None:
            return self.identified(self.last)
        if word == "vlan":
            return self.vlan()
        if word in ("less", "greater", "len"):
            return self.length()
        if self.accept("inbound", "outbound"):
            outgoing = word == "outbound"
            return lambda view: view.outgoing is outgoing
        if word and self.tokens[self.at + 1 : self.at + 2] == ["["]:
            return self.relation()
        return self.qualified()

    def qualified(self) -> Test:
        proto = self.accept("ether", *ETHERTYPE, *IP_PROTO)
        if cast := self.accept("broadcast", "multicast"):
            return self.cast(proto, cast)
        direction = self.direction()
        kind = self.accept("host", "net", "port", "portrange", "proto")
        if not direction and not kind:
            if not proto or proto == "ether":
                raise FilterError(SYNTAX)
            return self.has_proto(proto)
        self.last = Qualifiers(proto, direction or "or", kind or "host")
        return self.identified(self.last)

    def direction(self) -> str:
        first = self.accept("src", "dst")
        if first and self.peek() in ("or", "and") and self.tokens[self.at + 1 : self.at + 2] in (["src"], ["dst"]):
            both = self.take()
            self.take()
            return both
        return first

    # -- primitives -------------------------------------------------------------------------------------------------

    def has_proto(self, proto: str) -> Test:
        depth = self.depth
        if proto in ETHERTYPE:
            wanted = ETHERTYPE[proto]
            return lambda view: view.at_depth(depth)[0] == wanted
        number = IP_PROTO[proto]
        return lambda view: ip_proto(view, depth) == number

    def cast(self, proto: str, cast: str) -> Test:
        depth = self.depth
        if proto in ("", "ether"):
            if cast == "broadcast":
                return lambda view: view.frame.dst == BROADCAST
            return lambda view: bool(view.frame.dst & GROUP)
        if proto == "ip" and cast == "multicast":
            return lambda view: (packet := ipv4(view, depth)) is not None and packet[16] >= 224
        raise FilterError(f"simvlan: '{proto} {cast}' is not built; use 'ether {cast}' or a host")

    def vlan(self) -> Test:
        self.take()
        depth, wanted = self.depth, None
        self.depth += 1
        if self.peek().isdigit():
            wanted = int(self.take())
            if wanted > 4095:
                raise FilterError(f"VLAN tag {wanted} greater than maximum 4095")
        return lambda view: tagged(view, depth, wanted)

    def length(self) -> Test:
        word = self.take()
        relation = {"less": "<=", "greater": ">="}.get(word) or self.take()
        if relation not in RELATIONS:
            raise FilterError(SYNTAX)
        limit, compare = _number(self.take()), RELATIONS[relation]
        return lambda view: compare(len(view.frame), limit)

    def relation(self) -> Test:
        proto, _ = self.take(), self.take()
        offset, size = _number(self.take()), 1
        if self.accept(":"):
            size = _number(self.take())
        if not self.accept("]") or size not in (1, 2, 4):
            raise FilterError(SYNTAX)
        mask = _number(self.take()) if self.accept("&") else 0xFFFF_FFFF
        compare = RELATIONS.get(self.take())
        if compare is None:
            raise FilterError(SYNTAX)
        value, depth = _number(self.take()), self.depth
        return lambda view: compares(base_of(view, proto, depth), offset, size, mask, compare, value)

    def identified(self, how: Qualifiers) -> Test:
        """Read the id that qualifiers wait for."""
        word = self.take()
        if word in KEYWORDS or word in "()[]":
            raise FilterError(SYNTAX)
        if how.kind == "proto":
            return self.has_proto_number(how, word)
        if how.kind in ("port", "portrange"):
            return self.port(how, word)
        if how.proto == "ether":
            return self.ether_host(how, word)
        if how.proto in IP_PROTO:
            raise FilterError(f"'{how.proto}' modifier applied to {how.kind}")
        return self.host(how, word)

    def has_proto_number(self, how: Qualifiers, word: str) -> Test:
        word = word.lstrip("\\")
        depth = self.depth
        if how.proto == "ether":
            wanted = ETHERTYPE.get(word) or _number(word)
            return lambda view: view.at_depth(depth)[0] == wanted
        number = IP_PROTO.get(word) or _number(word)
        return lambda view: ip_proto(view, depth) == number

    def port(self, how: Qualifiers, word: str) -> Test:
        if how.proto in ("ether", "ip", "arp", "rarp", "icmp", "igmp"):
            raise FilterError("illegal qualifier of 'port'")
        low, _, high = word.partition("-") if how.kind == "portrange" else (word, "", "")
        first, depth = _port(low), self.depth
        last = _port(high) if high else first
        protos = (IP_PROTO[how.proto],) if how.proto in IP_PROTO else (6, 17, 132)
        return lambda view: _matches(ports(view, depth, protos), how.direction, lambda p: first <= p <= last)

    def ether_host(self, how: Qualifiers, word: str) -> Test:
        try:
            mac = parse_mac(word)
        except ValueError:
            raise FilterError(f"unknown ether host '{word}'") from None
        return lambda view: _matches((view.frame.src, view.frame.dst), how.direction, lambda found: found == mac)

    def host(self, how: Qualifiers, word: str) -> Test:
        if how.kind == "host" and re.fullmatch(r"([0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}", word):
            return self.ether_host(how, word)
        depth = self.depth
        if ":" in word and how.proto in ("", "ip6"):
            base, mask = _network6(word, how.kind)
            return lambda view: _matches(hosts6(view, depth), how.direction, lambda ip: ip & mask == base)
        base, mask = _network(word, how.kind)
        kinds = (how.proto,) if how.proto else ("ip", "arp", "rarp")
        if "ip6" in kinds:
            raise FilterError(f"unknown ip6 host '{word}'")
        return lambda view: _matches(hosts(view, depth, kinds), how.direction, lambda ip: ip & mask == base)


# -- joining tests --------------------------------------------------------------------------------------------------


def _both(left: Test, right: Test) -> Test:
    return lambda view: left(view) and right(view)


def _either(left: Test, right: Test) -> Test:
    return lambda view: left(view) or right(view)


def _negate(test: Test) -> Test:
    return lambda view: not test(view)


def _matches(ends: tuple[int, int] | None, direction: str, test: Callable[[int], bool]) -> bool:
    """Apply a test to source, destination, either or both."""
    if ends is None:
        return False
    source, target = test(ends[0]), test(ends[1])
    return {"src": source, "dst": target, "or": source or target, "and": source and target}[direction]


# -- reading ids ----------------------------------------------------------------------------------------------------


def _number(word: str) -> int:
    if word in NAMES:
        return NAMES[word]
    try:
        return int(word, 0)
    except ValueError:
        raise FilterError(SYNTAX) from None


def _port(word: str) -> int:
    if word.isdigit():
        if int(word) > 65535:
            raise FilterError(f"illegal port number {int(word)} > 65535")
        return int(word)
    try:
        return socket.getservbyname(word)
    except OSError:
        raise FilterError(f"unknown port '{word}'") from None


def _network6(word: str, kind: str) -> tuple[int, int]:
    """Read an IPv6 address or prefix: its first address and mask."""
    text, _, bits = word.partition("/")
    try:
        address = int(ipaddress.IPv6Address(text))
        length = int(bits) if bits else 128
        mask = (1 << 128) - (1 << 128 - length)
    except ValueError:
        raise FilterError(f"{kind} '{word}' is not valid for address family") from None
    if address & ~mask:
        raise FilterError(f'non-network bits set in "{text}/{bits}"')
    return address, mask


def _network(word: str, kind: str) -> tuple[int, int]:
    """Read an address, `ADDRESS/LENGTH`, or the leading octets of a net, as (value, mask)."""
    text, _, length = word.partition("/")
    octets = text.split(".")
    if not all(part.isdigit() for part in octets):
        raise FilterError(f"unknown {'network' if kind == 'net' else 'host'} '{word}'")
    if len(octets) > 4 or any(int(part) > 255 for part in octets):
        raise FilterError(f"invalid IPv4 address '{text}'")
    bits = int(length) if length.isdigit() else 8 * len(octets) if kind == "net" else 32
    value = int(ipaddress.IPv4Address(".".join(octets + ["0"] * (4 - len(octets)))))
    mask = (0xFFFF_FFFF << (32 - bits)) & 0xFFFF_FFFF
    if value & ~mask:
        raise FilterError(f'non-network bits set in "{word}"')
    return value, mask
