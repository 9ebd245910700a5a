"""The sysctl tree of a namespace: net.ipv4, net.ipv6 (`ipv6/sysctl6.py`), and what scripts set of net.bridge.

Mirrors net/ipv4/sysctl_net_ipv4.c, devinet_sysctl_* of devinet.c (what a write to `all` or `default` spreads to) and
neigh_sysctl_table. Keys are tuples of path components, so that device names may hold dots.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINVAL, ENOENT
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError, Unsupported
from simvlan.stack.inetdev import CONF_DEFAULTS, NEIGH_DEFAULTS, Conf, InDevice
from simvlan.stack.ipv6.sysctl6 import Sysctls6
from simvlan.stack.settings import SETTINGS
from simvlan.stack.tcp.cubic import CONTROLS

if TYPE_CHECKING:
    from simvlan.stack.netstack import Stack

Key = tuple[str, ...]

_OTHER_CONTROLS = frozenset(
    ("bbr", "bic", "cdg", "dctcp", "highspeed", "htcp", "hybla", "illinois", "lp", "nv", "scalable", "vegas", "veno",
     "westwood", "yeah")
)  # fmt: skip
"""What kernels have besides; a name of neither kind is not there (ENOENT)."""
_LIMITS: dict[str, tuple[int, int]] = {
    "icmp_echo_enable_probe": (0, 1),
    "icmp_msgs_burst": (0, 2**31 - 1),
    "icmp_msgs_per_sec": (0, 2**31 - 1),
    "igmp_link_local_mcast_reports": (0, 255),
    "ip_default_ttl": (1, 255),
    "ip_forward_update_priority": (0, 1),
    "ip_no_pmtu_disc": (0, 3),
    "tcp_early_retrans": (0, 4),
    "tcp_frto": (0, 255),
    "tcp_recovery": (0, 1),
    "tcp_sack": (0, 1),
    "tcp_syn_retries": (1, 127),
    "tcp_timestamps": (0, 1),
    "tcp_window_scaling": (0, 1),
}
_TWINS = {
    "delay_first_probe_time": ("delay_first_probe_time", 1),
    "base_reachable_time": ("base_reachable_time_ms", 1000),
    "retrans_time": ("retrans_time_ms", 10),
}
"""The older spellings of two parameters, with how many of the newer unit make one."""
_NEIGH_KEYS = sorted({*NEIGH_DEFAULTS, *_TWINS})
_FIXED = frozenset(
    (
        "bc_forwarding", "drop_unicast_in_l2_multicast", "force_igmp_version", "icmp_echo_enable_probe",
        "icmp_errors_use_inbound_ifaddr", "ignore_routes_with_linkdown", "ip_forward_update_priority",
        "ip_no_pmtu_disc", "ip_nonlocal_bind", "ipfrag_max_dist", "medium_id", "proxy_qlen", "unres_qlen_bytes",
    )
)  # fmt: skip
"""Keys whose other values would change what happens to packets in ways not modelled: they keep their value."""
_SOURCE_ROUTES = ("net", "ipv4", "conf", "all", "accept_source_route")
"""While this is 0, what single devices say about source routes means nothing (IN_DEV_SOURCE_ROUTE)."""
_SPECIAL = ("ip_forward", "ping_group_range", "tcp_congestion_control", "tcp_rmem", "tcp_wmem")


def key_of(text: str) -> Key:
    """Read a key as sysctl(8) does: the first separator decides whether `.` or `/` divides."""
    dots, slashes = text.find("."), text.find("/")
    if slashes < 0 or 0 <= dots < slashes:
        text = text.translate(str.maketrans("./", "/."))
    return tuple(text.strip("/").split("/"))


def key_text(key: Key) -> str:
    """Write a key the way sysctl(8) prints it."""
    return "/".join(key).translate(str.maketrans("./", "/."))


class Sysctls:
    """Read and write access by key."""

    __slots__ = ("stack",)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def every(self) -> Iterator[Key]:
        """Every key there is, in the order of a listing."""
        stack = self.stack
        there = (name for name, dev in stack.netns.devices.items() if dev not in stack.without_ip)
        places = ["all", "default", *sorted(there)]
        yield from (("net", "bridge", name) for name in stack.bridge_nf or ())
        yield from self._settings_and_conf(sorted(places))
        for place in sorted(p for p in places if p != "all" and (p != "default" or self._first())):
            for name in _NEIGH_KEYS:
                yield ("net", "ipv4", "neigh", place, name)
        tree = Sysctls6(stack)
        for key in sorted((*tree.listed([*stack.netns.devices, "all", "default"]), *tree.settings())):
            yield ("net", "ipv6", *key)

    def part(self, device: str | None) -> Iterator[Key]:
        """Every key of one device, none where it has lost IPv4; with None, every key of no device."""
        if device is not None and self.stack.netns.devices.get(device) in self.stack.without_ip:
            return
        if device is None:
            yield from (("net", "bridge", name) for name in self.stack.bridge_nf or ())
            yield from self._settings_and_conf(["all", "default"])
        else:
            for leaf in CONF_DEFAULTS:
                yield ("net", "ipv4", "conf", device, leaf)
        for place in ["default"] * self._first() if device is None else [device]:
            for name in _NEIGH_KEYS:
                yield ("net", "ipv4", "neigh", place, name)
        tree = Sysctls6(self.stack)
        settings = tree.settings() if device is None else ()
        for key in (*tree.listed(["all", "default"] if device is None else [device]), *settings):
            yield ("net", "ipv6", *key)

    def _settings_and_conf(self, places: list[str]) -> Iterator[Key]:
        names = sorted([*SETTINGS, *_SPECIAL, "conf", "neigh"])
        for name in names:
            if name == "conf":
                for place in places:
                    for leaf in CONF_DEFAULTS:
                        yield ("net", "ipv4", "conf", place, leaf)
            elif name != "neigh":
                yield ("net", "ipv4", name)

    # -- reading ----------------------------------------------------------------------------------------------------

    def read(self, key: Key) -> str:
        """The value of a key.

        Raises:
            RtnlError: ENOENT for a key that is not there.
        """
        match key:
            case ("net", "ipv4", "ip_forward"):
                return str(self.stack.conf_all.get("forwarding"))
            case ("net", "ipv4", "ping_group_range"):
                return "\t".join(map(str, self.stack.ping_group_range))
            case ("net", "ipv4", "tcp_congestion_control"):
                return self.stack.tcp_congestion
            case ("net", "ipv4", "tcp_rmem"):
                return "\t".join(map(str, self.stack.tcp_rmem))
            case ("net", "ipv4", "tcp_wmem"):
                return "\t".join(map(str, self.stack.tcp_wmem))
            case ("net", "ipv4", name) if name in self.stack.settings:
                return str(self.stack.settings[name])
            case ("net", "ipv4", "conf", place, leaf) if leaf in CONF_DEFAULTS:
                return str(self._conf(place).get(leaf))
            case ("net", "ipv4", "neigh", place, leaf) if leaf in _NEIGH_KEYS:
                name, unit = _TWINS.get(leaf, (leaf, 1))
                return str(self._neigh(place).get(name) // unit)
            case ("net", "ipv6", *rest):
                return Sysctls6(self.stack).read(tuple(rest))
            case ("net", "bridge", name) if self.stack.bridge_nf is not None and name in self.stack.bridge_nf:
                return str(self.stack.bridge_nf[name])
        raise RtnlError(ENOENT, None)

    def _indev(self, place: str) -> InDevice:
        device = self.stack.netns.devices.get(place)
        if device is None or device in self.stack.without_ip:
            raise RtnlError(ENOENT)
        return self.stack.indev(device)

    def _conf(self, place: str) -> Conf:
        named = {"all": self.stack.conf_all, "default": self.stack.conf_default}
        return named.get(place) or self._indev(place).conf

    def _first(self) -> bool:
        """Only the initial namespace has neigh/default (arp_init registers the table's own parameters there)."""
        return not self.stack.netns.name

    def _neigh(self, place: str) -> Conf:
        if place == "default" and not self._first():
            raise RtnlError(ENOENT)
        return self.stack.neigh_default if place == "default" else self._indev(place).neigh

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(self, key: Key, text: str) -> None:
        """Set a key.

        Raises:
            RtnlError: ENOENT for an unknown key, EINVAL for a value the kernel does not take.
            Unsupported: a value whose meaning is not modelled.
        """
        old = self.read(key)
        if key == _SOURCE_ROUTES or (key[-1] in _FIXED and key[:2] == ("net", "ipv4")):
            _refuse_change(key, old, text)
            return
        match key:
            case ("net", "ipv6", *rest):
                Sysctls6(self.stack).write(tuple(rest), _number(text))
            case ("net", "ipv4", "ip_forward"):
                self._forward_all(_number(text))
            case ("net", "ipv4", "ping_group_range"):
                self._ping_groups(text)
            case ("net", "ipv4", "tcp_congestion_control"):
                self._congestion(text.strip())
            case ("net", "ipv4", "tcp_rmem"):
                self.stack.tcp_rmem = self._sizes(self.stack.tcp_rmem, text)
            case ("net", "ipv4", "tcp_wmem"):
                self.stack.tcp_wmem = self._sizes(self.stack.tcp_wmem, text)
            case ("net", "ipv4", "conf", place, leaf):
                self._write_conf(place, leaf, _number(text))
            case ("net", "ipv4", "neigh", place, leaf):
                name, unit = _TWINS.get(leaf, (leaf, 1))
                self._write_neigh(place, name, _number(text) * unit)
            case ("net", "bridge", name) if "-call-" in name and self.stack.bridge_nf is not None:
                self.stack.bridge_nf[name] = int(bool(_number(text)))
                self.stack.filter_bridges()
            case ("net", "ipv4", name):
                low, high = _LIMITS.get(name, (-(2**31), 2**31 - 1))
                value = _number(text)
                if not low <= value <= high:
                    raise RtnlError(EINVAL)
                self.stack.settings[name] = value
            case _:
                _refuse_change(key, old, text)

    def _ping_groups(self, text: str) -> None:
        low, high = (_number(part) for part in [*text.split(), "", ""][:2])
        if low < 0 or high < 0:
            raise RtnlError(EINVAL)
        self.stack.ping_group_range = (low, high) if low <= high else (1, 0)

    def _congestion(self, name: str) -> None:
        if name not in CONTROLS:
            if name in _OTHER_CONTROLS:
                raise Unsupported(f"net.ipv4.tcp_congestion_control = {name}: only cubic and reno are modelled")
            raise RtnlError(ENOENT)
        self.stack.tcp_congestion = name

    @staticmethod
    def _sizes(old: tuple[int, int, int], text: str) -> tuple[int, int, int]:
        """Up to three sizes of a buffer, at least 1 each; what is left out stays."""
        given = [_number(part) for part in text.split()][:3]
        if any(size < 1 for size in given):
            raise RtnlError(EINVAL)
        least, first, most = (*given, *old[len(given) :])
        return least, first, most

    def _forward_all(self, value: int) -> None:
        """Switch forwarding everywhere; a router stops believing redirects (inet_forward_change)."""
        stack = self.stack
        stack.conf_all.values["accept_redirects"] = 0 if value else 1
        for conf in (stack.conf_all, stack.conf_default, *(i.conf for i in stack.indevs.values())):
            conf.values["forwarding"] = value

    def _write_conf(self, place: str, leaf: str, value: int) -> None:
        if leaf == "mc_forwarding":
            raise RtnlError(1)
        if leaf == "forwarding" and place == "all":
            self._forward_all(value)
            return
        self._conf(place).values[leaf] = value

    def _write_neigh(self, place: str, name: str, value: int) -> None:
        if value < 0:
            raise RtnlError(EINVAL)
        self._neigh(place).values[name] = value
        if name == "base_reachable_time_ms":
            chosen = self.stack.indevs.values() if place == "default" else [self._indev(place)]
            for indev in chosen:
                indev.redraw(self.stack.kernel.now)


def _refuse_change(key: Key, old: str, text: str) -> None:
    """Take a value only when it changes nothing; what the kernel itself refuses is refused as it does."""
    value = _number(text)
    low, high = _LIMITS.get(key[-1], (-(2**31), 2**31 - 1))
    if not low <= value <= high:
        raise RtnlError(EINVAL)
    if str(value) != old:
        raise Unsupported(f"{key_text(key)} = {text.strip()}: only {old} is modelled")


def _number(text: str) -> int:
    """Read one integer as proc_dointvec does: decimal, octal or hexadecimal."""
    body = text.strip()
    sign, digits = (-1, body[1:]) if body.startswith("-") else (1, body)
    try:
        base = 16 if digits[:2].lower() == "0x" else 8 if digits[:1] == "0" and len(digits) > 1 else 10
        value = sign * int(digits, base)
    except ValueError as error:
        raise RtnlError(EINVAL) from error
    if not -(2**31) <= value < 2**31 or "_" in digits:
        raise RtnlError(EINVAL)
    return value
