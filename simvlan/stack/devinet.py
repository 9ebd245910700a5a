"""What IPv4 does about a change of a device: addresses, groups, neighbours and settings come and go with it.

Mirrors inetdev_event (net/ipv4/devinet.c), fib_netdev_event (fib_frontend.c) and arp_netdev_event (arp.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices.device import Device, Event
from simvlan.stack.addresses import LEAST_MTU

if TYPE_CHECKING:
    from simvlan.stack.netstack import Stack


def device_event(stack: Stack, dev: Device, event: Event) -> None:
    """React to a change of a device."""
    if event is Event.UP:
        stack.addresses_of.device_up(dev)
    elif event is Event.DOWN:
        _down(stack, dev)
    elif event is Event.CHANGE:
        if not dev.carrier and stack.indev(dev).conf.get("arp_evict_nocarrier"):
            stack.neigh.forget_device(dev, keep_permanent=True)
    elif event is Event.FLAGS:
        stack.neigh.forget_device(dev)
    elif event is Event.MAC:
        stack.neigh.forget_device(dev)
        stack.addresses_of.announce(dev)
    elif event is Event.MTU:
        stack.pmtu.flush()
        _follow_mtu(stack, dev)
    elif event in (Event.UNREGISTER, Event.MOVED):
        _destroy(stack, dev)
        stack.without_ip.discard(dev)


def _down(stack: Stack, dev: Device) -> None:
    stack.igmp.down(dev)
    stack.addresses_of.device_down(dev)
    if stack.netfilter is not None:
        stack.netfilter.device_down(dev)
    stack.neigh.forget_device(dev)


def _follow_mtu(stack: Stack, dev: Device) -> None:
    """Under 68 octets there is no IPv4: addresses, groups and settings go, and come back empty."""
    if dev.mtu < LEAST_MTU and dev not in stack.without_ip:
        stack.igmp.destroy(dev)
        _destroy(stack, dev)
        stack.without_ip.add(dev)
    elif dev.mtu >= LEAST_MTU and dev in stack.without_ip:
        stack.device_added(dev)
        if dev.up:
            stack.igmp.up(dev)


def _destroy(stack: Stack, dev: Device) -> None:
    """No IPv4 on a device any more (inetdev_destroy)."""
    stack.addresses_of.purge(dev)
    stack.neigh.forget_device(dev)
    stack.indevs.pop(dev, None)
