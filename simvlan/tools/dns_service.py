"""The DNS half of dnsmasq: port 53 of a namespace, its own zone, and questions passed on to other servers."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from simvlan.dhcp.leases import Leases
from simvlan.dns.message import NXDOMAIN, PORT, REFUSED, Message, MessageError, parse
from simvlan.dns.zone import Zone, below


class DnsService:
    """A name server: answers from its zone, asks its servers about the rest.

    Args:
        servers: addresses of other name servers, asked in order; none: what is not known is refused.
        names: devices it listens on; empty: all.
    """

    def __init__(self, network: Any, ns: Any, zone: Zone, servers: list[int], names: list[str]) -> None:
        self.network, self.ns, self.zone, self.servers, self.names = network, ns, zone, servers, names
        self.excepted: list[str] = []
        """Devices it does not listen on."""
        self.listens: list[int] = []
        """Addresses it listens on besides (--listen-address)."""
        self.forward: list[tuple[str, int]] = []
        """Domains of which another server is asked; 0: nobody, what is not known does not exist."""
        self.leases: Leases | None = None
        """Of the DHCP server beside it."""
        self.sock: Any = None
        self.up: Any = None
        self.asked: dict[int, tuple[int, int, int]] = {}
        """Questions passed on: their number there -> (client, its port, its number)."""

    def start(self) -> None:
        """Open the port."""
        self.sock, self.up = self.ns.stack.open_udp(), self.ns.stack.open_udp()
        for sock in (self.sock, self.up):
            sock.on_receive = self._hear
        self.sock.bind(0, PORT)
        self.up.bind(0, 0)

    def stop(self) -> None:
        """Close it."""
        for sock in (self.sock, self.up):
            if sock is not None:
                sock.close()
        self.sock = self.up = None

    def _hear(self, _socket: object) -> None:
        self.network.at(self.network.now, self._collect)

    def _collect(self) -> None:
        while self.sock is not None and self.sock.queue:
            got = self.sock.queue.popleft()
            if not self._wanted(got):
                continue
            with contextlib.suppress(MessageError, OSError):
                self._question(parse(got.data), got)
        while self.up is not None and self.up.queue:
            got = self.up.queue.popleft()
            with contextlib.suppress(MessageError, OSError):
                self._answered(parse(got.data), got.data)

    def _wanted(self, got: Any) -> bool:
        """Whether a question came where it listens; the loopback device is always one of --interface's."""
        if got.dev is None or not (self.names or self.listens or self.excepted):
            return True
        here = got.dev.name in self.names or got.dst in self.listens or (not got.dev.kind and bool(self.names))
        return got.dev.name not in self.excepted and (here or not (self.names or self.listens))

    def _server_for(self, name: str) -> int | None:
        """Who is asked about a name: the longest domain counts; 0 for nobody, None where nothing is said of it."""
        fits = [(domain, server) for domain, server in self.forward if below(name.lower().rstrip("."), domain)]
        if fits:
            return max(fits, key=lambda pair: len(pair[0]))[1]
        return self.servers[0] if self.servers else None

    def _question(self, question: Message, got: Any) -> None:
        if question.reply:
            return
        answer = self.zone.answer(question) or self._leased(question)
        server = self._server_for(question.name)
        if answer is None and server:
            self._pass_on(question, got, server)
            return
        if answer is None and server == 0:
            answer = replace(question, reply=True, code=NXDOMAIN, authoritative=True)
        if answer is None:
            code = NXDOMAIN if question.name.lower().endswith(".in-addr.arpa") else REFUSED
            answer = replace(question, reply=True, code=code)
        self._send(answer.pack(), got.dst, got.src, got.sport)

    def _leased(self, question: Message) -> Message | None:
        """What DHCP clients are called."""
        for lease in self.leases or ():
            if lease.name and lease.name.lower() == question.name.lower():
                known = Zone({lease.name.lower(): [lease.address]})
                return known.answer(question)
        return None

    def _send(self, data: bytes, src: int, dst: int, port: int) -> None:
        """Answer from the address that was asked."""
        self.sock.src = src
        try:
            self.sock.send(data, dst, port)
        finally:
            self.sock.src = 0

    def _pass_on(self, question: Message, got: Any, server: int) -> None:
        number = self.network.rng.getrandbits(16)
        self.asked[number] = (got.src, got.sport, question.ident)
        self.up.send(replace(question, ident=number).pack(), server, PORT)

    def _answered(self, answer: Message, data: bytes) -> None:
        client = self.asked.pop(answer.ident, None)
        if client is not None:
            address, port, ident = client
            self._send(ident.to_bytes(2, "big") + data[2:], 0, address, port)
