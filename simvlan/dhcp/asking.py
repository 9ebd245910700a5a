"""Who asks a DHCP server, and from where: tags, what is kept for the client, its name (dnsmasq 2.90, dhcp_reply)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from simvlan.dhcp import message as m
from simvlan.dhcp.leases import Config, Lease, Leases, Range, Reservation
from simvlan.dhcp.message import Message
from simvlan.dhcp.tags import has


@dataclass(frozen=True)
class Interface:
    """Where a message came in: the device's name, address and mask; *unicast*: it was sent to the address."""

    name: str
    address: int
    mask: int
    unicast: bool = True


@dataclass
class Asker:
    """A client's message and what the server makes of it.

    Attributes:
        ranges: those on the client's network.
        server_id: how the server calls itself: another address where the relay says so.
        link: the network that a relay or the client named, 0 for none.
        tags: the client's own, those that follow from others left out.
        all_tags: all of them.
        name: what the client or its reservation calls it.
        given: the name is the server's, not the client's own.
    """

    msg: Message
    dev: Interface
    ranges: list[Range]
    server_id: int
    link: int = 0
    lease: Lease | None = None
    kept: Reservation | None = None
    tags: set[str] = field(default_factory=set)
    all_tags: set[str] = field(default_factory=set)
    name: str = ""
    given: bool = False

    @property
    def router(self) -> int:
        """Who the client's router is, as far as nobody says: the relay, or the server itself."""
        return self.msg.giaddr or self.dev.address

    @property
    def own_name(self) -> str:
        """What the client calls itself."""
        return client_name(self.msg)

    @property
    def domain(self) -> str:
        """Where the client says that it belongs."""
        return full_name(self.msg).partition(".")[2]

    def open(self, address: int) -> Range | None:
        """The range that an address may be given from (address_available)."""
        if address == self.router:
            return None
        fits = (each for each in self.ranges if each.holds(address) and has(each.wanted, self.all_tags, True))
        return next(fits, None)

    def range_of(self, address: int) -> Range | None:
        """The range that an address counts to: one without it where it was kept (narrow_context)."""
        near = [each for each in self.ranges if has(each.wanted, self.all_tags, True) and each.near(address)]
        statics = (each for each in near if each.static)
        return self.open(address) or next(statics, None) or next(iter(near), None)


def client_name(msg: Message) -> str:
    """A client's name for itself, without a domain; empty where it is no name."""
    return full_name(msg).partition(".")[0]


def full_name(msg: Message) -> str:
    """A client's name with its domain, as it says it."""
    text = msg.options.get(m.HOSTNAME, b"").rstrip(b"\0").decode("ascii", "replace")
    return text if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\.?", text) else ""


def asker(config: Config, leases: Leases, msg: Message, dev: Interface) -> Asker:
    """See who asks."""
    told = msg.agent
    override, link = (int.from_bytes(told.get(code, b""), "big") for code in (m.SERVER_OVERRIDE, m.LINK))
    if m.REQUESTED in msg.options or msg.type == m.DISCOVER:
        msg = replace(msg, ciaddr=0)
    msg, lease = _identified(config, leases, msg)
    link = link or msg.number(m.SUBNET)
    it = Asker(msg, dev, _ranges(config, msg, dev, link), override or dev.address, link, lease)
    name = client_name(msg)
    it.tags = {dev.name} | {each.tag for each in config.sources if each.kind != "name" and each.meets(msg, "")}
    it.kept = _kept(config, it, "")
    if it.kept is not None:
        it.tags.add("known")
    elif _kept(config, it, "", anywhere=True) is not None:
        it.tags.add("known-othernet")
    it.tags |= {each.tag for each in config.sources if each.kind == "name" and name and each.meets(msg, name)}
    _call(config, it, name)
    it.tags.update(it.kept.sets if it.kept is not None else ())
    it.all_tags = config.with_ifs(it.tags)
    if it.kept is not None and it.kept.nameless:
        it.msg = _without_id(it.msg)
    return it


def _identified(config: Config, leases: Leases, msg: Message) -> tuple[Message, Lease | None]:
    """The message and its client's lease; who says no identifier is taken for the one that its lease has."""
    if config.no_ids:
        msg = _without_id(msg)
    lease = leases.of(msg.chaddr, msg.client)
    if not msg.client and lease is not None and lease.client:
        msg = replace(msg, options={**msg.options, m.CLIENT_ID: lease.client})
    return msg, lease


def _without_id(msg: Message) -> Message:
    return replace(msg, options={code: value for code, value in msg.options.items() if code != m.CLIENT_ID})


def _ranges(config: Config, msg: Message, dev: Interface, link: int) -> list[Range]:
    """The ranges of the network that was named, of the client's address, or else of the interface."""
    masked = [_masked(each, dev) for each in config.ranges]
    here = [each for each in masked if each.near(dev.address)]
    where = link or msg.giaddr
    if where:
        return [each for each in masked if each.near(where)]
    there = [each for each in masked if msg.ciaddr and each.near(msg.ciaddr)]
    return here if any(each in here for each in there) else there or here


def _masked(each: Range, dev: Interface) -> Range:
    """A range with its mask: said, the interface's, or that of its class."""
    if each.mask:
        return each
    if each.first & dev.mask == dev.address & dev.mask == each.last & dev.mask:
        return replace(each, mask=dev.mask)
    kind = next((bits for top, bits in ((0x8000_0000, 8), (0xC000_0000, 16)) if each.first < top), 24)
    return replace(each, mask=0xFFFF_FFFF << (32 - kind) & 0xFFFF_FFFF)


def _call(config: Config, it: Asker, name: str) -> None:
    """Its name: what is kept, or its own; by which something may be kept too."""
    it.given = it.kept is not None and bool(it.kept.name)
    it.name = it.kept.name if it.kept is not None and it.given else name
    if it.kept is None and name:
        kept = _kept(config, it, name)
        if kept is not None and not (kept.client or kept.macs or kept.patterns):
            it.kept = kept
            it.tags.add("known")


def _kept(config: Config, it: Asker, name: str, anywhere: bool = False) -> Reservation | None:
    """What is kept for a client: first what wants tags, then the rest (find_config)."""
    tags = config.with_ifs(it.tags)
    here = [each for each in reversed(config.reservations) if anywhere or _in_reach(each, it.ranges)]
    for plain in (False, True):
        fits = [each for each in here if has(each.wanted, tags, plain)]
        found = _first(fits, it.msg, name)
        if found is not None:
            return found
    return None


def _first(kept: list[Reservation], msg: Message, name: str) -> Reservation | None:
    """By client identifier, then MAC, then name, then the closest pattern."""
    if name:
        return next((each for each in kept if each.name and each.name.lower() == name.lower()), None)
    by_client = (each for each in kept if msg.client and each.named(msg.client))
    by_mac = (each for each in kept if msg.chaddr in each.macs)
    closest = max(kept, key=lambda each: each.closeness(msg.chaddr), default=None)
    close = closest if closest is not None and closest.closeness(msg.chaddr) else None
    return next(by_client, None) or next(by_mac, None) or close


def _in_reach(kept: Reservation, ranges: Iterable[Range]) -> bool:
    """Whether its address, if it has one, is on the client's network."""
    return not kept.address or any(each.near(kept.address) for each in ranges)
