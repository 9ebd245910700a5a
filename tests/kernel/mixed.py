"""Random mixed stacks from a seed: bridges, VLANs, macvlans and ipvlans on each other over several namespaces.

The network grows by commands, each run on the simulator at once so that the next one can choose among what there is;
then frames, changes and more frames. What comes out is the lines of a scenario. Nothing here knows a forwarding rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

from simvlan import transmission
from simvlan.devices.device import Device
from simvlan.frame import BROADCAST, DOT1Q, QINQ, mac_text
from simvlan.oracle import KernelRun
from tests import scenario
from tests.scenario import SEND, Captures, Simulated, kernel_outcome, same, without_reports

GROUP, RESERVED, NOBODY = 0x0100_5E00_0001, 0x0180_C200_0000, 0x02_DE_AD_00_00_01
MACVLAN_MODES = ("bridge", "bridge", "bridge", "private", "vepa", "passthru", "source")
SETTLE = "sleep 1.2"
"""Linux looks at changes of carrier at most once a second."""


class Storm(Exception):  # noqa: N818 - a finding, not an error
    """The network holds a loop: frames would circle for ever on a kernel too."""


class Mixed:
    """One network of a seed, as lines; `host` leaves out what the host's kernel may lack."""

    def __init__(self, seed: int, *, host: bool = False, frames: int = 16, rounds: int = 3) -> None:
        self.seed = seed
        self.rng = Random(f"mixed {seed}")
        self.host = host
        self.lines: list[str] = []
        self.machine = Simulated(seed)
        self.names = 0
        self.unsettled = False
        self.frames = 0
        self.addressed = not host and self.rng.random() < 0.4
        self.filtering = not host and self.rng.random() < 0.6
        self.snooping = self.rng.random() < 0.15
        self.spaces = [f"n{number}" for number in range(1, self.rng.randint(3, 4))]
        self._build()
        for _ in range(rounds):
            self._settle()
            self._shoot(frames)
            for _ in range(self.rng.randint(1, 4)):
                self._change()
        self._settle()
        self._shoot(frames)
        self._listings()

    # -- lines --------------------------------------------------------------------------------------------------------

    def do(self, line: str) -> bool:
        """Give a line to the simulator and keep it for the kernel."""
        self.lines.append(line)
        status, _ = self.machine.do(line)
        if self.machine.net.storms:
            raise Storm
        return status == 0

    def _settle(self) -> None:
        if self.unsettled:
            self.do(SETTLE)
        self.unsettled = False

    def _listings(self) -> None:
        self.do("sleep 0.2")
        for space in self.spaces:
            details = "" if self.host else "-d "  # a newer kernel has more of them
            counters = "" if self.snooping else "-s "  # a snooping bridge reports its own groups at random times
            self.do(f"ip -n {space} {details}{counters}-j link show")
            self.do(f"bridge -n {space} -j fdb show{' dynamic' if self.host else ''}")
            if self.filtering:
                self.do(f"bridge -n {space} -j vlan show")

    @property
    def devices(self) -> list[Device]:
        return [dev for dev in self.machine.net.devices() if dev.kind]

    def _pick(self, *kinds: str) -> Device | None:
        found = [dev for dev in self.devices if not kinds or dev.kind in kinds]
        return self.rng.choice(found) if found else None

    def _name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def _mac(self) -> str:
        """Mostly an address of its own."""
        if self.rng.random() < 0.1 and self.devices:
            return mac_text(self.rng.choice(self.devices).mac)
        return mac_text(0x02_00_00_00_00_00 + self.names * 16)

    @staticmethod
    def _at(dev: Device) -> str:
        return f"-n {dev.netns.name}"

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        for space in self.spaces:
            self.do(f"ip netns add {space}")
            if self.addressed:
                self.do(f"ip netns exec {space} sysctl -qw net.ipv4.icmp_ratelimit=0")
        for _ in range(self.rng.randint(2, 4)):
            self._veth()
        for _ in range(self.rng.randint(1, 2)):
            self._bridge()
        steps = (self._upper, self._upper, self._upper, self._enslave, self._enslave, self._bridge, self._option)
        for _ in range(self.rng.randint(7, 14)):
            self.rng.choice(steps)()
        for dev in self.devices:
            if not dev.up and self.rng.random() < 0.93:
                self.do(f"ip {self._at(dev)} link set {dev.name} up")
        if self.addressed:
            self._addresses()
        self.unsettled = True

    def _addresses(self) -> None:
        for number, dev in enumerate(self.devices, 1):
            if self.rng.random() < 0.5:
                self.do(f"ip {self._at(dev)} addr add 10.0.{self.rng.randint(0, 1)}.{number}/24 dev {dev.name}")
                knob = f"net.ipv4.neigh.{dev.name}.retrans_time_ms=90000"  # Linux repeats questions on a coarse clock
                self.do(f"ip netns exec {dev.netns.name} sysctl -qw {knob}")

    def _veth(self) -> None:
        near, far = self.rng.choice(self.spaces), self.rng.choice(self.spaces)
        name, peer = self._name("v"), self._name("w")
        mine, its = mac_text(0x02_00_00_00_00_00 + self.names * 16), mac_text(0x02_00_00_00_00_01 + self.names * 16)
        self.do(f"ip link add {name} address {mine} netns {near} type veth peer name {peer} address {its} netns {far}")

    def _bridge(self) -> None:
        words = f"address {self._mac()} " if self.rng.random() < 0.5 else ""
        options = f"mcast_snooping {int(self.snooping)}"
        if self.filtering and self.rng.random() < 0.7:
            options += " vlan_filtering 1"
            options += self.rng.choice(
                ("", "", "", " vlan_default_pvid 5", " vlan_default_pvid 0", " vlan_protocol 802.1ad")
            )
        lonely = [dev for dev in self.devices if dev.kind == "veth" and dev.master is None]
        space = self.rng.choice(lonely).netns.name if lonely else self.rng.choice(self.spaces)
        name = self._name("br")
        if not self.do(f"ip -n {space} link add {name} {words}type bridge {options}"):
            return
        for dev in lonely:
            if dev.netns.name == space and self.rng.random() < 0.5:
                self.do(f"ip -n {space} link set {dev.name} master {name}")
        bridge = self.machine.net.netns[space].devices[name]
        if not bridge.mac or (not words and not any(d.master is bridge for d in self.devices)):
            self.do(f"ip -n {space} link set {name} address {self._mac()}")  # a drawn address would differ

    def _enslave(self) -> None:
        bridge = self._pick("bridge")
        if bridge is None:
            return
        lonely = [d for d in bridge.netns.devices.values() if d.kind and d.master is None and d is not bridge]
        if lonely:
            self.do(f"ip {self._at(bridge)} link set {self.rng.choice(lonely).name} master {bridge.name}")

    def _upper(self) -> None:
        lower = self._lower()
        kind = self.rng.choice(("macvlan",) if self.host else ("vlan", "vlan", "macvlan", "macvlan", "ipvlan"))
        name = self._name({"vlan": "q", "macvlan": "m", "ipvlan": "i"}[kind])
        mac = "" if kind == "ipvlan" else f"address {self._mac()} "
        if kind == "vlan" and self.rng.random() < 0.5:
            mac = ""
        there = f"netns {self.rng.choice(self.spaces)} " if self.rng.random() < 0.3 else ""
        words = {"vlan": self._vlan_words, "macvlan": self._macvlan_words, "ipvlan": self._ipvlan_words}[kind]()
        self.do(f"ip {self._at(lower)} link add link {lower.name} name {name} {mac}{there}type {kind} {words}")

    def _lower(self) -> Device:
        """Uppers prefer what is already stacked: that is what this is about."""
        deep = [dev for dev in self.devices if dev.kind != "veth"]
        return self.rng.choice(deep if deep and self.rng.random() < 0.65 else self.devices)

    def _vlan_words(self) -> str:
        rng = self.rng
        proto = rng.choice(("", "", "", "protocol 802.1ad "))
        flags = rng.choice(("", "", "", "", " reorder_hdr off", " loose_binding on", " bridge_binding on"))
        maps = rng.choice(("", "", "", " ingress-qos-map 3:5 5:1", " egress-qos-map 0:4 5:2"))
        return f"{proto}id {rng.choice((1, 5, 5, 6))}{flags}{maps}"

    def _macvlan_words(self) -> str:
        mode = self.rng.choice(MACVLAN_MODES)
        return f"mode {mode}{' nopromisc' if mode == 'passthru' and self.rng.random() < 0.3 else ''}"

    def _ipvlan_words(self) -> str:
        mode, flag = ("l2", "l2", "l3", "l3s"), ("bridge", "bridge", "private", "vepa")
        return f"mode {self.rng.choice(mode)} {self.rng.choice(flag)}"

    # -- changing ------------------------------------------------------------------------------------------------------

    def _change(self) -> None:
        steps: list[Callable[[], object]] = [
            self._updown, self._updown, self._mtu, self._address, self._move, self._delete, self._leave, self._enslave,
            self._flags, self._port, self._upper, self._rename,
        ]  # fmt: skip
        if self.filtering:
            steps += [self._vlan, self._vlan, self._vlan]
        self.rng.choice(steps)()
        self._settle()  # a carrier that is back before Linux looks was never away
        if self.rng.random() < 0.7:
            for dev in self.devices:
                if not dev.up and self.rng.random() < 0.7:
                    self.do(f"ip {self._at(dev)} link set {dev.name} up")
                    self.unsettled = True

    def _option(self) -> None:
        self.rng.choice((self._mtu, self._address, self._move, self._flags, self._port, self._vlan))()

    def _set(self, dev: Device, words: str) -> None:
        self.do(f"ip {self._at(dev)} link set {dev.name} {words}")

    def _updown(self) -> None:
        if dev := self._pick():
            self._set(dev, self.rng.choice(("down", "down", "up")))
            self.unsettled = True

    def _mtu(self) -> None:
        if dev := self._pick():
            self._set(dev, f"mtu {self.rng.choice((68, 600, 1400, 1500, 1504, 2000))}")

    def _address(self) -> None:
        if dev := self._pick():
            mac = self.rng.choice((0x02_00_00_00_0A_00 + self.rng.randint(0, 5), self.rng.choice(self.devices).mac))
            self._set(dev, f"address {mac_text(mac)}")

    def _move(self) -> None:
        dev = self._pick()
        if dev and not (self.host and dev.kind == "bridge"):  # newer kernels refuse in other words
            self._set(dev, f"netns {self.rng.choice(self.spaces)}")
            self.unsettled = True

    def _delete(self) -> None:
        if dev := self._pick():
            self.do(f"ip {self._at(dev)} link del {dev.name}")
            self.unsettled = True

    def _leave(self) -> None:
        if ports := [dev for dev in self.devices if dev.master is not None]:
            self._set(self.rng.choice(ports), "nomaster")

    def _rename(self) -> None:
        dev = self._pick()
        if dev and not (self.host and dev.up):  # refused while up only before Linux 6.2
            self._set(dev, f"name {self._name('r')}")

    def _flags(self) -> None:
        if dev := self._pick():
            word = self.rng.choice(("promisc", "promisc", "allmulticast", "arp", "multicast"))
            self._set(dev, f"{word} {self.rng.choice(('on', 'off'))}")

    def _port(self) -> None:
        ports = [dev for dev in self.devices if dev.master is not None]
        if ports:
            flag = self.rng.choice(("hairpin", "isolated", "learning", "flood", "mcast_flood", "bcast_flood"))
            self._set(self.rng.choice(ports), f"type bridge_slave {flag} {self.rng.choice(('on', 'off'))}")

    def _vlan(self) -> None:
        dev = self.rng.choice([d for d in self.devices if d.master is not None or d.kind == "bridge"] or [None])
        if dev is None or self.host:
            return
        own = " self" if dev.kind == "bridge" else ""
        what = self.rng.choice(("add", "add", "add", "del"))
        how = self.rng.choice(("", " pvid untagged", " untagged")) if what == "add" else ""
        self.do(f"bridge {self._at(dev)} vlan {what} dev {dev.name} vid {self.rng.choice((1, 5, 6))}{how}{own}")

    # -- frames ------------------------------------------------------------------------------------------------------

    def _shoot(self, count: int) -> None:
        self.frames += count
        for _ in range(count):
            ready = [d for d in self.devices if d.up and d.carrier]
            if dev := self.rng.choice(ready) if ready and self.rng.random() < 0.95 else self._pick():
                self.do(f"{SEND}{dev.netns.name} {dev.name} --hex {self._frame(dev).hex()}")

    def _frame(self, dev: Device) -> bytes:
        rng = self.rng
        macs = [d.mac for d in self.devices]
        groups = (BROADCAST, BROADCAST, BROADCAST, GROUP, RESERVED, RESERVED + 14)
        dst = rng.choice((rng.choice(macs), rng.choice(macs), rng.choice(macs), rng.choice(groups), NOBODY))
        src = rng.choice((dev.mac, dev.mac, dev.mac, rng.choice(macs), NOBODY + 1 + rng.randint(0, 2)))
        tags = b"".join(self._tag() for _ in rng.choice(((), (), (), (1,), (1,), (1, 2))))
        return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + tags + self._payload(dev, len(tags), src)

    def _tag(self) -> bytes:
        tci = self.rng.choice((0, 1, 5, 5, 6)) | self.rng.choice((0, 0, 0x6000, 0xA000))
        return self.rng.choice((DOT1Q, DOT1Q, QINQ)).to_bytes(2, "big") + tci.to_bytes(2, "big")

    def _payload(self, dev: Device, tags: int, src: int) -> bytes:
        rng = self.rng
        if self.addressed and rng.random() < 0.5:
            return self._arp(src) if rng.random() < 0.5 else self._ipv4()
        size = rng.choice((0, 2, 46, 46, 46, 500, 1300, dev.mtu - tags, dev.mtu - tags + 1, dev.mtu))
        return rng.choice((0x88B5, 0x88B5, 0x88B5, 0x88B6)).to_bytes(2, "big") + bytes(max(0, size))

    def _ip(self) -> bytes:
        return bytes((10, 0, self.rng.randint(0, 1), self.rng.randint(1, len(self.devices) + 1)))

    def _arp(self, src: int) -> bytes:
        what = self.rng.choice((b"\0\1", b"\0\1", b"\0\2"))
        return bytes.fromhex("0806000108000604") + what + src.to_bytes(6, "big") + self._ip() + bytes(6) + self._ip()

    def _ipv4(self) -> bytes:
        """An echo request, or a later fragment of something."""
        echo = bytes.fromhex("0800f7fe00000001")
        part = self.rng.choice((0, 0, 1))
        head = bytes((0x45, 0, 0, 28, 0, 7, 0, part, 64, 1, 0, 0)) + self._ip() + self._ip()
        total = sum(int.from_bytes(head[at : at + 2], "big") for at in range(0, 20, 2))
        total = (total & 0xFFFF) + (total >> 16)
        return b"\x08\0" + head[:10] + (~total & 0xFFFF).to_bytes(2, "big") + head[12:] + echo


def networks(first: int, count: int, *, host: bool = False, frames: int = 16) -> list[Mixed]:
    """The next *count* networks without a loop, from a seed on."""
    made: list[Mixed] = []
    before = transmission.STORM_LIMIT
    transmission.STORM_LIMIT = 400
    try:
        while len(made) < count:
            with suppress(Storm):
                made.append(Mixed(first, host=host, frames=frames))
            first += 1
    finally:
        transmission.STORM_LIMIT = before
    return made


def differences(case: Mixed, run: KernelRun) -> list[str]:
    """What one kernel's run and the simulator's disagree in."""
    theirs = kernel_outcome(case.lines, run)
    found = scenario.differences(case.lines, case.machine.outcome, theirs, tidy(case.lines))
    return [text for text in found if not (case.host and _newer(text))]


def _newer(difference: str) -> bool:
    """What the host's newer Linux does by another rule than 6.1, and nothing else differs.

    It counts a tx_dropped for what a device without carrier swallows (noop_enqueue), and looks for the lower device's
    state in the own namespace only (default_operstate).
    """
    first, *rest = difference.splitlines()
    rules = ("stats64.tx.dropped: ours 0,", "operstate: ours LOWERLAYERDOWN, theirs DOWN")
    return first.startswith("$ ") and all(any(rule in line for rule in rules) for line in rest)


def tidy(lines: Sequence[str]) -> Callable[[Captures], Captures]:
    """Leave out only what chance decides in this network."""
    return without_reports if any("mcast_snooping 1" in line for line in lines) else same
