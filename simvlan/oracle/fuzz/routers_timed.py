"""Routers in random networks where seconds pass: one tells a host of itself, again, or that it is none.

What the host makes of it is seen by its default routes, and by the answer to somebody who is not on its link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.oracle.fuzz import ipv6 as six
from simvlan.oracle.fuzz.frames6 import ALL_NODES, router
from simvlan.stack.ipv6 import icmp6, packet
from simvlan.stack.ipv6.addr import is_link_local, multicast_mac, parse_ip6

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.oracle.fuzz.sketch import Sketch

LIFETIMES = ((1800,), (8,), (1800, 0), (8, 0), (1800, 8), (8, 0, 8))
"""What a router says of itself, one after the other, in seconds."""
FAR = parse_ip6("2001:db8:0:5::1")


def tell(sketch: Sketch) -> None:
    """A router advertises, mostly to a host that hears it; then the host is asked from afar."""
    pairs = [(dev, near) for dev in sketch.devices if dev.up and _local(dev) for near in six.within_earshot(dev)]
    if not pairs:
        return
    dev, near = sketch.rng.choice(pairs)
    source, target = _local(dev), _local(near) or ALL_NODES
    for lifetime in sketch.rng.choice(LIFETIMES):
        dst = sketch.rng.choice((ALL_NODES, target))
        mac = multicast_mac(dst) if dst == ALL_NODES else near.mac
        _, said = router(sketch, source, dst, dev.mac, lifetime)
        _send(sketch, dev, mac, packet.build(source, dst, packet.ICMPV6, said, 255))
        if sketch.chance(0.5):
            sketch.do(f"ip -n {near.netns.name} -6 route show default")
    own = sketch.rng.choice(six.addresses_of(near))
    echo = icmp6.build_echo(FAR, own, icmp6.ECHO, 7, 1, bytes(8))
    _send(sketch, dev, near.mac, packet.build(FAR, own, packet.ICMPV6, echo, 64))


def _local(dev: Device) -> int:
    return next((address for address in six.addresses_of(dev) if is_link_local(address)), 0)


def _send(sketch: Sketch, dev: Device, mac: int, octets: bytes) -> None:
    head = mac.to_bytes(6, "big") + dev.mac.to_bytes(6, "big") + b"\x86\xdd"
    sketch.send(dev, head + octets)
