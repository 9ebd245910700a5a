"""A DHCP server's rules, as dnsmasq 2.90 has them (src/rfc2131.c, src/dhcp.c), checked against the real one.

`Server.receive` answers a message with what to send and what to log; before it offers an address that nobody has it may
ask for an ICMP probe first (`Probe`), and hears of the outcome through `probed`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TypeAlias

from simvlan.dhcp import message as m
from simvlan.dhcp.leases import FOREVER, Config, Lease, Leases, Range, Reservation
from simvlan.dhcp.message import Message

PROBE_CACHE_S = 30
"""PING_CACHE_TIME: an address found free is not probed again for so long."""
LEAST_LEASE_S = 120
"""A client that asks for less gets this."""


@dataclass(frozen=True)
class Interface:
    """Where a message came in: the device's name, address and mask."""

    name: str
    address: int
    mask: int


@dataclass(frozen=True)
class Reply:
    """A message to send: to the relay, to an address the client has, to its MAC, or to everybody."""

    message: Message


@dataclass(frozen=True)
class Log:
    """A line for the server's log."""

    text: str


@dataclass(frozen=True)
class Probe:
    """Ping an address and say through `probed` whether somebody answered; other messages wait meanwhile."""

    address: int


Action: TypeAlias = "Reply | Log | Probe"


def place(mac: bytes, first: int, last: int, epoch: int = 0) -> int:
    """Where in a range dnsmasq begins to look for a client's address: a hash of its MAC."""
    value = 0
    for octet in mac:
        value = (octet + (value << 6) + (value << 16) - value) & 0xFFFF_FFFF
    return first + ((value or 1) + epoch & 0xFFFF_FFFF) % (1 + last - first)


class Server:
    """One server: its configuration, its leases, and what it found free."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.leases = Leases()
        self.epochs: dict[int, int] = {}
        """By range, counted up by declines, so that a client gets another address next time."""
        self.free: dict[int, int] = {}
        """Addresses that nobody answered for, and until when that is believed."""
        self.used: set[int] = set()
        """Addresses somebody answered for, in the search that is going on."""

    def receive(self, msg: Message, dev: Interface, now_s: int) -> list[Action]:
        """Answer a client's message."""
        self.leases.prune(now_s)
        self.used.clear()
        return self._answer(msg, dev, now_s)

    def probed(self, msg: Message, dev: Interface, address: int, answered: bool, now_s: int) -> list[Action]:
        """Go on with the message that a `Probe` was about."""
        if answered:
            self.used.add(address)
        else:
            self.free[address] = now_s + PROBE_CACHE_S
        return self._answer(msg, dev, now_s, again=True)

    def _answer(self, msg: Message, dev: Interface, now_s: int, again: bool = False) -> list[Action]:
        rules = {m.DISCOVER: self._discover, m.REQUEST: self._request, m.RELEASE: self._release,
                 m.DECLINE: self._decline, m.INFORM: self._inform}  # fmt: skip
        rule = rules.get(msg.type)
        found = self._range(msg, dev)
        msg = self._named(msg)
        if rule is None or msg.op != 1:
            return []
        if found is None:
            via = f"{IPv4Address(msg.giaddr)}" if msg.giaddr else dev.name
            return [Log(f"no address range available for DHCP request via {via}")]
        reserved = self.reservation(msg)
        if reserved is not None and reserved.ignore:
            return [_log(msg, dev, msg.number(m.REQUESTED), "ignored")]
        return rule(msg, dev, found, now_s)

    def _named(self, msg: Message) -> Message:
        """A client that says no identifier is taken for the one that its lease has."""
        lease = self.leases.of(msg.chaddr, msg.client)
        if msg.client or lease is None or not lease.client:
            return msg
        return replace(msg, options={**msg.options, m.CLIENT_ID: lease.client})

    def reservation(self, msg: Message) -> Reservation | None:
        """What is kept for a client: by client identifier first, then by MAC."""
        kept = self.config.reservations
        by_client = (each for each in kept if each.client and each.client == msg.client)
        return next(by_client, None) or next((each for each in kept if msg.chaddr in each.macs), None)

    def _range(self, msg: Message, dev: Interface) -> Range | None:
        """The range on the client's subnet: the relay's, or the interface's own."""
        here = msg.giaddr or msg.ciaddr or dev.address
        for each in self.config.ranges:
            mask = each.mask or dev.mask
            if each.first & mask == here & mask:
                return replace(each, mask=mask)
        return None

    # -- messages ---------------------------------------------------------------------------------------------------

    def _discover(self, msg: Message, dev: Interface, found: Range, now_s: int) -> list[Action]:
        choice = self._choose(msg, dev, found, now_s)
        if isinstance(choice, Probe):
            return [choice]
        asked = msg.number(m.REQUESTED)
        if choice is None:
            return [_log(msg, dev, asked, "no address available")]
        log = _log(msg, dev, asked)
        return [log, *self._give(m.OFFER, msg, dev, found, choice)]

    def _choose(self, msg: Message, dev: Interface, found: Range, now_s: int) -> int | Probe | None:
        """The address to offer: reserved, leased before, asked for, or the first free one behind the hash."""
        kept = self.reservation(msg)
        mine = self.leases.of(msg.chaddr, msg.client)
        if kept is not None and kept.address and kept.address & found.mask == found.first & found.mask:
            holder = self.leases.by_address.get(kept.address)
            if holder is None or holder is mine:
                return kept.address
        if mine is not None and found.holds(mine.address) and not self._kept(mine.address, kept):
            return mine.address
        asked = msg.number(m.REQUESTED)
        if asked and found.holds(asked) and self._unused(asked, dev) and asked not in self.used:
            return asked if self._is_free(asked, now_s) else Probe(asked)
        return self._allocate(msg, dev, found, now_s)

    def _allocate(self, msg: Message, dev: Interface, found: Range, now_s: int) -> int | Probe | None:
        if found.static:
            return None
        size = 1 + found.last - found.first
        start = place(msg.chaddr, found.first, found.last, self.epochs.get(found.first, 0)) - found.first
        for step in range(size):
            address = found.first + (start + step) % size
            if self._unused(address, dev) and address not in self.used:
                return address if self._is_free(address, now_s) else Probe(address)
        return None

    def _unused(self, address: int, dev: Interface) -> bool:
        return address != dev.address and address not in self.leases.by_address and not self._kept(address, None)

    def _kept(self, address: int, own: Reservation | None) -> bool:
        """Whether an address is reserved, for somebody else than *own*."""
        return any(each.address == address and each is not own for each in self.config.reservations)

    def _is_free(self, address: int, now_s: int) -> bool:
        return not self.config.ping or self.free.get(address, -1) >= now_s

    def _request(self, msg: Message, dev: Interface, found: Range, now_s: int) -> list[Action]:
        server, lease = msg.number(m.SERVER_ID), self.leases.of(msg.chaddr, msg.client)
        address = msg.number(m.REQUESTED) if m.REQUESTED in msg.options else msg.ciaddr
        if server and server != dev.address:
            return []  # the client took another server's offer
        if server and lease is not None and lease.address != address:
            del self.leases.by_address[lease.address]
            lease = None
        if not server and lease is None and not self.config.authoritative and not msg.ciaddr:
            return []  # RFC 2131 4.3.2: a server that knows nothing of the client stays silent
        log = _log(msg, dev, address)
        fault = self._fault(msg, found, lease, address, selecting=bool(server))
        if fault:
            return [log, *_refuse(msg, dev, address, fault)]
        self._lease(msg, found, address, now_s)
        return [log, *self._give(m.ACK, msg, dev, found, address)]

    def _fault(self, msg: Message, found: Range, lease: Lease | None, address: int, selecting: bool) -> str:
        """Why a request is refused; empty when it is granted."""
        kept, holder = self.reservation(msg), self.leases.by_address.get(address)
        if not selecting and lease is None and not self.config.authoritative:
            return "lease not found"
        if address & found.mask != found.first & found.mask:
            return "wrong network"
        if not selecting and lease is not None and lease.address != address:
            return "wrong address"
        if not found.holds(address) and (kept is None or kept.address != address):
            return "address not available"
        if kept is not None and kept.address and kept.address != address and self._open(kept.address, lease):
            return "static lease available"
        if self._kept(address, kept):
            return "address reserved"
        return "address in use" if lease is None and holder is not None else ""

    def _open(self, address: int, lease: Lease | None) -> bool:
        return self.leases.by_address.get(address) in (None, lease)

    def _lease(self, msg: Message, found: Range, address: int, now_s: int) -> None:
        seconds = self._seconds(msg, found)
        expires = None if seconds == FOREVER else now_s + seconds
        kept = self.reservation(msg)
        said = msg.options.get(m.HOSTNAME, b"").decode("ascii", "replace")
        name = kept.name if kept is not None and kept.name else said
        self.leases.by_address[address] = Lease(address, msg.chaddr, msg.client, expires, name)

    def _seconds(self, msg: Message, found: Range) -> int:
        """How long a lease lasts: as configured, or shorter as the client asks."""
        kept = self.reservation(msg)
        most = kept.lease_s if kept is not None and kept.lease_s else found.lease_s
        asked = msg.number(m.LEASE_TIME)
        return min(most, max(asked, LEAST_LEASE_S)) if asked else most

    def _release(self, msg: Message, dev: Interface, found: Range, now_s: int) -> list[Action]:
        lease = self.leases.of(msg.chaddr, msg.client)
        if msg.number(m.SERVER_ID) != dev.address:
            return []
        known = lease is not None and lease.address == msg.ciaddr
        if known:
            del self.leases.by_address[msg.ciaddr]
        return [_log(msg, dev, msg.ciaddr, "" if known else "unknown lease")]

    def _decline(self, msg: Message, dev: Interface, found: Range, now_s: int) -> list[Action]:
        if msg.number(m.SERVER_ID) != dev.address:
            return []
        address, lease = msg.number(m.REQUESTED), self.leases.of(msg.chaddr, msg.client)
        if lease is not None and lease.address == address:
            del self.leases.by_address[address]
        self.free.pop(address, None)
        self.epochs[found.first] = self.epochs.get(found.first, 0) + 1
        return [_log(msg, dev, address, "")]

    def _inform(self, msg: Message, dev: Interface, found: Range, now_s: int) -> list[Action]:
        options = self._options(m.ACK, msg, dev, found, 0)
        reply = Message(2, msg.xid, msg.chaddr, options, flags=msg.flags, ciaddr=msg.ciaddr, siaddr=dev.address,
                        giaddr=msg.giaddr, hops=msg.hops)  # fmt: skip
        return [_log(msg, dev, msg.ciaddr), _log(msg, dev, msg.ciaddr, kind=m.ACK), Reply(reply)]

    # -- replies ----------------------------------------------------------------------------------------------------

    def _give(self, kind: int, msg: Message, dev: Interface, found: Range, address: int) -> list[Action]:
        options = self._options(kind, msg, dev, found, address)
        reply = Message(
            2, msg.xid, msg.chaddr, options, msg.secs, msg.flags, msg.ciaddr, address, dev.address, msg.giaddr,
            msg.hops,
        )  # fmt: skip
        lease = self.leases.by_address.get(address)
        return [_log(msg, dev, address, lease.name if lease and kind == m.ACK else "", kind), Reply(reply)]

    def _options(self, kind: int, msg: Message, dev: Interface, found: Range, address: int) -> dict[int, bytes]:
        """In dnsmasq's order: identity, times, then what was asked for."""
        seconds = self._seconds(msg, found)
        made = {m.TYPE: bytes((kind,)), m.SERVER_ID: _four(dev.address)}
        if address:
            made[m.LEASE_TIME] = _four(seconds)
            if seconds != FOREVER:
                made |= {m.T1: _four(seconds // 2), m.T2: _four(seconds * 7 // 8)}
        wanted = msg.options.get(m.WANTED, b"")
        usual = {m.MASK: _four(found.mask), m.BROADCAST: _four(found.first & found.mask | ~found.mask & 0xFFFF_FFFF)}
        usual |= {m.ROUTER: _four(msg.giaddr or dev.address), m.DNS: self.config.dns and _four(dev.address)}
        usual |= {m.DOMAIN: self.config.domain, m.HOSTNAME: self._name(kind, msg, address)}
        own = self.config.options
        made |= {code: value for code, value in usual.items() if code in wanted and value and code not in own}
        told = {code: own[code] for code in reversed(own) if code in wanted and (own[code] or code not in usual)}
        return {**made, **told, **self.config.forced}

    def _name(self, kind: int, msg: Message, address: int) -> bytes:
        """The name that is kept for the client, or that it gave and its lease has."""
        kept, lease = self.reservation(msg), self.leases.by_address.get(address)
        if kept is not None and kept.name:
            return kept.name.encode()
        return lease.name.encode() if lease is not None and kind == m.ACK else b""


def _refuse(msg: Message, dev: Interface, address: int, why: str) -> list[Action]:
    """A NAK: nobody's address, to everybody (through the relay where there is one)."""
    options = {m.TYPE: bytes((m.NAK,)), m.SERVER_ID: _four(dev.address), m.TEXT: why.encode()}
    flags = msg.flags | m.BROADCAST_FLAG
    reply = Message(2, msg.xid, msg.chaddr, options, msg.secs, flags, giaddr=msg.giaddr, hops=msg.hops)
    return [_log(msg, dev, address, why, m.NAK), Reply(reply)]


def _four(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _log(msg: Message, dev: Interface, address: int, note: str = "", kind: int = 0) -> Log:
    where = f"{IPv4Address(address)} " if address else ""
    return Log(f"{m.NAMES[kind or msg.type]}({dev.name}) {where}{msg.chaddr.hex(':')} {note}")
