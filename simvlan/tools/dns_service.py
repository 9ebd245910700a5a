"""The DNS half of dnsmasq: port 53 of a namespace, its own zone, and questions passed on to other servers."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from simvlan.clock import SECOND
from simvlan.dhcp.leases import Leases
from simvlan.dns.message import AAAA, NOERROR, NXDOMAIN, PORT, REFUSED, A, Message, MessageError, parse, reverse_address
from simvlan.dns.zone import Zone, below, reply
from simvlan.tools.hosts import Host

CLOSE_NS = 2 * SECOND
"""The same question again within this time is no second try."""


class DnsService:
    """A name server: answers from its zone, asks its servers about the rest.

    Args:
        servers: other name servers, the first of which is asked; none: what is not known is refused.
        names: devices it listens on; empty: all.
    """

    def __init__(self, network: Any, ns: Any, zone: Zone, servers: list[Host], names: list[str]) -> None:
        self.network, self.ns, self.zone, self.servers, self.names = network, ns, zone, servers, names
        self.port = PORT
        self.excepted: list[str] = []
        """Devices it does not listen on."""
        self.listens: list[Host] = []
        """Addresses it listens on besides (--listen-address)."""
        self.forward: list[tuple[str, Host | None]] = []
        """Domains of which another server is asked; None: nobody, what is not known does not exist."""
        self.bogus = False
        """Of private addresses nobody else is asked (--bogus-priv)."""
        self.full = False
        """Of names without a domain nobody else is asked (--domain-needed)."""
        self.turns: dict[tuple[str, int], int] = {}
        """How often a name with several addresses was answered."""
        self.leases: Leases | None = None
        """Of the DHCP server beside it."""
        self.socks: list[Any] = []
        """Of each family, port 53."""
        self.ups: dict[int, Any] = {}
        """By family, for questions passed on; opened by the first."""
        self.asked: dict[int, list[tuple[Any, Any, int]]] = {}
        """Questions passed on: their number there -> (the socket asked, the datagram, its number) of all who wait."""
        self.pending: dict[tuple[str, int], tuple[int, int]] = {}
        """Name and type -> the number and the moment of the question that was passed on last."""

    def start(self) -> None:
        """Open the port."""
        stack = self.ns.stack
        families = (4,) if stack.ip6 is None else (4, 6)
        self.socks = [stack.open_udp(family) for family in families]
        for sock in self.socks:
            sock.on_receive, sock.v6only = self._hear, True
            sock.bind(0, self.port)

    def stop(self) -> None:
        """Close it."""
        for sock in (*self.socks, *self.ups.values()):
            sock.close()
        self.socks, self.ups = [], {}

    def _hear(self, _socket: object) -> None:
        self.network.at(self.network.now, self._collect)

    def _collect(self) -> None:
        for sock in self.socks:
            while sock.queue:
                got = sock.queue.popleft()
                if self._wanted(sock.family.number, got):
                    with contextlib.suppress(MessageError, OSError):
                        self._question(parse(got.data), sock, got)
        for sock in self.ups.values():
            while sock.queue:
                got = sock.queue.popleft()
                with contextlib.suppress(MessageError, OSError):
                    self._answered(parse(got.data), got.data)

    def _wanted(self, family: int, got: Any) -> bool:
        """Whether a question came where it listens; the loopback device is always one of --interface's."""
        if got.dev is None or not (self.names or self.listens or self.excepted):
            return True
        listens = (family, got.dst) in [(each.family, each.address) for each in self.listens]
        here = got.dev.name in self.names or listens or (not got.dev.kind and bool(self.names))
        return got.dev.name not in self.excepted and (here or not (self.names or self.listens))

    def _server_for(self, name: str) -> Host | bool | None:
        """Who is asked about a name: the longest domain counts; False for nobody, None where nothing is said of it."""
        fits = [(domain, server) for domain, server in self.forward if below(name.lower().rstrip("."), domain)]
        if fits:
            return max(fits, key=lambda pair: len(pair[0]))[1] or False
        return self.servers[0] if self.servers else None

    def _question(self, question: Message, sock: Any, got: Any) -> None:
        if question.reply:
            return
        answer = self.zone.answer(question) or self._leased(question)
        server = None if self._stays(question) else self._server_for(question.name)
        if answer is None and isinstance(server, Host):
            self._pass_on(question, sock, got, server)
            return
        answer = self._turned(answer) if answer is not None else self._unknown(question, nobody=server is False)
        self._send(answer.pack(), sock, got)

    def _unknown(self, question: Message, nobody: bool) -> Message:
        """An answer about what it knows nothing of: there is nothing, or it cannot say."""
        if self._stays(question):
            return reply(question, code=NXDOMAIN, authoritative=reverse_address(question.name) is not None)
        if not nobody:
            return reply(question, code=REFUSED)
        return reply(question, code=NOERROR if self.zone.knows(question.name) else NXDOMAIN)

    def _stays(self, question: Message) -> bool:
        """Whether nobody else is asked: about a private address (--bogus-priv), a plain name (--domain-needed)."""
        address = reverse_address(question.name)
        plain = self.full and question.type in (A, AAAA) and "." not in question.name
        return plain or (self.bogus and address is not None and address.is_private)

    def _turned(self, answer: Message) -> Message:
        """Several addresses take turns: the newest, which was the first in its cache, goes to the end each time."""
        if len(answer.answers) < 2:
            return answer
        key = (answer.name.lower(), answer.type)
        turn = self.turns[key] = self.turns.get(key, 0) + 1
        turn, newest = turn % len(answer.answers), answer.answers[::-1]
        return replace(answer, answers=newest[turn:] + newest[:turn])

    def _leased(self, question: Message) -> Message | None:
        """What DHCP clients are called."""
        for lease in self.leases or ():
            if lease.name and lease.name.lower() == question.name.lower():
                known = Zone({lease.name.lower(): [lease.address]})
                return known.answer(question)
        return None

    @staticmethod
    def _send(data: bytes, sock: Any, got: Any) -> None:
        """Answer from the address that was asked."""
        sock.src = 0 if sock.family.is_group(got.dst) else got.dst
        try:
            sock.send(data, got.src, got.sport, got.dev if sock.family.near(got.src) else None)
        finally:
            sock.src = 0

    def _pass_on(self, question: Message, sock: Any, got: Any, server: Host) -> None:
        """Ask a server; the same within two seconds waits for its answer, so that loops end (forward_query)."""
        key, now = (question.name.lower(), question.type), self.network.now
        number, since = self.pending.get(key, (-1, 0))
        if number in self.asked and now - since < CLOSE_NS:
            self.asked[number].append((sock, got, question.ident))
            return
        number = self.network.rng.getrandbits(16)
        self.asked[number], self.pending[key] = [(sock, got, question.ident)], (number, now)
        up = self._up(server.family)
        if up is not None:
            up.send(replace(question, ident=number).pack(), server.address, PORT, server.device(self.ns.stack))

    def _up(self, family: int) -> Any:
        """The socket that asks servers of a family; None where the namespace has no such family."""
        if family not in self.ups and family in (sock.family.number for sock in self.socks):
            sock = self.ns.stack.open_udp(family)
            sock.on_receive, sock.v6only = self._hear, True
            sock.bind(0, 0)
            self.ups[family] = sock
        return self.ups.get(family)

    def _answered(self, answer: Message, data: bytes) -> None:
        for sock, got, ident in self.asked.pop(answer.ident, ()):
            self._send(ident.to_bytes(2, "big") + data[2:], sock, got)
