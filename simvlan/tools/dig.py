"""dig of BIND 9.18: questions to one server over UDP, in virtual time; what it prints is in `dig_text.py`."""

from __future__ import annotations

import errno
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from simvlan.dns.message import COOKIE, NS, PORT, PTR, TYPES, A, Edns, Message, MessageError, encoded, reverse_name
from simvlan.tools import dig_text as text
from simvlan.tools.common import Refused
from simvlan.tools.hosts import Host, literal
from simvlan.tools.names import TIMEOUT_S, ask, server_of
from simvlan.tools.program import Process

ATTEMPTS = 3
LOCAL = Host(4, 0x7F00_0001)
"""Who is asked where nobody is named."""
NO_ANSWER = 9
SECTIONS = ("question", "answer", "comments", "stats", "ttlid", "class", "authority", "additional")
NUMBERS = ("tries", "time", "timeout", "retry", "bufsize")
NOTHING = frozenset(("search", "defname", "all", "authority", "additional", "identify", "multiline", "fail", "qr",
                     "crypto", "idnin", "idnout", "besteffort", "keepopen", "ignore"))  # fmt: skip
"""Options whose negation is the default."""
USAGE = """Usage:  dig [@global-server] [domain] [q-type] [q-class] {q-opt}
            {global-d-opt} host [@local-server] {local-d-opt}
            [ host [@local-server] {local-d-opt} [...]]

Use "dig -h" (or "dig -h | more") for complete list of options
"""


@dataclass(frozen=True)
class Lookup:
    """One question: whom it goes to, how patiently, and what is shown of the answer."""

    server: str = ""
    name: str = ""
    kind: int = A
    port: int = PORT
    tries: int = ATTEMPTS
    seconds: int = TIMEOUT_S
    recursion: bool = True
    edns: bool = True
    cookie: bool = True
    ad: bool = True
    size: int = 1232
    hidden: frozenset[str] = frozenset()

    def shows(self, what: str) -> bool:
        """Whether a part of the output is wanted."""
        return what not in self.hidden


@dataclass
class Asked:
    """A command line: its questions, and how little is said of all of them."""

    lookups: list[Lookup] = field(default_factory=list)
    short: bool = False
    head: bool = True


def dig(proc: Process) -> Generator[Any, Any, int]:
    """dig [@SERVER] [NAME [TYPE] [+OPTION]...]..."""
    try:
        asked = Reader(proc.argv[1:]).read()
        first = asked.lookups[0]
        head = _banner(proc, first) if asked.head and not asked.short else ""
        for lookup in asked.lookups:
            server = find_server(proc, lookup.server)
            began = proc.lab.env.now
            answer = yield from _answer(proc, server, lookup, head)
            whole = shown(lookup, answer, server, int(began), int(proc.lab.env.now))
            proc.write(head + ("".join(f"{each.value}\n" for each in answer.records) if asked.short else whole))
            head = ""
    except Refused as refused:
        (proc.write if refused.status == NO_ANSWER else proc.write_err)(str(refused))
        return refused.status
    return 0


def _banner(proc: Process, first: Lookup) -> str:
    found = "; (1 server found)\n" if first.server else ""
    return f"\n; <<>> DiG {text.VERSION} <<>> {' '.join(proc.argv[1:])}\n{found};; global options: +cmd\n"


def _answer(proc: Process, server: Host, lookup: Lookup, head: str) -> Generator[Any, Any, Message]:
    cookie = {COOKIE: proc.lab.network.rng.getrandbits(64).to_bytes(8, "big")} if lookup.cookie else {}
    edns = Edns(lookup.size, cookie) if lookup.edns else None
    question = Message(0, lookup.name, lookup.kind, recursion=lookup.recursion, edns=edns, ad=lookup.ad)
    return (yield from persist(proc, server, question, lookup.tries, lookup.seconds, lookup.port, head))


def persist(
    proc: Process, server: Host, question: Message, tries: int = ATTEMPTS, seconds: int = TIMEOUT_S, port: int = PORT,
    head: str = "",
) -> Generator[Any, Any, Message]:  # fmt: skip
    """Ask until somebody answers.

    Raises:
        Refused: with NO_ANSWER, nobody did; the text says what each attempt came to, then *head*, then that.
    """
    said, where = "", server.text
    for _ in range(tries):
        faults: list[int] = []
        answer = yield from ask(proc, server, question, seconds, faults, port)
        if answer is not None:
            return answer
        why = "connection refused" if faults == [errno.ECONNREFUSED] else "timed out"
        if faults == [errno.ENETUNREACH]:
            name = question.name
            said += f";; UDP setup with {where}#{port}({where}) for {name} failed: network unreachable.\n{NOBODY}"
        else:
            said += f";; communications error to {where}#{port}: {why}\n"
    raise Refused(said + head if said.endswith(NOBODY) else said + head + NOBODY, NO_ANSWER)


NOBODY = ";; no servers could be reached\n"


def find_server(proc: Process, name: str) -> Host:
    """The server that is named, else the resolver's first.

    Raises:
        Refused: it is no address.
    """
    found = server_of(proc, name)
    if found is None and name:
        raise Refused(f"{proc.name}: couldn't get address for '{name}': failure\n")
    return LOCAL if found is None else found


def shown(lookup: Lookup, answer: Message, server: Host, began: int, now: int) -> str:
    """What is printed of an answer."""
    talks = lookup.shows("comments")
    blocks: list[list[str]] = []
    if talks:
        blocks.append([";; Got answer:", *text.head_lines(answer), ""])
        blocks.append(text.edns_lines(answer.edns) if answer.edns is not None else [])
    if lookup.shows("question"):
        blocks.append(_section("QUESTION", [text.question_line(answer)], talks))
    if lookup.shows("answer") and answer.records:
        lines = text.record_lines(answer, lookup.shows("ttlid"), lookup.shows("class"))
        blocks.append(_section("ANSWER", lines, talks))
    if lookup.shows("stats"):
        blocks.append([*text.stats_lines(answer, server, lookup.port, now - began, now), ""])
    return "".join(f"{line}\n" for block in blocks for line in block)


def _section(name: str, lines: list[str], talks: bool) -> list[str]:
    return [f";; {name} SECTION:", *lines, ""] if talks else lines


class Reader:
    """Reads a command line; what stands before the first name holds for all of them."""

    def __init__(self, words: list[str]) -> None:
        self.words = list(words)
        self.usual = Lookup()
        self.asked = Asked()
        self.typed = False
        """Whether -t has named a type: what stands alone is a name then."""

    def read(self) -> Asked:
        """Read it.

        Raises:
            Refused: an option that dig does not have, or that is not modelled.
        """
        while self.words:
            self._word(self.words.pop(0))
        if not self.asked.lookups:
            self._name(".", NS if self.usual.kind == A else self.usual.kind)
        return self.asked

    def _change(self, **changes: Any) -> None:
        if self.asked.lookups:
            self.asked.lookups[-1] = replace(self.asked.lookups[-1], **changes)
        else:
            self.usual = replace(self.usual, **changes)

    @property
    def _now(self) -> Lookup:
        return self.asked.lookups[-1] if self.asked.lookups else self.usual

    def _name(self, name: str, kind: int | None = None) -> None:
        try:
            encoded(name)
        except MessageError:
            raise Refused(f"dig: '{name}' is not a legal name (label too long)\n", 10) from None
        bare = name.rstrip(".") or "."
        self.asked.lookups.append(replace(self.usual, name=bare, kind=kind or self.usual.kind))

    def _word(self, word: str) -> None:
        if word.startswith("@"):
            self._change(server=word[1:])
        elif word.startswith("+"):
            self._plus(word[1:])
        elif word.startswith("-") and word != "-":
            self._dash(word)
        elif word.upper() in TYPES and not self.typed:
            self._change(kind=TYPES[word.upper()])
        elif word.upper() == "IN":
            pass
        elif word.upper() in ("CH", "HS", "AXFR", "IXFR"):
            raise Refused(f"simvlan: dig: {word} is not modelled\n", 95)
        else:
            self._name(word)

    def _dash(self, word: str) -> None:
        letter, value = word[1], word[2:]
        if letter in "46" and not value:
            return
        if letter in "hv" or letter not in "xtqcpbkyfrmu":
            raise Refused(f"Invalid option: {word}\n{USAGE}")
        value = value or (self.words.pop(0) if self.words else "")
        kind = TYPES.get(value.upper())
        if letter == "x" and (host := literal(value)) is not None:
            self._name(reverse_name(ip_address(host.text)), PTR)
        elif letter == "q" and value:
            self._name(value)
        elif letter == "t" and kind:
            self.typed = True
            self._change(kind=kind)
        elif letter == "p" and value.isdigit() and 0 < int(value) < 65536:
            self._change(port=int(value))
        elif letter != "c" or value.upper() != "IN":
            raise Refused(f"simvlan: dig: {word} {value} is not modelled\n".replace("  ", " "), 95)

    def _plus(self, word: str) -> None:
        word, _, value = word.partition("=")
        wanted, name = (False, word[2:]) if word.startswith("no") else (True, word)
        name = {"rec": "recurse", "comment": "comments", "cl": "class", "adflag": "ad"}.get(name, name)
        if name == "all":
            self.asked.head = wanted
            self._change(hidden=frozenset() if wanted else frozenset(SECTIONS[:4]) | self._now.hidden)
        elif name == "cmd":
            self.asked.head = wanted
        elif name == "short":
            self.asked.short = wanted
        elif name in SECTIONS:
            self._change(hidden=self._now.hidden - {name} if wanted else self._now.hidden | {name})
        elif name in ("cookie", "edns", "recurse", "ad"):
            self._change(**{"recursion" if name == "recurse" else name: wanted})
        elif name in NUMBERS and value.isdigit():
            self._number(name, int(value))
        elif wanted or name not in NOTHING:
            known = name in (*NOTHING, "tcp", "vc", "trace", "nssearch", "dnssec", "subnet", "nsid", "tls", "https")
            said = f"simvlan: dig: +{word} is not modelled\n" if known else f"Invalid option: +{word}\n{USAGE}"
            raise Refused(said, 95 if known else 1)

    def _number(self, name: str, number: int) -> None:
        if name in ("time", "timeout"):
            self._change(seconds=max(1, number))
        elif name == "bufsize":
            self._change(size=number)
        else:
            self._change(tries=max(1, number + (name == "retry")))
