"""A container's network namespace: its devices, default route, announcements. Mirrors libnetwork/osl and sandbox.go.

The order of a new device: into the namespace, its name, its MAC, its address, sysctls, up, routes, gratuitous ARP; then
the default route is chosen anew among all endpoints.
"""

from __future__ import annotations

from functools import partial
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING

from simvlan.clock import MILLISECOND
from simvlan.docker.drivers.driver import go_errno
from simvlan.docker.errors import DockerError, internal
from simvlan.docker.model import Endpoint, Network
from simvlan.docker.sandbox6 import choose_default6, set_up6
from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import parse_mac
from simvlan.rtnl import link_del, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.route import route_add, route_remove
from simvlan.rtnl.sysctl import sysctl_set
from simvlan.stack import fib
from simvlan.stack.fib import Route
from simvlan.stack.ipaddr import LINK, UNIVERSE, Ifaddr, ip_text, parse_ip

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.docker.core import Core
    from simvlan.network import Netns
    from simvlan.network import Network as World

IFNAME_OPTION = "com.docker.network.endpoint.ifname"
SYSCTLS_OPTION = "com.docker.network.endpoint.sysctls"
MESSAGES_OPTION = "com.docker.network.advertise_addr_nmsgs"
INTERVAL_OPTION = "com.docker.network.advertise_addr_ms"


class Sandbox:
    """One running container's namespace and its endpoints, in the order they were joined."""

    def __init__(self, core: Core, wanted: str, ident: str) -> None:
        self.core = core
        self.id = ident
        self.netns_name = free_netns_name(core, wanted)
        self.joined: list[tuple[Network, Endpoint]] = []
        self._default: tuple[str, str] | None = None
        ns = core.net.add_netns(self.netns_name)
        link_set(core.net, ns.devices["lo"], up=True)

    @property
    def netns(self) -> Netns:
        """The namespace itself."""
        return self.core.net.netns[self.netns_name]

    # -- devices ----------------------------------------------------------------------------------------------------

    def add(self, network: Network, endpoint: Endpoint, prefix: str) -> None:
        """Move an endpoint's device in and set it up; a refusal leaves no device behind."""
        dev = self.netns.devices.get(endpoint.source) or self.core.host.devices[endpoint.source]
        try:
            self._set_up(dev, network, endpoint, prefix)
        except (RtnlError, DockerError) as error:
            text = error.message if isinstance(error, DockerError) else go_errno(error)
            link_del(self.core.net, dev)
            raise internal(f"failed to add interface {endpoint.source} to sandbox: {text}") from None
        self.joined.append((network, endpoint))
        self.choose_default_route()

    def _set_up(self, dev: Device, network: Network, endpoint: Endpoint, prefix: str) -> None:
        net, ns, options = self.core.net, self.netns, endpoint.wish.get("DriverOpts") or {}
        endpoint.ifname = options.get(IFNAME_OPTION) or free_name(ns, prefix)
        if dev.netns is not ns:
            link_set(net, dev, netns=ns)
        link_set(net, dev, name=endpoint.ifname)
        self._set_mac(dev, endpoint)
        if endpoint.ipv4:
            self._set_address(dev, endpoint)
        set_up6(self.core, dev, endpoint)
        self._set_sysctls(options.get(SYSCTLS_OPTION, ""), endpoint.ifname)
        try:
            link_set(net, dev, up=True)
        except RtnlError as error:
            raise internal(f"failed to set link up: {go_errno(error)}") from None
        self._announce(dev, network, endpoint)

    def _set_mac(self, dev: Device, endpoint: Endpoint) -> None:
        if not endpoint.mac:
            return
        try:
            link_set(self.core.net, dev, mac=parse_mac(endpoint.mac))
        except RtnlError as error:
            source = endpoint.source
            raise internal(f'error setting interface "{source}" MAC to "{endpoint.mac}": {go_errno(error)}') from None

    def _set_address(self, dev: Device, endpoint: Endpoint) -> None:
        text = f"{endpoint.ipv4}/{endpoint.plen4}"
        subnet = ip_interface(text).network
        what = f'error setting interface "{endpoint.source}" IP to {text}'
        for route in self.netns.stack.fib.table(fib.MAIN_TABLE):
            if route.plen and subnet.overlaps(ip_network((route.dst, route.plen))):
                shown = f"cannot program address {text} in sandbox interface because it conflicts with existing route"
                raise internal(f"{what}: {shown} {go_route(route)}")
        local = parse_ip(endpoint.ipv4)
        broadcast = int(subnet.broadcast_address) if endpoint.plen4 < 31 else None
        try:
            ifa = Ifaddr(local, endpoint.plen4, broadcast=broadcast, label=dev.name, scope=UNIVERSE)
            address_add(self.core.net, dev, ifa)
        except RtnlError as error:
            raise internal(f"{what}: {go_errno(error)}") from None

    def _set_sysctls(self, text: str, ifname: str) -> None:
        for setting in (each.strip() for each in text.split(",") if each.strip()):
            key, _, value = setting.replace("IFNAME", ifname).partition("=")
            try:
                sysctl_set(self.core.net, self.netns, key, value)
            except (RtnlError, Unsupported) as error:
                why = go_errno(error) if isinstance(error, RtnlError) else str(error)
                raise internal(f"failed to set sysctl {key}={value}: {why}") from None

    def _announce(self, dev: Device, network: Network, endpoint: Endpoint) -> None:
        """Gratuitous ARP when the link is up, then again, a second apart (since 28)."""
        if not (self.core.dialect.announce and endpoint.mac and endpoint.ipv4):
            return
        count = int(network.options.get(MESSAGES_OPTION, "3"))
        interval = int(network.options.get(INTERVAL_OPTION, "1000")) * MILLISECOND
        for number in range(count):
            say = partial(announce, self.core.net, dev, parse_ip(endpoint.ipv4))
            if number:
                self.core.net.at(self.core.net.now + number * interval, say)
            else:
                say()

    def remove(self, endpoint: Endpoint) -> None:
        """Take an endpoint's device away, if it is here, and choose the default route anew."""
        if not any(entry[1] is endpoint for entry in self.joined):
            return
        dev = self.netns.devices.get(endpoint.ifname)
        if dev is not None:
            link_del(self.core.net, dev)
        self.joined = [entry for entry in self.joined if entry[1] is not endpoint]
        self.choose_default_route()

    def destroy(self) -> None:
        """Delete the namespace; virtual devices die with it."""
        net = self.core.net
        net.del_netns(self.netns_name)
        for ns in net.netns.values():
            ns.nsids.pop(self.netns_name, None)
        net.drain()

    def rename(self, wanted: str) -> None:
        """Follow the container's new name."""
        net, old = self.core.net, self.netns_name
        new = free_netns_name(self.core, wanted)
        net.netns = {(new if name == old else name): ns for name, ns in net.netns.items()}
        net.netns[new].name = self.netns_name = new
        for ns in net.netns.values():
            if old in ns.nsids:
                ns.nsids[new] = ns.nsids.pop(old)

    # -- the default route ------------------------------------------------------------------------------------------

    def choose_default_route(self) -> None:
        """Route by the endpoint that comes first (updateGateway): by priority, inwardness, families, network name."""
        chosen, chosen6 = gateway_endpoints(self.joined)
        choose_default6(self.core, self.netns, chosen6)
        wanted = (chosen.ifname, chosen.gateway4) if chosen is not None else None
        if wanted == self._default and not self._stale(chosen):
            return
        self._drop_default()
        if chosen is not None:
            self._add_default(chosen)
        self._default = wanted

    def _stale(self, chosen: Endpoint | None) -> bool:
        """No default route although there should be one: its device was taken away."""
        return chosen is not None and not self._defaults()

    def _defaults(self) -> list[Route]:
        return list(self.netns.stack.fib.table(fib.MAIN_TABLE).of_prefix(0, 0))

    def _drop_default(self) -> None:
        for route in self._defaults():
            route_remove(self.core.net, self.netns, route)

    def _add_default(self, endpoint: Endpoint) -> None:
        dev = self.netns.devices[endpoint.ifname]
        try:
            if endpoint.onlink4:
                route_add(self.core.net, self.netns, Route(0, 0, dev=dev, scope=LINK))
            else:
                route_add(self.core.net, self.netns, Route(0, 0, dev=dev, via=parse_ip(endpoint.gateway4)))
        except RtnlError as error:
            raise internal(f"updating gateway endpoint: failed to set gateway: {go_errno(error)}") from None


def gateway_endpoints(joined: list[tuple[Network, Endpoint]]) -> tuple[Endpoint | None, Endpoint | None]:
    """The endpoints that have the default routes of IPv4 and of IPv6; None where nobody offers one.

    The first that offers a family, unless one after it offers both before the other family was found
    (selectGatewayEndpoint).
    """
    four: Endpoint | None = None
    six: Endpoint | None = None
    for _, endpoint in sorted(joined, key=lambda entry: gateway_order(*entry)):
        has4, has6 = offers(endpoint)
        if has4 and has6:
            return endpoint, endpoint
        four = four or (endpoint if has4 else None)
        six = six or (endpoint if has6 else None)
        if four is not None and six is not None:
            break
    return four, six


def offers(endpoint: Endpoint) -> tuple[bool, bool]:
    """Whether an endpoint has a way out, in IPv4 and in IPv6."""
    return bool(endpoint.gateway4) or endpoint.onlink4, bool(endpoint.gateway6) or endpoint.onlink6


def gateway_order(network: Network, endpoint: Endpoint) -> tuple[int, bool, int, str]:
    """Sort key: higher priority first, internal last, both families before one, then the network's name."""
    return -endpoint.priority, network.internal, -sum(offers(endpoint)), network.name


def announce(net: World, dev: Device, address: int) -> None:
    """Send one gratuitous ARP request, if the device still has the address and is up."""
    here = dev.netns.devices.get(dev.name) is dev
    if here and dev.up and any(ifa.local == address for ifa in dev.netns.stack.addresses(dev)):
        dev.netns.stack.arp.announce(dev, address)
        net.drain()


def go_route(route: Route) -> str:
    """A route as Docker's netlink library prints it."""
    index = route.dev.ifindex if route.dev is not None else 0
    source = ip_text(route.src) if route.src is not None else "<nil>"
    via = ip_text(route.via) if route.via is not None else "<nil>"
    target = f"{ip_text(route.dst)}/{route.plen}"
    return f"{{Ifindex: {index} Dst: {target} Src: {source} Gw: {via} Flags: [] Table: {route.table} Realm: 0}}"


def free_name(ns: Netns, prefix: str) -> str:
    """`eth` and the lowest number not in use."""
    number = 0
    while f"{prefix}{number}" in ns.devices:
        number += 1
    return f"{prefix}{number}"


def free_netns_name(core: Core, wanted: str) -> str:
    """The container's name; where a namespace of that name is taken, the node's name stands before it."""
    if wanted not in core.net.netns and wanted != "root":
        return wanted
    name = f"{core.hostname}.{wanted}"
    while name in core.net.netns:
        name += "'"
    return name
