"""How a network grows: veth pairs, bridges, and devices upon devices, mostly upon what is stacked already."""

from __future__ import annotations

from simvlan.devices.device import Device
from simvlan.oracle.fuzz import ipv6 as six
from simvlan.oracle.fuzz import ipv6_timed as six_timed
from simvlan.oracle.fuzz import mld_timed
from simvlan.oracle.fuzz.sketch import Sketch, Step, at

_MACVLAN_MODES = ("bridge", "bridge", "bridge", "private", "vepa", "passthru", "source")


def build(sketch: Sketch) -> None:
    """Namespaces, devices, most of them up."""
    rng = sketch.rng
    for space in sketch.spaces:
        sketch.do(f"ip netns add {space}")
        if sketch.snooping:  # bridges join 224.0.0.106, which would be reported after a random time
            sketch.do(f"ip netns exec {space} sysctl -qw net.ipv4.igmp_link_local_mcast_reports=0")
        if sketch.listeners:
            mld_timed.switch_on(sketch, space)
        elif sketch.clock6:
            six_timed.switch_on(sketch, space)
        elif sketch.ipv6:
            six.switch_on(sketch, space)
        if sketch.addressed:
            for knob in ("icmp_ratelimit=0", "ipfrag_time=600"):
                sketch.do(f"ip netns exec {space} sysctl -qw net.ipv4.{knob}")
            if sketch.chance(0.3):
                sketch.do(f"ip netns exec {space} sysctl -qw net.ipv4.ip_forward=1")
                sketch.do(f"ip netns exec {space} sysctl -qw net.ipv4.conf.all.send_redirects=0")
                sketch.do(f"ip netns exec {space} sysctl -qw net.ipv4.conf.default.send_redirects=0")
    for _ in range(rng.randint(2, 4)):
        veth(sketch)
    for _ in range(rng.randint(1, 2)):
        bridge(sketch)
    for _ in range(rng.randint(6, 12) if not sketch.clock6 else rng.randint(2, 6)):
        rng.choice(_GROWTH)(sketch)
    if sketch.clock6:
        sketch.quieten()
    for dev in sketch.devices:
        if not dev.up and sketch.chance(0.93):
            sketch.set(dev, "up")
    sketch.quieten()
    if sketch.addressed:
        _addresses(sketch)
    if sketch.ipv6:
        six.addresses(sketch)


def veth(sketch: Sketch) -> None:
    """A pair between any two namespaces."""
    near, far = sketch.rng.choice(sketch.spaces), sketch.rng.choice(sketch.spaces)
    name, peer = sketch.name("v"), sketch.name("w")
    sketch.do(
        f"ip -n {near} link add {name} {sketch.number(name)}address {sketch.mac(1)} type veth"
        f" peer name {peer} {sketch.number(peer)}address {sketch.mac(2)} netns {far}"
    )


def dummy(sketch: Sketch) -> None:
    """A device that swallows everything; the host's kernel may have none."""
    if sketch.host:
        return
    name = sketch.name("d")
    space = sketch.rng.choice(sketch.spaces)
    sketch.do(f"ip -n {space} link add {name} {sketch.number(name)}address {sketch.mac()} type dummy")


def bridge(sketch: Sketch) -> None:
    """A bridge, where there are devices without a master, some of which become its ports."""
    options = f"mcast_snooping {int(sketch.snooping and sketch.chance(0.75))}"
    options = mld_timed.options(sketch) if sketch.listeners else options
    options += sketch.clock.options if sketch.clock and (sketch.ipv6 or sketch.chance(0.85)) else ""
    if sketch.chance(0.1):
        options += " group_fwd_mask 0x4108"
    if sketch.filtering and sketch.chance(0.7):
        options += " vlan_filtering 1"
        more = ("", "", "", " vlan_default_pvid 5", " vlan_default_pvid 0", " vlan_protocol 802.1ad")
        options += sketch.rng.choice(more)
    lonely = [dev for dev in sketch.devices if dev.kind == "veth" and dev.master is None]
    space = sketch.rng.choice(lonely).netns.name if lonely else sketch.rng.choice(sketch.spaces)
    name = sketch.name("br")
    sketch.do(f"ip -n {space} link add {name} {sketch.number(name)}address {sketch.mac(3)} type bridge {options}")
    for dev in lonely:
        if dev.netns.name == space and sketch.chance(0.5):
            sketch.do(f"ip -n {space} link set {dev.name} master {name}")


def enslave(sketch: Sketch) -> None:
    """Make something a bridge's port, be it a port elsewhere or itself on the bridge."""
    master = sketch.pick("bridge")
    if master is None:
        return
    others = [dev for dev in master.netns.devices.values() if dev.kind and dev is not master]
    lonely = [dev for dev in others if dev.master is None]
    if found := lonely if lonely and sketch.chance(0.85) else others:
        sketch.do(f"ip {at(master)} link set {sketch.rng.choice(found).name} master {master.name}")


def upper(sketch: Sketch) -> None:
    """A vlan, macvlan or ipvlan on something."""
    lower = _lower(sketch)
    kind = "macvlan" if sketch.host else sketch.rng.choice(("vlan", "vlan", "macvlan", "macvlan", "ipvlan"))
    kind = "macvlan" if sketch.listeners and kind == "ipvlan" else kind
    name = sketch.name({"vlan": "q", "macvlan": "m", "ipvlan": "i"}[kind])
    mac = "" if kind == "ipvlan" or (kind == "vlan" and sketch.chance(0.5)) else f"address {sketch.mac()} "
    there = f"netns {sketch.rng.choice(sketch.spaces)} " if sketch.chance(0.3) else ""
    words = {"vlan": _vlan, "macvlan": _macvlan, "ipvlan": _ipvlan}[kind](sketch)
    mine = f"{name} {sketch.number(name)}{mac}{there}"
    done = sketch.do(f"ip {at(lower)} link add link {lower.name} name {mine}type {kind} {words}")
    if done and kind == "macvlan" and sketch.ipv6 and not sketch.doubtful:
        six.hear_all(sketch, name)


def _lower(sketch: Sketch) -> Device:
    deep = [dev for dev in sketch.devices if dev.kind != "veth"]
    return sketch.rng.choice(deep if deep and sketch.chance(0.65) else sketch.devices)


def _vlan(sketch: Sketch) -> str:
    choose = sketch.rng.choice
    proto = choose(("", "", "", "protocol 802.1ad "))
    flags = choose(("", "", "", "", " reorder_hdr off", " loose_binding on", " bridge_binding on"))
    maps = choose(("", "", "", " ingress-qos-map 3:5 5:1", " egress-qos-map 0:4 5:2"))
    return f"{proto}id {choose((0, 1, 5, 5, 5, 6, 6, 4094))}{flags}{maps}"


def _macvlan(sketch: Sketch) -> str:
    """Since Linux 6.4 one that hears all groups without its lower device does not get what only that one has joined."""
    mode = sketch.rng.choice(_MACVLAN_MODES)
    nopromisc = mode == "passthru" and sketch.chance(0.3) and not (sketch.host and sketch.ipv6)
    return f"mode {mode}{' nopromisc' if nopromisc else ''}"


def _ipvlan(sketch: Sketch) -> str:
    mode, flag = ("l2", "l2", "l3", "l3s"), ("bridge", "bridge", "private", "vepa")
    return f"mode {sketch.rng.choice(mode)} {sketch.rng.choice(flag)}"


def _addresses(sketch: Sketch) -> None:
    for number, dev in enumerate(sketch.devices, 1):
        if sketch.chance(0.5):
            network = sketch.rng.randint(0, 1)
            sketch.do(f"ip {at(dev)} addr add 10.0.{network}.{number}/24 dev {dev.name}")


_GROWTH: tuple[Step, ...] = (upper, upper, upper, upper, enslave, enslave, bridge, veth, dummy)
