"""The event engine against a bare SimPy switch and ns.py; hops against scapy; scale; start-up times.

Bars are from the project's promises: asserted here, in a benchmark, never in a timed test.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import tracemalloc
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks.measure import cpu, ratio
from benchmarks.switches import ETHERTYPE, PAYLOAD, bare_simpy_switch, ns_py_switch, simvlan_switch, station
from simvlan.frame import Frame

PORTS, FRAMES, SEED = 64, 20_000, 1

CONTENDERS = {"simvlan": simvlan_switch, "bare SimPy": bare_simpy_switch, "ns.py": ns_py_switch}


@pytest.mark.parametrize("name", CONTENDERS)
@pytest.mark.benchmark(group="64-port learning switch with wires, 20,000 frames")
def test_switch(benchmark: Any, name: str) -> None:
    """Frames a second of each contender; everybody must deliver every frame."""
    make = CONTENDERS[name]
    arrived = benchmark.pedantic(lambda run: run(), setup=lambda: ((make(PORTS, FRAMES, SEED),), {}), rounds=5)
    assert arrived == FRAMES


@pytest.mark.parametrize(("peer", "bar", "aim"), [("bare SimPy", 0.3, 0.8), ("ns.py", 2.0, 5.0)])
def test_switch_ratio(benchmark: Any, report: Any, peer: str, bar: float, aim: float) -> None:
    """The engine's rate as a multiple of the peer's, in turns."""
    ours = partial(simvlan_switch, PORTS, FRAMES, SEED)
    theirs = partial(CONTENDERS[peer], PORTS, FRAMES, SEED)
    value = benchmark.pedantic(lambda: ratio(ours, theirs), rounds=1)
    report(f"frames/s of a 64-port switch with wires, x {peer}", value, bar, aim=aim)


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
            net.send(far, Frame((1 << 48) - 1, station(number), ETHERTYPE, PAYLOAD))
    work = [Frame(station(n * 7919 % size), station(9999), ETHERTYPE, PAYLOAD) for n in range(frames)]
    before = sum(t.rx_packets for t in targets)

    def run() -> None:
        for frame in work:
            net.send(sender, frame)
        assert sum(t.rx_packets for t in targets) == before + frames

    return run


@pytest.mark.parametrize("kind", ["macvlan", "bridge port"])
def test_512_cost_no_more_than_8(benchmark: Any, report: Any, kind: str) -> None:
    """Unicast among 512 uppers or ports costs at most 1.2 times what it costs among 8."""
    value = benchmark.pedantic(lambda: ratio(partial(demux, kind, 8), partial(demux, kind, 512), rounds=7), rounds=1)
    report(f"512 {kind}s / 8, cost", value, 1.2, at_least=False)


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


def test_hop_against_scapy(benchmark: Any, report: Any) -> None:
    """One hop (a cable, a bridge's receive and transmit) costs at most 1/30 of a scapy dissection of the same frame."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    octets = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP() / UDP() / bytes(22))
    frames, hops = 1_000, 20

    def once() -> float:
        dissect = cpu(lambda: [Ether(octets) for _ in range(frames)])
        return dissect / ((cpu(chain(hops + 1, frames)) - cpu(chain(1, frames))) / hops)

    value = benchmark.pedantic(lambda: median(once() for _ in range(5)), rounds=1)
    report("hops per scapy dissect (21 bridges in a row against 1)", value, 30)


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


def test_thousand_containers(benchmark: Any, report: Any) -> None:
    """1,000 containers on 10 nodes: under 3 s and under 100 MB."""
    seconds = benchmark.pedantic(lambda: cpu(thousand_containers), rounds=3)
    report("seconds to build", seconds, 3.0, at_least=False)
    tracemalloc.start()
    keep = thousand_containers()
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    assert keep
    report("megabytes", megabytes, 100.0, at_least=False)


def start(code: str) -> float:
    """CPU seconds (user and system) of a fresh interpreter running *code*, the least of five."""
    best = 1e9
    for _ in range(5):
        probe = "import os, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
        probe += "; t = os.times(); print(t.children_user + t.children_system)"
        done = subprocess.run([sys.executable, "-c", probe, code], capture_output=True, text=True, check=True)
        best = min(best, float(done.stdout))
    return best


def test_import(benchmark: Any, report: Any) -> None:
    """`import simvlan` (with Lab) adds at most 0.25 CPU seconds over bare Python."""
    value = benchmark.pedantic(lambda: start("from simvlan import Lab") - start("pass"), rounds=1)
    report("import, CPU s", value, 0.25, at_least=False)


def test_help(benchmark: Any, report: Any) -> None:
    """`simvlan --help` is there within 0.3 s."""
    command = [str(Path(sys.executable).parent / "simvlan"), "--help"]
    benchmark.pedantic(lambda: subprocess.run(command, capture_output=True, check=True), rounds=7)
    report("--help, s", benchmark.stats.stats.min, 0.3, at_least=False)


def test_shim_command(benchmark: Any, report: Any) -> None:
    """One network command inside a script takes under 40 ms."""
    count = 50

    def script(lines: int) -> float:
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
            file.write("ip link show dev lo > /dev/null\n" * lines)
            file.flush()
            begin = time.perf_counter()
            subprocess.run([str(Path(sys.executable).parent / "simvlan"), "run", file.name], check=True)
            return time.perf_counter() - begin

    value = benchmark.pedantic(lambda: min(script(count) - script(0) for _ in range(3)) / count, rounds=1)
    report("one shim command, s", value, 0.04, at_least=False)
