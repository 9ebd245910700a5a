"""Random container networks for the batch engine: nodes with bridges and trunks, and many containers that are alike.

Unlike `tests.networks`, which stacks anything on anything, these are the networks people build: most frames arrive,
stations are learned, move and are forgotten, and parts come in numbers. Everything goes through rtnl.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

from simvlan.clock import SECOND
from simvlan.devices.device import Device
from simvlan.devices.ipvlan import Ipvlan
from simvlan.engines.events import EventClock
from simvlan.errors import RtnlError
from simvlan.frame import ARP, BROADCAST, DOT1Q, IPV4, IPV6, QINQ, Frame
from simvlan.network import Netns, Network
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.bridge_vlan import vlan_add
from simvlan.rtnl.fdb import fdb_add
from simvlan.rtnl.sysctl import sysctl_set
from tests.batch_parity import Sent

VIDS = (1, 10, 20)
PORT_FLAGS = (
    "hairpin", "isolated", "locked", "learning", "flood", "mcast_flood", "bcast_flood", "guard",
)  # fmt: skip


def link_local(mac: int) -> bytes:
    """The address fe80::/64 with the interface identifier of a MAC (RFC 4291, appendix A)."""
    octets = (mac ^ 0x0200_0000_0000).to_bytes(6, "big")
    return bytes.fromhex("fe80") + bytes(6) + octets[:3] + b"\xff\xfe" + octets[3:]


class City:
    """A random network of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, Random(seed)
        self.net = Network(EventClock(), seed)
        self.edges: list[Device] = []
        """Devices on which containers send."""
        self.stations = [0x02AA_0000_0000 + n for n in range(self.rng.randint(1, 12))]
        """MACs nobody owns, behind any device."""
        self.addresses: list[int] = []
        self.owned: dict[int, list[int]] = {}
        """Addresses by the MAC of their device."""
        self.count = 0
        nodes = [self.node(n) for n in range(self.rng.choice((1, 1, 2, 3)))]
        if self.rng.random() < 0.15:
            self.six()
        for near, far in pairwise(nodes):
            self.trunk(near, far)
        clock: Any = self.net.clock
        clock.advance(30 * SECOND)

    def name(self) -> str:
        self.count += 1
        return f"d{self.count}"

    def space(self) -> Netns:
        return self.net.add_netns(f"c{len(self.net.netns)}")

    # -- building ---------------------------------------------------------------------------------------------------

    def node(self, number: int) -> Device:
        """A namespace with a bridge, containers on it, and perhaps a parent with macvlans or ipvlans."""
        rng, ns = self.rng, self.net.add_netns(f"node{number}")
        info: dict[str, object] = {"mcast_snooping": rng.choice((0, 0, 1)), "vlan_filtering": rng.randint(0, 1)}
        if rng.random() < 0.3:
            info["vlan_protocol"] = "802.1ad"
        if rng.random() < 0.2:
            info["no_linklocal_learn"] = 1
        bridge = link_add(self.net, ns, LinkSpec("bridge", "br0", info=info))
        link_set(self.net, bridge, up=True)
        bridge.ageing_time = rng.choice((0, 2, 2, 20, 20, 300, 300, 300, 300)) * SECOND  # type: ignore[attr-defined]
        for _ in range(rng.randint(0, 3)):
            self.group_of_ports(ns, bridge)
        for _ in range(rng.randint(0, 2)):
            self.parent(ns, bridge)
        if rng.random() < 0.5:
            self.upper(bridge, ns, "vlan")
        self.edges.append(bridge)
        self.stack(ns, bridge)
        return bridge

    def stack(self, ns: Netns, bridge: Device) -> None:
        """What a node's stack is told: an address, to forward, to look at where packets come from."""
        if self.rng.random() < 0.4:
            self.addressed(bridge)
        for key, value in (("ip_forward", 1), ("conf/all/rp_filter", 1), ("conf/all/rp_filter", 2)):
            if self.rng.random() < 0.3:
                sysctl_set(self.net, ns, f"net/ipv4/{key}", str(value))

    def six(self) -> None:
        """Switch IPv6 on in some namespaces: devices get addresses, and listen to groups of their own."""
        for ns in self.net.netns.values():
            if self.rng.random() < 0.6:
                sysctl_set(self.net, ns, "net/ipv6/conf/all/disable_ipv6", "0")
        for number, slave in enumerate(dev for dev in self.edges if isinstance(dev, Ipvlan)):
            slave.address_added(0x2001_0DB8 << 96 | number + 1, 6)

    def addressed(self, dev: Device) -> None:
        """Give a device an address, if it takes one."""
        text = self.address()
        with suppress(RtnlError):
            address_add(self.net, dev, text)
            self.owned.setdefault(dev.mac, []).append(self.addresses[-1])

    def group_of_ports(self, ns: Netns, bridge: Device) -> None:
        """Containers on bridge ports, all with the same options."""
        rng = self.rng
        flags = {flag: bool(rng.randint(0, 1)) for flag in PORT_FLAGS if rng.random() < 0.12}
        vids = [(v, rng.random() < 0.4, rng.random() < 0.5) for v in VIDS if rng.random() < 0.5]
        tagged = rng.random() < 0.25
        mtu = rng.choice((1500, 1500, 600))
        for _ in range(rng.randint(1, 6)):
            end = self.port(ns, bridge, flags, vids, self.space())
            if tagged:
                self.upper(end, end.netns, "vlan")
            if rng.random() < 0.2:
                link_set(self.net, end, mtu=mtu)
            if rng.random() < 0.3:
                self.addressed(end)

    def port(self, ns: Netns, bridge: Device, flags: Any, vids: Any, far: Netns) -> Device:
        """A veth pair, one end in the bridge; returns the other."""
        near: Any = link_add(self.net, ns, LinkSpec("veth", self.name(), peer=PeerSpec(self.name(), far)))
        link_set(self.net, near, master=bridge, up=True)
        link_set(self.net, near.peer, up=self.rng.random() < 0.97)
        link_set(self.net, near, slave_info={k: int(v) for k, v in flags.items()})
        for vid, pvid, untagged in vids:
            vlan_add(self.net, near, vid, pvid=pvid, untagged=untagged)
        if self.rng.random() < 0.1:
            with suppress(RtnlError):
                mac = self.rng.choice(self.stations)
                fdb_add(self.net, near, mac, self.rng.choice((None, 10)), "static", to_master=True)
        self.edges.append(near.peer)
        return near.peer  # type: ignore[no-any-return]

    def trunk(self, near: Device, far: Device) -> None:
        """A veth pair between two bridges, carrying some VLANs."""
        a: Any = link_add(self.net, near.netns, LinkSpec("veth", self.name(), peer=PeerSpec(self.name(), far.netns)))
        for end, bridge in ((a, near), (a.peer, far)):
            link_set(self.net, end, master=bridge, up=True)
            for vid in VIDS:
                if self.rng.random() < 0.8:
                    vlan_add(self.net, end, vid, pvid=False, untagged=self.rng.random() < 0.2)

    def parent(self, ns: Netns, bridge: Device) -> None:
        """A device with macvlans or ipvlans on it: a port's far end, perhaps under a VLAN device."""
        rng = self.rng
        lower = self.port(ns, bridge, {}, [(v, False, False) for v in VIDS], self.space())
        if rng.random() < 0.5:
            lower = self.upper(lower, lower.netns, "vlan")
        kind = rng.choice(("macvlan", "macvlan", "ipvlan"))
        mode = rng.choice(("private", "vepa", "bridge", "bridge", "source", "passthru"))
        flags = {"mode": rng.choice(("l2", "l2", "l3")), rng.choice(("bridge", "bridge", "private", "vepa")): True}
        flags.pop("bridge", None)
        if flags["mode"] == "l3" and self.seed % 2:
            flags["mode"] = "l3s"
        for _ in range(rng.randint(1, 6)):
            with suppress(RtnlError):
                info: dict[str, object] = (
                    {"mode": mode if rng.random() < 0.9 else "bridge"} if kind == "macvlan" else flags
                )
                child = self.upper(lower, self.space(), kind, info)
                if mode == "source" and kind == "macvlan":
                    child.allow(rng.choice(self.stations))  # type: ignore[attr-defined]
                if kind == "ipvlan" or rng.random() < 0.3:
                    self.addressed(child)

    def upper(self, lower: Device, ns: Netns, kind: str, info: Any = None) -> Device:
        """A device on another one, up."""
        if kind == "vlan":
            info = {"protocol": self.rng.choice(("802.1Q", "802.1Q", "802.1ad")), "id": self.rng.choice(VIDS)}
        dev = link_add(self.net, ns, LinkSpec(kind, self.name(), link=lower, info=info))
        with suppress(RtnlError):
            link_set(self.net, dev, up=self.rng.random() < 0.97)
        self.edges.append(dev)
        return dev

    def address(self) -> str:
        self.addresses.append(0x0A00_0000 + len(self.addresses) + 1)
        return f"10.0.0.{len(self.addresses)}/24"

    # -- traffic ----------------------------------------------------------------------------------------------------

    def traffic(self, frames: int) -> list[Sent]:
        """Random frames from random containers, as time goes by."""
        rng, now = self.rng, 0
        sent = []
        pace = rng.choice((0, 1_000, SECOND // 50, SECOND))
        for _ in range(frames):
            now += rng.choice((0, pace, pace, 25 * SECOND if rng.random() < 0.02 else 0))
            dev = rng.choice(self.edges)
            sent.append((dev.path, self.frame(dev), now))
        return sent

    def mac(self) -> int:
        """Somebody's address."""
        rng = self.rng
        if rng.random() < 0.45:
            return rng.choice(self.stations)
        return rng.choice(self.edges).mac

    def frame(self, dev: Device) -> Frame:
        """A frame as this device may send: mostly its own source address, mostly to somebody."""
        rng = self.rng
        src = dev.mac if rng.random() < 0.5 else self.mac()
        dst = (
            self.mac()
            if rng.random() < 0.8
            else rng.choice(
                (BROADCAST, BROADCAST, 0x0100_5E01_0203, 0x0180_C200_0000, 0x0180_C200_000E, 0x02DE_AD00_0001)
            )
        )
        if rng.random() < 0.02:
            src = rng.choice((0, 0x0100_5E00_0001))
        octets = dst.to_bytes(6, "big") + src.to_bytes(6, "big")
        for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2, 3))):
            octets += rng.choice((DOT1Q, DOT1Q, QINQ)).to_bytes(2, "big")
            octets += (rng.choice((0, *VIDS, *VIDS)) | rng.choice((0, 0, 0x6000))).to_bytes(2, "big")
        proto = rng.choice((0x88B5, 0x88B5, IPV4, IPV4, ARP, IPV6))
        if proto == IPV6 and rng.random() < 0.5:
            return Frame.parse(octets + proto.to_bytes(2, "big") + self.ipv6(dst, src))
        body = bytes(rng.choice((46, 46, 46, 100, 590, 604, 1496, 1500, 1504)))
        if proto == IPV4:
            body = self.ipv4(len(body), dst)
        elif proto == ARP:
            body = (
                bytes.fromhex("0001080006040001")
                + src.to_bytes(6, "big")
                + self.ip()
                + bytes(6)
                + self.ip_of(dst)
                + bytes(18)
            )
        return Frame.parse(octets + proto.to_bytes(2, "big") + body)

    def ip(self) -> bytes:
        known = self.addresses or [0x0A00_0001]
        return (self.rng.choice(known) if self.rng.random() < 0.8 else 0x0A00_00FE).to_bytes(4, "big")

    def ip_of(self, mac: int) -> bytes:
        """An address of a device with this MAC, mostly, where one has any."""
        if mac in self.owned and self.rng.random() < 0.7:
            return self.rng.choice(self.owned[mac]).to_bytes(4, "big")
        return self.ip()

    def ipv6(self, dst: int, src: int) -> bytes:
        """A packet of nothing (no next header), to the link-local address of a MAC or to all nodes."""
        rng = self.rng
        known = [octets for dev in self.edges for octets in getattr(dev, "addresses", ()) if len(octets) == 16]
        source, target = link_local(src), link_local(dst)
        if dst & 1 << 40:
            target = bytes.fromhex("ff02" + "00" * 13 + "01")
        if known and rng.random() < 0.7:
            target, source = rng.choice(known), rng.choice((source, rng.choice(known)))
        if rng.random() < 0.2:  # a probe for a duplicate: the target counts, not the addresses
            return bytes.fromhex("6000000000183aff") + bytes(16) + target + bytes.fromhex("8700000000000000") + target
        return bytes.fromhex("6000000000003b40") + source + target + bytes(6)

    def ipv4(self, size: int, mac: int) -> bytes:
        """A UDP packet with a right header checksum, sometimes with a wrong length."""
        rng = self.rng
        total = max(28, min(size, rng.choice((size, size, size, 46, size + 3))))
        target = self.ip_of(mac) if rng.random() < 0.8 else bytes((239, 1, 2, 3))
        head = bytes((0x45, 0)) + total.to_bytes(2, "big") + bytes((0, 7, 0, 0, 64, 17, 0, 0)) + self.ip() + target
        check = sum(int.from_bytes(head[i : i + 2], "big") for i in range(0, 20, 2))
        check = (check & 0xFFFF) + (check >> 16)
        check = ~((check & 0xFFFF) + (check >> 16)) & 0xFFFF
        packet = head[:10] + check.to_bytes(2, "big") + head[12:]
        return packet + bytes(max(size - len(packet), 0))
