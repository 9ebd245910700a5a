"""Address management: pools, ip-ranges inside them, and who has which address. Mirrors libnetwork/ipams/defaultipam.

One allocator per engine, shared by all drivers: a bridge network's subnet stands in a macvlan network's way. All
networks that name the same subnet share one bitmap. Nothing here is stored: it is built again from the networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from simvlan.docker.errors import DockerError, forbidden, invalid

Prefix: TypeAlias = "IPv4Network | IPv6Network"
Address: TypeAlias = "IPv4Address | IPv6Address"

OVERLAP = "Pool overlaps with other one on this address space"
IN_USE = "Address already in use"
OUT_OF_RANGE = "requested address is out of range"
EXHAUSTED = "no available addresses on this pool"
FULLY_SUBNETTED = "all predefined address pools have been fully subnetted"

DEFAULT_POOLS: tuple[tuple[str, int], ...] = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
"""Where networks without a subnet get theirs: each block with the length of the pieces it is cut into."""


class NoAddressError(DockerError):
    """503: nothing free in the pool or its range."""

    def __init__(self) -> None:
        super().__init__(503, EXHAUSTED)


class Pool:
    """One subnet: which of its addresses are taken, and the ip-ranges networks asked for."""

    def __init__(self, subnet: Prefix, strict: bool = False) -> None:
        self.subnet = subnet
        self.reserved = _reserved(subnet, strict)
        self.base = int(subnet.network_address)
        self.size = subnet.num_addresses
        self.taken: set[int] = set(self.reserved)
        """Offsets into the subnet."""
        self.users: dict[Prefix | None, int] = {}
        """How many networks hold the subnet itself (None) or an ip-range of it."""
        self._floor: dict[Prefix | None, int] = {}
        """Per range, an offset below which nothing is free: the scan for the lowest hole begins there."""

    def span(self, sub: Prefix | None) -> tuple[int, int]:
        """First and last offset that may be handed out unasked; half of a large IPv6 subnet is left alone."""
        if sub is None:
            return 0, min(self.size, 1 << 63) - 1
        first = int(sub.network_address) - self.base
        return first, first + min(sub.num_addresses, 1 << 63) - 1

    def lowest(self, sub: Prefix | None) -> int:
        """Take the lowest free address, as an offset (bitmap.SetAnyInRange, never serial for local networks)."""
        first, last = self.span(sub)
        offset = max(first, self._floor.get(sub, first))
        while offset in self.taken:
            offset += 1
        self._floor[sub] = offset
        if offset > last:
            raise NoAddressError
        self.taken.add(offset)
        return offset

    def take(self, address: Address) -> None:
        """Take one address: anywhere in the subnet, ip-range or not."""
        if address not in self.subnet:
            raise invalid(OUT_OF_RANGE)
        offset = int(address) - self.base
        if offset in self.taken:
            raise forbidden(IN_USE)
        self.taken.add(offset)

    def give_back(self, address: Address) -> None:
        """Free an address; what the pool reserves for itself stays."""
        offset = int(address) - self.base
        if offset not in self.taken or offset in self.reserved:
            return
        self.taken.discard(offset)
        for sub, floor in self._floor.items():
            if self.span(sub)[0] <= offset < floor:
                self._floor[sub] = offset

    def address(self, offset: int) -> Address:
        """The address at an offset."""
        return ip_address(int(self.subnet.network_address) + offset) if self.subnet.version == 4 else IPv6Address(
            self.base + offset
        )  # fmt: skip

    def status(self, sub: Prefix | None) -> tuple[int, int]:
        """(addresses in use in the subnet, addresses still to be handed out from the range): API 1.52."""
        first, last = self.span(sub)
        inside = sum(1 for offset in self.taken if first <= offset <= last)
        return len(self.taken), last - first + 1 - inside


def _reserved(subnet: Prefix, strict: bool) -> tuple[int, ...]:
    """What nobody gets: network and broadcast address in IPv4, the routers' anycast address in IPv6.

    The smallest IPv4 subnets have neither; in old releases (*strict*) they had, and nothing was left to hand out.
    """
    if subnet.version == 6:
        return (0,) if subnet.prefixlen < 127 else ()
    return (0, subnet.num_addresses - 1) if subnet.prefixlen < 31 or strict else ()


class AddressSpace:
    """The pools of one family (addrSpace)."""

    def __init__(self, shared: bool, predefined: Iterable[tuple[str, int]] = ()) -> None:
        self.shared = shared
        """Dialect 1.12: an identical (subnet, ip-range) pair is used by a second network too; a /31 holds nobody."""
        self.predefined = [(ip_network(block), length) for block, length in predefined]
        self.pools: dict[Prefix, Pool] = {}

    def request(self, subnet: Prefix, sub: Prefix | None) -> Pool:
        """Use a subnet, or an ip-range of it.

        Raises:
            DockerError: 403 when it overlaps. With an ip-range only the identical pair does (moby#46756).
        """
        pool = self.pools.get(subnet)
        if pool is not None and sub in pool.users and self.shared:
            pool.users[sub] += 1
            return pool
        if sub is None and self._overlaps(subnet):
            raise forbidden(OVERLAP)
        if pool is not None and sub in pool.users:
            raise forbidden(OVERLAP)
        pool = self.pools.setdefault(subnet, pool or Pool(subnet, self.shared))
        pool.users[sub] = 1
        return pool

    def release(self, subnet: Prefix, sub: Prefix | None) -> None:
        """Stop using it; the pool goes with its last user."""
        pool = self.pools[subnet]
        pool.users[sub] -= 1
        if not pool.users[sub]:
            del pool.users[sub]
        if not pool.users:
            del self.pools[subnet]

    def request_predefined(self, avoid: Iterable[Prefix]) -> Pool:
        """Use the lowest piece of the predefined blocks that overlaps nothing in use and nothing to avoid."""
        taken = [*self.pools, *avoid]
        for piece in self._pieces():
            if not any(piece.overlaps(other) for other in taken if other.version == piece.version):
                return self.request(piece, None)
        raise invalid(FULLY_SUBNETTED)

    def _pieces(self) -> Iterator[Prefix]:
        for block, length in self.predefined:
            yield from block.subnets(new_prefix=length)

    def _overlaps(self, subnet: Prefix) -> bool:
        return any(subnet.overlaps(other) for other in self.pools)


class Ipam:
    """Both families."""

    def __init__(self, shared: bool = False, ula: str = "") -> None:
        self.v4 = AddressSpace(shared, DEFAULT_POOLS)
        self.v6 = AddressSpace(shared, [(ula, 64)] if ula else [])

    def space(self, version: int) -> AddressSpace:
        """The pools of IPv4 or IPv6."""
        return self.v4 if version == 4 else self.v6

    def pool(self, subnet: Prefix) -> Pool:
        """The pool of a subnet in use."""
        return self.space(subnet.version).pools[subnet]
