"""What happens to a network between two bursts of frames: every change the simulator models, refused ones too."""

from __future__ import annotations

from simvlan.devices.device import Device
from simvlan.frame import mac_text
from simvlan.oracle.fuzz import ipv6 as six
from simvlan.oracle.fuzz import ipv6_timed as six_timed
from simvlan.oracle.fuzz import mld_timed
from simvlan.oracle.fuzz.building import enslave, upper
from simvlan.oracle.fuzz.frames import NOBODY
from simvlan.oracle.fuzz.ipv6 import CHANGES6
from simvlan.oracle.fuzz.sketch import Sketch, Step, at


def change(sketch: Sketch) -> None:
    """One change; then most of what is down may come up again."""
    more = () if sketch.host else (fdb, fdb, *_VLANS) if sketch.filtering else (fdb, fdb, refused_vlan)
    more += (mdb, mdb) if sketch.snooping else ()
    more += CHANGES6 if sketch.ipv6 else ()
    if sketch.listeners:
        sketch.rng.choice((*mld_timed.CHANGES, updown, leave, enslave, upper, *(() if sketch.host else (fdb,))))(sketch)
    elif sketch.clock6 and sketch.chance(0.7):
        sketch.rng.choice(six_timed.CHANGES)(sketch)
    else:
        sketch.rng.choice((*_ANYWHERE, *more))(sketch)
    if sketch.clock6:
        sketch.quieten()
    if sketch.chance(0.7):
        for dev in sketch.devices:
            if not dev.up and sketch.chance(0.7):
                sketch.set(dev, "up")
    sketch.quieten()


def updown(sketch: Sketch) -> None:
    """A link goes down or up."""
    if dev := sketch.pick():
        sketch.set(dev, sketch.rng.choice(("down", "down", "up")))


def mtu(sketch: Sketch) -> None:
    """Another MTU."""
    if dev := sketch.pick():
        sketch.set(dev, f"mtu {sketch.rng.choice((68, 600, 1400, 1500, 1504, 2000))}")


def address(sketch: Sketch) -> None:
    """Another MAC address, perhaps somebody else's."""
    if dev := sketch.pick():
        number = 0xA00 + sketch.rng.randint(0, 5)
        own = six.mac(sketch, number) if sketch.ipv6 else 0x02_00_00_00_00_00 + number
        mac = sketch.rng.choice((own, sketch.rng.choice(sketch.devices).mac))
        sketch.set(dev, f"address {mac_text(mac)}")


def move(sketch: Sketch) -> None:
    """To another namespace."""
    dev = sketch.pick()
    if dev and not (sketch.host and dev.kind == "bridge"):  # newer kernels refuse in other words
        sketch.set(dev, f"netns {sketch.rng.choice(sketch.spaces)}")


def delete(sketch: Sketch) -> None:
    """A device goes, and with it all that stands on it."""
    if dev := sketch.pick():
        sketch.do(f"ip {at(dev)} link del {dev.name}")


def leave(sketch: Sketch) -> None:
    """A port leaves its bridge."""
    if sketch.ports:
        sketch.set(sketch.rng.choice(sketch.ports), "nomaster")


def rename(sketch: Sketch) -> None:
    """Another name."""
    dev = sketch.pick()
    if dev and not (sketch.host and dev.up):  # refused while up only before Linux 6.2
        sketch.set(dev, f"name {sketch.name('r')}")


def flags(sketch: Sketch) -> None:
    """Interface flags."""
    if dev := sketch.pick():
        word = sketch.rng.choice(("promisc", "promisc", "allmulticast", "arp", "multicast"))
        value = sketch.rng.choice(("on", "off"))
        if not (sketch.ipv6 and dev.kind == "macvlan" and word == "allmulticast"):  # ipv6.hear_all
            sketch.set(dev, f"{word} {value}")


def port(sketch: Sketch) -> None:
    """A bridge port's flags, mostly to what they are not by default; now and then those of all ports."""
    if not sketch.ports:
        return
    flag, default = sketch.rng.choice(_PORT_FLAGS)
    value = ("on" if default == "off" else "off") if sketch.chance(0.8) else default
    one = sketch.rng.choice(sketch.ports)
    for dev in sketch.ports:
        if dev is one or (dev.master is one.master and sketch.chance(0.5)):
            sketch.set(dev, f"type bridge_slave {flag} {value}")


def mode(sketch: Sketch) -> None:
    """The mode of a macvlan or ipvlan."""
    dev = sketch.pick("macvlan", "ipvlan")
    if dev is None:
        return
    modes = ("private", "vepa", "bridge") if dev.kind == "macvlan" else ("l2", "l3", "l3s", "l2 private", "l2 vepa")
    if dev.kind == "macvlan" and sketch.chance(0.3):
        sketch.set(dev, f"type macvlan macaddr add {mac_text(_station(sketch))}")
    else:
        sketch.set(dev, f"type {dev.kind} mode {sketch.rng.choice(modes)}")


def fdb(sketch: Sketch) -> None:
    """An entry of a forwarding table, added or deleted."""
    dev = sketch.pick("bridge") if sketch.chance(0.2) else sketch.rng.choice([*sketch.ports, None])
    if dev is None:
        return
    mac = mac_text(_station(sketch))
    verb = sketch.rng.choice(("add", "add", "replace", "append", "del"))
    kind = (
        ""
        if verb == "del"
        else sketch.rng.choice((" static", " static", " permanent", " dynamic", " static sticky", " static sticky"))
    )
    vlan = sketch.rng.choice(("", "", " vlan 5")) if sketch.filtering else ""
    sketch.do(f"bridge {at(dev)} fdb {verb} {mac} dev {dev.name} {'master' if dev.master else 'self'}{kind}{vlan}")


def mdb(sketch: Sketch) -> None:
    """A port wants a group, or no more."""
    if ports := sketch.ports:
        dev = sketch.rng.choice(ports)
        group = sketch.rng.choice(("239.1.1.1", "239.1.1.2", "224.0.0.5"))
        vlan = sketch.rng.choice(("", "", " vid 5")) if sketch.filtering else ""
        verb, kind = sketch.rng.choice((("add", " permanent"), ("add", " temp"), ("add", ""), ("del", "")))
        master = dev.master.name if dev.master else ""
        sketch.do(f"bridge {at(dev)} mdb {verb} dev {master} port {dev.name} grp {group}{kind}{vlan}")


def _station(sketch: Sketch) -> int:
    """An address that frames come from."""
    return sketch.rng.choice((NOBODY + 1, NOBODY + 2, NOBODY + 3, sketch.rng.choice(sketch.devices).mac))


def vlan(sketch: Sketch) -> None:
    """A VLAN of a port or of the bridge itself."""
    if dev := _filtered(sketch):
        own = " self" if dev.kind == "bridge" and dev.master is None else ""
        verb = sketch.rng.choice(("add", "add", "add", "del"))
        how = sketch.rng.choice(("", " pvid untagged", " untagged")) if verb == "add" else ""
        vid = sketch.rng.choice(("1", "5", "5", "6", "2-7"))
        sketch.do(f"bridge {at(dev)} vlan {verb} dev {dev.name} vid {vid}{how}{own}")


def filtering(sketch: Sketch) -> None:
    """A bridge begins or ends to look at tags."""
    if dev := sketch.pick("bridge"):
        sketch.set(dev, f"type bridge vlan_filtering {sketch.rng.randint(0, 1)}")


def _filtered(sketch: Sketch) -> Device | None:
    found = [*sketch.ports, *(dev for dev in sketch.devices if dev.kind == "bridge")]
    return sketch.rng.choice(found) if found else None


def refused(sketch: Sketch) -> None:
    """Something Linux refuses, mostly."""
    if dev := sketch.pick():
        sketch.do(
            f"ip {at(dev)} {sketch.rng.choice(_NONSENSE).format(dev.name, sketch.rng.choice(sketch.devices).name)}"
        )


def refused_vlan(sketch: Sketch) -> None:
    """A VLAN device Linux refuses."""
    if dev := sketch.pick():
        vid = sketch.rng.choice(("0 protocol 802.1ad", "4095", "4096"))
        sketch.do(f"ip {at(dev)} link add link {dev.name} name {sketch.name('q')} type vlan id {vid}")


_NONSENSE = (
    "link set nobody up",
    "link del nobody",
    "link set {0} mtu 20",
    "link set {0} mtu 70000",
    "link set {0} address 00:00:00:00:00:00",
    "link set {0} address 01:00:5e:00:00:01",
    "link set {0} master {1}",
    "link set {0} master lo",
    "link set {0} netns nowhere",
    "link set lo master {0}",
    "link add {0} type dummy",
    "link add link lo name mz type macvlan mode bridge",
    "link add link {0} name mz address 01:00:5e:00:00:01 type macvlan mode bridge",
    "link add name a-name-that-is-long type dummy",
    "link set {0} type bridge_slave cost 0",
    "addr add 10.9.9.9/24 dev nobody",
)

_PORT_FLAGS = (
    ("hairpin", "off"), ("isolated", "off"), ("learning", "on"), ("flood", "on"), ("mcast_flood", "on"),
    ("bcast_flood", "on"),
)  # fmt: skip

_ANYWHERE: tuple[Step, ...] = (
    updown, updown, mtu, address, move, delete, leave, enslave, flags, port, port, upper, rename,
    mode, mode, refused,
)  # fmt: skip
_VLANS: tuple[Step, ...] = (vlan, vlan, vlan, filtering, refused_vlan)
