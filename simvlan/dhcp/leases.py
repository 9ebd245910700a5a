"""What a DHCP server is told (ranges, reservations, options) and what it remembers: leases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from simvlan.dhcp.options import Option
from simvlan.dhcp.tags import Pattern, Source, TagIf, fits

FOREVER = 0xFFFF_FFFF
"""A lease time without end (RFC 2131 section 3.3)."""


@dataclass(frozen=True)
class Range:
    """Addresses to give out, inclusive; *mask* 0 is the interface's own.

    Attributes:
        static: only reserved addresses are given from here.
        wanted: the tags a client must have.
        tag: what a client with an address from here has.
        broadcast: the network's broadcast address, 0 where it follows from the mask.
    """

    first: int
    last: int
    lease_s: int = 3600
    mask: int = 0
    static: bool = False
    wanted: tuple[str, ...] = ()
    tag: str = ""
    broadcast: int = 0

    def holds(self, address: int) -> bool:
        """Whether an address is in the range."""
        return not self.static and self.first <= address <= self.last

    def near(self, address: int) -> bool:
        """Whether an address is on the range's network."""
        return address & self.mask == self.first & self.mask == self.last & self.mask


@dataclass(frozen=True)
class Reservation:
    """What is kept for one client, known by its MAC, its client identifier, or its name (any will do).

    Attributes:
        patterns: MACs with octets left open.
        nameless: its client identifier is passed over (`id:*`).
        sets: the tags it is given.
        wanted: the tags it must have.
    """

    macs: frozenset[bytes] = frozenset()
    client: bytes = b""
    address: int = 0
    name: str = ""
    lease_s: int = 0
    ignore: bool = False
    patterns: tuple[Pattern, ...] = ()
    nameless: bool = False
    sets: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()

    def named(self, client: bytes) -> bool:
        """Whether it is for this client identifier; dhcpcd puts a zero before text."""
        return bool(self.client) and client in (self.client, b"\0" + self.client)

    def closeness(self, mac: bytes) -> int:
        """How many octets of a MAC it names, where it leaves others open; 0: it does not fit."""
        return max((sum(each is not None for each in one) for one in self.patterns if fits(one, mac)), default=0)


@dataclass
class Config:
    """A server's configuration.

    Attributes:
        dns: not empty: the server is a name server too, and says so.
        sources: where clients get tags from.
        ignored: tags of clients that are not served.
        broadcast: tags of clients that are answered by broadcasts; (): of all.
        no_names: tags of clients whose own names are passed over; (): of all.
        no_ids: client identifiers are passed over.
        in_order: addresses are given in order, not by a hash of the client's MAC.
        most: leases there are at most.
        names: what the name server beside it calls addresses, domains that are not the server's own left out.
    """

    ranges: list[Range] = field(default_factory=list)
    reservations: list[Reservation] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)
    authoritative: bool = False
    ping: bool = True
    dns: bytes = b""
    domain: bytes = b""
    sources: list[Source] = field(default_factory=list)
    tag_ifs: list[TagIf] = field(default_factory=list)
    ignored: list[tuple[str, ...]] = field(default_factory=list)
    broadcast: list[tuple[str, ...]] = field(default_factory=list)
    no_names: list[tuple[str, ...]] = field(default_factory=list)
    no_ids: bool = False
    in_order: bool = False
    most: int = 1000
    names: dict[int, str] = field(default_factory=dict)

    def with_ifs(self, tags: set[str]) -> set[str]:
        """Tags and those that follow from them, in the order of the configuration (run_tag_if)."""
        made = set(tags)
        for each in self.tag_ifs:
            made.update(each.sets if each.holds(made) else ())
        return made


@dataclass
class Lease:
    """One address given to one client; *expires_s* is None for ever."""

    address: int
    mac: bytes
    client: bytes
    expires_s: int | None
    name: str = ""
    kept_name: bool = False
    """The name is the server's, not the client's own."""


class Leases:
    """All of a server's leases, by address."""

    def __init__(self) -> None:
        self.by_address: dict[int, Lease] = {}

    def __iter__(self) -> Iterator[Lease]:
        """Newest first."""
        return reversed(self.by_address.values())

    def prune(self, now_s: int) -> None:
        """Forget what has expired."""
        for lease in list(self.by_address.values()):
            if lease.expires_s is not None and lease.expires_s <= now_s:
                del self.by_address[lease.address]

    def name(self, lease: Lease, name: str, own: bool) -> None:
        """Call a lease by a name that no other has: one that is kept for somebody (not *own*) stays his."""
        for each in self.by_address.values():
            if each is not lease and each.name.lower() == name.lower() and name:
                if each.kept_name and own:
                    return
                each.name = ""
        lease.name, lease.kept_name = name, not own

    def of(self, mac: bytes, client: bytes) -> Lease | None:
        """A client's lease: by its identifier; by its MAC only where either side has no identifier."""
        newest = list(self)
        for lease in newest:
            if client and lease.client == client:
                return lease
        for lease in newest:
            if lease.mac == mac and not (client and lease.client):
                return lease
        return None
