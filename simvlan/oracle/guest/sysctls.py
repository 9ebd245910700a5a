"""What every observed namespace starts from: IPv6 off or on, plain bridging, and the kernel's own defaults."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from .tap import within

T = TypeVar("T")

_WITHOUT_IPV6 = {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}
_WITH_IPV6 = {
    f"ipv6/conf/{place}/{knob}": value
    for place in ("all", "default")
    for knob, value in (
        ("disable_ipv6", "0"),
        ("forwarding", "0"),
        ("accept_ra", "1"),
        ("accept_redirects", "1"),
        ("autoconf", "1"),
        ("use_tempaddr", "0"),
        ("addr_gen_mode", "0"),
        ("accept_dad", "0" if place == "all" else "1"),
        ("optimistic_dad", "0"),
        ("use_optimistic", "0"),
    )
}
_BRIDGE = "bridge/"
_PLAIN = {
    # br_netfilter, where it is loaded, rewrites and drops bridged IP frames
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
    # new namespaces copy these from the initial one (net.core.devconf_inherit_init_net 0)
    "ipv4/conf/all/forwarding": "0",
    "ipv4/conf/default/forwarding": "0",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/accept_redirects": "1",
    "ipv4/conf/default/accept_redirects": "1",
    "ipv4/conf/all/send_redirects": "1",
    "ipv4/conf/default/send_redirects": "1",
    "ipv4/conf/default/accept_source_route": "1",
    # a guest of 512 MiB would have less, and another window scale, than the machines that are simulated
    "ipv4/tcp_rmem": "4096\t131072\t6291456",
    "ipv4/tcp_wmem": "4096\t16384\t4194304",
}


def make_plain(ns_fd: int, *, brief: bool = False, ipv6: bool = False) -> None:
    """Bring a namespace to the common start; `brief`: the machine's own settings are plain but for IPv6."""
    within(ns_fd, lambda: _make_plain(brief, ipv6))


def _make_plain(brief: bool, ipv6: bool) -> None:
    for name, value in ((_WITH_IPV6 if ipv6 else _WITHOUT_IPV6) | ({} if brief else _PLAIN)).items():
        if _BRIDGE not in name or _filtered_before():
            set_sysctl(name, value)


@cache
def _filtered_before() -> bool:
    """Whether br_netfilter was there before the script, for the initial namespace is made plain first.

    Namespaces of a script that loads it itself start as the kernel has them.
    """
    return os.path.exists(f"/proc/sys/net/{_BRIDGE}")


def set_sysctl(name: str, value: str) -> None:
    """Write a net sysctl if it exists and differs; a setting that this kernel lacks needs no setting."""
    path = f"/proc/sys/net/{name}"
    with contextlib.suppress(FileNotFoundError):
        if _done(path, os.O_RDONLY, lambda fd: os.read(fd, 256)).strip() != value.encode():
            _done(path, os.O_WRONLY, lambda fd: os.write(fd, value.encode()))


def write_sysctl(knob: str, value: str) -> None:
    """Write a setting given as `sysctl` takes it (`net.ipv4.ip_forward`)."""
    _done(f"/proc/sys/{knob.replace('.', '/')}", os.O_WRONLY, lambda fd: os.write(fd, value.encode()))


def _done(path: str, way: int, action: Callable[[int], T]) -> T:
    """Three system calls; Python's files make eight, and User Mode Linux takes 30 us for each."""
    fd = os.open(path, way | os.O_CLOEXEC)
    try:
        return action(fd)
    finally:
        os.close(fd)
