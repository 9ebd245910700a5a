"""Neighbour discovery: what is asked, answered and learnt. Mirrors net/ipv6/ndisc.c; RFC 4861, RFC 7527."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from simvlan.clock import TICK
from simvlan.frame import HOST, IPV6, Frame
from simvlan.stack.ipv6 import addr, icmp6, ndp, packet
from simvlan.stack.ipv6.addr import ip6_text, is_multicast
from simvlan.stack.neigh import FAILED, REACHABLE, STALE
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6
    from simvlan.stack.ipv6.inet6dev import Ifaddr6, Inet6Dev
    from simvlan.stack.ipv6.input import Packet6

HOPS = 255


class Ndisc:
    """The neighbour discovery half of a stack."""

    __slots__ = ("ip6",)

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6

    # -- sending ----------------------------------------------------------------------------------------------------

    def send_ns(self, dev: Device, target: int, dst: int, src: int | None, nonce: bytes = b"") -> None:
        """Ask for a neighbour (ndisc_send_ns); *src* None: from the link-local address, `::` when detecting."""
        if src is None:
            idev = self.ip6.idev(dev)
            src = idev.link_local() if idev is not None else None
            if src is None:
                return
        options: list[ndp.Option] = []
        if src:
            options.append(ndp.link_layer(ndp.SLLA, dev.mac))
        if nonce:
            options.append(ndp.nonce(nonce))
        self.send(dev, src, dst, ndp.build_ns(src, dst, target, tuple(options)))

    def send_na(
        self, dev: Device, dst: int, target: int, *, solicited: bool, override: bool, tell: bool,
        router: bool | None = None,
    ) -> None:  # fmt: skip
        """Answer or announce (ndisc_send_na); *tell*: with the MAC."""
        idev = self.ip6.idev(dev)
        if idev is None:
            return
        own = idev.find(target)
        src = target if own is not None else self.ip6.select.source(dev, dst)
        override = override and not (own is not None and own.optimistic)
        if src is None:
            return
        tell = tell or (own is not None and bool(idev.conf.get("force_tllao")))
        options = (ndp.link_layer(ndp.TLLA, dev.mac),) if tell else ()
        is_router = bool(idev.conf.get("forwarding")) if router is None else router
        said = ndp.Advertisement(target, is_router, solicited, override, options)
        self.send(dev, src, dst, ndp.build_na(src, dst, said))

    def send_rs(self, dev: Device, src: int) -> None:
        """Look for routers (ndisc_send_rs)."""
        dst = addr.ALL_ROUTERS
        self.send(dev, src, dst, ndp.build_rs(src, dst, (ndp.link_layer(ndp.SLLA, dev.mac),)))

    def send(self, dev: Device, src: int, dst: int, message: bytes) -> None:
        """Send a message whatever the routes say (ndisc_send_skb), unless IPv6 is off on the device (ip6_output)."""
        idev = self.ip6.idev(dev)
        if idev is None or idev.disabled:
            return
        octets = packet.build(src, dst, packet.ICMPV6, message, hops=HOPS)
        if is_multicast(dst):
            self.ip6.stack.kernel.workers.let_go_of_route()  # by its route (icmp6_dst_alloc)
            self.ip6.stack.emit(dev, Frame(addr.multicast_mac(dst), dev.mac, IPV6, octets), dst)
        else:
            self.ip6.neigh.send(dev, dst, octets, False, self.ip6.own_packet(octets, dev), own_route=True)

    def send_redirect(self, about: Packet6, target: int) -> None:
        """Tell a host of a better first hop (ndisc_send_redirect)."""
        dev, ip6 = about.dev, self.ip6
        idev = ip6.idev(dev) if dev is not None else None
        src = idev.link_local() if idev is not None else None
        if dev is None or src is None or (target != about.dst and not addr.is_link_local(target)):
            return
        found = ip6.output.find(about.src, src=src, oif=dev)
        if isinstance(found, int) or found.gateway is not None or not ip6.limits.redirect(about.src):
            return
        entry = ip6.neigh.ensure(dev, target)
        known = (ndp.link_layer(ndp.TLLA, entry.mac),) if entry is not None and entry.valid else ()
        room = packet.MIN_MTU - 40 - 40 - 8 * len(known) - 8
        quoted = ndp.redirected(about.data[: min(room, len(about.data)) & ~7])
        said = ndp.Redirect(target, about.dst, (*known, quoted))
        self.send(found.dev, src, about.src, ndp.build_redirect(src, about.src, said))

    # -- receiving --------------------------------------------------------------------------------------------------

    def receive(self, found: Packet6, octets: bytes, why: Why) -> Drop | None:
        """Take a message (ndisc_rcv)."""
        dev = found.dev
        idev = self.ip6.idev(dev) if dev is not None else None
        if idev is None:
            return Drop.IPV6DISABLED
        if found.fragmented and idev.conf.get("suppress_frag_ndisc"):
            return Drop.IPV6_NDISC_FRAG
        if found.hops != HOPS:
            return Drop.IPV6_NDISC_HOP_LIMIT
        if octets[1]:
            return Drop.IPV6_NDISC_BAD_CODE
        if octets[0] == icmp6.NS:
            return self._solicited(idev, found, octets, why)
        if octets[0] == icmp6.NA:
            return self._advertised(idev, found, octets, why)
        if octets[0] == icmp6.RS:
            return self._router_solicited(idev, found, octets)
        if octets[0] == icmp6.RA:
            return self.ip6.ra.receive(idev, found, octets, why)
        return self.ip6.icmp.redirected(idev, found, octets)

    def _solicited(self, idev: Inet6Dev, found: Packet6, octets: bytes, why: Why) -> Drop | None:
        """A neighbour solicitation (ndisc_recv_ns)."""
        if len(octets) < 24:
            return Drop.PKT_TOO_SMALL
        ns = ndp.parse_ns(octets)
        dad = not found.src
        if ns is None:
            return Drop.IPV6_NDISC_BAD_OPTIONS
        if is_multicast(ns.target) or (dad and found.dst >> 24 != addr.SOLICITED >> 24):
            return Drop.IPV6_NDISC_INVALID
        mac = ndp.read_mac(ns.options, ndp.SLLA)
        if any(kind == ndp.SLLA for kind, _ in ns.options) and (mac is None or dad):
            return Drop.IPV6_NDISC_BAD_OPTIONS
        own = idev.find(ns.target)
        if own is not None and own.tentative and (dad or not own.optimistic):
            return self._doubted(idev, own, ns, dad, why)
        grouped = is_multicast(found.dst)
        router: bool | None = None
        if own is None:
            router = self._stands_in(idev, ns.target)
            if router is None and not self.ip6.anycast.shared(idev.dev, ns.target):
                return Drop.IPV6_NDISC_NS_OTHERHOST
            delay = idev.neigh.get("proxy_delay") * TICK
            if found.ptype is not HOST and grouped and delay and not found.waited:
                found.waited = True
                when = self.ip6.now + idev.rng.randrange(delay)
                self.ip6.at(when, partial(self._solicited, idev, found, octets, None))
                return None
        if why:
            why(f"{ip6_text(ns.target)} is {'ours' if own is not None else 'answered for'}")
        self._answer(idev, found, ns, mac, own is not None, router, dad, grouped)
        return None

    def _answer(
        self, idev: Inet6Dev, found: Packet6, ns: ndp.Solicitation, mac: int | None, own: bool, router: bool | None,
        dad: bool, grouped: bool,
    ) -> None:  # fmt: skip
        """Learn who asks, and tell; one who only detects duplicates is told by way of all."""
        dev = idev.dev
        if dad:
            self.send_na(dev, addr.ALL_NODES, ns.target, solicited=False, override=own, tell=True, router=router)
            return
        table = self.ip6.neigh
        make = not grouped or mac is not None or idev.nbma
        entry = table.ensure(dev, found.src) if make else table.get(dev, found.src)
        if entry is not None:
            table.update(entry, mac, STALE, override=True, weak=True)
            self.send_na(
                dev, found.src, ns.target, solicited=True, override=own and grouped, tell=grouped, router=router
            )  # fmt: skip

    def _doubted(self, idev: Inet6Dev, own: Ifaddr6, ns: ndp.Solicitation, dad: bool, why: Why) -> Drop | None:
        """Somebody asks for an address we are not sure of: if it detects too, neither may have it."""
        if not dad:
            return Drop.IPV6_TENTATIVE
        if own.nonce and (ndp.NONCE, own.nonce) in ns.options:
            return Drop.IPV6_DAD_LOOPED
        if why:
            why(f"{ip6_text(own.address)} is a duplicate: another host wants it")
        self.ip6.addrconf.conflict(idev, own)
        return None

    def _stands_in(self, idev: Inet6Dev, target: int) -> bool | None:
        """Whether we answer for another (proxy_ndp): if so, whether as a router; None: we do not."""
        if not idev.conf.get("forwarding") or not self.ip6.either(idev, "proxy_ndp"):
            return None
        for dev in (idev.dev, None):
            if (dev, target) in self.ip6.neigh.proxies:
                return bool(self.ip6.neigh.proxies[dev, target])
        return None

    def _advertised(self, idev: Inet6Dev, found: Packet6, octets: bytes, why: Why) -> Drop | None:
        """A neighbour advertisement (ndisc_recv_na)."""
        if len(octets) < 24:
            return Drop.PKT_TOO_SMALL
        na = ndp.parse_na(octets)
        if na is None:
            return Drop.IPV6_NDISC_BAD_OPTIONS
        if is_multicast(na.target) or (is_multicast(found.dst) and na.solicited):
            return Drop.IPV6_NDISC_INVALID
        if not na.solicited and idev.conf.get("drop_unsolicited_na"):
            return Drop.IPV6_NDISC_UNSOLICITED
        mac = ndp.read_mac(na.options, ndp.TLLA)
        if mac is None and any(kind == ndp.TLLA for kind, _ in na.options):
            return Drop.IPV6_NDISC_BAD_OPTIONS
        own = idev.find(na.target)
        if own is not None:
            if own.tentative and not found.looped:
                if why:
                    why(f"{ip6_text(own.address)} is a duplicate: another host has it")
                self.ip6.addrconf.conflict(idev, own)
                return None
            return Drop.IPV6_NDISC_OWN_ADDRESS
        return self._learn(idev, found, na, mac, why)

    def _learn(self, idev: Inet6Dev, found: Packet6, na: ndp.Advertisement, mac: int | None, why: Why) -> Drop | None:
        table = self.ip6.neigh
        entry = table.get(idev.dev, na.target)
        if entry is None or entry.state == FAILED:
            return Drop.IPV6_NDISC_NO_ENTRY
        was_router = entry.router
        if why:
            why(f"entry for {ip6_text(na.target)} {'confirmed' if na.solicited else 'refreshed'}")
        state = REACHABLE if na.solicited else STALE
        table.update(entry, mac, state, override=na.override, weak=True, router=na.router)
        if was_router and not entry.router:
            self.ip6.ra.no_router(found.src)
        return None

    def _router_solicited(self, idev: Inet6Dev, found: Packet6, octets: bytes) -> Drop | None:
        """A router learns who looks for it (ndisc_recv_rs); the answer is a program's."""
        options = ndp.parse_rs(octets)
        if len(octets) < 8:
            return Drop.PKT_TOO_SMALL
        if not idev.conf.get("forwarding"):
            return Drop.IPV6_NOT_ROUTER
        if options is None:
            return Drop.IPV6_NDISC_BAD_OPTIONS
        mac = ndp.read_mac(options, ndp.SLLA)
        if not found.src:
            return None
        entry = self.ip6.neigh.ensure(idev.dev, found.src)
        if entry is not None:
            self.ip6.neigh.update(entry, mac, STALE, override=True, weak=True, router=False)
        return None
