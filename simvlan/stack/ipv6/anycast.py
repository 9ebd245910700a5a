"""Addresses that a router shares with others: the first of each prefix. Mirrors net/ipv6/anycast.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.stack import fib
from simvlan.stack.ipv6.fib6 import Route6
from simvlan.stack.ipv6.inet6dev import Inet6Dev

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipv6.host import Ip6

ANYCAST = "anycast"


class Anycast:
    """The anycast addresses of a namespace: (device, address) -> users."""

    __slots__ = ("ip6", "users")

    def __init__(self, ip6: Ip6) -> None:
        self.ip6 = ip6
        self.users: dict[tuple[Device, int], int] = {}

    def join(self, idev: Inet6Dev, address: int) -> None:
        """Share an address (__ipv6_dev_ac_inc)."""
        key = idev.dev, address
        self.users[key] = self.users.get(key, 0) + 1
        if self.users[key] == 1:
            self.ip6.fib.insert(
                Route6(address, 128, ANYCAST, fib.LOCAL_TABLE, idev.dev, None, fib.PROTO_KERNEL, host_added=True)
            )
            self.ip6.groups.join_solicited(idev, address)

    def leave(self, idev: Inet6Dev, address: int) -> None:
        """Share it no more (__ipv6_dev_ac_dec)."""
        key = idev.dev, address
        if key not in self.users:
            return
        self.users[key] -= 1
        if self.users[key]:
            return
        del self.users[key]
        self.ip6.groups.leave_solicited(idev, address)
        for route in list(self.ip6.fib.table(fib.LOCAL_TABLE).of_prefix(address, 128)):
            if route.type == ANYCAST and route.dev is idev.dev:
                self.ip6.fib.remove(route)

    def shared(self, dev: Device, address: int) -> bool:
        """Whether an address is shared on a device (ipv6_chk_acast_addr)."""
        return (dev, address) in self.users
