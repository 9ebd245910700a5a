"""IPv6 of a container's devices: on where the network has it, an address, a default route. Mirrors libnetwork/osl.

Since 26.1 Docker switches IPv6 off on the devices of networks without it (setIPv6); addresses are not looked for
elsewhere first (IFA_F_NODAD).
"""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING

from simvlan.docker.drivers.driver import go_errno
from simvlan.docker.errors import internal
from simvlan.docker.model import Endpoint
from simvlan.errors import RtnlError
from simvlan.rtnl.address6 import address6_add
from simvlan.rtnl.route6 import route6_add, route6_remove
from simvlan.rtnl.sysctl import sysctl_set
from simvlan.stack import fib
from simvlan.stack.ipv6.addr import ip6_text, parse_ip6
from simvlan.stack.ipv6.fib6 import Route6
from simvlan.stack.ipv6.inet6dev import Ifaddr6

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.docker.core import Core
    from simvlan.network import Netns


def switch(core: Core, dev: Device, on: bool) -> None:
    """Switch IPv6 on or off on a device; where the stack has never had any, off is what it is."""
    if on or dev.netns.stack.ip6 is not None:
        sysctl_set(core.net, dev.netns, f"net/ipv6/conf/{dev.name}/disable_ipv6", "0" if on else "1")


def set_up6(core: Core, dev: Device, endpoint: Endpoint) -> None:
    """IPv6 as the endpoint's network has it, and the endpoint's address (setInterfaceIPv6)."""
    switch(core, dev, bool(endpoint.ipv6))
    if not endpoint.ipv6:
        return
    switch(core, dev.netns.devices["lo"], True)
    text = f"{endpoint.ipv6}/{endpoint.plen6}"
    what = f'error setting interface "{endpoint.source}" IP to {text}'
    _check_conflict(dev.netns, text, what)
    try:
        address6_add(core.net, dev, Ifaddr6(parse_ip6(endpoint.ipv6), endpoint.plen6, nodad=True))
    except RtnlError as error:
        raise internal(f"{what}: {go_errno(error)}") from None


def _check_conflict(ns: Netns, text: str, what: str) -> None:
    """No route may overlap the address's subnet (checkRouteConflict)."""
    subnet = ip_interface(text).network
    for route in ns.stack.with_ip6().fib.table(fib.MAIN_TABLE):
        if route.plen and subnet.overlaps(ip_network((route.dst, route.plen))):
            shown = f"cannot program address {text} in sandbox interface because it conflicts with existing route"
            raise internal(f"{what}: {shown} {ip6_text(route.dst)}/{route.plen}")


def choose_default6(core: Core, ns: Netns, chosen: Endpoint | None) -> None:
    """Have the default route by an endpoint's gateway, or by its device, or none."""
    if ns.stack.ip6 is None:
        return
    wanted = _default(ns, chosen) if chosen is not None else None
    ours = [r for r in ns.stack.ip6.fib.table(fib.MAIN_TABLE).of_prefix(0, 0) if r.proto == fib.PROTO_BOOT]
    if wanted is not None and any((r.dev, r.via) == (wanted.dev, wanted.via) for r in ours):
        return
    for route in ours:
        route6_remove(ns, route)
    if wanted is None:
        return
    try:
        route6_add(core.net, ns, wanted)
    except RtnlError as error:
        raise internal(f"updating gateway endpoint: failed to set IPv6 gateway: {go_errno(error)}") from None


def _default(ns: Netns, endpoint: Endpoint) -> Route6:
    via = None if endpoint.onlink6 else parse_ip6(endpoint.gateway6)
    return Route6(0, 0, dev=ns.devices[endpoint.ifname], via=via)
