"""A DHCP client's rules, as ISC's dhclient 4.4.3 has them without a configuration file (client/dhclient.c).

The same actions as `client.Client`, in dhclient's words and at its times: intervals between repetitions and the moment
of a renewal are drawn, a lease that was held before is asked for first (INIT-REBOOT), who gets no offer begins again
later.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from simvlan.clock import SECOND
from simvlan.dhcp import message as m
from simvlan.dhcp.client import (
    BOUND,
    INIT,
    REBINDING,
    RELEASED,
    RENEWING,
    REQUESTING,
    Action,
    Background,
    Bound,
    Client,
    Deconfigured,
    Exit,
    Options,
    Say,
    Send,
    Told,
    lease_time,
)
from simvlan.dhcp.message import Message

REBOOTING = "rebooting"
TIMEOUT_S, REBOOT_S, RETRY_S, CUTOFF_S, INITIAL_S = 300, 10, 300, 15, 3
WANTED = bytes((m.MASK, m.BROADCAST, 2, m.ROUTER, m.DOMAIN, m.DNS, m.HOSTNAME))
REASONS = {REBOOTING: "REBOOT", RENEWING: "RENEW", REBINDING: "REBIND"}
NO_LEASE = 2
"""dhclient's exit status of -1 without a lease."""

Draw = Callable[[int], int]
"""A number below another."""


class IscClient(Client):
    """One interface's client.

    Args:
        once: -1: leave where the first try gets no lease.
        draw: chance.
        name: the interface, as lines name it.
    """

    def __init__(self, mac: bytes, xid: int, name: str, draw: Draw, *, once: bool = False) -> None:
        super().__init__(mac, Options(), xid)
        self.name, self.draw, self.once = name, draw, once
        self.interval = 0
        self.first_ns = 0
        """When the first message of this kind went."""
        self.rebind_ns = 0
        self.reason = "BOUND"
        """What an acknowledgement came to, as scripts hear it."""

    @property
    def listens(self) -> bool:
        """Its packet socket is open for as long as it runs."""
        return self.state != RELEASED and self.state != "gone"

    @property
    def holds(self) -> bool:
        """Whether it has an address."""
        return self.state in (BOUND, RENEWING, REBINDING)

    def remember(self, address: int, ends: int) -> None:
        """Know of an earlier lease (*ends* 0: it was given back, but is asked for again)."""
        self.address, self.ends = address, ends

    def start(self, now: int) -> list[Action]:
        """Begin: with the lease it has, if it is good still."""
        self.state = REBOOTING if self.address and self.ends > now else INIT
        if self.state == INIT and self.ends:
            self.address = 0
        return self._fresh(now)

    def _fresh(self, now: int) -> list[Action]:
        """A new transaction."""
        self.xid = (self.xid * 0x0019_660D + 0x3C6E_F35F) & 0xFFFF_FFFF
        self.interval, self.first_ns = 0, now
        return self.wake(now)

    # -- time -------------------------------------------------------------------------------------------------------

    def wake(self, now: int) -> list[Action]:
        """Do what is due."""
        steps = {INIT: self._discover, REBOOTING: self._request, REQUESTING: self._request, BOUND: self._begin_renewal,
                 RENEWING: self._renewal, REBINDING: self._renewal}  # fmt: skip
        step = steps.get(self.state)
        return step(now) if step is not None else []

    def _next_interval(self, now: int, limit_s: int | None) -> int:
        """How long to wait for an answer; it grows, and does not go far past the end of trying."""
        if not self.interval:
            self.interval = INITIAL_S + self.draw(2 * INITIAL_S)
        else:
            self.interval += self.draw(2 * self.interval)
        if self.interval > CUTOFF_S:
            self.interval = CUTOFF_S // 2 + self.draw(CUTOFF_S)
        passed = (now - self.first_ns) // SECOND
        if limit_s is not None and passed + self.interval > limit_s:
            self.interval = limit_s - passed + 1
        self.due = now + self.interval * SECOND
        return self.interval

    def _over(self, now: int, limit_s: int) -> bool:
        return now - self.first_ns > limit_s * SECOND

    def _discover(self, now: int) -> list[Action]:
        if self._over(now, TIMEOUT_S):
            return self._failed(now)
        wait = self._next_interval(now, TIMEOUT_S)
        wish = {m.REQUESTED: _four(self.address)} if self.address else {}
        said = f"DHCPDISCOVER on {self.name} to 255.255.255.255 port 67 interval {wait}"
        return [Say(said), Send(self._message(m.DISCOVER, now, wish))]

    def _failed(self, now: int) -> list[Action]:
        said: list[Action] = [Say("No DHCPOFFERS received."), Told("FAIL")]
        if self.once:
            return [*said, Say("Unable to obtain a lease on first try.  Exiting."), Exit(NO_LEASE)]
        self.first_ns, self.interval = now + RETRY_S * SECOND, 0
        self.due = self.first_ns
        return [*said, Say("No working leases in persistent database - sleeping."), Background()]

    def _request(self, now: int) -> list[Action]:
        limit = REBOOT_S if self.state == REBOOTING else TIMEOUT_S
        if self._over(now, limit):
            self.state = INIT
            return self._fresh(now)
        self._next_interval(now, limit)
        wish = {m.SERVER_ID: _four(self.server)} if self.state == REQUESTING else {}
        request = self._message(m.REQUEST, now, wish | {m.REQUESTED: _four(self.address)})
        return [Say(self._asking("255.255.255.255")), Send(request)]

    def _asking(self, whom: str) -> str:
        return f"DHCPREQUEST for {IPv4Address(self.address)} on {self.name} to {whom} port 67"

    def _begin_renewal(self, now: int) -> list[Action]:
        self.state = RENEWING
        return self._fresh(now)

    def _renewal(self, now: int) -> list[Action]:
        if now >= self.ends:
            self.state = INIT  # what it had is asked for again
            return [Deconfigured(), Told("PREINIT"), *self._fresh(now)]
        if now >= self.rebind_ns:
            self.state = REBINDING
        self._next_interval(now, None)
        self.due = min(self.due or self.ends, self.ends)
        request = self._message(m.REQUEST, now, {}, ciaddr=self.address)
        if self.state == REBINDING:
            return [Say(self._asking("255.255.255.255")), Send(request, self.address)]
        return [Say(self._asking(str(IPv4Address(self.server)))), Send(request, self.address, self.server)]

    # -- answers ----------------------------------------------------------------------------------------------------

    def receive(self, msg: Message, now: int) -> list[Action]:
        """Take an answer, if it is one to us."""
        if msg.op != 2 or msg.xid != self.xid or msg.chaddr != self.mac:
            return []
        there = IPv4Address(msg.number(m.SERVER_ID))
        if self.state == INIT and msg.type == m.OFFER and m.SERVER_ID in msg.options:
            self.server, self.address = msg.number(m.SERVER_ID), msg.yiaddr
            self.state, self.interval, self.first_ns = REQUESTING, 0, now
            return [Say(f"DHCPOFFER of {IPv4Address(msg.yiaddr)} from {there}"), *self.wake(now)]
        if self.state in (INIT, BOUND, RELEASED):
            return []
        if msg.type == m.ACK:
            return [Say(f"DHCPACK of {IPv4Address(msg.yiaddr)} from {there}"), *self._leased(msg, now)]
        if msg.type == m.NAK:
            held, self.state, self.address = self.holds, INIT, 0
            return [Say(f"DHCPNAK from {there}"), *([Deconfigured()] if held else []), *self._fresh(now)]
        return []

    def _leased(self, msg: Message, now: int) -> list[Action]:
        """The address is ours; renewal at T1, or up to a quarter of it earlier."""
        new, seconds = not self.holds, lease_time(msg)
        self.reason = REASONS.get(self.state, "BOUND")
        half = msg.number(m.T1) or seconds // 2
        self.offer, self.address, self.server = msg, msg.yiaddr, msg.number(m.SERVER_ID) or self.server
        self.ends = now + seconds * SECOND
        self.rebind_ns = now + (msg.number(m.T2) or seconds * 7 // 8) * SECOND
        renewal = half * 3 // 4 + self.draw(max(half // 4, 1))
        self.state, self.due = BOUND, now + renewal * SECOND
        said = f"bound to {IPv4Address(self.address)} -- renewal in {renewal} seconds."
        return [Bound(msg, new), Say(said), Background()]

    def release(self, now: int) -> list[Action]:
        """Give the address back."""
        actions: list[Action] = []
        if self.holds:
            gone = self._message(m.RELEASE, now, {m.SERVER_ID: _four(self.server)}, ciaddr=self.address, bare=True)
            said = f"DHCPRELEASE of {IPv4Address(self.address)} on {self.name} to {IPv4Address(self.server)} port 67"
            actions = [Say(said), Send(gone, self.address, self.server), Deconfigured()]
        self.state, self.due = RELEASED, None
        return actions

    def _message(self, kind: int, now: int, wish: dict[int, bytes], ciaddr: int = 0, bare: bool = False) -> Message:
        """In dhclient's order: type, wishes, then what it wants to be told."""
        options = {m.TYPE: bytes((kind,)), **wish, **({} if bare else {m.WANTED: WANTED})}
        secs = min((now - self.first_ns) // SECOND, 0xFFFF) if not bare else 0
        return Message(1, self.xid, self.mac, options, secs, 0, ciaddr)


def _four(number: int) -> bytes:
    return number.to_bytes(4, "big")
