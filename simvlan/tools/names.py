"""The resolver of a namespace: its hosts file, then its name servers (nss_files, then nss_dns, of glibc 2.36).

A namespace's files are those that `ip netns exec` shows it: /etc/netns/NAME/hosts and /etc/netns/NAME/resolv.conf.
Without the latter, the servers are those that a DHCP client was told of there. The initial namespace has no files: the
machine's are not the lab's. A container has its own, and Docker's name server at 127.0.0.11 inside (`inner_servers`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from simvlan.clock import SECOND
from simvlan.dns.message import AAAA, NOERROR, NXDOMAIN, PORT, PTR, A, Message, MessageError, parse, reverse_name
from simvlan.dns.zone import Zone
from simvlan.tools.common import Waiter
from simvlan.tools.hosts import Host, literal
from simvlan.tools.program import Process

NETNS_ETC = "/etc/netns"
"""Where files for namespaces are (ip-netns(8))."""
TIMEOUT_S, ATTEMPTS = 5, 2
"""RES_TIMEOUT and RES_DFLRETRY."""


@dataclass
class Config:
    """A namespace's resolv.conf."""

    servers: list[Host] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    ndots: int = 1


def config_of(proc: Process) -> Config:
    """The name servers of a namespace."""
    text = etc_file(proc, "resolv.conf")
    if text is not None:
        return read_config(text)
    return Config([Host(4, each) for each in proc.lab.network.netns[proc.netns].nameservers])


def read_config(text: str) -> Config:
    """Read a resolv.conf; more than three servers are passed over."""
    made = Config()
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "nameserver" and rest and (address := literal(rest[0])) is not None and len(made.servers) < 3:
            made.servers.append(address)
        elif word in ("search", "domain"):
            made.search = rest
        elif word == "options":
            dots = [int(each[6:]) for each in rest if each[:6] == "ndots:" and each[6:].isdigit()]
            made.ndots = dots[-1] if dots else made.ndots
    return made


def etc_file(proc: Process, name: str) -> str | None:
    """A file of /etc as programs of this namespace see it; None where it has none of its own."""
    own = proc.etc(name)
    if own is not None:
        return own
    path = proc.path(os.path.join(NETNS_ETC, proc.netns, name))
    if not proc.netns or not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def look_up(proc: Process, name: str, family: int = 0) -> Generator[Any, Any, None]:
    """Resolve a name as getaddrinfo(3) does, and keep the answer where `Process.lookup` finds it.

    Args:
        family: 4 or 6 where only addresses of one are wanted.
    """
    if literal(name) is not None or proc.lookup(name) is not None:
        return
    found = at_hand(proc, name)
    fits = [text for text in found or () if family in (0, 6 if ":" in text else 4)]
    if fits or found == []:
        proc.names[name] = fits
        proc.full_names[name] = listed_name(proc, name) or name
        return
    config = config_of(proc)
    servers = [each for each in config.servers if each.address not in proc.inner_servers]
    types = {0: (A, AAAA), 4: (A,), 6: (AAAA,)}[family]
    for full in candidates(name, config):
        answers = yield from ask_all(proc, servers, full, types)
        if any(answer.code in (NOERROR, NXDOMAIN) for answer in answers):
            proc.names[name] = [text for answer in answers for text in answer.addresses]
            proc.bare_names |= {name} if any(answer.code == NOERROR for answer in answers) else set()
            if proc.names[name]:
                proc.full_names[name] = full
                return


def at_hand(proc: Process, name: str) -> list[str] | None:
    """What a name means without a question on the network: by the hosts file, then by servers of the machine itself.

    [] where such a server knows that there is no such name, None where the others have to be asked.
    """
    zone = Zone()
    zone.read_hosts(etc_file(proc, "hosts") or "")
    found = zone.named(name)
    if found:
        return found
    config, known = config_of(proc), None
    inside = [each.address for each in config.servers if each.address in proc.inner_servers]
    for ask_inside in (proc.inner_servers[each] for each in inside):
        for full in candidates(name, config):
            answer = ask_inside(full)
            if answer:
                return answer
            known = answer if known is None else known
    return known


def listed_name(proc: Process, word: str) -> str | None:
    """The first name of the first line of the hosts file that has a name or an address."""
    for words in hosts_lines(proc):
        at_front = words and (given := literal(words[0])) is not None and given == literal(word)
        if len(words) > 1 and (at_front or word.lower().rstrip(".") in (each.lower() for each in words[1:])):
            return words[1]
    return None


def hosts_lines(proc: Process) -> list[list[str]]:
    """The words of each line of the hosts file."""
    lines = (line.partition("#")[0].split() for line in (etc_file(proc, "hosts") or "").splitlines())
    return [words for words in lines if words]


def name_of(proc: Process, host: Host) -> Generator[Any, Any, str]:
    """The name of an address as getnameinfo(3) finds it, each time anew; "" where it has none."""
    at_hand_name = listed_name(proc, host.text) or proc.inner_name(host.text)
    if at_hand_name is None and ip_address(host.text).is_loopback:
        at_hand_name = "localhost"  # as every machine's own hosts file says
    if at_hand_name is not None:
        return at_hand_name
    servers = [each for each in config_of(proc).servers if each.address not in proc.inner_servers]
    answers = yield from ask_all(proc, servers, reverse_name(ip_address(host.text)), (PTR,))
    return next((str(found) for answer in answers for found in answer.answers), "")


def candidates(name: str, config: Config) -> list[str]:
    """The names to try: with enough dots as it is first, else behind the search domains."""
    if name.endswith("."):
        return [name.rstrip(".")]
    searched = [f"{name}.{domain}" for domain in config.search]
    return [name, *searched] if name.count(".") >= config.ndots else [*searched, name]


def ask_all(
    proc: Process, servers: list[Host], name: str, types: tuple[int, ...] = (A, AAAA)
) -> Generator[Any, Any, list[Message]]:
    """Ask one server after the other, twice around, until one knows something; [] where none does."""
    for _ in range(ATTEMPTS):
        for server in servers:
            answers = yield from ask_types(proc, server, name, types)
            if any(answer.code in (NOERROR, NXDOMAIN) for answer in answers):
                return answers
    return []


def ask(
    proc: Process,
    server: Host,
    question: Message,
    timeout_s: int = TIMEOUT_S,
    faults: list[int] | None = None,
    port: int = PORT,
) -> Generator[Any, Any, Message | None]:
    """Ask a server one question, under a number of its own; None when time is over.

    Args:
        faults: takes the errno that ended it. BIND's programs have one: they wait for a host that is not there.
    """
    answers = yield from _ask_all_of(proc, server, [question], timeout_s, faults, port)
    return answers[0] if answers else None


def ask_types(
    proc: Process,
    server: Host,
    name: str,
    types: tuple[int, ...],
    timeout_s: int = TIMEOUT_S,
    faults: list[int] | None = None,
) -> Generator[Any, Any, list[Message]]:
    """Ask a server about a name, all types at once (send_dg)."""
    questions = [Message(0, name, kind) for kind in types]
    return (yield from _ask_all_of(proc, server, questions, timeout_s, faults, PORT))


def _ask_all_of(
    proc: Process, server: Host, questions: list[Message], timeout_s: int, faults: list[int] | None, port: int
) -> Generator[Any, Any, list[Message]]:
    """Ask a server from a port of one's own; what has come when all have, or in time."""
    network = proc.lab.network
    stack, waiter = network.netns[proc.netns].stack, Waiter(proc)
    sock = stack.open_udp(server.family)
    sock.on_receive = waiter.heard
    numbers = [network.rng.getrandbits(16) for _ in questions]
    limit, came = proc.lab.env.now + timeout_s * SECOND, {}
    try:
        sock.connect(server.address, port, server.device(stack))
        for number, question in zip(numbers, questions, strict=True):
            sock.send(replace(question, ident=number).pack())
        while proc.lab.env.now < limit and not _ends(sock, faults):
            while sock.queue:
                answer = _answer(sock.queue.popleft().data)
                if answer is not None and answer.ident in numbers:
                    came[answer.ident] = answer
            if len(came) == len(set(numbers)):
                break
            yield waiter.until(limit)
    except OSError as error:
        if faults is not None:
            faults.append(error.errno or errno.EIO)
        return []
    finally:
        sock.close()
    return [came[number] for number in numbers if number in came]


def _ends(sock: Any, faults: list[int] | None) -> bool:
    """Whether an error that a socket was told of ends the asking."""
    told = [int(each.errno) for each in sock.errors]
    if faults is None:
        return bool(told)
    faults += [each for each in told if each == errno.ECONNREFUSED]
    return bool(faults)


def _answer(data: bytes) -> Message | None:
    try:
        found = parse(data)
    except MessageError:
        return None
    return found if found.reply else None


def server_of(proc: Process, text: str) -> Host | None:
    """The server that a command line names, else the first of resolv.conf."""
    if text:
        return literal(text)
    return next(iter(config_of(proc).servers), None)
