"""The router advertisements of dnsmasq: its ICMPv6 socket and timers; what is said and when is in `radv/ranges.py`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from simvlan.clock import SECOND
from simvlan.radv import ranges
from simvlan.radv.config import INFINITY
from simvlan.radv.ranges import Own, Param, Range
from simvlan.stack.ipv6 import icmp6, ndp
from simvlan.stack.ipv6.addr import ALL_NODES, ALL_ROUTERS, ip6_text, is_link_local, mask
from simvlan.stack.ipv6.packet import ICMPV6
from simvlan.tools.dhcp_io import Voice

HOPS = 255
CLASS = 0xC0
"""Internetwork control."""


@dataclass
class RaAsked:
    """What the command line says of advertisements."""

    ranges: list[Range]
    params: dict[str, Param]
    interfaces: list[str]
    excepted: list[str]
    dns: bool = True
    quiet: bool = False


class RaService:
    """The advertiser of a namespace."""

    def __init__(self, network: Any, ns: Any, asked: RaAsked, voice: Voice) -> None:
        self.network, self.ns, self.asked, self.voice = network, ns, asked, voice
        self.ip6 = ns.stack.with_ip6()
        self.rng = Random(f"{network.seed}/dnsmasq-ra/{ns.name}")
        self.began = 0
        self.timers: dict[str, Any] = {}
        """By device, when the next one goes."""
        self.sock: Any = None

    def start(self) -> None:
        """Open the socket and begin."""
        self.sock = self.ns.stack.open_raw(ICMPV6, 6)
        self.sock.ttl = self.sock.mc_ttl = HOPS
        self.sock.tos = CLASS
        self.sock.on_receive = self._hear
        self.ns.listeners.append(self._told)
        self._begin()

    def stop(self) -> None:
        """Close everything; hosts are told nothing."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        if self._told in self.ns.listeners:
            self.ns.listeners.remove(self._told)
        if self.sock is not None:
            self.sock.close()
        self.sock = None

    def constructed(self) -> list[tuple[int, str]]:
        """The networks that ranges with `constructor:DEV` stand for now, and their devices."""
        named = [each for each in self.asked.ranges if each.device]
        return [(own.address & mask(64), dev.name) for dev in self._devices() for own in self._own(dev)
                if any(each.fits(dev.name, own) for each in named)]  # fmt: skip

    # -- time -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Soon on every device, then often for a minute (ra_start_unsolicited)."""
        self.began = self.network.now
        for dev in self._devices():
            self._wait(dev.name, ranges.first_s(self.rng.randrange))

    def _devices(self) -> list[Any]:
        found = [dev for dev in self.ns.devices.values() if dev.kind and dev.name not in self.asked.excepted]
        return [dev for dev in found if not self.asked.interfaces or dev.name in self.asked.interfaces]

    def _wait(self, name: str, seconds: int) -> None:
        if name in self.timers:
            self.timers[name].cancel()
        self.timers[name] = self.network.at(self.network.now + seconds * SECOND, partial(self._due, name))

    def _due(self, name: str) -> None:
        del self.timers[name]
        dev = self.ns.devices.get(name)
        if dev is not None and self._advertise(dev, None):
            since = (self.network.now - self.began) // SECOND
            self._wait(name, ranges.next_s(since, self._param(name), self.rng.randrange))

    def _told(self, dev: Any, what: str) -> None:
        """A new address: all begins anew, once the kernel is done."""
        wanted = what != "link" and dev in self._devices() and self._said(dev) is not None
        if wanted and dev.name not in self.timers:
            self.network.at(self.network.now, self._again)

    def _again(self) -> None:
        if self.sock is not None:
            self._begin()

    # -- messages ---------------------------------------------------------------------------------------------------

    def _hear(self, _socket: object) -> None:
        self.network.at(self.network.now, self._collect)

    def _collect(self) -> None:
        while self.sock is not None and self.sock.queue:
            got = self.sock.queue.popleft()
            if got.data[:2] == bytes((icmp6.RS, 0)) and got.dev in self._devices():
                self._solicited(got)

    def _solicited(self, got: Any) -> None:
        """Answer who asks, or all where it has no address yet."""
        found = ndp.parse_rs(got.data)
        if found is None:
            return
        mac = ndp.read_mac(found, ndp.SLLA)
        self._say(f"RTR-SOLICIT({got.dev.name}) {'' if mac is None else mac.to_bytes(6, 'big').hex(':')}")
        self._advertise(got.dev, got.src or None)

    def _say(self, text: str) -> None:
        if not self.asked.quiet:
            self.voice.say(f"dnsmasq-dhcp: {text}")

    def _param(self, name: str) -> Param:
        return self.asked.params.get(name) or self.asked.params.get("*") or Param()

    def _own(self, dev: Any) -> list[Own]:
        found = []
        for ifa in self.ip6.addresses(dev):
            age = (self.network.now - ifa.changed_ns) // SECOND
            found.append(Own(ifa.address, ifa.prefixlen, _left(ifa.valid_lft, age), _left(ifa.preferred_lft, age)))
        return found

    def _said(self, dev: Any) -> ndp.RouterAdvertisement | None:
        mtu = self.ip6.mtu_of(dev)
        asked = self.asked
        return ranges.advertisement(
            asked.ranges, self._param(dev.name), dev.name, self._own(dev), dev.mac, mtu, asked.dns
        )

    def _advertise(self, dev: Any, dst: int | None) -> bool:
        """Advertise on a device, to one or to all; False where there is nothing to say."""
        self._join(dev)
        said = self._said(dev) if dev.up else None
        if said is None or self.sock is None:
            return False
        for code, data in said.options:
            if code == ndp.PREFIX:
                self._say(f"RTR-ADVERT({dev.name}) {ip6_text(int.from_bytes(data[14:30], 'big') & mask(64))}")
        source = next(ifa for ifa in self.ip6.addresses(dev) if is_link_local(ifa.address))
        to = ALL_NODES if dst is None else dst
        self.sock.src = source.address
        with contextlib.suppress(OSError):
            self.sock.send(ndp.build_ra(source.address, to, said), to, dev)
        self.sock.src = 0
        return True

    def _join(self, dev: Any) -> None:
        """Be one of the routers there."""
        with contextlib.suppress(OSError):  # it has joined before
            self.sock.join(ALL_ROUTERS, dev)


def _left(lifetime: int | None, age: int) -> int:
    """What is left of a lifetime, in seconds."""
    return INFINITY if lifetime is None else max(0, lifetime - age)
