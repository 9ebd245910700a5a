"""What ss's filters say of one socket: states, and expressions of addresses and ports (misc/ss.c, ssfilter.y)."""

from __future__ import annotations

import ipaddress
import operator
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from simvlan.tools.common import Refused
from simvlan.tools.program import REFUSED_STATUS


class Row(NamedTuple):
    """One socket as it is listed.

    Attributes:
        kind: tcp or udp.
        state: as ss names it (ESTAB, LISTEN, UNCONN ...).
        family: 4 or 6; an IPv6 socket with a mapped address is one of 6.
        dev: the device it is bound to.
        holder: who has it open (`family.Holder`).
    """

    kind: str
    state: str
    family: int
    local: str
    dev: str
    port: int
    remote: str
    peer: int
    holder: Any
    recv: int = 0
    send: int = 0


Test = Callable[[Row], bool]

CONNECTED = frozenset(
    {"ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSE-WAIT", "LAST-ACK", "CLOSING"}
)
LISTENING = frozenset({"LISTEN", "UNCONN"})
ALL = CONNECTED | LISTENING
BUCKET = frozenset({"SYN-RECV", "TIME-WAIT"})
GROUPS = {
    "all": ALL, "connected": CONNECTED, "synchronized": CONNECTED - {"SYN-SENT"}, "bucket": BUCKET,
    "big": ALL - BUCKET, "established": frozenset({"ESTAB"}), "listening": frozenset({"LISTEN"}),
    "listen": frozenset({"LISTEN"}), "closed": frozenset({"UNCONN"}), "unconnected": frozenset({"UNCONN"}),
}  # fmt: skip


def states(name: str) -> frozenset[str] | None:
    """The states a word stands for (scan_state); None for no such word."""
    single = name.upper()
    return GROUPS.get(name.lower()) or (frozenset({single}) if single in CONNECTED - {"ESTAB"} else None)


def everything(_row: Row) -> bool:
    """No filter."""
    return True


OPERATORS = {
    "=": operator.eq, "==": operator.eq, "eq": operator.eq, "!=": operator.ne, "ne": operator.ne, "neq": operator.ne,
    ">": operator.gt, "gt": operator.gt, "<": operator.lt, "lt": operator.lt, ">=": operator.ge, "ge": operator.ge,
    "geq": operator.ge, "<=": operator.le, "le": operator.le, "leq": operator.le,
}  # fmt: skip
ENDS = {"src": ("local", "port"), "dst": ("remote", "peer"), "sport": ("local", "port"), "dport": ("remote", "peer")}


def expression(words: list[str]) -> Test:
    """Read an expression; no words are none.

    Raises:
        Refused: it is not one, or says something that is not modelled.
    """
    tokens = " ".join(words).replace("(", " ( ").replace(")", " ) ").replace("!=", " \0 ").replace("!", " ! ")
    rest = tokens.replace("\0", "!=").split()
    if not rest:
        return everything
    test = _either(rest)
    if rest:
        raise _syntax()
    return test


def _either(rest: list[str]) -> Test:
    tests = [_both(rest)]
    while rest and rest[0] in ("or", "|", "||"):
        rest.pop(0)
        tests.append(_both(rest))
    return lambda row: any(test(row) for test in tests)


def _both(rest: list[str]) -> Test:
    """Joined by a word or by standing beside each other."""
    tests = [_one(rest)]
    while rest and rest[0] not in ("or", "|", "||", ")"):
        if rest[0] in ("and", "&", "&&"):
            rest.pop(0)
        tests.append(_one(rest))
    return lambda row: all(test(row) for test in tests)


def _one(rest: list[str]) -> Test:
    if not rest:
        raise _syntax()
    word = rest.pop(0)
    if word in ("not", "!"):
        test = _one(rest)
        return lambda row: not test(row)
    if word == "(":
        test = _either(rest)
        if not rest or rest.pop(0) != ")":
            raise _syntax()
        return test
    if word not in ENDS:
        raise Refused(f"simvlan: ss: a filter by {word!r} is not modelled; there are src, dst, sport, dport\n", 95)
    return _port(word, rest) if word.endswith("port") else _address(word, rest)


def _port(word: str, rest: list[str]) -> Test:
    compare = OPERATORS[rest.pop(0)] if rest and rest[0] in OPERATORS else operator.eq
    if not rest:
        raise _syntax()
    number, attribute = _number(rest.pop(0).removeprefix(":")), ENDS[word][1]
    return lambda row: bool(compare(getattr(row, attribute), number))


def _number(text: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text)
    except OSError:
        raise Refused(f'Error: "{text}" does not look like a port.\n', 1) from None


def _address(word: str, rest: list[str]) -> Test:
    """ADDRESS[/LENGTH][:PORT], [ADDRESS6]:PORT or :PORT."""
    differs = bool(rest) and rest[0] in ("!=", "ne", "neq")
    if rest and rest[0] in OPERATORS and OPERATORS[rest.pop(0)] not in (operator.eq, operator.ne):
        raise _syntax()
    if not rest:
        raise _syntax()
    network, port = _host(rest.pop(0))
    address_of, port_of = ENDS[word]

    def same(row: Row) -> bool:
        if port is not None and getattr(row, port_of) != port:
            return False
        return network is None or _inside(getattr(row, address_of), network)

    return (lambda row: not same(row)) if differs else same


def _host(text: str) -> tuple[Any, int | None]:
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        host, port = host + port[: port.find(":")] if ":" in port else host + port, port.rpartition(":")[2]
        colon = ":" if port else ""
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
    try:
        network = None if host in ("", "*") else ipaddress.ip_network(host, strict=False)
    except ValueError:
        raise Refused(f"simvlan: ss: {host!r} is no address; names are not looked up\n", REFUSED_STATUS) from None
    return network, None if not colon or port == "*" else _number(port)


def _inside(text: str, network: Any) -> bool:
    """A mapped address is compared as one of IPv4 (inet2_addr_match)."""
    address: Any = ipaddress.ip_address("::" if text == "*" else text.strip("[]"))
    if address.version == 6 and network.version == 4:
        address = address.ipv4_mapped
    return address is not None and address.version == network.version and address in network


def _syntax() -> Refused:
    from simvlan.tools.ss import USAGE

    return Refused(f'ss: bison bellows (while parsing filter): "syntax error!" Sorry.\n{USAGE}', 255)
