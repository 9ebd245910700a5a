"""The DNS half of dnsmasq: port 53 of a namespace, its own zone, and questions passed on to other servers."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from simvlan.dhcp.leases import Leases
from simvlan.dns.message import NXDOMAIN, PORT, REFUSED, Message, MessageError, parse
from simvlan.dns.zone import Zone


class DnsService:
    """A name server: answers from its zone, asks its servers about the rest.

    Args:
        servers: addresses of other name servers, asked in order; none: what is not known is refused.
        names: devices it listens on; empty: all.
    """

    def __init__(self, network: Any, ns: Any, zone: Zone, servers: list[int], names: list[str]) -> None:
        self.network, self.ns, self.zone, self.servers, self.names = network, ns, zone, servers, names
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
            if self.names and got.dev is not None and got.dev.kind and got.dev.name not in self.names:
                continue
            with contextlib.suppress(MessageError, OSError):
                self._question(parse(got.data), got)
        while self.up is not None and self.up.queue:
            got = self.up.queue.popleft()
            with contextlib.suppress(MessageError, OSError):
                self._answered(parse(got.data), got.data)

    def _question(self, question: Message, got: Any) -> None:
        if question.reply:
            return
        answer = self.zone.answer(question) or self._leased(question)
        if answer is None and self.servers:
            self._pass_on(question, got)
            return
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

    def _pass_on(self, question: Message, got: Any) -> None:
        number = self.network.rng.getrandbits(16)
        self.asked[number] = (got.src, got.sport, question.ident)
        self.up.send(replace(question, ident=number).pack(), self.servers[0], PORT)

    def _answered(self, answer: Message, data: bytes) -> None:
        client = self.asked.pop(answer.ident, None)
        if client is not None:
            address, port, ident = client
            self._send(ident.to_bytes(2, "big") + data[2:], 0, address, port)
