"""What DHCP servers and relays share: port 67 of a namespace, and the ways to a client that has no address yet."""

from __future__ import annotations

import contextlib
from typing import Any

from simvlan.dhcp import message as m
from simvlan.dhcp.message import Message, MessageError, parse
from simvlan.dhcp.relay import downward, upward
from simvlan.rtnl.neigh import neigh_replace
from simvlan.stack.family import DONT
from simvlan.stack.ipaddr import LIMITED_BROADCAST
from simvlan.stack.neigh import STALE

TOS = 0xC0
"""Internetwork control, as dnsmasq sets for DHCP."""


class Port67:
    """A program on port 67; subclasses take messages."""

    shared = True
    """Whether others may have the port too (SO_REUSEADDR)."""

    def __init__(self, network: Any, ns: Any) -> None:
        self.network, self.ns = network, ns
        self.sock: Any = None

    def start(self) -> None:
        """Open the port."""
        self.sock = self.ns.stack.open_udp()
        self.sock.broadcast, self.sock.reuse = True, self.shared
        self.sock.tos, self.sock.pmtudisc = TOS, DONT
        self.sock.on_receive = self._hear
        self.sock.bind(0, m.SERVER_PORT)

    def stop(self) -> None:
        """Close it."""
        if self.sock is not None:
            self.sock.close()
        self.sock = None

    def _hear(self, _socket: object) -> None:
        """Something came: the program runs after what the kernel is doing now."""
        self.network.at(self.network.now, self._collect)

    def _collect(self) -> None:
        while self.sock is not None and self.sock.queue:
            got = self.sock.queue.popleft()
            if got.dev is not None:
                with contextlib.suppress(MessageError, OSError):
                    self.take(parse(got.data), got.dev, got.dst != LIMITED_BROADCAST)

    def take(self, msg: Message, dev: Any, unicast: bool) -> None:
        """Take a message that came by a device, to one of its addresses or to everybody."""
        raise NotImplementedError

    def to_client(self, reply: Message, dev: Any) -> None:
        """To the client's address, to its MAC (with a neighbour entry made for it), or to everybody."""
        self.sock.bind_dev = dev
        try:
            if reply.ciaddr:
                self.sock.send(reply.pack(), reply.ciaddr, m.CLIENT_PORT)
            elif reply.flags & m.BROADCAST_FLAG or not reply.yiaddr:
                self.sock.send(reply.pack(), LIMITED_BROADCAST, m.CLIENT_PORT)
            else:
                neigh_replace(self.network, dev, reply.yiaddr, int.from_bytes(reply.chaddr, "big"), STALE)
                self.sock.send(reply.pack(), reply.yiaddr, m.CLIENT_PORT)
        finally:
            self.sock.bind_dev = None

    def addresses(self, dev: Any) -> list[Any]:
        """A device's addresses."""
        return list(self.ns.stack.addresses(dev))


class RelayService(Port67):
    """A relay to servers from the networks of local addresses.

    Args:
        ways: (local address, server); a local address of 0 is the first of whatever device.
    """

    as_heard = True
    """Requests go on from the address that they were heard on, not from one that the kernel chooses."""

    def __init__(self, network: Any, ns: Any, ways: list[tuple[int, int]], names: list[str]) -> None:
        super().__init__(network, ns)
        self.ways, self.names = ways, names

    def take(self, msg: Message, dev: Any, unicast: bool) -> None:
        """A request goes to the servers from the address it was heard on, a reply to where its request came from."""
        if msg.op == 2:
            self._down(msg)
            return
        own = [each.local for each in self.addresses(dev)]
        if not own or (self.names and dev.name not in self.names):
            return
        for local, server in self.ways:
            if not local or local in own:
                self._up(self.request(msg, dev, local or own[0]), local or own[0], server)

    def _up(self, up: Message | None, address: int, server: int) -> None:
        self.sock.src = address if self.as_heard else 0
        try:
            if up is not None:
                self.sock.send(up.pack(), server, m.SERVER_PORT)
        finally:
            self.sock.src = 0

    def request(self, msg: Message, dev: Any, address: int) -> Message | None:
        """A client's message as it goes on; None where it does not."""
        return upward(msg, address)

    def _down(self, msg: Message) -> None:
        here = {each.local: dev for dev in self.ns.devices.values() for each in self.addresses(dev)}
        found = downward(msg, frozenset(here))
        if found is not None:
            self.to_client(msg, here[found])
