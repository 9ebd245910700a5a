"""The event engine against a bare SimPy switch and ns.py; hops against scapy; scale; start-up times."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Run, cpu, take_turns, times_faster
from benchmarks.switches import ETHERTYPE, PAYLOAD, bare_simpy_switch, ns_py_switch, settle, simvlan_switch, station
from simvlan.frame import Frame

PORTS, FRAMES, SEED = 64, 20_000, 1
GROUP = "Event engine"


def figures(rounds: int) -> Iterator[Figure]:
    """Measure everything here."""
    yield from switches(rounds)
    yield from sizes(rounds)
    yield hop_against_scapy(rounds)
    yield from thousand(rounds)
    yield from starts(rounds)


def fresh(make: Any) -> Run:
    """A contender that needs a new network for every run; building it is not measured."""

    def run() -> tuple[float, int]:
        work = make()
        return cpu(work), FRAMES

    return run


def switches(rounds: int) -> Iterator[Figure]:
    """Frames a second of a 64-port learning switch with a wire on either side; everybody delivers every frame."""
    made = {"simvlan": simvlan_switch, "bare SimPy": bare_simpy_switch, "ns.py": ns_py_switch}

    def checked(make: Any) -> Any:
        work = make(PORTS, FRAMES, SEED)

        def run() -> None:
            assert work() == FRAMES

        return run

    cost = take_turns({name: fresh(partial(checked, make)) for name, make in made.items()}, rounds)
    for peer, bar, aim in (("bare SimPy", 0.3, 0.8), ("ns.py", 2.0, 5.0)):
        name = f"64-port switch with wires, times {peer}"
        yield Figure(GROUP, name, times_faster(cost, "simvlan", peer), bar=bar, aim=aim)


def demux(kind: str, size: int, frames: int = 20_000) -> Any:
    """A run of unicast frames to the last of *size* ports or macvlans."""
    from simvlan.network import Network
    from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set

    net = Network()
    host, wire = net.add_netns("host"), net.add_netns("wire")
    sender: Any = link_add(net, wire, LinkSpec("veth", "w", mac=station(9999), peer=PeerSpec("p", host)))
    link_set(net, sender, up=True)
    link_set(net, sender.peer, up=True)
    if kind == "macvlan":
        targets: list[Any] = []
        for number in range(size):
            dev = link_add(
                net,
                host,
                LinkSpec("macvlan", f"m{number}", link=sender.peer, mac=station(number), info={"mode": "bridge"}),
            )
            link_set(net, dev, up=True)
            targets.append(dev)
    else:
        bridge = link_add(net, host, LinkSpec("bridge", "br0", info={"mcast_snooping": 0}))
        link_set(net, bridge, up=True)
        link_set(net, sender.peer, master=bridge)
        targets = []
        for number in range(size):
            far: Any = link_add(
                net, wire, LinkSpec("veth", f"h{number}", mac=station(number), peer=PeerSpec(f"p{number}", host))
            )
            link_set(net, far, up=True)
            link_set(net, far.peer, master=bridge, up=True)
            targets.append(far)
    settle(net)
    if kind != "macvlan":
        for number, far in enumerate(targets):
            net.send(far, Frame((1 << 48) - 1, station(number), ETHERTYPE, PAYLOAD))
    work = [Frame(station(n * 7919 % size), station(9999), ETHERTYPE, PAYLOAD) for n in range(frames)]
    before = sum(t.rx_packets for t in targets)

    def run() -> None:
        for frame in work:
            net.send(sender, frame)
        assert sum(t.rx_packets for t in targets) == before + frames

    return run


def sizes(rounds: int) -> Iterator[Figure]:
    """Unicast among 512 uppers or ports costs at most 1.2 times what it costs among 8."""
    for kind in ("macvlan", "bridge port"):
        cost = take_turns({str(size): fresh(partial(demux, kind, size, FRAMES)) for size in (8, 512)}, rounds)
        yield Figure(GROUP, f"512 {kind}s / 8, cost", times_faster(cost, "8", "512"), bar=1.2, at_least=False)


def chain(bridges: int, frames: int) -> Any:
    """A run of unicast frames over a row of learning bridges, neighbours joined by cables of 1 µs."""
    from simvlan.engines.events import EventClock
    from simvlan.links import Cable, CableOptions
    from simvlan.network import Network
    from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set

    clock = EventClock()
    net = Network(clock)
    spaces = [net.add_netns(f"n{number}") for number in range(bridges + 2)]
    masters = [link_add(net, ns, LinkSpec("bridge", "br0", info={"mcast_snooping": 0})) for ns in spaces[1:-1]]
    for master in masters:
        link_set(net, master, up=True)
    ends: list[Any] = []
    for number in range(bridges + 1):
        spec = LinkSpec("veth", "right", mac=station(2 * number), peer=PeerSpec("left", spaces[number + 1]))
        near: Any = link_add(net, spaces[number], spec)
        Cable(net, near, CableOptions(delay_ns=1_000))
        for dev, master in ((near, masters[number - 1] if number else None), (near.peer, [*masters, None][number])):
            link_set(net, dev, master=master, up=True)
        ends += [near, near.peer]
    first, last = ends[0], ends[-1]
    settle(net)
    net.send(last, Frame((1 << 48) - 1, last.mac, ETHERTYPE, PAYLOAD))
    clock.run(clock.now + 1_000_000)
    frame = Frame(last.mac, first.mac, ETHERTYPE, PAYLOAD)

    def run() -> None:
        before = last.rx_packets
        for _ in range(frames):
            net.send(first, frame)
            clock.run(clock.now + 100_000)
        assert last.rx_packets == before + frames

    return run


def hop_against_scapy(rounds: int) -> Figure:
    """One hop (a cable, a bridge's receive and transmit) costs at most 1/30 of a scapy dissection of the same frame."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    octets = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP() / UDP() / bytes(22))
    frames, hops = 1_000, 20

    def once() -> float:
        dissect = cpu(lambda: [Ether(octets) for _ in range(frames)])
        return dissect / ((cpu(chain(hops + 1, frames)) - cpu(chain(1, frames))) / hops)

    values = tuple(once() for _ in range(rounds))
    return Figure(GROUP, "hops per scapy dissect", values, bar=30, note="21 bridges in a row against 1")


def thousand_containers() -> Any:
    """Ten nodes on one switch, a hundred macvlan containers each, addresses and routes included."""
    from simvlan.network import Network
    from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
    from simvlan.rtnl.address import address_add

    net = Network()
    switch = net.add_netns("switch")
    bridge = link_add(net, switch, LinkSpec("bridge", "br0", info={"mcast_snooping": 0}))
    link_set(net, bridge, up=True)
    for n in range(10):
        node = net.add_netns(f"node-{n}")
        eth1: Any = link_add(net, node, LinkSpec("veth", "eth1", peer=PeerSpec(f"p{n}", switch)))
        link_set(net, eth1.peer, master=bridge, up=True)
        link_set(net, eth1, up=True)
        for c in range(100):
            ns = net.add_netns(f"c{n}-{c}")
            link_set(net, ns.devices["lo"], up=True)
            dev = link_add(net, ns, LinkSpec("macvlan", "eth0", link=eth1, info={"mode": "bridge"}))
            address_add(net, dev, f"10.{n}.0.{c + 1}/8")
            link_set(net, dev, up=True)
    return net


def thousand(rounds: int) -> Iterator[Figure]:
    """1,000 containers on 10 nodes: under 3 s and under 100 MB."""
    name = "1,000 containers on ten nodes"
    seconds = tuple(cpu(thousand_containers) for _ in range(rounds))
    yield Figure(GROUP, f"{name}, to build", seconds, "CPU s", bar=3.0, at_least=False)
    tracemalloc.start()
    keep = thousand_containers()
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    assert keep
    yield Figure(GROUP, f"{name}, memory", (megabytes,), "MB", bar=100.0, at_least=False)


def start(code: str) -> float:
    """CPU seconds (user and system) of a fresh interpreter running *code*, children included."""
    probe = "import os, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    probe += "; t = os.times(); print(t.children_user + t.children_system)"
    done = subprocess.run([sys.executable, "-c", probe, code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def starts(rounds: int) -> Iterator[Figure]:
    """`import simvlan`, `simvlan --help`, one network command inside a script."""
    imports = tuple(start("from simvlan import Lab") - start("pass") for _ in range(rounds))
    yield Figure(GROUP, "import simvlan over bare Python", imports, "CPU s", bar=0.25, at_least=False)
    program = str(Path(sys.executable).parent / "simvlan")
    helped = tuple(wall([program, "--help"]) for _ in range(rounds))
    yield Figure(GROUP, "simvlan --help", helped, "s", bar=0.3, at_least=False)
    count = 50
    with tempfile.TemporaryDirectory() as folder:
        scripts = [Path(folder) / f"{lines}.sh" for lines in (0, count)]
        for lines, script in zip((0, count), scripts, strict=True):
            script.write_text("ip link show dev lo > /dev/null\n" * lines)
        shims = tuple(
            (wall([program, "run", str(scripts[1])]) - wall([program, "run", str(scripts[0])])) / count
            for _ in range(rounds)
        )
    yield Figure(GROUP, "one network command in a script", shims, "s", bar=0.04, at_least=False)


def wall(command: list[str]) -> float:
    """Seconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin
