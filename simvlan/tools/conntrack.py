"""conntrack 1.4.7 (conntrack-tools): a namespace's table of connections: list, count, delete, empty.

What is printed is libnetfilter_conntrack's (__snprintf_conntrack_default). Entries are listed oldest first; Linux lists
them as its hash has them, whose seed is drawn at boot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from simvlan.clock import SECOND
from simvlan.netfilter.conntrack import Conn, Conntrack
from simvlan.stack.ipaddr import MASKS
from simvlan.stack.packet import ICMP, TCP, UDP
from simvlan.tools.common import Refused, resolve
from simvlan.tools.program import REFUSED_STATUS, Process

NAME = "conntrack v1.4.7 (conntrack-tools)"
TRY = "Try `conntrack -h' or 'conntrack --help' for more information.\n"
USAGE = """Command line interface for the connection tracking system. Version 1.4.7
Usage: conntrack -L|-D|-C|-F [conntrack] [-s IP[/LEN]] [-d IP[/LEN]] [-r IP] [-q IP] [-n|-g|-j [IP]] [-f FAMILY]
       [-p PROTOCOL [--sport PORT] [--dport PORT] [--state STATE]] [-u ASSURED|SEEN_REPLY] [-o extended]
What each means: conntrack(8).
"""
PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP}
UNSEEN = {"icmpv6", "sctp", "dccp", "gre", "udplite"}
"""Protocols of conntrack's of which nothing is tracked here."""
NAMES = {number: name for name, number in PROTOCOLS.items()}
Test = Callable[[Conn], bool]

COMMANDS = {"-L": "list", "--dump": "list", "-D": "delete", "--delete": "delete", "-C": "count", "--count": "count",
            "-F": "flush", "--flush": "flush", "-h": "help", "--help": "help", "-V": "version",
            "--version": "version"}  # fmt: skip
NOT_BUILT = {"-E": "events", "--event": "events", "-G": "get", "--get": "get", "-I": "create", "--create": "create",
             "-U": "update", "--update": "update", "-A": "add", "--add": "add", "-S": "statistics",
             "--stats": "statistics", "-R": "load from a file", "--load-file": "load from a file", "-m": "marks",
             "--mark": "marks", "-w": "zones", "--zone": "zones", "-t": "timeouts", "--timeout": "timeouts",
             "-l": "labels", "--label": "labels", "-z": "zeroing counters", "--zero": "zeroing counters",
             "-b": "the socket's buffer", "--buffer-size": "the socket's buffer"}  # fmt: skip
ENDS = {"-s": ("original", "src"), "-d": ("original", "dst"), "-r": ("reply", "src"), "-q": ("reply", "dst")}
LONG = {"--src": "-s", "--orig-src": "-s", "--dst": "-d", "--orig-dst": "-d", "--reply-src": "-r",
        "--reply-dst": "-q", "--src-nat": "-n", "--dst-nat": "-g", "--any-nat": "-j", "--protonum": "-p",
        "--proto": "-p", "--family": "-f", "--status": "-u", "--output": "-o"}  # fmt: skip
PORTS = {"--sport": ("original", "sport"), "--orig-port-src": ("original", "sport"), "--dport": ("original", "dport"),
         "--orig-port-dst": ("original", "dport"), "--reply-port-src": ("reply", "sport"),
         "--reply-port-dst": ("reply", "dport")}  # fmt: skip
OF_PROTOCOL = {"--state": (TCP,), "--icmp-type": (ICMP,), "--icmp-code": (ICMP,), "--icmp-id": (ICMP,),
               **dict.fromkeys(PORTS, (TCP, UDP))}  # fmt: skip


@dataclass
class Asked:
    """A command line: what to do, which entries, how to print them."""

    command: str = ""
    table: str = "conntrack"
    tests: list[Test] = field(default_factory=list)
    proto: int | None = None
    extended: bool = False


def parse(words: list[str]) -> Asked:
    """Read a command line.

    Raises:
        Refused: with conntrack's text and status 2, or because something is not built.
    """
    asked, rest = Asked(), _split(words)
    asked.proto = _protocol_named(rest)
    while rest:
        _take(asked, rest.pop(0), rest)
    if not asked.command:
        asked.command = "help"
    return asked


def _split(words: list[str]) -> list[str]:
    """Take `-Ln` and `--src=IP` apart."""
    parts: list[str] = []
    for word in words:
        if word.startswith("--") and "=" in word:
            parts += word.split("=", 1)
        elif word[:1] == "-" and word[:2] != "--" and len(word) > 2:
            parts += [word[:2], *([f"-{word[2:]}"] if word[1] in "LDCFngj" else [word[2:]])]
        else:
            parts.append(word)
    return parts


def _protocol_named(words: list[str]) -> int | None:
    """The protocol of -p, wherever it stands: options of a protocol's own hang on it."""
    named = [value for flag, value in pairwise(words) if LONG.get(flag, flag) == "-p"]
    if not named:
        return None
    name = named[0].lower()
    if name not in PROTOCOLS and name not in UNSEEN:
        raise _fault(f"`{named[0]}' unsupported protocol")
    return PROTOCOLS.get(name, -1)


def _take(asked: Asked, word: str, rest: list[str]) -> None:
    flag = LONG.get(word, word)
    if flag in COMMANDS:
        asked.command = COMMANDS[flag]
        if rest and not rest[0].startswith("-"):
            asked.table = _table(rest.pop(0))
    elif flag in NOT_BUILT:
        raise Refused(f"simvlan: conntrack {word} ({NOT_BUILT[flag]}) is not built\n", REFUSED_STATUS)
    elif flag in ENDS:
        asked.tests.append(_address(*ENDS[flag], _value(word, rest)))
    elif flag in ("-n", "-g", "-j"):
        given = rest.pop(0) if rest and not rest[0].startswith("-") else ""
        asked.tests.append(_translated(flag, given))
    elif flag in OF_PROTOCOL and asked.proto in OF_PROTOCOL[flag]:
        asked.tests.append(_of_protocol(flag, _value(word, rest)))
    elif flag in _OTHERS:
        _OTHERS[flag](asked, _value(word, rest))
    else:
        raise _fault(f"unknown option `{word}'")


def _table(word: str) -> str:
    if word in ("dying", "unconfirmed"):
        raise Refused(f"simvlan: conntrack: the table {word} is not built\n", REFUSED_STATUS)
    if word not in ("conntrack", "expect"):
        raise _fault(f"unknown type `{word}'")
    return word


def _value(flag: str, rest: list[str]) -> str:
    if not rest:
        raise _fault(f"option `{flag}' requires an argument")
    return rest.pop(0)


def _fault(text: str) -> Refused:
    return Refused(f"{NAME}: {text}\n{TRY}", 2)


# -- which entries ----------------------------------------------------------------------------------------------------


def _address(way: str, end: str, text: str) -> Test:
    address, length = _network(text)
    return lambda conn: not (getattr(getattr(conn, way), end) ^ address) & MASKS[length]


def _network(text: str) -> tuple[int, int]:
    name, slash, length = text.partition("/")
    address = resolve(name)
    if address is None or (slash and not (length.isdigit() and int(length) <= 32)):
        raise _fault(f"Invalid IP address `{text}'")
    return address, int(length) if slash else 32


def _translated(flag: str, text: str) -> Test:
    """Whether a connection is translated at its source, its destination or either, to an address if one is given."""
    wanted = None if not text else _network(text)

    def fits(address: int) -> bool:
        return wanted is None or not (address ^ wanted[0]) & MASKS[wanted[1]]

    def source(conn: Conn) -> bool:
        return (conn.reply.dst, conn.reply.dport) != (conn.original.src, conn.original.sport) and fits(conn.reply.dst)

    def destination(conn: Conn) -> bool:
        """Of ICMP, the library compares type and code with the identifier."""
        return (conn.reply.src, conn.reply.sport) != (conn.original.dst, conn.original.dport) and fits(conn.reply.src)

    return {"-n": source, "-g": destination, "-j": lambda conn: source(conn) or destination(conn)}[flag]


def _of_protocol(flag: str, text: str) -> Test:
    if flag == "--state":
        return lambda conn: conn.original.proto == TCP and conn.state.name == text.upper()
    if not text.isdigit():
        raise _fault(f"Invalid {'port' if flag in PORTS else 'ICMP'} number `{text}'")
    number = int(text)
    if flag in PORTS:
        way, end = PORTS[flag]
        return lambda conn: bool(getattr(getattr(conn, way), end) == number)
    if flag == "--icmp-id":
        return lambda conn: conn.original.sport == number
    return lambda conn: (conn.original.dport >> 8 if flag == "--icmp-type" else conn.original.dport & 255) == number


def _status(asked: Asked, text: str) -> None:
    for name in text.upper().split(","):
        if name not in ("ASSURED", "SEEN_REPLY"):
            raise Refused(f"simvlan: conntrack -u {name}: there are ASSURED and SEEN_REPLY\n", REFUSED_STATUS)
        asked.tests.append(lambda conn, name=name: conn.assured if name == "ASSURED" else conn.seen_reply)  # type: ignore[misc]


def _output(asked: Asked, text: str) -> None:
    for name in text.split(","):
        if name not in ("extended", "timestamp"):
            raise Refused(f"simvlan: conntrack -o {name} is not built; there is -o extended\n", REFUSED_STATUS)
        asked.extended |= name == "extended"


def _family(asked: Asked, text: str) -> None:
    if text not in ("ipv4", "ipv6"):
        raise _fault(f"`{text}' unsupported protocol")
    asked.tests.append(lambda _: text == "ipv4")


def _proto(asked: Asked, _text: str) -> None:
    asked.tests.append(lambda conn: conn.original.proto == asked.proto)


_OTHERS: dict[str, Callable[[Asked, str], None]] = {"-u": _status, "-o": _output, "-f": _family, "-p": _proto}


# -- lines ------------------------------------------------------------------------------------------------------------


def line(conn: Conn, now: int, extended: bool = False) -> str:
    """One entry."""
    proto = conn.original.proto
    state = f"{conn.state.name} " if proto == TCP else ""
    seen = "" if conn.seen_reply else "[UNREPLIED] "
    assured = "[ASSURED] " if conn.assured else ""
    head = f"{NAMES.get(proto, 'unknown'):<8} {proto} {(conn.due_ns - now) // SECOND} {state}"
    return f"{'ipv4     2 ' if extended else ''}{head}{conn.original} {seen}{conn.reply} {assured}mark=0 use=1\n"


# -- the program ------------------------------------------------------------------------------------------------------


def main(proc: Process) -> int:
    """List, count or delete; the count goes to standard error, before the lines, which a pipe gets at the end."""
    try:
        asked = parse(proc.argv[1:])
    except Refused as refused:
        proc.write_err(str(refused))
        return refused.status
    if asked.command == "version":
        proc.write(f"{NAME}\n")
        return 0
    if asked.command == "help":
        proc.write(USAGE)
        return 0
    if asked.table == "expect":
        return _expectations(proc, asked)
    stack: Any = proc.lab.network.netns[proc.netns].stack
    return _act(proc, asked, stack.conntrack, proc.lab.network.now)


def _expectations(proc: Process, asked: Asked) -> int:
    """No helper is modelled, so nothing is expected."""
    if asked.command != "list":
        raise_text = f"simvlan: conntrack: {asked.command} of expectations is not built\n"
        proc.write_err(raise_text)
        return REFUSED_STATUS
    proc.write_err(f"{NAME}: 0 expectations have been shown.\n")
    return 0


def _act(proc: Process, asked: Asked, table: Conntrack, now: int) -> int:
    conns = [conn for conn in table.listing(now) if all(test(conn) for test in asked.tests)]
    if asked.command == "count":
        proc.write(f"{len(conns)}\n")
        return 0
    if asked.command in ("delete", "flush"):
        for conn in conns:
            table.forget(conn)
    if asked.command == "flush":
        proc.write_err(f"{NAME}: connection tracking table has been emptied.\n")
        return 0
    done = "shown" if asked.command == "list" else "deleted"
    proc.write_err(f"{NAME}: {len(conns)} flow entries have been {done}.\n")
    proc.write("".join(line(conn, now, asked.extended) for conn in conns))
    return 1 if asked.command == "delete" and not conns else 0
