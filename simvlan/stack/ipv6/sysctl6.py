"""The sysctl tree under net.ipv6. Mirrors addrconf_sysctl of net/ipv6/addrconf.c and sysctl_net_ipv6.c."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINVAL, ENOENT
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError, Unsupported
from simvlan.stack.inetdev import Conf
from simvlan.stack.ipv6.packet import MIN_MTU
from simvlan.stack.ipv6.settings import (
    CONF6_DEFAULT_ONLY,
    CONF6_DEFAULTS,
    LOOPBACK,
    NEIGH6_DEFAULTS,
    RATEMASK,
    SETTINGS6,
)

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.inet6dev import Inet6Dev
    from simvlan.stack.netstack import Stack

Key = tuple[str, ...]

FIXED = frozenset(
    ("accept_untracked_na", "drop_unicast_in_l2_multicast", "ndisc_tclass", "use_tempaddr", "accept_source_route",
     "ignore_routes_with_linkdown", "ip_nonlocal_bind")
)  # fmt: skip
"""Keys whose other values would change what happens in ways not modelled: they keep their value."""
_LIMITS = {"addr_gen_mode": (0, 3), "forwarding": (-(2**31), 2**31 - 1), "hop_limit": (1, 255), "ratemask": (0, 255)}
_GEN_MODES = (0, 1)
"""eui64 and none; stable_secret and random are refused."""


def default_of(place: str, leaf: str, dev: Device | None = None) -> int:
    """What a key of conf says where IPv6 was never switched on. *dev*: the device that *place* names."""
    if leaf == "disable_ipv6":
        return 1
    if dev is not None and leaf == "mtu":
        return dev.mtu
    if dev is not None and not dev.kind and leaf in LOOPBACK:
        return LOOPBACK[leaf]
    return CONF6_DEFAULTS[leaf] if place == "all" else {**CONF6_DEFAULTS, **CONF6_DEFAULT_ONLY}[leaf]


class Sysctls6:
    """Read and write access by the part of a key behind net.ipv6."""

    __slots__ = ("stack",)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def listed(self, places: list[str]) -> Iterator[Key]:
        """Every key of conf and neigh of some places."""
        for place in places:
            if place in ("all", "default") or self._has_side(place):
                for leaf in CONF6_DEFAULTS:
                    yield ("conf", place, leaf)
        for place in places:
            if self._has_side(place) or (place == "default" and not self.stack.netns.name):
                for leaf in NEIGH6_DEFAULTS:
                    yield ("neigh", place, leaf)

    def settings(self) -> Iterator[Key]:
        """Every key of the namespace."""
        for name in SETTINGS6:
            yield tuple(name.split("/"))

    def _has_side(self, place: str) -> bool:
        """Whether a device has IPv6, be it switched off (ipv6_add_dev)."""
        dev = self.stack.netns.devices.get(place)
        if self.stack.ip6 is None:
            return dev is not None and (dev.mtu >= MIN_MTU or not dev.kind)
        return self.stack.ip6.idev(dev) is not None

    def _idev(self, place: str) -> Inet6Dev | None:
        return self.stack.ip6.idev(self.stack.netns.devices.get(place)) if self.stack.ip6 is not None else None

    # -- reading ----------------------------------------------------------------------------------------------------

    def read(self, key: Key) -> str:
        """The value of a key.

        Raises:
            RtnlError: ENOENT for a key that is not there.
        """
        match key:
            case ("conf", place, "mtu") if (idev := self._idev(place)) is not None:
                return str(idev.mtu)
            case ("conf", place, leaf) if leaf in CONF6_DEFAULTS:
                return str(self._conf(place, leaf))
            case ("neigh", place, leaf) if leaf in NEIGH6_DEFAULTS:
                return str(self._neigh(place).get(leaf))
        name = "/".join(key)
        if name not in SETTINGS6:
            raise RtnlError(ENOENT)
        value = SETTINGS6[name] if self.stack.ip6 is None else self.stack.ip6.settings[name]
        return RATEMASK if name == "icmp/ratemask" and value < 0 else str(value)

    def _conf(self, place: str, leaf: str) -> int:
        ip6 = self.stack.ip6
        if ip6 is None:
            if place not in ("all", "default") and not self._has_side(place):
                raise RtnlError(ENOENT)
            return default_of(place, leaf, self.stack.netns.devices.get(place))
        return self._place(ip6, place).get(leaf)

    def _place(self, ip6: Ip6, place: str) -> Conf:
        if place in ("all", "default"):
            return ip6.conf_all if place == "all" else ip6.conf_default
        idev = self._idev(place)
        if idev is None:
            raise RtnlError(ENOENT)
        return idev.conf

    def _neigh(self, place: str) -> Conf:
        ip6, idev = self.stack.ip6, self._idev(place)
        if place == "default" and not self.stack.netns.name:
            return ip6.neigh_default if ip6 is not None else Conf(NEIGH6_DEFAULTS)
        if ip6 is None and self._has_side(place):
            return Conf(NEIGH6_DEFAULTS)
        if idev is None:
            raise RtnlError(ENOENT)
        return idev.neigh

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(self, key: Key, value: int) -> None:
        """Set a key.

        Raises:
            RtnlError: ENOENT for an unknown key, EINVAL for a value the kernel does not take.
            Unsupported: a value whose meaning is not modelled.
        """
        old, leaf = self.read(key), key[-1]
        low, high = _LIMITS.get(leaf, (-(2**31), 2**31 - 1))
        if not low <= value <= high:
            raise RtnlError(EINVAL)
        if str(value) == old and key[0] != "conf":
            return
        if (leaf in FIXED and str(value) != old) or (leaf == "addr_gen_mode" and value not in _GEN_MODES):
            raise Unsupported(f"net.ipv6.{'.'.join(key)} = {value}: only {old} is modelled")
        if self.stack.ip6 is None and str(value) == old:
            return
        ip6 = self.stack.with_ip6()
        if key[0] == "conf":
            self._write_conf(ip6, key[1], leaf, value)
        elif key[0] == "neigh":
            self._write_neigh(key[1], leaf, value)
        else:
            ip6.settings["/".join(key)] = value

    def _write_conf(self, ip6: Ip6, place: str, leaf: str, value: int) -> None:
        """Some switches spread from `all` to every device (addrconf_disable_ipv6, addrconf_fixup_forwarding)."""
        conf = self._place(ip6, place)
        if leaf == "disable_ipv6":
            self._disable(ip6, place, value)
        elif leaf == "forwarding":
            self._forward(ip6, place, value)
        elif leaf == "addr_gen_mode" and place == "all":
            for each in (ip6.conf_all, ip6.conf_default, *(i.conf for i in ip6.devices.values())):
                each.values[leaf] = value
        elif leaf == "mtu":
            self._mtu(place, value)
        else:
            conf.values[leaf] = value

    def _disable(self, ip6: Ip6, place: str, value: int) -> None:
        if place == "default":
            ip6.conf_default.values["disable_ipv6"] = value
            return
        if place == "all":
            ip6.conf_all.values["disable_ipv6"] = ip6.conf_default.values["disable_ipv6"] = value
        for idev in list(ip6.devices.values()):
            if place in ("all", idev.dev.name):
                ip6.switch(idev, value)

    def _forward(self, ip6: Ip6, place: str, value: int) -> None:
        """A router has no default routers of its own."""
        if place == "default":
            ip6.conf_default.values["forwarding"] = value
            return
        if place == "all":
            ip6.conf_all.values["forwarding"] = ip6.conf_default.values["forwarding"] = value
        for idev in list(ip6.devices.values()):
            if place in ("all", idev.dev.name):
                ip6.route_packets(idev, value)
        if value:
            ip6.ra.forget()

    def _mtu(self, place: str, value: int) -> None:
        idev = self._idev(place)
        if idev is None:
            raise RtnlError(ENOENT)
        if not 1280 <= value <= idev.dev.mtu:
            raise RtnlError(EINVAL)
        idev.mtu = value

    def _write_neigh(self, place: str, leaf: str, value: int) -> None:
        if value < 0:
            raise RtnlError(EINVAL)
        self._neigh(place).values[leaf] = value
        idev = self._idev(place)
        if leaf == "base_reachable_time_ms" and idev is not None:
            idev.redraw(self.stack.kernel.now)
