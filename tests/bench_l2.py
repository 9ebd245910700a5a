"""A small bench for tests of layer-2 devices: build through rtnl, send frames, read who saw what, in order."""

from __future__ import annotations

from typing import Any

from simvlan.devices.device import Device
from simvlan.frame import BROADCAST, Frame, parse_mac
from simvlan.network import Netns, Network, Told
from simvlan.rtnl.link import link_add, link_del, link_set
from simvlan.rtnl.spec import LinkSpec, PeerSpec
from simvlan.verdict import Drop

ETHERTYPE = 0x88B5
P, W = 0x02_00_00_00_00_01, 0x02_00_00_00_00_02
"""Addresses of the parent `p0` and of its peer, the wire `w0`."""


class Bench:
    """p0 and w0, a veth pair, both up, and whatever a test adds. `seen` holds (device, way, packet type, frame)."""

    def __init__(self) -> None:
        self.net = Network()
        self.root = self.net.netns[""]
        self.seen: list[tuple[str, str, str, Frame]] = []
        self.drops: list[tuple[str, Drop]] = []
        self.net.tracer = self
        self.net.watchers.append(self._watch)
        self.p0 = link_add(self.net, self.root, LinkSpec("veth", "p0", mac=P, peer=PeerSpec("w0", mac=W)))
        self.w0 = self.root.devices["w0"]
        self.set(self.p0, up=True)
        self.set(self.w0, up=True)

    def _watch(self, dev: Device, what: str) -> None:
        if what == "add" and self._tap not in dev.taps:
            dev.taps.append(self._tap)

    def _tap(self, now: int, dev: Device, frame: Frame, out: bool) -> None:
        self.seen.append((dev.name, "out" if out else "in", frame.ptype.name, frame))

    def step(self, told: Told) -> None:
        """Take note of drops (Tracer)."""
        if told.drop is not None:
            self.drops.append((told.dev.name, told.drop))

    def add(self, kind: str, name: str, lower: Device | None = None, up: bool = True, **more: Any) -> Any:
        """Create a device; keywords of LinkSpec (ns, mac, mtu), all others are options of the kind."""
        ns: Netns = more.pop("ns", self.root)
        fields = {key: more.pop(key) for key in ("mac", "mtu") if key in more}
        dev = link_add(self.net, ns, LinkSpec(kind, name, link=lower, info=more, **fields))
        if up:
            self.set(dev, up=True)
        return dev

    def set(self, dev: Device, **changes: Any) -> None:
        """Change a device (ip link set)."""
        link_set(self.net, dev, **changes)

    def delete(self, dev: Device) -> None:
        """Delete a device."""
        link_del(self.net, dev)

    def send(self, dev: Device, dst: int = BROADCAST, src: int = W, **more: Any) -> Drop | None:
        """Send a test frame; start `seen` and `drops` anew."""
        size = more.pop("size", 46)
        frame = Frame(dst, src, more.pop("proto", ETHERTYPE), more.pop("payload", bytes(size)), **more)
        self.seen.clear()
        self.drops.clear()
        return self.net.send(dev, frame)

    def got(self, name: str) -> list[str]:
        """Packet types of what a device received since the last send."""
        return [ptype for dev, way, ptype, _ in self.seen if dev == name and way == "in"]

    def receivers(self) -> list[str]:
        """Return the names of the devices that received, in order."""
        return [dev for dev, way, _, _ in self.seen if way == "in"]

    def sent(self, name: str) -> list[Frame]:
        """Frames a device sent since the last send."""
        return [frame for dev, way, _, frame in self.seen if dev == name and way == "out"]

    def dropped(self, name: str) -> list[Drop]:
        """Why frames ended at a device since the last send."""
        return [drop for dev, drop in self.drops if dev == name]


def mac(text: str) -> int:
    """Read an address."""
    return parse_mac(text)
