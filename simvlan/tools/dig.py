"""dig and nslookup of BIND 9.18: one question to one server, in virtual time.

Of dig there is what +short says; its questions are without EDNS.
"""

from __future__ import annotations

from collections.abc import Generator
from ipaddress import ip_address
from typing import Any

from simvlan.dns.message import AAAA, CODES, NOERROR, PTR, TYPES, A, Message, reverse_name
from simvlan.tools.hosts import Host, literal
from simvlan.tools.names import ask, server_of
from simvlan.tools.program import Process

DIG_ATTEMPTS = 3


def dig(proc: Process) -> Generator[Any, Any, int]:
    """dig [@SERVER] [-x ADDRESS | NAME] [TYPE] +short."""
    server, name, kind, short = "", "", A, False
    words = list(proc.argv[1:])
    while words:
        word = words.pop(0)
        if word.startswith("@"):
            server = word[1:]
        elif word == "+short":
            short = True
        elif word == "-x" and words and (address := literal(words.pop(0))) is not None:
            name, kind = reverse_name(ip_address(address.text)), PTR
        elif word.upper() in TYPES:
            kind = TYPES[word.upper()]
        elif word.startswith(("+", "-")) or name:
            proc.write_err(f"simvlan: dig: {word} is not modelled: dig [@SERVER] [-x ADDRESS|NAME] [TYPE] +short\n")
            return 95
        else:
            name = word
    if not short or not name:
        proc.write_err("simvlan: dig: only `dig +short NAME` is modelled; or use nslookup\n")
        return 95
    asked = server_of(proc, server)
    answer = yield from _ask(proc, asked, name, kind)
    if answer is None:
        where = server or (asked.text if asked is not None else "127.0.0.1")
        proc.write(f";; communications error to {where}#53: timed out\n" * DIG_ATTEMPTS)
        proc.write(";; no servers could be reached\n")
        return 9
    names = [f"{each}." for each in answer.answers if isinstance(each, str)]
    proc.write("".join(f"{each}\n" for each in answer.addresses or names))
    return 0


def _ask(proc: Process, server: Host | None, name: str, kind: int) -> Generator[Any, Any, Message | None]:
    for _ in range(DIG_ATTEMPTS if server is not None else 0):
        assert server is not None
        answer = yield from ask(proc, server, name, kind)
        if answer is not None:
            return answer
    return None


def nslookup(proc: Process) -> Generator[Any, Any, int]:
    """nslookup NAME [SERVER]."""
    words = proc.argv[1:]
    if not 1 <= len(words) <= 2 or any(word.startswith("-") for word in words):
        proc.write_err("simvlan: nslookup: only `nslookup NAME|ADDRESS [SERVER]` is modelled\n")
        return 95
    server = server_of(proc, words[1] if len(words) > 1 else "")
    given = literal(words[0])
    name, kind = (words[0], A) if given is None else (reverse_name(ip_address(given.text)), PTR)
    answer = yield from _ask(proc, server, name, kind)
    if server is None or answer is None:
        where = server.text if server is not None else "127.0.0.1"
        proc.write(f";; communications error to {where}#53: timed out\n" * DIG_ATTEMPTS)
        proc.write(";; no servers could be reached\n\n")
        return 1
    shown = server.text
    head = "" if kind == PTR else f"Server:\t\t{shown}\nAddress:\t{shown}#53\n\n"
    if answer.code != NOERROR or not answer.answers:
        why = CODES.get(answer.code, str(answer.code)) if answer.code else "No answer"
        said = f"** server can't find {name}: {why}" if answer.code else f"*** Can't find {name}: {why}"
        proc.write(f"{head}{said}\n\n")
        return 1 if answer.code else 0
    after = "" if kind == PTR else (yield from _sixth(proc, server, name))
    if kind == PTR:
        lines = "".join(f"{name}\tname = {each}.\n" for each in answer.answers)
    else:
        lines = _lines(name, answer)
    proc.write(f"{head}{'' if answer.authoritative else 'Non-authoritative answer:' + chr(10)}{lines}{after}\n")
    return 0


def _sixth(proc: Process, server: Host, name: str) -> Generator[Any, Any, str]:
    """Ask for IPv6 addresses too; a server may refuse to say that there are none."""
    answer = yield from _ask(proc, server, name, AAAA)
    if answer is None or not answer.code:
        return "" if answer is None else _lines(name, answer)
    return f"** server can't find {name}: {CODES.get(answer.code, str(answer.code))}\n"


def _lines(name: str, answer: Message) -> str:
    return "".join(f"Name:\t{name}\nAddress: {each}\n" for each in answer.addresses)
