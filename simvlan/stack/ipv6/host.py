"""IPv6 of one namespace: its parts hang here and find each other; events of devices are told from here.

Mirrors struct netns_ipv6, addrconf_notify and rt6_* notifiers. A namespace has this object once somebody switched IPv6
on in it; before, no device has an IPv6 side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.devices.device import Event
from simvlan.segmentation import longest
from simvlan.stack import fib
from simvlan.stack.inetdev import Conf
from simvlan.stack.ipv6 import icmp6, packet
from simvlan.stack.ipv6.addr import ALL_NODES
from simvlan.stack.ipv6.addrconf import Addrconf
from simvlan.stack.ipv6.anycast import Anycast
from simvlan.stack.ipv6.family6 import Family6
from simvlan.stack.ipv6.fib6 import Fib6, Route6
from simvlan.stack.ipv6.forward6 import Forward6
from simvlan.stack.ipv6.frag import Reassembly6
from simvlan.stack.ipv6.groups import Groups
from simvlan.stack.ipv6.icmp import Icmp6, Limits6
from simvlan.stack.ipv6.inet6dev import Ifaddr6, Inet6Dev
from simvlan.stack.ipv6.input import Input6, Packet6
from simvlan.stack.ipv6.ndisc import Ndisc
from simvlan.stack.ipv6.neigh6 import Neighbours6
from simvlan.stack.ipv6.output import Output6, RouteResult6
from simvlan.stack.ipv6.packet import ICMPV6, MIN_MTU, TCP, UDP
from simvlan.stack.ipv6.pmtu6 import Exceptions6
from simvlan.stack.ipv6.ra import Routers
from simvlan.stack.ipv6.select import Select
from simvlan.stack.ipv6.settings import CONF6_DEFAULT_ONLY, CONF6_DEFAULTS, LOOPBACK, NEIGH6_DEFAULTS, SETTINGS6
from simvlan.stack.neigh import FAILED
from simvlan.stack.socket_table import Sockets
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.devices.device import Device
    from simvlan.frame import Frame
    from simvlan.stack.netstack import Stack


COLLECT_NS = 30 * SECOND
"""net.ipv6.route.gc_interval."""


class Ip6:
    """The IPv6 protocols of one namespace."""

    def __init__(self, stack: Stack, disabled: bool) -> None:
        self.stack = stack
        self.devices: dict[Device, Inet6Dev] = {}
        self.conf_all = Conf(CONF6_DEFAULTS)
        self.conf_default = Conf({**CONF6_DEFAULTS, **CONF6_DEFAULT_ONLY})
        self.conf_default.values.update(CONF6_DEFAULT_ONLY)
        for conf in (self.conf_all, self.conf_default):
            conf.values["disable_ipv6"] = int(disabled)
        self.neigh_default = Conf(NEIGH6_DEFAULTS)
        self.settings = dict(SETTINGS6)
        self.fib = Fib6()
        self.select = Select(self)
        self.limits = Limits6(self)
        self.neigh = Neighbours6(self)
        self.groups = Groups(self)
        self.anycast = Anycast(self)
        self.addrconf = Addrconf(self)
        self.ndisc = Ndisc(self)
        self.ra = Routers(self)
        self.pmtu = Exceptions6(self)
        self.output = Output6(self)
        self.input = Input6(self)
        self.forward = Forward6(self)
        self.reassembly = Reassembly6(self)
        self.icmp = Icmp6(self)
        self.family = Family6(self)
        self.sockets = Sockets(stack, self.family, stack.sockets.ports)
        self._ident = 0
        self._collecting = False
        for dev in stack.netns.devices.values():
            self.device_added(dev)

    # -- the world --------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The current time in ns."""
        now: int = self.stack.kernel.now
        return now

    def at(self, time_ns: int, action: Callable[[], object]) -> Timer:
        """Run an action at a time."""
        timer: Timer = self.stack.kernel.at(time_ns, action)
        return timer

    def soon(self, action: Callable[[], object]) -> None:
        """Run an action as soon as what goes on is over (a work queue)."""
        self.stack.kernel.soon(action)

    # -- frames -----------------------------------------------------------------------------------------------------

    def receive(self, dev: Device, frame: Frame, why: Why) -> Drop | None:
        """Take a frame; the drop when nobody took it."""
        return self.input.receive(dev, frame, why)

    def deliver(self, found: Packet6, why: Why) -> Drop | None:
        """Give a packet for this host to raw sockets and its protocol (ip6_protocol_deliver_rcu)."""
        heard = self.sockets.to_raw(found)
        if found.proto == ICMPV6:
            return self.icmp.receive(found, why)
        if found.proto == UDP:
            return self.sockets.datagram(found)
        if found.proto == TCP:
            return self.stack.tcp.receive(found)
        if heard:
            return None
        self.icmp.error(found, 4, 1, found.spot)
        return Drop.IP_NOPROTO

    def own_packet(self, octets: bytes, dev: Device) -> Packet6:
        """A packet of our own, for errors about it: they come back by lo."""
        found = Packet6(octets, dev)
        found.input_if = dev
        return found

    def next_ident(self) -> int:
        """The next identification of fragments: counted from 1."""
        self._ident = self._ident % 0xFFFF_FFFF + 1
        return self._ident

    # -- devices ----------------------------------------------------------------------------------------------------

    def idev(self, dev: Device | None) -> Inet6Dev | None:
        """The IPv6 side of a device, if it has one."""
        return self.devices.get(dev) if dev is not None else None

    def side(self, dev: Device) -> Inet6Dev:
        """The IPv6 side of a device; an empty one, kept nowhere, for a device without."""
        return self.devices.get(dev) or self._fresh(dev)

    def _fresh(self, dev: Device) -> Inet6Dev:
        seed = f"{self.stack.kernel.seed}/stack6/{self.stack.netns.name}/{dev.name}"
        idev = Inet6Dev(dev, self.conf_default, self.neigh_default, seed)
        if not dev.kind:
            idev.conf.values |= LOOPBACK
        return idev

    def device_added(self, dev: Device) -> None:
        """A device appears in the namespace (ipv6_add_dev)."""
        if dev in self.devices or dev.mtu < MIN_MTU:
            return
        idev = self.devices[dev] = self._fresh(dev)
        self.groups.begin(idev)
        if dev.up:
            self.addrconf.up(idev)

    def device_event(self, dev: Device, event: Event) -> None:
        """React to a change of a device (addrconf_notify, ndisc_netdev_event)."""
        if event is Event.MTU:
            self._follow_mtu(dev)
        idev = self.idev(dev)
        if idev is None:
            return
        if event is Event.UP:
            self.addrconf.up(idev)
            self._announce(idev)
        elif event is Event.CHANGE:
            self._carrier(idev)
        elif event is Event.DOWN:
            self.addrconf.down(idev, gone=False)
        elif event is Event.MAC:
            self.neigh.forget_device(dev)
            self._announce(idev)
        elif event is Event.FLAGS:
            self.neigh.forget_device(dev)
            self.addrconf.again(idev)
        elif event in (Event.UNREGISTER, Event.MOVED):
            self.addrconf.down(idev, gone=True)

    def _carrier(self, idev: Inet6Dev) -> None:
        if not idev.dev.carrier and idev.conf.get("ndisc_evict_nocarrier") and self.conf_all.get(
            "ndisc_evict_nocarrier"
        ):  # fmt: skip
            self.neigh.forget_device(idev.dev, keep_permanent=True)
        self.addrconf.changed(idev)

    def _announce(self, idev: Inet6Dev) -> None:
        """Tell everybody of a new MAC where ndisc_notify asks for it (ndisc_send_unsol_na)."""
        if idev.dev.up and self.either(idev, "ndisc_notify"):
            for ifa in idev.addresses:
                if ifa.usable:
                    self.ndisc.send_na(idev.dev, ALL_NODES, ifa.address, solicited=False, override=True,
                                       tell=True)  # fmt: skip

    def _follow_mtu(self, dev: Device) -> None:
        """Under 1280 octets there is no IPv6."""
        idev = self.idev(dev)
        if idev is None:
            self.device_added(dev)
        elif dev.mtu < MIN_MTU:
            self.addrconf.down(idev, gone=bool(dev.kind))
        else:
            self._change_mtu(idev, dev.mtu)

    def _change_mtu(self, idev: Inet6Dev, mtu: int) -> None:
        """Routes with an MTU follow their device: down, and up from where it was the least (rt6_mtu_change)."""
        for route in self.fib.routes():
            known = route.metrics.get("mtu", 0)
            if route.dev is idev.dev and known and not route.locked and (known >= mtu or known == idev.mtu):
                route.metrics["mtu"] = mtu
        idev.mtu = mtu

    def flush_device(self, dev: Device) -> None:
        """Routes by a device go, and neighbours on it (rt6_disable_ip)."""
        for route in [r for r in self.fib.routes() if r.dev is dev]:
            self.fib.remove(route)
        self.neigh.forget_device(dev)
        for key in [key for key in self.neigh.proxies if key[0] is dev]:
            self.neigh.drop_proxy(*key)
        self.pmtu.forget_device(dev.ifindex)

    def switch(self, idev: Inet6Dev, disabled: int) -> None:
        """Set disable_ipv6 on a device (addrconf_disable_change, dev_disable_change)."""
        was = idev.disabled
        idev.conf.values["disable_ipv6"] = disabled
        if was == bool(disabled):
            return
        if disabled:
            self.addrconf.down(idev, gone=False)
        elif idev.dev.up:
            self.addrconf.up(idev)

    def route_packets(self, idev: Inet6Dev, on: int) -> None:
        """Set forwarding on a device (dev_forward_change)."""
        was = bool(idev.conf.get("forwarding"))
        idev.conf.values["forwarding"] = on
        if was == bool(on):
            return
        self.groups.router(idev, bool(on))
        for ifa in idev.addresses:
            if not ifa.tentative:
                (self.addrconf.join_anycast if on else self.addrconf.leave_anycast)(idev, ifa)

    # -- routes -----------------------------------------------------------------------------------------------------

    def expire_route(self, route: Route6, when: int | None) -> None:
        """Give a route an end, or none (fib6_set_expires); the collector takes it away (fib6_run_gc)."""
        route.expires_ns = when
        if when is not None and not self._collecting:
            self._collecting = True
            self.at(self.now + COLLECT_NS, self._collect)

    def _collect(self) -> None:
        """Every half minute while any route has an end."""
        ending = [route for route in self.fib.routes() if route.expires_ns is not None]
        for route in ending:
            if route.expires_ns is not None and route.expires_ns <= self.now:
                self.fib.remove(route)
        self._collecting = any(r.expires_ns is not None and r.expires_ns > self.now for r in ending)
        if self._collecting:
            self.at(self.now + COLLECT_NS, self._collect)

    def finish_route(self, made: RouteResult6) -> None:
        """Let a route follow its device's MTU and what is known of its destination."""
        self.pmtu.apply(made)
        made.mtu = made.mtu or self.mtu_of(made.dev)

    def mtu_of(self, dev: Device) -> int:
        """What a device's link carries as far as IPv6 is concerned (cnf.mtu6)."""
        idev = self.idev(dev)
        return dev.mtu if idev is None else idev.mtu

    def reach(self, route: Route6) -> bool:
        """Whether a gateway may be there: it is not known to have failed (rt6_check_neigh)."""
        if route.dev is None or route.via is None:
            return True
        entry = self.neigh.get(route.dev, route.via)
        return entry is None or entry.state != FAILED

    def route_out(self, octets: bytes, dev: Device, partial: int = 0) -> Drop | None:
        """Send a packet by a device as if routed here (ipvlan_process_v6_outbound); the length is made anew."""
        found = self.own_packet(packet.resize(octets), dev)
        route = self.output.find(found.dst, found.src, dev)
        if isinstance(route, int):
            dev.count_lost()
            return Drop.IPVLAN_NO_IPV6
        if longest(found.data, partial) > route.path_mtu:
            dev.count_lost()
            self.icmp.error(found, icmp6.TOO_BIG, 0, route.path_mtu)
            return Drop.FRAG_NEEDED
        refused = self.output.send(route, found.data, partial, loop=False)  # sk_mc_loop: inside of a transmission
        if not isinstance(refused, Drop):
            return None
        dev.count_lost()
        return refused

    # -- questions --------------------------------------------------------------------------------------------------

    @property
    def is_host(self) -> bool:
        """Whether packets of others are not forwarded (conf.all.forwarding 0)."""
        return not self.conf_all.get("forwarding")

    def either(self, idev: Inet6Dev, key: str) -> bool:
        """A switch that is on for the device or for all."""
        return bool(idev.conf.get(key) or self.conf_all.get(key))

    def addresses(self, dev: Device) -> list[Ifaddr6]:
        """The addresses of a device, in the order they are shown."""
        idev = self.idev(dev)
        return list(idev.addresses) if idev is not None else []

    def owner(self, address: int, dev: Device | None = None) -> Device | None:
        """The device an address is configured and usable on; *dev*: only there."""
        for idev in self.devices.values():
            if dev is None or idev.dev is dev:
                ifa = idev.find(address)
                if ifa is not None and ifa.usable:
                    return idev.dev
        return None

    def is_local(self, address: int) -> bool:
        """Whether the local table holds an address."""
        return any(r.type == fib.LOCAL for r in self.fib.table(fib.LOCAL_TABLE).of_prefix(address, 128))
