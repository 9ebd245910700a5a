"""IPv6 in random networks where seconds pass: duplicates are looked for, routers asked, neighbours probed and given up.

Nothing is drawn that a kernel draws: detection and reports begin at once, and timers run from 4 s on, so that none ends
among lines that follow each other (`Sketch.rest`); what they do in a true sleep is over when it ends. Reports,
solicitations and advertisements to all count once each (ambient.py), all else in a sleep so often as it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.oracle.fuzz import ipv6 as six

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.oracle.fuzz.sketch import Sketch

CHOSEN = ("sleep 16", "sleep 51", "sleep 13")
"""Sleeps that belong to a scenario; others are put in where one has to be (clocks.NEIGHBOURS)."""

ON = (
    "conf.default.disable_ipv6=0", "conf.default.router_solicitation_delay=0",
    "conf.default.router_solicitation_interval=1", "conf.default.mldv2_unsolicited_report_interval=1",
    "icmp.ratemask=255", "ip6frag_time=600",
)  # fmt: skip
HABITS = (
    ("conf.default.accept_dad", (0, 1, 1, 1, 2)), ("conf.default.dad_transmits", (0, 1, 1, 1, 2)),
    ("conf.default.router_solicitations", (0, 1, 3)), ("conf.default.enhanced_dad", (1, 1, 0)),
    ("conf.default.accept_ra", (1, 1, 1, 0, 2)), ("conf.default.ndisc_notify", (0, 0, 1)),
)  # fmt: skip
"""What namespaces differ in."""
HOPES = (("conf.default.optimistic_dad", (0, 1)), ("conf.default.use_optimistic", (0, 1)))
"""The same where the kernel has optimistic addresses: Debian's User Mode Linux is built without."""
TIMERS = ("retrans_time_ms=4000", "delay_first_probe_time=5")
REACHABLE = ("18000", "3600000")
"""Reachable times: 9 to 27 s, later than a stretch of lines and the delay before a probe, sooner than the longer sleep;
or for ever."""


def switch_on(sketch: Sketch, space: str) -> None:
    """A namespace whose devices will have IPv6, now and then a router."""
    for setting in ON:
        sketch.do(f"ip netns exec {space} sysctl -qw net.ipv6.{setting}")
    for knob, values in (*HABITS, *(HOPES if sketch.host else ())):
        sketch.do(f"ip netns exec {space} sysctl -qw net.ipv6.{knob}={sketch.rng.choice(values)}")
    if sketch.chance(0.3):
        sketch.do(f"ip netns exec {space} sysctl -qw net.ipv6.conf.all.forwarding=1")


def hurry(sketch: Sketch, dev: Device) -> None:
    """Let a device's timers end in sleeps."""
    for knob in (*TIMERS, f"base_reachable_time_ms={sketch.rng.choice(REACHABLE)}"):
        sketch.do(f"ip netns exec {dev.netns.name} sysctl -qw net.ipv6.neigh.{dev.name}.{knob}")


def rest(sketch: Sketch) -> None:
    """Mostly, let all timers end."""
    short, longer, brief = CHOSEN
    if sketch.chance(0.8 if not sketch.listeners else 0.5):
        sketch.rest(brief if sketch.listeners else longer if sketch.spoken else short)


# -- changes ----------------------------------------------------------------------------------------------------------


def _near(sketch: Sketch, dev: Device) -> Device | None:
    """Mostly a device that hears this one."""
    heard = six.within_earshot(dev)
    return sketch.rng.choice(heard) if heard and sketch.chance(0.8) else sketch.pick()


def rivals(sketch: Sketch) -> None:
    """An address for two devices, one after the other or both at once."""
    one = sketch.pick()
    if one and (other := _near(sketch, one)):
        text = six.address(sketch, sketch.rng.randint(1, 40))
        how = sketch.rng.choice(("", "", " nodad", " valid_lft 9 preferred_lft 6", *[" optimistic"] * sketch.host))
        sketch.do(f"ip -n {one.netns.name} addr add {text}/64 dev {one.name}{how}")
        if sketch.chance(0.4):
            rest(sketch)
        sketch.do(f"ip -n {other.netns.name} addr add {text}/64 dev {other.name}")


def again(sketch: Sketch) -> None:
    """A device goes down and comes up at once: what it keeps is looked for anew."""
    if dev := sketch.pick():
        sketch.set(dev, "down")
        sketch.set(dev, "up")


def twin(sketch: Sketch) -> None:
    """A device gets the MAC of another: its link-local address is that one's, too."""
    if dev := sketch.pick():
        like = _near(sketch, dev) or dev
        sketch.set(dev, "down")
        sketch.set(dev, f"address {like.mac.to_bytes(6, 'big').hex(':')}")
        sketch.set(dev, "up")


def lifetime(sketch: Sketch) -> None:
    """An address that ends, or is only deprecated."""
    if dev := sketch.pick():
        text = six.address(sketch, sketch.rng.randint(1, 40))
        ends = sketch.rng.choice(("valid_lft 9 preferred_lft 6", "valid_lft forever preferred_lft 6"))
        sketch.do(f"ip -n {dev.netns.name} addr add {text}/64 dev {dev.name} {ends}")


KNOBS = (
    "accept_dad=0", "accept_dad=1", "accept_dad=2", "dad_transmits=0", "dad_transmits=2", "enhanced_dad=0",
    "accept_ra=0", "accept_ra=1", "accept_ra=2", "router_solicitations=0", "router_solicitations=2", "forwarding=1",
    "forwarding=0", "accept_ra_defrtr=0", "accept_ra_pinfo=0", "autoconf=0", "ndisc_notify=1", "keep_addr_on_down=1",
    "accept_ra_from_local=1", "accept_ra_rtr_pref=0", "drop_unsolicited_na=1", "ra_defrtr_metric=512",
)  # fmt: skip


def knob(sketch: Sketch) -> None:
    """One of a device's settings."""
    if dev := sketch.pick():
        which = sketch.rng.choice(KNOBS)
        sketch.do(f"ip netns exec {dev.netns.name} sysctl -qw net.ipv6.conf.{dev.name}.{which}")


CHANGES = (*[rivals] * 5, again, again, twin, twin, lifetime, knob, knob, six.change_address, six.switch, six.route)
