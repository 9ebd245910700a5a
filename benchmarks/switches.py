"""The same work for everybody: random unicast among known stations through one 64-port learning switch with wires.

Every contender is a function of (ports, frames, seed) that builds its switch untimed and returns a callable; the
callable forwards every frame once over a 1 µs wire on each side and returns how many arrived.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

PAYLOAD = bytes(50)
"""64-octet frames with the header."""

WIRE_NS = 1_000
GAP_NS = 500
"""Between two frames from the generator: two dozen frames are in flight at any time."""

ETHERTYPE = 0x88B5

Run = Callable[[], int]


def pairs(ports: int, frames: int, seed: int) -> list[tuple[int, int]]:
    """Random (source, destination) stations, never the same twice in a pair."""
    rng = Random(seed)
    chosen = []
    for _ in range(frames):
        a = rng.randrange(ports)
        b = rng.randrange(ports - 1)
        chosen.append((a, b + (b >= a)))
    return chosen


def station(number: int) -> int:
    """The MAC of a station."""
    return 0x0200_0000_0000 + number


def settle(net: Any) -> None:
    """Let the time pass after which every device has heard of every carrier (linkwatch)."""
    net.clock.advance(net.clock.now + 2_000_000_000)


def simvlan_switch(ports: int, frames: int, seed: int) -> Run:
    """simvlan: namespaces, veth pairs, a learning Linux bridge, the SimPy event engine, a cable on either side."""
    from simvlan.engines.events import EventClock
    from simvlan.frame import Frame
    from simvlan.links import Cable, CableOptions
    from simvlan.network import Network
    from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set

    clock = EventClock()
    net = Network(clock, seed)
    switch = net.add_netns("switch")
    bridge = link_add(net, switch, LinkSpec("bridge", "br0", info={"mcast_snooping": 0}))
    link_set(net, bridge, up=True)
    hosts = []
    for number in range(ports):
        ns = net.add_netns(f"h{number}")
        host: Any = link_add(
            net, ns, LinkSpec("veth", "eth0", mac=station(number), peer=PeerSpec(f"p{number}", switch))
        )
        Cable(net, host, CableOptions(delay_ns=WIRE_NS))
        link_set(net, host, up=True)
        link_set(net, host.peer, master=bridge, up=True)
        hosts.append(host)
    settle(net)
    for number, host in enumerate(hosts):
        net.send(host, Frame((1 << 48) - 1, station(number), ETHERTYPE, PAYLOAD))
    clock.run(clock.now + 1_000_000)
    work = [(hosts[a], Frame(station(b), station(a), ETHERTYPE, PAYLOAD)) for a, b in pairs(ports, frames, seed)]
    start = sum(h.rx_packets for h in hosts)

    def generate(iterator: Any) -> None:
        for host, frame in iterator:
            net.send(host, frame)
            clock.post(clock.now + GAP_NS, lambda: generate(iterator))
            return

    def run() -> int:
        generate(iter(work))
        clock.run(clock.now + frames * GAP_NS + 10 * WIRE_NS)
        return sum(h.rx_packets for h in hosts) - start

    return run


def bare_simpy_switch(ports: int, frames: int, seed: int) -> Run:
    """The least a SimPy learning switch can be: timeouts with callbacks, tuples for frames, a dict for the FDB."""
    import simpy

    env = simpy.Environment()
    table: dict[int, int] = {station(n): n for n in range(ports)}
    received = [0] * ports
    work = [(a, station(b), station(a), PAYLOAD) for a, b in pairs(ports, frames, seed)]

    def deliver(event: Any) -> None:
        received[event.value[0]] += 1

    def switch(event: Any) -> None:
        port, dst, src, payload = event.value
        table[src] = port
        out = table.get(dst)
        if out is not None and out != port:
            env.timeout(WIRE_NS, (out, dst, src, payload)).callbacks.append(deliver)

    def generate(event: Any) -> None:
        iterator = event.value
        for frame in iterator:
            env.timeout(WIRE_NS, frame).callbacks.append(switch)
            env.timeout(GAP_NS, iterator).callbacks.append(generate)
            return

    def run() -> int:
        env.timeout(0, iter(work)).callbacks.append(generate)
        env.run()
        return sum(received)

    return run


def ns_py_switch(ports: int, frames: int, seed: int) -> Run:
    """ns.py: SimplePacketSwitch (a static table, it cannot learn) with a Wire on either side of every port."""
    import simpy
    from ns.packet.packet import Packet
    from ns.port.wire import Wire
    from ns.switch.switch import SimplePacketSwitch

    env = simpy.Environment()
    switch = SimplePacketSwitch(env, ports, port_rate=0, buffer_size=10**9)
    switch.demux.fib = {n: n for n in range(ports)}
    received = [0] * ports

    class Sink:
        def __init__(self, number: int) -> None:
            self.number = number

        def put(self, packet: Any) -> None:
            received[self.number] += 1

    def delay() -> float:
        return WIRE_NS

    into = []
    for number in range(ports):
        near, far = Wire(env, delay), Wire(env, delay)
        near.out = switch
        far.out = Sink(number)
        switch.ports[number].out = far
        into.append(near)
    work = pairs(ports, frames, seed)

    def generate() -> Any:
        for number, (a, b) in enumerate(work):
            packet = Packet(env.now, 64, number, flow_id=b)
            packet.current_time = env.now
            into[a].put(packet)
            yield env.timeout(GAP_NS)

    def run() -> int:
        env.process(generate())
        env.run()
        return sum(received)

    return run
