"""nslookup and host of BIND 9.18: names and addresses, asked in virtual time."""

from __future__ import annotations

from collections.abc import Generator
from ipaddress import ip_address
from typing import Any

from simvlan.dns.message import AAAA, CNAME, MX, PTR, TYPES, A, Message, Record, reverse_name
from simvlan.tools.common import Refused, permute
from simvlan.tools.dig import NO_ANSWER, find_server, persist
from simvlan.tools.dig_text import dotted, status, type_name
from simvlan.tools.hosts import Host, literal
from simvlan.tools.names import candidates, config_of
from simvlan.tools.program import Process

SAYS = {A: "has address", AAAA: "has IPv6 address", PTR: "domain name pointer", CNAME: "is an alias for",
        MX: "mail is handled by"}  # fmt: skip
HOST_SPEC = "46aCdilnrsTUvVwt:c:R:W:m:N:p:"


def nslookup(proc: Process) -> Generator[Any, Any, int]:
    """nslookup [-type=TYPE] NAME|ADDRESS [SERVER]."""
    try:
        words, kind = _nslookup_words(proc.argv[1:])
        server = find_server(proc, words[1] if len(words) > 1 else "")
        text, code = yield from _looked_up(proc, server, words[0], kind)
    except Refused as refused:
        gone = refused.status == NO_ANSWER
        (proc.write if gone else proc.write_err)(f"{refused}{chr(10) if gone else ''}")
        return 95 if refused.status == 95 else 1
    proc.write(text)
    return code


def _nslookup_words(given: list[str]) -> tuple[list[str], int]:
    """What is looked up, where, and of which type (0: addresses of both families, or the name of an address)."""
    words, kind = [], 0
    for word in given:
        name, _, value = word.partition("=")
        if name in ("-type", "-query", "-querytype", "-q", "-ty") and value.upper() in TYPES:
            kind = TYPES[value.upper()]
        elif word.startswith("-"):
            raise Refused(f"simvlan: nslookup: {word} is not modelled; there is -type=TYPE\n", 95)
        else:
            words.append(word)
    if not 1 <= len(words) <= 2:
        raise Refused("simvlan: nslookup: only `nslookup [-type=TYPE] NAME|ADDRESS [SERVER]` is modelled\n", 95)
    return words, kind


def _looked_up(proc: Process, server: Host, word: str, kind: int) -> Generator[Any, Any, tuple[str, int]]:
    given = literal(word)
    name = reverse_name(ip_address(given.text)) if given is not None else word
    first = PTR if given is not None else kind or A
    answer, name = yield from _searched(proc, server, name, first, plain=given is not None)
    head = "" if first == PTR else f"Server:\t\t{server.text}\nAddress:\t{server.text}#53\n\n"
    after = ""
    if given is None and not kind and not answer.code:
        after = yield from _sixth(proc, server, name)
    if answer.code:
        return f"{head}** server can't find {name}: {status(answer.code)}\n\n", 1
    body = _values(name, answer)
    said = "" if answer.authoritative or (not body and not kind and after) else "Non-authoritative answer:\n"
    if not body and not after.startswith("Name"):
        body = f"*** Can't find {name}: No answer\n"
    end = "\nAuthoritative answers can be found from:\n" if kind not in (0, A, AAAA, PTR) else ""
    return f"{head}{said}{body}{end}{after}\n", 0


def _searched(
    proc: Process, server: Host, name: str, kind: int, plain: bool = False
) -> Generator[Any, Any, tuple[Message, str]]:
    """Ask about a name, then about it behind the search domains, until it is found; the last answer and its name."""
    names = [name.rstrip(".")] if plain else candidates(name, config_of(proc))
    for full in names:
        answer = yield from persist(proc, server, Message(0, full, kind))
        if not answer.code and (answer.records or full == names[-1]):
            break
    return answer, full


def _sixth(proc: Process, server: Host, name: str) -> Generator[Any, Any, str]:
    """Ask for IPv6 addresses too; a server may refuse to say that there are none."""
    try:
        answer = yield from persist(proc, server, Message(0, name, AAAA))
    except Refused:
        return ""
    if not answer.code:
        return _values(name, answer)
    return f"** server can't find {name}: {status(answer.code)}\n"


def _values(name: str, answer: Message) -> str:
    """The records, as nslookup prints them."""
    return "".join(_value(each) for each in answer.records)


def _value(each: Record) -> str:
    if each.type in (A, AAAA):
        return f"Name:\t{each.name}\nAddress: {each.value}\n"
    word = {PTR: "name", CNAME: "canonical name", MX: "mail exchanger"}.get(each.type, type_name(each.type).lower())
    return f"{each.name}\t{word} = {each.value}\n"


def host(proc: Process) -> Generator[Any, Any, int]:
    """host [-t TYPE] [-W S] [-R N] NAME|ADDRESS [SERVER]."""
    try:
        flags, words, fault = permute(proc.argv[1:], HOST_SPEC)
        given = dict(flags)
        refused = [letter for letter, _ in flags if letter not in "46twWRU"]
        kind = TYPES.get(given.get("t", "A").upper(), 0)
        if fault or refused or not kind or not 1 <= len(words) <= 2:
            said = fault or (f"-{refused[0]}" if refused else "only `host [-t TYPE] NAME [SERVER]`")
            raise Refused(f"simvlan: host: {said} is not modelled\n", 95)
        server = find_server(proc, words[1] if len(words) > 1 else "")
        if len(words) > 1:
            proc.write(f"Using domain server:\nName: {words[1]}\nAddress: {server.text}#53\nAliases: \n\n")
        return (yield from _host(proc, server, words[0], kind if "t" in given else 0))
    except Refused as refused:
        (proc.write if refused.status == NO_ANSWER else proc.write_err)(str(refused))
        return 95 if refused.status == 95 else 1


def _host(proc: Process, server: Host, word: str, kind: int) -> Generator[Any, Any, int]:
    given = literal(word)
    name = reverse_name(ip_address(given.text)) if given is not None else word
    first = PTR if given is not None else kind or A
    answer, name = yield from _searched(proc, server, name, first, plain=given is not None)
    if answer.code:
        proc.write(f"Host {word if given is None else name} not found: {answer.code}({status(answer.code)})\n")
        return 1
    if kind and not answer.records:
        proc.write(f"{name} has no {type_name(kind)} record\n")
        return 0
    _told(proc, answer)
    for more in (AAAA, MX) if first == A and not kind else ():
        _told(proc, (yield from persist(proc, server, Message(0, name, more))))
    return 0


def _told(proc: Process, answer: Message) -> None:
    for each in answer.records:
        says = SAYS.get(each.type, f"has {type_name(each.type)} record")
        proc.write(f"{dotted(each.name)[:-1]} {says} {each.value}\n")
