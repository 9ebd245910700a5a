"""The neighbours of IPv6: the machinery of `stack/neigh.py` with the rules of nd_tbl (net/ipv6/ndisc.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simvlan.frame import IPV6
from simvlan.stack.inetdev import Side
from simvlan.stack.ipv6 import icmp6
from simvlan.stack.ipv6.addr import is_multicast, multicast_mac, solicited_node
from simvlan.stack.neigh import NOARP, Neighbour, NeighbourTable

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6


class Neighbours6(NeighbourTable):
    """All IPv6 neighbours of a namespace, by device and address."""

    __slots__ = ("ip6",)

    ethertype = IPV6

    def __init__(self, ip6: Ip6) -> None:
        super().__init__(ip6.stack)
        self.ip6 = ip6

    def _indev(self, dev: Device) -> Side:
        return self.ip6.side(dev)

    def _construct(self, entry: Neighbour) -> None:
        """Give addresses that need no solicitation their MAC at once (ndisc_constructor)."""
        dev, ip = entry.dev, entry.ip
        if is_multicast(ip):
            entry.state, entry.mac = NOARP, multicast_mac(ip)
        elif dev.noarp or not dev.kind:
            entry.state, entry.mac = NOARP, dev.mac

    def add_proxy(self, dev: Device | None, ip: int) -> None:
        """Answer for an address: its solicitations are heard (pndisc_constructor)."""
        self.proxies[dev, ip] = 0
        idev = self.ip6.idev(dev)
        if idev is not None:
            self.ip6.groups.join_solicited(idev, ip)

    def drop_proxy(self, dev: Device | None, ip: int) -> None:
        """And no more (pndisc_destructor)."""
        super().drop_proxy(dev, ip)
        idev = self.ip6.idev(dev)
        if idev is not None:
            self.ip6.groups.leave_solicited(idev, ip)

    def _ask(self, entry: Neighbour, waiting: bytes, mac: int | None) -> None:
        """Solicit: the group of its address, or itself when probing (ndisc_solicit)."""
        idev = self.ip6.idev(entry.dev)
        asker = int.from_bytes(waiting[8:24], "big")
        own = idev.find(asker) if idev is not None and waiting else None
        source = asker if own is not None and not own.tentative else None
        if mac is not None:
            self.ip6.ndisc.send_ns(entry.dev, entry.ip, entry.ip, source)
        else:
            self.ip6.ndisc.send_ns(entry.dev, entry.ip, solicited_node(entry.ip), source)

    def _report(self, packet: Any) -> None:
        """Address unreachable, to the sender (ndisc_error_report, ip6_link_failure)."""
        self.ip6.icmp.error(packet, icmp6.UNREACH, icmp6.ADDRESS)
