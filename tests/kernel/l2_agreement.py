"""Random small networks of layer-2 devices, built and fed alike on the simulator and on a real kernel.

A `Twin` applies each operation to the simulator at once and writes the command for the kernel beside it; afterwards
every capture point, every command's success, every send's error and the devices' counters are compared. Nothing here
knows a forwarding rule.

One thing a kernel does at random: its multicast filters are 256-bit hashes with a secret, so a macvlan may hear a
group it did not join. Such extra frames are counted, not compared.
"""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any

from simvlan.devices.device import Device
from simvlan.errors import RtnlError
from simvlan.frame import BROADCAST, DOT1Q, GROUP, QINQ, Frame, mac_text
from simvlan.network import Network
from simvlan.oracle import KernelRun
from simvlan.rtnl.link import link_add, link_del, link_set
from simvlan.rtnl.spec import LinkSpec, PeerSpec
from simvlan.verdict import Drop

P, W, UNKNOWN = 0x02_00_00_00_00_01, 0x02_00_00_00_00_02, 0x02_00_00_00_EE_01
JOINED, FOREIGN = 0x01_00_5E_01_02_03, 0x01_00_5E_01_02_04
SPACE = "n1"
COUNTERS = ("rx_packets", "rx_bytes", "multicast", "rx_errors", "tx_packets", "tx_bytes", "tx_dropped")
_IN_JSON = {
    "rx_packets": ("rx", "packets"),
    "rx_bytes": ("rx", "bytes"),
    "multicast": ("rx", "multicast"),
    "rx_errors": ("rx", "errors"),
    "tx_packets": ("tx", "packets"),
    "tx_bytes": ("tx", "bytes"),
    "tx_dropped": ("tx", "dropped"),
}
_ERRORS = {Drop.DEV_DOWN: "Network is down"}


def _checksum(header: bytes) -> int:
    total = sum(header[at] << 8 | header[at + 1] for at in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class Twin:
    """One network, twice."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.net = Network(seed=seed)
        self.seen: dict[str, list[tuple[str, bytes]]] = {}
        self.lines: list[str] = []
        self.refused: list[bool] = []
        self.complaints: list[str] = []
        self.frames = 0
        self.joined: dict[str, set[int]] = {}
        self.net.watchers.append(self._watch)
        self.space = self.net.add_netns(SPACE)
        self.root = self.net.netns[""]
        self.lines.append(f"ip netns add {SPACE}")
        self.p0 = link_add(self.net, self.root, LinkSpec("veth", "p0", mac=P, peer=PeerSpec("w0", mac=W)))
        self.w0 = self.root.devices["w0"]
        self.lines.append(f"ip link add p0 address {mac_text(P)} type veth peer name w0 address {mac_text(W)}")
        self.up(self.p0)
        self.up(self.w0)

    def _watch(self, dev: Device, what: str) -> None:
        if what == "add" and self._tap not in dev.taps:
            dev.taps.append(self._tap)

    def _tap(self, now: int, dev: Device, frame: Frame, out: bool) -> None:
        self.seen.setdefault(dev.path.replace("/", "."), []).append(("out" if out else "in", bytes(frame)))

    # -- operations -------------------------------------------------------------------------------------------------

    def _both(self, command: str, action: Any) -> bool:
        """Do it here, write it there; the script echoes each command's status."""
        self.lines.append(f"{command} 2>/dev/null; echo status $?")
        try:
            action()
        except RtnlError:
            self.refused.append(True)
            return False
        self.refused.append(False)
        return True

    @staticmethod
    def _at(dev: Device) -> str:
        return f"-n {dev.netns.name} " if dev.netns.name else ""

    def add(self, kind: str, name: str, lower: Device, mac: int, words: str, **info: Any) -> Device | None:
        """Create a device on one in the initial namespace."""
        spec = LinkSpec(kind, name, link=lower, mac=mac, info=info)
        command = f"ip link add link {lower.name} name {name} address {mac_text(mac)} type {kind} {words}"
        made = self._both(command, lambda: link_add(self.net, self.root, spec))
        return self.root.devices[name] if made else None

    def set(self, dev: Device, words: str, **changes: Any) -> bool:
        """Change a device."""
        return self._both(f"ip {self._at(dev)}link set {dev.name} {words}", lambda: link_set(self.net, dev, **changes))

    def up(self, dev: Device) -> bool:
        """Bring a device up."""
        return self.set(dev, "up", up=True)

    def delete(self, dev: Device) -> None:
        """Delete a device."""
        self._both(f"ip {self._at(dev)}link del {dev.name}", lambda: link_del(self.net, dev))

    def move(self, dev: Device) -> None:
        """Move a device to the other namespace and bring it up there."""
        if self.set(dev, f"netns {SPACE}", netns=self.space):
            self.up(dev)

    def join(self, dev: Device, group: int) -> None:
        """Join a link-layer group."""
        self._both(f"ip {self._at(dev)}maddr add {mac_text(group)} dev {dev.name}", lambda: self.net.mc_add(dev, group))

    def devices(self) -> list[Device]:
        """Every device but the loopbacks."""
        return [dev for dev in self.net.devices() if dev.kind]

    # -- frames -----------------------------------------------------------------------------------------------------

    def send(self, shots: list[tuple[Device, bytes]]) -> None:
        """Send frames, each when the kernel is through with the one before."""
        batch = "".join(f"{dev.netns.name or '-'} {dev.name} {octets.hex()}\n" for dev, octets in shots)
        self.lines.append(f"cat >/run/shots <<'EOF'\n{batch}EOF\nsimvlan send --pause 0 --batch /run/shots")
        self.frames += len(shots)
        for dev, octets in shots:
            drop = self.net.send(dev, Frame.parse(octets))
            if drop is not None:
                error = _ERRORS.get(drop, "No buffer space available")
                self.complaints.append(f"simvlan send: {dev.name}: {error}")
            self.net.clock.advance(self.net.now + 20_000_000)  # type: ignore[attr-defined]

    def random_shots(self, count: int) -> list[tuple[Device, bytes]]:
        """Frames to and from every address there is, with and without tags, of many sizes."""
        return [self._shot() for _ in range(count)]

    def fragments(self) -> list[tuple[Device, bytes]]:
        """IPv4 broadcast and multicast in pieces: any order, now and then one twice, overlapping, padded or missing."""
        rng = self.rng
        dst, vlan = rng.choice([BROADCAST, JOINED]), rng.choice([b"", b"\x81\0\0\7", b"\x81\0\0\0"])
        cuts = [0, 64, rng.choice([128, 136]), 200]
        spans = list(pairwise(cuts))
        rng.shuffle(spans)
        spans += rng.choice([[], [], [spans[0]], [(56, 72)]])
        spans = spans[rng.choice([0, 0, 0, 1]) :]
        ident = rng.randbytes(2)
        data, tos = bytes(range(200)), [rng.choice([0, 0, 2, 3]), 2]
        head = dst.to_bytes(6, "big") + UNKNOWN.to_bytes(6, "big") + vlan + b"\x08\0"
        shots = []
        for start, end in spans:
            flags = 0x2000 * (end < 200) | 0x4000 * (rng.random() < 0.3) | start // 8
            ip = bytes((0x45, rng.choice(tos))) + (20 + end - start).to_bytes(2, "big") + ident
            ip += flags.to_bytes(2, "big") + b"\x40\xfd\0\0\x0a\0\0\1\xe0\1\2\3"
            ip = ip[:10] + _checksum(ip).to_bytes(2, "big") + ip[12:]
            shots.append((self.w0, head + ip + data[start:end] + bytes(rng.choice([0, 0, 9]))))
        return shots

    def _shot(self) -> tuple[Device, bytes]:
        rng, devices = self.rng, self.devices()
        dev = rng.choice([self.w0, self.w0, self.w0, self.p0, *devices])
        macs = [d.mac for d in devices]
        dst = rng.choice([*macs, *macs, BROADCAST, BROADCAST, JOINED, FOREIGN, UNKNOWN])
        src = rng.choice([dev.mac, dev.mac, *macs, UNKNOWN, UNKNOWN, 0, JOINED])
        ethertype = rng.choice([0x88B5, 0x88B5, 0x88B5, 0x88B6, 0x8808])
        tags = rng.choice([[], [], [], [0], [1], [1, 0], [0, 1], [1, 1]])
        head = b"".join(
            rng.choice([DOT1Q, DOT1Q, QINQ]).to_bytes(2, "big")
            + (
                rng.choice([0, 5, 5, 6, 7, 4095]) | rng.choice([0, 0, 3, 7]) << 13 | rng.choice([0, 0, 1]) << 12
            ).to_bytes(2, "big")
            for _ in tags
        )
        room = dev.mtu - len(head) - 2
        size = rng.choice([0, 1, 2, 46, 46, 46, 100, 300, 1000, room])
        body = head + ethertype.to_bytes(2, "big") + rng.randbytes(max(0, min(size, room)))
        return dev, dst.to_bytes(6, "big") + src.to_bytes(6, "big") + body

    # -- comparison -------------------------------------------------------------------------------------------------

    def script(self) -> str:
        """The kernel's half."""
        tail = "sleep 0.1; echo COUNTERS; ip -s -j link show\n" + f"ip -n {SPACE} -s -j link show\n"
        return "\n".join(self.lines) + "\n" + tail

    def compare(self, run: KernelRun) -> tuple[list[str], int]:
        """Every difference in words, and how many frames only the kernel's hash let through."""
        head, _, tail = run.stdout.partition("COUNTERS\n")
        theirs = [int(line.split()[1]) != 0 for line in head.splitlines() if line.startswith("status")]
        found = [] if theirs == self.refused else [f"refusals: {self._first_refusal(theirs)}"]
        said = [line for line in run.stderr.splitlines() if line.startswith("simvlan send")]
        if said != self.complaints:
            found.append(f"send errors: ours {self.complaints} theirs {said}")
        extra = 0
        for point in sorted({*self.seen, *run.captures}):
            difference, false_positives = self._compare_point(point, run)
            extra += false_positives
            found += difference
        if extra == 0:  # a false positive counts too
            found += self._compare_counters(tail)
        return found, extra

    def _first_refusal(self, theirs: list[bool]) -> str:
        commands = [line for line in self.lines if line.endswith("echo status $?")]
        for command, ours, his in zip(commands, self.refused, theirs, strict=False):
            if ours != his:
                return f"{command}: ours {'refused' if ours else 'done'}"
        return f"{len(self.refused)} against {len(theirs)} commands"

    def _compare_point(self, point: str, run: KernelRun) -> tuple[list[str], int]:
        ours = self.seen.get(point, [])
        theirs = [(way, octets) for _, way, octets in run.captures.get(point, [])]
        extra, at = 0, 0
        for frame in theirs:
            if at < len(ours) and ours[at] == frame:
                at += 1
            elif self._may_be_false_positive(point, frame):
                extra += 1
            else:
                mine = f"{ours[at][0]} {ours[at][1].hex()}" if at < len(ours) else "nothing"
                return [f"{point} frame {at}: ours {mine}, theirs {frame[0]} {frame[1].hex()}"], extra
        if at < len(ours):
            return [f"{point} frame {at}: ours {ours[at][0]} {ours[at][1].hex()}, theirs nothing"], extra
        return [], extra

    def _may_be_false_positive(self, point: str, frame: tuple[str, bytes]) -> bool:
        dst = int.from_bytes(frame[1][:6], "big")
        return (
            frame[0] == "in" and point.split(".", 1)[1] not in ("p0", "w0") and bool(dst & GROUP) and dst != BROADCAST
        )

    def _compare_counters(self, tail: str) -> list[str]:
        shown = {
            f"{ns}.{d['ifname']}": d
            for ns, text in zip(("root", SPACE), tail.splitlines(), strict=False)
            for d in json.loads(text)
        }
        found = []
        for dev in self.devices():
            if dev.kind in ("vlan", "macvlan"):
                stats = shown[dev.path.replace("/", ".")]["stats64"]
                theirs = {name: stats[a][b] for name, (a, b) in _IN_JSON.items()}
                ours = {name: getattr(dev, name) for name in COUNTERS}
                if ours != theirs:
                    found.append(f"{dev.path} counters: ours {ours} theirs {theirs}")
        return found
