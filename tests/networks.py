"""Random networks from a seed: stacks of every device kind over several namespaces, and random frames for them.

Everything goes through rtnl; what it refuses (RtnlError) is a legal outcome and simply not there. Nothing here knows a
forwarding rule.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

from simvlan.devices.device import Device
from simvlan.errors import RtnlError
from simvlan.frame import DOT1Q, QINQ, Frame
from simvlan.network import Netns, Network, Told
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_del, link_set
from simvlan.rtnl.address import address_add

UPPER_KINDS = ("vlan", "macvlan", "ipvlan")
MACVLAN_MODES = ("private", "vepa", "bridge", "passthru", "source")
GROUPS = (
    0xFFFFFFFFFFFF,
    0x01005E000001,
    0x01005E010203,
    0x0180C2000000,
    0x0180C200000E,
    0x0180C2000021,
    0x333300000001,
)
ETHERTYPES = (0x88B5, 0x0800, 0x0806, 0x86DD, 0x8808, DOT1Q, QINQ, 0x0003)


class World:
    """A random network of one seed."""

    def __init__(self, seed: int, clock: Any = None) -> None:
        self.rng = Random(seed)
        self.net = Network(clock, seed)
        self.spaces: list[Netns] = [self.net.add_netns(f"n{i}") for i in range(self.rng.randint(2, 4))]
        self.names = 0
        for ns in self.spaces:
            link_set(self.net, ns.devices["lo"], up=True)
        for _ in range(self.rng.randint(2, 4)):
            self.veth()
        for _ in range(self.rng.randint(4, 14)):
            self.grow()
        for dev in self.devices():
            if self.rng.random() < 0.9:
                with suppress(RtnlError):
                    link_set(self.net, dev, up=True)
        for number, dev in enumerate(self.devices()):
            if self.rng.random() < 0.6:
                with suppress(RtnlError):
                    address_add(self.net, dev, f"10.0.{self.rng.randint(0, 1)}.{number + 1}/24")

    def devices(self) -> list[Device]:
        """Every device but the loopbacks."""
        return [d for d in self.net.devices() if d.kind]

    def name(self) -> str:
        """A fresh device name."""
        self.names += 1
        return f"d{self.names}"

    def veth(self) -> None:
        """A pair between two namespaces, perhaps the same."""
        near, far = self.rng.choice(self.spaces), self.rng.choice(self.spaces)
        link_add(self.net, near, LinkSpec("veth", self.name(), peer=PeerSpec(self.name(), far)))

    def grow(self) -> None:
        """One more device, or a change to one."""
        step = self.rng.choice(
            (self.upper, self.upper, self.bridge, self.enslave, self.enslave, self.option, self.veth)
        )
        with suppress(RtnlError):
            step()

    def bridge(self) -> None:
        """A bridge with random options."""
        info = {"vlan_filtering": self.rng.randint(0, 1), "mcast_snooping": self.rng.randint(0, 1)}
        link_add(self.net, self.rng.choice(self.spaces), LinkSpec("bridge", self.name(), info=info))

    def enslave(self) -> None:
        """Some device into some bridge of its namespace."""
        dev = self.rng.choice(self.devices())
        bridges = [d for d in dev.netns.devices.values() if d.kind == "bridge"]
        if bridges:
            link_set(self.net, dev, master=self.rng.choice(bridges))

    def upper(self) -> None:
        """A vlan, macvlan or ipvlan on some device, perhaps in another namespace."""
        lower = self.rng.choice(self.devices())
        kind = self.rng.choice(UPPER_KINDS)
        info: dict[str, object]
        if kind == "vlan":
            info = {"protocol": self.rng.choice(("802.1Q", "802.1ad")), "id": self.rng.choice((0, 1, 5, 10))}
        elif kind == "macvlan":
            info = {"mode": self.rng.choice(MACVLAN_MODES)}
        else:
            info = {"mode": self.rng.choice(("l2", "l3", "l3s"))}
        link_add(self.net, self.rng.choice(self.spaces), LinkSpec(kind, self.name(), link=lower, info=info))

    def option(self) -> None:
        """Some change of configuration."""
        dev = self.rng.choice(self.devices())
        change: dict[str, Any] = self.rng.choice(
            (
                {"mtu": self.rng.choice((68, 600, 1500, 9000))},
                {"up": bool(self.rng.randint(0, 1))},
                {"netns": self.rng.choice(self.spaces)},
                {"mac": self.rng.choice((0x020000000A00 + self.rng.randint(0, 9), 0x01005E000001))},
                {"promisc": True},
                {"master": None},
            )
        )
        link_set(self.net, dev, **change)

    def disturb(self) -> None:
        """A change in the middle of traffic, deletion included."""
        if not self.devices():
            return
        with suppress(RtnlError):
            if self.rng.random() < 0.15:
                link_del(self.net, self.rng.choice(self.devices()))
            else:
                self.option()

    def mac(self) -> int:
        """An address somebody has, or a group, or nobody's."""
        owned = [d.mac for d in self.devices()]
        return self.rng.choice(
            (self.rng.choice(owned), self.rng.choice(owned), self.rng.choice(GROUPS), 0x02DEAD000001, 0)
        )

    def frame(self) -> Frame:
        """A random frame: tags nested, any ethertype, short and long, sometimes a plausible ARP."""
        octets = self.mac().to_bytes(6, "big") + self.mac().to_bytes(6, "big")
        for _ in range(self.rng.choice((0, 0, 0, 1, 1, 2, 8))):
            octets += self.rng.choice((DOT1Q, QINQ)).to_bytes(2, "big")
            octets += (self.rng.choice((0, 1, 5, 10, 4095)) | self.rng.choice((0, 0xA000))).to_bytes(2, "big")
        ethertype = self.rng.choice(ETHERTYPES)
        octets += ethertype.to_bytes(2, "big")
        if ethertype == 0x0806 and self.rng.random() < 0.8:
            octets += (
                bytes.fromhex("0001080006040001") + self.mac().to_bytes(6, "big") + self.ip() + bytes(6) + self.ip()
            )
        elif ethertype == 0x0800 and self.rng.random() < 0.8:
            octets += self.ipv4()
        else:
            octets += self.rng.randbytes(self.rng.choice((0, 1, 2, 46, 200, 1500, 1505, 9000)))
        return Frame.parse(octets)

    def ip(self) -> bytes:
        """An IPv4 address, most likely somebody's."""
        return bytes((10, 0, self.rng.randint(0, 1), self.rng.randint(1, 20)))

    def ipv4(self) -> bytes:
        """An IPv4 packet with a right checksum: echo request, fragment, or UDP to nobody."""
        data = bytes.fromhex("0800f7ff00000000") if self.rng.random() < 0.5 else bytes.fromhex("1234123500080000")
        protocol = 1 if data[0] == 8 else 17
        fragment = self.rng.choice((0, 0, 0, 0x2000, 0x0001))
        head = bytes((0x45, 0)) + (20 + len(data)).to_bytes(2, "big") + bytes((0, 7)) + fragment.to_bytes(2, "big")
        head += bytes((self.rng.choice((0, 1, 64)), protocol, 0, 0)) + self.ip() + self.ip()
        total = sum(int.from_bytes(head[i : i + 2], "big") for i in range(0, 20, 2))
        total = (total & 0xFFFF) + (total >> 16)
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        return head[:10] + total.to_bytes(2, "big") + head[12:] + data


class Ledger:
    """A tracer that keeps the books: every frame and copy must end exactly once."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self.born: set[int] = set()
        self.delivered = 0
        self.dropped: dict[str, int] = {}

    def step(self, told: Told) -> None:
        """Count an end: a drop, a delivery, or a split into copies (each of which must end itself)."""
        self.born.add(told.fid)
        self.ends.setdefault(told.fid, 0)
        if told.drop is not None:
            self.ends[told.fid] += 1
            self.dropped[told.drop.name] = self.dropped.get(told.drop.name, 0) + 1
        elif told.way == "up":
            self.ends[told.fid] += 1
            self.delivered += 1
        elif len(told.emits) > 1:
            self.ends[told.fid] += 1

    def unbalanced(self) -> dict[int, int]:
        """Frames that ended never or more than once."""
        return {fid: ends for fid, ends in self.ends.items() if ends != 1}
