"""The bridge against Linux: random ports, options, VLANs, FDB entries and frames agree with User Mode Linux.

Every command is given to both; its success, every device's capture, its counters and the FDB's listing are compared.
Nothing has an IP address, so that no protocol answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from simvlan.devices.bridge import Bridge
from simvlan.errors import RtnlError
from simvlan.frame import Frame, mac_text
from simvlan.network import Network
from simvlan.oracle import KernelRun, compare_captures, run_many
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.bridge import set_port
from simvlan.rtnl.bridge_vlan import vlan_add, vlan_del
from simvlan.rtnl.fdb import fdb_add, fdb_del, fdb_dump
from simvlan.stack.packet import checksum
from tests.kernels import require

NETWORKS, ROUNDS, SHOTS, PORTS = 14, 3, 18, 4
HOST, PORT, BRIDGE, ROAMER = 0x02_00_00_00_00_10, 0x02_00_00_00_00_20, 0x02_00_00_00_00_30, 0x02_00_00_00_00_40
BROADCAST, GROUP_MAC, RESERVED = 0xFFFF_FFFF_FFFF, 0x0100_5E01_0203, 0x0180_C200_0000
REPORTS = (bytes.fromhex("01005e000016"), bytes.fromhex("01005e00006a"))
COUNTERS = ("rx_packets", "rx_bytes", "multicast", "tx_packets", "tx_bytes", "tx_dropped")
FLAGS = ("hairpin", "isolated", "learning", "flood", "mcast_flood", "bcast_flood", "locked")
MS = 1_000_000


class Twin:
    """One random network, built here and written down as a script for the kernel."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(f"bridge {seed}")
        self.net = Network(seed=seed)
        self.sw, self.far = self.net.add_netns("sw"), self.net.add_netns("far")
        self.lines = ["ip netns add sw", "ip netns add far"]
        self.codes: list[int] = []
        self.captures: dict[str, list[tuple[int, str, bytes]]] = {}
        self.net.watchers.append(self.watch)
        self.frames = 0
        self.snooping = seed % 4 == 3
        self.build()

    def watch(self, dev: Any, what: str) -> None:
        if what != "add" or not dev.kind:
            return
        seen = self.captures.setdefault(f"{dev.netns.name}.{dev.name}", [])

        def tap(now: int, device: Any, frame: Frame, out: bool) -> None:
            seen.append((now, "out" if out else "in", bytes(frame)))

        dev.taps.append(tap)

    def do(self, line: str, action: Callable[[], object]) -> None:
        """Give one command to both; whether each refuses is compared."""
        self.lines.append(f"{line}; echo rc=$?")
        try:
            action()
            self.codes.append(0)
        except RtnlError:
            self.codes.append(2)
        self.net.drain()

    def sleep(self, seconds: float) -> None:
        self.lines.append(f"sleep {seconds}")
        self.net.clock.advance(self.net.now + int(seconds * 1e9))  # type: ignore[attr-defined]

    def set(self, name: str, words: str, **changes: Any) -> None:
        """`ip link set` of a device of the switch."""
        dev = self.sw.devices[name]
        self.do(f"ip -n sw link set {name} {words}", lambda: link_set(self.net, dev, **changes))

    # -- building ---------------------------------------------------------------------------------------------------

    def build(self) -> None:
        explicit = self.rng.random() < 0.6
        words = f"address {mac_text(BRIDGE)} " if explicit else ""
        spec = LinkSpec("bridge", "br0", mac=BRIDGE if explicit else None, info={"mcast_snooping": int(self.snooping)})
        self.lines.append(f"ip -n sw link add br0 {words}type bridge mcast_snooping {int(self.snooping)}")
        link_add(self.net, self.sw, spec)
        for n in range(PORTS):
            mtu = self.rng.choice((1500, 1500, 1000))
            self.lines.append(
                f"ip link add p{n} address {mac_text(PORT + n)} mtu {mtu} netns sw type veth"
                f" peer name h{n} address {mac_text(HOST + n)} mtu 3000 netns far"
            )
            peer = PeerSpec(f"h{n}", self.far, mac=HOST + n, mtu=3000)
            link_add(self.net, self.sw, LinkSpec("veth", f"p{n}", mac=PORT + n, mtu=mtu, peer=peer))
            self.lines.append(f"ip -n far link set h{n} up")
            link_set(self.net, self.far.devices[f"h{n}"], up=True)
            self.set(f"p{n}", "master br0 up", master=self.br, up=True)
        self.set("br0", "up", up=True)
        self.sleep(1.4)
        for _ in range(ROUNDS):
            for _ in range(self.rng.randint(2, 6)):
                self.change()
            self.shoot()

    @property
    def br(self) -> Bridge:
        dev = self.sw.devices["br0"]
        assert isinstance(dev, Bridge)
        return dev

    # -- changing ---------------------------------------------------------------------------------------------------

    def change(self) -> None:
        """Change one thing."""
        rng = self.rng
        changes = (self.flag, self.flag, self.vlan, self.vlan, self.vlan, self.filtering, self.filtering, self.fdb,
                   self.fdb, self.state, self.mask, self.pvid, self.protocol, self.promisc, self.membership,
                   self.address, self.updown, self.mtu)  # fmt: skip
        rng.choice(changes)()

    def port(self) -> str:
        return f"p{self.rng.randrange(PORTS)}"

    def link(self, name: str, words: str, **info: object) -> None:
        """`bridge link set`."""
        dev = self.sw.devices[name]
        self.do(f"bridge -n sw link set dev {name} {words}", lambda: set_port(self.net, dev, info))

    def flag(self) -> None:
        flag, on = self.rng.choice(FLAGS), self.rng.random() < 0.6
        if flag in ("learning", "flood", "mcast_flood", "bcast_flood"):
            on = not on
        name = self.port()
        self.set(name, f"type bridge_slave {flag} {'on' if on else 'off'}", slave_info={flag: on})

    def filtering(self) -> None:
        on = int(self.rng.random() < 0.8)
        self.set("br0", f"type bridge vlan_filtering {on}", info={"vlan_filtering": on})

    def vlan(self) -> None:
        name, own = (self.port(), False) if self.rng.random() < 0.75 else ("br0", True)
        dev, vid = self.sw.devices[name], self.rng.choice((1, 5, 6, 7, 0, 4095))
        pvid, untagged = self.rng.random() < 0.4, self.rng.random() < 0.4
        own_words = " self" if own else ""
        if self.rng.random() < 0.75:
            words = f"{' pvid' if pvid else ''}{' untagged' if untagged else ''}{own_words}"
            self.do(
                f"bridge -n sw vlan add dev {name} vid {vid}{words}",
                lambda: vlan_add(self.net, dev, vid, pvid=pvid, untagged=untagged, to_self=own),
            )
        else:
            self.do(
                f"bridge -n sw vlan del dev {name} vid {vid}{own_words}",
                lambda: vlan_del(self.net, dev, vid, to_self=own),
            )

    def fdb(self) -> None:
        rng = self.rng
        name = self.port() if rng.random() < 0.85 else "br0"
        dev = self.sw.devices[name]
        mac = rng.choice((ROAMER, ROAMER + 1, HOST, HOST + 1, PORT, BRIDGE, 0x0100_5E01_0203))
        vid = rng.choice((None, None, 1, 5))
        to = {"to_self": True} if name == "br0" else {"to_master": True}
        word = f" {'self' if name == 'br0' else 'master'}" + (f" vlan {vid}" if vid else "")
        what = rng.choice(("add", "add", "replace", "del"))
        if what == "del":
            self.do(
                f"bridge -n sw fdb del {mac_text(mac)} dev {name}{word}",
                lambda: fdb_del(self.net, dev, mac, vid, **to),
            )
            return
        state = rng.choice(("permanent", "static", "static", "dynamic"))
        sticky = rng.random() < 0.3
        self.do(
            f"bridge -n sw fdb {what} {mac_text(mac)} dev {name}{word} {state}{' sticky' if sticky else ''}",
            lambda: fdb_add(self.net, dev, mac, vid, state, sticky=sticky, exclusive=what == "add", **to),
        )

    def state(self) -> None:
        state = self.rng.randrange(5)
        self.link(self.port(), f"state {state}", state=state)

    def mask(self) -> None:
        mask = self.rng.choice((0, 0x4000, 0x8, 0xFFF8, 0x1, 0x2, 0x4, 0x5, 0xFFFD))
        if self.rng.random() < 0.5:
            self.set("br0", f"type bridge group_fwd_mask {mask}", info={"group_fwd_mask": mask})
        else:
            self.set(self.port(), f"type bridge_slave group_fwd_mask {mask}", slave_info={"group_fwd_mask": mask})

    def pvid(self) -> None:
        pvid = self.rng.choice((0, 1, 5, 6, 4095))
        self.set("br0", f"type bridge vlan_default_pvid {pvid}", info={"vlan_default_pvid": pvid})

    def protocol(self) -> None:
        word = self.rng.choice(("802.1Q", "802.1Q", "802.1ad"))
        self.set("br0", f"type bridge vlan_protocol {word}", info={"vlan_protocol": word})

    def promisc(self) -> None:
        on = self.rng.random() < 0.5
        self.set("br0", f"promisc {'on' if on else 'off'}", promisc=on)

    def membership(self) -> None:
        name = self.port()
        if self.rng.random() < 0.4:
            self.set(name, "nomaster", master=None)
        else:
            self.set(name, "master br0", master=self.br)

    def address(self) -> None:
        mac = self.rng.choice((PORT, PORT + 1, PORT + 9, BRIDGE, HOST, 0x02_00_00_00_00_01))
        name = self.port()
        if self.sw.devices[name].mac != mac:
            self.set(name, f"address {mac_text(mac)}", mac=mac)

    def updown(self) -> None:
        name, up = self.rng.choice([self.port(), self.port(), "br0"]), self.rng.random() < 0.7
        self.set(name, "up" if up else "down", up=up)
        self.sleep(1.3)

    def mtu(self) -> None:
        name, mtu = self.rng.choice([self.port(), "br0"]), self.rng.choice((67, 1000, 1500, 2000))
        self.set(name, f"mtu {mtu}", mtu=mtu)

    # -- sending ----------------------------------------------------------------------------------------------------

    def shoot(self) -> None:
        """A batch of random frames, mostly from the far ends."""
        shots = [shot for shot in (self.shot() for _ in range(SHOTS)) if self.sendable(*shot)]
        self.lines += ["cat > /run/frames <<'END'"]
        self.lines += [f"{ns} {name} {octets.hex()}" for ns, name, octets in shots]
        self.lines += ["END", "simvlan send --pause 0 --batch /run/frames"]
        for ns, name, octets in shots:
            self.net.send(self.net.netns[ns].devices[name], Frame.parse(octets))
            self.net.clock.advance(self.net.now + 20 * MS)  # type: ignore[attr-defined]
        self.frames += len(shots)

    def sendable(self, ns: str, name: str, octets: bytes) -> bool:
        """A packet socket refuses what is longer than the MTU, before any device sees it."""
        room = 18 if octets[12:14] == b"\x81\0" else 14
        return len(octets) <= self.net.netns[ns].devices[name].mtu + room

    def shot(self) -> tuple[str, str, bytes]:
        rng = self.rng
        place = rng.choice([("far", n) for n in range(PORTS)] * 3 + [("sw", -1)] * 2)
        ns, name = place[0], f"h{place[1]}" if place[1] >= 0 else "br0"
        own = HOST + place[1] if place[1] >= 0 else self.br.mac
        stations = [*(HOST + n for n in range(PORTS)), ROAMER, ROAMER + 1]
        src = rng.choice([own] * 4 + stations + [PORT, BRIDGE, 0x0100_5E00_0001, 0])
        dst = rng.choice(
            stations * 2
            + [PORT + n for n in range(PORTS)]
            + [self.br.mac, BRIDGE, BROADCAST, BROADCAST, GROUP_MAC, GROUP_MAC, 0x3333_0000_0005]
            + [RESERVED + rng.randrange(16)] * 3
            + [RESERVED + 0x21]
        )
        body = self.body(dst)
        tags = rng.choice(("", "", "", "", "8100", "8100", "8100", "88a8", "8100+8100", "8100+88a8", "88a8+8100"))
        for tpid in reversed(tags.split("+") if tags else []):
            tci = rng.choice((0, 1, 5, 5, 6, 7, 4095)) | rng.choice((0, 0x6000))
            body = bytes.fromhex(tpid) + tci.to_bytes(2, "big") + body
        return ns, name, dst.to_bytes(6, "big") + src.to_bytes(6, "big") + body

    def body(self, dst: int) -> bytes:
        rng = self.rng
        if dst == GROUP_MAC:
            return b"\x08\x00" + self.group_packet()
        size = rng.choice((46, 46, 46, 0, 1000, 1004, 1005, 1496))
        return rng.choice((b"\x88\xb5", b"\x88\xb5", b"\x08\x06")) + bytes(size)

    def group_packet(self) -> bytes:
        """IPv4 to 239.1.2.3, sound or not; where snooping is on also queries, reports and leaves."""
        rng = self.rng
        kind = rng.choice(("udp", "udp", "query", "report", "leave", "bad")) if self.snooping else "udp"
        group, wrong = 0xEF01_0203, rng.random() < 0.15
        protocol, body, target, options = 17, bytes(16), group, b""
        if kind in ("query", "report", "leave"):
            protocol, options = 2, b"\x94\x04\0\0"
            code, about = {"query": (0x11, 0), "report": (0x16, group), "leave": (0x17, group)}[kind]
            target = {"query": 0xE000_0001, "report": group, "leave": 0xE000_0002}[kind]
            body = bytes((code, 1 if kind == "query" else 0, 0, 0)) + about.to_bytes(4, "big")
            body = body[:2] + (checksum(body) ^ wrong).to_bytes(2, "big") + body[4:]
        head = bytes((0x45 + len(options) // 4, 0)) + (20 + len(options) + len(body)).to_bytes(2, "big")
        head += b"\0\0\0\0\1" + bytes((protocol,)) + b"\0\0" + (0x0A00_0000 + rng.randrange(9)).to_bytes(4, "big")
        head += target.to_bytes(4, "big") + options
        return head[:10] + (checksum(head) ^ (kind == "bad")).to_bytes(2, "big") + head[12:] + body

    # -- comparing --------------------------------------------------------------------------------------------------

    @property
    def devices(self) -> list[tuple[str, str]]:
        return [("sw", "br0"), *(("sw", f"p{n}") for n in range(PORTS)), *(("far", f"h{n}") for n in range(PORTS))]

    def script(self) -> str:
        last = [f"ip -n {ns} -s -j link show {name}" for ns, name in self.devices]
        return "\n".join([*self.lines, "bridge -n sw -j fdb show br br0", "bridge -n sw -j vlan", *last])

    def counters(self) -> dict[str, dict[str, int]]:
        devs = [self.net.netns[ns].devices[name] for ns, name in self.devices]
        return {dev.name: {name: getattr(dev, name) for name in COUNTERS} for dev in devs}

    def fdb_rows(self) -> list[tuple[str, str, int | None, str]]:
        rows = fdb_dump(self.sw, self.net.now, bridge=self.br)
        words = {"dynamic": "", "permanent": "permanent", "static": "static"}
        return [(mac_text(r.mac), r.dev.name, r.vlan, words[r.state]) for r in rows if r.master is not None]

    def differences(self, run: KernelRun) -> list[str]:
        """Everything in which the two disagree."""
        found = []
        lines = run.stdout.splitlines()
        codes = [int(line[3:]) for line in lines if line.startswith("rc=")]
        commands = [line for line in self.lines if line.endswith("; echo rc=$?")]
        for command, ours, theirs in zip(commands, self.codes, codes, strict=True):
            if bool(ours) != bool(theirs):
                found.append(f"{command}: ours {ours}, theirs {theirs}")
        theirs_seen = {name: seen for name, seen in run.captures.items() if name in self.captures}
        found += map(str, compare_captures(without_reports(self.captures), without_reports(theirs_seen)))
        data = [json.loads(line) for line in lines if line.startswith("[")]
        theirs_fdb = [(r["mac"], r["ifname"], r.get("vlan"), r["state"]) for r in data[0] if "self" not in r["flags"]]
        if self.fdb_rows() != theirs_fdb:
            found.append(f"fdb: ours only {[r for r in self.fdb_rows() if r not in theirs_fdb]},"
                         f" theirs only {[r for r in theirs_fdb if r not in self.fdb_rows()]}")  # fmt: skip
            if sorted(map(str, self.fdb_rows())) == sorted(map(str, theirs_fdb)):
                found.append(f"fdb order: ours {self.fdb_rows()}\n theirs {theirs_fdb}")
        theirs_counts = kernel_counters(data[2:])
        if not self.snooping:
            ours_counts = self.counters()
            found += [
                f"{dev} {name}: ours {ours_counts[dev][name]}, theirs {theirs_counts[dev][name]}"
                for dev in ours_counts for name in COUNTERS if ours_counts[dev][name] != theirs_counts[dev][name]
            ]  # fmt: skip
        return found


def without_reports(captures: Any) -> Any:
    """Leave out the IGMP reports of a snooping bridge's own host: their times are random."""
    return {name: [f for f in seen if f[2][:6] not in REPORTS] for name, seen in captures.items()}


def kernel_counters(shown: list[Any]) -> dict[str, dict[str, int]]:
    """What `ip -s -j link` said."""
    found = {}
    for links in shown:
        stats = links[0]["stats64"]
        both = {f"{way}_{name}": value for way in ("rx", "tx") for name, value in stats[way].items()}
        both["multicast"] = both.get("rx_multicast", 0)
        found[links[0]["ifname"]] = {name: both[name] for name in COUNTERS}
    return found


@pytest.mark.kernel
def test_bridge_agrees_with_linux() -> None:
    """One boot, hundreds of frames: the same octets in the same order at every device, the same refusals and FDB."""
    require("uml")
    twins = [Twin(seed) for seed in range(NETWORKS)]
    assert sum(twin.frames for twin in twins) >= 300
    runs = run_many("uml", [twin.script() for twin in twins], timeout_s=120, guests=3)  # they mostly sleep
    report = []
    for seed, (twin, run) in enumerate(zip(twins, runs, strict=True)):
        found = twin.differences(run)
        if found:
            report.append(f"network {seed}:\n" + "\n".join(found))
    assert not report, "\n".join(report)
