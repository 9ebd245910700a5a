"""Hold `Pipeline.simulate` against the event engine: when every copy arrives or is dropped, to the nanosecond."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any

from simvlan.devices.veth import Veth
from simvlan.engines.batch import FrameBatch, Pipeline
from simvlan.engines.batch.classes import DELIVERED, DROPS
from simvlan.engines.events import EventClock
from simvlan.frame import BROADCAST, Frame
from simvlan.links import Cable, CableOptions
from simvlan.network import Network, Told
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.bridge_vlan import vlan_add
from tests.batch_parity import Reference, Sent, batch_of

RATES = (0, 10_000_000, 100_000_000, 1_000_000_000, 3_000_000, 7_000_000_000)


class Tree:
    """Switches in a row, hosts on them, cables between: bursts make queues, queues overflow."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        self.net = Network(EventClock(), seed)
        self.hosts: list[Any] = []
        self.usual = CableOptions(
            rng.choice(RATES[1:]), rng.choice((0, 24)), rng.choice((0, 500, 20_000)), limit=rng.choice((2, 5, 1000))
        )
        bridges = [self.switch(n) for n in range(rng.choice((1, 1, 2, 3)))]
        for near, far in pairwise(bridges):
            end: Any = link_add(
                self.net, near.netns, LinkSpec("veth", f"t{far.netns.name}", peer=PeerSpec("up", far.netns))
            )
            for one, bridge in ((end, near), (end.peer, far)):
                link_set(self.net, one, master=bridge, up=True)
                vlan_add(self.net, one, 10)
            self.cable(end)
        self.settle()

    def switch(self, number: int) -> Any:
        rng, ns = self.rng, self.net.add_netns(f"s{number}")
        info = {"mcast_snooping": 0, "vlan_filtering": rng.randint(0, 1)}
        bridge = link_add(self.net, ns, LinkSpec("bridge", "br0", info=info))
        link_set(self.net, bridge, up=True)
        for port in range(rng.randint(2, 7)):
            end: Any = link_add(
                self.net,
                ns,
                LinkSpec("veth", f"p{port}", peer=PeerSpec("eth0", self.net.add_netns(f"h{number}{port}"))),
            )
            link_set(self.net, end, master=bridge, up=True)
            link_set(self.net, end.peer, up=True)
            self.cable(end)
            self.host(end, end.peer)
        return bridge

    def host(self, port: Any, dev: Any) -> None:
        """Macvlans, a VLAN device, or just the device itself."""
        kind = self.rng.choice(("plain", "plain", "vlan", "macvlan"))
        if kind == "plain":
            self.hosts.append(dev)
        elif kind == "vlan":
            vlan_add(self.net, port, 10)
            child = link_add(self.net, dev.netns, LinkSpec("vlan", "v10", link=dev, info={"id": 10}))
            link_set(self.net, child, up=True)
            self.hosts.append(child)
        else:
            for n in range(2):
                child = link_add(self.net, dev.netns, LinkSpec("macvlan", f"m{n}", link=dev, info={"mode": "bridge"}))
                link_set(self.net, child, up=True)
                self.hosts.append(child)

    def cable(self, end: Any) -> None:
        rng = self.rng
        if rng.random() < 0.1:
            return
        options = self.usual
        if rng.random() < 0.3:
            options = CableOptions(
                rng.choice(RATES), rng.choice((0, 24)), rng.choice((0, 1, 777, 20_000)), limit=rng.choice((1, 3, 1000))
            )
        Cable(self.net, end, options)

    def settle(self) -> None:
        """Every host is heard everywhere."""
        clock: Any = self.net.clock
        clock.advance(10_000_000_000)
        for dev in self.hosts:
            self.net.send(dev, Frame(BROADCAST, dev.mac, 0x88B5, bytes(46)))
            clock.advance(clock.now + 1_000_000_000)

    def traffic(self, frames: int) -> list[Sent]:
        rng, now = self.rng, 0
        pace = rng.choice((0, 100, 5_000, 100_000))
        sent = []
        for number in range(frames):
            now += rng.choice((0, 0, pace, 10 * pace))
            dev = rng.choice(self.hosts)
            dst = rng.choice((*(h.mac for h in self.hosts), BROADCAST, 0x02DE_AD00_0001))
            body = number.to_bytes(4, "big") + bytes(rng.choice((42, 42, 100, 600, 1400)))
            sent.append((dev.path, Frame(dst, dev.mac, 0x88B5, body), now))
        return sent


def hold_times(tree: Any, sent: list[Sent], *engines: str) -> Counter[str]:
    """Compare every end of every copy, with its time, as each of the engines tells it."""
    batch = batch_of(sent)
    answers = [_told(Pipeline(tree.net, engine), batch) for engine in engines]
    walk = Timed(tree.net)
    clock: Any = tree.net.clock
    for path, frame, time in sent:
        clock.advance(walk.start + time)
        tree.net.send(tree.net.device(path), frame)
    clock.advance(clock.now + 100_000_000_000)
    for told in answers:
        assert told == walk.told, _first(told, walk.told)
    return Counter(
        {name or "delivered": sum(n for key, n in told.items() if key[2] == name) for name in {k[2] for k in told}}
    )


def _told(pipeline: Pipeline, batch: FrameBatch) -> Counter[Any]:
    """Return every end that a pipeline tells."""
    times, outcome = pipeline.simulate(batch), pipeline.settled(batch)
    told: Counter[Any] = Counter()
    rows = zip(times.frame.tolist(), times.device.tolist(), times.fate.tolist(), times.time.tolist(), strict=True)
    for frame, device, fate, time in rows:
        end = times.fates[fate]
        drop = None if end.drop == DELIVERED else DROPS[end.drop].name
        octets = outcome.octets(frame, end.form) if fate else frame
        told[time, pipeline.paths[device], drop, octets] += 1
    return told


class Timed(Reference):
    """The event engine, written down with times."""

    def __init__(self, net: Network) -> None:
        super().__init__(net)
        self.told: Counter[Any] = Counter()

    def step(self, told: Told) -> None:
        if told.drop is not None or told.way == "up":
            name = told.drop.name if told.drop is not None else None
            octets: Any = bytes(told.frame)
            if name == "QDISC_DROP":
                octets = int.from_bytes(octets[octets.index(b"\x88\xb5") + 2 :][:4], "big")
            self.told[told.now - self.start, told.dev.path, name, octets] += 1


def _first(told: Counter[Any], real: Counter[Any]) -> str:
    lines = [f"simulate {key[:3]} {str(key[3])[:90]}" for key in sorted((told - real), key=str)[:6]]
    lines += [f"events   {key[:3]} {str(key[3])[:90]}" for key in sorted((real - told), key=str)[:6]]
    return "\n".join(lines)


def cabled(net: Network) -> int:
    return sum(isinstance(dev, Veth) and dev.wire is not None for dev in net.devices())
