"""What a DHCP server is told (ranges, reservations, options) and what it remembers: leases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

FOREVER = 0xFFFF_FFFF
"""A lease time without end (RFC 2131 section 3.3)."""


@dataclass(frozen=True)
class Range:
    """Addresses to give out, inclusive; *mask* 0 is the interface's own."""

    first: int
    last: int
    lease_s: int = 3600
    mask: int = 0
    static: bool = False
    """Only reserved addresses are given from here."""

    def holds(self, address: int) -> bool:
        """Whether an address is in the range."""
        return not self.static and self.first <= address <= self.last


@dataclass(frozen=True)
class Reservation:
    """What is kept for one client, known by its MAC or its client identifier (or both: either will do)."""

    macs: frozenset[bytes] = frozenset()
    client: bytes = b""
    address: int = 0
    name: str = ""
    lease_s: int = 0
    ignore: bool = False

    def fits(self, mac: bytes, client: bytes) -> bool:
        """Whether it is for this client."""
        return mac in self.macs or bool(self.client and self.client == client)


@dataclass
class Config:
    """A server's configuration; option values by number: those a client asks for, and those it gets in any case."""

    ranges: list[Range] = field(default_factory=list)
    reservations: list[Reservation] = field(default_factory=list)
    options: dict[int, bytes] = field(default_factory=dict)
    forced: dict[int, bytes] = field(default_factory=dict)
    authoritative: bool = False
    ping: bool = True
    dns: bytes = b""
    """Not empty: the server is a name server too, and says so."""
    domain: bytes = b""


@dataclass
class Lease:
    """One address given to one client; *expires_s* is None for ever."""

    address: int
    mac: bytes
    client: bytes
    expires_s: int | None
    name: str = ""


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
