"""ipvlan against Linux: random parents, slaves, modes and frames, every device's capture and counters compared.

The packets are such that no protocol answers them (a wrong IP header checksum, an ARP operation nobody knows), so that
what is compared is ipvlan alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random

import pytest

from simvlan.devices.device import Device
from simvlan.frame import Frame, mac_text
from simvlan.network import Network
from simvlan.oracle import KernelRun, compare_captures, run_many
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add
from simvlan.stack.ipaddr import Ifaddr, parse_ip
from tests.kernels import require

PARENT, WIRE, FOREIGN = 0x02_00_00_00_00_0A, 0x02_00_00_00_00_0B, 0x02_00_00_00_00_0F
BROADCAST, ALL_HOSTS = 0xFFFF_FFFF_FFFF, 0x0100_5E00_0001
OTHERS = ("10.0.0.250", "10.9.9.9", "255.255.255.255", "224.0.0.1", "10.0.0.255")
COUNTERS = ("rx_packets", "rx_bytes", "rx_errors", "multicast", "tx_packets", "tx_bytes", "tx_dropped")
SCENARIOS, FRAMES = 14, 40


def ip4(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


@dataclass
class Slave:
    name: str
    address: str
    mtu: int
    up: bool = True


@dataclass
class Scenario:
    """host/p0 == wire/w0, slaves of p0 in namespaces of their own; frames as (namespace, device, octets)."""

    mode: str
    flag: str
    slaves: list[Slave]
    frames: list[tuple[str, str, bytes]] = field(default_factory=list)

    @property
    def devices(self) -> list[tuple[str, str]]:
        return [("host", "p0"), ("wire", "w0"), *((f"s-{s.name}", s.name) for s in self.slaves)]

    def script(self) -> str:
        lines = ["set -e", "ip netns add host", "ip netns add wire"]
        lines.append(
            f"ip link add p0 address {mac_text(PARENT)} mtu 3000 netns host type veth"
            f" peer name w0 address {mac_text(WIRE)} mtu 3000 netns wire"
        )
        lines += ["ip -n wire link set w0 up", "ip -n host link set p0 up", "ip -n host addr add 10.0.0.254/24 dev p0"]
        for s in self.slaves:
            lines.append(f"ip netns add s-{s.name}")
            lines.append(
                f"ip -n host link add {s.name} link p0 mtu {s.mtu} netns s-{s.name}"
                f" type ipvlan mode {self.mode} {self.flag}"
            )
            lines.append(f"ip -n s-{s.name} addr add {s.address}/24 dev {s.name}")
            lines.append(f"ip -n s-{s.name} link set {s.name} {'up' if s.up else 'down'}")
        lines += ["sleep 0.3", "set +e", "cat > /run/frames <<'END'"]
        lines += [f"{ns} {device} {octets.hex()}" for ns, device, octets in self.frames]
        lines += ["END", "simvlan send --pause 0 --batch /run/frames"]
        lines += [f"ip -n {ns} -s -j link show {device}" for ns, device in self.devices]
        return "\n".join(lines)

    def build(self) -> Network:
        net = Network()
        host, wire = net.add_netns("host"), net.add_netns("wire")
        peer = PeerSpec("w0", wire, mac=WIRE, mtu=3000)
        p0 = link_add(net, host, LinkSpec("veth", "p0", mac=PARENT, mtu=3000, peer=peer))
        link_set(net, wire.devices["w0"], up=True)
        link_set(net, p0, up=True)
        address_add(net, p0, Ifaddr(parse_ip("10.0.0.254"), 24))
        for s in self.slaves:
            ns = net.add_netns(f"s-{s.name}")
            info = {"mode": self.mode, self.flag: True}
            dev = link_add(net, ns, LinkSpec("ipvlan", s.name, link=p0, mtu=s.mtu, info=info))
            address_add(net, dev, Ifaddr(parse_ip(s.address), 24))
            if s.up:
                link_set(net, dev, up=True)
        return net


# -- random frames --------------------------------------------------------------------------------------------------


class Generator:
    """Frames that exercise the keys, the filters and the length rules."""

    def __init__(self, seed: int, mode: str, flag: str) -> None:
        self.rng = Random(f"ipvlan {seed}")
        slaves = [
            Slave(f"i{n}", f"10.0.0.{n + 1}", self.rng.choice((1000, 1500, 3000)), self.rng.random() < 0.85)
            for n in range(self.rng.randint(2, 4))
        ]
        self.scenario = Scenario(mode, flag, slaves)
        self.addresses = [s.address for s in slaves] * 3 + ["10.0.0.254", *OTHERS]
        while len(self.scenario.frames) < FRAMES:
            self.add()

    def add(self) -> None:
        """One frame from somewhere: mostly from slaves that are up and from the wire."""
        l3 = self.scenario.mode != "l2"
        places = [("wire", "w0", 3000)] * 3 + [("host", "p0", 3000)]
        places += [(f"s-{s.name}", s.name, s.mtu) for s in self.scenario.slaves if s.up] * 2
        ns, device, mtu = self.rng.choice(places)
        inside = device not in ("w0", "p0")
        macs = [PARENT] * 4 + [FOREIGN, WIRE, BROADCAST, BROADCAST, ALL_HOSTS]
        dst = self.rng.choice(macs)
        src = self.rng.choice([PARENT] * 3 + [FOREIGN]) if inside else self.rng.choice([WIRE, FOREIGN, PARENT])
        proto, payload = self.rng.choice(self.kinds)(self)
        if l3 and inside and proto == 0x0800 and not self.routable(payload):
            return
        if self.rng.random() < 0.25 and proto != 0x8808:
            size = self.rng.choice((1000, 1004, 1005, 1500, 1504, 1505, 3000))
            payload = payload.ljust(min(size, mtu), b"\xa5")
        self.scenario.frames.append(
            (ns, device, dst.to_bytes(6, "big") + src.to_bytes(6, "big") + (proto.to_bytes(2, "big") + payload))
        )

    def routable(self, payload: bytes) -> bool:
        """In the layer-3 modes, only what stays among the slaves: the host's IP output is tested elsewhere."""
        local = {ip4(s.address) for s in self.scenario.slaves if s.up}
        plausible = payload[0] == 0x45 and 20 <= int.from_bytes(payload[2:4], "big") <= len(payload) + 14
        return self.scenario.flag != "vepa" and plausible and payload[16:20] in local

    def ipv4(self) -> tuple[int, bytes]:
        body = bytes(self.rng.randint(0, 40))
        head = bytearray(b"\x45\0" + (20 + len(body)).to_bytes(2, "big") + b"\0\1\0\0\x40\xfd\xde\xad")
        src, dst = ip4(self.rng.choice(self.addresses)), ip4(self.rng.choice(self.addresses))
        return 0x0800, bytes(head) + src + dst + body

    def crooked_ipv4(self) -> tuple[int, bytes]:
        """Version, header length, total length or size wrong: no key."""
        proto, packet = self.ipv4()
        wrong = bytearray(packet)
        how = self.rng.randrange(4)
        if how == 0:
            wrong[0] = 0x65
        elif how == 1:
            wrong[0] = 0x44
        elif how == 2:
            wrong[2:4] = (len(packet) + self.rng.choice((1, 14, 15))).to_bytes(2, "big")
        else:
            wrong[2:4] = (19).to_bytes(2, "big")
        return proto, bytes(wrong)

    def arp(self) -> tuple[int, bytes]:
        mac = PARENT.to_bytes(6, "big")
        sender, target = ip4(self.rng.choice(self.addresses)), ip4(self.rng.choice(self.addresses))
        return 0x0806, b"\0\1\x08\0\6\4\0\x09" + mac + sender + mac + target

    def ipv6(self) -> tuple[int, bytes]:
        address = b"\xfe\x80" + bytes(12) + self.rng.randbytes(2)
        return 0x86DD, b"\x60\0\0\0\0\0\x3b\x40" + address + address

    def other(self) -> tuple[int, bytes]:
        return self.rng.choice((0x88B5, 0x8808)), bytes(46)

    def tagged(self) -> tuple[int, bytes]:
        proto, payload = self.rng.choice((self.ipv4, self.arp, self.other))()
        tci = self.rng.choice((5, 0, 0x6005))
        return self.rng.choice((0x8100, 0x88A8)), tci.to_bytes(2, "big") + proto.to_bytes(2, "big") + payload

    kinds = (ipv4, ipv4, ipv4, ipv4, ipv4, crooked_ipv4, arp, arp, ipv6, other, tagged)


def scenarios() -> list[Scenario]:
    """Every mode and flag once, l2 more often."""
    plans = [(mode, flag) for mode in ("l2", "l3", "l3s") for flag in ("bridge", "private", "vepa")]
    plans += [("l2", "bridge"), ("l2", "private"), ("l2", "vepa"), ("l2", "bridge"), ("l3", "bridge")]
    return [Generator(seed, *plan).scenario for seed, plan in enumerate(plans[:SCENARIOS])]


# -- comparison -----------------------------------------------------------------------------------------------------

Captures = dict[str, list[tuple[int, str, bytes]]]


def simulate(scenario: Scenario) -> tuple[Captures, dict[str, dict[str, int]]]:
    """Run a scenario here; captures and counters by device."""
    net = scenario.build()
    captures: Captures = {}
    for ns, device in scenario.devices:
        seen = captures.setdefault(f"{ns}.{device}", [])

        def tap(now: int, dev: Device, frame: Frame, out: bool, seen=seen) -> None:  # type: ignore[no-untyped-def]
            seen.append((now, "out" if out else "in", bytes(frame)))

        net.netns[ns].devices[device].taps.append(tap)
    for ns, device, octets in scenario.frames:
        net.send(net.netns[ns].devices[device], Frame.parse(octets))
        net.clock.advance(net.now + 20_000_000)  # type: ignore[attr-defined]
    counters = {
        device: {name: getattr(net.netns[ns].devices[device], name) for name in COUNTERS}
        for ns, device in scenario.devices
    }
    return captures, counters


def kernel_counters(run: KernelRun) -> dict[str, dict[str, int]]:
    """What `ip -s -j link` said at the end."""
    found = {}
    for line in run.stdout.splitlines():
        if line.startswith("["):
            link = json.loads(line)[0]
            both = {f"{way}_{name}": value for way in ("rx", "tx") for name, value in link["stats64"][way].items()}
            both["multicast"] = both.get("rx_multicast", 0)
            found[link["ifname"]] = {name: both[name] for name in COUNTERS}
    return found


def without_false_headers(captures: Captures, scenario: Scenario) -> Captures:
    """Linux rewrites the header room of a layer-3 slave's packet while the capture's clone waits: do not look there."""
    names = {f"s-{s.name}.{s.name}" for s in scenario.slaves} if scenario.mode != "l2" else set()
    return {
        name: [(t, way, bytes(14) + f[14:] if way == "out" and name in names else f) for t, way, f in frames]
        for name, frames in captures.items()
    }


@pytest.mark.kernel
def test_random_scenarios_agree_with_linux() -> None:
    """At least 300 frames through every mode and flag: the same octets at every device, in the same order."""
    require("uml")
    plans = scenarios()
    assert sum(len(s.frames) for s in plans) >= 300
    runs = run_many("uml", [s.script() for s in plans], timeout_s=60)
    for number, (scenario, run) in enumerate(zip(plans, runs, strict=True)):
        assert run.exit_code == 0, run.stderr
        captures, counters = simulate(scenario)
        theirs = {name: frames for name, frames in run.captures.items() if name in captures}
        differences = compare_captures(
            without_false_headers(captures, scenario), without_false_headers(theirs, scenario)
        )
        where = f"scenario {number} ({scenario.mode} {scenario.flag}):\n"
        assert not differences, where + "\n".join(map(str, differences))
        assert counters == kernel_counters(run), where
