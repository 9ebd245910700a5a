"""What dnsmasq 2.90 advertises on a link, octet for octet, and when. Mirrors src/radv.c; RFC 4861, RFC 8106.

A range stands for a network of which the link has an address, or (`constructor:DEV`) for every network of a device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from simvlan.radv import advert
from simvlan.radv.config import INFINITY, Dns, Interface, Prefix
from simvlan.stack.ipv6 import ndp
from simvlan.stack.ipv6.addr import is_link_local, mask

SHORT_PERIOD_S = 60
"""For so long it advertises often, lest the first one was lost."""
UNIQUE_LOCAL = 0xFC >> 1

Draw = Callable[[int], int]
"""A number below another."""


@dataclass(frozen=True)
class Range:
    """One --dhcp-range with `ra-only` or `slaac`.

    Attributes:
        lease_s: what lifetimes are capped to, 0 for nothing.
        deprecated: addresses of it are to be used no more.
        device: of `constructor:DEV`, whose addresses' lifetimes count too.
    """

    network: int
    length: int = 64
    lease_s: int = 0
    deprecated: bool = False
    off_link: bool = False
    device: str = ""

    def fits(self, name: str, own: Own) -> bool:
        """Whether an address of a device belongs to it."""
        if is_link_local(own.address) or own.length > self.length or self.device not in ("", name):
            return False
        return bool(self.device) or (own.address ^ self.network) & mask(self.length) == 0


@dataclass(frozen=True)
class Own:
    """An address of the router's: its prefix length and what is left of its lifetimes, in seconds."""

    address: int
    length: int
    valid: int = INFINITY
    preferred: int = INFINITY


@dataclass(frozen=True)
class Param:
    """--ra-param of an interface: *mtu* 0 is the link's, -1 is not told; *lifetime* -1 follows from the interval."""

    mtu: int = 0
    preference: int = 0
    interval: int = 600
    lifetime: int = -1

    @property
    def every(self) -> int:
        """The interval within its bounds (calc_interval)."""
        return min(max(self.interval, 4), 1800)

    @property
    def lasts(self) -> int:
        """The router's lifetime within its bounds (calc_lifetime)."""
        wanted = 3 * self.every if self.lifetime < 0 else self.lifetime
        return wanted if not wanted else min(max(wanted, self.every), 9000)


def advertisement(
    ranges: Iterable[Range], param: Param, name: str, own: list[Own], mac: int, mtu: int, dns: bool
) -> ndp.RouterAdvertisement | None:
    """What is said on a device; None where there is nothing to say, or no link-local address to say it from.

    Args:
        dns: it is a name server itself, and says so.
    """
    local = max((each for each in own if is_link_local(each.address)), key=lambda each: each.preferred, default=None)
    told = list(_prefixes(list(ranges), param, name, own))
    if local is None or not told:
        return None
    least = min([local.preferred, *(best for best in _best(told, own) if best)])
    options = [advert.prefix(prefix, cease=False) for _, prefix in told]
    mtu = param.mtu or mtu
    options += [ndp.mtu(mtu)] if mtu > 0 else []
    options.append(ndp.link_layer(ndp.SLLA, mac))
    options += [advert.servers(Dns(least, [local.address]), cease=False)] if dns else []
    face = Interface(name, hop_limit=64, preference=param.preference, lifetime=param.lasts)
    return advert.header(face, False, tuple(options))


def _prefixes(ranges: list[Range], param: Param, name: str, own: list[Own]) -> Iterator[tuple[Own, Prefix]]:
    """Each network once, with the address that it was found by (add_prefixes)."""
    done: set[int] = set()
    for each in own:
        fits = [found for found in ranges if found.fits(name, each)]
        network = each.address & mask(64)
        if fits and network not in done:
            done.add(network)
            valid, preferred = _lifetimes(fits, param, each)
            yield each, Prefix(network, fits[-1].length, not fits[-1].off_link, True, False, valid, preferred)


def _lifetimes(fits: list[Range], param: Param, own: Own) -> tuple[int, int]:
    """The lease time that was said, three intervals at least; of constructed ranges no more than the address has."""
    said = [max(each.lease_s, 3 * param.every) for each in fits if each.lease_s]
    time = min(said, default=INFINITY)
    made = any(each.device for each in fits)
    valid = min(own.valid, time) if made else time
    time = 0 if any(each.deprecated for each in fits) else time
    return valid, min(own.preferred, time) if made else time


def _best(told: list[tuple[Own, Prefix]], own: list[Own]) -> tuple[int, int]:
    """The longest preferred lifetimes, of global and of unique local addresses."""
    of = {each.address: prefix.preferred for each, prefix in told}
    known = [(each.address, of.get(each.address, 0)) for each in own if not is_link_local(each.address)]
    unique = [time for address, time in known if address >> 121 == UNIQUE_LOCAL]
    return max((time for address, time in known if address >> 121 != UNIQUE_LOCAL), default=0), max(unique, default=0)


def first_s(draw: Draw) -> int:
    """When the first one goes, in seconds from the start."""
    return draw(65_536) // 13_000


def next_s(since_start_s: int, param: Param, draw: Draw) -> int:
    """When the next one goes (new_timeout)."""
    if since_start_s < SHORT_PERIOD_S:
        return 5 + draw(65_536) // 4_400
    return 3 * param.every // 4 + (param.every * draw(65_536) >> 18)
