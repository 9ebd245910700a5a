"""A DHCP server's rules, as dnsmasq 2.90 has them (src/rfc2131.c, src/dhcp.c), checked against the real one.

`Server.receive` answers a message with what to send and what to log; before it offers an address that nobody has it may
ask for an ICMP probe first (`Probe`), and hears of the outcome through `probed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TypeAlias

from simvlan.dhcp import message as m
from simvlan.dhcp.asking import Asker, Interface, asker
from simvlan.dhcp.leases import FOREVER, Config, Lease, Leases, Range, Reservation
from simvlan.dhcp.message import Message
from simvlan.dhcp.options import DEFAULTED, chosen
from simvlan.dhcp.tags import has

PROBE_CACHE_S = 30
"""PING_CACHE_TIME: an address found free is not probed again for so long."""
LEAST_LEASE_S = 120
"""A client that asks for less gets this."""
INTERNAL = frozenset((m.MAX_SIZE, m.T1, m.T2))
"""Options that are never sent as they were configured."""


@dataclass(frozen=True)
class Reply:
    """A message to send: to the relay, to an address the client has, to its MAC, or to everybody."""

    message: Message


@dataclass(frozen=True)
class Log:
    """A line for the server's log; *fault*: it tells what went wrong."""

    text: str
    fault: bool = True


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
        return self._answer(msg, dev, now_s)

    def _answer(self, msg: Message, dev: Interface, now_s: int) -> list[Action]:
        rules = {m.DISCOVER: self._discover, m.REQUEST: self._request, m.RELEASE: self._release,
                 m.DECLINE: self._decline, m.INFORM: self._inform}  # fmt: skip
        rule = rules.get(msg.type)
        if rule is None or msg.op != 1:
            return []
        it = asker(self.config, self.leases, msg, dev)
        if not it.ranges:
            via = f"via {IPv4Address(msg.giaddr)}" if msg.giaddr else f"via {dev.name}"
            via = f"with subnet selector {IPv4Address(it.link)}" if it.link else via
            return [Log(f"no address range available for DHCP request {via}")]
        if msg.type in (m.DISCOVER, m.REQUEST, m.INFORM) and self._ignores(it):
            said = _log(it, it.msg.ciaddr if msg.type == m.INFORM else it.msg.number(m.REQUESTED), "ignored")
            return [] if msg.type == m.REQUEST else [said]
        return rule(it, now_s)

    def _ignores(self, it: Asker) -> bool:
        named = any(has(each, it.all_tags) for each in self.config.ignored)
        return named or (it.kept is not None and it.kept.ignore)

    # -- messages ---------------------------------------------------------------------------------------------------

    def _discover(self, it: Asker, now_s: int) -> list[Action]:
        choice = self._choose(it, now_s)
        if isinstance(choice, Probe):
            return [choice]
        asked = it.msg.number(m.REQUESTED)
        if choice is None:
            return [_log(it, asked, "no address available")]
        found = it.range_of(choice)
        return [_log(it, asked), *(self._give(m.OFFER, it, found, choice) if found is not None else ())]

    def _choose(self, it: Asker, now_s: int) -> int | Probe | None:
        """The address to offer: reserved, leased before, asked for, or the first free one behind the hash."""
        kept, mine = it.kept, it.lease
        if kept is not None and kept.address and kept.address != it.router and self._may_have(kept, mine):
            return kept.address
        if mine is not None and it.open(mine.address) and not self._kept(mine.address):
            return mine.address
        asked = it.msg.number(m.REQUESTED)
        if asked and it.open(asked) and self._unused(asked) and asked not in self.used:
            return asked if self._is_free(asked, now_s) else Probe(asked)
        return self._allocate(it, now_s)

    def _may_have(self, kept: Reservation, mine: Lease | None) -> bool:
        """Whether a reserved address is not another's: one of the client's other MACs may have it."""
        holder = self.leases.by_address.get(kept.address)
        return holder is None or holder is mine or holder.mac in kept.macs

    def _allocate(self, it: Asker, now_s: int) -> int | Probe | None:
        """From ranges that want the client's tags first, then from those that want none (address_allocate)."""
        for plain in (False, True):
            for each in it.ranges:
                if not each.static and has(each.wanted, it.all_tags, plain):
                    found = self._search(it, each, now_s)
                    if found is not None:
                        return found
        return None

    def _search(self, it: Asker, found: Range, now_s: int) -> int | Probe | None:
        size = 1 + found.last - found.first
        start = self._start(it, found) - found.first
        for step in range(size):
            address = found.first + (start + step) % size
            if address != it.router and self._unused(address) and address not in self.used and _fit(address):
                return address if self._is_free(address, now_s) else Probe(address)
        return None

    def _start(self, it: Asker, found: Range) -> int:
        """Where the search begins: a hash of the MAC, or the highest lease (--dhcp-sequential-ip)."""
        if self.config.in_order:
            return max((each for each in self.leases.by_address if found.holds(each)), default=found.first)
        return place(it.msg.chaddr, found.first, found.last, self.epochs.get(found.first, 0))

    def _unused(self, address: int) -> bool:
        return address not in self.leases.by_address and not self._kept(address)

    def _kept(self, address: int) -> Reservation | None:
        """For whom an address is reserved."""
        return next((each for each in reversed(self.config.reservations) if each.address == address), None)

    def _is_free(self, address: int, now_s: int) -> bool:
        return not self.config.ping or self.free.get(address, -1) >= now_s

    def _request(self, it: Asker, now_s: int) -> list[Action]:
        msg = it.msg
        server = msg.number(m.SERVER_ID)
        address = msg.number(m.REQUESTED) if m.REQUESTED in msg.options else msg.ciaddr
        if server and server != it.server_id:
            return []  # the client took another server's offer
        if server and it.lease is not None and it.lease.address != address:
            del self.leases.by_address[it.lease.address]
            it.lease = None
        if not server and self._silent(it):
            return []
        log = _log(it, address)
        found = it.range_of(address)
        fault = self._fault(it, found, address, selecting=bool(server))
        if fault or found is None:
            return [log, *_refuse(it, address, fault)]
        return [log, *self._lease(it, found, address, now_s), *self._give(m.ACK, it, found, address)]

    def _silent(self, it: Asker) -> bool:
        """Whether nothing is said to who asks for what it may have from another server (RFC 2131, 4.3.2)."""
        if m.REQUESTED in it.msg.options:
            return it.lease is None and not self.config.authoritative
        return bool(self._fault_of_lease(it, it.msg.ciaddr)) and not it.dev.unicast

    def _fault(self, it: Asker, found: Range | None, address: int, selecting: bool) -> str:
        """Why a request is refused; empty when it is granted."""
        kept, lease = it.kept, it.lease
        said = "" if selecting else self._fault_of_lease(it, address)
        if said:
            return said
        if found is None:
            return "wrong network"
        if it.open(address) is None and (kept is None or kept.address != address):
            return "address not available"
        if not selecting and kept is not None and kept.address not in (0, address) and self._open(kept.address, lease):
            return "static lease available"
        reserved = self._kept(address)
        if reserved is not None and reserved is not kept:
            return "address reserved"
        return self._taken(it, address)

    def _fault_of_lease(self, it: Asker, address: int) -> str:
        if it.lease is None:
            return "" if self.config.authoritative else "lease not found"
        other = it.lease.address != address
        return ("lease not found" if it.msg.ciaddr else "wrong address") if other else ""

    def _taken(self, it: Asker, address: int) -> str:
        holder = self.leases.by_address.get(address)
        if it.lease is None and holder is not None and not (it.kept is not None and holder.mac in it.kept.macs):
            return "address in use"
        full = it.lease is None and holder is None and len(self.leases.by_address) >= self.config.most
        return "no leases left" if full else ""

    def _open(self, address: int, lease: Lease | None) -> bool:
        return self.leases.by_address.get(address) in (None, lease)

    def _lease(self, it: Asker, found: Range, address: int, now_s: int) -> list[Action]:
        """Give an address: who has another domain than the server's is told that nobody will know of it."""
        seconds = self._seconds(it, found)
        expires = None if seconds == FOREVER else now_s + seconds
        lease = self.leases.by_address[address] = Lease(address, it.msg.chaddr, it.msg.client, expires)
        listed = "" if it.given else self.config.names.get(address, "")  # goes before its own (host_from_dns)
        name, own, tags = listed or it.name, not (it.given or listed), self._tags(it, found)
        if name and not (own and any(has(each, tags, True) for each in self.config.no_names)):
            self.leases.name(lease, name, own)
            if own and it.domain and it.domain.lower() != self.config.domain.decode().lower():
                return [Log(f"Ignoring domain {it.domain} for DHCP host name {it.name}")]
        return []

    def _tags(self, it: Asker, found: Range) -> set[str]:
        """A client's tags, its range's among them."""
        return self.config.with_ifs(it.tags | {found.tag}) if found.tag else it.all_tags

    def _seconds(self, it: Asker, found: Range) -> int:
        """How long a lease lasts: as configured, or shorter as the client asks."""
        most = it.kept.lease_s if it.kept is not None and it.kept.lease_s else found.lease_s
        asked = it.msg.number(m.LEASE_TIME)
        return min(most, max(asked, LEAST_LEASE_S)) if asked else most

    def _release(self, it: Asker, now_s: int) -> list[Action]:
        msg = it.msg
        if msg.number(m.SERVER_ID) != it.server_id:
            return []
        known = it.lease is not None and it.lease.address == msg.ciaddr
        if known:
            del self.leases.by_address[msg.ciaddr]
        return [_log(it, msg.ciaddr, "" if known else "unknown lease")]

    def _decline(self, it: Asker, now_s: int) -> list[Action]:
        if it.msg.number(m.SERVER_ID) != it.server_id:
            return []
        address = it.msg.number(m.REQUESTED)
        if it.lease is not None and it.lease.address == address:
            del self.leases.by_address[address]
        self.free.pop(address, None)
        for each in it.ranges:
            self.epochs[each.first] = self.epochs.get(each.first, 0) + 1
        return [_log(it, address, "")]

    def _inform(self, it: Asker, now_s: int) -> list[Action]:
        msg = it.msg
        found = it.range_of(msg.ciaddr) or it.ranges[0]
        reply = Message(2, msg.xid, msg.chaddr, self._options(m.ACK, it, found, 0), flags=msg.flags,
                        ciaddr=msg.ciaddr, siaddr=it.dev.address, giaddr=msg.giaddr, hops=msg.hops)  # fmt: skip
        return [_log(it, msg.ciaddr), _log(it, msg.ciaddr, kind=m.ACK), Reply(reply)]

    # -- replies ----------------------------------------------------------------------------------------------------

    def _give(self, kind: int, it: Asker, found: Range, address: int) -> list[Action]:
        msg, tags = it.msg, self._tags(it, found)
        loud = any(has(each, tags, True) for each in self.config.broadcast)
        reply = Message(
            2, msg.xid, msg.chaddr, self._options(kind, it, found, address), msg.secs,
            msg.flags | (m.BROADCAST_FLAG if loud else 0), msg.ciaddr, address, it.dev.address, msg.giaddr, msg.hops,
        )  # fmt: skip
        lease = self.leases.by_address.get(address)
        return [_log(it, address, lease.name if lease and kind == m.ACK else "", kind), Reply(reply)]

    def _options(self, kind: int, it: Asker, found: Range, address: int) -> dict[int, bytes]:
        """In dnsmasq's order: identity, times, what it always says, what was configured, what the relay said."""
        told = chosen(self.config.options, self.config.with_ifs(it.tags), self._tags(it, found))
        own = {each.code: each.told(it.dev.address) for each in told}
        seconds = self._seconds(it, found)
        made = {m.TYPE: bytes((kind,)), m.SERVER_ID: _four(it.server_id)}
        made |= {m.LEASE_TIME: _four(seconds)} if address else {}
        made |= {m.SUBNET: _four(it.link)} if it.link else {}
        made |= _renewals(seconds, own) if address and seconds != FOREVER else {}
        asked = it.msg.options.get(m.WANTED, b"")
        made |= {code: value for code, value in self._usual(kind, it, found, address).items()
                 if value and code not in own and code in (m.MASK, m.BROADCAST, *asked)}  # fmt: skip
        for each in told:
            wanted = (each.forced or each.code in asked) and each.code not in INTERNAL
            if wanted and (own[each.code] or each.code not in DEFAULTED):
                made[each.code] = own[each.code]
        return made | ({m.AGENT: it.msg.options[m.AGENT]} if m.AGENT in it.msg.options else {})

    def _usual(self, kind: int, it: Asker, found: Range, address: int) -> dict[int, bytes]:
        """What is said without configuration: mask and broadcast address always, the rest to who asks."""
        end = found.broadcast or found.first & found.mask | ~found.mask & 0xFFFF_FFFF
        return {m.MASK: _four(found.mask), m.BROADCAST: _four(end), m.ROUTER: _four(it.router),
                m.DNS: self.config.dns and _four(it.dev.address), m.DOMAIN: self.config.domain,
                m.HOSTNAME: self._name(kind, it, address)}  # fmt: skip

    def _name(self, kind: int, it: Asker, address: int) -> bytes:
        """The name that is kept for the client (not in an offer where it said another), or that its lease has."""
        lease = self.leases.by_address.get(address)
        if kind == m.ACK:
            return lease.name.encode() if lease is not None else b""
        return it.name.encode() if it.given and it.own_name.lower() in ("", it.name.lower()) else b""


def _renewals(seconds: int, own: dict[int, bytes]) -> dict[int, bytes]:
    """When to renew and to rebind: half and seven eighths of the time, or as configured where that is within it."""
    times = {m.T1: seconds // 2, m.T2: seconds * 7 // 8}
    for code in times:
        said = int.from_bytes(own.get(code, b""), "big")
        times[code] = said if 2 < said < seconds else times[code]
    times[m.T1] = min(times[m.T1], times[m.T2] - 1)
    return {code: _four(time) for code, time in times.items()}


def _refuse(it: Asker, address: int, why: str) -> list[Action]:
    """A NAK: to everybody (through the relay where there is one), or to who asks from another network by itself."""
    msg, here = it.msg, it.dev
    options = {m.TYPE: bytes((m.NAK,)), m.SERVER_ID: _four(it.server_id), m.TEXT: why.encode()}
    options |= {m.AGENT: msg.options[m.AGENT]} if m.AGENT in msg.options else {}
    near = not msg.ciaddr or (msg.ciaddr ^ here.address) & here.mask == 0
    wide = not here.unicast or msg.giaddr or near or why in ("wrong network", "lease not found")
    flags, ciaddr = (msg.flags | m.BROADCAST_FLAG, 0) if wide else (msg.flags, msg.ciaddr)
    reply = Message(2, msg.xid, msg.chaddr, options, msg.secs, flags, ciaddr, giaddr=msg.giaddr, hops=msg.hops)
    return [_log(it, address, why, m.NAK), Reply(reply)]


def _fit(address: int) -> bool:
    """Whether an address will do for everybody: Windows takes none of class C that ends in 0 or 255."""
    return not (address >> 29 == 6 and address & 255 in (0, 255))


def _four(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _log(it: Asker, address: int, note: str = "", kind: int = 0) -> Log:
    where = f"{IPv4Address(address)} " if address else ""
    fault = bool(note) and kind != m.ACK
    return Log(f"{m.NAMES[kind or it.msg.type]}({it.dev.name}) {where}{it.msg.chaddr.hex(':')} {note}", fault)
