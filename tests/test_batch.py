"""The batch engine against the walk: random networks, and the cases that make it hard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from simvlan.clock import SECOND
from simvlan.engines.batch import FrameBatch, Pipeline, compiled
from simvlan.engines.batch import compile as compile_lab
from simvlan.engines.batch.interner import Interner
from simvlan.engines.batch.run import Run
from simvlan.engines.batch.settle import too_early
from simvlan.engines.batch.stations import STANDING
from simvlan.engines.events import EventClock
from simvlan.errors import Unsupported
from simvlan.frame import BROADCAST, Frame, mac_text
from simvlan.lab import Lab
from simvlan.links import Cable, CableOptions
from simvlan.network import Network
from simvlan.qdisc.netem import Netem, NetemOptions
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.bridge_vlan import vlan_add
from simvlan.stack.packet import checksum
from tests.batch_networks import City
from tests.batch_parity import Sent, Tally, batch_of, hold
from tests.batch_times import Tree, hold_times
from tests.networks import World

ENGINES = ("numpy", "numba")
SIX = 0x2001_0DB8 << 96
A, B, C = 0x02AA_0000_0001, 0x02AA_0000_0002, 0x02AA_0000_0003


def star(ports: int, **info: object) -> Network:
    """A bridge with containers on it."""
    net = Network(EventClock(), 1)
    bridge = link_add(net, net.netns[""], LinkSpec("bridge", "br0", info={"mcast_snooping": 0, **info}))
    for number in range(ports):
        peer = PeerSpec("eth0", net.add_netns(f"c{number}"))
        near: Any = link_add(net, net.netns[""], LinkSpec("veth", f"v{number}", peer=peer))
        link_set(net, near, master=bridge, up=True)
        link_set(net, near.peer, up=True)
    link_set(net, bridge, up=True)
    return net


def sent(port: int, dst: int, src: int, time: int = 0) -> Sent:
    return f"c{port}/eth0", Frame(dst, src, 0x88B5, bytes(46)), time


# -- parity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(90))
def test_container_networks(seed: int) -> None:
    """Bridges, VLANs, macvlan, ipvlan, trunks; stations come, move and are forgotten."""
    city, tally = City(seed), Tally()
    hold(city.net, city.traffic(100), Random(seed), tally, ENGINES[seed % 2])
    assert tally.frames or tally.refused


@pytest.mark.parametrize("seed", range(60))
def test_anything_on_anything(seed: int) -> None:
    """Random stacks of every device kind, most of which lead nowhere."""
    clock = EventClock()
    world, tally = World(seed, clock), Tally()
    clock.advance(60 * SECOND)
    devices = world.devices()
    frames = [(world.rng.choice(devices).path, world.frame(), 1_000 * n) for n in range(60)] if devices else []
    hold(world.net, frames, Random(seed), tally, ENGINES[seed % 2])
    assert tally.frames or tally.refused or not devices


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ageing", [0, 2, 300])
def test_stations_that_move_with_every_frame(ageing: int, engine: str) -> None:
    """The same MAC from another port each time, and others talking to it meanwhile."""
    net, rng = star(6), Random(ageing)
    net.device("root/br0").ageing_time = ageing * SECOND  # type: ignore[attr-defined]
    frames = [sent(rng.randrange(6), rng.choice((A, B, C)), rng.choice((A, B, C)), n * SECOND // 4) for n in range(300)]
    tally = Tally()
    hold(net, frames, rng, tally, engine)
    assert (tally.drops.get("BRIDGE_SAME_PORT", 0) > 10) == (ageing > 0)
    assert tally.copies >= 300


@pytest.mark.parametrize("turns", [0, compiled.TURNS])
def test_contents_that_take_turns_are_looked_at_together(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of two lengths in turns: the answers are the walk's, and no call of the loop is for one of them."""
    monkeypatch.setattr(compiled, "TURNS", turns)
    calls: list[int] = []
    kernel = compiled._Work._kernel
    monkeypatch.setattr(compiled._Work, "_kernel", lambda *told: calls.append(told[1]) or kernel(*told))
    net, tally, n = star(4), Tally(), 200
    frames = [(f"c{k % 4}/eth0", Frame(B, A + k % 4, 0x88B5, bytes(46 + k % 2)), k) for k in range(n)]
    hold(net, frames, Random(1), tally, "numba")
    assert tally.copies >= n
    assert len(calls) < n // 4 if turns else len(calls) > n // 2


@pytest.mark.parametrize("engine", ENGINES)
def test_macs_claimed_in_two_places_are_settled_together(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some containers' own MACs are heard at others' ports: no walk differs, and known ones need no look one by one."""
    net, rng, tally = star(9), Random(3), Tally()
    own = [net.device(f"c{number}/eth0").mac for number in range(9)]
    claims = [sent(number + 3, BROADCAST, own[number]) for number in range(3)]
    talk = [sent(n, rng.choice((*own[:4], A)), rng.choice((own[n], B))) for n in (rng.randrange(9) for _ in range(300))]
    moves = [sent(rng.randrange(9), rng.choice(own), rng.choice(own[:3])) for _ in range(40)]
    hold(net, [*claims, *talk, *moves, *talk], rng, tally, engine)
    net = star(9)
    pipeline = Pipeline(net, engine)
    known = [sent(n, rng.choice(own[:3]), own[n]) for n in range(3, 9) for _ in range(9)]
    for _ in range(2):
        pipeline.forward(batch_of([*claims, *known]))
    classes = len(pipeline.answers)
    monkeypatch.setattr(Run, "alone", None)
    pipeline.forward(batch_of(known))
    assert any(pipeline.stations.standings[code & STANDING].breed == -2 for code in pipeline.stations.code.tolist())
    assert len(pipeline.answers) == classes


@pytest.mark.parametrize("engine", ENGINES)
def test_known_stations_are_refreshed_each_in_its_vlan(engine: str) -> None:
    """Frames of two VLANs mixed, nothing new among them: every entry is as young as the last frame of its station."""
    net = star(4, vlan_filtering=1)
    for n in (2, 3):
        vlan_add(net, net.device(f"root/v{n}"), 10, pvid=True, untagged=True)
    macs = [0x02AA_0000_0000 + n for n in range(4)]
    pipeline = Pipeline(net, engine)
    pipeline.forward(batch_of([sent(n, BROADCAST, macs[n]) for n in range(4)]))
    order = Random(1).choices(range(4), k=100)
    for _ in range(2):
        pipeline.forward(batch_of([sent(n, macs[n ^ 1], macs[n], pipeline.now + k) for k, n in enumerate(order)]))
    last = {mac_text(macs[n]): pipeline.now - order[::-1].index(n) for n in range(4)}
    found = {row["mac"]: row for row in pipeline.fdb() if row["state"] == "dynamic"}
    assert {mac: row["updated"] - pipeline.start_ns for mac, row in found.items()} == last
    assert [found[mac_text(mac)]["vlan"] for mac in macs] == [1, 1, 10, 10]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["l2", "l3"])
def test_ipvlan_slaves_are_told_apart_by_ipv6_addresses(mode: str, engine: str) -> None:
    """Packets that differ in an address only, sent from the wire and by slaves; probes count by their target."""
    net, root = Network(EventClock(), 1), ""
    parent: Any = link_add(net, net.netns[root], LinkSpec("veth", "v", peer=PeerSpec("eth0", net.add_netns("c"))))
    link_set(net, parent, up=True)
    link_set(net, parent.peer, up=True)
    for number in range(1, 5):
        info = {"mode": mode, "bridge": True}
        slave: Any = link_add(net, net.add_netns(f"s{number}"), LinkSpec("ipvlan", "i0", link=parent, info=info))
        link_set(net, slave, up=True)
        slave.address_added(SIX | number, 6)
    # What belongs to no slave of l3 goes to the host's routing, which cannot be tabulated.
    ends = [SIX | number for number in range(1, 6 if mode == "l2" else 5)]
    packets = [bytes.fromhex("6000000000003b40") + by.to_bytes(16) + to.to_bytes(16) for by in ends for to in ends]
    probes = [bytes.fromhex("6000000000183aff") + bytes(16) + ends[0].to_bytes(16) for _ in ends]
    probes = [probe + bytes.fromhex("87" + "00" * 7) + to.to_bytes(16) for probe, to in zip(probes, ends, strict=True)]
    frames = [
        (path, Frame(parent.mac, parent.mac if path[0] == "s" else A, 0x86DD, packet.ljust(64, b"\0")), 0)
        for path in ("c/eth0", "s1/i0", "s3/i0")
        for packet in (*packets, *probes)
    ]
    tally = Tally()
    hold(net, frames, Random(1), tally, engine)
    assert tally.frames == len(frames)
    assert tally.drops["IPV6DISABLED"] > 40


def test_many_containers_share_few_classes() -> None:
    """200 ports, each its own station: the rules are asked a few dozen times, not 40,000."""
    net, rng, tally = star(200), Random(1), Tally()
    macs = [0x02BB_0000_0000 + n for n in range(200)]
    frames = [(n, rng.choice((*macs, BROADCAST)), macs[n]) for n in (rng.randrange(200) for _ in range(1_000))]
    hold(net, [sent(*f) for f in frames], rng, tally, "auto")
    assert tally.classes < 100


# -- the lab is only lent -------------------------------------------------------------------------------------------


def test_forwarding_leaves_the_lab_alone_and_a_refusal_leaves_the_pipeline_alone() -> None:
    """An IGMP report cannot be tabulated: its whole batch is refused, and what was known before is known after."""
    net = star(3, mcast_snooping=1)
    pipeline = Pipeline(net)
    pipeline.forward(batch_of([sent(0, B, A)]))
    known = list(pipeline.fdb())
    head = bytes.fromhex("4500001c0000400001020000") + bytes.fromhex("0a000001ef010203")
    body = bytes.fromhex("16000000ef010203")
    report = head[:10] + checksum(head).to_bytes(2, "big") + head[12:]
    igmp = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    frames = [sent(1, A, C), ("c0/eth0", Frame(0x0100_5E01_0203, A, 0x0800, report + igmp), 5)]
    with pytest.raises(Unsupported, match=r"root/br0: IGMP.*mcast_snooping 0"):
        pipeline.forward(batch_of(frames))
    assert list(pipeline.fdb()) == known
    assert not net.device("root/br0").mcast.mdb.groups  # type: ignore[attr-defined]
    assert pipeline.forward(batch_of(frames[:1])).drops() == {"UNHANDLED_PROTO": 1}


def test_a_changed_network_is_noticed() -> None:
    net = star(3)
    pipeline = Pipeline(net)
    link_set(net, net.device("root/v2"), up=False)
    with pytest.raises(Unsupported, match="compile it again"):
        pipeline.forward(batch_of([sent(0, B, A)]))


def test_counters_know_what_gained_nothing_and_name_what_is_not_there() -> None:
    pipeline = Pipeline(star(3), "numpy")
    gained = pipeline.forward(batch_of([sent(0, A, B)])).counters()
    assert gained["c1/eth0"]["rx_packets"] == 1
    assert "tx_packets" not in gained["c1/eth0"]
    assert gained["c1/eth0"]["tx_packets"] == 0
    assert pipeline.forward(batch_of([sent(0, 0x0180_C200_0001, B)])).counters()["c1/eth0"]["rx_packets"] == 0
    with pytest.raises(KeyError, match=r"no device 'c9/eth0': perhaps .*'c[012]/eth0'"):
        gained["c9/eth0"]
    with pytest.raises(KeyError, match=r"no counter 'rx_packet': perhaps 'rx_packets'"):
        gained["c1/eth0"]["rx_packet"]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_answer_can_be_read_after_others_were_given(engine: str) -> None:
    """What was told of a batch stands, whatever classes the pipeline meets afterwards."""
    net = star(3)
    first, second = Pipeline(net, engine), Pipeline(net, engine)
    taught, asked = [sent(0, B, A), sent(1, A, B)], [sent(1, A, B, 1), sent(0, B, A, 1)]
    outcomes = []
    for pipeline in (first, second):
        pipeline.forward(batch_of(taught))
        outcomes.append(pipeline.forward(batch_of(asked)))
        outcomes[-1].drops()
    first.forward(batch_of([sent(2, BROADCAST, C, 2), sent(2, A, C, 2), sent(1, B, B, 2)]))
    assert len(first.answers) > len(second.answers)
    assert outcomes[0].copies().device.tolist() == outcomes[1].copies().device.tolist()
    assert outcomes[0].counters() == outcomes[1].counters()


def test_what_is_no_batch_and_devices_that_are_not_there_are_named() -> None:
    pipeline = Pipeline(star(3), "numpy")
    with pytest.raises(TypeError, match=r"a list is no FrameBatch: make one with FrameBatch\.from_octets"):
        pipeline.forward([bytes(60)])  # type: ignore[arg-type]
    batch = FrameBatch.from_octets([bytes(60)], devices=["c1/eth1"])
    with pytest.raises(ValueError, match=r'sent on c1/eth1: no device "eth1" in namespace "c1".*perhaps'):
        pipeline.forward(batch)


# -- refusals -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_tabulated_is_refused_by_name() -> None:
    net = star(2)
    net.device("root/v1").qdisc = Netem(NetemOptions(delay_ns=5), Random(1))
    with pytest.raises(Unsupported, match="root/v1 has a queueing discipline"):
        compile_lab(net)
    net = star(2)
    link_set(net, net.device("root/br0"), info={"stp_state": 1})
    with pytest.raises(Unsupported, match="root/br0 runs the spanning tree"):
        compile_lab(net)
    net = star(2)
    link_set(net, net.device("root/v0"), slave_info={"neigh_suppress": 1})
    with pytest.raises(Unsupported, match="root/v0: the bridge answers ARP"):
        compile_lab(net)
    lab = Lab(script="ip link add br0 type bridge; iptables -A FORWARD -p tcp -j DROP")
    lab.compile()
    lab.sh("modprobe br_netfilter")
    with pytest.raises(Unsupported, match="root/br0: br_netfilter shows its packets to iptables"):
        lab.compile()


def test_an_ipvlan_whose_packets_are_misread_is_no_place_to_send_batches_from() -> None:
    """Above a VLAN device on a veth packets are where they are looked for: no refusal there."""
    for lower, refused in (("type dummy", True), ("type veth peer name d1", False)):
        lab = Lab(
            script=f"ip link add d0 {lower}; ip link add link d0 name q0 type vlan id 5;"
            "ip netns add s; ip link add link q0 name i0 netns s type ipvlan mode l2"
        )
        pipeline = lab.compile()
        batch = FrameBatch.from_octets([bytes(60)], devices=["s/i0"])
        if refused:
            with pytest.raises(Unsupported, match="s/i0: below it tags are written into frames"):
                pipeline.forward(batch)
        else:
            pipeline.forward(batch)


def test_a_loop_is_refused() -> None:
    net = star(1)
    near: Any = link_add(net, net.netns[""], LinkSpec("veth", "l0", peer=PeerSpec("l1")))
    for end in (near, near.peer):
        link_set(net, end, master=net.device("root/br0"), up=True)
    with pytest.raises(Unsupported, match="forwarding loop"):
        Pipeline(net).forward(batch_of([sent(0, BROADCAST, A)]))


def test_wrong_batches_are_named() -> None:
    pipeline = Pipeline(star(2))
    with pytest.raises(ValueError, match="frame 1 is sent before frame 0"):
        pipeline.forward(batch_of([sent(0, A, B, 5), sent(0, A, B, 4)]))
    with pytest.raises(ValueError, match="no network namespace"):
        pipeline.forward(batch_of([("nobody/eth0", Frame(A, B, 0x88B5, bytes(46)), 0)]))
    pipeline.forward(batch_of([sent(0, A, B, 5)]))
    with pytest.raises(ValueError, match="until 5 ns were forwarded"):
        pipeline.forward(batch_of([sent(0, A, B, 4)]))
    assert len(pipeline.forward(FrameBatch.from_octets([]))) == 0


def test_a_lab_compiles() -> None:
    lab = Lab(script="ip netns add c; ip link add v type veth peer name eth0 netns c; ip link set v up\n"
                     "ip -n c link set eth0 up")  # fmt: skip
    for pipeline in (lab.compile(), lab.compile("numpy", threads=1), compile_lab(lab), compile_lab(lab.network)):
        outcome = pipeline.forward(batch_of([("c/eth0", Frame(BROADCAST, A, 0x88B5, bytes(46)), 0)]))
        assert [(end[0], end[1].name if end[1] else "") for end in outcome.ends(0)] == [("root/v", "UNHANDLED_PROTO")]


# -- parts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendors", [1, 3])
def test_addresses_in_a_row_take_no_more_room_than_others(vendors: int) -> None:
    """A multiplier may put too many of them in one slot; then another one is taken, not a larger table."""
    count = 102_400
    macs = np.arange(count) // vendors + (np.arange(count) % vendors + 2 << 40)
    macs.sort()
    keys = (macs << 16).astype(">u8").view("<u8").astype(np.uint64)  # as they lie in frames
    table = Interner()
    table.add(keys)
    assert 1 << table.bits == 1 << 17 > count
    assert (table.find(keys) == np.arange(count)).all()


@pytest.mark.parametrize("count", [1, 700, 50_000])
def test_interning_is_exact(count: int) -> None:
    """Every key gets its own id, nobody else's key is found."""
    rng = np.random.default_rng(count)
    keys = rng.permutation(np.unique(rng.integers(0, 1 << 60, count).astype(np.uint64)))
    table = Interner()
    half = len(keys) // 2
    assert (table.intern(np.repeat(keys[:half], 2)) == np.repeat(np.arange(half), 2)).all()
    assert (table.find(keys[half:]) == table.missing).all()
    assert (table.intern(keys) == np.arange(len(keys))).all()
    assert (table.keys[: len(keys)] == keys).all()


@pytest.mark.parametrize("seed", range(200))
def test_settling_is_in_order(seed: int) -> None:
    """What is settled in one round is what a loop in order may settle, and the first frame always is."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    source, destination = rng.integers(0, 6, n), rng.integers(0, 6, n)
    changing = rng.random(n) < 0.35
    early = too_early(source, destination, changing)
    assert not early[0]
    for i in np.flatnonzero(~early):
        before = np.arange(n) < i
        mine = (source == source[i]) | (source == destination[i])
        assert not (before & mine & (changing | early)).any(), "an address may still change before this frame"
        if changing[i]:
            waiting = before & early & ((destination == source[i]) | (source == source[i]))
            assert not waiting.any(), "an earlier frame still needs the old standing"


# -- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [*range(20), 171, 172])
def test_times_are_those_of_the_event_engine(seed: int) -> None:
    """Bursts through trees of switches: every arrival and every drop at the same nanosecond."""
    tree = Tree(seed)
    ended = hold_times(tree, tree.traffic(250), ENGINES[seed % 2])
    assert ended.total() > 100


@dataclass
class Crossroads:
    """Two switches: c0 on the first; on the second c1 behind a longer cable, c2 behind a queue."""

    net: Network

    @classmethod
    def made(cls) -> Crossroads:
        net = Network(EventClock(), 1)
        far, near = (
            link_add(net, net.add_netns(name), LinkSpec("bridge", "br0", info={"mcast_snooping": 0})) for name in "st"
        )
        trunk: Any = link_add(net, far.netns, LinkSpec("veth", "trunk", peer=PeerSpec("up", near.netns)))
        link_set(net, trunk, master=far, up=True)
        link_set(net, trunk.peer, master=near, up=True)
        Cable(net, trunk, CableOptions(delay_ns=1_000))
        delays = (CableOptions(delay_ns=1_000), CableOptions(delay_ns=1_500), CableOptions(10_000_000))
        for number, (bridge, options) in enumerate(zip((far, near, near), delays, strict=True)):
            peer = PeerSpec("eth0", net.add_netns(f"c{number}"))
            end: Any = link_add(net, bridge.netns, LinkSpec("veth", f"v{number}", peer=peer))
            link_set(net, end, master=bridge, up=True)
            link_set(net, end.peer, up=True)
            Cable(net, end, options)
        for bridge in (far, near):
            link_set(net, bridge, up=True)
        clock: Any = net.clock
        clock.advance(30 * SECOND)
        for number, mac in enumerate((A, B, C)):
            net.send(net.device(f"c{number}/eth0"), Frame(BROADCAST, mac, 0x88B5, bytes(46)))
            clock.advance(clock.now + SECOND)
        return cls(net)


def test_who_set_out_first_enters_a_queue_first() -> None:
    """Both come to c2's queue at 2,000 ns: c1's frame, sent later, began its last cable at 500 ns, c0's at 1,000 ns."""
    first = Frame(C, A, 0x88B5, (0).to_bytes(4, "big") + bytes(42))
    second = Frame(C, B, 0x88B5, (1).to_bytes(4, "big") + bytes(42))
    roads = Crossroads.made()
    times = Pipeline(roads.net, "numpy").simulate(batch_of([("c0/eth0", first, 0), ("c1/eth0", second, 500)]))
    assert times.frame[np.argsort(times.time)].tolist() == [1, 0]
    hold_times(roads, [("c0/eth0", first, 0), ("c1/eth0", second, 500)], *ENGINES)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_source_is_heard_where_its_frames_come_by_only(engine: str) -> None:
    """Frames of one block, some of which no bridge sees: they do not keep an entry alive."""
    net = star(2)
    aside: Any = link_add(net, net.netns[""], LinkSpec("veth", "x", peer=PeerSpec("y", net.add_netns("aside"))))
    for end in (aside, aside.peer):
        link_set(net, end, up=True)
    frames = [sent(0, B, A), sent(1, A, B), sent(0, B, A)]
    for n in range(1, 400):
        frames += [sent(0, B, A, n * 1_000), ("root/x", Frame(B, A, 0x88B5, bytes(46)), n * 1_000)]
    frames += [("root/x", Frame(B, A, 0x88B5, bytes(46)), 10 * SECOND)]
    hold(net, frames, Random(3), Tally(), engine)


def test_random_cables_and_unknown_stations_have_no_times() -> None:
    net = star(3)
    cable = Cable(net, net.device("c0/eth0"), CableOptions(delay_ns=5, loss=0.5))  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="root/v0: its cable has loss"):
        Pipeline(net).simulate(batch_of([sent(0, B, A)]))
    cable.change(loss=0.0)
    pipeline = Pipeline(net)
    with pytest.raises(Unsupported, match="frame 0: a bridge learns"):
        pipeline.simulate(batch_of([sent(0, B, A)]))
    pipeline.forward(batch_of([sent(0, B, A)]))
    times = pipeline.simulate(batch_of([sent(0, B, A, 7)]))
    assert times.time.tolist() == [12, 12]
    with pytest.raises(Unsupported, match="root/br0 may forget a station"):
        pipeline.simulate(batch_of([sent(0, B, A, 300 * SECOND - 2)]))


def test_traffic_that_is_not_feed_forward_is_refused() -> None:
    """c0's packets cross the trunk twice: a macvlan in vepa mode and a port that reflects."""
    net = star(2)
    link_set(net, net.device("root/v0"), slave_info={"hairpin": 1})
    near, lower = net.device("root/v0"), net.device("c0/eth0")
    macs = []
    for number in range(2):
        child = link_add(net, net.add_netns(f"m{number}"), LinkSpec("macvlan", "m", link=lower, info={"mode": "vepa"}))
        link_set(net, child, up=True)
        macs.append(child.mac)
    Cable(net, near, CableOptions(delay_ns=5))  # type: ignore[arg-type]
    pipeline = Pipeline(net)
    frames = [(f"m{n}/m", Frame(macs[1 - n], macs[n], 0x88B5, bytes(46)), n) for n in range(2)]
    pipeline.forward(batch_of(frames))
    times = pipeline.simulate(batch_of([(path, frame, time + 1) for path, frame, time in frames]))
    assert times.time.tolist() == [11, 12], "a hairpin is feed-forward: up by one direction, down by the other"


@pytest.mark.parametrize("engine", ENGINES)
def test_other_content_after_a_frame_settled_by_itself(engine: str) -> None:
    """Frames of 64, then of 60 octets, where every frame is settled by itself: each is counted with its own length."""
    net, tally = star(4), Tally()
    odd = 0x02AA_0000_0009
    frames = [sent(0, odd, A), sent(1, A, odd)]
    for size in (50, 46, 50, 46):
        frames += [(f"c{n}/eth0", Frame(odd, A, 0x88B5, bytes(size)), 1) for n in (1, 2, 0, 3)]
    hold(net, frames, Random(1), tally, engine)
    city = City(100_073)
    hold(city.net, city.traffic(220), Random(100_073), tally, engine)


def test_the_documents_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/batch.md: the first frame is flooded, the others too, for c2 never speaks."""
    text = (Path(__file__).parents[1] / "docs" / "batch.md").read_text()
    exec(text.split("```python\n")[1].split("```")[0], {})
    told = capsys.readouterr().out
    assert told.startswith("<Outcome of 1,000 frames: 2,000 UNHANDLED_PROTO>\n")
    assert "'rx_packets': 1000, 'rx_bytes': 64000, 'rx_dropped': 1000" in told
