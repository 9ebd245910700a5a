"""How BIND 9.18's programs print an answer: sections in columns (lib/dns/masterdump.c, bin/dig/dig.c)."""

from __future__ import annotations

from datetime import UTC, datetime

from simvlan.dns.message import CODES, COOKIE, EXTENDED_ERROR, TYPE_NAMES, Edns, Message
from simvlan.tools.hosts import Host

VERSION = "9.18.49-1~deb12u3-Debian"
COLUMNS = {0: (24, 32, 40, 48), 1: (24, 24, 32, 40), 2: (24, 24, 24, 32)}
"""Where lifetime, class, type and value stand, by how many of the first two are left out."""
ERRORS = {14: "Not Ready", 15: "Blocked", 22: "No Reachable Authority", 23: "Network Error"}


def type_name(kind: int) -> str:
    """A type as people write it."""
    return TYPE_NAMES.get(kind, f"TYPE{kind}")


def status(code: int) -> str:
    """A response code's name."""
    return CODES.get(code, f"RESERVED{code}")


def dotted(name: str) -> str:
    """A name with the dot at its end."""
    return name if name.endswith(".") else f"{name}."


def columns(*cells: tuple[int, str]) -> str:
    """Words, each at its column: tabs as far as they go, then blanks, one at least (indent of masterdump.c)."""
    text, at = "", 0
    for column, word in cells:
        to = max(column, at + 1) if at else column
        tabs = to // 8 - at // 8
        text += "\t" * tabs + " " * (to - (to // 8 * 8 if tabs else at)) + word
        at = to + len(word)
    return text


def question_line(answer: Message) -> str:
    """The question, as a comment."""
    at = COLUMNS[0]
    return ";" + columns((0, dotted(answer.name)), (at[1], "IN"), (at[2], type_name(answer.type)))


def record_lines(answer: Message, ttl: bool = True, kind: bool = True) -> list[str]:
    """The records of the answer section; *ttl* and *kind* (their class) may be left out."""
    at = COLUMNS[(not ttl) + (not kind)]
    return [
        columns(
            (0, dotted(each.name)), *([(at[0], str(each.ttl))] if ttl else []), *([(at[1], "IN")] if kind else []),
            (at[2], type_name(each.type)), (at[3], each.value),
        )
        for each in answer.records
    ]  # fmt: skip


def head_lines(answer: Message) -> list[str]:
    """What the header says."""
    flags = " ".join(["qr", *(["aa"] if answer.authoritative else []), *(["rd"] if answer.recursion else []), "ra"])
    more = int(answer.edns is not None)
    return [
        f";; ->>HEADER<<- opcode: QUERY, status: {status(answer.code)}, id: {answer.ident}",
        f";; flags: {flags}; QUERY: 1, ANSWER: {len(answer.records)}, AUTHORITY: 0, ADDITIONAL: {more}",
    ]


def edns_lines(edns: Edns) -> list[str]:
    """The OPT record, as dig shows it."""
    lines = [";; OPT PSEUDOSECTION:", f"; EDNS: version: 0, flags:; udp: {edns.size}"]
    for code, value in edns.options.items():
        if code == EXTENDED_ERROR and len(value) >= 2:
            number = int.from_bytes(value[:2], "big")
            said = value[2:].decode(errors="replace")
            lines.append(f"; EDE: {number} ({ERRORS.get(number, 'Unknown')})" + (f": ({said})" if said else ""))
        elif code == COOKIE:
            lines.append(f"; COOKIE: {value.hex()} (good)")
    return lines


def stats_lines(answer: Message, server: Host, port: int, took_ns: int, now_ns: int) -> list[str]:
    """How long it took, who answered, when, how much."""
    when = datetime.fromtimestamp(now_ns // 10**9, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    return [f";; Query time: {took_ns // 10**6} msec", f";; SERVER: {server.text}#{port}({server.text}) (UDP)",
            f";; WHEN: {when}", f";; MSG SIZE  rcvd: {answer.size}"]  # fmt: skip
