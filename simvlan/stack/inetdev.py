"""The IPv4 side of a device: its addresses, its `conf` sysctls, its neighbour parameters.

Mirrors struct in_device, struct ipv4_devconf and the DEVINET helpers of include/linux/inetdevice.h. A device follows
`conf.default` until it gets its first address; from then on its values are its own (ipv4_devconf_setall).
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.stack.ipaddr import Ifaddr

if TYPE_CHECKING:
    from simvlan.devices.device import Device


CONF_DEFAULTS: dict[str, int] = {
    "accept_local": 0,
    "accept_redirects": 1,
    "accept_source_route": 0,
    "arp_accept": 0,
    "arp_announce": 0,
    "arp_evict_nocarrier": 1,
    "arp_filter": 0,
    "arp_ignore": 0,
    "arp_notify": 0,
    "bc_forwarding": 0,
    "bootp_relay": 0,
    "disable_policy": 0,
    "disable_xfrm": 0,
    "drop_gratuitous_arp": 0,
    "drop_unicast_in_l2_multicast": 0,
    "force_igmp_version": 0,
    "forwarding": 0,
    "igmpv2_unsolicited_report_interval": 10_000,
    "igmpv3_unsolicited_report_interval": 1_000,
    "ignore_routes_with_linkdown": 0,
    "log_martians": 0,
    "mc_forwarding": 0,
    "medium_id": 0,
    "promote_secondaries": 0,
    "proxy_arp": 0,
    "proxy_arp_pvlan": 0,
    "route_localnet": 0,
    "rp_filter": 0,
    "secure_redirects": 1,
    "send_redirects": 1,
    "shared_media": 1,
    "src_valid_mark": 0,
    "tag": 0,
}
"""What a kernel starts with (ipv4_devconf, ipv4_devconf_dflt): `all` and `default` alike, but for the next table."""

CONF_DEFAULT_ONLY = {"accept_source_route": 1}
"""Where `conf.default` differs from `conf.all` at birth."""

NEIGH_DEFAULTS: dict[str, int] = {
    "anycast_delay": 100,
    "app_solicit": 0,
    "base_reachable_time_ms": 30_000,
    "delay_first_probe_time": 5,
    "gc_stale_time": 60,
    "interval_probe_time_ms": 5_000,
    "locktime": 100,
    "mcast_resolicit": 0,
    "mcast_solicit": 3,
    "proxy_delay": 80,
    "proxy_qlen": 64,
    "retrans_time_ms": 1_000,
    "ucast_solicit": 3,
    "unres_qlen": 101,
    "unres_qlen_bytes": 212_992,
}
"""Parameters of arp_tbl; `locktime`, `proxy_delay` and `anycast_delay` count hundredths of a second."""

_RANDOMISE_AFTER = 300 * SECOND


class Conf:
    """One `conf` or `neigh` directory: values set here, falling back to a parent while the device follows it."""

    __slots__ = ("base", "follows", "parent", "values")

    def __init__(self, base: dict[str, int], parent: Conf | None = None) -> None:
        self.base = base
        self.parent = parent
        self.values: dict[str, int] = dict(parent.values) if parent is not None else {}
        self.follows = parent is not None

    def get(self, key: str) -> int:
        """The value in force in this directory."""
        value = self.values.get(key)
        if value is not None:
            return value
        if self.parent is not None:
            return self.parent.get(key)
        return self.base[key]

    def freeze(self) -> None:
        """Stop following the parent: take over its present values (ipv4_devconf_setall)."""
        if self.follows and self.parent is not None:
            self.values = {key: self.get(key) for key in self.base}
            self.follows = False


class Side:
    """One family's side of a device: its sysctls, its neighbour parameters, its randomness."""

    __slots__ = ("_reachable_ns", "_reachable_set", "_rng", "_seed", "conf", "dev", "neigh")

    def __init__(self, dev: Device, conf: Conf, neigh: Conf, seed: str) -> None:
        self.dev = dev
        self.conf = conf
        self.neigh = neigh
        self._seed = seed
        self._rng: Random | None = None
        self._reachable_ns = 0
        self._reachable_set = -_RANDOMISE_AFTER - 1

    @property
    def rng(self) -> Random:
        """This device's own randomness, so that others do not disturb it; made when first needed."""
        if self._rng is None:
            self._rng = Random(self._seed)
        return self._rng

    def reachable_ns(self, now: int) -> int:
        """How long a confirmation lasts: 0.5 to 1.5 of the base, drawn anew every 300 s (neigh_rand_reach_time)."""
        if now - self._reachable_set > _RANDOMISE_AFTER:
            self.redraw(now)
        return self._reachable_ns

    def redraw(self, now: int) -> None:
        """Draw the reachable time, as a write to base_reachable_time_ms does."""
        base = self.neigh.get("base_reachable_time_ms") * 1_000_000
        self._reachable_ns = base // 2 + self.rng.randrange(base) if base else 0
        self._reachable_set = now


class InDevice(Side):
    """What IPv4 keeps for one device (struct in_device)."""

    __slots__ = ("addresses", "groups")

    def __init__(self, dev: Device, conf: Conf, neigh: Conf, seed: str) -> None:
        super().__init__(dev, Conf(CONF_DEFAULTS, conf), Conf(NEIGH_DEFAULTS, neigh), seed)
        self.addresses: list[Ifaddr] = []
        self.groups: dict[int, int] = {}
        """Multicast groups joined: group -> references."""

    def owns(self, address: int) -> bool:
        """Whether an address is configured here."""
        return any(ifa.local == address for ifa in self.addresses)

    def onlink(self, a: int, b: int) -> bool:
        """Whether one subnet of the device holds both addresses (inet_addr_onlink); *b* zero: whether it holds *a*."""
        return any(not ifa.secondary and ifa.covers(a) and (not b or ifa.covers(b)) for ifa in self.addresses)
