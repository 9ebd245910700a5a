"""Whom a name means: addresses of both families in the order in which getaddrinfo(3) gives them (glibc 2.36).

`names.look_up` asks hosts file and name servers before; here is what is made of their answers.
"""

from __future__ import annotations

import ipaddress
from typing import Any, NamedTuple

from simvlan.tools.common import resolve
from simvlan.tools.program import Process

WRONG_FAMILY = "Address family for hostname not supported"
UNKNOWN, NOBODY = "Name or service not known", "Temporary failure in name resolution"
BARE = "No address associated with hostname"
_PREFIXES = (
    ("::1/128", 0, 50), ("2002::/16", 2, 30), ("::/96", 3, 20), ("::ffff:0:0/96", 4, 10), ("fec0::/10", 5, 40),
    ("fc00::/7", 6, 40), ("2001::/32", 7, 40),
)  # fmt: skip
POLICY = tuple((ipaddress.IPv6Network(text), label, rank) for text, label, rank in _PREFIXES)
"""Labels and precedences of RFC 6724 as glibc has them; all others have label 1 and precedence 40."""


class Host(NamedTuple):
    """An address with its family (4 or 6) and the device it was given with."""

    family: int
    address: int
    zone: str = ""

    @property
    def text(self) -> str:
        """The address alone."""
        made = ipaddress.IPv4Address if self.family == 4 else ipaddress.IPv6Address
        return str(made(self.address))

    @property
    def bracketed(self) -> str:
        """The address as URLs have it."""
        return self.text if self.family == 4 else f"[{self.text}]"

    def device(self, stack: Any) -> Any:
        """The device it was given with."""
        return stack.netns.devices.get(self.zone) if self.zone else None


def literal(name: str, family: int = 0) -> Host | None:
    """An address as people write it (`fe80::1%eth0`); localhost is one too, of the family that is wanted."""
    if name == "localhost" and family == 6:
        return Host(6, 1)
    number = resolve(name)
    if number is not None:
        return Host(4, number)
    text, _, zone = name.partition("%")
    try:
        return Host(6, int(ipaddress.IPv6Address(text)), zone)
    except ValueError:
        return None


def find_all(proc: Process, name: str, family: int = 0) -> list[Host] | str:
    """The addresses of a name, best first; else what getaddrinfo complains of.

    Args:
        family: 4 or 6 where only one is wanted.
    """
    stack = proc.lab.network.netns[proc.netns].stack
    given = literal(name, family)
    if given is not None:
        if family not in (0, given.family):
            return WRONG_FAMILY
        return UNKNOWN if given.zone and given.device(stack) is None else [given]
    found = proc.lookup(name)
    hosts = [host for host in map(literal, found or ()) if host is not None and family in (0, host.family)]
    if hosts:
        return ordered(stack, hosts)
    return NOBODY if found is None else BARE if name in proc.bare_names else UNKNOWN


def ordered(stack: Any, hosts: list[Host]) -> list[Host]:
    """Sort addresses by what can be reached and how well it fits (RFC 6724, 6; rfc3484_sort of glibc)."""
    return hosts if len(hosts) < 2 else sorted(hosts, key=lambda host: _rank(stack, host))


def _rank(stack: Any, host: Host) -> tuple[bool, bool, bool, int, int]:
    dst = _mapped(host.family, host.address)
    route = stack.family_of(host.family).find(host.address, 0, host.device(stack)) if _has(stack, host.family) else 0
    if isinstance(route, int):
        return True, True, True, -_policy(dst)[1], _scope(dst)
    src = _mapped(host.family, route.src)
    return False, _scope(src) != _scope(dst), _policy(src)[0] != _policy(dst)[0], -_policy(dst)[1], _scope(dst)


def _has(stack: Any, family: int) -> bool:
    return family == 4 or stack.ip6 is not None


def _mapped(family: int, address: int) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address(address if family == 6 else 0xFFFF << 32 | address)


def _policy(address: ipaddress.IPv6Address) -> tuple[int, int]:
    """Label and precedence."""
    return next(((label, rank) for net, label, rank in POLICY if address in net), (1, 40))


def _scope(address: ipaddress.IPv6Address) -> int:
    """Link 2, site 5, global 14."""
    inner = address.ipv4_mapped
    if inner is not None:
        return 2 if inner.is_loopback or inner.is_link_local else 14
    if address.is_multicast:
        return address.packed[1] & 15
    return 2 if address.is_link_local or address.is_loopback else 5 if address.is_site_local else 14
