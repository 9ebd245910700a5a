"""dig and nslookup of BIND 9.18: one question to one server, in virtual time.

Of dig there is what +short says; its questions are without EDNS.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from simvlan.dns.message import AAAA, CODES, NOERROR, PTR, TYPES, A, Message, reverse_name
from simvlan.tools.common import Refused
from simvlan.tools.hosts import Host, literal
from simvlan.tools.names import TIMEOUT_S, ask, server_of
from simvlan.tools.program import Process

DIG_ATTEMPTS = 3
LOCAL = Host(4, 0x7F00_0001)
"""Who is asked where nobody is named."""
USAGE = "dig [@SERVER] [-x ADDRESS|NAME] [TYPE] +short [+tries=N] [+time=N]"


@dataclass
class Question:
    """What a command line asks, whom, and how patiently."""

    server: str = ""
    name: str = ""
    kind: int = A
    short: bool = False
    tries: int = DIG_ATTEMPTS
    seconds: int = TIMEOUT_S


def dig(proc: Process) -> Generator[Any, Any, int]:
    """dig [@SERVER] [-x ADDRESS | NAME] [TYPE] +short."""
    try:
        asked = _read(list(proc.argv[1:]))
        address = _server(proc, asked.server)
        answer = yield from _ask(proc, address, asked)
    except Refused as refused:
        (proc.write if refused.status == NO_ANSWER else proc.write_err)(str(refused))
        return refused.status
    names = [f"{each}." for each in answer.answers if isinstance(each, str)]
    proc.write("".join(f"{each}\n" for each in answer.addresses or names))
    return 0


def _read(words: list[str]) -> Question:
    asked = Question()
    while words:
        word = words.pop(0)
        option, _, value = word.partition("=")
        if word.startswith("@"):
            asked.server = word[1:]
        elif word == "+short":
            asked.short = True
        elif option in ("+tries", "+time", "+timeout", "+retry") and value.isdigit():
            _patience(asked, option, int(value))
        elif word == "-x" and words and (address := literal(words.pop(0))) is not None:
            asked.name, asked.kind = reverse_name(ip_address(address.text)), PTR
        elif word.upper() in TYPES:
            asked.kind = TYPES[word.upper()]
        elif word.startswith(("+", "-")) or asked.name:
            raise Refused(f"simvlan: dig: {word} is not modelled: {USAGE}\n", 95)
        else:
            asked.name = word
    if not asked.short or not asked.name:
        raise Refused("simvlan: dig: only `dig +short NAME` is modelled; or use nslookup\n", 95)
    return asked


def _patience(asked: Question, option: str, number: int) -> None:
    if option in ("+time", "+timeout"):
        asked.seconds = max(1, number)
    else:
        asked.tries = max(1, number + (option == "+retry"))


NO_ANSWER = 9


def _server(proc: Process, text: str) -> Host:
    found = server_of(proc, text)
    if found is None and text:
        raise Refused(f"{proc.name}: couldn't get address for '{text}': failure\n")
    return LOCAL if found is None else found


def _ask(proc: Process, server: Host, asked: Question) -> Generator[Any, Any, Message]:
    """The answer.

    Raises:
        Refused: there is none; the text says what became of each attempt.
    """
    where, said = server.text, ""
    for _ in range(asked.tries):
        faults: list[int] = []
        answer = yield from ask(proc, server, asked.name, asked.kind, asked.seconds, faults)
        if answer is not None:
            return answer
        why = "connection refused" if faults == [errno.ECONNREFUSED] else "timed out"
        if faults == [errno.ENETUNREACH]:
            said += f";; UDP setup with {where}#53({where}) for {asked.name} failed: network unreachable.\n{NOBODY}"
        else:
            said += f";; communications error to {where}#53: {why}\n"
    raise Refused(said if said.endswith(NOBODY) else said + NOBODY, NO_ANSWER)


NOBODY = ";; no servers could be reached\n"


def nslookup(proc: Process) -> Generator[Any, Any, int]:
    """nslookup NAME [SERVER]."""
    words = proc.argv[1:]
    if not 1 <= len(words) <= 2 or any(word.startswith("-") for word in words):
        proc.write_err("simvlan: nslookup: only `nslookup NAME|ADDRESS [SERVER]` is modelled\n")
        return 95
    given = literal(words[0])
    name, kind = (words[0], A) if given is None else (reverse_name(ip_address(given.text)), PTR)
    try:
        server = _server(proc, words[1] if len(words) > 1 else "")
        answer = yield from _ask(proc, server, Question(name=name, kind=kind))
    except Refused as refused:
        gone = refused.status == NO_ANSWER
        (proc.write if gone else proc.write_err)(f"{refused}{chr(10) if gone else ''}")
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
    try:
        answer = yield from _ask(proc, server, Question(name=name, kind=AAAA))
    except Refused:
        return ""
    if not answer.code:
        return _lines(name, answer)
    return f"** server can't find {name}: {CODES.get(answer.code, str(answer.code))}\n"


def _lines(name: str, answer: Message) -> str:
    return "".join(f"Name:\t{name}\nAddress: {each}\n" for each in answer.addresses)
