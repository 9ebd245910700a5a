"""A DHCP client's rules, as udhcpc of busybox 1.35 has them (networking/udhcp/dhcpc.c), checked against the real one.

A client is a state and a moment at which it wants to be woken. `wake` and `receive` return what to do: `Send` a
message, `Bound` and `Deconfigured` about the address, `Check` an address by ARP, `Say` a line, `Exit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TypeAlias

from simvlan.clock import SECOND
from simvlan.dhcp import message as m
from simvlan.dhcp.message import Message

INIT, REQUESTING, CHECKING, BOUND, RENEWING, REBINDING, RELEASED = (
    "init", "requesting", "checking", "bound", "renewing", "rebinding", "released")  # fmt: skip
NAK_PAUSE_S = 3
"""How long a refused client is quiet."""
LITTLE_S = 30
"""With no more than this left, a client asks any server; no lease is taken for shorter."""
SELECTS = REBINDS = 3
"""How often an offer is asked for, and any server for a renewal."""
LONGEST_S = 0x7FFF_FFFF // 1000
"""The longest time that is waited at once."""
DEFAULT_WANTED = bytes((m.MASK, m.ROUTER, m.DNS, m.HOSTNAME, m.DOMAIN, m.BROADCAST, 42))
MAX_MESSAGE = 576
DEFAULT_LEASE_S = 3600


@dataclass(frozen=True)
class Options:
    """What a client is told; times in seconds.

    Attributes:
        retries: packets of a kind that are sent at most.
        pause_s: between two of them.
        again_s: until it all begins anew.
        client: the client identifier, its type first; empty sends none.
        check_ms: look by ARP whether the address is in use, for so long; 0: do not.
    """

    retries: int = 3
    pause_s: int = 3
    again_s: int = 20
    client: bytes = b""
    broadcast: bool = False
    requested: int = 0
    wanted: bytes = DEFAULT_WANTED
    extra: dict[int, bytes] = field(default_factory=dict)
    vendor: bytes = b"udhcp 1.35.0"
    check_ms: int = 0
    fail: bool = False
    """Exit where no lease is obtained."""
    quit: bool = False
    """Exit once one is."""
    background: bool = False
    """Go to the background where no lease is obtained."""


@dataclass(frozen=True)
class Send:
    """Send a message: to everybody through a packet socket (*dst* 0), or by the kernel from *src* to *dst*."""

    message: Message
    src: int = 0
    dst: int = 0


@dataclass(frozen=True)
class Bound:
    """The address is ours: configure it (*new* unless it was a renewal)."""

    message: Message
    new: bool


@dataclass(frozen=True)
class Deconfigured:
    """No address any more."""


@dataclass(frozen=True)
class Told:
    """Something that only a script of one's own hears of: `nak` with its message, `leasefail`."""

    event: str
    message: Message | None = None


@dataclass(frozen=True)
class Check:
    """Ask by ARP whether anybody has the address; `checked` wants to hear."""

    address: int


@dataclass(frozen=True)
class Say:
    """A line for the log."""

    text: str


@dataclass(frozen=True)
class Background:
    """The program leaves its terminal."""


@dataclass(frozen=True)
class Exit:
    """The program ends."""

    status: int


Action: TypeAlias = "Send | Bound | Deconfigured | Told | Check | Say | Background | Exit"


class Client:
    """One interface's client.

    Args:
        mac: the interface's address.
        options: what it was told.
        xid: draws a transaction's number.
    """

    def __init__(self, mac: bytes, options: Options, xid: int) -> None:
        self.mac, self.options, self.xid = mac, options, xid
        self.state = INIT
        self.sent = 0
        self.server = 0
        self.address = options.requested
        self.ends = 0
        """When the lease ends, in ns."""
        self.due: int | None = None
        """When it wants to be woken, in ns."""
        self.began: int | None = None
        self.offer: Message | None = None

    @property
    def listens(self) -> bool:
        """Whether an answer is expected by the packet socket."""
        return self.state in (INIT, REQUESTING, REBINDING)

    @property
    def holds(self) -> bool:
        """Whether it has an address."""
        return self.state in (BOUND, RENEWING, REBINDING)

    def start(self, now: int) -> list[Action]:
        """Begin: no address, first discover."""
        return [Deconfigured(), *self.wake(now)]

    # -- time -------------------------------------------------------------------------------------------------------

    def wake(self, now: int) -> list[Action]:
        """Do what is due."""
        steps = {INIT: self._discover, REQUESTING: self._select, BOUND: self._renew, RENEWING: self._unanswered,
                 REBINDING: self._rebind}  # fmt: skip
        step = steps.get(self.state)
        return step(now) if step is not None else []

    def _later(self, now: int, seconds: int) -> None:
        self.due = now + seconds * SECOND

    def _discover(self, now: int) -> list[Action]:
        if self.options.retries and self.sent >= self.options.retries:
            return self._failed(now)
        if not self.sent:
            self.xid = (self.xid * 0x0019_660D + 0x3C6E_F35F) & 0xFFFF_FFFF
        self.sent += 1
        self._later(now, self.options.pause_s)
        wish = {m.REQUESTED: _four(self.address)} if self.address else {}
        return [Say("broadcasting discover"), Send(self._message(m.DISCOVER, now, wish))]

    def _failed(self, now: int) -> list[Action]:
        """No lease: leave, go to the background, or begin again later."""
        self.sent = 0
        told = Told("leasefail")
        if self.options.fail:
            return [told, Say("no lease, failing"), Exit(1)]
        self._later(now, self.options.again_s)
        return [told, *([Background()] if self.options.background else [])]

    def _select(self, now: int) -> list[Action]:
        if self.sent >= SELECTS:
            self.state = INIT
            return self._failed(now)
        self.sent += 1
        self._later(now, self.options.pause_s)
        wish = {m.REQUESTED: _four(self.address), m.SERVER_ID: _four(self.server)}
        said = f"broadcasting select for {IPv4Address(self.address)}, server {IPv4Address(self.server)}"
        return [Say(said), Send(self._message(m.REQUEST, now, wish))]

    def _renew(self, now: int) -> list[Action]:
        """Half of what was left is over: ask the server that gave the lease, once."""
        self.state, self.began = RENEWING, None
        self._later(now, self.options.pause_s)
        renewal = self._message(m.REQUEST, now, {}, ciaddr=self.address)
        said = f"sending renew to server {IPv4Address(self.server)}"
        return [Say(said), Send(renewal, self.address, self.server)]

    def _unanswered(self, now: int) -> list[Action]:
        """It said nothing: wait for half of the rest, or ask anybody where little is left."""
        if self._left_s(now) > LITTLE_S:
            self._hold(now)
            return []
        self.state, self.sent = REBINDING, 0
        return self._rebind(now)

    def _rebind(self, now: int) -> list[Action]:
        if self._left_s(now) > 0 and self.sent < REBINDS:
            self.sent += 1
            self._later(now, self.options.pause_s)
            renewal = self._message(m.REQUEST, now, {}, ciaddr=self.address)
            return [Say("broadcasting renew"), Send(renewal, self.address)]
        self.state, self.sent, self.began = INIT, 0, None
        return [Say("lease lost, entering init state"), Deconfigured(), *self.wake(now)]

    def _left_s(self, now: int) -> int:
        return max(0, (self.ends - now) // SECOND)

    def _hold(self, now: int) -> None:
        self.state, self.sent = BOUND, 0
        self._later(now, min(self._left_s(now), LONGEST_S) // 2)

    # -- answers ----------------------------------------------------------------------------------------------------

    def receive(self, msg: Message, now: int) -> list[Action]:
        """Take an answer, if it is one to us."""
        if msg.op != 2 or msg.xid != self.xid or msg.chaddr != self.mac:
            return []
        if self.state == INIT and msg.type == m.OFFER and m.SERVER_ID in msg.options:
            self.state, self.sent = REQUESTING, 0
            self.server, self.address = msg.number(m.SERVER_ID), msg.yiaddr
            return self.wake(now)
        if self.state in (REQUESTING, RENEWING, REBINDING):
            return self._decided(msg, now)
        return []

    def _decided(self, msg: Message, now: int) -> list[Action]:
        if msg.type == m.ACK:
            self.offer = msg
            said = self._obtained(msg)
            if self.options.check_ms and self.state == REQUESTING:
                self.state, self.due = CHECKING, None
                return [said, Check(msg.yiaddr)]
            return [said, *self._bound(msg, now)]
        if msg.type == m.NAK and msg.number(m.SERVER_ID) == self.server:
            return self._refused(msg, now)
        return []

    def _obtained(self, msg: Message) -> Say:
        mine, theirs = IPv4Address(msg.yiaddr), IPv4Address(self.server)
        return Say(f"lease of {mine} obtained from {theirs}, lease time {lease_time(msg)}")

    def _bound(self, msg: Message, now: int) -> list[Action]:
        seconds = lease_time(msg)
        new = self.state in (REQUESTING, CHECKING)
        self.address, self.ends = msg.yiaddr, now + max(seconds, LITTLE_S) * SECOND
        self._hold(now)
        return [Bound(msg, new), *([Exit(0)] if self.options.quit else [])]

    def _refused(self, msg: Message, now: int) -> list[Action]:
        configured = self.holds
        self.state, self.sent, self.address, self.began = INIT, 0, 0, None
        self._later(now, NAK_PAUSE_S)
        return [Say("received DHCP NAK"), Told("nak", msg), *([Deconfigured()] if configured else [])]

    def checked(self, in_use: bool, now: int) -> list[Action]:
        """Hear what ARP said of the address."""
        assert self.offer is not None
        if not in_use:
            return self._bound(self.offer, now)
        wish = {m.REQUESTED: _four(self.address), m.SERVER_ID: _four(self.server)}
        decline = self._message(m.DECLINE, now, wish, bare=True)
        self.state, self.sent, self.address, self.began = INIT, 0, 0, None
        self._later(now, self.options.again_s)
        found = Say("offered address is in use (got ARP reply), declining")
        return [found, Say("broadcasting decline"), Send(decline)]

    def release(self, now: int) -> list[Action]:
        """Give the address back, if there is one."""
        actions: list[Action] = []
        if self.holds:
            mine, theirs = IPv4Address(self.address), IPv4Address(self.server)
            gone = self._message(m.RELEASE, now, {m.SERVER_ID: _four(self.server)}, ciaddr=self.address, bare=True)
            said = Say(f"unicasting a release of {mine} to {theirs}")
            actions = [said, Say("sending release"), Send(gone, self.address, self.server)]
        self.state, self.due = RELEASED, None
        return [*actions, Say("entering released state"), Deconfigured()]

    # -- messages ---------------------------------------------------------------------------------------------------

    def _message(self, kind: int, now: int, wish: dict[int, bytes], ciaddr: int = 0, bare: bool = False) -> Message:
        """In busybox's order: type, wishes, then what it always says."""
        self.began = now if self.began is None else self.began
        options = {m.TYPE: bytes((kind,)), **wish}
        if not bare:
            options[m.MAX_SIZE] = MAX_MESSAGE.to_bytes(2, "big")
            options[m.WANTED] = self.options.wanted
        own = {m.VENDOR: self.options.vendor, **self.options.extra} if not bare else {}
        options |= dict(sorted({**own, m.CLIENT_ID: self.options.client}.items()))
        flags = m.BROADCAST_FLAG if self.options.broadcast and not bare else 0
        secs = min((now - self.began) // SECOND, 0xFFFF)
        return Message(1, self.xid, self.mac, {k: v for k, v in options.items() if v}, secs, flags, ciaddr)


def lease_time(msg: Message) -> int:
    """How long a lease is for, in seconds."""
    return msg.number(m.LEASE_TIME) if m.LEASE_TIME in msg.options else DEFAULT_LEASE_S


def _four(number: int) -> bytes:
    return number.to_bytes(4, "big")
