"""ss of iproute2 6.1: the TCP and UDP sockets of a namespace, as misc/ss.c lists them.

What is asked is read here; `ss_filter.py` decides about one socket, `ss_text.py` writes the table. Linux lists
sockets as its hashes have them, whose seeds are drawn at boot; here they come by port.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simvlan.stack.tcp.states import State
from simvlan.tools.common import Refused
from simvlan.tools.program import REFUSED_STATUS, Process
from simvlan.tools.ss_filter import ALL, CONNECTED, LISTENING, Row, Test, everything, expression, states
from simvlan.tools.ss_text import table

USAGE = """Usage: ss [ OPTIONS ]
       ss [ OPTIONS ] [ FILTER ]
   (simvlan: see ss(8) of iproute2 6.1)
"""
LONG = {"numeric": "n", "all": "a", "listening": "l", "processes": "p", "ipv4": "4", "ipv6": "6", "tcp": "t",
        "udp": "u", "no-header": "H", "oneline": "O", "version": "V", "help": "h", "net": "N", "family": "f",
        "query": "A", "socket": "A"}  # fmt: skip
LONG_NOT_BUILT = {
    "resolve", "options", "extended", "memory", "threads", "info", "tipcinfo", "summary", "tos", "cgroup", "bpf",
    "events", "context", "contexts", "packet", "mptcp", "sctp", "dccp", "raw", "unix", "tipc", "vsock", "xdp", "kill",
    "inet-sockopt", "diag", "filter",
}  # fmt: skip
NOT_BUILT = frozenset("roemTisbEZz0MSdwxKDF")
WITH_VALUE = frozenset("NfA")
FAMILIES = {"inet": {4}, "inet6": {6}}
QUERIES = {"tcp": {"tcp"}, "udp": {"udp"}}
SHOWN = {"tcp": CONNECTED - {"TIME-WAIT", "SYN-RECV"}, "udp": frozenset({"ESTAB"})}
"""What is listed of each kind when nothing is said of states (default_dbs)."""


@dataclass
class Asked:
    """A command line: which sockets, and what of them."""

    kinds: set[str] = field(default_factory=set)
    families: set[int] = field(default_factory=set)
    states: frozenset[str] | None = None
    test: Test = everything
    netns: str | None = None
    numeric: bool = False
    header: bool = True
    processes: bool = False
    version: bool = False
    help: bool = False


def main(proc: Process) -> int:
    """List sockets."""
    try:
        asked = parse(proc.argv[1:])
        if asked.help or asked.version:
            proc.write(USAGE if asked.help else "ss utility, iproute2-6.1.0\n")
            return 0
        rows = _rows(proc, asked)
    except Refused as refused:
        proc.write_err(str(refused))
        return refused.status
    proc.write(table(rows, _columns(asked), numeric=asked.numeric, header=asked.header))
    return 0


def _columns(asked: Asked) -> set[str]:
    """The columns that say something: not the kind of one kind, not the state of one state."""
    several = asked.states if asked.states is not None else frozenset().union(*(SHOWN[kind] for kind in asked.kinds))
    shown = {"Netid"} if len(asked.kinds) > 1 else set()
    return shown | ({"State"} if len(several) > 1 else set()) | ({"Users"} if asked.processes else set())


# -- the command line -------------------------------------------------------------------------------------------------


def parse(words: list[str]) -> Asked:
    """Read a command line.

    Raises:
        Refused: with ss's text and status 255, or because something is not built.
    """
    asked, rest = Asked(), []
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += words
            break
        if word.startswith("-") and word != "-":
            _option(asked, word, words)
        else:
            rest.append(word)
    if not (asked.help or asked.version):
        _filter(asked, rest)
        _narrow(asked)
    return asked


def _option(asked: Asked, word: str, words: list[str]) -> None:
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        if name in LONG_NOT_BUILT:
            raise _not_built(word)
        if name not in LONG:
            raise _wrong(f"unrecognized option '{word}'")
        if LONG[name] in WITH_VALUE:
            _valued(asked, LONG[name], value if equals else _value(f"option '{word}'", words))
        else:
            _flag(asked, LONG[name])
        return
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in WITH_VALUE:
            _valued(asked, letter, letters or _value(f"option -- '{letter}'", words))
            return
        _flag(asked, letter)


def _value(what: str, words: list[str]) -> str:
    if not words:
        raise _wrong(f"{what.replace('option', 'option requires an argument', 1)}")
    return words.pop(0)


def _flag(asked: Asked, letter: str) -> None:
    if letter in NOT_BUILT:
        raise _not_built(f"-{letter}")
    if letter in "tu":
        asked.kinds.add("tcp" if letter == "t" else "udp")
    elif letter in "46":
        asked.families.add(int(letter))
    elif letter in "al":
        asked.states = ALL if letter == "a" else LISTENING
    elif letter == "H":
        asked.header = False
    elif letter in _FLAGS:
        setattr(asked, _FLAGS[letter], True)
    elif letter != "O":  # a socket's lines on one line: nothing here has a second one
        raise _wrong(f"invalid option -- '{letter}'")


_FLAGS = {"n": "numeric", "p": "processes", "V": "version", "h": "help"}


def _valued(asked: Asked, letter: str, value: str) -> None:
    if letter == "N":
        asked.netns = value
    elif letter == "f":
        if value not in FAMILIES:
            raise _not_built(f"-f {value}")
        asked.families |= FAMILIES[value]
    else:
        for name in value.split(","):
            if name not in QUERIES:
                raise _not_built(f"-A {name}")
            asked.kinds |= QUERIES[name]


def _filter(asked: Asked, words: list[str]) -> None:
    """`state X` and `exclude X` stand first, then an expression."""
    said = False
    while words and words[0] in ("state", "exclude", "excl"):
        verb, name = words.pop(0), _value("option -- 'state'", words)
        found = states(name)
        if found is None:
            raise Refused(f"ss: wrong state name: {name}\n", 255)
        before = asked.states if said and asked.states is not None else frozenset() if verb == "state" else ALL
        asked.states, said = (before | found if verb == "state" else before - found), True
    asked.test = expression(words)


def _narrow(asked: Asked) -> None:
    """Without -t or -u the real one lists sockets of kinds that are not here as well."""
    if not asked.kinds:
        raise Refused(
            "simvlan: ss: say -t, -u or both: sockets of other kinds (unix, packet, netlink, raw) are not modelled\n",
            REFUSED_STATUS,
        )
    asked.families = asked.families or {4, 6}


def _wrong(what: str) -> Refused:
    return Refused(f"ss: {what}\n{USAGE}", 255)


def _not_built(what: str) -> Refused:
    return Refused(f"simvlan: ss {what} is not modelled; there are -t -u -l -a -n -p -4 -6 -H -N\n", REFUSED_STATUS)


# -- the sockets ------------------------------------------------------------------------------------------------------


def _rows(proc: Process, asked: Asked) -> list[Row]:
    """UDP's, then TCP's; of each first IPv4's."""
    name = proc.netns if asked.netns is None else asked.netns
    if name not in proc.lab.network.netns:
        raise Refused(f'Cannot open network namespace "{name}": No such file or directory\n', 1)
    stack = proc.lab.network.netns[name].stack
    found = [*(_udp(stack) if "udp" in asked.kinds else ()), *(_tcp(stack) if "tcp" in asked.kinds else ())]
    fits = [row for row in found if row.family in asked.families and _wanted(asked, row) and asked.test(row)]
    return sorted(fits, key=lambda row: (row.kind == "tcp", row.family))


def _wanted(asked: Asked, row: Row) -> bool:
    return row.state in (SHOWN[row.kind] if asked.states is None else asked.states)


def _udp(stack: Any) -> list[Row]:
    ports = sorted(stack.sockets.udp.items())
    return [_row("udp", sock, "ESTAB" if sock.peer else "UNCONN") for _, socks in ports for sock in socks]


def _tcp(stack: Any) -> list[Row]:
    """Those that listen before the others (inet_diag_dump_icsk)."""
    ports = sorted(stack.tcp.bound.items())
    listening = [sock for _, socks in ports for sock in socks if sock.listener is not None]
    ip6 = stack.ip6
    flows = [*stack.tcp.connections.items(), *(ip6.family.flows.items() if ip6 is not None else ())]
    ends = [sock for _, sock in sorted(flows, key=lambda item: (item[0][1], item[0][3]))]
    return [_listening(sock) for sock in listening] + [_connected(sock) for sock in ends if sock.conn is not None]


def _listening(sock: Any) -> Row:
    row = _row("tcp", sock, "LISTEN")
    return row._replace(recv=len(sock.listener.waiting), send=sock.listener.backlog)


def _connected(sock: Any) -> Row:
    conn = sock.conn
    row = _row("tcp", sock, "SYN-RECV" if conn.state is State.SYN_RECEIVED else NAMES.get(conn.state, conn.state.value))
    if conn.state in (State.TIME_WAIT, State.SYN_RECEIVED):
        return row._replace(holder=None)
    return row._replace(recv=conn.unread, send=conn.queue.end - conn.queue.una)


NAMES = {State.ESTABLISHED: "ESTAB"}


def _row(kind: str, sock: Any, state: str) -> Row:
    six = sock.family.number == 6 or sock.mapped
    peer, port = sock.peer or (0, 0)
    ours = sock.bound_group or sock.src
    # One that is bound to an address of IPv6 is v6only (__inet6_bind).
    any_text = "0.0.0.0" if not six else "[::]" if sock.v6only or ours else "*"
    return Row(
        kind=kind,
        state=state,
        family=6 if six else 4,
        local=_bracketed(sock.text(ours)) if ours else any_text,
        dev="" if sock.bind_dev is None else sock.bind_dev.name,
        port=sock.port,
        remote=_bracketed(sock.text(peer)) if peer else any_text,
        peer=port,
        holder=None if sock.closed else sock.holder,
    )


def _bracketed(text: str) -> str:
    return f"[{text}]" if ":" in text else text
