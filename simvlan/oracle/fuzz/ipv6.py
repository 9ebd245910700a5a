"""IPv6 in random networks: switched on by lines, addresses, and what changes; its frames are in frames6.py.

What IPv6 does by itself at random moments is made to happen at once or not at all: no duplicate address detection, no
router solicitations, reports one after the other, waited for (`Sketch.do`). Groups are few, so that a guest can be had
whose ipvlan filters tell all of them apart (guest/luck.py): MAC addresses and addresses end in few ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.stack.ipv6.addr import ip6_text

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.oracle.fuzz.sketch import Sketch

LOW = (1, 2, 3)
"""How addresses end: the last 24 bits."""

ALL_NODES_MAC = 0x3333_0000_0001
"""Heard by every device, also where IPv6 is off (ipv6_add_dev)."""
GROUPS6 = (
    0x3333_0000_0002, 0x3333_0000_0016, 0x3333_FF00_0000, 0x3333_FF00_0001, 0x3333_FF00_0002,
    0x3333_FF00_0003,
)  # fmt: skip
"""All routers, listener reports, and who is asked for an address that ends so."""

ON = (
    "conf.default.disable_ipv6=0", "conf.default.accept_dad=0", "conf.default.router_solicitations=0",
    "conf.default.mldv2_unsolicited_report_interval=1", "conf.default.router_solicitation_delay=0",
    "icmp.ratemask=255", "ip6frag_time=600",
)  # fmt: skip
NEIGHBOUR6 = ("retrans_time_ms=90000", "delay_first_probe_time=3600", "base_reachable_time_ms=3600000")
QUIET, QUIET_NS = "sleep 0.15", 120_000_000
"""How long reports may take that a line has brought about, two ticks, and how near they must be to be waited for."""


def switch_on(sketch: Sketch, space: str) -> None:
    """A namespace whose devices will have IPv6, now and then a router."""
    for setting in ON:
        sketch.do(f"ip netns exec {space} sysctl -qw net.ipv6.{setting}")
    if sketch.chance(0.3):
        sketch.do(f"ip netns exec {space} sysctl -qw net.ipv6.conf.all.forwarding=1")


def hear_all(sketch: Sketch, name: str) -> None:
    """Open a macvlan's filter for all groups.

    It takes listener reports (33:33:00:00:00:16) for a group that everybody hears at every other place in memory where
    the device may lie: the two differ in few bits of what is hashed (mc_hash, macvlan_hash_mix).
    """
    dev = next(dev for dev in sketch.devices if dev.name == name)
    sketch.set(dev, "allmulticast on")


def quieten(sketch: Sketch, dev: Device) -> None:
    """Put a device's neighbour timers out of the way."""
    for knob in NEIGHBOUR6:
        sketch.do(f"ip netns exec {dev.netns.name} sysctl -qw net.ipv6.neigh.{dev.name}.{knob}")


def mac(sketch: Sketch, number: int) -> int:
    """A MAC address of its own that ends in one of few ways."""
    low = number & 0xFFFF if sketch.listeners else sketch.rng.choice(LOW)
    return 0x02 << 40 | (number & 0xFFFF) << 24 | low


def address(sketch: Sketch, number: int) -> str:
    """An address in one of two networks."""
    low = f"8{number:x}" if sketch.listeners else sketch.rng.choice(LOW)
    return f"2001:db8:0:{sketch.rng.randint(0, 1)}:0:{number:x}:0:{low}"


def addresses(sketch: Sketch) -> None:
    """Half of the devices get one."""
    for number, dev in enumerate(sketch.devices, 1):
        if sketch.chance(0.5):
            sketch.do(f"ip -n {dev.netns.name} addr add {address(sketch, number)}/64 dev {dev.name}")


def addresses_of(dev: Device) -> list[int]:
    """The addresses that a device has now."""
    ip6 = dev.netns.stack.ip6
    idev = ip6.devices.get(dev) if ip6 is not None else None
    return [ifa.address for ifa in idev.addresses] if idev is not None else []


def owned(sketch: Sketch) -> list[str]:
    """Every address that some device has now."""
    return [ip6_text(address) for dev in sketch.devices for address in addresses_of(dev)]


def within_earshot(dev: Device) -> list[Device]:
    """Devices with addresses that an untagged frame of this one is likely to reach: far ends, and who is on them."""
    root = dev
    while root.lower is not None:
        root = root.lower
    ports = [port for port in root.netns.devices.values() if port.master is root] if root.kind == "bridge" else [root]
    far = [peer for port in ports if isinstance(peer := getattr(port, "peer", None), type(port))]
    masters = [each.master for each in far if each.master is not None]
    around = [*far, *masters, *(upper for each in (*far, *masters, root) for upper in each.uppers)]
    return [each for each in around if each is not dev and each.kind != "vlan" and each.up and addresses_of(each)]


def routers_of(dev: Device) -> list[int]:
    """By whom a device's namespace sends to others: who may redirect it."""
    ip6 = dev.netns.stack.ip6
    routes = ip6.fib.routes() if ip6 is not None else ()
    return [route.via for route in routes if route.via is not None and route.dev is dev]


# -- changes ----------------------------------------------------------------------------------------------------------


def change_address(sketch: Sketch) -> None:
    """An address more or less, or one that is refused."""
    if dev := sketch.pick():
        known = owned(sketch)
        text = sketch.rng.choice(known) if known and sketch.chance(0.5) else address(sketch, sketch.rng.randint(1, 40))
        verb = sketch.rng.choice(("add", "add", "del"))
        sketch.do(f"ip -n {dev.netns.name} addr {verb} {text}/{sketch.rng.choice((64, 64, 128))} dev {dev.name}")


def switch(sketch: Sketch) -> None:
    """IPv6 of one device off or on."""
    if dev := sketch.pick():
        value = sketch.rng.randint(0, 1)
        sketch.do(f"ip netns exec {dev.netns.name} sysctl -qw net.ipv6.conf.{dev.name}.disable_ipv6={value}")


def route(sketch: Sketch) -> None:
    """A route by a device or a neighbour."""
    if dev := sketch.pick():
        known = owned(sketch)
        via = f"via {sketch.rng.choice(known)} " if known and sketch.chance(0.5) else ""
        verb = sketch.rng.choice(("add", "add", "add", "del"))
        target = sketch.rng.choice(("2001:db8:0:5::/64", "2001:db8:0:1::/64", "default", "2001:db8:0:6::1"))
        sketch.do(f"ip -n {dev.netns.name} -6 route {verb} {target} {via}dev {dev.name}")


def forwarding(sketch: Sketch) -> None:
    """A namespace becomes a router, or none."""
    space = sketch.rng.choice(sketch.spaces)
    sketch.do(f"ip netns exec {space} sysctl -qw net.ipv6.conf.all.forwarding={sketch.rng.randint(0, 1)}")


KNOBS = (
    "accept_ra=0", "accept_ra=2", "accept_ra_defrtr=0", "accept_ra_pinfo=0", "accept_ra_mtu=0",
    "accept_ra_min_hop_limit=40",
    "autoconf=0", "accept_redirects=0", "drop_unsolicited_na=1", "force_tllao=1", "hop_limit=3", "mtu=1300",
    "ndisc_notify=1", "suppress_frag_ndisc=0", "forwarding=1", "keep_addr_on_down=1",
)  # fmt: skip


def knob(sketch: Sketch) -> None:
    """One of a device's settings; now and then one of the namespace."""
    if dev := sketch.pick():
        which = sketch.rng.choice(KNOBS)
        setting = f"conf.{dev.name}.{which}" if sketch.chance(0.85) else "icmp.echo_ignore_multicast=1"
        sketch.do(f"ip netns exec {dev.netns.name} sysctl -qw net.ipv6.{setting}")


CHANGES6 = (knob, knob, change_address, change_address, switch, route, route, forwarding)
