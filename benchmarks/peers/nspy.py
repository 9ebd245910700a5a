"""ns.py's packet switch doing the work of the batch benchmarks. It cannot learn: the table is given to it."""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Run, cpu
from simvlan.engines.batch import FrameBatch


def contender(ports: int, home: dict[int, int], batch: FrameBatch, expected: int) -> Run:
    """Return a run of these frames through a fresh switch; `home` says the port of every MAC."""
    octets = [batch.octets(n) for n in range(len(batch))]

    def run() -> tuple[float, int]:
        start, received = switch(ports, home, octets)
        used = cpu(start)
        assert sum(received) == expected, f"ns.py delivered {sum(received)} of {expected}"
        return used, len(octets)

    return run


def switch(ports: int, home: dict[int, int], octets: list[bytes]) -> Any:
    """Build a switch without wires; returns what sends all frames, and the counters of the ports."""
    import simpy
    from ns.packet.packet import Packet
    from ns.switch.switch import SimplePacketSwitch

    env = simpy.Environment()
    made = SimplePacketSwitch(env, ports, port_rate=0, buffer_size=10**9)
    made.demux.fib = home
    received = [0] * ports

    class Sink:
        def __init__(self, number: int) -> None:
            self.number = number

        def put(self, packet: Any) -> None:
            received[self.number] += 1

    for number in range(ports):
        made.ports[number].out = Sink(number)

    def generate() -> Any:
        for number, frame in enumerate(octets):
            made.put(Packet(env.now, len(frame), number, flow_id=int.from_bytes(frame[:6], "big")))
            yield env.timeout(1)

    def start() -> None:
        env.process(generate())
        env.run()

    return start, received
