"""The IPv6 side of a device: addresses, groups, settings. Mirrors include/net/if_inet6.h (struct inet6_dev)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from simvlan.stack.inetdev import Conf, Side
from simvlan.stack.ipv6.addr import ip6_text, mask
from simvlan.stack.ipv6.settings import CONF6_DEFAULTS, NEIGH6_DEFAULTS

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.fib6 import Route6


class State(Enum):
    """How far duplicate address detection is (INET6_IFADDR_STATE_*)."""

    PREDAD = "predad"
    DAD = "dad"
    ERRDAD = "errdad"
    DEAD = "dead"


@dataclass(slots=True, eq=False)
class Ifaddr6:
    """One address of a device. *scope* as `ip` names it: 0 global, 200 site, 253 link, 254 host."""

    address: int
    prefixlen: int = 128
    peer: int = 0
    scope: int = 0
    valid_lft: int | None = None
    """Seconds from `changed_ns`; None: for ever."""
    preferred_lft: int | None = None
    metric: int = 0
    nodad: bool = False
    noprefixroute: bool = False
    mngtmpaddr: bool = False
    home: bool = False
    autoconf: bool = False
    """Made of a router's prefix: dynamic even where it has no end."""
    tentative: bool = False
    optimistic: bool = False
    """Tentative, but in use meanwhile (RFC 4429)."""
    dadfailed: bool = False
    deprecated: bool = False
    changed_ns: int = 0
    created_ns: int = 0
    state: State = State.PREDAD
    probes: int = 0
    nonce: bytes = b""
    timer: Timer | None = None
    route: Route6 | None = None
    """The local route that makes it ours, once it is in force."""

    @property
    def permanent(self) -> bool:
        """Whether it was given without an end (IFA_F_PERMANENT)."""
        return self.valid_lft is None and not self.autoconf

    @property
    def usable(self) -> bool:
        """Whether packets may come from and go to it."""
        return self.optimistic or (not self.tentative and not self.dadfailed)

    def covers(self, address: int) -> bool:
        """Whether an address lies in this one's prefix."""
        return not (self.address ^ address) & mask(self.prefixlen)

    def __str__(self) -> str:
        return f"{ip6_text(self.address)}/{self.prefixlen}"


@dataclass(slots=True, eq=False)
class Group:
    """A group a device hears (struct ifmcaddr6)."""

    address: int
    users: int = 1
    loaded: bool = False
    """Whether its MAC is in the device's filter (MAF_LOADED)."""
    reports: int = 0
    """How often the change is still to be told (mca_crcount)."""
    timer: Timer | None = None
    """An answer to a query for this group."""
    due_ns: int = 0
    """When it comes."""
    last: bool = False
    """Whether nobody has reported it the old way since this device did (MAF_LAST_REPORTER)."""


@dataclass(slots=True)
class Timers:
    """What a device's IPv6 waits for."""

    change: Timer | None = None
    """Reports of changed groups (mc_ifc_work)."""
    dad: Timer | None = None
    """Reports again, once there is an address to send them from (mc_dad_work)."""
    answer: Timer | None = None
    """The answer to a general query (mc_gq_work)."""
    solicit: Timer | None = None
    """The next router solicitation (rs_timer)."""

    def stop_answer(self) -> None:
        """The general query before is answered with the next (mod_delayed_work)."""
        self._stop("answer")

    def stop_answers(self) -> None:
        """Nothing is told the new way (mld_gq_stop_work, mld_ifc_stop_work)."""
        self._stop("answer", "change")

    def stop(self) -> None:
        """Stop them all."""
        self._stop("change", "dad", "answer", "solicit")

    def _stop(self, *names: str) -> None:
        for name in names:
            timer = getattr(self, name)
            if timer is not None:
                timer.cancel()
                setattr(self, name, None)


@dataclass(slots=True)
class Soliciting:
    """Where the search for routers stands (rs_probes, rs_interval, IF_RS_SENT, IF_RA_RCVD)."""

    probes: int = 0
    interval_ns: int = 0
    sent: bool = False
    answered: bool = False


@dataclass(slots=True)
class Reporting:
    """Where reports of groups stand (mc_ifc_count, mc_dad_count, mc_qrv, mc_qi, mc_qri, mc_v1_seen)."""

    changes: int = 0
    dad: int = 0
    robustness: int = 2
    interval_ns: int = 125_000_000_000
    response_ns: int = 10_000_000_000
    v1_until_ns: int = 0
    gone: list[Group] = field(default_factory=list)
    """Groups left whose leaving is still to be told (mc_tomb), newest first."""

    def forget_queriers(self) -> None:
        """What queriers have said holds no more (ipv6_mc_reset)."""
        fresh = Reporting()
        self.robustness, self.interval_ns, self.response_ns = fresh.robustness, fresh.interval_ns, fresh.response_ns
        self.v1_until_ns = 0


class Inet6Dev(Side):
    """What IPv6 keeps for one device."""

    __slots__ = ("addresses", "dead", "groups", "mtu", "ra_mtu", "ready", "reporting", "soliciting", "timers")

    def __init__(self, dev: Device, conf: Conf, neigh: Conf, seed: str) -> None:
        own = Conf(CONF6_DEFAULTS)
        own.values.update(conf.values)
        super().__init__(dev, own, Conf(NEIGH6_DEFAULTS, neigh), seed)
        self.addresses: list[Ifaddr6] = []
        """In the order they are shown: wider scopes first, newest first."""
        self.groups: list[Group] = []
        """Newest first."""
        self.ready = False
        """Up with a carrier (IF_READY)."""
        self.dead = False
        self.mtu = dev.mtu
        self.ra_mtu = 0
        self.timers = Timers()
        self.soliciting = Soliciting()
        self.reporting = Reporting()

    @property
    def disabled(self) -> bool:
        """Whether IPv6 is switched off here."""
        return bool(self.conf.get("disable_ipv6"))

    @property
    def nbma(self) -> bool:
        """Whether the device needs no link-layer addresses (loopback, NOARP)."""
        return self.dev.noarp or not self.dev.kind

    def find(self, address: int) -> Ifaddr6 | None:
        """The record of an address."""
        return next((ifa for ifa in self.addresses if ifa.address == address), None)

    def group(self, address: int) -> Group | None:
        """The membership of a group."""
        return next((group for group in self.groups if group.address == address), None)

    def link_local(self, tentative: bool = False) -> int | None:
        """A link-local address to send from (ipv6_get_lladdr): the oldest there is; *tentative*: even if so."""
        for ifa in reversed(self.addresses):
            if ifa.scope > 253:
                break
            if ifa.scope == 253 and not ifa.dadfailed and (tentative or not ifa.tentative):
                return ifa.address
        return None

    @property
    def accepts_ra(self) -> bool:
        """Whether router advertisements are believed (ipv6_accept_ra)."""
        wanted = self.conf.get("accept_ra")
        return wanted == 2 if self.conf.get("forwarding") else wanted > 0
