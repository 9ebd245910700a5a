"""Which address a packet of ours comes from. Mirrors ipv6_dev_get_saddr (addrconf.c) and addrlabel.c; RFC 6724."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simvlan.stack.ipv6.addr import is_link_local, is_multicast, mask, multicast_scope
from simvlan.stack.ipv6.inet6dev import Ifaddr6, Inet6Dev

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6

LABELS: tuple[tuple[int, int, int], ...] = (
    (1, 128, 0),
    (0xFFFF << 32, 96, 4),
    (0, 96, 3),
    (0x2001 << 112, 32, 6),
    (0x2001_0010 << 96, 28, 7),
    (0x3FFE << 112, 16, 12),
    (0x2002 << 112, 16, 2),
    (0xFEC0 << 112, 10, 11),
    (0xFC00 << 112, 7, 5),
    (0, 0, 1),
)
"""The default policy table: prefix, length, label."""

NO_SCOPE, LINK_SCOPE, SITE_SCOPE, GLOBAL_SCOPE = -1, 2, 5, 14


def label(address: int) -> int:
    """The label of an address (ipv6_addr_label): the longest prefix it lies in."""
    fitting = [(plen, value) for prefix, plen, value in LABELS if not (address ^ prefix) & mask(plen)]
    return max(fitting)[1]


def scope(address: int) -> int:
    """The scope of an address as a number that grows with reach (ipv6_addr_src_scope)."""
    if is_multicast(address):
        return multicast_scope(address)
    if is_link_local(address) or address == 1:
        return LINK_SCOPE
    if not address:
        return NO_SCOPE
    return SITE_SCOPE if address >> 118 == 0xFEC0 >> 6 else GLOBAL_SCOPE


class Select:
    """The choice among a namespace's addresses."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6

    def source(self, out: Device | None, dst: int) -> int | None:
        """The best address for packets to *dst* that leave by *out*; None without any."""
        best: Ifaddr6 | None = None
        most: tuple[int, ...] = ()
        for idev in self._candidates(out, dst):
            for ifa in idev.addresses:
                if not ifa.usable:
                    continue
                score = self._score(idev, ifa, out, dst)
                if best is None or score > most:
                    best, most = ifa, score
        return None if best is None else best.address

    def _candidates(self, out: Device | None, dst: int) -> Iterator[Inet6Dev]:
        """The outgoing device alone for groups and link-local destinations, else all."""
        own = self.ip6.idev(out) if out is not None else None
        near = is_multicast(dst) or scope(dst) <= LINK_SCOPE or (own and own.conf.get("use_oif_addrs_only"))
        if out is not None and near:
            if own is not None:
                yield own
            return
        for dev in self.ip6.stack.netns.devices.values():
            idev = self.ip6.idev(dev)
            if idev is not None:
                yield idev

    def _score(self, idev: Inet6Dev, ifa: Ifaddr6, out: Device | None, dst: int) -> tuple[int, ...]:
        """Rules 1 to 8 of RFC 6724 in the kernel's order, the larger the better; the optimistic last (RFC 4429)."""
        mine, theirs = scope(ifa.address), scope(dst)
        return (
            ifa.address == dst,
            -mine if mine >= theirs else mine - 128,
            not ifa.deprecated and (not ifa.optimistic or self.ip6.addrconf.uses_optimistic(idev)),
            ifa.home,
            out is None or idev.dev is out,
            label(ifa.address) == label(dst),
            min(128 - (ifa.address ^ dst).bit_length(), ifa.prefixlen),
            not ifa.optimistic,
        )
